/* Text helpers, checksums and random bytes. The time table was printed by Go 1.26's time.Parse and
 * Format, with time.RFC3339Nano; checksums come from zlib's crc32 and xxHash's own sanity table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/str.h"

static void assert_text(const struct sl_buf *b, const char *want)
{
    assert_int_equal(b->len, strlen(want));
    if (b->len > 0) {
        assert_memory_equal(b->ptr, want, b->len);
    }
}

static void uuid_text_round_trips(void **state)
{
    (void)state;
    static const uint8_t uuid[SL_UUID_SIZE] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                               0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    char text[SL_UUID_TEXT_SIZE + 1] = {0};
    uint8_t back[SL_UUID_SIZE];
    sl_uuid_format(uuid, text);
    assert_string_equal(text, "00112233-4455-6677-8899-aabbccddeeff");
    assert_true(sl_uuid_parse(SL_STR("00112233-4455-6677-8899-AABBccddEEff"), back));
    assert_memory_equal(back, uuid, sizeof uuid);
}

static void uuid_parse_refuses_other_texts(void **state)
{
    (void)state;
    static const char *texts[] = {
        "",
        "00112233-4455-6677-8899-aabbccddeef",
        "00112233-4455-6677-8899-aabbccddeeff0",
        "00112233445566778899aabbccddeeff",
        "{0112233-4455-6677-8899-aabbccddeeff",
        "00112233-4455-6677-8899_aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeefg",
        "0011223--4455-6677-8899-aabbccddeeff",
    };
    uint8_t uuid[SL_UUID_SIZE] = {77};
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        assert_false(sl_uuid_parse(sl_str_from(texts[i]), uuid));
    }
    assert_int_equal(uuid[0], 77);
}

static void random_uuids_are_version_four_and_differ(void **state)
{
    (void)state;
    uint8_t a[SL_UUID_SIZE], b[SL_UUID_SIZE];
    assert_int_equal(sl_uuid_random(a, NULL), SL_OK);
    assert_int_equal(sl_uuid_random(b, NULL), SL_OK);
    assert_int_equal(a[6] >> 4, 4);
    assert_int_equal(a[8] >> 6, 2);
    assert_memory_not_equal(a, b, sizeof a);
}

static void random_bytes_fill_all_that_was_asked(void **state)
{
    (void)state;
    uint8_t bytes[64] = {0};
    assert_int_equal(sl_random_bytes(bytes, 48, NULL), SL_OK);
    size_t zero = 0;
    for (size_t i = 0; i < 48; i++) {
        zero += bytes[i] == 0;
    }
    assert_true(zero < 10); /* ten of 48 by chance: once in 10^14 runs */
    for (size_t i = 48; i < sizeof bytes; i++) {
        assert_int_equal(bytes[i], 0);
    }
    assert_int_equal(sl_random_bytes(NULL, 0, NULL), SL_OK);
}

static void hex_round_trips_and_is_lower_case(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    sl_hex_add(&text, SL_BYTES("\x00\x7f\x80\xff\x1a", 5));
    assert_text(&text, "007f80ff1a");
    assert_true(sl_hex_parse(SL_STR("007F80ff1A"), &bytes));
    assert_int_equal(bytes.len, 5);
    assert_memory_equal(bytes.ptr, "\x00\x7f\x80\xff\x1a", 5);
    assert_false(sl_hex_parse(SL_STR("00f"), &bytes));
    assert_false(sl_hex_parse(SL_STR("000g"), &bytes));
    assert_int_equal(bytes.len, 5); /* nothing of a refused text is left */
}

/* RFC 4648, section 10. */
static void base64_agrees_with_rfc_4648(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
        sl_base64_add(&text, sl_str_bytes(sl_str_from(cases[i][0])));
        assert_text(&text, cases[i][1]);
        assert_true(sl_base64_parse(sl_str_from(cases[i][1]), &bytes));
        assert_text(&bytes, cases[i][0]);
    }
}

static void base64_refuses_blanks_and_bad_padding(void **state)
{
    (void)state;
    static const char *texts[] = {"Zg",   "Zg=",   "Zg=a",     "====",     "Z===",    "Zg==Zg==",
                                  "Zm8 ", "Zm\n8", "Zm9vYg-_", "Zm9vZm=v", "Zm9\x80", "=g=="};
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        assert_false(sl_base64_parse(sl_str_from(texts[i]), &bytes));
        assert_int_equal(bytes.len, 0);
    }
}

static void percent_encoding_keeps_unreserved_characters(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) back = SL_BUF_EMPTY;
    sl_percent_encode(SL_STR("aZ09-._~ /%\xc3\xa9+"), &text);
    assert_text(&text, "aZ09-._~%20%2F%25%C3%A9%2B");
    assert_true(sl_percent_decode(sl_buf_str(&text), &back));
    assert_text(&back, "aZ09-._~ /%\xc3\xa9+");
    assert_false(sl_percent_decode(SL_STR("a%2"), &back));
    assert_false(sl_percent_decode(SL_STR("a%"), &back));
    assert_false(sl_percent_decode(SL_STR("a%zz"), &back));
    assert_int_equal(back.len, 14);
}

/* Unicode 15, table 3-7, and the examples of section 3.9. */
static void utf8_check_names_the_first_bad_byte(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t valid;
    } cases[] = {
        {"plain ascii, longer than eight bytes", 36},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9},
        {"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", 10},
        {"abcdefgh\xff", 8},
        {"abc\x80", 3}, /* a tail without a lead */
        {"ab\xc3", 2},  /* cut off */
        {"ab\xe2\x82", 2},
        {"a\xc0\xaf", 1}, /* overlong */
        {"a\xe0\x9f\xbf", 1},
        {"a\xf0\x8f\xbf\xbf", 1},
        {"a\xed\xa0\x80", 1},     /* surrogate */
        {"a\xf4\x90\x80\x80", 1}, /* above U+10FFFF */
        {"a\xf5\x80\x80\x80", 1},
        {"a\xe2\x28\xa1", 1},
        {"a\xe2\x82\x28", 1},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        assert_int_equal(sl_utf8_valid_len(sl_str_from(cases[i].text)), cases[i].valid);
    }
    assert_int_equal(sl_utf8_valid_len((struct sl_str){NULL, 0}), 0);
    assert_int_equal(sl_utf8_valid_len(SL_STR("a\0b")), 3);
}

static const struct {
    const char *text, *printed;
    int64_t ns;
} time_cases[] = {
    {"2020-01-01T1:02:03Z", "2020-01-01T01:02:03Z", 1577840523000000000},
    {"2020-01-01T01:02:03,5Z", "2020-01-01T01:02:03.5Z", 1577840523500000000},
    {"2020-01-01T01:02:03.123456789123+02:30", "2020-01-01T01:02:03.123456789+02:30",
     1577831523123456789},
    {"2020-01-01T01:02:03-00:00", "2020-01-01T01:02:03Z", 1577840523000000000},
    {"2020-02-29T00:00:00.100Z", "2020-02-29T00:00:00.1Z", 1582934400100000000},
    {"2020-01-01T00:00:00.000000000+23:59", "2020-01-01T00:00:00+23:59", 1577750460000000000},
    {"1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z", -500000000},
    {"2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z", 951782400000000000},
    {"0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", INT64_MIN},
    {"9999-12-31T23:59:59.999999999-23:59", "9999-12-31T23:59:59.999999999-23:59", INT64_MAX},
};

static void time_parse_and_normalize_agree_with_go(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT_OF(time_cases); i++) {
        int64_t ns;
        SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
        assert_true(sl_time_parse(sl_str_from(time_cases[i].text), &ns));
        assert_true(ns == time_cases[i].ns);
        assert_true(sl_time_parse(sl_str_from(time_cases[i].text), NULL));
        assert_true(sl_time_normalize(sl_str_from(time_cases[i].text), &out));
        assert_text(&out, time_cases[i].printed);
    }
}

static void time_parse_refuses_what_go_refuses(void **state)
{
    (void)state;
    static const char *texts[] = {
        "",
        "2020-01-01T24:02:03Z",
        "2020-01-01T00:60:00Z",
        "2020-01-01T00:00:60Z",
        "2020-02-30T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2020-00-10T00:00:00Z",
        "2020-13-10T00:00:00Z",
        "2020-04-31T00:00:00Z",
        "2020-01-00T00:00:00Z",
        "2020-01-01t00:00:00Z",
        "2020-01-01T00:00:00z",
        "2020-01-01T00:00:00.Z",
        "2020-01-01T00:00:00",
        "2020-1-01T00:00:00Z",
        "2020-01-01 00:00:00Z",
        "2020-01-01T1:2:03Z",
        "2020-01-01T00:00:00+0000",
        "2020-01-01T00:00:00+24:00", /* Go parses it, but cannot store it as JSON */
        "2020-01-01T00:00:00+1:00",
        "+020-01-01T00:00:00Z",
        "2020-01-01T00:00:00Z ",
        " 2020-01-01T00:00:00Z",
        "2020-01-01",
        "20",
    };
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        int64_t ns = 77;
        assert_false(sl_time_parse(sl_str_from(texts[i]), &ns));
        assert_int_equal(ns, 77);
        assert_false(sl_time_normalize(sl_str_from(texts[i]), &out));
        assert_int_equal(out.len, 0);
    }
}

static void times_print_in_both_forms(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *ms_text, *ns_text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00Z"},
        {1577840523500000000, "2020-01-01T01:02:03.500Z", "2020-01-01T01:02:03.5Z"},
        {1582934400123999999, "2020-02-29T00:00:00.123Z", "2020-02-29T00:00:00.123999999Z"},
        {-1, "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999999999Z"},
        {951868799000000001, "2000-02-29T23:59:59.000Z", "2000-02-29T23:59:59.000000001Z"},
        {INT64_MAX, "2262-04-11T23:47:16.854Z", "2262-04-11T23:47:16.854775807Z"},
        {INT64_MIN, "1677-09-21T00:12:43.145Z", "1677-09-21T00:12:43.145224192Z"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        SL_AUTO(sl_buf) ms = SL_BUF_EMPTY;
        SL_AUTO(sl_buf) ns = SL_BUF_EMPTY;
        sl_time_add_ms(&ms, cases[i].ns);
        sl_time_add_ns(&ns, cases[i].ns);
        assert_text(&ms, cases[i].ms_text);
        assert_text(&ns, cases[i].ns_text);
    }
}

static void every_day_of_six_centuries_round_trips(void **state)
{
    (void)state;
    for (int64_t day = -106000; day <= 106000; day++) { /* 1679..2260 */
        int64_t want = day * INT64_C(86400000000000) + INT64_C(45296000000001);
        int64_t got;
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        sl_time_add_ns(&text, want);
        assert_true(sl_time_parse(sl_buf_str(&text), &got));
        assert_true(got == want);
    }
}

static void str_helpers_look_at_both_ends(void **state)
{
    (void)state;
    assert_true(sl_str_starts(SL_STR("segment-1.db"), "segment-"));
    assert_false(sl_str_starts(SL_STR("seg"), "segment-"));
    assert_true(sl_str_starts(SL_STR("a"), ""));
    assert_true(sl_str_ends(SL_STR("segment-1.db"), ".db"));
    assert_false(sl_str_ends(SL_STR("db"), ".db"));
    assert_true(sl_str_ends((struct sl_str){NULL, 0}, ""));
    assert_true(sl_str_is(sl_str_trim(SL_STR(" \t\r\n a b \v\f")), "a b"));
    assert_int_equal(sl_str_trim(SL_STR("  ")).len, 0);
}

static void bool_parse_takes_the_words_of_the_reference(void **state)
{
    (void)state;
    static const char *yes[] = {"on", "ON", "enabled", "Enabled", "1", "true", "TRUE"};
    static const char *no[] = {"off", "disabled", "0", "false", "False", ""};
    static const char *neither[] = {"yes", "2", "tru", "truee", " on", "\xef"};
    bool v = false;
    for (size_t i = 0; i < SL_COUNT_OF(yes); i++) {
        assert_true(sl_bool_parse(sl_str_from(yes[i]), &v));
        assert_true(v);
    }
    for (size_t i = 0; i < SL_COUNT_OF(no); i++) {
        assert_true(sl_bool_parse(sl_str_from(no[i]), &v));
        assert_false(v);
    }
    v = true;
    for (size_t i = 0; i < SL_COUNT_OF(neither); i++) {
        assert_false(sl_bool_parse(sl_str_from(neither[i]), &v));
        assert_true(v);
    }
}

static void checksums_agree_with_their_libraries(void **state)
{
    (void)state;
    assert_int_equal(sl_crc32(0, sl_str_bytes(SL_STR("123456789"))), 0xcbf43926);
    uint32_t crc = sl_crc32(0, sl_str_bytes(SL_STR("1234")));
    assert_int_equal(sl_crc32(crc, sl_str_bytes(SL_STR("56789"))), 0xcbf43926);
    assert_int_equal(sl_crc32(5, (struct sl_bytes){NULL, 0}), 5);
    assert_true(sl_xxh64((struct sl_bytes){NULL, 0}) == UINT64_C(0x2d06800538d394c2));
}

static void streaming_checksum_equals_the_one_of_the_whole(void **state)
{
    (void)state;
    static uint8_t bytes[100000];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * i >> 3);
    }
    struct sl_xxh *x = sl_xxh_new();
    assert_non_null(x);
    sl_xxh_add(x, (struct sl_bytes){NULL, 0});
    size_t at = 0;
    for (size_t part = 1; at < sizeof bytes; part = part * 3 + 1) {
        size_t n = SL_MIN(part, sizeof bytes - at);
        sl_xxh_add(x, SL_BYTES(bytes + at, n));
        at += n;
    }
    assert_true(sl_xxh_value(x) == sl_xxh64(SL_BYTES(bytes, sizeof bytes)));
    sl_xxh_free(x);
    sl_xxh_free(NULL);
}

static void refused_memory_sticks_to_the_buffer(void **state)
{
    (void)state;
#ifdef SL_FAULTS_ON
    SL_AUTO(sl_buf) hex = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) base64 = SL_BUF_EMPTY;
    sl_fault_fail_after(SL_FAULT_ALLOC, 0);
    sl_hex_add(&hex, SL_BYTES("abc", 3));
    sl_base64_add(&base64, SL_BYTES("abc", 3));
    struct sl_xxh *x = sl_xxh_new();
    sl_fault_clear();
    assert_null(x);
    assert_int_equal(sl_buf_done(&hex, NULL), SL_ENOMEM);
    assert_int_equal(sl_buf_done(&base64, NULL), SL_ENOMEM);
#else
    fail_msg("no fault points in this build: meson setup -Dfaults=true");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uuid_text_round_trips),
        cmocka_unit_test(uuid_parse_refuses_other_texts),
        cmocka_unit_test(random_uuids_are_version_four_and_differ),
        cmocka_unit_test(random_bytes_fill_all_that_was_asked),
        cmocka_unit_test(hex_round_trips_and_is_lower_case),
        cmocka_unit_test(base64_agrees_with_rfc_4648),
        cmocka_unit_test(base64_refuses_blanks_and_bad_padding),
        cmocka_unit_test(percent_encoding_keeps_unreserved_characters),
        cmocka_unit_test(utf8_check_names_the_first_bad_byte),
        cmocka_unit_test(time_parse_and_normalize_agree_with_go),
        cmocka_unit_test(time_parse_refuses_what_go_refuses),
        cmocka_unit_test(times_print_in_both_forms),
        cmocka_unit_test(every_day_of_six_centuries_round_trips),
        cmocka_unit_test(str_helpers_look_at_both_ends),
        cmocka_unit_test(bool_parse_takes_the_words_of_the_reference),
        cmocka_unit_test(checksums_agree_with_their_libraries),
        cmocka_unit_test(streaming_checksum_equals_the_one_of_the_whole),
        cmocka_unit_test(refused_memory_sticks_to_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
