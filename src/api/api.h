/* REST API: what the outside sees of the database and the export engine.
 *
 * Two server threads poll sockets (libmicrohttpd, epoll); a request that has arrived whole is
 * handed to a worker, which runs its handler to the end, and the connection sleeps meanwhile.
 * Header, body, depth and counts have limits; bodies together stay inside a budget. A client that
 * goes away changes nothing: its request is finished and forgotten. */
#ifndef SL_API_API_H
#define SL_API_API_H

#include "auth/auth.h"
#include "base/arena.h"
#include "base/ticker.h"
#include "database/database.h"
#include "export/export.h"
#include "source/source.h"

/* What /v1/meta reports: the version whose wire this is. At least 1.37.0 opens the export calls of
 * the clients, at least 1.37.5 lets them leave defaults to the server. */
#define SL_API_WEAVIATE_VERSION "1.39.0"

/* Certificate (with its chain) and key, PEM files, of both servers. The paths are borrowed.
 * SL_EINVAL names the file and what is wrong with it. */
struct sl_tls;
sl_rc sl_tls_open(const char *cert_path, const char *key_path, struct sl_tls **ret,
                  struct sl_err *err);
/* Reads the files again, for connections from now on; after a failure the old ones stay. @threads
 * one at a time */
sl_rc sl_tls_reload(struct sl_tls *t, bool *ret_is_new, struct sl_err *err);
int64_t sl_tls_expires_ns(const struct sl_tls *t); /* wall time */
void sl_tls_close(struct sl_tls *t);               /* after the servers; NULL is fine */

struct sl_jwks_opts; /* jwks.h */
struct sl_api_opts {
    struct sl_db *db;           /* borrowed; NULL: foreign data is served instead */
    struct sl_source *foreign;  /* borrowed; Weaviate's data, which is only read; NULL: db */
    const char *foreign_path;   /* where it lies, for people */
    struct sl_exports *exports; /* borrowed */
    struct sl_auth *auth;       /* borrowed; who may do what */
    struct sl_ticker *ticker;   /* borrowed; ends what clients draw out */
    struct sl_tls *tls;         /* borrowed; NULL: both servers speak plain text */
    const char *host;           /* address or name to listen on */
    uint16_t port, grpc_port;   /* 0: a free one */
    const char *node_name;      /* borrowed */
    uint64_t body_max;          /* bytes of one body */
    uint64_t body_budget;       /* bytes of all bodies together */
    uint32_t connections_max, peer_connections_max; /* peer: of one address; 0: no limit */
    uint32_t request_timeout_s; /* of a silent connection; of a header, from accept or reply on */
    uint32_t worker_count;
    /* The settings exports begin with at this moment; texts are put into the arena. @threads any */
    sl_rc (*export_settings)(void *arg, struct sl_arena *arena, struct sl_export_settings *ret,
                             struct sl_err *err);
    void *arg;
    /* Told to clients that log in; borrowed. NULL: OIDC is off. */
    const struct sl_jwks_opts *oidc;
};

struct sl_api;
sl_rc sl_api_start(const struct sl_api_opts *opts, struct sl_api **ret, struct sl_err *err);
uint16_t sl_api_port(const struct sl_api *api);           /* the bound one */
void sl_api_set_ready(struct sl_api *api, bool is_ready); /* /v1/.well-known/ready: 200 or 503 */
/* Takes no new connections, finishes the requests at work, joins all threads, frees. NULL is fine.
 */
void sl_api_stop(struct sl_api *api);

/* gRPC of the same API, on its own port: the calls of the official clients that load, read and
 * count (contract/weaviate.proto). Uses the same options. Everything else is UNIMPLEMENTED. */
struct sl_grpc;
sl_rc sl_grpc_start(const struct sl_api_opts *opts, struct sl_grpc **ret, struct sl_err *err);
uint16_t sl_grpc_port(const struct sl_grpc *api);
/* Largest message that is taken, as /v1/meta tells clients: unlike a REST body, which may come
 * alone, it must fit into the memory of requests, because the core reads it before we are asked. */
uint64_t sl_grpc_message_max(const struct sl_api_opts *opts);
/* Takes no new calls, finishes those at work (cancels them after five seconds), frees. NULL is
 * fine.
 */
void sl_grpc_stop(struct sl_grpc *api);

/* Prometheus' metrics on a port of their own, without authentication: base/stats.tbl.h as text at
 * GET /metrics. `collect` (may be NULL) is called at each scrape, before the print: it sets gauges
 * and may append lines of its own. @threads its own */
struct sl_metrics_opts {
    const char *host; /* borrowed */
    uint16_t port;    /* 0: a free one */
    void (*collect)(void *arg, struct sl_buf *out);
    void *arg;
};
struct sl_metrics;
sl_rc sl_metrics_start(const struct sl_metrics_opts *opts, struct sl_metrics **ret,
                       struct sl_err *err);
uint16_t sl_metrics_port(const struct sl_metrics *m);
void sl_metrics_stop(struct sl_metrics *m); /* NULL is fine */

#endif
