/* The REST server: libmicrohttpd's only home.
 *
 *   arriving   header is there, body comes in (server thread)
 *   working    body is whole; the connection is suspended, a worker runs the call
 *   replying   the worker resumed it; the server thread sends
 *
 * A request belongs to its server thread while arriving and replying and to its worker while
 * working; suspend and resume hand it over. When a client vanishes, libmicrohttpd tells at the end
 * of its connection, which for a suspended one is after the resume: a request is freed only then.
 */
#include "api/api_int.h"
#include "api/tls_int.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/budget.h"
#include "base/log.h"
#include "base/num.h"
#include "base/stats.h"
#include "base/workers.h"

#define SERVER_THREADS 2
#define QUEUE_MAX      1024 /* requests waiting for a worker; more are told 503 at once */
/* Of one connection: request line, headers and the piece of the body being read. An idle connection
 * keeps 12 KiB with it, and kept 30 KiB with twice as much; large bodies cost the same CPU. */
#define HEADER_BYTES   (16 * 1024)
#define DISCARD_FACTOR 2    /* a too large body is read off up to this, so that the 413 arrives */
#define TICKET_FIRST   4096 /* doubles from here; a thousand stalled bodies are 4 MiB */
#define SLOW_MS        5000
/* Body and reply may take the time limit plus what their bytes need at this rate: less is a client
 * that holds memory for nothing, and no line in use is slower. */
#define BYTES_PER_S (16 * 1024)
#define SWEEP_NS    1000000000 /* a time limit of seconds needs no finer look */
/* Silence in mid-body. libmicrohttpd polls edge-triggered and misses a goodbye that comes together
 * with the last bytes, so what a vanished client holds is held this long. */
#define BODY_SILENCE_S 10
/* Parsed bodies are 2 to 5 times their text; requests above this wait for each other. */
#define TREES_FACTOR   2
#define REQUEST_ID     "X-Request-Id"
#define REQUEST_ID_MAX 128
#define DRAIN_NS       INT64_C(5000000000) /* at the stop, for clients slow to take replies */

struct sl_api {
    struct sl_api_opts opts;
    struct MHD_Daemon *daemon;
    struct sl_workers *workers;
    struct sl_budget *bodies, *trees;
    struct sli_guests guests;
    uint32_t sweep_id;               /* duty of the ticker; 0: none */
    atomic_bool is_ready, is_closed; /* is_closed: new connections are shut at once */
    uint16_t port;
    struct sl_mutex mu; /* protects `locked`; the queue of the workers is taken under it */
    struct sl_cond done;
    struct {
        bool is_stopping; /* no request goes to the workers any more */
        uint32_t open;    /* requests that went to the workers and are not completed */
    } locked SL_GUARDED;
};

enum phase { ARRIVING, WORKING, REPLYING };

struct request {
    struct sl_api *api;
    struct MHD_Connection *connection;
    struct sli_guest *guest; /* of the connection, borrowed */
    struct sli_call call;
    enum phase phase;
    uint64_t ticket;    /* bytes taken from the budget */
    uint64_t discarded; /* bytes of a body nobody keeps */
    uint64_t expected;  /* bytes of the body as announced, 0 when it comes in chunks */
    int refusal;        /* status of a body that is not kept; 0: kept */
    bool is_open;       /* counted in locked.open */
    int64_t begun_ns, whole_ns;
};

/* ---- guests ---- */

static int64_t due_after(const struct sl_api *api, uint64_t bytes)
{
    uint64_t s = api->opts.request_timeout_s + bytes / BYTES_PER_S;
    return sl_clock_mono_ns(sl_clock_real()) + (int64_t)s * 1000000000;
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **guest,
                          enum MHD_ConnectionNotificationCode code)
{
    struct sl_api *api = arg;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) { /* the socket is closed after this */
        sl_stat_sub(SL_STAT_CONNECTIONS, 1);
        sli_guest_leave(&api->guests, sl_move((struct sli_guest **)guest));
        return;
    }
    sl_stat_add(SL_STAT_CONNECTIONS, 1);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *guest = sli_guest_enter(&api->guests, info->connect_fd, due_after(api, 0));
    if (api->opts.tls != NULL) { /* before the first byte of the handshake is read */
        sli_tls_bind(
            api->opts.tls,
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session);
    }
}

/* Not MHD_quiesce_daemon: with epoll it races with the threads of the pool for the listening
 * socket, and who comes second aborts the process. */
static enum MHD_Result on_accept(void *arg, const struct sockaddr *address SL_UNUSED,
                                 socklen_t len SL_UNUSED)
{
    const struct sl_api *api = arg;
    return atomic_load(&api->is_closed) ? MHD_NO : MHD_YES;
}

static void sweep(void *arg)
{
    struct sl_api *api = arg;
    sli_guests_sweep(&api->guests, sl_clock_mono_ns(sl_clock_real()));
}

/* ---- birth and end ---- */

/* libmicrohttpd hands arguments over undecoded, as keep_encoded wants it for the path. */
static struct sl_str decoded(struct sl_arena *arena, const char *text)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    if (text == NULL || !sl_percent_decode(sl_str_from(text), &out)) {
        return sl_arena_str(arena, sl_str_from(text));
    }
    return sl_arena_str(arena, sl_buf_str(&out));
}

static enum MHD_Result add_query(void *arg, enum MHD_ValueKind kind SL_UNUSED, const char *key,
                                 const char *value)
{
    struct sli_call *c = arg;
    if (c->query_count < SLI_QUERY_MAX) { /* no route knows so many; the rest means nothing */
        c->query[c->query_count++] =
            (struct sli_pair){decoded(&c->arena, key), decoded(&c->arena, value)};
    }
    return MHD_YES;
}

static bool is_id(struct sl_str id)
{
    return id.len > 0 && id.len <= REQUEST_ID_MAX &&
           strspn(id.ptr, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               id.len;
}

/* The client's own id when it is one a log line may hold as it is, else a new one: a name of this
 * start and a number. Empty when memory ran out; nothing depends on it. */
static struct sl_str request_id(struct sl_arena *arena, struct MHD_Connection *connection)
{
    static _Atomic uint64_t count;
    struct sl_str sent =
        sl_str_from(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, REQUEST_ID));
    if (is_id(sent)) {
        return sl_arena_str(arena, sent);
    }
    char text[48];
    int len =
        snprintf(text, sizeof(text), "%llx-%llx", (unsigned long long)sl_stat_get(SL_STAT_STARTED),
                 (unsigned long long)atomic_fetch_add(&count, 1));
    return sl_arena_str(arena, (struct sl_str){text, (size_t)len});
}

/* Address without port; IPv4 through an IPv6 socket looks as everywhere else. */
static struct sl_str peer_of(struct sl_arena *arena, struct MHD_Connection *connection)
{
    char text[INET6_ADDRSTRLEN] = "";
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info == NULL ? NULL : info->client_addr;
    if (address != NULL && address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof(v4));
        (void)inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    } else if (address != NULL && address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof(v6));
        bool is_v4 = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
        const uint8_t *bytes = v6.sin6_addr.s6_addr;
        (void)inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? bytes + 12 : bytes, text, sizeof(text));
    }
    return sl_arena_str(arena, sl_str_from(text));
}

/* The header, or the argument access_token. */
static void take_token(struct sli_call *c, const char *header)
{
    struct sl_str token = sli_bearer(sl_str_from(header));
    c->token = token.len > 0 ? sl_arena_str(&c->arena, token) : sli_query(c, "access_token");
}

static struct request *request_new(struct sl_api *api, struct MHD_Connection *connection,
                                   const char *url, const char *method)
{
    struct request *r = sl_alloc_zero(1, sizeof(*r));
    if (r == NULL) {
        return NULL;
    }
    struct sli_call *c = &r->call;
    r->api = api;
    r->connection = connection;
    r->guest =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    sli_guest_expect(r->guest, 0); /* the header is whole; bodies have limits of their own */
    r->begun_ns = sl_clock_mono_ns(sl_clock_real());
    c->opts = &api->opts;
    c->is_ready = &api->is_ready;
    c->trees = api->trees;
    c->method = sl_arena_str(&c->arena, sl_str_from(method));
    c->path = sl_arena_str(&c->arena, sl_str_from(url));
    const char *type =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    c->content_type = sl_arena_str(&c->arena, sl_str_from(type));
    c->request_id = request_id(&c->arena, connection);
    c->asker.peer = peer_of(&c->arena, connection);
    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_query, c);
    take_token(
        c, MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION));
    if (c->method.ptr == NULL || c->path.ptr == NULL || c->content_type.ptr == NULL ||
        c->asker.peer.ptr == NULL) {
        sl_arena_fini(&c->arena);
        sl_free(r);
        return NULL;
    }
    return r;
}

static void give_ticket(struct request *r)
{
    if (r->ticket > 0) {
        sl_budget_give(r->api->bodies, r->ticket);
        r->ticket = 0;
    }
}

static void request_free(struct request *r)
{
    if (r->is_open) {
        sl_mutex_lock(&r->api->mu);
        r->api->locked.open--;
        sl_stat_sub(SL_STAT_REQUESTS_OPEN, 1);
        sl_cond_broadcast(&r->api->done);
        sl_mutex_unlock(&r->api->mu);
    }
    give_ticket(r);
    sl_buf_fini(&r->call.body_bytes);
    sl_buf_fini(&r->call.out);
    sl_arena_fini(&r->call.arena);
    sl_free(r);
}

/* ---- the body ---- */

static void refuse_body(struct request *r, int status)
{
    r->refusal = status;
    sl_buf_fini(&r->call.body_bytes);
    give_ticket(r);
}

static void allow_silence(struct request *r, uint32_t seconds)
{
    (void)MHD_set_connection_option(r->connection, MHD_CONNECTION_OPTION_TIMEOUT,
                                    (unsigned int)seconds);
}

static void begin_body(struct request *r)
{
    const char *text =
        MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (text != NULL && !sl_u64_parse(sl_str_trim(sl_str_from(text)), &r->expected)) {
        r->expected = UINT64_MAX; /* checked by libmicrohttpd: digits, so it is a huge number */
    }
    r->call.has_body = r->expected > 0;
    if (r->expected > r->api->opts.body_max) {
        refuse_body(r, MHD_HTTP_CONTENT_TOO_LARGE);
    }
}

/* Budget and memory for `need` bytes. They grow with what has come, not with what was announced: a
 * client that announces much and sends nothing takes nothing from the others. A body above the
 * whole budget is let in alone. */
static bool make_room(struct request *r, uint64_t need)
{
    struct sl_buf *body = &r->call.body_bytes;
    if (need <= r->ticket) {
        return true;
    }
    uint64_t most = r->expected > 0 ? r->expected : r->api->opts.body_max;
    uint64_t want = SL_MAX(need, SL_MIN(most, SL_MAX(r->ticket * 2, (uint64_t)TICKET_FIRST)));
    bool is_alone = want > sl_budget_size(r->api->bodies);
    if (is_alone) {
        give_ticket(r);
    }
    if (!sl_budget_try_take(r->api->bodies, want - r->ticket)) {
        refuse_body(r, MHD_HTTP_SERVICE_UNAVAILABLE);
        return false;
    }
    r->ticket = want;
    if (sl_buf_reserve(body, want - body->len) == NULL) {
        refuse_body(r, MHD_HTTP_SERVICE_UNAVAILABLE);
        return false;
    }
    return true;
}

static bool is_too_slow(const struct request *r)
{
    int64_t s = (sl_clock_mono_ns(sl_clock_real()) - r->begun_ns) / 1000000000;
    uint64_t came = r->call.body_bytes.len + r->discarded;
    return s > 0 && (uint64_t)s > r->api->opts.request_timeout_s + came / BYTES_PER_S;
}

static enum MHD_Result take_body(struct request *r, const char *data, size_t *size)
{
    struct sl_buf *body = &r->call.body_bytes;
    if (body->len + r->discarded == 0) {
        allow_silence(r, SL_MIN(r->api->opts.request_timeout_s, (uint32_t)BODY_SILENCE_S));
    }
    r->call.has_body = true;
    if (r->refusal == 0 && body->len + *size > r->api->opts.body_max) {
        refuse_body(r, MHD_HTTP_CONTENT_TOO_LARGE);
    }
    if (r->refusal == 0 && make_room(r, body->len + *size)) {
        sl_buf_add(body, SL_BYTES(data, *size));
    } else {
        r->discarded += *size;
    }
    *size = 0;
    /* Nobody needs to send gigabytes to learn that they are too many. */
    bool is_over = r->discarded > DISCARD_FACTOR * r->api->opts.body_max || is_too_slow(r);
    return is_over ? MHD_NO : MHD_YES;
}

/* ---- the reply ---- */

static void add_headers(struct MHD_Response *response, const struct sli_call *c)
{
    static const char *const cors[][2] = {
        {"Access-Control-Allow-Origin", "*"},
        {"Access-Control-Allow-Methods", "*"},
        {"Access-Control-Allow-Headers", "Content-Type, Authorization, Batch"}};
    for (size_t i = 0; i < SL_COUNT_OF(cors); i++) {
        (void)MHD_add_response_header(response, cors[i][0], cors[i][1]);
    }
    if (c->out.len > 0) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                      c->is_text ? "text/plain; charset=utf-8"
                                                 : "application/json");
    }
    if (c->request_id.len > 0) {
        (void)MHD_add_response_header(response, REQUEST_ID, c->request_id.ptr);
    }
    if (c->allow.len > 0) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, c->allow.ptr);
    }
    if (c->location.len > 0) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, c->location.ptr);
    }
}

static enum MHD_Result send_reply(struct request *r)
{
    struct sli_call *c = &r->call;
    if (c->out.is_failed) { /* memory ran out while the reply was written */
        sl_buf_fini(&c->out);
        c->status = MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
    /* The buffer lives in the request, which outlives the response's sending. */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(c->out.len, c->out.ptr, MHD_RESPMEM_PERSISTENT);
    if (response == NULL) {
        return MHD_NO;
    }
    add_headers(response, c);
    sli_guest_expect(r->guest, due_after(r->api, c->out.len));
    if (!atomic_load_explicit(&r->api->is_ready, memory_order_relaxed) || r->refusal != 0) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    enum MHD_Result sent = MHD_queue_response(r->connection, (unsigned int)c->status, response);
    MHD_destroy_response(response);
    sl_stat_add(SL_STAT_REQUESTS, 1);
    return sent;
}

static enum MHD_Result reply_refusal(struct request *r)
{
    bool is_size = r->refusal == MHD_HTTP_CONTENT_TOO_LARGE;
    sl_stat_add(is_size ? SL_STAT_REFUSED_SIZE : SL_STAT_REFUSED_MEMORY, 1);
    if (is_size) {
        sli_reply_code(
            &r->call, r->refusal,
            "the body is larger than %llu bytes (SLUICE_BODY_MAX); send fewer objects in "
            "one request",
            (unsigned long long)r->api->opts.body_max);
    } else {
        sli_reply_code(&r->call, r->refusal,
                       "too many requests are being served; try again in a moment");
    }
    r->phase = REPLYING;
    return send_reply(r);
}

/* ---- the walk ---- */

static void note_duration(const struct request *r)
{
    const struct sli_call *c = &r->call;
    int64_t ns = sl_clock_mono_ns(sl_clock_real()) - r->begun_ns;
    sl_histogram_add(SL_HISTOGRAM_REQUEST, ns);
    if (ns / 1000000 >= SLOW_MS) {
        sl_log(SL_WARN, "slow_request", "a request took long", SL_F_STR("method", c->method),
               SL_F_STR("path", c->path), SL_F_INT("status", c->status),
               SL_F_INT("duration_ms", ns / 1000000), SL_F_STR("request_id", c->request_id));
    }
}

static void answer(struct request *r)
{
    sli_route(&r->call);
    sl_buf_fini(&r->call.body_bytes);
    give_ticket(r);
    note_duration(r);
    r->phase = REPLYING;
}

static void work(void *arg)
{
    struct request *r = arg;
    sl_stat_add(SL_STAT_REQUEST_WAIT_NS,
                (uint64_t)(sl_clock_mono_ns(sl_clock_real()) - r->whole_ns));
    answer(r);
    MHD_resume_connection(r->connection); /* from here on the server thread owns the request */
}

static sl_rc add_work(struct request *r)
{
    struct sl_api *api = r->api;
    sl_mutex_lock(&api->mu);
    sl_rc rc = api->locked.is_stopping ? SL_ECLOSED : sl_workers_try_add(api->workers, work, r);
    if (rc == SL_OK) {
        api->locked.open++;
        sl_stat_add(SL_STAT_REQUESTS_OPEN, 1);
        r->is_open = true; /* the request is freed by this thread, so it sees it */
    }
    sl_mutex_unlock(&api->mu);
    return rc;
}

static enum MHD_Result hand_over(struct request *r)
{
    r->phase = WORKING;
    r->whole_ns = sl_clock_mono_ns(sl_clock_real());
    MHD_suspend_connection(r->connection);
    if (add_work(r) != SL_OK) {
        sl_stat_add(SL_STAT_REFUSED_QUEUE, 1);
        sli_reply_code(&r->call, MHD_HTTP_SERVICE_UNAVAILABLE,
                       "too many requests are waiting or the node is stopping; try again in a "
                       "moment");
        r->phase = REPLYING;
        MHD_resume_connection(r->connection);
    }
    return MHD_YES;
}

static bool is_waiting_for_leave(const struct request *r)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT) !=
           NULL;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version SL_UNUSED,
                                  const char *data, size_t *size, void **state)
{
    struct request *r = *state;
    if (r == NULL) {
        r = request_new(arg, connection, url, method);
        if (r == NULL) {
            return MHD_NO;
        }
        *state = r;
        begin_body(r);
        /* A client that asks first is told before it sends. */
        return r->refusal != 0 && is_waiting_for_leave(r) ? reply_refusal(r) : MHD_YES;
    }
    switch (r->phase) {
    case ARRIVING:
        if (*size > 0) {
            return take_body(r, data, size);
        }
        allow_silence(r, r->api->opts.request_timeout_s);
        if (r->refusal == 0 && sli_is_quick(&r->call)) {
            answer(r); /* suspending, waking a worker and resuming would cost more than the work */
            return send_reply(r);
        }
        return r->refusal != 0 ? reply_refusal(r) : hand_over(r);
    case WORKING:
        return MHD_YES;
    case REPLYING:
        return send_reply(r);
    }
    return MHD_NO;
}

static void on_completed(void *arg SL_UNUSED, struct MHD_Connection *connection SL_UNUSED,
                         void **state, enum MHD_RequestTerminationCode code SL_UNUSED)
{
    struct request *r = *state;
    if (r != NULL) {
        sli_guest_expect(r->guest, due_after(r->api, 0)); /* the next header */
        request_free(r);
        *state = NULL;
    }
}

/* The path stays encoded: a '/' inside a segment must not cut it. Arguments are decoded by MHD. */
static size_t keep_encoded(void *arg SL_UNUSED, struct MHD_Connection *connection SL_UNUSED,
                           char *text)
{
    return strlen(text);
}

/* ---- start and stop ---- */

sl_rc sli_resolve(const char *host, uint16_t port, struct sockaddr_storage *ret, struct sl_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    char service[8];
    (void)snprintf(service, sizeof(service), "%u", port);
    int rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0) {
        return SL_FAIL(err, SL_EINVAL, "SLUICE_HOST: \"%s\": %s", host, gai_strerror(rc));
    }
    memcpy(ret, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return SL_OK;
}

static void quiet(void *arg SL_UNUSED, const char *fmt SL_UNUSED, va_list args SL_UNUSED)
{
    /* libmicrohttpd reports every client that hangs up; that is not an event of ours */
}

/* Clients get at most half of the files this process may open: the others are the store's. */
static unsigned int connection_limit(const struct sl_api_opts *opts)
{
    struct rlimit files;
    bool is_less = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY &&
                   files.rlim_cur / 2 < opts->connections_max;
    return is_less ? (unsigned int)files.rlim_cur / 2 : opts->connections_max;
}

static sl_rc start_daemon(struct sl_api *api, struct sl_err *err)
{
    struct sockaddr_storage address;
    SL_TRY(sli_resolve(api->opts.host, api->opts.port, &address, err));
    unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                         MHD_USE_ERROR_LOG |
                         (api->opts.tls != NULL ? (unsigned int)MHD_USE_TLS : 0) |
                         (address.ss_family == AF_INET6 ? (unsigned int)MHD_USE_IPv6 : 0);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, sli_tls_chooser()},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)sli_tls_priorities},
        {MHD_OPTION_END, 0, NULL}};
    api->daemon = MHD_start_daemon(
        flags, api->opts.port, on_accept, api, on_request, api, MHD_OPTION_EXTERNAL_LOGGER, quiet,
        NULL, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, api, MHD_OPTION_UNESCAPE_CALLBACK,
        keep_encoded, NULL, MHD_OPTION_CONNECTION_LIMIT, connection_limit(&api->opts),
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned int)api->opts.peer_connections_max,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)api->opts.request_timeout_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES, MHD_OPTION_THREAD_POOL_SIZE,
        (unsigned int)SERVER_THREADS, MHD_OPTION_ARRAY, api->opts.tls == NULL ? &tls[2] : tls,
        MHD_OPTION_END);
    if (api->daemon == NULL) {
        return SL_FAIL(
            err, SL_ECONFLICT,
            "cannot listen on %s port %u: it is in use or not allowed; choose another by "
            "SLUICE_PORT",
            api->opts.host, api->opts.port);
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(api->daemon, MHD_DAEMON_INFO_BIND_PORT);
    api->port = info == NULL ? api->opts.port : info->port;
    api->opts.port = api->port;
    return SL_OK;
}

sl_rc sl_api_start(const struct sl_api_opts *opts, struct sl_api **ret, struct sl_err *err)
{
    struct sl_api *api = sl_alloc_zero(1, sizeof(*api));
    if (api == NULL) {
        return SL_NOMEM(err);
    }
    api->opts = *opts;
    sl_mutex_init(&api->mu);
    sl_cond_init(&api->done);
    sli_guests_init(&api->guests);
    sl_rc rc = sl_budget_new(opts->body_budget, &api->bodies, err);
    if (rc == SL_OK) {
        rc = sl_budget_new(opts->body_budget * TREES_FACTOR, &api->trees, err);
    }
    if (rc == SL_OK) {
        sl_budget_watch(api->bodies, SL_BUDGET_BODIES);
        sl_budget_watch(api->trees, SL_BUDGET_TREES);
        rc = sl_workers_new("request", opts->worker_count, QUEUE_MAX, &api->workers, err);
    }
    if (rc == SL_OK) {
        rc = start_daemon(api, err);
    }
    if (rc == SL_OK) {
        rc = sl_ticker_add(opts->ticker, SWEEP_NS, sweep, api, &api->sweep_id, err);
    }
    if (rc != SL_OK) {
        sl_api_stop(api);
        return rc;
    }
    *ret = api;
    return SL_OK;
}

uint16_t sl_api_port(const struct sl_api *api)
{
    return api->port;
}

void sl_api_set_ready(struct sl_api *api, bool is_ready)
{
    atomic_store_explicit(&api->is_ready, is_ready, memory_order_release);
}

/* Waits until the replies are sent, or until the slowest client had its time. */
static void drain(struct sl_api *api)
{
    int64_t until = sl_clock_mono_ns(sl_clock_real()) + DRAIN_NS;
    int64_t left = DRAIN_NS;
    sl_mutex_lock(&api->mu);
    while (api->locked.open > 0 && left > 0) {
        (void)sl_cond_wait_for(&api->done, &api->mu, left);
        left = until - sl_clock_mono_ns(sl_clock_real());
    }
    sl_mutex_unlock(&api->mu);
}

void sl_api_stop(struct sl_api *api)
{
    if (api == NULL) {
        return;
    }
    atomic_store(&api->is_ready, false);
    atomic_store(&api->is_closed, true);
    sl_mutex_lock(&api->mu);
    api->locked.is_stopping = true;
    sl_mutex_unlock(&api->mu);
    sl_workers_free(api->workers); /* every suspended connection is resumed after this */
    if (api->daemon != NULL) {
        drain(api);
        MHD_stop_daemon(api->daemon);
    }
    if (api->sweep_id != 0) {
        sl_ticker_remove(api->opts.ticker, api->sweep_id);
    }
    sli_guests_fini(&api->guests);
    sl_budget_free(api->bodies);
    sl_budget_free(api->trees);
    sl_cond_fini(&api->done);
    sl_mutex_fini(&api->mu);
    sl_free(api);
}
