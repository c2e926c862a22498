/* The top level of stored properties JSON, split and merged without parsing the values.
 *
 * PATCH and references change few properties of an object; all others must keep their bytes. The
 * text is our own (or Weaviate's): compact, keys sorted, names without escapes. Text that is not of
 * that form is damage and says so. */
#include "database/object_int.h"

/* Index just behind the string that starts at text[at] == '"'; text.len when it does not end. */
static size_t string_end(struct sl_str text, size_t at)
{
    for (size_t i = at + 1; i < text.len; i++) {
        if (text.ptr[i] == '\\') {
            i++;
        } else if (text.ptr[i] == '"') {
            return i + 1;
        }
    }
    return text.len;
}

/* Index of the ',' or '}' that ends the member value at text[at]; text.len when it does not end. */
static size_t value_end(struct sl_str text, size_t at)
{
    uint32_t depth = 0;
    for (size_t i = at; i < text.len;) {
        char c = text.ptr[i];
        if (c == '"') {
            i = string_end(text, i);
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}')) {
            return i;
        }
        if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        }
        i++;
    }
    return text.len;
}

/* Walks the members and notes them in `list` (NULL: only counts them). Returns the index at which
 * it stopped: that of the closing brace when the text is whole. */
static size_t walk(struct sl_str json, struct sli_member *list, uint32_t *ret_count)
{
    size_t at = 0;
    char opener = '{';
    uint32_t count = 0;
    while (at + 1 < json.len && json.ptr[at] == opener && json.ptr[at + 1] == '"') {
        size_t name_at = at + 2;
        size_t name_end = string_end(json, at + 1);
        if (name_end >= json.len || json.ptr[name_end] != ':') {
            break;
        }
        size_t value_at = name_end + 1;
        at = value_end(json, value_at);
        if (list != NULL) {
            list[count].name = (struct sl_str){json.ptr + name_at, name_end - 1 - name_at};
            list[count].json = (struct sl_str){json.ptr + value_at, at - value_at};
        }
        count++;
        opener = ',';
    }
    *ret_count = count;
    return at;
}

sl_rc sli_members_split(struct sl_arena *arena, struct sl_str json, struct sli_members *ret,
                        struct sl_err *err)
{
    uint32_t count = 0;
    *ret = (struct sli_members){0};
    if (json.len == 0 || sl_str_is(json, "null") || sl_str_is(json, "{}")) {
        return SL_OK;
    }
    size_t at = walk(json, NULL, &count);
    if (count == 0 || at + 1 != json.len || json.ptr[at] != '}') {
        return SL_FAIL(err, SL_ECORRUPT,
                       "stored properties: not a JSON object at offset %zu of %zu", at, json.len);
    }
    struct sli_member *list = sl_arena_array(arena, struct sli_member, count);
    if (list == NULL) {
        return SL_NOMEM(err);
    }
    (void)walk(json, list, &count);
    *ret = (struct sli_members){list, count};
    return SL_OK;
}

struct sl_str sli_members_get(const struct sli_members *m, struct sl_str name)
{
    for (uint32_t i = 0; i < m->count; i++) {
        if (sl_str_eq(m->list[i].name, name)) {
            return m->list[i].json;
        }
    }
    return (struct sl_str){NULL, 0};
}

static void add_member(struct sl_buf *out, size_t start, const struct sli_member *m)
{
    if (m->json.len == 0) {
        return;
    }
    sl_buf_add_text(out, out->len == start + 1 ? "\"" : ",\"");
    sl_buf_add_str(out, m->name);
    sl_buf_add_text(out, "\":");
    sl_buf_add_str(out, m->json);
}

void sli_members_merge(const struct sli_members *under, const struct sli_members *over,
                       struct sl_buf *out)
{
    size_t start = out->len;
    uint32_t u = 0;
    uint32_t o = 0;
    sl_buf_add_u8(out, '{');
    while (u < under->count || o < over->count) {
        int order = u == under->count  ? 1
                    : o == over->count ? -1
                                       : sl_bytes_cmp(sl_str_bytes(under->list[u].name),
                                                      sl_str_bytes(over->list[o].name));
        if (order < 0) {
            add_member(out, start, &under->list[u++]);
            continue;
        }
        u += order == 0;
        add_member(out, start, &over->list[o++]);
    }
    sl_buf_add_u8(out, '}');
}
