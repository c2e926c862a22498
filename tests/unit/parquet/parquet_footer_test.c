/* The describing reader on foreign footers: what other writers write, and damage. */
#include "parquet_fixture.h"

#include "base/str.h"

static const struct sl_pq_node columns[] = {
    {"id", SL_PQ_BYTE_ARRAY, SL_PQ_REQUIRED, SL_PQ_STRING, SL_PQ_STATS_FULL, SL_PQ_ZSTD, 0, 0, 0},
    {"n", SL_PQ_INT64, SL_PQ_OPTIONAL, SL_PQ_INT_64, SL_PQ_STATS_FULL, SL_PQ_ZSTD, 0, 0, 0},
    {"j", SL_PQ_BYTE_ARRAY, SL_PQ_OPTIONAL, SL_PQ_JSON, SL_PQ_STATS_NULLS, SL_PQ_ZSTD, 0, 0, 0},
};

static void make_file(struct mem_sink *m, bool has_arrow_schema)
{
    struct sl_pq_opts opts = {.nodes = columns,
                              .has_arrow_schema = has_arrow_schema,
                              .node_count = 3,
                              .zstd_level = 1,
                              .group_bytes = 32u << 20,
                              .group_rows = 2,
                              .sorted_column = 0};
    struct sl_pq_writer *w = NULL;
    struct sl_err err = {0};
    assert_int_equal(sl_pq_writer_open(&opts, &m->base, &w, &err), SL_OK);
    for (int row = 0; row < 5; row++) {
        sl_pq_put_bytes(w, 0, SL_BYTES(&"abcde"[row], 1));
        sl_pq_put_i64(w, 1, row * -1000);
        sl_pq_put_bytes(w, 2, SL_BYTES("{}", 2));
        assert_int_equal(sl_pq_row_end(w, &err), SL_OK);
    }
    struct sl_pq_kv kv = {SL_STR("collection"), SL_STR("Movies")};
    struct sl_receipt receipt = {0};
    assert_int_equal(sl_pq_writer_close(w, &kv, 1, &receipt, &err), SL_OK);
}

/* A reader of flatbuffers as their specification has them: little-endian, a table begins with the
 * distance to its vtable, which tells where each field lies. */
static uint32_t u32_at(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static const uint8_t *target(const uint8_t *p)
{
    assert_int_not_equal(u32_at(p), 0);
    return p + u32_at(p);
}

/* NULL: the field is left out and has its default. */
static const uint8_t *field(const uint8_t *table, uint32_t no)
{
    const uint8_t *vtable = table - (int32_t)u32_at(table);
    uint32_t size = vtable[0] | (uint32_t)vtable[1] << 8, at = 4 + 2 * no;
    if (at >= size) {
        return NULL;
    }
    uint32_t offset = vtable[at] | (uint32_t)vtable[at + 1] << 8;
    return offset == 0 ? NULL : table + offset;
}

static void expect_text(const uint8_t *at, const char *want)
{
    const uint8_t *text = target(at);
    assert_int_equal(u32_at(text), strlen(want));
    assert_memory_equal(text + 4, want, u32_at(text) + 1);
}

/* Message: version 0, header type 1, header 2. Schema: fields 1, metadata 2. KeyValue: 0, 1. Field:
 * name 0, nullable 1, type 2 and 3. Int: bits 0, signed 1. Types: Int 2, Utf8 5. */
static void arrow_schema_is_a_message_that_tells_the_columns(void **state)
{
    (void)state;
    struct mem_sink m = MEM_SINK;
    SL_AUTO(sl_buf) raw = SL_BUF_EMPTY;
    const char *key = NULL, *value = NULL;
    make_file(&m, true);
    json_t *j = described(&m);
    assert_int_equal(json_unpack(json_array_get(json_object_get(j, "key_value_metadata"), 1),
                                 "{s:s,s:s}", "key", &key, "value", &value),
                     0);
    assert_string_equal(key, "ARROW:schema");
    assert_true(sl_base64_parse(sl_str_from(value), &raw));
    assert_true(u32_at(raw.ptr) == UINT32_MAX);
    assert_int_equal(u32_at(raw.ptr + 4), raw.len - 8);
    assert_int_equal(raw.len % 8, 0);
    const uint8_t *message = target(raw.ptr + 8);
    assert_int_equal(*field(message, 0), 4); /* V5 */
    assert_int_equal(*field(message, 1), 1); /* a Schema */
    const uint8_t *schema = target(field(message, 2)), *fields = target(field(schema, 1));
    const uint8_t *pairs = target(field(schema, 2)), *pair = target(pairs + 4);
    assert_int_equal(u32_at(pairs), 1);
    expect_text(field(pair, 0), "collection");
    expect_text(field(pair, 1), "Movies");
    assert_int_equal(u32_at(fields), 3);
    for (uint32_t i = 0; i < 3; i++) {
        const uint8_t *f = target(fields + 4 + 4 * i);
        expect_text(field(f, 0), columns[i].name);
        assert_int_equal(*field(f, 1), i > 0);
        assert_int_equal(*field(f, 2), i == 1 ? 2 : 5);
    }
    const uint8_t *n = target(field(target(fields + 8), 3));
    assert_int_equal(u32_at(field(n, 0)), 64);
    assert_int_equal(*field(n, 1), 1);
    json_decref(j);
    mem_sink_fini(&m);
}

static void own_file_is_told_whole(void **state)
{
    (void)state;
    struct mem_sink m = MEM_SINK;
    make_file(&m, false);
    json_t *j = described(&m);
    const char *key = NULL, *value = NULL, *by = NULL, *name = NULL, *converted = NULL;
    const char *type = NULL, *codec = NULL, *path = NULL;
    int version = 0, rows = 0;
    assert_int_equal(json_unpack(j, "{s:i,s:i,s:s,s:[{s:s,s:s}]}", "version", &version, "num_rows",
                                 &rows, "created_by", &by, "key_value_metadata", "key", &key,
                                 "value", &value),
                     0);
    assert_int_equal(version, 2);
    assert_int_equal(rows, 5);
    assert_string_equal(by, "sluice version " SL_VERSION " (build 0)");
    assert_string_equal(key, "collection");
    assert_string_equal(value, "Movies");
    json_t *leaf = json_array_get(json_object_get(j, "schema"), 3);
    assert_int_equal(json_unpack(leaf, "{s:s,s:s,s:s}", "name", &name, "type", &type,
                                 "converted_type", &converted),
                     0);
    assert_string_equal(name, "j");
    assert_string_equal(type, "BYTE_ARRAY");
    assert_string_equal(converted, "JSON");
    json_t *groups = json_object_get(j, "row_groups");
    assert_int_equal(json_array_size(groups), 3);
    json_t *chunk = json_array_get(json_object_get(json_array_get(groups, 1), "columns"), 1);
    json_t *meta = json_object_get(chunk, "meta");
    int low = 0, high = 0;
    assert_int_equal(json_unpack(meta, "{s:[s],s:s,s:{s:i,s:i}}", "path", &path, "codec", &codec,
                                 "statistics", "min", &low, "max", &high),
                     0);
    assert_string_equal(path, "n");
    assert_string_equal(codec, "ZSTD");
    assert_int_equal(low, -3000);
    assert_int_equal(high, -2000);
    json_t *enc = json_object_get(meta, "encodings");
    assert_string_equal(json_string_value(json_array_get(enc, 0)), "PLAIN");
    assert_string_equal(json_string_value(json_array_get(enc, 1)), "RLE");
    json_decref(j);
    mem_sink_fini(&m);
}

/* A file without rows: magic and a footer given in hexadecimal. */
static sl_rc describe_hex(const char *hex, struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_buf) footer = SL_BUF_EMPTY;
    assert_true(sl_hex_parse(sl_str_from(hex), &footer));
    SL_AUTO(sl_buf) file = SL_BUF_EMPTY;
    uint64_t need = 0;
    sl_buf_add_text(&file, "PAR1");
    sl_buf_add(&file, sl_buf_view(&footer));
    sl_buf_add_u32(&file, (uint32_t)footer.len);
    sl_buf_add_text(&file, "PAR1");
    sl_buf_clear(out);
    return sl_pq_footer_describe(sl_buf_view(&file), file.len, &need, out, err);
}

static void assert_described(const char *hex, const char *want)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_err err = {0};
    assert_int_equal(describe_hex(hex, &out, &err), SL_OK);
    assert_string_equal(sl_buf_cstr(&out), want);
}

static void unknown_fields_of_every_type_are_skipped(void **state)
{
    (void)state;
    assert_described("1502"               /* 1: version 1 */
                     "f1"                 /* 16: true */
                     "12"                 /* 17: false */
                     "137f"               /* byte */
                     "14feff03"           /* i16 */
                     "168080808010"       /* i64 */
                     "170102030405060708" /* double */
                     "1803616263"         /* binary */
                     "1931"
                     "010201" /* list of booleans */
                     "1a25"
                     "0204" /* set of i32 */
                     "1c"
                     "1502"
                     "1c"
                     "1502"
                     "00"
                     "00" /* struct in a struct */
                     "192c"
                     "150200"
                     "150200" /* list of structs */
                     "00",
                     "{\"version\":1}");
}

static void known_number_of_another_type_is_skipped_not_misread(void **state)
{
    (void)state;
    assert_described("1801ff" /* 1: binary where a number belongs */
                     "2608"   /* 3: num_rows 4 */
                     "00",
                     "{\"num_rows\":4}");
}

static void bounds_read_by_the_type_of_their_column(void **state)
{
    (void)state;
    static const struct {
        const char *type, *bound, *want;
    } cases[] = {
        {"1502", "04ffffffff", "{\"type\":\"INT32\",\"statistics\":{\"max\":-1}}"},
        {"1504", "08feffffffffffffff", "{\"type\":\"INT64\",\"statistics\":{\"max\":-2}}"},
        {"150c", "03414243", "{\"type\":\"BYTE_ARRAY\",\"statistics\":{\"max\":\"ABC\"}}"},
        {"150c", "02fffe", "{\"type\":\"BYTE_ARRAY\",\"statistics\":{\"max\":\"fffe\"}}"},
        {"1508", "040000803f", "{\"type\":\"FLOAT\",\"statistics\":{\"max\":\"0000803f\"}}"},
        {"1540", "00", "{\"type\":\"UNKNOWN\",\"statistics\":{\"max\":\"\"}}"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        SL_AUTO(sl_buf) hex = SL_BUF_EMPTY;
        SL_AUTO(sl_buf) want = SL_BUF_EMPTY;
        /* row_groups[0].columns[0].meta: type, then statistics.max */
        sl_buf_addf(&hex,
                    "491c"
                    "191c"
                    "3c"
                    "%s"
                    "bc"
                    "58%s"
                    "00"
                    "00"
                    "00"
                    "00"
                    "00",
                    cases[i].type, cases[i].bound);
        sl_buf_addf(&want, "{\"row_groups\":[{\"columns\":[{\"meta\":%s}]}]}", cases[i].want);
        assert_described(sl_buf_cstr(&hex), sl_buf_cstr(&want));
    }
}

static void damage_is_told_and_leaves_no_text(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",                         /* no byte at all */
        "15",                       /* a number cut off */
        "1502",                     /* no end of the struct */
        "15ffffffffffffffffffff01", /* a varint of eleven bytes */
        "15ffffffffffffffffffffff", /* and one that never ends */
        "68ffffffff0f41",           /* created_by longer than the footer */
        "29fcffffffff0f00",         /* more schema elements than bytes */
        "2918016100",               /* schema: a list of text */
        "1d0000",                   /* an unknown type */
        "1b0000",                   /* maps are not part of the metadata */
        "f9fb0a00",                 /* a list of maps */
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
        struct sl_err err = {0};
        assert_int_equal(describe_hex(cases[i], &out, &err), SL_ECORRUPT);
        assert_int_equal(out.len, 0);
        assert_non_null(strstr(err.text, "footer"));
    }
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    for (int depth = 8; depth <= 4096; depth *= 2) {
        SL_AUTO(sl_buf) hex = SL_BUF_EMPTY;
        SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
        struct sl_err err = {0};
        sl_buf_add_text(&hex, "fc"); /* field 15, struct */
        for (int i = 1; i < depth; i++) {
            sl_buf_add_text(&hex, i % 2 == 0 ? "1c" : "191c"); /* struct; list of one struct */
        }
        for (int i = 0; i <= depth; i++) {
            sl_buf_add_text(&hex, "00");
        }
        assert_int_equal(describe_hex(sl_buf_cstr(&hex), &out, &err),
                         depth <= 16 ? SL_OK : SL_ECORRUPT);
    }
}

static void every_cut_and_every_changed_byte_ends_in_a_sentence_or_in_json(void **state)
{
    (void)state;
    struct mem_sink m = MEM_SINK;
    make_file(&m, false);
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    for (size_t cut = 1; cut <= m.len; cut++) {
        struct sl_err err = {0};
        uint64_t need = 0;
        sl_buf_clear(&out);
        sl_rc rc =
            sl_pq_footer_describe(SL_BYTES(m.ptr, m.len - cut), m.len - cut, &need, &out, &err);
        assert_int_equal(rc, SL_ECORRUPT);
        assert_true(err.text[0] != '\0');
    }
    uint32_t footer = 0;
    memcpy(&footer, m.ptr + m.len - 8, 4);
    for (size_t i = 0; i < footer; i++) {
        uint8_t *at = m.ptr + m.len - 8 - footer + i;
        for (int flip = 1; flip < 256; flip *= 2) {
            struct sl_err err = {0};
            uint64_t need = 0;
            *at ^= (uint8_t)flip;
            sl_buf_clear(&out);
            sl_rc rc = sl_pq_footer_describe(SL_BYTES(m.ptr, m.len), m.len, &need, &out, &err);
            *at ^= (uint8_t)flip;
            assert_true(rc == SL_OK || (rc == SL_ECORRUPT && err.text[0] != '\0'));
            if (rc == SL_OK) {
                json_t *j = json_loadb((const char *)out.ptr, out.len, JSON_ALLOW_NUL, NULL);
                assert_non_null(j);
                json_decref(j);
            }
        }
    }
    mem_sink_fini(&m);
}

static void too_short_a_tail_says_how_much_is_needed(void **state)
{
    (void)state;
    struct mem_sink m = MEM_SINK;
    struct sl_err err = {0};
    make_file(&m, false);
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    uint64_t need = 0;
    assert_int_equal(
        sl_pq_footer_describe(SL_BYTES(m.ptr + m.len - 20, 20), m.len, &need, &out, &err),
        SL_EINVAL);
    assert_in_range(need, 21, m.len - 4);
    assert_int_equal(sl_pq_footer_describe(SL_BYTES(m.ptr + m.len - need, (size_t)need), m.len,
                                           &need, &out, &err),
                     SL_OK);
    /* A length beyond the file is damage, not a request. */
    memset(m.ptr + m.len - 8, 0xFF, 4);
    assert_int_equal(sl_pq_footer_describe(SL_BYTES(m.ptr, m.len), m.len, &need, &out, &err),
                     SL_ECORRUPT);
    assert_int_equal(sl_pq_footer_describe(SL_BYTES(NULL, 0), 0, &need, &out, &err), SL_ECORRUPT);
    mem_sink_fini(&m);
}

static void refused_memory_is_told(void **state)
{
    (void)state;
    struct mem_sink m = MEM_SINK;
    make_file(&m, false);
    for (int64_t n = 0;; n++) {
        SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
        struct sl_err err = {0};
        uint64_t need = 0;
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_rc rc = sl_pq_footer_describe(SL_BYTES(m.ptr, m.len), m.len, &need, &out, &err);
        sl_fault_clear();
        if (rc == SL_OK) {
            assert_true(n > 0);
            break;
        }
        assert_int_equal(rc, SL_ENOMEM);
    }
    mem_sink_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_file_is_told_whole),
        cmocka_unit_test(arrow_schema_is_a_message_that_tells_the_columns),
        cmocka_unit_test(unknown_fields_of_every_type_are_skipped),
        cmocka_unit_test(known_number_of_another_type_is_skipped_not_misread),
        cmocka_unit_test(bounds_read_by_the_type_of_their_column),
        cmocka_unit_test(damage_is_told_and_leaves_no_text),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(every_cut_and_every_changed_byte_ends_in_a_sentence_or_in_json),
        cmocka_unit_test(too_short_a_tail_says_how_much_is_needed),
        cmocka_unit_test(refused_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
