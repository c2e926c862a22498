/* Random bytes, SHA-256 and a comparison that takes the same time for all (OpenSSL). */
#ifndef SL_BASE_CRYPTO_H
#define SL_BASE_CRYPTO_H

#include "base/bytes.h"

/* Fills ret with cryptographic random bytes. SL_EINTERNAL when the generator fails. */
sl_rc sl_random_bytes(uint8_t *ret, size_t len, struct sl_err *err);

#define SL_SHA256_SIZE 32
sl_rc sl_sha256(struct sl_bytes b, uint8_t ret[SL_SHA256_SIZE], struct sl_err *err);
/* Equal? The time tells nothing of where they differ. */
bool sl_secret_eq(const uint8_t *a, const uint8_t *b, size_t len);

#endif
