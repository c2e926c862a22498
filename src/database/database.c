/* Opening and closing the database, counts, and the pieces all parts of the folder share. */
#include "base/json.h"
#include "database/database_int.h"

sl_rc sl_db_open(struct sl_kv *kv, const struct sl_db_opts *opts, struct sl_db **ret,
                 struct sl_err *err)
{
    struct sl_db *db = sl_alloc_zero(1, sizeof(*db));
    if (db == NULL) {
        return SL_NOMEM(err);
    }
    db->kv = kv;
    db->opts = *opts;
    sl_rwlock_init(&db->schema_lock);
    for (uint32_t i = 0; i < SLI_STRIPE_COUNT; i++) {
        sl_mutex_init(&db->stripes[i]);
    }
    sl_rc rc = sli_catalog_load(db, err);
    if (rc == SL_OK && !opts->is_read_only) {
        rc = sli_offload_start(db, err);
    }
    if (rc != SL_OK) {
        sl_db_close(db);
        return rc;
    }
    *ret = db;
    return SL_OK;
}

void sl_db_close(struct sl_db *db)
{
    if (db == NULL) {
        return;
    }
    sli_offload_stop(db);
    sli_catalog_free(db);
    for (uint32_t i = 0; i < SLI_STRIPE_COUNT; i++) {
        sl_mutex_fini(&db->stripes[i]);
    }
    sl_rwlock_fini(&db->schema_lock);
    sl_free(db);
}

sl_rc sli_check_writable(const struct sl_db *db, struct sl_err *err)
{
    return db->opts.is_read_only ? SL_FAIL(err, SL_EINVAL, "the database is open for reading only")
                                 : SL_OK;
}

sl_rc sli_class_missing(struct sl_str name, struct sl_err *err)
{
    return SL_FAIL(err, SL_ENOTFOUND, "class %.*s not found", SL_STR_ARG(name));
}

bool sl_db_has_class(struct sl_db *db, struct sl_str name)
{
    sl_rwlock_read(&db->schema_lock);
    bool is_there = sli_class_find_fold(db, name) != NULL;
    sl_rwlock_unlock(&db->schema_lock);
    return is_there;
}

sl_rc sl_db_classes(struct sl_db *db, struct sl_arena *arena, struct sl_str **ret,
                    uint32_t *ret_count, struct sl_err *err)
{
    sl_rwlock_read(&db->schema_lock);
    uint32_t count = HASH_COUNT(db->classes), n = 0;
    struct sl_str *names = sl_arena_array(arena, struct sl_str, (size_t)count + 1);
    bool is_full = names == NULL;
    for (struct sli_class *c = db->classes; !is_full && c != NULL; c = c->hh.next) {
        names[n] = sl_arena_str(arena, c->name);
        is_full = names[n++].ptr == NULL;
    }
    sl_rwlock_unlock(&db->schema_lock);
    if (is_full) {
        return SL_NOMEM(err);
    }
    *ret = names;
    *ret_count = count;
    return SL_OK;
}

/* The reference tells of the shards it has loaded: tenants that are not HOT are left out. */
static sl_rc count_class(struct sl_db *db, const struct sli_class *c, struct sl_db_counts *ret,
                         struct sl_err *err)
{
    for (struct sli_shard *s = c->shards; s != NULL; s = s->hh.next) {
        if (s->status != SL_HOT) {
            continue;
        }
        uint64_t count = 0;
        SL_TRY(sli_counter_read(db->kv, NULL, sli_key_count(s->number), &count, err));
        ret->object_count += count;
        ret->shard_count++;
    }
    return SL_OK;
}

sl_rc sl_db_counts(struct sl_db *db, struct sl_db_counts *ret, struct sl_err *err)
{
    struct sl_db_counts counts = {0};
    sl_rc rc = SL_OK;
    sl_rwlock_read(&db->schema_lock);
    for (struct sli_class *c = db->classes; rc == SL_OK && c != NULL; c = c->hh.next) {
        rc = count_class(db, c, &counts, err);
    }
    sl_rwlock_unlock(&db->schema_lock);
    if (rc == SL_OK) {
        *ret = counts;
    }
    return rc;
}

static sl_rc count_locked(struct sl_db *db, struct sl_db_where where, uint64_t *ret,
                          struct sl_err *err)
{
    struct sli_class *c = sli_class_find(db, where.class_name);
    if (c == NULL) {
        return SL_FAIL(err, SL_EINVAL, "could not find class %.*s in schema",
                       (int)SL_MIN(where.class_name.len, (size_t)255), where.class_name.ptr);
    }
    uint64_t total = 0;
    if (c->is_multi_tenant || where.tenant.len > 0) {
        uint8_t any[SL_UUID_SIZE] = {0}; /* a tenant is one shard, whatever the UUID */
        struct sli_shard *shard = NULL;
        bool needs_auto = false;
        SL_TRY(sli_shard_route(db, c, where.tenant, any, false, &shard, &needs_auto, err));
        if (!needs_auto) {
            SL_TRY(sli_counter_read(db->kv, NULL, sli_key_count(shard->number), &total, err));
        }
    } else {
        struct sl_db_counts counts = {0};
        SL_TRY(count_class(db, c, &counts, err));
        total = counts.object_count;
    }
    *ret = total;
    return SL_OK;
}

sl_rc sl_db_count(struct sl_db *db, struct sl_db_where where, uint64_t *ret, struct sl_err *err)
{
    sl_rwlock_read(&db->schema_lock);
    sl_rc rc = count_locked(db, where, ret, err);
    sl_rwlock_unlock(&db->schema_lock);
    return rc;
}

void sl_db_node_shard_json(struct sl_json *w, struct sl_str class_name, struct sl_str name,
                           uint64_t object_count)
{
    sl_json_obj(w);
    sl_json_key(w, "asyncReplicationStatus");
    sl_json_raw(w, SL_STR("[]"));
    sl_json_key(w, "class");
    sl_json_str(w, class_name);
    sl_json_key(w, "compressed");
    sl_json_bool(w, false);
    sl_json_key(w, "loaded");
    sl_json_bool(w, true);
    sl_json_key(w, "name");
    sl_json_str(w, name);
    sl_json_key(w, "numberOfReplicas");
    sl_json_u64(w, 1);
    sl_json_key(w, "objectCount");
    sl_json_u64(w, object_count);
    sl_json_key(w, "replicationFactor");
    sl_json_u64(w, 1);
    sl_json_key(w, "vectorIndexingStatus");
    sl_json_text(w, "READY");
    sl_json_key(w, "vectorQueueLength");
    sl_json_u64(w, 0);
    sl_json_obj_end(w);
}

static sl_rc add_shards(struct sl_db *db, const struct sli_class *c, struct sl_json *w,
                        struct sl_err *err)
{
    for (struct sli_shard *s = c->shards; s != NULL; s = s->hh.next) {
        uint64_t count = 0;
        if (s->status != SL_HOT) {
            continue;
        }
        SL_TRY(sli_counter_read(db->kv, NULL, sli_key_count(s->number), &count, err));
        sl_db_node_shard_json(w, c->name, s->name, count);
    }
    return SL_OK;
}

sl_rc sl_db_node_shards(struct sl_db *db, struct sl_str class_name, struct sl_buf *out,
                        struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    sl_rc rc = SL_OK;
    sl_rwlock_read(&db->schema_lock);
    if (class_name.len > 0 && sli_class_find(db, class_name) == NULL) {
        rc = sli_class_missing(class_name, err);
    }
    sl_json_arr(&w);
    for (struct sli_class *c = db->classes; rc == SL_OK && c != NULL; c = c->hh.next) {
        if (class_name.len == 0 || sl_str_eq(c->name, class_name)) {
            rc = add_shards(db, c, &w, err);
        }
    }
    sl_json_arr_end(&w);
    sl_rwlock_unlock(&db->schema_lock);
    return rc == SL_OK ? sl_buf_done(out, err) : rc;
}
