/* Classes, properties, tenants. Class names in paths may begin with a small letter, as in the
 * reference; a missing class or tenant is a 404 without a body. */
#include "api/api_int.h"

#include <ctype.h>

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

/* 404 without a body; other failures keep their sentence. */
static sl_rc bare_404(struct sli_call *c, sl_rc rc)
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

sl_rc sli_get_schema(struct sli_call *c, struct sl_err *err)
{
    return newline(c, sl_db_class_list(c->opts->db, &c->out, err));
}

sl_rc sli_post_schema(struct sli_call *c, struct sl_err *err)
{
    return newline(c, sl_db_class_create(c->opts->db, c->body, &c->out, err));
}

sl_rc sli_get_class(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    return newline(c, bare_404(c, sl_db_class_get(c->opts->db, name, &c->out, err)));
}

sl_rc sli_put_class(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    return newline(c, bare_404(c, sl_db_class_update(c->opts->db, name, c->body, &c->out, err)));
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
    return newline(c, bare_404(c, sl_db_property_add(c->opts->db, name, c->body, &c->out, err)));
}

sl_rc sli_get_shards(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    return newline(c, bare_404(c, sl_db_class_shards(c->opts->db, name, &c->out, err)));
}

/* ---- tenants ---- */

sl_rc sli_post_tenants(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    return newline(c, bare_404(c, sl_db_tenants_add(c->opts->db, name, c->body, &c->out, err)));
}

sl_rc sli_put_tenants(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    return newline(c, bare_404(c, sl_db_tenants_update(c->opts->db, name, c->body, &c->out, err)));
}

sl_rc sli_delete_tenants(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    return bare_404(c, sl_db_tenants_delete(c->opts->db, name, c->body, err));
}

sl_rc sli_get_tenants(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    return newline(c, bare_404(c, sl_db_tenants_list(c->opts->db, name, &c->out, err)));
}

sl_rc sli_get_tenant(struct sli_call *c, struct sl_err *err)
{
    struct sl_str name;
    SL_TRY(class_name(c, &name, err));
    sl_rc rc = sl_db_tenant_get(c->opts->db, name, c->segments[1], &c->out, err);
    return newline(c, bare_404(c, rc));
}
