/* Tokens of identities: a federated token exchanged at the authority, or the metadata of the
 * machine. A token is fetched well before the old one ends, by one caller; the others go on with
 * the old one. When there is none they wait for that fetch, which has time limits of its own.
 *
 *   none    -> fetch; a failure is the caller's
 *   fresh   -> use
 *   aging   -> use; the first caller fetches, a failure is told to nobody and tried again later
 *   ended, or refused by the service -> none */
#include "backend/azure/azure_int.h"

#include <jansson.h>

#include "base/file.h"
#include "base/json.h"
#include "base/num.h"

#define SECOND_NS INT64_C(1000000000)
/* Tokens live one to 24 hours. Requests under way and clocks that differ need some minutes. */
#define AHEAD_NS (300 * SECOND_NS)
/* After a failed fetch while the old token still serves. */
#define LATER_NS (20 * SECOND_NS)
/* Tokens have 1.5 to 4 KiB; headers of the service end at 16. */
#define TOKEN_MAX (16u * 1024)
#define REPLY_MAX (64u * 1024)
/* On the link metadata answers in milliseconds, after a start in seconds; elsewhere nobody does. */
#define LINK_NS  (5 * SECOND_NS)
#define LINK_MAX 2
#define FAR_NS   (20 * SECOND_NS)

/* For all clouds, sovereign ones too. */
#define RESOURCE "https://storage.azure.com/"

struct fresh {
    struct sl_buf text;
    int64_t life_ns;
};

void sli_azure_token_init(struct sli_azure_token *t)
{
    sl_mutex_init(&t->mu);
    sl_cond_init(&t->changed);
}

void sli_azure_token_fini(struct sli_azure_token *t)
{
    sl_mutex_lock(&t->mu);
    struct sl_buf text = t->locked.text;
    t->locked.text = SL_BUF_EMPTY;
    sl_mutex_unlock(&t->mu);
    sli_wipe(&text);
    sl_cond_fini(&t->changed);
    sl_mutex_fini(&t->mu);
}

/* ---- answers ---- */

/* A number, or one as text, as metadata services send it; -1: neither. */
static int64_t seconds_of(const json_t *doc, const char *key)
{
    const json_t *v = json_object_get(doc, key);
    int64_t s = -1;
    if (json_is_integer(v)) {
        s = json_integer_value(v);
    } else if (json_is_string(v) && !sl_i64_parse(sl_str_from(json_string_value(v)), &s)) {
        s = -1;
    }
    return s;
}

static json_t *parse(const struct sl_http_reply *reply)
{
    struct sl_bytes b = sl_buf_view(&reply->body);
    return sl_json_depth(b) > 8 ? NULL : json_loadb((const char *)b.ptr, b.len, 0, NULL);
}

static sl_rc read_token(struct sli_azure *az, const struct sl_http_reply *reply, struct fresh *ret,
                        struct sl_err *err)
{
    json_auto_t *doc = parse(reply);
    const char *text = json_string_value(json_object_get(doc, "access_token"));
    int64_t life_s = seconds_of(doc, "expires_in");
    if (life_s < 0) {
        life_s = seconds_of(doc, "expires_on");
        life_s -= life_s < 0 ? 0 : sl_clock_wall_ns(az->store.clock) / SECOND_NS;
    }
    if (text == NULL || strlen(text) > TOKEN_MAX || life_s <= 0 || life_s > 10 * 86400) {
        return SL_FAIL(err, SL_EACCESS, "the answer has no valid access_token with its life");
    }
    sl_buf_add_text(&ret->text, text);
    ret->life_ns = life_s * SECOND_NS;
    return sl_buf_done(&ret->text, err);
}

/* "invalid_client, AADSTS700016": what support pages are ordered by. The rest of the text may hold
 * names of people and is long. */
static void add_reason(const struct sl_http_reply *reply, struct sl_buf *out)
{
    json_auto_t *doc = parse(reply);
    const char *error = json_string_value(json_object_get(doc, "error"));
    const char *text = json_string_value(json_object_get(doc, "error_description"));
    sl_buf_addf(out, "status %d", reply->status);
    if (error != NULL) {
        sl_buf_addf(out, ", %.60s", error);
    }
    const char *code = text == NULL ? NULL : strstr(text, "AADSTS");
    if (code != NULL) {
        size_t len = strspn(code + 6, "0123456789");
        sl_buf_addf(out, ", %.*s", (int)SL_MIN(len + 6, 20u), code);
    }
}

/* ---- requests ---- */

static void form_add(struct sl_buf *out, const char *name, struct sl_str value)
{
    if (out->len > 0) {
        sl_buf_add_u8(out, '&');
    }
    sl_buf_addf(out, "%s=", name);
    sl_percent_encode(value, out);
}

static bool is_passing(int status)
{
    return status == 404 || status == 408 || status == 410 || status == 429 || status >= 500;
}

static sl_rc ask(struct sli_azure *az, const struct sl_http_request *req, const char *what,
                 const char *remedy, struct fresh *ret, bool *ret_again, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    sl_rc rc = sl_http_exchange(az->store.http, req, &reply, err);
    if (rc != SL_OK) {
        *ret_again = rc == SL_EIO || rc == SL_ETIMEOUT;
        sl_err_prefix(err, "%s", what);
        return rc;
    }
    if (reply.status == 200) {
        rc = read_token(az, &reply, ret, err);
        if (rc != SL_OK) {
            sl_err_prefix(err, "%s", what);
        }
    } else {
        SL_AUTO(sl_buf) reason = SL_BUF_EMPTY;
        add_reason(&reply, &reason);
        *ret_again = is_passing(reply.status);
        rc = SL_FAIL(err, SL_EACCESS, "%s: no token is given (%s); %s", what, sl_buf_cstr(&reason),
                     remedy);
    }
    if (reply.body.ptr != NULL) {
        explicit_bzero(reply.body.ptr, reply.body.cap);
    }
    return rc;
}

/* Source: "OAuth 2.0 client credentials flow", third case: federated credential. */
static sl_rc fetch_workload(struct sli_azure *az, struct sl_cancel *cancel, struct fresh *ret,
                            bool *ret_again, struct sl_err *err)
{
    const struct sl_config *c = az->store.config;
    struct sl_buf assertion = SL_BUF_EMPTY, form = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    size_t host_len = strlen(c->azure_authority);
    while (host_len > 0 && c->azure_authority[host_len - 1] == '/') {
        host_len--;
    }
    sl_buf_addf(&url, "%.*s/", (int)host_len, c->azure_authority);
    sl_percent_encode(sl_str_from(c->azure_tenant_id), &url);
    sl_buf_add_text(&url, "/oauth2/v2.0/token");
    sl_rc rc = sl_file_read_all(c->azure_token_file, TOKEN_MAX, &assertion, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "AZURE_FEDERATED_TOKEN_FILE");
    } else {
        form_add(&form, "client_id", sl_str_from(c->azure_client_id));
        form_add(&form, "grant_type", SL_STR("client_credentials"));
        form_add(&form, "scope", SL_STR(RESOURCE ".default"));
        form_add(&form, "client_assertion_type",
                 SL_STR("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
        form_add(&form, "client_assertion", sl_str_trim(sl_buf_str(&assertion)));
        rc = form.is_failed || url.is_failed ? SL_NOMEM(err) : SL_OK;
    }
    if (rc == SL_OK) {
        const struct sl_http_header header = {"Content-Type",
                                              SL_STR("application/x-www-form-urlencoded")};
        struct sl_http_request req = {.method = "POST",
                                      .url = sl_buf_str(&url),
                                      .headers = &header,
                                      .header_count = 1,
                                      .body = sl_buf_view(&form),
                                      .reply_max = REPLY_MAX,
                                      .timeout_ns = FAR_NS,
                                      .cancel = cancel};
        rc = ask(az, &req, "workload identity",
                 "check AZURE_CLIENT_ID, AZURE_TENANT_ID and that the application has a federated "
                 "credential for this workload",
                 ret, ret_again, err);
    }
    sli_wipe(&assertion);
    sli_wipe(&form);
    return rc;
}

/* Sources: "How to use managed identities ... to acquire an access token", and, for App Service,
 * "How to use managed identities for App Service and Azure Functions". */
static sl_rc fetch_managed(struct sli_azure *az, struct sl_cancel *cancel, struct fresh *ret,
                           bool *ret_again, struct sl_err *err)
{
    const struct sl_config *c = az->store.config;
    bool is_app = az->account.kind == SLI_AZURE_APP_SERVICE;
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    form_add(&query, "api-version", is_app ? SL_STR("2019-08-01") : SL_STR("2018-02-01"));
    form_add(&query, "resource", SL_STR(RESOURCE));
    if (c->azure_client_id[0] != '\0') {
        form_add(&query, "client_id", sl_str_from(c->azure_client_id));
    }
    sl_buf_addf(&url, "%s%s?", is_app ? c->azure_identity_url : c->azure_imds,
                is_app ? "" : "/metadata/identity/oauth2/token");
    sl_buf_add(&url, sl_buf_view(&query));
    if (query.is_failed || url.is_failed) {
        return SL_NOMEM(err);
    }
    const struct sl_http_header headers[] = {
        {"Metadata", SL_STR("true")}, {"X-IDENTITY-HEADER", sl_str_from(c->azure_identity_header)}};
    struct sl_http_request req = {.method = "GET",
                                  .url = sl_buf_str(&url),
                                  .headers = is_app ? &headers[1] : headers,
                                  .header_count = 1,
                                  .reply_max = REPLY_MAX,
                                  .timeout_ns = LINK_NS,
                                  .is_direct = true,
                                  .cancel = cancel};
    return ask(az, &req, "managed identity",
               "give the machine an identity, or set AZURE_CLIENT_ID to one it has", ret, ret_again,
               err);
}

/* Nobody on the link: the usual case of a machine that is not in Azure and has no key set. */
static sl_rc nothing_found(struct sli_azure *az, sl_rc rc, struct sl_err *err)
{
    SL_AUTO(sl_buf) cause = SL_BUF_EMPTY;
    sl_buf_addf(&cause, "%.200s", sl_err_text(err, rc));
    return SL_FAIL(err, SL_EACCESS,
                   "no credential for Azure account %.*s is found: set AZURE_STORAGE_KEY or "
                   "AZURE_STORAGE_CONNECTION_STRING; no workload identity is set and no managed "
                   "identity answers (%s)",
                   SL_STR_ARG(sli_azure_account_text(&az->account)), sl_buf_cstr(&cause));
}

/* is_first: there never was a token; so silence means that no identity is there. */
static sl_rc fetch(struct sli_azure *az, bool is_first, struct sl_cancel *cancel, struct fresh *ret,
                   bool *ret_again, struct sl_err *err)
{
    *ret_again = false;
    if (az->account.kind == SLI_AZURE_WORKLOAD) {
        return fetch_workload(az, cancel, ret, ret_again, err);
    }
    for (uint32_t no = 1;; no++) {
        sl_rc rc = fetch_managed(az, cancel, ret, ret_again, err);
        bool is_silent = rc == SL_EIO || rc == SL_ETIMEOUT;
        if (!is_silent || !is_first) {
            return rc;
        }
        if (no == LINK_MAX) {
            *ret_again = false;
            return nothing_found(az, rc, err);
        }
    }
}

/* ---- the token in use ---- */

/* Waits at most this long for another caller's fetch before it looks again. */
#define LOOK_NS (SECOND_NS / 5)

enum step { USE, FETCH, WAIT };

static enum step step_locked(struct sli_azure_token *t, int64_t now_ns) SL_REQUIRES(t->mu)
{
    bool is_usable = t->locked.no > 0 && now_ns < t->locked.end_ns;
    bool is_due = !is_usable || now_ns >= t->locked.renew_ns;
    if (is_due && !t->locked.is_being_fetched) {
        t->locked.is_being_fetched = true;
        return FETCH;
    }
    return is_usable ? USE : WAIT;
}

/* Puts the new token, or none, in place. */
static void take_locked(struct sli_azure_token *t, struct fresh *fresh, int64_t now_ns)
    SL_REQUIRES(t->mu)
{
    t->locked.is_being_fetched = false;
    if (fresh->text.len == 0) {
        t->locked.renew_ns = now_ns + LATER_NS;
    } else {
        struct sl_buf old = t->locked.text;
        t->locked.text = fresh->text;
        fresh->text = old;
        t->locked.no++;
        t->locked.end_ns = now_ns + fresh->life_ns;
        t->locked.renew_ns = now_ns + SL_MAX(fresh->life_ns - AHEAD_NS, fresh->life_ns / 2);
    }
    sl_cond_broadcast(&t->changed);
}

/* SL_OK: there is a token that serves, new or old. */
static sl_rc renew(struct sli_azure *az, bool is_first, struct sl_cancel *cancel, bool *ret_again,
                   struct sl_err *err)
{
    struct sli_azure_token *t = &az->token;
    struct fresh fresh = {.text = SL_BUF_EMPTY};
    sl_rc rc = fetch(az, is_first, cancel, &fresh, ret_again, err);
    if (rc != SL_OK) {
        sl_buf_clear(&fresh.text);
    }
    int64_t now_ns = sl_clock_mono_ns(az->store.clock);
    sl_mutex_lock(&t->mu);
    take_locked(t, &fresh, now_ns);
    bool is_usable = t->locked.no > 0 && now_ns < t->locked.end_ns;
    sl_mutex_unlock(&t->mu);
    sli_wipe(&fresh.text);
    return is_usable ? SL_OK : rc;
}

sl_rc sli_azure_token_add(struct sli_azure *az, struct sl_cancel *cancel, struct sl_buf *out,
                          uint64_t *ret_no, bool *ret_again, struct sl_err *err)
{
    struct sli_azure_token *t = &az->token;
    sl_buf_add_text(out, "Bearer ");
    if (sl_buf_reserve(out, TOKEN_MAX) == NULL) { /* so that nothing is allocated under the lock */
        return SL_NOMEM(err);
    }
    for (;;) {
        if (sl_cancel_is_set(cancel)) {
            return SL_FAIL(err, SL_ECANCELED, "it was canceled");
        }
        sl_mutex_lock(&t->mu);
        enum step step = step_locked(t, sl_clock_mono_ns(az->store.clock));
        if (step == USE) {
            sl_buf_add(out, sl_buf_view(&t->locked.text));
            *ret_no = t->locked.no;
        } else if (step == WAIT) {
            (void)sl_cond_wait_for(&t->changed, &t->mu, LOOK_NS);
        }
        bool is_first = t->locked.no == 0;
        sl_mutex_unlock(&t->mu);
        if (step == USE) {
            return SL_OK;
        }
        if (step == FETCH) {
            SL_TRY(renew(az, is_first, cancel, ret_again, err));
        }
    }
}

void sli_azure_token_refuse(struct sli_azure *az, uint64_t no)
{
    struct sli_azure_token *t = &az->token;
    sl_mutex_lock(&t->mu);
    if (t->locked.no == no) {
        t->locked.end_ns = INT64_MIN;
    }
    sl_mutex_unlock(&t->mu);
}
