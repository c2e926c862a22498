/* The pure parts of the S3 driver: profiles, addresses, answers.
 *
 * Files are as the AWS tools write them; addresses as Amazon's documentation of endpoints and
 * virtual hosting shows them; answers as the "Error responses" of the S3 API reference and as real
 * servers gave them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backend/s3/s3_int.h"

static const char *no_environment(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return NULL;
}

/* Pairs of variable and value, ended by NULL. */
static const char *from_pairs(void *arg, const char *name)
{
    for (const char *const *pair = arg; *pair != NULL; pair += 2) {
        if (strcmp(*pair, name) == 0) {
            return pair[1];
        }
    }
    return NULL;
}

/* ---- profiles ---- */

#define TEXT(b) sl_buf_cstr(&(b))

static void profile_of_both_files_is_read(void **state)
{
    (void)state;
    struct sli_s3_profile p = {.is_found = false};
    struct sl_str keys = SL_STR("# mine\n"
                                "[other]\naws_access_key_id=no\n\n"
                                "[ ours ] ; here\n"
                                "aws_access_key_id = AKID\r\n"
                                "aws_secret_access_key=a=b+c/d==\n"
                                "aws_session_token =tok\n"
                                "s3 =\n    aws_access_key_id = nested\n\tregion = nested\n"
                                "[ours2]\naws_session_token = no\n");
    struct sl_str more = SL_STR("[ours]\nregion = not-a-profile-here\n"
                                "[profile ours]\nregion = eu-west-1\naws_access_key_id = late\n"
                                "role_arn = arn:r\nsource_profile = base\n"
                                "[profile  ours]\nexternal_id = e\nrole_session_name = s\n");
    assert_int_equal(sli_s3_profile_parse(keys, SLI_S3_FILE_CREDENTIALS, SL_STR("ours"), &p, NULL),
                     SL_OK);
    assert_true(p.is_found);
    assert_int_equal(sli_s3_profile_parse(more, SLI_S3_FILE_CONFIG, SL_STR("ours"), &p, NULL),
                     SL_OK);
    assert_string_equal(TEXT(p.id), "AKID");
    assert_string_equal(TEXT(p.secret), "a=b+c/d==");
    assert_string_equal(TEXT(p.token), "tok");
    assert_string_equal(TEXT(p.region), "eu-west-1");
    assert_string_equal(TEXT(p.role_arn), "arn:r");
    assert_string_equal(TEXT(p.source_profile), "base");
    assert_string_equal(TEXT(p.external_id), "e");
    assert_string_equal(TEXT(p.session_name), "s");
    sli_s3_profile_fini(&p);
}

static void sessions_are_sections_of_their_own(void **state)
{
    (void)state;
    struct sli_s3_profile p = {.is_found = false};
    struct sli_s3_profile none = {.is_found = false};
    struct sl_str text = SL_STR("[default]\nsso_region = a\n[profile default]\nsso_region = b\n"
                                "[sso-sessiondefault]\nsso_region = c\n"
                                "[sso-session default2]\nsso_region = d\n"
                                "[sso-session\tdefault ]\nsso_region = e\n");
    assert_int_equal(sli_s3_profile_parse(text, SLI_S3_FILE_SESSIONS, SL_STR("default"), &p, NULL),
                     SL_OK);
    assert_true(p.is_found);
    assert_string_equal(TEXT(p.sso_region), "e");
    assert_int_equal(sli_s3_profile_parse(text, SLI_S3_FILE_CREDENTIALS, SL_STR("x"), &none, NULL),
                     SL_OK);
    assert_false(none.is_found);
    sli_s3_profile_fini(&p);
    sli_s3_profile_fini(&none);
}

static void lines_that_are_nothing_are_refused_without_their_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want; /* NULL: fine */
    } cases[] = {
        {"", NULL},
        {"\n\n;x\n#y\n", NULL},
        {"[default]\nregion=\n", NULL},
        {"[default]\nwJalrXUtnFEMI\n", "line 2 is no section, setting or comment"},
        {"[default\n", "line 1 is no section, setting or comment"},
        {"[default] junk\n", "line 1 is no section, setting or comment"},
        {"\n\n= value\n", "line 3 is no section, setting or comment"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        struct sli_s3_profile p = {.is_found = false};
        struct sl_err err = {.rc = SL_OK};
        sl_rc rc = sli_s3_profile_parse(sl_str_from(cases[i].text), SLI_S3_FILE_CONFIG,
                                        SL_STR("default"), &p, &err);
        assert_int_equal(rc, cases[i].want == NULL ? SL_OK : SL_EINVAL);
        assert_string_equal(err.text, cases[i].want == NULL ? "" : cases[i].want);
        sli_s3_profile_fini(&p);
    }
}

/* ---- addresses ---- */

static sl_rc open_with(const char *const *env, const char *place, struct sl_config *config,
                       struct sl_backend **ret, struct sl_err *err)
{
    assert_int_equal(sl_config_load(config, from_pairs, (void *)(uintptr_t)env, NULL, err), SL_OK);
    struct sl_backend_env e = {.config = config, .clock = sl_clock_real()};
    return sl_backend_open(&e, sl_str_from(place), ret, err);
}

static void buckets_have_the_addresses_of_the_documentation(void **state)
{
    (void)state;
    static const struct {
        const char *env[9], *place, *want;
    } cases[] = {
        {{NULL}, "s3://bucket/p", "https://bucket.s3.us-east-1.amazonaws.com/p/a%20b/%C3%A4"},
        {{"AWS_REGION", "eu-west-1"},
         "s3://b-1",
         "https://b-1.s3.eu-west-1.amazonaws.com/a%20b/%C3%A4"},
        {{"AWS_DEFAULT_REGION", "cn-north-1"},
         "s3://bkt/p/",
         "https://bkt.s3.cn-north-1.amazonaws.com.cn/p/a%20b/%C3%A4"},
        {{"AWS_REGION", "us-west-2"},
         "s3://with.dots/p",
         "https://s3.us-west-2.amazonaws.com/with.dots/p/a%20b/%C3%A4"},
        {{"BACKUP_S3_ENDPOINT", "s3.eu-north-1.amazonaws.com"},
         "s3://bucket",
         "https://bucket.s3.eu-north-1.amazonaws.com/a%20b/%C3%A4"},
        {{"BACKUP_S3_ENDPOINT", "minio:9000", "BACKUP_S3_USE_SSL", "False"},
         "s3://bucket//p",
         "http://minio:9000/bucket//p/a%20b/%C3%A4"},
        {{"BACKUP_S3_ENDPOINT", "minio:9000", "BACKUP_S3_USE_SSL", "0"},
         "s3://bucket",
         "https://minio:9000/bucket/a%20b/%C3%A4"},
        {{"BACKUP_S3_ENDPOINT", "[::1]:9000", "SLUICE_S3_STYLE", "path"},
         "s3://bucket",
         "https://[::1]:9000/bucket/a%20b/%C3%A4"},
        {{"BACKUP_S3_ENDPOINT", "store.example", "SLUICE_S3_STYLE", "host"},
         "s3://bucket",
         "https://bucket.store.example/a%20b/%C3%A4"},
        {{"SLUICE_S3_STYLE", "path"},
         "s3://bucket",
         "https://s3.us-east-1.amazonaws.com/bucket/a%20b/%C3%A4"},
        {{"BACKUP_S3_ENDPOINT", "storage.googleapis.com"},
         "s3://bucket",
         "https://bucket.storage.googleapis.com/a%20b/%C3%A4"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        struct sl_config config = {0};
        struct sl_backend *be = NULL;
        struct sl_err err = {.rc = SL_OK};
        SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
        char region[SLI_S3_REGION_SIZE];
        assert_int_equal(open_with(cases[i].env, cases[i].place, &config, &be, &err), SL_OK);
        sli_s3_region(sli_s3_of(be), region);
        sli_s3_url_add(sli_s3_of(be), region, SL_STR("a b/\xc3\xa4"), NULL, &url);
        assert_string_equal(sl_buf_cstr(&url), cases[i].want);
        sl_backend_close(be);
        sl_config_fini(&config);
    }
}

static void settings_that_cannot_work_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *env[3], *word;
    } cases[] = {
        {{"BACKUP_S3_ENDPOINT", "http://minio:9000"}, "without http://"},
        {{"BACKUP_S3_ENDPOINT", "minio:9000/bucket"}, "BACKUP_S3_ENDPOINT"},
        {{"BACKUP_S3_ENDPOINT", "user@minio"}, "BACKUP_S3_ENDPOINT"},
        {{"AWS_REGION", "EU (Ireland)"}, "AWS_REGION"},
        {{"AWS_REGION", "evil.example/x"}, "AWS_REGION"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        struct sl_config config = {0};
        struct sl_backend *be = NULL;
        struct sl_err err = {.rc = SL_OK};
        assert_int_equal(open_with(cases[i].env, "s3://bucket", &config, &be, &err), SL_EINVAL);
        assert_non_null(strstr(err.text, cases[i].word));
        assert_null(be);
        sl_config_fini(&config);
    }
}

static void tokens_of_containers_go_to_safe_places_only(void **state)
{
    (void)state;
    static const char *const good[] = {"https://anywhere.example/x", "http://127.0.0.1:80/creds",
                                       "http://localhost/x",         "http://169.254.170.2/v2/x",
                                       "http://169.254.170.23/v1/x", "http://[fd00:ec2::23]/v1/x",
                                       "http://[::1]:8080/x"};
    static const char *const bad[] = {"http://anywhere.example/x", "http://127.0.0.1.evil.example/",
                                      "http://localhost@evil/",    "http://169.254.170.234/x",
                                      "ftp://127.0.0.1/",          ""};
    for (size_t i = 0; i < SL_COUNT_OF(good); i++) {
        assert_true(sli_s3_is_container_url(sl_str_from(good[i])));
    }
    for (size_t i = 0; i < SL_COUNT_OF(bad); i++) {
        assert_false(sli_s3_is_container_url(sl_str_from(bad[i])));
    }
}

/* ---- answers ---- */

struct judged {
    sl_rc rc;
    struct sli_try t;
    struct sl_err err;
    struct sli_s3_fault fault;
};

static struct judged judge(const char *method, int status, const char *headers, const char *body)
{
    struct sl_config config = {0};
    struct sl_backend *be = NULL;
    struct judged j = {.rc = SL_OK};
    struct sl_http_reply reply = {.status = status};
    struct sl_backend_env e = {.config = &config, .clock = sl_clock_real()};
    assert_int_equal(sl_config_load(&config, no_environment, NULL, NULL, NULL), SL_OK);
    assert_int_equal(sl_backend_open(&e, SL_STR("s3://bucket/pre"), &be, NULL), SL_OK);
    sl_buf_add_text(&reply.headers, headers);
    sl_buf_add_text(&reply.body, body);
    struct sli_s3_call call = {.method = method,
                               .key = SL_STR("id/a"),
                               .action = "s3:PutObject",
                               .status = status,
                               .is_late = strcmp(method, "POST") == 0};
    assert_int_equal(sli_s3_fault_read(&reply, &j.fault, NULL), SL_OK);
    j.rc = sli_s3_judge(sli_s3_of(be), &call, &reply, &j.fault, "AWS_ACCESS_KEY_ID", &j.t, &j.err);
    sl_http_reply_fini(&reply);
    sl_backend_close(be);
    sl_config_fini(&config);
    return j;
}

static void answers_mean_what_the_reference_says(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        int status;
        const char *code; /* NULL: no body */
        sl_rc rc;
        bool is_repeatable;
    } cases[] = {
        {"PUT", 200, NULL, SL_OK, false},
        {"DELETE", 204, NULL, SL_OK, false},
        {"PUT", 404, "NoSuchBucket", SL_EINVAL, false},
        {"GET", 404, "NoSuchKey", SL_ENOTFOUND, false},
        {"HEAD", 404, NULL, SL_ENOTFOUND, false},
        {"GET", 404, "XAdminUserNotFound", SL_EACCESS, false}, /* versitygw: the key id */
        {"PUT", 404, "NoSuchUpload", SL_EIO, false},
        {"GET", 404, "SomethingElse", SL_EINVAL, false}, /* no word that the object is missing */
        {"PUT", 403, "AccessDenied", SL_EACCESS, false},
        {"HEAD", 403, NULL, SL_EACCESS, false},
        {"PUT", 403, "SignatureDoesNotMatch", SL_EACCESS, false},
        {"PUT", 400, "ExpiredToken", SL_EACCESS, false},
        {"PUT", 403, "RequestTimeTooSkewed", SL_EACCESS, false},
        {"PUT", 412, "PreconditionFailed", SL_ECONFLICT, false},
        {"PUT", 412, NULL, SL_ECONFLICT, false},
        {"PUT", 409, "ConditionalRequestConflict", SL_EBUSY, true},
        {"PUT", 409, "ObjectParentIsFile", SL_ECONFLICT, false},
        {"PUT", 400, "BadDigest", SL_EIO, true},
        {"PUT", 400, "InvalidDigest", SL_EIO, true},               /* SeaweedFS */
        {"PUT", 400, "XAmzContentChecksumMismatch", SL_EIO, true}, /* MinIO */
        {"PUT", 400, "RequestTimeout", SL_ETIMEOUT, true},
        {"PUT", 400, "EntityTooSmall", SL_EINVAL, false},
        {"PUT", 400, "InvalidStorageClass", SL_EINVAL, false},
        {"PUT", 503, "SlowDown", SL_EBUSY, true},
        {"PUT", 500, "InternalError", SL_EIO, true},
        {"PUT", 500, NULL, SL_EIO, true},
        {"PUT", 502, NULL, SL_EIO, true},
        {"PUT", 504, NULL, SL_EIO, true},
        {"PUT", 429, NULL, SL_EBUSY, true},
        {"PUT", 501, "NotImplemented", SL_EINVAL, false},
        {"PUT", 507, "XMinioStorageFull", SL_ENOSPACE, false},
        {"GET", 301, NULL, SL_EINVAL, false},
        {"PUT", 401, NULL, SL_EACCESS, false},
        {"POST", 200, "InternalError", SL_EIO, true},
        {"POST", 200, "NeverHeardOf", SL_EIO, true},
        {"POST", 200, "NoSuchUpload", SL_EIO, false},
    };
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        SL_AUTO(sl_buf) body = SL_BUF_EMPTY;
        if (cases[i].code != NULL) {
            sl_buf_addf(&body, "<?xml version=\"1.0\"?><Error><Code>%s</Code></Error>",
                        cases[i].code);
        }
        struct judged j = judge(cases[i].method, cases[i].status, "", sl_buf_cstr(&body));
        assert_int_equal(j.rc, cases[i].rc);
        assert_int_equal(j.t.is_repeatable, cases[i].is_repeatable);
        if (j.rc != SL_OK) {
            assert_non_null(strstr(j.err.text, "s3:PutObject on s3://bucket/pre/id/a: "));
        }
    }
}

static void sentences_say_what_to_do_and_keep_what_was_signed(void **state)
{
    (void)state;
    struct judged j = judge("PUT", 403, "",
                            "<Error><Code>SignatureDoesNotMatch</Code><Message>we calculated"
                            "</Message><StringToSign>AWS4-HMAC</StringToSign></Error>");
    assert_string_equal(j.err.text,
                        "s3:PutObject on s3://bucket/pre/id/a: the secret of AWS_ACCESS_KEY_ID is "
                        "not that of its key id; check that it was copied whole, without blanks "
                        "(403 SignatureDoesNotMatch)");
    j = judge("PUT", 403, "", "<Error><Code>AccessDenied</Code></Error>");
    assert_string_equal(j.err.text,
                        "s3:PutObject on s3://bucket/pre/id/a: the credentials of "
                        "AWS_ACCESS_KEY_ID may not do it; allow s3:PutObject on "
                        "arn:aws:s3:::bucket/pre/* in their policy and the bucket's (403 "
                        "AccessDenied)");
    j = judge("PUT", 400, "", "<Error><Code>Odd</Code><Message>a \x1b[31m b\n</Message></Error>");
    assert_null(strchr(j.err.text, '\x1b'));
    j = judge("PUT", 400, "", "<Error><Code>Odd</Code><Message>a\tb\n</Message></Error>");
    assert_non_null(strstr(j.err.text, "the store refuses it: a b  (400 Odd)"));
    j = judge("PUT", 503, "retry-after: 7\n", "");
    assert_int_equal(j.t.wait_ns, INT64_C(7000000000));
}

static void regions_are_taken_from_header_and_body_if_they_are_some(void **state)
{
    (void)state;
    struct judged j = judge("HEAD", 301, "x-amz-bucket-region: eu-west-1\n", "");
    assert_string_equal(j.fault.region, "eu-west-1");
    j = judge("GET", 400, "",
              "<Error><Code>AuthorizationHeaderMalformed</Code><Region>us-gov-1"
              "</Region></Error>");
    assert_string_equal(j.fault.region, "us-gov-1");
    j = judge("GET", 301, "x-amz-bucket-region: evil.example/\n",
              "<Error><Region>UP</Region></Error>");
    assert_string_equal(j.fault.region, "");
}

static void names_of_listings_are_decoded(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    assert_true(sli_s3_url_decode(SL_STR("a+b%2Bc%20d%01/e"), &out));
    assert_string_equal(sl_buf_cstr(&out), "a b+c d\x01/e");
    sl_buf_clear(&out);
    assert_false(sli_s3_url_decode(SL_STR("100%"), &out));
}

/* RFC 3720, appendix B.4, has the CRC-32C of 32 zeros: aa 36 91 8a. */
static void checksums_are_big_endian_base64(void **state)
{
    (void)state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    sli_s3_crc_add(&out, 0x8a9136aa);
    assert_string_equal(sl_buf_cstr(&out), "ipE2qg==");
}

/* 10,000 parts reach the largest object: 5 TiB. */
static void parts_reach_the_largest_object(void **state)
{
    (void)state;
    uint64_t largest = UINT64_C(5) << 40;
    uint64_t part = (largest + SLI_S3_PARTS_MAX - 1) / SLI_S3_PARTS_MAX;
    assert_true(part >= SLI_S3_PART_MIN && part <= SLI_S3_PART_MAX);
    assert_true(SLI_S3_PART_MAX * SLI_S3_PARTS_MAX >= largest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profile_of_both_files_is_read),
        cmocka_unit_test(sessions_are_sections_of_their_own),
        cmocka_unit_test(lines_that_are_nothing_are_refused_without_their_text),
        cmocka_unit_test(buckets_have_the_addresses_of_the_documentation),
        cmocka_unit_test(settings_that_cannot_work_are_told),
        cmocka_unit_test(tokens_of_containers_go_to_safe_places_only),
        cmocka_unit_test(answers_mean_what_the_reference_says),
        cmocka_unit_test(sentences_say_what_to_do_and_keep_what_was_signed),
        cmocka_unit_test(regions_are_taken_from_header_and_body_if_they_are_some),
        cmocka_unit_test(names_of_listings_are_decoded),
        cmocka_unit_test(checksums_are_big_endian_base64),
        cmocka_unit_test(parts_reach_the_largest_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
