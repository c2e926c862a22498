/* The account and its tokens; the probe.
 *
 *   a file of credentials (GOOGLE_APPLICATION_CREDENTIALS, else gcloud's): a service account signs
 * a claim, a user's account shows its refresh token, an external account exchanges a token of its
 *   own identity provider; without a file the metadata of the machine answers
 *
 * Files are read at each fetch, since they are renewed in place. */
#include <stdio.h>

#include "backend/gcs/gcs_int.h"

#include "backend/sign/sign.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/json.h"

#define SECOND_NS   INT64_C(1000000000)
#define LIFE_MAX_S  86400
#define FILE_MAX    (64u * 1024)
#define SERVICE_NS  (20 * SECOND_NS)
#define METADATA_NS (3 * SECOND_NS) /* on the link; where nobody is, nobody answers */
#define SCOPE       "https://www.googleapis.com/auth/devstorage.read_write"
#define TOKEN_URL   "https://oauth2.googleapis.com/token"

static void add_member(struct sl_buf *form, const json_t *file, const char *name)
{
    sli_form_add(form, name, sl_str_from(sli_json_member(file, name)));
}

/* ---- asking ---- */

static sl_rc read_answer(const struct sl_http_reply *reply, const char *what,
                         struct sli_token_ask *ask, struct sli_token *ret, struct sl_err *err)
{
    json_t *doc = sli_json_read(sl_buf_view(&reply->body));
    const char *token = sli_json_member(doc, "access_token");
    json_int_t life = json_integer_value(json_object_get(doc, "expires_in"));
    sl_rc rc = SL_OK;
    if (reply->status != 200) {
        ask->may_pass = reply->status >= 500 || reply->status == 429;
        rc = SL_FAIL(err, SL_EACCESS, "%s gives no token: status %d, %.80s %.200s", what,
                     reply->status, sli_json_member(doc, "error"),
                     sli_json_member(doc, "error_description"));
    } else if (token[0] == '\0' || strlen(token) > SLI_TOKEN_MAX || life <= 0 ||
               life > LIFE_MAX_S) {
        rc = SL_FAIL(err, SL_EACCESS, "%s: no access_token with its life in the answer", what);
    } else {
        sl_buf_add_text(&ret->text, token);
        ret->life_ns = (int64_t)life * SECOND_NS;
        rc = sl_buf_done(&ret->text, err);
    }
    sli_json_free(doc);
    return rc;
}

static sl_rc exchange(struct sli_gcs *g, struct sl_http_request *req, const char *what,
                      struct sli_token_ask *ask, struct sl_http_reply *reply, struct sl_err *err)
{
    req->reply_max = SLI_GCS_SMALL_MAX;
    req->cancel = ask->cancel;
    sl_rc rc = sl_http_exchange(g->store.http, req, reply, err);
    if (rc != SL_OK) {
        ask->may_pass = rc == SL_EIO || rc == SL_ETIMEOUT;
        sl_err_prefix(err, "%s", what);
    }
    return rc;
}

static sl_rc post_form(struct sli_gcs *g, const char *url, struct sl_buf *form, const char *what,
                       struct sli_token_ask *ask, struct sli_token *ret, struct sl_err *err)
{
    struct sl_http_reply reply = {0};
    const struct sl_http_header type = {"content-type",
                                        SL_STR("application/x-www-form-urlencoded")};
    struct sl_http_request req = {.method = "POST",
                                  .url = sl_str_from(url),
                                  .headers = &type,
                                  .header_count = 1,
                                  .body = sl_buf_view(form),
                                  .timeout_ns = SERVICE_NS};
    sl_rc rc = sl_buf_done(form, err);
    if (rc == SL_OK) {
        rc = exchange(g, &req, what, ask, &reply, err);
    }
    if (rc == SL_OK) {
        rc = read_answer(&reply, what, ask, ret, err);
    }
    sli_wipe(&reply.body);
    sl_http_reply_fini(&reply);
    return rc;
}

/* ---- kinds of files ---- */

static sl_rc from_service_account(struct sli_gcs *g, const json_t *file, struct sli_token_ask *ask,
                                  struct sli_token *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) claims = SL_BUF_EMPTY;
    struct sl_buf jwt = SL_BUF_EMPTY, form = SL_BUF_EMPTY;
    const char *uri = sli_json_member(file, "token_uri");
    const char *url = uri[0] != '\0' ? uri : TOKEN_URL;
    int64_t now = sl_clock_wall_ns(g->store.clock) / SECOND_NS;
    struct sl_json w = sl_json_over(&claims);
    sl_json_obj(&w);
    sl_json_key(&w, "iss");
    sl_json_text(&w, sli_json_member(file, "client_email"));
    sl_json_key(&w, "scope");
    sl_json_text(&w, SCOPE);
    sl_json_key(&w, "aud");
    sl_json_text(&w, url);
    sl_json_key(&w, "iat");
    sl_json_i64(&w, now);
    sl_json_key(&w, "exp");
    sl_json_i64(&w, now + 3600);
    sl_json_obj_end(&w);
    sl_rc rc = sl_buf_done(&claims, err);
    if (rc == SL_OK) {
        rc = sl_jwt_sign_rs256(sl_str_from(sli_json_member(file, "private_key")),
                               sl_str_from(sli_json_member(file, "private_key_id")),
                               sl_buf_str(&claims), &jwt, err);
    }
    if (rc == SL_OK) {
        sli_form_add(&form, "grant_type", SL_STR("urn:ietf:params:oauth:grant-type:jwt-bearer"));
        sli_form_add(&form, "assertion", sl_buf_str(&jwt));
        rc = post_form(g, url, &form, "the token service of the service account", ask, ret, err);
    }
    sli_wipe(&jwt);
    sli_wipe(&form);
    return rc;
}

static sl_rc from_user(struct sli_gcs *g, const json_t *file, struct sli_token_ask *ask,
                       struct sli_token *ret, struct sl_err *err)
{
    struct sl_buf form = SL_BUF_EMPTY;
    const char *uri = sli_json_member(file, "token_uri");
    sli_form_add(&form, "grant_type", SL_STR("refresh_token"));
    add_member(&form, file, "client_id");
    add_member(&form, file, "client_secret");
    add_member(&form, file, "refresh_token");
    sl_rc rc = post_form(g, uri[0] != '\0' ? uri : TOKEN_URL, &form,
                         "the token service of the user's account", ask, ret, err);
    sli_wipe(&form);
    return rc;
}

/* The token of the other identity: a file, or what a URL answers; as text or a field of JSON. */
static sl_rc read_subject(struct sli_gcs *g, const json_t *source, struct sli_token_ask *ask,
                          struct sl_buf *out, struct sl_err *err)
{
    const char *path = sli_json_member(source, "file"), *url = sli_json_member(source, "url");
    struct sl_http_reply reply = {0};
    sl_rc rc = SL_OK;
    if (path[0] != '\0') {
        rc = sl_file_read_all(path, FILE_MAX, &reply.body, err);
    } else if (url[0] != '\0') {
        struct sl_http_header headers[4];
        uint32_t count = 0;
        const char *name;
        json_t *value;
        json_object_foreach(json_object_get(source, "headers"), name, value)
        {
            const char *text = json_string_value(value);
            if (text != NULL && count < SL_COUNT_OF(headers)) {
                headers[count++] = (struct sl_http_header){name, sl_str_from(text)};
            }
        }
        struct sl_http_request req = {.method = "GET",
                                      .url = sl_str_from(url),
                                      .headers = headers,
                                      .header_count = count,
                                      .timeout_ns = SERVICE_NS};
        rc = exchange(g, &req, "the token of the external account", ask, &reply, err);
        if (rc == SL_OK && reply.status != 200) {
            rc = SL_FAIL(err, SL_EACCESS, "the token of the external account: status %d",
                         reply.status);
        }
    } else {
        rc = SL_FAIL(err, SL_EUNSUPPORTED,
                     "an external account whose credential_source is neither a file nor a URL");
    }
    const json_t *format = json_object_get(source, "format");
    if (rc == SL_OK && strcmp(sli_json_member(format, "type"), "json") == 0) {
        json_t *doc = sli_json_read(sl_buf_view(&reply.body));
        sl_buf_add_text(out,
                        sli_json_member(doc, sli_json_member(format, "subject_token_field_name")));
        sli_json_free(doc);
    } else if (rc == SL_OK) {
        sl_buf_add_str(out, sl_str_trim(sl_buf_str(&reply.body)));
    }
    sli_wipe(&reply.body);
    sl_http_reply_fini(&reply);
    return rc == SL_OK ? sl_buf_done(out, err) : rc;
}

static sl_rc impersonate(struct sli_gcs *g, const char *url, struct sli_token_ask *ask,
                         struct sli_token *token, struct sl_err *err)
{
    struct sl_buf bearer = SL_BUF_EMPTY;
    struct sl_http_reply reply = {0};
    sl_buf_addf(&bearer, "Bearer %.*s", SL_STR_ARG(sl_buf_str(&token->text)));
    const struct sl_http_header headers[] = {{"content-type", SL_STR("application/json")},
                                             {"authorization", sl_buf_str(&bearer)}};
    struct sl_http_request req = {.method = "POST",
                                  .url = sl_str_from(url),
                                  .headers = headers,
                                  .header_count = 2,
                                  .body = sl_str_bytes(SL_STR("{\"scope\":[\"" SCOPE "\"]}")),
                                  .timeout_ns = SERVICE_NS};
    sl_rc rc = sl_buf_done(&bearer, err);
    if (rc == SL_OK) {
        rc = exchange(g, &req, "impersonation of the service account", ask, &reply, err);
    }
    if (rc == SL_OK) {
        json_t *doc = sli_json_read(sl_buf_view(&reply.body));
        const char *text = sli_json_member(doc, "accessToken");
        int64_t end = 0;
        bool is_whole = reply.status == 200 && text[0] != '\0' &&
                        sl_time_parse(sl_str_from(sli_json_member(doc, "expireTime")), &end);
        sli_wipe(&token->text);
        sl_buf_add_text(&token->text, text);
        token->life_ns = end - sl_clock_wall_ns(g->store.clock);
        rc = is_whole ? sl_buf_done(&token->text, err)
                      : SL_FAIL(err, SL_EACCESS,
                                "impersonation of the service account gives no token: status %d",
                                reply.status);
        sli_json_free(doc);
    }
    sli_wipe(&bearer);
    sli_wipe(&reply.body);
    sl_http_reply_fini(&reply);
    return rc;
}

static sl_rc from_external(struct sli_gcs *g, const json_t *file, struct sli_token_ask *ask,
                           struct sli_token *ret, struct sl_err *err)
{
    struct sl_buf subject = SL_BUF_EMPTY, form = SL_BUF_EMPTY;
    const char *url = sli_json_member(file, "service_account_impersonation_url");
    sl_rc rc = read_subject(g, json_object_get(file, "credential_source"), ask, &subject, err);
    if (rc == SL_OK) {
        sli_form_add(&form, "grant_type",
                     SL_STR("urn:ietf:params:oauth:grant-type:token-exchange"));
        add_member(&form, file, "audience");
        sli_form_add(&form, "scope",
                     url[0] == '\0' ? SL_STR(SCOPE)
                                    : SL_STR("https://www.googleapis.com/auth/cloud-platform"));
        sli_form_add(&form, "requested_token_type",
                     SL_STR("urn:ietf:params:oauth:token-type:access_token"));
        add_member(&form, file, "subject_token_type");
        sli_form_add(&form, "subject_token", sl_buf_str(&subject));
        rc = post_form(g, sli_json_member(file, "token_url"), &form,
                       "the token service of the external account", ask, ret, err);
    }
    if (rc == SL_OK && url[0] != '\0') {
        rc = impersonate(g, url, ask, ret, err);
    }
    sli_wipe(&subject);
    sli_wipe(&form);
    return rc;
}

static sl_rc from_metadata(struct sli_gcs *g, struct sli_token_ask *ask, struct sli_token *ret,
                           struct sl_err *err)
{
    const char *host = g->store.config->gcs_metadata;
    struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    sl_buf_addf(&url, "http://%s/computeMetadata/v1/instance/service-accounts/default/token", host);
    SL_TRY(sl_buf_done(&url, err));
    const struct sl_http_header flavor = {"metadata-flavor", SL_STR("Google")};
    struct sl_http_request req = {.method = "GET",
                                  .url = sl_buf_str(&url),
                                  .headers = &flavor,
                                  .header_count = 1,
                                  .timeout_ns = METADATA_NS,
                                  .is_direct = true};
    sl_rc rc = exchange(g, &req, "the machine's metadata", ask, &reply, err);
    if (rc == SL_OK) {
        rc = read_answer(&reply, "the machine's metadata", ask, ret, err);
    } else if (rc == SL_EIO || rc == SL_ETIMEOUT) {
        ask->may_pass = false;
        rc = SL_FAIL(
            err, SL_EACCESS,
            "no credentials for gs://%s: no file in GOOGLE_APPLICATION_CREDENTIALS, none of "
            "gcloud's in the home folder, and no metadata of a machine at %s; "
            "BACKUP_GCS_USE_AUTH=false asks without any",
            g->store.bucket, host);
    }
    sli_wipe(&reply.body);
    sl_http_reply_fini(&reply);
    return rc;
}

/* ---- which of them ---- */

static sl_rc from_file(struct sli_gcs *g, const char *path, const struct sl_buf *text,
                       struct sli_token_ask *ask, struct sli_token *ret, struct sl_err *err)
{
    static const struct {
        const char *type;
        sl_rc (*fetch)(struct sli_gcs *, const json_t *, struct sli_token_ask *, struct sli_token *,
                       struct sl_err *);
    } kinds[] = {{"service_account", from_service_account},
                 {"authorized_user", from_user},
                 {"external_account", from_external}};
    json_t *file = sli_json_read(sl_buf_view(text));
    size_t i = 0;
    while (i < SL_COUNT_OF(kinds) && strcmp(sli_json_member(file, "type"), kinds[i].type) != 0) {
        i++;
    }
    sl_rc rc = i < SL_COUNT_OF(kinds)
                   ? kinds[i].fetch(g, file, ask, ret, err)
                   : SL_FAIL(err, SL_EINVAL,
                             "it holds no service_account, authorized_user or external_account");
    if (rc != SL_OK) {
        sl_err_prefix(err, "credentials file %s", path);
    }
    sli_json_free(file);
    return rc;
}

sl_rc sli_gcs_token_fetch(void *arg, struct sli_token_ask *ask, struct sli_token *ret,
                          struct sl_err *err)
{
    struct sli_gcs *g = arg;
    const struct sl_config *c = g->store.config;
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    struct sl_buf text = SL_BUF_EMPTY;
    bool is_named = c->gcs_credentials[0] != '\0';
    sl_buf_addf(&path, is_named ? "%s" : "%s/.config/gcloud/application_default_credentials.json",
                is_named ? c->gcs_credentials : c->home);
    const char *name = sl_buf_cstr(&path);
    SL_TRY(sl_buf_done(&path, err));
    sl_rc rc = sl_file_read_all(name, FILE_MAX, &text, err);
    if (rc == SL_OK) {
        rc = from_file(g, name, &text, ask, ret, err);
    } else if (is_named) {
        sl_err_prefix(err, "GOOGLE_APPLICATION_CREDENTIALS");
    } else {
        rc = from_metadata(g, ask, ret, err);
    }
    sli_wipe(&text);
    return rc;
}

/* ---- the probe ---- */

/* Lists one object below our prefix: no more rights than an export needs anyway. */
sl_rc sli_gcs_probe(struct sl_backend *be, struct sl_err *err)
{
    struct sli_gcs *g = sli_gcs_of(be);
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    struct sl_http_reply reply = {0};
    sl_buf_add(&url, sl_buf_view(&g->endpoint));
    sl_buf_addf(&url, "/storage/v1/b/%s/o?maxResults=1&prefix=", g->store.bucket);
    sl_percent_encode(sl_str_from(g->store.prefix), &url);
    SL_TRY(sl_buf_done(&url, err));
    struct sli_gcs_call call = {.method = "GET",
                                .url = sl_buf_str(&url),
                                .reply_max = SLI_GCS_SMALL_MAX,
                                .cancel = g->store.cancel,
                                .deadline_ns = SLI_PROBE_DEADLINE_NS,
                                .action = "storage.objects.list"};
    sl_rc rc = sli_gcs_send(g, &call, &reply, err);
    sl_http_reply_fini(&reply);
    return rc;
}
