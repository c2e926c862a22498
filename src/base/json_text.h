/* Members of JSON text, in place: for text too large, or too many texts, to build a tree of each.
 * Views live as long as the text. Pure; any thread. */
#ifndef SL_BASE_JSON_TEXT_H
#define SL_BASE_JSON_TEXT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

/* Walks the members of an object or the items of an array without building anything: a sharding
 * state of 100,000 tenants is taken apart one tenant at a time. Lives as long as the text. */
struct sl_json_iter {
    struct sl_bytes text;
    size_t at;
    char closer; /* '}' or ']' */
    bool is_begun;
    bool is_damaged; /* sticky: this is not JSON */
};
/* false: the text does not begin with `opener`, '{' or '['. */
bool sl_json_begin(struct sl_bytes text, char opener, struct sl_json_iter *ret);
/* false at the end, or with is_damaged. key (without quotes, escapes left; empty in arrays) and
 * value are views. */
bool sl_json_next(struct sl_json_iter *it, struct sl_str *ret_key, struct sl_bytes *ret_value);
/* The member of this name; false when there is none. */
bool sl_json_find(struct sl_bytes object, const char *key, struct sl_bytes *ret);
/* A string's text: in place, or in the arena when it has escapes. `null` is the empty text. */
sl_rc sl_json_string(struct sl_bytes value, struct sl_arena *arena, struct sl_str *ret,
                     struct sl_err *err);
/* Appends the text of a string, escapes resolved; half of a surrogate pair is U+FFFD. false: not a
 * string, or an escape that is none. */
bool sl_json_unescape(struct sl_bytes value, struct sl_buf *out);
bool sl_json_is_null(struct sl_bytes value);

#endif
