/* One thread calling duties on time; see ticker.h. Duties run outside the lock, so a duty may add
 * or remove others (not itself). */
#include "base/ticker.h"

#include "base/mem.h"
#include "base/workers.h"

#define DUTIES_MAX 64
#define LOOK_NS    200000000 /* a new duty is seen after this at the latest; periods are seconds */

struct duty {
    uint32_t id; /* 0: free */
    int64_t period_ns, due_ns;
    sl_duty_fn *fn;
    void *arg;
};

struct sl_ticker {
    struct sl_clock *clock;
    struct sl_thread *thread;
    struct sl_cancel stop;
    struct sl_mutex mu; /* leaf */
    struct sl_cond idle;
    struct duty duties[DUTIES_MAX]; /* under mu */
    uint32_t next_id, running_id;   /* under mu */
};

/* The duty that is due, marked as running; id 0 when none is. */
static struct duty take_due(struct sl_ticker *t, int64_t now, int64_t *ret_next)
{
    struct duty found = {0};
    sl_mutex_lock(&t->mu);
    *ret_next = now + LOOK_NS;
    for (uint32_t i = 0; i < DUTIES_MAX; i++) {
        struct duty *d = &t->duties[i];
        if (d->id == 0) {
            continue;
        }
        if (d->due_ns <= now && found.id == 0) {
            d->due_ns = now + d->period_ns;
            found = *d;
            t->running_id = d->id;
        }
        *ret_next = SL_MIN(*ret_next, d->due_ns);
    }
    sl_mutex_unlock(&t->mu);
    return found;
}

static void ticker_main(void *arg)
{
    struct sl_ticker *t = arg;
    while (!sl_cancel_is_set(&t->stop)) {
        int64_t next = 0;
        struct duty due = take_due(t, sl_clock_mono_ns(t->clock), &next);
        if (due.id == 0) {
            SL_IGNORE(sl_clock_sleep_until(t->clock, next, &t->stop), "the loop asks the token");
            continue;
        }
        due.fn(due.arg);
        sl_mutex_lock(&t->mu);
        t->running_id = 0;
        sl_cond_broadcast(&t->idle);
        sl_mutex_unlock(&t->mu);
    }
}

sl_rc sl_ticker_new(struct sl_clock *clock, struct sl_ticker **ret, struct sl_err *err)
{
    struct sl_ticker *t = sl_alloc_zero(1, sizeof(*t));
    if (t == NULL) {
        return SL_NOMEM(err);
    }
    t->clock = clock;
    t->next_id = 1;
    sl_cancel_init(&t->stop);
    sl_mutex_init(&t->mu);
    sl_cond_init(&t->idle);
    sl_rc rc = sl_thread_start("ticker", ticker_main, t, &t->thread, err);
    if (rc != SL_OK) {
        sl_ticker_free(t);
        return rc;
    }
    *ret = t;
    return SL_OK;
}

sl_rc sl_ticker_add(struct sl_ticker *t, int64_t period_ns, sl_duty_fn *fn, void *arg,
                    uint32_t *ret_id, struct sl_err *err)
{
    int64_t due = sl_clock_mono_ns(t->clock) + period_ns;
    sl_rc rc = SL_EBUSY;
    sl_mutex_lock(&t->mu);
    for (uint32_t i = 0; i < DUTIES_MAX && rc != SL_OK; i++) {
        if (t->duties[i].id == 0) {
            t->duties[i] = (struct duty){t->next_id, period_ns, due, fn, arg};
            *ret_id = t->next_id++;
            rc = SL_OK;
        }
    }
    sl_mutex_unlock(&t->mu);
    return rc == SL_OK ? rc : SL_FAIL(err, rc, "the ticker has %d duties already", DUTIES_MAX);
}

void sl_ticker_remove(struct sl_ticker *t, uint32_t id)
{
    sl_mutex_lock(&t->mu);
    for (uint32_t i = 0; i < DUTIES_MAX; i++) {
        if (t->duties[i].id == id) {
            t->duties[i].id = 0;
        }
    }
    while (t->running_id == id) {
        sl_cond_wait(&t->idle, &t->mu);
    }
    sl_mutex_unlock(&t->mu);
}

void sl_ticker_free(struct sl_ticker *t)
{
    if (t == NULL) {
        return;
    }
    sl_cancel_set(&t->stop);
    sl_thread_join(t->thread);
    sl_cond_fini(&t->idle);
    sl_mutex_fini(&t->mu);
    sl_cancel_fini(&t->stop);
    sl_free(t);
}
