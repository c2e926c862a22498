/* Inside of config: how one row takes a value, for the start (load.c) and the overrides file. */
#ifndef SL_CONFIG_CONFIG_INT_H
#define SL_CONFIG_CONFIG_INT_H

#include "config/config.h"

/* A value and where it came from, for the one line that refuses it. */
struct sli_origin {
    const struct sl_option *opt;
    const char *value;
    enum { SLI_VARIABLE, SLI_FLAG, SLI_FILE } where;
};
sl_rc sli_option_set(struct sl_config *c, const struct sli_origin *o, struct sl_err *err);
sl_rc sli_option_copy(const struct sl_option *opt, const struct sl_config *from,
                      struct sl_config *to, struct sl_err *err);
sl_rc sli_config_copy(const struct sl_config *from, struct sl_config *ret, struct sl_err *err);

#define SLI_OVERRIDES_SIZE_MAX (1u << 20) /* a handful of lines; more is another file */

/* Told of each value that is left out: of another kind than the setting's, or not allowed. */
enum sli_fault { SLI_FAULT_KIND, SLI_FAULT_VALUE };
typedef void sli_fault_fn(void *arg, const struct sl_option *opt, enum sli_fault fault,
                          const char *sentence);
struct sli_overriding {
    const struct sl_config *config; /* what absent keys mean */
    sl_settings_check_fn *check;    /* may be NULL */
    void *check_arg;
    sli_fault_fn *fault;
    void *fault_arg;
};
/* Makes of `io`, the settings before, those that `text` says. SL_EINVAL when text is not a flat map
 * of YAML; io is then half done. */
sl_rc sli_overrides_apply(const struct sli_overriding *how, struct sl_bytes text,
                          struct sl_config *io, struct sl_err *err);

#endif
