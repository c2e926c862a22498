/* Huffman codes as Zstd stores them (RFC 8878, 4.2): from how often each byte occurs to its code,
 * and the description of the code that stands in front of what it coded. Called by literals.c. */
#include "parquet/parquet_int.h"

#include <stdlib.h>

#define STATES_LOG 6 /* of the FSE table for weights: the most the format allows */
#define STATES     (1u << STATES_LOG)
#define WEIGHTS    (SLI_CODE_LEN_MAX + 1)
#define DIRECT_MAX 128 /* weights that can be told in half a byte each */

/* ---- the code ---- */

struct ranked {
    uint32_t count;
    uint8_t byte;
};

static int by_count(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count ? -1 : 1) : x->byte - y->byte;
}

/* Depths of the n leaves, least count first, in Huffman's tree. Nodes are made in ascending order,
 * so the two least of all are always at the heads of two queues. */
static void depths_of(const struct ranked *leaves, uint32_t n, uint32_t *depth)
{
    uint32_t sums[SLI_BYTES], parent[2 * SLI_BYTES], leaf = 0, inner = 0;
    for (uint32_t made = 0; made + 1 < n; made++) {
        sums[made] = 0;
        for (int side = 0; side < 2; side++) {
            bool is_leaf = leaf < n && (inner == made || leaves[leaf].count <= sums[inner]);
            sums[made] += is_leaf ? leaves[leaf].count : sums[inner];
            parent[is_leaf ? leaf++ : n + inner++] = n + made;
        }
    }
    uint32_t root = 2 * n - 2;
    depth[root] = 0;
    for (uint32_t i = root; i-- > 0;) {
        depth[i] = depth[parent[i]] + 1;
    }
}

/* Lengths become codes: those of one length are consecutive in the order of their bytes, the
 * longest begin with 0. */
static void number_codes(struct sli_huffman *h)
{
    uint32_t count[SLI_CODE_LEN_MAX + 1] = {0}, next[SLI_CODE_LEN_MAX + 1] = {0}, start = 0;
    for (uint32_t s = 0; s < SLI_BYTES; s++) {
        count[h->codes[s]]++;
    }
    for (uint32_t len = SLI_CODE_LEN_MAX; len > 0; len--) {
        next[len] = start;
        start = (start + count[len]) >> 1;
    }
    for (uint32_t s = 0; s < SLI_BYTES; s++) {
        uint64_t len = h->codes[s];
        h->codes[s] = len == 0 ? 0 : (uint64_t)next[len]++ << (64 - len) | len;
    }
}

/* ---- its description ---- */

struct bits {
    uint8_t *at;
    uint64_t acc;
    uint32_t used;
};

static void put_bits(struct bits *b, uint64_t value, uint32_t len)
{
    b->acc |= value << b->used;
    for (b->used += len; b->used >= 8; b->used -= 8) {
        *b->at++ = (uint8_t)b->acc;
        b->acc >>= 8;
    }
}

static uint8_t *end_bits(struct bits *b)
{
    if (b->used > 0) {
        *b->at++ = (uint8_t)b->acc;
    }
    return b->at;
}

static uint32_t log2_of(uint32_t v)
{
    return 31u - (uint32_t)__builtin_clz(v);
}

/* Shares of the STATES states, in proportion, at least one for what occurs. */
static void share_states(const uint8_t *weights, uint32_t n, uint32_t *share)
{
    uint32_t count[WEIGHTS] = {0}, sum = 0, most = 0;
    for (uint32_t i = 0; i < n; i++) {
        count[weights[i]]++;
    }
    for (uint32_t w = 0; w < WEIGHTS; w++) {
        share[w] = count[w] == 0 ? 0 : SL_MAX(1u, count[w] * STATES / n);
        sum += share[w];
        most = share[w] > share[most] ? w : most;
    }
    share[most] += STATES - sum;
}

/* RFC 8878, 4.1.1: each share in as many bits as what is left needs, zeros in runs. */
static uint8_t *write_shares(const uint32_t *share, uint8_t *to)
{
    struct bits b = {.at = to};
    put_bits(&b, STATES_LOG - 5, 4);
    uint32_t left = STATES;
    for (uint32_t w = 0; left > 0; w++) {
        uint32_t most = left + 1, value = share[w] + 1, len = log2_of(most) + 1;
        uint32_t half = 1u << (len - 1), short_ones = 2 * half - 1 - most;
        bool is_short = value < short_ones;
        put_bits(&b, value < half ? value : value + short_ones, is_short ? len - 1 : len);
        left -= share[w];
        if (share[w] == 0) {
            uint32_t more = 0;
            while (share[w + 1 + more] == 0) {
                more++;
            }
            w += more;
            for (; more >= 3; more -= 3) {
                put_bits(&b, 3, 2);
            }
            put_bits(&b, more, 2);
        }
    }
    return end_bits(&b);
}

/* The weights by two FSE states in turn, last weight first. The state a weight begins with is the
 * one from which the decoder would need most bits: so it knows that there are no more. */
static uint8_t *write_states(const uint8_t *weights, uint32_t n, const uint32_t *share, uint8_t *to)
{
    uint8_t weight_of[STATES], places[STATES];
    uint32_t begin[WEIGHTS], filled[WEIGHTS] = {0}, at = 0, sum = 0;
    for (uint32_t w = 0; w < WEIGHTS; w++) {
        begin[w] = sum;
        sum += share[w];
        for (uint32_t i = 0; i < share[w]; i++) {
            weight_of[at] = (uint8_t)w;
            at = (at + STATES / 2 + STATES / 8 + 3) % STATES;
        }
    }
    for (uint32_t i = 0; i < STATES; i++) {
        uint32_t w = weight_of[i];
        places[begin[w] + filled[w]++] = (uint8_t)i;
    }
    struct bits b = {.at = to};
    uint32_t state[2] = {0};
    for (uint32_t i = n; i-- > 0;) {
        uint32_t w = weights[i], nth = 0, *x = &state[i % 2];
        if (i + 2 < n) {
            uint32_t len = STATES_LOG - log2_of(share[w]);
            len -= *x >> len < share[w];
            put_bits(&b, *x & ((1u << len) - 1), len);
            nth = (*x >> len) - share[w];
        }
        *x = STATES + places[begin[w] + nth];
    }
    put_bits(&b, state[1] - STATES, STATES_LOG);
    put_bits(&b, state[0] - STATES, STATES_LOG);
    put_bits(&b, 1, 1);
    return end_bits(&b);
}

/* RFC 8878, 4.2.1: weights of all bytes below the highest that has a code. */
static bool describe(struct sli_huffman *h, uint32_t len_max)
{
    uint8_t weights[SLI_BYTES];
    uint32_t n = 0;
    for (uint32_t s = 0; s < SLI_BYTES; s++) {
        uint32_t len = sli_code_len(h->codes[s]);
        weights[s] = len == 0 ? 0 : (uint8_t)(len_max + 1 - len);
        n = weights[s] == 0 ? n : s;
    }
    if (n <= DIRECT_MAX) {
        h->tree[0] = (uint8_t)(127 + n);
        h->tree_len = 1 + (n + 1) / 2;
        weights[n] = 0;
        for (uint32_t i = 0; i < n; i += 2) {
            h->tree[1 + i / 2] = (uint8_t)(weights[i] << 4 | weights[i + 1]);
        }
        return true;
    }
    uint32_t share[WEIGHTS];
    share_states(weights, n, share);
    for (uint32_t w = 0; w < WEIGHTS; w++) {
        if (share[w] == STATES) {
            return false; /* one weight alone: FSE has no form for it */
        }
    }
    uint8_t *end = write_states(weights, n, share, write_shares(share, h->tree + 1));
    h->tree_len = (uint32_t)(end - h->tree);
    h->tree[0] = (uint8_t)(h->tree_len - 1);
    return h->tree_len - 1 < 128;
}

bool sli_huffman_build(const uint32_t *counts, struct sli_huffman *h)
{
    struct ranked leaves[SLI_BYTES];
    uint32_t n = 0, depth[2 * SLI_BYTES];
    for (uint32_t s = 0; s < SLI_BYTES; s++) {
        if (counts[s] > 0) {
            leaves[n++] = (struct ranked){.count = counts[s], .byte = (uint8_t)s};
        }
    }
    sl_assert(n >= 2);
    qsort(leaves, n, sizeof(*leaves), by_count);
    depths_of(leaves, n, depth);
    while (depth[0] > SLI_CODE_LEN_MAX) { /* rare bytes become less rare, until the tree is flat */
        for (uint32_t i = 0; i < n; i++) {
            leaves[i].count = leaves[i].count / 2 + 1;
        }
        depths_of(leaves, n, depth);
    }
    memset(h->codes, 0, sizeof(h->codes));
    for (uint32_t i = 0; i < n; i++) {
        h->codes[leaves[i].byte] = depth[i];
    }
    number_codes(h);
    return describe(h, depth[0]);
}
