/* Memory sink with a countdown to failure, and a walk over the pages of a file. */
#ifndef SL_TEST_PARQUET_FIXTURE_H
#define SL_TEST_PARQUET_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <zstd.h>

#include "base/fault.h"
#include "base/hash.h"
#include "base/mem.h"
#include "parquet/parquet_int.h"

struct mem_sink {
    struct sl_sink base;
    uint8_t *ptr; /* libc's memory, so that a sweep over ours does not see it */
    size_t len, cap;
    int64_t good_writes; /* left; negative: all are good */
    bool is_close_bad;
    int close_count, abort_count;
};

static inline sl_rc mem_write(struct sl_sink *s, struct sl_bytes b, struct sl_err *err)
{
    struct mem_sink *m = SL_CONTAINER_OF(s, struct mem_sink, base);
    if (m->good_writes == 0) {
        return SL_FAIL(err, SL_ENOSPACE, "the sink is full");
    }
    m->good_writes -= m->good_writes > 0;
    if (m->len + b.len > m->cap) {
        m->cap = (m->len + b.len) * 2;
        m->ptr = realloc(m->ptr, m->cap);
        assert_non_null(m->ptr);
    }
    memcpy(m->ptr + m->len, b.ptr, b.len);
    m->len += b.len;
    return SL_OK;
}

static inline sl_rc mem_close(struct sl_sink *s, struct sl_receipt *ret, struct sl_err *err)
{
    struct mem_sink *m = SL_CONTAINER_OF(s, struct mem_sink, base);
    m->close_count++;
    if (m->is_close_bad) {
        return SL_FAIL(err, SL_EIO, "the sink does not close");
    }
    *ret = (struct sl_receipt){.size = m->len};
    return SL_OK;
}

static inline void mem_abort(struct sl_sink *s)
{
    SL_CONTAINER_OF(s, struct mem_sink, base)->abort_count++;
}

static const struct sl_sink_ops mem_ops = {
    .write = mem_write, .close = mem_close, .abort = mem_abort};

#define MEM_SINK ((struct mem_sink){.base = {&mem_ops}, .good_writes = -1})

static inline void mem_sink_fini(struct mem_sink *m)
{
    free(m->ptr);
    *m = MEM_SINK;
}

/* The footer as the describing reader tells it. */
static inline json_t *described(const struct mem_sink *m)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_err err = {0};
    uint64_t need = 0;
    assert_int_equal(sl_pq_footer_describe(SL_BYTES(m->ptr, m->len), m->len, &need, &out, &err),
                     SL_OK);
    json_t *j = json_loadb((const char *)out.ptr, out.len, 0, NULL);
    assert_non_null(j);
    return j;
}

/* One page: header fields and the uncompressed body. */
struct walked_page {
    size_t offset, header_len, raw_len, stored_len, value_count;
    bool is_split; /* BYTE_STREAM_SPLIT, else PLAIN */
    uint8_t *body; /* owned, libc's */
};

static inline int64_t walk_number(const uint8_t *at, size_t *i)
{
    uint64_t v = 0;
    uint32_t shift = 0;
    do {
        v |= (uint64_t)(at[*i] & 0x7F) << shift;
        shift += 7;
    } while ((at[(*i)++] & 0x80) != 0);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* Reads the page at `offset` as parquet.thrift writes a v1 header: every field is there, in order
 * and in the short form. Checks encodings and checksum. */
static inline struct walked_page walk_page(const struct mem_sink *m, size_t offset)
{
    struct walked_page p = {.offset = offset};
    const uint8_t *at = m->ptr + offset;
    enum { STRUCT_HEAD = 0x1C, I32_HEAD = 0x15 }; /* delta 1 each; type struct, i32 */
    static const uint8_t heads[] = {I32_HEAD, I32_HEAD, I32_HEAD, I32_HEAD, STRUCT_HEAD,
                                    I32_HEAD, I32_HEAD, I32_HEAD, I32_HEAD};
    int64_t v[SL_COUNT_OF(heads)] = {0};
    size_t i = 0;
    for (size_t f = 0; f < SL_COUNT_OF(heads); f++) {
        assert_int_equal(at[i++], heads[f]);
        v[f] = heads[f] == STRUCT_HEAD ? 0 : walk_number(at, &i);
    }
    assert_int_equal(at[i++], 0);
    assert_int_equal(at[i++], 0);
    assert_int_equal(v[0], 0); /* DATA_PAGE */
    p.is_split = v[6] == 9;
    assert_true(p.is_split || v[6] == 0);
    assert_int_equal(v[7], 3); /* RLE */
    assert_int_equal(v[8], 3);
    p.header_len = i;
    p.raw_len = (size_t)v[1];
    p.stored_len = (size_t)v[2];
    p.value_count = (size_t)v[5];
    assert_true(offset + i + p.stored_len <= m->len);
    assert_int_equal((uint32_t)v[3], sl_crc32(0, SL_BYTES(at + i, p.stored_len)));
    assert_int_equal(ZSTD_getFrameContentSize(at + i, p.stored_len), p.raw_len);
    p.body = malloc(p.raw_len + 1);
    assert_non_null(p.body);
    assert_int_equal(ZSTD_decompress(p.body, p.raw_len, at + i, p.stored_len), p.raw_len);
    return p;
}

#endif
