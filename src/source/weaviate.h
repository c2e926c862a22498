/* Weaviate's data as a source: a data directory (stopped, killed, running, or a snapshot of one) or
 * a backup. Both become the same thing, a list of shards with the files that count; one reader
 * serves both (weaviate.c). Nothing is ever written into the data. Links are followed to folders,
 * as data that was moved to another disk has them, and refused for files, as no server makes them.
 *
 * A running directory: for each shard, the listing before and after opening every file must agree;
 * the descriptors are then held, so that a compaction that deletes files takes nothing from us.
 * Logs are read up to their last whole record at that moment. What the server acknowledged but had
 * not yet written is not on disk and so not in the view. The shards' moments differ by
 * milliseconds. */
#ifndef SL_SOURCE_WEAVIATE_H
#define SL_SOURCE_WEAVIATE_H

#include "lsm/bucket.h"
#include "lsm/fileset.h"
#include "source/schema.h"
#include "source/source.h"

enum sl_source_kind { SL_KIND_SLUICE, SL_KIND_WEAVIATE, SL_KIND_BACKUP };
/* What lies at path, by its content. SL_EINVAL naming what was looked for when it is nothing known.
 */
sl_rc sl_source_detect(const char *path, enum sl_source_kind *ret, struct sl_err *err);

/* Told for every object, file or shard that was left out because it is damaged. @threads any. */
typedef void sl_left_out_fn(void *arg, struct sl_str class_name, struct sl_str shard,
                            const char *what);
/* What reading a packed backup takes of the spool folder at a time, about. Filled while an export
 * is planned; needed stays 0 when nothing has to be unpacked. */
struct sl_weaviate_room {
    uint64_t needed, free;
};
struct sl_weaviate_opts {
    struct sl_clock *clock; /* borrowed; for the waits between looks at a moving directory */
    const char *spool_path; /* folder for the files of compressed backups; NULL: TMPDIR or /tmp */
    uint32_t worker_count;  /* shards read at the same time, at most; 0: one per CPU */
    /* Opens the chunks of a backup; NULL: they are files. */
    sl_rc (*open_file)(void *arg, const char *path, struct sl_file **ret, struct sl_err *err);
    void *open_arg;
    struct sl_weaviate_room *room; /* borrowed; may be NULL */
    sl_left_out_fn *left_out;      /* NULL: damage fails the export */
    void *left_out_arg;
};
/* A data directory (SL_KIND_WEAVIATE) or a backup's folder (SL_KIND_BACKUP). */
sl_rc sl_source_weaviate_open(const char *path, enum sl_source_kind kind,
                              const struct sl_weaviate_opts *opts, struct sl_source **ret,
                              struct sl_err *err);

/* ---- the view, for `sluice inspect` and the schema API ---- */

/* Its schema now (read again at each call for a running directory; of a backup: what it says).
 * The caller ends *ret with sl_schema_fini. */
sl_rc sl_source_weaviate_schema(struct sl_source *src, struct sl_schema *ret, struct sl_err *err);

struct sl_weaviate_shard {
    struct sl_shard shard;        /* as the export sees it, skip_reason included */
    enum sl_tenant_status status; /* HOT where the schema does not tell */
    struct sl_bucket_file *files; /* of the objects bucket, as sl_fileset_decide left them */
    uint32_t file_count;
    uint64_t side_count;   /* objects by the side files of the segments (.cna, .metadata) */
    bool is_side_complete; /* every segment has one; what logs add is not in it */
};
/* Shards of a frozen view of a Weaviate source, all classes; lives as long as the view. */
sl_rc sl_weaviate_view_shards(struct sl_frozen *fz, const struct sl_weaviate_shard **ret,
                              uint32_t *ret_count);
/* Those files of the shard that count, in the order of `files`, to be opened one by one or together
 * as a bucket; none when there are none. They live until they are given back; one caller a shard at
 * a time, and no cursor on it. Of a compressed backup this unpacks the shard. */
sl_rc sl_weaviate_sources(struct sl_frozen *fz, uint32_t shard_idx, struct sl_arena *arena,
                          struct sl_bucket_source **ret, uint32_t *ret_count, struct sl_err *err);
void sl_weaviate_sources_done(struct sl_frozen *fz, uint32_t shard_idx);

#endif
