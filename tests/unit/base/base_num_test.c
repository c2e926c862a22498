/* Numbers to text and back: tables of Go's texts, and the C++ library as a second opinion.
 *
 * The float32 tables were printed by Go 1.24 and 1.26; base_num_all.c compares every bit pattern.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "num_oracle.h"

static float float_of(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static double double_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* A reproducible stream of 64-bit numbers (xorshift64). */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static const struct {
    uint32_t bits;
    const char *text;
} f32_cases[] = {
    {0x00000000, "0"},
    {0x80000000, "-0"},
    {0x3f800000, "1"},
    {0xbf800000, "-1"},
    {0x3f000000, "0.5"},
    {0xbe800000, "-0.25"},
    {0x40400000, "3"},
    {0x3dcccccd, "0.1"},
    {0x3e99999a, "0.3"},
    {0x3eaaaaab, "0.33333334"},
    {0x3f7fffff, "0.99999994"},
    {0x3f800001, "1.0000001"},
    {0x40490fdb, "3.1415927"},
    {0x3c4a4588, "0.012345679"},
    {0x42c80000, "100"},
    {0x43a9e3a3, "339.7784"},
    {0x4479ffff, "999.99994"},
    {0x47c34fff, "99999.99"},
    {0x47c35000, "100000"},
    {0x48ffffff, "524287.97"},
    {0x48435000, "200000"},
    {0x497423f0, "999999"},
    {0x497423ff, "999999.94"},
    {0x49742400, "1e+06"},
    {0x49f42400, "2e+06"},
    {0x4996b438, "1.234567e+06"},
    {0x4a7fffff, "4.1943038e+06"},
    {0x4b800000, "1.6777216e+07"},
    {0x4cbebc20, "1e+08"},
    {0x4f000000, "2.1474836e+09"},
    {0x50000000, "8.589935e+09"},
    {0x5f000000, "9.223372e+18"},
    {0x60ad78ec, "1e+20"},
    {0x6258d727, "1e+21"},
    {0x6a000000, "3.8685626e+25"},
    {0x7149f2ca, "1e+30"},
    {0x7f7fffff, "3.4028235e+38"},
    {0x3a83126f, "0.001"},
    {0x38d1b717, "0.0001"},
    {0xb8d1b717, "-0.0001"},
    {0x38d1b716, "9.999999e-05"},
    {0x38d1b1b9, "9.999e-05"},
    {0x3901725b, "0.00012345"},
    {0x3727c5ac, "1e-05"},
    {0x35800000, "9.536743e-07"},
    {0x33800000, "5.9604645e-08"},
    {0x0da24260, "1e-30"},
    {0x00800000, "1.1754944e-38"},
    {0x007fffff, "1.1754942e-38"},
    {0x00000001, "1e-45"},
    {0x00000002, "3e-45"},
    {0xea2869fa, "-5.09e+25"},
    {0x971e2597, "-5.11e-25"},
    /* Powers of two whose interval below is too short for the nearest decimal. */
    {0x0f800000, "1.2621775e-29"},
    {0x6b000000, "1.5474251e+26"},
    {0x6c800000, "1.2379401e+27"},
    {0x7f800000, "+Inf"},
    {0xff800000, "-Inf"},
    {0x7fc00000, "NaN"},
    {0xffc00001, "NaN"},
};

static void f32_format_prints_as_go_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT_OF(f32_cases); i++) {
        char text[SL_F32_TEXT_MAX + 1];
        memset(text, '#', sizeof text);
        size_t len = sl_f32_format(float_of(f32_cases[i].bits), text);
        assert_true(len < SL_F32_TEXT_MAX);
        assert_int_equal(text[SL_F32_TEXT_MAX], '#');
        text[len] = '\0';
        assert_string_equal(text, f32_cases[i].text);
    }
}

static void f32_format_stays_within_sixteen_bytes(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 1000000; i++) {
        char text[SL_F32_TEXT_MAX + 1];
        text[SL_F32_TEXT_MAX] = '#';
        (void)sl_f32_format(float_of((uint32_t)next_random(&random)), text);
        assert_int_equal(text[SL_F32_TEXT_MAX], '#');
    }
}

static void f32_array_prints_null_for_what_json_cannot_hold(void **state)
{
    (void)state;
    const uint32_t bits[] = {0x3f800000, 0x7fc00000, 0xbe800000,
                             0xff800000, 0x49742400, 0x80000000};
    uint8_t unaligned[1 + sizeof bits];
    memcpy(unaligned + 1, bits, sizeof bits);
    char text[SL_F32_ARRAY_MAX(6)];
    uint64_t nonfinite = 40;
    size_t len = sl_f32_array_format(unaligned + 1, 6, text, &nonfinite);
    const char want[] = "[1,null,-0.25,null,1e+06,-0]";
    assert_int_equal(len, strlen(want));
    assert_memory_equal(text, want, len);
    assert_int_equal(nonfinite, 42);
}

static void f32_array_of_nothing_is_empty_brackets(void **state)
{
    (void)state;
    char text[SL_F32_ARRAY_MAX(0)];
    uint64_t nonfinite = 0;
    assert_int_equal(sl_f32_array_format(NULL, 0, text, &nonfinite), 2);
    assert_memory_equal(text, "[]", 2);
    assert_int_equal(nonfinite, 0);
}

static void f32_array_agrees_with_single_values(void **state)
{
    (void)state;
    enum { COUNT = 4096 };
    static uint32_t bits[COUNT];
    static char text[SL_F32_ARRAY_MAX(COUNT) + 1];
    uint64_t random = 7;
    for (size_t i = 0; i < COUNT; i++) {
        bits[i] =
            (uint32_t)next_random(&random) & 0xbfffffff; /* below 2: the exponents of vectors */
    }
    uint64_t nonfinite = 0;
    text[SL_F32_ARRAY_MAX(COUNT)] = '#';
    size_t len = sl_f32_array_format((const uint8_t *)bits, COUNT, text, &nonfinite);
    assert_int_equal(text[SL_F32_ARRAY_MAX(COUNT)], '#');
    size_t at = 0;
    for (size_t i = 0; i < COUNT; i++) {
        char one[SL_F32_TEXT_MAX];
        size_t one_len = sl_f32_format(float_of(bits[i]), one);
        assert_int_equal(text[at], i == 0 ? '[' : ',');
        assert_memory_equal(text + at + 1, one, one_len);
        at += 1 + one_len;
    }
    assert_int_equal(text[at], ']');
    assert_int_equal(len, at + 1);
    assert_int_equal(nonfinite, 0);
}

/* Whole numbers of 32 * LIMBS bits, as much of them as the table of steps needs. */
enum { LIMBS = 16 };
struct big {
    uint32_t limb[LIMBS]; /* the lowest first */
};

static void big_times(struct big *b, uint32_t factor)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < LIMBS; i++) {
        carry += (uint64_t)b->limb[i] * factor;
        b->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    assert_int_equal(carry, 0);
}

/* Divides and rounds up. Rounding up each time is rounding up once. */
static void big_over_ceil(struct big *b, uint32_t divisor)
{
    uint64_t rest = 0;
    for (size_t i = LIMBS; i-- > 0;) {
        rest = rest << 32 | b->limb[i];
        b->limb[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    for (size_t i = 0; i < LIMBS && rest != 0; i++) {
        rest = ++b->limb[i] == 0;
    }
}

/* ceil(2^64 * 2^q / 10^(k + 1)) */
static uint64_t exact_step(int q, int k)
{
    struct big b = {{1}};
    for (int i = k + 1; i < 0; i++) {
        big_times(&b, 10);
    }
    for (int i = 0; i < 64 + q; i++) {
        big_times(&b, 2);
    }
    for (int i = 64 + q; i < 0; i++) {
        big_over_ceil(&b, 2);
    }
    for (int i = 0; i < k + 1; i++) {
        big_over_ceil(&b, 10);
    }
    for (size_t i = 2; i < LIMBS; i++) {
        assert_int_equal(b.limb[i], 0);
    }
    return (uint64_t)b.limb[1] << 32 | b.limb[0];
}

static void f32_steps_are_exact(void **state)
{
    (void)state;
    static const struct {
        int biased;
        uint64_t step;
    } table[] = {
#define SL_F32_STEP(biased, step) {biased, step},
#include "base/num_f32.tbl.h"
#undef SL_F32_STEP
    };
    assert_int_equal(SL_COUNT_OF(table), 254);
    for (int i = 0; i < 254; i++) {
        int q = i + 1 - 150;
        int k = (int)floor(q * log10(2)); /* exact enough: 2^q is no power of ten but for q = 0 */
        assert_int_equal(table[i].biased, i + 1);
        assert_true(table[i].step >= UINT64_MAX / 10 + 1);
        assert_true(table[i].step == exact_step(q, k));
    }
}

static void f32_format_json_prints_as_go_does(void **state)
{
    (void)state;
    static const struct {
        float v;
        const char *text;
    } cases[] = {
        {1e6f, "1000000"}, {123456789.0f, "123456790"},
        {1e-7f, "1e-7"},   {1e20f, "100000000000000000000"},
        {1e21f, "1e+21"},  {1.5e-6f, "0.0000015"},
        {-0.1f, "-0.1"},   {1e-6f, "0.000001"},
        {1e-45f, "1e-45"}, {3.4028235e38f, "3.4028235e+38"},
        {0.5f, "0.5"},     {16777216.0f, "16777216"},
        {0.0f, "0"},       {-0.0f, "-0"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        char text[SL_F64_TEXT_MAX];
        text[sl_f32_format_json(cases[i].v, text)] = '\0';
        assert_string_equal(text, cases[i].text);
    }
}

static void f64_format_prints_as_go_does(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1e21, "1e+21"},
        {1e20, "100000000000000000000"},
        {123456789012345680000.0, "123456789012345680000"},
        {1e-7, "1e-7"},
        {1e-6, "0.000001"},
        {9007199254740993.0, "9007199254740992"},
        {9007199254740991.0, "9007199254740991"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {100, "100"},
        {-1.5e300, "-1.5e+300"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {9.5367431640625e-07, "9.5367431640625e-7"},
        {1e15, "1000000000000000"},
        {1e16, "10000000000000000"},
        {9e15, "9000000000000000"},
        {123456.789, "123456.789"},
        {4.9406564584124654e-320, "4.9407e-320"},
        {6.5e-323, "6.4e-323"},
        {1e22, "1e+22"},
        {1e23, "1e+23"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        char text[SL_F64_TEXT_MAX];
        text[sl_f64_format(cases[i].v, text)] = '\0';
        assert_string_equal(text, cases[i].text);
    }
}

/* Go's encoding/json layout of the oracle's digits, by the plainest code possible. */
static size_t expect_f64(double v, char *at)
{
    char sci[40];
    size_t sci_len = oracle_f64_scientific(fabs(v), sci);
    sci[sci_len] = '\0';
    char *e = strchr(sci, 'e');
    int exp10 = atoi(e + 1);
    char *to = at;
    if (signbit(v)) {
        *to++ = '-';
    }
    if (v != 0 && (exp10 < -6 || exp10 >= 21)) {
        return (size_t)(to - at) + (size_t)sprintf(to, "%.*se%+d", (int)(e - sci), sci, exp10);
    }
    char digits[20];
    size_t n = 0;
    for (const char *p = sci; p < e; p++) {
        if (*p != '.') {
            digits[n++] = *p;
        }
    }
    for (int x = -1; x >= exp10; x--) {
        *to++ = '0';
        if (x == -1) {
            *to++ = '.';
        }
    }
    for (size_t i = 0; i < n || (exp10 >= 0 && i <= (size_t)exp10); i++) {
        if (exp10 >= 0 && i == (size_t)exp10 + 1) {
            *to++ = '.';
        }
        *to++ = i < n ? digits[i] : '0';
    }
    return (size_t)(to - at);
}

static void check_f64(double v)
{
    char got[SL_F64_TEXT_MAX + 1];
    char want[64];
    size_t got_len = sl_f64_format(v, got);
    size_t want_len = expect_f64(v, want);
    got[got_len] = '\0';
    want[want_len] = '\0';
    assert_string_equal(got, want);
    double back;
    assert_true(sl_f64_parse((struct sl_str){got, got_len}, &back));
    assert_memory_equal(&back, &v, sizeof v);
}

static void f64_digits_agree_with_the_c_plus_plus_library(void **state)
{
    (void)state;
    for (uint64_t exponent = 0; exponent < 2047; exponent++) { /* all powers of two, and beside */
        check_f64(double_of(exponent << 52));
        check_f64(double_of(exponent << 52 | 1));
        check_f64(double_of((exponent << 52) + ((UINT64_C(1) << 52) - 1)));
    }
    for (int shift = 0; shift < 52; shift++) { /* subnormal values */
        check_f64(double_of(UINT64_C(1) << shift));
    }
    uint64_t random = 3;
    for (int i = 0; i < 20000; i++) {
        double v = double_of(next_random(&random));
        if (isfinite(v)) {
            check_f64(v);
        }
        check_f64((double)(int64_t)next_random(&random) / 1000);
        check_f64((double)(next_random(&random) % 1000000) / 100);
    }
}

static bool parses(const char *text, double *ret)
{
    return sl_f64_parse(sl_str_from(text), ret);
}

static void f64_parse_takes_json_numbers_exactly(void **state)
{
    (void)state;
    static const char *texts[] = {
        "0",
        "-0",
        "1",
        "-1.5",
        "0.1",
        "1e5",
        "1E+5",
        "1e-5",
        "123456789012345678",
        "9007199254740993",
        "1.7976931348623157e308",
        "2.2250738585072014e-308",
        "5e-324",
        "2e-324",
        "4.9406564584124654e-324",
        "1e-400",
        "0e999999999999",
        "0.000000000000000000000000000001",
        "100000000000000000000000000000000",
        "3.14159265358979323846264338327950288",
        "8.5e22",
        "1e22",
        "1e23",
        "12345678901234567e-25",
        /* exactly between two doubles, and the least above */
        "9007199254740993.0000000000000000000000000000000000000000000",
        "9007199254740993.0000000000000000000000000000000000000000001",
    };
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        double got;
        double want = strtod(texts[i], NULL);
        assert_true(parses(texts[i], &got));
        assert_memory_equal(&got, &want, sizeof got);
    }
}

static void f64_parse_looks_beyond_eight_hundred_digits(void **state)
{
    (void)state;
    char text[2000];
    int len = snprintf(text, sizeof text, "9007199254740993.%01500d", 0);
    double got;
    assert_true(parses(text, &got));
    assert_true(got == 9007199254740992.0); /* a tie goes to the even neighbour */
    text[len - 1] = '1';
    assert_true(parses(text, &got));
    assert_true(got == 9007199254740994.0);
}

static void f64_parse_refuses_what_is_no_json_number(void **state)
{
    (void)state;
    static const char *texts[] = {
        "",
        "-",
        "+1",
        "01",
        "-01",
        ".5",
        "1.",
        "1e",
        "1e+",
        "1.e5",
        " 1",
        "1 ",
        "0x10",
        "nan",
        "NaN",
        "inf",
        "1,5",
        "1e5.",
        "--1",
        "1e1e1",
        "1e309",
        "-1e309",
        "123e99999999999999999999",
    };
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        double v = 77;
        assert_false(parses(texts[i], &v));
        assert_true(v == 77);
    }
}

static void integers_print_and_parse_at_their_limits(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 9, 10, 99, 100, 12345, UINT32_MAX, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < SL_COUNT_OF(values); i++) {
        char want[32];
        char got[20];
        uint64_t u;
        int64_t s;
        size_t len = sl_u64_format(values[i], got);
        assert_int_equal(len, sprintf(want, "%" PRIu64, values[i]));
        assert_memory_equal(got, want, len);
        assert_true(sl_u64_parse((struct sl_str){got, len}, &u));
        assert_true(u == values[i]);
        int64_t negative = (int64_t)(0 - (values[i] >> 1)) - (i > 0);
        len = sl_i64_format(negative, got);
        assert_int_equal(len, sprintf(want, "%" PRId64, negative));
        assert_memory_equal(got, want, len);
        assert_true(sl_i64_parse((struct sl_str){got, len}, &s));
        assert_true(s == negative);
    }
    char least[20];
    assert_int_equal(sl_i64_format(INT64_MIN, least), 20);
    assert_memory_equal(least, "-9223372036854775808", 20);
}

static void integers_refuse_other_texts_and_overflow(void **state)
{
    (void)state;
    static const char *texts[] = {"",
                                  "-",
                                  "+1",
                                  " 1",
                                  "1 ",
                                  "1a",
                                  "0x1",
                                  "1.0",
                                  "18446744073709551616",
                                  "99999999999999999999999"};
    uint64_t u = 77;
    int64_t s = 77;
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        assert_false(sl_u64_parse(sl_str_from(texts[i]), &u));
        assert_false(sl_i64_parse(sl_str_from(texts[i]), &s));
    }
    assert_false(sl_u64_parse(SL_STR("-1"), &u));
    assert_false(sl_i64_parse(SL_STR("9223372036854775808"), &s));
    assert_false(sl_i64_parse(SL_STR("-9223372036854775809"), &s));
    assert_false(sl_i64_parse(SL_STR("--1"), &s));
    assert_int_equal(u, 77);
    assert_int_equal(s, 77);
    assert_true(sl_i64_parse(SL_STR("-9223372036854775808"), &s));
    assert_true(s == INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f32_format_prints_as_go_does),
        cmocka_unit_test(f32_format_stays_within_sixteen_bytes),
        cmocka_unit_test(f32_array_prints_null_for_what_json_cannot_hold),
        cmocka_unit_test(f32_array_of_nothing_is_empty_brackets),
        cmocka_unit_test(f32_array_agrees_with_single_values),
        cmocka_unit_test(f32_steps_are_exact),
        cmocka_unit_test(f32_format_json_prints_as_go_does),
        cmocka_unit_test(f64_format_prints_as_go_does),
        cmocka_unit_test(f64_digits_agree_with_the_c_plus_plus_library),
        cmocka_unit_test(f64_parse_takes_json_numbers_exactly),
        cmocka_unit_test(f64_parse_looks_beyond_eight_hundred_digits),
        cmocka_unit_test(f64_parse_refuses_what_is_no_json_number),
        cmocka_unit_test(integers_print_and_parse_at_their_limits),
        cmocka_unit_test(integers_refuse_other_texts_and_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
