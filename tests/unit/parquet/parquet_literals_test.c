/* Zstd frames of literals: libzstd gives back what went in, at the size Huffman's code must have.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zstd.h>

#include "parquet/parquet_int.h"

enum { PAGE = 1024 * 1024 };

static uint64_t random_state = 1;

static uint32_t below(uint32_t bound)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 32) * bound >> 32);
}

/* The length of the frame of levels and parts, after its way back; 0: left to matching. */
static size_t framed(const struct sl_bytes *parts, uint32_t count)
{
    size_t len = 0;
    for (uint32_t i = 0; i < count; i++) {
        len += parts[i].len;
    }
    size_t bound = ZSTD_compressBound(len);
    uint8_t *frame = malloc(bound), *again = malloc(len);
    assert_true(frame != NULL && again != NULL);
    static struct sli_pairs pairs;
    size_t got = sli_literals_frame(parts[0], parts + 1, count - 1, &pairs, frame);
    assert_true(got <= bound);
    if (got > 0) {
        assert_int_equal(ZSTD_getFrameContentSize(frame, got), len);
        assert_int_equal(ZSTD_decompress(again, len, frame, got), len);
        size_t at = 0;
        for (uint32_t i = 0; i < count; at += parts[i++].len) {
            assert_true(parts[i].len == 0 || memcmp(again + at, parts[i].ptr, parts[i].len) == 0);
        }
    }
    free(frame);
    free(again);
    return got;
}

static size_t framed_page(const uint8_t *page, size_t len)
{
    const struct sl_bytes parts[] = {{0}, SL_BYTES(page, len)};
    return framed(parts, 2);
}

static uint8_t *page_new(void)
{
    uint8_t *page = malloc(PAGE);
    assert_non_null(page);
    return page;
}

/* Bits of a byte at least (Shannon), of the page as it is. */
static double entropy(const uint8_t *page, size_t len)
{
    double counts[SLI_BYTES] = {0}, bits = 0;
    for (size_t i = 0; i < len; i++) {
        counts[page[i]]++;
    }
    for (uint32_t s = 0; s < SLI_BYTES; s++) {
        bits -= counts[s] > 0 ? counts[s] * log2(counts[s] / (double)len) : 0;
    }
    return bits / (double)len;
}

/* Sums of uniform numbers, unlike any that a table would be made for. */
static void add_floats(uint8_t *page)
{
    for (size_t i = 0; i + 4 <= PAGE; i += 4) {
        float v = ((float)below(1u << 24) + (float)below(1u << 24) - (float)(1u << 24)) / 3e8f;
        memcpy(page + i, &v, sizeof(v));
    }
}

static void floats_shrink_to_what_their_bytes_say(void **state)
{
    (void)state;
    uint8_t *page = page_new();
    add_floats(page);
    double bits = 8.0 * (double)framed_page(page, PAGE) / PAGE, least = entropy(page, PAGE);
    assert_true(least < 7.6);
    assert_true(bits < least * 1.01);
    /* Fewer rows than a page holds: a last block of any size. */
    for (size_t len = 32 * 1024; len < PAGE; len += 99991) {
        assert_true(framed_page(page, len) > 0);
        assert_true(framed_page(page, len) < len / 100 * 97);
    }
    free(page);
}

static void planes_shrink_each_by_itself(void **state)
{
    (void)state;
    uint8_t *page = page_new(), *planes = page_new();
    add_floats(page);
    struct sl_bytes parts[5] = {SL_BYTES("levels", 6)};
    double least = 0;
    for (size_t k = 0; k < 4; k++) {
        uint8_t *plane = planes + k * (PAGE / 4);
        for (size_t i = 0; i < PAGE / 4; i++) {
            plane[i] = page[i * 4 + k];
        }
        parts[1 + k] = SL_BYTES(plane, PAGE / 4);
        least += entropy(plane, PAGE / 4) / 4;
    }
    double bits = 8.0 * (double)framed(parts, 5) / PAGE;
    assert_true(bits < least * 1.01);
    assert_true(bits < 8.0 * (double)framed_page(page, PAGE) / PAGE * 0.95);
    free(page);
    free(planes);
}

static void text_shrinks_to_what_its_digits_say(void **state)
{
    (void)state;
    uint8_t *page = page_new();
    size_t len = 0;
    while (len + 64 < PAGE) {
        double v = ((double)below(1u << 30) - (double)(1u << 29)) / 1e10;
        len += (size_t)snprintf((char *)page + len, 64, "%.9g,", v);
        if (below(1500) == 0) { /* rows begin with their length */
            uint32_t row = below(20000);
            memcpy(page + len, &row, sizeof(row));
            len += sizeof(row);
        }
    }
    double bits = 8.0 * (double)framed_page(page, len) / (double)len, least = entropy(page, len);
    assert_true(least < 4);
    assert_true(bits < least * 1.03);
    free(page);
}

static void noise_is_stored_and_one_byte_is_told_once(void **state)
{
    (void)state;
    uint8_t *page = page_new();
    for (size_t i = 0; i < PAGE; i++) {
        page[i] = (uint8_t)below(256);
    }
    assert_int_equal(framed_page(page, PAGE), PAGE + 10 + 8 * 3);
    memset(page, 0xBF, PAGE);
    assert_int_equal(framed_page(page, PAGE), 10 + 8 * 4);
    free(page);
}

static void runs_are_left_to_matching(void **state)
{
    (void)state;
    uint8_t *page = page_new();
    for (size_t i = 0; i < PAGE; i++) {
        page[i] = below(5) == 0 ? (uint8_t)below(256) : 0;
    }
    assert_int_equal(framed_page(page, PAGE), 0);
    const struct sl_bytes parts[] = {SL_BYTES(page, PAGE / 8), SL_BYTES("vector", 6)};
    assert_true(framed(parts, 2) > 0); /* of levels they are not */
    free(page);
}

/* A byte that no sample can be sure to meet still has a code. */
static void one_byte_of_its_own_comes_back(void **state)
{
    (void)state;
    uint8_t *page = page_new();
    for (size_t at = 1; at < PAGE; at = at * 3 + 7) {
        for (size_t i = 0; i < PAGE; i++) {
            page[i] = (uint8_t)(100 + below(9));
        }
        page[at] = 255;
        assert_true(framed_page(page, PAGE) > 0);
    }
    free(page);
}

/* Blocks that the code of the sample does not shrink, or which are too small, are stored. */
static void blocks_unlike_their_page_come_back(void **state)
{
    (void)state;
    enum { BLOCK = 128 * 1024 };
    uint8_t *page = page_new();
    for (size_t i = 0; i < PAGE; i++) {
        bool is_noise = i / BLOCK == 2;
        page[i] = (uint8_t)(is_noise || below(8) == 0 ? below(256) : below(32));
    }
    size_t len = framed_page(page, PAGE - BLOCK + 500);
    assert_true(len > BLOCK + 500 && len < PAGE / 4 * 3);
    memset(page + (size_t)BLOCK * 3, 7, BLOCK);
    assert_true(framed_page(page, PAGE) > 0);
    free(page);
}

/* RFC 8878 has no description of codes that are all of one length, of more than 128 bytes. */
static void equal_codes_have_no_description(void **state)
{
    (void)state;
    uint32_t counts[SLI_BYTES];
    struct sli_huffman h;
    for (uint32_t s = 0; s < SLI_BYTES; s++) {
        counts[s] = 3;
    }
    assert_false(sli_huffman_build(counts, &h));
    memset(counts + 128, 0, sizeof(counts) / 2);
    assert_true(sli_huffman_build(counts, &h));
    assert_int_equal(h.tree[0], 127 + 127); /* the last is not told */
}

/* Counts as Fibonacci's make the deepest tree: 2^11 and more between two bytes. */
static void codes_are_no_longer_than_the_format_allows(void **state)
{
    (void)state;
    for (uint32_t n = 2; n <= SLI_BYTES; n++) {
        uint32_t counts[SLI_BYTES] = {0};
        for (uint32_t i = 0; i < n; i++) {
            uint32_t at = (i * 37) % SLI_BYTES;
            counts[at] =
                i < 2    ? 1
                : i < 40 ? counts[((i - 1) * 37) % SLI_BYTES] + counts[((i - 2) * 37) % SLI_BYTES]
                         : 5;
        }
        struct sli_huffman h;
        (void)sli_huffman_build(counts, &h);
        uint32_t kraft = 0;
        for (uint32_t s = 0; s < SLI_BYTES; s++) {
            uint32_t len = sli_code_len(h.codes[s]);
            assert_true(len <= SLI_CODE_LEN_MAX);
            assert_int_equal(len > 0, counts[s] > 0);
            kraft += len > 0 ? 1u << (SLI_CODE_LEN_MAX - len) : 0;
        }
        assert_int_equal(kraft, 1u << SLI_CODE_LEN_MAX);
    }
}

static void pages_of_all_kinds_come_back(void **state)
{
    (void)state;
    uint8_t *page = page_new();
    uint32_t coded = 0;
    for (uint32_t round = 0; round < 300; round++) {
        uint32_t len = 32 * 1024 + below(300000), base = below(256), span = 1 + below(256),
                 how = below(4);
        for (uint32_t i = 0; i < len; i++) {
            uint32_t v = below(span);
            v = how == 0   ? v
                : how == 1 ? v & below(span)
                : how == 2 ? v * below(span) / span
                           : (uint32_t)__builtin_ctz(below(1u << 24) | 1u << 24) * 3;
            page[i] = (uint8_t)(base + v);
        }
        struct sl_bytes parts[3];
        uint32_t cut = below(len), rest = below(len - cut);
        parts[0] = SL_BYTES(page, cut);
        parts[1] = SL_BYTES(page + cut, rest);
        parts[2] = SL_BYTES(page + cut + rest, len - cut - rest);
        coded += framed(parts, 3) > 0;
    }
    assert_true(coded > 200);
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_shrink_to_what_their_bytes_say),
        cmocka_unit_test(planes_shrink_each_by_itself),
        cmocka_unit_test(text_shrinks_to_what_its_digits_say),
        cmocka_unit_test(noise_is_stored_and_one_byte_is_told_once),
        cmocka_unit_test(runs_are_left_to_matching),
        cmocka_unit_test(one_byte_of_its_own_comes_back),
        cmocka_unit_test(blocks_unlike_their_page_come_back),
        cmocka_unit_test(equal_codes_have_no_description),
        cmocka_unit_test(codes_are_no_longer_than_the_format_allows),
        cmocka_unit_test(pages_of_all_kinds_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
