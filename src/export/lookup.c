/* What is told of exports there are: status, classes, list, numbers of the progress.
 *
 * An export this process holds is told from its job, whatever the settings say now; others from
 * their record on the backend. Starts and changes nothing. Called through export.h; scheduler.c
 * asks, too, before it says that an export cannot be canceled any more. @threads any. */
#include <stdlib.h>

#include "base/str.h"
#include "export/export_int.h"

/* ---- one export ---- */

/* Its record may be there already, but nobody was told of it: its POST has no answer yet. */
static bool is_being_made(struct sl_exports *ex, struct sl_str id)
{
    sl_mutex_lock(&ex->mu);
    bool is_it = ex->is_slot_taken && sl_str_is(id, ex->slot_id);
    sl_mutex_unlock(&ex->mu);
    return is_it;
}

/* Appends where the export wrote; nothing when the journal does not know it on this backend. */
static void add_root(json_t *journal, struct sl_str backend, struct sl_buf *out)
{
    const char *name = json_string_value(json_object_get(journal, "backend"));
    const char *root = json_string_value(json_object_get(journal, "root"));
    if (name != NULL && root != NULL && sli_is_same_backend(sl_str_from(name), backend)) {
        sl_buf_add_text(out, root);
    }
}

sl_rc sli_stored_read(struct sl_exports *ex, const struct sl_export_settings *settings,
                      struct sl_str backend, struct sl_str id, bool is_listing, struct sl_buf *out,
                      struct sl_err *err)
{
    SL_TRY(sli_enabled_check(settings, err));
    SL_TRY(sli_id_check(id, err));
    SL_TRY(sli_place_check(settings, backend, err));
    if (is_being_made(ex, id)) {
        return SL_FAIL(err, SL_ENOTFOUND, "export not found");
    }
    json_auto_t *journal = NULL;
    SL_AUTO_PTR(sl_backend) be = NULL;
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) place = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) root = SL_BUF_EMPTY;
    SL_TRY(sli_journal_get(ex, id, &journal, err));
    add_root(journal, backend, &root);
    if (root.len == 0) {
        SL_TRY(sli_place(settings, backend, &root, err));
    }
    SL_TRY(sli_open(ex, sl_buf_str(&root), NULL, SLI_LOOK_NS, &be, err));
    sl_buf_addf(&key, "%.*s/%s", SL_STR_ARG(id), SLI_METADATA_KEY);
    SL_TRY(sl_buf_done(&key, err));
    sl_rc rc = sl_backend_get(be, sl_buf_str(&key), SLI_METADATA_MAX, &text, err);
    if (rc == SL_ENOTFOUND) {
        return SL_FAIL(err, SL_ENOTFOUND, "export not found");
    }
    if (rc != SL_OK) {
        sl_err_prefix(err, "get export metadata");
        return rc;
    }
    be->ops->describe(be, id, &place);
    SL_TRY(sl_buf_done(&place, err));
    return sli_stored_reply(ex, sl_buf_view(&text), journal, sl_buf_str(&place), is_listing, out,
                            err);
}

bool sl_export_is_at_hand(struct sl_exports *ex, struct sl_str id, uint32_t shards_max)
{
    struct sli_job *job = sli_job_take(ex, id);
    if (job == NULL) {
        return false;
    }
    bool is_small = job->shard_count <= shards_max;
    sli_job_give(job);
    return is_small;
}

sl_rc sl_export_status(struct sl_exports *ex, const struct sl_export_settings *settings,
                       struct sl_str backend, struct sl_str id, struct sl_buf *out,
                       struct sl_err *err)
{
    struct sli_job *job = sli_job_take(ex, id);
    if (job != NULL && sli_is_backend(job, backend)) {
        sli_status_reply(job, out);
        sli_job_give(job);
        return sl_buf_done(out, err);
    }
    if (job != NULL) {
        sli_job_give(job);
    }
    SL_TRY(sli_stored_read(ex, settings, backend, id, false, out, err));
    sl_buf_add_u8(out, '\n');
    return sl_buf_done(out, err);
}

/* From a job's list or a reply's JSON array. */
static sl_rc copy_names(struct sl_arena *arena, const struct sl_str *names, uint32_t count,
                        struct sl_str **ret, uint32_t *ret_count, struct sl_err *err)
{
    struct sl_str *copy = sl_arena_array(arena, struct sl_str, (size_t)count + 1);
    for (uint32_t i = 0; copy != NULL && i < count; i++) {
        copy[i] = sl_arena_str(arena, names[i]);
        copy = copy[i].ptr == NULL ? NULL : copy;
    }
    if (copy == NULL) {
        return SL_NOMEM(err);
    }
    *ret = copy;
    *ret_count = count;
    return SL_OK;
}

static sl_rc stored_classes(struct sl_arena *arena, const struct sl_buf *reply, struct sl_str **ret,
                            uint32_t *ret_count, struct sl_err *err)
{
    json_t *doc = json_loadb((const char *)reply->ptr, reply->len, 0, NULL);
    json_t *list = json_object_get(doc, "classes");
    uint32_t count = (uint32_t)json_array_size(list);
    struct sl_str *names = sl_arena_array(arena, struct sl_str, (size_t)count + 1);
    for (uint32_t i = 0; names != NULL && i < count; i++) {
        names[i] = sl_str_from(json_string_value(json_array_get(list, i)));
    }
    sl_rc rc = doc == NULL || names == NULL ? SL_NOMEM(err)
                                            : copy_names(arena, names, count, ret, ret_count, err);
    json_decref(doc);
    return rc;
}

sl_rc sl_export_classes(struct sl_exports *ex, const struct sl_export_settings *settings,
                        struct sl_str backend, struct sl_str id, struct sl_arena *arena,
                        struct sl_str **ret, uint32_t *ret_count, struct sl_err *err)
{
    struct sli_job *job = sli_job_take(ex, id);
    if (job != NULL && sli_is_backend(job, backend)) {
        sl_rc rc = copy_names(arena, job->classes, job->class_count, ret, ret_count, err);
        sli_job_give(job);
        return rc;
    }
    if (job != NULL) {
        sli_job_give(job);
    }
    SL_AUTO(sl_buf) reply = SL_BUF_EMPTY;
    SL_TRY(sli_stored_read(ex, settings, backend, id, true, &reply, err));
    return stored_classes(arena, &reply, ret, ret_count, err);
}

/* ---- all of a backend ---- */

struct listing {
    struct sl_exports *ex;
    const struct sl_export_settings *settings;
    struct sl_str backend, root;
    json_t *found; /* array of [startedAt, reply] */
};

static sl_rc add_found(const struct listing *l, const struct sl_buf *reply, struct sl_err *err)
{
    SL_TRY(sl_buf_done(reply, err));
    json_t *doc = json_loadb((const char *)reply->ptr, reply->len, 0, NULL);
    if (doc == NULL) {
        return SL_NOMEM(err);
    }
    (void)json_object_del(doc, "shardStatus");
    (void)json_array_append_new(l->found, doc);
    return SL_OK;
}

static sl_rc list_one(void *arg, struct sl_str key, uint64_t size SL_UNUSED, struct sl_err *err)
{
    struct listing *l = arg;
    struct sl_str id = key;
    while (id.len > 0 && id.ptr[id.len - 1] == '/') {
        id.len--;
    }
    SL_AUTO(sl_buf) reply = SL_BUF_EMPTY;
    struct sli_job *job = sli_job_take(l->ex, id);
    if (job != NULL) {
        sli_status_reply(job, &reply);
        sli_job_give(job);
    } else {
        sl_rc rc = sli_stored_read(l->ex, l->settings, l->backend, id, true, &reply, err);
        if (rc != SL_OK) { /* a foreign folder, or a damaged record: its own GET tells */
            return rc == SL_ENOMEM ? rc : SL_OK;
        }
    }
    return add_found(l, &reply, err);
}

/* Exports this process holds that wrote elsewhere, before the settings changed. */
static sl_rc list_elsewhere(const struct listing *l, struct sl_err *err)
{
    struct sli_job *jobs[SLI_RECENT_MAX];
    uint32_t count = 0;
    sl_mutex_lock(&l->ex->mu);
    for (struct sli_job *job = l->ex->jobs; job != NULL; job = job->next) {
        if (!sl_str_eq(job->root, l->root) && sli_is_backend(job, l->backend)) {
            job->refs++;
            jobs[count++] = job;
        }
    }
    sl_mutex_unlock(&l->ex->mu);
    sl_rc rc = SL_OK;
    for (uint32_t i = 0; i < count; i++) {
        SL_AUTO(sl_buf) reply = SL_BUF_EMPTY;
        sli_status_reply(jobs[i], &reply);
        rc = rc == SL_OK ? add_found(l, &reply, err) : rc;
        sli_job_give(jobs[i]);
    }
    return rc;
}

static int newest_first(const void *a, const void *b)
{
    const char *x = json_string_value(json_object_get(*(json_t *const *)a, "startedAt"));
    const char *y = json_string_value(json_object_get(*(json_t *const *)b, "startedAt"));
    return strcmp(y == NULL ? "" : y, x == NULL ? "" : x);
}

static sl_rc print_listing(json_t *found, struct sl_buf *out, struct sl_err *err)
{
    size_t count = json_array_size(found);
    SL_AUTO_MEM(json_t *) sorted = sl_alloc_zero(count + 1, sizeof(json_t *));
    if (sorted == NULL) {
        return SL_NOMEM(err);
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = json_array_get(found, i);
    }
    qsort(sorted, count, sizeof(json_t *), newest_first);
    sl_buf_add_text(out, "{\"exports\":[");
    for (size_t i = 0; i < count; i++) {
        char *text = json_dumps(sorted[i], JSON_COMPACT);
        sl_buf_add_text(out, i == 0 ? "" : ",");
        sl_buf_add_text(out, text == NULL ? "null" : text);
        free(text); /* allow: free, jansson allocated it */
    }
    sl_buf_add_text(out, "]}\n");
    return sl_buf_done(out, err);
}

sl_rc sl_export_list(struct sl_exports *ex, const struct sl_export_settings *settings,
                     struct sl_str backend, struct sl_buf *out, struct sl_err *err)
{
    SL_TRY(sli_enabled_check(settings, err));
    SL_TRY(sli_place_check(settings, backend, err));
    SL_AUTO_PTR(sl_backend) be = NULL;
    SL_AUTO(sl_buf) root = SL_BUF_EMPTY;
    SL_TRY(sli_place(settings, backend, &root, err));
    SL_TRY(sli_open(ex, sl_buf_str(&root), NULL, SLI_LOOK_NS, &be, err));
    struct listing l = {ex, settings, backend, sl_buf_str(&root), json_array()};
    sl_rc rc = be->ops->list_folders(be, SL_STR(""), list_one, &l, err);
    if (rc == SL_ENOTFOUND) {
        rc = SL_OK; /* nothing was exported yet */
    }
    if (rc == SL_OK) {
        rc = list_elsewhere(&l, err);
    }
    if (rc == SL_OK) {
        rc = print_listing(l.found, out, err);
    }
    json_decref(l.found);
    return rc;
}

/* ---- for the process that holds the engine ---- */

static void copy_progress(struct sli_job *job, struct sl_export_progress *ret)
{
    *ret = (struct sl_export_progress){
        .objects_total = sli_objects_total(job, false),
        .objects_done = atomic_load_explicit(&job->rows, memory_order_relaxed),
        .bytes_written = SL_MAX(atomic_load_explicit(&job->file_bytes, memory_order_relaxed),
                                atomic_load_explicit(&job->sent_bytes, memory_order_relaxed)),
        .raw_bytes = atomic_load_explicit(&job->raw_bytes, memory_order_relaxed),
        .files_done = atomic_load_explicit(&job->files_done, memory_order_relaxed),
        .ranges_total = job->range_count,
        .ranges_done = atomic_load_explicit(&job->ranges_done, memory_order_relaxed),
        .started_ns = job->started_ns,
        .first_byte_ns = atomic_load_explicit(&job->first_byte_ns, memory_order_relaxed),
        .sync_ns = atomic_load_explicit(&job->sync_ns, memory_order_relaxed),
    };
    sl_mutex_lock(&job->mu);
    ret->state = job->is_done ? job->state : SL_EXPORT_TRANSFERRING;
    ret->finished_ns = job->is_done ? job->finished_ns : 0;
    ret->error = job->error;
    sl_mutex_unlock(&job->mu);
    if (ret->state == SL_EXPORT_SUCCESS) {
        ret->bytes_written = atomic_load_explicit(&job->file_bytes, memory_order_relaxed);
    }
}

sl_rc sl_export_progress(struct sl_exports *ex, struct sl_str id, struct sl_export_progress *ret,
                         struct sl_err *err)
{
    struct sli_job *job = sli_job_take(ex, id);
    if (job == NULL) {
        return SL_FAIL(err, SL_ENOTFOUND, "export not found");
    }
    copy_progress(job, ret);
    sli_job_give(job);
    return SL_OK;
}

sl_rc sl_export_wait(struct sl_exports *ex, struct sl_str id, int64_t timeout_ns,
                     struct sl_export_progress *ret, struct sl_err *err)
{
    struct sli_job *job = sli_job_take(ex, id);
    if (job == NULL) {
        return SL_FAIL(err, SL_ENOTFOUND, "export not found");
    }
    sl_mutex_lock(&job->mu);
    while (!job->is_done && sl_cond_wait_for(&job->ended, &job->mu, timeout_ns)) {
    }
    bool is_done = job->is_done;
    sl_mutex_unlock(&job->mu);
    copy_progress(job, ret);
    sli_job_give(job);
    return is_done ? SL_OK : SL_ETIMEOUT;
}
