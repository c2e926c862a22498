/* Pages of objects in UUID order: of one class (all its shards merged) or of all classes.
 *
 * The cursor form starts behind a UUID and costs the same on every page; the offset form walks over
 * what it skips, within the configured maximum. Called by api/ from any thread. */
#include "database/object_int.h"

struct page {
    struct sli_request *req;
    const struct sl_db_list_opts *opts;
    struct sl_json w;
    uint64_t skip, left; /* objects still to pass over, still to write */
    uint64_t total;      /* written */
};

static sl_rc write_object(void *arg, const struct sli_class *c, const struct sl_object *obj,
                          struct sl_err *err SL_UNUSED)
{
    struct page *p = arg;
    if (p->left == 0) {
        return SL_END;
    }
    if (p->skip > 0) {
        p->skip--;
        return SL_OK;
    }
    struct sl_str tenant = p->opts->where.tenant;
    sl_json_obj(&p->w);
    sli_reply_members(
        &p->w, c, obj, tenant,
        (struct sli_reply_opts){.with_vectors = p->opts->with_vector, .with_weights = true});
    sl_json_obj_end(&p->w);
    p->left--;
    p->total++;
    return SL_OK;
}

static sl_rc list_class(struct page *p, struct sli_class *c, struct sl_err *err)
{
    return sli_walk(p->req, c, p->opts->where.tenant, p->opts->after, write_object, p, err);
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

sl_rc sli_page_check(const struct sl_db *db, const struct sl_db_list_opts *opts, uint64_t *ret_left,
                     uint64_t *ret_skip, struct sl_err *err)
{
    uint8_t after[SL_UUID_SIZE];
    uint64_t max = db->opts.limit_max;
    uint64_t left = opts->limit < 0 ? db->opts.limit_default : (uint64_t)opts->limit;
    uint64_t skip = opts->offset < 0 ? 0 : (uint64_t)opts->offset;
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
    if (left > max || skip > max - left) {
        return SL_FAIL(
            err, SL_EINVAL,
            "invalid pagination params: query maximum results exceeded: offset and limit "
            "together may be at most %u (QUERY_MAXIMUM_RESULTS)",
            db->opts.limit_max);
    }
    *ret_left = left;
    *ret_skip = skip;
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
    SL_TRY(sli_page_check(db, opts, &p.left, &p.skip, err));
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
