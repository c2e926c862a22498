/* Rows back as objects: of our own files in both layouts, of pyarrow's, of a real Weaviate. */
#include "../parquet/parquet_fixture.h"

#include <math.h>

#include "base/file.h"
#include "layout/read.h"

static sl_rc read_at(void *arg, uint64_t offset, size_t len, struct sl_buf *out, struct sl_err *err)
{
    const struct sl_bytes *b = arg;
    if (offset > b->len || len > b->len - offset) {
        return SL_FAIL(err, SL_ECORRUPT, "the file ends");
    }
    sl_buf_add(out, SL_BYTES(b->ptr + offset, len));
    return SL_OK;
}

static struct sl_layout_reader *reader_of(struct sl_bytes *bytes)
{
    struct sl_layout_reader *r = NULL;
    struct sl_err err = {0};
    struct sl_pq_source s = {read_at, bytes, bytes->len, 0};
    if (sl_layout_reader_open(&s, &r, &err) != SL_OK) {
        fail_msg("%s", err.text);
    }
    return r;
}

static void next(struct sl_layout_reader *r, struct sl_object *obj)
{
    struct sl_err err = {0};
    if (sl_layout_read(r, obj, &err) != SL_OK) {
        fail_msg("%s", err.text);
    }
}

static void assert_end(struct sl_layout_reader *r, struct sl_object *obj)
{
    struct sl_err err = {0};
    assert_int_equal(sl_layout_read(r, obj, &err), SL_END);
}

static void assert_floats(struct sl_bytes got, const float *want, size_t count)
{
    assert_int_equal(got.len, count * 4);
    assert_memory_equal(got.ptr == NULL ? (const uint8_t *)"" : got.ptr, want, count * 4);
}

static void load(const char *path, struct sl_buf *ret)
{
    struct sl_err err = {0};
    if (sl_file_read_all(path, 1 << 24, ret, &err) != SL_OK) {
        fail_msg("%s", err.text);
    }
}

/* ---- there and back ---- */

static const float floats[] = {0.1F, -2, 3e-5F, 4e30F};
/* Rows of 1 and 2 dimensions. */
static const uint8_t body[] = {1, 0, 0, 0, 0x80, 0x3f, 2, 0, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40};

static void fill(struct sl_object *o, int row)
{
    memset(o, 0, sizeof(*o));
    o->uuid[15] = (uint8_t)(row + 1);
    o->create_ms = 1700000000000 + row;
    o->update_ms = 1700000001000 + row;
    o->properties = row % 3 == 2 ? SL_BYTES("{}", 2) : SL_BYTES("{\"text\":\"x\"}", 12);
    if (row % 2 == 0) {
        o->vector = SL_BYTES(floats, sizeof(floats));
    }
    if (row % 3 != 0) {
        o->named[o->named_count++] =
            (struct sl_named_vector){SL_STR("a"), SL_BYTES(floats, (size_t)(row % 4) * 4)};
        o->named[o->named_count++] = (struct sl_named_vector){SL_STR("b"), SL_BYTES(floats + 1, 8)};
    }
    if (row % 5 != 0) {
        o->multi[o->multi_count++] =
            (struct sl_multi_vector){SL_STR("m"), SL_BYTES(body, sizeof(body)), 2, false};
    }
}

static void assert_same(const struct sl_object *got, const struct sl_object *want)
{
    assert_memory_equal(got->uuid, want->uuid, SL_UUID_SIZE);
    assert_int_equal(got->create_ms, want->create_ms);
    assert_int_equal(got->update_ms, want->update_ms);
    assert_true(sl_bytes_eq(got->vector, want->vector));
    assert_true(sl_bytes_eq(got->properties, want->properties));
    assert_int_equal(got->named_count, want->named_count);
    assert_int_equal(got->multi_count, want->multi_count);
    for (uint32_t i = 0; i < got->named_count; i++) {
        assert_true(sl_str_eq(got->named[i].name, want->named[i].name));
        assert_true(sl_bytes_eq(got->named[i].floats, want->named[i].floats));
    }
    for (uint32_t i = 0; i < got->multi_count; i++) {
        assert_true(sl_str_eq(got->multi[i].name, want->multi[i].name));
        assert_int_equal(got->multi[i].row_count, want->multi[i].row_count);
        assert_true(sl_bytes_eq(got->multi[i].body, want->multi[i].body));
    }
}

static const char class_json[] =
    "{\"class\":\"C\",\"properties\":[{\"name\":\"text\",\"dataType\":[\"text\"]}],"
    "\"vectorConfig\":{\"a\":{\"vectorIndexType\":\"hnsw\"},\"b\":{\"vectorIndexType\":\"hnsw\"},"
    "\"m\":{\"vectorIndexType\":\"hnsw\",\"vectorIndexConfig\":{\"multivector\":{\"enabled\":true}}"
    "}}"
    "}";

#define ROWS 50

static void write_file(enum sl_layout_kind kind, struct mem_sink *sink)
{
    struct sl_layout_opts choice = {.kind = kind,
                                    .unit = sl_layout_unit(kind, SL_UNIT_AUTO),
                                    .class_json = sl_str_from(class_json)};
    SL_AUTO_PTR(sl_layout) layout = NULL;
    struct sl_pq_opts opts = {.zstd_level = 1, .group_bytes = 32u << 20, .group_rows = 20};
    struct sl_pq_writer *w = NULL;
    struct sl_receipt receipt = {0};
    struct sl_err err = {0};
    static struct sl_object o;
    assert_int_equal(sl_layout_open(&choice, &layout, &err), SL_OK);
    sl_layout_schema(layout, &opts);
    assert_int_equal(sl_pq_writer_open(&opts, &sink->base, &w, &err), SL_OK);
    for (int row = 0; row < ROWS; row++) {
        fill(&o, row);
        assert_int_equal(sl_layout_put(layout, w, &o, &err), SL_OK);
    }
    struct sl_pq_kv kvs[] = {
        {SL_STR("collection"), SL_STR("C")},
        {SL_STR("timestamp_unit"), sl_str_from(sl_timestamp_unit_name(choice.unit))}};
    assert_int_equal(sl_pq_writer_close(w, kvs, 2, &receipt, &err), SL_OK);
}

static void own_files_come_back_as_they_were(void **state)
{
    (void)state;
    static struct sl_object got, want;
    for (int kind = SL_LAYOUT_WEAVIATE; kind <= SL_LAYOUT_LAKE; kind++) {
        struct mem_sink sink = MEM_SINK;
        write_file((enum sl_layout_kind)kind, &sink);
        struct sl_bytes bytes = SL_BYTES(sink.ptr, sink.len);
        SL_AUTO_PTR(sl_layout_reader) r = reader_of(&bytes);
        assert_int_equal(sl_layout_reader_file(r)->kind, kind);
        assert_int_equal(sl_layout_reader_file(r)->row_count, ROWS);
        assert_true(sl_str_is(sl_layout_reader_file(r)->collection, "C"));
        assert_false(sl_layout_reader_file(r)->has_tenant);
        for (int row = 0; row < ROWS; row++) {
            fill(&want, row);
            next(r, &got);
            assert_same(&got, &want);
        }
        assert_end(r, &got);
        mem_sink_fini(&sink);
    }
}

/* ---- of others ---- */

static void typed_columns_of_pyarrow_are_read(void **state)
{
    (void)state;
    static struct sl_object o;
    SL_AUTO(sl_buf) file = SL_BUF_EMPTY;
    load(SL_TEST_DATA "/parquet/lake.parquet", &file);
    struct sl_bytes bytes = sl_buf_view(&file);
    SL_AUTO_PTR(sl_layout_reader) r = reader_of(&bytes);
    assert_int_equal(sl_layout_reader_file(r)->kind, SL_LAYOUT_LAKE);
    assert_true(sl_str_is(sl_layout_reader_file(r)->tenant, "t1"));
    next(r, &o);
    assert_int_equal(o.create_ms, 1700000000123);
    assert_int_equal(o.update_ms, 1700000000123);
    assert_floats(o.vector, (const float[]){0.5F, -2, 0x1p-14F, 0x1p-24F}, 4);
    assert_int_equal(o.named_count, 1);
    assert_floats(o.named[0].floats, (const float[]){1.5F}, 1);
    assert_int_equal(o.multi[0].row_count, 3);
    assert_int_equal(o.multi[0].body.len, 3 * 2 + 3 * 4);
    assert_true(sl_str_is(sl_bytes_str(o.properties), "{\"a\":1}"));
    next(r, &o);
    assert_int_equal(o.uuid[15], 1);
    assert_int_equal(o.update_ms, 0);
    assert_int_equal(o.vector.len + o.named_count + o.multi_count + o.properties.len, 0);
    next(r, &o);
    assert_int_equal(o.update_ms, -1);
    assert_floats(o.named[0].floats, (const float[]){2.5F, 3.5F}, 2);
    assert_int_equal(o.multi_count, 1);
    assert_int_equal(o.multi[0].row_count, 0);
    assert_end(r, &o);
}

/* Counts from pyarrow. */
static void exports_of_a_real_weaviate_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *path, *collection, *tenant;
        int rows, vectors, named, multi;
    } cases[] = {
        {"v1.37.14/cleanup/export-clean/cleanup-shared/Clean_DcbyriU84gyS_0000.parquet", "Clean",
         "", 71, 71, 0, 0},
        {"v1.37.14/options/export-clean/options-shared/OptMT_t0-0_0000.parquet", "OptMT", "t0-0",
         12, 12, 0, 0},
        {"v1.37.14/options/export-clean/options-shared/OptNamed_pPDFbF8fCIZ4_0000.parquet",
         "OptNamed", "", 103, 0, 100, 0},
        {"v1.37.14/options/export-clean/options-shared/Opt_dEsT9OBe6ceY_0000.parquet", "Opt", "",
         103, 92, 0, 0},
        {"v1.39.0/basic/export-full/basic-shared/Mixed_JCXaMgrHfW72_0000.parquet", "Mixed", "", 37,
         27, 22, 0},
        {"v1.39.0/basic/export-full/basic-shared/Multi_oMDRj6Kmf17m_0000.parquet", "Multi", "", 55,
         0, 38, 43},
        {"v1.39.0/basic/export-full/basic-shared/Named_N1D9L7YHbuii_0000.parquet", "Named", "", 110,
         0, 108, 0},
        {"v1.39.0/basic/export-full/basic-shared/NoVector_JqJmMiYM2yW4_0000.parquet", "NoVector",
         "", 83, 0, 0, 0},
        {"v1.39.0/basic/export-full/basic-shared/OneNamed_ydv9NKxEyA1Z_0000.parquet", "OneNamed",
         "", 20, 0, 20, 0},
        {"v1.39.0/basic/export-full/basic-shared/PlainRef_Ii1XS69eeWyB_0000.parquet", "PlainRef",
         "", 20, 20, 0, 0},
        {"v1.39.0/basic/export-full/basic-shared/Plain_Fp28Eh5TLFIf_0000.parquet", "Plain", "", 275,
         250, 0, 0},
        {"v1.39.0/basic/export-full/basic-shared/Shards3_ATZvmbwTMbMe_0000.parquet", "Shards3", "",
         53, 53, 0, 0},
        {"v1.39.0/basic/export-full/basic-shared/Tiny_CvkgtFZBzy6h_0000.parquet", "Tiny", "", 3, 3,
         0, 0},
        {"v1.39.0/churn/export-live/churn-shared/ChurnN_H5GkzCOcUgYt_0000.parquet", "ChurnN", "",
         182, 0, 168, 0},
        {"v1.39.0/churn/export-live/churn-shared/Churn_NyqgEA2mjI6h_0000.parquet", "Churn", "", 182,
         164, 0, 0},
        {"v1.39.0/cleanup/export-clean/cleanup-shared/Clean_UN5hUUKignQg_0000.parquet", "Clean", "",
         69, 69, 0, 0},
        {"v1.39.0/frozen/export-live/frozen-shared/Off_cold1_0000.parquet", "Off", "cold1", 20, 20,
         0, 0},
        {"v1.39.0/namespaces/export-clean/namespaces-shared/alpha:Book_WfXv3UDRmbw2_0000.parquet",
         "alpha:Book", "", 15, 15, 0, 0},
        {"v1.39.0/namespaces/export-clean/namespaces-shared/alpha:Mt_t1_0000.parquet", "alpha:Mt",
         "t1", 5, 5, 0, 0},
        {"v1.39.0/namespaces/export-clean/namespaces-shared/beta7:Book_GcFYJa7HZrwf_0000.parquet",
         "beta7:Book", "", 15, 15, 0, 0},
        {"v1.39.0/options/export-clean/options-shared/OptMT_t0-0_0000.parquet", "OptMT", "t0-0", 12,
         12, 0, 0},
        {"v1.39.0/options/export-clean/options-shared/OptNamed_aap9ZUJbbyuw_0000.parquet",
         "OptNamed", "", 103, 0, 97, 0},
        {"v1.39.0/options/export-clean/options-shared/Opt_99UxIqqJnobI_0000.parquet", "Opt", "",
         103, 98, 0, 0},
        {"v1.39.0/tenants/export-live/coll-shared/Coll_0123456789_0000.parquet", "Coll",
         "0123456789", 1, 1, 0, 0},
        {"v1.39.0/tenants/export-live/colla-shared/Coll_A_B_0000.parquet", "Coll_A", "B", 30, 26, 0,
         0},
        {"v1.39.0/tenants/export-live/tenants-shared/MtNamed_n1_0000.parquet", "MtNamed", "n1", 30,
         0, 27, 0},
        {"v1.39.0/tenants/export-live/tenants-shared/Single_ifXuhte5Z8is_0000.parquet", "Single",
         "", 20, 17, 0, 0},
        {"v1.39.0/upgraded/export-clean/upgraded-shared/UpMT_old_0000.parquet", "UpMT", "old", 33,
         33, 0, 0},
        {"v1.39.0/upgraded/export-clean/upgraded-shared/UpNamed_LHbH6S00XTRp_0000.parquet",
         "UpNamed", "", 209, 0, 209, 0},
        {"v1.39.0/upgraded/export-clean/upgraded-shared/Up_N3ah6LH1esS2_0000.parquet", "Up", "",
         209, 209, 0, 0},
    };
    static struct sl_object o;
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        char path[1024];
        int rows = 0, vectors = 0, named = 0, multi = 0;
        SL_AUTO(sl_buf) file = SL_BUF_EMPTY;
        (void)snprintf(path, sizeof(path), SL_TEST_DATA "/weaviate/states/%s", cases[i].path);
        load(path, &file);
        struct sl_bytes bytes = sl_buf_view(&file);
        SL_AUTO_PTR(sl_layout_reader) r = reader_of(&bytes);
        assert_true(sl_str_is(sl_layout_reader_file(r)->collection, cases[i].collection));
        assert_true(sl_str_is(sl_layout_reader_file(r)->tenant, cases[i].tenant));
        for (; rows < cases[i].rows; rows++) {
            next(r, &o);
            assert_true(o.create_ms > 1700000000000 && o.create_ms < 2000000000000);
            assert_true(o.properties.len >= 2 && o.properties.ptr[0] == '{');
            vectors += o.vector.len > 0;
            named += o.named_count > 0;
            multi += o.multi_count > 0;
        }
        assert_end(r, &o);
        assert_int_equal(vectors, cases[i].vectors);
        assert_int_equal(named, cases[i].named);
        assert_int_equal(multi, cases[i].multi);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_files_come_back_as_they_were),
        cmocka_unit_test(typed_columns_of_pyarrow_are_read),
        cmocka_unit_test(exports_of_a_real_weaviate_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
