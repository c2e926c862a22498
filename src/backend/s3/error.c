/* Answers of S3 in words: what was refused, where, and what to do; and whether asking again is of
 * use. The one place that knows the codes, Amazon's and those of other servers.
 *
 * The code comes in an XML body; HEAD has none, gateways send pages of their own. The message is
 * passed on where it says more than we know, never for signatures: there it holds what was signed.
 * Source: "Error responses" of the S3 API reference. Pure but for the clock. */
#include "backend/s3/s3_int.h"

enum use { FINAL, AGAIN };

/* The sentence begins with action and object; this is what follows. */
static const struct row {
    const char *code;
    sl_rc rc;
    enum use use;
    const char *text;
} rows[] = {
    {"NoSuchKey", SL_ENOTFOUND, FINAL, "the object does not exist"},
    {"NoSuchUpload", SL_EIO, FINAL,
     "the upload is gone: it was aborted, by a lifecycle rule or another program"},
    {"NoSuchBucket", SL_EINVAL, FINAL, "the bucket does not exist; create it or name another one"},
    {"InvalidBucketName", SL_EINVAL, FINAL, "the bucket's name is not allowed"},
    {"AllAccessDisabled", SL_EACCESS, FINAL, "the bucket is disabled"},
    {"AccountProblem", SL_EACCESS, FINAL, "the account has a problem; ask its provider"},
    {"NotSignedUp", SL_EACCESS, FINAL, "the account is not signed up for the store"},
    {"PreconditionFailed", SL_ECONFLICT, FINAL, "the object exists already"},
    {"ObjectParentIsFile", SL_ECONFLICT, FINAL, "a part of the object's path is itself an object"},
    {"ExistingObjectIsDirectory", SL_ECONFLICT, FINAL, "the object's name is that of a folder"},
    {"ConditionalRequestConflict", SL_EBUSY, AGAIN, "another write of the object is under way"},
    {"OperationAborted", SL_EBUSY, AGAIN, "another write of the object is under way"},
    {"InvalidAccessKeyId", SL_EACCESS, FINAL, NULL}, /* keys_text has the words for these */
    {"XAdminUserNotFound", SL_EACCESS, FINAL, NULL},
    {"SignatureDoesNotMatch", SL_EACCESS, FINAL, NULL},
    {"ExpiredToken", SL_EACCESS, FINAL, NULL},
    {"InvalidToken", SL_EACCESS, FINAL, NULL},
    {"TokenRefreshRequired", SL_EACCESS, FINAL, NULL},
    {"AccessDenied", SL_EACCESS, FINAL, NULL},
    {"RequestTimeTooSkewed", SL_EACCESS, FINAL, NULL},
    {"InvalidObjectState", SL_EACCESS, FINAL, "the object is archived; restore it before reading"},
    {"ObjectLocked", SL_EACCESS, FINAL, "the object is locked against changes"},
    {"InvalidPart", SL_EIO, FINAL, "a part that was sent is not there any more"},
    {"InvalidPartOrder", SL_EINTERNAL, FINAL, "the parts are not in order"},
    {"EntityTooSmall", SL_EINVAL, FINAL, "a part but the last has less than 5 MiB"},
    {"EntityTooLarge", SL_ETOOBIG, FINAL, "the store does not take objects of this size"},
    {"QuotaExceeded", SL_ENOSPACE, FINAL, "the quota is used up; free space or raise it"},
    {"XMinioStorageFull", SL_ENOSPACE, FINAL, "the store is full; free space there"},
    {"BadDigest", SL_EIO, AGAIN, "the bytes were damaged on the way"},
    {"InvalidDigest", SL_EIO, AGAIN, "the bytes were damaged on the way"},
    {"XAmzContentChecksumMismatch", SL_EIO, AGAIN, "the bytes were damaged on the way"},
    {"XAmzContentSHA256Mismatch", SL_EIO, AGAIN, "the bytes were damaged on the way"},
    {"IncompleteBody", SL_EIO, AGAIN, "the bytes did not arrive whole"},
    {"RequestTimeout", SL_ETIMEOUT, AGAIN, "the bytes did not arrive in time"},
    {"SlowDown", SL_EBUSY, AGAIN, "the store asks for fewer requests"},
    {"SlowDownWrite", SL_EBUSY, AGAIN, "the store asks for fewer requests"},
    {"SlowDownRead", SL_EBUSY, AGAIN, "the store asks for fewer requests"},
    {"Throttling", SL_EBUSY, AGAIN, "the store asks for fewer requests"},
    {"TooManyRequests", SL_EBUSY, AGAIN, "the store asks for fewer requests"},
    {"RequestLimitExceeded", SL_EBUSY, AGAIN, "the store asks for fewer requests"},
    {"ServiceUnavailable", SL_EBUSY, AGAIN, "the store is not available"},
    {"ServerBusy", SL_EBUSY, AGAIN, "the store is not available"},
    {"InternalError", SL_EIO, AGAIN, "the store has a fault"},
    {"KMS.NotFoundException", SL_EINVAL, FINAL,
     "the key of SLUICE_S3_KMS_KEY does not exist in the bucket's region"},
    {"KMS.DisabledException", SL_EACCESS, FINAL, "the key of SLUICE_S3_KMS_KEY is disabled"},
    {"InvalidStorageClass", SL_EINVAL, FINAL,
     "the store does not know the class of SLUICE_S3_STORAGE_CLASS"},
    {"InvalidTag", SL_EINVAL, FINAL, "SLUICE_S3_TAGS is not taken"},
};

/* ---- reading ---- */

/* Printable ASCII only, cut: it goes to logs and terminals. */
static void copy_text(char *to, size_t size, struct sl_str text)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len && len + 1 < size; i++) {
        char c = text.ptr[i];
        to[len++] = c >= ' ' && c < 0x7f ? c : ' ';
    }
    to[len] = '\0';
}

static sl_rc on_element(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct sli_s3_fault *f = arg;
    (void)err;
    if (sl_str_is(path, "Error/Code")) {
        copy_text(f->code, sizeof f->code, sl_str_trim(text));
    } else if (sl_str_is(path, "Error/Message")) {
        copy_text(f->message, sizeof f->message, text);
    } else if (sl_str_is(path, "Error/Region") && sli_s3_is_region(text)) {
        copy_text(f->region, sizeof f->region, text);
    } else if (sl_str_is(path, "Error")) {
        f->is_fault = true;
    }
    return SL_OK;
}

sl_rc sli_s3_fault_read(const struct sl_http_reply *reply, struct sli_s3_fault *ret,
                        struct sl_err *err)
{
    *ret = (struct sli_s3_fault){.is_fault = false};
    struct sl_bytes body = sl_str_bytes(sl_str_trim(sl_buf_str(&reply->body))); /* kept alive by
                                                                                  blanks */
    struct sl_str region = sl_http_header_of(reply, "x-amz-bucket-region");
    bool may_be_fault = reply->status >= 300 || body.len <= SLI_S3_REPLY_MAX;
    if (may_be_fault && body.len > 0 && body.ptr[0] == '<') {
        struct sl_err why = {.rc = SL_OK};
        sl_rc rc = sl_xml_read(body, on_element, ret, &why);
        if (rc == SL_ENOMEM) {
            return SL_NOMEM(err);
        }
    }
    if (sli_s3_is_region(region)) {
        copy_text(ret->region, sizeof ret->region, region);
    }
    return SL_OK;
}

bool sli_s3_is_key_refused(const struct sli_s3_call *call, const struct sli_s3_fault *fault)
{
    static const char *const codes[] = {"InvalidAccessKeyId",
                                        "XAdminUserNotFound",
                                        "SignatureDoesNotMatch",
                                        "ExpiredToken",
                                        "InvalidToken",
                                        "TokenRefreshRequired",
                                        NULL};
    bool is_mute = fault->code[0] == '\0' && strcmp(call->method, "HEAD") == 0;
    bool is_refusal = call->status == 400 || call->status == 401 || call->status == 403;
    return sli_is_one_of(sl_str_from(fault->code), codes) || (is_mute && is_refusal);
}

/* ---- sentences ---- */

static void denied_text(const struct sli_s3 *s3, const struct sli_s3_call *call, const char *source,
                        struct sl_buf *out)
{
    bool is_bucket = call->key.ptr == NULL;
    sl_buf_addf(out, "the credentials of %s may not do it; allow %s on arn:aws:s3:::%s", source,
                call->action, s3->store.bucket);
    if (!is_bucket) {
        sl_buf_addf(out, "/%s*", s3->store.prefix);
    } else if (s3->store.prefix[0] != '\0') {
        sl_buf_addf(out, " with the prefix %s", s3->store.prefix);
    }
    sl_buf_add_text(out, " in their policy and the bucket's");
}

/* Codes whose words depend on where the keys come from. */
static void keys_text(const struct sli_s3 *s3, const struct sli_s3_call *call,
                      const struct sl_http_reply *reply, const char *code, const char *source,
                      struct sl_buf *out)
{
    if (strcmp(code, "RequestTimeTooSkewed") == 0) {
        sli_skew_add(out, sli_skew_ns(&s3->store, reply), "the store's");
    } else if (strcmp(code, "SignatureDoesNotMatch") == 0) {
        sl_buf_addf(out,
                    "the secret of %s is not that of its key id; check that it was copied whole, "
                    "without blanks",
                    source);
    } else if (strcmp(code, "ExpiredToken") == 0 || strcmp(code, "TokenRefreshRequired") == 0) {
        sl_buf_addf(out, "the session token of %s has expired; get new credentials", source);
    } else if (strcmp(code, "InvalidToken") == 0) {
        sl_buf_addf(out, "the session token of %s does not belong to its key id", source);
    } else if (strcmp(code, "AccessDenied") == 0) {
        denied_text(s3, call, source, out);
    } else {
        sl_buf_addf(out,
                    "the store does not know the key id of %s; check that it is of this store and "
                    "not deleted or expired",
                    source);
    }
}

/* "s3:PutObject on s3://bucket/prefix/key: TEXT (403 AccessDenied)" */
static sl_rc fail(const struct sli_s3 *s3, const struct sli_s3_call *call, const char *code,
                  sl_rc rc, const char *text, struct sl_err *err)
{
    return SL_FAIL(err, rc, "%s on s3://%s/%s%.*s: %s (%d%s%s)", call->action, s3->store.bucket,
                   s3->store.prefix, SL_STR_ARG(call->key), text, call->status,
                   code[0] == '\0' ? "" : " ", code);
}

/* An answer whose code says nothing to us, or that has none. */
static sl_rc judge_status(const struct sli_s3_call *call, bool has_code, struct sli_try *t,
                          const char **ret_text)
{
    int status = call->status;
    if (status == 404 && !has_code) {
        *ret_text = call->key.ptr != NULL ? "the object does not exist" : "there is no such bucket";
        return call->key.ptr != NULL ? SL_ENOTFOUND : SL_EINVAL;
    }
    if (status == 412) {
        *ret_text = "the object exists already";
        return SL_ECONFLICT;
    }
    if (status == 408 || status == 429 || (status >= 500 && status != 501)) {
        t->is_repeatable = true;
        *ret_text = "the store has a fault or too much work";
        return status == 429 || status == 503 ? SL_EBUSY : SL_EIO;
    }
    if (status >= 300 && status < 400) {
        *ret_text = "the endpoint sends us elsewhere, which is not followed; check "
                    "BACKUP_S3_ENDPOINT and AWS_REGION";
        return SL_EINVAL;
    }
    *ret_text = status == 501 ? "the store does not know this request" : "the store refuses it";
    return status == 401 || status == 403 ? SL_EACCESS : SL_EINVAL;
}

static sl_rc judge_unknown(const struct sli_s3 *s3, const struct sli_s3_call *call,
                           const struct sli_s3_fault *fault, const char *source, struct sli_try *t,
                           struct sl_err *err)
{
    SL_AUTO(sl_buf) why = SL_BUF_EMPTY;
    const char *text = NULL;
    sl_rc rc = judge_status(call, fault->code[0] != '\0', t, &text);
    if (rc == SL_EACCESS && fault->code[0] == '\0') {
        denied_text(s3, call, source, &why);
    } else {
        sl_buf_add_text(&why, text);
        if (fault->message[0] != '\0') {
            sl_buf_addf(&why, ": %s", fault->message);
        }
    }
    const char *whole = sl_buf_cstr(&why);
    SL_TRY(sl_buf_done(&why, err));
    return fail(s3, call, fault->code, rc, whole, err);
}

sl_rc sli_s3_judge(const struct sli_s3 *s3, const struct sli_s3_call *call,
                   const struct sl_http_reply *reply, const struct sli_s3_fault *fault,
                   const char *source, struct sli_try *t, struct sl_err *err)
{
    SL_AUTO(sl_buf) why = SL_BUF_EMPTY;
    if (call->status >= 200 && call->status < 300 && !(call->is_late && fault->is_fault)) {
        return SL_OK;
    }
    t->wait_ns = sli_wait_asked_ns(&s3->store, reply);
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        const struct row *r = &rows[i];
        if (strcmp(fault->code, r->code) != 0) {
            continue;
        }
        const char *text = r->text;
        if (text == NULL) {
            keys_text(s3, call, reply, r->code, source, &why);
            text = sl_buf_cstr(&why);
            SL_TRY(sl_buf_done(&why, err));
        }
        t->is_repeatable = r->use == AGAIN;
        return fail(s3, call, fault->code, r->rc, text, err);
    }
    if (call->status < 300) { /* an error inside a 200 that nobody wrote down */
        t->is_repeatable = true;
        return fail(s3, call, fault->code, SL_EIO, "the store failed at the end", err);
    }
    return judge_unknown(s3, call, fault, source, t, err);
}
