/* Inside of the Parquet writer: compact thrift, page codec, column chunks. */
#ifndef SL_PARQUET_PARQUET_INT_H
#define SL_PARQUET_PARQUET_INT_H

#include "parquet/parquet.h"

/* ---- thrift.c: compact protocol; failures stick to the buffer ---- */
#define SLI_THRIFT_DEPTH_MAX 16
enum sli_thrift_type {
    SLI_T_STOP = 0,
    SLI_T_TRUE = 1,
    SLI_T_FALSE = 2,
    SLI_T_BYTE = 3,
    SLI_T_I16 = 4,
    SLI_T_I32 = 5,
    SLI_T_I64 = 6,
    SLI_T_DOUBLE = 7,
    SLI_T_BINARY = 8,
    SLI_T_LIST = 9,
    SLI_T_SET = 10,
    SLI_T_MAP = 11,
    SLI_T_STRUCT = 12,
};
struct sli_thrift {
    struct sl_buf *out;                       /* borrowed */
    int16_t last_field[SLI_THRIFT_DEPTH_MAX]; /* of each open struct; [0] is the top one */
    uint32_t depth;
};
/* Field 0 in the calls below means: an element of the list written last. */
struct sli_thrift sli_thrift_over(struct sl_buf *out);
void sli_thrift_bool(struct sli_thrift *t, int16_t field, bool v);
void sli_thrift_elem_bool(struct sli_thrift *t, bool v);
void sli_thrift_byte(struct sli_thrift *t, int16_t field, int8_t v);
void sli_thrift_i16(struct sli_thrift *t, int16_t field, int16_t v);
void sli_thrift_i32(struct sli_thrift *t, int16_t field, int32_t v);
void sli_thrift_i64(struct sli_thrift *t, int16_t field, int64_t v);
void sli_thrift_binary(struct sli_thrift *t, int16_t field, struct sl_bytes b);
void sli_thrift_list(struct sli_thrift *t, int16_t field, enum sli_thrift_type type,
                     uint32_t count);
void sli_thrift_struct(struct sli_thrift *t, int16_t field);
void sli_thrift_end(struct sli_thrift *t); /* ends the innermost struct */

/* ---- thrift_read.c: compact protocol of foreign bytes; failures stick ---- */
struct sli_tr {
    struct sl_rd rd;
    bool is_bad; /* sticky: a varint too long, a nesting too deep, an unknown type */
};
bool sli_tr_has_ended(const struct sli_tr *r); /* failed, by is_bad or for want of bytes */
uint64_t sli_tr_varint(struct sli_tr *r);
int64_t sli_tr_zigzag(struct sli_tr *r);
struct sl_bytes sli_tr_binary(struct sli_tr *r);
/* Next field of a struct, *field being the one before (0 at first); false at its end. */
bool sli_tr_field(struct sli_tr *r, int16_t *field, uint8_t *type);
/* Elements of a list; each takes at least one byte, which bounds the count. */
uint32_t sli_tr_list(struct sli_tr *r, uint8_t *type);
void sli_tr_skip(struct sli_tr *r, uint8_t type); /* the value of a field */

/* ---- format constants of Apache Parquet (parquet.thrift) ---- */
enum {
    SLI_TYPE_BOOLEAN = 0,
    SLI_TYPE_INT32 = 1,
    SLI_TYPE_INT64 = 2,
    SLI_TYPE_FLOAT = 4,
    SLI_TYPE_DOUBLE = 5,
    SLI_TYPE_BYTE_ARRAY = 6,
    SLI_TYPE_FIXED = 7,
};
enum { SLI_ENCODING_PLAIN = 0, SLI_ENCODING_RLE = 3, SLI_ENCODING_SPLIT = 9 };
enum {
    SLI_CODEC_NONE = 0,
    SLI_CODEC_SNAPPY = 1,
    SLI_CODEC_ZSTD = 6,
    SLI_CODEC_LZ4_RAW = 7,
};
enum {
    SLI_CONVERTED_UTF8 = 0,
    SLI_CONVERTED_LIST = 3,
    SLI_CONVERTED_TIME_MS = 9,
    SLI_CONVERTED_TIME_US = 10,
    SLI_CONVERTED_INT_64 = 18,
    SLI_CONVERTED_JSON = 19,
};

/* ---- limits ---- */
/* Pages of this raw size: below 512 KiB the entropy tables cost ratio, above 1 MiB readers that
 * fetch one row pay more for nothing. A value of this size gets a page of its own. */
#define SLI_PAGE_BYTES (1024 * 1024)
/* Other columns than those of vectors share this when they are many, down to the least page: the
 * open pages of a wide class stay bounded. */
#define SLI_PAGES_BYTES      (16 * SLI_PAGE_BYTES)
#define SLI_PAGE_BYTES_LEAST (64 * 1024)
/* Page sizes are i32; Zstd adds 3 bytes to each 128 KiB block it cannot shrink (48 KiB in all), so
 * the stored size of the largest page fits as well. */
#define SLI_PAGE_RAW_MAX (INT32_MAX - 65536)
#define SLI_VALUE_MAX    (SLI_PAGE_RAW_MAX - SLI_LEVELS_ROOM - 4)

/* ---- levels.c ---- */
#define SLI_PAGE_ROWS_MAX 20000
struct sli_run { /* entries of equal levels */
    uint32_t count;
    uint8_t rep, def;
};
/* Appends the levels of one v1 page: 4-byte length, then RLE runs or, where these would be longer,
 * one bit-packed run. is_rep: the repetition levels of the runs, else the definition levels; max:
 * the column's highest, >= 1. */
void sli_levels_write(const struct sli_run *runs, uint32_t run_count, bool is_rep, uint32_t max,
                      struct sl_buf *out);
/* Room for levels in front of a page's values: what a flat page needs at most. */
#define SLI_LEVELS_ROOM (4 + 5 + SLI_PAGE_ROWS_MAX / 8 + 1)

#define SLI_PLANES 4 /* bytes of a float, each a plane of its own in SL_PQ_SPLIT */

/* ---- huffman.c ---- */
#define SLI_BYTES        256 /* values of a byte */
#define SLI_CODE_LEN_MAX 11  /* bits, by the format */
/* A code: its bits at the top of the word, how many they are at the bottom; 0: none. */
#define SLI_CODE_BITS (~(uint64_t)63)
static inline uint32_t sli_code_len(uint64_t code)
{
    return code % 64;
}
struct sli_huffman {
    uint64_t codes[SLI_BYTES];
    uint8_t tree[256]; /* as it stands in front of the literals; at most 129 bytes of it */
    uint32_t tree_len;
};
/* The code for bytes that occur as often as counts[256] says, at least two of them. false: the
 * format has no description of it, or none that is short enough. */
bool sli_huffman_build(const uint32_t *counts, struct sli_huffman *h);

/* ---- literals.c ---- */
#define SLI_PAIRS (SLI_BYTES * SLI_BYTES)
struct sli_pairs { /* of bytes, at first + 256 * second: room to work in */
    uint32_t counts[SLI_PAIRS];
    uint64_t codes[SLI_PAIRS];
};
/* A frame with its content size: the levels, then the parts; what is in a part is alike. out has
 * ZSTD_compressBound bytes, of 32 KiB and more. 0: a part is made of runs, where matching pays. */
size_t sli_literals_frame(struct sl_bytes levels, const struct sl_bytes *parts, uint32_t count,
                          struct sli_pairs *pairs, uint8_t *out);

/* ---- codec.c ---- */
struct sli_codec;
/* For ZSTD_customMem, of compression and decompression: its memory is ours. */
void *sli_zstd_alloc(void *opaque, size_t size);
void sli_zstd_free(void *opaque, void *ptr);
/* struct sli_pairs, a context at level 3 and below with 1 MiB pages, of which ZSTD_sizeof_CCtx says
 * 1.3 MiB, and what alignment adds to blocks of megabytes. */
#define SLI_CODEC_BYTES (4u << 20)
/* The same at level 22. */
#define SLI_CODEC_BYTES_HIGH (26u << 20)
sl_rc sli_codec_new(const struct sl_pq_opts *opts, struct sli_codec **ret, struct sl_err *err);
void sli_codec_free(struct sli_codec *c);
size_t sli_codec_bound(enum sl_pq_compression how,
                       size_t raw_len); /* room sli_codec_compress needs */
size_t sli_codec_room(const struct sli_codec *c, size_t raw_len); /* the same, of this codec */
/* One frame with its content size; SL_EINTERNAL when zstd fails. out has sli_codec_bound bytes. raw
 * begins with levels_len bytes of levels. */
sl_rc sli_codec_compress(struct sli_codec *c, enum sl_pq_codec_profile profile, size_t levels_len,
                         struct sl_bytes raw, uint8_t *out, size_t *ret_len, struct sl_err *err);

/* ---- column.c: one column: open page, compressed pages of the row group, indexes of the file ----
 */
struct sli_bound {      /* min or max of a page, a chunk */
    uint8_t bytes[8];   /* BOOLEAN, INT64, DOUBLE */
    struct sl_buf text; /* BYTE_ARRAY, FIXED */
    bool is_cut;        /* text is the beginning of a longer value */
};
struct sli_page_entry {   /* for the indexes; lives as long as the file */
    uint64_t offset;      /* in the file; set when the chunk is written */
    uint32_t stored_size; /* header and payload */
    uint64_t first_row;   /* in its row group */
    uint32_t null_count, entry_count;
    size_t min_at, min_len, max_at, max_len; /* in column->bounds; lengths 0 without statistics */
};
struct sli_page { /* compressed, waiting in the row group */
    uint8_t header[64];
    uint32_t header_len;
    struct sl_bytes payload; /* in a slab */
};
struct sli_chunk { /* what the footer says of one column of one row group */
    uint64_t offset, stored_size, raw_size;
    uint64_t null_count, entry_count;
    uint32_t first_page, page_count;         /* in column->entries */
    size_t min_at, min_len, max_at, max_len; /* in column->bounds */
    bool has_min, has_max, is_min_cut, is_max_cut;
    bool has_index; /* every page with values has min and max */
    uint64_t column_index_at, offset_index_at;
    uint32_t column_index_len, offset_index_len;
    uint64_t bloom_at; /* with bloom_len 0: none */
    uint32_t bloom_len;
};
struct sli_slab;
struct sli_column {
    const struct sl_pq_node *def;
    const struct sl_pq_node *path[SL_PQ_DEPTH_MAX]; /* from below the root to the leaf */
    uint32_t depth;
    uint8_t max_rep, max_def;
    size_t page_bytes; /* of values: the page is full */
    /* Open page: SLI_LEVELS_ROOM bytes of room, then the PLAIN body or the byte planes. */
    struct sl_buf page, levels;
    size_t plane_stride;  /* bytes from plane to plane; see planes.c */
    struct sli_run *runs; /* levels of the page; none where both maxima are 0 */
    uint32_t run_count, run_cap;
    uint32_t page_rows, page_entries, page_nulls;
    uint8_t next_rep; /* of the next entry */
    bool has_bounds;  /* of the open page */
    struct sli_bound min, max;
    /* Row group. */
    struct sli_slab *slabs, *slab_last, *slab_spare;
    struct sli_page *pages;
    uint32_t page_count, page_cap;
    uint64_t group_raw; /* page bodies with levels and headers, uncompressed */
    uint64_t group_rows, group_entries, group_nulls;
    bool group_has_bounds, group_has_index;
    struct sli_bound group_min, group_max;
    /* File. */
    struct sli_page_entry *entries;
    uint32_t entry_count, entry_cap, group_first_entry;
    struct sli_chunk *chunks;
    uint32_t chunk_count, chunk_cap;
    struct sl_buf bounds; /* bytes of all min and max values */
};
/* Values that fill a page of a column other than those of vectors. */
size_t sli_small_page_bytes(const struct sl_pq_opts *opts);
/* Columns of the schema, in order; `columns` has room for sl_pq_column_count. */
void sli_columns_init(const struct sl_pq_opts *opts, struct sli_column *columns);
void sli_column_fini(struct sli_column *c);
/* An empty page; its buffer begins with room for levels, so that both are contiguous when
 * compressed. */
sl_rc sli_column_open_page(struct sli_column *c, struct sl_err *err);
int32_t sli_column_encoding(const struct sli_column *c);
bool sli_column_is_page_full(const struct sli_column *c);
sl_rc sli_column_close_page(struct sli_column *c, struct sli_codec *codec, struct sl_err *err);
/* Writes the chunk's pages to the sink at file offset *offset, which advances. */
sl_rc sli_column_flush(struct sli_column *c, struct sl_sink *sink, uint64_t *offset,
                       struct sl_err *err);
/* Grows an array by one element; NULL when memory is refused. */
void *sli_grow(void *array, uint32_t count, uint32_t *cap, size_t size);

/* ---- planes.c ---- */
/* Appends whole floats to the open page of a SL_PQ_SPLIT column; refused memory fails the page. */
void sli_planes_put(struct sli_column *c, struct sl_bytes floats);
/* The page's planes follow each other without a gap: its body in BYTE_STREAM_SPLIT. */
void sli_planes_close(struct sli_column *c);

/* ---- bloom.c ---- */
/* Appends header and bits of a filter of so many keys, told by their sl_xxh64_classic. */
void sli_bloom_write(const uint64_t *hashes, uint64_t count, struct sl_buf *out);

/* ---- arrow.c ---- */
/* Appends the schema as Arrow's IPC message, in base64. It repeats the file's keys: readers that
 * find it show no others. */
void sli_arrow_schema_write(const struct sl_pq_opts *opts, const struct sl_pq_kv *kvs,
                            uint32_t kv_count, struct sl_buf *out);

/* ---- footer.c ---- */
uint32_t sli_top_count(const struct sl_pq_opts *opts); /* nodes right below the root */
struct sli_group {
    uint64_t row_count;
};
struct sli_footer_in {
    const struct sl_pq_opts *opts;
    struct sli_column *columns;
    uint32_t column_count;
    const struct sli_group *groups;
    uint32_t group_count;
    uint64_t row_count;
    const struct sl_pq_kv *kvs;
    uint32_t kv_count;
};
/* Column index, offset index of chunk `group` of a column. */
void sli_column_index_write(const struct sli_column *c, const struct sli_chunk *chunk,
                            struct sl_buf *out);
void sli_offset_index_write(const struct sli_column *c, const struct sli_chunk *chunk,
                            struct sl_buf *out);
void sli_footer_write(const struct sli_footer_in *in, struct sl_buf *out);

#endif
