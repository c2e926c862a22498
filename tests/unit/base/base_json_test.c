/* The JSON writer. Expected texts were printed by Go 1.26's encoding/json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/fault.h"
#include "base/json.h"

static void assert_json(struct sl_buf *out, const char *want)
{
    assert_int_equal(sl_buf_done(out, NULL), SL_OK);
    assert_string_equal(sl_buf_cstr(out), want);
}

/* Everything the writer can say, once. */
static void write_sample(struct sl_json *w)
{
    sl_json_obj(w);
    sl_json_key(w, "a");
    sl_json_i64(w, -5);
    sl_json_key_str(w, SL_STR("b"));
    sl_json_arr(w);
    sl_json_u64(w, UINT64_MAX);
    sl_json_f64(w, 0.5);
    sl_json_f64(w, (double)NAN);
    sl_json_bool(w, true);
    sl_json_bool(w, false);
    sl_json_null(w);
    sl_json_arr_end(w);
    sl_json_key(w, "c");
    sl_json_obj(w);
    sl_json_obj_end(w);
    sl_json_key(w, "d");
    sl_json_arr(w);
    sl_json_arr_end(w);
    sl_json_key(w, "e");
    sl_json_obj(w);
    sl_json_key(w, "f");
    sl_json_text(w, "x");
    sl_json_key(w, "g");
    sl_json_raw(w, SL_STR("[1,2]"));
    sl_json_obj_end(w);
    sl_json_key(w, "t");
    sl_json_time_ms(w, INT64_C(1577840523500000000));
    sl_json_key(w, "u");
    sl_json_time_ns(w, INT64_C(1577840523500000000));
    sl_json_obj_end(w);
}

static void compact_form_has_no_blanks(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_json w = sl_json_over(&out);
    write_sample(&w);
    assert_json(&out, "{\"a\":-5,\"b\":[18446744073709551615,0.5,null,true,false,null],\"c\":{},"
                      "\"d\":[],\"e\":{\"f\":\"x\",\"g\":[1,2]},"
                      "\"t\":\"2020-01-01T01:02:03.500Z\",\"u\":\"2020-01-01T01:02:03.5Z\"}");
}

static void indented_form_is_marshal_indent(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_json w = sl_json_over(&out);
    w.indent = 2;
    sl_json_obj(&w);
    sl_json_key(&w, "a");
    sl_json_i64(&w, 1);
    sl_json_key(&w, "b");
    sl_json_arr(&w);
    sl_json_text(&w, "x");
    sl_json_obj(&w);
    sl_json_key(&w, "y");
    sl_json_null(&w);
    sl_json_obj_end(&w);
    sl_json_arr_end(&w);
    sl_json_key(&w, "c");
    sl_json_obj(&w);
    sl_json_obj_end(&w);
    sl_json_key(&w, "d");
    sl_json_arr(&w);
    sl_json_arr_end(&w);
    sl_json_obj_end(&w);
    assert_json(&out, "{\n  \"a\": 1,\n  \"b\": [\n    \"x\",\n    {\n      \"y\": null\n    }\n  "
                      "],\n  \"c\": {},\n  \"d\": []\n}");
}

#define NASTY                     \
    "\b\f\n\r\t\x01\x1f\x7f\"\\/" \
    "<>&\xe2\x80\xa8\xe2\x80\xa9\xff\xc3\xc3\xa9\xf0\x9f\x98\x80\xed\xa0\x80"

static void strings_escape_as_go_does_with_html(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_json w = sl_json_over(&out);
    w.is_html_escaped = true;
    sl_json_text(&w, NASTY);
    assert_json(&out,
                "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\\"\\\\/\\u003c\\u003e\\u0026\\u2028\\u2029"
                "\\ufffd\\ufffd\xc3\xa9\xf0\x9f\x98\x80\\ufffd\\ufffd\\ufffd\"");
}

static void strings_keep_html_characters_in_replies(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_json w = sl_json_over(&out);
    sl_json_obj(&w);
    sl_json_key(&w, "<\"&");
    sl_json_str(&w, SL_STR("a<b>&\0z"));
    sl_json_obj_end(&w);
    assert_json(&out, "{\"<\\\"&\":\"a<b>&\\u0000z\"}");
}

static void characters_cut_off_at_the_end_are_replaced(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_json w = sl_json_over(&out);
    sl_json_str(&w, (struct sl_str){"a\xe2\x80\xa8", 3});
    assert_json(&out, "\"a\\ufffd\\ufffd\"");
}

static void nesting_goes_to_the_limit(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_json w = sl_json_over(&out);
    w.indent = 2; /* wider than one run of blanks */
    for (int i = 0; i < SL_JSON_DEPTH_MAX; i++) {
        sl_json_arr(&w);
    }
    for (int i = 0; i < SL_JSON_DEPTH_MAX; i++) {
        sl_json_arr_end(&w);
    }
    assert_int_equal(sl_json_depth(sl_buf_view(&out)), SL_JSON_DEPTH_MAX);
    size_t want = 0; /* brackets, and before each inner line a break and its blanks */
    for (size_t depth = 1; depth < SL_JSON_DEPTH_MAX; depth++) {
        want += 2 * (1 + 2 * depth) - 2;
    }
    assert_int_equal(out.len, want + 2 * SL_JSON_DEPTH_MAX);
}

static void depth_counts_brackets_outside_strings(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t depth;
    } cases[] = {
        {"", 0},
        {"12", 0},
        {"{}", 1},
        {"[[],{\"a\":[]}]", 3},
        {"\"[[[[\"", 0},
        {"{\"a\\\"[[\":\"\\\\\"}", 1},
        {"[", UINT32_MAX},
        {"]", UINT32_MAX},
        {"[]]", UINT32_MAX},
        {"[\"", UINT32_MAX},
        {"[\"\\\"]", UINT32_MAX},
        {"\"\\", UINT32_MAX},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        assert_int_equal(sl_json_depth(sl_str_bytes(sl_str_from(cases[i].text))), cases[i].depth);
    }
}

static void refused_memory_shows_at_the_end(void **state)
{
    (void)state;
#ifdef SL_FAULTS_ON
    for (int64_t n = 0;; n++) {
        struct sl_buf out = SL_BUF_EMPTY;
        struct sl_json w = sl_json_over(&out);
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        write_sample(&w);
        sl_fault_clear();
        sl_rc rc = sl_buf_done(&out, NULL);
        sl_buf_fini(&out);
        assert_int_equal(sl_mem_live(), 0);
        if (rc == SL_OK) {
            assert_true(n > 0);
            break;
        }
        assert_int_equal(rc, SL_ENOMEM);
    }
#else
    fail_msg("no fault points in this build: meson setup -Dfaults=true");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compact_form_has_no_blanks),
        cmocka_unit_test(indented_form_is_marshal_indent),
        cmocka_unit_test(strings_escape_as_go_does_with_html),
        cmocka_unit_test(strings_keep_html_characters_in_replies),
        cmocka_unit_test(characters_cut_off_at_the_end_are_replaced),
        cmocka_unit_test(nesting_goes_to_the_limit),
        cmocka_unit_test(depth_counts_brackets_outside_strings),
        cmocka_unit_test(refused_memory_shows_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
