/* The route table and the way of a call through it: path, method, body, handler, error.
 *
 * Rows of one path stand together. '*' is one segment, handed to the handler decoded. A trailing
 * slash is tolerated. The order of refusals is the reference's: unknown path 404, method 405,
 * content type 415, body 422 or 400, then the handler's own. */
#include "api/api_int.h"

enum body { NO_BODY, JSON_BODY, OPTIONAL_BODY };

static const struct route {
    const char *method, *path;
    sli_handler *handler;
    enum body body;
    bool is_schema; /* its 422 carries "allowed":null */
} routes[] = {
    {"GET", "/", sli_get_root, NO_BODY, false},
    {"GET", "/v1", sli_get_links, NO_BODY, false},
    {"GET", "/v1/meta", sli_get_meta, NO_BODY, false},
    {"GET", "/v1/.well-known/live", sli_get_live, NO_BODY, false},
    {"GET", "/v1/.well-known/ready", sli_get_ready, NO_BODY, false},
    {"GET", "/v1/.well-known/openid-configuration", sli_get_openid, NO_BODY, false},
    {"GET", "/v1/nodes", sli_get_nodes, NO_BODY, false},
    {"GET", "/v1/nodes/*", sli_get_nodes, NO_BODY, false},
    {"GET", "/v1/schema", sli_get_schema, NO_BODY, true},
    {"POST", "/v1/schema", sli_post_schema, JSON_BODY, true},
    {"GET", "/v1/schema/*", sli_get_class, NO_BODY, true},
    {"PUT", "/v1/schema/*", sli_put_class, JSON_BODY, true},
    {"DELETE", "/v1/schema/*", sli_delete_class, NO_BODY, true},
    {"POST", "/v1/schema/*/properties", sli_post_property, JSON_BODY, true},
    {"GET", "/v1/schema/*/shards", sli_get_shards, NO_BODY, true},
    {"GET", "/v1/schema/*/tenants", sli_get_tenants, NO_BODY, false},
    {"POST", "/v1/schema/*/tenants", sli_post_tenants, JSON_BODY, false},
    {"PUT", "/v1/schema/*/tenants", sli_put_tenants, JSON_BODY, false},
    {"DELETE", "/v1/schema/*/tenants", sli_delete_tenants, JSON_BODY, false},
    {"GET", "/v1/schema/*/tenants/*", sli_get_tenant, NO_BODY, false},
    {"HEAD", "/v1/schema/*/tenants/*", sli_get_tenant, NO_BODY, false},
    {"GET", "/v1/objects", sli_get_objects, NO_BODY, false},
    {"POST", "/v1/objects", sli_post_objects, JSON_BODY, false},
    {"GET", "/v1/objects/*/*", sli_get_object, NO_BODY, false},
    {"HEAD", "/v1/objects/*/*", sli_head_object, NO_BODY, false},
    {"PUT", "/v1/objects/*/*", sli_put_object, JSON_BODY, false},
    {"PATCH", "/v1/objects/*/*", sli_patch_object, JSON_BODY, false},
    {"DELETE", "/v1/objects/*/*", sli_delete_object, OPTIONAL_BODY, false},
    {"POST", "/v1/objects/*/*/references/*", sli_post_reference, JSON_BODY, false},
    {"PUT", "/v1/objects/*/*/references/*", sli_put_reference, JSON_BODY, false},
    {"DELETE", "/v1/objects/*/*/references/*", sli_delete_reference, JSON_BODY, false},
    {"POST", "/v1/batch/objects", sli_batch_objects, JSON_BODY, false},
    {"POST", "/v1/batch/references", sli_batch_references, JSON_BODY, false},
    {"GET", "/v1/export/*", sli_list_exports, NO_BODY, false},
    {"POST", "/v1/export/*", sli_post_export, JSON_BODY, false},
    {"GET", "/v1/export/*/*", sli_get_export, NO_BODY, false},
    {"DELETE", "/v1/export/*/*", sli_delete_export, OPTIONAL_BODY, false},
};

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

/* The segment at the front of *path, which moves past it; false at the end. */
static bool next_segment(struct sl_str *path, struct sl_str *ret)
{
    while (path->len > 0 && path->ptr[0] == '/') {
        path->ptr++;
        path->len--;
    }
    if (path->len == 0) {
        return false;
    }
    const char *slash = memchr(path->ptr, '/', path->len);
    size_t len = slash == NULL ? path->len : (size_t)(slash - path->ptr);
    *ret = (struct sl_str){path->ptr, len};
    path->ptr += len;
    path->len -= len;
    return true;
}

/* Does the path fit the pattern? Wild segments are noted, still encoded. */
static bool fits(const char *pattern, struct sl_str path, struct sl_str *wild, uint32_t *count)
{
    struct sl_str want_rest = sl_str_from(pattern), want, got;
    *count = 0;
    for (;;) {
        bool has_want = next_segment(&want_rest, &want), has_got = next_segment(&path, &got);
        if (!has_want || !has_got) {
            return has_want == has_got;
        }
        if (sl_str_is(want, "*")) {
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

static bool is_json_type(struct sl_str type)
{
    const char *semicolon = type.len == 0 ? NULL : memchr(type.ptr, ';', type.len);
    struct sl_str base = {type.ptr, semicolon == NULL ? type.len : (size_t)(semicolon - type.ptr)};
    base = sl_str_trim(base);
    return base.len == 16 && strncasecmp(base.ptr, "application/json", 16) == 0;
}

/* Parses the body; false when a reply was made. */
static bool parse_body(struct sli_call *c, enum body kind)
{
    if (kind == NO_BODY || (kind == OPTIONAL_BODY && c->body_bytes.len == 0)) {
        return true;
    }
    if (c->has_body && !is_json_type(c->content_type)) {
        struct sl_str type =
            c->content_type.len == 0 ? SL_STR("application/octet-stream") : c->content_type;
        sli_reply_code(
            c, 415,
            "unsupported media type \"%.*s\", only [application/json application/yaml] are "
            "allowed",
            SL_STR_ARG(type));
        return false;
    }
    if (sl_str_trim(sl_buf_str(&c->body_bytes)).len == 0) {
        sli_reply_code(c, SL_DB_SWAGGER_REQUIRED, "body in body is required");
        return false;
    }
    uint32_t depth = sl_json_depth(sl_buf_view(&c->body_bytes));
    if (depth != UINT32_MAX && depth > SL_JSON_DEPTH_MAX - 8) {
        sli_reply_code(c, 400,
                       "parsing body body from \"\" failed, because it is nested deeper than %d",
                       SL_JSON_DEPTH_MAX - 8);
        return false;
    }
    json_error_t why;
    c->body = json_loadb((const char *)c->body_bytes.ptr, c->body_bytes.len,
                         JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, &why);
    sl_buf_fini(&c->body_bytes); /* the parsed form is the larger one already */
    if (c->body == NULL) {
        sli_reply_code(c, 400, "parsing body body from \"\" failed, because %s at byte %d",
                       why.text, why.position);
        return false;
    }
    return true;
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

static void run(struct sli_call *c, const struct route *r)
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
    for (size_t i = 0; i < SL_COUNT_OF(routes); i++) {
        const struct route *r = &routes[i];
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
