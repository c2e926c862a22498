/* Reads bbolt's pages; see bolt.h. A walk holds the pages from the root down to the one at work. */
#include "lsm/bolt.h"

#include "base/mem.h"

#define META_MAGIC     0xed0cdaed
#define META_VERSION   2
#define META_SIZE      80 /* page header, then 56 bytes and their checksum */
#define META_SUMMED    56
#define PAGE_HEADER    16
#define PAGE_SIZE_MIN  1024
#define PAGE_SIZE_MAX  (1 << 16)    /* the largest page of memory a server runs on */
#define PAGE_BYTES_MAX (256u << 20) /* with overflow: no raft entry comes near */
#define ITEM_HEADER    16
#define DEPTH_MAX      32 /* pages hold at least two keys, so 2^31 pages */
#define WALKS_MAX      4  /* times the whole file may be read per open */

enum { PAGE_BRANCH = 1, PAGE_LEAF = 2 };
enum { ITEM_BUCKET = 1 };

static sl_rc damaged(const struct sl_bolt *b, uint64_t page, size_t at, const char *what,
                     struct sl_err *err)
{
    return SL_FAIL(err, SL_ECORRUPT, "%s: damaged at offset %llu: %s", b->blob->name,
                   (unsigned long long)(page * b->page_size + at), what);
}

/* ---- meta pages ---- */

static uint64_t fnv1a(struct sl_bytes b)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < b.len; i++) {
        h = (h ^ b.ptr[i]) * UINT64_C(0x100000001b3);
    }
    return h;
}

static bool is_page_size(uint32_t size)
{
    return size >= PAGE_SIZE_MIN && size <= PAGE_SIZE_MAX && (size & (size - 1)) == 0;
}

/* The meta page at offset; false when there is none or it is torn. */
static bool read_meta(const struct sl_blob *blob, uint64_t offset, struct sl_bolt *ret)
{
    uint8_t raw[META_SIZE];
    if (offset > blob->size || blob->size - offset < sizeof(raw) ||
        sl_blob_pread(blob, offset, raw, sizeof(raw), NULL) != SL_OK) {
        return false;
    }
    struct sl_rd rd = sl_rd_over(SL_BYTES(raw, sizeof(raw)));
    (void)sl_rd_bytes(&rd, PAGE_HEADER);
    struct sl_bytes summed = {raw + PAGE_HEADER, META_SUMMED};
    uint32_t magic = sl_rd_u32(&rd), version = sl_rd_u32(&rd);
    *ret = (struct sl_bolt){.blob = blob, .page_size = sl_rd_u32(&rd)};
    (void)sl_rd_u32(&rd); /* flags: none are in use */
    ret->root = sl_rd_u64(&rd);
    (void)sl_rd_u64(&rd); /* sequence of the root bucket */
    (void)sl_rd_u64(&rd); /* page of the list of free pages */
    ret->page_count = sl_rd_u64(&rd);
    ret->txid = sl_rd_u64(&rd);
    return magic == META_MAGIC && version == META_VERSION && is_page_size(ret->page_size) &&
           sl_rd_u64(&rd) == fnv1a(summed);
}

/* The meta page with the higher transaction. Where the first is torn the size of a page is not
 * known, and the second is looked for at each. */
static bool newest_meta(const struct sl_blob *blob, struct sl_bolt *ret)
{
    struct sl_bolt first, second;
    bool has_first = read_meta(blob, 0, &first), has_second = false;
    uint32_t lo = has_first ? first.page_size : PAGE_SIZE_MIN;
    uint32_t hi = has_first ? first.page_size : PAGE_SIZE_MAX;
    for (uint32_t size = lo; size <= hi && !has_second; size *= 2) {
        has_second = read_meta(blob, size, &second) && second.page_size == size;
    }
    *ret = has_second && (!has_first || second.txid > first.txid) ? second : first;
    return has_first || has_second;
}

sl_rc sl_bolt_open(const struct sl_blob *blob, struct sl_bolt *ret, struct sl_err *err)
{
    struct sl_bolt b;
    if (!newest_meta(blob, &b)) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "%s: damaged at offset 0: neither of its two meta pages is whole",
                       blob->name);
    }
    b.budget = WALKS_MAX * (SL_MIN(b.page_count, blob->size / b.page_size) + 1);
    *ret = b;
    return SL_OK;
}

bool sl_bolt_is_current(const struct sl_bolt *b)
{
    struct sl_bolt now;
    return newest_meta(b->blob, &now) && now.txid == b->txid;
}

/* ---- pages ---- */

struct walk {
    struct sl_bolt *bolt;
    sl_bolt_fn *fn;
    void *arg;
};

/* The bytes of a page with what it overflows into; *ret is the caller's to free. */
static sl_rc read_page(struct sl_bolt *b, uint64_t page, uint8_t **ret, size_t *ret_len,
                       struct sl_err *err)
{
    if (page < 2 || page >= b->page_count || page >= b->blob->size / b->page_size) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "%s: damaged or cut off: it points to page %llu of %llu, and %llu are there",
                       b->blob->name, (unsigned long long)page, (unsigned long long)b->page_count,
                       (unsigned long long)(b->blob->size / b->page_size));
    }
    uint64_t at = page * b->page_size;
    if (b->budget-- == 0) {
        b->budget = 0;
        return damaged(b, page, 0, "its pages form a loop", err);
    }
    SL_AUTO_MEM(uint8_t) bytes = sl_alloc(b->page_size);
    if (bytes == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sl_blob_pread(b->blob, at, bytes, b->page_size, err));
    struct sl_rd rd = sl_rd_over(SL_BYTES(bytes, b->page_size));
    uint64_t id = sl_rd_u64(&rd);
    (void)sl_rd_u32(&rd); /* flags, count */
    uint64_t len = ((uint64_t)sl_rd_u32(&rd) + 1) * b->page_size;
    if (id != page) {
        return damaged(b, page, 0, "the page says it is another one", err);
    }
    if (len > PAGE_BYTES_MAX || len > b->blob->size - at) {
        return damaged(b, page, 12, "the page is longer than the file", err);
    }
    if (len > b->page_size) {
        uint8_t *grown = sl_realloc(bytes, (size_t)len);
        if (grown == NULL) {
            return SL_NOMEM(err);
        }
        bytes = grown;
        SL_TRY(sl_blob_pread(b->blob, at + b->page_size, bytes + b->page_size,
                             (size_t)len - b->page_size, err));
    }
    *ret = sl_move(&bytes);
    *ret_len = (size_t)len;
    return SL_OK;
}

/* len bytes at `at` of a page; short when the page ends before. */
static struct sl_bytes slice(struct sl_bytes page, uint64_t at, uint64_t len, bool *is_short)
{
    struct sl_rd rd = sl_rd_over(page);
    (void)sl_rd_bytes(&rd, at);
    struct sl_bytes b = sl_rd_bytes(&rd, len);
    *is_short |= rd.is_short;
    return b;
}

static sl_rc walk_leaf(const struct walk *w, uint64_t page, struct sl_bytes bytes, uint32_t count,
                       struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(bytes);
    (void)sl_rd_bytes(&rd, PAGE_HEADER);
    struct sl_bytes last = {NULL, 0};
    for (uint32_t i = 0; i < count; i++) {
        size_t at = rd.at;
        uint32_t flags = sl_rd_u32(&rd), pos = sl_rd_u32(&rd);
        uint32_t key_len = sl_rd_u32(&rd), value_len = sl_rd_u32(&rd);
        bool is_short = rd.is_short;
        struct sl_bolt_item item = {.is_bucket = flags == ITEM_BUCKET};
        item.key = slice(bytes, at + (uint64_t)pos, key_len, &is_short);
        item.value = slice(bytes, at + (uint64_t)pos + key_len, value_len, &is_short);
        if (is_short || flags > ITEM_BUCKET) {
            return damaged(w->bolt, page, at, "an item does not fit its page", err);
        }
        if (i > 0 && sl_bytes_cmp(last, item.key) >= 0) {
            return damaged(w->bolt, page, at, "keys are out of order", err);
        }
        last = item.key;
        SL_TRY(w->fn(w->arg, &item, err));
    }
    return SL_OK;
}

static sl_rc walk_page(const struct walk *w, uint64_t page, uint32_t depth, struct sl_err *err);

static sl_rc walk_branch(const struct walk *w, uint64_t page, struct sl_bytes bytes, uint32_t count,
                         uint32_t depth, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(bytes);
    (void)sl_rd_bytes(&rd, PAGE_HEADER);
    for (uint32_t i = 0; i < count; i++) {
        (void)sl_rd_u64(&rd); /* the key that starts the child: a walk needs none */
        uint64_t child = sl_rd_u64(&rd);
        if (rd.is_short) {
            return damaged(w->bolt, page, rd.at, "a branch does not fit its page", err);
        }
        SL_TRY(walk_page(w, child, depth + 1, err));
    }
    return SL_OK;
}

/* page: where the bytes come from, for errors only. */
static sl_rc walk_bytes(const struct walk *w, uint64_t page, struct sl_bytes bytes, uint32_t depth,
                        struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(bytes);
    (void)sl_rd_u64(&rd);
    uint16_t flags = sl_rd_u16(&rd), count = sl_rd_u16(&rd);
    if (rd.is_short || (flags != PAGE_LEAF && flags != PAGE_BRANCH) || depth > DEPTH_MAX ||
        (flags == PAGE_BRANCH && (count == 0 || depth == 0))) {
        return damaged(w->bolt, page, 8, "it is no page of a tree", err);
    }
    return flags == PAGE_LEAF ? walk_leaf(w, page, bytes, count, err)
                              : walk_branch(w, page, bytes, count, depth, err);
}

static sl_rc walk_page(const struct walk *w, uint64_t page, uint32_t depth, struct sl_err *err)
{
    SL_AUTO_MEM(uint8_t) bytes = NULL;
    size_t len = 0;
    SL_TRY(read_page(w->bolt, page, &bytes, &len, err));
    return walk_bytes(w, page, SL_BYTES(bytes, len), depth, err);
}

/* ---- buckets ---- */

struct sl_bolt_bucket sl_bolt_root_bucket(const struct sl_bolt *b)
{
    return (struct sl_bolt_bucket){.root = b->root};
}

sl_rc sl_bolt_sub_bucket(const struct sl_bolt *b, const struct sl_bolt_item *item,
                         struct sl_bolt_bucket *ret, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(item->value);
    uint64_t root = sl_rd_u64(&rd);
    (void)sl_rd_u64(&rd); /* its sequence */
    SL_TRY(sl_rd_done(&rd, b->blob->name, err));
    *ret = (struct sl_bolt_bucket){.root = root};
    if (root == 0) {
        ret->small = sl_rd_bytes(&rd, sl_rd_left(&rd));
    }
    return SL_OK;
}

sl_rc sl_bolt_each(struct sl_bolt *b, const struct sl_bolt_bucket *bucket, sl_bolt_fn *fn,
                   void *arg, struct sl_err *err)
{
    struct walk w = {.bolt = b, .fn = fn, .arg = arg};
    return bucket->root == 0 ? walk_bytes(&w, 0, bucket->small, 0, err)
                             : walk_page(&w, bucket->root, 1, err);
}
