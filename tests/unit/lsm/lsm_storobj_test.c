/* Stored objects: a worked example, objects written by real servers, every way of being damaged.
 *
 * The real ones stand in tests/data/storobj (see its README) beside what the same server answered
 * about them over REST, so nothing here is compared with our own output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "lsm/storobj.h"

/* Document 7 of class A: vector [1], named a = [0.5], b = [], multi c = [[0.1,-2],[1e6,3]]. */
static const char example_hex[] = "0107000000000000000100112233445566778899aabbccddeeff0068e5cf8b01"
                                  "00000168e5cf8b01000001000000803f"
                                  "010041090000007b2274223a2278227d040000006e756c6c040000006e756c6c"
                                  "0f00000082a161ce00000000a162ce00"
                                  "0000060800000001000000003f00000800000081a163ce000000001800000002"
                                  "0000000200cdcccc3d000000c0020000"
                                  "24744900004040";
/* Where the parts of the example begin; servers wrote no more than that at one time. */
enum { EXAMPLE_WEIGHTS_END = 80, EXAMPLE_NAMED_END = 111, EXAMPLE_SIZE = 151 };

static void hex_bytes(const char *hex, struct sl_buf *ret)
{
    sl_buf_clear(ret);
    assert_true(sl_hex_parse(sl_str_from(hex), ret));
}

/* Objects are large; tests share one each for reading and for building. */
static struct sl_object object, other;

static void assert_bytes(struct sl_bytes got, const void *want, size_t len)
{
    assert_int_equal(got.len, len);
    if (len > 0) {
        assert_memory_equal(got.ptr, want, len);
    }
}

static void assert_name(struct sl_str got, const char *want)
{
    assert_bytes(sl_str_bytes(got), want, strlen(want));
}

static void worked_example_splits_into_its_fields(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    hex_bytes(example_hex, &value);
    assert_int_equal(value.len, EXAMPLE_SIZE);
    assert_int_equal(sl_object_read(sl_buf_view(&value), &object, NULL), SL_OK);
    char id[SL_UUID_TEXT_SIZE];
    sl_uuid_format(object.uuid, id);
    assert_memory_equal(id, "00112233-4455-6677-8899-aabbccddeeff", sizeof id);
    assert_int_equal(object.doc_id, 7);
    assert_int_equal(object.create_ms, INT64_C(1700000000000));
    assert_int_equal(object.update_ms, INT64_C(1700000000001));
    assert_bytes(object.vector, (const float[]){1}, 4);
    assert_name(object.class_name, "A");
    assert_name(sl_bytes_str(object.properties), "{\"t\":\"x\"}");
    assert_name(sl_bytes_str(object.additional), "null");
    assert_name(sl_bytes_str(object.vector_weights), "null");
    assert_int_equal(object.named_count, 2);
    assert_name(object.named[0].name, "a");
    assert_bytes(object.named[0].floats, (const float[]){0.5F}, 4);
    assert_name(object.named[1].name, "b");
    assert_int_equal(object.named[1].floats.len, 0);
    assert_int_equal(object.multi_count, 1);
    const struct sl_multi_vector *mv = &object.multi[0];
    assert_name(mv->name, "c");
    assert_int_equal(mv->row_count, 2);
    assert_false(mv->is_msgpack);
    struct sl_rd rd = sl_rd_over(mv->body);
    struct sl_bytes row;
    assert_int_equal(sl_multi_vector_row(mv, &rd, NULL, &row, NULL), SL_OK);
    assert_bytes(row, (const float[]){0.1F, -2}, 8);
    assert_int_equal(sl_multi_vector_row(mv, &rd, NULL, &row, NULL), SL_OK);
    assert_bytes(row, (const float[]){1e6F, 3}, 8);
    assert_int_equal(sl_rd_left(&rd), 0);
    assert_int_equal(sl_multi_vector_row(mv, &rd, NULL, &row, NULL), SL_ECORRUPT);
}

static void worked_example_is_written_byte_by_byte(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    hex_bytes(example_hex, &value);
    memset(&object, 0, sizeof object);
    memcpy(object.uuid, value.ptr + 10, SL_UUID_SIZE);
    object.doc_id = 7;
    object.create_ms = INT64_C(1700000000000);
    object.update_ms = INT64_C(1700000000001);
    object.vector = SL_BYTES((const float[]){1}, 4);
    object.class_name = SL_STR("A");
    object.properties = sl_str_bytes(SL_STR("{\"t\":\"x\"}"));
    object.named_count = 2;
    object.named[0] = (struct sl_named_vector){SL_STR("a"), SL_BYTES((const float[]){0.5F}, 4)};
    object.named[1] = (struct sl_named_vector){.name = SL_STR("b")};
    object.multi_count = 1;
    object.multi[0] = (struct sl_multi_vector){
        .name = SL_STR("c"),
        .body = SL_BYTES("\x02\x00\xcd\xcc\xcc\x3d\x00\x00\x00\xc0\x02\x00\x00\x24\x74\x49\x00\x00"
                         "\x40\x40",
                         20),
        .row_count = 2};
    assert_int_equal(sl_object_write(&object, &out, NULL), SL_OK);
    assert_bytes(sl_buf_view(&out), value.ptr, value.len);
}

static void object_without_anything_is_all_nulls_and_empty_sections(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    memset(&object, 0, sizeof object);
    assert_int_equal(sl_object_write(&object, &out, NULL), SL_OK);
    assert_int_equal(out.len, 42 + 2 + 2 + 3 * 8 + 16);
    assert_int_equal(sl_object_read(sl_buf_view(&out), &other, NULL), SL_OK);
    assert_name(sl_bytes_str(other.properties), "null");
    assert_int_equal(other.vector.len + other.class_name.len, 0);
    assert_int_equal(other.named_count + other.multi_count, 0);
}

/* ---- objects of real servers -------------------------------------------------------------- */

enum column {
    VERSION,
    CLASS,
    ID,
    CREATED,
    UPDATED,
    VECTOR,
    NAMED,
    MULTI,
    PROPERTIES,
    STORED,
    COLUMNS
};

struct sample {
    char *column[COLUMNS];
};

/* Cuts a line at its tabs; the line keeps the text. */
static struct sample sample_of(char *line)
{
    struct sample s;
    line[strcspn(line, "\n")] = '\0';
    for (size_t i = 0; i < COLUMNS; i++) {
        assert_non_null(line);
        s.column[i] = strsep(&line, "\t");
    }
    assert_null(line);
    return s;
}

typedef void sample_fn(const struct sample *s, struct sl_bytes stored);

static void for_each_sample(sample_fn *fn)
{
    FILE *f = fopen(SL_TEST_DATA "/storobj/objects.tsv", "r");
    char *line = NULL;
    size_t room = 0;
    size_t count = 0;
    assert_non_null(f);
    while (getline(&line, &room, f) > 0) {
        SL_AUTO(sl_buf) stored = SL_BUF_EMPTY;
        struct sample s = sample_of(line);
        hex_bytes(s.column[STORED], &stored);
        fn(&s, sl_buf_view(&stored));
        count++;
    }
    free(line);
    fclose(f);
    assert_int_equal(count, 80);
}

/* "a=hex,b=hex" of what was read. */
static void named_text(const struct sl_object *obj, struct sl_buf *out)
{
    for (uint32_t i = 0; i < obj->named_count; i++) {
        sl_buf_addf(out, "%s%.*s=", i > 0 ? "," : "", SL_STR_ARG(obj->named[i].name));
        sl_hex_add(out, obj->named[i].floats);
    }
}

/* "c=hex|hex" of what was read. */
static void multi_text(const struct sl_object *obj, struct sl_buf *out)
{
    SL_AUTO(sl_buf) scratch = SL_BUF_EMPTY;
    for (uint32_t i = 0; i < obj->multi_count; i++) {
        const struct sl_multi_vector *mv = &obj->multi[i];
        struct sl_rd rd = sl_rd_over(mv->body);
        sl_buf_addf(out, "%s%.*s=", i > 0 ? "," : "", SL_STR_ARG(mv->name));
        for (uint32_t row_idx = 0; row_idx < mv->row_count; row_idx++) {
            struct sl_bytes row;
            assert_int_equal(sl_multi_vector_row(mv, &rd, &scratch, &row, NULL), SL_OK);
            sl_buf_add_text(out, row_idx > 0 ? "|" : "");
            sl_hex_add(out, row);
        }
        assert_int_equal(sl_rd_left(&rd), 0);
    }
}

static void assert_same_json(struct sl_bytes got, const char *want)
{
    size_t flags = JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL;
    json_t *got_json = json_loadb((const char *)got.ptr, got.len, flags, NULL);
    json_t *want_json = json_loads(want, flags, NULL);
    assert_non_null(got_json);
    assert_non_null(want_json);
    if (json_is_null(got_json)) {
        json_decref(got_json);
        got_json = json_object();
    }
    assert_true(json_equal(got_json, want_json));
    json_decref(got_json);
    json_decref(want_json);
}

static void check_fields(const struct sample *s, struct sl_bytes stored)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    assert_int_equal(sl_object_read(stored, &object, NULL), SL_OK);
    char id[SL_UUID_TEXT_SIZE];
    sl_uuid_format(object.uuid, id);
    assert_memory_equal(id, s->column[ID], sizeof id);
    assert_int_equal(object.create_ms, strtoll(s->column[CREATED], NULL, 10));
    assert_int_equal(object.update_ms, strtoll(s->column[UPDATED], NULL, 10));
    assert_name(object.class_name, s->column[CLASS]);
    sl_hex_add(&text, object.vector);
    assert_string_equal(sl_buf_cstr(&text), s->column[VECTOR]);
    sl_buf_clear(&text);
    named_text(&object, &text);
    assert_string_equal(sl_buf_cstr(&text), s->column[NAMED]);
    sl_buf_clear(&text);
    multi_text(&object, &text);
    assert_string_equal(sl_buf_cstr(&text), s->column[MULTI]);
    assert_same_json(object.properties, s->column[PROPERTIES]);
}

static void real_objects_read_as_their_server_answered(void **state)
{
    (void)state;
    for_each_sample(check_fields);
}

/* Servers before 1.29 (here 1.25 and 1.28) end after the named section. */
static void check_rewrite(const struct sample *s, struct sl_bytes stored)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) named = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) multi = SL_BUF_EMPTY;
    bool is_short =
        strncmp(s->column[VERSION], "1.25", 4) == 0 || strncmp(s->column[VERSION], "1.28", 4) == 0;
    size_t tail = is_short ? 8 : 0;
    assert_int_equal(sl_object_read(stored, &object, NULL), SL_OK);
    assert_int_equal(sl_object_write(&object, &out, NULL), SL_OK);
    assert_int_equal(out.len, stored.len + tail);
    if (object.named_count <= 1 && object.multi_count <= 1) { /* else the order was random */
        assert_memory_equal(out.ptr, stored.ptr, stored.len);
        assert_memory_equal(out.ptr + stored.len, "\0\0\0\0\0\0\0\0", tail);
    }
    assert_int_equal(sl_object_read(sl_buf_view(&out), &other, NULL), SL_OK);
    named_text(&other, &named);
    multi_text(&other, &multi);
    assert_string_equal(sl_buf_cstr(&named), s->column[NAMED]);
    assert_string_equal(sl_buf_cstr(&multi), s->column[MULTI]);
}

static void real_objects_are_rewritten_as_they_were(void **state)
{
    (void)state;
    for_each_sample(check_rewrite);
}

static bool is_inside(struct sl_bytes part, struct sl_bytes whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.len <= whole.len &&
                             part.ptr <= whole.ptr + (whole.len - part.len));
}

static void assert_views_inside(const struct sl_object *obj, struct sl_bytes value)
{
    assert_true(is_inside(obj->vector, value));
    assert_true(is_inside(sl_str_bytes(obj->class_name), value));
    assert_true(is_inside(obj->properties, value));
    assert_true(obj->named_count <= SL_OBJECT_VECTORS_MAX);
    assert_true(obj->multi_count <= SL_OBJECT_VECTORS_MAX);
    for (uint32_t i = 0; i < obj->named_count; i++) {
        assert_true(is_inside(sl_str_bytes(obj->named[i].name), value));
        assert_true(is_inside(obj->named[i].floats, value));
        assert_int_equal(obj->named[i].floats.len % 4, 0);
    }
    for (uint32_t i = 0; i < obj->multi_count; i++) {
        assert_true(is_inside(obj->multi[i].body, value));
    }
}

/* Every byte set to a few telling values: refused, or read without leaving the value. */
static void check_damage(const struct sample *s, struct sl_bytes stored)
{
    (void)s;
    static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0x91, 0xc0, 0xca, 0xdd, 0xdf, 0xff};
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) damaged = SL_BUF_EMPTY;
    sl_buf_add(&damaged, stored);
    for (size_t i = 0; i < stored.len; i++) {
        for (size_t j = 0; j < SL_COUNT_OF(values); j++) {
            damaged.ptr[i] = values[j];
            if (sl_object_read(sl_buf_view(&damaged), &object, NULL) == SL_OK) {
                assert_views_inside(&object, sl_buf_view(&damaged));
                sl_buf_clear(&text);
                multi_text(&object, &text); /* every row that was promised is there */
            }
        }
        damaged.ptr[i] = stored.ptr[i];
    }
}

static void damaged_objects_are_refused_or_stay_inside(void **state)
{
    (void)state;
    for_each_sample(check_damage);
}

/* ---- tails of older servers, damage ------------------------------------------------------- */

static void cut_objects_are_refused_but_at_the_ends_of_older_servers(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    hex_bytes(example_hex, &value);
    for (size_t len = 0; len < EXAMPLE_SIZE; len++) {
        struct sl_err err = {0};
        /* A copy of exactly this size lets the address sanitizer see any read beyond it. */
        SL_AUTO_MEM(uint8_t) cut = sl_alloc(len);
        memcpy(cut, value.ptr, len);
        sl_rc rc = sl_object_read(SL_BYTES(cut, len), &object, &err);
        if (len == EXAMPLE_WEIGHTS_END || len == EXAMPLE_NAMED_END) {
            assert_int_equal(rc, SL_OK);
            assert_int_equal(object.named_count, len == EXAMPLE_WEIGHTS_END ? 0 : 2);
            assert_int_equal(object.multi_count, 0);
        } else {
            assert_int_equal(rc, SL_ECORRUPT);
            assert_non_null(strstr(err.text, "offset"));
        }
    }
}

static void errors_name_field_and_offset(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    struct sl_err err;
    hex_bytes(example_hex, &value);
    assert_int_equal(sl_object_read(SL_BYTES(value.ptr, 60), &object, &err), SL_ECORRUPT);
    assert_string_equal(err.text,
                        "stored object: properties ends at offset 55 of 60, more was expected");
    sl_buf_add_u8(&value, 0);
    assert_int_equal(sl_object_read(sl_buf_view(&value), &object, &err), SL_ECORRUPT);
    assert_string_equal(err.text, "stored object: 1 bytes left over at offset 151");
    value.ptr[0] = 2;
    assert_int_equal(sl_object_read(sl_buf_view(&value), &object, &err), SL_ECORRUPT);
    assert_string_equal(err.text,
                        "stored object: marshaller version 2 at offset 0, only version 1 is known");
}

/* Reads the example up to the vector weights with the two sections given as hexadecimal text behind
 * it. What was read points into `value`. */
static sl_rc read_with_sections(struct sl_buf *value, const char *const sections[4])
{
    SL_AUTO(sl_buf) part = SL_BUF_EMPTY;
    hex_bytes(example_hex, value);
    value->len = EXAMPLE_WEIGHTS_END;
    for (size_t i = 0; i < 4; i++) {
        hex_bytes(sections[i], &part);
        sl_buf_add_u32(value, (uint32_t)part.len);
        sl_buf_add(value, sl_buf_view(&part));
    }
    return sl_object_read(sl_buf_view(value), &object, NULL);
}

static void multi_vectors_of_1_28_0_are_arrays_of_msgpack_floats(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) scratch = SL_BUF_EMPTY;
    /* {"m": [[0.1, -2], [], null], "c": [], "n": null} */
    const char *const sections[] = {"", "", "83a16d9392ca3dcccccdcac000000090c0a16390a16ec0", ""};
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    assert_int_equal(read_with_sections(&value, sections), SL_OK);
    assert_int_equal(object.multi_count, 3);
    assert_name(object.multi[0].name, "c");
    assert_int_equal(object.multi[0].row_count, 0);
    assert_name(object.multi[2].name, "n");
    assert_int_equal(object.multi[2].row_count, 0);
    const struct sl_multi_vector *mv = &object.multi[1];
    assert_name(mv->name, "m");
    assert_true(mv->is_msgpack);
    assert_int_equal(mv->row_count, 3);
    struct sl_rd rd = sl_rd_over(mv->body);
    struct sl_bytes row;
    assert_int_equal(sl_multi_vector_row(mv, &rd, &scratch, &row, NULL), SL_OK);
    assert_bytes(row, (const float[]){0.1F, -2}, 8);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sl_multi_vector_row(mv, &rd, &scratch, &row, NULL), SL_OK);
        assert_int_equal(row.len, 0);
    }
    assert_int_equal(sl_multi_vector_row(mv, &rd, &scratch, &row, NULL), SL_ECORRUPT);
    struct sl_rd no_floats = sl_rd_over(SL_BYTES("\x92\xca\0\0\0\0\xc3", 7));
    assert_int_equal(sl_multi_vector_row(mv, &no_floats, &scratch, &row, NULL), SL_ECORRUPT);
}

static void offsets_may_have_any_unsigned_form_and_order(void **state)
{
    (void)state;
    /* "b" at 0 (fixint), "a" at 6 (uint16), "" at 6 (int64), long name by str8 at 6 (uint64) */
    const char *const sections[] = {
        "84a16200a161cd0006a0d30000000000000006d90163cf0000000000000006", "01000000803f0000", "c0",
        ""};
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    assert_int_equal(read_with_sections(&value, sections), SL_OK);
    assert_int_equal(object.named_count, 4);
    assert_name(object.named[0].name, "");
    assert_name(object.named[1].name, "a");
    assert_name(object.named[2].name, "b");
    assert_bytes(object.named[2].floats, (const float[]){1}, 4);
    assert_name(object.named[3].name, "c");
}

static void segments_without_offsets_are_skipped(void **state)
{
    (void)state;
    const char *const sections[] = {"", "0102030405", "", "0607"};
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    assert_int_equal(read_with_sections(&value, sections), SL_OK);
    assert_int_equal(object.named_count + object.multi_count, 0);
}

static void bad_sections_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][4] = {
        {"a161", "", "", ""},                 /* no map */
        {"81", "", "", ""},                   /* no name */
        {"8101", "", "", ""},                 /* name is a number */
        {"81a161", "", "", ""},               /* no offset */
        {"81a161ff", "0000", "", ""},         /* negative offset */
        {"81a16100", "", "", ""},             /* empty segment */
        {"81a16100", "01", "", ""},           /* half a length */
        {"81a16100", "0100000080", "", ""},   /* vector over the end */
        {"81a161ce00000001", "0000", "", ""}, /* offset over the end */
        {"81a161cfffffffffffffffff", "0000", "", ""},
        {"81a1610000", "0000", "", ""},     /* bytes behind the map */
        {"82a16100a16100", "0000", "", ""}, /* a name twice */
        {"de0101", "", "", ""},             /* 257 entries */
        {"df00010000", "", "", ""},
        {"", "", "81a16300", ""},         /* no row count */
        {"", "", "81a16300", "ffffffff"}, /* rows over the end */
        {"", "", "81a16300", "0100000002000000803f"},
        {"", "", "82a16300a16300", "00000000"},
        {"", "", "81a163", ""},
        {"", "", "81c0", ""},
        {"", "", "81a16391", ""},         /* old tail: no row */
        {"", "", "81a163919101", ""},     /* old tail: no float */
        {"", "", "81a16391c3", ""},       /* old tail: row is no array */
        {"", "", "81a163ddffffffff", ""}, /* old tail: four billion rows */
        {"", "", "81a163dc00", ""},       /* old tail: half a count */
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
        assert_int_equal(read_with_sections(&value, cases[i]), SL_ECORRUPT);
    }
}

/* ---- limits of writing -------------------------------------------------------------------- */

static void many_vectors_come_back_sorted(void **state)
{
    (void)state;
    static char names[SL_OBJECT_VECTORS_MAX][40];
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    memset(&other, 0, sizeof other);
    other.named_count = SL_OBJECT_VECTORS_MAX;
    other.multi_count = SL_OBJECT_VECTORS_MAX;
    for (uint32_t i = 0; i < SL_OBJECT_VECTORS_MAX; i++) {
        /* Names of 3 and of 39 bytes (fixstr and str8), written in descending order. */
        snprintf(names[i], sizeof names[i], i % 2 ? "n%02x" : "n%02x%035d",
                 SL_OBJECT_VECTORS_MAX - 1 - i, 7);
        other.named[i].name = sl_str_from(names[i]);
        other.named[i].floats = SL_BYTES(&names[i][1], 4);
        other.multi[i].name = sl_str_from(names[i]);
    }
    assert_int_equal(sl_object_write(&other, &out, NULL), SL_OK);
    assert_int_equal(sl_object_read(sl_buf_view(&out), &object, NULL), SL_OK);
    assert_int_equal(object.named_count, SL_OBJECT_VECTORS_MAX);
    assert_int_equal(object.multi_count, SL_OBJECT_VECTORS_MAX);
    for (uint32_t i = 0; i < SL_OBJECT_VECTORS_MAX; i++) {
        const char *name = names[SL_OBJECT_VECTORS_MAX - 1 - i];
        assert_name(object.named[i].name, name);
        assert_bytes(object.named[i].floats, name + 1, 4);
        assert_name(object.multi[i].name, name);
    }
}

static void largest_vectors_round_trip(void **state)
{
    (void)state;
    static uint8_t floats[(SL_OBJECT_DIMS_MAX + 1) * 4];
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) rows = SL_BUF_EMPTY;
    for (size_t i = 0; i < sizeof floats; i++) {
        floats[i] = (uint8_t)(i % 251);
    }
    struct sl_bytes largest = SL_BYTES(floats, SL_OBJECT_DIMS_MAX * 4);
    sl_buf_add_u16(&rows, SL_OBJECT_DIMS_MAX);
    sl_buf_add(&rows, largest);
    memset(&other, 0, sizeof other);
    other.vector = largest;
    other.named_count = 1;
    other.named[0] = (struct sl_named_vector){SL_STR("n"), largest};
    other.multi_count = 1;
    other.multi[0] = (struct sl_multi_vector){SL_STR("m"), sl_buf_view(&rows), 1, false};
    assert_int_equal(sl_object_write(&other, &out, NULL), SL_OK);
    assert_int_equal(sl_object_read(sl_buf_view(&out), &object, NULL), SL_OK);
    assert_bytes(object.vector, floats, largest.len);
    assert_bytes(object.named[0].floats, floats, largest.len);
    assert_bytes(object.multi[0].body, rows.ptr, rows.len);
}

static void write_refuses_what_does_not_fit(void **state)
{
    (void)state;
    static uint8_t bytes[(SL_OBJECT_DIMS_MAX + 1) * 4];
    static const struct sl_object nothing;
    const struct sl_bytes too_long = SL_BYTES(bytes, sizeof bytes);
    const struct sl_bytes too_large = SL_BYTES(bytes, (size_t)UINT32_MAX + 1); /* never read */
    for (int i = 0; i < 13; i++) {
        SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
        struct sl_err err = {0};
        other = nothing;
        other.named[0].name = other.multi[0].name = SL_STR("v");
        switch (i) {
        case 0:
            other.class_name = (struct sl_str){(const char *)bytes, 65536};
            break;
        case 1:
            other.properties = too_large;
            break;
        case 2:
            other.additional = too_large;
            break;
        case 3:
            other.vector_weights = too_large;
            break;
        case 4:
            other.vector = too_long;
            break;
        case 5:
            other.vector = SL_BYTES(bytes, 5);
            break;
        case 6:
            other.named_count = SL_OBJECT_VECTORS_MAX + 1;
            break;
        case 7:
            other.multi_count = SL_OBJECT_VECTORS_MAX + 1;
            break;
        case 8:
            other.named_count = 1;
            other.named[0].floats = too_long;
            break;
        case 9:
            other.named_count = 1;
            other.named[0].name = sl_bytes_str(too_large);
            break;
        case 10: /* one row was promised */
            other.multi_count = 1;
            other.multi[0].row_count = 1;
            break;
        case 11: /* bytes behind the rows */
            other.multi_count = 1;
            other.multi[0].body = SL_BYTES(bytes, 2);
            break;
        default: /* the form of 1.28.0 is read only */
            other.multi_count = 1;
            other.multi[0].is_msgpack = true;
        }
        assert_int_equal(sl_object_write(&other, &out, &err), SL_EINVAL);
        assert_true(err.text[0] != '\0');
        assert_int_equal(out.len, 0);
    }
}

static void refused_memory_fails_the_write_only(void **state)
{
    (void)state;
#ifdef SL_FAULTS_ON
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    hex_bytes(example_hex, &value);
    assert_int_equal(sl_object_read(sl_buf_view(&value), &object, NULL), SL_OK);
    int64_t live = sl_mem_live();
    for (int64_t n = 0;; n++) {
        struct sl_buf out = SL_BUF_EMPTY;
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        sl_rc rc = sl_object_write(&object, &out, NULL);
        sl_fault_clear();
        if (rc == SL_OK) {
            assert_bytes(sl_buf_view(&out), value.ptr, value.len);
            sl_buf_fini(&out);
            assert_true(n > 0);
            break;
        }
        assert_int_equal(rc, SL_ENOMEM);
        sl_buf_fini(&out);
        assert_int_equal(sl_mem_live(), live);
    }
    /* A row of the old form needs memory as well. */
    SL_AUTO(sl_buf) scratch = SL_BUF_EMPTY;
    struct sl_multi_vector mv = {.is_msgpack = true, .row_count = 1};
    struct sl_rd rd = sl_rd_over(SL_BYTES("\x91\xca\x3f\x80\0\0", 6));
    struct sl_bytes row;
    sl_fault_fail_after(SL_FAULT_ALLOC, 0);
    sl_rc rc = sl_multi_vector_row(&mv, &rd, &scratch, &row, NULL);
    sl_fault_clear();
    assert_int_equal(rc, SL_ENOMEM);
#else
    fail_msg("no fault points in this build: meson setup -Dfaults=true");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worked_example_splits_into_its_fields),
        cmocka_unit_test(worked_example_is_written_byte_by_byte),
        cmocka_unit_test(object_without_anything_is_all_nulls_and_empty_sections),
        cmocka_unit_test(real_objects_read_as_their_server_answered),
        cmocka_unit_test(real_objects_are_rewritten_as_they_were),
        cmocka_unit_test(damaged_objects_are_refused_or_stay_inside),
        cmocka_unit_test(cut_objects_are_refused_but_at_the_ends_of_older_servers),
        cmocka_unit_test(errors_name_field_and_offset),
        cmocka_unit_test(multi_vectors_of_1_28_0_are_arrays_of_msgpack_floats),
        cmocka_unit_test(offsets_may_have_any_unsigned_form_and_order),
        cmocka_unit_test(segments_without_offsets_are_skipped),
        cmocka_unit_test(bad_sections_are_refused),
        cmocka_unit_test(many_vectors_come_back_sorted),
        cmocka_unit_test(largest_vectors_round_trip),
        cmocka_unit_test(write_refuses_what_does_not_fit),
        cmocka_unit_test(refused_memory_fails_the_write_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
