/* A Weaviate backup in an object store, for what reads backups in folders.
 *
 * open makes a folder below `spool` with the backup's descriptors and, for its chunks, files of
 * their size that take no room; so for the backups beside it that they name as their bases.
 * sl_mirror_open_file opens such a file with its bytes coming from the store, by ranges of 2 MiB,
 * 4 MiB of memory for each open one. Nothing is written into the store. The folder goes with close;
 * after a kill it stays and holds descriptors only. @threads open and close one; files any. */
#ifndef SL_SOURCE_MIRROR_H
#define SL_SOURCE_MIRROR_H

#include "backend/backend.h"
#include "base/file.h"

struct sl_mirror;
/* Of a place as "s3://bucket/backups/mine", which is asked first: the folder of all backups, where
 * its bases may lie, and the name. path: its folder in the mirror. */
sl_rc sl_mirror_open_place(const struct sl_backend_env *env, struct sl_str place, const char *spool,
                           struct sl_mirror **ret, struct sl_buf *path, struct sl_err *err);
/* store: borrowed, opened at the folder of all backups; name: of the backup. SL_EINVAL: none. */
sl_rc sl_mirror_open(struct sl_backend *store, struct sl_str name, const char *spool,
                     struct sl_mirror **ret, struct sl_err *err);
void sl_mirror_close(struct sl_mirror *m); /* after the source; NULL is fine */
SL_DEFINE_FREEP(sl_mirror, sl_mirror_close)
/* Appends the folder of a backup in the mirror. */
sl_rc sl_mirror_path(const struct sl_mirror *m, struct sl_str name, struct sl_buf *out,
                     struct sl_err *err);
/* Where the sentence names a path of the mirror it names the place in the store instead. m and err
 * may be NULL; without a place nothing changes. */
void sl_mirror_reword(const struct sl_mirror *m, struct sl_err *err);
/* As sl_weaviate_opts.open_file; arg is the mirror. */
sl_rc sl_mirror_open_file(void *arg, const char *path, struct sl_file **ret, struct sl_err *err);

#endif
