/* Connection strings and dates of Azure: whatever the bytes, what is accepted is an endpoint that
 * can be asked, a refusal has its sentence, and a date that is read is written as it was. */
#include "backend/azure/azure_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_account(const char *text)
{
    struct sl_config config = {.azure_connection = (char *)(uintptr_t)text,
                               .azure_account = (char *)(uintptr_t) "",
                               .azure_key = (char *)(uintptr_t) "",
                               .azure_tenant_id = (char *)(uintptr_t) "",
                               .azure_client_id = (char *)(uintptr_t) "",
                               .azure_token_file = (char *)(uintptr_t) "",
                               .azure_authority = (char *)(uintptr_t) "https://a",
                               .azure_identity_url = (char *)(uintptr_t) "",
                               .azure_identity_header = (char *)(uintptr_t) "",
                               .azure_imds = (char *)(uintptr_t) "http://a"};
    struct sli_azure_account a = {.kind = SLI_AZURE_KEY};
    struct sl_err err = {0};
    sl_rc rc = sli_azure_account_load(&a, &config, &err);
    if (rc != SL_OK) {
        sl_assert(rc == SL_EINVAL && err.text[0] != '\0');
    } else {
        struct sl_str url = sl_buf_str(&a.endpoint);
        bool is_tls = sl_str_starts(url, "https://");
        sl_assert(is_tls || (sl_str_starts(url, "http://") && a.kind <= SLI_AZURE_SAS));
        sl_assert(memchr(url.ptr, '?', url.len) == NULL && memchr(url.ptr, '@', url.len) == NULL &&
                  memchr(url.ptr, ' ', url.len) == NULL && !sl_str_ends(url, "/"));
        sl_assert((a.kind == SLI_AZURE_KEY) == (a.key.len > 0));
        sl_assert((a.kind == SLI_AZURE_SAS) == (a.sas.len > 0));
    }
    sli_azure_account_fini(&a);
}

static void check_date(struct sl_str text)
{
    SL_AUTO(sl_buf) again = SL_BUF_EMPTY;
    int64_t ns = sli_date_parse(text);
    if (ns >= 0 && ns < INT64_MAX) { /* later years are cut to it */
        sli_azure_date_add(&again, ns);
        text = sl_str_trim(text);
        sl_assert(again.len == text.len && memcmp(again.ptr + 3, text.ptr + 3, 22) == 0);
        sl_assert(sli_date_parse(sl_buf_str(&again)) == ns);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_buf_add(&text, SL_BYTES(data, size));
    check_account(sl_buf_cstr(&text)); /* up to its NUL, as from the environment */
    check_date(sl_buf_str(&text));
    return 0;
}
