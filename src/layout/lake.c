/* Layout `lake`: an object becomes a row of typed columns. Vectors are copied as they are into the
 * open pages, where the writer splits their bytes; shred.c takes the properties apart. */
#include "layout/layout_int.h"

/* The class says which vectors there are. An object with another one would lose it. */
static sl_rc unknown_vector(struct sl_str name, struct sl_err *err)
{
    return SL_FAIL(
        err, SL_ECORRUPT,
        "vector \"%.*s\" is not in the class, so layout lake has no column for it; export "
        "with layout weaviate",
        SL_STR_ARG(name));
}

/* Half precision, nearest, ties to even; beyond 65,504 infinite. NaN keeps its highest bits. */
static uint16_t half_of(uint32_t f)
{
    uint32_t sign = f >> 16 & 0x8000, exponent = f >> 23 & 0xFF, mantissa = f & 0x7FFFFF;
    if (exponent == 0xFF) {
        return (uint16_t)(sign | 0x7C00 | mantissa >> 13 | (mantissa != 0 ? 0x200 : 0));
    }
    if (exponent < 102) { /* below half of the least subnormal */
        return (uint16_t)sign;
    }
    uint32_t shift = exponent < 113 ? 126 - exponent : 13;
    uint32_t whole = exponent < 113 ? mantissa | 0x800000 : (exponent - 112) << 23 | mantissa;
    uint32_t half = whole >> shift, rest = whole & ((1U << shift) - 1), tie = 1U << (shift - 1);
    half += rest > tie || (rest == tie && (half & 1) != 0);
    return (uint16_t)(sign | SL_MIN(half, 0x7C00U));
}

static void put_floats(struct sl_layout *l, struct sl_pq_writer *w, uint32_t col,
                       struct sl_bytes floats)
{
    if (!l->opts.is_half || col == SL_PQ_NOWHERE) {
        sl_pq_put_array(w, col, floats);
        return;
    }
    uint16_t halves[256];
    const size_t at_once = SL_COUNT_OF(halves);
    sl_buf_clear(&l->half);
    for (size_t at = 0; at < floats.len / 4; at += at_once) {
        size_t count = SL_MIN(floats.len / 4 - at, at_once);
        for (size_t i = 0; i < count; i++) {
            uint32_t bits = 0;
            memcpy(&bits, floats.ptr + (at + i) * 4, sizeof(bits));
            halves[i] = half_of(bits);
        }
        sl_buf_add(&l->half, SL_BYTES(halves, count * sizeof(*halves)));
    }
    if (l->half.is_failed) {
        l->is_refused = true;
        return;
    }
    sl_pq_put_array(w, col, sl_buf_view(&l->half));
}

/* def 0: null, 1: empty list. */
static void put_vector(struct sl_layout *l, struct sl_pq_writer *w, uint32_t col,
                       struct sl_bytes floats)
{
    if (floats.len == 0) {
        sl_pq_put_absent(w, col, 1);
    } else {
        put_floats(l, w, col, floats);
    }
}

/* Both sides are sorted by name, so one walk meets all. */
static sl_rc put_named(struct sl_layout *l, struct sl_pq_writer *w, const struct sl_object *obj,
                       struct sl_err *err)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < l->lake.named_count; i++) {
        const struct sli_vector_column *c = &l->lake.named[i];
        if (next < obj->named_count && sl_str_eq(obj->named[next].name, c->name)) {
            put_vector(l, w, c->column, obj->named[next++].floats);
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
            put_floats(l, w, col, floats);
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

void sli_put_uuid(const struct sl_layout *l, struct sl_pq_writer *w, uint32_t col,
                  const uint8_t uuid[SL_UUID_SIZE])
{
    char text[SL_UUID_TEXT_SIZE];
    if (l->opts.is_uuid_typed) {
        sl_pq_put_bytes(w, col, SL_BYTES(uuid, SL_UUID_SIZE));
        return;
    }
    sl_uuid_format(uuid, text);
    sl_pq_put_bytes(w, col, SL_BYTES(text, sizeof(text)));
}

sl_rc sli_lake_put(struct sl_layout *l, struct sl_pq_writer *w, const struct sl_object *obj,
                   struct sl_err *err)
{
    int64_t created = 0, updated = 0;
    SL_TRY(sli_time_of(l, obj->create_ms, &created, err));
    SL_TRY(sli_time_of(l, obj->update_ms, &updated, err));
    sli_put_uuid(l, w, 0, obj->uuid);
    sl_pq_put_i64(w, l->lake.created_column, created);
    sl_pq_put_i64(w, l->lake.updated_column, updated);
    if (obj->vector.len > 0) {
        put_floats(l, w, l->lake.vector_column, obj->vector);
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
    return l->is_refused ? SL_NOMEM(err) : sl_pq_row_end(w, err);
}
