/* Sticky JSON writer with Go's exact text: see json.h for what Go escapes.
 *
 * The writer keeps one closing bracket and one "has a member" mark per open level, nothing else, so
 * it needs no memory of its own. Strings are copied in runs: only the bytes that need an escape end
 * a run. Owner of the buffer only. */
#include "base/json.h"

#include <math.h>

#include "base/num.h"
#include "base/str.h"

struct sl_json sl_json_over(struct sl_buf *out)
{
    return (struct sl_json){.out = out};
}

static void line_break(struct sl_json *w)
{
    static const char blanks[] = "                                ";
    if (w->indent == 0) {
        return;
    }
    sl_buf_add_u8(w->out, '\n');
    size_t width = (size_t)w->indent * w->depth;
    while (width > 0) {
        size_t n = SL_MIN(width, sizeof blanks - 1);
        sl_buf_add(w->out, SL_BYTES(blanks, n));
        width -= n;
    }
}

/* Puts the comma and the line break that belong before a key or an array element. */
static void member_begin(struct sl_json *w)
{
    if (w->depth > 0) {
        if (w->has_member[w->depth - 1]) {
            sl_buf_add_u8(w->out, ',');
        }
        w->has_member[w->depth - 1] = true;
        line_break(w);
    }
}

static void value_begin(struct sl_json *w)
{
    if (w->is_after_key) {
        w->is_after_key = false;
        return;
    }
    sl_assert(w->depth == 0 || w->closer[w->depth - 1] == ']');
    member_begin(w);
}

static void open_level(struct sl_json *w, char opener, char closer)
{
    value_begin(w);
    sl_assert(w->depth < SL_JSON_DEPTH_MAX);
    w->has_member[w->depth] = false;
    w->closer[w->depth++] = closer;
    sl_buf_add_u8(w->out, (uint8_t)opener);
}

static void close_level(struct sl_json *w, char closer)
{
    sl_assert(w->depth > 0 && !w->is_after_key && w->closer[w->depth - 1] == closer);
    w->depth--;
    if (w->has_member[w->depth]) {
        line_break(w);
    }
    sl_buf_add_u8(w->out, (uint8_t)closer);
}

void sl_json_obj(struct sl_json *w)
{
    open_level(w, '{', '}');
}

void sl_json_obj_end(struct sl_json *w)
{
    close_level(w, '}');
}

void sl_json_arr(struct sl_json *w)
{
    open_level(w, '[', ']');
}

void sl_json_arr_end(struct sl_json *w)
{
    close_level(w, ']');
}

/* Bytes that end a run of plain text: controls, quote, backslash, the three of HTML, and every byte
 * of a character outside ASCII, which must be checked. */
static bool is_plain(uint8_t c, bool is_html_escaped)
{
    if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') {
        return false;
    }
    return !is_html_escaped || (c != '<' && c != '>' && c != '&');
}

static void escape_ascii(struct sl_buf *out, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    switch (c) {
    case '"':
    case '\\':
        sl_buf_add_u8(out, '\\');
        sl_buf_add_u8(out, c);
        return;
    case '\b': /* \b and \f: Go 1.22 and later; before that they were \u0008 and \u000c */
        sl_buf_add_text(out, "\\b");
        return;
    case '\f':
        sl_buf_add_text(out, "\\f");
        return;
    case '\n':
        sl_buf_add_text(out, "\\n");
        return;
    case '\r':
        sl_buf_add_text(out, "\\r");
        return;
    case '\t':
        sl_buf_add_text(out, "\\t");
        return;
    default:
        sl_buf_add_text(out, "\\u00");
        sl_buf_add_u8(out, (uint8_t)hex[c >> 4]);
        sl_buf_add_u8(out, (uint8_t)hex[c & 15]);
    }
}

/* One character outside ASCII at s; returns how many bytes of s it took. */
static size_t add_wide(struct sl_buf *out, struct sl_str s)
{
    uint8_t lead = (uint8_t)s.ptr[0];
    size_t len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    struct sl_str c = {s.ptr, SL_MIN(len, s.len)};
    if (sl_utf8_valid_len(c) != len) {
        sl_buf_add_text(out, "\\ufffd");
        return 1;
    }
    if (len == 3 && memcmp(c.ptr, "\xe2\x80\xa8", 3) == 0) {
        sl_buf_add_text(out, "\\u2028");
    } else if (len == 3 && memcmp(c.ptr, "\xe2\x80\xa9", 3) == 0) {
        sl_buf_add_text(out, "\\u2029");
    } else {
        sl_buf_add_str(out, c);
    }
    return len;
}

static void add_string(struct sl_json *w, struct sl_str s)
{
    sl_buf_add_u8(w->out, '"');
    size_t at = 0;
    while (at < s.len) {
        size_t run = at;
        while (run < s.len && is_plain((uint8_t)s.ptr[run], w->is_html_escaped)) {
            run++;
        }
        sl_buf_add(w->out, SL_BYTES(s.ptr + at, run - at));
        at = run;
        if (at < s.len) {
            uint8_t c = (uint8_t)s.ptr[at];
            if (c < 0x80) {
                escape_ascii(w->out, c);
                at++;
            } else {
                at += add_wide(w->out, (struct sl_str){s.ptr + at, s.len - at});
            }
        }
    }
    sl_buf_add_u8(w->out, '"');
}

void sl_json_key(struct sl_json *w, const char *key)
{
    sl_json_key_str(w, sl_str_from(key));
}

void sl_json_key_str(struct sl_json *w, struct sl_str key)
{
    sl_assert(w->depth > 0 && w->closer[w->depth - 1] == '}' && !w->is_after_key);
    member_begin(w);
    add_string(w, key);
    sl_buf_add_text(w->out, w->indent > 0 ? ": " : ":");
    w->is_after_key = true;
}

void sl_json_str(struct sl_json *w, struct sl_str s)
{
    value_begin(w);
    add_string(w, s);
}

void sl_json_text(struct sl_json *w, const char *text)
{
    sl_json_str(w, sl_str_from(text));
}

void sl_json_i64(struct sl_json *w, int64_t v)
{
    char text[20];
    sl_json_raw(w, (struct sl_str){text, sl_i64_format(v, text)});
}

void sl_json_u64(struct sl_json *w, uint64_t v)
{
    char text[20];
    sl_json_raw(w, (struct sl_str){text, sl_u64_format(v, text)});
}

void sl_json_f64(struct sl_json *w, double v)
{
    if (!isfinite(v)) {
        sl_json_null(w);
        return;
    }
    char text[SL_F64_TEXT_MAX];
    sl_json_raw(w, (struct sl_str){text, sl_f64_format(v, text)});
}

void sl_json_bool(struct sl_json *w, bool v)
{
    sl_json_raw(w, v ? SL_STR("true") : SL_STR("false"));
}

void sl_json_null(struct sl_json *w)
{
    sl_json_raw(w, SL_STR("null"));
}

void sl_json_raw(struct sl_json *w, struct sl_str json)
{
    value_begin(w);
    sl_buf_add_str(w->out, json);
}

void sl_json_time_ms(struct sl_json *w, int64_t wall_ns)
{
    value_begin(w);
    sl_buf_add_u8(w->out, '"');
    sl_time_add_ms(w->out, wall_ns);
    sl_buf_add_u8(w->out, '"');
}

void sl_json_time_ns(struct sl_json *w, int64_t wall_ns)
{
    value_begin(w);
    sl_buf_add_u8(w->out, '"');
    sl_time_add_ns(w->out, wall_ns);
    sl_buf_add_u8(w->out, '"');
}

uint32_t sl_json_depth(struct sl_bytes text)
{
    size_t depth = 0;
    size_t deepest = 0;
    bool is_string = false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (is_string) {
            i += c == '\\'; /* whatever is escaped cannot end the string */
            is_string = c != '"';
        } else if (c == '"') {
            is_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
            deepest = SL_MAX(deepest, depth);
        } else if (c == '}' || c == ']') {
            if (depth == 0) {
                return UINT32_MAX;
            }
            depth--;
        }
    }
    return depth == 0 && !is_string ? (uint32_t)SL_MIN(deepest, UINT32_MAX) : UINT32_MAX;
}
