/* Checksums over libdeflate and xxHash.
 *
 * xxHash is compiled in from its header: the streaming state then is ours to allocate (through
 * base/mem, so that the sweep sees it) and cannot change its size under us with a newer library. */
#include "base/hash.h"

#include <libdeflate.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/mem.h"

uint32_t sl_crc32(uint32_t crc, struct sl_bytes b)
{
    return b.len == 0 ? crc : libdeflate_crc32(crc, b.ptr, b.len);
}

/* ---- CRC-32C ---- */

#define CRC32C_POLYNOMIAL 0x82f63b78U /* reflected */

static uint32_t crc32c_by_bits(uint32_t crc, struct sl_bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        crc ^= b.ptr[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) * CRC32C_POLYNOMIAL);
        }
    }
    return crc;
}

#if defined(__x86_64__)
/* One instruction takes 8 bytes every 3 cycles but can begin one each cycle: three streams of LANE
 * bytes side by side, whose results are shifted together by a multiplication with x^(8*LANE). */
#define LANE 4096

/* crc after `len` zero bytes more: by squaring the polynomial x^8, bit by bit of len. */
static uint32_t crc32c_multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (int bit = 31; bit >= 0; bit--) { /* reflected: bit 31 is x^0 */
        product ^= (0U - (a >> bit & 1)) & b;
        b = (b >> 1) ^ ((b & 1) * CRC32C_POLYNOMIAL);
    }
    return product;
}

static uint32_t crc32c_power(size_t bytes)
{
    uint32_t result = 1U << 31, square = 1U << 23; /* x^0, x^8 */
    for (; bytes > 0; bytes >>= 1) {
        if ((bytes & 1) != 0) {
            result = crc32c_multiply(square, result);
        }
        square = crc32c_multiply(square, square);
    }
    return result;
}

static uint64_t word_at(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_by_words(uint32_t crc, struct sl_bytes b)
{
    if (b.len >= 3 * (size_t)LANE) {
        uint32_t one = crc32c_power(LANE), two = crc32c_power(2 * (size_t)LANE);
        for (; b.len >= 3 * (size_t)LANE; b = SL_BYTES(b.ptr + 3 * LANE, b.len - 3 * LANE)) {
            uint64_t x = crc, y = 0, z = 0;
            for (const uint8_t *p = b.ptr; p < b.ptr + LANE; p += 8) {
                x = __builtin_ia32_crc32di(x, word_at(p));
                y = __builtin_ia32_crc32di(y, word_at(p + LANE));
                z = __builtin_ia32_crc32di(z, word_at(p + 2 * LANE));
            }
            crc =
                crc32c_multiply(two, (uint32_t)x) ^ crc32c_multiply(one, (uint32_t)y) ^ (uint32_t)z;
        }
    }
    for (; b.len >= 8; b = SL_BYTES(b.ptr + 8, b.len - 8)) {
        crc = (uint32_t)__builtin_ia32_crc32di(crc, word_at(b.ptr));
    }
    for (size_t i = 0; i < b.len; i++) {
        crc = __builtin_ia32_crc32qi(crc, b.ptr[i]);
    }
    return crc;
}

uint32_t sl_crc32c(uint32_t crc, struct sl_bytes b)
{
    return ~(__builtin_cpu_supports("sse4.2") ? crc32c_by_words(~crc, b) : crc32c_by_bits(~crc, b));
}
#else
uint32_t sl_crc32c(uint32_t crc, struct sl_bytes b)
{
    return ~crc32c_by_bits(~crc, b);
}
#endif

/* What four bits do to the reflected ECMA-182 polynomial. Sixteen entries serve: the files checked
 * are a few megabytes. */
static const uint64_t crc64_table[16] = {
    0x0000000000000000, 0x7d9ba13851336649, 0xfb374270a266cc92, 0x86ace348f355aadb,
    0x64b62bcaebc387a1, 0x192d8af2baf0e1e8, 0x9f8169ba49a54b33, 0xe21ac88218962d7a,
    0xc96c5795d7870f42, 0xb4f7f6ad86b4690b, 0x325b15e575e1c3d0, 0x4fc0b4dd24d2a599,
    0xadda7c5f3c4488e3, 0xd041dd676d77eeaa, 0x56ed3e2f9e224471, 0x2b769f17cf112238,
};

uint64_t sl_crc64(uint64_t crc, struct sl_bytes b)
{
    crc = ~crc;
    for (size_t i = 0; i < b.len; i++) {
        crc ^= b.ptr[i];
        crc = (crc >> 4) ^ crc64_table[crc & 15];
        crc = (crc >> 4) ^ crc64_table[crc & 15];
    }
    return ~crc;
}

/* ---- CRC-64/NVME ---- */

#define NVME_POLYNOMIAL UINT64_C(0x9a6c9329ac4bc9b5) /* reflected */

static uint64_t nvme_times_x(uint64_t v, uint32_t times)
{
    for (; times > 0; times--) {
        v = (v >> 1) ^ ((v & 1) * NVME_POLYNOMIAL);
    }
    return v;
}

static uint64_t nvme_by_bits(uint64_t crc, struct sl_bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        crc = nvme_times_x(crc ^ b.ptr[i], 8);
    }
    return crc;
}

/* Sixteen bytes a step ("slicing"): table[k][i] is what byte i does k bytes further on. The tables
 * take some 10 us, so they are made where that is little. */
#define NVME_STEP      16
#define NVME_TABLES_AT 4096

static void nvme_tables(uint64_t table[NVME_STEP][256])
{
    for (uint64_t i = 0; i < 256; i++) {
        table[0][i] = nvme_times_x(i, 8);
    }
    for (int k = 1; k < NVME_STEP; k++) {
        for (int i = 0; i < 256; i++) {
            table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 255];
        }
    }
}

/* What the eight bytes of v do, the last of them `behind` bytes before the end of the step. */
static inline uint64_t nvme_word(const uint64_t table[NVME_STEP][256], uint64_t v, int behind)
{
    return table[behind + 7][v & 255] ^ table[behind + 6][(v >> 8) & 255] ^
           table[behind + 5][(v >> 16) & 255] ^ table[behind + 4][(v >> 24) & 255] ^
           table[behind + 3][(v >> 32) & 255] ^ table[behind + 2][(v >> 40) & 255] ^
           table[behind + 1][(v >> 48) & 255] ^ table[behind][v >> 56];
}

uint64_t sl_crc64_nvme_plain(uint64_t crc, struct sl_bytes b)
{
    uint64_t table[NVME_STEP][256];
    struct sl_rd rd = sl_rd_over(b);
    crc = ~crc;
    if (b.len >= NVME_TABLES_AT) {
        nvme_tables(table);
        while (sl_rd_left(&rd) >= NVME_STEP) {
            uint64_t first = crc ^ sl_rd_u64(&rd);
            crc = nvme_word(table, first, 8) ^ nvme_word(table, sl_rd_u64(&rd), 0);
        }
    }
    return ~nvme_by_bits(crc, sl_rd_bytes(&rd, sl_rd_left(&rd)));
}

#if defined(__x86_64__)
/* Folding: 16 bytes times a power of x are added to the 16 bytes so far behind them, which leaves
 * the remainder as it was; four at a time keep the multiplier busy. What is left at the end goes
 * bit by bit. A product of reflected numbers is one bit short, hence powers less by one. Source:
 * Intel, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ". */
typedef long long nvme_lane __attribute__((vector_size(16)));
#define NVME_LANES 4

static nvme_lane nvme_load(const uint8_t *p)
{
    nvme_lane v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* The powers that carry 16 bytes `bits` further on. */
static nvme_lane nvme_powers(uint32_t bits)
{
    const uint64_t one = UINT64_C(1) << 63; /* x^0 */
    return (nvme_lane){(long long)nvme_times_x(one, bits + 63),
                       (long long)nvme_times_x(one, bits - 1)};
}

__attribute__((target("pclmul"))) static nvme_lane nvme_fold(nvme_lane v, nvme_lane powers)
{
    return __builtin_ia32_pclmulqdq128(v, powers, 0x00) ^
           __builtin_ia32_pclmulqdq128(v, powers, 0x11);
}

__attribute__((target("pclmul"))) static uint64_t nvme_by_folding(uint64_t crc, struct sl_bytes b)
{
    nvme_lane far = nvme_powers(128 * NVME_LANES), near = nvme_powers(128), v[NVME_LANES];
    struct sl_rd rd = sl_rd_over(b);
    for (int i = 0; i < NVME_LANES; i++) {
        v[i] = nvme_load(sl_rd_bytes(&rd, 16).ptr);
    }
    v[0] ^= (nvme_lane){(long long)crc, 0};
    while (sl_rd_left(&rd) >= sizeof(v)) {
        const uint8_t *p = sl_rd_bytes(&rd, sizeof(v)).ptr;
        for (int i = 0; i < NVME_LANES; i++) {
            v[i] = nvme_fold(v[i], far) ^ nvme_load(p + 16 * i);
        }
    }
    for (int i = 1; i < NVME_LANES; i++) {
        v[i] ^= nvme_fold(v[i - 1], near);
    }
    crc = nvme_by_bits(0, SL_BYTES(&v[NVME_LANES - 1], 16));
    return nvme_by_bits(crc, sl_rd_bytes(&rd, sl_rd_left(&rd)));
}

uint64_t sl_crc64_nvme(uint64_t crc, struct sl_bytes b)
{
    bool is_folded = b.len >= 16 * (size_t)NVME_LANES && __builtin_cpu_supports("pclmul");
    return is_folded ? ~nvme_by_folding(~crc, b) : sl_crc64_nvme_plain(crc, b);
}
#else
uint64_t sl_crc64_nvme(uint64_t crc, struct sl_bytes b)
{
    return sl_crc64_nvme_plain(crc, b);
}
#endif

uint64_t sl_xxh64(struct sl_bytes b)
{
    return XXH3_64bits(b.ptr, b.len);
}

uint64_t sl_xxh64_classic(struct sl_bytes b)
{
    return XXH64(b.ptr, b.len, 0);
}

#define STATE_ALIGN 64 /* what xxHash asks for; sl_alloc promises 16 */
struct sl_xxh {
    uint8_t room[sizeof(XXH3_state_t) + STATE_ALIGN - 1];
};

static XXH3_state_t *state_of(const struct sl_xxh *x)
{
    uintptr_t at = ((uintptr_t)x->room + STATE_ALIGN - 1) & ~(uintptr_t)(STATE_ALIGN - 1);
    return (XXH3_state_t *)at;
}

struct sl_xxh *sl_xxh_new(void)
{
    struct sl_xxh *x = sl_alloc(sizeof *x);
    if (x != NULL) {
        XXH3_64bits_reset(state_of(x));
    }
    return x;
}

void sl_xxh_free(struct sl_xxh *x)
{
    sl_free(x);
}

void sl_xxh_add(struct sl_xxh *x, struct sl_bytes b)
{
    if (b.len > 0) {
        XXH3_64bits_update(state_of(x), b.ptr, b.len);
    }
}

uint64_t sl_xxh_value(const struct sl_xxh *x)
{
    return XXH3_64bits_digest(state_of(x));
}
