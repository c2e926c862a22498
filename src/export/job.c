/* The job: states, birth, the list of those that are kept, first failure, end of life.
 *
 *   state         meaning                              may become
 *   STARTED       accepted, instant fixed, planned     TRANSFERRING FAILED CANCELED
 *   TRANSFERRING  ranges run                           SUCCESS FAILED CANCELED
 *   SUCCESS       every range has its receipt          FAILED, only while !is_done: the record of
 *                                                      the end could not be stored
 *   FAILED        first failure in `error`             -
 *   CANCELED      wanted by the user; sticky           -
 *
 * Nobody is told an end before is_done, and no step follows it.
 *
 * A job is in the list from its claim on; ended jobs stay for cheap polls until SLI_RECENT_MAX
 * newer ones ended, then the record on the backend answers. References keep a job alive while a
 * request looks at it. */
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

bool sli_state_may(enum sl_export_state from, enum sl_export_state to)
{
    static const uint8_t steps[] = {
        [SL_EXPORT_STARTED] =
            1 << SL_EXPORT_TRANSFERRING | 1 << SL_EXPORT_FAILED | 1 << SL_EXPORT_CANCELED,
        [SL_EXPORT_TRANSFERRING] =
            1 << SL_EXPORT_SUCCESS | 1 << SL_EXPORT_FAILED | 1 << SL_EXPORT_CANCELED,
        [SL_EXPORT_SUCCESS] = 1 << SL_EXPORT_FAILED,
        [SL_EXPORT_FAILED] = 0,
        [SL_EXPORT_CANCELED] = 0,
    };
    return (steps[from] >> to & 1) != 0;
}

void sli_job_move_locked(struct sli_job *job, enum sl_export_state to)
{
    sl_assert(!job->is_done && sli_state_may(job->state, to));
    job->state = to;
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

struct sli_job *sli_job_take(struct sl_exports *ex, struct sl_str id)
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

void sli_job_give(struct sli_job *job)
{
    sl_mutex_lock(&job->ex->mu);
    bool is_last = --job->refs == 0;
    sl_mutex_unlock(&job->ex->mu);
    if (is_last) {
        sli_job_free(job);
    }
}

/* The oldest one goes out; that ended long ago, since one runs at a time. It is freed outside the
 * lock. */
void sli_job_add(struct sl_exports *ex, struct sli_job *job)
{
    struct sli_job *old = NULL;
    sl_mutex_lock(&ex->mu);
    job->refs++;
    job->next = ex->jobs;
    ex->jobs = job;
    ex->job_count++;
    if (ex->job_count > SLI_RECENT_MAX) {
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
        sli_job_give(old);
    }
}

static void set_error_locked(struct sli_job *job, uint32_t shard_idx, const char *text, sl_rc rc)
    SL_REQUIRES(job->mu)
{
    SL_IGNORE(SL_FAIL(&job->cause, rc, "%s", text), "writes the sentence");
    if (shard_idx == UINT32_MAX) {
        job->error = job->cause;
        return;
    }
    const struct sl_shard *s = &job->shards[shard_idx].shard;
    struct sl_str node = job->ex->node_name;
    SL_IGNORE(SL_FAIL(&job->error, rc,
                      "node %.*s failed: failed to export class %.*s shard %.*s: %s",
                      SL_STR_ARG(node), SL_STR_ARG(s->class_name), SL_STR_ARG(s->name), text),
              "writes the sentence");
    job->error_prefix = (uint32_t)(strlen("node ") + node.len + strlen(" failed: "));
}

void sli_job_fail(struct sli_job *job, uint32_t shard_idx, const struct sl_err *err, sl_rc rc)
{
    sl_mutex_lock(&job->mu);
    bool is_ended = job->state >= SL_EXPORT_SUCCESS; /* its records are being written */
    if (job->error.rc == SL_OK && !job->is_cancel_wanted && !is_ended) {
        job->error_shard = shard_idx;
        set_error_locked(job, shard_idx, sl_err_text(err, rc), rc);
    }
    sl_mutex_unlock(&job->mu);
    if (shard_idx != UINT32_MAX) {
        atomic_store_explicit(&job->shards[shard_idx].is_failed, true, memory_order_relaxed);
    }
    sl_cancel_set(&job->cancel);
}

void sli_job_look(struct sli_job *job, struct sli_ending *ret)
{
    sl_mutex_lock(&job->mu);
    ret->state = job->state;
    ret->is_done = job->is_done;
    ret->finished_ns = job->finished_ns;
    ret->error_prefix = job->error_prefix;
    ret->error_shard = job->error_shard;
    memcpy(ret->error, job->error.text, sizeof(ret->error));
    memcpy(ret->cause, job->cause.text, sizeof(ret->cause));
    sl_mutex_unlock(&job->mu);
}

static struct sl_str short_name(struct sl_str name)
{
    return sl_str_starts(name, "backup-") ? (struct sl_str){name.ptr + 7, name.len - 7} : name;
}

bool sli_is_same_backend(struct sl_str a, struct sl_str b)
{
    return sl_str_eq(short_name(a), short_name(b));
}

bool sli_is_backend(const struct sli_job *job, struct sl_str name)
{
    return sli_is_same_backend(job->backend_name, name);
}

void sli_key(const struct sli_job *job, struct sl_str name, struct sl_buf *out)
{
    sl_buf_add_str(out, job->id);
    sl_buf_add_u8(out, '/');
    sl_buf_add_str(out, name);
}
