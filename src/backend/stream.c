/* Part stream: a sink that cuts bytes into parts and sends them while the caller goes on writing.
 *
 * Uploads, not scans, set the pace: a writer that needs a part while the byte budget is spent waits
 * in write, and there is no other throttle. A part is a buffer with its budget ticket; it goes from
 * the owner to an uploader thread and from there back to the pool. Called by export/ only,
 * through sl_sink. The first failure sticks and is the answer of every later call; parts that still
 * wait are then not sent. Always true: bytes written == bytes in parts handed over + bytes in the
 * current part. One owner thread writes; uploader threads touch what stands under `mu` only. `mu`
 * is a leaf. */
#include "backend/backend.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/stats.h"
#include "base/sync.h"

struct stream;

/* A buffer of the pool's part_bytes and its place in the object. */
struct part {
    struct part *next; /* in the pool */
    struct stream *stream;
    uint64_t offset; /* of its first byte in the object */
    uint32_t no;     /* from 1 */
    size_t len;      /* bytes filled */
    uint8_t *bytes;  /* owned: part_bytes of them, aligned for SL_FILE_DIRECT_ALIGN */
};

struct sl_part_pool {
    struct sl_budget *budget; /* borrowed */
    uint64_t part_bytes;
    struct sl_mutex mu; /* leaf */
    struct {
        struct part *idle; /* the one used last comes first: its bytes may still be in a cache */
    } locked SL_GUARDED;
};

struct stream {
    struct sl_sink sink;
    struct sl_backend *be; /* borrowed */
    struct sl_stream_opts opts;
    struct sl_upload *upload; /* owned until complete or cancel */
    struct sl_sha256 *sha256; /* of all written; NULL: not asked for. Owner only, to `mu` */
    struct part *current;     /* being filled; NULL before the next byte */
    uint64_t size;            /* bytes written */
    uint32_t part_count;      /* parts begun */
    struct sl_mutex mu;       /* protects `locked` */
    struct sl_cond changed;   /* a part came back */
    struct {
        uint32_t in_flight; /* parts handed to the uploaders */
        sl_rc rc;           /* first failure; SL_OK until then, never overwritten */
        struct sl_err err;  /* its sentence */
    } locked SL_GUARDED;
};

static struct stream *stream_of(struct sl_sink *s)
{
    return SL_CONTAINER_OF(s, struct stream, sink);
}

static void fail_locked(struct stream *st, sl_rc rc, const struct sl_err *err) SL_REQUIRES(st->mu)
{
    if (st->locked.rc == SL_OK) {
        st->locked.rc = rc;
        st->locked.err = *err;
    }
}

/* The failure that sticks, if any; a set cancel token becomes one. */
static sl_rc failure_of(struct stream *st, struct sl_err *err)
{
    sl_mutex_lock(&st->mu);
    if (sl_cancel_is_set(st->opts.cancel)) {
        fail_locked(st, SL_ECANCELED, &(struct sl_err){.rc = SL_ECANCELED});
    }
    sl_rc rc = st->locked.rc;
    if (rc != SL_OK && err != NULL) {
        *err = st->locked.err;
    }
    sl_mutex_unlock(&st->mu);
    return rc;
}

/* Keeps the failure and passes it on. */
static sl_rc fail_with(struct stream *st, sl_rc rc, const struct sl_err *err)
{
    struct sl_err none = {.rc = rc};
    sl_mutex_lock(&st->mu);
    fail_locked(st, rc, err == NULL ? &none : err);
    sl_mutex_unlock(&st->mu);
    return rc;
}

/* ---- the pool ---- */

sl_rc sl_part_pool_new(struct sl_budget *budget, uint64_t part_bytes, struct sl_part_pool **ret,
                       struct sl_err *err)
{
    struct sl_part_pool *pool = sl_alloc_zero(1, sizeof *pool);
    if (pool == NULL) {
        return SL_NOMEM(err);
    }
    pool->budget = budget;
    pool->part_bytes = part_bytes;
    sl_mutex_init(&pool->mu);
    *ret = pool;
    return SL_OK;
}

static struct part *pool_pop(struct sl_part_pool *pool)
{
    sl_mutex_lock(&pool->mu);
    struct part *p = pool->locked.idle;
    if (p != NULL) {
        pool->locked.idle = p->next;
    }
    sl_mutex_unlock(&pool->mu);
    return p;
}

static void part_free(struct part *p)
{
    if (p != NULL) {
        sl_free(p->bytes);
        sl_free(p);
    }
}

static struct part *part_new(size_t size)
{
    struct part *p = sl_alloc_zero(1, sizeof(*p));
    if (p != NULL && (p->bytes = sl_alloc_large(size, size)) == NULL) {
        part_free(sl_move(&p));
    }
    return p;
}

void sl_part_pool_free(struct sl_part_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    for (struct part *p; (p = pool_pop(pool)) != NULL;) {
        part_free(p);
    }
    sl_mutex_fini(&pool->mu);
    sl_free(pool);
}

static void part_give(struct sl_part_pool *pool, struct part *p)
{
    if (p == NULL) {
        return;
    }
    sl_mutex_lock(&pool->mu);
    p->next = pool->locked.idle;
    pool->locked.idle = p;
    sl_mutex_unlock(&pool->mu);
    sl_budget_give(pool->budget, pool->part_bytes);
}

static sl_rc part_take(struct stream *st, struct part **ret, struct sl_err *err)
{
    struct sl_part_pool *pool = st->opts.parts;
    sl_rc rc = sl_budget_take(pool->budget, pool->part_bytes, st->opts.cancel);
    if (rc != SL_OK) {
        return SL_FAIL(err, rc, "the upload was canceled");
    }
    struct part *p = pool_pop(pool);
    if (p == NULL) {
        p = part_new((size_t)pool->part_bytes);
    }
    if (p == NULL) {
        sl_budget_give(pool->budget, pool->part_bytes);
        return SL_NOMEM(err);
    }
    *p = (struct part){.stream = st, .offset = st->size, .no = ++st->part_count, .bytes = p->bytes};
    *ret = p;
    return SL_OK;
}

/* ---- the stream ---- */

/* On an uploader thread. The last thing done is to leave the lock: from then on the owner may free.
 */
static void part_send(void *arg)
{
    struct part *p = arg;
    struct stream *st = p->stream;
    struct sl_err err = {0};
    sl_rc rc = failure_of(st, &err);
    if (rc == SL_OK) {
        rc = st->be->ops->part(st->be, st->upload, p->no, p->offset, SL_BYTES(p->bytes, p->len),
                               &err);
        if (rc == SL_OK) {
            sl_stat_add(SL_STAT_SENT, p->len);
        }
        if (rc == SL_OK && st->opts.sent_bytes != NULL) {
            atomic_fetch_add_explicit(st->opts.sent_bytes, p->len, memory_order_relaxed);
        }
    }
    sl_mutex_lock(&st->mu);
    if (rc != SL_OK) {
        fail_locked(st, rc, &err);
    }
    sl_mutex_unlock(&st->mu);
    part_give(st->opts.parts, p);
    sl_mutex_lock(&st->mu);
    st->locked.in_flight--;
    sl_cond_signal(&st->changed);
    sl_mutex_unlock(&st->mu);
}

/* Hands the current part to the uploaders; waits while their queue is full. */
static sl_rc part_hand_over(struct stream *st, struct sl_err *err)
{
    struct part *p = sl_move(&st->current);
    sl_mutex_lock(&st->mu);
    st->locked.in_flight++;
    sl_mutex_unlock(&st->mu);
    int64_t begun = sl_clock_mono_ns(sl_clock_real());
    sl_rc rc = sl_workers_add(st->opts.uploaders, part_send, p);
    sl_stat_add(SL_STAT_UPLOAD_WAIT_NS, (uint64_t)(sl_clock_mono_ns(sl_clock_real()) - begun));
    if (rc != SL_OK) {
        sl_mutex_lock(&st->mu);
        st->locked.in_flight--;
        sl_mutex_unlock(&st->mu);
        part_give(st->opts.parts, p);
        return SL_FAIL(err, rc, "the upload was stopped: the program is shutting down");
    }
    return SL_OK;
}

static sl_rc stream_fill(struct stream *st, struct sl_bytes b, struct sl_err *err)
{
    while (b.len > 0) {
        if (st->current == NULL) {
            SL_TRY(failure_of(st, err));
            SL_TRY(part_take(st, &st->current, err));
        }
        struct part *p = st->current;
        size_t n = SL_MIN(b.len, (size_t)st->opts.parts->part_bytes - p->len);
        memcpy(p->bytes + p->len, b.ptr, n);
        p->len += n;
        st->size += n;
        b = SL_BYTES(b.ptr + n, b.len - n);
        if (p->len == st->opts.parts->part_bytes) {
            SL_TRY(part_hand_over(st, err));
        }
    }
    return SL_OK;
}

static sl_rc stream_write(struct sl_sink *s, struct sl_bytes b, struct sl_err *err)
{
    struct stream *st = stream_of(s);
    SL_TRY(failure_of(st, err));
    if (st->sha256 != NULL) {
        sl_sha256_add(st->sha256, b);
    }
    sl_rc rc = stream_fill(st, b, err);
    return rc == SL_OK ? SL_OK : fail_with(st, rc, err);
}

/* Parts in flight end by themselves: they are sent, or skipped once a failure is known. */
static void stream_drain(struct stream *st)
{
    sl_mutex_lock(&st->mu);
    while (st->locked.in_flight > 0) {
        sl_cond_wait(&st->changed, &st->mu);
    }
    sl_mutex_unlock(&st->mu);
}

/* Nothing is in flight any more. */
static void stream_free(struct stream *st)
{
    if (st->upload != NULL) {
        st->be->ops->cancel(st->be, st->upload);
    }
    part_give(st->opts.parts, st->current);
    sl_sha256_free(st->sha256);
    sl_cond_fini(&st->changed);
    sl_mutex_fini(&st->mu);
    sl_free(st);
}

static sl_rc stream_close(struct sl_sink *s, struct sl_receipt *ret, struct sl_err *err)
{
    struct stream *st = stream_of(s);
    struct sl_receipt receipt = {.size = st->size};
    sl_rc rc = failure_of(st, err);
    if (rc == SL_OK && st->current != NULL) {
        rc = part_hand_over(st, err);
        if (rc != SL_OK) {
            rc = fail_with(st, rc, err);
        }
    }
    stream_drain(st);
    if (rc == SL_OK) {
        rc = failure_of(st, err);
    }
    if (rc == SL_OK && st->sha256 != NULL) {
        rc = sl_sha256_end(st->sha256, receipt.sha256, err);
    }
    if (rc == SL_OK) {
        rc = st->be->ops->complete(st->be, st->upload, st->part_count, st->size, err);
    }
    if (rc == SL_OK) {
        st->upload = NULL;
        *ret = receipt;
    }
    stream_free(st);
    return rc;
}

static void stream_abort(struct sl_sink *s)
{
    struct stream *st = stream_of(s);
    SL_IGNORE(fail_with(st, SL_ECANCELED, NULL), "set so that waiting parts are skipped");
    stream_drain(st);
    stream_free(st);
}

sl_rc sl_stream_open(struct sl_backend *be, struct sl_str key, const struct sl_stream_opts *opts,
                     struct sl_sink **ret, struct sl_err *err)
{
    static const struct sl_sink_ops ops = {
        .write = stream_write, .close = stream_close, .abort = stream_abort};
    sl_assert(opts->parts->part_bytes >= be->ops->part_rule.bytes_min);
    sl_assert(opts->parts->part_bytes <= be->ops->part_rule.bytes_max);
    struct stream *st = sl_alloc_zero(1, sizeof *st);
    if (st == NULL) {
        return SL_NOMEM(err);
    }
    st->sink.ops = &ops;
    st->be = be;
    st->opts = *opts;
    sl_mutex_init(&st->mu);
    sl_cond_init(&st->changed);
    st->sha256 = opts->is_sha256 ? sl_sha256_new() : NULL;
    bool is_short = opts->is_sha256 && st->sha256 == NULL;
    sl_rc rc = is_short ? SL_NOMEM(err) : be->ops->begin(be, key, &st->upload, err);
    if (rc != SL_OK) {
        stream_free(st);
        return rc;
    }
    *ret = &st->sink;
    return SL_OK;
}
