/* bench-limit ROWS DIMS primary|named|lake: what zstd alone costs on the columns of an export, and,
 * for lake, splitting floats into byte planes.
 *
 * The rows' columns (id, two times, vector bytes, vector text, properties, for lake the typed ones,
 * too) are laid out in memory first; then only their splitting and compression in pages of 1 MiB is
 * timed: libzstd at level 1, of vectors its literals through Huffman and nothing else, as small as
 * the export makes them. No scan, no encoding, no file: this is what the export is compared with.
 * Prints one JSON line.
 */
#define ZSTD_STATIC_LINKING_ONLY /* literal compression mode */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "base/num.h"
#include "data.h"

#define PAGE (1024 * 1024)

enum { ID, CREATED, UPDATED, VECTOR, PROPERTIES, BODY, ACTIVE, RANK, SCORE, TITLE, COLUMNS };
enum kind { PRIMARY, NAMED, LAKE };

static void add_value(struct sl_buf *column, const void *value, size_t len)
{
    sl_buf_add_u32(column, (uint32_t)len);
    sl_buf_add(column, SL_BYTES(value, len));
}

/* The values of data_properties, in their columns. */
static void add_typed(struct sl_buf *columns, struct sl_bytes json)
{
    static const int order[] = {BODY, ACTIVE, RANK, SCORE, TITLE};
    struct sl_json_iter it;
    struct sl_str key;
    struct sl_bytes value;
    sl_assert(sl_json_begin(json, '{', &it));
    for (size_t i = 0; sl_json_next(&it, &key, &value); i++) {
        struct sl_buf *column = &columns[order[i]];
        double number = 0;
        if (value.ptr[0] == '"') {
            add_value(column, value.ptr + 1, value.len - 2);
        } else if (sl_f64_parse(sl_bytes_str(value), &number)) {
            int64_t whole = (int64_t)number;
            sl_buf_add(column, order[i] == RANK ? SL_BYTES(&whole, 8) : SL_BYTES(&number, 8));
        }
    }
}

/* A page of floats becomes a page of their byte planes; a loop that compilers turn into vectors. */
static void split(const uint8_t *restrict from, size_t count, uint8_t *restrict planes)
{
    for (size_t i = 0; i < count; i++) {
        planes[i] = from[4 * i];
        planes[count + i] = from[4 * i + 1];
        planes[2 * count + i] = from[4 * i + 2];
        planes[3 * count + i] = from[4 * i + 3];
    }
}

static void add_row(struct sl_buf *columns, uint64_t n, uint32_t dims, enum kind kind,
                    float *vector, struct sl_buf *text)
{
    uint8_t uuid[SL_UUID_SIZE];
    char id[SL_UUID_TEXT_SIZE];
    data_uuid(n, uuid);
    sl_uuid_format(uuid, id);
    if (kind == LAKE) {
        sl_buf_add(&columns[ID], SL_BYTES(uuid, sizeof(uuid)));
    } else {
        add_value(&columns[ID], id, sizeof(id));
    }
    uint64_t time = (1700000000000 + n) * (kind == LAKE ? 1000 : 1000000);
    sl_buf_add_u64(&columns[CREATED], time);
    sl_buf_add_u64(&columns[UPDATED], time);
    data_vector(n, dims, vector);
    if (kind == NAMED) {
        uint64_t nonfinite = 0;
        sl_buf_clear(text);
        sl_buf_add_text(text, "{\"default\":");
        uint8_t *at = sl_buf_reserve(text, SL_F32_ARRAY_MAX(dims));
        text->len += sl_f32_array_format((const uint8_t *)vector, dims, (char *)at, &nonfinite);
        sl_buf_add_text(text, "}");
        add_value(&columns[VECTOR], text->ptr, text->len);
    } else if (kind == LAKE) {
        sl_buf_add(&columns[VECTOR], SL_BYTES(vector, (size_t)dims * 4));
    } else {
        add_value(&columns[VECTOR], vector, (size_t)dims * 4);
    }
    sl_buf_clear(text);
    data_properties(n, text);
    add_value(&columns[PROPERTIES], text->ptr, text->len);
    if (kind == LAKE) {
        add_typed(columns, sl_buf_view(text));
    }
}

static uint64_t cpu_ns(void)
{
    struct rusage use;
    (void)getrusage(RUSAGE_SELF, &use);
    return (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000000u +
           (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1000u;
}

/* Compresses one column page by page, split first where there is a page for planes; returns the
 * bytes. */
static uint64_t compress(ZSTD_CCtx *ctx, const struct sl_buf *column, uint8_t *planes, uint8_t *out,
                         size_t out_size)
{
    uint64_t bytes = 0;
    for (size_t at = 0; at < column->len; at += PAGE) {
        const uint8_t *page = column->ptr + at;
        size_t len = SL_MIN((size_t)PAGE, column->len - at);
        if (planes != NULL) {
            split(page, len / 4, planes);
            page = planes;
        }
        size_t got = ZSTD_compress2(ctx, out, out_size, page, len);
        sl_assert(!ZSTD_isError(got));
        bytes += got;
    }
    return bytes;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        (void)fputs("usage: bench-limit ROWS DIMS primary|named|lake\n", stderr);
        return 2;
    }
    uint64_t rows = strtoull(argv[1], NULL, 10);
    uint32_t dims = (uint32_t)strtoul(argv[2], NULL, 10);
    enum kind kind = strcmp(argv[3], "named") == 0  ? NAMED
                     : strcmp(argv[3], "lake") == 0 ? LAKE
                                                    : PRIMARY;
    struct sl_buf columns[COLUMNS] = {{0}};
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    float *vector = sl_alloc(dims * sizeof(float));
    ZSTD_CCtx *fast = ZSTD_createCCtx(), *huffman = ZSTD_createCCtx();
    size_t out_size = ZSTD_compressBound(PAGE);
    uint8_t *out = sl_alloc(out_size), *planes = sl_alloc(PAGE);
    sl_assert(vector != NULL && fast != NULL && huffman != NULL && out != NULL && planes != NULL);
    (void)ZSTD_CCtx_setParameter(fast, ZSTD_c_compressionLevel, 1);
    (void)ZSTD_CCtx_setParameter(huffman, ZSTD_c_compressionLevel, -100);
    (void)ZSTD_CCtx_setParameter(huffman, ZSTD_c_literalCompressionMode, ZSTD_lcm_huffman);
    /* In slices, so that the columns of any number of rows fit in memory. */
    uint64_t slice = 20000, bytes = 0, spent = 0;
    for (uint64_t n = 0; n < rows; n += slice) {
        for (uint32_t c = 0; c < COLUMNS; c++) {
            sl_buf_clear(&columns[c]);
        }
        for (uint64_t i = n; i < SL_MIN(n + slice, rows); i++) {
            add_row(columns, i, dims, kind, vector, &text);
        }
        uint64_t begun = cpu_ns();
        for (uint32_t c = 0; c < COLUMNS; c++) {
            bool is_vector = c == VECTOR;
            bytes += compress(is_vector ? huffman : fast, &columns[c],
                              is_vector && kind == LAKE ? planes : NULL, out, out_size);
        }
        spent += cpu_ns() - begun;
    }
    (void)printf(
        "{\"bench\":\"limit\",\"rows\":%llu,\"dims\":%u,\"kind\":\"%s\",\"cpu_us_per_row\":%.3f,"
        "\"bytes_per_row\":%.1f}\n",
        (unsigned long long)rows, dims, argv[3], (double)spent / 1e3 / (double)rows,
        (double)bytes / (double)rows);
    return 0;
}
