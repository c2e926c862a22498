/* Random bytes (OpenSSL). Digests and HMAC join here when signing arrives. */
#ifndef SL_BASE_CRYPTO_H
#define SL_BASE_CRYPTO_H

#include "base/bytes.h"

/* Fills ret with cryptographic random bytes. SL_EINTERNAL when the generator fails. */
sl_rc sl_random_bytes(uint8_t *ret, size_t len, struct sl_err *err);

#endif
