/* Classes: the calls that make, read, change and delete them.
 *
 * A change commits one kv batch under schema_lock held alone, and is made durable after the lock is
 * given back. What a class JSON may hold is class_json.c's. */
#include "base/crypto.h"
#include "base/json.h"
#include "database/object_int.h"

#define SHARD_NAME_LEN 12 /* as the reference makes them */

/* ---- create ---- */

/* References must point to classes that exist, or to the class itself. */
static sl_rc check_targets(struct sl_db *db, const struct sli_class *c,
                           const struct sl_db_property *list, uint32_t count, struct sl_err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t t = 0; t < list[i].target_count; t++) {
            if (!sl_str_eq(list[i].targets[t], c->name) &&
                sli_class_find(db, list[i].targets[t]) == NULL) {
                return SL_FAIL(err, SL_EINVAL,
                               "property '%.*s': invalid dataType: [%.*s]: reference property to "
                               "nonexistent class '%.*s'",
                               SL_STR_ARG(list[i].name), SL_STR_ARG(list[i].targets[t]),
                               SL_STR_ARG(list[i].targets[t]));
            }
        }
    }
    return SL_OK;
}

static sl_rc random_name(char ret[SHARD_NAME_LEN], struct sl_err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    uint8_t bytes[SHARD_NAME_LEN];
    SL_TRY(sl_random_bytes(bytes, sizeof(bytes), err));
    for (size_t i = 0; i < SHARD_NAME_LEN; i++) {
        ret[i] = letters[bytes[i] % (sizeof(letters) - 1)]; /* a name, not a secret: bias is fine */
    }
    return SL_OK;
}

static sl_rc add_ring_shards(struct sl_db *db, struct sli_class *c, json_t *doc,
                             struct sl_kv_batch *batch, struct sl_err *err)
{
    json_t *sharding = json_object_get(doc, "shardingConfig");
    uint32_t count = (uint32_t)json_number_value(json_object_get(sharding, "desiredCount"));
    for (uint32_t i = 0; i < count; i++) {
        char name[SHARD_NAME_LEN];
        struct sli_shard shard = {.number = db->next_shard_no + i, .status = SL_HOT};
        SL_TRY(random_name(name, err));
        struct sl_str text = {name, sizeof(name)};
        SL_AUTO(sl_buf) record = SL_BUF_EMPTY;
        struct sli_key key = sli_key_shard(c->number, text);
        sli_shard_record(&shard, &record);
        SL_TRY(sl_buf_done(&record, err));
        SL_TRY(sli_shard_add(c, text, &shard, NULL, err));
        sl_kv_batch_put(batch, sli_key_view(&key), sl_buf_view(&record));
    }
    db->next_shard_no += count;
    return sli_class_build_ring(c, err);
}

static sl_rc commit_class(struct sl_db *db, struct sli_class *c, json_t *doc, struct sl_err *err)
{
    SL_AUTO_PTR(sl_kv_batch) batch = sl_kv_batch_new();
    if (batch == NULL) {
        return SL_NOMEM(err);
    }
    struct sli_key key = sli_key_class(c->number);
    sl_kv_batch_put(batch, sli_key_view(&key), sl_str_bytes(c->json));
    if (!c->is_multi_tenant) {
        SL_TRY(add_ring_shards(db, c, doc, batch, err));
    }
    db->next_class_no = c->number + 1;
    sli_catalog_counters(db, batch);
    return sl_kv_commit(db->kv, batch, err);
}

sl_rc sli_class_create_locked(struct sl_db *db, json_t *doc, struct sli_class **ret,
                              struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    struct sli_class *c = NULL;
    SL_TRY(sli_json_text(doc, &text, err));
    SL_TRY(sli_class_parse(sl_buf_str(&text), &c, err));
    c->number = db->next_class_no;
    const struct sli_class *old = sli_class_find_fold(db, c->name);
    sl_rc rc = SL_OK;
    if (old != NULL && sl_str_eq(old->name, c->name)) {
        rc = SL_FAIL(err, SL_EINVAL, "class name %.*s already exists", SL_STR_ARG(c->name));
    } else if (old != NULL) {
        rc = SL_FAIL(err, SL_EINVAL,
                     "class name %.*s already exists as a different case variant: %.*s",
                     SL_STR_ARG(c->name), SL_STR_ARG(old->name));
    }
    if (rc == SL_OK) {
        rc = check_targets(db, c, c->properties, c->property_count, err);
    }
    if (rc == SL_OK) {
        rc = commit_class(db, c, doc, err);
    }
    if (rc != SL_OK) {
        sli_class_free(c);
        return rc;
    }
    HASH_ADD_KEYPTR(hh, db->classes, c->name_lower, c->name.len, c);
    *ret = c;
    return SL_OK;
}

/* The reply is written before the change, so that running out of memory for it cannot refuse a
 * class that was made; the same order holds in every call below. */
sl_rc sl_db_class_create(struct sl_db *db, json_t *body, struct sl_buf *out, struct sl_err *err)
{
    json_t *doc = NULL;
    struct sli_class *c = NULL;
    size_t before = out->len;
    SL_TRY(sli_check_writable(db, err));
    SL_TRY(sli_class_complete(body, false, &doc, err));
    sl_rc rc = sli_json_text(doc, out, err);
    if (rc == SL_OK) {
        sl_rwlock_write(&db->schema_lock);
        rc = sli_class_create_locked(db, doc, &c, err);
        sl_rwlock_unlock(&db->schema_lock);
    }
    json_decref(doc);
    if (rc == SL_OK) {
        rc = sl_kv_sync(db->kv, err);
    }
    if (rc != SL_OK) {
        out->len = before;
    }
    return rc;
}

/* ---- read, delete ---- */

sl_rc sl_db_class_get(struct sl_db *db, struct sl_str name, struct sl_buf *out, struct sl_err *err)
{
    sl_rwlock_read(&db->schema_lock);
    struct sli_class *c = sli_class_find(db, name);
    sl_rc rc = c == NULL ? sli_class_missing(name, err) : SL_OK;
    if (rc == SL_OK) {
        sl_buf_add_str(out, c->json);
    }
    sl_rwlock_unlock(&db->schema_lock);
    return rc == SL_OK ? sl_buf_done(out, err) : rc;
}

sl_rc sl_db_class_list(struct sl_db *db, struct sl_buf *out, struct sl_err *err)
{
    sl_buf_add_text(out, "{\"classes\":[");
    sl_rwlock_read(&db->schema_lock);
    for (struct sli_class *c = db->classes; c != NULL; c = c->hh.next) {
        sl_buf_add_text(out, c == db->classes ? "" : ",");
        sl_buf_add_str(out, c->json);
    }
    sl_rwlock_unlock(&db->schema_lock);
    sl_buf_add_text(out, "]}");
    return sl_buf_done(out, err);
}

void sl_db_shard_json(struct sl_json *w, struct sl_str name)
{
    sl_json_obj(w);
    sl_json_key(w, "name");
    sl_json_str(w, name);
    sl_json_key(w, "status");
    sl_json_text(w, "READY");
    sl_json_key(w, "vectorQueueSize");
    sl_json_u64(w, 0);
    sl_json_obj_end(w);
}

sl_rc sl_db_class_shards(struct sl_db *db, struct sl_str name, struct sl_buf *out,
                         struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    sl_rwlock_read(&db->schema_lock);
    struct sli_class *c = sli_class_find(db, name);
    sl_json_arr(&w);
    for (struct sli_shard *s = c == NULL ? NULL : c->shards; s != NULL; s = s->hh.next) {
        sl_db_shard_json(&w, s->name);
    }
    sl_json_arr_end(&w);
    sl_rwlock_unlock(&db->schema_lock);
    return c == NULL ? sli_class_missing(name, err) : sl_buf_done(out, err);
}

void sli_shard_erase(uint64_t shard_no, struct sl_kv_batch *batch)
{
    struct sli_span span = sli_span_shard(shard_no);
    sl_kv_batch_delete_span(batch,
                            (struct sl_kv_span){sli_key_view(&span.lo), sli_key_view(&span.hi)});
}

static sl_rc delete_locked(struct sl_db *db, struct sli_class *c, struct sl_err *err)
{
    SL_AUTO_PTR(sl_kv_batch) batch = sl_kv_batch_new();
    if (batch == NULL) {
        return SL_NOMEM(err);
    }
    struct sli_span span = sli_span_class(c->number);
    sl_kv_batch_delete_span(batch,
                            (struct sl_kv_span){sli_key_view(&span.lo), sli_key_view(&span.hi)});
    for (struct sli_shard *s = c->shards; s != NULL; s = s->hh.next) {
        sli_shard_erase(s->number, batch);
    }
    SL_TRY(sl_kv_commit(db->kv, batch, err));
    for (struct sli_shard *s = c->shards; s != NULL; s = s->hh.next) {
        sli_offload_forget(db, c, s);
    }
    HASH_DEL(db->classes, c);
    sli_class_free(c);
    return SL_OK;
}

sl_rc sl_db_class_delete(struct sl_db *db, struct sl_str name, struct sl_err *err)
{
    SL_TRY(sli_check_writable(db, err));
    sl_rwlock_write(&db->schema_lock);
    struct sli_class *c = sli_class_find(db, name);
    sl_rc rc = c == NULL ? SL_OK : delete_locked(db, c, err);
    sl_rwlock_unlock(&db->schema_lock);
    return rc == SL_OK && c != NULL ? sl_kv_sync(db->kv, err) : rc;
}

/* ---- change ---- */

/* Puts a new descriptor in the place of the old one; shards move over. schema_lock held alone. */
static sl_rc replace_locked(struct sl_db *db, struct sli_class *old, json_t *doc,
                            struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    SL_AUTO_PTR(sl_kv_batch) batch = sl_kv_batch_new();
    struct sli_class *c = NULL;
    if (batch == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sli_json_text(doc, &text, err));
    SL_TRY(sli_class_parse(sl_buf_str(&text), &c, err));
    struct sli_key key = sli_key_class(old->number);
    sl_kv_batch_put(batch, sli_key_view(&key), sl_buf_view(&text));
    size_t before = out->len;
    sl_buf_add_str(out, c->json);
    sl_rc rc = sl_buf_done(out, err);
    if (rc == SL_OK) {
        rc = check_targets(db, c, c->properties, c->property_count, err);
    }
    if (rc == SL_OK) {
        rc = sl_kv_commit(db->kv, batch, err);
    }
    if (rc != SL_OK) {
        out->len = before;
        sli_class_free(c);
        return rc;
    }
    c->number = old->number;
    c->shards = old->shards;
    c->ring = old->ring;
    c->shard_count = old->shard_count;
    old->shards = NULL;
    old->ring = NULL;
    /* The new one takes the old one's place in the order of creation. */
    struct sli_class *after = old->hh.next, *moved = NULL;
    HASH_DEL(db->classes, old);
    sli_class_free(old);
    HASH_ADD_KEYPTR(hh, db->classes, c->name_lower, c->name.len, c);
    while (after != NULL && after != c) {
        moved = after;
        after = after->hh.next;
        HASH_DEL(db->classes, moved);
        HASH_ADD_KEYPTR(hh, db->classes, moved->name_lower, moved->name.len, moved);
    }
    return SL_OK;
}

/* Absent on both sides is equal, too; jansson does not think so. */
static bool member_equal(json_t *a, json_t *b, const char *key)
{
    json_t *left = json_object_get(a, key), *right = json_object_get(b, key);
    return left == right || json_equal(left, right) == 1;
}

/* What PUT may not change, with the reference's words where it has any. */
static sl_rc check_update(json_t *now, json_t *wanted, struct sl_err *err)
{
    json_t *old_tenancy = json_object_get(now, "multiTenancyConfig");
    json_t *new_tenancy = json_object_get(wanted, "multiTenancyConfig");
    if (!member_equal(now, wanted, "class")) {
        return SL_FAIL(err, SL_EINVAL,
                       "class name is immutable: attempted change from \"%s\" to "
                       "\"%s\"",
                       json_string_value(json_object_get(now, "class")),
                       json_string_value(json_object_get(wanted, "class")));
    }
    if (!member_equal(old_tenancy, new_tenancy, "enabled")) {
        bool is_on = json_is_true(json_object_get(old_tenancy, "enabled"));
        return SL_FAIL(err, SL_EINVAL, "%s multi-tenancy for an existing class is not supported",
                       is_on ? "disabling" : "enabling");
    }
    if (!member_equal(now, wanted, "vectorIndexType") || !member_equal(now, wanted, "vectorizer")) {
        return SL_FAIL(err, SL_EINVAL, "vector index type and vectorizer are immutable");
    }
    const char *name = NULL;
    json_t *one = NULL;
    json_object_foreach(json_object_get(now, "vectorConfig"), name, one)
    {
        json_t *other = json_object_get(json_object_get(wanted, "vectorConfig"), name);
        if (other == NULL) {
            return SL_FAIL(err, SL_EINVAL, "missing config for vector \"%s\"", name);
        }
        json_t *old_multi =
            json_object_get(json_object_get(one, "vectorIndexConfig"), "multivector");
        json_t *new_multi =
            json_object_get(json_object_get(other, "vectorIndexConfig"), "multivector");
        if (!member_equal(one, other, "vectorIndexType") ||
            !member_equal(old_multi, new_multi, "enabled")) {
            return SL_FAIL(err, SL_EINVAL,
                           "vector index config of vector \"%s\": its type and "
                           "multivector are immutable",
                           name);
        }
    }
    return SL_OK;
}

/* Properties cannot be changed by PUT, only their descriptions; more come by their own call. */
static sl_rc merge_properties(json_t *now, json_t *wanted, struct sl_err *err)
{
    json_t *old = json_object_get(now, "properties"),
           *given = json_object_get(wanted, "properties");
    size_t count = json_array_size(old);
    bool is_same = json_array_size(given) == count;
    for (size_t i = 0; is_same && i < count; i++) {
        is_same = member_equal(json_array_get(old, i), json_array_get(given, i), "name") &&
                  member_equal(json_array_get(old, i), json_array_get(given, i), "dataType");
    }
    if (!is_same && json_array_size(given) > 0) {
        return SL_FAIL(err, SL_EINVAL,
                       "property fields other than description cannot be updated through updating "
                       "the class. Use the add property feature (e.g. \"POST "
                       "/v1/schema/{className}/properties\") to add additional properties");
    }
    for (size_t i = 0; is_same && i < count; i++) {
        json_t *text = json_object_get(json_array_get(given, i), "description");
        if (text != NULL) {
            (void)json_object_set(json_array_get(old, i), "description", text);
        }
    }
    return json_object_set(wanted, "properties", old == NULL ? json_null() : old) == 0
               ? SL_OK
               : SL_NOMEM(err);
}

static sl_rc update_locked(struct sl_db *db, struct sli_class *c, json_t *wanted,
                           struct sl_buf *out, struct sl_err *err)
{
    json_t *now = json_loadb(c->json.ptr, c->json.len, JSON_DECODE_INT_AS_REAL, NULL);
    if (now == NULL) {
        return SL_NOMEM(err);
    }
    sl_rc rc = check_update(now, wanted, err);
    if (rc == SL_OK) {
        (void)json_object_set(wanted, "shardingConfig", json_object_get(now, "shardingConfig"));
        rc = merge_properties(now, wanted, err);
    }
    json_decref(now);
    return rc == SL_OK ? replace_locked(db, c, wanted, out, err) : rc;
}

sl_rc sl_db_class_update(struct sl_db *db, struct sl_str name, json_t *body, struct sl_buf *out,
                         struct sl_err *err)
{
    json_t *wanted = NULL;
    SL_TRY(sli_check_writable(db, err));
    /* Sent as GET showed it; the class keeps its own. */
    (void)json_object_del(body, "shardingConfig");
    SL_TRY(sli_class_complete(body, true, &wanted, err));
    sl_rwlock_write(&db->schema_lock);
    struct sli_class *c = sli_class_find(db, name);
    sl_rc rc = c == NULL ? sli_class_missing(name, err) : update_locked(db, c, wanted, out, err);
    sl_rwlock_unlock(&db->schema_lock);
    json_decref(wanted);
    return rc == SL_OK ? sl_kv_sync(db->kv, err) : rc;
}

sl_rc sli_properties_add_locked(struct sl_db *db, struct sli_class *c, json_t *properties,
                                struct sl_err *err)
{
    json_t *doc = json_loadb(c->json.ptr, c->json.len, JSON_DECODE_INT_AS_REAL, NULL);
    if (doc == NULL) {
        return SL_NOMEM(err);
    }
    json_t *list = json_object_get(doc, "properties");
    if (!json_is_array(list)) {
        list = json_array();
        (void)json_object_set_new(doc, "properties", list);
    }
    sl_rc rc = SL_OK;
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(properties, i, one)
    {
        const char *name = json_string_value(json_object_get(one, "name"));
        if (rc == SL_OK && sli_property_listed(list, name)) {
            rc = SL_FAIL(err, SL_EINVAL,
                         "class \"%.*s\": conflict for property \"%s\": already in "
                         "use or provided multiple times",
                         SL_STR_ARG(c->name), name);
        }
        (void)json_array_append(list, one);
    }
    SL_AUTO(sl_buf) ignored = SL_BUF_EMPTY;
    if (rc == SL_OK) {
        rc = replace_locked(db, c, doc, &ignored, err);
    }
    json_decref(doc);
    return rc;
}

sl_rc sl_db_property_add(struct sl_db *db, struct sl_str name, json_t *body, struct sl_buf *out,
                         struct sl_err *err)
{
    json_t *property = NULL;
    SL_TRY(sli_check_writable(db, err));
    SL_TRY(sli_property_complete(body, 0, &property, err));
    json_t *list = json_pack("[O]", property);
    sl_rwlock_write(&db->schema_lock);
    struct sli_class *c = sli_class_find(db, name);
    sl_rc rc =
        c == NULL ? sli_class_missing(name, err) : sli_properties_add_locked(db, c, list, err);
    sl_rwlock_unlock(&db->schema_lock);
    json_decref(list);
    if (rc == SL_OK) {
        rc = sli_json_text(property, out, err);
    }
    json_decref(property);
    return rc == SL_OK ? sl_kv_sync(db->kv, err) : rc;
}
