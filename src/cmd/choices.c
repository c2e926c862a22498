/* Options of the command line that choose rows and what their files are like; they become the
 * `config` of a request, which judges them. */
#include "base/num.h"
#include "cmd/cmd_int.h"
#include "export/export.h"

enum {
    KEY_LAYOUT = 0x200,
    KEY_UNIT,
    KEY_COLUMNS,
    KEY_WHERE,
    KEY_COMPRESSION,
    KEY_LEVEL,
    KEY_VECTORS,
    KEY_FILE_BYTES,
    KEY_NO_MANIFEST,
    KEY_FIELD_IDS,
    KEY_ID_TYPE,
    KEY_BLOOM,
    KEY_TENANT = 't'
};

static const struct argp_option options[] = {
    {"layout", KEY_LAYOUT, "LAYOUT", 0, "Columns of the files: weaviate (default) or lake", 0},
    {"tenant", KEY_TENANT, "TENANT", 0, "Export this tenant only; may be repeated", 0},
    {"columns", KEY_COLUMNS, "NAMES", 0,
     "Only these columns, with commas between; properties.NAME is one property (layout lake); id "
     "is always there",
     0},
    {"where", KEY_WHERE, "CONDITION", 0,
     "Only objects of these times: \"update_time >= 2026-01-31T00:00:00Z\", or creation_time, or "
     "another of >, <, <=; may be repeated",
     0},
    {"target-file-size", KEY_FILE_BYTES, "BYTES", 0, "About so much in a file, uncompressed", 0},
    {"compression", KEY_COMPRESSION, "HOW", 0, "fast (default), small, snappy, lz4_raw or none", 0},
    {"compression-level", KEY_LEVEL, "N", 0, "Zstd level of all columns, 1 to 22", 0},
    {"vector-type", KEY_VECTORS, "TYPE", 0,
     "Vectors of layout lake: float32 (default) or float16, rounded", 0},
    {"timestamp-unit", KEY_UNIT, "UNIT", 0,
     "Unit of creation_time and update_time: ns, us or ms (ns; in layout lake us)", 0},
    {"id-type", KEY_ID_TYPE, "TYPE", 0,
     "UUIDs of layout lake: string (default) or uuid, which Spark does not read", 0},
    {"field-ids", KEY_FIELD_IDS, NULL, 0,
     "Give the columns of layout lake ids that stay the same from export to export", 0},
    {"bloom-filter", KEY_BLOOM, NULL, 0,
     "Bloom filters of the ids, for readers that look for single objects", 0},
    {"no-manifest", KEY_NO_MANIFEST, NULL, 0,
     "Write no _schema.json, _manifest.json and _SUCCESS beside the files", 0},
    {0},
};

/* Takes value. One choice is judged alone, so that the message is about what was just read. */
static error_t choose(json_t **config, const char *key, json_t *value, struct argp_state *state)
{
    struct sl_export_settings settings = {.layout = SL_LAYOUT_LAKE};
    struct sl_export_request request = {0};
    SL_AUTO(sl_arena) arena = SL_ARENA_EMPTY;
    struct sl_err err = {0};
    json_t *one = json_pack("{s:O?}", key, value);
    *config = *config == NULL ? json_object() : *config;
    if (one == NULL || value == NULL || json_object_set_new(*config, key, value) != 0) {
        argp_error(state, "%s: the value is not UTF-8", key);
    } else if (sl_export_choose(one, &arena, &settings, &request, &err) != SL_OK) {
        argp_error(state, "%s", err.text);
    }
    json_decref(one);
    return 0;
}

static json_t *number(const char *arg)
{
    int64_t n = 0;
    return sl_i64_parse(sl_str_from(arg), &n) ? json_integer(n) : json_string(arg);
}

static json_t *names(const char *arg)
{
    json_t *list = json_array();
    while (*arg != '\0') {
        size_t len = strcspn(arg, ",");
        (void)json_array_append_new(list, json_stringn(arg, len));
        arg += len + (arg[len] == ',');
    }
    return list;
}

static json_t *one_more(json_t *config, const char *key, const char *arg)
{
    json_t *list = json_deep_copy(json_object_get(config, key));
    list = list == NULL ? json_array() : list;
    (void)json_array_append_new(list, json_string(arg));
    return list;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    json_t **config = state->input;
    switch (key) {
    case KEY_LAYOUT:
        return choose(config, "layout", json_string(arg), state);
    case KEY_UNIT:
        return choose(config, "timestampUnit", json_string(arg), state);
    case KEY_NO_MANIFEST:
        return choose(config, "manifest", json_false(), state);
    case KEY_ID_TYPE:
        return choose(config, "idType", json_string(arg), state);
    case KEY_FIELD_IDS:
        return choose(config, "fieldIds", json_true(), state);
    case KEY_BLOOM:
        return choose(config, "bloomFilter", json_true(), state);
    case KEY_COLUMNS:
        return choose(config, "columns", names(arg), state);
    case KEY_TENANT:
        return choose(config, "tenants", one_more(*config, "tenants", arg), state);
    case KEY_WHERE:
        return choose(config, "where", one_more(*config, "where", arg), state);
    case KEY_COMPRESSION:
        return choose(config, "compression", json_string(arg), state);
    case KEY_LEVEL:
        return choose(config, "compressionLevel", number(arg), state);
    case KEY_VECTORS:
        return choose(config, "vectorType", json_string(arg), state);
    case KEY_FILE_BYTES:
        return choose(config, "targetFileBytes", number(arg), state);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp sli_choices_argp = {.options = options, .parser = parse};
