/* Segments, logs and side files as servers write them; see weaviate_write.h. */
#include "weaviate_write.h"

#include <stdlib.h>

#include "base/hash.h"

#define SPILL      (1u << 20) /* bytes gathered before a write */
#define HEADER     16
#define INDEX_NODE 36 /* of an index node without its key */
#define NONE       UINT32_MAX
#define TOKEN      24

struct entry {
    uint8_t key[SL_UUID_SIZE];
    uint64_t start, end; /* of the node in the file */
    uint8_t doc_id[8];
    bool has_secondary;
};

static void put_be32(struct sl_buf *out, uint32_t v)
{
    for (int shift = 24; shift >= 0; shift -= 8) {
        sl_buf_add_u8(out, (uint8_t)(v >> shift));
    }
}

/* Secondary key `which` (0 or 1) of a node that has them. Servers hash the token's first half with
 * murmur3; nobody who reads objects looks at it, so any hash will do. */
static struct sl_bytes secondary_key(const struct wv_style *style, const struct entry *e,
                                     uint32_t which, uint8_t scratch[TOKEN])
{
    if (!e->has_secondary || (which == 1 && !style->has_token)) {
        return SL_BYTES(NULL, 0);
    }
    if (which == 0) {
        return SL_BYTES(e->doc_id, 8);
    }
    sl_put_u64be(scratch, sl_xxh64(SL_BYTES(e->key, SL_UUID_SIZE)));
    memcpy(scratch + 8, e->key, SL_UUID_SIZE);
    return SL_BYTES(scratch, TOKEN);
}

static struct entry entry_of(const struct wv_style *style, const struct wv_node *node)
{
    struct entry e = {.has_secondary = !node->is_tombstone || style->has_tombstone_doc_id};
    memcpy(e.key, node->key, SL_UUID_SIZE);
    sl_put_u64(e.doc_id, node->doc_id);
    return e;
}

static void add_node(struct sl_buf *out, const struct wv_style *style, const struct wv_node *node,
                     const struct entry *e)
{
    uint8_t scratch[TOKEN];
    sl_buf_add_u8(out, node->is_tombstone);
    if (!node->is_tombstone) {
        sl_buf_add_u64(out, node->value.len);
        sl_buf_add(out, node->value);
    } else if (style->is_tombstone_timed) {
        sl_buf_add_u64(out, 9);
        sl_buf_add_u8(out, 1);
        sl_buf_add_u64(out, (uint64_t)node->deleted_ms);
    } else {
        sl_buf_add_u64(out, 0);
    }
    sl_buf_add_u32(out, SL_UUID_SIZE);
    sl_buf_add(out, SL_BYTES(node->key, SL_UUID_SIZE));
    for (uint32_t i = 0; i < style->secondary_count; i++) {
        struct sl_bytes key = secondary_key(style, e, i, scratch);
        sl_buf_add_u32(out, (uint32_t)key.len);
        sl_buf_add(out, key);
    }
}

/* ---- segment ---- */

static sl_rc spill(struct wv_segment *s, size_t at_least, struct sl_err *err)
{
    if (s->out.len < at_least) {
        return SL_OK;
    }
    SL_TRY(sl_buf_done(&s->out, err));
    if (s->style.version > 0) {
        s->crc = sl_crc32(s->crc, sl_buf_view(&s->out));
    }
    SL_TRY(sl_file_append(s->file, sl_buf_view(&s->out), err));
    sl_buf_clear(&s->out);
    return SL_OK;
}

sl_rc wv_segment_begin(struct wv_segment *s, const char *path, const struct wv_style *style,
                       uint16_t level, struct sl_err *err)
{
    static const uint8_t room[HEADER];
    *s = (struct wv_segment){.style = *style, .level = level, .at = HEADER};
    SL_TRY(sl_file_open(path, SL_FILE_REPLACE, &s->file, err));
    return sl_file_append(s->file, SL_BYTES(room, HEADER), err);
}

sl_rc wv_segment_add(struct wv_segment *s, const struct wv_node *node, struct sl_err *err)
{
    struct entry e = entry_of(&s->style, node);
    size_t before = s->out.len;
    add_node(&s->out, &s->style, node, &e);
    e.start = s->at;
    s->at += s->out.len - before;
    e.end = s->at;
    sl_buf_add(&s->entries, SL_BYTES(&e, sizeof(e)));
    return spill(s, SPILL, err);
}

struct tree_node {
    uint32_t left, right; /* NONE: no child */
    uint64_t at;          /* in the index */
};

/* The middle one is the root, so that no path is longer than it must be. */
static uint32_t grow(struct tree_node *tree, uint32_t lo, uint32_t hi)
{
    if (lo == hi) {
        return NONE;
    }
    uint32_t middle = lo + (hi - lo - 1) / 2;
    tree[middle].left = grow(tree, lo, middle);
    tree[middle].right = grow(tree, middle + 1, hi);
    return middle;
}

static uint32_t walk_deep(const struct tree_node *tree, uint32_t root, uint32_t *order,
                          uint32_t count)
{
    if (root == NONE) {
        return count;
    }
    order[count] = root;
    count = walk_deep(tree, tree[root].left, order, count + 1);
    return walk_deep(tree, tree[root].right, order, count);
}

static void walk_broad(const struct tree_node *tree, uint32_t root, uint32_t *order)
{
    uint32_t tail = 0;
    order[tail++] = root;
    for (uint32_t head = 0; head < tail; head++) {
        uint32_t children[2] = {tree[order[head]].left, tree[order[head]].right};
        for (int i = 0; i < 2; i++) {
            if (children[i] != NONE) {
                order[tail++] = children[i];
            }
        }
    }
}

/* which: -1 the primary key, else the secondary. */
static struct sl_bytes index_key(const struct wv_style *style, const struct entry *e, int which,
                                 uint8_t scratch[TOKEN])
{
    return which < 0 ? SL_BYTES(e->key, SL_UUID_SIZE)
                     : secondary_key(style, e, (uint32_t)which, scratch);
}

static uint64_t index_size(const struct wv_segment *s, int which)
{
    const struct entry *entries = (const void *)s->entries.ptr;
    uint64_t size = 0;
    uint8_t scratch[TOKEN];
    for (size_t i = 0; i < s->entries.len / sizeof(*entries); i++) {
        size += INDEX_NODE + index_key(&s->style, &entries[i], which, scratch).len;
    }
    return size;
}

static sl_rc add_index(struct wv_segment *s, int which, struct sl_err *err)
{
    const struct entry *entries = (const void *)s->entries.ptr;
    uint32_t count = (uint32_t)(s->entries.len / sizeof(*entries));
    uint8_t scratch[TOKEN];
    SL_AUTO_MEM(struct tree_node) tree = sl_alloc_zero(count + 1u, sizeof(*tree));
    SL_AUTO_MEM(uint32_t) order = sl_alloc_zero(count + 1u, sizeof(*order));
    if (tree == NULL || order == NULL) {
        return SL_NOMEM(err);
    }
    uint32_t root = grow(tree, 0, count);
    if (s->style.is_depth_first) {
        (void)walk_deep(tree, root, order, 0);
    } else if (count > 0) {
        walk_broad(tree, root, order);
    }
    uint64_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        tree[order[i]].at = at;
        at += INDEX_NODE + index_key(&s->style, &entries[order[i]], which, scratch).len;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct tree_node *n = &tree[order[i]];
        const struct entry *e = &entries[order[i]];
        struct sl_bytes key = index_key(&s->style, e, which, scratch);
        sl_buf_add_u32(&s->out, (uint32_t)key.len);
        sl_buf_add(&s->out, key);
        sl_buf_add_u64(&s->out, e->start);
        sl_buf_add_u64(&s->out, e->end);
        sl_buf_add_u64(&s->out, n->left == NONE ? UINT64_MAX : tree[n->left].at);
        sl_buf_add_u64(&s->out, n->right == NONE ? UINT64_MAX : tree[n->right].at);
        SL_TRY(spill(s, SPILL, err));
    }
    return SL_OK;
}

static int by_doc_id(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return sl_bytes_cmp(SL_BYTES(x->doc_id, x->has_secondary ? 8 : 0),
                        SL_BYTES(y->doc_id, y->has_secondary ? 8 : 0));
}

static int by_token(const void *a, const void *b)
{
    static const struct wv_style style = {.has_token = true};
    uint8_t left[TOKEN], right[TOKEN];
    return sl_bytes_cmp(secondary_key(&style, a, 1, left), secondary_key(&style, b, 1, right));
}

static sl_rc add_indexes(struct wv_segment *s, struct sl_err *err)
{
    static int (*const orders[2])(const void *, const void *) = {by_doc_id, by_token};
    uint64_t at = s->at + 8ull * s->style.secondary_count + index_size(s, -1);
    for (int i = 0; i < s->style.secondary_count; i++) {
        sl_buf_add_u64(&s->out, at);
        at += index_size(s, i);
    }
    SL_TRY(add_index(s, -1, err));
    for (int i = 0; i < s->style.secondary_count; i++) {
        if (s->entries.len > 0) {
            qsort(s->entries.ptr, s->entries.len / sizeof(struct entry), sizeof(struct entry),
                  orders[i]);
        }
        SL_TRY(add_index(s, i, err));
    }
    return spill(s, 0, err);
}

sl_rc wv_segment_end(struct wv_segment *s, struct sl_err *err)
{
    SL_TRY(sl_buf_done(&s->entries, err));
    SL_TRY(add_indexes(s, err));
    sl_buf_add_u16(&s->out, s->level);
    sl_buf_add_u16(&s->out, s->style.version);
    sl_buf_add_u16(&s->out, s->style.secondary_count);
    sl_buf_add_u16(&s->out, 0); /* strategy: replace */
    sl_buf_add_u64(&s->out, s->at);
    SL_TRY(sl_buf_done(&s->out, err));
    SL_TRY(sl_file_pwrite(s->file, 0, sl_buf_view(&s->out), err));
    if (s->style.version > 0) { /* a compaction knows its header last, so it is summed last */
        uint32_t crc = sl_crc32(s->crc, sl_buf_view(&s->out));
        sl_buf_clear(&s->out);
        put_be32(&s->out, crc);
        SL_TRY(sl_file_append(s->file, sl_buf_view(&s->out), err));
    }
    wv_segment_fini(s);
    return SL_OK;
}

void wv_segment_fini(struct wv_segment *s)
{
    sl_file_close(s->file);
    sl_buf_fini(&s->out);
    sl_buf_fini(&s->entries);
    *s = (struct wv_segment){0};
}

/* ---- log ---- */

void wv_log_add(struct wv_log *log, const struct wv_style *style, const struct wv_node *node)
{
    struct entry e = entry_of(style, node);
    size_t begun = log->out.len;
    sl_buf_add_u8(&log->out, 0);                         /* type: replace */
    sl_buf_add_u8(&log->out, style->is_old_log ? 0 : 1); /* version */
    if (style->is_old_log) {
        log->crc = sl_crc32(log->crc, SL_BYTES(log->out.ptr + begun, 2));
        add_node(&log->out, style, node, &e);
        return;
    }
    sl_buf_add_u32(&log->out, 0);
    add_node(&log->out, style, node, &e);
    if (!log->out.is_failed) {
        sl_put_u32(log->out.ptr + begun + 2, (uint32_t)(log->out.len - begun - 6));
        log->crc = sl_crc32(log->crc, SL_BYTES(log->out.ptr + begun, log->out.len - begun));
        put_be32(&log->out, log->crc);
    }
}

/* ---- side files ---- */

sl_rc wv_cna_write(const char *path, int64_t net_additions, struct sl_err *err)
{
    uint8_t bytes[12];
    sl_put_u64(bytes + 4, (uint64_t)net_additions);
    sl_put_u32(bytes, sl_crc32(0, SL_BYTES(bytes + 4, 8)));
    SL_AUTO_PTR(sl_file) f = NULL;
    SL_TRY(sl_file_open(path, SL_FILE_REPLACE, &f, err));
    return sl_file_append(f, SL_BYTES(bytes, sizeof(bytes)), err);
}
