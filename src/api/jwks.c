/* Fetches the keys of an OIDC issuer on a thread of its own.
 *
 *   round   a fetch, good or bad; requests that need newer keys wait for the end of the next round
 *   keys    immutable, counted; a request holds them while it checks, the thread replaces them
 *
 * No lock is held while a fetch or a check goes on. A stranger can make tokens with invented key
 * ids as fast as he likes: on demand there are BURST fetches at once and then one in DEMAND_NS, and
 * at most WAITING_MAX requests wait, so that he takes neither the issuer nor all request workers.
 */
#include "api/jwks.h"

#include <jansson.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sync.h"
#include "base/workers.h"
#include "http/client.h"

/* A key that the issuer withdrew is accepted no longer than this. */
#define AGE_MAX_NS INT64_C(300000000000)
/* After a failure: an issuer that restarts is found soon. */
#define RETRY_NS INT64_C(10000000000)
/* Rotations of keys come one at a time. */
#define DEMAND_NS INT64_C(10000000000)
#define BURST     4
/* Of each exchange: issuers answer in 300 ms across an ocean. A round has two. */
#define CALL_MS     3000
#define WAIT_NS     (INT64_C(2) * CALL_MS * 1000000)
#define WAITING_MAX 4 /* of eight request workers */
/* Discovery takes 4 KiB, ten keys with certificates 30 KiB; a bundle of all public authorities has
 * 220 KiB. */
#define DOCUMENT_MAX    (512u * 1024)
#define CERTIFICATE_MAX (1024u * 1024)

struct keys {
    struct sl_oidc_keys *set;
    uint32_t held; /* under mu */
};

struct sl_jwks {
    struct sl_jwks_opts opts;
    struct sl_buf certificate; /* empty: those of the system */
    struct sl_thread *thread;
    struct sl_mutex mu; /* leaf */
    struct sl_cond wake, done;
    struct {
        struct keys *keys; /* never NULL; an empty set before the first good round */
        uint64_t round;
        int64_t demand_due_ns; /* when the fetches asked for so far are all allowed for */
        uint32_t waiting;
        bool is_wanted, is_busy, is_stopping, is_known;
    } locked SL_GUARDED;
};

/* ---- settings ---- */

static sl_rc load_certificate(const char *text, struct sl_buf *out, struct sl_err *err)
{
    if (strstr(text, "-----BEGIN ") != NULL) {
        sl_buf_add_text(out, text);
        return sl_buf_done(out, err);
    }
    sl_rc rc = text[0] == '\0' ? SL_OK : sl_file_read_all(text, CERTIFICATE_MAX, out, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "AUTHENTICATION_OIDC_CERTIFICATE");
    }
    return rc;
}

sl_rc sl_jwks_check_opts(const struct sl_jwks_opts *opts, struct sl_err *err)
{
    const struct sl_oidc_opts *o = &opts->oidc;
    if (o->issuer[0] == '\0') {
        return SL_FAIL(err, SL_EINVAL,
                       "AUTHENTICATION_OIDC_ISSUER: the address of the issuer is needed while "
                       "AUTHENTICATION_OIDC_ENABLED is on");
    }
    if (o->username_claim[0] == '\0') {
        return SL_FAIL(err, SL_EINVAL,
                       "AUTHENTICATION_OIDC_USERNAME_CLAIM: the claim that names the user is "
                       "needed, for example sub");
    }
    if (o->client_id[0] == '\0' && !o->is_any_client) {
        return SL_FAIL(err, SL_EINVAL,
                       "AUTHENTICATION_OIDC_CLIENT_ID: the audience of our tokens is needed; or "
                       "set AUTHENTICATION_OIDC_SKIP_CLIENT_ID_CHECK to accept tokens for all");
    }
    const struct {
        const char *name, *url;
    } urls[] = {{"AUTHENTICATION_OIDC_ISSUER", o->issuer},
                {"AUTHENTICATION_OIDC_JWKS_URL", opts->jwks_url}};
    for (size_t i = 0; i < SL_COUNT_OF(urls); i++) {
        struct sl_str url = sl_str_from(urls[i].url);
        bool is_url = sl_str_starts(url, "http://") || sl_str_starts(url, "https://");
        if (url.len > 0 && !is_url) {
            return SL_FAIL(err, SL_EINVAL, "%s: \"%s\" must begin with https:// or http://",
                           urls[i].name, urls[i].url);
        }
    }
    SL_AUTO(sl_buf) certificate = SL_BUF_EMPTY;
    return load_certificate(opts->certificate, &certificate, err);
}

/* ---- a fetch ---- */

static sl_rc get(struct sl_jwks *j, const char *url, struct sl_buf *out, struct sl_err *err)
{
    const char *host = strstr(url, "://");
    const char *path = host == NULL ? NULL : strchr(host + 3, '/');
    struct sl_http_limits limits = {.response_max = DOCUMENT_MAX,
                                    .authorities = sl_buf_view(&j->certificate),
                                    .is_unverified = j->opts.is_tls_unverified};
    SL_AUTO(sl_buf) base = SL_BUF_EMPTY;
    SL_AUTO_PTR(sl_http_client) client = NULL;
    sl_buf_add(&base, SL_BYTES(url, path == NULL ? strlen(url) : (size_t)(path - url)));
    SL_TRY(sl_buf_done(&base, err));
    SL_TRY(sl_http_client_new(sl_buf_cstr(&base), NULL, CALL_MS, &client, err));
    sl_http_client_limit(client, &limits);
    int status = 0;
    SL_TRY(sl_http_call(client, "GET", path == NULL ? "/" : path, SL_BYTES(NULL, 0), out, &status,
                        err));
    return status == 200 ? SL_OK : SL_FAIL(err, SL_EIO, "GET %s: status %d", url, status);
}

void sl_jwks_discovery_url(const char *issuer, struct sl_buf *out)
{
    size_t len = strlen(issuer);
    sl_buf_add(out, SL_BYTES(issuer, len - (len > 0 && issuer[len - 1] == '/')));
    sl_buf_add_text(out, "/.well-known/openid-configuration");
}

/* The address of the keys as the issuer tells it. The document must be of our issuer, and one that
 * came over TLS may not send us to where anybody can answer. */
static sl_rc discover(struct sl_jwks *j, struct sl_buf *ret_url, struct sl_err *err)
{
    const char *issuer = j->opts.oidc.issuer;
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_jwks_discovery_url(issuer, &url);
    SL_TRY(sl_buf_done(&url, err));
    SL_TRY(get(j, sl_buf_cstr(&url), &text, err));
    json_auto_t *doc = json_loadb((const char *)text.ptr, text.len, JSON_DECODE_INT_AS_REAL, NULL);
    const char *told = json_string_value(json_object_get(doc, "issuer"));
    const char *uri = json_string_value(json_object_get(doc, "jwks_uri"));
    if (told == NULL || uri == NULL) {
        return SL_FAIL(err, SL_EINVAL, "GET %s: JSON with \"issuer\" and \"jwks_uri\" is expected",
                       sl_buf_cstr(&url));
    }
    if (strcmp(told, issuer) != 0) {
        return SL_FAIL(err, SL_EINVAL,
                       "GET %s: the issuer calls itself \"%s\"; set AUTHENTICATION_OIDC_ISSUER to "
                       "exactly that",
                       sl_buf_cstr(&url), told);
    }
    if (strncmp(issuer, "https://", 8) == 0 && strncmp(uri, "https://", 8) != 0) {
        return SL_FAIL(err, SL_EINVAL, "GET %s: \"jwks_uri\" leaves https", sl_buf_cstr(&url));
    }
    sl_buf_add_text(ret_url, uri);
    return sl_buf_done(ret_url, err);
}

static sl_rc fetch(struct sl_jwks *j, struct sl_oidc_keys **ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_buf_add_text(&url, j->opts.jwks_url);
    if (url.len == 0) {
        SL_TRY(discover(j, &url, err));
    }
    SL_TRY(sl_buf_done(&url, err));
    SL_TRY(get(j, sl_buf_cstr(&url), &text, err));
    sl_rc rc = sl_oidc_keys_parse(sl_buf_view(&text), ret, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "GET %s", sl_buf_cstr(&url));
    }
    return rc;
}

/* ---- keys in use ---- */

static sl_rc keys_new(struct sl_oidc_keys *set, struct keys **ret, struct sl_err *err)
{
    struct keys *keys = sl_alloc(sizeof(*keys));
    if (keys == NULL) {
        sl_oidc_keys_free(set);
        return SL_NOMEM(err);
    }
    *keys = (struct keys){set, 1};
    *ret = keys;
    return SL_OK;
}

static void keys_give(struct sl_jwks *j, struct keys *keys)
{
    sl_mutex_lock(&j->mu);
    bool is_last = --keys->held == 0;
    sl_mutex_unlock(&j->mu);
    if (is_last) {
        sl_oidc_keys_free(keys->set);
        sl_free(keys);
    }
}

static struct keys *keys_take(struct sl_jwks *j, uint64_t *ret_round)
{
    sl_mutex_lock(&j->mu);
    struct keys *keys = j->locked.keys;
    keys->held++;
    *ret_round = j->locked.round;
    sl_mutex_unlock(&j->mu);
    return keys;
}

/* ---- the thread ---- */

enum issuer { UNASKED, THERE, AWAY };

/* One round; the new keys, or NULL. The log is told when the issuer comes and goes, not each time.
 */
static struct keys *run_round(struct sl_jwks *j, enum issuer *state)
{
    struct sl_err err = {0};
    struct sl_oidc_keys *set = NULL;
    struct keys *keys = NULL;
    sl_rc rc = fetch(j, &set, &err);
    uint32_t count = rc == SL_OK ? sl_oidc_keys_count(set) : 0;
    if (rc == SL_OK) {
        rc = keys_new(set, &keys, &err);
    }
    if (rc != SL_OK && *state != AWAY) {
        sl_log(SL_WARN, "oidc_keys", "the keys of the issuer cannot be fetched; known ones stay",
               SL_F_TEXT("issuer", j->opts.oidc.issuer), SL_F_TEXT("error", sl_err_text(&err, rc)));
    } else if (rc == SL_OK && (*state != THERE || count == 0)) {
        sl_log(count == 0 ? SL_WARN : SL_INFO, "oidc_keys", "the keys of the issuer are fetched",
               SL_F_TEXT("issuer", j->opts.oidc.issuer), SL_F_INT("keys", count));
    }
    *state = rc == SL_OK ? THERE : AWAY;
    return keys;
}

/* Waits until the next round is due or wanted; false: stopping. */
static bool await_turn(struct sl_jwks *j, int64_t due_ns)
{
    sl_mutex_lock(&j->mu);
    int64_t left = due_ns - sl_clock_mono_ns(j->opts.clock);
    while (!j->locked.is_stopping && !j->locked.is_wanted && left > 0) {
        (void)sl_cond_wait_for(&j->wake, &j->mu, left);
        left = due_ns - sl_clock_mono_ns(j->opts.clock);
    }
    bool is_going_on = !j->locked.is_stopping;
    j->locked.is_wanted = false;
    j->locked.is_busy = is_going_on;
    sl_mutex_unlock(&j->mu);
    return is_going_on;
}

static void end_round(struct sl_jwks *j, struct keys *keys)
{
    sl_mutex_lock(&j->mu);
    struct keys *old = keys == NULL ? NULL : j->locked.keys;
    if (keys != NULL) {
        j->locked.keys = keys;
        j->locked.is_known = true;
    }
    j->locked.round++;
    j->locked.is_busy = false;
    sl_cond_broadcast(&j->done);
    sl_mutex_unlock(&j->mu);
    if (old != NULL) {
        keys_give(j, old);
    }
}

static void keep_fresh(void *arg)
{
    struct sl_jwks *j = arg;
    enum issuer state = UNASKED;
    int64_t due_ns = 0;
    while (await_turn(j, due_ns)) {
        struct keys *keys = run_round(j, &state);
        due_ns = sl_clock_mono_ns(j->opts.clock) + (keys == NULL ? RETRY_NS : AGE_MAX_NS);
        end_round(j, keys);
    }
}

/* ---- requests ---- */

/* Sees to it that a round after `round` ends soon. SL_END: not now, others asked too often.
 * SL_EBUSY: too many wait for it already. */
static sl_rc ask_locked(struct sl_jwks *j, uint64_t round) SL_REQUIRES(j->mu)
{
    if (j->locked.round != round) {
        return SL_OK; /* it has ended already */
    }
    if (j->locked.is_busy || j->locked.is_wanted) {
        return j->locked.waiting < WAITING_MAX ? SL_OK : SL_EBUSY;
    }
    int64_t now_ns = sl_clock_mono_ns(j->opts.clock);
    int64_t due_ns = SL_MAX(j->locked.demand_due_ns, now_ns);
    if (due_ns - now_ns > (BURST - 1) * DEMAND_NS) {
        return SL_END;
    }
    j->locked.demand_due_ns = due_ns + DEMAND_NS;
    j->locked.is_wanted = true;
    sl_cond_signal(&j->wake);
    return SL_OK;
}

static sl_rc await_newer(struct sl_jwks *j, uint64_t round)
{
    int64_t until_ns = sl_clock_mono_ns(j->opts.clock) + WAIT_NS, left = WAIT_NS;
    sl_mutex_lock(&j->mu);
    sl_rc rc = ask_locked(j, round);
    j->locked.waiting++;
    while (rc == SL_OK && j->locked.round == round && left > 0) {
        (void)sl_cond_wait_for(&j->done, &j->mu, left);
        left = until_ns - sl_clock_mono_ns(j->opts.clock);
    }
    j->locked.waiting--;
    rc = rc == SL_OK && j->locked.round == round ? SL_EBUSY : rc;
    sl_mutex_unlock(&j->mu);
    return rc;
}

static bool is_known(struct sl_jwks *j)
{
    sl_mutex_lock(&j->mu);
    bool is_known = j->locked.is_known;
    sl_mutex_unlock(&j->mu);
    return is_known;
}

static sl_rc check(struct sl_jwks *j, struct sl_str token, struct sl_arena *arena,
                   uint64_t *ret_round, struct sl_subject *ret, struct sl_err *err)
{
    struct keys *keys = keys_take(j, ret_round);
    int64_t now_s = sl_clock_wall_ns(j->opts.clock) / 1000000000;
    sl_rc rc = sl_oidc_check(&j->opts.oidc, keys->set, token, now_s, arena, ret, err);
    keys_give(j, keys);
    return rc;
}

sl_rc sl_jwks_verify(void *arg, struct sl_str token, struct sl_arena *arena, struct sl_subject *ret,
                     struct sl_err *err)
{
    struct sl_jwks *j = arg;
    uint64_t round = 0;
    sl_rc rc = check(j, token, arena, &round, ret, err);
    if (rc != SL_ENOTFOUND) {
        return rc;
    }
    sl_rc waited = await_newer(j, round);
    if (waited == SL_OK) {
        rc = check(j, token, arena, &round, ret, err);
    }
    if (waited == SL_EBUSY || (rc == SL_ENOTFOUND && !is_known(j))) {
        return SL_FAIL(err, SL_EBUSY,
                       "the keys of the OIDC issuer are not known yet; try again in a moment");
    }
    return rc == SL_ENOTFOUND ? SL_FAIL(err, SL_EUNAUTH,
                                        "unauthorized: failed to verify signature: no key of the "
                                        "issuer made it")
                              : rc;
}

/* ---- start and stop ---- */

sl_rc sl_jwks_start(const struct sl_jwks_opts *opts, struct sl_jwks **ret, struct sl_err *err)
{
    static const char nothing[] = "{\"keys\":[]}";
    SL_TRY(sl_jwks_check_opts(opts, err));
    struct sl_jwks *j = sl_alloc_zero(1, sizeof(*j));
    if (j == NULL) {
        return SL_NOMEM(err);
    }
    struct sl_oidc_keys *none = NULL;
    struct keys *keys = NULL;
    j->opts = *opts;
    sl_mutex_init(&j->mu);
    sl_cond_init(&j->wake);
    sl_cond_init(&j->done);
    sl_rc rc = load_certificate(opts->certificate, &j->certificate, err);
    if (rc == SL_OK) {
        rc = sl_oidc_keys_parse(SL_BYTES(nothing, sizeof(nothing) - 1), &none, err);
    }
    if (rc == SL_OK) {
        rc = keys_new(none, &keys, err);
    }
    sl_mutex_lock(&j->mu);
    j->locked.keys = keys;
    j->locked.is_wanted = true; /* the first round; requests may wait for it already */
    sl_mutex_unlock(&j->mu);
    if (rc == SL_OK) {
        rc = sl_thread_start("oidc", keep_fresh, j, &j->thread, err);
    }
    if (rc != SL_OK) {
        sl_jwks_stop(j);
        return rc;
    }
    *ret = j;
    return SL_OK;
}

void sl_jwks_stop(struct sl_jwks *j)
{
    if (j == NULL) {
        return;
    }
    sl_mutex_lock(&j->mu);
    j->locked.is_stopping = true;
    sl_cond_signal(&j->wake);
    sl_mutex_unlock(&j->mu);
    sl_thread_join(j->thread); /* a fetch at work ends by its time limits */
    sl_mutex_lock(&j->mu);
    struct keys *keys = j->locked.keys;
    sl_mutex_unlock(&j->mu);
    if (keys != NULL) {
        keys_give(j, keys);
    }
    sl_cond_fini(&j->done);
    sl_cond_fini(&j->wake);
    sl_mutex_fini(&j->mu);
    sl_buf_fini(&j->certificate);
    sl_free(j);
}
