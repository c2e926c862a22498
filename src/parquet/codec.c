/* Compression of pages: one context of zstd per writer, reused for every page; the bytes of floats
 * and their text by literals.c. */
#define ZSTD_STATIC_LINKING_ONLY /* memory of its contexts */
#include "parquet/parquet_int.h"

#include <lz4.h>
#include <snappy-c.h>
#include <zstd.h>
#include <zstd_errors.h>

#define LITERALS_LEAST (32 * 1024) /* tables of codes cost more than they save in small pages */

struct sli_codec {
    enum sl_pq_compression how;
    bool is_huffman_off;
    ZSTD_CCtx *zstd;
    struct sli_pairs *pairs; /* once a page needs them: they are large beside a small file */
};

void sli_codec_free(struct sli_codec *c)
{
    if (c != NULL) {
        ZSTD_freeCCtx(c->zstd);
        sl_free(c->pairs);
        sl_free(c);
    }
}
SL_DEFINE_FREEP(sli_codec, sli_codec_free)

void *sli_zstd_alloc(void *opaque, size_t size)
{
    (void)opaque;
    return sl_alloc(size);
}

void sli_zstd_free(void *opaque, void *ptr)
{
    (void)opaque;
    sl_free(ptr);
}

/* Its memory is ours: counted, and refused by the same sweeps. */
static ZSTD_CCtx *open_context(void)
{
    return ZSTD_createCCtx_advanced(
        (ZSTD_customMem){.customAlloc = sli_zstd_alloc, .customFree = sli_zstd_free});
}

static sl_rc told(size_t zstd_rc, struct sl_err *err)
{
    return ZSTD_getErrorCode(zstd_rc) == ZSTD_error_memory_allocation
               ? SL_NOMEM(err)
               : SL_FAIL(err, SL_EINTERNAL, "zstd: %s", ZSTD_getErrorName(zstd_rc));
}

sl_rc sli_codec_new(const struct sl_pq_opts *opts, struct sli_codec **ret, struct sl_err *err)
{
    SL_AUTO_PTR(sli_codec) c = sl_alloc_zero(1, sizeof(*c));
    if (c == NULL) {
        return SL_NOMEM(err);
    }
    c->how = opts->compression;
    c->is_huffman_off = opts->is_huffman_off;
    if (c->how != SL_PQ_BY_ZSTD) {
        *ret = sl_move(&c);
        return SL_OK;
    }
    c->zstd = open_context();
    if (c->zstd == NULL) {
        return SL_NOMEM(err);
    }
    size_t rc = ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, opts->zstd_level);
    if (ZSTD_isError(rc)) {
        return told(rc, err); /* uncovered: zstd takes a level out of range to its border */
    }
    *ret = sl_move(&c);
    return SL_OK;
}

size_t sli_codec_bound(enum sl_pq_compression how, size_t raw_len)
{
    switch (how) {
    case SL_PQ_BY_SNAPPY:
        return snappy_max_compressed_length(raw_len);
    case SL_PQ_BY_LZ4_RAW: /* LZ4_compressBound, which takes an int */
        return raw_len + raw_len / 255 + 16;
    case SL_PQ_BY_NONE:
        return raw_len;
    case SL_PQ_BY_ZSTD:
        break;
    }
    return ZSTD_compressBound(raw_len);
}

size_t sli_codec_room(const struct sli_codec *c, size_t raw_len)
{
    return sli_codec_bound(c->how, raw_len);
}

/* false: the library refused, which it does beyond 2 GiB only. */
static bool compress_otherwise(enum sl_pq_compression how, struct sl_bytes raw, uint8_t *out,
                               size_t *ret_len)
{
    *ret_len = sli_codec_bound(how, raw.len);
    if (how == SL_PQ_BY_SNAPPY) {
        return snappy_compress((const char *)raw.ptr, raw.len, (char *)out, ret_len) == SNAPPY_OK;
    }
    if (how == SL_PQ_BY_LZ4_RAW) {
        int len = raw.len > LZ4_MAX_INPUT_SIZE
                      ? 0
                      : LZ4_compress_default((const char *)raw.ptr, (char *)out, (int)raw.len,
                                             (int)SL_MIN(*ret_len, (size_t)INT32_MAX));
        *ret_len = (size_t)SL_MAX(len, 0);
        return len > 0;
    }
    memcpy(out, raw.ptr, raw.len);
    return true;
}

/* 0: matching pays. */
static size_t compress_literals(struct sli_codec *c, enum sl_pq_codec_profile profile,
                                size_t levels_len, struct sl_bytes raw, uint8_t *out)
{
    struct sl_bytes parts[SLI_PLANES];
    uint32_t count = profile == SL_PQ_SPLIT ? SLI_PLANES : 1;
    size_t len = (raw.len - levels_len) / count;
    for (uint32_t i = 0; i < count; i++) {
        parts[i] = SL_BYTES(raw.ptr + levels_len + i * len, len);
    }
    return sli_literals_frame(SL_BYTES(raw.ptr, levels_len), parts, count, c->pairs, out);
}

sl_rc sli_codec_compress(struct sli_codec *c, enum sl_pq_codec_profile profile, size_t levels_len,
                         struct sl_bytes raw, uint8_t *out, size_t *ret_len, struct sl_err *err)
{
    if (c->how != SL_PQ_BY_ZSTD) {
        return compress_otherwise(c->how, raw, out, ret_len)
                   ? SL_OK
                   : SL_FAIL(err, SL_ETOOBIG,
                             "a page of %zu bytes is too large for the compression", raw.len);
    }
    bool is_literals = profile != SL_PQ_ZSTD && !c->is_huffman_off && raw.len >= LITERALS_LEAST;
    if (is_literals && c->pairs == NULL) {
        c->pairs = sl_alloc(sizeof(*c->pairs));
        if (c->pairs == NULL) {
            return SL_NOMEM(err);
        }
    }
    *ret_len = is_literals ? compress_literals(c, profile, levels_len, raw, out) : 0;
    if (*ret_len > 0) {
        return SL_OK;
    }
    *ret_len = ZSTD_compress2(c->zstd, out, ZSTD_compressBound(raw.len), raw.ptr, raw.len);
    return ZSTD_isError(*ret_len) ? told(*ret_len, err) : SL_OK;
}

const char *sl_pq_zstd_version(void)
{
    return ZSTD_versionString();
}
