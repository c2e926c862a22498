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

uint64_t sl_xxh64(struct sl_bytes b)
{
    return XXH3_64bits(b.ptr, b.len);
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
