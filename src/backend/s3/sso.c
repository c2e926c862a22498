/* Keys of a role for a login at an SSO portal (IAM Identity Center), which `aws sso login` left in
 * the tools' cache. Source: "IAM Identity Center credential provider" of the AWS SDKs reference
 * guide; GetRoleCredentials of the portal's API reference.
 *
 * The login itself is not renewed here: that needs a person, or would have to write into a cache
 * that is the tools'. */
#include "backend/s3/keys_int.h"

#include "base/crypto.h"
#include "base/file.h"
#include "base/path.h"

#define SOURCE     "SSO"
#define CACHE_MAX  (256u * 1024) /* a token and the registration of the tool that asked for it */
#define LOGIN_HINT "run aws sso login --profile %.*s"

/* What the profile, or the session that it names, says. */
struct login {
    struct sl_str profile;
    struct sl_str cache_name; /* before it is hashed: of the session, else the start URL */
    struct sl_str region, account, role;
};

static sl_rc check_login(const struct login *l, struct sl_err *err)
{
    struct {
        const char *name;
        struct sl_str text;
    } const rows[] = {
        {"sso_region", l->region}, {"sso_account_id", l->account}, {"sso_role_name", l->role}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        if (rows[i].text.len == 0) {
            return SL_FAIL(err, SL_EINVAL, SOURCE ": %s is missing in the config file",
                           rows[i].name);
        }
    }
    return sli_s3_is_region(l->region)
               ? SL_OK
               : SL_FAIL(err, SL_EINVAL, SOURCE ": sso_region is no name of a region");
}

/* ---- the cache ---- */

static sl_rc cache_path(const struct sli_s3_search *s, const struct login *l, struct sl_buf *out,
                        struct sl_err *err)
{
    uint8_t digest[SL_SHA1_SIZE];
    if (s->config->home[0] == '\0') {
        return SL_FAIL(err, SL_EINVAL, SOURCE ": HOME is not set, so the login cannot be found");
    }
    SL_TRY(sl_sha1(sl_str_bytes(l->cache_name), digest, err));
    sl_path_join(out, sl_str_from(s->config->home), SL_STR(".aws/sso/cache/"));
    sl_hex_add(out, SL_BYTES(digest, sizeof digest));
    sl_buf_add_text(out, ".json");
    (void)sl_buf_cstr(out);
    return sl_buf_done(out, err);
}

/* Older tools write "UTC" for "Z". */
static bool parse_end(struct sl_str text, int64_t *ret)
{
    char z[40];
    if (sl_str_ends(text, "UTC") && text.len < sizeof z) {
        memcpy(z, text.ptr, text.len);
        z[text.len - 3] = 'Z';
        text = (struct sl_str){z, text.len - 2};
    }
    return sl_time_parse(text, ret);
}

static sl_rc read_token(const struct sli_s3_search *s, const struct login *l, const char *path,
                        const json_t *root, struct sl_buf *out, struct sl_err *err)
{
    struct sl_str token = sli_s3_json_text(root, "accessToken");
    int64_t end_ns = 0;
    if (token.len == 0 || !parse_end(sli_s3_json_text(root, "expiresAt"), &end_ns)) {
        return SL_FAIL(err, SL_EACCESS, SOURCE ": %s holds no login; " LOGIN_HINT, path,
                       SL_STR_ARG(l->profile));
    }
    if (end_ns <= sl_clock_wall_ns(s->s3->store.clock)) {
        return SL_FAIL(err, SL_EACCESS, SOURCE ": the login has expired; " LOGIN_HINT,
                       SL_STR_ARG(l->profile));
    }
    sl_buf_add_str(out, token);
    return sl_buf_done(out, err);
}

static sl_rc find_token(const struct sli_s3_search *s, const struct login *l, struct sl_buf *out,
                        struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    json_t *root = NULL;
    SL_TRY(cache_path(s, l, &path, err));
    const char *at = (const char *)path.ptr;
    sl_rc rc = sl_file_read_all(at, CACHE_MAX, &text, err);
    if (rc == SL_ENOTFOUND) {
        return SL_FAIL(err, SL_EACCESS, SOURCE ": nobody has logged in (no %s); " LOGIN_HINT, at,
                       SL_STR_ARG(l->profile));
    }
    if (rc == SL_OK) {
        rc = sli_s3_json_read(sl_buf_str(&text), at, &root, err);
    }
    if (rc == SL_OK) {
        rc = read_token(s, l, at, root, out, err);
        sli_json_free(root);
    }
    sl_wipe(text.ptr, text.len);
    return rc;
}

/* ---- the portal ---- */

static sl_rc portal_url(const struct sli_s3_search *s, const struct login *l, struct sl_buf *out,
                        struct sl_err *err)
{
    struct sl_str base = sl_str_from(s->config->aws_sso_url);
    if (base.len > 0) {
        base.len -= sl_str_ends(base, "/");
        sl_buf_add_str(out, base);
    } else {
        sl_buf_addf(out, "https://portal.sso.%.*s.amazonaws.com%s", SL_STR_ARG(l->region),
                    sl_str_starts(l->region, "cn-") ? ".cn" : "");
    }
    sl_buf_add_text(out, "/federation/credentials?role_name=");
    sl_percent_encode(l->role, out);
    sl_buf_add_text(out, "&account_id=");
    sl_percent_encode(l->account, out);
    return sl_buf_done(out, err);
}

static sl_rc read_answer(const struct sli_s3_search *s, struct sl_str text, struct sli_s3_keys *ret,
                         struct sl_err *err)
{
    SL_AUTO(sl_buf) end = SL_BUF_EMPTY;
    json_t *root = NULL;
    SL_TRY(sli_s3_json_read(text, SOURCE, &root, err));
    const json_t *keys = json_object_get(root, "roleCredentials");
    json_int_t end_ms = json_integer_value(json_object_get(keys, "expiration"));
    sl_rc rc = SL_OK;
    if (end_ms <= 0 || end_ms > INT64_MAX / 1000000) {
        rc = SL_FAIL(err, SL_EIO, SOURCE ": the answer does not say when the keys expire");
    } else {
        sl_time_add_ms(&end, end_ms * 1000000);
        rc = sl_buf_done(&end, err);
    }
    if (rc == SL_OK) {
        rc = sli_s3_keys_set(s, ret, sli_s3_json_text(keys, "accessKeyId"),
                             sli_s3_json_text(keys, "secretAccessKey"),
                             sli_s3_json_text(keys, "sessionToken"), sl_buf_str(&end), SOURCE, err);
    }
    sli_json_free(root);
    return rc;
}

static sl_rc judge(const struct login *l, int status, struct sl_err *err)
{
    if (status == 200) {
        return SL_OK;
    }
    if (status == 401) {
        return SL_FAIL(err, SL_EACCESS,
                       SOURCE ": the portal does not take the login any more; " LOGIN_HINT,
                       SL_STR_ARG(l->profile));
    }
    return SL_FAIL(err, status >= 500 || status == 429 ? SL_EIO : SL_EACCESS,
                   SOURCE ": the portal gives no keys of role %.*s in account %.*s (%d); is the "
                          "role assigned to who logged in?",
                   SL_STR_ARG(l->role), SL_STR_ARG(l->account), status);
}

static sl_rc get_keys(struct sli_s3_search *s, const struct login *l, struct sl_str token,
                      struct sli_s3_keys *ret, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    SL_TRY(portal_url(s, l, &url, err));
    const struct sl_http_header header = {"x-amz-sso_bearer_token", token};
    struct sl_http_request req = {
        .method = "GET", .url = sl_buf_str(&url), .headers = &header, .header_count = 1};
    SL_TRY(sli_s3_keys_ask(s, &req, &reply, SOURCE, err));
    sl_rc rc = judge(l, reply.status, err);
    if (rc == SL_OK) {
        rc = read_answer(s, sl_buf_str(&reply.body), ret, err);
    }
    sl_wipe(reply.body.ptr, reply.body.len);
    return rc;
}

static sl_rc keys_of_login(struct sli_s3_search *s, const struct login *l, struct sli_s3_keys *ret,
                           struct sl_err *err)
{
    SL_AUTO(sl_buf) token = SL_BUF_EMPTY;
    SL_TRY(check_login(l, err));
    sl_rc rc = find_token(s, l, &token, err);
    if (rc == SL_OK) {
        rc = get_keys(s, l, sl_buf_str(&token), ret, err);
    }
    sl_wipe(token.ptr, token.len);
    return rc;
}

sl_rc sli_s3_sso_keys(struct sli_s3_search *s, const struct sli_s3_profile *p, struct sl_str name,
                      struct sli_s3_keys *ret, struct sl_err *err)
{
    struct login l = {.profile = name,
                      .cache_name = sl_buf_str(&p->sso_start_url),
                      .region = sl_buf_str(&p->sso_region),
                      .account = sl_buf_str(&p->sso_account),
                      .role = sl_buf_str(&p->sso_role)};
    if (p->sso_session.len == 0) {
        return keys_of_login(s, &l, ret, err);
    }
    struct sli_s3_profile session = {.is_found = false};
    l.cache_name = sl_buf_str(&p->sso_session);
    sl_rc rc = sli_s3_session_load(s->config, l.cache_name, &session, err);
    if (rc == SL_OK && !session.is_found) {
        rc = SL_FAIL(err, SL_EINVAL, SOURCE ": the config file has no section [sso-session %.*s]",
                     SL_STR_ARG(l.cache_name));
    }
    if (rc == SL_OK) {
        l.region = sl_buf_str(&session.sso_region);
        rc = keys_of_login(s, &l, ret, err);
    }
    sli_s3_profile_fini(&session);
    return rc;
}
