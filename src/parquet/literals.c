/* Zstd frames (RFC 8878) of literals alone, for the bytes of floats and their text.
 *
 * These hold no repetitions, and half of what libzstd spends on them goes into finding that out,
 * into copying them aside and into counting each byte. Here a sample decides for a part whose bytes
 * are alike (a page, a byte plane of one): noise is stored, anything else goes through one Huffman
 * code. Where the sample met every byte, the code is made of it. Where it did not, all are counted;
 * there few bytes make up nearly everything, so they are counted and coded two at a time.
 * The caller gives what looks like more than that to libzstd. Called by codec.c. */
#include "parquet/parquet_int.h"

#define MAGIC        0xFD2FB528u
#define BLOCK_MAX    (128u * 1024)
#define SPAN         (2 * BLOCK_MAX) /* rare bytes of a whole page would lengthen all codes */
#define WINDOW_BYTE  (7u << 3)       /* a window of 128 KiB: nothing refers back */
#define SIZE_OF_FOUR 0x80u           /* the content's size follows in four bytes */
#define CHUNK        64
#define SAMPLE_STEP  1032 /* a chunk in sixteen; no power of two, as sizes of rows are */
#define AHEAD        8    /* steps: the page's bytes have left the nearest cache */
#define LANES        8
#define CODED_LEAST  1024
#define PER_ROUND    5  /* codes of 11 bits that fit into a word beside 7 bits left over */
#define ROUNDS       8  /* between two looks at what room is left */
#define ROUNDS_ROOM  64 /* bytes that these write at most, rounded up to words */
#define STREAM_ROOM  16 /* what a stream leaves of its block, or it is given up */

enum { BLOCK_RAW, BLOCK_RLE, BLOCK_COMPRESSED };
enum { LITERALS_COMPRESSED = 2, LITERALS_TREELESS = 3 };

struct frame {
    uint8_t *at, *last; /* the next byte; the header of the last block */
};

struct code {
    struct sli_huffman h;
    const uint64_t *pairs; /* codes of two bytes, where both occur; NULL: too many do */
};

static uint64_t word_at(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

static uint32_t pair_at(const uint8_t *p)
{
    uint16_t pair;
    memcpy(&pair, p, sizeof(pair));
    return pair;
}

/* ---- what occurs how often ---- */

static void sample_bytes(struct sl_bytes part, uint32_t *counts)
{
    uint32_t lanes[LANES][SLI_BYTES] = {{0}}; /* equal bytes in a row do not wait for each other */
    for (size_t at = 0; at + CHUNK <= part.len; at += SAMPLE_STEP) {
        const uint8_t *p = part.ptr + at;
        __builtin_prefetch(p + AHEAD * SAMPLE_STEP);
        __builtin_prefetch(p + AHEAD * SAMPLE_STEP + CHUNK - 1);
        for (size_t i = 0; i < CHUNK; i += LANES) {
            uint64_t word = word_at(p + i);
            for (uint32_t k = 0; k < LANES; k++) {
                lanes[k][word >> (8 * k) & 0xFF]++;
            }
        }
    }
    for (uint32_t s = 0; s < SLI_BYTES; s++) {
        counts[s] = 0;
        for (uint32_t k = 0; k < LANES; k++) {
            counts[s] += lanes[k][s];
        }
    }
}

/* Of all, two at a time. Returns how many different ones there are. */
static uint32_t count_bytes(struct sl_bytes span, uint32_t *pairs, uint32_t *counts)
{
    memset(pairs, 0, (size_t)SLI_PAIRS * sizeof(*pairs));
    memset(counts, 0, SLI_BYTES * sizeof(*counts));
    size_t i = 0;
    for (; i + 8 <= span.len; i += 8) {
        uint64_t word = word_at(span.ptr + i);
        for (uint32_t k = 0; k < 64; k += 16) {
            pairs[word >> k & 0xFFFF]++;
        }
    }
    for (; i < span.len; i++) {
        counts[span.ptr[i]]++;
    }
    for (uint32_t second = 0; second < SLI_BYTES; second++) {
        const uint32_t *row = pairs + (size_t)SLI_BYTES * second;
        uint32_t sum = 0;
        for (uint32_t first = 0; first < SLI_BYTES; first++) {
            counts[first] += row[first];
            sum += row[first];
        }
        counts[second] += sum;
    }
    uint32_t met = 0;
    for (uint32_t s = 0; s < SLI_BYTES; s++) {
        met += counts[s] > 0;
    }
    return met;
}

/* All bytes nearly as often as each other: a code would take off a 64th at most. Of equal shares
 * the squares add up to 1/256. */
static bool is_noise(const uint32_t *sample, uint32_t bytes)
{
    double squares = 0;
    for (uint32_t s = 0; s < SLI_BYTES; s++) {
        squares += (double)sample[s] * sample[s];
    }
    return squares * SLI_BYTES < (double)bytes * bytes * 1.2;
}

/* ---- the code ---- */

static void join_codes(const uint64_t *codes, uint64_t *pairs)
{
    uint8_t coded[SLI_BYTES];
    uint32_t n = 0;
    for (uint32_t s = 0; s < SLI_BYTES; s++) {
        coded[n] = (uint8_t)s;
        n += codes[s] != 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t second = codes[coded[i]];
        for (uint32_t k = 0; k < n; k++) {
            uint64_t first = codes[coded[k]];
            pairs[coded[k] + SLI_BYTES * coded[i]] =
                ((second >> (first % 64) | first) & SLI_CODE_BITS) + (first + second) % 64;
        }
    }
}

/* false: the format has none. */
static bool make_code(struct sl_bytes span, struct sli_pairs *pairs, struct code *ret)
{
    uint32_t counts[SLI_BYTES];
    if (count_bytes(span, pairs->counts, counts) < 2 || !sli_huffman_build(counts, &ret->h)) {
        return false;
    }
    join_codes(ret->h.codes, pairs->codes);
    ret->pairs = pairs->codes;
    return true;
}

/* ---- blocks ---- */

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

/* One of the four streams of a block, the last byte first. Codes lie at the top of a word and push
 * each other down; their lengths at its bottom are shift counts as they are and, in sum, what they
 * take. */
struct stream {
    uint8_t *to;
    uint64_t acc;  /* its uppermost bits are not written yet */
    uint32_t used; /* how many: 0 to 7 */
};

static inline void put_codes(struct stream *s, uint64_t word, uint64_t lens)
{
    s->acc = s->acc >> (lens % 64) | (word & SLI_CODE_BITS);
    s->used += lens % 64;
    sl_put_u64(s->to, s->acc >> (-s->used % 64));
    s->to += s->used / 8;
    s->used %= 8;
}

/* What is left before p, then a 1 behind the last bit. NULL when it does not end well before `end`.
 */
static uint8_t *end_stream(const uint64_t *codes, const uint8_t *begin, const uint8_t *p,
                           struct stream s, const uint8_t *end)
{
    while (p > begin && end - s.to >= STREAM_ROOM) {
        uint64_t c = codes[*--p];
        put_codes(&s, c, c);
    }
    if (end - s.to < STREAM_ROOM) {
        return NULL;
    }
    *s.to = (uint8_t)((s.acc >> 1 >> (63 - s.used)) | 1u << s.used);
    return s.to + 1;
}

static uint8_t *stream_of_pairs(const struct code *code, struct sl_bytes raw, uint8_t *to,
                                const uint8_t *end)
{
    struct stream s = {.to = to};
    const uint64_t *pairs = code->pairs;
    const uint8_t *p = raw.ptr + raw.len;
    while (p - raw.ptr >= ROUNDS * 4 && end - s.to >= ROUNDS_ROOM + STREAM_ROOM) {
        for (uint32_t i = 0; i < ROUNDS; i++) {
            p -= 4;
            uint64_t later = pairs[pair_at(p + 2)], sooner = pairs[pair_at(p)];
            put_codes(&s, later >> (sooner % 64) | sooner, later + sooner);
        }
    }
    return end_stream(code->h.codes, raw.ptr, p, s, end);
}

static uint8_t *stream_of_bytes(const struct code *code, struct sl_bytes raw, uint8_t *to,
                                const uint8_t *end)
{
    struct stream s = {.to = to};
    const uint64_t *codes = code->h.codes;
    const uint8_t *p = raw.ptr + raw.len;
    while (p - raw.ptr >= ROUNDS * PER_ROUND && end - s.to >= ROUNDS_ROOM + STREAM_ROOM) {
        for (uint32_t i = 0; i < ROUNDS; i++) {
            uint64_t word = 0, lens = 0;
            for (uint32_t k = 0; k < PER_ROUND; k++) {
                uint64_t c = codes[*--p];
                word = word >> (c % 64) | c;
                lens += c;
            }
            put_codes(&s, word, lens);
        }
    }
    return end_stream(codes, raw.ptr, p, s, end);
}

/* false: it came out no smaller. */
static bool add_coded(struct frame *f, const struct code *code, bool has_tree,
                      struct sl_bytes block)
{
    uint8_t *literals = f->at + 3, *end = literals + block.len, *to = literals + 5;
    if (has_tree) {
        memcpy(to, code->h.tree, code->h.tree_len);
        to += code->h.tree_len;
    }
    uint8_t *sizes = to;
    size_t quarter = (block.len + 3) / 4;
    to += 6;
    for (uint32_t i = 0; i < 4; i++) {
        size_t from = i * quarter, len = i < 3 ? quarter : block.len - from;
        struct sl_bytes raw = SL_BYTES(block.ptr + from, len);
        uint8_t *stream = to;
        to = code->pairs != NULL ? stream_of_pairs(code, raw, to, end)
                                 : stream_of_bytes(code, raw, to, end);
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

static void add_coded_blocks(struct frame *f, const struct code *code, struct sl_bytes part)
{
    bool has_tree = false; /* an earlier block brought it */
    for (size_t at = 0; at < part.len; at += BLOCK_MAX) {
        struct sl_bytes block = SL_BYTES(part.ptr + at, SL_MIN((size_t)BLOCK_MAX, part.len - at));
        if (block.len >= CODED_LEAST && add_coded(f, code, !has_tree, block)) {
            has_tree = true;
        } else {
            add_raw(f, block);
        }
    }
}

/* Each span by a code of its own. */
static void add_counted_blocks(struct frame *f, struct sl_bytes part, struct sli_pairs *pairs)
{
    for (size_t at = 0; at < part.len; at += SPAN) {
        struct sl_bytes span = SL_BYTES(part.ptr + at, SL_MIN((size_t)SPAN, part.len - at));
        struct code code;
        if (make_code(span, pairs, &code)) {
            add_coded_blocks(f, &code, span);
        } else {
            add_raw_blocks(f, span);
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

/* ---- parts ---- */

/* is_sole: nothing else may take it; otherwise false: so much of one byte comes in runs. */
static bool add_part(struct frame *f, struct sl_bytes part, bool is_sole, struct sli_pairs *pairs)
{
    if (part.len < CODED_LEAST) {
        add_raw_blocks(f, part);
        return true;
    }
    if (memcmp(part.ptr, part.ptr + 1, part.len - 1) == 0) {
        add_repeated(f, part);
        return true;
    }
    uint32_t sample[SLI_BYTES], bytes = 0, most = 0, met = 0;
    sample_bytes(part, sample);
    for (uint32_t s = 0; s < SLI_BYTES; s++) {
        bytes += sample[s];
        most = SL_MAX(most, sample[s]);
        met += sample[s] > 0;
    }
    if (!is_sole && most > bytes / 4 * 3) {
        return false;
    }
    struct code sampled = {.pairs = NULL};
    if (is_noise(sample, bytes)) {
        add_raw_blocks(f, part);
    } else if (met < SLI_BYTES) {
        add_counted_blocks(f, part, pairs);
    } else if (sli_huffman_build(sample, &sampled.h)) {
        add_coded_blocks(f, &sampled, part);
    } else {
        add_raw_blocks(f, part);
    }
    return true;
}

size_t sli_literals_frame(struct sl_bytes levels, const struct sl_bytes *parts, uint32_t count,
                          struct sli_pairs *pairs, uint8_t *out)
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
    bool is_good = add_part(&f, levels, true, pairs);
    for (uint32_t i = 0; i < count && is_good; i++) {
        is_good = add_part(&f, parts[i], false, pairs);
    }
    if (!is_good) {
        return 0;
    }
    *f.last |= 1;
    return (size_t)(f.at - out);
}
