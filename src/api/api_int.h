/* Inside of the API: one call on its way from the route table to its reply. */
#ifndef SL_API_API_INT_H
#define SL_API_API_INT_H

#include <jansson.h>
#include <stdatomic.h>

#include "api/access.h"
#include "api/api.h"
#include "base/budget.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sync.h"

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
    struct sl_str content_type, request_id;
    struct sl_str token;    /* as sent; ptr NULL: none */
    struct sli_asker asker; /* who it is, once the router knows */
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
    bool is_text;                  /* the reply is text, not JSON */
};

/* A handler fills c->out and c->status (200 by default), or returns a failure. */
typedef sl_rc sli_handler(struct sli_call *c, struct sl_err *err);

/* A row of the route table (router.c), the one home of every path. */
enum sli_body {
    SLI_NO_BODY,
    SLI_JSON_BODY,
    SLI_OPTIONAL_BODY,
    SLI_OBJECTS_BODY /* JSON whose texts may hold U+0000; names are C strings and must not */
};
/* Who may make the call; a row that says nothing is refused. */
struct sli_guard {
    enum { SLI_FORGOTTEN, SLI_OPEN, SLI_KNOWN, SLI_BY_PATH, SLI_BY_BODY, SLI_BY_HANDLER } how;
    enum sl_verb verb;
    enum sl_domain domain;
};
struct sli_route {
    const char *method, *path; /* '*' stands for one segment */
    sli_handler *handler;
    sli_handler *foreign; /* of a node that reads Weaviate's data; NULL: 422, it only exports it */
    enum sli_body body;
    bool is_schema; /* its 422 carries "allowed":null */
    struct sli_guard guard;
};
extern const struct sli_route sli_routes[];
extern const size_t sli_route_count;

/* Runs the call: route, body, handler, error shapes. Always leaves a reply. */
void sli_route(struct sli_call *c);
/* Would sli_route neither wait nor touch a disk, and be done in less time than it takes to wake a
 * worker? Probes and polls of exports are most of the calls of a node that is watched. */
bool sli_is_quick(const struct sli_call *c);

struct sl_str sli_query(const struct sli_call *c, const char *key); /* empty when absent */
bool sli_query_has(const struct sli_call *c, const char *key);

/* rest_server.c: the address to listen on. */
struct sockaddr_storage;
sl_rc sli_resolve(const char *host, uint16_t port, struct sockaddr_storage *ret,
                  struct sl_err *err);
/* errors.c: the two shapes. (a) {"error":[{"message":...}]}, (b) {"code":...,"message":...}. */
void sli_reply_error(struct sli_call *c, sl_rc rc, const struct sl_err *err);
void sli_reply_code(struct sli_call *c, int code, const char *fmt, ...) SL_PRINTF(3, 4);

/* rest_schema.c: 404 without a body for a missing class or tenant; other failures keep their
 * sentence. */
sl_rc sli_bare_404(struct sli_call *c, sl_rc rc);
/* rest_schema.c: leaves of the list of tenants in the reply those the caller may read. */
sl_rc sli_filter_tenants(struct sli_call *c, sl_rc rc, struct sl_err *err);
/* rest_foreign.c: the tenants of a class as a JSON list; SL_EINVAL: no such class, or it has none.
 */
sl_rc sli_foreign_tenants_list(struct sl_source *source, struct sl_str class_name,
                               struct sl_buf *out, struct sl_err *err);
/* "shards" and "stats" of a verbose node. */
sl_rc sli_foreign_details(struct sli_call *c, struct sl_json *w, struct sl_err *err);
/* guests.c: connections and until when each may keep the server waiting. A guest that could not be
 * allocated is NULL, which every call takes: it stays without a limit. */
struct sli_guest;
struct sli_guests {
    struct sl_mutex mu;
    struct sli_guest *first; /* under mu */
};
void sli_guests_init(struct sli_guests *g);
void sli_guests_fini(struct sli_guests *g); /* all have left */
struct sli_guest *sli_guest_enter(struct sli_guests *g, int fd, int64_t due_ns);
void sli_guest_expect(struct sli_guest *guest, int64_t due_ns); /* 0: no limit */
void sli_guest_leave(struct sli_guests *g, struct sli_guest *guest);
void sli_guests_sweep(struct sli_guests *g, int64_t now_ns); /* shuts the sockets of the late */

/* Handlers. */
sli_handler sli_get_root, sli_get_links, sli_get_meta, sli_get_live, sli_get_ready, sli_get_openid,
    sli_get_nodes;
sli_handler sli_get_schema, sli_post_schema, sli_get_class, sli_put_class, sli_delete_class,
    sli_post_property, sli_get_shards;
sli_handler sli_post_tenants, sli_put_tenants, sli_delete_tenants, sli_get_tenants, sli_get_tenant;
sli_handler sli_get_objects, sli_post_objects, sli_get_object, sli_head_object, sli_put_object,
    sli_patch_object, sli_delete_object, sli_post_reference, sli_put_reference,
    sli_delete_reference, sli_batch_objects, sli_batch_references;
sli_handler sli_foreign_ready, sli_foreign_schema, sli_foreign_class, sli_foreign_shards,
    sli_foreign_tenants, sli_foreign_tenant;
sli_handler sli_get_roles, sli_post_role, sli_get_role, sli_delete_role, sli_add_permissions,
    sli_remove_permissions, sli_has_permission, sli_get_role_users, sli_get_role_user_ids,
    sli_get_role_groups, sli_assign_user, sli_revoke_user, sli_get_user_roles, sli_assign_group,
    sli_revoke_group, sli_get_group_roles, sli_get_groups;
sli_handler sli_get_own_info, sli_get_users, sli_get_user, sli_post_user, sli_delete_user,
    sli_rotate_key, sli_activate_user, sli_deactivate_user;
sli_handler sli_post_export, sli_list_exports, sli_get_export, sli_delete_export;

#endif
