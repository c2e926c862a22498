/* Reading, counting and removing over gRPC, without an index: by id, by cursor, by filter.
 *
 * A page is built while the database walks; references it asks for are looked up afterwards, one by
 * one, because the walk holds the schema lock. A reply is bounded: whoever asks for more is told to
 * ask for less. */
#include <jansson.h>

#include "api/grpc_int.h"
#include "base/str.h"
#include "contract/weaviate.pb-c.h"

#define REFERENCE_DEPTH_MAX 8 /* references of references */
#define BEACON              "weaviate://localhost/"

typedef Weaviate__V1__SearchRequest search_request;
typedef Weaviate__V1__PropertiesRequest properties_request;
typedef Weaviate__V1__PropertiesResult properties_result;
typedef Weaviate__V1__RefPropertiesRequest reference_request;
typedef Weaviate__V1__RefPropertiesResult reference_result;
typedef Weaviate__V1__MetadataRequest metadata_request;
typedef Weaviate__V1__MetadataResult metadata_result;

/* An object that a reference points to, to be looked up after the walk. */
struct target {
    const reference_request *request;
    properties_result *slot; /* filled in place */
    struct sl_str class_name, uuid;
    uint32_t depth;
    struct target *next;
};

struct page {
    struct sli_rpc *c;
    const properties_request *names;
    const metadata_request *metadata;
    Weaviate__V1__SearchResult **results;
    size_t count, cap;
    uint64_t bytes, bytes_max; /* about, of the reply */
    struct target *targets;    /* yet to be looked up */
    uint32_t depth;
};

/* ---- metadata ---- */

static ProtobufCBinaryData copy_bytes(struct sl_arena *arena, struct sl_bytes b)
{
    uint8_t *at = b.len == 0 ? NULL : sl_arena_alloc(arena, b.len);
    if (at == NULL) {
        return (ProtobufCBinaryData){0, NULL};
    }
    memcpy(at, b.ptr, b.len);
    return (ProtobufCBinaryData){b.len, at};
}

static bool is_vector_wanted(const metadata_request *m, struct sl_str name)
{
    for (size_t i = 0; i < m->n_vectors; i++) {
        if (sl_str_is(name, m->vectors[i])) {
            return true;
        }
    }
    return m->vector;
}

static bool add_vector(struct sl_arena *arena, metadata_result *out, struct sl_str name,
                       ProtobufCBinaryData bytes, bool is_multi)
{
    Weaviate__V1__Vectors *v = sl_arena_alloc(arena, sizeof(*v));
    if (v == NULL || bytes.data == NULL) {
        return false;
    }
    weaviate__v1__vectors__init(v);
    v->name = (char *)(uintptr_t)sl_arena_str(arena, name).ptr;
    v->vector_bytes = bytes;
    v->type = is_multi ? WEAVIATE__V1__VECTORS__VECTOR_TYPE__VECTOR_TYPE_MULTI_FP32
                       : WEAVIATE__V1__VECTORS__VECTOR_TYPE__VECTOR_TYPE_SINGLE_FP32;
    out->vectors[out->n_vectors++] = v;
    return v->name != NULL;
}

/* Stored rows carry their dimensions each; on the wire they stand once, in front. */
static ProtobufCBinaryData pack_rows(struct sl_arena *arena, const struct sl_multi_vector *m,
                                     struct sl_err *err)
{
    SL_AUTO(sl_buf) scratch = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_rd rd = sl_rd_over(m->body);
    for (uint32_t i = 0; i < m->row_count; i++) {
        struct sl_bytes row = {0};
        if (sl_multi_vector_row(m, &rd, &scratch, &row, err) != SL_OK) {
            return (ProtobufCBinaryData){0, NULL};
        }
        if (i == 0) {
            sl_buf_add_u16(&out, (uint16_t)(row.len / 4));
        }
        sl_buf_add(&out, row);
    }
    return copy_bytes(arena, sl_buf_view(&out));
}

static bool add_vectors(struct sl_arena *arena, const metadata_request *m,
                        const struct sl_object *o, metadata_result *out, struct sl_err *err)
{
    size_t most = (size_t)o->named_count + o->multi_count;
    out->vectors = sl_arena_array(arena, Weaviate__V1__Vectors *, most + 1);
    bool is_good = out->vectors != NULL;
    if (m->vector && o->vector.len > 0) {
        out->vector_bytes = copy_bytes(arena, o->vector);
        is_good = is_good && out->vector_bytes.data != NULL;
    }
    for (uint32_t i = 0; is_good && i < o->named_count; i++) {
        const struct sl_named_vector *v = &o->named[i];
        if (v->floats.len > 0 && is_vector_wanted(m, v->name)) {
            is_good = add_vector(arena, out, v->name, copy_bytes(arena, v->floats), false);
        }
    }
    for (uint32_t i = 0; is_good && i < o->multi_count; i++) {
        const struct sl_multi_vector *v = &o->multi[i];
        if (v->row_count > 0 && is_vector_wanted(m, v->name)) {
            is_good = add_vector(arena, out, v->name, pack_rows(arena, v, err), true);
        }
    }
    return is_good;
}

static metadata_result *make_metadata(struct sl_arena *arena, const metadata_request *m,
                                      const struct sl_object *o, struct sl_err *err)
{
    metadata_result *out = sl_arena_alloc(arena, sizeof(*out));
    char *text = sl_arena_alloc(arena, SL_UUID_TEXT_SIZE + 1);
    if (out == NULL || text == NULL) {
        return NULL;
    }
    weaviate__v1__metadata_result__init(out);
    if (m == NULL) {
        return out;
    }
    if (m->uuid) {
        sl_uuid_format(o->uuid, text);
        out->id = text;
        out->id_as_bytes = copy_bytes(arena, SL_BYTES(o->uuid, SL_UUID_SIZE));
    }
    if (m->creation_time_unix) {
        out->creation_time_unix = o->create_ms;
        out->creation_time_unix_present = true;
    }
    if (m->last_update_time_unix) {
        out->last_update_time_unix = o->update_ms;
        out->last_update_time_unix_present = true;
    }
    return add_vectors(arena, m, o, out, err) ? out : NULL;
}

/* ---- references ---- */

static bool add_target(struct page *p, const reference_request *request, const char *beacon,
                       reference_result *out)
{
    struct sl_arena *arena = &p->c->arena;
    struct target *t = sl_arena_alloc(arena, sizeof(*t));
    properties_result *slot = sl_arena_alloc(arena, sizeof(*slot));
    if (t == NULL || slot == NULL) {
        return false;
    }
    weaviate__v1__properties_result__init(slot);
    struct sl_str rest = sl_str_from(beacon);
    if (sl_str_starts(rest, BEACON)) {
        rest = (struct sl_str){rest.ptr + strlen(BEACON), rest.len - strlen(BEACON)};
    }
    const char *slash = rest.len == 0 ? NULL : memchr(rest.ptr, '/', rest.len);
    size_t class_len = slash == NULL ? 0 : (size_t)(slash - rest.ptr);
    size_t skip = slash == NULL ? 0 : class_len + 1;
    *t = (struct target){
        .request = request,
        .slot = slot,
        .class_name = class_len > 0 ? sl_arena_str(arena, (struct sl_str){rest.ptr, class_len})
                                    : sl_str_from(request->target_collection),
        .uuid = sl_arena_str(arena, (struct sl_str){rest.ptr + skip, rest.len - skip}),
        .depth = p->depth + 1,
        .next = p->targets,
    };
    p->targets = t;
    out->properties[out->n_properties++] = slot;
    return t->class_name.ptr != NULL && t->uuid.ptr != NULL;
}

/* Slots for the objects that one reference property points to. */
static reference_result *make_reference(struct page *p, const reference_request *request,
                                        json_t *list)
{
    struct sl_arena *arena = &p->c->arena;
    reference_result *out = sl_arena_alloc(arena, sizeof(*out));
    if (out == NULL) {
        return NULL;
    }
    weaviate__v1__ref_properties_result__init(out);
    out->prop_name = request->reference_property;
    out->properties = sl_arena_array(arena, properties_result *, json_array_size(list) + 1);
    for (size_t i = 0; out->properties != NULL && i < json_array_size(list); i++) {
        json_t *beacon = json_object_get(json_array_get(list, i), "beacon");
        if (json_is_string(beacon) && !add_target(p, request, json_string_value(beacon), out)) {
            return NULL;
        }
    }
    return out->properties == NULL ? NULL : out;
}

static sl_rc add_references(struct page *p, const struct sl_db_found *found,
                            const properties_request *names, properties_result *out,
                            struct sl_err *err)
{
    if (names == NULL || names->n_ref_properties == 0) {
        return SL_OK;
    }
    if (p->depth == REFERENCE_DEPTH_MAX) {
        return SL_FAIL(err, SL_EINVAL, "references are followed at most %d deep",
                       REFERENCE_DEPTH_MAX);
    }
    struct sl_bytes stored = found->object->properties;
    json_t *doc = json_loadb((const char *)stored.ptr, stored.len, JSON_DECODE_ANY, NULL);
    out->ref_props_requested = true;
    out->ref_props = sl_arena_array(&p->c->arena, reference_result *, names->n_ref_properties + 1);
    sl_rc rc = out->ref_props == NULL ? SL_NOMEM(err) : SL_OK;
    for (size_t i = 0; rc == SL_OK && i < names->n_ref_properties; i++) {
        const reference_request *request = names->ref_properties[i];
        json_t *list = json_object_get(doc, request->reference_property);
        if (json_array_size(list) > 0) {
            reference_result *r = make_reference(p, request, list);
            rc = r == NULL ? SL_NOMEM(err) : SL_OK;
            out->ref_props[out->n_ref_props++] = r;
        }
    }
    json_decref(doc);
    return rc;
}

/* ---- a page ---- */

static sl_rc count_bytes(struct page *p, const struct sl_object *o, struct sl_err *err)
{
    p->bytes += o->properties.len + o->vector.len + 128;
    for (uint32_t i = 0; i < o->named_count; i++) {
        p->bytes += o->named[i].floats.len;
    }
    for (uint32_t i = 0; i < o->multi_count; i++) {
        p->bytes += o->multi[i].body.len;
    }
    return p->bytes <= p->bytes_max
               ? SL_OK
               : SL_FAIL(err, SL_ETOOBIG,
                         "the reply would be larger than %llu bytes; ask for fewer objects at a "
                         "time (limit)",
                         (unsigned long long)p->bytes_max);
}

static bool make_room(struct page *p)
{
    if (p->count < p->cap) {
        return true;
    }
    size_t cap = SL_MAX(p->cap * 2, (size_t)64);
    Weaviate__V1__SearchResult **grown =
        sl_arena_array(&p->c->arena, Weaviate__V1__SearchResult *, cap);
    if (grown == NULL) {
        return false;
    }
    if (p->count > 0) {
        memcpy(grown, p->results, p->count * sizeof(*grown));
    }
    p->results = grown;
    p->cap = cap;
    return true;
}

static sl_rc add_result(void *arg, const struct sl_db_found *found, struct sl_err *err)
{
    struct page *p = arg;
    struct sl_arena *arena = &p->c->arena;
    Weaviate__V1__SearchResult *r = sl_arena_alloc(arena, sizeof(*r));
    properties_result *props = sl_arena_alloc(arena, sizeof(*props));
    if (r == NULL || props == NULL || !make_room(p)) {
        return SL_NOMEM(err);
    }
    SL_TRY(count_bytes(p, found->object, err));
    weaviate__v1__search_result__init(r);
    weaviate__v1__properties_result__init(props);
    r->properties = props;
    r->metadata = make_metadata(arena, p->metadata, found->object, err);
    if (r->metadata == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sli_rpc_properties(arena, found, p->names, props, err));
    SL_TRY(add_references(p, found, p->names, props, err));
    p->results[p->count++] = r;
    return SL_OK;
}

struct lookup {
    struct page *page;
    const struct target *target;
};

static sl_rc fill_target(void *arg, const struct sl_db_found *found, struct sl_err *err)
{
    struct lookup *l = arg;
    struct page *p = l->page;
    const reference_request *request = l->target->request;
    SL_TRY(count_bytes(p, found->object, err));
    p->depth = l->target->depth;
    l->target->slot->metadata = make_metadata(&p->c->arena, request->metadata, found->object, err);
    if (l->target->slot->metadata == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sli_rpc_properties(&p->c->arena, found, request->properties, l->target->slot, err));
    return add_references(p, found, request->properties, l->target->slot, err);
}

/* Looks up what references point to, and what those point to. A target that is not there, or whose
 * class is not, stays an empty slot. */
static sl_rc follow(struct page *p, struct sl_str tenant, struct sl_err *err)
{
    while (p->targets != NULL) {
        struct target *t = p->targets;
        p->targets = t->next;
        struct lookup l = {p, t};
        struct sl_db_value id = {.kind = SL_DB_VALUE_TEXT, .text = t->uuid};
        struct sl_db_filter filter = {
            .op = SL_DB_EQUAL, .property = SL_STR("_id"), .values = &id, .value_count = 1};
        struct sl_db_query query = {
            .where = {t->class_name, tenant}, .filter = &filter, .limit = 1};
        struct sl_resource what = {SL_ON_DATA, {t->class_name, tenant}};
        struct sl_err why = {0};
        if (!sli_may(&p->c->asker, SL_READ, &what)) {
            continue; /* as one that is not there */
        }
        sl_rc rc = sl_db_search(p->c->opts->db, &query, fill_target, &l, &why);
        if (rc == SL_EINVAL && tenant.len > 0) { /* the target's collection has no tenants */
            query.where.tenant = SL_STR("");
            rc = sl_db_search(p->c->opts->db, &query, fill_target, &l, &why);
        }
        if (rc != SL_OK && rc != SL_EINVAL) {
            return SL_FAIL(err, rc, "%s", sl_err_text(&why, rc));
        }
    }
    return SL_OK;
}

/* ---- Search ---- */

static sl_rc check_search(const search_request *r, struct sl_err *err)
{
    bool is_search =
        r->has_hybrid_case != 0 || r->has_bm25_case != 0 || r->has_near_vector_case != 0 ||
        r->has_near_object_case != 0 || r->has_near_text_case != 0 || r->has_near_image_case != 0 ||
        r->has_near_audio_case != 0 || r->has_near_video_case != 0 || r->has_near_depth_case != 0 ||
        r->has_near_thermal_case != 0 || r->has_near_imu_case != 0 || r->has_generative_case != 0 ||
        r->has_rerank_case != 0 || r->has_boost_case != 0;
    if (is_search || r->has_group_by_case != 0 || r->n_sort_by > 0 || r->autocut > 0) {
        return SL_FAIL(err, SL_EUNSUPPORTED,
                       "Sluice stores, lists and exports collections; it does not search by vector "
                       "or text, rerank, sort or group. Fetch objects by id, by cursor or by "
                       "filter, or export the collection");
    }
    return SL_OK;
}

/* The reference's words around a tenant that cannot be read; others stand alone there too. */
static sl_rc explain(sl_rc rc, struct sl_str class_name, struct sl_err *err)
{
    static const char step[] = "determine shard: ";
    struct sl_str said = sl_str_from(sl_err_text(err, rc));
    if (!sl_str_starts(said, step)) {
        return rc;
    }
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_buf_addf(&text, "explorer: list class: search: object search at index ");
    for (size_t i = 0; i < class_name.len; i++) {
        char ch = class_name.ptr[i];
        sl_buf_add_u8(&text, (uint8_t)(ch >= 'A' && ch <= 'Z' ? ch - 'A' + 'a' : ch));
    }
    sl_buf_addf(&text, ": %s", said.ptr + strlen(step));
    return SL_FAIL(err, rc, "%s", sl_buf_cstr(&text));
}

sl_rc sli_rpc_search(struct sli_rpc *c, struct sl_err *err)
{
    search_request *request = NULL;
    Weaviate__V1__SearchReply reply = WEAVIATE__V1__SEARCH_REPLY__INIT;
    struct sl_db_filter filter;
    SL_TRY(sli_rpc_read(c, &weaviate__v1__search_request__descriptor, &request, err));
    SL_TRY(check_search(request, err));
    struct sl_resource what = {SL_ON_DATA,
                               {sl_str_from(request->collection), sl_str_from(request->tenant)}};
    SL_TRY(sli_ask(&c->asker, SL_READ, &what, err));
    if (request->filters != NULL) {
        SL_TRY(sli_rpc_filter(&c->arena, request->filters, &filter, err));
    }
    struct sl_db_query query = {
        .where = {sl_str_from(request->collection), sl_str_from(request->tenant)},
        .filter = request->filters == NULL ? NULL : &filter,
        .limit = request->limit == 0 ? -1 : (int64_t)request->limit,
        .offset = request->offset,
        .after = sl_str_from(request->after),
        .has_after = request->after[0] != '\0',
    };
    if (request->properties != NULL) {
        query.names = request->properties->non_ref_properties;
        query.name_count = request->properties->n_non_ref_properties;
    }
    struct page p = {.c = c,
                     .names = request->properties,
                     .metadata = request->metadata,
                     .bytes_max = c->opts->body_budget};
    sl_rc rc = sl_db_search(c->opts->db, &query, add_result, &p, err);
    if (rc != SL_OK) {
        return explain(rc, query.where.class_name, err);
    }
    SL_TRY(follow(&p, query.where.tenant, err));
    reply.results = p.results;
    reply.n_results = p.count;
    reply.has_generative_grouped_result_case =
        WEAVIATE__V1__SEARCH_REPLY__HAS_GENERATIVE_GROUPED_RESULT_GENERATIVE_GROUPED_RESULT;
    reply.generative_grouped_result = (char *)(uintptr_t) "";
    reply.took = sli_rpc_took(c);
    return sli_rpc_reply(c, &reply.base, err);
}

/* ---- Aggregate ---- */

sl_rc sli_rpc_aggregate(struct sli_rpc *c, struct sl_err *err)
{
    Weaviate__V1__AggregateRequest *request = NULL;
    Weaviate__V1__AggregateReply reply = WEAVIATE__V1__AGGREGATE_REPLY__INIT;
    Weaviate__V1__AggregateReply__Single single = WEAVIATE__V1__AGGREGATE_REPLY__SINGLE__INIT;
    struct sl_db_filter filter;
    uint64_t count = 0;
    SL_TRY(sli_rpc_read(c, &weaviate__v1__aggregate_request__descriptor, &request, err));
    struct sl_resource what = {SL_ON_DATA,
                               {sl_str_from(request->collection), sl_str_from(request->tenant)}};
    SL_TRY(sli_ask(&c->asker, SL_READ, &what, err));
    if (request->n_aggregations > 0 || request->search_case != 0 ||
        request->has_group_by_case != 0 || !request->objects_count) {
        return SL_FAIL(err, SL_EUNSUPPORTED,
                       "Sluice counts the objects of a collection, tenant or filter; other "
                       "aggregations, searches and groups are not done here");
    }
    struct sl_db_where where = {sl_str_from(request->collection), sl_str_from(request->tenant)};
    sl_rc rc;
    if (request->has_filters_case != 0) {
        SL_TRY(sli_rpc_filter(&c->arena, request->filters, &filter, err));
        rc = sl_db_count_where(c->opts->db, where, &filter, &count, err);
    } else {
        rc = sl_db_count(c->opts->db, where, &count, err);
    }
    if (rc == SL_EINVAL) {
        sl_err_prefix(err, "parse params");
    }
    SL_TRY(rc);
    single.has_objects_count_case =
        WEAVIATE__V1__AGGREGATE_REPLY__SINGLE__HAS_OBJECTS_COUNT_OBJECTS_COUNT;
    single.objects_count = (int64_t)count;
    reply.result_case = WEAVIATE__V1__AGGREGATE_REPLY__RESULT_SINGLE_RESULT;
    reply.single_result = &single;
    reply.took = sli_rpc_took(c);
    return sli_rpc_reply(c, &reply.base, err);
}

/* ---- BatchDelete ---- */

static sl_rc list_deleted(struct sli_rpc *c, const struct sl_db_deleted *d,
                          Weaviate__V1__BatchDeleteReply *reply, struct sl_err *err)
{
    typedef Weaviate__V1__BatchDeleteObject deleted;
    deleted *list = sl_arena_array(&c->arena, deleted, (size_t)d->matches + 1);
    reply->objects = sl_arena_array(&c->arena, deleted *, (size_t)d->matches + 1);
    if (list == NULL || reply->objects == NULL) {
        return SL_NOMEM(err);
    }
    for (uint64_t i = 0; i < d->matches; i++) {
        weaviate__v1__batch_delete_object__init(&list[i]);
        list[i].uuid = (ProtobufCBinaryData){SL_UUID_SIZE, d->uuids[i]};
        list[i].successful = true;
        list[i].has_error_case = WEAVIATE__V1__BATCH_DELETE_OBJECT__HAS_ERROR_ERROR;
        list[i].error = (char *)(uintptr_t) "";
        reply->objects[reply->n_objects++] = &list[i];
    }
    return SL_OK;
}

sl_rc sli_rpc_batch_delete(struct sli_rpc *c, struct sl_err *err)
{
    Weaviate__V1__BatchDeleteRequest *request = NULL;
    Weaviate__V1__BatchDeleteReply reply = WEAVIATE__V1__BATCH_DELETE_REPLY__INIT;
    struct sl_db_filter filter;
    struct sl_db_deleted deleted = {0};
    SL_TRY(sli_rpc_read(c, &weaviate__v1__batch_delete_request__descriptor, &request, err));
    struct sl_resource what = {SL_ON_DATA,
                               {sl_str_from(request->collection), sl_str_from(request->tenant)}};
    SL_TRY(sli_ask(&c->asker, SL_DELETE, &what, err));
    if (request->filters == NULL) {
        return SL_FAIL(err, SL_EINVAL, "batch delete: a filter is needed");
    }
    SL_TRY(sli_rpc_filter(&c->arena, request->filters, &filter, err));
    struct sl_db_where where = {sl_str_from(request->collection), sl_str_from(request->tenant)};
    SL_TRY(sl_db_delete_where(c->opts->db, where, &filter, request->dry_run, request->verbose,
                              &c->arena, &deleted, err));
    if (request->verbose) {
        SL_TRY(list_deleted(c, &deleted, &reply, err));
    }
    reply.matches = (int64_t)deleted.matches;
    reply.successful = (int64_t)deleted.successful;
    reply.took = sli_rpc_took(c);
    return sli_rpc_reply(c, &reply.base, err);
}
