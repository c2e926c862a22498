/* The job: states, birth, first failure, end of life.
 *
 *   state         meaning                              may become
 *   STARTED       accepted, instant fixed, planned     TRANSFERRING
 *   TRANSFERRING  ranges run                           SUCCESS FAILED CANCELED
 *   SUCCESS       every range has its receipt and      -
 *                 the record of the end is stored
 *   FAILED        first failure in `error`             -
 *   CANCELED      wanted by the user; sticky           -
 */
#include "export/export_int.h"

#include "base/str.h"

const char *sl_export_state_name(enum sl_export_state s)
{
    static const char *const names[] = {"STARTED", "TRANSFERRING", "SUCCESS", "FAILED", "CANCELED"};
    return names[s];
}

const char *sli_shard_state_name(enum sli_shard_state s)
{
    static const char *const names[] = {"TRANSFERRING", "SUCCESS", "FAILED", "SKIPPED"};
    return names[s];
}

struct sli_job *sli_job_new(struct sl_exports *ex)
{
    struct sli_job *job = sl_alloc_zero(1, sizeof(*job));
    if (job != NULL) {
        job->ex = ex;
        job->refs = 1;
        job->error_shard = UINT32_MAX;
        sl_mutex_init(&job->mu);
        sl_cond_init(&job->ended);
        sl_cancel_init(&job->cancel);
    }
    return job;
}

void sli_job_free(struct sli_job *job)
{
    if (job == NULL) {
        return;
    }
    sl_thread_join(job->conductor);
    sl_workers_free(job->uploaders);
    sl_budget_free(job->parts);
    sl_backend_close(job->backend);
    sl_frozen_release(job->frozen, true);
    sl_cancel_fini(&job->cancel);
    sl_cond_fini(&job->ended);
    sl_mutex_fini(&job->mu);
    sl_arena_fini(&job->arena);
    sl_free(job);
}

void sli_job_fail(struct sli_job *job, uint32_t shard_idx, const struct sl_err *err, sl_rc rc)
{
    sl_mutex_lock(&job->mu);
    bool is_first = job->error.rc == SL_OK && !job->is_cancel_wanted;
    if (is_first) {
        job->error_shard = shard_idx;
        if (shard_idx != UINT32_MAX) {
            const struct sl_shard *s = &job->shards[shard_idx].shard;
            SL_IGNORE(SL_FAIL(&job->error, rc, "failed to export class %.*s shard %.*s: %s",
                              SL_STR_ARG(s->class_name), SL_STR_ARG(s->name), sl_err_text(err, rc)),
                      "writes the sentence");
        } else {
            SL_IGNORE(SL_FAIL(&job->error, rc, "%s", sl_err_text(err, rc)), "writes the sentence");
        }
    }
    sl_mutex_unlock(&job->mu);
    if (shard_idx != UINT32_MAX && rc != SL_ECANCELED) {
        atomic_store_explicit(&job->shards[shard_idx].is_failed, true, memory_order_relaxed);
    }
    sl_cancel_set(&job->cancel);
}

enum sl_export_state sli_job_state(struct sli_job *job)
{
    sl_mutex_lock(&job->mu);
    enum sl_export_state s = job->state;
    sl_mutex_unlock(&job->mu);
    return s;
}

void sli_job_ref(struct sli_job *job)
{
    sl_mutex_lock(&job->ex->mu);
    job->refs++;
    sl_mutex_unlock(&job->ex->mu);
}

static struct sl_str short_name(struct sl_str name)
{
    return sl_str_starts(name, "backup-") ? (struct sl_str){name.ptr + 7, name.len - 7} : name;
}

bool sli_is_backend(const struct sli_job *job, struct sl_str name)
{
    return sl_str_eq(short_name(job->backend_name), short_name(name));
}

void sli_key(const struct sli_job *job, struct sl_str name, struct sl_buf *out)
{
    sl_buf_add_str(out, job->id);
    sl_buf_add_u8(out, '/');
    sl_buf_add_str(out, name);
}
