/* The JSON of an object's properties becomes entries of typed columns, in one walk over the text.
 *
 * Every column of the class gets the entries of its row, whatever the text holds: a value that is
 * missing is null, one that its type cannot hold is null and counted, a property the class does not
 * know stays in properties_json alone. So nothing here can fail. The stored text has its keys in
 * byte order, which makes finding a field one comparison; other orders only cost more. */
#include "base/json_text.h"
#include "base/num.h"
#include "layout/layout_int.h"

struct shred {
    struct sl_layout *l;
    struct sl_pq_writer *w;
};

static void repeat(const struct shred *s, uint32_t col, uint8_t rep)
{
    if (rep > 0) {
        sl_pq_repeat(s->w, col, rep);
    }
}

/* Nothing below `def` levels for all columns of a field. */
static void put_absent(const struct shred *s, const struct sli_field *f, uint8_t rep, uint8_t def)
{
    for (uint32_t col = f->first_column; col < f->end_column; col++) {
        repeat(s, col, rep);
        sl_pq_put_absent(s->w, col, def);
    }
}

/* The text inside a string's quotes, escapes resolved: a view of value or of the scratch buffer. */
static bool text_of(const struct shred *s, struct sl_bytes value, struct sl_str *ret)
{
    if (value.len < 2 || value.ptr[0] != '"') {
        return false;
    }
    if (memchr(value.ptr, '\\', value.len) == NULL) {
        *ret = (struct sl_str){(const char *)value.ptr + 1, value.len - 2};
        return true;
    }
    sl_buf_clear(&s->l->scratch);
    bool is_text = sl_json_unescape(value, &s->l->scratch) && !s->l->scratch.is_failed;
    *ret = sl_buf_str(&s->l->scratch);
    return is_text;
}

static bool put_text(const struct shred *s, uint32_t col, struct sl_bytes value)
{
    struct sl_str text;
    bool is_text = text_of(s, value, &text);
    if (is_text) {
        sl_pq_put_bytes(s->w, col, sl_str_bytes(text));
    }
    return is_text;
}

/* 5, but also 5.0 and 5e0. */
static bool put_int(const struct shred *s, uint32_t col, struct sl_bytes value)
{
    int64_t i = 0;
    double d = 0;
    if (!sl_i64_parse(sl_bytes_str(value), &i)) {
        if (!sl_f64_parse(sl_bytes_str(value), &d) || !(d >= -0x1p63 && d < 0x1p63) ||
            (double)(int64_t)d != d) {
            return false;
        }
        i = (int64_t)d;
    }
    sl_pq_put_i64(s->w, col, i);
    return true;
}

static bool put_number(const struct shred *s, uint32_t col, struct sl_bytes value)
{
    double d = 0;
    if (!sl_f64_parse(sl_bytes_str(value), &d)) {
        return false;
    }
    sl_pq_put_f64(s->w, col, d);
    return true;
}

static bool put_float(const struct shred *s, uint32_t col, struct sl_bytes value)
{
    double d = 0;
    if (!sl_f64_parse(sl_bytes_str(value), &d)) {
        return false;
    }
    float f = (float)d;
    sl_pq_put_array(s->w, col, SL_BYTES(&f, sizeof(f)));
    return true;
}

static bool put_boolean(const struct shred *s, uint32_t col, struct sl_bytes value)
{
    bool is_true = sl_str_is(sl_bytes_str(value), "true");
    if (!is_true && !sl_str_is(sl_bytes_str(value), "false")) {
        return false;
    }
    sl_pq_put_bool(s->w, col, is_true);
    return true;
}

/* Microseconds; digits below are cut towards the past, as the seconds are. */
static bool put_date(const struct shred *s, uint32_t col, struct sl_bytes value)
{
    struct sl_str text;
    int64_t seconds = 0;
    int32_t nanoseconds = 0;
    if (!text_of(s, value, &text) || !sl_time_split(text, &seconds, &nanoseconds)) {
        return false;
    }
    sl_pq_put_i64(s->w, col, seconds * 1000000 + nanoseconds / 1000);
    return true;
}

static bool put_uuid(const struct shred *s, uint32_t col, struct sl_bytes value)
{
    struct sl_str text;
    uint8_t uuid[SL_UUID_SIZE];
    if (!text_of(s, value, &text) || !sl_uuid_parse(text, uuid)) {
        return false;
    }
    sli_put_uuid(s->l, s->w, col, uuid);
    return true;
}

static bool put_blob(const struct shred *s, uint32_t col, struct sl_bytes value)
{
    struct sl_str text;
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    if (!text_of(s, value, &text) || !sl_base64_parse(text, &bytes) || bytes.is_failed) {
        return false;
    }
    sl_pq_put_bytes(s->w, col, sl_buf_view(&bytes));
    return true;
}

static bool put_json(const struct shred *s, uint32_t col, struct sl_bytes value)
{
    sl_pq_put_bytes(s->w, col, value);
    return true;
}

static void put_value(const struct shred *s, const struct sli_field *f, struct sl_bytes value,
                      uint8_t rep, uint8_t def);

/* Notes the value of each member at its field; unknown members are passed over. false: not an
 * object. */
static bool find_fields(const struct sli_field *f, struct sl_bytes value)
{
    struct sl_json_iter it;
    struct sl_str key;
    struct sl_bytes member;
    uint32_t next = 0;
    memset(f->found, 0, f->field_count * sizeof(*f->found));
    if (!sl_json_begin(value, '{', &it)) {
        return false;
    }
    while (sl_json_next(&it, &key, &member)) {
        for (uint32_t tried = 0; tried < f->field_count; tried++) {
            uint32_t at =
                next + tried < f->field_count ? next + tried : next + tried - f->field_count;
            if (sl_str_eq(f->fields[f->by_key[at]].key, key)) {
                f->found[f->by_key[at]] = member;
                next = at + 1 < f->field_count ? at + 1 : 0;
                break;
            }
        }
    }
    return !it.is_damaged;
}

static bool put_object(const struct shred *s, const struct sli_field *f, struct sl_bytes value,
                       uint8_t rep, uint8_t def)
{
    if (!find_fields(f, value)) {
        return false;
    }
    for (uint32_t i = 0; i < f->field_count; i++) {
        put_value(s, &f->fields[i], f->found[i], rep, (uint8_t)(def + 1));
    }
    return true;
}

/* One value that is not a list: the property itself or an element. def: levels defined above. */
static void put_element(const struct shred *s, const struct sli_field *f, struct sl_bytes value,
                        uint8_t rep, uint8_t def)
{
    static bool (*const put[])(const struct shred *, uint32_t, struct sl_bytes) = {
        [SLI_TEXT] = put_text,   [SLI_INT] = put_int,         [SLI_NUMBER] = put_number,
        [SLI_DATE] = put_date,   [SLI_BOOLEAN] = put_boolean, [SLI_UUID] = put_uuid,
        [SLI_FLOAT] = put_float, [SLI_BLOB] = put_blob,       [SLI_JSON] = put_json};
    bool is_null = value.len == 0 || sl_json_is_null(value);
    bool is_put = false;
    if (!is_null && f->kind == SLI_OBJECT) {
        is_put = put_object(s, f, value, rep, def);
    } else if (!is_null) {
        repeat(s, f->first_column, rep);
        is_put = put[f->kind](s, f->first_column, value);
    }
    if (!is_put) {
        s->l->tally.nulled += !is_null;
        put_absent(s, f, rep, def);
    }
}

static void put_list(const struct shred *s, const struct sli_field *f, struct sl_bytes value,
                     uint8_t rep, uint8_t def)
{
    struct sl_json_iter it;
    struct sl_str key;
    struct sl_bytes element;
    bool is_empty = true;
    if (!sl_json_begin(value, '[', &it)) {
        s->l->tally.nulled++;
        put_absent(s, f, rep, def);
        return;
    }
    while (sl_json_next(&it, &key, &element)) {
        put_element(s, f, element, is_empty ? rep : f->rep, (uint8_t)(def + 2));
        is_empty = false;
    }
    if (is_empty) {
        put_absent(s, f, rep, (uint8_t)(def + 1));
    }
}

static void put_value(const struct shred *s, const struct sli_field *f, struct sl_bytes value,
                      uint8_t rep, uint8_t def)
{
    bool is_null = value.len == 0 || sl_json_is_null(value);
    if (!f->is_list) {
        put_element(s, f, value, rep, def);
    } else if (is_null) {
        put_absent(s, f, rep, def);
    } else {
        put_list(s, f, value, rep, def);
    }
}

void sli_shred(struct sl_layout *l, struct sl_pq_writer *w, struct sl_bytes json)
{
    struct shred s = {l, w};
    put_value(&s, &l->lake.properties, json, 0, 0);
}
