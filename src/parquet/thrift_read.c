/* Compact thrift, read: bounds-checked over foreign bytes. Lengths are checked against what is
 * left, nesting against a limit; a failure sticks and every read after it yields nothing. */
#include "parquet/parquet_int.h"

#define SLI_TR_DEPTH_MAX 32

uint64_t sli_tr_varint(struct sli_tr *r)
{
    uint64_t v = 0;
    for (uint32_t shift = 0; shift < 70; shift += 7) {
        uint8_t b = sl_rd_u8(&r->rd);
        v |= shift < 64 ? (uint64_t)(b & 0x7f) << shift : 0;
        if ((b & 0x80) == 0) {
            return v;
        }
    }
    r->is_bad = true;
    return 0;
}

int64_t sli_tr_zigzag(struct sli_tr *r)
{
    uint64_t v = sli_tr_varint(r);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

bool sli_tr_has_ended(const struct sli_tr *r)
{
    return r->is_bad || r->rd.is_short;
}

/* Next field of a struct; false at its end. */
bool sli_tr_field(struct sli_tr *r, int16_t *field, uint8_t *type)
{
    uint8_t head = sl_rd_u8(&r->rd);
    *type = head & 15;
    if (head == 0 || sli_tr_has_ended(r)) {
        return false;
    }
    *field = (int16_t)(head >> 4 != 0 ? *field + (head >> 4) : sli_tr_zigzag(r));
    return !sli_tr_has_ended(r);
}

/* Elements of a list; each takes at least one byte, which bounds the count. */
uint32_t sli_tr_list(struct sli_tr *r, uint8_t *type)
{
    uint8_t head = sl_rd_u8(&r->rd);
    *type = head & 15;
    uint64_t count = head >> 4 == 15 ? sli_tr_varint(r) : head >> 4;
    if (count > sl_rd_left(&r->rd)) {
        r->is_bad = true;
        return 0;
    }
    return (uint32_t)count;
}

struct sl_bytes sli_tr_binary(struct sli_tr *r)
{
    return sl_rd_bytes(&r->rd, sli_tr_varint(r));
}

static void skip(struct sli_tr *r, uint8_t type, uint32_t depth);

static void skip_struct(struct sli_tr *r, uint32_t depth)
{
    int16_t field = 0;
    uint8_t type = 0;
    while (sli_tr_field(r, &field, &type)) {
        skip(r, type, depth);
    }
}

static void skip_list(struct sli_tr *r, uint32_t depth)
{
    uint8_t type = 0;
    uint32_t count = sli_tr_list(r, &type);
    for (uint32_t i = 0; i < count && !sli_tr_has_ended(r); i++) {
        if (type == SLI_T_TRUE || type == SLI_T_FALSE) {
            (void)sl_rd_u8(&r->rd);
        } else {
            skip(r, type, depth);
        }
    }
}

static void skip(struct sli_tr *r, uint8_t type, uint32_t depth)
{
    if (depth > SLI_TR_DEPTH_MAX) {
        r->is_bad = true;
        return;
    }
    switch (type) {
    case SLI_T_TRUE:
    case SLI_T_FALSE:
        return;
    case SLI_T_BYTE:
        (void)sl_rd_u8(&r->rd);
        return;
    case SLI_T_I16:
    case SLI_T_I32:
    case SLI_T_I64:
        (void)sli_tr_varint(r);
        return;
    case SLI_T_DOUBLE:
        (void)sl_rd_u64(&r->rd);
        return;
    case SLI_T_BINARY:
        (void)sli_tr_binary(r);
        return;
    case SLI_T_LIST:
    case SLI_T_SET:
        skip_list(r, depth + 1);
        return;
    case SLI_T_STRUCT:
        skip_struct(r, depth + 1);
        return;
    default: /* maps are not part of Parquet's metadata */
        r->is_bad = true;
        return;
    }
}

void sli_tr_skip(struct sli_tr *r, uint8_t type)
{
    skip(r, type, 0);
}
