/* References between objects: beacons, and the calls that add, replace and remove them.
 *
 * A beacon is weaviate://localhost/Class/uuid; the old form without the class is completed from the
 * property when it has a single target. References of an object are a stored list of beacons, and
 * the calls below change that list alone: all other bytes of the object stay. */
#include "database/object_int.h"

#define BEACON_SCHEME "weaviate://"
#define BEACON_LOCAL  "weaviate://localhost/"

/* The text up to the next '/', which is taken too. */
static struct sl_str next_segment(struct sl_str *rest)
{
    const char *slash = rest->len == 0 ? NULL : memchr(rest->ptr, '/', rest->len);
    size_t len = slash == NULL ? rest->len : (size_t)(slash - rest->ptr);
    struct sl_str segment = {rest->ptr, len};
    size_t taken = SL_MIN(len + 1, rest->len);
    *rest = (struct sl_str){rest->ptr + taken, rest->len - taken};
    return segment;
}

/* Shorter than any sentence buffer, so that a long beacon cannot push the advice out. */
#define SHOWN(s) (int)SL_MIN((s).len, (size_t)200), (s).ptr

sl_rc sli_beacon_parse(struct sl_str text, struct sli_beacon *ret, struct sl_err *err)
{
    if (!sl_str_starts(text, BEACON_LOCAL)) {
        return SL_FAIL(err, SL_EINVAL,
                       sl_str_starts(text, BEACON_SCHEME)
                           ? "unrecognized cross-ref ref format: '%.*s' is not on localhost"
                           : "invalid cref URI: '%.*s' must be of format "
                             "'weaviate://localhost/<class>/<uuid>'",
                       SHOWN(text));
    }
    struct sl_str rest = {text.ptr + sizeof BEACON_LOCAL - 1, text.len - (sizeof BEACON_LOCAL - 1)};
    struct sl_str first = next_segment(&rest);
    struct sl_str id = rest.len > 0 ? rest : first;
    *ret = (struct sli_beacon){.class_name = rest.len > 0 ? first : SL_STR("")};
    if (!sl_uuid_parse(id, ret->uuid)) {
        return SL_FAIL(err, SL_EINVAL,
                       "invalid cref URI: last path segment must be uuid, but got '%.*s'",
                       SHOWN(id));
    }
    return SL_OK;
}

void sli_beacon_add(struct sl_buf *out, const struct sli_beacon *b)
{
    char id[SL_UUID_TEXT_SIZE];
    sl_uuid_format(b->uuid, id);
    sl_buf_add_text(out, BEACON_LOCAL);
    if (b->class_name.len > 0) {
        sl_buf_add_str(out, b->class_name);
        sl_buf_add_u8(out, '/');
    }
    sl_buf_add(out, SL_BYTES(id, sizeof id));
}

/* SL_ENOTFOUND when there is no such object; a tenant is looked for in classes that have tenants.
 */
static sl_rc find_object(struct sli_request *req, struct sli_class *c, struct sl_str tenant,
                         const uint8_t *uuid, struct sl_err *err)
{
    struct sli_shard *shard = NULL;
    bool needs_auto = false;
    SL_TRY(sli_shard_route(req->db, c, c->is_multi_tenant ? tenant : SL_STR(""), uuid, false,
                           &shard, &needs_auto, err));
    if (needs_auto) {
        return SL_ENOTFOUND;
    }
    struct sli_key key = sli_key_object(shard->number, uuid);
    sl_buf_clear(&req->old);
    return sl_kv_get(req->db->kv, NULL, sli_key_view(&key), &req->old, err);
}

static sl_rc check_target(struct sli_values *ctx, const struct sl_db_property *p,
                          const struct sli_beacon *b, struct sli_class *c, struct sl_err *err)
{
    sl_rc rc = find_object(ctx->req, c, ctx->tenant, b->uuid, err);
    if (rc != SL_ENOTFOUND) {
        return rc;
    }
    char id[SL_UUID_TEXT_SIZE + 1] = "";
    sl_uuid_format(b->uuid, id);
    return SL_FAIL(err, SL_EINVAL, "'cref' %.*s:%.*s: no object with id %s found",
                   SL_STR_ARG(ctx->class->name), SL_STR_ARG(p->name), id);
}

sl_rc sli_beacon_resolve(struct sli_values *ctx, const struct sl_db_property *p, struct sl_str text,
                         struct sli_beacon *ret, struct sl_err *err)
{
    struct sl_err cause = {0};
    sl_rc rc = sli_beacon_parse(text, ret, &cause);
    if (rc != SL_OK) {
        return SL_FAIL(err, rc, "invalid reference: %s", cause.text);
    }
    if (ret->class_name.len == 0 && p->target_count == 1) {
        ret->class_name = p->targets[0];
    }
    if (ret->class_name.len == 0) {
        return SL_OK; /* several targets: the object may be in any of them */
    }
    struct sli_class *c = sli_request_class(ctx->req, ret->class_name);
    if (c == NULL) {
        return SL_FAIL(err, SL_EINVAL, "invalid reference: class '%.*s' is not in the schema",
                       SHOWN(ret->class_name));
    }
    ret->class_name = c->name;
    return ctx->req->checks_references ? check_target(ctx, p, ret, c, err) : SL_OK;
}

/* ---- changing the list of one object ---- */

enum change { ADD, REPLACE, REMOVE };

/* Appends the elements of a stored list `[...]` to a list being written. */
static void add_elements(struct sl_buf *list, struct sl_str stored)
{
    if (stored.len > 2) {
        if (list->len > 1) {
            sl_buf_add_u8(list, ',');
        }
        sl_buf_add(list, SL_BYTES(stored.ptr + 1, stored.len - 2));
    }
}

/* One element of a stored list: {"beacon":"..."}. */
static void element_of(struct sl_buf *out, const struct sli_beacon *b)
{
    sl_buf_add_text(out, "{\"beacon\":\"");
    sli_beacon_add(out, b);
    sl_buf_add_text(out, "\"}");
}

/* The stored list without the element; elements hold no braces, beacons no escapes. */
static void without(struct sl_buf *list, struct sl_str stored, struct sl_str element)
{
    size_t at = 1;
    while (at + 1 < stored.len) {
        const char *close = memchr(stored.ptr + at, '}', stored.len - at);
        if (close == NULL) {
            return;
        }
        struct sl_str e = {stored.ptr + at, (size_t)(close - stored.ptr) + 1 - at};
        if (!sl_str_eq(e, element)) {
            sl_buf_add_text(list, list->len > 1 ? "," : "");
            sl_buf_add_str(list, e);
        }
        at += e.len + 1;
    }
}

/* The new list of the property from its stored one ("" when absent) and the elements given. */
static sl_rc changed_list(enum change change, struct sl_str stored, struct sl_str elements,
                          struct sl_buf *list, struct sl_err *err)
{
    sl_buf_add_u8(list, '[');
    switch (change) {
    case ADD:
        add_elements(list, stored);
        add_elements(list, elements);
        break;
    case REPLACE:
        add_elements(list, elements);
        break;
    case REMOVE:
        without(list, stored, (struct sl_str){elements.ptr + 1, elements.len - 2});
        break;
    }
    sl_buf_add_u8(list, ']');
    return sl_buf_done(list, err);
}

static sl_rc find_reference(const struct sli_class *c, struct sl_str name,
                            const struct sl_db_property **ret, struct sl_err *err)
{
    const struct sl_db_property *p = sli_property_find(c->properties, c->property_count, name);
    if (p == NULL) {
        return SL_FAIL(err, SL_EINVAL,
                       "no such prop with name '%.*s' found in class '%.*s' in the schema. Check "
                       "your schema files for which properties in this class are available",
                       SHOWN(name), SL_STR_ARG(c->name));
    }
    if (p->type != SL_DB_REFERENCE) {
        return SL_FAIL(err, SL_EINVAL, "property '%.*s' is not a reference-type", SHOWN(name));
    }
    *ret = p;
    return SL_OK;
}

/* What is to be changed, resolved against the schema at hand. */
struct edit {
    enum change change;
    struct sli_class *class;
    const struct sl_db_property *property;
    struct sl_str elements; /* [{"beacon":...},...] */
};

/* Reads the object, changes the list, stores it. Stripes are held. */
static sl_rc apply(struct sli_request *req, struct sli_item *item, const struct edit *e,
                   struct sl_err *err)
{
    struct sli_members old;
    SL_AUTO(sl_buf) list = SL_BUF_EMPTY;
    SL_TRY(sli_request_read(req, item->target->shard, item->uuid, err));
    SL_TRY(sli_members_split(&req->arena, sl_bytes_str(req->object->properties), &old, err));
    struct sl_str stored = sli_members_get(&old, e->property->name);
    if (e->change == REMOVE && stored.len == 0) {
        return SL_OK;
    }
    SL_TRY(changed_list(e->change, stored, e->elements, &list, err));
    if (sl_str_eq(stored, sl_buf_str(&list))) {
        return SL_OK; /* as there: nothing changed, no new update time */
    }
    SL_TRY(sli_vectors_keep(req, item, req->object, err));
    struct sli_member member = {e->property->name, sl_buf_str(&list)};
    struct sli_members over = {&member, 1};
    item->properties_at = item->data.len;
    sli_members_merge(&old, &over, &item->data);
    item->properties_len = item->data.len - item->properties_at;
    SL_TRY(sl_buf_done(&item->data, err));
    item->update_ms = req->now_ms;
    SL_TRY(sli_request_store(req, item, 1, SLI_MUST_EXIST, err));
    return item->rc == SL_OK ? SL_OK : SL_FAIL(err, item->rc, "%s", item->error);
}

/* Writes the elements of the request's beacons into the arena. */
static sl_rc resolve_elements(struct sli_values *ctx, const struct sl_db_property *p, json_t *refs,
                              struct sl_str *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) list = SL_BUF_EMPTY;
    sl_buf_add_u8(&list, '[');
    for (size_t i = 0; i < json_array_size(refs); i++) {
        json_t *beacon = json_object_get(json_array_get(refs, i), "beacon");
        struct sli_beacon b;
        if (!json_is_string(beacon)) {
            return SL_FAIL(err, SL_EINVAL,
                           "a reference needs a 'beacon' of the form "
                           "'weaviate://localhost/<class>/<uuid>'");
        }
        SL_TRY(sli_beacon_resolve(
            ctx, p, (struct sl_str){json_string_value(beacon), json_string_length(beacon)}, &b,
            err));
        sl_buf_add_text(&list, i > 0 ? "," : "");
        element_of(&list, &b);
    }
    sl_buf_add_u8(&list, ']');
    SL_TRY(sl_buf_done(&list, err));
    *ret = sl_arena_str(&ctx->req->arena, sl_buf_str(&list));
    return ret->ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

static sl_rc edit_locked(struct sli_request *req, struct sl_db_where where, struct sl_str id,
                         struct sl_str property, json_t *refs, enum change change,
                         struct sl_err *err)
{
    struct sli_item item = {0};
    struct edit e = {.change = change};
    bool needs_auto = false;
    SL_TRY(sli_uuid_check(id, "path", item.uuid, err));
    e.class = sli_request_class(req, where.class_name);
    if (e.class == NULL) {
        return SL_FAIL(err, SL_ENOTFOUND, "class \"%.*s\" not found in schema",
                       SHOWN(where.class_name));
    }
    SL_TRY(find_reference(e.class, property, &e.property, err));
    struct sli_values ctx = {.req = req, .class = e.class, .tenant = where.tenant};
    SL_TRY(resolve_elements(&ctx, e.property, refs, &e.elements, err));
    SL_TRY(
        sli_request_target(req, e.class, where.tenant, item.uuid, &item.target, &needs_auto, err));
    if (needs_auto) {
        return SL_FAIL(err, SL_ENOTFOUND, "tenant '%.*s' has no objects", SHOWN(where.tenant));
    }
    sl_rc rc = sli_request_lock_stripes(req, &item, 1, err);
    if (rc == SL_OK) {
        rc = apply(req, &item, &e, err);
    }
    sli_items_fini(&item, 1);
    return rc;
}

/* `refs` is a list of {"beacon"}; a single one comes wrapped. Takes no reference of its own. */
static sl_rc edit(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                  struct sl_str property, json_t *refs, enum change change, struct sl_err *err)
{
    struct sli_request req;
    sl_rc rc = sli_request_init(&req, db, true, err);
    if (rc == SL_OK) {
        req.checks_references = change != REMOVE;
        sli_request_lock(&req);
        rc = edit_locked(&req, where, id, property, refs, change, err);
    }
    if (rc == SL_OK) {
        rc = sli_request_finish(&req, err);
    }
    sli_request_fini(&req);
    return rc;
}

static sl_rc edit_one(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                      struct sl_str property, json_t *body, enum change change, struct sl_err *err)
{
    json_t *refs = json_array();
    if (refs == NULL || json_array_append(refs, body) != 0) {
        json_decref(refs);
        return SL_NOMEM(err);
    }
    sl_rc rc = edit(db, where, id, property, refs, change, err);
    json_decref(refs);
    return rc;
}

sl_rc sl_db_reference_add(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                          struct sl_str property, json_t *body, struct sl_err *err)
{
    return edit_one(db, where, id, property, body, ADD, err);
}

sl_rc sl_db_reference_put(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                          struct sl_str property, json_t *body, struct sl_err *err)
{
    if (!json_is_array(body)) {
        return SL_FAIL(err, SL_EINVAL, "the body must be a list of references, not %s",
                       body == NULL ? "absent" : sli_go_type(body));
    }
    return edit(db, where, id, property, body, REPLACE, err);
}

sl_rc sl_db_reference_delete(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                             struct sl_str property, json_t *body, struct sl_err *err)
{
    return edit_one(db, where, id, property, body, REMOVE, err);
}

/* ---- batch ---- */

/* weaviate://localhost/Class/uuid/property; the property is the rest behind the last '/'. */
static sl_rc parse_source(struct sl_str from, struct sli_beacon *ret, struct sl_str *ret_property,
                          struct sl_err *err)
{
    if (from.len == 0) {
        return SL_FAIL(err, SL_EINVAL,
                       "invalid cref URI: 'from' must be a text of format "
                       "'weaviate://localhost/<class>/<uuid>/<property>'");
    }
    size_t slash = from.len;
    while (slash > 0 && from.ptr[slash - 1] != '/') {
        slash--;
    }
    struct sl_str beacon = {from.ptr, slash == 0 ? 0 : slash - 1};
    *ret_property = (struct sl_str){from.ptr + slash, from.len - slash};
    SL_TRY(sli_beacon_parse(beacon, ret, err));
    if (ret->class_name.len == 0 || ret_property->len == 0) {
        return SL_FAIL(err, SL_EINVAL,
                       "invalid cref URI: '%.*s' must be of format "
                       "'weaviate://localhost/<class>/<uuid>/<property>'",
                       SHOWN(from));
    }
    return SL_OK;
}

/* One line of a batch: the reply repeats its beacons, the target completed by its class. */
struct line {
    struct sl_str from, to, tenant;
    sl_rc rc;
};

/* A batch asks for both ends of a reference only where the source has tenants, as the reference
 * does: no reference may lead from one tenant into another. */
static sl_rc check_end(struct sli_request *req, const char *end, struct sl_str tenant,
                       const struct sli_beacon *b, struct sl_err *err)
{
    struct sli_class *c = sli_request_class(req, b->class_name);
    if (c == NULL) {
        return SL_OK; /* a target of several classes, none named */
    }
    sl_rc rc = find_object(req, c, tenant, b->uuid, err);
    if (rc != SL_ENOTFOUND) {
        return rc;
    }
    char id[SL_UUID_TEXT_SIZE + 1] = "";
    sl_uuid_format(b->uuid, id);
    tenant = c->is_multi_tenant ? tenant : SL_STR("");
    return SL_FAIL(err, SL_EINVAL, "%s: object %.*s/%s not found for tenant \"%.*s\"", end,
                   SL_STR_ARG(c->name), id, SHOWN(tenant));
}

static sl_rc batch_line(struct sli_request *req, struct line *l, struct sl_err *err)
{
    struct sli_beacon source;
    struct sli_beacon target;
    struct sl_str property;
    struct sli_item item = {0};
    struct edit e = {.change = ADD};
    bool needs_auto = false;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    SL_TRY(parse_source(l->from, &source, &property, err));
    e.class = sli_request_class(req, source.class_name);
    if (e.class == NULL) {
        return SL_FAIL(err, SL_EINVAL, "class \"%.*s\" not found in schema",
                       SHOWN(source.class_name));
    }
    SL_TRY(find_reference(e.class, property, &e.property, err));
    struct sli_values ctx = {.req = req, .class = e.class, .tenant = l->tenant};
    SL_TRY(sli_beacon_resolve(&ctx, e.property, l->to, &target, err));
    if (e.class->is_multi_tenant) {
        SL_TRY(check_end(req, "source", l->tenant, &source, err));
        SL_TRY(check_end(req, "target", l->tenant, &target, err));
    }
    sli_beacon_add(&text, &target);
    SL_TRY(sl_buf_done(&text, err));
    l->to = sl_arena_str(&req->arena, sl_buf_str(&text));
    sl_buf_clear(&text);
    sl_buf_add_u8(&text, '[');
    element_of(&text, &target);
    sl_buf_add_u8(&text, ']');
    SL_TRY(sl_buf_done(&text, err));
    e.elements = sl_buf_str(&text);
    if (l->to.ptr == NULL) {
        return SL_NOMEM(err);
    }
    memcpy(item.uuid, source.uuid, SL_UUID_SIZE);
    SL_TRY(sli_request_target(req, e.class, l->tenant, item.uuid, &item.target, &needs_auto, err));
    if (needs_auto) {
        return SL_FAIL(err, SL_EINVAL, "tenant '%.*s' has no objects", SHOWN(l->tenant));
    }
    sl_rc rc = sli_request_lock_stripes(req, &item, 1, err);
    rc = rc == SL_OK ? apply(req, &item, &e, err) : rc;
    sli_items_fini(&item, 1);
    return rc;
}

static void batch_reply(struct sl_json *w, const struct line *l, const struct sl_err *cause)
{
    sl_json_obj(w);
    sl_json_key(w, "from");
    sl_json_str(w, l->from);
    sl_json_key(w, "to");
    sl_json_str(w, l->to);
    sl_json_key(w, "result");
    sl_json_obj(w);
    if (l->rc != SL_OK) {
        sl_json_key(w, "errors");
        sl_json_obj(w);
        sl_json_key(w, "error");
        sl_json_arr(w);
        sl_json_obj(w);
        sl_json_key(w, "message");
        sl_json_text(w, sl_err_text(cause, l->rc));
        sl_json_obj_end(w);
        sl_json_arr_end(w);
        sl_json_obj_end(w);
    }
    sl_json_key(w, "status");
    sl_json_text(w, l->rc == SL_OK ? "SUCCESS" : "FAILED");
    sl_json_obj_end(w);
    sl_json_obj_end(w);
}

static struct sl_str member_text(json_t *object, const char *key)
{
    json_t *v = json_object_get(object, key);
    return (struct sl_str){json_string_value(v), json_string_length(v)};
}

static sl_rc batch_all(struct sli_request *req, json_t *body, struct sl_buf *out,
                       struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    sl_json_arr(&w);
    for (size_t i = 0; i < json_array_size(body); i++) {
        json_t *ref = json_array_get(body, i);
        struct sl_err cause = {0};
        struct line l = {member_text(ref, "from"), member_text(ref, "to"),
                         member_text(ref, "tenant"), SL_OK};
        /* Locks per line: each reads, changes and commits one object. */
        sli_request_lock(req);
        l.rc = batch_line(req, &l, &cause);
        l.rc = l.rc == SL_OK ? sli_request_commit(req, &cause) : l.rc;
        sli_request_unlock(req);
        if (l.rc != SL_OK && l.rc != SL_EINVAL && l.rc != SL_ENOTFOUND && l.rc != SL_EREFUSED) {
            return SL_FAIL(err, l.rc, "%s", sl_err_text(&cause, l.rc));
        }
        batch_reply(&w, &l, &cause);
    }
    sl_json_arr_end(&w);
    SL_TRY(sl_buf_done(out, err));
    return sli_request_finish(req, err);
}

sl_rc sl_db_batch_references(struct sl_db *db, json_t *body, struct sl_buf *out, struct sl_err *err)
{
    if (json_array_size(body) == 0) {
        return SL_FAIL(err, SL_EINVAL,
                       "invalid params: length cannot be 0, need at least one "
                       "reference for batching");
    }
    struct sli_request req;
    size_t start = out->len;
    sl_rc rc = sli_request_init(&req, db, true, err);
    if (rc == SL_OK) {
        rc = batch_all(&req, body, out, err);
    }
    sli_request_fini(&req);
    if (rc != SL_OK) {
        out->len = start;
    }
    return rc;
}
