/* Offload: the objects of FROZEN tenants live in one checksummed file each.
 *
 * File `<offload_path>/<class>-<shard number>.sluice-offload`:
 *   "SLOFF001" | shard number u64 | records | 0xFFFFFFFF u32 | count u64 | XXH3-64 of all before
 * u64 record: length u32 of what follows | uuid 16 | stored object All integers little-endian.
 *
 * One mover thread. Freezing: write the file, sync, read it back and compare the checksum, then
 * erase the objects and say FROZEN in one commit. Thawing: check the whole file, put the objects
 * back, say HOT or COLD, sync, then remove the file. Either copy is durable before the other goes,
 * and a killed mover starts over at the next start because FREEZING and UNFREEZING are recorded. A
 * move that fails is tried again after RETRY_NS. */
#include "base/file.h"
#include "base/hash.h"
#include "base/workers.h"
#include "database/database_int.h"

#define MAGIC       "SLOFF001"
#define MAGIC_SIZE  8
#define END_MARK    UINT32_MAX
#define CHUNK_BYTES (1u << 20)
#define RECORD_MAX  (1u << 30)
#define RETRY_NS    5000000000
#define SUFFIX      ".sluice-offload"

struct sli_offload {
    struct sl_thread *thread;
    struct sl_mutex mu; /* leaf */
    struct sl_cond wake;
    bool is_wanted, is_stopping; /* under mu */
    _Atomic bool is_interrupted; /* asked per record */
};

/* A move, copied out of the catalog so that no lock is held while bytes flow. */
struct move {
    struct sl_arena arena;
    struct sl_str class_name, shard_name;
    uint64_t class_no, shard_no;
    enum sl_tenant_status status;
    struct sl_buf path;
};

static void move_fini(struct move *m)
{
    sl_arena_fini(&m->arena);
    sl_buf_fini(&m->path);
}

static bool is_stopping(struct sl_db *db)
{
    return atomic_load_explicit(&db->offload->is_interrupted, memory_order_relaxed);
}

/* ---- writing ---- */

struct out {
    struct sl_file *file;
    struct sl_xxh *hash;
    struct sl_buf buf;
};

static sl_rc flush(struct out *o, struct sl_err *err)
{
    SL_TRY(sl_buf_done(&o->buf, err));
    sl_xxh_add(o->hash, sl_buf_view(&o->buf));
    SL_TRY(sl_file_append(o->file, sl_buf_view(&o->buf), err));
    sl_buf_clear(&o->buf);
    return SL_OK;
}

static sl_rc write_records(struct sl_db *db, const struct move *m, struct out *o,
                           uint64_t *ret_count, struct sl_err *err)
{
    struct sli_span span = sli_span_objects(m->shard_no);
    struct sl_kv_span kv_span = {sli_key_view(&span.lo), sli_key_view(&span.hi)};
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    SL_TRY(sl_kv_scan(db->kv, NULL, kv_span, true, &it, err));
    for (;;) {
        struct sl_bytes key, value;
        sl_rc rc = is_stopping(db) ? SL_ECANCELED : sl_kv_next(it, &key, &value, err);
        if (rc == SL_END) {
            return SL_OK;
        }
        SL_TRY(rc);
        sl_buf_add_u32(&o->buf, (uint32_t)(SL_UUID_SIZE + value.len));
        sl_buf_add(&o->buf, SL_BYTES(key.ptr + key.len - SL_UUID_SIZE, SL_UUID_SIZE));
        sl_buf_add(&o->buf, value);
        (*ret_count)++;
        if (o->buf.len >= CHUNK_BYTES) {
            SL_TRY(flush(o, err));
        }
    }
}

static sl_rc write_file(struct sl_db *db, const struct move *m, struct out *o, struct sl_err *err)
{
    uint64_t count = 0;
    sl_buf_add(&o->buf, SL_BYTES(MAGIC, MAGIC_SIZE));
    sl_buf_add_u64(&o->buf, m->shard_no);
    SL_TRY(write_records(db, m, o, &count, err));
    sl_buf_add_u32(&o->buf, END_MARK);
    sl_buf_add_u64(&o->buf, count);
    SL_TRY(flush(o, err));
    sl_buf_add_u64(&o->buf, sl_xxh_value(o->hash));
    SL_TRY(sl_buf_done(&o->buf, err));
    SL_TRY(sl_file_append(o->file, sl_buf_view(&o->buf), err));
    return sl_file_sync(o->file, err);
}

static sl_rc write_temp(struct sl_db *db, const struct move *m, const char *temp,
                        struct sl_err *err)
{
    struct out o = {.hash = sl_xxh_new()};
    sl_rc rc = o.hash == NULL ? SL_NOMEM(err) : sl_file_open(temp, SL_FILE_REPLACE, &o.file, err);
    if (rc == SL_OK) {
        rc = write_file(db, m, &o, err);
    }
    sl_file_close(o.file);
    sl_xxh_free(o.hash);
    sl_buf_fini(&o.buf);
    return rc;
}

/* ---- reading ---- */

typedef sl_rc record_fn(void *arg, struct sl_bytes uuid, struct sl_bytes value, struct sl_err *err);

struct in {
    struct sl_file *file;
    struct sl_xxh *hash;
    uint64_t at, size; /* of the part before the checksum */
    struct sl_buf buf;
};

/* The next `len` bytes, hashed; the view lives until the next call. */
static sl_rc take(struct in *in, size_t len, struct sl_bytes *ret, struct sl_err *err)
{
    if (len > in->size - in->at) {
        return SL_FAIL(err, SL_ECORRUPT, "%s: damaged at offset %llu", sl_file_path(in->file),
                       (unsigned long long)in->at);
    }
    sl_buf_clear(&in->buf);
    uint8_t *at = sl_buf_reserve(&in->buf, len);
    if (at == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sl_file_pread(in->file, in->at, at, len, err));
    in->at += len;
    *ret = SL_BYTES(at, len);
    sl_xxh_add(in->hash, *ret);
    return SL_OK;
}

static sl_rc read_records(struct in *in, record_fn *fn, void *arg, uint64_t *ret_count,
                          struct sl_err *err)
{
    for (;;) {
        struct sl_bytes bytes;
        SL_TRY(take(in, 4, &bytes, err));
        struct sl_rd rd = sl_rd_over(bytes);
        uint32_t len = sl_rd_u32(&rd);
        if (len == END_MARK) {
            return SL_OK;
        }
        if (len < SL_UUID_SIZE || len > RECORD_MAX) {
            return SL_FAIL(err, SL_ECORRUPT, "%s: a record of %u bytes at offset %llu",
                           sl_file_path(in->file), len, (unsigned long long)in->at);
        }
        SL_TRY(take(in, len, &bytes, err));
        (*ret_count)++;
        if (fn != NULL) {
            SL_TRY(fn(arg, SL_BYTES(bytes.ptr, SL_UUID_SIZE),
                      SL_BYTES(bytes.ptr + SL_UUID_SIZE, len - SL_UUID_SIZE), err));
        }
    }
}

static sl_rc read_all(struct in *in, uint64_t shard_no, record_fn *fn, void *arg,
                      struct sl_err *err)
{
    struct sl_bytes bytes;
    uint64_t size = 0, count = 0;
    SL_TRY(sl_file_size(in->file, &size, err));
    if (size < MAGIC_SIZE + 8 + 4 + 8 + 8) {
        return SL_FAIL(err, SL_ECORRUPT, "%s: too short for an offload file",
                       sl_file_path(in->file));
    }
    in->size = size - 8;
    SL_TRY(take(in, MAGIC_SIZE + 8, &bytes, err));
    struct sl_rd rd = sl_rd_over(bytes);
    struct sl_bytes magic = sl_rd_bytes(&rd, MAGIC_SIZE);
    if (memcmp(magic.ptr, MAGIC, MAGIC_SIZE) != 0 || sl_rd_u64(&rd) != shard_no) {
        return SL_FAIL(err, SL_ECORRUPT, "%s: not the offload file of this tenant",
                       sl_file_path(in->file));
    }
    SL_TRY(read_records(in, fn, arg, &count, err));
    SL_TRY(take(in, 8, &bytes, err));
    rd = sl_rd_over(bytes);
    uint64_t want_count = sl_rd_u64(&rd), got = sl_xxh_value(in->hash);
    uint8_t trailer[8];
    SL_TRY(sl_file_pread(in->file, in->size, trailer, sizeof(trailer), err));
    rd = sl_rd_over(SL_BYTES(trailer, sizeof(trailer)));
    if (in->at != in->size || want_count != count || sl_rd_u64(&rd) != got) {
        return SL_FAIL(err, SL_ECORRUPT, "%s: checksum or count differ", sl_file_path(in->file));
    }
    return SL_OK;
}

/* Walks the file; with fn NULL it only checks. */
static sl_rc read_file(const char *path, uint64_t shard_no, record_fn *fn, void *arg,
                       struct sl_err *err)
{
    struct in in = {.hash = sl_xxh_new()};
    sl_rc rc = in.hash == NULL ? SL_NOMEM(err) : sl_file_open(path, SL_FILE_READ, &in.file, err);
    if (rc == SL_OK) {
        rc = read_all(&in, shard_no, fn, arg, err);
    }
    sl_file_close(in.file);
    sl_xxh_free(in.hash);
    sl_buf_fini(&in.buf);
    return rc;
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

static sl_rc freeze(struct sl_db *db, struct move *m, struct sl_err *err)
{
    SL_AUTO(sl_buf) temp = SL_BUF_EMPTY;
    SL_TRY(sl_dir_create(db->offload_path, err));
    sl_buf_addf(&temp, "%s.tmp", sl_buf_cstr(&m->path));
    const char *name = sl_buf_cstr(&temp);
    SL_TRY(sl_buf_done(&temp, err));
    sl_rc rc = write_temp(db, m, name, err);
    if (rc == SL_OK) {
        rc = read_file(name, m->shard_no, NULL, NULL, err);
    }
    if (rc == SL_OK) {
        rc = sl_file_rename(name, sl_buf_cstr(&m->path), false, err);
    }
    if (rc != SL_OK) {
        SL_IGNORE(sl_file_unlink(name, NULL), "replaced by the next try");
        return rc;
    }
    SL_TRY(sl_dir_sync(db->offload_path, err));
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

static sl_rc thaw(struct sl_db *db, struct move *m, struct sl_err *err)
{
    struct restoring r = {.db = db, .m = m, .batch = sl_kv_batch_new()};
    if (r.batch == NULL) {
        return SL_NOMEM(err);
    }
    bool is_done = false;
    const char *path = sl_buf_cstr(&m->path);
    sl_rc rc = read_file(path, m->shard_no, NULL, NULL, err); /* whole, before anything is put */
    if (rc == SL_OK) {
        rc = read_file(path, m->shard_no, restore_record, &r, err);
    }
    if (rc == SL_OK) {
        rc = finish_thaw(db, m, r.batch, &is_done, err);
    }
    sl_kv_batch_free(r.batch);
    return rc == SL_OK && is_done ? sl_file_unlink(path, err) : rc;
}

/* ---- the mover ---- */

static sl_rc add_path(struct sl_db *db, struct sl_str class_name, uint64_t shard_no,
                      struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    sl_buf_addf(&name, "%.*s-%llu" SUFFIX, SL_STR_ARG(class_name), (unsigned long long)shard_no);
    sl_path_join(out, sl_str_from(db->offload_path), sl_buf_str(&name));
    SL_TRY(sl_buf_done(&name, err));
    return sl_buf_done(out, err);
}

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

/* One round over all tenants that are to move; false when one failed. */
static bool move_all(struct sl_db *db)
{
    bool is_good = true;
    uint64_t after = 0;
    while (!is_stopping(db)) {
        struct move m = {0};
        struct sl_err err = {0};
        if (!next_move(db, after, &m)) {
            move_fini(&m);
            return is_good;
        }
        after = m.shard_no;
        sl_rc rc = add_path(db, m.class_name, m.shard_no, &m.path, &err);
        if (rc == SL_OK) {
            rc = m.status == SL_FREEZING ? freeze(db, &m, &err) : thaw(db, &m, &err);
        }
        is_good = is_good && rc == SL_OK;
        move_fini(&m);
    }
    return is_good;
}

static void mover(void *arg)
{
    struct sl_db *db = arg;
    struct sli_offload *o = db->offload;
    bool is_good = true;
    for (;;) {
        sl_mutex_lock(&o->mu);
        while (!o->is_wanted && !o->is_stopping && is_good) {
            sl_cond_wait(&o->wake, &o->mu);
        }
        if (!o->is_wanted && !o->is_stopping) {
            (void)sl_cond_wait_for(&o->wake, &o->mu, RETRY_NS);
        }
        bool stops = o->is_stopping;
        o->is_wanted = false;
        sl_mutex_unlock(&o->mu);
        if (stops) {
            return;
        }
        is_good = move_all(db);
    }
}

sl_rc sli_offload_start(struct sl_db *db, struct sl_err *err)
{
    struct sli_offload *o = sl_alloc_zero(1, sizeof(*o));
    if (o == NULL) {
        return SL_NOMEM(err);
    }
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
    atomic_store_explicit(&o->is_interrupted, true, memory_order_relaxed);
    sl_mutex_lock(&o->mu);
    o->is_stopping = true;
    sl_cond_signal(&o->wake);
    sl_mutex_unlock(&o->mu);
    sl_thread_join(o->thread);
    sl_cond_fini(&o->wake);
    sl_mutex_fini(&o->mu);
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

void sli_offload_forget(struct sl_db *db, const struct sli_class *c, uint64_t shard_no)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    if (add_path(db, c->name, shard_no, &path, NULL) == SL_OK) {
        SL_IGNORE(sl_file_unlink(sl_buf_cstr(&path), NULL),
                  "a file left over belongs to no tenant: shard numbers are never used again");
    }
}
