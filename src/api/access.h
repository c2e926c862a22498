/* Who asks, and whether they may: what REST and gRPC share of it. A refusal leaves an audit line.
 */
#ifndef SL_API_ACCESS_H
#define SL_API_ACCESS_H

#include "auth/auth.h"
#include "database/database.h"

/* Of one request or message; texts live in its arena. */
struct sli_asker {
    struct sl_auth *auth;
    struct sl_subject who;
    struct sl_str peer; /* address, without port */
};

bool sli_may(const struct sli_asker *a, enum sl_verb verb, const struct sl_resource *what);
/* SL_EFORBIDDEN with its sentence. */
sl_rc sli_ask(const struct sli_asker *a, enum sl_verb verb, const struct sl_resource *what,
              struct sl_err *err);
/* The audit line alone, for refusals that are made elsewhere. */
void sli_audit(const struct sli_asker *a, enum sl_verb verb, const struct sl_resource *what);
/* The token of "Bearer <token>"; ptr NULL: none. */
struct sl_str sli_bearer(struct sl_str header);
/* A batch asks the same again and again: the last question is kept, whose audit line is written and
 * whose answer, when it was yes, stands. */
struct sli_asked {
    struct sl_str class_name, tenant;
    bool is_asked, is_allowed;
};
/* May the subject store an object there? To make the class by it is to create a collection; db
 * NULL: nothing is made. */
sl_rc sli_ask_store(const struct sli_asker *a, struct sl_db *db, struct sli_asked *last,
                    struct sl_str class_name, struct sl_str tenant, struct sl_err *err);
/* May it change objects there? */
sl_rc sli_ask_update(const struct sli_asker *a, struct sli_asked *last, struct sl_str class_name,
                     struct sl_str tenant, struct sl_err *err);

#endif
