/* The live source: frozen views of our own database as shards, ranges and cursors.
 *
 * A thin layer: database/snapshot.c fixes the instant and reads the view's own catalog, so a class
 * created or dropped after the freeze changes nothing here. One cursor holds one iterator and one
 * parsed object; the object's views point into the iterator's current value. */
#include "database/database.h"
#include "source/source.h"

#define RANGES_MAX 4096 /* a plan asks for far fewer; bounds the stack of a split */

struct live {
    struct sl_source source;
    struct sl_db *db;
};
struct view {
    struct sl_frozen frozen;
    struct sl_db_view *view; /* owned */
};
struct cursor {
    struct sl_cursor cursor;
    struct sl_kv_iter *it; /* owned */
    struct sl_object object;
};

/* ---- cursor ---- */

static sl_rc cursor_next(struct sl_cursor *cur, const struct sl_object **ret, struct sl_err *err)
{
    struct cursor *c = SL_CONTAINER_OF(cur, struct cursor, cursor);
    struct sl_bytes key, value;
    SL_TRY(sl_kv_next(c->it, &key, &value, err));
    sl_rc rc = sl_object_read(value, &c->object, err);
    if (rc != SL_OK) {
        char uuid[SL_UUID_TEXT_SIZE] = "";
        if (key.len >= SL_UUID_SIZE) {
            sl_uuid_format(key.ptr + key.len - SL_UUID_SIZE, uuid);
        }
        sl_err_prefix(err, "object %.*s", SL_UUID_TEXT_SIZE, uuid);
        return rc;
    }
    *ret = &c->object;
    return SL_OK;
}

static void cursor_close(struct sl_cursor *cur)
{
    struct cursor *c = SL_CONTAINER_OF(cur, struct cursor, cursor);
    sl_kv_iter_close(c->it);
    sl_free(c);
}

static const struct sl_cursor_ops cursor_ops = {.next = cursor_next, .close = cursor_close};

/* ---- frozen view ---- */

static struct view *view_of(struct sl_frozen *fz)
{
    return SL_CONTAINER_OF(fz, struct view, frozen);
}

/* Why a shard is not read, in the reference's words; empty when it is. */
static struct sl_str skip_reason(const struct sl_db_shard *s, struct sl_arena *arena)
{
    if (s->status != SL_HOT && s->status != SL_COLD) {
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        sl_buf_addf(&text, "tenant status is %s", sl_tenant_status_name(s->status));
        return sl_arena_str(arena, sl_buf_str(&text));
    }
    if (s->is_never_opened) {
        return SL_STR("tenant has no data on disk");
    }
    return s->object_count == 0 ? SL_STR("no data") : SL_STR("");
}

static sl_rc view_shards(struct sl_frozen *fz, struct sl_str class_name, struct sl_arena *arena,
                         struct sl_shard **ret, uint32_t *ret_count, struct sl_err *err)
{
    struct sl_db_shard *from = NULL;
    uint32_t count = 0;
    bool is_tenants = false;
    SL_TRY(
        sl_db_view_shards(view_of(fz)->view, class_name, &is_tenants, arena, &from, &count, err));
    struct sl_shard *shards = sl_arena_array(arena, struct sl_shard, count);
    struct sl_str class_copy = sl_arena_str(arena, class_name);
    if (shards == NULL || class_copy.ptr == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        shards[i] = (struct sl_shard){.class_name = class_copy,
                                      .name = from[i].name,
                                      .is_tenant = is_tenants,
                                      .tenant_status =
                                          is_tenants ? sl_tenant_status_name(from[i].status) : NULL,
                                      .skip_reason = skip_reason(&from[i], arena),
                                      .object_count = from[i].object_count,
                                      .ref = from[i].number};
        if (shards[i].skip_reason.ptr == NULL) {
            return SL_NOMEM(err);
        }
    }
    *ret = shards;
    *ret_count = count;
    return SL_OK;
}

static sl_rc view_schema(struct sl_frozen *fz, struct sl_str class_name, struct sl_arena *arena,
                         struct sl_str *ret, struct sl_err *err)
{
    return sl_db_view_class(view_of(fz)->view, class_name, arena, ret, err);
}

static sl_rc view_split(struct sl_frozen *fz, const struct sl_shard *shard, uint32_t range_max,
                        struct sl_arena *arena, struct sl_range_key **ret, uint32_t *ret_count,
                        struct sl_err *err)
{
    uint32_t key_max = SL_MIN(range_max, (uint32_t)RANGES_MAX) - 1;
    uint8_t(*keys)[SL_UUID_SIZE] = sl_arena_alloc(arena, SL_MAX(key_max, 1U) * sizeof(*keys));
    struct sl_range_key *ranges = sl_arena_array(arena, struct sl_range_key, (size_t)key_max + 1);
    if (keys == NULL || ranges == NULL) {
        return SL_NOMEM(err);
    }
    uint32_t count = 0;
    if (key_max > 0) {
        SL_TRY(sl_db_view_split(view_of(fz)->view, shard->ref, key_max, keys, &count, err));
    }
    for (uint32_t i = 0; i <= count; i++) {
        if (i > 0) {
            memcpy(ranges[i].lo, keys[i - 1], SL_UUID_SIZE);
        }
        ranges[i].has_hi = i < count;
        if (i < count) {
            memcpy(ranges[i].hi, keys[i], SL_UUID_SIZE);
        }
    }
    *ret = ranges;
    *ret_count = count + 1;
    return SL_OK;
}

static sl_rc view_cursor(struct sl_frozen *fz, const struct sl_shard *shard,
                         const struct sl_range_key *range, struct sl_cursor **ret,
                         struct sl_err *err)
{
    struct cursor *c = sl_alloc(sizeof(*c));
    if (c == NULL) {
        return SL_NOMEM(err);
    }
    c->cursor.ops = &cursor_ops;
    c->it = NULL;
    sl_rc rc = sl_db_view_scan(view_of(fz)->view, shard->ref, range->lo,
                               range->has_hi ? range->hi : NULL, &c->it, err);
    if (rc != SL_OK) {
        sl_free(c);
        return rc;
    }
    *ret = &c->cursor;
    return SL_OK;
}

static void view_release(struct sl_frozen *fz, bool drop)
{
    struct view *v = view_of(fz);
    sl_db_view_release(v->view, drop);
    sl_free(v);
}

static const struct sl_frozen_ops frozen_ops = {.shards = view_shards,
                                                .schema = view_schema,
                                                .split = view_split,
                                                .cursor = view_cursor,
                                                .release = view_release};

/* ---- source ---- */

static struct live *live_of(struct sl_source *src)
{
    return SL_CONTAINER_OF(src, struct live, source);
}

static sl_rc live_classes(struct sl_source *src, struct sl_arena *arena, struct sl_str **ret,
                          uint32_t *ret_count, struct sl_err *err)
{
    return sl_db_classes(live_of(src)->db, arena, ret, ret_count, err);
}

static sl_rc live_freeze(struct sl_source *src, struct sl_str name, struct sl_frozen **ret,
                         struct sl_err *err)
{
    struct view *v = sl_alloc_zero(1, sizeof(*v));
    if (v == NULL) {
        return SL_NOMEM(err);
    }
    v->frozen.ops = &frozen_ops;
    sl_rc rc = sl_db_freeze(live_of(src)->db, name, &v->view, err);
    if (rc != SL_OK) {
        sl_free(v);
        return rc;
    }
    *ret = &v->frozen;
    return SL_OK;
}

static sl_rc live_drop(struct sl_source *src, struct sl_str name, struct sl_err *err)
{
    return sl_db_freeze_drop(live_of(src)->db, name, err);
}

static void live_close(struct sl_source *src)
{
    sl_free(live_of(src));
}

static const struct sl_source_ops live_ops = {
    .classes = live_classes, .freeze = live_freeze, .drop = live_drop, .close = live_close};

sl_rc sl_source_live_open(struct sl_db *db, struct sl_source **ret, struct sl_err *err)
{
    struct live *l = sl_alloc_zero(1, sizeof(*l));
    if (l == NULL) {
        return SL_NOMEM(err);
    }
    l->source.ops = &live_ops;
    l->source.kind = "sluice";
    l->db = db;
    *ret = &l->source;
    return SL_OK;
}
