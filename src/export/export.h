/* Export engine: create, status, cancel, list; one export per node; everything an export does.
 *
 * The walk: create checks the request, claims the id by export_metadata.json (create-only), freezes
 * the source, plans ranges and hands them to workers; each range is one cursor -> one Parquet
 * writer
 * -> one stream -> one file. SUCCESS is told only when every range has its receipt and the metadata
 * record of the end is stored. Status is live: it reads atomic counters, writes and probes nothing.
 * Ids are never reused. A journal record in kv (when given) outlives a kill: an export that was
 * running is marked FAILED `interrupted`, its temporary files and frozen view are removed, at open
 * or, when its destination is a store or away, by a thread that tries until it is done.
 * @threads any, except open and close. Locks: exports->mu is a leaf. */
#ifndef SL_EXPORT_EXPORT_H
#define SL_EXPORT_EXPORT_H

#include <jansson.h>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/ticker.h"
#include "kv/kv.h"
#include "layout/layout.h"
#include "source/source.h"

/* FAST: entropy coding only for vectors, Zstd level 1 for the rest. SMALL: Zstd of one level for
 * all. In the order of the setting's choices. */
enum sl_compression {
    SL_COMPRESSION_FAST,
    SL_COMPRESSION_SMALL,
    SL_COMPRESSION_SNAPPY,
    SL_COMPRESSION_LZ4_RAW,
    SL_COMPRESSION_NONE
};

/* Times of objects an export takes, in ns since 1970: [from, to). */
struct sl_time_span {
    bool has_from, has_to;
    int64_t from, to;
};

/* The settings one export begins with and keeps. Strings are copied by create. */
struct sl_export_settings {
    bool is_enabled;            /* EXPORT_ENABLED */
    struct sl_str bucket;       /* EXPORT_DEFAULT_BUCKET */
    struct sl_str path;         /* root folder of the filesystem backend, never empty */
    struct sl_str store_path;   /* EXPORT_DEFAULT_PATH: before the objects' names in a bucket */
    bool is_probe_skipped;      /* EXPORT_SKIP_ACCESS_CHECK */
    uint32_t parallelism;       /* 0 = CPUs; capped at 4 x CPUs */
    uint64_t memory_bytes;      /* memory_max share of the export: row groups + part buffers */
    enum sl_layout_kind layout; /* SLUICE_LAYOUT */
    enum sl_timestamp_unit unit;
    enum sl_compression compression;
    uint32_t zstd_level;          /* SMALL; 0: 3 */
    bool is_uuid_typed;           /* layout lake: UUIDs in 16 bytes, not as text */
    bool has_field_ids;           /* layout lake: nodes of the schema have ids */
    bool has_bloom;               /* a bloom filter of the ids in each row group */
    bool is_half;                 /* layout lake: vectors as FLOAT16 */
    const struct sl_str *columns; /* names; none: all */
    uint32_t column_count;
    struct sl_time_span created, updated; /* other objects are left out */
    uint64_t file_bytes;    /* about so many bytes, uncompressed, in a file; 0: no wish */
    bool is_json_annotated; /* SLUICE_JSON_ANNOTATION */
    bool is_manifest;       /* SLUICE_MANIFEST */
};

struct sl_config;
struct sl_exports_opts {
    struct sl_source *source;       /* borrowed */
    const struct sl_config *config; /* borrowed: credentials and limits of object stores */
    struct sl_kv *journal;    /* borrowed; NULL: nothing survives the process (command line) */
    struct sl_clock *clock;   /* borrowed */
    struct sl_ticker *ticker; /* borrowed; status record every 10 s; NULL: none */
    struct sl_str node_name;  /* CLUSTER_HOSTNAME */
    /* May be NULL: what the source left out of the running export because it is damaged, as it goes
     * into the manifest; a new reference, NULL: nothing. Asked when all ranges are read. */
    json_t *(*left_out)(void *arg);
    void *left_out_arg;
    /* Borrowed, may be NULL: set, it ends what waits for a store, creating included; who sets it
     * cancels the running export, too. */
    struct sl_cancel *interrupt;
};

struct sl_exports;
/* Also finishes what a killed process left (recovery.c), and waits for no store. */
sl_rc sl_exports_open(const struct sl_exports_opts *opts, struct sl_exports **ret,
                      struct sl_err *err);
/* As stop; waits for the running export and frees. */
void sl_exports_close(struct sl_exports *ex);
SL_DEFINE_FREEP(sl_exports, sl_exports_close)
/* Refuses new exports with SL_ECLOSED from now on; the running one ends as FAILED, `interrupted`,
 * which is not waited for. For SIGTERM. */
void sl_exports_stop(struct sl_exports *ex);

struct sl_export_request {
    struct sl_str backend; /* "filesystem", "s3", "gcs", "azure", or "backup-" and one of them */
    struct sl_str id;
    const struct sl_str *include; /* NULL or empty: all classes */
    uint32_t include_count;
    const struct sl_str *exclude;
    uint32_t exclude_count;
    const struct sl_str *tenants; /* NULL or empty: all; else only these tenants, and no class
                                     without tenants */
    uint32_t tenant_count;
    /* Classes for which it is false do not exist for this request; NULL: all do. */
    bool (*is_visible)(void *arg, struct sl_str class_name);
    void *visible_arg;
};
/* What the members of `config` choose, over what settings and request say: SL_EINVAL names the
 * member. NULL and null choose nothing. Texts are views of config, lists lie in the arena. */
sl_rc sl_export_choose(const json_t *config, struct sl_arena *arena,
                       struct sl_export_settings *settings, struct sl_export_request *request,
                       struct sl_err *err);
/* Backend and settings of a destination that is given as a place: a folder, "s3://bucket/path",
 * "gs://...", "az://...". Views of it. SL_EINVAL: another scheme, no bucket. */
sl_rc sl_export_destination(struct sl_str place, struct sl_export_settings *settings,
                            struct sl_str *ret_backend, struct sl_err *err);
/* out: reply of POST (JSON + newline). SL_EINVAL, SL_ECONFLICT, SL_EIO ... with the contract's
 * texts. Returns after the instant is fixed and the id claimed. */
sl_rc sl_export_create(struct sl_exports *ex, const struct sl_export_settings *settings,
                       const struct sl_export_request *request, struct sl_buf *out,
                       struct sl_err *err);
/* out: what the export would read, one JSON object: {"shards":[{"class","shard","status" ("READ" or
 * "SKIPPED"), "skipReason"?, "objects","bytes","files"}], "objects","bytes","files"}. Objects and
 * bytes are estimates for foreign data. Touches no backend and takes no slot; settings of the
 * destination are not looked at. */
sl_rc sl_export_preview(struct sl_exports *ex, const struct sl_export_settings *settings,
                        const struct sl_export_request *request, struct sl_buf *out,
                        struct sl_err *err);
/* out: reply of GET. Running and known ids from memory (whatever the settings say now), others from
 * the backend's metadata. SL_ENOTFOUND `export not found`. */
sl_rc sl_export_status(struct sl_exports *ex, const struct sl_export_settings *settings,
                       struct sl_str backend, struct sl_str id, struct sl_buf *out,
                       struct sl_err *err);
/* SL_OK (204), SL_ECONFLICT (already finished), SL_ENOTFOUND. Sticky; waits until the slot is free.
 */
sl_rc sl_export_cancel(struct sl_exports *ex, const struct sl_export_settings *settings,
                       struct sl_str backend, struct sl_str id, struct sl_err *err);
/* Would sl_export_status answer from memory, in some ten microseconds: the process holds the
 * export, and it has no more than shards_max shards? */
bool sl_export_is_at_hand(struct sl_exports *ex, struct sl_str id, uint32_t shards_max);
/* The classes of a known export, in the arena; SL_ENOTFOUND and so on as sl_export_status. */
sl_rc sl_export_classes(struct sl_exports *ex, const struct sl_export_settings *settings,
                        struct sl_str backend, struct sl_str id, struct sl_arena *arena,
                        struct sl_str **ret, uint32_t *ret_count, struct sl_err *err);
/* out: {"exports":[{id,backend,path,status,classes,startedAt,completedAt?,...}]} newest first. */
sl_rc sl_export_list(struct sl_exports *ex, const struct sl_export_settings *settings,
                     struct sl_str backend, struct sl_buf *out, struct sl_err *err);

/* Is the export at this place ("/exports/id", "s3://bucket/path/id") whole and unharmed? Reads it
 * all, `parallelism` files at the same time (as in sl_export_settings); is_deep decodes every page,
 * too. The answer does not depend on the parallelism. env->cancel, when there is one, ends it early
 * (SL_ECANCELED), and is set by the first failure to read, which ends the rest. *ret: {"status"
 * "good" or "bad", "files" [{"path", "status", "problem"?}], "problems" [sentences], "manifest",
 * "deep", "leftOut"?, "rows", "bytes"}, leftOut being how many damaged parts of the source the
 * manifest says are not in it; to be freed by json_decref. SL_ENOTFOUND: nothing is there; others:
 * it could not be looked at. */
sl_rc sl_export_verify(const struct sl_backend_env *env, struct sl_str place, bool is_deep,
                       uint32_t parallelism, json_t **ret, struct sl_err *err);

enum sl_export_state {
    SL_EXPORT_STARTED,
    SL_EXPORT_TRANSFERRING,
    SL_EXPORT_SUCCESS,
    SL_EXPORT_FAILED,
    SL_EXPORT_CANCELED
};
const char *sl_export_state_name(enum sl_export_state s);
/* Numbers of a known export, for progress bars and metrics. */
struct sl_export_progress {
    enum sl_export_state state;
    uint64_t objects_total, objects_done, bytes_written, raw_bytes;
    uint32_t files_done, ranges_total, ranges_done;
    int64_t started_ns, finished_ns; /* wall; finished 0 while running */
    int64_t first_byte_ns;           /* from start to the first part acknowledged; 0 none yet */
    int64_t sync_ns;                 /* time spent in the final fsyncs, summed over files */
    struct sl_err error;             /* FAILED: why */
};
sl_rc sl_export_progress(struct sl_exports *ex, struct sl_str id, struct sl_export_progress *ret,
                         struct sl_err *err);
/* Waits until the export ended or timeout_ns passed (SL_ETIMEOUT). */
sl_rc sl_export_wait(struct sl_exports *ex, struct sl_str id, int64_t timeout_ns,
                     struct sl_export_progress *ret, struct sl_err *err);

#endif
