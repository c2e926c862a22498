/* One request to the bucket: its URL, its signature, its tries.
 *
 * Every try is built anew: credentials, region and time may have changed since the last. The
 * connection, the waits and the deadline are the store's; what an answer means says error.c. */
#include <stdio.h>

#include "backend/s3/s3_int.h"
#include "backend/sign/sign.h"
#include "base/crypto.h"
#include "base/hash.h"

#define REGIONS_MAX    3                     /* followed in one call */
#define REQUEST_MAX_NS INT64_C(600000000000) /* of one try: a part of 5 GiB at 9 MB/s */

void sli_s3_header(struct sli_s3_request *q, const char *name, struct sl_str value)
{
    sl_assert(q->header_count < SLI_S3_HEADERS_MAX);
    q->headers[q->header_count++] = (struct sl_http_header){name, value};
}

void sli_s3_crc_of(struct sl_bytes b, struct sli_s3_crc *ret)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint64_t bits = (uint64_t)sl_crc32c(0, b) << 4; /* 36 bits: six digits */
    for (int i = 0; i < 6; i++) {
        ret->text[i] = digits[bits >> (30 - 6 * i) & 63];
    }
    memcpy(ret->text + 6, "==", 3);
}

void sli_s3_creation_headers(struct sli_s3 *s3, struct sli_s3_request *q)
{
    static const char *const sse[] = {"", "AES256", "aws:kms"};
    const struct sl_config *c = s3->store.config;
    sli_s3_header(q, "content-type", SL_STR("application/octet-stream"));
    if (c->s3_sse > 0) {
        sli_s3_header(q, "x-amz-server-side-encryption", sl_str_from(sse[c->s3_sse]));
    }
    if (c->s3_kms_key[0] != '\0') {
        sli_s3_header(q, "x-amz-server-side-encryption-aws-kms-key-id", sl_str_from(c->s3_kms_key));
    }
    if (c->is_s3_bucket_key) {
        sli_s3_header(q, "x-amz-server-side-encryption-bucket-key-enabled", SL_STR("true"));
    }
    if (c->s3_storage_class[0] != '\0') {
        sli_s3_header(q, "x-amz-storage-class", sl_str_from(c->s3_storage_class));
    }
    if (c->s3_tags[0] != '\0') {
        sli_s3_header(q, "x-amz-tagging", sl_str_from(c->s3_tags));
    }
}

void sli_s3_name(const struct sli_s3 *s3, struct sl_str key, struct sl_buf *out)
{
    sl_buf_add_text(out, s3->store.prefix);
    sl_buf_add_str(out, key);
}

/* ---- the URL ---- */

static void add_path(struct sl_str name, struct sl_buf *out)
{
    size_t from = 0;
    for (size_t i = 0; i <= name.len; i++) {
        if (i == name.len || name.ptr[i] == '/') {
            sl_percent_encode((struct sl_str){name.ptr + from, i - from}, out);
            sl_buf_add_text(out, i == name.len ? "" : "/");
            from = i + 1;
        }
    }
}

static void add_host(const struct sli_s3 *s3, const char *region, struct sl_buf *out)
{
    const char *endpoint = s3->store.config->s3_endpoint;
    if (strcmp(endpoint, "s3.amazonaws.com") == 0) {
        sl_buf_addf(out, "s3.%s.amazonaws.com", region);
    } else {
        sl_buf_add_text(out, endpoint);
    }
}

static void add_url(const struct sli_s3 *s3, const struct sli_s3_request *q, const char *region,
                    struct sl_buf *out)
{
    sl_buf_add_text(out, s3->store.config->is_s3_tls ? "https://" : "http://");
    if (s3->is_host_style) {
        sl_buf_addf(out, "%s.", s3->store.bucket);
    }
    add_host(s3, region, out);
    sl_buf_add_u8(out, '/');
    if (!s3->is_host_style) {
        sl_buf_add_text(out, s3->store.bucket);
    }
    if (q->key.ptr != NULL) {
        SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
        sli_s3_name(s3, q->key, &name);
        sl_buf_add_text(out, s3->is_host_style ? "" : "/");
        add_path(sl_buf_str(&name), out);
        out->is_failed |= name.is_failed;
    }
    sl_buf_addf(out, "%s%.*s", q->query.len == 0 ? "" : "?", SL_STR_ARG(q->query));
}

/* ---- one try ---- */

struct sending {
    struct sli_s3 *s3;
    struct sli_s3_request *q;
    struct sl_http_reply *reply;
    uint32_t regions;
};

uint32_t sli_s3_split_lines(struct sl_buf *lines, struct sl_http_header *ret, uint32_t max)
{
    uint32_t count = 0;
    char *at = (char *)lines->ptr, *end = at + lines->len;
    while (at < end && count < max) {
        char *colon = memchr(at, ':', (size_t)(end - at));
        char *line_end = memchr(at, '\n', (size_t)(end - at));
        *colon = '\0';
        ret[count++] = (struct sl_http_header){at, {colon + 2, (size_t)(line_end - colon - 2)}};
        at = line_end + 1;
    }
    return count;
}

static sl_rc hash_of(const struct sli_s3_request *q, struct sl_buf *out, struct sl_err *err)
{
    uint8_t sha[SL_SHA256_SIZE];
    if (q->is_body_unsigned) {
        sl_buf_add_text(out, SL_SIGN_UNSIGNED);
        return sl_buf_done(out, err);
    }
    SL_TRY(sl_sha256(q->body, sha, err));
    sl_hex_add(out, SL_BYTES(sha, sizeof(sha)));
    return sl_buf_done(out, err);
}

sl_rc sli_s3_sign(struct sli_s3 *s3, const struct sli_s3_keys *keys, const char *region,
                  const char *service, const struct sl_http_request *req, struct sl_str hash,
                  struct sl_buf *lines, struct sl_err *err)
{
    struct sl_sigv4 by = {.key_id = sl_buf_str(&keys->key_id),
                          .secret = sl_buf_str(&keys->secret),
                          .token = sl_buf_str(&keys->token),
                          .region = sl_str_from(region),
                          .service = sl_str_from(service),
                          .wall_ns = sl_clock_wall_ns(s3->store.clock)};
    return sl_sigv4_sign(&by, req->method, req->url, req->headers, req->header_count, hash, lines,
                         err);
}

static sl_rc exchange(struct sending *s, const struct sli_s3_keys *keys, const char *region,
                      struct sl_err *err)
{
    struct sli_s3_request *q = s->q;
    struct sl_http_header headers[SLI_S3_HEADERS_MAX + SLI_S3_SIGNATURE_LINES];
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) hash = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) lines = SL_BUF_EMPTY;
    add_url(s->s3, q, region, &url);
    SL_TRY(sl_buf_done(&url, err));
    SL_TRY(hash_of(q, &hash, err));
    memcpy(headers, q->headers, q->header_count * sizeof(*headers));
    struct sl_http_request request = {.method = q->method,
                                      .url = sl_buf_str(&url),
                                      .headers = headers,
                                      .header_count = q->header_count,
                                      .body = q->body,
                                      .reply_max = q->reply_max,
                                      .timeout_ns = REQUEST_MAX_NS,
                                      .cancel = q->cancel};
    SL_TRY(sli_s3_sign(s->s3, keys, region, "s3", &request, sl_buf_str(&hash), &lines, err));
    request.header_count +=
        sli_s3_split_lines(&lines, headers + q->header_count, SLI_S3_SIGNATURE_LINES);
    sl_rc rc = sl_http_exchange(s->s3->store.http, &request, s->reply, err);
    sl_wipe(lines.ptr, lines.len); /* the session token is among them */
    return rc;
}

static void follow_region(struct sending *s, const char *region)
{
    sl_mutex_lock(&s->s3->mu);
    (void)snprintf(s->s3->locked.region, sizeof(s->s3->locked.region), "%s", region);
    sl_mutex_unlock(&s->s3->mu);
    s->regions++;
}

static sl_rc judge(struct sending *s, struct sli_try *t, uint64_t keys_no, struct sl_err *err)
{
    struct sli_s3_verdict v = {0};
    sl_rc rc = sli_s3_judge(s->s3, s->q, s->reply, &v, err);
    t->is_repeatable = v.is_repeatable;
    t->wait_ns = sli_retry_after(s->reply);
    /* 4xx answers were given instead of doing it. */
    s->q->is_unclear |= v.is_repeatable && (s->reply->status >= 500 || s->reply->status < 300);
    if (v.is_elsewhere && s->regions < REGIONS_MAX) {
        follow_region(s, v.region);
        t->is_repeatable = true;
        t->wait_ns = 1;
    }
    if (v.is_refused && !t->is_refreshed) {
        sli_s3_keys_refuse(s->s3, keys_no);
        t->is_refreshed = t->is_repeatable = true;
        t->wait_ns = 1;
    }
    return rc;
}

static bool is_good(const struct sending *s)
{
    return s->reply->status >= 200 && s->reply->status < 300 &&
           !sl_str_starts(sl_str_trim(sl_buf_str(&s->reply->body)), "<Error") &&
           (s->reply->body.len == 0 || strcmp(s->q->method, "POST") != 0 ||
            memmem(s->reply->body.ptr, s->reply->body.len, "<Error>", 7) == NULL);
}

static sl_rc attempt(void *arg, struct sli_try *t, struct sl_err *err)
{
    struct sending *s = arg;
    struct sli_s3_keys keys = {0};
    uint64_t keys_no = 0;
    char region[sizeof(s->s3->locked.region)];
    sl_mutex_lock(&s->s3->mu);
    memcpy(region, s->s3->locked.region, sizeof(region));
    sl_mutex_unlock(&s->s3->mu);
    sl_rc rc = sli_s3_keys_take(s->s3, &keys, &keys_no, &t->is_repeatable, err);
    if (rc != SL_OK) {
        return rc;
    }
    rc = exchange(s, &keys, region, err);
    sli_s3_keys_fini(&keys);
    if (rc != SL_OK) {
        t->is_repeatable = rc == SL_EIO || rc == SL_ETIMEOUT || rc == SL_ENOMEM;
        s->q->is_unclear |= t->is_repeatable;
        sl_err_prefix(err, "s3://%s: %s", s->s3->store.bucket, s->q->action);
        return rc;
    }
    return is_good(s) ? SL_OK : judge(s, t, keys_no, err);
}

sl_rc sli_s3_send(struct sli_s3 *s3, struct sli_s3_request *q, struct sl_http_reply *reply,
                  struct sl_err *err)
{
    struct sending s = {.s3 = s3, .q = q, .reply = reply};
    int64_t deadline = q->deadline_ns != 0 ? q->deadline_ns : s3->store.deadline_ns;
    if (s3->store.config->is_s3_requester_pays) {
        sli_s3_header(q, "x-amz-request-payer", SL_STR("requester"));
    }
    return sli_retry_for(&s3->store, deadline, q->cancel, attempt, &s, err);
}
