/* Writing over gRPC: objects and references of a batch, in one message or as a stream.
 *
 * Properties become the JSON that the REST API takes, so both doors have one behaviour; vectors
 * stay the bytes they are. Each object is judged alone, all of a message are stored by one commit
 * and one sync, and only then are they acknowledged. */
#include <jansson.h>

#include "api/grpc_int.h"
#include "base/num.h"
#include "contract/weaviate.pb-c.h"

typedef Weaviate__V1__BatchObject batch_object;
typedef Weaviate__V1__BatchObject__Properties batch_properties;
typedef Weaviate__V1__BatchReference batch_reference;
typedef Weaviate__V1__BatchError batch_error;
typedef Weaviate__V1__BatchStreamReply stream_reply;
typedef Weaviate__V1__BatchStreamReply__Results stream_results;

#define DEPTH_MAX 100 /* of nested properties; protobuf-c itself reads any depth */

/* ---- properties to JSON ----
 * All functions give NULL when a text is not UTF-8, something is nested too deep, or memory ran
 * out; jansson's setters pass that on, because they refuse NULL. */

static json_t *struct_json(const Weaviate__V1__Struct *s, uint32_t depth);

/* protobuf-c leaves the pointer of empty bytes NULL, which jansson refuses. */
static json_t *text_json(ProtobufCBinaryData b)
{
    return json_stringn(b.len == 0 ? "" : (const char *)b.data, b.len);
}

static json_t *value_json(const Weaviate__V1__StructValue *v, uint32_t depth)
{
    switch (v->kind_case) {
    case WEAVIATE__V1__STRUCT_VALUE__KIND_NUMBER_VALUE:
        return json_real(v->number_value);
    case WEAVIATE__V1__STRUCT_VALUE__KIND_STRING_VALUE:
        return text_json(v->string_value);
    case WEAVIATE__V1__STRUCT_VALUE__KIND_BOOL_VALUE:
        return json_boolean(v->bool_value);
    case WEAVIATE__V1__STRUCT_VALUE__KIND_STRUCT_VALUE:
        return struct_json(v->struct_value, depth + 1);
    case WEAVIATE__V1__STRUCT_VALUE__KIND_LIST_VALUE: {
        json_t *list = depth < DEPTH_MAX ? json_array() : NULL;
        for (size_t i = 0; list != NULL && i < v->list_value->n_values; i++) {
            if (json_array_append_new(list, value_json(v->list_value->values[i], depth + 1)) != 0) {
                json_decref(list);
                list = NULL;
            }
        }
        return list;
    }
    case WEAVIATE__V1__STRUCT_VALUE__KIND_NULL_VALUE:
    case WEAVIATE__V1__STRUCT_VALUE__KIND__NOT_SET:
    case _WEAVIATE__V1__STRUCT_VALUE__KIND__CASE_IS_INT_SIZE:
        return json_null();
    }
    return NULL;
}

static bool add_struct(json_t *to, const Weaviate__V1__Struct *s, uint32_t depth)
{
    for (size_t i = 0; s != NULL && i < s->n_fields; i++) {
        const Weaviate__V1__Struct__Field *f = s->fields[i];
        json_t *value = f->value == NULL ? json_null() : value_json(f->value, depth);
        const char *key = f->key.len == 0 ? "" : (const char *)f->key.data;
        if (json_object_setn_new(to, key, f->key.len, value) != 0) {
            return false;
        }
    }
    return true;
}

static json_t *struct_json(const Weaviate__V1__Struct *s, uint32_t depth)
{
    json_t *doc = depth < DEPTH_MAX ? json_object() : NULL;
    if (doc != NULL && !add_struct(doc, s, depth)) {
        json_decref(doc);
        return NULL;
    }
    return doc;
}

/* Adds under `name` a list made by calling one(item) count times. */
#define ADD_LIST(to, name, count, one)                                 \
    do {                                                               \
        json_t *list_ = json_array();                                  \
        bool is_good_ = json_object_set_new((to), (name), list_) == 0; \
        for (size_t i = 0; is_good_ && i < (count); i++) {             \
            is_good_ = json_array_append_new(list_, (one)) == 0;       \
        }                                                              \
        if (!is_good_) {                                               \
            return false;                                              \
        }                                                              \
    } while (0)

static double read_f64(const uint8_t *at)
{
    struct sl_rd rd = sl_rd_over(SL_BYTES(at, 8));
    uint64_t bits = sl_rd_u64(&rd);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static bool add_numbers(json_t *to, const Weaviate__V1__NumberArrayProperties *p)
{
    if (p->values_bytes.len > 0) {
        ADD_LIST(to, p->prop_name, p->values_bytes.len / 8,
                 json_real(read_f64(p->values_bytes.data + 8 * i)));
    } else {
        ADD_LIST(to, p->prop_name, p->n_values, json_real(p->values[i]));
    }
    return true;
}

static bool add_ints(json_t *to, const Weaviate__V1__IntArrayProperties *p)
{
    ADD_LIST(to, p->prop_name, p->n_values, json_real((double)p->values[i]));
    return true;
}

static bool add_texts(json_t *to, const Weaviate__V1__TextArrayProperties *p)
{
    ADD_LIST(to, p->prop_name, p->n_values, text_json(p->values[i]));
    return true;
}

static bool add_booleans(json_t *to, const Weaviate__V1__BooleanArrayProperties *p)
{
    ADD_LIST(to, p->prop_name, p->n_values, json_boolean(p->values[i]));
    return true;
}

static bool add_empty(json_t *to, const char *name)
{
    return json_object_set_new(to, name, json_array()) == 0;
}

static json_t *nested_json(const Weaviate__V1__ObjectPropertiesValue *v, uint32_t depth);

static bool add_object(json_t *to, const Weaviate__V1__ObjectProperties *p, uint32_t depth)
{
    return json_object_set_new(to, p->prop_name, nested_json(p->value, depth)) == 0;
}

static bool add_objects(json_t *to, const Weaviate__V1__ObjectArrayProperties *p, uint32_t depth)
{
    ADD_LIST(to, p->prop_name, p->n_values, nested_json(p->values[i], depth));
    return true;
}

/* The two messages that carry properties have these lists under the same names. */
#define ADD_TYPED(to, from, depth, is_good)                                             \
    do {                                                                                \
        for (size_t i = 0; (is_good) && i < (from)->n_number_array_properties; i++) {   \
            (is_good) = add_numbers((to), (from)->number_array_properties[i]);          \
        }                                                                               \
        for (size_t i = 0; (is_good) && i < (from)->n_int_array_properties; i++) {      \
            (is_good) = add_ints((to), (from)->int_array_properties[i]);                \
        }                                                                               \
        for (size_t i = 0; (is_good) && i < (from)->n_text_array_properties; i++) {     \
            (is_good) = add_texts((to), (from)->text_array_properties[i]);              \
        }                                                                               \
        for (size_t i = 0; (is_good) && i < (from)->n_boolean_array_properties; i++) {  \
            (is_good) = add_booleans((to), (from)->boolean_array_properties[i]);        \
        }                                                                               \
        for (size_t i = 0; (is_good) && i < (from)->n_object_properties; i++) {         \
            (is_good) = add_object((to), (from)->object_properties[i], (depth));        \
        }                                                                               \
        for (size_t i = 0; (is_good) && i < (from)->n_object_array_properties; i++) {   \
            (is_good) = add_objects((to), (from)->object_array_properties[i], (depth)); \
        }                                                                               \
        for (size_t i = 0; (is_good) && i < (from)->n_empty_list_props; i++) {          \
            (is_good) = add_empty((to), (from)->empty_list_props[i]);                   \
        }                                                                               \
    } while (0)

static json_t *nested_json(const Weaviate__V1__ObjectPropertiesValue *v, uint32_t depth)
{
    json_t *doc = depth < DEPTH_MAX ? json_object() : NULL;
    if (doc == NULL || v == NULL) {
        return doc;
    }
    bool is_good = add_struct(doc, v->non_ref_properties, depth + 1);
    ADD_TYPED(doc, v, depth + 1, is_good);
    if (!is_good) {
        json_decref(doc);
        return NULL;
    }
    return doc;
}

static json_t *beacon_json(const char *collection, const char *uuid)
{
    return json_pack("{s:s+++}", "beacon", "weaviate://localhost/", collection,
                     collection[0] == '\0' ? "" : "/", uuid);
}

static bool add_beacons(json_t *to, const char *name, const char *collection, char **uuids,
                        size_t count)
{
    json_t *list = json_object_get(to, name); /* several targets may share a property */
    if (list == NULL && json_object_set_new(to, name, list = json_array()) != 0) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(list, beacon_json(collection, uuids[i])) != 0) {
            return false;
        }
    }
    return true;
}

static json_t *properties_json(const batch_properties *p)
{
    json_t *doc = json_object();
    if (doc == NULL || p == NULL) {
        return doc;
    }
    bool is_good = add_struct(doc, p->non_ref_properties, 0);
    ADD_TYPED(doc, p, 0, is_good);
    for (size_t i = 0; is_good && i < p->n_single_target_ref_props; i++) {
        const Weaviate__V1__BatchObject__SingleTargetRefProps *r = p->single_target_ref_props[i];
        is_good = add_beacons(doc, r->prop_name, "", r->uuids, r->n_uuids);
    }
    for (size_t i = 0; is_good && i < p->n_multi_target_ref_props; i++) {
        const Weaviate__V1__BatchObject__MultiTargetRefProps *r = p->multi_target_ref_props[i];
        is_good = add_beacons(doc, r->prop_name, r->target_collection, r->uuids, r->n_uuids);
    }
    if (!is_good) {
        json_decref(doc);
        return NULL;
    }
    return doc;
}

static json_t *object_json(const batch_object *o)
{
    json_t *doc = json_pack("{s:s, s:o}", "class", o->collection, "properties",
                            properties_json(o->properties));
    bool is_good = doc != NULL;
    if (is_good && o->uuid[0] != '\0') {
        is_good = json_object_set_new(doc, "id", json_string(o->uuid)) == 0;
    }
    if (is_good && o->tenant[0] != '\0') {
        is_good = json_object_set_new(doc, "tenant", json_string(o->tenant)) == 0;
    }
    if (!is_good) {
        json_decref(doc);
        return NULL;
    }
    return doc;
}

/* ---- vectors ---- */

static struct sl_bytes bytes_of(ProtobufCBinaryData b)
{
    return SL_BYTES(b.data, b.len);
}

/* Vectors of an object in the arena; old clients send floats in place of bytes. */
static bool take_vectors(struct sli_rpc *c, const batch_object *o, struct sl_db_batch_object *ret)
{
    struct sl_db_vector *list = sl_arena_array(&c->arena, struct sl_db_vector, o->n_vectors + 1);
    uint32_t n = 0;
    if (list == NULL) {
        return false;
    }
    if (o->vector_bytes.len > 0) {
        list[n++].bytes = bytes_of(o->vector_bytes);
    } else if (o->n_vector > 0) {
        uint8_t *at = sl_arena_alloc(&c->arena, o->n_vector * 4);
        if (at == NULL) {
            return false;
        }
        for (size_t i = 0; i < o->n_vector; i++) {
            uint32_t bits;
            memcpy(&bits, &o->vector[i], sizeof(bits));
            sl_put_u32(at + 4 * i, bits);
        }
        list[n++].bytes = SL_BYTES(at, o->n_vector * 4);
    }
    for (size_t i = 0; i < o->n_vectors; i++) {
        const Weaviate__V1__Vectors *v = o->vectors[i];
        list[n++] = (struct sl_db_vector){
            .name = sl_str_from(v->name),
            .bytes = bytes_of(v->vector_bytes),
            .is_multi = v->type == WEAVIATE__V1__VECTORS__VECTOR_TYPE__VECTOR_TYPE_MULTI_FP32};
    }
    ret->vectors = list;
    ret->vector_count = n;
    return true;
}

/* ---- a batch ---- */

#define UNREADABLE "the object has a text that is not UTF-8 or is nested too deep"

/* The sentence of a refusal, in the arena; NULL: the caller may store it. */
static const char *why_not_stored(struct sli_rpc *c, struct sli_asked *last, const batch_object *o)
{
    struct sl_err err = {0};
    sl_rc rc = sli_ask_store(&c->asker, c->opts->db, last, sl_str_from(o->collection),
                             sl_str_from(o->tenant), &err);
    if (rc == SL_OK) {
        return NULL;
    }
    struct sl_str kept = sl_arena_str(&c->arena, sl_str_from(sl_err_text(&err, rc)));
    return kept.ptr == NULL ? sl_rc_text(rc) : kept.ptr;
}

/* Stores objects; errors[i] is NULL, or what object i got wrong, in the arena. */
static sl_rc store(struct sli_rpc *c, batch_object **objects, size_t count,
                   const char ***ret_errors, struct sl_err *err)
{
    struct sl_db_batch_object *list = sl_arena_array(&c->arena, struct sl_db_batch_object, count);
    const char **errors = sl_arena_array(&c->arena, const char *, count);
    struct sli_asked last = {0};
    sl_rc rc = list == NULL || errors == NULL ? SL_NOMEM(err) : SL_OK;
    for (size_t i = 0; rc == SL_OK && i < count; i++) {
        list[i].object = object_json(objects[i]);
        errors[i] = list[i].object == NULL ? UNREADABLE : NULL;
        if (errors[i] == NULL) {
            errors[i] = why_not_stored(c, &last, objects[i]);
        }
        rc = take_vectors(c, objects[i], &list[i]) ? SL_OK : SL_NOMEM(err);
    }
    if (rc == SL_OK) {
        rc = sl_db_batch_store(c->opts->db, list, (uint32_t)count, &c->arena, errors, err);
    }
    for (size_t i = 0; list != NULL && i < count; i++) {
        json_decref(list[i].object);
    }
    *ret_errors = errors;
    return rc;
}

/* The entries whose error is not NULL, as a reply lists them. */
static sl_rc list_errors(struct sli_rpc *c, const char **errors, size_t count, batch_error ***ret,
                         size_t *ret_count, struct sl_err *err)
{
    batch_error *told = sl_arena_array(&c->arena, batch_error, count + 1);
    batch_error **list = sl_arena_array(&c->arena, batch_error *, count + 1);
    size_t n = 0;
    if (told == NULL || list == NULL) {
        return SL_NOMEM(err);
    }
    for (size_t i = 0; i < count; i++) {
        if (errors[i] != NULL) {
            weaviate__v1__batch_error__init(&told[n]);
            told[n].index = (int32_t)i;
            told[n].error = (char *)(uintptr_t)errors[i];
            list[n] = &told[n];
            n++;
        }
    }
    *ret = list;
    *ret_count = n;
    return SL_OK;
}

sl_rc sli_rpc_batch_objects(struct sli_rpc *c, struct sl_err *err)
{
    Weaviate__V1__BatchObjectsRequest *request = NULL;
    Weaviate__V1__BatchObjectsReply reply = WEAVIATE__V1__BATCH_OBJECTS_REPLY__INIT;
    const char **errors = NULL;
    SL_TRY(sli_rpc_read(c, &weaviate__v1__batch_objects_request__descriptor, &request, err));
    size_t count = request->n_objects;
    SL_TRY(store(c, request->objects, count, &errors, err));
    SL_TRY(list_errors(c, errors, count, &reply.errors, &reply.n_errors, err));
    reply.took = sli_rpc_took(c);
    return sli_rpc_reply(c, &reply.base, err);
}

/* ---- references ---- */

static json_t *reference_json(const batch_reference *r)
{
    json_t *doc =
        json_pack("{s:s+++++, s:s+++}", "from", "weaviate://localhost/", r->from_collection, "/",
                  r->from_uuid, "/", r->name, "to", "weaviate://localhost/", r->to_collection,
                  r->to_collection[0] == '\0' ? "" : "/", r->to_uuid);
    if (doc != NULL && r->tenant[0] != '\0' &&
        json_object_set_new(doc, "tenant", json_string(r->tenant)) != 0) {
        json_decref(doc);
        return NULL;
    }
    return doc;
}

static const char *first_error(json_t *result)
{
    json_t *list =
        json_object_get(json_object_get(json_object_get(result, "result"), "errors"), "error");
    return json_string_value(json_object_get(json_array_get(list, 0), "message"));
}

/* The REST call's reply has one entry for each reference that was sent, in order: those whose slot
 * of errors was empty. */
static sl_rc read_results(struct sli_rpc *c, const struct sl_buf *text, const char **errors,
                          size_t count, struct sl_err *err)
{
    json_t *results = json_loadb((const char *)text->ptr, text->len, 0, NULL);
    size_t n = 0;
    sl_rc rc = SL_OK;
    for (size_t i = 0; rc == SL_OK && i < count; i++) {
        if (errors[i] == NULL) {
            json_t *result = json_array_get(results, n++);
            const char *said = first_error(result);
            errors[i] = said == NULL ? NULL : sl_arena_str(&c->arena, sl_str_from(said)).ptr;
            rc = result == NULL
                     ? SL_FAIL(err, SL_EINTERNAL, "the replies do not match the references")
                 : said != NULL && errors[i] == NULL ? SL_NOMEM(err)
                                                     : SL_OK;
        }
    }
    json_decref(results);
    return rc;
}

/* The sentence of a refusal, in the arena; NULL: the caller may write the reference. */
static const char *why_not_linked(struct sli_rpc *c, struct sli_asked *last,
                                  const batch_reference *r)
{
    struct sl_err err = {0};
    sl_rc rc = sli_ask_update(&c->asker, last, sl_str_from(r->from_collection),
                              sl_str_from(r->tenant), &err);
    if (rc == SL_OK) {
        return NULL;
    }
    struct sl_str kept = sl_arena_str(&c->arena, sl_str_from(sl_err_text(&err, rc)));
    return kept.ptr == NULL ? sl_rc_text(rc) : kept.ptr;
}

static sl_rc link_all(struct sli_rpc *c, batch_reference **references, size_t count,
                      const char ***ret_errors, struct sl_err *err)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    const char **errors = sl_arena_array(&c->arena, const char *, count + 1);
    json_t *body = json_array();
    struct sli_asked last = {0};
    sl_rc rc = errors == NULL || body == NULL ? SL_NOMEM(err) : SL_OK;
    for (size_t i = 0; rc == SL_OK && i < count; i++) {
        errors[i] = why_not_linked(c, &last, references[i]);
        if (errors[i] == NULL && json_array_append_new(body, reference_json(references[i])) != 0) {
            rc = SL_FAIL(err, SL_EBADREQ, "reference %zu has a text that is not UTF-8", i);
        }
    }
    if (rc == SL_OK && json_array_size(body) > 0) {
        rc = sl_db_batch_references(c->opts->db, body, &out, err);
        if (rc == SL_OK) {
            rc = read_results(c, &out, errors, count, err);
        }
    }
    json_decref(body);
    *ret_errors = errors;
    return rc;
}

sl_rc sli_rpc_batch_references(struct sli_rpc *c, struct sl_err *err)
{
    Weaviate__V1__BatchReferencesRequest *request = NULL;
    Weaviate__V1__BatchReferencesReply reply = WEAVIATE__V1__BATCH_REFERENCES_REPLY__INIT;
    const char **errors = NULL;
    SL_TRY(sli_rpc_read(c, &weaviate__v1__batch_references_request__descriptor, &request, err));
    size_t count = request->n_references;
    SL_TRY(link_all(c, request->references, count, &errors, err));
    SL_TRY(list_errors(c, errors, count, &reply.errors, &reply.n_errors, err));
    reply.took = sli_rpc_took(c);
    return sli_rpc_reply(c, &reply.base, err);
}

/* ---- the stream ----
 * start -> started; data -> acks, results; stop or the end of the client's messages -> the end.
 * Acks say that a message was taken in; results are sent when it is durable. Both go out together
 * here, since the next message is read only afterwards. */

struct outcome { /* of the objects and references of one message */
    stream_results results;
    Weaviate__V1__BatchStreamReply__Acks acks;
};

static char *beacon_text(struct sli_rpc *c, const batch_reference *r)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_buf_addf(&text, "weaviate://localhost/%s/%s/%s", r->from_collection, r->from_uuid, r->name);
    struct sl_str kept = sl_arena_str(&c->arena, sl_buf_str(&text));
    return (char *)(uintptr_t)kept.ptr;
}

static sl_rc outcome_init(struct sli_rpc *c, struct outcome *o, size_t count, struct sl_err *err)
{
    weaviate__v1__batch_stream_reply__results__init(&o->results);
    weaviate__v1__batch_stream_reply__acks__init(&o->acks);
    o->results.errors =
        sl_arena_array(&c->arena, Weaviate__V1__BatchStreamReply__Results__Error *, count + 1);
    o->results.successes =
        sl_arena_array(&c->arena, Weaviate__V1__BatchStreamReply__Results__Success *, count + 1);
    o->acks.uuids = sl_arena_array(&c->arena, char *, count + 1);
    o->acks.beacons = sl_arena_array(&c->arena, char *, count + 1);
    bool is_good = o->results.errors != NULL && o->results.successes != NULL &&
                   o->acks.uuids != NULL && o->acks.beacons != NULL;
    return is_good ? SL_OK : SL_NOMEM(err);
}

/* Notes how one thing ended; uuid of an object, or beacon of a reference. */
static sl_rc note(struct sli_rpc *c, struct outcome *o, char *uuid, char *beacon, const char *error,
                  struct sl_err *err)
{
    Weaviate__V1__BatchStreamReply__Results__Error *e = sl_arena_alloc(&c->arena, sizeof(*e));
    Weaviate__V1__BatchStreamReply__Results__Success *s = sl_arena_alloc(&c->arena, sizeof(*s));
    if (e == NULL || s == NULL || (uuid == NULL && beacon == NULL)) {
        return SL_NOMEM(err);
    }
    weaviate__v1__batch_stream_reply__results__error__init(e);
    weaviate__v1__batch_stream_reply__results__success__init(s);
    if (uuid != NULL) {
        o->acks.uuids[o->acks.n_uuids++] = uuid;
        e->detail_case = WEAVIATE__V1__BATCH_STREAM_REPLY__RESULTS__ERROR__DETAIL_UUID;
        s->detail_case = WEAVIATE__V1__BATCH_STREAM_REPLY__RESULTS__SUCCESS__DETAIL_UUID;
        e->uuid = s->uuid = uuid;
    } else {
        o->acks.beacons[o->acks.n_beacons++] = beacon;
        e->detail_case = WEAVIATE__V1__BATCH_STREAM_REPLY__RESULTS__ERROR__DETAIL_BEACON;
        s->detail_case = WEAVIATE__V1__BATCH_STREAM_REPLY__RESULTS__SUCCESS__DETAIL_BEACON;
        e->beacon = s->beacon = beacon;
    }
    if (error != NULL) {
        e->error = (char *)(uintptr_t)error;
        o->results.errors[o->results.n_errors++] = e;
    } else {
        o->results.successes[o->results.n_successes++] = s;
    }
    return SL_OK;
}

static sl_rc reply_outcome(struct sli_rpc *c, struct outcome *o, struct sl_err *err)
{
    stream_reply acks = WEAVIATE__V1__BATCH_STREAM_REPLY__INIT;
    acks.message_case = WEAVIATE__V1__BATCH_STREAM_REPLY__MESSAGE_ACKS;
    acks.acks = &o->acks;
    SL_TRY(sli_rpc_reply(c, &acks.base, err));
    stream_reply results = WEAVIATE__V1__BATCH_STREAM_REPLY__INIT;
    results.message_case = WEAVIATE__V1__BATCH_STREAM_REPLY__MESSAGE_RESULTS;
    results.results = &o->results;
    return sli_rpc_reply(c, &results.base, err);
}

static sl_rc take_data(struct sli_rpc *c, const Weaviate__V1__BatchStreamRequest__Data *data,
                       struct sl_err *err)
{
    batch_object **objects = data->objects == NULL ? NULL : data->objects->values;
    batch_reference **references = data->references == NULL ? NULL : data->references->values;
    size_t object_count = objects == NULL ? 0 : data->objects->n_values;
    size_t reference_count = references == NULL ? 0 : data->references->n_values;
    struct outcome o;
    const char **errors = NULL;
    SL_TRY(outcome_init(c, &o, object_count + reference_count, err));
    SL_TRY(store(c, objects, object_count, &errors, err));
    for (size_t i = 0; i < object_count; i++) {
        SL_TRY(note(c, &o, objects[i]->uuid, NULL, errors[i], err));
    }
    SL_TRY(link_all(c, references, reference_count, &errors, err));
    for (size_t i = 0; i < reference_count; i++) {
        SL_TRY(note(c, &o, NULL, beacon_text(c, references[i]), errors[i], err));
    }
    return reply_outcome(c, &o, err);
}

static sl_rc take_start(struct sli_rpc *c, struct sl_err *err)
{
    Weaviate__V1__BatchStreamReply__Started started =
        WEAVIATE__V1__BATCH_STREAM_REPLY__STARTED__INIT;
    stream_reply reply = WEAVIATE__V1__BATCH_STREAM_REPLY__INIT;
    reply.message_case = WEAVIATE__V1__BATCH_STREAM_REPLY__MESSAGE_STARTED;
    reply.started = &started;
    c->is_started = true;
    return sli_rpc_reply(c, &reply.base, err);
}

void sli_rpc_shutting_down(struct sl_buf *out)
{
    Weaviate__V1__BatchStreamReply__ShuttingDown notice =
        WEAVIATE__V1__BATCH_STREAM_REPLY__SHUTTING_DOWN__INIT;
    stream_reply reply = WEAVIATE__V1__BATCH_STREAM_REPLY__INIT;
    uint8_t packed[16]; /* of an empty message in another one */
    reply.message_case = WEAVIATE__V1__BATCH_STREAM_REPLY__MESSAGE_SHUTTING_DOWN;
    reply.shutting_down = &notice;
    sl_assert(protobuf_c_message_get_packed_size(&reply.base) <= sizeof(packed));
    sl_buf_add(out, SL_BYTES(packed, protobuf_c_message_pack(&reply.base, packed)));
}

sl_rc sli_rpc_batch_stream(struct sli_rpc *c, struct sl_err *err)
{
    Weaviate__V1__BatchStreamRequest *request = NULL;
    if (c->is_end) {
        return SL_OK;
    }
    SL_TRY(sli_rpc_read(c, &weaviate__v1__batch_stream_request__descriptor, &request, err));
    bool is_start = request->message_case == WEAVIATE__V1__BATCH_STREAM_REQUEST__MESSAGE_START;
    if (!c->is_started && !is_start) {
        return SL_FAIL(err, SL_EINVAL, "first message must be a start message");
    }
    switch (request->message_case) {
    case WEAVIATE__V1__BATCH_STREAM_REQUEST__MESSAGE_START:
        return take_start(c, err);
    case WEAVIATE__V1__BATCH_STREAM_REQUEST__MESSAGE_DATA:
        return take_data(c, request->data, err);
    case WEAVIATE__V1__BATCH_STREAM_REQUEST__MESSAGE_STOP:
        c->is_finished = true;
        return SL_OK;
    case WEAVIATE__V1__BATCH_STREAM_REQUEST__MESSAGE__NOT_SET:
    case _WEAVIATE__V1__BATCH_STREAM_REQUEST__MESSAGE__CASE_IS_INT_SIZE:
        return SL_FAIL(err, SL_EINVAL, "a message of a stream must be start, data or stop");
    }
    return SL_FAIL(err, SL_EINTERNAL, "an unknown message");
}
