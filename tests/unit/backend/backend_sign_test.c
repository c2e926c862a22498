/* Signatures against the examples that AWS publishes: four of the S3 API reference ("Using the
 * Authorization Header") and the Signature Version 4 test suite; the rest of what they check (paths
 * to be normalised) no request of ours has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backend/sign/sign.h"
#include "base/str.h"

#define EMPTY_SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct vector {
    const char *service, *method, *url, *payload_sha;
    struct sl_http_header headers[2];
    uint32_t header_count;
    const char *signed_names, *signature;
};

/* 20130524T000000Z */
static const struct vector s3_vectors[] = {
    {"s3",
     "GET",
     "https://examplebucket.s3.amazonaws.com/test.txt",
     EMPTY_SHA,
     {{"Range", {"bytes=0-9", 9}}},
     1,
     "host;range;x-amz-content-sha256;x-amz-date",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"s3",
     "PUT",
     "https://examplebucket.s3.amazonaws.com/test%24file.text",
     "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
     {{"Date", {"Fri, 24 May 2013 00:00:00 GMT", 29}},
      {"x-amz-storage-class", {"REDUCED_REDUNDANCY", 18}}},
     2,
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"s3",
     "GET",
     "https://examplebucket.s3.amazonaws.com/?lifecycle",
     EMPTY_SHA,
     {{0}},
     0,
     "host;x-amz-content-sha256;x-amz-date",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"s3",
     "GET",
     "https://examplebucket.s3.amazonaws.com:443/?prefix=J&max-keys=2",
     EMPTY_SHA,
     {{0}},
     0,
     "host;x-amz-content-sha256;x-amz-date",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};
/* 20150830T123600Z */
static const struct vector suite_vectors[] = {
    {"service",
     "GET",
     "https://example.amazonaws.com/",
     EMPTY_SHA,
     {{0}},
     0,
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"service",
     "GET",
     "https://example.amazonaws.com",
     EMPTY_SHA,
     {{0}},
     0,
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"service",
     "POST",
     "https://example.amazonaws.com/",
     EMPTY_SHA,
     {{0}},
     0,
     "host;x-amz-date",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"service",
     "GET",
     "https://example.amazonaws.com/?Param2=value2&Param1=value1",
     EMPTY_SHA,
     {{0}},
     0,
     "host;x-amz-date",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"service",
     "GET",
     "https://example.amazonaws.com/%E1%88%B4",
     EMPTY_SHA,
     {{0}},
     0,
     "host;x-amz-date",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"service",
     "POST",
     "https://example.amazonaws.com/",
     EMPTY_SHA,
     {{"My-Header1", {"value1", 6}}},
     1,
     "host;my-header1;x-amz-date",
     "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
    {"service",
     "GET",
     "https://example.amazonaws.com/",
     EMPTY_SHA,
     {{"My-Header1", {" value1", 7}}, {"My-Header2", {" \"a   b   c\"", 12}}},
     2,
     "host;my-header1;my-header2;x-amz-date",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"service",
     "POST",
     "https://example.amazonaws.com/",
     "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
     {{"Content-Type", {"application/x-www-form-urlencoded", 33}}},
     1,
     "content-type;host;x-amz-date",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
};

static void check(const struct vector *v, const char *key_id, const char *secret, int64_t wall_s)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) want = SL_BUF_EMPTY;
    struct sl_sigv4 s = {.key_id = sl_str_from(key_id),
                         .secret = sl_str_from(secret),
                         .region = SL_STR("us-east-1"),
                         .service = sl_str_from(v->service),
                         .wall_ns = wall_s * 1000000000};
    assert_int_equal(sl_sigv4_sign(&s, v->method, sl_str_from(v->url), v->headers, v->header_count,
                                   sl_str_from(v->payload_sha), &out, NULL),
                     SL_OK);
    sl_buf_addf(&want, "SignedHeaders=%s, Signature=%s\n", v->signed_names, v->signature);
    assert_non_null(strstr(sl_buf_cstr(&out), sl_buf_cstr(&want)));
}

static void examples_of_the_s3_reference(void **state SL_UNUSED)
{
    for (size_t i = 0; i < SL_COUNT_OF(s3_vectors); i++) {
        check(&s3_vectors[i], "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
              1369353600);
    }
}

static void vectors_of_the_test_suite(void **state SL_UNUSED)
{
    for (size_t i = 0; i < SL_COUNT_OF(suite_vectors); i++) {
        check(&suite_vectors[i], "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
              1440938160);
    }
}

/* The token is signed and sent; the secret is not. */
static void a_session_token_is_signed(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_sigv4 s = {.key_id = SL_STR("AKID"),
                         .secret = SL_STR("very-secret"),
                         .token = SL_STR("TOKEN"),
                         .region = SL_STR("eu-west-1"),
                         .service = SL_STR("s3"),
                         .wall_ns = 0};
    assert_int_equal(sl_sigv4_sign(&s, "GET", SL_STR("http://host:9000/b/k"), NULL, 0,
                                   SL_STR(SL_SIGN_UNSIGNED), &out, NULL),
                     SL_OK);
    const char *text = sl_buf_cstr(&out);
    assert_non_null(strstr(text, "x-amz-date: 19700101T000000Z\n"));
    assert_non_null(strstr(text, "x-amz-content-sha256: UNSIGNED-PAYLOAD\n"));
    assert_non_null(strstr(text, "x-amz-security-token: TOKEN\n"));
    assert_non_null(strstr(text, "Credential=AKID/19700101/eu-west-1/s3/aws4_request, "
                                 "SignedHeaders=host;x-amz-content-sha256;x-amz-date;"
                                 "x-amz-security-token, "));
    assert_null(strstr(text, "very-secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_s3_reference),
        cmocka_unit_test(vectors_of_the_test_suite),
        cmocka_unit_test(a_session_token_is_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
