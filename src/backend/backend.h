/* Backend seam: an export destination (Weaviate's word). Blocking calls from any thread.
 *
 * Promises: an object is visible whole or not at all; data objects are created, never replaced
 * (only status and metadata records are: the mode says so); after put or complete returned SL_OK
 * the bytes are durable. SL_ENOTFOUND is an answer, not a fault. Keys are relative, '/'-separated,
 * without "." or "..", at most SL_BACKEND_KEY_MAX bytes. `part` may be repeated with the same
 * number and bytes; `complete` may be repeated after an unclear answer and then verifies. Whether a
 * failure may be retried is decided once, in the driver's error.c (struct sl_err.rc,
 * sl_rc_retriable). Implementations: filesystem/ (real), mem.c (fake), faulty.c (tests:
 * SL_FAULT_BACKEND decorator); contract suite tests/contract/backend. */
#ifndef SL_BACKEND_BACKEND_H
#define SL_BACKEND_BACKEND_H

#include "base/budget.h"
#include "base/buf.h"
#include "base/sink.h"
#include "base/workers.h"

#define SL_BACKEND_KEY_MAX 1024

enum sl_put_mode {
    SL_PUT_NEW,     /* SL_ECONFLICT when the key exists */
    SL_PUT_REPLACE, /* records only: readers see old or new, whole */
};

struct sl_part_rule {
    uint64_t bytes_min, bytes_max; /* of every part but the last */
    uint32_t count_max;
    bool is_in_order; /* part n may wait until n-1 is taken: hand them over in order */
};

struct sl_upload; /* one object being written; owned by the backend until complete or cancel */

/* Called once per object of a listing; key is borrowed. */
typedef sl_rc sl_backend_list_fn(void *arg, struct sl_str key, uint64_t size, struct sl_err *err);

struct sl_backend;
struct sl_backend_ops {
    const char *name; /* "filesystem", as in the URL path */
    struct sl_part_rule part_rule;
    /* May we write here? Changes nothing that stays. Says what is missing and what to do. */
    sl_rc (*probe)(struct sl_backend *be, struct sl_err *err);
    sl_rc (*put)(struct sl_backend *be, struct sl_str key, struct sl_bytes b, enum sl_put_mode mode,
                 struct sl_err *err);
    sl_rc (*get)(struct sl_backend *be, struct sl_str key, uint64_t size_max, struct sl_buf *out,
                 struct sl_err *err);
    /* Appends bytes offset..offset+len of an object, fewer where it ends. */
    sl_rc (*read)(struct sl_backend *be, struct sl_str key, uint64_t offset, size_t len,
                  struct sl_buf *out, struct sl_err *err);
    /* Objects whose key starts with prefix, in key order. A prefix ending in '/' lists below it. */
    sl_rc (*list)(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn, void *arg,
                  struct sl_err *err);
    /* Names directly below prefix that have objects below them ("folders"), in order, without the
     * prefix; size is 0. prefix is empty or ends in '/'. */
    sl_rc (*list_folders)(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn,
                          void *arg, struct sl_err *err);
    /* Absent is SL_OK. */
    sl_rc (*remove)(struct sl_backend *be, struct sl_str key, struct sl_err *err);
    /* Starts an object. Nothing is visible under key until complete; SL_ECONFLICT: key exists. */
    sl_rc (*begin)(struct sl_backend *be, struct sl_str key, struct sl_upload **ret,
                   struct sl_err *err);
    /* part_no from 1; offset = bytes of all parts before it. Parts may come in any order, from many
     * threads at once; but see part_rule.is_in_order. */
    sl_rc (*part)(struct sl_backend *be, struct sl_upload *up, uint32_t part_no, uint64_t offset,
                  struct sl_bytes b, struct sl_err *err);
    /* Makes the object durable and visible under its key without replacing (SL_ECONFLICT: exists
     * and differs), frees up. On failure nothing is visible and up is still owned: cancel it. */
    sl_rc (*complete)(struct sl_backend *be, struct sl_upload *up, uint32_t part_count,
                      uint64_t size, struct sl_err *err);
    /* NULL is fine; nothing stays; frees up. */
    void (*cancel)(struct sl_backend *be, struct sl_upload *up);
    /* Removes what a killed process left under prefix (temporary files, open uploads). The caller
     * sees to it that nobody writes there meanwhile. */
    sl_rc (*sweep)(struct sl_backend *be, struct sl_str prefix, struct sl_err *err);
    /* Appends the place of a key prefix as users see it: "/exports/id", "s3://bucket/prefix/id". */
    void (*describe)(struct sl_backend *be, struct sl_str prefix, struct sl_buf *out);
    void (*close)(struct sl_backend *be);
};
struct sl_backend {
    const struct sl_backend_ops *ops;
};

static inline void sl_backend_close(struct sl_backend *be)
{
    if (be != NULL) {
        be->ops->close(be);
    }
}
SL_DEFINE_FREEP(sl_backend, sl_backend_close)
/* SL_EINVAL for a key that is empty, too long, absolute or has "." or ".." in it; then the driver.
 */
sl_rc sl_backend_put(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                     enum sl_put_mode mode, struct sl_err *err);
sl_rc sl_backend_get(struct sl_backend *be, struct sl_str key, uint64_t size_max,
                     struct sl_buf *out, struct sl_err *err);

/* ---- open.c: a destination by its place ---- */
struct sl_config;
struct sl_clock;
struct sl_backend_env {
    const struct sl_config *config; /* borrowed while the backend is open; credentials, limits */
    struct sl_clock *clock;         /* borrowed */
    struct sl_cancel *cancel;       /* borrowed, may be NULL: ends waits of uploads early */
    bool is_cancel_wide;            /* it ends all else, too, except what clears uploads away */
    int64_t deadline_ns;            /* of a request, its tries included; 0: SLUICE_STORE_DEADLINE */
    int64_t retry_ns;               /* no try begins later; 0: SLUICE_STORE_DEADLINE */
};
/* "s3://bucket/prefix", "gs://bucket/prefix", "az://container/prefix", "file:///folder" or a
 * folder. Touches nothing yet: the probe does. SL_EINVAL: another scheme, no bucket. */
sl_rc sl_backend_open(const struct sl_backend_env *env, struct sl_str place,
                      struct sl_backend **ret, struct sl_err *err);
#define SL_BACKEND_CA_MAX (1u << 20) /* bytes of the file that SLUICE_STORE_CA names */
/* Is it the place of a store (has a scheme), not a folder? */
bool sl_backend_is_store(struct sl_str place);

/* Filesystem under the folder `root` (absolute or relative; made at the first write, not before).
 * Temporary names are ".<name>.<random>.sluice-tmp" beside the object; then fsync, rename without
 * replace, fsync of the folder. */
sl_rc sl_backend_filesystem_open(const char *root, struct sl_backend **ret, struct sl_err *err);
sl_rc sl_backend_mem_open(struct sl_backend **ret, struct sl_err *err); /* tests */
sl_rc sl_backend_faulty_open(struct sl_backend *inner, struct sl_backend **ret, struct sl_err *err);

/* Buffers for parts, all of one size, shared by the streams of a job. A buffer in use holds a
 * ticket of the budget, an idle one does not: it keeps its pages for the next, which would cost
 * more to fault in again than to fill, and there are never more of them than were in use at a time.
 */
struct sl_part_pool;
/* budget: borrowed; part_bytes: within the backend's part_rule. */
sl_rc sl_part_pool_new(struct sl_budget *budget, uint64_t part_bytes, struct sl_part_pool **ret,
                       struct sl_err *err);
void sl_part_pool_free(struct sl_part_pool *pool); /* after its streams; NULL is fine */
SL_DEFINE_FREEP(sl_part_pool, sl_part_pool_free)

/* stream.c: a sl_sink that cuts bytes into parts and sends them on uploader threads while the
 * caller goes on writing. Uploads set the pace: a write waits when the budget of `parts` is spent.
 * The number of parts in flight is bounded by that budget alone. */
struct sl_stream_opts {
    struct sl_workers *uploaders; /* borrowed; runs the parts */
    struct sl_part_pool *parts;   /* borrowed; of all streams together */
    struct sl_cancel *cancel;     /* borrowed; may be NULL */
    _Atomic uint64_t *sent_bytes; /* may be NULL: grows as parts are acknowledged */
    bool is_sha256;               /* the receipt has it */
};
/* On success *ret is a sink; close completes the object and yields its receipt. */
sl_rc sl_stream_open(struct sl_backend *be, struct sl_str key, const struct sl_stream_opts *opts,
                     struct sl_sink **ret, struct sl_err *err);

#endif
