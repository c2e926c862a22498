/* Inside of the Google Cloud Storage driver: a bucket as an export destination, by the JSON API.
 *
 * Small objects are one request, others resumable sessions. Files: access.c the account, its tokens
 * and the probe; driver.c requests and whole objects; parts.c uploads; error.c answers. Source of
 * formats: "Cloud Storage JSON API", "Using OAuth 2.0 for server to server applications", "Workload
 * identity federation", "Resumable uploads". */
#ifndef SL_BACKEND_GCS_GCS_INT_H
#define SL_BACKEND_GCS_GCS_INT_H

#include "backend/store_int.h"

#define SLI_GCS_CHUNK     (256u * 1024) /* what a session keeps is a multiple of it */
#define SLI_GCS_SMALL_MAX (64u * 1024)  /* answers that are no object and no listing */
#define SLI_GCS_MARK_SIZE 33
#define SLI_GCS_CRC_SIZE  9 /* base64 of four bytes */

struct sli_gcs {
    struct sli_store store;
    struct sl_buf endpoint;   /* "https://storage.googleapis.com" */
    struct sli_bearer bearer; /* unless BACKUP_GCS_USE_AUTH is false */
};
static inline struct sli_gcs *sli_gcs_of(struct sl_backend *be)
{
    return SL_CONTAINER_OF(be, struct sli_gcs, store.backend);
}

/* ---- access.c ---- */

/* Of sli_bearer; arg is the driver. */
sl_rc sli_gcs_token_fetch(void *arg, struct sli_token_ask *ask, struct sli_token *ret,
                          struct sl_err *err);
sl_rc sli_gcs_probe(struct sl_backend *be, struct sl_err *err);

/* ---- driver.c ---- */

/* What is stored under a key. */
struct sli_gcs_object {
    uint64_t size;
    char crc[SLI_GCS_CRC_SIZE], mark[SLI_GCS_MARK_SIZE];
};

struct sli_gcs_call {
    const char *method;
    struct sl_str url; /* whole */
    struct sl_str key; /* for sentences; ptr NULL: the bucket */
    struct sl_http_header headers[4];
    uint32_t header_count;
    struct sl_bytes body;
    size_t reply_max;
    struct sl_cancel *cancel;
    int64_t deadline_ns;               /* 0: the store's */
    const char *action;                /* "storage.objects.create", for sentences */
    const struct sli_gcs_object *want; /* what a good answer tells; NULL: anything */
    /* Looks at a good answer; may be NULL. SL_EIO: the call is tried again, twice at most. */
    sl_rc (*check)(const struct sli_gcs_call *call, const struct sl_http_reply *reply,
                   struct sl_err *err);
    bool opens_session; /* a good answer has a location */
    bool may_go_on;     /* 308 is a good answer: a session that wants more */
    bool is_once;       /* a failure is not tried again here */
    bool is_unclear;    /* out, sticky: a try may have been carried out */
};
/* Sends with a token until it is answered well or has failed; reply holds the last answer.
 * SL_ENOTFOUND: no such object or session; SL_ECONFLICT: a condition did not hold. */
sl_rc sli_gcs_send(struct sli_gcs *g, struct sli_gcs_call *call, struct sl_http_reply *reply,
                   struct sl_err *err);
void sli_gcs_header(struct sli_gcs_call *call, const char *name, struct sl_str value);

/* SL_ENOTFOUND: nothing is. */
sl_rc sli_gcs_look(struct sli_gcs *g, struct sl_str key, struct sli_gcs_object *ret,
                   struct sl_err *err);
/* Is the object under key the wanted one? SL_ECONFLICT: it is another's; SL_ECORRUPT: it is ours
 * and differs. */
sl_rc sli_gcs_check(struct sli_gcs *g, struct sl_str key, const struct sli_gcs_object *want,
                    struct sl_err *err);
/* In one request; is_new: SL_ECONFLICT when the key exists. mark: of the object, 32 digits. */
sl_rc sli_gcs_put_object(struct sli_gcs *g, struct sl_str key, struct sl_bytes b, bool is_new,
                         const char *mark, struct sl_cancel *cancel, struct sl_err *err);
sl_rc sli_gcs_mark_new(char ret[SLI_GCS_MARK_SIZE], struct sl_err *err);
struct sli_gcs_object sli_gcs_object_of(const char *mark, uint64_t size, uint32_t crc);
/* {"name":...,"metadata":{"sluice":mark}} and, with crc, its checksum; crc NULL: not known yet. */
void sli_gcs_metadata_add(const struct sli_gcs *g, struct sl_str key, const char *mark,
                          const char *crc, struct sl_buf *out);
sl_rc sli_gcs_remove(struct sl_backend *be, struct sl_str key, struct sl_err *err);

/* ---- parts.c ---- */

sl_rc sli_gcs_begin(struct sl_backend *be, struct sl_str key, struct sl_upload **ret,
                    struct sl_err *err);
sl_rc sli_gcs_part(struct sl_backend *be, struct sl_upload *up, uint32_t part_no, uint64_t offset,
                   struct sl_bytes b, struct sl_err *err);
sl_rc sli_gcs_complete(struct sl_backend *be, struct sl_upload *up, uint32_t part_count,
                       uint64_t size, struct sl_err *err);
void sli_gcs_cancel(struct sl_backend *be, struct sl_upload *up);
sl_rc sli_gcs_sweep(struct sl_backend *be, struct sl_str prefix, struct sl_err *err);

/* ---- error.c ---- */

/* What an answer that is not good means: the sentence, and in t whether to try again. */
sl_rc sli_gcs_judge(const struct sli_gcs *g, const struct sli_gcs_call *call,
                    const struct sl_http_reply *reply, struct sli_try *t, struct sl_err *err);

#endif
