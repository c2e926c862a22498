/* One shard of a backup: its files, and where they lie in chunks. Inside of the folder.
 *
 * The view makes it and gives it its chunks. When the shard's turn comes, these are gone through in
 * order until all its data files have been found, whole or in parts; a file is then a blob over
 * places in chunks (or in what was unpacked of them). Sizes of files inside packed chunks are known
 * only then, so what counts in a bucket is decided there. @threads one a shard at a time. */
#ifndef SL_SOURCE_BACKUP_SHARD_H
#define SL_SOURCE_BACKUP_SHARD_H

#include "source/backup.h"
#include "source/chunk.h"
#include "source/source_int.h"

/* A file of the bucket that may hold objects. */
struct sli_backup_file {
    struct sl_str path; /* as in the archive */
    struct sl_str name; /* its last part */
    uint64_t size;      /* 0 unknown until found */
    uint32_t until;     /* it lies in the chunks before this one only; 0 unknown */
    /* while the shard is open: */
    struct sl_extent *extents;
    uint32_t extent_count, extent_cap;
    uint64_t found;    /* bytes */
    const char *where; /* path of the first chunk with bytes of it */
    bool is_whole;
};
struct sli_backup_shard {
    const struct sli_desc_shard *desc;
    struct sli_backup_file *files;
    uint32_t file_count;
    struct sli_chunk **chunks; /* those of base backups first */
    uint32_t chunk_count, chunk_cap;
    bool *used; /* while open: which of them are in use */
    bool is_planned;
};

/* The files the descriptor tells, in s->pub.files and own->files, from `arena`; what counts of
 * them, as far as sizes are known. */
sl_rc sli_backup_shard_list(struct sli_shard *s, struct sli_backup_shard *own,
                            struct sl_arena *arena, struct sl_err *err);
/* As open of the view. The chunks in use stay so until close. */
sl_rc sli_backup_shard_open(struct sli_shard *s, const struct sli_backup *b,
                            const struct sli_chunk_env *env, struct sl_arena *arena,
                            struct sl_bucket_source **ret, uint32_t *ret_count, struct sl_err *err);
void sli_backup_shard_close(struct sli_backup_shard *own);

#endif
