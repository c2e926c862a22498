/* Thrift compact protocol, the part Parquet metadata needs. Failure is that of the buffer: the
 * caller asks sl_buf_done once. Source: Apache Thrift, "Thrift Compact protocol". */
#include "parquet/parquet_int.h"

struct sli_thrift sli_thrift_over(struct sl_buf *out)
{
    return (struct sli_thrift){.out = out};
}

static void add_varint(struct sl_buf *out, uint64_t v)
{
    while (v >= 0x80) {
        sl_buf_add_u8(out, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    sl_buf_add_u8(out, (uint8_t)v);
}

static uint64_t zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

/* Field header: short form (delta in the high nibble) when ids rise by 1..15. Field 0: list
 * element. */
static void add_field(struct sli_thrift *t, int16_t field, enum sli_thrift_type type)
{
    if (field == 0) {
        return;
    }
    int16_t *last = &t->last_field[t->depth];
    int delta = field - *last;
    if (delta > 0 && delta <= 15) {
        sl_buf_add_u8(t->out, (uint8_t)(delta << 4 | (int)type));
    } else {
        sl_buf_add_u8(t->out, (uint8_t)type);
        add_varint(t->out, zigzag(field));
    }
    *last = field;
}

void sli_thrift_bool(struct sli_thrift *t, int16_t field, bool v)
{
    add_field(t, field, v ? SLI_T_TRUE : SLI_T_FALSE);
}

void sli_thrift_byte(struct sli_thrift *t, int16_t field, int8_t v)
{
    add_field(t, field, SLI_T_BYTE);
    sl_buf_add_u8(t->out, (uint8_t)v);
}

void sli_thrift_i16(struct sli_thrift *t, int16_t field, int16_t v)
{
    add_field(t, field, SLI_T_I16);
    add_varint(t->out, zigzag(v));
}

void sli_thrift_i32(struct sli_thrift *t, int16_t field, int32_t v)
{
    add_field(t, field, SLI_T_I32);
    add_varint(t->out, zigzag(v));
}

void sli_thrift_i64(struct sli_thrift *t, int16_t field, int64_t v)
{
    add_field(t, field, SLI_T_I64);
    add_varint(t->out, zigzag(v));
}

void sli_thrift_binary(struct sli_thrift *t, int16_t field, struct sl_bytes b)
{
    add_field(t, field, SLI_T_BINARY);
    add_varint(t->out, b.len);
    sl_buf_add(t->out, b);
}

void sli_thrift_struct(struct sli_thrift *t, int16_t field)
{
    add_field(t, field, SLI_T_STRUCT);
    sl_assert(t->depth + 1 < SLI_THRIFT_DEPTH_MAX);
    t->last_field[++t->depth] = 0;
}

void sli_thrift_end(struct sli_thrift *t)
{
    sl_buf_add_u8(t->out, 0);
    if (t->depth > 0) {
        t->depth--;
    }
}

void sli_thrift_list(struct sli_thrift *t, int16_t field, enum sli_thrift_type type, uint32_t count)
{
    add_field(t, field, SLI_T_LIST);
    if (count < 15) {
        sl_buf_add_u8(t->out, (uint8_t)(count << 4 | (uint32_t)type));
    } else {
        sl_buf_add_u8(t->out, (uint8_t)(0xF0 | (uint32_t)type));
        add_varint(t->out, count);
    }
}

void sli_thrift_elem_bool(struct sli_thrift *t, bool v)
{
    sl_buf_add_u8(t->out, v ? SLI_T_TRUE : SLI_T_FALSE);
}
