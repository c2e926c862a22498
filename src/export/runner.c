/* Runs a job: one conductor thread starts P range workers, waits, and ends the job.
 *
 * Ranges are taken by an atomic counter. The first failure sets the token, which every range asks
 * at each object. The conductor alone moves the state to its end, after the records are stored:
 * SUCCESS is never visible before. */
#include "base/log.h"
#include "export/export_int.h"

#define WORKERS_MAX 256

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
    } else if (end == SL_EXPORT_FAILED && job->error_shard != UINT32_MAX) {
        sl_err_prefix(&job->error, "node %.*s failed", SL_STR_ARG(job->ex->node_name));
    }
    job->state = end;
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

/* Stores the records of the end. A failure here turns SUCCESS into FAILED, told by the status. */
static void store_end(struct sli_job *job)
{
    struct sl_err err = {0};
    enum sl_export_state end = decide_end(job);
    sl_rc rc = sli_node_status_put(job, &err);
    if (rc == SL_OK) {
        rc = sli_metadata_put(job, SL_PUT_REPLACE, &err);
    }
    if (rc == SL_OK) {
        rc = sli_journal_put(job, end, true, &err);
    }
    if (rc != SL_OK && end == SL_EXPORT_SUCCESS) {
        sl_mutex_lock(&job->mu);
        SL_IGNORE(SL_FAIL(&job->error, rc, "the record of the end could not be stored: %s",
                          sl_err_text(&err, rc)),
                  "writes the sentence");
        job->state = SL_EXPORT_FAILED;
        sl_mutex_unlock(&job->mu);
        end = SL_EXPORT_FAILED;
        SL_IGNORE(sli_node_status_put(job, NULL), "best effort after a failed record");
        SL_IGNORE(sli_metadata_put(job, SL_PUT_REPLACE, NULL), "best effort after a failed record");
        SL_IGNORE(sli_journal_put(job, end, true, NULL), "a restart marks it FAILED anyway");
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

static void conduct(void *arg)
{
    struct sli_job *job = arg;
    run_workers(job);
    if (job->ticker_id != 0) {
        sl_ticker_remove(job->ex->opts.ticker, job->ticker_id);
    }
    /* Uploads of aborted files are waited for by their streams; the pool is idle now. */
    sl_workers_free(job->uploaders);
    job->uploaders = NULL;
    check_counts(job);
    store_end(job);
    sl_frozen_release(job->frozen, true);
    job->frozen = NULL;
    free_slot(job);
}

#define STATUS_PERIOD_NS 10000000000

/* The record others may read while it runs; the live status needs none of it. */
static void store_status(void *arg)
{
    SL_IGNORE(sli_node_status_put(arg, NULL), "tried again in ten seconds; the end is what counts");
}

sl_rc sli_runner_start(struct sli_job *job, struct sl_err *err)
{
    uint32_t uploaders = SL_MAX(4U, 2 * job->worker_count);
    uint64_t part_bytes = 8u << 20;
    /* At least two parts a worker, or a worker could wait for itself; a quarter of the export's
     * share. */
    uint64_t budget = SL_MAX(job->settings.memory_bytes / 4, 2 * part_bytes * job->worker_count);
    SL_TRY(sl_workers_new("upload", uploaders, 2 * uploaders, &job->uploaders, err));
    SL_TRY(sl_budget_new(budget, &job->parts, err));
    sl_mutex_lock(&job->mu);
    job->state = SL_EXPORT_TRANSFERRING;
    sl_mutex_unlock(&job->mu);
    if (job->ex->opts.ticker != NULL) {
        SL_TRY(sl_ticker_add(job->ex->opts.ticker, STATUS_PERIOD_NS, store_status, job,
                             &job->ticker_id, err));
    }
    sl_rc rc = sl_thread_start("export", conduct, job, &job->conductor, err);
    if (rc != SL_OK && job->ticker_id != 0) {
        sl_ticker_remove(job->ex->opts.ticker, job->ticker_id);
    }
    return rc;
}
