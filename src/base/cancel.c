/* Stop token; see cancel.h. */
#include "base/cancel.h"

void sl_cancel_init(struct sl_cancel *c)
{
    atomic_init(&c->is_set, false);
    sl_mutex_init(&c->mu);
    sl_cond_init(&c->changed);
}

void sl_cancel_fini(struct sl_cancel *c)
{
    sl_cond_fini(&c->changed);
    sl_mutex_fini(&c->mu);
}

void sl_cancel_set(struct sl_cancel *c)
{
    sl_mutex_lock(&c->mu);
    atomic_store_explicit(&c->is_set, true, memory_order_release);
    sl_cond_broadcast(&c->changed);
    sl_mutex_unlock(&c->mu);
}

bool sl_cancel_wait_for(struct sl_cancel *c, int64_t timeout_ns)
{
    sl_mutex_lock(&c->mu);
    bool has_time = true;
    while (has_time && !sl_cancel_is_set(c)) {
        /* A spurious wake-up restarts the wait; token waits are seconds at most. */
        has_time = sl_cond_wait_for(&c->changed, &c->mu, timeout_ns);
    }
    sl_mutex_unlock(&c->mu);
    return sl_cancel_is_set(c);
}
