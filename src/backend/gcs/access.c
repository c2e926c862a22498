/* The account and its tokens; the probe.
 *
 *   a file of credentials (GOOGLE_APPLICATION_CREDENTIALS, else gcloud's): a service account signs
 * a claim, a user's account shows its refresh token, an external account exchanges a token of its
 *   own identity provider; without a file the metadata of the machine answers
 *
 * Files are read at each fetch, since they are renewed in place. Renewal begins AHEAD_NS before the
 * end, by one caller; the others go on with the old token while it serves. */
#include <stdio.h>

#include "backend/gcs/gcs_int.h"

#include "backend/sign/sign.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/json.h"

#define SECOND_NS   INT64_C(1000000000)
#define AHEAD_NS    (300 * SECOND_NS)
#define LIFE_MAX_S  86400
#define FILE_MAX    (64u * 1024)
#define TOKEN_MAX   (16u * 1024)
#define JSON_DEPTH  16
#define SERVICE_NS  (20 * SECOND_NS)
#define METADATA_NS (3 * SECOND_NS) /* on the link; where nobody is, nobody answers */
#define LOOK_NS     (SECOND_NS / 5) /* how soon a waiting caller sees that it is canceled */
#define SCOPE       "https://www.googleapis.com/auth/devstorage.read_write"
#define TOKEN_URL   "https://oauth2.googleapis.com/token"

struct fresh {
    struct sl_buf text; /* secret */
    int64_t life_s;
};

json_t *sli_gcs_json(const struct sl_buf *text)
{
    if (text->len == 0 || sl_json_depth(sl_buf_view(text)) > JSON_DEPTH) {
        return NULL;
    }
    json_t *doc = json_loadb((const char *)text->ptr, text->len, 0, NULL);
    if (!json_is_object(doc)) {
        json_decref(doc);
        return NULL;
    }
    return doc;
}

static const char *text_of(const json_t *doc, const char *name)
{
    const char *text = json_string_value(json_object_get(doc, name));
    return text == NULL ? "" : text;
}

static void add_field(struct sl_buf *form, const char *name, const char *value)
{
    sl_buf_addf(form, "%s%s=", form->len == 0 ? "" : "&", name);
    sl_percent_encode(sl_str_from(value), form);
}

/* ---- asking ---- */

static sl_rc read_answer(const struct sl_http_reply *reply, const char *what, struct fresh *ret,
                         bool *ret_again, struct sl_err *err)
{
    json_t *doc = sli_gcs_json(&reply->body);
    const char *token = text_of(doc, "access_token");
    json_int_t life = json_integer_value(json_object_get(doc, "expires_in"));
    sl_rc rc = SL_OK;
    if (reply->status != 200) {
        *ret_again = reply->status >= 500 || reply->status == 429;
        rc = SL_FAIL(err, SL_EACCESS, "%s gives no token: status %d, %.80s %.200s", what,
                     reply->status, text_of(doc, "error"), text_of(doc, "error_description"));
    } else if (token[0] == '\0' || strlen(token) > TOKEN_MAX || life <= 0 || life > LIFE_MAX_S) {
        rc = SL_FAIL(err, SL_EACCESS, "%s: no access_token with its life in the answer", what);
    } else {
        sl_buf_add_text(&ret->text, token);
        ret->life_s = (int64_t)life;
        rc = sl_buf_done(&ret->text, err);
    }
    json_decref(doc);
    return rc;
}

static sl_rc exchange(struct sli_gcs *g, struct sl_http_request *req, const char *what,
                      struct sl_http_reply *reply, bool *ret_again, struct sl_err *err)
{
    req->reply_max = SLI_GCS_SMALL_MAX;
    req->cancel = g->store.cancel;
    sl_rc rc = sl_http_exchange(g->store.http, req, reply, err);
    if (rc != SL_OK) {
        *ret_again = rc == SL_EIO || rc == SL_ETIMEOUT;
        sl_err_prefix(err, "%s", what);
    }
    return rc;
}

static sl_rc post_form(struct sli_gcs *g, const char *url, struct sl_buf *form, const char *what,
                       struct fresh *ret, bool *ret_again, struct sl_err *err)
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
        rc = exchange(g, &req, what, &reply, ret_again, err);
    }
    if (rc == SL_OK) {
        rc = read_answer(&reply, what, ret, ret_again, err);
    }
    sli_wipe(&reply.body);
    sl_http_reply_fini(&reply);
    return rc;
}

/* ---- kinds of files ---- */

static sl_rc from_service_account(struct sli_gcs *g, const json_t *file, struct fresh *ret,
                                  bool *ret_again, struct sl_err *err)
{
    SL_AUTO(sl_buf) claims = SL_BUF_EMPTY;
    struct sl_buf jwt = SL_BUF_EMPTY, form = SL_BUF_EMPTY;
    const char *uri = text_of(file, "token_uri");
    const char *url = uri[0] != '\0' ? uri : TOKEN_URL;
    int64_t now = sl_clock_wall_ns(g->store.clock) / SECOND_NS;
    struct sl_json w = sl_json_over(&claims);
    sl_json_obj(&w);
    sl_json_key(&w, "iss");
    sl_json_text(&w, text_of(file, "client_email"));
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
        rc = sl_jwt_sign_rs256(sl_str_from(text_of(file, "private_key")),
                               sl_str_from(text_of(file, "private_key_id")), sl_buf_str(&claims),
                               &jwt, err);
    }
    if (rc == SL_OK) {
        add_field(&form, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        add_field(&form, "assertion", sl_buf_cstr(&jwt));
        rc = post_form(g, url, &form, "the token service of the service account", ret, ret_again,
                       err);
    }
    sli_wipe(&jwt);
    sli_wipe(&form);
    return rc;
}

static sl_rc from_user(struct sli_gcs *g, const json_t *file, struct fresh *ret, bool *ret_again,
                       struct sl_err *err)
{
    struct sl_buf form = SL_BUF_EMPTY;
    const char *uri = text_of(file, "token_uri");
    add_field(&form, "grant_type", "refresh_token");
    add_field(&form, "client_id", text_of(file, "client_id"));
    add_field(&form, "client_secret", text_of(file, "client_secret"));
    add_field(&form, "refresh_token", text_of(file, "refresh_token"));
    sl_rc rc = post_form(g, uri[0] != '\0' ? uri : TOKEN_URL, &form,
                         "the token service of the user's account", ret, ret_again, err);
    sli_wipe(&form);
    return rc;
}

/* The token of the other identity: a file, or what a URL answers; as text or a field of JSON. */
static sl_rc read_subject(struct sli_gcs *g, const json_t *source, struct sl_buf *out,
                          bool *ret_again, struct sl_err *err)
{
    const char *path = text_of(source, "file"), *url = text_of(source, "url");
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
        rc = exchange(g, &req, "the token of the external account", &reply, ret_again, err);
        if (rc == SL_OK && reply.status != 200) {
            rc = SL_FAIL(err, SL_EACCESS, "the token of the external account: status %d",
                         reply.status);
        }
    } else {
        rc = SL_FAIL(err, SL_EUNSUPPORTED,
                     "an external account whose credential_source is neither a file nor a URL");
    }
    const json_t *format = json_object_get(source, "format");
    if (rc == SL_OK && strcmp(text_of(format, "type"), "json") == 0) {
        json_t *doc = sli_gcs_json(&reply.body);
        sl_buf_add_text(out, text_of(doc, text_of(format, "subject_token_field_name")));
        json_decref(doc);
    } else if (rc == SL_OK) {
        sl_buf_add_str(out, sl_str_trim(sl_buf_str(&reply.body)));
    }
    sli_wipe(&reply.body);
    sl_http_reply_fini(&reply);
    return rc == SL_OK ? sl_buf_done(out, err) : rc;
}

static sl_rc impersonate(struct sli_gcs *g, const char *url, struct fresh *token, bool *ret_again,
                         struct sl_err *err)
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
        rc = exchange(g, &req, "impersonation of the service account", &reply, ret_again, err);
    }
    if (rc == SL_OK) {
        json_t *doc = sli_gcs_json(&reply.body);
        const char *text = text_of(doc, "accessToken");
        int64_t end = 0;
        bool is_whole = reply.status == 200 && text[0] != '\0' &&
                        sl_time_parse(sl_str_from(text_of(doc, "expireTime")), &end);
        sl_buf_clear(&token->text);
        sl_buf_add_text(&token->text, text);
        token->life_s = (end - sl_clock_wall_ns(g->store.clock)) / SECOND_NS;
        rc = is_whole ? sl_buf_done(&token->text, err)
                      : SL_FAIL(err, SL_EACCESS,
                                "impersonation of the service account gives no token: status %d",
                                reply.status);
        json_decref(doc);
    }
    sli_wipe(&bearer);
    sli_wipe(&reply.body);
    sl_http_reply_fini(&reply);
    return rc;
}

static sl_rc from_external(struct sli_gcs *g, const json_t *file, struct fresh *ret,
                           bool *ret_again, struct sl_err *err)
{
    struct sl_buf subject = SL_BUF_EMPTY, form = SL_BUF_EMPTY;
    const char *url = text_of(file, "service_account_impersonation_url");
    sl_rc rc =
        read_subject(g, json_object_get(file, "credential_source"), &subject, ret_again, err);
    if (rc == SL_OK) {
        add_field(&form, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
        add_field(&form, "audience", text_of(file, "audience"));
        add_field(&form, "scope",
                  url[0] == '\0' ? SCOPE : "https://www.googleapis.com/auth/cloud-platform");
        add_field(&form, "requested_token_type", "urn:ietf:params:oauth:token-type:access_token");
        add_field(&form, "subject_token_type", text_of(file, "subject_token_type"));
        add_field(&form, "subject_token", sl_buf_cstr(&subject));
        rc = post_form(g, text_of(file, "token_url"), &form,
                       "the token service of the external account", ret, ret_again, err);
    }
    if (rc == SL_OK && url[0] != '\0') {
        rc = impersonate(g, url, ret, ret_again, err);
    }
    sli_wipe(&subject);
    sli_wipe(&form);
    return rc;
}

static sl_rc from_metadata(struct sli_gcs *g, struct fresh *ret, bool *ret_again,
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
    sl_rc rc = exchange(g, &req, "the machine's metadata", &reply, ret_again, err);
    if (rc == SL_OK) {
        rc = read_answer(&reply, "the machine's metadata", ret, ret_again, err);
    } else if (rc == SL_EIO || rc == SL_ETIMEOUT) {
        *ret_again = false;
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
                       struct fresh *ret, bool *ret_again, struct sl_err *err)
{
    static const struct {
        const char *type;
        sl_rc (*fetch)(struct sli_gcs *, const json_t *, struct fresh *, bool *, struct sl_err *);
    } kinds[] = {{"service_account", from_service_account},
                 {"authorized_user", from_user},
                 {"external_account", from_external}};
    json_t *file = sli_gcs_json(text);
    size_t i = 0;
    while (i < SL_COUNT_OF(kinds) && strcmp(text_of(file, "type"), kinds[i].type) != 0) {
        i++;
    }
    sl_rc rc = i < SL_COUNT_OF(kinds)
                   ? kinds[i].fetch(g, file, ret, ret_again, err)
                   : SL_FAIL(err, SL_EINVAL,
                             "it holds no service_account, authorized_user or external_account");
    if (rc != SL_OK) {
        sl_err_prefix(err, "credentials file %s", path);
    }
    json_decref(file);
    return rc;
}

static sl_rc fetch(struct sli_gcs *g, struct fresh *ret, bool *ret_again, struct sl_err *err)
{
    const struct sl_config *c = g->store.config;
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    struct sl_buf text = SL_BUF_EMPTY;
    bool is_named = c->gcs_credentials[0] != '\0';
    *ret_again = false;
    sl_buf_addf(&path, is_named ? "%s" : "%s/.config/gcloud/application_default_credentials.json",
                is_named ? c->gcs_credentials : c->home);
    const char *name = sl_buf_cstr(&path);
    SL_TRY(sl_buf_done(&path, err));
    sl_rc rc = sl_file_read_all(name, FILE_MAX, &text, err);
    if (rc == SL_OK) {
        rc = from_file(g, name, &text, ret, ret_again, err);
    } else if (is_named) {
        sl_err_prefix(err, "GOOGLE_APPLICATION_CREDENTIALS");
    } else {
        rc = from_metadata(g, ret, ret_again, err);
    }
    sli_wipe(&text);
    return rc;
}

/* ---- the token in use ---- */

void sli_gcs_token_init(struct sli_gcs_token *t)
{
    sl_mutex_init(&t->mu);
    sl_cond_init(&t->changed);
}

void sli_gcs_token_fini(struct sli_gcs_token *t)
{
    sl_mutex_lock(&t->mu);
    sli_wipe(&t->locked.text);
    sl_mutex_unlock(&t->mu);
    sl_cond_fini(&t->changed);
    sl_mutex_fini(&t->mu);
}

enum step { USE, FETCH, WAIT };

static enum step step_locked(struct sli_gcs_token *t, int64_t now) SL_REQUIRES(t->mu)
{
    bool is_usable = t->locked.text.len > 0 && now < t->locked.end_ns;
    bool is_due = !is_usable || now >= t->locked.renew_ns;
    if (is_due && !t->locked.is_being_fetched) {
        t->locked.is_being_fetched = true;
        return FETCH;
    }
    return is_usable ? USE : WAIT;
}

/* SL_OK: there is a token that serves, new or old. */
static sl_rc renew(struct sli_gcs *g, bool *ret_again, struct sl_err *err)
{
    struct sli_gcs_token *t = &g->token;
    struct fresh fresh = {0};
    sl_rc rc = fetch(g, &fresh, ret_again, err);
    int64_t now = sl_clock_mono_ns(g->store.clock);
    sl_mutex_lock(&t->mu);
    if (rc == SL_OK) {
        struct sl_buf old = t->locked.text;
        t->locked.text = fresh.text;
        fresh.text = old;
        t->locked.no++;
        t->locked.end_ns = now + fresh.life_s * SECOND_NS;
        t->locked.renew_ns =
            SL_MAX(t->locked.end_ns - AHEAD_NS, now + fresh.life_s * SECOND_NS / 2);
    } else {
        t->locked.renew_ns = now + 20 * SECOND_NS;
    }
    bool is_usable = t->locked.text.len > 0 && now < t->locked.end_ns;
    t->locked.is_being_fetched = false;
    sl_cond_broadcast(&t->changed);
    sl_mutex_unlock(&t->mu);
    sli_wipe(&fresh.text);
    return is_usable ? SL_OK : rc;
}

sl_rc sli_gcs_token_add(struct sli_gcs *g, struct sl_cancel *cancel, struct sl_buf *out,
                        uint64_t *ret_no, bool *ret_again, struct sl_err *err)
{
    struct sli_gcs_token *t = &g->token;
    if (!g->store.config->is_gcs_authenticated) {
        return SL_OK;
    }
    sl_buf_add_text(out, "Bearer ");
    for (;;) {
        if (sl_cancel_is_set(cancel)) {
            return SL_FAIL(err, SL_ECANCELED, "the request was canceled");
        }
        sl_mutex_lock(&t->mu);
        enum step step = step_locked(t, sl_clock_mono_ns(g->store.clock));
        if (step == USE) {
            sl_buf_add(out, sl_buf_view(&t->locked.text));
            *ret_no = t->locked.no;
        } else if (step == WAIT) {
            (void)sl_cond_wait_for(&t->changed, &t->mu, LOOK_NS);
        }
        sl_mutex_unlock(&t->mu);
        if (step == USE) {
            return sl_buf_done(out, err);
        }
        if (step == FETCH) {
            SL_TRY(renew(g, ret_again, err));
        }
    }
}

void sli_gcs_token_refuse(struct sli_gcs *g, uint64_t no)
{
    struct sli_gcs_token *t = &g->token;
    sl_mutex_lock(&t->mu);
    if (t->locked.no == no) {
        t->locked.end_ns = INT64_MIN;
    }
    sl_mutex_unlock(&t->mu);
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
