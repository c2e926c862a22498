/* Classes, properties, tenants. Class names in paths may begin with a small letter, as in the
 * reference; a missing class or tenant is a 404 without a body. */
#include "api/api_int.h"

#include <ctype.h>
#include <stdlib.h>

static sl_rc class_name(struct sli_call *c, struct sl_str *ret, struct sl_err *err)
{
    struct sl_str copy = sl_arena_str(&c->arena, c->segments[0]);
    if (copy.ptr == NULL) {
        return SL_NOMEM(err);
    }
    if (copy.len > 0) {
        ((char *)(uintptr_t)copy.ptr)[0] = (char)toupper((uint8_t)copy.ptr[0]);
    }
    *ret = copy;
    return SL_OK;
}

sl_rc sli_bare_404(struct sli_call *c, sl_rc rc)
{
    if (rc != SL_ENOTFOUND) {
        return rc;
    }
    sl_buf_clear(&c->out);
    c->status = 404;
    return SL_OK;
}

static sl_rc newline(struct sli_call *c, sl_rc rc)
{
    if (rc == SL_OK && c->status == 200) {
        sl_buf_add_u8(&c->out, '\n');
    }
    return rc;
}

/* Those the caller may read; one that goes meanwhile is left out. */
static sl_rc list_some(struct sli_call *c, struct sl_err *err)
{
    struct sl_str *names = NULL;
    uint32_t count = 0;
    bool is_first = true;
    SL_TRY(sl_db_classes(c->opts->db, &c->arena, &names, &count, err));
    sl_buf_add_text(&c->out, "{\"classes\":[");
    for (uint32_t i = 0; i < count; i++) {
        struct sl_resource what = {SL_ON_COLLECTIONS, {names[i]}};
        SL_AUTO(sl_buf) one = SL_BUF_EMPTY;
        if (!sli_may(&c->asker, SL_READ, &what)) {
            continue;
        }
        sl_rc rc = sl_db_class_get(c->opts->db, names[i], &one, err);
        if (rc == SL_OK) {
            sl_buf_add_text(&c->out, is_first ? "" : ",");
            sl_buf_add_str(&c->out, sl_buf_str(&one));
            is_first = false;
        } else if (rc != SL_ENOTFOUND) {
            return rc;
        }
    }
    sl_buf_add_text(&c->out, "]}");
    return SL_OK;
}

sl_rc sli_get_schema(struct sli_call *c, struct sl_err *err)
{
    struct sl_resource all = {.domain = SL_ON_COLLECTIONS};
    return newline(c, sli_may(&c->asker, SL_READ, &all)
                          ? sl_db_class_list(c->opts->db, &c->out, err)
                          : list_some(c, err));
}

sl_rc sli_post_schema(struct sli_call *c, struct sl_err *err)
{
    return newline(c, sl_db_class_create(c->opts->db, c->body, &c->out, err));
}

sl_rc sli_get_class(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    return newline(c, sli_bare_404(c, sl_db_class_get(c->opts->db, name, &c->out, err)));
}

sl_rc sli_put_class(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    return newline(c,
                   sli_bare_404(c, sl_db_class_update(c->opts->db, name, c->body, &c->out, err)));
}

sl_rc sli_delete_class(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    return sl_db_class_delete(c->opts->db, name, err);
}

sl_rc sli_post_property(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    return newline(c,
                   sli_bare_404(c, sl_db_property_add(c->opts->db, name, c->body, &c->out, err)));
}

sl_rc sli_get_shards(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    return newline(c, sli_bare_404(c, sl_db_class_shards(c->opts->db, name, &c->out, err)));
}

/* ---- tenants ---- */

/* Every tenant that the body names; all of them when it names none. */
static sl_rc ask_tenants(struct sli_call *c, enum sl_verb verb, struct sl_err *err)
{
    struct sl_resource what = {SL_ON_TENANTS, {c->segments[0]}};
    size_t i = 0;
    json_t *one = NULL;
    if (json_array_size(c->body) == 0) {
        return sli_ask(&c->asker, verb, &what, err);
    }
    json_array_foreach(c->body, i, one)
    {
        json_t *name = json_is_object(one) ? json_object_get(one, "name") : one;
        what.names[1] = (struct sl_str){json_string_value(name), json_string_length(name)};
        SL_TRY(sli_ask(&c->asker, verb, &what, err));
    }
    return SL_OK;
}

sl_rc sli_filter_tenants(struct sli_call *c, sl_rc rc, struct sl_err *err)
{
    struct sl_resource what = {SL_ON_TENANTS, {c->segments[0]}};
    if (rc != SL_OK || c->status != 200 || sli_may(&c->asker, SL_READ, &what)) {
        return rc;
    }
    json_t *list = json_loadb((const char *)c->out.ptr, c->out.len, 0, NULL);
    json_t *kept = json_array();
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(list, i, one)
    {
        json_t *name = json_object_get(one, "name");
        what.names[1] = (struct sl_str){json_string_value(name), json_string_length(name)};
        if (sli_may(&c->asker, SL_READ, &what)) {
            (void)json_array_append(kept, one);
        }
    }
    char *text = json_dumps(kept, JSON_COMPACT);
    sl_buf_clear(&c->out);
    sl_buf_add_text(&c->out, text == NULL ? "[]" : text);
    sl_buf_add_u8(&c->out, '\n');
    free(text); /* allow: free, jansson allocated it */
    json_decref(list);
    json_decref(kept);
    return sl_buf_done(&c->out, err);
}

sl_rc sli_post_tenants(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(ask_tenants(c, SL_CREATE, err));
    SL_TRY(class_name(c, &name, err));
    return newline(c, sli_bare_404(c, sl_db_tenants_add(c->opts->db, name, c->body, &c->out, err)));
}

sl_rc sli_put_tenants(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(ask_tenants(c, SL_UPDATE, err));
    SL_TRY(class_name(c, &name, err));
    return newline(c,
                   sli_bare_404(c, sl_db_tenants_update(c->opts->db, name, c->body, &c->out, err)));
}

sl_rc sli_delete_tenants(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(ask_tenants(c, SL_DELETE, err));
    SL_TRY(class_name(c, &name, err));
    return sli_bare_404(c, sl_db_tenants_delete(c->opts->db, name, c->body, err));
}

sl_rc sli_get_tenants(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    sl_rc rc = newline(c, sli_bare_404(c, sl_db_tenants_list(c->opts->db, name, &c->out, err)));
    return sli_filter_tenants(c, rc, err);
}

sl_rc sli_get_tenant(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    sl_rc rc = sl_db_tenant_get(c->opts->db, name, c->segments[1], &c->out, err);
    return newline(c, sli_bare_404(c, rc));
}
