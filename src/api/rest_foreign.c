/* Classes and tenants of foreign data: what a node beside a Weaviate server serves of it.
 *
 * Each call reads the schema as it lies on disk now: the server beside us changes it at any time,
 * and reading it costs milliseconds. Replies have the shapes of our own database's. Data that
 * cannot be read makes these calls fail and the node not ready; it comes back by itself. */
#include "api/api_int.h"

#include <ctype.h>

#include "source/weaviate.h"

sl_rc sli_foreign_ready(struct sli_call *c, struct sl_err *err)
{
    SL_AUTO(sl_schema) schema = {0};
    SL_TRY(sli_get_ready(c, err));
    if (c->status == 200 && sl_source_weaviate_schema(c->opts->foreign, &schema, err) != SL_OK) {
        c->status = 503;
    }
    return SL_OK;
}

/* What only folders tell has no JSON. */
static void add_class(struct sl_json *w, const struct sl_schema_class *one)
{
    if (one->json.len > 0) {
        sl_json_raw(w, one->json);
        return;
    }
    sl_json_obj(w);
    sl_json_key(w, "class");
    sl_json_str(w, one->name);
    sl_json_key(w, "multiTenancyConfig");
    sl_json_obj(w);
    sl_json_key(w, "enabled");
    sl_json_bool(w, one->is_multi_tenant);
    sl_json_obj_end(w);
    sl_json_obj_end(w);
}

sl_rc sli_foreign_schema(struct sli_call *c, struct sl_err *err)
{
    SL_AUTO(sl_schema) schema = {0};
    SL_TRY(sl_source_weaviate_schema(c->opts->foreign, &schema, err));
    struct sl_json w = sl_json_over(&c->out);
    sl_json_obj(&w);
    sl_json_key(&w, "classes");
    sl_json_arr(&w);
    for (uint32_t i = 0; i < schema.class_count; i++) {
        struct sl_resource what = {SL_ON_COLLECTIONS, {schema.classes[i].name}};
        if (sli_may(&c->asker, SL_READ, &what)) {
            add_class(&w, &schema.classes[i]);
        }
    }
    sl_json_arr_end(&w);
    sl_json_obj_end(&w);
    sl_buf_add_u8(&c->out, '\n');
    return SL_OK;
}

/* ---- of one class ---- */

/* Writes what a call tells of the class. */
typedef sl_rc tell_fn(struct sli_call *c, const struct sl_schema_class *one, struct sl_json *w,
                      struct sl_err *err);

/* Clients begin a name small or large as they like; names with a namespace really begin small. */
static const struct sl_schema_class *find_class(const struct sl_schema *schema, struct sl_str name)
{
    const struct sl_schema_class *found = sl_schema_class(schema, name);
    for (uint32_t i = 0; found == NULL && i < schema->class_count; i++) {
        struct sl_str other = schema->classes[i].name;
        if (other.len == name.len && name.len > 0 &&
            memcmp(other.ptr + 1, name.ptr + 1, name.len - 1) == 0 &&
            toupper((uint8_t)other.ptr[0]) == toupper((uint8_t)name.ptr[0])) {
            found = &schema->classes[i];
        }
    }
    return found;
}

static sl_rc of_class(struct sli_call *c, tell_fn *tell, struct sl_err *err)
{
    SL_AUTO(sl_schema) schema = {0};
    SL_TRY(sl_source_weaviate_schema(c->opts->foreign, &schema, err));
    const struct sl_schema_class *one = find_class(&schema, c->segments[0]);
    struct sl_json w = sl_json_over(&c->out);
    SL_TRY(sli_bare_404(c, one == NULL ? SL_ENOTFOUND : tell(c, one, &w, err)));
    if (c->status == 200) {
        sl_buf_add_u8(&c->out, '\n');
    }
    return SL_OK;
}

static sl_rc tell_class(struct sli_call *c SL_UNUSED, const struct sl_schema_class *one,
                        struct sl_json *w, struct sl_err *err SL_UNUSED)
{
    add_class(w, one);
    return SL_OK;
}

static sl_rc tell_shards(struct sli_call *c SL_UNUSED, const struct sl_schema_class *one,
                         struct sl_json *w, struct sl_err *err SL_UNUSED)
{
    sl_json_arr(w);
    for (uint32_t i = 0; i < one->shard_count; i++) {
        sl_db_shard_json(w, one->shards[i].name);
    }
    sl_json_arr_end(w);
    return SL_OK;
}

static sl_rc check_tenancy(const struct sl_schema_class *one, struct sl_err *err)
{
    return one->is_multi_tenant
               ? SL_OK
               : SL_FAIL(err, SL_EINVAL, "multi-tenancy is not enabled for class \"%.*s\"",
                         SL_STR_ARG(one->name));
}

static sl_rc add_tenants(const struct sl_schema_class *one, struct sl_json *w, struct sl_err *err)
{
    SL_TRY(check_tenancy(one, err));
    sl_json_arr(w);
    for (uint32_t i = 0; i < one->shard_count; i++) {
        sl_db_tenant_json(w, one->shards[i].name, one->shards[i].status);
    }
    sl_json_arr_end(w);
    return SL_OK;
}

sl_rc sli_foreign_tenants_list(struct sl_source *source, struct sl_str class_name,
                               struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_schema) schema = {0};
    struct sl_json w = sl_json_over(out);
    SL_TRY(sl_source_weaviate_schema(source, &schema, err));
    const struct sl_schema_class *one = sl_schema_class(&schema, class_name);
    return one != NULL ? add_tenants(one, &w, err)
                       : SL_FAIL(err, SL_EINVAL, "could not find class %.*s in schema",
                                 SL_STR_ARG(class_name));
}

static sl_rc tell_tenants(struct sli_call *c SL_UNUSED, const struct sl_schema_class *one,
                          struct sl_json *w, struct sl_err *err)
{
    return add_tenants(one, w, err);
}

static sl_rc tell_tenant(struct sli_call *c, const struct sl_schema_class *one, struct sl_json *w,
                         struct sl_err *err)
{
    SL_TRY(check_tenancy(one, err));
    for (uint32_t i = 0; i < one->shard_count; i++) {
        if (sl_str_eq(one->shards[i].name, c->segments[1])) {
            sl_db_tenant_json(w, one->shards[i].name, one->shards[i].status);
            return SL_OK;
        }
    }
    return SL_ENOTFOUND;
}

sl_rc sli_foreign_class(struct sli_call *c, struct sl_err *err)
{
    return of_class(c, tell_class, err);
}

sl_rc sli_foreign_shards(struct sli_call *c, struct sl_err *err)
{
    return of_class(c, tell_shards, err);
}

sl_rc sli_foreign_tenants(struct sli_call *c, struct sl_err *err)
{
    return sli_filter_tenants(c, of_class(c, tell_tenants, err), err);
}

sl_rc sli_foreign_tenant(struct sli_call *c, struct sl_err *err)
{
    return of_class(c, tell_tenant, err);
}

/* ---- the node ---- */

/* As of our database: shards that are open, so no tenants that are not HOT. Objects are counted
 * from the files of a view, the only place that knows. */
sl_rc sli_foreign_details(struct sli_call *c, struct sl_json *w, struct sl_err *err)
{
    struct sl_frozen *view = NULL;
    const struct sl_weaviate_shard *shards = NULL;
    struct sl_str only = c->segment_count > 0 ? c->segments[0] : SL_STR("");
    uint32_t count = 0, told = 0;
    uint64_t objects = 0;
    SL_TRY(c->opts->foreign->ops->freeze(c->opts->foreign, SL_STR("nodes"), &view, err));
    sl_rc rc = sl_weaviate_view_shards(view, &shards, &count);
    sl_json_key(w, "shards");
    sl_json_arr(w);
    for (uint32_t i = 0; rc == SL_OK && i < count; i++) {
        const struct sl_shard *s = &shards[i].shard;
        if (shards[i].status != SL_HOT || (only.len > 0 && !sl_str_eq(s->class_name, only))) {
            continue;
        }
        sl_db_node_shard_json(w, s->class_name, s->name, s->object_count);
        objects += s->object_count;
        told++;
    }
    sl_json_arr_end(w);
    sl_frozen_release(view, true);
    sl_json_key(w, "stats");
    sl_json_obj(w);
    sl_json_key(w, "objectCount");
    sl_json_u64(w, objects);
    sl_json_key(w, "shardCount");
    sl_json_u64(w, told);
    sl_json_obj_end(w);
    return rc;
}
