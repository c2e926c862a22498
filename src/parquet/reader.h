/* Parquet reader: a file behind a callback, one column chunk at a time, page by page.
 *
 * Nested schemas, v1 and v2 data pages, dictionaries; encodings PLAIN, RLE (booleans), PLAIN_ and
 * RLE_DICTIONARY, DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY, BYTE_STREAM_SPLIT; codecs none,
 * Snappy, Zstd, LZ4_RAW. Page checksums are verified where there are any. What is legal and not
 * read is SL_EUNSUPPORTED with its name; foreign bytes that contradict themselves are SL_ECORRUPT
 * with offset and field. Memory: the footer, and per open chunk one page as stored and as values,
 * a dictionary and a megabyte read ahead. One owner thread, no lock. Source: Apache Parquet format
 * 2.10; FORMAT.md. */
#ifndef SL_PARQUET_READER_H
#define SL_PARQUET_READER_H

#include "base/buf.h"

/* Where the bytes come from. read_at appends exactly len bytes or fails. */
struct sl_pq_source {
    sl_rc (*read_at)(void *arg, uint64_t offset, size_t len, struct sl_buf *out,
                     struct sl_err *err);
    void *arg;
    uint64_t size;
    uint64_t page_max; /* largest page, raw or stored; 0: 2 GiB, which is the format's limit */
};

enum sl_pq_physical {
    SL_PQ_P_BOOLEAN,
    SL_PQ_P_INT32,
    SL_PQ_P_INT64,
    SL_PQ_P_INT96,
    SL_PQ_P_FLOAT,
    SL_PQ_P_DOUBLE,
    SL_PQ_P_BYTE_ARRAY,
    SL_PQ_P_FIXED,
};
/* What the annotation makes of the bytes, as far as readers of ours ask. */
enum sl_pq_meaning {
    SL_PQ_M_NONE,
    SL_PQ_M_STRING,
    SL_PQ_M_JSON,
    SL_PQ_M_UUID,
    SL_PQ_M_FLOAT16,
    SL_PQ_M_TIMESTAMP_MS,
    SL_PQ_M_TIMESTAMP_US,
    SL_PQ_M_TIMESTAMP_NS,
    SL_PQ_M_OTHER,
};

#define SL_PQ_REPEATED_MAX 8 /* lists inside lists; vectors need 2 */
/* One column of values. Text lives as long as the file. */
struct sl_pq_leaf {
    struct sl_str path; /* "vector.list.element" */
    struct sl_str name; /* of the field of the root it belongs to: "vector" */
    enum sl_pq_physical type;
    uint32_t width; /* bytes of a value; 0: BYTE_ARRAY */
    enum sl_pq_meaning meaning;
    uint8_t max_def, max_rep;
    uint8_t top_def; /* from this definition level on the field of the root is there */
    uint8_t repeated_def[SL_PQ_REPEATED_MAX]; /* from here on list 1, 2 .. has an element */
};

struct sl_pq_file;
/* Reads the footer. */
sl_rc sl_pq_file_open(const struct sl_pq_source *source, struct sl_pq_file **ret,
                      struct sl_err *err);
void sl_pq_file_close(struct sl_pq_file *f); /* after its chunks; NULL is fine */
SL_DEFINE_FREEP(sl_pq_file, sl_pq_file_close)
uint32_t sl_pq_file_leaves(const struct sl_pq_file *f);
const struct sl_pq_leaf *sl_pq_file_leaf(const struct sl_pq_file *f, uint32_t i);
/* Of a field of the root, by name; NULL: none. Of a group its first leaf. */
const struct sl_pq_leaf *sl_pq_file_find(const struct sl_pq_file *f, const char *name,
                                         uint32_t *ret_leaf);
uint32_t sl_pq_file_groups(const struct sl_pq_file *f);
uint64_t sl_pq_file_group_rows(const struct sl_pq_file *f, uint32_t group);
uint64_t sl_pq_file_rows(const struct sl_pq_file *f);
/* Value of a key of the file; false: not there. */
bool sl_pq_file_key(const struct sl_pq_file *f, const char *key, struct sl_str *ret);

/* Values of one page. Valid until the next page or the end of the chunk. */
struct sl_pq_batch {
    uint32_t level_count; /* values, nulls and empty lists */
    uint32_t value_count; /* those with definition level max_def */
    const uint8_t *def;   /* level_count of them; NULL when max_def is 0 */
    const uint8_t *rep;   /* likewise */
    const uint8_t *fixed; /* value_count * width little-endian bytes; a boolean is one byte */
    const struct sl_bytes *texts; /* of BYTE_ARRAY instead */
};

struct sl_pq_chunk;
sl_rc sl_pq_chunk_open(const struct sl_pq_file *f, uint32_t group, uint32_t leaf,
                       struct sl_pq_chunk **ret, struct sl_err *err);
/* SL_END after the last page. A page without values is skipped. */
sl_rc sl_pq_chunk_next(struct sl_pq_chunk *c, struct sl_pq_batch *ret, struct sl_err *err);
void sl_pq_chunk_close(struct sl_pq_chunk *c); /* NULL is fine */
SL_DEFINE_FREEP(sl_pq_chunk, sl_pq_chunk_close)

#endif
