/* FileMetaData, column index and offset index. Source: apache/parquet-format, parquet.thrift 2.10.
 */
#include "parquet/parquet_int.h"

static const int32_t physical[] = {
    [SL_PQ_BOOLEAN] = SLI_TYPE_BOOLEAN, [SL_PQ_INT64] = SLI_TYPE_INT64,
    [SL_PQ_FLOAT] = SLI_TYPE_FLOAT,     [SL_PQ_DOUBLE] = SLI_TYPE_DOUBLE,
    [SL_PQ_FIXED] = SLI_TYPE_FIXED,     [SL_PQ_BYTE_ARRAY] = SLI_TYPE_BYTE_ARRAY,
};

/* What an annotation is called: converted type for old readers (-1: none), and the field of the
 * union LogicalType for new ones. */
static const struct {
    int32_t converted;
    int16_t logical;
} annotations[] = {
    [SL_PQ_NONE] = {-1, 0},
    [SL_PQ_STRING] = {SLI_CONVERTED_UTF8, 1},
    [SL_PQ_INT_64] = {SLI_CONVERTED_INT_64, 10},
    [SL_PQ_JSON] = {SLI_CONVERTED_JSON, 12},
    [SL_PQ_LIST] = {SLI_CONVERTED_LIST, 3},
    [SL_PQ_UUID] = {-1, 14},
    [SL_PQ_FLOAT16] = {-1, 15},
    [SL_PQ_TIME_MS] = {SLI_CONVERTED_TIME_MS, 8},
    [SL_PQ_TIME_US] = {SLI_CONVERTED_TIME_US, 8},
    [SL_PQ_TIME_NS] = {-1, 8},
};

/* TimestampType: adjusted to UTC, its unit a field of the union TimeUnit. */
static void add_time_type(struct sli_thrift *t, enum sl_pq_annotation a)
{
    sli_thrift_bool(t, 1, true);
    sli_thrift_struct(t, 2);
    sli_thrift_struct(t, (int16_t)(1 + a - SL_PQ_TIME_MS));
    sli_thrift_end(t);
    sli_thrift_end(t);
}

static void add_annotation(struct sli_thrift *t, const struct sl_pq_node *node)
{
    enum sl_pq_annotation a = node->annotation;
    if (annotations[a].converted >= 0) {
        sli_thrift_i32(t, 6, annotations[a].converted);
    }
    if (node->field_id != 0) {
        sli_thrift_i32(t, 9, node->field_id);
    }
    if (a == SL_PQ_NONE) {
        return;
    }
    sli_thrift_struct(t, 10);
    sli_thrift_struct(t, annotations[a].logical);
    if (a == SL_PQ_INT_64) {
        sli_thrift_byte(t, 1, 64);
        sli_thrift_bool(t, 2, true);
    } else if (a >= SL_PQ_TIME_MS) {
        add_time_type(t, a);
    }
    sli_thrift_end(t);
    sli_thrift_end(t);
}

static void add_node(struct sli_thrift *t, const struct sl_pq_node *node)
{
    sli_thrift_struct(t, 0);
    if (node->type != SL_PQ_GROUP) {
        sli_thrift_i32(t, 1, physical[node->type]);
    }
    if (node->type == SL_PQ_FIXED) {
        sli_thrift_i32(t, 2, (int32_t)node->type_len);
    }
    sli_thrift_i32(t, 3, (int32_t)node->repetition);
    sli_thrift_binary(t, 4, SL_BYTES(node->name, strlen(node->name)));
    if (node->type == SL_PQ_GROUP) {
        sli_thrift_i32(t, 5, (int32_t)node->child_count);
    }
    add_annotation(t, node);
    sli_thrift_end(t);
}

/* Those that no group counts among its own. */
uint32_t sli_top_count(const struct sl_pq_opts *opts)
{
    uint32_t count = opts->node_count;
    for (uint32_t i = 0; i < opts->node_count; i++) {
        count -= opts->nodes[i].type == SL_PQ_GROUP ? opts->nodes[i].child_count : 0;
    }
    return count;
}

static void add_schema(struct sli_thrift *t, const struct sl_pq_opts *opts)
{
    sli_thrift_list(t, 2, SLI_T_STRUCT, opts->node_count + 1);
    sli_thrift_struct(t, 0);
    sli_thrift_binary(t, 4, SL_BYTES("schema", 6));
    sli_thrift_i32(t, 5, (int32_t)sli_top_count(opts));
    sli_thrift_end(t);
    for (uint32_t i = 0; i < opts->node_count; i++) {
        add_node(t, &opts->nodes[i]);
    }
}

/* A min or max kept by the column; empty ones may lie in a buffer that was never filled. */
static struct sl_bytes bound(const struct sli_column *c, size_t at, size_t len)
{
    return len == 0 ? SL_BYTES(NULL, 0) : SL_BYTES(c->bounds.ptr + at, len);
}

static void add_statistics(struct sli_thrift *t, const struct sli_column *c,
                           const struct sli_chunk *chunk)
{
    sli_thrift_struct(t, 12);
    sli_thrift_i64(t, 3, (int64_t)chunk->null_count);
    if (chunk->has_max) {
        sli_thrift_binary(t, 5, bound(c, chunk->max_at, chunk->max_len));
    }
    if (chunk->has_min) {
        sli_thrift_binary(t, 6, bound(c, chunk->min_at, chunk->min_len));
    }
    if (chunk->has_max) {
        sli_thrift_bool(t, 7, !chunk->is_max_cut);
    }
    if (chunk->has_min) {
        sli_thrift_bool(t, 8, !chunk->is_min_cut);
    }
    sli_thrift_end(t);
}

static void add_metadata(struct sli_thrift *t, const struct sli_column *c,
                         const struct sli_chunk *chunk, enum sl_pq_compression how)
{
    static const int32_t codecs[] = {[SL_PQ_BY_ZSTD] = SLI_CODEC_ZSTD,
                                     [SL_PQ_BY_SNAPPY] = SLI_CODEC_SNAPPY,
                                     [SL_PQ_BY_LZ4_RAW] = SLI_CODEC_LZ4_RAW,
                                     [SL_PQ_BY_NONE] = SLI_CODEC_NONE};
    sli_thrift_struct(t, 3);
    sli_thrift_i32(t, 1, physical[c->def->type]);
    sli_thrift_list(t, 2, SLI_T_I32, 2);
    sli_thrift_i32(t, 0, sli_column_encoding(c));
    sli_thrift_i32(t, 0, SLI_ENCODING_RLE);
    sli_thrift_list(t, 3, SLI_T_BINARY, c->depth);
    for (uint32_t i = 0; i < c->depth; i++) {
        sli_thrift_binary(t, 0, SL_BYTES(c->path[i]->name, strlen(c->path[i]->name)));
    }
    sli_thrift_i32(t, 4, codecs[how]);
    sli_thrift_i64(t, 5, (int64_t)chunk->entry_count);
    sli_thrift_i64(t, 6, (int64_t)chunk->raw_size);
    sli_thrift_i64(t, 7, (int64_t)chunk->stored_size);
    sli_thrift_i64(t, 9, (int64_t)chunk->offset);
    add_statistics(t, c, chunk);
    sli_thrift_list(t, 13, SLI_T_STRUCT, 1); /* no dictionary page, all data pages alike */
    sli_thrift_struct(t, 0);
    sli_thrift_i32(t, 1, 0);
    sli_thrift_i32(t, 2, sli_column_encoding(c));
    sli_thrift_i32(t, 3, (int32_t)chunk->page_count);
    sli_thrift_end(t);
    if (chunk->bloom_len > 0) {
        sli_thrift_i64(t, 14, (int64_t)chunk->bloom_at);
        sli_thrift_i32(t, 15, (int32_t)chunk->bloom_len);
    }
    sli_thrift_end(t);
}

static void add_chunk(struct sli_thrift *t, const struct sli_column *c,
                      const struct sli_chunk *chunk, enum sl_pq_compression how)
{
    sli_thrift_struct(t, 0);
    sli_thrift_i64(t, 2, 0); /* file_offset: deprecated, must be 0 */
    add_metadata(t, c, chunk, how);
    sli_thrift_i64(t, 4, (int64_t)chunk->offset_index_at);
    sli_thrift_i32(t, 5, (int32_t)chunk->offset_index_len);
    if (chunk->column_index_len > 0) {
        sli_thrift_i64(t, 6, (int64_t)chunk->column_index_at);
        sli_thrift_i32(t, 7, (int32_t)chunk->column_index_len);
    }
    sli_thrift_end(t);
}

static void add_group(struct sli_thrift *t, const struct sli_footer_in *in, uint32_t group)
{
    uint64_t raw = 0, stored = 0;
    sli_thrift_struct(t, 0);
    sli_thrift_list(t, 1, SLI_T_STRUCT, in->column_count);
    for (uint32_t i = 0; i < in->column_count; i++) {
        const struct sli_chunk *chunk = &in->columns[i].chunks[group];
        add_chunk(t, &in->columns[i], chunk, in->opts->compression);
        raw += chunk->raw_size;
        stored += chunk->stored_size;
    }
    sli_thrift_i64(t, 2, (int64_t)raw);
    sli_thrift_i64(t, 3, (int64_t)in->groups[group].row_count);
    if (in->opts->sorted_column >= 0) {
        sli_thrift_list(t, 4, SLI_T_STRUCT, 1);
        sli_thrift_struct(t, 0);
        sli_thrift_i32(t, 1, in->opts->sorted_column);
        sli_thrift_bool(t, 2, false);
        sli_thrift_bool(t, 3, false);
        sli_thrift_end(t);
    }
    sli_thrift_i64(t, 5, (int64_t)in->columns[0].chunks[group].offset);
    sli_thrift_i64(t, 6, (int64_t)stored);
    sli_thrift_i16(t, 7, (int16_t)group);
    sli_thrift_end(t);
}

static void add_key_value(struct sli_thrift *t, struct sl_str key, struct sl_str value)
{
    sli_thrift_struct(t, 0);
    sli_thrift_binary(t, 1, sl_str_bytes(key));
    sli_thrift_binary(t, 2, sl_str_bytes(value));
    sli_thrift_end(t);
}

static void add_key_values(struct sli_thrift *t, const struct sli_footer_in *in)
{
    uint32_t count = in->kv_count + in->opts->has_arrow_schema;
    if (count > 0) {
        sli_thrift_list(t, 5, SLI_T_STRUCT, count);
    }
    for (uint32_t i = 0; i < in->kv_count; i++) {
        add_key_value(t, in->kvs[i].key, in->kvs[i].value);
    }
    if (in->opts->has_arrow_schema) {
        SL_AUTO(sl_buf) arrow = SL_BUF_EMPTY;
        sli_arrow_schema_write(in->opts, in->kvs, in->kv_count, &arrow);
        t->out->is_failed |= arrow.is_failed;
        add_key_value(t, SL_STR("ARROW:schema"), sl_buf_str(&arrow));
    }
}

/* parquet-java trusts binary statistics only of writers that name themselves in this form. */
#define CREATED_BY "sluice version " SL_VERSION " (build 0)"

void sli_footer_write(const struct sli_footer_in *in, struct sl_buf *out)
{
    struct sli_thrift t = sli_thrift_over(out);
    sli_thrift_i32(&t, 1, 2);
    add_schema(&t, in->opts);
    sli_thrift_i64(&t, 3, (int64_t)in->row_count);
    sli_thrift_list(&t, 4, SLI_T_STRUCT, in->group_count);
    for (uint32_t g = 0; g < in->group_count; g++) {
        add_group(&t, in, g);
    }
    add_key_values(&t, in);
    sli_thrift_binary(&t, 6, SL_BYTES(CREATED_BY, sizeof(CREATED_BY) - 1));
    sli_thrift_list(&t, 7, SLI_T_STRUCT, in->column_count);
    for (uint32_t i = 0; i < in->column_count; i++) {
        sli_thrift_struct(&t, 0); /* ColumnOrder: TYPE_ORDER */
        sli_thrift_struct(&t, 1);
        sli_thrift_end(&t);
        sli_thrift_end(&t);
    }
    sli_thrift_end(&t);
}

/* Is page b's bound below page a's? */
static bool is_below(const struct sli_column *c, struct sl_bytes b, struct sl_bytes a)
{
    if (c->def->type == SL_PQ_INT64) {
        int64_t x = 0, y = 0;
        memcpy(&x, b.ptr, 8);
        memcpy(&y, a.ptr, 8);
        return x < y;
    }
    if (c->def->type == SL_PQ_DOUBLE) {
        double x = 0, y = 0;
        memcpy(&x, b.ptr, 8);
        memcpy(&y, a.ptr, 8);
        return x < y;
    }
    return sl_bytes_cmp(b, a) < 0;
}

/* ASCENDING (1) when mins and maxs of the pages never fall, else UNORDERED (0). */
static int32_t boundary_order(const struct sli_column *c, const struct sli_chunk *chunk)
{
    for (uint32_t i = 1; i < chunk->page_count; i++) {
        const struct sli_page_entry *a = &c->entries[chunk->first_page + i - 1];
        const struct sli_page_entry *b = &c->entries[chunk->first_page + i];
        if (is_below(c, bound(c, b->min_at, b->min_len), bound(c, a->min_at, a->min_len)) ||
            is_below(c, bound(c, b->max_at, b->max_len), bound(c, a->max_at, a->max_len))) {
            return 0;
        }
    }
    return 1;
}

void sli_column_index_write(const struct sli_column *c, const struct sli_chunk *chunk,
                            struct sl_buf *out)
{
    struct sli_thrift t = sli_thrift_over(out);
    const struct sli_page_entry *pages = c->entries + chunk->first_page;
    bool has_null_page = false;
    sli_thrift_list(&t, 1, SLI_T_TRUE, chunk->page_count);
    for (uint32_t i = 0; i < chunk->page_count; i++) {
        bool is_null = pages[i].null_count == pages[i].entry_count;
        has_null_page = has_null_page || is_null;
        sli_thrift_elem_bool(&t, is_null);
    }
    sli_thrift_list(&t, 2, SLI_T_BINARY, chunk->page_count);
    for (uint32_t i = 0; i < chunk->page_count; i++) {
        sli_thrift_binary(&t, 0, bound(c, pages[i].min_at, pages[i].min_len));
    }
    sli_thrift_list(&t, 3, SLI_T_BINARY, chunk->page_count);
    for (uint32_t i = 0; i < chunk->page_count; i++) {
        sli_thrift_binary(&t, 0, bound(c, pages[i].max_at, pages[i].max_len));
    }
    sli_thrift_i32(&t, 4, has_null_page ? 0 : boundary_order(c, chunk));
    sli_thrift_list(&t, 5, SLI_T_I64, chunk->page_count);
    for (uint32_t i = 0; i < chunk->page_count; i++) {
        sli_thrift_i64(&t, 0, pages[i].null_count);
    }
    sli_thrift_end(&t);
}

void sli_offset_index_write(const struct sli_column *c, const struct sli_chunk *chunk,
                            struct sl_buf *out)
{
    struct sli_thrift t = sli_thrift_over(out);
    sli_thrift_list(&t, 1, SLI_T_STRUCT, chunk->page_count);
    for (uint32_t i = 0; i < chunk->page_count; i++) {
        const struct sli_page_entry *e = &c->entries[chunk->first_page + i];
        sli_thrift_struct(&t, 0);
        sli_thrift_i64(&t, 1, (int64_t)e->offset);
        sli_thrift_i32(&t, 2, (int32_t)e->stored_size);
        sli_thrift_i64(&t, 3, (int64_t)e->first_row);
        sli_thrift_end(&t);
    }
    sli_thrift_end(&t);
}
