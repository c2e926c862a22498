/* What an answer of S3 means: the one home of its codes.
 *
 * Sentences name bucket, action, setting and what to do. A code that is not in the table is judged
 * by its status: 5xx and 429 may pass, the rest will not. */
#include <stdio.h>

#include "backend/s3/s3_int.h"

enum kind { FAILS, PASSES, REFUSED, ELSEWHERE };

static const struct {
    const char *code;
    enum kind kind;
    sl_rc rc;
    const char *advice;
} codes[] = {
    {"NoSuchBucket", FAILS, SL_EINVAL,
     "there is no such bucket; make it, or choose another by "
     "EXPORT_DEFAULT_BUCKET or the URL"},
    {"NoSuchKey", FAILS, SL_ENOTFOUND, "there is no such object"},
    {"NoSuchUpload", FAILS, SL_ENOTFOUND, "the upload is not open any more"},
    {"AccessDenied", FAILS, SL_EACCESS,
     "the credentials may not do this; allow the action on the "
     "bucket and its objects to their user or role"},
    {"AllAccessDisabled", FAILS, SL_EACCESS, "the bucket is closed for everybody"},
    {"InvalidAccessKeyId", REFUSED, SL_EACCESS,
     "the service does not know the access key; check "
     "AWS_ACCESS_KEY_ID and BACKUP_S3_ENDPOINT"},
    {"XAdminUserNotFound", REFUSED, SL_EACCESS,
     "the service does not know the access key; check "
     "AWS_ACCESS_KEY_ID and BACKUP_S3_ENDPOINT"},
    {"SignatureDoesNotMatch", FAILS, SL_EACCESS,
     "the secret does not belong to the access key; "
     "check AWS_SECRET_ACCESS_KEY"},
    {"ExpiredToken", REFUSED, SL_EACCESS, "the session token has expired; give new credentials"},
    {"InvalidToken", REFUSED, SL_EACCESS,
     "the session token is not valid; check "
     "AWS_SESSION_TOKEN"},
    {"TokenRefreshRequired", REFUSED, SL_EACCESS, "the session token must be renewed"},
    {"RequestTimeTooSkewed", FAILS, SL_EACCESS,
     "this machine's clock and the service's differ by "
     "more than 15 minutes; set the clock"},
    {"RequestExpired", FAILS, SL_EACCESS, "this machine's clock is late; set the clock"},
    {"PermanentRedirect", ELSEWHERE, SL_EINVAL, "the bucket is in another region; set AWS_REGION"},
    {"TemporaryRedirect", ELSEWHERE, SL_EINVAL, "the bucket is in another region; set AWS_REGION"},
    {"AuthorizationHeaderMalformed", ELSEWHERE, SL_EINVAL,
     "the bucket is in another region, or the access key is malformed; set AWS_REGION"},
    {"IllegalLocationConstraintException", ELSEWHERE, SL_EINVAL,
     "the bucket is in another region; set AWS_REGION"},
    {"PreconditionFailed", FAILS, SL_ECONFLICT, "the object exists already"},
    {"ObjectParentIsFile", FAILS, SL_ECONFLICT, "an object has the name of a folder on the way"},
    {"ConditionalRequestConflict", PASSES, SL_EIO, "another request for the object is at work"},
    {"OperationAborted", PASSES, SL_EIO, "another request for the bucket is at work"},
    {"BadDigest", PASSES, SL_ECORRUPT, "the bytes arrived damaged"},
    {"InvalidDigest", PASSES, SL_ECORRUPT, "the bytes arrived damaged"},
    {"XAmzContentChecksumMismatch", PASSES, SL_ECORRUPT, "the bytes arrived damaged"},
    {"XAmzContentSHA256Mismatch", PASSES, SL_ECORRUPT, "the bytes arrived damaged"},
    {"IncompleteBody", PASSES, SL_EIO, "the bytes did not arrive whole"},
    {"RequestTimeout", PASSES, SL_ETIMEOUT, "the bytes came too slowly"},
    {"SlowDown", PASSES, SL_ETOOMANY, "the service asks for fewer requests"},
    {"InvalidRange", FAILS, SL_END, "nothing is there"},
    {"EntityTooLarge", FAILS, SL_ETOOBIG, "the service takes no object that large"},
    {"QuotaExceeded", FAILS, SL_ENOSPACE, "the bucket is full"},
    {"XMinioStorageFull", FAILS, SL_ENOSPACE, "the service is full"},
    {"NotImplemented", FAILS, SL_EUNSUPPORTED, "the service does not do this"},
};

struct fields {
    struct sli_s3_verdict *verdict;
    char message[256];
};

static void copy(char *to, size_t size, struct sl_str text)
{
    (void)snprintf(to, size, "%.*s", SL_STR_ARG(text));
}

static sl_rc on_element(void *arg, struct sl_str path, struct sl_str text,
                        struct sl_err *err SL_UNUSED)
{
    struct fields *f = arg;
    if (sl_str_ends(path, "Error/Code")) {
        copy(f->verdict->code, sizeof(f->verdict->code), text);
    } else if (sl_str_ends(path, "Error/Message")) {
        copy(f->message, sizeof(f->message), text);
    } else if (sl_str_ends(path, "Error/Region")) {
        copy(f->verdict->region, sizeof(f->verdict->region), text);
    }
    return SL_OK;
}

/* A HEAD has no body: the status says what can be said. */
static const char *code_of_status(int status)
{
    switch (status) {
    case 301:
    case 307:
        return "PermanentRedirect";
    case 403:
        return "AccessDenied";
    case 404:
        return "NoSuchKey";
    case 412:
        return "PreconditionFailed";
    case 416:
        return "InvalidRange";
    case 501:
        return "NotImplemented";
    case 503:
        return "SlowDown";
    default:
        return "";
    }
}

/* Only what a region can be made of goes into a host name. */
static bool is_region(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static size_t find(const char *code)
{
    size_t i = 0;
    while (i < SL_COUNT_OF(codes) && strcmp(codes[i].code, code) != 0) {
        i++;
    }
    return i;
}

/* Is the region one that we did not try? */
static bool is_new_region(const struct sli_s3 *s3, const char *region)
{
    struct sli_s3 *mutable = (struct sli_s3 *)(uintptr_t)s3;
    sl_mutex_lock(&mutable->mu);
    bool is_new = is_region(region) && strcmp(region, mutable->locked.region) != 0;
    sl_mutex_unlock(&mutable->mu);
    return is_new;
}

sl_rc sli_s3_judge(const struct sli_s3 *s3, const struct sli_s3_request *q,
                   const struct sl_http_reply *reply, struct sli_s3_verdict *ret,
                   struct sl_err *err)
{
    struct fields f = {.verdict = ret};
    struct sl_str region = sl_http_header_of(reply, "x-amz-bucket-region");
    SL_IGNORE(sl_xml_read(sl_buf_view(&reply->body), on_element, &f, NULL),
              "what cannot be read is judged by its status");
    if (ret->code[0] == '\0') {
        copy(ret->code, sizeof(ret->code), sl_str_from(code_of_status(reply->status)));
    }
    if (region.len > 0) {
        copy(ret->region, sizeof(ret->region), region);
    }
    size_t i = find(ret->code);
    bool is_known = i < SL_COUNT_OF(codes);
    enum kind kind = is_known ? codes[i].kind : FAILS;
    ret->is_repeatable = kind == PASSES || reply->status == 429 ||
                         (reply->status >= 500 && reply->status != 501 && reply->status != 507) ||
                         (!is_known && reply->status >= 200 && reply->status < 300);
    ret->is_refused = kind == REFUSED || reply->status == 401;
    ret->is_elsewhere = kind == ELSEWHERE && is_new_region(s3, ret->region);
    sl_rc rc = is_known ? codes[i].rc : ret->is_repeatable ? SL_EIO : SL_EACCESS;
    return SL_FAIL(err, rc, "s3://%s/%s%.*s: %s: %s%s%s (status %d%s%s)", s3->store.bucket,
                   s3->store.prefix, SL_STR_ARG(q->key), q->action,
                   is_known ? codes[i].advice : "refused", f.message[0] == '\0' ? "" : ": ",
                   f.message, reply->status, ret->code[0] == '\0' ? "" : ", ", ret->code);
}
