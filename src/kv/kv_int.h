/* Inside of the kv folder: how an implementation reads a batch, what a view may be called, and how
 * a span is cut by measured bytes. */
#ifndef SL_KV_KV_INT_H
#define SL_KV_KV_INT_H

#include "kv/kv.h"

/* One operation of a batch; the views are borrowed from the batch. */
struct sli_kv_op {
    enum sl_kv_op_kind kind;
    struct sl_bytes key;   /* SL_KV_DELETE_SPAN: lo */
    struct sl_bytes value; /* SL_KV_ADD: 8 bytes; SL_KV_DELETE_SPAN: hi; SL_KV_DELETE: empty */
};

/* SL_ENOMEM when an append to the batch was refused; else a reader for sli_kv_op_next. */
sl_rc sli_kv_batch_read(const struct sl_kv_batch *b, struct sl_rd *ret,
                        struct sl_err *err) SL_MUST_USE;
/* false at the end of the batch. */
bool sli_kv_op_next(struct sl_rd *rd, struct sli_kv_op *ret);

/* A view's name becomes a folder name: SL_EINVAL unless it is 1..200 bytes without '/' and does not
 * begin with '.' or end like the temporary folders an engine makes beside it. */
sl_rc sli_kv_name_check(struct sl_str name, struct sl_err *err) SL_MUST_USE;

/* Appends a split key in the form sl_kv_split promises. */
static inline void sli_kv_split_add(struct sl_buf *out, struct sl_bytes key)
{
    sl_buf_add_u32(out, (uint32_t)key.len);
    sl_buf_add(out, key);
}

/* ---- split.c ---- */
#define SLI_KV_NUMBER_SIZE 16 /* resolves UUIDs wholly, sequential ones too */

/* The line of keys between the first and the last key of a span. */
struct sli_kv_line {
    struct sl_bytes first;      /* borrowed */
    size_t shared_len;          /* bytes that first and last have in common */
    unsigned __int128 from, to; /* what follows them in first and in last */
};

struct sli_kv_line_key {
    uint8_t bytes[SL_KV_KEY_MAX + SLI_KV_NUMBER_SIZE];
    size_t len;
};

/* Estimated bytes stored in [lo, hi); grows with hi. */
typedef sl_rc sli_kv_size_fn(void *arg, struct sl_bytes lo, struct sl_bytes hi, uint64_t *ret,
                             struct sl_err *err);

struct sli_kv_line sli_kv_line_make(struct sl_bytes first, struct sl_bytes last);
void sli_kv_line_key(const struct sli_kv_line *line, unsigned __int128 n,
                     struct sli_kv_line_key *ret);
/* The number in (from, line->to] whose key has `want` bytes, give or take `tolerance`, before it;
 * the nearest above where the estimate is coarser than that. At most 128 calls of size. */
sl_rc sli_kv_line_cut(const struct sli_kv_line *line, unsigned __int128 from, uint64_t want,
                      uint64_t tolerance, sli_kv_size_fn *size, void *arg, unsigned __int128 *ret,
                      struct sl_err *err) SL_MUST_USE;

#endif
