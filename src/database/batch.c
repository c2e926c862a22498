/* Many objects in one request: each judged alone, all stored by one commit and one sync.
 *
 * A refused object is told in its place of the reply and stops no other. Faults of the machine end
 * the whole request, and then nothing of it was stored. Called by api/ (REST and gRPC share it)
 * and, for stored objects as they are, by benchmarks and importers. */
#include "database/object_int.h"

/* Objects of one request. Clients send 100 to 1000; an item is about 200 bytes beside its data, so
 * that this many empty objects in a body still fit the memory of requests. */
#define BATCH_OBJECTS_MAX 100000

/* Single objects name the step that refused them, batches do not. */
static const char *batch_words(const struct sli_item *item)
{
    static const char word[] = "determine shard: ";
    const char *at = item->stage == SLI_AT_ROUTE ? strstr(item->error, word) : NULL;
    return at == NULL ? item->error : at + sizeof word - 1;
}

static void reply_stored(struct sli_request *req, struct sl_json *w, const struct sli_item *item)
{
    const struct sli_target *t = item->target;
    sli_item_fields(req, item);
    sli_reply_members(w, t->class, req->object,
                      t->class->is_multi_tenant ? t->shard->name : SL_STR(""),
                      (struct sli_reply_opts){.with_vectors = true});
}

/* A refused object is given back as it came, with the times it would have had. */
static void reply_refused(struct sli_request *req, struct sl_json *w, const struct sli_input *in)
{
    static const char *const echoed[] = {"properties", "tenant", "vector", "vectors"};
    sl_json_key(w, "class");
    sl_json_str(w, in->class_name);
    sl_json_key(w, "creationTimeUnix");
    sl_json_i64(w, req->now_ms);
    if (in->id.len > 0) {
        sl_json_key(w, "id");
        sl_json_str(w, in->id);
    }
    sl_json_key(w, "lastUpdateTimeUnix");
    sl_json_i64(w, req->now_ms);
    for (size_t i = 0; i < SL_COUNT_OF(echoed); i++) {
        json_t *v = json_object_get(in->object, echoed[i]);
        if (v != NULL) {
            sl_json_key(w, echoed[i]);
            sli_reply_json(w, &req->arena, v);
        }
    }
}

static void reply_result(struct sl_json *w, const struct sli_item *item)
{
    sl_json_key(w, "deprecations");
    sl_json_null(w);
    sl_json_key(w, "result");
    sl_json_obj(w);
    if (item->rc != SL_OK) {
        sl_json_key(w, "errors");
        sl_json_obj(w);
        sl_json_key(w, "error");
        sl_json_arr(w);
        sl_json_obj(w);
        sl_json_key(w, "message");
        sl_json_text(w, batch_words(item));
        sl_json_obj_end(w);
        sl_json_arr_end(w);
        sl_json_obj_end(w);
    }
    sl_json_key(w, "status");
    sl_json_text(w, item->rc == SL_OK ? "SUCCESS" : "FAILED");
    sl_json_obj_end(w);
}

static sl_rc reply(struct sli_request *req, const struct sli_input *inputs,
                   const struct sli_item *items, uint32_t count, struct sl_buf *out,
                   struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    sl_json_arr(&w);
    for (uint32_t i = 0; i < count; i++) {
        sl_json_obj(&w);
        if (items[i].rc == SL_OK) {
            reply_stored(req, &w, &items[i]);
        } else {
            reply_refused(req, &w, &inputs[i]);
        }
        reply_result(&w, &items[i]);
        sl_json_obj_end(&w);
    }
    sl_json_arr_end(&w);
    return sl_buf_done(out, err);
}

static sl_rc store(struct sli_request *req, const struct sli_input *inputs, struct sli_item *items,
                   uint32_t count, struct sl_err *err)
{
    SL_TRY(sli_items_prepare(req, inputs, items, count, err));
    SL_TRY(sli_request_lock_stripes(req, items, count, err));
    return sli_request_store(req, items, count, SLI_MAY_EXIST, err);
}

static sl_rc run(struct sli_request *req, json_t *objects, struct sli_item *items, uint32_t count,
                 struct sl_buf *out, struct sl_err *err)
{
    struct sli_input *inputs = sl_arena_array(&req->arena, struct sli_input, SL_MAX(count, 1u));
    if (inputs == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        inputs[i] = sli_input_of(json_array_get(objects, i));
    }
    SL_TRY(store(req, inputs, items, count, err));
    SL_TRY(reply(req, inputs, items, count, out, err));
    return sli_request_finish(req, err);
}

static sl_rc check_count(size_t count, struct sl_err *err)
{
    return count <= BATCH_OBJECTS_MAX
               ? SL_OK
               : SL_FAIL(err, SL_EINVAL,
                         "invalid param 'objects': %zu objects, at most %d are possible", count,
                         BATCH_OBJECTS_MAX);
}

sl_rc sl_db_batch_objects(struct sl_db *db, json_t *body, struct sl_buf *out, struct sl_err *err)
{
    json_t *objects = json_object_get(body, "objects");
    size_t count = json_array_size(objects);
    if (count == 0) {
        return SL_FAIL(
            err, SL_EINVAL,
            "invalid param 'objects': cannot be empty, need at least one object for batching");
    }
    SL_TRY(check_count(count, err));
    struct sli_request req;
    size_t start = out->len;
    struct sli_item *items = NULL;
    sl_rc rc = sli_request_init(&req, db, true, err);
    if (rc == SL_OK) {
        req.checks_references = true;
        items = sl_alloc_zero(count, sizeof *items);
        rc = items == NULL ? SL_NOMEM(err) : run(&req, objects, items, (uint32_t)count, out, err);
    }
    sli_request_fini(&req);
    sli_items_fini(items, (uint32_t)count);
    sl_free(items);
    if (rc != SL_OK) {
        out->len = start;
    }
    return rc;
}

/* ---- objects with vectors as bytes ---- */

/* Stores the objects whose slot of errors is empty; `left` of them. */
static sl_rc store_left(struct sli_request *req, const struct sl_db_batch_object *objects,
                        uint32_t count, uint32_t left, struct sli_item *items,
                        struct sl_arena *arena, const char **errors, struct sl_err *err)
{
    struct sli_input *inputs = sl_arena_array(&req->arena, struct sli_input, left);
    uint32_t *where = sl_arena_array(&req->arena, uint32_t, left), n = 0;
    if (inputs == NULL || where == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (errors[i] == NULL) {
            inputs[n] = sli_input_of(objects[i].object);
            inputs[n].vectors = objects[i].vectors;
            inputs[n].vector_count = objects[i].vector_count;
            where[n++] = i;
        }
    }
    SL_TRY(store(req, inputs, items, left, err));
    for (uint32_t i = 0; i < left; i++) {
        if (items[i].rc != SL_OK) {
            errors[where[i]] = sl_arena_str(arena, sl_str_from(batch_words(&items[i]))).ptr;
            SL_TRY(errors[where[i]] == NULL ? SL_NOMEM(err) : SL_OK);
        }
    }
    return sli_request_finish(req, err);
}

sl_rc sl_db_batch_store(struct sl_db *db, const struct sl_db_batch_object *objects, uint32_t count,
                        struct sl_arena *arena, const char **errors, struct sl_err *err)
{
    struct sli_request req;
    struct sli_item *items = NULL;
    uint32_t left = 0;
    SL_TRY(check_count(count, err));
    for (uint32_t i = 0; i < count; i++) {
        left += errors[i] == NULL;
    }
    sl_rc rc = sli_request_init(&req, db, true, err);
    if (rc == SL_OK && left > 0) {
        req.checks_references = true;
        items = sl_alloc_zero(left, sizeof *items);
        rc = items == NULL ? SL_NOMEM(err)
                           : store_left(&req, objects, count, left, items, arena, errors, err);
    }
    sli_request_fini(&req);
    sli_items_fini(items, left);
    sl_free(items);
    return rc;
}

/* ---- stored objects as they are ---- */

static sl_rc take_stored(struct sli_request *req, struct sl_db_where where,
                         const struct sl_object *obj, struct sli_item *item, struct sl_err *err)
{
    bool needs_auto = false;
    struct sli_class *c = sli_request_class(req, where.class_name);
    if (c == NULL) {
        return SL_FAIL(err, SL_EINVAL, "class \"%.*s\" not found in schema",
                       (int)SL_MIN(where.class_name.len, (size_t)255), where.class_name.ptr);
    }
    memcpy(item->uuid, obj->uuid, SL_UUID_SIZE);
    SL_TRY(sli_request_target(req, c, where.tenant, item->uuid, &item->target, &needs_auto, err));
    if (needs_auto) {
        return SL_FAIL(err, SL_EINVAL, "tenant '%.*s' is not HOT: make or activate it first",
                       SL_STR_ARG(where.tenant));
    }
    item->create_ms = obj->create_ms;
    item->update_ms = obj->update_ms;
    SL_TRY(sli_vectors_keep(req, item, obj, err));
    item->properties_at = item->data.len;
    item->properties_len = obj->properties.len;
    sl_buf_add(&item->data, obj->properties);
    return sl_buf_done(&item->data, err);
}

static sl_rc put_stored(struct sli_request *req, struct sl_db_where where,
                        const struct sl_object *objects, struct sli_item *items, uint32_t count,
                        struct sl_err *err)
{
    sli_request_lock(req);
    for (uint32_t i = 0; i < count; i++) {
        SL_TRY(take_stored(req, where, &objects[i], &items[i], err));
    }
    SL_TRY(sli_request_lock_stripes(req, items, count, err));
    SL_TRY(sli_request_store(req, items, count, SLI_MAY_EXIST, err));
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].rc != SL_OK) {
            return SL_FAIL(err, items[i].rc, "%s", items[i].error);
        }
    }
    return sli_request_commit(req, err);
}

sl_rc sl_db_put_stored(struct sl_db *db, struct sl_db_where where, struct sl_object *objects,
                       uint32_t count, bool sync, struct sl_err *err)
{
    struct sli_request req;
    struct sli_item *items = NULL;
    sl_rc rc = sli_request_init(&req, db, true, err);
    if (rc == SL_OK) {
        items = sl_alloc_zero(SL_MAX(count, 1u), sizeof *items);
        rc = items == NULL ? SL_NOMEM(err) : put_stored(&req, where, objects, items, count, err);
    }
    if (rc == SL_OK && sync) {
        rc = sli_request_finish(&req, err);
    }
    sli_request_fini(&req);
    sli_items_fini(items, count);
    sl_free(items);
    return rc;
}
