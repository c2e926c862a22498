/* Vectors of a request: which slot they go to and their stored bytes.
 *
 * A plain `vector` goes to the unnamed slot of a class that has one, else to the only named vector;
 * `vectors.default` of a class with the unnamed slot goes there. Empty vectors are dropped. JSON
 * cannot carry NaN or infinity; a number beyond float32 is refused as Weaviate's decoder does.
 * Vectors that come as bytes are taken bit by bit. */
#include "database/object_int.h"

#include <inttypes.h>
#include <math.h>

#define MULTI_ROWS_MAX \
    (1u << 20) /* rows of one multi-vector; a 100 MB body holds about 25M numbers */

/* How a vector is called in sentences. */
static struct sl_str slot_name(const struct sli_class *c, uint32_t slot)
{
    return slot == 0 ? SL_STR("vector") : c->vectors[slot - 1].name;
}

static bool is_multi(const struct sli_class *c, uint32_t slot)
{
    return slot > 0 && c->vectors[slot - 1].is_multi;
}

/* Appends the numbers of a JSON list as little-endian float32. */
static sl_rc write_floats(struct sl_buf *out, json_t *list, struct sl_str name, struct sl_err *err)
{
    size_t count = json_array_size(list);
    if (count > SL_OBJECT_DIMS_MAX) {
        return SL_FAIL(err, SL_EINVAL, "vector %.*s has %zu dimensions, at most %d are possible",
                       SL_STR_ARG(name), count, SL_OBJECT_DIMS_MAX);
    }
    uint8_t *at = sl_buf_reserve(out, count * 4);
    if (at == NULL) {
        return sl_buf_done(out, err);
    }
    for (size_t i = 0; i < count; i++) {
        json_t *v = json_array_get(list, i);
        float f = json_is_number(v) ? (float)json_number_value(v) : NAN;
        if (!json_is_number(v)) {
            return SL_FAIL(err, SL_EINVAL, "vector %.*s has to be a float32 array",
                           SL_STR_ARG(name));
        }
        if (!isfinite(f)) {
            return SL_FAIL(err, SL_EINVAL, "vector %.*s: number %zu is beyond the range of float32",
                           SL_STR_ARG(name), i);
        }
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        sl_put_u32(at + i * 4, bits);
    }
    out->len += count * 4;
    return SL_OK;
}

static sl_rc write_rows(struct sl_buf *out, json_t *rows, struct sl_str name, struct sli_vec *v,
                        struct sl_err *err)
{
    size_t count = json_array_size(rows);
    if (count > MULTI_ROWS_MAX) {
        return SL_FAIL(err, SL_EINVAL, "vector %.*s has %zu rows, at most %u are possible",
                       SL_STR_ARG(name), count, MULTI_ROWS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        json_t *row = json_array_get(rows, i);
        if (!json_is_array(row)) {
            return SL_FAIL(err, SL_EINVAL, "vector %.*s has to be an array of float32 arrays",
                           SL_STR_ARG(name));
        }
        size_t dims = json_array_size(row);
        if (dims == 0) {
            return SL_FAIL(err, SL_EINVAL, "vector %.*s: multi-vector token %zu is empty",
                           SL_STR_ARG(name), i);
        }
        if (i > 0 && dims != v->dims) {
            return SL_FAIL(err, SL_EINVAL,
                           "vector %.*s: multi vector array consists of vectors with varying "
                           "dimensions",
                           SL_STR_ARG(name));
        }
        v->dims = (uint32_t)SL_MIN(dims, (size_t)SL_OBJECT_DIMS_MAX + 1);
        sl_buf_add_u16(out, (uint16_t)dims); /* write_floats refuses what does not fit */
        SL_TRY(write_floats(out, row, name, err));
    }
    v->row_count = (uint32_t)count;
    return SL_OK;
}

/* A list without rows given to a multi-vector reaches its index and is refused there. */
static sl_rc refuse_flat(struct sli_item *item, const struct sli_class *c, uint32_t slot,
                         struct sl_err *err)
{
    uint64_t doc_id = 0;
    if (item->target != NULL) {
        doc_id = atomic_load_explicit(&item->target->shard->next_doc, memory_order_relaxed);
    }
    return SL_FAIL(err, SL_EREFUSED,
                   "update vector index for target vector %.*s: insert doc id %" PRIu64
                   " to vector index: AddBatch called on multivector index",
                   SL_STR_ARG(slot_name(c, slot)), doc_id);
}

static sl_rc write_vector(struct sli_item *item, const struct sli_class *c, uint32_t slot,
                          json_t *value, struct sl_err *err)
{
    struct sl_str name = slot_name(c, slot);
    if (json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0)) {
        return SL_OK;
    }
    bool has_rows = json_is_array(json_array_get(value, 0));
    if (!json_is_array(value) || (has_rows && !is_multi(c, slot))) {
        return SL_FAIL(err, SL_EINVAL, "vector %.*s has to be a float32 array", SL_STR_ARG(name));
    }
    if (is_multi(c, slot) && !has_rows) {
        return refuse_flat(item, c, slot, err);
    }
    struct sli_vec v = {.slot = slot, .at = item->data.len};
    if (has_rows) {
        SL_TRY(write_rows(&item->data, value, name, &v, err));
    } else {
        v.dims = (uint32_t)json_array_size(value);
        SL_TRY(write_floats(&item->data, value, name, err));
    }
    v.len = item->data.len - v.at;
    item->vecs[item->vec_count++] = v;
    return SL_OK;
}

/* The slot of a plain `vector`; UINT32_MAX when the class has none for it. */
static uint32_t plain_slot(const struct sli_class *c)
{
    if (c->has_legacy_vector) {
        return 0;
    }
    return c->vector_count == 1 ? 1 : UINT32_MAX;
}

static sl_rc check_names(const struct sli_class *c, json_t *vectors, struct sl_err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(vectors, name, value)
    {
        bool is_known = c->has_legacy_vector && strcmp(name, "default") == 0;
        for (uint32_t i = 0; i < c->vector_count && !is_known; i++) {
            is_known = sl_str_is(c->vectors[i].name, name);
        }
        if (!is_known) {
            return SL_FAIL(err, SL_EINVAL,
                           "collection %.*s does not have configuration for vector %s",
                           SL_STR_ARG(c->name), name);
        }
    }
    return SL_OK;
}

static sl_rc refuse_unknown(const struct sli_class *c, struct sl_str name, struct sl_err *err)
{
    return SL_FAIL(err, SL_EINVAL, "collection %.*s does not have configuration for vector %.*s",
                   SL_STR_ARG(c->name), SL_STR_ARG(name));
}

static sl_rc refuse_plain(const struct sli_class *c, struct sl_err *err)
{
    return SL_FAIL(err, SL_EINVAL,
                   "collection %.*s configuration does not have single vector index",
                   SL_STR_ARG(c->name));
}

static sl_rc write_json(struct sli_item *item, const struct sli_class *c, json_t *object,
                        struct sl_err *err)
{
    json_t *plain = json_object_get(object, "vector");
    json_t *vectors = json_object_get(object, "vectors");
    bool has_plain = plain != NULL && !(json_is_null(plain)) &&
                     !(json_is_array(plain) && json_array_size(plain) == 0);
    if (vectors != NULL && !json_is_null(vectors) && !json_is_object(vectors)) {
        return SL_FAIL(err, SL_EINVAL, "vectors has to be an object of vectors by name");
    }
    uint32_t slot_of_plain = plain_slot(c);
    if (has_plain && slot_of_plain == UINT32_MAX) {
        return refuse_plain(c, err);
    }
    SL_TRY(check_names(c, vectors, err));
    for (uint32_t slot = 0; slot <= c->vector_count; slot++) {
        json_t *value = NULL;
        if (slot > 0) {
            struct sl_str name = c->vectors[slot - 1].name;
            value = json_object_getn(vectors, name.ptr, name.len);
        } else if (c->has_legacy_vector) {
            value = json_object_get(vectors, "default");
        }
        if (has_plain && slot == slot_of_plain) {
            value = plain;
        }
        if (value != NULL) {
            SL_TRY(write_vector(item, c, slot, value, err));
        }
    }
    return SL_OK;
}

/* ---- vectors as bytes ---- */

static uint32_t slot_by_name(const struct sli_class *c, struct sl_str name)
{
    for (uint32_t i = 0; i < c->vector_count; i++) {
        if (sl_str_eq(c->vectors[i].name, name)) {
            return i + 1;
        }
    }
    return 0;
}

/* The slot a vector goes to by its name; UINT32_MAX when the class has none for it. */
static uint32_t slot_of(const struct sli_class *c, struct sl_str name)
{
    if (name.len == 0) {
        return plain_slot(c);
    }
    if (c->has_legacy_vector && sl_str_is(name, "default")) {
        return 0;
    }
    uint32_t slot = slot_by_name(c, name);
    return slot == 0 ? UINT32_MAX : slot;
}

/* Rows behind one another become rows with their dimensions each, as they are stored. */
static sl_rc add_rows(struct sl_buf *out, struct sl_bytes bytes, struct sl_str name,
                      struct sli_vec *v, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(bytes);
    v->dims = sl_rd_u16(&rd);
    size_t row = (size_t)v->dims * 4, rest = bytes.len - SL_MIN(bytes.len, (size_t)2);
    if (row == 0 || rest % row != 0 || rest / row > MULTI_ROWS_MAX) {
        return SL_FAIL(err, SL_EINVAL,
                       "vector %.*s: %zu bytes are no rows of %u dimensions after a uint16",
                       SL_STR_ARG(name), bytes.len, v->dims);
    }
    v->row_count = (uint32_t)(rest / row);
    for (uint32_t i = 0; i < v->row_count; i++) {
        sl_buf_add_u16(out, (uint16_t)v->dims);
        sl_buf_add(out, sl_rd_bytes(&rd, row));
    }
    return SL_OK;
}

static sl_rc add_bytes(struct sli_item *item, const struct sli_class *c, uint32_t slot,
                       const struct sl_db_vector *given, struct sl_err *err)
{
    struct sl_str name = slot_name(c, slot);
    if (given->bytes.len == 0) {
        return SL_OK;
    }
    if (given->is_multi && !is_multi(c, slot)) {
        return SL_FAIL(err, SL_EINVAL, "vector %.*s has to be a float32 array", SL_STR_ARG(name));
    }
    if (is_multi(c, slot) && !given->is_multi) {
        return refuse_flat(item, c, slot, err);
    }
    struct sli_vec v = {.slot = slot, .at = item->data.len};
    if (given->is_multi) {
        SL_TRY(add_rows(&item->data, given->bytes, name, &v, err));
    } else if (given->bytes.len % 4 != 0 || given->bytes.len / 4 > SL_OBJECT_DIMS_MAX) {
        return SL_FAIL(err, SL_EINVAL,
                       "vector %.*s: %zu bytes are not float32 values, at most %d of them",
                       SL_STR_ARG(name), given->bytes.len, SL_OBJECT_DIMS_MAX);
    } else {
        v.dims = (uint32_t)(given->bytes.len / 4);
        sl_buf_add(&item->data, given->bytes);
    }
    v.len = item->data.len - v.at;
    item->vecs[item->vec_count++] = v;
    return SL_OK;
}

static sl_rc write_bytes(struct sli_item *item, const struct sli_class *c,
                         const struct sli_input *in, struct sl_err *err)
{
    for (uint32_t i = 0; i < in->vector_count; i++) {
        if (slot_of(c, in->vectors[i].name) == UINT32_MAX) {
            return in->vectors[i].name.len == 0 ? refuse_plain(c, err)
                                                : refuse_unknown(c, in->vectors[i].name, err);
        }
    }
    for (uint32_t slot = 0; slot <= c->vector_count; slot++) {
        const struct sl_db_vector *given = NULL;
        for (uint32_t i = 0; i < in->vector_count; i++) { /* the last of a name wins, as in JSON */
            given = slot_of(c, in->vectors[i].name) == slot ? &in->vectors[i] : given;
        }
        if (given != NULL) {
            SL_TRY(add_bytes(item, c, slot, given, err));
        }
    }
    return SL_OK;
}

sl_rc sli_vectors_write(struct sli_request *req, struct sli_item *item, const struct sli_class *c,
                        const struct sli_input *in, struct sl_err *err)
{
    item->vecs = sl_arena_array(&req->arena, struct sli_vec, c->vector_count + 1);
    if (item->vecs == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(in->vector_count > 0 ? write_bytes(item, c, in, err)
                                : write_json(item, c, in->object, err));
    if (item->vec_count > SL_OBJECT_VECTORS_MAX) {
        return SL_FAIL(err, SL_EINVAL, "an object may have at most %d vectors, not %u",
                       SL_OBJECT_VECTORS_MAX, item->vec_count);
    }
    return sl_buf_done(&item->data, err);
}

/* Puts a vector at its place among the item's, unless its slot is taken. */
static void keep(struct sli_item *item, struct sli_vec v, struct sl_bytes bytes)
{
    uint32_t i = 0;
    while (i < item->vec_count && item->vecs[i].slot < v.slot) {
        i++;
    }
    if (bytes.len == 0 || (i < item->vec_count && item->vecs[i].slot == v.slot)) {
        return;
    }
    memmove(&item->vecs[i + 1], &item->vecs[i], (item->vec_count - i) * sizeof *item->vecs);
    v.at = item->data.len;
    v.len = bytes.len;
    sl_buf_add(&item->data, bytes);
    item->vecs[i] = v;
    item->vec_count++;
}

sl_rc sli_vectors_keep(struct sli_request *req, struct sli_item *item, const struct sl_object *old,
                       struct sl_err *err)
{
    const struct sli_class *c = item->target->class;
    if (item->vecs == NULL) {
        item->vecs = sl_arena_array(&req->arena, struct sli_vec, c->vector_count + 1);
    }
    if (item->vecs == NULL) {
        return SL_NOMEM(err);
    }
    if (old->vector.len > 0 && !c->has_legacy_vector) {
        return refuse_unknown(c, SL_STR("vector"), err);
    }
    keep(item, (struct sli_vec){.dims = (uint32_t)(old->vector.len / 4)}, old->vector);
    for (uint32_t i = 0; i < old->named_count; i++) {
        struct sl_bytes floats = old->named[i].floats;
        uint32_t slot = slot_by_name(c, old->named[i].name);
        if (slot == 0 || is_multi(c, slot)) {
            return refuse_unknown(c, old->named[i].name, err);
        }
        keep(item, (struct sli_vec){.slot = slot, .dims = (uint32_t)(floats.len / 4)}, floats);
    }
    for (uint32_t i = 0; i < old->multi_count; i++) {
        const struct sl_multi_vector *m = &old->multi[i];
        uint32_t slot = slot_by_name(c, m->name);
        if (slot == 0 || !is_multi(c, slot) || m->is_msgpack) {
            return refuse_unknown(c, m->name, err);
        }
        struct sl_rd rd = sl_rd_over(m->body);
        uint32_t dims = sl_rd_u16(&rd);
        keep(item, (struct sli_vec){.slot = slot, .dims = dims, .row_count = m->row_count},
             m->body);
    }
    return sl_buf_done(&item->data, err);
}
