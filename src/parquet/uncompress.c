/* Compressed pages back to their bytes. The home of Snappy, LZ4 and of reading Zstd.
 *
 * The page header says how long the bytes are: anything longer or shorter is damage, and no codec
 * is let write beyond. */
#define ZSTD_STATIC_LINKING_ONLY
#include "parquet/reader_int.h"

#include <lz4.h>
#include <snappy-c.h>
#include <zstd.h>

static const char *const names[] = {"none",   "Snappy",       "gzip", "LZO",
                                    "Brotli", "LZ4 (Hadoop)", "Zstd", "LZ4_RAW"};

struct sli_uncompress {
    int32_t codec;
    ZSTD_DCtx *zstd;
};

sl_rc sli_uncompress_new(int32_t codec, struct sli_uncompress **ret, struct sl_err *err)
{
    if (codec != SLI_CODEC_NONE && codec != SLI_CODEC_SNAPPY && codec != SLI_CODEC_ZSTD &&
        codec != SLI_CODEC_LZ4_RAW) {
        return codec >= 0 && (size_t)codec < SL_COUNT_OF(names)
                   ? SL_FAIL(err, SL_EUNSUPPORTED, "compression %s is not read", names[codec])
                   : SL_FAIL(err, SL_ECORRUPT, "compression %d is unknown", codec);
    }
    struct sli_uncompress *u = sl_alloc_zero(1, sizeof(*u));
    if (u == NULL) {
        return SL_NOMEM(err);
    }
    u->codec = codec;
    if (codec == SLI_CODEC_ZSTD) {
        u->zstd = ZSTD_createDCtx_advanced(
            (ZSTD_customMem){.customAlloc = sli_zstd_alloc, .customFree = sli_zstd_free});
        if (u->zstd == NULL) {
            sl_free(u);
            return SL_NOMEM(err);
        }
    }
    *ret = u;
    return SL_OK;
}

void sli_uncompress_free(struct sli_uncompress *u)
{
    if (u != NULL) {
        ZSTD_freeDCtx(u->zstd);
        sl_free(u);
    }
}

bool sli_uncompress_is_plain(const struct sli_uncompress *u)
{
    return u->codec == SLI_CODEC_NONE;
}

/* Bytes written into `at`; SIZE_MAX: damaged. */
static size_t uncompress(struct sli_uncompress *u, struct sl_bytes stored, uint8_t *at,
                         size_t raw_len)
{
    if (u->codec == SLI_CODEC_ZSTD) {
        size_t n = ZSTD_decompressDCtx(u->zstd, at, raw_len, stored.ptr, stored.len);
        return ZSTD_isError(n) ? SIZE_MAX : n;
    }
    if (u->codec == SLI_CODEC_SNAPPY) {
        size_t n = raw_len;
        snappy_status status =
            snappy_uncompress((const char *)stored.ptr, stored.len, (char *)at, &n);
        return status == SNAPPY_OK ? n : SIZE_MAX;
    }
    if (stored.len > INT32_MAX || raw_len > INT32_MAX) {
        return SIZE_MAX;
    }
    int n =
        LZ4_decompress_safe((const char *)stored.ptr, (char *)at, (int)stored.len, (int)raw_len);
    return n < 0 ? SIZE_MAX : (size_t)n;
}

sl_rc sli_uncompress_page(struct sli_uncompress *u, struct sl_bytes stored, size_t raw_len,
                          struct sl_buf *out, struct sl_err *err)
{
    if (raw_len == 0) {
        return SL_OK; /* some writers store nothing then, others an empty frame */
    }
    uint8_t *at = sl_buf_reserve(out, raw_len);
    if (at == NULL) {
        return SL_NOMEM(err);
    }
    size_t n = uncompress(u, stored, at, raw_len);
    if (n != raw_len) {
        return SL_FAIL(err, SL_ECORRUPT, "its %s does not give the %zu bytes it tells of",
                       names[u->codec], raw_len);
    }
    out->len += raw_len;
    return SL_OK;
}
