/* Checksums: CRC-32 (gzip polynomial, libdeflate), CRC-32C, two CRC-64 and XXH3-64 (libxxhash).
 * Pure. */
#ifndef SL_BASE_HASH_H
#define SL_BASE_HASH_H

#include "base/bytes.h"

/* zlib's crc32: start with 0, feed the result back. */
uint32_t sl_crc32(uint32_t crc, struct sl_bytes b);

/* CRC-32C (Castagnoli), by the processor's instruction where it has one: start with 0, feed the
 * result back. */
uint32_t sl_crc32c(uint32_t crc, struct sl_bytes b);

/* CRC-64/XZ (ECMA polynomial, reflected): start with 0, feed the result back. */
uint64_t sl_crc64(uint64_t crc, struct sl_bytes b);

/* CRC-64/NVME, which Azure and S3 take, by the processor's carry-less multiplication where it has
 * one: start with 0, feed the result back. */
uint64_t sl_crc64_nvme(uint64_t crc, struct sl_bytes b);
uint64_t sl_crc64_nvme_plain(uint64_t crc, struct sl_bytes b); /* without it; the tests' oracle */

uint64_t sl_xxh64(struct sl_bytes b);         /* XXH3-64, seed 0 */
uint64_t sl_xxh64_classic(struct sl_bytes b); /* XXH64, seed 0: what Parquet asks for */

/* Streaming XXH3-64. */
struct sl_xxh;
struct sl_xxh *sl_xxh_new(void) SL_MUST_USE; /* NULL: no memory */
void sl_xxh_free(struct sl_xxh *x);
void sl_xxh_add(struct sl_xxh *x, struct sl_bytes b);
uint64_t sl_xxh_value(const struct sl_xxh *x);

#endif
