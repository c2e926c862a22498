/* A gRPC call, from the wire to its status.
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
 * way is taken, and they end when the clients have ended them. The threads that take events from
 * the core never block; handlers run on workers. */
#include "api/grpc_core_int.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdio.h>

#include "api/grpc_int.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stats.h"
#include "base/str.h"

#define REPLIES_MAX 4 /* of one message: acks and results of a stream */
#define SLOW_MS     5000

enum event { EVENT_CALL, EVENT_MESSAGE, EVENT_SENT, EVENT_TOLD, EVENT_CLOSED };
/* Who may send on a call: the thread that moves it away from READING or LISTENING. */
enum phase {
    PHASE_BUSY,      /* working or sending */
    PHASE_READING,   /* nobody is at work; a message or the stop of the node may come */
    PHASE_TELLING,   /* the stop is being told; then LISTENING */
    PHASE_WAITING,   /* as TELLING, and a message has come meanwhile */
    PHASE_LISTENING, /* as READING, and the stop was told */
};
struct tag {
    struct sli_call *call;
    enum event event;
};

struct sli_call {
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
    atomic_bool is_gone;
    atomic_int phase;
    bool is_told;                   /* the thread that may send looks at it */
    bool is_read;                   /* the message waiting is one */
    struct sli_call *next, *before; /* among the streams of the node */
    struct sli_call *next_told;
    grpc_byte_buffer *notice; /* that the node stops */
    atomic_uint users;        /* batches under way; the last one frees */
    struct tag on_call, on_message, on_sent, on_told, on_closed;
};

/* ---- a call's life ---- */

static void call_free(struct sli_call *c)
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

static void call_done(struct sli_call *c)
{
    if (atomic_fetch_sub_explicit(&c->users, 1, memory_order_acq_rel) == 1) {
        call_free(c);
    }
}

/* Starts ops with their tag; the tag's event ends the use. */
static bool start(struct sli_call *c, const grpc_op *ops, size_t count, struct tag *tag)
{
    atomic_fetch_add_explicit(&c->users, 1, memory_order_relaxed);
    if (grpc_call_start_batch(c->core, ops, count, tag, NULL) != GRPC_CALL_OK) {
        (void)grpc_call_cancel(c->core, NULL);
        call_done(c);
        return false;
    }
    return true;
}

void sli_call_await(struct sl_grpc *api)
{
    struct sli_call *c = sl_alloc_zero(1, sizeof(*c));
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

static bool move(struct sli_call *c, enum phase from, enum phase to)
{
    int seen = (int)from;
    return atomic_compare_exchange_strong(&c->phase, &seen, (int)to);
}

/* Tells a stream that the node stops, if nobody else is sending on it and it was not told yet:
 * once, since of those who may do it at the same time one moves it away from READING for good. */
static void tell(struct sli_call *c)
{
    grpc_op ops[2] = {0};
    size_t count = 0;
    if (!move(c, PHASE_READING, PHASE_TELLING)) {
        return;
    }
    c->is_told = true;
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

static void read_message(struct sli_call *c)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &c->message;
    atomic_store(&c->phase, c->is_told ? PHASE_LISTENING : PHASE_READING); /* before it can come */
    if (start(c, &op, 1, &c->on_message) && c->method->is_stream &&
        atomic_load(&c->api->is_draining)) {
        tell(c);
    }
}

/* The next reply, and the status behind the last one when the call ends. */
static void send_next(struct sli_call *c)
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

static void finish(struct sli_call *c, grpc_status_code status, const char *text)
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
    struct sli_call *call = SL_CONTAINER_OF(c, struct sli_call, rpc);
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
    struct sli_call *c = SL_CONTAINER_OF(rpc, struct sli_call, rpc);
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

static bool is_late(const struct sli_call *c)
{
    gpr_timespec now = gpr_now(c->details.deadline.clock_type);
    return gpr_time_cmp(c->details.deadline, now) < 0;
}

static void log_slow(const struct sli_call *c)
{
    int64_t ms = (sl_clock_mono_ns(sl_clock_real()) - c->rpc.begun_ns) / 1000000;
    if (ms >= SLOW_MS) {
        sl_log(SL_WARN, "slow_request", "a call took long", SL_F_TEXT("path", c->method->path),
               SL_F_INT("status", c->status), SL_F_INT("duration_ms", ms));
    }
}

/* A view: small slices hold their bytes in themselves. */
static struct sl_str slice_str(const grpc_slice *s)
{
    return (struct sl_str){(const char *)GRPC_SLICE_START_PTR(*s), GRPC_SLICE_LENGTH(*s)};
}

/* The header "authorization"; ptr NULL: none. A view of the call's metadata. */
static struct sl_str token_of(const struct sli_call *c)
{
    for (size_t i = 0; i < c->metadata.count; i++) {
        const grpc_metadata *m = &c->metadata.metadata[i];
        if (grpc_slice_str_cmp(m->key, "authorization") == 0) {
            return sli_bearer(slice_str(&m->value));
        }
    }
    return (struct sl_str){0};
}

/* "ipv4:127.0.0.1:1234", "ipv6:%5B::1%5D:1234" -> the address. */
static struct sl_str peer_of(struct sli_call *c)
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
static sl_rc identify(struct sli_call *c, struct sl_err *err)
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

static sl_rc run_handler(struct sli_call *c, struct sl_err *err)
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
static bool handle(struct sli_call *c, sl_rc *ret_rc, struct sl_err *err)
{
    uint64_t ticket = c->rpc.in.len * SLI_UNPACKED;
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
    struct sli_call *c = arg;
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

static void add_work(struct sli_call *c)
{
    atomic_fetch_add_explicit(&c->users, 1, memory_order_relaxed); /* the worker's */
    if (sl_workers_try_add(c->api->workers, work, c) != SL_OK) {
        finish(c, GRPC_STATUS_UNAVAILABLE, "too many requests are waiting; try again in a moment");
        call_done(c);
    }
}

/* ---- events ---- */

/* Streams are listed until EVENT_CLOSED, so a listed one has a user. */
static void list_stream(struct sli_call *c)
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

static void unlist_stream(struct sli_call *c)
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

void sli_calls_tell_stop(struct sl_grpc *api)
{
    struct sli_call *told = NULL;
    atomic_store(&api->is_draining, true);
    sl_mutex_lock(&api->mu);
    for (struct sli_call *c = api->locked.streams; c != NULL; c = c->next) {
        atomic_fetch_add_explicit(&c->users, 1, memory_order_relaxed);
        c->next_told = told;
        told = c;
    }
    sl_mutex_unlock(&api->mu);
    while (told != NULL) {
        struct sli_call *c = told;
        told = c->next_told;
        tell(c);
        call_done(c);
    }
}

static void on_call(struct sli_call *c)
{
    sli_call_await(c->api);
    grpc_op watch = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    watch.data.recv_close_on_server.cancelled = &c->is_cancelled;
    c->method = sli_rpc_method(slice_str(&c->details.method));
    if (c->method != NULL && c->method->is_stream) {
        list_stream(c);
    }
    if (!start(c, &watch, 1, &c->on_closed)) {
        unlist_stream(c);
        return;
    }
    if (c->method == NULL) {
        finish(c, GRPC_STATUS_UNIMPLEMENTED, sli_rpc_refusal);
    } else {
        read_message(c);
    }
}

/* One contiguous view of what came. */
static bool take_bytes(struct sli_call *c)
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

static void take_message(struct sli_call *c, bool is_ok)
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

static void on_message(struct sli_call *c, bool is_ok)
{
    c->is_read = is_ok;
    while (!move(c, PHASE_READING, PHASE_BUSY) && !move(c, PHASE_LISTENING, PHASE_BUSY)) {
        if (move(c, PHASE_TELLING, PHASE_WAITING)) {
            return; /* on_told takes it */
        }
    }
    take_message(c, is_ok);
}

static void on_told(struct sli_call *c)
{
    if (!move(c, PHASE_TELLING, PHASE_LISTENING)) {
        atomic_store(&c->phase, PHASE_BUSY);
        take_message(c, c->is_read);
    }
}

static void on_sent(struct sli_call *c, bool is_ok)
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
    struct sli_call *c = tag->call;
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
    }
    call_done(c);
}

void sli_calls_run(void *arg)
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
