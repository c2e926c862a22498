/* Damage, byte by byte: whatever happened to a small bucket, reading it ends in an error that names
 * file and place, or gives exactly its rows; only bytes inside of a value that no checksum covers
 * may come out changed. */
#include "lsm_fixture.h"

static const uint8_t patterns[] = {0x01, 0x08, 0x80, 0xff};

static bool is_named(const struct bucket_files *f, const struct sl_err *err)
{
    bool is_there = false;
    for (uint32_t i = 0; i < f->count; i++) {
        is_there |= strstr(err->text, f->names[i]) != NULL;
    }
    return is_there && strpbrk(err->text, "0123456789") != NULL;
}

/* Reads whole and in ranges. values_max: how many values may differ. */
static void check(const struct bucket_files *f, const struct mem *want, int values_max,
                  const char *what, size_t at)
{
    struct mem out = {0};
    for (uint32_t ranges = 1; ranges <= 3; ranges += 2) {
        struct sl_err err = {0};
        sl_rc rc = read_bucket(f, NULL, ranges, &out, &err);
        int differing = rc == SL_OK ? differing_values(&out, want) : 0;
        if ((rc != SL_OK && (rc != SL_ECORRUPT || !is_named(f, &err))) || differing < 0 ||
            differing > values_max) {
            fail_msg("%s at %zu, %u ranges: rc %d, %d values differ, %s", what, at, ranges, (int)rc,
                     differing, err.text);
        }
    }
    mem_fini(&out);
}

/* Every byte of every file of a bucket, changed in several ways. */
static void flip_all(struct bucket_files *f, int values_max)
{
    struct mem want = {0};
    read_slowly(f, &want);
    for (uint32_t i = 0; i < f->count; i++) {
        for (size_t at = 0; at < f->sources[i].blob.size; at++) {
            uint8_t was, now;
            assert_int_equal(pread(f->files[i].fd, &was, 1, (off_t)at), 1);
            for (size_t k = 0; k < SL_COUNT_OF(patterns); k++) {
                now = was ^ patterns[k];
                assert_int_equal(pwrite(f->files[i].fd, &now, 1, (off_t)at), 1);
                check(f, &want, values_max, f->names[i], at);
            }
            assert_int_equal(pwrite(f->files[i].fd, &was, 1, (off_t)at), 1);
        }
    }
    mem_fini(&want);
}

static void a_changed_byte_is_told_or_stays_in_its_value(void **state)
{
    (void)state;
    static const char *names[] = {"v1.39.0-upgraded", "v1.39.0-emptied", "v1.34.20-named"};
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        struct bucket_files f = {0};
        files_of(&f, names[i]);
        flip_all(&f, 1);
        files_fini(&f);
    }
}

static void a_changed_byte_below_a_checksum_is_told(void **state)
{
    (void)state;
    static const char *names[] = {"v1.39.0-checksum", "v1.28.16-checksum", "v1.39.0-log"};
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        struct bucket_files f = {0};
        files_of(&f, names[i]);
        flip_all(&f, 0); /* a level, and "no checksum" said falsely, change no row */
        files_fini(&f);
    }
}

/* The case that counts most: an older segment below a newer one with deletes, none with a checksum.
 * A changed key of a delete must not bring the deleted object back. */
static void make_deletes(struct bucket_files *f, int slots)
{
    struct made_rows old = {0}, made = {0};
    for (uint32_t n = 1; n <= 9; n++) {
        made_add(&old, n, "old");
        if (n % 3 != 0) {
            made_add(&made, n, n % 3 == 1 ? NULL : "new");
        }
    }
    files_add_segment(f, "segment-1.db", &old, slots, 0);
    files_add_segment(f, "segment-2.db", &made, slots, 0);
    made_fini(&old);
    made_fini(&made);
}

static void a_changed_byte_brings_no_deleted_object_back(void **state)
{
    (void)state;
    for (int slots = 0; slots <= 2; slots++) {
        struct bucket_files f = {0};
        make_deletes(&f, slots);
        flip_all(&f, 1);
        files_fini(&f);
    }
}

/* ---- cut, zeroed, longer ---- */

static void load(const struct bucket_files *f, uint32_t i, struct mem *out)
{
    uint8_t *bytes = malloc((size_t)f->sources[i].blob.size);
    size_t len = (size_t)f->sources[i].blob.size;
    assert_int_equal(pread(f->files[i].fd, bytes, len, 0), len);
    out->len = 0;
    mem_add(out, bytes, len);
    free(bytes);
}

static void a_cut_segment_is_told(void **state)
{
    (void)state;
    static const char *names[] = {"v1.39.0-emptied", "v1.34.20-segment", "v1.39.0-checksum",
                                  "v1.28.16-checksum"};
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        struct bucket_files f = {0};
        struct mem bytes = {0}, want = {0}, out = {0};
        files_of(&f, names[i]);
        load(&f, 0, &bytes);
        read_slowly(&f, &want);
        uint64_t secondary = int_at(SL_BYTES(bytes.ptr, bytes.len),
                                    (size_t)int_at(SL_BYTES(bytes.ptr, bytes.len), 8, 8), 8);
        for (size_t len = 0; len < bytes.len; len++) {
            struct sl_err err = {0};
            files_set(&f, 0, SL_BYTES(bytes.ptr, len));
            sl_rc rc = read_bucket(&f, NULL, 1, &out, &err);
            if (len >= secondary && rc == SL_OK) { /* what is gone is read by nobody */
                assert_true(mem_eq(&out, &want));
            } else {
                assert_int_equal(rc, SL_ECORRUPT);
                assert_true(is_named(&f, &err));
            }
        }
        mem_fini(&bytes);
        mem_fini(&want);
        mem_fini(&out);
        files_fini(&f);
    }
}

static void zeroed_ranges_are_told_or_stay_in_values(void **state)
{
    (void)state;
    static const char *names[] = {"v1.39.0-upgraded", "v1.39.0-emptied", "v1.28.16-checksum",
                                  "v1.39.0-log"};
    static const size_t lengths[] = {4, 16, 100, 512, 4096};
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        struct bucket_files f = {0};
        struct mem want = {0}, bytes = {0};
        files_of(&f, names[i]);
        read_slowly(&f, &want);
        for (uint32_t k = 0; k < f.count; k++) {
            load(&f, k, &bytes);
            for (size_t n = 0; n < SL_COUNT_OF(lengths); n++) {
                for (size_t at = 0; at < bytes.len; at += 7) {
                    struct mem copy = {0};
                    mem_add(&copy, bytes.ptr, bytes.len);
                    memset(copy.ptr + at, 0, SL_MIN(lengths[n], copy.len - at));
                    files_set(&f, k, SL_BYTES(copy.ptr, copy.len));
                    check(&f, &want, 1, "zeroes", at);
                    mem_fini(&copy);
                }
            }
            files_set(&f, k, SL_BYTES(bytes.ptr, bytes.len));
        }
        mem_fini(&want);
        mem_fini(&bytes);
        files_fini(&f);
    }
}

/* Behind a segment nothing is looked at unless a checksum should be there; behind a log it is no
 * record. */
static void longer_files_are_told_or_change_nothing(void **state)
{
    (void)state;
    static const char *names[] = {"v1.39.0-upgraded", "v1.39.0-emptied", "v1.28.16-checksum",
                                  "v1.39.0-log"};
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        struct bucket_files f = {0};
        struct mem want = {0}, bytes = {0};
        files_of(&f, names[i]);
        read_slowly(&f, &want);
        for (uint32_t k = 0; k < f.count; k++) {
            load(&f, k, &bytes);
            size_t len = bytes.len;
            for (uint8_t more = 1; more < 200; more = (uint8_t)(more * 2 + 1)) {
                for (uint8_t n = 0; n < more; n++) {
                    mem_int(&bytes, n * 37u, 1);
                }
                files_set(&f, k, SL_BYTES(bytes.ptr, bytes.len));
                check(&f, &want, 0, "garbage", more);
                bytes.len = len;
            }
            mem_add(&bytes, bytes.ptr, len / 2); /* itself once more */
            files_set(&f, k, SL_BYTES(bytes.ptr, bytes.len));
            check(&f, &want, 0, "itself", len);
            files_set(&f, k, SL_BYTES(bytes.ptr, len));
        }
        mem_fini(&want);
        mem_fini(&bytes);
        files_fini(&f);
    }
}

/* Files of other programs in place of a segment or log. */
static void foreign_files_are_told(void **state)
{
    (void)state;
    static const char *texts[] = {"", "x", "SQLite format 3",
                                  "PK\3\4 and so on and so forth, a zip",
                                  "{\"json\": \"text that is longer than a header of 16 bytes\"}"};
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        struct bucket_files f = {0};
        struct mem out = {0};
        struct sl_err err = {0};
        files_add(&f, "segment-1.db", SL_BYTES(texts[i], strlen(texts[i])));
        assert_int_equal(read_bucket(&f, NULL, 1, &out, &err), SL_ECORRUPT);
        assert_true(is_named(&f, &err));
        files_fini(&f);
        files_add(&f, "segment-1.wal", SL_BYTES(texts[i], strlen(texts[i])));
        sl_rc rc = read_bucket(&f, NULL, 1, &out, &err);
        assert_int_equal(rc, texts[i][0] == '\0' ? SL_OK : SL_ECORRUPT);
        files_fini(&f);
        mem_fini(&out);
    }
    struct bucket_files f = {0}; /* a log under the name of a segment and the other way */
    struct mem log = {0}, segment = {0}, out = {0};
    struct sl_err err = {0};
    files_of(&f, "v1.39.0-upgraded");
    load(&f, 0, &segment);
    load(&f, 1, &log);
    files_set(&f, 0, SL_BYTES(log.ptr, log.len));
    assert_int_equal(read_bucket(&f, NULL, 1, &out, &err), SL_ECORRUPT);
    files_set(&f, 0, SL_BYTES(segment.ptr, segment.len));
    files_set(&f, 1, SL_BYTES(segment.ptr, segment.len));
    assert_int_equal(read_bucket(&f, NULL, 1, &out, &err), SL_ECORRUPT);
    mem_fini(&log);
    mem_fini(&segment);
    mem_fini(&out);
    files_fini(&f);
}

/* ---- going on ---- */

struct told {
    struct rows keys; /* objects that were left out by name */
    uint32_t others;
};
static void tell(void *arg, const uint8_t *uuid, const char *what)
{
    struct told *told = arg;
    struct row row = {0};
    assert_true(what[0] != '\0');
    if (uuid == NULL) {
        told->others++;
        return;
    }
    memcpy(row.key, uuid, 16);
    rows_insert(&told->keys, told->keys.count, &row);
}

static bool has_key(const struct mem *text, const uint8_t *key)
{
    for (size_t at = 0; at < text->len;) {
        if (memcmp(text->ptr + at, key, 16) == 0) {
            return true;
        }
        at += 24 + (size_t)int_at(SL_BYTES(text->ptr, text->len), at + 16, 8);
    }
    return false;
}

/* Rows that are there are rows of the whole bucket; those that are not were told. */
static void check_skipped(const struct bucket_files *f, const struct mem *want)
{
    struct told told = {0};
    struct sl_bucket_opts opts = {.damage = tell, .damage_arg = &told};
    struct sl_err err = {0};
    struct mem out = {0};
    sl_rc rc = read_bucket(f, &opts, 1, &out, &err);
    assert_true(rc == SL_OK || rc == SL_ECORRUPT);
    for (size_t at = 0; at < out.len;) {
        assert_true(has_key(want, out.ptr + at));
        at += 24 + (size_t)int_at(SL_BYTES(out.ptr, out.len), at + 16, 8);
    }
    for (size_t at = 0; rc == SL_OK && at < want->len;) {
        bool is_told = false;
        for (size_t i = 0; i < told.keys.count; i++) {
            is_told |= memcmp(told.keys.list[i].key, want->ptr + at, 16) == 0;
        }
        assert_true(has_key(&out, want->ptr + at) != is_told);
        at += 24 + (size_t)int_at(SL_BYTES(want->ptr, want->len), at + 16, 8);
    }
    rows_fini(&told.keys);
    mem_fini(&out);
}

static void what_skipping_leaves_out_is_told_by_name(void **state)
{
    (void)state;
    struct bucket_files f = {0};
    struct mem want = {0};
    make_deletes(&f, 1);
    read_slowly(&f, &want);
    for (uint32_t i = 0; i < f.count; i++) {
        for (size_t at = 0; at < f.sources[i].blob.size; at++) {
            uint8_t was, now;
            assert_int_equal(pread(f.files[i].fd, &was, 1, (off_t)at), 1);
            for (size_t k = 0; k < SL_COUNT_OF(patterns); k++) {
                now = was ^ patterns[k];
                assert_int_equal(pwrite(f.files[i].fd, &now, 1, (off_t)at), 1);
                check_skipped(&f, &want);
            }
            assert_int_equal(pwrite(f.files[i].fd, &was, 1, (off_t)at), 1);
        }
    }
    mem_fini(&want);
    files_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_changed_byte_is_told_or_stays_in_its_value),
        cmocka_unit_test(a_changed_byte_below_a_checksum_is_told),
        cmocka_unit_test(a_changed_byte_brings_no_deleted_object_back),
        cmocka_unit_test(a_cut_segment_is_told),
        cmocka_unit_test(zeroed_ranges_are_told_or_stay_in_values),
        cmocka_unit_test(longer_files_are_told_or_change_nothing),
        cmocka_unit_test(foreign_files_are_told),
        cmocka_unit_test(what_skipping_leaves_out_is_told_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
