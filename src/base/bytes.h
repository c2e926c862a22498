/* Borrowed views of bytes and text, and the bounds-checked reader over foreign bytes.
 *
 * Foreign bytes (disk, network) enter as struct sl_bytes and are taken apart only by sl_rd_*, which
 * cannot read past the view: a short read yields zeros and is remembered, and one sl_rd_done() at
 * the end turns it into SL_ECORRUPT with the offset. No struct casts, no pointer arithmetic
 * elsewhere. All multi-byte integers are little-endian unless the name says be. */
#ifndef SL_BASE_BYTES_H
#define SL_BASE_BYTES_H

#include <string.h>

#include "base/err.h"

struct sl_bytes {
    const uint8_t *ptr; /* borrowed; may be NULL when len is 0 */
    size_t len;
};

/* Text, UTF-8, not NUL-terminated. */
struct sl_str {
    const char *ptr; /* borrowed; may be NULL when len is 0 */
    size_t len;
};

#define SL_STR(literal)           ((struct sl_str){(literal), sizeof(literal) - 1})
#define SL_BYTES(pointer, length) ((struct sl_bytes){(const uint8_t *)(pointer), (length)})
#define SL_STR_ARG(s)             (int)(s).len, (s).ptr /* for "%.*s" */

static inline struct sl_str sl_str_from(const char *text)
{
    return (struct sl_str){text, text == NULL ? 0 : strlen(text)};
}
static inline struct sl_bytes sl_str_bytes(struct sl_str s)
{
    return (struct sl_bytes){(const uint8_t *)s.ptr, s.len};
}
static inline struct sl_str sl_bytes_str(struct sl_bytes b)
{
    return (struct sl_str){(const char *)b.ptr, b.len};
}
static inline bool sl_bytes_eq(struct sl_bytes a, struct sl_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline bool sl_str_eq(struct sl_str a, struct sl_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline bool sl_str_is(struct sl_str a, const char *text)
{
    return sl_str_eq(a, sl_str_from(text));
}
/* memcmp order, the shorter first on a tie. */
static inline int sl_bytes_cmp(struct sl_bytes a, struct sl_bytes b)
{
    size_t n = SL_MIN(a.len, b.len);
    int c = n == 0 ? 0 : memcmp(a.ptr, b.ptr, n);
    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

/* Reader. Zero-initialise by sl_rd_over. */
struct sl_rd {
    struct sl_bytes all;
    size_t at;     /* next byte */
    bool is_short; /* sticky: something was asked for beyond the end */
};

static inline struct sl_rd sl_rd_over(struct sl_bytes b)
{
    return (struct sl_rd){.all = b};
}
static inline size_t sl_rd_left(const struct sl_rd *rd)
{
    return rd->all.len - rd->at;
}
/* The next len bytes, or an empty view (and is_short) when fewer are left. */
static inline struct sl_bytes sl_rd_bytes(struct sl_rd *rd, uint64_t len)
{
    if (SL_UNLIKELY(rd->is_short || len > sl_rd_left(rd))) {
        rd->is_short = true;
        return (struct sl_bytes){NULL, 0};
    }
    if (len == 0) { /* no arithmetic on the NULL of an empty view */
        return (struct sl_bytes){rd->all.ptr, 0};
    }
    struct sl_bytes b = {rd->all.ptr + rd->at, (size_t)len};
    rd->at += (size_t)len;
    return b;
}
#define SL_RD_INT(name, type, bits, swap)                \
    static inline type sl_rd_##name(struct sl_rd *rd)    \
    {                                                    \
        struct sl_bytes b = sl_rd_bytes(rd, (bits) / 8); \
        type v = 0;                                      \
        if (SL_LIKELY(b.ptr != NULL)) {                  \
            memcpy(&v, b.ptr, (bits) / 8);               \
        }                                                \
        return (type)swap(v);                            \
    }
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Sluice reads and writes little-endian formats in place; big-endian hosts are not supported"
#endif
SL_RD_INT(u8, uint8_t, 8, )
SL_RD_INT(u16, uint16_t, 16, )
SL_RD_INT(u32, uint32_t, 32, )
SL_RD_INT(u64, uint64_t, 64, )
SL_RD_INT(u16be, uint16_t, 16, __builtin_bswap16)
SL_RD_INT(u32be, uint32_t, 32, __builtin_bswap32)
SL_RD_INT(u64be, uint64_t, 64, __builtin_bswap64)
#undef SL_RD_INT

/* SL_ECORRUPT naming `what` and the offset when any read fell short; SL_OK otherwise. */
static inline sl_rc sl_rd_done(const struct sl_rd *rd, const char *what, struct sl_err *err)
{
    if (SL_UNLIKELY(rd->is_short)) {
        return SL_FAIL(err, SL_ECORRUPT, "%s: ends at offset %zu of %zu, more was expected", what,
                       rd->at, rd->all.len);
    }
    return SL_OK;
}

static inline void sl_put_u16(uint8_t *at, uint16_t v)
{
    memcpy(at, &v, 2);
}
static inline void sl_put_u32(uint8_t *at, uint32_t v)
{
    memcpy(at, &v, 4);
}
static inline void sl_put_u64(uint8_t *at, uint64_t v)
{
    memcpy(at, &v, 8);
}
static inline void sl_put_u64be(uint8_t *at, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(at, &v, 8);
}

#endif
