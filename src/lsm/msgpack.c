/* MessagePack, as much as Weaviate's stored bytes need: see msgpack.h. */
#include "lsm/msgpack.h"

/* First bytes of items. The "fix" forms hold the count or value in their low bits. */
enum {
    MP_FIXMAP = 0x80,
    MP_FIXARRAY = 0x90,
    MP_FIXSTR = 0xa0,
    MP_NIL = 0xc0,
    MP_NEVER = 0xc1,
    MP_FALSE = 0xc2,
    MP_TRUE = 0xc3,
    MP_BIN8 = 0xc4,
    MP_BIN16 = 0xc5,
    MP_BIN32 = 0xc6,
    MP_EXT8 = 0xc7,
    MP_EXT16 = 0xc8,
    MP_EXT32 = 0xc9,
    MP_FLOAT32 = 0xca,
    MP_FLOAT64 = 0xcb,
    MP_UINT8 = 0xcc,
    MP_UINT16 = 0xcd,
    MP_UINT32 = 0xce,
    MP_UINT64 = 0xcf,
    MP_INT8 = 0xd0,
    MP_INT16 = 0xd1,
    MP_INT32 = 0xd2,
    MP_INT64 = 0xd3,
    MP_FIXEXT1 = 0xd4,
    MP_FIXEXT16 = 0xd8,
    MP_STR8 = 0xd9,
    MP_STR16 = 0xda,
    MP_STR32 = 0xdb,
    MP_ARRAY16 = 0xdc,
    MP_ARRAY32 = 0xdd,
    MP_MAP16 = 0xde,
    MP_MAP32 = 0xdf,
};

bool sl_mp_take_map(struct sl_rd *rd, uint32_t *ret_count)
{
    uint32_t count = 0;
    uint8_t tag = sl_rd_u8(rd);
    if ((tag & 0xf0) == MP_FIXMAP) {
        count = tag & 0x0f;
    } else if (tag == MP_MAP16) {
        count = sl_rd_u16be(rd);
    } else if (tag == MP_MAP32) {
        count = sl_rd_u32be(rd);
    } else if (tag != MP_NIL) {
        return false;
    }
    *ret_count = count;
    return !rd->is_short;
}

bool sl_mp_take_array(struct sl_rd *rd, uint32_t *ret_count)
{
    uint32_t count = 0;
    uint8_t tag = sl_rd_u8(rd);
    if ((tag & 0xf0) == MP_FIXARRAY) {
        count = tag & 0x0f;
    } else if (tag == MP_ARRAY16) {
        count = sl_rd_u16be(rd);
    } else if (tag == MP_ARRAY32) {
        count = sl_rd_u32be(rd);
    } else if (tag != MP_NIL) {
        return false;
    }
    *ret_count = count;
    return !rd->is_short;
}

bool sl_mp_take_str(struct sl_rd *rd, struct sl_str *ret)
{
    uint32_t len;
    uint8_t tag = sl_rd_u8(rd);
    if ((tag & 0xe0) == MP_FIXSTR) {
        len = tag & 0x1f;
    } else if (tag == MP_STR8) {
        len = sl_rd_u8(rd);
    } else if (tag == MP_STR16) {
        len = sl_rd_u16be(rd);
    } else if (tag == MP_STR32) {
        len = sl_rd_u32be(rd);
    } else {
        return false;
    }
    struct sl_bytes text = sl_rd_bytes(rd, len);
    if (rd->is_short) {
        return false;
    }
    *ret = sl_bytes_str(text);
    return true;
}

bool sl_mp_take_bytes(struct sl_rd *rd, struct sl_bytes *ret)
{
    struct sl_rd ahead = *rd;
    uint32_t len;
    switch (sl_rd_u8(&ahead)) {
    case MP_NIL:
        len = 0;
        break;
    case MP_BIN8:
        len = sl_rd_u8(&ahead);
        break;
    case MP_BIN16:
        len = sl_rd_u16be(&ahead);
        break;
    case MP_BIN32:
        len = sl_rd_u32be(&ahead);
        break;
    default: {
        struct sl_str text;
        if (!sl_mp_take_str(rd, &text)) {
            return false;
        }
        *ret = sl_str_bytes(text);
        return true;
    }
    }
    *rd = ahead;
    *ret = sl_rd_bytes(rd, len);
    return !rd->is_short;
}

/* Bytes that follow the tag of an item without items of its own; false: it is none. */
static bool scalar_size(uint8_t tag, struct sl_rd *rd, uint64_t *ret)
{
    if (tag < MP_FIXMAP || tag >= 0xe0 || (tag >= MP_NIL && tag <= MP_TRUE && tag != MP_NEVER)) {
        *ret = 0;
    } else if ((tag & 0xe0) == MP_FIXSTR) {
        *ret = tag & 0x1f;
    } else if (tag == MP_BIN8 || tag == MP_STR8) {
        *ret = sl_rd_u8(rd);
    } else if (tag == MP_BIN16 || tag == MP_STR16) {
        *ret = sl_rd_u16be(rd);
    } else if (tag == MP_BIN32 || tag == MP_STR32) {
        *ret = sl_rd_u32be(rd);
    } else if (tag == MP_EXT8) { /* a byte of type stands before the bytes of an extension */
        *ret = (uint64_t)sl_rd_u8(rd) + 1;
    } else if (tag == MP_EXT16) {
        *ret = (uint64_t)sl_rd_u16be(rd) + 1;
    } else if (tag == MP_EXT32) {
        *ret = (uint64_t)sl_rd_u32be(rd) + 1;
    } else if (tag >= MP_FIXEXT1 && tag <= MP_FIXEXT16) {
        *ret = (UINT64_C(1) << (tag - MP_FIXEXT1)) + 1;
    } else if (tag >= MP_UINT8 && tag <= MP_INT64) {
        *ret = UINT64_C(1) << (tag & 3);
    } else if (tag == MP_FLOAT32 || tag == MP_FLOAT64) {
        *ret = tag == MP_FLOAT32 ? 4 : 8;
    } else {
        return false;
    }
    return true;
}

bool sl_mp_skip(struct sl_rd *rd)
{
    uint64_t left = 1; /* items still to come: a counter, so that depth costs no stack */
    while (left > 0 && !rd->is_short) {
        struct sl_rd at_tag = *rd;
        uint32_t count = 0;
        uint64_t size = 0;
        left--;
        if (scalar_size(sl_rd_u8(rd), rd, &size)) {
            (void)sl_rd_bytes(rd, size);
            continue;
        }
        *rd = at_tag;
        if (sl_mp_take_map(rd, &count)) {
            left += 2 * (uint64_t)count;
            continue;
        }
        *rd = at_tag;
        if (!sl_mp_take_array(rd, &count)) {
            return false;
        }
        left += count;
    }
    return !rd->is_short;
}

bool sl_mp_take_u64(struct sl_rd *rd, uint64_t *ret)
{
    int64_t v;
    uint8_t tag = sl_rd_u8(rd);
    switch (tag) {
    case MP_UINT8:
        v = sl_rd_u8(rd);
        break;
    case MP_UINT16:
        v = sl_rd_u16be(rd);
        break;
    case MP_UINT32:
        v = sl_rd_u32be(rd);
        break;
    case MP_UINT64: {
        uint64_t large = sl_rd_u64be(rd);
        if (rd->is_short) {
            return false;
        }
        *ret = large;
        return true;
    }
    case MP_INT8:
        v = (int8_t)sl_rd_u8(rd);
        break;
    case MP_INT16:
        v = (int16_t)sl_rd_u16be(rd);
        break;
    case MP_INT32:
        v = (int32_t)sl_rd_u32be(rd);
        break;
    case MP_INT64:
        v = (int64_t)sl_rd_u64be(rd);
        break;
    default:
        v = tag < 0x80 ? tag : -1;
    }
    if (v < 0 || rd->is_short) {
        return false;
    }
    *ret = (uint64_t)v;
    return true;
}

bool sl_mp_take_f32(struct sl_rd *rd, float *ret)
{
    if (sl_rd_u8(rd) != MP_FLOAT32) {
        return false;
    }
    uint32_t bits = sl_rd_u32be(rd);
    if (rd->is_short) {
        return false;
    }
    memcpy(ret, &bits, sizeof bits);
    return true;
}

bool sl_mp_is_array(const struct sl_rd *rd)
{
    struct sl_rd ahead = *rd;
    uint8_t tag = sl_rd_u8(&ahead);
    return !ahead.is_short &&
           ((tag & 0xf0) == MP_FIXARRAY || tag == MP_ARRAY16 || tag == MP_ARRAY32 || tag == MP_NIL);
}

static void add_u16be(struct sl_buf *out, uint16_t v)
{
    sl_buf_add_u16(out, __builtin_bswap16(v));
}

static void add_u32be(struct sl_buf *out, uint32_t v)
{
    sl_buf_add_u32(out, __builtin_bswap32(v));
}

void sl_mp_add_map(struct sl_buf *out, uint32_t count)
{
    if (count < 16) {
        sl_buf_add_u8(out, (uint8_t)(MP_FIXMAP | count));
    } else if (count <= UINT16_MAX) {
        sl_buf_add_u8(out, MP_MAP16);
        add_u16be(out, (uint16_t)count);
    } else {
        sl_buf_add_u8(out, MP_MAP32);
        add_u32be(out, count);
    }
}

void sl_mp_add_str(struct sl_buf *out, struct sl_str s)
{
    sl_assert(s.len <= UINT32_MAX);
    if (s.len < 32) {
        sl_buf_add_u8(out, (uint8_t)(MP_FIXSTR | s.len));
    } else if (s.len <= UINT8_MAX) {
        sl_buf_add_u8(out, MP_STR8);
        sl_buf_add_u8(out, (uint8_t)s.len);
    } else if (s.len <= UINT16_MAX) {
        sl_buf_add_u8(out, MP_STR16);
        add_u16be(out, (uint16_t)s.len);
    } else {
        sl_buf_add_u8(out, MP_STR32);
        add_u32be(out, (uint32_t)s.len);
    }
    sl_buf_add_str(out, s);
}

void sl_mp_add_u32(struct sl_buf *out, uint32_t v)
{
    sl_buf_add_u8(out, MP_UINT32);
    add_u32be(out, v);
}
