/* Compact protocol against its specification (thrift-compact-protocol.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "parquet/parquet_int.h"

static void assert_hex(const struct sl_buf *got, const char *want)
{
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    assert_true(sl_hex_parse(sl_str_from(want), &bytes));
    assert_false(got->is_failed);
    assert_int_equal(got->len, bytes.len);
    assert_memory_equal(got->ptr, bytes.ptr, bytes.len);
}

static void integers_are_zigzag_varints(void **state)
{
    (void)state;
    static const struct {
        int64_t v;
        const char *hex;
    } cases[] = {
        {0, "00"},
        {-1, "01"},
        {1, "02"},
        {-2, "03"},
        {63, "7e"},
        {-64, "7f"},
        {64, "8001"},
        {INT32_MAX, "feffffff0f"},
        {INT32_MIN, "ffffffff0f"},
        {INT64_MAX, "feffffffffffffffff01"},
        {INT64_MIN, "ffffffffffffffffff01"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
        struct sli_thrift t = sli_thrift_over(&out);
        sli_thrift_i64(&t, 0, cases[i].v);
        assert_hex(&out, cases[i].hex);
        if (cases[i].v == (int32_t)cases[i].v) {
            sl_buf_clear(&out);
            sli_thrift_i32(&t, 0, (int32_t)cases[i].v);
            assert_hex(&out, cases[i].hex);
        }
    }
}

static void lengths_are_plain_varints(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) long_text = SL_BUF_EMPTY;
    struct sli_thrift t = sli_thrift_over(&out);
    assert_non_null(sl_buf_reserve(&long_text, 50399));
    memset(long_text.ptr, 'x', 50399);
    long_text.len = 50399;
    sli_thrift_binary(&t, 0, sl_buf_view(&long_text));
    assert_int_equal(out.len, 3 + 50399);
    assert_memory_equal(out.ptr, "\xDF\x89\x03", 3); /* the specification's own example */
}

static void near_fields_take_one_byte_and_far_ones_their_number(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sli_thrift t = sli_thrift_over(&out);
    sli_thrift_i32(&t, 1, 1);    /* delta 1: 15, then 02 */
    sli_thrift_i32(&t, 16, 1);   /* delta 15: f5 */
    sli_thrift_i16(&t, 32, -1);  /* delta 16: 04, zigzag 64 = 40, then 01 */
    sli_thrift_byte(&t, 31, -1); /* delta -1: 03, zigzag 62 = 3e, then ff */
    sli_thrift_end(&t);
    assert_hex(&out, "1502"
                     "f502"
                     "044001"
                     "033eff"
                     "00");
}

static void booleans_live_in_the_header_of_a_field_and_in_a_byte_of_a_list(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sli_thrift t = sli_thrift_over(&out);
    sli_thrift_bool(&t, 1, true);
    sli_thrift_bool(&t, 2, false);
    sli_thrift_list(&t, 3, SLI_T_TRUE, 2);
    sli_thrift_elem_bool(&t, true);
    sli_thrift_elem_bool(&t, false);
    sli_thrift_end(&t);
    assert_hex(&out, "11"
                     "12"
                     "19210102"
                     "00");
}

static void lists_carry_a_short_count_in_their_header(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sli_thrift t = sli_thrift_over(&out);
    sli_thrift_list(&t, 1, SLI_T_I32, 14);
    sli_thrift_list(&t, 2, SLI_T_I32, 15);
    sli_thrift_list(&t, 3, SLI_T_BINARY, 300);
    assert_hex(&out, "19e5"
                     "19f50f"
                     "19f8ac02");
}

static void structs_count_their_fields_anew(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sli_thrift t = sli_thrift_over(&out);
    sli_thrift_struct(&t, 5);
    sli_thrift_struct(&t, 1);
    sli_thrift_i32(&t, 2, 3);
    sli_thrift_end(&t);
    sli_thrift_i32(&t, 2, 4);
    sli_thrift_end(&t);
    sli_thrift_i32(&t, 6, 5);
    sli_thrift_end(&t);
    assert_hex(&out, "5c"
                     "1c"
                     "2506"
                     "00"
                     "1508"
                     "00"
                     "150a"
                     "00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_zigzag_varints),
        cmocka_unit_test(lengths_are_plain_varints),
        cmocka_unit_test(near_fields_take_one_byte_and_far_ones_their_number),
        cmocka_unit_test(booleans_live_in_the_header_of_a_field_and_in_a_byte_of_a_list),
        cmocka_unit_test(lists_carry_a_short_count_in_their_header),
        cmocka_unit_test(structs_count_their_fields_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
