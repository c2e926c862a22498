/* Cuts on the line between two keys, against a yardstick that is a plain function of the key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "kv/kv_int.h"

#define TEXT(text) SL_BYTES((text), strlen(text))

static void line_begins_where_the_keys_part(void **state)
{
    (void)state;
    struct sli_kv_line line = sli_kv_line_make(TEXT("prefix-aX"), TEXT("prefix-cY"));
    assert_int_equal(line.shared_len, 7);
    struct sli_kv_line_key key;
    sli_kv_line_key(&line, line.from, &key);
    assert_int_equal(key.len, 7 + SLI_KV_NUMBER_SIZE);
    assert_memory_equal(key.bytes, "prefix-aX\0\0", 11);
    sli_kv_line_key(&line, line.to, &key);
    assert_memory_equal(key.bytes, "prefix-cY\0\0", 11);
}

static void line_takes_a_key_that_begins_the_other(void **state)
{
    (void)state;
    struct sli_kv_line line = sli_kv_line_make(TEXT("ab"), TEXT("abc"));
    assert_int_equal(line.shared_len, 2);
    assert_true(line.from == 0);
    assert_true(line.to > line.from);
}

/* Bytes spread evenly over the 16 bytes behind a prefix of one byte: 2^64 - 1 for the whole line.
 */
static sl_rc even(void *arg, struct sl_bytes lo, struct sl_bytes hi, uint64_t *ret,
                  struct sl_err *err)
{
    (void)err;
    ++*(int *)arg;
    struct sl_rd from = sl_rd_over(SL_BYTES(lo.ptr + 1, 8));
    struct sl_rd to = sl_rd_over(SL_BYTES(hi.ptr + 1, 8));
    *ret = sl_rd_u64be(&to) - sl_rd_u64be(&from);
    return SL_OK;
}

static void cut_finds_the_wanted_share_of_even_bytes(void **state)
{
    (void)state;
    uint8_t first[17] = {'k'};
    uint8_t last[17];
    memset(last, 0xff, sizeof last);
    last[0] = 'k';
    struct sli_kv_line line = sli_kv_line_make(SL_BYTES(first, 17), SL_BYTES(last, 17));
    for (uint64_t share = 1; share < 8; share++) {
        uint64_t want = (UINT64_MAX / 8) * share;
        uint64_t tolerance = UINT64_MAX / 1000;
        unsigned __int128 at = 0;
        int calls = 0;
        assert_int_equal(
            sli_kv_line_cut(&line, line.from, want, tolerance, even, &calls, &at, NULL), SL_OK);
        uint64_t got = (uint64_t)(at >> 64);
        assert_in_range(got, want - tolerance, want + tolerance);
        assert_true(calls <= 12); /* halving a line reaches a thousandth in ten steps */
    }
}

/* All bytes lie behind one key of the line: the coarsest estimate there is. */
struct step {
    struct sl_bytes key;
    int calls;
};

static sl_rc one_step(void *arg, struct sl_bytes lo, struct sl_bytes hi, uint64_t *ret,
                      struct sl_err *err)
{
    struct step *s = arg;
    (void)lo;
    (void)err;
    s->calls++;
    *ret = sl_bytes_cmp(hi, s->key) >= 0 ? 1000000 : 0;
    return SL_OK;
}

static void cut_ends_above_a_step_that_is_too_coarse(void **state)
{
    (void)state;
    uint8_t first[17] = {'k'};
    uint8_t last[17];
    memset(last, 0xff, sizeof last);
    last[0] = 'k';
    struct sli_kv_line line = sli_kv_line_make(SL_BYTES(first, 17), SL_BYTES(last, 17));
    uint8_t middle[17] = {'k', 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0,
                          1,   2,    3,    4,    5,    6,    7,    8};
    struct step step = {.key = SL_BYTES(middle, 17)};
    unsigned __int128 at = 0;
    assert_int_equal(sli_kv_line_cut(&line, line.from, 500000, 10, one_step, &step, &at, NULL),
                     SL_OK);
    struct sli_kv_line_key key;
    sli_kv_line_key(&line, at, &key);
    assert_true(sl_bytes_eq(SL_BYTES(key.bytes, key.len), SL_BYTES(middle, 17)));
    assert_true(step.calls <= 128);
}

static sl_rc no_size(void *arg, struct sl_bytes lo, struct sl_bytes hi, uint64_t *ret,
                     struct sl_err *err)
{
    (void)arg;
    (void)lo;
    (void)hi;
    (void)ret;
    return SL_FAIL(err, SL_EIO, "no size");
}

static void cut_passes_a_failure_on(void **state)
{
    (void)state;
    struct sli_kv_line line = sli_kv_line_make(TEXT("a"), TEXT("z"));
    unsigned __int128 at = 7;
    assert_int_equal(sli_kv_line_cut(&line, line.from, 5, 1, no_size, NULL, &at, NULL), SL_EIO);
    assert_true(at == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_begins_where_the_keys_part),
        cmocka_unit_test(line_takes_a_key_that_begins_the_other),
        cmocka_unit_test(cut_finds_the_wanted_share_of_even_bytes),
        cmocka_unit_test(cut_ends_above_a_step_that_is_too_coarse),
        cmocka_unit_test(cut_passes_a_failure_on),
    };
    return cmocka_run_group_tests_name("kv split", tests, NULL, NULL);
}
