/* Stored objects as REST replies, without parsing their properties.
 *
 * Two things differ from the stored text: replies are not html-escaped, and a reference carries an
 * href beside its beacon. Both are done in one pass over the bytes; everything else (numbers, key
 * order) is already what Go prints. Called under the schema lock by object.c, batch.c and list.c.
 */
#include "database/object_int.h"

#include "base/num.h"

#define BEACON_PREFIX "weaviate://localhost/"

/* Where the pass over stored properties stands. */
struct walk {
    struct sl_json *w;
    const struct sli_class *c;
    struct sl_str json;
    size_t at;
    uint32_t depth;
    bool is_reference;  /* the member at hand is a reference property */
    struct sl_str last; /* text of the string met last, escapes as stored */
};

/* Copies the string at json[at], giving back '<', '>' and '&' that storage escaped. */
static void copy_string(struct walk *k)
{
    struct sl_buf *out = k->w->out;
    size_t start = k->at++;
    size_t run = start;
    while (k->at < k->json.len && k->json.ptr[k->at] != '"') {
        if (k->json.ptr[k->at] != '\\') {
            k->at++;
            continue;
        }
        struct sl_str escape = {k->json.ptr + k->at, SL_MIN(k->json.len - k->at, (size_t)6)};
        char plain = sl_str_is(escape, "\\u003c")   ? '<'
                     : sl_str_is(escape, "\\u003e") ? '>'
                     : sl_str_is(escape, "\\u0026") ? '&'
                                                    : '\0';
        if (plain == '\0') {
            k->at += 2;
            continue;
        }
        sl_buf_add(out, SL_BYTES(k->json.ptr + run, k->at - run));
        sl_buf_add_u8(out, (uint8_t)plain);
        k->at += 6;
        run = k->at;
    }
    k->at = SL_MIN(k->at + 1, k->json.len);
    sl_buf_add(out, SL_BYTES(k->json.ptr + run, k->at - run));
    k->last = (struct sl_str){k->json.ptr + start + 1, k->at - start - 2};
}

static void add_href(struct walk *k)
{
    size_t prefix = sizeof BEACON_PREFIX - 1;
    if (!k->is_reference || k->depth != 3 || !sl_str_starts(k->last, BEACON_PREFIX)) {
        return;
    }
    sl_buf_add_text(k->w->out, ",\"href\":\"/v1/objects/");
    sl_buf_add(k->w->out, SL_BYTES(k->last.ptr + prefix, k->last.len - prefix));
    sl_buf_add_u8(k->w->out, '"');
}

/* A string that ends in front of a colon at the top level names the member that follows. */
static void note_member(struct walk *k)
{
    if (k->depth == 1 && k->at < k->json.len && k->json.ptr[k->at] == ':') {
        const struct sl_db_property *p =
            sli_property_find(k->c->properties, k->c->property_count, k->last);
        k->is_reference = p != NULL && p->type == SL_DB_REFERENCE;
    }
}

static void add_properties(struct sl_json *w, const struct sli_class *c, struct sl_str json)
{
    struct walk k = {.w = w, .c = c, .json = json};
    sl_json_raw(w, SL_STR("")); /* places the comma; the text follows */
    while (k.at < json.len) {
        char b = json.ptr[k.at];
        if (b == '"') {
            copy_string(&k);
            note_member(&k);
            continue;
        }
        if (b == '}') {
            add_href(&k);
        }
        k.depth += b == '{' || b == '[';
        k.depth -= b == '}' || b == ']';
        sl_buf_add_u8(w->out, (uint8_t)b);
        k.at++;
    }
}

/* float32 list as Go's encoding/json prints it; values that JSON cannot carry become null. */
static void add_floats(struct sl_json *w, struct sl_bytes floats)
{
    sl_json_arr(w);
    struct sl_rd rd = sl_rd_over(floats);
    while (sl_rd_left(&rd) >= 4) {
        uint32_t bits = sl_rd_u32(&rd);
        float v;
        memcpy(&v, &bits, sizeof v);
        char text[SL_F64_TEXT_MAX];
        bool is_finite = (bits & 0x7f800000u) != 0x7f800000u;
        size_t len = is_finite ? sl_f32_format_json(v, text) : 0;
        sl_json_raw(w, is_finite ? (struct sl_str){text, len} : SL_STR("null"));
    }
    sl_json_arr_end(w);
}

static void add_rows(struct sl_json *w, const struct sl_multi_vector *m)
{
    SL_AUTO(sl_buf) scratch = SL_BUF_EMPTY;
    struct sl_rd rd = sl_rd_over(m->body);
    sl_json_arr(w);
    for (uint32_t i = 0; i < m->row_count; i++) {
        struct sl_bytes floats = {0};
        if (sl_multi_vector_row(m, &rd, &scratch, &floats, NULL) != SL_OK) {
            break; /* sl_object_read has walked the rows before */
        }
        add_floats(w, floats);
    }
    sl_json_arr_end(w);
}

/* Named and multi vectors in one object, by name. */
static void add_vectors(struct sl_json *w, const struct sl_object *obj)
{
    uint32_t n = 0;
    uint32_t m = 0;
    sl_json_key(w, "vectors");
    sl_json_obj(w);
    while (n < obj->named_count || m < obj->multi_count) {
        bool is_named =
            m == obj->multi_count ||
            (n < obj->named_count &&
             sl_bytes_cmp(sl_str_bytes(obj->named[n].name), sl_str_bytes(obj->multi[m].name)) < 0);
        sl_json_key_str(w, is_named ? obj->named[n].name : obj->multi[m].name);
        if (is_named) {
            add_floats(w, obj->named[n++].floats);
        } else {
            add_rows(w, &obj->multi[m++]);
        }
    }
    sl_json_obj_end(w);
}

void sli_reply_members(struct sl_json *w, const struct sli_class *c, const struct sl_object *obj,
                       struct sl_str tenant, struct sli_reply_opts opts)
{
    char id[SL_UUID_TEXT_SIZE];
    sl_uuid_format(obj->uuid, id);
    struct sl_str properties = sl_bytes_str(obj->properties);
    sl_json_key(w, "class");
    sl_json_str(w, c->name);
    sl_json_key(w, "creationTimeUnix");
    sl_json_i64(w, obj->create_ms);
    sl_json_key(w, "id");
    sl_json_str(w, (struct sl_str){id, sizeof id});
    sl_json_key(w, "lastUpdateTimeUnix");
    sl_json_i64(w, obj->update_ms);
    sl_json_key(w, "properties");
    add_properties(w, c, properties.len == 0 ? SL_STR("null") : properties);
    if (tenant.len > 0) {
        sl_json_key(w, "tenant");
        sl_json_str(w, tenant);
    }
    if (opts.with_vectors && obj->vector.len > 0) {
        sl_json_key(w, "vector");
        add_floats(w, obj->vector);
    }
    if (opts.with_weights) {
        sl_json_key(w, "vectorWeights");
        sl_json_null(w);
    }
    if (opts.with_vectors && obj->named_count + obj->multi_count > 0) {
        add_vectors(w, obj);
    }
}

void sli_reply_json(struct sl_json *w, struct sl_arena *arena, json_t *v)
{
    size_t count = 0;
    const char **keys = NULL;
    switch (v == NULL || w->depth + 1 >= SL_JSON_DEPTH_MAX ? JSON_NULL : json_typeof(v)) {
    case JSON_OBJECT:
        keys = sli_keys_sorted(arena, v, &count);
        sl_json_obj(w);
        for (size_t i = 0; keys != NULL && i < count; i++) {
            sl_json_key(w, keys[i]);
            sli_reply_json(w, arena, json_object_get(v, keys[i]));
        }
        sl_json_obj_end(w);
        return;
    case JSON_ARRAY:
        sl_json_arr(w);
        for (size_t i = 0; i < json_array_size(v); i++) {
            sli_reply_json(w, arena, json_array_get(v, i));
        }
        sl_json_arr_end(w);
        return;
    case JSON_STRING:
        sl_json_str(w, (struct sl_str){json_string_value(v), json_string_length(v)});
        return;
    case JSON_INTEGER:
    case JSON_REAL:
        sl_json_f64(w, json_number_value(v));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        sl_json_bool(w, json_is_true(v));
        return;
    case JSON_NULL:
        sl_json_null(w);
        return;
    }
}
