/* FileMetaData, column index and offset index. Source: apache/parquet-format, parquet.thrift 2.10.
 */
#include "parquet/parquet_int.h"

static void add_leaf(struct sli_thrift *t, const struct sl_pq_column *col)
{
    sli_thrift_struct(t, 0);
    sli_thrift_i32(t, 1, col->type == SL_PQ_INT64 ? SLI_TYPE_INT64 : SLI_TYPE_BYTE_ARRAY);
    sli_thrift_i32(t, 3, col->is_optional ? 1 : 0);
    sli_thrift_binary(t, 4, SL_BYTES(col->name, strlen(col->name)));
    switch (col->annotation) { /* converted type for old readers, logical type for new ones */
    case SL_PQ_NONE:
        break;
    case SL_PQ_STRING:
        sli_thrift_i32(t, 6, SLI_CONVERTED_UTF8);
        sli_thrift_struct(t, 10);
        sli_thrift_struct(t, 1);
        sli_thrift_end(t);
        sli_thrift_end(t);
        break;
    case SL_PQ_INT_64:
        sli_thrift_i32(t, 6, SLI_CONVERTED_INT_64);
        sli_thrift_struct(t, 10);
        sli_thrift_struct(t, 10);
        sli_thrift_byte(t, 1, 64);
        sli_thrift_bool(t, 2, true);
        sli_thrift_end(t);
        sli_thrift_end(t);
        break;
    case SL_PQ_JSON:
        sli_thrift_i32(t, 6, SLI_CONVERTED_JSON);
        sli_thrift_struct(t, 10);
        sli_thrift_struct(t, 12);
        sli_thrift_end(t);
        sli_thrift_end(t);
        break;
    }
    sli_thrift_end(t);
}

static void add_schema(struct sli_thrift *t, const struct sl_pq_opts *opts)
{
    sli_thrift_list(t, 2, SLI_T_STRUCT, opts->column_count + 1);
    sli_thrift_struct(t, 0);
    sli_thrift_binary(t, 4, SL_BYTES("schema", 6));
    sli_thrift_i32(t, 5, (int32_t)opts->column_count);
    sli_thrift_end(t);
    for (uint32_t i = 0; i < opts->column_count; i++) {
        add_leaf(t, &opts->columns[i]);
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
    if (c->def->stats == SL_PQ_STATS_FULL && chunk->null_count < chunk->row_count) {
        sli_thrift_binary(t, 5, bound(c, chunk->max_at, chunk->max_len));
        sli_thrift_binary(t, 6, bound(c, chunk->min_at, chunk->min_len));
        sli_thrift_bool(t, 7, true);
        sli_thrift_bool(t, 8, true);
    }
    sli_thrift_end(t);
}

static void add_metadata(struct sli_thrift *t, const struct sli_column *c,
                         const struct sli_chunk *chunk)
{
    sli_thrift_struct(t, 3);
    sli_thrift_i32(t, 1, c->def->type == SL_PQ_INT64 ? SLI_TYPE_INT64 : SLI_TYPE_BYTE_ARRAY);
    sli_thrift_list(t, 2, SLI_T_I32, 2);
    sli_thrift_i32(t, 0, SLI_ENCODING_PLAIN);
    sli_thrift_i32(t, 0, SLI_ENCODING_RLE);
    sli_thrift_list(t, 3, SLI_T_BINARY, 1);
    sli_thrift_binary(t, 0, SL_BYTES(c->def->name, strlen(c->def->name)));
    sli_thrift_i32(t, 4, SLI_CODEC_ZSTD);
    sli_thrift_i64(t, 5, (int64_t)chunk->row_count);
    sli_thrift_i64(t, 6, (int64_t)chunk->raw_size);
    sli_thrift_i64(t, 7, (int64_t)chunk->stored_size);
    sli_thrift_i64(t, 9, (int64_t)chunk->offset);
    add_statistics(t, c, chunk);
    sli_thrift_list(t, 13, SLI_T_STRUCT, 1); /* no dictionary page, all data pages PLAIN */
    sli_thrift_struct(t, 0);
    sli_thrift_i32(t, 1, 0);
    sli_thrift_i32(t, 2, SLI_ENCODING_PLAIN);
    sli_thrift_i32(t, 3, (int32_t)chunk->page_count);
    sli_thrift_end(t);
    sli_thrift_end(t);
}

static void add_chunk(struct sli_thrift *t, const struct sli_column *c,
                      const struct sli_chunk *chunk)
{
    sli_thrift_struct(t, 0);
    sli_thrift_i64(t, 2, 0); /* file_offset: deprecated, must be 0 */
    add_metadata(t, c, chunk);
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
    sli_thrift_list(t, 1, SLI_T_STRUCT, in->opts->column_count);
    for (uint32_t i = 0; i < in->opts->column_count; i++) {
        const struct sli_chunk *chunk = &in->columns[i].chunks[group];
        add_chunk(t, &in->columns[i], chunk);
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
    if (in->kv_count > 0) {
        sli_thrift_list(&t, 5, SLI_T_STRUCT, in->kv_count);
    }
    for (uint32_t i = 0; i < in->kv_count; i++) {
        sli_thrift_struct(&t, 0);
        sli_thrift_binary(&t, 1, sl_str_bytes(in->kvs[i].key));
        sli_thrift_binary(&t, 2, sl_str_bytes(in->kvs[i].value));
        sli_thrift_end(&t);
    }
    sli_thrift_binary(&t, 6, SL_BYTES(CREATED_BY, sizeof(CREATED_BY) - 1));
    sli_thrift_list(&t, 7, SLI_T_STRUCT, in->opts->column_count);
    for (uint32_t i = 0; i < in->opts->column_count; i++) {
        sli_thrift_struct(&t, 0); /* ColumnOrder: TYPE_ORDER */
        sli_thrift_struct(&t, 1);
        sli_thrift_end(&t);
        sli_thrift_end(&t);
    }
    sli_thrift_end(&t);
}

static bool is_below(struct sl_bytes a, struct sl_bytes b)
{
    return sl_bytes_cmp(a, b) < 0;
}

/* ASCENDING (1) when mins and maxs of the pages never fall, else UNORDERED (0). */
static int32_t boundary_order(const struct sli_column *c, const struct sli_chunk *chunk)
{
    for (uint32_t i = 1; i < chunk->page_count; i++) {
        const struct sli_page_entry *a = &c->entries[chunk->first_page + i - 1];
        const struct sli_page_entry *b = &c->entries[chunk->first_page + i];
        if (c->def->type == SL_PQ_INT64) {
            int64_t a_min = 0, a_max = 0, b_min = 0, b_max = 0;
            memcpy(&a_min, c->bounds.ptr + a->min_at, 8);
            memcpy(&a_max, c->bounds.ptr + a->max_at, 8);
            memcpy(&b_min, c->bounds.ptr + b->min_at, 8);
            memcpy(&b_max, c->bounds.ptr + b->max_at, 8);
            if (b_min < a_min || b_max < a_max) {
                return 0;
            }
        } else if (is_below(bound(c, b->min_at, b->min_len), bound(c, a->min_at, a->min_len)) ||
                   is_below(bound(c, b->max_at, b->max_len), bound(c, a->max_at, a->max_len))) {
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
        bool is_null = pages[i].null_count == pages[i].row_count;
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
