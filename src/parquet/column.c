/* One column: the open page, the compressed pages of the open row group, the index of the file.
 *
 * A full page is compressed straight into a slab; slabs are kept between row groups, so steady
 * state allocates nothing. Page headers wait beside the payload, because their size is known only
 * after compression. Called by writer.c alone. */
#include "base/hash.h"
#include "parquet/parquet_int.h"

#define SLAB_BYTES    (8u << 20) /* untouched tails cost address space, not memory */
#define PAGE_CAP_KEPT (4u << 20) /* a page buffer grown beyond this by one value is given back */

struct sli_slab {
    struct sli_slab *next;
    size_t size, used;
    uint8_t data[];
};

size_t sli_small_page_bytes(const struct sl_pq_opts *opts)
{
    size_t count = 0;
    for (uint32_t i = 0; i < opts->node_count; i++) {
        const struct sl_pq_node *node = &opts->nodes[i];
        count += node->type != SL_PQ_GROUP && node->profile == SL_PQ_ZSTD;
    }
    size_t share = SLI_PAGES_BYTES / SL_MAX(count, (size_t)1);
    return SL_MAX(SL_MIN(share, (size_t)SLI_PAGE_BYTES), (size_t)SLI_PAGE_BYTES_LEAST);
}

/* Walks the nodes in depth-first order with a stack of the groups that are open. */
void sli_columns_init(const struct sl_pq_opts *opts, struct sli_column *columns)
{
    const struct sl_pq_node *open[SL_PQ_DEPTH_MAX];
    uint32_t left[SL_PQ_DEPTH_MAX]; /* children to come */
    uint32_t depth = 0, count = 0;
    size_t small_page = sli_small_page_bytes(opts);
    for (uint32_t i = 0; i < opts->node_count; i++) {
        const struct sl_pq_node *node = &opts->nodes[i];
        sl_assert(depth < SL_PQ_DEPTH_MAX);
        open[depth] = node;
        if (node->type == SL_PQ_GROUP) {
            sl_assert(node->child_count > 0);
            left[depth++] = node->child_count;
            continue;
        }
        struct sli_column *c = &columns[count++];
        *c = (struct sli_column){.def = node,
                                 .depth = depth + 1,
                                 .page_bytes =
                                     node->profile == SL_PQ_ZSTD ? small_page : SLI_PAGE_BYTES};
        memcpy(c->path, open, c->depth * sizeof(*open));
        for (uint32_t d = 0; d < c->depth; d++) {
            c->max_rep = (uint8_t)(c->max_rep + (open[d]->repetition == SL_PQ_REPEATED));
            c->max_def = (uint8_t)(c->max_def + (open[d]->repetition != SL_PQ_REQUIRED));
        }
        while (depth > 0 && --left[depth - 1] == 0) {
            depth--;
        }
    }
    sl_assert(depth == 0);
}

static void free_slabs(struct sli_slab *s)
{
    while (s != NULL) {
        struct sli_slab *next = s->next;
        sl_free(s);
        s = next;
    }
}

void sli_column_fini(struct sli_column *c)
{
    sl_buf_fini(&c->page);
    sl_buf_fini(&c->levels);
    sl_free(c->runs);
    sl_buf_fini(&c->min.text);
    sl_buf_fini(&c->max.text);
    sl_buf_fini(&c->group_min.text);
    sl_buf_fini(&c->group_max.text);
    sl_buf_fini(&c->bounds);
    free_slabs(c->slabs);
    free_slabs(c->slab_spare);
    sl_free(c->pages);
    sl_free(c->entries);
    sl_free(c->chunks);
}

void *sli_grow(void *array, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap) {
        return array;
    }
    uint32_t more = SL_MAX(8U, *cap + *cap / 2);
    void *grown = sl_realloc(array, (size_t)more * size);
    if (grown != NULL) {
        *cap = more;
    }
    return grown;
}

bool sli_column_is_page_full(const struct sli_column *c)
{
    return c->page.len >= c->page_bytes + SLI_LEVELS_ROOM || c->page_rows >= SLI_PAGE_ROWS_MAX;
}

sl_rc sli_column_open_page(struct sli_column *c, struct sl_err *err)
{
    if (c->page.cap > PAGE_CAP_KEPT) {
        sl_buf_fini(&c->page);
        c->plane_stride = 0;
    }
    sl_buf_clear(&c->page);
    if (sl_buf_reserve(&c->page, SLI_LEVELS_ROOM) == NULL) {
        return SL_NOMEM(err);
    }
    c->page.len = SLI_LEVELS_ROOM;
    return SL_OK;
}

/* `len` bytes at the end of the newest slab; the caller adds what it used to slab_last->used. */
static uint8_t *slab_room(struct sli_column *c, size_t len)
{
    if (c->slab_last != NULL && c->slab_last->size - c->slab_last->used >= len) {
        return c->slab_last->data + c->slab_last->used;
    }
    struct sli_slab *s = NULL;
    if (len <= SLAB_BYTES && c->slab_spare != NULL) {
        s = c->slab_spare;
        c->slab_spare = s->next;
    } else {
        size_t size = SL_MAX(len, (size_t)SLAB_BYTES);
        /* Of the first slab a small column needs the beginning only, and the next page is given a
         * new slab when its room does not fit into the end of this one. */
        s = c->slab_last == NULL ? sl_alloc(sizeof(*s) + size)
                                 : sl_alloc_large(sizeof(*s) + size, size - SL_MIN(len, size));
        if (s == NULL) {
            return NULL;
        }
        s->size = size;
    }
    s->next = NULL;
    s->used = 0;
    if (c->slab_last == NULL) {
        c->slabs = s;
    } else {
        c->slab_last->next = s;
    }
    c->slab_last = s;
    return s->data;
}

/* Slabs of the usual size are kept for the next row group, larger ones go back. */
static void reuse_slabs(struct sli_column *c)
{
    struct sli_slab *s = c->slabs;
    while (s != NULL) {
        struct sli_slab *next = s->next;
        if (s->size == SLAB_BYTES) {
            s->next = c->slab_spare;
            c->slab_spare = s;
        } else {
            sl_free(s);
        }
        s = next;
    }
    c->slabs = c->slab_last = NULL;
}

int32_t sli_column_encoding(const struct sli_column *c)
{
    return c->def->profile == SL_PQ_SPLIT ? SLI_ENCODING_SPLIT : SLI_ENCODING_PLAIN;
}

static void write_header(const struct sli_column *c, size_t raw_len, size_t stored_len,
                         uint32_t crc, struct sl_buf *out)
{
    struct sli_thrift t = sli_thrift_over(out);
    sli_thrift_i32(&t, 1, 0); /* DATA_PAGE */
    sli_thrift_i32(&t, 2, (int32_t)raw_len);
    sli_thrift_i32(&t, 3, (int32_t)stored_len);
    sli_thrift_i32(&t, 4, (int32_t)crc); /* the format has no unsigned integers */
    sli_thrift_struct(&t, 5);
    sli_thrift_i32(&t, 1, (int32_t)c->page_entries);
    sli_thrift_i32(&t, 2, sli_column_encoding(c));
    sli_thrift_i32(&t, 3, SLI_ENCODING_RLE);
    sli_thrift_i32(&t, 4, SLI_ENCODING_RLE);
    sli_thrift_end(&t);
    sli_thrift_end(&t);
}

static bool is_text(const struct sli_column *c)
{
    return c->def->type == SL_PQ_BYTE_ARRAY || c->def->type == SL_PQ_FIXED;
}

static struct sl_bytes bound_view(const struct sli_column *c, const struct sli_bound *b)
{
    if (is_text(c)) {
        return sl_buf_view(&b->text);
    }
    return SL_BYTES(b->bytes, c->def->type == SL_PQ_BOOLEAN ? 1 : 8);
}

/* TYPE_ORDER: signed INT64, bytes of BYTE_ARRAY and FIXED, numbers of DOUBLE. */
static bool is_less(const struct sli_column *c, const struct sli_bound *a,
                    const struct sli_bound *b)
{
    if (is_text(c)) {
        return sl_bytes_cmp(sl_buf_view(&a->text), sl_buf_view(&b->text)) < 0;
    }
    if (c->def->type == SL_PQ_BOOLEAN) {
        return a->bytes[0] < b->bytes[0];
    }
    if (c->def->type == SL_PQ_DOUBLE) {
        double x = 0, y = 0;
        memcpy(&x, a->bytes, 8);
        memcpy(&y, b->bytes, 8);
        return x < y;
    }
    int64_t x = 0, y = 0;
    memcpy(&x, a->bytes, 8);
    memcpy(&y, b->bytes, 8);
    return x < y;
}

static void copy_bound(struct sli_bound *to, const struct sli_bound *from)
{
    memcpy(to->bytes, from->bytes, 8);
    to->is_cut = from->is_cut;
    sl_buf_clear(&to->text);
    sl_buf_add(&to->text, sl_buf_view(&from->text));
}

/* An equal beginning: a longer value lies above, a whole one is the exact minimum. */
static sl_rc merge_bounds(struct sli_column *c, struct sl_err *err)
{
    if (!c->has_bounds) {
        return SL_OK;
    }
    bool is_first = !c->group_has_bounds;
    if (is_first || is_less(c, &c->min, &c->group_min) ||
        (!c->min.is_cut && !is_less(c, &c->group_min, &c->min))) {
        copy_bound(&c->group_min, &c->min);
    }
    if (is_first || is_less(c, &c->group_max, &c->max) ||
        (c->max.is_cut && !is_less(c, &c->max, &c->group_max))) {
        copy_bound(&c->group_max, &c->max);
    }
    c->group_has_bounds = true;
    SL_TRY(sl_buf_done(&c->group_min.text, err));
    return sl_buf_done(&c->group_max.text, err);
}

/* Is there room above this character of valid UTF-8 for one of the same length? Then makes it. */
static bool raise_char(uint8_t *at, size_t len)
{
    if (len == 1 && at[0] < 0x7F) {
        at[0]++;
        return true;
    }
    for (size_t i = len; len > 1 && i-- > 1;) {
        /* Behind these two lie surrogates and what is beyond Unicode. */
        uint8_t last = i > 1 ? 0xBF : at[0] == 0xED ? 0x9F : at[0] == 0xF4 ? 0x8F : 0xBF;
        if (at[i] < last) {
            at[i]++;
            return true;
        }
    }
    return false;
}

/* The beginning of the maximum becomes a value above all that begin so; false: there is none. */
static bool raise_bound(struct sl_buf *text)
{
    while (text->len > 0) {
        size_t from = text->len - 1;
        while (from > 0 && (text->ptr[from] & 0xC0) == 0x80) {
            from--;
        }
        if (raise_char(text->ptr + from, text->len - from)) {
            return true;
        }
        text->len = from;
    }
    return false;
}

static void keep_bytes(struct sli_column *c, struct sl_bytes view, size_t *ret_at, size_t *ret_len)
{
    *ret_at = c->bounds.len;
    *ret_len = view.len;
    sl_buf_add(&c->bounds, view);
}

static void keep_bound(struct sli_column *c, bool has, const struct sli_bound *b, size_t *ret_at,
                       size_t *ret_len)
{
    keep_bytes(c, has ? bound_view(c, b) : SL_BYTES(NULL, 0), ret_at, ret_len);
}

/* The same of a maximum: false when nothing lies above a cut one. */
static bool keep_max(struct sli_column *c, bool has, const struct sli_bound *b, size_t *ret_at,
                     size_t *ret_len)
{
    keep_bound(c, has, b, ret_at, ret_len);
    if (!has || !b->is_cut || c->bounds.is_failed) {
        return has;
    }
    struct sl_buf last = {.ptr = c->bounds.ptr + *ret_at, .len = *ret_len, .cap = *ret_len};
    bool is_raised = raise_bound(&last);
    *ret_len = last.len;
    c->bounds.len = *ret_at + last.len;
    return is_raised;
}

static sl_rc add_entry(struct sli_column *c, uint32_t stored_size, struct sl_err *err)
{
    struct sli_page_entry *grown =
        sli_grow(c->entries, c->entry_count, &c->entry_cap, sizeof(*c->entries));
    if (grown == NULL) {
        return SL_NOMEM(err);
    }
    c->entries = grown;
    struct sli_page_entry *e = &c->entries[c->entry_count];
    *e = (struct sli_page_entry){.stored_size = stored_size,
                                 .first_row = c->group_rows,
                                 .null_count = c->page_nulls,
                                 .entry_count = c->page_entries};
    keep_bound(c, c->has_bounds, &c->min, &e->min_at, &e->min_len);
    bool has_max = keep_max(c, c->has_bounds, &c->max, &e->max_at, &e->max_len);
    bool is_null = c->page_nulls == c->page_entries;
    c->group_has_index = (c->page_count == 0 || c->group_has_index) && (has_max || is_null);
    c->entry_count++;
    return sl_buf_done(&c->bounds, err);
}

static void add_levels(struct sli_column *c)
{
    sl_buf_clear(&c->levels);
    if (c->max_rep > 0) {
        sli_levels_write(c->runs, c->run_count, true, c->max_rep, &c->levels);
    }
    if (c->max_def > 0) {
        sli_levels_write(c->runs, c->run_count, false, c->max_def, &c->levels);
    }
}

/* The page's bytes as they are compressed: levels right in front of the values. */
static sl_rc page_body(struct sli_column *c, struct sl_bytes *ret, struct sl_err *err)
{
    add_levels(c);
    SL_TRY(sl_buf_done(&c->levels, err));
    struct sl_bytes levels = sl_buf_view(&c->levels);
    size_t len = c->page.len - SLI_LEVELS_ROOM;
    if (c->def->profile == SL_PQ_SPLIT) {
        sli_planes_close(c);
    }
    size_t room = SLI_LEVELS_ROOM;
    if (levels.len > room) { /* lists of small values only */
        if (sl_buf_reserve(&c->page, levels.len - room) == NULL) {
            return SL_NOMEM(err);
        }
        memmove(c->page.ptr + levels.len, c->page.ptr + room, len);
        room = levels.len;
    }
    if (levels.len > 0) {
        memcpy(c->page.ptr + room - levels.len, levels.ptr, levels.len);
    }
    *ret = SL_BYTES(c->page.ptr + room - levels.len, levels.len + len);
    return SL_OK;
}

sl_rc sli_column_close_page(struct sli_column *c, struct sli_codec *codec, struct sl_err *err)
{
    if (c->page_rows == 0) {
        return SL_OK;
    }
    SL_TRY(sl_buf_done(&c->page, err));
    struct sl_bytes raw = {0};
    SL_TRY(page_body(c, &raw, err));
    if (raw.len > SLI_PAGE_RAW_MAX) {
        return SL_FAIL(err, SL_ETOOBIG, "column %s: a page of %zu bytes; at most %d fit",
                       c->def->name, raw.len, SLI_PAGE_RAW_MAX);
    }
    uint8_t *at = slab_room(c, sli_codec_room(codec, raw.len));
    struct sli_page *grown = sli_grow(c->pages, c->page_count, &c->page_cap, sizeof(*c->pages));
    if (at == NULL || grown == NULL) {
        return SL_NOMEM(err);
    }
    c->pages = grown;
    size_t stored = 0;
    SL_TRY(sli_codec_compress(codec, c->def->profile, c->levels.len, raw, at, &stored, err));
    if (stored > INT32_MAX) {
        return SL_FAIL(err, SL_ETOOBIG, "column %s: a page of %zu bytes as stored; at most %d fit",
                       c->def->name, stored, INT32_MAX);
    }
    c->slab_last->used += stored;
    struct sli_page *page = &c->pages[c->page_count];
    page->payload = SL_BYTES(at, stored);
    struct sl_buf header = {.ptr = page->header, .cap = sizeof(page->header)};
    write_header(c, raw.len, stored, sl_crc32(0, page->payload), &header);
    sl_assert(header.ptr == page->header);
    page->header_len = (uint32_t)header.len;
    SL_TRY(add_entry(c, page->header_len + (uint32_t)stored, err));
    SL_TRY(merge_bounds(c, err));
    c->page_count++;
    c->group_raw += raw.len + page->header_len;
    c->group_rows += c->page_rows;
    c->group_entries += c->page_entries;
    c->group_nulls += c->page_nulls;
    c->page_rows = c->page_entries = c->page_nulls = c->run_count = 0;
    c->has_bounds = false;
    return sli_column_open_page(c, err);
}

sl_rc sli_column_flush(struct sli_column *c, struct sl_sink *sink, uint64_t *offset,
                       struct sl_err *err)
{
    struct sli_chunk *grown =
        sli_grow(c->chunks, c->chunk_count, &c->chunk_cap, sizeof(*c->chunks));
    if (grown == NULL) {
        return SL_NOMEM(err);
    }
    c->chunks = grown;
    struct sli_chunk *chunk = &c->chunks[c->chunk_count];
    *chunk =
        (struct sli_chunk){.offset = *offset,
                           .raw_size = c->group_raw,
                           .null_count = c->group_nulls,
                           .entry_count = c->group_entries,
                           .first_page = c->group_first_entry,
                           .page_count = c->page_count,
                           .has_min = c->group_has_bounds,
                           .is_min_cut = c->group_min.is_cut,
                           .is_max_cut = c->group_max.is_cut,
                           .has_index = c->group_has_index && c->def->stats != SL_PQ_STATS_NULLS};
    keep_bound(c, c->group_has_bounds, &c->group_min, &chunk->min_at, &chunk->min_len);
    chunk->has_max =
        keep_max(c, c->group_has_bounds, &c->group_max, &chunk->max_at, &chunk->max_len);
    SL_TRY(sl_buf_done(&c->bounds, err));
    for (uint32_t i = 0; i < c->page_count; i++) {
        c->entries[c->group_first_entry + i].offset = *offset;
        SL_TRY(sl_sink_write(sink, SL_BYTES(c->pages[i].header, c->pages[i].header_len), err));
        SL_TRY(sl_sink_write(sink, c->pages[i].payload, err));
        *offset += c->pages[i].header_len + c->pages[i].payload.len;
    }
    chunk->stored_size = *offset - chunk->offset;
    c->chunk_count++;
    c->group_first_entry = c->entry_count;
    c->page_count = 0;
    c->group_raw = c->group_rows = c->group_entries = c->group_nulls = 0;
    c->group_has_bounds = false;
    reuse_slabs(c);
    return SL_OK;
}
