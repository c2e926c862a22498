/* Roles: names for sets of permissions, and their documents.
 *
 * {"name":"exporter",
 *  "permissions":[{"action":"manage_backups","backups":{"collection":"Movies*"}}]}
 * A field that is absent has its domain's preset. Permissions are kept as their document says them,
 * each once, in the order they came. A role is replaced as a whole: readers see the old or the new
 * one. Records: role/NAME -> the array of permissions. */
#include "auth/actions.h"

#include <ctype.h>

#include "base/str.h"

#define NAME_MAX        64
#define PATTERN_MAX     256
#define PERMISSIONS_MAX 1000  /* of one role; a check reads them all */
#define ROLES_MAX       10000 /* each is kept in memory */

/* ---- permissions of a document ---- */

static sl_rc invalid(struct sl_err *err, const char *what, struct sl_str value)
{
    return SL_FAIL(err, SL_EINVAL, "role permissions are invalid: '%.*s' %s",
                   (int)SL_MIN(value.len, (size_t)PATTERN_MAX), value.ptr, what);
}

static sl_rc check_pattern(enum sl_domain domain, struct sl_str value, struct sl_err *err)
{
    bool is_free = domain == SL_ON_USERS || domain == SL_ON_GROUPS; /* names of other systems */
    if (value.len > PATTERN_MAX) {
        return invalid(err, "is longer than 256 bytes", value);
    }
    for (size_t i = 0; i < value.len && !is_free; i++) {
        if (value.ptr[i] == '\0' || strchr("/|()[]{}+?^$\\", value.ptr[i]) != NULL) {
            return invalid(
                err, "is not a valid name or pattern: only '*', for any text, is special", value);
        }
    }
    return SL_OK;
}

static sl_rc check_choice(enum sl_domain domain, const char *key, struct sl_str value,
                          struct sl_err *err)
{
    static const struct {
        enum sl_domain domain;
        const char *key, *first, *second;
    } choices[] = {{SL_ON_ROLES, "scope", "all", "match"},
                   {SL_ON_NODES, "verbosity", "verbose", "minimal"},
                   {SL_ON_GROUPS, "groupType", "oidc", "oidc"}};
    for (size_t i = 0; i < SL_COUNT_OF(choices); i++) {
        if (choices[i].domain == domain && strcmp(choices[i].key, key) == 0 &&
            !sl_str_is(value, choices[i].first) && !sl_str_is(value, choices[i].second)) {
            return invalid(err, "is not one of the values of this field", value);
        }
    }
    return SL_OK;
}

static sl_rc read_field(enum sl_domain domain, uint32_t i, json_t *fields, struct sl_arena *arena,
                        struct sl_str *ret, struct sl_err *err)
{
    const struct sli_domain *d = sli_domain_of(domain);
    json_t *value = json_object_get(fields, d->fields[i].key);
    struct sl_str text = sl_str_from(d->fields[i].preset);
    if (json_is_string(value) && json_string_length(value) > 0) {
        text = (struct sl_str){json_string_value(value), json_string_length(value)};
    } else if (value != NULL && !json_is_null(value) && !json_is_string(value)) {
        return sli_swagger(err, SLI_SWAGGER_TYPE, "%s.%s in body must be of type string", d->name,
                           d->fields[i].key);
    }
    SL_TRY(check_pattern(domain, text, err));
    SL_TRY(check_choice(domain, d->fields[i].key, text, err));
    *ret = sl_arena_str(arena, text);
    if (ret->ptr == NULL) {
        return SL_NOMEM(err);
    }
    if (strcmp(d->fields[i].key, "collection") == 0) { /* as class names begin */
        ((char *)(uintptr_t)ret->ptr)[0] = (char)toupper((uint8_t)ret->ptr[0]);
    }
    return SL_OK;
}

static sl_rc unknown_action(const char *where, struct sl_err *err)
{
    SL_AUTO(sl_buf) names = SL_BUF_EMPTY;
    for (uint32_t i = 0; i < sli_action_count; i++) {
        sl_buf_addf(&names, "%s%s", i == 0 ? "" : " ", sli_actions[i].name);
    }
    return sli_swagger(err, SLI_SWAGGER_ENUM, "%saction in body should be one of [%s]", where,
                       sl_buf_cstr(&names));
}

/* where: "permissions.0." for refusals. */
static sl_rc read_permission(json_t *doc, const char *where, struct sl_arena *arena,
                             struct sli_permission *ret, struct sl_err *err)
{
    json_t *action = json_object_get(doc, "action");
    if (!json_is_object(doc)) {
        return sli_swagger(err, SLI_SWAGGER_TYPE, "%sbody in body must be of type object", where);
    }
    if (action == NULL || json_is_null(action)) {
        return sli_swagger(err, SLI_SWAGGER_REQUIRED, "%saction in body is required", where);
    }
    const char *name = json_is_string(action) ? json_string_value(action) : "";
    ret->action = 0;
    while (ret->action < sli_action_count && strcmp(sli_actions[ret->action].name, name) != 0) {
        ret->action++;
    }
    if (ret->action == sli_action_count) {
        return unknown_action(where, err);
    }
    enum sl_domain domain = sli_actions[ret->action].domain;
    const struct sli_domain *d = sli_domain_of(domain);
    json_t *fields = json_object_get(doc, d->name);
    for (uint32_t i = 0; i < d->field_count; i++) {
        SL_TRY(read_field(domain, i, fields, arena, &ret->fields[i], err));
    }
    return SL_OK;
}

static bool is_same(const struct sli_permission *a, const struct sli_permission *b)
{
    bool is = a->action == b->action;
    for (uint32_t i = 0; is && i < SLI_FIELDS; i++) {
        is = sl_str_eq(a->fields[i], b->fields[i]);
    }
    return is;
}

static bool has(const struct sli_permission *list, uint32_t count, const struct sli_permission *p)
{
    for (uint32_t i = 0; i < count; i++) {
        if (is_same(&list[i], p)) {
            return true;
        }
    }
    return false;
}

/* ---- roles in memory ---- */

void sli_role_free(struct sli_role *role)
{
    if (role != NULL) {
        sl_arena_fini(&role->arena);
        sl_free(role);
    }
}

/* An empty role with room for `room` permissions. */
static sl_rc role_new(struct sl_str name, uint32_t room, struct sli_role **ret, struct sl_err *err)
{
    struct sli_role *role = sl_alloc_zero(1, sizeof(*role));
    if (role == NULL) {
        return SL_NOMEM(err);
    }
    role->name = sl_arena_str(&role->arena, name);
    role->permissions = sl_arena_array(&role->arena, struct sli_permission, (size_t)room + 1);
    if (role->name.ptr == NULL || role->permissions == NULL) {
        sli_role_free(role);
        return SL_NOMEM(err);
    }
    *ret = role;
    return SL_OK;
}

/* Adds a copy, unless it is there. */
static sl_rc role_add(struct sli_role *role, const struct sli_permission *p, struct sl_err *err)
{
    if (has(role->permissions, role->count, p)) {
        return SL_OK;
    }
    struct sli_permission *to = &role->permissions[role->count];
    to->action = p->action;
    for (uint32_t i = 0; i < SLI_FIELDS; i++) {
        to->fields[i] = sl_arena_str(&role->arena, p->fields[i]);
        if (to->fields[i].ptr == NULL) {
            return SL_NOMEM(err);
        }
    }
    role->count++;
    return SL_OK;
}

/* The permissions of a list, as a role named `name`. */
static sl_rc role_read(struct sl_str name, json_t *list, struct sli_role **ret, struct sl_err *err)
{
    struct sli_role *role = NULL;
    size_t count = json_array_size(list);
    if (list == NULL || json_is_null(list)) {
        return sli_swagger(err, SLI_SWAGGER_REQUIRED, "permissions in body is required");
    }
    if (!json_is_array(list)) {
        return sli_swagger(err, SLI_SWAGGER_TYPE, "permissions in body must be of type array");
    }
    if (count > PERMISSIONS_MAX) {
        return SL_FAIL(err, SL_EINVAL,
                       "role permissions are invalid: %zu permissions, at most %d are possible",
                       count, PERMISSIONS_MAX);
    }
    SL_TRY(role_new(name, (uint32_t)count, &role, err));
    sl_rc rc = SL_OK;
    for (size_t i = 0; rc == SL_OK && i < count; i++) {
        struct sli_permission p = {0};
        SL_AUTO(sl_buf) where = SL_BUF_EMPTY;
        sl_buf_addf(&where, "permissions.%zu.", i);
        rc = read_permission(json_array_get(list, i), sl_buf_cstr(&where), &role->arena, &p, err);
        if (rc == SL_OK) {
            rc = role_add(role, &p, err);
        }
    }
    if (rc != SL_OK) {
        sli_role_free(role);
        return rc;
    }
    *ret = role;
    return SL_OK;
}

static void permissions_json(const struct sli_role *role, struct sl_json *w)
{
    sl_json_arr(w);
    for (uint32_t i = 0; i < role->count; i++) {
        const struct sli_permission *p = &role->permissions[i];
        const struct sli_action *a = &sli_actions[p->action];
        const struct sli_domain *d = sli_domain_of(a->domain);
        sl_json_obj(w);
        sl_json_key(w, "action");
        sl_json_text(w, a->name);
        if (d->field_count > 0) {
            sl_json_key(w, d->name);
            sl_json_obj(w);
            for (uint32_t k = 0; k < d->field_count; k++) {
                sl_json_key(w, d->fields[d->sorted[k]].key);
                sl_json_str(w, p->fields[d->sorted[k]]);
            }
            sl_json_obj_end(w);
        }
        sl_json_obj_end(w);
    }
    sl_json_arr_end(w);
}

void sli_role_json(const struct sli_role *role, bool is_named_only, struct sl_json *w)
{
    sl_json_obj(w);
    sl_json_key(w, "name");
    sl_json_str(w, role->name);
    sl_json_key(w, "permissions");
    if (is_named_only) {
        sl_json_null(w);
    } else {
        permissions_json(role, w);
    }
    sl_json_obj_end(w);
}

sl_rc sli_role_load(struct sl_auth *auth, struct sl_str name, struct sl_str value,
                    struct sl_err *err)
{
    struct sli_role *role = NULL;
    json_t *list = json_loadb(value.ptr, value.len, 0, NULL);
    sl_rc rc = role_read(name, list, &role, err);
    json_decref(list);
    SL_TRY(rc);
    rc = sli_set_reserve(&auth->roles, err);
    sli_role_free(rc == SL_OK ? sli_set_put(&auth->roles, role) : role);
    return rc;
}

/* ---- built-in ---- */

static const char *const builtin_names[] = {"admin", "read-only", "root", "viewer"};

bool sli_is_builtin(struct sl_str name)
{
    for (size_t i = 0; i < SL_COUNT_OF(builtin_names); i++) {
        if (sl_str_is(name, builtin_names[i])) {
            return true;
        }
    }
    return false;
}

bool sli_is_env_only(struct sl_str name)
{
    return sl_str_is(name, "root") || sl_str_is(name, "read-only");
}

static bool is_shown(const char *action, bool is_reader)
{
    return !is_reader || strncmp(action, "read_", 5) == 0;
}

/* What built-in roles show; what they allow is decide.c's. Every field is as wide as it can be. */
static sl_rc builtin_fill(struct sli_role *role, bool is_reader, struct sl_err *err)
{
    static const enum sl_domain order[] = {
        SL_ON_ROLES,     SL_ON_BACKUPS, SL_ON_NAMESPACES,  SL_ON_USERS, SL_ON_CLUSTER,
        SL_ON_GROUPS,    SL_ON_NODES,   SL_ON_COLLECTIONS, SL_ON_DATA,  SL_ON_TENANTS,
        SL_ON_REPLICATE, SL_ON_ALIASES, SL_ON_MCP};
    for (size_t k = 0; k < SL_COUNT_OF(order); k++) {
        for (uint32_t i = 0; i < sli_action_count; i++) {
            const struct sli_domain *d = sli_domain_of(order[k]);
            struct sli_permission p = {.action = i};
            if (sli_actions[i].domain != order[k] || !is_shown(sli_actions[i].name, is_reader)) {
                continue;
            }
            for (uint32_t f = 0; f < d->field_count; f++) {
                p.fields[f] = sl_str_from(d->fields[f].preset);
            }
            if (order[k] == SL_ON_ROLES) {
                p.fields[1] = SL_STR("all");
            } else if (order[k] == SL_ON_NODES) {
                p.fields[0] = SL_STR("verbose");
            }
            SL_TRY(role_add(role, &p, err));
        }
    }
    return SL_OK;
}

sl_rc sli_builtin_make(struct sl_auth *auth, struct sl_err *err)
{
    for (size_t i = 0; i < SL_COUNT_OF(builtin_names); i++) {
        struct sl_str name = sl_str_from(builtin_names[i]);
        SL_TRY(role_new(name, sli_action_count, &auth->builtin[i], err));
        bool is_reader = sl_str_is(name, "viewer") || sl_str_is(name, "read-only");
        SL_TRY(builtin_fill(auth->builtin[i], is_reader, err));
    }
    return SL_OK;
}

struct sli_role *sli_role_find(struct sl_auth *auth, struct sl_str name)
{
    for (size_t i = 0; i < SL_COUNT_OF(auth->builtin); i++) {
        if (sl_str_eq(auth->builtin[i]->name, name)) {
            return auth->builtin[i];
        }
    }
    return sli_set_find(&auth->roles, name);
}

/* ---- changes ---- */

sl_rc sli_check_rbac(const struct sl_auth *auth, struct sl_err *err)
{
    return auth->opts.has_rbac
               ? SL_OK
               : SL_FAIL(err, SL_EINVAL,
                         "roles are not enabled; set AUTHORIZATION_RBAC_ENABLED and name a root "
                         "user by AUTHORIZATION_RBAC_ROOT_USERS");
}

/* Stores and publishes, and takes the role; `change` is held. */
static sl_rc publish(struct sl_auth *auth, struct sli_role *role, struct sl_err *err)
{
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    struct sl_json w = sl_json_over(&value);
    sl_buf_addf(&name, "role/%.*s", SL_STR_ARG(role->name));
    permissions_json(role, &w);
    sl_rc rc = sl_buf_done(&name, err);
    if (rc == SL_OK) {
        rc = sl_buf_done(&value, err);
    }
    if (rc == SL_OK) {
        sl_rwlock_write(&auth->state);
        rc = sli_set_reserve(&auth->roles, err);
        sl_rwlock_unlock(&auth->state);
    }
    struct sl_record record = {sl_buf_str(&name), sl_buf_str(&value)};
    if (rc == SL_OK) {
        rc = sli_store(auth, &record, 1, err);
    }
    struct sli_role *old = role;
    if (rc == SL_OK) {
        sl_rwlock_write(&auth->state);
        old = sli_set_put(&auth->roles, role);
        sl_rwlock_unlock(&auth->state);
    }
    sli_role_free(old);
    return rc;
}

/* Nobody hands out more than they have, unless their permission on roles says "all". */
static sl_rc check_not_more(struct sl_auth *auth, const struct sl_subject *who, enum sl_verb verb,
                            const struct sli_role *role, struct sl_err *err)
{
    struct sl_resource all = {SL_ON_ROLES, {role->name, SL_STR("all")}};
    struct sl_resource match = {SL_ON_ROLES, {role->name, SL_STR("match")}};
    sl_rc rc = SL_OK;
    if (sl_auth_may(auth, who, verb, &all)) {
        return SL_OK;
    }
    rc = sl_auth_check(auth, who, verb, &match, err);
    for (uint32_t i = 0; rc == SL_OK && i < role->count; i++) {
        const struct sli_permission *p = &role->permissions[i];
        struct sl_resource what = {.domain = sli_actions[p->action].domain};
        memcpy(what.names, p->fields, sizeof(what.names));
        for (int v = SL_CREATE; rc == SL_OK && v <= SL_ASSIGN; v++) {
            if ((sli_actions[p->action].verbs & (1u << v)) != 0) {
                rc = sl_auth_check(auth, who, (enum sl_verb)v, &what, err);
            }
        }
    }
    if (rc != SL_OK) {
        sl_err_prefix(err, "can only create roles with less or equal permissions as the current "
                           "user");
    }
    return rc;
}

static sl_rc check_new_name(struct sl_str name, struct sl_err *err)
{
    if (sli_is_builtin(name)) {
        return SL_FAIL(err, SL_EBADREQ,
                       "you cannot create role with the same name as built-in role %.*s",
                       SL_STR_ARG(name));
    }
    return sli_is_name(name, "-_", NAME_MAX) ? SL_OK
                                             : SL_FAIL(err, SL_EBADREQ, "role name is invalid");
}

static sl_rc create_locked(struct sl_auth *auth, struct sli_role *role, struct sl_err *err)
{
    sl_rc rc = SL_OK;
    if (sli_set_find(&auth->roles, role->name) != NULL) {
        rc = SL_FAIL(err, SL_ECONFLICT, "role with name %.*s already exists",
                     SL_STR_ARG(role->name));
    } else if (auth->roles.count >= ROLES_MAX) {
        rc = SL_FAIL(err, SL_EINVAL, "there are %d roles; no more are possible", ROLES_MAX);
    }
    if (rc != SL_OK) {
        sli_role_free(role);
        return rc;
    }
    return publish(auth, role, err);
}

sl_rc sl_auth_role_create(struct sl_auth *auth, const struct sl_subject *who, json_t *body,
                          struct sl_err *err)
{
    json_t *name = json_object_get(body, "name");
    struct sli_role *role = NULL;
    SL_TRY(sli_check_rbac(auth, err));
    if (!json_is_object(body)) {
        return sli_swagger(err, SLI_SWAGGER_TYPE, "body in body must be of type object");
    }
    if (!json_is_string(name)) {
        return name == NULL || json_is_null(name)
                   ? sli_swagger(err, SLI_SWAGGER_REQUIRED, "name in body is required")
                   : sli_swagger(err, SLI_SWAGGER_TYPE, "name in body must be of type string");
    }
    struct sl_str text = {json_string_value(name), json_string_length(name)};
    SL_TRY(role_read(text, json_object_get(body, "permissions"), &role, err));
    sl_rc rc = check_new_name(text, err);
    if (rc == SL_OK) {
        rc = check_not_more(auth, who, SL_CREATE, role, err);
    }
    if (rc != SL_OK) {
        sli_role_free(role);
        return rc;
    }
    sl_mutex_lock(&auth->change);
    rc = create_locked(auth, role, err);
    sl_mutex_unlock(&auth->change);
    return rc;
}

static sl_rc check_changeable(struct sl_str name, sl_rc rc, struct sl_err *err)
{
    return sli_is_builtin(name)
               ? SL_FAIL(err, rc, "you cannot update built-in role %.*s", SL_STR_ARG(name))
               : SL_OK;
}

/* The role as it is, with (or without) these permissions. */
static sl_rc merged(const struct sli_role *old, const struct sli_role *with, bool is_added,
                    struct sli_role **ret, struct sl_err *err)
{
    struct sli_role *made = NULL;
    SL_TRY(role_new(old->name, old->count + with->count, &made, err));
    sl_rc rc = SL_OK;
    for (uint32_t i = 0; rc == SL_OK && i < old->count; i++) {
        bool is_kept = is_added || !has(with->permissions, with->count, &old->permissions[i]);
        rc = is_kept ? role_add(made, &old->permissions[i], err) : SL_OK;
    }
    for (uint32_t i = 0; rc == SL_OK && is_added && i < with->count; i++) {
        rc = role_add(made, &with->permissions[i], err);
    }
    if (rc == SL_OK && made->count > PERMISSIONS_MAX) {
        rc = SL_FAIL(err, SL_EINVAL,
                     "role permissions are invalid: %u permissions, at most %d are possible",
                     made->count, PERMISSIONS_MAX);
    }
    if (rc != SL_OK) {
        sli_role_free(made);
        return rc;
    }
    *ret = made;
    return SL_OK;
}

static sl_rc update_locked(struct sl_auth *auth, const struct sli_role *with, bool is_added,
                           struct sl_err *err)
{
    const struct sli_role *old = sli_set_find(&auth->roles, with->name);
    struct sli_role *made = NULL;
    if (old == NULL) {
        return SL_ENOTFOUND;
    }
    SL_TRY(merged(old, with, is_added, &made, err));
    return publish(auth, made, err);
}

static sl_rc update(struct sl_auth *auth, const struct sl_subject *who, struct sl_str name,
                    json_t *body, bool is_added, struct sl_err *err)
{
    struct sli_role *with = NULL;
    SL_TRY(sli_check_rbac(auth, err));
    SL_TRY(check_changeable(name, SL_EBADREQ, err));
    SL_TRY(role_read(name, json_object_get(body, "permissions"), &with, err));
    sl_rc rc = check_not_more(auth, who, SL_UPDATE, with, err);
    if (rc == SL_OK) {
        sl_mutex_lock(&auth->change);
        rc = update_locked(auth, with, is_added, err);
        sl_mutex_unlock(&auth->change);
    }
    sli_role_free(with);
    return rc;
}

sl_rc sl_auth_role_add(struct sl_auth *auth, const struct sl_subject *who, struct sl_str name,
                       json_t *body, struct sl_err *err)
{
    return update(auth, who, name, body, true, err);
}

sl_rc sl_auth_role_remove(struct sl_auth *auth, const struct sl_subject *who, struct sl_str name,
                          json_t *body, struct sl_err *err)
{
    return update(auth, who, name, body, false, err);
}

/* ---- questions ---- */

sl_rc sl_auth_role_list(struct sl_auth *auth, const struct sl_subject *who, struct sl_buf *out,
                        struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    struct sl_arena arena = SL_ARENA_EMPTY;
    SL_TRY(sli_check_rbac(auth, err));
    /* Who may is asked without the lock of the roles, so their names are copied first. */
    sl_rwlock_read(&auth->state);
    uint32_t count = auth->roles.count + SL_COUNT_OF(auth->builtin), n = 0;
    struct sl_str *names = sl_arena_array(&arena, struct sl_str, count);
    for (uint32_t i = 0; names != NULL && i < count; i++) {
        const struct sli_role *role = i < SL_COUNT_OF(auth->builtin)
                                          ? auth->builtin[i]
                                          : auth->roles.items[i - SL_COUNT_OF(auth->builtin)];
        names[n] = sl_arena_str(&arena, role->name);
        n += names[n].ptr != NULL;
    }
    sl_rwlock_unlock(&auth->state);
    sl_json_arr(&w);
    for (uint32_t i = 0; i < n; i++) {
        struct sl_resource what = {SL_ON_ROLES, {names[i], SL_STR("match")}};
        if (sl_auth_may(auth, who, SL_READ, &what)) {
            sl_rwlock_read(&auth->state);
            const struct sli_role *role = sli_role_find(auth, names[i]);
            if (role != NULL) {
                sli_role_json(role, false, &w);
            }
            sl_rwlock_unlock(&auth->state);
        }
    }
    sl_json_arr_end(&w);
    sl_arena_fini(&arena);
    return n == count ? sl_buf_done(out, err) : SL_NOMEM(err);
}

sl_rc sl_auth_role_get(struct sl_auth *auth, struct sl_str name, struct sl_buf *out,
                       struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    SL_TRY(sli_check_rbac(auth, err));
    sl_rwlock_read(&auth->state);
    const struct sli_role *role = sli_role_find(auth, name);
    if (role != NULL) {
        sli_role_json(role, false, &w);
    }
    sl_rwlock_unlock(&auth->state);
    return role == NULL ? SL_ENOTFOUND : sl_buf_done(out, err);
}

sl_rc sl_auth_role_has(struct sl_auth *auth, struct sl_str name, json_t *permission,
                       struct sl_buf *out, struct sl_err *err)
{
    struct sl_arena arena = SL_ARENA_EMPTY;
    struct sli_permission p = {0};
    bool is_there = false;
    SL_TRY(sli_check_rbac(auth, err));
    sl_rc rc = read_permission(permission, "", &arena, &p, err);
    if (rc == SL_OK) {
        sl_rwlock_read(&auth->state);
        const struct sli_role *role = sli_role_find(auth, name);
        is_there = role != NULL && has(role->permissions, role->count, &p);
        sl_rwlock_unlock(&auth->state);
        sl_buf_add_text(out, is_there ? "true" : "false");
    }
    sl_arena_fini(&arena);
    return rc == SL_OK ? sl_buf_done(out, err) : rc;
}
