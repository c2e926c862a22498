/* Keys in use: taken by every request, renewed by one of them before they expire, dropped when the
 * server refuses them; and the probe.
 *
 * A renewal asks services over the network, so it happens outside of the lock, and there is one at
 * a time: meanwhile others go on with keys that are still good, or wait for its outcome. A failed
 * early renewal harms nobody; it is tried again after a while. */
#include "backend/s3/s3_int.h"

#include "base/crypto.h"

#define WAIT_NS  INT64_C(100000000)   /* between looks at the cancel token */
#define LATER_NS INT64_C(60000000000) /* after a failed early renewal */

void sli_s3_keys_fini(struct sli_s3_keys *k)
{
    struct sl_buf *const texts[] = {&k->id, &k->secret, &k->token};
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        sl_wipe(texts[i]->ptr, texts[i]->len);
        sl_buf_fini(texts[i]);
    }
}

static void keys_free(struct sli_s3_keys *k)
{
    if (k != NULL) {
        sli_s3_keys_fini(k);
        sl_free(k);
    }
}

void sli_s3_access_init(struct sli_s3 *s3)
{
    sl_mutex_init(&s3->mu);
    sl_cond_init(&s3->changed);
}

void sli_s3_access_fini(struct sli_s3 *s3)
{
    sl_mutex_lock(&s3->mu);
    struct sli_s3_keys *k = sl_move(&s3->locked.keys);
    sl_mutex_unlock(&s3->mu);
    keys_free(k);
    sl_cond_fini(&s3->changed);
    sl_mutex_fini(&s3->mu);
}

static bool is_good_locked(const struct sli_s3 *s3, int64_t wall_ns) SL_REQUIRES(s3->mu)
{
    const struct sli_s3_keys *k = s3->locked.keys;
    return k != NULL && k->no > s3->locked.refused_no && wall_ns < k->end_ns;
}

/* Takes one user off; whom the last leaves is the caller's to free. */
static struct sli_s3_keys *leave_locked(struct sli_s3 *s3, struct sli_s3_keys *k)
    SL_REQUIRES(s3->mu)
{
    (void)s3;
    return k != NULL && --k->users == 0 ? k : NULL;
}

void sli_s3_keys_give(struct sli_s3 *s3, struct sli_s3_keys *k)
{
    sl_mutex_lock(&s3->mu);
    struct sli_s3_keys *unused = leave_locked(s3, k);
    sl_mutex_unlock(&s3->mu);
    keys_free(unused);
}

void sli_s3_keys_refuse(struct sli_s3 *s3, uint64_t no)
{
    sl_mutex_lock(&s3->mu);
    s3->locked.refused_no = SL_MAX(s3->locked.refused_no, no);
    sl_mutex_unlock(&s3->mu);
}

enum turn { TURN_USE, TURN_RENEW, TURN_FAILED, TURN_CANCELED };

/* Waits until there is something to do. */
static enum turn await_turn(struct sli_s3 *s3, struct sl_cancel *cancel, struct sli_s3_keys **ret,
                            bool *ret_again, struct sl_err *err)
{
    enum turn turn = TURN_RENEW;
    bool has_waited = false;
    sl_mutex_lock(&s3->mu);
    uint64_t seen = s3->locked.renewals;
    for (;;) {
        int64_t wall = sl_clock_wall_ns(s3->store.clock);
        bool is_good = is_good_locked(s3, wall);
        bool is_due = is_good && wall >= s3->locked.keys->renew_ns &&
                      sl_clock_mono_ns(s3->store.clock) >= s3->locked.early_ns;
        if (is_good && (!is_due || s3->locked.is_renewing)) {
            s3->locked.keys->users++;
            *ret = s3->locked.keys;
            turn = TURN_USE;
            break;
        }
        if (has_waited && s3->locked.renewals != seen && s3->locked.failure.rc != SL_OK) {
            *ret_again = s3->locked.may_pass;
            turn = TURN_FAILED;
            *err = s3->locked.failure;
            break;
        }
        if (!s3->locked.is_renewing) {
            s3->locked.is_renewing = true;
            break;
        }
        if (sl_cancel_is_set(cancel)) {
            turn = TURN_CANCELED;
            break;
        }
        has_waited = true;
        (void)sl_cond_wait_for(&s3->changed, &s3->mu, WAIT_NS);
    }
    sl_mutex_unlock(&s3->mu);
    return turn;
}

/* The outcome of a renewal for all; the caller's keys in *ret, also old ones that are still good.
 */
static sl_rc settle(struct sli_s3 *s3, sl_rc rc, bool may_pass, struct sli_s3_keys *fresh,
                    struct sli_s3_keys **ret, const struct sl_err *err)
{
    struct sli_s3_keys *unused = NULL;
    sl_mutex_lock(&s3->mu);
    s3->locked.is_renewing = false;
    s3->locked.renewals++;
    s3->locked.may_pass = may_pass;
    s3->locked.failure = *err;
    s3->locked.failure.rc = rc;
    if (rc == SL_OK) {
        unused = leave_locked(s3, s3->locked.keys);
        fresh->no = s3->locked.renewals + 1; /* above any number that was refused */
        fresh->users = 1;
        s3->locked.keys = fresh;
    } else if (is_good_locked(s3, sl_clock_wall_ns(s3->store.clock))) {
        s3->locked.early_ns = sl_clock_mono_ns(s3->store.clock) + LATER_NS;
        rc = SL_OK;
    }
    if (rc == SL_OK) {
        s3->locked.keys->users++;
        *ret = s3->locked.keys;
    }
    sl_cond_broadcast(&s3->changed);
    sl_mutex_unlock(&s3->mu);
    keys_free(unused);
    return rc;
}

static sl_rc renew(struct sli_s3 *s3, struct sl_cancel *cancel, struct sli_s3_keys **ret,
                   bool *ret_again, struct sl_err *err)
{
    struct sli_s3_keys *fresh = sl_alloc_zero(1, sizeof *fresh);
    sl_rc rc = fresh == NULL ? SL_NOMEM(err) : sli_s3_keys_find(s3, cancel, fresh, ret_again, err);
    if (rc != SL_OK) {
        keys_free(fresh);
        fresh = NULL;
    }
    return settle(s3, rc, *ret_again, fresh, ret, err);
}

sl_rc sli_s3_keys_take(struct sli_s3 *s3, struct sl_cancel *cancel, struct sli_s3_keys **ret,
                       bool *ret_again, struct sl_err *err)
{
    struct sl_err own = {.rc = SL_OK};
    struct sl_err *told = err == NULL ? &own : err;
    *ret_again = false;
    switch (await_turn(s3, cancel, ret, ret_again, told)) {
    case TURN_USE:
        return SL_OK;
    case TURN_RENEW:
        return renew(s3, cancel, ret, ret_again, told);
    case TURN_CANCELED:
        return SL_FAIL(told, SL_ECANCELED, "the request was canceled");
    case TURN_FAILED:
        break;
    }
    return told->rc;
}

/* Lists one object below our prefix: signs, changes nothing, and needs no more than an export needs
 * anyway. HEAD of the bucket would ask for more rights and tell less: it has no body. */
sl_rc sli_s3_probe(struct sl_backend *be, struct sl_err *err)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    sl_buf_add_text(&query, "list-type=2&max-keys=1&");
    sli_s3_query_add(s3, "prefix", (struct sl_str){NULL, 0}, &query);
    SL_TRY(sl_buf_done(&query, err));
    struct sli_s3_headers h = {.count = 0};
    sli_s3_payer_header(s3, &h);
    struct sli_s3_call call = {.method = "GET",
                               .query = sl_buf_cstr(&query),
                               .headers = h.rows,
                               .header_count = h.count,
                               .cancel = s3->store.cancel,
                               .deadline_ns = SLI_PROBE_DEADLINE_NS,
                               .action = "s3:ListBucket"};
    sl_rc rc = sli_s3_request(s3, &call, &reply, err);
    if (rc != SL_OK && call.status == 0) { /* the endpoint, or a service that gives keys */
        sl_err_prefix(err, "bucket %s at %.*s", s3->store.bucket,
                      SL_STR_ARG(sl_buf_str(&s3->host)));
    }
    return rc;
}
