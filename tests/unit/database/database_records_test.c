/* Records of other parts over kv: order, replacement, removal, all or none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "database/records.h"

static const struct sl_record three[] = {
    {{"b", 1}, {"2", 1}}, {{"a", 1}, {"1", 1}}, {{"c/d", 3}, {"", 0}}};

static sl_rc add(void *arg, struct sl_str name, struct sl_str value, struct sl_err *err)
{
    (void)err;
    sl_buf_addf(arg, "%.*s=%.*s;", SL_STR_ARG(name), (int)value.len,
                value.len == 0 ? "" : value.ptr);
    return SL_OK;
}

static void holds(struct sl_kv *kv, const char *want)
{
    SL_AUTO(sl_buf) all = SL_BUF_EMPTY;
    assert_int_equal(sl_records_load(kv, add, &all, NULL), SL_OK);
    assert_string_equal(sl_buf_cstr(&all), want);
}

static void changes_are_found_again_in_order_of_names(void **state)
{
    struct sl_kv *kv = NULL;
    (void)state;
    assert_int_equal(sl_kv_mem_open(&kv, NULL), SL_OK);
    holds(kv, "");
    assert_int_equal(sl_records_store(kv, three, 3, NULL), SL_OK);
    holds(kv, "a=1;b=2;c/d=;");
    const struct sl_record more[] = {
        {SL_STR("a"), SL_STR("new")}, {SL_STR("b"), {0}}, {SL_STR("none"), {0}}};
    assert_int_equal(sl_records_store(kv, more, 3, NULL), SL_OK);
    holds(kv, "a=new;c/d=;");
    sl_kv_close(kv);
}

static void a_long_name_is_refused_with_all_that_came_along(void **state)
{
    struct sl_kv *kv = NULL;
    static char name[SL_RECORD_NAME_MAX + 1];
    (void)state;
    memset(name, 'x', sizeof name);
    assert_int_equal(sl_kv_mem_open(&kv, NULL), SL_OK);
    struct sl_record two[] = {{SL_STR("a"), SL_STR("1")}, {{name, sizeof name}, SL_STR("2")}};
    assert_int_equal(sl_records_store(kv, two, 2, NULL), SL_EINVAL);
    holds(kv, "");
    two[1].name.len--;
    assert_int_equal(sl_records_store(kv, two, 2, NULL), SL_OK);
    sl_kv_close(kv);
}

/* Each failing call and allocation in turn: told, and without half of the changes. */
static void failures_are_told_and_leave_no_half(void **state)
{
    static const enum sl_fault faults[] = {SL_FAULT_KV, SL_FAULT_ALLOC};
    (void)state;
    for (size_t f = 0; f < SL_COUNT_OF(faults); f++) {
        bool is_done = false;
        for (int64_t n = 0; !is_done && n < 100; n++) {
            struct sl_kv *inner = NULL, *kv = NULL;
            assert_int_equal(sl_kv_mem_open(&inner, NULL), SL_OK);
            assert_int_equal(sl_kv_faulty_open(inner, &kv, NULL), SL_OK);
            sl_fault_fail_after(faults[f], n);
            sl_rc rc = sl_records_store(kv, three, 3, NULL);
            sl_fault_clear();
            SL_AUTO(sl_buf) all = SL_BUF_EMPTY;
            assert_int_equal(sl_records_load(kv, add, &all, NULL), SL_OK);
            const char *text = sl_buf_cstr(&all);
            assert_true(strcmp(text, "") == 0 || strcmp(text, "a=1;b=2;c/d=;") == 0);
            is_done = rc == SL_OK;
            if (is_done) {
                assert_string_equal(text, "a=1;b=2;c/d=;");
            } else {
                assert_true(rc == SL_EIO || rc == SL_ENOMEM);
            }
            sl_kv_close(kv);
            sl_kv_close(inner);
        }
        assert_true(is_done);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_found_again_in_order_of_names),
        cmocka_unit_test(a_long_name_is_refused_with_all_that_came_along),
        cmocka_unit_test(failures_are_told_and_leave_no_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
