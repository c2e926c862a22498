/* Exports: shapes of requests are checked here, everything else by the engine. */
#include "api/api_int.h"

static struct sl_export_settings settings(const struct sli_call *c)
{
    struct sl_export_settings s = {0};
    c->opts->export_settings(c->opts->arg, &s);
    return s;
}

static sl_rc swagger(struct sl_err *err, int code, const char *text)
{
    sl_rc rc = SL_FAIL(err, SL_EINVAL, "%s", text);
    err->sys_errno = code;
    return rc;
}

/* A list of names; null and [] mean "absent". */
static sl_rc names_of(struct sli_call *c, const char *key, const struct sl_str **ret,
                      uint32_t *ret_count, struct sl_err *err)
{
    json_t *list = json_object_get(c->body, key);
    size_t count = json_array_size(list);
    *ret_count = 0;
    if (list == NULL || json_is_null(list)) {
        return SL_OK;
    }
    struct sl_str *names = sl_arena_array(&c->arena, struct sl_str, count + 1);
    if (names == NULL) {
        return SL_NOMEM(err);
    }
    bool is_good = json_is_array(list);
    for (size_t i = 0; is_good && i < count; i++) {
        json_t *one = json_array_get(list, i);
        is_good = json_is_string(one);
        names[i] = (struct sl_str){json_string_value(one), json_string_length(one)};
    }
    if (!is_good) {
        return SL_FAIL(err, SL_EINVAL, "%s must be an array of collection names", key);
    }
    *ret = names;
    *ret_count = (uint32_t)count;
    return SL_OK;
}

static sl_rc check_shape(const struct sli_call *c, struct sl_err *err)
{
    json_t *format = json_object_get(c->body, "file_format");
    json_t *id = json_object_get(c->body, "id");
    if (!json_is_object(c->body) && !json_is_null(c->body)) {
        return swagger(err, SL_DB_SWAGGER_TYPE, "body in body must be of type object");
    }
    if (format == NULL || json_is_null(format)) {
        return swagger(err, SL_DB_SWAGGER_REQUIRED, "file_format in body is required");
    }
    if (!json_is_string(format) || strcmp(json_string_value(format), "parquet") != 0) {
        return swagger(err, SL_DB_SWAGGER_ENUM, "file_format in body should be one of [parquet]");
    }
    if (id == NULL || json_is_null(id)) {
        return swagger(err, SL_DB_SWAGGER_REQUIRED, "id in body is required");
    }
    return json_is_string(id)
               ? SL_OK
               : swagger(err, SL_DB_SWAGGER_TYPE, "id in body must be of type string");
}

sl_rc sli_post_export(struct sli_call *c, struct sl_err *err)
{
    SL_TRY(check_shape(c, err));
    json_t *id = json_object_get(c->body, "id");
    struct sl_export_request request = {.backend = c->segments[0],
                                        .id = {json_string_value(id), json_string_length(id)}};
    SL_TRY(names_of(c, "include", &request.include, &request.include_count, err));
    SL_TRY(names_of(c, "exclude", &request.exclude, &request.exclude_count, err));
    struct sl_export_settings s = settings(c);
    return sl_export_create(c->opts->exports, &s, &request, &c->out, err);
}

sl_rc sli_list_exports(struct sli_call *c, struct sl_err *err)
{
    struct sl_export_settings s = settings(c);
    return sl_export_list(c->opts->exports, &s, c->segments[0], &c->out, err);
}

sl_rc sli_get_export(struct sli_call *c, struct sl_err *err)
{
    struct sl_export_settings s = settings(c);
    return sl_export_status(c->opts->exports, &s, c->segments[0], c->segments[1], &c->out, err);
}

sl_rc sli_delete_export(struct sli_call *c, struct sl_err *err)
{
    struct sl_export_settings s = settings(c);
    SL_TRY(sl_export_cancel(c->opts->exports, &s, c->segments[0], c->segments[1], err));
    c->status = 204;
    return SL_OK;
}
