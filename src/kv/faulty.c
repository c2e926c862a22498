/* kv decorator for tests: asks SL_FAULT_KV before each call and then fails with SL_EIO.
 *
 * Everything else is forwarded to the inner kv, views included; only iterators are wrapped, so that
 * a scan can break in the middle. Closing ends the decorator and leaves the inner kv alone. Calls
 * that never fail (thaw, close) are not asked. */
#include "kv/kv.h"

#include "base/fault.h"
#include "kv/kv_int.h"

struct faulty_kv {
    struct sl_kv kv;
    struct sl_kv *inner; /* borrowed */
};

struct faulty_iter {
    struct sl_kv_iter it;
    struct sl_kv_iter *inner; /* owned */
};

static struct sl_kv *inner_of(struct sl_kv *kv)
{
    return SL_CONTAINER_OF(kv, struct faulty_kv, kv)->inner;
}

static sl_rc fault_ask(const char *call, struct sl_err *err)
{
    if (SL_FAULT_HIT(SL_FAULT_KV)) {
        return SL_FAIL(err, SL_EIO, "kv %s: failed by the test", call);
    }
    return SL_OK;
}

static sl_rc faulty_get(struct sl_kv *kv, struct sl_kv_view *v, struct sl_bytes key,
                        struct sl_buf *out, struct sl_err *err)
{
    SL_TRY(fault_ask("get", err));
    return sl_kv_get(inner_of(kv), v, key, out, err);
}

static sl_rc faulty_commit(struct sl_kv *kv, const struct sl_kv_batch *batch, struct sl_err *err)
{
    SL_TRY(fault_ask("commit", err));
    return sl_kv_commit(inner_of(kv), batch, err);
}

static sl_rc faulty_sync(struct sl_kv *kv, struct sl_err *err)
{
    SL_TRY(fault_ask("sync", err));
    return sl_kv_sync(inner_of(kv), err);
}

static sl_rc faulty_next(struct sl_kv_iter *iter, struct sl_bytes *ret_key,
                         struct sl_bytes *ret_value, struct sl_err *err)
{
    struct faulty_iter *it = SL_CONTAINER_OF(iter, struct faulty_iter, it);
    SL_TRY(fault_ask("next", err));
    return sl_kv_next(it->inner, ret_key, ret_value, err);
}

static void faulty_iter_close(struct sl_kv_iter *iter)
{
    struct faulty_iter *it = SL_CONTAINER_OF(iter, struct faulty_iter, it);
    sl_kv_iter_close(it->inner);
    sl_free(it);
}

static sl_rc faulty_scan(struct sl_kv *kv, struct sl_kv_view *v, struct sl_kv_span span,
                         bool is_bulk, struct sl_kv_iter **ret, struct sl_err *err)
{
    static const struct sl_kv_iter_ops iter_ops = {.next = faulty_next, .close = faulty_iter_close};
    SL_TRY(fault_ask("scan", err));
    SL_AUTO_PTR(sl_kv_iter) inner = NULL;
    SL_TRY(sl_kv_scan(inner_of(kv), v, span, is_bulk, &inner, err));
    struct faulty_iter *it = sl_alloc(sizeof *it);
    if (it == NULL) {
        return SL_NOMEM(err);
    }
    *it = (struct faulty_iter){.it.ops = &iter_ops, .inner = sl_move(&inner)};
    *ret = &it->it;
    return SL_OK;
}

static sl_rc faulty_split(struct sl_kv *kv, struct sl_kv_view *v, struct sl_kv_span span,
                          uint32_t key_max, struct sl_buf *out, uint32_t *ret_count,
                          struct sl_err *err)
{
    SL_TRY(fault_ask("split", err));
    return sl_kv_split(inner_of(kv), v, span, key_max, out, ret_count, err);
}

static sl_rc faulty_freeze(struct sl_kv *kv, struct sl_str name, struct sl_kv_view **ret,
                           struct sl_err *err)
{
    SL_TRY(fault_ask("freeze", err));
    return sl_kv_freeze(inner_of(kv), name, ret, err);
}

static sl_rc faulty_reopen(struct sl_kv *kv, struct sl_str name, struct sl_kv_view **ret,
                           struct sl_err *err)
{
    SL_TRY(fault_ask("reopen", err));
    return sl_kv_reopen(inner_of(kv), name, ret, err);
}

static void faulty_thaw(struct sl_kv *kv, struct sl_kv_view *v, bool drop)
{
    sl_kv_thaw(inner_of(kv), v, drop);
}

static sl_rc faulty_frozen(struct sl_kv *kv, struct sl_buf *out, struct sl_err *err)
{
    SL_TRY(fault_ask("frozen", err));
    return sl_kv_frozen(inner_of(kv), out, err);
}

static void faulty_close(struct sl_kv *kv)
{
    sl_free(SL_CONTAINER_OF(kv, struct faulty_kv, kv));
}

sl_rc sl_kv_faulty_open(struct sl_kv *inner, struct sl_kv **ret, struct sl_err *err)
{
    static const struct sl_kv_ops ops = {
        .get = faulty_get,
        .commit = faulty_commit,
        .sync = faulty_sync,
        .scan = faulty_scan,
        .split = faulty_split,
        .freeze = faulty_freeze,
        .reopen = faulty_reopen,
        .thaw = faulty_thaw,
        .frozen = faulty_frozen,
        .close = faulty_close,
    };
    struct faulty_kv *f = sl_alloc(sizeof *f);
    if (f == NULL) {
        return SL_NOMEM(err);
    }
    *f = (struct faulty_kv){.kv.ops = &ops, .inner = inner};
    *ret = &f->kv;
    return SL_OK;
}
