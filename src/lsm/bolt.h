/* bbolt files (Weaviate's raft.db and schema.db), read only: buckets of keys in a tree of pages.
 *
 * A running server may own the file. What is read here belongs to one transaction, the newest at
 * sl_bolt_open; the server may overwrite its pages only after a newer one was published. So a walk
 * counts only if sl_bolt_is_current says yes after it, whatever the walk itself returned; otherwise
 * open again. Pages carry no checksum: structure is checked, text is not. @threads any; a sl_bolt
 * by one thread. Source: FORMAT.md of this folder. */
#ifndef SL_LSM_BOLT_H
#define SL_LSM_BOLT_H

#include "lsm/blob.h"

struct sl_bolt {
    const struct sl_blob *blob; /* borrowed */
    uint32_t page_size;
    uint64_t page_count; /* of the transaction */
    uint64_t root;       /* page of the bucket of buckets */
    uint64_t txid;
    uint64_t budget; /* pages that may still be read: a damaged tree may have a loop */
};
struct sl_bolt_bucket {
    uint64_t root;         /* page */
    struct sl_bytes small; /* its only page when that lies inside the item; root is 0 then */
};
struct sl_bolt_item {
    struct sl_bytes key, value; /* borrowed until the callback returns */
    bool is_bucket;             /* value is for sl_bolt_sub_bucket */
};
typedef sl_rc sl_bolt_fn(void *arg, const struct sl_bolt_item *item, struct sl_err *err);

/* The newest whole transaction. SL_ECORRUPT: neither of the two meta pages is whole. */
sl_rc sl_bolt_open(const struct sl_blob *blob, struct sl_bolt *ret, struct sl_err *err);
/* Is that transaction still the newest? */
bool sl_bolt_is_current(const struct sl_bolt *b);
struct sl_bolt_bucket sl_bolt_root_bucket(const struct sl_bolt *b);
/* SL_ECORRUPT when the value is too short; lives as long as the item. */
sl_rc sl_bolt_sub_bucket(const struct sl_bolt *b, const struct sl_bolt_item *item,
                         struct sl_bolt_bucket *ret, struct sl_err *err);
/* Calls fn for each item in key order; its failure ends the walk and is returned. */
sl_rc sl_bolt_each(struct sl_bolt *b, const struct sl_bolt_bucket *bucket, sl_bolt_fn *fn,
                   void *arg, struct sl_err *err);

#endif
