/* Objects: add, replace, patch, delete, get, list, batch. Expected replies and sentences are those
 * of recorded calls to Weaviate 1.39.0 unless a test says otherwise. */
#include "object_fixture.h"

#include <pthread.h>

#define ID "00000000-0000-4000-8000-00000000000"
#define PLAIN_PROPS                                                                            \
    "{\"vectorConfig\":{\"default\":{\"vectorizer\":{\"none\":{}}}},\"class\":\"PlainProps\"," \
    "\"properties\":[{\"name\":\"title\",\"dataType\":[\"text\"]},"                            \
    "{\"name\":\"year\",\"dataType\":[\"int\"]}]}"
#define NAMED                                                                                      \
    "{\"vectorConfig\":{\"a\":{\"vectorizer\":{\"none\":{}}},\"b\":{\"vectorizer\":{\"none\":{}}," \
    "\"vectorIndexType\":\"flat\",\"vectorIndexConfig\":{}}},\"class\":\"Named\",\"properties\":[" \
    "{\"name\":\"t\",\"dataType\":[\"text\"]}]}"
#define MULTI                                                                                    \
    "{\"vectorConfig\":{\"colbert\":{\"vectorizer\":{\"none\":{}},\"vectorIndexType\":\"hnsw\"," \
    "\"vectorIndexConfig\":{\"multivector\":{\"enabled\":true}}},\"dense\":{\"vectorizer\":"     \
    "{\"none\":{}}}},\"class\":\"Multi\",\"properties\":[{\"name\":\"t\",\"dataType\":"          \
    "[\"text\"]}]}"
#define LEGACY                                                                              \
    "{\"vectorizer\":\"none\",\"class\":\"LegacyNone\",\"properties\":[{\"name\":\"auto\"," \
    "\"dataType\":[\"text\"]}]}"
#define TENANTS                                                                             \
    "{\"class\":\"Ten\",\"vectorizer\":\"none\",\"multiTenancyConfig\":{\"enabled\":true}," \
    "\"properties\":[{\"name\":\"t\",\"dataType\":[\"text\"]}]}"

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof *f);
    *state = f;
    fixture_open(f, false);
    make_class(f, PLAIN_PROPS);
    make_class(f, NAMED);
    make_class(f, MULTI);
    make_class(f, LEGACY);
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static void replies_equal_recorded_calls(void **state)
{
    struct fixture *f = *state;
    struct rows r = rows_read("types/replies.tsv");
    assert_int_equal(r.count, 5);
    for (size_t i = 1; i < r.count; i++) { /* line 0 is of database_types_test */
        json_t *reply = parse(r.right[i]);
        set_time(f, (int64_t)json_number_value(json_object_get(reply, "creationTimeUnix")));
        json_decref(reply);
        expect_ok(f, add(f, r.left[i]));
        expect_reply(f, r.right[i]);
    }
    free(r.text);
}

static void existing_id_is_refused(void **state)
{
    struct fixture *f = *state;
    expect_ok(f, add(f, "{\"class\":\"LegacyNone\",\"id\":\"" ID "1\"}"));
    expect_refusal(f, add(f, "{\"class\":\"LegacyNone\",\"id\":\"" ID "1\"}"), SL_EINVAL,
                   "id '" ID "1' already exists");
    assert_int_equal(object_count(f), 1);
}

static void bad_id_is_refused(void **state)
{
    struct fixture *f = *state;
    expect_refusal(f, add(f, "{\"class\":\"PlainProps\",\"id\":\"nope\",\"properties\":{}}"),
                   SL_EINVAL, "id in body must be of type uuid: \"nope\"");
    expect_refusal(f, get(f, in_class("PlainProps"), "nope"), SL_EINVAL,
                   "id in path must be of type uuid: \"nope\"");
}

static void object_without_id_gets_one(void **state)
{
    struct fixture *f = *state;
    expect_ok(f, add(f, "{\"class\":\"PlainProps\",\"properties\":{\"title\":\"auto\"}}"));
    json_t *reply = parse(sl_buf_cstr(&f->out));
    uint8_t uuid[SL_UUID_SIZE];
    const char *id = json_string_value(json_object_get(reply, "id"));
    assert_true(sl_uuid_parse(sl_str_from(id), uuid));
    expect_ok(f, get(f, in_class("PlainProps"), id));
    json_decref(reply);
}

static void unknown_vector_is_refused(void **state)
{
    struct fixture *f = *state;
    expect_refusal(f, add(f, "{\"class\":\"Named\",\"vectors\":{\"zz\":[1,2]}}"), SL_EINVAL,
                   "invalid object: collection Named does not have configuration for vector zz");
}

static void plain_vector_is_refused_by_two_named(void **state)
{
    struct fixture *f = *state;
    expect_refusal(
        f, add(f, "{\"class\":\"Named\",\"vector\":[1,2]}"), SL_EINVAL,
        "invalid object: collection Named configuration does not have single vector index");
}

static void other_dimensions_are_refused(void **state)
{
    struct fixture *f = *state;
    char want[512];
    expect_ok(f, add(f, "{\"class\":\"LegacyNone\",\"id\":\"" ID "1\",\"vector\":[1,2,3]}"));
    begin(f);
    expect_ok(f, sl_db_class_shards(f->db, SL_STR("LegacyNone"), &f->out, &f->err));
    json_t *shards = parse(sl_buf_cstr(&f->out));
    snprintf(
        want, sizeof want,
        "put object: import into index legacynone: put local object: shard=\"%s\": store object "
        "in LSM store: Validate vector index for " ID "2: new node has a vector with length 2. "
        "Existing nodes have vectors with length 3: vector dimensions do not match the index "
        "dimensions",
        json_string_value(json_object_get(json_array_get(shards, 0), "name")));
    json_decref(shards);
    expect_refusal(f, add(f, "{\"class\":\"LegacyNone\",\"id\":\"" ID "2\",\"vector\":[1,2]}"),
                   SL_EREFUSED, want);
    expect_ok(f, add(f, "{\"class\":\"LegacyNone\",\"id\":\"" ID "2\",\"vector\":[4,5,6]}"));
    expect_ok(f, add(f, "{\"class\":\"LegacyNone\",\"id\":\"" ID "3\"}"));
}

static void dimensions_outlive_the_objects(void **state)
{
    struct fixture *f = *state;
    expect_ok(f, add(f, "{\"class\":\"Named\",\"id\":\"" ID "1\",\"vectors\":{\"a\":[1,2]}}"));
    expect_ok(f, delete (f, in_class("Named"), ID "1"));
    assert_int_equal(add(f, "{\"class\":\"Named\",\"vectors\":{\"a\":[1]}}"), SL_EREFUSED);
    expect_ok(f, add(f, "{\"class\":\"Named\",\"vectors\":{\"b\":[1]}}"));
}

static void shape_of_multi_vectors_is_checked(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add(f, "{\"class\":\"Multi\",\"vectors\":{\"colbert\":[1,2]}}"), SL_EREFUSED);
    assert_non_null(strstr(f->err.text,
                           "update vector index for target vector colbert: insert doc "
                           "id 0 to vector index: AddBatch called on multivector index"));
    expect_refusal(f, add(f, "{\"class\":\"LegacyNone\",\"vectors\":{\"default\":[[1,2]]}}"),
                   SL_EINVAL, "invalid object: vector vector has to be a float32 array");
    expect_refusal(f, add(f, "{\"class\":\"Multi\",\"vectors\":{\"dense\":[[1,2]]}}"), SL_EINVAL,
                   "invalid object: vector dense has to be a float32 array");
    assert_int_equal(add(f, "{\"class\":\"Multi\",\"vectors\":{\"colbert\":[[1,2],[1]]}}"),
                     SL_EINVAL);
    assert_int_equal(add(f, "{\"class\":\"Multi\",\"vectors\":{\"colbert\":[[1,2],[]]}}"),
                     SL_EINVAL);
    assert_int_equal(object_count(f), 0);
}

static void legacy_class_takes_the_vector_named_default(void **state)
{
    struct fixture *f = *state;
    expect_ok(
        f, add(f, "{\"class\":\"LegacyNone\",\"id\":\"" ID "1\",\"vectors\":{\"default\":[1]}}"));
    expect_reply(f, "{\"class\":\"LegacyNone\",\"creationTimeUnix\":1795429435753,\"id\":\"" ID
                    "1\",\"lastUpdateTimeUnix\":1795429435753,\"properties\":{},\"vector\":[1]}");
}

static void empty_vectors_are_dropped(void **state)
{
    struct fixture *f = *state;
    expect_ok(f, add(f, "{\"class\":\"Multi\",\"id\":\"" ID
                        "1\",\"vectors\":{\"colbert\":[],\"dense\":[]},\"vector\":[]}"));
    expect_reply(f, "{\"class\":\"Multi\",\"creationTimeUnix\":1795429435753,\"id\":\"" ID
                    "1\",\"lastUpdateTimeUnix\":1795429435753,\"properties\":{}}");
}

static void more_than_65535_dimensions_are_refused(void **state)
{
    struct fixture *f = *state;
    json_t *vector = json_array();
    for (int i = 0; i < 65536; i++) {
        json_array_append_new(vector, json_real(0.5));
    }
    json_t *object = json_pack("{s:s,s:o}", "class", "LegacyNone", "vector", vector);
    begin(f);
    expect_refusal(
        f, sl_db_object_add(f->db, object, &f->out, &f->err), SL_EINVAL,
        "invalid object: vector vector has 65536 dimensions, at most 65535 are possible");
    json_array_remove(vector, 0);
    expect_ok(f, sl_db_object_add(f->db, object, &f->out, &f->err));
    json_decref(object);
}

static void numbers_beyond_float32_are_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add(f, "{\"class\":\"LegacyNone\",\"vector\":[1e39]}"), SL_EINVAL);
    assert_int_equal(add(f, "{\"class\":\"LegacyNone\",\"vector\":[\"1\"]}"), SL_EINVAL);
    assert_int_equal(add(f, "{\"class\":\"LegacyNone\",\"vector\":\"1\"}"), SL_EINVAL);
    assert_int_equal(add(f, "{\"class\":\"LegacyNone\",\"vector\":{}}"), SL_EINVAL);
    assert_int_equal(add(f, "{\"class\":\"LegacyNone\",\"vectors\":[1]}"), SL_EINVAL);
}

static void missing_class_is_refused_without_auto_schema(void **state)
{
    struct fixture *f = *state;
    expect_refusal(f, add(f, "{\"class\":\"Nope\"}"), SL_EINVAL,
                   "invalid object: class \"Nope\" not found in schema");
    expect_refusal(f, add(f, "{\"properties\":{}}"), SL_EINVAL,
                   "invalid object: the given class is empty");
    assert_int_equal(add(f, "[]"), SL_EINVAL);
    assert_int_equal(add(f, "{\"class\":7}"), SL_EINVAL);
}

static void missing_class_is_made_by_auto_schema(void **state)
{
    struct fixture *plain = *state;
    struct fixture auto_made;
    struct fixture *f = &auto_made;
    (void)plain;
    fixture_open(f, true);
    set_time(f, INT64_C(1795429438003));
    expect_ok(f, add(f, "{\"class\":\"AutoMade\",\"properties\":{\"s\":\"x\",\"n\":1.5,\"b\":true,"
                        "\"d\":\"2024-01-01T00:00:00.000000+00:00\",\"l\":[\"a\"]},\"id\":\"" ID
                        "1\",\"vector\":[1,2]}"));
    expect_reply(f,
                 "{\"class\":\"AutoMade\",\"creationTimeUnix\":1795429438003,\"id\":\"" ID
                 "1\",\"lastUpdateTimeUnix\":1795429438003,\"properties\":{\"b\":true,\"d\":"
                 "\"2024-01-01T00:00:00Z\",\"l\":[\"a\"],\"n\":1.5,\"s\":\"x\"},\"vector\":[1,2]}");
    expect_ok(f, patch(f, in_class("AutoMade"), ID "1", "{\"properties\":{\"more\":\"y\"}}"));
    fixture_close(f);
}

static void first_letter_of_a_class_may_be_small(void **state)
{
    struct fixture *f = *state;
    expect_ok(f, add(f, "{\"class\":\"plainProps\",\"id\":\"" ID "1\"}"));
    expect_ok(f, get(f, in_class("PlainProps"), ID "1"));
}

static void replace_keeps_the_creation_time(void **state)
{
    struct fixture *f = *state;
    set_time(f, INT64_C(1795429436068));
    expect_ok(f, add(f, "{\"class\":\"PlainProps\",\"id\":\"" ID
                        "2\",\"properties\":{\"title\":\"a\",\"year\":1999},\"vector\":[1,2,3]}"));
    set_time(f, INT64_C(1795429438626));
    expect_ok(f, put(f, in_class("PlainProps"), ID "2",
                     "{\"class\":\"PlainProps\",\"properties\":{\"title\":\"replaced\"},\"vector\":"
                     "[3,2,1],\"id\":\"" ID "2\"}"));
    expect_reply(f,
                 "{\"class\":\"PlainProps\",\"creationTimeUnix\":1795429436068,\"id\":\"" ID
                 "2\",\"lastUpdateTimeUnix\":1795429438626,\"properties\":{\"title\":\"replaced\"},"
                 "\"vectors\":{\"default\":[3,2,1]}}");
    assert_int_equal(object_count(f), 1);
    assert_int_equal(put(f, in_class("PlainProps"), ID "7", "{\"properties\":{}}"), SL_ENOTFOUND);
    assert_int_equal(put(f, in_class("Nope"), ID "7", "{}"), SL_ENOTFOUND);
    expect_refusal(f, put(f, in_class("PlainProps"), ID "2", "{\"id\":\"" ID "3\"}"), SL_EINVAL,
                   "invalid update: field 'id' is immutable");
}

static void patch_merges_properties_and_keeps_vectors(void **state)
{
    struct fixture *f = *state;
    struct sl_db_where where = in_class("PlainProps");
    set_time(f, INT64_C(1795429436068));
    expect_ok(f, add(f, "{\"class\":\"PlainProps\",\"id\":\"" ID
                        "2\",\"properties\":{\"title\":\"replaced\"},\"vector\":[3,2,1]}"));
    expect_ok(f,
              patch(f, where, ID "2", "{\"class\":\"PlainProps\",\"properties\":{\"year\":2001}}"));
    expect_ok(f, get(f, where, ID "2"));
    expect_reply(f,
                 "{\"class\":\"PlainProps\",\"creationTimeUnix\":1795429436068,\"id\":\"" ID
                 "2\",\"lastUpdateTimeUnix\":1795429436068,\"properties\":{\"title\":\"replaced\","
                 "\"year\":2001},\"vectorWeights\":null,\"vectors\":{\"default\":[3,2,1]}}");
    set_time(f, INT64_C(1795429439403));
    expect_ok(f, patch(f, where, ID "2", "{\"properties\":{\"year\":2002},\"vector\":[9,9,9]}"));
    expect_ok(f, patch(f, where, ID "2", "{\"properties\":{\"title\":null}}"));
    expect_ok(f, get(f, where, ID "2"));
    expect_reply(f, "{\"class\":\"PlainProps\",\"creationTimeUnix\":1795429436068,\"id\":\"" ID
                    "2\",\"lastUpdateTimeUnix\":1795429439403,\"properties\":{\"year\":2002},"
                    "\"vectorWeights\":null,\"vectors\":{\"default\":[9,9,9]}}");
    assert_int_equal(patch(f, where, ID "7", "{\"properties\":{\"year\":1}}"), SL_ENOTFOUND);
    expect_refusal(
        f, patch(f, where, ID "2", "{\"properties\":{\"year\":\"x\"}}"), SL_EINVAL,
        "invalid object: invalid integer property 'year' on class 'PlainProps': requires "
        "an integer, the given value is 'x'");
    assert_int_equal(object_count(f), 1);
}

static void patch_keeps_the_vectors_it_does_not_name(void **state)
{
    struct fixture *f = *state;
    expect_ok(f, add(f, "{\"class\":\"Multi\",\"id\":\"" ID
                        "1\",\"vectors\":{\"colbert\":[[1,2],[3,4]],\"dense\":[1,2,3]}}"));
    expect_ok(f, patch(f, in_class("Multi"), ID "1", "{\"vectors\":{\"dense\":[0.5,2e-7,1e21]}}"));
    expect_ok(f, get(f, in_class("Multi"), ID "1"));
    expect_reply(
        f, "{\"class\":\"Multi\",\"creationTimeUnix\":1795429435753,\"id\":\"" ID
           "1\",\"lastUpdateTimeUnix\":1795429435753,\"properties\":{},\"vectorWeights\":null,"
           "\"vectors\":{\"colbert\":[[1,2],[3,4]],\"dense\":[0.5,2e-7,1e+21]}}");
}

static void delete_of_a_missing_object_is_fine(void **state)
{
    struct fixture *f = *state;
    expect_ok(f, add(f, "{\"class\":\"PlainProps\",\"id\":\"" ID "5\"}"));
    assert_int_equal(object_count(f), 1);
    expect_ok(f, delete (f, in_class("PlainProps"), ID "5"));
    expect_ok(f, delete (f, in_class("PlainProps"), ID "5"));
    assert_int_equal(object_count(f), 0);
    assert_int_equal(get(f, in_class("PlainProps"), ID "5"), SL_ENOTFOUND);
    assert_int_equal(sl_db_object_exists(f->db, in_class("PlainProps"), SL_STR(ID "5"), &f->err),
                     SL_ENOTFOUND);
    expect_refusal(
        f, delete (f, in_class("Nope"), ID "5"), SL_EINTERNAL,
        "could not delete object from vector repo: delete from non-existing index for Nope");
}

static void batch_tells_each_object_its_result(void **state)
{
    struct fixture *f = *state;
    set_time(f, INT64_C(1795429456009));
    expect_ok(f,
              batch(f, "{\"objects\":[{\"class\":\"PlainProps\",\"id\":\"" ID
                       "1\",\"properties\":{\"title\":\"rb\"},\"vector\":[1,2,3]},{\"class\":"
                       "\"PlainProps\",\"id\":\"" ID "2\",\"properties\":{\"year\":\"bad\"}}]}"));
    expect_reply(f,
                 "[{\"class\":\"PlainProps\",\"creationTimeUnix\":1795429456009,\"id\":\"" ID
                 "1\",\"lastUpdateTimeUnix\":1795429456009,\"properties\":{\"title\":\"rb\"},"
                 "\"vectors\":{\"default\":[1,2,3]},\"deprecations\":null,\"result\":{\"status\":"
                 "\"SUCCESS\"}},{\"class\":\"PlainProps\",\"creationTimeUnix\":1795429456009,"
                 "\"id\":\"" ID "2\",\"lastUpdateTimeUnix\":1795429456009,\"properties\":{\"year\":"
                 "\"bad\"},\"deprecations\":null,\"result\":{\"errors\":{\"error\":[{\"message\":"
                 "\"invalid integer property 'year' on class 'PlainProps': requires an integer, "
                 "the given value is 'bad'\"}]},\"status\":\"FAILED\"}}]");
    expect_ok(f, batch(f, "{\"objects\":[{\"class\":\"PlainProps\",\"id\":\"" ID
                          "3\",\"vector\":[1,2]}]}"));
    assert_non_null(
        strstr(sl_buf_cstr(&f->out),
               "{\"message\":\"Validate vector index default for target vector " ID
               "3: new node has a vector with length 2. Existing nodes have vectors with "
               "length 3: vector dimensions do not match the index dimensions\"}"));
    assert_int_equal(object_count(f), 1);
    assert_int_equal(batch(f, "{\"objects\":[]}"), SL_EINVAL);
}

static void last_of_equal_ids_in_a_batch_wins(void **state)
{
    struct fixture *f = *state;
    expect_ok(f, batch(f, "{\"objects\":[{\"class\":\"PlainProps\",\"id\":\"" ID
                          "1\",\"properties\":{\"year\":1}},{\"class\":\"Named\",\"id\":\"" ID
                          "1\"},{\"class\":\"PlainProps\",\"id\":\"" ID
                          "1\",\"properties\":{\"year\":2}},{\"class\":\"PlainProps\",\"id\":\"" ID
                          "1\",\"properties\":{\"year\":\"bad\"}}]}"));
    assert_int_equal(object_count(f), 2);
    expect_ok(f, get(f, in_class("PlainProps"), ID "1"));
    assert_non_null(strstr(sl_buf_cstr(&f->out), "\"properties\":{\"year\":2}"));
    expect_ok(f, batch(f, "{\"objects\":[{\"class\":\"PlainProps\",\"id\":\"" ID "1\"}]}"));
    assert_int_equal(object_count(f), 2);
}

static void fill(struct fixture *f, const char *class, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        char text[256];
        snprintf(text, sizeof text,
                 "{\"class\":\"%s\",\"id\":\"%08x-0000-4000-8000-000000000000\"}", class,
                 (unsigned)i * 0x10101010u);
        expect_ok(f, add(f, text));
    }
}

/* First bytes of the ids of a page, e.g. "00 10 20 ". */
static const char *page(struct fixture *f, struct sl_db_list_opts opts, char *ids)
{
    begin(f);
    expect_ok(f, sl_db_object_list(f->db, &opts, &f->out, &f->err));
    json_t *reply = parse(sl_buf_cstr(&f->out));
    json_t *objects = json_object_get(reply, "objects");
    assert_true(json_number_value(json_object_get(reply, "totalResults")) ==
                (double)json_array_size(objects));
    ids[0] = '\0';
    for (size_t i = 0; i < json_array_size(objects); i++) {
        const char *id = json_string_value(json_object_get(json_array_get(objects, i), "id"));
        strncat(ids, id, 2);
        strcat(ids, " "); /* allow: strcat, room for 100 ids */
    }
    json_decref(reply);
    return ids;
}

static void list_pages_in_uuid_order(void **state)
{
    struct fixture *f = *state;
    char ids[512];
    make_class(f, "{\"class\":\"Sharded\",\"vectorizer\":\"none\",\"shardingConfig\":"
                  "{\"desiredCount\":3},\"properties\":null}");
    fill(f, "Sharded", 16);
    struct sl_db_list_opts all = {.where = in_class("Sharded"), .limit = -1};
    assert_string_equal(page(f, all, ids), "00 10 20 30 40 50 60 70 80 90 ");
    struct sl_db_list_opts some = {.where = in_class("Sharded"), .limit = 3, .offset = 14};
    assert_string_equal(page(f, some, ids), "e0 f0 ");
    struct sl_db_list_opts cursor = {.where = in_class("Sharded"), .limit = 3, .has_after = true};
    assert_string_equal(page(f, cursor, ids), "00 10 20 ");
    cursor.after = SL_STR("20202020-0000-4000-8000-000000000000");
    assert_string_equal(page(f, cursor, ids), "30 40 50 ");
    cursor.after = SL_STR("f0f0f0f0-0000-4000-8000-000000000000");
    assert_string_equal(page(f, cursor, ids), "");
}

static void list_without_class_goes_through_all(void **state)
{
    struct fixture *f = *state;
    char ids[512];
    fill(f, "Named", 2);
    fill(f, "PlainProps", 2);
    struct sl_db_list_opts opts = {.limit = 4};
    assert_string_equal(page(f, opts, ids), "00 10 00 10 ");
    opts.offset = 1;
    opts.limit = 2;
    assert_string_equal(page(f, opts, ids), "10 00 ");
}

static void list_reply_has_the_recorded_shape(void **state)
{
    struct fixture *f = *state;
    set_time(f, INT64_C(1795429436068));
    expect_ok(f, add(f, "{\"class\":\"PlainProps\",\"id\":\"" ID
                        "2\",\"properties\":{\"year\":2002},\"vector\":[9,9,9]}"));
    struct sl_db_list_opts opts = {.where = in_class("PlainProps"), .limit = 2};
    begin(f);
    expect_ok(f, sl_db_object_list(f->db, &opts, &f->out, &f->err));
    expect_reply(f,
                 "{\"deprecations\":[],\"objects\":[{\"class\":\"PlainProps\",\"creationTimeUnix\":"
                 "1795429436068,\"id\":\"" ID "2\",\"lastUpdateTimeUnix\":1795429436068,"
                 "\"properties\":{\"year\":2002},\"vectorWeights\":null}],\"totalResults\":1}");
}

static void list_limits_are_told(void **state)
{
    struct fixture *f = *state;
    struct sl_db_list_opts wrong[] = {
        {.where = in_class("PlainProps"), .limit = 101},
        {.where = in_class("PlainProps"), .limit = 1, .offset = 100},
        {.where = in_class("PlainProps"), .limit = 1, .offset = INT64_MAX},
        {.limit = 1, .has_after = true},
        {.where = in_class("PlainProps"), .limit = -1, .has_after = true},
        {.where = in_class("PlainProps"), .limit = 1, .offset = 1, .has_after = true},
        {.where = in_class("PlainProps"), .limit = 1, .has_after = true, .after = SL_STR("x")},
    };
    for (size_t i = 0; i < SL_COUNT_OF(wrong); i++) {
        begin(f);
        assert_int_equal(sl_db_object_list(f->db, &wrong[i], &f->out, &f->err), SL_EINVAL);
        assert_int_equal(f->out.len, 0);
    }
    struct sl_db_list_opts missing = {.where = in_class("Nope"), .limit = 1};
    begin(f);
    assert_int_equal(sl_db_object_list(f->db, &missing, &f->out, &f->err), SL_ENOTFOUND);
    assert_int_equal(f->out.len, 0);
}

static void make_tenant(struct fixture *f, const char *class, const char *text)
{
    json_t *body = parse(text);
    begin(f);
    expect_ok(f, sl_db_tenants_add(f->db, sl_str_from(class), body, &f->out, &f->err));
    json_decref(body);
}

static void tenants_keep_their_objects_apart(void **state)
{
    struct fixture *f = *state;
    make_class(f, TENANTS);
    make_tenant(f, "Ten",
                "[{\"name\":\"t1\"},{\"name\":\"t2\"},{\"name\":\"t3\",\"activityStatus\":"
                "\"COLD\"}]");
    expect_ok(f, add(f, "{\"class\":\"Ten\",\"properties\":{\"t\":\"x\"},\"id\":\"" ID
                        "1\",\"vector\":[1,2],\"tenant\":\"t1\"}"));
    expect_reply(f, "{\"class\":\"Ten\",\"creationTimeUnix\":1795429435753,\"id\":\"" ID
                    "1\",\"lastUpdateTimeUnix\":1795429435753,\"properties\":{\"t\":\"x\"},"
                    "\"tenant\":\"t1\",\"vector\":[1,2]}");
    assert_int_equal(get(f, in_tenant("Ten", "t2"), ID "1"), SL_ENOTFOUND);
    expect_ok(f, get(f, in_tenant("Ten", "t1"), ID "1"));
    expect_refusal(f, add(f, "{\"class\":\"Ten\",\"tenant\":\"t3\"}"), SL_EINVAL,
                   "determine shard: tenant not active: 't3'");
    expect_refusal(f, add(f, "{\"class\":\"Ten\"}"), SL_EINVAL,
                   "determine shard: class Ten has multi-tenancy enabled, but request was without "
                   "tenant");
    expect_refusal(f, add(f, "{\"class\":\"PlainProps\",\"tenant\":\"t1\"}"), SL_EINVAL,
                   "determine shard: class PlainProps has multi-tenancy disabled, but request was "
                   "with tenant");
    expect_refusal(f, add(f, "{\"class\":\"Ten\",\"tenant\":\"zz\"}"), SL_EINVAL,
                   "put object: import into index ten: determine shard: tenant not found: \"zz\"");
    char ids[64];
    struct sl_db_list_opts opts = {.where = in_tenant("Ten", "t1"), .limit = 5};
    assert_string_equal(page(f, opts, ids), "00 ");
    opts.where.tenant = SL_STR("t2");
    assert_string_equal(page(f, opts, ids), "");
    expect_ok(f, patch(f, in_tenant("Ten", "t1"), ID "1", "{\"properties\":{\"t\":\"y\"}}"));
    assert_int_equal(patch(f, in_tenant("Ten", "t3"), ID "1", "{}"), SL_EINVAL);
    expect_ok(f, batch(f, "{\"objects\":[{\"class\":\"Ten\",\"tenant\":\"t3\"}]}"));
    assert_non_null(strstr(sl_buf_cstr(&f->out), "[{\"message\":\"tenant not active: 't3'\"}]"));
}

static void missing_tenant_is_made_when_the_class_says_so(void **state)
{
    struct fixture *f = *state;
    make_class(f, "{\"class\":\"TenAuto\",\"multiTenancyConfig\":{\"enabled\":true,"
                  "\"autoTenantCreation\":true},\"properties\":[{\"name\":\"t\",\"dataType\":"
                  "[\"text\"]}]}");
    expect_ok(f, add(f, "{\"class\":\"TenAuto\",\"properties\":{\"t\":\"x\"},\"id\":\"" ID
                        "1\",\"tenant\":\"auto1\"}"));
    expect_reply(f, "{\"class\":\"TenAuto\",\"creationTimeUnix\":1795429435753,\"id\":\"" ID
                    "1\",\"lastUpdateTimeUnix\":1795429435753,\"properties\":{\"t\":\"x\"},"
                    "\"tenant\":\"auto1\"}");
}

static void stored_objects_are_put_as_they_are(void **state)
{
    struct fixture *f = *state;
    struct sl_object *obj = calloc(2, sizeof *obj);
    float vector[2] = {0.5F, -1};
    for (uint8_t i = 0; i < 2; i++) {
        obj[i].uuid[15] = i;
        obj[i].create_ms = 5;
        obj[i].update_ms = 6;
        obj[i].vector = SL_BYTES(vector, sizeof vector);
        obj[i].properties = sl_str_bytes(SL_STR("{\"auto\":\"\\u003c\"}"));
    }
    expect_ok(f, sl_db_put_stored(f->db, in_class("LegacyNone"), obj, 2, true, &f->err));
    expect_ok(f, sl_db_put_stored(f->db, in_class("LegacyNone"), obj, 1, false, &f->err));
    assert_int_equal(object_count(f), 2);
    expect_ok(f, get(f, in_class("LegacyNone"), "00000000-0000-0000-0000-000000000001"));
    expect_reply(f,
                 "{\"class\":\"LegacyNone\",\"creationTimeUnix\":5,\"id\":"
                 "\"00000000-0000-0000-0000-000000000001\",\"lastUpdateTimeUnix\":6,\"properties\":"
                 "{\"auto\":\"<\"},\"vector\":[0.5,-1],\"vectorWeights\":null}");
    assert_int_equal(sl_db_put_stored(f->db, in_class("Named"), obj, 1, true, &f->err), SL_EINVAL);
    assert_int_equal(sl_db_put_stored(f->db, in_class("Nope"), obj, 1, true, &f->err), SL_EINVAL);
    free(obj);
}

static void damaged_properties_are_told(void **state)
{
    static const char *const damaged[] = {"[]", "{\"auto\":\"x", "{\"auto\" 1}", "{\"auto\":1}}",
                                          "{,}"};
    struct fixture *f = *state;
    struct sl_object *obj = calloc(1, sizeof *obj);
    obj->uuid[15] = 1;
    for (size_t i = 0; i < SL_COUNT_OF(damaged); i++) {
        obj->properties = sl_str_bytes(sl_str_from(damaged[i]));
        expect_ok(f, sl_db_put_stored(f->db, in_class("LegacyNone"), obj, 1, true, &f->err));
        assert_int_equal(patch(f, in_class("LegacyNone"), "00000000-0000-0000-0000-000000000001",
                               "{\"properties\":{\"auto\":\"y\"}}"),
                         SL_ECORRUPT);
    }
    free(obj);
}

static void objects_and_dimensions_survive_reopening(void **state)
{
    struct fixture *f = *state;
    expect_ok(f, add(f, "{\"class\":\"LegacyNone\",\"id\":\"" ID "1\",\"vector\":[1,2]}"));
    fixture_reopen(f, false, false);
    assert_int_equal(object_count(f), 1);
    assert_int_equal(add(f, "{\"class\":\"LegacyNone\",\"vector\":[1]}"), SL_EREFUSED);
    fixture_reopen(f, true, true);
    expect_ok(f, get(f, in_class("LegacyNone"), ID "1"));
    assert_int_equal(add(f, "{\"class\":\"LegacyNone\"}"), SL_EINVAL);
    assert_int_equal(delete (f, in_class("LegacyNone"), ID "1"), SL_EINVAL);
}

static void auto_schema_refusal_is_told_to_its_object_alone(void **state)
{
    struct fixture *f = *state;
    fixture_reopen(f, true, false);
    expect_ok(f, batch(f, "{\"objects\":[{\"class\":\"bad name\"},{\"class\":\"Fresh\",\"id\":\"" ID
                          "1\",\"properties\":{\"a\":\"x\"}}]}"));
    json_t *reply = parse(sl_buf_cstr(&f->out));
    static const char *const want[] = {"FAILED", "SUCCESS"};
    for (size_t i = 0; i < SL_COUNT_OF(want); i++) {
        json_t *result = json_object_get(json_array_get(reply, i), "result");
        assert_string_equal(json_string_value(json_object_get(result, "status")), want[i]);
    }
    assert_null(
        strstr(sl_buf_cstr(&f->out), "not found in schema")); /* the cause, not what follows */
    json_decref(reply);
    expect_ok(f, get(f, in_class("Fresh"), ID "1"));
}

static void stored_vectors_need_their_slot(void **state)
{
    struct fixture *f = *state;
    float vector[2] = {1, 2};
    uint8_t rows[2 + sizeof vector] = {2, 0};
    memcpy(rows + 2, vector, sizeof vector);
    struct sl_object *obj = calloc(1, sizeof *obj);
    obj->named_count = obj->multi_count = 1;
    obj->named[0] = (struct sl_named_vector){SL_STR("dense"), SL_BYTES(vector, sizeof vector)};
    obj->multi[0] = (struct sl_multi_vector){
        .name = SL_STR("colbert"), .body = SL_BYTES(rows, sizeof rows), .row_count = 1};
    expect_ok(f, sl_db_put_stored(f->db, in_class("Multi"), obj, 1, true, &f->err));
    expect_ok(f, get(f, in_class("Multi"), "00000000-0000-0000-0000-000000000000"));
    assert_non_null(
        strstr(sl_buf_cstr(&f->out), "\"vectors\":{\"colbert\":[[1,2]],\"dense\":[1,2]}"));
    obj->named[0].name = SL_STR("colbert");
    assert_int_equal(sl_db_put_stored(f->db, in_class("Multi"), obj, 1, true, &f->err), SL_EINVAL);
    obj->named_count = 0;
    obj->multi[0].name = SL_STR("dense");
    assert_int_equal(sl_db_put_stored(f->db, in_class("Multi"), obj, 1, true, &f->err), SL_EINVAL);
    obj->multi_count = 0;
    obj->named_count = 1;
    obj->named[0] = (struct sl_named_vector){SL_STR("dense"), SL_BYTES(vector, 4)};
    assert_int_equal(sl_db_put_stored(f->db, in_class("Multi"), obj, 1, true, &f->err),
                     SL_EREFUSED);
    free(obj);
}

static void batch_of_too_many_objects_is_refused(void **state)
{
    struct fixture *f = *state;
    json_t *objects = json_array();
    for (int i = 0; i <= 100000; i++) {
        json_array_append_new(objects, json_null());
    }
    json_t *body = json_pack("{s:o}", "objects", objects);
    begin(f);
    assert_int_equal(sl_db_batch_objects(f->db, body, &f->out, &f->err), SL_EINVAL);
    json_decref(body);
}

/* Every refused allocation leaves the store and the memory as they were. */
static void add_survives_refused_allocations(void **state)
{
    struct fixture *f = *state;
    json_t *body = parse("{\"class\":\"PlainProps\",\"id\":\"" ID
                         "1\",\"properties\":{\"title\":\"x\",\"year\":7},\"vector\":[1,2,3]}");
    int64_t live = 0;
    for (int64_t n = 0;; n++) {
        begin(f);
        sl_buf_fini(&f->out);
        live = sl_mem_live();
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_rc rc = sl_db_object_add(f->db, body, &f->out, &f->err);
        sl_fault_clear();
        if (rc == SL_OK) {
            assert_true(n > 5);
            break;
        }
        assert_int_equal(rc, SL_ENOMEM);
        sl_buf_fini(&f->out);
        assert_int_equal(sl_mem_live(), live);
    }
    json_decref(body);
    assert_int_equal(object_count(f), 1);
}

/* A store that fails at any call: all objects of the batch or none, and the count says so. */
static void batch_is_whole_or_absent_when_the_store_fails(void **state)
{
    struct fixture *f = *state;
    json_t *body = parse("{\"objects\":[{\"class\":\"PlainProps\",\"id\":\"" ID
                         "1\",\"vector\":[1]},{\"class\":\"PlainProps\",\"id\":\"" ID "2\"},"
                         "{\"class\":\"PlainProps\",\"id\":\"" ID "3\"}]}");
    for (int64_t n = 0;; n++) {
        begin(f);
        sl_fault_fail_after(SL_FAULT_KV, n);
        sl_rc rc = sl_db_batch_objects(f->db, body, &f->out, &f->err);
        sl_fault_clear();
        int there = 0;
        for (int i = 1; i <= 3; i++) {
            char id[64];
            snprintf(id, sizeof id, ID "%d", i);
            there +=
                sl_db_object_exists(f->db, in_class("PlainProps"), sl_str_from(id), NULL) == SL_OK;
        }
        assert_int_equal(object_count(f), there);
        if (rc == SL_OK) {
            assert_true(n >= 5);
            assert_int_equal(there, 3);
            break;
        }
        assert_int_equal(rc, SL_EIO);
        assert_int_equal(f->out.len, 0);
        assert_true(there == 0 || there == 3); /* 3: only the sync failed */
    }
    json_decref(body);
}

struct writer {
    struct fixture *f;
    int number;
    int failures;
    pthread_t thread;
};

#define WRITERS 4
#define ROUNDS  50

/* Each round: an object of its own, one that all share, a patch of the shared one, a batch over
 * both, now and then a delete of its own. */
static void *write_many(void *arg)
{
    struct writer *w = arg;
    for (int i = 0; i < ROUNDS; i++) {
        char text[512];
        struct sl_buf out = SL_BUF_EMPTY;
        snprintf(text, sizeof text,
                 "{\"objects\":[{\"class\":\"PlainProps\",\"id\":\"%08x-0000-4000-8000-%012x\","
                 "\"vector\":"
                 "[1,2]},{\"class\":\"PlainProps\",\"id\":\"%08x-0000-4000-8000-aaaaaaaaaaaa\","
                 "\"properties\":{\"year\":%d}}]}",
                 (unsigned)i, (unsigned)w->number, (unsigned)i, w->number);
        json_t *body = json_loads(text, JSON_DECODE_INT_AS_REAL, NULL);
        w->failures += sl_db_batch_objects(w->f->db, body, &out, NULL) != SL_OK;
        json_decref(body);
        snprintf(text, sizeof text, "%08x-0000-4000-8000-aaaaaaaaaaaa", (unsigned)i);
        body = json_loads("{\"properties\":{\"title\":\"p\"}}", JSON_DECODE_INT_AS_REAL, NULL);
        w->failures += sl_db_object_patch(w->f->db, in_class("PlainProps"), sl_str_from(text), body,
                                          NULL) != SL_OK;
        json_decref(body);
        if (i % 5 == 0) {
            snprintf(text, sizeof text, "%08x-0000-4000-8000-%012x", (unsigned)i,
                     (unsigned)w->number);
            w->failures += sl_db_object_delete(w->f->db, in_class("PlainProps"), sl_str_from(text),
                                               NULL) != SL_OK;
        }
        sl_buf_fini(&out);
    }
    return NULL;
}

static void count_is_exact_under_many_writers(void **state)
{
    struct fixture *f = *state;
    struct writer writers[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.f = f, .number = i};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_many, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        assert_int_equal(writers[i].failures, 0);
    }
    assert_int_equal(object_count(f), ROUNDS + WRITERS * (ROUNDS - ROUNDS / 5));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(replies_equal_recorded_calls),
        CASE(existing_id_is_refused),
        CASE(bad_id_is_refused),
        CASE(object_without_id_gets_one),
        CASE(unknown_vector_is_refused),
        CASE(plain_vector_is_refused_by_two_named),
        CASE(other_dimensions_are_refused),
        CASE(dimensions_outlive_the_objects),
        CASE(shape_of_multi_vectors_is_checked),
        CASE(legacy_class_takes_the_vector_named_default),
        CASE(empty_vectors_are_dropped),
        CASE(more_than_65535_dimensions_are_refused),
        CASE(numbers_beyond_float32_are_refused),
        CASE(missing_class_is_refused_without_auto_schema),
        CASE(missing_class_is_made_by_auto_schema),
        CASE(first_letter_of_a_class_may_be_small),
        CASE(replace_keeps_the_creation_time),
        CASE(patch_merges_properties_and_keeps_vectors),
        CASE(patch_keeps_the_vectors_it_does_not_name),
        CASE(delete_of_a_missing_object_is_fine),
        CASE(batch_tells_each_object_its_result),
        CASE(last_of_equal_ids_in_a_batch_wins),
        CASE(list_pages_in_uuid_order),
        CASE(list_without_class_goes_through_all),
        CASE(list_reply_has_the_recorded_shape),
        CASE(list_limits_are_told),
        CASE(tenants_keep_their_objects_apart),
        CASE(missing_tenant_is_made_when_the_class_says_so),
        CASE(stored_objects_are_put_as_they_are),
        CASE(damaged_properties_are_told),
        CASE(objects_and_dimensions_survive_reopening),
        CASE(auto_schema_refusal_is_told_to_its_object_alone),
        CASE(stored_vectors_need_their_slot),
        CASE(batch_of_too_many_objects_is_refused),
        CASE(add_survives_refused_allocations),
        CASE(batch_is_whole_or_absent_when_the_store_fails),
        CASE(count_is_exact_under_many_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
