/* Classes and tenants an import needs at the server: created where absent, else taken as they are.
 *
 * Tenants are made in the state the export tells. One that is COLD is woken when a file of it
 * comes, as nothing can be written into it, and put back to rest at the end; OFFLOADED ones, which
 * have no files, are made COLD. */
#include "cmd/import_int.h"

#include <stdio.h>

#include "base/str.h"

#define TENANTS_A_CALL 100 /* Weaviate's limit */

void sli_schema_fini(struct sli_schema *s)
{
    json_decref(s->classes);
    json_decref(s->there);
    json_decref(s->refused);
    json_decref(s->woken);
}

/* ---- what the export says ---- */

static bool add_class(struct sli_schema *s, json_t *entry)
{
    json_t *class = json_object_get(entry, "class");
    bool is_entry = json_is_object(class);
    const char *name = json_string_value(is_entry ? json_object_get(class, "class") : class);
    if (name == NULL) {
        return false;
    }
    json_t *own = is_entry ? json_incref(entry) : json_pack("{s:O}", "class", entry);
    return json_object_set_new(s->classes, name, own) == 0;
}

sl_rc sli_schema_add(struct sli_schema *s, struct sl_bytes text, const char *where,
                     struct sl_err *err)
{
    json_error_t why;
    json_t *doc = json_loadb((const char *)text.ptr, text.len, 0, &why), *entry = NULL;
    json_t *list = json_object_get(doc, "classes");
    bool is_good = json_is_array(list) || add_class(s, doc);
    size_t i = 0;
    json_array_foreach(list, i, entry)
    {
        /* A class whose schema was not found when it was exported is there as null. */
        is_good = is_good && (json_is_null(json_object_get(entry, "class")) || add_class(s, entry));
    }
    bool is_json = doc != NULL;
    json_decref(doc);
    return is_good ? SL_OK
                   : SL_FAIL(err, SL_EINVAL, "%s: %s", where,
                             is_json ? "neither a schema nor a class" : why.text);
}

/* ---- calls ---- */

static sl_rc call(struct sli_schema *s, const char *method, struct sl_buf *path, json_t *body,
                  json_t **ret, int *ret_status, struct sl_err *err)
{
    SL_AUTO(sl_buf) reply = SL_BUF_EMPTY;
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    struct sl_bytes bytes = {(const uint8_t *)text, text == NULL ? 0 : strlen(text)};
    const char *where = sl_buf_cstr(path);
    sl_rc rc = sl_buf_done(path, err);
    if (rc == SL_OK) {
        rc = sl_http_call(s->client, method, where, bytes, &reply, ret_status, err);
    }
    free(text); /* allow: free, jansson allocated it */
    SL_TRY(rc);
    if (*ret_status != 200 && *ret_status != 404) {
        SL_AUTO(sl_buf) said = SL_BUF_EMPTY;
        sli_error_text(sl_buf_str(&reply), &said);
        rc = *ret_status == 422 ? SL_EINVAL : *ret_status == 403 ? SL_EFORBIDDEN : SL_EIO;
        return SL_FAIL(err, rc, "%s %s: the server answered %d: %s", method, where, *ret_status,
                       sl_buf_cstr(&said));
    }
    *ret = json_loadb(reply.ptr == NULL ? "" : (const char *)reply.ptr, reply.len, 0, NULL);
    return SL_OK;
}

static void add_path(struct sl_buf *path, const char *name, const char *more)
{
    sl_buf_add_text(path, "/v1/schema");
    if (name != NULL) {
        sl_buf_add_text(path, "/");
        sl_percent_encode(sl_str_from(name), path);
    }
    sl_buf_add_text(path, more);
}

static sl_rc is_there(struct sli_schema *s, const char *name, bool *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    json_t *reply = NULL;
    int status = 0;
    *ret = json_object_get(s->there, name) != NULL;
    if (*ret) {
        return SL_OK;
    }
    add_path(&path, name, "");
    SL_TRY(call(s, "GET", &path, NULL, &reply, &status, err));
    json_decref(reply);
    *ret = status == 200;
    if (*ret) {
        (void)json_object_set_new(s->there, name, json_true());
    }
    return SL_OK;
}

/* ---- tenants ---- */

static bool is_word(const char *status, const char *a, const char *b)
{
    return status != NULL && (strcmp(status, a) == 0 || strcmp(status, b) == 0);
}

/* Those of the server with their states. */
static sl_rc tenants_of(struct sli_schema *s, const char *name, json_t **ret, struct sl_err *err)
{
    *ret = json_object_get(s->there, name);
    if (json_is_object(*ret)) {
        return SL_OK;
    }
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    json_t *list = NULL, *tenant = NULL;
    int status = 0;
    size_t i = 0;
    add_path(&path, name, "/tenants");
    SL_TRY(call(s, "GET", &path, NULL, &list, &status, err));
    *ret = json_object();
    json_array_foreach(list, i, tenant)
    {
        const char *known = json_string_value(json_object_get(tenant, "name"));
        const char *state = json_string_value(json_object_get(tenant, "activityStatus"));
        if (known != NULL) {
            bool is_cold = is_word(state, "COLD", "INACTIVE");
            (void)json_object_set_new(*ret, known, json_string(is_cold ? "COLD" : ""));
        }
    }
    json_decref(list);
    return json_object_set_new(s->there, name, *ret) == 0 ? SL_OK : SL_NOMEM(err);
}

static bool add_tenant(json_t *list, const char *tenant, const char *status)
{
    json_t *one = json_pack("{s:s, s:s}", "name", tenant, "activityStatus", status);
    return json_array_append_new(list, one) == 0;
}

/* Creates (POST) or changes (PUT) tenants; what they are then is noted. */
static sl_rc send_tenants(struct sli_schema *s, const char *method, const char *name, json_t *list,
                          struct sl_err *err)
{
    json_t *known = NULL, *one = NULL;
    sl_rc rc = tenants_of(s, name, &known, err);
    for (size_t at = 0; rc == SL_OK && at < json_array_size(list); at += TENANTS_A_CALL) {
        SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
        json_t *body = json_array(), *reply = NULL;
        int status = 0;
        size_t i = 0;
        for (i = at; i < SL_MIN(json_array_size(list), at + TENANTS_A_CALL); i++) {
            (void)json_array_append(body, json_array_get(list, i));
        }
        add_path(&path, name, "/tenants");
        rc = call(s, method, &path, body, &reply, &status, err);
        json_decref(reply);
        json_array_foreach(body, i, one)
        {
            if (rc == SL_OK) {
                (void)json_object_set(known, json_string_value(json_object_get(one, "name")),
                                      json_object_get(one, "activityStatus"));
            }
        }
        json_decref(body);
    }
    return rc;
}

/* of: as _schema.json tells tenants, {"name", "status"}. */
static sl_rc add_tenants(struct sli_schema *s, const char *name, json_t *of, struct sl_err *err)
{
    json_t *known = NULL, *one = NULL, *list = json_array();
    size_t i = 0;
    sl_rc rc = tenants_of(s, name, &known, err);
    json_array_foreach(of, i, one)
    {
        const char *tenant = json_string_value(json_object_get(one, "name"));
        const char *status = json_string_value(json_object_get(one, "status"));
        if (rc == SL_OK && tenant != NULL && json_object_get(known, tenant) == NULL) {
            bool is_hot = status == NULL || is_word(status, "HOT", "ACTIVE");
            rc = add_tenant(list, tenant, is_hot ? "HOT" : "COLD") ? SL_OK : SL_NOMEM(err);
        }
    }
    rc = rc == SL_OK ? send_tenants(s, "POST", name, list, err) : rc;
    json_decref(list);
    return rc;
}

/* Makes a tenant, or wakes it, so that objects can come. */
static sl_rc need_tenant(struct sli_schema *s, const char *name, const char *tenant,
                         struct sl_err *err)
{
    json_t *of = json_pack("[{s:s}]", "name", tenant), *known = NULL;
    sl_rc rc = add_tenants(s, name, of, err);
    json_decref(of);
    SL_TRY(rc);
    SL_TRY(tenants_of(s, name, &known, err));
    if (!is_word(json_string_value(json_object_get(known, tenant)), "COLD", "INACTIVE")) {
        return SL_OK;
    }
    json_t *list = json_array(), *woken = json_object_get(s->woken, name);
    if (woken == NULL) {
        woken = json_array();
        (void)json_object_set_new(s->woken, name, woken);
    }
    rc = add_tenant(list, tenant, "HOT") && add_tenant(woken, tenant, "COLD")
             ? send_tenants(s, "PUT", name, list, err)
             : SL_NOMEM(err);
    json_decref(list);
    return rc;
}

sl_rc sli_schema_rest(struct sli_schema *s, struct sl_err *err)
{
    const char *name = NULL;
    json_t *list = NULL;
    json_object_foreach(s->woken, name, list)
    {
        SL_TRY(send_tenants(s, "PUT", name, list, err));
    }
    return SL_OK;
}

/* ---- classes ---- */

/* Of a class with tenants Weaviate shows how it shards, and refuses to be told. */
static json_t *class_to_create(json_t *entry)
{
    json_t *class = json_object_get(entry, "class");
    json_t *tenancy = json_object_get(class, "multiTenancyConfig");
    if (json_is_true(json_object_get(tenancy, "enabled"))) {
        (void)json_object_del(class, "shardingConfig");
    }
    return class;
}

static sl_rc call_class(struct sli_schema *s, const char *method, const char *name, json_t *body,
                        json_t **ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    json_t *reply = NULL;
    int status = 0;
    add_path(&path, name, "");
    SL_TRY(call(s, method, &path, body, &reply, &status, err));
    if (ret == NULL) {
        json_decref(reply);
    } else {
        *ret = reply;
    }
    return SL_OK;
}

/* As clients add a vector: what GET shows, with it. */
static sl_rc add_named(struct sli_schema *s, const char *name, json_t *named, struct sl_err *err)
{
    json_t *shown = NULL;
    SL_TRY(call_class(s, "GET", name, NULL, &shown, err));
    (void)json_object_set(shown, "vectorConfig", named);
    sl_rc rc = call_class(s, "PUT", name, shown, NULL, err);
    json_decref(shown);
    return rc;
}

/* No server creates a class with the unnamed vector and named ones, but one with the first takes
 * the others later. A class that does not get them goes again. */
static sl_rc create_class(struct sli_schema *s, const char *name, json_t *entry, struct sl_err *err)
{
    json_t *class = class_to_create(entry), *named = json_object_get(class, "vectorConfig");
    if (json_object_size(named) == 0 || json_object_get(class, "vectorIndexConfig") == NULL) {
        return call_class(s, "POST", NULL, class, NULL, err);
    }
    json_t *first = json_copy(class);
    (void)json_object_del(first, "vectorConfig");
    sl_rc rc = call_class(s, "POST", NULL, first, NULL, err);
    json_decref(first);
    SL_TRY(rc);
    rc = add_named(s, name, named, err);
    if (rc != SL_OK) {
        SL_IGNORE(call_class(s, "DELETE", name, NULL, NULL, NULL), "the first failure is told");
    }
    return rc;
}

static sl_rc create(struct sli_schema *s, const char *name, json_t *entry, struct sl_err *err)
{
    json_t *tenants = json_object_get(entry, "tenants");
    bool has = false;
    SL_TRY(is_there(s, name, &has, err));
    if (!has) {
        SL_TRY(create_class(s, name, entry, err));
        (void)json_object_set_new(s->there, name, json_true());
        s->created_count++;
    }
    return json_array_size(tenants) > 0 ? add_tenants(s, name, tenants, err) : SL_OK;
}

static void tell_refused(const struct sli_schema *s)
{
    const char *name = NULL;
    json_t *why = NULL;
    json_object_foreach(s->refused, name, why)
    {
        (void)fprintf(stderr, "sluice: collection %s is left out: %s\n", name,
                      json_string_value(why));
    }
}

/* A class that refers to one which is not there yet is refused: again, as long as others succeed.
 */
sl_rc sli_schema_create(struct sli_schema *s, bool (*is_wanted)(const void *arg, const char *name),
                        const void *arg, struct sl_err *err)
{
    size_t before, failed = SIZE_MAX;
    json_t *done = json_object();
    sl_rc rc = SL_OK;
    do {
        const char *name = NULL;
        json_t *entry = NULL;
        before = failed;
        json_object_foreach(s->classes, name, entry)
        {
            if (rc != SL_OK || !is_wanted(arg, name) || json_object_get(done, name) != NULL) {
                continue;
            }
            rc = create(s, name, entry, err);
            if (rc == SL_OK) {
                (void)json_object_set_new(done, name, json_true());
                (void)json_object_del(s->refused, name);
            } else if (rc == SL_EINVAL || rc == SL_EFORBIDDEN) {
                /* nocheck: the sentence may be cut within a character */
                json_t *why = json_string_nocheck(err->text);
                rc = json_object_set_new(s->refused, name, why) == 0 ? SL_OK : SL_NOMEM(err);
            }
        }
        failed = json_object_size(s->refused);
    } while (rc == SL_OK && failed > 0 && failed < before);
    json_decref(done);
    tell_refused(s);
    return rc;
}

sl_rc sli_schema_need(struct sli_schema *s, const char *name, const char *tenant,
                      struct sl_err *err)
{
    bool has = false;
    SL_TRY(is_there(s, name, &has, err));
    if (!has) {
        return SL_FAIL(err, SL_ENOTFOUND,
                       "the server has no collection \"%s\" and the export does not tell its "
                       "schema: create it first or give --schema FILE",
                       name);
    }
    return tenant == NULL ? SL_OK : need_tenant(s, name, tenant, err);
}
