/* Tests of the route table, of its refusals and of both error shapes. Expected texts: Weaviate's
 * REST contract, sections 1.5 and 3, as recorded from a 1.39.0 server. */
#include "api_fixture.h"

struct reply {
    int status;
    char body[4096];
    char allow[128];
};

/* A call as the server makes it when a request has arrived. */
static struct sli_call call_of(struct node *n, struct sl_budget *trees, const char *method,
                               const char *target, const char *body)
{
    static atomic_bool is_ready = true;
    struct sli_call c = {.opts = &n->opts, .is_ready = &is_ready, .trees = trees};
    const char *question = strchr(target, '?');
    const char *equals = question == NULL ? NULL : strchr(question, '=');
    c.method = sl_str_from(method);
    c.path = sl_str_from(target);
    if (equals != NULL) { /* one argument is enough here */
        c.path.len = (size_t)(question - target);
        c.query[c.query_count++] = (struct sli_pair){
            {question + 1, (size_t)(equals - question - 1)}, sl_str_from(equals + 1)};
    }
    c.content_type = SL_STR("application/json");
    c.has_body = body != NULL && body[0] != '\0';
    sl_buf_add_text(&c.body_bytes, body == NULL ? "" : body);
    return c;
}

static void call_end(struct sli_call *c)
{
    assert_null(c->body);
    assert_int_equal(sl_budget_used(c->trees), 0);
    sl_buf_fini(&c->out);
    sl_buf_fini(&c->body_bytes);
    sl_arena_fini(&c->arena);
}

/* type NULL: application/json */
static struct reply call(struct node *n, const char *method, const char *target, const char *type,
                         const char *body)
{
    struct reply r = {0};
    struct sl_budget *trees = NULL;
    assert_int_equal(sl_budget_new(1 << 20, &trees, NULL), SL_OK);
    struct sli_call c = call_of(n, trees, method, target, body);
    if (type != NULL) {
        c.content_type = sl_str_from(type);
    }
    sli_route(&c);
    r.status = c.status;
    (void)snprintf(r.body, sizeof r.body, "%s", sl_buf_cstr(&c.out));
    (void)snprintf(r.allow, sizeof r.allow, "%.*s", SL_STR_ARG(c.allow));
    call_end(&c);
    sl_budget_free(trees);
    return r;
}

static void expect(struct node *n, const char *method, const char *target, const char *body,
                   int status, const char *want)
{
    struct reply r = call(n, method, target, NULL, body);
    if (r.status != status || strcmp(r.body, want) != 0) {
        fail_msg("%s %s %s: %d %s, want %d %s", method, target, body == NULL ? "" : body, r.status,
                 r.body, status, want);
    }
}

static void make_class(struct node *n)
{
    struct reply r =
        call(n, "POST", "/v1/schema", NULL, "{\"class\":\"Movies\",\"vectorizer\":\"none\"}");
    assert_int_equal(r.status, 200);
}

/* A path of a route with something in the place of each '*'. */
static void fill(const char *pattern, char *ret, size_t size)
{
    size_t len = 0;
    for (const char *p = pattern; *p != '\0'; p++) {
        len += (size_t)snprintf(ret + len, size - len, *p == '*' ? "Nothing" : "%c", *p);
    }
}

static void every_route_is_reached_and_no_other_method(void **state)
{
    struct node *n = *state;
    for (size_t i = 0; i < sli_route_count; i++) {
        const struct sli_route *route = &sli_routes[i];
        char path[128];
        fill(route->path, path, sizeof path);
        struct reply r = call(n, route->method, path, NULL, "[]");
        assert_int_not_equal(r.status, 405);
        assert_null(strstr(r.body, "was not found\"}"));
        for (size_t k = 0; k < i; k++) {
            assert_false(strcmp(route->method, sli_routes[k].method) == 0 &&
                         strcmp(route->path, sli_routes[k].path) == 0);
        }
        r = call(n, "TRACE", path, NULL, NULL);
        assert_int_equal(r.status, 405);
        assert_non_null(strstr(r.allow, route->method));
        r = call(n, "OPTIONS", path, NULL, NULL);
        assert_int_equal(r.status, 200);
        r = call(n, route->method, strcat(path, "/nothing/at/all"), NULL, "[]");
        assert_int_equal(r.status, 404);
    }
}

static void only_what_clients_ask_before_they_log_in_is_open(void **state)
{
    (void)state;
    for (size_t i = 0; i < sli_route_count; i++) {
        const char *path = sli_routes[i].path;
        bool is_open = strcmp(path, "/") == 0 || strcmp(path, "/v1") == 0 ||
                       strstr(path, ".well-known") != NULL;
        bool is_known = strcmp(path, "/v1/meta") == 0 || strcmp(path, "/v1/users/own-info") == 0;
        assert_int_equal(sli_routes[i].guard.how == SLI_OPEN, is_open);
        assert_int_equal(sli_routes[i].guard.how == SLI_KNOWN, is_known);
        assert_int_not_equal(sli_routes[i].guard.how, SLI_FORGOTTEN);
    }
}

static void unknown_paths_and_methods_are_told(void **state)
{
    struct node *n = *state;
    expect(n, "GET", "/v1/nope", NULL, 404,
           "{\"code\":404,\"message\":\"path /v1/nope was not found\"}");
    expect(n, "PUT", "/v1/export/filesystem/x", "{}", 405,
           "{\"code\":405,\"message\":\"method PUT is not allowed, but [GET,DELETE] are\"}");
    struct reply r = call(n, "PUT", "/v1/export/filesystem/x", NULL, "{}");
    assert_string_equal(r.allow, "GET,DELETE");
    assert_int_equal(call(n, "HEAD", "/v1/export/filesystem/x", NULL, NULL).status, 405);
}

static void one_trailing_slash_is_tolerated_and_no_empty_segment(void **state)
{
    struct node *n = *state;
    make_class(n);
    assert_int_equal(call(n, "GET", "/v1/meta/", NULL, NULL).status, 200);
    assert_int_equal(call(n, "GET", "/v1/schema/Movies/", NULL, NULL).status, 200);
    assert_int_equal(call(n, "GET", "/v1/meta//", NULL, NULL).status, 404);
    assert_int_equal(call(n, "GET", "//v1/meta", NULL, NULL).status, 404);
    assert_int_equal(call(n, "GET", "v1/meta", NULL, NULL).status, 404);
    assert_int_equal(call(n, "GET", "", NULL, NULL).status, 404);
    /* The tenants of a class without a name are not a class named tenants. */
    assert_int_equal(call(n, "DELETE", "/v1/schema//tenants", NULL, NULL).status, 404);
    assert_int_equal(call(n, "DELETE", "/v1/schema//", NULL, NULL).status, 404);
}

static void bodies_are_refused_as_the_reference_does(void **state)
{
    struct node *n = *state;
    const char *path = "/v1/export/filesystem";
    expect(n, "POST", path, "", 422, "{\"code\":602,\"message\":\"body in body is required\"}");
    expect(n, "POST", path, " \n", 422, "{\"code\":602,\"message\":\"body in body is required\"}");
    expect(n, "POST", path, "null", 422,
           "{\"code\":602,\"message\":\"file_format in body is required\"}");
    expect(n, "POST", path, "{}", 422,
           "{\"code\":602,\"message\":\"file_format in body is required\"}");
    expect(n, "POST", path, "{\"file_format\":\"parquet\"}", 422,
           "{\"code\":602,\"message\":\"id in body is required\"}");
    expect(n, "POST", path, "{\"file_format\":\"csv\",\"id\":\"x\"}", 422,
           "{\"code\":606,\"message\":\"file_format in body should be one of [parquet]\"}");
    expect(n, "POST", path, "{\"file_format\":\"Parquet\",\"id\":\"x\"}", 422,
           "{\"code\":606,\"message\":\"file_format in body should be one of [parquet]\"}");
    struct reply r = call(n, "POST", path, NULL, "{\"id\":");
    assert_int_equal(r.status, 400);
    assert_non_null(strstr(r.body, "{\"code\":400,\"message\":\"parsing body body from \\\"\\\" "
                                   "failed, because "));
    r = call(n, "POST", path, NULL, "{\"id\":\"\xff\"}");
    assert_int_equal(r.status, 400);
}

static void content_types_are_checked(void **state)
{
    struct node *n = *state;
    struct reply r = call(n, "POST", "/v1/export/filesystem", "text/plain", "{}");
    assert_int_equal(r.status, 415);
    assert_string_equal(r.body, "{\"code\":415,\"message\":\"unsupported media type "
                                "\\\"text/plain\\\", only [application/json application/yaml] are "
                                "allowed\"}");
    r = call(n, "POST", "/v1/export/filesystem", "", "{}");
    assert_string_equal(r.body, "{\"code\":415,\"message\":\"unsupported media type "
                                "\\\"application/octet-stream\\\", only [application/json "
                                "application/yaml] are allowed\"}");
    r = call(n, "POST", "/v1/export/filesystem", "application/yaml", "id: x");
    assert_int_equal(r.status, 415);
    assert_null(strstr(r.body, "only")); /* what is refused is not said to be allowed */
    r = call(n, "POST", "/v1/export/filesystem", "Application/JSON ; charset=utf-8", "{}");
    assert_int_equal(r.status, 422);
    r = call(n, "POST", "/v1/export/filesystem", "application/jsonx", "{}");
    assert_int_equal(r.status, 415);
}

static void export_ids_and_lists_are_checked_in_order(void **state)
{
    struct node *n = *state;
    const char *path = "/v1/export/filesystem";
    make_class(n);
    expect(n, "POST", path, "{\"file_format\":\"parquet\",\"id\":\"\"}", 422,
           "{\"error\":[{\"message\":\"export ID is required\"}]}\n");
    expect(n, "POST", path, "{\"file_format\":\"parquet\",\"id\":\"A B\"}", 422,
           "{\"error\":[{\"message\":\"export validation error: invalid export id: 'A B' allowed "
           "characters are lowercase, 0-9, _, -\"}]}\n");
    expect(n, "POST", path,
           "{\"file_format\":\"parquet\",\"id\":\"x\",\"include\":[\"Movies\"],\"exclude\":["
           "\"Movies\"]}",
           422,
           "{\"error\":[{\"message\":\"export validation error: resolve classes: cannot specify "
           "both 'include' and 'exclude'\"}]}\n");
    expect(n, "POST", path, "{\"file_format\":\"parquet\",\"id\":\"x\",\"include\":[\"Nope\"]}",
           422, "{\"error\":[{\"message\":\"export validation error: no exportable classes\"}]}\n");
    assert_int_equal(
        call(n, "POST", path, NULL, "{\"file_format\":\"parquet\",\"id\":\"x\",\"include\":5}")
            .status,
        422);
    assert_int_equal(
        call(n, "POST", path, NULL, "{\"file_format\":\"parquet\",\"id\":\"x\",\"include\":[5]}")
            .status,
        422);
    expect(n, "POST", "/v1/export/foo", "{\"file_format\":\"parquet\",\"id\":\"x\"}", 422,
           "{\"error\":[{\"message\":\"export validation error: backend foo not available: backup: "
           "foo not found\"}]}\n");
    expect(n, "GET", "/v1/export/filesystem/unknown", NULL, 404,
           "{\"error\":[{\"message\":\"export not found\"}]}\n");
    expect(n, "DELETE", "/v1/export/filesystem/unknown", NULL, 404,
           "{\"error\":[{\"message\":\"export not found\"}]}\n");
}

static void an_export_is_created_listed_and_told_of(void **state)
{
    struct node *n = *state;
    make_class(n);
    struct reply r = call(n, "POST", "/v1/export/filesystem", NULL,
                          "{\"file_format\":\"parquet\",\"id\":\"one\",\"include\":[\"Movies\","
                          "\"Nope\"],\"exclude\":null}");
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.body, "\"classes\":[\"Movies\"]"));
    assert_non_null(strstr(r.body, "\"status\":\"STARTED\""));
    assert_non_null(strstr(r.body, "\"unknownCollections\":[\"Nope\"]"));
    struct sl_export_progress p;
    assert_int_equal(sl_export_wait(n->exports, SL_STR("one"), INT64_C(60000000000), &p, &n->err),
                     SL_OK);
    r = call(n, "GET", "/v1/export/filesystem/one", NULL, NULL);
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.body, "\"status\":\"SUCCESS\""));
    assert_non_null(strstr(r.body, "\"skipReason\":\"no data\""));
    r = call(n, "GET", "/v1/export/filesystem", NULL, NULL);
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.body, "{\"exports\":[{"));
    assert_non_null(strstr(r.body, "\"id\":\"one\""));
    r = call(n, "DELETE", "/v1/export/filesystem/one", NULL, NULL);
    assert_int_equal(r.status, 409);
    r = call(n, "POST", "/v1/export/filesystem", NULL,
             "{\"file_format\":\"parquet\",\"id\":\"one\"}");
    assert_int_equal(r.status, 409);
}

static void schema_refusals_carry_allowed(void **state)
{
    struct node *n = *state;
    make_class(n);
    expect(n, "POST", "/v1/schema", "{\"class\":\"Movies\"}", 422,
           "{\"allowed\":null,\"error\":[{\"message\":\"class name Movies already exists\"}]}\n");
    expect(n, "GET", "/v1/schema/Nope", NULL, 404, "");
    expect(n, "PUT", "/v1/schema/Nope", "{\"class\":\"Nope\"}", 404, "");
    expect(n, "DELETE", "/v1/schema/Nope", NULL, 200, "");
    assert_int_equal(call(n, "GET", "/v1/schema/movies", NULL, NULL).status, 200);
    assert_int_equal(call(n, "GET", "/v1/schema/M%6fvies", NULL, NULL).status, 200);
    assert_int_equal(call(n, "GET", "/v1/schema/M%6", NULL, NULL).status, 400);
    assert_int_equal(call(n, "GET", "/v1/schema/M%ff", NULL, NULL).status, 400);
    assert_int_equal(call(n, "DELETE", "/v1/schema/movies", NULL, NULL).status, 200);
    expect(n, "GET", "/v1/schema/Movies", NULL, 404, "");
    expect(n, "GET", "/v1/schema", NULL, 200, "{\"classes\":[]}\n");
}

static void tenants_have_their_own_oddities(void **state)
{
    struct node *n = *state;
    const char *path = "/v1/schema/Ten/tenants";
    assert_int_equal(call(n, "POST", "/v1/schema", NULL,
                          "{\"class\":\"Ten\",\"multiTenancyConfig\":{\"enabled\":true}}")
                         .status,
                     200);
    expect(n, "POST", path, "[{\"name\":\"a\"}]", 200, "[{\"name\":\"a\"}]\n");
    expect(n, "POST", path, "[{\"name\":\"b\",\"activityStatus\":\"INACTIVE\"}]", 200,
           "[{\"activityStatus\":\"COLD\",\"name\":\"b\"}]\n");
    expect(n, "GET", "/v1/schema/Ten/tenants/a", NULL, 200,
           "{\"activityStatus\":\"HOT\",\"name\":\"a\"}\n");
    expect(n, "GET", "/v1/schema/Ten/tenants/zz", NULL, 404, "");
    assert_int_equal(call(n, "HEAD", "/v1/schema/Ten/tenants/zz", NULL, NULL).status, 404);
    expect(n, "PUT", path, "[{\"name\":\"a\",\"activityStatus\":\"WARM\"}]", 422,
           "{\"code\":606,\"message\":\"activityStatus in body should be one of [ACTIVE INACTIVE "
           "OFFLOADED OFFLOADING ONLOADING HOT COLD FROZEN FREEZING UNFREEZING]\"}");
    expect(n, "DELETE", path, "[\"zz\",\"b\"]", 200, "");
}

static void objects_answer_with_bare_statuses(void **state)
{
    struct node *n = *state;
    make_class(n);
    expect(n, "POST", "/v1/objects", "{\"class\":\"Movies\",\"id\":\"nope\"}", 422,
           "{\"code\":601,\"message\":\"id in body must be of type uuid: \\\"nope\\\"\"}");
    expect(n, "GET", "/v1/objects?limit=x", NULL, 422,
           "{\"code\":601,\"message\":\"limit in query must be of type int64: \\\"x\\\"\"}");
    expect(n, "GET", "/v1/objects/Movies/" ID_1, NULL, 404, "");
    expect(n, "HEAD", "/v1/objects/Movies/" ID_1, NULL, 404, "");
    expect(n, "PATCH", "/v1/objects/Movies/" ID_1, "{\"class\":\"Movies\"}", 404, "");
    expect(n, "DELETE", "/v1/objects/Movies/" ID_1, NULL, 204, "");
    struct reply r = call(n, "POST", "/v1/objects", NULL,
                          "{\"class\":\"Movies\",\"id\":\"" ID_1 "\",\"vector\":[1,2]}");
    assert_int_equal(r.status, 200);
    expect(n, "HEAD", "/v1/objects/Movies/" ID_1, NULL, 204, "");
    r = call(n, "GET", "/v1/objects/Movies/" ID_1 "?include=classification, vector", NULL, NULL);
    assert_non_null(strstr(r.body, "\"vector\":[1,2]"));
    r = call(n, "GET", "/v1/objects/Movies/" ID_1 "?include=vectors", NULL, NULL);
    assert_null(strstr(r.body, "\"vector\":[1,2]"));
    expect(n, "DELETE", "/v1/objects/Movies/" ID_1, NULL, 204, "");
    expect(n, "DELETE", "/v1/objects/Nope/" ID_1, NULL, 500,
           "{\"error\":[{\"message\":\"could not delete object from vector repo: delete from "
           "non-existing index for Nope\"}]}\n");
}

/* Go's JSON takes U+0000 in a text and writes it back as it came; a name of ours may not hold it.
 */
static void texts_may_hold_a_nul(void **state)
{
    struct node *n = *state;
    struct reply r =
        call(n, "POST", "/v1/objects", NULL,
             "{\"class\":\"Nul\",\"id\":\"" ID_1 "\",\"properties\":{\"t\":\"a\\u0000b\"}}");
    assert_int_equal(r.status, 200);
    r = call(n, "GET", "/v1/objects/Nul/" ID_1, NULL, NULL);
    assert_non_null(strstr(r.body, "\"properties\":{\"t\":\"a\\u0000b\"}"));
    r = call(n, "POST", "/v1/schema", NULL, "{\"class\":\"N\\u0000\"}");
    assert_int_equal(r.status, 400);
    r = call(n, "POST", "/v1/objects", NULL, "{\"class\":\"Nul\\u0000\",\"properties\":{}}");
    assert_int_equal(r.status, 422);
}

static void what_clients_ask_first(void **state)
{
    struct node *n = *state;
    n->opts.port = 8080;
    n->opts.body_max = 104858000; /* the smaller of the two bounds the messages of gRPC */
    n->opts.body_budget = 1 << 30;
    expect(n, "GET", "/v1/meta", NULL, 200,
           "{\"grpcMaxMessageSize\":104858000,\"hostname\":\"http://127.0.0.1:8080\",\"modules\":"
           "{},\"version\":\"1.39.0\"}\n");
    expect(n, "GET", "/v1/.well-known/live", NULL, 200, "");
    expect(n, "GET", "/v1/.well-known/openid-configuration", NULL, 404, "");
    expect(n, "GET", "/", NULL, 301, "");
    expect(n, "GET", "/v1/nodes", NULL, 200,
           "{\"nodes\":[{\"batchStats\":{\"queueLength\":0,\"ratePerSecond\":0},\"name\":\"node1\","
           "\"operationalMode\":\"ReadWrite\",\"shards\":null,\"status\":\"HEALTHY\",\"version\":"
           "\"1.39.0\"}]}\n");
    assert_int_equal(call(n, "GET", "/v1/nodes/Nope?output=verbose", NULL, NULL).status, 404);
}

static void nesting_and_count_have_limits(void **state)
{
    struct node *n = *state;
    SL_AUTO(sl_buf) deep = SL_BUF_EMPTY;
    for (int i = 0; i < 4000; i++) {
        sl_buf_add_u8(&deep, '[');
    }
    for (int i = 0; i < 4000; i++) {
        sl_buf_add_u8(&deep, ']');
    }
    struct reply r = call(n, "POST", "/v1/objects", NULL, sl_buf_cstr(&deep));
    assert_int_equal(r.status, 400);
    assert_non_null(strstr(r.body, "nested deeper than 120"));
    SL_AUTO(sl_buf) many = SL_BUF_EMPTY;
    sl_buf_add_text(&many, "[0");
    uint8_t *at = sl_buf_reserve(&many, 2 * 9000000);
    assert_non_null(at);
    for (size_t i = 0; i < 9000000; i++) {
        at[2 * i] = ',';
        at[2 * i + 1] = '0';
    }
    many.len += 2 * 9000000;
    sl_buf_add_text(&many, "]");
    r = call(n, "POST", "/v1/objects", NULL, sl_buf_cstr(&many));
    assert_int_equal(r.status, 413);
    assert_non_null(strstr(r.body, "8388608 values"));
}

/* ---- beside foreign data ---- */

#define ONLY_EXPORTS "and only exports it"

static void foreign_data_is_never_written(void **state SL_UNUSED)
{
    for (size_t i = 0; i < sli_route_count; i++) {
        const struct sli_route *r = &sli_routes[i];
        bool is_reading = strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0;
        bool is_export = strncmp(r->path, "/v1/export/", strlen("/v1/export/")) == 0;
        bool is_object = strncmp(r->path, "/v1/objects", strlen("/v1/objects")) == 0;
        bool is_own = strncmp(r->path, "/v1/authz/", strlen("/v1/authz/")) == 0 ||
                      strncmp(r->path, "/v1/users/", strlen("/v1/users/")) == 0;
        assert_int_equal(r->foreign != NULL, is_export || is_own || (is_reading && !is_object));
    }
}

static void what_foreign_data_does_not_serve_is_refused_by_name(void **state)
{
    struct node *n = *state;
    for (size_t i = 0; i < sli_route_count; i++) {
        const struct sli_route *route = &sli_routes[i];
        char path[128];
        fill(route->path, path, sizeof path);
        struct reply r = call(n, route->method, path, NULL, "[]");
        assert_int_equal(strstr(r.body, ONLY_EXPORTS) != NULL, route->foreign == NULL);
        if (route->foreign == NULL) {
            assert_int_equal(r.status, 422);
            assert_non_null(strstr(r.body, n->foreign_path));
            assert_int_equal(strncmp(r.body, "{\"allowed\":null,", 16) == 0, route->is_schema);
        }
    }
    struct reply r = call(n, "POST", "/v1/objects", "text/plain", "{");
    assert_int_equal(r.status, 422); /* whatever the body is */
    r = call(n, "PUT", "/v1/meta", NULL, "{}");
    assert_int_equal(r.status, 405);
}

static void classes_of_foreign_data_are_told(void **state)
{
    struct node *n = *state;
    struct reply r = call(n, "GET", "/v1/schema", NULL, NULL);
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.body, "\"class\":\"movies\""));
    assert_int_equal(call(n, "GET", "/v1/schema/movies", NULL, NULL).status, 200);
    expect(n, "GET", "/v1/schema/movies/shards", NULL, 200,
           "[{\"name\":\"Xa1b2c3d4e5F\",\"status\":\"READY\",\"vectorQueueSize\":0}]\n");
    assert_int_equal(call(n, "GET", "/v1/schema/Movies", NULL, NULL).status, 200);
    assert_int_equal(call(n, "GET", "/v1/schema/MOVIES", NULL, NULL).status, 404);
    expect(n, "GET", "/v1/schema/Nope", NULL, 404, "");
    expect(n, "GET", "/v1/schema/Nope/tenants", NULL, 404, "");
    expect(n, "GET", "/v1/schema/movies/tenants", NULL, 422,
           "{\"error\":[{\"message\":\"multi-tenancy is not enabled for class \\\"movies\\\"\"}]"
           "}\n");
    r = call(n, "GET", "/v1/nodes?output=verbose", NULL, NULL);
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.body, "\"operationalMode\":\"ReadOnly\""));
}

static void foreign_data_may_go_and_come_back(void **state)
{
    struct node *n = *state;
    assert_int_equal(call(n, "GET", "/v1/.well-known/ready", NULL, NULL).status, 200);
    assert_int_equal(sl_dir_remove_tree(n->foreign_path, &n->err), SL_OK);
    assert_int_equal(call(n, "GET", "/v1/.well-known/ready", NULL, NULL).status, 503);
    assert_int_equal(call(n, "GET", "/v1/.well-known/live", NULL, NULL).status, 200);
    static const char *const calls[][3] = {
        {"GET", "/v1/schema", NULL},
        {"GET", "/v1/schema/movies", NULL},
        {"GET", "/v1/nodes?output=verbose", NULL},
        {"POST", "/v1/export/filesystem", "{\"file_format\":\"parquet\",\"id\":\"x\"}"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(calls); i++) {
        struct reply r = call(n, calls[i][0], calls[i][1], NULL, calls[i][2]);
        assert_int_equal(r.status, 500);
        assert_non_null(strstr(r.body, n->foreign_path));
    }
    make_foreign_data(n);
    assert_int_equal(call(n, "GET", "/v1/.well-known/ready", NULL, NULL).status, 200);
    assert_int_equal(call(n, "GET", "/v1/schema/movies", NULL, NULL).status, 200);
}

#ifdef SL_FAULTS_ON
static void sweep_allocations(struct node *n, const char *const (*calls)[3], size_t call_count)
{
    struct sl_budget *trees = NULL;
    assert_int_equal(sl_budget_new(1 << 20, &trees, NULL), SL_OK);
    for (size_t i = 0; i < call_count; i++) {
        bool is_done = false;
        for (int64_t fail_at = 0; !is_done; fail_at++) {
            int64_t live = sl_mem_live();
            struct sli_call c = call_of(n, trees, calls[i][0], calls[i][1], calls[i][2]);
            sl_fault_fail_after(SL_FAULT_ALLOC, fail_at);
            sli_route(&c);
            sl_fault_clear();
            is_done = c.status < 500 && !c.out.is_failed;
            assert_true(is_done || c.status == 500 || c.out.is_failed);
            call_end(&c);
            assert_true(is_done || sl_mem_live() == live);
        }
    }
    sl_budget_free(trees);
}

static void every_refused_allocation_is_a_500_and_leaks_nothing(void **state)
{
    static const char *const calls[][3] = {
        {"GET", "/v1/schema", NULL},
        {"GET", "/v1/schema/Movies", NULL},
        {"GET", "/v1/nodes?output=verbose", NULL},
        {"POST", "/v1/objects", "{\"class\":\"Movies\",\"properties\":{\"t\":\"x\"}}"},
        {"GET", "/v1/objects?class=Movies", NULL},
        {"GET", "/v1/export/filesystem", NULL},
        {"PUT", "/v1/meta", NULL},
    };
    struct node *n = *state;
    make_class(n);
    (void)call(n, calls[3][0], calls[3][1], NULL, calls[3][2]); /* auto-schema has its own tests */
    sweep_allocations(n, calls, SL_COUNT_OF(calls));
}

static void so_it_is_beside_foreign_data(void **state)
{
    static const char *const calls[][3] = {
        {"GET", "/v1/schema", NULL},
        {"GET", "/v1/schema/movies", NULL},
        {"GET", "/v1/schema/movies/shards", NULL},
        {"GET", "/v1/nodes?output=verbose", NULL},
        {"POST", "/v1/objects", "{}"},
    };
    sweep_allocations(*state, calls, SL_COUNT_OF(calls));
}
#endif

#define FOREIGN_TEST(f) cmocka_unit_test_setup_teardown(f, foreign_node_open, node_close)
#define NODE_TEST(f)    cmocka_unit_test_setup_teardown(f, node_open, node_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NODE_TEST(every_route_is_reached_and_no_other_method),
        cmocka_unit_test(only_what_clients_ask_before_they_log_in_is_open),
        NODE_TEST(unknown_paths_and_methods_are_told),
        NODE_TEST(one_trailing_slash_is_tolerated_and_no_empty_segment),
        NODE_TEST(bodies_are_refused_as_the_reference_does),
        NODE_TEST(content_types_are_checked),
        NODE_TEST(export_ids_and_lists_are_checked_in_order),
        NODE_TEST(an_export_is_created_listed_and_told_of),
        NODE_TEST(schema_refusals_carry_allowed),
        NODE_TEST(tenants_have_their_own_oddities),
        NODE_TEST(objects_answer_with_bare_statuses),
        NODE_TEST(texts_may_hold_a_nul),
        NODE_TEST(what_clients_ask_first),
        NODE_TEST(nesting_and_count_have_limits),
        cmocka_unit_test(foreign_data_is_never_written),
        FOREIGN_TEST(what_foreign_data_does_not_serve_is_refused_by_name),
        FOREIGN_TEST(classes_of_foreign_data_are_told),
        FOREIGN_TEST(foreign_data_may_go_and_come_back),
#ifdef SL_FAULTS_ON
        NODE_TEST(every_refused_allocation_is_a_500_and_leaks_nothing),
        FOREIGN_TEST(so_it_is_beside_foreign_data),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
