/* Segments and logs written and read the slow, simple way, straight from the format's description
 * and sharing no line with src/lsm: what the reader is compared with. For unit tests and fuzz
 * targets; memory comes from libc, so that a sweep over our own allocations does not see it. */
#ifndef SL_TEST_LSM_SLOW_H
#define SL_TEST_LSM_SLOW_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lsm/blob.h"

/* ---- bytes in libc's memory ---- */

struct mem {
    uint8_t *ptr;
    size_t len, cap;
};

static inline void mem_add(struct mem *m, const void *bytes, size_t len)
{
    if (m->len + len > m->cap) {
        m->cap = (m->len + len) * 2;
        m->ptr = realloc(m->ptr, m->cap);
        sl_assert(m->ptr != NULL);
    }
    if (len > 0) {
        memcpy(m->ptr + m->len, bytes, len);
    }
    m->len += len;
}

static inline void mem_int(struct mem *m, uint64_t v, size_t len) /* little-endian */
{
    mem_add(m, &v, len);
}

static inline void mem_int_be(struct mem *m, uint32_t v)
{
    v = __builtin_bswap32(v);
    mem_add(m, &v, 4);
}

static inline void mem_fini(struct mem *m)
{
    free(m->ptr);
    *m = (struct mem){0};
}

static inline uint64_t int_at(struct sl_bytes b, size_t at, size_t len)
{
    uint64_t v = 0;
    memcpy(&v, b.ptr + at, len);
    return v;
}

/* CRC-32 of IEEE, bit by bit. */
static inline uint32_t crc_add(uint32_t crc, const uint8_t *ptr, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= ptr[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0xedb88320 & (0 - (crc & 1)));
        }
    }
    return ~crc;
}

/* ---- rows ---- */

struct row {
    uint8_t key[16];
    bool is_tombstone;
    struct sl_bytes value;
    size_t at, size; /* of the node in the file */
};
struct rows {
    struct row *list;
    size_t count, cap;
};

static inline void rows_fini(struct rows *r)
{
    free(r->list);
    *r = (struct rows){0};
}

static inline void rows_insert(struct rows *r, size_t at, const struct row *row)
{
    if (r->count == r->cap) {
        r->cap = r->cap * 2 + 16;
        r->list = realloc(r->list, r->cap * sizeof(*r->list));
        sl_assert(r->list != NULL);
    }
    memmove(r->list + at + 1, r->list + at, (r->count - at) * sizeof(*r->list));
    r->list[at] = *row;
    r->count++;
}

/* Newer rows over older ones: the last put of a key stays, tombstones included. */
static inline void rows_merge(struct rows *into, const struct rows *newer)
{
    for (size_t i = 0; i < newer->count; i++) {
        size_t at = 0;
        int c = -1;
        while (at < into->count && (c = memcmp(into->list[at].key, newer->list[i].key, 16)) < 0) {
            at++;
        }
        if (at < into->count && c == 0) {
            into->list[at] = newer->list[i];
        } else {
            rows_insert(into, at, &newer->list[i]);
        }
    }
}

static inline void rows_drop_tombstones(struct rows *r)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (!r->list[i].is_tombstone) {
            r->list[kept++] = r->list[i];
        }
    }
    r->count = kept;
}

/* ---- reading ---- */

/* The node at `at` with its slots (negative: as many as fill `end`); false when it is none. */
static inline bool slow_node(struct sl_bytes file, size_t at, size_t end, int slots,
                             struct row *ret)
{
    if (end > file.len || at + 9 > end || file.ptr[at] > 1) {
        return false;
    }
    uint64_t value_len = int_at(file, at + 1, 8);
    if (value_len > end - at - 9) {
        return false;
    }
    size_t next = at + 9 + (size_t)value_len;
    if (next + 4 + 16 > end || int_at(file, next, 4) != 16) {
        return false;
    }
    *ret = (struct row){.is_tombstone = file.ptr[at] == 1,
                        .value = {file.ptr + at + 9, (size_t)value_len},
                        .at = at};
    memcpy(ret->key, file.ptr + next + 4, 16);
    next += 4 + 16;
    for (int i = 0; slots < 0 ? next < end : i < slots; i++) {
        if (next + 4 > end || int_at(file, next, 4) > end - next - 4) {
            return false;
        }
        next += 4 + (size_t)int_at(file, next, 4);
    }
    ret->size = next - at;
    if (ret->is_tombstone) {
        return value_len == 0 || value_len == 9;
    }
    return value_len >= 26 && memcmp(ret->value.ptr + 10, ret->key, 16) == 0;
}

/* All nodes of a segment in order; false when a byte of its data is not as it must be. */
static inline bool slow_segment(struct sl_bytes file, struct rows *ret)
{
    if (file.len < 16) {
        return false;
    }
    uint64_t end = int_at(file, 8, 8);
    size_t at = 16;
    if (end < 16 || end > file.len || int_at(file, 6, 2) != 0) {
        return false;
    }
    while (at < end) {
        struct row row;
        if (!slow_node(file, at, (size_t)end, (int)int_at(file, 4, 2), &row) ||
            (ret->count > 0 && memcmp(ret->list[ret->count - 1].key, row.key, 16) >= 0)) {
            return false;
        }
        rows_insert(ret, ret->count, &row);
        at += row.size;
    }
    return true;
}

/* Records of a log in the order of writing, up to the first that is not whole and good; returns
 * where that is. */
static inline size_t slow_log(struct sl_bytes file, struct rows *ret)
{
    size_t at = 0;
    uint32_t crc = 0;
    while (at + 6 <= file.len && file.ptr[at] == 0 && file.ptr[at + 1] == 1) {
        size_t len = (size_t)int_at(file, at + 2, 4);
        struct row row;
        if (len > file.len - at - 6 || 4 > file.len - at - 6 - len) {
            break;
        }
        crc = crc_add(crc, file.ptr + at, 6 + len);
        uint32_t stored = __builtin_bswap32((uint32_t)int_at(file, at + 6 + len, 4));
        if (stored != crc || !slow_node(file, at + 6, at + 6 + len, -1, &row)) {
            break;
        }
        rows_insert(ret, ret->count, &row);
        at += 6 + len + 4;
    }
    return at;
}

/* ---- writing ---- */

/* An object without vectors, as servers up to 1.23 wrote it. */
static inline void make_object(struct mem *out, const uint8_t key[16], const char *properties)
{
    size_t len = strlen(properties);
    mem_int(out, 1, 1);
    mem_int(out, 7, 8); /* document id */
    mem_int(out, 1, 1);
    mem_add(out, key, 16);
    mem_int(out, 1700000000000, 8);
    mem_int(out, 1700000000001, 8);
    mem_int(out, 0, 2); /* no vector */
    mem_int(out, 1, 2);
    mem_add(out, "A", 1);
    mem_int(out, len, 4);
    mem_add(out, properties, len);
    for (int i = 0; i < 2; i++) {
        mem_int(out, 4, 4);
        mem_add(out, "null", 4);
    }
}

static inline void make_node(struct mem *out, const struct row *row, int slots)
{
    mem_int(out, row->is_tombstone, 1);
    mem_int(out, row->value.len, 8);
    mem_add(out, row->value.ptr, row->value.len);
    mem_int(out, 16, 4);
    mem_add(out, row->key, 16);
    for (int i = 0; i < slots; i++) { /* the document id, then empty ones */
        mem_int(out, i == 0 && !row->is_tombstone ? 8 : 0, 4);
        mem_int(out, 7, i == 0 && !row->is_tombstone ? 8 : 0);
    }
}

/* A balanced tree over rows [lo, hi), root first, then the left half, then the right. */
static inline void make_index(struct mem *out, const struct rows *rows, size_t lo, size_t hi,
                              size_t begin)
{
    if (lo == hi) {
        return;
    }
    size_t mid = lo + (hi - lo) / 2, at = out->len - begin;
    const struct row *row = &rows->list[mid];
    mem_int(out, 16, 4);
    mem_add(out, row->key, 16);
    mem_int(out, row->at, 8);
    mem_int(out, row->at + row->size, 8);
    mem_int(out, mid > lo ? at + 52 : UINT64_MAX, 8);
    mem_int(out, mid + 1 < hi ? at + 52 * (1 + mid - lo) : UINT64_MAX, 8);
    make_index(out, rows, lo, mid, begin);
    make_index(out, rows, mid + 1, hi, begin);
}

/* A segment of rows that ascend; their places are filled in. Version 1 has a checksum. The trees of
 * the secondary keys are left empty: nothing reads them. */
static inline void make_segment(struct mem *out, struct rows *rows, int slots, int version)
{
    struct mem body = {0};
    for (size_t i = 0; i < rows->count; i++) {
        struct row *row = &rows->list[i];
        row->at = 16 + body.len;
        make_node(&body, row, slots);
        row->size = 16 + body.len - row->at;
    }
    size_t data_end = 16 + body.len;
    size_t index_end = data_end + 8 * (size_t)slots + 52 * rows->count;
    for (int i = 0; i < slots; i++) {
        mem_int(&body, index_end, 8);
    }
    make_index(&body, rows, 0, rows->count, body.len);
    struct mem header = {0};
    mem_int(&header, 0, 2);
    mem_int(&header, (uint64_t)version, 2);
    mem_int(&header, (uint64_t)slots, 2);
    mem_int(&header, 0, 2);
    mem_int(&header, data_end, 8);
    mem_add(out, header.ptr, header.len);
    mem_add(out, body.ptr, body.len);
    if (version == 1) {
        mem_int_be(out, crc_add(crc_add(0, body.ptr, body.len), header.ptr, 16));
    }
    mem_fini(&header);
    mem_fini(&body);
}

/* One more record of a log whose checksum so far is *crc. */
static inline void make_record(struct mem *out, uint32_t *crc, const struct row *row, int slots)
{
    struct mem node = {0};
    size_t begin = out->len;
    make_node(&node, row, slots);
    mem_int(out, 0, 1);
    mem_int(out, 1, 1);
    mem_int(out, node.len, 4);
    mem_add(out, node.ptr, node.len);
    *crc = crc_add(*crc, out->ptr + begin, out->len - begin);
    mem_int_be(out, *crc);
    mem_fini(&node);
}

/* ---- a file in memory ---- */

struct memfile {
    int fd;
    struct sl_file *file;
    struct sl_extent extent;
    struct sl_blob blob;
};

static inline void memfile_open(struct memfile *m, const char *name)
{
    char path[64];
    m->fd = memfd_create("lsm", MFD_CLOEXEC);
    sl_assert(m->fd >= 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", m->fd);
    sl_assert(sl_file_open(path, SL_FILE_READ, &m->file, NULL) == SL_OK);
    m->extent = (struct sl_extent){.file = m->file};
    m->blob = (struct sl_blob){.name = name, .extents = &m->extent, .extent_count = 1};
}

static inline void memfile_set(struct memfile *m, struct sl_bytes b)
{
    sl_assert(ftruncate(m->fd, (off_t)b.len) == 0);
    sl_assert(pwrite(m->fd, b.ptr, b.len, 0) == (ssize_t)b.len);
    m->blob.size = m->extent.len = b.len;
}

static inline void memfile_close(struct memfile *m)
{
    sl_file_close(m->file);
    (void)close(m->fd);
}

#endif
