/* Pages of objects in UUID order: of one class (all its shards merged) or of all classes.
 *
 * A page sees the store at the moment its iterators were made. The cursor form starts behind a UUID
 * and costs the same on every page; the offset form walks over what it skips, within the configured
 * maximum. Called by api/ from any thread. */
#include "database/object_int.h"

/* One shard being read. */
struct lane {
    struct sl_kv_iter *it;
    struct sl_bytes key, value; /* the object it stands at; empty key = at its end */
};

struct page {
    struct sli_request *req;
    const struct sl_db_list_opts *opts;
    struct sl_json w;
    uint64_t skip, left; /* objects still to pass over, still to write */
    uint64_t total;      /* written */
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

static sl_rc lane_open(struct page *p, const struct sli_shard *shard, struct lane *l,
                       struct sl_err *err)
{
    struct sli_span span = sli_span_objects(shard->number);
    uint8_t after[SL_UUID_SIZE];
    if (p->opts->after.len > 0) {
        SL_TRY(sli_uuid_check(p->opts->after, "query", after, err));
        span.lo = sli_key_object(shard->number, after);
        span.lo.bytes[span.lo.len++] = 0; /* the first key behind it */
    }
    struct sl_kv_span range = {sli_key_view(&span.lo), sli_key_view(&span.hi)};
    SL_TRY(sl_kv_scan(p->req->db->kv, NULL, range, false, &l->it, err));
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

static sl_rc write_lanes(struct page *p, const struct sli_class *c, struct sl_str tenant,
                         struct lane *lanes, uint32_t count, struct sl_err *err)
{
    while (p->left > 0) {
        struct lane *l = first_lane(lanes, count);
        if (l == NULL) {
            return SL_OK;
        }
        if (p->skip > 0) {
            p->skip--;
        } else {
            SL_TRY(sl_object_read(l->value, p->req->object, err));
            sl_json_obj(&p->w);
            sli_reply_members(&p->w, c, p->req->object, tenant,
                              (struct sli_reply_opts){.with_vectors = p->opts->with_vector,
                                                      .with_weights = true});
            sl_json_obj_end(&p->w);
            p->left--;
            p->total++;
        }
        SL_TRY(lane_next(l, err));
    }
    return SL_OK;
}

static sl_rc list_shards(struct page *p, const struct sli_class *c, struct sl_str tenant,
                         struct sli_shard *const *shards, uint32_t count, struct sl_err *err)
{
    struct lane *lanes = sl_arena_array(&p->req->arena, struct lane, SL_MAX(count, 1u));
    if (lanes == NULL) {
        return SL_NOMEM(err);
    }
    sl_rc rc = SL_OK;
    for (uint32_t i = 0; i < count && rc == SL_OK; i++) {
        rc = lane_open(p, shards[i], &lanes[i], err);
    }
    if (rc == SL_OK) {
        rc = write_lanes(p, c, tenant, lanes, count, err);
    }
    for (uint32_t i = 0; i < count; i++) {
        sl_kv_iter_close(lanes[i].it);
    }
    return rc;
}

static sl_rc list_class(struct page *p, struct sli_class *c, struct sl_err *err)
{
    struct sl_str tenant = p->opts->where.tenant;
    if (!c->is_multi_tenant && tenant.len == 0) {
        return list_shards(p, c, SL_STR(""), c->ring, c->shard_count, err);
    }
    uint8_t any[SL_UUID_SIZE] = {0}; /* a tenant is one shard, whatever the UUID */
    struct sli_shard *shard = NULL;
    bool needs_auto = false;
    SL_TRY(sli_shard_route(p->req->db, c, tenant, any, false, &shard, &needs_auto, err));
    return needs_auto ? SL_OK : list_shards(p, c, tenant, &shard, 1, err);
}

/* Classes without tenants in the order of their making; tenants are listed by name only. */
static sl_rc list_all(struct page *p, struct sl_err *err)
{
    struct sli_class *last = NULL;
    while (p->left > 0) {
        struct sli_class *next = NULL;
        for (struct sli_class *c = p->req->db->classes; c != NULL; c = c->hh.next) {
            bool is_after = last == NULL || c->number > last->number;
            if (is_after && !c->is_multi_tenant && (next == NULL || c->number < next->number)) {
                next = c;
            }
        }
        if (next == NULL) {
            return SL_OK;
        }
        SL_TRY(list_class(p, next, err));
        last = next;
    }
    return SL_OK;
}

static sl_rc check_opts(const struct sl_db *db, const struct sl_db_list_opts *opts, struct page *p,
                        struct sl_err *err)
{
    uint8_t after[SL_UUID_SIZE];
    uint64_t max = db->opts.limit_max;
    p->left = opts->limit < 0 ? db->opts.limit_default : (uint64_t)opts->limit;
    p->skip = opts->offset < 0 ? 0 : (uint64_t)opts->offset;
    if (opts->has_after && opts->where.class_name.len == 0) {
        return SL_FAIL(err, SL_EINVAL,
                       "cursor api: invalid 'after' parameter: class parameter cannot be empty");
    }
    if (opts->has_after && opts->limit < 0) {
        return SL_FAIL(err, SL_EINVAL,
                       "cursor api: invalid 'after' parameter: limit parameter must be set");
    }
    if (opts->has_after && opts->offset > 0) {
        return SL_FAIL(err, SL_EINVAL,
                       "cursor api: invalid 'after' parameter: offset cannot be set "
                       "with after and limit parameters");
    }
    if (opts->after.len > 0 && !sl_uuid_parse(opts->after, after)) {
        return SL_FAIL(
            err, SL_EINVAL,
            "cursor api: invalid 'after' parameter: after parameter '%.*s' is not a valid "
            "uuid",
            (int)SL_MIN(opts->after.len, (size_t)100), opts->after.ptr);
    }
    if (p->left > max || p->skip > max - p->left) {
        return SL_FAIL(
            err, SL_EINVAL,
            "invalid pagination params: query maximum results exceeded: offset and limit "
            "together may be at most %u (QUERY_MAXIMUM_RESULTS)",
            db->opts.limit_max);
    }
    return SL_OK;
}

static sl_rc list(struct page *p, struct sl_err *err)
{
    sli_request_lock(p->req);
    sl_json_obj(&p->w);
    sl_json_key(&p->w, "deprecations");
    sl_json_arr(&p->w);
    sl_json_arr_end(&p->w);
    sl_json_key(&p->w, "objects");
    sl_json_arr(&p->w);
    struct sl_str name = p->opts->where.class_name;
    if (name.len == 0) {
        SL_TRY(list_all(p, err));
    } else {
        struct sli_class *c = sli_request_class(p->req, name);
        if (c == NULL) {
            return SL_FAIL(err, SL_ENOTFOUND, "class \"%.*s\" not found in schema",
                           (int)SL_MIN(name.len, (size_t)255), name.ptr);
        }
        SL_TRY(list_class(p, c, err));
    }
    sl_json_arr_end(&p->w);
    sl_json_key(&p->w, "totalResults");
    sl_json_u64(&p->w, p->total);
    sl_json_obj_end(&p->w);
    return sl_buf_done(p->w.out, err);
}

sl_rc sl_db_object_list(struct sl_db *db, const struct sl_db_list_opts *opts, struct sl_buf *out,
                        struct sl_err *err)
{
    struct sli_request req;
    struct page p = {.req = &req, .opts = opts, .w = sl_json_over(out)};
    size_t start = out->len;
    SL_TRY(check_opts(db, opts, &p, err));
    sl_rc rc = sli_request_init(&req, db, false, err);
    if (rc == SL_OK) {
        rc = list(&p, err);
    }
    sli_request_fini(&req);
    if (rc != SL_OK) {
        out->len = start;
    }
    return rc;
}
