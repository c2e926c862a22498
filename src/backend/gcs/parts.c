/* Objects being written: a resumable session, or one request for what is small.
 *
 * A session takes bytes in order and keeps multiples of 256 KiB, so parts wait for their turn: part
 * n until n-1 was taken. Uploaders take parts from one queue in the order in which they were handed
 * over; so whoever waits knows that the part before it is at work or done, never behind it in the
 * queue, and some part of each object can always go on. What is no multiple stays behind as `tail`
 * and goes in front of the next part; the rest goes with the total size when the object completes.
 * After a break the session is asked what it has kept. The whole object's size, CRC-32C and mark
 * are compared at the end. Sessions that are left open are seen by nobody, cost nothing and end
 * after a week; they cannot be listed, so sweep has nothing to do. */
#include <stdio.h>

#include "backend/gcs/gcs_int.h"

#include "base/hash.h"
#include "base/num.h"

#define LOOK_NS   INT64_C(200000000)   /* how soon a waiting part sees that it is canceled */
#define CANCEL_NS INT64_C(10000000000) /* who cancels waits for it */

struct gcs_upload {
    struct sl_upload up;
    char *key; /* owned */
    char mark[SLI_GCS_MARK_SIZE];
    struct sl_mutex mu; /* leaf */
    struct sl_cond turned;
    struct {
        uint32_t next_no; /* whose turn it is */
        sl_rc rc;         /* of the first part that failed: none after it can be taken */
        struct sl_err failure;
    } locked SL_GUARDED;
    /* Of the part whose turn it is, then of complete: */
    struct sl_buf session; /* URL; empty: none yet */
    struct sl_buf tail;    /* not sent yet */
    uint64_t kept;         /* bytes the session has */
    uint32_t crc;          /* of all parts */
    bool is_done;          /* the session made the object */
};

static struct gcs_upload *upload_of(struct sl_backend *be, struct sl_upload *up)
{
    sl_assert(up->owner == be);
    return SL_CONTAINER_OF(up, struct gcs_upload, up);
}

static struct sl_str key_of(const struct gcs_upload *u)
{
    return sl_str_from(u->key);
}

static void upload_free(struct gcs_upload *u)
{
    sl_cond_fini(&u->turned);
    sl_mutex_fini(&u->mu);
    sl_buf_fini(&u->session);
    sl_buf_fini(&u->tail);
    sl_free(u->key);
    sl_free(u);
}

static sl_rc refuse_taken(struct sli_gcs *g, struct sl_str key, struct sl_err *err)
{
    struct sli_gcs_object object;
    sl_rc rc = sli_gcs_look(g, key, &object, err);
    if (rc == SL_OK) {
        return SL_FAIL(err, SL_ECONFLICT, "object gs://%s/%s%.*s exists already", g->store.bucket,
                       g->store.prefix, SL_STR_ARG(key));
    }
    return rc == SL_ENOTFOUND ? SL_OK : rc;
}

sl_rc sli_gcs_begin(struct sl_backend *be, struct sl_str key, struct sl_upload **ret,
                    struct sl_err *err)
{
    SL_TRY(sli_key_check(key, err));
    SL_TRY(refuse_taken(sli_gcs_of(be), key, err));
    struct gcs_upload *u = sl_alloc_zero(1, sizeof(*u));
    if (u == NULL) {
        return SL_NOMEM(err);
    }
    u->up.owner = be;
    sl_mutex_init(&u->mu);
    sl_cond_init(&u->turned);
    sl_mutex_lock(&u->mu);
    u->locked.next_no = 1;
    sl_mutex_unlock(&u->mu);
    u->key = sl_strndup(key.ptr, key.len);
    sl_rc rc = u->key == NULL ? SL_NOMEM(err) : sli_gcs_mark_new(u->mark, err);
    if (rc != SL_OK) {
        upload_free(u);
        return rc;
    }
    *ret = &u->up;
    return SL_OK;
}

/* ---- the session ---- */

static sl_rc open_session(struct sli_gcs *g, struct gcs_upload *u, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) body = SL_BUF_EMPTY;
    sl_buf_add(&url, sl_buf_view(&g->endpoint));
    sl_buf_addf(&url, "/upload/storage/v1/b/%s/o?uploadType=resumable&ifGenerationMatch=0&name=",
                g->store.bucket);
    sl_percent_encode(sl_str_from(g->store.prefix), &url);
    sl_percent_encode(key_of(u), &url);
    sli_gcs_metadata_add(g, key_of(u), u->mark, NULL, &body);
    SL_TRY(sl_buf_done(&url, err));
    SL_TRY(sl_buf_done(&body, err));
    struct sli_gcs_call call = {.method = "POST",
                                .url = sl_buf_str(&url),
                                .body = sl_buf_view(&body),
                                .key = key_of(u),
                                .reply_max = SLI_GCS_SMALL_MAX,
                                .opens_session = true,
                                .cancel = g->store.cancel,
                                .action = "storage.objects.create"};
    sli_gcs_header(&call, "content-type", SL_STR("application/json; charset=UTF-8"));
    sli_gcs_header(&call, "x-upload-content-type", SL_STR("application/octet-stream"));
    SL_TRY(sli_gcs_send(g, &call, &reply, err));
    sl_buf_add_str(&u->session, sl_http_header_of(&reply, "location"));
    return sl_buf_done(&u->session, err);
}

/* "bytes=0-N" -> N+1; 0 without the header. SL_EIO: it is something else. */
static sl_rc kept_of(const struct sl_http_reply *reply, uint64_t *ret, struct sl_err *err)
{
    struct sl_str range = sl_http_header_of(reply, "range");
    const char *dash = range.len == 0 ? NULL : memchr(range.ptr, '-', range.len);
    *ret = 0;
    if (range.ptr == NULL) {
        return SL_OK;
    }
    uint64_t last = 0;
    if (dash == NULL ||
        !sl_u64_parse((struct sl_str){dash + 1, range.len - (size_t)(dash + 1 - range.ptr)},
                      &last)) {
        return SL_FAIL(err, SL_EIO, "a session tells \"%.*s\" of what it has", SL_STR_ARG(range));
    }
    *ret = last + 1;
    return SL_OK;
}

/* Bytes [from, from + b.len) of the object, and with is_last its end behind them. */
struct piece {
    struct sli_gcs *g;
    struct gcs_upload *u;
    uint64_t from;
    struct sl_bytes b;
    bool is_last, is_unsure; /* is_unsure: the session must be asked before more is sent */
};

/* One request of the session. 308: u->kept is what it has now; else the object is made. */
static sl_rc put(const struct piece *p, const char *range, struct sl_bytes b, bool *ret_unclear,
                 struct sl_err *err)
{
    struct gcs_upload *u = p->u;
    struct sli_gcs_object want = sli_gcs_object_of(u->mark, p->from + p->b.len, u->crc);
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sli_gcs_call call = {.method = "PUT",
                                .url = sl_buf_str(&u->session),
                                .key = key_of(u),
                                .body = b,
                                .reply_max = SLI_GCS_SMALL_MAX,
                                .want = p->is_last ? &want : NULL,
                                .cancel = p->g->store.cancel,
                                .may_go_on = true,
                                .is_once = true,
                                .action = "storage.objects.create"};
    sli_gcs_header(&call, "content-range", sl_str_from(range));
    sl_rc rc = sli_gcs_send(p->g, &call, &reply, err);
    *ret_unclear = rc == SL_EIO || rc == SL_ETIMEOUT || rc == SL_ETOOMANY;
    SL_TRY(rc);
    if (reply.status == 308) {
        return kept_of(&reply, &u->kept, err);
    }
    u->is_done = p->is_last;
    *ret_unclear = !p->is_last;
    return p->is_last ? SL_OK
                      : SL_FAIL(err, SL_EIO, "gs://%s: a session was ended before its object was",
                                p->g->store.bucket);
}

static sl_rc ask(struct piece *p, bool *ret_unclear, struct sl_err *err)
{
    char range[64];
    uint64_t end = p->from + p->b.len;
    if (p->is_last) { /* it may be made already, and then says so */
        (void)snprintf(range, sizeof(range), "bytes */%llu", (unsigned long long)end);
    } else {
        (void)snprintf(range, sizeof(range), "bytes */*");
    }
    SL_TRY(put(p, range, (struct sl_bytes){0}, ret_unclear, err));
    p->is_unsure = false;
    return SL_OK;
}

static sl_rc send_rest(struct piece *p, bool *ret_unclear, struct sl_err *err)
{
    char range[96], total[24] = "*";
    uint64_t end = p->from + p->b.len, at = p->u->kept;
    if (at < p->from || at > end) {
        return SL_FAIL(err, SL_ECORRUPT, "gs://%s: the session has %llu bytes, not %llu to %llu",
                       p->g->store.bucket, (unsigned long long)at, (unsigned long long)p->from,
                       (unsigned long long)end);
    }
    struct sl_bytes rest = {p->b.ptr + (at - p->from), (size_t)(end - at)};
    if (p->is_last) {
        (void)snprintf(total, sizeof(total), "%llu", (unsigned long long)end);
    }
    if (rest.len > 0) {
        (void)snprintf(range, sizeof(range), "bytes %llu-%llu/%s", (unsigned long long)at,
                       (unsigned long long)end - 1, total);
    } else {
        (void)snprintf(range, sizeof(range), "bytes */%s", total);
    }
    return put(p, range, rest, ret_unclear, err);
}

static bool is_sent(const struct piece *p)
{
    return p->u->is_done || (!p->is_last && p->u->kept == p->from + p->b.len);
}

/* The session may take less than it was given; as long as it takes more each time, that is no
 * failure. */
static sl_rc try_piece(void *arg, struct sli_try *t, struct sl_err *err)
{
    struct piece *p = arg;
    bool is_unclear = false;
    sl_rc rc = SL_OK;
    t->is_repeatable = false;
    t->wait_ns = 0;
    while (rc == SL_OK && !is_sent(p)) {
        uint64_t before = p->u->kept;
        bool was_unsure = p->is_unsure;
        rc = was_unsure ? ask(p, &is_unclear, err) : send_rest(p, &is_unclear, err);
        if (rc == SL_OK && !was_unsure && !is_sent(p) && p->u->kept <= before) {
            rc = SL_FAIL(err, SL_EIO, "gs://%s: the session takes no more bytes",
                         p->g->store.bucket);
            is_unclear = true;
        }
    }
    p->is_unsure |= is_unclear;
    t->is_repeatable = is_unclear;
    return rc;
}

static sl_rc send(struct sli_gcs *g, struct gcs_upload *u, struct sl_bytes b, bool is_last,
                  struct sl_err *err)
{
    struct piece p = {.g = g, .u = u, .from = u->kept, .b = b, .is_last = is_last};
    if (u->session.len == 0) {
        SL_TRY(open_session(g, u, err));
    }
    return sli_retry(&g->store, g->store.cancel, try_piece, &p, err);
}

/* ---- parts ---- */

/* Sends what is whole of tail and b; the rest is the tail then. */
static sl_rc take(struct sli_gcs *g, struct gcs_upload *u, struct sl_bytes b, struct sl_err *err)
{
    u->crc = sl_crc32c(u->crc, b);
    if (u->tail.len > 0 || b.len < SLI_GCS_CHUNK) {
        sl_buf_add(&u->tail, b);
        SL_TRY(sl_buf_done(&u->tail, err));
        b = sl_buf_view(&u->tail);
    }
    size_t whole = b.len / SLI_GCS_CHUNK * SLI_GCS_CHUNK;
    if (whole > 0) {
        SL_TRY(send(g, u, SL_BYTES(b.ptr, whole), false, err));
    }
    if (b.ptr == u->tail.ptr) {
        sl_buf_consume(&u->tail, whole);
        return SL_OK;
    }
    sl_buf_add(&u->tail, SL_BYTES(b.ptr + whole, b.len - whole));
    return sl_buf_done(&u->tail, err);
}

static sl_rc await_turn(struct sli_gcs *g, struct gcs_upload *u, uint32_t part_no,
                        bool *ret_is_taken, struct sl_err *err)
{
    sl_rc rc = SL_OK;
    sl_mutex_lock(&u->mu);
    while (u->locked.next_no < part_no && u->locked.rc == SL_OK && rc == SL_OK) {
        (void)sl_cond_wait_for(&u->turned, &u->mu, LOOK_NS);
        if (sl_cancel_is_set(g->store.cancel)) {
            rc = SL_FAIL(err, SL_ECANCELED, "the upload was canceled");
        }
    }
    if (rc == SL_OK && u->locked.rc != SL_OK) { /* whoever is heard first tells the cause */
        rc = SL_FAIL(err, u->locked.rc, "%s", u->locked.failure.text);
    }
    *ret_is_taken = u->locked.next_no > part_no; /* repeated, as the seam allows */
    sl_mutex_unlock(&u->mu);
    return rc;
}

sl_rc sli_gcs_part(struct sl_backend *be, struct sl_upload *up, uint32_t part_no,
                   uint64_t offset SL_UNUSED, struct sl_bytes b, struct sl_err *err)
{
    struct sli_gcs *g = sli_gcs_of(be);
    struct gcs_upload *u = upload_of(be, up);
    bool is_taken = false;
    sl_assert(part_no >= 1);
    SL_TRY(await_turn(g, u, part_no, &is_taken, err));
    if (is_taken) {
        return SL_OK;
    }
    struct sl_err own = {0};
    sl_rc rc = take(g, u, b, &own);
    sl_mutex_lock(&u->mu);
    if (rc != SL_OK) {
        u->locked.rc = rc;
        u->locked.failure = own;
    }
    u->locked.next_no += rc == SL_OK;
    sl_cond_broadcast(&u->turned);
    sl_mutex_unlock(&u->mu);
    return rc == SL_OK ? SL_OK : SL_FAIL(err, rc, "%s", own.text);
}

/* ---- the end ---- */

sl_rc sli_gcs_complete(struct sl_backend *be, struct sl_upload *up, uint32_t part_count,
                       uint64_t size, struct sl_err *err)
{
    struct sli_gcs *g = sli_gcs_of(be);
    struct gcs_upload *u = upload_of(be, up);
    sl_assert(part_count > 0 || size == 0);
    if (u->kept + u->tail.len != size && !u->is_done) {
        return SL_FAIL(err, SL_EINTERNAL, "%s: %llu of %llu bytes were handed over", u->key,
                       (unsigned long long)(u->kept + u->tail.len), (unsigned long long)size);
    }
    if (u->session.len == 0) {
        SL_TRY(sli_gcs_put_object(g, key_of(u), sl_buf_view(&u->tail), true, u->mark,
                                  g->store.cancel, err));
    } else {
        sl_rc rc = u->is_done ? SL_OK : send(g, u, sl_buf_view(&u->tail), true, err);
        /* Gone, or a condition that does not hold any more: perhaps since we have made it. */
        if (rc != SL_OK && rc != SL_ENOTFOUND && rc != SL_ECONFLICT) {
            return rc;
        }
        struct sli_gcs_object want = sli_gcs_object_of(u->mark, size, u->crc);
        rc = sli_gcs_check(g, key_of(u), &want, err);
        if (rc == SL_ENOTFOUND) {
            return SL_FAIL(err, SL_EIO, "%s: the session has ended and the object is not there",
                           u->key);
        }
        SL_TRY(rc);
    }
    upload_free(u);
    return SL_OK;
}

void sli_gcs_cancel(struct sl_backend *be, struct sl_upload *up)
{
    if (up == NULL) {
        return;
    }
    struct sli_gcs *g = sli_gcs_of(be);
    struct gcs_upload *u = upload_of(be, up);
    struct sl_http_reply reply = {0};
    struct sli_gcs_call call = {.method = "DELETE",
                                .url = sl_buf_str(&u->session),
                                .key = key_of(u),
                                .reply_max = SLI_GCS_SMALL_MAX,
                                .deadline_ns = CANCEL_NS,
                                .action = "storage.objects.create"};
    if (u->session.len > 0 && !u->is_done) { /* 499 is the service's yes */
        SL_IGNORE(sli_gcs_send(g, &call, &reply, NULL), "it ends by itself after a week");
    }
    sl_http_reply_fini(&reply);
    upload_free(u);
}

/* Sessions cannot be listed, and their URLs are secrets that nobody keeps: docs/decisions/0011. */
sl_rc sli_gcs_sweep(struct sl_backend *be SL_UNUSED, struct sl_str prefix, struct sl_err *err)
{
    return sli_prefix_check(prefix, err);
}
