/* Environment and flags -> struct sl_config.
 *
 * Every row of options.tbl.h is read the same way: a flag wins over the variable, the variable over
 * the default, and an empty variable counts as absent, as the reference does. The first bad value
 * stops the start with one line that names variable, value and what is allowed; nothing is guessed
 * or clamped, because a clamped limit is noticed only in an incident. Called by cmd/sluiced.c once,
 * before any thread exists; values of the overrides file are set by the same rows later. */
#include "config/config_int.h"

#include <stdio.h>

#include "base/num.h"
#include "base/str.h"

#define SL_KIND_BOOL     SL_OPT_BOOL
#define SL_KIND_INT      SL_OPT_INT
#define SL_KIND_SIZE     SL_OPT_SIZE
#define SL_KIND_DURATION SL_OPT_DURATION
#define SL_KIND_TEXT     SL_OPT_TEXT
#define SL_KIND_SECRET   SL_OPT_SECRET
#define SL_KIND_CHOICE   SL_OPT_CHOICE

const struct sl_option sl_options[] = {
#define SL_OPTION(field_, kind_, env_, flag_, ...) \
    SL_LIVE_OPTION(field_, kind_, env_, NULL, flag_, __VA_ARGS__)
#define SL_LIVE_OPTION(field_, kind_, env_, key_, flag_, preset_, min_, max_, allowed_, text_) \
    {.field = #field_,                                                                         \
     .env = env_,                                                                              \
     .key = key_,                                                                              \
     .flag = flag_,                                                                            \
     .preset = preset_,                                                                        \
     .allowed = allowed_,                                                                      \
     .text = text_,                                                                            \
     .kind = SL_KIND_##kind_,                                                                  \
     .min = min_,                                                                              \
     .max = max_,                                                                              \
     .offset = offsetof(struct sl_config, field_)},
#include "config/options.tbl.h"
#undef SL_OPTION
};
const size_t sl_option_count = SL_COUNT_OF(sl_options);

static sl_rc refuse(const struct sli_origin *o, const char *allowed, struct sl_err *err)
{
    const char *name = o->where == SLI_FLAG   ? o->opt->flag
                       : o->where == SLI_FILE ? o->opt->key
                                              : o->opt->env;
    return SL_FAIL(err, SL_EINVAL, "%s%s: \"%s\" is not allowed; allowed: %s",
                   o->where == SLI_FLAG ? "--" : "", name,
                   o->opt->kind == SL_OPT_SECRET ? "***" : o->value, allowed);
}

static sl_rc set_bool(const struct sli_origin *o, void *field, struct sl_err *err)
{
    bool value = false;
    if (!sl_bool_parse(sl_str_trim(sl_str_from(o->value)), &value)) {
        return refuse(o, "on, enabled, 1, true, off, disabled, 0, false", err);
    }
    *(bool *)field = value;
    return SL_OK;
}

static sl_rc set_int(const struct sli_origin *o, void *field, struct sl_err *err)
{
    int64_t value = 0;
    if (!sl_i64_parse(sl_str_trim(sl_str_from(o->value)), &value) || value < o->opt->min ||
        value > o->opt->max) {
        char allowed[96];
        snprintf(allowed, sizeof(allowed), "a whole number from %lld to %lld",
                 (long long)o->opt->min, (long long)o->opt->max);
        return refuse(o, allowed, err);
    }
    *(int64_t *)field = value;
    return SL_OK;
}

/* "268435456", "256MiB", "1GiB": powers of two only, so that nobody has to guess about "MB". */
bool sl_size_parse(struct sl_str text, uint64_t *ret)
{
    static const struct {
        const char *suffix;
        uint32_t shift;
    } units[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
    uint32_t shift = 0;
    for (size_t i = 0; i < SL_COUNT_OF(units); i++) {
        if (sl_str_ends(text, units[i].suffix)) {
            shift = units[i].shift;
            text.len -= 3;
            break;
        }
    }
    uint64_t value = 0;
    if (!sl_u64_parse(text, &value) || value > UINT64_MAX >> shift) {
        return false;
    }
    *ret = value << shift;
    return true;
}

static sl_rc set_size(const struct sli_origin *o, void *field, struct sl_err *err)
{
    uint64_t value = 0;
    if (!sl_size_parse(sl_str_trim(sl_str_from(o->value)), &value) ||
        value < (uint64_t)o->opt->min || value > (uint64_t)o->opt->max) {
        char allowed[128];
        snprintf(allowed, sizeof(allowed),
                 "bytes, or a number with KiB, MiB, GiB or TiB, from %lld to %lld bytes",
                 (long long)o->opt->min, (long long)o->opt->max);
        return refuse(o, allowed, err);
    }
    *(uint64_t *)field = value;
    return SL_OK;
}

/* Go's ParseDuration: numbers with a unit each, "0" without one. Fractions of a nanosecond are cut.
 */
bool sl_duration_parse(struct sl_str text, int64_t *ret_ns)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"ns", 1},  {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"ms", 1e6},
                 {"s", 1e9}, {"m", 6e10}, {"h", 3.6e12}};
    double sum = 0;
    if (sl_str_is(text, "0")) {
        *ret_ns = 0;
        return true;
    }
    while (text.len > 0) {
        size_t digits = 0, unit = 0;
        double value = 0;
        while (digits < text.len && memchr("0123456789.", text.ptr[digits], 11) != NULL) {
            digits++;
        }
        struct sl_str rest = {text.ptr + digits, text.len - digits};
        while (unit < SL_COUNT_OF(units) && !sl_str_starts(rest, units[unit].name)) {
            unit++;
        }
        if (unit == SL_COUNT_OF(units) ||
            !sl_f64_parse((struct sl_str){text.ptr, digits}, &value)) {
            return false;
        }
        sum += value * units[unit].ns;
        size_t used = digits + strlen(units[unit].name);
        text = (struct sl_str){text.ptr + used, text.len - used};
    }
    if (sum <= 0 || sum >= 9e18) {
        return false;
    }
    *ret_ns = (int64_t)sum;
    return true;
}

static sl_rc set_duration(const struct sli_origin *o, void *field, struct sl_err *err)
{
    int64_t value = 0;
    if (!sl_duration_parse(sl_str_trim(sl_str_from(o->value)), &value) || value < o->opt->min ||
        value > o->opt->max) {
        char allowed[96];
        snprintf(allowed, sizeof(allowed),
                 "a duration such as 30s, 2m or 1h30m, from %lldms to %lldh",
                 (long long)(o->opt->min / 1000000), (long long)(o->opt->max / 3600000000000));
        return refuse(o, allowed, err);
    }
    *(int64_t *)field = value;
    return SL_OK;
}

/* Blanks around a variable are an accident; in a file they were written on purpose. */
static sl_rc set_text(const struct sli_origin *o, void *field, struct sl_err *err)
{
    struct sl_str value = sl_str_from(o->value);
    value = o->where == SLI_FILE ? value : sl_str_trim(value);
    if (sl_utf8_valid_len(value) != value.len) {
        return refuse(o, "UTF-8 text", err);
    }
    char *copy = sl_strndup(value.ptr == NULL ? "" : value.ptr, value.len);
    if (copy == NULL) {
        return SL_NOMEM(err);
    }
    sl_free(*(char **)field);
    *(char **)field = copy;
    return SL_OK;
}

/* Index of the value among "a|b|c". */
static sl_rc set_choice(const struct sli_origin *o, void *field, struct sl_err *err)
{
    struct sl_str value = sl_str_trim(sl_str_from(o->value));
    const char *at = o->opt->allowed;
    for (uint32_t i = 0;; i++) {
        size_t len = strcspn(at, "|");
        if (sl_str_eq(value, (struct sl_str){at, len})) {
            *(uint32_t *)field = i;
            return SL_OK;
        }
        if (at[len] == '\0') {
            return refuse(o, o->opt->allowed, err);
        }
        at += len + 1;
    }
}

sl_rc sli_option_set(struct sl_config *c, const struct sli_origin *o, struct sl_err *err)
{
    void *field = (char *)c + o->opt->offset;
    switch (o->opt->kind) {
    case SL_OPT_BOOL:
        return set_bool(o, field, err);
    case SL_OPT_INT:
        return set_int(o, field, err);
    case SL_OPT_SIZE:
        return set_size(o, field, err);
    case SL_OPT_DURATION:
        return set_duration(o, field, err);
    case SL_OPT_TEXT:
    case SL_OPT_SECRET:
        return set_text(o, field, err);
    case SL_OPT_CHOICE:
        return set_choice(o, field, err);
    }
    return SL_EINTERNAL;
}

/* The value a row gets: flag, else variable, else default. */
static struct sli_origin find_value(const struct sl_option *opt, sl_env_fn *env, void *env_arg,
                                    const struct sl_flag *flags)
{
    struct sli_origin o = {.opt = opt, .value = env(env_arg, opt->env)};
    if (o.value == NULL || o.value[0] == '\0') {
        o.value = opt->preset;
    }
    for (const struct sl_flag *f = flags; f != NULL && f->flag != NULL; f++) {
        if (opt->flag != NULL && strcmp(f->flag, opt->flag) == 0) {
            o.value = f->value;
            o.where = SLI_FLAG;
        }
    }
    return o;
}

/* What no single row can see. */
static sl_rc check_together(const struct sl_config *c, struct sl_err *err)
{
    if (c->overrides_enabled && c->overrides_path[0] == '\0') {
        return SL_FAIL(err, SL_EINVAL,
                       "RUNTIME_OVERRIDES_PATH: overrides are enabled, so it must name a file");
    }
    if ((c->tls_cert[0] == '\0') != (c->tls_key[0] == '\0')) {
        return SL_FAIL(err, SL_EINVAL, "%s: without it %s is of no use; set both or none",
                       c->tls_cert[0] == '\0' ? "SLUICE_TLS_CERT" : "SLUICE_TLS_KEY",
                       c->tls_cert[0] == '\0' ? "SLUICE_TLS_KEY" : "SLUICE_TLS_CERT");
    }
    return SL_OK;
}

sl_rc sl_config_load(struct sl_config *ret, sl_env_fn *env, void *env_arg,
                     const struct sl_flag *flags, struct sl_err *err)
{
    struct sl_config c = {0};
    sl_rc rc = SL_OK;
    for (size_t i = 0; rc == SL_OK && i < sl_option_count; i++) {
        struct sli_origin o = find_value(&sl_options[i], env, env_arg, flags);
        rc = sli_option_set(&c, &o, err);
    }
    if (rc == SL_OK) {
        rc = check_together(&c, err);
    }
    if (rc != SL_OK) {
        sl_config_fini(&c);
        return rc;
    }
    *ret = c;
    return SL_OK;
}

uint32_t sl_config_problems(sl_env_fn *env, void *env_arg, const struct sl_flag *flags,
                            struct sl_buf *out)
{
    struct sl_config c = {0};
    struct sl_err err = {0};
    uint32_t count = 0;
    for (size_t i = 0; i <= sl_option_count; i++) {
        sl_rc rc = SL_OK;
        if (i < sl_option_count) {
            struct sli_origin o = find_value(&sl_options[i], env, env_arg, flags);
            rc = sli_option_set(&c, &o, &err);
        } else if (count == 0) {
            rc = check_together(&c, &err);
        }
        if (rc != SL_OK) {
            sl_buf_addf(out, "%s\n", sl_err_text(&err, rc));
            count++;
        }
    }
    sl_config_fini(&c);
    return count;
}

static bool is_text(const struct sl_option *opt)
{
    return opt->kind == SL_OPT_TEXT || opt->kind == SL_OPT_SECRET;
}

sl_rc sli_option_copy(const struct sl_option *opt, const struct sl_config *from,
                      struct sl_config *to, struct sl_err *err)
{
    const char *source = (const char *)from + opt->offset;
    char *target = (char *)to + opt->offset;
    switch (opt->kind) {
    case SL_OPT_BOOL:
        memcpy(target, source, sizeof(bool));
        return SL_OK;
    case SL_OPT_CHOICE:
        memcpy(target, source, sizeof(uint32_t));
        return SL_OK;
    case SL_OPT_INT:
    case SL_OPT_SIZE:
    case SL_OPT_DURATION:
        memcpy(target, source, sizeof(int64_t));
        return SL_OK;
    case SL_OPT_TEXT:
    case SL_OPT_SECRET:
        break;
    }
    char *copy = sl_strdup(*(char *const *)(const void *)source);
    if (copy == NULL) {
        return SL_NOMEM(err);
    }
    sl_free(*(char **)(void *)target);
    *(char **)(void *)target = copy;
    return SL_OK;
}

sl_rc sli_config_copy(const struct sl_config *from, struct sl_config *ret, struct sl_err *err)
{
    struct sl_config c = {0};
    for (size_t i = 0; i < sl_option_count; i++) {
        sl_rc rc = sli_option_copy(&sl_options[i], from, &c, err);
        if (rc != SL_OK) {
            sl_config_fini(&c);
            return rc;
        }
    }
    *ret = c;
    return SL_OK;
}

/* The word at idx of "a|b|c". */
static struct sl_str word_at(const char *words, uint32_t idx)
{
    for (; idx > 0; idx--) {
        words += strcspn(words, "|") + 1;
    }
    return (struct sl_str){words, strcspn(words, "|")};
}

struct sl_fact sl_option_fact(const struct sl_option *opt, const struct sl_config *c,
                              const char *key)
{
    const void *field = (const char *)c + opt->offset;
    switch (opt->kind) {
    case SL_OPT_BOOL:
        return SL_F_BOOL(key, *(const bool *)field);
    case SL_OPT_INT:
    case SL_OPT_SIZE:
        return SL_F_INT(key, *(const int64_t *)field);
    case SL_OPT_DURATION:
        return SL_F_F64(key, (double)*(const int64_t *)field / 1e9);
    case SL_OPT_TEXT:
        return SL_F_TEXT(key, *(char *const *)field);
    case SL_OPT_SECRET:
        return SL_F_TEXT(key, (*(char *const *)field)[0] == '\0' ? "" : "***");
    case SL_OPT_CHOICE:
        return SL_F_STR(key, word_at(opt->allowed, *(const uint32_t *)field));
    }
    return SL_F_TEXT(key, "");
}

void sl_config_fini(struct sl_config *c)
{
    for (size_t i = 0; i < sl_option_count; i++) {
        if (is_text(&sl_options[i])) {
            char **field = (char **)(void *)((char *)c + sl_options[i].offset);
            sl_free(*field);
            *field = NULL;
        }
    }
}
