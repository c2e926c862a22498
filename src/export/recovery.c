/* What a killed process left: its journal says which exports were running and where they wrote.
 *
 * Each gets its end: FAILED `interrupted`, or CANCELED when that was wanted; temporary files and
 * the frozen view are removed. A record on the backend that already tells an end is right and
 * stays: the process died between that and the journal. One on which `startedAt` differs is not
 * ours. Called at open only, before anything can run. */
#include "export/export_int.h"

#include <stdlib.h>

#include "base/str.h"

#define INTERRUPTED "interrupted: the node stopped while the export was running"
#define CANCELED    "export was canceled"

/* One export at work. */
struct left {
    struct sl_exports *ex;
    struct sl_str id;
    json_t *journal;
    struct sl_backend *be;
    struct sl_str completed; /* now, as records print times */
    const char *state, *reason;
};

static struct sl_str member(json_t *doc, const char *key)
{
    const char *text = json_string_value(json_object_get(doc, key));
    return sl_str_from(text == NULL ? "" : text);
}

/* *ret is NULL when the record does not exist. */
static sl_rc get_record(const struct left *l, struct sl_str key, json_t **ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    *ret = NULL;
    sl_rc rc = sl_backend_get(l->be, key, SLI_METADATA_MAX, &text, err);
    if (rc != SL_OK) {
        return rc == SL_ENOTFOUND ? SL_OK : rc;
    }
    *ret = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    if (!json_is_object(*ret)) {
        json_decref(*ret);
        *ret = NULL;
        return SL_FAIL(err, SL_ECORRUPT, "%.*s is not JSON", SL_STR_ARG(key));
    }
    return SL_OK;
}

static sl_rc put_ended(const struct left *l, struct sl_str key, json_t *doc, const char *state,
                       size_t flags, struct sl_err *err)
{
    (void)json_object_set_new(doc, "status", json_string(state));
    (void)json_object_set_new(doc, "error", json_string(l->reason));
    (void)json_object_set_new(doc, "completedAt", json_stringn(l->completed.ptr, l->completed.len));
    char *text = json_dumps(doc, flags);
    if (text == NULL) {
        return SL_NOMEM(err);
    }
    sl_rc rc = sl_backend_put(l->be, key, SL_BYTES(text, strlen(text)), SL_PUT_REPLACE, err);
    free(text); /* allow: free, jansson allocated it */
    return rc;
}

static sl_rc end_node_record(const struct left *l, struct sl_err *err)
{
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    struct sl_str node = l->ex->node_name;
    sl_buf_addf(&key, "%.*s/node_%.*s_status.json", SL_STR_ARG(l->id), SL_STR_ARG(node));
    SL_TRY(sl_buf_done(&key, err));
    json_t *doc = NULL;
    SL_TRY(get_record(l, sl_buf_str(&key), &doc, err));
    if (doc == NULL) { /* killed before the first one was written */
        doc = json_object();
        (void)json_object_set_new(doc, "nodeName", json_stringn(node.ptr, node.len));
        (void)json_object_set_new(doc, "version", json_string(SL_VERSION));
    }
    sl_rc rc = put_ended(l, sl_buf_str(&key), doc, "FAILED", JSON_COMPACT, err);
    json_decref(doc);
    return rc;
}

/* *ret_state: how the journal is to tell the end; NULL: the id was never claimed by us. */
static sl_rc end_records(const struct left *l, const char **ret_state, struct sl_err *err)
{
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    json_t *doc = NULL;
    sl_buf_addf(&key, "%.*s/%s", SL_STR_ARG(l->id), SLI_METADATA_KEY);
    SL_TRY(sl_buf_done(&key, err));
    SL_TRY(get_record(l, sl_buf_str(&key), &doc, err));
    bool is_ours =
        doc != NULL && sl_str_eq(member(doc, "startedAt"), member(l->journal, "startedAt"));
    bool is_open = is_ours && sl_str_is(member(doc, "status"), "STARTED");
    sl_rc rc = SL_OK;
    if (is_open) {
        rc = sli_manifest_remove(l->be, l->id, err);
        if (rc == SL_OK) {
            rc = end_node_record(l, err);
        }
        if (rc == SL_OK) {
            rc = put_ended(l, sl_buf_str(&key), doc, l->state, JSON_INDENT(2), err);
        }
    }
    *ret_state = NULL;
    for (int s = SL_EXPORT_SUCCESS; is_ours && s <= SL_EXPORT_CANCELED; s++) {
        const char *name = sl_export_state_name((enum sl_export_state)s);
        *ret_state = sl_str_is(member(doc, "status"), name) ? name : *ret_state;
    }
    json_decref(doc);
    return rc;
}

static sl_rc recover_one(struct sl_exports *ex, json_t *journal, struct sl_err *err)
{
    SL_AUTO_PTR(sl_backend) be = NULL;
    SL_AUTO(sl_buf) prefix = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) time = SL_BUF_EMPTY;
    bool is_canceled = sl_str_is(member(journal, "state"), "CANCELED");
    struct sl_source *src = ex->opts.source;
    SL_TRY(src->ops->drop(src, member(journal, "freeze"), err));
    SL_TRY(sli_open(ex, member(journal, "root"), NULL, SLI_LOOK_NS, &be, err));
    sl_buf_addf(&prefix, "%.*s/", SL_STR_ARG(member(journal, "id")));
    sl_time_add_ns(&time, sl_clock_wall_ns(ex->opts.clock));
    SL_TRY(sl_buf_done(&prefix, err));
    SL_TRY(sl_buf_done(&time, err));
    SL_TRY(be->ops->sweep(be, sl_buf_str(&prefix), err));
    struct left l = {.ex = ex,
                     .id = member(journal, "id"),
                     .journal = journal,
                     .be = be,
                     .completed = sl_buf_str(&time),
                     .state = is_canceled ? "CANCELED" : "FAILED",
                     .reason = is_canceled ? CANCELED : INTERRUPTED};
    const char *state = NULL;
    SL_TRY(end_records(&l, &state, err));
    return sli_journal_end(ex, l.id, journal, state, err);
}

sl_rc sli_recover(struct sl_exports *ex, struct sl_err *err)
{
    if (ex->opts.journal == NULL) {
        return SL_OK;
    }
    json_t *open = json_array();
    sl_rc rc = sli_journal_list_open(ex, open, err);
    for (size_t i = 0; rc == SL_OK && i < json_array_size(open); i++) {
        json_t *journal = json_array_get(open, i);
        struct sl_err one = {0};
        sl_rc one_rc = recover_one(ex, journal, &one);
        /* Its folder may be gone or unmounted: the node must start; the next start tries again. */
        sli_log_recovery(member(journal, "id"), one_rc == SL_OK ? NULL : &one, one_rc);
    }
    json_decref(open);
    return rc;
}
