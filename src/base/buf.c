/* Growable buffer; see buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#define CAP_FIRST 256

void sl_buf_fini(struct sl_buf *b)
{
    sl_free(b->ptr);
    *b = SL_BUF_EMPTY;
}

void sl_buf_clear(struct sl_buf *b)
{
    b->len = 0;
    b->is_failed = false;
}

sl_rc sl_buf_done(const struct sl_buf *b, struct sl_err *err)
{
    return b->is_failed ? SL_NOMEM(err) : SL_OK;
}

uint8_t *sl_buf_reserve_slow(struct sl_buf *b, size_t more)
{
    size_t need = 0;
    if (b->is_failed || !sl_add_size(b->len, more, &need)) {
        b->is_failed = true;
        return NULL;
    }
    if (need > b->cap || b->ptr == NULL) {
        size_t cap = SL_MAX(SL_MAX(need, b->cap + b->cap / 2), (size_t)CAP_FIRST);
        uint8_t *ptr = sl_realloc(b->ptr, cap);
        if (ptr == NULL) {
            b->is_failed = true;
            return NULL;
        }
        b->ptr = ptr;
        b->cap = cap;
    }
    return b->ptr + b->len;
}

void sl_buf_add(struct sl_buf *b, struct sl_bytes bytes)
{
    uint8_t *at = sl_buf_reserve(b, bytes.len);
    if (at != NULL && bytes.len > 0) {
        memcpy(at, bytes.ptr, bytes.len);
        b->len += bytes.len;
    }
}

void sl_buf_add_str(struct sl_buf *b, struct sl_str s)
{
    sl_buf_add(b, sl_str_bytes(s));
}

void sl_buf_add_text(struct sl_buf *b, const char *text)
{
    sl_buf_add(b, SL_BYTES(text, strlen(text)));
}

void sl_buf_add_u8(struct sl_buf *b, uint8_t v)
{
    sl_buf_add(b, SL_BYTES(&v, 1));
}

void sl_buf_add_u16(struct sl_buf *b, uint16_t v)
{
    sl_buf_add(b, SL_BYTES(&v, 2));
}

void sl_buf_add_u32(struct sl_buf *b, uint32_t v)
{
    sl_buf_add(b, SL_BYTES(&v, 4));
}

void sl_buf_add_u64(struct sl_buf *b, uint64_t v)
{
    sl_buf_add(b, SL_BYTES(&v, 8));
}

void sl_buf_add_u64be(struct sl_buf *b, uint64_t v)
{
    sl_buf_add_u64(b, __builtin_bswap64(v));
}

void sl_buf_addf(struct sl_buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    /* One more byte than counted: vsnprintf ends with a NUL. */
    uint8_t *at = len < 0 ? NULL : sl_buf_reserve(b, (size_t)len + 1);
    if (at != NULL) {
        (void)vsnprintf((char *)at, (size_t)len + 1, fmt, again);
        b->len += (size_t)len;
    } else {
        b->is_failed = true;
    }
    va_end(again);
}

void sl_buf_consume(struct sl_buf *b, size_t n)
{
    sl_assert(n <= b->len);
    if (n > 0) {
        memmove(b->ptr, b->ptr + n, b->len - n);
        b->len -= n;
    }
}

const char *sl_buf_cstr(struct sl_buf *b)
{
    uint8_t *at = sl_buf_reserve(b, 1);
    if (at == NULL) {
        return "";
    }
    *at = '\0';
    return (const char *)b->ptr;
}
