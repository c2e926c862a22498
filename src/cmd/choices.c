/* Options of the command line that choose what the files of an export are like; they become the
 * `config` of a request, which judges them. */
#include "cmd/cmd_int.h"
#include "export/export.h"

enum { KEY_LAYOUT = 0x200, KEY_UNIT, KEY_NO_MANIFEST };

static const struct argp_option options[] = {
    {"layout", KEY_LAYOUT, "LAYOUT", 0, "Columns of the files: weaviate (default) or lake", 0},
    {"timestamp-unit", KEY_UNIT, "UNIT", 0,
     "Unit of creation_time and update_time: ns, us or ms (ns; in layout lake us)", 0},
    {"no-manifest", KEY_NO_MANIFEST, NULL, 0,
     "Write no _schema.json, _manifest.json and _SUCCESS beside the files", 0},
    {0},
};

static error_t choose(json_t **config, const char *key, json_t *value, struct argp_state *state)
{
    struct sl_export_settings nowhere = {0};
    struct sl_err err = {0};
    *config = *config == NULL ? json_object() : *config;
    if (json_object_set_new(*config, key, value) != 0) {
        argp_error(state, "%s: the value is not UTF-8", key);
    } else if (sl_export_choose(&nowhere, *config, &err) != SL_OK) {
        argp_error(state, "%s", err.text);
    }
    return 0;
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
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp sli_choices_argp = {.options = options, .parser = parse};
