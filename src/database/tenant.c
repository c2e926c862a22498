/* Tenants: their states, the calls that change them, and the way from an object to its shard.
 *
 *   status      reads, writes   meaning                         next
 *   HOT         yes             open                            COLD FREEZING
 *   COLD        no              closed                          HOT FREEZING
 *   FREEZING    no              its objects go to a file        FROZEN (mover), HOT COLD (asked)
 *   FROZEN      no              its objects lie in that file    UNFREEZING (asked for HOT or COLD)
 *   UNFREEZING  no              its objects come back           HOT or COLD (mover)
 *
 * Words of requests: HOT|ACTIVE, COLD|INACTIVE, FROZEN|OFFLOADED; replies use the first of each.
 * Weaviate without its offload module refuses FROZEN; Sluice can do it (offload.c). */
#include "base/hash.h"
#include "base/json.h"
#include "database/database_int.h"

#define TENANT_NAME_MAX 64
#define UPDATE_MAX      100 /* of one PUT, as the reference */

static const char *const status_names[] = {"HOT", "COLD", "FROZEN", "FREEZING", "UNFREEZING"};

const char *sl_tenant_status_name(enum sl_tenant_status s)
{
    return status_names[s];
}

bool sl_tenant_status_parse(struct sl_str word, enum sl_tenant_status *ret)
{
    static const char *const aliases[] = {"ACTIVE", "INACTIVE", "OFFLOADED", "OFFLOADING",
                                          "ONLOADING"};
    for (size_t i = 0; i < SL_COUNT_OF(status_names); i++) {
        if (sl_str_is(word, status_names[i]) || sl_str_is(word, aliases[i])) {
            *ret = (enum sl_tenant_status)i;
            return true;
        }
    }
    return false;
}

struct tenant {
    struct sl_str name;
    enum sl_tenant_status status;
    bool has_status;
};

static sl_rc parse_status(const char *word, struct tenant *t, struct sl_err *err)
{
    t->has_status = sl_tenant_status_parse(sl_str_from(word), &t->status);
    if (t->has_status && (t->status == SL_FREEZING || t->status == SL_UNFREEZING)) {
        return SL_FAIL(err, SL_EINVAL, "invalid activity status '%s' for tenant \"%.*s\"", word,
                       SL_STR_ARG(t->name));
    }
    if (t->has_status) {
        return SL_OK;
    }
    (void)SL_FAIL(err, SL_EINVAL,
                  "activityStatus in body should be one of [ACTIVE INACTIVE OFFLOADED "
                  "OFFLOADING ONLOADING HOT COLD FROZEN FREEZING UNFREEZING]");
    if (err != NULL) {
        err->sys_errno = SL_DB_SWAGGER_ENUM;
    }
    return SL_EINVAL;
}

static bool is_tenant_name(struct sl_str name)
{
    bool is_good = name.len >= 1 && name.len <= TENANT_NAME_MAX;
    for (size_t i = 0; is_good && i < name.len; i++) {
        char c = name.ptr[i];
        is_good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
    }
    return is_good;
}

static sl_rc parse_one(json_t *from, size_t index, struct tenant *t, struct sl_err *err)
{
    json_t *name = json_object_get(from, "name");
    const char *status = json_string_value(json_object_get(from, "activityStatus"));
    t->name = (struct sl_str){json_string_value(name), json_string_length(name)};
    t->status = SL_HOT;
    t->has_status = false;
    if (!is_tenant_name(t->name)) {
        return SL_FAIL(
            err, SL_EINVAL,
            "tenant name at index %zu:  '%.*s' is not a valid tenant name. should only "
            "contain alphanumeric characters (a-z, A-Z, 0-9), underscore (_), and hyphen "
            "(-), with a length between 1 and 64 characters",
            index, SL_STR_ARG(t->name));
    }
    return status == NULL || status[0] == '\0' ? SL_OK : parse_status(status, t, err);
}

static sl_rc parse_list(struct sl_arena *arena, json_t *body, struct tenant **ret,
                        uint32_t *ret_count, struct sl_err *err)
{
    size_t count = json_array_size(body);
    struct tenant *list = sl_arena_array(arena, struct tenant, count + 1);
    if (!json_is_array(body)) {
        return SL_FAIL(err, SL_EINVAL, "the body must be an array of tenants");
    }
    if (list == NULL) {
        return SL_NOMEM(err);
    }
    for (size_t i = 0; i < count; i++) {
        SL_TRY(parse_one(json_array_get(body, i), i, &list[i], err));
    }
    *ret = list;
    *ret_count = (uint32_t)count;
    return SL_OK;
}

static void add_tenant(struct sl_json *w, struct sl_str name, enum sl_tenant_status status,
                       bool has_status)
{
    sl_json_obj(w);
    if (has_status) {
        sl_json_key(w, "activityStatus");
        sl_json_text(w, sl_tenant_status_name(status));
    }
    sl_json_key(w, "name");
    sl_json_str(w, name);
    sl_json_obj_end(w);
}

void sl_db_tenant_json(struct sl_json *w, struct sl_str name, enum sl_tenant_status status)
{
    add_tenant(w, name, status, true);
}

static sl_rc tenant_class(struct sl_db *db, struct sl_str name, const char *call,
                          struct sli_class **ret, struct sl_err *err)
{
    *ret = sli_class_find(db, name);
    if (*ret == NULL) {
        return sli_class_missing(name, err);
    }
    if (!(*ret)->is_multi_tenant) {
        return SL_FAIL(err, SL_EINVAL, "%smulti-tenancy is not enabled for class \"%.*s\"", call,
                       SL_STR_ARG(name));
    }
    return SL_OK;
}

static sl_rc put_record(struct sl_kv_batch *batch, const struct sli_class *c, struct sl_str name,
                        const struct sli_shard *s, struct sl_err *err)
{
    SL_AUTO(sl_buf) record = SL_BUF_EMPTY;
    struct sli_key key = sli_key_shard(c->number, name);
    sli_shard_record(s, &record);
    SL_TRY(sl_buf_done(&record, err));
    sl_kv_batch_put(batch, sli_key_view(&key), sl_buf_view(&record));
    return SL_OK;
}

sl_rc sli_shard_put(struct sl_db *db, const struct sli_class *c, const struct sli_shard *s,
                    struct sl_kv_batch *batch, struct sl_err *err)
{
    SL_TRY(put_record(batch, c, s->name, s, err));
    return sl_kv_commit(db->kv, batch, err);
}

/* ---- add ---- */

/* One batch and one sync for any number of tenants; those that exist stay as they are. */
static sl_rc add_locked(struct sl_db *db, struct sli_class *c, const struct tenant *list,
                        uint32_t count, struct sl_err *err)
{
    SL_AUTO_PTR(sl_kv_batch) batch = sl_kv_batch_new();
    if (batch == NULL) {
        return SL_NOMEM(err);
    }
    uint64_t first = db->next_shard_no;
    for (uint32_t i = 0; i < count; i++) {
        if (sli_shard_find(c, list[i].name) != NULL) {
            continue;
        }
        struct sli_shard s = {.number = db->next_shard_no,
                              .status = list[i].status,
                              .is_never_opened = list[i].status != SL_HOT};
        struct sli_shard *added = NULL;
        SL_TRY(put_record(batch, c, list[i].name, &s, err));
        SL_TRY(sli_shard_add(c, list[i].name, &s, &added, err));
        db->next_shard_no++;
    }
    sli_catalog_counters(db, batch);
    sl_rc rc = sl_kv_commit(db->kv, batch, err);
    if (rc != SL_OK) { /* nothing was stored: take the new descriptors out again */
        struct sli_shard *s = NULL, *next = NULL;
        HASH_ITER (hh, c->shards, s, next) {
            if (s->number >= first) {
                HASH_DEL(c->shards, s);
                sl_free((void *)(uintptr_t)s->name.ptr);
                sl_free(s);
            }
        }
        c->shard_count = HASH_COUNT(c->shards);
    }
    return rc;
}

sl_rc sl_db_tenants_add(struct sl_db *db, struct sl_str class_name, json_t *body,
                        struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_arena) arena = SL_ARENA_EMPTY;
    struct tenant *list = NULL;
    uint32_t count = 0;
    SL_TRY(sli_check_writable(db, err));
    SL_TRY(parse_list(&arena, body, &list, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].status == SL_FROZEN) {
            return SL_FAIL(err, SL_EINVAL, "invalid activity status 'FROZEN' for tenant \"%.*s\"",
                           SL_STR_ARG(list[i].name));
        }
    }
    size_t before = out->len;
    struct sl_json w = sl_json_over(out); /* the reply first: its memory must not fail later */
    sl_json_arr(&w);
    for (uint32_t i = 0; i < count; i++) {
        add_tenant(&w, list[i].name, list[i].status, list[i].has_status);
    }
    sl_json_arr_end(&w);
    SL_TRY(sl_buf_done(out, err));
    struct sli_class *c = NULL;
    sl_rwlock_write(&db->schema_lock);
    sl_rc rc = tenant_class(db, class_name, "updating schema: TYPE_ADD_TENANT: ", &c, err);
    if (rc == SL_OK) {
        rc = add_locked(db, c, list, count, err);
    }
    sl_rwlock_unlock(&db->schema_lock);
    if (rc == SL_OK) {
        rc = sl_kv_sync(db->kv, err);
    }
    if (rc != SL_OK) {
        out->len = before;
    }
    return rc;
}

/* ---- update ---- */

/* The next state when `wanted` is asked for; *ret_moves says that the mover has work. */
static void step(struct sli_shard *s, enum sl_tenant_status wanted, bool *ret_moves)
{
    bool is_away = s->status == SL_FROZEN || s->status == SL_UNFREEZING;
    if (wanted == SL_FROZEN) {
        if (!is_away || s->status == SL_UNFREEZING) {
            s->status = s->status == SL_UNFREEZING ? SL_UNFREEZING : SL_FREEZING;
            *ret_moves = true;
        }
    } else if (is_away) {
        s->status = SL_UNFREEZING;
        s->target = wanted;
        *ret_moves = true;
    } else {
        s->status = wanted;
    }
    if (wanted == SL_HOT) {
        s->is_never_opened = false;
    }
}

static sl_rc update_locked(struct sl_db *db, struct sli_class *c, const struct tenant *list,
                           uint32_t count, bool *ret_moves, struct sl_json *w, struct sl_err *err)
{
    SL_AUTO_PTR(sl_kv_batch) batch = sl_kv_batch_new();
    if (batch == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (sli_shard_find(c, list[i].name) == NULL) {
            return SL_FAIL(err, SL_EINVAL,
                           "updating schema: TYPE_UPDATE_TENANT: shard not found: %.*s",
                           SL_STR_ARG(list[i].name));
        }
    }
    /* Records and reply first, from copies: the descriptors change only after the commit. */
    sl_json_arr(w);
    for (uint32_t i = 0; i < count; i++) {
        const struct sli_shard *s = sli_shard_find(c, list[i].name);
        struct sli_shard next = {.number = s->number,
                                 .status = s->status,
                                 .target = s->target,
                                 .is_never_opened = s->is_never_opened};
        step(&next, list[i].status, ret_moves);
        sl_db_tenant_json(w, s->name, next.status);
        SL_TRY(put_record(batch, c, s->name, &next, err));
    }
    sl_json_arr_end(w);
    SL_TRY(sl_buf_done(w->out, err));
    SL_TRY(sl_kv_commit(db->kv, batch, err));
    for (uint32_t i = 0; i < count; i++) {
        step(sli_shard_find(c, list[i].name), list[i].status, ret_moves);
    }
    return SL_OK;
}

sl_rc sl_db_tenants_update(struct sl_db *db, struct sl_str class_name, json_t *body,
                           struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_arena) arena = SL_ARENA_EMPTY;
    struct tenant *list = NULL;
    uint32_t count = 0;
    SL_TRY(sli_check_writable(db, err));
    SL_TRY(parse_list(&arena, body, &list, &count, err));
    if (count > UPDATE_MAX) {
        return SL_FAIL(
            err, SL_EINVAL,
            "maximum number of tenants allowed to be updated simultaneously is %d. Please "
            "reduce the number of tenants in your request and try again",
            UPDATE_MAX);
    }
    size_t before = out->len;
    struct sl_json w = sl_json_over(out);
    struct sli_class *c = NULL;
    bool moves = false;
    sl_rwlock_write(&db->schema_lock);
    sl_rc rc = tenant_class(db, class_name, "", &c, err);
    if (rc == SL_OK) {
        rc = update_locked(db, c, list, count, &moves, &w, err);
    }
    sl_rwlock_unlock(&db->schema_lock);
    if (rc == SL_OK) {
        rc = sl_kv_sync(db->kv, err);
    }
    if (rc != SL_OK) {
        out->len = before;
        return rc;
    }
    if (moves) {
        sli_offload_wake(db);
    }
    return SL_OK;
}

/* ---- delete, list, get ---- */

static sl_rc delete_locked(struct sl_db *db, struct sli_class *c, json_t *names, struct sl_err *err)
{
    SL_AUTO_PTR(sl_kv_batch) batch = sl_kv_batch_new();
    if (batch == NULL) {
        return SL_NOMEM(err);
    }
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(names, i, one)
    {
        struct sl_str name = {json_string_value(one), json_string_length(one)};
        struct sli_shard *s = name.len == 0 ? NULL : sli_shard_find(c, name);
        if (s != NULL) {
            struct sli_key key = sli_key_shard(c->number, s->name);
            sl_kv_batch_delete(batch, sli_key_view(&key));
            sli_shard_erase(s->number, batch);
        }
    }
    SL_TRY(sl_kv_commit(db->kv, batch, err));
    json_array_foreach(names, i, one)
    {
        struct sl_str name = {json_string_value(one), json_string_length(one)};
        struct sli_shard *s = name.len == 0 ? NULL : sli_shard_find(c, name);
        if (s != NULL) {
            sli_offload_forget(db, c, s);
            HASH_DEL(c->shards, s);
            sl_free((void *)(uintptr_t)s->name.ptr);
            sl_free(s);
        }
    }
    c->shard_count = HASH_COUNT(c->shards);
    return SL_OK;
}

sl_rc sl_db_tenants_delete(struct sl_db *db, struct sl_str class_name, json_t *body,
                           struct sl_err *err)
{
    struct sli_class *c = NULL;
    SL_TRY(sli_check_writable(db, err));
    if (!json_is_array(body)) {
        return SL_FAIL(err, SL_EINVAL, "the body must be an array of tenant names");
    }
    sl_rwlock_write(&db->schema_lock);
    sl_rc rc = tenant_class(db, class_name, "", &c, err);
    if (rc == SL_OK) {
        rc = delete_locked(db, c, body, err);
    }
    sl_rwlock_unlock(&db->schema_lock);
    return rc == SL_OK ? sl_kv_sync(db->kv, err) : rc;
}

sl_rc sl_db_tenants_list(struct sl_db *db, struct sl_str class_name, struct sl_buf *out,
                         struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    struct sli_class *c = NULL;
    sl_rwlock_read(&db->schema_lock);
    sl_rc rc = tenant_class(db, class_name, "", &c, err);
    if (rc == SL_OK) {
        sl_json_arr(&w);
        for (struct sli_shard *s = c->shards; s != NULL; s = s->hh.next) {
            sl_db_tenant_json(&w, s->name, s->status);
        }
        sl_json_arr_end(&w);
    }
    sl_rwlock_unlock(&db->schema_lock);
    return rc == SL_OK ? sl_buf_done(out, err) : rc;
}

sl_rc sl_db_tenant_get(struct sl_db *db, struct sl_str class_name, struct sl_str tenant,
                       struct sl_buf *out, struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    struct sli_class *c = NULL;
    sl_rwlock_read(&db->schema_lock);
    sl_rc rc = tenant_class(db, class_name, "", &c, err);
    struct sli_shard *s = rc == SL_OK ? sli_shard_find(c, tenant) : NULL;
    if (rc == SL_OK && s == NULL) {
        rc = SL_FAIL(err, SL_ENOTFOUND, "tenant not found: \"%.*s\"", SL_STR_ARG(tenant));
    } else if (rc == SL_OK) {
        sl_db_tenant_json(&w, s->name, s->status);
    }
    sl_rwlock_unlock(&db->schema_lock);
    return rc == SL_OK ? sl_buf_done(out, err) : rc;
}

/* ---- from an object to its shard ---- */

static sl_rc route_tenant(struct sli_class *c, struct sl_str tenant, bool is_write,
                          struct sli_shard **ret, bool *ret_needs_auto, struct sl_err *err)
{
    if (tenant.len == 0) {
        return SL_FAIL(err, SL_EINVAL,
                       "determine shard: class %.*s has multi-tenancy enabled, but request was "
                       "without tenant",
                       SL_STR_ARG(c->name));
    }
    struct sli_shard *s = sli_shard_find(c, tenant);
    if (s == NULL && is_write && c->auto_tenant_creation) {
        *ret_needs_auto = true;
        return SL_OK;
    }
    if (s == NULL) {
        return SL_FAIL(err, SL_EINVAL, "%s%s%sdetermine shard: tenant not found: \"%.*s\"",
                       is_write ? "put object: import into index " : "",
                       is_write ? c->name_lower : "", is_write ? ": " : "", SL_STR_ARG(tenant));
    }
    if (s->status != SL_HOT && c->auto_tenant_activation) {
        *ret_needs_auto = true;
        return SL_OK;
    }
    if (s->status != SL_HOT) {
        return SL_FAIL(err, SL_EINVAL, "determine shard: tenant not active: '%.*s'",
                       SL_STR_ARG(tenant));
    }
    *ret = s;
    return SL_OK;
}

sl_rc sli_shard_route(struct sl_db *db SL_UNUSED, struct sli_class *c, struct sl_str tenant,
                      const uint8_t uuid[SL_UUID_SIZE], bool is_write, struct sli_shard **ret,
                      bool *ret_needs_auto, struct sl_err *err)
{
    *ret_needs_auto = false;
    if (c->is_multi_tenant) {
        return route_tenant(c, tenant, is_write, ret, ret_needs_auto, err);
    }
    if (tenant.len > 0) {
        return SL_FAIL(
            err, SL_EINVAL,
            "determine shard: class %.*s has multi-tenancy disabled, but request was with "
            "tenant",
            SL_STR_ARG(c->name));
    }
    uint64_t hash = c->shard_count == 1 ? 0 : sl_xxh64(SL_BYTES(uuid, SL_UUID_SIZE));
    *ret = c->ring[hash % c->shard_count];
    return SL_OK;
}

sl_rc sli_tenant_auto(struct sl_db *db, struct sl_str class_name, struct sl_str tenant,
                      struct sl_err *err)
{
    json_t *one =
        json_pack("[{s:s%, s:s}]", "name", tenant.ptr, tenant.len, "activityStatus", "HOT");
    SL_AUTO(sl_buf) ignored = SL_BUF_EMPTY;
    if (one == NULL) {
        return SL_NOMEM(err);
    }
    sl_rwlock_read(&db->schema_lock);
    struct sli_class *c = sli_class_find(db, class_name);
    bool is_there = c != NULL && sli_shard_find(c, tenant) != NULL;
    sl_rwlock_unlock(&db->schema_lock);
    sl_rc rc = is_there ? sl_db_tenants_update(db, class_name, one, &ignored, err)
                        : sl_db_tenants_add(db, class_name, one, &ignored, err);
    json_decref(one);
    return rc;
}
