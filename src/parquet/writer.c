/* The writer: rows into columns, row groups into the sink, indexes and footer at the end.
 *
 * States: open (rows may come) -> closed or aborted; a failure poisons it, after which only abort
 * is allowed to touch the sink, so no footer is ever written behind a failed write. Always true:
 * every column has row_count values after sl_pq_row_end; file_offset is the number of bytes given
 * to the sink. One owner thread. */
#include "base/hash.h"
#include "base/mem.h"
#include "parquet/parquet_int.h"

#include <stdatomic.h>

static const char magic[] = {'P', 'A', 'R', '1'};

#define GROUPS_MAX     32767 /* the ordinal is an i16 */
#define BOUND_TEXT_MAX 64    /* bytes of a min or max of SL_PQ_STATS_CUT */

struct sl_pq_writer {
    struct sl_pq_opts opts;
    struct sl_sink *sink; /* owned; NULL once closed or aborted */
    struct sli_codec *codec;
    struct sli_column *columns;
    uint32_t column_count;
    struct sli_group *groups;
    uint32_t group_count, group_cap;
    uint64_t row_count, group_rows;
    uint64_t file_offset;
    struct sl_buf last_key; /* of sorted_column, for the order check */
    uint64_t *key_hashes;   /* of the open row group, group_rows of the options; NULL: no filter */
    sl_rc failure;          /* sticky; the sentence is in failure_err */
    struct sl_err failure_err;
};

/* The first failure stays; SL_FAIL wrote its sentence into `err`. */
static void poison(struct sl_pq_writer *w, sl_rc rc, const struct sl_err *err)
{
    if (rc != SL_OK && w->failure == SL_OK) {
        w->failure = rc;
        w->failure_err = *err;
    }
}

static sl_rc check(const struct sl_pq_writer *w, struct sl_err *err)
{
    if (w->failure != SL_OK && err != NULL) {
        *err = w->failure_err;
    }
    return w->failure;
}

static void free_writer(struct sl_pq_writer *w)
{
    for (uint32_t i = 0; w->columns != NULL && i < w->column_count; i++) {
        sli_column_fini(&w->columns[i]);
    }
    sl_buf_fini(&w->last_key);
    sl_free(w->key_hashes);
    sli_codec_free(w->codec);
    sl_free(w->columns);
    sl_free(w->groups);
    sl_free(w);
}

uint32_t sl_pq_column_count(const struct sl_pq_opts *opts)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < opts->node_count; i++) {
        count += opts->nodes[i].type != SL_PQ_GROUP;
    }
    return count;
}

uint64_t sl_pq_memory_bound(const struct sl_pq_opts *opts)
{
    uint64_t codec = opts->zstd_level > 3 ? SLI_CODEC_BYTES_HIGH : SLI_CODEC_BYTES;
    uint64_t bytes = opts->group_bytes + codec;
    bytes += opts->has_bloom ? opts->group_rows * 2 * sizeof(uint64_t) : 0; /* hashes, filter */
    for (uint32_t i = 0; i < opts->node_count; i++) {
        const struct sl_pq_node *node = &opts->nodes[i];
        if (node->type != SL_PQ_GROUP) {
            bool is_small = node->profile == SL_PQ_ZSTD;
            uint64_t page =
                (is_small ? sli_small_page_bytes(opts) : SLI_PAGE_BYTES) + SLI_LEVELS_ROOM;
            /* A buffer's last step; room the newest page of a slab was given and left. */
            bytes += sizeof(struct sli_column) + page + page / 2 +
                     sli_codec_bound(opts->compression, page);
        }
    }
    return bytes;
}

static sl_rc open_columns(struct sl_pq_writer *w, struct sl_err *err)
{
    w->column_count = sl_pq_column_count(&w->opts);
    w->columns = sl_alloc_zero(w->column_count, sizeof(*w->columns));
    if (w->columns == NULL) {
        return SL_NOMEM(err);
    }
    sli_columns_init(&w->opts, w->columns);
    for (uint32_t i = 0; i < w->column_count; i++) {
        SL_TRY(sli_column_open_page(&w->columns[i], err));
    }
    return SL_OK;
}

static bool may_sort(const struct sli_column *c)
{
    return c->max_def == 0 && c->max_rep == 0 &&
           (c->def->type == SL_PQ_BYTE_ARRAY || c->def->type == SL_PQ_FIXED);
}

sl_rc sl_pq_writer_open(const struct sl_pq_opts *opts, struct sl_sink *sink,
                        struct sl_pq_writer **ret, struct sl_err *err)
{
    sl_assert(opts->node_count > 0 && opts->group_rows > 0);
    struct sl_pq_writer *w = sl_alloc_zero(1, sizeof(*w));
    if (w == NULL) {
        return SL_NOMEM(err);
    }
    w->opts = *opts;
    sl_rc rc = open_columns(w, err);
    sl_assert(rc != SL_OK || opts->sorted_column < 0 ||
              ((uint32_t)opts->sorted_column < w->column_count &&
               may_sort(&w->columns[opts->sorted_column])));
    if (rc == SL_OK && opts->has_bloom) {
        sl_assert(opts->sorted_column >= 0);
        w->key_hashes = sl_alloc(opts->group_rows * sizeof(*w->key_hashes));
        rc = w->key_hashes != NULL ? SL_OK : SL_NOMEM(err);
    }
    if (rc == SL_OK) {
        rc = sli_codec_new(opts, &w->codec, err);
    }
    if (rc == SL_OK) {
        rc = sl_sink_write(sink, SL_BYTES(magic, sizeof(magic)), err);
    }
    if (rc != SL_OK) {
        free_writer(w);
        return rc;
    }
    w->file_offset = sizeof(magic);
    w->sink = sink;
    *ret = w;
    return SL_OK;
}

uint64_t sl_pq_writer_rows(const struct sl_pq_writer *w)
{
    return w->row_count;
}

uint32_t sl_pq_writer_groups(const struct sl_pq_writer *w)
{
    return w->group_count + (w->group_rows > 0);
}

/* ---- values ---- */

static void add_run(struct sli_column *c, uint8_t rep, uint8_t def, uint32_t count)
{
    if (c->run_count > 0 && c->runs[c->run_count - 1].rep == rep &&
        c->runs[c->run_count - 1].def == def) {
        c->runs[c->run_count - 1].count += count;
        return;
    }
    struct sli_run *grown = sli_grow(c->runs, c->run_count, &c->run_cap, sizeof(*c->runs));
    if (grown == NULL) {
        c->page.is_failed = true;
        return;
    }
    c->runs = grown;
    c->runs[c->run_count++] = (struct sli_run){count, rep, def};
}

/* Counts one entry. A full page is closed by sl_pq_row_end; more rows mean that its failure was not
 * looked at. */
static void add_entry(struct sli_column *c, uint32_t def)
{
    sl_dassert(c->next_rep <= c->max_rep && def <= c->max_def);
    if (c->next_rep == 0) {
        sl_assert(c->page_rows < SLI_PAGE_ROWS_MAX);
        c->page_rows++;
    }
    c->page_entries++;
    if (c->max_def > 0 || c->max_rep > 0) {
        add_run(c, c->next_rep, (uint8_t)def, 1);
    }
    c->next_rep = 0;
}

/* Is v outside of the bounds so far? Then it becomes one: macro, since three types compare alike.
 */
#define SEE_NUMBER(c, v)                               \
    do {                                               \
        __typeof__(v) low_, high_;                     \
        memcpy(&low_, (c)->min.bytes, sizeof(low_));   \
        memcpy(&high_, (c)->max.bytes, sizeof(high_)); \
        if (!(c)->has_bounds || (v) < low_) {          \
            memcpy((c)->min.bytes, &(v), sizeof(v));   \
        }                                              \
        if (!(c)->has_bounds || (v) > high_) {         \
            memcpy((c)->max.bytes, &(v), sizeof(v));   \
        }                                              \
        (c)->has_bounds = true;                        \
    } while (0)

/* NaN has no order; zeros are kept as -0.0 below and +0.0 above, since readers differ on them. */
static void see_double(struct sli_column *c, double v)
{
    if (v == 0) {
        double low = -0.0, high = 0.0;
        SEE_NUMBER(c, low);
        SEE_NUMBER(c, high);
        double now = 0;
        memcpy(&now, c->max.bytes, 8);
        if (now == 0) {
            memcpy(c->max.bytes, &high, 8);
        }
    } else if (v == v) {
        SEE_NUMBER(c, v);
    }
}

static void keep_text(struct sli_bound *to, struct sl_bytes b, bool is_cut)
{
    sl_buf_clear(&to->text);
    sl_buf_add(&to->text, b);
    to->is_cut = is_cut;
}

/* Longest beginning of UTF-8 text within the limit that ends with a character. */
static struct sl_bytes cut_text(struct sl_bytes b)
{
    size_t len = BOUND_TEXT_MAX;
    while (len > 0 && (b.ptr[len] & 0xC0) == 0x80) {
        len--;
    }
    return SL_BYTES(b.ptr, len);
}

/* Of equal beginnings the whole value is the least and a cut one the greatest. */
static void see_text(struct sli_column *c, struct sl_bytes b)
{
    bool is_cut = c->def->stats == SL_PQ_STATS_CUT && b.len > BOUND_TEXT_MAX;
    b = is_cut ? cut_text(b) : b;
    int low = c->has_bounds ? sl_bytes_cmp(b, sl_buf_view(&c->min.text)) : -1;
    int high = c->has_bounds ? sl_bytes_cmp(b, sl_buf_view(&c->max.text)) : 1;
    if (low < 0 || (low == 0 && !is_cut)) {
        keep_text(&c->min, b, is_cut);
    }
    if (high > 0 || (high == 0 && is_cut)) {
        keep_text(&c->max, b, is_cut);
    }
    c->has_bounds = true;
}

void sl_pq_repeat(struct sl_pq_writer *w, uint32_t col, uint32_t level)
{
    if (col != SL_PQ_NOWHERE) {
        w->columns[col].next_rep = (uint8_t)level;
    }
}

void sl_pq_put_bool(struct sl_pq_writer *w, uint32_t col, bool v)
{
    if (col == SL_PQ_NOWHERE) {
        return;
    }
    struct sli_column *c = &w->columns[col];
    sl_dassert(c->def->type == SL_PQ_BOOLEAN);
    uint32_t bit = (c->page_entries - c->page_nulls) % 8;
    if (bit == 0) {
        sl_buf_add_u8(&c->page, v);
    } else if (v && !c->page.is_failed) {
        c->page.ptr[c->page.len - 1] |= (uint8_t)(1U << bit);
    }
    if (c->def->stats != SL_PQ_STATS_NULLS) {
        SEE_NUMBER(c, v);
    }
    add_entry(c, c->max_def);
}

void sl_pq_put_i64(struct sl_pq_writer *w, uint32_t col, int64_t v)
{
    if (col == SL_PQ_NOWHERE) {
        return;
    }
    struct sli_column *c = &w->columns[col];
    sl_dassert(c->def->type == SL_PQ_INT64);
    sl_buf_add_u64(&c->page, (uint64_t)v);
    if (c->def->stats != SL_PQ_STATS_NULLS) {
        SEE_NUMBER(c, v);
    }
    add_entry(c, c->max_def);
}

void sl_pq_put_f64(struct sl_pq_writer *w, uint32_t col, double v)
{
    if (col == SL_PQ_NOWHERE) {
        return;
    }
    struct sli_column *c = &w->columns[col];
    sl_dassert(c->def->type == SL_PQ_DOUBLE);
    uint64_t bits = 0;
    memcpy(&bits, &v, 8);
    sl_buf_add_u64(&c->page, bits);
    if (c->def->stats != SL_PQ_STATS_NULLS) {
        see_double(c, v);
    }
    add_entry(c, c->max_def);
}

void sl_pq_put_array(struct sl_pq_writer *w, uint32_t col, struct sl_bytes values)
{
    if (col == SL_PQ_NOWHERE) {
        return;
    }
    struct sli_column *c = &w->columns[col];
    uint32_t size = c->def->type == SL_PQ_FLOAT ? 4 : c->def->type_len;
    sl_dassert(c->def->type == SL_PQ_FLOAT || c->def->type == SL_PQ_FIXED);
    sl_dassert(values.len >= size && c->def->stats == SL_PQ_STATS_NULLS);
    uint32_t count = (uint32_t)(values.len / size);
    if (c->def->profile == SL_PQ_SPLIT) {
        sli_planes_put(c, values);
    } else {
        sl_buf_add(&c->page, values);
    }
    add_entry(c, c->max_def);
    if (count > 1) {
        c->page_entries += count - 1;
        add_run(c, c->max_rep, c->max_def, count - 1);
    }
}

static sl_rc order_failure(const struct sl_pq_writer *w, uint32_t col, struct sl_bytes b,
                           struct sl_err *err)
{
    if (w->columns[col].def->type == SL_PQ_FIXED) {
        return SL_FAIL(err, SL_ECORRUPT, "row %llu: the value does not follow the one before",
                       (unsigned long long)w->row_count);
    }
    return SL_FAIL(err, SL_ECORRUPT, "row %llu: %.*s does not follow %.*s",
                   (unsigned long long)w->row_count, (int)SL_MIN(b.len, 64U), (const char *)b.ptr,
                   (int)SL_MIN(w->last_key.len, 64U), (const char *)w->last_key.ptr);
}

/* A sorted column must not fall: readers trust the declared order. */
static void see_key(struct sl_pq_writer *w, uint32_t col, struct sl_bytes b)
{
    if ((int32_t)col != w->opts.sorted_column) {
        return;
    }
    if (w->row_count > 0 && sl_bytes_cmp(b, sl_buf_view(&w->last_key)) <= 0) {
        struct sl_err err = {0};
        sl_rc rc = order_failure(w, col, b, &err);
        poison(w, rc, &err);
    }
    sl_buf_clear(&w->last_key);
    sl_buf_add(&w->last_key, b);
    if (w->key_hashes != NULL) {
        w->key_hashes[w->group_rows] = sl_xxh64_classic(b);
    }
}

void sl_pq_put_bytes(struct sl_pq_writer *w, uint32_t col, struct sl_bytes b)
{
    uint8_t *at = sl_pq_reserve(w, col, b.len);
    if (at == NULL) {
        return;
    }
    if (b.len > 0) {
        memcpy(at, b.ptr, b.len);
    }
    sl_pq_put_reserved(w, col, b.len);
}

void sl_pq_put_null(struct sl_pq_writer *w, uint32_t col)
{
    sl_pq_put_absent(w, col, 0);
}

void sl_pq_put_absent(struct sl_pq_writer *w, uint32_t col, uint32_t defined)
{
    if (col == SL_PQ_NOWHERE) {
        return;
    }
    struct sli_column *c = &w->columns[col];
    sl_dassert(defined < c->max_def);
    add_entry(c, defined);
    c->page_nulls++;
}

/* A value as large as a page gets one of its own; what is before it closes, unless it is of the
 * same row. */
static bool make_way(struct sl_pq_writer *w, struct sli_column *c, size_t max)
{
    struct sl_err err = {0};
    sl_rc rc = SL_OK;
    if (max > SLI_VALUE_MAX) {
        rc = SL_FAIL(&err, SL_ETOOBIG, "row %llu: column %s: a value of %zu bytes; at most %d fit",
                     (unsigned long long)w->row_count, c->def->name, max, SLI_VALUE_MAX);
    } else if (c->next_rep == 0) {
        rc = sli_column_close_page(c, w->codec, &err);
    }
    poison(w, rc, &err);
    return rc == SL_OK;
}

/* Bytes before a value: the length of a BYTE_ARRAY. */
static uint32_t value_head(const struct sli_column *c)
{
    return c->def->type == SL_PQ_FIXED ? 0 : 4;
}

uint8_t *sl_pq_reserve(struct sl_pq_writer *w, uint32_t col, size_t max)
{
    if (col == SL_PQ_NOWHERE) {
        return NULL;
    }
    struct sli_column *c = &w->columns[col];
    sl_dassert(c->def->type == SL_PQ_BYTE_ARRAY || c->def->type == SL_PQ_FIXED);
    if (SL_UNLIKELY(max >= SLI_PAGE_BYTES) && !make_way(w, c, max)) {
        return NULL;
    }
    uint32_t head = value_head(c);
    uint8_t *at = sl_buf_reserve(&c->page, max + head);
    return at == NULL ? NULL : at + head;
}

void sl_pq_put_reserved(struct sl_pq_writer *w, uint32_t col, size_t len)
{
    struct sli_column *c = &w->columns[col];
    uint32_t head = value_head(c);
    uint8_t *at = c->page.ptr + c->page.len;
    sl_dassert(c->page.cap - c->page.len >= len + head);
    sl_dassert(head > 0 || len == c->def->type_len);
    if (head > 0) {
        sl_put_u32(at, (uint32_t)len);
    }
    c->page.len += len + head;
    struct sl_bytes value = SL_BYTES(at + head, len);
    if (c->def->stats != SL_PQ_STATS_NULLS) {
        see_text(c, value);
    }
    see_key(w, col, value);
    add_entry(c, c->max_def);
}

/* ---- row groups ---- */

static uint64_t group_raw(const struct sl_pq_writer *w)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < w->column_count; i++) {
        bytes += w->columns[i].group_raw + w->columns[i].page.len;
    }
    return bytes;
}

static sl_rc put(struct sl_pq_writer *w, const struct sl_buf *b, struct sl_err *err)
{
    SL_TRY(sl_buf_done(b, err));
    SL_TRY(sl_sink_write(w->sink, sl_buf_view(b), err));
    w->file_offset += b->len;
    return SL_OK;
}

/* Behind its row group, so that no filter waits in memory for the end of the file. */
static sl_rc put_bloom(struct sl_pq_writer *w, struct sl_err *err)
{
    SL_AUTO(sl_buf) filter = SL_BUF_EMPTY;
    if (w->key_hashes == NULL) {
        return SL_OK;
    }
    struct sli_column *c = &w->columns[w->opts.sorted_column];
    struct sli_chunk *chunk = &c->chunks[w->group_count];
    sli_bloom_write(w->key_hashes, w->group_rows, &filter);
    chunk->bloom_at = w->file_offset;
    chunk->bloom_len = (uint32_t)filter.len;
    return put(w, &filter, err);
}

static sl_rc flush_group(struct sl_pq_writer *w, struct sl_err *err)
{
    if (w->group_rows == 0) {
        return SL_OK;
    }
    if (w->group_count == GROUPS_MAX) {
        return SL_FAIL(err, SL_ETOOBIG, "more than %d row groups in one file", GROUPS_MAX);
    }
    struct sli_group *grown =
        sli_grow(w->groups, w->group_count, &w->group_cap, sizeof(*w->groups));
    if (grown == NULL) {
        return SL_NOMEM(err);
    }
    w->groups = grown;
    uint64_t raw = 0;
    for (uint32_t i = 0; i < w->column_count; i++) {
        SL_TRY(sli_column_close_page(&w->columns[i], w->codec, err));
        raw += w->columns[i].group_raw;
    }
    for (uint32_t i = 0; i < w->column_count; i++) {
        SL_TRY(sli_column_flush(&w->columns[i], w->sink, &w->file_offset, err));
    }
    SL_TRY(put_bloom(w, err));
    w->groups[w->group_count++] = (struct sli_group){w->group_rows};
    w->group_rows = 0;
    if (w->opts.raw_bytes != NULL) {
        atomic_fetch_add_explicit(w->opts.raw_bytes, raw, memory_order_relaxed);
    }
    return SL_OK;
}

static sl_rc end_row(struct sl_pq_writer *w, struct sl_err *err)
{
    bool has_closed = false;
    SL_TRY(sl_buf_done(&w->last_key, err));
    for (uint32_t i = 0; i < w->column_count; i++) {
        struct sli_column *c = &w->columns[i];
        sl_dassert(c->page.is_failed || c->group_rows + c->page_rows == w->group_rows);
        if (SL_UNLIKELY(c->page.is_failed || c->min.text.is_failed || c->max.text.is_failed)) {
            return SL_NOMEM(err);
        }
        if (SL_UNLIKELY(sli_column_is_page_full(c))) {
            SL_TRY(sli_column_close_page(c, w->codec, err));
            has_closed = true;
        }
    }
    /* Asked when a page closed: the group's size hardly moves in between, and row counts are cheap.
     */
    if (w->group_rows >= w->opts.group_rows ||
        (has_closed && group_raw(w) >= w->opts.group_bytes)) {
        return flush_group(w, err);
    }
    return SL_OK;
}

sl_rc sl_pq_row_end(struct sl_pq_writer *w, struct sl_err *err)
{
    if (SL_UNLIKELY(w->failure != SL_OK)) {
        return check(w, err);
    }
    w->row_count++;
    w->group_rows++;
    w->failure = end_row(w, &w->failure_err);
    return check(w, err);
}

/* ---- end ---- */

/* All column indexes, then all offset indexes, in the order of row groups and columns. */
static sl_rc write_indexes(struct sl_pq_writer *w, struct sl_err *err)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    for (uint32_t g = 0; g < w->group_count; g++) {
        for (uint32_t i = 0; i < w->column_count; i++) {
            struct sli_column *c = &w->columns[i];
            if (!c->chunks[g].has_index) {
                continue;
            }
            sl_buf_clear(&out);
            sli_column_index_write(c, &c->chunks[g], &out);
            c->chunks[g].column_index_at = w->file_offset;
            c->chunks[g].column_index_len = (uint32_t)out.len;
            SL_TRY(put(w, &out, err));
        }
    }
    for (uint32_t g = 0; g < w->group_count; g++) {
        for (uint32_t i = 0; i < w->column_count; i++) {
            struct sli_column *c = &w->columns[i];
            sl_buf_clear(&out);
            sli_offset_index_write(c, &c->chunks[g], &out);
            c->chunks[g].offset_index_at = w->file_offset;
            c->chunks[g].offset_index_len = (uint32_t)out.len;
            SL_TRY(put(w, &out, err));
        }
    }
    return SL_OK;
}

static sl_rc finish(struct sl_pq_writer *w, const struct sl_pq_kv *kvs, uint32_t kv_count,
                    struct sl_err *err)
{
    SL_TRY(check(w, err));
    SL_TRY(flush_group(w, err));
    SL_TRY(write_indexes(w, err));
    struct sli_footer_in in = {.opts = &w->opts,
                               .columns = w->columns,
                               .column_count = w->column_count,
                               .groups = w->groups,
                               .group_count = w->group_count,
                               .row_count = w->row_count,
                               .kvs = kvs,
                               .kv_count = kv_count};
    SL_AUTO(sl_buf) footer = SL_BUF_EMPTY;
    sli_footer_write(&in, &footer);
    uint32_t len = (uint32_t)footer.len;
    sl_buf_add_u32(&footer, len);
    sl_buf_add(&footer, SL_BYTES(magic, sizeof(magic)));
    return put(w, &footer, err);
}

sl_rc sl_pq_writer_close(struct sl_pq_writer *w, const struct sl_pq_kv *kvs, uint32_t kv_count,
                         struct sl_receipt *ret, struct sl_err *err)
{
    sl_rc rc = finish(w, kvs, kv_count, err);
    if (rc == SL_OK) {
        rc = sl_sink_close(w->sink, ret, err);
    } else {
        sl_sink_abort(w->sink);
    }
    free_writer(w);
    return rc;
}

void sl_pq_writer_abort(struct sl_pq_writer *w)
{
    if (w != NULL) {
        sl_sink_abort(w->sink);
        free_writer(w);
    }
}
