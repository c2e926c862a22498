/* Inside of the foreign sources: what a data directory or a backup gives to weaviate.c. */
#ifndef SL_SOURCE_SOURCE_INT_H
#define SL_SOURCE_SOURCE_INT_H

#include "base/mem.h"
#include "base/sync.h"
#include "source/weaviate.h"

/* One shard of a view. Filled by the provider when the view is made; the lower part belongs to
 * weaviate.c. */
struct sli_shard {
    struct sl_weaviate_shard pub; /* shard.ref: its index in the view */
    void *own;                    /* the provider's: descriptors, chunks */
    /* weaviate.c: the bucket is opened by the first cursor and closed after the last range. */
    struct sl_mutex mu;
    struct sl_bucket *bucket; /* mu */
    struct sl_arena arena;    /* mu: of the bucket's blobs */
    const void *frozen;       /* mu: whom the bucket's reader tells of damage */
    uint32_t users;           /* mu: ranges not yet read */
};

struct sli_view;
struct sli_view_ops {
    /* The shard will be read, as all that were announced before: is there room for it? NULL: needs
     * none. */
    sl_rc (*plan)(struct sli_view *v, struct sli_shard *s, struct sl_err *err);
    /* Blobs of the files that count (SEGMENT and LOG of pub.files, in that order), from `arena`.
     * A compressed backup spools the shard's files here. @threads any, one call a shard at a time.
     */
    sl_rc (*open)(struct sli_view *v, struct sli_shard *s, struct sl_arena *arena,
                  struct sl_bucket_source **ret, uint32_t *ret_count, struct sl_err *err);
    /* The shard is read: gives descriptors and spooled files back. */
    void (*close)(struct sli_view *v, struct sli_shard *s);
    void (*release)(struct sli_view *v); /* frees all but the shards array's mutexes */
};
struct sli_view {
    const struct sli_view_ops *ops;
    struct sl_arena arena;    /* strings and arrays of the shards */
    struct sl_schema schema;  /* of the same moment */
    struct sli_shard *shards; /* classes in schema order, shards by name */
    uint32_t shard_count;
    bool can_seek; /* split keys can be read before a cursor is wanted (not: compressed backup) */
};

/* Providers. name: as given to freeze, unique. Callers own *ret and end it by ops->release. */
/* Room in shards for all of the schema; shard_count stays 0. */
sl_rc sli_view_make_room(struct sli_view *v, struct sl_err *err);
sl_rc sli_datadir_view(const char *path, const struct sl_weaviate_opts *opts, struct sli_view **ret,
                       struct sl_err *err);
sl_rc sli_backup_view(const char *path, const struct sl_weaviate_opts *opts, struct sli_view **ret,
                      struct sl_err *err);
/* Schema of a directory; where only folders tell, classes get their exact names from objects. */
sl_rc sli_datadir_schema(const char *path, struct sl_schema *ret, struct sl_err *err);
/* Schema of a backup from its descriptors. */
sl_rc sli_backup_schema(const char *path, struct sl_schema *ret, struct sl_err *err);
/* Is this the folder of a backup (backup_config.json, or <node>/backup.json)? */
sl_rc sli_backup_is(const char *path, bool *ret, struct sl_err *err);
/* Ids of the backups in a folder, as text for people; nothing when there are none. */
sl_rc sli_backup_list(const char *path, struct sl_buf *ret, struct sl_err *err);
/* Why a shard of this state is not exported; empty when it is. Literal or from the arena. */
struct sl_str sli_skip_reason(enum sl_tenant_status status, struct sl_arena *arena);

#endif
