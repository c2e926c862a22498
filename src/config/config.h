/* Settings of the node: one row each in options.tbl.h, from which --help, the man page and the docs
 * are printed. Filled once at start from environment and flags (a flag wins); immutable afterwards.
 * A bad value is SL_EINVAL with one line naming variable, value and what is allowed. */
#ifndef SL_CONFIG_CONFIG_H
#define SL_CONFIG_CONFIG_H

#include "base/buf.h"

/* Field kinds of the table: BOOL bool; INT int64_t (min..max); SIZE uint64_t bytes with KiB/MiB/GiB
 * suffixes; TEXT char*; CHOICE uint32_t index into the allowed words, "a|b|c". */
struct sl_config {
#define SL_FIELD_BOOL                                                      bool
#define SL_FIELD_INT                                                       int64_t
#define SL_FIELD_SIZE                                                      uint64_t
#define SL_FIELD_TEXT                                                      char *
#define SL_FIELD_CHOICE                                                    uint32_t
#define SL_OPTION(field, kind, env, flag, preset, min, max, allowed, text) SL_FIELD_##kind field;
#include "config/options.tbl.h"
#undef SL_OPTION
};

struct sl_option {
    const char *field, *env, *flag, *preset, *allowed, *text;
    enum { SL_OPT_BOOL, SL_OPT_INT, SL_OPT_SIZE, SL_OPT_TEXT, SL_OPT_CHOICE } kind;
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
/* The table as text: for --help (plain), the man page (roff) and the docs (Markdown). */
enum sl_options_format { SL_OPTIONS_HELP, SL_OPTIONS_ROFF, SL_OPTIONS_MARKDOWN };
void sl_options_print(enum sl_options_format format, struct sl_buf *out);

#endif
