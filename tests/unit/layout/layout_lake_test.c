/* Class -> typed columns, and rows into them: names that clash, halves, refused memory. What the
 * files say to readers is tested in tests/interop. */
#include "../parquet/parquet_fixture.h"

#include "base/fault.h"
#include "layout/layout.h"

static const char class_json[] =
    "{\"class\":\"C\",\"properties\":["
    "{\"name\":\"aB\",\"dataType\":[\"text\"]},{\"name\":\"ab\",\"dataType\":[\"int[]\"]},"
    "{\"name\":\"AB\",\"dataType\":[\"object\"],\"nestedProperties\":["
    "{\"name\":\"x\",\"dataType\":[\"date\"]},{\"name\":\"X\",\"dataType\":[\"uuid\"]}]},"
    "{\"name\":\"new\",\"dataType\":[\"somethingNew\"]},{\"name\":\"r\",\"dataType\":[\"C\"]}],"
    "\"vectorConfig\":{\"v\":{},\"m\":{\"vectorIndexConfig\":{\"multivector\":{\"enabled\":true}}}}"
    "}";

static struct sl_layout_opts lake(const char *json)
{
    return (struct sl_layout_opts){
        .kind = SL_LAYOUT_LAKE, .unit = SL_UNIT_US, .class_json = sl_str_from(json)};
}

static void names_are_free_of_case_clashes(void **state SL_UNUSED)
{
    static const char *const want[] = {
        "id",      "creation_time",  "update_time", "vector",
        "list",    "element",        "vector_v",    "list",
        "element", "multi_vector_m", "list",        "element",
        "list",    "element",        "properties",  "aB",
        "ab__2",   "list",           "element",     "AB__3",
        "x",       "X__2",           "new",         "r",
        "list",    "element",        "beacon",      "properties_json"};
    struct sl_layout_opts opts = lake(class_json);
    struct sl_pq_opts pq = {0};
    struct sl_err err = {0};
    SL_AUTO_PTR(sl_layout) l = NULL;
    assert_int_equal(sl_layout_open(&opts, &l, &err), SL_OK);
    sl_layout_schema(l, &pq);
    assert_int_equal(pq.node_count, SL_COUNT_OF(want));
    for (uint32_t i = 0; i < pq.node_count; i++) {
        assert_string_equal(pq.nodes[i].name, want[i]);
        assert_int_equal(pq.nodes[i].field_id, 0);
    }
}

static void what_is_no_class_is_told(void **state SL_UNUSED)
{
    struct sl_layout_opts opts = lake("{\"class\":");
    struct sl_err err = {0};
    struct sl_layout *l = NULL;
    assert_int_equal(sl_layout_open(&opts, &l, &err), SL_ECORRUPT);
    assert_non_null(strstr(err.text, "the class is not JSON"));
}

/* A row of everything; SL_OK or what failed. */
static sl_rc write_row(const char *properties, struct sl_layout_tally *ret, struct sl_err *err)
{
    float floats[3] = {1.0f, -2.5f, 0.25f};
    struct sl_layout_opts opts = lake(class_json);
    SL_AUTO_PTR(sl_layout) l = NULL;
    struct sl_pq_opts pq = {.zstd_level = 1, .group_bytes = 32u << 20, .group_rows = 1000};
    struct mem_sink sink = MEM_SINK;
    struct sl_pq_writer *w = NULL;
    struct sl_object *obj = calloc(1, sizeof(*obj)); /* allow: calloc, not to be refused */
    obj->properties = SL_BYTES(properties, strlen(properties));
    obj->vector = SL_BYTES(floats, sizeof(floats));
    obj->named[obj->named_count++] =
        (struct sl_named_vector){SL_STR("v"), SL_BYTES(floats, sizeof(floats))};
    opts.is_half = true;
    opts.has_field_ids = true;
    sl_rc rc = sl_layout_open(&opts, &l, err);
    if (rc == SL_OK) {
        sl_layout_schema(l, &pq);
        rc = sl_pq_writer_open(&pq, &sink.base, &w, err);
    }
    if (rc == SL_OK) {
        rc = sl_layout_put(l, w, obj, err);
        *ret = sl_layout_tally(l);
        sl_pq_writer_abort(w);
    }
    mem_sink_fini(&sink);
    free(obj); /* allow: free, a test owns it */
    return rc;
}

static void values_of_another_type_are_null_and_counted(void **state SL_UNUSED)
{
    struct sl_err err = {0};
    struct sl_layout_tally tally = {0};
    assert_int_equal(
        write_row(
            "{\"AB\":{\"X\":\"no uuid\",\"x\":5},\"aB\":7,\"ab\":[1,2.5,\"x\"],\"new\":{\"a\":1},"
            "\"r\":[{\"beacon\":\"weaviate://localhost/C/1\"}],\"stray\":1}",
            &tally, &err),
        SL_OK);
    assert_int_equal(tally.nulled, 5); /* X, x, aB, 2.5, "x" */
    assert_int_equal(write_row("{\"AB\":[],\"aB\":null,\"ab\":7}", &tally, &err), SL_OK);
    assert_int_equal(tally.nulled, 2); /* AB, ab */
}

static void refused_memory_is_an_error_at_every_place(void **state SL_UNUSED)
{
    struct sl_layout_tally tally = {0};
    sl_rc rc = SL_ENOMEM;
    for (uint32_t n = 0; rc != SL_OK; n++) {
        struct sl_err err = {0};
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        rc = write_row("{\"aB\":\"a\\u00e9\",\"ab\":[1,2],\"AB\":{\"x\":\"2024-01-01T00:00:00Z\"}}",
                       &tally, &err);
        sl_fault_clear();
        assert_true(rc == SL_OK || rc == SL_ENOMEM);
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_free_of_case_clashes),
        cmocka_unit_test(what_is_no_class_is_told),
        cmocka_unit_test(values_of_another_type_are_null_and_counted),
        cmocka_unit_test(refused_memory_is_an_error_at_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
