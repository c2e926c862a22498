/* Environment and flags -> struct sl_config.
 *
 * Every row of options.tbl.h is read the same way: a flag wins over the variable, the variable over
 * the default, and an empty variable counts as absent, as the reference does. The first bad value
 * stops the start with one line that names variable, value and what is allowed; nothing is guessed
 * or clamped, because a clamped limit is noticed only in an incident. Called by cmd/sluiced.c once,
 * before any thread exists. */
#include "config/config.h"

#include <stdio.h>

#include "base/num.h"
#include "base/str.h"

#define SL_KIND_BOOL   SL_OPT_BOOL
#define SL_KIND_INT    SL_OPT_INT
#define SL_KIND_SIZE   SL_OPT_SIZE
#define SL_KIND_TEXT   SL_OPT_TEXT
#define SL_KIND_CHOICE SL_OPT_CHOICE

const struct sl_option sl_options[] = {
#define SL_OPTION(field_, kind_, env_, flag_, preset_, min_, max_, allowed_, text_) \
    {.field = #field_,                                                              \
     .env = env_,                                                                   \
     .flag = flag_,                                                                 \
     .preset = preset_,                                                             \
     .allowed = allowed_,                                                           \
     .text = text_,                                                                 \
     .kind = SL_KIND_##kind_,                                                       \
     .min = min_,                                                                   \
     .max = max_,                                                                   \
     .offset = offsetof(struct sl_config, field_)},
#include "config/options.tbl.h"
#undef SL_OPTION
};
const size_t sl_option_count = SL_COUNT_OF(sl_options);

/* Where a value came from, for the one line that refuses it. */
struct origin {
    const struct sl_option *opt;
    const char *value;
    bool is_flag;
};

static sl_rc refuse(const struct origin *o, const char *allowed, struct sl_err *err)
{
    return SL_FAIL(err, SL_EINVAL, "%s%s: \"%s\" is not allowed; allowed: %s",
                   o->is_flag ? "--" : "", o->is_flag ? o->opt->flag : o->opt->env, o->value,
                   allowed);
}

static sl_rc set_bool(const struct origin *o, void *field, struct sl_err *err)
{
    bool value = false;
    if (!sl_bool_parse(sl_str_trim(sl_str_from(o->value)), &value)) {
        return refuse(o, "on, enabled, 1, true, off, disabled, 0, false", err);
    }
    *(bool *)field = value;
    return SL_OK;
}

static sl_rc set_int(const struct origin *o, void *field, struct sl_err *err)
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
static bool size_parse(struct sl_str text, uint64_t *ret)
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

static sl_rc set_size(const struct origin *o, void *field, struct sl_err *err)
{
    uint64_t value = 0;
    if (!size_parse(sl_str_trim(sl_str_from(o->value)), &value) || value < (uint64_t)o->opt->min ||
        value > (uint64_t)o->opt->max) {
        char allowed[128];
        snprintf(allowed, sizeof(allowed),
                 "bytes, or a number with KiB, MiB, GiB or TiB, from %lld to %lld bytes",
                 (long long)o->opt->min, (long long)o->opt->max);
        return refuse(o, allowed, err);
    }
    *(uint64_t *)field = value;
    return SL_OK;
}

static sl_rc set_text(const struct origin *o, void *field, struct sl_err *err)
{
    struct sl_str value = sl_str_trim(sl_str_from(o->value));
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
static sl_rc set_choice(const struct origin *o, void *field, struct sl_err *err)
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

static sl_rc set(struct sl_config *c, const struct origin *o, struct sl_err *err)
{
    void *field = (char *)c + o->opt->offset;
    switch (o->opt->kind) {
    case SL_OPT_BOOL:
        return set_bool(o, field, err);
    case SL_OPT_INT:
        return set_int(o, field, err);
    case SL_OPT_SIZE:
        return set_size(o, field, err);
    case SL_OPT_TEXT:
        return set_text(o, field, err);
    case SL_OPT_CHOICE:
        return set_choice(o, field, err);
    }
    return SL_EINTERNAL;
}

sl_rc sl_config_load(struct sl_config *ret, sl_env_fn *env, void *env_arg,
                     const struct sl_flag *flags, struct sl_err *err)
{
    struct sl_config c = {0};
    for (size_t i = 0; i < sl_option_count; i++) {
        struct origin o = {.opt = &sl_options[i], .value = env(env_arg, sl_options[i].env)};
        if (o.value == NULL || o.value[0] == '\0') {
            o.value = o.opt->preset;
        }
        for (const struct sl_flag *f = flags; f != NULL && f->flag != NULL; f++) {
            if (o.opt->flag != NULL && strcmp(f->flag, o.opt->flag) == 0) {
                o.value = f->value;
                o.is_flag = true;
            }
        }
        sl_rc rc = set(&c, &o, err);
        if (rc != SL_OK) {
            sl_config_fini(&c);
            return rc;
        }
    }
    *ret = c;
    return SL_OK;
}

void sl_config_fini(struct sl_config *c)
{
    for (size_t i = 0; i < sl_option_count; i++) {
        if (sl_options[i].kind == SL_OPT_TEXT) {
            char **field = (char **)(void *)((char *)c + sl_options[i].offset);
            sl_free(*field);
            *field = NULL;
        }
    }
}
