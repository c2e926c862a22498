/* create, status, cancel, list: the door of the engine. One export per node at a time.
 *
 * The order of checks decides which error a client sees and follows the public API. A job is in the
 * list from its claim on; ended jobs stay for cheap polls until RECENT_MAX newer ones ended, then
 * the record on the backend answers. References keep a job alive while a request looks at it. */
#include <stdlib.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/stats.h"
#include "base/str.h"
#include "export/export_int.h"

#define ID_MAX     128
#define RECENT_MAX 16 /* jobs kept; each may hold 10^4 shards */

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
               "an interrupted export could not be ended; the next start tries again",
               SL_F_STR("export_id", id), SL_F_TEXT("error", sl_err_text(err, rc)));
    }
}

/* ---- the list of jobs ---- */

static struct sli_job *take_job(struct sl_exports *ex, struct sl_str id)
{
    sl_mutex_lock(&ex->mu);
    struct sli_job *job = ex->jobs;
    while (job != NULL && !sl_str_eq(job->id, id)) {
        job = job->next;
    }
    if (job != NULL) {
        job->refs++;
    }
    sl_mutex_unlock(&ex->mu);
    return job;
}

static void give_job(struct sli_job *job)
{
    sl_mutex_lock(&job->ex->mu);
    bool is_last = --job->refs == 0;
    sl_mutex_unlock(&job->ex->mu);
    if (is_last) {
        sli_job_free(job);
    }
}

/* Puts the job in front, which takes a reference, and the oldest one out; that ended long ago,
 * since one runs at a time. It is freed outside the lock. */
static void add_job(struct sl_exports *ex, struct sli_job *job)
{
    struct sli_job *old = NULL;
    sl_mutex_lock(&ex->mu);
    job->refs++;
    job->next = ex->jobs;
    ex->jobs = job;
    ex->job_count++;
    if (ex->job_count > RECENT_MAX) {
        struct sli_job **link = &ex->jobs;
        while ((*link)->next != NULL) {
            link = &(*link)->next;
        }
        old = *link;
        *link = NULL;
        ex->job_count--;
    }
    sl_mutex_unlock(&ex->mu);
    if (old != NULL) {
        give_job(old);
    }
}

/* ---- create ---- */

static sl_rc check_id(struct sl_str id, struct sl_err *err)
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

static sl_rc check_enabled(const struct sl_export_settings *settings, struct sl_err *err)
{
    return settings->is_enabled
               ? SL_OK
               : SL_FAIL(err, SL_EINVAL,
                         "export API is disabled; enable it via EXPORT_ENABLED=true or the runtime "
                         "config");
}

static sl_rc check_request(struct sl_exports *ex, const struct sl_export_settings *settings,
                           const struct sl_export_request *request, struct sl_err *err)
{
    if (request->id.len == 0) {
        return SL_FAIL(err, SL_EINVAL, "export ID is required");
    }
    SL_TRY(check_enabled(settings, err));
    sl_mutex_lock(&ex->mu);
    bool is_stopping = ex->is_stopping;
    sl_mutex_unlock(&ex->mu);
    if (is_stopping) {
        return SL_FAIL(err, SL_ECLOSED, "server is shutting down");
    }
    SL_TRY(check_id(request->id, err));
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

/* Everything the job keeps of the request, copied into its arena. */
static sl_rc fill_job(struct sli_job *job, const struct sl_export_settings *settings,
                      const struct sl_export_request *request, struct sl_err *err)
{
    struct sl_clock *clock = job->ex->opts.clock;
    uint32_t cpus = sl_cpu_count();
    uint32_t wanted = settings->parallelism == 0 ? cpus : settings->parallelism;
    job->id = sl_arena_str(&job->arena, request->id);
    job->backend_name = sl_arena_str(&job->arena, request->backend);
    job->settings = *settings;
    SL_TRY(keep_columns(job, err));
    job->settings.unit = sl_layout_unit(settings->layout, settings->unit);
    job->settings.path = sl_arena_str(&job->arena, settings->path);
    job->settings.store_path = sl_arena_str(&job->arena, settings->store_path);
    job->settings.bucket = sl_arena_str(&job->arena, settings->bucket);
    job->parallelism = SL_MIN(wanted, 4 * cpus);
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

static sl_rc already_exists(const struct sli_job *job, struct sl_err *err)
{
    return SL_FAIL(err, SL_ECONFLICT,
                   "export already exists: export \"%.*s\" already exists at \"%.*s\"",
                   SL_STR_ARG(job->id), SL_STR_ARG(job->place));
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
    bool is_known = false;
    SL_TRY(sli_journal_has(job->ex, job->id, &is_known, err));
    return is_known ? already_exists(job, err) : SL_OK;
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
    add_job(job->ex, job); /* known from here on, before anything of it runs */
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
    give_job(job);
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
    give_job(job);
    return rc;
}

/* ---- status, cancel, list ---- */

/* Its record may be there already, but nobody was told of it: its POST has no answer yet. */
static bool is_being_made(struct sl_exports *ex, struct sl_str id)
{
    sl_mutex_lock(&ex->mu);
    bool is_it = ex->is_slot_taken && sl_str_is(id, ex->slot_id);
    sl_mutex_unlock(&ex->mu);
    return is_it;
}

/* The record on the backend of an export this process does not hold: where the journal says it
 * wrote, else where exports are written now. */
static sl_rc read_stored(struct sl_exports *ex, const struct sl_export_settings *settings,
                         struct sl_str backend, struct sl_str id, bool is_listing,
                         struct sl_buf *out, struct sl_err *err)
{
    SL_TRY(check_enabled(settings, err));
    SL_TRY(check_id(id, err));
    SL_TRY(sli_place_check(settings, backend, err));
    if (is_being_made(ex, id)) {
        return SL_FAIL(err, SL_ENOTFOUND, "export not found");
    }
    SL_AUTO_PTR(sl_backend) be = NULL;
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) place = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) root = SL_BUF_EMPTY;
    SL_TRY(sli_journal_root(ex, id, backend, &root, err));
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
    return sli_stored_reply(ex, sl_buf_view(&text), sl_buf_str(&place), is_listing, out, err);
}

bool sl_export_is_at_hand(struct sl_exports *ex, struct sl_str id, uint32_t shards_max)
{
    struct sli_job *job = take_job(ex, id);
    if (job == NULL) {
        return false;
    }
    bool is_small = job->shard_count <= shards_max;
    give_job(job);
    return is_small;
}

sl_rc sl_export_status(struct sl_exports *ex, const struct sl_export_settings *settings,
                       struct sl_str backend, struct sl_str id, struct sl_buf *out,
                       struct sl_err *err)
{
    struct sli_job *job = take_job(ex, id);
    if (job != NULL && sli_is_backend(job, backend)) {
        sli_status_reply(job, out);
        give_job(job);
        return sl_buf_done(out, err);
    }
    if (job != NULL) {
        give_job(job);
    }
    SL_TRY(read_stored(ex, settings, backend, id, false, out, err));
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
    struct sli_job *job = take_job(ex, id);
    if (job != NULL && sli_is_backend(job, backend)) {
        sl_rc rc = copy_names(arena, job->classes, job->class_count, ret, ret_count, err);
        give_job(job);
        return rc;
    }
    if (job != NULL) {
        give_job(job);
    }
    SL_AUTO(sl_buf) reply = SL_BUF_EMPTY;
    SL_TRY(read_stored(ex, settings, backend, id, true, &reply, err));
    return stored_classes(arena, &reply, ret, ret_count, err);
}

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
    struct sli_job *job = take_job(ex, id);
    if (job != NULL && sli_is_backend(job, backend)) {
        sl_rc rc = cancel_job(job, err);
        give_job(job);
        return rc;
    }
    if (job != NULL) {
        give_job(job);
    }
    SL_AUTO(sl_buf) ignored = SL_BUF_EMPTY;
    SL_TRY(read_stored(ex, settings, backend, id, false, &ignored, err));
    return finished(err);
}

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
    struct sli_job *job = take_job(l->ex, id);
    if (job != NULL) {
        sli_status_reply(job, &reply);
        give_job(job);
    } else {
        sl_rc rc = read_stored(l->ex, l->settings, l->backend, id, true, &reply, err);
        if (rc != SL_OK) { /* a foreign folder, or a damaged record: its own GET tells */
            return rc == SL_ENOMEM ? rc : SL_OK;
        }
    }
    return add_found(l, &reply, err);
}

/* Exports this process holds that wrote elsewhere, before the settings changed. */
static sl_rc list_elsewhere(const struct listing *l, struct sl_err *err)
{
    struct sli_job *jobs[RECENT_MAX];
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
        give_job(jobs[i]);
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
    SL_TRY(check_enabled(settings, err));
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
    struct sli_job *job = take_job(ex, id);
    if (job == NULL) {
        return SL_FAIL(err, SL_ENOTFOUND, "export not found");
    }
    copy_progress(job, ret);
    give_job(job);
    return SL_OK;
}

sl_rc sl_export_wait(struct sl_exports *ex, struct sl_str id, int64_t timeout_ns,
                     struct sl_export_progress *ret, struct sl_err *err)
{
    struct sli_job *job = take_job(ex, id);
    if (job == NULL) {
        return SL_FAIL(err, SL_ENOTFOUND, "export not found");
    }
    sl_mutex_lock(&job->mu);
    while (!job->is_done && sl_cond_wait_for(&job->ended, &job->mu, timeout_ns)) {
    }
    bool is_done = job->is_done;
    sl_mutex_unlock(&job->mu);
    copy_progress(job, ret);
    give_job(job);
    return is_done ? SL_OK : SL_ETIMEOUT;
}

void sl_exports_stop(struct sl_exports *ex)
{
    sl_mutex_lock(&ex->mu);
    ex->is_stopping = true;
    sl_mutex_unlock(&ex->mu);
}

void sl_exports_close(struct sl_exports *ex)
{
    if (ex == NULL) {
        return;
    }
    sl_exports_stop(ex);
    for (struct sli_job *job = ex->jobs; job != NULL; job = job->next) {
        sl_mutex_lock(&job->mu);
        bool is_running = !job->is_done;
        sl_mutex_unlock(&job->mu);
        if (is_running) {
            struct sl_err err = {0};
            sl_rc rc = SL_FAIL(&err, SL_ECLOSED, "interrupted: the node was stopped");
            sli_job_fail(job, UINT32_MAX, &err, rc);
        }
    }
    struct sli_job *job = ex->jobs;
    while (job != NULL) {
        struct sli_job *next = job->next;
        give_job(job); /* joins its conductor */
        job = next;
    }
    sl_mutex_fini(&ex->mu);
    sl_free((void *)(uintptr_t)ex->node_name.ptr);
    sl_free(ex);
}
