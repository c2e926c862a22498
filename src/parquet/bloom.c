/* Split-block bloom filter of one row group's keys: one probe of 32 bytes tells a reader that a key
 * is not in the group. Pure but for the sink. Source: Apache Parquet format 2.10, "Bloom Filter".
 */
#include "base/hash.h"
#include "parquet/parquet_int.h"

enum { WORDS = 8, BLOCK_BYTES = 4 * WORDS };
#define BITS_PER_KEY 10 /* 1 of 100 absent keys is taken for one that may be there */

/* Readers take powers of two only. */
static uint32_t size_of(uint64_t key_count)
{
    uint32_t bytes = BLOCK_BYTES;
    while ((uint64_t)bytes * 8 < key_count * BITS_PER_KEY) {
        bytes *= 2;
    }
    return bytes;
}

static void insert(uint8_t *bits, uint32_t size, uint64_t hash)
{
    static const uint32_t salts[WORDS] = {0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d,
                                          0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31};
    uint64_t block = ((hash >> 32) * (size / BLOCK_BYTES)) >> 32;
    for (uint32_t i = 0; i < WORDS; i++) {
        uint32_t bit = ((uint32_t)hash * salts[i]) >> 27;
        bits[block * BLOCK_BYTES + 4 * i + bit / 8] |= (uint8_t)(1U << bit % 8);
    }
}

/* A union whose one member has no fields. */
static void add_choice(struct sli_thrift *t, int16_t field)
{
    sli_thrift_struct(t, field);
    sli_thrift_struct(t, 1);
    sli_thrift_end(t);
    sli_thrift_end(t);
}

void sli_bloom_write(const uint64_t *hashes, uint64_t count, struct sl_buf *out)
{
    uint32_t size = size_of(count);
    struct sli_thrift t = sli_thrift_over(out);
    sli_thrift_i32(&t, 1, (int32_t)size);
    add_choice(&t, 2); /* split blocks */
    add_choice(&t, 3); /* XXH64 */
    add_choice(&t, 4); /* not compressed */
    sli_thrift_end(&t);
    uint8_t *bits = sl_buf_reserve(out, size);
    if (bits == NULL) {
        return;
    }
    memset(bits, 0, size);
    for (uint64_t i = 0; i < count; i++) {
        insert(bits, size, hashes[i]);
    }
    out->len += size;
}
