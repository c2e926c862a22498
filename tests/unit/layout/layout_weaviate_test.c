/* Object -> seven columns: what stands in the file for hand-made objects. Expected text is Go's
 * (strconv 'g' of float32); expected types are those of the reference's schema. */
#include "../parquet/parquet_fixture.h"

#include "layout/layout.h"

enum { ID, CREATED, UPDATED, VECTOR, NAMED, MULTI, PROPERTIES, COLUMNS };

struct row {
    struct mem_sink sink;
    struct sl_err err;
    uint64_t nonfinite;
    struct walked_page pages[COLUMNS];
};

static sl_rc put(struct row *r, const struct sl_object *obj, enum sl_timestamp_unit unit)
{
    struct sl_layout_opts choice = {.kind = SL_LAYOUT_WEAVIATE, .unit = unit};
    SL_AUTO_PTR(sl_layout) layout = NULL;
    struct sl_pq_opts opts = {.zstd_level = 1, .group_bytes = 32u << 20, .group_rows = 1000};
    struct sl_pq_writer *w = NULL;
    struct sl_receipt receipt = {0};
    *r = (struct row){.sink = MEM_SINK};
    assert_int_equal(sl_layout_open(&choice, &layout, &r->err), SL_OK);
    sl_layout_schema(layout, &opts);
    assert_int_equal(sl_pq_writer_open(&opts, &r->sink.base, &w, &r->err), SL_OK);
    sl_rc rc = sl_layout_put(layout, w, obj, &r->err);
    r->nonfinite = sl_layout_tally(layout).nonfinite;
    if (rc != SL_OK) {
        sl_pq_writer_abort(w);
        return rc;
    }
    assert_int_equal(sl_pq_writer_close(w, NULL, 0, &receipt, &r->err), SL_OK);
    return SL_OK;
}

static void row_fini(struct row *r)
{
    for (size_t c = 0; c < COLUMNS; c++) {
        free(r->pages[c].body); /* allow: free, libc's */
    }
    mem_sink_fini(&r->sink);
}

/* The one page of each column; the first begins behind the magic, and they follow each other. */
static void read_pages(struct row *r)
{
    size_t at = 4;
    for (size_t c = 0; c < COLUMNS; c++) {
        r->pages[c] = walk_page(&r->sink, at);
        assert_int_equal(r->pages[c].value_count, 1);
        at += r->pages[c].header_len + r->pages[c].stored_len;
    }
}

/* The value of a BYTE_ARRAY column; ptr NULL stands for NULL. */
static struct sl_str value_of(const struct row *r, int column)
{
    const struct walked_page *p = &r->pages[column];
    struct sl_rd rd = sl_rd_over(SL_BYTES(p->body, p->raw_len));
    if (column != ID) { /* optional: a run of one definition level */
        assert_int_equal(sl_rd_u32(&rd), 2);
        assert_int_equal(sl_rd_u8(&rd), 1 << 1);
        if (sl_rd_u8(&rd) == 0) {
            assert_int_equal(sl_rd_left(&rd), 0);
            return (struct sl_str){NULL, 0};
        }
    }
    struct sl_bytes value = sl_rd_bytes(&rd, sl_rd_u32(&rd));
    assert_false(rd.is_short);
    assert_int_equal(sl_rd_left(&rd), 0);
    return sl_bytes_str(value);
}

static int64_t number_of(const struct row *r, int column)
{
    assert_int_equal(r->pages[column].raw_len, 8);
    struct sl_rd rd = sl_rd_over(SL_BYTES(r->pages[column].body, 8));
    return (int64_t)sl_rd_u64(&rd);
}

static void expect_text(const struct row *r, int column, const char *want)
{
    struct sl_str got = value_of(r, column);
    if (want == NULL ? got.ptr != NULL : got.ptr == NULL || !sl_str_is(got, want)) {
        fail_msg("column %d is %.*s", column, got.ptr == NULL ? 4 : (int)got.len,
                 got.ptr == NULL ? "NULL" : got.ptr);
    }
}

static struct sl_object *object_new(void)
{
    static const uint8_t uuid[SL_UUID_SIZE] = {0xC0, 0xFF, 0xEE, 0,    0x12, 0x34, 0x4A, 0xBC,
                                               0x8D, 0xEF, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55};
    struct sl_object *obj = calloc(1, sizeof *obj); /* allow: calloc, a test owns it */
    assert_non_null(obj);
    memcpy(obj->uuid, uuid, sizeof uuid);
    obj->create_ms = 1755710714123;
    obj->update_ms = 1755710714124;
    return obj;
}

static struct sl_bytes text_bytes(const char *text)
{
    return sl_str_bytes(sl_str_from(text));
}

/* A row of a multi vector in today's stored form: count, floats. */
static void add_row(struct sl_buf *out, const float *floats, uint16_t dims)
{
    sl_buf_add_u16(out, dims);
    sl_buf_add(out, SL_BYTES(floats, dims * sizeof *floats));
}

static void full_object_fills_seven_columns(void **state SL_UNUSED)
{
    static const float vector[] = {1, -2.5F};
    static const float a[] = {0.1F, 2}, b[] = {1e-5F};
    static const float row_1[] = {0.1F, 0.2F}, row_2[] = {1};
    SL_AUTO(sl_buf) multi = SL_BUF_EMPTY;
    add_row(&multi, row_1, 2);
    add_row(&multi, row_2, 1);
    struct sl_object *obj = object_new();
    obj->vector = SL_BYTES(vector, sizeof vector);
    obj->named[0] = (struct sl_named_vector){SL_STR("a"), SL_BYTES(a, sizeof a)};
    obj->named[1] = (struct sl_named_vector){SL_STR("b"), SL_BYTES(b, sizeof b)};
    obj->named_count = 2;
    obj->multi[0] = (struct sl_multi_vector){SL_STR("colbert"), sl_buf_view(&multi), 2, false};
    obj->multi_count = 1;
    obj->properties = text_bytes("{\"title\":\"\\u003cb\\u003e \xc3\xa4\",\"year\":1999}");
    struct row r;
    assert_int_equal(put(&r, obj, SL_UNIT_NS), SL_OK);
    read_pages(&r);
    expect_text(&r, ID, "c0ffee00-1234-4abc-8def-001122334455");
    assert_int_equal(number_of(&r, CREATED), INT64_C(1755710714123000000));
    assert_int_equal(number_of(&r, UPDATED), INT64_C(1755710714124000000));
    struct sl_str raw = value_of(&r, VECTOR);
    assert_int_equal(raw.len, 8);
    assert_memory_equal(raw.ptr, "\0\0\x80\x3f\0\0\x20\xc0", 8); /* IEEE 754, little-endian */
    expect_text(&r, NAMED, "{\"a\":[0.1,2],\"b\":[1e-05]}");
    expect_text(&r, MULTI, "{\"colbert\":[[0.1,0.2],[1]]}");
    expect_text(&r, PROPERTIES, "{\"title\":\"\\u003cb\\u003e \xc3\xa4\",\"year\":1999}");
    assert_int_equal(r.nonfinite, 0);
    row_fini(&r);
    free(obj); /* allow: free, a test owns it */
}

static void what_is_absent_is_null(void **state SL_UNUSED)
{
    static const struct {
        const char *stored, *want;
    } properties[] = {{"", NULL}, {"null", NULL}, {"{}", "{}"}, {"{\"a\":null}", "{\"a\":null}"}};
    struct sl_object *obj = object_new();
    for (size_t i = 0; i < SL_COUNT_OF(properties); i++) {
        struct row r;
        obj->properties = text_bytes(properties[i].stored);
        assert_int_equal(put(&r, obj, SL_UNIT_NS), SL_OK);
        read_pages(&r);
        expect_text(&r, VECTOR, NULL);
        expect_text(&r, NAMED, NULL);
        expect_text(&r, MULTI, NULL);
        expect_text(&r, PROPERTIES, properties[i].want);
        row_fini(&r);
    }
    free(obj); /* allow: free, a test owns it */
}

static void empty_vectors_stay_empty_lists(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) multi = SL_BUF_EMPTY;
    struct sl_object *obj = object_new();
    add_row(&multi, NULL, 0);
    obj->named[0] = (struct sl_named_vector){SL_STR("n"), {NULL, 0}};
    obj->named_count = 1;
    obj->multi[0] = (struct sl_multi_vector){SL_STR("m"), {NULL, 0}, 0, false};
    obj->multi[1] = (struct sl_multi_vector){SL_STR("o"), sl_buf_view(&multi), 1, false};
    obj->multi_count = 2;
    struct row r;
    assert_int_equal(put(&r, obj, SL_UNIT_NS), SL_OK);
    read_pages(&r);
    expect_text(&r, NAMED, "{\"n\":[]}");
    expect_text(&r, MULTI, "{\"m\":[],\"o\":[[]]}");
    row_fini(&r);
    free(obj); /* allow: free, a test owns it */
}

/* NaN and infinities are no JSON; they become null and are counted. */
static void what_json_cannot_say_is_null_and_counted(void **state SL_UNUSED)
{
    static const uint32_t bits[] = {0x7fc00000, 0x3f800000, 0x7f800000, 0xff800000, 0x80000000};
    SL_AUTO(sl_buf) multi = SL_BUF_EMPTY;
    sl_buf_add_u16(&multi, 1);
    sl_buf_add_u32(&multi, 0xffc00001);
    struct sl_object *obj = object_new();
    obj->vector = SL_BYTES(bits, sizeof bits);
    obj->named[0] = (struct sl_named_vector){SL_STR("v"), SL_BYTES(bits, sizeof bits)};
    obj->named_count = 1;
    obj->multi[0] = (struct sl_multi_vector){SL_STR("m"), sl_buf_view(&multi), 1, false};
    obj->multi_count = 1;
    struct row r;
    assert_int_equal(put(&r, obj, SL_UNIT_NS), SL_OK);
    read_pages(&r);
    expect_text(&r, NAMED, "{\"v\":[null,1,null,null,-0]}");
    expect_text(&r, MULTI, "{\"m\":[[null]]}");
    assert_int_equal(r.nonfinite, 4);
    struct sl_str raw = value_of(&r, VECTOR); /* raw bytes say everything */
    assert_memory_equal(raw.ptr, bits, sizeof bits);
    row_fini(&r);
    free(obj); /* allow: free, a test owns it */
}

/* Servers 1.28.0 to 1.28.4 stored rows of multi vectors as msgpack arrays of float32. */
static void old_multi_vectors_read_the_same(void **state SL_UNUSED)
{
    static const uint8_t body[] = {0x92, 0xca, 0x3f, 0,    0, 0, 0xca, 0x3f, 0x80,
                                   0,    0,    0x91, 0xca, 0, 0, 0,    0};
    struct sl_object *obj = object_new();
    obj->multi[0] = (struct sl_multi_vector){SL_STR("m"), SL_BYTES(body, sizeof body), 2, true};
    obj->multi_count = 1;
    struct row r;
    assert_int_equal(put(&r, obj, SL_UNIT_NS), SL_OK);
    read_pages(&r);
    expect_text(&r, MULTI, "{\"m\":[[0.5,1],[0]]}");
    row_fini(&r);
    free(obj); /* allow: free, a test owns it */
}

static void damaged_multi_vector_names_the_object(void **state SL_UNUSED)
{
    static const uint8_t body[] = {2, 0, 0, 0, 0, 0};
    struct sl_object *obj = object_new();
    obj->multi[0] = (struct sl_multi_vector){SL_STR("m"), SL_BYTES(body, sizeof body), 1, false};
    obj->multi_count = 1;
    struct row r;
    assert_int_equal(put(&r, obj, SL_UNIT_NS), SL_ECORRUPT);
    assert_non_null(strstr(r.err.text, "object c0ffee00-1234-4abc-8def-001122334455: row of a"));
    row_fini(&r);
    free(obj); /* allow: free, a test owns it */
}

/* Nanoseconds hold the years 1677 to 2262; nothing is clamped or wrapped. */
static void times_outside_of_nanoseconds_are_told(void **state SL_UNUSED)
{
    static const int64_t good[] = {0, -1, 9223372036854, -9223372036854};
    static const int64_t bad[] = {9223372036855, -9223372036855, INT64_MAX, INT64_MIN};
    struct sl_object *obj = object_new();
    struct row r;
    for (size_t i = 0; i < SL_COUNT_OF(good); i++) {
        obj->create_ms = good[i];
        assert_int_equal(put(&r, obj, SL_UNIT_NS), SL_OK);
        read_pages(&r);
        assert_int_equal(number_of(&r, CREATED), good[i] * 1000000);
        row_fini(&r);
    }
    for (size_t i = 0; i < SL_COUNT_OF(bad); i++) {
        obj->create_ms = 0;
        obj->update_ms = bad[i];
        assert_int_equal(put(&r, obj, SL_UNIT_NS), SL_ECORRUPT);
        assert_non_null(strstr(r.err.text, "object c0ffee00-1234-4abc-8def-001122334455: time "));
        row_fini(&r);
        assert_int_equal(put(&r, obj, SL_UNIT_MS), SL_OK);
        read_pages(&r);
        assert_int_equal(number_of(&r, UPDATED), bad[i]);
        row_fini(&r);
    }
    free(obj); /* allow: free, a test owns it */
}

/* 65,535 floats of the longest text each fit into the room that is reserved. */
static void largest_vectors_fit(void **state SL_UNUSED)
{
    enum { DIMS = SL_OBJECT_DIMS_MAX };
    static float floats[DIMS];
    static const char text[] = "-1.13884345e-29"; /* 15 bytes, the most there is */
    for (size_t i = 0; i < DIMS; i++) {
        floats[i] = -1.13884345e-29F;
    }
    SL_AUTO(sl_buf) multi = SL_BUF_EMPTY;
    for (size_t i = 0; i < 3; i++) {
        add_row(&multi, floats, DIMS);
    }
    struct sl_object *obj = object_new();
    obj->vector = SL_BYTES(floats, sizeof floats);
    obj->named[0] = (struct sl_named_vector){SL_STR("n"), SL_BYTES(floats, sizeof floats)};
    obj->named_count = 1;
    obj->multi[0] = (struct sl_multi_vector){SL_STR("m"), sl_buf_view(&multi), 3, false};
    obj->multi_count = 1;
    struct row r;
    assert_int_equal(put(&r, obj, SL_UNIT_NS), SL_OK);
    read_pages(&r);
    size_t list = 2 + DIMS * strlen(text) + DIMS - 1;
    struct sl_str named = value_of(&r, NAMED);
    assert_int_equal(named.len, strlen("{\"n\":}") + list);
    assert_memory_equal(named.ptr + 6, text, strlen(text));
    assert_int_equal(value_of(&r, MULTI).len, strlen("{\"m\":[,,]}") + 3 * list);
    assert_int_equal(value_of(&r, VECTOR).len, sizeof floats);
    row_fini(&r);
    free(obj); /* allow: free, a test owns it */
}

/* A destination that fails is not the object's fault. */
static void failure_of_the_destination_names_no_object(void **state SL_UNUSED)
{
    struct sl_layout_opts choice = {.kind = SL_LAYOUT_WEAVIATE, .unit = SL_UNIT_NS};
    SL_AUTO_PTR(sl_layout) layout = NULL;
    struct sl_pq_opts opts = {.zstd_level = 1, .group_bytes = 1u << 20, .group_rows = 2};
    struct mem_sink sink = MEM_SINK;
    struct sl_pq_writer *w = NULL;
    struct sl_err err = {0};
    struct sl_object *obj = object_new();
    assert_int_equal(sl_layout_open(&choice, &layout, &err), SL_OK);
    sl_layout_schema(layout, &opts);
    opts.sorted_column = -1;
    assert_int_equal(sl_pq_writer_open(&opts, &sink.base, &w, &err), SL_OK);
    sink.good_writes = 1; /* the magic */
    sl_rc rc = SL_OK;
    for (int i = 0; i < 2 && rc == SL_OK; i++) {
        rc = sl_layout_put(layout, w, obj, &err);
    }
    assert_int_equal(rc, SL_ENOSPACE);
    assert_string_equal(err.text, "the sink is full");
    sl_pq_writer_abort(w);
    mem_sink_fini(&sink);
    free(obj); /* allow: free, a test owns it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_object_fills_seven_columns),
        cmocka_unit_test(what_is_absent_is_null),
        cmocka_unit_test(empty_vectors_stay_empty_lists),
        cmocka_unit_test(what_json_cannot_say_is_null_and_counted),
        cmocka_unit_test(old_multi_vectors_read_the_same),
        cmocka_unit_test(damaged_multi_vector_names_the_object),
        cmocka_unit_test(times_outside_of_nanoseconds_are_told),
        cmocka_unit_test(largest_vectors_fit),
        cmocka_unit_test(failure_of_the_destination_names_no_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
