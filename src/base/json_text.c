/* Members of JSON text in place; see json_text.h. No recursion and no copy: nested values are
 * skipped by counting brackets, and whoever needs their inside walks it in turn. */
#include "base/json_text.h"

static void skip_blanks(struct sl_json_iter *it)
{
    for (; it->at < it->text.len; it->at++) {
        uint8_t c = it->text.ptr[it->at];
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
            return;
        }
    }
}

static int peek(const struct sl_json_iter *it)
{
    return it->at < it->text.len ? it->text.ptr[it->at] : -1;
}

/* Over a string from its opening to its closing quote: the first one behind an even number of
 * backslashes. Long texts are most of what is skipped, and memchr knows the machine's vectors. */
static void skip_string(struct sl_json_iter *it)
{
    const uint8_t *first = it->text.ptr + it->at + 1, *end = it->text.ptr + it->text.len;
    for (const uint8_t *from = first; from < end;) {
        const uint8_t *quote = memchr(from, '"', (size_t)(end - from));
        if (quote == NULL) {
            break;
        }
        const uint8_t *before = quote;
        while (before > first && before[-1] == '\\') {
            before--;
        }
        if ((quote - before) % 2 == 0) {
            it->at = (size_t)(quote + 1 - it->text.ptr);
            return;
        }
        from = quote + 1;
    }
    it->is_damaged = true;
    it->at = it->text.len + 1;
}

static void skip_word(struct sl_json_iter *it)
{
    size_t from = it->at;
    while (it->at < it->text.len && memchr(",]}: \t\r\n", it->text.ptr[it->at], 8) == NULL) {
        it->at++;
    }
    it->is_damaged |= it->at == from;
}

static void skip_value(struct sl_json_iter *it)
{
    uint64_t depth = 0;
    do {
        int c = peek(it);
        if (c == '"') {
            skip_string(it);
        } else if (c == '{' || c == '[') {
            depth++;
            it->at++;
        } else if (c == '}' || c == ']') {
            it->is_damaged |= depth == 0;
            depth -= depth > 0;
            it->at++;
        } else if (depth > 0 && (c == ',' || c == ':')) {
            it->at++;
        } else {
            skip_word(it);
        }
        if (depth > 0) {
            skip_blanks(it);
        }
    } while (depth > 0 && !it->is_damaged);
}

bool sl_json_begin(struct sl_bytes text, char opener, struct sl_json_iter *ret)
{
    *ret = (struct sl_json_iter){.text = text, .closer = opener == '{' ? '}' : ']'};
    skip_blanks(ret);
    bool is_it = peek(ret) == opener;
    ret->at++;
    return is_it;
}

/* From the opening quote of a key to the value. */
static struct sl_str take_key(struct sl_json_iter *it)
{
    size_t from = it->at + 1;
    if (peek(it) != '"') {
        it->is_damaged = true;
        return SL_STR("");
    }
    skip_string(it);
    size_t end = it->at - 1;
    skip_blanks(it);
    it->is_damaged |= peek(it) != ':';
    it->at++;
    skip_blanks(it);
    return it->is_damaged ? SL_STR("")
                          : (struct sl_str){(const char *)it->text.ptr + from, end - from};
}

bool sl_json_next(struct sl_json_iter *it, struct sl_str *ret_key, struct sl_bytes *ret_value)
{
    struct sl_str key = SL_STR("");
    skip_blanks(it);
    if (it->is_damaged || peek(it) == it->closer) {
        return false;
    }
    if (it->is_begun) { /* the end of the last call saw the comma */
        it->at++;
        skip_blanks(it);
    }
    it->is_begun = true;
    if (it->closer == '}') {
        key = take_key(it);
    }
    size_t from = it->at;
    if (!it->is_damaged) {
        skip_value(it);
    }
    if (it->is_damaged) {
        return false;
    }
    *ret_key = key;
    *ret_value = (struct sl_bytes){it->text.ptr + from, it->at - from};
    skip_blanks(it);
    it->is_damaged = peek(it) != ',' && peek(it) != it->closer;
    return !it->is_damaged;
}

bool sl_json_find(struct sl_bytes object, const char *key, struct sl_bytes *ret)
{
    struct sl_json_iter it;
    struct sl_str name;
    struct sl_bytes value;
    if (!sl_json_begin(object, '{', &it)) {
        return false;
    }
    while (sl_json_next(&it, &name, &value)) {
        if (sl_str_is(name, key)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

bool sl_json_is_null(struct sl_bytes value)
{
    return sl_str_is(sl_bytes_str(value), "null");
}

/* Four hexadecimal digits at `at`; false when they are not. */
static bool take_hex(struct sl_bytes text, size_t at, uint32_t *ret)
{
    *ret = 0;
    for (size_t i = at; i < at + 4; i++) {
        int c = i < text.len ? text.ptr[i] : 0;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return false;
        }
        *ret = *ret << 4 | (uint32_t)digit;
    }
    return true;
}

static void add_utf8(struct sl_buf *out, uint32_t c)
{
    if (c < 0x80) {
        sl_buf_add_u8(out, (uint8_t)c);
    } else if (c < 0x800) {
        sl_buf_add_u8(out, (uint8_t)(0xC0 | c >> 6));
    } else if (c < 0x10000) {
        sl_buf_add_u8(out, (uint8_t)(0xE0 | c >> 12));
        sl_buf_add_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3F)));
    } else {
        sl_buf_add_u8(out, (uint8_t)(0xF0 | c >> 18));
        sl_buf_add_u8(out, (uint8_t)(0x80 | (c >> 12 & 0x3F)));
        sl_buf_add_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3F)));
    }
    if (c >= 0x80) {
        sl_buf_add_u8(out, (uint8_t)(0x80 | (c & 0x3F)));
    }
}

/* Behind "\\u": a character, two halves of one, or half of one alone, which is U+FFFD as in Go. */
static bool add_unicode(struct sl_bytes text, size_t *at, struct sl_buf *out)
{
    uint32_t c = 0, low = 0;
    if (!take_hex(text, *at, &c)) {
        return false;
    }
    *at += 4;
    if (c >= 0xD800 && c < 0xE000) {
        bool is_pair = c < 0xDC00 && *at + 2 <= text.len && memcmp(text.ptr + *at, "\\u", 2) == 0 &&
                       take_hex(text, *at + 2, &low) && low >= 0xDC00 && low < 0xE000;
        *at += is_pair ? 6 : 0;
        c = is_pair ? 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00) : 0xFFFD;
    }
    add_utf8(out, c);
    return true;
}

bool sl_json_unescape(struct sl_bytes value, struct sl_buf *out)
{
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (value.len < 2 || value.ptr[0] != '"') {
        return false;
    }
    struct sl_bytes text = SL_BYTES(value.ptr + 1, value.len - 2);
    for (size_t at = 0; at < text.len;) {
        const uint8_t *from = text.ptr + at;
        const uint8_t *slash = memchr(from, '\\', text.len - at);
        size_t len = slash == NULL ? text.len - at : (size_t)(slash - from);
        sl_buf_add(out, SL_BYTES(from, len));
        at += len;
        if (slash == NULL) {
            break;
        }
        int c = at + 1 < text.len ? text.ptr[at + 1] : 0;
        const char *known = c == 0 ? NULL : strchr(escapes, c);
        at += 2;
        if (known != NULL) {
            sl_buf_add_u8(out, (uint8_t)meant[known - escapes]);
        } else if (c != 'u' || !add_unicode(text, &at, out)) {
            return false;
        }
    }
    return true;
}

sl_rc sl_json_string(struct sl_bytes value, struct sl_arena *arena, struct sl_str *ret,
                     struct sl_err *err)
{
    if (sl_json_is_null(value)) {
        *ret = SL_STR("");
        return SL_OK;
    }
    if (value.len >= 2 && value.ptr[0] == '"' &&
        memchr(value.ptr, '\\', value.len) == NULL) { /* the rule */
        *ret = (struct sl_str){(const char *)value.ptr + 1, value.len - 2};
        return SL_OK;
    }
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    if (!sl_json_unescape(value, &text)) {
        return SL_FAIL(err, SL_ECORRUPT, "JSON text is damaged: a string was expected");
    }
    *ret = sl_arena_str(arena, sl_buf_str(&text));
    return text.is_failed || ret->ptr == NULL ? SL_NOMEM(err) : SL_OK;
}
