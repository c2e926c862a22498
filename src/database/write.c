/* One write request: locks, the old object, vector dimensions, one commit, one sync.
 *
 * Two writers of one object must not both read the old state, so every UUID of a request locks its
 * stripe, all stripes in ascending order: no two requests can wait for each other. The same order
 * carries the lock that the first writer of a vector needs to fix its dimensions. Order of locks:
 * schema (shared), stripes, then the store's own. What a request wrote is one kv batch, so a
 * failure leaves nothing half done inside a shard. Called by object.c, batch.c and reference.c. One
 * request belongs to one thread. */
#include "database/object_int.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/stats.h"

#define NS_PER_MS 1000000

sl_rc sli_request_init(struct sli_request *req, struct sl_db *db, bool is_write, struct sl_err *err)
{
    *req = (struct sli_request){.db = db};
    if (is_write && db->opts.is_read_only) {
        return SL_FAIL(err, SL_EINVAL, "the database was opened read-only: nothing can be written");
    }
    req->now_ms = sl_clock_wall_ns(db->opts.clock) / NS_PER_MS;
    req->object = sl_alloc_zero(1, sizeof *req->object);
    if (req->object == NULL) {
        return SL_NOMEM(err);
    }
    return SL_OK;
}

static void unlock_stripes(struct sli_request *req) SL_NO_LOCK_ANALYSIS
{
    if (!req->has_stripes) {
        return;
    }
    for (uint32_t i = SLI_STRIPE_COUNT; i-- > 0;) {
        if (req->stripes[i / 64] >> (i % 64) & 1) {
            sl_mutex_unlock(&req->db->stripes[i]);
        }
    }
    memset(req->stripes, 0, sizeof req->stripes);
    req->has_stripes = false;
}

void sli_request_lock(struct sli_request *req)
{
    sl_rwlock_read(&req->db->schema_lock);
    req->has_schema_lock = true;
}

void sli_request_unlock(struct sli_request *req)
{
    unlock_stripes(req);
    if (req->has_schema_lock) {
        sl_rwlock_unlock(&req->db->schema_lock);
        req->has_schema_lock = false;
    }
    req->targets = NULL; /* they point at descriptors that only the lock keeps alive */
}

void sli_request_fini(struct sli_request *req)
{
    sli_request_unlock(req);
    sl_kv_batch_free(req->batch);
    sl_free(req->object);
    sl_buf_fini(&req->stored);
    sl_buf_fini(&req->old);
    sl_arena_fini(&req->arena);
}

struct sli_class *sli_request_class(struct sli_request *req, struct sl_str name)
{
    if (name.len == 0 || name.ptr[0] < 'a' || name.ptr[0] > 'z') {
        return sli_class_find(req->db, name);
    }
    char raised[256];
    if (name.len > sizeof raised) {
        return NULL;
    }
    memcpy(raised, name.ptr, name.len);
    raised[0] = (char)(raised[0] - 'a' + 'A');
    return sli_class_find(req->db, (struct sl_str){raised, name.len});
}

/* Reads what the store knows of the dimensions of a slot; absent is 0. */
static sl_rc read_dims(struct sli_request *req, struct sli_target *t, uint32_t slot,
                       struct sl_err *err)
{
    struct sl_str name = slot == 0 ? SL_STR("") : t->class->vectors[slot - 1].name;
    struct sli_key key = sli_key_dims(t->shard->number, name);
    sl_buf_clear(&req->old);
    sl_rc rc = sl_kv_get(req->db->kv, NULL, sli_key_view(&key), &req->old, err);
    if (rc == SL_ENOTFOUND) {
        return SL_OK;
    }
    SL_TRY(rc);
    struct sl_rd rd = sl_rd_over(sl_buf_view(&req->old));
    t->dims[slot] = sl_rd_u32(&rd);
    return sl_rd_done(&rd, "dimensions of a vector", err);
}

static sl_rc target_new(struct sli_request *req, struct sli_class *c, struct sli_shard *shard,
                        struct sli_target **ret, struct sl_err *err)
{
    struct sli_target *t = sl_arena_array(&req->arena, struct sli_target, 1);
    uint32_t slot_count = c->vector_count + 1;
    uint32_t *dims = sl_arena_array(&req->arena, uint32_t, slot_count);
    bool *is_dims_set = sl_arena_array(&req->arena, bool, slot_count);
    if (t == NULL || dims == NULL || is_dims_set == NULL) {
        return SL_NOMEM(err);
    }
    *t = (struct sli_target){
        .class = c, .shard = shard, .dims = dims, .is_dims_set = is_dims_set, .next = req->targets};
    for (uint32_t slot = 0; slot < slot_count; slot++) {
        SL_TRY(read_dims(req, t, slot, err));
    }
    req->targets = t;
    *ret = t;
    return SL_OK;
}

sl_rc sli_request_target(struct sli_request *req, struct sli_class *c, struct sl_str tenant,
                         const uint8_t uuid[SL_UUID_SIZE], struct sli_target **ret,
                         bool *ret_needs_auto, struct sl_err *err)
{
    struct sli_shard *shard = NULL;
    SL_TRY(sli_shard_route(req->db, c, tenant, uuid, true, &shard, ret_needs_auto, err));
    if (*ret_needs_auto) {
        return SL_OK;
    }
    for (struct sli_target *t = req->targets; t != NULL; t = t->next) {
        if (t->shard == shard) {
            *ret = t;
            return SL_OK;
        }
    }
    return target_new(req, c, shard, ret, err);
}

static bool is_refusal(sl_rc rc)
{
    return rc == SL_EINVAL || rc == SL_ENOTFOUND || rc == SL_ECONFLICT || rc == SL_EREFUSED ||
           rc == SL_EBADREQ || rc == SL_ETOOBIG || rc == SL_EFORBIDDEN;
}

sl_rc sli_item_refuse(struct sli_request *req, struct sli_item *item, enum sli_stage stage,
                      sl_rc rc, const struct sl_err *cause, struct sl_err *err)
{
    const char *text = sl_err_text(cause, rc);
    if (!is_refusal(rc)) {
        return SL_FAIL(err, rc, "%s", text);
    }
    struct sl_str copy = sl_arena_str(&req->arena, sl_str_from(text));
    if (copy.ptr == NULL) {
        return SL_NOMEM(err);
    }
    item->rc = rc;
    item->stage = stage;
    item->error = copy.ptr;
    return SL_OK;
}

void sli_items_fini(struct sli_item *items, uint32_t count)
{
    for (uint32_t i = 0; items != NULL && i < count; i++) {
        sl_buf_fini(&items[i].data);
    }
}

static void mark_stripe(struct sli_request *req, uint32_t stripe)
{
    req->stripes[stripe / 64] |= UINT64_C(1) << (stripe % 64);
}

/* Both ends of the UUID count: sequential ids differ in the last bytes, time-based in the first. */
static uint32_t stripe_of(const uint8_t uuid[SL_UUID_SIZE])
{
    uint32_t tail = (uint32_t)uuid[14] << 8 | uuid[15];
    uint32_t head = (uint32_t)uuid[0] << 8 | uuid[1];
    return (tail ^ head) % SLI_STRIPE_COUNT;
}

static void lock_marked(struct sli_request *req) SL_NO_LOCK_ANALYSIS
{
    for (uint32_t i = 0; i < SLI_STRIPE_COUNT; i++) {
        if (req->stripes[i / 64] >> (i % 64) & 1) {
            sl_mutex_lock(&req->db->stripes[i]);
        }
    }
    req->has_stripes = true;
}

sl_rc sli_request_lock_stripes(struct sli_request *req, struct sli_item *items, uint32_t count,
                               struct sl_err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].rc == SL_OK) {
            mark_stripe(req, stripe_of(items[i].uuid));
        }
    }
    /* Only writers that may fix dimensions for the first time need the lock of the shard. */
    for (struct sli_target *t = req->targets; t != NULL; t = t->next) {
        for (uint32_t slot = 0; slot <= t->class->vector_count; slot++) {
            if (t->dims[slot] == 0) {
                struct sl_bytes number = SL_BYTES(&t->shard->number, sizeof t->shard->number);
                mark_stripe(req, (uint32_t)(sl_xxh64(number) % SLI_STRIPE_COUNT));
            }
        }
    }
    lock_marked(req);
    for (struct sli_target *t = req->targets; t != NULL; t = t->next) {
        for (uint32_t slot = 0; slot <= t->class->vector_count; slot++) {
            if (t->dims[slot] == 0) {
                SL_TRY(read_dims(req, t, slot, err));
            }
        }
    }
    return SL_OK;
}

sl_rc sli_request_read(struct sli_request *req, const struct sli_shard *shard,
                       const uint8_t uuid[SL_UUID_SIZE], struct sl_err *err)
{
    struct sli_key key = sli_key_object(shard->number, uuid);
    sl_buf_clear(&req->old);
    SL_TRY(sl_kv_get(req->db->kv, NULL, sli_key_view(&key), &req->old, err));
    return sl_object_read(sl_buf_view(&req->old), req->object, err);
}

/* The index refuses a vector of another length than the first one it got. */
static sl_rc check_dims(const struct sli_item *item, struct sl_err *err)
{
    struct sli_target *t = item->target;
    for (uint32_t i = 0; i < item->vec_count; i++) {
        const struct sli_vec *v = &item->vecs[i];
        if (t->dims[v->slot] == 0 || t->dims[v->slot] == v->dims) {
            continue;
        }
        char id[SL_UUID_TEXT_SIZE + 1] = "";
        sl_uuid_format(item->uuid, id);
        struct sl_str name = v->slot == 0 ? SL_STR("") : t->class->vectors[v->slot - 1].name;
        return SL_FAIL(
            err, SL_EREFUSED,
            "Validate vector index%s%.*s for %s%s: new node has a vector with length %u. "
            "Existing nodes have vectors with length %u: vector dimensions do not match "
            "the index dimensions",
            name.len > 0 ? " " : "", SL_STR_ARG(name), name.len > 0 ? "target vector " : "", id,
            v->dims, t->dims[v->slot]);
    }
    return SL_OK;
}

static void note_dims(struct sli_item *item)
{
    for (uint32_t i = 0; i < item->vec_count; i++) {
        const struct sli_vec *v = &item->vecs[i];
        if (item->target->dims[v->slot] == 0) {
            item->target->dims[v->slot] = v->dims;
            item->target->is_dims_set[v->slot] = true;
        }
    }
}

static int compare_items(const void *a, const void *b)
{
    const struct sli_item *x = *(struct sli_item *const *)a;
    const struct sli_item *y = *(struct sli_item *const *)b;
    uint64_t nx = x->target->shard->number;
    uint64_t ny = y->target->shard->number;
    if (nx != ny) {
        return nx < ny ? -1 : 1;
    }
    int c = memcmp(x->uuid, y->uuid, SL_UUID_SIZE);
    return c != 0 ? c : (x > y) - (x < y); /* items are one array: its order is the request's */
}

/* Of several items with one UUID the last is stored; the count must see it once. */
static sl_rc supersede(struct sli_request *req, struct sli_item *items, uint32_t count,
                       struct sl_err *err)
{
    struct sli_item **sorted = sl_arena_array(&req->arena, struct sli_item *, SL_MAX(count, 1));
    if (sorted == NULL) {
        return SL_NOMEM(err);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].rc == SL_OK) {
            sorted[n++] = &items[i];
        }
    }
    qsort(sorted, n, sizeof *sorted, compare_items);
    for (uint32_t i = 0; i + 1 < n; i++) {
        if (sorted[i]->target == sorted[i + 1]->target &&
            memcmp(sorted[i]->uuid, sorted[i + 1]->uuid, SL_UUID_SIZE) == 0) {
            sorted[i]->is_superseded = true;
        }
    }
    return SL_OK;
}

static struct sl_bytes item_bytes(const struct sli_item *item, size_t at, size_t len)
{
    return len == 0 ? (struct sl_bytes){NULL, 0} : SL_BYTES(item->data.ptr + at, len);
}

void sli_item_fields(struct sli_request *req, const struct sli_item *item)
{
    struct sl_object *obj = req->object;
    struct sli_class *c = item->target->class;
    memcpy(obj->uuid, item->uuid, SL_UUID_SIZE);
    obj->doc_id = 0;
    obj->create_ms = item->create_ms;
    obj->update_ms = item->update_ms;
    obj->class_name = c->name;
    obj->properties = item_bytes(item, item->properties_at, item->properties_len);
    obj->vector = obj->additional = obj->vector_weights = (struct sl_bytes){0};
    obj->named_count = obj->multi_count = 0;
    for (uint32_t i = 0; i < item->vec_count; i++) {
        const struct sli_vec *v = &item->vecs[i];
        struct sl_bytes bytes = item_bytes(item, v->at, v->len);
        if (v->slot == 0) {
            obj->vector = bytes;
        } else if (c->vectors[v->slot - 1].is_multi) {
            obj->multi[obj->multi_count++] = (struct sl_multi_vector){
                .name = c->vectors[v->slot - 1].name, .body = bytes, .row_count = v->row_count};
        } else {
            obj->named[obj->named_count++] =
                (struct sl_named_vector){c->vectors[v->slot - 1].name, bytes};
        }
    }
}

/* Adds one object to the kv batch and to the sums of its shard. */
static sl_rc store_item(struct sli_request *req, struct sli_item *item, enum sli_must must,
                        struct sl_err *err)
{
    struct sli_shard *shard = item->target->shard;
    struct sli_key key = sli_key_object(shard->number, item->uuid);
    sl_buf_clear(&req->old);
    sl_rc rc = sl_kv_get(req->db->kv, NULL, sli_key_view(&key), &req->old, err);
    if (rc != SL_OK && rc != SL_ENOTFOUND) {
        return rc;
    }
    bool is_there = rc == SL_OK;
    if (must == SLI_MUST_NOT_EXIST && is_there) {
        char id[SL_UUID_TEXT_SIZE + 1] = "";
        sl_uuid_format(item->uuid, id);
        return SL_FAIL(err, SL_EINVAL, "id '%s' already exists", id);
    }
    if (must == SLI_MUST_EXIST && !is_there) {
        return SL_FAIL(err, SL_ENOTFOUND, "no such object");
    }
    if (must == SLI_MUST_EXIST) {
        SL_TRY(sl_object_read(sl_buf_view(&req->old), req->object, err));
        item->create_ms = req->object->create_ms;
    }
    sli_item_fields(req, item);
    req->object->doc_id = atomic_fetch_add_explicit(&shard->next_doc, 1, memory_order_relaxed);
    sl_buf_clear(&req->stored);
    SL_TRY(sl_object_write(req->object, &req->stored, err));
    SL_TRY(sl_buf_done(&req->stored, err));
    sl_kv_batch_put(req->batch, sli_key_view(&key), sl_buf_view(&req->stored));
    item->target->doc_count++;
    item->target->new_count += !is_there;
    return SL_OK;
}

/* Counters and dims of the shards the request wrote to, once per shard. */
static void put_sums(struct sli_request *req)
{
    for (struct sli_target *t = req->targets; t != NULL; t = t->next) {
        struct sli_key docs = sli_key_docs(t->shard->number);
        struct sli_key count = sli_key_count(t->shard->number);
        if (t->doc_count > 0) {
            sl_kv_batch_add(req->batch, sli_key_view(&docs), t->doc_count);
        }
        if (t->new_count > 0) {
            sl_kv_batch_add(req->batch, sli_key_view(&count), t->new_count);
        }
        t->doc_count = t->new_count = 0;
        for (uint32_t slot = 0; slot <= t->class->vector_count; slot++) {
            if (!t->is_dims_set[slot]) {
                continue;
            }
            struct sl_str name = slot == 0 ? SL_STR("") : t->class->vectors[slot - 1].name;
            struct sli_key key = sli_key_dims(t->shard->number, name);
            uint8_t dims[4];
            sl_put_u32(dims, t->dims[slot]);
            sl_kv_batch_put(req->batch, sli_key_view(&key), SL_BYTES(dims, sizeof dims));
        }
    }
}

static sl_rc batch_begin(struct sli_request *req, struct sl_err *err)
{
    if (req->batch == NULL) {
        req->batch = sl_kv_batch_new();
    } else {
        sl_kv_batch_clear(req->batch);
    }
    return req->batch == NULL ? SL_NOMEM(err) : SL_OK;
}

sl_rc sli_request_store(struct sli_request *req, struct sli_item *items, uint32_t count,
                        enum sli_must must, struct sl_err *err)
{
    sl_assert(req->has_stripes);
    SL_TRY(batch_begin(req, err));
    struct sl_err cause = {0};
    for (uint32_t i = 0; i < count; i++) {
        sl_rc rc = items[i].rc == SL_OK ? check_dims(&items[i], &cause) : SL_OK;
        if (rc != SL_OK) {
            SL_TRY(sli_item_refuse(req, &items[i], SLI_AT_STORE, rc, &cause, err));
        } else if (items[i].rc == SL_OK) {
            note_dims(&items[i]);
        }
    }
    SL_TRY(supersede(req, items, count, err));
    uint64_t stored_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].rc != SL_OK || items[i].is_superseded) {
            continue;
        }
        sl_rc rc = store_item(req, &items[i], must, &cause);
        if (rc != SL_OK) {
            SL_TRY(sli_item_refuse(req, &items[i], SLI_AT_ROUTE, rc, &cause, err));
            continue;
        }
        stored_count++;
    }
    if (stored_count == 0) {
        return SL_OK; /* dims of refused objects are not recorded either */
    }
    put_sums(req);
    req->changed_count = stored_count;
    return SL_OK;
}

sl_rc sli_request_remove(struct sli_request *req, const struct sli_shard *shard,
                         const uint8_t uuid[SL_UUID_SIZE], struct sl_err *err)
{
    if (req->changed_count == 0) {
        SL_TRY(batch_begin(req, err));
    }
    struct sli_key key = sli_key_object(shard->number, uuid);
    struct sli_key count = sli_key_count(shard->number);
    sl_kv_batch_delete(req->batch, sli_key_view(&key));
    sl_kv_batch_add(req->batch, sli_key_view(&count), -1);
    req->changed_count++;
    return SL_OK;
}

sl_rc sli_request_commit(struct sli_request *req, struct sl_err *err)
{
    if (req->changed_count == 0) {
        return SL_OK;
    }
    SL_TRY(sl_kv_commit(req->db->kv, req->batch, err));
    sl_stat_add(SL_STAT_OBJECTS_WRITTEN, req->changed_count);
    req->changed_count = 0;
    return SL_OK;
}

sl_rc sli_request_finish(struct sli_request *req, struct sl_err *err)
{
    SL_TRY(sli_request_commit(req, err));
    sli_request_unlock(req);
    return sl_kv_sync(req->db->kv, err);
}
