/* The writer over a memory sink: bytes of tiny files, borders of pages and row groups, failures. */
#include "parquet_fixture.h"

#include "base/str.h"

static const struct sl_pq_node three[] = {
    {"id", SL_PQ_BYTE_ARRAY, SL_PQ_REQUIRED, SL_PQ_STRING, SL_PQ_STATS_FULL, SL_PQ_ZSTD, 0, 0, 0},
    {"n", SL_PQ_INT64, SL_PQ_OPTIONAL, SL_PQ_INT_64, SL_PQ_STATS_FULL, SL_PQ_ZSTD, 0, 0, 0},
    {"v", SL_PQ_BYTE_ARRAY, SL_PQ_OPTIONAL, SL_PQ_NONE, SL_PQ_STATS_NULLS, SL_PQ_ZSTD_HUFFMAN, 0, 0,
     0},
};
enum { ID, N, V };

static struct sl_pq_opts opts_of(const struct sl_pq_node *columns, uint32_t count)
{
    return (struct sl_pq_opts){.nodes = columns,
                               .node_count = count,
                               .zstd_level = 1,
                               .group_bytes = 32u << 20,
                               .group_rows = 122880,
                               .sorted_column = -1};
}

static struct sl_pq_writer *opened(const struct sl_pq_opts *opts, struct mem_sink *m)
{
    struct sl_pq_writer *w = NULL;
    struct sl_err err = {0};
    assert_int_equal(sl_pq_writer_open(opts, &m->base, &w, &err), SL_OK);
    return w;
}

static void closed(struct sl_pq_writer *w)
{
    struct sl_receipt receipt = {0};
    struct sl_err err = {0};
    assert_int_equal(sl_pq_writer_close(w, NULL, 0, &receipt, &err), SL_OK);
}

static int64_t number(json_t *j, const char *key)
{
    json_t *v = json_object_get(j, key);
    assert_true(json_is_integer(v));
    return json_integer_value(v);
}

static json_t *chunk_meta(json_t *footer, size_t group, size_t column)
{
    json_t *g = json_array_get(json_object_get(footer, "row_groups"), group);
    json_t *c = json_array_get(json_object_get(g, "columns"), column);
    json_t *meta = json_object_get(c, "meta");
    assert_non_null(meta);
    return meta;
}

/* Pages of one chunk; returns how many. The caller frees the bodies. */
static size_t pages_of(const struct mem_sink *m, json_t *meta, struct walked_page *pages,
                       size_t max)
{
    size_t at = (size_t)number(meta, "data_page_offset");
    size_t end = at + (size_t)number(meta, "compressed_bytes");
    size_t count = 0;
    while (at < end) {
        assert_true(count < max);
        pages[count] = walk_page(m, at);
        at += pages[count].header_len + pages[count].stored_len;
        count++;
    }
    assert_int_equal(at, end);
    return count;
}

static void free_pages(struct walked_page *pages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(pages[i].body);
    }
}

/* ---- bytes ---- */

/* One INT64 value 42 in a file, spelled out from parquet.thrift, the compact protocol, RFC 8878
 * (a raw block: eight bytes do not compress) and zlib's crc32. */
static void file_of_one_value_is_the_specification_byte_for_byte(void **state)
{
    (void)state;
    static const struct sl_pq_node column = {
        "n", SL_PQ_INT64, SL_PQ_REQUIRED, SL_PQ_INT_64, SL_PQ_STATS_FULL, SL_PQ_ZSTD, 0, 0, 0};
    static const char head[] =
        "50415231"                                     /* PAR1 */
        "150015101522"                                 /* DATA_PAGE, 8 bytes raw, 17 stored */
        "15bab6cde403"                                 /* crc of the 17 bytes below */
        "1c15021500150615060000"                       /* 1 value, PLAIN, RLE, RLE */
        "28b52ffd2008"                                 /* magic, single segment, 8 bytes */
        "4100002a00000000000000"                       /* last raw block and its 8 bytes */
        "191102"                                       /* column index: null_pages */
        "1918082a000000000000001918082a00000000000000" /* min_values, max_values */
        "150219160000"                                 /* ASCENDING, null_counts */
        "191c1608155016000000";                        /* offset index: at 4, 40 bytes, row 0 */
    static const char footer_start[] =
        "1504"                                   /* version 2 */
        "192c4806736368656d61150200"             /* schema: root, 1 child */
        "1504250018016e25244cac1340110000001602" /* INT64 REQUIRED n, INT(64, signed); 1 row */
        "191c191c26001c"                         /* group, chunk, file_offset 0, metadata */
        "1504192500061918016e150c"               /* INT64, PLAIN and RLE, n, ZSTD */
        "1602163e16502608"                       /* 1 value, 31 raw, 40 stored, at 4 */
        "3c360028082a0000000000000018082a00000000000000" /* 0 nulls, max, min */
        "111100191c15001500150200"                       /* both exact; one PLAIN data page */
        "001696011514165815"                             /* offset index at 75, 10; column index */
        "3e00163e160226081650140000"                     /* at 44, 31; totals, ordinal 0 */
        "191c18016b18017600";                            /* k = v */
    SL_AUTO(sl_buf) want = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) part = SL_BUF_EMPTY;
    assert_true(sl_hex_parse(SL_STR(head), &want));
    size_t footer_at = want.len;
    assert_true(sl_hex_parse(SL_STR(footer_start), &part));
    sl_buf_add(&want, sl_buf_view(&part));
    static const char created_by[] = "sluice version " SL_VERSION " (build 0)";
    sl_buf_add_u8(&want, 0x18);
    sl_buf_add_u8(&want, sizeof(created_by) - 1);
    sl_buf_add_text(&want, created_by);
    sl_buf_clear(&part);
    assert_true(sl_hex_parse(SL_STR("191c1c000000"), &part)); /* TYPE_ORDER */
    sl_buf_add(&want, sl_buf_view(&part));
    sl_buf_add_u32(&want, (uint32_t)(want.len - footer_at));
    sl_buf_add_text(&want, "PAR1");

    struct mem_sink m = MEM_SINK;
    struct sl_pq_opts opts = opts_of(&column, 1);
    struct sl_pq_writer *w = opened(&opts, &m);
    struct sl_err err = {0};
    struct sl_pq_kv kv = {SL_STR("k"), SL_STR("v")};
    struct sl_receipt receipt = {0};
    sl_pq_put_i64(w, 0, 42);
    assert_int_equal(sl_pq_row_end(w, &err), SL_OK);
    assert_int_equal(sl_pq_writer_rows(w), 1);
    assert_int_equal(sl_pq_writer_close(w, &kv, 1, &receipt, &err), SL_OK);
    assert_int_equal(receipt.size, want.len);
    assert_int_equal(m.len, want.len);
    assert_memory_equal(m.ptr, want.ptr, want.len);
    mem_sink_fini(&m);
}

static void optional_page_is_levels_then_present_values(void **state)
{
    (void)state;
    struct mem_sink m = MEM_SINK;
    struct sl_pq_opts opts = opts_of(three, 3);
    struct sl_pq_writer *w = opened(&opts, &m);
    struct sl_err err = {0};
    for (int row = 0; row < 3; row++) {
        sl_pq_put_bytes(w, ID, SL_BYTES(&"xyz"[row], 1));
        sl_pq_put_null(w, N);
        if (row == 1) {
            sl_pq_put_null(w, V);
        } else {
            sl_pq_put_bytes(w, V, SL_BYTES("a", row == 0 ? 1 : 0));
        }
        assert_int_equal(sl_pq_row_end(w, &err), SL_OK);
    }
    closed(w);
    json_t *footer = described(&m);
    static const struct {
        size_t len;
        const char *body;
    } want[] = {
        {15, "\1\0\0\0x\1\0\0\0y\1\0\0\0z"},
        {6, "\2\0\0\0\6\0"},                   /* one run of three nulls */
        {15, "\2\0\0\0\3\5\1\0\0\0a\0\0\0\0"}, /* bits 101, "a", "" */
    };
    for (size_t c = 0; c < 3; c++) {
        struct walked_page page = {0};
        assert_int_equal(pages_of(&m, chunk_meta(footer, 0, c), &page, 1), 1);
        assert_int_equal(page.value_count, 3); /* nulls count */
        assert_int_equal(page.raw_len, want[c].len);
        assert_memory_equal(page.body, want[c].body, want[c].len);
        free(page.body);
    }
    json_decref(footer);
    mem_sink_fini(&m);
}

static void file_without_rows_has_schema_and_no_row_group(void **state)
{
    (void)state;
    struct mem_sink m = MEM_SINK;
    struct sl_pq_opts opts = opts_of(three, 3);
    closed(opened(&opts, &m));
    json_t *footer = described(&m);
    assert_int_equal(number(footer, "num_rows"), 0);
    assert_int_equal(json_array_size(json_object_get(footer, "row_groups")), 0);
    assert_int_equal(json_array_size(json_object_get(footer, "schema")), 4);
    assert_int_equal(m.close_count, 1);
    json_decref(footer);
    mem_sink_fini(&m);
}

/* ---- borders ---- */

static void put_row(struct sl_pq_writer *w, uint32_t row, struct sl_bytes v)
{
    char id[16];
    struct sl_err err = {0};
    int len = snprintf(id, sizeof(id), "%08u", row);
    sl_pq_put_bytes(w, ID, SL_BYTES(id, (size_t)len));
    if (row % 3 == 0) {
        sl_pq_put_null(w, N);
    } else {
        sl_pq_put_i64(w, N, -(int64_t)row);
    }
    if (v.ptr == NULL) {
        sl_pq_put_null(w, V);
    } else {
        sl_pq_put_bytes(w, V, v);
    }
    assert_int_equal(sl_pq_row_end(w, &err), SL_OK);
}

static void page_closes_at_20000_rows(void **state)
{
    (void)state;
    struct mem_sink m = MEM_SINK;
    struct sl_pq_opts opts = opts_of(three, 3);
    struct sl_pq_writer *w = opened(&opts, &m);
    for (uint32_t row = 0; row < 40001; row++) {
        put_row(w, row, SL_BYTES(NULL, 0));
    }
    closed(w);
    json_t *footer = described(&m);
    for (size_t c = 0; c < 3; c++) {
        struct walked_page pages[4] = {0};
        assert_int_equal(pages_of(&m, chunk_meta(footer, 0, c), pages, 4), 3);
        assert_int_equal(pages[0].value_count, 20000);
        assert_int_equal(pages[1].value_count, 20000);
        assert_int_equal(pages[2].value_count, 1);
        free_pages(pages, 3);
    }
    json_decref(footer);
    mem_sink_fini(&m);
}

/* Bytes that do not compress, from a fixed seed. */
static uint8_t *noise(size_t len)
{
    uint8_t *p = malloc(len);
    assert_non_null(p);
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        p[i] = (uint8_t)(x >> 32);
    }
    return p;
}

static void page_closes_at_1_mib_with_whole_rows(void **state)
{
    (void)state;
    enum { VALUE = 100000 };
    uint8_t *v = noise(VALUE);
    struct mem_sink m = MEM_SINK;
    struct sl_pq_opts opts = opts_of(three, 3);
    struct sl_pq_writer *w = opened(&opts, &m);
    for (uint32_t row = 0; row < 25; row++) {
        put_row(w, row, SL_BYTES(v, VALUE));
    }
    closed(w);
    json_t *footer = described(&m);
    struct walked_page pages[4] = {0};
    assert_int_equal(pages_of(&m, chunk_meta(footer, 0, V), pages, 4), 3);
    /* 11 values of 100,004 bytes are the first to reach 1,048,576 */
    assert_int_equal(pages[0].value_count, 11);
    assert_int_equal(pages[1].value_count, 11);
    assert_int_equal(pages[2].value_count, 3);
    assert_int_equal(pages[0].raw_len, 11 * (VALUE + 4) + 6);
    free_pages(pages, 3);
    json_decref(footer);
    mem_sink_fini(&m);
    free(v);
}

static void value_as_large_as_a_page_has_a_page_of_its_own(void **state)
{
    (void)state;
    enum { LARGE = 20 << 20 };
    uint8_t *v = noise(LARGE);
    struct mem_sink m = MEM_SINK;
    struct sl_pq_opts opts = opts_of(three, 3);
    opts.group_bytes = 256u << 20;
    struct sl_pq_writer *w = opened(&opts, &m);
    put_row(w, 0, SL_BYTES(v, 10));
    put_row(w, 1, SL_BYTES(v, LARGE));
    put_row(w, 2, SL_BYTES(v, 1 << 20));
    put_row(w, 3, SL_BYTES(v, 20));
    closed(w);
    json_t *footer = described(&m);
    static const size_t lens[] = {10, LARGE, 1 << 20, 20};
    struct walked_page pages[5] = {0};
    assert_int_equal(pages_of(&m, chunk_meta(footer, 0, V), pages, 5), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pages[i].value_count, 1);
        assert_int_equal(pages[i].raw_len, 6 + 4 + lens[i]);
        assert_memory_equal(pages[i].body + 10, v, lens[i]);
    }
    free_pages(pages, 4);
    assert_int_equal(pages_of(&m, chunk_meta(footer, 0, ID), pages, 5), 1);
    free_pages(pages, 1);
    json_decref(footer);
    mem_sink_fini(&m);
    free(v);
}

static void value_beyond_the_page_limit_is_refused_by_row_and_column(void **state)
{
    (void)state;
    struct mem_sink m = MEM_SINK;
    struct sl_pq_opts opts = opts_of(three, 3);
    struct sl_pq_writer *w = opened(&opts, &m);
    struct sl_err err = {0};
    put_row(w, 0, SL_BYTES("a", 1));
    sl_pq_put_bytes(w, ID, SL_BYTES("b", 1));
    sl_pq_put_null(w, N);
    assert_null(sl_pq_reserve(w, V, INT32_MAX - 65536)); /* length and levels do not fit */
    assert_int_equal(sl_pq_row_end(w, &err), SL_ETOOBIG);
    assert_non_null(strstr(err.text, "row 1"));
    assert_non_null(strstr(err.text, "column v"));
    assert_null(sl_pq_reserve(w, V, SIZE_MAX));
    sl_pq_writer_abort(w);
    assert_int_equal(m.abort_count, 1);
    mem_sink_fini(&m);
}

static void row_group_closes_at_its_rows(void **state)
{
    (void)state;
    struct mem_sink m = MEM_SINK;
    struct sl_pq_opts opts = opts_of(three, 3);
    _Atomic uint64_t raw = 0;
    opts.group_rows = 100;
    opts.raw_bytes = &raw;
    struct sl_pq_writer *w = opened(&opts, &m);
    for (uint32_t row = 0; row < 250; row++) {
        put_row(w, row, SL_BYTES("abcd", 4));
        assert_int_equal(raw > 0, row >= 99); /* told as groups end */
    }
    closed(w);
    json_t *footer = described(&m);
    json_t *groups = json_object_get(footer, "row_groups");
    static const int64_t rows[] = {100, 100, 50};
    int64_t total = 0;
    assert_int_equal(json_array_size(groups), 3);
    for (size_t g = 0; g < 3; g++) {
        assert_int_equal(number(json_array_get(groups, g), "num_rows"), rows[g]);
        total += number(json_array_get(groups, g), "total_bytes");
    }
    assert_int_equal(raw, total);
    json_decref(footer);
    mem_sink_fini(&m);
}

static void row_group_closes_at_its_bytes_and_leaves_at_once(void **state)
{
    (void)state;
    enum { VALUE = 200000 };
    uint8_t *v = noise(100 * VALUE);
    struct mem_sink m = MEM_SINK;
    struct sl_pq_opts opts = opts_of(three, 3);
    opts.group_bytes = 4u << 20;
    struct sl_pq_writer *w = opened(&opts, &m);
    for (uint32_t row = 0; row < 100; row++) {
        put_row(w, row, SL_BYTES(v + (size_t)row * VALUE, VALUE));
        /* never more inside than a group, a page and a row */
        assert_true(m.len + opts.group_bytes + (2u << 20) >= (size_t)(row + 1) * VALUE);
    }
    closed(w);
    json_t *footer = described(&m);
    json_t *groups = json_object_get(footer, "row_groups");
    assert_in_range(json_array_size(groups), 4, 5);
    for (size_t g = 0; g + 1 < json_array_size(groups); g++) {
        assert_in_range(number(json_array_get(groups, g), "total_bytes"), 4 << 20,
                        (5 << 20) + 2 * VALUE);
    }
    json_decref(footer);
    mem_sink_fini(&m);
    free(v);
}

/* Readers count row groups in sixteen bits. */
static void row_group_beyond_the_last_ordinal_is_refused(void **state)
{
    (void)state;
    struct mem_sink m = MEM_SINK;
    struct sl_pq_opts opts = opts_of(&three[N], 1);
    struct sl_err err = {0};
    opts.group_rows = 1;
    struct sl_pq_writer *w = opened(&opts, &m);
    for (uint32_t row = 0; row < INT16_MAX; row++) {
        sl_pq_put_i64(w, 0, row);
        assert_int_equal(sl_pq_row_end(w, &err), SL_OK);
    }
    sl_pq_put_i64(w, 0, 0);
    assert_int_equal(sl_pq_row_end(w, &err), SL_ETOOBIG);
    assert_non_null(strstr(err.text, "32767 row groups"));
    sl_pq_writer_abort(w);
    sl_pq_writer_abort(NULL);
    mem_sink_fini(&m);
}

static void memory_bound_is_the_group_and_a_few_pages_a_column(void **state)
{
    (void)state;
    struct sl_pq_opts opts = opts_of(three, 3);
    uint64_t bound = sl_pq_memory_bound(&opts);
    assert_in_range(bound, (32u << 20) + 3 * (2u << 20), (32u << 20) + 3 * (4u << 20));
    opts.group_bytes += 5;
    assert_int_equal(sl_pq_memory_bound(&opts), bound + 5);
}

/* ---- what the footer says ---- */

static void statistics_are_exact_bounds_in_the_order_of_the_type(void **state)
{
    (void)state;
    struct mem_sink m = MEM_SINK;
    struct sl_pq_opts opts = opts_of(three, 3);
    struct sl_pq_writer *w = opened(&opts, &m);
    struct sl_err err = {0};
    static const int64_t numbers[] = {5, INT64_MIN, INT64_MAX, -1};
    static const char *const ids[] = {"b", "", "\xF0\x9F\x98\x80", "ba"}; /* unsigned bytes */
    for (size_t i = 0; i < 4; i++) {
        sl_pq_put_bytes(w, ID, sl_str_bytes(sl_str_from(ids[i])));
        sl_pq_put_i64(w, N, numbers[i]);
        sl_pq_put_bytes(w, V, SL_BYTES("never told", 10));
        assert_int_equal(sl_pq_row_end(w, &err), SL_OK);
    }
    closed(w);
    json_t *footer = described(&m);
    json_t *id = json_object_get(chunk_meta(footer, 0, ID), "statistics");
    assert_string_equal(json_string_value(json_object_get(id, "min")), "");
    assert_string_equal(json_string_value(json_object_get(id, "max")), "\xF0\x9F\x98\x80");
    json_t *n = json_object_get(chunk_meta(footer, 0, N), "statistics");
    assert_int_equal(number(n, "min"), INT64_MIN);
    assert_int_equal(number(n, "max"), INT64_MAX);
    json_t *v = json_object_get(chunk_meta(footer, 0, V), "statistics");
    assert_int_equal(number(v, "null_count"), 0);
    assert_null(json_object_get(v, "min"));
    json_decref(footer);
    mem_sink_fini(&m);
}

static void chunk_of_nulls_has_a_count_and_no_bounds(void **state)
{
    (void)state;
    struct mem_sink m = MEM_SINK;
    struct sl_pq_opts opts = opts_of(three, 3);
    struct sl_pq_writer *w = opened(&opts, &m);
    struct sl_err err = {0};
    for (int row = 0; row < 20001; row++) {
        sl_pq_put_bytes(w, ID, SL_BYTES("x", 1));
        sl_pq_put_null(w, N);
        sl_pq_put_null(w, V);
        assert_int_equal(sl_pq_row_end(w, &err), SL_OK);
    }
    closed(w);
    json_t *footer = described(&m);
    for (size_t c = N; c <= V; c++) {
        json_t *stats = json_object_get(chunk_meta(footer, 0, c), "statistics");
        assert_int_equal(number(stats, "null_count"), 20001);
        assert_null(json_object_get(stats, "min"));
        assert_null(json_object_get(stats, "max"));
    }
    json_decref(footer);
    mem_sink_fini(&m);
}

/* The index of a chunk of three pages whose bounds are given; field 4 is the boundary order. */
static void assert_order(const char *first, const char *second, const char *third, uint8_t want)
{
    const char *texts[] = {first, second, third};
    struct sli_page_entry entries[3] = {0};
    struct sli_column c = {.def = &three[ID], .entries = entries};
    struct sli_chunk chunk = {.page_count = 3};
    for (size_t i = 0; i < 3; i++) {
        struct sl_bytes b = sl_str_bytes(sl_str_from(texts[i]));
        entries[i] = (struct sli_page_entry){.entry_count = 1,
                                             .null_count = texts[i] == NULL,
                                             .min_at = c.bounds.len,
                                             .max_at = c.bounds.len,
                                             .min_len = b.len,
                                             .max_len = b.len};
        sl_buf_add(&c.bounds, b);
    }
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    sli_column_index_write(&c, &chunk, &out);
    assert_false(out.is_failed);
    /* ..., 15 <order>, null_counts: 19 36 and three bytes, stop */
    assert_true(out.len > 8);
    assert_int_equal(out.ptr[out.len - 8], 0x15);
    assert_int_equal(out.ptr[out.len - 7], want);
    sl_buf_fini(&c.bounds);
}

static void page_index_claims_an_order_only_where_there_is_one(void **state)
{
    (void)state;
    assert_order("a", "b", "c", 2); /* zigzag 1: ASCENDING */
    assert_order("a", "a", "a", 2);
    assert_order("a", "ab", "b", 2);
    assert_order("a", "c", "b", 0); /* UNORDERED */
    assert_order("a", NULL, "b", 0);
}

static void equal_rows_make_equal_bytes(void **state)
{
    (void)state;
    uint8_t *v = noise(3000);
    struct mem_sink a = MEM_SINK, b = MEM_SINK;
    struct sl_pq_opts opts = opts_of(three, 3);
    opts.group_bytes = 4u << 20;
    struct sl_pq_writer *first = opened(&opts, &a);
    for (uint32_t row = 0; row < 5000; row++) {
        put_row(first, row, SL_BYTES(v, row % 3000));
    }
    closed(first);
    /* The same through room filled in place, generously asked for and in another column order. */
    struct sl_pq_writer *second = opened(&opts, &b);
    for (uint32_t row = 0; row < 5000; row++) {
        char id[16];
        struct sl_err err = {0};
        int len = snprintf(id, sizeof(id), "%08u", row);
        uint8_t *at = sl_pq_reserve(second, V, 10000);
        assert_non_null(at);
        memcpy(at, v, row % 3000);
        sl_pq_put_reserved(second, V, row % 3000);
        if (row % 3 == 0) {
            sl_pq_put_null(second, N);
        } else {
            sl_pq_put_i64(second, N, -(int64_t)row);
        }
        sl_pq_put_bytes(second, ID, SL_BYTES(id, (size_t)len));
        assert_int_equal(sl_pq_row_end(second, &err), SL_OK);
    }
    closed(second);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.ptr, b.ptr, a.len);
    mem_sink_fini(&a);
    mem_sink_fini(&b);
    free(v);
}

static void huffman_profile_shrinks_floats_and_can_be_switched_off(void **state)
{
    (void)state;
    enum { FLOATS = 1536, ROWS = 400 };
    uint8_t *random = noise(FLOATS * ROWS * 2);
    size_t sizes[2] = {0};
    for (int is_off = 0; is_off < 2; is_off++) {
        struct mem_sink m = MEM_SINK;
        struct sl_pq_opts opts = opts_of(three, 3);
        opts.is_huffman_off = is_off;
        struct sl_pq_writer *w = opened(&opts, &m);
        for (uint32_t row = 0; row < ROWS; row++) {
            float v[FLOATS];
            for (uint32_t i = 0; i < FLOATS; i++) {
                uint16_t u = 0;
                memcpy(&u, random + ((size_t)row * FLOATS + i) * 2, 2);
                v[i] = ((float)u - 32767.5f) / 65536.0f / 3.0f;
            }
            put_row(w, row, SL_BYTES(v, sizeof(v)));
        }
        closed(w);
        json_t *footer = described(&m);
        sizes[is_off] = (size_t)number(chunk_meta(footer, 0, V), "compressed_bytes");
        json_decref(footer);
        mem_sink_fini(&m);
    }
    assert_true(sizes[0] < FLOATS * ROWS * 4 / 100 * 97);
    assert_true(sizes[1] < FLOATS * ROWS * 4);
    assert_int_not_equal(sizes[0], sizes[1]);
    free(random);
}

/* Bytes in blocks that Zstd stored as they were; RFC 8878, sections 3.1.1.1 and 3.1.1.2. */
static size_t raw_block_bytes(const uint8_t *frame)
{
    static const size_t content_sizes[] = {0, 2, 4, 8};
    size_t raw = 0;
    bool is_single = (frame[4] & 0x20) != 0, is_last = false;
    assert_int_equal(frame[4] & 0x07, 0); /* neither checksum nor dictionary */
    size_t at = 5 + !is_single + content_sizes[frame[4] >> 6] + (is_single && frame[4] >> 6 == 0);
    while (!is_last) {
        uint32_t head = frame[at] | (uint32_t)frame[at + 1] << 8 | (uint32_t)frame[at + 2] << 16;
        uint32_t type = head >> 1 & 3, size = head >> 3;
        is_last = (head & 1) != 0;
        raw += type == 0 ? size : 0;
        at += 3 + (type == 1 ? 1 : size); /* type 1: one byte, repeated */
    }
    return raw;
}

/* Three planes of noise and one that shrinks: no block holds bytes of two of them, or the noise
 * next to the fourth plane would be coded, too. */
static void byte_planes_are_compressed_each_for_itself(void **state)
{
    (void)state;
    enum { ROWS = 20000 };
    static const struct sl_pq_node floats = {
        "f", SL_PQ_FLOAT, SL_PQ_OPTIONAL, SL_PQ_NONE, SL_PQ_STATS_NULLS, SL_PQ_SPLIT, 0, 0, 0};
    struct mem_sink m = MEM_SINK;
    struct sl_pq_opts opts = opts_of(&floats, 1);
    struct sl_pq_writer *w = opened(&opts, &m);
    uint8_t *bytes = noise(ROWS * 4);
    for (size_t row = 0; row < ROWS; row++) {
        bytes[row * 4 + 3] = 0x3C + (bytes[row * 4 + 3] & 3);
        sl_pq_put_array(w, 0, SL_BYTES(bytes + row * 4, 4));
        assert_int_equal(sl_pq_row_end(w, NULL), SL_OK);
    }
    closed(w);
    json_t *footer = described(&m);
    struct walked_page page;
    assert_int_equal(pages_of(&m, chunk_meta(footer, 0, 0), &page, 1), 1);
    size_t levels_len = page.raw_len - ROWS * 4;
    assert_true(page.is_split);
    for (size_t i = 0; i < ROWS * 4; i++) {
        assert_int_equal(page.body[levels_len + i % 4 * ROWS + i / 4], bytes[i]);
    }
    assert_int_equal(raw_block_bytes(m.ptr + page.offset + page.header_len), levels_len + 3 * ROWS);
    free_pages(&page, 1);
    json_decref(footer);
    mem_sink_fini(&m);
    free(bytes);
}

/* ---- failures ---- */

static void key_that_does_not_rise_is_refused(void **state)
{
    (void)state;
    static const char *const second[] = {"k1", "k0", "k", ""};
    for (size_t i = 0; i < SL_COUNT_OF(second); i++) {
        struct mem_sink m = MEM_SINK;
        struct sl_pq_opts opts = opts_of(three, 1);
        opts.sorted_column = 0;
        struct sl_pq_writer *w = opened(&opts, &m);
        struct sl_err err = {0};
        sl_pq_put_bytes(w, ID, SL_BYTES("k1", 2));
        assert_int_equal(sl_pq_row_end(w, &err), SL_OK);
        sl_pq_put_bytes(w, ID, sl_str_bytes(sl_str_from(second[i])));
        assert_int_equal(sl_pq_row_end(w, &err), SL_ECORRUPT);
        assert_non_null(strstr(err.text, "row 1"));
        /* The failure stays, and nothing that looks like a file is left. */
        struct sl_receipt receipt = {0};
        struct sl_err again = {0};
        assert_int_equal(sl_pq_row_end(w, NULL), SL_ECORRUPT);
        assert_int_equal(sl_pq_writer_close(w, NULL, 0, &receipt, &again), SL_ECORRUPT);
        assert_string_equal(again.text, err.text);
        assert_int_equal(m.close_count, 0);
        assert_int_equal(m.abort_count, 1);
        mem_sink_fini(&m);
    }
}

static void rising_key_is_declared_in_the_row_group(void **state)
{
    (void)state;
    struct mem_sink m = MEM_SINK;
    struct sl_pq_opts opts = opts_of(three, 3);
    opts.sorted_column = 0;
    opts.group_rows = 10;
    struct sl_pq_writer *w = opened(&opts, &m);
    for (uint32_t row = 0; row < 20; row++) {
        put_row(w, row, SL_BYTES(NULL, 0));
    }
    closed(w);
    json_t *footer = described(&m);
    json_t *groups = json_object_get(footer, "row_groups");
    assert_int_equal(json_array_size(groups), 2);
    for (size_t g = 0; g < 2; g++) {
        json_t *sorting = json_object_get(json_array_get(groups, g), "sorting_columns");
        assert_int_equal(number(json_array_get(sorting, 0), "column"), 0);
    }
    json_decref(footer);
    mem_sink_fini(&m);
}

/* A small file of several row groups, from open to close. */
static sl_rc write_file(struct mem_sink *m, const uint8_t *v, struct sl_err *err)
{
    struct sl_pq_opts opts = opts_of(three, 3);
    opts.group_rows = 7;
    opts.sorted_column = 0;
    opts.has_arrow_schema = true;
    opts.has_bloom = true;
    SL_AUTO_PTR(sl_pq_writer) w = NULL;
    sl_rc rc = sl_pq_writer_open(&opts, &m->base, &w, err);
    if (rc != SL_OK) {
        assert_null(w);
        assert_int_equal(m->abort_count, 0); /* the sink is still the caller's */
        sl_sink_abort(&m->base);
        return rc;
    }
    for (uint32_t row = 0; row < 30; row++) {
        char id[8];
        int len = snprintf(id, sizeof(id), "%04u", row);
        sl_pq_put_bytes(w, ID, SL_BYTES(id, (size_t)len));
        sl_pq_put_i64(w, N, row);
        sl_pq_put_bytes(w, V, SL_BYTES(v, row == 20 ? 3u << 20 : 100));
        SL_TRY(sl_pq_row_end(w, err));
    }
    struct sl_pq_kv kv = {SL_STR("k"), SL_STR("v")};
    struct sl_receipt receipt = {0};
    return sl_pq_writer_close(sl_move(&w), &kv, 1, &receipt, err);
}

static void failing_sink_is_aborted_once_and_never_gets_a_footer(void **state)
{
    (void)state;
    uint8_t *v = noise(3 << 20);
    int64_t live = sl_mem_live();
    for (int64_t n = 0;; n++) {
        struct mem_sink m = MEM_SINK;
        struct sl_err err = {0};
        m.good_writes = n;
        sl_rc rc = write_file(&m, v, &err);
        assert_int_equal(sl_mem_live(), live);
        assert_int_equal(m.abort_count + m.close_count, 1);
        if (rc == SL_OK) {
            assert_int_equal(m.close_count, 1);
            assert_true(n > 30);
            mem_sink_fini(&m);
            break;
        }
        assert_int_equal(rc, SL_ENOSPACE);
        assert_string_equal(err.text, "the sink is full");
        assert_int_equal(m.abort_count, 1);
        assert_true(m.len <= 4 || memcmp(m.ptr + m.len - 4, "PAR1", 4) != 0);
        mem_sink_fini(&m);
    }
    free(v);
}

static void sink_that_does_not_close_fails_the_writer(void **state)
{
    (void)state;
    uint8_t *v = noise(3 << 20);
    struct mem_sink m = MEM_SINK;
    struct sl_err err = {0};
    m.is_close_bad = true;
    assert_int_equal(write_file(&m, v, &err), SL_EIO);
    assert_int_equal(m.abort_count, 0); /* a failed close has aborted */
    mem_sink_fini(&m);
    free(v);
}

static void every_refused_allocation_is_told_and_leaves_nothing(void **state)
{
    (void)state;
    uint8_t *v = noise(3 << 20);
    struct mem_sink last = MEM_SINK, good = MEM_SINK;
    struct sl_err err = {0};
    int64_t live = sl_mem_live();
    int64_t n = 0;
    for (sl_rc rc = SL_ENOMEM; rc != SL_OK; n++) {
        mem_sink_fini(&last);
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        rc = write_file(&last, v, &err);
        sl_fault_clear();
        assert_int_equal(sl_mem_live(), live);
        assert_true(rc == SL_OK || rc == SL_ENOMEM);
        assert_int_equal(last.abort_count, rc != SL_OK);
        assert_int_equal(last.close_count, rc == SL_OK);
    }
    assert_true(n > 30);
    /* No refusal changed what later files look like. */
    assert_int_equal(write_file(&good, v, &err), SL_OK);
    assert_int_equal(last.len, good.len);
    assert_memory_equal(last.ptr, good.ptr, good.len);
    mem_sink_fini(&last);
    mem_sink_fini(&good);
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_of_one_value_is_the_specification_byte_for_byte),
        cmocka_unit_test(optional_page_is_levels_then_present_values),
        cmocka_unit_test(file_without_rows_has_schema_and_no_row_group),
        cmocka_unit_test(page_closes_at_20000_rows),
        cmocka_unit_test(page_closes_at_1_mib_with_whole_rows),
        cmocka_unit_test(value_as_large_as_a_page_has_a_page_of_its_own),
        cmocka_unit_test(value_beyond_the_page_limit_is_refused_by_row_and_column),
        cmocka_unit_test(row_group_closes_at_its_rows),
        cmocka_unit_test(row_group_closes_at_its_bytes_and_leaves_at_once),
        cmocka_unit_test(row_group_beyond_the_last_ordinal_is_refused),
        cmocka_unit_test(memory_bound_is_the_group_and_a_few_pages_a_column),
        cmocka_unit_test(statistics_are_exact_bounds_in_the_order_of_the_type),
        cmocka_unit_test(chunk_of_nulls_has_a_count_and_no_bounds),
        cmocka_unit_test(page_index_claims_an_order_only_where_there_is_one),
        cmocka_unit_test(equal_rows_make_equal_bytes),
        cmocka_unit_test(huffman_profile_shrinks_floats_and_can_be_switched_off),
        cmocka_unit_test(byte_planes_are_compressed_each_for_itself),
        cmocka_unit_test(key_that_does_not_rise_is_refused),
        cmocka_unit_test(rising_key_is_declared_in_the_row_group),
        cmocka_unit_test(failing_sink_is_aborted_once_and_never_gets_a_footer),
        cmocka_unit_test(sink_that_does_not_close_fails_the_writer),
        cmocka_unit_test(every_refused_allocation_is_told_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
