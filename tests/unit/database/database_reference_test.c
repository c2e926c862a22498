/* References: added, replaced, removed, in batches; beacons with and without class. Expected texts
 * are those of recorded calls to Weaviate 1.39.0. */
#include "object_fixture.h"

#define PLAIN  "00000000-0000-4000-8000-000000000002"
#define OTHER  "00000000-0000-4000-8000-000000000003"
#define ID     "00000000-0000-4000-8000-000000000010"
#define LOCAL  "weaviate://localhost/"
#define BEACON "{\"beacon\":\"" LOCAL PLAIN "\"}"
#define FULL \
    "{\"beacon\":\"" LOCAL "PlainProps/" PLAIN "\",\"href\":\"/v1/objects/PlainProps/" PLAIN "\"}"
#define FULL_OTHER \
    "{\"beacon\":\"" LOCAL "PlainProps/" OTHER "\",\"href\":\"/v1/objects/PlainProps/" OTHER "\"}"

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof *f);
    *state = f;
    fixture_open(f, false);
    make_class(f, "{\"class\":\"PlainProps\",\"vectorizer\":\"none\",\"properties\":[{\"name\":"
                  "\"title\",\"dataType\":[\"text\"]}]}");
    make_class(f, "{\"class\":\"RefFrom\",\"vectorizer\":\"none\",\"properties\":[{\"name\":\"t\","
                  "\"dataType\":[\"text\"]},{\"name\":\"to\",\"dataType\":[\"PlainProps\"]},"
                  "{\"name\":\"many\",\"dataType\":[\"PlainProps\",\"RefFrom\"]}]}");
    expect_ok(f, add(f, "{\"class\":\"PlainProps\",\"id\":\"" PLAIN "\"}"));
    expect_ok(f, add(f, "{\"class\":\"PlainProps\",\"id\":\"" OTHER "\"}"));
    expect_ok(f, add(f, "{\"class\":\"RefFrom\",\"id\":\"" ID
                        "\",\"properties\":{\"t\":\"from <\"},\"vector\":[1,2]}"));
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

typedef sl_rc edit_fn(struct sl_db *db, struct sl_db_where where, struct sl_str id,
                      struct sl_str property, json_t *body, struct sl_err *err);

static sl_rc edit(struct fixture *f, edit_fn *fn, const char *id, const char *property,
                  const char *text)
{
    json_t *body = parse(text);
    begin(f);
    sl_rc rc =
        fn(f->db, in_class("RefFrom"), sl_str_from(id), sl_str_from(property), body, &f->err);
    json_decref(body);
    return rc;
}

static void expect_properties(struct fixture *f, const char *want)
{
    char text[1024];
    expect_ok(f, get(f, in_class("RefFrom"), ID));
    snprintf(text, sizeof text, "\"properties\":%s,\"vector\":[1,2]", want);
    if (strstr(sl_buf_cstr(&f->out), text) == NULL) {
        fail_msg("%s\nlacks %s", sl_buf_cstr(&f->out), text);
    }
}

static void object_with_references_shows_class_and_href(void **state)
{
    struct fixture *f = *state;
    set_time(f, INT64_C(1795429441916));
    expect_ok(f, add(f, "{\"class\":\"RefFrom\",\"properties\":{\"t\":\"from2\",\"to\":[" BEACON
                        "]},\"id\":\"00000000-0000-4000-8000-000000000011\"}"));
    expect_reply(f, "{\"class\":\"RefFrom\",\"creationTimeUnix\":1795429441916,\"id\":"
                    "\"00000000-0000-4000-8000-000000000011\",\"lastUpdateTimeUnix\":1795429441916,"
                    "\"properties\":{\"t\":\"from2\",\"to\":[" FULL "]}}");
}

static void references_are_added_replaced_and_removed(void **state)
{
    struct fixture *f = *state;
    expect_ok(f, edit(f, sl_db_reference_add, ID, "to", BEACON));
    expect_properties(f, "{\"t\":\"from <\",\"to\":[" FULL "]}");
    expect_ok(f, edit(f, sl_db_reference_add, ID, "to",
                      "{\"beacon\":\"" LOCAL "PlainProps/" OTHER "\",\"href\":\"x\"}"));
    expect_properties(f, "{\"t\":\"from <\",\"to\":[" FULL "," FULL_OTHER "]}");
    expect_ok(f, edit(f, sl_db_reference_delete, ID, "to", BEACON));
    expect_properties(f, "{\"t\":\"from <\",\"to\":[" FULL_OTHER "]}");
    expect_ok(f, edit(f, sl_db_reference_put, ID, "to", "[" BEACON "," BEACON "]"));
    expect_properties(f, "{\"t\":\"from <\",\"to\":[" FULL "," FULL "]}");
    expect_ok(f, edit(f, sl_db_reference_delete, ID, "to", BEACON));
    expect_properties(f, "{\"t\":\"from <\",\"to\":[]}");
    expect_ok(f, edit(f, sl_db_reference_add, ID, "to", BEACON));
    expect_properties(f, "{\"t\":\"from <\",\"to\":[" FULL "]}");
    assert_int_equal(object_count(f), 3);
}

static void removing_what_is_not_there_changes_nothing(void **state)
{
    struct fixture *f = *state;
    set_time(f, NOW_MS + 5);
    expect_ok(f, edit(f, sl_db_reference_delete, ID, "to", BEACON));
    expect_properties(f, "{\"t\":\"from <\"}");
    assert_non_null(strstr(sl_buf_cstr(&f->out), "\"lastUpdateTimeUnix\":1795429435753"));
    expect_ok(f, edit(f, sl_db_reference_add, ID, "to", BEACON));
    expect_ok(f, get(f, in_class("RefFrom"), ID));
    assert_non_null(strstr(sl_buf_cstr(&f->out), "\"lastUpdateTimeUnix\":1795429435758"));
    assert_non_null(strstr(sl_buf_cstr(&f->out), "\"creationTimeUnix\":1795429435753"));
}

static void patch_adds_to_the_references(void **state)
{
    struct fixture *f = *state;
    expect_ok(f, edit(f, sl_db_reference_add, ID, "to", BEACON));
    expect_ok(f,
              patch(f, in_class("RefFrom"), ID,
                    "{\"properties\":{\"to\":[{\"beacon\":\"" LOCAL "PlainProps/" OTHER "\"}]}}"));
    expect_properties(f, "{\"t\":\"from <\",\"to\":[" FULL "," FULL_OTHER "]}");
    expect_ok(f, patch(f, in_class("RefFrom"), ID, "{\"properties\":{\"to\":null}}"));
    expect_properties(f, "{\"t\":\"from <\"}");
}

static void reference_of_several_targets_needs_no_class(void **state)
{
    struct fixture *f = *state;
    expect_ok(f, edit(f, sl_db_reference_add, ID, "many", BEACON));
    expect_properties(f, "{\"many\":[{\"beacon\":\"" LOCAL PLAIN "\",\"href\":\"/v1/objects/" PLAIN
                         "\"}],\"t\":\"from <\"}");
}

static void wrong_references_are_refused(void **state)
{
    struct fixture *f = *state;
    struct {
        const char *id, *property, *body;
        sl_rc rc;
    } cases[] = {
        {"nope", "to", BEACON, SL_EINVAL},
        {PLAIN, "to", BEACON, SL_ENOTFOUND},
        {ID, "t", BEACON, SL_EINVAL},
        {ID, "zz", BEACON, SL_EINVAL},
        {ID, "to", "{}", SL_EINVAL},
        {ID, "to", "{\"beacon\":7}", SL_EINVAL},
        {ID, "to", "{\"beacon\":\"\"}", SL_EINVAL},
        {ID, "to", "{\"beacon\":\"http://localhost/" PLAIN "\"}", SL_EINVAL},
        {ID, "to", "{\"beacon\":\"weaviate://elsewhere/" PLAIN "\"}", SL_EINVAL},
        {ID, "to", "{\"beacon\":\"" LOCAL "PlainProps/x\"}", SL_EINVAL},
        {ID, "to", "{\"beacon\":\"" LOCAL "PlainProps/" PLAIN "/more\"}", SL_EINVAL},
        {ID, "to", "{\"beacon\":\"" LOCAL "Nope/" PLAIN "\"}", SL_EINVAL},
        {ID, "to", "{\"beacon\":\"" LOCAL "PlainProps/" ID "\"}", SL_EINVAL}, /* no such object */
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        sl_rc rc = edit(f, sl_db_reference_add, cases[i].id, cases[i].property, cases[i].body);
        assert_string_equal(sl_rc_name(rc), sl_rc_name(cases[i].rc));
    }
    expect_properties(f, "{\"t\":\"from <\"}");
    assert_int_equal(edit(f, sl_db_reference_put, ID, "to", "{}"), SL_EINVAL);
}

static void batch_of_references_tells_each_its_result(void **state)
{
    struct fixture *f = *state;
    expect_ok(f, batch_references(f, "[{\"from\":\"" LOCAL "RefFrom/" ID
                                     "/to\",\"to\":\"" LOCAL PLAIN "\"}]"));
    expect_reply(f, "[{\"from\":\"" LOCAL "RefFrom/" ID "/to\",\"to\":\"" LOCAL "PlainProps/" PLAIN
                    "\",\"result\":{\"status\":\"SUCCESS\"}}]");
    expect_ok(
        f, batch_references(f, "[{\"from\":\"" LOCAL "RefFrom/" ID "/t\",\"to\":\"" LOCAL PLAIN
                               "\"},{\"from\":\"x\",\"to\":\"y\"},7,{\"from\":\"" LOCAL
                               "RefFrom/" ID "/to\",\"to\":\"" LOCAL "PlainProps/" OTHER "\"}]"));
    json_t *reply = parse(sl_buf_cstr(&f->out));
    static const char *const want[] = {"FAILED", "FAILED", "FAILED", "SUCCESS"};
    assert_int_equal(json_array_size(reply), SL_COUNT_OF(want));
    for (size_t i = 0; i < SL_COUNT_OF(want); i++) {
        json_t *result = json_object_get(json_array_get(reply, i), "result");
        assert_string_equal(json_string_value(json_object_get(result, "status")), want[i]);
    }
    json_decref(reply);
    expect_properties(f, "{\"t\":\"from <\",\"to\":[" FULL "," FULL_OTHER "]}");
    assert_int_equal(batch_references(f, "[]"), SL_EINVAL);
}

static void expect_status(struct fixture *f, size_t i, const char *status, const char *message)
{
    json_t *reply = parse(sl_buf_cstr(&f->out));
    json_t *result = json_object_get(json_array_get(reply, i), "result");
    json_t *list = json_object_get(json_object_get(result, "errors"), "error");
    json_t *told = json_object_get(json_array_get(list, 0), "message");
    assert_string_equal(json_string_value(json_object_get(result, "status")), status);
    assert_string_equal(told == NULL ? "" : json_string_value(told), message);
    json_decref(reply);
}

#define NOBODY "00000000-0000-4000-8000-0000000000ff"

/* usecases/objects/batch_add.go validates each object as single calls do, existence included. */
static void objects_of_a_batch_refer_to_what_exists(void **state)
{
    struct fixture *f = *state;
    expect_ok(f, batch(f, "{\"objects\":[{\"class\":\"RefFrom\",\"properties\":{\"to\":["
                          "{\"beacon\":\"" LOCAL NOBODY "\"}]}},"
                          "{\"class\":\"RefFrom\",\"properties\":{\"to\":[" BEACON "]}}]}"));
    expect_status(f, 0, "FAILED",
                  "invalid cref: 'cref' RefFrom:to: no object with id " NOBODY " found");
    expect_status(f, 1, "SUCCESS", "");
}

static void refer(struct fixture *f, const char *from, const char *to)
{
    char text[512];
    (void)snprintf(text, sizeof text,
                   "[{\"from\":\"" LOCAL "%s\",\"to\":\"" LOCAL "%s\",\"tenant\":\"a\"}]", from,
                   to);
    expect_ok(f, batch_references(f, text));
}

/* usecases/objects/batch_references_add.go: both ends must exist where the source has tenants, and
 * only there. */
static void a_batch_of_references_stays_within_a_tenant(void **state)
{
    struct fixture *f = *state;
    make_class(f, "{\"class\":\"Ten\",\"vectorizer\":\"none\",\"multiTenancyConfig\":{\"enabled\":"
                  "true,\"autoTenantCreation\":true},\"properties\":[{\"name\":\"to\",\"dataType\":"
                  "[\"Ten\"]},{\"name\":\"out\",\"dataType\":[\"PlainProps\"]}]}");
    expect_ok(f, batch(f, "{\"objects\":[{\"class\":\"Ten\",\"tenant\":\"a\",\"id\":\"" ID "\"},"
                          "{\"class\":\"Ten\",\"tenant\":\"a\",\"id\":\"" OTHER "\"},"
                          "{\"class\":\"Ten\",\"tenant\":\"b\",\"id\":\"" PLAIN "\"}]}"));
    refer(f, "Ten/" ID "/to", "Ten/" OTHER);
    expect_status(f, 0, "SUCCESS", "");
    refer(f, "Ten/" ID "/to", "Ten/" PLAIN);
    expect_status(f, 0, "FAILED", "target: object Ten/" PLAIN " not found for tenant \"a\"");
    refer(f, "Ten/" NOBODY "/to", "Ten/" OTHER);
    expect_status(f, 0, "FAILED", "source: object Ten/" NOBODY " not found for tenant \"a\"");
    refer(f, "Ten/" ID "/out", "PlainProps/" PLAIN);
    expect_status(f, 0, "SUCCESS", "");
    refer(f, "Ten/" ID "/out", "PlainProps/" NOBODY);
    expect_status(f, 0, "FAILED", "target: object PlainProps/" NOBODY " not found for tenant \"\"");
    expect_ok(f, batch_references(f, "[{\"from\":\"" LOCAL "RefFrom/" ID "/to\",\"to\":\"" LOCAL
                                     "PlainProps/" NOBODY "\"}]"));
    expect_status(f, 0, "SUCCESS", "");
}

/* A change that runs out of memory leaves the list and the memory as they were. */
static void add_survives_refused_allocations(void **state)
{
    struct fixture *f = *state;
    json_t *body = parse(BEACON);
    for (int64_t n = 0;; n++) {
        begin(f);
        int64_t live = sl_mem_live();
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_rc rc = sl_db_reference_add(f->db, in_class("RefFrom"), SL_STR(ID), SL_STR("to"), body,
                                       &f->err);
        sl_fault_clear();
        if (rc == SL_OK) {
            assert_true(n > 5);
            break;
        }
        assert_int_equal(rc, SL_ENOMEM);
        assert_int_equal(sl_mem_live(), live);
    }
    json_decref(body);
    expect_properties(f, "{\"t\":\"from <\",\"to\":[" FULL "]}");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(object_with_references_shows_class_and_href),
        CASE(references_are_added_replaced_and_removed),
        CASE(removing_what_is_not_there_changes_nothing),
        CASE(patch_adds_to_the_references),
        CASE(reference_of_several_targets_needs_no_class),
        CASE(wrong_references_are_refused),
        CASE(batch_of_references_tells_each_its_result),
        CASE(objects_of_a_batch_refer_to_what_exists),
        CASE(a_batch_of_references_stays_within_a_tenant),
        CASE(add_survives_refused_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
