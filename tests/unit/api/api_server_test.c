/* Tests of the REST server over real sockets: limits, many and slow and vanished clients, the stop.
 * Nobody sleeps: a client waits for its socket to be readable, a worker is parked at a gate. */
#include "api_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/workers.h"

#define WAIT_MS   30000
#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define PARKED    GET("/v1/export/filesystem") /* waits at the gate */

/* ---- a client ---- */

struct client {
    int fd;
    char in[256 * 1024]; /* came and not taken yet */
    size_t len;
};

static int connect_to(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void client_open(struct client *c, struct sl_api *api)
{
    c->len = 0;
    c->fd = connect_to(sl_api_port(api));
    assert_true(c->fd >= 0);
}

static void client_send(struct client *c, const char *data, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(c->fd, data + sent, len - sent, MSG_NOSIGNAL);
        assert_true(n > 0);
        sent += (size_t)n;
    }
}

static void client_say(struct client *c, const char *text)
{
    client_send(c, text, strlen(text));
}

/* Waits for more bytes; false when the server closed the connection. */
static bool client_more(struct client *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    assert_true(c->len < sizeof c->in - 1);
    ssize_t n = recv(c->fd, c->in + c->len, sizeof c->in - 1 - c->len, 0);
    c->len += n > 0 ? (size_t)n : 0;
    c->in[c->len] = '\0';
    return n > 0;
}

/* Takes one reply: its status; ret (when given) gets its body. -1: the connection is closed. */
static int client_reply(struct client *c, char *ret, size_t ret_size)
{
    char *end = NULL;
    while (c->len == 0 || (end = strstr(c->in, "\r\n\r\n")) == NULL) {
        if (!client_more(c)) {
            return -1;
        }
    }
    int status = 0;
    assert_int_equal(sscanf(c->in, "HTTP/1.1 %d", &status), 1);
    size_t length = 0;
    const char *header = strcasestr(c->in, "Content-Length: ");
    if (header != NULL && header < end) {
        assert_int_equal(sscanf(header + 16, "%zu", &length), 1);
    }
    size_t head = (size_t)(end - c->in) + 4;
    while (c->len < head + length) {
        assert_true(client_more(c));
    }
    if (ret != NULL) {
        assert_true(length < ret_size);
        memcpy(ret, c->in + head, length);
        ret[length] = '\0';
    }
    memmove(c->in, c->in + head + length, c->len - head - length + 1);
    c->len -= head + length;
    return status;
}

/* Reads until the server closes; fails when it does not. */
static void client_await_end(struct client *c)
{
    while (client_more(c)) {
        c->len = 0;
    }
}

static void post_head(struct client *c, const char *path, size_t length, const char *more)
{
    char head[512];
    (void)snprintf(head, sizeof head,
                   "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n%s\r\n",
                   path, length, more);
    client_say(c, head);
}

/* A JSON text of exactly `length` bytes that no route takes. */
static char *filler(size_t length)
{
    char *body = malloc(length + 1); /* allow: malloc, a test's own bytes */
    memset(body, 'x', length);
    body[0] = body[length - 1] = '"';
    body[length] = '\0';
    return body;
}

static int post(struct sl_api *api, size_t length, char *ret, size_t ret_size)
{
    struct client *c = calloc(1, sizeof *c); /* allow: calloc, a test owns it */
    char *body = filler(length);
    client_open(c, api);
    post_head(c, "/v1/objects", length, "");
    client_send(c, body, length);
    int status = client_reply(c, ret, ret_size);
    (void)close(c->fd);
    free(body); /* allow: free, a test owned it */
    free(c);    /* allow: free, a test owned it */
    return status;
}

/* ---- the server under test ---- */

struct server {
    struct node *node;
    struct sl_api *api;
    struct sl_metrics *metrics;
    struct client a, b;
};

static void server_start(struct server *s)
{
    assert_int_equal(sl_api_start(&s->node->opts, &s->api, &s->node->err), SL_OK);
    sl_api_set_ready(s->api, true);
}

static int server_open(void **state)
{
    void *node = NULL;
    struct server *s = calloc(1, sizeof *s); /* allow: calloc, a test owns it */
    assert_int_equal(node_open(&node), 0);
    s->node = node;
    s->a.fd = s->b.fd = -1;
    *state = s;
    return 0;
}

static int server_close(void **state)
{
    struct server *s = *state;
    gate_open(s->node); /* a failed test may have left it closed, and a stop waits for requests */
    sl_metrics_stop(s->metrics);
    sl_api_stop(s->api);
    if (s->a.fd >= 0) {
        (void)close(s->a.fd);
    }
    if (s->b.fd >= 0) {
        (void)close(s->b.fd);
    }
    void *node = s->node;
    (void)node_close(&node);
    free(s); /* allow: free, a test owned it */
    return 0;
}

/* ---- requests ---- */

static void a_pipeline_is_answered_in_order(void **state)
{
    struct server *s = *state;
    char body[4096];
    uint64_t before = sl_stat_get(SL_STAT_REQUESTS);
    server_start(s);
    client_open(&s->a, s->api);
    client_say(&s->a, GET("/v1/nope") GET("/v1/schema") GET("/v1/schema/Nope") GET("/v1/meta"));
    assert_int_equal(client_reply(&s->a, body, sizeof body), 404);
    assert_string_equal(body, "{\"code\":404,\"message\":\"path /v1/nope was not found\"}");
    assert_int_equal(client_reply(&s->a, body, sizeof body), 200);
    assert_string_equal(body, "{\"classes\":[]}\n");
    assert_int_equal(client_reply(&s->a, body, sizeof body), 404);
    assert_string_equal(body, "");
    assert_int_equal(client_reply(&s->a, body, sizeof body), 200);
    assert_int_equal(sl_stat_get(SL_STAT_REQUESTS) - before, 4);
}

static void replies_carry_the_headers_browsers_ask_for(void **state)
{
    struct server *s = *state;
    server_start(s);
    client_open(&s->a, s->api);
    client_say(&s->a, "OPTIONS /v1/export/filesystem/x HTTP/1.1\r\nHost: x\r\n\r\n");
    while (strstr(s->a.in, "\r\n\r\n") == NULL) {
        assert_true(client_more(&s->a));
    }
    assert_non_null(strstr(s->a.in, "HTTP/1.1 200 "));
    assert_non_null(strstr(s->a.in, "Access-Control-Allow-Origin: *\r\n"));
    assert_null(strstr(s->a.in, "\r\nContent-Type"));
}

static void query_arguments_are_decoded(void **state)
{
    struct server *s = *state;
    char body[4096];
    server_start(s);
    client_open(&s->a, s->api);
    client_say(&s->a, GET("/v1/objects?limit=1%78"));
    assert_int_equal(client_reply(&s->a, body, sizeof body), 422);
    assert_string_equal(
        body, "{\"code\":601,\"message\":\"limit in query must be of type int64: \\\"1x\\\"\"}");
    client_say(&s->a, GET("/v1/objects?li%6Dit=%31&a=%zz&b&c=1+1"));
    assert_int_equal(client_reply(&s->a, body, sizeof body), 200);
}

static void ready_is_told_apart_from_live(void **state)
{
    struct server *s = *state;
    assert_int_equal(sl_api_start(&s->node->opts, &s->api, &s->node->err), SL_OK);
    client_open(&s->a, s->api);
    client_say(&s->a, GET("/v1/.well-known/ready"));
    assert_int_equal(client_reply(&s->a, NULL, 0), 503);
    client_open(&s->b, s->api);
    client_say(&s->b, GET("/v1/.well-known/live"));
    assert_int_equal(client_reply(&s->b, NULL, 0), 200);
    (void)close(s->a.fd);
    sl_api_set_ready(s->api, true);
    client_open(&s->a, s->api);
    client_say(&s->a, GET("/v1/.well-known/ready"));
    assert_int_equal(client_reply(&s->a, NULL, 0), 200);
}

/* ---- limits ---- */

static void a_body_above_the_limit_is_told_and_the_connection_ends(void **state)
{
    struct server *s = *state;
    char body[4096];
    char *large = filler(100000);
    server_start(s);
    client_open(&s->a, s->api);
    post_head(&s->a, "/v1/objects", 100000, "");
    client_send(&s->a, large, 100000);
    assert_int_equal(client_reply(&s->a, body, sizeof body), 413);
    assert_string_equal(body, "{\"code\":413,\"message\":\"the body is larger than 65536 bytes "
                              "(SLUICE_BODY_MAX); send fewer objects in one request\"}");
    client_await_end(&s->a);
    free(large); /* allow: free, a test owned it */
}

static void a_client_that_asks_first_is_told_before_it_sends(void **state)
{
    struct server *s = *state;
    server_start(s);
    client_open(&s->a, s->api);
    post_head(&s->a, "/v1/objects", 100000, "Expect: 100-continue\r\n");
    assert_int_equal(client_reply(&s->a, NULL, 0), 413);
    client_open(&s->b, s->api);
    post_head(&s->b, "/v1/objects", 2, "Expect: 100-continue\r\n");
    assert_int_equal(client_reply(&s->b, NULL, 0), 100);
    client_say(&s->b, "{}");
    assert_int_equal(client_reply(&s->b, NULL, 0), 422);
}

static void a_body_in_chunks_is_taken_up_to_the_limit(void **state)
{
    struct server *s = *state;
    char chunk[0x4000 + 16];
    server_start(s);
    client_open(&s->a, s->api);
    client_say(&s->a, "POST /v1/schema HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n"
                      "a\r\n{\"class\":\"\r\n7\r\nMovies\"\r\n1\r\n}\r\n0\r\n\r\n");
    assert_int_equal(client_reply(&s->a, NULL, 0), 200);
    client_say(&s->a, "POST /v1/schema HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n");
    int len = snprintf(chunk, sizeof chunk, "4000\r\n%0*d\r\n", 0x4000, 0);
    for (int i = 0; i < 5; i++) {
        client_send(&s->a, chunk, (size_t)len);
    }
    client_say(&s->a, "0\r\n\r\n");
    assert_int_equal(client_reply(&s->a, NULL, 0), 413);
}

static void endless_bodies_are_cut(void **state)
{
    struct server *s = *state;
    char *large = filler(1 << 20);
    server_start(s);
    client_open(&s->a, s->api);
    post_head(&s->a, "/v1/objects", (size_t)1 << 40, "");
    ssize_t n = 1;
    for (int i = 0; i < 1000 && n > 0; i++) { /* far above what two sockets buffer */
        n = send(s->a.fd, large, 1 << 20, MSG_NOSIGNAL);
    }
    assert_true(n < 0 && (errno == ECONNRESET || errno == EPIPE));
    free(large); /* allow: free, a test owned it */
}

static void headers_have_a_limit(void **state)
{
    struct server *s = *state;
    char *large = filler(40000);
    server_start(s);
    client_open(&s->a, s->api);
    client_say(&s->a, "GET /v1/meta HTTP/1.1\r\nHost: x\r\nX-Long: ");
    (void)send(s->a.fd, large, 40000, MSG_NOSIGNAL);
    (void)send(s->a.fd, "\r\n\r\n", 4, MSG_NOSIGNAL);
    int status = client_reply(&s->a, NULL, 0);
    assert_true(status == 431 || status == 413 || status == -1);
    client_open(&s->b, s->api);
    client_say(&s->b, GET("/v1/meta"));
    assert_int_equal(client_reply(&s->b, NULL, 0), 200);
    free(large); /* allow: free, a test owned it */
}

static void a_body_above_the_budget_is_served_alone(void **state)
{
    struct server *s = *state;
    server_start(s);
    assert_int_equal(post(s->api, 65536, NULL, 0), 422); /* the budget is 16384 */
    assert_int_equal(post(s->api, 100, NULL, 0), 422);   /* and it came back */
}

/* A body of 60000 bytes of which 50000 are taken in: it has the whole budget of 16384 alone. False
 * when it met the short one asked after it on its way and was refused itself. */
static bool take_the_budget(struct server *s, const char *body, char *ret, size_t ret_size)
{
    client_open(&s->a, s->api);
    post_head(&s->a, "/v1/objects", 60000, "");
    client_send(&s->a, body, 50000);
    for (int i = 0; i < 100; i++) { /* until the server has read those bytes */
        client_open(&s->b, s->api);
        client_say(&s->b, GET("/v1/meta"));
        assert_int_equal(client_reply(&s->b, NULL, 0), 200);
        (void)close(s->b.fd);
        int status = post(s->api, 100, ret, ret_size);
        if (status == 503) {
            return true;
        }
        assert_int_equal(status, 422);
    }
    client_send(&s->a, body + 50000, 10000);
    assert_int_equal(client_reply(&s->a, NULL, 0), 503);
    (void)close(s->a.fd);
    return false;
}

static void a_body_without_room_is_refused_at_once(void **state)
{
    struct server *s = *state;
    char body[4096];
    char *large = filler(60000);
    server_start(s);
    while (!take_the_budget(s, large, body, sizeof body)) {
    }
    s->b.fd = -1;
    assert_string_equal(body, "{\"code\":503,\"message\":\"too many requests are being served; try "
                              "again in a moment\"}");
    client_send(&s->a, large + 50000, 10000);
    assert_int_equal(client_reply(&s->a, NULL, 0), 422);
    assert_int_equal(post(s->api, 100, NULL, 0), 422);
    free(large); /* allow: free, a test owned it */
}

static void a_length_that_is_only_announced_takes_no_room(void **state)
{
    struct server *s = *state;
    int idle[20];
    server_start(s);
    for (size_t i = 0; i < SL_COUNT_OF(idle); i++) {
        client_open(&s->a, s->api);
        post_head(&s->a, "/v1/objects", 65000, "");
        idle[i] = s->a.fd;
    }
    s->a.fd = -1;
    assert_int_equal(post(s->api, 60000, NULL, 0), 422);
    for (size_t i = 0; i < SL_COUNT_OF(idle); i++) {
        (void)close(idle[i]);
    }
}

/* ---- slow, many, vanished ---- */

static void silent_clients_are_closed(void **state)
{
    struct server *s = *state;
    s->node->opts.request_timeout_s = 1;
    server_start(s);
    client_open(&s->a, s->api); /* says nothing */
    client_open(&s->b, s->api); /* stops in its header */
    client_say(&s->b, "GET /v1/meta HTTP/1.1\r\nHo");
    client_await_end(&s->a);
    client_await_end(&s->b);
    assert_int_equal(post(s->api, 100, NULL, 0), 422);
}

/* A byte each 100 ms is not silence. How many were sent until the server hung up. */
static int drip(struct client *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    int drops = 0;
    while (drops < 200 && poll(&p, 1, 100) == 0 && send(c->fd, "x", 1, MSG_NOSIGNAL) == 1) {
        drops++;
    }
    return drops;
}

static void a_body_that_drips_is_cut(void **state)
{
    struct server *s = *state;
    s->node->opts.request_timeout_s = 1;
    server_start(s);
    client_open(&s->a, s->api);
    post_head(&s->a, "/v1/objects", 1000, "");
    assert_in_range(drip(&s->a), 1, 100);
}

static void a_header_that_drips_is_cut(void **state)
{
    struct server *s = *state;
    s->node->opts.request_timeout_s = 1;
    server_start(s);
    client_open(&s->a, s->api); /* the first header of a connection */
    client_say(&s->a, "GET /v1/meta HTTP/1.1\r\nX: ");
    assert_in_range(drip(&s->a), 1, 100);
    client_open(&s->b, s->api); /* a later one */
    client_say(&s->b, GET("/v1/meta") "G");
    assert_int_equal(client_reply(&s->b, NULL, 0), 200);
    assert_in_range(drip(&s->b), 1, 100);
}

static void only_late_guests_are_shown_out(void **state)
{
    struct sli_guests guests;
    struct sli_guest *guest[3];
    int ends[3][2];
    char byte;
    (void)state;
    sli_guests_init(&guests);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends[i]), 0);
        guest[i] = sli_guest_enter(&guests, ends[i][0], 100 * (i + 1));
    }
    sli_guest_expect(guest[0], 0); /* may stay */
    sli_guest_leave(&guests, guest[1]);
    sli_guests_sweep(&guests, 299);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(recv(ends[i][1], &byte, 1, MSG_DONTWAIT), -1);
        assert_int_equal(errno, EAGAIN);
    }
    sli_guests_sweep(&guests, 300);
    for (int i = 0; i < 3; i++) { /* 0: shut */
        assert_int_equal(recv(ends[i][1], &byte, 1, MSG_DONTWAIT), i == 2 ? 0 : -1);
        (void)close(ends[i][0]);
        (void)close(ends[i][1]);
    }
    sli_guest_leave(&guests, guest[0]);
    sli_guest_leave(&guests, guest[2]);
    sli_guests_fini(&guests);
}

static void a_vanished_client_changes_nothing(void **state)
{
    struct server *s = *state;
    server_start(s);
    client_open(&s->b, s->api);
    client_say(&s->b, GET("/v1/meta"));
    assert_int_equal(client_reply(&s->b, NULL, 0), 200);
    gate_close(s->node);
    for (int i = 0; i < 2; i++) { /* both workers are in the middle of a request */
        client_open(&s->a, s->api);
        client_say(&s->a, PARKED);
        gate_await(s->node, (uint32_t)i + 1);
        struct linger hard = {.l_onoff = 1};
        assert_int_equal(setsockopt(s->a.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
        (void)close(s->a.fd); /* a reset, not a goodbye */
    }
    s->a.fd = -1;
    gate_open(s->node);
    client_say(&s->b, GET("/v1/meta"));
    assert_int_equal(client_reply(&s->b, NULL, 0), 200);
}

static void half_a_request_and_gone_leaks_nothing(void **state)
{
    static const char *const halves[] = {
        "",
        "G",
        "GET /v1/meta HTTP/1.1\r\n",
        "POST /v1/objects HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n{\"class\":",
        "POST /v1/objects HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"cl",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "GET / HTTP/9.9\r\n\r\n"};
    struct server *s = *state;
    int gone[20 * SL_COUNT_OF(halves)];
    int64_t live = sl_mem_live();
    s->node->opts.request_timeout_s = 1;
    server_start(s);
    for (size_t i = 0; i < SL_COUNT_OF(gone); i++) {
        client_open(&s->a, s->api);
        client_say(&s->a, halves[i % SL_COUNT_OF(halves)]);
        assert_int_equal(shutdown(s->a.fd, SHUT_WR), 0);
        gone[i] = s->a.fd;
    }
    for (size_t i = 0; i < SL_COUNT_OF(gone); i++) {
        s->a.fd = gone[i];
        client_await_end(&s->a);
        (void)close(gone[i]);
    }
    s->a.fd = -1;
    assert_int_equal(post(s->api, 60000, NULL, 0), 422); /* no budget is held */
    sl_api_stop(s->api);
    s->api = NULL;
    assert_int_equal(sl_mem_live(), live);
}

/* 20 KiB a connection; the sanitizers keep what is freed. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
#define IDLE_KIB_MAX (128 * 1024)
#else
#define IDLE_KIB_MAX (20 * 1024)
#endif

static long resident_kib(void)
{
    long pages = 0;
    FILE *in = fopen("/proc/self/statm", "re");
    assert_non_null(in);
    assert_int_equal(fscanf(in, "%*d %ld", &pages), 1);
    (void)fclose(in);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Both ends of a connection are in this process. */
static void allow_files(rlim_t count)
{
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_cur < count) {
        files.rlim_cur = count;
        files.rlim_max = SL_MAX(files.rlim_max, count);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    }
}

static void a_thousand_idle_connections_are_cheap(void **state)
{
    struct server *s = *state;
    int idle[1000];
    allow_files(5000);
    server_start(s);
    assert_int_equal(post(s->api, 100, NULL, 0), 422);
    int64_t live = sl_mem_live();
    long before = resident_kib();
    for (size_t i = 0; i < SL_COUNT_OF(idle); i++) {
        client_open(&s->a, s->api);
        client_say(&s->a, GET("/v1/.well-known/live"));
        assert_int_equal(client_reply(&s->a, NULL, 0), 200);
        idle[i] = s->a.fd;
    }
    s->a.fd = -1;
    assert_int_equal(post(s->api, 100, NULL, 0), 422);
    /* one guest each; the last requests may not be freed yet */
    assert_true(sl_mem_live() <= live + (int64_t)SL_COUNT_OF(idle) + 4);
    assert_true(resident_kib() - before < IDLE_KIB_MAX);
    for (size_t i = 0; i < SL_COUNT_OF(idle); i++) {
        (void)close(idle[i]);
    }
}

static void more_waiting_requests_than_the_queue_holds_are_refused(void **state)
{
    enum { WORKERS = 1, QUEUE = 1024 };
    struct server *s = *state;
    static int fds[WORKERS + QUEUE];
    char body[4096];
    allow_files(5000);
    s->node->opts.worker_count = WORKERS;
    server_start(s);
    gate_close(s->node);
    for (int i = 0; i < WORKERS + QUEUE; i++) {
        client_open(&s->a, s->api);
        client_say(&s->a, PARKED);
        fds[i] = s->a.fd;
        if (i < WORKERS) {
            gate_await(s->node, (uint32_t)i + 1);
        }
    }
    /* Two server threads fill the queue; whoever finds it full is told so. */
    client_open(&s->b, s->api);
    int refused = 0;
    struct pollfd p = {.fd = s->b.fd, .events = POLLIN};
    client_say(&s->b, PARKED);
    for (int i = 0; i < WORKERS + QUEUE && refused == 0; i++) {
        struct pollfd other = {.fd = fds[i], .events = POLLIN};
        refused += poll(&p, 1, i == 0 ? WAIT_MS / 10 : 0) == 1 || poll(&other, 1, 0) == 1;
    }
    assert_int_equal(refused, 1);
    gate_open(s->node);
    int served = 0;
    refused = 0;
    for (int i = 0; i < WORKERS + QUEUE; i++) {
        s->a.fd = fds[i];
        s->a.len = 0;
        int status = client_reply(&s->a, body, sizeof body);
        assert_true(status == 200 || status == 503);
        served += status == 200;
        refused += status == 503;
        (void)close(fds[i]);
    }
    s->a.fd = -1;
    int status = client_reply(&s->b, body, sizeof body);
    served += status == 200;
    refused += status == 503;
    assert_int_equal(served, WORKERS + QUEUE);
    assert_int_equal(refused, 1);
}

/* ---- start and stop ---- */

static void a_taken_port_is_told(void **state)
{
    struct server *s = *state;
    struct sl_api *second = NULL;
    server_start(s);
    s->node->opts.port = sl_api_port(s->api);
    assert_int_equal(sl_api_start(&s->node->opts, &second, &s->node->err), SL_ECONFLICT);
    assert_non_null(strstr(s->node->err.text, "SLUICE_PORT"));
    s->node->opts.host = "no such host";
    assert_int_equal(sl_api_start(&s->node->opts, &second, &s->node->err), SL_EINVAL);
    assert_non_null(strstr(s->node->err.text, "SLUICE_HOST"));
    assert_null(second);
}

/* Can this machine bind ::1 at all? Asked without our code. */
static bool has_ipv6(void)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool can = fd >= 0 && bind(fd, (const struct sockaddr *)&any, sizeof any) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return can;
}

static void ipv6_is_listened_on_or_told(void **state)
{
    struct server *s = *state;
    s->node->opts.host = "::1";
    sl_rc rc = sl_api_start(&s->node->opts, &s->api, &s->node->err);
    if (!has_ipv6()) {
        assert_int_equal(rc, SL_ECONFLICT);
        assert_non_null(strstr(s->node->err.text, "::1"));
        return;
    }
    assert_int_equal(rc, SL_OK);
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(sl_api_port(s->api))};
    at.sin6_addr = in6addr_loopback;
    s->a.fd = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(connect(s->a.fd, (const struct sockaddr *)&at, sizeof at), 0);
    client_say(&s->a, GET("/v1/.well-known/live"));
    assert_int_equal(client_reply(&s->a, NULL, 0), 200);
}

static void add_line(void *arg, struct sl_buf *out)
{
    sl_buf_addf(out, "# HELP x y\n# TYPE x gauge\nx %d\n", *(int *)arg);
}

/* The monitoring goes on while all request workers are busy. */
static void metrics_are_served_beside_the_api(void **state)
{
    struct server *s = *state;
    struct sl_metrics *second = NULL;
    static char body[64 * 1024];
    int number = 7;
    struct sl_metrics_opts opts = {.host = "127.0.0.1", .collect = add_line, .arg = &number};
    server_start(s);
    gate_close(s->node);
    client_open(&s->a, s->api);
    client_say(&s->a, PARKED);
    gate_await(s->node, 1);
    assert_int_equal(sl_metrics_start(&opts, &s->metrics, &s->node->err), SL_OK);
    s->b.len = 0;
    s->b.fd = connect_to(sl_metrics_port(s->metrics));
    client_say(&s->b, GET("/metrics"));
    assert_int_equal(client_reply(&s->b, body, sizeof body), 200);
    assert_non_null(strstr(body, "\nx 7\n"));
    assert_non_null(strstr(body, "\nsluice_requests_open 1\n"));
    assert_non_null(strstr(body, "\nsluice_connections 1\n"));
    client_say(&s->b, GET("/metrics/"));
    assert_int_equal(client_reply(&s->b, body, sizeof body), 404);
    opts.port = sl_metrics_port(s->metrics);
    assert_int_equal(sl_metrics_start(&opts, &second, &s->node->err), SL_ECONFLICT);
    assert_non_null(strstr(s->node->err.text, "PROMETHEUS_MONITORING_PORT"));
    sl_metrics_stop(s->metrics);
    s->metrics = NULL;
    client_await_end(&s->b);
    gate_open(s->node);
    assert_int_equal(client_reply(&s->a, NULL, 0), 200);
}

#define SERVER_TEST(f) cmocka_unit_test_setup_teardown(f, server_open, server_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(a_pipeline_is_answered_in_order),
        SERVER_TEST(replies_carry_the_headers_browsers_ask_for),
        SERVER_TEST(query_arguments_are_decoded),
        SERVER_TEST(ready_is_told_apart_from_live),
        SERVER_TEST(a_body_above_the_limit_is_told_and_the_connection_ends),
        SERVER_TEST(a_client_that_asks_first_is_told_before_it_sends),
        SERVER_TEST(a_body_in_chunks_is_taken_up_to_the_limit),
        SERVER_TEST(endless_bodies_are_cut),
        SERVER_TEST(headers_have_a_limit),
        SERVER_TEST(a_body_above_the_budget_is_served_alone),
        SERVER_TEST(a_body_without_room_is_refused_at_once),
        SERVER_TEST(a_length_that_is_only_announced_takes_no_room),
        SERVER_TEST(silent_clients_are_closed),
        SERVER_TEST(a_body_that_drips_is_cut),
        SERVER_TEST(a_header_that_drips_is_cut),
        SERVER_TEST(metrics_are_served_beside_the_api),
        cmocka_unit_test(only_late_guests_are_shown_out),
        SERVER_TEST(a_vanished_client_changes_nothing),
        SERVER_TEST(half_a_request_and_gone_leaks_nothing),
        SERVER_TEST(a_thousand_idle_connections_are_cheap),
        SERVER_TEST(more_waiting_requests_than_the_queue_holds_are_refused),
        SERVER_TEST(a_taken_port_is_told),
        SERVER_TEST(ipv6_is_listened_on_or_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
