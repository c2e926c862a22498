/* Layout `weaviate`: seven columns. The only copy of raw values happens here, into the open pages
 * of the writer; vector text is made in place there. */
#include "base/num.h"
#include "layout/layout_int.h"

enum { ID, CREATED, UPDATED, VECTOR, NAMED, MULTI, PROPERTIES, COLUMN_COUNT };

static const struct sl_pq_node columns[] = {
    [ID] = {"id", SL_PQ_BYTE_ARRAY, SL_PQ_REQUIRED, SL_PQ_STRING, SL_PQ_STATS_FULL, SL_PQ_ZSTD, 0,
            0, 0},
    [CREATED] = {"creation_time", SL_PQ_INT64, SL_PQ_REQUIRED, SL_PQ_INT_64, SL_PQ_STATS_FULL,
                 SL_PQ_ZSTD, 0, 0, 0},
    [UPDATED] = {"update_time", SL_PQ_INT64, SL_PQ_REQUIRED, SL_PQ_INT_64, SL_PQ_STATS_FULL,
                 SL_PQ_ZSTD, 0, 0, 0},
    [VECTOR] = {"vector", SL_PQ_BYTE_ARRAY, SL_PQ_OPTIONAL, SL_PQ_NONE, SL_PQ_STATS_NULLS,
                SL_PQ_ZSTD_HUFFMAN, 0, 0, 0},
    [NAMED] = {"named_vectors", SL_PQ_BYTE_ARRAY, SL_PQ_OPTIONAL, SL_PQ_NONE, SL_PQ_STATS_NULLS,
               SL_PQ_ZSTD_HUFFMAN, 0, 0, 0},
    [MULTI] = {"multi_vectors", SL_PQ_BYTE_ARRAY, SL_PQ_OPTIONAL, SL_PQ_NONE, SL_PQ_STATS_NULLS,
               SL_PQ_ZSTD_HUFFMAN, 0, 0, 0},
    [PROPERTIES] = {"properties", SL_PQ_BYTE_ARRAY, SL_PQ_OPTIONAL, SL_PQ_NONE, SL_PQ_STATS_NULLS,
                    SL_PQ_ZSTD, 0, 0, 0},
};
_Static_assert(SL_COUNT_OF(columns) == COLUMN_COUNT, "one definition per column");
_Static_assert(SL_COUNT_OF(columns) == SL_COUNT_OF(((struct sl_layout *)NULL)->weaviate), "room");

void sli_weaviate_open(struct sl_layout *l)
{
    for (uint32_t i = 0; i < COLUMN_COUNT; i++) {
        bool is_wanted = sli_is_wanted(l, sl_str_from(columns[i].name)) || i == ID;
        l->at[i] = is_wanted ? l->weaviate_count : SL_PQ_NOWHERE;
        if (is_wanted) {
            struct sl_pq_node *node = &l->weaviate[l->weaviate_count++];
            *node = columns[i];
            if (l->opts.is_json_annotated && i >= NAMED) {
                node->annotation = SL_PQ_JSON;
            }
        }
    }
}

static char *put_text(char *at, const void *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

/* `"name":` with a comma before it unless it is the first. Names need no escapes: [_A-Za-z0-9]. */
static char *put_name(char *at, struct sl_str name, bool is_first)
{
    if (!is_first) {
        *at++ = ',';
    }
    *at++ = '"';
    at = put_text(at, name.ptr, name.len);
    return put_text(at, "\":", 2);
}

static char *put_floats(char *at, struct sl_bytes floats, uint64_t *nonfinite)
{
    return at + sl_f32_array_format(floats.ptr, (uint32_t)(floats.len / 4), at, nonfinite);
}

static void put_named(struct sl_pq_writer *w, uint32_t col, const struct sl_object *obj,
                      uint64_t *nonfinite)
{
    if (obj->named_count == 0) {
        sl_pq_put_null(w, col);
        return;
    }
    size_t max = 2;
    for (uint32_t i = 0; i < obj->named_count; i++) {
        max += obj->named[i].name.len + 4 + SL_F32_ARRAY_MAX(obj->named[i].floats.len / 4);
    }
    char *start = (char *)sl_pq_reserve(w, col, max);
    if (start == NULL) {
        return; /* not wanted, or a failure that is sticky in the writer */
    }
    char *at = start;
    *at++ = '{';
    for (uint32_t i = 0; i < obj->named_count; i++) {
        at = put_name(at, obj->named[i].name, i == 0);
        at = put_floats(at, obj->named[i].floats, nonfinite);
    }
    *at++ = '}';
    sl_pq_put_reserved(w, col, (size_t)(at - start));
}

static sl_rc put_rows(const struct sl_multi_vector *mv, struct sl_buf *scratch, char **at,
                      uint64_t *nonfinite, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(mv->body);
    *(*at)++ = '[';
    for (uint32_t r = 0; r < mv->row_count; r++) {
        struct sl_bytes floats = {0};
        SL_TRY(sl_multi_vector_row(mv, &rd, scratch, &floats, err));
        if (r > 0) {
            *(*at)++ = ',';
        }
        *at = put_floats(*at, floats, nonfinite);
    }
    *(*at)++ = ']';
    return SL_OK;
}

static sl_rc put_multi(struct sl_pq_writer *w, uint32_t col, const struct sl_object *obj,
                       struct sl_buf *scratch, uint64_t *nonfinite, struct sl_err *err)
{
    if (obj->multi_count == 0) {
        sl_pq_put_null(w, col);
        return SL_OK;
    }
    /* A row needs its text, two brackets and a comma; its floats are at least 4 (old form 5) bytes.
     */
    size_t max = 2;
    for (uint32_t i = 0; i < obj->multi_count; i++) {
        max += obj->multi[i].name.len + 6 + SL_F32_ARRAY_MAX(obj->multi[i].body.len / 4) +
               (size_t)obj->multi[i].row_count * 3;
    }
    char *start = (char *)sl_pq_reserve(w, col, max);
    if (start == NULL) {
        return SL_OK;
    }
    char *at = start;
    *at++ = '{';
    for (uint32_t i = 0; i < obj->multi_count; i++) {
        at = put_name(at, obj->multi[i].name, i == 0);
        SL_TRY(put_rows(&obj->multi[i], scratch, &at, nonfinite, err));
    }
    *at++ = '}';
    sl_pq_put_reserved(w, col, (size_t)(at - start));
    return SL_OK;
}

sl_rc sli_weaviate_put(struct sl_layout *l, struct sl_pq_writer *w, const struct sl_object *obj,
                       struct sl_err *err)
{
    int64_t created = 0, updated = 0;
    char id[SL_UUID_TEXT_SIZE];
    SL_TRY(sli_time_of(l, obj->create_ms, &created, err));
    SL_TRY(sli_time_of(l, obj->update_ms, &updated, err));
    sl_uuid_format(obj->uuid, id);
    sl_pq_put_bytes(w, ID, SL_BYTES(id, sizeof(id)));
    sl_pq_put_i64(w, l->at[CREATED], created);
    sl_pq_put_i64(w, l->at[UPDATED], updated);
    if (obj->vector.len > 0) {
        sl_pq_put_bytes(w, l->at[VECTOR], obj->vector);
    } else {
        sl_pq_put_null(w, l->at[VECTOR]);
    }
    put_named(w, l->at[NAMED], obj, &l->tally.nonfinite);
    SL_TRY(put_multi(w, l->at[MULTI], obj, &l->scratch, &l->tally.nonfinite, err));
    if (sli_has_properties(obj)) {
        sl_pq_put_bytes(w, l->at[PROPERTIES], obj->properties);
    } else {
        sl_pq_put_null(w, l->at[PROPERTIES]);
    }
    return sl_pq_row_end(w, err);
}
