/* Exports: shapes of requests are checked here, everything else by the engine. */
#include "api/api_int.h"
#include "base/stats.h"

#include <stdlib.h>

static sl_rc settings(struct sli_call *c, struct sl_export_settings *ret, struct sl_err *err)
{
    return c->opts->export_settings(c->opts->arg, &c->arena, ret, err);
}

/* Counts the outcome of an export call. Only a fault of ours is a server error: the reference
 * counts a missing or finished export as one, too, which wakes people at night for a typing error.
 */
static sl_rc counted(sl_rc rc)
{
    sl_stat_add(rc == SL_OK             ? SL_STAT_EXPORT_CALLS_OK
                : sl_rc_http(rc) >= 500 ? SL_STAT_EXPORT_CALLS_SERVER
                                        : SL_STAT_EXPORT_CALLS_USER,
                1);
    return rc;
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

/* ---- who may ---- */

struct sight {
    struct sli_call *c;
    bool is_any;
};

static bool is_visible(void *arg, struct sl_str class_name)
{
    struct sight *s = arg;
    struct sl_resource what = {SL_ON_BACKUPS, {class_name}};
    bool is_seen = sli_may(&s->c->asker, SL_CREATE, &what);
    s->is_any = s->is_any || is_seen;
    return is_seen;
}

static bool may_all(const struct sli_call *c, enum sl_verb verb, const struct sl_str *classes,
                    uint32_t count, struct sl_str *ret_first_not)
{
    for (uint32_t i = 0; i < count; i++) {
        struct sl_resource one = {SL_ON_BACKUPS, {classes[i]}};
        if (!sli_may(&c->asker, verb, &one)) {
            *ret_first_not = classes[i];
            return false;
        }
    }
    return true;
}

/* All classes of an export must be the caller's. Who may not read it hears a refusal that speaks of
 * all collections, and hears it for unknown ids too: so it tells neither whether the id exists nor
 * what is in it. Only who may read all exports hears that there is none of that id. */
static sl_rc ask_export(struct sli_call *c, const struct sl_export_settings *s, enum sl_verb verb,
                        struct sl_err *err)
{
    struct sl_resource what = {.domain = SL_ON_BACKUPS};
    struct sl_str *classes = NULL;
    uint32_t count = 0;
    if (sli_may(&c->asker, verb, &what)) {
        return SL_OK;
    }
    sl_rc rc = sl_export_classes(c->opts->exports, s, c->segments[0], c->segments[1], &c->arena,
                                 &classes, &count, err);
    if (rc != SL_OK && (rc != SL_ENOTFOUND || sli_may(&c->asker, SL_READ, &what))) {
        return rc;
    }
    struct sl_str lacking = {0}, unread = {0};
    if (rc == SL_OK && may_all(c, verb, classes, count, &lacking)) {
        return SL_OK;
    }
    if (rc == SL_OK && may_all(c, SL_READ, classes, count, &unread)) {
        what.names[0] = lacking;
    }
    rc = sli_ask(&c->asker, verb, &what, err);
    sl_err_prefix(err, "authorization failed");
    return rc;
}

static sl_rc create(struct sli_call *c, struct sl_err *err)
{
    SL_TRY(check_shape(c, err));
    json_t *id = json_object_get(c->body, "id");
    struct sight sight = {.c = c};
    struct sl_export_request request = {.backend = c->segments[0],
                                        .id = {json_string_value(id), json_string_length(id)},
                                        .is_visible = is_visible,
                                        .visible_arg = &sight};
    SL_TRY(names_of(c, "include", &request.include, &request.include_count, err));
    SL_TRY(names_of(c, "exclude", &request.exclude, &request.exclude_count, err));
    struct sl_export_settings s;
    SL_TRY(settings(c, &s, err));
    SL_TRY(sl_export_choose(json_object_get(c->body, "config"), &c->arena, &s, &request, err));
    sl_rc rc = sl_export_create(c->opts->exports, &s, &request, &c->out, err);
    struct sl_resource all = {.domain = SL_ON_BACKUPS};
    if (rc == SL_EINVAL && !sight.is_any && !sli_may(&c->asker, SL_CREATE, &all)) {
        sli_audit(&c->asker, SL_CREATE, &all);
    }
    return rc;
}

/* Leaves of the list what the caller may read all of. */
static sl_rc filter_list(struct sli_call *c, struct sl_err *err)
{
    json_t *doc = json_loadb((const char *)c->out.ptr, c->out.len, 0, NULL);
    json_t *list = json_object_get(doc, "exports");
    for (size_t i = json_array_size(list); i-- > 0;) {
        json_t *one = NULL, *classes = json_object_get(json_array_get(list, i), "classes");
        size_t k = 0;
        bool is_allowed = true;
        json_array_foreach(classes, k, one)
        {
            struct sl_resource what = {SL_ON_BACKUPS, {sl_str_from(json_string_value(one))}};
            is_allowed = is_allowed && sli_may(&c->asker, SL_READ, &what);
        }
        if (!is_allowed) {
            (void)json_array_remove(list, i);
        }
    }
    char *text = json_dumps(doc, JSON_COMPACT);
    sl_buf_clear(&c->out);
    sl_buf_add_text(&c->out, text == NULL ? "{\"exports\":[]}" : text);
    sl_buf_add_u8(&c->out, '\n');
    free(text); /* allow: free, jansson allocated it */
    json_decref(doc);
    return sl_buf_done(&c->out, err);
}

static sl_rc list(struct sli_call *c, struct sl_err *err)
{
    struct sl_resource all = {.domain = SL_ON_BACKUPS};
    struct sl_export_settings s;
    SL_TRY(settings(c, &s, err));
    SL_TRY(sl_export_list(c->opts->exports, &s, c->segments[0], &c->out, err));
    return sli_may(&c->asker, SL_READ, &all) ? SL_OK : filter_list(c, err);
}

static sl_rc status(struct sli_call *c, struct sl_err *err)
{
    struct sl_export_settings s;
    SL_TRY(settings(c, &s, err));
    SL_TRY(ask_export(c, &s, SL_READ, err));
    return sl_export_status(c->opts->exports, &s, c->segments[0], c->segments[1], &c->out, err);
}

static sl_rc cancel(struct sli_call *c, struct sl_err *err)
{
    struct sl_export_settings s;
    SL_TRY(settings(c, &s, err));
    SL_TRY(ask_export(c, &s, SL_DELETE, err));
    SL_TRY(sl_export_cancel(c->opts->exports, &s, c->segments[0], c->segments[1], err));
    c->status = 204;
    return SL_OK;
}

sl_rc sli_post_export(struct sli_call *c, struct sl_err *err)
{
    return counted(create(c, err));
}

sl_rc sli_list_exports(struct sli_call *c, struct sl_err *err)
{
    return counted(list(c, err));
}

sl_rc sli_get_export(struct sli_call *c, struct sl_err *err)
{
    return counted(status(c, err));
}

sl_rc sli_delete_export(struct sli_call *c, struct sl_err *err)
{
    return counted(cancel(c, err));
}
