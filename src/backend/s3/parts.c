/* Objects being written: a multipart upload, or one PUT for what is smaller than a part.
 *
 * The upload is opened at its first part, so a small object costs one request: a first part below
 * the service's least size can only be the last, is copied and goes out by complete. Parts carry a
 * CRC-32C that the service checks, and complete names it again for each. After an unclear answer
 * the mark in the object's metadata tells whether it is ours (driver.c). An open upload is
 * journaled nowhere: sweep finds it by listing. @threads parts any, many at once; the rest the
 * owner. */
#include "backend/s3/s3_int.h"
#include "base/crypto.h"
#include "base/hash.h"

#define ETAG_MAX     128
#define ID_MAX       1024
#define CLEANUP_NS   INT64_C(30000000000) /* who cancels waits for it */
#define COMPLETE_MAX (2U << 20)           /* the list of 10,000 parts */

struct part {
    char etag[ETAG_MAX]; /* "" until it was taken */
    uint32_t crc;
};

struct s3_upload {
    struct sl_upload up;
    char *key; /* owned */
    struct sli_s3_mark mark;
    struct sl_buf small; /* the whole object, if it is one small part */
    bool is_small;
    struct sl_mutex mu; /* held while the upload is opened: other parts need its id */
    struct {
        char *id;           /* owned; escaped for a query; NULL: not open */
        struct part *parts; /* owned; by number */
        uint32_t cap;
    } locked SL_GUARDED;
};

static struct s3_upload *upload_of(struct sl_backend *be, struct sl_upload *up)
{
    sl_assert(up->owner == be);
    return SL_CONTAINER_OF(up, struct s3_upload, up);
}

static struct sl_str key_of(const struct s3_upload *u)
{
    return sl_str_from(u->key);
}

static void upload_free(struct s3_upload *u)
{
    sl_mutex_lock(&u->mu);
    sl_free(u->locked.id);
    sl_free(u->locked.parts);
    sl_mutex_unlock(&u->mu);
    sl_mutex_fini(&u->mu);
    sl_buf_fini(&u->small);
    sl_free(u->key);
    sl_free(u);
}

sl_rc sli_s3_begin(struct sl_backend *be, struct sl_str key, struct sl_upload **ret,
                   struct sl_err *err)
{
    SL_TRY(sli_key_check(key, err));
    SL_TRY(sli_s3_refuse_taken(sli_s3_of(be), key, err));
    struct s3_upload *u = sl_alloc_zero(1, sizeof(*u));
    if (u == NULL) {
        return SL_NOMEM(err);
    }
    sl_mutex_init(&u->mu);
    u->up.owner = be;
    u->key = sl_strndup(key.ptr, key.len);
    sl_rc rc = u->key == NULL ? SL_NOMEM(err) : sli_s3_mark_new(&u->mark, err);
    if (rc != SL_OK) {
        upload_free(u);
        return rc;
    }
    *ret = &u->up;
    return SL_OK;
}

/* ---- opening ---- */

static sl_rc on_created(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    char **id = arg;
    if (!sl_str_is(path, "InitiateMultipartUploadResult/UploadId") || *id != NULL) {
        return SL_OK;
    }
    SL_AUTO(sl_buf) escaped = SL_BUF_EMPTY;
    sl_percent_encode(text, &escaped);
    SL_TRY(sl_buf_done(&escaped, err));
    if (text.len == 0 || text.len > ID_MAX) {
        return SL_FAIL(err, SL_EIO, "the service gives an upload no usable id");
    }
    *id = sl_strndup((const char *)escaped.ptr, escaped.len);
    return *id == NULL ? SL_NOMEM(err) : SL_OK;
}

static sl_rc create(struct sli_s3 *s3, const struct s3_upload *u, char **ret, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sli_s3_request q = {.method = "POST",
                               .key = key_of(u),
                               .query = SL_STR("uploads="),
                               .reply_max = SLI_S3_SMALL_MAX,
                               .cancel = s3->store.cancel,
                               .action = "s3:PutObject"};
    sli_s3_creation_headers(s3, &q);
    sli_s3_mark_header(&q, &u->mark);
    if (!atomic_load(&s3->has_no_checksums)) {
        sli_s3_header(&q, "x-amz-checksum-algorithm", SL_STR("CRC32C"));
    }
    SL_TRY(sli_s3_send(s3, &q, &reply, err));
    SL_TRY(sl_xml_read(sl_buf_view(&reply.body), on_created, ret, err));
    return *ret != NULL ? SL_OK : SL_FAIL(err, SL_EIO, "the service gives an upload no id");
}

/* The upload's id, opening it if need be. */
static sl_rc id_of(struct sli_s3 *s3, struct s3_upload *u, const char **ret, struct sl_err *err)
{
    sl_rc rc = SL_OK;
    sl_mutex_lock(&u->mu);
    if (u->locked.id == NULL) {
        char *id = NULL;
        do {
            rc = create(s3, u, &id, err);
        } while (sli_s3_learn(s3, rc, false, true));
        u->locked.id = id;
    }
    *ret = u->locked.id;
    sl_mutex_unlock(&u->mu);
    return rc;
}

/* ---- parts ---- */

static sl_rc note(struct s3_upload *u, uint32_t part_no, struct sl_str etag, uint32_t crc,
                  struct sl_err *err)
{
    if (etag.len == 0 || etag.len >= ETAG_MAX) {
        return SL_FAIL(err, SL_EIO, "the service gives part %u no usable ETag", part_no);
    }
    sl_rc rc = SL_OK;
    sl_mutex_lock(&u->mu);
    if (part_no > u->locked.cap) {
        uint32_t cap = SL_MIN(SL_MAX(part_no, 2 * u->locked.cap + 16), (uint32_t)SLI_S3_PARTS_MAX);
        struct part *parts = sl_realloc(u->locked.parts, cap * sizeof(*parts));
        rc = parts == NULL ? SL_NOMEM(err) : SL_OK;
        if (rc == SL_OK) {
            memset(parts + u->locked.cap, 0, (cap - u->locked.cap) * sizeof(*parts));
            u->locked.parts = parts;
            u->locked.cap = cap;
        }
    }
    if (rc == SL_OK) {
        struct part *p = &u->locked.parts[part_no - 1];
        memcpy(p->etag, etag.ptr, etag.len);
        p->etag[etag.len] = '\0';
        p->crc = crc;
    }
    sl_mutex_unlock(&u->mu);
    return rc;
}

static sl_rc send_part(struct sli_s3 *s3, struct s3_upload *u, uint32_t part_no, struct sl_bytes b,
                       struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    struct sli_s3_crc crc;
    const char *id;
    SL_TRY(id_of(s3, u, &id, err));
    sl_buf_addf(&query, "partNumber=%u&uploadId=%s", part_no, id);
    SL_TRY(sl_buf_done(&query, err));
    struct sli_s3_request q = {.method = "PUT",
                               .key = key_of(u),
                               .query = sl_buf_str(&query),
                               .body = b,
                               .is_body_unsigned = true,
                               .reply_max = SLI_S3_SMALL_MAX,
                               .cancel = s3->store.cancel,
                               .action = "s3:PutObject"};
    sli_s3_crc_of(b, &crc);
    if (!atomic_load(&s3->has_no_checksums)) {
        sli_s3_header(&q, "x-amz-checksum-crc32c", sl_str_from(crc.text));
    }
    SL_TRY(sli_s3_send(s3, &q, &reply, err));
    struct sl_str told = sl_http_header_of(&reply, "x-amz-checksum-crc32c");
    if (told.ptr != NULL && !sl_str_is(told, crc.text)) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "part %u of %s: the service saw other bytes than were sent", part_no,
                       u->key);
    }
    return note(u, part_no, sl_http_header_of(&reply, "etag"), sl_crc32c(0, b), err);
}

sl_rc sli_s3_part(struct sl_backend *be, struct sl_upload *up, uint32_t part_no,
                  uint64_t offset SL_UNUSED, struct sl_bytes b, struct sl_err *err)
{
    struct s3_upload *u = upload_of(be, up);
    sl_assert(part_no >= 1 && part_no <= SLI_S3_PARTS_MAX);
    if (part_no == 1 && b.len < SLI_S3_PART_MIN) {
        sl_buf_clear(&u->small);
        sl_buf_add(&u->small, b);
        u->is_small = true;
        return sl_buf_done(&u->small, err);
    }
    return send_part(sli_s3_of(be), u, part_no, b, err);
}

/* ---- complete ---- */

static void add_part_xml(const struct part *p, uint32_t no, bool has_checksum, struct sl_buf *out)
{
    sl_buf_addf(out, "<Part><PartNumber>%u</PartNumber><ETag>", no);
    for (const char *c = p->etag; *c != '\0'; c++) {
        sl_buf_add_text(out, *c == '"' ? "&quot;" : *c == '&' ? "&amp;" : *c == '<' ? "&lt;" : "");
        if (*c != '"' && *c != '&' && *c != '<') {
            sl_buf_add_u8(out, (uint8_t)*c);
        }
    }
    sl_buf_add_text(out, "</ETag>");
    if (has_checksum) {
        uint8_t crc[4] = {(uint8_t)(p->crc >> 24), (uint8_t)(p->crc >> 16), (uint8_t)(p->crc >> 8),
                          (uint8_t)p->crc};
        sl_buf_add_text(out, "<ChecksumCRC32C>");
        sl_base64_add(out, SL_BYTES(crc, sizeof(crc)));
        sl_buf_add_text(out, "</ChecksumCRC32C>");
    }
    sl_buf_add_text(out, "</Part>");
}

static sl_rc add_list(struct s3_upload *u, uint32_t part_count, bool has_checksum,
                      struct sl_buf *out, struct sl_err *err)
{
    uint32_t missing = 0;
    sl_buf_add_text(out, "<CompleteMultipartUpload "
                         "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    sl_mutex_lock(&u->mu);
    for (uint32_t no = part_count; no > 0; no--) {
        if (no > u->locked.cap || u->locked.parts[no - 1].etag[0] == '\0') {
            missing = no;
        }
    }
    for (uint32_t no = 1; no <= part_count && missing == 0; no++) {
        add_part_xml(&u->locked.parts[no - 1], no, has_checksum, out);
    }
    sl_mutex_unlock(&u->mu);
    sl_buf_add_text(out, "</CompleteMultipartUpload>");
    return missing == 0 ? sl_buf_done(out, err)
                        : SL_FAIL(err, SL_EINTERNAL, "%s: part %u was not sent", u->key, missing);
}

static sl_rc complete_once(struct sli_s3 *s3, struct s3_upload *u, uint32_t part_count,
                           bool *ret_unclear, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) list = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    const char *id;
    SL_TRY(id_of(s3, u, &id, err));
    sl_buf_addf(&query, "uploadId=%s", id);
    SL_TRY(sl_buf_done(&query, err));
    SL_TRY(add_list(u, part_count, !atomic_load(&s3->has_no_checksums), &list, err));
    struct sli_s3_request q = {.method = "POST",
                               .key = key_of(u),
                               .query = sl_buf_str(&query),
                               .body = sl_buf_view(&list),
                               .reply_max = COMPLETE_MAX,
                               .cancel = s3->store.cancel,
                               .action = "s3:PutObject"};
    sli_s3_header(&q, "content-type", SL_STR("application/xml"));
    if (!atomic_load(&s3->has_no_conditions)) {
        sli_s3_header(&q, "if-none-match", SL_STR("*"));
    } else {
        SL_TRY(sli_s3_refuse_taken(s3, key_of(u), err));
    }
    sl_rc rc = sli_s3_send(s3, &q, &reply, err);
    *ret_unclear = q.is_unclear;
    return rc;
}

/* The answer alone is not believed: the object must be there, ours, and of this size. */
static sl_rc complete_parts(struct sli_s3 *s3, struct s3_upload *u, uint32_t part_count,
                            uint64_t size, struct sl_err *err)
{
    bool is_unclear = false;
    sl_rc rc;
    do {
        rc = complete_once(s3, u, part_count, &is_unclear, err);
    } while (sli_s3_learn(s3, rc, true, false));
    bool may_be_done = is_unclear && (rc == SL_ENOTFOUND || rc == SL_ECONFLICT);
    if (rc != SL_OK && !may_be_done) {
        return rc;
    }
    rc = sli_s3_is_ours(s3, key_of(u), &u->mark, size, err);
    return rc == SL_ENOTFOUND
               ? SL_FAIL(err, SL_EIO, "object %s is not there after its upload", u->key)
               : rc;
}

sl_rc sli_s3_complete(struct sl_backend *be, struct sl_upload *up, uint32_t part_count,
                      uint64_t size, struct sl_err *err)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    struct s3_upload *u = upload_of(be, up);
    sl_assert(part_count > 0 || size == 0);
    if (part_count == 0 || u->is_small) {
        sl_assert(part_count <= 1 && u->small.len == size);
        SL_TRY(
            sli_s3_put_object(s3, key_of(u), sl_buf_view(&u->small), true, s3->store.cancel, err));
    } else {
        SL_TRY(complete_parts(s3, u, part_count, size, err));
    }
    upload_free(u);
    return SL_OK;
}

/* ---- cancel and sweep ---- */

static sl_rc abort_upload(struct sli_s3 *s3, struct sl_str key, const char *id, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    sl_buf_addf(&query, "uploadId=%s", id);
    SL_TRY(sl_buf_done(&query, err));
    struct sli_s3_request q = {.method = "DELETE",
                               .key = key,
                               .query = sl_buf_str(&query),
                               .reply_max = SLI_S3_SMALL_MAX,
                               .deadline_ns = CLEANUP_NS,
                               .action = "s3:AbortMultipartUpload"};
    sl_rc rc = sli_s3_send(s3, &q, &reply, err);
    return rc == SL_ENOTFOUND ? SL_OK : rc;
}

void sli_s3_cancel(struct sl_backend *be, struct sl_upload *up)
{
    if (up == NULL) {
        return;
    }
    struct s3_upload *u = upload_of(be, up);
    sl_mutex_lock(&u->mu);
    char *id = sl_move(&u->locked.id);
    sl_mutex_unlock(&u->mu);
    if (id != NULL) {
        SL_IGNORE(abort_upload(sli_s3_of(be), key_of(u), id, NULL), "sweep takes what stays");
    }
    sl_free(id);
    upload_free(u);
}

struct open_uploads {
    struct sli_s3 *s3;
    struct sl_buf key, id;           /* of the entry at hand */
    struct sl_buf list;              /* "key\0id\0" each: aborting while listing would confuse it */
    struct sl_buf next_key, next_id; /* markers */
};

static sl_rc on_upload(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct open_uploads *o = arg;
    struct sl_buf *to = sl_str_is(path, "ListMultipartUploadsResult/Upload/Key")        ? &o->key
                        : sl_str_is(path, "ListMultipartUploadsResult/Upload/UploadId") ? &o->id
                        : sl_str_is(path, "ListMultipartUploadsResult/NextKeyMarker") ? &o->next_key
                        : sl_str_is(path, "ListMultipartUploadsResult/NextUploadIdMarker")
                            ? &o->next_id
                            : NULL;
    if (to != NULL) {
        sl_buf_clear(to);
        sl_buf_add_str(to, text);
        return sl_buf_done(to, err);
    }
    if (sl_str_is(path, "ListMultipartUploadsResult/Upload") &&
        sl_str_starts(sl_buf_str(&o->key), o->s3->store.prefix)) {
        sl_buf_add_str(&o->list, sl_buf_str(&o->key));
        sl_buf_add_u8(&o->list, 0);
        sl_percent_encode(sl_buf_str(&o->id), &o->list);
        sl_buf_add_u8(&o->list, 0);
        return sl_buf_done(&o->list, err);
    }
    return SL_OK;
}

static sl_rc list_uploads(struct open_uploads *o, struct sl_str prefix, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    sli_s3_name(o->s3, prefix, &name);
    sl_buf_add_text(&query, "uploads=&prefix=");
    sl_percent_encode(sl_buf_str(&name), &query);
    if (o->next_key.len > 0) {
        sl_buf_add_text(&query, "&key-marker=");
        sl_percent_encode(sl_buf_str(&o->next_key), &query);
        sl_buf_add_text(&query, "&upload-id-marker=");
        sl_percent_encode(sl_buf_str(&o->next_id), &query);
    }
    SL_TRY(sl_buf_done(&name, err));
    SL_TRY(sl_buf_done(&query, err));
    struct sli_s3_request q = {.method = "GET",
                               .query = sl_buf_str(&query),
                               .reply_max = SLI_S3_LIST_MAX,
                               .action = "s3:ListBucketMultipartUploads"};
    SL_TRY(sli_s3_send(o->s3, &q, &reply, err));
    sl_buf_clear(&o->next_key);
    sl_buf_clear(&o->next_id);
    return sl_xml_read(sl_buf_view(&reply.body), on_upload, o, err);
}

static sl_rc abort_all(const struct open_uploads *o, struct sl_err *err)
{
    const char *at = (const char *)o->list.ptr, *end = at + o->list.len;
    sl_rc first = SL_OK;
    while (at < end) {
        struct sl_str name = sl_str_from(at);
        const char *id = at + name.len + 1;
        size_t skip = strlen(o->s3->store.prefix);
        sl_rc rc = abort_upload(o->s3, (struct sl_str){name.ptr + skip, name.len - skip}, id,
                                first == SL_OK ? err : NULL);
        first = first == SL_OK ? rc : first;
        at = id + strlen(id) + 1;
    }
    return first;
}

sl_rc sli_s3_sweep(struct sl_backend *be, struct sl_str prefix, struct sl_err *err)
{
    struct open_uploads o = {.s3 = sli_s3_of(be)};
    sl_rc rc = sli_prefix_check(prefix, err);
    do {
        rc = rc == SL_OK ? list_uploads(&o, prefix, err) : rc;
    } while (rc == SL_OK && o.next_key.len > 0 && o.list.len < SLI_S3_LIST_MAX);
    if (rc == SL_OK) {
        rc = abort_all(&o, err);
    }
    sl_buf_fini(&o.key);
    sl_buf_fini(&o.id);
    sl_buf_fini(&o.list);
    sl_buf_fini(&o.next_key);
    sl_buf_fini(&o.next_id);
    return rc;
}
