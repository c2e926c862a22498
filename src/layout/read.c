/* Rows of exported files back as objects; see read.h.
 *
 * Each column has a cursor over its pages. A row takes one level of a flat column, of a list all
 * levels until the next that begins a row (repetition 0): lists may go on in the next page. Vectors
 * with names are collected in one buffer, by offsets while it grows, and become views at the end of
 * the row. */
#include "layout/read.h"

#include <stdlib.h>

#include "base/num.h"
#include "layout/layout_int.h"

#define NS_SINCE       1000000000000000 /* as milliseconds after the year 33,000: so nanoseconds */
#define COLUMNS_MAX    (2 * SL_OBJECT_VECTORS_MAX + 8)
#define MULTI_ROWS_MAX (1u << 24)

enum role {
    ID,
    CREATED,
    UPDATED,
    VECTOR,
    VECTOR_LIST,
    NAMED_TEXT,
    MULTI_TEXT,
    PROPERTIES,
    NAMED,
    MULTI
};

struct cursor {
    enum role role;
    struct sl_str vector_name; /* NAMED, MULTI */
    uint32_t leaf_no;
    const struct sl_pq_leaf *leaf;
    struct sl_pq_chunk *chunk;
    struct sl_pq_batch batch;
    uint32_t level, value; /* next ones of the batch */
    bool has_ended;
};
struct part { /* one vector with a name */
    struct sl_str name;
    size_t at, len; /* in floats */
    uint32_t row_count;
};
struct sl_layout_reader {
    struct sl_pq_file *file;
    struct sl_layout_file info;
    enum sl_timestamp_unit unit; /* AUTO: by the size of the number */
    struct cursor columns[COLUMNS_MAX];
    uint32_t column_count;
    uint32_t group; /* the next one to open */
    uint64_t group_left, row;
    struct sl_buf vector; /* of VECTOR_LIST */
    struct sl_buf floats;
    struct part named[SL_OBJECT_VECTORS_MAX], multi[SL_OBJECT_VECTORS_MAX];
    uint32_t named_count, multi_count;
};

/* ---- cursors ---- */

/* A level is at hand, or has_ended is set. */
static sl_rc settle(struct cursor *c, struct sl_err *err)
{
    if (c->has_ended || c->level < c->batch.level_count) {
        return SL_OK;
    }
    sl_rc rc = sl_pq_chunk_next(c->chunk, &c->batch, err);
    if (rc == SL_END) {
        c->has_ended = true;
        return SL_OK;
    }
    c->level = c->value = 0;
    return rc;
}

static sl_rc settle_row(struct cursor *c, struct sl_err *err)
{
    SL_TRY(settle(c, err));
    if (c->has_ended || (c->batch.rep != NULL && c->batch.rep[c->level] != 0)) {
        return SL_FAIL(err, SL_ECORRUPT, "column %.*s: its values end before the rows do",
                       SL_STR_ARG(c->leaf->path));
    }
    return SL_OK;
}

static uint8_t def_of(const struct cursor *c)
{
    return c->batch.def == NULL ? 0 : c->batch.def[c->level];
}

static struct sl_bytes value_at(const struct cursor *c)
{
    uint32_t width = c->leaf->width;
    return width == 0 ? c->batch.texts[c->value]
                      : SL_BYTES(c->batch.fixed + (size_t)c->value * width, width);
}

/* One value of a flat column; false: null. */
static sl_rc take_value(struct cursor *c, bool *ret_is_there, struct sl_bytes *ret,
                        struct sl_err *err)
{
    SL_TRY(settle_row(c, err));
    *ret_is_there = def_of(c) == c->leaf->max_def;
    *ret = *ret_is_there ? value_at(c) : (struct sl_bytes){0};
    c->value += *ret_is_there;
    c->level++;
    return SL_OK;
}

static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31;
    uint32_t mantissa = half & 1023, bits;
    if (exponent == 0) { /* zero and subnormal: mantissa * 2^-24, exact */
        float v = (float)mantissa * 0x1p-24F;
        return sign != 0 ? -v : v;
    }
    bits = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | mantissa << 13;
    float v;
    memcpy(&v, &bits, 4);
    return v;
}

/* Elements of the batch at hand that are there and belong to the innermost list: `count` of them.
 */
static void add_floats(struct cursor *c, uint32_t count, struct sl_buf *out)
{
    const uint8_t *from = c->batch.fixed + (size_t)c->value * c->leaf->width;
    if (c->leaf->width == 4) {
        sl_buf_add(out, SL_BYTES(from, (size_t)count * 4));
    }
    for (uint32_t i = 0; c->leaf->width == 2 && i < count; i++) {
        uint16_t half;
        uint32_t bits;
        memcpy(&half, from + (size_t)i * 2, 2);
        float v = half_to_float(half);
        memcpy(&bits, &v, 4);
        sl_buf_add_u32(out, bits);
    }
    c->level += count;
    c->value += count;
}

/* How many elements from here on continue the innermost list. */
static uint32_t run_of(const struct cursor *c)
{
    uint32_t i = c->level;
    while (i < c->batch.level_count && c->batch.rep[i] == c->leaf->max_rep &&
           c->batch.def[i] == c->leaf->max_def) {
        i++;
    }
    return i - c->level;
}

/* Its first element or, where there is none, its emptiness, then all that follow. */
static sl_rc take_list(struct cursor *c, struct sl_buf *out, struct sl_err *err)
{
    const struct sl_pq_leaf *leaf = c->leaf;
    size_t before = out->len;
    if (def_of(c) < leaf->repeated_def[leaf->max_rep - 1]) {
        c->level++;
        return settle(c, err);
    }
    if (def_of(c) < leaf->max_def) {
        return SL_FAIL(err, SL_ECORRUPT, "column %.*s: a null inside a vector",
                       SL_STR_ARG(leaf->path));
    }
    add_floats(c, 1, out);
    for (;;) {
        SL_TRY(settle(c, err));
        uint32_t n = c->has_ended ? 0 : run_of(c);
        if (n == 0) {
            break;
        }
        add_floats(c, n, out);
        if ((out->len - before) / 4 > SL_OBJECT_DIMS_MAX) {
            break;
        }
    }
    if (!c->has_ended && c->batch.rep[c->level] == leaf->max_rep) {
        return SL_FAIL(err, SL_ECORRUPT, "column %.*s: a null inside a vector, or more than %d",
                       SL_STR_ARG(leaf->path), SL_OBJECT_DIMS_MAX);
    }
    return SL_OK;
}

/* ---- vectors with names ---- */

static sl_rc add_part(struct sl_layout_reader *r, bool is_multi, struct sl_str name,
                      struct part **ret, struct sl_err *err)
{
    uint32_t *count = is_multi ? &r->multi_count : &r->named_count;
    if (*count == SL_OBJECT_VECTORS_MAX) {
        return SL_FAIL(err, SL_ECORRUPT, "more than %d vectors", SL_OBJECT_VECTORS_MAX);
    }
    *ret = &(is_multi ? r->multi : r->named)[(*count)++];
    **ret = (struct part){.name = name, .at = r->floats.len};
    return SL_OK;
}

/* A row of a multi vector: number of floats, then they. */
static size_t begin_row(struct sl_layout_reader *r)
{
    size_t at = r->floats.len;
    sl_buf_add_u16(&r->floats, 0);
    return at;
}

static sl_rc end_row(struct sl_layout_reader *r, size_t at, struct part *p, struct sl_err *err)
{
    SL_TRY(sl_buf_done(&r->floats, err));
    size_t dims = (r->floats.len - at - 2) / 4;
    if (dims > SL_OBJECT_DIMS_MAX || ++p->row_count > MULTI_ROWS_MAX) {
        return SL_FAIL(err, SL_ECORRUPT, "vector %.*s: %zu dimensions in row %u",
                       SL_STR_ARG(p->name), dims, p->row_count);
    }
    sl_put_u16(r->floats.ptr + at, (uint16_t)dims);
    return SL_OK;
}

static sl_rc end_part(struct sl_layout_reader *r, struct part *p, struct sl_err *err)
{
    SL_TRY(sl_buf_done(&r->floats, err));
    p->len = r->floats.len - p->at;
    return SL_OK;
}

static sl_rc read_named(struct sl_layout_reader *r, struct cursor *c, struct sl_err *err)
{
    struct part *p = NULL;
    SL_TRY(settle_row(c, err));
    if (def_of(c) < c->leaf->top_def) {
        c->level++;
        return SL_OK;
    }
    SL_TRY(add_part(r, false, c->vector_name, &p, err));
    SL_TRY(take_list(c, &r->floats, err));
    return end_part(r, p, err);
}

static sl_rc read_multi(struct sl_layout_reader *r, struct cursor *c, struct sl_err *err)
{
    struct part *p = NULL;
    SL_TRY(settle_row(c, err));
    if (def_of(c) < c->leaf->top_def) {
        c->level++;
        return SL_OK;
    }
    SL_TRY(add_part(r, true, c->vector_name, &p, err));
    if (def_of(c) < c->leaf->repeated_def[0]) { /* no row */
        c->level++;
        return end_part(r, p, err);
    }
    do {
        size_t at = begin_row(r);
        SL_TRY(take_list(c, &r->floats, err));
        SL_TRY(end_row(r, at, p, err));
    } while (!c->has_ended && c->batch.rep[c->level] == 1);
    return end_part(r, p, err);
}

/* ---- vectors with names as JSON text: {"a":[1,2]}, {"a":[[1],[2]]} ---- */

struct scan {
    struct sl_str text;
    size_t at;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char peek(struct scan *s)
{
    while (s->at < s->text.len && is_blank(s->text.ptr[s->at])) {
        s->at++;
    }
    return s->at < s->text.len ? s->text.ptr[s->at] : '\0';
}

static bool eat(struct scan *s, char what)
{
    bool is_it = what == peek(s) && s->at < s->text.len;
    s->at += is_it;
    return is_it;
}

static bool scan_name(struct scan *s, struct sl_str *ret)
{
    if (!eat(s, '"')) {
        return false;
    }
    size_t from = s->at;
    while (s->at < s->text.len && s->text.ptr[s->at] != '"' && s->text.ptr[s->at] != '\\') {
        s->at++; /* names are letters, digits and underscores: nothing to escape */
    }
    *ret = (struct sl_str){s->text.ptr + from, s->at - from};
    return s->at < s->text.len && s->text.ptr[s->at++] == '"' && eat(s, ':');
}

/* A number, or `null`, which is how a NaN was written. */
static bool scan_float(struct scan *s, struct sl_buf *out)
{
    double v = __builtin_nan("");
    (void)peek(s);
    size_t from = s->at;
    while (s->at < s->text.len && !is_blank(s->text.ptr[s->at]) && s->text.ptr[s->at] != ',' &&
           s->text.ptr[s->at] != ']') {
        s->at++;
    }
    struct sl_str number = {s->text.ptr + from, s->at - from};
    if (!sl_str_is(number, "null") && !sl_f64_parse(number, &v)) {
        return false;
    }
    float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, 4);
    sl_buf_add_u32(out, bits);
    return true;
}

static bool scan_floats(struct scan *s, struct sl_buf *out)
{
    if (!eat(s, '[')) {
        return false;
    }
    if (eat(s, ']')) {
        return true;
    }
    do {
        if (!scan_float(s, out)) {
            return false;
        }
    } while (eat(s, ','));
    return eat(s, ']');
}

static sl_rc scan_rows(struct sl_layout_reader *r, struct scan *s, struct part *p,
                       bool *ret_is_good, struct sl_err *err)
{
    *ret_is_good = eat(s, '[');
    if (*ret_is_good && eat(s, ']')) {
        return SL_OK;
    }
    while (*ret_is_good) {
        size_t at = begin_row(r);
        *ret_is_good = scan_floats(s, &r->floats);
        SL_TRY(end_row(r, at, p, err));
        if (!eat(s, ',')) {
            *ret_is_good = *ret_is_good && eat(s, ']');
            return SL_OK;
        }
    }
    return SL_OK;
}

static int part_order(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    return sl_bytes_cmp(sl_str_bytes(x->name), sl_str_bytes(y->name));
}

static sl_rc scan_vectors(struct sl_layout_reader *r, bool is_multi, struct scan *s,
                          bool *ret_is_good, struct sl_err *err)
{
    *ret_is_good = eat(s, '{');
    bool is_empty = *ret_is_good && eat(s, '}');
    while (*ret_is_good && !is_empty) {
        struct part *p = NULL;
        struct sl_str name = SL_STR("");
        *ret_is_good = scan_name(s, &name);
        SL_TRY(add_part(r, is_multi, name, &p, err));
        if (*ret_is_good && is_multi) {
            SL_TRY(scan_rows(r, s, p, ret_is_good, err));
        } else if (*ret_is_good) {
            *ret_is_good = scan_floats(s, &r->floats);
        }
        SL_TRY(end_part(r, p, err));
        if (!eat(s, ',')) {
            *ret_is_good = *ret_is_good && eat(s, '}');
            break;
        }
    }
    *ret_is_good = *ret_is_good && peek(s) == '\0' && s->at == s->text.len;
    return SL_OK;
}

static sl_rc read_text(struct sl_layout_reader *r, struct cursor *c, struct sl_err *err)
{
    bool is_there = false, is_good = false, is_multi = c->role == MULTI_TEXT;
    struct sl_bytes text;
    SL_TRY(take_value(c, &is_there, &text, err));
    if (!is_there || text.len == 0 || sl_str_is(sl_bytes_str(text), "null")) {
        return SL_OK;
    }
    struct scan s = {.text = sl_bytes_str(text)};
    SL_TRY(scan_vectors(r, is_multi, &s, &is_good, err));
    return is_good ? SL_OK
                   : SL_FAIL(err, SL_ECORRUPT, "column %.*s: not vectors as JSON text, at byte %zu",
                             SL_STR_ARG(c->leaf->path), s.at);
}

/* ---- one row ---- */

static sl_rc read_id(struct cursor *c, struct sl_object *ret, struct sl_err *err)
{
    bool is_there = false;
    struct sl_bytes id;
    SL_TRY(take_value(c, &is_there, &id, err));
    if (is_there && id.len == SL_UUID_SIZE) {
        memcpy(ret->uuid, id.ptr, SL_UUID_SIZE);
        return SL_OK;
    }
    return is_there && sl_uuid_parse(sl_bytes_str(id), ret->uuid)
               ? SL_OK
               : SL_FAIL(err, SL_ECORRUPT, "column id: not a UUID");
}

static int64_t floor_div(int64_t v, int64_t by)
{
    return v / by - (v % by < 0);
}

static sl_rc read_time(const struct sl_layout_reader *r, struct cursor *c, int64_t *ret_ms,
                       struct sl_err *err)
{
    static const int64_t per_ms[] = {[SL_UNIT_NS] = 1000000, [SL_UNIT_US] = 1000, [SL_UNIT_MS] = 1};
    bool is_there = false;
    struct sl_bytes b;
    SL_TRY(take_value(c, &is_there, &b, err));
    struct sl_rd rd = sl_rd_over(b);
    int64_t v = is_there ? (int64_t)sl_rd_u64(&rd) : 0;
    enum sl_timestamp_unit unit = c->leaf->meaning == SL_PQ_M_TIMESTAMP_MS   ? SL_UNIT_MS
                                  : c->leaf->meaning == SL_PQ_M_TIMESTAMP_US ? SL_UNIT_US
                                  : c->leaf->meaning == SL_PQ_M_TIMESTAMP_NS ? SL_UNIT_NS
                                                                             : r->unit;
    if (unit == SL_UNIT_AUTO) {
        unit = v >= NS_SINCE ? SL_UNIT_NS : SL_UNIT_MS;
    }
    *ret_ms = floor_div(v, per_ms[unit]);
    return SL_OK;
}

static sl_rc read_vector(struct sl_layout_reader *r, struct cursor *c, struct sl_object *ret,
                         struct sl_err *err)
{
    bool is_there = false;
    if (c->role == VECTOR_LIST) {
        sl_buf_clear(&r->vector);
        SL_TRY(settle_row(c, err));
        SL_TRY(take_list(c, &r->vector, err));
        ret->vector = sl_buf_view(&r->vector);
        return sl_buf_done(&r->vector, err);
    }
    SL_TRY(take_value(c, &is_there, &ret->vector, err));
    return ret->vector.len % 4 == 0 && ret->vector.len / 4 <= SL_OBJECT_DIMS_MAX
               ? SL_OK
               : SL_FAIL(err, SL_ECORRUPT, "column vector: %zu bytes", ret->vector.len);
}

static sl_rc read_column(struct sl_layout_reader *r, struct cursor *c, struct sl_object *ret,
                         struct sl_err *err)
{
    bool is_there = false;
    switch (c->role) {
    case ID:
        return read_id(c, ret, err);
    case CREATED:
        return read_time(r, c, &ret->create_ms, err);
    case UPDATED:
        return read_time(r, c, &ret->update_ms, err);
    case VECTOR:
    case VECTOR_LIST:
        return read_vector(r, c, ret, err);
    case NAMED_TEXT:
    case MULTI_TEXT:
        return read_text(r, c, err);
    case PROPERTIES:
        return take_value(c, &is_there, &ret->properties, err);
    case NAMED:
        return read_named(r, c, err);
    case MULTI:
        return read_multi(r, c, err);
    }
    return SL_FAIL(err, SL_EINTERNAL, "a column without a role");
}

static sl_rc point_at_parts(struct sl_layout_reader *r, struct sl_object *ret, struct sl_err *err)
{
    qsort(r->named, r->named_count, sizeof(*r->named), part_order);
    qsort(r->multi, r->multi_count, sizeof(*r->multi), part_order);
    ret->named_count = r->named_count;
    ret->multi_count = r->multi_count;
    for (uint32_t i = 0; i < r->named_count; i++) {
        const struct part *p = &r->named[i];
        if (p->len / 4 > SL_OBJECT_DIMS_MAX) {
            return SL_FAIL(err, SL_ECORRUPT, "vector %.*s: %zu dimensions", SL_STR_ARG(p->name),
                           p->len / 4);
        }
        ret->named[i] = (struct sl_named_vector){p->name, SL_BYTES(r->floats.ptr + p->at, p->len)};
    }
    for (uint32_t i = 0; i < r->multi_count; i++) {
        const struct part *p = &r->multi[i];
        ret->multi[i] = (struct sl_multi_vector){p->name, SL_BYTES(r->floats.ptr + p->at, p->len),
                                                 p->row_count, false};
    }
    return SL_OK;
}

static sl_rc open_group(struct sl_layout_reader *r, struct sl_err *err)
{
    for (uint32_t i = 0; i < r->column_count; i++) {
        struct cursor *c = &r->columns[i];
        sl_pq_chunk_close(sl_move(&c->chunk));
        c->batch = (struct sl_pq_batch){0};
        c->level = c->value = 0;
        c->has_ended = false;
        SL_TRY(sl_pq_chunk_open(r->file, r->group, c->leaf_no, &c->chunk, err));
    }
    r->group_left = sl_pq_file_group_rows(r->file, r->group++);
    return SL_OK;
}

static sl_rc read_row(struct sl_layout_reader *r, struct sl_object *ret, struct sl_err *err)
{
    sl_buf_clear(&r->floats);
    r->named_count = r->multi_count = 0;
    ret->doc_id = 0;
    ret->create_ms = ret->update_ms = 0;
    ret->class_name = r->info.collection;
    ret->vector = ret->properties = ret->additional = ret->vector_weights = (struct sl_bytes){0};
    for (uint32_t i = 0; i < r->column_count; i++) {
        SL_TRY(read_column(r, &r->columns[i], ret, err));
    }
    return point_at_parts(r, ret, err);
}

sl_rc sl_layout_read(struct sl_layout_reader *r, struct sl_object *ret, struct sl_err *err)
{
    sl_rc rc = SL_OK;
    while (rc == SL_OK && r->group_left == 0) {
        if (r->group == sl_pq_file_groups(r->file)) {
            return SL_END;
        }
        rc = open_group(r, err);
    }
    rc = rc == SL_OK ? read_row(r, ret, err) : rc;
    if (rc != SL_OK) {
        sl_err_prefix(err, "row %llu", (unsigned long long)r->row);
        return rc;
    }
    r->group_left--;
    r->row++;
    return SL_OK;
}

/* ---- open ---- */

static bool is_floats(const struct sl_pq_leaf *leaf, uint8_t lists)
{
    return leaf->max_rep == lists &&
           (leaf->type == SL_PQ_P_FLOAT ||
            (leaf->meaning == SL_PQ_M_FLOAT16 && leaf->type == SL_PQ_P_FIXED && leaf->width == 2));
}

/* What a leaf is to us; false: nothing. */
static bool role_of(const struct sl_pq_leaf *leaf, enum role *ret, struct sl_str *ret_vector)
{
    static const struct {
        const char *path;
        enum role role;
    } texts[] = {{"id", ID},
                 {"vector", VECTOR},
                 {"named_vectors", NAMED_TEXT},
                 {"multi_vectors", MULTI_TEXT},
                 {"properties", PROPERTIES},
                 {"properties_json", PROPERTIES}};
    bool is_text = leaf->max_rep == 0 && leaf->type == SL_PQ_P_BYTE_ARRAY;
    for (size_t i = 0; is_text && i < SL_COUNT_OF(texts); i++) {
        if (sl_str_is(leaf->path, texts[i].path)) {
            *ret = texts[i].role;
            return true;
        }
    }
    bool is_id = leaf->type == SL_PQ_P_FIXED && leaf->width == SL_UUID_SIZE;
    bool is_time = leaf->type == SL_PQ_P_INT64;
    if (leaf->max_rep == 0 && ((is_id && sl_str_is(leaf->path, "id")) ||
                               (is_time && sl_str_is(leaf->path, "creation_time")) ||
                               (is_time && sl_str_is(leaf->path, "update_time")))) {
        *ret = is_id ? ID : sl_str_is(leaf->path, "creation_time") ? CREATED : UPDATED;
        return true;
    }
    if (is_floats(leaf, 1) && sl_str_is(leaf->name, "vector")) {
        *ret = VECTOR_LIST;
        return true;
    }
    size_t prefix = is_floats(leaf, 1) && sl_str_starts(leaf->name, "vector_") ? strlen("vector_")
                    : is_floats(leaf, 2) && sl_str_starts(leaf->name, "multi_vector_")
                        ? strlen("multi_vector_")
                        : 0;
    *ret = is_floats(leaf, 1) ? NAMED : MULTI;
    *ret_vector = (struct sl_str){leaf->name.ptr + prefix, leaf->name.len - prefix};
    return prefix > 0;
}

static sl_rc find_columns(struct sl_layout_reader *r, uint32_t *ret_roles, struct sl_err *err)
{
    for (uint32_t i = 0; i < sl_pq_file_leaves(r->file); i++) {
        struct cursor c = {.leaf_no = i, .leaf = sl_pq_file_leaf(r->file, i)};
        if (!role_of(c.leaf, &c.role, &c.vector_name)) {
            continue;
        }
        bool is_second = (*ret_roles & 1u << c.role) != 0 && c.role != NAMED && c.role != MULTI;
        if (is_second || r->column_count == COLUMNS_MAX) {
            return SL_FAIL(err, SL_EINVAL, "column %.*s: %s", SL_STR_ARG(c.leaf->path),
                           is_second ? "another one means the same" : "too many columns");
        }
        *ret_roles |= 1u << c.role;
        r->columns[r->column_count++] = c;
    }
    return SL_OK;
}

static sl_rc check_columns(struct sl_layout_reader *r, uint32_t roles, struct sl_err *err)
{
    uint32_t typed = 0;
    if ((roles & 1u << ID) == 0) {
        return SL_FAIL(err, SL_EINVAL, "no exported collection: it has no column id of UUIDs");
    }
    if ((roles & 1u << PROPERTIES) == 0 && sl_pq_file_find(r->file, "properties", &typed) != NULL) {
        return SL_FAIL(err, SL_EINVAL,
                       "properties are typed columns only; properties_json is needed");
    }
    uint32_t lake = 1u << VECTOR_LIST | 1u << NAMED | 1u << MULTI;
    struct sl_str layout = SL_STR("");
    bool is_lake = (roles & lake) != 0 ||
                   (sl_pq_file_key(r->file, "sluice.layout", &layout) && sl_str_is(layout, "lake"));
    r->info.kind = is_lake ? SL_LAYOUT_LAKE : SL_LAYOUT_WEAVIATE;
    return SL_OK;
}

static sl_rc read_keys(struct sl_layout_reader *r, struct sl_err *err)
{
    struct sl_str unit = SL_STR("");
    (void)sl_pq_file_key(r->file, "collection", &r->info.collection);
    r->info.has_tenant = sl_pq_file_key(r->file, "tenant", &r->info.tenant);
    r->info.row_count = sl_pq_file_rows(r->file);
    r->unit = SL_UNIT_AUTO;
    if (sl_pq_file_key(r->file, "timestamp_unit", &unit)) {
        r->unit = SL_UNIT_NS;
        while (r->unit <= SL_UNIT_MS && !sl_str_is(unit, sl_timestamp_unit_name(r->unit))) {
            r->unit++;
        }
        if (r->unit > SL_UNIT_MS) {
            return SL_FAIL(err, SL_EINVAL, "timestamp_unit is \"%.*s\"", SL_STR_ARG(unit));
        }
    }
    return SL_OK;
}

sl_rc sl_layout_reader_open(const struct sl_pq_source *source, struct sl_layout_reader **ret,
                            struct sl_err *err)
{
    uint32_t roles = 0;
    SL_AUTO_PTR(sl_layout_reader) r = sl_alloc_zero(1, sizeof(*r));
    if (r == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sl_pq_file_open(source, &r->file, err));
    SL_TRY(find_columns(r, &roles, err));
    SL_TRY(check_columns(r, roles, err));
    SL_TRY(read_keys(r, err));
    *ret = sl_move(&r);
    return SL_OK;
}

const struct sl_layout_file *sl_layout_reader_file(const struct sl_layout_reader *r)
{
    return &r->info;
}

void sl_layout_reader_close(struct sl_layout_reader *r)
{
    if (r != NULL) {
        for (uint32_t i = 0; i < r->column_count; i++) {
            sl_pq_chunk_close(r->columns[i].chunk);
        }
        sl_pq_file_close(r->file);
        sl_buf_fini(&r->vector);
        sl_buf_fini(&r->floats);
        sl_free(r);
    }
}
