/* zlib and zstd behind one stream; see unpack.h. */
#include "source/unpack.h"

#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"

#define IN_SIZE   (256u << 10) /* smaller reads cost more calls than bytes; larger gain nothing */
#define SKIP_SIZE (256u << 10)
#define WINDOW_LOG                                                                \
    25 /* 32 MiB: the largest the servers' encoder uses; more would be our memory \
        */
#define MAGIC_LEN 4

struct sli_unpack {
    struct sl_file *file; /* borrowed */
    enum sli_packing kind;
    uint64_t size, at; /* of the file: all, read so far */
    uint8_t *in;       /* owned, IN_SIZE; NULL when plain */
    uint8_t *skipped;  /* owned, SKIP_SIZE; likewise */
    size_t in_len, in_at;
    z_stream gzip;
    bool has_gzip;
    ZSTD_DCtx *zstd; /* owned */
    bool is_between; /* a member or frame has ended and no other has begun */
};

static enum sli_packing sniff(const uint8_t *magic)
{
    static const uint8_t gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    return memcmp(magic, gzip, sizeof(gzip)) == 0   ? SLI_GZIP
           : memcmp(magic, zstd, sizeof(zstd)) == 0 ? SLI_ZSTD
                                                    : SLI_PLAIN;
}

static void *gzip_alloc(void *arg SL_UNUSED, unsigned count, unsigned size)
{
    return sl_alloc_zero(count, size);
}

static void gzip_free(void *arg SL_UNUSED, void *ptr)
{
    sl_free(ptr);
}

static sl_rc prepare(struct sli_unpack *u, struct sl_err *err)
{
    if (u->kind == SLI_PLAIN) {
        return SL_OK;
    }
    u->in = sl_alloc(IN_SIZE);
    u->skipped = sl_alloc(SKIP_SIZE);
    if (u->in == NULL || u->skipped == NULL) {
        return SL_NOMEM(err);
    }
    if (u->kind == SLI_GZIP) {
        u->gzip = (z_stream){.zalloc = gzip_alloc, .zfree = gzip_free};
        u->has_gzip = inflateInit2(&u->gzip, 15 + 16) == Z_OK; /* 16: gzip, its checksums checked */
        return u->has_gzip ? SL_OK : SL_NOMEM(err);
    }
    u->zstd = ZSTD_createDCtx();
    if (u->zstd == NULL ||
        ZSTD_isError(ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, WINDOW_LOG))) {
        return SL_NOMEM(err);
    }
    return SL_OK;
}

sl_rc sli_unpack_open(struct sl_file *file, struct sli_unpack **ret, struct sl_err *err)
{
    uint8_t magic[MAGIC_LEN] = {0};
    SL_AUTO_PTR(sli_unpack) u = sl_alloc_zero(1, sizeof(*u));
    if (u == NULL) {
        return SL_NOMEM(err);
    }
    u->file = file;
    SL_TRY(sl_file_size(file, &u->size, err));
    SL_TRY(sl_file_pread(file, 0, magic, (size_t)SL_MIN(u->size, (uint64_t)MAGIC_LEN), err));
    u->kind = sniff(magic);
    SL_TRY(prepare(u, err));
    *ret = sl_move(&u);
    return SL_OK;
}

void sli_unpack_close(struct sli_unpack *u)
{
    if (u == NULL) {
        return;
    }
    if (u->has_gzip) {
        (void)inflateEnd(&u->gzip);
    }
    (void)ZSTD_freeDCtx(u->zstd);
    sl_free(u->in);
    sl_free(u->skipped);
    sl_free(u);
}

enum sli_packing sli_unpack_kind(const struct sli_unpack *u)
{
    return u->kind;
}

static sl_rc damaged(const struct sli_unpack *u, struct sl_err *err, const char *what)
{
    return SL_FAIL(err, SL_ECORRUPT, "damaged near byte %llu of %llu: %s",
                   (unsigned long long)(u->at - (u->in_len - u->in_at)),
                   (unsigned long long)u->size, what);
}

/* More packed bytes, when all were used; is_end: there are none. */
static sl_rc refill(struct sli_unpack *u, bool *ret_is_end, struct sl_err *err)
{
    *ret_is_end = false;
    if (u->in_at < u->in_len) {
        return SL_OK;
    }
    size_t n = (size_t)SL_MIN((uint64_t)IN_SIZE, u->size - u->at);
    if (n == 0) {
        *ret_is_end = true;
        return SL_OK;
    }
    bool is_ours = sl_file_prefetch(u->file, u->at, n);
    SL_TRY(sl_file_pread(u->file, u->at, u->in, n, err));
    if (is_ours) {
        sl_file_forget(u->file, u->at, n);
    }
    u->at += n;
    u->in_len = n;
    u->in_at = 0;
    return SL_OK;
}

/* One step of zlib; what it wrote. */
static sl_rc step_gzip(struct sli_unpack *u, uint8_t *ret, size_t len, size_t *ret_len,
                       struct sl_err *err)
{
    uInt room = (uInt)SL_MIN(len, (size_t)1 << 30);
    u->gzip.next_in = u->in + u->in_at;
    u->gzip.avail_in = (uInt)(u->in_len - u->in_at);
    u->gzip.next_out = ret;
    u->gzip.avail_out = room;
    int rc = inflate(&u->gzip, Z_NO_FLUSH);
    u->in_at = u->in_len - u->gzip.avail_in;
    *ret_len = room - u->gzip.avail_out;
    if (rc == Z_MEM_ERROR) {
        return SL_NOMEM(err);
    }
    u->is_between = rc == Z_STREAM_END;
    if (u->is_between) {
        rc = inflateReset(&u->gzip);
    }
    return rc == Z_OK || rc == Z_BUF_ERROR
               ? SL_OK
               : damaged(u, err, u->gzip.msg == NULL ? "gzip does not go on" : u->gzip.msg);
}

static sl_rc step_zstd(struct sli_unpack *u, uint8_t *ret, size_t len, size_t *ret_len,
                       struct sl_err *err)
{
    ZSTD_inBuffer in = {u->in, u->in_len, u->in_at};
    ZSTD_outBuffer out = {ret, len, 0};
    size_t rc = ZSTD_decompressStream(u->zstd, &out, &in);
    u->in_at = in.pos;
    *ret_len = out.pos;
    if (ZSTD_isError(rc)) {
        return damaged(u, err, ZSTD_getErrorName(rc));
    }
    u->is_between = rc == 0;
    return SL_OK;
}

static sl_rc read_plain(struct sli_unpack *u, uint8_t *ret, size_t len, size_t *ret_len,
                        struct sl_err *err)
{
    size_t n = u->at >= u->size ? 0 : (size_t)SL_MIN((uint64_t)len, u->size - u->at);
    SL_TRY(sl_file_pread(u->file, u->at, ret, n, err));
    u->at += n;
    *ret_len = n;
    return SL_OK;
}

sl_rc sli_unpack_read(struct sli_unpack *u, uint8_t *ret, size_t len, size_t *ret_len,
                      struct sl_err *err)
{
    size_t done = 0;
    if (u->kind == SLI_PLAIN) {
        return read_plain(u, ret, len, ret_len, err);
    }
    while (done < len) {
        bool is_end = false;
        size_t got = 0;
        SL_TRY(refill(u, &is_end, err));
        if (is_end && u->is_between) {
            break;
        }
        size_t in_at = u->in_at;
        SL_TRY(u->kind == SLI_GZIP ? step_gzip(u, ret + done, len - done, &got, err)
                                   : step_zstd(u, ret + done, len - done, &got, err));
        done += got;
        if (is_end && got == 0 && u->in_at == in_at) {
            return damaged(u, err, "it ends in the middle: a part of the file is missing");
        }
    }
    *ret_len = done;
    return SL_OK;
}

sl_rc sli_unpack_skip(struct sli_unpack *u, uint64_t len, struct sl_err *err)
{
    if (u->kind == SLI_PLAIN) {
        u->at += len; /* below 2^62, and sizes of entries are below 2^60 */
        return SL_OK;
    }
    while (len > 0) {
        size_t got = 0, n = (size_t)SL_MIN(len, (uint64_t)SKIP_SIZE);
        SL_TRY(sli_unpack_read(u, u->skipped, n, &got, err));
        if (got < n) {
            return SL_OK;
        }
        len -= n;
    }
    return SL_OK;
}
