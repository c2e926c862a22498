/* The route table and the way of a call through it: path, method, body, handler, error.
 *
 * Rows of one path stand together. '*' is one segment, handed to the handler decoded. A trailing
 * slash is tolerated. The order of refusals is the reference's: unknown path 404, method 405,
 * not known 401, not allowed 403, content type 415, body 422 or 400, then the handler's own. A row
 * has two handlers: over our database, and over foreign data. */
#include "api/api_int.h"

#include <strings.h>

#define DEPTH_MAX 120 /* the reply's writer has a few levels more (SL_JSON_DEPTH_MAX) */
/* 128 of the widest vectors (65,535) in one request. A parsed value takes about 48 bytes (jansson's
 * number, its block and its place in an array), so this many take 400 MB. */
#define VALUES_MAX       (8 * 1024 * 1024)
#define VALUE_BYTES      48
#define QUICK_SHARDS_MAX 64 /* of a status written by a server thread: about 20 us */

/* Who may: anybody; anybody who is known; who may do the verb on what the path or the body names;
 * or the handler asks, because it filters, or because the request names several things. */
#define OPEN            \
    {                   \
        .how = SLI_OPEN \
    }
#define KNOWN            \
    {                    \
        .how = SLI_KNOWN \
    }
#define PATH(verb, domain)                     \
    {                                          \
        SLI_BY_PATH, SL_##verb, SL_ON_##domain \
    }
#define BODY(verb, domain)                     \
    {                                          \
        SLI_BY_BODY, SL_##verb, SL_ON_##domain \
    }
#define HANDLER(verb, domain)                     \
    {                                             \
        SLI_BY_HANDLER, SL_##verb, SL_ON_##domain \
    }

const struct sli_route sli_routes[] = {
    {"GET", "/", sli_get_root, sli_get_root, SLI_NO_BODY, false, OPEN},
    {"GET", "/v1", sli_get_links, sli_get_links, SLI_NO_BODY, false, OPEN},
    {"GET", "/v1/meta", sli_get_meta, sli_get_meta, SLI_NO_BODY, false, KNOWN},
    {"GET", "/v1/.well-known/live", sli_get_live, sli_get_live, SLI_NO_BODY, false, OPEN},
    {"GET", "/v1/.well-known/ready", sli_get_ready, sli_foreign_ready, SLI_NO_BODY, false, OPEN},
    {"GET", "/v1/.well-known/openid-configuration", sli_get_openid, sli_get_openid, SLI_NO_BODY,
     false, OPEN},
    {"GET", "/v1/nodes", sli_get_nodes, sli_get_nodes, SLI_NO_BODY, false, PATH(READ, NODES)},
    {"GET", "/v1/nodes/*", sli_get_nodes, sli_get_nodes, SLI_NO_BODY, false, PATH(READ, NODES)},
    {"GET", "/v1/schema", sli_get_schema, sli_foreign_schema, SLI_NO_BODY, true,
     HANDLER(READ, COLLECTIONS)},
    {"POST", "/v1/schema", sli_post_schema, NULL, SLI_JSON_BODY, true, BODY(CREATE, COLLECTIONS)},
    {"GET", "/v1/schema/*", sli_get_class, sli_foreign_class, SLI_NO_BODY, true,
     PATH(READ, COLLECTIONS)},
    {"PUT", "/v1/schema/*", sli_put_class, NULL, SLI_JSON_BODY, true, PATH(UPDATE, COLLECTIONS)},
    {"DELETE", "/v1/schema/*", sli_delete_class, NULL, SLI_NO_BODY, true,
     PATH(DELETE, COLLECTIONS)},
    {"POST", "/v1/schema/*/properties", sli_post_property, NULL, SLI_JSON_BODY, true,
     PATH(UPDATE, COLLECTIONS)},
    {"GET", "/v1/schema/*/shards", sli_get_shards, sli_foreign_shards, SLI_NO_BODY, true,
     PATH(READ, COLLECTIONS)},
    {"GET", "/v1/schema/*/tenants", sli_get_tenants, sli_foreign_tenants, SLI_NO_BODY, false,
     HANDLER(READ, TENANTS)},
    {"POST", "/v1/schema/*/tenants", sli_post_tenants, NULL, SLI_JSON_BODY, false,
     HANDLER(CREATE, TENANTS)},
    {"PUT", "/v1/schema/*/tenants", sli_put_tenants, NULL, SLI_JSON_BODY, false,
     HANDLER(UPDATE, TENANTS)},
    {"DELETE", "/v1/schema/*/tenants", sli_delete_tenants, NULL, SLI_JSON_BODY, false,
     HANDLER(DELETE, TENANTS)},
    {"GET", "/v1/schema/*/tenants/*", sli_get_tenant, sli_foreign_tenant, SLI_NO_BODY, false,
     PATH(READ, TENANTS)},
    {"HEAD", "/v1/schema/*/tenants/*", sli_get_tenant, sli_foreign_tenant, SLI_NO_BODY, false,
     PATH(READ, TENANTS)},
    {"GET", "/v1/objects", sli_get_objects, NULL, SLI_NO_BODY, false, PATH(READ, DATA)},
    {"POST", "/v1/objects", sli_post_objects, NULL, SLI_OBJECTS_BODY, false, BODY(CREATE, DATA)},
    {"GET", "/v1/objects/*/*", sli_get_object, NULL, SLI_NO_BODY, false, PATH(READ, DATA)},
    {"HEAD", "/v1/objects/*/*", sli_head_object, NULL, SLI_NO_BODY, false, PATH(READ, DATA)},
    {"PUT", "/v1/objects/*/*", sli_put_object, NULL, SLI_OBJECTS_BODY, false, PATH(UPDATE, DATA)},
    {"PATCH", "/v1/objects/*/*", sli_patch_object, NULL, SLI_OBJECTS_BODY, false,
     PATH(UPDATE, DATA)},
    {"DELETE", "/v1/objects/*/*", sli_delete_object, NULL, SLI_OPTIONAL_BODY, false,
     PATH(DELETE, DATA)},
    {"POST", "/v1/objects/*/*/references/*", sli_post_reference, NULL, SLI_JSON_BODY, false,
     PATH(UPDATE, DATA)},
    {"PUT", "/v1/objects/*/*/references/*", sli_put_reference, NULL, SLI_JSON_BODY, false,
     PATH(UPDATE, DATA)},
    {"DELETE", "/v1/objects/*/*/references/*", sli_delete_reference, NULL, SLI_JSON_BODY, false,
     PATH(UPDATE, DATA)},
    {"POST", "/v1/batch/objects", sli_batch_objects, NULL, SLI_OBJECTS_BODY, false,
     HANDLER(CREATE, DATA)},
    {"POST", "/v1/batch/references", sli_batch_references, NULL, SLI_JSON_BODY, false,
     HANDLER(UPDATE, DATA)},
    {"GET", "/v1/export/*", sli_list_exports, sli_list_exports, SLI_NO_BODY, false,
     HANDLER(READ, BACKUPS)},
    {"POST", "/v1/export/*", sli_post_export, sli_post_export, SLI_JSON_BODY, false,
     HANDLER(CREATE, BACKUPS)},
    {"GET", "/v1/export/*/*", sli_get_export, sli_get_export, SLI_NO_BODY, false,
     HANDLER(READ, BACKUPS)},
    {"DELETE", "/v1/export/*/*", sli_delete_export, sli_delete_export, SLI_OPTIONAL_BODY, false,
     HANDLER(DELETE, BACKUPS)},
    {"GET", "/v1/authz/roles", sli_get_roles, sli_get_roles, SLI_NO_BODY, false,
     HANDLER(READ, ROLES)},
    {"POST", "/v1/authz/roles", sli_post_role, sli_post_role, SLI_JSON_BODY, false,
     HANDLER(CREATE, ROLES)},
    {"GET", "/v1/authz/roles/*", sli_get_role, sli_get_role, SLI_NO_BODY, false, PATH(READ, ROLES)},
    {"DELETE", "/v1/authz/roles/*", sli_delete_role, sli_delete_role, SLI_OPTIONAL_BODY, false,
     PATH(DELETE, ROLES)},
    {"POST", "/v1/authz/roles/*/add-permissions", sli_add_permissions, sli_add_permissions,
     SLI_JSON_BODY, false, HANDLER(UPDATE, ROLES)},
    {"POST", "/v1/authz/roles/*/remove-permissions", sli_remove_permissions, sli_remove_permissions,
     SLI_JSON_BODY, false, HANDLER(UPDATE, ROLES)},
    {"POST", "/v1/authz/roles/*/has-permission", sli_has_permission, sli_has_permission,
     SLI_JSON_BODY, false, PATH(READ, ROLES)},
    {"GET", "/v1/authz/roles/*/user-assignments", sli_get_role_users, sli_get_role_users,
     SLI_NO_BODY, false, PATH(READ, ROLES)},
    {"GET", "/v1/authz/roles/*/users", sli_get_role_user_ids, sli_get_role_user_ids, SLI_NO_BODY,
     false, PATH(READ, ROLES)},
    {"GET", "/v1/authz/roles/*/group-assignments", sli_get_role_groups, sli_get_role_groups,
     SLI_NO_BODY, false, PATH(READ, ROLES)},
    {"POST", "/v1/authz/users/*/assign", sli_assign_user, sli_assign_user, SLI_JSON_BODY, false,
     PATH(ASSIGN, USERS)},
    {"POST", "/v1/authz/users/*/revoke", sli_revoke_user, sli_revoke_user, SLI_JSON_BODY, false,
     PATH(ASSIGN, USERS)},
    {"GET", "/v1/authz/users/*/roles/*", sli_get_user_roles, sli_get_user_roles, SLI_NO_BODY, false,
     HANDLER(READ, USERS)},
    {"POST", "/v1/authz/groups/*/assign", sli_assign_group, sli_assign_group, SLI_JSON_BODY, false,
     PATH(ASSIGN, GROUPS)},
    {"POST", "/v1/authz/groups/*/revoke", sli_revoke_group, sli_revoke_group, SLI_JSON_BODY, false,
     PATH(ASSIGN, GROUPS)},
    {"GET", "/v1/authz/groups/*/roles/*", sli_get_group_roles, sli_get_group_roles, SLI_NO_BODY,
     false, PATH(READ, GROUPS)},
    {"GET", "/v1/authz/groups/oidc", sli_get_groups, sli_get_groups, SLI_NO_BODY, false,
     PATH(READ, GROUPS)},
    {"GET", "/v1/users/own-info", sli_get_own_info, sli_get_own_info, SLI_NO_BODY, false, KNOWN},
    {"GET", "/v1/users/db", sli_get_users, sli_get_users, SLI_NO_BODY, false, HANDLER(READ, USERS)},
    {"GET", "/v1/users/db/*", sli_get_user, sli_get_user, SLI_NO_BODY, false, PATH(READ, USERS)},
    {"POST", "/v1/users/db/*", sli_post_user, sli_post_user, SLI_OPTIONAL_BODY, false,
     PATH(CREATE, USERS)},
    {"DELETE", "/v1/users/db/*", sli_delete_user, sli_delete_user, SLI_OPTIONAL_BODY, false,
     PATH(DELETE, USERS)},
    {"POST", "/v1/users/db/*/rotate-key", sli_rotate_key, sli_rotate_key, SLI_OPTIONAL_BODY, false,
     PATH(UPDATE, USERS)},
    {"POST", "/v1/users/db/*/activate", sli_activate_user, sli_activate_user, SLI_OPTIONAL_BODY,
     false, PATH(UPDATE, USERS)},
    {"POST", "/v1/users/db/*/deactivate", sli_deactivate_user, sli_deactivate_user,
     SLI_OPTIONAL_BODY, false, PATH(UPDATE, USERS)},
};
const size_t sli_route_count = SL_COUNT_OF(sli_routes);

struct sl_str sli_query(const struct sli_call *c, const char *key)
{
    for (uint32_t i = 0; i < c->query_count; i++) {
        if (sl_str_is(c->query[i].key, key)) {
            return c->query[i].value;
        }
    }
    return SL_STR("");
}

bool sli_query_has(const struct sli_call *c, const char *key)
{
    for (uint32_t i = 0; i < c->query_count; i++) {
        if (sl_str_is(c->query[i].key, key)) {
            return true;
        }
    }
    return false;
}

/* ---- path ---- */

/* The segment after the '/' at the front of *path, which moves past it; false at the end. */
static bool next_segment(struct sl_str *path, struct sl_str *ret)
{
    if (path->len == 0 || path->ptr[0] != '/') {
        return false;
    }
    struct sl_str rest = {path->ptr + 1, path->len - 1};
    const char *slash = rest.len == 0 ? NULL : memchr(rest.ptr, '/', rest.len);
    *ret = (struct sl_str){rest.ptr, slash == NULL ? rest.len : (size_t)(slash - rest.ptr)};
    *path = (struct sl_str){rest.ptr + ret->len, rest.len - ret->len};
    return true;
}

/* Does the path fit the pattern? Wild segments are noted, still encoded. An empty segment fits no
 * '*': the tenants of a class without a name must not become a class named tenants. */
static bool fits(const char *pattern, struct sl_str path, struct sl_str *wild, uint32_t *count)
{
    struct sl_str want_rest = sl_str_from(pattern), want, got;
    *count = 0;
    if (path.len > 1 && path.ptr[path.len - 1] == '/') {
        path.len--;
    }
    for (;;) {
        bool has_want = next_segment(&want_rest, &want), has_got = next_segment(&path, &got);
        if (!has_want || !has_got) {
            return has_want == has_got;
        }
        if (sl_str_is(want, "*") && got.len > 0) {
            wild[(*count)++] = got;
        } else if (!sl_str_eq(want, got)) {
            return false;
        }
    }
}

static sl_rc decode_segments(struct sli_call *c, struct sl_err *err)
{
    for (uint32_t i = 0; i < c->segment_count; i++) {
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        if (!sl_percent_decode(c->segments[i], &text) ||
            sl_utf8_valid_len(sl_buf_str(&text)) != text.len) {
            return SL_FAIL(err, SL_EBADREQ, "the path is not valid percent-encoded UTF-8");
        }
        SL_TRY(sl_buf_done(&text, err));
        c->segments[i] = sl_arena_str(&c->arena, sl_buf_str(&text));
        if (c->segments[i].ptr == NULL) {
            return SL_NOMEM(err);
        }
    }
    return SL_OK;
}

/* ---- body ---- */

static struct sl_str media_type(const struct sli_call *c)
{
    struct sl_str type = c->content_type;
    const char *semicolon = type.len == 0 ? NULL : memchr(type.ptr, ';', type.len);
    return sl_str_trim(
        (struct sl_str){type.ptr, semicolon == NULL ? type.len : (size_t)(semicolon - type.ptr)});
}

static bool is_type(struct sl_str type, const char *name)
{
    return type.len == strlen(name) && strncasecmp(type.ptr, name, type.len) == 0;
}

/* The reference takes YAML with key names of its own that no client sends; here it is refused. */
static void refuse_type(struct sli_call *c, struct sl_str type)
{
    if (is_type(type, "application/yaml")) {
        sli_reply_code(c, 415, "YAML is not supported; send application/json");
        return;
    }
    struct sl_str told = type.len == 0 ? SL_STR("application/octet-stream") : type;
    sli_reply_code(c, 415,
                   "unsupported media type \"%.*s\", only [application/json application/yaml] are "
                   "allowed",
                   SL_STR_ARG(told));
}

/* How many values the text has at most: each but the first follows one of these bytes. Commas
 * inside texts are counted, too; that errs on the safe side and costs one plain pass. */
static uint64_t values_at_most(struct sl_bytes text)
{
    uint64_t n = 1;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t b = text.ptr[i];
        n += (b == ',') + (b == ':') + (b == '[') + (b == '{');
    }
    return n;
}

static bool check_size(struct sli_call *c)
{
    uint32_t depth = sl_json_depth(sl_buf_view(&c->body_bytes));
    if (depth != UINT32_MAX && depth > DEPTH_MAX) {
        sli_reply_code(c, 400,
                       "parsing body body from \"\" failed, because it is nested deeper than %d",
                       DEPTH_MAX);
        return false;
    }
    uint64_t values = values_at_most(sl_buf_view(&c->body_bytes));
    if (values > VALUES_MAX) {
        sli_reply_code(c, 413,
                       "the body has more than %d values; send fewer objects in one request",
                       VALUES_MAX);
        return false;
    }
    c->tree_ticket = values * VALUE_BYTES;
    return true;
}

/* Parses the body; false when a reply was made. Waits while the trees of other requests leave no
 * room; they are given back when their handlers end. */
static bool parse_body(struct sli_call *c, enum sli_body kind)
{
    if (kind == SLI_NO_BODY || (kind == SLI_OPTIONAL_BODY && c->body_bytes.len == 0)) {
        return true;
    }
    struct sl_str type = media_type(c);
    if (c->has_body && !is_type(type, "application/json")) {
        refuse_type(c, type);
        return false;
    }
    if (sl_str_trim(sl_buf_str(&c->body_bytes)).len == 0) {
        sli_reply_code(c, SL_DB_SWAGGER_REQUIRED, "body in body is required");
        return false;
    }
    if (!check_size(c)) {
        return false;
    }
    SL_IGNORE(sl_budget_take(c->trees, c->tree_ticket, NULL), "without a token it only waits");
    json_error_t why;
    size_t flags = JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY;
    flags |= kind == SLI_OBJECTS_BODY ? JSON_ALLOW_NUL : 0;
    c->body = json_loadb((const char *)c->body_bytes.ptr, c->body_bytes.len, flags, &why);
    if (c->body == NULL) {
        sl_budget_give(c->trees, c->tree_ticket);
        sli_reply_code(c, 400, "parsing body body from \"\" failed, because %s at byte %d",
                       why.text, why.position);
        return false;
    }
    sl_buf_fini(&c->body_bytes); /* the parsed form is the larger one already */
    return true;
}

/* Nothing of the body outlives the handler, however slowly the client takes the reply. */
static void drop_body(struct sli_call *c)
{
    if (c->body != NULL) {
        json_decref(c->body);
        c->body = NULL;
        sl_budget_give(c->trees, c->tree_ticket);
    }
}

/* ---- the way of a call ---- */

static void not_found(struct sli_call *c)
{
    sli_reply_code(c, 404, "path %.*s was not found", SL_STR_ARG(c->path));
}

static void not_allowed(struct sli_call *c, struct sl_buf *methods)
{
    sli_reply_code(c, 405, "method %.*s is not allowed, but [%s] are", SL_STR_ARG(c->method),
                   sl_buf_cstr(methods));
    c->allow = sl_arena_str(&c->arena, sl_buf_str(methods));
}

/* Before the body is looked at: nothing about it could change the answer. */
static sl_rc choose_handler(const struct sli_call *c, const struct sli_route *r, sli_handler **ret,
                            struct sl_err *err)
{
    *ret = c->opts->foreign == NULL ? r->handler : r->foreign;
    return *ret != NULL
               ? SL_OK
               : SL_FAIL(err, SL_EINVAL,
                         "this node reads the Weaviate data at %s and only exports it; send writes "
                         "and calls on objects to the server that owns the data",
                         c->opts->foreign_path);
}

/* ---- who asks, and may they ---- */

/* A wrong or missing token. The reference writes the second by hand, as text. */
static void refuse_unknown(struct sli_call *c, sl_rc rc, const struct sl_err *err)
{
    if (rc != SL_EUNAUTH || c->token.len > 0) {
        sli_reply_code(c, sl_rc_http(rc), "%s", sl_err_text(err, rc));
        return;
    }
    c->status = 401;
    c->is_text = true;
    sl_buf_clear(&c->out);
    sl_buf_addf(&c->out, "{\"code\":401,\"message\": \"%s\" }", sl_err_text(err, rc));
}

static struct sl_str member(const struct sli_call *c, const char *key)
{
    json_t *value = json_object_get(c->body, key);
    return (struct sl_str){json_string_value(value), json_string_length(value)};
}

/* What the segments and arguments of the path name; absent ones are all. */
static struct sl_resource named_by_path(const struct sli_call *c, enum sl_domain domain)
{
    struct sl_resource what = {.domain = domain, .names = {c->segments[0], c->segments[1]}};
    if (domain == SL_ON_DATA) {
        what.names[2] = what.names[1];
        what.names[1] = sli_query(c, "tenant");
        what.names[0] = c->segment_count == 0 ? sli_query(c, "class") : what.names[0];
    } else if (domain == SL_ON_NODES) {
        bool is_verbose = sl_str_is(sli_query(c, "output"), "verbose");
        what.names[1] = what.names[0];
        what.names[0] = is_verbose ? SL_STR("verbose") : SL_STR("minimal");
    } else if (domain == SL_ON_ROLES) {
        what.names[1] = SL_STR("match");
    } else if (domain == SL_ON_GROUPS) {
        what.names[1] = SL_STR("oidc");
    }
    return what;
}

static sl_rc check_path(const struct sli_call *c, const struct sli_guard *guard, struct sl_err *err)
{
    struct sl_resource what = named_by_path(c, guard->domain);
    switch (guard->how) {
    case SLI_FORGOTTEN:
        return SL_FAIL(err, SL_EFORBIDDEN, "nobody may make this call: it names no permission");
    case SLI_BY_PATH:
        return sli_ask(&c->asker, guard->verb, &what, err);
    case SLI_OPEN:
    case SLI_KNOWN:
    case SLI_BY_BODY:
    case SLI_BY_HANDLER:
        return SL_OK;
    }
    return SL_EINTERNAL;
}

static sl_rc check_body(const struct sli_call *c, const struct sli_guard *guard, struct sl_err *err)
{
    if (guard->how != SLI_BY_BODY) {
        return SL_OK;
    }
    struct sl_resource what = {guard->domain, {member(c, "class"), member(c, "tenant")}};
    return sli_ask(&c->asker, guard->verb, &what, err);
}

static bool identify(struct sli_call *c, const struct sli_guard *guard)
{
    struct sl_err err = {0};
    c->asker.auth = c->opts->auth;
    if (guard->how == SLI_OPEN) {
        return true;
    }
    sl_rc rc =
        sl_auth_identify(c->opts->auth, c->token, c->asker.peer, &c->arena, &c->asker.who, &err);
    if (rc != SL_OK) {
        refuse_unknown(c, rc, &err);
    }
    return rc == SL_OK;
}

static void run(struct sli_call *c, const struct sli_route *r)
{
    struct sl_err err = {0};
    sli_handler *handler = NULL;
    if (!identify(c, &r->guard)) {
        return;
    }
    c->is_schema = r->is_schema;
    sl_rc rc = decode_segments(c, &err);
    if (rc == SL_OK) {
        rc = check_path(c, &r->guard, &err);
    }
    if (rc == SL_OK) {
        rc = choose_handler(c, r, &handler, &err);
    }
    if (rc == SL_OK && !parse_body(c, r->body)) {
        return;
    }
    c->status = 200;
    if (rc == SL_OK) {
        rc = check_body(c, &r->guard, &err);
    }
    if (rc == SL_OK) {
        rc = handler(c, &err);
    }
    drop_body(c);
    if (rc == SL_OK) {
        rc = sl_buf_done(&c->out, &err);
    }
    if (rc != SL_OK) {
        sli_reply_error(c, rc, &err);
    }
}

void sli_route(struct sli_call *c)
{
    SL_AUTO(sl_buf) methods = SL_BUF_EMPTY;
    if (sl_str_is(c->method, "OPTIONS")) {
        c->status = 200;
        return;
    }
    for (size_t i = 0; i < sli_route_count; i++) {
        const struct sli_route *r = &sli_routes[i];
        struct sl_str wild[SLI_SEGMENTS_MAX] = {0};
        uint32_t count = 0;
        if (!fits(r->path, c->path, wild, &count)) {
            continue;
        }
        if (sl_str_is(c->method, r->method)) {
            memcpy(c->segments, wild, sizeof(wild));
            c->segment_count = count;
            run(c, r);
            return;
        }
        sl_buf_addf(&methods, "%s%s", methods.len == 0 ? "" : ",", r->method);
    }
    if (methods.len == 0) {
        not_found(c);
    } else {
        not_allowed(c, &methods);
    }
}

bool sli_is_quick(const struct sli_call *c)
{
    struct sl_str wild[SLI_SEGMENTS_MAX];
    uint32_t count = 0;
    /* Only a token with dots may have to be verified with keys that an issuer must first send. */
    bool is_signed = c->token.len > 0 && memchr(c->token.ptr, '.', c->token.len) != NULL;
    if (!sl_str_is(c->method, "GET") || c->has_body || is_signed) {
        return false;
    }
    return fits("/v1/.well-known/live", c->path, wild, &count) ||
           (fits("/v1/export/*/*", c->path, wild, &count) &&
            sl_export_is_at_hand(c->opts->exports, wild[1], QUICK_SHARDS_MAX));
}
