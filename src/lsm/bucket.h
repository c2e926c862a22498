/* An objects bucket: its segments and logs as one ordered run of keys, the newest version of each.
 *
 * Open takes the blobs of the files that count (fileset.h) in their order; nothing is written and
 * no file is changed. Cursors merge all sources over a range of keys; a tombstone hides what is
 * older. Values are stored objects (storobj.h) as they lie on disk. Damage is SL_ECORRUPT naming
 * file and offset; a torn end of a log is not damage. Memory: one window a source and cursor, and
 * 24 bytes a log record. @threads a bucket: any, once open; a cursor: one. Source: FORMAT.md. */
#ifndef SL_LSM_BUCKET_H
#define SL_LSM_BUCKET_H

#include "base/str.h"
#include "lsm/blob.h"

struct sl_bucket_source {
    struct sl_blob blob; /* copied; its files and extents are borrowed for the bucket's life */
    bool is_log;
};

/* What is known of damage that was skipped, one call each; may be called from any cursor's thread.
 * uuid is NULL when the damage is not one object's. */
typedef void sl_damage_fn(void *arg, const uint8_t *uuid, const char *what);

struct sl_bucket_opts {
    sl_damage_fn *damage; /* NULL: damage fails the call. Else: left out, told, and gone on */
    void *damage_arg;
};

struct sl_bucket;
/* Reads headers and log records. */
sl_rc sl_bucket_open(const struct sl_bucket_source *sources, uint32_t count,
                     const struct sl_bucket_opts *opts, struct sl_bucket **ret, struct sl_err *err);
void sl_bucket_close(struct sl_bucket *b); /* NULL is fine */
SL_DEFINE_FREEP(sl_bucket, sl_bucket_close)
/* Reads the segments that have a checksum whole and compares it. For before the first scan. */
sl_rc sl_bucket_check(struct sl_bucket *b, struct sl_err *err);
/* Keys in all sources, tombstones and older versions included: an upper bound. */
uint64_t sl_bucket_key_count(const struct sl_bucket *b);
/* Up to key_max keys that cut the bucket into parts of about equal size, ascending. */
sl_rc sl_bucket_split(struct sl_bucket *b, uint32_t key_max, uint8_t (*ret)[SL_UUID_SIZE],
                      uint32_t *ret_count, struct sl_err *err);

struct sl_bucket_cursor;
/* Over [lo, hi); NULL: from the start, to the end. */
sl_rc sl_bucket_scan(struct sl_bucket *b, const uint8_t *lo, const uint8_t *hi,
                     struct sl_bucket_cursor **ret, struct sl_err *err);
struct sl_bucket_entry {
    const uint8_t *key;    /* SL_UUID_SIZE bytes; lives until the next call on the cursor */
    struct sl_bytes value; /* likewise */
    const char *file;      /* where it came from, for errors */
    uint64_t offset;
};
sl_rc sl_bucket_next(struct sl_bucket_cursor *c, struct sl_bucket_entry *ret,
                     struct sl_err *err); /* SL_END */
void sl_bucket_cursor_close(struct sl_bucket_cursor *c);
SL_DEFINE_FREEP(sl_bucket_cursor, sl_bucket_cursor_close)

/* What one source holds, for people. */
struct sl_bucket_info {
    bool is_log;
    uint16_t level, version, secondary_count; /* segments */
    bool has_checksum;
    uint64_t key_count, tombstone_count; /* tombstones: logs, and segments after a verify */
    uint64_t timed_tombstone_count;      /* segments after a verify: those with their time */
    uint64_t keyed_tombstone_count;      /* likewise: those with the number of the object */
    uint64_t good_bytes;                 /* logs: up to the torn end */
};
void sl_bucket_describe(const struct sl_bucket *b, uint32_t source_idx, struct sl_bucket_info *ret);
/* Walks everything of one source: records, order, lengths, both ways between index and data,
 * checksum. Adds its tombstones to what describe tells. When damage is skipped each is told, and
 * SL_ECORRUPT says that there was too much of it to go on. */
sl_rc sl_bucket_verify(struct sl_bucket *b, uint32_t source_idx, struct sl_err *err);

#endif
