/* Writes what a Weaviate server leaves on disk: segments, logs, side files, the Raft store.
 *
 * For benchmarks and the differential test. Shares no line with the reader in src/lsm and
 * src/source: an error of understanding in one must not hide in the other. Written from the text of
 * the formats (src/lsm/FORMAT.md). Paths are made here once; one thread. */
#ifndef SL_BENCH_WEAVIATE_WRITE_H
#define SL_BENCH_WEAVIATE_WRITE_H

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"

/* In what server versions differ. */
struct wv_style {
    uint16_t version;          /* of the segment header; 1: with a checksum at the end */
    uint16_t secondary_count;  /* 1 or 2 */
    bool has_token;            /* the second secondary key holds 24 bytes instead of none */
    bool is_tombstone_timed;   /* a tombstone's value is the time of deletion, not empty */
    bool has_tombstone_doc_id; /* a tombstone has secondary keys */
    bool is_depth_first;       /* order of index nodes; otherwise breadth first */
    bool is_old_log;           /* records without length and checksum */
};
struct wv_node {
    uint8_t key[SL_UUID_SIZE];
    bool is_tombstone;
    uint64_t doc_id;
    int64_t deleted_ms;
    struct sl_bytes value;
};

/* A segment: nodes in ascending order of their keys, each key once. */
struct wv_segment {
    struct wv_style style;
    uint16_t level;
    struct sl_file *file;
    struct sl_buf out;     /* not yet in the file */
    struct sl_buf entries; /* of the indexes, struct entry each */
    uint64_t at;           /* offset of the next byte */
    uint32_t crc;          /* of all behind the header */
};
sl_rc wv_segment_begin(struct wv_segment *s, const char *path, const struct wv_style *style,
                       uint16_t level, struct sl_err *err);
sl_rc wv_segment_add(struct wv_segment *s, const struct wv_node *node, struct sl_err *err);
sl_rc wv_segment_end(struct wv_segment *s, struct sl_err *err);
void wv_segment_fini(struct wv_segment *s); /* after end, or instead of it */

/* A log's records, appended to `out`; the caller brings them to a file. */
struct wv_log {
    struct sl_buf out;
    uint32_t crc; /* over all records so far */
};
void wv_log_add(struct wv_log *log, const struct wv_style *style, const struct wv_node *node);

/* The count a segment adds to its bucket. */
sl_rc wv_cna_write(const char *path, int64_t net_additions, struct sl_err *err);

/* One entry of the Raft log. */
enum { WV_ADD_CLASS = 1, WV_DELETE_CLASS = 3, WV_ADD_TENANT = 16, WV_UPDATE_TENANT = 17 };
struct wv_command {
    uint32_t type;
    char class_name[64];
    struct sl_buf body;
};
/* raft.db with these entries from index 1 on. */
sl_rc wv_raft_write(const char *path, const struct wv_command *list, uint32_t count,
                    struct sl_err *err);
/* Appends a protobuf field: wire type 2 (bytes), or 0 (varint). */
void wv_proto_bytes(struct sl_buf *out, uint32_t field, struct sl_bytes b);
void wv_proto_varint(struct sl_buf *out, uint32_t field, uint64_t v);

#endif
