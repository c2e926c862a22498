/* The token of an identity that all requests of a backend show. It is fetched well before the old
 * one ends, by one caller; the others go on with the old one. When there is none they wait for that
 * fetch, which has time limits of its own. How it is fetched is the driver's matter.
 *
 *   none    -> fetch; a failure is the caller's
 *   fresh   -> use
 *   aging   -> use; the first caller fetches, a failure is told to nobody and tried again later
 *   ended, or refused by the service -> none */
#include "backend/store_int.h"

#define SECOND_NS INT64_C(1000000000)
/* Tokens live one to 24 hours. Requests under way and clocks that differ need some minutes. */
#define AHEAD_NS (300 * SECOND_NS)
/* After a failed fetch while the old token still serves. */
#define LATER_NS (20 * SECOND_NS)
/* Waits at most this long for another caller's fetch before it looks again: how soon a waiting
 * caller sees that it is canceled. */
#define LOOK_NS (SECOND_NS / 5)

void sli_bearer_init(struct sli_bearer *b, const struct sli_store *st, sli_bearer_fn *fetch,
                     void *arg)
{
    b->store = st;
    b->fetch = fetch;
    b->arg = arg;
    sl_mutex_init(&b->mu);
    sl_cond_init(&b->changed);
}

void sli_bearer_fini(struct sli_bearer *b)
{
    sl_mutex_lock(&b->mu);
    struct sl_buf text = b->locked.text;
    b->locked.text = SL_BUF_EMPTY;
    sl_mutex_unlock(&b->mu);
    sli_wipe(&text);
    sl_cond_fini(&b->changed);
    sl_mutex_fini(&b->mu);
}

static bool is_usable_locked(const struct sli_bearer *b, int64_t now_ns) SL_REQUIRES(b->mu)
{
    return b->locked.no > 0 && now_ns < b->locked.end_ns;
}

enum step { USE, FETCH, WAIT };

static enum step step_locked(struct sli_bearer *b, int64_t now_ns) SL_REQUIRES(b->mu)
{
    bool is_usable = is_usable_locked(b, now_ns);
    bool is_due = !is_usable || now_ns >= b->locked.renew_ns;
    if (is_due && !b->locked.is_being_fetched) {
        b->locked.is_being_fetched = true;
        return FETCH;
    }
    return is_usable ? USE : WAIT;
}

/* Puts the new token, or none, in place. */
static void take_locked(struct sli_bearer *b, struct sli_token *token, int64_t now_ns)
    SL_REQUIRES(b->mu)
{
    b->locked.is_being_fetched = false;
    if (token->text.len == 0) {
        b->locked.renew_ns = now_ns + LATER_NS;
    } else {
        struct sl_buf old = b->locked.text;
        b->locked.text = token->text;
        token->text = old;
        b->locked.no++;
        b->locked.end_ns = now_ns + token->life_ns;
        b->locked.renew_ns = now_ns + SL_MAX(token->life_ns - AHEAD_NS, token->life_ns / 2);
    }
    sl_cond_broadcast(&b->changed);
}

/* SL_OK: there is a token that serves, new or old. */
static sl_rc renew(struct sli_bearer *b, struct sli_token_ask *ask, struct sl_err *err)
{
    struct sli_token token = {.text = SL_BUF_EMPTY};
    sl_rc rc = b->fetch(b->arg, ask, &token, err);
    if (rc == SL_OK && token.text.len > SLI_TOKEN_MAX) {
        rc = SL_FAIL(err, SL_ETOOBIG, "the token has %zu bytes", token.text.len);
    }
    if (rc != SL_OK) {
        sli_wipe(&token.text);
    }
    int64_t now_ns = sl_clock_mono_ns(b->store->clock);
    sl_mutex_lock(&b->mu);
    take_locked(b, &token, now_ns);
    bool is_usable = is_usable_locked(b, now_ns);
    sl_mutex_unlock(&b->mu);
    sli_wipe(&token.text);
    return is_usable ? SL_OK : rc;
}

sl_rc sli_bearer_add(struct sli_bearer *b, struct sl_cancel *cancel, struct sl_buf *out,
                     uint64_t *ret_no, bool *ret_again, struct sl_err *err)
{
    sl_buf_add_text(out, "Bearer ");
    if (sl_buf_reserve(out, SLI_TOKEN_MAX) == NULL) { /* nothing is allocated under the lock */
        return SL_NOMEM(err);
    }
    for (;;) {
        if (sl_cancel_is_set(cancel)) {
            return SL_FAIL(err, SL_ECANCELED, "the request was canceled");
        }
        sl_mutex_lock(&b->mu);
        enum step step = step_locked(b, sl_clock_mono_ns(b->store->clock));
        if (step == USE) {
            sl_buf_add(out, sl_buf_view(&b->locked.text));
            *ret_no = b->locked.no;
        } else if (step == WAIT) {
            (void)sl_cond_wait_for(&b->changed, &b->mu, LOOK_NS);
        }
        struct sli_token_ask ask = {.cancel = cancel, .is_first = b->locked.no == 0};
        sl_mutex_unlock(&b->mu);
        if (step == USE) {
            return SL_OK;
        }
        if (step == FETCH) {
            sl_rc rc = renew(b, &ask, err);
            *ret_again = rc != SL_OK && ask.may_pass;
            SL_TRY(rc);
        }
    }
}

void sli_bearer_refuse(struct sli_bearer *b, uint64_t no)
{
    sl_mutex_lock(&b->mu);
    if (b->locked.no == no) {
        b->locked.end_ns = INT64_MIN;
    }
    sl_mutex_unlock(&b->mu);
}
