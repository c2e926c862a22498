/* Every route asked by every kind of caller: the table of who may. Expected: section 4 of the REST
 * contract of Weaviate and what was recorded from a 1.39.0 server; an unknown export id is told to
 * nobody who may not read exports. */
#include "api_fixture.h"

#define KEYS  "root-key,admin-key,viewer-key,movies-key,nobody-key"
#define USERS "root,ada,vera,mo,nobody"

struct reply {
    int status;
    bool is_text;
    char body[2048];
};

static sl_rc keep_nothing(void *arg, const struct sl_record *changes, uint32_t count,
                          struct sl_err *err)
{
    (void)arg;
    (void)changes;
    (void)count;
    (void)err;
    return SL_OK;
}

/* token NULL: none */
static struct reply call(struct node *n, const char *method, const char *target, const char *token,
                         const char *body)
{
    static atomic_bool is_ready = true;
    struct reply r = {0};
    struct sl_budget *trees = NULL;
    assert_int_equal(sl_budget_new(1 << 20, &trees, NULL), SL_OK);
    struct sli_call c = {.opts = &n->opts, .is_ready = &is_ready, .trees = trees};
    c.method = sl_str_from(method);
    c.path = sl_str_from(target);
    c.content_type = SL_STR("application/json");
    c.token = sl_str_from(token);
    c.asker.peer = SL_STR("192.0.2.1");
    c.has_body = body != NULL && body[0] != '\0';
    sl_buf_add_text(&c.body_bytes, body == NULL ? "" : body);
    sli_route(&c);
    r.status = c.status;
    r.is_text = c.is_text;
    (void)snprintf(r.body, sizeof r.body, "%s", sl_buf_cstr(&c.out));
    sl_buf_fini(&c.out);
    sl_buf_fini(&c.body_bytes);
    sl_arena_fini(&c.arena);
    sl_budget_free(trees);
    return r;
}

static void must(struct node *n, const char *method, const char *target, const char *body, int want)
{
    struct reply r = call(n, method, target, "root-key", body);
    if (r.status != want) {
        fail_msg("%s %s: %d %s, want %d", method, target, r.status, r.body, want);
    }
}

static int guarded_open(void **state)
{
    assert_int_equal(node_open(state), 0);
    struct node *n = *state;
    struct sl_auth_opts opts = {.anonymous = "",
                                .has_keys = true,
                                .keys = KEYS,
                                .key_users = USERS,
                                .has_db_users = true,
                                .has_rbac = true,
                                .root_users = "root",
                                .clock = sl_clock_real(),
                                .store = keep_nothing};
    sl_auth_close(n->auth);
    n->auth = NULL;
    assert_int_equal(sl_auth_open(&opts, &n->auth, &n->err), SL_OK);
    n->opts.auth = n->auth;
    must(n, "POST", "/v1/schema", "{\"class\":\"Movies\",\"vectorizer\":\"none\"}", 200);
    must(n, "POST", "/v1/schema", "{\"class\":\"Books\",\"vectorizer\":\"none\"}", 200);
    must(n, "POST", "/v1/authz/roles",
         "{\"name\":\"movies\",\"permissions\":["
         "{\"action\":\"manage_backups\",\"backups\":{\"collection\":\"Mov*\"}},"
         "{\"action\":\"read_collections\",\"collections\":{\"collection\":\"Movies\"}},"
         "{\"action\":\"create_data\",\"data\":{\"collection\":\"Movies\"}}]}",
         201);
    must(n, "POST", "/v1/authz/users/ada/assign", "{\"roles\":[\"admin\"]}", 200);
    must(n, "POST", "/v1/authz/users/vera/assign", "{\"roles\":[\"viewer\"]}", 200);
    must(n, "POST", "/v1/authz/users/mo/assign", "{\"roles\":[\"movies\"]}", 200);
    return 0;
}

static void fill(const char *pattern, char *ret, size_t size)
{
    size_t len = 0;
    const char *what = strncmp(pattern, "/v1/export/", 11) == 0 ? "filesystem" : "nothing";
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p == '*') {
            len += (size_t)snprintf(ret + len, size - len, "%s", what);
            what = "nothing";
        } else {
            len += (size_t)snprintf(ret + len, size - len, "%c", *p);
        }
    }
}

static bool is_filtering(const struct sli_route *r)
{
    static const char *const paths[] = {"/v1/schema", "/v1/authz/roles", "/v1/users/db",
                                        "/v1/export/*", "/v1/schema/*/tenants"};
    for (size_t i = 0; strcmp(r->method, "GET") == 0 && i < SL_COUNT_OF(paths); i++) {
        if (strcmp(r->path, paths[i]) == 0) {
            return true;
        }
    }
    return strcmp(r->method, "POST") == 0 && strcmp(r->path, "/v1/export/*") == 0;
}

/* A body that names something, so that a call which judges its body by parts has a part. */
static const char *body_of(const struct sli_route *r)
{
    if (r->body == SLI_NO_BODY) {
        return NULL;
    }
    if (strcmp(r->path, "/v1/batch/objects") == 0) {
        return "{\"objects\":[{\"class\":\"Nothing\",\"properties\":{}}]}";
    }
    if (strcmp(r->path, "/v1/batch/references") == 0) {
        return "[{\"from\":\"weaviate://localhost/Nothing/" ID_1 "/p\",\"to\":\"x\"}]";
    }
    if (strstr(r->path, "/tenants") != NULL) {
        return "[{\"name\":\"t\"}]";
    }
    if (strstr(r->path, "references") != NULL) {
        return "{}";
    }
    return "{\"class\":\"Nothing\",\"name\":\"nothing\",\"permissions\":"
           "[{\"action\":\"read_cluster\"}],\"action\":\"read_cluster\",\"roles\":[\"viewer\"],"
           "\"id\":\"other\",\"file_format\":\"parquet\"}";
}

static void walk(struct node *n, const char *token, bool (*may)(const struct sli_route *r))
{
    for (size_t i = 0; i < sli_route_count; i++) {
        const struct sli_route *route = &sli_routes[i];
        char path[128];
        fill(route->path, path, sizeof path);
        struct reply r = call(n, route->method, path, token, body_of(route));
        bool is_refused = r.status == 403;
        if (r.status == 401 || is_refused == may(route)) {
            fail_msg("%s %s by %s: %d %s", route->method, path, token, r.status, r.body);
        }
    }
}

static bool may_all(const struct sli_route *r)
{
    (void)r;
    return true;
}

static bool may_read(const struct sli_route *r)
{
    bool is_free = r->guard.how == SLI_OPEN || r->guard.how == SLI_KNOWN || is_filtering(r);
    /* The id does not exist, and who may read all exports may know that. */
    bool is_unknown_id = strcmp(r->path, "/v1/export/*/*") == 0;
    return is_free || is_unknown_id || r->guard.verb == SL_READ;
}

static bool may_nothing(const struct sli_route *r)
{
    return r->guard.how == SLI_OPEN || r->guard.how == SLI_KNOWN || is_filtering(r);
}

static void every_route_is_open_to_root_and_admin(void **state)
{
    walk(*state, "root-key", may_all);
    walk(*state, "admin-key", may_all);
}

static void a_viewer_reads_everything_and_changes_nothing(void **state)
{
    walk(*state, "viewer-key", may_read);
}

static void without_a_role_every_route_is_refused_or_empty(void **state)
{
    struct node *n = *state;
    walk(n, "nobody-key", may_nothing);
    assert_string_equal(call(n, "GET", "/v1/schema", "nobody-key", NULL).body,
                        "{\"classes\":[]}\n");
    assert_string_equal(call(n, "GET", "/v1/authz/roles", "nobody-key", NULL).body, "[]\n");
    assert_string_equal(call(n, "GET", "/v1/users/db", "nobody-key", NULL).body, "[]\n");
    struct reply r = call(n, "POST", "/v1/export/filesystem", "nobody-key",
                          "{\"id\":\"x\",\"file_format\":\"parquet\"}");
    assert_int_equal(r.status, 422);
    assert_string_equal(
        r.body, "{\"error\":[{\"message\":\"export validation error: no exportable classes\"}]}\n");
}

/* Other collections than those of the pattern are as if they were nobody's. */
static void a_pattern_reaches_as_far_as_it_says(void **state)
{
    struct node *n = *state;
    walk(n, "movies-key", may_nothing);
    assert_int_equal(call(n, "GET", "/v1/schema/Movies", "movies-key", NULL).status, 200);
    assert_int_equal(call(n, "GET", "/v1/schema/movies", "movies-key", NULL).status, 200);
    assert_int_equal(call(n, "GET", "/v1/schema/Books", "movies-key", NULL).status, 403);
    struct reply r = call(n, "GET", "/v1/schema", "movies-key", NULL);
    assert_non_null(strstr(r.body, "\"class\":\"Movies\""));
    assert_null(strstr(r.body, "Books"));
    assert_int_equal(
        call(n, "POST", "/v1/objects", "movies-key", "{\"class\":\"Movies\",\"properties\":{}}")
            .status,
        200);
    r = call(n, "POST", "/v1/objects", "movies-key", "{\"class\":\"Books\",\"properties\":{}}");
    assert_string_equal(
        r.body, "{\"error\":[{\"message\":\"rbac: authorization, forbidden action: user 'mo' has "
                "insufficient permissions to create_data [[Domain: data, Collection: Books, "
                "Tenant: *, Object: *]]\"}]}\n");
    /* One that may be stored does not carry in one that may not. */
    r = call(n, "POST", "/v1/batch/objects", "movies-key",
             "{\"objects\":[{\"class\":\"Movies\"},{\"class\":\"Books\"}]}");
    assert_int_equal(r.status, 403);
}

static void an_unknown_id_is_not_told_from_a_foreign_one(void **state)
{
    struct node *n = *state;
    must(n, "POST", "/v1/export/filesystem", "{\"id\":\"all\",\"file_format\":\"parquet\"}", 200);
    struct sl_export_progress progress;
    assert_int_equal(sl_export_wait(n->exports, SL_STR("all"), INT64_MAX / 2, &progress, &n->err),
                     SL_OK);
    static const char *const methods[] = {"GET", "DELETE"};
    for (size_t i = 0; i < SL_COUNT_OF(methods); i++) {
        struct reply known = call(n, methods[i], "/v1/export/filesystem/all", "movies-key", NULL);
        struct reply unknown = call(n, methods[i], "/v1/export/filesystem/no", "movies-key", NULL);
        assert_int_equal(known.status, 403);
        assert_int_equal(unknown.status, 403);
        assert_string_equal(known.body, unknown.body);
    }
    assert_int_equal(call(n, "GET", "/v1/export/filesystem/all", "viewer-key", NULL).status, 200);
    assert_int_equal(call(n, "GET", "/v1/export/filesystem/no", "viewer-key", NULL).status, 404);
    struct reply r = call(n, "DELETE", "/v1/export/filesystem/all", "viewer-key", NULL);
    assert_int_equal(r.status, 403);
    assert_non_null(strstr(r.body, "user 'vera' has insufficient permissions to delete_backups "
                                   "[[Domain: backups,Collection: "));
}

static void without_a_token_nothing_but_the_open_is_answered(void **state)
{
    struct node *n = *state;
    for (size_t i = 0; i < sli_route_count; i++) {
        char path[128];
        fill(sli_routes[i].path, path, sizeof path);
        struct reply r = call(n, sli_routes[i].method, path, NULL, "not JSON");
        assert_int_equal(r.status == 401, sli_routes[i].guard.how != SLI_OPEN);
        if (r.status == 401) { /* before the body is looked at */
            assert_true(r.is_text);
            assert_string_equal(
                r.body, "{\"code\":401,\"message\": \"anonymous access not enabled. Please "
                        "authenticate through one of the available methods: [API-keys]\" }");
        }
        r = call(n, sli_routes[i].method, path, "guess", "not JSON");
        assert_true((r.status == 401 || r.status == 429) == (sli_routes[i].guard.how != SLI_OPEN));
    }
    assert_int_equal(call(n, "GET", "/v1/nope", NULL, NULL).status, 404);
    assert_int_equal(call(n, "PATCH", "/v1/schema", NULL, NULL).status, 405);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guarded_open, node_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_route_is_open_to_root_and_admin),
        TEST(a_viewer_reads_everything_and_changes_nothing),
        TEST(without_a_role_every_route_is_refused_or_empty),
        TEST(a_pattern_reaches_as_far_as_it_says),
        TEST(an_unknown_id_is_not_told_from_a_foreign_one),
        TEST(without_a_token_nothing_but_the_open_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
