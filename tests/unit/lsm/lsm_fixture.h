/* Buckets in memory for the tests of the reader: sources, a scan into rows, real files. */
#ifndef SL_TEST_LSM_FIXTURE_H
#define SL_TEST_LSM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>

#include "base/fault.h"
#include "lsm/bucket.h"
#include "lsm/fileset.h"
#include "lsm/lsm_int.h"
#include "lsm_slow.h"

#define SOURCES_MAX 16

/* The files of one bucket, oldest first. */
struct bucket_files {
    struct memfile files[SOURCES_MAX];
    struct sl_bucket_source sources[SOURCES_MAX];
    char names[SOURCES_MAX][64];
    uint32_t count;
};

static inline void files_add(struct bucket_files *f, const char *name, struct sl_bytes bytes)
{
    assert_true(f->count < SOURCES_MAX && strlen(name) < sizeof(f->names[0]));
    memcpy(f->names[f->count], name, strlen(name) + 1);
    struct memfile *m = &f->files[f->count];
    memfile_open(m, f->names[f->count]);
    memfile_set(m, bytes);
    f->sources[f->count++] = (struct sl_bucket_source){
        .blob = m->blob, .is_log = sl_str_ends(sl_str_from(name), ".wal")};
}

/* Other bytes for a file that is there. */
static inline void files_set(struct bucket_files *f, uint32_t i, struct sl_bytes bytes)
{
    memfile_set(&f->files[i], bytes);
    f->sources[i].blob = f->files[i].blob;
}

static inline void files_fini(struct bucket_files *f)
{
    for (uint32_t i = 0; i < f->count; i++) {
        memfile_close(&f->files[i]);
    }
    *f = (struct bucket_files){0};
}

static inline void read_file(const char *path, struct mem *out)
{
    uint8_t part[4096];
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    for (size_t n = 1; n > 0;) {
        n = fread(part, 1, sizeof(part), in);
        mem_add(out, part, n);
    }
    (void)fclose(in);
}

/* The files of tests/data/weaviate/lsm/<name> that count, in their order. */
static inline void files_of(struct bucket_files *f, const char *name)
{
    char folder[512], path[1024];
    struct sl_bucket_file list[64] = {0};
    char names[64][256];
    uint32_t count = 0;
    struct sl_arena arena = {0};
    struct sl_err err = {0};
    (void)snprintf(folder, sizeof(folder), "%s/weaviate/lsm/%s", SL_TEST_DATA, name);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (e->d_name[0] != '.') {
            (void)snprintf(names[count], sizeof(names[0]), "%s", e->d_name);
            list[count] = (struct sl_bucket_file){.name = sl_str_from(names[count]), .size = 1};
            count++;
        }
    }
    (void)closedir(dir);
    assert_int_equal(sl_fileset_decide(list, count, &arena, &err), SL_OK);
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].role == SL_ROLE_SEGMENT || list[i].role == SL_ROLE_LOG) {
            struct mem bytes = {0};
            (void)snprintf(path, sizeof(path), "%s/%.*s", folder, SL_STR_ARG(list[i].name));
            read_file(path, &bytes);
            (void)snprintf(path, sizeof(path), "%.*s", SL_STR_ARG(list[i].name));
            files_add(f, path, SL_BYTES(bytes.ptr, bytes.len));
            mem_fini(&bytes);
        }
    }
    sl_arena_fini(&arena);
}

/* ---- reading ---- */

/* Rows as one text: key, length, value. */
static inline sl_rc scan_into(struct sl_bucket *b, const uint8_t *lo, const uint8_t *hi,
                              struct mem *out, struct sl_err *err)
{
    SL_AUTO_PTR(sl_bucket_cursor) c = NULL;
    SL_TRY(sl_bucket_scan(b, lo, hi, &c, err));
    for (;;) {
        struct sl_bucket_entry e;
        sl_rc rc = sl_bucket_next(c, &e, err);
        if (rc != SL_OK) {
            return rc == SL_END ? SL_OK : rc;
        }
        mem_add(out, e.key, 16);
        mem_int(out, e.value.len, 8);
        mem_add(out, e.value.ptr, e.value.len);
    }
}

/* Open, check, read everything: as a range that is the whole shard, or as `ranges` of them. */
static inline sl_rc read_bucket(const struct bucket_files *f, const struct sl_bucket_opts *opts,
                                uint32_t ranges, struct mem *out, struct sl_err *err)
{
    static const struct sl_bucket_opts strict;
    SL_AUTO_PTR(sl_bucket) b = NULL;
    uint8_t keys[16][SL_UUID_SIZE];
    uint32_t count = 0;
    out->len = 0;
    SL_TRY(sl_bucket_open(f->sources, f->count, opts == NULL ? &strict : opts, &b, err));
    SL_TRY(sl_bucket_check(b, err));
    if (ranges > 1) {
        SL_TRY(sl_bucket_split(b, ranges - 1, keys, &count, err));
    }
    for (uint32_t i = 0; i <= count; i++) {
        SL_TRY(scan_into(b, i == 0 ? NULL : keys[i - 1], i == count ? NULL : keys[i], out, err));
    }
    return SL_OK;
}

/* The same text by the slow reader; rows of every file must read to its end. */
static inline void read_slowly(const struct bucket_files *f, struct mem *out)
{
    struct rows all = {0};
    struct mem bytes[SOURCES_MAX] = {0};
    for (uint32_t i = 0; i < f->count; i++) {
        struct rows one = {0};
        size_t len = (size_t)f->sources[i].blob.size;
        bytes[i].ptr = malloc(len + 1);
        assert_int_equal(pread(f->files[i].fd, bytes[i].ptr, len, 0), len);
        struct sl_bytes b = {bytes[i].ptr, len};
        if (f->sources[i].is_log) {
            (void)slow_log(b, &one);
        } else {
            assert_true(slow_segment(b, &one));
        }
        rows_merge(&all, &one);
        rows_fini(&one);
    }
    rows_drop_tombstones(&all);
    out->len = 0;
    for (size_t i = 0; i < all.count; i++) {
        mem_add(out, all.list[i].key, 16);
        mem_int(out, all.list[i].value.len, 8);
        mem_add(out, all.list[i].value.ptr, all.list[i].value.len);
    }
    rows_fini(&all);
    for (uint32_t i = 0; i < f->count; i++) {
        mem_fini(&bytes[i]);
    }
}

static inline bool mem_eq(const struct mem *a, const struct mem *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->ptr, b->ptr, a->len) == 0);
}

/* Same keys, and values of the same lengths; returns how many values differ, or -1. */
static inline int differing_values(const struct mem *a, const struct mem *b)
{
    int differing = 0;
    if (a->len != b->len) {
        return -1;
    }
    for (size_t at = 0; at < a->len;) {
        uint64_t len = int_at(SL_BYTES(a->ptr, a->len), at + 16, 8);
        if (memcmp(a->ptr + at, b->ptr + at, 24) != 0) {
            return -1;
        }
        differing += memcmp(a->ptr + at + 24, b->ptr + at + 24, (size_t)len) != 0;
        at += 24 + (size_t)len;
    }
    return differing;
}

/* ---- keys and rows for buckets made here ---- */

/* Keys spread over the whole space, in the order of n. */
static inline void key_of(uint32_t n, uint8_t ret[16])
{
    memset(ret, 0, 16);
    sl_put_u64be(ret, (uint64_t)n * 0x0010000000000001);
    ret[15] = (uint8_t)n;
}

/* Rows whose values are owned here; what == NULL makes a tombstone. */
struct made_rows {
    struct rows rows;
};
static inline void made_add(struct made_rows *m, uint32_t n, const char *what)
{
    struct row row = {.is_tombstone = what == NULL};
    struct mem value = {0};
    key_of(n, row.key);
    if (what != NULL) {
        char text[128];
        (void)snprintf(text, sizeof(text), "{\"n\":%u,\"what\":\"%s\"}", n, what);
        make_object(&value, row.key, text);
    }
    row.value = (struct sl_bytes){value.ptr, value.len}; /* freed by made_fini */
    rows_insert(&m->rows, m->rows.count, &row);
}
static inline void made_fini(struct made_rows *m)
{
    for (size_t i = 0; i < m->rows.count; i++) {
        free((void *)(uintptr_t)m->rows.list[i].value.ptr);
    }
    rows_fini(&m->rows);
}
static inline void files_add_segment(struct bucket_files *f, const char *name, struct made_rows *m,
                                     int slots, int version)
{
    struct mem out = {0};
    make_segment(&out, &m->rows, slots, version);
    files_add(f, name, SL_BYTES(out.ptr, out.len));
    mem_fini(&out);
}
static inline void files_add_log(struct bucket_files *f, const char *name, struct made_rows *m,
                                 int slots)
{
    struct mem out = {0};
    uint32_t crc = 0;
    for (size_t i = 0; i < m->rows.count; i++) {
        make_record(&out, &crc, &m->rows.list[i], slots);
    }
    files_add(f, name, SL_BYTES(out.ptr, out.len));
    mem_fini(&out);
}

#endif
