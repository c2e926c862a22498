/* Classes while they are put together from a snapshot, a log or schema.db; see schema_int.h.
 *
 * Two hashes, so that 10,000 tenants that arrive one by one cost 10,000 steps. Memory is the
 * schema's arena: what was replaced or removed stays there until the schema ends, which is no more
 * than the files that were read. */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/json.h"
#include "source/schema_int.h"

#define CLASS_NAME_MAX 320 /* servers: 255, and a namespace before it */
#define SHARD_NAME_MAX 64
#define JSON_DEPTH_MAX 64 /* nested properties of nested properties */

/* ---- names and words ---- */

/* Names become paths: nothing but what servers allow. */
static bool is_name(struct sl_str name, const char *also, size_t len_max)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!isalnum((unsigned char)name.ptr[i]) && strchr(also, name.ptr[i]) == NULL) {
            return false;
        }
    }
    return name.len > 0 && name.len <= len_max && memchr(name.ptr, '\0', name.len) == NULL;
}

static sl_rc check_name(const char *what, struct sl_str name, const char *also, size_t len_max,
                        struct sl_err *err)
{
    if (!is_name(name, also, len_max)) {
        return SL_FAIL(err, SL_ECORRUPT, "damaged: no %s is called '%.*s'", what,
                       (int)SL_MIN(name.len, len_max), name.ptr);
    }
    return SL_OK;
}

sl_rc sli_status_parse(struct sl_str word, enum sl_tenant_status *ret, struct sl_err *err)
{
    *ret = SL_HOT; /* of older servers, which do not say */
    if (word.len == 0 || sl_tenant_status_parse(word, ret)) {
        return SL_OK;
    }
    return SL_FAIL(err, SL_ECORRUPT,
                   "damaged, or of a newer server: '%.*s' is no state of a tenant",
                   (int)SL_MIN(word.len, (size_t)SHARD_NAME_MAX), word.ptr);
}

static sl_rc bad_json(const char *what, struct sl_err *err)
{
    return SL_FAIL(err, SL_ECORRUPT, "damaged: the JSON of %s cannot be read", what);
}

/* ---- finding, removing ---- */

static void lower(struct sl_str name, char *ret)
{
    for (size_t i = 0; i < name.len; i++) {
        ret[i] = (char)tolower((unsigned char)name.ptr[i]);
    }
}

struct sli_class *sli_classes_find(struct sli_classes *c, struct sl_str name, bool is_exact)
{
    char key[CLASS_NAME_MAX];
    struct sli_class *found = NULL;
    if (name.len > sizeof(key)) {
        return NULL;
    }
    lower(name, key);
    HASH_FIND(hh, c->list, key, name.len, found);
    return found != NULL && is_exact && !sl_str_eq(found->pub.name, name) ? NULL : found;
}

struct sli_class_shard *sli_classes_find_shard(const struct sli_class *c, struct sl_str name)
{
    struct sli_class_shard *found = NULL;
    HASH_FIND(hh, c->shards, name.ptr, name.len, found);
    return found;
}

void sli_classes_remove(struct sli_classes *c, struct sli_class *class)
{
    HASH_CLEAR(hh, class->shards);
    HASH_DEL(c->list, class);
}

void sli_class_remove_shard(struct sli_class *class, struct sl_str name)
{
    struct sli_class_shard *s = sli_classes_find_shard(class, name);
    if (s != NULL) {
        HASH_DEL(class->shards, s);
    }
}

void sli_classes_fini(struct sli_classes *c)
{
    while (c->list != NULL) {
        sli_classes_remove(c, c->list);
    }
}

/* ---- shards ---- */

static sl_rc read_nodes(struct sl_arena *arena, struct sl_bytes json, struct sl_schema_shard *ret,
                        struct sl_err *err)
{
    struct sl_json_iter it;
    struct sl_str key;
    struct sl_bytes value;
    uint32_t count = 0;
    if (sl_json_is_null(json)) {
        return SL_OK;
    }
    if (!sl_json_begin(json, '[', &it)) {
        return bad_json("a shard's nodes", err);
    }
    while (sl_json_next(&it, &key, &value)) {
        count++;
    }
    ret->nodes = sl_arena_array(arena, struct sl_str, count + 1u);
    if (ret->nodes == NULL) {
        return SL_NOMEM(err);
    }
    (void)sl_json_begin(json, '[', &it);
    while (sl_json_next(&it, &key, &value)) {
        struct sl_str node;
        SL_TRY(sl_json_string(value, arena, &node, err));
        ret->nodes[ret->node_count] = sl_arena_str(arena, node);
        if (ret->nodes[ret->node_count++].ptr == NULL) {
            return SL_NOMEM(err);
        }
    }
    return SL_OK;
}

static sl_rc read_physical(struct sl_arena *arena, struct sl_bytes json,
                           struct sl_schema_shard *ret, struct sl_err *err)
{
    struct sl_json_iter it;
    struct sl_str key, text;
    struct sl_bytes value;
    if (!sl_json_begin(json, '{', &it)) {
        return bad_json("a shard", err);
    }
    while (sl_json_next(&it, &key, &value)) {
        if (sl_str_is(key, "status")) {
            SL_TRY(sl_json_string(value, arena, &text, err));
            SL_TRY(sli_status_parse(text, &ret->status, err));
        } else if (sl_str_is(key, "belongsToNodes")) {
            ret->node_count = 0;
            SL_TRY(read_nodes(arena, value, ret, err));
        } else if (sl_str_is(key, "belongsToNode") && ret->node_count == 0) { /* before 1.17 */
            SL_TRY(sl_json_string(value, arena, &text, err));
            ret->nodes = sl_arena_array(arena, struct sl_str, 1);
            if (ret->nodes == NULL) {
                return SL_NOMEM(err);
            }
            ret->nodes[0] = sl_arena_str(arena, text);
            ret->node_count = text.len > 0;
        }
    }
    return it.is_damaged ? bad_json("a shard", err) : SL_OK;
}

sl_rc sli_class_put_shard(struct sli_classes *c, struct sli_class *class, struct sl_str name,
                          struct sl_bytes physical, struct sli_class_shard **ret,
                          struct sl_err *err)
{
    struct sl_arena *arena = &c->out->arena;
    SL_TRY(check_name("shard or tenant", name, "-_", SHARD_NAME_MAX, err));
    struct sli_class_shard *s = sl_arena_alloc(arena, sizeof(*s));
    if (s == NULL) {
        return SL_NOMEM(err);
    }
    s->pub.name = sl_arena_str(arena, name);
    if (s->pub.name.ptr == NULL) {
        return SL_NOMEM(err);
    }
    if (physical.len > 0) {
        SL_TRY(read_physical(arena, physical, &s->pub, err));
    }
    sli_class_remove_shard(class, name);
    HASH_ADD_KEYPTR(hh, class->shards, s->pub.name.ptr, s->pub.name.len, s);
    if (s->is_unhashed) {
        return SL_NOMEM(err);
    }
    *ret = s;
    return SL_OK;
}

static sl_rc read_sharding(struct sli_classes *c, struct sli_class *class, struct sl_bytes json,
                           struct sl_err *err)
{
    struct sl_json_iter it, shards;
    struct sl_str key, name;
    struct sl_bytes value, physical;
    struct sli_class_shard *s;
    if (!sl_json_begin(json, '{', &it)) {
        return bad_json("a sharding state", err);
    }
    HASH_CLEAR(hh, class->shards);
    while (sl_json_next(&it, &key, &value)) {
        if (sl_str_is(key, "partitioningEnabled")) {
            class->pub.is_multi_tenant |= sl_str_is(sl_bytes_str(value), "true");
        } else if (sl_str_is(key, "physical") && !sl_json_is_null(value)) {
            if (!sl_json_begin(value, '{', &shards)) {
                return bad_json("a sharding state", err);
            }
            while (sl_json_next(&shards, &name, &physical)) {
                SL_TRY(sli_class_put_shard(c, class, name, physical, &s, err));
            }
            it.is_damaged |= shards.is_damaged;
        }
    }
    return it.is_damaged ? bad_json("a sharding state", err) : SL_OK;
}

/* ---- classes ---- */

struct facts {
    struct sl_str name; /* in the arena */
    bool is_multi_tenant;
    uint32_t factor;
};

/* What is needed of models.Class. The text is parsed whole: it is shown to users. */
static sl_rc read_class(struct sl_arena *arena, struct sl_bytes json, struct facts *ret,
                        struct sl_err *err)
{
    if (sl_json_depth(json) > JSON_DEPTH_MAX) {
        return bad_json("a class", err);
    }
    json_t *doc = json_loadb((const char *)json.ptr, json.len, 0, NULL);
    const json_t *name = json_object_get(doc, "class");
    const json_t *tenancy = json_object_get(json_object_get(doc, "multiTenancyConfig"), "enabled");
    const json_t *factor = json_object_get(json_object_get(doc, "replicationConfig"), "factor");
    sl_rc rc = SL_OK;
    if (!json_is_string(name)) {
        rc = bad_json("a class", err);
    } else {
        struct sl_str text = {json_string_value(name), json_string_length(name)};
        rc = check_name("class", text, "_-:", CLASS_NAME_MAX, err);
        ret->name = sl_arena_str(arena, text);
        ret->is_multi_tenant = json_is_true(tenancy);
        json_int_t n = json_integer_value(factor);
        ret->factor = n < 1 ? 1 : (uint32_t)SL_MIN(n, (json_int_t)UINT16_MAX);
        if (rc == SL_OK && ret->name.ptr == NULL) {
            rc = SL_NOMEM(err);
        }
    }
    json_decref(doc);
    return rc;
}

static struct sli_class *add_class(struct sli_classes *c, const struct facts *facts)
{
    struct sl_arena *arena = &c->out->arena;
    struct sli_class *class = sl_arena_alloc(arena, sizeof(*class));
    char *key = sl_arena_alloc(arena, facts->name.len + 1);
    if (class == NULL || key == NULL) {
        return NULL;
    }
    lower(facts->name, key);
    class->key = (struct sl_str){key, facts->name.len};
    class->pub.name = facts->name;
    class->pub.is_multi_tenant = facts->is_multi_tenant;
    HASH_ADD_KEYPTR(hh, c->list, class->key.ptr, class->key.len, class);
    return class->is_unhashed ? NULL : class;
}

sl_rc sli_classes_put(struct sli_classes *c, struct sl_bytes json, struct sl_bytes sharding,
                      bool is_new, struct sl_err *err)
{
    struct facts facts = {0};
    bool has_sharding = sharding.len > 0 && !sl_json_is_null(sharding);
    SL_TRY(read_class(&c->out->arena, json, &facts, err));
    struct sli_class *class = sli_classes_find(c, facts.name, !is_new);
    if (is_new ? class != NULL || !has_sharding : class == NULL) {
        return SL_OK; /* the server refused it when it came to this entry */
    }
    struct sl_str text = sl_arena_str(&c->out->arena, sl_bytes_str(json));
    class = is_new ? add_class(c, &facts) : class;
    if (class == NULL || text.ptr == NULL) {
        return SL_NOMEM(err);
    }
    class->pub.json = text;
    class->factor = facts.factor;
    return has_sharding ? read_sharding(c, class, sharding, err) : SL_OK;
}

/* ---- properties ---- */

static bool is_same_name(struct sl_bytes a, struct sl_bytes b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (tolower(a.ptr[i]) != tolower(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

/* Where in the class's text the property goes: over the one of its name, or behind the last. */
static bool find_place(struct sl_bytes class_json, struct sl_bytes property, struct sl_bytes *ret,
                       const char **ret_before)
{
    struct sl_bytes list, each, name, wanted;
    struct sl_str key;
    struct sl_json_iter it;
    if (!sl_json_find(property, "name", &wanted) ||
        !sl_json_find(class_json, "properties", &list)) {
        return false;
    }
    *ret_before = "";
    if (sl_json_is_null(list)) {
        *ret = list;
        return true;
    }
    if (!sl_json_begin(list, '[', &it)) {
        return false;
    }
    *ret = (struct sl_bytes){list.ptr + list.len - 1, 0};
    while (sl_json_next(&it, &key, &each)) {
        *ret_before = ",";
        if (sl_json_find(each, "name", &name) && is_same_name(name, wanted)) {
            *ret = each;
            *ret_before = "";
            return true;
        }
    }
    return !it.is_damaged;
}

sl_rc sli_class_put_property(struct sli_classes *c, struct sli_class *class,
                             struct sl_bytes property, struct sl_err *err)
{
    struct sl_bytes json = sl_str_bytes(class->pub.json), place;
    const char *before = "";
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    if (!find_place(json, property, &place, &before)) {
        return SL_OK; /* a class without a list of properties: nothing that is exported */
    }
    bool is_null = sl_json_is_null(place);
    size_t head = (size_t)(place.ptr - json.ptr), tail = head + place.len;
    sl_buf_add(&text, (struct sl_bytes){json.ptr, head});
    sl_buf_add_text(&text, is_null ? "[" : before);
    sl_buf_add(&text, property);
    sl_buf_add_text(&text, is_null ? "]" : "");
    sl_buf_add(&text, (struct sl_bytes){json.ptr + tail, json.len - tail});
    SL_TRY(sl_buf_done(&text, err));
    class->pub.json = sl_arena_str(&c->out->arena, sl_buf_str(&text));
    return class->pub.json.ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

/* ---- the end ---- */

static int by_shard_name(const void *a, const void *b)
{
    const struct sl_schema_shard *x = a, *y = b;
    return sl_bytes_cmp(sl_str_bytes(x->name), sl_str_bytes(y->name));
}

static int by_class_name(const void *a, const void *b)
{
    const struct sl_schema_class *x = a, *y = b;
    return sl_bytes_cmp(sl_str_bytes(x->name), sl_str_bytes(y->name));
}

sl_rc sli_classes_finish(struct sli_classes *c, struct sl_err *err)
{
    struct sl_schema *out = c->out;
    struct sli_class *class, *next_class;
    struct sli_class_shard *shard, *next_shard;
    out->classes =
        sl_arena_array(&out->arena, struct sl_schema_class, HASH_COUNT(c->list) + (size_t)1);
    if (out->classes == NULL) {
        return SL_NOMEM(err);
    }
    HASH_ITER (hh, c->list, class, next_class) {
        struct sl_schema_class *to = &out->classes[out->class_count++];
        *to = class->pub;
        to->shards = sl_arena_array(&out->arena, struct sl_schema_shard,
                                    HASH_COUNT(class->shards) + (size_t)1);
        if (to->shards == NULL) {
            return SL_NOMEM(err);
        }
        HASH_ITER (hh, class->shards, shard, next_shard) {
            to->shards[to->shard_count++] = shard->pub;
        }
        qsort(to->shards, to->shard_count, sizeof(*to->shards), by_shard_name);
    }
    qsort(out->classes, out->class_count, sizeof(*out->classes), by_class_name);
    return SL_OK;
}
