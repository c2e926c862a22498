/* Property values of all data types: what is stored for what was sent. The stored side of the
 * tables was exported by a running Weaviate 1.39.0 (tests/data/types/README.md); sentences are its.
 */
#include "object_fixture.h"

#include "kv/kv.h"

#define ID "00000000-0000-4000-8000-000000000001"

static char *file_text(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", SL_TEST_DATA, name);
    json_error_t e;
    json_t *v = json_load_file(path, 0, &e);
    assert_non_null(v);
    char *text = json_dumps(v, 0);
    json_decref(v);
    return text;
}

static void make_class_of(struct fixture *f, const char *name)
{
    char *text = file_text(name);
    make_class(f, text);
    free(text);
}

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof *f);
    *state = f;
    fixture_open(f, false);
    make_class_of(f, "types/plain_class.json");
    make_class_of(f, "types/author_class.json");
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

/* The stored properties of the only object of the view's class, through the door exports use. */
static void stored_properties(struct fixture *f, const char *class, struct sl_buf *out)
{
    struct sl_db_view *v = NULL;
    struct sl_arena arena = SL_ARENA_EMPTY;
    struct sl_db_shard *shards = NULL;
    struct sl_kv_iter *it = NULL;
    struct sl_object *obj = calloc(1, sizeof *obj);
    struct sl_bytes key;
    struct sl_bytes value;
    uint32_t count = 0;
    bool is_multi = false;
    expect_ok(f, sl_db_freeze(f->db, SL_STR("types"), &v, &f->err));
    expect_ok(
        f, sl_db_view_shards(v, sl_str_from(class), &is_multi, &arena, &shards, &count, &f->err));
    assert_int_equal(count, 1);
    expect_ok(f, sl_db_view_scan(v, shards[0].number, NULL, NULL, &it, &f->err));
    expect_ok(f, sl_kv_next(it, &key, &value, &f->err));
    expect_ok(f, sl_object_read(value, obj, &f->err));
    sl_buf_clear(out);
    sl_buf_add(out, obj->properties);
    sl_kv_iter_close(it);
    sl_arena_fini(&arena);
    sl_db_view_release(v, true);
    free(obj);
}

/* Makes the objects that references point to: they must be there. */
static void make_targets(struct fixture *f, const char *properties)
{
    static const char beacon[] = "\"weaviate://localhost/Plain/";
    for (const char *at = strstr(properties, beacon); at != NULL; at = strstr(at + 1, beacon)) {
        char body[128];
        snprintf(body, sizeof body, "{\"objects\":[{\"class\":\"Plain\",\"id\":\"%.36s\"}]}",
                 at + strlen(beacon));
        expect_ok(f, batch(f, body));
    }
}

static void check_table(struct fixture *f, const char *class, const char *table)
{
    struct rows r = rows_read(table);
    struct sl_buf stored = SL_BUF_EMPTY;
    assert_true(r.count >= 10);
    for (size_t i = 0; i < r.count; i++) {
        size_t size = strlen(r.left[i]) + 256;
        char *body = malloc(size);
        make_targets(f, r.right[i]);
        snprintf(body, size, "{\"objects\":[{\"class\":\"%s\",\"id\":\"%s\",\"properties\":%s}]}",
                 class, ID, r.left[i]);
        expect_ok(f, batch(f, body));
        free(body);
        if (strstr(sl_buf_cstr(&f->out), "\"status\":\"SUCCESS\"") == NULL) {
            fail_msg("line %zu: %s", i + 1, sl_buf_cstr(&f->out));
        }
        stored_properties(f, class, &stored);
        assert_string_equal(sl_buf_cstr(&stored), r.right[i]);
    }
    sl_buf_fini(&stored);
    free(r.text);
}

static void stored_values_equal_those_of_a_real_server(void **state)
{
    check_table(*state, "Plain", "types/plain.tsv");
}

static void stored_references_equal_those_of_a_real_server(void **state)
{
    check_table(*state, "Author", "types/author.tsv");
}

static void reply_of_all_types_equals_the_recorded_call(void **state)
{
    struct fixture *f = *state;
    struct rows r = rows_read("types/replies.tsv");
    make_class(
        f,
        "{\"class\":\"AllTypes\",\"vectorConfig\":{\"default\":{\"vectorizer\":{\"none\":{}}}},"
        "\"properties\":[{\"name\":\"text\",\"dataType\":[\"text\"]},{\"name\":\"texts\","
        "\"dataType\":[\"text[]\"]},{\"name\":\"i\",\"dataType\":[\"int\"]},{\"name\":\"is_\","
        "\"dataType\":[\"int[]\"]},{\"name\":\"n\",\"dataType\":[\"number\"]},{\"name\":\"ns\","
        "\"dataType\":[\"number[]\"]},{\"name\":\"b\",\"dataType\":[\"boolean\"]},{\"name\":"
        "\"bs\",\"dataType\":[\"boolean[]\"]},{\"name\":\"d\",\"dataType\":[\"date\"]},"
        "{\"name\":\"ds\",\"dataType\":[\"date[]\"]},{\"name\":\"u\",\"dataType\":[\"uuid\"]},"
        "{\"name\":\"us\",\"dataType\":[\"uuid[]\"]},{\"name\":\"blob\",\"dataType\":[\"blob\"]},"
        "{\"name\":\"geo\",\"dataType\":[\"geoCoordinates\"]},{\"name\":\"phone\",\"dataType\":"
        "[\"phoneNumber\"]},{\"name\":\"o\",\"dataType\":[\"object\"],\"nestedProperties\":["
        "{\"name\":\"nt\",\"dataType\":[\"text\"]},{\"name\":\"ni\",\"dataType\":[\"int\"]},"
        "{\"name\":\"nn\",\"dataType\":[\"object\"],\"nestedProperties\":[{\"name\":\"x\","
        "\"dataType\":[\"number\"]}]}]},{\"name\":\"os\",\"dataType\":[\"object[]\"],"
        "\"nestedProperties\":[{\"name\":\"nt\",\"dataType\":[\"text\"]},{\"name\":\"ns\","
        "\"dataType\":[\"number[]\"]}]}]}");
    set_time(f, INT64_C(1795429435753));
    expect_ok(f, add(f, r.left[0]));
    expect_reply(f, r.right[0]);
    free(r.text);
}

struct refused {
    const char *properties, *text;
};

static void wrong_values_are_told_in_the_servers_words(void **state)
{
#define ON(kind, name) "invalid object: invalid " kind " property '" name "' on class 'Plain': "
    static const struct refused cases[] = {
        {"{\"t\":1}", ON("text", "t") "not a string, but json.Number"},
        {"{\"t\":[\"a\"]}", ON("text", "t") "not a string, but []interface {}"},
        {"{\"ta\":\"a\"}", ON("text array", "ta") "not a text array, but string"},
        {"{\"ta\":[\"a\",true]}",
         ON("text array", "ta") "invalid text array value: [a %!s(bool=true)]"},
        {"{\"i\":1.5}",
         ON("integer", "i") "the JSON number '1.5' could not be converted to an int"},
        {"{\"i\":1e30}",
         ON("integer", "i") "the JSON number '1e+30' could not be converted to an int"},
        {"{\"i\":true}", ON("integer", "i") "requires an integer, the given value is 'true'"},
        {"{\"ia\":[1,\"x\"]}", ON("integer array", "ia") "invalid integer array value: [1 x]"},
        {"{\"n\":\"1\"}", ON("number", "n") "requires a float, the given value is '1'"},
        {"{\"na\":{}}",
         ON("number array", "na") "not an integer array, but map[string]interface {}"},
        {"{\"b\":\"true\"}", ON("boolean", "b") "not a bool, but string"},
        {"{\"d\":\"2020-02-30T00:00:00Z\"}",
         ON("date", "d") "requires a string with a RFC3339 formatted date, but the given value is "
                         "'2020-02-30T00:00:00Z'"},
        {"{\"d\":7}",
         ON("date", "d") "requires a string with a RFC3339 formatted date, but the given "
                         "value is '7'"},
        {"{\"u\":\"x\"}",
         ON("uuid", "u") "requires a string of UUID format, but the given value is 'x'"},
        {"{\"bl\":\"a\"}", ON("blob", "bl") "not a valid blob base64 string"},
        {"{\"bl\":\"\"}", ON("blob", "bl") "not a valid blob base64 string"},
        {"{\"bl\":\"ab=c\"}", ON("blob", "bl") "not a valid blob base64 string"},
        {"{\"geo\":{\"latitude\":1}}",
         ON("geoCoordinates", "geo") "geoCoordinates is missing required field 'longitude'"},
        {"{\"geo\":{\"latitude\":\"1\",\"longitude\":1}}",
         ON("geoCoordinates",
            "geo") "invalid latitude: must be json.Number or float, but got string"},
        {"{\"ph\":{\"defaultCountry\":\"nl\"}}",
         ON("phoneNumber", "ph") "phoneNumber is missing required field 'input'"},
        {"{\"ph\":{\"input\":7}}", ON("phoneNumber", "ph") "phoneNumber.input must be a string"},
        {"{\"o\":{\"zz\":1}}", ON("object", "o") "unknown property 'o.zz'"},
        {"{\"o\":[]}", ON("object", "o") "object must be a map, but got: []interface {}"},
        {"{\"o\":{\"y\":\"x\"}}",
         ON("object",
            "o") "property 'o.y': invalid integer property 'o.y' on class 'Plain': requires "
                 "an integer, the given value is 'x'"},
        {"{\"oa\":[{\"k\":1}]}",
         ON("object array",
            "oa") "invalid object '0' in array: property 'oa.k': invalid text property "
                  "'oa.k' on class 'Plain': not a string, but json.Number"},
        {"{\"i\":{\"b\":[true],\"a\":null}}",
         ON("integer", "i") "requires an integer, the given value is 'map[a:<nil> b:[true]]'"},
        {"{\"ta\":[{\"a\":1},null]}",
         ON("text array", "ta") "invalid text array value: [map[a:1] %!s(<nil>)]"},
        {"{\"ta\":[[1,2]]}", ON("text array", "ta") "invalid text array value: [[1 2]]"},
        {"{\"bl\":7}", ON("blob", "bl") "not a blob base64 string, but json.Number"},
        {"{\"geo\":7}",
         ON("geoCoordinates", "geo") "geoCoordinates must be a map, but got: json.Number"},
        {"{\"geo\":{\"latitude\":1e39,\"longitude\":1}}",
         ON("geoCoordinates", "geo") "invalid latitude: the number is beyond the range of float32"},
        {"{\"ph\":[]}",
         ON("phoneNumber", "ph") "phoneNumber must be a map, but got: []interface {}"},
        {"{\"ph\":{\"input\":\"1\",\"defaultCountry\":7}}",
         ON("phoneNumber", "ph") "phoneNumber.defaultCountry must be a string"},
        {"{\"ph\":{\"input\":\"1\",\"defaultCountry\":\"netherlands\"}}",
         ON("phoneNumber",
            "ph") "phoneNumber.defaultCountry must be a country code of two letters"},
        {"{\"oa\":{}}",
         ON("object array", "oa") "not an object array, but map[string]interface {}"},
        {"{\"t\":\"a\",\"T\":\"b\"}", "invalid object: property 't' is given twice"},
        {"7", "invalid object: could not recover schema: properties must be an object"},
        {"{\"zz\":1}", "invalid object: no such prop with name 'zz' found in class 'Plain' in the "
                       "schema. Check your "
                       "schema files for which properties in this class are available"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        char body[512];
        snprintf(body, sizeof body, "{\"class\":\"Plain\",\"properties\":%s}", cases[i].properties);
        expect_refusal(f, add(f, body), SL_EINVAL, cases[i].text);
    }
    assert_int_equal(object_count(f), 0);
}

struct stored {
    const char *properties, *text;
};

/* Rules of Go's encoding/json and of the packages the server uses, case by case. */
static void values_are_stored_as_go_prints_them(void **state)
{
    static const struct stored cases[] = {
        {"{}", "{}"},
        {"null", "{}"},
        {"{\"t\":null,\"i\":null}", "{}"},
        {"{\"T\":\"x\"}", "{\"t\":\"x\"}"},
        {"{\"i\":-0}", "{\"i\":-0}"},
        {"{\"i\":9007199254740993}", "{\"i\":9007199254740992}"},
        {"{\"n\":1e-7}", "{\"n\":1e-7}"},
        {"{\"n\":1000000000000000000000}", "{\"n\":1e+21}"},
        {"{\"n\":123456789012345680000}", "{\"n\":123456789012345680000}"},
        {"{\"u\":\"816FE127-2F5F-4BAA-9003-0AEC0418008D\"}",
         "{\"u\":\"816fe127-2f5f-4baa-9003-0aec0418008d\"}"},
        {"{\"u\":\"816fe1272f5f4baa90030aec0418008d\"}",
         "{\"u\":\"816fe127-2f5f-4baa-9003-0aec0418008d\"}"},
        {"{\"u\":\"{816fe127-2f5f-4baa-9003-0aec0418008d}\"}",
         "{\"u\":\"816fe127-2f5f-4baa-9003-0aec0418008d\"}"},
        {"{\"u\":\"URN:uuid:816fe127-2f5f-4baa-9003-0aec0418008d\"}",
         "{\"u\":\"816fe127-2f5f-4baa-9003-0aec0418008d\"}"},
        {"{\"d\":\"2020-01-01T00:00:00.100+00:00\"}", "{\"d\":\"2020-01-01T00:00:00.1Z\"}"},
        {"{\"t\":\"<a>&\\u2028\\u007f/\"}", "{\"t\":\"\\u003ca\\u003e\\u0026\\u2028\x7f/\"}"},
        {"{\"geo\":{\"longitude\":1e-7,\"latitude\":0.1,\"more\":1}}",
         "{\"geo\":{\"latitude\":0.1,\"longitude\":1e-7}}"},
        {"{\"o\":{\"y\":null,\"x\":\"a\"}}", "{\"o\":{\"x\":\"a\",\"y\":null}}"},
        {"{\"oa\":[]}", "{\"oa\":[]}"},
        {"{\"ph\":{\"input\":\"+31 20 1234567\"}}",
         "{\"ph\":{\"countryCode\":31,\"input\":\"+31 20 "
         "1234567\",\"internationalFormatted\":\"+31 20 "
         "123 4567\",\"national\":201234567,\"nationalFormatted\":\"020 123 "
         "4567\",\"valid\":true}}"},
    };
    struct fixture *f = *state;
    struct sl_buf stored = SL_BUF_EMPTY;
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        char body[512];
        snprintf(body, sizeof body,
                 "{\"objects\":[{\"class\":\"Plain\",\"id\":\"" ID "\",\"properties\":%s}]}",
                 cases[i].properties);
        expect_ok(f, batch(f, body));
        stored_properties(f, "Plain", &stored);
        assert_string_equal(sl_buf_cstr(&stored), cases[i].text);
    }
    sl_buf_fini(&stored);
}

static void references_that_are_none_are_refused(void **state)
{
    static const struct refused cases[] = {
        {"{\"wrote\":{}}",
         "invalid object: invalid cref: reference must be an array, but got a map"},
        {"{\"wrote\":7}",
         "invalid object: invalid cref: invalid ref type. Needs to be []map, got json.Number"},
        {"{\"wrote\":[7]}",
         "invalid object: invalid cref: multiple references in Author.wrote should be "
         "a list of maps, but we got: json.Number"},
        {"{\"wrote\":[{}]}", "invalid object: invalid cref: only direct references supported at "
                             "the moment, concept references "
                             "not supported yet:  class 'Author' with property 'wrote' requires "
                             "exactly 1 argument: 'beacon' is "
                             "missing, check your input schema"},
        {"{\"wrote\":[{\"beacon\":\"weaviate://localhost/Plain/" ID "\"}]}",
         "invalid object: invalid cref: 'cref' Author:wrote: no object with id " ID " found"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        char body[512];
        snprintf(body, sizeof body, "{\"class\":\"Author\",\"properties\":%s}",
                 cases[i].properties);
        expect_refusal(f, add(f, body), SL_EINVAL, cases[i].text);
    }
}

static void phone_numbers_that_are_none_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add(f, "{\"class\":\"Plain\",\"properties\":{\"ph\":{\"input\":\"hello\"}}}"),
                     SL_EINVAL);
    assert_int_equal(
        add(f, "{\"class\":\"Plain\",\"properties\":{\"ph\":{\"input\":\"020 1234567\"}}}"),
        SL_EINVAL);
    expect_ok(f, add(f, "{\"class\":\"Plain\",\"properties\":{\"ph\":{\"input\":\"0000\","
                        "\"defaultCountry\":\"nl\"}}}"));
    assert_null(strstr(sl_buf_cstr(&f->out), "\"valid\""));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(stored_values_equal_those_of_a_real_server),
        CASE(stored_references_equal_those_of_a_real_server),
        CASE(reply_of_all_types_equals_the_recorded_call),
        CASE(wrong_values_are_told_in_the_servers_words),
        CASE(values_are_stored_as_go_prints_them),
        CASE(references_that_are_none_are_refused),
        CASE(phone_numbers_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
