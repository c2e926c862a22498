/* The token of an identity: who fetches it, when, and what the others do meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/store_int.h"
#include "base/mem.h"
#include "base/workers.h"

#define S INT64_C(1000000000)

struct world {
    struct sl_clock_fake *clock;
    struct sli_store store;
    struct sli_bearer bearer;
    int64_t life_s;
    uint32_t fetches;
    size_t filler; /* bytes behind the token's name */
    bool is_failing, may_pass, was_first;
    struct sl_cancel *hangs_until; /* the fetch lasts until this is set; NULL: no time */
};

static sl_rc fetch(void *arg, struct sli_token_ask *ask, struct sli_token *ret, struct sl_err *err)
{
    struct world *w = arg;
    w->fetches++;
    w->was_first = ask->is_first;
    while (w->hangs_until != NULL && !sl_cancel_is_set(w->hangs_until)) {
        SL_IGNORE(sl_clock_sleep_until(sl_clock_real(), sl_clock_mono_ns(sl_clock_real()) + S / 100,
                                       w->hangs_until),
                  "it is asked above");
    }
    if (w->is_failing) {
        ask->may_pass = w->may_pass;
        sl_buf_add_text(&ret->text, "half");
        return SL_FAIL(err, SL_EACCESS, "no token is given");
    }
    sl_buf_addf(&ret->text, "token%u", w->fetches);
    for (size_t i = 0; i < w->filler; i++) {
        sl_buf_add_u8(&ret->text, 'x');
    }
    ret->life_ns = w->life_s * S;
    return sl_buf_done(&ret->text, err);
}

static void begin(struct world *w)
{
    *w = (struct world){.clock = sl_clock_fake_new(7 * S, 99 * S), .life_s = 3600};
    w->store.clock = sl_clock_fake_clock(w->clock);
    sli_bearer_init(&w->bearer, &w->store, fetch, w);
}

static void end(struct world *w)
{
    sli_bearer_fini(&w->bearer);
    sl_clock_fake_free(w->clock);
    assert_int_equal(sl_mem_live(), 0);
}

static sl_rc add(struct world *w, const char *want, uint64_t *ret_no, bool *ret_again)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    sl_rc rc = sli_bearer_add(&w->bearer, NULL, &out, ret_no, ret_again, NULL);
    if (rc == SL_OK) {
        assert_string_equal(sl_buf_cstr(&out), want);
    }
    return rc;
}

static void shows(struct world *w, const char *want)
{
    uint64_t no = 0;
    bool is_again = false;
    assert_int_equal(add(w, want, &no, &is_again), SL_OK);
    assert_false(is_again);
}

static void a_token_is_renewed_before_it_ends(void **state SL_UNUSED)
{
    static const struct {
        int64_t life_s, good_s;
    } rows[] = {{3600, 3300}, {400, 200}, {86400, 86100}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        struct world w;
        begin(&w);
        w.life_s = rows[i].life_s;
        shows(&w, "Bearer token1");
        assert_true(w.was_first);
        sl_clock_fake_advance(w.clock, rows[i].good_s * S - 1);
        shows(&w, "Bearer token1");
        sl_clock_fake_advance(w.clock, 1);
        shows(&w, "Bearer token2");
        assert_false(w.was_first);
        assert_int_equal(w.fetches, 2);
        end(&w);
    }
}

static void a_failed_renewal_harms_nobody_while_the_old_one_serves(void **state SL_UNUSED)
{
    struct world w;
    uint64_t no = 0;
    bool is_again = false;
    begin(&w);
    shows(&w, "Bearer token1");
    w.is_failing = w.may_pass = true;
    sl_clock_fake_advance(w.clock, 3300 * S);
    shows(&w, "Bearer token1");
    shows(&w, "Bearer token1"); /* and is not tried again at once */
    assert_int_equal(w.fetches, 2);
    sl_clock_fake_advance(w.clock, 20 * S);
    shows(&w, "Bearer token1");
    assert_int_equal(w.fetches, 3);
    sl_clock_fake_advance(w.clock, 280 * S); /* its end */
    assert_int_equal(add(&w, NULL, &no, &is_again), SL_EACCESS);
    assert_true(is_again);
    w.may_pass = false;
    assert_int_equal(add(&w, NULL, &no, &is_again), SL_EACCESS);
    assert_false(is_again);
    w.is_failing = false;
    shows(&w, "Bearer token6");
    end(&w);
}

static void a_refused_token_is_replaced_once(void **state SL_UNUSED)
{
    struct world w;
    uint64_t no = 0, later = 0;
    bool is_again = false;
    begin(&w);
    assert_int_equal(add(&w, "Bearer token1", &no, &is_again), SL_OK);
    sli_bearer_refuse(&w.bearer, no);
    assert_int_equal(add(&w, "Bearer token2", &later, &is_again), SL_OK);
    assert_int_not_equal(no, later);
    sli_bearer_refuse(&w.bearer, no); /* somebody's late word about the first */
    shows(&w, "Bearer token2");
    end(&w);
}

static void a_token_that_is_too_long_is_none(void **state SL_UNUSED)
{
    struct world w;
    uint64_t no = 0;
    bool is_again = false;
    begin(&w);
    w.filler = SLI_TOKEN_MAX;
    assert_int_equal(add(&w, NULL, &no, &is_again), SL_ETOOBIG);
    w.filler = 0;
    shows(&w, "Bearer token2");
    end(&w);
}

struct other {
    struct world *w;
    sl_rc rc;
    bool is_again;
};

static void ask_too(void *arg)
{
    struct other *o = arg;
    uint64_t no = 0;
    o->rc = add(o->w, "Bearer token1", &no, &o->is_again);
}

/* Without a token all wait for one fetch; the one who is canceled waits no longer. */
static void others_wait_for_the_first_token(void **state SL_UNUSED)
{
    enum { COUNT = 4 };
    struct world w;
    struct sl_cancel go, canceled;
    struct other others[COUNT];
    struct sl_thread *threads[COUNT];
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    uint64_t no = 0;
    bool is_again = false;
    begin(&w);
    sl_cancel_init(&go);
    sl_cancel_init(&canceled);
    sl_cancel_set(&canceled);
    w.hangs_until = &go;
    for (int i = 0; i < COUNT; i++) {
        others[i] = (struct other){.w = &w};
        assert_int_equal(sl_thread_start("asks", ask_too, &others[i], &threads[i], NULL), SL_OK);
    }
    assert_int_equal(sli_bearer_add(&w.bearer, &canceled, &out, &no, &is_again, NULL),
                     SL_ECANCELED);
    sl_cancel_set(&go);
    for (int i = 0; i < COUNT; i++) {
        sl_thread_join(threads[i]);
        assert_int_equal(others[i].rc, SL_OK);
    }
    assert_int_equal(w.fetches, 1);
    sl_cancel_fini(&go);
    sl_cancel_fini(&canceled);
    sl_buf_fini(&out);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_renewed_before_it_ends),
        cmocka_unit_test(a_failed_renewal_harms_nobody_while_the_old_one_serves),
        cmocka_unit_test(a_refused_token_is_replaced_once),
        cmocka_unit_test(a_token_that_is_too_long_is_none),
        cmocka_unit_test(others_wait_for_the_first_token),
    };
    return cmocka_run_group_tests_name("backend bearer", tests, NULL, NULL);
}
