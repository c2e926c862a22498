/* Profiles and answers of S3: whatever the bytes, a refusal has its sentence, what goes into a host
 * name or a terminal is plain, and names of listings that are decoded can be encoded again. */
#include "backend/s3/s3_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_profile(struct sl_str text)
{
    for (int kind = 0; kind <= SLI_S3_FILE_SESSIONS; kind++) {
        struct sli_s3_profile p = {.is_found = false};
        struct sl_err err = {.rc = SL_OK};
        sl_rc rc =
            sli_s3_profile_parse(text, (enum sli_s3_profile_file)kind, SL_STR("default"), &p, &err);
        sl_assert(rc == SL_OK || (rc == SL_EINVAL && strncmp(err.text, "line ", 5) == 0));
        sl_assert(p.is_found || (p.id.len == 0 && p.secret.len == 0 && p.role_arn.len == 0));
        sl_assert(memchr(sl_buf_cstr(&p.secret), '\n', p.secret.len) == NULL);
        sli_s3_profile_fini(&p);
    }
}

static void check_answer(struct sl_bytes body, int status)
{
    struct sl_http_reply reply = {.status = status};
    struct sli_s3_fault fault;
    sl_buf_add(&reply.body, body);
    sl_assert(sli_s3_fault_read(&reply, &fault, NULL) == SL_OK);
    const char *const texts[] = {fault.code, fault.message, fault.region};
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        for (const char *c = texts[i]; *c != '\0'; c++) {
            sl_assert(*c >= ' ' && *c < 0x7f);
        }
    }
    sl_assert(fault.region[0] == '\0' || sli_s3_is_region(sl_str_from(fault.region)));
    sl_http_reply_fini(&reply);
}

static void check_name(struct sl_str text)
{
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) encoded = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) again = SL_BUF_EMPTY;
    if (sli_s3_url_decode(text, &name)) {
        sl_percent_encode(sl_buf_str(&name), &encoded);
        sl_assert(sli_s3_url_decode(sl_buf_str(&encoded), &again));
        sl_assert(sl_str_eq(sl_buf_str(&name), sl_buf_str(&again)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_bytes b = SL_BYTES(data, size);
    check_profile(sl_bytes_str(b));
    check_answer(b, 403);
    check_answer(b, 200);
    check_name(sl_bytes_str(b));
    return 0;
}
