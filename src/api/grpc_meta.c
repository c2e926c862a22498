/* Health and tenants over gRPC. */
#include "api/api_int.h"
#include "api/grpc_int.h"
#include "contract/health.pb-c.h"
#include "contract/weaviate.pb-c.h"

/* Clients ask under all kinds of names, so the name does not matter. */
sl_rc sli_rpc_health(struct sli_rpc *c, struct sl_err *err)
{
    Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    reply.status = atomic_load_explicit(c->is_ready, memory_order_relaxed)
                       ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                       : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
    return sli_rpc_reply(c, &reply.base, err);
}

/* ---- tenants ---- */

static Weaviate__V1__TenantActivityStatus status_of(const char *name)
{
    static const Weaviate__V1__TenantActivityStatus wire[] = {
        [SL_HOT] = WEAVIATE__V1__TENANT_ACTIVITY_STATUS__TENANT_ACTIVITY_STATUS_HOT,
        [SL_COLD] = WEAVIATE__V1__TENANT_ACTIVITY_STATUS__TENANT_ACTIVITY_STATUS_COLD,
        [SL_FROZEN] = WEAVIATE__V1__TENANT_ACTIVITY_STATUS__TENANT_ACTIVITY_STATUS_FROZEN,
        [SL_FREEZING] = WEAVIATE__V1__TENANT_ACTIVITY_STATUS__TENANT_ACTIVITY_STATUS_FREEZING,
        [SL_UNFREEZING] = WEAVIATE__V1__TENANT_ACTIVITY_STATUS__TENANT_ACTIVITY_STATUS_UNFREEZING,
    };
    enum sl_tenant_status status;
    if (sl_tenant_status_parse(sl_str_from(name), &status)) {
        return wire[status];
    }
    return WEAVIATE__V1__TENANT_ACTIVITY_STATUS__TENANT_ACTIVITY_STATUS_UNSPECIFIED;
}

/* The names asked for as a set; NULL when all are wanted or memory ran out. */
static json_t *wanted_names(const Weaviate__V1__TenantsGetRequest *request)
{
    json_t *wanted = json_object();
    for (size_t i = 0; wanted != NULL && i < request->names->n_values; i++) {
        if (json_object_set_new(wanted, request->names->values[i], json_true()) != 0) {
            continue; /* not UTF-8, so no tenant's name */
        }
    }
    return wanted;
}

static sl_rc reply_tenants(struct sli_rpc *c, const char *collection, json_t *all, json_t *wanted,
                           struct sl_err *err)
{
    Weaviate__V1__TenantsGetReply reply = WEAVIATE__V1__TENANTS_GET_REPLY__INIT;
    size_t count = json_array_size(all);
    Weaviate__V1__Tenant *list = sl_arena_array(&c->arena, Weaviate__V1__Tenant, count + 1);
    reply.tenants = sl_arena_array(&c->arena, Weaviate__V1__Tenant *, count + 1);
    if (list == NULL || reply.tenants == NULL) {
        return SL_NOMEM(err);
    }
    struct sl_resource what = {SL_ON_TENANTS, {sl_str_from(collection)}};
    bool is_all = sli_may(&c->asker, SL_READ, &what);
    for (size_t i = 0; i < count; i++) {
        json_t *t = json_array_get(all, i);
        const char *name = json_string_value(json_object_get(t, "name"));
        what.names[1] = sl_str_from(name);
        if ((wanted != NULL && json_object_get(wanted, name) == NULL) ||
            (!is_all && !sli_may(&c->asker, SL_READ, &what))) {
            continue;
        }
        Weaviate__V1__Tenant *out = &list[reply.n_tenants];
        weaviate__v1__tenant__init(out);
        out->name = (char *)(uintptr_t)name;
        out->activity_status = status_of(json_string_value(json_object_get(t, "activityStatus")));
        reply.tenants[reply.n_tenants++] = out;
    }
    if (!is_all && reply.n_tenants == 0) {
        what.names[1] = (struct sl_str){0};
        return sli_ask(&c->asker, SL_READ, &what, err);
    }
    reply.took = sli_rpc_took(c);
    return sli_rpc_reply(c, &reply.base, err);
}

/* text: the JSON list of tenants, as REST replies it. */
static sl_rc reply_text(struct sli_rpc *c, const Weaviate__V1__TenantsGetRequest *request,
                        const struct sl_buf *text, struct sl_err *err)
{
    bool is_some = request->params_case == WEAVIATE__V1__TENANTS_GET_REQUEST__PARAMS_NAMES;
    json_t *all = json_loadb((const char *)text->ptr, text->len, 0, NULL);
    json_t *wanted = is_some ? wanted_names(request) : NULL;
    sl_rc rc = all == NULL || (is_some && wanted == NULL)
                   ? SL_NOMEM(err)
                   : reply_tenants(c, request->collection, all, wanted, err);
    json_decref(all);
    json_decref(wanted);
    return rc;
}

static sl_rc serve_tenants(struct sli_rpc *c,
                           sl_rc (*list)(struct sli_rpc *c, struct sl_str class_name,
                                         struct sl_buf *out, struct sl_err *err),
                           struct sl_err *err)
{
    Weaviate__V1__TenantsGetRequest *request = NULL;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    SL_TRY(sli_rpc_read(c, &weaviate__v1__tenants_get_request__descriptor, &request, err));
    sl_rc rc = list(c, sl_str_from(request->collection), &text, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "get tenants: failed to execute query: could not get tenants: "
                           "could not get tenants");
        return rc;
    }
    return reply_text(c, request, &text, err);
}

static sl_rc list_own(struct sli_rpc *c, struct sl_str class_name, struct sl_buf *out,
                      struct sl_err *err)
{
    return sl_db_tenants_list(c->opts->db, class_name, out, err);
}

static sl_rc list_foreign(struct sli_rpc *c, struct sl_str class_name, struct sl_buf *out,
                          struct sl_err *err)
{
    return sli_foreign_tenants_list(c->opts->foreign, class_name, out, err);
}

sl_rc sli_rpc_tenants_get(struct sli_rpc *c, struct sl_err *err)
{
    return serve_tenants(c, list_own, err);
}

sl_rc sli_rpc_foreign_tenants(struct sli_rpc *c, struct sl_err *err)
{
    return serve_tenants(c, list_foreign, err);
}
