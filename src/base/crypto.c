/* Random bytes from OpenSSL's generator, which reseeds itself and survives a fork; its digests;
 * its comparison in constant time. */
#include "base/crypto.h"

#include <limits.h>
#include <sys/prctl.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
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

/* OpenSSL takes no NULL, not even for nothing. */
static const void *some(struct sl_bytes b)
{
    return b.len == 0 ? "" : (const void *)b.ptr;
}

static sl_rc digest(const EVP_MD *kind, struct sl_bytes b, uint8_t *ret, struct sl_err *err)
{
    if (EVP_Digest(some(b), b.len, ret, NULL, kind, NULL) != 1) {
        /* uncovered: only memory can run out here */
        return SL_FAIL(err, SL_EINTERNAL, "OpenSSL cannot compute a digest");
    }
    return SL_OK;
}

sl_rc sl_sha256(struct sl_bytes b, uint8_t ret[SL_SHA256_SIZE], struct sl_err *err)
{
    return digest(EVP_sha256(), b, ret, err);
}

struct sl_sha256 {
    EVP_MD_CTX *ctx; /* owned; OpenSSL's memory */
    bool is_failed;
};

struct sl_sha256 *sl_sha256_new(void)
{
    struct sl_sha256 *s = sl_alloc_zero(1, sizeof(*s));
    if (s != NULL) {
        s->ctx = EVP_MD_CTX_new();
        s->is_failed = s->ctx == NULL || EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) != 1;
    }
    return s;
}

void sl_sha256_free(struct sl_sha256 *s)
{
    if (s != NULL) {
        EVP_MD_CTX_free(s->ctx);
        sl_free(s);
    }
}

void sl_sha256_add(struct sl_sha256 *s, struct sl_bytes b)
{
    s->is_failed = s->is_failed || EVP_DigestUpdate(s->ctx, some(b), b.len) != 1;
}

sl_rc sl_sha256_end(struct sl_sha256 *s, uint8_t ret[SL_SHA256_SIZE], struct sl_err *err)
{
    if (s->is_failed || EVP_DigestFinal_ex(s->ctx, ret, NULL) != 1) {
        /* uncovered: only memory can run out here */
        return SL_FAIL(err, SL_EINTERNAL, "OpenSSL cannot compute a digest");
    }
    return SL_OK;
}

sl_rc sl_sha1(struct sl_bytes b, uint8_t ret[SL_SHA1_SIZE], struct sl_err *err)
{
    return digest(EVP_sha1(), b, ret, err);
}

sl_rc sl_md5(struct sl_bytes b, uint8_t ret[SL_MD5_SIZE], struct sl_err *err)
{
    return digest(EVP_md5(), b, ret, err);
}

sl_rc sl_hmac_sha256(struct sl_bytes key, struct sl_bytes b, uint8_t ret[SL_SHA256_SIZE],
                     struct sl_err *err)
{
    if (HMAC(EVP_sha256(), some(key), (int)key.len, some(b), b.len, ret, NULL) == NULL) {
        /* uncovered: only memory can run out here */
        return SL_FAIL(err, SL_EINTERNAL, "OpenSSL cannot compute HMAC-SHA-256");
    }
    return SL_OK;
}

static EVP_PKEY *rsa_key(struct sl_str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (key != NULL && !EVP_PKEY_is_a(key, "RSA")) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

static bool sign(EVP_MD_CTX *ctx, EVP_PKEY *key, struct sl_bytes b, struct sl_buf *out)
{
    size_t len = 0;
    if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(ctx, NULL, &len, some(b), b.len) != 1) {
        return false;
    }
    uint8_t *to = sl_buf_reserve(out, len);
    if (to == NULL || EVP_DigestSign(ctx, to, &len, some(b), b.len) != 1) {
        return false;
    }
    out->len += len;
    return true;
}

sl_rc sl_rsa_sha256_sign(struct sl_str key_pem, struct sl_bytes b, struct sl_buf *out,
                         struct sl_err *err)
{
    EVP_PKEY *key = rsa_key(key_pem);
    if (key == NULL) {
        return SL_FAIL(err, SL_EINVAL, "the private key is not an RSA key in PEM form");
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_done = ctx != NULL && sign(ctx, key, b, out);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return is_done ? SL_OK : SL_FAIL(err, SL_EINTERNAL, "OpenSSL cannot sign with the private key");
}

void sl_secrets_hide(void)
{
    (void)prctl(PR_SET_DUMPABLE, 0); /* it cannot fail with this argument */
}

void sl_wipe(void *secret, size_t len)
{
    OPENSSL_cleanse(secret, len);
}

bool sl_secret_eq(const uint8_t *a, const uint8_t *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
