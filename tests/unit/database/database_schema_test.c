/* Classes and tenants: refusals and their sentences, what a restart keeps, and offload, whose files
 * are damaged, lost and found here. Sentences and defaults are those recorded from the reference.
 */
#include "object_fixture.h"

#include "base/file.h"

#include <sys/stat.h>

#define ID  "00000000-0000-4000-8000-00000000000"
#define TEN "{\"class\":\"Ten\",\"multiTenancyConfig\":{\"enabled\":true},\"vectorizer\":\"none\"}"

static int setup(void **state)
{
    static struct fixture f;
    *state = &f;
    return fixture_open(&f, false);
}

static void clear_folder(const char *path)
{
    assert_int_equal(sl_dir_remove_tree(path, NULL), SL_OK);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sl_db_close(f->db);
    f->db = NULL;
    clear_folder(f->offload_path);
    fixture_close(f);
    return 0;
}

static sl_rc create(struct fixture *f, const char *text)
{
    json_t *body = parse(text);
    begin(f);
    sl_rc rc = sl_db_class_create(f->db, body, &f->out, &f->err);
    json_decref(body);
    return rc;
}

static sl_rc update(struct fixture *f, const char *name, const char *text)
{
    json_t *body = parse(text);
    begin(f);
    sl_rc rc = sl_db_class_update(f->db, sl_str_from(name), body, &f->out, &f->err);
    json_decref(body);
    return rc;
}

static sl_rc add_tenants(struct fixture *f, const char *text)
{
    json_t *body = parse(text);
    begin(f);
    sl_rc rc = sl_db_tenants_add(f->db, SL_STR("Ten"), body, &f->out, &f->err);
    json_decref(body);
    return rc;
}

static sl_rc set_tenants(struct fixture *f, const char *text)
{
    json_t *body = parse(text);
    begin(f);
    sl_rc rc = sl_db_tenants_update(f->db, SL_STR("Ten"), body, &f->out, &f->err);
    json_decref(body);
    return rc;
}

static const char *status_of(struct fixture *f, const char *tenant)
{
    begin(f);
    assert_int_equal(sl_db_tenant_get(f->db, SL_STR("Ten"), sl_str_from(tenant), &f->out, &f->err),
                     SL_OK);
    return sl_buf_cstr(&f->out);
}

/* Waits while the mover has the tenant; it always ends, or the test's time limit tells. */
static void wait_while(struct fixture *f, const char *tenant, const char *status)
{
    while (strstr(status_of(f, tenant), status) != NULL) {
    }
}

static void refusals_have_the_recorded_sentences(void **state)
{
    static const struct {
        const char *body, *text;
    } cases[] = {
        {"{\"class\":\"Plain\"}", "class name Plain already exists"},
        {"{\"class\":\"PLAIN\"}",
         "class name PLAIN already exists as a different case variant: Plain"},
        {"{\"class\":\"1bad\"}", "'1bad' is not a valid class name"},
        {"{\"class\":\"Raft\"}", "class name raft is reserved"},
        {"{\"class\":\"B\",\"properties\":[{\"name\":\"x\",\"dataType\":[\"nonsense\"]}]}",
         "property 'x': invalid dataType: [nonsense]: unknown primitive data type 'nonsense'"},
        {"{\"class\":\"B\",\"multiTenancyConfig\":{\"enabled\":true},\"shardingConfig\":{"
         "\"desiredCount\":2}}",
         "cannot have both shardingConfig and multiTenancyConfig"},
        {"{\"class\":\"B\",\"multiTenancyConfig\":{\"enabled\":true},\"shardingConfig\":{}}",
         "cannot have both shardingConfig and multiTenancyConfig"},
    };
    struct fixture *f = *state;
    make_class(f, "{\"class\":\"Plain\"}");
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        expect_refusal(f, create(f, cases[i].body), SL_EINVAL, cases[i].text);
    }
    assert_int_equal(create(f, "{\"class\":\"B\",\"properties\":[{\"name\":\"r\",\"dataType\":"
                               "[\"Nope\"]}]}"),
                     SL_EINVAL);
    assert_int_equal(create(f, "{\"class\":\"B\",\"vectorConfig\":{\"a b\":{\"vectorizer\":{"
                               "\"none\":{}}}}}"),
                     SL_EINVAL);
}

static void update_refuses_what_cannot_change(void **state)
{
    struct fixture *f = *state;
    make_class(f, TEN);
    assert_int_equal(update(f, "Ten", "{\"class\":\"Ten\",\"vectorizer\":\"none\"}"), SL_EINVAL);
    assert_non_null(strstr(f->err.text, "disabling multi-tenancy"));
    assert_int_equal(update(f, "Ten", "{\"class\":\"Other\"}"), SL_EINVAL);
    assert_int_equal(update(f, "Nope", "{\"class\":\"Nope\"}"), SL_ENOTFOUND);
    expect_ok(
        f, update(f, "Ten",
                  "{\"class\":\"Ten\",\"multiTenancyConfig\":{\"enabled\":true,"
                  "\"autoTenantCreation\":true},\"vectorizer\":\"none\",\"description\":\"d\"}"));
    assert_non_null(strstr(sl_buf_cstr(&f->out), "\"autoTenantCreation\":true"));
    assert_non_null(strstr(sl_buf_cstr(&f->out), "\"description\":\"d\""));
}

#define NAMED(name) "\"vectorConfig\":{\"" name "\":{\"vectorizer\":{\"none\":{}}}}"

/* Recorded: no class is created with both kinds of vectors, but named ones are added to the other.
 */
static void named_vectors_are_added_to_the_unnamed(void **state)
{
    struct fixture *f = *state;
    expect_refusal(f, create(f, "{\"class\":\"M\",\"vectorizer\":\"none\"," NAMED("n") "}"),
                   SL_EINVAL,
                   "class.vectorizer, class.vectorIndexType and class.vectorIndexConfig can not be "
                   "set if class.vectorConfig is set");
    make_class(f, "{\"class\":\"M\",\"vectorizer\":\"none\"}");
    expect_ok(f, add(f, "{\"class\":\"M\",\"id\":\"" ID "1\",\"vector\":[1,2]}"));
    expect_refusal(
        f, update(f, "M", "{\"class\":\"M\",\"vectorizer\":\"none\"," NAMED("default") "}"),
        SL_EINVAL,
        "vector named default cannot be created when collection level vector index is configured");
    expect_refusal(f, update(f, "M", "{\"class\":\"M\"," NAMED("n") "}"), SL_EINVAL,
                   "vector index type and vectorizer are immutable");
    expect_ok(f, update(f, "M", "{\"class\":\"M\",\"vectorizer\":\"none\"," NAMED("n") "}"));
    expect_ok(
        f, add(f, "{\"class\":\"M\",\"id\":\"" ID "2\",\"vector\":[3,4],\"vectors\":{\"n\":[5]}}"));
    fixture_reopen(f, false, false);
    expect_ok(f, get(f, in_class("M"), ID "1"));
    assert_non_null(strstr(sl_buf_cstr(&f->out), "\"vector\":[1,2]"));
    expect_ok(f, get(f, in_class("M"), ID "2"));
    assert_non_null(strstr(sl_buf_cstr(&f->out), "\"vector\":[3,4]"));
    assert_non_null(strstr(sl_buf_cstr(&f->out), "\"vectors\":{\"n\":[5]}"));
    expect_refusal(f, update(f, "M", "{\"class\":\"M\",\"vectorizer\":\"none\"}"), SL_EINVAL,
                   "missing config for vector \"n\"");
    make_class(f, "{\"class\":\"N\"," NAMED("n") "}");
    expect_refusal(f, update(f, "N", "{\"class\":\"N\",\"vectorizer\":\"none\"," NAMED("n") "}"),
                   SL_EINVAL, "vector index type and vectorizer are immutable");
}

static void classes_and_tenants_survive_reopening(void **state)
{
    struct fixture *f = *state;
    make_class(
        f, "{\"class\":\"Ring\",\"vectorizer\":\"none\",\"shardingConfig\":{\"desiredCount\":3}}");
    make_class(f, TEN);
    expect_ok(
        f, add_tenants(f, "[{\"name\":\"a\"},{\"name\":\"b\",\"activityStatus\":\"INACTIVE\"}]"));
    for (char n = '1'; n <= '9'; n++) {
        char text[200];
        snprintf(text, sizeof(text), "{\"class\":\"Ring\",\"id\":\"" ID "%c\"}", n);
        expect_ok(f, add(f, text));
    }
    begin(f);
    expect_ok(f, sl_db_class_list(f->db, &f->out, &f->err));
    char *before = sl_strdup(sl_buf_cstr(&f->out));
    fixture_reopen(f, false, false);
    begin(f);
    expect_ok(f, sl_db_class_list(f->db, &f->out, &f->err));
    assert_string_equal(sl_buf_cstr(&f->out), before);
    sl_free(before);
    assert_string_equal(status_of(f, "b"), "{\"activityStatus\":\"COLD\",\"name\":\"b\"}");
    for (char n = '1'; n <= '9'; n++) { /* every object is found in its shard of three */
        char id[40];
        snprintf(id, sizeof(id), ID "%c", n);
        expect_ok(f, get(f, in_class("Ring"), id));
    }
    assert_int_equal(object_count(f), 9);
}

static void deleted_class_leaves_nothing_in_the_store(void **state)
{
    struct fixture *f = *state;
    make_class(f, TEN);
    expect_ok(f, add_tenants(f, "[{\"name\":\"a\"}]"));
    expect_ok(f, add(f, "{\"class\":\"Ten\",\"tenant\":\"a\",\"id\":\"" ID "1\",\"vector\":[1]}"));
    expect_ok(f, sl_db_class_delete(f->db, SL_STR("Ten"), &f->err));
    expect_ok(f, sl_db_class_delete(f->db, SL_STR("Ten"), &f->err));
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    struct sl_bytes key, value;
    uint8_t lo[SL_KV_PARTITION_SIZE] = {'s'}, hi[SL_KV_PARTITION_SIZE] = {'t'};
    struct sl_kv_span span = {SL_BYTES(lo, sizeof(lo)), SL_BYTES(hi, sizeof(hi))};
    expect_ok(f, sl_kv_scan(f->kv, NULL, span, false, &it, &f->err));
    assert_int_equal(sl_kv_next(it, &key, &value, &f->err), SL_END);
    assert_int_equal(object_count(f), 0);
}

static void status_words_and_their_refusals(void **state)
{
    struct fixture *f = *state;
    make_class(f, TEN);
    expect_ok(f,
              add_tenants(f, "[{\"name\":\"a\"},{\"name\":\"b\",\"activityStatus\":\"ACTIVE\"}]"));
    expect_reply(f, "[{\"name\":\"a\"},{\"activityStatus\":\"HOT\",\"name\":\"b\"}]");
    expect_refusal(f, add_tenants(f, "[{\"name\":\"c\",\"activityStatus\":\"FROZEN\"}]"), SL_EINVAL,
                   "invalid activity status 'FROZEN' for tenant \"c\"");
    assert_int_equal(set_tenants(f, "[{\"name\":\"a\",\"activityStatus\":\"WARM\"}]"), SL_EINVAL);
    assert_int_equal(f->err.sys_errno, SL_DB_SWAGGER_ENUM);
    expect_refusal(f, set_tenants(f, "[{\"name\":\"zz\",\"activityStatus\":\"COLD\"}]"), SL_EINVAL,
                   "updating schema: TYPE_UPDATE_TENANT: shard not found: zz");
    expect_ok(f, set_tenants(f, "[{\"name\":\"a\",\"activityStatus\":\"INACTIVE\"}]"));
    expect_reply(f, "[{\"activityStatus\":\"COLD\",\"name\":\"a\"}]");
    assert_int_equal(add(f, "{\"class\":\"Ten\",\"tenant\":\"a\"}"), SL_EINVAL);
    assert_string_equal(f->err.text, "determine shard: tenant not active: 'a'");
}

static void offloaded_tenant_leaves_the_store_and_comes_back(void **state)
{
    struct fixture *f = *state;
    make_class(f, TEN);
    expect_ok(f, add_tenants(f, "[{\"name\":\"a\"}]"));
    for (char n = '1'; n <= '5'; n++) {
        char text[200];
        snprintf(text, sizeof(text),
                 "{\"class\":\"Ten\",\"tenant\":\"a\",\"id\":\"" ID "%c\",\"vector\":[1,%c]}", n,
                 n);
        expect_ok(f, add(f, text));
    }
    expect_ok(f, get(f, in_tenant("Ten", "a"), ID "3"));
    char *before = sl_strdup(sl_buf_cstr(&f->out));
    expect_ok(f, set_tenants(f, "[{\"name\":\"a\",\"activityStatus\":\"OFFLOADED\"}]"));
    expect_reply(f, "[{\"activityStatus\":\"FREEZING\",\"name\":\"a\"}]");
    wait_while(f, "a", "FREEZING");
    assert_string_equal(status_of(f, "a"), "{\"activityStatus\":\"FROZEN\",\"name\":\"a\"}");
    assert_int_equal(get(f, in_tenant("Ten", "a"), ID "3"), SL_EINVAL);
    fixture_reopen(f, false, false); /* it stays away over a restart */
    expect_ok(f, set_tenants(f, "[{\"name\":\"a\",\"activityStatus\":\"HOT\"}]"));
    wait_while(f, "a", "FREEZING"); /* UNFREEZING holds the word too */
    expect_ok(f, get(f, in_tenant("Ten", "a"), ID "3"));
    assert_string_equal(sl_buf_cstr(&f->out), before);
    assert_int_equal(object_count(f), 5);
    sl_free(before);
}

struct only_file {
    char path[256];
};

static sl_rc note_file(void *arg, const char *name, bool is_dir SL_UNUSED,
                       struct sl_err *e SL_UNUSED)
{
    struct fixture *f = ((void **)arg)[0];
    struct only_file *o = ((void **)arg)[1];
    if (strstr(name, ".sluice-offload") != NULL) { /* beside it: whose folder it is */
        snprintf(o->path, sizeof(o->path), "%s/%s", f->offload_path, name);
    }
    return SL_OK;
}

/* A flipped bit anywhere keeps the tenant away, and mending it brings everything back. */
static void damaged_offload_file_is_never_believed(void **state)
{
    struct fixture *f = *state;
    struct only_file only = {""};
    make_class(f, TEN);
    expect_ok(f, add_tenants(f, "[{\"name\":\"a\"}]"));
    expect_ok(f,
              add(f, "{\"class\":\"Ten\",\"tenant\":\"a\",\"id\":\"" ID "1\",\"vector\":[1,2]}"));
    expect_ok(f, set_tenants(f, "[{\"name\":\"a\",\"activityStatus\":\"FROZEN\"}]"));
    wait_while(f, "a", "FREEZING");
    assert_int_equal(sl_dir_list(f->offload_path, note_file, (void *[]){f, &only}, &f->err), SL_OK);
    SL_AUTO(sl_buf) good = SL_BUF_EMPTY;
    assert_int_equal(sl_file_read_all(only.path, 1 << 20, &good, &f->err), SL_OK);
    for (size_t at = 0; at < good.len; at += 7) {
        good.ptr[at] ^= 0x10;
        assert_int_equal(sl_file_write_all(only.path, sl_buf_view(&good), &f->err), SL_OK);
        good.ptr[at] ^= 0x10;
        expect_ok(f, set_tenants(f, "[{\"name\":\"a\",\"activityStatus\":\"HOT\"}]"));
        fixture_reopen(f, false, false); /* joins the mover: its try is over */
        assert_non_null(strstr(status_of(f, "a"), "UNFREEZING"));
    }
    assert_int_equal(sl_file_write_all(only.path, sl_buf_view(&good), &f->err), SL_OK);
    fixture_reopen(f, false, false);
    wait_while(f, "a", "UNFREEZING");
    expect_ok(f, get(f, in_tenant("Ten", "a"), ID "1"));
}

static void read_only_database_refuses_every_change(void **state)
{
    struct fixture *f = *state;
    make_class(f, "{\"class\":\"A\",\"vectorizer\":\"none\"}");
    fixture_reopen(f, false, true);
    assert_int_equal(create(f, "{\"class\":\"B\"}"), SL_EINVAL);
    assert_int_equal(update(f, "A", "{\"class\":\"A\"}"), SL_EINVAL);
    assert_int_equal(add(f, "{\"class\":\"A\"}"), SL_EINVAL);
    assert_int_equal(sl_db_class_delete(f->db, SL_STR("A"), &f->err), SL_EINVAL);
    assert_string_equal(f->err.text, "the database is open for reading only");
}

static void refused_allocation_creates_no_class(void **state)
{
    struct fixture *f = *state;
    for (int64_t n = 0;; n++) {
        json_t *body = parse("{\"class\":\"Swept\",\"properties\":[{\"name\":\"t\",\"dataType\":"
                             "[\"text\"]}],\"vectorizer\":\"none\"}");
        begin(f);
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_rc rc = sl_db_class_create(f->db, body, &f->out, &f->err);
        sl_fault_clear();
        json_decref(body);
        begin(f);
        if (rc == SL_OK) {
            expect_ok(f, sl_db_class_get(f->db, SL_STR("Swept"), &f->out, &f->err));
            assert_true(n > 10);
            return;
        }
        assert_int_equal(rc, SL_ENOMEM);
        assert_int_equal(sl_db_class_get(f->db, SL_STR("Swept"), &f->out, &f->err), SL_ENOTFOUND);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(refusals_have_the_recorded_sentences),
        CASE(update_refuses_what_cannot_change),
        CASE(named_vectors_are_added_to_the_unnamed),
        CASE(classes_and_tenants_survive_reopening),
        CASE(deleted_class_leaves_nothing_in_the_store),
        CASE(status_words_and_their_refusals),
        CASE(offloaded_tenant_leaves_the_store_and_comes_back),
        CASE(damaged_offload_file_is_never_believed),
        CASE(read_only_database_refuses_every_change),
        CASE(refused_allocation_creates_no_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
