/* The objects of a class or tenant in UUID order, all shards merged.
 *
 * A walk sees the store at the moment its iterators were made. Called by list.c and search.c under
 * the schema lock. */
#include "database/object_int.h"

/* One shard being read. */
struct lane {
    struct sl_kv_iter *it;
    struct sl_bytes key, value; /* the object it stands at; empty key = at its end */
};

static sl_rc lane_next(struct lane *l, struct sl_err *err)
{
    sl_rc rc = sl_kv_next(l->it, &l->key, &l->value, err);
    if (rc == SL_END) {
        l->key = (struct sl_bytes){NULL, 0};
        return SL_OK;
    }
    return rc;
}

static sl_rc lane_open(struct sli_request *req, const struct sli_shard *shard, struct sl_str after,
                       struct lane *l, struct sl_err *err)
{
    struct sli_span span = sli_span_objects(shard->number);
    uint8_t uuid[SL_UUID_SIZE];
    if (after.len > 0) {
        SL_TRY(sli_uuid_check(after, "query", uuid, err));
        span.lo = sli_key_object(shard->number, uuid);
        span.lo.bytes[span.lo.len++] = 0; /* the first key behind it */
    }
    struct sl_kv_span range = {sli_key_view(&span.lo), sli_key_view(&span.hi)};
    SL_TRY(sl_kv_scan(req->db->kv, NULL, range, false, &l->it, err));
    return lane_next(l, err);
}

static struct sl_bytes lane_uuid(const struct lane *l)
{
    return SL_BYTES(l->key.ptr + l->key.len - SL_UUID_SIZE, SL_UUID_SIZE);
}

/* The lane with the smallest UUID; NULL when all are at their end. */
static struct lane *first_lane(struct lane *lanes, uint32_t count)
{
    struct lane *first = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (lanes[i].key.len > 0 &&
            (first == NULL || sl_bytes_cmp(lane_uuid(&lanes[i]), lane_uuid(first)) < 0)) {
            first = &lanes[i];
        }
    }
    return first;
}

static sl_rc visit_lanes(struct sli_request *req, const struct sli_class *c, struct lane *lanes,
                         uint32_t count, sli_visit_fn *visit, void *arg, struct sl_err *err)
{
    for (;;) {
        struct lane *l = first_lane(lanes, count);
        if (l == NULL) {
            return SL_OK;
        }
        SL_TRY(sl_object_read(l->value, req->object, err));
        SL_TRY(visit(arg, c, req->object, err));
        SL_TRY(lane_next(l, err));
    }
}

static sl_rc walk_shards(struct sli_request *req, const struct sli_class *c,
                         struct sli_shard *const *shards, uint32_t count, struct sl_str after,
                         sli_visit_fn *visit, void *arg, struct sl_err *err)
{
    struct lane *lanes = sl_arena_array(&req->arena, struct lane, SL_MAX(count, 1u));
    if (lanes == NULL) {
        return SL_NOMEM(err);
    }
    sl_rc rc = SL_OK;
    for (uint32_t i = 0; i < count && rc == SL_OK; i++) {
        rc = lane_open(req, shards[i], after, &lanes[i], err);
    }
    if (rc == SL_OK) {
        rc = visit_lanes(req, c, lanes, count, visit, arg, err);
    }
    for (uint32_t i = 0; i < count; i++) {
        sl_kv_iter_close(lanes[i].it);
    }
    return rc == SL_END ? SL_OK : rc;
}

sl_rc sli_walk(struct sli_request *req, struct sli_class *c, struct sl_str tenant,
               struct sl_str after, sli_visit_fn *visit, void *arg, struct sl_err *err)
{
    if (!c->is_multi_tenant && tenant.len == 0) {
        return walk_shards(req, c, c->ring, c->shard_count, after, visit, arg, err);
    }
    uint8_t any[SL_UUID_SIZE] = {0}; /* a tenant is one shard, whatever the UUID */
    struct sli_shard *shard = NULL;
    bool needs_auto = false;
    SL_TRY(sli_shard_route(req->db, c, tenant, any, false, &shard, &needs_auto, err));
    return needs_auto ? SL_OK : walk_shards(req, c, &shard, 1, after, visit, arg, err);
}
