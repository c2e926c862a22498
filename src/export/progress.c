/* Replies about a job: atomic counters -> JSON. Writes and probes nothing.
 *
 * Keys are those of the reference in alphabetical order, plus bytesWritten, etaSeconds,
 * objectsExported, objectsTotal, percent, syncMs and unknownCollections, which clients ignore.
 * completedAt is left out while it is unset. */
#include "export/export_int.h"

/* Why the shard was not written; an estimate may turn out to be nothing. */
static struct sl_str skip_reason(const struct sli_shard_job *s)
{
    bool is_read = s->shard.skip_reason.len == 0 &&
                   atomic_load_explicit(&s->ranges_left, memory_order_acquire) == 0;
    bool is_empty = is_read && s->shard.is_count_estimated &&
                    atomic_load_explicit(&s->rows, memory_order_relaxed) == 0;
    return is_empty ? SL_STR("no data") : s->shard.skip_reason;
}

static enum sli_shard_state shard_state(const struct sli_shard_job *s, const struct sli_ending *end)
{
    if (skip_reason(s).len > 0) {
        return SLI_SHARD_SKIPPED;
    }
    if (atomic_load_explicit(&s->is_failed, memory_order_relaxed)) {
        return SLI_SHARD_FAILED;
    }
    if (atomic_load_explicit(&s->ranges_left, memory_order_acquire) == 0) {
        return SLI_SHARD_SUCCESS;
    }
    return end->finished_ns != 0 ? SLI_SHARD_FAILED : SLI_SHARD_TRANSFERRING;
}

static void add_pair(struct sl_json *w, const char *key, struct sl_str text)
{
    if (text.len > 0) {
        sl_json_key(w, key);
        sl_json_str(w, text);
    }
}

/* Two orders of the same keys: the reference marshals two different structs. */
static void add_shard(const struct sli_job *job, uint32_t idx, const struct sli_ending *end,
                      enum sli_shard_form form, struct sl_json *w)
{
    const struct sli_shard_job *s = &job->shards[idx];
    uint64_t rows = atomic_load_explicit(&s->rows, memory_order_relaxed);
    const char *state = sli_shard_state_name(shard_state(s, end));
    struct sl_str cause = sl_str_from(end->error_shard == idx ? end->cause : "");
    sl_json_obj(w);
    if (form == SLI_SHARD_API) {
        add_pair(w, "error", cause);
    } else {
        add_pair(w, "status", sl_str_from(state));
    }
    if (rows > 0 || form == SLI_SHARD_NODE) {
        sl_json_key(w, "objectsExported");
        sl_json_u64(w, rows);
    }
    if (form == SLI_SHARD_NODE) {
        add_pair(w, "error", cause);
    }
    add_pair(w, "skipReason", skip_reason(s));
    if (form == SLI_SHARD_API) {
        add_pair(w, "status", sl_str_from(state));
    }
    sl_json_obj_end(w);
}

void sli_shards_json(const struct sli_job *job, const struct sli_ending *end,
                     enum sli_shard_form form, struct sl_json *w)
{
    sl_json_obj(w);
    for (uint32_t i = 0; i < job->shard_count; i++) {
        const struct sl_shard *s = &job->shards[i].shard;
        if (i == 0 || !sl_str_eq(job->shards[i - 1].shard.class_name, s->class_name)) {
            if (i > 0) {
                sl_json_obj_end(w);
            }
            sl_json_key_str(w, s->class_name);
            sl_json_obj(w);
        }
        sl_json_key_str(w, s->name);
        add_shard(job, i, end, form, w);
    }
    if (job->shard_count > 0) {
        sl_json_obj_end(w);
    }
    sl_json_obj_end(w);
}

static void add_classes(const struct sli_job *job, struct sl_json *w)
{
    sl_json_key(w, "classes");
    sl_json_arr(w);
    for (uint32_t i = 0; i < job->class_count; i++) {
        sl_json_str(w, job->classes[i]);
    }
    sl_json_arr_end(w);
}

void sli_unknown_json(const struct sli_job *job, struct sl_json *w)
{
    if (job->unknown_count == 0) {
        return;
    }
    sl_json_key(w, "unknownCollections");
    sl_json_arr(w);
    for (uint32_t i = 0; i < job->unknown_count; i++) {
        sl_json_str(w, job->unknown[i]);
    }
    sl_json_arr_end(w);
}

void sli_created_reply(struct sli_job *job, struct sl_buf *out)
{
    struct sl_json w = sl_json_over(out);
    sl_json_obj(&w);
    sl_json_key(&w, "backend");
    sl_json_str(&w, job->backend_name);
    add_classes(job, &w);
    sl_json_key(&w, "id");
    sl_json_str(&w, job->id);
    sl_json_key(&w, "path");
    sl_json_str(&w, job->place);
    sl_json_key(&w, "startedAt");
    sl_json_time_ms(&w, job->started_ns);
    sl_json_key(&w, "status");
    sl_json_text(&w, "STARTED");
    sli_unknown_json(job, &w);
    sl_json_obj_end(&w);
    sl_buf_add_u8(out, '\n');
}

uint64_t sli_objects_total(const struct sli_job *job, bool is_success)
{
    uint64_t rows = atomic_load_explicit(&job->rows, memory_order_relaxed);
    if (!job->is_total_estimated) {
        return job->objects_total;
    }
    return is_success ? rows : SL_MAX(job->objects_total, rows);
}

/* Seconds left at the pace so far; nothing is told before there is a pace. */
static void add_eta(const struct sli_job *job, uint64_t rows, struct sl_json *w)
{
    uint64_t total = sli_objects_total(job, false);
    int64_t ns = sl_clock_mono_ns(job->ex->opts.clock) - job->started_mono_ns;
    if (rows > 0 && rows <= total && ns > 0) {
        sl_json_key(w, "etaSeconds");
        double left = (double)(total - rows) * ((double)ns / 1e9) / (double)rows;
        sl_json_f64(w, (double)(int64_t)(left * 10) / 10);
    }
}

void sli_status_reply(struct sli_job *job, struct sl_buf *out)
{
    struct sli_ending end;
    sli_job_look(job, &end);
    if (!end.is_done) { /* nobody is told an end before its records are stored */
        end.state = SL_EXPORT_TRANSFERRING;
        end.finished_ns = 0;
    }
    uint64_t rows = atomic_load_explicit(&job->rows, memory_order_relaxed);
    uint64_t sent = atomic_load_explicit(&job->sent_bytes, memory_order_relaxed);
    uint64_t stored = atomic_load_explicit(&job->file_bytes, memory_order_relaxed);
    struct sl_json w = sl_json_over(out);
    sl_json_obj(&w);
    sl_json_key(&w, "backend");
    sl_json_str(&w, job->backend_name);
    sl_json_key(&w, "bytesWritten");
    sl_json_u64(&w, end.state == SL_EXPORT_SUCCESS ? stored : SL_MAX(sent, stored));
    add_classes(job, &w);
    if (end.is_done) {
        sl_json_key(&w, "completedAt");
        sl_json_time_ms(&w, end.finished_ns);
        add_pair(&w, "error", sl_str_from(end.error));
    } else {
        add_eta(job, rows + atomic_load_explicit(&job->passed, memory_order_relaxed), &w);
    }
    sl_json_key(&w, "id");
    sl_json_str(&w, job->id);
    sl_json_key(&w, "objectsExported");
    sl_json_u64(&w, rows);
    sl_json_key(&w, "objectsTotal");
    uint64_t total = sli_objects_total(job, end.state == SL_EXPORT_SUCCESS);
    sl_json_u64(&w, total);
    sl_json_key(&w, "path");
    sl_json_str(&w, job->place);
    sl_json_key(&w, "percent");
    uint64_t read = rows + atomic_load_explicit(&job->passed, memory_order_relaxed);
    double share = total == 0 ? (end.is_done ? 1 : 0) : (double)read / (double)total;
    sl_json_f64(&w, (double)(int64_t)(share * 1000) / 10);
    if (job->shard_count > 0 && end.state != SL_EXPORT_CANCELED) {
        sl_json_key(&w, "shardStatus");
        sli_shards_json(job, &end, SLI_SHARD_API, &w);
    }
    sl_json_key(&w, "startedAt");
    sl_json_time_ms(&w, job->started_ns);
    sl_json_key(&w, "status");
    sl_json_text(&w, sl_export_state_name(end.state));
    if (end.is_done) {
        sl_json_key(&w, "syncMs");
        sl_json_i64(&w, atomic_load_explicit(&job->sync_ns, memory_order_relaxed) / 1000000);
        int64_t took = (end.finished_ns - job->started_ns) / 1000000;
        if (took != 0) {
            sl_json_key(&w, "tookInMs");
            sl_json_i64(&w, took);
        }
    }
    sli_unknown_json(job, &w);
    sl_json_obj_end(&w);
    sl_buf_add_u8(out, '\n');
}
