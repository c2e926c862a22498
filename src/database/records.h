/* Small records of other parts (users and roles) in the node's store: with our own database, and
 * for a node beside foreign data, whose store holds nothing else but the export journal.
 *
 * Key: 'a' | 0 (u64 BE) | name of the record. One partition, so that changes are all stored or
 * none.
 * @threads any. */
#ifndef SL_DATABASE_RECORDS_H
#define SL_DATABASE_RECORDS_H

#include "base/record.h"
#include "kv/kv.h"

#define SL_RECORD_NAME_MAX 1000

/* Durable when it returns. SL_EINVAL: a name is too long. */
sl_rc sl_records_store(struct sl_kv *kv, const struct sl_record *changes, uint32_t count,
                       struct sl_err *err);
/* Each record, in the order of names. */
typedef sl_rc sl_record_fn(void *arg, struct sl_str name, struct sl_str value, struct sl_err *err);
sl_rc sl_records_load(struct sl_kv *kv, sl_record_fn *each, void *arg, struct sl_err *err);

#endif
