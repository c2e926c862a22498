/* Profiles of the AWS tools: two INI files, ~/.aws/credentials and ~/.aws/config.
 *
 * Strict: a line that is no section, setting, comment or continuation is an error, since a key cut
 * off by a typing error would show as a wrong signature much later. Sections are "[name]", in the
 * config file "[profile name]", "[default]" and "[sso-session name]". Indented lines continue the
 * setting before them ("s3 =" has its own settings so) and hold nothing for us. Source: "Shared
 * config and credentials files" of the AWS SDKs reference guide. */
#include "backend/s3/s3_int.h"

#include "base/crypto.h"
#include "base/file.h"
#include "base/path.h"

#define FILE_MAX (1024u * 1024)

/* Every setting that counts, and where its text goes. */
static const struct {
    const char *name;
    size_t at;
} settings[] = {
    {"aws_access_key_id", offsetof(struct sli_s3_profile, id)},
    {"aws_secret_access_key", offsetof(struct sli_s3_profile, secret)},
    {"aws_session_token", offsetof(struct sli_s3_profile, token)},
    {"region", offsetof(struct sli_s3_profile, region)},
    {"role_arn", offsetof(struct sli_s3_profile, role_arn)},
    {"source_profile", offsetof(struct sli_s3_profile, source_profile)},
    {"credential_source", offsetof(struct sli_s3_profile, credential_source)},
    {"external_id", offsetof(struct sli_s3_profile, external_id)},
    {"role_session_name", offsetof(struct sli_s3_profile, session_name)},
    {"web_identity_token_file", offsetof(struct sli_s3_profile, web_identity_file)},
    {"credential_process", offsetof(struct sli_s3_profile, process)},
    {"sso_session", offsetof(struct sli_s3_profile, sso_session)},
    {"sso_start_url", offsetof(struct sli_s3_profile, sso_start_url)},
    {"sso_region", offsetof(struct sli_s3_profile, sso_region)},
    {"sso_account_id", offsetof(struct sli_s3_profile, sso_account)},
    {"sso_role_name", offsetof(struct sli_s3_profile, sso_role)},
};

static struct sl_buf *text_of(struct sli_s3_profile *p, size_t i)
{
    return (struct sl_buf *)(void *)((char *)p + settings[i].at);
}

void sli_s3_profile_fini(struct sli_s3_profile *p)
{
    for (size_t i = 0; i < SL_COUNT_OF(settings); i++) {
        struct sl_buf *text = text_of(p, i);
        sl_wipe(text->ptr, text->len);
        sl_buf_fini(text);
    }
}

struct sl_str sli_s3_profile_name(const struct sl_config *config)
{
    return config->aws_profile[0] == '\0' ? SL_STR("default") : sl_str_from(config->aws_profile);
}

/* Does "[...]" speak of profile `name`? */
static bool is_section(struct sl_str section, enum sli_s3_profile_file kind, struct sl_str name)
{
    const char *word = kind == SLI_S3_FILE_SESSIONS ? "sso-session" : "profile";
    if (kind == SLI_S3_FILE_CREDENTIALS ||
        (kind == SLI_S3_FILE_CONFIG && sl_str_is(name, "default"))) {
        if (sl_str_eq(section, name)) {
            return true;
        }
    }
    if (kind == SLI_S3_FILE_CREDENTIALS || !sl_str_starts(section, word)) {
        return false;
    }
    struct sl_str rest = {section.ptr + strlen(word), section.len - strlen(word)};
    return rest.len > 0 && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t') &&
           sl_str_eq(sl_str_trim(rest), name);
}

static void take(struct sli_s3_profile *p, struct sl_str name, struct sl_str value)
{
    for (size_t i = 0; i < SL_COUNT_OF(settings); i++) {
        struct sl_buf *text = text_of(p, i);
        if (sl_str_is(name, settings[i].name) && text->len == 0) {
            sl_buf_add_str(text, value);
        }
    }
}

/* One line; *is_ours: we are inside the profile's section. false: the line is nothing known. */
static bool read_line(struct sl_str line, enum sli_s3_profile_file kind, struct sl_str name,
                      bool *is_ours, struct sli_s3_profile *p)
{
    struct sl_str text = sl_str_trim(line);
    if (text.len == 0 || text.ptr[0] == '#' || text.ptr[0] == ';' || line.ptr[0] == ' ' ||
        line.ptr[0] == '\t') {
        return true;
    }
    if (text.ptr[0] == '[') {
        const char *end = memchr(text.ptr, ']', text.len);
        if (end == NULL) {
            return false;
        }
        struct sl_str after = {end + 1, text.len - (size_t)(end + 1 - text.ptr)};
        after = sl_str_trim(after);
        struct sl_str section = {text.ptr + 1, (size_t)(end - text.ptr) - 1};
        *is_ours = is_section(sl_str_trim(section), kind, name);
        p->is_found = p->is_found || *is_ours;
        return after.len == 0 || after.ptr[0] == '#' || after.ptr[0] == ';';
    }
    const char *eq = memchr(text.ptr, '=', text.len);
    if (eq == NULL || eq == text.ptr) {
        return false;
    }
    if (*is_ours) {
        size_t at = (size_t)(eq - text.ptr);
        take(p, sl_str_trim((struct sl_str){text.ptr, at}),
             sl_str_trim((struct sl_str){eq + 1, text.len - at - 1}));
    }
    return true;
}

sl_rc sli_s3_profile_parse(struct sl_str text, enum sli_s3_profile_file kind, struct sl_str name,
                           struct sli_s3_profile *p, struct sl_err *err)
{
    bool is_ours = false;
    uint32_t line_no = 1;
    for (size_t from = 0, i = 0; i <= text.len; i++) {
        if (i < text.len && text.ptr[i] != '\n') {
            continue;
        }
        struct sl_str line = {text.ptr + from, i - from};
        if (line.len > 0 && !read_line(line, kind, name, &is_ours, p)) {
            return SL_FAIL(err, SL_EINVAL, "line %u is no section, setting or comment", line_no);
        }
        from = i + 1;
        line_no++;
    }
    for (size_t i = 0; i < SL_COUNT_OF(settings); i++) {
        SL_TRY(sl_buf_done(text_of(p, i), err));
    }
    return SL_OK;
}

/* The file the setting names, or that of the tools below HOME. */
static void path_of(const struct sl_config *config, const char *set, const char *usual,
                    struct sl_buf *out)
{
    if (set[0] != '\0') {
        sl_buf_add_text(out, set);
    } else if (config->home[0] != '\0') {
        sl_path_join(out, sl_str_from(config->home), sl_str_from(usual));
    }
}

static sl_rc load_file(const struct sl_config *config, enum sli_s3_profile_file kind,
                       struct sl_str name, struct sli_s3_profile *p, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    bool is_there = false;
    if (kind == SLI_S3_FILE_CREDENTIALS) {
        path_of(config, config->aws_credentials_file, ".aws/credentials", &path);
    } else {
        path_of(config, config->aws_config_file, ".aws/config", &path);
    }
    const char *at = sl_buf_cstr(&path);
    SL_TRY(sl_buf_done(&path, err));
    if (path.len == 0) {
        return SL_OK;
    }
    SL_TRY(sl_file_exists(at, &is_there, err));
    if (!is_there) {
        return SL_OK;
    }
    sl_rc rc = sl_file_read_all(at, FILE_MAX, &text, err);
    if (rc == SL_OK) {
        rc = sli_s3_profile_parse(sl_buf_str(&text), kind, name, p, err);
        if (rc == SL_EINVAL) {
            sl_err_prefix(err, "%s", at);
        }
    }
    sl_wipe(text.ptr, text.len);
    return rc;
}

sl_rc sli_s3_profile_load(const struct sl_config *config, struct sl_str name,
                          struct sli_s3_profile *ret, struct sl_err *err)
{
    SL_TRY(load_file(config, SLI_S3_FILE_CREDENTIALS, name, ret, err));
    return load_file(config, SLI_S3_FILE_CONFIG, name, ret, err);
}

sl_rc sli_s3_session_load(const struct sl_config *config, struct sl_str name,
                          struct sli_s3_profile *ret, struct sl_err *err)
{
    return load_file(config, SLI_S3_FILE_SESSIONS, name, ret, err);
}
