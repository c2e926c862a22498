/* The files of OFFLOADED tenants; offload_file.c writes, reads, finds and removes them. */
#ifndef SL_DATABASE_OFFLOAD_INT_H
#define SL_DATABASE_OFFLOAD_INT_H

#include "backend/backend.h"
#include "database/database_int.h"

struct sli_offload_file {
    struct sl_str key; /* borrowed */
    uint64_t size;
};

typedef sl_rc sli_offload_record_fn(void *arg, struct sl_bytes uuid, struct sl_bytes value,
                                    struct sl_err *err);

/* Writes all objects of a shard under a name that is free. With SL_OK the file is durable. */
sl_rc sli_offload_write(struct sl_db *db, struct sl_str key, uint64_t shard_no,
                        struct sl_cancel *cancel, uint64_t *ret_size, struct sl_err *err);
/* Walks the file; with fn NULL it only checks. SL_ECORRUPT comes after records were handed out. */
sl_rc sli_offload_read(struct sl_db *db, const struct sli_offload_file *file, uint64_t shard_no,
                       sli_offload_record_fn *fn, void *arg, struct sl_err *err);
/* The file of a tenant, the newest when some could not be removed; SL_ENOTFOUND. */
sl_rc sli_offload_find(struct sl_db *db, struct sl_str class_name, uint64_t shard_no,
                       struct sl_buf *key, struct sli_offload_file *ret, struct sl_err *err);
/* Removes the files of a tenant whose objects are in the store or gone, as far as that is allowed,
 * and tells the name of the next, which is newer than all that stayed. SL_EINVAL: the place belongs
 * to another data folder. */
sl_rc sli_offload_clean(struct sl_db *db, struct sl_str class_name, uint64_t shard_no,
                        struct sl_buf *next_key, struct sl_err *err);

#endif
