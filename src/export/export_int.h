/* Inside of the export engine: the job and the steps that share it.
 *
 * A job is made by scheduler.c, planned by plan.c, run by runner.c (one conductor thread and P
 * range workers), found by lookup.c, told by progress.c, recorded by metadata.c and journal.c.
 * Fields are grouped by who may touch them. */
#ifndef SL_EXPORT_EXPORT_INT_H
#define SL_EXPORT_EXPORT_INT_H

#include <jansson.h>
#include <stdatomic.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/workers.h"
#include "export/export.h"
#include "parquet/parquet.h"

#define SLI_METADATA_KEY "export_metadata.json"
#define SLI_METADATA_MAX (256u << 20) /* 10^6 shards at 200 bytes each */

enum sli_shard_state {
    SLI_SHARD_TRANSFERRING,
    SLI_SHARD_SUCCESS,
    SLI_SHARD_FAILED,
    SLI_SHARD_SKIPPED
};
const char *sli_shard_state_name(enum sli_shard_state s);
/* The table of job.c: may an export go from one state to the other? */
bool sli_state_may(enum sl_export_state from, enum sl_export_state to);

struct sli_shard_job {
    struct sl_shard shard;    /* strings in job->arena */
    struct sl_str class_json; /* of its class; likewise */
    uint32_t range_count;
    _Atomic uint32_t ranges_left; /* 0: SUCCESS, unless failed */
    _Atomic uint64_t rows;
    _Atomic int64_t begun_ns; /* mono; 0 before its first range */
    atomic_bool is_failed;
};
struct sli_range {
    uint32_t shard_idx;
    uint32_t number; /* in the file name; unique among equal prefixes */
    struct sl_range_key key;
};

/* The file of a range, for the manifest: written by the range's worker, read when all have ended.
 * No rows, no file. */
struct sli_file {
    uint64_t bytes, rows, row_hash;
    uint32_t group_count;
    uint8_t sha256[SL_SHA256_SIZE], first_id[SL_UUID_SIZE], last_id[SL_UUID_SIZE];
};

struct sli_job {
    /* Fixed once create returned. */
    struct sl_arena arena;
    struct sl_exports *ex;
    struct sl_str id, backend_name, place; /* place: "/exports/id", as users see it */
    struct sl_str root;                    /* where the backend writes */
    struct sl_str freeze_name;
    struct sl_str started_text;         /* started_ns as the records print it */
    struct sl_export_settings settings; /* strings in arena */
    struct sl_str *classes, *unknown;
    uint32_t class_count, unknown_count;
    struct sli_shard_job *shards;
    uint32_t shard_count;
    struct sli_range *ranges;
    struct sli_file *files; /* one per range */
    uint32_t range_count;
    uint32_t parallelism;  /* what was asked for; decides the ranges of layout weaviate */
    uint32_t worker_count; /* what memory has room for */
    uint64_t group_bytes;  /* of each file */
    uint64_t objects_total;
    bool is_total_estimated;
    int64_t started_ns, started_mono_ns, run_mono_ns; /* run: since the ranges may begin */
    /* Owned by the conductor while running. */
    struct sl_backend *backend;
    struct sl_frozen *frozen;
    struct sl_workers *uploaders;
    struct sl_budget *parts;
    struct sl_part_pool *part_pool;
    struct sl_thread *conductor;
    uint32_t ticker_id;
    /* Counters; any thread. */
    _Atomic uint32_t next_range, ranges_done, files_done;
    _Atomic uint64_t rows, raw_bytes, sent_bytes, file_bytes, nonfinite, nulled;
    _Atomic uint64_t passed; /* objects outside of the times that were asked for */
    _Atomic int64_t first_byte_ns, sync_ns;
    struct sl_cancel cancel; /* stops ranges: first error, user, shutdown */
    /* Under mu (leaf). */
    struct sl_mutex mu;
    struct sl_cond ended;
    enum sl_export_state state;
    int64_t finished_ns;            /* 0 while running */
    bool is_cancel_wanted, is_done; /* done: slot free, files of record written */
    struct sl_err error;            /* first failure, as replies tell it; or that it was canceled */
    struct sl_err cause;            /* the same before prefixes: the shard's own sentence */
    uint32_t error_prefix;          /* bytes of error.text that name the node */
    uint32_t error_shard;           /* index, UINT32_MAX none */
    /* Under ex->mu. */
    uint32_t refs;
    struct sli_job *next;
};

/* What a record or reply tells of the end, copied under the lock. */
struct sli_ending {
    enum sl_export_state state;
    bool is_done;
    int64_t finished_ns;
    uint32_t error_prefix, error_shard;
    char error[SL_ERR_TEXT_SIZE], cause[SL_ERR_TEXT_SIZE];
};
void sli_job_look(struct sli_job *job, struct sli_ending *ret);

/* sl_backend_open, or another in tests. */
typedef sl_rc sli_backend_opener(const struct sl_backend_env *env, struct sl_str place,
                                 struct sl_backend **ret, struct sl_err *err);

struct sl_exports {
    struct sl_exports_opts opts;
    struct sl_str node_name; /* owned copy */
    struct sl_mutex mu;      /* leaf: list, slot, flags */
    struct sli_job *jobs;    /* newest first */
    uint32_t job_count;
    bool is_slot_taken, is_stopping;
    char slot_id[129]; /* id of the slot's holder */
    sli_backend_opener *open_backend;
    struct {                      /* recovery.c */
        struct sl_thread *thread; /* NULL: nothing is left to end */
        struct sl_cancel cancel;
        json_t *left; /* journal records of exports that are to be ended; the thread's */
    } recovery;
};

/* scheduler.c: 0 = CPUs; capped at 4 x CPUs. */
uint32_t sli_parallelism(uint32_t wanted);
/* sl_exports_open with other destinations than those built in: tests. */
sl_rc sli_exports_open(const struct sl_exports_opts *opts, sli_backend_opener *open_backend,
                       struct sl_exports **ret, struct sl_err *err);
/* place.c: what a store needs of the settings; the place of a backend's exports; its opening. */
sl_rc sli_place_check(const struct sl_export_settings *settings, struct sl_str backend,
                      struct sl_err *err);
sl_rc sli_place(const struct sl_export_settings *settings, struct sl_str backend,
                struct sl_buf *out, struct sl_err *err);
#define SLI_LOOK_NS INT64_C(10000000000) /* deadline of requests that somebody waits for */
sl_rc sli_open(struct sl_exports *ex, struct sl_str place, struct sl_cancel *cancel,
               int64_t deadline_ns, struct sl_backend **ret, struct sl_err *err);
/* select.c: classes of the request, without duplicates; unknown names kept. */
sl_rc sli_select(struct sl_source *src, const struct sl_export_request *request,
                 struct sli_job *job, struct sl_err *err);
/* choices.c */
const char *sli_compression_name(enum sl_compression c);
int sli_zstd_level(const struct sl_export_settings *s); /* of all columns */
/* Files hold all of each object, bit by bit: their rows have a hash. */
bool sli_is_whole(const struct sl_export_settings *s);
bool sli_is_narrow(const struct sl_export_settings *s); /* objects are left out by time */
bool sli_is_within(const struct sl_export_settings *s, const struct sl_object *obj);
/* plan.c */
sl_rc sli_plan(struct sli_job *job, const struct sl_export_request *request, struct sl_err *err);
void sli_plan_json(const struct sli_job *job, struct sl_buf *out);
void sli_file_name(const struct sli_job *job, const struct sli_range *range, struct sl_buf *out);
uint32_t sli_range_count(uint64_t objects, uint32_t parallelism);
/* range.c: one range from cursor to closed file. */
struct sli_range_outcome {
    bool has_file; /* it had rows */
    bool is_scan;  /* a failure was one of reading, not of writing */
};
/* is_met: one per column of the settings, set when the class has it; or NULL. */
sl_rc sli_layout_open(const struct sli_job *job, struct sl_str class_json, bool *is_met,
                      struct sl_layout **ret, struct sl_err *err);
sl_rc sli_range_run(struct sli_job *job, const struct sli_range *range,
                    struct sli_range_outcome *ret, struct sl_err *err);
#define SLI_GROUP_ROWS 122880 /* most of a row group: what DuckDB reads as one */
/* runner.c: what one worker's writer and the part buffers may take of `memory_bytes`. */
struct sli_memory_plan {
    uint32_t worker_count; /* wanted, or fewer when memory has no room for them */
    uint64_t group_bytes, part_bytes, parts_budget;
};
struct sli_memory_plan sli_memory_plan(uint64_t memory_bytes, uint32_t worker_count,
                                       uint64_t part_bytes_min, uint64_t writer_bytes);
/* Starts the conductor, which runs the ranges and ends the job. After a failure the job has ended
 * FAILED and the slot is free. */
sl_rc sli_runner_start(struct sli_job *job, struct sl_err *err);
/* metadata.c */
void sli_metadata_write(struct sli_job *job, struct sl_buf *out);
void sli_node_status_write(struct sli_job *job, struct sl_buf *out);
/* SL_PUT_NEW claims the id, once; SL_PUT_REPLACE is tried again for about a second. */
sl_rc sli_metadata_put(struct sli_job *job, enum sl_put_mode mode, struct sl_err *err);
enum sli_tries { SLI_ONCE, SLI_PATIENT };
sl_rc sli_node_status_put(struct sli_job *job, enum sli_tries tries, struct sl_err *err);
/* A record beside the files, under its name; NEW is tried again like REPLACE when PATIENT. */
sl_rc sli_record_put(struct sli_job *job, struct sl_str name, const struct sl_buf *text,
                     enum sl_put_mode mode, enum sli_tries tries, struct sl_err *err);
/* manifest.c: what tells that an export is whole, written once, after the files and in this order:
 * _schema.json, _manifest.json, _SUCCESS. Nothing when the settings say so. */
sl_rc sli_manifest_put(struct sli_job *job, struct sl_err *err);
/* Takes away what of it is there: the export of this id is not whole. */
sl_rc sli_manifest_remove(struct sl_backend *be, struct sl_str id, struct sl_err *err);
/* progress.c */
void sli_created_reply(struct sli_job *job, struct sl_buf *out);
void sli_status_reply(struct sli_job *job, struct sl_buf *out);
/* Objects the export has to write: what the view promised, or, where that is an estimate, at least
 * what was written and, after the end, just that. */
uint64_t sli_objects_total(const struct sli_job *job, bool is_success);
/* The reply of GET for an export known by its record only, and by this node's journal, or NULL. */
sl_rc sli_stored_reply(struct sl_exports *ex, struct sl_bytes metadata, json_t *journal,
                       struct sl_str place, bool is_listing, struct sl_buf *out,
                       struct sl_err *err);
/* {class:{shard:{...}}}; keys of a shard in the order of replies, or of the node's record. */
enum sli_shard_form { SLI_SHARD_API, SLI_SHARD_NODE };
void sli_shards_json(const struct sli_job *job, const struct sli_ending *end,
                     enum sli_shard_form form, struct sl_json *w);
/* The key unknownCollections, where names of the request were no collections. */
void sli_unknown_json(const struct sli_job *job, struct sl_json *w);
/* journal.c: one record per export in kv, so that a restart knows what was running. */
sl_rc sli_journal_put(struct sli_job *job, enum sl_export_state state, bool is_final,
                      struct sl_err *err);
sl_rc sli_journal_drop(struct sli_job *job, struct sl_err *err); /* the id is free again */
/* The record, the caller's; NULL: the journal does not know this id. */
sl_rc sli_journal_get(struct sl_exports *ex, struct sl_str id, json_t **ret, struct sl_err *err);
/* Records that are not final, each with its "id", appended to the array `ret`. */
sl_rc sli_journal_list_open(struct sl_exports *ex, json_t *ret, struct sl_err *err);
/* The record as it is, with its end; NULL state removes it. */
sl_rc sli_journal_end(struct sl_exports *ex, struct sl_str id, json_t *record, const char *state,
                      struct sl_err *err);
/* recovery.c: at open; what it does not end at once a thread goes on with. */
sl_rc sli_recover(struct sl_exports *ex, struct sl_err *err);
void sli_recovery_stop(struct sl_exports *ex); /* returns before the thread has ended */
void sli_recovery_end(struct sl_exports *ex);  /* joins it */
/* How recovery ends the export of an open record: state, and the reason that is told. */
const char *sli_recovery_state(json_t *journal, const char **ret_reason);

/* scheduler.c: one line per export that a killed process left; err NULL: it is ended now, else it
 * is tried again. */
void sli_log_recovery(struct sl_str id, const struct sl_err *err, sl_rc rc);
sl_rc sli_enabled_check(const struct sl_export_settings *settings, struct sl_err *err);
sl_rc sli_id_check(struct sl_str id, struct sl_err *err);
/* lookup.c: the reply from the record on the backend of an export this process does not hold: where
 * the journal says it wrote, else where exports are written now. */
sl_rc sli_stored_read(struct sl_exports *ex, const struct sl_export_settings *settings,
                      struct sl_str backend, struct sl_str id, bool is_listing, struct sl_buf *out,
                      struct sl_err *err);

/* job.c: with one reference, the caller's; the last one given back frees. */
struct sli_job *sli_job_new(struct sl_exports *ex);
void sli_job_free(struct sli_job *job);
#define SLI_RECENT_MAX 16 /* jobs in the list; each may hold 10^4 shards */
/* Puts the job in front of the list, which takes a reference. */
void sli_job_add(struct sl_exports *ex, struct sli_job *job);
/* The job of that id with a reference; NULL: not in the list. */
struct sli_job *sli_job_take(struct sl_exports *ex, struct sl_str id);
void sli_job_give(struct sli_job *job);
/* First failure wins; stops the ranges. shard UINT32_MAX: not of one shard. */
void sli_job_fail(struct sli_job *job, uint32_t shard_idx, const struct sl_err *err, sl_rc rc);
/* A step the table does not allow is a mistake of ours. */
void sli_job_move_locked(struct sli_job *job, enum sl_export_state to) SL_REQUIRES(job->mu);
/* The module's name, "backup-filesystem", stands for the short one. */
bool sli_is_same_backend(struct sl_str a, struct sl_str b);
/* Is this the backend the job writes to? */
bool sli_is_backend(const struct sli_job *job, struct sl_str name);
void sli_key(const struct sli_job *job, struct sl_str name, struct sl_buf *out); /* "<id>/<name>" */

#endif
