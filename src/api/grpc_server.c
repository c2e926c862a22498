/* The gRPC server: its start, its stop and what bounds it; grpc_call.c has the calls.
 *
 * Two threads take events from the C core, workers run the handlers. The core bounds the memory of
 * messages on their way by its resource quota. */
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>

#include "api/grpc_core_int.h"
#include "api/tls_int.h"
#include "base/mem.h"
#include "base/str.h"

#define QUEUE_MAX    1024 /* messages waiting for a worker; more are told UNAVAILABLE at once */
#define QUOTA_FACTOR 2    /* the core's books: with a quota of two messages it closes connections */
#define STOP_NS      INT64_C(5000000000) /* for calls at work when the node stops */
/* One message: this part of the memory of requests. 15 times its bytes are in use until it is
 * stored; measured. */
#define MESSAGE_SHARE 2

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
        return SL_FAIL(err, SL_ECONFLICT,
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
    for (size_t i = 0; i < SLI_POLL_THREADS; i++) {
        SL_TRY(sl_thread_start("grpc", sli_calls_run, api, &api->threads[i], err));
    }
    grpc_server_start(api->server);
    for (size_t i = 0; i < SLI_POLL_THREADS; i++) {
        sli_call_await(api);
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
    sl_rc rc = sl_budget_new(opts->body_budget * SLI_UNPACKED, &api->messages, err);
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
    int stopped = 0; /* its address is the tag */
    grpc_completion_queue *own = grpc_completion_queue_create_for_pluck(NULL);
    gpr_timespec patience =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(STOP_NS, GPR_TIMESPAN));
    grpc_server_shutdown_and_notify(api->server, own, &stopped);
    sli_calls_tell_stop(api);
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
    for (size_t i = 0; i < SLI_POLL_THREADS; i++) {
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
