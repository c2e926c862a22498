/* Inside of the S3 driver: a bucket of Amazon S3, or of a server that speaks its protocol, as an
 * export destination.
 *
 * Small objects are one PUT, others multipart uploads. Files: profile.c the shared files of the AWS
 * tools; providers.c where keys come from, with keys_int.h; access.c keys in use, their renewal,
 * the probe; request.c addresses, regions, signing, sending; error.c answers; driver.c whole
 * objects; parts.c uploads; abort.c those that become no object. Source of formats: Amazon's "S3
 * API reference" and "STS API reference".
 */
#ifndef SL_BACKEND_S3_S3_INT_H
#define SL_BACKEND_S3_S3_INT_H

#include "backend/store_int.h"
#include "http/xml.h"

#define SLI_S3_PART_MIN    (UINT64_C(5) << 20) /* of every part but the last */
#define SLI_S3_PART_MAX    (UINT64_C(5) << 30)
#define SLI_S3_PARTS_MAX   10000u
#define SLI_S3_REGION_SIZE 64
#define SLI_S3_CODE_SIZE   64
#define SLI_S3_REPLY_MAX   (64u * 1024) /* of answers that are no object and no listing */
#define SLI_S3_HEADERS_MAX 16

/* Keys, immutable once in use. The texts are secrets: wiped before they are freed. */
struct sli_s3_keys {
    struct sl_buf id, secret, token; /* token empty: none */
    int64_t end_ns;                  /* Unix time; INT64_MAX: they do not expire */
    int64_t renew_ns;                /* from then on new ones are fetched */
    const char *source;              /* for sentences: "AWS_ACCESS_KEY_ID"; a literal */
    uint64_t no;                     /* counts keys of a backend, from 1 */
    uint32_t users;                  /* under access.mu; the last frees */
};
void sli_s3_keys_fini(struct sli_s3_keys *k);

struct sli_s3_provider; /* providers.c */

struct sli_s3 {
    struct sli_store store;
    struct sl_buf host;                  /* "s3.amazonaws.com", "127.0.0.1:9000" */
    bool is_tls, is_aws;                 /* is_aws: the host follows the region */
    bool is_virtual;                     /* the bucket stands in the host's name */
    const struct sli_s3_provider *found; /* gave the last keys; who renews only */
    atomic_bool has_no_conditions;       /* the server does not know If-None-Match */
    atomic_bool has_no_checksums;        /* ... or refuses x-amz-checksum */
    atomic_bool is_checksum_ignored;     /* ... or takes it and says nothing */
    struct sl_mutex mu;                  /* leaf: protects `locked` */
    struct sl_cond changed;              /* a renewal ended */
    struct {
        struct sli_s3_keys *keys; /* in use; NULL before the first */
        uint64_t refused_no;      /* keys up to this number are not used any more */
        uint64_t renewals;        /* that ended, well or not */
        bool is_renewing;
        bool may_pass;                   /* the failure of the last may */
        int64_t early_ns;                /* monotonic: before it nobody renews keys that are good */
        struct sl_err failure;           /* of the last renewal; rc SL_OK: none */
        char region[SLI_S3_REGION_SIZE]; /* "" until it is known */
    } locked SL_GUARDED;
};
static inline struct sli_s3 *sli_s3_of(struct sl_backend *be)
{
    return SL_CONTAINER_OF(be, struct sli_s3, store.backend);
}

/* ---- profile.c: ~/.aws/credentials and ~/.aws/config ---- */

/* What is known of one profile; empty texts: nothing. */
struct sli_s3_profile {
    struct sl_buf id, secret, token, region, role_arn, source_profile, credential_source,
        external_id, session_name, web_identity_file, process, sso_session, sso_start_url,
        sso_region, sso_account, sso_role;
    bool is_found;
};
void sli_s3_profile_fini(struct sli_s3_profile *p);
/* The third: the config file, of which sections "[sso-session name]" count. */
enum sli_s3_profile_file { SLI_S3_FILE_CREDENTIALS, SLI_S3_FILE_CONFIG, SLI_S3_FILE_SESSIONS };
/* Adds what text says of profile `name`; what p has already stays. SL_EINVAL: a line that is none
 * of section, setting, comment or its continuation; tells the line's number, never its text. */
sl_rc sli_s3_profile_parse(struct sl_str text, enum sli_s3_profile_file kind, struct sl_str name,
                           struct sli_s3_profile *p, struct sl_err *err);
/* The profile of that name out of both files of the settings; is_found false: in neither. */
sl_rc sli_s3_profile_load(const struct sl_config *config, struct sl_str name,
                          struct sli_s3_profile *ret, struct sl_err *err);
/* The SSO session of that name. */
sl_rc sli_s3_session_load(const struct sl_config *config, struct sl_str name,
                          struct sli_s3_profile *ret, struct sl_err *err);
/* AWS_PROFILE or "default". */
struct sl_str sli_s3_profile_name(const struct sl_config *config);

/* ---- providers.c ---- */

/* Finds keys in the order of docs/stores.md, or renews them where they were found before. Who calls
 * is the only one at it. *ret_again: the failure may pass. */
sl_rc sli_s3_keys_find(struct sli_s3 *s3, struct sl_cancel *cancel, struct sli_s3_keys *ret,
                       bool *ret_again, struct sl_err *err);
/* May a token for container credentials be sent there? https, or http to this machine or to the
 * link-local addresses of ECS and EKS. */
bool sli_s3_is_container_url(struct sl_str url);

/* ---- access.c ---- */

/* Keys that are good now; renews them when it is time. Give them back. */
sl_rc sli_s3_keys_take(struct sli_s3 *s3, struct sl_cancel *cancel, struct sli_s3_keys **ret,
                       bool *ret_again, struct sl_err *err);
void sli_s3_keys_give(struct sli_s3 *s3, struct sli_s3_keys *k);
/* The server did not take keys `no`: the next take renews them, unless somebody did. */
void sli_s3_keys_refuse(struct sli_s3 *s3, uint64_t no);
void sli_s3_access_init(struct sli_s3 *s3);
void sli_s3_access_fini(struct sli_s3 *s3);
sl_rc sli_s3_probe(struct sl_backend *be, struct sl_err *err);

/* ---- request.c ---- */

struct sli_s3_call {
    const char *method;
    struct sl_str key;                    /* checked, below the prefix; ptr NULL: the bucket */
    const char *query;                    /* encoded; NULL: none */
    const struct sl_http_header *headers; /* at most SLI_S3_HEADERS_MAX */
    uint32_t header_count;
    struct sl_bytes body;
    size_t reply_max; /* of a good answer; 0: SLI_S3_REPLY_MAX */
    struct sl_cancel *cancel;
    int64_t deadline_ns; /* 0: SLUICE_STORE_DEADLINE */
    const char *action;  /* as policies name it: "s3:PutObject" */
    bool is_late;        /* status 200 comes before the work is done: the body tells the outcome */
    /* Looks at a good answer; may be NULL. SL_EIO: the call is tried again, some times. */
    sl_rc (*check)(const struct sli_s3_call *call, const struct sl_http_reply *reply,
                   struct sl_err *err);
    const void *arg; /* of check */
    /* Out, of the last answer; status 0: none came. */
    int status;
    char code[SLI_S3_CODE_SIZE]; /* "NoSuchKey"; "" when the answer has none */
    bool is_checksum_named;      /* the message speaks of a checksum */
    bool is_unclear;             /* sticky: a try ended without a clear answer, may have worked */
};
/* Signs, sends, follows the bucket to its region, renews refused keys once, judges, tries again.
 * SL_OK: a good answer is in reply, which is the caller's in all cases. */
sl_rc sli_s3_request(struct sli_s3 *s3, struct sli_s3_call *call, struct sl_http_reply *reply,
                     struct sl_err *err);
/* Reads BACKUP_S3_ENDPOINT and its company; SL_EINVAL names the variable. */
sl_rc sli_s3_address_init(struct sli_s3 *s3, struct sl_err *err);
void sli_s3_region(struct sli_s3 *s3, char ret[SLI_S3_REGION_SIZE]); /* us-east-1 if unknown */
bool sli_s3_is_region(struct sl_str text); /* letters, digits, dashes: may stand in a host name */
void sli_s3_region_set(struct sli_s3 *s3, struct sl_str region);
/* "https://bucket.host/key" for what is signed; for tests, too. */
void sli_s3_url_add(const struct sli_s3 *s3, const char *region, struct sl_str key,
                    const char *query, struct sl_buf *out);

/* ---- error.c ---- */

/* What an answer says of itself. */
struct sli_s3_fault {
    char code[SLI_S3_CODE_SIZE];
    char region[SLI_S3_REGION_SIZE]; /* where the bucket is, when the answer tells */
    char message[200];               /* printable, cut */
    bool is_fault;                   /* the body is an <Error> */
};
/* Tolerant: what cannot be read is empty. SL_ENOMEM only. */
sl_rc sli_s3_fault_read(const struct sl_http_reply *reply, struct sli_s3_fault *ret,
                        struct sl_err *err);
/* Did the server not take the keys, so that new ones may help? */
bool sli_s3_is_key_refused(const struct sli_s3_call *call, const struct sli_s3_fault *fault);
/* SL_OK for a good answer; else the sentence, and in t whether and when to try again. source: of
 * the keys. */
sl_rc sli_s3_judge(const struct sli_s3 *s3, const struct sli_s3_call *call,
                   const struct sl_http_reply *reply, const struct sli_s3_fault *fault,
                   const char *source, struct sli_try *t, struct sl_err *err);

/* ---- driver.c ---- */

/* Headers of a request in their order; values are borrowed. */
struct sli_s3_headers {
    struct sl_http_header rows[SLI_S3_HEADERS_MAX];
    uint32_t count;
};
/* Empty values are left out. */
void sli_s3_header_add(struct sli_s3_headers *h, const char *name, struct sl_str value);
/* Encryption, storage class, tags, who pays, and who wrote it (write_id): of a new object. */
void sli_s3_object_headers(const struct sli_s3 *s3, struct sl_str write_id,
                           struct sli_s3_headers *h);
void sli_s3_payer_header(const struct sli_s3 *s3, struct sli_s3_headers *h);
/* A random name of a write, by which its object is known again after a lost answer. */
#define SLI_S3_WRITE_ID_LEN 32
sl_rc sli_s3_write_id(struct sl_buf *out, struct sl_err *err);
void sli_s3_crc_add(struct sl_buf *out, uint32_t crc32c); /* base64 of it, big-endian */

struct sli_s3_object {
    bool is_there, is_ours; /* is_ours: written by that write_id */
    uint64_t size;
};
/* HEAD, or a listing where only that is allowed. write_id may be empty. */
sl_rc sli_s3_look(struct sli_s3 *s3, struct sl_str key, struct sl_str write_id,
                  struct sl_cancel *cancel, struct sli_s3_object *ret, struct sl_err *err);
/* One PUT; SL_PUT_NEW with an object there compares whose it is. */
sl_rc sli_s3_put_object(struct sli_s3 *s3, struct sl_str key, struct sl_bytes b,
                        enum sl_put_mode mode, struct sl_str write_id, struct sl_cancel *cancel,
                        struct sl_err *err);
/* After a refused call: gives up what the server does not know, conditions or checksums. true: the
 * call is worth another try without it. */
bool sli_s3_step_back(struct sli_s3 *s3, const struct sli_s3_call *call, bool has_condition,
                      bool has_checksum);
sl_rc sli_s3_exists_already(const struct sli_s3 *s3, struct sl_str key, struct sl_err *err);
void sli_s3_query_add(const struct sli_s3 *s3, const char *name, struct sl_str key,
                      struct sl_buf *out); /* "name=<prefix><key>", encoded */
/* Names of a listing with encoding-type=url, '+' for a blank. false: bad escapes. */
bool sli_s3_url_decode(struct sl_str text, struct sl_buf *out);

/* ---- parts.c ---- */

sl_rc sli_s3_begin(struct sl_backend *be, struct sl_str key, struct sl_upload **ret,
                   struct sl_err *err);
sl_rc sli_s3_part(struct sl_backend *be, struct sl_upload *up, uint32_t part_no, uint64_t offset,
                  struct sl_bytes b, struct sl_err *err);
sl_rc sli_s3_complete(struct sl_backend *be, struct sl_upload *up, uint32_t part_count,
                      uint64_t size, struct sl_err *err);
void sli_s3_cancel(struct sl_backend *be, struct sl_upload *up);

/* ---- abort.c ---- */

/* id: of the upload. SL_OK when there is none of it, too. */
sl_rc sli_s3_abort_upload(struct sli_s3 *s3, struct sl_str key, struct sl_str id,
                          struct sl_err *err);
/* All open uploads of keys that begin with `key`, or is_exact: of this key only. */
sl_rc sli_s3_abort_below(struct sli_s3 *s3, struct sl_str key, bool is_exact, struct sl_err *err);
sl_rc sli_s3_sweep(struct sl_backend *be, struct sl_str prefix, struct sl_err *err);

#endif
