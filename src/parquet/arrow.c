/* The value of the key ARROW:schema: what Arrow calls the columns, so that its readers need not
 * guess. Made from the nodes that the footer is made from, so the two cannot disagree.
 *
 * An encapsulated IPC message in base64: its flatbuffer is written front to back, a table before
 * what it points to, each pointer filled in when its target is reached. All fields of a table lie
 * in cells of four bytes, which is all the alignment that these tables need; a shorter number is
 * the first bytes of its cell. Pure. Source: Arrow columnar format 1.5, "Encapsulated message
 * format", Schema.fbs and Message.fbs; FlatBuffers, "Internals". */
#include <stdio.h>

#include "base/str.h"
#include "parquet/parquet_int.h"

enum { METADATA_V5 = 4, HEADER_SCHEMA = 1 };
enum arrow_type { /* union Type of Schema.fbs */
                  ARROW_INT = 2,
                  ARROW_FLOAT = 3,
                  ARROW_BINARY = 4,
                  ARROW_UTF8 = 5,
                  ARROW_BOOL = 6,
                  ARROW_TIMESTAMP = 10,
                  ARROW_LIST = 12,
                  ARROW_STRUCT = 13,
                  ARROW_FIXED = 15,
};
enum { HALF, SINGLE, DOUBLE }; /* Precision */

/* Fields of a table by number; `absent` has a bit for each one that is left out. */
struct cells {
    uint32_t value[8];
    uint32_t count, absent;
};

static void put_at(struct sl_buf *out, size_t at, uint32_t v)
{
    for (size_t i = 0; i < sizeof(v) && !out->is_failed; i++) {
        out->ptr[at + i] = (uint8_t)(v >> 8 * i);
    }
}

/* What is written next is what the pointer at `cell` means. */
static void point(struct sl_buf *out, size_t cell)
{
    put_at(out, cell, (uint32_t)(out->len - cell));
}

static void align(struct sl_buf *out, size_t to)
{
    while (out->len % to != 0 && !out->is_failed) {
        sl_buf_add_u8(out, 0);
    }
}

/* The target of `cell`: its vtable, then the table. Returns where its field 0 lies. */
static size_t add_table(struct sl_buf *out, size_t cell, struct cells c)
{
    uint16_t vtable_size = (uint16_t)(4 + 2 * c.count);
    if (c.count % 2 != 0) {
        sl_buf_add_u16(out, 0);
    }
    sl_buf_add_u16(out, vtable_size);
    sl_buf_add_u16(out, (uint16_t)(4 + 4 * c.count));
    for (uint32_t i = 0; i < c.count; i++) {
        sl_buf_add_u16(out, (c.absent >> i & 1) != 0 ? 0 : (uint16_t)(4 + 4 * i));
    }
    point(out, cell);
    sl_buf_add_u32(out, vtable_size);
    for (uint32_t i = 0; i < c.count; i++) {
        sl_buf_add_u32(out, c.value[i]);
    }
    return out->len - 4 * (size_t)c.count;
}

static void add_string(struct sl_buf *out, size_t cell, struct sl_str text)
{
    point(out, cell);
    sl_buf_add_u32(out, (uint32_t)text.len);
    sl_buf_add_str(out, text);
    sl_buf_add_u8(out, 0);
    align(out, 4);
}

/* The target of `cell`: so many pointers to be filled in. Returns where the first one lies. */
static size_t add_vector(struct sl_buf *out, size_t cell, uint32_t count)
{
    point(out, cell);
    sl_buf_add_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        sl_buf_add_u32(out, 0);
    }
    return out->len - 4 * (size_t)count;
}

static enum arrow_type type_of(const struct sl_pq_node *node)
{
    static const enum arrow_type plain[] = {
        [SL_PQ_GROUP] = ARROW_STRUCT, [SL_PQ_BOOLEAN] = ARROW_BOOL,
        [SL_PQ_INT64] = ARROW_INT,    [SL_PQ_FLOAT] = ARROW_FLOAT,
        [SL_PQ_DOUBLE] = ARROW_FLOAT, [SL_PQ_BYTE_ARRAY] = ARROW_BINARY,
        [SL_PQ_FIXED] = ARROW_FIXED};
    switch (node->annotation) {
    case SL_PQ_NONE:
    case SL_PQ_INT_64:
    case SL_PQ_UUID:
        return plain[node->type];
    case SL_PQ_STRING:
    case SL_PQ_JSON:
        return ARROW_UTF8;
    case SL_PQ_LIST:
        return ARROW_LIST;
    case SL_PQ_FLOAT16:
        return ARROW_FLOAT;
    case SL_PQ_TIME_MS:
    case SL_PQ_TIME_US:
    case SL_PQ_TIME_NS:
        return ARROW_TIMESTAMP;
    }
    return plain[node->type];
}

static uint32_t precision_of(const struct sl_pq_node *node)
{
    return node->type == SL_PQ_DOUBLE ? DOUBLE : node->type == SL_PQ_FLOAT ? SINGLE : HALF;
}

static void add_type(struct sl_buf *out, size_t cell, const struct sl_pq_node *node)
{
    switch (type_of(node)) {
    case ARROW_INT: /* bits, signed */
        add_table(out, cell, (struct cells){{64, 1}, .count = 2});
        break;
    case ARROW_FLOAT:
        add_table(out, cell, (struct cells){{precision_of(node)}, .count = 1});
        break;
    case ARROW_FIXED:
        add_table(out, cell, (struct cells){{node->type_len}, .count = 1});
        break;
    case ARROW_TIMESTAMP: { /* unit (0 is seconds), time zone */
        uint32_t unit = 1 + (uint32_t)(node->annotation - SL_PQ_TIME_MS);
        size_t at = add_table(out, cell, (struct cells){{unit}, .count = 2});
        add_string(out, at + 4, SL_STR("UTC"));
        break;
    }
    case ARROW_BINARY:
    case ARROW_UTF8:
    case ARROW_BOOL:
    case ARROW_LIST:
    case ARROW_STRUCT:
        add_table(out, cell, (struct cells){0});
        break;
    }
}

/* Beside what the type says: the id, which some readers take from here alone, and that 16 bytes
 * are a UUID. */
static uint32_t metadata_of(const struct sl_pq_node *node, char id[16], struct sl_pq_kv pairs[3])
{
    uint32_t count = 0;
    if (node->annotation == SL_PQ_UUID) {
        pairs[count++] = (struct sl_pq_kv){SL_STR("ARROW:extension:name"), SL_STR("arrow.uuid")};
        pairs[count++] = (struct sl_pq_kv){SL_STR("ARROW:extension:metadata"), SL_STR("")};
    }
    if (node->field_id != 0) {
        snprintf(id, 16, "%d", node->field_id);
        pairs[count++] = (struct sl_pq_kv){SL_STR("PARQUET:field_id"), sl_str_from(id)};
    }
    return count;
}

static void add_metadata(struct sl_buf *out, size_t cell, const struct sl_pq_kv *pairs,
                         uint32_t count)
{
    size_t vector = add_vector(out, cell, count);
    for (uint32_t i = 0; i < count; i++) {
        size_t at = add_table(out, vector + 4 * (size_t)i, (struct cells){.count = 2});
        add_string(out, at, pairs[i].key);
        add_string(out, at + 4, pairs[i].value);
    }
}

static const struct sl_pq_node *add_fields(struct sl_buf *out, size_t cell,
                                           const struct sl_pq_node *nodes, uint32_t count);

/* Returns the node behind it and all below it. No deeper than SL_PQ_DEPTH_MAX. */
static const struct sl_pq_node *add_field(struct sl_buf *out, size_t cell,
                                          const struct sl_pq_node *node)
{
    enum { NAME, NULLABLE, TYPE_TYPE, TYPE, DICTIONARY, CHILDREN, METADATA, FIELDS };
    char id[16];
    struct sl_pq_kv pairs[3];
    uint32_t pair_count = metadata_of(node, id, pairs);
    struct cells c = {.count = FIELDS, .absent = 1U << DICTIONARY};
    c.absent |= pair_count == 0 ? 1U << METADATA : 0;
    c.value[NULLABLE] = node->repetition == SL_PQ_OPTIONAL;
    c.value[TYPE_TYPE] = type_of(node);
    size_t at = add_table(out, cell, c);
    add_string(out, at + 4 * NAME, sl_str_from(node->name));
    add_type(out, at + 4 * TYPE, node);
    if (pair_count > 0) {
        add_metadata(out, at + 4 * METADATA, pairs, pair_count);
    }
    bool is_list = node->annotation == SL_PQ_LIST; /* its repeated group is no field of Arrow's */
    return add_fields(out, at + 4 * CHILDREN, node + (is_list ? 2 : 1), node->child_count);
}

static const struct sl_pq_node *add_fields(struct sl_buf *out, size_t cell,
                                           const struct sl_pq_node *nodes, uint32_t count)
{
    size_t vector = add_vector(out, cell, count);
    for (uint32_t i = 0; i < count; i++) {
        nodes = add_field(out, vector + 4 * (size_t)i, nodes);
    }
    return nodes;
}

void sli_arrow_schema_write(const struct sl_pq_opts *opts, const struct sl_pq_kv *kvs,
                            uint32_t kv_count, struct sl_buf *out)
{
    enum { ENDIANNESS, COLUMNS, METADATA, FIELDS }; /* 0 is little-endian */
    uint32_t no_kvs = kv_count == 0;
    SL_AUTO(sl_buf) message = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) body = SL_BUF_EMPTY;
    sl_buf_add_u32(&body, 0); /* to the root table */
    size_t root = add_table(&body, 0, (struct cells){{METADATA_V5, HEADER_SCHEMA}, .count = 3});
    size_t schema = add_table(&body, root + 4 * 2,
                              (struct cells){.count = FIELDS, .absent = no_kvs << METADATA});
    add_fields(&body, schema + 4 * COLUMNS, opts->nodes, sli_top_count(opts));
    if (kv_count > 0) {
        add_metadata(&body, schema + 4 * METADATA, kvs, kv_count);
    }
    align(&body, 8);
    sl_buf_add_u32(&message, UINT32_MAX); /* continuation */
    sl_buf_add_u32(&message, (uint32_t)body.len);
    sl_buf_add(&message, sl_buf_view(&body));
    out->is_failed |= body.is_failed || message.is_failed;
    sl_base64_add(out, sl_buf_view(&message));
}
