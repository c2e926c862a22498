/* MessagePack forms as the specification lists them (spec.md, section "Formats"). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/str.h"
#include "lsm/msgpack.h"

/* A reader over bytes given as hexadecimal text; they stay in `room`. */
static struct sl_rd reader(const char *hex, struct sl_buf *room)
{
    sl_buf_clear(room);
    assert_true(sl_hex_parse(sl_str_from(hex), room));
    return sl_rd_over(sl_buf_view(room));
}

static void unsigned_numbers_come_in_every_width(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        uint64_t v;
    } cases[] = {
        {"00", 0},
        {"7f", 127},
        {"ccff", 255},
        {"cdff00", 0xff00},
        {"ceff000001", 0xff000001},
        {"cfff00000000000001", 0xff00000000000001},
        {"d07f", 127},
        {"d17fff", 0x7fff},
        {"d27fffffff", 0x7fffffff},
        {"d37fffffffffffffff", INT64_MAX},
    };
    SL_AUTO(sl_buf) room = SL_BUF_EMPTY;
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        uint64_t v;
        struct sl_rd rd = reader(cases[i].hex, &room);
        assert_true(sl_mp_take_u64(&rd, &v));
        assert_true(v == cases[i].v);
        assert_int_equal(sl_rd_left(&rd), 0);
        for (size_t len = 0; len < room.len; len++) { /* cut anywhere */
            rd = sl_rd_over(SL_BYTES(room.ptr, len));
            assert_false(sl_mp_take_u64(&rd, &v));
        }
    }
}

static void other_items_are_no_unsigned_numbers(void **state)
{
    (void)state;
    static const char *texts[] = {
        "ff", "e0", "d0ff",       "d18000", "d280000000", "d3ffffffffffffffff",
        "c0", "c3", "ca3f800000", "a161",   "90",         "80"};
    SL_AUTO(sl_buf) room = SL_BUF_EMPTY;
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        uint64_t v = 77;
        struct sl_rd rd = reader(texts[i], &room);
        assert_false(sl_mp_take_u64(&rd, &v));
        assert_int_equal(v, 77);
    }
}

typedef bool take_count_fn(struct sl_rd *rd, uint32_t *ret_count);

static void check_count(take_count_fn *take, const char *hex, uint32_t want)
{
    SL_AUTO(sl_buf) room = SL_BUF_EMPTY;
    struct sl_rd rd = reader(hex, &room);
    uint32_t count;
    assert_true(take(&rd, &count));
    assert_int_equal(count, want);
    assert_int_equal(sl_rd_left(&rd), 0);
    rd = sl_rd_over(SL_BYTES(room.ptr, room.len - 1));
    assert_false(take(&rd, &count));
}

static void maps_and_arrays_say_how_many_follow(void **state)
{
    (void)state;
    check_count(sl_mp_take_map, "80", 0);
    check_count(sl_mp_take_map, "8f", 15);
    check_count(sl_mp_take_map, "de0102", 0x0102);
    check_count(sl_mp_take_map, "df01020304", 0x01020304);
    check_count(sl_mp_take_map, "c0", 0);
    check_count(sl_mp_take_array, "90", 0);
    check_count(sl_mp_take_array, "9f", 15);
    check_count(sl_mp_take_array, "dc0102", 0x0102);
    check_count(sl_mp_take_array, "dd01020304", 0x01020304);
    check_count(sl_mp_take_array, "c0", 0);
    SL_AUTO(sl_buf) room = SL_BUF_EMPTY;
    uint32_t count;
    struct sl_rd rd = reader("90", &room);
    assert_false(sl_mp_take_map(&rd, &count));
    rd = reader("80", &room);
    assert_false(sl_mp_take_array(&rd, &count));
}

static void arrays_are_recognised_without_being_taken(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool is_array;
    } cases[] = {{"93", true}, {"dc0001", true}, {"dd00000001", true},  {"c0", true},
                 {"", false},  {"80", false},    {"ce00000001", false}, {"a0", false}};
    SL_AUTO(sl_buf) room = SL_BUF_EMPTY;
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        struct sl_rd rd = reader(cases[i].hex, &room);
        assert_int_equal(sl_mp_is_array(&rd), cases[i].is_array);
        assert_int_equal(rd.at, 0);
        assert_false(rd.is_short);
    }
}

static void strings_are_views_of_every_length(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 31, 32, 255, 256, 65535, 65536};
    static const char *heads[] = {"a0",   "a1",     "bf",     "d920",
                                  "d9ff", "da0100", "daffff", "db00010000"};
    static char text[65536];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < SL_COUNT_OF(lengths); i++) {
        SL_AUTO(sl_buf) want = SL_BUF_EMPTY;
        SL_AUTO(sl_buf) got = SL_BUF_EMPTY;
        assert_true(sl_hex_parse(sl_str_from(heads[i]), &want));
        sl_buf_add(&want, SL_BYTES(text, lengths[i]));
        sl_mp_add_str(&got, (struct sl_str){text, lengths[i]});
        assert_true(sl_bytes_eq(sl_buf_view(&got), sl_buf_view(&want)));
        struct sl_rd rd = sl_rd_over(sl_buf_view(&want));
        struct sl_str back;
        assert_true(sl_mp_take_str(&rd, &back));
        assert_int_equal(back.len, lengths[i]);
        assert_int_equal(sl_rd_left(&rd), 0);
        rd = sl_rd_over(SL_BYTES(want.ptr, want.len - 1));
        assert_false(sl_mp_take_str(&rd, &back));
    }
    struct sl_str back;
    struct sl_rd no_string = sl_rd_over(SL_BYTES("\xc4\x01x", 3)); /* bytes are no string */
    assert_false(sl_mp_take_str(&no_string, &back));
}

static void floats_have_one_form(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) room = SL_BUF_EMPTY;
    float v = 77;
    struct sl_rd rd = reader("cac0490fdb", &room);
    assert_true(sl_mp_take_f32(&rd, &v));
    assert_true(v == -3.14159274F);
    rd = reader("cac0490f", &room);
    assert_false(sl_mp_take_f32(&rd, &v));
    rd = reader("cb400921fb54442d18", &room);
    assert_false(sl_mp_take_f32(&rd, &v));
    assert_true(v == -3.14159274F);
}

static void writers_choose_the_shortest_map_and_the_full_number(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) want = SL_BUF_EMPTY;
    sl_mp_add_map(&out, 0);
    sl_mp_add_map(&out, 15);
    sl_mp_add_map(&out, 16);
    sl_mp_add_map(&out, 65535);
    sl_mp_add_map(&out, 65536);
    sl_mp_add_u32(&out, 6);
    assert_true(sl_hex_parse(SL_STR("808fde0010deffffdf00010000ce00000006"), &want));
    assert_true(sl_bytes_eq(sl_buf_view(&out), sl_buf_view(&want)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsigned_numbers_come_in_every_width),
        cmocka_unit_test(other_items_are_no_unsigned_numbers),
        cmocka_unit_test(maps_and_arrays_say_how_many_follow),
        cmocka_unit_test(arrays_are_recognised_without_being_taken),
        cmocka_unit_test(strings_are_views_of_every_length),
        cmocka_unit_test(floats_have_one_form),
        cmocka_unit_test(writers_choose_the_shortest_map_and_the_full_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
