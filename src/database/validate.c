/* From a request's objects to items ready to store: class, id, shard, properties, vectors.
 *
 * All objects of a request are prepared under one shared schema lock, so one schema is true for all
 * of them. When a class, a property or a tenant is missing and may be made, the lock is dropped, it
 * is made, and everything is prepared again from the start: descriptors may have been replaced.
 * Once only: what is missing then is refused. Called by object.c and batch.c. */
#include "database/object_int.h"

struct sli_input sli_input_of(json_t *object)
{
    struct sli_input in = {.object = object};
    static const char *const names[] = {"class", "tenant", "id"};
    struct sl_str *const fields[] = {&in.class_name, &in.tenant, &in.id};
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        json_t *v = json_object_get(object, names[i]);
        if (json_is_string(v)) {
            *fields[i] = (struct sl_str){json_string_value(v), json_string_length(v)};
        }
    }
    return in;
}

sl_rc sli_uuid_check(struct sl_str text, const char *where, uint8_t ret_uuid[SL_UUID_SIZE],
                     struct sl_err *err)
{
    if (!sl_uuid_parse(text, ret_uuid)) {
        sl_rc rc = SL_FAIL(err, SL_EINVAL, "id in %s must be of type uuid: \"%.*s\"", where,
                           (int)SL_MIN(text.len, (size_t)200), text.ptr);
        err->sys_errno = SL_DB_SWAGGER_TYPE;
        return rc;
    }
    return SL_OK;
}

static sl_rc check_shape(json_t *object, struct sl_err *err)
{
    static const char *const texts[] = {"class", "tenant", "id"};
    if (!json_is_object(object)) {
        return SL_FAIL(err, SL_EINVAL, "an object must be a JSON object, not %s",
                       object == NULL ? "absent" : sli_go_type(object));
    }
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        json_t *v = json_object_get(object, texts[i]);
        if (v != NULL && !json_is_null(v) && !json_is_string(v)) {
            return SL_FAIL(err, SL_EINVAL, "%s must be a string, not %s", texts[i], sli_go_type(v));
        }
    }
    return SL_OK;
}

static sl_rc route(struct sli_request *req, const struct sli_input *in, struct sli_class *c,
                   struct sli_item *item, struct sl_err *err)
{
    if (in->id.len > 0) {
        SL_TRY(sli_uuid_check(in->id, "body", item->uuid, err));
    } else {
        SL_TRY(sl_uuid_random(item->uuid, err));
    }
    return sli_request_target(req, c, in->tenant, item->uuid, &item->target, &item->needs_tenant,
                              err);
}

static sl_rc validate(struct sli_request *req, const struct sli_input *in, struct sli_class *c,
                      struct sli_item *item, struct sl_err *err)
{
    SL_TRY(sli_vectors_write(req, item, c, in, err));
    struct sli_values ctx = {.req = req, .class = c, .tenant = in->tenant};
    item->properties_at = item->data.len;
    sl_rc rc =
        sli_properties_write(&ctx, json_object_get(in->object, "properties"), &item->data, err);
    item->properties_len = item->data.len - item->properties_at;
    item->needs_schema = ctx.needs_schema;
    return rc;
}

static sl_rc prepare(struct sli_request *req, const struct sli_input *in, struct sli_item *item,
                     struct sl_err *err)
{
    struct sl_err cause = {0};
    item->create_ms = item->update_ms = req->now_ms;
    enum sli_stage stage = SLI_AT_VALIDATE;
    struct sli_class *c = NULL;
    sl_rc rc = check_shape(in->object, &cause);
    if (rc == SL_OK && in->class_name.len == 0) {
        rc = SL_FAIL(&cause, SL_EINVAL, "the given class is empty");
    }
    if (rc == SL_OK) {
        c = sli_request_class(req, in->class_name);
        item->needs_schema = c == NULL;
        if (c == NULL) {
            rc = SL_FAIL(&cause, SL_EINVAL, "class \"%.*s\" not found in schema",
                         (int)SL_MIN(in->class_name.len, (size_t)255), in->class_name.ptr);
        }
    }
    if (rc == SL_OK) {
        stage = SLI_AT_ROUTE;
        rc = route(req, in, c, item, &cause);
    }
    if (rc == SL_OK) {
        stage = SLI_AT_VALIDATE;
        rc = validate(req, in, c, item, &cause);
    }
    return rc == SL_OK ? SL_OK : sli_item_refuse(req, item, stage, rc, &cause, err);
}

static sl_rc prepare_all(struct sli_request *req, const struct sli_input *inputs,
                         struct sli_item *items, uint32_t count, bool *ret_needs_more,
                         struct sl_err *err)
{
    *ret_needs_more = false;
    sli_request_lock(req);
    for (uint32_t i = 0; i < count; i++) {
        SL_TRY(prepare(req, &inputs[i], &items[i], err));
        bool is_made = items[i].needs_schema && req->db->opts.is_auto_schema;
        *ret_needs_more |= is_made || items[i].needs_tenant;
    }
    return SL_OK;
}

/* Makes the classes and properties that were missing; each object for itself when they do not go
 * together, so that one bad object does not keep the others from theirs. */
static sl_rc make_schema(struct sli_request *req, const struct sli_input *inputs,
                         struct sli_item *items, uint32_t count, struct sl_err *err)
{
    struct sli_input *missing = sl_arena_array(&req->arena, struct sli_input, count);
    if (missing == NULL) {
        return SL_NOMEM(err);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].needs_schema) {
            missing[n++] = inputs[i];
        }
    }
    struct sl_err cause = {0};
    if (n == 0 || sli_auto_schema(req->db, missing, n, &cause) == SL_OK) {
        return SL_OK;
    }
    for (uint32_t i = 0; i < count; i++) {
        sl_rc rc = items[i].needs_schema ? sli_auto_schema(req->db, &inputs[i], 1, &cause) : SL_OK;
        if (rc != SL_OK) {
            SL_TRY(sli_item_refuse(req, &items[i], SLI_AT_VALIDATE, rc, &cause, err));
        }
    }
    return SL_OK;
}

static sl_rc make_tenants(struct sli_request *req, const struct sli_input *inputs,
                          struct sli_item *items, uint32_t count, struct sl_err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!items[i].needs_tenant) {
            continue;
        }
        struct sl_err cause = {0};
        sl_rc rc = sli_tenant_auto(req->db, inputs[i].class_name, inputs[i].tenant, &cause);
        if (rc != SL_OK) {
            SL_TRY(sli_item_refuse(req, &items[i], SLI_AT_ROUTE, rc, &cause, err));
        }
    }
    return SL_OK;
}

/* Makes what was missing and prepares all again. An item that is still refused keeps the sentence
 * of what could not be made for it: that is the cause, the rest follows from it. */
static sl_rc make_and_repeat(struct sli_request *req, const struct sli_input *inputs,
                             struct sli_item *items, uint32_t count, struct sl_err *err)
{
    bool needs_more = false;
    struct sli_item *first = sl_arena_array(&req->arena, struct sli_item, count);
    if (first == NULL) {
        return SL_NOMEM(err);
    }
    sli_request_unlock(req);
    for (uint32_t i = 0; i < count; i++) {
        first[i].needs_schema = items[i].needs_schema && req->db->opts.is_auto_schema;
        first[i].needs_tenant = items[i].needs_tenant;
    }
    SL_TRY(make_schema(req, inputs, first, count, err));
    SL_TRY(make_tenants(req, inputs, first, count, err));
    sli_items_fini(items, count);
    memset(items, 0, count * sizeof *items);
    SL_TRY(prepare_all(req, inputs, items, count, &needs_more, err));
    for (uint32_t i = 0; i < count; i++) {
        if (first[i].rc != SL_OK && (items[i].rc != SL_OK || items[i].target == NULL)) {
            items[i].rc = first[i].rc;
            items[i].stage = first[i].stage;
            items[i].error = first[i].error;
        }
    }
    return SL_OK;
}

/* A tenant that is still missing after it was made: somebody deleted it meanwhile. */
static sl_rc refuse_homeless(struct sli_request *req, struct sli_item *items, uint32_t count,
                             struct sl_err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].rc == SL_OK && items[i].target == NULL) {
            struct sl_err cause = {0};
            sl_rc rc =
                SL_FAIL(&cause, SL_EINVAL, "the tenant changed during the request; try again");
            SL_TRY(sli_item_refuse(req, &items[i], SLI_AT_ROUTE, rc, &cause, err));
        }
    }
    return SL_OK;
}

sl_rc sli_items_prepare(struct sli_request *req, const struct sli_input *inputs,
                        struct sli_item *items, uint32_t count, struct sl_err *err)
{
    bool needs_more = false;
    SL_TRY(prepare_all(req, inputs, items, count, &needs_more, err));
    if (needs_more) {
        SL_TRY(make_and_repeat(req, inputs, items, count, err));
    }
    return refuse_homeless(req, items, count, err);
}
