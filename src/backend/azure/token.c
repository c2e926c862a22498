/* Tokens of identities: a federated token exchanged at the authority, or the metadata of the
 * machine. When one is fetched is bearer.c's matter. */
#include "backend/azure/azure_int.h"

#include "base/file.h"
#include "base/num.h"

#define SECOND_NS INT64_C(1000000000)
#define REPLY_MAX (64u * 1024)
/* On the link metadata answers in milliseconds, after a start in seconds; elsewhere nobody does. */
#define LINK_NS  (5 * SECOND_NS)
#define LINK_MAX 2
#define FAR_NS   (20 * SECOND_NS)

/* For all clouds, sovereign ones too. */
#define RESOURCE "https://storage.azure.com/"

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

static sl_rc read_token(struct sli_azure *az, const struct sl_http_reply *reply,
                        struct sli_token *ret, struct sl_err *err)
{
    json_t *doc = sli_json_read(sl_buf_view(&reply->body));
    sl_buf_add_text(&ret->text, sli_json_member(doc, "access_token"));
    int64_t life_s = seconds_of(doc, "expires_in");
    if (life_s < 0) {
        life_s = seconds_of(doc, "expires_on");
        life_s -= life_s < 0 ? 0 : sl_clock_wall_ns(az->store.clock) / SECOND_NS;
    }
    sli_json_free(doc);
    SL_TRY(sl_buf_done(&ret->text, err));
    if (ret->text.len == 0 || ret->text.len > SLI_TOKEN_MAX || life_s <= 0 || life_s > 10 * 86400) {
        return SL_FAIL(err, SL_EACCESS, "the answer has no valid access_token with its life");
    }
    ret->life_ns = life_s * SECOND_NS;
    return SL_OK;
}

/* "invalid_client, AADSTS700016": what support pages are ordered by. The rest of the text may hold
 * names of people and is long. */
static void add_reason(const struct sl_http_reply *reply, struct sl_buf *out)
{
    json_auto_t *doc = sli_json_read(sl_buf_view(&reply->body));
    const char *error = sli_json_member(doc, "error");
    const char *code = strstr(sli_json_member(doc, "error_description"), "AADSTS");
    sl_buf_addf(out, "status %d", reply->status);
    if (error[0] != '\0') {
        sl_buf_addf(out, ", %.60s", error);
    }
    if (code != NULL) {
        size_t len = strspn(code + 6, "0123456789");
        sl_buf_addf(out, ", %.*s", (int)SL_MIN(len + 6, 20u), code);
    }
}

/* ---- requests ---- */

static bool is_passing(int status)
{
    return status == 404 || status == 408 || status == 410 || status == 429 || status >= 500;
}

static sl_rc get(struct sli_azure *az, struct sl_http_request *req, const char *what,
                 const char *remedy, struct sli_token_ask *ask, struct sli_token *ret,
                 struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    req->reply_max = REPLY_MAX;
    req->cancel = ask->cancel;
    ask->may_pass = false;
    sl_rc rc = sl_http_exchange(az->store.http, req, &reply, err);
    if (rc != SL_OK) {
        ask->may_pass = rc == SL_EIO || rc == SL_ETIMEOUT;
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
        ask->may_pass = is_passing(reply.status);
        rc = SL_FAIL(err, SL_EACCESS, "%s: no token is given (%s); %s", what, sl_buf_cstr(&reason),
                     remedy);
    }
    sli_wipe(&reply.body);
    return rc;
}

/* Source: "OAuth 2.0 client credentials flow", third case: federated credential. */
static sl_rc fetch_workload(struct sli_azure *az, struct sli_token_ask *ask, struct sli_token *ret,
                            struct sl_err *err)
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
    sl_rc rc = sl_file_read_all(c->azure_token_file, SLI_TOKEN_MAX, &assertion, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "AZURE_FEDERATED_TOKEN_FILE");
    } else {
        sli_form_add(&form, "client_id", sl_str_from(c->azure_client_id));
        sli_form_add(&form, "grant_type", SL_STR("client_credentials"));
        sli_form_add(&form, "scope", SL_STR(RESOURCE ".default"));
        sli_form_add(&form, "client_assertion_type",
                     SL_STR("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
        sli_form_add(&form, "client_assertion", sl_str_trim(sl_buf_str(&assertion)));
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
                                      .timeout_ns = FAR_NS};
        rc = get(az, &req, "workload identity",
                 "check AZURE_CLIENT_ID, AZURE_TENANT_ID and that the application has a federated "
                 "credential for this workload",
                 ask, ret, err);
    }
    sli_wipe(&assertion);
    sli_wipe(&form);
    return rc;
}

/* Sources: "How to use managed identities ... to acquire an access token", and, for App Service,
 * "How to use managed identities for App Service and Azure Functions". */
static sl_rc fetch_managed(struct sli_azure *az, struct sli_token_ask *ask, struct sli_token *ret,
                           struct sl_err *err)
{
    const struct sl_config *c = az->store.config;
    bool is_app = az->account.kind == SLI_AZURE_APP_SERVICE;
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    sli_form_add(&query, "api-version", is_app ? SL_STR("2019-08-01") : SL_STR("2018-02-01"));
    sli_form_add(&query, "resource", SL_STR(RESOURCE));
    if (c->azure_client_id[0] != '\0') {
        sli_form_add(&query, "client_id", sl_str_from(c->azure_client_id));
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
                                  .timeout_ns = LINK_NS,
                                  .is_direct = true};
    return get(az, &req, "managed identity",
               "give the machine an identity, or set AZURE_CLIENT_ID to one it has", ask, ret, err);
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

sl_rc sli_azure_token_fetch(void *arg, struct sli_token_ask *ask, struct sli_token *ret,
                            struct sl_err *err)
{
    struct sli_azure *az = arg;
    if (az->account.kind == SLI_AZURE_WORKLOAD) {
        return fetch_workload(az, ask, ret, err);
    }
    for (uint32_t no = 1;; no++) {
        sl_rc rc = fetch_managed(az, ask, ret, err);
        bool is_silent = rc == SL_EIO || rc == SL_ETIMEOUT;
        if (!is_silent || !ask->is_first) {
            return rc;
        }
        if (no == LINK_MAX) { /* there never was a token: so no identity is there */
            ask->may_pass = false;
            return nothing_found(az, rc, err);
        }
    }
}
