/* One chunk of a backup: a tar archive, packed or not, whose data files of objects buckets can be
 * read at any place.
 *
 * Unpacked archives are read where they lie. A packed one is unpacked once, by the first who uses
 * it, and only its data files go to a file without a name in the spool folder: nothing is left
 * behind, also after a kill. It is given back when nobody uses the chunk and nobody planned will:
 * old servers pack thousands of tenants into one chunk, and it must not be unpacked for each.
 * @threads any: users of one chunk wait while the first unpacks it; the entries do not change while
 * the chunk is in use. Memory: the names of its data files while in use, 1 MiB while unpacking. */
#ifndef SL_SOURCE_CHUNK_H
#define SL_SOURCE_CHUNK_H

#include "base/arena.h"
#include "base/file.h"
#include "base/sync.h"

struct sli_chunk_env {
    const char *spool_path;
    /* Opens a chunk's file; NULL: as any file. */
    sl_rc (*open_file)(void *arg, const char *path, struct sl_file **ret, struct sl_err *err);
    void *open_arg;
};
struct sli_chunk_entry {
    struct sl_str name; /* relative to the data directory */
    uint64_t at, size;  /* in chunk->file */
    uint64_t part_at;   /* where the bytes belong in the file of that name */
    bool is_part;       /* else all of it */
};
struct sli_chunk {
    struct sl_str path; /* NUL-terminated */
    uint64_t size;      /* as it lies in the backup */
    uint32_t shard_count;
    bool is_of_big_file;
    uint64_t unpacked_guess; /* bytes in the spool folder, about */
    struct sl_mutex mu;
    struct sl_file *file; /* mu: owned; NULL while nobody uses it */
    struct sl_arena arena;
    struct sli_chunk_entry *entries; /* by name and part_at */
    uint32_t entry_count, entry_cap;
    uint32_t users;   /* mu */
    uint32_t planned; /* mu: shards that will still use it */
    char *failure;    /* mu: owned; why it cannot be read, so that it is not tried for each shard */
};

/* Could an entry of this name hold objects? */
bool sli_is_data_path(struct sl_str name);
void sli_chunk_init(struct sli_chunk *c, struct sl_str path, uint32_t shard_count);
void sli_chunk_fini(struct sli_chunk *c);
/* Makes file and entries usable until sli_chunk_done. SL_ECORRUPT names chunk and offset. */
sl_rc sli_chunk_use(struct sli_chunk *c, const struct sli_chunk_env *env, struct sl_err *err);
/* Its file. */
sl_rc sli_chunk_open(const struct sli_chunk *c, const struct sli_chunk_env *env,
                     struct sl_file **ret, struct sl_err *err);
void sli_chunk_done(struct sli_chunk *c);
/* One shard more will use it, or will not after all. */
void sli_chunk_plan(struct sli_chunk *c);
void sli_chunk_unplan(struct sli_chunk *c);
/* Its entries of this name; their number. Between use and done. */
uint32_t sli_chunk_find(const struct sli_chunk *c, struct sl_str name,
                        const struct sli_chunk_entry **ret);

#endif
