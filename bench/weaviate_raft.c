/* The Raft store as far as a schema needs it: a bolt file whose bucket "logs" holds every command
 * in one leaf page; see weaviate_write.h.
 *
 * Pages: two metas, an empty free list, the root leaf with the buckets, the leaf of the log with as
 * many overflow pages as it takes. A real file has branch pages once it grows; those are for the
 * reader's own tests. */
#include "weaviate_write.h"

#define PAGE         4096
#define PAGE_HEADER  16
#define PAGE_LEAF    0x02
#define PAGE_META    0x04
#define PAGE_FREE    0x10
#define ELEMENT      16
#define IS_BUCKET    1
#define FREE_ID      2
#define ROOT_ID      3
#define LOGS_ID      4
#define BOLT_MAGIC   0xED0CDAEDu
#define BOLT_VERSION 2

struct element {
    uint32_t flags;
    struct sl_bytes key, value;
};

static void add_page_header(struct sl_buf *out, uint64_t id, uint16_t flags, uint16_t count,
                            uint32_t overflow)
{
    sl_buf_add_u64(out, id);
    sl_buf_add_u16(out, flags);
    sl_buf_add_u16(out, count);
    sl_buf_add_u32(out, overflow);
}

static void pad_page(struct sl_buf *out)
{
    while (!out->is_failed && out->len % PAGE != 0) {
        sl_buf_add_u8(out, 0);
    }
}

/* Keys ascending. id 0: a bucket small enough to lie inside its parent. */
static void add_leaf(struct sl_buf *out, uint64_t id, const struct element *list, uint32_t count)
{
    uint64_t size = PAGE_HEADER + (uint64_t)ELEMENT * count;
    uint64_t pos = (uint64_t)ELEMENT * count;
    for (uint32_t i = 0; i < count; i++) {
        size += list[i].key.len + list[i].value.len;
    }
    add_page_header(out, id, PAGE_LEAF, (uint16_t)count, (uint32_t)((size - 1) / PAGE));
    for (uint32_t i = 0; i < count; i++) {
        sl_buf_add_u32(out, list[i].flags);
        sl_buf_add_u32(out, (uint32_t)(pos - (uint64_t)ELEMENT * i));
        sl_buf_add_u32(out, (uint32_t)list[i].key.len);
        sl_buf_add_u32(out, (uint32_t)list[i].value.len);
        pos += list[i].key.len + list[i].value.len;
    }
    for (uint32_t i = 0; i < count; i++) {
        sl_buf_add(out, list[i].key);
        sl_buf_add(out, list[i].value);
    }
    if (id != 0) {
        pad_page(out);
    }
}

static uint64_t fnv1a64(struct sl_bytes b)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < b.len; i++) {
        h = (h ^ b.ptr[i]) * 0x100000001b3u;
    }
    return h;
}

static void add_meta(struct sl_buf *out, uint64_t id, uint64_t end_id)
{
    add_page_header(out, id, PAGE_META, 0, 0);
    size_t begun = out->len;
    sl_buf_add_u32(out, BOLT_MAGIC);
    sl_buf_add_u32(out, BOLT_VERSION);
    sl_buf_add_u32(out, PAGE);
    sl_buf_add_u32(out, 0);
    sl_buf_add_u64(out, ROOT_ID);
    sl_buf_add_u64(out, 0); /* sequence */
    sl_buf_add_u64(out, FREE_ID);
    sl_buf_add_u64(out, end_id);
    sl_buf_add_u64(out, 1 + id); /* transaction */
    if (!out->is_failed) {
        sl_buf_add_u64(out, fnv1a64(SL_BYTES(out->ptr + begun, out->len - begun)));
    }
    pad_page(out);
}

/* ---- entries ---- */

static void add_raw(struct sl_buf *out, struct sl_bytes b)
{
    if (b.len < 32) {
        sl_buf_add_u8(out, (uint8_t)(0xa0 | b.len));
    } else if (b.len < 65536) {
        sl_buf_add_u8(out, 0xda);
        sl_buf_add_u8(out, (uint8_t)(b.len >> 8));
        sl_buf_add_u8(out, (uint8_t)b.len);
    } else {
        sl_buf_add_u8(out, 0xdb);
        for (int shift = 24; shift >= 0; shift -= 8) {
            sl_buf_add_u8(out, (uint8_t)(b.len >> shift));
        }
    }
    sl_buf_add(out, b);
}

static void add_text(struct sl_buf *out, const char *text)
{
    add_raw(out, sl_str_bytes(sl_str_from(text)));
}

static void add_number(struct sl_buf *out, uint64_t v)
{
    if (v < 128) {
        sl_buf_add_u8(out, (uint8_t)v);
    } else {
        sl_buf_add_u8(out, 0xcf);
        sl_buf_add_u64be(out, v);
    }
}

void wv_proto_varint(struct sl_buf *out, uint32_t field, uint64_t v)
{
    sl_buf_add_u8(out, (uint8_t)(field << 3));
    for (; v >= 128; v >>= 7) {
        sl_buf_add_u8(out, (uint8_t)(v | 128));
    }
    sl_buf_add_u8(out, (uint8_t)v);
}

void wv_proto_bytes(struct sl_buf *out, uint32_t field, struct sl_bytes b)
{
    size_t at = out->len;
    wv_proto_varint(out, field, b.len);
    if (!out->is_failed) {
        out->ptr[at] |= 2;
    }
    sl_buf_add(out, b);
}

static void add_entry(struct sl_buf *out, const struct wv_command *c, uint64_t index)
{
    /* Go's binary time: version, seconds since year 1, nanoseconds, zone UTC */
    static const uint8_t time[15] = {1, 0, 0, 0, 0x0e, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    SL_AUTO(sl_buf) data = SL_BUF_EMPTY;
    wv_proto_varint(&data, 1, c->type);
    wv_proto_bytes(&data, 2, sl_str_bytes(sl_str_from(c->class_name)));
    if (c->body.len > 0) {
        wv_proto_bytes(&data, 4, sl_buf_view(&c->body));
    }
    sl_buf_add_u8(out, 0x86);
    add_text(out, "AppendedAt");
    add_raw(out, SL_BYTES(time, sizeof(time)));
    add_text(out, "Data");
    add_raw(out, sl_buf_view(&data));
    add_text(out, "Extensions");
    sl_buf_add_u8(out, 0xc0);
    add_text(out, "Index");
    add_number(out, index);
    add_text(out, "Term");
    add_number(out, 2);
    add_text(out, "Type");
    add_number(out, 0); /* a command */
}

static sl_rc add_logs(struct sl_buf *out, const struct wv_command *list, uint32_t count,
                      struct sl_err *err)
{
    SL_AUTO_MEM(struct element) elements = sl_alloc_zero(count + 1u, sizeof(*elements));
    SL_AUTO_MEM(uint8_t) keys = sl_alloc_zero(count + 1u, 8);
    SL_AUTO(sl_buf) values = SL_BUF_EMPTY;
    if (elements == NULL || keys == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        size_t before = values.len;
        add_entry(&values, &list[i], i + 1u);
        sl_put_u64be(keys + 8 * (size_t)i, i + 1u);
        elements[i].key = SL_BYTES(keys + 8 * (size_t)i, 8);
        elements[i].value.len = values.len - before;
    }
    SL_TRY(sl_buf_done(&values, err));
    const uint8_t *at = values.ptr;
    for (uint32_t i = 0; i < count; i++) {
        elements[i].value.ptr = at;
        at += elements[i].value.len;
    }
    add_leaf(out, LOGS_ID, elements, count);
    return sl_buf_done(out, err);
}

sl_rc wv_raft_write(const char *path, const struct wv_command *list, uint32_t count,
                    struct sl_err *err)
{
    static const uint8_t term[8] = {0, 0, 0, 0, 0, 0, 0, 2};
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) logs = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) conf_value = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) logs_value = SL_BUF_EMPTY;
    SL_TRY(add_logs(&logs, list, count, err));
    uint64_t end_id = LOGS_ID + logs.len / PAGE;
    struct element conf = {0, sl_str_bytes(SL_STR("CurrentTerm")), SL_BYTES(term, 8)};
    sl_buf_add_u64(&conf_value, 0); /* inside */
    sl_buf_add_u64(&conf_value, 0);
    add_leaf(&conf_value, 0, &conf, 1);
    sl_buf_add_u64(&logs_value, LOGS_ID);
    sl_buf_add_u64(&logs_value, 0);
    SL_TRY(sl_buf_done(&conf_value, err));
    SL_TRY(sl_buf_done(&logs_value, err));
    struct element buckets[2] = {
        {IS_BUCKET, sl_str_bytes(SL_STR("conf")), sl_buf_view(&conf_value)},
        {IS_BUCKET, sl_str_bytes(SL_STR("logs")), sl_buf_view(&logs_value)},
    };
    add_meta(&out, 0, end_id);
    add_meta(&out, 1, end_id);
    add_page_header(&out, FREE_ID, PAGE_FREE, 0, 0);
    pad_page(&out);
    add_leaf(&out, ROOT_ID, buckets, 2);
    sl_buf_add(&out, sl_buf_view(&logs));
    SL_TRY(sl_buf_done(&out, err));
    SL_AUTO_PTR(sl_file) f = NULL;
    SL_TRY(sl_file_open(path, SL_FILE_REPLACE, &f, err));
    return sl_file_append(f, sl_buf_view(&out), err);
}
