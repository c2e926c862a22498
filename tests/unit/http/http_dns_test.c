/* A name whose resolution hangs: no call waits for it longer than its own limits allow.
 *
 * libcurl asks getaddrinfo in a thread of its own, and gets ours: names below "hangs.invalid" are
 * answered when the test lets them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <netdb.h>
#include <semaphore.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/workers.h"
#include "http/client.h"
#include "http/exchange.h"

#define MS  INT64_C(1000000)
#define URL "http://a.hangs.invalid/bucket/key"

typedef int lookup_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static sem_t asked, release, over;

static void await(sem_t *s)
{
    while (sem_wait(s) != 0) {
        continue; /* a signal */
    }
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc's have underscores */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **res)
{
    if (node != NULL && strstr(node, "hangs.invalid") != NULL) {
        (void)sem_post(&asked);
        await(&release);
        (void)sem_post(&over);
        return EAI_NONAME;
    }
    union { /* ISO C knows no way from an object to a function */
        void *object;
        lookup_fn *function;
    } real = {dlsym(RTLD_NEXT, "getaddrinfo")};
    return real.function(node, service, hints, res);
}

static int64_t now(void)
{
    return sl_clock_mono_ns(sl_clock_real());
}

struct later {
    struct sl_cancel *cancel;
    int64_t set_ns;
};

static void cancel_when_asked(void *arg)
{
    struct later *l = arg;
    await(&asked);
    l->set_ns = now();
    sl_cancel_set(l->cancel);
}

/* What hung is let go, and over. */
static void let_go(void)
{
    (void)sem_post(&release);
    await(&over);
}

static sl_rc get(struct sl_http *http, int64_t timeout_ns, struct sl_cancel *cancel,
                 struct sl_err *err)
{
    struct sl_http_reply reply = {0};
    struct sl_http_request req = {.method = "GET",
                                  .url = SL_STR(URL),
                                  .reply_max = 1 << 16,
                                  .timeout_ns = timeout_ns,
                                  .is_direct = true,
                                  .cancel = cancel};
    sl_rc rc = sl_http_exchange(http, &req, &reply, err);
    sl_http_reply_fini(&reply);
    return rc;
}

static void a_cancel_ends_resolving(void **state SL_UNUSED)
{
    struct sl_cancel cancel;
    struct sl_http *http = NULL;
    struct sl_thread *t = NULL;
    struct later later = {.cancel = &cancel};
    const struct sl_http_opts opts = {.stall_ns = 600000 * MS};
    sl_cancel_init(&cancel);
    assert_int_equal(sl_http_new(&opts, &http, NULL), SL_OK);
    assert_int_equal(sl_thread_start("later", cancel_when_asked, &later, &t, NULL), SL_OK);
    assert_int_equal(get(http, 0, &cancel, NULL), SL_ECANCELED);
    sl_http_free(http);
    int64_t at = now();
    sl_thread_join(t);
    assert_in_range(at - later.set_ns, 0, 2000 * MS); /* 200 ms are promised */
    let_go();
    sl_cancel_fini(&cancel);
}

static void limits_of_time_end_resolving(void **state SL_UNUSED)
{
    static const struct {
        int64_t stall_ns, timeout_ns;
        const char *word;
    } rows[] = {{200 * MS, 0, "no byte moved"}, {600000 * MS, 200 * MS, "no answer"}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        struct sl_http *http = NULL;
        struct sl_err err = {.rc = SL_OK};
        const struct sl_http_opts opts = {.stall_ns = rows[i].stall_ns};
        assert_int_equal(sl_http_new(&opts, &http, NULL), SL_OK);
        int64_t begun = now();
        assert_int_equal(get(http, rows[i].timeout_ns, NULL, &err), SL_ETIMEOUT);
        sl_http_free(http);
        assert_in_range(now() - begun, 190 * MS, 3000 * MS); /* curl counts whole ms */
        assert_non_null(strstr(err.text, rows[i].word));
        assert_non_null(strstr(err.text, "a.hangs.invalid"));
        let_go();
    }
}

static void the_limit_of_a_client_ends_resolving(void **state SL_UNUSED)
{
    struct sl_http_client *c = NULL;
    struct sl_buf out = SL_BUF_EMPTY;
    struct sl_err err = {.rc = SL_OK};
    int status = 0;
    assert_int_equal(sl_http_client_new("http://b.hangs.invalid", NULL, 200, &c, NULL), SL_OK);
    int64_t begun = now();
    assert_int_equal(sl_http_call(c, "GET", "/", SL_BYTES(NULL, 0), &out, &status, &err),
                     SL_ETIMEOUT);
    sl_http_client_free(c);
    assert_in_range(now() - begun, 190 * MS, 3000 * MS); /* curl counts whole ms */
    let_go();
    sl_buf_fini(&out);
    assert_int_equal(sl_mem_live(), 0);
}

int main(void)
{
    (void)sem_init(&asked, 0, 0);
    (void)sem_init(&release, 0, 0);
    (void)sem_init(&over, 0, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancel_ends_resolving),
        cmocka_unit_test(limits_of_time_end_resolving),
        cmocka_unit_test(the_limit_of_a_client_ends_resolving),
    };
    return cmocka_run_group_tests_name("http dns", tests, NULL, NULL);
}
