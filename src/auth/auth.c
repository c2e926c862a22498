/* Settings, opening, and who asks.
 *
 * The rules of the settings are the reference's, with one more: anonymous access together with
 * roles is refused, because such requests could never be allowed anything. */
#include "auth/auth_int.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/str.h"

/* ---- settings ---- */

/* "a,b" as a list; an empty text is an empty list. Blanks belong to the names. */
static sl_rc parse_list(struct sl_auth *auth, const char *text, struct sli_list *ret,
                        struct sl_err *err)
{
    *ret = (struct sli_list){0};
    if (text == NULL || text[0] == '\0') {
        return SL_OK;
    }
    uint32_t count = 1;
    for (const char *p = text; *p != '\0'; p++) {
        count += *p == ',';
    }
    ret->items = sl_arena_array(&auth->arena, struct sl_str, count);
    if (ret->items == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        size_t len = strcspn(text, ",");
        ret->items[i] = sl_arena_str(&auth->arena, (struct sl_str){text, len});
        if (ret->items[i].ptr == NULL) {
            return SL_NOMEM(err);
        }
        text += len + 1;
    }
    ret->count = count;
    return SL_OK;
}

bool sli_list_has(const struct sli_list *list, struct sl_str name)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (sl_str_eq(list->items[i], name)) {
            return true;
        }
    }
    return false;
}

static sl_rc set_anonymous(struct sl_auth *auth, const char *text, struct sl_err *err)
{
    const struct sl_auth_opts *o = &auth->opts;
    bool has_scheme = o->has_keys || o->has_db_users || o->verify != NULL;
    auth->is_anonymous = !has_scheme;
    if (text[0] != '\0' && !sl_bool_parse(sl_str_from(text), &auth->is_anonymous)) {
        return SL_FAIL(err, SL_EINVAL,
                       "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED: \"%s\" is not allowed; allowed: "
                       "true, false, or empty: true when no other scheme is configured",
                       text);
    }
    if (!auth->is_anonymous && !has_scheme) {
        return SL_FAIL(err, SL_EINVAL,
                       "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED: nobody could log in, since no "
                       "other scheme is configured; set AUTHENTICATION_APIKEY_ENABLED or another");
    }
    if (auth->is_anonymous && o->has_rbac) {
        return SL_FAIL(err, SL_EINVAL,
                       "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED: cannot enable anonymous access "
                       "and rbac authorization; configure keys or users, or turn "
                       "AUTHORIZATION_RBAC_ENABLED off");
    }
    return SL_OK;
}

static sl_rc check_schemes(const struct sl_auth *auth, struct sl_err *err)
{
    const struct sl_auth_opts *o = &auth->opts;
    if (o->has_rbac && o->has_adminlist) {
        return SL_FAIL(err, SL_EINVAL,
                       "AUTHORIZATION_ADMINLIST_ENABLED: cannot enable rbac and admin list "
                       "authorization at the same time; turn one off");
    }
    for (uint32_t i = 0; i < auth->list_users.count; i++) {
        if (sli_list_has(&auth->list_readonly_users, auth->list_users.items[i])) {
            return SL_FAIL(err, SL_EINVAL,
                           "AUTHORIZATION_ADMINLIST_READONLY_USERS: \"%s\" is in "
                           "AUTHORIZATION_ADMINLIST_USERS too; name each user once",
                           auth->list_users.items[i].ptr);
        }
    }
    return SL_OK;
}

static sl_rc take_settings(struct sl_auth *auth, const struct sl_auth_opts *o, struct sl_err *err)
{
    const struct {
        const char *text;
        struct sli_list *list;
    } lists[] = {
        {o->root_users, &auth->root_users},
        {o->root_groups, &auth->root_groups},
        {o->readonly_users, &auth->readonly_users},
        {o->readonly_groups, &auth->readonly_groups},
        {o->admin_users, &auth->admin_users},
        {o->list_users, &auth->list_users},
        {o->list_readonly_users, &auth->list_readonly_users},
        {o->list_groups, &auth->list_groups},
        {o->list_readonly_groups, &auth->list_readonly_groups},
    };
    for (size_t i = 0; i < SL_COUNT_OF(lists); i++) {
        SL_TRY(parse_list(auth, lists[i].text, lists[i].list, err));
    }
    SL_TRY(sli_keys_parse(auth, o, err));
    SL_TRY(set_anonymous(auth, o->anonymous, err));
    SL_TRY(check_schemes(auth, err));
    return sli_builtin_make(auth, err);
}

sl_rc sl_auth_open(const struct sl_auth_opts *opts, struct sl_auth **ret, struct sl_err *err)
{
    struct sl_auth *auth = sl_alloc_zero(1, sizeof(*auth));
    if (auth == NULL) {
        return SL_NOMEM(err);
    }
    auth->opts = *opts;
    sl_mutex_init(&auth->change);
    sl_rwlock_init(&auth->state);
    sl_mutex_init(&auth->peers_mu);
    sl_rc rc = take_settings(auth, opts, err);
    if (rc != SL_OK) {
        sl_auth_close(auth);
        return rc;
    }
    *ret = auth;
    return SL_OK;
}

void sl_auth_close(struct sl_auth *auth)
{
    if (auth == NULL) {
        return;
    }
    for (uint32_t i = 0; i < auth->roles.count; i++) {
        sli_role_free(auth->roles.items[i]);
    }
    for (uint32_t i = 0; i < auth->users.count; i++) {
        sli_user_free(auth->users.items[i]);
    }
    for (uint32_t i = 0; i < auth->grants.count; i++) {
        sli_grant_free(auth->grants.items[i]);
    }
    for (size_t i = 0; i < SL_COUNT_OF(auth->builtin); i++) {
        sli_role_free(auth->builtin[i]);
    }
    sli_set_fini(&auth->roles);
    sli_set_fini(&auth->users);
    sli_set_fini(&auth->key_ids);
    sli_set_fini(&auth->grants);
    sl_mutex_fini(&auth->peers_mu);
    sl_rwlock_fini(&auth->state);
    sl_mutex_fini(&auth->change);
    sl_arena_fini(&auth->arena);
    sl_free(auth);
}

/* ---- records ---- */

sl_rc sl_auth_load(struct sl_auth *auth, struct sl_str name, struct sl_str value,
                   struct sl_err *err)
{
    static const struct {
        const char *prefix;
        sl_rc (*load)(struct sl_auth *auth, struct sl_str name, struct sl_str value,
                      struct sl_err *err);
    } kinds[] = {{"role/", sli_role_load}, {"user/", sli_user_load}, {"grant/", sli_grant_load}};
    for (size_t i = 0; i < SL_COUNT_OF(kinds); i++) {
        if (sl_str_starts(name, kinds[i].prefix)) {
            size_t len = strlen(kinds[i].prefix);
            struct sl_str rest = {name.ptr + len, name.len - len};
            sl_rc rc = kinds[i].load(auth, rest, value, err);
            if (rc != SL_OK) {
                sl_err_prefix(err, "record %.*s of users and roles", SL_STR_ARG(name));
            }
            return rc;
        }
    }
    return SL_FAIL(err, SL_ECORRUPT, "record %.*s of users and roles is of no known kind",
                   SL_STR_ARG(name));
}

sl_rc sli_store(struct sl_auth *auth, const struct sl_record *changes, uint32_t count,
                struct sl_err *err)
{
    return auth->opts.store(auth->opts.store_arg, changes, count, err);
}

sl_rc sli_swagger(struct sl_err *err, int code, const char *fmt, ...)
{
    char text[SL_ERR_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    sl_rc rc = SL_FAIL(err, SL_EINVAL, "%s", text);
    err->sys_errno = code;
    return rc;
}

bool sli_is_name(struct sl_str name, const char *more, size_t max)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool is_other = (c >= '0' && c <= '9') || (c != '\0' && strchr(more, c) != NULL);
        if (!is_letter && (i == 0 || !is_other)) {
            return false;
        }
    }
    return name.len > 0 && name.len <= max;
}

/* ---- who asks ---- */

static sl_rc without_token(const struct sl_auth *auth, struct sl_subject *ret, struct sl_err *err)
{
    if (auth->is_anonymous) {
        *ret = (struct sl_subject){.kind = SL_ANONYMOUS};
        return SL_OK;
    }
    bool has_keys = auth->opts.has_keys || auth->opts.has_db_users;
    bool has_oidc = auth->opts.verify != NULL;
    return SL_FAIL(err, SL_EUNAUTH,
                   "anonymous access not enabled. Please authenticate through one of the available "
                   "methods: [%s%s%s]",
                   has_keys ? "API-keys" : "", has_keys && has_oidc ? ", " : "",
                   has_oidc ? "OIDC" : "");
}

/* A JWT has two dots; no key of ours has one, and one from the environment wins. */
static bool is_jwt(struct sl_str token)
{
    uint32_t dots = 0;
    for (size_t i = 0; i < token.len; i++) {
        dots += token.ptr[i] == '.';
    }
    return dots == 2;
}

static sl_rc with_token(struct sl_auth *auth, struct sl_str token, struct sl_arena *arena,
                        struct sl_subject *ret, struct sl_err *err)
{
    const struct sl_auth_opts *o = &auth->opts;
    bool has_keys = o->has_keys || o->has_db_users;
    if (!has_keys && o->verify == NULL) {
        return SL_FAIL(err, SL_EUNAUTH,
                       "no authentication scheme is configured (API Key or OIDC), but an "
                       "'Authorization' header was provided. Please configure an auth scheme or "
                       "remove the header for anonymous access");
    }
    if (has_keys) {
        sl_rc rc = sli_apikey_check(auth, token, arena, ret, err);
        if (rc != SL_EUNAUTH || o->verify == NULL || !is_jwt(token)) {
            return rc;
        }
    }
    return o->verify(o->verify_arg, token, arena, ret, err);
}

sl_rc sl_auth_identify(struct sl_auth *auth, struct sl_str token, struct sl_str peer,
                       struct sl_arena *arena, struct sl_subject *ret, struct sl_err *err)
{
    bool has_token = token.ptr != NULL && token.len > 0;
    SL_TRY(sli_peer_ask(auth, peer, has_token, err));
    if (!has_token) {
        return without_token(auth, ret, err);
    }
    sl_rc rc = with_token(auth, token, arena, ret, err);
    if (rc == SL_EUNAUTH) {
        sli_peer_failed(auth, peer);
    }
    return rc;
}

bool sl_auth_logs_ip(const struct sl_auth *auth)
{
    return !auth->opts.is_ip_unlogged;
}
