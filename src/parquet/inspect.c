/* Footer reader for people: a Parquet file's FileMetaData as JSON.
 * A field that is not known is skipped by its type. */
#include "base/json.h"
#include "base/str.h"
#include "parquet/parquet_int.h"

#define TAIL_SIZE 8 /* footer length, PAR1 */

struct reader {
    struct sli_tr tr;
    int64_t type; /* physical type of the column being described: how its bounds read */
};

/* ---- names ---- */

static const char *name_of(const char *const *names, size_t count, int64_t v)
{
    return v >= 0 && (uint64_t)v < count && names[v] != NULL ? names[v] : "UNKNOWN";
}

static const char *const types[] = {"BOOLEAN", "INT32",  "INT64",      "INT96",
                                    "FLOAT",   "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"};
static const char *const repetitions[] = {"REQUIRED", "OPTIONAL", "REPEATED"};
static const char *const codecs[] = {"UNCOMPRESSED", "SNAPPY", "GZIP", "LZO",
                                     "BROTLI",       "LZ4",    "ZSTD", "LZ4_RAW"};
static const char *const encodings[] = {"PLAIN",
                                        NULL,
                                        "PLAIN_DICTIONARY",
                                        "RLE",
                                        "BIT_PACKED",
                                        "DELTA_BINARY_PACKED",
                                        "DELTA_LENGTH_BYTE_ARRAY",
                                        "DELTA_BYTE_ARRAY",
                                        "RLE_DICTIONARY",
                                        "BYTE_STREAM_SPLIT"};
static const char *const converted[] = {"UTF8",
                                        "MAP",
                                        "MAP_KEY_VALUE",
                                        "LIST",
                                        "ENUM",
                                        "DECIMAL",
                                        "DATE",
                                        "TIME_MILLIS",
                                        "TIME_MICROS",
                                        "TIMESTAMP_MILLIS",
                                        "TIMESTAMP_MICROS",
                                        "UINT_8",
                                        "UINT_16",
                                        "UINT_32",
                                        "UINT_64",
                                        "INT_8",
                                        "INT_16",
                                        "INT_32",
                                        "INT_64",
                                        "JSON",
                                        "BSON",
                                        "INTERVAL"};

/* ---- a table of fields per struct drives one describing loop ---- */

enum shape { NUMBER, TEXT, BOUND, TYPE, NAME, NAMES, TEXTS, STRUCT, STRUCTS };
struct field {
    int16_t id;
    enum shape shape;
    const char *key;
    const void *more; /* TYPE, NAME, NAMES: names; STRUCT, STRUCTS: struct table */
    size_t count;     /* of names or fields */
};

#define NAMED(array) array, SL_COUNT_OF(array)
static const struct field statistics[] = {
    {3, NUMBER, "null_count", NULL, 0}, {5, BOUND, "max", NULL, 0}, {6, BOUND, "min", NULL, 0}};
static const struct field metadata[] = {{1, TYPE, "type", NAMED(types)},
                                        {2, NAMES, "encodings", NAMED(encodings)},
                                        {3, TEXTS, "path", NULL, 0},
                                        {4, NAME, "codec", NAMED(codecs)},
                                        {5, NUMBER, "num_values", NULL, 0},
                                        {6, NUMBER, "uncompressed_bytes", NULL, 0},
                                        {7, NUMBER, "compressed_bytes", NULL, 0},
                                        {9, NUMBER, "data_page_offset", NULL, 0},
                                        {11, NUMBER, "dictionary_page_offset", NULL, 0},
                                        {12, STRUCT, "statistics", NAMED(statistics)}};
static const struct field chunk[] = {{3, STRUCT, "meta", NAMED(metadata)},
                                     {4, NUMBER, "offset_index_offset", NULL, 0},
                                     {6, NUMBER, "column_index_offset", NULL, 0}};
static const struct field sorting[] = {{1, NUMBER, "column", NULL, 0}};
static const struct field group[] = {{1, STRUCTS, "columns", NAMED(chunk)},
                                     {2, NUMBER, "total_bytes", NULL, 0},
                                     {3, NUMBER, "num_rows", NULL, 0},
                                     {4, STRUCTS, "sorting_columns", NAMED(sorting)}};
static const struct field element[] = {{1, NAME, "type", NAMED(types)},
                                       {3, NAME, "repetition", NAMED(repetitions)},
                                       {4, TEXT, "name", NULL, 0},
                                       {5, NUMBER, "num_children", NULL, 0},
                                       {6, NAME, "converted_type", NAMED(converted)}};
static const struct field key_value[] = {{1, TEXT, "key", NULL, 0}, {2, TEXT, "value", NULL, 0}};
static const struct field file[] = {{1, NUMBER, "version", NULL, 0},
                                    {2, STRUCTS, "schema", NAMED(element)},
                                    {3, NUMBER, "num_rows", NULL, 0},
                                    {4, STRUCTS, "row_groups", NAMED(group)},
                                    {5, STRUCTS, "key_value_metadata", NAMED(key_value)},
                                    {6, TEXT, "created_by", NULL, 0}};

static void describe(struct reader *r, const struct field *fields, size_t count, struct sl_json *w,
                     uint32_t depth);

static void describe_list(struct reader *r, const struct field *f, struct sl_json *w,
                          uint32_t depth)
{
    uint8_t type = 0;
    uint32_t count = sli_tr_list(&r->tr, &type);
    sl_json_arr(w);
    for (uint32_t i = 0; i < count && !sli_tr_has_ended(&r->tr); i++) {
        if (f->shape == STRUCTS && type == SLI_T_STRUCT) {
            describe(r, f->more, f->count, w, depth + 1);
        } else if (f->shape == TEXTS && type == SLI_T_BINARY) {
            sl_json_str(w, sl_bytes_str(sli_tr_binary(&r->tr)));
        } else if (f->shape == NAMES && type == SLI_T_I32) {
            sl_json_text(w, name_of(f->more, f->count, sli_tr_zigzag(&r->tr)));
        } else {
            r->tr.is_bad = true;
        }
    }
    sl_json_arr_end(w);
}

/* The thrift type a shape arrives as; numbers may be of any width. */
static bool fits(enum shape shape, uint8_t type)
{
    switch (shape) {
    case NUMBER:
    case TYPE:
    case NAME:
        return type == SLI_T_I16 || type == SLI_T_I32 || type == SLI_T_I64;
    case TEXT:
    case BOUND:
        return type == SLI_T_BINARY;
    case STRUCT:
        return type == SLI_T_STRUCT;
    case NAMES:
    case TEXTS:
    case STRUCTS:
        return type == SLI_T_LIST;
    }
    return false;
}

/* A number of an integer column, text where it is text, else hex digits. */
static void describe_bound(struct reader *r, struct sl_json *w)
{
    struct sl_bytes b = sli_tr_binary(&r->tr);
    struct sl_rd rd = sl_rd_over(b);
    if (r->type == SLI_TYPE_INT64 && b.len == 8) {
        sl_json_i64(w, (int64_t)sl_rd_u64(&rd));
    } else if (r->type == SLI_TYPE_INT32 && b.len == 4) {
        sl_json_i64(w, (int32_t)sl_rd_u32(&rd));
    } else if (r->type == SLI_TYPE_BYTE_ARRAY && sl_utf8_valid_len(sl_bytes_str(b)) == b.len) {
        sl_json_str(w, sl_bytes_str(b));
    } else {
        SL_AUTO(sl_buf) hex = SL_BUF_EMPTY;
        sl_hex_add(&hex, b);
        w->out->is_failed = w->out->is_failed || hex.is_failed;
        sl_json_str(w, sl_buf_str(&hex));
    }
}

static void describe_field(struct reader *r, const struct field *f, struct sl_json *w,
                           uint32_t depth)
{
    sl_json_key(w, f->key);
    switch (f->shape) {
    case NUMBER:
        sl_json_i64(w, sli_tr_zigzag(&r->tr));
        return;
    case TYPE:
        r->type = sli_tr_zigzag(&r->tr);
        sl_json_text(w, name_of(f->more, f->count, r->type));
        return;
    case NAME:
        sl_json_text(w, name_of(f->more, f->count, sli_tr_zigzag(&r->tr)));
        return;
    case BOUND:
        describe_bound(r, w);
        return;
    case TEXT:
        sl_json_str(w, sl_bytes_str(sli_tr_binary(&r->tr)));
        return;
    case STRUCT:
        describe(r, f->more, f->count, w, depth + 1);
        return;
    case NAMES:
    case TEXTS:
    case STRUCTS:
        describe_list(r, f, w, depth + 1);
        return;
    }
}

static void describe(struct reader *r, const struct field *fields, size_t count, struct sl_json *w,
                     uint32_t depth)
{
    int16_t id = 0;
    uint8_t type = 0;
    sl_json_obj(w);
    while (sli_tr_field(&r->tr, &id, &type)) {
        const struct field *known = NULL;
        for (size_t i = 0; i < count && known == NULL; i++) {
            known = fields[i].id == id && fits(fields[i].shape, type) ? &fields[i] : NULL;
        }
        if (known != NULL) {
            describe_field(r, known, w, depth);
        } else {
            sli_tr_skip(&r->tr, type);
        }
    }
    sl_json_obj_end(w);
}

sl_rc sl_pq_footer_describe(struct sl_bytes tail, uint64_t file_size, uint64_t *ret_need,
                            struct sl_buf *out_json, struct sl_err *err)
{
    if (tail.len < TAIL_SIZE + 4 || memcmp(tail.ptr + tail.len - 4, "PAR1", 4) != 0) {
        return SL_FAIL(err, SL_ECORRUPT, "not a Parquet file: it does not end in PAR1");
    }
    struct sl_rd end = sl_rd_over(SL_BYTES(tail.ptr + tail.len - TAIL_SIZE, TAIL_SIZE));
    uint64_t len = sl_rd_u32(&end);
    if (len + TAIL_SIZE + 4 > file_size) {
        return SL_FAIL(err, SL_ECORRUPT, "footer of %llu bytes in a file of %llu",
                       (unsigned long long)len, (unsigned long long)file_size);
    }
    if (len + TAIL_SIZE > tail.len) {
        *ret_need = len + TAIL_SIZE;
        return SL_FAIL(err, SL_EINVAL, "the last %llu bytes are needed",
                       (unsigned long long)*ret_need);
    }
    struct reader r = {.tr.rd =
                           sl_rd_over(SL_BYTES(tail.ptr + tail.len - TAIL_SIZE - len, (size_t)len)),
                       .type = -1};
    struct sl_json w = sl_json_over(out_json);
    size_t before = out_json->len;
    describe(&r, file, SL_COUNT_OF(file), &w, 0);
    if (sli_tr_has_ended(&r.tr)) {
        out_json->len = before;
        SL_TRY(sl_rd_done(&r.tr.rd, "footer", err));
        return SL_FAIL(err, SL_ECORRUPT, "footer: damaged at offset %zu", r.tr.rd.at);
    }
    return sl_buf_done(out_json, err);
}
