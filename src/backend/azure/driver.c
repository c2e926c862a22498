/* Whole objects of a container: put, get, ranges, listings, removal; open and close.
 *
 * Every request is one call of access.c. What a listing holds is foreign: names are taken as they
 * are, below our prefix only, folders of a hierarchical namespace are not objects. Called through
 * the seam; @threads any. */
#include "backend/azure/azure_int.h"

#include "base/crypto.h"
#include "base/hash.h"
#include "base/num.h"

/* Names of 1,024 bytes, escaped, and 1.5 KiB of properties each. */
#define PAGE_ENTRIES    "1000"
#define PAGE_MAX        (16u << 20)
#define READ_WITH_MD5   (4u << 20) /* the service computes an MD5 for ranges up to this */
#define BLOCK_BYTES_MAX (UINT64_C(4000) << 20)
#define BLOCKS_MAX      50000u

/* ---- checksums ---- */

void sli_azure_crc64_add(struct sl_buf *out, struct sl_bytes b)
{
    uint8_t crc[8];
    sl_put_u64(crc, sl_crc64_nvme(0, b)); /* little-endian, unlike S3's */
    sl_base64_add(out, SL_BYTES(crc, sizeof crc));
}

sl_rc sli_azure_check_crc64(const struct sli_azure_call *call, const struct sl_http_reply *reply,
                            struct sl_err *err)
{
    struct sl_str seen = sl_http_header_of(reply, "x-ms-content-crc64");
    if (reply->status != 201) { /* what says 200 to everything has written nothing */
        return SL_FAIL(err, SL_EIO, "%s of %.*s: answered by %d instead of 201", call->action,
                       SL_STR_ARG(call->key), reply->status);
    }
    if (seen.ptr == NULL || sl_str_eq(seen, call->crc64)) {
        return SL_OK;
    }
    return SL_FAIL(err, SL_EIO, "%s of %.*s: the service saw other bytes than were sent",
                   call->action, SL_STR_ARG(call->key));
}

static sl_rc check_md5(const struct sli_azure_call *call, const struct sl_http_reply *reply,
                       struct sl_err *err)
{
    struct sl_str told = sl_http_header_of(reply, "content-md5");
    uint8_t digest[SL_MD5_SIZE];
    SL_AUTO(sl_buf) own = SL_BUF_EMPTY;
    if (told.ptr == NULL) {
        return SL_OK;
    }
    SL_TRY(sl_md5(sl_buf_view(&reply->body), digest, err));
    sl_base64_add(&own, SL_BYTES(digest, sizeof digest));
    SL_TRY(sl_buf_done(&own, err));
    if (sl_str_eq(sl_buf_str(&own), told)) {
        return SL_OK;
    }
    return SL_FAIL(err, SL_EIO, "read of %.*s: the bytes do not have the MD5 the service tells",
                   SL_STR_ARG(call->key));
}

static sl_rc check_range(const struct sli_azure_call *call, const struct sl_http_reply *reply,
                         struct sl_err *err)
{
    if (reply->status != 206 || reply->body.len > call->reply_max) {
        return SL_FAIL(err, SL_EIO,
                       "read of %.*s: a range was asked for, status %d with %zu bytes "
                       "came",
                       SL_STR_ARG(call->key), reply->status, reply->body.len);
    }
    return call->reply_max <= READ_WITH_MD5 ? check_md5(call, reply, err) : SL_OK;
}

/* ---- objects ---- */

static sl_rc get_blob(struct sli_azure *az, struct sl_str key, uint64_t size_max,
                      struct sl_cancel *cancel, struct sl_http_reply *reply, struct sl_err *err)
{
    struct sli_azure_call call = {.method = "GET",
                                  .key = key,
                                  .reply_max = (size_t)SL_MIN(size_max, SIZE_MAX / 2),
                                  .cancel = cancel,
                                  .action = "read",
                                  .check = check_md5};
    sl_rc rc = sli_azure_request(az, &call, reply, err);
    if (rc == SL_ETOOBIG || (rc == SL_OK && reply->body.len > size_max)) {
        return SL_FAIL(err, SL_ETOOBIG, "object %.*s is larger than the limit of %llu bytes",
                       SL_STR_ARG(key), (unsigned long long)size_max);
    }
    return rc;
}

/* After an unclear answer: is what lies there what we sent? */
static sl_rc compare(struct sli_azure *az, struct sl_str key, struct sl_bytes b,
                     struct sl_cancel *cancel, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    sl_rc rc = get_blob(az, key, b.len, cancel, &reply, err);
    if (rc == SL_OK && sl_bytes_eq(sl_buf_view(&reply.body), b)) {
        return SL_OK;
    }
    if (rc == SL_OK || rc == SL_ETOOBIG) {
        return SL_FAIL(err, SL_ECONFLICT, "object %.*s exists already, with other bytes",
                       SL_STR_ARG(key));
    }
    return rc;
}

sl_rc sli_azure_put_blob(struct sli_azure *az, struct sl_str key, struct sl_bytes b,
                         enum sl_put_mode mode, struct sl_cancel *cancel, bool *is_unclear,
                         struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) crc = SL_BUF_EMPTY;
    sli_azure_crc64_add(&crc, b);
    SL_TRY(sl_buf_done(&crc, err));
    const struct sl_http_header headers[] = {{"x-ms-blob-type", SL_STR("BlockBlob")},
                                             {"Content-Type", SL_STR("application/octet-stream")},
                                             {"x-ms-content-crc64", sl_buf_str(&crc)},
                                             {"If-None-Match", SL_STR("*")}};
    struct sli_azure_call call = {.method = "PUT",
                                  .key = key,
                                  .headers = headers,
                                  .header_count =
                                      SL_COUNT_OF(headers) - (mode == SL_PUT_REPLACE ? 1 : 0),
                                  .body = b,
                                  .cancel = cancel,
                                  .action = "write",
                                  .check = sli_azure_check_crc64,
                                  .crc64 = sl_buf_str(&crc)};
    sl_rc rc = sli_azure_request(az, &call, &reply, err);
    *is_unclear = *is_unclear || call.is_unclear;
    bool may_be_ours = rc == SL_ECONFLICT && mode == SL_PUT_NEW && *is_unclear;
    return may_be_ours ? compare(az, key, b, cancel, err) : rc;
}

static sl_rc put(struct sl_backend *be, struct sl_str key, struct sl_bytes b, enum sl_put_mode mode,
                 struct sl_err *err)
{
    struct sli_azure *az = sli_azure_of(be);
    bool is_unclear = false;
    SL_TRY(sli_key_check(key, err));
    return sli_azure_put_blob(az, key, b, mode, NULL, &is_unclear, err);
}

static sl_rc get(struct sl_backend *be, struct sl_str key, uint64_t size_max, struct sl_buf *out,
                 struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_TRY(sli_key_check(key, err));
    SL_TRY(get_blob(sli_azure_of(be), key, size_max, NULL, &reply, err));
    sl_buf_add(out, sl_buf_view(&reply.body));
    return sl_buf_done(out, err);
}

static sl_rc read_range(struct sl_backend *be, struct sl_str key, uint64_t offset, size_t len,
                        struct sl_buf *out, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) range = SL_BUF_EMPTY;
    SL_TRY(sli_key_check(key, err));
    if (len == 0) {
        return SL_OK;
    }
    sl_buf_addf(&range, "bytes=%llu-%llu", (unsigned long long)offset,
                (unsigned long long)(offset + len - 1));
    SL_TRY(sl_buf_done(&range, err));
    const struct sl_http_header headers[] = {{"Range", sl_buf_str(&range)},
                                             {"x-ms-range-get-content-md5", SL_STR("true")}};
    struct sli_azure_call call = {.method = "GET",
                                  .key = key,
                                  .headers = headers,
                                  .header_count = len <= READ_WITH_MD5 ? 2 : 1,
                                  .reply_max = len,
                                  .action = "read",
                                  .check = check_range};
    sl_rc rc = sli_azure_request(sli_azure_of(be), &call, &reply, err);
    if (reply.status == 416 && rc != SL_OK && rc != SL_ECANCELED) {
        return SL_OK; /* it begins at or behind the end */
    }
    SL_TRY(rc);
    sl_buf_add(out, sl_buf_view(&reply.body));
    return sl_buf_done(out, err);
}

sl_rc sli_azure_head(struct sli_azure *az, struct sl_str key, bool *ret_exists,
                     int64_t *ret_date_ns, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sli_azure_call call = {
        .method = "HEAD", .key = key, .cancel = az->store.cancel, .action = "look-up"};
    sl_rc rc = sli_azure_request(az, &call, &reply, err);
    if (rc != SL_OK && rc != SL_ENOTFOUND) {
        return rc;
    }
    *ret_exists = rc == SL_OK;
    *ret_date_ns = sli_date_parse(sl_http_header_of(&reply, "date"));
    return SL_OK;
}

static sl_rc remove_blob(struct sl_backend *be, struct sl_str key, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_TRY(sli_key_check(key, err));
    struct sli_azure_call call = {.method = "DELETE", .key = key, .action = "removal"};
    sl_rc rc = sli_azure_request(sli_azure_of(be), &call, &reply, err);
    return rc == SL_ENOTFOUND ? SL_OK : rc;
}

/* ---- listings ---- */

struct pages {
    sl_xml_fn *fn;
    void *arg;
    struct sl_buf marker; /* of the next page; empty: this was the last */
};

static sl_rc on_element(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct pages *p = arg;
    if (sl_str_is(path, "EnumerationResults/NextMarker")) {
        sl_buf_clear(&p->marker);
        sl_buf_add_str(&p->marker, text);
        return sl_buf_done(&p->marker, err);
    }
    return p->fn(p->arg, path, text, err);
}

static sl_rc list_page(struct sli_azure *az, const char *query, struct pages *p, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) all = SL_BUF_EMPTY;
    sl_buf_addf(&all, "restype=container&comp=list&maxresults=" PAGE_ENTRIES "&%s", query);
    if (p->marker.len > 0) {
        sl_buf_add_text(&all, "&marker=");
        sl_percent_encode(sl_buf_str(&p->marker), &all);
    }
    SL_TRY(sl_buf_done(&all, err));
    struct sli_azure_call call = {
        .method = "GET", .query = sl_buf_cstr(&all), .reply_max = PAGE_MAX, .action = "list"};
    SL_TRY(sli_azure_request(az, &call, &reply, err));
    sl_buf_clear(&p->marker);
    return sl_xml_read(sl_buf_view(&reply.body), on_element, p, err);
}

/* Pages go on as long as their markers change: a listing has as many pages as it has. */
sl_rc sli_azure_list_pages(struct sli_azure *az, const char *query, sl_xml_fn *fn, void *arg,
                           struct sl_err *err)
{
    struct pages p = {.fn = fn, .arg = arg};
    SL_AUTO(sl_buf) before = SL_BUF_EMPTY;
    sl_rc rc = list_page(az, query, &p, err);
    while (rc == SL_OK && p.marker.len > 0) {
        if (sl_str_eq(sl_buf_str(&p.marker), sl_buf_str(&before))) {
            rc = SL_FAIL(err, SL_EIO, "list of az://%s/%s: it does not end, a page leads to itself",
                         az->store.bucket, az->store.prefix);
            break;
        }
        sl_buf_clear(&before);
        sl_buf_add(&before, sl_buf_view(&p.marker));
        rc = sl_buf_done(&before, err);
        if (rc == SL_OK) {
            rc = list_page(az, query, &p, err);
        }
    }
    sl_buf_fini(&p.marker);
    return rc;
}

void sli_azure_query_add(const struct sli_azure *az, const char *name, struct sl_str key,
                         struct sl_buf *out)
{
    sl_buf_addf(out, "%s=", name);
    sl_percent_encode(sl_str_from(az->store.prefix), out);
    sl_percent_encode(key, out);
}

struct listing {
    struct sl_str cut; /* what is taken off every name: our prefix, or the folder */
    sl_backend_list_fn *fn;
    void *arg;
    struct sl_buf name, before;
    uint64_t size;
    bool is_folder;
};

static void listing_fini(struct listing *l)
{
    sl_buf_fini(&l->name);
    sl_buf_fini(&l->before);
}

static sl_rc on_blob(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct listing *l = arg;
    struct sl_str key;
    if (sl_str_is(path, "EnumerationResults/Blobs/Blob/Name")) {
        sl_buf_clear(&l->name);
        sl_buf_add_str(&l->name, text);
        l->is_folder = false;
        l->size = 0;
        return sl_buf_done(&l->name, err);
    }
    if (sl_str_is(path, "EnumerationResults/Blobs/Blob/Properties/ResourceType")) {
        l->is_folder = sl_str_is(text, "directory");
        return SL_OK;
    }
    if (sl_str_is(path, "EnumerationResults/Blobs/Blob/Properties/Content-Length")) {
        return sl_u64_parse(text, &l->size)
                   ? SL_OK
                   : SL_FAIL(err, SL_EIO, "list: a blob with the size \"%.*s\"",
                             (int)SL_MIN(text.len, 40u), text.ptr);
    }
    if (sl_str_is(path, "EnumerationResults/Blobs/Blob") && !l->is_folder &&
        sli_key_cut(sl_buf_str(&l->name), l->cut, &key)) {
        return l->fn(l->arg, key, l->size, err);
    }
    return SL_OK;
}

static sl_rc list(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn, void *arg,
                  struct sl_err *err)
{
    struct sli_azure *az = sli_azure_of(be);
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    SL_TRY(sli_prefix_check(prefix, err));
    sli_azure_query_add(az, "prefix", prefix, &query);
    SL_TRY(sl_buf_done(&query, err));
    struct listing l = {.cut = sl_str_from(az->store.prefix), .fn = fn, .arg = arg};
    sl_rc rc = sli_azure_list_pages(az, sl_buf_cstr(&query), on_blob, &l, err);
    listing_fini(&l);
    return rc;
}

static sl_rc on_folder(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct listing *l = arg;
    struct sl_str name;
    if (!sl_str_is(path, "EnumerationResults/Blobs/BlobPrefix/Name") || !sl_str_ends(text, "/")) {
        return SL_OK;
    }
    sl_buf_clear(&l->name);
    sl_buf_add_str(&l->name, (struct sl_str){text.ptr, text.len - 1});
    SL_TRY(sl_buf_done(&l->name, err));
    /* Emulators tell a folder again on the next page. */
    if (!sli_key_cut(sl_buf_str(&l->name), l->cut, &name) ||
        sl_str_eq(sl_buf_str(&l->name), sl_buf_str(&l->before))) {
        return SL_OK;
    }
    SL_TRY(l->fn(l->arg, name, 0, err));
    sl_buf_clear(&l->before);
    sl_buf_add(&l->before, sl_buf_view(&l->name));
    return sl_buf_done(&l->before, err);
}

static sl_rc list_folders(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn,
                          void *arg, struct sl_err *err)
{
    struct sli_azure *az = sli_azure_of(be);
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) cut = SL_BUF_EMPTY;
    SL_TRY(sli_prefix_check(prefix, err));
    sl_buf_add_text(&query, "delimiter=%2F&");
    sli_azure_query_add(az, "prefix", prefix, &query);
    sl_buf_addf(&cut, "%s%.*s", az->store.prefix, SL_STR_ARG(prefix));
    SL_TRY(sl_buf_done(&query, err));
    SL_TRY(sl_buf_done(&cut, err));
    struct listing l = {.cut = sl_buf_str(&cut), .fn = fn, .arg = arg};
    sl_rc rc = sli_azure_list_pages(az, sl_buf_cstr(&query), on_folder, &l, err);
    listing_fini(&l);
    return rc;
}

/* ---- open, close ---- */

static void describe(struct sl_backend *be, struct sl_str prefix, struct sl_buf *out)
{
    const struct sli_azure *az = sli_azure_of(be);
    sl_buf_addf(out, "az://%s/%s%.*s", az->store.bucket, az->store.prefix, SL_STR_ARG(prefix));
}

static void close_azure(struct sl_backend *be)
{
    struct sli_azure *az = sli_azure_of(be);
    sli_bearer_fini(&az->bearer);
    sli_azure_account_fini(&az->account);
    sli_store_fini(&az->store);
    sl_free(az);
}

sl_rc sli_azure_open(const struct sl_backend_env *env, struct sl_str bucket, struct sl_str prefix,
                     struct sl_backend **ret, struct sl_err *err)
{
    static const struct sl_backend_ops ops = {
        .name = "azure",
        .part_rule = {.bytes_min = 1, .bytes_max = BLOCK_BYTES_MAX, .count_max = BLOCKS_MAX},
        .probe = sli_azure_probe,
        .put = put,
        .get = get,
        .read = read_range,
        .list = list,
        .list_folders = list_folders,
        .remove = remove_blob,
        .begin = sli_azure_begin,
        .part = sli_azure_part,
        .complete = sli_azure_complete,
        .cancel = sli_azure_cancel,
        .sweep = sli_azure_sweep,
        .describe = describe,
        .close = close_azure,
    };
    struct sli_azure *az = sl_alloc_zero(1, sizeof *az);
    if (az == NULL) {
        return SL_NOMEM(err);
    }
    sli_bearer_init(&az->bearer, &az->store, sli_azure_token_fetch, az);
    sl_rc rc = sli_store_init(&az->store, &ops, env, bucket, prefix, err);
    if (rc == SL_OK) {
        rc = sli_azure_account_load(&az->account, env->config, err);
    }
    if (rc != SL_OK) {
        close_azure(&az->store.backend);
        return rc;
    }
    *ret = &az->store.backend;
    return SL_OK;
}
