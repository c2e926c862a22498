/* What an answer of Cloud Storage means: the one home of its statuses and reasons.
 *
 * An error is {"error":{"code":403,"message":"...","errors":[{"reason":"forbidden"}]}}, or a text
 * where a session answers. The status decides; a reason tells limits of requests from refusals. */
#include <stdio.h>

#include "backend/gcs/gcs_int.h"

struct told {
    char message[256], reason[64];
};

static void read_told(const struct sl_http_reply *reply, struct told *ret)
{
    json_t *doc = sli_json_read(sl_buf_view(&reply->body));
    const json_t *error = json_object_get(doc, "error");
    const json_t *first = json_array_get(json_object_get(error, "errors"), 0);
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *reason = json_string_value(json_object_get(first, "reason"));
    (void)snprintf(ret->message, sizeof(ret->message), "%s", message == NULL ? "" : message);
    (void)snprintf(ret->reason, sizeof(ret->reason), "%s", reason == NULL ? "" : reason);
    json_decref(doc);
}

static bool is_limit(const struct told *told)
{
    static const char *const reasons[] = {"rateLimitExceeded", "userRateLimitExceeded",
                                          "quotaExceeded"};
    for (size_t i = 0; i < SL_COUNT_OF(reasons); i++) {
        if (strcmp(told->reason, reasons[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_passing(int status, const struct told *told)
{
    return status == 408 || status == 429 || status >= 500 || (status == 403 && is_limit(told));
}

static const char *advice(const struct sli_gcs_call *call, int status)
{
    switch (status) {
    case 400:
        return "the request is refused; if it was a checksum, the bytes arrived damaged";
    case 401:
        return "the token is not taken; check GOOGLE_APPLICATION_CREDENTIALS, and this machine's "
               "clock";
    case 403:
        return "the account may not do this; give it the role Storage Object User on the bucket";
    case 404:
        return call->key.ptr == NULL ? "there is no such bucket; make it, or choose another by "
                                       "EXPORT_DEFAULT_BUCKET or the URL"
                                     : "it does not exist";
    case 410:
        return "the upload's session has ended";
    case 412:
        return "the object exists already";
    case 413:
        return "the service takes no object that large";
    default:
        return "the service fails";
    }
}

static sl_rc code(const struct sli_gcs_call *call, int status, bool is_passing)
{
    switch (status) {
    case 404:
    case 410:
        return call->key.ptr == NULL ? SL_EINVAL : SL_ENOTFOUND;
    case 412:
        return SL_ECONFLICT;
    case 413:
        return SL_ETOOBIG;
    case 416:
        return SL_END;
    case 429:
        return SL_ETOOMANY;
    default:
        return is_passing ? SL_EIO : SL_EACCESS;
    }
}

sl_rc sli_gcs_judge(const struct sli_gcs *g, const struct sli_gcs_call *call,
                    const struct sl_http_reply *reply, struct sli_try *t, struct sl_err *err)
{
    struct told told;
    int status = reply->status;
    read_told(reply, &told);
    bool passes = is_passing(status, &told);
    t->is_repeatable = passes;
    t->wait_ns = sli_wait_asked_ns(&g->store, reply);
    return SL_FAIL(err, code(call, status, passes), "gs://%s/%s%.*s: %s: %s%s%s (status %d%s%s)",
                   g->store.bucket, g->store.prefix, SL_STR_ARG(call->key), call->action,
                   advice(call, status), told.message[0] == '\0' ? "" : ": ", told.message, status,
                   told.reason[0] == '\0' ? "" : ", ", told.reason);
}
