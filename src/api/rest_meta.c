/* What every client asks first: meta, live, ready, links, nodes. */
#include "api/api_int.h"
#include "api/jwks.h"

sl_rc sli_get_root(struct sli_call *c, struct sl_err *err SL_UNUSED)
{
    c->status = 301;
    c->location = SL_STR("/v1");
    return SL_OK;
}

sl_rc sli_get_links(struct sli_call *c, struct sl_err *err SL_UNUSED)
{
    sl_buf_add_text(&c->out,
                    "{\"links\":[{\"href\":\"/v1/meta\",\"name\":\"Meta information about this "
                    "instance/cluster\"},{\"href\":\"/v1/schema\",\"name\":\"view complete "
                    "schema\"},{\"href\":\"/v1/objects\",\"name\":\"list objects\"},{\"href\":"
                    "\"/v1/export/filesystem\",\"name\":\"list exports\"}]}\n");
    return SL_OK;
}

sl_rc sli_get_meta(struct sli_call *c, struct sl_err *err SL_UNUSED)
{
    struct sl_json w = sl_json_over(&c->out);
    sl_json_obj(&w);
    sl_json_key(&w, "grpcMaxMessageSize");
    sl_json_i64(&w, (int64_t)sl_grpc_message_max(c->opts));
    sl_json_key(&w, "hostname");
    SL_AUTO(sl_buf) host = SL_BUF_EMPTY;
    sl_buf_addf(&host, "%s://%s:%u", c->opts->tls == NULL ? "http" : "https", c->opts->host,
                c->opts->port);
    sl_json_str(&w, sl_buf_str(&host));
    sl_json_key(&w, "modules");
    sl_json_obj(&w);
    sl_json_obj_end(&w);
    sl_json_key(&w, "version");
    sl_json_text(&w, SL_API_WEAVIATE_VERSION);
    sl_json_obj_end(&w);
    sl_buf_add_u8(&c->out, '\n');
    return SL_OK;
}

sl_rc sli_get_live(struct sli_call *c, struct sl_err *err SL_UNUSED)
{
    c->status = 200;
    return SL_OK;
}

sl_rc sli_get_ready(struct sli_call *c, struct sl_err *err SL_UNUSED)
{
    c->status = atomic_load_explicit(c->is_ready, memory_order_acquire) ? 200 : 503;
    return SL_OK;
}

static void add_scopes(struct sl_json *w, const char *scopes)
{
    sl_json_key(w, "scopes");
    sl_json_arr(w);
    for (const char *at = scopes; *at != '\0';) {
        size_t len = strcspn(at, ",");
        struct sl_str scope = sl_str_trim((struct sl_str){at, len});
        if (scope.len > 0) {
            sl_json_str(w, scope);
        }
        at += len + (at[len] == ',');
    }
    sl_json_arr_end(w);
}

/* Where clients log in. Without OIDC an empty 404, which they take as "no authentication". */
sl_rc sli_get_openid(struct sli_call *c, struct sl_err *err)
{
    const struct sl_jwks_opts *o = c->opts->oidc;
    if (o == NULL) {
        c->status = 404;
        return SL_OK;
    }
    SL_AUTO(sl_buf) href = SL_BUF_EMPTY;
    sl_jwks_discovery_url(o->oidc.issuer, &href);
    SL_TRY(sl_buf_done(&href, err));
    struct sl_json w = sl_json_over(&c->out);
    sl_json_obj(&w);
    sl_json_key(&w, "clientId");
    sl_json_text(&w, o->oidc.client_id);
    sl_json_key(&w, "href");
    sl_json_str(&w, sl_buf_str(&href));
    add_scopes(&w, o->scopes);
    sl_json_obj_end(&w);
    sl_buf_add_u8(&c->out, '\n');
    return SL_OK;
}

static sl_rc add_details(struct sli_call *c, struct sl_json *w, struct sl_err *err)
{
    struct sl_db_counts counts = {0};
    SL_AUTO(sl_buf) shards = SL_BUF_EMPTY;
    struct sl_str class_name = c->segment_count > 0 ? c->segments[0] : SL_STR("");
    SL_TRY(sl_db_counts(c->opts->db, &counts, err));
    SL_TRY(sl_db_node_shards(c->opts->db, class_name, &shards, err));
    sl_json_key(w, "shards");
    sl_json_raw(w, sl_buf_str(&shards));
    sl_json_key(w, "stats");
    sl_json_obj(w);
    sl_json_key(w, "objectCount");
    sl_json_u64(w, counts.object_count);
    sl_json_key(w, "shardCount");
    sl_json_u64(w, counts.shard_count);
    sl_json_obj_end(w);
    return SL_OK;
}

sl_rc sli_get_nodes(struct sli_call *c, struct sl_err *err)
{
    bool is_verbose = sl_str_is(sli_query(c, "output"), "verbose");
    struct sl_json w = sl_json_over(&c->out);
    sl_json_obj(&w);
    sl_json_key(&w, "nodes");
    sl_json_arr(&w);
    sl_json_obj(&w);
    sl_json_key(&w, "batchStats");
    sl_json_raw(&w, SL_STR("{\"queueLength\":0,\"ratePerSecond\":0}"));
    sl_json_key(&w, "name");
    sl_json_text(&w, c->opts->node_name);
    sl_json_key(&w, "operationalMode");
    sl_json_text(&w, c->opts->foreign == NULL ? "ReadWrite" : "ReadOnly");
    if (is_verbose) {
        SL_TRY(c->opts->foreign == NULL ? add_details(c, &w, err)
                                        : sli_foreign_details(c, &w, err));
    } else {
        sl_json_key(&w, "shards");
        sl_json_null(&w);
    }
    sl_json_key(&w, "status");
    bool is_ready = atomic_load_explicit(c->is_ready, memory_order_acquire);
    sl_json_text(&w, is_ready ? "HEALTHY" : "UNHEALTHY");
    sl_json_key(&w, "version");
    sl_json_text(&w, SL_API_WEAVIATE_VERSION);
    sl_json_obj_end(&w);
    sl_json_arr_end(&w);
    sl_json_obj_end(&w);
    sl_buf_add_u8(&c->out, '\n');
    return SL_OK;
}
