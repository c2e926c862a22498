/* Whole objects of a bucket: put, get, ranges, listings, removal; open and close.
 *
 * Every object we make carries the random name of its write in its metadata. So after a lost answer
 * a HEAD tells our own object from another's of the same size and content. Listings are foreign:
 * names are taken as they are, below our prefix only. Called through the seam; @threads any. */
#include "backend/s3/s3_int.h"

#include "base/crypto.h"
#include "base/hash.h"
#include "base/num.h"

#define PAGE_KEYS     "1000"
#define PAGE_MAX      (8u << 20) /* 1,000 names of 1,024 bytes, escaped, with their properties */
#define STEPS_MAX     4          /* calls of one put: with conditions, with checksums, without */
#define WRITE_ID_NAME "x-amz-meta-sluice-write"

/* ---- headers ---- */

void sli_s3_header_add(struct sli_s3_headers *h, const char *name, struct sl_str value)
{
    sl_assert(h->count < SL_COUNT_OF(h->rows));
    if (value.len > 0) {
        h->rows[h->count++] = (struct sl_http_header){name, value};
    }
}

void sli_s3_payer_header(const struct sli_s3 *s3, struct sli_s3_headers *h)
{
    if (s3->store.config->is_s3_requester_pays) {
        sli_s3_header_add(h, "x-amz-request-payer", SL_STR("requester"));
    }
}

void sli_s3_object_headers(const struct sli_s3 *s3, struct sl_str write_id,
                           struct sli_s3_headers *h)
{
    static const char *const encryptions[] = {"", "AES256", "aws:kms", "aws:kms:dsse"};
    const struct sl_config *c = s3->store.config;
    const char *sse = encryptions[c->s3_sse]; /* the option's words in their order */
    sli_s3_payer_header(s3, h);
    sli_s3_header_add(h, "Content-Type", SL_STR("application/octet-stream"));
    sli_s3_header_add(h, WRITE_ID_NAME, write_id);
    sli_s3_header_add(h, "x-amz-server-side-encryption", sl_str_from(sse));
    if (strncmp(sse, "aws:kms", strlen("aws:kms")) == 0) {
        sli_s3_header_add(h, "x-amz-server-side-encryption-aws-kms-key-id",
                          sl_str_from(c->s3_kms_key));
        sli_s3_header_add(h, "x-amz-server-side-encryption-bucket-key-enabled",
                          c->is_s3_bucket_key ? SL_STR("true") : SL_STR(""));
    }
    sli_s3_header_add(h, "x-amz-storage-class", sl_str_from(c->s3_storage_class));
    sli_s3_header_add(h, "x-amz-tagging", sl_str_from(c->s3_tags));
}

sl_rc sli_s3_write_id(struct sl_buf *out, struct sl_err *err)
{
    uint8_t random[SLI_S3_WRITE_ID_LEN / 2];
    SL_TRY(sl_random_bytes(random, sizeof random, err));
    sl_hex_add(out, SL_BYTES(random, sizeof random));
    return sl_buf_done(out, err);
}

void sli_s3_crc_add(struct sl_buf *out, uint32_t crc32c)
{
    const uint8_t bytes[] = {(uint8_t)(crc32c >> 24), (uint8_t)(crc32c >> 16),
                             (uint8_t)(crc32c >> 8), (uint8_t)crc32c};
    sl_base64_add(out, SL_BYTES(bytes, sizeof bytes));
}

void sli_s3_query_add(const struct sli_s3 *s3, const char *name, struct sl_str key,
                      struct sl_buf *out)
{
    sl_buf_addf(out, "%s=", name);
    sl_percent_encode(sl_str_from(s3->store.prefix), out);
    sl_percent_encode(key, out);
}

sl_rc sli_s3_exists_already(const struct sli_s3 *s3, struct sl_str key, struct sl_err *err)
{
    return SL_FAIL(err, SL_ECONFLICT, "object s3://%s/%s%.*s exists already", s3->store.bucket,
                   s3->store.prefix, SL_STR_ARG(key));
}

/* ---- what is there ---- */

struct pages;
static sl_rc list_page(struct sli_s3 *s3, const char *query, struct sl_cancel *cancel,
                       struct pages *p, struct sl_err *err);

struct pages {
    sl_xml_fn *fn;
    void *arg;
    struct sl_buf token; /* of the next page; empty: this was the last */
    bool is_cut;         /* there is a next page */
    bool is_encoded;     /* names are, as we asked; some servers do not know how */
};

/* The first name of a listing. */
struct first {
    struct sl_buf name;
    uint64_t size;
    bool has_name;
};

static sl_rc on_first(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct first *f = arg;
    if (sl_str_is(path, "ListBucketResult/Contents/Key") && !f->has_name) {
        f->has_name = true;
        sl_buf_add_str(&f->name, text);
        return sl_buf_done(&f->name, err);
    }
    if (sl_str_is(path, "ListBucketResult/Contents/Size") && f->has_name) {
        SL_IGNORE(sl_u64_parse(text, &f->size) ? SL_OK : SL_EIO,
                  "a size that is none fits nothing");
    }
    return SL_OK;
}

/* Where HEAD of a missing object is refused, as Amazon does when only a prefix may be listed, the
 * listing of exactly that name answers. Whose the object is it cannot tell. */
static sl_rc look_by_list(struct sli_s3 *s3, struct sl_str key, struct sl_cancel *cancel,
                          struct sli_s3_object *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) want = SL_BUF_EMPTY;
    struct first f = {.has_name = false};
    struct pages p = {.fn = on_first, .arg = &f};
    sl_buf_add_text(&query, "list-type=2&max-keys=1&");
    sli_s3_query_add(s3, "prefix", key, &query);
    sl_buf_addf(&want, "%s%.*s", s3->store.prefix, SL_STR_ARG(key));
    SL_TRY(sl_buf_done(&query, err));
    SL_TRY(sl_buf_done(&want, err));
    sl_rc rc = list_page(s3, sl_buf_cstr(&query), cancel, &p, err);
    if (rc == SL_OK) {
        ret->is_there = f.has_name && sl_str_eq(sl_buf_str(&f.name), sl_buf_str(&want));
        ret->size = f.size;
    }
    sl_buf_fini(&f.name);
    sl_buf_fini(&p.token);
    return rc;
}

sl_rc sli_s3_look(struct sli_s3 *s3, struct sl_str key, struct sl_str write_id,
                  struct sl_cancel *cancel, struct sli_s3_object *ret, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sli_s3_headers h = {.count = 0};
    sli_s3_payer_header(s3, &h);
    struct sli_s3_call call = {.method = "HEAD",
                               .key = key,
                               .headers = h.rows,
                               .header_count = h.count,
                               .cancel = cancel,
                               .action = "s3:GetObject"};
    *ret = (struct sli_s3_object){.is_there = false};
    sl_rc rc = sli_s3_request(s3, &call, &reply, err);
    if (rc == SL_ENOTFOUND) {
        return SL_OK;
    }
    if (rc != SL_OK && (call.status == 403 || call.status == 400)) {
        return look_by_list(s3, key, cancel, ret, err); /* and its refusal has a body */
    }
    SL_TRY(rc);
    ret->is_there = true;
    ret->is_ours =
        write_id.len > 0 && sl_str_eq(sl_http_header_of(&reply, WRITE_ID_NAME), write_id);
    if (!sl_u64_parse(sl_http_header_of(&reply, "content-length"), &ret->size)) {
        ret->is_ours = false;
    }
    return SL_OK;
}

/* ---- put ---- */

bool sli_s3_step_back(struct sli_s3 *s3, const struct sli_s3_call *call, bool has_condition,
                      bool has_checksum)
{
    bool is_unknown = call->status == 501 || strcmp(call->code, "NotImplemented") == 0;
    bool is_checksum = call->status >= 400 && call->status < 500 && call->is_checksum_named &&
                       strncmp(call->code, "Invalid", 7) == 0 &&
                       strcmp(call->code, "InvalidDigest") != 0;
    if (has_checksum &&
        (is_checksum || (is_unknown && (call->is_checksum_named || !has_condition)))) {
        atomic_store(&s3->has_no_checksums, true);
        atomic_store(&s3->has_no_conditions, false); /* given up for nothing, perhaps */
        return true;
    }
    if (has_condition && is_unknown) {
        atomic_store(&s3->has_no_conditions, true);
        return true;
    }
    return false;
}

/* Of a PUT: the store tells the checksum of what it has. arg: base64 of ours. Something on the way
 * that says 200 to everything tells no ETag, as every store does. */
static sl_rc check_put(const struct sli_s3_call *call, const struct sl_http_reply *reply,
                       struct sl_err *err)
{
    struct sl_str told = sl_http_header_of(reply, "x-amz-checksum-crc32c");
    if (sl_http_header_of(reply, "etag").len == 0) {
        return SL_FAIL(err, SL_EIO, "%s of %.*s: an answer without an ETag", call->action,
                       SL_STR_ARG(call->key));
    }
    if (told.ptr == NULL || call->arg == NULL || sl_str_is(told, call->arg)) {
        return SL_OK;
    }
    return SL_FAIL(err, SL_ECORRUPT, "%s of %.*s: the store has other bytes than were sent",
                   call->action, SL_STR_ARG(call->key));
}

static sl_rc put_once(struct sli_s3 *s3, struct sli_s3_call *call, struct sl_str write_id,
                      bool has_condition, bool has_checksum, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) crc = SL_BUF_EMPTY;
    struct sli_s3_headers h = {.count = 0};
    sli_s3_object_headers(s3, write_id, &h);
    if (has_condition) {
        sli_s3_header_add(&h, "If-None-Match", SL_STR("*"));
    }
    if (has_checksum) {
        sli_s3_crc_add(&crc, sl_crc32c(0, call->body));
        call->arg = sl_buf_cstr(&crc);
        SL_TRY(sl_buf_done(&crc, err));
        sli_s3_header_add(&h, "x-amz-checksum-crc32c", sl_buf_str(&crc));
    }
    call->headers = h.rows;
    call->header_count = h.count;
    sl_rc rc = sli_s3_request(s3, call, &reply, err);
    call->headers = NULL;
    call->header_count = 0;
    call->arg = NULL;
    return rc;
}

/* Something is there: is it of this write? */
static sl_rc is_it_ours(struct sli_s3 *s3, const struct sli_s3_call *call, struct sl_str write_id,
                        struct sl_err *err)
{
    struct sli_s3_object o;
    SL_TRY(sli_s3_look(s3, call->key, write_id, call->cancel, &o, err));
    return o.is_there && o.is_ours && o.size == call->body.len
               ? SL_OK
               : sli_s3_exists_already(s3, call->key, err);
}

sl_rc sli_s3_put_object(struct sli_s3 *s3, struct sl_str key, struct sl_bytes b,
                        enum sl_put_mode mode, struct sl_str write_id, struct sl_cancel *cancel,
                        struct sl_err *err)
{
    struct sli_s3_call call = {.method = "PUT",
                               .key = key,
                               .body = b,
                               .cancel = cancel,
                               .action = "s3:PutObject",
                               .check = check_put};
    sl_rc rc = SL_OK;
    for (int step = 0; step < STEPS_MAX; step++) {
        bool has_condition = mode == SL_PUT_NEW && !atomic_load(&s3->has_no_conditions);
        bool has_checksum = !atomic_load(&s3->has_no_checksums);
        if (mode == SL_PUT_NEW && !has_condition) {
            struct sli_s3_object o;
            SL_TRY(sli_s3_look(s3, key, write_id, cancel, &o, err));
            if (o.is_there) {
                return sli_s3_exists_already(s3, key, err);
            }
        }
        rc = put_once(s3, &call, write_id, has_condition, has_checksum, err);
        if (rc == SL_OK || !sli_s3_step_back(s3, &call, has_condition, has_checksum)) {
            break;
        }
    }
    return rc == SL_ECONFLICT && mode == SL_PUT_NEW ? is_it_ours(s3, &call, write_id, err) : rc;
}

static sl_rc put(struct sl_backend *be, struct sl_str key, struct sl_bytes b, enum sl_put_mode mode,
                 struct sl_err *err)
{
    SL_AUTO(sl_buf) write_id = SL_BUF_EMPTY;
    SL_TRY(sli_key_check(key, err));
    SL_TRY(sli_s3_write_id(&write_id, err));
    return sli_s3_put_object(sli_s3_of(be), key, b, mode, sl_buf_str(&write_id), NULL, err);
}

/* ---- get ---- */

/* Where the store tells the checksum of the whole object, not that of its parts ("...-3"). */
static sl_rc check_get(const struct sli_s3_call *call, const struct sl_http_reply *reply,
                       struct sl_err *err)
{
    SL_AUTO(sl_buf) own = SL_BUF_EMPTY;
    struct sl_str told = sl_http_header_of(reply, "x-amz-checksum-crc32c");
    if (told.ptr == NULL || memchr(told.ptr, '-', told.len) != NULL) {
        return SL_OK;
    }
    sli_s3_crc_add(&own, sl_crc32c(0, sl_buf_view(&reply->body)));
    SL_TRY(sl_buf_done(&own, err));
    if (sl_str_eq(told, sl_buf_str(&own))) {
        return SL_OK;
    }
    return SL_FAIL(err, SL_EIO, "read of %.*s: the bytes do not have the checksum the store tells",
                   SL_STR_ARG(call->key));
}

/* Refused: may it be that the object is not there, and only the listing may say so? */
static sl_rc refused(struct sli_s3 *s3, const struct sli_s3_call *call, sl_rc rc,
                     struct sl_err *err)
{
    struct sli_s3_object o = {.is_there = true};
    struct sl_err own = {.rc = SL_OK};
    if (call->status != 403 || strcmp(call->code, "AccessDenied") != 0) {
        return rc;
    }
    if (look_by_list(s3, call->key, call->cancel, &o, &own) == SL_OK && !o.is_there) {
        return SL_FAIL(err, SL_ENOTFOUND, "object %.*s does not exist", SL_STR_ARG(call->key));
    }
    return rc;
}

static sl_rc get(struct sl_backend *be, struct sl_str key, uint64_t size_max, struct sl_buf *out,
                 struct sl_err *err)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sli_s3_headers h = {.count = 0};
    SL_TRY(sli_key_check(key, err));
    sli_s3_payer_header(s3, &h);
    sli_s3_header_add(&h, "x-amz-checksum-mode", SL_STR("ENABLED"));
    struct sli_s3_call call = {.method = "GET",
                               .key = key,
                               .headers = h.rows,
                               .header_count = h.count,
                               .reply_max = (size_t)SL_MIN(size_max, SIZE_MAX / 2),
                               .action = "s3:GetObject",
                               .check = check_get};
    sl_rc rc = sli_s3_request(s3, &call, &reply, err);
    if (rc == SL_ETOOBIG || (rc == SL_OK && reply.body.len > size_max)) {
        return SL_FAIL(err, SL_ETOOBIG, "object %.*s is larger than the limit of %llu bytes",
                       SL_STR_ARG(key), (unsigned long long)size_max);
    }
    if (rc != SL_OK) {
        return refused(s3, &call, rc, err);
    }
    sl_buf_add(out, sl_buf_view(&reply.body));
    return sl_buf_done(out, err);
}

static sl_rc check_range(const struct sli_s3_call *call, const struct sl_http_reply *reply,
                         struct sl_err *err)
{
    if (reply->status == 206 && reply->body.len <= call->reply_max) {
        return SL_OK;
    }
    return SL_FAIL(err, SL_EIO,
                   "read of %.*s: a range was asked for, status %d with %zu bytes came",
                   SL_STR_ARG(call->key), reply->status, reply->body.len);
}

static sl_rc read_range(struct sl_backend *be, struct sl_str key, uint64_t offset, size_t len,
                        struct sl_buf *out, struct sl_err *err)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) range = SL_BUF_EMPTY;
    struct sli_s3_headers h = {.count = 0};
    SL_TRY(sli_key_check(key, err));
    if (len == 0) {
        return SL_OK;
    }
    sl_buf_addf(&range, "bytes=%llu-%llu", (unsigned long long)offset,
                (unsigned long long)(offset + len - 1));
    SL_TRY(sl_buf_done(&range, err));
    sli_s3_payer_header(s3, &h);
    sli_s3_header_add(&h, "Range", sl_buf_str(&range));
    struct sli_s3_call call = {.method = "GET",
                               .key = key,
                               .headers = h.rows,
                               .header_count = h.count,
                               .reply_max = len,
                               .action = "s3:GetObject",
                               .check = check_range};
    sl_rc rc = sli_s3_request(s3, &call, &reply, err);
    if (rc != SL_OK && call.status == 416) {
        return SL_OK; /* it begins at or behind the end */
    }
    if (rc != SL_OK) {
        return refused(s3, &call, rc, err);
    }
    sl_buf_add(out, sl_buf_view(&reply.body));
    return sl_buf_done(out, err);
}

static sl_rc remove_object(struct sl_backend *be, struct sl_str key, struct sl_err *err)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sli_s3_headers h = {.count = 0};
    SL_TRY(sli_key_check(key, err));
    sli_s3_payer_header(s3, &h);
    struct sli_s3_call call = {.method = "DELETE",
                               .key = key,
                               .headers = h.rows,
                               .header_count = h.count,
                               .action = "s3:DeleteObject"};
    sl_rc rc = sli_s3_request(s3, &call, &reply, err);
    return rc == SL_ENOTFOUND ? SL_OK : rc;
}

/* ---- listings ---- */

bool sli_s3_url_decode(struct sl_str text, struct sl_buf *out)
{
    SL_AUTO(sl_buf) plain = SL_BUF_EMPTY;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '+') {
            sl_buf_add_text(&plain, "%20");
        } else {
            sl_buf_add_u8(&plain, (uint8_t)text.ptr[i]);
        }
    }
    out->is_failed = out->is_failed || plain.is_failed;
    return sl_percent_decode(sl_buf_str(&plain), out);
}

/* What a page says of itself; before its names, since some servers say it behind them. */
static sl_rc on_page(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct pages *p = arg;
    if (sl_str_is(path, "ListBucketResult/NextContinuationToken")) {
        sl_buf_clear(&p->token);
        sl_buf_add_str(&p->token, text);
        return sl_buf_done(&p->token, err);
    }
    if (sl_str_is(path, "ListBucketResult/IsTruncated")) {
        p->is_cut = sl_str_is(text, "true");
    } else if (sl_str_is(path, "ListBucketResult/EncodingType")) {
        p->is_encoded = sl_str_is(text, "url");
    }
    return SL_OK;
}

static sl_rc list_page(struct sli_s3 *s3, const char *query, struct sl_cancel *cancel,
                       struct pages *p, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) all = SL_BUF_EMPTY;
    struct sli_s3_headers h = {.count = 0};
    sli_s3_payer_header(s3, &h);
    sl_buf_add_text(&all, query);
    if (p->token.len > 0) {
        sl_buf_add_text(&all, "&continuation-token=");
        sl_percent_encode(sl_buf_str(&p->token), &all);
    }
    const char *whole = sl_buf_cstr(&all);
    SL_TRY(sl_buf_done(&all, err));
    struct sli_s3_call call = {.method = "GET",
                               .query = whole,
                               .headers = h.rows,
                               .header_count = h.count,
                               .reply_max = PAGE_MAX,
                               .cancel = cancel,
                               .action = "s3:ListBucket"};
    SL_TRY(sli_s3_request(s3, &call, &reply, err));
    sl_buf_clear(&p->token);
    p->is_cut = p->is_encoded = false;
    SL_TRY(sl_xml_read(sl_buf_view(&reply.body), on_page, p, err));
    return sl_xml_read(sl_buf_view(&reply.body), p->fn, p->arg, err);
}

static sl_rc endless(const struct sli_s3 *s3, struct sl_err *err)
{
    return SL_FAIL(err, SL_EIO, "list of s3://%s/%s: it does not end, a page leads to itself",
                   s3->store.bucket, s3->store.prefix);
}

/* Pages go on as long as their tokens change: a listing has as many pages as it has. */
static sl_rc list_pages(struct sli_s3 *s3, const char *query, struct pages *p, struct sl_err *err)
{
    SL_AUTO(sl_buf) before = SL_BUF_EMPTY;
    SL_TRY(list_page(s3, query, NULL, p, err));
    while (p->is_cut) {
        if (p->token.len == 0 || sl_str_eq(sl_buf_str(&p->token), sl_buf_str(&before))) {
            return endless(s3, err);
        }
        sl_buf_clear(&before);
        sl_buf_add(&before, sl_buf_view(&p->token));
        SL_TRY(sl_buf_done(&before, err));
        SL_TRY(list_page(s3, query, NULL, p, err));
    }
    return SL_OK;
}

struct listing {
    struct sl_str cut; /* what is taken off every name: our prefix, or the folder */
    sl_backend_list_fn *fn;
    void *arg;
    struct sl_buf name, before;
    uint64_t size;
    struct pages pages;
};

static void listing_fini(struct listing *l)
{
    sl_buf_fini(&l->pages.token);
    sl_buf_fini(&l->name);
    sl_buf_fini(&l->before);
}

static sl_rc take_name(struct listing *l, struct sl_str text, struct sl_err *err)
{
    bool is_good = true;
    sl_buf_clear(&l->name);
    if (l->pages.is_encoded) {
        is_good = sli_s3_url_decode(text, &l->name);
    } else {
        sl_buf_add_str(&l->name, text);
    }
    SL_TRY(sl_buf_done(&l->name, err));
    return is_good ? SL_OK : SL_FAIL(err, SL_EIO, "list: a name that is not encoded as asked for");
}

static sl_rc on_object(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct listing *l = arg;
    struct sl_str key;
    if (sl_str_is(path, "ListBucketResult/Contents/Key")) {
        return take_name(l, text, err);
    }
    if (sl_str_is(path, "ListBucketResult/Contents/Size")) {
        return sl_u64_parse(text, &l->size)
                   ? SL_OK
                   : SL_FAIL(err, SL_EIO, "list: an object with the size \"%.*s\"",
                             (int)SL_MIN(text.len, 40u), text.ptr);
    }
    /* A name that ends in '/' is the mark of a folder that consoles make, no object of anybody. */
    if (sl_str_is(path, "ListBucketResult/Contents") &&
        sli_key_cut(sl_buf_str(&l->name), l->cut, &key) && key.ptr[key.len - 1] != '/') {
        return l->fn(l->arg, key, l->size, err);
    }
    return SL_OK;
}

static sl_rc list(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn, void *arg,
                  struct sl_err *err)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    SL_TRY(sli_prefix_check(prefix, err));
    sl_buf_add_text(&query, "list-type=2&encoding-type=url&max-keys=" PAGE_KEYS "&");
    sli_s3_query_add(s3, "prefix", prefix, &query);
    const char *text = sl_buf_cstr(&query);
    SL_TRY(sl_buf_done(&query, err));
    struct listing l = {.cut = sl_str_from(s3->store.prefix), .fn = fn, .arg = arg};
    l.pages = (struct pages){.fn = on_object, .arg = &l};
    sl_rc rc = list_pages(s3, text, &l.pages, err);
    listing_fini(&l);
    return rc;
}

static sl_rc on_folder(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct listing *l = arg;
    struct sl_str name;
    if (!sl_str_is(path, "ListBucketResult/CommonPrefixes/Prefix")) {
        return SL_OK;
    }
    SL_TRY(take_name(l, text, err));
    l->name.len -= sl_str_ends(sl_buf_str(&l->name), "/");
    if (!sli_key_cut(sl_buf_str(&l->name), l->cut, &name) ||
        sl_str_eq(sl_buf_str(&l->name), sl_buf_str(&l->before))) {
        return SL_OK; /* some servers tell a folder again on the next page */
    }
    SL_TRY(l->fn(l->arg, name, 0, err));
    sl_buf_clear(&l->before);
    sl_buf_add(&l->before, sl_buf_view(&l->name));
    return sl_buf_done(&l->before, err);
}

static sl_rc list_folders(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn,
                          void *arg, struct sl_err *err)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    SL_AUTO(sl_buf) query = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) cut = SL_BUF_EMPTY;
    SL_TRY(sli_prefix_check(prefix, err));
    sl_buf_add_text(&query, "list-type=2&encoding-type=url&delimiter=%2F&max-keys=" PAGE_KEYS "&");
    sli_s3_query_add(s3, "prefix", prefix, &query);
    sl_buf_addf(&cut, "%s%.*s", s3->store.prefix, SL_STR_ARG(prefix));
    const char *text = sl_buf_cstr(&query);
    SL_TRY(sl_buf_done(&query, err));
    SL_TRY(sl_buf_done(&cut, err));
    struct listing l = {.cut = sl_buf_str(&cut), .fn = fn, .arg = arg};
    l.pages = (struct pages){.fn = on_folder, .arg = &l};
    sl_rc rc = list_pages(s3, text, &l.pages, err);
    listing_fini(&l);
    return rc;
}

/* ---- the backend ---- */

static void describe(struct sl_backend *be, struct sl_str prefix, struct sl_buf *out)
{
    const struct sli_s3 *s3 = sli_s3_of(be);
    sl_buf_addf(out, "s3://%s/%s", s3->store.bucket, s3->store.prefix);
    sl_buf_add_str(out, prefix);
}

static void close_s3(struct sl_backend *be)
{
    struct sli_s3 *s3 = sli_s3_of(be);
    sli_s3_access_fini(s3);
    sl_buf_fini(&s3->host);
    sli_store_fini(&s3->store);
    sl_free(s3);
}

sl_rc sli_s3_open(const struct sl_backend_env *env, struct sl_str bucket, struct sl_str prefix,
                  struct sl_backend **ret, struct sl_err *err)
{
    static const struct sl_backend_ops ops = {
        .name = "s3",
        .part_rule = {.bytes_min = SLI_S3_PART_MIN,
                      .bytes_max = SLI_S3_PART_MAX,
                      .count_max = SLI_S3_PARTS_MAX},
        .probe = sli_s3_probe,
        .put = put,
        .get = get,
        .read = read_range,
        .list = list,
        .list_folders = list_folders,
        .remove = remove_object,
        .begin = sli_s3_begin,
        .part = sli_s3_part,
        .complete = sli_s3_complete,
        .cancel = sli_s3_cancel,
        .sweep = sli_s3_sweep,
        .describe = describe,
        .close = close_s3,
    };
    struct sli_s3 *s3 = sl_alloc_zero(1, sizeof *s3);
    if (s3 == NULL) {
        return SL_NOMEM(err);
    }
    sli_s3_access_init(s3);
    sl_rc rc = sli_store_init(&s3->store, &ops, env, bucket, prefix, err);
    if (rc == SL_OK) {
        rc = sli_s3_address_init(s3, err);
    }
    if (rc != SL_OK) {
        close_s3(&s3->store.backend);
        return rc;
    }
    *ret = &s3->store.backend;
    return SL_OK;
}
