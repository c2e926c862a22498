/* Stored object: bytes <-> fields. The layout and its versions are in FORMAT.md.
 *
 * Reading is the inner loop of every export: one pass of bounds-checked reads, views instead of
 * copies, nothing allocated. The two vector sections hold maps whose order is random, so names are
 * sorted while they are collected, which is the order files want. Writing makes today's form.
 * Pure; called by database/ and source/ for live and foreign data alike. @threads any. */
#include "lsm/storobj.h"

#include "lsm/msgpack.h"

#define MARSHALLER_VERSION 1
#define KIND_OBJECT        1 /* the deprecated kind byte is still written, never asked */
#define FLOAT_SIZE         4
#define ENTRY_SIZE_MAX     16 /* of a vector beside name and values: heads, offset, counts */

/* A reader that remembers the field at which the bytes ended. */
struct field_rd {
    struct sl_rd rd;
    const char *short_field; /* NULL while nothing fell short */
};

static struct sl_bytes take(struct field_rd *f, uint64_t len, const char *field)
{
    struct sl_bytes b = sl_rd_bytes(&f->rd, len);
    if (SL_UNLIKELY(f->rd.is_short && f->short_field == NULL)) {
        f->short_field = field;
    }
    return b;
}

/* A field behind its uint32 length. */
static struct sl_bytes take_long(struct field_rd *f, const char *field)
{
    return take(f, sl_rd_u32(&f->rd), field);
}

static sl_rc fields_done(const struct field_rd *f, struct sl_err *err)
{
    if (SL_LIKELY(!f->rd.is_short)) {
        return SL_OK;
    }
    return SL_FAIL(err, SL_ECORRUPT,
                   "stored object: %s ends at offset %zu of %zu, more was expected", f->short_field,
                   f->rd.at, f->rd.all.len);
}

/* The two length-prefixed parts of a vector section: a map name -> offset, and what it points into.
 */
struct section {
    const char *name; /* for errors */
    struct sl_bytes offsets, segment;
    size_t at; /* of the offsets in the stored value, for errors */
};

static sl_rc section_corrupt(const struct section *s, const struct sl_rd *rd, const char *what,
                             struct sl_err *err)
{
    return SL_FAIL(err, SL_ECORRUPT, "stored object: %s offsets: %s at offset %zu", s->name, what,
                   s->at + rd->at);
}

static sl_rc section_read(struct field_rd *f, const char *name, struct section *ret,
                          struct sl_err *err)
{
    struct section s = {.name = name};
    if (sl_rd_left(&f->rd) > 0) {
        uint32_t len = sl_rd_u32(&f->rd);
        s.at = f->rd.at;
        s.offsets = take(f, len, name);
        s.segment = take_long(f, name);
        SL_TRY(fields_done(f, err));
    }
    *ret = s;
    return SL_OK;
}

/* Starts the map of a section; a section without offsets has no vectors, whatever its segment is.
 */
static sl_rc section_begin(const struct section *s, struct sl_rd *rd, uint32_t *ret_count,
                           struct sl_err *err)
{
    *rd = sl_rd_over(s->offsets);
    *ret_count = 0;
    if (s->offsets.len == 0) {
        return SL_OK;
    }
    if (!sl_mp_take_map(rd, ret_count)) {
        return section_corrupt(s, rd, "no msgpack map", err);
    }
    if (*ret_count > SL_OBJECT_VECTORS_MAX) {
        return SL_FAIL(err, SL_ECORRUPT, "stored object: %u entries in %s, at most %u are read",
                       *ret_count, s->name, (unsigned)SL_OBJECT_VECTORS_MAX);
    }
    return SL_OK;
}

static sl_rc section_end(const struct section *s, const struct sl_rd *rd, struct sl_err *err)
{
    if (sl_rd_left(rd) > 0) {
        return section_corrupt(s, rd, "bytes behind the map", err);
    }
    return SL_OK;
}

/* A reader over the segment, standing at the offset that is the next item of the map. */
static sl_rc section_seek(const struct section *s, struct sl_rd *rd, struct sl_rd *ret_segment,
                          struct sl_err *err)
{
    uint64_t offset;
    if (!sl_mp_take_u64(rd, &offset)) {
        return section_corrupt(s, rd, "no offset", err);
    }
    struct sl_rd segment = sl_rd_over(s->segment);
    (void)sl_rd_bytes(&segment, offset); /* beyond the end shows in the next read */
    *ret_segment = segment;
    return SL_OK;
}

static sl_rc vector_short(const struct section *s, struct sl_str name, const struct sl_rd *segment,
                          struct sl_err *err)
{
    return SL_FAIL(err, SL_ECORRUPT,
                   "stored object: %s: vector %.*s reaches over the end of its section (offset %zu "
                   "of %zu)",
                   s->name, SL_STR_ARG(name), segment->at, segment->all.len);
}

static sl_rc vector_twice(const struct section *s, struct sl_str name, struct sl_err *err)
{
    return SL_FAIL(err, SL_ECORRUPT, "stored object: %s: vector %.*s is there twice", s->name,
                   SL_STR_ARG(name));
}

static int name_cmp(struct sl_str a, struct sl_str b)
{
    return sl_bytes_cmp(sl_str_bytes(a), sl_str_bytes(b));
}

/* Insertion keeps the array sorted: names are few, and an array of structs this small moves fast.
 */
static sl_rc named_insert(struct sl_object *obj, const struct section *s,
                          const struct sl_named_vector *v, struct sl_err *err)
{
    uint32_t at = obj->named_count;
    while (at > 0 && name_cmp(obj->named[at - 1].name, v->name) > 0) {
        obj->named[at] = obj->named[at - 1];
        at--;
    }
    obj->named[at] = *v;
    obj->named_count++;
    if (at > 0 && name_cmp(obj->named[at - 1].name, v->name) == 0) {
        return vector_twice(s, v->name, err);
    }
    return SL_OK;
}

static sl_rc multi_insert(struct sl_object *obj, const struct section *s,
                          const struct sl_multi_vector *v, struct sl_err *err)
{
    uint32_t at = obj->multi_count;
    while (at > 0 && name_cmp(obj->multi[at - 1].name, v->name) > 0) {
        obj->multi[at] = obj->multi[at - 1];
        at--;
    }
    obj->multi[at] = *v;
    obj->multi_count++;
    if (at > 0 && name_cmp(obj->multi[at - 1].name, v->name) == 0) {
        return vector_twice(s, v->name, err);
    }
    return SL_OK;
}

static sl_rc read_named(const struct section *s, struct sl_object *obj, struct sl_err *err)
{
    struct sl_rd rd;
    uint32_t count;
    SL_TRY(section_begin(s, &rd, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        struct sl_named_vector v;
        struct sl_rd segment;
        if (!sl_mp_take_str(&rd, &v.name)) {
            return section_corrupt(s, &rd, "no name", err);
        }
        SL_TRY(section_seek(s, &rd, &segment, err));
        uint64_t dims = sl_rd_u16(&segment);
        v.floats = sl_rd_bytes(&segment, dims * FLOAT_SIZE);
        if (segment.is_short) {
            return vector_short(s, v.name, &segment, err);
        }
        SL_TRY(named_insert(obj, s, &v, err));
    }
    return section_end(s, &rd, err);
}

/* Takes one row of today's form, or of the form of 1.28.0-1.28.4; false when it is no such row. */
static bool skip_row(struct sl_rd *rd, bool is_msgpack)
{
    if (!is_msgpack) {
        uint64_t dims = sl_rd_u16(rd);
        (void)sl_rd_bytes(rd, dims * FLOAT_SIZE);
        return !rd->is_short;
    }
    uint32_t dims;
    float value;
    if (!sl_mp_take_array(rd, &dims)) {
        return false;
    }
    for (uint32_t i = 0; i < dims; i++) {
        if (!sl_mp_take_f32(rd, &value)) {
            return false;
        }
    }
    return true;
}

/* The bytes of v->row_count rows; rd stands behind them afterwards. */
static bool take_rows(struct sl_rd *rd, struct sl_multi_vector *v)
{
    struct sl_rd from = *rd;
    for (uint32_t i = 0; i < v->row_count; i++) {
        if (!skip_row(rd, v->is_msgpack)) {
            return false;
        }
    }
    v->body = sl_rd_bytes(&from, rd->at - from.at);
    return true;
}

static sl_rc read_multi(const struct section *s, struct sl_object *obj, struct sl_err *err)
{
    struct sl_rd rd;
    uint32_t count;
    SL_TRY(section_begin(s, &rd, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        struct sl_multi_vector v = {0};
        if (!sl_mp_take_str(&rd, &v.name)) {
            return section_corrupt(s, &rd, "no name", err);
        }
        v.is_msgpack = sl_mp_is_array(&rd);
        if (v.is_msgpack) {
            if (!sl_mp_take_array(&rd, &v.row_count) || !take_rows(&rd, &v)) {
                return section_corrupt(s, &rd, "no row of float32", err);
            }
        } else {
            struct sl_rd segment;
            SL_TRY(section_seek(s, &rd, &segment, err));
            v.row_count = sl_rd_u32(&segment);
            if (segment.is_short || !take_rows(&segment, &v)) {
                return vector_short(s, v.name, &segment, err);
            }
        }
        SL_TRY(multi_insert(obj, s, &v, err));
    }
    return section_end(s, &rd, err);
}

static sl_rc read_fixed(struct field_rd *f, struct sl_object *ret, struct sl_err *err)
{
    uint8_t version = sl_rd_u8(&f->rd);
    if (!f->rd.is_short && version != MARSHALLER_VERSION) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "stored object: marshaller version %u at offset 0, only version %d is known",
                       version, MARSHALLER_VERSION);
    }
    ret->doc_id = sl_rd_u64(&f->rd);
    (void)sl_rd_u8(&f->rd); /* kind */
    struct sl_bytes uuid = take(f, SL_UUID_SIZE, "header");
    ret->create_ms = (int64_t)sl_rd_u64(&f->rd);
    ret->update_ms = (int64_t)sl_rd_u64(&f->rd);
    uint64_t dims = sl_rd_u16(&f->rd);
    ret->vector = take(f, dims * FLOAT_SIZE, "times or vector");
    uint64_t name_len = sl_rd_u16(&f->rd);
    ret->class_name = sl_bytes_str(take(f, name_len, "class name"));
    ret->properties = take_long(f, "properties");
    ret->additional = take_long(f, "additional");
    ret->vector_weights = take_long(f, "vector weights");
    SL_TRY(fields_done(f, err));
    memcpy(ret->uuid, uuid.ptr, SL_UUID_SIZE);
    return SL_OK;
}

sl_rc sl_object_read(struct sl_bytes value, struct sl_object *ret, struct sl_err *err)
{
    struct field_rd f = {.rd = sl_rd_over(value)};
    struct section named, multi;
    ret->named_count = 0;
    ret->multi_count = 0;
    SL_TRY(read_fixed(&f, ret, err));
    SL_TRY(section_read(&f, "named vectors", &named, err));
    SL_TRY(section_read(&f, "multi vectors", &multi, err));
    SL_TRY(read_named(&named, ret, err));
    SL_TRY(read_multi(&multi, ret, err));
    if (sl_rd_left(&f.rd) > 0) {
        return SL_FAIL(err, SL_ECORRUPT, "stored object: %zu bytes left over at offset %zu",
                       sl_rd_left(&f.rd), f.rd.at);
    }
    return SL_OK;
}

sl_rc sl_multi_vector_row(const struct sl_multi_vector *mv, struct sl_rd *rd,
                          struct sl_buf *scratch, struct sl_bytes *ret_floats, struct sl_err *err)
{
    if (!mv->is_msgpack) {
        uint64_t dims = sl_rd_u16(rd);
        struct sl_bytes floats = sl_rd_bytes(rd, dims * FLOAT_SIZE);
        SL_TRY(sl_rd_done(rd, "row of a multi vector", err));
        *ret_floats = floats;
        return SL_OK;
    }
    uint32_t dims;
    sl_buf_clear(scratch);
    if (!sl_mp_take_array(rd, &dims)) {
        return SL_FAIL(err, SL_ECORRUPT, "row of a multi vector: no msgpack array at offset %zu",
                       rd->at);
    }
    for (uint32_t i = 0; i < dims; i++) {
        float value;
        if (!sl_mp_take_f32(rd, &value)) {
            return SL_FAIL(err, SL_ECORRUPT, "row of a multi vector: no float32 at offset %zu",
                           rd->at);
        }
        sl_buf_add(scratch, SL_BYTES(&value, sizeof value));
    }
    SL_TRY(sl_buf_done(scratch, err));
    *ret_floats = sl_buf_view(scratch);
    return SL_OK;
}

static sl_rc check_long(size_t len, const char *field, struct sl_err *err)
{
    if (len > UINT32_MAX) {
        return SL_FAIL(err, SL_EINVAL, "%s of %zu bytes do not fit an object; 4 GiB is the limit",
                       field, len);
    }
    return SL_OK;
}

static sl_rc check_floats(struct sl_bytes floats, struct sl_str name, struct sl_err *err)
{
    if (floats.len % FLOAT_SIZE != 0 || floats.len / FLOAT_SIZE > SL_OBJECT_DIMS_MAX) {
        return SL_FAIL(err, SL_EINVAL,
                       "vector %.*s has %zu bytes; whole float32 values and at most %d dimensions "
                       "can be stored",
                       SL_STR_ARG(name), floats.len, SL_OBJECT_DIMS_MAX);
    }
    return SL_OK;
}

/* Everything that could fail but memory, so that `out` only ever gets whole objects. */
static sl_rc check_object(const struct sl_object *obj, struct sl_err *err)
{
    if (obj->class_name.len > UINT16_MAX) {
        return SL_FAIL(err, SL_EINVAL, "the class name has %zu bytes; %d is the limit",
                       obj->class_name.len, UINT16_MAX);
    }
    SL_TRY(check_long(obj->properties.len, "properties", err));
    SL_TRY(check_long(obj->additional.len, "additional properties", err));
    SL_TRY(check_long(obj->vector_weights.len, "vector weights", err));
    SL_TRY(check_floats(obj->vector, SL_STR("(unnamed)"), err));
    if (obj->named_count > SL_OBJECT_VECTORS_MAX || obj->multi_count > SL_OBJECT_VECTORS_MAX) {
        return SL_FAIL(err, SL_EINVAL, "an object has at most %d named and as many multi vectors",
                       SL_OBJECT_VECTORS_MAX);
    }
    size_t named_size = 0;
    for (uint32_t i = 0; i < obj->named_count; i++) {
        const struct sl_named_vector *v = &obj->named[i];
        SL_TRY(check_floats(v->floats, v->name, err));
        named_size += ENTRY_SIZE_MAX + v->floats.len + v->name.len;
    }
    SL_TRY(check_long(named_size, "named vectors", err));
    size_t multi_size = 0;
    for (uint32_t i = 0; i < obj->multi_count; i++) {
        struct sl_multi_vector v = obj->multi[i];
        struct sl_rd rd = sl_rd_over(v.body);
        if (v.is_msgpack || !take_rows(&rd, &v) || sl_rd_left(&rd) > 0) {
            return SL_FAIL(err, SL_EINVAL, "multi vector %.*s does not consist of %u rows",
                           SL_STR_ARG(v.name), v.row_count);
        }
        multi_size += ENTRY_SIZE_MAX + v.body.len + v.name.len;
    }
    return check_long(multi_size, "multi vectors", err);
}

static void add_long(struct sl_buf *out, struct sl_bytes b)
{
    sl_buf_add_u32(out, (uint32_t)b.len);
    sl_buf_add(out, b);
}

static void add_json(struct sl_buf *out, struct sl_bytes json)
{
    add_long(out, json.len > 0 ? json : SL_BYTES("null", 4));
}

/* Leaves room for a uint32 length; length_end fills in how many bytes followed. */
static size_t length_begin(struct sl_buf *out)
{
    sl_buf_add_u32(out, 0);
    return out->len;
}

static void length_end(struct sl_buf *out, size_t begin)
{
    if (!out->is_failed) {
        sl_put_u32(out->ptr + begin - sizeof(uint32_t), (uint32_t)(out->len - begin));
    }
}

static void write_named(const struct sl_object *obj, struct sl_buf *out)
{
    size_t begin = length_begin(out);
    uint32_t offset = 0;
    if (obj->named_count > 0) {
        sl_mp_add_map(out, obj->named_count);
    }
    for (uint32_t i = 0; i < obj->named_count; i++) {
        sl_mp_add_str(out, obj->named[i].name);
        sl_mp_add_u32(out, offset);
        offset += (uint32_t)(sizeof(uint16_t) + obj->named[i].floats.len);
    }
    length_end(out, begin);
    begin = length_begin(out);
    for (uint32_t i = 0; i < obj->named_count; i++) {
        sl_buf_add_u16(out, (uint16_t)(obj->named[i].floats.len / FLOAT_SIZE));
        sl_buf_add(out, obj->named[i].floats);
    }
    length_end(out, begin);
}

static void write_multi(const struct sl_object *obj, struct sl_buf *out)
{
    size_t begin = length_begin(out);
    uint32_t offset = 0;
    if (obj->multi_count > 0) {
        sl_mp_add_map(out, obj->multi_count);
    }
    for (uint32_t i = 0; i < obj->multi_count; i++) {
        sl_mp_add_str(out, obj->multi[i].name);
        sl_mp_add_u32(out, offset);
        offset += (uint32_t)(sizeof(uint32_t) + obj->multi[i].body.len);
    }
    length_end(out, begin);
    begin = length_begin(out);
    for (uint32_t i = 0; i < obj->multi_count; i++) {
        sl_buf_add_u32(out, obj->multi[i].row_count);
        sl_buf_add(out, obj->multi[i].body);
    }
    length_end(out, begin);
}

sl_rc sl_object_write(const struct sl_object *obj, struct sl_buf *out, struct sl_err *err)
{
    SL_TRY(check_object(obj, err));
    sl_buf_add_u8(out, MARSHALLER_VERSION);
    sl_buf_add_u64(out, obj->doc_id);
    sl_buf_add_u8(out, KIND_OBJECT);
    sl_buf_add(out, SL_BYTES(obj->uuid, SL_UUID_SIZE));
    sl_buf_add_u64(out, (uint64_t)obj->create_ms);
    sl_buf_add_u64(out, (uint64_t)obj->update_ms);
    sl_buf_add_u16(out, (uint16_t)(obj->vector.len / FLOAT_SIZE));
    sl_buf_add(out, obj->vector);
    sl_buf_add_u16(out, (uint16_t)obj->class_name.len);
    sl_buf_add_str(out, obj->class_name);
    add_json(out, obj->properties);
    add_json(out, obj->additional);
    add_json(out, obj->vector_weights);
    write_named(obj, out);
    write_multi(obj, out);
    return sl_buf_done(out, err);
}
