/* Stop token every long loop asks. Set once, never cleared; cheap to ask (one relaxed load).
 * @threads any. A waiter registers by sl_cancel_wait_for. */
#ifndef SL_BASE_CANCEL_H
#define SL_BASE_CANCEL_H

#include <stdatomic.h>

#include "base/sync.h"

struct sl_cancel {
    atomic_bool is_set;
    struct sl_mutex mu; /* leaf; for waiters only */
    struct sl_cond changed;
};

void sl_cancel_init(struct sl_cancel *c);
void sl_cancel_fini(struct sl_cancel *c);
void sl_cancel_set(struct sl_cancel *c);
static inline bool sl_cancel_is_set(const struct sl_cancel *c)
{
    return c != NULL && atomic_load_explicit(&c->is_set, memory_order_acquire);
}
/* Waits until set (true) or timeout_ns passed (false). */
bool sl_cancel_wait_for(struct sl_cancel *c, int64_t timeout_ns);

#endif
