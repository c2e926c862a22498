/* One record per export in kv, so that a restart knows what was running and where it wrote.
 *
 * Key: 'j' | 0 (u64) | id. Value: JSON, see add_record. The record is written before the freeze
 * and before the id is claimed on the backend; isFinal is set with the end, and recovery.c ends
 * what is not final. It holds all that a later version needs to go on with an export instead.
 * Without a kv (command line) nothing is kept. */
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

static void add_record(const struct sli_job *job, const char *state, bool is_final,
                       struct sl_buf *out)
{
    const struct sl_export_settings *settings = &job->settings;
    struct sl_json w = sl_json_over(out);
    sl_json_obj(&w);
    sl_json_key(&w, "backend");
    sl_json_str(&w, job->backend_name);
    sl_json_key(&w, "bucket");
    sl_json_str(&w, settings->bucket);
    sl_json_key(&w, "classes");
    sl_json_arr(&w);
    for (uint32_t i = 0; i < job->class_count; i++) {
        sl_json_str(&w, job->classes[i]);
    }
    sl_json_arr_end(&w);
    sl_json_key(&w, "compression");
    sl_json_text(&w, sli_compression_name(settings->compression));
    sl_json_key(&w, "freeze");
    sl_json_str(&w, job->freeze_name);
    sl_json_key(&w, "isFinal");
    sl_json_bool(&w, is_final);
    sl_json_key(&w, "isJsonAnnotated");
    sl_json_bool(&w, settings->is_json_annotated);
    sl_json_key(&w, "parallelism");
    sl_json_u64(&w, job->parallelism);
    sl_json_key(&w, "root");
    sl_json_str(&w, job->root);
    sl_json_key(&w, "startedAt");
    sl_json_str(&w, job->started_text);
    sl_json_key(&w, "state");
    sl_json_text(&w, state);
    sl_json_key(&w, "timestampUnit");
    sl_json_text(&w, sl_timestamp_unit_name(settings->unit));
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
    add_record(job, sl_export_state_name(state), is_final, &value);
    return commit(kv, job->id, &value, err);
}

sl_rc sli_journal_drop(struct sli_job *job, struct sl_err *err)
{
    struct sl_kv *kv = job->ex->opts.journal;
    return kv == NULL ? SL_OK : commit(kv, job->id, NULL, err);
}

sl_rc sli_journal_get(struct sl_exports *ex, struct sl_str id, json_t **ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    *ret = NULL;
    if (ex->opts.journal == NULL) {
        return SL_OK;
    }
    journal_key(id, &key);
    SL_TRY(sl_buf_done(&key, err));
    sl_rc rc = sl_kv_get(ex->opts.journal, NULL, sl_buf_view(&key), &value, err);
    if (rc != SL_OK) {
        return rc == SL_ENOTFOUND ? SL_OK : rc;
    }
    *ret = json_loadb((const char *)value.ptr, value.len, 0, NULL);
    return *ret != NULL
               ? SL_OK
               : SL_FAIL(err, SL_ECORRUPT, "the record of export %.*s is not JSON", SL_STR_ARG(id));
}

/* They are collected first: recovery commits while it walks. */
sl_rc sli_journal_list_open(struct sl_exports *ex, json_t *ret, struct sl_err *err)
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

sl_rc sli_journal_end(struct sl_exports *ex, struct sl_str id, json_t *record, const char *state,
                      struct sl_err *err)
{
    if (state == NULL) {
        return commit(ex->opts.journal, id, NULL, err);
    }
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    json_t *copy = json_copy(record);
    (void)json_object_del(copy, "id");
    (void)json_object_set_new(copy, "isFinal", json_true());
    (void)json_object_set_new(copy, "state", json_string(state));
    char *text = json_dumps(copy, JSON_COMPACT);
    json_decref(copy);
    if (text == NULL) {
        return SL_NOMEM(err);
    }
    sl_buf_add_text(&value, text);
    free(text); /* allow: free, jansson allocated it */
    return commit(ex->opts.journal, id, &value, err);
}
