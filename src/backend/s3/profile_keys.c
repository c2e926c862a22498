/* Keys of a profile of the AWS tools: its own, or those of the role that it is. */
#include "backend/s3/keys_int.h"

#define PROFILE_DEPTH 4 /* of source_profile: a loop ends here */

static sl_rc find_in_profile(struct sli_s3_search *s, struct sl_str name, uint32_t depth,
                             struct sli_s3_keys *ret, struct sl_err *err);

/* Keys of the role that profile p is. */
static sl_rc assume_of_profile(struct sli_s3_search *s, const struct sli_s3_profile *p,
                               uint32_t depth, struct sli_s3_keys *ret, struct sl_err *err)
{
    if (p->web_identity_file.len > 0) {
        SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
        sl_buf_add(&path, sl_buf_view(&p->web_identity_file));
        const char *at = sl_buf_cstr(&path);
        SL_TRY(sl_buf_done(&path, err));
        return sli_s3_assume_by_web(s, "web_identity_token_file", at, sl_buf_str(&p->role_arn),
                                    sl_buf_str(&p->session_name), ret, err);
    }
    struct sli_s3_keys base = {.no = 0};
    sl_rc rc;
    if (p->source_profile.len > 0) {
        rc = find_in_profile(s, sl_buf_str(&p->source_profile), depth + 1, &base, err);
    } else if (p->credential_source.len > 0) {
        rc = sli_s3_keys_named(s, sl_buf_str(&p->credential_source), &base, err);
    } else {
        rc = SL_FAIL(err, SL_EINVAL,
                     "role_arn needs source_profile, credential_source or web_identity_token_file");
    }
    if (rc == SL_OK) {
        struct sli_s3_role r = {.action = "AssumeRole",
                                .arn_variable = "role_arn",
                                .source = "AWS_PROFILE",
                                .arn = sl_buf_str(&p->role_arn),
                                .session = p->session_name.len > 0 ? sl_buf_str(&p->session_name)
                                                                   : SL_STR("sluice"),
                                .external_id = sl_buf_str(&p->external_id),
                                .base = &base,
                                .endpoint = ""};
        rc = sli_s3_assume(s, &r, ret, err);
    }
    sli_s3_keys_fini(&base);
    return rc;
}

static sl_rc keys_of_profile(struct sli_s3_search *s, const struct sli_s3_profile *p,
                             struct sl_str name, uint32_t depth, struct sli_s3_keys *ret,
                             struct sl_err *err)
{
    bool has_keys = p->id.len > 0 && p->secret.len > 0;
    /* A role that names its own profile as the source has its keys beside it. */
    bool is_own_source = has_keys && sl_str_eq(sl_buf_str(&p->source_profile), name) && depth > 0;
    if (p->role_arn.len > 0 && !is_own_source) {
        return assume_of_profile(s, p, depth, ret, err);
    }
    if (has_keys) {
        return sli_s3_keys_set(s, ret, sl_buf_str(&p->id), sl_buf_str(&p->secret),
                               sl_buf_str(&p->token), SL_STR(""), "AWS_PROFILE", err);
    }
    if (p->sso_session.len > 0 || p->sso_start_url.len > 0) {
        return sli_s3_sso_keys(s, p, name, ret, err);
    }
    if (p->process.len > 0) {
        return sli_s3_command_keys(s, sl_buf_str(&p->process), ret, err);
    }
    return SL_ENOTFOUND;
}

static sl_rc find_in_profile(struct sli_s3_search *s, struct sl_str name, uint32_t depth,
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

sl_rc sli_s3_profile_keys(struct sli_s3_search *s, struct sl_str name, struct sli_s3_keys *ret,
                          struct sl_err *err)
{
    return find_in_profile(s, name, 0, ret, err);
}
