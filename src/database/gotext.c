/* Go's words for a JSON value: fmt's %v, %s and %T as Weaviate's sentences carry them.
 *
 * Clients and tests compare these sentences, so a list of numbers must read "[1 2]" and a wrong
 * type "[]interface {}". Nesting is followed only as deep as a sentence can hold. */
#include "base/num.h"
#include "database/object_int.h"

#define DEPTH_MAX 8 /* an error text is cut at 1 KiB; deeper values would not be seen */

static void add_value(struct sl_buf *out, json_t *v, bool is_string_verb, int depth);

static void add_scalar(struct sl_buf *out, json_t *v, bool is_string_verb)
{
    char number[SL_F64_TEXT_MAX];
    switch (json_typeof(v)) {
    case JSON_STRING:
        sl_buf_add(out, SL_BYTES(json_string_value(v), json_string_length(v)));
        return;
    case JSON_INTEGER:
    case JSON_REAL: {
        size_t len = sl_f64_format(json_number_value(v), number);
        sl_buf_add(out, SL_BYTES(number, len)); /* json.Number prints itself in both verbs */
        return;
    }
    case JSON_TRUE:
    case JSON_FALSE: {
        const char *word = json_is_true(v) ? "true" : "false";
        sl_buf_addf(out, is_string_verb ? "%%!s(bool=%s)" : "%s", word);
        return;
    }
    case JSON_NULL:
        sl_buf_add_text(out, is_string_verb ? "%!s(<nil>)" : "<nil>");
        return;
    case JSON_OBJECT:
    case JSON_ARRAY:
        return;
    }
}

static void add_map(struct sl_buf *out, json_t *v, bool is_string_verb, int depth)
{
    struct sl_arena arena = SL_ARENA_EMPTY;
    size_t count = 0;
    const char **keys = sli_keys_sorted(&arena, v, &count);
    sl_buf_add_text(out, "map[");
    for (size_t i = 0; keys != NULL && i < count && out->len < SL_ERR_TEXT_SIZE; i++) {
        sl_buf_addf(out, "%s%s:", i == 0 ? "" : " ", keys[i]);
        add_value(out, json_object_get(v, keys[i]), is_string_verb, depth + 1);
    }
    sl_buf_add_u8(out, ']');
    sl_arena_fini(&arena);
}

static void add_value(struct sl_buf *out, json_t *v, bool is_string_verb, int depth)
{
    if (depth > DEPTH_MAX) {
        return;
    }
    if (json_is_object(v)) {
        add_map(out, v, is_string_verb, depth);
        return;
    }
    if (!json_is_array(v)) {
        add_scalar(out, v, is_string_verb);
        return;
    }
    sl_buf_add_u8(out, '[');
    for (size_t i = 0; i < json_array_size(v) && out->len < SL_ERR_TEXT_SIZE; i++) {
        if (i > 0) {
            sl_buf_add_u8(out, ' ');
        }
        add_value(out, json_array_get(v, i), is_string_verb, depth + 1);
    }
    sl_buf_add_u8(out, ']');
}

void sli_go_value(struct sl_buf *out, json_t *v)
{
    add_value(out, v, false, 0);
}

void sli_go_strings(struct sl_buf *out, json_t *v)
{
    add_value(out, v, true, 0);
}

const char *sli_go_type(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "map[string]interface {}";
    case JSON_ARRAY:
        return "[]interface {}";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "json.Number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "bool";
    case JSON_NULL:
        break;
    }
    return "<nil>";
}
