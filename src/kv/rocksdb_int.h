/* Inside of the RocksDB store: what rocksdb.c and rocksdb_split.c need of each other. */
#ifndef SL_KV_ROCKSDB_INT_H
#define SL_KV_ROCKSDB_INT_H

#include <rocksdb/c.h>

#include "kv/kv.h"

/* Takes `text` (RocksDB's), which it frees. `what` completes "cannot ...". */
sl_rc sli_rocks_fail(const char *path, const char *what, char *text, struct sl_err *err);

/* sl_kv_split of the span that `iter` is bounded to and that begins at `lo`; path is the store's,
 * for sentences. */
sl_rc sli_rocks_split(rocksdb_t *db, const char *path, rocksdb_iterator_t *iter, struct sl_bytes lo,
                      uint32_t key_max, struct sl_buf *out, uint32_t *ret_count,
                      struct sl_err *err) SL_MUST_USE;

#endif
