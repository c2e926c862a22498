/* Definition levels against Encodings.md, "Run Length Encoding / Bit-Packing Hybrid", width 1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "parquet/parquet_int.h"

static uint8_t present[SLI_PAGE_ROWS_MAX / 8 + 1];
static uint8_t out[SLI_LEVELS_ROOM + 16];

static void set(uint32_t row, bool is_present)
{
    uint8_t mask = (uint8_t)(1U << row % 8);
    present[row / 8] = (uint8_t)(is_present ? present[row / 8] | mask : present[row / 8] & ~mask);
}

/* Definition levels of the first rows, a run each. */
static size_t written(uint32_t row_count)
{
    static struct sli_run runs[SLI_PAGE_ROWS_MAX];
    SL_AUTO(sl_buf) levels = SL_BUF_EMPTY;
    for (uint32_t row = 0; row < row_count; row++) {
        runs[row] = (struct sli_run){1, 0, present[row / 8] >> row % 8 & 1};
    }
    sli_levels_write(runs, row_count, false, 1, &levels);
    assert_int_equal(sl_buf_done(&levels, NULL), SL_OK);
    assert_true(levels.len <= sizeof(out));
    memcpy(out, levels.ptr, levels.len);
    return levels.len;
}

/* Rows given as text: '1' present, '0' null. */
static void small_pages_have_the_bytes_of_the_specification(void **state)
{
    (void)state;
    static const struct {
        const char *rows, *hex;
    } cases[] = {
        /* length of what follows, then (run length << 1) and the value */
        {"1", "02000000"
              "0201"},
        {"0", "02000000"
              "0200"},
        {"1111111111", "02000000"
                       "1401"},
        {"0000000000", "02000000"
                       "1400"},
        {"1110", "04000000"
                 "0601"
                 "0200"},
        /* (groups of eight << 1 | 1), then bits from the lowest; the rest of the byte is zero */
        {"10101010", "02000000"
                     "0355"},
        {"101", "02000000"
                "0305"},
        {"0101010101", "03000000"
                       "05"
                       "aa02"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        SL_AUTO(sl_buf) want = SL_BUF_EMPTY;
        memset(present, 0xEE, sizeof(present)); /* bits behind the last row are not ours to trust */
        uint32_t count = (uint32_t)strlen(cases[i].rows);
        for (uint32_t row = 0; row < count; row++) {
            set(row, cases[i].rows[row] == '1');
        }
        assert_true(sl_hex_parse(sl_str_from(cases[i].hex), &want));
        assert_int_equal(written(count), want.len);
        assert_memory_equal(out, want.ptr, want.len);
    }
}

static uint32_t varint(const uint8_t *at, size_t *i)
{
    uint32_t v = 0, shift = 0;
    do {
        v |= (uint32_t)(at[*i] & 0x7F) << shift;
        shift += 7;
    } while ((at[(*i)++] & 0x80) != 0);
    return v;
}

/* A reader straight from the grammar: runs until count rows are known. */
static void assert_reads_back(uint32_t count, size_t len)
{
    size_t i = 4;
    uint32_t row = 0;
    uint32_t stored = 0;
    memcpy(&stored, out, 4);
    assert_int_equal(stored + 4, len);
    assert_true(len <= SLI_LEVELS_ROOM);
    while (i < len) {
        uint32_t head = varint(out, &i);
        uint32_t run = head & 1 ? (head >> 1) * 8 : head >> 1;
        for (uint32_t k = 0; k < run && row < count; k++, row++) {
            uint8_t bit = head & 1 ? out[i + k / 8] >> k % 8 & 1 : out[i];
            assert_int_equal(bit, present[row / 8] >> row % 8 & 1);
        }
        i += head & 1 ? head >> 1 : 1;
    }
    assert_int_equal(i, len);
    assert_int_equal(row, count);
}

static void every_pattern_reads_back(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 7, 8, 9, 63, 64, 65, 1000, 19999, 20000};
    uint32_t seed = 7;
    for (size_t i = 0; i < SL_COUNT_OF(counts); i++) {
        for (uint32_t run = 1; run <= 4096; run *= 2) {
            bool value = run % 3 == 1;
            for (uint32_t row = 0; row < counts[i]; row++) {
                seed = seed * 1664525u + 1013904223u;
                value = (seed >> 8) % run == 0 ? !value : value;
                set(row, value);
            }
            assert_reads_back(counts[i], written(counts[i]));
        }
    }
}

/* Width 2, repetition and definition apart; two rows of three and one element, one of an empty
 * list. */
static void nested_levels_have_the_bytes_of_the_specification(void **state)
{
    (void)state;
    static const struct sli_run runs[] = {{1, 0, 3}, {2, 1, 3}, {1, 0, 3}, {1, 0, 1}};
    SL_AUTO(sl_buf) levels = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) want = SL_BUF_EMPTY;
    sli_levels_write(runs, 4, true, 1, &levels); /* 0 1 1 0 0, packed from the lowest bit */
    sli_levels_write(runs, 4, false, 3, &levels);
    assert_true(sl_hex_parse(SL_STR("02000000"
                                    "0306"
                                    "04000000"
                                    "08030201"),
                             &want));
    assert_int_equal(levels.len, want.len);
    assert_memory_equal(levels.ptr, want.ptr, want.len);
    sl_buf_clear(&levels);
    static const struct sli_run mixed[] = {{1, 0, 2}, {1, 0, 0}, {1, 0, 3}, {1, 0, 1}, {1, 0, 2}};
    sli_levels_write(mixed, 5, false, 3, &levels); /* 2 0 3 1 | 2: two bits each */
    sl_buf_clear(&want);
    assert_true(sl_hex_parse(SL_STR("03000000"
                                    "037202"),
                             &want));
    assert_int_equal(levels.len, want.len);
    assert_memory_equal(levels.ptr, want.ptr, want.len);
}

static void levels_never_take_more_than_a_bit_a_row_and_a_head(void **state)
{
    (void)state;
    for (uint32_t row = 0; row < SLI_PAGE_ROWS_MAX; row++) {
        set(row, row % 2 == 0);
    }
    size_t len = written(SLI_PAGE_ROWS_MAX);
    assert_int_equal(len, 4 + 2 + SLI_PAGE_ROWS_MAX / 8);
    for (uint32_t row = 0; row < SLI_PAGE_ROWS_MAX; row++) {
        set(row, true);
    }
    len = written(SLI_PAGE_ROWS_MAX);
    assert_int_equal(len, 4 + 3 + 1); /* 40000 takes three bytes of seven bits */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_pages_have_the_bytes_of_the_specification),
        cmocka_unit_test(every_pattern_reads_back),
        cmocka_unit_test(nested_levels_have_the_bytes_of_the_specification),
        cmocka_unit_test(levels_never_take_more_than_a_bit_a_row_and_a_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
