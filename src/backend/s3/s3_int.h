/* Inside of the S3 driver: a bucket of an S3 service as an export destination.
 *
 * Source of formats: the Amazon S3 API reference and those of STS, ECS and EC2 metadata. */
#ifndef SL_BACKEND_S3_S3_INT_H
#define SL_BACKEND_S3_S3_INT_H

#include "backend/store_int.h"
#include "base/sync.h"
#include "http/xml.h"

#define SLI_S3_HEADERS_MAX 16 /* of one request, without those of the signature */
#define SLI_S3_LIST_MAX                                                      \
    (4U << 20) /* a page of 1,000 keys, each escaped, and what is about them \
                */
#define SLI_S3_SMALL_MAX (64U * 1024)
#define SLI_S3_PART_MIN  (5U << 20)
#define SLI_S3_PARTS_MAX 10000

/* ---- access.c: credentials ---- */

struct sli_s3_keys {
    struct sl_buf key_id, secret, token; /* the last two are secrets */
    int64_t end_ns;                      /* Unix time; INT64_MAX: they do not expire */
};
void sli_s3_keys_fini(struct sli_s3_keys *k); /* wipes */

/* One thread fetches, the others use what there is while it is valid, or wait. */
struct sli_s3_access {
    struct sl_mutex mu; /* no request under it */
    struct sl_cond changed;
    struct {
        struct sli_s3_keys keys;
        uint64_t no; /* counts; 0: none yet */
        bool is_being_fetched;
    } locked SL_GUARDED;
};

struct sli_s3 {
    struct sli_store store;
    struct sli_s3_access access;
    struct sl_mutex mu; /* leaf */
    struct {
        char region[64]; /* follows the service's word */
    } locked SL_GUARDED;
    bool is_host_style;
    atomic_bool has_no_conditions; /* the service does not know If-None-Match */
    atomic_bool has_no_checksums;  /* nor x-amz-checksum-crc32c */
};
static inline struct sli_s3 *sli_s3_of(struct sl_backend *be)
{
    return SL_CONTAINER_OF(be, struct sli_s3, store.backend);
}
void sli_s3_access_init(struct sli_s3_access *a);
void sli_s3_access_fini(struct sli_s3_access *a);
/* A copy of valid credentials; *ret_no tells them, for sli_s3_keys_refuse. *ret_again: the failure
 * may pass. */
sl_rc sli_s3_keys_take(struct sli_s3 *s3, struct sli_s3_keys *ret, uint64_t *ret_no,
                       bool *ret_again, struct sl_err *err);
/* The service did not take credentials `no`: the next call fetches new ones, unless one did. */
void sli_s3_keys_refuse(struct sli_s3 *s3, uint64_t no);
sl_rc sli_s3_probe(struct sl_backend *be, struct sl_err *err);

/* providers.c: where credentials come from. SL_ENOTFOUND: this one has none. */
sl_rc sli_s3_fetch(struct sli_s3 *s3, struct sli_s3_keys *ret, bool *ret_again, struct sl_err *err);
/* profile.c: "[name]" sections of "key = value" lines. Appends what is found; true: both are. */
bool sli_s3_profile_read(struct sl_str text, const char *profile, struct sli_s3_keys *ret);

/* ---- request.c: one request, signed, tried and judged ---- */

struct sli_s3_request {
    const char *method;
    struct sl_str key;   /* below our prefix; ptr NULL: the bucket itself */
    struct sl_str query; /* escaped, "" none */
    struct sl_http_header headers[SLI_S3_HEADERS_MAX];
    uint32_t header_count;
    struct sl_bytes body;
    bool is_body_unsigned; /* a part: its checksum header is signed instead */
    size_t reply_max;
    int64_t deadline_ns; /* 0: SLUICE_STORE_DEADLINE */
    struct sl_cancel *cancel;
    const char *action; /* "s3:PutObject", for sentences */
    /* Out: an earlier try may have been carried out although its answer was lost. */
    bool is_unclear;
};
void sli_s3_header(struct sli_s3_request *q, const char *name, struct sl_str value);
/* Sends until it is answered by a 2xx (SL_OK) or failed; reply holds the last answer.
 * SL_ENOTFOUND: no such object or upload; SL_ECONFLICT: a condition did not hold. */
sl_rc sli_s3_send(struct sli_s3 *s3, struct sli_s3_request *q, struct sl_http_reply *reply,
                  struct sl_err *err);
/* Appends the lines of the signature of req by keys, and what headers they are ("name: value\n"
 * each; the lines are cut by NULs). */
#define SLI_S3_SIGNATURE_LINES 4
sl_rc sli_s3_sign(struct sli_s3 *s3, const struct sli_s3_keys *keys, const char *region,
                  const char *service, const struct sl_http_request *req, struct sl_str hash,
                  struct sl_buf *lines, struct sl_err *err);
uint32_t sli_s3_split_lines(struct sl_buf *lines, struct sl_http_header *ret, uint32_t max);
/* x-amz-checksum-crc32c of the body and what the settings ask of new objects. text must live as
 * long as the request. */
struct sli_s3_crc {
    char text[9]; /* base64 of four bytes */
};
void sli_s3_crc_of(struct sl_bytes b, struct sli_s3_crc *ret);
void sli_s3_creation_headers(struct sli_s3 *s3, struct sli_s3_request *q);

/* ---- error.c: a foreign answer -> code, sentence, again or not ---- */

struct sli_s3_verdict {
    bool is_repeatable;
    bool is_refused;   /* credentials: get new ones, once */
    bool is_elsewhere; /* another region: *_region names it */
    char region[64];
    char code[64]; /* of the XML body, "" none */
};
/* The answer of q that is not a 2xx, or a 2xx whose body is an error. */
sl_rc sli_s3_judge(const struct sli_s3 *s3, const struct sli_s3_request *q,
                   const struct sl_http_reply *reply, struct sli_s3_verdict *ret,
                   struct sl_err *err);

/* ---- driver.c, parts.c ---- */

/* Is the object under key ours, by the mark that its creation was given? SL_ENOTFOUND: there is
 * none; SL_ECONFLICT: it is another's. size: what it must have. */
struct sli_s3_mark {
    char text[33];
};
sl_rc sli_s3_mark_new(struct sli_s3_mark *ret, struct sl_err *err);
sl_rc sli_s3_is_ours(struct sli_s3 *s3, struct sl_str key, const struct sli_s3_mark *mark,
                     uint64_t size, struct sl_err *err);
void sli_s3_mark_header(struct sli_s3_request *q, const struct sli_s3_mark *mark);
/* SL_ECONFLICT: something lies under key. */
sl_rc sli_s3_refuse_taken(struct sli_s3 *s3, struct sl_str key, struct sl_err *err);
/* Learns from rc what the service does not do, of what the request had; true: try again without. */
bool sli_s3_learn(struct sli_s3 *s3, sl_rc rc, bool has_condition, bool has_checksum);
/* One PUT; is_new: SL_ECONFLICT when the key exists. */
sl_rc sli_s3_put_object(struct sli_s3 *s3, struct sl_str key, struct sl_bytes b, bool is_new,
                        struct sl_cancel *cancel, struct sl_err *err);

sl_rc sli_s3_begin(struct sl_backend *be, struct sl_str key, struct sl_upload **ret,
                   struct sl_err *err);
sl_rc sli_s3_part(struct sl_backend *be, struct sl_upload *up, uint32_t part_no, uint64_t offset,
                  struct sl_bytes b, struct sl_err *err);
sl_rc sli_s3_complete(struct sl_backend *be, struct sl_upload *up, uint32_t part_count,
                      uint64_t size, struct sl_err *err);
void sli_s3_cancel(struct sl_backend *be, struct sl_upload *up);
sl_rc sli_s3_sweep(struct sl_backend *be, struct sl_str prefix, struct sl_err *err);

/* Appends the whole name of a key, and the same escaped for a path. */
void sli_s3_name(const struct sli_s3 *s3, struct sl_str key, struct sl_buf *out);

#endif
