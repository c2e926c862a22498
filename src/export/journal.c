/* One record per export in kv, so that a restart knows what was running and where it wrote.
 *
 * Key: 'j' | 0 (u64) | id. Value: JSON {backend, freeze, isFinal, root, state}. The record is
 * written before the freeze and before the id is claimed on the backend; isFinal is set with the
 * end. Recovery ends what is not final: FAILED `interrupted` (CANCELED when that was wanted),
 * temporary files and the frozen view removed. Without a kv (command line) all of this is nothing.
 */
#include "export/export_int.h"

#include <stdlib.h>

#include "base/str.h"

static void journal_key(struct sl_str id, struct sl_buf *out)
{
    sl_buf_add_u8(out, 'j');
    sl_buf_add_u64be(out, 0);
    sl_buf_add_str(out, id);
}

static sl_rc commit(struct sl_kv *kv, struct sl_str id, const struct sl_buf *value,
                    struct sl_err *err)
{
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    SL_AUTO_PTR(sl_kv_batch) batch = sl_kv_batch_new();
    journal_key(id, &key);
    SL_TRY(sl_buf_done(&key, err));
    if (batch == NULL) {
        return SL_NOMEM(err);
    }
    if (value == NULL) {
        sl_kv_batch_delete(batch, sl_buf_view(&key));
    } else {
        SL_TRY(sl_buf_done(value, err));
        sl_kv_batch_put(batch, sl_buf_view(&key), sl_buf_view(value));
    }
    SL_TRY(sl_kv_commit(kv, batch, err));
    return sl_kv_sync(kv, err);
}

static void add_record(struct sl_buf *out, struct sl_str backend, struct sl_str root,
                       struct sl_str freeze, const char *state, bool is_final)
{
    struct sl_json w = sl_json_over(out);
    sl_json_obj(&w);
    sl_json_key(&w, "backend");
    sl_json_str(&w, backend);
    sl_json_key(&w, "freeze");
    sl_json_str(&w, freeze);
    sl_json_key(&w, "isFinal");
    sl_json_bool(&w, is_final);
    sl_json_key(&w, "root");
    sl_json_str(&w, root);
    sl_json_key(&w, "state");
    sl_json_text(&w, state);
    sl_json_obj_end(&w);
}

sl_rc sli_journal_put(struct sli_job *job, enum sl_export_state state, bool is_final,
                      struct sl_err *err)
{
    struct sl_kv *kv = job->ex->opts.journal;
    if (kv == NULL) {
        return SL_OK;
    }
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    add_record(&value, job->backend_name, job->root, job->freeze_name, sl_export_state_name(state),
               is_final);
    return commit(kv, job->id, &value, err);
}

sl_rc sli_journal_drop(struct sli_job *job, struct sl_err *err)
{
    struct sl_kv *kv = job->ex->opts.journal;
    return kv == NULL ? SL_OK : commit(kv, job->id, NULL, err);
}

sl_rc sli_journal_has(struct sl_exports *ex, struct sl_str id, bool *ret, struct sl_err *err)
{
    *ret = false;
    if (ex->opts.journal == NULL) {
        return SL_OK;
    }
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    journal_key(id, &key);
    SL_TRY(sl_buf_done(&key, err));
    sl_rc rc = sl_kv_get(ex->opts.journal, NULL, sl_buf_view(&key), &value, err);
    *ret = rc == SL_OK;
    return rc == SL_ENOTFOUND ? SL_OK : rc;
}

/* ---- recovery ---- */

static struct sl_str member(json_t *doc, const char *key)
{
    const char *text = json_string_value(json_object_get(doc, key));
    return sl_str_from(text == NULL ? "" : text);
}

/* Rewrites one JSON record of an interrupted export on the backend; absent is fine. */
static sl_rc end_record(struct sl_backend *be, struct sl_str key, const char *state,
                        const char *reason, struct sl_str completed, int flags, bool *ret_has,
                        struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_rc rc = sl_backend_get(be, key, SLI_METADATA_MAX, &text, err);
    *ret_has = rc == SL_OK;
    if (rc != SL_OK) {
        return rc == SL_ENOTFOUND ? SL_OK : rc;
    }
    json_t *doc = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    if (doc == NULL) {
        return SL_FAIL(err, SL_ECORRUPT, "%.*s is not JSON", SL_STR_ARG(key));
    }
    (void)json_object_set_new(doc, "status", json_string(state));
    (void)json_object_set_new(doc, "error", json_string(reason));
    (void)json_object_set_new(doc, "completedAt", json_stringn(completed.ptr, completed.len));
    char *dump = json_dumps(doc, flags);
    json_decref(doc);
    if (dump == NULL) {
        return SL_NOMEM(err);
    }
    rc = sl_backend_put(be, key, SL_BYTES(dump, strlen(dump)), SL_PUT_REPLACE, err);
    free(dump); /* allow: free, jansson allocated it */
    return rc;
}

static sl_rc end_on_backend(struct sl_exports *ex, struct sl_backend *be, struct sl_str id,
                            bool is_canceled, bool *ret_claimed, struct sl_err *err)
{
    const char *reason = is_canceled ? "export was canceled"
                                     : "interrupted: the node stopped while the export was running";
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) time = SL_BUF_EMPTY;
    bool has = false;
    sl_time_add_ns(&time, sl_clock_wall_ns(ex->opts.clock));
    sl_buf_addf(&key, "%.*s/", SL_STR_ARG(id));
    SL_TRY(sl_buf_done(&key, err));
    SL_TRY(be->ops->sweep(be, sl_buf_str(&key), err));
    sl_buf_add_text(&key, SLI_METADATA_KEY);
    SL_TRY(end_record(be, sl_buf_str(&key), is_canceled ? "CANCELED" : "FAILED", reason,
                      sl_buf_str(&time), JSON_INDENT(2), ret_claimed, err));
    sl_buf_clear(&key);
    sl_buf_addf(&key, "%.*s/node_%.*s_status.json", SL_STR_ARG(id), SL_STR_ARG(ex->node_name));
    SL_TRY(sl_buf_done(&key, err));
    return end_record(be, sl_buf_str(&key), "FAILED", reason, sl_buf_str(&time), JSON_COMPACT, &has,
                      err);
}

static sl_rc recover_one(struct sl_exports *ex, struct sl_str id, json_t *doc, struct sl_err *err)
{
    bool is_canceled = sl_str_is(member(doc, "state"), "CANCELED");
    struct sl_source *src = ex->opts.source;
    SL_TRY(src->ops->drop(src, member(doc, "freeze"), err));
    SL_AUTO_PTR(sl_backend) be = NULL;
    bool is_claimed = false;
    SL_TRY(ex->open_backend(member(doc, "backend"), member(doc, "root"), &be, err));
    SL_TRY(end_on_backend(ex, be, id, is_canceled, &is_claimed, err));
    if (!is_claimed) {
        return commit(ex->opts.journal, id, NULL,
                      err); /* killed before the claim: the id is free */
    }
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    add_record(&value, member(doc, "backend"), member(doc, "root"), member(doc, "freeze"),
               is_canceled ? "CANCELED" : "FAILED", true);
    return commit(ex->opts.journal, id, &value, err);
}

/* The ids that are not final, collected first: recovery commits while it walks. */
static sl_rc list_open(struct sl_exports *ex, json_t *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) lo = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) hi = SL_BUF_EMPTY;
    journal_key(SL_STR(""), &lo);
    sl_buf_add_u8(&hi, 'j');
    sl_buf_add_u64be(&hi, 1);
    SL_TRY(sl_buf_done(&lo, err));
    SL_TRY(sl_buf_done(&hi, err));
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    struct sl_kv_span span = {sl_buf_view(&lo), sl_buf_view(&hi)};
    SL_TRY(sl_kv_scan(ex->opts.journal, NULL, span, false, &it, err));
    for (;;) {
        struct sl_bytes key, value;
        sl_rc rc = sl_kv_next(it, &key, &value, err);
        if (rc == SL_END) {
            return SL_OK;
        }
        SL_TRY(rc);
        json_t *doc = json_loadb((const char *)value.ptr, value.len, 0, NULL);
        if (doc != NULL && !json_is_true(json_object_get(doc, "isFinal"))) {
            (void)json_object_set_new(doc, "id",
                                      json_stringn((const char *)key.ptr + SL_KV_PARTITION_SIZE,
                                                   key.len - SL_KV_PARTITION_SIZE));
            (void)json_array_append(ret, doc);
        }
        json_decref(doc);
    }
}

sl_rc sli_recover(struct sl_exports *ex, struct sl_err *err)
{
    if (ex->opts.journal == NULL) {
        return SL_OK;
    }
    json_t *open = json_array();
    sl_rc rc = list_open(ex, open, err);
    size_t i = 0;
    json_t *doc = NULL;
    json_array_foreach(open, i, doc)
    {
        struct sl_err one = {0};
        sl_rc one_rc = rc == SL_OK ? recover_one(ex, member(doc, "id"), doc, &one) : SL_OK;
        if (one_rc != SL_OK) {
            /* Its folder may be gone or unmounted: the node must start; the next start tries again.
             */
            sli_log_recovery(member(doc, "id"), &one, one_rc);
        } else if (rc == SL_OK) {
            sli_log_recovery(member(doc, "id"), NULL, SL_OK);
        }
    }
    json_decref(open);
    return rc;
}
