/* The gRPC server: the C core's only home.
 *
 *   waiting    the core was asked for a call
 *   reading    the core was asked for a message of it
 *   working    a worker runs the handler; replies are packed
 *   sending    one reply after the other, then the next message is read, or the status goes out
 *
 * A call does one of these at a time, so a stream whose replies are not taken is not read from:
 * that is the back-pressure. Beside it the core watches for the end of the call, which tells when a
 * client gave up. When the node stops, streams are told so once, in between: those that read at
 * that moment at once, the others when they come to read again; what their clients still had on the
 * way is taken, and they end when the clients have ended them. Two threads take events from the
 * core and never block; handlers run on workers. The core bounds the memory of messages on their
 * way by its resource quota. */
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <stdio.h>

#include "api/grpc_int.h"
#include "api/tls_int.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "base/str.h"
#include "base/sync.h"
#include "base/workers.h"

#define POLL_THREADS 2
#define QUEUE_MAX    1024 /* messages waiting for a worker; more are told UNAVAILABLE at once */
#define REPLIES_MAX  4    /* of one message: acks and results of a stream */
#define UNPACKED     3    /* memory of a message taken apart, in parts of its bytes; measured 2.2 */
#define MESSAGE_SHARE \
    2 /* one message: this part of the memory of requests. 15 times its bytes are */
      /* in use until it is stored; measured */
#define QUOTA_FACTOR 2 /* the core's books: with a quota of two messages it closes connections */
#define SLOW_MS      5000
#define STOP_NS      INT64_C(5000000000) /* for calls at work when the node stops */

#define REFUSAL                                                                                    \
    "Sluice stores, lists and exports collections; it does not search vectors or text. It serves " \
    "Health, BatchObjects, BatchReferences, BatchStream, BatchDelete, TenantsGet, Search "         \
    "(without "                                                                                    \
    "a vector or text query) and Aggregate (objects_count)"

struct sl_grpc {
    struct sl_api_opts opts;
    grpc_server *server;
    grpc_completion_queue *queue;
    struct sl_workers *workers;
    struct sl_budget *messages; /* memory of messages taken apart */
    struct sl_thread *threads[POLL_THREADS];
    _Atomic(const char *) cert; /* the one handed to the core last */
    atomic_bool is_ready;
    atomic_bool is_draining; /* streams are told that the node stops */
    uint16_t port;
    struct sl_mutex mu;
    struct sl_cond no_calls;
    struct {
        uint32_t calls;       /* awaited or come, and not freed */
        struct call *streams; /* those whose end was not seen yet */
    } locked SL_GUARDED;
};

enum event { EVENT_CALL, EVENT_MESSAGE, EVENT_SENT, EVENT_TOLD, EVENT_CLOSED, EVENT_STOPPED };
/* Who may send on a call: the thread that moves it away from READING. */
enum phase {
    PHASE_BUSY,    /* working or sending */
    PHASE_READING, /* nobody is at work; a message or the stop of the node may come */
    PHASE_TELLING, /* the stop is being told; then READING again */
    PHASE_WAITING, /* as TELLING, and a message has come meanwhile */
};
struct call;
struct tag {
    struct call *call;
    enum event event;
};

struct call {
    struct sl_grpc *api;
    const struct sli_rpc_method *method;
    struct sli_rpc rpc;
    grpc_call *core;
    grpc_call_details details;
    grpc_metadata_array metadata;
    grpc_byte_buffer *message; /* just read */
    grpc_slice bytes;          /* of the message at work */
    grpc_byte_buffer *replies[REPLIES_MAX];
    uint32_t reply_count, reply_sent;
    bool has_headers_sent, has_status; /* has_status: it ends after the replies */
    grpc_status_code status;
    char status_text[SL_ERR_TEXT_SIZE];
    int is_cancelled; /* written by the core before EVENT_CLOSED */
    atomic_bool is_gone, is_told;
    atomic_int phase;
    bool is_read;               /* the message waiting is one */
    struct call *next, *before; /* among the streams of the node */
    struct call *next_told;
    grpc_byte_buffer *notice; /* that the node stops */
    atomic_uint users;        /* batches under way; the last one frees */
    struct tag on_call, on_message, on_sent, on_told, on_closed;
};

static const struct sli_rpc_method methods[] = {
    {"/grpc.health.v1.Health/Check", sli_rpc_health, sli_rpc_health, false, true},
    {"/weaviate.v1.Weaviate/BatchObjects", sli_rpc_batch_objects, NULL, false, false},
    {"/weaviate.v1.Weaviate/BatchReferences", sli_rpc_batch_references, NULL, false, false},
    {"/weaviate.v1.Weaviate/BatchStream", sli_rpc_batch_stream, NULL, true, false},
    {"/weaviate.v1.Weaviate/BatchDelete", sli_rpc_batch_delete, NULL, false, false},
    {"/weaviate.v1.Weaviate/Search", sli_rpc_search, NULL, false, false},
    {"/weaviate.v1.Weaviate/TenantsGet", sli_rpc_tenants_get, sli_rpc_foreign_tenants, false,
     false},
    {"/weaviate.v1.Weaviate/Aggregate", sli_rpc_aggregate, NULL, false, false},
};

/* ---- a call's life ---- */

static void call_free(struct call *c)
{
    struct sl_grpc *api = c->api;
    for (uint32_t i = c->reply_sent; i < c->reply_count; i++) {
        grpc_byte_buffer_destroy(c->replies[i]);
    }
    if (c->message != NULL) {
        grpc_byte_buffer_destroy(c->message);
    }
    if (c->notice != NULL) {
        grpc_byte_buffer_destroy(c->notice);
    }
    sl_arena_fini(&c->rpc.arena);
    grpc_slice_unref(c->bytes);
    grpc_call_details_destroy(&c->details);
    grpc_metadata_array_destroy(&c->metadata);
    if (c->core != NULL) {
        grpc_call_unref(c->core);
    }
    sl_free(c);
    sl_mutex_lock(&api->mu);
    if (--api->locked.calls == 0) {
        sl_cond_signal(&api->no_calls);
    }
    sl_mutex_unlock(&api->mu);
}

static void call_done(struct call *c)
{
    if (atomic_fetch_sub_explicit(&c->users, 1, memory_order_acq_rel) == 1) {
        call_free(c);
    }
}

/* Starts ops with their tag; the tag's event ends the use. */
static bool start(struct call *c, const grpc_op *ops, size_t count, struct tag *tag)
{
    atomic_fetch_add_explicit(&c->users, 1, memory_order_relaxed);
    if (grpc_call_start_batch(c->core, ops, count, tag, NULL) != GRPC_CALL_OK) {
        (void)grpc_call_cancel(c->core, NULL);
        call_done(c);
        return false;
    }
    return true;
}

static void await_call(struct sl_grpc *api)
{
    struct call *c = sl_alloc_zero(1, sizeof(*c));
    if (c == NULL) {
        sl_log(SL_ERROR, "grpc", "memory is exhausted; calls are no longer taken");
        return;
    }
    c->api = api;
    c->rpc.opts = &api->opts;
    c->rpc.is_ready = &api->is_ready;
    c->bytes = grpc_empty_slice();
    c->on_call = (struct tag){c, EVENT_CALL};
    c->on_message = (struct tag){c, EVENT_MESSAGE};
    c->on_sent = (struct tag){c, EVENT_SENT};
    c->on_told = (struct tag){c, EVENT_TOLD};
    c->on_closed = (struct tag){c, EVENT_CLOSED};
    atomic_store(&c->users, 1);
    sl_mutex_lock(&api->mu);
    api->locked.calls++;
    sl_mutex_unlock(&api->mu);
    grpc_call_details_init(&c->details);
    grpc_metadata_array_init(&c->metadata);
    if (grpc_server_request_call(api->server, &c->core, &c->details, &c->metadata, api->queue,
                                 api->queue, &c->on_call) != GRPC_CALL_OK) {
        call_free(c); /* the server stops */
    }
}

static bool move(struct call *c, enum phase from, enum phase to)
{
    int seen = (int)from;
    return atomic_compare_exchange_strong(&c->phase, &seen, (int)to);
}

/* Tells a stream that the node stops, if nobody else is sending on it and it was not told yet. */
static void tell(struct call *c)
{
    grpc_op ops[2] = {0};
    size_t count = 0;
    if (atomic_load(&c->is_told) || !move(c, PHASE_READING, PHASE_TELLING)) {
        return;
    }
    atomic_store(&c->is_told, true);
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sli_rpc_shutting_down(&text);
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)text.ptr, text.len);
    c->notice = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    if (!c->has_headers_sent) {
        ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
        c->has_headers_sent = true;
    }
    ops[count].op = GRPC_OP_SEND_MESSAGE;
    ops[count++].data.send_message.send_message = c->notice;
    (void)start(c, ops, count, &c->on_told);
}

static void read_message(struct call *c)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &c->message;
    atomic_store(&c->phase, PHASE_READING); /* before it can come */
    if (start(c, &op, 1, &c->on_message) && c->method->is_stream &&
        atomic_load(&c->api->is_draining)) {
        tell(c);
    }
}

/* The next reply, and the status behind the last one when the call ends. */
static void send_next(struct call *c)
{
    grpc_op ops[3] = {0};
    size_t count = 0;
    grpc_slice text = grpc_empty_slice();
    if (!c->has_headers_sent) {
        ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
        c->has_headers_sent = true;
    }
    if (c->reply_sent < c->reply_count) {
        ops[count].op = GRPC_OP_SEND_MESSAGE;
        ops[count++].data.send_message.send_message = c->replies[c->reply_sent];
    }
    if (c->has_status && c->reply_sent + 1 >= c->reply_count) {
        grpc_op *op = &ops[count++];
        op->op = GRPC_OP_SEND_STATUS_FROM_SERVER;
        op->data.send_status_from_server.status = c->status;
        if (c->status != GRPC_STATUS_OK) {
            text = grpc_slice_from_copied_string(c->status_text);
            op->data.send_status_from_server.status_details = &text;
        }
    }
    (void)start(c, ops, count, &c->on_sent);
    grpc_slice_unref(text);
}

static void finish(struct call *c, grpc_status_code status, const char *text)
{
    c->has_status = true;
    c->status = status;
    (void)snprintf(c->status_text, sizeof(c->status_text), "%s", text);
    send_next(c);
}

/* ---- work ---- */

static void *arena_take(void *arena, size_t size)
{
    return sl_arena_alloc(arena, size);
}
static void arena_leave(void *arena SL_UNUSED, void *ptr SL_UNUSED)
{
    /* goes with the arena */
}

sl_rc sli_rpc_read(struct sli_rpc *c, const ProtobufCMessageDescriptor *type, void *ret,
                   struct sl_err *err)
{
    ProtobufCAllocator from = {
        .alloc = arena_take, .free = arena_leave, .allocator_data = &c->arena};
    void *message = protobuf_c_message_unpack(type, &from, c->in.len, c->in.ptr);
    struct call *call = SL_CONTAINER_OF(c, struct call, rpc);
    grpc_slice_unref(call->bytes); /* all is copied; a large message is not kept twice */
    call->bytes = grpc_empty_slice();
    c->in = (struct sl_bytes){0};
    if (message == NULL) {
        return SL_FAIL(err, SL_EBADREQ, "the message is not a %s", type->short_name);
    }
    *(void **)ret = message;
    return SL_OK;
}

sl_rc sli_rpc_reply(struct sli_rpc *rpc, const ProtobufCMessage *reply, struct sl_err *err)
{
    struct call *c = SL_CONTAINER_OF(rpc, struct call, rpc);
    sl_assert(c->reply_count < REPLIES_MAX);
    size_t size = protobuf_c_message_get_packed_size(reply);
    grpc_slice slice = grpc_slice_malloc(size);
    (void)protobuf_c_message_pack(reply, GRPC_SLICE_START_PTR(slice));
    c->replies[c->reply_count] = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    if (c->replies[c->reply_count] == NULL) {
        return SL_NOMEM(err);
    }
    c->reply_count++;
    return SL_OK;
}

float sli_rpc_took(const struct sli_rpc *c)
{
    return (float)(sl_clock_mono_ns(sl_clock_real()) - c->begun_ns) / 1e9F;
}

static bool is_late(const struct call *c)
{
    gpr_timespec now = gpr_now(c->details.deadline.clock_type);
    return gpr_time_cmp(c->details.deadline, now) < 0;
}

static void log_slow(const struct call *c)
{
    int64_t ms = (sl_clock_mono_ns(sl_clock_real()) - c->rpc.begun_ns) / 1000000;
    if (ms >= SLOW_MS) {
        sl_log(SL_WARN, "slow_request", "a call took long", SL_F_TEXT("path", c->method->path),
               SL_F_INT("status", c->status), SL_F_INT("duration_ms", ms));
    }
}

/* The header "authorization"; ptr NULL: none. A view of the call's metadata. */
static struct sl_str token_of(const struct call *c)
{
    for (size_t i = 0; i < c->metadata.count; i++) {
        const grpc_metadata *m = &c->metadata.metadata[i];
        if (grpc_slice_str_cmp(m->key, "authorization") == 0) {
            return sli_bearer((struct sl_str){(const char *)GRPC_SLICE_START_PTR(m->value),
                                              GRPC_SLICE_LENGTH(m->value)});
        }
    }
    return (struct sl_str){0};
}

/* "ipv4:127.0.0.1:1234", "ipv6:%5B::1%5D:1234" -> the address. */
static struct sl_str peer_of(struct call *c)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    char *peer = grpc_call_get_peer(c->core);
    const char *colon = peer == NULL ? NULL : strchr(peer, ':');
    if (colon != NULL) {
        (void)sl_percent_decode(sl_str_from(colon + 1), &text);
    }
    gpr_free(peer);
    struct sl_str address = sl_buf_str(&text);
    while (address.len > 0 && address.ptr[--address.len] != ':') {
        continue; /* the port goes */
    }
    if (address.len > 2 && address.ptr[0] == '[') {
        address = (struct sl_str){address.ptr + 1, address.len - 2};
    }
    return sl_arena_str(&c->rpc.arena, address);
}

/* The reference tells all of them the same sentence. */
static sl_rc identify(struct call *c, struct sl_err *err)
{
    struct sli_asker *a = &c->rpc.asker;
    struct sl_str token = token_of(c);
    a->auth = c->api->opts.auth;
    a->peer = peer_of(c);
    if (a->peer.ptr == NULL) {
        return SL_NOMEM(err);
    }
    sl_rc rc = sl_auth_identify(a->auth, token, a->peer, &c->rpc.arena, &a->who, err);
    if (rc == SL_EUNAUTH && token.len == 0) {
        return SL_FAIL(err, SL_EUNAUTH, "extract auth: unauthorized: invalid api key");
    }
    if (rc == SL_EUNAUTH) {
        sl_err_prefix(err, "extract auth");
    }
    return rc;
}

static sl_rc run_handler(struct call *c, struct sl_err *err)
{
    const struct sl_api_opts *opts = &c->api->opts;
    SL_TRY(c->method->is_open ? SL_OK : identify(c, err));
    sli_rpc_handler *handler = opts->foreign == NULL ? c->method->handler : c->method->foreign;
    return handler != NULL
               ? handler(&c->rpc, err)
               : SL_FAIL(err, SL_EINVAL,
                         "this node reads Weaviate data at %s and only exports it; it neither "
                         "serves nor takes objects",
                         opts->foreign_path);
}

/* Runs the handler; false when the message came too late to be worth it. Nothing was begun then, so
 * nothing is half done. */
static bool handle(struct call *c, sl_rc *ret_rc, struct sl_err *err)
{
    uint64_t ticket = c->rpc.in.len * UNPACKED;
    if (atomic_load(&c->is_gone) || is_late(c)) {
        return false;
    }
    SL_IGNORE(sl_budget_take(c->api->messages, ticket, NULL), "without a token it only waits");
    c->rpc.begun_ns = sl_clock_mono_ns(sl_clock_real());
    *ret_rc = run_handler(c, err);
    sl_arena_fini(&c->rpc.arena);
    c->rpc.arena = SL_ARENA_EMPTY;
    sl_budget_give(c->api->messages, ticket);
    sl_stat_add(SL_STAT_CALLS, 1);
    return true;
}

static void work(void *arg)
{
    struct call *c = arg;
    struct sl_err err = {0};
    sl_rc rc = SL_OK;
    bool is_run = handle(c, &rc, &err);
    grpc_slice_unref(c->bytes);
    c->bytes = grpc_empty_slice();
    if (!is_run) {
        finish(c, GRPC_STATUS_DEADLINE_EXCEEDED, "the call was given up before it was begun");
    } else if (rc != SL_OK) {
        log_slow(c);
        finish(c, (grpc_status_code)sl_rc_grpc(rc), sl_err_text(&err, rc));
    } else {
        log_slow(c);
        if (!c->method->is_stream || c->rpc.is_finished || c->rpc.is_end) {
            c->has_status = true; /* OK is zero */
        }
        if (c->reply_count > 0 || c->has_status) {
            send_next(c);
        } else {
            read_message(c);
        }
    }
    call_done(c);
}

static void add_work(struct call *c)
{
    atomic_fetch_add_explicit(&c->users, 1, memory_order_relaxed); /* the worker's */
    if (sl_workers_try_add(c->api->workers, work, c) != SL_OK) {
        finish(c, GRPC_STATUS_UNAVAILABLE, "too many requests are waiting; try again in a moment");
        call_done(c);
    }
}

/* ---- events ---- */

static const struct sli_rpc_method *find_method(grpc_slice path)
{
    for (size_t i = 0; i < SL_COUNT_OF(methods); i++) {
        if (grpc_slice_str_cmp(path, methods[i].path) == 0) {
            return &methods[i];
        }
    }
    return NULL;
}

/* Streams are listed until EVENT_CLOSED, so a listed one has a user. */
static void list_stream(struct call *c)
{
    struct sl_grpc *api = c->api;
    sl_mutex_lock(&api->mu);
    c->next = api->locked.streams;
    if (c->next != NULL) {
        c->next->before = c;
    }
    api->locked.streams = c;
    sl_mutex_unlock(&api->mu);
}

static void unlist_stream(struct call *c)
{
    struct sl_grpc *api = c->api;
    if (c->method == NULL || !c->method->is_stream) {
        return;
    }
    sl_mutex_lock(&api->mu);
    if (c->before != NULL) {
        c->before->next = c->next;
    } else {
        api->locked.streams = c->next;
    }
    if (c->next != NULL) {
        c->next->before = c->before;
    }
    sl_mutex_unlock(&api->mu);
}

static void tell_streams(struct sl_grpc *api)
{
    struct call *told = NULL;
    atomic_store(&api->is_draining, true);
    sl_mutex_lock(&api->mu);
    for (struct call *c = api->locked.streams; c != NULL; c = c->next) {
        atomic_fetch_add_explicit(&c->users, 1, memory_order_relaxed);
        c->next_told = told;
        told = c;
    }
    sl_mutex_unlock(&api->mu);
    while (told != NULL) {
        struct call *c = told;
        told = c->next_told;
        tell(c);
        call_done(c);
    }
}

static void on_call(struct call *c)
{
    await_call(c->api);
    grpc_op watch = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    watch.data.recv_close_on_server.cancelled = &c->is_cancelled;
    c->method = find_method(c->details.method);
    if (c->method != NULL && c->method->is_stream) {
        list_stream(c);
    }
    if (!start(c, &watch, 1, &c->on_closed)) {
        unlist_stream(c);
        return;
    }
    if (c->method == NULL) {
        finish(c, GRPC_STATUS_UNIMPLEMENTED, REFUSAL);
    } else {
        read_message(c);
    }
}

/* One contiguous view of what came. */
static bool take_bytes(struct call *c)
{
    grpc_byte_buffer_reader reader;
    grpc_byte_buffer *message = sl_move(&c->message);
    bool is_read = grpc_byte_buffer_reader_init(&reader, message) != 0;
    if (is_read) {
        c->bytes = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
        c->rpc.in = SL_BYTES(GRPC_SLICE_START_PTR(c->bytes), GRPC_SLICE_LENGTH(c->bytes));
    }
    grpc_byte_buffer_destroy(message);
    return is_read;
}

static void take_message(struct call *c, bool is_ok)
{
    c->rpc.is_end = !is_ok || c->message == NULL;
    c->rpc.in = (struct sl_bytes){0};
    if (c->rpc.is_end && !c->method->is_stream) {
        finish(c, GRPC_STATUS_INVALID_ARGUMENT, "the request has no message");
    } else if (!c->rpc.is_end && !take_bytes(c)) {
        finish(c, GRPC_STATUS_INVALID_ARGUMENT, "the message cannot be decompressed");
    } else {
        add_work(c);
    }
}

static void on_message(struct call *c, bool is_ok)
{
    c->is_read = is_ok;
    while (!move(c, PHASE_READING, PHASE_BUSY)) {
        if (move(c, PHASE_TELLING, PHASE_WAITING)) {
            return; /* on_told takes it */
        }
    }
    take_message(c, is_ok);
}

static void on_told(struct call *c)
{
    if (!move(c, PHASE_TELLING, PHASE_READING)) {
        atomic_store(&c->phase, PHASE_BUSY);
        take_message(c, c->is_read);
    }
}

static void on_sent(struct call *c, bool is_ok)
{
    if (c->reply_sent < c->reply_count) {
        grpc_byte_buffer_destroy(c->replies[c->reply_sent++]);
    }
    if (!is_ok) {
        return; /* the client is gone: EVENT_CLOSED follows */
    }
    if (c->reply_sent < c->reply_count) {
        send_next(c);
        return;
    }
    c->reply_sent = c->reply_count = 0;
    if (!c->has_status) {
        read_message(c);
    }
}

static void on_event(const struct tag *tag, bool is_ok)
{
    struct call *c = tag->call;
    switch (tag->event) {
    case EVENT_CALL:
        if (!is_ok) {
            call_free(c); /* the server stops; no call came */
            return;
        }
        on_call(c);
        break;
    case EVENT_MESSAGE:
        on_message(c, is_ok);
        break;
    case EVENT_SENT:
        on_sent(c, is_ok);
        break;
    case EVENT_TOLD:
        on_told(c);
        break;
    case EVENT_CLOSED:
        unlist_stream(c);
        atomic_store(&c->is_gone, c->is_cancelled != 0);
        break;
    case EVENT_STOPPED:
        return;
    }
    call_done(c);
}

static void poll_events(void *arg)
{
    struct sl_grpc *api = arg;
    for (;;) {
        grpc_event e =
            grpc_completion_queue_next(api->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (e.type == GRPC_QUEUE_SHUTDOWN) {
            return;
        }
        on_event(e.tag, e.success != 0);
    }
}

/* ---- start and stop ---- */

static grpc_arg int_arg(const char *key, int value)
{
    grpc_arg arg = {.type = GRPC_ARG_INTEGER};
    arg.key = (char *)(uintptr_t)key;
    arg.value.integer = value;
    return arg;
}

/* The core asks at the start and before each handshake. It insists on roots to judge clients by,
 * which are never asked for a certificate: any will do. */
static grpc_ssl_certificate_config_reload_status give_cert(void *arg,
                                                           grpc_ssl_server_certificate_config **ret)
{
    struct sl_grpc *api = arg;
    grpc_ssl_pem_key_cert_pair pair;
    sli_tls_pem(api->opts.tls, &pair.cert_chain, &pair.private_key);
    if (atomic_load(&api->cert) == pair.cert_chain) {
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    }
    *ret = grpc_ssl_server_certificate_config_create(pair.cert_chain, &pair, 1);
    if (*ret == NULL) {
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
    }
    atomic_store(&api->cert, pair.cert_chain);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

/* The core allows no TLS before 1.2. */
static grpc_server_credentials *make_credentials(struct sl_grpc *api)
{
    return api->opts.tls == NULL
               ? grpc_insecure_server_credentials_create()
               : grpc_ssl_server_credentials_create_with_options(
                     grpc_ssl_server_credentials_create_options_using_config_fetcher(
                         GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, give_cert, api));
}

static sl_rc listen_on(struct sl_grpc *api, struct sl_err *err)
{
    SL_AUTO(sl_buf) address = SL_BUF_EMPTY;
    bool is_v6 = strchr(api->opts.host, ':') != NULL;
    sl_buf_addf(&address, is_v6 ? "[%s]:%u" : "%s:%u", api->opts.host, api->opts.grpc_port);
    const char *text = sl_buf_cstr(&address);
    SL_TRY(sl_buf_done(&address, err));
    grpc_server_credentials *credentials = make_credentials(api);
    int port = grpc_server_add_http2_port(api->server, text, credentials);
    grpc_server_credentials_release(credentials);
    if (port == 0) {
        return SL_FAIL(err, SL_EINVAL,
                       "cannot listen for gRPC on %s: the port is in use or not allowed; choose "
                       "another by GRPC_PORT",
                       text);
    }
    api->port = (uint16_t)port;
    return SL_OK;
}

static sl_rc start_server(struct sl_grpc *api, struct sl_err *err)
{
    grpc_resource_quota *quota = grpc_resource_quota_create("messages");
    grpc_resource_quota_resize(quota, (size_t)api->opts.body_budget * QUOTA_FACTOR);
    grpc_arg args[] = {
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)sl_grpc_message_max(&api->opts)),
        int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        int_arg(GRPC_ARG_ALLOW_REUSEPORT, 0), /* a second node on the port must be told */
        {.type = GRPC_ARG_POINTER, .key = (char *)(uintptr_t)GRPC_ARG_RESOURCE_QUOTA},
    };
    args[3].value.pointer.p = quota;
    args[3].value.pointer.vtable = grpc_resource_quota_arg_vtable();
    grpc_channel_args all = {.num_args = SL_COUNT_OF(args), .args = args};
    api->server = grpc_server_create(&all, NULL);
    grpc_resource_quota_unref(quota);
    api->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(api->server, api->queue, NULL);
    SL_TRY(listen_on(api, err));
    for (size_t i = 0; i < POLL_THREADS; i++) {
        SL_TRY(sl_thread_start("grpc", poll_events, api, &api->threads[i], err));
    }
    grpc_server_start(api->server);
    for (size_t i = 0; i < POLL_THREADS; i++) {
        await_call(api);
    }
    return SL_OK;
}

static void quiet(gpr_log_func_args *args SL_UNUSED)
{
    /* the core reports every client that does not shake hands; that is not an event of ours */
}

sl_rc sl_grpc_start(const struct sl_api_opts *opts, struct sl_grpc **ret, struct sl_err *err)
{
    struct sl_grpc *api = sl_alloc_zero(1, sizeof(*api));
    if (api == NULL) {
        return SL_NOMEM(err);
    }
    gpr_set_log_function(quiet);
    grpc_init();
    api->opts = *opts;
    sl_mutex_init(&api->mu);
    sl_cond_init(&api->no_calls);
    sl_rc rc = sl_budget_new(opts->body_budget * UNPACKED, &api->messages, err);
    if (rc == SL_OK) {
        sl_budget_watch(api->messages, SL_BUDGET_MESSAGES);
        rc = sl_workers_new("rpc", opts->worker_count, QUEUE_MAX, &api->workers, err);
    }
    if (rc == SL_OK) {
        rc = start_server(api, err);
    }
    if (rc != SL_OK) {
        sl_grpc_stop(api);
        return rc;
    }
    atomic_store(&api->is_ready, true);
    *ret = api;
    return SL_OK;
}

uint64_t sl_grpc_message_max(const struct sl_api_opts *opts)
{
    return SL_MIN(opts->body_max, opts->body_budget / MESSAGE_SHARE);
}

uint16_t sl_grpc_port(const struct sl_grpc *api)
{
    return api->port;
}

/* Lets calls at work end and cancels the rest after a while. The core reports the end when the
 * connections are gone; calls of lost connections can still be on their way then, and must not
 * start anything on a queue that was shut down. */
static void stop_server(struct sl_grpc *api)
{
    struct tag stopped = {NULL, EVENT_STOPPED};
    grpc_completion_queue *own = grpc_completion_queue_create_for_pluck(NULL);
    gpr_timespec patience =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(STOP_NS, GPR_TIMESPAN));
    grpc_server_shutdown_and_notify(api->server, own, &stopped);
    tell_streams(api);
    if (grpc_completion_queue_pluck(own, &stopped, patience, NULL).type != GRPC_OP_COMPLETE) {
        grpc_server_cancel_all_calls(api->server);
        (void)grpc_completion_queue_pluck(own, &stopped, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    }
    grpc_completion_queue_shutdown(own);
    grpc_completion_queue_destroy(own);
    sl_mutex_lock(&api->mu);
    while (api->locked.calls > 0) {
        sl_cond_wait(&api->no_calls, &api->mu);
    }
    sl_mutex_unlock(&api->mu);
}

void sl_grpc_stop(struct sl_grpc *api)
{
    if (api == NULL) {
        return;
    }
    atomic_store(&api->is_ready, false);
    if (api->server != NULL) {
        stop_server(api);
    }
    sl_workers_free(api->workers);
    if (api->queue != NULL) {
        grpc_completion_queue_shutdown(api->queue);
    }
    for (size_t i = 0; i < POLL_THREADS; i++) {
        sl_thread_join(api->threads[i]);
    }
    if (api->queue != NULL) {
        grpc_completion_queue_destroy(api->queue);
    }
    if (api->server != NULL) {
        grpc_server_destroy(api->server);
    }
    sl_budget_free(api->messages);
    sl_cond_fini(&api->no_calls);
    sl_mutex_fini(&api->mu);
    sl_free(api);
    grpc_shutdown();
}
