/* The two records beside the files: export_metadata.json (its existence takes the id) and
 * node_<name>_status.json. Keys, order and times as the reference writes them. */
#include "base/stats.h"
#include "export/export_int.h"

#define PUT_TRIES   5
#define PUT_WAIT_NS 100000000 /* doubled each time: a short hiccup is ridden out in 1.5 s */

static void add_time(struct sl_json *w, const char *key, int64_t wall_ns)
{
    sl_json_key(w, key);
    if (wall_ns == 0) {
        sl_json_text(w, "0001-01-01T00:00:00Z"); /* how the reference writes "not yet" */
    } else {
        sl_json_time_ns(w, wall_ns);
    }
}

static void add_assignments(const struct sli_job *job, struct sl_json *w)
{
    sl_json_key(w, "nodeAssignments");
    sl_json_obj(w);
    sl_json_key_str(w, job->ex->node_name);
    sl_json_obj(w);
    for (uint32_t i = 0; i < job->shard_count; i++) {
        const struct sl_shard *s = &job->shards[i].shard;
        if (i == 0 || !sl_str_eq(job->shards[i - 1].shard.class_name, s->class_name)) {
            if (i > 0) {
                sl_json_arr_end(w);
            }
            sl_json_key_str(w, s->class_name);
            sl_json_arr(w);
        }
        sl_json_str(w, s->name);
    }
    sl_json_arr_end(w);
    sl_json_obj_end(w);
    sl_json_obj_end(w);
}

static void add_error(struct sl_json *w, const char *text)
{
    if (text[0] != '\0') {
        sl_json_key(w, "error");
        sl_json_text(w, text);
    }
}

void sli_metadata_write(struct sli_job *job, struct sl_buf *out)
{
    struct sli_ending end;
    sli_job_look(job, &end);
    bool is_running = end.finished_ns == 0;
    struct sl_json w = sl_json_over(out);
    w.indent = 2;
    sl_json_obj(&w);
    sl_json_key(&w, "id");
    sl_json_str(&w, job->id);
    sl_json_key(&w, "backend");
    sl_json_str(&w, job->backend_name);
    add_time(&w, "startedAt", job->started_ns);
    add_time(&w, "completedAt", end.finished_ns);
    sl_json_key(&w, "status");
    sl_json_text(&w, is_running ? "STARTED" : sl_export_state_name(end.state));
    sl_json_key(&w, "classes");
    sl_json_arr(&w);
    for (uint32_t i = 0; i < job->class_count; i++) {
        sl_json_str(&w, job->classes[i]);
    }
    sl_json_arr_end(&w);
    if (job->shard_count > 0) {
        add_assignments(job, &w);
    }
    if (!is_running) {
        add_error(&w, end.error);
    }
    if (!is_running && end.state != SL_EXPORT_CANCELED && job->shard_count > 0) {
        sl_json_key(&w, "shardStatus");
        sli_shards_json(job, &end, SLI_SHARD_API, &w);
    }
    sl_json_obj_end(&w);
}

void sli_node_status_write(struct sli_job *job, struct sl_buf *out)
{
    struct sli_ending end;
    sli_job_look(job, &end);
    bool is_running = end.finished_ns == 0;
    struct sl_json w = sl_json_over(out);
    sl_json_obj(&w);
    sl_json_key(&w, "nodeName");
    sl_json_str(&w, job->ex->node_name);
    sl_json_key(&w, "status");
    sl_json_text(&w, is_running                       ? "TRANSFERRING"
                     : end.state == SL_EXPORT_SUCCESS ? "SUCCESS"
                                                      : "FAILED");
    if (job->shard_count > 0) {
        sl_json_key(&w, "shardProgress");
        sli_shards_json(job, &end, SLI_SHARD_NODE, &w);
    }
    if (!is_running) {
        add_error(&w, end.error + end.error_prefix);
    }
    add_time(&w, "completedAt", end.finished_ns);
    sl_json_key(&w, "version");
    sl_json_text(&w, SL_VERSION);
    sl_json_obj_end(&w);
}

sl_rc sli_record_put(struct sli_job *job, struct sl_str name, const struct sl_buf *text,
                     enum sl_put_mode mode, enum sli_tries tries, struct sl_err *err)
{
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    struct sl_clock *clock = job->ex->opts.clock;
    sli_key(job, name, &key);
    SL_TRY(sl_buf_done(&key, err));
    SL_TRY(sl_buf_done(text, err));
    for (int i = 1;; i++) {
        sl_rc rc = sl_backend_put(job->backend, sl_buf_str(&key), sl_buf_view(text), mode, err);
        if (rc == SL_OK || !sl_rc_retriable(rc) || tries == SLI_ONCE || i == PUT_TRIES) {
            return rc;
        }
        sl_stat_add(SL_STAT_RETRIES, 1);
        int64_t until = sl_clock_mono_ns(clock) + ((int64_t)PUT_WAIT_NS << (i - 1));
        SL_IGNORE(sl_clock_sleep_until(clock, until, NULL), "without a token it only sleeps");
    }
}

sl_rc sli_metadata_put(struct sli_job *job, enum sl_put_mode mode, struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sli_metadata_write(job, &text);
    /* A claim is not repeated: had the first one been stored, the second would find the id taken.
     */
    enum sli_tries tries = mode == SL_PUT_NEW ? SLI_ONCE : SLI_PATIENT;
    return sli_record_put(job, SL_STR(SLI_METADATA_KEY), &text, mode, tries, err);
}

sl_rc sli_node_status_put(struct sli_job *job, enum sli_tries tries, struct sl_err *err)
{
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_buf_addf(&name, "node_%.*s_status.json", SL_STR_ARG(job->ex->node_name));
    SL_TRY(sl_buf_done(&name, err));
    sli_node_status_write(job, &text);
    return sli_record_put(job, sl_buf_str(&name), &text, SL_PUT_REPLACE, tries, err);
}
