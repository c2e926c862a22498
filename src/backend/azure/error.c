/* Answers of Azure Blob Storage in words: what was refused, where, and what to do; and whether
 * asking again is of use. The one place that knows the service's codes.
 *
 * The code comes in the header x-ms-error-code (HEAD has no body). The service's own message is not
 * passed on: it holds request ids and times, for SAS and signatures also what was signed. Source:
 * "Common REST API error codes", "Blob Storage error codes". Pure. */
#include "backend/azure/azure_int.h"

#define SECOND_NS INT64_C(1000000000)
/* The service takes dates that differ by 15 minutes; less than that is no cause. */
#define SKEW_NS (14 * 60 * SECOND_NS)

enum use { FINAL, AGAIN };

/* The sentence begins with action and object; this is what follows. */
static const struct row {
    const char *code;
    sl_rc rc;
    enum use use;
    const char *text;
} rows[] = {
    {"BlobNotFound", SL_ENOTFOUND, FINAL, "the object does not exist"},
    {"ContainerNotFound", SL_EINVAL, FINAL,
     "the container does not exist; create it or name another one"},
    {"ContainerBeingDeleted", SL_EINVAL, FINAL,
     "the container is being deleted; wait some minutes and create it, or name another one"},
    {"ContainerDisabled", SL_EINVAL, FINAL, "the container is disabled"},
    {"ResourceNotFound", SL_EINVAL, FINAL,
     "the account or container does not exist; check their names"},
    {"InvalidResourceName", SL_EINVAL, FINAL,
     "the name of the container or object is not allowed; containers have 3 to 63 small letters, "
     "digits and single dashes"},
    {"InvalidUri", SL_EINVAL, FINAL,
     "the address is not understood; check the endpoint, which for emulators ends in the account's "
     "name"},
    {"BlobAlreadyExists", SL_ECONFLICT, FINAL, "the object exists already"},
    {"ConditionNotMet", SL_ECONFLICT, FINAL, "the object exists already"},
    {"UnauthorizedBlobOverwrite", SL_ECONFLICT, FINAL,
     "the object exists already and the SAS does not allow to replace it"},
    {"InvalidBlobType", SL_ECONFLICT, FINAL, "the name is taken by a blob of another type"},
    {"InvalidBlockList", SL_ECONFLICT, FINAL,
     "blocks of the upload are gone: another upload of the same object ended or was cleared away"},
    {"InvalidBlobOrBlock", SL_ECONFLICT, FINAL,
     "another program has left an unfinished upload under this name; delete it or wait a week, "
     "when the service clears it away"},
    {"BlockCountExceedsLimit", SL_ETOOBIG, FINAL,
     "more than 100,000 blocks of unfinished uploads lie under this name; delete them or wait a "
     "week"},
    {"RequestBodyTooLarge", SL_ETOOBIG, FINAL, "the service does not take parts of this size"},
    {"BlobImmutableDueToPolicy", SL_EACCESS, FINAL,
     "a policy of the container forbids to change objects; metadata and status records are "
     "replaced, so exports need a container without it"},
    {"BlobArchived", SL_EACCESS, FINAL, "the object is archived; rehydrate it before reading"},
    {"BlobBeingRehydrated", SL_EACCESS, FINAL, "the object is being rehydrated; try again later"},
    {"LeaseIdMissing", SL_EACCESS, FINAL, "somebody holds a lease on the object; break it"},
    {"SnapshotsPresent", SL_EACCESS, FINAL, "the object has snapshots; delete them first"},
    {"Md5Mismatch", SL_EIO, AGAIN, "the bytes were damaged on the way"},
    {"Crc64Mismatch", SL_EIO, AGAIN, "the bytes were damaged on the way"},
    {"AccountIsDisabled", SL_EACCESS, FINAL, "the storage account is disabled"},
    {"InsufficientAccountPermissions", SL_EACCESS, FINAL,
     "the storage account is read-only, perhaps during a failover"},
    {"KeyBasedAuthenticationNotPermitted", SL_EACCESS, FINAL,
     "the account takes neither keys nor SAS; use a managed or workload identity"},
    {"PublicAccessNotPermitted", SL_EACCESS, FINAL, "the account asks for credentials"},
    {"AuthorizationFailure", SL_EACCESS, FINAL,
     "the account refuses us: let its firewall admit this network, or allow the action to the SAS; "
     "an emulator says so of a wrong key"},
    {"AuthorizationSourceIPMismatch", SL_EACCESS, FINAL,
     "the SAS is for other IP addresses than ours"},
    {"AuthorizationProtocolMismatch", SL_EACCESS, FINAL, "the SAS is for https only"},
    {"AuthorizationServiceMismatch", SL_EACCESS, FINAL,
     "the SAS is not for blobs; make one for the service Blob (ss=b)"},
    {"AuthorizationResourceTypeMismatch", SL_EACCESS, FINAL,
     "the SAS does not cover containers and objects; make one for both (srt=co)"},
    {"ServerBusy", SL_EBUSY, AGAIN, "the service is busy"},
    {"OperationTimedOut", SL_ETIMEOUT, AGAIN, "the service took too long"},
    {"AccountBeingCreated", SL_EBUSY, AGAIN, "the account is being created"},
};

/* ---- sentences ---- */

void sli_azure_subject_add(const struct sli_azure *az, const struct sli_azure_call *call,
                           struct sl_buf *out)
{
    sl_buf_addf(out, "%s of az://%s/", call->action, az->store.bucket);
    if (call->key.len > 0) {
        sl_buf_addf(out, "%s%.*s", az->store.prefix, SL_STR_ARG(call->key));
    }
    sl_buf_addf(out, " (account %.*s)", SL_STR_ARG(sli_azure_account_text(&az->account)));
}

static sl_rc fail(const struct sli_azure *az, const struct sli_azure_call *call, struct sl_str code,
                  int status, sl_rc rc, const char *text, struct sl_err *err)
{
    SL_AUTO(sl_buf) subject = SL_BUF_EMPTY;
    sli_azure_subject_add(az, call, &subject);
    SL_TRY(sl_buf_done(&subject, err));
    return SL_FAIL(err, rc, "%s: %s (%d%s%.*s)", sl_buf_cstr(&subject), text, status,
                   code.len > 0 ? " " : "", (int)SL_MIN(code.len, 80u), code.ptr);
}

/* Why a signature, SAS or token was not taken. */
static void authentication_text(const struct sli_azure *az, const struct sl_http_reply *reply,
                                struct sl_buf *out)
{
    int64_t skew = sli_skew_ns(&az->store, reply);
    int64_t now = sl_clock_wall_ns(az->store.clock) + skew;
    if (az->account.kind == SLI_AZURE_SAS && az->account.sas_end_ns <= now) {
        sl_buf_add_text(out, "the SAS of AZURE_STORAGE_CONNECTION_STRING expired at ");
        sl_time_add_ns(out, az->account.sas_end_ns);
        sl_buf_add_text(out, "; make a new one");
        return;
    }
    if (skew > SKEW_NS || skew < -SKEW_NS) {
        sli_skew_add(out, skew, "the service's");
        return;
    }
    switch (az->account.kind) {
    case SLI_AZURE_KEY:
        sl_buf_addf(
            out, "the account key is not accepted; check that %s has key1 or key2 of this account",
            az->account.variable);
        break;
    case SLI_AZURE_SAS:
        sl_buf_add_text(out, "the SAS is not accepted; check that it was copied whole, that it is "
                             "of this account and has begun, and that its key was not rotated");
        break;
    case SLI_AZURE_WORKLOAD:
    case SLI_AZURE_APP_SERVICE:
    case SLI_AZURE_IMDS:
        sl_buf_addf(out,
                    "the token of %s is not accepted; check that it is of the directory the "
                    "account belongs to",
                    az->account.variable);
        break;
    }
}

static void permission_text(const struct sli_azure *az, struct sl_buf *out)
{
    switch (az->account.kind) {
    case SLI_AZURE_KEY:
        sl_buf_add_text(out, "the account forbids it");
        break;
    case SLI_AZURE_SAS:
        sl_buf_add_text(out, "the SAS does not allow it; an export needs read, create, write and "
                             "list (sp=rcwl) on the container");
        break;
    case SLI_AZURE_WORKLOAD:
    case SLI_AZURE_APP_SERVICE:
    case SLI_AZURE_IMDS:
        sl_buf_addf(out,
                    "%s may not do it; give it the role Storage Blob Data Contributor on the "
                    "container (it takes some minutes)",
                    az->account.variable);
        break;
    }
}

static bool is_authentication(struct sl_str code, int status)
{
    static const char *const codes[] = {"AuthenticationFailed",
                                        "InvalidAuthenticationInfo",
                                        "NoAuthenticationInformation",
                                        "ExpiredAuthenticationToken",
                                        "InvalidAuthenticationTokenTenant",
                                        NULL};
    return sli_is_one_of(code, codes) || (code.len == 0 && status == 401);
}

static bool is_permission(struct sl_str code, int status)
{
    static const char *const codes[] = {"AuthorizationPermissionMismatch",
                                        "InsufficientAuthorization", NULL};
    return sli_is_one_of(code, codes) || (code.len == 0 && status == 403);
}

/* An answer whose code says nothing to us, or that has none: HEAD through a proxy, a gateway. */
static sl_rc judge_status(const struct sli_azure_call *call, int status, struct sli_try *t,
                          const char **ret_text)
{
    switch (status) {
    case 404:
        *ret_text = call->key.len > 0 ? "the object does not exist" : "there is no such container";
        return call->key.len > 0 ? SL_ENOTFOUND : SL_EINVAL;
    case 412:
        *ret_text = "the object exists already";
        return SL_ECONFLICT;
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        t->is_repeatable = true;
        *ret_text = "the service has a fault or too much work";
        return status == 429 || status == 503 ? SL_EBUSY : SL_EIO;
    default:
        break;
    }
    if (status >= 300 && status < 400) {
        *ret_text = "the endpoint sends us elsewhere, which is not followed; check it";
        return SL_EIO;
    }
    *ret_text = "the service refuses it";
    return status == 401 || status == 403 ? SL_EACCESS : SL_EIO;
}

bool sli_azure_is_token_refused(const struct sl_http_reply *reply)
{
    return is_authentication(sl_http_header_of(reply, "x-ms-error-code"), reply->status);
}

sl_rc sli_azure_judge(const struct sli_azure *az, const struct sli_azure_call *call,
                      const struct sl_http_reply *reply, struct sli_try *t, struct sl_err *err)
{
    if (reply->status >= 200 && reply->status < 300) {
        return SL_OK;
    }
    struct sl_str code = sl_http_header_of(reply, "x-ms-error-code");
    t->wait_ns = sli_wait_asked_ns(&az->store, reply);
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        if (sl_str_is(code, rows[i].code)) {
            t->is_repeatable = rows[i].use == AGAIN;
            return fail(az, call, code, reply->status, rows[i].rc, rows[i].text, err);
        }
    }
    SL_AUTO(sl_buf) why = SL_BUF_EMPTY;
    if (is_authentication(code, reply->status)) {
        authentication_text(az, reply, &why);
    } else if (is_permission(code, reply->status)) {
        permission_text(az, &why);
    }
    if (why.len > 0 || why.is_failed) {
        SL_TRY(sl_buf_done(&why, err));
        return fail(az, call, code, reply->status, SL_EACCESS, sl_buf_cstr(&why), err);
    }
    const char *text = NULL;
    sl_rc rc = judge_status(call, reply->status, t, &text);
    return fail(az, call, code, reply->status, rc, text, err);
}
