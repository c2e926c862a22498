/* Whole objects of a bucket: put, get, ranges, listings, removal; open and close.
 *
 * A new object carries a mark of our own in its metadata. When the answer to its creation was lost,
 * or the service says that the object exists, the mark tells whether it is the one we made. What a
 * listing holds is foreign: bounded, and only names below our prefix are taken. Called through the
 * seam; @threads any. */
#include <stdio.h>

#include "backend/s3/s3_int.h"
#include "base/crypto.h"
#include "base/num.h"

#define MARK_HEADER "x-amz-meta-sluice"
#define PART_MAX    (UINT64_C(5) << 30)
#define OBJECT_MAX  (UINT64_C(5) << 40) /* 5 TiB */
#define PAGES_MAX   1000000 /* of a listing: it ends although a service goes in circles */

/* ---- marks ---- */

sl_rc sli_s3_mark_new(struct sli_s3_mark *ret, struct sl_err *err)
{
    uint8_t random[16];
    SL_AUTO(sl_buf) hex = SL_BUF_EMPTY;
    SL_TRY(sl_random_bytes(random, sizeof(random), err));
    sl_hex_add(&hex, SL_BYTES(random, sizeof(random)));
    const char *text = sl_buf_cstr(&hex);
    SL_TRY(sl_buf_done(&hex, err));
    memcpy(ret->text, text, sizeof(ret->text));
    return SL_OK;
}

static sl_rc head(struct sli_s3 *s3, struct sl_str key, struct sl_cancel *cancel,
                  struct sl_http_reply *reply, struct sl_err *err)
{
    struct sli_s3_request q = {.method = "HEAD",
                               .key = key,
                               .reply_max = SLI_S3_SMALL_MAX,
                               .cancel = cancel,
                               .action = "s3:GetObject"};
    return sli_s3_send(s3, &q, reply, err);
}

sl_rc sli_s3_is_ours(struct sli_s3 *s3, struct sl_str key, const struct sli_s3_mark *mark,
                     uint64_t size, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    uint64_t length = UINT64_MAX;
    SL_TRY(head(s3, key, s3->store.cancel, &reply, err));
    bool is_told = sl_u64_parse(sl_http_header_of(&reply, "content-length"), &length);
    if (!sl_str_is(sl_http_header_of(&reply, MARK_HEADER), mark->text)) {
        return SL_FAIL(err, SL_ECONFLICT, "object s3://%s/%s%.*s exists already", s3->store.bucket,
                       s3->store.prefix, SL_STR_ARG(key));
    }
    if (!is_told || length != size) {
        return SL_FAIL(err, SL_EIO, "object s3://%s/%s%.*s has %llu bytes, %llu were sent",
                       s3->store.bucket, s3->store.prefix, SL_STR_ARG(key),
                       (unsigned long long)length, (unsigned long long)size);
    }
    return SL_OK;
}

void sli_s3_mark_header(struct sli_s3_request *q, const struct sli_s3_mark *mark)
{
    sli_s3_header(q, MARK_HEADER, sl_str_from(mark->text));
}

/* For services without conditions. */
sl_rc sli_s3_refuse_taken(struct sli_s3 *s3, struct sl_str key, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    sl_rc rc = head(s3, key, s3->store.cancel, &reply, err);
    if (rc == SL_OK) {
        return SL_FAIL(err, SL_ECONFLICT, "object s3://%s/%s%.*s exists already", s3->store.bucket,
                       s3->store.prefix, SL_STR_ARG(key));
    }
    return rc == SL_ENOTFOUND ? SL_OK : rc;
}

/* ---- put ---- */

/* What this service is known not to do is left out; true: something was learnt, try again. */
bool sli_s3_learn(struct sli_s3 *s3, sl_rc rc, bool has_condition, bool has_checksum)
{
    if (rc != SL_EUNSUPPORTED) {
        return false;
    }
    if (has_condition && !atomic_exchange(&s3->has_no_conditions, true)) {
        return true;
    }
    return has_checksum && !atomic_exchange(&s3->has_no_checksums, true);
}

static sl_rc put_once(struct sli_s3 *s3, struct sl_str key, struct sl_bytes b, bool is_new,
                      const struct sli_s3_mark *mark, struct sl_cancel *cancel, bool *ret_unclear,
                      struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sli_s3_crc crc;
    struct sli_s3_request q = {.method = "PUT",
                               .key = key,
                               .body = b,
                               .reply_max = SLI_S3_SMALL_MAX,
                               .cancel = cancel,
                               .action = "s3:PutObject"};
    sli_s3_creation_headers(s3, &q);
    if (!atomic_load(&s3->has_no_checksums)) {
        sli_s3_crc_of(b, &crc);
        sli_s3_header(&q, "x-amz-checksum-crc32c", sl_str_from(crc.text));
    }
    sli_s3_mark_header(&q, mark);
    if (is_new && !atomic_load(&s3->has_no_conditions)) {
        sli_s3_header(&q, "if-none-match", SL_STR("*"));
    } else if (is_new) {
        SL_TRY(sli_s3_refuse_taken(s3, key, err));
    }
    sl_rc rc = sli_s3_send(s3, &q, &reply, err);
    *ret_unclear = q.is_unclear;
    return rc;
}

sl_rc sli_s3_put_object(struct sli_s3 *s3, struct sl_str key, struct sl_bytes b, bool is_new,
                        struct sl_cancel *cancel, struct sl_err *err)
{
    struct sli_s3_mark mark;
    bool is_unclear = false;
    sl_rc rc;
    SL_TRY(sli_s3_mark_new(&mark, err));
    do {
        rc = put_once(s3, key, b, is_new, &mark, cancel, &is_unclear, err);
    } while (sli_s3_learn(s3, rc, is_new, true));
    return rc == SL_ECONFLICT && is_unclear ? sli_s3_is_ours(s3, key, &mark, b.len, err) : rc;
}

static sl_rc s3_put(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                    enum sl_put_mode mode, struct sl_err *err)
{
    return sli_s3_put_object(sli_s3_of(be), key, b, mode == SL_PUT_NEW, NULL, err);
}

/* ---- get ---- */

static sl_rc check_crc(const struct sl_http_reply *reply, struct sl_str key, struct sl_err *err)
{
    struct sl_str told = sl_http_header_of(reply, "x-amz-checksum-crc32c");
    struct sli_s3_crc own;
    if (told.len != 8 || memchr(told.ptr, '-', told.len) != NULL) {
        return SL_OK; /* none, or one of parts */
    }
    sli_s3_crc_of(sl_buf_view(&reply->body), &own);
    return sl_str_is(told, own.text)
               ? SL_OK
               : SL_FAIL(err, SL_ECORRUPT, "object %.*s: its bytes do not have its checksum",
                         SL_STR_ARG(key));
}

static sl_rc s3_get(struct sl_backend *be, struct sl_str key, uint64_t size_max, struct sl_buf *out,
                    struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sli_s3_request q = {.method = "GET",
                               .key = key,
                               .reply_max = (size_t)SL_MIN(size_max, SIZE_MAX / 2),
                               .action = "s3:GetObject"};
    SL_TRY(sli_key_check(key, err));
    sli_s3_header(&q, "x-amz-checksum-mode", SL_STR("ENABLED"));
    SL_TRY(sli_s3_send(sli_s3_of(be), &q, &reply, err));
    SL_TRY(check_crc(&reply, key, err));
    sl_buf_add(out, sl_buf_view(&reply.body));
    return sl_buf_done(out, err);
}

static sl_rc s3_read(struct sl_backend *be, struct sl_str key, uint64_t offset, size_t len,
                     struct sl_buf *out, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    char range[64];
    if (len == 0) {
        return SL_OK;
    }
    (void)snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)offset,
                   (unsigned long long)(offset + len - 1));
    struct sli_s3_request q = {
        .method = "GET", .key = key, .reply_max = len, .action = "s3:GetObject"};
    sli_s3_header(&q, "range", sl_str_from(range));
    sl_rc rc = sli_s3_send(sli_s3_of(be), &q, &reply, err);
    if (rc == SL_END) { /* behind its last byte */
        return SL_OK;
    }
    SL_TRY(rc);
    if (reply.status != 206 && (reply.status != 200 || offset > 0)) {
        return SL_FAIL(err, SL_EIO, "object %.*s: the service gives no ranges (status %d)",
                       SL_STR_ARG(key), reply.status);
    }
    sl_buf_add(out, sl_buf_view(&reply.body));
    return sl_buf_done(out, err);
}

/* ---- list ---- */

struct page {
    struct sli_s3 *s3;
    sl_backend_list_fn *fn;
    void *arg;
    bool wants_folders;
    size_t skip; /* bytes of a name that go before what is told */
    struct sl_buf key;
    uint64_t size;
    struct sl_buf next; /* continuation token */
};

static sl_rc tell(struct page *p, struct sl_str name, uint64_t size, struct sl_err *err)
{
    const char *prefix = p->s3->store.prefix;
    if (name.len < p->skip || !sl_str_starts(name, prefix)) {
        return SL_FAIL(err, SL_EIO, "the listing of s3://%s holds what was not asked for",
                       p->s3->store.bucket);
    }
    return p->fn(p->arg, (struct sl_str){name.ptr + p->skip, name.len - p->skip}, size, err);
}

/* Names come escaped (encoding-type=url): XML cannot hold every character. */
static sl_rc on_entry(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct page *p = arg;
    if (sl_str_is(path, "ListBucketResult/Contents/Key") ||
        sl_str_is(path, "ListBucketResult/CommonPrefixes/Prefix")) {
        sl_buf_clear(&p->key);
        if (!sl_percent_decode(text, &p->key)) {
            return SL_FAIL(err, SL_EIO, "the listing of s3://%s holds a malformed name",
                           p->s3->store.bucket);
        }
        return sl_buf_done(&p->key, err);
    }
    if (sl_str_is(path, "ListBucketResult/Contents/Size")) {
        return sl_u64_parse(text, &p->size) ? SL_OK
                                            : SL_FAIL(err, SL_EIO, "a listing without sizes");
    }
    if (sl_str_is(path, "ListBucketResult/NextContinuationToken")) {
        sl_buf_clear(&p->next);
        sl_buf_add_str(&p->next, text);
        return sl_buf_done(&p->next, err);
    }
    if (sl_str_is(path, "ListBucketResult/Contents") && !p->wants_folders) {
        struct sl_str name = sl_buf_str(&p->key);
        bool is_folder_mark = name.len > 0 && name.ptr[name.len - 1] == '/';
        return is_folder_mark ? SL_OK : tell(p, name, p->size, err);
    }
    if (sl_str_is(path, "ListBucketResult/CommonPrefixes") && p->wants_folders) {
        struct sl_str name = sl_buf_str(&p->key);
        name.len -= name.len > 0 && name.ptr[name.len - 1] == '/';
        return tell(p, name, 0, err);
    }
    return SL_OK;
}

static sl_rc list_page(struct page *p, struct sl_str prefix, bool *ret_more, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    sli_s3_name(p->s3, prefix, &name);
    sl_buf_add_text(&query, "list-type=2&encoding-type=url&prefix=");
    sl_percent_encode(sl_buf_str(&name), &query);
    sl_buf_add_text(&query, p->wants_folders ? "&delimiter=%2F" : "");
    if (p->next.len > 0) {
        sl_buf_add_text(&query, "&continuation-token=");
        sl_percent_encode(sl_buf_str(&p->next), &query);
    }
    SL_TRY(sl_buf_done(&name, err));
    SL_TRY(sl_buf_done(&query, err));
    struct sli_s3_request q = {.method = "GET",
                               .query = sl_buf_str(&query),
                               .reply_max = SLI_S3_LIST_MAX,
                               .action = "s3:ListBucket"};
    sl_rc rc = sli_s3_send(p->s3, &q, &reply, err);
    SL_TRY(rc == SL_ENOTFOUND ? SL_EINVAL : rc); /* the bucket, not an object */
    sl_buf_clear(&p->next);
    SL_TRY(sl_xml_read(sl_buf_view(&reply.body), on_entry, p, err));
    *ret_more = p->next.len > 0;
    return SL_OK;
}

static sl_rc list_all(struct page *p, struct sl_str prefix, struct sl_err *err)
{
    bool has_more = true;
    sl_rc rc = sli_prefix_check(prefix, err);
    for (int n = 0; rc == SL_OK && has_more; n++) {
        rc = n < PAGES_MAX ? list_page(p, prefix, &has_more, err)
                           : SL_FAIL(err, SL_EIO, "a listing without end");
    }
    sl_buf_fini(&p->key);
    sl_buf_fini(&p->next);
    return rc;
}

static sl_rc s3_list(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn, void *arg,
                     struct sl_err *err)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    struct page p = {.s3 = s3, .fn = fn, .arg = arg, .skip = strlen(s3->store.prefix)};
    return list_all(&p, prefix, err);
}

static sl_rc s3_list_folders(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn,
                             void *arg, struct sl_err *err)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    struct page p = {.s3 = s3,
                     .fn = fn,
                     .arg = arg,
                     .wants_folders = true,
                     .skip = strlen(s3->store.prefix) + prefix.len};
    return list_all(&p, prefix, err);
}

/* ---- the rest ---- */

static sl_rc s3_remove(struct sl_backend *be, struct sl_str key, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sli_s3_request q = {
        .method = "DELETE", .key = key, .reply_max = SLI_S3_SMALL_MAX, .action = "s3:DeleteObject"};
    SL_TRY(sli_key_check(key, err));
    sl_rc rc = sli_s3_send(sli_s3_of(be), &q, &reply, err);
    return rc == SL_ENOTFOUND ? SL_OK : rc;
}

static void s3_describe(struct sl_backend *be, struct sl_str prefix, struct sl_buf *out)
{
    sl_buf_addf(out, "s3://%s/%s%.*s", sli_s3_of(be)->store.bucket, sli_s3_of(be)->store.prefix,
                SL_STR_ARG(prefix));
}

static void s3_close(struct sl_backend *be)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    sli_s3_access_fini(&s3->access);
    sl_mutex_fini(&s3->mu);
    sli_store_fini(&s3->store);
    sl_free(s3);
}

/* A bucket can stand in a host name when it is one label: with dots TLS knows no such host. */
static bool is_label(const char *bucket)
{
    size_t len = strlen(bucket);
    return len >= 3 && len <= 63 &&
           strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && bucket[0] != '-' &&
           bucket[len - 1] != '-';
}

static bool chooses_host(const struct sl_config *c, const char *bucket)
{
    enum { AUTO, PATH, HOST };
    bool is_aws = sl_str_ends(sl_str_from(c->s3_endpoint), "amazonaws.com");
    return c->s3_style == HOST || (c->s3_style == AUTO && is_aws && is_label(bucket));
}

static const char *region_of(const struct sl_config *c)
{
    return c->aws_region[0] != '\0'           ? c->aws_region
           : c->aws_default_region[0] != '\0' ? c->aws_default_region
                                              : "us-east-1";
}

sl_rc sli_s3_open(const struct sl_backend_env *env, struct sl_str bucket, struct sl_str prefix,
                  struct sl_backend **ret, struct sl_err *err)
{
    static const struct sl_backend_ops ops = {
        .name = "s3",
        .part_rule = {.bytes_min = SLI_S3_PART_MIN,
                      .bytes_max = PART_MAX,
                      .count_max = SLI_S3_PARTS_MAX},
        .probe = sli_s3_probe,
        .put = s3_put,
        .get = s3_get,
        .read = s3_read,
        .list = s3_list,
        .list_folders = s3_list_folders,
        .remove = s3_remove,
        .begin = sli_s3_begin,
        .part = sli_s3_part,
        .complete = sli_s3_complete,
        .cancel = sli_s3_cancel,
        .sweep = sli_s3_sweep,
        .describe = s3_describe,
        .close = s3_close,
    };
    struct sli_s3 *s3 = sl_alloc_zero(1, sizeof(*s3));
    if (s3 == NULL) {
        return SL_NOMEM(err);
    }
    sl_mutex_init(&s3->mu);
    sli_s3_access_init(&s3->access);
    sl_mutex_lock(&s3->mu);
    (void)snprintf(s3->locked.region, sizeof(s3->locked.region), "%s", region_of(env->config));
    sl_mutex_unlock(&s3->mu);
    sl_rc rc = sli_store_init(&s3->store, &ops, env, bucket, prefix, err);
    if (rc != SL_OK) {
        s3_close(&s3->store.backend);
        return rc;
    }
    s3->is_host_style = chooses_host(env->config, s3->store.bucket);
    *ret = &s3->store.backend;
    return SL_OK;
}
