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

void sli_column_init(struct sli_column *c, const struct sl_pq_column *def)
{
    *c = (struct sli_column){.def = def};
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
    return c->page.len >= SLI_PAGE_BYTES + SLI_LEVELS_MAX || c->page_rows >= SLI_PAGE_ROWS_MAX;
}

sl_rc sli_column_open_page(struct sli_column *c, struct sl_err *err)
{
    if (c->page.cap > PAGE_CAP_KEPT) {
        sl_buf_fini(&c->page);
    }
    sl_buf_clear(&c->page);
    if (sl_buf_reserve(&c->page, SLI_LEVELS_MAX) == NULL) {
        return SL_NOMEM(err);
    }
    c->page.len = SLI_LEVELS_MAX;
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
        s = sl_alloc(sizeof(*s) + size);
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

static void write_header(const struct sli_column *c, size_t raw_len, size_t stored_len,
                         uint32_t crc, struct sl_buf *out)
{
    struct sli_thrift t = sli_thrift_over(out);
    sli_thrift_i32(&t, 1, 0); /* DATA_PAGE */
    sli_thrift_i32(&t, 2, (int32_t)raw_len);
    sli_thrift_i32(&t, 3, (int32_t)stored_len);
    sli_thrift_i32(&t, 4, (int32_t)crc); /* the format has no unsigned integers */
    sli_thrift_struct(&t, 5);
    sli_thrift_i32(&t, 1, (int32_t)c->page_rows);
    sli_thrift_i32(&t, 2, SLI_ENCODING_PLAIN);
    sli_thrift_i32(&t, 3, SLI_ENCODING_RLE);
    sli_thrift_i32(&t, 4, SLI_ENCODING_RLE);
    sli_thrift_end(&t);
    sli_thrift_end(&t);
}

static struct sl_bytes bound_view(const struct sli_column *c, const struct sli_bound *b)
{
    return c->def->type == SL_PQ_INT64 ? SL_BYTES(b->bytes, 8) : sl_buf_view(&b->text);
}

/* Signed order of INT64, byte order of BYTE_ARRAY: the TYPE_ORDER of both. */
static bool is_less(const struct sli_column *c, const struct sli_bound *a,
                    const struct sli_bound *b)
{
    if (c->def->type == SL_PQ_INT64) {
        int64_t x = 0, y = 0;
        memcpy(&x, a->bytes, 8);
        memcpy(&y, b->bytes, 8);
        return x < y;
    }
    return sl_bytes_cmp(sl_buf_view(&a->text), sl_buf_view(&b->text)) < 0;
}

static void copy_bound(struct sli_bound *to, const struct sli_bound *from)
{
    memcpy(to->bytes, from->bytes, 8);
    sl_buf_clear(&to->text);
    sl_buf_add(&to->text, sl_buf_view(&from->text));
}

static sl_rc merge_bounds(struct sli_column *c, struct sl_err *err)
{
    if (!c->has_bounds) {
        return SL_OK;
    }
    if (!c->group_has_bounds || is_less(c, &c->min, &c->group_min)) {
        copy_bound(&c->group_min, &c->min);
    }
    if (!c->group_has_bounds || is_less(c, &c->group_max, &c->max)) {
        copy_bound(&c->group_max, &c->max);
    }
    c->group_has_bounds = true;
    SL_TRY(sl_buf_done(&c->group_min.text, err));
    return sl_buf_done(&c->group_max.text, err);
}

static void keep_bound(struct sli_column *c, bool has, const struct sli_bound *b, size_t *ret_at,
                       size_t *ret_len)
{
    struct sl_bytes view = has ? bound_view(c, b) : SL_BYTES(NULL, 0);
    *ret_at = c->bounds.len;
    *ret_len = view.len;
    sl_buf_add(&c->bounds, view);
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
                                 .row_count = c->page_rows};
    keep_bound(c, c->has_bounds, &c->min, &e->min_at, &e->min_len);
    keep_bound(c, c->has_bounds, &c->max, &e->max_at, &e->max_len);
    c->entry_count++;
    return sl_buf_done(&c->bounds, err);
}

/* The page's bytes as they are compressed: levels right in front of the body. */
static struct sl_bytes page_body(struct sli_column *c)
{
    if (!c->def->is_optional) {
        return SL_BYTES(c->page.ptr + SLI_LEVELS_MAX, c->page.len - SLI_LEVELS_MAX);
    }
    uint8_t levels[SLI_LEVELS_MAX];
    size_t len = sli_levels_write(c->present, c->page_rows, levels);
    uint8_t *start = c->page.ptr + SLI_LEVELS_MAX - len;
    memcpy(start, levels, len);
    return SL_BYTES(start, c->page.len - SLI_LEVELS_MAX + len);
}

sl_rc sli_column_close_page(struct sli_column *c, struct sli_codec *codec, struct sl_err *err)
{
    if (c->page_rows == 0) {
        return SL_OK;
    }
    SL_TRY(sl_buf_done(&c->page, err));
    struct sl_bytes raw = page_body(c);
    sl_assert(raw.len <= SLI_PAGE_RAW_MAX);
    uint8_t *at = slab_room(c, sli_codec_bound(raw.len));
    struct sli_page *grown = sli_grow(c->pages, c->page_count, &c->page_cap, sizeof(*c->pages));
    if (at == NULL || grown == NULL) {
        return SL_NOMEM(err);
    }
    c->pages = grown;
    size_t stored = 0;
    SL_TRY(sli_codec_compress(codec, c->def->profile, raw, at, &stored, err));
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
    c->group_nulls += c->page_nulls;
    c->page_rows = c->page_nulls = 0;
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
    *chunk = (struct sli_chunk){.offset = *offset,
                                .raw_size = c->group_raw,
                                .null_count = c->group_nulls,
                                .row_count = c->group_rows,
                                .first_page = c->group_first_entry,
                                .page_count = c->page_count};
    keep_bound(c, c->group_has_bounds, &c->group_min, &chunk->min_at, &chunk->min_len);
    keep_bound(c, c->group_has_bounds, &c->group_max, &chunk->max_at, &chunk->max_len);
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
    c->group_raw = c->group_rows = c->group_nulls = 0;
    c->group_has_bounds = false;
    reuse_slabs(c);
    return SL_OK;
}
