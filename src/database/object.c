/* Single objects: add, replace, patch, delete, exists, get.
 *
 * Every write is one sli_request of one item; the sentences in front of a refusal are those of the
 * REST API for single objects. A reply is written while the locks are held and given out only after
 * the sync. Called by api/ from any thread. */
#include "database/object_int.h"

#define SHOWN(s) (int)SL_MIN((s).len, (size_t)255), (s).ptr

/* The refusal of an item as Weaviate words it for a single object. */
static sl_rc refusal(const struct sli_item *item, struct sl_err *err)
{
    sl_rc rc = SL_FAIL(err, item->rc, "%s", item->error);
    bool is_id = sl_str_starts(sl_str_from(item->error), "id in body");
    if (item->stage == SLI_AT_VALIDATE && rc == SL_EINVAL && !is_id) {
        sl_err_prefix(err, "invalid object");
    }
    if (rc == SL_EREFUSED) {
        const struct sli_target *t = item->target;
        if (item->stage == SLI_AT_STORE) {
            sl_err_prefix(err, "store object in LSM store");
        } else {
            sl_err_prefix(err, "update vector index");
        }
        sl_err_prefix(err, "put object: import into index %s: put local object: shard=\"%.*s\"",
                      t->class->name_lower, SL_STR_ARG(t->shard->name));
    }
    return rc;
}

static struct sl_str tenant_of(const struct sli_item *item)
{
    return item->target->class->is_multi_tenant ? item->target->shard->name : SL_STR("");
}

static sl_rc reply_item(struct sli_request *req, const struct sli_item *item, struct sl_buf *out,
                        struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    sli_item_fields(req, item);
    sl_json_obj(&w);
    sli_reply_members(&w, item->target->class, req->object, tenant_of(item),
                      (struct sli_reply_opts){.with_vectors = true});
    sl_json_obj_end(&w);
    return sl_buf_done(out, err);
}

/* ---- add and replace ---- */

static sl_rc put_item(struct sli_request *req, const struct sli_input *in, struct sli_item *item,
                      enum sli_must must, struct sl_buf *out, struct sl_err *err)
{
    req->checks_references = true;
    SL_TRY(sli_items_prepare(req, in, item, 1, err));
    if (item->rc == SL_OK) {
        SL_TRY(sli_request_lock_stripes(req, item, 1, err));
        SL_TRY(sli_request_store(req, item, 1, must, err));
    }
    if (item->rc != SL_OK) {
        return refusal(item, err);
    }
    SL_TRY(reply_item(req, item, out, err));
    return sli_request_finish(req, err);
}

static sl_rc put(struct sl_db *db, const struct sli_input *in, enum sli_must must,
                 struct sl_buf *out, struct sl_err *err)
{
    struct sli_request req;
    struct sli_item item = {0};
    size_t start = out->len;
    sl_rc rc = sli_request_init(&req, db, true, err);
    if (rc == SL_OK) {
        rc = put_item(&req, in, &item, must, out, err);
    }
    sli_request_fini(&req);
    sli_items_fini(&item, 1);
    if (rc != SL_OK) {
        out->len = start;
    }
    return rc;
}

sl_rc sl_db_object_add(struct sl_db *db, json_t *object, struct sl_buf *out, struct sl_err *err)
{
    uint8_t uuid[SL_UUID_SIZE];
    struct sli_input in = sli_input_of(object);
    if (in.id.len > 0) { /* the form of the id is refused before anything else is looked at */
        SL_TRY(sli_uuid_check(in.id, "body", uuid, err));
    }
    return put(db, &in, SLI_MUST_NOT_EXIST, out, err);
}

/* SL_ENOTFOUND before anything is made: a replacement must not bring a class into being. */
static sl_rc check_class(struct sl_db *db, struct sl_str name, struct sl_err *err)
{
    struct sli_request req;
    sl_rc rc = sli_request_init(&req, db, false, err);
    if (rc == SL_OK) {
        sli_request_lock(&req);
        if (sli_request_class(&req, name) == NULL) {
            rc = SL_FAIL(err, SL_ENOTFOUND, "class \"%.*s\" not found in schema", SHOWN(name));
        }
    }
    sli_request_fini(&req);
    return rc;
}

sl_rc sl_db_object_put(struct sl_db *db, struct sl_db_where where, struct sl_str id, json_t *object,
                       struct sl_buf *out, struct sl_err *err)
{
    uint8_t uuid[SL_UUID_SIZE];
    uint8_t body_uuid[SL_UUID_SIZE];
    struct sli_input in = sli_input_of(object);
    SL_TRY(sli_uuid_check(id, "path", uuid, err));
    if (in.id.len > 0) {
        SL_TRY(sli_uuid_check(in.id, "body", body_uuid, err));
        if (memcmp(uuid, body_uuid, sizeof uuid) != 0) {
            return SL_FAIL(err, SL_EINVAL, "invalid update: field 'id' is immutable");
        }
    }
    SL_TRY(check_class(db, where.class_name, err));
    in.class_name = where.class_name;
    in.tenant = where.tenant.len > 0 ? where.tenant : in.tenant;
    in.id = id;
    return put(db, &in, SLI_MUST_EXIST, out, err);
}

/* ---- patch ---- */

/* The members of the request over the stored ones: null removes, references are added to those
 * there, anything else takes the place of the old value whole. */
static sl_rc patch_members(struct sli_request *req, const struct sli_item *item, json_t *properties,
                           struct sl_buf *out, struct sl_err *err)
{
    const struct sli_class *c = item->target->class;
    struct sl_str given = {(const char *)item->data.ptr + item->properties_at,
                           item->properties_len};
    struct sli_members under;
    struct sli_members over;
    SL_TRY(sli_members_split(&req->arena, sl_bytes_str(req->object->properties), &under, err));
    SL_TRY(sli_members_split(&req->arena, given, &over, err));
    for (uint32_t i = 0; i < under.count; i++) {
        const char *key;
        json_t *value;
        json_object_foreach(properties, key, value)
        {
            struct sl_str name = sl_str_from(key);
            bool is_same = name.len == under.list[i].name.len && name.len > 0 &&
                           (name.ptr[0] | 0x20) == (under.list[i].name.ptr[0] | 0x20) &&
                           memcmp(name.ptr + 1, under.list[i].name.ptr + 1, name.len - 1) == 0;
            if (is_same && json_is_null(value)) {
                under.list[i].json = (struct sl_str){NULL, 0};
            }
        }
    }
    for (uint32_t i = 0; i < over.count; i++) {
        const struct sl_db_property *p =
            sli_property_find(c->properties, c->property_count, over.list[i].name);
        struct sl_str old = sli_members_get(&under, over.list[i].name);
        if (p == NULL || p->type != SL_DB_REFERENCE || old.len <= 2) {
            continue;
        }
        SL_AUTO(sl_buf) both = SL_BUF_EMPTY;
        sl_buf_add(&both, SL_BYTES(old.ptr, old.len - 1));
        sl_buf_add_text(&both, over.list[i].json.len > 2 ? "," : "");
        sl_buf_add(&both, SL_BYTES(over.list[i].json.ptr + 1, over.list[i].json.len - 1));
        SL_TRY(sl_buf_done(&both, err));
        over.list[i].json = sl_arena_str(&req->arena, sl_buf_str(&both));
        if (over.list[i].json.ptr == NULL) {
            return SL_NOMEM(err);
        }
    }
    sli_members_merge(&under, &over, out);
    return sl_buf_done(out, err);
}

static sl_rc patch_item(struct sli_request *req, const struct sli_input *in, struct sli_item *item,
                        struct sl_err *err)
{
    req->checks_references = true;
    SL_TRY(sli_items_prepare(req, in, item, 1, err));
    if (item->target == NULL || (item->rc != SL_OK && item->stage == SLI_AT_ROUTE)) {
        return refusal(item, err);
    }
    if (item->rc != SL_OK) {
        /* A missing object is told before what is wrong with the update. */
        sl_rc rc = sli_request_read(req, item->target->shard, item->uuid, err);
        return rc == SL_OK ? refusal(item, err) : rc;
    }
    SL_TRY(sli_request_lock_stripes(req, item, 1, err));
    SL_TRY(sli_request_read(req, item->target->shard, item->uuid, err));
    SL_AUTO(sl_buf) merged = SL_BUF_EMPTY;
    SL_TRY(patch_members(req, item, json_object_get(in->object, "properties"), &merged, err));
    SL_TRY(sli_vectors_keep(req, item, req->object, err));
    item->properties_at = item->data.len;
    item->properties_len = merged.len;
    sl_buf_add(&item->data, sl_buf_view(&merged));
    SL_TRY(sl_buf_done(&item->data, err));
    SL_TRY(sli_request_store(req, item, 1, SLI_MUST_EXIST, err));
    if (item->rc != SL_OK) {
        return refusal(item, err);
    }
    return sli_request_finish(req, err);
}

sl_rc sl_db_object_patch(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                         json_t *object, struct sl_err *err)
{
    uint8_t uuid[SL_UUID_SIZE];
    struct sli_input in = sli_input_of(object);
    SL_TRY(sli_uuid_check(id, "path", uuid, err));
    SL_TRY(check_class(db, where.class_name, err));
    in.class_name = where.class_name;
    in.tenant = where.tenant.len > 0 ? where.tenant : in.tenant;
    in.id = id;
    struct sli_request req;
    struct sli_item item = {0};
    sl_rc rc = sli_request_init(&req, db, true, err);
    if (rc == SL_OK) {
        rc = patch_item(&req, &in, &item, err);
    }
    sli_request_fini(&req);
    sli_items_fini(&item, 1);
    return rc;
}

/* ---- delete ---- */

static sl_rc delete_locked(struct sli_request *req, struct sl_db_where where, struct sl_str id,
                           struct sl_err *err)
{
    struct sli_item item = {0};
    bool needs_auto = false;
    SL_TRY(sli_uuid_check(id, "path", item.uuid, err));
    struct sli_class *c = sli_request_class(req, where.class_name);
    if (c == NULL) {
        return SL_FAIL(err, SL_EINTERNAL,
                       "could not delete object from vector repo: delete from non-existing index "
                       "for %.*s",
                       SHOWN(where.class_name));
    }
    SL_TRY(sli_request_target(req, c, where.tenant, item.uuid, &item.target, &needs_auto, err));
    if (needs_auto) {
        return SL_OK; /* a tenant that is not there has no objects */
    }
    SL_TRY(sli_request_lock_stripes(req, &item, 1, err));
    sl_rc rc = sli_request_read(req, item.target->shard, item.uuid, err);
    if (rc == SL_ENOTFOUND) {
        return SL_OK;
    }
    SL_TRY(rc);
    SL_TRY(sli_request_remove(req, item.target->shard, item.uuid, err));
    return sli_request_finish(req, err);
}

sl_rc sl_db_object_delete(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                          struct sl_err *err)
{
    struct sli_request req;
    sl_rc rc = sli_request_init(&req, db, true, err);
    if (rc == SL_OK) {
        sli_request_lock(&req);
        rc = delete_locked(&req, where, id, err);
    }
    sli_request_fini(&req);
    return rc;
}

/* ---- read ---- */

/* The stored object in req->object and its class; the schema is locked. */
static sl_rc read_object(struct sli_request *req, struct sl_db_where where, struct sl_str id,
                         struct sli_class **ret_class, struct sl_err *err)
{
    uint8_t uuid[SL_UUID_SIZE];
    struct sli_shard *shard = NULL;
    bool needs_auto = false;
    SL_TRY(sli_uuid_check(id, "path", uuid, err));
    struct sli_class *c = sli_request_class(req, where.class_name);
    if (c == NULL) {
        return SL_FAIL(err, SL_ENOTFOUND, "class \"%.*s\" not found in schema",
                       SHOWN(where.class_name));
    }
    SL_TRY(sli_shard_route(req->db, c, where.tenant, uuid, false, &shard, &needs_auto, err));
    if (needs_auto) {
        return SL_FAIL(err, SL_ENOTFOUND, "tenant '%.*s' has no objects", SHOWN(where.tenant));
    }
    *ret_class = c;
    return sli_request_read(req, shard, uuid, err);
}

sl_rc sl_db_object_get(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                       struct sl_db_read_opts opts, struct sl_buf *out, struct sl_err *err)
{
    struct sli_request req;
    struct sli_class *c = NULL;
    size_t start = out->len;
    sl_rc rc = sli_request_init(&req, db, false, err);
    if (rc == SL_OK) {
        sli_request_lock(&req);
        rc = read_object(&req, where, id, &c, err);
    }
    if (rc == SL_OK) {
        struct sl_json w = sl_json_over(out);
        sl_json_obj(&w);
        sli_reply_members(
            &w, c, req.object, c->is_multi_tenant ? where.tenant : SL_STR(""),
            (struct sli_reply_opts){.with_vectors = opts.with_vector, .with_weights = true});
        sl_json_obj_end(&w);
        rc = sl_buf_done(out, err);
    }
    sli_request_fini(&req);
    if (rc != SL_OK) {
        out->len = start;
    }
    return rc;
}

sl_rc sl_db_object_exists(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                          struct sl_err *err)
{
    struct sli_request req;
    struct sli_class *c = NULL;
    sl_rc rc = sli_request_init(&req, db, false, err);
    if (rc == SL_OK) {
        sli_request_lock(&req);
        rc = read_object(&req, where, id, &c, err);
    }
    sli_request_fini(&req);
    return rc;
}
