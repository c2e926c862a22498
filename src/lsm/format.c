/* The node, the one record that segments and logs share; see FORMAT.md.
 *
 * A bucket of objects is stricter than the format: keys are 16 bytes, a tombstone holds nothing or
 * its time, a value holds the key again as the object's id. Whatever else is there is damage, and
 * saying so early keeps a flipped length from being read as data, and a flipped key from hiding or
 * uncovering another object. */
#include "lsm/lsm_int.h"

#define TOMBSTONE_TIMED 9  /* 1, then int64 Unix milliseconds */
#define SLOT_MAX        64 /* longest secondary key a server wrote: 24 bytes */
#define ID_AT           10 /* of the id in an object's value (storobj.c) */

void sli_key_load(const uint8_t uuid[SL_UUID_SIZE], uint64_t ret[2])
{
    memcpy(ret, uuid, SL_UUID_SIZE);
    ret[0] = __builtin_bswap64(ret[0]);
    ret[1] = __builtin_bswap64(ret[1]);
}

void sli_key_store(const uint64_t key[2], uint8_t ret[SL_UUID_SIZE])
{
    sl_put_u64be(ret, key[0]);
    sl_put_u64be(ret + 8, key[1]);
}

static sl_rc bad_node(const struct sli_window *w, uint64_t offset, const char *what, uint64_t value,
                      struct sl_err *err)
{
    return SL_FAIL(err, SL_ECORRUPT, "%s: damaged at offset %llu: %s %llu", w->blob->name,
                   (unsigned long long)offset, what, (unsigned long long)value);
}

/* The slots behind the key: their total size. */
static sl_rc read_slots(struct sli_window *w, uint64_t offset, uint64_t fixed, uint32_t slot_count,
                        uint64_t node_size, uint64_t *ret_size, struct sl_err *err)
{
    uint64_t at = fixed;
    for (uint32_t i = 0; slot_count == UINT32_MAX ? at < node_size : i < slot_count; i++) {
        struct sl_bytes head;
        SL_TRY(sli_window_view(w, offset, (size_t)at + 4, &head, err));
        struct sl_rd rd = sl_rd_over((struct sl_bytes){head.ptr + at, 4});
        uint32_t len = sl_rd_u32(&rd);
        if (len > SLOT_MAX) {
            return bad_node(w, offset + at, "a secondary key of length", len, err);
        }
        at += 4 + (uint64_t)len;
    }
    *ret_size = at;
    return SL_OK;
}

/* The length of the key, before the value in front of it is read: a damaged length of a value then
 * costs no memory. */
static sl_rc check_key_len(struct sli_window *w, uint64_t offset, uint64_t value_len,
                           struct sl_err *err)
{
    uint64_t at = 9 + value_len, len = at + 4;
    struct sl_bytes head;
    uint8_t raw[4];
    if (value_len <= w->want || len > w->end - offset) {
        SL_TRY(sli_window_view(w, offset, (size_t)len, &head, err));
        memcpy(raw, head.ptr + at, sizeof(raw));
    } else {
        SL_TRY(sl_blob_pread(w->blob, offset + at, raw, sizeof(raw), err));
    }
    struct sl_rd rd = sl_rd_over(SL_BYTES(raw, sizeof(raw)));
    uint32_t key_len = sl_rd_u32(&rd);
    return key_len == SL_UUID_SIZE ? SL_OK
                                   : bad_node(w, offset + at, "a key of length", key_len, err);
}

sl_rc sli_node_read(struct sli_window *w, uint64_t offset, uint32_t slot_count, uint64_t node_size,
                    struct sli_node *ret, struct sl_err *err)
{
    struct sl_bytes head;
    SL_TRY(sli_window_view(w, offset, 9, &head, err));
    struct sl_rd rd = sl_rd_over(head);
    uint8_t tombstone = sl_rd_u8(&rd);
    uint64_t value_len = sl_rd_u64(&rd);
    if (tombstone > 1) {
        return bad_node(w, offset, "a tombstone flag of", tombstone, err);
    }
    if (value_len > SLI_VALUE_MAX ||
        (tombstone == 1 && value_len != 0 && value_len != TOMBSTONE_TIMED)) {
        return bad_node(w, offset + 1,
                        tombstone == 1 ? "a tombstone of length" : "a value length of", value_len,
                        err);
    }
    SL_TRY(check_key_len(w, offset, value_len, err));
    uint64_t fixed = SLI_NODE_FIXED + value_len + SL_UUID_SIZE, size = 0;
    struct sl_bytes node;
    SL_TRY(read_slots(w, offset, fixed, slot_count, node_size, &size, err));
    if (node_size != 0 && size != node_size) {
        return bad_node(w, offset, "the parts of a record do not add up to", node_size, err);
    }
    SL_TRY(sli_window_view(w, offset, (size_t)size, &node, err));
    ret->offset = offset;
    ret->size = size;
    ret->is_tombstone = tombstone == 1;
    ret->value = (struct sl_bytes){node.ptr + 9, (size_t)value_len};
    const uint8_t *key = node.ptr + SLI_NODE_FIXED + value_len;
    sli_key_load(key, ret->key);
    if (tombstone == 0 && (value_len < ID_AT + SL_UUID_SIZE ||
                           memcmp(ret->value.ptr + ID_AT, key, SL_UUID_SIZE) != 0)) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "%s: damaged at offset %llu: the object's id is not the key it lies under",
                       w->blob->name, (unsigned long long)offset);
    }
    return SL_OK;
}
