/* Inside of the Azure driver: a container of Azure Blob Storage as an export destination.
 *
 * Objects are block blobs: small ones one Put Blob, others blocks that a Put Block List makes
 * visible at once. Files: account.c what the settings say; token.c tokens of identities and their
 * refresh; access.c requests and the probe; driver.c whole objects; parts.c uploads; error.c
 * answers. Source of formats: Azure's "Blob service REST API". */
#ifndef SL_BACKEND_AZURE_AZURE_INT_H
#define SL_BACKEND_AZURE_AZURE_INT_H

#include "backend/store_int.h"
#include "http/xml.h"

/* The first in which a listing tells folders of a hierarchical namespace from objects; blocks of
 * 4,000 MiB came with 2019-12-12. A later one would only shut out emulators. */
#define SLI_AZURE_VERSION     "2020-10-02"
#define SLI_AZURE_HEADERS_MAX 8 /* of one call, without those every request has */

/* ---- account.c: what the settings say ---- */

enum sli_azure_kind {
    SLI_AZURE_KEY,
    SLI_AZURE_SAS,
    SLI_AZURE_WORKLOAD,
    SLI_AZURE_APP_SERVICE, /* App Service, Functions, Container Apps */
    SLI_AZURE_IMDS,
};
struct sli_azure_account {
    struct sl_buf name;     /* "myaccount"; empty where a connection string has none */
    struct sl_buf endpoint; /* "https://myaccount.blob.core.windows.net", no slash at the end */
    struct sl_buf key;      /* raw bytes of the account key. Secret */
    struct sl_buf sas;      /* "sv=...&sig=...", without '?'. Secret */
    int64_t sas_end_ns;     /* when it expires, Unix time; INT64_MAX: it does not say */
    enum sli_azure_kind kind;
    const char *variable; /* where the credential comes from, for sentences */
};
/* Chooses by the order connection string, key, workload identity, managed identity. Asks nobody.
 * SL_EINVAL names the variable and what it must hold, never what it holds. */
sl_rc sli_azure_account_load(struct sli_azure_account *ret, const struct sl_config *config,
                             struct sl_err *err);
void sli_azure_account_fini(struct sli_azure_account *a);
/* The name for sentences; the endpoint where a connection string has none. */
static inline struct sl_str sli_azure_account_text(const struct sli_azure_account *a)
{
    return a->name.len > 0 ? sl_buf_str(&a->name) : sl_buf_str(&a->endpoint);
}

/* ---- the driver ---- */

struct sli_azure {
    struct sli_store store;
    struct sli_azure_account account;
    struct sli_bearer bearer; /* of identities */
};
static inline struct sli_azure *sli_azure_of(struct sl_backend *be)
{
    return SL_CONTAINER_OF(be, struct sli_azure, store.backend);
}

/* ---- token.c ---- */

/* Of sli_bearer; arg is the driver. */
sl_rc sli_azure_token_fetch(void *arg, struct sli_token_ask *ask, struct sli_token *ret,
                            struct sl_err *err);

/* ---- access.c ---- */

struct sli_azure_call {
    const char *method;
    struct sl_str key;                    /* checked, below the prefix; empty: the container */
    const char *query;                    /* encoded: "comp=block&blockid=..."; NULL: none */
    const struct sl_http_header *headers; /* at most SLI_AZURE_HEADERS_MAX */
    uint32_t header_count;
    struct sl_bytes body;
    size_t reply_max; /* of a good answer */
    struct sl_cancel *cancel;
    int64_t deadline_ns; /* of all tries; 0: the store's */
    const char *action;  /* for sentences: "write", "read" */
    /* Looks at a good answer; may be NULL. SL_EIO: the call is tried again, twice at most. */
    sl_rc (*check)(const struct sli_azure_call *call, const struct sl_http_reply *reply,
                   struct sl_err *err);
    struct sl_str crc64; /* for the check of writes: base64, what the service must have seen */
    bool is_unclear;     /* out, sticky: a try ended without a clear answer and may have worked */
};
/* Signs, sends, judges (error.c), tries again. SL_OK: a good answer is in reply, which is the
 * caller's in all cases. SL_ENOTFOUND, SL_ECONFLICT: the object is not there, is there. */
sl_rc sli_azure_request(struct sli_azure *az, struct sli_azure_call *call,
                        struct sl_http_reply *reply, struct sl_err *err);
sl_rc sli_azure_probe(struct sl_backend *be, struct sl_err *err);
/* "Thu, 26 Nov 2026 16:03:36 GMT", as HTTP wants it. */
void sli_azure_date_add(struct sl_buf *out, int64_t wall_ns);

/* ---- driver.c ---- */

/* Put Blob; SL_PUT_NEW with an unclear answer before a conflict compares what is there.
 * is_unclear: an earlier call with these bytes ended so; set when this one does. */
sl_rc sli_azure_put_blob(struct sli_azure *az, struct sl_str key, struct sl_bytes b,
                         enum sl_put_mode mode, struct sl_cancel *cancel, bool *is_unclear,
                         struct sl_err *err);
/* Is there an object? Yields the service's clock too, INT64_MIN when it does not tell. */
sl_rc sli_azure_head(struct sli_azure *az, struct sl_str key, bool *ret_exists,
                     int64_t *ret_date_ns, struct sl_err *err);
/* A check of sli_azure_call: the answer has the checksum call->crc64, where it has one. */
sl_rc sli_azure_check_crc64(const struct sli_azure_call *call, const struct sl_http_reply *reply,
                            struct sl_err *err);
void sli_azure_crc64_add(struct sl_buf *out, struct sl_bytes b); /* base64 */

/* One page after another; *fn as of xml.h. query: "prefix=..&include=..", encoded. */
sl_rc sli_azure_list_pages(struct sli_azure *az, const char *query, sl_xml_fn *fn, void *arg,
                           struct sl_err *err);
/* Appends the name of key in the container, percent-encoded for a query. */
void sli_azure_query_add(const struct sli_azure *az, const char *name, struct sl_str key,
                         struct sl_buf *out);

/* ---- parts.c ---- */

#define SLI_AZURE_BLOCK_ID_SIZE 30 /* before base64 */
/* The id of a block: "sluice-", 16 hex digits of the upload, "-", six digits of the part: all of
 * one length, as the service demands of the blocks of a blob, whoever sends them. */
void sli_azure_block_id(uint64_t upload, uint32_t part_no, char ret[SLI_AZURE_BLOCK_ID_SIZE + 1]);

sl_rc sli_azure_begin(struct sl_backend *be, struct sl_str key, struct sl_upload **ret,
                      struct sl_err *err);
sl_rc sli_azure_part(struct sl_backend *be, struct sl_upload *up, uint32_t part_no, uint64_t offset,
                     struct sl_bytes b, struct sl_err *err);
sl_rc sli_azure_complete(struct sl_backend *be, struct sl_upload *up, uint32_t part_count,
                         uint64_t size, struct sl_err *err);
void sli_azure_cancel(struct sl_backend *be, struct sl_upload *up);
sl_rc sli_azure_sweep(struct sl_backend *be, struct sl_str prefix, struct sl_err *err);

/* ---- error.c ---- */

/* "write of az://container/prefix/key (account name)" */
void sli_azure_subject_add(const struct sli_azure *az, const struct sli_azure_call *call,
                           struct sl_buf *out);
/* What the answer means for the call: SL_OK for 2xx, else the sentence, and in t whether and when
 * to try again. */
sl_rc sli_azure_judge(const struct sli_azure *az, const struct sli_azure_call *call,
                      const struct sl_http_reply *reply, struct sli_try *t, struct sl_err *err);
/* Is it a refusal that a new token may mend? */
bool sli_azure_is_token_refused(const struct sl_http_reply *reply);

#endif
