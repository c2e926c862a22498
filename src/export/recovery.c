/* What a killed process left: its journal says which exports were running and where they wrote.
 *
 * Each gets its end: FAILED `interrupted`, or CANCELED when that was wanted; temporary files and
 * the frozen view are removed. A record on the backend that already tells an end is right and
 * stays: the process died between that and the journal. One on which `startedAt` differs is not
 * ours, and nothing is touched there.
 *
 * In a folder that happens at open, before anything can run. A store may be away, and no node waits
 * for it: there, and in folders that are not mounted yet, a thread does it, again and again until
 * all are ended or the node stops. Their ids stay taken by the journal meanwhile, so this node
 * writes nothing below them; their frozen views go at open. */
#include "export/export_int.h"

#include <stdlib.h>

#include "base/stats.h"
#include "base/str.h"

#define INTERRUPTED "interrupted: the node stopped while the export was running"
#define CANCELED    "export was canceled"

#define RETRY_MIN_NS INT64_C(1000000000)   /* after the first failure; doubles with each round */
#define RETRY_MAX_NS INT64_C(300000000000) /* a store that is back is found within five minutes */

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

/* Not below an id that another node has claimed: its uploads would go. */
static sl_rc sweep(const struct left *l, struct sl_err *err)
{
    SL_AUTO(sl_buf) prefix = SL_BUF_EMPTY;
    sl_buf_addf(&prefix, "%.*s/", SL_STR_ARG(l->id));
    SL_TRY(sl_buf_done(&prefix, err));
    return l->be->ops->sweep(l->be, sl_buf_str(&prefix), err);
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
    sl_rc rc = doc == NULL || is_ours ? sweep(l, err) : SL_OK;
    if (rc == SL_OK && is_open) {
        rc = sli_manifest_remove(l->be, l->id, err);
        if (rc == SL_OK) {
            rc = end_node_record(l, err);
        }
        if (rc == SL_OK) {
            rc = put_ended(l, sl_buf_str(&key), doc, l->state, JSON_INDENT(2), err);
        }
        if (rc == SL_OK) {
            bool is_failed = strcmp(l->state, "FAILED") == 0;
            sl_stat_add(is_failed ? SL_STAT_EXPORTS_FAILED : SL_STAT_EXPORTS_CANCELED, 1);
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

const char *sli_recovery_state(json_t *journal, const char **ret_reason)
{
    bool is_canceled = sl_str_is(member(journal, "state"), "CANCELED");
    *ret_reason = is_canceled ? CANCELED : INTERRUPTED;
    return is_canceled ? "CANCELED" : "FAILED";
}

static sl_rc recover_one(struct sl_exports *ex, json_t *journal, struct sl_err *err)
{
    SL_AUTO_PTR(sl_backend) be = NULL;
    SL_AUTO(sl_buf) time = SL_BUF_EMPTY;
    struct sl_source *src = ex->opts.source;
    SL_TRY(src->ops->drop(src, member(journal, "freeze"), err));
    SL_TRY(sli_open(ex, member(journal, "root"), &ex->recovery.cancel, SLI_LOOK_NS, &be, err));
    sl_time_add_ns(&time, sl_clock_wall_ns(ex->opts.clock));
    SL_TRY(sl_buf_done(&time, err));
    struct left l = {.ex = ex,
                     .id = member(journal, "id"),
                     .journal = journal,
                     .be = be,
                     .completed = sl_buf_str(&time)};
    l.state = sli_recovery_state(journal, &l.reason);
    const char *state = NULL;
    SL_TRY(end_records(&l, &state, err));
    return sli_journal_end(ex, l.id, journal, state, err);
}

/* Tries each once; what is ended leaves the list. At the start stores are left for the thread. */
static void recover_round(struct sl_exports *ex, bool is_start)
{
    json_t *left = ex->recovery.left;
    struct sl_source *src = ex->opts.source;
    for (size_t i = json_array_size(left); i-- > 0;) {
        json_t *journal = json_array_get(left, i);
        struct sl_err err = {0};
        if (is_start && sl_backend_is_store(member(journal, "root"))) {
            SL_IGNORE(src->ops->drop(src, member(journal, "freeze"), NULL), "tried again there");
            continue;
        }
        sl_rc rc = recover_one(ex, journal, &err);
        if (sl_cancel_is_set(&ex->recovery.cancel) && rc != SL_OK) {
            return;
        }
        sli_log_recovery(member(journal, "id"), rc == SL_OK ? NULL : &err, rc);
        if (rc == SL_OK) {
            (void)json_array_remove(left, i);
        }
    }
}

static void recover_in_time(void *arg)
{
    struct sl_exports *ex = arg;
    int64_t wait_ns = 0;
    while (json_array_size(ex->recovery.left) > 0 &&
           !sl_cancel_wait_for(&ex->recovery.cancel, wait_ns)) {
        recover_round(ex, false);
        wait_ns = SL_MIN(SL_MAX(2 * wait_ns, RETRY_MIN_NS), RETRY_MAX_NS);
    }
}

sl_rc sli_recover(struct sl_exports *ex, struct sl_err *err)
{
    if (ex->opts.journal == NULL) {
        return SL_OK;
    }
    ex->recovery.left = json_array();
    if (ex->recovery.left == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sli_journal_list_open(ex, ex->recovery.left, err));
    recover_round(ex, true);
    return json_array_size(ex->recovery.left) == 0
               ? SL_OK
               : sl_thread_start("recovery", recover_in_time, ex, &ex->recovery.thread, err);
}

void sli_recovery_stop(struct sl_exports *ex)
{
    sl_cancel_set(&ex->recovery.cancel);
}

void sli_recovery_end(struct sl_exports *ex)
{
    sl_thread_join(ex->recovery.thread);
    json_decref(ex->recovery.left);
}
