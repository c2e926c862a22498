/* Replies about exports known by their export_metadata.json only: ended ones of earlier runs, and
 * those of other nodes that share the destination. */
#include "base/str.h"
#include "export/export_int.h"

static int64_t time_of(json_t *doc, const char *key)
{
    const char *text = json_string_value(json_object_get(doc, key));
    int64_t ns = 0;
    /* Year 1 stands for "not yet" and lies outside what nanoseconds can hold. */
    return text != NULL && sl_time_parse(sl_str_from(text), &ns) && ns > 0 ? ns : 0;
}

static void add_text(struct sl_json *w, json_t *doc, const char *key)
{
    const char *text = json_string_value(json_object_get(doc, key));
    if (text != NULL && text[0] != '\0') {
        sl_json_key(w, key);
        sl_json_text(w, text);
    }
}

static void add_classes(struct sl_json *w, json_t *doc)
{
    size_t i = 0;
    json_t *one = NULL;
    sl_json_key(w, "classes");
    sl_json_arr(w);
    json_array_foreach(json_object_get(doc, "classes"), i, one)
    {
        sl_json_text(w, json_string_value(one) == NULL ? "" : json_string_value(one));
    }
    sl_json_arr_end(w);
}

static void add_shard(struct sl_json *w, json_t *shard)
{
    uint64_t rows = (uint64_t)json_number_value(json_object_get(shard, "objectsExported"));
    sl_json_obj(w);
    add_text(w, shard, "error");
    if (rows > 0) {
        sl_json_key(w, "objectsExported");
        sl_json_u64(w, rows);
    }
    add_text(w, shard, "skipReason");
    add_text(w, shard, "status");
    sl_json_obj_end(w);
}

static uint64_t sum_rows(json_t *doc)
{
    uint64_t rows = 0;
    const char *key = NULL;
    json_t *shards = NULL, *shard = NULL;
    json_object_foreach(json_object_get(doc, "shardStatus"), key, shards)
    {
        json_object_foreach(shards, key, shard)
        {
            rows += (uint64_t)json_number_value(json_object_get(shard, "objectsExported"));
        }
    }
    return rows;
}

static void add_shards(struct sl_json *w, json_t *doc)
{
    const char *class_name = NULL, *name = NULL;
    json_t *shards = NULL, *shard = NULL;
    if (json_object_size(json_object_get(doc, "shardStatus")) == 0) {
        return;
    }
    sl_json_key(w, "shardStatus");
    sl_json_obj(w);
    json_object_foreach(json_object_get(doc, "shardStatus"), class_name, shards)
    {
        sl_json_key(w, class_name);
        sl_json_obj(w);
        json_object_foreach(shards, name, shard)
        {
            sl_json_key(w, name);
            add_shard(w, shard);
        }
        sl_json_obj_end(w);
    }
    sl_json_obj_end(w);
}

/* Was the export of this record one of ours whose end recovery has yet to write? */
static bool is_left(json_t *doc, json_t *journal)
{
    return journal != NULL && !json_is_true(json_object_get(journal, "isFinal")) &&
           json_equal(json_object_get(doc, "startedAt"), json_object_get(journal, "startedAt"));
}

/* A record that still says STARTED here belongs to an export nobody runs any more. */
static void add_state(struct sl_json *w, struct sl_exports *ex, json_t *doc, json_t *journal,
                      const char **ret_status)
{
    const char *status = json_string_value(json_object_get(doc, "status"));
    bool is_dead = status == NULL || strcmp(status, "STARTED") == 0;
    *ret_status = is_dead ? "FAILED" : status;
    if (is_dead && is_left(doc, journal)) {
        const char *reason = NULL;
        *ret_status = sli_recovery_state(journal, &reason);
        sl_json_key(w, "error");
        sl_json_text(w, reason);
    } else if (is_dead) {
        const char *id = json_string_value(json_object_get(doc, "id"));
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        sl_buf_addf(&text, "node %.*s is no longer running export %s", SL_STR_ARG(ex->node_name),
                    id == NULL ? "" : id);
        sl_json_key(w, "error");
        sl_json_str(w, sl_buf_str(&text));
    } else {
        add_text(w, doc, "error");
    }
}

sl_rc sli_stored_reply(struct sl_exports *ex, struct sl_bytes metadata, json_t *journal,
                       struct sl_str place, bool is_listing, struct sl_buf *out, struct sl_err *err)
{
    json_t *doc = json_loadb((const char *)metadata.ptr, metadata.len, 0, NULL);
    if (!json_is_object(doc)) {
        json_decref(doc);
        return SL_FAIL(err, SL_ECORRUPT, "get export metadata: %.*s/%s is not JSON",
                       SL_STR_ARG(place), SLI_METADATA_KEY);
    }
    int64_t started = time_of(doc, "startedAt"), completed = time_of(doc, "completedAt");
    const char *status = NULL;
    struct sl_json w = sl_json_over(out);
    sl_json_obj(&w);
    add_text(&w, doc, "backend");
    add_classes(&w, doc);
    if (completed != 0) {
        sl_json_key(&w, "completedAt");
        sl_json_time_ms(&w, completed);
    }
    add_state(&w, ex, doc, journal, &status);
    add_text(&w, doc, "id");
    if (strcmp(status, "SUCCESS") == 0) {
        uint64_t rows = sum_rows(doc);
        sl_json_key(&w, "objectsExported");
        sl_json_u64(&w, rows);
        sl_json_key(&w, "objectsTotal");
        sl_json_u64(&w, rows);
    }
    sl_json_key(&w, "path");
    sl_json_str(&w, place);
    if (!is_listing) {
        add_shards(&w, doc);
    }
    sl_json_key(&w, "startedAt");
    sl_json_time_ms(&w, started);
    sl_json_key(&w, "status");
    sl_json_text(&w, status);
    if (completed != 0 && (completed - started) / 1000000 != 0) {
        sl_json_key(&w, "tookInMs");
        sl_json_i64(&w, (completed - started) / 1000000);
    }
    sl_json_obj_end(&w);
    json_decref(doc);
    return sl_buf_done(out, err);
}
