/* Growable output buffer whose failure sticks until asked.
 *
 * Appends return nothing; a failed growth marks the buffer, later appends do nothing, and one
 * sl_buf_done() at the end says SL_ENOMEM. So writers of many small things need one check. */
#ifndef SL_BASE_BUF_H
#define SL_BASE_BUF_H

#include "base/bytes.h"
#include "base/mem.h"

struct sl_buf {
    uint8_t *ptr; /* owned; NULL while nothing was appended */
    size_t len;   /* bytes in use */
    size_t cap;
    bool is_failed; /* sticky: a growth was refused */
};

#define SL_BUF_EMPTY ((struct sl_buf){0})

void sl_buf_fini(struct sl_buf *b);  /* frees; the buffer is empty again */
void sl_buf_clear(struct sl_buf *b); /* length 0, memory kept, failure forgotten */
sl_rc sl_buf_done(const struct sl_buf *b, struct sl_err *err);
/* Room for `more` bytes after len; returns where they start, NULL when refused (sticky). The caller
 * writes at most `more` bytes there and then adds what it wrote to b->len. */
uint8_t *sl_buf_reserve_slow(struct sl_buf *b, size_t more);
static inline uint8_t *sl_buf_reserve(struct sl_buf *b, size_t more)
{
    if (SL_LIKELY(!b->is_failed && b->cap - b->len > more)) { /* exact and empty: the slow one */
        return b->ptr + b->len;
    }
    return sl_buf_reserve_slow(b, more);
}

void sl_buf_add(struct sl_buf *b, struct sl_bytes bytes);
void sl_buf_add_str(struct sl_buf *b, struct sl_str s);
void sl_buf_add_text(struct sl_buf *b, const char *text); /* up to its NUL */
void sl_buf_add_u8(struct sl_buf *b, uint8_t v);
void sl_buf_add_u16(struct sl_buf *b, uint16_t v);
void sl_buf_add_u32(struct sl_buf *b, uint32_t v);
void sl_buf_add_u64(struct sl_buf *b, uint64_t v);
void sl_buf_add_u64be(struct sl_buf *b, uint64_t v);
void sl_buf_addf(struct sl_buf *b, const char *fmt, ...) SL_PRINTF(2, 3);
/* Takes the first `count` bytes away and moves the rest to the front. */
void sl_buf_consume(struct sl_buf *b, size_t count);
/* NUL-terminates (the NUL is not counted) and lends the text; "" when the buffer failed or is
 * empty. */
const char *sl_buf_cstr(struct sl_buf *b);

static inline struct sl_bytes sl_buf_view(const struct sl_buf *b)
{
    return (struct sl_bytes){b->ptr, b->len};
}
static inline struct sl_str sl_buf_str(const struct sl_buf *b)
{
    return (struct sl_str){(const char *)b->ptr, b->len};
}

#endif
