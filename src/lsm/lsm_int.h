/* Inside of the bucket reader: windows over blobs, records, segments, logs. */
#ifndef SL_LSM_LSM_INT_H
#define SL_LSM_LSM_INT_H

#include "base/hash.h"
#include "base/mem.h"
#include "lsm/bucket.h"

#define SLI_NODE_MAX     (256ull << 20)        /* a node larger than two request bodies is damage */
#define SLI_VALUE_MAX    (SLI_NODE_MAX - 4096) /* with key and slots less than a node */
#define SLI_NODE_FIXED   13                    /* tombstone byte, value length, key length */
#define SLI_WINDOW_ALIGN 4096

/* ---- window.c: bytes of a blob read ahead in order ---- */

/* Reads forward through [.., end) of a blob in windows; what was not in the page cache before is
 * given back behind it. One thread. */
struct sli_window {
    const struct sl_blob *blob; /* borrowed */
    uint64_t end;               /* nothing is read beyond */
    uint8_t *ptr;               /* owned; holds [at, at + len) of the blob */
    size_t cap, len, want;      /* want: bytes of one read */
    uint64_t at;
    uint64_t ahead_at; /* the next read was asked for already */
    bool is_ours;      /* and was not cached before: to be given back once read */
    bool is_beyond;    /* a view was asked for that reaches over the end; never reset here */
};
void sli_window_begin(struct sli_window *w, const struct sl_blob *blob, uint64_t end, size_t want);
void sli_window_fini(struct sli_window *w);
/* Forgets what is held and reads on to another end; offsets may be lower now. */
void sli_window_move(struct sli_window *w, uint64_t end);
/* len bytes at offset; what lies below the offset of an earlier call is read again. The view lives
 * until the next call. SL_ECORRUPT when the end comes before. */
sl_rc sli_window_view(struct sli_window *w, uint64_t offset, size_t len, struct sl_bytes *ret,
                      struct sl_err *err);

/* ---- format.c: the bytes of a segment's parts ---- */

struct sli_node {
    uint64_t offset, size; /* of the node in the blob */
    uint64_t key[2];       /* big-endian halves as numbers: compare as a pair */
    struct sl_bytes value; /* views into the window */
    bool is_tombstone;
};
static inline int sli_key_cmp(const uint64_t a[2], const uint64_t b[2])
{
    if (a[0] != b[0]) {
        return a[0] < b[0] ? -1 : 1;
    }
    return a[1] == b[1] ? 0 : a[1] < b[1] ? -1 : 1;
}
void sli_key_load(const uint8_t uuid[SL_UUID_SIZE], uint64_t ret[2]);
void sli_key_store(const uint64_t key[2], uint8_t ret[SL_UUID_SIZE]);
/* Node at offset with exactly slot_count secondary keys; an object's id must be its key. slot_count
 * UINT32_MAX: as many as fill node_size bytes (logs know the size, not the count; node_size 0
 * otherwise). */
sl_rc sli_node_read(struct sli_window *w, uint64_t offset, uint32_t slot_count, uint64_t node_size,
                    struct sli_node *ret, struct sl_err *err);

/* ---- segment.c ---- */

struct sli_segment {
    struct sl_blob blob;
    uint16_t level, version, slot_count;
    uint64_t data_end;            /* data is [16, data_end) */
    uint64_t index_at, index_end; /* primary index */
    uint64_t tombstone_count;     /* these after verify: see sl_bucket_info */
    uint64_t timed_tombstone_count, keyed_tombstone_count;
};
struct sli_index_node {
    uint64_t key[2];
    uint64_t start, end; /* of the data node */
    int64_t left, right; /* -1 none; relative to the index */
};
sl_rc sli_segment_open(const struct sl_blob *blob, struct sli_segment *ret, struct sl_err *err);
/* The checksum of the file; SL_OK without one. */
sl_rc sli_segment_check(const struct sli_segment *s, struct sl_err *err);
uint64_t sli_segment_key_count(const struct sli_segment *s);
/* The node with the smallest key >= key; SL_END when there is none. */
sl_rc sli_segment_seek(const struct sli_segment *s, const uint64_t key[2],
                       struct sli_index_node *ret, struct sl_err *err);
/* Does the index know a node of this key at this offset? Where no checksum speaks for the file,
 * this speaks for a tombstone: its key is all it has. */
sl_rc sli_segment_check_tombstone(const struct sli_segment *s, const uint64_t key[2],
                                  uint64_t offset, struct sl_err *err);
/* Index node at a relative offset, its fields checked against the segment. */
sl_rc sli_segment_index_node(const struct sli_segment *s, int64_t at, struct sli_index_node *ret,
                             struct sl_err *err);
/* Data, order, index and checksum, all of it. */
sl_rc sli_segment_verify(struct sli_segment *s, const struct sl_bucket_opts *opts,
                         struct sl_err *err);

/* ---- log.c ---- */

struct sli_log_entry {
    uint64_t key[2];
    uint64_t offset : 35; /* of the node */
    uint64_t size : 28;
    uint64_t is_tombstone : 1;
};
struct sli_log {
    struct sl_blob blob;
    struct sli_log_entry *entries; /* owned; by key, the last record of each key */
    uint64_t count;
    uint64_t good_bytes;      /* behind the last whole record */
    uint64_t tombstone_count; /* among entries */
};
sl_rc sli_log_open(const struct sl_blob *blob, const struct sl_bucket_opts *opts,
                   struct sli_log *ret, struct sl_err *err);
void sli_log_fini(struct sli_log *log);
/* Index of the first entry with key >= key. */
uint64_t sli_log_seek(const struct sli_log *log, const uint64_t key[2]);

#endif
