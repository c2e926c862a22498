/* What looks after the node from outside: the service manager and the monitoring. */
#ifndef SL_CMD_SUPERVISE_H
#define SL_CMD_SUPERVISE_H

#include "api/api.h"
#include "config/config.h"

/* Tells the service manager (systemd's sd_notify protocol): "READY=1", "STOPPING=1". Does nothing
 * when none asked to be told. */
void sli_notify(const char *state);
void sli_notify_reloading(void); /* READY=1 ends it */

/* /metrics with the numbers only the program's edge knows. overrides is borrowed. */
sl_rc sli_metrics_start(const struct sl_config *c, struct sl_overrides *overrides,
                        struct sl_metrics **ret, struct sl_err *err);

#endif
