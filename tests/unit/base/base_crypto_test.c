/* Digests and checksums against published values: FIPS 180-2 (SHA-256), RFC 4231 (HMAC), RFC 1321
 * (MD5), RFC 3720 B.4 (CRC-32C). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto.h"
#include "base/hash.h"
#include "base/str.h"

static void assert_hex(const uint8_t *bytes, size_t len, const char *want)
{
    SL_AUTO(sl_buf) hex = SL_BUF_EMPTY;
    sl_hex_add(&hex, SL_BYTES(bytes, len));
    assert_string_equal(sl_buf_cstr(&hex), want);
}

static struct sl_bytes text(const char *t)
{
    return SL_BYTES(t, strlen(t));
}

static void hmac_of_rfc_4231(void **state SL_UNUSED)
{
    uint8_t mac[SL_SHA256_SIZE], key[131];
    memset(key, 0x0b, 20);
    assert_int_equal(sl_hmac_sha256(SL_BYTES(key, 20), text("Hi There"), mac, NULL), SL_OK);
    assert_hex(mac, sizeof(mac),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_int_equal(sl_hmac_sha256(text("Jefe"), text("what do ya want for nothing?"), mac, NULL),
                     SL_OK);
    assert_hex(mac, sizeof(mac),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    assert_int_equal(sl_hmac_sha256(SL_BYTES(key, sizeof(key)),
                                    text("Test Using Larger Than Block-Size Key - Hash Key First"),
                                    mac, NULL),
                     SL_OK);
    assert_hex(mac, sizeof(mac),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void sha256_of_fips_180_in_pieces(void **state SL_UNUSED)
{
    static const char message[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    for (size_t cut = 0; cut < sizeof(message); cut++) {
        SL_AUTO_PTR(sl_sha256) s = sl_sha256_new();
        uint8_t got[SL_SHA256_SIZE];
        sl_sha256_add(s, SL_BYTES(message, cut));
        sl_sha256_add(s, SL_BYTES(message + cut, sizeof(message) - 1 - cut));
        assert_int_equal(sl_sha256_end(s, got, NULL), SL_OK);
        assert_hex(got, sizeof(got),
                   "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    }
}

static void sha1_of_fips_180(void **state SL_UNUSED)
{
    uint8_t sha1[SL_SHA1_SIZE];
    assert_int_equal(sl_sha1(text("abc"), sha1, NULL), SL_OK);
    assert_hex(sha1, sizeof(sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_int_equal(sl_sha1(text(""), sha1, NULL), SL_OK);
    assert_hex(sha1, sizeof(sha1), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

static void md5_of_rfc_1321(void **state SL_UNUSED)
{
    uint8_t md5[SL_MD5_SIZE];
    assert_int_equal(sl_md5(text(""), md5, NULL), SL_OK);
    assert_hex(md5, sizeof(md5), "d41d8cd98f00b204e9800998ecf8427e");
    assert_int_equal(sl_md5(text("message digest"), md5, NULL), SL_OK);
    assert_hex(md5, sizeof(md5), "f96b697d7cb7938d525a2f31aaf161d0");
}

static void crc32c_of_rfc_3720(void **state SL_UNUSED)
{
    uint8_t b[32] = {0};
    assert_int_equal(sl_crc32c(0, text("123456789")), 0xe3069283);
    assert_int_equal(sl_crc32c(0, SL_BYTES(b, 32)), 0x8a9136aa);
    memset(b, 0xff, sizeof(b));
    assert_int_equal(sl_crc32c(0, SL_BYTES(b, 32)), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++) {
        b[i] = i;
    }
    assert_int_equal(sl_crc32c(0, SL_BYTES(b, 32)), 0x46dd794e);
}

/* Every length takes another way through the lanes; cut anywhere, the value is the same, and it is
 * what the definition says, bit by bit. */
static void crc32c_of_any_length_and_cut(void **state SL_UNUSED)
{
    enum { SIZE = 3 * 3 * 4096 + 77 };
    static uint8_t bytes[SIZE];
    uint32_t seed = 1, by_bits = ~0U;
    for (size_t i = 0; i < SIZE; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
    }
    for (size_t i = 0; i < SIZE; i++) {
        by_bits ^= bytes[i];
        for (int k = 0; k < 8; k++) {
            by_bits = (by_bits >> 1) ^ ((by_bits & 1) * 0x82f63b78U);
        }
        if (i % 997 == 0 || i + 1 == SIZE) {
            size_t cut = i / 3;
            uint32_t first = sl_crc32c(0, SL_BYTES(bytes, cut));
            assert_int_equal(sl_crc32c(0, SL_BYTES(bytes, i + 1)), ~by_bits);
            assert_int_equal(sl_crc32c(first, SL_BYTES(bytes + cut, i + 1 - cut)), ~by_bits);
        }
    }
}

/* The check value of the catalogue of parametrised CRCs, and the definition bit by bit. */
static void crc64_nvme_of_any_length_and_cut(void **state SL_UNUSED)
{
    enum { SIZE = 10000 };
    static uint8_t bytes[SIZE];
    uint64_t by_bits = ~UINT64_C(0);
    assert_true(sl_crc64_nvme(0, text("123456789")) == UINT64_C(0xae8b14860a799888));
    assert_true(sl_crc64_nvme(0, text("")) == 0);
    for (size_t i = 0; i < SIZE; i++) {
        bytes[i] = (uint8_t)(i * 31 + (i >> 8) * 7);
        by_bits ^= bytes[i];
        for (int k = 0; k < 8; k++) {
            by_bits = (by_bits >> 1) ^ ((by_bits & 1) * UINT64_C(0x9a6c9329ac4bc9b5));
        }
        if (i > 300 && i % 997 != 0 && i + 1 != SIZE) {
            continue;
        }
        size_t cut = i / 3;
        struct sl_bytes all = SL_BYTES(bytes, i + 1), rest = SL_BYTES(bytes + cut, i + 1 - cut);
        uint64_t first = sl_crc64_nvme(0, SL_BYTES(bytes, cut));
        assert_true(sl_crc64_nvme(0, all) == ~by_bits);
        assert_true(sl_crc64_nvme(first, rest) == ~by_bits);
        assert_true(sl_crc64_nvme_plain(0, all) == ~by_bits);
        assert_true(sl_crc64_nvme_plain(first, rest) == ~by_bits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hmac_of_rfc_4231),
        cmocka_unit_test(sha256_of_fips_180_in_pieces),
        cmocka_unit_test(sha1_of_fips_180),
        cmocka_unit_test(md5_of_rfc_1321),
        cmocka_unit_test(crc32c_of_rfc_3720),
        cmocka_unit_test(crc32c_of_any_length_and_cut),
        cmocka_unit_test(crc64_nvme_of_any_length_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
