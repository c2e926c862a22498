/* Where keys come from: the settings, a web identity, profiles, the container's service, the
 * machine's; and the role that EXPORT_S3_ROLE_ARN puts on top of them.
 *
 * The first that is configured wins; one that is configured and fails ends the search, since keys
 * of another place would write under another name. Once found, the place stays: when the machine's
 * service does not answer an hour later, that is an outage and not a lack of keys. Called by
 * access.c, one thread at a time. Sources: "Standardized credential providers" of the AWS SDKs
 * reference guide; "Instance Metadata Service Version 2"; the STS API reference. */
#include "backend/s3/s3_int.h"

#include <jansson.h>

#include "backend/sign/sign.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/json.h"

#define TOKEN_MAX     (64u * 1024)
#define JSON_DEPTH    4
#define PROFILE_DEPTH 4                     /* of source_profile: a loop ends here */
#define LIFE_S        "3600"                /* the most that a chained role may have */
#define AHEAD_NS      INT64_C(300000000000) /* keys are renewed five minutes early */
#define LOCAL_NS      INT64_C(2000000000)   /* answers on the link come at once or never */
#define SECOND_NS     INT64_C(1000000000)

struct search {
    struct sli_s3 *s3;
    const struct sl_config *config;
    struct sl_cancel *cancel;
    bool may_pass; /* the failure is one of network or service */
};

/* SL_ENOTFOUND: not configured here, ask the next. */
typedef sl_rc find_fn(struct search *s, struct sli_s3_keys *ret, struct sl_err *err);
struct sli_s3_provider {
    const char *name;
    find_fn *find;
};

static const char *one_of(const char *a, const char *b)
{
    return a[0] != '\0' ? a : b;
}

static void set(struct sl_buf *to, struct sl_str text)
{
    sl_wipe(to->ptr, to->len);
    sl_buf_clear(to);
    sl_buf_add_str(to, text);
}

/* All three, and when they end: "2026-11-26T17:00:00Z"; empty: never. */
static sl_rc set_keys(const struct search *s, struct sli_s3_keys *k, struct sl_str id,
                      struct sl_str secret, struct sl_str token, struct sl_str end,
                      const char *source, struct sl_err *err)
{
    set(&k->id, id);
    set(&k->secret, secret);
    set(&k->token, token);
    SL_TRY(sl_buf_done(&k->id, err));
    SL_TRY(sl_buf_done(&k->secret, err));
    SL_TRY(sl_buf_done(&k->token, err));
    k->source = source;
    k->end_ns = k->renew_ns = INT64_MAX;
    if (end.len > 0 && !sl_time_parse(end, &k->end_ns)) {
        return SL_FAIL(err, SL_EIO, "%s: the time when the keys expire is no time", source);
    }
    if (id.len == 0 || secret.len == 0) {
        return SL_FAIL(err, SL_EIO, "%s: the answer holds no keys", source);
    }
    if (end.len > 0) {
        int64_t life = SL_MAX(k->end_ns - sl_clock_wall_ns(s->s3->store.clock), 0);
        k->renew_ns = k->end_ns - SL_MIN(AHEAD_NS, life / 4);
    }
    return SL_OK;
}

/* ---- requests to services that give keys ---- */

static sl_rc ask(struct search *s, struct sl_http_request *req, struct sl_http_reply *reply,
                 const char *what, struct sl_err *err)
{
    req->reply_max = TOKEN_MAX;
    req->cancel = s->cancel;
    sl_rc rc = sl_http_exchange(s->s3->store.http, req, reply, err);
    s->may_pass = rc == SL_EIO || rc == SL_ETIMEOUT;
    if (rc != SL_OK) {
        sl_err_prefix(err, "%s", what);
        return rc;
    }
    s->may_pass = reply->status >= 500 || reply->status == 429;
    return SL_OK;
}

static sl_rc read_token_file(const char *variable, const char *path, struct sl_buf *out,
                             struct sl_err *err)
{
    sl_rc rc = sl_file_read_all(path, TOKEN_MAX, out, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "%s", variable);
        return rc == SL_ENOTFOUND ? SL_EINVAL : rc; /* configured, so no case for the next */
    }
    return SL_OK;
}

/* ---- STS ---- */

struct sts {
    struct sl_buf id, secret, token, end, code;
};

static void sts_fini(struct sts *t)
{
    struct sl_buf *const texts[] = {&t->id, &t->secret, &t->token, &t->end, &t->code};
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        sl_wipe(texts[i]->ptr, texts[i]->len);
        sl_buf_fini(texts[i]);
    }
}

static sl_rc on_sts(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct sts *t = arg;
    struct {
        const char *end;
        struct sl_buf *to;
    } const rows[] = {{"/Credentials/AccessKeyId", &t->id},
                      {"/Credentials/SecretAccessKey", &t->secret},
                      {"/Credentials/SessionToken", &t->token},
                      {"/Credentials/Expiration", &t->end},
                      {"/Error/Code", &t->code}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        if (sl_str_ends(path, rows[i].end)) {
            set(rows[i].to, text);
            SL_TRY(sl_buf_done(rows[i].to, err));
        }
    }
    return SL_OK;
}

struct role {
    const char *action, *arn_variable, *source; /* literals */
    struct sl_str arn, session, external_id;
    struct sl_str web_token;        /* of AssumeRoleWithWebIdentity */
    const struct sli_s3_keys *base; /* of AssumeRole */
    const char *endpoint;           /* a URL; "": by the region */
};

static void sts_url(struct search *s, const struct role *r, const char *region, struct sl_buf *out)
{
    const char *endpoint = one_of(r->endpoint, s->config->aws_sts_url);
    if (endpoint[0] != '\0') {
        sl_buf_add_text(out, endpoint);
    } else {
        sl_buf_addf(out, "https://sts.%s.amazonaws.com%s", region,
                    strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
    }
    if (out->len > 0 && out->ptr[out->len - 1] != '/') {
        sl_buf_add_u8(out, '/');
    }
}

static void form_add(struct sl_buf *out, const char *name, struct sl_str value)
{
    if (value.len > 0) {
        sl_buf_addf(out, "&%s=", name);
        sl_percent_encode(value, out);
    }
}

/* "name: value\n" lines of the signature as headers; the values are views of `lines`. */
static uint32_t split_headers(struct sl_str lines, struct sl_http_header *rows, uint32_t max)
{
    static const char *const names[] = {"x-amz-date", "x-amz-content-sha256",
                                        "x-amz-security-token", "authorization"};
    uint32_t count = 0;
    while (lines.len > 0 && count < max) {
        const char *end = memchr(lines.ptr, '\n', lines.len);
        size_t len = end == NULL ? lines.len : (size_t)(end - lines.ptr);
        for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
            size_t skip = strlen(names[i]) + 2;
            if (sl_str_starts((struct sl_str){lines.ptr, len}, names[i]) && len >= skip) {
                rows[count++] = (struct sl_http_header){names[i], {lines.ptr + skip, len - skip}};
                break;
            }
        }
        size_t step = SL_MIN(len + 1, lines.len);
        lines = (struct sl_str){lines.ptr + step, lines.len - step};
    }
    return count;
}

static sl_rc sign_sts(struct search *s, const struct role *r, const char *region, struct sl_str url,
                      struct sl_str form, const struct sl_http_header *headers, uint32_t count,
                      struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_buf) hash = SL_BUF_EMPTY;
    uint8_t digest[SL_SHA256_SIZE];
    SL_TRY(sl_sha256(sl_str_bytes(form), digest, err));
    sl_hex_add(&hash, SL_BYTES(digest, sizeof digest));
    SL_TRY(sl_buf_done(&hash, err));
    struct sl_sigv4 sig = {.key_id = sl_buf_str(&r->base->id),
                           .secret = sl_buf_str(&r->base->secret),
                           .token = sl_buf_str(&r->base->token),
                           .region = sl_str_from(region),
                           .service = SL_STR("sts"),
                           .wall_ns = sl_clock_wall_ns(s->s3->store.clock)};
    return sl_sigv4_sign(&sig, "POST", url, headers, count, sl_buf_str(&hash), out, err);
}

static sl_rc sts_refused(const struct role *r, const struct sl_http_reply *reply,
                         const struct sts *t, struct sl_err *err)
{
    const char *hint = "check the role and its trust policy";
    struct sl_str code = sl_buf_str(&t->code);
    if (sl_str_is(code, "AccessDenied")) {
        hint = "let the role's trust policy admit who asks";
    } else if (sl_str_is(code, "ExpiredTokenException") || sl_str_is(code, "ExpiredToken")) {
        hint = "the token that vouches for us has expired";
    } else if (sl_str_is(code, "InvalidIdentityToken") ||
               sl_str_is(code, "InvalidParameterValue")) {
        hint = "the issuer or audience of the token is not what the role's identity provider asks";
    } else if (sl_str_is(code, "SignatureDoesNotMatch") ||
               sl_str_is(code, "InvalidClientTokenId")) {
        hint = "the keys that ask for the role are not accepted";
    }
    return SL_FAIL(err, reply->status >= 500 ? SL_EIO : SL_EACCESS,
                   "%s: STS refuses %s (%d%s%.*s); %s", r->arn_variable, r->action, reply->status,
                   code.len > 0 ? " " : "", (int)SL_MIN(code.len, 80u), code.ptr, hint);
}

static sl_rc sts_answer(struct search *s, const struct role *r, const struct sl_http_reply *reply,
                        struct sli_s3_keys *ret, struct sl_err *err)
{
    struct sts t = {.code = SL_BUF_EMPTY};
    sl_rc rc = sl_xml_read(sl_buf_view(&reply->body), on_sts, &t, err);
    if (rc != SL_ENOMEM && reply->status != 200) {
        rc = sts_refused(r, reply, &t, err);
    } else if (rc == SL_OK) {
        rc = set_keys(s, ret, sl_buf_str(&t.id), sl_buf_str(&t.secret), sl_buf_str(&t.token),
                      sl_buf_str(&t.end), r->source, err);
    } else if (rc != SL_ENOMEM) {
        sl_err_prefix(err, "%s: the answer of STS", r->arn_variable);
        rc = SL_EIO;
    }
    sts_fini(&t);
    return rc;
}

static sl_rc post_sts(struct search *s, const struct role *r, struct sl_str url, struct sl_str form,
                      struct sl_str signature, struct sli_s3_keys *ret, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sl_http_header headers[6] = {
        {"content-type", SL_STR("application/x-www-form-urlencoded; charset=utf-8")}};
    uint32_t count = 1 + split_headers(signature, headers + 1, SL_COUNT_OF(headers) - 1);
    struct sl_http_request req = {.method = "POST",
                                  .url = url,
                                  .headers = headers,
                                  .header_count = count,
                                  .body = sl_str_bytes(form)};
    SL_TRY(ask(s, &req, &reply, r->arn_variable, err));
    sl_rc rc = sts_answer(s, r, &reply, ret, err);
    sl_wipe(reply.body.ptr, reply.body.len);
    return rc;
}

static sl_rc assume(struct search *s, const struct role *r, struct sli_s3_keys *ret,
                    struct sl_err *err)
{
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) form = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) signature = SL_BUF_EMPTY;
    char region[SLI_S3_REGION_SIZE];
    const struct sl_http_header type = {"content-type",
                                        SL_STR("application/x-www-form-urlencoded; charset=utf-8")};
    sli_s3_region(s->s3, region);
    sts_url(s, r, region, &url);
    sl_buf_addf(&form, "Action=%s&Version=2011-06-15&DurationSeconds=" LIFE_S, r->action);
    form_add(&form, "RoleArn", r->arn);
    form_add(&form, "RoleSessionName", r->session);
    form_add(&form, "ExternalId", r->external_id);
    form_add(&form, "WebIdentityToken", r->web_token);
    SL_TRY(sl_buf_done(&url, err));
    SL_TRY(sl_buf_done(&form, err));
    sl_rc rc = SL_OK;
    if (r->base != NULL) {
        rc = sign_sts(s, r, region, sl_buf_str(&url), sl_buf_str(&form), &type, 1, &signature, err);
    }
    if (rc == SL_OK) {
        rc = post_sts(s, r, sl_buf_str(&url), sl_buf_str(&form), sl_buf_str(&signature), ret, err);
    }
    sl_wipe(form.ptr, form.len);
    sl_wipe(signature.ptr, signature.len);
    return rc;
}

static sl_rc assume_by_web(struct search *s, const char *variable, const char *path,
                           struct sl_str arn, struct sl_str session, struct sli_s3_keys *ret,
                           struct sl_err *err)
{
    SL_AUTO(sl_buf) token = SL_BUF_EMPTY;
    SL_TRY(read_token_file(variable, path, &token, err));
    struct role r = {.action = "AssumeRoleWithWebIdentity",
                     .arn_variable = "AWS_ROLE_ARN",
                     .source = "AWS_WEB_IDENTITY_TOKEN_FILE",
                     .arn = arn,
                     .session = session.len > 0 ? session : SL_STR("sluice"),
                     .web_token = sl_str_trim(sl_buf_str(&token)),
                     .endpoint = ""};
    sl_rc rc = assume(s, &r, ret, err);
    sl_wipe(token.ptr, token.len);
    return rc;
}

/* ---- the providers ---- */

static sl_rc find_settings(struct search *s, struct sli_s3_keys *ret, struct sl_err *err)
{
    const struct sl_config *c = s->config;
    const char *id = one_of(c->aws_key_id, c->aws_key_id_old);
    const char *secret = one_of(c->aws_secret, c->aws_secret_old);
    if (id[0] == '\0' && secret[0] == '\0') {
        return SL_ENOTFOUND;
    }
    if (id[0] == '\0' || secret[0] == '\0') {
        return SL_FAIL(err, SL_EINVAL, "%s is set and %s is not: set both or neither",
                       id[0] == '\0' ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID",
                       id[0] == '\0' ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY");
    }
    return set_keys(s, ret, sl_str_from(id), sl_str_from(secret), sl_str_from(c->aws_token),
                    SL_STR(""), "AWS_ACCESS_KEY_ID", err);
}

static sl_rc find_web_identity(struct search *s, struct sli_s3_keys *ret, struct sl_err *err)
{
    const struct sl_config *c = s->config;
    if (c->aws_identity_file[0] == '\0') {
        return SL_ENOTFOUND;
    }
    if (c->aws_role[0] == '\0') {
        return SL_FAIL(err, SL_EINVAL,
                       "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not: set the role "
                       "that the token is for");
    }
    return assume_by_web(s, "AWS_WEB_IDENTITY_TOKEN_FILE", c->aws_identity_file,
                         sl_str_from(c->aws_role), sl_str_from(c->aws_role_session), ret, err);
}

static sl_rc find_container(struct search *s, struct sli_s3_keys *ret, struct sl_err *err);
static sl_rc find_metadata(struct search *s, struct sli_s3_keys *ret, struct sl_err *err);

static sl_rc find_named_source(struct search *s, struct sl_str source, struct sli_s3_keys *ret,
                               struct sl_err *err)
{
    static const struct sli_s3_provider sources[] = {{"Environment", find_settings},
                                                     {"EcsContainer", find_container},
                                                     {"Ec2InstanceMetadata", find_metadata}};
    for (size_t i = 0; i < SL_COUNT_OF(sources); i++) {
        if (sl_str_is(source, sources[i].name)) {
            sl_rc rc = sources[i].find(s, ret, err);
            return rc == SL_ENOTFOUND
                       ? SL_FAIL(err, SL_EINVAL, "credential_source %s: no keys are there",
                                 sources[i].name)
                       : rc;
        }
    }
    return SL_FAIL(err, SL_EINVAL,
                   "credential_source \"%.*s\": Environment, EcsContainer or Ec2InstanceMetadata "
                   "is allowed",
                   (int)SL_MIN(source.len, 40u), source.ptr);
}

static sl_rc find_in_profile(struct search *s, struct sl_str name, uint32_t depth,
                             struct sli_s3_keys *ret, struct sl_err *err);

/* Keys of the role that profile p is. */
static sl_rc assume_of_profile(struct search *s, const struct sli_s3_profile *p, uint32_t depth,
                               struct sli_s3_keys *ret, struct sl_err *err)
{
    if (p->web_identity_file.len > 0) {
        SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
        sl_buf_add(&path, sl_buf_view(&p->web_identity_file));
        const char *at = sl_buf_cstr(&path);
        SL_TRY(sl_buf_done(&path, err));
        return assume_by_web(s, "web_identity_token_file", at, sl_buf_str(&p->role_arn),
                             sl_buf_str(&p->session_name), ret, err);
    }
    struct sli_s3_keys base = {.no = 0};
    sl_rc rc;
    if (p->source_profile.len > 0) {
        rc = find_in_profile(s, sl_buf_str(&p->source_profile), depth + 1, &base, err);
    } else if (p->credential_source.len > 0) {
        rc = find_named_source(s, sl_buf_str(&p->credential_source), &base, err);
    } else {
        rc = SL_FAIL(err, SL_EINVAL,
                     "role_arn needs source_profile, credential_source or web_identity_token_file");
    }
    if (rc == SL_OK) {
        struct role r = {.action = "AssumeRole",
                         .arn_variable = "role_arn",
                         .source = "AWS_PROFILE",
                         .arn = sl_buf_str(&p->role_arn),
                         .session = p->session_name.len > 0 ? sl_buf_str(&p->session_name)
                                                            : SL_STR("sluice"),
                         .external_id = sl_buf_str(&p->external_id),
                         .base = &base,
                         .endpoint = ""};
        rc = assume(s, &r, ret, err);
    }
    sli_s3_keys_fini(&base);
    return rc;
}

static sl_rc keys_of_profile(struct search *s, const struct sli_s3_profile *p, struct sl_str name,
                             uint32_t depth, struct sli_s3_keys *ret, struct sl_err *err)
{
    bool has_keys = p->id.len > 0 && p->secret.len > 0;
    /* A role that names its own profile as the source has its keys beside it. */
    bool is_own_source = has_keys && sl_str_eq(sl_buf_str(&p->source_profile), name) && depth > 0;
    if (p->role_arn.len > 0 && !is_own_source) {
        return assume_of_profile(s, p, depth, ret, err);
    }
    if (has_keys) {
        return set_keys(s, ret, sl_buf_str(&p->id), sl_buf_str(&p->secret), sl_buf_str(&p->token),
                        SL_STR(""), "AWS_PROFILE", err);
    }
    if (p->foreign.len > 0) {
        return SL_FAIL(err, SL_EUNSUPPORTED,
                       "%.*s is not read by this program; export the keys into AWS_ACCESS_KEY_ID, "
                       "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
                       SL_STR_ARG(sl_buf_str(&p->foreign)));
    }
    return SL_ENOTFOUND;
}

static sl_rc find_in_profile(struct search *s, struct sl_str name, uint32_t depth,
                             struct sli_s3_keys *ret, struct sl_err *err)
{
    bool is_asked = s->config->aws_profile[0] != '\0' || depth > 0;
    struct sli_s3_profile p = {.is_found = false};
    sl_rc rc = depth >= PROFILE_DEPTH ? SL_FAIL(err, SL_EINVAL, "source_profile leads on and on")
                                      : sli_s3_profile_load(s->config, name, &p, err);
    if (rc == SL_OK) {
        rc = keys_of_profile(s, &p, name, depth, ret, err);
        if (rc == SL_ENOTFOUND && is_asked) {
            rc = SL_FAIL(err, SL_EINVAL, "%s in the credentials and config files",
                         p.is_found ? "there are no keys" : "it is not");
        }
        if (rc != SL_OK && rc != SL_ENOTFOUND) {
            sl_err_prefix(err, "profile %.*s", SL_STR_ARG(name));
        }
    }
    sli_s3_profile_fini(&p);
    return rc;
}

static sl_rc find_profile(struct search *s, struct sli_s3_keys *ret, struct sl_err *err)
{
    return find_in_profile(s, sli_s3_profile_name(s->config), 0, ret, err);
}

/* ---- JSON of containers and instances ---- */

static struct sl_str text_of(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    return json_is_string(v) ? (struct sl_str){json_string_value(v), json_string_length(v)}
                             : (struct sl_str){NULL, 0};
}

static sl_rc keys_from_json(const struct search *s, struct sl_str text, const char *source,
                            struct sli_s3_keys *ret, struct sl_err *err)
{
    json_error_t why;
    json_t *root = sl_json_depth(sl_str_bytes(text)) <= JSON_DEPTH
                       ? json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &why)
                       : NULL;
    if (!json_is_object(root)) {
        json_decref(root);
        return SL_FAIL(err, SL_EIO, "%s: the answer is no JSON object", source);
    }
    sl_rc rc = set_keys(s, ret, text_of(root, "AccessKeyId"), text_of(root, "SecretAccessKey"),
                        text_of(root, "Token"), text_of(root, "Expiration"), source, err);
    json_decref(root);
    return rc;
}

/* GET of keys as JSON. */
static sl_rc get_keys(struct search *s, struct sl_str url, const struct sl_http_header *headers,
                      uint32_t count, const char *source, struct sli_s3_keys *ret,
                      struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sl_http_request req = {.method = "GET",
                                  .url = url,
                                  .headers = headers,
                                  .header_count = count,
                                  .timeout_ns = LOCAL_NS,
                                  .is_direct = true};
    SL_TRY(ask(s, &req, &reply, source, err));
    if (reply.status != 200) {
        return SL_FAIL(err, SL_EACCESS, "%s: the service that gives keys answers %d", source,
                       reply.status);
    }
    sl_rc rc = keys_from_json(s, sl_buf_str(&reply.body), source, ret, err);
    sl_wipe(reply.body.ptr, reply.body.len);
    return rc;
}

bool sli_s3_is_container_url(struct sl_str url)
{
    static const char *const hosts[] = {"http://127.0.0.1",      "http://localhost",
                                        "http://[::1]",          "http://169.254.170.2",
                                        "http://169.254.170.23", "http://[fd00:ec2::23]"};
    if (sl_str_starts(url, "https://")) {
        return true;
    }
    for (size_t i = 0; i < SL_COUNT_OF(hosts); i++) {
        size_t len = strlen(hosts[i]);
        if (sl_str_starts(url, hosts[i]) &&
            (url.len == len || url.ptr[len] == ':' || url.ptr[len] == '/')) {
            return true;
        }
    }
    return false;
}

static sl_rc find_container(struct search *s, struct sli_s3_keys *ret, struct sl_err *err)
{
    const struct sl_config *c = s->config;
    const char *source = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) token = SL_BUF_EMPTY;
    if (c->aws_container_path[0] != '\0') {
        sl_buf_addf(&url, "http://169.254.170.2%s", c->aws_container_path);
    } else if (c->aws_container_url[0] != '\0') {
        source = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
        sl_buf_add_text(&url, c->aws_container_url);
        if (!sli_s3_is_container_url(sl_buf_str(&url))) {
            return SL_FAIL(err, SL_EINVAL,
                           "%s: https is needed, or http to this machine or the addresses of ECS "
                           "and EKS",
                           source);
        }
    } else {
        return SL_ENOTFOUND;
    }
    SL_TRY(sl_buf_done(&url, err));
    if (c->aws_container_token_file[0] != '\0') {
        SL_TRY(read_token_file("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                               c->aws_container_token_file, &token, err));
    } else {
        sl_buf_add_text(&token, c->aws_container_token);
    }
    const struct sl_http_header auth = {"Authorization", sl_str_trim(sl_buf_str(&token))};
    sl_rc rc = get_keys(s, sl_buf_str(&url), &auth, auth.value.len > 0 ? 1 : 0, source, ret, err);
    sl_wipe(token.ptr, token.len);
    return rc;
}

/* ---- instance metadata, version 2 ---- */

#define METADATA_ROLES "/latest/meta-data/iam/security-credentials/"

static sl_rc ask_metadata(struct search *s, const char *method, const char *path,
                          struct sl_str role, const struct sl_http_header *header,
                          struct sl_http_reply *reply, struct sl_err *err)
{
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    struct sl_str base = sl_str_from(s->config->aws_metadata_url);
    base.len -= sl_str_ends(base, "/");
    sl_buf_addf(&url, "%.*s%s%.*s", SL_STR_ARG(base), path, SL_STR_ARG(role));
    SL_TRY(sl_buf_done(&url, err));
    struct sl_http_request req = {.method = method,
                                  .url = sl_buf_str(&url),
                                  .headers = header,
                                  .header_count = 1,
                                  .timeout_ns = LOCAL_NS,
                                  .is_direct = true};
    return ask(s, &req, reply, "instance metadata", err);
}

/* The role's name becomes part of an address. */
static bool is_role_name(struct sl_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_plain && (c == '\0' || strchr("+=,.@-_", c) == NULL)) {
            return false;
        }
    }
    return name.len > 0 && name.len <= 64;
}

static sl_rc find_metadata_with(struct search *s, struct sl_str session, struct sli_s3_keys *ret,
                                struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply role = {0};
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply keys = {0};
    const struct sl_http_header header = {"x-aws-ec2-metadata-token", session};
    SL_TRY(ask_metadata(s, "GET", METADATA_ROLES, SL_STR(""), &header, &role, err));
    struct sl_str name = sl_str_trim(sl_buf_str(&role.body));
    if (role.status == 404 || (role.status == 200 && name.len == 0)) {
        return SL_ENOTFOUND; /* the instance has no role */
    }
    if (role.status != 200 || !is_role_name(name)) {
        return SL_FAIL(err, SL_EIO, "instance metadata: the role cannot be read (%d)", role.status);
    }
    SL_TRY(ask_metadata(s, "GET", METADATA_ROLES, name, &header, &keys, err));
    if (keys.status != 200) {
        return SL_FAIL(err, SL_EIO, "instance metadata: role %.*s has no keys (%d)",
                       SL_STR_ARG(name), keys.status);
    }
    sl_rc rc = keys_from_json(s, sl_buf_str(&keys.body), "instance metadata", ret, err);
    sl_wipe(keys.body.ptr, keys.body.len);
    return rc;
}

static sl_rc find_metadata(struct search *s, struct sli_s3_keys *ret, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply session = {0};
    const struct sl_http_header ttl = {"x-aws-ec2-metadata-token-ttl-seconds", SL_STR("21600")};
    if (s->config->is_aws_metadata_off) {
        return SL_ENOTFOUND;
    }
    sl_rc rc = ask_metadata(s, "PUT", "/latest/api/token", SL_STR(""), &ttl, &session, err);
    bool is_known = s->s3->found != NULL; /* it answered before: an outage, not another machine */
    if (rc == SL_EIO || rc == SL_ETIMEOUT) {
        return is_known ? rc : SL_ENOTFOUND;
    }
    SL_TRY(rc);
    if (session.status != 200) {
        return is_known ? SL_FAIL(err, SL_EIO, "instance metadata: no session (%d)", session.status)
                        : SL_ENOTFOUND;
    }
    return find_metadata_with(s, sl_str_trim(sl_buf_str(&session.body)), ret, err);
}

/* ---- the chain ---- */

static const struct sli_s3_provider chain[] = {
    {"settings", find_settings},   {"web identity", find_web_identity},  {"profile", find_profile},
    {"container", find_container}, {"instance metadata", find_metadata},
};

static sl_rc nothing_found(const struct search *s, struct sl_err *err)
{
    SL_AUTO(sl_buf) files = SL_BUF_EMPTY;
    const struct sl_config *c = s->config;
    sl_buf_add_text(&files, one_of(c->aws_credentials_file, "~/.aws/credentials"));
    sl_buf_addf(&files, " and %s", one_of(c->aws_config_file, "~/.aws/config"));
    const char *text = sl_buf_cstr(&files);
    SL_TRY(sl_buf_done(&files, err));
    return SL_FAIL(err, SL_EACCESS,
                   "no credentials found: AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE and "
                   "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI are not set, %s have no keys of profile "
                   "%.*s, and %s; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or one of these",
                   text, SL_STR_ARG(sli_s3_profile_name(c)),
                   c->is_aws_metadata_off ? "AWS_EC2_METADATA_DISABLED forbids to ask the instance"
                                          : "no instance metadata answers");
}

static sl_rc find_base(struct search *s, struct sli_s3_keys *ret, struct sl_err *err)
{
    if (s->s3->found != NULL) {
        sl_rc rc = s->s3->found->find(s, ret, err);
        return rc == SL_ENOTFOUND ? SL_FAIL(err, SL_EACCESS, "the credentials of the %s are gone",
                                            s->s3->found->name)
                                  : rc;
    }
    for (size_t i = 0; i < SL_COUNT_OF(chain); i++) {
        sl_rc rc = chain[i].find(s, ret, err);
        if (rc == SL_OK) {
            s->s3->found = &chain[i];
        }
        if (rc != SL_ENOTFOUND) {
            return rc;
        }
    }
    s->may_pass = false; /* that no metadata answers is usual outside of the cloud */
    return nothing_found(s, err);
}

/* The region of the profile, when no setting says one. */
static sl_rc find_region(struct search *s, struct sl_err *err)
{
    struct sli_s3_profile p = {.is_found = false};
    if (one_of(s->config->aws_region, s->config->aws_default_region)[0] != '\0' ||
        s->s3->found != NULL) {
        return SL_OK;
    }
    sl_rc rc = sli_s3_profile_load(s->config, sli_s3_profile_name(s->config), &p, err);
    if (rc == SL_OK && sli_s3_is_region(sl_buf_str(&p.region))) {
        sli_s3_region_set(s->s3, sl_buf_str(&p.region));
    }
    sli_s3_profile_fini(&p);
    return rc;
}

sl_rc sli_s3_keys_find(struct sli_s3 *s3, struct sl_cancel *cancel, struct sli_s3_keys *ret,
                       bool *ret_again, struct sl_err *err)
{
    const struct sl_config *c = s3->store.config;
    struct search s = {.s3 = s3, .config = c, .cancel = cancel};
    struct sli_s3_keys base = {.no = 0};
    bool has_role = c->s3_role[0] != '\0';
    sl_rc rc = find_region(&s, err);
    if (rc == SL_OK) {
        rc = find_base(&s, has_role ? &base : ret, err);
    }
    if (rc == SL_OK && has_role) {
        struct role r = {.action = "AssumeRole",
                         .arn_variable = "EXPORT_S3_ROLE_ARN",
                         .source = "EXPORT_S3_ROLE_ARN",
                         .arn = sl_str_from(c->s3_role),
                         .session = sl_str_from(c->s3_role_session),
                         .external_id = sl_str_from(c->s3_external_id),
                         .base = &base,
                         .endpoint = c->s3_sts_url};
        rc = assume(&s, &r, ret, err);
    }
    sli_s3_keys_fini(&base);
    *ret_again = rc != SL_OK && s.may_pass;
    return rc;
}
