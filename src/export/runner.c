/* Runs a job: one conductor thread starts P range workers, waits, and ends the job.
 *
 * Ranges are taken by an atomic counter. The first failure sets the token, which every range asks
 * at each object. The conductor alone moves the state to its end, after the records are stored:
 * SUCCESS is never visible before. */
#include "base/log.h"
#include "export/export_int.h"

#define WORKERS_MAX   256
#define GROUP_MAX     (64ull << 20) /* readers like row groups of this size */
#define GROUP_MIN     (8ull << 20)  /* smaller ones cost readers more than they save us */
#define PART_MAX      (8ull << 20)  /* larger parts gain nothing measurable */
#define PART_MIN      (1ull << 20)  /* smaller ones make more calls than bytes */
#define STATUS_PERIOD 10000000000   /* ns; as the reference */

/* Halves and quarters of the export's memory: row groups, parts, open pages and codecs. All is
 * fixed at job start, never a reaction to free memory, so that equal settings make equal files. */
struct sli_memory_plan sli_memory_plan(uint64_t memory_bytes, uint32_t worker_count,
                                       uint64_t part_bytes_min)
{
    struct sl_pq_opts least = {
        .columns = sli_columns, .column_count = sli_column_count, .group_bytes = GROUP_MIN};
    uint64_t room = (memory_bytes - memory_bytes / 4) / sl_pq_memory_bound(&least);
    uint64_t part_min = SL_MAX(part_bytes_min, (uint64_t)PART_MIN);
    struct sli_memory_plan plan;
    plan.worker_count = (uint32_t)SL_MIN(SL_MAX(room, 1U), (uint64_t)SL_MAX(worker_count, 1U));
    plan.worker_count = SL_MIN(plan.worker_count, (uint32_t)WORKERS_MAX);
    uint64_t group = memory_bytes / 2 / plan.worker_count;
    plan.group_bytes = SL_MIN(SL_MAX(group, (uint64_t)GROUP_MIN), (uint64_t)GROUP_MAX);
    /* At least two parts a worker, or a worker could wait for itself. */
    uint64_t part = memory_bytes / 4 / (2 * plan.worker_count) & ~(uint64_t)(PART_MIN - 1);
    plan.part_bytes = SL_MIN(SL_MAX(part, part_min), SL_MAX(part_min, (uint64_t)PART_MAX));
    plan.parts_budget = SL_MAX(memory_bytes / 4, 2 * plan.worker_count * plan.part_bytes);
    return plan;
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
        sl_rc rc = sli_range_run(job, range, &err);
        if (rc != SL_OK) {
            if (rc != SL_ECANCELED) {
                sli_job_fail(job, range->shard_idx, &err, rc);
            }
            return;
        }
        struct sli_shard_job *shard = &job->shards[range->shard_idx];
        atomic_fetch_sub_explicit(&shard->ranges_left, 1, memory_order_release);
        atomic_fetch_add_explicit(&job->ranges_done, 1, memory_order_relaxed);
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
    uint64_t rows = atomic_load_explicit(&job->rows, memory_order_relaxed);
    struct sl_err err = {0};
    if (sl_cancel_is_set(&job->cancel)) {
        return;
    }
    if (atomic_load_explicit(&job->ranges_done, memory_order_acquire) != job->range_count) {
        sl_rc rc = SL_FAIL(&err, SL_EINTERNAL, "not every range was written");
        sli_job_fail(job, UINT32_MAX, &err, rc);
    } else if (rows != job->objects_total) {
        sl_rc rc =
            SL_FAIL(&err, SL_ECORRUPT, "%llu rows were written, the store counts %llu objects",
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

static void log_end(struct sli_job *job, enum sl_export_state end)
{
    uint64_t rows = atomic_load_explicit(&job->rows, memory_order_relaxed);
    int64_t ms = (sl_clock_mono_ns(job->ex->opts.clock) - job->started_mono_ns) / 1000000;
    if (end == SL_EXPORT_SUCCESS) {
        sl_log(SL_INFO, "export_participant", "participant export completed successfully",
               SL_F_STR("export_id", job->id), SL_F_INT("objects", rows),
               SL_F_INT("files", atomic_load(&job->files_done)), SL_F_INT("duration_ms", ms));
    } else {
        sl_log(end == SL_EXPORT_CANCELED ? SL_WARN : SL_ERROR, "export_participant",
               "export ended without success", SL_F_STR("export_id", job->id),
               SL_F_TEXT("status", sl_export_state_name(end)), SL_F_TEXT("error", job->error.text),
               SL_F_INT("objects", rows), SL_F_INT("duration_ms", ms));
    }
}

static sl_rc put_records(struct sli_job *job, enum sl_export_state end, struct sl_err *err)
{
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
        SL_IGNORE(put_records(job, end, NULL), "best effort after a failed record");
    }
    log_end(job, end);
}

static void free_slot(struct sli_job *job)
{
    struct sl_exports *ex = job->ex;
    sl_mutex_lock(&ex->mu);
    ex->is_slot_taken = false;
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

static sl_rc start(struct sli_job *job, struct sl_err *err)
{
    struct sli_memory_plan plan = sli_memory_plan(job->settings.memory_bytes, job->parallelism,
                                                  job->backend->ops->part_rule.bytes_min);
    job->worker_count = plan.worker_count;
    job->group_bytes = plan.group_bytes;
    job->part_bytes = plan.part_bytes;
    uint32_t uploaders = SL_MAX(4U, 2 * job->worker_count);
    SL_TRY(sl_workers_new("upload", uploaders, 2 * uploaders, &job->uploaders, err));
    SL_TRY(sl_budget_new(plan.parts_budget, &job->parts, err));
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
