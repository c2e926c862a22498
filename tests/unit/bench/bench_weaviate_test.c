/* The writer of Weaviate files against the worked example of the description of the format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "weaviate_write.h"

static const char object_hex[] =
    "0107000000000000000100112233445566778899aabbccddeeff0068e5cf8b0100000168e5cf8b01"
    "000001000000803f010041090000007b2274223a2278227d040000006e756c6c040000006e756c6c"
    "0f00000082a161ce00000000a162ce000000060800000001000000003f00000800000081a163ce00"
    "00000018000000020000000200cdcccc3d000000c002000024744900004040";

static const char segment_hex[] =
    "0000010001000000f100000000000000009700000000000000010700000000000000010011223344"
    "5566778899aabbccddeeff0068e5cf8b0100000168e5cf8b01000001000000803f01004109000000"
    "7b2274223a2278227d040000006e756c6c040000006e756c6c0f00000082a161ce00000000a162ce"
    "000000060800000001000000003f00000800000081a163ce0000000018000000020000000200cdcc"
    "cc3d000000c0020000247449000040401000000000112233445566778899aabbccddeeff08000000"
    "070000000000000001000000000000000010000000ffffffff000040008000000000000001000000"
    "0061010000000000001000000000112233445566778899aabbccddeeff1000000000000000d00000"
    "0000000000ffffffffffffffff340000000000000010000000ffffffff0000400080000000000000"
    "01d000000000000000f100000000000000ffffffffffffffffffffffffffffffff00000000d00000"
    "0000000000f100000000000000ffffffffffffffff24000000000000000800000007000000000000"
    "001000000000000000d000000000000000ffffffffffffffffffffffffffffffff0be1f949";

static struct wv_node example_node(struct sl_buf *value)
{
    struct wv_node node = {.doc_id = 7, .deleted_ms = 1700000000002};
    assert_true(sl_uuid_parse(SL_STR("00112233-4455-6677-8899-aabbccddeeff"), node.key));
    assert_true(sl_hex_parse(sl_str_from(object_hex), value));
    node.value = sl_buf_view(value);
    return node;
}

static void segment_is_the_worked_example(void **state SL_UNUSED)
{
    char path[] = "/tmp/sluice-bench-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    struct sl_err err = {0};
    struct wv_style style = {.version = 1, .secondary_count = 1};
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) hex = SL_BUF_EMPTY;
    struct wv_node put = example_node(&value), gone = {.is_tombstone = true};
    assert_true(sl_uuid_parse(SL_STR("ffffffff-0000-4000-8000-000000000001"), gone.key));
    struct wv_segment s;
    assert_int_equal(wv_segment_begin(&s, path, &style, 0, &err), SL_OK);
    assert_int_equal(wv_segment_add(&s, &put, &err), SL_OK);
    assert_int_equal(wv_segment_add(&s, &gone, &err), SL_OK);
    assert_int_equal(wv_segment_end(&s, &err), SL_OK);
    assert_int_equal(sl_file_read_all(path, 4096, &bytes, &err), SL_OK);
    assert_int_equal(sl_file_unlink(path, &err), SL_OK);
    sl_hex_add(&hex, sl_buf_view(&bytes));
    assert_string_equal(sl_buf_cstr(&hex), segment_hex);
}

/* Node lengths 192 and 50, checksums 004f76b4 and 2c910e5c, 262 bytes in all. */
static void log_has_the_lengths_and_checksums_of_the_worked_example(void **state SL_UNUSED)
{
    struct wv_style style = {
        .secondary_count = 1, .is_tombstone_timed = true, .has_tombstone_doc_id = true};
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) hex = SL_BUF_EMPTY;
    struct wv_log log = {.out = SL_BUF_EMPTY};
    struct wv_node node = example_node(&value);
    wv_log_add(&log, &style, &node);
    node.is_tombstone = true;
    wv_log_add(&log, &style, &node);
    assert_int_equal(log.out.len, 262);
    sl_hex_add(&hex, SL_BYTES(log.out.ptr, 6));
    sl_hex_add(&hex, SL_BYTES(log.out.ptr + 6 + 192, 4 + 6));
    sl_hex_add(&hex, SL_BYTES(log.out.ptr + 262 - 4, 4));
    assert_string_equal(sl_buf_cstr(&hex), "0001c0000000"
                                           "004f76b4"
                                           "000132000000"
                                           "2c910e5c");
    sl_buf_fini(&log.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segment_is_the_worked_example),
        cmocka_unit_test(log_has_the_lengths_and_checksums_of_the_worked_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
