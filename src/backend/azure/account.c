/* Which account, which endpoint and which credential: from the settings alone, nobody is asked.
 *
 * A connection string is taken as Azure's own tools write it: fields in any order and case, unknown
 * ones (queues, tables, files) skipped. Sentences name variables and fields, never a value: a value
 * in the wrong place may be a key. Called by driver.c once. */
#include "backend/azure/azure_int.h"

#define CONNECTION "AZURE_STORAGE_CONNECTION_STRING"

/* A key has 64 bytes, a SAS some 250; emulators take any. More is a wrong file in a variable. */
#define FIELD_MAX (16u * 1024)

/* What a connection string may hold of ours; views of it. */
struct fields {
    struct sl_str protocol, name, key, sas, blob_endpoint, suffix, is_development;
};

void sli_azure_account_fini(struct sli_azure_account *a)
{
    sl_buf_fini(&a->name);
    sl_buf_fini(&a->endpoint);
    sli_wipe(&a->key);
    sli_wipe(&a->sas);
}

static bool is_same(struct sl_str s, const char *name)
{
    return s.len == strlen(name) && strncasecmp(s.ptr, name, s.len) == 0;
}

static void set_field(struct fields *f, struct sl_str name, struct sl_str value)
{
    const struct {
        const char *name;
        struct sl_str *at;
    } rows[] = {{"DefaultEndpointsProtocol", &f->protocol},
                {"AccountName", &f->name},
                {"AccountKey", &f->key},
                {"SharedAccessSignature", &f->sas},
                {"BlobEndpoint", &f->blob_endpoint},
                {"EndpointSuffix", &f->suffix},
                {"UseDevelopmentStorage", &f->is_development}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        if (is_same(name, rows[i].name)) {
            *rows[i].at = value;
        }
    }
}

static sl_rc split(struct sl_str text, struct fields *ret, struct sl_err *err)
{
    uint32_t no = 0;
    while (text.len > 0) {
        const char *semicolon = memchr(text.ptr, ';', text.len);
        size_t len = semicolon == NULL ? text.len : (size_t)(semicolon - text.ptr);
        struct sl_str field = sl_str_trim((struct sl_str){text.ptr, len});
        size_t taken = SL_MIN(len + 1, text.len);
        text = (struct sl_str){text.ptr + taken, text.len - taken};
        no++;
        if (field.len == 0) {
            continue;
        }
        const char *equals = memchr(field.ptr, '=', field.len);
        if (equals == NULL || field.len > FIELD_MAX) {
            return SL_FAIL(err, SL_EINVAL,
                           CONNECTION ": field %u is no name=value; copy the connection string "
                                      "anew from the storage account, all of it in quotes",
                           no);
        }
        size_t name_len = (size_t)(equals - field.ptr);
        set_field(ret, sl_str_trim((struct sl_str){field.ptr, name_len}),
                  sl_str_trim((struct sl_str){equals + 1, field.len - name_len - 1}));
    }
    return SL_OK;
}

/* ---- endpoints ---- */

static bool is_host_text(struct sl_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '.')) {
            return false;
        }
    }
    return s.len > 0;
}

/* https://NAME.blob.SUFFIX */
static sl_rc add_public_endpoint(struct sli_azure_account *a, struct sl_str protocol,
                                 struct sl_str suffix, const char *variable, struct sl_err *err)
{
    struct sl_str name = sl_buf_str(&a->name);
    if (!is_host_text(name) || memchr(name.ptr, '.', name.len) != NULL) {
        return SL_FAIL(err, SL_EINVAL,
                       "%s: the name of the storage account has small letters and digits only, "
                       "as in https://NAME.blob.core.windows.net",
                       variable);
    }
    if (!is_host_text(suffix) || !(is_same(protocol, "https") || is_same(protocol, "http"))) {
        return SL_FAIL(err, SL_EINVAL,
                       "%s: DefaultEndpointsProtocol is https or http, EndpointSuffix a host name "
                       "as core.windows.net",
                       variable);
    }
    sl_buf_addf(&a->endpoint, "%s://%.*s.blob.%.*s", protocol.len == 5 ? "https" : "http",
                SL_STR_ARG(name), SL_STR_ARG(suffix));
    return sl_buf_done(&a->endpoint, err);
}

/* May it stand in a URL, as a part without query and user? */
static bool is_url_text(struct sl_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '!' || s.ptr[i] > '~' || strchr("?#@\"<>\\", s.ptr[i]) != NULL) {
            return false;
        }
    }
    return s.len > 0;
}

static sl_rc add_given_endpoint(struct sli_azure_account *a, struct sl_str url, struct sl_err *err)
{
    while (url.len > 0 && url.ptr[url.len - 1] == '/') {
        url.len--;
    }
    size_t scheme_len = sl_str_starts(url, "https://")  ? strlen("https://")
                        : sl_str_starts(url, "http://") ? strlen("http://")
                                                        : 0;
    bool has_host = scheme_len > 0 && url.ptr[scheme_len] != '/' && url.ptr[scheme_len] != ':';
    if (!has_host || !is_url_text(url)) {
        return SL_FAIL(err, SL_EINVAL,
                       CONNECTION ": BlobEndpoint begins with https:// and has neither user nor "
                                  "query, as https://myaccount.blob.core.windows.net");
    }
    sl_buf_add_str(&a->endpoint, url);
    return sl_buf_done(&a->endpoint, err);
}

/* ---- credentials ---- */

static sl_rc take_key(struct sli_azure_account *a, struct sl_str key, const char *variable,
                      struct sl_err *err)
{
    a->kind = SLI_AZURE_KEY;
    a->variable = variable;
    if (a->name.len == 0) {
        return SL_FAIL(err, SL_EINVAL, "%s: there is a key but no account; add its name", variable);
    }
    if (key.len > FIELD_MAX || !sl_base64_parse(key, &a->key) || a->key.len == 0) {
        SL_TRY(sl_buf_done(&a->key, err));
        return SL_FAIL(err, SL_EINVAL,
                       "%s: the key is not base64; copy key1 or key2 of the storage account, "
                       "\"=\" at its end included",
                       variable);
    }
    return sl_buf_done(&a->key, err);
}

/* se=2030-01-01T00%3A00%3A00Z of a SAS. Where it has another form the service is the judge. */
static sl_rc read_sas_end(struct sli_azure_account *a, struct sl_err *err)
{
    struct sl_str sas = sl_buf_str(&a->sas);
    a->sas_end_ns = INT64_MAX;
    for (size_t at = 0; at < sas.len;) {
        const char *amp = memchr(sas.ptr + at, '&', sas.len - at);
        size_t end = amp == NULL ? sas.len : (size_t)(amp - sas.ptr);
        struct sl_str pair = {sas.ptr + at, end - at};
        at = end + 1;
        if (!sl_str_starts(pair, "se=")) {
            continue;
        }
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        bool is_text = sl_percent_decode((struct sl_str){pair.ptr + 3, pair.len - 3}, &text);
        SL_TRY(sl_buf_done(&text, err));
        if (!is_text || !sl_time_parse(sl_buf_str(&text), &a->sas_end_ns)) {
            a->sas_end_ns = INT64_MAX;
        }
    }
    return SL_OK;
}

static sl_rc take_sas(struct sli_azure_account *a, struct sl_str sas, struct sl_err *err)
{
    a->kind = SLI_AZURE_SAS;
    a->variable = CONNECTION;
    if (sl_str_starts(sas, "?")) {
        sas = (struct sl_str){sas.ptr + 1, sas.len - 1};
    }
    if (!is_url_text(sas)) {
        return SL_FAIL(err, SL_EINVAL,
                       CONNECTION
                       ": SharedAccessSignature is the query of a SAS, as sv=...&sig=...");
    }
    sl_buf_add_str(&a->sas, sas);
    SL_TRY(sl_buf_done(&a->sas, err));
    return read_sas_end(a, err);
}

/* Tokens are for whoever reads them; so they go over TLS only. */
static sl_rc take_identity(struct sli_azure_account *a, const struct sl_config *c,
                           struct sl_err *err)
{
    bool has_workload = c->azure_token_file[0] != '\0';
    if (has_workload && (c->azure_tenant_id[0] == '\0' || c->azure_client_id[0] == '\0')) {
        return SL_FAIL(err, SL_EINVAL,
                       "AZURE_FEDERATED_TOKEN_FILE is set, so %s is needed too; the webhook of "
                       "workload identity sets all three for labelled pods",
                       c->azure_tenant_id[0] == '\0' ? "AZURE_TENANT_ID" : "AZURE_CLIENT_ID");
    }
    bool has_app = c->azure_identity_url[0] != '\0' && c->azure_identity_header[0] != '\0';
    a->kind = has_workload ? SLI_AZURE_WORKLOAD : has_app ? SLI_AZURE_APP_SERVICE : SLI_AZURE_IMDS;
    a->variable =
        has_workload ? "the workload identity of AZURE_CLIENT_ID" : "the managed identity";
    if (!sl_str_starts(sl_buf_str(&a->endpoint), "https://")) {
        return SL_FAIL(err, SL_EINVAL,
                       "an identity's token goes over https only, but the endpoint is http; set "
                       "DefaultEndpointsProtocol or BlobEndpoint of " CONNECTION
                       " to https, or use a key");
    }
    if (has_workload && strncmp(c->azure_authority, "https://", 8) != 0) {
        return SL_FAIL(err, SL_EINVAL, "AZURE_AUTHORITY_HOST must begin with https://");
    }
    return SL_OK;
}

static sl_rc load_connection(struct sli_azure_account *a, const struct sl_config *c,
                             struct sl_err *err)
{
    struct fields f = {.protocol = SL_STR("https"), .suffix = SL_STR("core.windows.net")};
    SL_TRY(split(sl_str_from(c->azure_connection), &f, err));
    if (is_same(f.is_development, "true")) {
        /* The account every installation of the emulator has; its key is public. */
        f.name = SL_STR("devstoreaccount1");
        f.key = SL_STR("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/"
                       "K1SZFPTOtr/KBHBeksoGMGw==");
        f.blob_endpoint = SL_STR("http://127.0.0.1:10000/devstoreaccount1");
    }
    sl_buf_add_str(&a->name, f.name);
    SL_TRY(sl_buf_done(&a->name, err));
    if (f.blob_endpoint.len > 0) {
        SL_TRY(add_given_endpoint(a, f.blob_endpoint, err));
    } else if (f.name.len > 0) {
        SL_TRY(add_public_endpoint(a, f.protocol, f.suffix, CONNECTION, err));
    } else {
        return SL_FAIL(err, SL_EINVAL,
                       CONNECTION ": neither AccountName nor BlobEndpoint is there");
    }
    if (f.key.len > 0) {
        return take_key(a, f.key, CONNECTION, err);
    }
    return f.sas.len > 0 ? take_sas(a, f.sas, err) : take_identity(a, c, err);
}

sl_rc sli_azure_account_load(struct sli_azure_account *ret, const struct sl_config *config,
                             struct sl_err *err)
{
    if (config->azure_connection[0] != '\0') {
        return load_connection(ret, config, err);
    }
    if (config->azure_account[0] == '\0') {
        return SL_FAIL(err, SL_EINVAL,
                       "no Azure account is set: set AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, "
                       "or " CONNECTION ", or AZURE_STORAGE_ACCOUNT alone where the machine has a "
                       "managed or workload identity");
    }
    sl_buf_add_text(&ret->name, config->azure_account);
    SL_TRY(sl_buf_done(&ret->name, err));
    SL_TRY(add_public_endpoint(ret, SL_STR("https"), SL_STR("core.windows.net"),
                               "AZURE_STORAGE_ACCOUNT", err));
    return config->azure_key[0] != '\0'
               ? take_key(ret, sl_str_from(config->azure_key), "AZURE_STORAGE_KEY", err)
               : take_identity(ret, config, err);
}
