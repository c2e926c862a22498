/* Users and roles of a node: settings and stored records -> struct sl_auth. */
#ifndef SL_CMD_ACCESS_H
#define SL_CMD_ACCESS_H

#include "api/jwks.h"
#include "auth/auth.h"
#include "config/config.h"
#include "kv/kv.h"

/* Do the settings contradict each other? */
sl_rc sli_access_check(const struct sl_config *config, struct sl_err *err);
/* kv and jwks (NULL: OIDC is off) are borrowed and outlive it. */
sl_rc sli_access_open(const struct sl_config *config, struct sl_kv *kv, struct sl_jwks *jwks,
                      struct sl_auth **ret, struct sl_err *err);

#endif
