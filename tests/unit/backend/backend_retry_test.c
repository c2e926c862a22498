/* Trying again, with a clock that the waits move themselves: how long, how often, until when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "backend/store_int.h"

#define S INT64_C(1000000000)

/* A clock that sleeps at once and remembers for how long. */
struct sleeper {
    struct sl_clock clock;
    int64_t now_ns;
    int64_t waits[512];
    uint32_t wait_count;
};

static int64_t sleeper_now(struct sl_clock *c)
{
    return ((struct sleeper *)c)->now_ns;
}

static sl_rc sleeper_sleep(struct sl_clock *c, int64_t until_ns, struct sl_cancel *cancel)
{
    struct sleeper *s = (struct sleeper *)c;
    if (sl_cancel_is_set(cancel)) {
        return SL_ECANCELED;
    }
    assert_in_range(s->wait_count, 0, SL_COUNT_OF(s->waits) - 1);
    s->waits[s->wait_count++] = until_ns - s->now_ns;
    s->now_ns = until_ns;
    return SL_OK;
}

static const struct sl_clock_ops sleeper_ops = {
    .wall_ns = sleeper_now, .mono_ns = sleeper_now, .sleep_until = sleeper_sleep};

/* A request that fails `failures` times. */
struct request {
    struct sleeper *sleeper;
    struct sl_cancel *cancel; /* set at try cancel_at */
    uint32_t failures, tries, cancel_at;
    int64_t asked_ns, takes_ns;
    int64_t limits_ns[4]; /* of the first tries */
    bool is_final;        /* its failures are not worth a repetition */
    bool was_refreshed;
};

static sl_rc try_it(void *arg, struct sli_try *t, struct sl_err *err)
{
    struct request *r = arg;
    assert_int_equal(t->no, r->tries);
    assert_int_equal(t->wait_ns, 0);
    assert_false(t->is_repeatable);
    assert_int_equal(t->is_refreshed, r->was_refreshed); /* stays as the try leaves it */
    r->was_refreshed = t->is_refreshed = t->no >= 1;
    r->limits_ns[SL_MIN(t->no, SL_COUNT_OF(r->limits_ns) - 1)] = t->limit_ns;
    r->sleeper->now_ns += r->takes_ns;
    if (r->tries++ >= r->failures) {
        return SL_OK;
    }
    t->is_repeatable = !r->is_final;
    t->wait_ns = r->asked_ns;
    if (r->cancel != NULL && r->tries > r->cancel_at) {
        sl_cancel_set(r->cancel);
    }
    return SL_FAIL(err, SL_EIO, "bucket b: 503 of try %u", r->tries);
}

struct world {
    struct sleeper sleeper;
    struct sl_config config;
    struct sli_store store;
    struct sl_err err;
};

static void world_init(struct world *w)
{
    *w = (struct world){.sleeper = {.clock.ops = &sleeper_ops, .now_ns = 77 * S}};
    w->config.store_deadline_ns = 600 * S;
    w->store.config = &w->config;
    w->store.deadline_ns = w->config.store_deadline_ns;
    w->store.clock = &w->sleeper.clock;
}

static sl_rc run(struct world *w, struct request *r)
{
    r->sleeper = &w->sleeper;
    r->tries = 0;
    r->was_refreshed = false;
    w->err = (struct sl_err){0};
    return sli_retry(&w->store, r->cancel, try_it, r, &w->err);
}

static void good_calls_and_final_failures_are_made_once(void **state SL_UNUSED)
{
    struct world w;
    world_init(&w);
    struct request good = {0};
    assert_int_equal(run(&w, &good), SL_OK);
    assert_int_equal(good.tries, 1);
    struct request final = {.failures = 9, .is_final = true};
    assert_int_equal(run(&w, &final), SL_EIO);
    assert_int_equal(final.tries, 1);
    assert_string_equal(w.err.text, "bucket b: 503 of try 1");
    assert_int_equal(w.sleeper.wait_count, 0);
}

/* Full jitter: uniform from 0 to 0.1 s, 0.2 s, ... 20 s. Over 400 calls the mean of each is within
 * a tenth of its half (standard error 0.03), and both ends are come near to. */
static void waits_double_up_to_20_s_with_full_jitter(void **state SL_UNUSED)
{
    enum { WAITS = 10, CALLS = 400 };
    static const double limits[WAITS] = {0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20, 20};
    double sums[WAITS] = {0}, least[WAITS], most[WAITS] = {0};
    for (int k = 0; k < WAITS; k++) {
        least[k] = 1e9;
    }
    for (int i = 0; i < CALLS; i++) {
        struct world w;
        world_init(&w);
        struct request r = {.failures = WAITS};
        assert_int_equal(run(&w, &r), SL_OK);
        assert_int_equal(w.sleeper.wait_count, WAITS);
        for (int k = 0; k < WAITS; k++) {
            double share = (double)w.sleeper.waits[k] / (double)S / limits[k];
            assert_true(share >= 0 && share <= 1);
            sums[k] += share;
            least[k] = SL_MIN(least[k], share);
            most[k] = SL_MAX(most[k], share);
        }
    }
    for (int k = 0; k < WAITS; k++) {
        assert_true(sums[k] / CALLS > 0.4 && sums[k] / CALLS < 0.6);
        assert_true(least[k] < 0.1 && most[k] > 0.9);
    }
}

static void what_the_server_asks_is_waited_up_to_a_minute(void **state SL_UNUSED)
{
    static const int64_t asked[] = {1 * S, 17 * S, 60 * S, 61 * S, 86400 * S};
    for (size_t i = 0; i < SL_COUNT_OF(asked); i++) {
        struct world w;
        world_init(&w);
        struct request r = {.failures = 3, .asked_ns = asked[i]};
        assert_int_equal(run(&w, &r), SL_OK);
        for (uint32_t k = 0; k < 3; k++) {
            assert_int_equal(w.sleeper.waits[k], SL_MIN(asked[i], 60 * S));
        }
    }
}

/* An outage shorter than the deadline is survived; one longer ends within it, and the last failure
 * is told with what was done about it. */
static void tries_end_with_the_deadline(void **state SL_UNUSED)
{
    struct world w;
    world_init(&w);
    struct request r = {.failures = UINT32_MAX, .takes_ns = S / 10};
    assert_int_equal(run(&w, &r), SL_EIO);
    int64_t took = w.sleeper.now_ns - 77 * S;
    assert_in_range(took, 580 * S, 600 * S + S / 10);
    char want[128];
    (void)snprintf(want, sizeof want, "bucket b: 503 of try %u (tried %u times in %lld s)", r.tries,
                   r.tries, (long long)(took / S));
    assert_string_equal(w.err.text, want);
    world_init(&w);
    w.store.deadline_ns = S;
    struct request asks_too_much = {.failures = UINT32_MAX, .asked_ns = 2 * S};
    assert_int_equal(run(&w, &asks_too_much), SL_EIO);
    assert_int_equal(asks_too_much.tries, 1); /* no use to wait: it would be too late */
}

/* A try whose end somebody waits for is told how long it may take: what is left of the deadline. */
static void tries_that_are_awaited_have_a_limit(void **state SL_UNUSED)
{
    const struct {
        int64_t own_ns, awaited_ns, setting_ns, first_ns, tries;
    } rows[] = {{0, 0, 600 * S, 0, 4},
                {10 * S, 0, 600 * S, 10 * S, 2},
                {0, 10 * S, 600 * S, 10 * S, 2},
                {20 * S, 10 * S, 600 * S, 10 * S, 2},
                {10 * S, 20 * S, 600 * S, 10 * S, 2},
                {10 * S, 0, S, 10 * S, 1}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        struct world w;
        world_init(&w);
        w.store.awaited_ns = rows[i].awaited_ns;
        w.store.deadline_ns = rows[i].setting_ns;
        struct request r = {.sleeper = &w.sleeper, .failures = 3, .takes_ns = 7 * S, .asked_ns = 1};
        sl_rc rc = sli_retry_for(&w.store, rows[i].own_ns, NULL, try_it, &r, NULL);
        assert_int_equal(rc, rows[i].tries == 4 ? SL_OK : SL_EIO);
        assert_int_equal(r.tries, rows[i].tries);
        assert_int_equal(r.limits_ns[0], rows[i].first_ns);
        assert_int_equal(r.limits_ns[1], rows[i].tries == 2 ? 3 * S - 1 : 0);
    }
}

static void nobody_need_listen(void **state SL_UNUSED)
{
    struct world w;
    world_init(&w);
    struct request r = {.sleeper = &w.sleeper, .failures = 99};
    assert_int_equal(sli_retry_for(&w.store, 9 * S, NULL, try_it, &r, NULL), SL_EIO);
    assert_true(r.tries > 1);
}

static void a_cancel_ends_the_wait(void **state SL_UNUSED)
{
    struct sl_cancel cancel;
    struct world w;
    sl_cancel_init(&cancel);
    world_init(&w);
    struct request r = {.failures = 99, .cancel = &cancel, .cancel_at = 3};
    assert_int_equal(run(&w, &r), SL_ECANCELED);
    assert_int_equal(r.tries, 4);
    assert_int_equal(w.sleeper.wait_count, 3);
    sl_cancel_fini(&cancel);
}

/* A store that fails most calls is asked less: beyond 64 repetitions without a success the first
 * wait of a call is drawn from 20 s, not from 0.1 s. Successes give the quota back. */
static void a_store_in_trouble_is_asked_less(void **state SL_UNUSED)
{
    struct world w;
    world_init(&w);
    int64_t late = 0, healed = 0;
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < 64; k++) { /* no time for a repetition, but one was wanted */
            struct request r = {.sleeper = &w.sleeper, .failures = 9};
            assert_int_equal(sli_retry_for(&w.store, 1, NULL, try_it, &r, NULL), SL_EIO);
        }
        w.sleeper.wait_count = 0;
        struct request r = {.failures = 1};
        assert_int_equal(run(&w, &r), SL_OK);
        late = SL_MAX(late, w.sleeper.waits[0]);
    }
    for (int i = 0; i < 64; i++) {
        struct request good = {0};
        assert_int_equal(run(&w, &good), SL_OK);
    }
    for (int i = 0; i < 20; i++) {
        w.sleeper.wait_count = 0;
        struct request r = {.failures = 1};
        assert_int_equal(run(&w, &r), SL_OK);
        healed = SL_MAX(healed, w.sleeper.waits[0]);
    }
    assert_true(late > 2 * S); /* 20 draws from 20 s below 2 s: 1e-20 */
    assert_true(healed <= S / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_calls_and_final_failures_are_made_once),
        cmocka_unit_test(waits_double_up_to_20_s_with_full_jitter),
        cmocka_unit_test(what_the_server_asks_is_waited_up_to_a_minute),
        cmocka_unit_test(tries_end_with_the_deadline),
        cmocka_unit_test(tries_that_are_awaited_have_a_limit),
        cmocka_unit_test(nobody_need_listen),
        cmocka_unit_test(a_cancel_ends_the_wait),
        cmocka_unit_test(a_store_in_trouble_is_asked_less),
    };
    return cmocka_run_group_tests_name("backend retry", tests, NULL, NULL);
}
