/* Where keys come from: the settings, a web identity, profiles, the container's service, the
 * machine's; and the role that EXPORT_S3_ROLE_ARN puts on top of them.
 *
 * The first that is configured wins; one that is configured and fails ends the search, since keys
 * of another place would write under another name. Once found, the place stays: when the machine's
 * service does not answer an hour later, that is an outage and not a lack of keys. Called by
 * access.c, one thread at a time. Sources: "Standardized credential providers" of the AWS SDKs
 * reference guide; "Instance Metadata Service Version 2"; the STS API reference. */
#include "backend/s3/keys_int.h"

#include "base/crypto.h"

#define LOCAL_NS INT64_C(2000000000) /* answers on the link come at once or never */

/* SL_ENOTFOUND: not configured here, ask the next. */
typedef sl_rc find_fn(struct sli_s3_search *s, struct sli_s3_keys *ret, struct sl_err *err);
struct sli_s3_provider {
    const char *name;
    find_fn *find;
};

/* ---- the providers ---- */

static sl_rc find_settings(struct sli_s3_search *s, struct sli_s3_keys *ret, struct sl_err *err)
{
    const struct sl_config *c = s->config;
    const char *id = sli_s3_one_of(c->aws_key_id, c->aws_key_id_old);
    const char *secret = sli_s3_one_of(c->aws_secret, c->aws_secret_old);
    if (id[0] == '\0' && secret[0] == '\0') {
        return SL_ENOTFOUND;
    }
    if (id[0] == '\0' || secret[0] == '\0') {
        return SL_FAIL(err, SL_EINVAL, "%s is set and %s is not: set both or neither",
                       id[0] == '\0' ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID",
                       id[0] == '\0' ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY");
    }
    return sli_s3_keys_set(s, ret, sl_str_from(id), sl_str_from(secret), sl_str_from(c->aws_token),
                           SL_STR(""), "AWS_ACCESS_KEY_ID", err);
}

static sl_rc find_web_identity(struct sli_s3_search *s, struct sli_s3_keys *ret, struct sl_err *err)
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
    return sli_s3_assume_by_web(s, "AWS_WEB_IDENTITY_TOKEN_FILE", c->aws_identity_file,
                                sl_str_from(c->aws_role), sl_str_from(c->aws_role_session), ret,
                                err);
}

static sl_rc find_container(struct sli_s3_search *s, struct sli_s3_keys *ret, struct sl_err *err);
static sl_rc find_metadata(struct sli_s3_search *s, struct sli_s3_keys *ret, struct sl_err *err);

sl_rc sli_s3_keys_named(struct sli_s3_search *s, struct sl_str source, struct sli_s3_keys *ret,
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

static sl_rc find_profile(struct sli_s3_search *s, struct sli_s3_keys *ret, struct sl_err *err)
{
    return sli_s3_profile_keys(s, sli_s3_profile_name(s->config), ret, err);
}

/* GET of keys as JSON. */
static sl_rc get_keys(struct sli_s3_search *s, struct sl_str url,
                      const struct sl_http_header *headers, uint32_t count, const char *source,
                      struct sli_s3_keys *ret, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sl_http_request req = {.method = "GET",
                                  .url = url,
                                  .headers = headers,
                                  .header_count = count,
                                  .timeout_ns = LOCAL_NS,
                                  .is_direct = true};
    SL_TRY(sli_s3_keys_ask(s, &req, &reply, source, err));
    if (reply.status != 200) {
        return SL_FAIL(err, SL_EACCESS, "%s: the service that gives keys answers %d", source,
                       reply.status);
    }
    sl_rc rc = sli_s3_keys_json(s, sl_buf_str(&reply.body), source, ret, err);
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

static sl_rc find_container(struct sli_s3_search *s, struct sli_s3_keys *ret, struct sl_err *err)
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
        SL_TRY(sli_s3_token_read("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
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

static sl_rc ask_metadata(struct sli_s3_search *s, const char *method, const char *path,
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
    return sli_s3_keys_ask(s, &req, reply, "instance metadata", err);
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

static sl_rc find_metadata_with(struct sli_s3_search *s, struct sl_str session,
                                struct sli_s3_keys *ret, struct sl_err *err)
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
    sl_rc rc = sli_s3_keys_json(s, sl_buf_str(&keys.body), "instance metadata", ret, err);
    sl_wipe(keys.body.ptr, keys.body.len);
    return rc;
}

static sl_rc find_metadata(struct sli_s3_search *s, struct sli_s3_keys *ret, struct sl_err *err)
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

static sl_rc nothing_found(const struct sli_s3_search *s, struct sl_err *err)
{
    SL_AUTO(sl_buf) files = SL_BUF_EMPTY;
    const struct sl_config *c = s->config;
    sl_buf_add_text(&files, sli_s3_one_of(c->aws_credentials_file, "~/.aws/credentials"));
    sl_buf_addf(&files, " and %s", sli_s3_one_of(c->aws_config_file, "~/.aws/config"));
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

static sl_rc find_base(struct sli_s3_search *s, struct sli_s3_keys *ret, struct sl_err *err)
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
static sl_rc find_region(struct sli_s3_search *s, struct sl_err *err)
{
    struct sli_s3_profile p = {.is_found = false};
    if (sli_s3_one_of(s->config->aws_region, s->config->aws_default_region)[0] != '\0' ||
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
    struct sli_s3_search s = {.s3 = s3, .config = c, .cancel = cancel};
    struct sli_s3_keys base = {.no = 0};
    bool has_role = c->s3_role[0] != '\0';
    sl_rc rc = find_region(&s, err);
    if (rc == SL_OK) {
        rc = find_base(&s, has_role ? &base : ret, err);
    }
    if (rc == SL_OK && has_role) {
        struct sli_s3_role r = {.action = "AssumeRole",
                                .arn_variable = "EXPORT_S3_ROLE_ARN",
                                .source = "EXPORT_S3_ROLE_ARN",
                                .arn = sl_str_from(c->s3_role),
                                .session = sl_str_from(c->s3_role_session),
                                .external_id = sl_str_from(c->s3_external_id),
                                .base = &base,
                                .endpoint = c->s3_sts_url};
        rc = sli_s3_assume(&s, &r, ret, err);
    }
    sli_s3_keys_fini(&base);
    *ret_again = rc != SL_OK && s.may_pass;
    return rc;
}
