/* The open page of a SL_PQ_SPLIT column, BYTE_STREAM_SPLIT from the start: byte k of each float
 * goes to plane k as it comes, while the row is still in the nearest cache.
 *
 * Planes lie plane_stride bytes apart and are moved together when the page closes. The stride is
 * then what that page had, so that with vectors of one length nothing moves from the second page
 * on. Called by writer.c and column.c. */
#include "parquet/parquet_int.h"

typedef uint8_t lanes __attribute__((vector_size(16)));
#define EVEN(a, b) \
    __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define ODD(a, b) \
    __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)

/* The even bytes of the even bytes are plane 0, and so on. */
static void split_floats(const uint8_t *from, size_t count, uint8_t *to, size_t stride)
{
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        lanes v[4];
        memcpy(v, from + i * 4, sizeof(v));
        lanes even_low = EVEN(v[0], v[1]), even_high = EVEN(v[2], v[3]);
        lanes odd_low = ODD(v[0], v[1]), odd_high = ODD(v[2], v[3]);
        lanes planes[4] = {EVEN(even_low, even_high), EVEN(odd_low, odd_high),
                           ODD(even_low, even_high), ODD(odd_low, odd_high)};
        for (size_t k = 0; k < 4; k++) {
            memcpy(to + k * stride + i, &planes[k], sizeof(planes[k]));
        }
    }
    for (; i < count; i++) {
        for (size_t k = 0; k < 4; k++) {
            to[k * stride + i] = from[i * 4 + k];
        }
    }
}

static uint8_t *planes_of(const struct sli_column *c)
{
    return c->page.ptr + SLI_LEVELS_ROOM;
}

static size_t float_count(const struct sli_column *c)
{
    return (c->page.len - SLI_LEVELS_ROOM) / SLI_PLANES;
}

/* From the far end when they move apart, from the near one when together. */
static void set_stride(struct sli_column *c, size_t stride)
{
    size_t len = float_count(c);
    for (size_t i = 1; i < SLI_PLANES && stride != c->plane_stride; i++) {
        size_t k = stride > c->plane_stride ? SLI_PLANES - i : i;
        memmove(planes_of(c) + k * stride, planes_of(c) + k * c->plane_stride, len);
    }
    c->plane_stride = stride;
}

static bool make_room(struct sli_column *c, size_t count)
{
    size_t stride = SL_MAX(count, c->plane_stride + c->plane_stride / 2);
    size_t size = SLI_LEVELS_ROOM + stride * SLI_PLANES;
    if (sl_buf_reserve(&c->page, size - c->page.len) == NULL) {
        return false;
    }
    set_stride(c, stride);
    return true;
}

void sli_planes_put(struct sli_column *c, struct sl_bytes floats)
{
    size_t at = float_count(c), count = floats.len / SLI_PLANES;
    if (at + count <= c->plane_stride || make_room(c, at + count)) {
        split_floats(floats.ptr, count, planes_of(c) + at, c->plane_stride);
        c->page.len += floats.len;
    }
}

void sli_planes_close(struct sli_column *c)
{
    set_stride(c, float_count(c));
}
