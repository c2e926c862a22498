/* Keys that a program of the user prints: credential_process of a profile. Source: "Process
 * credential provider" of the AWS SDKs reference guide.
 *
 * What it prints and its arguments are secrets: they stand in no sentence. */
#include "backend/s3/keys_int.h"

#include "base/crypto.h"
#include "base/process.h"

#define SOURCE     "credential_process"
#define TIMEOUT_NS INT64_C(60000000000) /* it may ask another service; a person it cannot ask */
#define OUTPUT_MAX (64u * 1024)

static sl_rc read_answer(const struct sli_s3_search *s, struct sl_str text, struct sli_s3_keys *ret,
                         struct sl_err *err)
{
    json_t *root = NULL;
    SL_TRY(sli_s3_json_read(text, SOURCE, &root, err));
    const json_t *version = json_object_get(root, "Version");
    sl_rc rc;
    if (!json_is_integer(version) || json_integer_value(version) != 1) {
        rc = SL_FAIL(err, SL_EIO, SOURCE ": the answer does not say \"Version\": 1");
    } else {
        rc = sli_s3_keys_set(s, ret, sli_s3_json_text(root, "AccessKeyId"),
                             sli_s3_json_text(root, "SecretAccessKey"),
                             sli_s3_json_text(root, "SessionToken"),
                             sli_s3_json_text(root, "Expiration"), SOURCE, err);
    }
    sli_json_free(root);
    if (rc == SL_OK && ret->end_ns <= sl_clock_wall_ns(s->s3->store.clock)) {
        rc = SL_FAIL(err, SL_EACCESS,
                     SOURCE ": the keys it gives have expired; log in again where "
                            "it takes them from");
    }
    return rc;
}

sl_rc sli_s3_command_keys(const struct sli_s3_search *s, struct sl_str line,
                          struct sli_s3_keys *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_err why = {.rc = SL_OK};
    struct sl_command command = {
        .line = line, .timeout_ns = TIMEOUT_NS, .out_max = OUTPUT_MAX, .cancel = s->cancel};
    sl_rc rc = sl_command_run(&command, &out, &why);
    if (rc == SL_OK) {
        rc = read_answer(s, sl_buf_str(&out), ret, err);
    } else if (rc == SL_EIO) {
        rc =
            SL_FAIL(err, SL_EACCESS, SOURCE ": %s; run it in a shell, there it says why", why.text);
    } else {
        rc = SL_FAIL(err, rc, SOURCE ": %s", why.text);
    }
    sl_wipe(out.ptr, out.len);
    return rc;
}
