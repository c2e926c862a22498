/* The route table and the way of a call through it: path, method, body, handler, error.
 *
 * Rows of one path stand together. '*' is one segment, handed to the handler decoded. A trailing
 * slash is tolerated. The order of refusals is the reference's: unknown path 404, method 405,
 * content type 415, body 422 or 400, then the handler's own. */
#include "api/api_int.h"

#include <strings.h>

#define DEPTH_MAX 120 /* the reply's writer has a few levels more (SL_JSON_DEPTH_MAX) */
/* 128 of the widest vectors (65,535) in one request. A parsed value takes about 48 bytes (jansson's
 * number, its block and its place in an array), so this many take 400 MB. */
#define VALUES_MAX  (8 * 1024 * 1024)
#define VALUE_BYTES 48

const struct sli_route sli_routes[] = {
    {"GET", "/", sli_get_root, SLI_NO_BODY, false, NULL},
    {"GET", "/v1", sli_get_links, SLI_NO_BODY, false, NULL},
    {"GET", "/v1/meta", sli_get_meta, SLI_NO_BODY, false, NULL},
    {"GET", "/v1/.well-known/live", sli_get_live, SLI_NO_BODY, false, NULL},
    {"GET", "/v1/.well-known/ready", sli_get_ready, SLI_NO_BODY, false, NULL},
    {"GET", "/v1/.well-known/openid-configuration", sli_get_openid, SLI_NO_BODY, false, NULL},
    {"GET", "/v1/nodes", sli_get_nodes, SLI_NO_BODY, false, "read_nodes"},
    {"GET", "/v1/nodes/*", sli_get_nodes, SLI_NO_BODY, false, "read_nodes"},
    {"GET", "/v1/schema", sli_get_schema, SLI_NO_BODY, true, "read_collections"},
    {"POST", "/v1/schema", sli_post_schema, SLI_JSON_BODY, true, "create_collections"},
    {"GET", "/v1/schema/*", sli_get_class, SLI_NO_BODY, true, "read_collections"},
    {"PUT", "/v1/schema/*", sli_put_class, SLI_JSON_BODY, true, "update_collections"},
    {"DELETE", "/v1/schema/*", sli_delete_class, SLI_NO_BODY, true, "delete_collections"},
    {"POST", "/v1/schema/*/properties", sli_post_property, SLI_JSON_BODY, true,
     "update_collections"},
    {"GET", "/v1/schema/*/shards", sli_get_shards, SLI_NO_BODY, true, "read_collections"},
    {"GET", "/v1/schema/*/tenants", sli_get_tenants, SLI_NO_BODY, false, "read_tenants"},
    {"POST", "/v1/schema/*/tenants", sli_post_tenants, SLI_JSON_BODY, false, "create_tenants"},
    {"PUT", "/v1/schema/*/tenants", sli_put_tenants, SLI_JSON_BODY, false, "update_tenants"},
    {"DELETE", "/v1/schema/*/tenants", sli_delete_tenants, SLI_JSON_BODY, false, "delete_tenants"},
    {"GET", "/v1/schema/*/tenants/*", sli_get_tenant, SLI_NO_BODY, false, "read_tenants"},
    {"HEAD", "/v1/schema/*/tenants/*", sli_get_tenant, SLI_NO_BODY, false, "read_tenants"},
    {"GET", "/v1/objects", sli_get_objects, SLI_NO_BODY, false, "read_data"},
    {"POST", "/v1/objects", sli_post_objects, SLI_JSON_BODY, false, "create_data"},
    {"GET", "/v1/objects/*/*", sli_get_object, SLI_NO_BODY, false, "read_data"},
    {"HEAD", "/v1/objects/*/*", sli_head_object, SLI_NO_BODY, false, "read_data"},
    {"PUT", "/v1/objects/*/*", sli_put_object, SLI_JSON_BODY, false, "update_data"},
    {"PATCH", "/v1/objects/*/*", sli_patch_object, SLI_JSON_BODY, false, "update_data"},
    {"DELETE", "/v1/objects/*/*", sli_delete_object, SLI_OPTIONAL_BODY, false, "delete_data"},
    {"POST", "/v1/objects/*/*/references/*", sli_post_reference, SLI_JSON_BODY, false,
     "update_data"},
    {"PUT", "/v1/objects/*/*/references/*", sli_put_reference, SLI_JSON_BODY, false, "update_data"},
    {"DELETE", "/v1/objects/*/*/references/*", sli_delete_reference, SLI_JSON_BODY, false,
     "update_data"},
    {"POST", "/v1/batch/objects", sli_batch_objects, SLI_JSON_BODY, false, "create_data"},
    {"POST", "/v1/batch/references", sli_batch_references, SLI_JSON_BODY, false, "update_data"},
    {"GET", "/v1/export/*", sli_list_exports, SLI_NO_BODY, false, "manage_backups"},
    {"POST", "/v1/export/*", sli_post_export, SLI_JSON_BODY, false, "manage_backups"},
    {"GET", "/v1/export/*/*", sli_get_export, SLI_NO_BODY, false, "manage_backups"},
    {"DELETE", "/v1/export/*/*", sli_delete_export, SLI_OPTIONAL_BODY, false, "manage_backups"},
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
    c->body = json_loadb((const char *)c->body_bytes.ptr, c->body_bytes.len,
                         JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, &why);
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

static void run(struct sli_call *c, const struct sli_route *r)
{
    struct sl_err err = {0};
    c->is_schema = r->is_schema;
    sl_rc rc = decode_segments(c, &err);
    if (rc == SL_OK && !parse_body(c, r->body)) {
        return;
    }
    c->status = 200;
    if (rc == SL_OK) {
        rc = r->handler(c, &err);
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
        struct sl_str wild[SLI_SEGMENTS_MAX];
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
