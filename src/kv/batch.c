/* Batch of kv operations, in an encoding of our own, so that every implementation reads the same.
 *
 * One buffer holds all operations: u8 kind, u32 key length, u32 value length, key, value. The
 * buffer's failure sticks, so callers append without checks and the commit says SL_ENOMEM before it
 * changed anything. Called by database/ and export/; read by the implementations. One owner thread.
 */
#include "kv/kv.h"

#include "kv/kv_int.h"

#define OP_HEAD_SIZE 9

/* A view's name with the endings that engines add must stay below NAME_MAX of every file system. */
#define NAME_LEN_MAX 200

struct sl_kv_batch {
    struct sl_buf ops;
    size_t count; /* operations in ops */
};

struct sl_kv_batch *sl_kv_batch_new(void)
{
    return sl_alloc_zero(1, sizeof(struct sl_kv_batch));
}

void sl_kv_batch_free(struct sl_kv_batch *b)
{
    if (b != NULL) {
        sl_buf_fini(&b->ops);
        sl_free(b);
    }
}

static void op_add(struct sl_kv_batch *b, enum sl_kv_op_kind kind, struct sl_bytes key,
                   struct sl_bytes value)
{
    sl_assert(key.len >= SL_KV_PARTITION_SIZE && key.len <= SL_KV_KEY_MAX);
    sl_assert(value.len <= UINT32_MAX);
    /* One reservation, so that a refused growth can never leave half an operation behind. */
    if (sl_buf_reserve(&b->ops, OP_HEAD_SIZE + key.len + value.len) == NULL) {
        return;
    }
    sl_buf_add_u8(&b->ops, (uint8_t)kind);
    sl_buf_add_u32(&b->ops, (uint32_t)key.len);
    sl_buf_add_u32(&b->ops, (uint32_t)value.len);
    sl_buf_add(&b->ops, key);
    sl_buf_add(&b->ops, value);
    b->count++;
}

void sl_kv_batch_put(struct sl_kv_batch *b, struct sl_bytes key, struct sl_bytes value)
{
    op_add(b, SL_KV_PUT, key, value);
}

void sl_kv_batch_delete(struct sl_kv_batch *b, struct sl_bytes key)
{
    op_add(b, SL_KV_DELETE, key, (struct sl_bytes){NULL, 0});
}

void sl_kv_batch_add(struct sl_kv_batch *b, struct sl_bytes key, int64_t delta)
{
    uint8_t bytes[8];
    sl_put_u64(bytes, (uint64_t)delta);
    op_add(b, SL_KV_ADD, key, SL_BYTES(bytes, sizeof bytes));
}

void sl_kv_batch_delete_span(struct sl_kv_batch *b, struct sl_kv_span span)
{
    sl_assert(span.hi.len > 0);
    op_add(b, SL_KV_DELETE_SPAN, span.lo, span.hi);
}

size_t sl_kv_batch_count(const struct sl_kv_batch *b)
{
    return b->count;
}

void sl_kv_batch_clear(struct sl_kv_batch *b)
{
    sl_buf_clear(&b->ops);
    b->count = 0;
}

sl_rc sli_kv_batch_read(const struct sl_kv_batch *b, struct sl_rd *ret, struct sl_err *err)
{
    SL_TRY(sl_buf_done(&b->ops, err));
    *ret = sl_rd_over(sl_buf_view(&b->ops));
    return SL_OK;
}

bool sli_kv_op_next(struct sl_rd *rd, struct sli_kv_op *ret)
{
    if (sl_rd_left(rd) == 0) {
        return false;
    }
    ret->kind = (enum sl_kv_op_kind)sl_rd_u8(rd);
    uint32_t key_len = sl_rd_u32(rd);
    uint32_t value_len = sl_rd_u32(rd);
    ret->key = sl_rd_bytes(rd, key_len);
    ret->value = sl_rd_bytes(rd, value_len);
    sl_assert(!rd->is_short); /* op_add wrote it whole */
    return true;
}

sl_rc sli_kv_name_check(struct sl_str name, struct sl_err *err)
{
    bool is_good = name.len > 0 && name.len <= NAME_LEN_MAX && name.ptr[0] != '.' &&
                   memchr(name.ptr, '/', name.len) == NULL &&
                   memchr(name.ptr, '\0', name.len) == NULL;
    if (!is_good || (name.len >= 4 && memcmp(name.ptr + name.len - 4, ".tmp", 4) == 0)) {
        return SL_FAIL(err, SL_EINVAL,
                       "frozen view '%.*s': a name has 1 to %d bytes, no '/', does not begin with "
                       "'.' and does not end in '.tmp'",
                       SL_STR_ARG(name), NAME_LEN_MAX);
    }
    return SL_OK;
}
