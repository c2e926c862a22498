/* What sluiced does with its settings beyond reading them: lends exports those of the moment, tells
 * them in the log, and judges by `--check` what the values point to. */
#ifndef SL_CMD_SETTINGS_H
#define SL_CMD_SETTINGS_H

#include "api/jwks.h"
#include "base/arena.h"
#include "config/config.h"
#include "export/export.h"

/* CLUSTER_HOSTNAME or the host's own name; it becomes part of file names, so it is checked. */
sl_rc sli_node_name(const struct sl_config *c, struct sl_buf *out, struct sl_err *err);
/* May these become the settings of a running node? For sl_overrides_open; arg is not used. */
sl_settings_check_fn sli_settings_check;
/* For sl_api_opts; arg: struct sl_overrides. */
sl_rc sli_settings_lend(void *arg, struct sl_arena *arena, struct sl_export_settings *ret,
                        struct sl_err *err);
/* Lends the texts of c. */
struct sl_jwks_opts sli_settings_oidc(const struct sl_config *c);
/* All settings in one line, secrets as ***. */
void sli_settings_log(const struct sl_config *c);
/* What keeps a node with these settings from working, one line each in `out`; how many. Starts,
 * makes and locks nothing, so a running node is not disturbed. */
uint32_t sli_settings_problems(const struct sl_config *c, struct sl_buf *out);

#endif
