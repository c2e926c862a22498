/* Random bytes from OpenSSL's generator, which reseeds itself and survives a fork. */
#include "base/crypto.h"

#include <limits.h>

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
