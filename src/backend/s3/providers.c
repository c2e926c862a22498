/* Where credentials come from, in order: the environment, a profile that is named, a web identity
 * token, the default profile, a container's service, the instance's metadata; and, over whichever
 * was found, a role. */
#include <stdio.h>

#include <jansson.h>

#include "backend/s3/s3_int.h"
#include "backend/sign/sign.h"
#include "base/crypto.h"
#include "base/file.h"

#define FILE_MAX      (64U * 1024)
#define REPLY_MAX     (64U * 1024)
#define SERVICE_NS    INT64_C(10000000000) /* services of credentials answer at once, or not */
#define METADATA_NS   INT64_C(2000000000)  /* none is there where there is no instance */
#define ROLE_NAME_MAX 128

static sl_rc take(struct sli_s3_keys *ret, const char *id, const char *secret, const char *token,
                  int64_t end_ns, struct sl_err *err)
{
    sl_buf_add_text(&ret->key_id, id);
    sl_buf_add_text(&ret->secret, secret);
    sl_buf_add_text(&ret->token, token);
    ret->end_ns = end_ns;
    SL_TRY(sl_buf_done(&ret->key_id, err));
    SL_TRY(sl_buf_done(&ret->secret, err));
    return sl_buf_done(&ret->token, err);
}

static const char *first_of(const char *a, const char *b)
{
    return a[0] != '\0' ? a : b;
}

static sl_rc from_environment(struct sli_s3 *s3, struct sli_s3_keys *ret, bool *ret_again SL_UNUSED,
                              struct sl_err *err)
{
    const struct sl_config *c = s3->store.config;
    const char *id = first_of(c->aws_key_id, c->aws_key_id_old);
    const char *secret = first_of(c->aws_secret, c->aws_secret_old);
    if (id[0] == '\0' && secret[0] == '\0') {
        return SL_ENOTFOUND;
    }
    if (id[0] == '\0' || secret[0] == '\0') {
        return SL_FAIL(err, SL_EINVAL, "%s is set and %s is not: both are needed",
                       id[0] != '\0' ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                       id[0] != '\0' ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
    }
    return take(ret, id, secret, c->aws_token, INT64_MAX, err);
}

/* ---- files ---- */

static sl_rc from_profile(struct sli_s3 *s3, const char *profile, struct sli_s3_keys *ret,
                          struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    const char *file = s3->store.config->aws_credentials_file;
    if (file[0] != '\0') {
        sl_buf_add_text(&path, file);
    } else {
        sl_buf_addf(&path, "%s/.aws/credentials", s3->store.config->home);
    }
    const char *name = sl_buf_cstr(&path);
    SL_TRY(sl_buf_done(&path, err));
    sl_rc rc = sl_file_read_all(name, FILE_MAX, &text, err);
    if (rc == SL_OK && !sli_s3_profile_read(sl_buf_str(&text), profile, ret)) {
        rc = SL_FAIL(err, SL_ENOTFOUND, "%s: no keys in the profile %s", name, profile);
    }
    sl_wipe(text.ptr, text.len);
    ret->end_ns = INT64_MAX;
    return rc;
}

static sl_rc from_named_profile(struct sli_s3 *s3, struct sli_s3_keys *ret,
                                bool *ret_again SL_UNUSED, struct sl_err *err)
{
    const char *profile = s3->store.config->aws_profile;
    if (profile[0] == '\0') {
        return SL_ENOTFOUND;
    }
    sl_rc rc = from_profile(s3, profile, ret, err);
    if (rc == SL_ENOTFOUND) { /* it was asked for by name */
        sl_err_prefix(err, "AWS_PROFILE");
        return SL_EINVAL;
    }
    return rc;
}

static sl_rc from_default_profile(struct sli_s3 *s3, struct sli_s3_keys *ret,
                                  bool *ret_again SL_UNUSED, struct sl_err *err SL_UNUSED)
{
    return from_profile(s3, "default", ret, NULL) == SL_OK ? SL_OK : SL_ENOTFOUND;
}

static sl_rc read_token(const char *path, const char *variable, struct sl_buf *out,
                        struct sl_err *err)
{
    sl_rc rc = sl_file_read_all(path, FILE_MAX, out, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "%s", variable);
        return SL_EINVAL;
    }
    while (out->len > 0 && out->ptr[out->len - 1] <= ' ') {
        out->len--;
    }
    return SL_OK;
}

/* ---- asking services ---- */

static sl_rc ask(struct sli_s3 *s3, struct sl_http_request *req, const char *what,
                 struct sl_http_reply *reply, bool *ret_again, struct sl_err *err)
{
    req->reply_max = REPLY_MAX;
    req->cancel = s3->store.cancel;
    sl_rc rc = sl_http_exchange(s3->store.http, req, reply, err);
    if (rc != SL_OK) {
        *ret_again = rc == SL_EIO || rc == SL_ETIMEOUT;
        sl_err_prefix(err, "credentials of %s", what);
        return rc;
    }
    if (reply->status != 200) {
        *ret_again = reply->status >= 500 || reply->status == 429;
        return SL_FAIL(err, SL_EACCESS, "%s gives no credentials: status %d", what, reply->status);
    }
    return SL_OK;
}

static int64_t end_of(struct sl_str text)
{
    int64_t end = INT64_MAX;
    return sl_time_parse(text, &end) ? end : INT64_MAX;
}

struct sts {
    struct sli_s3_keys *keys;
    char code[64], message[256];
};

static sl_rc on_sts(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err SL_UNUSED)
{
    struct sts *s = arg;
    if (sl_str_ends(path, "Credentials/AccessKeyId")) {
        sl_buf_add_str(&s->keys->key_id, text);
    } else if (sl_str_ends(path, "Credentials/SecretAccessKey")) {
        sl_buf_add_str(&s->keys->secret, text);
    } else if (sl_str_ends(path, "Credentials/SessionToken")) {
        sl_buf_add_str(&s->keys->token, text);
    } else if (sl_str_ends(path, "Credentials/Expiration")) {
        s->keys->end_ns = end_of(text);
    } else if (sl_str_ends(path, "Error/Code")) {
        (void)snprintf(s->code, sizeof(s->code), "%.*s", SL_STR_ARG(text));
    } else if (sl_str_ends(path, "Error/Message")) {
        (void)snprintf(s->message, sizeof(s->message), "%.*s", SL_STR_ARG(text));
    }
    return SL_OK;
}

static sl_rc read_sts(const struct sl_http_reply *reply, const char *role, struct sli_s3_keys *ret,
                      bool *ret_again, struct sl_err *err)
{
    struct sts s = {.keys = ret};
    ret->end_ns = INT64_MAX;
    SL_IGNORE(sl_xml_read(sl_buf_view(&reply->body), on_sts, &s, NULL), "asked below");
    if (reply->status == 200 && ret->key_id.len > 0 && ret->secret.len > 0) {
        return SL_OK;
    }
    *ret_again = reply->status >= 500 || reply->status == 429;
    return SL_FAIL(err, SL_EACCESS,
                   "the token service does not give the role %s: %s %s (status %d)", role, s.code,
                   s.message, reply->status);
}

static void add_field(struct sl_buf *form, const char *name, struct sl_str value)
{
    sl_buf_addf(form, "&%s=", name);
    sl_percent_encode(value, form);
}

static void add_sts_url(struct sli_s3 *s3, const char *url, struct sl_buf *out)
{
    if (url[0] != '\0') {
        sl_buf_add_text(out, url);
        sl_buf_add_text(out, url[strlen(url) - 1] == '/' ? "" : "/");
        return;
    }
    sl_mutex_lock(&s3->mu);
    sl_buf_addf(out, "https://sts.%s.amazonaws.com/", s3->locked.region);
    sl_mutex_unlock(&s3->mu);
}

/* signer NULL: the form itself says who asks. */
static sl_rc ask_sts(struct sli_s3 *s3, const char *url, struct sl_buf *form, const char *role,
                     const struct sli_s3_keys *signer, struct sli_s3_keys *ret, bool *ret_again,
                     struct sl_err *err)
{
    SL_AUTO(sl_buf) address = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) hash = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) lines = SL_BUF_EMPTY;
    struct sl_http_header headers[1 + SLI_S3_SIGNATURE_LINES] = {
        {"content-type", SL_STR("application/x-www-form-urlencoded")}};
    uint8_t sha[SL_SHA256_SIZE];
    char region[sizeof(s3->locked.region)];
    struct sl_http_reply reply = {0};
    add_sts_url(s3, url, &address);
    SL_TRY(sl_buf_done(&address, err));
    SL_TRY(sl_buf_done(form, err));
    struct sl_http_request req = {.method = "POST",
                                  .url = sl_buf_str(&address),
                                  .headers = headers,
                                  .header_count = 1,
                                  .body = sl_buf_view(form),
                                  .timeout_ns = SERVICE_NS,
                                  .reply_max = REPLY_MAX,
                                  .cancel = s3->store.cancel};
    if (signer != NULL) {
        SL_TRY(sl_sha256(req.body, sha, err));
        sl_hex_add(&hash, SL_BYTES(sha, sizeof(sha)));
        sl_mutex_lock(&s3->mu);
        memcpy(region, s3->locked.region, sizeof(region));
        sl_mutex_unlock(&s3->mu);
        SL_TRY(sli_s3_sign(s3, signer, region, "sts", &req, sl_buf_str(&hash), &lines, err));
        req.header_count += sli_s3_split_lines(&lines, headers + 1, SLI_S3_SIGNATURE_LINES);
    }
    sl_rc rc = sl_http_exchange(s3->store.http, &req, &reply, err);
    *ret_again = rc == SL_EIO || rc == SL_ETIMEOUT;
    if (rc == SL_OK) {
        rc = read_sts(&reply, role, ret, ret_again, err);
    } else {
        sl_err_prefix(err, "token service");
    }
    sl_wipe(reply.body.ptr, reply.body.len);
    sl_http_reply_fini(&reply);
    return rc;
}

static sl_rc from_web_identity(struct sli_s3 *s3, struct sli_s3_keys *ret, bool *ret_again,
                               struct sl_err *err)
{
    const struct sl_config *c = s3->store.config;
    SL_AUTO(sl_buf) token = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) form = SL_BUF_EMPTY;
    if (c->aws_identity_file[0] == '\0') {
        return SL_ENOTFOUND;
    }
    if (c->aws_role[0] == '\0') {
        return SL_FAIL(
            err, SL_EINVAL,
            "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not: both are needed");
    }
    SL_TRY(read_token(c->aws_identity_file, "AWS_WEB_IDENTITY_TOKEN_FILE", &token, err));
    sl_buf_add_text(&form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
    add_field(&form, "RoleArn", sl_str_from(c->aws_role));
    add_field(&form, "RoleSessionName", sl_str_from(c->aws_role_session));
    add_field(&form, "WebIdentityToken", sl_buf_str(&token));
    sl_rc rc = ask_sts(s3, c->aws_sts_url, &form, c->aws_role, NULL, ret, ret_again, err);
    sl_wipe(form.ptr, form.len);
    return rc;
}

/* ---- JSON of containers and instances ---- */

static const char *text_of(const json_t *doc, const char *name)
{
    const char *text = json_string_value(json_object_get(doc, name));
    return text == NULL ? "" : text;
}

static sl_rc read_json(const struct sl_http_reply *reply, const char *what, struct sli_s3_keys *ret,
                       struct sl_err *err)
{
    json_t *doc = json_loadb((const char *)reply->body.ptr, reply->body.len, 0, NULL);
    const char *id = text_of(doc, "AccessKeyId"), *secret = text_of(doc, "SecretAccessKey");
    int64_t end = end_of(sl_str_from(text_of(doc, "Expiration")));
    sl_rc rc = id[0] == '\0' || secret[0] == '\0'
                   ? SL_FAIL(err, SL_EACCESS, "%s gives no credentials in its answer", what)
                   : take(ret, id, secret, text_of(doc, "Token"), end, err);
    json_decref(doc);
    return rc;
}

static sl_rc get_json(struct sli_s3 *s3, struct sl_http_request *req, const char *what,
                      struct sli_s3_keys *ret, bool *ret_again, struct sl_err *err)
{
    struct sl_http_reply reply = {0};
    sl_rc rc = ask(s3, req, what, &reply, ret_again, err);
    if (rc == SL_OK) {
        rc = read_json(&reply, what, ret, err);
    }
    sl_wipe(reply.body.ptr, reply.body.len);
    sl_http_reply_fini(&reply);
    return rc;
}

static sl_rc from_container(struct sli_s3 *s3, struct sli_s3_keys *ret, bool *ret_again,
                            struct sl_err *err)
{
    const struct sl_config *c = s3->store.config;
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) token = SL_BUF_EMPTY;
    if (c->aws_container_path[0] != '\0') {
        sl_buf_addf(&url, "http://169.254.170.2%s", c->aws_container_path);
    } else if (c->aws_container_url[0] != '\0') {
        sl_buf_add_text(&url, c->aws_container_url);
    } else {
        return SL_ENOTFOUND;
    }
    sl_buf_add_text(&token, c->aws_container_token);
    if (c->aws_container_token_file[0] != '\0') {
        sl_buf_clear(&token);
        SL_TRY(read_token(c->aws_container_token_file, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                          &token, err));
    }
    SL_TRY(sl_buf_done(&url, err));
    SL_TRY(sl_buf_done(&token, err));
    struct sl_http_header authorization = {"authorization", sl_buf_str(&token)};
    struct sl_http_request req = {.method = "GET",
                                  .url = sl_buf_str(&url),
                                  .headers = &authorization,
                                  .header_count = token.len > 0,
                                  .timeout_ns = SERVICE_NS,
                                  .is_direct = true};
    sl_rc rc = get_json(s3, &req, "the container's service", ret, ret_again, err);
    sl_wipe(token.ptr, token.len);
    return rc;
}

/* IMDSv2: a session token first, then the name of the instance's role, then its keys. */
static sl_rc metadata_token(struct sli_s3 *s3, struct sl_http_reply *reply, bool *ret_again,
                            struct sl_err *err)
{
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    sl_buf_addf(&url, "%s/latest/api/token", s3->store.config->aws_metadata_url);
    SL_TRY(sl_buf_done(&url, err));
    struct sl_http_header ttl = {"x-aws-ec2-metadata-token-ttl-seconds", SL_STR("300")};
    struct sl_http_request req = {.method = "PUT",
                                  .url = sl_buf_str(&url),
                                  .headers = &ttl,
                                  .header_count = 1,
                                  .timeout_ns = METADATA_NS,
                                  .is_direct = true};
    return ask(s3, &req, "the instance's metadata", reply, ret_again, err);
}

static sl_rc metadata_get(struct sli_s3 *s3, struct sl_str token, struct sl_str role,
                          struct sl_http_reply *reply, bool *ret_again, struct sl_err *err)
{
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    sl_buf_addf(&url, "%s/latest/meta-data/iam/security-credentials/%.*s",
                s3->store.config->aws_metadata_url, SL_STR_ARG(role));
    SL_TRY(sl_buf_done(&url, err));
    struct sl_http_header header = {"x-aws-ec2-metadata-token", token};
    struct sl_http_request req = {.method = "GET",
                                  .url = sl_buf_str(&url),
                                  .headers = &header,
                                  .header_count = 1,
                                  .timeout_ns = METADATA_NS,
                                  .is_direct = true};
    return ask(s3, &req, "the instance's metadata", reply, ret_again, err);
}

static sl_rc ask_instance(struct sli_s3 *s3, struct sl_http_reply *token,
                          struct sl_http_reply *role, struct sl_http_reply *keys,
                          struct sli_s3_keys *ret, bool *ret_again, struct sl_err *err)
{
    SL_TRY(metadata_token(s3, token, ret_again, err));
    SL_TRY(metadata_get(s3, sl_buf_str(&token->body), SL_STR(""), role, ret_again, err));
    struct sl_str name = sl_str_trim(sl_buf_str(&role->body));
    const char *end = name.len == 0 ? NULL : memchr(name.ptr, '\n', name.len);
    name.len = end == NULL ? name.len : (size_t)(end - name.ptr);
    if (name.len == 0 || name.len > ROLE_NAME_MAX) {
        return SL_FAIL(err, SL_EACCESS, "the instance has no role");
    }
    SL_TRY(metadata_get(s3, sl_buf_str(&token->body), name, keys, ret_again, err));
    return read_json(keys, "the instance's metadata", ret, err);
}

static sl_rc from_instance(struct sli_s3 *s3, struct sli_s3_keys *ret, bool *ret_again,
                           struct sl_err *err)
{
    struct sl_http_reply token = {0}, role = {0}, keys = {0};
    if (s3->store.config->is_aws_metadata_off) {
        return SL_ENOTFOUND;
    }
    sl_rc rc = ask_instance(s3, &token, &role, &keys, ret, ret_again, err);
    sl_wipe(keys.body.ptr, keys.body.len);
    sl_http_reply_fini(&token);
    sl_http_reply_fini(&role);
    sl_http_reply_fini(&keys);
    bool is_absent = rc == SL_EIO || rc == SL_ETIMEOUT;
    return is_absent ? SL_ENOTFOUND : rc;
}

/* ---- all of them ---- */

static sl_rc find(struct sli_s3 *s3, struct sli_s3_keys *ret, bool *ret_again, struct sl_err *err)
{
    static sl_rc (*const providers[])(struct sli_s3 *, struct sli_s3_keys *, bool *,
                                      struct sl_err *) = {from_environment,  from_named_profile,
                                                          from_web_identity, from_default_profile,
                                                          from_container,    from_instance};
    for (size_t i = 0; i < SL_COUNT_OF(providers); i++) {
        sl_rc rc = providers[i](s3, ret, ret_again, err);
        if (rc != SL_ENOTFOUND) {
            return rc;
        }
    }
    *ret_again = false;
    return SL_FAIL(err, SL_EACCESS,
                   "no credentials for s3://%s: none in AWS_ACCESS_KEY_ID and "
                   "AWS_SECRET_ACCESS_KEY, no profile in a credentials file, no "
                   "AWS_WEB_IDENTITY_TOKEN_FILE, no container's service, no metadata of an "
                   "instance at %s",
                   s3->store.bucket, s3->store.config->aws_metadata_url);
}

static sl_rc assume(struct sli_s3 *s3, const struct sli_s3_keys *base, struct sli_s3_keys *ret,
                    bool *ret_again, struct sl_err *err)
{
    const struct sl_config *c = s3->store.config;
    SL_AUTO(sl_buf) form = SL_BUF_EMPTY;
    sl_buf_add_text(&form, "Action=AssumeRole&Version=2011-06-15");
    add_field(&form, "RoleArn", sl_str_from(c->s3_role));
    add_field(&form, "RoleSessionName", sl_str_from(c->s3_role_session));
    if (c->s3_external_id[0] != '\0') {
        add_field(&form, "ExternalId", sl_str_from(c->s3_external_id));
    }
    const char *url = first_of(c->s3_sts_url, c->aws_sts_url);
    return ask_sts(s3, url, &form, c->s3_role, base, ret, ret_again, err);
}

sl_rc sli_s3_fetch(struct sli_s3 *s3, struct sli_s3_keys *ret, bool *ret_again, struct sl_err *err)
{
    if (s3->store.config->s3_role[0] == '\0') {
        return find(s3, ret, ret_again, err);
    }
    struct sli_s3_keys base = {0};
    sl_rc rc = find(s3, &base, ret_again, err);
    if (rc == SL_OK) {
        rc = assume(s3, &base, ret, ret_again, err);
    }
    sli_s3_keys_fini(&base);
    return rc;
}
