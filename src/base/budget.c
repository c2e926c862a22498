/* Byte tickets, first come first served; see budget.h. */
#include "base/budget.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/stats.h"

struct waiter {
    struct waiter *next;
    uint64_t bytes;
};

struct sl_budget {
    uint64_t size;
    struct sl_mutex mu; /* leaf */
    struct sl_cond changed;
    bool is_watched;
    enum sl_budget_part part;    /* of the stats, when watched */
    uint64_t used;               /* under mu */
    struct waiter *first, *last; /* under mu; each lives on its thread's stack */
};

/* A cancelled taker looks at its token this often; giving wakes takers at once. */
#define LOOK_NS 50000000

sl_rc sl_budget_new(uint64_t bytes, struct sl_budget **ret, struct sl_err *err)
{
    struct sl_budget *b = sl_alloc_zero(1, sizeof(*b));
    if (b == NULL) {
        return SL_NOMEM(err);
    }
    b->size = bytes;
    sl_mutex_init(&b->mu);
    sl_cond_init(&b->changed);
    *ret = b;
    return SL_OK;
}

void sl_budget_free(struct sl_budget *b)
{
    if (b != NULL) {
        sl_assert(b->used == 0);
        if (b->is_watched) {
            sl_stat_set(SL_STAT_MEMORY_SIZE + b->part, 0);
        }
        sl_cond_fini(&b->changed);
        sl_mutex_fini(&b->mu);
        sl_free(b);
    }
}

void sl_budget_watch(struct sl_budget *b, enum sl_budget_part part)
{
    b->is_watched = true;
    b->part = part;
    sl_stat_set(SL_STAT_MEMORY_SIZE + part, b->size);
}

static void set_used_locked(struct sl_budget *b, uint64_t used) SL_NO_LOCK_ANALYSIS
{
    b->used = used;
    if (b->is_watched) {
        sl_stat_set(SL_STAT_MEMORY_USED + b->part, used);
    }
}

/* More than the whole budget is let through alone, or it would wait for ever. */
static bool fits_locked(const struct sl_budget *b, uint64_t bytes) SL_NO_LOCK_ANALYSIS
{
    return b->used == 0 || (bytes <= b->size && b->used <= b->size - bytes);
}

static void leave_locked(struct sl_budget *b, struct waiter *me) SL_NO_LOCK_ANALYSIS
{
    struct waiter **link = &b->first;
    struct waiter *before = NULL;
    while (*link != me) {
        before = *link;
        link = &(*link)->next;
    }
    *link = me->next;
    if (b->last == me) {
        b->last = before;
    }
}

static void wait_locked(struct sl_budget *b, struct sl_cancel *cancel) SL_NO_LOCK_ANALYSIS
{
    int64_t begun = sl_clock_mono_ns(sl_clock_real());
    if (cancel == NULL) {
        sl_cond_wait(&b->changed, &b->mu);
    } else {
        (void)sl_cond_wait_for(&b->changed, &b->mu, LOOK_NS);
    }
    if (b->is_watched) {
        int64_t ns = sl_clock_mono_ns(sl_clock_real()) - begun;
        sl_stat_add(SL_STAT_MEMORY_WAIT_NS + b->part, (uint64_t)ns);
    }
}

sl_rc sl_budget_take(struct sl_budget *b, uint64_t bytes, struct sl_cancel *cancel)
{
    sl_mutex_lock(&b->mu);
    struct waiter me = {.bytes = bytes};
    if (b->last == NULL) {
        b->first = &me;
    } else {
        b->last->next = &me;
    }
    b->last = &me;
    while (!sl_cancel_is_set(cancel) && (b->first != &me || !fits_locked(b, bytes))) {
        wait_locked(b, cancel);
    }
    leave_locked(b, &me);
    sl_rc rc = sl_cancel_is_set(cancel) ? SL_ECANCELED : SL_OK;
    if (rc == SL_OK) {
        set_used_locked(b, b->used + bytes);
    }
    sl_cond_broadcast(&b->changed); /* the next in line may fit as well */
    sl_mutex_unlock(&b->mu);
    return rc;
}

bool sl_budget_try_take(struct sl_budget *b, uint64_t bytes)
{
    sl_mutex_lock(&b->mu);
    bool is_taken = b->first == NULL && fits_locked(b, bytes);
    if (is_taken) {
        set_used_locked(b, b->used + bytes);
    }
    sl_mutex_unlock(&b->mu);
    return is_taken;
}

void sl_budget_give(struct sl_budget *b, uint64_t bytes)
{
    sl_mutex_lock(&b->mu);
    sl_assert(bytes <= b->used);
    set_used_locked(b, b->used - bytes);
    sl_cond_broadcast(&b->changed);
    sl_mutex_unlock(&b->mu);
}

uint64_t sl_budget_used(struct sl_budget *b)
{
    sl_mutex_lock(&b->mu);
    uint64_t used = b->used;
    sl_mutex_unlock(&b->mu);
    return used;
}

uint64_t sl_budget_size(const struct sl_budget *b)
{
    return b->size;
}
