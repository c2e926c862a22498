/* Reading and removing by filter; see database.h.
 *
 * Found objects are handed out as they are read, under the schema lock, so nothing is collected. A
 * removal collects the ids first, then locks their stripes and looks at each object again: what was
 * changed in between and no longer matches stays. */
#include "database/object_int.h"

/* One reading: what is passed over, what is still wanted, and who gets it. */
struct reading {
    struct sli_request *req;
    const struct sli_match *match; /* NULL: all */
    struct sl_arena scratch;       /* of one object */
    uint64_t skip, left;
    sl_db_found_fn *found;
    void *arg;
};

static sl_rc visit(void *arg, const struct sli_class *c, const struct sl_object *obj,
                   struct sl_err *err)
{
    struct reading *r = arg;
    bool is_match = true;
    if (r->left == 0) {
        return SL_END;
    }
    if (r->match != NULL) {
        sl_rc rc = sli_match_run(r->match, obj, &r->scratch, &is_match, err);
        sl_arena_fini(&r->scratch);
        r->scratch = SL_ARENA_EMPTY;
        SL_TRY(rc);
    }
    if (!is_match) {
        return SL_OK;
    }
    if (r->skip > 0) {
        r->skip--;
        return SL_OK;
    }
    r->left--;
    struct sl_db_found found = {.class_name = c->name,
                                .properties = c->properties,
                                .property_count = c->property_count,
                                .object = obj};
    return r->found(r->arg, &found, err);
}

/* Objects of given ids, in their order. */
static sl_rc visit_ids(struct reading *r, struct sli_class *c, const struct sl_db_query *q,
                       const uint8_t (*ids)[SL_UUID_SIZE], uint32_t count, struct sl_err *err)
{
    uint8_t after[SL_UUID_SIZE] = {0};
    if (q->after.len > 0) {
        SL_TRY(sli_uuid_check(q->after, "query", after, err));
    }
    for (uint32_t i = 0; i < count; i++) {
        struct sli_shard *shard = NULL;
        bool needs_auto = false;
        if (q->after.len > 0 && memcmp(ids[i], after, SL_UUID_SIZE) <= 0) {
            continue;
        }
        SL_TRY(sli_shard_route(r->req->db, c, q->where.tenant, ids[i], false, &shard, &needs_auto,
                               err));
        sl_rc rc = needs_auto ? SL_ENOTFOUND : sli_request_read(r->req, shard, ids[i], err);
        if (rc == SL_OK) {
            rc = visit(r, c, r->req->object, err);
        }
        if (rc == SL_END) {
            return SL_OK;
        }
        if (rc != SL_ENOTFOUND) {
            SL_TRY(rc);
        }
    }
    return SL_OK;
}

/* The class of a query and its filter, checked; takes the schema lock. */
static sl_rc begin(struct sli_request *req, struct sl_str class_name,
                   const struct sl_db_filter *filter, struct sli_class **ret,
                   const struct sli_match **ret_match, struct sl_err *err)
{
    sli_request_lock(req);
    struct sli_class *c = sli_request_class(req, class_name);
    if (c == NULL) {
        return SL_FAIL(err, SL_EINVAL, "could not find class %.*s in schema",
                       (int)SL_MIN(class_name.len, (size_t)255), class_name.ptr);
    }
    *ret = c;
    *ret_match = NULL;
    return filter == NULL ? SL_OK : sli_match_new(&req->arena, c, filter, ret_match, err);
}

static sl_rc check_names(const struct sli_class *c, const struct sl_db_query *q, struct sl_err *err)
{
    for (size_t i = 0; i < q->name_count; i++) {
        struct sl_str name = sl_str_from(q->names[i]);
        if (sli_property_find(c->properties, c->property_count, name) == NULL) {
            return SL_FAIL(
                err, SL_EINVAL,
                "extract properties request: get property by name %.*s for class %.*s: "
                "no such prop with name '%.*s' found in class '%.*s' in the schema. Check "
                "your schema files for which properties in this class are available",
                (int)SL_MIN(name.len, (size_t)255), name.ptr, SL_STR_ARG(c->name),
                (int)SL_MIN(name.len, (size_t)255), name.ptr, SL_STR_ARG(c->name));
        }
    }
    return SL_OK;
}

static sl_rc read_all(struct reading *r, const struct sl_db_query *q, struct sl_err *err)
{
    struct sli_class *c = NULL;
    const uint8_t(*ids)[SL_UUID_SIZE] = NULL;
    uint32_t id_count = 0;
    SL_TRY(begin(r->req, q->where.class_name, q->filter, &c, &r->match, err));
    SL_TRY(check_names(c, q, err));
    if (r->match != NULL && sli_match_ids(r->match, &r->req->arena, &ids, &id_count)) {
        return visit_ids(r, c, q, ids, id_count, err);
    }
    return sli_walk(r->req, c, q->where.tenant, q->after, visit, r, err);
}

static sl_rc run(struct sl_db *db, const struct sl_db_query *q, struct reading *r,
                 struct sl_err *err)
{
    struct sli_request req;
    r->req = &req;
    sl_rc rc = sli_request_init(&req, db, false, err);
    if (rc == SL_OK) {
        rc = read_all(r, q, err);
    }
    sl_arena_fini(&r->scratch);
    sli_request_fini(&req);
    return rc;
}

sl_rc sl_db_search(struct sl_db *db, const struct sl_db_query *query, sl_db_found_fn *found,
                   void *arg, struct sl_err *err)
{
    struct reading r = {.found = found, .arg = arg};
    struct sl_db_list_opts page = {.where = query->where,
                                   .limit = query->limit,
                                   .offset = query->offset,
                                   .after = query->after,
                                   .has_after = query->has_after};
    SL_TRY(sli_page_check(db, &page, &r.left, &r.skip, err));
    return run(db, query, &r, err);
}

static sl_rc count_one(void *arg, const struct sl_db_found *found SL_UNUSED,
                       struct sl_err *err SL_UNUSED)
{
    ++*(uint64_t *)arg;
    return SL_OK;
}

sl_rc sl_db_count_where(struct sl_db *db, struct sl_db_where where,
                        const struct sl_db_filter *filter, uint64_t *ret, struct sl_err *err)
{
    uint64_t count = 0;
    struct reading r = {.found = count_one, .arg = &count, .left = UINT64_MAX};
    struct sl_db_query query = {.where = where, .filter = filter};
    SL_TRY(run(db, &query, &r, err));
    *ret = count;
    return SL_OK;
}

/* ---- removing ---- */

struct removal {
    uint8_t (*uuids)[SL_UUID_SIZE];
    uint64_t count;
};

static sl_rc collect(void *arg, const struct sl_db_found *found, struct sl_err *err SL_UNUSED)
{
    struct removal *x = arg;
    memcpy(x->uuids[x->count++], found->object->uuid, SL_UUID_SIZE);
    return SL_OK;
}

/* Removes one object if it still matches; stripes are held. */
static sl_rc remove_one(struct sli_request *req, struct sli_class *c, struct sl_str tenant,
                        const struct sli_match *match, const uint8_t uuid[SL_UUID_SIZE],
                        struct sl_err *err)
{
    struct sli_shard *shard = NULL;
    struct sl_arena scratch = SL_ARENA_EMPTY;
    bool needs_auto = false, is_match = false;
    SL_TRY(sli_shard_route(req->db, c, tenant, uuid, true, &shard, &needs_auto, err));
    sl_rc rc = needs_auto ? SL_ENOTFOUND : sli_request_read(req, shard, uuid, err);
    if (rc == SL_ENOTFOUND) {
        return SL_OK;
    }
    SL_TRY(rc);
    rc = sli_match_run(match, req->object, &scratch, &is_match, err);
    sl_arena_fini(&scratch);
    return rc != SL_OK || !is_match ? rc : sli_request_remove(req, shard, uuid, err);
}

static sl_rc remove_all(struct sli_request *req, struct sl_db_where where,
                        const struct sl_db_filter *filter, const struct removal *x,
                        uint64_t *ret_removed, struct sl_err *err)
{
    struct sli_class *c = NULL;
    const struct sli_match *match = NULL;
    SL_TRY(begin(req, where.class_name, filter, &c, &match, err));
    struct sli_item *items = sl_arena_array(&req->arena, struct sli_item, (size_t)x->count);
    if (items == NULL) {
        return SL_NOMEM(err);
    }
    for (uint64_t i = 0; i < x->count; i++) {
        memcpy(items[i].uuid, x->uuids[i], SL_UUID_SIZE);
    }
    SL_TRY(sli_request_lock_stripes(req, items, (uint32_t)x->count, err));
    for (uint64_t i = 0; i < x->count; i++) {
        SL_TRY(remove_one(req, c, where.tenant, match, x->uuids[i], err));
    }
    *ret_removed = req->changed_count;
    return sli_request_finish(req, err);
}

sl_rc sl_db_delete_where(struct sl_db *db, struct sl_db_where where,
                         const struct sl_db_filter *filter, bool is_dry_run, bool with_uuids,
                         struct sl_arena *arena, struct sl_db_deleted *ret, struct sl_err *err)
{
    uint64_t most = db->opts.limit_max; /* as the reference: callers repeat until none is left */
    struct removal x = {.uuids = sl_arena_alloc(arena, (most + 1) * sizeof *x.uuids)};
    struct reading r = {.found = collect, .arg = &x, .left = most};
    struct sl_db_query query = {.where = where, .filter = filter};
    struct sli_request req;
    uint64_t removed = 0;
    if (x.uuids == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sli_check_writable(db, err));
    SL_TRY(run(db, &query, &r, err));
    if (!is_dry_run && x.count > 0) {
        sl_rc rc = sli_request_init(&req, db, true, err);
        if (rc == SL_OK) {
            rc = remove_all(&req, where, filter, &x, &removed, err);
        }
        sli_request_fini(&req);
        SL_TRY(rc);
    }
    *ret = (struct sl_db_deleted){.matches = x.count,
                                  .successful = is_dry_run ? x.count : removed,
                                  .uuids = with_uuids ? x.uuids : NULL};
    return SL_OK;
}
