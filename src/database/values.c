/* Property values of a request -> stored JSON text, one rule per data type.
 *
 * The text is exactly what Weaviate stores: keys in byte order, numbers as float64 (coordinates as
 * float32), dates as Go prints a parsed time, UUIDs in lower case, phone numbers enriched. A
 * refusal carries Weaviate's sentence for that type. null removes a property at the top level and
 * stays null inside an object, as there. Pure but for references, whose targets are looked up. */
#include "database/object_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/num.h"

#define NESTING_MAX 64 /* levels of objects in objects; bodies are parsed to a like depth */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **sli_keys_sorted(struct sl_arena *arena, json_t *object, size_t *ret_count)
{
    size_t count = json_object_size(object);
    const char **keys = sl_arena_array(arena, const char *, SL_MAX(count, (size_t)1));
    if (keys == NULL) {
        return NULL;
    }
    size_t n = 0;
    for (void *it = json_object_iter(object); it != NULL; it = json_object_iter_next(object, it)) {
        keys[n++] = json_object_iter_key(it);
    }
    qsort(keys, n, sizeof *keys, compare_keys);
    *ret_count = n;
    return keys;
}

const struct sl_db_property *sli_property_find(const struct sl_db_property *list, uint32_t count,
                                               struct sl_str name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (sl_str_eq(list[i].name, name)) {
            return &list[i];
        }
    }
    return NULL;
}

static struct sl_str text_of(json_t *v)
{
    return (struct sl_str){json_string_value(v), json_string_length(v)};
}

/* SL_EINVAL with a format that takes the value as Go's %v. */
static sl_rc refuse_value(const char *before, json_t *v, const char *after, struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sli_go_value(&text, v);
    return SL_FAIL(err, SL_EINVAL, "%s'%s'%s", before, sl_buf_cstr(&text), after);
}

static sl_rc write_text(struct sl_json *w, json_t *v, struct sl_err *err)
{
    if (!json_is_string(v)) {
        return SL_FAIL(err, SL_EINVAL, "not a string, but %s", sli_go_type(v));
    }
    sl_json_str(w, text_of(v));
    return SL_OK;
}

static sl_rc write_int(struct sl_json *w, json_t *v, struct sl_err *err)
{
    if (!json_is_number(v)) {
        return refuse_value("requires an integer, the given value is ", v, "", err);
    }
    double d = json_number_value(v);
    if (d < -0x1p63 || d >= 0x1p63 || d != trunc(d)) {
        return refuse_value("the JSON number ", v, " could not be converted to an int", err);
    }
    sl_json_f64(w, d);
    return SL_OK;
}

static sl_rc write_number(struct sl_json *w, json_t *v, struct sl_err *err)
{
    if (!json_is_number(v)) {
        return refuse_value("requires a float, the given value is ", v, "", err);
    }
    sl_json_f64(w, json_number_value(v));
    return SL_OK;
}

static sl_rc write_boolean(struct sl_json *w, json_t *v, struct sl_err *err)
{
    if (!json_is_boolean(v)) {
        return SL_FAIL(err, SL_EINVAL, "not a bool, but %s", sli_go_type(v));
    }
    sl_json_bool(w, json_is_true(v));
    return SL_OK;
}

static sl_rc write_date(struct sl_json *w, json_t *v, struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    if (!json_is_string(v) || !sl_time_normalize(text_of(v), &text)) {
        return refuse_value(
            "requires a string with a RFC3339 formatted date, but the given value is ", v, "", err);
    }
    SL_TRY(sl_buf_done(&text, err));
    sl_json_str(w, sl_buf_str(&text));
    return SL_OK;
}

/* The forms Go's uuid package reads: plain, without dashes, in braces, as urn:uuid:. */
static bool parse_uuid(struct sl_str s, uint8_t ret_uuid[SL_UUID_SIZE])
{
    static const char urn[] = "urn:uuid:";
    if (s.len == SL_UUID_TEXT_SIZE + sizeof urn - 1 &&
        strncasecmp(s.ptr, urn, sizeof urn - 1) == 0) {
        s = (struct sl_str){s.ptr + sizeof urn - 1, SL_UUID_TEXT_SIZE};
    } else if (s.len == SL_UUID_TEXT_SIZE + 2 && s.ptr[0] == '{' && s.ptr[s.len - 1] == '}') {
        s = (struct sl_str){s.ptr + 1, SL_UUID_TEXT_SIZE};
    } else if (s.len == SL_UUID_SIZE * (size_t)2) {
        SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
        if (!sl_hex_parse(s, &bytes) || bytes.len != SL_UUID_SIZE) {
            return false;
        }
        memcpy(ret_uuid, bytes.ptr, SL_UUID_SIZE);
        return true;
    }
    return sl_uuid_parse(s, ret_uuid);
}

static sl_rc write_uuid(struct sl_json *w, json_t *v, struct sl_err *err)
{
    uint8_t uuid[SL_UUID_SIZE];
    if (!json_is_string(v) || !parse_uuid(text_of(v), uuid)) {
        return refuse_value("requires a string of UUID format, but the given value is ", v, "",
                            err);
    }
    char text[SL_UUID_TEXT_SIZE];
    sl_uuid_format(uuid, text);
    sl_json_str(w, (struct sl_str){text, sizeof text});
    return SL_OK;
}

/* Base64 by form alone: full groups of four, padding only at the end, at least one group. The bytes
 * are not decoded, so a 100 MB blob costs one pass and no memory. */
static bool is_base64(struct sl_str s)
{
    if (s.len == 0 || s.len % 4 != 0) {
        return false;
    }
    size_t end = s.len;
    end -= s.ptr[end - 1] == '=';
    end -= end < s.len && s.ptr[end - 1] == '=';
    for (size_t i = 0; i < end; i++) {
        char c = s.ptr[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '+' && c != '/') {
            return false;
        }
    }
    return true;
}

static sl_rc write_blob(struct sl_json *w, json_t *v, struct sl_err *err)
{
    if (!json_is_string(v)) {
        return SL_FAIL(err, SL_EINVAL, "not a blob base64 string, but %s", sli_go_type(v));
    }
    if (!is_base64(text_of(v))) {
        return SL_FAIL(err, SL_EINVAL, "not a valid blob base64 string");
    }
    sl_json_str(w, text_of(v));
    return SL_OK;
}

static sl_rc coordinate(json_t *v, const char *name, float *ret, struct sl_err *err)
{
    if (!json_is_number(v)) {
        return SL_FAIL(err, SL_EINVAL, "invalid %s: must be json.Number or float, but got %s", name,
                       sli_go_type(v));
    }
    *ret = (float)json_number_value(v);
    if (!isfinite(*ret)) {
        return SL_FAIL(err, SL_EINVAL, "invalid %s: the number is beyond the range of float32",
                       name);
    }
    return SL_OK;
}

static void add_f32(struct sl_json *w, const char *key, float v)
{
    char text[SL_F64_TEXT_MAX];
    size_t len = sl_f32_format_json(v, text);
    sl_json_key(w, key);
    sl_json_raw(w, (struct sl_str){text, len});
}

static sl_rc write_geo(struct sl_json *w, json_t *v, struct sl_err *err)
{
    if (!json_is_object(v)) {
        return SL_FAIL(err, SL_EINVAL, "geoCoordinates must be a map, but got: %s", sli_go_type(v));
    }
    float longitude = 0;
    float latitude = 0;
    static const char *const fields[] = {"longitude", "latitude"};
    for (size_t i = 0; i < SL_COUNT_OF(fields); i++) {
        json_t *field = json_object_get(v, fields[i]);
        if (field == NULL) {
            return SL_FAIL(err, SL_EINVAL, "geoCoordinates is missing required field '%s'",
                           fields[i]);
        }
        SL_TRY(coordinate(field, fields[i], i == 0 ? &longitude : &latitude, err));
    }
    sl_json_obj(w);
    add_f32(w, "latitude", latitude);
    add_f32(w, "longitude", longitude);
    sl_json_obj_end(w);
    return SL_OK;
}

/* Go leaves out fields that are zero, so a number that is not valid has no "valid". */
static void add_phone(struct sl_json *w, const struct sli_phone *phone, const char *country,
                      struct sl_str input)
{
    sl_json_obj(w);
    if (phone->country_code != 0) {
        sl_json_key(w, "countryCode");
        sl_json_u64(w, phone->country_code);
    }
    if (country[0] != '\0') {
        sl_json_key(w, "defaultCountry");
        sl_json_text(w, country);
    }
    if (input.len > 0) {
        sl_json_key(w, "input");
        sl_json_str(w, input);
    }
    if (phone->international_formatted[0] != '\0') {
        sl_json_key(w, "internationalFormatted");
        sl_json_text(w, phone->international_formatted);
    }
    if (phone->national != 0) {
        sl_json_key(w, "national");
        sl_json_u64(w, phone->national);
    }
    if (phone->national_formatted[0] != '\0') {
        sl_json_key(w, "nationalFormatted");
        sl_json_text(w, phone->national_formatted);
    }
    if (phone->is_valid) {
        sl_json_key(w, "valid");
        sl_json_bool(w, true);
    }
    sl_json_obj_end(w);
}

static sl_rc write_phone(struct sl_json *w, json_t *v, struct sl_err *err)
{
    if (!json_is_object(v)) {
        return SL_FAIL(err, SL_EINVAL, "phoneNumber must be a map, but got: %s", sli_go_type(v));
    }
    json_t *input = json_object_get(v, "input");
    if (input == NULL) {
        return SL_FAIL(err, SL_EINVAL, "phoneNumber is missing required field 'input'");
    }
    if (!json_is_string(input)) {
        return SL_FAIL(err, SL_EINVAL, "phoneNumber.input must be a string");
    }
    json_t *given = json_object_get(v, "defaultCountry");
    char country[8] = ""; /* two letters in practice; anything longer names no country */
    if (given != NULL && !json_is_string(given)) {
        return SL_FAIL(err, SL_EINVAL, "phoneNumber.defaultCountry must be a string");
    }
    for (size_t i = 0; i < json_string_length(given); i++) {
        char c = json_string_value(given)[i];
        if (i + 1 >= sizeof country) {
            return SL_FAIL(err, SL_EINVAL,
                           "phoneNumber.defaultCountry must be a country code of two letters");
        }
        country[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    struct sli_phone phone = {0};
    if (!sli_phone_parse(json_string_value(input), country, &phone)) {
        return SL_FAIL(
            err, SL_EINVAL,
            "invalid phone number: the string supplied did not seem to be a phone number "
            "of country '%s'",
            country);
    }
    add_phone(w, &phone, country, text_of(input));
    return SL_OK;
}

/* One row per scalar type: how it is called in sentences and who writes it. */
static const struct value_rule {
    const char *phrase;     /* invalid <phrase> property ... */
    const char *list;       /* not <list> array, but ... */
    const char *list_value; /* invalid <list_value> array value: ... */
    sl_rc (*write)(struct sl_json *w, json_t *v, struct sl_err *err);
} rules[] = {
    [SL_DB_TEXT] = {"text", "a text", "text", write_text},
    [SL_DB_INT] = {"integer", "an integer", "integer", write_int},
    [SL_DB_NUMBER] = {"number", "an integer", "integer", write_number},
    [SL_DB_BOOLEAN] = {"boolean", "a boolean", "boolean", write_boolean},
    [SL_DB_DATE] = {"date", "a date", "date", write_date},
    [SL_DB_UUID] = {"uuid", "a uuid", "uuid", write_uuid},
    [SL_DB_BLOB] = {"blob", "a blob", "blob", write_blob},
    [SL_DB_GEO] = {"geoCoordinates", "a geoCoordinates", "geoCoordinates", write_geo},
    [SL_DB_PHONE] = {"phoneNumber", "a phoneNumber", "phoneNumber", write_phone},
    [SL_DB_OBJECT] = {"object", "an object", "object", NULL},
    [SL_DB_REFERENCE] = {"cref", "a cref", "cref", NULL},
};

/* A failing element is told by the whole list, as Weaviate does. */
static sl_rc write_list(struct sl_json *w, const struct value_rule *rule, json_t *v,
                        struct sl_err *err)
{
    if (!json_is_array(v)) {
        return SL_FAIL(err, SL_EINVAL, "not %s array, but %s", rule->list, sli_go_type(v));
    }
    sl_json_arr(w);
    for (size_t i = 0; i < json_array_size(v); i++) {
        sl_rc rc = rule->write(w, json_array_get(v, i), err);
        if (rc == SL_EINVAL) {
            SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
            sli_go_strings(&text, v);
            return SL_FAIL(err, SL_EINVAL, "invalid %s array value: %s", rule->list_value,
                           sl_buf_cstr(&text));
        }
        SL_TRY(rc);
    }
    sl_json_arr_end(w);
    return SL_OK;
}

static sl_rc write_value(struct sli_values *ctx, struct sl_json *w, const struct sl_db_property *p,
                         struct sl_str path, json_t *v, struct sl_err *err);

static sl_rc write_member(struct sli_values *ctx, struct sl_json *w, const struct sl_db_property *p,
                          struct sl_str path, const char *key, json_t *v, struct sl_err *err)
{
    SL_AUTO(sl_buf) inner = SL_BUF_EMPTY;
    sl_buf_addf(&inner, "%.*s.%s", SL_STR_ARG(path), key);
    SL_TRY(sl_buf_done(&inner, err));
    const struct sl_db_property *nested =
        sli_property_find(p->nested, p->nested_count, sl_str_from(key));
    if (nested == NULL) {
        ctx->needs_schema = true;
        return SL_FAIL(err, SL_EINVAL, "unknown property '%s'", sl_buf_cstr(&inner));
    }
    sl_json_key(w, key);
    if (json_is_null(v)) {
        sl_json_null(w);
        return SL_OK;
    }
    sl_rc rc = write_value(ctx, w, nested, sl_buf_str(&inner), v, err);
    if (rc == SL_EINVAL) {
        sl_err_prefix(err, "property '%s'", sl_buf_cstr(&inner));
    }
    return rc;
}

static sl_rc write_object(struct sli_values *ctx, struct sl_json *w, const struct sl_db_property *p,
                          struct sl_str path, json_t *v, struct sl_err *err)
{
    if (!json_is_object(v)) {
        return SL_FAIL(err, SL_EINVAL, "object must be a map, but got: %s", sli_go_type(v));
    }
    if (w->depth >= NESTING_MAX) {
        return SL_FAIL(err, SL_EINVAL, "objects are nested deeper than %d levels", NESTING_MAX);
    }
    size_t count = 0;
    const char **keys = sli_keys_sorted(&ctx->req->arena, v, &count);
    if (keys == NULL) {
        return SL_NOMEM(err);
    }
    sl_json_obj(w);
    for (size_t i = 0; i < count; i++) {
        SL_TRY(write_member(ctx, w, p, path, keys[i], json_object_get(v, keys[i]), err));
    }
    sl_json_obj_end(w);
    return SL_OK;
}

static sl_rc write_objects(struct sli_values *ctx, struct sl_json *w,
                           const struct sl_db_property *p, struct sl_str path, json_t *v,
                           struct sl_err *err)
{
    if (!p->is_array) {
        return write_object(ctx, w, p, path, v, err);
    }
    if (!json_is_array(v)) {
        return SL_FAIL(err, SL_EINVAL, "not an object array, but %s", sli_go_type(v));
    }
    sl_json_arr(w);
    for (size_t i = 0; i < json_array_size(v); i++) {
        sl_rc rc = write_object(ctx, w, p, path, json_array_get(v, i), err);
        if (rc == SL_EINVAL) {
            sl_err_prefix(err, "invalid object '%zu' in array", i);
        }
        SL_TRY(rc);
    }
    sl_json_arr_end(w);
    return SL_OK;
}

static sl_rc write_references(struct sli_values *ctx, struct sl_json *w,
                              const struct sl_db_property *p, json_t *v, struct sl_err *err)
{
    if (json_is_object(v)) {
        return SL_FAIL(err, SL_EINVAL, "reference must be an array, but got a map");
    }
    if (!json_is_array(v)) {
        return SL_FAIL(err, SL_EINVAL, "invalid ref type. Needs to be []map, got %s",
                       sli_go_type(v));
    }
    sl_json_arr(w);
    for (size_t i = 0; i < json_array_size(v); i++) {
        json_t *ref = json_array_get(v, i);
        if (!json_is_object(ref)) {
            return SL_FAIL(
                err, SL_EINVAL,
                "multiple references in %.*s.%.*s should be a list of maps, but we got: %s",
                SL_STR_ARG(ctx->class->name), SL_STR_ARG(p->name), sli_go_type(ref));
        }
        json_t *beacon = json_object_get(ref, "beacon");
        if (!json_is_string(beacon)) {
            return SL_FAIL(err, SL_EINVAL,
                           "only direct references supported at the moment, concept references not "
                           "supported yet:  class '%.*s' with property '%.*s' requires exactly 1 "
                           "argument: 'beacon' is missing, check your input schema",
                           SL_STR_ARG(ctx->class->name), SL_STR_ARG(p->name));
        }
        struct sli_beacon b;
        SL_TRY(sli_beacon_resolve(ctx, p, text_of(beacon), &b, err));
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        sli_beacon_add(&text, &b);
        SL_TRY(sl_buf_done(&text, err));
        sl_json_obj(w);
        sl_json_key(w, "beacon");
        sl_json_str(w, sl_buf_str(&text));
        sl_json_obj_end(w);
    }
    sl_json_arr_end(w);
    return SL_OK;
}

static sl_rc write_value(struct sli_values *ctx, struct sl_json *w, const struct sl_db_property *p,
                         struct sl_str path, json_t *v, struct sl_err *err)
{
    const struct value_rule *rule = &rules[p->type];
    sl_rc rc;
    if (p->type == SL_DB_REFERENCE) {
        rc = write_references(ctx, w, p, v, err);
        if (rc == SL_EINVAL) {
            sl_err_prefix(err, "invalid cref");
        }
        return rc;
    }
    if (p->type == SL_DB_OBJECT) {
        rc = write_objects(ctx, w, p, path, v, err);
    } else if (p->is_array) {
        rc = write_list(w, rule, v, err);
    } else {
        rc = rule->write(w, v, err);
    }
    if (rc == SL_EINVAL) {
        const char *phrase = sl_str_starts(p->type_name, "string") ? "string" : rule->phrase;
        sl_err_prefix(err, "invalid %s%s property '%.*s' on class '%.*s'", phrase,
                      p->is_array ? " array" : "", SL_STR_ARG(path), SL_STR_ARG(ctx->class->name));
    }
    return rc;
}

/* Property names begin with a small letter in the schema; requests may raise it. In the arena. */
static struct sl_str lower_first(struct sl_arena *arena, const char *key)
{
    struct sl_str name = sl_str_from(key);
    if (name.len == 0 || key[0] < 'A' || key[0] > 'Z') {
        return name;
    }
    name = sl_arena_str(arena, name);
    if (name.ptr != NULL) {
        ((char *)(uintptr_t)name.ptr)[0] = (char)(key[0] - 'A' + 'a'); /* our own fresh copy */
    }
    return name;
}

struct pair {
    struct sl_str name;
    json_t *value;
};

static int compare_pairs(const void *a, const void *b)
{
    return sl_bytes_cmp(sl_str_bytes(((const struct pair *)a)->name),
                        sl_str_bytes(((const struct pair *)b)->name));
}

sl_rc sli_properties_write(struct sli_values *ctx, json_t *properties, struct sl_buf *out,
                           struct sl_err *err)
{
    if (properties != NULL && !json_is_null(properties) && !json_is_object(properties)) {
        return SL_FAIL(err, SL_EINVAL, "could not recover schema: properties must be an object");
    }
    size_t count = json_object_size(properties);
    struct pair *pairs = sl_arena_array(&ctx->req->arena, struct pair, SL_MAX(count, (size_t)1));
    if (pairs == NULL) {
        return SL_NOMEM(err);
    }
    size_t n = 0;
    const char *key;
    json_t *value;
    json_object_foreach(properties, key, value)
    {
        pairs[n] = (struct pair){lower_first(&ctx->req->arena, key), value};
        if (pairs[n].name.ptr == NULL) {
            return SL_NOMEM(err);
        }
        n += !json_is_null(value);
    }
    qsort(pairs, n, sizeof *pairs, compare_pairs);
    struct sl_json w = sl_json_over(out);
    w.is_html_escaped = true;
    sl_json_obj(&w);
    for (size_t i = 0; i < n; i++) {
        const struct sli_class *c = ctx->class;
        const struct sl_db_property *p =
            sli_property_find(c->properties, c->property_count, pairs[i].name);
        if (p == NULL) {
            ctx->needs_schema = true;
            return SL_FAIL(
                err, SL_EINVAL,
                "no such prop with name '%.*s' found in class '%.*s' in the schema. Check "
                "your schema files for which properties in this class are available",
                SL_STR_ARG(pairs[i].name), SL_STR_ARG(c->name));
        }
        if (i > 0 && sl_str_eq(pairs[i].name, pairs[i - 1].name)) {
            return SL_FAIL(err, SL_EINVAL, "property '%.*s' is given twice", SL_STR_ARG(p->name));
        }
        sl_json_key_str(&w, p->name);
        SL_TRY(write_value(ctx, &w, p, p->name, pairs[i].value, err));
    }
    sl_json_obj_end(&w);
    return sl_buf_done(out, err);
}
