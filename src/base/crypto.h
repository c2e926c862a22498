/* Random bytes, digests, signatures and a comparison that takes the same time for all (OpenSSL). */
#ifndef SL_BASE_CRYPTO_H
#define SL_BASE_CRYPTO_H

#include "base/buf.h"

/* Fills ret with cryptographic random bytes. SL_EINTERNAL when the generator fails. */
sl_rc sl_random_bytes(uint8_t *ret, size_t len, struct sl_err *err);

#define SL_SHA256_SIZE 32
sl_rc sl_sha256(struct sl_bytes b, uint8_t ret[SL_SHA256_SIZE], struct sl_err *err);
/* The same piece by piece. A failure shows at the end. */
struct sl_sha256;
struct sl_sha256 *sl_sha256_new(void) SL_MUST_USE; /* NULL: no memory */
void sl_sha256_free(struct sl_sha256 *s);
SL_DEFINE_FREEP(sl_sha256, sl_sha256_free)
void sl_sha256_add(struct sl_sha256 *s, struct sl_bytes b);
sl_rc sl_sha256_end(struct sl_sha256 *s, uint8_t ret[SL_SHA256_SIZE],
                    struct sl_err *err); /* once */
sl_rc sl_hmac_sha256(struct sl_bytes key, struct sl_bytes b, uint8_t ret[SL_SHA256_SIZE],
                     struct sl_err *err);
#define SL_SHA1_SIZE 20 /* names files of the AWS tools; it proves nothing */
sl_rc sl_sha1(struct sl_bytes b, uint8_t ret[SL_SHA1_SIZE], struct sl_err *err);
#define SL_MD5_SIZE 16 /* a checksum that some stores take; it proves nothing */
sl_rc sl_md5(struct sl_bytes b, uint8_t ret[SL_MD5_SIZE], struct sl_err *err);
/* Appends the RSASSA-PKCS1-v1_5 signature of b's SHA-256. key_pem: PKCS#8 or PKCS#1, no password.
 * SL_EINVAL: it is no RSA private key. */
sl_rc sl_rsa_sha256_sign(struct sl_str key_pem, struct sl_bytes b, struct sl_buf *out,
                         struct sl_err *err);
/* Keeps the process's memory and environment, where secrets are, from core dumps and from other
 * processes of its user (prctl PR_SET_DUMPABLE). */
void sl_secrets_hide(void);
/* Overwrites a secret; the compiler cannot leave it out. */
void sl_wipe(void *secret, size_t len);
/* Equal? The time tells nothing of where they differ. */
bool sl_secret_eq(const uint8_t *a, const uint8_t *b, size_t len);

#endif
