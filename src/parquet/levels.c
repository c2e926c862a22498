/* Repetition and definition levels: RLE / bit-packing hybrid of v1 pages. Source: Apache Parquet
 * format, Encodings.md, "Run Length Encoding / Bit-Packing Hybrid". */
#include "parquet/parquet_int.h"

#define RUN_MAX 6 /* bytes of a run of up to 2^34 entries */

static size_t put_varint(uint8_t *at, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        at[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    at[n++] = (uint8_t)v;
    return n;
}

static uint8_t level_of(const struct sli_run *run, bool is_rep)
{
    return is_rep ? run->rep : run->def;
}

/* RLE runs; false when they would not fit into `room`. */
static bool add_runs(const struct sli_run *runs, uint32_t run_count, bool is_rep, size_t room,
                     struct sl_buf *out)
{
    size_t start = out->len;
    for (uint32_t i = 0; i < run_count;) {
        uint64_t count = 0;
        uint8_t level = level_of(&runs[i], is_rep);
        for (; i < run_count && level_of(&runs[i], is_rep) == level; i++) {
            count += runs[i].count;
        }
        uint8_t run[RUN_MAX + 5];
        size_t len = put_varint(run, count << 1);
        run[len++] = level;
        if (out->len - start + RUN_MAX > room) {
            out->len = start;
            return false;
        }
        sl_buf_add(out, SL_BYTES(run, len));
    }
    return true;
}

/* One bit-packed run, first entry in the lowest bits, the last group of eight filled with zeros. */
static void add_packed(const struct sli_run *runs, uint32_t run_count, bool is_rep, uint32_t width,
                       uint64_t groups, struct sl_buf *out)
{
    uint8_t head[10];
    sl_buf_add(out, SL_BYTES(head, put_varint(head, groups << 1 | 1)));
    size_t len = groups * width;
    uint8_t *at = sl_buf_reserve(out, len + 1);
    if (at == NULL) {
        return;
    }
    memset(at, 0, len + 1);
    uint64_t bit = 0;
    for (uint32_t i = 0; i < run_count; i++) {
        uint32_t level = level_of(&runs[i], is_rep);
        for (uint32_t k = 0; k < runs[i].count; k++, bit += width) {
            uint32_t shifted = level << bit % 8;
            at[bit / 8] |= (uint8_t)shifted;
            at[bit / 8 + 1] |= (uint8_t)(shifted >> 8);
        }
    }
    out->len += len;
}

void sli_levels_write(const struct sli_run *runs, uint32_t run_count, bool is_rep, uint32_t max,
                      struct sl_buf *out)
{
    uint32_t width = 32 - (uint32_t)__builtin_clz(max);
    uint64_t entries = 0;
    for (uint32_t i = 0; i < run_count; i++) {
        entries += runs[i].count;
    }
    uint64_t groups = (entries + 7) / 8;
    size_t start = out->len;
    sl_buf_add_u32(out, 0);
    if (!add_runs(runs, run_count, is_rep, SL_MAX(groups * width, (uint64_t)8), out)) {
        add_packed(runs, run_count, is_rep, width, groups, out);
    }
    if (!out->is_failed) {
        sl_put_u32(out->ptr + start, (uint32_t)(out->len - start - 4));
    }
}
