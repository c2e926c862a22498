/* Layout `lake`: an object becomes a row of typed columns. Vectors are copied as they are into the
 * open pages, where the writer splits their bytes; shred.c takes the properties apart. */
#include "layout/layout_int.h"

enum { ID, CREATED, UPDATED };

/* The class says which vectors there are. An object with another one would lose it. */
static sl_rc unknown_vector(struct sl_str name, struct sl_err *err)
{
    return SL_FAIL(
        err, SL_ECORRUPT,
        "vector \"%.*s\" is not in the class, so layout lake has no column for it; export "
        "with layout weaviate",
        SL_STR_ARG(name));
}

/* def 0: null, 1: empty list. */
static void put_vector(struct sl_pq_writer *w, uint32_t col, struct sl_bytes floats)
{
    if (floats.len == 0) {
        sl_pq_put_absent(w, col, 1);
    } else {
        sl_pq_put_array(w, col, floats);
    }
}

/* Both sides are sorted by name, so one walk meets all. */
static sl_rc put_named(const struct sl_layout *l, struct sl_pq_writer *w,
                       const struct sl_object *obj, struct sl_err *err)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < l->lake.named_count; i++) {
        const struct sli_vector_column *c = &l->lake.named[i];
        if (next < obj->named_count && sl_str_eq(obj->named[next].name, c->name)) {
            put_vector(w, c->column, obj->named[next++].floats);
        } else {
            sl_pq_put_null(w, c->column);
        }
    }
    return next == obj->named_count ? SL_OK : unknown_vector(obj->named[next].name, err);
}

/* Levels of LIST<LIST<float>>: 0 null, 1 no rows, 2 an empty row, 3 a float. */
static sl_rc put_rows(struct sl_layout *l, struct sl_pq_writer *w, uint32_t col,
                      const struct sl_multi_vector *mv, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(mv->body);
    if (mv->row_count == 0) {
        sl_pq_put_absent(w, col, 1);
    }
    for (uint32_t r = 0; r < mv->row_count; r++) {
        struct sl_bytes floats = {0};
        SL_TRY(sl_multi_vector_row(mv, &rd, &l->scratch, &floats, err));
        if (r > 0) {
            sl_pq_repeat(w, col, 1);
        }
        if (floats.len == 0) {
            sl_pq_put_absent(w, col, 2);
        } else {
            sl_pq_put_array(w, col, floats);
        }
    }
    return SL_OK;
}

static sl_rc put_multi(struct sl_layout *l, struct sl_pq_writer *w, const struct sl_object *obj,
                       struct sl_err *err)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < l->lake.multi_count; i++) {
        const struct sli_vector_column *c = &l->lake.multi[i];
        if (next < obj->multi_count && sl_str_eq(obj->multi[next].name, c->name)) {
            SL_TRY(put_rows(l, w, c->column, &obj->multi[next++], err));
        } else {
            sl_pq_put_null(w, c->column);
        }
    }
    return next == obj->multi_count ? SL_OK : unknown_vector(obj->multi[next].name, err);
}

sl_rc sli_lake_put(struct sl_layout *l, struct sl_pq_writer *w, const struct sl_object *obj,
                   struct sl_err *err)
{
    int64_t created = 0, updated = 0;
    SL_TRY(sli_time_of(l, obj->create_ms, &created, err));
    SL_TRY(sli_time_of(l, obj->update_ms, &updated, err));
    sl_pq_put_bytes(w, ID, SL_BYTES(obj->uuid, SL_UUID_SIZE));
    sl_pq_put_i64(w, CREATED, created);
    sl_pq_put_i64(w, UPDATED, updated);
    if (obj->vector.len > 0) {
        sl_pq_put_array(w, l->lake.vector_column, obj->vector);
    } else {
        sl_pq_put_null(w, l->lake.vector_column);
    }
    SL_TRY(put_named(l, w, obj, err));
    SL_TRY(put_multi(l, w, obj, err));
    bool has_properties = sli_has_properties(obj);
    if (l->lake.properties.field_count > 0) {
        sli_shred(l, w, has_properties ? obj->properties : SL_BYTES("null", 4));
    }
    if (has_properties) {
        sl_pq_put_bytes(w, l->lake.json_column, obj->properties);
    } else {
        sl_pq_put_null(w, l->lake.json_column);
    }
    return sl_pq_row_end(w, err);
}
