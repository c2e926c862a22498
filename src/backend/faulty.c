/* Backend decorator for tests: asks SL_FAULT_BACKEND before each call and then fails with SL_EIO.
 *
 * Everything else is forwarded to the inner backend, uploads included. Closing ends the decorator
 * and leaves the inner backend alone. Calls that never fail (cancel, describe, close) are not
 * asked. The operations carry the inner backend's name and part rule, so the table lives in the
 * struct. */
#include "backend/backend.h"

#include "backend/backend_int.h"
#include "base/fault.h"

struct faulty_backend {
    struct sl_backend be;
    struct sl_backend_ops ops;
    struct sl_backend *inner; /* borrowed */
};

static struct sl_backend *inner_of(struct sl_backend *be)
{
    return SL_CONTAINER_OF(be, struct faulty_backend, be)->inner;
}

static sl_rc fault_ask(const char *call, struct sl_err *err)
{
    if (SL_FAULT_HIT(SL_FAULT_BACKEND)) {
        return SL_FAIL(err, SL_EIO, "backend %s: failed by the test", call);
    }
    return SL_OK;
}

static sl_rc faulty_probe(struct sl_backend *be, struct sl_err *err)
{
    SL_TRY(fault_ask("probe", err));
    return inner_of(be)->ops->probe(inner_of(be), err);
}

static sl_rc faulty_put(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                        enum sl_put_mode mode, struct sl_err *err)
{
    SL_TRY(fault_ask("put", err));
    return inner_of(be)->ops->put(inner_of(be), key, b, mode, err);
}

static sl_rc faulty_get(struct sl_backend *be, struct sl_str key, uint64_t size_max,
                        struct sl_buf *out, struct sl_err *err)
{
    SL_TRY(fault_ask("get", err));
    return inner_of(be)->ops->get(inner_of(be), key, size_max, out, err);
}

static sl_rc faulty_read(struct sl_backend *be, struct sl_str key, uint64_t offset, size_t len,
                         struct sl_buf *out, struct sl_err *err)
{
    SL_TRY(fault_ask("read", err));
    return inner_of(be)->ops->read(inner_of(be), key, offset, len, out, err);
}

static sl_rc faulty_list(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn,
                         void *arg, struct sl_err *err)
{
    SL_TRY(fault_ask("list", err));
    return inner_of(be)->ops->list(inner_of(be), prefix, fn, arg, err);
}

static sl_rc faulty_list_folders(struct sl_backend *be, struct sl_str prefix,
                                 sl_backend_list_fn *fn, void *arg, struct sl_err *err)
{
    SL_TRY(fault_ask("list_folders", err));
    return inner_of(be)->ops->list_folders(inner_of(be), prefix, fn, arg, err);
}

static sl_rc faulty_remove(struct sl_backend *be, struct sl_str key, struct sl_err *err)
{
    SL_TRY(fault_ask("remove", err));
    return inner_of(be)->ops->remove(inner_of(be), key, err);
}

static sl_rc faulty_begin(struct sl_backend *be, struct sl_str key, struct sl_upload **ret,
                          struct sl_err *err)
{
    SL_TRY(fault_ask("begin", err));
    return inner_of(be)->ops->begin(inner_of(be), key, ret, err);
}

static sl_rc faulty_part(struct sl_backend *be, struct sl_upload *up, uint32_t part_no,
                         uint64_t offset, struct sl_bytes b, struct sl_err *err)
{
    SL_TRY(fault_ask("part", err));
    return inner_of(be)->ops->part(inner_of(be), up, part_no, offset, b, err);
}

static sl_rc faulty_complete(struct sl_backend *be, struct sl_upload *up, uint32_t part_count,
                             uint64_t size, struct sl_err *err)
{
    SL_TRY(fault_ask("complete", err));
    return inner_of(be)->ops->complete(inner_of(be), up, part_count, size, err);
}

static void faulty_cancel(struct sl_backend *be, struct sl_upload *up)
{
    inner_of(be)->ops->cancel(inner_of(be), up);
}

static sl_rc faulty_sweep(struct sl_backend *be, struct sl_str prefix, struct sl_err *err)
{
    SL_TRY(fault_ask("sweep", err));
    return inner_of(be)->ops->sweep(inner_of(be), prefix, err);
}

static void faulty_describe(struct sl_backend *be, struct sl_str prefix, struct sl_buf *out)
{
    inner_of(be)->ops->describe(inner_of(be), prefix, out);
}

static void faulty_close(struct sl_backend *be)
{
    sl_free(SL_CONTAINER_OF(be, struct faulty_backend, be));
}

sl_rc sl_backend_faulty_open(struct sl_backend *inner, struct sl_backend **ret, struct sl_err *err)
{
    struct faulty_backend *f = sl_alloc(sizeof *f);
    if (f == NULL) {
        return SL_NOMEM(err);
    }
    *f = (struct faulty_backend){
        .inner = inner,
        .ops =
            {
                .name = inner->ops->name,
                .part_rule = inner->ops->part_rule,
                .probe = faulty_probe,
                .put = faulty_put,
                .get = faulty_get,
                .read = faulty_read,
                .list = faulty_list,
                .list_folders = faulty_list_folders,
                .remove = faulty_remove,
                .begin = faulty_begin,
                .part = faulty_part,
                .complete = faulty_complete,
                .cancel = faulty_cancel,
                .sweep = faulty_sweep,
                .describe = faulty_describe,
                .close = faulty_close,
            },
    };
    f->be.ops = &f->ops;
    *ret = &f->be;
    return SL_OK;
}
