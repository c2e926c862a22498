/* Compression of pages. Zstd: two contexts per writer, reused for every page.
 *
 * Float bytes and float text gain nothing from matching, only from entropy coding: level -100 with
 * literals forced through Huffman is 2-3 times faster than level 1 at the same or a better size.
 * The switch is in the static part of zstd.h; the shared library knows it, which is probed once. */
#define ZSTD_STATIC_LINKING_ONLY
#include "parquet/parquet_int.h"

#include <lz4.h>
#include <snappy-c.h>
#include <stdatomic.h>
#include <zstd.h>
#include <zstd_errors.h>

#define PROBE_LEN     (128 * 1024) /* one Zstd block */
#define PROBE_LEVELS  1024
#define HUFFMAN_LEAST (32 * 1024)

struct sli_codec {
    enum sl_pq_compression how;
    ZSTD_CCtx *plain, *huffman; /* huffman is NULL when columns of that profile use plain */
};

void sli_codec_free(struct sli_codec *c)
{
    if (c != NULL) {
        ZSTD_freeCCtx(c->plain);
        ZSTD_freeCCtx(c->huffman);
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

static bool set_huffman(ZSTD_CCtx *ctx)
{
    return !ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, -100)) &&
           !ZSTD_isError(
               ZSTD_CCtx_setParameter(ctx, ZSTD_c_literalCompressionMode, ZSTD_lcm_huffman)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_stableInBuffer, 1)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_stableOutBuffer, 1));
}

/* One frame whose blocks end where the levels and where each byte plane ends. A block with a bit of
 * the exponents in it would go through Huffman whole to gain nothing: its other bytes are noise. */
static size_t compress_planes(ZSTD_CCtx *ctx, size_t levels_len, struct sl_bytes raw, uint8_t *out)
{
    ZSTD_inBuffer in = {.src = raw.ptr, .size = levels_len};
    ZSTD_outBuffer to = {.dst = out, .size = ZSTD_compressBound(raw.len)};
    size_t plane_len = (raw.len - levels_len) / SLI_PLANES;
    size_t rc = ZSTD_CCtx_reset(ctx, ZSTD_reset_session_only);
    if (!ZSTD_isError(rc)) {
        rc = ZSTD_CCtx_setPledgedSrcSize(ctx, raw.len);
    }
    for (size_t part = 0; part <= SLI_PLANES && !ZSTD_isError(rc); part++) {
        in.size = levels_len + part * plane_len;
        rc = ZSTD_compressStream2(ctx, &to, &in, part == SLI_PLANES ? ZSTD_e_end : ZSTD_e_flush);
    }
    return ZSTD_isError(rc) ? rc : to.pos;
}

enum answer { NOT_ASKED, NO, YES };

/* Skewed bytes without repetitions: Huffman must shrink them well below 7/8 and give them back; a
 * libzstd that does not let its input grow from flush to flush refuses here.
 * Refused memory is no answer: it must not decide the bytes of all later files. */
static sl_rc probe(ZSTD_CCtx *ctx, enum answer *ret, struct sl_err *err)
{
    size_t bound = ZSTD_compressBound(PROBE_LEN);
    SL_AUTO_MEM(uint8_t) raw = sl_alloc(PROBE_LEN);
    SL_AUTO_MEM(uint8_t) again = sl_alloc(PROBE_LEN);
    SL_AUTO_MEM(uint8_t) out = sl_alloc(bound);
    if (raw == NULL || again == NULL || out == NULL) {
        return SL_NOMEM(err);
    }
    uint32_t state = 1;
    for (size_t i = 0; i < PROBE_LEN; i++) {
        state = state * 1664525u + 1013904223u;
        raw[i] = (uint8_t)(120 + (__builtin_popcount(state >> 8) & 15));
    }
    size_t len = compress_planes(ctx, PROBE_LEVELS, SL_BYTES(raw, PROBE_LEN), out);
    size_t back = ZSTD_isError(len) ? len : ZSTD_decompress(again, PROBE_LEN, out, len);
    if (ZSTD_getErrorCode(back) == ZSTD_error_memory_allocation) {
        return SL_NOMEM(err);
    }
    bool is_good =
        len < PROBE_LEN / 8 * 7 && back == PROBE_LEN && memcmp(raw, again, PROBE_LEN) == 0;
    *ret = is_good ? YES : NO;
    return SL_OK;
}

/* Keeps the Huffman-only context when this libzstd passes the probe, asked once per process; two
 * threads asking at once get the same answer. */
static sl_rc open_huffman(struct sli_codec *c, struct sl_err *err)
{
    static _Atomic int known = NOT_ASKED;
    enum answer answer = (enum answer)atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == NO) {
        return SL_OK;
    }
    c->huffman = open_context();
    if (c->huffman == NULL) {
        return SL_NOMEM(err);
    }
    if (!set_huffman(c->huffman)) {
        answer = NO; /* uncovered: a libzstd without the switch */
    } else if (answer == NOT_ASKED) {
        SL_TRY(probe(c->huffman, &answer, err));
    }
    atomic_store_explicit(&known, (int)answer, memory_order_relaxed);
    if (answer == NO) {
        ZSTD_freeCCtx(c->huffman); /* uncovered: a libzstd that fails the probe */
        c->huffman = NULL;         /* uncovered: level 1 serves instead */
    }
    return SL_OK;
}

sl_rc sli_codec_new(const struct sl_pq_opts *opts, struct sli_codec **ret, struct sl_err *err)
{
    SL_AUTO_PTR(sli_codec) c = sl_alloc_zero(1, sizeof(*c));
    if (c == NULL) {
        return SL_NOMEM(err);
    }
    c->how = opts->compression;
    if (c->how != SL_PQ_BY_ZSTD) {
        *ret = sl_move(&c);
        return SL_OK;
    }
    c->plain = open_context();
    if (c->plain == NULL) {
        return SL_NOMEM(err);
    }
    size_t rc = ZSTD_CCtx_setParameter(c->plain, ZSTD_c_compressionLevel, opts->zstd_level);
    if (ZSTD_isError(rc)) {
        return told(rc, err); /* uncovered: zstd takes a level out of range to its border */
    }
    if (!opts->is_huffman_off) {
        SL_TRY(open_huffman(c, err));
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

sl_rc sli_codec_compress(struct sli_codec *c, enum sl_pq_codec_profile profile, size_t levels_len,
                         struct sl_bytes raw, uint8_t *out, size_t *ret_len, struct sl_err *err)
{
    if (c->how != SL_PQ_BY_ZSTD) {
        return compress_otherwise(c->how, raw, out, ret_len)
                   ? SL_OK
                   : SL_FAIL(err, SL_ETOOBIG,
                             "a page of %zu bytes is too large for the compression", raw.len);
    }
    /* Tables of Huffman codes cost more than they save in small pages. */
    bool is_huffman = profile != SL_PQ_ZSTD && c->huffman != NULL && raw.len >= HUFFMAN_LEAST;
    ZSTD_CCtx *ctx = is_huffman ? c->huffman : c->plain;
    size_t len = is_huffman && profile == SL_PQ_SPLIT
                     ? compress_planes(ctx, levels_len, raw, out)
                     : ZSTD_compress2(ctx, out, ZSTD_compressBound(raw.len), raw.ptr, raw.len);
    if (ZSTD_isError(len)) {
        return told(len, err);
    }
    *ret_len = len;
    return SL_OK;
}

const char *sl_pq_zstd_version(void)
{
    return ZSTD_versionString();
}
