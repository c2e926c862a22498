/* REST API: what the outside sees of the database and the export engine.
 *
 * Two server threads poll sockets (libmicrohttpd, epoll); a request that has arrived whole is
 * handed to a worker, which runs its handler to the end, and the connection sleeps meanwhile.
 * Header, body, depth and counts have limits; bodies together stay inside a budget. A client that
 * goes away changes nothing: its request is finished and forgotten. */
#ifndef SL_API_API_H
#define SL_API_API_H

#include "database/database.h"
#include "export/export.h"

/* What /v1/meta reports: the version whose wire this is. At least 1.37.0 opens the export calls of
 * the clients, at least 1.37.5 lets them leave defaults to the server. */
#define SL_API_WEAVIATE_VERSION "1.39.0"

struct sl_api_opts {
    struct sl_db *db;           /* borrowed */
    struct sl_exports *exports; /* borrowed */
    const char *host;           /* address or name to listen on */
    uint16_t port;              /* 0: a free one */
    const char *node_name;      /* borrowed */
    uint64_t body_max;          /* bytes of one body */
    uint64_t body_budget;       /* bytes of all bodies together */
    uint32_t connections_max;
    uint32_t request_timeout_s; /* of a silent connection */
    uint32_t worker_count;
    void (*export_settings)(void *arg, struct sl_export_settings *ret); /* @threads any */
    void *arg;
};

struct sl_api;
sl_rc sl_api_start(const struct sl_api_opts *opts, struct sl_api **ret, struct sl_err *err);
uint16_t sl_api_port(const struct sl_api *api);           /* the bound one */
void sl_api_set_ready(struct sl_api *api, bool is_ready); /* /v1/.well-known/ready: 200 or 503 */
/* Takes no new connections, finishes the requests at work, joins all threads, frees. NULL is fine.
 */
void sl_api_stop(struct sl_api *api);

#endif
