/* Credentials that are shared by all uploaders, renewed before they expire; and the probe.
 *
 * Renewal begins RENEW_NS before the end. Until then the old ones serve all others while one thread
 * asks; when they have ended, all wait for it. A failed renewal of credentials that are still valid
 * is no failure. */
#include "backend/s3/s3_int.h"
#include "base/crypto.h"

#define RENEW_NS INT64_C(300000000000) /* five minutes, as the SDKs */
#define LAST_NS  INT64_C(10000000000)  /* a request may be on its way so long */

static void wipe(struct sl_buf *b)
{
    if (b->ptr != NULL) {
        sl_wipe(b->ptr, b->cap);
    }
    sl_buf_fini(b);
}

void sli_s3_keys_fini(struct sli_s3_keys *k)
{
    sl_buf_fini(&k->key_id);
    wipe(&k->secret);
    wipe(&k->token);
}

void sli_s3_access_init(struct sli_s3_access *a)
{
    sl_mutex_init(&a->mu);
    sl_cond_init(&a->changed);
}

void sli_s3_access_fini(struct sli_s3_access *a)
{
    sl_mutex_lock(&a->mu);
    sli_s3_keys_fini(&a->locked.keys);
    sl_mutex_unlock(&a->mu);
    sl_cond_fini(&a->changed);
    sl_mutex_fini(&a->mu);
}

static sl_rc copy(const struct sli_s3_keys *from, struct sli_s3_keys *ret, struct sl_err *err)
{
    sl_buf_add_str(&ret->key_id, sl_buf_str(&from->key_id));
    sl_buf_add_str(&ret->secret, sl_buf_str(&from->secret));
    sl_buf_add_str(&ret->token, sl_buf_str(&from->token));
    ret->end_ns = from->end_ns;
    SL_TRY(sl_buf_done(&ret->key_id, err));
    SL_TRY(sl_buf_done(&ret->secret, err));
    return sl_buf_done(&ret->token, err);
}

/* Fetches outside of the lock; the caller has set is_being_fetched. */
static sl_rc renew(struct sli_s3 *s3, bool *ret_again, struct sl_err *err)
{
    struct sli_s3_access *a = &s3->access;
    struct sli_s3_keys fresh = {0};
    sl_rc rc = sli_s3_fetch(s3, &fresh, ret_again, err);
    sl_mutex_lock(&a->mu);
    if (rc == SL_OK) {
        struct sli_s3_keys old = a->locked.keys;
        a->locked.keys = fresh;
        fresh = old;
        a->locked.no++;
    }
    a->locked.is_being_fetched = false;
    sl_cond_broadcast(&a->changed);
    sl_mutex_unlock(&a->mu);
    sli_s3_keys_fini(&fresh);
    return rc;
}

sl_rc sli_s3_keys_take(struct sli_s3 *s3, struct sli_s3_keys *ret, uint64_t *ret_no,
                       bool *ret_again, struct sl_err *err)
{
    struct sli_s3_access *a = &s3->access;
    sl_rc rc = SL_OK;
    sl_mutex_lock(&a->mu);
    for (;;) {
        int64_t left =
            a->locked.no == 0 ? 0 : a->locked.keys.end_ns - sl_clock_wall_ns(s3->store.clock);
        bool is_valid = left > LAST_NS;
        if (is_valid && (left > RENEW_NS || a->locked.is_being_fetched || rc != SL_OK)) {
            rc = copy(&a->locked.keys, ret, err);
            *ret_no = a->locked.no;
            break;
        }
        if (rc != SL_OK) {
            break; /* our own try failed and nothing else is valid */
        }
        if (a->locked.is_being_fetched) {
            sl_cond_wait(&a->changed, &a->mu);
            continue;
        }
        a->locked.is_being_fetched = true;
        sl_mutex_unlock(&a->mu);
        rc = renew(s3, ret_again, err);
        sl_mutex_lock(&a->mu);
        if (rc == SL_OK) { /* what was fetched is used, however short it lives */
            rc = copy(&a->locked.keys, ret, err);
            *ret_no = a->locked.no;
            break;
        }
    }
    sl_mutex_unlock(&a->mu);
    return rc;
}

void sli_s3_keys_refuse(struct sli_s3 *s3, uint64_t no)
{
    struct sli_s3_access *a = &s3->access;
    sl_mutex_lock(&a->mu);
    if (a->locked.no == no) {
        a->locked.keys.end_ns = 0;
    }
    sl_mutex_unlock(&a->mu);
}

/* Reads and signs, writes nothing: lists one object below our prefix. */
sl_rc sli_s3_probe(struct sl_backend *be, struct sl_err *err)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    struct sl_http_reply reply = {0};
    sl_buf_add_text(&query, "list-type=2&max-keys=1&prefix=");
    sl_percent_encode(sl_str_from(s3->store.prefix), &query);
    SL_TRY(sl_buf_done(&query, err));
    struct sli_s3_request q = {.method = "GET",
                               .query = sl_buf_str(&query),
                               .reply_max = SLI_S3_LIST_MAX,
                               .deadline_ns = SLI_PROBE_DEADLINE_NS,
                               .action = "s3:ListBucket"};
    sl_rc rc = sli_s3_send(s3, &q, &reply, err);
    sl_http_reply_fini(&reply);
    if (rc == SL_ENOTFOUND) { /* a service that answers 404 without a code */
        return SL_FAIL(err, SL_EINVAL, "s3://%s: there is no such bucket", s3->store.bucket);
    }
    return rc;
}
