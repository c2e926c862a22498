/* The merge: made buckets and buckets of real servers against the slow reader and against what the
 * server answered, whole and in ranges; what is left out when damage is skipped. */
#include "lsm_fixture.h"

#include "lsm/storobj.h"

/* ---- what counts ---- */

/* Sources oldest first, each a text of "key:value" with "-" for a tombstone. */
struct merge_case {
    const char *sources[4]; /* a leading L makes a log */
    const char *want;       /* "key:value" of what is there, by key */
};

static void add_source(struct bucket_files *f, const char *text)
{
    struct made_rows made = {0};
    bool is_log = text[0] == 'L';
    char name[32];
    for (const char *at = text + is_log; *at != '\0';) {
        char what[2] = {at[2], '\0'};
        made_add(&made, (uint32_t)(at[0] - '0'), at[2] == '-' ? NULL : what);
        at += at[3] == ' ' ? 4 : 3;
    }
    (void)snprintf(name, sizeof(name), "segment-%u%s", f->count, is_log ? ".wal" : ".db");
    if (is_log) {
        files_add_log(f, name, &made, 1);
    } else {
        files_add_segment(f, name, &made, 1, 0);
    }
    made_fini(&made);
}

static void the_newest_entry_of_a_key_counts(void **state)
{
    (void)state;
    static const struct merge_case cases[] = {
        {{"1:a 2:a 3:a"}, "1a2a3a"},
        {{"1:a 3:a", "2:b 4:b"}, "1a2b3a4b"},
        {{"1:a 2:a 3:a", "2:b"}, "1a2b3a"},
        {{"1:a 2:a 3:a", "2:-"}, "1a3a"},
        {{"1:a 2:a", "1:- 2:-", "2:c"}, "2c"},
        {{"1:a 2:a", "1:b", "L1:c 1:- 1:d"}, "1d2a"},
        {{"1:a 2:a", "L2:b", "L2:-"}, "1a"},
        {{"5:a 9:a", "L9:b 1:b 5:-"}, "1b9b"},
        {{"L1:a", "1:b"}, "1b"}, /* a log older than a segment */
        {{"1:a 2:a 3:a", "1:b 2:b 3:b", "1:c 2:c 3:c", "1:d 2:- 3:d"}, "1d3d"},
        {{"1:-", "1:-"}, ""},
        {{"", "L"}, ""},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        struct bucket_files f = {0};
        struct mem out = {0};
        struct sl_err err = {0};
        char got[64] = "";
        for (size_t k = 0; k < 4 && cases[i].sources[k] != NULL; k++) {
            add_source(&f, cases[i].sources[k]);
        }
        assert_int_equal(read_bucket(&f, NULL, 1, &out, &err), SL_OK);
        for (size_t at = 0; at < out.len;) {
            size_t len = (size_t)int_at(SL_BYTES(out.ptr, out.len), at + 16, 8);
            const char *what = memmem(out.ptr + at + 24, len, "\"what\":\"", 8);
            char row[3] = {(char)('0' + out.ptr[at + 15]), what[8], '\0'};
            strcat(got, row);
            at += 24 + len;
        }
        assert_string_equal(got, cases[i].want);
        mem_fini(&out);
        files_fini(&f);
    }
}

static void a_bucket_without_files_is_empty(void **state)
{
    (void)state;
    struct bucket_files f = {0};
    struct mem out = {0};
    assert_int_equal(read_bucket(&f, NULL, 4, &out, NULL), SL_OK);
    assert_int_equal(out.len, 0);
    sl_bucket_close(NULL);
    sl_bucket_cursor_close(NULL);
}

/* ---- real buckets ---- */

static const char *const real_buckets[] = {
    "v1.39.0-upgraded", "v1.39.0-cleaned",  "v1.39.0-emptied",
    "v1.39.0-log",      "v1.39.0-checksum", "v1.28.16-checksum",
    "v1.34.20-segment", "v1.34.20-log",     "v1.34.20-named",
};

/* One line of expected.tsv: id, created, updated, vector; as the server answered. */
static void check_line(char *line, struct sl_bytes value)
{
    static struct sl_object object;
    SL_AUTO(sl_buf) vector = SL_BUF_EMPTY;
    char id[SL_UUID_TEXT_SIZE];
    line[strcspn(line, "\n")] = '\0';
    const char *want_id = strsep(&line, "\t"), *created = strsep(&line, "\t");
    const char *updated = strsep(&line, "\t");
    assert_int_equal(sl_object_read(value, &object, NULL), SL_OK);
    sl_uuid_format(object.uuid, id);
    assert_memory_equal(id, want_id, sizeof(id));
    assert_int_equal(object.create_ms, strtoll(created, NULL, 10));
    assert_int_equal(object.update_ms, strtoll(updated, NULL, 10));
    sl_hex_add(&vector, object.vector);
    assert_string_equal(sl_buf_cstr(&vector), line);
}

static void real_buckets_hold_what_the_server_answered(void **state)
{
    (void)state;
    uint32_t rows = 0;
    for (size_t i = 0; i < SL_COUNT_OF(real_buckets); i++) {
        struct bucket_files f = {0};
        struct mem out = {0};
        struct sl_err err = {0};
        char path[512], *line = NULL;
        size_t room = 0, at = 0;
        files_of(&f, real_buckets[i]);
        assert_int_equal(read_bucket(&f, NULL, 1, &out, &err), SL_OK);
        (void)snprintf(path, sizeof(path), "%s/weaviate/lsm/%s/expected.tsv", SL_TEST_DATA,
                       real_buckets[i]);
        FILE *in = fopen(path, "r");
        assert_non_null(in);
        while (getline(&line, &room, in) > 0) {
            assert_true(at < out.len);
            size_t len = (size_t)int_at(SL_BYTES(out.ptr, out.len), at + 16, 8);
            check_line(line, SL_BYTES(out.ptr + at + 24, len));
            at += 24 + len;
            rows++;
        }
        assert_int_equal(at, out.len);
        free(line);
        (void)fclose(in);
        mem_fini(&out);
        files_fini(&f);
    }
    assert_int_equal(rows, 145);
}

/* ---- ranges ---- */

/* The ranges of every split ascend, cover every key and are disjoint: read one after the other they
 * are the whole. */
static void check_ranges(const struct bucket_files *f)
{
    struct mem want = {0}, out = {0};
    struct sl_err err = {0};
    read_slowly(f, &want);
    for (uint32_t ranges = 1; ranges <= 16; ranges++) {
        assert_int_equal(read_bucket(f, NULL, ranges, &out, &err), SL_OK);
        assert_true(mem_eq(&out, &want));
    }
    mem_fini(&want);
    mem_fini(&out);
}

static void ranges_of_real_buckets_are_the_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT_OF(real_buckets); i++) {
        struct bucket_files f = {0};
        files_of(&f, real_buckets[i]);
        check_ranges(&f);
        files_fini(&f);
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Up to eight sources that share keys, deletes among them, with 0 to 2 secondary keys. */
static void make_random_bucket(uint32_t seed, struct bucket_files *f)
{
    uint32_t sources = 1 + next_random(&seed) % 8;
    for (uint32_t i = 0; i < sources; i++) {
        struct made_rows made = {0};
        char name[32];
        bool is_log = next_random(&seed) % 3 == 0;
        int slots = (int)(next_random(&seed) % 3);
        for (uint32_t n = 1; n < 200; n += 1 + next_random(&seed) % 40) {
            made_add(&made, is_log ? 1 + next_random(&seed) % 199 : n,
                     next_random(&seed) % 4 == 0 ? NULL : "x");
        }
        (void)snprintf(name, sizeof(name), "segment-%u%s", i, is_log ? ".wal" : ".db");
        if (is_log) {
            files_add_log(f, name, &made, slots);
        } else {
            files_add_segment(f, name, &made, slots, (int)(next_random(&seed) % 2));
        }
        made_fini(&made);
    }
}

static void random_buckets_read_as_by_the_slow_reader(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 60; seed++) {
        struct bucket_files f = {0};
        make_random_bucket(seed, &f);
        check_ranges(&f);
        files_fini(&f);
    }
}

static void ranges_begin_and_end_at_any_key(void **state)
{
    (void)state;
    static const struct sl_bucket_opts opts;
    struct bucket_files f = {0};
    struct mem want = {0}, out = {0};
    SL_AUTO_PTR(sl_bucket) b = NULL;
    make_random_bucket(77, &f);
    read_slowly(&f, &want);
    assert_int_equal(sl_bucket_open(f.sources, f.count, &opts, &b, NULL), SL_OK);
    for (uint32_t lo = 0; lo <= 200; lo += 3) {
        for (uint32_t hi = lo; hi <= 200; hi += 17) {
            uint8_t from[16], to[16];
            size_t begin = 0, end = 0;
            key_of(lo, from);
            key_of(hi, to);
            while (end < want.len && memcmp(want.ptr + end, to, 16) < 0) {
                size_t next = end + 24 + (size_t)int_at(SL_BYTES(want.ptr, want.len), end + 16, 8);
                begin = memcmp(want.ptr + end, from, 16) < 0 ? next : begin;
                end = next;
            }
            out.len = 0;
            assert_int_equal(scan_into(b, from, to, &out, NULL), SL_OK);
            assert_int_equal(out.len, end - begin);
            assert_true(out.len == 0 || memcmp(out.ptr, want.ptr + begin, out.len) == 0);
        }
    }
    mem_fini(&want);
    mem_fini(&out);
    files_fini(&f);
}

/* Equal parts of a segment with a thousand keys: none holds less than half or more than twice its
 * share. */
static void split_keys_cut_into_parts_of_about_equal_size(void **state)
{
    (void)state;
    static const struct sl_bucket_opts opts;
    struct made_rows made = {0};
    struct bucket_files f = {0};
    SL_AUTO_PTR(sl_bucket) b = NULL;
    uint8_t keys[16][SL_UUID_SIZE];
    for (uint32_t n = 1; n <= 1000; n++) {
        made_add(&made, n, "x");
    }
    files_add_segment(&f, "segment-1.db", &made, 1, 0);
    assert_int_equal(sl_bucket_open(f.sources, 1, &opts, &b, NULL), SL_OK);
    assert_int_equal(sl_bucket_key_count(b), 1000);
    for (uint32_t parts = 2; parts <= 16; parts++) {
        uint32_t count = 0;
        size_t at = 0;
        assert_int_equal(sl_bucket_split(b, parts - 1, keys, &count, NULL), SL_OK);
        assert_int_equal(count, parts - 1);
        for (uint32_t i = 0; i < parts; i++) {
            size_t begin = at;
            while (at < 1000 && (i == count || memcmp(made.rows.list[at].key, keys[i], 16) < 0)) {
                at++;
            }
            assert_in_range(at - begin, 1000 / parts / 2, 1000 / parts * 2);
        }
        assert_int_equal(at, 1000);
    }
    uint32_t none = 7;
    assert_int_equal(sl_bucket_split(b, 0, keys, &none, NULL), SL_OK);
    assert_int_equal(none, 0);
    files_fini(&f);
    made_fini(&made);
}

/* ---- sizes and places ---- */

/* A value of several megabytes between small ones, in one source and in so many that windows are
 * small. */
static void a_huge_value_crosses_windows(void **state)
{
    (void)state;
    size_t huge = 5 << 20;
    char *text = malloc(huge + 1);
    struct made_rows made = {0};
    struct mem value = {0};
    memset(text, 'h', huge);
    text[huge] = '\0';
    for (uint32_t n = 1; n <= 5; n++) {
        made_add(&made, n, "x");
    }
    make_object(&value, made.rows.list[2].key, text);
    free((void *)(uintptr_t)made.rows.list[2].value.ptr);
    made.rows.list[2].value = (struct sl_bytes){value.ptr, value.len};
    for (uint32_t sources = 1; sources <= 16; sources += 15) {
        struct bucket_files f = {0};
        struct mem want = {0}, out = {0};
        for (uint32_t i = 0; i < sources; i++) {
            struct made_rows other = {0};
            made_add(&other, 10 + i, "y");
            if (i % 2 == 1) {
                files_add_log(&f, "segment-1.wal", i == 1 ? &made : &other, 1);
            } else {
                files_add_segment(&f, "segment-1.db", i == 0 ? &made : &other, 1, 0);
            }
            made_fini(&other);
        }
        read_slowly(&f, &want);
        for (uint32_t ranges = 1; ranges <= 3; ranges++) {
            struct sl_err err = {0};
            assert_int_equal(read_bucket(&f, NULL, ranges, &out, &err), SL_OK);
            assert_true(mem_eq(&out, &want));
        }
        mem_fini(&want);
        mem_fini(&out);
        files_fini(&f);
    }
    free(text);
    made_fini(&made);
}

/* An uncompressed backup keeps a segment in parts, in any files and at any places. */
static void a_file_in_parts_reads_as_a_whole_one(void **state)
{
    (void)state;
    struct bucket_files f = {0};
    struct mem want = {0}, out = {0};
    files_of(&f, "v1.39.0-upgraded");
    read_slowly(&f, &want);
    for (uint64_t part = 7; part < 3000; part = part * 3 + 1) {
        struct bucket_files cut = {.count = f.count};
        struct memfile parts[2];
        struct sl_extent extents[1024];
        uint32_t used = 0;
        memcpy(cut.sources, f.sources, sizeof(cut.sources));
        memfile_open(&parts[0], "chunk-1");
        memfile_open(&parts[1], "chunk-2");
        for (uint32_t i = 0; i < f.count; i++) {
            cut.sources[i].blob.extents = &extents[used];
            uint32_t begin = used;
            for (uint64_t at = 0; at < f.sources[i].blob.size; at += part) {
                uint8_t bytes[3000];
                uint64_t len = SL_MIN(part, f.sources[i].blob.size - at);
                uint64_t offset = 10000 * i + at * 2 + 7;
                assert_int_equal(pread(f.files[i].fd, bytes, (size_t)len, (off_t)at), len);
                assert_int_equal(pwrite(parts[used % 2].fd, bytes, (size_t)len, (off_t)offset),
                                 len);
                assert_true(used < SL_COUNT_OF(extents));
                extents[used] = (struct sl_extent){
                    .file = parts[used % 2].file, .at = at, .len = len, .offset = offset};
                used++;
            }
            cut.sources[i].blob.extent_count = used - begin;
        }
        struct sl_err err = {0};
        assert_int_equal(read_bucket(&cut, NULL, 3, &out, &err), SL_OK);
        assert_true(mem_eq(&out, &want));
        memfile_close(&parts[0]);
        memfile_close(&parts[1]);
    }
    mem_fini(&want);
    mem_fini(&out);
    files_fini(&f);
}

static void reading_beyond_the_end_is_refused(void **state)
{
    (void)state;
    struct memfile m;
    struct sli_window w;
    struct sl_bytes view;
    struct sl_err err = {0};
    uint8_t raw[8];
    memfile_open(&m, "some.db");
    memfile_set(&m, SL_BYTES("0123456789", 10));
    assert_int_equal(sl_blob_pread(&m.blob, 3, raw, 8, &err), SL_ECORRUPT);
    assert_non_null(strstr(err.text, "some.db: ends at 10, bytes 3 to 11"));
    assert_int_equal(sl_blob_pread(&m.blob, 11, raw, 0, &err), SL_ECORRUPT);
    assert_false(sl_blob_prefetch(&m.blob, 10, 5));
    sl_blob_forget(&m.blob, 0, UINT64_MAX);
    sli_window_begin(&w, &m.blob, 10, 1);
    assert_int_equal(sli_window_view(&w, 8, 3, &view, &err), SL_ECORRUPT);
    assert_true(w.is_beyond);
    assert_int_equal(sli_window_view(&w, 8, 2, &view, &err), SL_OK);
    assert_memory_equal(view.ptr, "89", 2);
    assert_int_equal(sli_window_view(&w, 2, 2, &view, &err), SL_OK); /* back: read again */
    assert_memory_equal(view.ptr, "23", 2);
    sli_window_fini(&w);
    assert_int_equal(ftruncate(m.fd, 4), 0); /* the file shrinks below the blob */
    assert_int_equal(sl_blob_pread(&m.blob, 3, raw, 4, &err), SL_ECORRUPT);
    memfile_close(&m);
}

/* ---- what people are told ---- */

static void describe_and_verify_tell_what_a_source_holds(void **state)
{
    (void)state;
    static const struct sl_bucket_opts opts;
    struct bucket_files f = {0};
    SL_AUTO_PTR(sl_bucket) b = NULL;
    struct sl_bucket_info info;
    files_of(&f, "v1.39.0-upgraded");
    files_of(&f, "v1.39.0-checksum");
    assert_int_equal(f.count, 3);
    assert_int_equal(sl_bucket_open(f.sources, f.count, &opts, &b, NULL), SL_OK);
    for (uint32_t i = 0; i < f.count; i++) {
        assert_int_equal(sl_bucket_verify(b, i, NULL), SL_OK);
    }
    sl_bucket_describe(b, 0, &info); /* of 1.25.34, no checksum */
    assert_false(info.is_log || info.has_checksum);
    assert_int_equal(info.secondary_count, 1);
    sl_bucket_describe(b, 1, &info);
    assert_true(info.is_log);
    assert_int_equal(info.good_bytes, 2244);
    assert_int_equal(info.key_count, 12);
    sl_bucket_describe(b, 2, &info);
    assert_true(info.has_checksum);
    assert_int_equal(info.version, 1);
    assert_int_equal(info.key_count, 12);
    assert_int_equal(info.tombstone_count, 0);
    sl_bucket_close(sl_move(&b));
    files_fini(&f);
}

static void a_log_that_changes_while_it_is_read_is_told(void **state)
{
    (void)state;
    static const struct sl_bucket_opts opts;
    struct bucket_files f = {0};
    struct made_rows made = {0};
    SL_AUTO_PTR(sl_bucket) b = NULL;
    struct mem out = {0};
    struct sl_err err = {0};
    made_add(&made, 1, "x");
    files_add_log(&f, "segment-1.wal", &made, 1);
    assert_int_equal(sl_bucket_open(f.sources, 1, &opts, &b, NULL), SL_OK);
    assert_int_equal(pwrite(f.files[0].fd, "\xee", 1, 6 + 9 + 12), 1);
    assert_int_equal(scan_into(b, NULL, NULL, &out, &err), SL_ECORRUPT);
    assert_non_null(strstr(err.text, "segment-1.wal: changed at offset 6 while it was read"));
    sl_bucket_close(sl_move(&b));
    mem_fini(&out);
    files_fini(&f);
    made_fini(&made);
}

/* ---- damage that is skipped ---- */

struct told {
    uint32_t count;
    uint8_t uuid[16];
    char text[512];
};
static void tell(void *arg, const uint8_t *uuid, const char *what)
{
    struct told *told = arg;
    told->count++;
    memset(told->uuid, 0, 16);
    if (uuid != NULL) {
        memcpy(told->uuid, uuid, 16);
    }
    (void)snprintf(told->text, sizeof(told->text), "%s", what);
}

/* The index tells whose node is broken and where the next begins: one object is left out, though an
 * older version of it is there, which would be a wrong row. */
static void skipped_damage_in_a_node_costs_its_object(void **state)
{
    (void)state;
    struct made_rows old = {0}, made = {0};
    for (uint32_t n = 1; n <= 9; n++) {
        made_add(&old, n, "old");
        made_add(&made, n, n == 6 ? NULL : "new");
    }
    for (uint32_t broken = 0; broken < 9; broken++) {
        struct bucket_files f = {0};
        struct told told = {0};
        struct sl_bucket_opts opts = {.damage = tell, .damage_arg = &told};
        struct mem want = {0}, out = {0};
        struct sl_err err = {0};
        files_add_segment(&f, "segment-1.db", &old, 1, 0);
        files_add_segment(&f, "segment-2.db", &made, 1, 0);
        read_slowly(&f, &want);
        const struct row *row = &made.rows.list[broken];
        off_t at = (off_t)(row->at + 9 + row->value.len); /* the length of its key */
        assert_int_equal(pwrite(f.files[1].fd, "\x11", 1, at), 1);
        assert_int_equal(read_bucket(&f, NULL, 1, &out, &err), SL_ECORRUPT);
        assert_non_null(strstr(err.text, "segment-2.db: damaged at offset"));
        for (uint32_t ranges = 1; ranges <= 5; ranges += 2) {
            told.count = 0;
            assert_int_equal(read_bucket(&f, &opts, ranges, &out, &err), SL_OK);
            assert_int_equal(told.count, 1);
            assert_memory_equal(told.uuid, row->key, 16);
            assert_non_null(strstr(told.text, "segment-2.db: damaged at offset"));
            assert_null(memmem(out.ptr, out.len, row->key, 16));
        }
        mem_fini(&want);
        mem_fini(&out);
        files_fini(&f);
    }
    made_fini(&old);
    made_fini(&made);
}

/* Below a newer version nobody misses it. */
static void damage_below_a_newer_version_costs_nothing(void **state)
{
    (void)state;
    struct made_rows old = {0}, made = {0};
    struct bucket_files f = {0};
    struct told told = {0};
    struct sl_bucket_opts opts = {.damage = tell, .damage_arg = &told};
    struct mem want = {0}, out = {0};
    for (uint32_t n = 1; n <= 5; n++) {
        made_add(&old, n, "old");
    }
    made_add(&made, 3, "new");
    files_add_segment(&f, "segment-1.db", &old, 1, 0);
    files_add_segment(&f, "segment-2.db", &made, 1, 0);
    read_slowly(&f, &want);
    assert_int_equal(pwrite(f.files[0].fd, "\x07", 1, (off_t)old.rows.list[2].at), 1);
    assert_int_equal(read_bucket(&f, NULL, 1, &out, NULL), SL_ECORRUPT);
    assert_int_equal(read_bucket(&f, &opts, 1, &out, NULL), SL_OK);
    assert_true(mem_eq(&out, &want));
    assert_int_equal(told.count, 0);
    mem_fini(&want);
    mem_fini(&out);
    files_fini(&f);
    made_fini(&old);
    made_fini(&made);
}

/* ---- sweeps ---- */

static void every_failure_of_memory_or_file_is_passed_on(void **state)
{
    (void)state;
#ifdef SL_FAULTS_ON
    static const enum sl_fault faults[] = {SL_FAULT_ALLOC, SL_FAULT_FILE};
    static const sl_rc wants[] = {SL_ENOMEM, SL_EIO};
    struct bucket_files f = {0};
    struct mem want = {0}, out = {0};
    files_of(&f, "v1.39.0-upgraded");
    files_of(&f, "v1.39.0-checksum");
    read_slowly(&f, &want);
    size_t live = sl_mem_live();
    for (size_t k = 0; k < SL_COUNT_OF(faults); k++) {
        for (int64_t n = 0;; n++) {
            struct sl_err err = {0};
            sl_fault_fail_after(faults[k], n);
            sl_rc rc = read_bucket(&f, NULL, 3, &out, &err);
            sl_fault_clear();
            assert_int_equal(sl_mem_live(), live);
            if (rc == SL_OK) {
                assert_true(n > 5);
                assert_true(mem_eq(&out, &want));
                break;
            }
            assert_int_equal(rc, wants[k]);
        }
    }
    mem_fini(&want);
    mem_fini(&out);
    files_fini(&f);
#else
    fail_msg("no fault points in this build: meson setup -Dfaults=true");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_entry_of_a_key_counts),
        cmocka_unit_test(a_bucket_without_files_is_empty),
        cmocka_unit_test(real_buckets_hold_what_the_server_answered),
        cmocka_unit_test(ranges_of_real_buckets_are_the_whole),
        cmocka_unit_test(random_buckets_read_as_by_the_slow_reader),
        cmocka_unit_test(ranges_begin_and_end_at_any_key),
        cmocka_unit_test(split_keys_cut_into_parts_of_about_equal_size),
        cmocka_unit_test(a_huge_value_crosses_windows),
        cmocka_unit_test(a_file_in_parts_reads_as_a_whole_one),
        cmocka_unit_test(reading_beyond_the_end_is_refused),
        cmocka_unit_test(describe_and_verify_tell_what_a_source_holds),
        cmocka_unit_test(a_log_that_changes_while_it_is_read_is_told),
        cmocka_unit_test(skipped_damage_in_a_node_costs_its_object),
        cmocka_unit_test(damage_below_a_newer_version_costs_nothing),
        cmocka_unit_test(every_failure_of_memory_or_file_is_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
