/* Inside of auth: the state that all files of the folder share. */
#ifndef SL_AUTH_AUTH_INT_H
#define SL_AUTH_AUTH_INT_H

#include <stdatomic.h>

#include "auth/auth.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sync.h"

/* Of a body's validation; err->sys_errno then has it, as for the database's refusals. */
#define SLI_SWAGGER_TYPE     601
#define SLI_SWAGGER_REQUIRED 602
#define SLI_SWAGGER_ENUM     606

/* ---- set.c: pointers to things that begin with their name, sorted by it ---- */
struct sli_named {
    struct sl_str name;
};
struct sli_set {
    void **items; /* each begins as struct sli_named */
    uint32_t count, cap;
};
void *sli_set_find(const struct sli_set *set, struct sl_str name); /* NULL: absent */
/* Room for one more, so that a put cannot fail. */
sl_rc sli_set_reserve(struct sli_set *set, struct sl_err *err);
void *sli_set_put(struct sli_set *set, void *item); /* the one it replaces, or NULL */
void *sli_set_remove(struct sli_set *set, struct sl_str name);
void sli_set_fini(struct sli_set *set); /* not its items */

/* ---- roles.c ---- */
#define SLI_FIELDS SL_RESOURCE_NAMES
struct sli_permission {
    uint32_t action; /* row of the table of actions */
    struct sl_str fields[SLI_FIELDS];
};
struct sli_role {
    struct sl_str name;
    struct sl_arena arena; /* owns name and permissions */
    struct sli_permission *permissions;
    uint32_t count;
};
void sli_role_free(struct sli_role *role);
/* Does the permission allow the verb there? */
bool sli_permission_allows(const struct sli_permission *p, enum sl_verb verb,
                           const struct sl_resource *what);
/* A role's JSON; is_named_only: "permissions":null. */
void sli_role_json(const struct sli_role *role, bool is_named_only, struct sl_json *w);
struct sli_role *sli_role_find(struct sl_auth *auth, struct sl_str name); /* built-in ones too */
sl_rc sli_role_load(struct sl_auth *auth, struct sl_str name, struct sl_str value,
                    struct sl_err *err);
sl_rc sli_builtin_make(struct sl_auth *auth, struct sl_err *err);
bool sli_is_builtin(struct sl_str name);
bool sli_is_env_only(struct sl_str name); /* root, read-only */
sl_rc sli_check_rbac(const struct sl_auth *auth, struct sl_err *err);

/* ---- grants.c: name is "db:bob", "oidc:ann" or "group:staff" ---- */
struct sli_grant {
    struct sl_str name;
    struct sl_arena arena;
    struct sl_str *roles;
    uint32_t count;
};
void sli_grant_free(struct sli_grant *g);
sl_rc sli_grant_load(struct sl_auth *auth, struct sl_str name, struct sl_str value,
                     struct sl_err *err);
/* Calls `each` for every role of the subject, by environment and by assignment, until it is true;
 * state locked. */
typedef bool sli_role_fn(void *arg, const struct sli_role *role);
bool sli_each_role_locked(struct sl_auth *auth, const struct sl_subject *who, sli_role_fn *each,
                          void *arg);
/* Takes out what is assigned to a user of an API key; NULL: nothing. */
struct sli_grant *sli_grant_take_locked(struct sl_auth *auth, struct sl_str user);
/* The names of the roles of a user of this API: ["root"]. */
void sli_role_names_json(struct sl_auth *auth, const struct sl_subject *who, struct sl_json *w);

/* ---- keys.c ---- */
struct sli_env_key {
    uint8_t digest[SL_SHA256_SIZE];
    struct sl_str user;
};
#define SLI_KEY_ID 16
struct sli_key_id {
    struct sl_str name; /* the id, for the set; empty: the user has no key */
};
struct sli_user {
    struct sl_str name;
    struct sl_arena arena;
    struct sli_key_id key_id;
    uint8_t digest[SL_SHA256_SIZE];
    char first_letters[4];
    int64_t created_ns;
    bool is_active;
    _Atomic int64_t last_used_ns; /* kept in memory only; 0: not since the start */
};
void sli_user_free(struct sli_user *user);
sl_rc sli_user_load(struct sl_auth *auth, struct sl_str name, struct sl_str value,
                    struct sl_err *err);
sl_rc sli_keys_parse(struct sl_auth *auth, const struct sl_auth_opts *opts, struct sl_err *err);
/* The user of an API key; SL_EUNAUTH. */
sl_rc sli_apikey_check(struct sl_auth *auth, struct sl_str token, struct sl_arena *arena,
                       struct sl_subject *ret, struct sl_err *err);
bool sli_is_env_user(const struct sl_auth *auth, struct sl_str name);
/* A new key: what the user gets, its id and its digest. */
struct sli_new_key {
    struct sl_buf text;
    char id[SLI_KEY_ID];
    uint8_t digest[SL_SHA256_SIZE];
};
sl_rc sli_apikey_make(struct sli_new_key *ret, struct sl_err *err);

/* ---- peers.c: what an address did in this second ---- */
#define SLI_PEER_SLOTS 4096
struct sli_peer {
    uint64_t address; /* hash */
    int64_t second;
    uint32_t requests, failures; /* failures: wrong keys */
};
/* Counts a request. SL_ETOOMANY: it is not listened to. */
sl_rc sli_peer_ask(struct sl_auth *auth, struct sl_str peer, bool has_token, struct sl_err *err);
void sli_peer_failed(struct sl_auth *auth, struct sl_str peer);

struct sli_list { /* of a setting */
    struct sl_str *items;
    uint32_t count;
};
bool sli_list_has(const struct sli_list *list, struct sl_str name);

struct sl_auth {
    struct sl_auth_opts opts; /* texts are gone after open */
    struct sl_arena arena;    /* of what the settings say */
    bool is_anonymous;
    struct sli_env_key *env_keys;
    uint32_t env_key_count;
    struct sli_list root_users, root_groups, readonly_users, readonly_groups, admin_users;
    struct sli_list list_users, list_readonly_users, list_groups, list_readonly_groups;
    struct sli_role *builtin[4]; /* admin, read-only, root, viewer */
    struct sl_mutex change;      /* one change at a time, from its check to its publication */
    struct sl_rwlock state;      /* leaf: the sets and what they point to */
    struct sli_set roles, users, key_ids, grants;
    struct sl_mutex peers_mu; /* leaf */
    struct sli_peer peers[SLI_PEER_SLOTS];
};

sl_rc sli_store(struct sl_auth *auth, const struct sl_record *changes, uint32_t count,
                struct sl_err *err);
sl_rc sli_swagger(struct sl_err *err, int code, const char *fmt, ...) SL_PRINTF(3, 4);
/* Is the character one of a name: letters, digits and those of `more`? */
bool sli_is_name(struct sl_str name, const char *more, size_t max);

#endif
