/* Reading, counting and removing by filter. What a filter finds follows Weaviate's documentation of
 * filters: texts match by token, lists by element, Like with '*' and '?'. */
#include "object_fixture.h"

#define ID(n) "00000000-0000-4000-8000-00000000000" n

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof *f);
    *state = f;
    fixture_open(f, false);
    make_class(f, "{\"class\":\"Film\",\"vectorizer\":\"none\",\"properties\":["
                  "{\"name\":\"title\",\"dataType\":[\"text\"]},"
                  "{\"name\":\"code\",\"dataType\":[\"text\"],\"tokenization\":\"field\"},"
                  "{\"name\":\"path\",\"dataType\":[\"text\"],\"tokenization\":\"whitespace\"},"
                  "{\"name\":\"low\",\"dataType\":[\"text\"],\"tokenization\":\"lowercase\"},"
                  "{\"name\":\"tags\",\"dataType\":[\"text[]\"]},"
                  "{\"name\":\"year\",\"dataType\":[\"int\"]},"
                  "{\"name\":\"score\",\"dataType\":[\"number[]\"]},"
                  "{\"name\":\"good\",\"dataType\":[\"boolean\"]},"
                  "{\"name\":\"day\",\"dataType\":[\"date\"]},"
                  "{\"name\":\"key\",\"dataType\":[\"uuid\"]},"
                  "{\"name\":\"pic\",\"dataType\":[\"blob\"]}]}");
    expect_ok(
        f,
        add(f, "{\"class\":\"Film\",\"id\":\"" ID(
                   "1") "\",\"properties\":{\"title\":"
                        "\"The Straße, part ONE\",\"code\":\" A b \",\"path\":\"X/y Z\",\"low\":"
                        "\"Big-Cat ÄÖ\",\"tags\":[\"red\",\"dark blue\"],\"year\":1999,\"score\":"
                        "[1.5,2],\"good\":true,\"day\":\"2020-02-29T12:00:00+02:00\",\"key\":\"" ID(
                            "a") "\"},\"vector\":[1,2]}"));
    set_time(f, NOW_MS + 1000);
    expect_ok(f, add(f, "{\"class\":\"Film\",\"id\":\"" ID(
                            "2") "\",\"properties\":{\"title\":"
                                 "\"part two\",\"year\":2001,\"good\":false,\"tags\":[]}}"));
    expect_ok(f, add(f, "{\"class\":\"Film\",\"id\":\"" ID("3") "\"}"));
    make_class(f, "{\"class\":\"Rented\",\"vectorizer\":\"none\",\"multiTenancyConfig\":{"
                  "\"enabled\":true},\"properties\":[{\"name\":\"n\",\"dataType\":[\"int\"]}]}");
    return 0;
}

static int teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static struct sl_db_value text(const char *s)
{
    return (struct sl_db_value){.kind = SL_DB_VALUE_TEXT, .text = sl_str_from(s)};
}
static struct sl_db_value number(double n)
{
    return (struct sl_db_value){.kind = SL_DB_VALUE_NUMBER, .number = n};
}
static struct sl_db_value boolean(bool b)
{
    return (struct sl_db_value){.kind = SL_DB_VALUE_BOOLEAN, .boolean = b};
}

/* The last digits of the ids found, in the order they came. */
struct ids {
    char list[16];
};
static sl_rc note(void *arg, const struct sl_db_found *found, struct sl_err *err SL_UNUSED)
{
    struct ids *ids = arg;
    size_t n = strlen(ids->list);
    assert_in_range(n, 0, sizeof ids->list - 2);
    ids->list[n] = (char)('0' + found->object->uuid[15]);
    ids->list[n + 1] = '\0';
    return SL_OK;
}

static struct ids search(struct fixture *f, const struct sl_db_filter *filter, int64_t limit,
                         int64_t offset, const char *after)
{
    struct ids ids = {""};
    struct sl_db_query q = {.where = in_class("Film"),
                            .filter = filter,
                            .limit = limit,
                            .offset = offset,
                            .after = sl_str_from(after),
                            .has_after = after[0] != '\0'};
    begin(f);
    expect_ok(f, sl_db_search(f->db, &q, note, &ids, &f->err));
    return ids;
}

static struct sl_db_filter one(enum sl_db_op op, const char *property,
                               const struct sl_db_value *value)
{
    return (struct sl_db_filter){
        .op = op, .property = sl_str_from(property), .values = value, .value_count = 1};
}

static void comparisons_find_what_they_name(void **state)
{
    struct fixture *f = *state;
    const struct {
        enum sl_db_op op;
        const char *property;
        struct sl_db_value value;
        const char *want;
    } cases[] = {
        {SL_DB_EQUAL, "title", text("straße"), "1"},
        {SL_DB_EQUAL, "title", text("STRASSE"), ""},
        {SL_DB_EQUAL, "title", text("part"), "12"},
        {SL_DB_EQUAL, "title", text("two part"), "2"}, /* all tokens, in any order */
        {SL_DB_EQUAL, "title", text(", !"), ""},       /* no token at all */
        {SL_DB_NOT_EQUAL, "title", text("two"), "13"},
        {SL_DB_LIKE, "title", text("str*"), "1"},
        {SL_DB_LIKE, "title", text("t?o"), "2"},
        {SL_DB_LIKE, "title", text("*ar*t*"), "12"},
        {SL_DB_LIKE, "title", text("stra?e"), "1"}, /* '?' is one character of two bytes */
        {SL_DB_EQUAL, "code", text("A b"), "1"},    /* blanks around do not count */
        {SL_DB_EQUAL, "code", text("a b"), ""},
        {SL_DB_LIKE, "code", text("A*"), "1"},
        {SL_DB_EQUAL, "path", text("X/y"), "1"},
        {SL_DB_EQUAL, "path", text("x/y"), ""},
        {SL_DB_EQUAL, "low", text("big-cat"), "1"},
        {SL_DB_EQUAL, "low", text("äö"), "1"},
        {SL_DB_EQUAL, "low", text("cat"), ""},
        {SL_DB_EQUAL, "tags", text("blue"), "1"},
        {SL_DB_EQUAL, "year", number(1999), "1"},
        {SL_DB_GREATER, "year", number(1999), "2"},
        {SL_DB_GREATER_EQUAL, "year", number(1999), "12"},
        {SL_DB_LESS, "year", number(2001), "1"},
        {SL_DB_LESS_EQUAL, "year", number(2001), "12"},
        {SL_DB_EQUAL, "score", number(2), "1"},
        {SL_DB_GREATER, "score", number(2), ""},
        {SL_DB_EQUAL, "good", boolean(false), "2"},
        {SL_DB_EQUAL, "day", text("2020-02-29T10:00:00Z"), "1"}, /* the same instant */
        {SL_DB_LESS, "day", text("2020-02-29T10:00:00.5Z"), "1"},
        {SL_DB_EQUAL, "key", text("00000000-0000-4000-8000-00000000000A"), "1"},
        {SL_DB_IS_NULL, "title", boolean(true), "3"},
        {SL_DB_IS_NULL, "tags", boolean(true), "23"}, /* an empty list is none */
        {SL_DB_IS_NULL, "pic", boolean(false), ""},
        {SL_DB_EQUAL, "_id", text(ID("2")), "2"},
        {SL_DB_EQUAL, "_id", text(ID("9")), ""},
        {SL_DB_NOT_EQUAL, "_id", text(ID("2")), "13"},
        {SL_DB_LESS_EQUAL, "_creationTimeUnix", text("1795429435753"), "1"},
        {SL_DB_GREATER, "_creationTimeUnix", number((double)NOW_MS), "23"},
        {SL_DB_GREATER, "_lastUpdateTimeUnix", text("2020-01-01T00:00:00Z"), "123"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        struct sl_db_filter filter = one(cases[i].op, cases[i].property, &cases[i].value);
        struct ids got = search(f, &filter, -1, 0, "");
        if (strcmp(got.list, cases[i].want) != 0) {
            fail_msg("case %zu (%s): found \"%s\", not \"%s\"", i, cases[i].property, got.list,
                     cases[i].want);
        }
    }
}

static void contains_takes_lists(void **state)
{
    struct fixture *f = *state;
    struct sl_db_value tags[] = {text("red"), text("green")};
    struct sl_db_value both[] = {text("red"), text("blue dark")};
    struct sl_db_value ids[] = {text(ID("3")), text(ID("1")), text(ID("3")), text(ID("8"))};
    struct sl_db_filter any = {SL_DB_CONTAINS_ANY, .property = SL_STR("tags"), .values = tags,
                               .value_count = 2};
    struct sl_db_filter all = any, none = any;
    all.op = SL_DB_CONTAINS_ALL;
    none.op = SL_DB_CONTAINS_NONE;
    assert_string_equal(search(f, &any, -1, 0, "").list, "1");
    assert_string_equal(search(f, &all, -1, 0, "").list, "");
    assert_string_equal(search(f, &none, -1, 0, "").list, "23");
    all.values = both;
    assert_string_equal(search(f, &all, -1, 0, "").list, "1");
    struct sl_db_filter by_id = {SL_DB_CONTAINS_ANY, .property = SL_STR("_id"), .values = ids,
                                 .value_count = 4};
    assert_string_equal(search(f, &by_id, -1, 0, "").list, "13"); /* each once, in order */
}

static struct sl_db_filter group(enum sl_db_op op, const struct sl_db_filter *children, uint32_t n)
{
    return (struct sl_db_filter){.op = op, .children = children, .child_count = n};
}

static void groups_join_their_operands(void **state)
{
    struct fixture *f = *state;
    struct sl_db_value part = text("part"), year = number(2000), first = text(ID("1")),
                       third = text(ID("3"));
    struct sl_db_filter leaves[] = {one(SL_DB_EQUAL, "title", &part),
                                    one(SL_DB_LESS, "year", &year)};
    struct sl_db_filter ids[] = {one(SL_DB_EQUAL, "_id", &third), one(SL_DB_EQUAL, "_id", &first)};
    struct sl_db_filter both = group(SL_DB_AND, leaves, 2), any = group(SL_DB_OR, leaves, 2);
    struct sl_db_filter not_both = group(SL_DB_NOT, &both, 1), any_id = group(SL_DB_OR, ids, 2);
    struct sl_db_filter mixed_leaves[] = {leaves[0], any_id};
    struct sl_db_filter mixed = group(SL_DB_AND, mixed_leaves, 2);
    assert_string_equal(search(f, &both, -1, 0, "").list, "1");
    assert_string_equal(search(f, &any, -1, 0, "").list, "12");
    assert_string_equal(search(f, &not_both, -1, 0, "").list, "23");
    assert_string_equal(search(f, &any_id, -1, 0, "").list, "13");
    assert_string_equal(search(f, &mixed, -1, 0, "").list, "1");
}

static void pages_have_limit_offset_and_cursor(void **state)
{
    struct fixture *f = *state;
    struct sl_db_value part = text("part");
    struct sl_db_filter filter = one(SL_DB_EQUAL, "title", &part);
    assert_string_equal(search(f, NULL, -1, 0, "").list, "123");
    assert_string_equal(search(f, NULL, 2, 0, "").list, "12");
    assert_string_equal(search(f, NULL, 2, 2, "").list, "3");
    assert_string_equal(search(f, NULL, 2, 0, ID("1")).list, "23");
    assert_string_equal(search(f, &filter, 1, 1, "").list, "2"); /* of what matches */
    assert_string_equal(search(f, &filter, 5, 0, ID("1")).list, "2");
}

static void wrong_filters_are_told(void **state)
{
    struct fixture *f = *state;
    struct sl_db_value n = number(1), s = text("x"), latin = text("\xff");
    struct sl_db_filter empty = group(SL_DB_AND, NULL, 0);
    const struct {
        struct sl_db_filter filter;
        sl_rc rc;
        const char *says;
    } cases[] = {
        {one(SL_DB_EQUAL, "nope", &s), SL_EINVAL, "no such prop with name 'nope'"},
        {one(SL_DB_EQUAL, "title", &n), SL_EINVAL, "must be a text"},
        {one(SL_DB_EQUAL, "title", &latin), SL_EINVAL, "UTF-8"},
        {one(SL_DB_EQUAL, "year", &s), SL_EINVAL, "must be a number"},
        {one(SL_DB_EQUAL, "good", &s), SL_EINVAL, "must be a boolean"},
        {one(SL_DB_EQUAL, "day", &s), SL_EINVAL, "RFC 3339"},
        {one(SL_DB_EQUAL, "key", &s), SL_EINVAL, "UUID"},
        {one(SL_DB_EQUAL, "_id", &s), SL_EINVAL, "UUID"},
        {one(SL_DB_EQUAL, "_creationTimeUnix", &s), SL_EINVAL, "milliseconds"},
        {one(SL_DB_LIKE, "year", &n), SL_EINVAL, "Like is for texts"},
        {one(SL_DB_IS_NULL, "year", &n), SL_EINVAL, "must be a boolean"},
        {one(SL_DB_EQUAL, "pic", &s), SL_EUNSUPPORTED, "type blob"},
        {empty, SL_EINVAL, "at least one operand"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        struct ids ids = {""};
        struct sl_db_query q = {.where = in_class("Film"), .filter = &cases[i].filter, .limit = -1};
        begin(f);
        assert_int_equal(sl_db_search(f->db, &q, note, &ids, &f->err), cases[i].rc);
        if (strstr(f->err.text, cases[i].says) == NULL) {
            fail_msg("case %zu: %s", i, f->err.text);
        }
    }
    struct sl_db_query q = {.where = in_class("Nope"), .limit = -1};
    assert_int_equal(sl_db_search(f->db, &q, note, NULL, &f->err), SL_EINVAL);
    assert_string_equal(f->err.text, "could not find class Nope in schema");
}

static void deleting_counts_and_keeps_the_rest(void **state)
{
    struct fixture *f = *state;
    struct sl_arena arena = SL_ARENA_EMPTY;
    struct sl_db_value part = text("part");
    struct sl_db_filter filter = one(SL_DB_EQUAL, "title", &part);
    struct sl_db_deleted d = {0};
    uint64_t count = 0;
    begin(f);
    expect_ok(
        f, sl_db_delete_where(f->db, in_class("Film"), &filter, true, true, &arena, &d, &f->err));
    assert_int_equal(d.matches, 2);
    assert_int_equal(d.successful, 2);
    assert_int_equal(d.uuids[1][15], 2);
    expect_ok(f, sl_db_count(f->db, in_class("Film"), &count, &f->err));
    assert_int_equal(count, 3); /* a dry run */
    expect_ok(f, sl_db_count_where(f->db, in_class("Film"), &filter, &count, &f->err));
    assert_int_equal(count, 2);
    expect_ok(
        f, sl_db_delete_where(f->db, in_class("Film"), &filter, false, false, &arena, &d, &f->err));
    assert_int_equal(d.successful, 2);
    assert_null(d.uuids);
    expect_ok(f, sl_db_count(f->db, in_class("Film"), &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(search(f, NULL, -1, 0, "").list, "3");
    fixture_reopen(f, false, true);
    assert_int_equal(
        sl_db_delete_where(f->db, in_class("Film"), &filter, false, false, &arena, &d, &f->err),
        SL_EINVAL);
    sl_arena_fini(&arena);
}

static void tenants_are_told_apart(void **state)
{
    struct fixture *f = *state;
    json_t *tenants = parse("[{\"name\":\"a\"},{\"name\":\"b\"}]");
    uint64_t count = 0;
    begin(f);
    expect_ok(f, sl_db_tenants_add(f->db, sl_str_from("Rented"), tenants, &f->out, &f->err));
    json_decref(tenants);
    expect_ok(f, add(f, "{\"class\":\"Rented\",\"tenant\":\"a\",\"id\":\"" ID("1") "\"}"));
    expect_ok(f, sl_db_count(f->db, in_tenant("Rented", "a"), &count, &f->err));
    assert_int_equal(count, 1);
    expect_ok(f, sl_db_count(f->db, in_tenant("Rented", "b"), &count, &f->err));
    assert_int_equal(count, 0);
    assert_int_equal(sl_db_count(f->db, in_tenant("Rented", ""), &count, &f->err), SL_EINVAL);
}

/* ---- vectors as bytes ---- */

static const char *store_one(struct fixture *f, struct sl_arena *arena, const char *object,
                             const struct sl_db_vector *vectors, uint32_t count)
{
    struct sl_db_batch_object o = {parse(object), vectors, count};
    const char *error = NULL;
    begin(f);
    expect_ok(f, sl_db_batch_store(f->db, &o, 1, arena, &error, &f->err));
    json_decref(o.object);
    return error;
}

static void vectors_come_as_bytes(void **state)
{
    struct fixture *f = *state;
    struct sl_arena arena = SL_ARENA_EMPTY;
    static const uint8_t pair[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0x40};       /* 1, 2 */
    static const uint8_t rows[] = {1, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}; /* [1], [2] */
    make_class(f, "{\"class\":\"Many\",\"vectorConfig\":{\"s\":{\"vectorizer\":{\"none\":{}}},"
                  "\"m\":{\"vectorizer\":{\"none\":{}},\"vectorIndexConfig\":{\"multivector\":{"
                  "\"enabled\":true}}}}}");
    struct sl_db_vector both[] = {{SL_STR("m"), SL_BYTES(rows, sizeof rows), true},
                                  {SL_STR("s"), SL_BYTES(pair, sizeof pair), false}};
    const char *object = "{\"class\":\"Many\",\"id\":\"" ID("1") "\"}";
    assert_null(store_one(f, &arena, object, both, 2));
    expect_ok(f, get(f, in_class("Many"), ID("1")));
    assert_non_null(strstr(sl_buf_cstr(&f->out), "\"vectors\":{\"m\":[[1],[2]],\"s\":[1,2]}"));
    const struct {
        struct sl_db_vector vector;
        const char *says;
    } wrong[] = {
        {{SL_STR(""), SL_BYTES(pair, 8), false}, "does not have single vector index"},
        {{SL_STR("x"), SL_BYTES(pair, 8), false}, "does not have configuration for vector x"},
        {{SL_STR("s"), SL_BYTES(pair, 7), false}, "7 bytes are not float32 values"},
        {{SL_STR("s"), SL_BYTES(rows, sizeof rows), true}, "has to be a float32 array"},
        {{SL_STR("m"), SL_BYTES(pair, 8), false}, "AddBatch called on multivector index"},
        {{SL_STR("m"), SL_BYTES(rows, 9), true}, "are no rows of 1 dimensions"},
        {{SL_STR("m"), SL_BYTES(rows, 1), true}, "are no rows of 0 dimensions"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(wrong); i++) {
        const char *said = store_one(f, &arena, object, &wrong[i].vector, 1);
        if (said == NULL || strstr(said, wrong[i].says) == NULL) {
            fail_msg("case %zu: %s", i, said == NULL ? "stored" : said);
        }
    }
    sl_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comparisons_find_what_they_name, setup, teardown),
        cmocka_unit_test_setup_teardown(contains_takes_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(groups_join_their_operands, setup, teardown),
        cmocka_unit_test_setup_teardown(pages_have_limit_offset_and_cursor, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_filters_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(deleting_counts_and_keeps_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(tenants_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(vectors_come_as_bytes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
