/* The columns of layout `lake`, made from the class: one per vector, one field per property.
 *
 * Nodes are laid down in depth-first order, as the writer takes them; fields are the same tree as
 * shred.c walks it. A field's id, where ids are asked for, is made from its path alone, so it stays
 * the same from export to export and whatever else the class gains, with no memory of what was
 * exported before. */
#include <jansson.h>
#include <stdlib.h>
#include <strings.h>

#include "base/hash.h"
#include "layout/layout_int.h"

#define FIELD_ID_MASK 0x3FFFFFFF /* table formats keep ids near 2^31 for themselves */

struct schema {
    struct sl_layout *l;
    struct sl_buf path; /* of the node that is added: "properties.tags.list" */
    uint32_t depth;     /* nodes above it */
    uint8_t rep;        /* of them repeated */
    bool is_failed;     /* memory was refused */
};

static bool is_taken(const struct sli_lake *lake, int32_t id)
{
    bool is_there = false;
    for (uint32_t i = 0; i < lake->node_count && !is_there; i++) {
        is_there = lake->nodes[i].field_id == id;
    }
    return is_there;
}

static int32_t field_id(const struct schema *s)
{
    int32_t id = (int32_t)(sl_xxh64(sl_buf_view(&s->path)) & FIELD_ID_MASK);
    while (id == 0 || is_taken(&s->l->lake, id)) { /* hashes met: once in a million classes */
        id = (id + 1) & FIELD_ID_MASK;
    }
    return id;
}

/* Enters the node: what is added until leave() lies below it. */
static struct sl_pq_node *enter(struct schema *s, struct sl_str name, struct sl_pq_node node)
{
    struct sli_lake *lake = &s->l->lake;
    static struct sl_pq_node nowhere;
    struct sl_pq_node *grown =
        sl_arena_grow(&s->l->arena, lake->nodes, lake->node_count, &lake->node_cap);
    if (grown == NULL) {
        s->is_failed = true;
        return &nowhere;
    }
    lake->nodes = grown;
    if (s->path.len > 0) {
        sl_buf_add_u8(&s->path, '.');
    }
    sl_buf_add_str(&s->path, name);
    struct sl_str copy = sl_arena_str(&s->l->arena, name);
    s->is_failed |= copy.ptr == NULL || s->path.is_failed;
    node.name = copy.ptr;
    node.field_id = s->is_failed || !s->l->opts.has_field_ids ? 0 : field_id(s);
    lake->nodes[lake->node_count] = node;
    lake->column_count += node.type != SL_PQ_GROUP;
    s->depth++;
    s->rep = (uint8_t)(s->rep + (node.repetition == SL_PQ_REPEATED));
    return &lake->nodes[lake->node_count++];
}

static void leave(struct schema *s, struct sl_str name, enum sl_pq_repetition repetition)
{
    size_t len = name.len + (s->path.len > name.len);
    s->path.len -= SL_MIN(len, s->path.len);
    s->depth--;
    s->rep = (uint8_t)(s->rep - (repetition == SL_PQ_REPEATED));
}

static void add_leaf(struct schema *s, struct sl_str name, struct sl_pq_node node)
{
    enter(s, name, node);
    leave(s, name, node.repetition);
}

#define GROUP(rep, note, count) \
    ((struct sl_pq_node){       \
        .type = SL_PQ_GROUP, .repetition = (rep), .annotation = (note), .child_count = (count)})

/* ---- vectors ---- */

/* name (LIST) / list / element, once more for rows of rows. */
static void add_floats(struct schema *s, struct sl_str name, enum sl_pq_repetition repetition,
                       uint32_t levels)
{
    static const struct sl_pq_node single = {
        .type = SL_PQ_FLOAT, .stats = SL_PQ_STATS_NULLS, .profile = SL_PQ_SPLIT};
    static const struct sl_pq_node half = {.type = SL_PQ_FIXED, /* split is for FLOAT and DOUBLE */
                                           .type_len = 2,
                                           .annotation = SL_PQ_FLOAT16,
                                           .stats = SL_PQ_STATS_NULLS,
                                           .profile = SL_PQ_ZSTD_HUFFMAN};
    enter(s, name, GROUP(repetition, SL_PQ_LIST, 1));
    enter(s, SL_STR("list"), GROUP(SL_PQ_REPEATED, SL_PQ_NONE, 1));
    if (levels > 1) {
        add_floats(s, SL_STR("element"), SL_PQ_REQUIRED, levels - 1);
    } else {
        add_leaf(s, SL_STR("element"), s->l->opts.is_half ? half : single);
    }
    leave(s, SL_STR("list"), SL_PQ_REPEATED);
    leave(s, name, repetition);
}

static bool is_multi_vector(const json_t *config)
{
    const json_t *index = json_object_get(config, "vectorIndexConfig");
    return json_is_true(json_object_get(json_object_get(index, "multivector"), "enabled"));
}

static int by_name(const void *a, const void *b)
{
    const struct sli_vector_column *x = a, *y = b;
    return sl_bytes_cmp(sl_str_bytes(x->name), sl_str_bytes(y->name));
}

/* Is there a name that differs in case alone, among those before? Readers fold case. */
static bool is_clash(const struct sl_str *names, uint32_t count, struct sl_str name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (names[i].len == name.len && strncasecmp(names[i].ptr, name.ptr, name.len) == 0) {
            return true;
        }
    }
    return false;
}

/* The name, or the first of name__2, name__3 ... that is free; kept as names[count]. */
static struct sl_str free_name(struct schema *s, struct sl_str *names, uint32_t count,
                               const char *prefix, struct sl_str name)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_buf_addf(&text, "%s%.*s", prefix, SL_STR_ARG(name));
    for (uint32_t n = 2; is_clash(names, count, sl_buf_str(&text)); n++) {
        sl_buf_clear(&text);
        sl_buf_addf(&text, "%s%.*s__%u", prefix, SL_STR_ARG(name), n);
    }
    names[count] = sl_arena_str(&s->l->arena, sl_buf_str(&text));
    if (text.is_failed || names[count].ptr == NULL) {
        s->is_failed = true;
        names[count] = SL_STR("");
    }
    return names[count];
}

static void add_vectors(struct schema *s, json_t *configs, bool is_multi)
{
    struct sl_layout *l = s->l;
    uint32_t max = (uint32_t)json_object_size(configs), count = 0;
    struct sli_vector_column *list = sl_arena_array(&l->arena, struct sli_vector_column, max + 1);
    struct sl_str *names = sl_arena_array(&l->arena, struct sl_str, max + 1);
    const char *key = NULL;
    json_t *config = NULL;
    if (list == NULL || names == NULL) {
        s->is_failed = true;
        return;
    }
    json_object_foreach(configs, key, config)
    {
        struct sl_str name = sl_arena_str(&l->arena, sl_str_from(key));
        s->is_failed |= name.ptr == NULL;
        if (is_multi_vector(config) == is_multi && name.ptr != NULL) {
            list[count++].name = name;
        }
    }
    if (count > 0) {
        qsort(list, count, sizeof(*list), by_name);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct sl_str name =
            free_name(s, names, i, is_multi ? "multi_vector_" : "vector_", list[i].name);
        list[i].column_name = name;
        list[i].column = sli_is_wanted(l, name) ? l->lake.column_count : SL_PQ_NOWHERE;
        if (list[i].column != SL_PQ_NOWHERE) {
            add_floats(s, name, SL_PQ_OPTIONAL, is_multi ? 2 : 1);
        }
    }
    *(is_multi ? &l->lake.multi : &l->lake.named) = list;
    *(is_multi ? &l->lake.multi_count : &l->lake.named_count) = count;
}

/* ---- properties ---- */

static const struct {
    const char *data_type;
    enum sli_kind kind;
} kinds[] = {
    {"text", SLI_TEXT},
    {"string", SLI_TEXT}, /* of servers before 1.19 */
    {"int", SLI_INT},
    {"number", SLI_NUMBER},
    {"boolean", SLI_BOOLEAN},
    {"date", SLI_DATE},
    {"uuid", SLI_UUID},
    {"blob", SLI_BLOB},
    {"object", SLI_OBJECT},
    {"geoCoordinates", SLI_OBJECT},
    {"phoneNumber", SLI_OBJECT},
};

static const struct sl_pq_node leaves[] = {
    [SLI_TEXT] = {.type = SL_PQ_BYTE_ARRAY, .annotation = SL_PQ_STRING, .stats = SL_PQ_STATS_CUT},
    [SLI_INT] = {.type = SL_PQ_INT64, .annotation = SL_PQ_INT_64},
    [SLI_NUMBER] = {.type = SL_PQ_DOUBLE},
    [SLI_BOOLEAN] = {.type = SL_PQ_BOOLEAN},
    [SLI_DATE] = {.type = SL_PQ_INT64, .annotation = SL_PQ_TIME_US},
    [SLI_UUID] = {.type = SL_PQ_FIXED, .annotation = SL_PQ_UUID, .type_len = SL_UUID_SIZE},
    [SLI_BLOB] = {.type = SL_PQ_BYTE_ARRAY, .stats = SL_PQ_STATS_NULLS},
    [SLI_FLOAT] = {.type = SL_PQ_FLOAT, .stats = SL_PQ_STATS_NULLS},
    [SLI_JSON] = {.type = SL_PQ_BYTE_ARRAY, .annotation = SL_PQ_STRING, .stats = SL_PQ_STATS_NULLS},
};

/* Members of the two types that are objects without saying so in the class. */
static const char geo_members[] = "[{\"name\":\"latitude\",\"dataType\":[\"float\"]},"
                                  "{\"name\":\"longitude\",\"dataType\":[\"float\"]}]";
static const char phone_members[] = "[{\"name\":\"input\",\"dataType\":[\"text\"]},"
                                    "{\"name\":\"internationalFormatted\",\"dataType\":[\"text\"]},"
                                    "{\"name\":\"nationalFormatted\",\"dataType\":[\"text\"]},"
                                    "{\"name\":\"national\",\"dataType\":[\"int\"]},"
                                    "{\"name\":\"countryCode\",\"dataType\":[\"int\"]},"
                                    "{\"name\":\"defaultCountry\",\"dataType\":[\"text\"]},"
                                    "{\"name\":\"valid\",\"dataType\":[\"boolean\"]}]";
static const char reference_members[] = "[{\"name\":\"beacon\",\"dataType\":[\"text\"]}]";

static void add_fields(struct schema *s, struct sli_field *of, json_t *properties);

/* Spark does not read UUID as a type of its own, so it is text unless it is asked for. */
static struct sl_pq_node leaf_of(const struct schema *s, enum sli_kind kind)
{
    static const struct sl_pq_node text = {.type = SL_PQ_BYTE_ARRAY, .annotation = SL_PQ_STRING};
    return kind == SLI_UUID && !s->l->opts.is_uuid_typed ? text : leaves[kind];
}

/* What the first data type says; the rest are other targets of a reference. */
static void read_type(const json_t *property, struct sli_field *f, const char **ret_members)
{
    json_t *types = json_object_get(property, "dataType");
    const char *type = json_string_value(json_is_array(types) ? json_array_get(types, 0) : types);
    size_t len = type == NULL ? 0 : strlen(type);
    f->kind = SLI_JSON;
    if (len > 0 && type[0] >= 'A' && type[0] <= 'Z') {
        f->is_list = true;
        f->kind = SLI_OBJECT;
        *ret_members = reference_members;
        return;
    }
    f->is_list = len > 2 && strcmp(type + len - 2, "[]") == 0;
    struct sl_str base = {type, f->is_list ? len - 2 : len};
    for (size_t i = 0; i < SL_COUNT_OF(kinds); i++) {
        if (sl_str_is(base, kinds[i].data_type)) {
            f->kind = kinds[i].kind;
        }
    }
    if (sl_str_is(base, "float")) {
        f->kind = SLI_FLOAT;
    }
    if (f->kind == SLI_JSON) {
        f->is_list = false;
    }
    *ret_members = sl_str_is(base, "geoCoordinates") ? geo_members
                   : sl_str_is(base, "phoneNumber")  ? phone_members
                                                     : NULL;
}

/* Objects need members, and room in the depth for two lists and a leaf. */
static json_t *members_of(const struct schema *s, json_t *property, struct sli_field *f,
                          const char *built_in)
{
    json_t *members = built_in != NULL ? json_loads(built_in, 0, NULL)
                                       : json_incref(json_object_get(property, "nestedProperties"));
    if (f->kind == SLI_OBJECT &&
        (json_array_size(members) == 0 || s->depth + 9 > SL_PQ_DEPTH_MAX)) {
        f->kind = SLI_JSON;
        f->is_list = false;
    }
    return members;
}

/* The value itself: a leaf, or a group with the members. */
static void add_element(struct schema *s, struct sl_str name, struct sli_field *f, json_t *members)
{
    if (f->kind != SLI_OBJECT) {
        struct sl_pq_node leaf = leaf_of(s, f->kind);
        leaf.repetition = SL_PQ_OPTIONAL;
        leaf.stats = s->rep > 0 ? SL_PQ_STATS_NULLS : leaf.stats; /* bounds of lists help nobody */
        add_leaf(s, name, leaf);
        return;
    }
    enter(s, name, GROUP(SL_PQ_OPTIONAL, SL_PQ_NONE, (uint32_t)json_array_size(members)));
    add_fields(s, f, members);
    leave(s, name, SL_PQ_OPTIONAL);
}

static void add_field(struct schema *s, struct sl_str name, struct sli_field *f, json_t *property)
{
    const char *built_in = NULL;
    read_type(property, f, &built_in);
    json_t *members = members_of(s, property, f, built_in);
    f->first_column = s->l->lake.column_count;
    if (f->is_list) {
        enter(s, name, GROUP(SL_PQ_OPTIONAL, SL_PQ_LIST, 1));
        enter(s, SL_STR("list"), GROUP(SL_PQ_REPEATED, SL_PQ_NONE, 1));
        f->rep = s->rep;
        add_element(s, SL_STR("element"), f, members);
        leave(s, SL_STR("list"), SL_PQ_REPEATED);
        leave(s, name, SL_PQ_OPTIONAL);
    } else {
        add_element(s, name, f, members);
    }
    f->end_column = s->l->lake.column_count;
    json_decref(members);
}

static int by_key(const void *a, const void *b, void *arg)
{
    const struct sli_field *fields = arg;
    return sl_bytes_cmp(sl_str_bytes(fields[*(const uint32_t *)a].key),
                        sl_str_bytes(fields[*(const uint32_t *)b].key));
}

static void add_fields(struct schema *s, struct sli_field *of, json_t *properties)
{
    struct sl_arena *arena = &s->l->arena;
    size_t count = json_array_size(properties);
    struct sl_str *names = sl_arena_array(arena, struct sl_str, count);
    of->fields = sl_arena_array(arena, struct sli_field, count);
    of->by_key = sl_arena_array(arena, uint32_t, count);
    of->found = sl_arena_array(arena, struct sl_bytes, count);
    if (names == NULL || of->fields == NULL || of->by_key == NULL || of->found == NULL) {
        s->is_failed = true;
        return;
    }
    of->field_count = (uint32_t)count;
    for (uint32_t i = 0; i < of->field_count && !s->is_failed; i++) {
        json_t *property = json_array_get(properties, i);
        struct sli_field *f = &of->fields[i];
        const char *key = json_string_value(json_object_get(property, "name"));
        f->key = sl_arena_str(arena, sl_str_from(key == NULL ? "" : key));
        s->is_failed |= f->key.ptr == NULL;
        of->by_key[i] = i;
        f->name = free_name(s, names, i, "", f->key);
        add_field(s, f->name, f, property);
    }
    qsort_r(of->by_key, of->field_count, sizeof(*of->by_key), by_key, of->fields);
}

/* ---- the whole ---- */

static const enum sl_pq_annotation time_notes[] = {
    [SL_UNIT_NS] = SL_PQ_TIME_NS, [SL_UNIT_US] = SL_PQ_TIME_US, [SL_UNIT_MS] = SL_PQ_TIME_MS};

static uint32_t add_wanted(struct schema *s, struct sl_str name, struct sl_pq_node node)
{
    uint32_t column = s->l->lake.column_count;
    if (!sli_is_wanted(s->l, name)) {
        return SL_PQ_NOWHERE;
    }
    add_leaf(s, name, node);
    return column;
}

/* All, when the whole group is wanted; else those named, in the order of the class. */
static json_t *wanted_properties(struct schema *s, json_t *all)
{
    json_t *wanted = json_array(), *property = NULL;
    size_t i = 0;
    bool is_whole = s->l->opts.column_count == 0;
    for (uint32_t c = 0; c < s->l->opts.column_count; c++) {
        is_whole |= sl_str_is(s->l->opts.columns[c], "properties");
    }
    (void)sli_is_wanted(s->l, SL_STR("properties")); /* met */
    json_array_foreach(all, i, property)
    {
        SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
        const char *name = json_string_value(json_object_get(property, "name"));
        sl_buf_addf(&path, "properties.%s", name == NULL ? "" : name);
        bool is_named = sli_is_wanted(s->l, sl_buf_str(&path));
        if (is_whole || is_named) {
            s->is_failed |= json_array_append(wanted, property) != 0;
        }
        s->is_failed |= path.is_failed;
    }
    return wanted;
}

static void add_columns(struct schema *s, json_t *class)
{
    struct sli_lake *lake = &s->l->lake;
    struct sl_pq_node time = {.type = SL_PQ_INT64, .annotation = time_notes[s->l->opts.unit]};
    struct sl_pq_node json = leaf_of(s, SLI_JSON);
    json.repetition = SL_PQ_OPTIONAL;
    add_leaf(s, SL_STR("id"), leaf_of(s, SLI_UUID));
    lake->created_column = add_wanted(s, SL_STR("creation_time"), time);
    lake->updated_column = add_wanted(s, SL_STR("update_time"), time);
    lake->vector_column = SL_PQ_NOWHERE;
    if (sli_is_wanted(s->l, SL_STR("vector"))) {
        lake->vector_column = lake->column_count;
        add_floats(s, SL_STR("vector"), SL_PQ_OPTIONAL, 1);
    }
    add_vectors(s, json_object_get(class, "vectorConfig"), false);
    add_vectors(s, json_object_get(class, "vectorConfig"), true);
    json_t *properties = wanted_properties(s, json_object_get(class, "properties"));
    if (json_array_size(properties) > 0) {
        lake->properties.kind = SLI_OBJECT;
        lake->properties.first_column = lake->column_count;
        enter(s, SL_STR("properties"),
              GROUP(SL_PQ_OPTIONAL, SL_PQ_NONE, (uint32_t)json_array_size(properties)));
        add_fields(s, &lake->properties, properties);
        leave(s, SL_STR("properties"), SL_PQ_OPTIONAL);
        lake->properties.end_column = lake->column_count;
    }
    json_decref(properties);
    lake->json_column = add_wanted(s, SL_STR("properties_json"), json);
}

sl_rc sli_lake_open(struct sl_layout *l, struct sl_str class_json, struct sl_err *err)
{
    struct schema s = {.l = l};
    json_error_t why = {0};
    json_t *class =
        class_json.len == 0 ? json_object() : json_loadb(class_json.ptr, class_json.len, 0, &why);
    if (!json_is_object(class)) {
        json_decref(class);
        return SL_FAIL(err, SL_ECORRUPT, "the class is not JSON: %s", why.text);
    }
    add_columns(&s, class);
    json_decref(class);
    sl_buf_fini(&s.path);
    return s.is_failed ? SL_NOMEM(err) : SL_OK;
}
