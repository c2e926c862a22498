/* Settings that change while the node runs: reads the overrides file again and swaps the settings.
 *
 * Every change makes a new immutable struct sl_config; those who took an older one keep it until
 * they give it back, so a request sees one set of values from begin to end. The main thread of
 * sluiced reloads, on SIGHUP and by the interval; any thread takes. A file that is missing, also at
 * the start, or bad changes nothing and is looked at again next time. */
#include "base/crypto.h"
#include "base/file.h"
#include "base/path.h"
#include "base/str.h"
#include "base/sync.h"
#include "config/config_int.h"

#define FIELD_NAME_MAX 64

struct settings {
    struct sl_config config;
    uint32_t refs; /* under mu; the overrides themselves hold one */
};

struct sl_overrides {
    struct sli_overriding how;
    struct sl_mutex mu; /* protects `locked`; leaf */
    struct {
        struct settings *now;
        struct sl_overrides_state state;
    } locked SL_GUARDED;
};

/* ---- take and give ---- */

static struct settings *settings_copy(const struct sl_config *from, struct sl_err *err)
{
    struct settings *s = sl_alloc_zero(1, sizeof(*s));
    if (s == NULL) {
        SL_IGNORE(SL_NOMEM(err), "the caller returns it");
        return NULL;
    }
    s->refs = 1;
    if (sli_config_copy(from, &s->config, err) != SL_OK) {
        sl_free(s);
        return NULL;
    }
    return s;
}

static void settings_give(struct sl_overrides *o, struct settings *s)
{
    sl_mutex_lock(&o->mu);
    bool is_last = --s->refs == 0;
    sl_mutex_unlock(&o->mu);
    if (is_last) {
        sl_config_fini(&s->config);
        sl_free(s);
    }
}

const struct sl_config *sl_overrides_take(struct sl_overrides *o)
{
    sl_mutex_lock(&o->mu);
    struct settings *s = o->locked.now;
    s->refs++;
    sl_mutex_unlock(&o->mu);
    return &s->config;
}

void sl_overrides_give(struct sl_overrides *o, const struct sl_config *c)
{
    settings_give(o, SL_CONTAINER_OF((struct sl_config *)(uintptr_t)c, struct settings, config));
}

void sl_overrides_state(struct sl_overrides *o, struct sl_overrides_state *ret)
{
    sl_mutex_lock(&o->mu);
    *ret = o->locked.state;
    sl_mutex_unlock(&o->mu);
}

/* ---- one look at the file ---- */

/* As the reference names it in its logs: export_default_path is ExportDefaultPath. */
static void field_name(const char *key, char ret[FIELD_NAME_MAX])
{
    size_t len = 0;
    bool is_first = true;
    for (; *key != '\0' && len + 1 < FIELD_NAME_MAX; key++) {
        if (*key == '_') {
            is_first = true;
            continue;
        }
        bool is_lower = *key >= 'a' && *key <= 'z';
        ret[len++] = (char)(is_first && is_lower ? *key - 'a' + 'A' : *key);
        is_first = false;
    }
    ret[len] = '\0';
}

static void log_fault(void *arg SL_UNUSED, const struct sl_option *opt, enum sli_fault fault,
                      const char *sentence)
{
    char name[FIELD_NAME_MAX];
    field_name(opt->key, name);
    sl_log(SL_ERROR,
           fault == SLI_FAULT_KIND ? "runtime_overrides_parse" : "runtime_overrides_changed",
           "a runtime override is left out; the setting stays as it is", SL_F_TEXT("field", name),
           SL_F_TEXT("error", sentence));
}

static bool is_same(const struct sl_fact *a, const struct sl_fact *b)
{
    return a->kind == SL_FACT_STR    ? sl_str_eq(a->s, b->s)
           : a->kind == SL_FACT_BOOL ? a->b == b->b
                                     : a->i == b->i; /* a double lies in the same bytes */
}

static void log_changes(const struct sl_config *before, const struct sl_config *now)
{
    for (size_t i = 0; i < sl_option_count; i++) {
        const struct sl_option *opt = &sl_options[i];
        struct sl_fact was = sl_option_fact(opt, before, "old_value");
        struct sl_fact is = sl_option_fact(opt, now, "new_value");
        if (!is_same(&was, &is)) {
            char name[FIELD_NAME_MAX];
            field_name(opt->key, name);
            sl_log(SL_INFO, "runtime_overrides_changed", "a setting changed",
                   SL_F_TEXT("field", name), was, is);
        }
    }
}

/* Links are followed: orchestrators swap the file by a link. A pipe would hold up the reader. */
static sl_rc read_file(const char *path, struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_buf) real = SL_BUF_EMPTY;
    struct sl_file_id id;
    bool is_plain = false;
    SL_TRY(sl_path_resolve(path, &real, err));
    SL_TRY(sl_buf_done(&real, err));
    sl_rc rc = sl_path_identify(sl_buf_cstr(&real), &id, &is_plain, err);
    if (rc == SL_ENOTFOUND || (rc == SL_OK && !is_plain)) {
        return SL_FAIL(err, SL_ENOTFOUND, "%s is %s", path,
                       rc == SL_OK ? "not a file" : "not there");
    }
    SL_TRY(rc);
    return sl_file_read_all(sl_buf_cstr(&real), SLI_OVERRIDES_SIZE_MAX, out, err);
}

static sl_rc hash_text(struct sl_bytes text, char ret[65], struct sl_err *err)
{
    uint8_t digest[SL_SHA256_SIZE];
    SL_AUTO(sl_buf) hex = SL_BUF_EMPTY;
    SL_TRY(sl_sha256(text, digest, err));
    sl_hex_add(&hex, SL_BYTES(digest, sizeof(digest)));
    SL_TRY(sl_buf_done(&hex, err));
    memcpy(ret, hex.ptr, 64);
    ret[64] = '\0';
    return SL_OK;
}

/* *ret is NULL when this content was loaded before. */
static sl_rc look(struct sl_overrides *o, char hash[65], struct settings **ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    struct sl_overrides_state state;
    sl_overrides_state(o, &state);
    *ret = NULL;
    SL_TRY(read_file(o->how.config->overrides_path, &text, err));
    SL_TRY(hash_text(sl_buf_view(&text), hash, err));
    if (strcmp(hash, state.sha256) == 0) {
        return SL_OK;
    }
    /* Only this thread replaces `now`, so it is the settings before. */
    const struct sl_config *before = sl_overrides_take(o);
    struct settings *next = settings_copy(before, err);
    sl_overrides_give(o, before);
    if (next == NULL) {
        return SL_ENOMEM;
    }
    sl_rc rc = sli_overrides_apply(&o->how, sl_buf_view(&text), &next->config, err);
    if (rc != SL_OK) {
        settings_give(o, next);
        return rc;
    }
    *ret = next;
    return SL_OK;
}

void sl_overrides_reload(struct sl_overrides *o)
{
    struct sl_err err = {0};
    struct settings *next = NULL, *old = NULL;
    char hash[65];
    if (!o->how.config->overrides_enabled) {
        return;
    }
    sl_rc rc = look(o, hash, &next, &err);
    sl_mutex_lock(&o->mu);
    o->locked.state.is_last_load_good = rc == SL_OK;
    if (next != NULL) {
        old = o->locked.now;
        o->locked.now = next;
        memcpy(o->locked.state.sha256, hash, sizeof(hash));
    }
    sl_mutex_unlock(&o->mu);
    if (rc != SL_OK) {
        sl_log(SL_ERROR, "runtime_overrides_load",
               "runtime overrides cannot be loaded; all settings stay as they are",
               SL_F_TEXT("path", o->how.config->overrides_path),
               SL_F_TEXT("error", sl_err_text(&err, rc)));
    }
    if (old != NULL) {
        log_changes(&old->config, &next->config);
        settings_give(o, old);
    }
}

/* ---- open and close ---- */

sl_rc sl_overrides_open(const struct sl_config *config, sl_settings_check_fn *check, void *arg,
                        struct sl_overrides **ret, struct sl_err *err)
{
    struct sl_overrides *o = sl_alloc_zero(1, sizeof(*o));
    if (o == NULL) {
        return SL_NOMEM(err);
    }
    o->how = (struct sli_overriding){config, check, arg, log_fault, NULL};
    struct settings *now = settings_copy(config, err);
    if (now == NULL) {
        sl_free(o);
        return SL_ENOMEM;
    }
    sl_mutex_init(&o->mu);
    sl_mutex_lock(&o->mu);
    o->locked.now = now;
    o->locked.state.is_enabled = config->overrides_enabled;
    sl_mutex_unlock(&o->mu);
    sl_overrides_reload(o);
    *ret = o;
    return SL_OK;
}

void sl_overrides_close(struct sl_overrides *o)
{
    if (o == NULL) {
        return;
    }
    sl_mutex_lock(&o->mu);
    struct settings *last = o->locked.now;
    sl_mutex_unlock(&o->mu);
    sl_assert(last->refs == 1);
    settings_give(o, last);
    sl_mutex_fini(&o->mu);
    sl_free(o);
}

/* ---- without a node ---- */

struct problems {
    struct sl_buf *out;
    uint32_t count;
};

static void add_problem(void *arg, const struct sl_option *opt SL_UNUSED,
                        enum sli_fault fault SL_UNUSED, const char *sentence)
{
    struct problems *p = arg;
    sl_buf_addf(p->out, "RUNTIME_OVERRIDES_PATH: %s\n", sentence);
    p->count++;
}

static sl_rc check_file(const struct sli_overriding *how, struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    struct sl_config scratch = {0};
    SL_TRY(read_file(how->config->overrides_path, &text, err));
    SL_TRY(sli_config_copy(how->config, &scratch, err));
    sl_rc rc = sli_overrides_apply(how, sl_buf_view(&text), &scratch, err);
    sl_config_fini(&scratch);
    return rc;
}

uint32_t sl_overrides_problems(const struct sl_config *config, sl_settings_check_fn *check,
                               void *arg, struct sl_buf *out)
{
    struct problems p = {out, 0};
    struct sli_overriding how = {config, check, arg, add_problem, &p};
    struct sl_err err = {0};
    sl_rc rc = config->overrides_enabled ? check_file(&how, &err) : SL_OK;
    if (rc != SL_OK) {
        add_problem(&p, NULL, SLI_FAULT_VALUE, sl_err_text(&err, rc));
    }
    return p.count;
}
