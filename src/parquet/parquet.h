/* Parquet writer: rows in, a Parquet file out through a sl_sink. Nested schemas, v1 pages, Zstd.
 *
 * The schema is a list of nodes in depth-first order; its leaves are the columns, numbered in that
 * order. The caller appends the values of a row to every column, in any column order, then ends the
 * row. Values go straight into the open page of their column (the only copy of raw bytes); a full
 * page is compressed at once; compressed pages of one row group wait in memory (bounded by the
 * group limit) and leave column by column when the group is full. Memory is sl_pq_memory_bound,
 * whatever the file's size. The bytes depend on rows and options only: no clock, no host name, no
 * thread count. One owner thread, no lock. Appends are sticky: their failure shows in
 * sl_pq_row_end. Any failure poisons the writer: no footer is ever written after it. Source: Apache
 * Parquet format 2.10; what of it we write: FORMAT.md. */
#ifndef SL_PARQUET_PARQUET_H
#define SL_PARQUET_PARQUET_H

#include "base/buf.h"
#include "base/sink.h"

enum sl_pq_type {
    SL_PQ_GROUP, /* has children, no values */
    SL_PQ_BOOLEAN,
    SL_PQ_INT64,
    SL_PQ_FLOAT,
    SL_PQ_DOUBLE,
    SL_PQ_BYTE_ARRAY,
    SL_PQ_FIXED, /* FIXED_LEN_BYTE_ARRAY of type_len bytes */
};
enum sl_pq_repetition { SL_PQ_REQUIRED, SL_PQ_OPTIONAL, SL_PQ_REPEATED };
enum sl_pq_annotation {
    SL_PQ_NONE,
    SL_PQ_STRING,
    SL_PQ_INT_64,
    SL_PQ_JSON,
    SL_PQ_LIST,
    SL_PQ_UUID,
    SL_PQ_FLOAT16,
    SL_PQ_TIME_MS, /* timestamps in UTC */
    SL_PQ_TIME_US,
    SL_PQ_TIME_NS,
};
enum sl_pq_stats {
    SL_PQ_STATS_FULL,  /* exact min and max, column index */
    SL_PQ_STATS_NULLS, /* null_count only */
    SL_PQ_STATS_CUT,   /* as FULL, min and max cut to 64 bytes: UTF-8 text of any length */
};
enum sl_pq_codec_profile {
    SL_PQ_ZSTD,         /* the level of the options */
    SL_PQ_ZSTD_HUFFMAN, /* entropy coding only: float bytes and float text, where matching does
                           not pay */
    SL_PQ_SPLIT,        /* BYTE_STREAM_SPLIT of FLOAT, then as SL_PQ_ZSTD_HUFFMAN */
};

struct sl_pq_node {
    const char *name;
    enum sl_pq_type type;
    enum sl_pq_repetition repetition;
    enum sl_pq_annotation annotation;
    enum sl_pq_stats stats; /* of leaves; NULLS where the leaf may repeat */
    enum sl_pq_codec_profile profile;
    uint32_t child_count; /* GROUP: so many nodes, with all below them, follow; >= 1 */
    uint32_t type_len;    /* FIXED */
    int32_t field_id;     /* 0: none */
};
/* Levels of one leaf stay below this. */
#define SL_PQ_DEPTH_MAX 24

/* A column that is not written: what is put there is dropped. */
#define SL_PQ_NOWHERE UINT32_MAX
enum sl_pq_compression { SL_PQ_BY_ZSTD, SL_PQ_BY_SNAPPY, SL_PQ_BY_LZ4_RAW, SL_PQ_BY_NONE };

struct sl_pq_opts {
    const struct sl_pq_node *nodes; /* below the root; borrowed for the writer's life */
    uint32_t node_count;
    enum sl_pq_compression compression; /* profiles count with Zstd only */
    int zstd_level;                     /* for SL_PQ_ZSTD; 1..22 */
    bool has_arrow_schema; /* the key ARROW:schema, made from the nodes; lists as the format wants
                              them, of three levels */
    bool is_huffman_off;   /* Huffman-only columns use zstd_level too (compression=small) */
    uint64_t group_bytes;  /* raw bytes of a row group; 32-128 MiB */
    uint32_t group_rows;   /* <= 122,880 */
    int32_t sorted_column; /* the strictly ascending required BYTE_ARRAY or FIXED column, -1 none:
                              declared in sorting_columns and checked, SL_ECORRUPT names the row */
    bool has_bloom;        /* each row group has a bloom filter of the sorted column */
    _Atomic uint64_t
        *raw_bytes; /* may be NULL: grows by a row group's uncompressed pages at its end */
};

struct sl_pq_kv {
    struct sl_str key, value;
};

/* Number of columns: the leaves of the schema. */
uint32_t sl_pq_column_count(const struct sl_pq_opts *opts);
/* Most memory a writer holds while no value is larger than a page: the row group (as if nothing
 * compressed), one open page per column, codec state. A larger value adds up to three times its
 * size while its page is open; the index of the file adds some 200 bytes per page. */
uint64_t sl_pq_memory_bound(const struct sl_pq_opts *opts);

struct sl_pq_writer;
/* Takes the sink on success: close closes it, abort aborts it. */
sl_rc sl_pq_writer_open(const struct sl_pq_opts *opts, struct sl_sink *sink,
                        struct sl_pq_writer **ret, struct sl_err *err);
/* The next entry of a column continues a list of the row: it repeats at this level (1 is the
 * outermost list). Without it an entry begins a new row. */
void sl_pq_repeat(struct sl_pq_writer *w, uint32_t col, uint32_t level);
void sl_pq_put_bool(struct sl_pq_writer *w, uint32_t col, bool v);
void sl_pq_put_i64(struct sl_pq_writer *w, uint32_t col, int64_t v);
void sl_pq_put_f64(struct sl_pq_writer *w, uint32_t col, double v);
/* The elements of one innermost list, little-endian, at least one: FLOAT, or FIXED (values of
 * type_len bytes side by side). The first one repeats as told, the others at the list's level. */
void sl_pq_put_array(struct sl_pq_writer *w, uint32_t col, struct sl_bytes values);
void sl_pq_put_bytes(struct sl_pq_writer *w, uint32_t col, struct sl_bytes b);
void sl_pq_put_null(struct sl_pq_writer *w, uint32_t col); /* the outermost optional is null */
/* An entry without a value: so many of the optional and repeated nodes above and of the column
 * itself are there (0 is sl_pq_put_null). */
void sl_pq_put_absent(struct sl_pq_writer *w, uint32_t col, uint32_t defined);
/* Room for a value of at most `max` bytes inside the open page, to be filled in place; NULL for
 * SL_PQ_NOWHERE and after a failure (sticky): memory refused, or SL_ETOOBIG above 2 GiB - 64 KiB
 * less levels and length. Then sl_pq_put_reserved tells its real length. */
uint8_t *sl_pq_reserve(struct sl_pq_writer *w, uint32_t col, size_t max);
void sl_pq_put_reserved(struct sl_pq_writer *w, uint32_t col, size_t len);
/* Every column got the entries of exactly one row since the last call. Closes full pages and the
 * full row group.
 */
sl_rc sl_pq_row_end(struct sl_pq_writer *w, struct sl_err *err);
/* Writes the last group, indexes and footer with the key-values, closes the sink and frees the
 * writer in every case. 0 rows is a valid file. */
sl_rc sl_pq_writer_close(struct sl_pq_writer *w, const struct sl_pq_kv *kvs, uint32_t kv_count,
                         struct sl_receipt *ret, struct sl_err *err);
void sl_pq_writer_abort(struct sl_pq_writer *w); /* NULL is fine; aborts the sink, frees */
SL_DEFINE_FREEP(sl_pq_writer, sl_pq_writer_abort)
uint64_t sl_pq_writer_rows(const struct sl_pq_writer *w);
uint32_t sl_pq_writer_groups(const struct sl_pq_writer *w); /* row groups, the open one included */
const char *sl_pq_zstd_version(void);                       /* of libzstd, as it runs */

/* Footer reader for `sluice inspect`: prints what a Parquet file says of itself as JSON (schema,
 * row groups, column chunks with encodings, sizes, statistics, key-values, created_by).
 * tail  the last bytes of the file (footer and its 8-byte tail inside; SL_EINVAL says how many are
 *       needed through *ret_need when too few were given).
 * Foreign bytes: every failure is SL_ECORRUPT with offset and field. */
sl_rc sl_pq_footer_describe(struct sl_bytes tail, uint64_t file_size, uint64_t *ret_need,
                            struct sl_buf *out_json, struct sl_err *err);

#endif
