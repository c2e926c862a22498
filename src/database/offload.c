/* Offload: the objects of FROZEN tenants live in one checksummed file each (offload_file.c), in a
 * folder or an object store.
 *
 * One mover thread. Freezing: write the file, which is durable when it is complete, read it back
 * and compare the checksum, then erase the objects and say FROZEN in one commit. Thawing: check the
 * whole file, put the objects back, say HOT or COLD, sync, then remove the file. Either copy is
 * durable before the other goes, and a killed mover starts over at the next start because FREEZING
 * and UNFREEZING are recorded. A move that fails is told and tried again, ever more rarely. Files
 * of deleted tenants wait in a list for the mover: nobody waits for a store under the schema lock.
 */
#include "base/workers.h"
#include "database/offload_int.h"

#define CHUNK_BYTES  (1u << 20)   /* of objects put back, a commit */
#define RETRY_MIN_NS 1000000000   /* after the first failure; doubles with each one after it */
#define RETRY_MAX_NS 300000000000 /* a store that is back is found within five minutes */

/* A deleted tenant, whose files are to go. */
struct forgotten {
    struct forgotten *next;
    uint64_t shard_no;
    char *class_name;
};

struct sli_offload {
    struct sl_thread *thread;
    struct sl_cancel cancel; /* asked per record and by waits of uploads */
    struct sl_mutex mu;      /* leaf */
    struct sl_cond wake;
    bool is_wanted, is_stopping; /* under mu, as is the next */
    struct forgotten *forgotten;
};

/* A move, copied out of the catalog so that no lock is held while bytes flow. */
struct move {
    struct sl_arena arena;
    struct sl_str class_name, shard_name;
    uint64_t class_no, shard_no;
    enum sl_tenant_status status;
};

static bool is_stopping(struct sl_db *db)
{
    return sl_cancel_is_set(&db->offload->cancel);
}

/* ---- moves ---- */

/* The tenant of a move, if it still is in the state the move began with. schema_lock held alone. */
static struct sli_shard *find_locked(struct sl_db *db, const struct move *m, struct sli_class **ret)
{
    struct sli_class *c = sli_class_find(db, m->class_name);
    struct sli_shard *s = c == NULL ? NULL : sli_shard_find(c, m->shard_name);
    *ret = c;
    return s != NULL && s->number == m->shard_no && s->status == m->status ? s : NULL;
}

static sl_rc finish_freeze(struct sl_db *db, const struct move *m, struct sl_err *err)
{
    SL_AUTO_PTR(sl_kv_batch) batch = sl_kv_batch_new();
    if (batch == NULL) {
        return SL_NOMEM(err);
    }
    struct sli_class *c = NULL;
    sl_rc rc = SL_OK;
    sl_rwlock_write(&db->schema_lock);
    struct sli_shard *s = find_locked(db, m, &c);
    if (s != NULL) { /* else it was asked back or deleted meanwhile */
        struct sli_span span = sli_span_objects(m->shard_no);
        sl_kv_batch_delete_span(
            batch, (struct sl_kv_span){sli_key_view(&span.lo), sli_key_view(&span.hi)});
        s->status = SL_FROZEN;
        rc = sli_shard_put(db, c, s, batch, err);
        if (rc != SL_OK) {
            s->status = SL_FREEZING;
        }
    }
    sl_rwlock_unlock(&db->schema_lock);
    return rc == SL_OK ? sl_kv_sync(db->kv, err) : rc;
}

static sl_rc freeze(struct sl_db *db, const struct move *m, struct sl_err *err)
{
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    struct sli_offload_file file = {0};
    SL_TRY(sli_offload_clean(db, m->class_name, m->shard_no, &key, err));
    file.key = sl_buf_str(&key);
    SL_TRY(sli_offload_write(db, file.key, m->shard_no, &db->offload->cancel, &file.size, err));
    SL_TRY(sli_offload_read(db, &file, m->shard_no, NULL, NULL, err));
    return finish_freeze(db, m, err);
}

struct restoring {
    struct sl_db *db;
    const struct move *m;
    struct sl_kv_batch *batch;
    size_t bytes;
};

static sl_rc restore_record(void *arg, struct sl_bytes uuid, struct sl_bytes value,
                            struct sl_err *err)
{
    struct restoring *r = arg;
    struct sli_key key = sli_key_object(r->m->shard_no, uuid.ptr);
    sl_kv_batch_put(r->batch, sli_key_view(&key), value);
    r->bytes += value.len;
    if (r->bytes >= CHUNK_BYTES) {
        SL_TRY(sl_kv_commit(r->db->kv, r->batch, err));
        sl_kv_batch_clear(r->batch);
        r->bytes = 0;
    }
    return is_stopping(r->db) ? SL_ECANCELED : SL_OK;
}

static sl_rc finish_thaw(struct sl_db *db, const struct move *m, struct sl_kv_batch *batch,
                         bool *ret_is_done, struct sl_err *err)
{
    struct sli_class *c = NULL;
    sl_rc rc = SL_OK;
    sl_rwlock_write(&db->schema_lock);
    struct sli_shard *s = find_locked(db, m, &c);
    *ret_is_done = s != NULL;
    if (s != NULL) {
        s->status = s->target;
        rc = sli_shard_put(db, c, s, batch, err);
        if (rc != SL_OK) {
            s->status = SL_UNFREEZING;
        }
    }
    sl_rwlock_unlock(&db->schema_lock);
    return rc == SL_OK ? sl_kv_sync(db->kv, err) : rc;
}

static sl_rc thaw(struct sl_db *db, const struct move *m, struct sl_err *err)
{
    struct restoring r = {.db = db, .m = m, .batch = sl_kv_batch_new()};
    if (r.batch == NULL) {
        return SL_NOMEM(err);
    }
    bool is_done = false;
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    struct sli_offload_file file = {0};
    sl_rc rc = sli_offload_find(db, m->class_name, m->shard_no, &key, &file, err);
    if (rc == SL_OK) { /* whole, before anything is put */
        rc = sli_offload_read(db, &file, m->shard_no, NULL, NULL, err);
    }
    if (rc == SL_OK) {
        rc = sli_offload_read(db, &file, m->shard_no, restore_record, &r, err);
    }
    if (rc == SL_OK) {
        rc = finish_thaw(db, m, r.batch, &is_done, err);
    }
    sl_kv_batch_free(r.batch);
    if (rc == SL_OK && is_done) {
        SL_AUTO(sl_buf) next = SL_BUF_EMPTY;
        SL_IGNORE(sli_offload_clean(db, m->class_name, m->shard_no, &next, NULL),
                  "a file that may not be removed is never taken for a newer one");
    }
    return rc;
}

/* ---- the mover ---- */

/* The next tenant that is to move and did not fail in this round (shard number above `after`). */
static bool next_move(struct sl_db *db, uint64_t after, struct move *ret)
{
    const struct sli_class *class_of = NULL;
    const struct sli_shard *found = NULL;
    sl_rwlock_read(&db->schema_lock);
    for (struct sli_class *c = db->classes; c != NULL; c = c->hh.next) {
        for (struct sli_shard *s = c->is_multi_tenant ? c->shards : NULL; s != NULL;
             s = s->hh.next) {
            bool moves = s->status == SL_FREEZING || s->status == SL_UNFREEZING;
            if (moves && s->number > after && (found == NULL || s->number < found->number)) {
                found = s;
                class_of = c;
            }
        }
    }
    if (found != NULL) {
        ret->class_name = sl_arena_str(&ret->arena, class_of->name);
        ret->shard_name = sl_arena_str(&ret->arena, found->name);
        ret->class_no = class_of->number;
        ret->shard_no = found->number;
        ret->status = found->status;
    }
    sl_rwlock_unlock(&db->schema_lock);
    return found != NULL && ret->class_name.ptr != NULL && ret->shard_name.ptr != NULL;
}

static void move_told(struct sl_db *db, const struct move *m, sl_rc rc, const struct sl_err *err)
{
    const struct sl_db_opts *o = &db->opts;
    if (rc != SL_ECANCELED && o->offload_failed != NULL) {
        o->offload_failed(o->offload_arg, m->class_name, m->shard_name, rc, err);
    }
}

/* One round over all tenants that are to move; false when one failed. The first failure is told:
 * the others mostly have its cause. */
static bool move_all(struct sl_db *db)
{
    bool is_good = true;
    uint64_t after = 0;
    while (!is_stopping(db)) {
        struct move m = {0};
        struct sl_err err = {0};
        if (!next_move(db, after, &m)) {
            sl_arena_fini(&m.arena);
            return is_good;
        }
        after = m.shard_no;
        sl_rc rc = m.status == SL_FREEZING ? freeze(db, &m, &err) : thaw(db, &m, &err);
        if (rc != SL_OK && is_good) {
            move_told(db, &m, rc, &err);
        }
        is_good = is_good && rc == SL_OK;
        sl_arena_fini(&m.arena);
    }
    return is_good;
}

static void forgotten_free(struct forgotten *f)
{
    sl_free(f->class_name);
    sl_free(f);
}

/* Best effort: a file left over belongs to no tenant, since shard numbers are never used again. The
 * deletion is durable before the file goes. */
static void forget_all(struct sl_db *db, struct forgotten *list)
{
    bool is_wanted = list != NULL && sl_kv_sync(db->kv, NULL) == SL_OK;
    while (list != NULL) {
        struct forgotten *f = list;
        list = f->next;
        SL_AUTO(sl_buf) next = SL_BUF_EMPTY;
        if (is_wanted && !is_stopping(db)) {
            SL_IGNORE(sli_offload_clean(db, sl_str_from(f->class_name), f->shard_no, &next, NULL),
                      "best effort");
        }
        forgotten_free(f);
    }
}

static void mover(void *arg)
{
    struct sl_db *db = arg;
    struct sli_offload *o = db->offload;
    int64_t retry_ns = 0; /* the last round was good */
    for (;;) {
        sl_mutex_lock(&o->mu);
        while (!o->is_wanted && !o->is_stopping && retry_ns == 0) {
            sl_cond_wait(&o->wake, &o->mu);
        }
        if (!o->is_wanted && !o->is_stopping) {
            (void)sl_cond_wait_for(&o->wake, &o->mu, retry_ns);
        }
        bool stops = o->is_stopping;
        struct forgotten *forgotten = sl_move(&o->forgotten);
        o->is_wanted = false;
        sl_mutex_unlock(&o->mu);
        forget_all(db, forgotten);
        if (stops) {
            return;
        }
        int64_t next_ns =
            SL_MIN(SL_MAX(2 * retry_ns, (int64_t)RETRY_MIN_NS), (int64_t)RETRY_MAX_NS);
        retry_ns = move_all(db) ? 0 : next_ns;
    }
}

sl_rc sli_offload_start(struct sl_db *db, struct sl_err *err)
{
    struct sli_offload *o = sl_alloc_zero(1, sizeof(*o));
    if (o == NULL) {
        return SL_NOMEM(err);
    }
    sl_cancel_init(&o->cancel);
    sl_mutex_init(&o->mu);
    sl_cond_init(&o->wake);
    o->is_wanted = true; /* finishes what a killed process left */
    db->offload = o;
    return sl_thread_start("offload", mover, db, &o->thread, err);
}

void sli_offload_stop(struct sl_db *db)
{
    struct sli_offload *o = db->offload;
    if (o == NULL) {
        return;
    }
    sl_cancel_set(&o->cancel);
    sl_mutex_lock(&o->mu);
    o->is_stopping = true;
    sl_cond_signal(&o->wake);
    sl_mutex_unlock(&o->mu);
    sl_thread_join(o->thread);
    sl_cond_fini(&o->wake);
    sl_mutex_fini(&o->mu);
    sl_cancel_fini(&o->cancel);
    sl_free(o);
    db->offload = NULL;
}

void sli_offload_wake(struct sl_db *db)
{
    sl_mutex_lock(&db->offload->mu);
    db->offload->is_wanted = true;
    sl_cond_signal(&db->offload->wake);
    sl_mutex_unlock(&db->offload->mu);
}

void sli_offload_forget(struct sl_db *db, const struct sli_class *c, const struct sli_shard *s)
{
    if (s->status == SL_HOT || s->status == SL_COLD) {
        return; /* its file went when it came back */
    }
    struct forgotten *f = sl_alloc_zero(1, sizeof(*f));
    char *name = sl_strndup(c->name.ptr, c->name.len);
    if (f == NULL || name == NULL) {
        sl_free(f);
        sl_free(name);
        return;
    }
    struct sli_offload *o = db->offload;
    f->shard_no = s->number;
    f->class_name = name;
    sl_mutex_lock(&o->mu);
    f->next = o->forgotten;
    o->forgotten = f;
    o->is_wanted = true;
    sl_cond_signal(&o->wake);
    sl_mutex_unlock(&o->mu);
}
