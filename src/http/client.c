/* Blocking HTTP over one libcurl easy handle, which keeps its connection between calls. The handle
 * is used by its owner thread; libcurl counts who uses its global state. */
#include "http/client.h"

#include <curl/curl.h>

#include "base/mem.h"
#include "base/str.h"

struct sl_http_client {
    CURL *curl;
    struct curl_slist *headers;
    char *base_url;
    size_t response_max;
    const char *trust_hint; /* borrowed */
    char curl_text[CURL_ERROR_SIZE];
    struct sl_buf *out; /* borrowed, of the call at work */
};

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct sl_http_client *c = arg;
    size_t len = size * count;
    if (c->out->len + len > c->response_max) {
        return 0; /* libcurl reports CURLE_WRITE_ERROR, which sl_http_call words */
    }
    sl_buf_add(c->out, SL_BYTES(data, len));
    return c->out->is_failed ? 0 : len;
}

static sl_rc add_header(struct sl_http_client *c, const char *line, struct sl_err *err)
{
    struct curl_slist *more = curl_slist_append(c->headers, line);
    if (more == NULL) {
        return SL_NOMEM(err);
    }
    c->headers = more;
    return SL_OK;
}

/* No proxy could reach a server of this machine, and who sets one for the world means the world. */
static bool is_here(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    struct sl_str name = {host, strcspn(host, ":/")};
    return sl_str_starts(name, "127.") || sl_str_is(name, "localhost") ||
           strncmp(host, "[::1]", 5) == 0;
}

static sl_rc setup(struct sl_http_client *c, const char *bearer, int64_t timeout_ms,
                   struct sl_err *err)
{
    SL_TRY(add_header(c, "Content-Type: application/json", err));
    SL_TRY(add_header(c, "Expect:", err)); /* no round trip before a large body */
    if (bearer != NULL && bearer[0] != '\0') {
        SL_AUTO(sl_buf) line = SL_BUF_EMPTY;
        sl_buf_addf(&line, "Authorization: Bearer %s", bearer);
        SL_TRY(add_header(c, sl_buf_cstr(&line), err));
    }
    (void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    (void)curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->curl_text);
    (void)curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    (void)curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_QUICK_EXIT, 1L); /* the time limit holds for DNS, too */
    (void)curl_easy_setopt(c->curl, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_MAXREDIRS, 5L);
    (void)curl_easy_setopt(c->curl, CURLOPT_REDIR_PROTOCOLS_STR,
                           strncmp(c->base_url, "https", 5) == 0 ? "https" : "http,https");
    (void)curl_easy_setopt(c->curl, CURLOPT_TCP_NODELAY, 1L);
    (void)curl_easy_setopt(c->curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(c->curl, CURLOPT_NOPROXY, is_here(c->base_url) ? "*" : NULL);
    return SL_OK;
}

sl_rc sl_http_client_new(const char *base_url, const char *bearer, int64_t timeout_ms,
                         struct sl_http_client **ret, struct sl_err *err)
{
    if (strncmp(base_url, "http://", 7) != 0 && strncmp(base_url, "https://", 8) != 0) {
        return SL_FAIL(err, SL_EINVAL, "server \"%s\": must begin with http:// or https://",
                       base_url);
    }
    SL_AUTO_PTR(sl_http_client) c = sl_alloc_zero(1, sizeof(*c));
    if (c == NULL) {
        return SL_NOMEM(err);
    }
    size_t len = strlen(base_url);
    while (len > 0 && base_url[len - 1] == '/') {
        len--;
    }
    c->response_max = SL_HTTP_RESPONSE_MAX;
    c->base_url = sl_strndup(base_url, len);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* counted and safe between threads since 7.84 */
    c->curl = curl_easy_init();
    if (c->base_url == NULL || c->curl == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(setup(c, bearer, timeout_ms, err));
    *ret = sl_move(&c);
    return SL_OK;
}

void sl_http_client_free(struct sl_http_client *c)
{
    if (c == NULL) {
        return;
    }
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    curl_global_cleanup();
    sl_free(c->base_url);
    sl_free(c);
}

void sl_http_client_limit(struct sl_http_client *c, const struct sl_http_limits *limits)
{
    c->response_max = limits->response_max;
    c->trust_hint = limits->trust_hint;
    if (limits->authorities.len > 0) {
        struct curl_blob pem = {(void *)(uintptr_t)limits->authorities.ptr, limits->authorities.len,
                                CURL_BLOB_COPY};
        (void)curl_easy_setopt(c->curl, CURLOPT_CAINFO_BLOB, &pem);
        (void)curl_easy_setopt(c->curl, CURLOPT_CAPATH, NULL);
    }
    if (limits->is_unverified) {
        (void)curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYPEER, 0L);
        (void)curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

/* Of an exchange that failed. */
static sl_rc word(const struct sl_http_client *c, CURLcode code, const char *method,
                  const char *url, struct sl_err *err)
{
    const char *why = c->curl_text[0] == '\0' ? curl_easy_strerror(code) : c->curl_text;
    if (code == CURLE_WRITE_ERROR) {
        return SL_FAIL(err, SL_ETOOBIG, "%s %s: the reply is larger than %zu bytes", method, url,
                       c->response_max);
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return SL_FAIL(err, SL_ETIMEOUT, "%s %s: no answer in time", method, url);
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
        return SL_FAIL(err, SL_EIO, "%s %s: the server's certificate is not accepted: %s%s%s",
                       method, url, why, c->trust_hint == NULL ? "" : "; ",
                       c->trust_hint == NULL ? "" : c->trust_hint);
    }
    return SL_FAIL(err, SL_EIO, "%s %s: %s; is the server running?", method, url,
                   curl_easy_strerror(code));
}

sl_rc sl_http_call(struct sl_http_client *c, const char *method, const char *path,
                   struct sl_bytes body, struct sl_buf *out, int *ret_status, struct sl_err *err)
{
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    sl_buf_addf(&url, "%s%s", c->base_url, path);
    SL_TRY(sl_buf_done(&url, err));
    (void)curl_easy_setopt(c->curl, CURLOPT_URL, sl_buf_cstr(&url));
    c->out = out;
    (void)curl_easy_setopt(c->curl, CURLOPT_NOBODY, 0L);
    if (body.len > 0) {
        (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
        (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, (const char *)body.ptr);
    } else {
        (void)curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    }
    (void)curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
    c->curl_text[0] = '\0';
    CURLcode code = curl_easy_perform(c->curl);
    SL_TRY(sl_buf_done(out, err));
    if (code != CURLE_OK) {
        return word(c, code, method, sl_buf_cstr(&url), err);
    }
    long status = 0;
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    *ret_status = (int)status;
    return SL_OK;
}
