/* Byte tickets: taking one may wait, and that wait is the whole back-pressure of an export.
 * @threads any. Waiters are served first come, first served. */
#ifndef SL_BASE_BUDGET_H
#define SL_BASE_BUDGET_H

#include "base/cancel.h"

/* Budgets whose size, use and waits are told by the rows of stats.tbl.h in this order. */
enum sl_budget_part { SL_BUDGET_BODIES, SL_BUDGET_TREES, SL_BUDGET_MESSAGES, SL_BUDGET_PARTS };

struct sl_budget;
sl_rc sl_budget_new(uint64_t bytes, struct sl_budget **ret, struct sl_err *err);
void sl_budget_free(struct sl_budget *b); /* all tickets must be back */
SL_DEFINE_FREEP(sl_budget, sl_budget_free)
/* Tells of it as this part from now on; one budget a part at a time. */
void sl_budget_watch(struct sl_budget *b, enum sl_budget_part part);
/* Waits until `bytes` are free (a request above the whole budget takes it alone), or until cancel
 * (may be NULL) is set: SL_ECANCELED. */
sl_rc sl_budget_take(struct sl_budget *b, uint64_t bytes, struct sl_cancel *cancel);
bool sl_budget_try_take(struct sl_budget *b, uint64_t bytes) SL_MUST_USE;
void sl_budget_give(struct sl_budget *b, uint64_t bytes);
uint64_t sl_budget_used(struct sl_budget *b);
uint64_t sl_budget_size(const struct sl_budget *b);

#endif
