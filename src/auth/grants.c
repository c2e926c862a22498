/* Which roles a user or group has: by the environment, and as assigned at run time.
 *
 * Records: grant/db:NAME, grant/oidc:NAME, grant/group:NAME -> ["role", ...]. A user of an API key
 * is "db", wherever the key comes from. When a role or a user goes, what was assigned to it goes in
 * the same commit: a later one of the same name begins with nothing. */
#include "auth/auth_int.h"

#include "base/str.h"

#define GRANT_ROLES_MAX 1000
#define GRANTS_MAX      100000
#define NAME_MAX        512 /* of a user or group of another system */

void sli_grant_free(struct sli_grant *g)
{
    if (g != NULL) {
        sl_arena_fini(&g->arena);
        sl_free(g);
    }
}

static sl_rc grant_new(struct sl_str name, uint32_t room, struct sli_grant **ret,
                       struct sl_err *err)
{
    struct sli_grant *g = sl_alloc_zero(1, sizeof(*g));
    if (g == NULL) {
        return SL_NOMEM(err);
    }
    g->name = sl_arena_str(&g->arena, name);
    g->roles = sl_arena_array(&g->arena, struct sl_str, (size_t)room + 1);
    if (g->name.ptr == NULL || g->roles == NULL) {
        sli_grant_free(g);
        return SL_NOMEM(err);
    }
    *ret = g;
    return SL_OK;
}

static bool has_role(const struct sli_grant *g, struct sl_str role)
{
    for (uint32_t i = 0; g != NULL && i < g->count; i++) {
        if (sl_str_eq(g->roles[i], role)) {
            return true;
        }
    }
    return false;
}

static sl_rc grant_add(struct sli_grant *g, struct sl_str role, struct sl_err *err)
{
    if (has_role(g, role)) {
        return SL_OK;
    }
    g->roles[g->count] = sl_arena_str(&g->arena, role);
    return g->roles[g->count++].ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

sl_rc sli_grant_load(struct sl_auth *auth, struct sl_str name, struct sl_str value,
                     struct sl_err *err)
{
    struct sli_grant *g = NULL;
    json_t *list = json_loadb(value.ptr, value.len, 0, NULL);
    size_t count = json_array_size(list);
    sl_rc rc = json_is_array(list) ? grant_new(name, (uint32_t)count, &g, err)
                                   : SL_FAIL(err, SL_ECORRUPT, "it is no list of roles");
    for (size_t i = 0; rc == SL_OK && i < count; i++) {
        json_t *one = json_array_get(list, i);
        rc = json_is_string(one)
                 ? grant_add(g, (struct sl_str){json_string_value(one), json_string_length(one)},
                             err)
                 : SL_FAIL(err, SL_ECORRUPT, "a role's name is no text");
    }
    json_decref(list);
    if (rc == SL_OK) {
        rc = sli_set_reserve(&auth->grants, err);
    }
    sli_grant_free(rc == SL_OK ? sli_set_put(&auth->grants, g) : g);
    return rc;
}

static void grant_key(enum sl_grantee kind, struct sl_str name, struct sl_buf *out)
{
    static const char *const prefixes[] = {"db:", "oidc:", "group:"};
    sl_buf_add_text(out, prefixes[kind]);
    sl_buf_add_str(out, name);
}

static struct sli_grant *find(struct sl_auth *auth, enum sl_grantee kind, struct sl_str name)
{
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    grant_key(kind, name, &key);
    return key.is_failed ? NULL : sli_set_find(&auth->grants, sl_buf_str(&key));
}

/* ---- the roles of a subject ---- */

static bool each_of(struct sl_auth *auth, enum sl_grantee kind, struct sl_str name,
                    sli_role_fn *each, void *arg)
{
    const struct sli_grant *g = find(auth, kind, name);
    for (uint32_t i = 0; g != NULL && i < g->count; i++) {
        const struct sli_role *role = sli_role_find(auth, g->roles[i]);
        if (role != NULL && each(arg, role)) {
            return true;
        }
    }
    return false;
}

static bool each_if(struct sl_auth *auth, bool is_listed, const char *role, sli_role_fn *each,
                    void *arg)
{
    return is_listed && each(arg, sli_role_find(auth, sl_str_from(role)));
}

bool sli_each_role_locked(struct sl_auth *auth, const struct sl_subject *who, sli_role_fn *each,
                          void *arg)
{
    if (who->kind == SL_ANONYMOUS) {
        return false;
    }
    enum sl_grantee kind = who->kind == SL_OIDC ? SL_TO_OIDC_USER : SL_TO_DB_USER;
    bool is_root = sli_list_has(&auth->root_users, who->name);
    bool is_reader = sli_list_has(&auth->readonly_users, who->name);
    for (uint32_t i = 0; i < who->group_count; i++) {
        is_root = is_root || sli_list_has(&auth->root_groups, who->groups[i]);
        is_reader = is_reader || sli_list_has(&auth->readonly_groups, who->groups[i]);
    }
    bool is_done = each_if(auth, is_root, "root", each, arg) ||
                   each_if(auth, is_reader, "read-only", each, arg) ||
                   each_if(auth, sli_list_has(&auth->admin_users, who->name), "admin", each, arg) ||
                   each_of(auth, kind, who->name, each, arg);
    for (uint32_t i = 0; !is_done && i < who->group_count; i++) {
        is_done = each_of(auth, SL_TO_GROUP, who->groups[i], each, arg);
    }
    return is_done;
}

struct roles_json {
    struct sl_json *w;
    bool is_name, is_named_only, is_any;
    bool is_null_when_none; /* the array is opened by the first */
};

static bool add_role(void *arg, const struct sli_role *role)
{
    struct roles_json *r = arg;
    if (!r->is_any && r->is_null_when_none) {
        sl_json_arr(r->w);
    }
    r->is_any = true;
    if (r->is_name) {
        sl_json_str(r->w, role->name);
    } else {
        sli_role_json(role, r->is_named_only, r->w);
    }
    return false;
}

void sli_role_names_json(struct sl_auth *auth, const struct sl_subject *who, struct sl_json *w)
{
    struct roles_json r = {.w = w, .is_name = true};
    sl_json_arr(w);
    (void)sli_each_role_locked(auth, who, add_role, &r);
    sl_json_arr_end(w);
}

sl_rc sl_auth_own_info(struct sl_auth *auth, const struct sl_subject *who, struct sl_buf *out,
                       struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    struct roles_json r = {.w = &w, .is_null_when_none = true};
    sl_json_obj(&w);
    sl_json_key(&w, "groups");
    if (who->group_count == 0) {
        sl_json_null(&w);
    } else {
        sl_json_arr(&w);
        for (uint32_t i = 0; i < who->group_count; i++) {
            sl_json_str(&w, who->groups[i]);
        }
        sl_json_arr_end(&w);
    }
    sl_json_key(&w, "roles");
    if (auth->opts.has_rbac) {
        sl_rwlock_read(&auth->state);
        (void)sli_each_role_locked(auth, who, add_role, &r);
        sl_rwlock_unlock(&auth->state);
    }
    if (r.is_any) {
        sl_json_arr_end(&w);
    } else {
        sl_json_null(&w);
    }
    sl_json_key(&w, "username");
    sl_json_str(&w, who->name);
    sl_json_obj_end(&w);
    return sl_buf_done(out, err);
}

/* ---- assigning ---- */

static bool is_user(struct sl_auth *auth, struct sl_str name)
{
    return sli_is_env_user(auth, name) || sli_set_find(&auth->users, name) != NULL;
}

/* Which kind the body is about; without a word, a user of an API key. */
static sl_rc read_kind(bool is_group, struct sl_str word, enum sl_grantee *ret, struct sl_err *err)
{
    if (is_group && (word.len == 0 || sl_str_is(word, "oidc"))) {
        *ret = SL_TO_GROUP;
        return SL_OK;
    }
    if (!is_group && (word.len == 0 || sl_str_is(word, "db") || sl_str_is(word, "oidc"))) {
        *ret = sl_str_is(word, "oidc") ? SL_TO_OIDC_USER : SL_TO_DB_USER;
        return SL_OK;
    }
    return sli_swagger(err, SLI_SWAGGER_ENUM, "%s in body should be one of [%s]",
                       is_group ? "groupType" : "userType", is_group ? "oidc" : "db oidc");
}

static struct sl_str text_of(json_t *value)
{
    return (struct sl_str){json_string_value(value), json_string_length(value)};
}

/* Every role of the body exists and may be assigned. */
static sl_rc check_roles(struct sl_auth *auth, json_t *roles, const char *verb, struct sl_err *err)
{
    size_t i = 0;
    json_t *one = NULL;
    if (!json_is_array(roles) || json_array_size(roles) > GRANT_ROLES_MAX) {
        return SL_FAIL(err, SL_EBADREQ, "roles must be an array of at most %d names of roles",
                       GRANT_ROLES_MAX);
    }
    if (json_array_size(roles) == 0) {
        return SL_FAIL(err, SL_EBADREQ, "roles can not be empty");
    }
    json_array_foreach(roles, i, one)
    {
        struct sl_str name = text_of(one);
        if (sli_is_env_only(name)) {
            return SL_FAIL(err, SL_EFORBIDDEN,
                           "%s: modifying '%.*s' role or changing its assignments is not allowed",
                           verb, SL_STR_ARG(name));
        }
        if (!json_is_string(one) || sli_role_find(auth, name) == NULL) {
            return SL_FAIL(err, SL_ENOTFOUND, "one or more of the roles requested doesn't exist");
        }
    }
    return SL_OK;
}

static sl_rc check_holder(struct sl_auth *auth, enum sl_grantee kind, struct sl_str name,
                          struct sl_err *err)
{
    if (kind == SL_TO_DB_USER && !is_user(auth, name)) {
        return SL_FAIL(err, SL_ENOTFOUND, "username to assign role to doesn't exist");
    }
    if (sli_list_has(kind == SL_TO_GROUP ? &auth->root_groups : &auth->root_users, name)) {
        return SL_FAIL(err, SL_EBADREQ, "cannot assign or revoke from root %s %.*s",
                       kind == SL_TO_GROUP ? "group" : "user", SL_STR_ARG(name));
    }
    return name.len <= NAME_MAX && auth->grants.count < GRANTS_MAX
               ? SL_OK
               : SL_FAIL(err, SL_EINVAL, "the name is too long, or too many have roles already");
}

static void roles_value(const struct sli_grant *g, struct sl_buf *out)
{
    struct sl_json w = sl_json_over(out);
    sl_json_arr(&w);
    for (uint32_t i = 0; i < g->count; i++) {
        sl_json_str(&w, g->roles[i]);
    }
    sl_json_arr_end(&w);
}

/* The grant as it shall be, stored and published; takes it. `change` is held. */
static sl_rc publish(struct sl_auth *auth, struct sli_grant *g, struct sl_err *err)
{
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    struct sli_grant *old = g;
    sl_buf_addf(&name, "grant/%.*s", SL_STR_ARG(g->name));
    roles_value(g, &value);
    sl_rc rc = name.is_failed || value.is_failed ? SL_NOMEM(err) : SL_OK;
    if (rc == SL_OK) {
        sl_rwlock_write(&auth->state);
        rc = sli_set_reserve(&auth->grants, err);
        sl_rwlock_unlock(&auth->state);
    }
    if (rc == SL_OK) {
        struct sl_record record = {sl_buf_str(&name), sl_buf_str(&value)};
        if (g->count == 0) {
            record.value.ptr = NULL;
        }
        rc = sli_store(auth, &record, 1, err);
    }
    if (rc == SL_OK) {
        sl_rwlock_write(&auth->state);
        old =
            g->count == 0 ? sli_set_remove(&auth->grants, g->name) : sli_set_put(&auth->grants, g);
        sl_rwlock_unlock(&auth->state);
        if (g->count == 0) {
            sli_grant_free(g);
        }
    }
    sli_grant_free(old);
    return rc;
}

static bool is_in(json_t *roles, struct sl_str name)
{
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(roles, i, one)
    {
        if (sl_str_eq(text_of(one), name)) {
            return true;
        }
    }
    return false;
}

static sl_rc regrant(struct sl_auth *auth, enum sl_grantee kind, struct sl_str name, json_t *roles,
                     bool is_revoke, struct sl_err *err)
{
    const struct sli_grant *old = find(auth, kind, name);
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    struct sli_grant *g = NULL;
    grant_key(kind, name, &key);
    SL_TRY(sl_buf_done(&key, err));
    uint32_t old_count = old == NULL ? 0 : old->count;
    SL_TRY(grant_new(sl_buf_str(&key), old_count + (uint32_t)json_array_size(roles), &g, err));
    sl_rc rc = SL_OK;
    for (uint32_t i = 0; rc == SL_OK && i < old_count; i++) {
        bool is_kept = !is_revoke || !is_in(roles, old->roles[i]);
        rc = is_kept ? grant_add(g, old->roles[i], err) : SL_OK;
    }
    for (size_t i = 0; rc == SL_OK && !is_revoke && i < json_array_size(roles); i++) {
        rc = grant_add(g, text_of(json_array_get(roles, i)), err);
    }
    if (rc == SL_OK && g->count > GRANT_ROLES_MAX) {
        rc = SL_FAIL(err, SL_EINVAL, "nobody can have more than %d roles", GRANT_ROLES_MAX);
    }
    if (rc != SL_OK) {
        sli_grant_free(g);
        return rc;
    }
    return publish(auth, g, err);
}

static sl_rc change_grant(struct sl_auth *auth, bool is_group, struct sl_str name, json_t *body,
                          bool is_revoke, struct sl_err *err)
{
    enum sl_grantee kind = SL_TO_DB_USER;
    json_t *roles = json_object_get(body, "roles");
    struct sl_str word = text_of(json_object_get(body, is_group ? "groupType" : "userType"));
    SL_TRY(sli_check_rbac(auth, err));
    SL_TRY(read_kind(is_group, word, &kind, err));
    sl_mutex_lock(&auth->change);
    sl_rc rc = check_roles(auth, roles, is_revoke ? "revoking" : "assigning", err);
    if (rc == SL_OK) {
        rc = check_holder(auth, kind, name, err);
    }
    if (rc == SL_OK) {
        rc = regrant(auth, kind, name, roles, is_revoke, err);
    }
    sl_mutex_unlock(&auth->change);
    return rc;
}

sl_rc sl_auth_assign(struct sl_auth *auth, bool is_group, struct sl_str name, json_t *body,
                     struct sl_err *err)
{
    return change_grant(auth, is_group, name, body, false, err);
}

sl_rc sl_auth_revoke(struct sl_auth *auth, bool is_group, struct sl_str name, json_t *body,
                     struct sl_err *err)
{
    return change_grant(auth, is_group, name, body, true, err);
}

/* ---- questions ---- */

sl_rc sl_auth_roles_of(struct sl_auth *auth, bool is_group, struct sl_str name, struct sl_str type,
                       bool is_full, struct sl_buf *out, struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    struct roles_json r = {.w = &w, .is_named_only = !is_full};
    enum sl_grantee kind = SL_TO_DB_USER;
    SL_TRY(sli_check_rbac(auth, err));
    SL_TRY(read_kind(is_group, type, &kind, err));
    struct sl_subject user = {.kind = kind == SL_TO_OIDC_USER ? SL_OIDC : SL_DB_USER, .name = name};
    struct sl_subject group = {.kind = SL_OIDC, .groups = &name, .group_count = 1};
    sl_rwlock_read(&auth->state);
    bool is_known = kind != SL_TO_DB_USER || is_user(auth, name);
    sl_json_arr(&w);
    (void)sli_each_role_locked(auth, is_group ? &group : &user, add_role, &r);
    sl_json_arr_end(&w);
    sl_rwlock_unlock(&auth->state);
    return is_known ? sl_buf_done(out, err) : SL_ENOTFOUND;
}

static void holder_json(struct sl_auth *auth, struct sl_str holder, enum sl_holders form,
                        struct sl_json *w)
{
    bool is_group = sl_str_starts(holder, "group:"), is_oidc = sl_str_starts(holder, "oidc:");
    const char *colon = memchr(holder.ptr, ':', holder.len);
    size_t skip = (size_t)(colon - holder.ptr) + 1;
    struct sl_str name = {holder.ptr + skip, holder.len - skip};
    if (is_group != (form == SL_HOLDERS_GROUPS)) {
        return;
    }
    if (form == SL_HOLDERS_USER_IDS) {
        sl_json_str(w, name);
        return;
    }
    sl_json_obj(w);
    sl_json_key(w, is_group ? "groupId" : "userId");
    sl_json_str(w, name);
    sl_json_key(w, is_group ? "groupType" : "userType");
    sl_json_text(w, is_group || is_oidc           ? "oidc"
                    : sli_is_env_user(auth, name) ? "db_env_user"
                                                  : "db_user");
    sl_json_obj_end(w);
}

/* Of root, read-only and admin also those the environment names; `role` may lie there only. */
static void env_holders_json(struct sl_auth *auth, struct sl_str role, enum sl_holders form,
                             struct sl_json *w)
{
    const struct {
        const char *role, *prefix;
        const struct sli_list *list;
    } from[] = {{"root", "db:", &auth->root_users},
                {"root", "group:", &auth->root_groups},
                {"read-only", "db:", &auth->readonly_users},
                {"read-only", "group:", &auth->readonly_groups},
                {"admin", "db:", &auth->admin_users}};
    for (size_t i = 0; i < SL_COUNT_OF(from); i++) {
        for (uint32_t k = 0; sl_str_is(role, from[i].role) && k < from[i].list->count; k++) {
            SL_AUTO(sl_buf) holder = SL_BUF_EMPTY;
            sl_buf_addf(&holder, "%s%.*s", from[i].prefix, SL_STR_ARG(from[i].list->items[k]));
            if (!holder.is_failed) {
                holder_json(auth, sl_buf_str(&holder), form, w);
            }
        }
    }
}

sl_rc sl_auth_role_holders(struct sl_auth *auth, struct sl_str role, enum sl_holders form,
                           struct sl_buf *out, struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    SL_TRY(sli_check_rbac(auth, err));
    sl_rwlock_read(&auth->state);
    bool is_known = sli_role_find(auth, role) != NULL;
    sl_json_arr(&w);
    env_holders_json(auth, role, form, &w);
    for (uint32_t i = 0; i < auth->grants.count; i++) {
        const struct sli_grant *g = auth->grants.items[i];
        if (has_role(g, role)) {
            holder_json(auth, g->name, form, &w);
        }
    }
    sl_json_arr_end(&w);
    sl_rwlock_unlock(&auth->state);
    return is_known ? sl_buf_done(out, err) : SL_ENOTFOUND;
}

sl_rc sl_auth_group_list(struct sl_auth *auth, struct sl_buf *out, struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    SL_TRY(sli_check_rbac(auth, err));
    sl_rwlock_read(&auth->state);
    sl_json_arr(&w);
    for (uint32_t i = 0; i < auth->grants.count; i++) {
        struct sl_str name = ((const struct sli_grant *)auth->grants.items[i])->name;
        if (sl_str_starts(name, "group:")) {
            sl_json_str(&w, (struct sl_str){name.ptr + 6, name.len - 6});
        }
    }
    sl_json_arr_end(&w);
    sl_rwlock_unlock(&auth->state);
    return sl_buf_done(out, err);
}

/* ---- when something goes ---- */

/* The grants with and after the role's end, and the records of the change. */
struct removal {
    struct sl_arena arena; /* of the records' texts */
    struct sl_record *records;
    struct sli_grant **made;
    uint32_t count;
};

static void removal_fini(struct removal *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        sli_grant_free(r->made[i]);
    }
    sl_arena_fini(&r->arena);
}

/* Adds the grant without the role; it is kept, empty, until it is published. */
static sl_rc removal_add(struct removal *r, const struct sli_grant *old, struct sl_str role,
                         struct sl_err *err)
{
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    struct sli_grant *g = NULL;
    SL_TRY(grant_new(old->name, old->count, &g, err));
    r->made[r->count++] = g;
    for (uint32_t i = 0; i < old->count; i++) {
        SL_TRY(sl_str_eq(old->roles[i], role) ? SL_OK : grant_add(g, old->roles[i], err));
    }
    sl_buf_addf(&name, "grant/%.*s", SL_STR_ARG(old->name));
    roles_value(g, &value);
    SL_TRY(sl_buf_done(&name, err));
    SL_TRY(sl_buf_done(&value, err));
    struct sl_record *record = &r->records[r->count]; /* the first is the role's */
    record->name = sl_arena_str(&r->arena, sl_buf_str(&name));
    record->value = sl_arena_str(&r->arena, sl_buf_str(&value));
    bool is_kept = record->name.ptr != NULL && record->value.ptr != NULL;
    if (g->count == 0) {
        record->value = (struct sl_str){0};
    }
    return is_kept ? SL_OK : SL_NOMEM(err);
}

static sl_rc prepare_removal(struct sl_auth *auth, struct sl_str role, struct removal *r,
                             struct sl_err *err)
{
    uint32_t room = auth->grants.count + 1;
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    r->records = sl_arena_array(&r->arena, struct sl_record, (size_t)room + 1);
    r->made = sl_arena_array(&r->arena, struct sli_grant *, room);
    if (r->records == NULL || r->made == NULL) {
        return SL_NOMEM(err);
    }
    sl_buf_addf(&name, "role/%.*s", SL_STR_ARG(role));
    SL_TRY(sl_buf_done(&name, err));
    r->records[0].name = sl_arena_str(&r->arena, sl_buf_str(&name));
    if (r->records[0].name.ptr == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < auth->grants.count; i++) {
        const struct sli_grant *old = auth->grants.items[i];
        SL_TRY(has_role(old, role) ? removal_add(r, old, role, err) : SL_OK);
    }
    return SL_OK;
}

static sl_rc delete_locked(struct sl_auth *auth, struct sl_str role, struct removal *r,
                           struct sl_err *err)
{
    SL_TRY(prepare_removal(auth, role, r, err));
    SL_TRY(sli_store(auth, r->records, r->count + 1, err));
    sl_rwlock_write(&auth->state);
    struct sli_role *old = sli_set_remove(&auth->roles, role);
    for (uint32_t i = 0; i < r->count; i++) { /* what they replace is freed with the removal */
        if (r->made[i]->count == 0) {
            sli_grant_free(sli_set_remove(&auth->grants, r->made[i]->name));
        } else {
            r->made[i] = sli_set_put(&auth->grants, r->made[i]);
        }
    }
    sl_rwlock_unlock(&auth->state);
    sli_role_free(old);
    return SL_OK;
}

sl_rc sl_auth_role_delete(struct sl_auth *auth, struct sl_str name, struct sl_err *err)
{
    SL_TRY(sli_check_rbac(auth, err));
    if (sli_is_builtin(name)) {
        return SL_FAIL(err, SL_EBADREQ, "you cannot delete built-in role %.*s", SL_STR_ARG(name));
    }
    struct removal r = {0};
    sl_mutex_lock(&auth->change);
    sl_rc rc =
        sli_set_find(&auth->roles, name) == NULL ? SL_OK : delete_locked(auth, name, &r, err);
    sl_mutex_unlock(&auth->change);
    removal_fini(&r);
    return rc;
}

struct sli_grant *sli_grant_take_locked(struct sl_auth *auth, struct sl_str user)
{
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    grant_key(SL_TO_DB_USER, user, &key);
    return key.is_failed ? NULL : sli_set_remove(&auth->grants, sl_buf_str(&key));
}
