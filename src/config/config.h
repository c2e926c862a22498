/* Settings of the node: one row each in options.tbl.h, from which --help, the man page and the docs
 * are printed. Filled once at start from environment and flags (a flag wins); immutable afterwards.
 * A bad value is SL_EINVAL with one line naming variable, value and what is allowed. Settings with
 * a key may change by a file while the node runs: every change makes a new struct sl_config. */
#ifndef SL_CONFIG_CONFIG_H
#define SL_CONFIG_CONFIG_H

#include "base/buf.h"
#include "base/log.h"

/* Field kinds of the table: BOOL bool; INT int64_t (min..max); SIZE uint64_t bytes with KiB/MiB/GiB
 * suffixes; DURATION int64_t ns, written as Go does ("1m30s"); TEXT char*; SECRET the same, never
 * printed; CHOICE uint32_t index into the allowed words, "a|b|c". */
struct sl_config {
#define SL_FIELD_BOOL                                                      bool
#define SL_FIELD_INT                                                       int64_t
#define SL_FIELD_SIZE                                                      uint64_t
#define SL_FIELD_DURATION                                                  int64_t
#define SL_FIELD_TEXT                                                      char *
#define SL_FIELD_SECRET                                                    char *
#define SL_FIELD_CHOICE                                                    uint32_t
#define SL_OPTION(field, kind, env, flag, preset, min, max, allowed, text) SL_FIELD_##kind field;
#include "config/options.tbl.h"
#undef SL_OPTION
};

struct sl_option {
    const char *field, *env, *flag, *preset, *allowed, *text;
    const char *key; /* in the overrides file; NULL: fixed while the node runs */
    enum {
        SL_OPT_BOOL,
        SL_OPT_INT,
        SL_OPT_SIZE,
        SL_OPT_DURATION,
        SL_OPT_TEXT,
        SL_OPT_SECRET,
        SL_OPT_CHOICE
    } kind;
    int64_t min, max;
    size_t offset; /* of the field in struct sl_config */
};
extern const struct sl_option sl_options[];
extern const size_t sl_option_count;

/* getenv-like source, so tests need no environment. */
typedef const char *sl_env_fn(void *arg, const char *name);
/* flags: array of "flag=value" pairs already split by the command line parser (NULL flag ends). */
struct sl_flag {
    const char *flag, *value;
};
sl_rc sl_config_load(struct sl_config *ret, sl_env_fn *env, void *env_arg,
                     const struct sl_flag *flags, struct sl_err *err);
void sl_config_fini(struct sl_config *c);
/* Every bad value a line in `out`; how many. */
uint32_t sl_config_problems(sl_env_fn *env, void *env_arg, const struct sl_flag *flags,
                            struct sl_buf *out);
/* The value as a fact of a log line, by its kind; a secret is "***", or "" when there is none.
 * Durations are seconds, sizes bytes. Lends the texts of c. */
struct sl_fact sl_option_fact(const struct sl_option *opt, const struct sl_config *c,
                              const char *key);
/* The table as text: for --help (plain), the man page (roff) and the docs (Markdown). */
enum sl_options_format { SL_OPTIONS_HELP, SL_OPTIONS_ROFF, SL_OPTIONS_MARKDOWN };
void sl_options_print(enum sl_options_format format, struct sl_buf *out);

/* "256MiB", "1048576" -> bytes; false when it is no size. */
bool sl_size_parse(struct sl_str text, uint64_t *ret);
/* "300ms", "1.5h", "2m30s", "0" -> nanoseconds, as Go's time.ParseDuration without a sign. */
bool sl_duration_parse(struct sl_str text, int64_t *ret_ns);

/* ---- settings that change while the node runs (reload.c) ----
 *
 * The file is flat YAML of the keys in the table. A key that is absent has the value of `config`. A
 * bad value leaves that setting as it is; a file that cannot be read or is no YAML leaves all. Each
 * of these and every change is logged. Content that was loaded before is not looked at again. */
struct sl_overrides;
/* May the value of opt in the candidate become the node's? */
typedef sl_rc sl_settings_check_fn(void *arg, const struct sl_option *opt,
                                   const struct sl_config *candidate, struct sl_err *err);
/* Borrows config, loads the file once (its faults do not fail the call). Without
 * RUNTIME_OVERRIDES_ENABLED the settings stay those of config. check may be NULL. */
sl_rc sl_overrides_open(const struct sl_config *config, sl_settings_check_fn *check, void *arg,
                        struct sl_overrides **ret, struct sl_err *err);
void sl_overrides_close(struct sl_overrides *o); /* nothing is taken any more; NULL is fine */
/* Reads the file again. @threads one at a time. */
void sl_overrides_reload(struct sl_overrides *o);
/* The settings of now, immutable, until they are given back. @threads any */
const struct sl_config *sl_overrides_take(struct sl_overrides *o);
void sl_overrides_give(struct sl_overrides *o, const struct sl_config *c);
/* For the gauges weaviate_runtime_config_last_load_success and ..._hash. @threads any */
struct sl_overrides_state {
    bool is_enabled;        /* false: the rest means nothing */
    bool is_last_load_good; /* bad single values do not make it bad */
    char sha256[65];        /* hex, of the content loaded last; "" none yet */
};
void sl_overrides_state(struct sl_overrides *o, struct sl_overrides_state *ret);
/* Every fault of the file a line in `out`; how many. Changes and logs nothing. */
uint32_t sl_overrides_problems(const struct sl_config *config, sl_settings_check_fn *check,
                               void *arg, struct sl_buf *out);

#endif
