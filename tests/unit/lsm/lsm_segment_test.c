/* One segment: the worked example of the format, segments of real servers, seeking against a look
 * at every node, and each way a header or index can be wrong. */
#include "lsm_fixture.h"

/* Version 1, one secondary key: an object and a tombstone. Header, data, secondary offset, primary
 * index, secondary index, checksum. */
static const char example_hex[] =
    "0000010001000000f1000000000000000097000000000000000107000000000000000100112233445566778899aabb"
    "ccddeeff0068e5cf8b0100000168e5cf8b01000001000000803f010041090000007b2274223a2278227d040000006e"
    "756c6c040000006e756c6c0f00000082a161ce00000000a162ce000000060800000001000000003f00000800000081"
    "a163ce0000000018000000020000000200cdcccc3d000000c002000024744900004040100000000011223344556677"
    "8899aabbccddeeff08000000070000000000000001000000000000000010000000ffffffff00004000800000000000"
    "0001000000006101000000000000100000000011223344556677"
    "8899aabbccddeeff1000000000000000d000000000000000ffffffffffffffff340000000000000010000000ffffff"
    "ff000040008000000000000001d000000000000000f100000000000000ffffffffffffffffffffffffffffffff0000"
    "0000d000000000000000f100000000000000ffffffffffffffff240000000000000008000000070000000000000010"
    "00"
    "000000000000d000000000000000ffffffffffffffffffffffffffffffff0be1f949";
enum {
    EXAMPLE_SIZE = 437,
    EXAMPLE_TOMBSTONE = 208,
    EXAMPLE_DATA_END = 241,
    EXAMPLE_INDEX = 249,
    EXAMPLE_SECONDARY = 353
};

static void example(struct sl_buf *ret)
{
    assert_true(sl_hex_parse(sl_str_from(example_hex), ret));
    assert_int_equal(ret->len, EXAMPLE_SIZE);
}

/* Opens bytes as a segment. */
static sl_rc open_bytes(struct memfile *m, struct sl_bytes b, struct sli_segment *ret,
                        struct sl_err *err)
{
    memfile_set(m, b);
    return sli_segment_open(&m->blob, ret, err);
}

static sl_rc verify(struct sli_segment *s, struct sl_err *err)
{
    static const struct sl_bucket_opts strict;
    return sli_segment_verify(s, &strict, err);
}

static void worked_example_has_two_nodes(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    struct memfile m;
    struct sli_segment s;
    struct sli_node n;
    struct sli_window w;
    example(&bytes);
    memfile_open(&m, "example.db");
    assert_int_equal(open_bytes(&m, sl_buf_view(&bytes), &s, NULL), SL_OK);
    assert_int_equal(s.level, 0);
    assert_int_equal(s.version, 1);
    assert_int_equal(s.slot_count, 1);
    assert_int_equal(s.data_end, EXAMPLE_DATA_END);
    assert_int_equal(s.index_at, EXAMPLE_INDEX);
    assert_int_equal(s.index_end, EXAMPLE_SECONDARY);
    assert_int_equal(sli_segment_key_count(&s), 2);
    assert_int_equal(sli_segment_check(&s, NULL), SL_OK);
    assert_int_equal(verify(&s, NULL), SL_OK);
    assert_int_equal(s.tombstone_count, 1);
    sli_window_begin(&w, &s.blob, s.data_end, 1);
    assert_int_equal(sli_node_read(&w, 16, 1, 0, &n, NULL), SL_OK);
    assert_int_equal(n.size, EXAMPLE_TOMBSTONE - 16);
    assert_int_equal(n.value.len, 151);
    assert_false(n.is_tombstone);
    assert_true(n.key[0] == 0x0011223344556677 && n.key[1] == 0x8899aabbccddeeff);
    assert_int_equal(sli_node_read(&w, EXAMPLE_TOMBSTONE, 1, 0, &n, NULL), SL_OK);
    assert_true(n.is_tombstone);
    assert_int_equal(n.value.len, 0);
    assert_true(n.key[0] == 0xffffffff00004000 && n.key[1] == 0x8000000000000001);
    sli_window_fini(&w);
    memfile_close(&m);
}

static void a_segment_written_the_slow_way_is_verified(void **state)
{
    (void)state;
    for (int slots = 0; slots <= 2; slots++) {
        for (int version = 0; version <= 1; version++) {
            struct made_rows made = {0};
            struct bucket_files f = {0};
            struct sli_segment s;
            struct sl_err err = {0};
            for (uint32_t n = 1; n <= 100; n++) {
                made_add(&made, n, n % 7 == 0 ? NULL : "x");
            }
            files_add_segment(&f, "segment-1.db", &made, slots, version);
            assert_int_equal(sli_segment_open(&f.sources[0].blob, &s, &err), SL_OK);
            assert_int_equal(s.slot_count, slots);
            assert_int_equal(s.version, version);
            assert_int_equal(sli_segment_key_count(&s), 100);
            assert_int_equal(verify(&s, &err), SL_OK);
            assert_int_equal(s.tombstone_count, 14);
            files_fini(&f);
            made_fini(&made);
        }
    }
}

static void a_segment_without_keys_is_empty(void **state)
{
    (void)state;
    struct made_rows made = {0};
    struct bucket_files f = {0};
    struct sli_segment s;
    struct sli_index_node n;
    uint64_t key[2] = {0, 0};
    files_add_segment(&f, "segment-1.db", &made, 1, 0);
    assert_int_equal(sli_segment_open(&f.sources[0].blob, &s, NULL), SL_OK);
    assert_int_equal(sli_segment_key_count(&s), 0);
    assert_int_equal(sli_segment_seek(&s, key, &n, NULL), SL_END);
    assert_int_equal(verify(&s, NULL), SL_OK);
    files_fini(&f);
}

/* ---- seek ---- */

/* Every key, the ones just before and behind it, the lowest and the highest: the index leads to
 * what a look at every node finds. */
static void check_seeks(const struct sli_segment *s, const struct rows *rows)
{
    for (size_t i = 0; i <= rows->count; i++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t key[2] = {UINT64_MAX, UINT64_MAX};
            uint8_t raw[16];
            struct sli_index_node n;
            size_t want = 0;
            if (i < rows->count) {
                sli_key_load(rows->list[i].key, key);
                key[1] += (uint64_t)delta; /* wraps at the ends, which is a key as well */
            }
            sli_key_store(key, raw);
            while (want < rows->count && memcmp(rows->list[want].key, raw, 16) < 0) {
                want++;
            }
            sl_rc rc = sli_segment_seek(s, key, &n, NULL);
            if (want == rows->count) {
                assert_int_equal(rc, SL_END);
            } else {
                assert_int_equal(rc, SL_OK);
                assert_int_equal(n.start, rows->list[want].at);
                assert_int_equal(n.end, rows->list[want].at + rows->list[want].size);
            }
        }
    }
}

static void real_segments_verify_and_seek_as_a_look_at_every_node(void **state)
{
    (void)state;
    static const char *names[] = {"v1.39.0-upgraded", "v1.39.0-cleaned",   "v1.39.0-emptied",
                                  "v1.39.0-checksum", "v1.28.16-checksum", "v1.34.20-segment",
                                  "v1.34.20-named"};
    uint32_t checked = 0;
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        struct bucket_files f = {0};
        files_of(&f, names[i]);
        for (uint32_t k = 0; k < f.count; k++) {
            struct sli_segment s;
            struct sl_err err = {0};
            struct rows rows = {0};
            uint8_t bytes[32768];
            size_t len = (size_t)f.sources[k].blob.size;
            if (f.sources[k].is_log) {
                continue;
            }
            assert_true(len <= sizeof(bytes));
            assert_int_equal(pread(f.files[k].fd, bytes, len, 0), len);
            assert_true(slow_segment(SL_BYTES(bytes, len), &rows));
            assert_int_equal(sli_segment_open(&f.sources[k].blob, &s, &err), SL_OK);
            assert_int_equal(verify(&s, &err), SL_OK);
            assert_int_equal(sli_segment_key_count(&s), rows.count);
            check_seeks(&s, &rows);
            rows_fini(&rows);
            checked++;
        }
        files_fini(&f);
    }
    assert_int_equal(checked, 13);
}

static void seeking_in_trees_of_every_size(void **state)
{
    (void)state;
    for (uint32_t count = 0; count < 40; count++) {
        struct made_rows made = {0};
        struct bucket_files f = {0};
        struct sli_segment s;
        for (uint32_t n = 1; n <= count; n++) {
            made_add(&made, n * 3, "x");
        }
        files_add_segment(&f, "segment-1.db", &made, 1, 0);
        assert_int_equal(sli_segment_open(&f.sources[0].blob, &s, NULL), SL_OK);
        check_seeks(&s, &made.rows);
        files_fini(&f);
        made_fini(&made);
    }
}

/* ---- what is wrong ---- */

struct change {
    size_t at;
    const char *hex;  /* bytes that come to lie there */
    const char *what; /* part of the sentence; NULL: opens all the same */
};

static void check_change(const struct change *c)
{
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) patch = SL_BUF_EMPTY;
    struct memfile m;
    struct sli_segment s;
    struct sl_err err = {0};
    example(&bytes);
    assert_true(sl_hex_parse(sl_str_from(c->hex), &patch));
    memcpy(bytes.ptr + c->at, patch.ptr, patch.len);
    memfile_open(&m, "example.db");
    sl_rc rc = open_bytes(&m, sl_buf_view(&bytes), &s, &err);
    if (c->what == NULL) {
        assert_int_equal(rc, SL_OK);
    } else {
        assert_int_equal(rc, SL_ECORRUPT);
        assert_non_null(strstr(err.text, "example.db"));
        assert_non_null(strstr(err.text, c->what));
    }
    memfile_close(&m);
}

static void headers_that_are_wrong_are_refused(void **state)
{
    (void)state;
    static const struct change changes[] = {
        {0, "ffff", NULL}, /* the level says nothing about the bytes */
        {2, "0000", NULL}, /* no checksum: the trailer counts as part of the last index */
        {2, "0200", "version 2 at offset 2"},
        {4, "1100", "too many secondary indexes"},
        {4, "0000", "16 bytes long"}, /* the offset is read as an index */
        {4, "0200", "out of place"},
        {6, "0100", "strategy"},
        {8, "0f00", "inside the header"},
        {8, "b201", "beyond the end"},
        {8, "ffffffffffffffff", "beyond the end"},
        {8, "f000", "out of place"},
        {EXAMPLE_DATA_END, "f8", "out of place"},
        {EXAMPLE_DATA_END, "b2", "out of place"},
        {EXAMPLE_DATA_END, "0a01", "ends before one of its nodes"},
        {EXAMPLE_INDEX, "11", "16 bytes long"},
        {EXAMPLE_INDEX + 20, "0f", "outside of the data"},
        {EXAMPLE_INDEX + 20, "d0", "outside of the data"},
        {EXAMPLE_INDEX + 28, "f2", "outside of the data"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(changes); i++) {
        check_change(&changes[i]);
    }
}

static void cut_segments_are_refused(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    struct memfile m;
    example(&bytes);
    memfile_open(&m, "example.db");
    for (size_t len = 0; len < EXAMPLE_SIZE; len++) {
        struct sli_segment s;
        struct sl_err err = {0};
        sl_rc rc = open_bytes(&m, SL_BYTES(bytes.ptr, len), &s, &err);
        if (rc == SL_OK) {
            rc = sli_segment_check(&s, &err);
        }
        assert_int_equal(rc, SL_ECORRUPT);
        assert_non_null(strstr(err.text, "example.db"));
    }
    memfile_close(&m);
}

static void a_checksum_speaks_for_every_byte(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    struct memfile m;
    example(&bytes);
    memfile_open(&m, "example.db");
    for (size_t i = 0; i < bytes.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct sli_segment s;
            struct sl_err err = {0};
            bytes.ptr[i] ^= (uint8_t)(1 << bit);
            sl_rc rc = open_bytes(&m, sl_buf_view(&bytes), &s, &err);
            bytes.ptr[i] ^= (uint8_t)(1 << bit);
            if (rc == SL_OK && i == 2 && bit == 0) {
                assert_int_equal(s.version, 0); /* now it says that it has none */
                continue;
            }
            if (rc == SL_OK) {
                rc = sli_segment_check(&s, &err);
            }
            assert_int_equal(rc, SL_ECORRUPT);
            assert_non_null(strstr(err.text, "example.db"));
        }
    }
    memfile_close(&m);
}

/* One change in a segment without a checksum, found by verify alone. */
static void check_verify(size_t at, uint8_t value, const char *what)
{
    struct made_rows made = {0};
    struct bucket_files f = {0};
    struct sli_segment s;
    struct sl_err err = {0};
    for (uint32_t n = 1; n <= 9; n++) {
        made_add(&made, n, n == 5 ? NULL : "x");
    }
    files_add_segment(&f, "segment-1.db", &made, 1, 0);
    assert_int_equal(pwrite(f.files[0].fd, &value, 1, (off_t)at), 1);
    assert_int_equal(sli_segment_open(&f.sources[0].blob, &s, &err), SL_OK);
    assert_int_equal(verify(&s, &err), SL_ECORRUPT);
    assert_non_null(strstr(err.text, "segment-1.db"));
    assert_non_null(strstr(err.text, what));
    files_fini(&f);
    made_fini(&made);
}

static void verify_finds_what_index_and_data_disagree_about(void **state)
{
    (void)state;
    struct made_rows made = {0};
    struct bucket_files f = {0};
    struct sli_segment s;
    for (uint32_t n = 1; n <= 9; n++) {
        made_add(&made, n, n == 5 ? NULL : "x");
    }
    files_add_segment(&f, "segment-1.db", &made, 1, 0);
    assert_int_equal(sli_segment_open(&f.sources[0].blob, &s, NULL), SL_OK);
    size_t index = (size_t)s.index_at, tombstone = made.rows.list[4].at;
    check_verify(tombstone + 13 + 15, 99, "does not know this node");
    check_verify(tombstone + 13, 0xff, "does not know this node");
    check_verify(tombstone + 14, 0x00, "not larger than the one before");
    check_verify(tombstone, 2, "a tombstone flag of 2");
    check_verify(tombstone + 1, 8, "a tombstone of length 8");
    check_verify(made.rows.list[1].at, 1, "a tombstone of length");
    check_verify(made.rows.list[1].at + 9 + 10, 0xee, "is not the key it lies under");
    check_verify(made.rows.list[1].at + 8, 1, "a value length of");
    check_verify(tombstone + 9, 17, "a key of length 17");
    check_verify(tombstone + 13 + 16, 65, "a secondary key of length 65");
    check_verify(made.rows.list[8].at + made.rows.list[8].size - 12, 9, "ends at");
    check_verify(index + 4, 0xee, "does not know this node"); /* the root's key */
    check_verify(index + 36, 0, "in circles");                /* the root's left child: itself */
    check_verify(index + 44, 0, "16 bytes long"); /* the root's right child: inside another */
    check_verify(index + 36 + 7, 0x7f, "ends before one of its nodes");
    check_verify(index + 36 + 7, 0xff, "does not know this node"); /* no left half any more */
    check_verify(index + 44 + 7, 0xff, "does not know this node");
    files_fini(&f);
    made_fini(&made);
}

static void an_index_with_more_nodes_than_data_is_found(void **state)
{
    (void)state;
    struct made_rows made = {0};
    struct bucket_files f = {0};
    struct mem out = {0};
    struct sli_segment s;
    struct sl_err err = {0};
    for (uint32_t n = 1; n <= 3; n++) {
        made_add(&made, n, "x");
    }
    make_segment(&out, &made.rows, 1, 0);
    /* The right child of the root gets a right child, with a key behind all others. */
    struct mem more = {0};
    size_t index = (size_t)int_at(SL_BYTES(out.ptr, out.len), 8, 8) + 8;
    mem_add(&more, out.ptr + index + 2 * 52, 52);
    memset(more.ptr + 4, 0xff, 16);
    uint64_t at = 3 * 52, end = out.len + 52;
    memcpy(out.ptr + index + 2 * 52 + 44, &at, 8);
    memcpy(out.ptr + index - 8, &end, 8);
    mem_add(&out, more.ptr, more.len);
    files_add(&f, "segment-1.db", SL_BYTES(out.ptr, out.len));
    assert_int_equal(sli_segment_open(&f.sources[0].blob, &s, &err), SL_OK);
    assert_int_equal(verify(&s, &err), SL_ECORRUPT);
    assert_non_null(strstr(err.text, "knows nodes that are not there"));
    mem_fini(&more);
    mem_fini(&out);
    files_fini(&f);
    made_fini(&made);
}

static void seeking_in_a_ring_ends(void **state)
{
    (void)state;
    struct made_rows made = {0};
    struct bucket_files f = {0};
    struct sli_segment s;
    struct sli_index_node n;
    struct sl_err err = {0};
    uint64_t zero = 0, lowest[2] = {0, 0};
    for (uint32_t i = 1; i <= 9; i++) {
        made_add(&made, i, "x");
    }
    files_add_segment(&f, "segment-1.db", &made, 1, 0);
    assert_int_equal(sli_segment_open(&f.sources[0].blob, &s, NULL), SL_OK);
    assert_int_equal(pwrite(f.files[0].fd, &zero, 8, (off_t)s.index_at + 36), 8);
    assert_int_equal(sli_segment_seek(&s, lowest, &n, &err), SL_ECORRUPT);
    assert_non_null(strstr(err.text, "in circles"));
    files_fini(&f);
    made_fini(&made);
}

/* ---- verify goes on ---- */

struct told {
    uint32_t count;
    char all[8192];
};
static void tell(void *arg, const uint8_t *uuid, const char *what)
{
    struct told *told = arg;
    assert_null(uuid);
    told->count++;
    (void)snprintf(told->all + strlen(told->all), sizeof(told->all) - strlen(told->all), "%s\n",
                   what);
}

/* Bytes at places of a segment of `count` keys; what verify tells when somebody listens. */
static sl_rc verify_changed(uint32_t count, const struct change *changes, size_t change_count,
                            struct told *told, struct sli_segment *s)
{
    static const uint8_t broken = 17;
    struct made_rows made = {0};
    struct bucket_files f = {0};
    struct sl_bucket_opts opts = {.damage = tell, .damage_arg = told};
    *told = (struct told){0};
    for (uint32_t n = 1; n <= count; n++) {
        made_add(&made, n, n == 5 ? NULL : "x");
    }
    files_add_segment(&f, "segment-1.db", &made, 1, 0);
    assert_int_equal(sli_segment_open(&f.sources[0].blob, s, NULL), SL_OK);
    for (size_t i = 0; i < change_count; i++) {
        SL_AUTO(sl_buf) patch = SL_BUF_EMPTY;
        assert_true(sl_hex_parse(sl_str_from(changes[i].hex), &patch));
        off_t at = (off_t)(s->index_at + changes[i].at);
        assert_int_equal(pwrite(f.files[0].fd, patch.ptr, patch.len, at), patch.len);
    }
    for (uint32_t n = 0; changes == NULL && n < count; n++) { /* the lengths of the keys, all */
        const struct row *row = &made.rows.list[n];
        assert_int_equal(pwrite(f.files[0].fd, &broken, 1, (off_t)(row->at + 9 + row->value.len)),
                         1);
    }
    sl_rc rc = sli_segment_verify(s, &opts, NULL);
    files_fini(&f);
    made_fini(&made);
    return rc;
}

static void verify_goes_on_behind_damage_and_tells_each(void **state)
{
    (void)state;
    struct told told;
    struct sli_segment s;
    assert_int_equal(verify_changed(20, NULL, 0, &told, &s), SL_OK);
    assert_int_equal(told.count, 20);
    assert_non_null(strstr(told.all, "a key of length 17"));
    assert_int_equal(verify_changed(150, NULL, 0, &told, &s), SL_ECORRUPT);
    assert_int_equal(told.count, 100);
    static const struct change ring[] = {{36, "0000000000000000", NULL}};
    assert_int_equal(verify_changed(20, ring, 1, &told, &s), SL_OK);
    assert_int_equal(told.count, 1);
    assert_non_null(strstr(told.all, "in circles"));
    assert_int_equal(s.tombstone_count, 1);
    static const struct change key[] = {{4, "ee", NULL}};
    assert_int_equal(verify_changed(20, key, 1, &told, &s), SL_OK);
    assert_true(told.count >= 1);
    assert_int_equal(s.tombstone_count, 1);
}

static void verify_looks_at_the_secondary_indexes(void **state)
{
    (void)state;
    static const struct change changes[] = {
        {0, "ff", "a secondary index is not whole"},
        {0, "09", "a secondary index"},
        {12, "0000000000000000", "a secondary index points outside of the data"},
        {20, "ffff", "a secondary index points outside of the data"},
    };
    struct bucket_files f = {0};
    files_of(&f, "v1.34.20-segment");
    for (size_t i = 0; i < SL_COUNT_OF(changes); i++) {
        SL_AUTO(sl_buf) patch = SL_BUF_EMPTY;
        struct sli_segment s;
        struct sl_err err = {0};
        uint8_t was[8];
        assert_int_equal(sli_segment_open(&f.sources[0].blob, &s, NULL), SL_OK);
        assert_true(sl_hex_parse(sl_str_from(changes[i].hex), &patch));
        off_t at = (off_t)(s.index_end + changes[i].at);
        assert_int_equal(pread(f.files[0].fd, was, patch.len, at), patch.len);
        assert_int_equal(pwrite(f.files[0].fd, patch.ptr, patch.len, at), patch.len);
        assert_int_equal(verify(&s, &err), SL_ECORRUPT);
        assert_non_null(strstr(err.text, changes[i].what));
        assert_int_equal(pwrite(f.files[0].fd, was, patch.len, at), patch.len);
        assert_int_equal(verify(&s, &err), SL_OK);
    }
    struct sli_segment s; /* cut inside the last one */
    struct sl_blob cut = f.sources[0].blob;
    cut.size -= 20;
    assert_int_equal(sli_segment_open(&cut, &s, NULL), SL_OK);
    assert_int_equal(verify(&s, NULL), SL_ECORRUPT);
    cut.size -= 22; /* inside of its length */
    assert_int_equal(sli_segment_open(&cut, &s, NULL), SL_OK);
    assert_int_equal(verify(&s, NULL), SL_ECORRUPT);
    files_fini(&f);
}

/* ---- sweeps ---- */

static void every_failure_of_memory_or_file_is_passed_on(void **state)
{
    (void)state;
#ifdef SL_FAULTS_ON
    static const enum sl_fault faults[] = {SL_FAULT_ALLOC, SL_FAULT_FILE};
    static const sl_rc wants[] = {SL_ENOMEM, SL_EIO};
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    struct memfile m;
    example(&bytes);
    memfile_open(&m, "example.db");
    memfile_set(&m, sl_buf_view(&bytes));
    size_t live = sl_mem_live();
    for (size_t k = 0; k < SL_COUNT_OF(faults); k++) {
        for (int64_t n = 0;; n++) {
            struct sli_segment s = {0};
            struct sli_index_node found;
            uint64_t key[2] = {1, 1};
            sl_fault_fail_after(faults[k], n);
            sl_rc rc = sli_segment_open(&m.blob, &s, NULL);
            rc = rc == SL_OK ? verify(&s, NULL) : rc;
            rc = rc == SL_OK ? sli_segment_seek(&s, key, &found, NULL) : rc;
            sl_fault_clear();
            assert_int_equal(sl_mem_live(), live);
            if (rc == SL_OK) {
                assert_true(n > 2);
                break;
            }
            assert_int_equal(rc, wants[k]);
        }
    }
    memfile_close(&m);
#else
    fail_msg("no fault points in this build: meson setup -Dfaults=true");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worked_example_has_two_nodes),
        cmocka_unit_test(a_segment_written_the_slow_way_is_verified),
        cmocka_unit_test(a_segment_without_keys_is_empty),
        cmocka_unit_test(real_segments_verify_and_seek_as_a_look_at_every_node),
        cmocka_unit_test(seeking_in_trees_of_every_size),
        cmocka_unit_test(headers_that_are_wrong_are_refused),
        cmocka_unit_test(cut_segments_are_refused),
        cmocka_unit_test(a_checksum_speaks_for_every_byte),
        cmocka_unit_test(verify_finds_what_index_and_data_disagree_about),
        cmocka_unit_test(an_index_with_more_nodes_than_data_is_found),
        cmocka_unit_test(seeking_in_a_ring_ends),
        cmocka_unit_test(verify_goes_on_behind_damage_and_tells_each),
        cmocka_unit_test(verify_looks_at_the_secondary_indexes),
        cmocka_unit_test(every_failure_of_memory_or_file_is_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
