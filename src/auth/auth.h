/* Who asks, and what they may do: API keys, users, roles.
 *
 * sl_auth_identify turns a token into a subject, sl_auth_check asks whether the subject may do a
 * verb on a resource. Roles, users and what is assigned to them change at run time; each change is
 * handed to a store of records (base/record.h) and is durable before the call returns. Replies are
 * JSON text as the reference writes it; failures carry its sentences. Level 1: knows neither HTTP
 * nor the database.
 *
 * @threads any. Locks: auth->change (one change at a time, also while it is stored), inside it
 * auth->state (rwlock, leaf). */
#ifndef SL_AUTH_AUTH_H
#define SL_AUTH_AUTH_H

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/record.h"

enum sl_subject_kind { SL_ANONYMOUS, SL_ENV_KEY, SL_DB_USER, SL_OIDC };
/* Who asks. Lives in the arena of the request. */
struct sl_subject {
    enum sl_subject_kind kind;
    struct sl_str name;          /* empty: anonymous */
    const struct sl_str *groups; /* OIDC */
    uint32_t group_count;
};

/* Settings as the environment has them: lists are divided by commas, without trimming. Borrowed for
 * the call of sl_auth_open. */
struct sl_auth_opts {
    const char *anonymous; /* "": on when no other scheme is configured */
    bool has_keys;
    const char *keys, *key_users;
    bool has_db_users;
    bool has_rbac;
    const char *root_users, *root_groups, *readonly_users, *readonly_groups, *admin_users;
    bool has_adminlist;
    const char *list_users, *list_readonly_users, *list_groups, *list_readonly_groups;
    uint32_t requests_per_s; /* of one address; 0: no limit */
    bool is_ip_unlogged;     /* audit lines leave the address out */
    struct sl_clock *clock;
    /* Makes the changes durable, all or none. */
    sl_rc (*store)(void *arg, const struct sl_record *changes, uint32_t count, struct sl_err *err);
    void *store_arg;
    /* A token that is no API key; SL_EUNAUTH with a sentence. NULL: OIDC is off. */
    sl_rc (*verify)(void *arg, struct sl_str token, struct sl_arena *arena, struct sl_subject *ret,
                    struct sl_err *err);
    void *verify_arg;
};

struct sl_auth;
/* SL_EINVAL: settings that contradict each other, naming the variable. */
sl_rc sl_auth_open(const struct sl_auth_opts *opts, struct sl_auth **ret, struct sl_err *err);
/* One stored record; before the first request. */
sl_rc sl_auth_load(struct sl_auth *auth, struct sl_str name, struct sl_str value,
                   struct sl_err *err);
void sl_auth_close(struct sl_auth *auth);
SL_DEFINE_FREEP(sl_auth, sl_auth_close)

/* token.ptr NULL: none was sent. peer: address, without port; SL_ETOOMANY: it
 * sends more requests, or more wrong keys, than it may. SL_EUNAUTH: the sentence says why. */
sl_rc sl_auth_identify(struct sl_auth *auth, struct sl_str token, struct sl_str peer,
                       struct sl_arena *arena, struct sl_subject *ret, struct sl_err *err);

/* ---- may they? (decide.c) ---- */

enum sl_verb { SL_CREATE, SL_READ, SL_UPDATE, SL_DELETE, SL_ASSIGN };
enum sl_domain {
    SL_ON_BACKUPS,
    SL_ON_CLUSTER,
    SL_ON_DATA,
    SL_ON_NODES,
    SL_ON_ROLES,
    SL_ON_COLLECTIONS,
    SL_ON_USERS,
    SL_ON_TENANTS,
    SL_ON_REPLICATE,
    SL_ON_ALIASES,
    SL_ON_GROUPS,
    SL_ON_MCP,
    SL_ON_NAMESPACES,
};
#define SL_RESOURCE_NAMES 3
/* names: fields of the domain in the order of roles.c's table, an empty one is all ("*"):
 * backups, collections: collection; data: collection, tenant, object; tenants: collection, tenant;
 * nodes: verbosity, collection; roles: role, scope; users: user; groups: group, type. */
struct sl_resource {
    enum sl_domain domain;
    struct sl_str names[SL_RESOURCE_NAMES];
};
/* SL_EFORBIDDEN with the reference's sentence. */
sl_rc sl_auth_check(struct sl_auth *auth, const struct sl_subject *who, enum sl_verb verb,
                    const struct sl_resource *what, struct sl_err *err);
bool sl_auth_may(struct sl_auth *auth, const struct sl_subject *who, enum sl_verb verb,
                 const struct sl_resource *what);
bool sl_auth_logs_ip(const struct sl_auth *auth); /* in audit lines */
/* "read_data" */
void sl_auth_action_text(enum sl_verb verb, enum sl_domain domain, struct sl_buf *out);
/* "[Domain: data, Collection: Movies, Tenant: *, Object: *]" */
void sl_auth_resource_text(const struct sl_resource *what, struct sl_buf *out);

/* ---- roles (roles.c, grants.c) ---- bodies and replies of /v1/authz; SL_ENOTFOUND without a
 * sentence is a reply without a body. Callers have checked that the subject may, except where `who`
 * is asked for: there the call itself checks or filters. */
sl_rc sl_auth_role_create(struct sl_auth *auth, const struct sl_subject *who, json_t *body,
                          struct sl_err *err);
sl_rc sl_auth_role_list(struct sl_auth *auth, const struct sl_subject *who, struct sl_buf *out,
                        struct sl_err *err);
sl_rc sl_auth_role_get(struct sl_auth *auth, struct sl_str name, struct sl_buf *out,
                       struct sl_err *err);
sl_rc sl_auth_role_delete(struct sl_auth *auth, struct sl_str name, struct sl_err *err);
sl_rc sl_auth_role_add(struct sl_auth *auth, const struct sl_subject *who, struct sl_str name,
                       json_t *body, struct sl_err *err);
sl_rc sl_auth_role_remove(struct sl_auth *auth, const struct sl_subject *who, struct sl_str name,
                          json_t *body, struct sl_err *err);
sl_rc sl_auth_role_has(struct sl_auth *auth, struct sl_str name, json_t *permission,
                       struct sl_buf *out, struct sl_err *err);

enum sl_grantee { SL_TO_DB_USER, SL_TO_OIDC_USER, SL_TO_GROUP };
/* Whose names a role is assigned to. */
enum sl_holders { SL_HOLDERS_USERS, SL_HOLDERS_USER_IDS, SL_HOLDERS_GROUPS };
sl_rc sl_auth_role_holders(struct sl_auth *auth, struct sl_str role, enum sl_holders form,
                           struct sl_buf *out, struct sl_err *err);
/* body: {"roles":[...],"userType"?:"db"|"oidc"}; groups: {"roles":[...],"groupType"?:"oidc"}. */
sl_rc sl_auth_assign(struct sl_auth *auth, bool is_group, struct sl_str name, json_t *body,
                     struct sl_err *err);
sl_rc sl_auth_revoke(struct sl_auth *auth, bool is_group, struct sl_str name, json_t *body,
                     struct sl_err *err);
/* type: "db", "oidc"; of a group, "oidc". */
sl_rc sl_auth_roles_of(struct sl_auth *auth, bool is_group, struct sl_str name, struct sl_str type,
                       bool is_full, struct sl_buf *out, struct sl_err *err);
/* Names of groups that have roles. */
sl_rc sl_auth_group_list(struct sl_auth *auth, struct sl_buf *out, struct sl_err *err);

/* ---- users (users.c) ---- */
sl_rc sl_auth_own_info(struct sl_auth *auth, const struct sl_subject *who, struct sl_buf *out,
                       struct sl_err *err);
/* Those `who` may read. */
sl_rc sl_auth_user_list(struct sl_auth *auth, const struct sl_subject *who, bool has_last_used,
                        struct sl_buf *out, struct sl_err *err);
sl_rc sl_auth_user_get(struct sl_auth *auth, struct sl_str name, bool has_last_used,
                       struct sl_buf *out, struct sl_err *err);
/* out: {"apikey":...}, the only time the key is told. */
sl_rc sl_auth_user_create(struct sl_auth *auth, struct sl_str name, struct sl_buf *out,
                          struct sl_err *err);
sl_rc sl_auth_user_rotate(struct sl_auth *auth, struct sl_str name, struct sl_buf *out,
                          struct sl_err *err);
sl_rc sl_auth_user_delete(struct sl_auth *auth, struct sl_str name, struct sl_err *err);
/* SL_ECONFLICT without a sentence: it is so already. */
sl_rc sl_auth_user_activate(struct sl_auth *auth, struct sl_str name, struct sl_err *err);
sl_rc sl_auth_user_deactivate(struct sl_auth *auth, const struct sl_subject *who,
                              struct sl_str name, bool is_key_revoked, struct sl_err *err);

#endif
