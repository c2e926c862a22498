/* Exchanges over libcurl: a slot is a multi handle with one easy handle and its kept connections.
 *
 * The multi interface is used for its poll: a caller looks up every POLL_MS whether it is canceled,
 * stalled or late, and the limit of bandwidth can pause it. The body is sent from the caller's
 * memory. Idle slots wait in the pool, the one used last first; a call prefers one that spoke with
 * the same server. `http->mu` is a leaf and never held while something is sent. */
#include "http/exchange.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sync.h"

/* libcurl's own, each way. Measured: 2 MiB cost 25 % more CPU with TLS, 64 KiB 5 % more without. */
#define BUFFER_BYTES (256L * 1024)

#define POLL_MS     100
#define IDLE_MAX    32           /* kept connections; above the uploaders of any export here */
#define HEADERS_MAX (64U * 1024) /* of a reply */
/* Sent at a time when the bandwidth is limited: a sixteenth of a second's bytes, in these bounds.
 * It is what each call ahead delays the next one, be that the record of a cancel. */
#define LIMITED_SHARE     16
#define LIMITED_BYTES_MIN 1024U
#define LIMITED_BYTES_MAX (64U * 1024)
#define BURST_NS          100000000 /* unused bandwidth that may be used later: timers are late */
#define NS_PER_S          INT64_C(1000000000)

struct slot {
    struct slot *next; /* idle */
    CURLM *multi;
    CURL *easy;
    struct sl_buf server; /* "https://host:port" of the last call */
    int fds[2];           /* open sockets, -1: none; while it connects by IPv6 and IPv4 two */
    char reason[CURL_ERROR_SIZE];
};

struct sl_http {
    struct sl_buf authorities; /* PEM */
    uint64_t bytes_per_s;
    int64_t stall_ns;
    struct sl_mutex mu;
    struct {
        struct slot *idle;
        uint32_t idle_count;
        int64_t free_ns; /* when the next limited byte may leave */
    } locked SL_GUARDED;
};

/* What the callbacks of one call see. */
struct call {
    struct sl_http *http;
    const struct sl_http_request *req;
    struct sl_http_reply *reply;
    size_t sent;         /* of the body */
    int queued;          /* bytes that the kernel held when looked at last */
    size_t granted;      /* bytes that may leave at resume_ns */
    int64_t resume_ns;   /* paused until then; 0: not paused */
    int64_t moved_ns;    /* when a byte moved last */
    const char *too_big; /* what of the answer is */
    bool is_headed;      /* the head of the answer is whole */
    bool is_begun;       /* the request went out, in part at least */
    bool is_cut;         /* ... and the connection was closed before an answer came */
};

static int64_t now_ns(void)
{
    return sl_clock_mono_ns(sl_clock_real());
}

/* ---- the pool ---- */

static void slot_free(struct slot *s)
{
    if (s != NULL) {
        curl_easy_cleanup(s->easy);
        curl_multi_cleanup(s->multi);
        sl_buf_fini(&s->server);
        sl_free(s);
    }
}

static struct slot *slot_new(void)
{
    struct slot *s = sl_alloc_zero(1, sizeof(*s));
    if (s != NULL) {
        s->multi = curl_multi_init();
        s->easy = curl_easy_init();
        s->fds[0] = s->fds[1] = -1;
        if (s->multi == NULL || s->easy == NULL) {
            slot_free(s);
            return NULL;
        }
    }
    return s;
}

/* An idle slot of that server, or a new one. */
static struct slot *slot_take(struct sl_http *http, struct sl_str server)
{
    sl_mutex_lock(&http->mu);
    struct slot **at = &http->locked.idle;
    while (*at != NULL && !sl_str_eq(sl_buf_str(&(*at)->server), server)) {
        at = &(*at)->next;
    }
    struct slot *s = *at;
    if (s != NULL) {
        *at = s->next;
        http->locked.idle_count--;
    }
    sl_mutex_unlock(&http->mu);
    return s == NULL ? slot_new() : s;
}

/* Too many: the one that was used longest ago goes. */
static void slot_give(struct sl_http *http, struct slot *s)
{
    struct slot *oldest = NULL;
    sl_mutex_lock(&http->mu);
    s->next = http->locked.idle;
    http->locked.idle = s;
    if (++http->locked.idle_count > IDLE_MAX) {
        struct slot **at = &http->locked.idle;
        while ((*at)->next != NULL) {
            at = &(*at)->next;
        }
        oldest = sl_move(at);
        http->locked.idle_count--;
    }
    sl_mutex_unlock(&http->mu);
    slot_free(oldest);
}

sl_rc sl_http_new(const struct sl_http_opts *opts, struct sl_http **ret, struct sl_err *err)
{
    struct sl_http *http = sl_alloc_zero(1, sizeof(*http));
    if (http == NULL) {
        return SL_NOMEM(err);
    }
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* counted and safe between threads since 7.84 */
    sl_mutex_init(&http->mu);
    http->bytes_per_s = opts->bytes_per_s;
    http->stall_ns = opts->stall_ns;
    sl_buf_add(&http->authorities, opts->authorities);
    sl_rc rc = sl_buf_done(&http->authorities, err);
    if (rc != SL_OK) {
        sl_http_free(http);
        return rc;
    }
    *ret = http;
    return SL_OK;
}

void sl_http_free(struct sl_http *http)
{
    if (http == NULL) {
        return;
    }
    sl_mutex_lock(&http->mu);
    struct slot *s = sl_move(&http->locked.idle);
    sl_mutex_unlock(&http->mu);
    while (s != NULL) {
        struct slot *next = s->next;
        slot_free(s);
        s = next;
    }
    sl_buf_fini(&http->authorities);
    sl_mutex_fini(&http->mu);
    sl_free(http);
    curl_global_cleanup();
}

/* ---- callbacks ---- */

/* Reserves the time that n bytes take at the limit; when they may leave. */
static int64_t reserve(struct sl_http *http, size_t n)
{
    int64_t now = now_ns();
    int64_t took = (int64_t)((double)n * (double)NS_PER_S / (double)http->bytes_per_s);
    sl_mutex_lock(&http->mu);
    int64_t start = SL_MAX(now - BURST_NS, http->locked.free_ns);
    http->locked.free_ns = start + took;
    sl_mutex_unlock(&http->mu);
    return start;
}

static size_t on_read(char *buffer, size_t size, size_t count, void *arg)
{
    struct call *c = arg;
    size_t n = SL_MIN(size * count, c->req->body.len - c->sent);
    if (c->http->bytes_per_s > 0 && n > 0) {
        uint64_t share = SL_MAX(c->http->bytes_per_s / LIMITED_SHARE, LIMITED_BYTES_MIN);
        n = SL_MIN(n, (size_t)SL_MIN(share, LIMITED_BYTES_MAX));
        if (c->granted == 0) {
            c->granted = n;
            c->resume_ns = reserve(c->http, n);
            if (c->resume_ns > now_ns()) {
                return CURL_READFUNC_PAUSE;
            }
        }
        n = SL_MIN(n, c->granted);
        c->granted = 0;
    }
    c->resume_ns = 0;
    c->moved_ns = now_ns();
    if (n > 0) {
        memcpy(buffer, c->req->body.ptr + c->sent, n);
        c->sent += n;
    }
    return n;
}

/* Before a request goes out. libcurl sends it again when a kept connection turns out to be closed,
 * though the server may have done it already. Only the driver knows what that means, so it must see
 * it as a failure; reading twice is no harm. */
static int on_request(void *arg, char *peer SL_UNUSED, char *own SL_UNUSED, int port SL_UNUSED,
                      int own_port SL_UNUSED)
{
    struct call *c = arg;
    const char *method = c->req->method;
    c->is_cut = c->is_begun && strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
    c->is_begun = true;
    return c->is_cut ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* libcurl goes back to the begin of the body before it sends the request again; see above. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct call *c = arg;
    if (origin != SEEK_SET || offset < 0 || (size_t)offset > c->req->body.len) {
        return CURL_SEEKFUNC_FAIL;
    }
    c->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static int on_open(void *arg, curl_socket_t fd, curlsocktype purpose SL_UNUSED)
{
    struct slot *s = arg;
    s->fds[s->fds[0] >= 0] = fd;
    return CURL_SOCKOPT_OK;
}

static int on_close(void *arg, curl_socket_t fd)
{
    struct slot *s = arg;
    for (size_t i = 0; i < SL_COUNT_OF(s->fds); i++) {
        s->fds[i] = s->fds[i] == fd ? -1 : s->fds[i];
    }
    return close(fd);
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct call *c = arg;
    size_t len = size * count;
    c->moved_ns = now_ns();
    if (len > c->req->reply_max - c->reply->body.len) {
        c->too_big = "body";
        return 0;
    }
    sl_buf_add(&c->reply->body, SL_BYTES(data, len));
    return c->reply->body.is_failed ? 0 : len;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct call *c = arg;
    size_t len = size * count;
    struct sl_buf *out = &c->reply->headers;
    struct sl_str line = sl_str_trim((struct sl_str){data, len});
    c->moved_ns = now_ns();
    if (sl_str_starts(line, "HTTP/")) { /* after a 100 the real answer comes */
        sl_buf_clear(out);
        c->is_headed = false;
        return len;
    }
    if (out->len + len > HEADERS_MAX) {
        c->too_big = "head";
        return 0;
    }
    c->is_headed = c->is_headed || line.len == 0; /* trailers come after it */
    const char *colon = line.len == 0 ? NULL : memchr(line.ptr, ':', line.len);
    if (colon == NULL) {
        return len;
    }
    for (const char *p = line.ptr; p < colon; p++) {
        sl_buf_add_u8(out, (uint8_t)(*p >= 'A' && *p <= 'Z' ? *p + ('a' - 'A') : *p));
    }
    struct sl_str value = {colon + 1, line.len - (size_t)(colon + 1 - line.ptr)};
    sl_buf_add_text(out, ": ");
    sl_buf_add_str(out, sl_str_trim(value));
    sl_buf_add_u8(out, '\n');
    return out->is_failed ? 0 : len;
}

/* ---- one call ---- */

/* "https://host:port" of a URL. */
static struct sl_str server_of(struct sl_str url)
{
    size_t at = 0;
    for (int slashes = 0; at < url.len; at++) {
        slashes += url.ptr[at] == '/';
        if (slashes == 3 || url.ptr[at] == '?') {
            break;
        }
    }
    return (struct sl_str){url.ptr, at};
}

static sl_rc add_header(struct curl_slist **list, const struct sl_http_header *h,
                        struct sl_err *err)
{
    SL_AUTO(sl_buf) line = SL_BUF_EMPTY;
    for (size_t i = 0; i < h->value.len; i++) {
        if (h->value.ptr[i] == '\r' || h->value.ptr[i] == '\n' || h->value.ptr[i] == '\0') {
            return SL_FAIL(err, SL_EINVAL, "header %s: a line break in its value", h->name);
        }
    }
    /* libcurl's way to say that a header is there and empty is a semicolon. */
    sl_buf_addf(&line, h->value.len == 0 ? "%s;" : "%s: ", h->name);
    sl_buf_add_str(&line, h->value);
    const char *text = sl_buf_cstr(&line);
    SL_TRY(sl_buf_done(&line, err));
    struct curl_slist *more = curl_slist_append(*list, text);
    if (more == NULL) {
        return SL_NOMEM(err);
    }
    *list = more;
    return SL_OK;
}

static sl_rc add_headers(struct curl_slist **list, const struct sl_http_request *req,
                         struct sl_err *err)
{
    for (uint32_t i = 0; i < req->header_count; i++) {
        SL_TRY(add_header(list, &req->headers[i], err));
    }
    struct curl_slist *more = curl_slist_append(*list, "Expect:"); /* no round trip before a body */
    if (more == NULL) {
        return SL_NOMEM(err);
    }
    *list = more;
    return SL_OK;
}

static bool has_body(const struct sl_http_request *req)
{
    return req->body.len > 0 || strcmp(req->method, "PUT") == 0 || strcmp(req->method, "POST") == 0;
}

/* Of the server and of a proxy that speaks TLS itself. */
static void set_trust(const struct sl_http *http, CURL *easy)
{
    (void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(easy, CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    if (http->authorities.len > 0) { /* beside the folder of the system's */
        struct curl_blob pem = {http->authorities.ptr, http->authorities.len, CURL_BLOB_NOCOPY};
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &pem);
        (void)curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO_BLOB, &pem);
    }
}

static void set_up(struct slot *s, struct call *c, const char *url, struct curl_slist *headers)
{
    const struct sl_http_request *req = c->req;
    CURL *easy = s->easy;
    curl_easy_reset(easy); /* keeps connections and TLS sessions */
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "sluice");
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a canceled call waits for no DNS */
    (void)curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
    (void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER_BYTES);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, s->reason);
    (void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
    (void)curl_easy_setopt(easy, CURLOPT_READDATA, c);
    (void)curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
    (void)curl_easy_setopt(easy, CURLOPT_SEEKDATA, c);
    (void)curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_open);
    (void)curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, s);
    (void)curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    (void)curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, s);
    (void)curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
    (void)curl_easy_setopt(easy, CURLOPT_PREREQDATA, c);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, c);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, c);
    (void)curl_easy_setopt(easy, CURLOPT_NOPROXY, req->is_direct ? "*" : NULL);
    set_trust(c->http, easy);
    if (strcmp(req->method, "HEAD") == 0) {
        (void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (has_body(req)) {
        (void)curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)req->body.len);
    }
    (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, req->method);
}

/* The kernel holds up to some megabytes of a body; a slow peer is not a stalled one while it takes
 * from these. */
static void look_at_queue(const struct slot *s, struct call *c)
{
    int sum = 0;
    for (size_t i = 0; i < SL_COUNT_OF(s->fds); i++) {
        int queued = 0;
        if (s->fds[i] >= 0 && ioctl(s->fds[i], TIOCOUTQ, &queued) == 0) {
            sum += queued;
        }
    }
    if (sum < c->queued) {
        c->moved_ns = now_ns();
    }
    c->queued = sum;
}

/* Why the call must end now; SL_OK: it may go on. */
static sl_rc may_go_on(const struct slot *s, struct call *c, int64_t begun_ns, struct sl_err *err)
{
    struct sl_str server = server_of(c->req->url);
    look_at_queue(s, c);
    int64_t now = now_ns();
    if (sl_cancel_is_set(c->req->cancel)) {
        return SL_FAIL(err, SL_ECANCELED, "the request was canceled");
    }
    if (c->req->timeout_ns > 0 && now - begun_ns > c->req->timeout_ns) {
        return SL_FAIL(err, SL_ETIMEOUT, "%s %.*s: no answer within %lld s", c->req->method,
                       SL_STR_ARG(server), (long long)(c->req->timeout_ns / NS_PER_S));
    }
    if (c->resume_ns == 0 && now - c->moved_ns > c->http->stall_ns) {
        return SL_FAIL(err, SL_ETIMEOUT, "%s %.*s: no byte moved for %lld s", c->req->method,
                       SL_STR_ARG(server), (long long)(c->http->stall_ns / NS_PER_S));
    }
    return SL_OK;
}

/* How long to wait for the socket: less when bytes may leave before. */
static int wait_ms(const struct call *c)
{
    if (c->resume_ns == 0) {
        return POLL_MS;
    }
    int64_t ms = (c->resume_ns - now_ns() + 999999) / 1000000;
    return (int)SL_MIN(SL_MAX(ms, 1), POLL_MS);
}

/* Until the transfer has ended (*ret_code) or must not go on. */
static sl_rc transfer(struct slot *s, struct call *c, CURLcode *ret_code, struct sl_err *err)
{
    int64_t begun = c->moved_ns = now_ns();
    for (;;) {
        int running, left;
        (void)curl_multi_perform(s->multi, &running);
        for (CURLMsg *m; (m = curl_multi_info_read(s->multi, &left)) != NULL;) {
            if (m->msg == CURLMSG_DONE) {
                *ret_code = m->data.result;
                return SL_OK;
            }
        }
        SL_TRY(may_go_on(s, c, begun, err));
        (void)curl_multi_poll(s->multi, NULL, 0, wait_ms(c), NULL);
        if (c->resume_ns != 0 && now_ns() >= c->resume_ns) {
            c->moved_ns = now_ns();
            (void)curl_easy_pause(s->easy, CURLPAUSE_CONT);
        }
    }
}

/* Does the peer speak no TLS that we take? A connection that broke in the handshake is another
 * matter: OpenSSL tells the first with the routine that refused. */
static bool is_tls_refused(CURLcode code, const char *reason)
{
    return code == CURLE_SSL_CONNECT_ERROR && strstr(reason, "SSL routines") != NULL &&
           strstr(reason, "unexpected eof") == NULL;
}

/* Does a proxy keep us from the server, and will it go on? How it says so depends on what it is
 * asked for: a tunnel, or the whole exchange, of which only 407 is certainly its own word. */
static sl_rc proxy_told(const struct slot *s, const struct call *c, struct sl_err *err)
{
    struct sl_str server = server_of(c->req->url);
    long tunnel = 0, status = 0;
    (void)curl_easy_getinfo(s->easy, CURLINFO_HTTP_CONNECTCODE, &tunnel);
    (void)curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    if (tunnel == 407 || status == 407) {
        return SL_FAIL(err, SL_EACCESS,
                       "%.*s: the proxy does not know us (407); write user:password@ before its "
                       "name in %s",
                       SL_STR_ARG(server),
                       sl_str_starts(server, "https") ? "https_proxy" : "http_proxy");
    }
    if (tunnel >= 400 && tunnel < 500 && tunnel != 408 && tunnel != 429) {
        return SL_FAIL(err, SL_EACCESS,
                       "%.*s: the proxy refuses a way there (%ld); let it, or name the host in "
                       "no_proxy",
                       SL_STR_ARG(server), tunnel);
    }
    return SL_OK;
}

static sl_rc told(const struct slot *s, const struct call *c, CURLcode code, struct sl_err *err)
{
    struct sl_str server = server_of(c->req->url);
    const char *reason = s->reason[0] != '\0' ? s->reason : curl_easy_strerror(code);
    SL_TRY(sl_buf_done(&c->reply->headers, err));
    SL_TRY(sl_buf_done(&c->reply->body, err));
    if (c->too_big != NULL) {
        return SL_FAIL(err, SL_ETOOBIG, "%s %.*s: the %s of the answer is larger than the limit",
                       c->req->method, SL_STR_ARG(server), c->too_big);
    }
    if (code == CURLE_OUT_OF_MEMORY) {
        return SL_NOMEM(err);
    }
    SL_TRY(proxy_told(s, c, err));
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
        return SL_FAIL(err, SL_EACCESS, "%.*s: %s; trust its authority by SLUICE_STORE_CA",
                       SL_STR_ARG(server), reason);
    }
    if (is_tls_refused(code, reason)) {
        return SL_FAIL(err, SL_EACCESS, "%.*s: no TLS 1.2 or later is spoken there: %s",
                       SL_STR_ARG(server), reason);
    }
    if (c->is_cut || (code == CURLE_OK && !c->is_headed)) { /* libcurl takes half a head for one */
        return SL_FAIL(err, SL_EIO, "%s %.*s: the connection was closed before an answer came",
                       c->req->method, SL_STR_ARG(server));
    }
    return code == CURLE_OK
               ? SL_OK
               : SL_FAIL(err, SL_EIO, "%s %.*s: %s", c->req->method, SL_STR_ARG(server), reason);
}

static sl_rc run(struct slot *s, struct call *c, struct sl_err *err)
{
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    struct curl_slist *headers = NULL;
    sl_buf_add_str(&url, c->req->url);
    const char *text = sl_buf_cstr(&url);
    sl_rc rc = sl_buf_done(&url, err);
    if (rc == SL_OK) {
        rc = add_headers(&headers, c->req, err);
    }
    if (rc == SL_OK) {
        CURLcode code = CURLE_OK;
        s->reason[0] = '\0';
        set_up(s, c, text, headers);
        rc = curl_multi_add_handle(s->multi, s->easy) == CURLM_OK ? transfer(s, c, &code, err)
                                                                  : SL_NOMEM(err);
        (void)curl_multi_remove_handle(s->multi, s->easy); /* cuts off what is not at its end */
        if (rc == SL_OK) {
            rc = told(s, c, code, err);
        }
        long status = 0;
        (void)curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
        c->reply->status = (int)status;
    }
    curl_slist_free_all(headers);
    return rc;
}

sl_rc sl_http_exchange(struct sl_http *http, const struct sl_http_request *req,
                       struct sl_http_reply *reply, struct sl_err *err)
{
    struct sl_str server = server_of(req->url);
    struct slot *s = slot_take(http, server);
    if (s == NULL) {
        return SL_NOMEM(err);
    }
    reply->status = 0;
    sl_buf_clear(&reply->headers);
    sl_buf_clear(&reply->body);
    sl_buf_clear(&s->server);
    sl_buf_add_str(&s->server, server);
    struct call c = {.http = http, .req = req, .reply = reply};
    sl_rc rc = sl_buf_done(&s->server, err);
    if (rc == SL_OK) {
        rc = run(s, &c, err);
    }
    slot_give(http, s);
    return rc;
}

/* ---- replies ---- */

void sl_http_reply_fini(struct sl_http_reply *r)
{
    sl_buf_fini(&r->headers);
    sl_buf_fini(&r->body);
}

struct sl_str sl_http_header_of(const struct sl_http_reply *r, const char *name)
{
    struct sl_str rest = sl_buf_str(&r->headers);
    size_t len = strlen(name);
    while (rest.len > 0) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t line = end == NULL ? rest.len : (size_t)(end - rest.ptr);
        if (line >= len + 2 && memcmp(rest.ptr, name, len) == 0 && rest.ptr[len] == ':') {
            return (struct sl_str){rest.ptr + len + 2, line - len - 2};
        }
        size_t step = SL_MIN(line + 1, rest.len);
        rest = (struct sl_str){rest.ptr + step, rest.len - step};
    }
    return (struct sl_str){0};
}
