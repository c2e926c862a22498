/* Members of JSON text in place; see schema_int.h. No recursion and no copy: nested values are
 * skipped by counting brackets, and whoever needs their inside walks it in turn. */
#include <jansson.h>

#include "source/schema_int.h"

static void skip_blanks(struct sli_json_iter *it)
{
    while (it->at < it->text.len && memchr(" \t\r\n", it->text.ptr[it->at], 4) != NULL) {
        it->at++;
    }
}

static int peek(const struct sli_json_iter *it)
{
    return it->at < it->text.len ? it->text.ptr[it->at] : -1;
}

/* Over a string from its opening to its closing quote. */
static void skip_string(struct sli_json_iter *it)
{
    for (it->at++; it->at < it->text.len && it->text.ptr[it->at] != '"'; it->at++) {
        if (it->text.ptr[it->at] == '\\') {
            it->at++;
        }
    }
    it->is_damaged |= it->at >= it->text.len;
    it->at++;
}

static void skip_word(struct sli_json_iter *it)
{
    size_t from = it->at;
    while (it->at < it->text.len && memchr(",]}: \t\r\n", it->text.ptr[it->at], 8) == NULL) {
        it->at++;
    }
    it->is_damaged |= it->at == from;
}

static void skip_value(struct sli_json_iter *it)
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

bool sli_json_begin(struct sl_bytes text, char opener, struct sli_json_iter *ret)
{
    *ret = (struct sli_json_iter){.text = text, .closer = opener == '{' ? '}' : ']'};
    skip_blanks(ret);
    bool is_it = peek(ret) == opener;
    ret->at++;
    return is_it;
}

/* From the opening quote of a key to the value. */
static struct sl_str take_key(struct sli_json_iter *it)
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

bool sli_json_next(struct sli_json_iter *it, struct sl_str *ret_key, struct sl_bytes *ret_value)
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

bool sli_json_find(struct sl_bytes object, const char *key, struct sl_bytes *ret)
{
    struct sli_json_iter it;
    struct sl_str name;
    struct sl_bytes value;
    if (!sli_json_begin(object, '{', &it)) {
        return false;
    }
    while (sli_json_next(&it, &name, &value)) {
        if (sl_str_is(name, key)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

bool sli_json_is_null(struct sl_bytes value)
{
    return sl_str_is(sl_bytes_str(value), "null");
}

sl_rc sli_json_string(struct sl_bytes value, struct sl_arena *arena, struct sl_str *ret,
                      struct sl_err *err)
{
    if (sli_json_is_null(value)) {
        *ret = SL_STR("");
        return SL_OK;
    }
    if (value.len >= 2 && value.ptr[0] == '"' &&
        memchr(value.ptr, '\\', value.len) == NULL) { /* the rule */
        *ret = (struct sl_str){(const char *)value.ptr + 1, value.len - 2};
        return SL_OK;
    }
    json_t *text = json_loadb((const char *)value.ptr, value.len, JSON_DECODE_ANY, NULL);
    if (!json_is_string(text)) {
        json_decref(text);
        return SL_FAIL(err, SL_ECORRUPT, "JSON text is damaged: a string was expected");
    }
    *ret = sl_arena_str(arena, (struct sl_str){json_string_value(text), json_string_length(text)});
    json_decref(text);
    return ret->ptr == NULL ? SL_NOMEM(err) : SL_OK;
}
