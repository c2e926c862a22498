/* Exchanges with a scripted server: what goes over the wire, answers in any cut, and everything a
 * server or the way to it can do wrong. Certificates are made while the tests are built (argument).
 *
 * The bytes of requests and answers are those of RFC 9112; nothing here was printed by the code
 * under test first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/str.h"
#include "http/exchange.h"
#include "scripted.h"

#define MS      INT64_C(1000000)
#define OK_BODY "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define TEXT(s) SL_BYTES((s), strlen(s))

static const char *certificates; /* the folder */

struct world {
    struct scripted server;
    struct sl_http *http;
    struct sl_http_reply reply;
    struct sl_err err;
    struct sl_cancel cancel;
    char url[128];
};

static int64_t now(void)
{
    return sl_clock_mono_ns(sl_clock_real());
}

static void begin(struct world *w, const struct sl_http_opts *opts)
{
    sl_cancel_init(&w->cancel);
    scripted_start(&w->server);
    (void)snprintf(w->url, sizeof w->url, "%s://%s:%u/bucket/key?sig=SECRET",
                   w->server.tls == NULL ? "http" : "https",
                   w->server.is_v6 ? "[::1]" : "127.0.0.1", w->server.port);
    struct sl_http_opts usual = {.stall_ns = 10000 * MS};
    assert_int_equal(sl_http_new(opts == NULL ? &usual : opts, &w->http, NULL), SL_OK);
}

/* The pool lets go of its connections, then the server has ended. */
static void end(struct world *w)
{
    sl_http_free(w->http);
    scripted_stop(&w->server);
    sl_http_reply_fini(&w->reply);
    sl_cancel_fini(&w->cancel);
    SSL_CTX_free(w->server.tls);
    assert_int_equal(sl_mem_live(), 0);
}

static struct sl_http_request request_of(struct world *w, const char *method, struct sl_bytes body)
{
    return (struct sl_http_request){.method = method,
                                    .url = sl_str_from(w->url),
                                    .body = body,
                                    .reply_max = 1 << 16,
                                    .is_direct = true,
                                    .cancel = &w->cancel};
}

static sl_rc exchange(struct world *w, const char *method, struct sl_bytes body)
{
    struct sl_http_request req = request_of(w, method, body);
    return sl_http_exchange(w->http, &req, &w->reply, &w->err);
}

/* Neither query nor header nor body may be in a sentence; the server must. */
static void assert_sentence(struct world *w)
{
    char host[64];
    (void)snprintf(host, sizeof host, "%s:%u", w->server.is_v6 ? "[::1]" : "127.0.0.1",
                   w->server.port);
    assert_non_null(strstr(w->err.text, host));
    assert_null(strstr(w->err.text, "SECRET"));
}

static void assert_header(struct world *w, const char *name, const char *want)
{
    struct sl_str got = sl_http_header_of(&w->reply, name);
    assert_int_equal(got.ptr == NULL, want == NULL);
    if (want != NULL) {
        assert_int_equal(got.len, strlen(want));
        assert_memory_equal(got.ptr, want, got.len);
    }
}

static void assert_body(struct world *w, const char *want)
{
    assert_string_equal(sl_buf_cstr(&w->reply.body), want);
}

/* ---- good answers ---- */

static void an_answer_is_whole_however_it_is_cut(void **state SL_UNUSED)
{
    static const struct step steps[] = {
        {READ, NULL, 0},
        {DRIP,
         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag:\"AbC\"\r\nX-Amz-Request-Id:  7 8\t\r\n"
         "Empty:\r\nETag: second\r\n\r\nhello",
         0},
        {READ, NULL, 0},
        {DRIP,
         "HTTP/1.1 206 Partial\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
         "0000a;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n",
         0},
        {READ, NULL, 0},
        {SEND, "HTTP/1.0 404 Gone\r\n\r\nup to the end", 0},
        {CLOSE, NULL, 0}};
    struct world w = {.server.scripts = {steps}};
    begin(&w, NULL);
    assert_int_equal(exchange(&w, "GET", SL_BYTES(NULL, 0)), SL_OK);
    assert_int_equal(w.reply.status, 200);
    assert_body(&w, "hello");
    assert_header(&w, "etag", "\"AbC\"");
    assert_header(&w, "x-amz-request-id", "7 8");
    assert_header(&w, "empty", "");
    assert_header(&w, "x-amz-request", NULL);
    assert_int_equal(exchange(&w, "GET", SL_BYTES(NULL, 0)), SL_OK);
    assert_int_equal(w.reply.status, 206);
    assert_body(&w, "abc0123456789");
    assert_header(&w, "etag", NULL);
    assert_int_equal(exchange(&w, "GET", SL_BYTES(NULL, 0)), SL_OK);
    assert_int_equal(w.reply.status, 404);
    assert_body(&w, "up to the end");
    end(&w);
    assert_int_equal(w.server.accepted, 1);
}

static void interim_answers_are_passed_over_and_redirects_not_followed(void **state SL_UNUSED)
{
    static const struct step steps[] = {
        {READ, NULL, 0},
        {SEND,
         "HTTP/1.1 100 Continue\r\nOld: 1\r\n\r\nHTTP/1.1 103 Hints\r\nOld: 2\r\n\r\n" OK_BODY, 0},
        {READ, NULL, 0},
        {SEND,
         "HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 0},
        {CLOSE, NULL, 0}};
    struct world w = {.server.scripts = {steps}};
    begin(&w, NULL);
    assert_int_equal(exchange(&w, "PUT", TEXT("x")), SL_OK);
    assert_int_equal(w.reply.status, 200);
    assert_header(&w, "old", NULL);
    assert_int_equal(exchange(&w, "PUT", TEXT("x")), SL_OK);
    assert_int_equal(w.reply.status, 307);
    assert_header(&w, "location", "http://127.0.0.1:1/");
    end(&w);
    assert_int_equal(w.server.accepted, 1);
}

/* The head of a request, and whether it tells the length of its body. */
static void requests_tell_the_length_of_their_body(void **state SL_UNUSED)
{
    static uint8_t large[3 << 20];
    const struct {
        const char *method;
        struct sl_bytes body;
        const char *length; /* NULL: none */
    } rows[] = {{"GET", {0}, NULL},
                {"HEAD", {0}, NULL},
                {"DELETE", {0}, NULL},
                {"PUT", {0}, "\r\nContent-Length: 0\r\n"},
                {"POST", {0}, "\r\nContent-Length: 0\r\n"},
                {"PUT", TEXT("hello"), "\r\nContent-Length: 5\r\n"},
                {"POST", TEXT("<x/>"), "\r\nContent-Length: 4\r\n"},
                {"PUT", {large, sizeof large}, "\r\nContent-Length: 3145728\r\n"}};
    static const struct step steps[] = {{READ, NULL, 0}, {SEND, OK_BODY, 0}, {CLOSE, NULL, 0}};
    static const struct step head[] = {{READ, NULL, 0},
                                       {SEND, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 0},
                                       {CLOSE, NULL, 0}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        bool is_head = strcmp(rows[i].method, "HEAD") == 0;
        struct world w = {.server.scripts = {is_head ? head : steps}};
        char line[64];
        begin(&w, NULL);
        assert_int_equal(exchange(&w, rows[i].method, rows[i].body), SL_OK);
        assert_body(&w, is_head ? "" : "ok");
        assert_header(&w, "content-length", "2");
        end(&w);
        const struct connection *c = &w.server.connections[0];
        (void)snprintf(line, sizeof line, "%s /bucket/key?sig=SECRET HTTP/1.1\r\n", rows[i].method);
        assert_memory_equal(c->seen, line, strlen(line));
        assert_null(strstr(c->seen, "Expect"));
        assert_null(strstr(c->seen, "Transfer-Encoding"));
        assert_int_equal(c->body_bytes, rows[i].body.len);
        if (rows[i].length == NULL) {
            assert_null(strstr(c->seen, "Content-Length"));
        } else {
            assert_non_null(strstr(c->seen, rows[i].length));
        }
    }
}

static void headers_and_path_go_as_they_are_given(void **state SL_UNUSED)
{
    static const struct step steps[] = {{READ, NULL, 0}, {SEND, OK_BODY, 0}, {CLOSE, NULL, 0}};
    struct world w = {.server.scripts = {steps}};
    begin(&w, NULL);
    const struct sl_http_header headers[] = {{"X-Empty", SL_STR("")},
                                             {"If-None-Match", SL_STR("*")},
                                             {"Authorization", SL_STR("AWS4 a=b, c;d")},
                                             {"Content-Type", SL_STR("a/b")}};
    struct sl_http_request req = request_of(&w, "PUT", TEXT("x"));
    (void)snprintf(w.url, sizeof w.url, "http://127.0.0.1:%u/b/../a%%2Fb//c?x=%%20&y",
                   w.server.port);
    req.url = sl_str_from(w.url);
    req.headers = headers;
    req.header_count = SL_COUNT_OF(headers);
    assert_int_equal(sl_http_exchange(w.http, &req, &w.reply, &w.err), SL_OK);
    end(&w);
    const char *seen = w.server.connections[0].seen;
    static const char line[] = "PUT /b/../a%2Fb//c?x=%20&y HTTP/1.1\r\n";
    assert_memory_equal(seen, line, strlen(line));
    assert_non_null(strstr(seen, "\r\nX-Empty:\r\n"));
    assert_non_null(strstr(seen, "\r\nIf-None-Match: *\r\n"));
    assert_non_null(strstr(seen, "\r\nAuthorization: AWS4 a=b, c;d\r\n"));
    assert_non_null(strstr(seen, "\r\nContent-Type: a/b\r\n"));
}

static void a_line_break_in_a_header_is_refused(void **state SL_UNUSED)
{
    static const struct step steps[] = {{READ, NULL, 0}, {SEND, OK_BODY, 0}, {CLOSE, NULL, 0}};
    struct world w = {.server.scripts = {steps}};
    begin(&w, NULL);
    static const struct sl_str values[] = {SL_STR("a\r\nB: c"), SL_STR("a\nB: c"), SL_STR("a\0b")};
    for (size_t i = 0; i < SL_COUNT_OF(values); i++) {
        struct sl_http_header h = {"A", values[i]};
        struct sl_http_request req = request_of(&w, "PUT", TEXT("x"));
        req.headers = &h;
        req.header_count = 1;
        assert_int_equal(sl_http_exchange(w.http, &req, &w.reply, &w.err), SL_EINVAL);
    }
    end(&w);
    assert_int_equal(w.server.accepted, 0);
}

static void ipv6_is_spoken(void **state SL_UNUSED)
{
    static const struct step steps[] = {{READ, NULL, 0}, {SEND, OK_BODY, 0}, {CLOSE, NULL, 0}};
    struct world w = {.server.scripts = {steps}, .server.is_v6 = true};
    begin(&w, NULL);
    assert_int_equal(exchange(&w, "GET", SL_BYTES(NULL, 0)), SL_OK);
    assert_body(&w, "ok");
    end(&w);
}

/* ---- kept connections ---- */

static void a_kept_connection_that_was_closed_is_replaced(void **state SL_UNUSED)
{
    static const struct step steps[] = {{READ, NULL, 0}, {SEND, OK_BODY, 0}, {CLOSE, NULL, 0}};
    struct world w = {.server.scripts = {steps}};
    begin(&w, NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(exchange(&w, "PUT", TEXT("x")), SL_OK);
        connection_join(&w.server.connections[i]); /* it has closed */
    }
    end(&w);
    assert_int_equal(w.server.accepted, 2);
}

/* It may have been done: a write is sent once and told as a failure, a read is sent again. */
static void a_write_is_never_sent_twice(void **state SL_UNUSED)
{
    static const struct step first[] = {
        {READ, NULL, 0}, {SEND, OK_BODY, 0}, {READ, NULL, 0}, {CLOSE, NULL, 0}};
    static const struct step second[] = {{READ, NULL, 0}, {SEND, OK_BODY, 0}, {CLOSE, NULL, 0}};
    static const struct {
        const char *method;
        bool is_again;
    } rows[] = {{"GET", true}, {"HEAD", true}, {"PUT", false}, {"POST", false}, {"DELETE", false}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        struct world w = {.server.scripts = {first, second}};
        begin(&w, NULL);
        assert_int_equal(exchange(&w, "GET", SL_BYTES(NULL, 0)), SL_OK);
        assert_int_equal(exchange(&w, rows[i].method, SL_BYTES(NULL, 0)),
                         rows[i].is_again ? SL_OK : SL_EIO);
        if (!rows[i].is_again) {
            assert_sentence(&w);
        }
        end(&w);
        const char *seen = w.server.connections[1].seen;
        assert_int_equal(strstr(seen, "HTTP/1.1\r\n") != NULL, rows[i].is_again);
    }
}

/* ---- broken answers ---- */

static void answers_that_break_off_are_failures(void **state SL_UNUSED)
{
    static const char *const rows[] = {
        "",
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhel",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    };
    for (size_t i = 0; i < 2 * SL_COUNT_OF(rows); i++) {
        const struct step steps[] = {
            {READ, NULL, 0}, {SEND, rows[i / 2], 0}, {i % 2 == 0 ? CLOSE : RESET_IT, NULL, 0}};
        struct world w = {.server.scripts = {steps}};
        begin(&w, NULL);
        if (exchange(&w, "GET", SL_BYTES(NULL, 0)) != SL_EIO) {
            fail_msg("taken for an answer: %s", rows[i / 2]);
        }
        assert_sentence(&w);
        end(&w);
    }
}

static void nobody_there_is_a_failure(void **state SL_UNUSED)
{
    static const struct step steps[] = {{CLOSE, NULL, 0}};
    struct world w = {.server.scripts = {steps}};
    begin(&w, NULL);
    scripted_stop(&w.server);
    assert_int_equal(exchange(&w, "GET", SL_BYTES(NULL, 0)), SL_EIO);
    assert_sentence(&w);
    static const char url[] = "https://no-such-host.invalid/k?sig=SECRET";
    struct sl_http_request req = request_of(&w, "GET", SL_BYTES(NULL, 0));
    req.url = sl_str_from(url);
    assert_int_equal(sl_http_exchange(w.http, &req, &w.reply, &w.err), SL_EIO);
    assert_non_null(strstr(w.err.text, "no-such-host.invalid"));
    assert_null(strstr(w.err.text, "SECRET"));
    req.url = SL_STR("file:///etc/passwd");
    assert_int_equal(sl_http_exchange(w.http, &req, &w.reply, &w.err), SL_EIO);
    assert_int_equal(w.reply.body.len, 0);
    sl_http_free(w.http);
    sl_http_reply_fini(&w.reply);
    sl_cancel_fini(&w.cancel);
}

static void an_answer_without_end_is_cut(void **state SL_UNUSED)
{
    static const char line[] = "Header-Of-The-Bomb: 0123456789012345678901234567890123456789\r\n";
    static const struct {
        const char *head, *more;
        const char *what;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", "0123456789abcdef", "body"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "0123456789abcdef", "body"},
        {"HTTP/1.1 200 OK\r\n", line, "head"}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        const struct step steps[] = {{READ, NULL, 0},
                                     {SEND, rows[i].head, 0},
                                     {FLOOD, rows[i].more, SIZE_MAX},
                                     {CLOSE, NULL, 0}};
        struct world w = {.server.scripts = {steps}};
        begin(&w, NULL);
        assert_int_equal(exchange(&w, "GET", SL_BYTES(NULL, 0)), SL_ETOOBIG);
        assert_sentence(&w);
        assert_non_null(strstr(w.err.text, rows[i].what));
        assert_true(w.reply.body.len <= 1 << 16);
        end(&w); /* the flood ended, so the connection was let go */
    }
}

/* The limit is of what is kept: a body of exactly that size is taken. */
static void a_body_of_the_limit_is_taken(void **state SL_UNUSED)
{
    static const struct step steps[] = {{READ, NULL, 0}, {SEND, OK_BODY, 0}, {CLOSE, NULL, 0}};
    for (size_t limit = 1; limit <= 2; limit++) {
        struct world w = {.server.scripts = {steps}};
        begin(&w, NULL);
        struct sl_http_request req = request_of(&w, "GET", SL_BYTES(NULL, 0));
        req.reply_max = limit;
        assert_int_equal(sl_http_exchange(w.http, &req, &w.reply, &w.err),
                         limit == 2 ? SL_OK : SL_ETOOBIG);
        end(&w);
    }
}

/* ---- time ---- */

static void a_stall_ends_the_exchange(void **state SL_UNUSED)
{
    static uint8_t large[32 << 20];
    static const struct step silent[] = {{READ, NULL, 0}, {HOLD, NULL, 0}};
    static const struct step half[] = {{READ, NULL, 0},
                                       {SEND, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", 0},
                                       {HOLD, NULL, 0}};
    static const struct step unread[] = {{HEAD, NULL, 0}, {ABSTAIN, NULL, 0}};
    const struct {
        const struct step *steps;
        struct sl_bytes body;
    } rows[] = {{silent, TEXT("x")}, {half, TEXT("x")}, {unread, {large, sizeof large}}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        struct world w = {.server.scripts = {rows[i].steps}};
        struct sl_http_opts opts = {.stall_ns = 300 * MS};
        begin(&w, &opts);
        int64_t begun = now();
        assert_int_equal(exchange(&w, "PUT", rows[i].body), SL_ETIMEOUT);
        assert_in_range(now() - begun, 300 * MS, 5000 * MS);
        assert_sentence(&w);
        end(&w);
    }
}

/* Its kernel takes all at once, the peer bit by bit for longer than a stall. */
static void a_slow_peer_is_no_stall(void **state SL_UNUSED)
{
    static uint8_t large[1 << 20];
    static const struct step slow[] = {
        {HEAD, NULL, 0}, {SIP, NULL, sizeof large}, {SEND, OK_BODY, 0}, {CLOSE, NULL, 0}};
    static const struct step drops[] = {
        {READ, NULL, 0}, {SEND, "HTTP/1.1 200 OK\r\n\r\n", 0}, {TRICKLE, NULL, 0}};
    struct sl_http_opts opts = {.stall_ns = 300 * MS};
    struct world w = {.server.scripts = {slow}};
    begin(&w, &opts);
    int64_t begun = now();
    assert_int_equal(exchange(&w, "PUT", SL_BYTES(large, sizeof large)), SL_OK);
    assert_true(now() - begun > 2 * opts.stall_ns); /* else this proves nothing */
    end(&w);
    struct world v = {.server.scripts = {drops}};
    begin(&v, &opts);
    struct sl_http_request req = request_of(&v, "GET", SL_BYTES(NULL, 0));
    req.timeout_ns = 1000 * MS; /* the whole exchange is another matter */
    begun = now();
    assert_int_equal(sl_http_exchange(v.http, &req, &v.reply, &v.err), SL_ETIMEOUT);
    assert_in_range(now() - begun, 1000 * MS, 5000 * MS);
    assert_true(v.reply.body.len > 2);
    assert_sentence(&v);
    end(&v);
}

struct later {
    struct sl_cancel *cancel;
    int64_t set_ns;
};

static void cancel_later(void *arg)
{
    struct later *l = arg;
    (void)poll(NULL, 0, 150);
    l->set_ns = now();
    sl_cancel_set(l->cancel);
}

/* 200 ms are promised; the rest is for a machine with other work. */
static void assert_cancel(struct world *w, const char *method, struct sl_bytes body)
{
    struct later later = {.cancel = &w->cancel};
    struct sl_thread *t = NULL;
    assert_int_equal(sl_thread_start("later", cancel_later, &later, &t, NULL), SL_OK);
    sl_rc rc = exchange(w, method, body);
    int64_t at = now();
    sl_thread_join(t);
    assert_int_equal(rc, SL_ECANCELED);
    assert_in_range(at - later.set_ns, 0, 600 * MS);
}

static void a_cancel_ends_the_exchange_wherever_it_is(void **state SL_UNUSED)
{
    static uint8_t large[32 << 20];
    static const struct step silent[] = {{READ, NULL, 0}, {HOLD, NULL, 0}};
    static const struct step drops[] = {
        {READ, NULL, 0}, {SEND, "HTTP/1.1 200 OK\r\n\r\n", 0}, {TRICKLE, NULL, 0}};
    static const struct step unread[] = {{HEAD, NULL, 0}, {ABSTAIN, NULL, 0}};
    const struct {
        const struct step *steps;
        struct sl_bytes body;
    } rows[] = {{silent, TEXT("x")}, {drops, TEXT("x")}, {unread, {large, sizeof large}}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        struct world w = {.server.scripts = {rows[i].steps}};
        begin(&w, NULL);
        assert_cancel(&w, "PUT", rows[i].body);
        assert_int_equal(exchange(&w, "PUT", rows[i].body), SL_ECANCELED); /* it stays set */
        end(&w);
    }
}

/* A full queue of connections: Linux drops what comes then, so a client waits in connect. */
static void a_cancel_ends_connecting(void **state SL_UNUSED)
{
    static const struct step steps[] = {{CLOSE, NULL, 0}};
    struct world w = {.server.scripts = {steps}};
    unsigned port = 0;
    int fillers[4];
    int full = listen_somewhere(false, 0, &port);
    assert_true(full >= 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (size_t i = 0; i < SL_COUNT_OF(fillers); i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&to, sizeof to);
    }
    begin(&w, NULL);
    (void)snprintf(w.url, sizeof w.url, "http://127.0.0.1:%u/", port);
    assert_cancel(&w, "GET", SL_BYTES(NULL, 0));
    for (size_t i = 0; i < SL_COUNT_OF(fillers); i++) {
        (void)close(fillers[i]);
    }
    (void)close(full);
    end(&w);
}

/* ---- bandwidth ---- */

struct sender {
    struct world *w;
    struct sl_bytes body;
    sl_rc rc;
};

static void send_one(void *arg)
{
    struct sender *s = arg;
    struct sl_http_reply reply = {0};
    struct sl_http_request req = request_of(s->w, "PUT", s->body);
    s->rc = sl_http_exchange(s->w->http, &req, &reply, NULL);
    sl_http_reply_fini(&reply);
}

static void a_limit_of_bandwidth_is_shared_by_all(void **state SL_UNUSED)
{
    enum { SENDERS = 3, BYTES = 400000, RATE = 1000000 };
    static uint8_t body[BYTES];
    static const struct step steps[] = {{READ, NULL, 0}, {SEND, OK_BODY, 0}, {CLOSE, NULL, 0}};
    struct world w = {.server.scripts = {steps}};
    struct sl_http_opts opts = {.stall_ns = 200 * MS,
                                .bytes_per_s = RATE}; /* waiting is no stall */
    struct sender senders[SENDERS];
    struct sl_thread *threads[SENDERS];
    begin(&w, &opts);
    int64_t begun = now();
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.w = &w, .body = SL_BYTES(body, BYTES)};
        assert_int_equal(sl_thread_start("send", send_one, &senders[i], &threads[i], NULL), SL_OK);
    }
    for (int i = 0; i < SENDERS; i++) {
        sl_thread_join(threads[i]);
        assert_int_equal(senders[i].rc, SL_OK);
    }
    int64_t took = now() - begun;
    end(&w);
    for (int i = 0; i < SENDERS; i++) {
        assert_int_equal(w.server.connections[i].body_bytes, BYTES);
    }
    /* 1.2 s at the rate; 0.1 s may be a burst, the last 64 KiB of each may leave at once. */
    assert_in_range(took, 900 * MS, 4000 * MS);
}

/* Its turn was reserved, but no more than an instant of it: at 16 KiB a second the 400 KB would
 * take 25 s, a piece of 64 KiB 4 s. */
static void what_was_canceled_hardly_delays_the_next(void **state SL_UNUSED)
{
    static uint8_t body[400000];
    static const struct step steps[] = {{READ, NULL, 0}, {SEND, OK_BODY, 0}, {CLOSE, NULL, 0}};
    struct world w = {.server.scripts = {steps}};
    struct sl_http_opts opts = {.stall_ns = 10000 * MS, .bytes_per_s = 16384};
    begin(&w, &opts);
    assert_cancel(&w, "PUT", SL_BYTES(body, sizeof body));
    sl_cancel_fini(&w.cancel);
    sl_cancel_init(&w.cancel);
    int64_t begun = now();
    assert_int_equal(exchange(&w, "PUT", TEXT("the record")), SL_OK);
    assert_in_range(now() - begun, 0, 2000 * MS);
    end(&w);
}

/* ---- TLS ---- */

static SSL_CTX *tls_of(const char *name, int version_max)
{
    char path[512];
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    (void)snprintf(path, sizeof path, "%s/%s.pem", certificates, name);
    assert_int_equal(SSL_CTX_use_certificate_chain_file(tls, path), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(tls, path, SSL_FILETYPE_PEM), 1);
    SSL_CTX_set_security_level(tls, 0); /* so that it would speak old versions */
    assert_int_equal(SSL_CTX_set_min_proto_version(tls, TLS1_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(tls, version_max), 1);
    return tls;
}

static sl_rc over_tls(const char *server, int version_max, const char *authority, struct world *w)
{
    static const struct step steps[] = {{READ, NULL, 0}, {SEND, OK_BODY, 0}, {CLOSE, NULL, 0}};
    static uint8_t pem[65536];
    size_t len = 0;
    if (authority != NULL) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s.pem", certificates, authority);
        FILE *in = fopen(path, "rb");
        assert_non_null(in);
        len = fread(pem, 1, sizeof pem, in);
        (void)fclose(in);
    }
    static const struct step plain[] = {
        {SEND, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 0}, {HOLD, NULL, 0}};
    *w = (struct world){.server.scripts = {server == NULL ? plain : steps}};
    w->server.tls = server == NULL ? NULL : tls_of(server, version_max);
    struct sl_http_opts opts = {.stall_ns = 10000 * MS, .authorities = SL_BYTES(pem, len)};
    begin(w, &opts);
    if (server == NULL) {
        (void)snprintf(w->url, sizeof w->url, "https://127.0.0.1:%u/?SECRET", w->server.port);
    }
    return exchange(w, "PUT", TEXT("x"));
}

static void a_given_authority_is_trusted(void **state SL_UNUSED)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < SL_COUNT_OF(versions); i++) {
        struct world w;
        assert_int_equal(over_tls("server", versions[i], "authority", &w), SL_OK);
        assert_body(&w, "ok");
        end(&w);
    }
}

static void who_is_not_trusted_gets_nothing(void **state SL_UNUSED)
{
    static const struct {
        const char *server;
        int version_max;
        const char *authority, *word;
    } rows[] = {{"server", TLS1_3_VERSION, NULL, "SLUICE_STORE_CA"},
                {"server", TLS1_3_VERSION, "stranger", "SLUICE_STORE_CA"},
                {"elsewhere", TLS1_3_VERSION, "authority", "127.0.0.1"},
                {"server", TLS1_1_VERSION, "authority", "TLS 1.2"},
                {NULL, 0, "authority", "TLS 1.2"}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        struct world w;
        sl_rc rc = over_tls(rows[i].server, rows[i].version_max, rows[i].authority, &w);
        assert_int_equal(rc, SL_EACCESS);
        assert_sentence(&w);
        assert_non_null(strstr(w.err.text, rows[i].word));
        end(&w);
        assert_int_equal(w.server.connections[0].seen_len, 0);
    }
}

/* The peer is gone in the middle of the handshake: worth another try, unlike a wrong certificate.
 */
static void a_broken_handshake_is_worth_another_try(void **state SL_UNUSED)
{
    static const struct step steps[] = {{CLOSE, NULL, 0}};
    static const struct step rude[] = {{RESET_IT, NULL, 0}};
    for (int i = 0; i < 2; i++) {
        struct world w = {.server.scripts = {i == 0 ? steps : rude}};
        begin(&w, NULL);
        (void)snprintf(w.url, sizeof w.url, "https://127.0.0.1:%u/", w.server.port);
        assert_int_equal(exchange(&w, "GET", SL_BYTES(NULL, 0)), SL_EIO);
        end(&w);
    }
}

/* ---- proxies ---- */

static void the_environment_names_a_proxy(void **state SL_UNUSED)
{
    static const struct step steps[] = {{READ, NULL, 0}, {SEND, OK_BODY, 0}, {CLOSE, NULL, 0}};
    struct world w = {.server.scripts = {steps}};
    char proxy[64];
    begin(&w, NULL);
    (void)snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", w.server.port);
    assert_int_equal(setenv("http_proxy", proxy, 1), 0);
    assert_int_equal(setenv("no_proxy", "other.invalid", 1), 0);
    struct sl_http_request req = request_of(&w, "GET", SL_BYTES(NULL, 0));
    req.url = SL_STR("http://store.invalid/b/k");
    req.is_direct = false;
    assert_int_equal(sl_http_exchange(w.http, &req, &w.reply, &w.err), SL_OK);
    req.is_direct = true;
    assert_int_equal(sl_http_exchange(w.http, &req, &w.reply, &w.err), SL_EIO);
    req.is_direct = false;
    req.url = SL_STR("http://other.invalid/b/k");
    assert_int_equal(sl_http_exchange(w.http, &req, &w.reply, &w.err), SL_EIO);
    (void)unsetenv("http_proxy");
    (void)unsetenv("no_proxy");
    end(&w);
    assert_int_equal(w.server.accepted, 1);
    static const char line[] = "GET http://store.invalid/b/k HTTP/1.1\r\n";
    assert_memory_equal(w.server.connections[0].seen, line, strlen(line));
}

/* ---- memory ---- */

static void refused_memory_is_told(void **state SL_UNUSED)
{
    static const struct step steps[] = {
        {READ, NULL, 0}, {SEND, OK_BODY, 0}, {READ, NULL, 0}, {SEND, OK_BODY, 0}, {CLOSE, NULL, 0}};
    for (int64_t n = 0;; n++) {
        struct world w = {.server.scripts = {steps}};
        struct sl_http_opts opts = {.stall_ns = 10000 * MS, .authorities = TEXT("pem")};
        scripted_start(&w.server);
        (void)snprintf(w.url, sizeof w.url, "http://127.0.0.1:%u/", w.server.port);
        struct sl_http_header h = {"A", SL_STR("b")};
        struct sl_http_request req = {.method = "PUT",
                                      .url = sl_str_from(w.url),
                                      .headers = &h,
                                      .header_count = 1,
                                      .body = TEXT("x"),
                                      .reply_max = 99,
                                      .is_direct = true};
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_rc rc = sl_http_new(&opts, &w.http, &w.err);
        if (rc == SL_OK) {
            rc = sl_http_exchange(w.http, &req, &w.reply, &w.err);
        }
        sl_fault_clear();
        assert_true(rc == SL_OK || rc == SL_ENOMEM);
        sl_http_free(w.http);
        scripted_stop(&w.server);
        sl_http_reply_fini(&w.reply);
        assert_int_equal(sl_mem_live(), 0);
        if (rc == SL_OK) {
            assert_true(n > 4);
            return;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        return 2;
    }
    static char folder[400];
    FILE *stamp = fopen(argv[1], "r");
    if (stamp == NULL || fgets(folder, sizeof folder, stamp) == NULL) {
        return 2;
    }
    (void)fclose(stamp);
    certificates = folder;
    (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL's server writes to closed sockets */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_whole_however_it_is_cut),
        cmocka_unit_test(interim_answers_are_passed_over_and_redirects_not_followed),
        cmocka_unit_test(requests_tell_the_length_of_their_body),
        cmocka_unit_test(headers_and_path_go_as_they_are_given),
        cmocka_unit_test(a_line_break_in_a_header_is_refused),
        cmocka_unit_test(ipv6_is_spoken),
        cmocka_unit_test(a_kept_connection_that_was_closed_is_replaced),
        cmocka_unit_test(a_write_is_never_sent_twice),
        cmocka_unit_test(answers_that_break_off_are_failures),
        cmocka_unit_test(nobody_there_is_a_failure),
        cmocka_unit_test(an_answer_without_end_is_cut),
        cmocka_unit_test(a_body_of_the_limit_is_taken),
        cmocka_unit_test(a_stall_ends_the_exchange),
        cmocka_unit_test(a_slow_peer_is_no_stall),
        cmocka_unit_test(a_cancel_ends_the_exchange_wherever_it_is),
        cmocka_unit_test(a_cancel_ends_connecting),
        cmocka_unit_test(a_limit_of_bandwidth_is_shared_by_all),
        cmocka_unit_test(what_was_canceled_hardly_delays_the_next),
        cmocka_unit_test(a_given_authority_is_trusted),
        cmocka_unit_test(who_is_not_trusted_gets_nothing),
        cmocka_unit_test(a_broken_handshake_is_worth_another_try),
        cmocka_unit_test(the_environment_names_a_proxy),
        cmocka_unit_test(refused_memory_is_told),
    };
    return cmocka_run_group_tests_name("http exchange", tests, NULL, NULL);
}
