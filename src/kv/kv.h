/* kv seam: an ordered map of bytes with atomic commits and frozen views.
 *
 * Promises (and no more, so that no caller leans on RocksDB's extras):
 * - Keys are 9..SL_KV_KEY_MAX bytes; the first SL_KV_PARTITION_SIZE bytes name the partition. A
 *   commit is atomic inside each partition; sl_kv_sync makes every commit made before it durable.
 * - A commit is visible to every later call of the process at once, synced or not.
 * - Order is memcmp order of the whole key. A span is [lo, hi); an empty hi means "to the end".
 * - freeze fixes one instant for all partitions: a commit that returned before freeze was called is
 *   in, one that starts after freeze returned is not. The view is durable: it survives a crash and
 *   is found again by reopen(name) until thaw(drop). Writers are held for milliseconds at most.
 * - An iterator sees one moment (that of its creation, or the view's) and is used by one thread;
 *   any number of iterators at once. key and value live until the next call on that iterator.
 * - All calls from any thread. SL_ENOTFOUND is an answer. Failures: SL_EIO, SL_ENOSPACE,
 *   SL_ECORRUPT, SL_ENOMEM; a failed commit changed nothing.
 *
 * Implementations: rocksdb.c (real), mem.c (tests, fake), faulty.c (tests: decorator that fails the
 * n-th call by SL_FAULT_KV). One contract suite runs against all: tests/contract/kv. */
#ifndef SL_KV_KV_H
#define SL_KV_KV_H

#include "base/buf.h"

#define SL_KV_PARTITION_SIZE 9 /* kind byte + 8 bytes of number, big-endian */
#define SL_KV_KEY_MAX        1024

struct sl_kv_span {
    struct sl_bytes lo, hi; /* [lo, hi); empty hi = no upper bound */
};

enum sl_kv_op_kind {
    SL_KV_PUT,
    SL_KV_DELETE,      /* absent is fine */
    SL_KV_ADD,         /* value: 8 bytes LE, added (wrapping) to an 8-byte LE counter, absent = 0 */
    SL_KV_DELETE_SPAN, /* key = lo, value = hi; both in one partition or hi = its end */
};

/* A batch of operations in order. Owns copies of keys and values. Sticky on memory. */
struct sl_kv_batch;
struct sl_kv_batch *sl_kv_batch_new(void) SL_MUST_USE; /* NULL: no memory */
void sl_kv_batch_free(struct sl_kv_batch *b);
SL_DEFINE_FREEP(sl_kv_batch, sl_kv_batch_free)
void sl_kv_batch_put(struct sl_kv_batch *b, struct sl_bytes key, struct sl_bytes value);
void sl_kv_batch_delete(struct sl_kv_batch *b, struct sl_bytes key);
void sl_kv_batch_add(struct sl_kv_batch *b, struct sl_bytes key, int64_t delta);
/* hi must not be empty. */
void sl_kv_batch_delete_span(struct sl_kv_batch *b, struct sl_kv_span span);
size_t sl_kv_batch_count(const struct sl_kv_batch *b);
void sl_kv_batch_clear(struct sl_kv_batch *b);

struct sl_kv_view; /* a frozen view; NULL means "live" in the calls below */
struct sl_kv_iter;

struct sl_kv;
struct sl_kv_ops {
    sl_rc (*get)(struct sl_kv *kv, struct sl_kv_view *v, struct sl_bytes key, struct sl_buf *out,
                 struct sl_err *err);
    sl_rc (*commit)(struct sl_kv *kv, const struct sl_kv_batch *batch, struct sl_err *err);
    sl_rc (*sync)(struct sl_kv *kv, struct sl_err *err);
    sl_rc (*scan)(struct sl_kv *kv, struct sl_kv_view *v, struct sl_kv_span span, bool is_bulk,
                  struct sl_kv_iter **ret, struct sl_err *err);
    /* Up to key_max keys that cut the span into parts of roughly equal bytes, ascending, distinct,
     * appended to out as u32 length + bytes; each is a key of the span and not its first. May yield
     * fewer, also none. *ret_count says how many. */
    sl_rc (*split)(struct sl_kv *kv, struct sl_kv_view *v, struct sl_kv_span span, uint32_t key_max,
                   struct sl_buf *out, uint32_t *ret_count, struct sl_err *err);
    sl_rc (*freeze)(struct sl_kv *kv, struct sl_str name, struct sl_kv_view **ret,
                    struct sl_err *err);
    sl_rc (*reopen)(struct sl_kv *kv, struct sl_str name, struct sl_kv_view **ret,
                    struct sl_err *err);
    /* Closes the view (NULL is fine). drop: the durable part goes too. Never fails. */
    void (*thaw)(struct sl_kv *kv, struct sl_kv_view *v, bool drop);
    /* Names of durable views that exist, one per line, sorted. */
    sl_rc (*frozen)(struct sl_kv *kv, struct sl_buf *out, struct sl_err *err);
    void (*close)(struct sl_kv *kv);
};
struct sl_kv {
    const struct sl_kv_ops *ops;
};
struct sl_kv_iter_ops {
    /* SL_OK with key and value, SL_END, or a failure. */
    sl_rc (*next)(struct sl_kv_iter *it, struct sl_bytes *ret_key, struct sl_bytes *ret_value,
                  struct sl_err *err);
    void (*close)(struct sl_kv_iter *it);
};
struct sl_kv_iter {
    const struct sl_kv_iter_ops *ops;
};

/* Appends the value to out (out is untouched on SL_ENOTFOUND). v NULL = live. */
static inline SL_MUST_USE sl_rc sl_kv_get(struct sl_kv *kv, struct sl_kv_view *v,
                                          struct sl_bytes key, struct sl_buf *out,
                                          struct sl_err *err)
{
    sl_dassert(key.len >= SL_KV_PARTITION_SIZE && key.len <= SL_KV_KEY_MAX);
    return kv->ops->get(kv, v, key, out, err);
}
static inline SL_MUST_USE sl_rc sl_kv_commit(struct sl_kv *kv, const struct sl_kv_batch *batch,
                                             struct sl_err *err)
{
    return kv->ops->commit(kv, batch, err);
}
/* Durable: every commit that returned before this call. Concurrent callers share one fsync. */
static inline SL_MUST_USE sl_rc sl_kv_sync(struct sl_kv *kv, struct sl_err *err)
{
    return kv->ops->sync(kv, err);
}
/* is_bulk: a long scan; read ahead and do not fill the cache. */
static inline SL_MUST_USE sl_rc sl_kv_scan(struct sl_kv *kv, struct sl_kv_view *v,
                                           struct sl_kv_span span, bool is_bulk,
                                           struct sl_kv_iter **ret, struct sl_err *err)
{
    return kv->ops->scan(kv, v, span, is_bulk, ret, err);
}
static inline SL_MUST_USE sl_rc sl_kv_next(struct sl_kv_iter *it, struct sl_bytes *ret_key,
                                           struct sl_bytes *ret_value, struct sl_err *err)
{
    return it->ops->next(it, ret_key, ret_value, err);
}
static inline void sl_kv_iter_close(struct sl_kv_iter *it)
{
    if (it != NULL) {
        it->ops->close(it);
    }
}
SL_DEFINE_FREEP(sl_kv_iter, sl_kv_iter_close)
/* Cuts [lo, hi) as the operation above promises; appends to out. */
static inline SL_MUST_USE sl_rc sl_kv_split(struct sl_kv *kv, struct sl_kv_view *v,
                                            struct sl_kv_span span, uint32_t key_max,
                                            struct sl_buf *out, uint32_t *ret_count,
                                            struct sl_err *err)
{
    return kv->ops->split(kv, v, span, key_max, out, ret_count, err);
}
/* SL_ECONFLICT: the name exists. SL_EINVAL: it cannot be the name of a view. */
static inline SL_MUST_USE sl_rc sl_kv_freeze(struct sl_kv *kv, struct sl_str name,
                                             struct sl_kv_view **ret, struct sl_err *err)
{
    return kv->ops->freeze(kv, name, ret, err);
}
/* SL_ENOTFOUND: no durable view has this name. */
static inline SL_MUST_USE sl_rc sl_kv_reopen(struct sl_kv *kv, struct sl_str name,
                                             struct sl_kv_view **ret, struct sl_err *err)
{
    return kv->ops->reopen(kv, name, ret, err);
}
static inline SL_MUST_USE sl_rc sl_kv_frozen(struct sl_kv *kv, struct sl_buf *out,
                                             struct sl_err *err)
{
    return kv->ops->frozen(kv, out, err);
}
static inline void sl_kv_thaw(struct sl_kv *kv, struct sl_kv_view *v, bool drop)
{
    if (v != NULL) {
        kv->ops->thaw(kv, v, drop);
    }
}
static inline void sl_kv_close(struct sl_kv *kv)
{
    if (kv != NULL) {
        kv->ops->close(kv);
    }
}
SL_DEFINE_FREEP(sl_kv, sl_kv_close)

/* RocksDB under `path` (folder, made when absent). */
struct sl_kv_rocksdb_opts {
    /* Block cache and memtables together; >= 8 MiB. */
    uint64_t memory_bytes;
    /* Folder of the durable views, on the same file system; NULL when read-only. */
    const char *freeze_path;
    /* Nothing is written below path, commits fail, freeze lends the state found at open. */
    bool is_read_only;
    /* sl_kv_sync does nothing (SLUICE_SYNC=off): a crash of the machine may lose the last writes.
     */
    bool is_sync_off;
};
sl_rc sl_kv_rocksdb_open(const char *path, const struct sl_kv_rocksdb_opts *opts,
                         struct sl_kv **ret, struct sl_err *err);
/* In memory, ordered, for tests: exactly the promises above. */
sl_rc sl_kv_mem_open(struct sl_kv **ret, struct sl_err *err);
/* Forwards to inner (not owned); asks SL_FAULT_KV before each call and then fails with SL_EIO. */
sl_rc sl_kv_faulty_open(struct sl_kv *inner, struct sl_kv **ret, struct sl_err *err);

#endif
