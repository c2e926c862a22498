/* Records of other parts over kv; the key layout is in records.h. */
#include "database/records.h"

static void put_key(struct sl_buf *out, uint64_t number, struct sl_str name)
{
    sl_buf_clear(out);
    sl_buf_add_u8(out, 'a');
    sl_buf_add_u64be(out, number);
    sl_buf_add_str(out, name);
}

sl_rc sl_records_store(struct sl_kv *kv, const struct sl_record *changes, uint32_t count,
                       struct sl_err *err)
{
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    SL_AUTO_PTR(sl_kv_batch) batch = sl_kv_batch_new();
    if (batch == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (changes[i].name.len > SL_RECORD_NAME_MAX) {
            return SL_FAIL(err, SL_EINVAL, "a record's name has %zu bytes, more than %d",
                           changes[i].name.len, SL_RECORD_NAME_MAX);
        }
        put_key(&key, 0, changes[i].name);
        SL_TRY(sl_buf_done(&key, err));
        if (changes[i].value.ptr == NULL) {
            sl_kv_batch_delete(batch, sl_buf_view(&key));
        } else {
            sl_kv_batch_put(batch, sl_buf_view(&key), sl_str_bytes(changes[i].value));
        }
    }
    SL_TRY(sl_kv_commit(kv, batch, err));
    return sl_kv_sync(kv, err);
}

sl_rc sl_records_load(struct sl_kv *kv, sl_record_fn *each, void *arg, struct sl_err *err)
{
    SL_AUTO(sl_buf) lo = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) hi = SL_BUF_EMPTY;
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    put_key(&lo, 0, SL_STR(""));
    put_key(&hi, 1, SL_STR(""));
    SL_TRY(sl_buf_done(&lo, err));
    SL_TRY(sl_buf_done(&hi, err));
    struct sl_kv_span span = {sl_buf_view(&lo), sl_buf_view(&hi)};
    SL_TRY(sl_kv_scan(kv, NULL, span, false, &it, err));
    for (;;) {
        struct sl_bytes key, value;
        sl_rc rc = sl_kv_next(it, &key, &value, err);
        if (rc != SL_OK) {
            return rc == SL_END ? SL_OK : rc;
        }
        struct sl_str name = {(const char *)key.ptr + SL_KV_PARTITION_SIZE,
                              key.len - SL_KV_PARTITION_SIZE};
        SL_TRY(each(arg, name, sl_bytes_str(value), err));
    }
}
