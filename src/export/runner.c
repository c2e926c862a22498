/* Runs a job: one conductor thread starts P range workers, waits, and ends the job.
 *
 * Ranges are taken by an atomic counter. The first failure sets the token, which every range asks
 * at each object. The conductor alone moves the state to its end, after the records are stored:
 * SUCCESS is never visible before. */
#include "base/log.h"
#include "base/stats.h"
#include "export/export_int.h"

#define WORKERS_MAX   256
#define GROUP_MAX     (32ull << 20) /* readers like row groups of this size; larger gain nothing */
#define GROUP_MIN     (8ull << 20)  /* smaller ones cost readers more than they save us */
#define PART_MAX      (8ull << 20)  /* larger parts gain nothing measurable */
#define PART_MIN      (1ull << 20)  /* smaller ones make more calls than bytes */
#define STATUS_PERIOD 10000000000   /* ns; as the reference */

/* Half of the export's memory is for row groups, three eighths for parts, the rest for open pages
 * and codecs. A row group leaves at once: with less room for parts its range waits for the device,
 * and two workers are 1.5 times one instead of 1.8. All is fixed at job start, never a reaction to
 * free memory, and a row group follows from the memory alone: where it has no room for the workers
 * there are fewer of them, so that any number of workers makes the same files. */
struct sli_memory_plan sli_memory_plan(uint64_t memory_bytes, uint32_t worker_count,
                                       uint64_t part_bytes_min, uint64_t writer_bytes)
{
    struct sli_memory_plan plan;
    plan.group_bytes = SL_MIN(SL_MAX(memory_bytes / 4, (uint64_t)GROUP_MIN), (uint64_t)GROUP_MAX);
    uint64_t room = SL_MIN((memory_bytes - memory_bytes / 4) / (GROUP_MIN + writer_bytes),
                           memory_bytes / 2 / plan.group_bytes);
    uint64_t part_min = SL_MAX(part_bytes_min, (uint64_t)PART_MIN);
    plan.worker_count = (uint32_t)SL_MIN(SL_MAX(room, 1U), (uint64_t)SL_MAX(worker_count, 1U));
    plan.worker_count = SL_MIN(plan.worker_count, (uint32_t)WORKERS_MAX);
    /* At least two parts a worker, or a worker could wait for itself. */
    uint64_t part = memory_bytes / 8 / (2 * plan.worker_count) & ~(uint64_t)(PART_MIN - 1);
    plan.part_bytes = SL_MIN(SL_MAX(part, part_min), SL_MAX(part_min, (uint64_t)PART_MAX));
    plan.parts_budget = SL_MAX(memory_bytes / 8 * 3, 2 * plan.worker_count * plan.part_bytes);
    return plan;
}

static int64_t ms_since(const struct sli_job *job, int64_t mono_ns)
{
    return (sl_clock_mono_ns(job->ex->opts.clock) - mono_ns) / 1000000;
}

/* ---- log lines, with the words and facts of the reference ---- */

static void log_scan(const struct sli_job *job, const struct sli_shard_job *s)
{
    sl_log(SL_INFO, "export_participant", "starting shard scan", SL_F_STR("export_id", job->id),
           SL_F_STR("class", s->shard.class_name), SL_F_STR("shard", s->shard.name),
           SL_F_INT("estimated_objects", s->shard.object_count),
           SL_F_INT("ranges", s->range_count));
}

static void log_upload(const struct sli_job *job, const struct sli_range *range, int64_t ms)
{
    const struct sl_shard *s = &job->shards[range->shard_idx].shard;
    SL_AUTO(sl_buf) file = SL_BUF_EMPTY;
    sli_file_name(job, range, &file);
    sl_log(SL_INFO, "export_upload", "upload completed", SL_F_STR("export_id", job->id),
           SL_F_STR("class", s->class_name), SL_F_STR("shard", s->name),
           SL_F_STR("file", sl_buf_str(&file)), SL_F_INT("duration_ms", ms));
}

static void log_shard(const struct sli_job *job, const struct sli_shard_job *s)
{
    sl_log(SL_INFO, "export_participant", "shard export completed", SL_F_STR("export_id", job->id),
           SL_F_STR("class", s->shard.class_name), SL_F_STR("shard", s->shard.name),
           SL_F_INT("objects", atomic_load(&s->rows)),
           SL_F_INT("duration_ms", ms_since(job, atomic_load(&s->begun_ns))));
}

static void log_range_failure(const struct sli_job *job, const struct sli_range *range,
                              bool is_scan, int64_t ms, const char *why)
{
    const struct sl_shard *s = &job->shards[range->shard_idx].shard;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) file = SL_BUF_EMPTY;
    sl_buf_addf(&text, "%s failed: %s", is_scan ? "shard scan" : "upload", why);
    sli_file_name(job, range, &file);
    sl_log(SL_ERROR, is_scan ? "export_participant" : "export_upload", sl_buf_cstr(&text),
           SL_F_STR("export_id", job->id), SL_F_STR("class", s->class_name),
           SL_F_STR("shard", s->name), SL_F_STR("file", sl_buf_str(&file)),
           SL_F_INT("duration_ms", ms));
}

static void log_end(struct sli_job *job, enum sl_export_state end)
{
    uint64_t rows = atomic_load_explicit(&job->rows, memory_order_relaxed);
    const char *message = end == SL_EXPORT_SUCCESS    ? "participant export completed successfully"
                          : end == SL_EXPORT_CANCELED ? "participant aborted running export"
                                                      : job->error.text + job->error_prefix;
    sl_log(end == SL_EXPORT_FAILED ? SL_ERROR : SL_INFO, "export_participant", message,
           SL_F_STR("export_id", job->id), SL_F_STR("node", job->ex->node_name),
           SL_F_TEXT("status", sl_export_state_name(end)), SL_F_INT("objects", rows),
           SL_F_INT("files", atomic_load(&job->files_done)),
           SL_F_INT("duration_ms", ms_since(job, job->started_mono_ns)));
}

/* ---- ranges ---- */

static sl_rc run_range(struct sli_job *job, const struct sli_range *range, struct sl_err *err)
{
    struct sli_shard_job *shard = &job->shards[range->shard_idx];
    struct sli_range_outcome outcome = {0};
    int64_t none = 0, begun = sl_clock_mono_ns(job->ex->opts.clock);
    if (atomic_compare_exchange_strong(&shard->begun_ns, &none, SL_MAX(begun, 1))) {
        log_scan(job, shard);
    }
    sl_stat_add(SL_STAT_RANGES_RUNNING, 1);
    sl_rc rc = sli_range_run(job, range, &outcome, err);
    sl_stat_sub(SL_STAT_RANGES_RUNNING, 1);
    if (rc == SL_OK) {
        sl_stat_add(SL_STAT_RANGES, 1);
    }
    if (rc == SL_OK && outcome.has_file) {
        log_upload(job, range, ms_since(job, begun));
    } else if (rc != SL_OK && rc != SL_ECANCELED) {
        log_range_failure(job, range, outcome.is_scan, ms_since(job, begun), sl_err_text(err, rc));
    }
    return rc;
}

static void run_ranges(void *arg)
{
    struct sli_job *job = arg;
    for (;;) {
        uint32_t n = atomic_fetch_add_explicit(&job->next_range, 1, memory_order_relaxed);
        if (n >= job->range_count || sl_cancel_is_set(&job->cancel)) {
            return;
        }
        const struct sli_range *range = &job->ranges[n];
        struct sl_err err = {0};
        sl_rc rc = run_range(job, range, &err);
        if (rc != SL_OK) {
            if (rc != SL_ECANCELED) {
                sli_job_fail(job, range->shard_idx, &err, rc);
            }
            return;
        }
        struct sli_shard_job *shard = &job->shards[range->shard_idx];
        bool is_last = atomic_fetch_sub_explicit(&shard->ranges_left, 1, memory_order_acq_rel) == 1;
        atomic_fetch_add_explicit(&job->ranges_done, 1, memory_order_relaxed);
        if (is_last) {
            log_shard(job, shard);
        }
    }
}

static void run_workers(struct sli_job *job)
{
    struct sl_thread *threads[WORKERS_MAX] = {NULL};
    uint32_t count = SL_MIN(SL_MIN(job->worker_count, job->range_count), (uint32_t)WORKERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct sl_err err = {0};
        sl_rc rc = sl_thread_start("range", run_ranges, job, &threads[i], &err);
        if (rc != SL_OK && i == 0) {
            sli_job_fail(job, UINT32_MAX, &err, rc); /* with one thread the rest still gets done */
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        sl_thread_join(threads[i]);
    }
}

/* All ranges have their receipts? The counters must agree with what the frozen view promised. */
static void check_counts(struct sli_job *job)
{
    uint64_t rows = atomic_load_explicit(&job->rows, memory_order_relaxed) +
                    atomic_load_explicit(&job->passed, memory_order_relaxed);
    struct sl_err err = {0};
    if (sl_cancel_is_set(&job->cancel)) {
        return;
    }
    if (atomic_load_explicit(&job->ranges_done, memory_order_acquire) != job->range_count) {
        sl_rc rc = SL_FAIL(&err, SL_EINTERNAL, "not every range was written");
        sli_job_fail(job, UINT32_MAX, &err, rc);
    } else if (!job->is_total_estimated && rows != job->objects_total) {
        sl_rc rc = SL_FAIL(&err, SL_ECORRUPT, "%llu objects were read, the store counts %llu",
                           (unsigned long long)rows, (unsigned long long)job->objects_total);
        sli_job_fail(job, UINT32_MAX, &err, rc);
    }
}

/* Sets the end as the records are to show it; is_done stays false, so polls still say TRANSFERRING.
 */
static enum sl_export_state decide_end(struct sli_job *job)
{
    sl_mutex_lock(&job->mu);
    enum sl_export_state end = job->is_cancel_wanted    ? SL_EXPORT_CANCELED
                               : job->error.rc != SL_OK ? SL_EXPORT_FAILED
                                                        : SL_EXPORT_SUCCESS;
    if (end == SL_EXPORT_CANCELED) {
        job->error = (struct sl_err){.rc = SL_ECANCELED, .text = "export was canceled"};
        job->error_prefix = 0;
    }
    sli_job_move_locked(job, end);
    job->finished_ns = sl_clock_wall_ns(job->ex->opts.clock);
    sl_mutex_unlock(&job->mu);
    return end;
}

static sl_rc put_records(struct sli_job *job, enum sl_export_state end, struct sl_err *err)
{
    if (end == SL_EXPORT_SUCCESS) {
        SL_TRY(sli_manifest_put(job, err));
    }
    SL_TRY(sli_node_status_put(job, SLI_PATIENT, err));
    SL_TRY(sli_metadata_put(job, SL_PUT_REPLACE, err));
    return sli_journal_put(job, end, true, err);
}

/* Stores the records of the end. A failure here turns SUCCESS into FAILED, told by the status; a
 * journal record that is not final lets the next start repair the others. */
static void store_end(struct sli_job *job)
{
    struct sl_err err = {0};
    enum sl_export_state end = decide_end(job);
    sl_rc rc = put_records(job, end, &err);
    if (rc != SL_OK && end == SL_EXPORT_SUCCESS) {
        sl_mutex_lock(&job->mu);
        SL_IGNORE(SL_FAIL(&job->error, rc, "the record of the end could not be stored: %s",
                          sl_err_text(&err, rc)),
                  "writes the sentence");
        end = SL_EXPORT_FAILED;
        sli_job_move_locked(job, end);
        sl_mutex_unlock(&job->mu);
        SL_IGNORE(sli_manifest_remove(job->backend, job->id, NULL), "the record says FAILED");
        SL_IGNORE(put_records(job, end, NULL), "best effort after a failed record");
    }
    log_end(job, end);
    sl_stat_add(end == SL_EXPORT_SUCCESS    ? SL_STAT_EXPORTS_SUCCESS
                : end == SL_EXPORT_CANCELED ? SL_STAT_EXPORTS_CANCELED
                                            : SL_STAT_EXPORTS_FAILED,
                1);
    sl_histogram_add(SL_HISTOGRAM_EXPORT, sl_clock_mono_ns(job->ex->opts.clock) - job->run_mono_ns);
}

static void free_slot(struct sli_job *job)
{
    struct sl_exports *ex = job->ex;
    sl_mutex_lock(&ex->mu);
    ex->is_slot_taken = false;
    sl_stat_set(SL_STAT_EXPORT_RUNNING, 0);
    sl_mutex_unlock(&ex->mu);
    sl_mutex_lock(&job->mu);
    job->is_done = true;
    sl_cond_broadcast(&job->ended);
    sl_mutex_unlock(&job->mu);
}

/* From the last range, or a failed start, to a free slot. */
static void end_job(struct sli_job *job)
{
    if (job->ticker_id != 0) {
        sl_ticker_remove(job->ex->opts.ticker, job->ticker_id);
    }
    /* Uploads of aborted files are waited for by their streams; the pool is idle now. */
    sl_workers_free(sl_move(&job->uploaders));
    sl_part_pool_free(sl_move(&job->part_pool)); /* ended jobs are kept for polls, bytes are not */
    store_end(job);
    sl_frozen_release(sl_move(&job->frozen), true);
    free_slot(job);
}

static void conduct(void *arg)
{
    struct sli_job *job = arg;
    run_workers(job);
    check_counts(job);
    end_job(job);
}

/* The record others may read while it runs; the live status needs none of it. */
static void store_status(void *arg)
{
    SL_IGNORE(sli_node_status_put(arg, SLI_ONCE, NULL), "tried again in ten seconds");
}

/* What the widest writer of the job holds besides its row group: pages, codecs. */
static sl_rc writer_bytes(const struct sli_job *job, uint64_t *ret, struct sl_err *err)
{
    *ret = 0;
    for (uint32_t i = 0; i < job->shard_count; i++) {
        bool is_seen = i > 0 && sl_str_eq(job->shards[i].shard.class_name,
                                          job->shards[i - 1].shard.class_name);
        if (!is_seen) {
            struct sl_pq_opts opts = {.zstd_level = sli_zstd_level(&job->settings),
                                      .group_rows = SLI_GROUP_ROWS,
                                      .has_bloom = job->settings.has_bloom};
            SL_AUTO_PTR(sl_layout) layout = NULL;
            SL_TRY(sli_layout_open(job, job->shards[i].class_json, NULL, &layout, err));
            sl_layout_schema(layout, &opts);
            *ret = SL_MAX(*ret, sl_pq_memory_bound(&opts));
        }
    }
    return SL_OK;
}

static sl_rc start(struct sli_job *job, struct sl_err *err)
{
    uint64_t writer = 0;
    SL_TRY(writer_bytes(job, &writer, err));
    struct sli_memory_plan plan = sli_memory_plan(job->settings.memory_bytes, job->parallelism,
                                                  job->backend->ops->part_rule.bytes_min, writer);
    job->run_mono_ns = sl_clock_mono_ns(job->ex->opts.clock);
    job->worker_count = plan.worker_count;
    job->group_bytes = plan.group_bytes;
    uint32_t uploaders = SL_MAX(4U, 2 * job->worker_count);
    SL_TRY(sl_workers_new("upload", uploaders, 2 * uploaders, &job->uploaders, err));
    SL_TRY(sl_budget_new(plan.parts_budget, &job->parts, err));
    sl_budget_watch(job->parts, SL_BUDGET_PARTS);
    SL_TRY(sl_part_pool_new(job->parts, plan.part_bytes, &job->part_pool, err));
    sl_mutex_lock(&job->mu);
    sli_job_move_locked(job, SL_EXPORT_TRANSFERRING);
    sl_mutex_unlock(&job->mu);
    if (job->ex->opts.ticker != NULL) {
        SL_TRY(sl_ticker_add(job->ex->opts.ticker, STATUS_PERIOD, store_status, job,
                             &job->ticker_id, err));
    }
    return sl_thread_start("export", conduct, job, &job->conductor, err);
}

sl_rc sli_runner_start(struct sli_job *job, struct sl_err *err)
{
    struct sl_err first = {0};
    sl_rc rc = start(job, &first);
    if (rc != SL_OK) {
        sli_job_fail(job, UINT32_MAX, &first, rc);
        end_job(job);
        return SL_FAIL(err, rc, "%s", sl_err_text(&first, rc));
    }
    return SL_OK;
}
