/* Azure driver, the parts that need no server: connection strings, ids of blocks, dates, and what
 * its answers mean.
 *
 * Connection strings are those of Azure's page "Configure Azure Storage connection strings", dates
 * the example of RFC 9110, codes those of "Blob Storage error codes". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backend/azure/azure_int.h"

#define CONNECTION "AZURE_STORAGE_CONNECTION_STRING"

struct pair {
    const char *name, *value;
};

static const char *lookup(void *arg, const char *name)
{
    for (const struct pair *p = arg; p->name != NULL; p++) {
        if (strcmp(p->name, name) == 0) {
            return p->value;
        }
    }
    return NULL;
}

static sl_rc load(struct pair *env, struct sl_config *c, struct sli_azure_account *a,
                  struct sl_err *err)
{
    *a = (struct sli_azure_account){.kind = SLI_AZURE_KEY};
    assert_int_equal(sl_config_load(c, lookup, env, NULL, NULL), SL_OK);
    return sli_azure_account_load(a, c, err);
}

static void assert_buf(const struct sl_buf *got, const char *want)
{
    assert_int_equal(got->len, strlen(want));
    assert_memory_equal(got->len == 0 ? (const void *)"" : got->ptr, want, got->len);
}

static void connection_strings_of_azures_pages_are_understood(void **state SL_UNUSED)
{
    static const struct {
        const char *text, *name, *endpoint, *key, *sas;
        enum sli_azure_kind kind;
    } rows[] = {
        {"DefaultEndpointsProtocol=https;AccountName=storagesample;AccountKey=c2VjcmV0;",
         "storagesample", "https://storagesample.blob.core.windows.net", "secret", "",
         SLI_AZURE_KEY},
        {"DefaultEndpointsProtocol=http;AccountName=storagesample;AccountKey=c2VjcmV0",
         "storagesample", "http://storagesample.blob.core.windows.net", "secret", "",
         SLI_AZURE_KEY},
        {"DefaultEndpointsProtocol=https;AccountName=storagesample;AccountKey=c2VjcmV0;"
         "EndpointSuffix=core.chinacloudapi.cn;",
         "storagesample", "https://storagesample.blob.core.chinacloudapi.cn", "secret", "",
         SLI_AZURE_KEY},
        {"BlobEndpoint=http://www.mydomain.com/;AccountName=storagesample;AccountKey=c2VjcmV0",
         "storagesample", "http://www.mydomain.com", "secret", "", SLI_AZURE_KEY},
        {"BlobEndpoint=https://storagesample.blob.core.windows.net;"
         "QueueEndpoint=https://storagesample.queue.core.windows.net;"
         "SharedAccessSignature=sv=2015-07-08&sig=iCvQmd%3D&spr=https&se=2016-04-13T03%3A29%3A31Z",
         "", "https://storagesample.blob.core.windows.net", "",
         "sv=2015-07-08&sig=iCvQmd%3D&spr=https&se=2016-04-13T03%3A29%3A31Z", SLI_AZURE_SAS},
        {" accountname = storagesample ; sharedaccesssignature = ?sv=1&sig=a ;; ", "storagesample",
         "https://storagesample.blob.core.windows.net", "", "sv=1&sig=a", SLI_AZURE_SAS},
        {"BlobEndpoint=http://[::1]:10000/acct1;AccountName=acct1;AccountKey=c2VjcmV0", "acct1",
         "http://[::1]:10000/acct1", "secret", "", SLI_AZURE_KEY},
        {"AccountName=storagesample", "storagesample",
         "https://storagesample.blob.core.windows.net", "", "", SLI_AZURE_IMDS},
    };
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        struct pair env[] = {{CONNECTION, rows[i].text}, {NULL, NULL}};
        struct sl_config c;
        struct sli_azure_account a;
        struct sl_err err = {0};
        assert_int_equal(load(env, &c, &a, &err), SL_OK);
        assert_buf(&a.name, rows[i].name);
        assert_buf(&a.endpoint, rows[i].endpoint);
        assert_buf(&a.key, rows[i].key);
        assert_buf(&a.sas, rows[i].sas);
        assert_int_equal(a.kind, rows[i].kind);
        sli_azure_account_fini(&a);
        sl_config_fini(&c);
    }
}

static void development_storage_is_the_emulators_account(void **state SL_UNUSED)
{
    struct pair env[] = {{CONNECTION, "UseDevelopmentStorage=true"}, {NULL, NULL}};
    struct sl_config c;
    struct sli_azure_account a;
    assert_int_equal(load(env, &c, &a, NULL), SL_OK);
    assert_buf(&a.name, "devstoreaccount1");
    assert_buf(&a.endpoint, "http://127.0.0.1:10000/devstoreaccount1");
    assert_int_equal(a.key.len, 64); /* 512 bits, as all account keys */
    sli_azure_account_fini(&a);
    sl_config_fini(&c);
}

/* What is wrong is told by variable and field; values, which may be keys, are not. */
static void bad_settings_are_told_without_their_values(void **state SL_UNUSED)
{
    static const struct {
        const char *name, *value, *want;
    } rows[] = {
        {CONNECTION, "SEKRET", CONNECTION ": field 1 is no name=value"},
        {CONNECTION, "AccountName=a;SEKRET", "field 2"},
        {CONNECTION, "AccountKey=U0VLUkVU", "neither AccountName nor BlobEndpoint"},
        {CONNECTION, "BlobEndpoint=https://h;AccountKey=U0VLUkVU", "no account"},
        {CONNECTION, "AccountName=a;AccountKey=SEKRET!", "not base64"},
        {CONNECTION, "AccountName=a;AccountKey=SEKRE", "not base64"},
        {CONNECTION, "AccountName=a.SEKRET;AccountKey=U0VLUkVU", "small letters"},
        {CONNECTION, "AccountName=a;DefaultEndpointsProtocol=SEKRET", "https or http"},
        {CONNECTION, "AccountName=a;EndpointSuffix=SEK/RET", "host name"},
        {CONNECTION, "BlobEndpoint=https://h?SEKRET;AccountName=a", "neither user nor query"},
        {CONNECTION, "BlobEndpoint=https://me:SEKRET@h", "neither user nor query"},
        {CONNECTION, "BlobEndpoint=SEKRET", "begins with https://"},
        {CONNECTION, "BlobEndpoint=https://", "begins with https://"},
        {CONNECTION, "BlobEndpoint=https:///SEKRET", "begins with https://"},
        {CONNECTION, "BlobEndpoint=https://h/SEK\x01RET", "begins with https://"},
        {CONNECTION, "AccountName=a;SharedAccessSignature=SEK RET", "query of a SAS"},
        {CONNECTION, "AccountName=a;DefaultEndpointsProtocol=http", "token goes over https only"},
        {"AZURE_STORAGE_ACCOUNT", "SEK/RET", "AZURE_STORAGE_ACCOUNT: the name"},
        {"AZURE_STORAGE_KEY", "SEKRET", "no Azure account is set"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        struct pair env[] = {{rows[i].name, rows[i].value}, {NULL, NULL}};
        struct sl_config c;
        struct sli_azure_account a;
        struct sl_err err = {0};
        assert_int_equal(load(env, &c, &a, &err), SL_EINVAL);
        if (strstr(err.text, rows[i].want) == NULL) {
            fail_msg("\"%s\" has no \"%s\"", err.text, rows[i].want);
        }
        assert_null(strstr(err.text, "SEK"));
        assert_null(strstr(err.text, "U0VLUkVU"));
        sli_azure_account_fini(&a);
        sl_config_fini(&c);
    }
}

static void credentials_are_taken_in_the_documented_order(void **state SL_UNUSED)
{
    struct pair env[] = {{"AZURE_STORAGE_ACCOUNT", "storagesample"},
                         {"IDENTITY_ENDPOINT", "http://169.254.131.2/msi/token"},
                         {"IDENTITY_HEADER", "proof"},
                         {"AZURE_FEDERATED_TOKEN_FILE", "/var/run/token"},
                         {"AZURE_TENANT_ID", "tenant"},
                         {"AZURE_CLIENT_ID", "client"},
                         {"AZURE_STORAGE_KEY", "c2VjcmV0"},
                         {CONNECTION, "AccountName=other;SharedAccessSignature=sig=a"},
                         {NULL, NULL}};
    static const enum sli_azure_kind want[] = {
        SLI_AZURE_IMDS, SLI_AZURE_IMDS,     SLI_AZURE_IMDS, SLI_AZURE_APP_SERVICE, SLI_AZURE_IMDS,
        SLI_AZURE_IMDS, SLI_AZURE_WORKLOAD, SLI_AZURE_KEY,  SLI_AZURE_SAS};
    for (size_t count = 1; count < SL_COUNT_OF(env); count++) {
        struct pair some[SL_COUNT_OF(env)] = {{NULL, NULL}};
        memcpy(some, env, count * sizeof env[0]);
        struct sl_config c;
        struct sli_azure_account a;
        struct sl_err err = {0};
        sl_rc rc = load(some, &c, &a, &err);
        bool is_half = count == 4 || count == 5; /* a token file without tenant or client */
        assert_int_equal(rc, is_half ? SL_EINVAL : SL_OK);
        if (is_half) {
            assert_non_null(strstr(err.text, count == 4 ? "AZURE_TENANT_ID" : "AZURE_CLIENT_ID"));
        } else {
            assert_int_equal(a.kind, want[count]);
        }
        sli_azure_account_fini(&a);
        sl_config_fini(&c);
    }
}

static void block_ids_are_distinct_and_of_one_length(void **state SL_UNUSED)
{
    char a[SLI_AZURE_BLOCK_ID_SIZE + 1], b[SLI_AZURE_BLOCK_ID_SIZE + 1];
    sli_azure_block_id(0, 1, a);
    assert_string_equal(a, "sluice-0000000000000000-000001");
    sli_azure_block_id(UINT64_MAX, 50000, b);
    assert_string_equal(b, "sluice-ffffffffffffffff-050000");
    assert_int_equal(strlen(a), strlen(b));
}

static void dates_go_both_ways(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    sli_azure_date_add(&out, INT64_C(784111777) * 1000000000);
    assert_string_equal(sl_buf_cstr(&out), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_int_equal(sli_date_parse(sl_buf_str(&out)), INT64_C(784111777) * 1000000000);
    sl_buf_clear(&out);
    sli_azure_date_add(&out, 0);
    assert_string_equal(sl_buf_cstr(&out), "Thu, 01 Jan 1970 00:00:00 GMT");
    const char *const bad[] = {"",
                               "yesterday",
                               "Sunday, 06-Nov-94 08:49:37 GMT",
                               "Sun, 06 Nov 1994 08:49:37 UTC",
                               "Sun, 06 Nov 1994 08:49:61 GMT",
                               "Sun, 06 Nix 1994 08:49:37 GMT"};
    for (size_t i = 0; i < SL_COUNT_OF(bad); i++) {
        assert_true(sli_date_parse(sl_str_from(bad[i])) == INT64_MIN);
    }
}

static void crc64_is_little_endian_base64(void **state SL_UNUSED)
{
    /* CRC-64/NVME of "123456789" is 0xae8b14860a799888 (catalogue of parametrised CRCs). */
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    sli_azure_crc64_add(&out, SL_BYTES("123456789", 9));
    assert_string_equal(sl_buf_cstr(&out), "iJh5CoYUi64=");
}

/* ---- answers ---- */

#define NOW_S INT64_C(1700000000) /* 2023-11-14T22:13:20Z */

struct world {
    struct sl_clock_fake *clock;
    struct sli_azure az;
};

static int world_open(void **state)
{
    static struct world w;
    w = (struct world){.clock = sl_clock_fake_new(NOW_S * 1000000000, 0)};
    w.az.store.clock = sl_clock_fake_clock(w.clock);
    w.az.store.bucket = (char *)(uintptr_t) "backups";
    w.az.store.prefix = (char *)(uintptr_t) "weekly/";
    w.az.account.variable = "AZURE_STORAGE_KEY";
    w.az.account.sas_end_ns = INT64_MAX;
    sl_buf_add_text(&w.az.account.name, "acct1");
    *state = &w;
    return 0;
}

static int world_close(void **state)
{
    struct world *w = *state;
    sl_clock_fake_free(w->clock);
    sli_azure_account_fini(&w->az.account);
    assert_int_equal(sl_mem_live(), 0);
    return 0;
}

static sl_rc judge(struct world *w, const char *key, int status, const char *headers,
                   struct sli_try *t, struct sl_err *err)
{
    struct sl_http_reply reply = {.status = status};
    struct sli_azure_call call = {.method = "PUT", .key = sl_str_from(key), .action = "write"};
    sl_buf_add_text(&reply.headers, headers);
    *t = (struct sli_try){.no = 0};
    sl_rc rc = sli_azure_judge(&w->az, &call, &reply, t, err);
    sl_http_reply_fini(&reply);
    return rc;
}

static void answers_have_their_meaning(void **state)
{
    static const struct {
        int status;
        const char *code;
        sl_rc rc;
        bool is_repeatable;
        const char *want;
    } rows[] = {
        {200, "", SL_OK, false, ""},
        {201, "", SL_OK, false, ""},
        {206, "", SL_OK, false, ""},
        {404, "BlobNotFound", SL_ENOTFOUND, false, "does not exist"},
        {404, "", SL_ENOTFOUND, false, "does not exist"},
        {404, "ContainerNotFound", SL_EINVAL, false, "container does not exist; create it"},
        {409, "ContainerBeingDeleted", SL_EINVAL, false, "being deleted"},
        {409, "BlobAlreadyExists", SL_ECONFLICT, false, "exists already"},
        {412, "ConditionNotMet", SL_ECONFLICT, false, "exists already"},
        {412, "", SL_ECONFLICT, false, "exists already"},
        {409, "BlobImmutableDueToPolicy", SL_EACCESS, false, "policy of the container"},
        {400, "InvalidBlockList", SL_ECONFLICT, false, "blocks of the upload are gone"},
        {400, "InvalidBlobOrBlock", SL_ECONFLICT, false, "unfinished upload"},
        {400, "Md5Mismatch", SL_EIO, true, "damaged on the way"},
        {403, "AuthenticationFailed", SL_EACCESS, false, "key1 or key2"},
        {403, "AuthorizationPermissionMismatch", SL_EACCESS, false, "forbids"},
        {403, "AuthorizationFailure", SL_EACCESS, false, "firewall"},
        {403, "KeyBasedAuthenticationNotPermitted", SL_EACCESS, false, "workload identity"},
        {403, "", SL_EACCESS, false, "forbids"},
        {429, "", SL_EBUSY, true, "too much work"},
        {500, "InternalError", SL_EIO, true, "fault"},
        {500, "OperationTimedOut", SL_ETIMEOUT, true, "too long"},
        {503, "ServerBusy", SL_EBUSY, true, "busy"},
        {502, "", SL_EIO, true, "fault"},
        {301, "", SL_EIO, false, "elsewhere"},
        {400, "InvalidHeaderValue", SL_EIO, false, "(400 InvalidHeaderValue)"},
        {501, "", SL_EIO, false, "refuses"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        char headers[128];
        struct sli_try t;
        struct sl_err err = {0};
        snprintf(headers, sizeof headers, "server: x\n%s%s%s",
                 rows[i].code[0] == '\0' ? "" : "x-ms-error-code: ", rows[i].code,
                 rows[i].code[0] == '\0' ? "" : "\n");
        assert_int_equal(judge(*state, "id/a", rows[i].status, headers, &t, &err), rows[i].rc);
        assert_int_equal(t.is_repeatable, rows[i].is_repeatable);
        if (strstr(err.text, rows[i].want) == NULL) {
            fail_msg("%d %s: \"%s\" has no \"%s\"", rows[i].status, rows[i].code, err.text,
                     rows[i].want);
        }
        if (rows[i].rc != SL_OK) {
            assert_non_null(
                strstr(err.text, "write of az://backups/weekly/id/a (account acct1): "));
        }
    }
}

static void a_missing_page_of_the_container_is_no_missing_object(void **state)
{
    struct sli_try t;
    assert_int_equal(judge(*state, "", 404, "", &t, NULL), SL_EINVAL);
}

static void refused_credentials_say_why(void **state)
{
    struct world *w = *state;
    static const struct {
        enum sli_azure_kind kind;
        const char *code, *date;
        int64_t sas_end_s;
        const char *want;
    } rows[] = {
        {SLI_AZURE_KEY, "AuthenticationFailed", "Tue, 14 Nov 2023 22:43:20 GMT", 0,
         "clock of this machine is 30 minutes behind"},
        {SLI_AZURE_KEY, "AuthenticationFailed", "Tue, 14 Nov 2023 20:13:20 GMT", 0,
         "120 minutes ahead of"},
        {SLI_AZURE_KEY, "AuthenticationFailed", "Tue, 14 Nov 2023 22:14:20 GMT", 0, "key1 or key2"},
        {SLI_AZURE_SAS, "AuthenticationFailed", "Tue, 14 Nov 2023 22:13:20 GMT", NOW_S - 20,
         "expired at 2023-11-14T22:13:00Z; make a new one"},
        {SLI_AZURE_SAS, "AuthenticationFailed", "Tue, 14 Nov 2023 22:13:20 GMT", NOW_S + 20,
         "copied whole"},
        {SLI_AZURE_SAS, "AuthorizationPermissionMismatch", "", NOW_S + 20, "sp=rcwl"},
        {SLI_AZURE_IMDS, "AuthorizationPermissionMismatch", "", 0, "Storage Blob Data Contributor"},
        {SLI_AZURE_WORKLOAD, "InvalidAuthenticationInfo", "", 0, "not accepted"},
    };
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        char headers[160];
        struct sli_try t;
        struct sl_err err = {0};
        w->az.account.kind = rows[i].kind;
        w->az.account.sas_end_ns = rows[i].sas_end_s * 1000000000;
        snprintf(headers, sizeof headers, "x-ms-error-code: %s\ndate: %s\n", rows[i].code,
                 rows[i].date);
        assert_int_equal(judge(w, "id/a", 403, headers, &t, &err), SL_EACCESS);
        if (strstr(err.text, rows[i].want) == NULL) {
            fail_msg("\"%s\" has no \"%s\"", err.text, rows[i].want);
        }
    }
}

static void retry_after_is_heard_and_bounded(void **state)
{
    static const struct {
        const char *value;
        int64_t wait_s;
    } rows[] = {{"7", 7},       {"0", 0},  {"Tue, 14 Nov 2023 22:13:50 GMT", 30},
                {"soon", 0},    {"-5", 0}, {"Tue, 14 Nov 2023 22:13:00 GMT", 0},
                {"999999", 120}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        char headers[80];
        struct sli_try t;
        snprintf(headers, sizeof headers, "retry-after: %s\n", rows[i].value);
        assert_int_equal(judge(*state, "id/a", 503, headers, &t, NULL), SL_EBUSY);
        assert_int_equal(t.wait_ns, rows[i].wait_s * 1000000000);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(connection_strings_of_azures_pages_are_understood),
        T(development_storage_is_the_emulators_account),
        T(bad_settings_are_told_without_their_values),
        T(credentials_are_taken_in_the_documented_order),
        T(block_ids_are_distinct_and_of_one_length),
        T(dates_go_both_ways),
        T(crc64_is_little_endian_base64),
        T(answers_have_their_meaning),
        T(a_missing_page_of_the_container_is_no_missing_object),
        T(refused_credentials_say_why),
        T(retry_after_is_heard_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
