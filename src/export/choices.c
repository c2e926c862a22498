/* What a request may choose for its files, beyond what the node was set to: the members of `config`
 * in the body of POST, and the options of the command line, which makes the same object. */
#include <jansson.h>

#include "base/str.h"
#include "export/export_int.h"

struct target {
    struct sl_arena *arena;
    struct sl_export_settings *settings;
    struct sl_export_request *request;
};

static sl_rc not_one_of(const char *key, const char *known, struct sl_err *err)
{
    return SL_FAIL(err, SL_EINVAL, "config.%s should be one of [%s]", key, known);
}

static sl_rc choose_layout(const struct target *t, const json_t *v, struct sl_err *err)
{
    const char *text = json_string_value(v);
    if (text == NULL || (strcmp(text, "weaviate") != 0 && strcmp(text, "lake") != 0)) {
        return not_one_of("layout", "weaviate lake", err);
    }
    t->settings->layout = text[0] == 'l' ? SL_LAYOUT_LAKE : SL_LAYOUT_WEAVIATE;
    return SL_OK;
}

static sl_rc choose_unit(const struct target *t, const json_t *v, struct sl_err *err)
{
    static const enum sl_timestamp_unit units[] = {SL_UNIT_NS, SL_UNIT_US, SL_UNIT_MS};
    const char *text = json_string_value(v);
    for (size_t i = 0; text != NULL && i < SL_COUNT_OF(units); i++) {
        if (strcmp(text, sl_timestamp_unit_name(units[i])) == 0) {
            t->settings->unit = units[i];
            return SL_OK;
        }
    }
    return not_one_of("timestampUnit", "ns us ms", err);
}

static sl_rc choose_manifest(const struct target *t, const json_t *v, struct sl_err *err)
{
    t->settings->is_manifest = json_is_true(v);
    return json_is_boolean(v) ? SL_OK : not_one_of("manifest", "true false", err);
}

const char *sli_compression_name(enum sl_compression c)
{
    static const char *const names[] = {"fast", "small", "snappy", "lz4_raw", "none"};
    return names[c];
}

static sl_rc choose_compression(const struct target *t, const json_t *v, struct sl_err *err)
{
    const char *text = json_string_value(v);
    for (int i = SL_COMPRESSION_FAST; text != NULL && i <= SL_COMPRESSION_NONE; i++) {
        if (strcmp(text, sli_compression_name((enum sl_compression)i)) == 0) {
            t->settings->compression = (enum sl_compression)i;
            return SL_OK;
        }
    }
    return not_one_of("compression", "fast small snappy lz4_raw none", err);
}

/* REST keeps all numbers as doubles. */
static bool is_whole(const json_t *v, uint64_t least, uint64_t most, uint64_t *ret)
{
    double d = json_number_value(v);
    if (!json_is_number(v) || !(d >= (double)least && d <= (double)most) ||
        d != (double)(uint64_t)d) {
        return false;
    }
    *ret = (uint64_t)d;
    return true;
}

static sl_rc choose_level(const struct target *t, const json_t *v, struct sl_err *err)
{
    uint64_t level = 0;
    if (!is_whole(v, 1, 22, &level)) {
        return SL_FAIL(err, SL_EINVAL, "config.compressionLevel must be a whole number of 1 to 22");
    }
    t->settings->zstd_level = (uint32_t)level;
    return SL_OK;
}

static sl_rc choose_vectors(const struct target *t, const json_t *v, struct sl_err *err)
{
    const char *text = json_string_value(v);
    if (text == NULL || (strcmp(text, "float32") != 0 && strcmp(text, "float16") != 0)) {
        return not_one_of("vectorType", "float32 float16", err);
    }
    t->settings->is_half = strcmp(text, "float16") == 0;
    return SL_OK;
}

static sl_rc choose_id_type(const struct target *t, const json_t *v, struct sl_err *err)
{
    const char *text = json_string_value(v);
    if (text == NULL || (strcmp(text, "string") != 0 && strcmp(text, "uuid") != 0)) {
        return not_one_of("idType", "string uuid", err);
    }
    t->settings->is_uuid_typed = strcmp(text, "uuid") == 0;
    return SL_OK;
}

static sl_rc choose_field_ids(const struct target *t, const json_t *v, struct sl_err *err)
{
    t->settings->has_field_ids = json_is_true(v);
    return json_is_boolean(v) ? SL_OK : not_one_of("fieldIds", "true false", err);
}

static sl_rc choose_bloom(const struct target *t, const json_t *v, struct sl_err *err)
{
    t->settings->has_bloom = json_is_true(v);
    return json_is_boolean(v) ? SL_OK : not_one_of("bloomFilter", "true false", err);
}

static sl_rc list_of(const struct target *t, const char *key, const json_t *v,
                     const struct sl_str **ret, uint32_t *ret_count, struct sl_err *err)
{
    size_t count = json_array_size(v);
    struct sl_str *list = sl_arena_array(t->arena, struct sl_str, count + 1);
    if (list == NULL) {
        return SL_NOMEM(err);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(v, i);
        list[i] = (struct sl_str){json_string_value(one), json_string_length(one)};
        if (!json_is_string(one) || list[i].len == 0) {
            count = 0;
        }
    }
    if (count == 0) {
        return SL_FAIL(err, SL_EINVAL, "config.%s must be a list of names", key);
    }
    *ret = list;
    *ret_count = (uint32_t)count;
    return SL_OK;
}

static sl_rc choose_columns(const struct target *t, const json_t *v, struct sl_err *err)
{
    return list_of(t, "columns", v, &t->settings->columns, &t->settings->column_count, err);
}

static sl_rc choose_tenants(const struct target *t, const json_t *v, struct sl_err *err)
{
    return list_of(t, "tenants", v, &t->request->tenants, &t->request->tenant_count, err);
}

static sl_rc choose_file_bytes(const struct target *t, const json_t *v, struct sl_err *err)
{
    uint64_t bytes = 0;
    if (!is_whole(v, 1 << 20, 1ull << 50, &bytes)) {
        return SL_FAIL(err, SL_EINVAL,
                       "config.targetFileBytes must be a number of bytes, 1 MiB at "
                       "least");
    }
    t->settings->file_bytes = bytes;
    return SL_OK;
}

static sl_rc bad_condition(struct sl_str text, struct sl_err *err)
{
    return SL_FAIL(err, SL_EINVAL,
                   "config.where: \"%.*s\" is not a condition like \"update_time >= "
                   "2026-01-31T00:00:00Z\" (creation_time or update_time; >=, >, < or <=)",
                   SL_STR_ARG(text));
}

/* The word up to the next blank; what is left begins behind it. */
static struct sl_str take_word(struct sl_str *text)
{
    while (text->len > 0 && text->ptr[0] == ' ') {
        *text = (struct sl_str){text->ptr + 1, text->len - 1};
    }
    const char *end = memchr(text->ptr, ' ', text->len);
    struct sl_str word = {text->ptr, end == NULL ? text->len : (size_t)(end - text->ptr)};
    *text = (struct sl_str){text->ptr + word.len, text->len - word.len};
    return word;
}

static sl_rc narrow(struct sl_export_settings *s, struct sl_str text, struct sl_err *err)
{
    struct sl_str rest = text, name = take_word(&rest), op = take_word(&rest);
    struct sl_str time = take_word(&rest);
    bool is_created = sl_str_is(name, "creation_time");
    struct sl_time_span *span = is_created ? &s->created : &s->updated;
    bool is_from = op.len > 0 && op.ptr[0] == '>', is_equal = op.len == 2 && op.ptr[1] == '=';
    int64_t ns = 0;
    if ((!is_created && !sl_str_is(name, "update_time")) || op.len == 0 || op.len > 2 ||
        (!is_from && op.ptr[0] != '<') || (op.len == 2 && !is_equal) || take_word(&rest).len > 0 ||
        !sl_time_parse(time, &ns) || ns == INT64_MAX || ns == INT64_MIN) {
        return bad_condition(text, err);
    }
    if (is_from) {
        ns += !is_equal;
        span->from = span->has_from ? SL_MAX(span->from, ns) : ns;
        span->has_from = true;
    } else {
        ns += is_equal;
        span->to = span->has_to ? SL_MIN(span->to, ns) : ns;
        span->has_to = true;
    }
    return SL_OK;
}

static sl_rc choose_where(const struct target *t, const json_t *v, struct sl_err *err)
{
    const struct sl_str *conditions = NULL;
    uint32_t count = 0;
    SL_TRY(list_of(t, "where", v, &conditions, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        SL_TRY(narrow(t->settings, conditions[i], err));
    }
    return SL_OK;
}

int sli_zstd_level(const struct sl_export_settings *s)
{
    return s->zstd_level > 0 ? (int)s->zstd_level : 3;
}

bool sli_is_whole(const struct sl_export_settings *s)
{
    return s->column_count == 0 && !s->is_half;
}

bool sli_is_narrow(const struct sl_export_settings *s)
{
    return s->created.has_from || s->created.has_to || s->updated.has_from || s->updated.has_to;
}

bool sli_is_within(const struct sl_export_settings *s, const struct sl_object *obj)
{
    const struct sl_time_span *spans[] = {&s->created, &s->updated};
    const int64_t times[] = {obj->create_ms, obj->update_ms};
    for (size_t i = 0; i < SL_COUNT_OF(spans); i++) {
        __int128 ns = (__int128)times[i] * 1000000;
        if ((spans[i]->has_from && ns < spans[i]->from) ||
            (spans[i]->has_to && ns >= spans[i]->to)) {
            return false;
        }
    }
    return true;
}

static const struct {
    const char *key;
    sl_rc (*choose)(const struct target *t, const json_t *v, struct sl_err *err);
} choices[] = {
    {"bloomFilter", choose_bloom},
    {"columns", choose_columns},
    {"compression", choose_compression},
    {"compressionLevel", choose_level},
    {"fieldIds", choose_field_ids},
    {"idType", choose_id_type},
    {"layout", choose_layout},
    {"manifest", choose_manifest},
    {"targetFileBytes", choose_file_bytes},
    {"tenants", choose_tenants},
    {"timestampUnit", choose_unit},
    {"vectorType", choose_vectors},
    {"where", choose_where},
};

/* What was chosen goes together? A level chooses the compression that has one. */
static sl_rc check_together(const json_t *config, struct sl_export_settings *s, struct sl_err *err)
{
    const struct {
        bool is_chosen;
        const char *text;
    } of_lake[] = {{s->is_half, "vectorType float16"},
                   {s->is_uuid_typed, "idType uuid"},
                   {s->has_field_ids, "fieldIds"}};
    for (size_t i = 0; i < SL_COUNT_OF(of_lake); i++) {
        if (of_lake[i].is_chosen && s->layout != SL_LAYOUT_LAKE) {
            return SL_FAIL(err, SL_EINVAL, "config.%s needs layout lake", of_lake[i].text);
        }
    }
    if (json_object_get(config, "compressionLevel") == NULL) {
        return SL_OK;
    }
    if (json_object_get(config, "compression") != NULL && s->compression != SL_COMPRESSION_SMALL) {
        return SL_FAIL(err, SL_EINVAL, "config.compressionLevel is of compression small, not of %s",
                       sli_compression_name(s->compression));
    }
    s->compression = SL_COMPRESSION_SMALL;
    return SL_OK;
}

sl_rc sl_export_choose(const json_t *config, struct sl_arena *arena,
                       struct sl_export_settings *settings, struct sl_export_request *request,
                       struct sl_err *err)
{
    struct target t = {arena, settings, request};
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
        SL_TRY(choices[i].choose(&t, v, err));
    }
    return check_together(config, settings, err);
}
