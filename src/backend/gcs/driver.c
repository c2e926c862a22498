/* Requests to a bucket, and its whole objects: put, get, ranges, listings, removal; open and close.
 *
 * A new object carries a mark of our own in its metadata: when the answer to its creation was lost,
 * the mark tells whether the object that is there is the one we made. Checksums are CRC-32C, which
 * the service computes for every object. Called through the seam; @threads any. */
#include <stdio.h>

#include "backend/gcs/gcs_int.h"

#include "base/crypto.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/num.h"

#define LIST_MAX  (8u << 20) /* a page of 1,000 names */
#define PAGES_MAX 1000000    /* it ends although a service goes in circles */
#define PART_MIN  (UINT64_C(1) << 20)
#define PART_MAX  (UINT64_C(1) << 30)
#define PARTS_MAX (UINT32_C(5) << 20) /* 5 TiB of the least part */
#define BOUNDARY  "sluice-7f0c1d5e9b3a4c86"

void sli_gcs_header(struct sli_gcs_call *call, const char *name, struct sl_str value)
{
    sl_assert(call->header_count < SL_COUNT_OF(call->headers));
    call->headers[call->header_count++] = (struct sl_http_header){name, value};
}

/* ---- one request ---- */

struct sending {
    struct sli_gcs *g;
    struct sli_gcs_call *call;
    struct sl_http_reply *reply;
};

static bool is_good(const struct sending *s)
{
    int status = s->reply->status;
    return (status >= 200 && status < 300) || (s->call->may_go_on && status == 308);
}

static void take_text(const json_t *doc, const char *name, char *ret, size_t size)
{
    const char *text = json_string_value(json_object_get(doc, name));
    (void)snprintf(ret, size, "%s", text == NULL ? "" : text);
}

/* The resource of an object; false: the text is none. */
static bool object_read(const struct sl_buf *text, struct sli_gcs_object *ret)
{
    json_t *doc = sli_json_read(sl_buf_view(text));
    const char *size = json_string_value(json_object_get(doc, "size"));
    ret->size = UINT64_MAX;
    bool is_whole = size != NULL && sl_u64_parse(sl_str_from(size), &ret->size);
    take_text(doc, "crc32c", ret->crc, sizeof(ret->crc));
    take_text(json_object_get(doc, "metadata"), "sluice", ret->mark, sizeof(ret->mark));
    json_decref(doc);
    return is_whole;
}

static sl_rc expect_data(const struct sli_gcs *g, struct sl_str key,
                         const struct sli_gcs_object *seen, const struct sli_gcs_object *want,
                         struct sl_err *err)
{
    if (seen->size == want->size && (seen->crc[0] == '\0' || strcmp(seen->crc, want->crc) == 0)) {
        return SL_OK;
    }
    return SL_FAIL(err, SL_ECORRUPT,
                   "object gs://%s/%s%.*s is not what was sent: %llu bytes of CRC-32C %s, sent "
                   "were %llu of %s",
                   g->store.bucket, g->store.prefix, SL_STR_ARG(key),
                   (unsigned long long)seen->size, seen->crc, (unsigned long long)want->size,
                   want->crc);
}

/* Something on the way may say 200 to everything: only who has done it can tell what was made. */
static sl_rc expect_made(const struct sending *s, struct sli_try *t, struct sl_err *err)
{
    struct sli_gcs_object seen;
    const struct sli_gcs_call *call = s->call;
    if (call->opens_session ? sl_http_header_of(s->reply, "location").len > 0
                            : call->want == NULL || s->reply->status == 308) {
        return SL_OK;
    }
    if (!call->opens_session && object_read(&s->reply->body, &seen) &&
        strcmp(seen.mark, call->want->mark) == 0) {
        return expect_data(s->g, call->key, &seen, call->want, err);
    }
    t->is_repeatable = true;
    s->call->is_unclear = true;
    return SL_FAIL(err, SL_EIO, "gs://%s/%s%.*s: %s was answered by %d without what it makes",
                   s->g->store.bucket, s->g->store.prefix, SL_STR_ARG(call->key), call->action,
                   s->reply->status);
}

static sl_rc expect_good(const struct sending *s, struct sli_try *t, struct sl_err *err)
{
    SL_TRY(expect_made(s, t, err));
    sl_rc rc = s->call->check == NULL ? SL_OK : s->call->check(s->call, s->reply, err);
    t->is_repeatable = sli_try_misfit(t, rc);
    return rc;
}

static sl_rc exchange(struct sending *s, struct sl_str bearer, struct sli_try *t,
                      struct sl_err *err)
{
    struct sli_gcs_call *call = s->call;
    struct sl_http_header headers[SL_COUNT_OF(call->headers) + 1];
    memcpy(headers, call->headers, sizeof(call->headers));
    headers[call->header_count] = (struct sl_http_header){"authorization", bearer};
    struct sl_http_request req = {.method = call->method,
                                  .url = call->url,
                                  .headers = headers,
                                  .header_count = call->header_count + (bearer.len > 0),
                                  .body = call->body,
                                  .reply_max = SL_MAX(call->reply_max, (size_t)SLI_GCS_SMALL_MAX),
                                  .timeout_ns = t->limit_ns,
                                  .cancel = call->cancel};
    sl_rc rc = sl_http_exchange(s->g->store.http, &req, s->reply, err);
    if (rc != SL_OK) {
        t->is_repeatable = rc == SL_EIO || rc == SL_ETIMEOUT;
        call->is_unclear |= t->is_repeatable;
        sl_err_prefix(err, "gs://%s: %s", s->g->store.bucket, call->action);
    }
    return rc;
}

static sl_rc attempt(void *arg, struct sli_try *t, struct sl_err *err)
{
    struct sending *s = arg;
    struct sl_buf bearer = SL_BUF_EMPTY;
    uint64_t no = 0;
    t->is_repeatable = false;
    t->wait_ns = 0;
    sl_rc rc = SL_OK;
    if (s->g->store.config->is_gcs_authenticated) {
        rc = sli_bearer_add(&s->g->bearer, s->call->cancel, &bearer, &no, &t->is_repeatable, err);
    }
    if (rc == SL_OK) {
        rc = exchange(s, sl_buf_str(&bearer), t, err);
    }
    sli_wipe(&bearer);
    if (rc == SL_OK && is_good(s)) {
        rc = expect_good(s, t, err);
    }
    if (rc != SL_OK || is_good(s)) {
        t->is_repeatable = t->is_repeatable && !s->call->is_once;
        return rc;
    }
    rc = sli_gcs_judge(s->g, s->call, s->reply, t, err);
    s->call->is_unclear |= t->is_repeatable && s->reply->status >= 500;
    if (s->reply->status == 401 && no > 0 && !t->is_refreshed) {
        sli_bearer_refuse(&s->g->bearer, no);
        t->is_refreshed = t->is_repeatable = true;
        t->wait_ns = 1;
    } else {
        t->is_repeatable = t->is_repeatable && !s->call->is_once;
    }
    return rc;
}

sl_rc sli_gcs_send(struct sli_gcs *g, struct sli_gcs_call *call, struct sl_http_reply *reply,
                   struct sl_err *err)
{
    struct sending s = {g, call, reply};
    call->cancel = sli_cancel_of(&g->store, call->cancel, call->deadline_ns);
    return sli_retry_for(&g->store, call->deadline_ns, call->cancel, attempt, &s, err);
}

/* ---- names, marks, checksums ---- */

static void add_name(const struct sli_gcs *g, struct sl_str key, struct sl_buf *out)
{
    sl_percent_encode(sl_str_from(g->store.prefix), out);
    sl_percent_encode(key, out);
}

static void add_object_url(const struct sli_gcs *g, struct sl_str key, const char *query,
                           struct sl_buf *out)
{
    sl_buf_add(out, sl_buf_view(&g->endpoint));
    sl_buf_addf(out, "/storage/v1/b/%s/o/", g->store.bucket);
    add_name(g, key, out);
    sl_buf_add_text(out, query);
}

sl_rc sli_gcs_mark_new(char ret[SLI_GCS_MARK_SIZE], struct sl_err *err)
{
    uint8_t random[16];
    SL_AUTO(sl_buf) hex = SL_BUF_EMPTY;
    SL_TRY(sl_random_bytes(random, sizeof(random), err));
    sl_hex_add(&hex, SL_BYTES(random, sizeof(random)));
    const char *text = sl_buf_cstr(&hex);
    SL_TRY(sl_buf_done(&hex, err));
    memcpy(ret, text, SLI_GCS_MARK_SIZE);
    return SL_OK;
}

static void crc_text(uint32_t crc, char ret[SLI_GCS_CRC_SIZE])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint64_t bits = (uint64_t)crc << 4; /* 36 bits: six digits */
    for (int i = 0; i < 6; i++) {
        ret[i] = digits[bits >> (30 - 6 * i) & 63];
    }
    memcpy(ret + 6, "==", 3);
}

struct sli_gcs_object sli_gcs_object_of(const char *mark, uint64_t size, uint32_t crc)
{
    struct sli_gcs_object ret = {.size = size};
    crc_text(crc, ret.crc);
    (void)snprintf(ret.mark, sizeof(ret.mark), "%s", mark);
    return ret;
}

void sli_gcs_metadata_add(const struct sli_gcs *g, struct sl_str key, const char *mark,
                          const char *crc, struct sl_buf *out)
{
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    sl_buf_add_text(&name, g->store.prefix);
    sl_buf_add_str(&name, key);
    struct sl_json w = sl_json_over(out);
    sl_json_obj(&w);
    sl_json_key(&w, "name");
    sl_json_str(&w, sl_buf_str(&name));
    sl_json_key(&w, "contentType");
    sl_json_text(&w, "application/octet-stream");
    if (crc != NULL) {
        sl_json_key(&w, "crc32c");
        sl_json_text(&w, crc);
    }
    sl_json_key(&w, "metadata");
    sl_json_obj(&w);
    sl_json_key(&w, "sluice");
    sl_json_text(&w, mark);
    sl_json_obj_end(&w);
    sl_json_obj_end(&w);
    out->is_failed |= name.is_failed;
}

sl_rc sli_gcs_look(struct sli_gcs *g, struct sl_str key, struct sli_gcs_object *ret,
                   struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    add_object_url(g, key, "?fields=size,crc32c,metadata", &url);
    SL_TRY(sl_buf_done(&url, err));
    struct sli_gcs_call call = {.method = "GET",
                                .url = sl_buf_str(&url),
                                .key = key,
                                .reply_max = SLI_GCS_SMALL_MAX,
                                .cancel = g->store.cancel,
                                .action = "storage.objects.get"};
    SL_TRY(sli_gcs_send(g, &call, &reply, err));
    return object_read(&reply.body, ret)
               ? SL_OK
               : SL_FAIL(err, SL_EIO, "gs://%s: an object's metadata without a size",
                         g->store.bucket);
}

sl_rc sli_gcs_check(struct sli_gcs *g, struct sl_str key, const struct sli_gcs_object *want,
                    struct sl_err *err)
{
    struct sli_gcs_object seen;
    SL_TRY(sli_gcs_look(g, key, &seen, err));
    if (strcmp(seen.mark, want->mark) != 0) {
        return SL_FAIL(err, SL_ECONFLICT, "object gs://%s/%s%.*s exists already", g->store.bucket,
                       g->store.prefix, SL_STR_ARG(key));
    }
    return expect_data(g, key, &seen, want, err);
}

/* ---- put ---- */

static void add_multipart(const struct sli_gcs *g, struct sl_str key, struct sl_bytes b,
                          const struct sli_gcs_object *object, struct sl_buf *out)
{
    sl_buf_add_text(out, "--" BOUNDARY "\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n");
    sli_gcs_metadata_add(g, key, object->mark, object->crc, out);
    sl_buf_add_text(out, "\r\n--" BOUNDARY "\r\nContent-Type: application/octet-stream\r\n\r\n");
    sl_buf_add(out, b);
    sl_buf_add_text(out, "\r\n--" BOUNDARY "--\r\n");
}

sl_rc sli_gcs_put_object(struct sli_gcs *g, struct sl_str key, struct sl_bytes b, bool is_new,
                         const char *mark, struct sl_cancel *cancel, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) body = SL_BUF_EMPTY;
    sl_buf_add(&url, sl_buf_view(&g->endpoint));
    sl_buf_addf(&url, "/upload/storage/v1/b/%s/o?uploadType=multipart%s", g->store.bucket,
                is_new ? "&ifGenerationMatch=0" : "");
    struct sli_gcs_object want = sli_gcs_object_of(mark, b.len, sl_crc32c(0, b));
    add_multipart(g, key, b, &want, &body);
    SL_TRY(sl_buf_done(&url, err));
    SL_TRY(sl_buf_done(&body, err));
    struct sli_gcs_call call = {.method = "POST",
                                .url = sl_buf_str(&url),
                                .body = sl_buf_view(&body),
                                .reply_max = SLI_GCS_SMALL_MAX,
                                .key = key,
                                .want = &want,
                                .cancel = cancel,
                                .action = "storage.objects.create"};
    sli_gcs_header(&call, "content-type", SL_STR("multipart/related; boundary=" BOUNDARY));
    sl_rc rc = sli_gcs_send(g, &call, &reply, err);
    bool is_open = rc == SL_OK || (rc == SL_ECONFLICT && call.is_unclear);
    return is_new && is_open ? sli_gcs_check(g, key, &want, err) : rc;
}

static sl_rc gcs_put(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                     enum sl_put_mode mode, struct sl_err *err)
{
    char mark[SLI_GCS_MARK_SIZE];
    SL_TRY(sli_key_check(key, err));
    SL_TRY(sli_gcs_mark_new(mark, err));
    return sli_gcs_put_object(sli_gcs_of(be), key, b, mode == SL_PUT_NEW, mark, NULL, err);
}

/* ---- get ---- */

/* "crc32c=AAAAAA==,md5=..." of the header; ptr NULL: none. */
static struct sl_str crc_told(const struct sl_http_reply *reply)
{
    struct sl_str told = sl_http_header_of(reply, "x-goog-hash");
    const char *at = told.ptr == NULL ? NULL : memmem(told.ptr, told.len, "crc32c=", 7);
    if (at == NULL || told.len - (size_t)(at + 7 - told.ptr) < SLI_GCS_CRC_SIZE - 1) {
        return (struct sl_str){0};
    }
    return (struct sl_str){at + 7, SLI_GCS_CRC_SIZE - 1};
}

static sl_rc check_crc(const struct sli_gcs_call *call, const struct sl_http_reply *reply,
                       struct sl_err *err)
{
    char own[SLI_GCS_CRC_SIZE];
    struct sl_str told = crc_told(reply);
    crc_text(sl_crc32c(0, sl_buf_view(&reply->body)), own);
    return told.ptr == NULL || sl_str_is(told, own)
               ? SL_OK
               : SL_FAIL(err, SL_EIO,
                         "read of %.*s: the bytes do not have the checksum the store tells",
                         SL_STR_ARG(call->key));
}

/* The range begins at 0: the whole object is an answer, too. */
static sl_rc check_range(const struct sli_gcs_call *call, const struct sl_http_reply *reply,
                         struct sl_err *err)
{
    bool is_start = sl_str_starts(call->headers[0].value, "bytes=0-");
    return reply->body.len == call->reply_max && (reply->status == 206 || is_start)
               ? SL_OK
               : SL_FAIL(err, SL_EIO, "read of %.*s: %zu bytes came of a range of %zu (status %d)",
                         SL_STR_ARG(call->key), reply->body.len, call->reply_max, reply->status);
}

/* Of the whole object (range NULL), or of what the header asks for. */
static sl_rc fetch(struct sli_gcs *g, struct sl_str key, const char *range, size_t size_max,
                   struct sl_http_reply *reply, struct sl_err *err)
{
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    SL_TRY(sli_key_check(key, err));
    add_object_url(g, key, "?alt=media", &url);
    SL_TRY(sl_buf_done(&url, err));
    struct sli_gcs_call call = {.method = "GET",
                                .url = sl_buf_str(&url),
                                .key = key,
                                .reply_max = size_max,
                                .action = "storage.objects.get",
                                .check = range == NULL ? check_crc : check_range};
    if (range != NULL) {
        sli_gcs_header(&call, "range", sl_str_from(range));
    }
    return sli_gcs_send(g, &call, reply, err);
}

static sl_rc gcs_get(struct sl_backend *be, struct sl_str key, uint64_t size_max,
                     struct sl_buf *out, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_TRY(fetch(sli_gcs_of(be), key, NULL, (size_t)SL_MIN(size_max, SIZE_MAX / 2), &reply, err));
    if (reply.body.len > size_max) {
        return SL_FAIL(err, SL_ETOOBIG, "object %.*s is larger than the limit of %llu bytes",
                       SL_STR_ARG(key), (unsigned long long)size_max);
    }
    sl_buf_add(out, sl_buf_view(&reply.body));
    return sl_buf_done(out, err);
}

static sl_rc gcs_read(struct sl_backend *be, struct sl_str key, uint64_t offset, size_t len,
                      struct sl_buf *out, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sli_gcs_object object;
    char range[64];
    SL_TRY(sli_gcs_look(sli_gcs_of(be), key, &object, err));
    if (len == 0 || offset >= object.size) {
        return SL_OK;
    }
    len = (size_t)SL_MIN((uint64_t)len, object.size - offset);
    (void)snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)offset,
                   (unsigned long long)(offset + len - 1));
    SL_TRY(fetch(sli_gcs_of(be), key, range, len, &reply, err));
    sl_buf_add(out, sl_buf_view(&reply.body));
    return sl_buf_done(out, err);
}

/* ---- list ---- */

struct listing {
    struct sli_gcs *g;
    struct sl_str prefix; /* below ours */
    bool wants_folders;
    sl_backend_list_fn *fn;
    void *arg;
    struct sl_buf last; /* told before: emulators repeat folders on each page */
};

static sl_rc tell(struct listing *l, const char *name, uint64_t size, struct sl_err *err)
{
    const char *own = l->g->store.prefix;
    size_t skip = strlen(own) + (l->wants_folders ? l->prefix.len : 0);
    size_t len = name == NULL ? 0 : strlen(name);
    if (len <= skip || !sl_str_starts(sl_str_from(name), own)) {
        return SL_FAIL(err, SL_EIO, "the listing of gs://%s holds what was not asked for",
                       l->g->store.bucket);
    }
    bool is_folder = name[len - 1] == '/';
    if (is_folder && !l->wants_folders) {
        return SL_OK; /* a mark that consoles make, no object */
    }
    struct sl_str told = {name + skip, len - skip - (is_folder ? 1 : 0)};
    if (l->wants_folders && sl_str_eq(told, sl_buf_str(&l->last))) {
        return SL_OK;
    }
    sl_buf_clear(&l->last);
    sl_buf_add_str(&l->last, told);
    SL_TRY(sl_buf_done(&l->last, err));
    return l->fn(l->arg, told, size, err);
}

static sl_rc tell_page(struct listing *l, const json_t *doc, struct sl_err *err)
{
    size_t i;
    json_t *one;
    if (l->wants_folders) {
        json_array_foreach(json_object_get(doc, "prefixes"), i, one)
        {
            SL_TRY(tell(l, json_string_value(one), 0, err));
        }
        return SL_OK;
    }
    json_array_foreach(json_object_get(doc, "items"), i, one)
    {
        uint64_t size = 0;
        const char *text = json_string_value(json_object_get(one, "size"));
        if (text == NULL || !sl_u64_parse(sl_str_from(text), &size)) {
            return SL_FAIL(err, SL_EIO, "gs://%s: a listing without sizes", l->g->store.bucket);
        }
        SL_TRY(tell(l, json_string_value(json_object_get(one, "name")), size, err));
    }
    return SL_OK;
}

static sl_rc list_page(struct listing *l, struct sl_buf *token, struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    sl_buf_add(&url, sl_buf_view(&l->g->endpoint));
    sl_buf_addf(&url,
                "/storage/v1/b/%s/o?maxResults=1000&fields=nextPageToken,prefixes,items(name,size)"
                "%s&prefix=",
                l->g->store.bucket, l->wants_folders ? "&delimiter=%2F" : "");
    add_name(l->g, l->prefix, &url);
    if (token->len > 0) {
        sl_buf_add_text(&url, "&pageToken=");
        sl_percent_encode(sl_buf_str(token), &url);
    }
    SL_TRY(sl_buf_done(&url, err));
    struct sli_gcs_call call = {.method = "GET",
                                .url = sl_buf_str(&url),
                                .reply_max = LIST_MAX,
                                .action = "storage.objects.list"};
    SL_TRY(sli_gcs_send(l->g, &call, &reply, err));
    json_t *doc = sli_json_read(sl_buf_view(&reply.body));
    const char *next = json_string_value(json_object_get(doc, "nextPageToken"));
    sl_buf_clear(token);
    sl_buf_add_text(token, next == NULL ? "" : next);
    sl_rc rc = doc == NULL
                   ? SL_FAIL(err, SL_EIO, "gs://%s: a listing that is no JSON", l->g->store.bucket)
                   : tell_page(l, doc, err);
    json_decref(doc);
    return rc == SL_OK ? sl_buf_done(token, err) : rc;
}

static sl_rc list_all(struct listing *l, struct sl_err *err)
{
    SL_AUTO(sl_buf) token = SL_BUF_EMPTY;
    sl_rc rc = sli_prefix_check(l->prefix, err);
    for (int n = 0; rc == SL_OK && (n == 0 || token.len > 0); n++) {
        rc = n < PAGES_MAX ? list_page(l, &token, err)
                           : SL_FAIL(err, SL_EIO, "a listing without end");
    }
    sl_buf_fini(&l->last);
    return rc;
}

static sl_rc gcs_list(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn,
                      void *arg, struct sl_err *err)
{
    struct listing l = {.g = sli_gcs_of(be), .prefix = prefix, .fn = fn, .arg = arg};
    return list_all(&l, err);
}

static sl_rc gcs_list_folders(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn,
                              void *arg, struct sl_err *err)
{
    struct listing l = {
        .g = sli_gcs_of(be), .prefix = prefix, .wants_folders = true, .fn = fn, .arg = arg};
    return list_all(&l, err);
}

/* ---- the rest ---- */

sl_rc sli_gcs_remove(struct sl_backend *be, struct sl_str key, struct sl_err *err)
{
    struct sli_gcs *g = sli_gcs_of(be);
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    SL_TRY(sli_key_check(key, err));
    add_object_url(g, key, "", &url);
    SL_TRY(sl_buf_done(&url, err));
    struct sli_gcs_call call = {.method = "DELETE",
                                .url = sl_buf_str(&url),
                                .key = key,
                                .reply_max = SLI_GCS_SMALL_MAX,
                                .action = "storage.objects.delete"};
    sl_rc rc = sli_gcs_send(g, &call, &reply, err);
    return rc == SL_ENOTFOUND ? SL_OK : rc;
}

static void gcs_describe(struct sl_backend *be, struct sl_str prefix, struct sl_buf *out)
{
    sl_buf_addf(out, "gs://%s/%s%.*s", sli_gcs_of(be)->store.bucket, sli_gcs_of(be)->store.prefix,
                SL_STR_ARG(prefix));
}

static void gcs_close(struct sl_backend *be)
{
    struct sli_gcs *g = sli_gcs_of(be);
    sli_bearer_fini(&g->bearer);
    sl_buf_fini(&g->endpoint);
    sli_store_fini(&g->store);
    sl_free(g);
}

static sl_rc set_endpoint(struct sli_gcs *g, struct sl_err *err)
{
    const char *emulator = g->store.config->gcs_emulator;
    if (emulator[0] == '\0') {
        sl_buf_add_text(&g->endpoint, "https://storage.googleapis.com");
    } else {
        sl_buf_addf(&g->endpoint, "%s%s", strstr(emulator, "://") == NULL ? "http://" : "",
                    emulator);
    }
    while (g->endpoint.len > 0 && g->endpoint.ptr[g->endpoint.len - 1] == '/') {
        g->endpoint.len--;
    }
    return sl_buf_done(&g->endpoint, err);
}

static bool is_bucket_name(struct sl_str bucket)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    for (size_t i = 0; i < bucket.len; i++) {
        if (strchr(allowed, bucket.ptr[i]) == NULL) {
            return false;
        }
    }
    return true;
}

sl_rc sli_gcs_open(const struct sl_backend_env *env, struct sl_str bucket, struct sl_str prefix,
                   struct sl_backend **ret, struct sl_err *err)
{
    static const struct sl_backend_ops ops = {
        .name = "gcs",
        .part_rule = {.bytes_min = PART_MIN,
                      .bytes_max = PART_MAX,
                      .count_max = PARTS_MAX,
                      .is_in_order = true},
        .probe = sli_gcs_probe,
        .put = gcs_put,
        .get = gcs_get,
        .read = gcs_read,
        .list = gcs_list,
        .list_folders = gcs_list_folders,
        .remove = sli_gcs_remove,
        .begin = sli_gcs_begin,
        .part = sli_gcs_part,
        .complete = sli_gcs_complete,
        .cancel = sli_gcs_cancel,
        .sweep = sli_gcs_sweep,
        .describe = gcs_describe,
        .close = gcs_close,
    };
    if (!is_bucket_name(bucket)) {
        return SL_FAIL(err, SL_EINVAL,
                       "gs://%.*s: a bucket's name is of lower-case letters, digits, '-', '_' and "
                       "'.'",
                       SL_STR_ARG(bucket));
    }
    struct sli_gcs *g = sl_alloc_zero(1, sizeof(*g));
    if (g == NULL) {
        return SL_NOMEM(err);
    }
    sli_bearer_init(&g->bearer, &g->store, sli_gcs_token_fetch, g);
    sl_rc rc = sli_store_init(&g->store, &ops, env, bucket, prefix, err);
    if (rc == SL_OK) {
        rc = set_endpoint(g, err);
    }
    if (rc != SL_OK) {
        gcs_close(&g->store.backend);
        return rc;
    }
    *ret = &g->store.backend;
    return SL_OK;
}
