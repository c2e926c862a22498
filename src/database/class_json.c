/* A class as JSON: request body -> complete class JSON with every default.
 *
 * The defaults are JSON texts below, one home each; a request is laid over them: members of the
 * same kind win, unknown members are dropped as the reference drops them. Pure: nothing here
 * touches the catalog. Called by collection.c and auto_schema.c. */
#include <ctype.h>

#include "base/json.h"
#include "database/object_int.h"

#define CLASS_NAME_MAX  255
#define VECTOR_NAME_MAX 230
#define SHARDS_MAX      1024 /* desiredCount; more shards than that on one node serve nobody */
#define PROPERTIES_MAX  10000

static const char hnsw_defaults[] =
    "{\"bq\":{\"enabled\":false},\"cleanupIntervalSeconds\":300,\"distance\":\"cosine\","
    "\"dynamicEfFactor\":8,\"dynamicEfMax\":500,\"dynamicEfMin\":100,\"ef\":-1,"
    "\"efConstruction\":128,\"filterStrategy\":\"acorn\",\"flatSearchCutoff\":40000,"
    "\"maxConnections\":32,\"multivector\":{\"aggregation\":\"maxSim\",\"enabled\":false,"
    "\"muvera\":{\"dprojections\":16,\"enabled\":false,\"ksim\":4,\"repetitions\":10}},"
    "\"pq\":{\"bitCompression\":false,\"centroids\":256,\"enabled\":false,\"encoder\":{"
    "\"distribution\":\"log-normal\",\"type\":\"kmeans\"},\"segments\":0,\"trainingLimit\":100000},"
    "\"rq\":{\"bits\":8,\"enabled\":false,\"rescoreLimit\":20},\"skip\":false,"
    "\"skipDefaultQuantization\":false,\"sq\":{\"enabled\":false,\"rescoreLimit\":20,"
    "\"trainingLimit\":100000},\"trackDefaultQuantization\":false,"
    "\"vectorCacheMaxObjects\":1000000000000}";
static const char flat_defaults[] =
    "{\"bq\":{\"cache\":false,\"enabled\":false,\"rescoreLimit\":-1},\"distance\":\"cosine\","
    "\"pq\":{\"cache\":false,\"enabled\":false,\"rescoreLimit\":-1},\"rq\":{\"bits\":8,"
    "\"cache\":false,\"enabled\":false,\"rescoreLimit\":-1},\"skipDefaultQuantization\":false,"
    "\"sq\":{\"cache\":false,\"enabled\":false,\"rescoreLimit\":-1},"
    "\"trackDefaultQuantization\":false,\"vectorCacheMaxObjects\":1000000000000}";
static const char inverted_defaults[] =
    "{\"bm25\":{\"b\":0.75,\"k1\":1.2},\"cleanupIntervalSeconds\":60,\"stopwords\":{"
    "\"additions\":null,\"preset\":\"en\",\"removals\":null},\"usingBlockMaxWAND\":true}";
static const char tenancy_defaults[] =
    "{\"autoTenantActivation\":false,\"autoTenantCreation\":false,\"enabled\":false}";
static const char replication_defaults[] =
    "{\"asyncEnabled\":false,\"deletionStrategy\":\"TimeBasedResolution\",\"factor\":1}";
static const char sharding_defaults[] =
    "{\"actualCount\":1,\"actualVirtualCount\":128,\"desiredCount\":1,\"desiredVirtualCount\":128,"
    "\"function\":\"murmur3\",\"key\":\"_id\",\"strategy\":\"hash\",\"virtualPerPhysical\":128}";
static const char sharding_of_tenants[] =
    "{\"actualCount\":0,\"actualVirtualCount\":0,\"desiredCount\":0,\"desiredVirtualCount\":0,"
    "\"function\":\"\",\"key\":\"\",\"strategy\":\"\",\"virtualPerPhysical\":0}";

static json_t *defaults_of(const char *text)
{
    return json_loads(text, JSON_DECODE_INT_AS_REAL, NULL);
}

static bool same_kind(const json_t *a, const json_t *b)
{
    return json_typeof(a) == json_typeof(b) || (json_is_boolean(a) && json_is_boolean(b));
}

/* Lays `given` over `into`, member by member; a null default takes anything. */
static void lay_over(json_t *into, json_t *given)
{
    const char *key = NULL;
    json_t *preset = NULL;
    void *tmp = NULL;
    json_object_foreach_safe(into, tmp, key, preset)
    {
        json_t *value = json_object_get(given, key);
        if (value == NULL || json_is_null(value)) {
            continue;
        }
        if (json_is_object(preset) && json_is_object(value)) {
            lay_over(preset, value);
        } else if (json_is_null(preset) || same_kind(preset, value)) {
            (void)json_object_set(into, key, value);
        }
    }
}

/* Members without a default, taken over when they are of the given kind and not empty. */
static void take_optional(json_t *into, json_t *given, const char *key, json_type kind)
{
    json_t *value = json_object_get(given, key);
    if (value != NULL &&
        (json_typeof(value) == kind || (kind == JSON_TRUE && json_is_true(value)))) {
        (void)json_object_set(into, key, value);
    }
}

/* ---- names ---- */

static bool is_name(struct sl_str s, size_t max, bool has_capital)
{
    if (s.len == 0 || s.len > max) {
        return false;
    }
    char first = s.ptr[0];
    bool is_good = has_capital ? first >= 'A' && first <= 'Z'
                               : (first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z') ||
                                     first == '_';
    for (size_t i = 1; is_good && i < s.len; i++) {
        char c = s.ptr[i];
        is_good =
            (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    }
    return is_good;
}

static sl_rc put_class_name(json_t *out, json_t *body, struct sl_err *err)
{
    struct sl_str name = sl_str_from(json_string_value(json_object_get(body, "class")));
    SL_AUTO(sl_buf) raised = SL_BUF_EMPTY;
    sl_buf_add_str(&raised, name);
    SL_TRY(sl_buf_done(&raised, err));
    if (raised.len > 0) {
        raised.ptr[0] = (uint8_t)toupper(raised.ptr[0]);
    }
    if (!is_name(sl_buf_str(&raised), CLASS_NAME_MAX, true)) {
        return SL_FAIL(err, SL_EINVAL, "'%.*s' is not a valid class name", SL_STR_ARG(name));
    }
    if (strcasecmp(sl_buf_cstr(&raised), "raft") == 0) {
        return SL_FAIL(err, SL_EINVAL, "class name raft is reserved");
    }
    return json_object_set_new(out, "class", json_stringn((char *)raised.ptr, raised.len)) == 0
               ? SL_OK
               : SL_NOMEM(err);
}

/* ---- vectors ---- */

static sl_rc index_config(json_t *given, const char *type, const char *name, json_t **ret,
                          struct sl_err *err)
{
    json_t *config = NULL;
    if (strcmp(type, "hnsw") == 0) {
        config = defaults_of(hnsw_defaults);
    } else if (strcmp(type, "flat") == 0) {
        config = defaults_of(flat_defaults);
    } else if (strcmp(type, "dynamic") == 0) {
        config = json_pack("{s:s, s:o, s:o, s:f}", "distance", "cosine", "hnsw",
                           defaults_of(hnsw_defaults), "flat", defaults_of(flat_defaults),
                           "threshold", 10000.0);
    } else if (strcmp(type, "hfresh") == 0) {
        config = json_pack("{s:s, s:f, s:f, s:f}", "distance", "cosine", "maxPostingSizeKB", 48.0,
                           "replicas", 4.0, "searchProbe", 64.0);
    } else {
        return SL_FAIL(err, SL_EINVAL,
                       "target vector \"%s\": unrecognized or unsupported "
                       "vectorIndexType \"%s\"",
                       name, type);
    }
    if (config == NULL) {
        return SL_NOMEM(err);
    }
    lay_over(config, given);
    *ret = config;
    return SL_OK;
}

static const char *text_or(json_t *object, const char *key, const char *preset)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL || text[0] == '\0' ? preset : text;
}

static sl_rc put_named_vectors(json_t *out, json_t *given, struct sl_err *err)
{
    const char *name = NULL;
    json_t *one = NULL;
    json_t *vectors = json_object();
    (void)json_object_set_new(out, "vectorConfig", vectors);
    json_object_foreach(given, name, one)
    {
        if (!is_name(sl_str_from(name), VECTOR_NAME_MAX, false)) {
            return SL_FAIL(err, SL_EINVAL, "'%s' is not a valid target vector name", name);
        }
        json_t *vectorizer = json_object_get(one, "vectorizer");
        if (!json_is_object(vectorizer) || json_object_size(vectorizer) != 1) {
            return SL_FAIL(err, SL_EINVAL,
                           "class.VectorConfig.Vectorizer must be an object with exactly one key, "
                           "for target vector \"%s\"",
                           name);
        }
        const char *type = text_or(one, "vectorIndexType", "hnsw");
        json_t *config = NULL;
        SL_TRY(index_config(json_object_get(one, "vectorIndexConfig"), type, name, &config, err));
        json_t *entry = json_pack("{s:o, s:s, s:O}", "vectorIndexConfig", config, "vectorIndexType",
                                  type, "vectorizer", vectorizer);
        if (entry == NULL || json_object_set_new(vectors, name, entry) != 0) {
            return SL_NOMEM(err);
        }
    }
    return SL_OK;
}

/* Both the unnamed vector and named ones: a class comes to that by an update alone. */
static sl_rc put_vectors(json_t *out, json_t *body, bool is_update, struct sl_err *err)
{
    json_t *named = json_object_get(body, "vectorConfig");
    bool has_named = json_is_object(named) && json_object_size(named) > 0;
    bool has_legacy = json_object_get(body, "vectorIndexConfig") != NULL ||
                      text_or(body, "vectorizer", NULL) != NULL ||
                      text_or(body, "vectorIndexType", NULL) != NULL;
    if (has_named && has_legacy && !is_update) {
        return SL_FAIL(
            err, SL_EINVAL,
            "class.vectorizer, class.vectorIndexType and class.vectorIndexConfig can not "
            "be set if class.vectorConfig is set");
    }
    if (has_named && has_legacy && json_object_get(named, "default") != NULL) {
        return SL_FAIL(err, SL_EINVAL,
                       "vector named default cannot be created when collection level vector index "
                       "is configured");
    }
    if (has_named) {
        SL_TRY(put_named_vectors(out, named, err));
    }
    if (has_named && !has_legacy) {
        return SL_OK;
    }
    const char *type = text_or(body, "vectorIndexType", "hnsw");
    json_t *config = NULL;
    SL_TRY(index_config(json_object_get(body, "vectorIndexConfig"), type, "", &config, err));
    (void)json_object_set_new(out, "vectorIndexConfig", config);
    (void)json_object_set_new(out, "vectorIndexType", json_string(type));
    (void)json_object_set_new(out, "vectorizer", json_string(text_or(body, "vectorizer", "none")));
    return SL_OK;
}

/* ---- properties ---- */

static bool flag_or(json_t *object, const char *key, bool preset)
{
    json_t *v = json_object_get(object, key);
    return json_is_boolean(v) ? json_is_true(v) : preset;
}

/* dataType: one primitive name, or class names (which begin with a capital letter). */
static sl_rc check_type(json_t *data_type, struct sl_str name, enum sl_db_type *ret_type,
                        struct sl_err *err)
{
    size_t count = json_array_size(data_type);
    struct sl_str first = sl_str_from(json_string_value(json_array_get(data_type, 0)));
    bool is_array = false;
    if (count == 0 || first.len == 0) {
        return SL_FAIL(err, SL_EINVAL,
                       "property '%.*s': invalid dataType: dataType cannot be an "
                       "empty string or list",
                       SL_STR_ARG(name));
    }
    if (first.ptr[0] >= 'A' && first.ptr[0] <= 'Z') {
        *ret_type = SL_DB_REFERENCE;
        return SL_OK;
    }
    if (count == 1 && sli_type_parse(first, ret_type, &is_array)) {
        return SL_OK;
    }
    return SL_FAIL(err, SL_EINVAL,
                   "property '%.*s': invalid dataType: [%.*s]: unknown primitive data type '%.*s'",
                   SL_STR_ARG(name), SL_STR_ARG(first), SL_STR_ARG(first));
}

static sl_rc complete_properties(json_t *given, uint32_t depth, json_t **ret, struct sl_err *err);

#define NESTING_MAX 32

sl_rc sli_property_complete(json_t *given, uint32_t depth, json_t **ret, struct sl_err *err)
{
    struct sl_str name = sl_str_from(json_string_value(json_object_get(given, "name")));
    if (!is_name(name, 231, false)) {
        return SL_FAIL(err, SL_EINVAL,
                       "'%.*s' is not a valid property name. Property names in Weaviate are "
                       "restricted to valid GraphQL names, which must be "
                       "\"/[_A-Za-z][_0-9A-Za-z]{0,230}/\"",
                       SL_STR_ARG(name));
    }
    if (depth == 0 &&
        (sl_str_is(name, "id") || sl_str_is(name, "_id") || sl_str_is(name, "_additional"))) {
        return SL_FAIL(err, SL_EINVAL, "'%.*s' is a reserved property name", SL_STR_ARG(name));
    }
    json_t *data_type = json_object_get(given, "dataType");
    enum sl_db_type type = SL_DB_TEXT;
    SL_TRY(check_type(data_type, name, &type, err));
    bool is_string = strncmp(json_string_value(json_array_get(data_type, 0)), "string", 6) == 0;
    bool is_text = type == SL_DB_TEXT;
    json_t *out = json_pack("{s:O, s:b, s:b, s:b, s:s%}", "dataType", data_type, "indexFilterable",
                            flag_or(given, "indexFilterable", true), "indexRangeFilters",
                            flag_or(given, "indexRangeFilters", false), "indexSearchable",
                            flag_or(given, "indexSearchable", is_text), "name", name.ptr, name.len);
    if (out == NULL) {
        return SL_NOMEM(err);
    }
    if (is_string) { /* the old name of text: words are cut at blanks only */
        bool is_list = json_string_length(json_array_get(data_type, 0)) > 6;
        (void)json_object_set_new(out, "dataType", json_pack("[s]", is_list ? "text[]" : "text"));
    }
    if (is_text) {
        const char *preset = is_string ? "whitespace" : "word";
        (void)json_object_set_new(out, "tokenization",
                                  json_string(text_or(given, "tokenization", preset)));
    }
    take_optional(out, given, "description", JSON_STRING);
    take_optional(out, given, "moduleConfig", JSON_OBJECT);
    if (type == SL_DB_OBJECT) {
        json_t *nested = NULL;
        json_t *from = json_object_get(given, "nestedProperties");
        sl_rc rc =
            json_array_size(from) == 0
                ? SL_FAIL(err, SL_EINVAL,
                          "property '%.*s': At least one nested property is required for data "
                          "type object/object[]",
                          SL_STR_ARG(name))
                : complete_properties(from, depth + 1, &nested, err);
        if (rc != SL_OK) {
            json_decref(out);
            return rc;
        }
        (void)json_object_set_new(out, "nestedProperties", nested);
    }
    *ret = out;
    return SL_OK;
}

bool sli_property_listed(json_t *list, const char *name)
{
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(list, i, one)
    {
        const char *other = json_string_value(json_object_get(one, "name"));
        if (other != NULL && strcasecmp(other, name) == 0) {
            return true;
        }
    }
    return false;
}

static sl_rc complete_properties(json_t *given, uint32_t depth, json_t **ret, struct sl_err *err)
{
    if (depth > NESTING_MAX || json_array_size(given) > PROPERTIES_MAX) {
        return SL_FAIL(err, SL_EINVAL, "properties: nested deeper than %d or more than %d",
                       NESTING_MAX, PROPERTIES_MAX);
    }
    json_t *list = json_array();
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(given, i, one)
    {
        json_t *complete = NULL;
        sl_rc rc = sli_property_complete(one, depth, &complete, err);
        const char *name = rc == SL_OK ? json_string_value(json_object_get(complete, "name")) : "";
        if (rc == SL_OK && sli_property_listed(list, name)) {
            rc = SL_FAIL(err, SL_EINVAL, "class already has a property named \"%s\"", name);
            json_decref(complete);
        }
        if (rc != SL_OK) {
            json_decref(list);
            return rc;
        }
        (void)json_array_append_new(list, complete);
    }
    *ret = list;
    return SL_OK;
}

/* ---- the whole class ---- */

static sl_rc put_sharding(json_t *out, json_t *body, bool has_tenants, struct sl_err *err)
{
    json_t *given = json_object_get(body, "shardingConfig");
    if (has_tenants) {
        if (given != NULL && !json_is_null(given)) {
            return SL_FAIL(err, SL_EINVAL,
                           "cannot have both shardingConfig and multiTenancyConfig");
        }
        (void)json_object_set_new(out, "shardingConfig", defaults_of(sharding_of_tenants));
        return SL_OK;
    }
    json_t *sharding = defaults_of(sharding_defaults);
    (void)json_object_set_new(out, "shardingConfig", sharding);
    lay_over(sharding, given);
    double count = json_number_value(json_object_get(sharding, "desiredCount"));
    double virtual = json_number_value(json_object_get(sharding, "virtualPerPhysical"));
    if (count < 1 || count > SHARDS_MAX || count != (double)(int64_t)count) {
        return SL_FAIL(err, SL_EINVAL, "shardingConfig: desiredCount must be from 1 to %d",
                       SHARDS_MAX);
    }
    (void)json_object_set_new(sharding, "actualCount", json_real(count));
    (void)json_object_set_new(sharding, "desiredVirtualCount", json_real(count * virtual));
    (void)json_object_set_new(sharding, "actualVirtualCount", json_real(count * virtual));
    return SL_OK;
}

static sl_rc put_parts(json_t *out, json_t *body, struct sl_err *err)
{
    static const struct {
        const char *key, *preset;
    } parts[] = {{"invertedIndexConfig", inverted_defaults},
                 {"multiTenancyConfig", tenancy_defaults},
                 {"replicationConfig", replication_defaults}};
    for (size_t i = 0; i < SL_COUNT_OF(parts); i++) {
        json_t *part = defaults_of(parts[i].preset);
        if (part == NULL) {
            return SL_NOMEM(err);
        }
        lay_over(part, json_object_get(body, parts[i].key));
        (void)json_object_set_new(out, parts[i].key, part);
    }
    json_t *inverted = json_object_get(out, "invertedIndexConfig");
    json_t *given = json_object_get(body, "invertedIndexConfig");
    take_optional(inverted, given, "indexTimestamps", JSON_TRUE);
    take_optional(inverted, given, "indexPropertyLength", JSON_TRUE);
    take_optional(inverted, given, "indexNullState", JSON_TRUE);
    take_optional(inverted, given, "stopwordPresets", JSON_OBJECT);
    take_optional(out, body, "description", JSON_STRING);
    take_optional(out, body, "moduleConfig", JSON_OBJECT);
    return SL_OK;
}

static sl_rc complete(json_t *body, bool is_update, json_t *out, struct sl_err *err)
{
    SL_TRY(put_class_name(out, body, err));
    SL_TRY(put_parts(out, body, err));
    json_t *tenancy = json_object_get(out, "multiTenancyConfig");
    SL_TRY(put_sharding(out, body, json_is_true(json_object_get(tenancy, "enabled")), err));
    SL_TRY(put_vectors(out, body, is_update, err));
    json_t *given = json_object_get(body, "properties"), *properties = json_null();
    if (json_array_size(given) > 0) {
        SL_TRY(complete_properties(given, 0, &properties, err));
    }
    return json_object_set_new(out, "properties", properties) == 0 ? SL_OK : SL_NOMEM(err);
}

sl_rc sli_class_complete(json_t *body, bool is_update, json_t **ret, struct sl_err *err)
{
    json_t *out = json_object();
    sl_rc rc = out == NULL ? SL_NOMEM(err) : complete(body, is_update, out, err);
    if (rc != SL_OK) {
        json_decref(out);
        return rc;
    }
    *ret = out;
    return SL_OK;
}

/* The JSON of a class or property as replies and records have it: keys sorted, numbers as Go
 * prints. */
sl_rc sli_json_text(json_t *doc, struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_arena) arena = SL_ARENA_EMPTY;
    struct sl_json w = sl_json_over(out);
    sli_reply_json(&w, &arena, doc);
    return sl_buf_done(out, err);
}
