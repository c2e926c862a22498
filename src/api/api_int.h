/* Inside of the API: one call on its way from the route table to its reply. */
#ifndef SL_API_API_INT_H
#define SL_API_API_INT_H

#include <jansson.h>
#include <stdatomic.h>

#include "api/api.h"
#include "base/budget.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#define SLI_SEGMENTS_MAX 8
#define SLI_QUERY_MAX    32

struct sli_pair {
    struct sl_str key, value;
};

/* Everything of one request; strings live in its arena. Filled by rest_server.c, then owned by the
 * worker until the reply is complete. */
struct sli_call {
    const struct sl_api_opts *opts;
    const atomic_bool *is_ready;
    struct sl_arena arena;
    struct sl_str method, path;               /* path as sent, percent-decoded */
    struct sl_str segments[SLI_SEGMENTS_MAX]; /* what '*' of the route stands for, decoded */
    uint32_t segment_count;
    struct sli_pair query[SLI_QUERY_MAX];
    uint32_t query_count;
    struct sl_str content_type;
    struct sl_buf body_bytes;
    bool has_body;
    json_t *body;            /* parsed, owned by the router; NULL without one */
    struct sl_budget *trees; /* borrowed; memory of parsed bodies */
    uint64_t tree_ticket;    /* taken from it while body is there */
    /* Reply. */
    int status;
    struct sl_buf out;
    struct sl_str allow, location; /* headers; empty: none */
    bool is_schema;                /* 422 carries "allowed":null */
};

/* A handler fills c->out and c->status (200 by default), or returns a failure. */
typedef sl_rc sli_handler(struct sli_call *c, struct sl_err *err);

/* A row of the route table (router.c), the one home of every path. */
enum sli_body { SLI_NO_BODY, SLI_JSON_BODY, SLI_OPTIONAL_BODY };
struct sli_route {
    const char *method, *path; /* '*' stands for one segment */
    sli_handler *handler;
    enum sli_body body;
    bool is_schema;         /* its 422 carries "allowed":null */
    const char *permission; /* the reference's name of what a caller must be allowed; NULL: open */
};
extern const struct sli_route sli_routes[];
extern const size_t sli_route_count;

/* Runs the call: route, body, handler, error shapes. Always leaves a reply. */
void sli_route(struct sli_call *c);

struct sl_str sli_query(const struct sli_call *c, const char *key); /* empty when absent */
bool sli_query_has(const struct sli_call *c, const char *key);

/* errors.c: the two shapes. (a) {"error":[{"message":...}]}, (b) {"code":...,"message":...}. */
void sli_reply_error(struct sli_call *c, sl_rc rc, const struct sl_err *err);
void sli_reply_code(struct sli_call *c, int code, const char *fmt, ...) SL_PRINTF(3, 4);

/* Handlers. */
sli_handler sli_get_root, sli_get_links, sli_get_meta, sli_get_live, sli_get_ready, sli_get_openid,
    sli_get_nodes;
sli_handler sli_get_schema, sli_post_schema, sli_get_class, sli_put_class, sli_delete_class,
    sli_post_property, sli_get_shards;
sli_handler sli_post_tenants, sli_put_tenants, sli_delete_tenants, sli_get_tenants, sli_get_tenant;
sli_handler sli_get_objects, sli_post_objects, sli_get_object, sli_head_object, sli_put_object,
    sli_patch_object, sli_delete_object, sli_post_reference, sli_put_reference,
    sli_delete_reference, sli_batch_objects, sli_batch_references;
sli_handler sli_post_export, sli_list_exports, sli_get_export, sli_delete_export;

#endif
