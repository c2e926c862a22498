/* References inside the properties of a row: servers take an object only when what it refers to is
 * there, so references come by a second pass, after all objects.
 *
 * The text of all other properties goes on as it is. A reference is what servers store as one: a
 * list of objects with a `beacon` of theirs. */
#include "cmd/import_int.h"

#include "base/str.h"

static size_t behind_string(struct sl_str text, size_t at)
{
    for (at++; at < text.len && text.ptr[at] != '"'; at++) {
        at += text.ptr[at] == '\\';
    }
    return SL_MIN(at + 1, text.len);
}

static size_t behind_blanks(struct sl_str text, size_t at, const char *more)
{
    while (at < text.len && text.ptr[at] != '\0' &&
           (strchr(" \t\r\n", text.ptr[at]) != NULL || strchr(more, text.ptr[at]) != NULL)) {
        at++;
    }
    return at;
}

/* Behind the value that begins here: at the comma or bracket after it. */
static size_t behind_value(struct sl_str text, size_t at)
{
    uint32_t depth = 0;
    while (at < text.len) {
        char c = text.ptr[at];
        if (c == '"') {
            at = behind_string(text, at);
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            break;
        }
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        at++;
    }
    return at;
}

static bool is_reference(json_t *value)
{
    const char *to = json_string_value(json_object_get(json_array_get(value, 0), "beacon"));
    return to != NULL && sl_str_starts(sl_str_from(to), "weaviate://");
}

bool sli_may_refer(struct sl_str properties)
{
    return memmem(properties.ptr, properties.len, "\"beacon\"", strlen("\"beacon\"")) != NULL;
}

/* Keys are taken as they stand: names of properties have nothing to escape. */
bool sli_references_strip(struct sl_str properties, json_t *doc, struct sl_buf *out)
{
    size_t at = behind_blanks(properties, 0, "{"), stripped = 0;
    sl_buf_add_u8(out, '{');
    size_t empty = out->len;
    while (at < properties.len && properties.ptr[at] == '"') {
        size_t key_end = behind_string(properties, at);
        size_t value = behind_blanks(properties, key_end, ":");
        size_t end = behind_value(properties, value);
        struct sl_str key = {properties.ptr + at + 1, key_end - at - 2};
        if (is_reference(json_object_getn(doc, key.ptr, key.len))) {
            stripped++;
        } else {
            sl_buf_add_text(out, out->len > empty ? "," : "");
            sl_buf_add(out, SL_BYTES(properties.ptr + at, end - at));
        }
        at = behind_blanks(properties, end, ",");
    }
    sl_buf_add_u8(out, '}');
    return stripped > 0;
}

sl_rc sli_references_each(json_t *doc, sli_reference_fn *fn, void *arg, struct sl_err *err)
{
    const char *property = NULL;
    json_t *value = NULL, *one = NULL;
    json_object_foreach(doc, property, value)
    {
        size_t i = 0;
        if (!is_reference(value)) {
            continue;
        }
        json_array_foreach(value, i, one)
        {
            const char *to = json_string_value(json_object_get(one, "beacon"));
            if (to != NULL) {
                SL_TRY(fn(arg, property, to, err));
            }
        }
    }
    return SL_OK;
}
