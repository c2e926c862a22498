/* Source decorator for tests: asks SL_FAULT_SOURCE before each call and then fails with SL_EIO.
 *
 * Everything else is forwarded to the inner source. Views and cursors are wrapped, so that a scan
 * can break in the middle. Closing ends the decorator and leaves the inner source alone. Calls that
 * never fail (release, close) are not asked. */
#include "source/source.h"

#include "base/fault.h"

struct faulty {
    struct sl_source source;
    struct sl_source *inner; /* borrowed */
};
struct faulty_view {
    struct sl_frozen frozen;
    struct sl_frozen *inner; /* owned */
};
struct faulty_cursor {
    struct sl_cursor cursor;
    struct sl_cursor *inner; /* owned */
};

static sl_rc fault_ask(const char *call, struct sl_err *err)
{
    if (SL_FAULT_HIT(SL_FAULT_SOURCE)) {
        return SL_FAIL(err, SL_EIO, "source %s: failed by the test", call);
    }
    return SL_OK;
}

static sl_rc faulty_next(struct sl_cursor *cur, const struct sl_object **ret, struct sl_err *err)
{
    SL_TRY(fault_ask("next", err));
    return sl_cursor_next(SL_CONTAINER_OF(cur, struct faulty_cursor, cursor)->inner, ret, err);
}

static void faulty_cursor_close(struct sl_cursor *cur)
{
    struct faulty_cursor *c = SL_CONTAINER_OF(cur, struct faulty_cursor, cursor);
    sl_cursor_close(c->inner);
    sl_free(c);
}

static struct sl_frozen *view_of(struct sl_frozen *fz)
{
    return SL_CONTAINER_OF(fz, struct faulty_view, frozen)->inner;
}

static sl_rc faulty_shards(struct sl_frozen *fz, struct sl_str class_name, struct sl_arena *arena,
                           struct sl_shard **ret, uint32_t *ret_count, struct sl_err *err)
{
    SL_TRY(fault_ask("shards", err));
    return view_of(fz)->ops->shards(view_of(fz), class_name, arena, ret, ret_count, err);
}

static sl_rc faulty_split(struct sl_frozen *fz, const struct sl_shard *shard, uint32_t range_max,
                          struct sl_arena *arena, struct sl_range_key **ret, uint32_t *ret_count,
                          struct sl_err *err)
{
    SL_TRY(fault_ask("split", err));
    return view_of(fz)->ops->split(view_of(fz), shard, range_max, arena, ret, ret_count, err);
}

static sl_rc faulty_schema(struct sl_frozen *fz, struct sl_str class_name, struct sl_arena *arena,
                           struct sl_str *ret, struct sl_err *err)
{
    SL_TRY(fault_ask("schema", err));
    return view_of(fz)->ops->schema(view_of(fz), class_name, arena, ret, err);
}

static sl_rc faulty_cursor(struct sl_frozen *fz, const struct sl_shard *shard,
                           const struct sl_range_key *range, struct sl_cursor **ret,
                           struct sl_err *err)
{
    static const struct sl_cursor_ops ops = {.next = faulty_next, .close = faulty_cursor_close};
    SL_TRY(fault_ask("cursor", err));
    struct faulty_cursor *c = sl_alloc_zero(1, sizeof(*c));
    if (c == NULL) {
        return SL_NOMEM(err);
    }
    c->cursor.ops = &ops;
    sl_rc rc = view_of(fz)->ops->cursor(view_of(fz), shard, range, &c->inner, err);
    if (rc != SL_OK) {
        sl_free(c);
        return rc;
    }
    *ret = &c->cursor;
    return SL_OK;
}

static void faulty_release(struct sl_frozen *fz, bool drop)
{
    sl_frozen_release(view_of(fz), drop);
    sl_free(SL_CONTAINER_OF(fz, struct faulty_view, frozen));
}

static struct sl_source *inner_of(struct sl_source *src)
{
    return SL_CONTAINER_OF(src, struct faulty, source)->inner;
}

static sl_rc faulty_classes(struct sl_source *src, struct sl_arena *arena, struct sl_str **ret,
                            uint32_t *ret_count, struct sl_err *err)
{
    SL_TRY(fault_ask("classes", err));
    return inner_of(src)->ops->classes(inner_of(src), arena, ret, ret_count, err);
}

static sl_rc faulty_freeze(struct sl_source *src, struct sl_str name, struct sl_frozen **ret,
                           struct sl_err *err)
{
    static const struct sl_frozen_ops ops = {.shards = faulty_shards,
                                             .schema = faulty_schema,
                                             .split = faulty_split,
                                             .cursor = faulty_cursor,
                                             .release = faulty_release};
    SL_TRY(fault_ask("freeze", err));
    struct faulty_view *v = sl_alloc_zero(1, sizeof(*v));
    if (v == NULL) {
        return SL_NOMEM(err);
    }
    v->frozen.ops = &ops;
    sl_rc rc = inner_of(src)->ops->freeze(inner_of(src), name, &v->inner, err);
    if (rc != SL_OK) {
        sl_free(v);
        return rc;
    }
    *ret = &v->frozen;
    return SL_OK;
}

static sl_rc faulty_drop(struct sl_source *src, struct sl_str name, struct sl_err *err)
{
    SL_TRY(fault_ask("drop", err));
    return inner_of(src)->ops->drop(inner_of(src), name, err);
}

static void faulty_close(struct sl_source *src)
{
    sl_free(SL_CONTAINER_OF(src, struct faulty, source));
}

sl_rc sl_source_faulty_open(struct sl_source *inner, struct sl_source **ret, struct sl_err *err)
{
    static const struct sl_source_ops ops = {.classes = faulty_classes,
                                             .freeze = faulty_freeze,
                                             .drop = faulty_drop,
                                             .close = faulty_close};
    struct faulty *f = sl_alloc_zero(1, sizeof(*f));
    if (f == NULL) {
        return SL_NOMEM(err);
    }
    f->source.ops = &ops;
    f->source.kind = inner->kind;
    f->inner = inner;
    *ret = &f->source;
    return SL_OK;
}
