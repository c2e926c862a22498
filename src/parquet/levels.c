/* Definition levels of optional columns: bit width 1, RLE / bit-packing hybrid, v1 pages.
 * Source: Apache Parquet format, Encodings.md, "Run Length Encoding / Bit-Packing Hybrid". */
#include "parquet/parquet_int.h"

static size_t put_varint(uint8_t *at, uint32_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        at[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    at[n++] = (uint8_t)v;
    return n;
}

static bool bit(const uint8_t *present, uint32_t row)
{
    return (present[row / 8] >> (row % 8) & 1) != 0;
}

/* RLE runs, or 0 when they would not fit into `room`. */
static size_t put_runs(const uint8_t *present, uint32_t row_count, uint8_t *out, size_t room)
{
    size_t n = 0;
    for (uint32_t row = 0; row < row_count;) {
        uint32_t end = row + 1;
        while (end < row_count && bit(present, end) == bit(present, row)) {
            end++;
        }
        if (n + 6 > room) {
            return 0;
        }
        n += put_varint(out + n, (end - row) << 1);
        out[n++] = bit(present, row);
        row = end;
    }
    return n;
}

size_t sli_levels_write(const uint8_t *present, uint32_t row_count, uint8_t *out)
{
    uint32_t groups = (row_count + 7) / 8;
    size_t n = put_runs(present, row_count, out + 4, SL_MAX((size_t)groups, (size_t)8));
    if (n == 0) {
        n = put_varint(out + 4, groups << 1 | 1);
        memcpy(out + 4 + n, present, groups);
        if (row_count % 8 != 0) {
            out[4 + n + groups - 1] &= (uint8_t)((1U << row_count % 8) - 1);
        }
        n += groups;
    }
    sl_put_u32(out, (uint32_t)n);
    return n + 4;
}
