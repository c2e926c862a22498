/* kv over RocksDB: the real store. With rocksdb_split.c the only home of its C API.
 *
 * One database, one column family. A commit is a write without sync, so that it is visible at once;
 * durability is bought separately by sl_kv_sync, where one caller syncs the log for everybody who
 * waits (group commit). A frozen view is a checkpoint: hard links to the tables plus a copy of the
 * log, opened read-only as a second database with the same block cache. It was chosen over a
 * RocksDB snapshot because it survives a crash, and because it does not hold old versions in the
 * live store. Called through kv.h by database/, source/ and export/.
 *
 * Memory: two write buffers of at most a quarter of memory_bytes each, the block cache has the
 * rest. Index and filter blocks live in the cache, the number of open tables is bounded and a view
 * replays at most FREEZE_LOG_BYTES of log, so memory does not grow with the data.
 *
 * RocksDB reports failures as text only; sli_rocks_fail turns them into codes and sentences.
 * Locks: sync_mu is a leaf; freeze_mu is held over a whole freeze. @threads any. */
#include "kv/rocksdb_int.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/path.h"
#include "base/stats.h"
#include "base/sync.h"
#include "kv/kv_int.h"

#define MEMORY_MIN (8ull << 20)

/* Below 2 MiB a write buffer is flushed so often that compaction dominates. A freeze may have to
 * flush two of them: 16 MiB take about 25 ms, 64 MiB 65 to 205 ms, which a POST must not take. */
#define WRITE_BUFFER_MIN (2ull << 20)
#define WRITE_BUFFER_MAX (16ull << 20)

/* Objects with a vector have 3 KB and more: with the usual 4 KiB blocks each object would be an
 * index entry and the index of a million objects would not fit the cache. A block costs a scan
 * about as much as a row does, beyond 32 KiB that is no longer seen. */
#define BLOCK_BYTES (32u << 10)

/* Open tables of one database. Each costs a descriptor and some 10 KiB; 512 x 64 MiB = 32 GiB stay
 * open, beyond that tables are opened again on use. */
#define OPEN_FILES_MAX 512

/* A freeze copies up to this much log and replays it when it opens the view; above, the memtable is
 * flushed to a table first. Measured for 100-byte values: replaying costs 20 ms per MiB (random
 * inserts into a skip list; 3 ms for 3 KB values), flushing 1.5 ms per MiB plus 5 ms of syncs.
 * Never flushing took 340 ms with 16 MiB of log; always flushing would leave one small table per
 * export. Writers go on meanwhile. */
#define FREEZE_LOG_BYTES (1ull << 20)

struct rocks_kv {
    struct sl_kv kv;
    rocksdb_t *db;
    rocksdb_options_t *options; /* of the live database and of all views */
    rocksdb_writeoptions_t *write_options;
    rocksdb_writeoptions_t *sync_options;
    rocksdb_readoptions_t *get_options;
    rocksdb_flushoptions_t *flush_options;
    char *path;
    char *freeze_path; /* NULL when read-only */
    bool is_read_only;
    bool is_sync_off;
    struct sl_mutex
        freeze_mu; /* one freeze at a time: two of one name would share a staging folder */
    struct sl_mutex sync_mu; /* protects `sync` */
    struct sl_cond sync_changed;
    struct {
        uint64_t asked;    /* tickets drawn */
        uint64_t done;     /* every ticket up to here is durable */
        bool is_running;   /* a leader is flushing */
        bool must_rewrite; /* the last log sync failed: the log's bytes can no longer be trusted */
    } sync SL_GUARDED;
};

struct sl_kv_view {
    rocksdb_t *db;
    char *path; /* NULL: lent, db belongs to the read-only kv */
};

struct rocks_iter {
    struct sl_kv_iter it;
    const struct rocks_kv *r;
    rocksdb_iterator_t *iter;
    rocksdb_readoptions_t *options;
    bool is_moved; /* the current entry was handed out; advance first */
    size_t hi_len;
    uint8_t hi[]; /* RocksDB keeps a pointer to the upper bound */
};

static struct rocks_kv *rocks_of(struct sl_kv *kv)
{
    return SL_CONTAINER_OF(kv, struct rocks_kv, kv);
}

/* ---- failures ---- */

static bool text_has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

sl_rc sli_rocks_fail(const char *path, const char *what, char *text, struct sl_err *err)
{
    sl_rc rc;
    if (text_has(text, "No space left") || text_has(text, "Disk quota exceeded")) {
        rc = SL_FAIL(err, SL_ENOSPACE,
                     "store %s: cannot %s: the disk is full (%s); free at least %llu MiB, then "
                     "writing goes on within seconds without a restart",
                     path, what, text, WRITE_BUFFER_MAX >> 20);
    } else if (text_has(text, "Corruption")) {
        rc =
            SL_FAIL(err, SL_ECORRUPT,
                    "store %s: cannot %s: stored bytes are damaged (%s); restore the folder from a "
                    "backup",
                    path, what, text);
    } else if (text_has(text, "lock hold by current process") ||
               text_has(text, "While lock file")) {
        rc = SL_FAIL(err, SL_ECONFLICT, "store %s is in use by another process (%s)", path, text);
    } else if (text_has(text, "Permission denied") || text_has(text, "Read-only file system")) {
        rc = SL_FAIL(err, SL_EACCESS,
                     "store %s: cannot %s (%s); give the user that runs this program the right to "
                     "write there",
                     path, what, text);
    } else {
        rc = SL_FAIL(err, SL_EIO, "store %s: cannot %s (%s)", path, what, text);
    }
    rocksdb_free(text);
    return rc;
}

/* ---- reading and writing ---- */

static rocksdb_t *db_of(const struct rocks_kv *r, const struct sl_kv_view *v)
{
    return v == NULL ? r->db : v->db;
}

static sl_rc rocks_get(struct sl_kv *kv, struct sl_kv_view *v, struct sl_bytes key,
                       struct sl_buf *out, struct sl_err *err)
{
    const struct rocks_kv *r = rocks_of(kv);
    char *text = NULL;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned(db_of(r, v), r->get_options, (const char *)key.ptr, key.len, &text);
    if (text != NULL) {
        return sli_rocks_fail(r->path, "read", text, err);
    }
    if (slice == NULL) {
        return SL_ENOTFOUND;
    }
    size_t len;
    const char *value = rocksdb_pinnableslice_value(slice, &len);
    sl_buf_add(out, SL_BYTES(value, len));
    rocksdb_pinnableslice_destroy(slice);
    return sl_buf_done(out, err);
}

static void write_add(rocksdb_writebatch_t *wb, const struct sli_kv_op *op)
{
    const char *key = (const char *)op->key.ptr;
    const char *value = (const char *)op->value.ptr;
    switch (op->kind) {
    case SL_KV_PUT:
        rocksdb_writebatch_put(wb, key, op->key.len, value, op->value.len);
        break;
    case SL_KV_DELETE:
        rocksdb_writebatch_delete(wb, key, op->key.len);
        break;
    case SL_KV_ADD:
        rocksdb_writebatch_merge(wb, key, op->key.len, value, op->value.len);
        break;
    case SL_KV_DELETE_SPAN:
        /* RocksDB takes an empty span for a mistake; for us it deletes nothing. */
        if (sl_bytes_cmp(op->key, op->value) < 0) {
            rocksdb_writebatch_delete_range(wb, key, op->key.len, value, op->value.len);
        }
        break;
    }
}

static sl_rc rocks_commit(struct sl_kv *kv, const struct sl_kv_batch *batch, struct sl_err *err)
{
    struct rocks_kv *r = rocks_of(kv);
    struct sl_rd rd;
    SL_TRY(sli_kv_batch_read(batch, &rd, err));
    if (r->is_read_only) {
        return SL_FAIL(err, SL_EACCESS, "store %s is open for reading only", r->path);
    }
    rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
    struct sli_kv_op op;
    while (sli_kv_op_next(&rd, &op)) {
        write_add(wb, &op);
    }
    char *text = NULL;
    rocksdb_write(r->db, r->write_options, wb, &text);
    rocksdb_writebatch_destroy(wb);
    return text == NULL ? SL_OK : sli_rocks_fail(r->path, "write", text, err);
}

/* One sync for all tickets drawn so far: an empty write with sync set, which flushes every log file
 * there is. rocksdb_flush_wal would do it without entering the queue of writers and is up to a
 * third faster with 32 writers, but when a write has just failed (disk full) on a log file not
 * synced before, it runs into an assertion of RocksDB 7.8, which Debian builds in, and ends the
 * process. After a failed sync the kernel may have dropped the pages it could not write and would
 * call the next sync a success; only tables written anew from memory are proof then, hence the
 * flush. */
static sl_rc sync_lead(struct rocks_kv *r, bool must_rewrite, struct sl_err *err)
{
    char *text = NULL;
    int64_t begun = sl_clock_mono_ns(sl_clock_real());
    if (must_rewrite) {
        rocksdb_flush(r->db, r->flush_options, &text);
    } else {
        rocksdb_writebatch_t *nothing = rocksdb_writebatch_create();
        rocksdb_write(r->db, r->sync_options, nothing, &text);
        rocksdb_writebatch_destroy(nothing);
    }
    sl_stat_add(SL_STAT_SYNCS, 1);
    sl_stat_add(SL_STAT_STORE_SYNC_NS, (uint64_t)(sl_clock_mono_ns(sl_clock_real()) - begun));
    return text == NULL ? SL_OK : sli_rocks_fail(r->path, "make writes durable", text, err);
}

static sl_rc rocks_sync(struct sl_kv *kv, struct sl_err *err)
{
    struct rocks_kv *r = rocks_of(kv);
    if (r->is_read_only || r->is_sync_off) {
        return SL_OK;
    }
    sl_rc rc = SL_OK;
    sl_mutex_lock(&r->sync_mu);
    uint64_t ticket = ++r->sync.asked;
    while (rc == SL_OK && r->sync.done < ticket) {
        if (r->sync.is_running) {
            sl_cond_wait(&r->sync_changed, &r->sync_mu);
            continue;
        }
        r->sync.is_running = true;
        uint64_t covered = r->sync.asked;
        bool must_rewrite = r->sync.must_rewrite;
        sl_mutex_unlock(&r->sync_mu);
        rc = sync_lead(r, must_rewrite, err);
        sl_mutex_lock(&r->sync_mu);
        r->sync.is_running = false;
        r->sync.must_rewrite = rc != SL_OK;
        if (rc == SL_OK) {
            r->sync.done = covered;
        }
        /* After a failure each waiter leads a try of its own and gets its own answer. */
        sl_cond_broadcast(&r->sync_changed);
    }
    sl_mutex_unlock(&r->sync_mu);
    return rc;
}

/* ---- scan ---- */

static sl_rc rocks_next(struct sl_kv_iter *iter, struct sl_bytes *ret_key,
                        struct sl_bytes *ret_value, struct sl_err *err)
{
    struct rocks_iter *it = SL_CONTAINER_OF(iter, struct rocks_iter, it);
    if (it->is_moved) {
        rocksdb_iter_next(it->iter);
    }
    it->is_moved = rocksdb_iter_valid(it->iter) != 0;
    if (!it->is_moved) {
        char *text = NULL;
        rocksdb_iter_get_error(it->iter, &text);
        return text == NULL ? SL_END : sli_rocks_fail(it->r->path, "read", text, err);
    }
    size_t key_len;
    size_t value_len;
    const char *key = rocksdb_iter_key(it->iter, &key_len);
    const char *value = rocksdb_iter_value(it->iter, &value_len);
    *ret_key = SL_BYTES(key, key_len);
    *ret_value = SL_BYTES(value, value_len);
    return SL_OK;
}

static void rocks_iter_close(struct sl_kv_iter *iter)
{
    struct rocks_iter *it = SL_CONTAINER_OF(iter, struct rocks_iter, it);
    rocksdb_iter_destroy(it->iter);
    rocksdb_readoptions_destroy(it->options);
    sl_free(it);
}

static sl_rc rocks_scan(struct sl_kv *kv, struct sl_kv_view *v, struct sl_kv_span span,
                        bool is_bulk, struct sl_kv_iter **ret, struct sl_err *err)
{
    static const struct sl_kv_iter_ops iter_ops = {.next = rocks_next, .close = rocks_iter_close};
    const struct rocks_kv *r = rocks_of(kv);
    struct rocks_iter *it = sl_alloc(sizeof *it + span.hi.len);
    if (it == NULL) {
        return SL_NOMEM(err);
    }
    *it = (struct rocks_iter){.it.ops = &iter_ops, .r = r, .hi_len = span.hi.len};
    it->options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_total_order_seek(it->options, 1);
    if (span.hi.len > 0) {
        memcpy(it->hi, span.hi.ptr, span.hi.len);
        rocksdb_readoptions_set_iterate_upper_bound(it->options, (const char *)it->hi, it->hi_len);
    }
    if (is_bulk) {
        rocksdb_readoptions_set_fill_cache(it->options, 0);
    }
    it->iter = rocksdb_create_iterator(db_of(r, v), it->options);
    if (span.lo.len > 0) {
        rocksdb_iter_seek(it->iter, (const char *)span.lo.ptr, span.lo.len);
    } else {
        rocksdb_iter_seek_to_first(it->iter);
    }
    *ret = &it->it;
    return SL_OK;
}

/* ---- split ---- */

static sl_rc rocks_split(struct sl_kv *kv, struct sl_kv_view *v, struct sl_kv_span span,
                         uint32_t key_max, struct sl_buf *out, uint32_t *ret_count,
                         struct sl_err *err)
{
    const struct rocks_kv *r = rocks_of(kv);
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    SL_TRY(rocks_scan(kv, v, span, true, &it, err));
    rocksdb_iterator_t *iter = SL_CONTAINER_OF(it, struct rocks_iter, it)->iter;
    return sli_rocks_split(db_of(r, v), r->path, iter, span.lo, key_max, out, ret_count, err);
}

/* ---- frozen views ---- */

static rocksdb_t *open_for_reading(const struct rocks_kv *r, const char *path, struct sl_err *err,
                                   sl_rc *ret_rc)
{
    char *text = NULL;
    rocksdb_t *db = rocksdb_open_for_read_only(r->options, path, 0, &text);
    *ret_rc = text == NULL ? SL_OK : sli_rocks_fail(path, "open", text, err);
    return db;
}

static void view_free(struct sl_kv_view *v)
{
    if (v != NULL) {
        if (v->db != NULL && v->path != NULL) {
            rocksdb_close(v->db);
        }
        sl_free(v->path);
        sl_free(v);
    }
}
SL_DEFINE_FREEP(sl_kv_view, view_free)

/* A view with the path of its folder, not yet open. */
static sl_rc view_new(const struct rocks_kv *r, struct sl_str name, struct sl_kv_view **ret,
                      struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_TRY(sli_kv_name_check(name, err));
    sl_path_join(&path, sl_str_from(r->freeze_path), name);
    SL_TRY(sl_buf_done(&path, err));
    SL_AUTO_PTR(sl_kv_view) v = sl_alloc_zero(1, sizeof *v);
    if (v == NULL || (v->path = sl_strndup((const char *)path.ptr, path.len)) == NULL) {
        return SL_NOMEM(err);
    }
    *ret = sl_move(&v);
    return SL_OK;
}

static sl_rc view_open(const struct rocks_kv *r, struct sl_kv_view *v, struct sl_err *err)
{
    sl_rc rc;
    v->db = open_for_reading(r, v->path, err, &rc);
    return rc;
}

static sl_rc checkpoint_make(const struct rocks_kv *r, const char *path, struct sl_err *err)
{
    char *text = NULL;
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(r->db, &text);
    if (text == NULL) {
        rocksdb_checkpoint_create(checkpoint, path, FREEZE_LOG_BYTES, &text);
        rocksdb_checkpoint_object_destroy(checkpoint);
    }
    return text == NULL ? SL_OK : sli_rocks_fail(r->path, "freeze", text, err);
}

static sl_rc freeze_alone(const struct rocks_kv *r, struct sl_kv_view *v, struct sl_err *err)
{
    bool is_taken;
    SL_TRY(sl_file_exists(v->path, &is_taken, err));
    if (is_taken) {
        return SL_FAIL(err, SL_ECONFLICT, "frozen view %s exists already", v->path);
    }
    SL_TRY(checkpoint_make(r, v->path, err));
    sl_rc rc = sl_dir_sync(r->freeze_path, err);
    if (rc == SL_OK) {
        rc = view_open(r, v, err);
    }
    if (rc != SL_OK) {
        SL_IGNORE(sl_dir_remove_tree(v->path, NULL), "listed by frozen, the caller drops it later");
    }
    return rc;
}

static sl_rc view_lend(const struct rocks_kv *r, struct sl_kv_view **ret, struct sl_err *err)
{
    struct sl_kv_view *v = sl_alloc(sizeof *v);
    if (v == NULL) {
        return SL_NOMEM(err);
    }
    *v = (struct sl_kv_view){.db = r->db};
    *ret = v;
    return SL_OK;
}

static sl_rc rocks_freeze(struct sl_kv *kv, struct sl_str name, struct sl_kv_view **ret,
                          struct sl_err *err)
{
    struct rocks_kv *r = rocks_of(kv);
    if (r->is_read_only) {
        return view_lend(r, ret, err);
    }
    SL_AUTO_PTR(sl_kv_view) v = NULL;
    SL_TRY(view_new(r, name, &v, err));
    sl_mutex_lock(&r->freeze_mu);
    sl_rc rc = freeze_alone(r, v, err);
    sl_mutex_unlock(&r->freeze_mu);
    SL_TRY(rc);
    *ret = sl_move(&v);
    return SL_OK;
}

static sl_rc rocks_reopen(struct sl_kv *kv, struct sl_str name, struct sl_kv_view **ret,
                          struct sl_err *err)
{
    struct rocks_kv *r = rocks_of(kv);
    bool is_there = false;
    SL_AUTO_PTR(sl_kv_view) v = NULL;
    if (!r->is_read_only) {
        SL_TRY(view_new(r, name, &v, err));
        SL_TRY(sl_file_exists(v->path, &is_there, err));
    }
    if (!is_there) {
        return SL_FAIL(err, SL_ENOTFOUND, "store %s: frozen view %.*s does not exist", r->path,
                       SL_STR_ARG(name));
    }
    SL_TRY(view_open(r, v, err));
    *ret = sl_move(&v);
    return SL_OK;
}

static void rocks_thaw(struct sl_kv *kv, struct sl_kv_view *v, bool drop)
{
    (void)kv;
    if (v->path != NULL && v->db != NULL) {
        rocksdb_close(sl_move(&v->db));
    }
    if (v->path != NULL && drop) {
        SL_IGNORE(sl_dir_remove_tree(v->path, NULL), "listed by frozen, the caller drops it later");
    }
    view_free(v);
}

static bool is_staging(const char *name)
{
    size_t len = strlen(name);
    return len >= 4 && strcmp(name + len - 4, ".tmp") == 0;
}

static sl_rc frozen_name(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    (void)err;
    struct sl_buf *out = arg;
    if (is_dir && !is_staging(name)) {
        sl_buf_add_text(out, name);
        sl_buf_add_u8(out, '\n');
    }
    return SL_OK;
}

static sl_rc rocks_frozen(struct sl_kv *kv, struct sl_buf *out, struct sl_err *err)
{
    const struct rocks_kv *r = rocks_of(kv);
    if (!r->is_read_only) {
        SL_TRY(sl_dir_list(r->freeze_path, frozen_name, out, err));
    }
    return sl_buf_done(out, err);
}

/* ---- open and close ---- */

static void rocks_close(struct sl_kv *kv)
{
    struct rocks_kv *r = rocks_of(kv);
    if (r->db != NULL) {
        r->is_sync_off = false; /* what it let slide is made durable at a clean stop */
        SL_IGNORE(rocks_sync(kv, NULL), "every sync that was asked for got its own answer");
        rocksdb_close(r->db);
    }
    if (r->options != NULL) {
        rocksdb_options_destroy(r->options);
        rocksdb_writeoptions_destroy(r->write_options);
        rocksdb_writeoptions_destroy(r->sync_options);
        rocksdb_readoptions_destroy(r->get_options);
        rocksdb_flushoptions_destroy(r->flush_options);
    }
    sl_cond_fini(&r->sync_changed);
    sl_mutex_fini(&r->sync_mu);
    sl_mutex_fini(&r->freeze_mu);
    sl_free(r->freeze_path);
    sl_free(r->path);
    sl_free(r);
}

static void options_set_tables(rocksdb_options_t *o, uint64_t cache_bytes)
{
    rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();
    rocksdb_cache_t *cache = rocksdb_cache_create_lru((size_t)cache_bytes);
    rocksdb_block_based_options_set_block_cache(t, cache);
    rocksdb_cache_destroy(cache); /* the options hold a reference */
    rocksdb_block_based_options_set_block_size(t, BLOCK_BYTES);
    rocksdb_block_based_options_set_format_version(t, 5);
    rocksdb_block_based_options_set_filter_policy(t, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_whole_key_filtering(t, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(t, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(t, 1);
    rocksdb_options_set_block_based_table_factory(o, t);
    rocksdb_block_based_options_destroy(t);
}

/* RocksDB reads ahead into a buffer of its own, from which each block is copied once more. The
 * kernel does it as well without; the switch has no function of its own in the C API. */
static rocksdb_options_t *options_stop_readahead(rocksdb_options_t *o)
{
    char *text = NULL;
    rocksdb_options_t *changed = rocksdb_options_create();
    rocksdb_get_options_from_string(o, "block_based_table_factory={max_auto_readahead_size=0;}",
                                    changed, &text);
    sl_assert(text == NULL);
    rocksdb_options_destroy(o);
    return changed;
}

static rocksdb_options_t *options_make(uint64_t memory_bytes)
{
    enum { LOG_LEVEL_WARN = 2, RECOVER_POINT_IN_TIME = 2 };
    rocksdb_options_t *o = rocksdb_options_create();
    uint64_t write_buffer = SL_MIN(SL_MAX(memory_bytes / 4, WRITE_BUFFER_MIN), WRITE_BUFFER_MAX);
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_compression(o, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(o, (size_t)write_buffer);
    rocksdb_options_set_max_write_buffer_number(o, 2);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    rocksdb_options_set_max_open_files(o, OPEN_FILES_MAX);
    rocksdb_options_set_max_background_jobs(o, 2);
    rocksdb_options_set_uint64add_merge_operator(o);
    /* The kernel reads ahead of a scan, see options_stop_readahead. */
    rocksdb_options_set_advise_random_on_open(o, 0);
    rocksdb_options_set_paranoid_checks(o, 1);
    /* A crash may tear the unsynced end of the log; everything before the tear is kept, and a sync
     * covers all of the log before it, so no acknowledged write lies behind a tear. */
    rocksdb_options_set_wal_recovery_mode(o, RECOVER_POINT_IN_TIME);
    rocksdb_options_set_bytes_per_sync(o, 1u << 20);
    rocksdb_options_set_skip_stats_update_on_db_open(o, 1);
    rocksdb_options_set_info_log_level(o, LOG_LEVEL_WARN);
    rocksdb_options_set_keep_log_file_num(o, 1);
    rocksdb_options_set_max_log_file_size(o, 1u << 20);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_stats_persist_period_sec(o, 0);
    options_set_tables(o, memory_bytes - 2 * write_buffer);
    return options_stop_readahead(o);
}

/* Names RocksDB makes before CURRENT, the file that says a database is here. */
static sl_rc refuse_foreign(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    static const char *const starts[] = {"LOG", "LOCK", "IDENTITY", "MANIFEST-", "OPTIONS-", "0"};
    for (size_t i = 0; i < SL_COUNT_OF(starts) && !is_dir; i++) {
        if (strncmp(name, starts[i], strlen(starts[i])) == 0) {
            return SL_OK;
        }
    }
    return SL_FAIL(err, SL_EINVAL,
                   "folder %s holds no store but other things (%s); give an empty or a new folder",
                   (const char *)arg, name);
}

static sl_rc sweep_staging(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    if (!is_dir || !is_staging(name)) {
        return SL_OK;
    }
    sl_path_join(&path, sl_str_from(arg), sl_str_from(name));
    const char *full = sl_buf_cstr(&path);
    SL_TRY(sl_buf_done(&path, err));
    return sl_dir_remove_tree(full, err);
}

static sl_rc folders_prepare(const struct rocks_kv *r, struct sl_err *err)
{
    SL_AUTO(sl_buf) current = SL_BUF_EMPTY;
    bool has_store;
    sl_path_join(&current, sl_str_from(r->path), SL_STR("CURRENT"));
    const char *current_path = sl_buf_cstr(&current);
    SL_TRY(sl_buf_done(&current, err));
    SL_TRY(sl_file_exists(current_path, &has_store, err));
    if (r->is_read_only) {
        return has_store ? SL_OK
                         : SL_FAIL(err, SL_ENOTFOUND, "folder %s does not exist or holds no store",
                                   r->path);
    }
    SL_TRY(sl_dir_create(r->path, err));
    SL_TRY(sl_dir_create(r->freeze_path, err));
    if (!has_store) {
        SL_TRY(sl_dir_list(r->path, refuse_foreign, r->path, err));
    }
    return sl_dir_list(r->freeze_path, sweep_staging, r->freeze_path, err);
}

static sl_rc database_open(struct rocks_kv *r, struct sl_err *err)
{
    if (r->is_read_only) {
        sl_rc rc;
        r->db = open_for_reading(r, r->path, err, &rc);
        return rc;
    }
    char *text = NULL;
    r->db = rocksdb_open(r->options, r->path, &text);
    return text == NULL ? SL_OK : sli_rocks_fail(r->path, "open", text, err);
}

sl_rc sl_kv_rocksdb_open(const char *path, const struct sl_kv_rocksdb_opts *opts,
                         struct sl_kv **ret, struct sl_err *err)
{
    static const struct sl_kv_ops ops = {
        .get = rocks_get,
        .commit = rocks_commit,
        .sync = rocks_sync,
        .scan = rocks_scan,
        .split = rocks_split,
        .freeze = rocks_freeze,
        .reopen = rocks_reopen,
        .thaw = rocks_thaw,
        .frozen = rocks_frozen,
        .close = rocks_close,
    };
    sl_assert(opts->is_read_only || opts->freeze_path != NULL);
    if (opts->memory_bytes < MEMORY_MIN) {
        return SL_FAIL(err, SL_EINVAL,
                       "store %s: %llu bytes of memory are less than the %llu it needs", path,
                       (unsigned long long)opts->memory_bytes, MEMORY_MIN);
    }
    struct rocks_kv *r = sl_alloc_zero(1, sizeof *r);
    if (r == NULL) {
        return SL_NOMEM(err);
    }
    r->kv.ops = &ops;
    r->is_read_only = opts->is_read_only;
    r->is_sync_off = opts->is_sync_off;
    sl_mutex_init(&r->freeze_mu);
    sl_mutex_init(&r->sync_mu);
    sl_cond_init(&r->sync_changed);
    SL_AUTO_PTR(sl_kv) kv = &r->kv;
    r->path = sl_strdup(path);
    r->freeze_path = opts->is_read_only ? NULL : sl_strdup(opts->freeze_path);
    if (r->path == NULL || (!opts->is_read_only && r->freeze_path == NULL)) {
        return SL_NOMEM(err);
    }
    SL_TRY(folders_prepare(r, err));
    r->options = options_make(opts->memory_bytes);
    r->write_options = rocksdb_writeoptions_create();
    r->sync_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->sync_options, 1);
    r->get_options = rocksdb_readoptions_create();
    r->flush_options = rocksdb_flushoptions_create();
    SL_TRY(database_open(r, err));
    *ret = sl_move(&kv);
    return SL_OK;
}
