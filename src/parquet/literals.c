/* Zstd frames (RFC 8878) of literals alone, for the bytes of floats and their text.
 *
 * These hold no repetitions, and half of what libzstd spends on them goes into finding that out,
 * into copying them aside and into counting each byte. Here a sample decides for a part whose bytes
 * are alike (a page, a byte plane of one): noise is stored, anything else goes through one Huffman
 * code. The caller gives what looks like more than that to libzstd. Called by codec.c. */
#include "parquet/parquet_int.h"

#define MAGIC        0xFD2FB528u
#define BLOCK_MAX    (128u * 1024)
#define WINDOW_BYTE  (7u << 3) /* a window of 128 KiB: nothing refers back */
#define SIZE_OF_FOUR 0x80u     /* the content's size follows in four bytes */
#define CHUNK        64
#define SAMPLE_STEP  1032 /* a chunk in sixteen; no power of two, as sizes of rows are */
#define AHEAD        8    /* steps: the page's bytes have left the nearest cache */
#define LANES        8
#define CODED_LEAST  1024
#define PER_ROUND    5 /* codes of 11 bits that fit into a word beside 7 bits left over */

enum { BLOCK_RAW, BLOCK_RLE, BLOCK_COMPRESSED };
enum { LITERALS_COMPRESSED = 2, LITERALS_TREELESS = 3 };

struct frame {
    uint8_t *at, *last; /* the next byte; the header of the last block */
};

/* The number of different bytes. */
static uint32_t count_bytes(struct sl_bytes part, size_t step, uint32_t *counts)
{
    uint32_t lanes[LANES][SLI_BYTES] = {{0}}; /* equal bytes in a row do not wait for each other */
    for (size_t at = 0; at < part.len; at += step) {
        const uint8_t *p = part.ptr + at;
        size_t len = SL_MIN((size_t)CHUNK, part.len - at), i = 0;
        __builtin_prefetch(p + AHEAD * step);
        for (; i + LANES <= len; i += LANES) {
            uint64_t word;
            memcpy(&word, p + i, sizeof(word));
            for (uint32_t k = 0; k < LANES; k++) {
                lanes[k][word >> (8 * k) & 0xFF]++;
            }
        }
        for (; i < len; i++) {
            lanes[0][p[i]]++;
        }
    }
    uint32_t met = 0;
    for (uint32_t s = 0; s < SLI_BYTES; s++) {
        counts[s] = 0;
        for (uint32_t k = 0; k < LANES; k++) {
            counts[s] += lanes[k][s];
        }
        met += counts[s] > 0;
    }
    return met;
}

static uint8_t *begin_block(struct frame *f, uint32_t type, size_t size)
{
    uint32_t header = type << 1 | (uint32_t)size << 3;
    f->last = f->at;
    for (uint32_t i = 0; i < 3; i++) {
        f->at[i] = (uint8_t)(header >> (8 * i));
    }
    return f->at + 3;
}

static void add_raw(struct frame *f, struct sl_bytes block)
{
    uint8_t *to = begin_block(f, BLOCK_RAW, block.len);
    memcpy(to, block.ptr, block.len);
    f->at = to + block.len;
}

/* One of the four streams: the last byte first, behind the last bit a 1. NULL when it does not end
 * well before `end`. Codes lie at the top of a word and push each other down; their lengths at its
 * bottom are shift counts as they are and, in sum, what a round takes. */
static uint8_t *add_stream(const uint64_t *codes, struct sl_bytes raw, uint8_t *to,
                           const uint8_t *end)
{
    uint64_t acc = 0;
    uint32_t used = 0;
    for (const uint8_t *p = raw.ptr + raw.len; p > raw.ptr;) {
        if (SL_UNLIKELY(end - to < 16)) {
            return NULL;
        }
        uint64_t word = 0, sum = 0;
        if (SL_UNLIKELY(p - raw.ptr < PER_ROUND)) {
            uint64_t c = codes[*--p];
            word = c;
            sum = c;
        } else {
            for (uint32_t i = 0; i < PER_ROUND; i++) {
                uint64_t c = codes[*--p];
                word = word >> (c % 64) | c;
                sum += c;
            }
        }
        uint32_t len = sum % 64;
        acc |= word >> (64 - SL_MAX(len, 1u)) << used;
        used += len;
        sl_put_u64(to, acc);
        to += used / 8;
        acc >>= used & ~7u;
        used %= 8;
    }
    *to = (uint8_t)(acc | 1u << used);
    return to + 1;
}

/* false: it came out no smaller. */
static bool add_coded(struct frame *f, const struct sli_huffman *h, bool has_tree,
                      struct sl_bytes block)
{
    uint8_t *literals = f->at + 3, *end = literals + block.len, *to = literals + 5;
    if (has_tree) {
        memcpy(to, h->tree, h->tree_len);
        to += h->tree_len;
    }
    uint8_t *sizes = to;
    size_t quarter = (block.len + 3) / 4;
    to += 6;
    for (uint32_t i = 0; i < 4; i++) {
        size_t from = i * quarter, len = i < 3 ? quarter : block.len - from;
        uint8_t *stream = to;
        to = add_stream(h->codes, SL_BYTES(block.ptr + from, len), to, end);
        if (to == NULL) {
            return false;
        }
        if (i < 3) {
            sl_put_u16(sizes + 2 * (size_t)i, (uint16_t)(to - stream));
        }
    }
    uint64_t header = (has_tree ? LITERALS_COMPRESSED : LITERALS_TREELESS) | 3u << 2 |
                      (uint64_t)block.len << 4 | (uint64_t)(to - literals - 5) << 22;
    for (uint32_t i = 0; i < 5; i++) {
        literals[i] = (uint8_t)(header >> (8 * i));
    }
    *to++ = 0; /* no sequences */
    begin_block(f, BLOCK_COMPRESSED, (size_t)(to - literals));
    f->at = to;
    return true;
}

static void add_raw_blocks(struct frame *f, struct sl_bytes part)
{
    for (size_t at = 0; at < part.len; at += BLOCK_MAX) {
        add_raw(f, SL_BYTES(part.ptr + at, SL_MIN((size_t)BLOCK_MAX, part.len - at)));
    }
}

/* is_for_all: h has a code of every byte; otherwise each block is given its own. */
static void add_coded_blocks(struct frame *f, bool is_for_all, struct sli_huffman *h,
                             struct sl_bytes part)
{
    bool has_tree = false; /* an earlier block brought it */
    for (size_t at = 0; at < part.len; at += BLOCK_MAX) {
        struct sl_bytes block = SL_BYTES(part.ptr + at, SL_MIN((size_t)BLOCK_MAX, part.len - at));
        bool is_coded = block.len >= CODED_LEAST;
        if (is_coded && !is_for_all) {
            uint32_t counts[SLI_BYTES];
            has_tree = false;
            is_coded = count_bytes(block, CHUNK, counts) > 1 && sli_huffman_build(counts, h);
        }
        if (is_coded && add_coded(f, h, !has_tree, block)) {
            has_tree = true;
        } else {
            add_raw(f, block);
        }
    }
}

static void add_repeated(struct frame *f, struct sl_bytes part)
{
    for (size_t at = 0; at < part.len; at += BLOCK_MAX) {
        uint8_t *to = begin_block(f, BLOCK_RLE, SL_MIN((size_t)BLOCK_MAX, part.len - at));
        *to = part.ptr[0];
        f->at = to + 1;
    }
}

/* All bytes nearly as often as each other: a code would take off a 64th at most. Of equal shares
 * the squares add up to 1/256. */
static bool is_noise(const uint32_t *counts, uint32_t bytes)
{
    double squares = 0;
    for (uint32_t s = 0; s < SLI_BYTES; s++) {
        squares += (double)counts[s] * counts[s];
    }
    return squares * SLI_BYTES < (double)bytes * bytes * 1.2;
}

/* is_sole: nothing else may take it; otherwise false: so much of one byte comes in runs. */
static bool add_part(struct frame *f, struct sl_bytes part, bool is_sole)
{
    if (part.len < CODED_LEAST) {
        add_raw_blocks(f, part);
        return true;
    }
    if (memcmp(part.ptr, part.ptr + 1, part.len - 1) == 0) {
        add_repeated(f, part);
        return true;
    }
    uint32_t counts[SLI_BYTES], bytes = 0, most = 0;
    uint32_t met = count_bytes(part, SAMPLE_STEP, counts);
    for (uint32_t s = 0; s < SLI_BYTES; s++) {
        bytes += counts[s];
        most = SL_MAX(most, counts[s]);
    }
    if (!is_sole && most > bytes / 4 * 3) {
        return false;
    }
    struct sli_huffman h;
    bool is_for_all = met == SLI_BYTES;
    if (is_noise(counts, bytes) || (is_for_all && !sli_huffman_build(counts, &h))) {
        add_raw_blocks(f, part);
    } else {
        add_coded_blocks(f, is_for_all, &h, part);
    }
    return true;
}

size_t sli_literals_frame(struct sl_bytes levels, const struct sl_bytes *parts, uint32_t count,
                          uint8_t *out)
{
    size_t len = levels.len;
    for (uint32_t i = 0; i < count; i++) {
        len += parts[i].len;
    }
    sl_assert(len > 0 && len <= UINT32_MAX);
    sl_put_u32(out, MAGIC);
    out[4] = SIZE_OF_FOUR;
    out[5] = WINDOW_BYTE;
    sl_put_u32(out + 6, (uint32_t)len);
    struct frame f = {.at = out + 10};
    bool is_good = add_part(&f, levels, true);
    for (uint32_t i = 0; i < count && is_good; i++) {
        is_good = add_part(&f, parts[i], false);
    }
    if (!is_good) {
        return 0;
    }
    *f.last |= 1;
    return (size_t)(f.at - out);
}
