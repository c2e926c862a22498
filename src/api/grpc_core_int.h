/* Inside of the gRPC server: what grpc_server.c and grpc_call.c share, the homes of the C core. */
#ifndef SL_API_GRPC_CORE_INT_H
#define SL_API_GRPC_CORE_INT_H

#include <grpc/grpc.h>
#include <stdatomic.h>

#include "api/api.h"
#include "base/budget.h"
#include "base/sync.h"
#include "base/workers.h"

#define SLI_POLL_THREADS 2
#define SLI_UNPACKED     3 /* memory of a message taken apart, as times its bytes; measured 2.2 */

struct sli_call;
struct sl_grpc {
    struct sl_api_opts opts;
    grpc_server *server;
    grpc_completion_queue *queue;
    struct sl_workers *workers;
    struct sl_budget *messages; /* memory of messages taken apart */
    struct sl_thread *threads[SLI_POLL_THREADS];
    _Atomic(const char *) cert; /* the one handed to the core last */
    atomic_bool is_ready;
    atomic_bool is_draining; /* streams are told that the node stops */
    uint16_t port;
    struct sl_mutex mu;
    struct sl_cond no_calls;
    struct {
        uint32_t calls;           /* awaited or come, and not freed */
        struct sli_call *streams; /* those whose end was not seen yet */
    } locked SL_GUARDED;
};

/* Asks the core for one more call. Each call that came asks for the next one. */
void sli_call_await(struct sl_grpc *api);
/* Takes events from the core until its queue is shut down. arg: the sl_grpc. */
void sli_calls_run(void *arg);
/* Tells all streams that the node stops, those that are at work when they are done. */
void sli_calls_tell_stop(struct sl_grpc *api);

#endif
