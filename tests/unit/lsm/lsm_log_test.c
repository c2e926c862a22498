/* One write-ahead log: the worked example of the format, logs of real servers, torn ends against
 * damage, records of old servers, writing that went on behind a torn record. */
#include "lsm_fixture.h"

static const uint8_t example_key[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                        0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

/* The object of the format's example, 151 bytes. */
static const char object_hex[] = "0107000000000000000100112233445566778899aabbccddeeff0068e5cf8b01"
                                 "00000168e5cf8b01000001000000803f"
                                 "010041090000007b2274223a2278227d040000006e756c6c040000006e756c6c"
                                 "0f00000082a161ce00000000a162ce00"
                                 "0000060800000001000000003f00000800000081a163ce000000001800000002"
                                 "0000000200cdcccc3d000000c0020000"
                                 "24744900004040";

/* The example's log: that object put, then deleted at 1700000000002; one secondary key of 8 bytes
 * in both records. Its lengths and checksums are the format's. */
static void example(struct sl_buf *ret)
{
    SL_AUTO(sl_buf) object = SL_BUF_EMPTY;
    assert_true(sl_hex_parse(sl_str_from(object_hex), &object));
    assert_true(sl_hex_parse(SL_STR("0001c000000000"), ret));
    sl_buf_add_u64(ret, object.len);
    sl_buf_add(ret, sl_buf_view(&object));
    sl_buf_add_u32(ret, 16);
    sl_buf_add(ret, SL_BYTES(example_key, 16));
    assert_true(sl_hex_parse(SL_STR("080000000700000000000000"), ret));
    assert_true(sl_hex_parse(SL_STR("004f76b4"), ret));
    assert_true(sl_hex_parse(SL_STR("00013200000001"), ret));
    sl_buf_add_u64(ret, 9);
    sl_buf_add_u8(ret, 1);
    sl_buf_add_u64(ret, UINT64_C(1700000000002));
    sl_buf_add_u32(ret, 16);
    sl_buf_add(ret, SL_BYTES(example_key, 16));
    assert_true(sl_hex_parse(SL_STR("080000000700000000000000"), ret));
    assert_true(sl_hex_parse(SL_STR("2c910e5c"), ret));
    assert_int_equal(ret->len, 262);
}

struct told {
    uint32_t count;
    char last[512];
};
static void tell(void *arg, const uint8_t *uuid, const char *what)
{
    struct told *told = arg;
    assert_null(uuid); /* nobody knows whose record it was */
    told->count++;
    (void)snprintf(told->last, sizeof(told->last), "%s", what);
}

/* Opens bytes as a log; told: damage is skipped. */
static sl_rc open_bytes(struct sl_bytes b, struct told *told, struct sli_log *ret,
                        struct sl_err *err)
{
    struct memfile m;
    struct sl_bucket_opts opts = {.damage = told == NULL ? NULL : tell, .damage_arg = told};
    memfile_open(&m, "x.wal");
    memfile_set(&m, b);
    sl_rc rc = sli_log_open(&m.blob, &opts, ret, err);
    memfile_close(&m);
    return rc;
}

static void worked_example_is_a_put_and_its_delete(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    struct sli_log log;
    struct sl_err err = {0};
    example(&bytes);
    assert_int_equal(open_bytes(sl_buf_view(&bytes), NULL, &log, &err), SL_OK);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.tombstone_count, 1);
    assert_int_equal(log.good_bytes, 262);
    assert_int_equal(log.entries[0].offset, 208);
    assert_int_equal(log.entries[0].size, 50);
    sli_log_fini(&log);
    assert_int_equal(open_bytes(SL_BYTES(bytes.ptr, 202), NULL, &log, &err), SL_OK);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.tombstone_count, 0);
    assert_int_equal(log.entries[0].offset, 6);
    assert_int_equal(log.entries[0].size, 192);
    sli_log_fini(&log);
}

/* Entries are the last record of each key, by key, as a plain pass over the file finds them. */
static void check_against_slow(struct sl_bytes bytes, const struct sli_log *log)
{
    struct rows all = {0}, merged = {0};
    size_t end = slow_log(bytes, &all);
    rows_merge(&merged, &all);
    assert_int_equal(log->good_bytes, end);
    assert_int_equal(log->count, merged.count);
    for (size_t i = 0; i < merged.count; i++) {
        uint64_t key[2];
        sli_key_load(merged.list[i].key, key);
        assert_int_equal(sli_key_cmp(log->entries[i].key, key), 0);
        assert_int_equal(log->entries[i].offset, merged.list[i].at);
        assert_int_equal(log->entries[i].size, merged.list[i].size);
        assert_int_equal(log->entries[i].is_tombstone, merged.list[i].is_tombstone);
        assert_int_equal(sli_log_seek(log, key), i);
        key[1]++;
        assert_int_equal(sli_log_seek(log, key), i + 1);
    }
    rows_fini(&all);
    rows_fini(&merged);
}

static const char *const real_logs[] = {
    /* Begun by 1.28.16 and continued by three newer servers: one or two secondary keys a record. */
    "v1.39.0-upgraded/segment-1795430789661223857.wal",
    "v1.39.0-log/segment-1795430665153165141.wal",
    "v1.34.20-log/segment-1795430358406584605.wal",
};

static void read_real(size_t i, struct mem *ret)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/weaviate/lsm/%s", SL_TEST_DATA, real_logs[i]);
    read_file(path, ret);
}

/* A server may be killed, or be caught writing, at any byte. */
static void logs_of_real_servers_cut_anywhere_keep_their_whole_records(void **state)
{
    (void)state;
    static const uint64_t record_counts[] = {12, 12, 2};
    for (size_t i = 0; i < SL_COUNT_OF(real_logs); i++) {
        struct mem bytes = {0};
        struct rows all = {0};
        read_real(i, &bytes);
        assert_int_equal(slow_log(SL_BYTES(bytes.ptr, bytes.len), &all), bytes.len);
        assert_int_equal(all.count, record_counts[i]);
        for (size_t len = 0; len <= bytes.len; len++) {
            struct sli_log log;
            struct sl_err err = {0};
            assert_int_equal(open_bytes(SL_BYTES(bytes.ptr, len), NULL, &log, &err), SL_OK);
            check_against_slow(SL_BYTES(bytes.ptr, len), &log);
            sli_log_fini(&log);
        }
        rows_fini(&all);
        mem_fini(&bytes);
    }
}

/* Wherever it lies, in the last record too: the checksums speak for every byte. */
static void no_changed_byte_passes_as_a_torn_end(void **state)
{
    (void)state;
    static const uint8_t patterns[] = {0x01, 0x02, 0x10, 0x80, 0xff};
    for (size_t i = 0; i < SL_COUNT_OF(real_logs); i++) {
        struct mem bytes = {0};
        read_real(i, &bytes);
        for (size_t at = 0; at < bytes.len; at++) {
            for (size_t k = 0; k < SL_COUNT_OF(patterns); k++) {
                struct sli_log log = {0};
                struct sl_err err = {0};
                bytes.ptr[at] ^= patterns[k];
                sl_rc rc = open_bytes(SL_BYTES(bytes.ptr, bytes.len), NULL, &log, &err);
                bytes.ptr[at] ^= patterns[k];
                assert_int_equal(rc, SL_ECORRUPT);
                assert_non_null(strstr(err.text, "x.wal: damaged from offset"));
            }
        }
        mem_fini(&bytes);
    }
}

/* Zeroes, as a page that never reached the disk, and garbage behind the end are told as well. */
static void zeroes_and_garbage_are_damage(void **state)
{
    (void)state;
    struct mem bytes = {0};
    read_real(1, &bytes);
    for (size_t at = 0; at < bytes.len; at += 13) {
        struct mem copy = {0};
        struct sli_log log = {0};
        mem_add(&copy, bytes.ptr, bytes.len);
        memset(copy.ptr + at, 0, bytes.len - at);
        assert_int_equal(open_bytes(SL_BYTES(copy.ptr, copy.len), NULL, &log, NULL), SL_ECORRUPT);
        copy.len = 0;
        mem_add(&copy, bytes.ptr, bytes.len);
        memset(copy.ptr + at, 0, SL_MIN(bytes.len - at, (size_t)100));
        assert_int_equal(open_bytes(SL_BYTES(copy.ptr, copy.len), NULL, &log, NULL), SL_ECORRUPT);
        mem_fini(&copy);
    }
    mem_add(&bytes, "garbage", 7);
    struct sli_log log = {0};
    assert_int_equal(open_bytes(SL_BYTES(bytes.ptr, bytes.len), NULL, &log, NULL), SL_ECORRUPT);
    mem_fini(&bytes);
}

/* Damage that is skipped costs the records it lies in, and is told once. */
static void skipped_damage_costs_one_record(void **state)
{
    (void)state;
    struct mem bytes = {0};
    struct rows all = {0};
    read_real(1, &bytes);
    (void)slow_log(SL_BYTES(bytes.ptr, bytes.len), &all);
    for (size_t i = 0; i < all.count; i++) {
        size_t from = all.list[i].at - 6, end = all.list[i].at + all.list[i].size;
        for (size_t at = from; at < end; at++) {
            struct told told = {0};
            struct sli_log log;
            struct sl_err err = {0};
            char want[64];
            bytes.ptr[at] ^= 0x20;
            assert_int_equal(open_bytes(SL_BYTES(bytes.ptr, bytes.len), &told, &log, &err), SL_OK);
            bytes.ptr[at] ^= 0x20;
            assert_int_equal(told.count, 1);
            (void)snprintf(want, sizeof(want), "from offset %zu to %zu", from, end + 4);
            assert_non_null(strstr(told.last, want));
            assert_int_equal(log.count, all.count - 1);
            for (uint64_t k = 0; k < log.count; k++) {
                assert_true(log.entries[k].offset != all.list[i].at);
            }
            sli_log_fini(&log);
        }
    }
    rows_fini(&all);
    mem_fini(&bytes);
}

/* ---- what other servers wrote ---- */

/* Servers before 1.24: two zero bytes, then the node; no length, no checksum, one secondary key. */
static void add_v0(struct mem *out, const struct row *row)
{
    mem_int(out, 0, 2);
    make_node(out, row, 1);
}

static void records_of_old_servers_have_neither_length_nor_checksum(void **state)
{
    (void)state;
    struct made_rows made = {0};
    struct mem bytes = {0};
    struct sli_log log;
    size_t ends[6];
    for (uint32_t n = 1; n <= 5; n++) {
        made_add(&made, n, n == 3 ? NULL : "old");
        ends[n - 1] = bytes.len;
        add_v0(&bytes, &made.rows.list[n - 1]);
    }
    ends[5] = bytes.len;
    for (size_t len = 0; len <= bytes.len; len++) {
        uint64_t whole = 0;
        while (whole < 5 && ends[whole + 1] <= len) {
            whole++;
        }
        struct sl_err err = {0};
        assert_int_equal(open_bytes(SL_BYTES(bytes.ptr, len), NULL, &log, &err), SL_OK);
        assert_int_equal(log.count, whole);
        assert_int_equal(log.good_bytes, ends[whole]);
        sli_log_fini(&log);
    }
    bytes.ptr[ends[2] + 2 + 9] = 15; /* the length of a key */
    struct told told = {0};
    assert_int_equal(open_bytes(SL_BYTES(bytes.ptr, bytes.len), NULL, &log, NULL), SL_ECORRUPT);
    assert_int_equal(open_bytes(SL_BYTES(bytes.ptr, bytes.len), &told, &log, NULL), SL_OK);
    assert_int_equal(told.count, 1);
    assert_int_equal(log.count, 2); /* where the next begins, nothing says */
    sli_log_fini(&log);
    mem_fini(&bytes);
    made_fini(&made);
}

/* An upgraded server goes on in the file: the chain passes over the two head bytes of old records,
 * not over their nodes. */
static void old_and_new_records_share_a_chain(void **state)
{
    (void)state;
    struct made_rows made = {0};
    struct mem bytes = {0};
    struct sli_log log;
    uint32_t crc = 0;
    for (uint32_t n = 1; n <= 6; n++) {
        made_add(&made, n, "x");
        const struct row *row = &made.rows.list[n - 1];
        if (n % 3 == 1) {
            add_v0(&bytes, row);
            crc = crc_add(crc, (const uint8_t *)"\0\0", 2);
        } else {
            make_record(&bytes, &crc, row, (int)(n % 3));
        }
    }
    struct sl_err err = {0};
    assert_int_equal(open_bytes(SL_BYTES(bytes.ptr, bytes.len), NULL, &log, &err), SL_OK);
    assert_int_equal(log.count, 6);
    assert_int_equal(log.good_bytes, bytes.len);
    sli_log_fini(&log);
    mem_fini(&bytes);
    made_fini(&made);
}

/* Some servers (1.30.4 to 1.32.9) went on behind a record that a kill had torn, with the last four
 * bytes of the file as the checksum so far. What they wrote then was acknowledged. */
static void writing_that_went_on_behind_a_torn_record_is_found(void **state)
{
    (void)state;
    struct made_rows made = {0};
    struct mem head = {0}, torn = {0};
    uint32_t crc = 0;
    for (uint32_t n = 1; n <= 5; n++) {
        made_add(&made, n, n == 5 ? NULL : "x");
    }
    make_record(&head, &crc, &made.rows.list[0], 1);
    make_record(&torn, &crc, &made.rows.list[1], 1);
    for (size_t len = 1; len < torn.len; len++) {
        struct mem bytes = {0};
        struct sli_log log;
        struct sl_err err = {0};
        mem_add(&bytes, head.ptr, head.len);
        mem_add(&bytes, torn.ptr, len);
        crc = __builtin_bswap32((uint32_t)int_at(SL_BYTES(bytes.ptr, bytes.len), bytes.len - 4, 4));
        for (size_t i = 2; i < 5; i++) {
            make_record(&bytes, &crc, &made.rows.list[i], 1);
        }
        assert_int_equal(open_bytes(SL_BYTES(bytes.ptr, bytes.len), NULL, &log, &err), SL_OK);
        assert_int_equal(log.count, 4);
        assert_int_equal(log.good_bytes, bytes.len);
        sli_log_fini(&log);
        mem_fini(&bytes);
    }
    mem_fini(&head);
    mem_fini(&torn);
    made_fini(&made);
}

static void a_record_that_is_no_object_is_damage_though_its_checksum_fits(void **state)
{
    (void)state;
    struct row row = {.value = SL_BYTES("not an object, but long enough to be one", 40)};
    struct mem bytes = {0};
    struct sli_log log;
    struct sl_err err = {0};
    uint32_t crc = 0;
    make_record(&bytes, &crc, &row, 1);
    assert_int_equal(open_bytes(SL_BYTES(bytes.ptr, bytes.len), NULL, &log, &err), SL_ECORRUPT);
    assert_non_null(strstr(err.text, "is not the key it lies under"));
    mem_fini(&bytes);
    /* Lengths inside the record that do not add up to the record's. */
    SL_AUTO(sl_buf) example_bytes = SL_BUF_EMPTY;
    example(&example_bytes);
    example_bytes.ptr[6 + 9 + 151 + 4 + 16] = 12; /* of the secondary key */
    crc = crc_add(0, example_bytes.ptr, 198);
    sl_put_u32(example_bytes.ptr + 198, __builtin_bswap32(crc));
    err = (struct sl_err){0};
    assert_int_equal(open_bytes(SL_BYTES(example_bytes.ptr, 202), NULL, &log, &err), SL_ECORRUPT);
    assert_non_null(strstr(err.text, "do not add up to 192"));
}

static void a_file_too_large_for_a_log_is_refused_unread(void **state)
{
    (void)state;
    struct sl_blob blob = {.name = "huge.wal", .size = (1ull << 35) + 1};
    struct sl_bucket_opts opts = {0};
    struct sli_log log;
    struct sl_err err = {0};
    assert_int_equal(sli_log_open(&blob, &opts, &log, &err), SL_ETOOBIG);
    assert_non_null(strstr(err.text, "huge.wal"));
}

/* More keys than the first lists hold, written in no order, most of them twice. */
static void many_records_are_sorted_and_the_last_counts(void **state)
{
    (void)state;
    struct made_rows made = {0};
    struct mem bytes = {0};
    struct sli_log log;
    uint32_t crc = 0;
    for (uint32_t i = 0; i < 3000; i++) {
        made_add(&made, i * 7919 % 2003, i % 5 == 0 ? NULL : "x");
        make_record(&bytes, &crc, &made.rows.list[i], (int)(i % 3));
    }
    struct sl_err err = {0};
    assert_int_equal(open_bytes(SL_BYTES(bytes.ptr, bytes.len), NULL, &log, &err), SL_OK);
    check_against_slow(SL_BYTES(bytes.ptr, bytes.len), &log);
    sli_log_fini(&log);
    mem_fini(&bytes);
    made_fini(&made);
}

static void every_failure_of_memory_or_file_is_passed_on(void **state)
{
    (void)state;
#ifdef SL_FAULTS_ON
    static const enum sl_fault faults[] = {SL_FAULT_ALLOC, SL_FAULT_FILE};
    static const sl_rc wants[] = {SL_ENOMEM, SL_EIO};
    struct sl_bucket_opts opts = {0};
    struct memfile m;
    struct mem bytes = {0};
    read_real(0, &bytes);
    bytes.len -= 5; /* a torn end is looked behind, too */
    memfile_open(&m, "x.wal");
    memfile_set(&m, SL_BYTES(bytes.ptr, bytes.len));
    size_t live = sl_mem_live();
    for (size_t k = 0; k < SL_COUNT_OF(faults); k++) {
        for (int64_t n = 0;; n++) {
            struct sli_log log;
            sl_fault_fail_after(faults[k], n);
            sl_rc rc = sli_log_open(&m.blob, &opts, &log, NULL);
            sl_fault_clear();
            if (rc == SL_OK) {
                assert_true(n > 0);
                sli_log_fini(&log);
                break;
            }
            assert_int_equal(rc, wants[k]);
            assert_int_equal(sl_mem_live(), live);
        }
    }
    memfile_close(&m);
    mem_fini(&bytes);
#else
    fail_msg("no fault points in this build: meson setup -Dfaults=true");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worked_example_is_a_put_and_its_delete),
        cmocka_unit_test(logs_of_real_servers_cut_anywhere_keep_their_whole_records),
        cmocka_unit_test(no_changed_byte_passes_as_a_torn_end),
        cmocka_unit_test(zeroes_and_garbage_are_damage),
        cmocka_unit_test(skipped_damage_costs_one_record),
        cmocka_unit_test(records_of_old_servers_have_neither_length_nor_checksum),
        cmocka_unit_test(old_and_new_records_share_a_chain),
        cmocka_unit_test(writing_that_went_on_behind_a_torn_record_is_found),
        cmocka_unit_test(a_record_that_is_no_object_is_damage_though_its_checksum_fits),
        cmocka_unit_test(a_file_too_large_for_a_log_is_refused_unread),
        cmocka_unit_test(many_records_are_sorted_and_the_last_counts),
        cmocka_unit_test(every_failure_of_memory_or_file_is_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
