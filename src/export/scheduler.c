/* Where exports begin and are stopped: create and preview, cancel, the engine's opening and
 * closing. One export per node at a time.
 *
 * The order of checks decides which error a client sees and follows the public API. */
#include "base/crypto.h"
#include "base/log.h"
#include "base/stats.h"
#include "base/str.h"
#include "export/export_int.h"

#define ID_MAX 128

sl_rc sl_exports_open(const struct sl_exports_opts *opts, struct sl_exports **ret,
                      struct sl_err *err)
{
    return sli_exports_open(opts, sl_backend_open, ret, err);
}

sl_rc sli_exports_open(const struct sl_exports_opts *opts, sli_backend_opener *open_backend,
                       struct sl_exports **ret, struct sl_err *err)
{
    struct sl_exports *ex = sl_alloc_zero(1, sizeof(*ex));
    if (ex == NULL) {
        return SL_NOMEM(err);
    }
    ex->opts = *opts;
    ex->open_backend = open_backend;
    sl_mutex_init(&ex->mu);
    sl_cancel_init(&ex->recovery.cancel);
    char *name = sl_strndup(opts->node_name.ptr, opts->node_name.len);
    ex->node_name = (struct sl_str){name, opts->node_name.len};
    sl_rc rc = name == NULL ? SL_NOMEM(err) : sli_recover(ex, err);
    if (rc != SL_OK) {
        sl_exports_close(ex);
        return rc;
    }
    *ret = ex;
    return SL_OK;
}

void sli_log_recovery(struct sl_str id, const struct sl_err *err, sl_rc rc)
{
    if (err == NULL) {
        sl_log(SL_WARN, "export_recovery", "ended an export that was interrupted",
               SL_F_STR("export_id", id));
    } else {
        sl_log(SL_ERROR, "export_recovery",
               "an interrupted export could not be ended; it is tried again",
               SL_F_STR("export_id", id), SL_F_TEXT("error", sl_err_text(err, rc)));
    }
}

/* ---- create ---- */

sl_rc sli_id_check(struct sl_str id, struct sl_err *err)
{
    if (id.len > ID_MAX) {
        return SL_FAIL(err, SL_EINVAL,
                       "export validation error: export id too long: %zu characters, max %d",
                       id.len, ID_MAX);
    }
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) {
            return SL_FAIL(err, SL_EINVAL,
                           "export validation error: invalid export id: '%.*s' allowed characters "
                           "are lowercase, 0-9, _, -",
                           SL_STR_ARG(id));
        }
    }
    return id.len == 0 ? SL_FAIL(err, SL_EINVAL, "export ID is required") : SL_OK;
}

sl_rc sli_enabled_check(const struct sl_export_settings *settings, struct sl_err *err)
{
    return settings->is_enabled
               ? SL_OK
               : SL_FAIL(err, SL_EINVAL,
                         "export API is disabled; enable it via EXPORT_ENABLED=true or the runtime "
                         "config");
}

static bool is_stopping(struct sl_exports *ex)
{
    sl_mutex_lock(&ex->mu);
    bool is_it = ex->is_stopping;
    sl_mutex_unlock(&ex->mu);
    return is_it;
}

static sl_rc check_request(struct sl_exports *ex, const struct sl_export_settings *settings,
                           const struct sl_export_request *request, struct sl_err *err)
{
    if (request->id.len == 0) {
        return SL_FAIL(err, SL_EINVAL, "export ID is required");
    }
    SL_TRY(sli_enabled_check(settings, err));
    if (is_stopping(ex)) {
        return SL_FAIL(err, SL_ECLOSED, "server is shutting down");
    }
    SL_TRY(sli_id_check(request->id, err));
    SL_TRY(sli_place_check(settings, request->backend, err));
    if (request->include_count > 0 && request->exclude_count > 0) {
        return SL_FAIL(
            err, SL_EINVAL,
            "export validation error: resolve classes: cannot specify both 'include' and "
            "'exclude'");
    }
    return SL_OK;
}

static sl_rc keep_columns(struct sli_job *job, struct sl_err *err)
{
    uint32_t count = job->settings.column_count;
    struct sl_str *copy = sl_arena_array(&job->arena, struct sl_str, (size_t)count + 1);
    if (copy == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        copy[i] = sl_arena_str(&job->arena, job->settings.columns[i]);
        if (copy[i].ptr == NULL) {
            return SL_NOMEM(err);
        }
    }
    job->settings.columns = copy;
    return SL_OK;
}

uint32_t sli_parallelism(uint32_t wanted)
{
    uint32_t cpus = sl_cpu_count();
    return wanted == 0 ? cpus : SL_MIN(wanted, 4 * cpus);
}

/* Everything the job keeps of the request, copied into its arena. */
static sl_rc fill_job(struct sli_job *job, const struct sl_export_settings *settings,
                      const struct sl_export_request *request, struct sl_err *err)
{
    struct sl_clock *clock = job->ex->opts.clock;
    job->id = sl_arena_str(&job->arena, request->id);
    job->backend_name = sl_arena_str(&job->arena, request->backend);
    job->settings = *settings;
    SL_TRY(keep_columns(job, err));
    job->settings.unit = sl_layout_unit(settings->layout, settings->unit);
    job->settings.path = sl_arena_str(&job->arena, settings->path);
    job->settings.store_path = sl_arena_str(&job->arena, settings->store_path);
    job->settings.bucket = sl_arena_str(&job->arena, settings->bucket);
    job->parallelism = sli_parallelism(settings->parallelism);
    job->started_ns = sl_clock_wall_ns(clock);
    job->started_mono_ns = sl_clock_mono_ns(clock);
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) started = SL_BUF_EMPTY;
    uint8_t token[8];
    sl_time_add_ns(&started, job->started_ns);
    SL_TRY(sl_buf_done(&started, err));
    job->started_text = sl_arena_str(&job->arena, sl_buf_str(&started));
    SL_TRY(sl_random_bytes(token, sizeof(token), err));
    sl_buf_addf(&name, "export-");
    sl_hex_add(&name, SL_BYTES(token, sizeof(token))); /* unique to this attempt */
    SL_TRY(sl_buf_done(&name, err));
    job->freeze_name = sl_arena_str(&job->arena, sl_buf_str(&name));
    bool is_whole = job->id.ptr != NULL && job->backend_name.ptr != NULL &&
                    job->settings.path.ptr != NULL && job->settings.store_path.ptr != NULL &&
                    job->settings.bucket.ptr != NULL && job->started_text.ptr != NULL &&
                    job->freeze_name.ptr != NULL;
    return is_whole ? SL_OK : SL_NOMEM(err);
}

/* A folder is always tried. */
static sl_rc probe(const struct sli_job *job, struct sl_err *err)
{
    bool is_skipped = job->settings.is_probe_skipped && sl_backend_is_store(job->root);
    return is_skipped ? SL_OK : job->backend->ops->probe(job->backend, err);
}

static sl_rc open_destination(struct sli_job *job, struct sl_err *err)
{
    SL_AUTO(sl_buf) root = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) place = SL_BUF_EMPTY;
    SL_TRY(sli_place(&job->settings, job->backend_name, &root, err));
    job->root = sl_arena_str(&job->arena, sl_buf_str(&root));
    if (job->root.ptr == NULL) {
        return SL_NOMEM(err);
    }
    struct sl_cancel *interrupt = job->ex->opts.interrupt;
    SL_TRY(sli_open(job->ex, job->root, interrupt == NULL ? &job->cancel : interrupt, 0,
                    &job->backend, err));
    sl_rc rc = probe(job, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "export validation error: initialize backend");
        return SL_EINVAL;
    }
    job->backend->ops->describe(job->backend, job->id, &place);
    SL_TRY(sl_buf_done(&place, err));
    job->place = sl_arena_str(&job->arena, sl_buf_str(&place));
    return job->place.ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

static sl_rc exists_at(const struct sli_job *job, struct sl_str place, struct sl_err *err)
{
    return SL_FAIL(err, SL_ECONFLICT,
                   "export already exists: export \"%.*s\" already exists at \"%.*s\"",
                   SL_STR_ARG(job->id), SL_STR_ARG(place));
}

static sl_rc already_exists(const struct sli_job *job, struct sl_err *err)
{
    return exists_at(job, job->place, err);
}

/* Where an export of this id wrote, perhaps to another backend. */
static sl_rc already_known(const struct sli_job *job, json_t *journal, struct sl_err *err)
{
    SL_AUTO(sl_buf) place = SL_BUF_EMPTY;
    const char *text = json_string_value(json_object_get(journal, "root"));
    struct sl_str root = sl_str_from(text == NULL ? "" : text);
    root.len -= sl_str_ends(root, "/");
    sl_buf_addf(&place, "%.*s/%.*s", SL_STR_ARG(root), SL_STR_ARG(job->id));
    SL_TRY(sl_buf_done(&place, err));
    return exists_at(job, sl_buf_str(&place), err);
}

/* An id is taken for ever once its record exists, on the backend or in the journal. */
static sl_rc check_free_id(struct sli_job *job, struct sl_err *err)
{
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sli_key(job, SL_STR(SLI_METADATA_KEY), &key);
    SL_TRY(sl_buf_done(&key, err));
    sl_rc rc = sl_backend_get(job->backend, sl_buf_str(&key), SLI_METADATA_MAX, &text, err);
    if (rc == SL_OK) {
        return already_exists(job, err);
    }
    if (rc != SL_ENOTFOUND) {
        sl_err_prefix(err, "check existing export: get metadata");
        return rc;
    }
    json_auto_t *journal = NULL;
    SL_TRY(sli_journal_get(job->ex, job->id, &journal, err));
    return journal == NULL ? SL_OK : already_known(job, journal, err);
}

static sl_rc take_slot(struct sli_job *job, struct sl_err *err)
{
    struct sl_exports *ex = job->ex;
    sl_rc rc = SL_OK;
    sl_mutex_lock(&ex->mu);
    if (ex->is_stopping) {
        rc = SL_FAIL(err, SL_ECLOSED, "server is shutting down");
    } else if (ex->is_slot_taken) {
        rc = SL_FAIL(err, SL_ECONFLICT,
                     "prepare node %.*s: export already active: export \"%s\" already in progress",
                     SL_STR_ARG(ex->node_name), ex->slot_id);
    } else {
        ex->is_slot_taken = true;
        sl_stat_set(SL_STAT_EXPORT_RUNNING, 1);
        memcpy(ex->slot_id, job->id.ptr, job->id.len);
        ex->slot_id[job->id.len] = '\0';
    }
    sl_mutex_unlock(&ex->mu);
    return rc;
}

static void give_slot(struct sl_exports *ex)
{
    sl_mutex_lock(&ex->mu);
    ex->is_slot_taken = false;
    sl_stat_set(SL_STAT_EXPORT_RUNNING, 0);
    sl_mutex_unlock(&ex->mu);
}

static sl_rc freeze_and_plan(struct sli_job *job, const struct sl_export_request *request,
                             struct sl_err *err)
{
    struct sl_source *src = job->ex->opts.source;
    sl_rc rc = src->ops->freeze(src, job->freeze_name, &job->frozen, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "commit node %.*s: snapshot phase failed",
                      SL_STR_ARG(job->ex->node_name));
        return rc;
    }
    return sli_plan(job, request, err);
}

/* Writes the record that takes the id. */
static sl_rc claim(struct sli_job *job, struct sl_err *err)
{
    sl_rc rc = sli_metadata_put(job, SL_PUT_NEW, err);
    if (rc == SL_ECONFLICT) {
        return already_exists(job, err);
    }
    if (rc != SL_OK) {
        sl_err_prefix(err, "failed to write export metadata");
    }
    return rc;
}

/* After a failure before or in the claim: leaves nothing behind, the id is free again. Was the
 * record stored although the claim failed? Then it goes; if even that cannot be found out, the
 * journal record stays and the next start ends it. */
static void undo_claim(struct sli_job *job, bool is_claim_tried)
{
    if (!is_claim_tried) {
        SL_IGNORE(sli_journal_drop(job, NULL), "recovery finds no record of ours and drops it");
        return;
    }
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) ours = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) stored = SL_BUF_EMPTY;
    sli_metadata_write(job, &ours);
    sli_key(job, SL_STR(SLI_METADATA_KEY), &key);
    if (ours.is_failed || key.is_failed) {
        return;
    }
    struct sl_backend *be = job->backend;
    sl_rc rc = sl_backend_get(be, sl_buf_str(&key), SLI_METADATA_MAX, &stored, NULL);
    if (rc == SL_OK && sl_bytes_eq(sl_buf_view(&stored), sl_buf_view(&ours))) {
        rc = be->ops->remove(be, sl_buf_str(&key), NULL);
    }
    if (rc == SL_OK || rc == SL_ENOTFOUND) {
        SL_IGNORE(sli_journal_drop(job, NULL), "recovery finds no record of ours and drops it");
    }
}

/* The steps of the reference's coordinator, all on this node: "prepare" is everything up to the
 * plan, "commit" the record that takes the id. */
static void log_start(const struct sli_job *job)
{
    sl_log(SL_INFO, "export", "starting export", SL_F_STR("export_id", job->id),
           SL_F_INT("class_count", job->class_count),
           SL_F_LIST("classes", job->classes, job->class_count),
           SL_F_STR("backend", job->backend_name), SL_F_STR("path", job->place));
    sl_log(SL_INFO, "export_participant", "participant prepared for export",
           SL_F_STR("export_id", job->id), SL_F_STR("node", job->ex->node_name));
}

static uint32_t count_skipped(const struct sli_job *job)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < job->shard_count; i++) {
        n += job->shards[i].shard.skip_reason.len > 0;
    }
    return n;
}

static void log_snapshot(const struct sli_job *job, int64_t ms)
{
    uint32_t skipped = count_skipped(job);
    sl_log(SL_INFO, "export", "prepare phase completed", SL_F_STR("export_id", job->id),
           SL_F_INT("nodes", 1), SL_F_INT("duration_ms", ms));
    sl_log(SL_INFO, "export_participant", "snapshot phase completed",
           SL_F_STR("export_id", job->id), SL_F_STR("node", job->ex->node_name),
           SL_F_INT("snapshots", job->shard_count - skipped), SL_F_INT("skipped", skipped),
           SL_F_INT("duration_ms", ms));
}

static void log_commit(const struct sli_job *job, int64_t prepare_ms, int64_t commit_ms)
{
    sl_log(SL_INFO, "export_participant", "participant starting export",
           SL_F_STR("export_id", job->id), SL_F_STR("node", job->ex->node_name),
           SL_F_LIST("classes", job->classes, job->class_count),
           SL_F_INT("estimated_objects", job->objects_total), SL_F_INT("ranges", job->range_count),
           SL_F_INT("parallelism", job->parallelism));
    sl_log(SL_INFO, "export", "multi-node export committed on all nodes",
           SL_F_STR("export_id", job->id), SL_F_INT("nodes", 1), SL_F_INT("prepare_ms", prepare_ms),
           SL_F_INT("commit_ms", commit_ms));
}

static void log_refused(const struct sli_job *job, sl_rc rc, const struct sl_err *err)
{
    sl_log(SL_ERROR, "export", "the export could not be started", SL_F_STR("export_id", job->id),
           SL_F_TEXT("error", sl_err_text(err, rc)));
}

static int64_t ms_of(const struct sli_job *job)
{
    return (sl_clock_mono_ns(job->ex->opts.clock) - job->started_mono_ns) / 1000000;
}

static sl_rc prepare(struct sli_job *job, const struct sl_export_settings *settings,
                     const struct sl_export_request *request, struct sl_err *err)
{
    SL_TRY(fill_job(job, settings, request, err));
    SL_TRY(sli_select(job->ex->opts.source, request, job, err));
    SL_TRY(open_destination(job, err));
    return check_free_id(job, err);
}

/* Ends the job, if it is running, by a stop of the node. */
static void interrupt(struct sli_job *job)
{
    sl_mutex_lock(&job->mu);
    bool is_running = !job->is_done;
    sl_mutex_unlock(&job->mu);
    if (is_running) {
        struct sl_err err = {0};
        sl_rc rc = SL_FAIL(&err, SL_ECLOSED, "interrupted: the node was stopped");
        sli_job_fail(job, UINT32_MAX, &err, rc);
    }
}

/* Holds the slot; gives it back on failure. */
static sl_rc start_job(struct sli_job *job, const struct sl_export_request *request,
                       struct sl_buf *out, struct sl_err *err)
{
    bool is_claim_tried = false;
    int64_t prepare_ms = 0;
    log_start(job);
    sl_rc rc = sli_journal_put(job, SL_EXPORT_STARTED, false, err);
    if (rc == SL_OK) {
        rc = freeze_and_plan(job, request, err);
    }
    if (rc == SL_OK) {
        sli_created_reply(job, out);
        rc = sl_buf_done(out, err);
    }
    if (rc == SL_OK) {
        prepare_ms = ms_of(job);
        log_snapshot(job, prepare_ms);
        is_claim_tried = true;
        rc = claim(job, err);
    }
    if (rc != SL_OK) {
        undo_claim(job, is_claim_tried);
        sl_frozen_release(sl_move(&job->frozen), true);
        give_slot(job->ex);
        log_refused(job, rc, err);
        return rc;
    }
    log_commit(job, prepare_ms, ms_of(job) - prepare_ms);
    sl_histogram_add(SL_HISTOGRAM_COORDINATION,
                     sl_clock_mono_ns(job->ex->opts.clock) - job->started_mono_ns);
    sli_job_add(job->ex, job); /* known from here on, before anything of it runs */
    if (is_stopping(job->ex)) {
        interrupt(job); /* the stop may have come before it was known */
    }
    return sli_runner_start(job, err);
}

sl_rc sl_export_create(struct sl_exports *ex, const struct sl_export_settings *settings,
                       const struct sl_export_request *request, struct sl_buf *out,
                       struct sl_err *err)
{
    SL_TRY(check_request(ex, settings, request, err));
    struct sli_job *job = sli_job_new(ex);
    if (job == NULL) {
        return SL_NOMEM(err);
    }
    size_t out_len = out->len;
    sl_rc rc = prepare(job, settings, request, err);
    if (rc == SL_OK) {
        rc = take_slot(job, err);
    }
    if (rc == SL_OK) {
        rc = start_job(job, request, out, err);
    }
    if (rc != SL_OK) {
        out->len = out_len;
    }
    sli_job_give(job);
    return rc;
}

sl_rc sl_export_preview(struct sl_exports *ex, const struct sl_export_settings *settings,
                        const struct sl_export_request *request, struct sl_buf *out,
                        struct sl_err *err)
{
    struct sli_job *job = sli_job_new(ex);
    if (job == NULL) {
        return SL_NOMEM(err);
    }
    sl_rc rc = fill_job(job, settings, request, err);
    if (rc == SL_OK) {
        rc = sli_select(ex->opts.source, request, job, err);
    }
    if (rc == SL_OK) {
        rc = freeze_and_plan(job, request, err);
    }
    if (rc == SL_OK) {
        sli_plan_json(job, out);
        rc = sl_buf_done(out, err);
    }
    sl_frozen_release(sl_move(&job->frozen), true);
    sli_job_give(job);
    return rc;
}

/* ---- cancel ---- */

static sl_rc finished(struct sl_err *err)
{
    return SL_FAIL(err, SL_ECONFLICT, "export has already finished");
}

/* Sticky: the wish is journaled before anything stops, so that no later outcome replaces it. */
static sl_rc cancel_job(struct sli_job *job, struct sl_err *err)
{
    sl_mutex_lock(&job->mu);
    bool is_ended = job->finished_ns != 0;
    bool is_first = !is_ended && !job->is_cancel_wanted;
    job->is_cancel_wanted = job->is_cancel_wanted || is_first;
    sl_mutex_unlock(&job->mu);
    if (!is_first) {
        return finished(err);
    }
    SL_IGNORE(sli_journal_put(job, SL_EXPORT_CANCELED, false, NULL),
              "the end is journaled again; only a crash in between would say FAILED");
    sl_log(SL_INFO, "export_cancel", "canceling export", SL_F_STR("export_id", job->id));
    sl_cancel_set(&job->cancel);
    sl_mutex_lock(&job->mu);
    while (!job->is_done) {
        sl_cond_wait(&job->ended, &job->mu);
    }
    enum sl_export_state end = job->state;
    sl_mutex_unlock(&job->mu);
    return end == SL_EXPORT_CANCELED ? SL_OK : finished(err);
}

sl_rc sl_export_cancel(struct sl_exports *ex, const struct sl_export_settings *settings,
                       struct sl_str backend, struct sl_str id, struct sl_err *err)
{
    struct sli_job *job = sli_job_take(ex, id);
    if (job != NULL && sli_is_backend(job, backend)) {
        sl_rc rc = cancel_job(job, err);
        sli_job_give(job);
        return rc;
    }
    if (job != NULL) {
        sli_job_give(job);
    }
    SL_AUTO(sl_buf) ignored = SL_BUF_EMPTY;
    SL_TRY(sli_stored_read(ex, settings, backend, id, false, &ignored, err));
    return finished(err);
}

/* ---- stop ---- */

void sl_exports_stop(struct sl_exports *ex)
{
    sl_mutex_lock(&ex->mu);
    ex->is_stopping = true;
    for (struct sli_job *job = ex->jobs; job != NULL; job = job->next) {
        interrupt(job);
    }
    sl_mutex_unlock(&ex->mu);
    sli_recovery_stop(ex);
}

void sl_exports_close(struct sl_exports *ex)
{
    if (ex == NULL) {
        return;
    }
    sl_exports_stop(ex);
    struct sli_job *job = ex->jobs;
    while (job != NULL) {
        struct sli_job *next = job->next;
        sli_job_give(job); /* joins its conductor */
        job = next;
    }
    sli_recovery_end(ex);
    sl_cancel_fini(&ex->recovery.cancel);
    sl_mutex_fini(&ex->mu);
    sl_free((void *)(uintptr_t)ex->node_name.ptr);
    sl_free(ex);
}
