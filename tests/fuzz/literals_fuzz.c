/* Pages of any statistics: what literals.c makes of them, libzstd gives back. The input says how
 * often each byte occurs (two bytes a count) and, in its first two, into how many parts the page
 * is cut (the first for levels) and how its bytes are mixed. */
#include <stdlib.h>
#include <zstd.h>

#include "parquet/parquet_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PAGE_MAX = 300000, PARTS_MAX = 5 };

static size_t make_page(const uint8_t *data, size_t size, uint8_t *page)
{
    size_t len = 0;
    for (size_t s = 0; s < SLI_BYTES && 2 * s + 1 < size; s++) {
        size_t count = data[2 * s] | (size_t)data[2 * s + 1] << 8;
        for (size_t i = 0; i < count && len < PAGE_MAX; i++) {
            page[len++] = (uint8_t)s;
        }
    }
    return len;
}

static void mix(uint8_t *page, size_t len, uint64_t state)
{
    for (size_t i = len; state > 0 && i > 1; i--) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        size_t k = (size_t)(state >> 33) % i;
        uint8_t swap = page[i - 1];
        page[i - 1] = page[k];
        page[k] = swap;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    uint8_t *page = malloc(PAGE_MAX), *again = malloc(PAGE_MAX);
    size_t room = ZSTD_compressBound(PAGE_MAX), len = make_page(data + 2, size - 2, page);
    uint8_t *frame = malloc(room);
    sl_assert(page != NULL && again != NULL && frame != NULL);
    mix(page, len, data[1]);
    uint32_t count = 2 + data[0] % (PARTS_MAX - 1);
    struct sl_bytes parts[PARTS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        size_t from = len * i / count;
        parts[i] = SL_BYTES(page + from, len * (i + 1) / count - from);
    }
    static struct sli_pairs pairs;
    size_t got =
        len < 32 * 1024 ? 0 : sli_literals_frame(parts[0], parts + 1, count - 1, &pairs, frame);
    if (got > 0) {
        sl_assert(got <= ZSTD_compressBound(len));
        sl_assert(ZSTD_getFrameContentSize(frame, got) == len);
        sl_assert(ZSTD_decompress(again, len, frame, got) == len);
        sl_assert(memcmp(page, again, len) == 0);
    }
    free(page);
    free(again);
    free(frame);
    return 0;
}
