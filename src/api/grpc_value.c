/* Stored properties -> typed values of the wire. Everything made lives in the arena of the call. */
#include <jansson.h>

#include "api/grpc_int.h"
#include "contract/weaviate.pb-c.h"

typedef Weaviate__V1__Value value;
typedef Weaviate__V1__Properties properties;
typedef Weaviate__V1__ObjectPropertiesRequest nested_request;

static ProtobufCBinaryData binary(struct sl_str s)
{
    return (ProtobufCBinaryData){s.len, (uint8_t *)(uintptr_t)s.ptr};
}

static char *copy_text(struct sl_arena *arena, json_t *v)
{
    struct sl_str s = {json_string_value(v), json_string_length(v)};
    return (char *)(uintptr_t)sl_arena_str(arena, s).ptr;
}

static properties *object_value(struct sl_arena *arena, const struct sl_db_property *list,
                                uint32_t count, json_t *doc, const nested_request *chosen);

/* A stored number as an integer; the nearest one when it has none. */
static int64_t whole(double d)
{
    const double limit = 9223372036854775808.0; /* 2^63 */
    return d >= limit ? INT64_MAX : d > -limit ? (int64_t)d : INT64_MIN;
}

/* ---- lists ---- */

static bool fill_texts(struct sl_arena *arena, json_t *v, Weaviate__V1__ListValue *list)
{
    Weaviate__V1__TextValues *t = sl_arena_alloc(arena, sizeof(*t));
    if (t == NULL) {
        return false;
    }
    weaviate__v1__text_values__init(t);
    t->values = sl_arena_array(arena, ProtobufCBinaryData, json_array_size(v) + 1);
    for (size_t i = 0; t->values != NULL && i < json_array_size(v); i++) {
        json_t *e = json_array_get(v, i);
        struct sl_str s = {json_string_value(e), json_string_length(e)};
        s = sl_arena_str(arena, s);
        if (s.ptr == NULL) {
            return false;
        }
        t->values[t->n_values++] = binary(s);
    }
    list->kind_case = WEAVIATE__V1__LIST_VALUE__KIND_TEXT_VALUES;
    list->text_values = t;
    return t->values != NULL;
}

/* Dates and UUIDs: the same message under two names. */
static bool fill_strings(struct sl_arena *arena, json_t *v, Weaviate__V1__ListValue *list,
                         bool is_date)
{
    size_t count = json_array_size(v);
    char **texts = sl_arena_array(arena, char *, count + 1);
    Weaviate__V1__DateValues *d = sl_arena_alloc(arena, sizeof(*d));
    Weaviate__V1__UuidValues *u = sl_arena_alloc(arena, sizeof(*u));
    if (texts == NULL || d == NULL || u == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        texts[i] = copy_text(arena, json_array_get(v, i));
        if (texts[i] == NULL) {
            return false;
        }
    }
    weaviate__v1__date_values__init(d);
    weaviate__v1__uuid_values__init(u);
    d->values = u->values = texts;
    d->n_values = u->n_values = count;
    if (is_date) {
        list->kind_case = WEAVIATE__V1__LIST_VALUE__KIND_DATE_VALUES;
        list->date_values = d;
    } else {
        list->kind_case = WEAVIATE__V1__LIST_VALUE__KIND_UUID_VALUES;
        list->uuid_values = u;
    }
    return true;
}

/* Numbers go as eight bytes each, little-endian. */
static bool fill_numbers(struct sl_arena *arena, json_t *v, Weaviate__V1__ListValue *list,
                         bool is_int)
{
    size_t count = json_array_size(v);
    uint8_t *at = sl_arena_alloc(arena, count * 8);
    Weaviate__V1__NumberValues *n = sl_arena_alloc(arena, sizeof(*n));
    Weaviate__V1__IntValues *k = sl_arena_alloc(arena, sizeof(*k));
    if (at == NULL || n == NULL || k == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        double d = json_number_value(json_array_get(v, i));
        uint64_t bits = (uint64_t)whole(d);
        if (!is_int) {
            memcpy(&bits, &d, sizeof(bits));
        }
        sl_put_u64(at + 8 * i, bits);
    }
    weaviate__v1__number_values__init(n);
    weaviate__v1__int_values__init(k);
    n->values = k->values = (ProtobufCBinaryData){count * 8, at};
    if (is_int) {
        list->kind_case = WEAVIATE__V1__LIST_VALUE__KIND_INT_VALUES;
        list->int_values = k;
    } else {
        list->kind_case = WEAVIATE__V1__LIST_VALUE__KIND_NUMBER_VALUES;
        list->number_values = n;
    }
    return true;
}

static bool fill_booleans(struct sl_arena *arena, json_t *v, Weaviate__V1__ListValue *list)
{
    Weaviate__V1__BoolValues *b = sl_arena_alloc(arena, sizeof(*b));
    if (b == NULL) {
        return false;
    }
    weaviate__v1__bool_values__init(b);
    b->values = sl_arena_array(arena, protobuf_c_boolean, json_array_size(v) + 1);
    for (size_t i = 0; b->values != NULL && i < json_array_size(v); i++) {
        b->values[b->n_values++] = json_is_true(json_array_get(v, i));
    }
    list->kind_case = WEAVIATE__V1__LIST_VALUE__KIND_BOOL_VALUES;
    list->bool_values = b;
    return b->values != NULL;
}

static bool fill_objects(struct sl_arena *arena, const struct sl_db_property *p, json_t *v,
                         const nested_request *chosen, Weaviate__V1__ListValue *list)
{
    Weaviate__V1__ObjectValues *o = sl_arena_alloc(arena, sizeof(*o));
    if (o == NULL) {
        return false;
    }
    weaviate__v1__object_values__init(o);
    o->values = sl_arena_array(arena, properties *, json_array_size(v) + 1);
    for (size_t i = 0; o->values != NULL && i < json_array_size(v); i++) {
        o->values[i] =
            object_value(arena, p->nested, p->nested_count, json_array_get(v, i), chosen);
        if (o->values[i] == NULL) {
            return false;
        }
        o->n_values++;
    }
    list->kind_case = WEAVIATE__V1__LIST_VALUE__KIND_OBJECT_VALUES;
    list->object_values = o;
    return o->values != NULL;
}

static bool fill_list(struct sl_arena *arena, const struct sl_db_property *p, json_t *v,
                      const nested_request *chosen, value *ret)
{
    Weaviate__V1__ListValue *list = sl_arena_alloc(arena, sizeof(*list));
    if (list == NULL) {
        return false;
    }
    weaviate__v1__list_value__init(list);
    ret->kind_case = WEAVIATE__V1__VALUE__KIND_LIST_VALUE;
    ret->list_value = list;
    switch (p->type) {
    case SL_DB_INT:
    case SL_DB_NUMBER:
        return fill_numbers(arena, v, list, p->type == SL_DB_INT);
    case SL_DB_BOOLEAN:
        return fill_booleans(arena, v, list);
    case SL_DB_DATE:
    case SL_DB_UUID:
        return fill_strings(arena, v, list, p->type == SL_DB_DATE);
    case SL_DB_OBJECT:
        return fill_objects(arena, p, v, chosen, list);
    case SL_DB_TEXT:
    case SL_DB_BLOB:
    case SL_DB_GEO:
    case SL_DB_PHONE:
    case SL_DB_REFERENCE:
        break;
    }
    return fill_texts(arena, v, list);
}

/* ---- single values ---- */

static bool fill_geo(struct sl_arena *arena, json_t *v, value *ret)
{
    Weaviate__V1__GeoCoordinate *g = sl_arena_alloc(arena, sizeof(*g));
    if (g == NULL) {
        return false;
    }
    weaviate__v1__geo_coordinate__init(g);
    g->latitude = (float)json_number_value(json_object_get(v, "latitude"));
    g->longitude = (float)json_number_value(json_object_get(v, "longitude"));
    ret->kind_case = WEAVIATE__V1__VALUE__KIND_GEO_VALUE;
    ret->geo_value = g;
    return true;
}

static bool fill_phone(struct sl_arena *arena, json_t *v, value *ret)
{
    Weaviate__V1__PhoneNumber *p = sl_arena_alloc(arena, sizeof(*p));
    if (p == NULL) {
        return false;
    }
    weaviate__v1__phone_number__init(p);
    p->country_code = (uint64_t)whole(json_number_value(json_object_get(v, "countryCode")));
    p->national = (uint64_t)whole(json_number_value(json_object_get(v, "national")));
    p->valid = json_is_true(json_object_get(v, "valid"));
    p->default_country = copy_text(arena, json_object_get(v, "defaultCountry"));
    p->input = copy_text(arena, json_object_get(v, "input"));
    p->international_formatted = copy_text(arena, json_object_get(v, "internationalFormatted"));
    p->national_formatted = copy_text(arena, json_object_get(v, "nationalFormatted"));
    ret->kind_case = WEAVIATE__V1__VALUE__KIND_PHONE_VALUE;
    ret->phone_value = p;
    return p->default_country != NULL && p->input != NULL && p->international_formatted != NULL &&
           p->national_formatted != NULL;
}

static bool fill_text(struct sl_arena *arena, const struct sl_db_property *p, json_t *v, value *ret)
{
    struct sl_str s =
        sl_arena_str(arena, (struct sl_str){json_string_value(v), json_string_length(v)});
    char *text = (char *)(uintptr_t)s.ptr;
    if (p->type == SL_DB_DATE) {
        ret->kind_case = WEAVIATE__V1__VALUE__KIND_DATE_VALUE;
        ret->date_value = text;
    } else if (p->type == SL_DB_UUID) {
        ret->kind_case = WEAVIATE__V1__VALUE__KIND_UUID_VALUE;
        ret->uuid_value = text;
    } else if (p->type == SL_DB_BLOB) {
        ret->kind_case = WEAVIATE__V1__VALUE__KIND_BLOB_VALUE;
        ret->blob_value = text;
    } else {
        ret->kind_case = WEAVIATE__V1__VALUE__KIND_TEXT_VALUE;
        ret->text_value = binary(s);
    }
    return text != NULL;
}

static void fill_null(value *ret)
{
    ret->kind_case = WEAVIATE__V1__VALUE__KIND_NULL_VALUE;
    ret->null_value = 0;
}

static bool fill_value(struct sl_arena *arena, const struct sl_db_property *p, json_t *v,
                       const nested_request *chosen, value *ret)
{
    if (v == NULL || json_is_null(v)) {
        fill_null(ret);
        return true;
    }
    if (p->is_array) {
        return fill_list(arena, p, v, chosen, ret);
    }
    switch (p->type) {
    case SL_DB_INT:
        ret->kind_case = WEAVIATE__V1__VALUE__KIND_INT_VALUE;
        ret->int_value = whole(json_number_value(v));
        return true;
    case SL_DB_NUMBER:
        ret->kind_case = WEAVIATE__V1__VALUE__KIND_NUMBER_VALUE;
        ret->number_value = json_number_value(v);
        return true;
    case SL_DB_BOOLEAN:
        ret->kind_case = WEAVIATE__V1__VALUE__KIND_BOOL_VALUE;
        ret->bool_value = json_is_true(v);
        return true;
    case SL_DB_GEO:
        return fill_geo(arena, v, ret);
    case SL_DB_PHONE:
        return fill_phone(arena, v, ret);
    case SL_DB_OBJECT:
        ret->kind_case = WEAVIATE__V1__VALUE__KIND_OBJECT_VALUE;
        ret->object_value = object_value(arena, p->nested, p->nested_count, v, chosen);
        return ret->object_value != NULL;
    case SL_DB_TEXT:
    case SL_DB_DATE:
    case SL_DB_UUID:
    case SL_DB_BLOB:
    case SL_DB_REFERENCE:
        break;
    }
    return fill_text(arena, p, v, ret);
}

/* ---- objects ---- */

static properties *new_fields(struct sl_arena *arena, size_t most)
{
    properties *p = sl_arena_alloc(arena, sizeof(*p));
    if (p == NULL) {
        return NULL;
    }
    weaviate__v1__properties__init(p);
    p->fields = sl_arena_array(arena, Weaviate__V1__Properties__FieldsEntry *, most + 1);
    return p->fields == NULL ? NULL : p;
}

static bool add_field(struct sl_arena *arena, properties *to, const struct sl_db_property *p,
                      json_t *v, const nested_request *chosen)
{
    Weaviate__V1__Properties__FieldsEntry *e = sl_arena_alloc(arena, sizeof(*e));
    value *made = sl_arena_alloc(arena, sizeof(*made));
    if (e == NULL || made == NULL) {
        return false;
    }
    weaviate__v1__properties__fields_entry__init(e);
    weaviate__v1__value__init(made);
    e->key = binary(p->name);
    e->value = made;
    to->fields[to->n_fields++] = e;
    return fill_value(arena, p, v, chosen, made);
}

static bool is_listed(char **names, size_t count, struct sl_str name)
{
    for (size_t i = 0; i < count; i++) {
        if (sl_str_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

static const nested_request *find_nested(nested_request **list, size_t count, struct sl_str name)
{
    for (size_t i = 0; i < count; i++) {
        if (sl_str_is(name, list[i]->prop_name)) {
            return list[i];
        }
    }
    return NULL;
}

/* A nested object: the fields it has, or of them those chosen. */
static properties *object_value(struct sl_arena *arena, const struct sl_db_property *list,
                                uint32_t count, json_t *doc, const nested_request *chosen)
{
    properties *out = new_fields(arena, count);
    for (uint32_t i = 0; out != NULL && i < count; i++) {
        json_t *v = json_object_getn(doc, list[i].name.ptr, list[i].name.len);
        const nested_request *below =
            chosen == NULL
                ? NULL
                : find_nested(chosen->object_properties, chosen->n_object_properties, list[i].name);
        bool is_wanted =
            chosen == NULL || below != NULL ||
            is_listed(chosen->primitive_properties, chosen->n_primitive_properties, list[i].name);
        if (v != NULL && is_wanted && !add_field(arena, out, &list[i], v, below)) {
            return NULL;
        }
    }
    return out;
}

sl_rc sli_rpc_properties(struct sl_arena *arena, const struct sl_db_found *found,
                         const struct Weaviate__V1__PropertiesRequest *names,
                         struct Weaviate__V1__PropertiesResult *ret, struct sl_err *err)
{
    bool is_all = names == NULL || names->return_all_nonref_properties;
    struct sl_bytes stored = found->object->properties;
    /* All numbers are doubles: so -0 keeps its sign, as in the reference. */
    json_t *doc = json_loadb((const char *)stored.ptr, stored.len,
                             JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    properties *out = new_fields(arena, found->property_count);
    bool is_good = out != NULL;
    for (uint32_t i = 0; is_good && i < found->property_count; i++) {
        const struct sl_db_property *p = &found->properties[i];
        const nested_request *below =
            names == NULL
                ? NULL
                : find_nested(names->object_properties, names->n_object_properties, p->name);
        bool is_wanted = (is_all && p->type != SL_DB_BLOB) || below != NULL ||
                         (names != NULL && is_listed(names->non_ref_properties,
                                                     names->n_non_ref_properties, p->name));
        if (is_wanted && p->type != SL_DB_REFERENCE) {
            json_t *v = json_object_getn(doc, p->name.ptr, p->name.len);
            is_good = add_field(arena, out, p, v, below);
        }
    }
    json_decref(doc);
    if (!is_good) {
        return SL_NOMEM(err);
    }
    ret->non_ref_props = out;
    ret->target_collection = (char *)(uintptr_t)sl_arena_str(arena, found->class_name).ptr;
    return ret->target_collection == NULL ? SL_NOMEM(err) : SL_OK;
}
