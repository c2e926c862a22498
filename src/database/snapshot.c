/* Frozen views: the catalog and the objects of one instant, read from the view itself, so that what
 * happens to the live catalog after the freeze changes nothing. */
#include "database/database_int.h"

struct sl_db_view {
    struct sl_db *db;
    struct sl_kv_view *view; /* owned */
};

sl_rc sl_db_freeze(struct sl_db *db, struct sl_str name, struct sl_db_view **ret,
                   struct sl_err *err)
{
    struct sl_db_view *v = sl_alloc_zero(1, sizeof(*v));
    if (v == NULL) {
        return SL_NOMEM(err);
    }
    v->db = db;
    sl_rc rc = db->kv->ops->freeze(db->kv, name, &v->view, err);
    if (rc != SL_OK) {
        sl_free(v);
        return rc;
    }
    *ret = v;
    return SL_OK;
}

sl_rc sl_db_freeze_drop(struct sl_db *db, struct sl_str name, struct sl_err *err)
{
    struct sl_kv_view *view = NULL;
    sl_rc rc = db->kv->ops->reopen(db->kv, name, &view, err);
    if (rc == SL_OK) {
        sl_kv_thaw(db->kv, view, true);
    }
    return rc == SL_ENOTFOUND ? SL_OK : rc;
}

void sl_db_view_release(struct sl_db_view *v, bool drop)
{
    if (v != NULL) {
        sl_kv_thaw(v->db->kv, v->view, drop);
        sl_free(v);
    }
}

/* Calls fn for every record of a span of the catalog. */
typedef sl_rc record_fn(void *arg, const struct sli_catalog_key *k, struct sl_bytes value,
                        struct sl_err *err);
static sl_rc each_record(struct sl_db_view *v, const struct sli_span *span, record_fn *fn,
                         void *arg, struct sl_err *err)
{
    struct sl_kv_span kv_span = {sli_key_view(&span->lo), sli_key_view(&span->hi)};
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    SL_TRY(sl_kv_scan(v->db->kv, v->view, kv_span, false, &it, err));
    for (;;) {
        struct sl_bytes key, value;
        sl_rc rc = sl_kv_next(it, &key, &value, err);
        if (rc == SL_END) {
            return SL_OK;
        }
        SL_TRY(rc);
        struct sli_catalog_key k;
        SL_TRY(sli_key_catalog_read(key, &k, err));
        SL_TRY(fn(arg, &k, value, err));
    }
}

struct names {
    struct sl_arena *arena;
    struct sl_str *list;
    uint32_t count, cap;
};

static sl_rc add_name(void *arg, const struct sli_catalog_key *k, struct sl_bytes value,
                      struct sl_err *err)
{
    struct names *n = arg;
    if (k->is_shard) {
        return SL_OK;
    }
    struct sli_class *c = NULL;
    SL_TRY(sli_class_parse(sl_bytes_str(value), &c, err));
    struct sl_str copy = sl_arena_str(n->arena, c->name);
    sli_class_free(c);
    struct sl_str *grown = sl_arena_grow(n->arena, n->list, n->count, &n->cap);
    if (grown == NULL) {
        return SL_NOMEM(err);
    }
    n->list = grown;
    n->list[n->count++] = copy;
    return copy.ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

sl_rc sl_db_view_classes(struct sl_db_view *v, struct sl_arena *arena, struct sl_str **ret,
                         uint32_t *ret_count, struct sl_err *err)
{
    struct sli_span span = sli_span_catalog();
    struct names n = {.arena = arena};
    SL_TRY(each_record(v, &span, add_name, &n, err));
    *ret = n.list;
    *ret_count = n.count;
    return SL_OK;
}

struct finding {
    struct sl_str name;
    uint64_t number;
    bool is_found, is_multi_tenant;
    struct sl_arena *arena; /* NULL: the JSON is not wanted */
    struct sl_str json;
};

static sl_rc find_class(void *arg, const struct sli_catalog_key *k, struct sl_bytes value,
                        struct sl_err *err)
{
    struct finding *f = arg;
    if (k->is_shard || f->is_found) {
        return SL_OK;
    }
    struct sli_class *c = NULL;
    SL_TRY(sli_class_parse(sl_bytes_str(value), &c, err));
    if (sl_str_eq(c->name, f->name)) {
        f->is_found = true;
        f->number = k->class_no;
        f->is_multi_tenant = c->is_multi_tenant;
        f->json = f->arena == NULL ? SL_STR("") : sl_arena_str(f->arena, c->json);
    }
    sli_class_free(c);
    return SL_OK;
}

sl_rc sl_db_view_class(struct sl_db_view *v, struct sl_str name, struct sl_arena *arena,
                       struct sl_str *ret, struct sl_err *err)
{
    struct sli_span span = sli_span_catalog();
    struct finding f = {.name = name, .arena = arena};
    SL_TRY(each_record(v, &span, find_class, &f, err));
    if (!f.is_found) {
        return SL_FAIL(err, SL_ENOTFOUND, "class %.*s does not exist", SL_STR_ARG(name));
    }
    *ret = f.json;
    return f.json.ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

struct shards {
    struct sl_db_view *v;
    struct sl_arena *arena;
    struct sl_db_shard *list;
    uint32_t count, cap;
};

static sl_rc add_shard(void *arg, const struct sli_catalog_key *k, struct sl_bytes value,
                       struct sl_err *err)
{
    struct shards *s = arg;
    struct sli_shard parsed = {0};
    if (!k->is_shard) {
        return SL_OK;
    }
    SL_TRY(sli_shard_parse(value, &parsed, err));
    struct sl_db_shard *grown = sl_arena_grow(s->arena, s->list, s->count, &s->cap);
    if (grown == NULL) {
        return SL_NOMEM(err);
    }
    s->list = grown;
    struct sl_db_shard *one = &s->list[s->count++];
    *one = (struct sl_db_shard){.name = sl_arena_str(s->arena, k->shard_name),
                                .number = parsed.number,
                                .status = parsed.status,
                                .is_never_opened = parsed.is_never_opened};
    return one->name.ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

sl_rc sl_db_view_shards(struct sl_db_view *v, struct sl_str class_name, bool *ret_is_multi_tenant,
                        struct sl_arena *arena, struct sl_db_shard **ret, uint32_t *ret_count,
                        struct sl_err *err)
{
    struct sli_span catalog = sli_span_catalog();
    struct finding f = {.name = class_name};
    SL_TRY(each_record(v, &catalog, find_class, &f, err));
    if (!f.is_found) {
        return SL_FAIL(err, SL_ENOTFOUND, "class %.*s is not in the view", SL_STR_ARG(class_name));
    }
    struct sli_span span = sli_span_class(f.number);
    struct shards s = {.v = v, .arena = arena};
    SL_TRY(each_record(v, &span, add_shard, &s, err));
    for (uint32_t i = 0; i < s.count; i++) {
        SL_TRY(sli_counter_read(v->db->kv, v->view, sli_key_count(s.list[i].number),
                                &s.list[i].object_count, err));
    }
    *ret_is_multi_tenant = f.is_multi_tenant;
    *ret = s.list;
    *ret_count = s.count;
    return SL_OK;
}

sl_rc sl_db_view_split(struct sl_db_view *v, uint64_t shard_number, uint32_t key_max,
                       uint8_t (*ret_uuids)[SL_UUID_SIZE], uint32_t *ret_count, struct sl_err *err)
{
    struct sli_span span = sli_span_objects(shard_number);
    struct sl_kv_span kv_span = {sli_key_view(&span.lo), sli_key_view(&span.hi)};
    SL_AUTO(sl_buf) keys = SL_BUF_EMPTY;
    uint32_t count = 0, n = 0;
    SL_TRY(v->db->kv->ops->split(v->db->kv, v->view, kv_span, key_max, &keys, &count, err));
    struct sl_rd rd = sl_rd_over(sl_buf_view(&keys));
    for (uint32_t i = 0; i < count; i++) {
        struct sl_bytes key = sl_rd_bytes(&rd, sl_rd_u32(&rd));
        size_t prefix = SL_KV_PARTITION_SIZE + 1;
        if (key.len <= prefix) {
            continue;
        }
        /* A cut may be shorter than a whole key: it is padded with zeros, which sorts alike. */
        uint8_t uuid[SL_UUID_SIZE] = {0};
        memcpy(uuid, key.ptr + prefix, SL_MIN(key.len - prefix, sizeof(uuid)));
        if (n == 0 || memcmp(ret_uuids[n - 1], uuid, sizeof(uuid)) < 0) {
            memcpy(ret_uuids[n++], uuid, sizeof(uuid));
        }
    }
    SL_TRY(sl_rd_done(&rd, "split keys", err));
    *ret_count = n;
    return SL_OK;
}

sl_rc sl_db_view_scan(struct sl_db_view *v, uint64_t shard_number, const uint8_t *lo,
                      const uint8_t *hi, struct sl_kv_iter **ret, struct sl_err *err)
{
    struct sli_span span = sli_span_objects(shard_number);
    if (lo != NULL) {
        span.lo = sli_key_object(shard_number, lo);
    }
    if (hi != NULL) {
        span.hi = sli_key_object(shard_number, hi);
    }
    struct sl_kv_span kv_span = {sli_key_view(&span.lo), sli_key_view(&span.hi)};
    return sl_kv_scan(v->db->kv, v->view, kv_span, true, ret, err);
}
