/* Pages of one column chunk, in order: header, checksum, decompression, levels, values.
 *
 * Bytes come through a window that only moves forward: what was read ahead is kept, so each byte is
 * asked for once. v1 pages compress levels and values together and give levels a length in front;
 * v2 pages keep levels outside, uncompressed. */
#include "base/hash.h"
#include "parquet/reader_int.h"

#define READ_AHEAD  (1u << 20) /* a page of most writers; hides the way to a store and back */
#define HEADER_STEP 4096u      /* first try at a header; most take 50 bytes */

enum { DATA_PAGE = 0, INDEX_PAGE = 1, DICTIONARY_PAGE = 2, DATA_PAGE_V2 = 3 };

struct page_header {
    int64_t type, raw_size, stored_size, crc;
    int64_t values, encoding, def_encoding, rep_encoding;
    int64_t def_len, rep_len; /* v2 */
    bool has_crc, is_raw;     /* is_raw: v2, not compressed */
};

struct sl_pq_chunk {
    const struct sl_pq_file *file;
    const struct sl_pq_leaf *leaf;
    struct sli_chunk_at at;
    struct sli_uncompress *uncompress;
    struct sl_buf window;
    uint64_t window_at; /* offset in the file of its first byte */
    size_t used;        /* of the window */
    uint64_t values_left;
    struct sl_buf page, dictionary_page; /* uncompressed */
    struct sl_buf def, rep;
    struct sli_values values, dictionary;
    uint32_t dictionary_count;
    bool has_dictionary;
};

/* ---- window ---- */

static uint64_t chunk_left(const struct sl_pq_chunk *c) /* behind what is used */
{
    return c->at.offset + c->at.size - c->window_at - c->used;
}

/* The window holds the next `len` bytes of the chunk, or all that are left. */
static sl_rc fill(struct sl_pq_chunk *c, size_t len, struct sl_err *err)
{
    len = (size_t)SL_MIN(len, chunk_left(c));
    if (c->window.len - c->used >= len) {
        return SL_OK;
    }
    sl_buf_consume(&c->window, c->used);
    c->window_at += c->used;
    c->used = 0;
    size_t have = c->window.len;
    size_t more = (size_t)SL_MIN(SL_MAX(len - have, READ_AHEAD), chunk_left(c) - have);
    const struct sl_pq_source *s = &c->file->source;
    SL_TRY(s->read_at(s->arg, c->window_at + have, more, &c->window, err));
    if (c->window.is_failed) {
        return SL_NOMEM(err);
    }
    return c->window.len == have + more
               ? SL_OK
               : SL_FAIL(err, SL_ECORRUPT, "the file ends before offset %llu",
                         (unsigned long long)(c->window_at + have + more));
}

static struct sl_bytes unused(const struct sl_pq_chunk *c)
{
    return SL_BYTES(c->window.ptr + c->used, c->window.len - c->used);
}

/* ---- header ---- */

static void read_numbers(struct sli_tr *t, int64_t *const *numbers, size_t count, bool *ret_false)
{
    int16_t id = 0;
    uint8_t type = 0;
    while (sli_tr_field(t, &id, &type)) {
        if (type == SLI_T_I32 && id > 0 && (size_t)id < count && numbers[id] != NULL) {
            *numbers[id] = sli_tr_zigzag(t);
            continue;
        }
        if (id == 7 && type == SLI_T_FALSE && ret_false != NULL) {
            *ret_false = true;
        }
        sli_tr_skip(t, type);
    }
}

static void read_header(struct sli_tr *t, struct page_header *h)
{
    int64_t *const v1[] = {NULL, &h->values, &h->encoding, &h->def_encoding, &h->rep_encoding};
    int64_t *const v2[] = {NULL, &h->values, NULL, NULL, &h->encoding, &h->def_len, &h->rep_len};
    int64_t *const top[] = {NULL, &h->type, &h->raw_size, &h->stored_size, &h->crc};
    int16_t id = 0;
    uint8_t type = 0;
    while (sli_tr_field(t, &id, &type)) {
        if (type == SLI_T_I32 && id >= 1 && id <= 4) {
            *top[id] = sli_tr_zigzag(t);
            h->has_crc = h->has_crc || id == 4;
        } else if (type == SLI_T_STRUCT && (id == 5 || id == 7)) {
            read_numbers(t, v1, id == 5 ? 5 : 3, NULL);
        } else if (type == SLI_T_STRUCT && id == 8) {
            read_numbers(t, v2, SL_COUNT_OF(v2), &h->is_raw);
        } else {
            sli_tr_skip(t, type);
        }
    }
}

static sl_rc check_header(const struct sl_pq_chunk *c, const struct page_header *h,
                          struct sl_err *err)
{
    int64_t most = (int64_t)c->file->source.page_max;
    if (h->raw_size < 0 || h->stored_size < 0 || h->type < 0 || h->type > DATA_PAGE_V2) {
        return SL_FAIL(err, SL_ECORRUPT, "type %lld with %lld bytes, raw %lld", (long long)h->type,
                       (long long)h->stored_size, (long long)h->raw_size);
    }
    if (h->raw_size > most || h->stored_size > most) {
        return SL_FAIL(err, SL_ETOOBIG, "%lld bytes, raw %lld, are more than the limit of %lld",
                       (long long)h->stored_size, (long long)h->raw_size, (long long)most);
    }
    if ((uint64_t)h->stored_size > chunk_left(c)) {
        return SL_FAIL(err, SL_ECORRUPT, "%lld bytes, the column has only %llu more",
                       (long long)h->stored_size, (unsigned long long)chunk_left(c));
    }
    /* Runs tell of any number in a few bytes. */
    int64_t most_values = SL_MIN(most, (int64_t)SLI_PAGE_VALUES_MAX);
    if (h->type != INDEX_PAGE && (h->values < 0 || h->values > most_values)) {
        return SL_FAIL(err, h->values < 0 ? SL_ECORRUPT : SL_ETOOBIG,
                       "%lld values are more than the limit of %lld", (long long)h->values,
                       (long long)most_values);
    }
    return SL_OK;
}

/* A header tells its length only by its end: tried with ever more bytes. */
static sl_rc next_header(struct sl_pq_chunk *c, struct page_header *ret, struct sl_err *err)
{
    for (size_t len = HEADER_STEP;; len *= 4) {
        SL_TRY(fill(c, len, err));
        struct page_header h = {.type = -1, .raw_size = -1, .stored_size = -1, .values = -1};
        struct sli_tr t = {.rd = sl_rd_over(unused(c))};
        read_header(&t, &h);
        if (!sli_tr_has_ended(&t)) {
            c->used += t.rd.at;
            *ret = h;
            return check_header(c, &h, err);
        }
        if (t.is_bad || len >= SLI_PAGE_HEADER_MAX || unused(c).len == chunk_left(c)) {
            return SL_FAIL(err, SL_ECORRUPT, "its header is damaged %zu bytes further", t.rd.at);
        }
    }
}

/* ---- levels ---- */

static uint32_t width_of(uint8_t max)
{
    return max == 0 ? 0 : 32 - (uint32_t)__builtin_clz(max);
}

static sl_rc read_levels(struct sl_rd rd, uint8_t max, uint32_t count, struct sl_buf *out,
                         struct sl_err *err)
{
    sl_buf_clear(out);
    uint8_t *at = sl_buf_reserve(out, count);
    if (at == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sli_decode_levels(&rd, width_of(max), count, at, err));
    uint8_t highest = 0;
    for (uint32_t i = 0; i < count; i++) {
        highest = SL_MAX(highest, at[i]);
    }
    if (highest > max) {
        return SL_FAIL(err, SL_ECORRUPT, "level %u where %u is the highest", highest, max);
    }
    out->len = count;
    return SL_OK;
}

static sl_rc read_both_levels(struct sl_pq_chunk *c, struct sl_bytes rep, struct sl_bytes def,
                              uint32_t count, struct sl_err *err)
{
    if (c->leaf->max_rep > 0) {
        SL_TRY(read_levels(sl_rd_over(rep), c->leaf->max_rep, count, &c->rep, err));
    }
    if (c->leaf->max_def > 0) {
        SL_TRY(read_levels(sl_rd_over(def), c->leaf->max_def, count, &c->def, err));
    }
    return SL_OK;
}

static uint32_t count_values(const struct sl_pq_chunk *c, uint32_t level_count)
{
    uint32_t n = level_count;
    for (uint32_t i = 0; c->leaf->max_def > 0 && i < level_count; i++) {
        n -= c->def.ptr[i] != c->leaf->max_def;
    }
    return n;
}

/* ---- pages ---- */

/* The bytes as they were before compression: in the window, or in `room`. */
static sl_rc raw_bytes(struct sl_pq_chunk *c, struct sl_bytes stored, int64_t raw_size,
                       struct sl_buf *room, struct sl_bytes *ret, struct sl_err *err)
{
    if (sli_uncompress_is_plain(c->uncompress)) {
        *ret = stored;
        return SL_OK;
    }
    sl_buf_clear(room);
    SL_TRY(sli_uncompress_page(c->uncompress, stored, (size_t)raw_size, room, err));
    *ret = sl_buf_view(room);
    return SL_OK;
}

static sl_rc split_v1(struct sl_pq_chunk *c, const struct page_header *h, struct sl_bytes stored,
                      struct sl_bytes *ret_body, struct sl_err *err)
{
    struct sl_bytes raw, rep = {0}, def = {0};
    if ((c->leaf->max_rep > 0 && h->rep_encoding != SLI_ENCODING_RLE) ||
        (c->leaf->max_def > 0 && h->def_encoding != SLI_ENCODING_RLE)) {
        return SL_FAIL(err, SL_EUNSUPPORTED, "levels of encoding %lld and %lld are not read",
                       (long long)h->rep_encoding, (long long)h->def_encoding);
    }
    SL_TRY(raw_bytes(c, stored, h->raw_size, &c->page, &raw, err));
    struct sl_rd rd = sl_rd_over(raw);
    if (c->leaf->max_rep > 0) {
        rep = sl_rd_bytes(&rd, sl_rd_u32(&rd));
    }
    if (c->leaf->max_def > 0) {
        def = sl_rd_bytes(&rd, sl_rd_u32(&rd));
    }
    *ret_body = sl_rd_bytes(&rd, sl_rd_left(&rd));
    SL_TRY(sl_rd_done(&rd, "its levels", err));
    return read_both_levels(c, rep, def, (uint32_t)h->values, err);
}

static sl_rc split_v2(struct sl_pq_chunk *c, const struct page_header *h, struct sl_bytes stored,
                      struct sl_bytes *ret_body, struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(stored);
    int64_t levels = h->rep_len + h->def_len;
    if (h->rep_len < 0 || h->def_len < 0 || levels > h->raw_size) {
        return SL_FAIL(err, SL_ECORRUPT, "levels of %lld and %lld bytes in %lld",
                       (long long)h->rep_len, (long long)h->def_len, (long long)h->raw_size);
    }
    struct sl_bytes rep = sl_rd_bytes(&rd, (uint64_t)h->rep_len);
    struct sl_bytes def = sl_rd_bytes(&rd, (uint64_t)h->def_len);
    *ret_body = sl_rd_bytes(&rd, sl_rd_left(&rd));
    SL_TRY(sl_rd_done(&rd, "its levels", err));
    if (!h->is_raw) {
        SL_TRY(raw_bytes(c, *ret_body, h->raw_size - levels, &c->page, ret_body, err));
    }
    return read_both_levels(c, rep, def, (uint32_t)h->values, err);
}

static sl_rc read_dictionary(struct sl_pq_chunk *c, const struct page_header *h,
                             struct sl_bytes stored, struct sl_err *err)
{
    struct sl_bytes raw;
    if (c->has_dictionary) {
        return SL_FAIL(err, SL_ECORRUPT, "a second dictionary");
    }
    SL_TRY(raw_bytes(c, stored, h->raw_size, &c->dictionary_page, &raw, err));
    if (raw.ptr != c->dictionary_page.ptr) { /* the window moves on */
        sl_buf_add(&c->dictionary_page, raw);
        SL_TRY(sl_buf_done(&c->dictionary_page, err));
        raw = sl_buf_view(&c->dictionary_page);
    }
    /* PLAIN_DICTIONARY is how old writers say PLAIN here. */
    int64_t encoding =
        h->encoding == SLI_ENCODING_PLAIN_DICTIONARY ? SLI_ENCODING_PLAIN : h->encoding;
    SL_TRY(sli_decode_values(c->leaf, encoding, raw, (uint32_t)h->values, NULL, 0, &c->dictionary,
                             err));
    c->dictionary_count = (uint32_t)h->values;
    c->has_dictionary = true;
    return SL_OK;
}

static sl_rc read_data(struct sl_pq_chunk *c, const struct page_header *h, struct sl_bytes stored,
                       struct sl_pq_batch *ret, struct sl_err *err)
{
    struct sl_bytes body;
    if ((uint64_t)h->values > c->values_left) {
        return SL_FAIL(err, SL_ECORRUPT, "%lld values, the column has only %llu more",
                       (long long)h->values, (unsigned long long)c->values_left);
    }
    SL_TRY(h->type == DATA_PAGE ? split_v1(c, h, stored, &body, err)
                                : split_v2(c, h, stored, &body, err));
    struct sl_pq_batch b = {.level_count = (uint32_t)h->values,
                            .value_count = count_values(c, (uint32_t)h->values)};
    SL_TRY(sli_decode_values(c->leaf, h->encoding, body, b.value_count,
                             c->has_dictionary ? &c->dictionary : NULL, c->dictionary_count,
                             &c->values, err));
    b.def = c->leaf->max_def > 0 ? c->def.ptr : NULL;
    b.rep = c->leaf->max_rep > 0 ? c->rep.ptr : NULL;
    if (c->leaf->width == 0) {
        b.texts = (const struct sl_bytes *)(const void *)c->values.texts.ptr;
    } else {
        b.fixed = c->values.fixed.ptr;
    }
    c->values_left -= b.level_count;
    *ret = b;
    return SL_OK;
}

/* The next page of any kind; *ret is filled by one of data. */
static sl_rc next_page(struct sl_pq_chunk *c, struct sl_pq_batch *ret, struct sl_err *err)
{
    struct page_header h = {0};
    SL_TRY(next_header(c, &h, err));
    SL_TRY(fill(c, (size_t)h.stored_size, err));
    struct sl_bytes stored = SL_BYTES(c->window.ptr + c->used, (size_t)h.stored_size);
    c->used += stored.len;
    if (h.has_crc && (uint32_t)h.crc != sl_crc32(0, stored)) {
        return SL_FAIL(err, SL_ECORRUPT, "checksum %08x, its header says %08x", sl_crc32(0, stored),
                       (uint32_t)h.crc);
    }
    return h.type == INDEX_PAGE        ? SL_OK
           : h.type == DICTIONARY_PAGE ? read_dictionary(c, &h, stored, err)
                                       : read_data(c, &h, stored, ret, err);
}

sl_rc sl_pq_chunk_next(struct sl_pq_chunk *c, struct sl_pq_batch *ret, struct sl_err *err)
{
    struct sl_pq_batch b = {0};
    while (b.level_count == 0) {
        if (c->values_left == 0) {
            return SL_END;
        }
        uint64_t offset = c->window_at + c->used;
        sl_rc rc = chunk_left(c) == 0 ? SL_FAIL(err, SL_ECORRUPT, "%llu values are missing",
                                                (unsigned long long)c->values_left)
                                      : next_page(c, &b, err);
        if (rc != SL_OK) {
            sl_err_prefix(err, "column %.*s, page at offset %llu", SL_STR_ARG(c->leaf->path),
                          (unsigned long long)offset);
            return rc;
        }
    }
    *ret = b;
    return SL_OK;
}

sl_rc sl_pq_chunk_open(const struct sl_pq_file *f, uint32_t group, uint32_t leaf,
                       struct sl_pq_chunk **ret, struct sl_err *err)
{
    sl_assert(group < f->group_count && leaf < f->leaf_count);
    SL_AUTO_PTR(sl_pq_chunk) c = sl_alloc_zero(1, sizeof(*c));
    if (c == NULL) {
        return SL_NOMEM(err);
    }
    c->file = f;
    c->leaf = &f->leaves[leaf];
    c->at = f->chunks[(size_t)group * f->leaf_count + leaf];
    c->window_at = c->at.offset;
    c->values_left = c->at.value_count;
    sl_rc rc = sli_uncompress_new(c->at.codec, &c->uncompress, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "column %.*s", SL_STR_ARG(c->leaf->path));
        return rc;
    }
    *ret = sl_move(&c);
    return SL_OK;
}

void sl_pq_chunk_close(struct sl_pq_chunk *c)
{
    if (c != NULL) {
        struct sl_buf *const buffers[] = {&c->window,
                                          &c->page,
                                          &c->dictionary_page,
                                          &c->def,
                                          &c->rep,
                                          &c->values.fixed,
                                          &c->values.texts,
                                          &c->dictionary.fixed,
                                          &c->dictionary.texts};
        for (size_t i = 0; i < SL_COUNT_OF(buffers); i++) {
            sl_buf_fini(buffers[i]);
        }
        sli_uncompress_free(c->uncompress);
        sl_free(c);
    }
}
