/* Inside of the Parquet reader: what the footer says, decoders, decompression. */
#ifndef SL_PARQUET_READER_INT_H
#define SL_PARQUET_READER_INT_H

#include "parquet/parquet_int.h"
#include "parquet/reader.h"

/* ---- limits of foreign files; each is far above what writers make ---- */
#define SLI_FOOTER_MAX      (128u << 20)
#define SLI_SCHEMA_MAX      100000u /* elements */
#define SLI_SCHEMA_DEPTH    32
#define SLI_PATHS_MAX       (16u << 20)
#define SLI_KEYS_MAX        65536u
#define SLI_CHUNK_BYTES     10u         /* of the footer at least, each chunk and row group */
#define SLI_PAGE_HEADER_MAX (64u << 20) /* Weaviate puts whole minima and maxima there */
#define SLI_PAGE_VALUES_MAX (1u << 25)  /* 16 bytes each as text views; DuckDB makes the largest */

/* ---- reader.c ---- */
struct sli_chunk_at { /* where a column of a row group lies */
    uint64_t offset, size;
    uint64_t value_count;
    int32_t codec;
};
struct sl_pq_file {
    struct sl_pq_source source;
    struct sl_buf footer, paths;
    struct sl_pq_leaf *leaves;
    uint32_t leaf_count, group_count, kv_count;
    uint64_t *group_rows;
    struct sli_chunk_at *chunks; /* group by group */
    struct sl_pq_kv *kvs;
    uint64_t row_count;
};

/* ---- reader_schema.c ---- */
struct sli_element { /* one node of the schema, as stored: parents before children */
    struct sl_str name;
    int64_t type, width, repetition, child_count, converted;
    enum sl_pq_meaning meaning; /* of the logical type */
    bool has_type;
};
sl_rc sli_element_read(struct sli_tr *t, struct sli_element *ret, struct sl_err *err);
/* Fills leaves and paths of the file. */
sl_rc sli_schema_resolve(struct sl_pq_file *f, const struct sli_element *e, uint32_t count,
                         struct sl_err *err);

/* ---- decode.c: all check that `count` values are there and fail with SL_ECORRUPT ---- */
enum {
    SLI_ENCODING_PLAIN_DICTIONARY = 2,
    SLI_ENCODING_DELTA_BINARY = 5,
    SLI_ENCODING_DELTA_LENGTH = 6,
    SLI_ENCODING_RLE_DICTIONARY = 8,
    SLI_ENCODING_BYTE_SPLIT = 9,
};
struct sli_values { /* of a page or a dictionary */
    struct sl_buf fixed;
    struct sl_buf texts; /* of struct sl_bytes, which point into the page or the dictionary */
};
/* RLE and bit-packed runs of numbers of `width` bits, below 2^16: levels. */
sl_rc sli_decode_levels(struct sl_rd *rd, uint32_t width, uint32_t count, uint8_t *ret,
                        struct sl_err *err);
sl_rc sli_decode_values(const struct sl_pq_leaf *leaf, int64_t encoding, struct sl_bytes body,
                        uint32_t count, const struct sli_values *dictionary,
                        uint32_t dictionary_count, struct sli_values *ret, struct sl_err *err);

/* ---- uncompress.c: the home of Snappy, LZ4 and of reading Zstd ---- */
struct sli_uncompress;
sl_rc sli_uncompress_new(int32_t codec, struct sli_uncompress **ret, struct sl_err *err);
void sli_uncompress_free(struct sli_uncompress *u);
bool sli_uncompress_is_plain(const struct sli_uncompress *u); /* nothing to do */
/* Appends exactly raw_len bytes. */
sl_rc sli_uncompress_page(struct sli_uncompress *u, struct sl_bytes stored, size_t raw_len,
                          struct sl_buf *out, struct sl_err *err);

#endif
