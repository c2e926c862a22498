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

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/log.h"
#include "base/stats.h"
#include "base/workers.h"

#define SERVER_THREADS 2
#define QUEUE_MAX      1024        /* requests waiting for a worker; more are told 503 at once */
#define HEADER_BYTES   (32 * 1024) /* of one connection: request line and headers */
#define DISCARD_FACTOR 2 /* a too large body is read off up to this, so that the 413 arrives */
#define SLOW_MS        5000

struct sl_api {
    struct sl_api_opts opts;
    struct MHD_Daemon *daemon;
    struct sl_workers *workers;
    struct sl_budget *bodies;
    atomic_bool is_ready, is_stopping;
    uint16_t port;
};

enum phase { ARRIVING, WORKING, REPLYING };

struct request {
    struct sl_api *api;
    struct MHD_Connection *connection;
    struct sli_call call;
    enum phase phase;
    uint64_t ticket;    /* bytes taken from the budget */
    uint64_t discarded; /* bytes of a body nobody keeps */
    int refusal;        /* status of a body that is not kept; 0: kept */
    int64_t begun_ns;
};

/* ---- birth and end ---- */

static enum MHD_Result add_query(void *arg, enum MHD_ValueKind kind SL_UNUSED, const char *key,
                                 const char *value)
{
    struct sli_call *c = arg;
    if (c->query_count < SLI_QUERY_MAX) {
        c->query[c->query_count++] =
            (struct sli_pair){sl_arena_str(&c->arena, sl_str_from(key)),
                              sl_arena_str(&c->arena, sl_str_from(value == NULL ? "" : value))};
    }
    return MHD_YES;
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
    r->begun_ns = sl_clock_mono_ns(sl_clock_real());
    c->opts = &api->opts;
    c->is_ready = &api->is_ready;
    c->method = sl_arena_str(&c->arena, sl_str_from(method));
    c->path = sl_arena_str(&c->arena, sl_str_from(url));
    const char *type =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    c->content_type = sl_arena_str(&c->arena, sl_str_from(type));
    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_query, c);
    return r;
}

static void request_free(struct request *r)
{
    if (r->ticket > 0) {
        sl_budget_give(r->api->bodies, r->ticket);
    }
    json_decref(r->call.body);
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
    if (r->ticket > 0) {
        sl_budget_give(r->api->bodies, r->ticket);
        r->ticket = 0;
    }
}

static bool take_ticket(struct request *r, uint64_t bytes)
{
    if (!sl_budget_try_take(r->api->bodies, bytes)) {
        refuse_body(r, MHD_HTTP_SERVICE_UNAVAILABLE);
        return false;
    }
    r->ticket += bytes;
    return true;
}

/* Length told in the header: the whole body is budgeted before its first byte is read. */
static void begin_body(struct request *r)
{
    const char *text =
        MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    char *end = NULL;
    uint64_t len =
        text == NULL ? 0 : strtoull(text, &end, 10); /* allow: strtoull, checked by MHD */
    r->call.has_body = len > 0;
    if (len > r->api->opts.body_max) {
        refuse_body(r, MHD_HTTP_CONTENT_TOO_LARGE);
    } else if (len > 0 && take_ticket(r, len) && sl_buf_reserve(&r->call.body_bytes, len) == NULL) {
        refuse_body(r, MHD_HTTP_SERVICE_UNAVAILABLE);
    }
}

static enum MHD_Result take_body(struct request *r, const char *data, size_t *size)
{
    struct sl_buf *body = &r->call.body_bytes;
    r->call.has_body = true;
    if (r->refusal == 0 && body->len + *size > r->api->opts.body_max) {
        refuse_body(r, MHD_HTTP_CONTENT_TOO_LARGE);
    }
    if (r->refusal == 0 && body->len + *size > r->ticket) { /* chunked: budgeted as it comes */
        (void)take_ticket(r, SL_MAX((uint64_t)*size, (uint64_t)1 << 20));
    }
    if (r->refusal == 0) {
        sl_buf_add(body, SL_BYTES(data, *size));
        if (body->is_failed) {
            refuse_body(r, MHD_HTTP_SERVICE_UNAVAILABLE);
        }
    } else {
        r->discarded += *size;
    }
    *size = 0;
    /* Nobody needs to send gigabytes to learn that they are too many. */
    return r->discarded > DISCARD_FACTOR * r->api->opts.body_max ? MHD_NO : MHD_YES;
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
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
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
    if (atomic_load_explicit(&r->api->is_stopping, memory_order_relaxed) || r->refusal != 0) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    enum MHD_Result sent = MHD_queue_response(r->connection, (unsigned int)c->status, response);
    MHD_destroy_response(response);
    sl_stat_add(SL_STAT_REQUESTS, 1);
    return sent;
}

static enum MHD_Result reply_refusal(struct request *r)
{
    if (r->refusal == MHD_HTTP_CONTENT_TOO_LARGE) {
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

static void log_slow(const struct request *r)
{
    int64_t ms = (sl_clock_mono_ns(sl_clock_real()) - r->begun_ns) / 1000000;
    if (ms >= SLOW_MS) {
        sl_log(SL_WARN, "slow_request", "a request took long", SL_F_STR("method", r->call.method),
               SL_F_STR("path", r->call.path), SL_F_INT("status", r->call.status),
               SL_F_INT("duration_ms", ms));
    }
}

static void work(void *arg)
{
    struct request *r = arg;
    sli_route(&r->call);
    log_slow(r);
    r->phase = REPLYING;
    MHD_resume_connection(r->connection); /* from here on the server thread owns the request */
}

static enum MHD_Result hand_over(struct request *r)
{
    r->phase = WORKING;
    MHD_suspend_connection(r->connection);
    if (sl_workers_try_add(r->api->workers, work, r) != SL_OK) {
        sli_reply_code(&r->call, MHD_HTTP_SERVICE_UNAVAILABLE,
                       "too many requests are waiting; try again in a moment");
        r->phase = REPLYING;
        MHD_resume_connection(r->connection);
    }
    return MHD_YES;
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
        return MHD_YES;
    }
    switch (r->phase) {
    case ARRIVING:
        if (*size > 0) {
            return take_body(r, data, size);
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
    if (*state != NULL) {
        request_free(*state);
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

static sl_rc resolve(const char *host, uint16_t port, struct sockaddr_storage *ret,
                     struct sl_err *err)
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

static sl_rc start_daemon(struct sl_api *api, struct sl_err *err)
{
    struct sockaddr_storage address;
    SL_TRY(resolve(api->opts.host, api->opts.port, &address, err));
    unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                         MHD_USE_ERROR_LOG |
                         (address.ss_family == AF_INET6 ? (unsigned int)MHD_USE_IPv6 : 0);
    api->daemon = MHD_start_daemon(
        flags, api->opts.port, NULL, NULL, on_request, api, MHD_OPTION_EXTERNAL_LOGGER, quiet, NULL,
        MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_encoded, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned int)api->opts.connections_max, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned int)api->opts.request_timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEADER_BYTES, MHD_OPTION_THREAD_POOL_SIZE, (unsigned int)SERVER_THREADS,
        MHD_OPTION_END);
    if (api->daemon == NULL) {
        return SL_FAIL(
            err, SL_EINVAL,
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
    sl_rc rc = sl_budget_new(opts->body_budget, &api->bodies, err);
    if (rc == SL_OK) {
        rc = sl_workers_new("request", opts->worker_count, QUEUE_MAX, &api->workers, err);
    }
    if (rc == SL_OK) {
        rc = start_daemon(api, err);
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

void sl_api_stop(struct sl_api *api)
{
    if (api == NULL) {
        return;
    }
    atomic_store(&api->is_ready, false);
    atomic_store(&api->is_stopping, true);
    if (api->daemon != NULL) {
        MHD_socket listening = MHD_quiesce_daemon(api->daemon); /* no new connections */
        sl_workers_free(api->workers); /* every suspended connection is resumed after this */
        MHD_stop_daemon(api->daemon);
        if (listening != MHD_INVALID_SOCKET) {
            (void)close(listening);
        }
    } else {
        sl_workers_free(api->workers);
    }
    sl_budget_free(api->bodies);
    sl_free(api);
}
