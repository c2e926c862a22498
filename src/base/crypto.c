/* Random bytes from OpenSSL's generator, which reseeds itself and survives a fork; its digests;
 * its comparison in constant time. */
#include "base/crypto.h"

#include <limits.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

sl_rc sl_random_bytes(uint8_t *ret, size_t len, struct sl_err *err)
{
    while (len > 0) {
        int part = len < INT_MAX ? (int)len : INT_MAX;
        if (RAND_bytes(ret, part) != 1) { /* uncovered: OpenSSL cannot be made to fail here */
            return SL_FAIL(err, SL_EINTERNAL,
                           "the random generator of OpenSSL failed; is /dev/urandom there?");
        }
        ret += part;
        len -= (size_t)part;
    }
    return SL_OK;
}

sl_rc sl_sha256(struct sl_bytes b, uint8_t ret[SL_SHA256_SIZE], struct sl_err *err)
{
    /* OpenSSL takes no NULL, not even for nothing. */
    if (EVP_Digest(b.len == 0 ? "" : (const void *)b.ptr, b.len, ret, NULL, EVP_sha256(), NULL) !=
        1) { /* uncovered: only memory can run out here */
        return SL_FAIL(err, SL_EINTERNAL, "OpenSSL cannot compute SHA-256");
    }
    return SL_OK;
}

bool sl_secret_eq(const uint8_t *a, const uint8_t *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
