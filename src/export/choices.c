/* What a request may choose for its files, beyond what the node was set to: the members of `config`
 * in the body of POST, and the options of the command line, which makes the same object. */
#include <jansson.h>

#include "export/export_int.h"

static sl_rc not_one_of(const char *key, const char *known, struct sl_err *err)
{
    return SL_FAIL(err, SL_EINVAL, "config.%s should be one of [%s]", key, known);
}

static sl_rc choose_layout(struct sl_export_settings *s, const json_t *v, struct sl_err *err)
{
    const char *text = json_string_value(v);
    if (text == NULL || (strcmp(text, "weaviate") != 0 && strcmp(text, "lake") != 0)) {
        return not_one_of("layout", "weaviate lake", err);
    }
    s->layout = text[0] == 'l' ? SL_LAYOUT_LAKE : SL_LAYOUT_WEAVIATE;
    return SL_OK;
}

static sl_rc choose_unit(struct sl_export_settings *s, const json_t *v, struct sl_err *err)
{
    static const enum sl_timestamp_unit units[] = {SL_UNIT_NS, SL_UNIT_US, SL_UNIT_MS};
    const char *text = json_string_value(v);
    for (size_t i = 0; text != NULL && i < SL_COUNT_OF(units); i++) {
        if (strcmp(text, sl_timestamp_unit_name(units[i])) == 0) {
            s->unit = units[i];
            return SL_OK;
        }
    }
    return not_one_of("timestampUnit", "ns us ms", err);
}

static sl_rc choose_manifest(struct sl_export_settings *s, const json_t *v, struct sl_err *err)
{
    s->is_manifest = json_is_true(v);
    return json_is_boolean(v) ? SL_OK : not_one_of("manifest", "true false", err);
}

static const struct {
    const char *key;
    sl_rc (*choose)(struct sl_export_settings *s, const json_t *v, struct sl_err *err);
} choices[] = {
    {"layout", choose_layout},
    {"manifest", choose_manifest},
    {"timestampUnit", choose_unit},
};

sl_rc sl_export_choose(struct sl_export_settings *settings, const json_t *config,
                       struct sl_err *err)
{
    const char *key = NULL;
    const json_t *v = NULL;
    if (config != NULL && !json_is_null(config) && !json_is_object(config)) {
        return SL_FAIL(err, SL_EINVAL, "config must be an object");
    }
    json_object_foreach((json_t *)(uintptr_t)config, key, v)
    {
        size_t i = 0;
        while (i < SL_COUNT_OF(choices) && strcmp(choices[i].key, key) != 0) {
            i++;
        }
        if (i == SL_COUNT_OF(choices)) {
            return SL_FAIL(err, SL_EINVAL, "config.%s is not known", key);
        }
        SL_TRY(choices[i].choose(settings, v, err));
    }
    return SL_OK;
}
