/* Trying again: exponential waits with full jitter, within a deadline.
 *
 * A lost packet is worth another try at once; a store that is down must not be hammered by all
 * uploaders together. So waits are random up to a limit that doubles, and a shared count of tokens
 * tells a store in trouble from a single mishap: each retry takes one, each success gives one back,
 * and while none are left, waits are drawn from the longest limit. They end no call: only the
 * deadline does. */
#include <stdio.h>

#include "backend/store_int.h"
#include "base/crypto.h"
#include "base/stats.h"

#define WAIT_FIRST_NS INT64_C(100000000)   /* 0.1 s */
#define WAIT_MAX_NS   INT64_C(20000000000) /* 20 s: a store that is back is noticed by then */
#define ASKED_MAX_NS  INT64_C(60000000000) /* of a Retry-After */
#define TOKENS_MAX    64                   /* retries in a row, over all calls */
#define MISFITS_MAX   3 /* answers damaged in a row: more is no chance but a broken path or disk */
#define NS_PER_S      INT64_C(1000000000)

static bool take_token(struct sli_store *st)
{
    int used = atomic_load(&st->retry_tokens);
    while (used < TOKENS_MAX) {
        if (atomic_compare_exchange_weak(&st->retry_tokens, &used, used + 1)) {
            return true;
        }
    }
    return false;
}

static void give_token(struct sli_store *st)
{
    int used = atomic_load(&st->retry_tokens);
    while (used > 0 && !atomic_compare_exchange_weak(&st->retry_tokens, &used, used - 1)) {
        continue;
    }
}

static int64_t wait_of(struct sli_store *st, const struct sli_try *t)
{
    if (t->wait_ns > 0) {
        return SL_MIN(t->wait_ns, ASKED_MAX_NS);
    }
    int64_t limit =
        take_token(st) && t->no < 8 ? SL_MIN(WAIT_FIRST_NS << t->no, WAIT_MAX_NS) : WAIT_MAX_NS;
    uint64_t random = UINT64_MAX / 2;
    SL_IGNORE(sl_random_bytes((uint8_t *)&random, sizeof(random), NULL), "then half of it");
    return (int64_t)((double)limit * ((double)random / (double)UINT64_MAX));
}

/* "...: bucket b: 503 (tried 7 times in 31 s)" */
static sl_rc give_up(const struct sli_try *t, int64_t took_ns, sl_rc rc, struct sl_err *err)
{
    if (t->no > 0 && err != NULL) {
        size_t len = strlen(err->text);
        snprintf(err->text + len, sizeof(err->text) - len, " (tried %u times in %lld s)", t->no + 1,
                 (long long)(took_ns / NS_PER_S));
    }
    return rc;
}

bool sli_try_misfit(struct sli_try *t, sl_rc rc)
{
    return rc == SL_EIO && ++t->misfits < MISFITS_MAX;
}

static int64_t or_never(int64_t ns)
{
    return ns == 0 ? INT64_MAX : ns;
}

sl_rc sli_retry_for(struct sli_store *st, int64_t deadline_ns, struct sl_cancel *cancel,
                    sli_try_fn *fn, void *arg, struct sl_err *err)
{
    struct sl_err own = {0};
    struct sl_err *last = err == NULL ? &own : err;
    struct sli_try t = {0};
    int64_t begun = sl_clock_mono_ns(st->clock), now = begun;
    int64_t awaited = SL_MIN(or_never(deadline_ns), or_never(st->awaited_ns));
    for (;; t.no++) {
        t.is_repeatable = false;
        t.wait_ns = 0;
        t.limit_ns = awaited == INT64_MAX ? 0 : SL_MAX(begun + awaited - now, 1);
        sl_rc rc = fn(arg, &t, last);
        if (rc == SL_OK) {
            give_token(st);
            return SL_OK;
        }
        now = sl_clock_mono_ns(st->clock);
        int64_t wait = t.is_repeatable ? wait_of(st, &t) : 0;
        if (!t.is_repeatable || now + wait - begun > SL_MIN(awaited, st->deadline_ns)) {
            return give_up(&t, now - begun, rc, last);
        }
        sl_stat_add(SL_STAT_RETRIES, 1);
        now += wait;
        if (sl_clock_sleep_until(st->clock, now, cancel) == SL_ECANCELED) {
            return SL_FAIL(err, SL_ECANCELED, "the request was canceled");
        }
    }
}

sl_rc sli_retry(struct sli_store *st, struct sl_cancel *cancel, sli_try_fn *fn, void *arg,
                struct sl_err *err)
{
    return sli_retry_for(st, 0, cancel, fn, arg, err);
}
