/* Requests: an address, a signature, an answer judged; and the probe.
 *
 * Every try builds its request anew, since the date is signed and a token may have changed. What is
 * secret (SAS, token, signature) lives in buffers that are wiped; sentences are made from the key
 * of the object, never from the address. */
#include "backend/azure/azure_int.h"

#include "backend/sign/sign.h"

/* Sentences of failures are XML of some 500 bytes; proxies send pages. */
#define FAULT_MAX (64u * 1024)

struct attempt {
    struct sli_azure *az;
    struct sli_azure_call *call;
    struct sl_http_reply *reply;
};

/* The strings of one request. */
struct request {
    struct sl_buf url, date, authorization;
    struct sl_http_header headers[SLI_AZURE_HEADERS_MAX + 3];
    uint32_t header_count;
    uint64_t token_no;
};

static void request_fini(struct request *r)
{
    sli_wipe(&r->url);
    sl_buf_fini(&r->date);
    sli_wipe(&r->authorization);
}

void sli_azure_date_add(struct sl_buf *out, int64_t wall_ns)
{
    static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970 began on a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_time_add_ms(&text, wall_ns); /* 2026-11-26T16:03:36.000Z */
    const char *t = sl_buf_cstr(&text);
    if (text.len < 20 || wall_ns < 0) {
        out->is_failed = true; /* no memory, or a clock before 1970 */
        return;
    }
    size_t day = (size_t)(wall_ns / (INT64_C(86400) * 1000000000) % 7);
    size_t month = (size_t)((t[5] - '0') * 10 + (t[6] - '0') - 1);
    sl_buf_addf(out, "%.3s, %.2s %.3s %.4s %.8s GMT", days + 3 * day, t + 8, months + 3 * month, t,
                t + 11);
}

static void build_url(const struct sli_azure *az, const struct sli_azure_call *call,
                      struct sl_buf *out)
{
    sl_buf_add(out, sl_buf_view(&az->account.endpoint));
    sl_buf_add_u8(out, '/');
    sli_path_add(out, sl_str_from(az->store.bucket));
    if (call->key.len > 0) {
        sl_buf_add_u8(out, '/');
        sli_path_add(out, sl_str_from(az->store.prefix));
        sli_path_add(out, call->key);
    }
    if (call->query != NULL) {
        sl_buf_addf(out, "?%s", call->query);
    }
    if (az->account.kind == SLI_AZURE_SAS) {
        sl_buf_add_u8(out, call->query == NULL ? '?' : '&');
        sl_buf_add(out, sl_buf_view(&az->account.sas));
    }
}

static void header_add(struct request *r, const char *name, struct sl_str value)
{
    sl_assert(r->header_count < SL_COUNT_OF(r->headers));
    r->headers[r->header_count++] = (struct sl_http_header){name, value};
}

static sl_rc authorize(struct attempt *a, struct request *r, bool *ret_again, struct sl_err *err)
{
    const struct sli_azure_account *account = &a->az->account;
    switch (account->kind) {
    case SLI_AZURE_KEY:
        SL_TRY(sl_sharedkey_sign(sl_buf_str(&account->name), sl_buf_view(&account->key),
                                 a->call->method, sl_buf_str(&r->url), r->headers, r->header_count,
                                 a->call->body.len, &r->authorization, err));
        break;
    case SLI_AZURE_SAS:
        return SL_OK;
    case SLI_AZURE_WORKLOAD:
    case SLI_AZURE_APP_SERVICE:
    case SLI_AZURE_IMDS:
        SL_TRY(sli_bearer_add(&a->az->bearer, a->call->cancel, &r->authorization, &r->token_no,
                              ret_again, err));
        break;
    }
    header_add(r, "Authorization", sl_buf_str(&r->authorization));
    return SL_OK;
}

static sl_rc build(struct attempt *a, struct request *r, bool *ret_again, struct sl_err *err)
{
    build_url(a->az, a->call, &r->url);
    sli_azure_date_add(&r->date, sl_clock_wall_ns(a->az->store.clock));
    if (r->url.is_failed || r->date.is_failed) {
        return SL_NOMEM(err);
    }
    header_add(r, "x-ms-date", sl_buf_str(&r->date));
    header_add(r, "x-ms-version", SL_STR(SLI_AZURE_VERSION));
    for (uint32_t i = 0; i < a->call->header_count; i++) {
        header_add(r, a->call->headers[i].name, a->call->headers[i].value);
    }
    return authorize(a, r, ret_again, err);
}

/* Once for each call a refused token is exchanged. */
static void mend_token(struct attempt *a, const struct request *r, struct sli_try *t)
{
    if (r->token_no > 0 && !t->is_refreshed && sli_azure_is_token_refused(a->reply)) {
        sli_bearer_refuse(&a->az->bearer, r->token_no);
        t->is_refreshed = true;
        t->is_repeatable = true;
    }
}

/* No answer came: of what? */
static void tell_subject(const struct attempt *a, sl_rc rc, struct sl_err *err)
{
    SL_AUTO(sl_buf) subject = SL_BUF_EMPTY;
    sli_azure_subject_add(a->az, a->call, &subject);
    if (rc != SL_ECANCELED && !subject.is_failed) {
        sl_err_prefix(err, "%s", sl_buf_cstr(&subject));
    }
}

static sl_rc send_and_judge(struct attempt *a, const struct request *r, struct sli_try *t,
                            struct sl_err *err)
{
    struct sli_azure_call *call = a->call;
    struct sl_http_request req = {.method = call->method,
                                  .url = sl_buf_str(&r->url),
                                  .headers = r->headers,
                                  .header_count = r->header_count,
                                  .body = call->body,
                                  .reply_max = SL_MAX(call->reply_max, FAULT_MAX),
                                  .timeout_ns = t->limit_ns,
                                  .cancel = call->cancel};
    sl_rc rc = sl_http_exchange(a->az->store.http, &req, a->reply, err);
    if (rc != SL_OK) {
        t->is_repeatable = rc == SL_EIO || rc == SL_ETIMEOUT;
        call->is_unclear = call->is_unclear || t->is_repeatable;
        tell_subject(a, rc, err);
        return rc;
    }
    rc = sli_azure_judge(a->az, call, a->reply, t, err);
    if (rc == SL_OK && call->check != NULL) {
        rc = call->check(call, a->reply, err);
        t->is_repeatable = sli_try_misfit(t, rc);
        call->is_unclear = call->is_unclear || rc != SL_OK;
    }
    call->is_unclear = call->is_unclear || t->is_repeatable;
    if (rc != SL_OK) {
        mend_token(a, r, t);
    }
    return rc;
}

static sl_rc attempt_once(void *arg, struct sli_try *t, struct sl_err *err)
{
    struct attempt *a = arg;
    struct request r = {.token_no = 0};
    t->is_repeatable = false;
    t->wait_ns = 0;
    sl_rc rc = build(a, &r, &t->is_repeatable, err);
    if (rc == SL_OK) {
        rc = send_and_judge(a, &r, t, err);
    }
    request_fini(&r);
    return rc;
}

sl_rc sli_azure_request(struct sli_azure *az, struct sli_azure_call *call,
                        struct sl_http_reply *reply, struct sl_err *err)
{
    sl_assert(call->header_count <= SLI_AZURE_HEADERS_MAX);
    struct attempt a = {az, call, reply};
    call->cancel = sli_cancel_of(&az->store, call->cancel, call->deadline_ns);
    return sli_retry_for(&az->store, call->deadline_ns, call->cancel, attempt_once, &a, err);
}

/* Lists one object below our prefix: signs, and needs no more than an export needs anyway. */
sl_rc sli_azure_probe(struct sl_backend *be, struct sl_err *err)
{
    struct sli_azure *az = sli_azure_of(be);
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    sl_buf_add_text(&query, "restype=container&comp=list&maxresults=1&");
    sli_azure_query_add(az, "prefix", (struct sl_str){NULL, 0}, &query);
    SL_TRY(sl_buf_done(&query, err));
    struct sli_azure_call call = {.method = "GET",
                                  .query = sl_buf_cstr(&query),
                                  .reply_max = FAULT_MAX,
                                  .cancel = az->store.cancel,
                                  .deadline_ns = SLI_PROBE_DEADLINE_NS,
                                  .action = "list"};
    sl_rc rc = sli_azure_request(az, &call, &reply, err);
    if (rc == SL_EIO || rc == SL_ETIMEOUT) {
        sl_err_prefix(err, "storage account %.*s cannot be reached; check its name in %s",
                      SL_STR_ARG(sli_azure_account_text(&az->account)),
                      az->store.config->azure_connection[0] != '\0'
                          ? "AZURE_STORAGE_CONNECTION_STRING"
                          : "AZURE_STORAGE_ACCOUNT");
    }
    return rc;
}
