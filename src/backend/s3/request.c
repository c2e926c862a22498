/* Requests: an address, a signature, an answer judged.
 *
 * Every try builds its request anew, since date, keys and region may have changed. A server that
 * says where the bucket is gets the same request again, signed for that region; only a region's
 * name is taken from it, never an address, so bytes go to hosts of the endpoint the user chose.
 * Bodies: their hash is signed, too, where nothing else vouches for them on the way, that is
 * without TLS or without a checksum; inside TLS a large body has its signed CRC-32C, which costs a
 * tenth of a SHA-256. */
#include "backend/s3/s3_int.h"

#include "backend/sign/sign.h"
#include "base/crypto.h"

#define HOPS_MAX     3            /* regions in a row, or a renewal of keys between */
#define UNSIGNED_MIN (64u * 1024) /* smaller bodies are hashed in no time */
#define AWS_HOST     "amazonaws.com"
#define NO_REGION    "us-east-1" /* whose endpoint tells where any bucket is */

/* ---- addresses ---- */

bool sli_s3_is_region(struct sl_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return text.len > 0 && text.len < SLI_S3_REGION_SIZE;
}

void sli_s3_region_set(struct sli_s3 *s3, struct sl_str region)
{
    sl_assert(sli_s3_is_region(region));
    sl_mutex_lock(&s3->mu);
    memcpy(s3->locked.region, region.ptr, region.len);
    s3->locked.region[region.len] = '\0';
    sl_mutex_unlock(&s3->mu);
}

void sli_s3_region(struct sli_s3 *s3, char ret[SLI_S3_REGION_SIZE])
{
    sl_mutex_lock(&s3->mu);
    memcpy(ret, s3->locked.region, SLI_S3_REGION_SIZE);
    sl_mutex_unlock(&s3->mu);
    if (ret[0] == '\0') {
        memcpy(ret, NO_REGION, sizeof(NO_REGION));
    }
}

/* "s3.amazonaws.com", "s3.eu-west-1.amazonaws.com": its host follows the region. Others of Amazon
 * (VPC endpoints, access points) stay as they are. */
static bool is_aws_host(struct sl_str host, struct sl_str *ret_region)
{
    static const char *const ends[] = {"." AWS_HOST, "." AWS_HOST ".cn"};
    *ret_region = (struct sl_str){NULL, 0};
    for (size_t i = 0; i < SL_COUNT_OF(ends); i++) {
        if (sl_str_starts(host, "s3.") && sl_str_ends(host, ends[i])) {
            size_t from = strlen("s3."), to = host.len - strlen(ends[i]);
            if (to + 1 == from) {
                return true; /* "s3" + ".amazonaws.com" */
            }
            *ret_region = (struct sl_str){host.ptr + from, to - from};
            return to > from && sli_s3_is_region(*ret_region);
        }
    }
    return false;
}

/* Do its servers take the bucket as a part of the host's name? */
static bool is_virtual_host(struct sl_str host)
{
    static const char *const ends[] = {"." AWS_HOST, "." AWS_HOST ".cn", ".aliyuncs.com",
                                       "storage.googleapis.com"};
    for (size_t i = 0; i < SL_COUNT_OF(ends); i++) {
        if (sl_str_ends(host, ends[i])) {
            return true;
        }
    }
    return false;
}

static sl_rc check_endpoint(struct sl_str host, struct sl_err *err)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        if (c <= ' ' || c == '/' || c == '@' || c == '?' || c == '#' || c == '\\') {
            return SL_FAIL(err, SL_EINVAL,
                           "BACKUP_S3_ENDPOINT \"%.*s\": host or host:port is needed, without "
                           "http:// and path; BACKUP_S3_USE_SSL chooses between http and https",
                           SL_STR_ARG(host));
        }
    }
    return SL_OK;
}

/* As the reference reads it: all but "false", in any case, is true. */
static bool is_false(struct sl_str text)
{
    static const char word[] = "false";
    bool is_same = text.len == sizeof(word) - 1;
    for (size_t i = 0; is_same && i < text.len; i++) {
        is_same = (text.ptr[i] | 0x20) == word[i];
    }
    return is_same;
}

sl_rc sli_s3_address_init(struct sli_s3 *s3, struct sl_err *err)
{
    const struct sl_config *c = s3->store.config;
    struct sl_str host = sl_str_trim(sl_str_from(c->s3_endpoint));
    struct sl_str of_host, bucket = sl_str_from(s3->store.bucket);
    enum { STYLE_AUTO, STYLE_PATH, STYLE_VIRTUAL }; /* as the option's words */
    SL_TRY(check_endpoint(host, err));
    sl_buf_add_str(&s3->host, host.len == 0 ? SL_STR("s3." AWS_HOST) : host);
    SL_TRY(sl_buf_done(&s3->host, err));
    host = sl_buf_str(&s3->host);
    s3->is_tls = !is_false(sl_str_from(c->s3_use_ssl));
    s3->is_aws = is_aws_host(host, &of_host);
    bool has_dot = memchr(bucket.ptr, '.', bucket.len) != NULL; /* no certificate covers that */
    s3->is_virtual = c->s3_style == STYLE_VIRTUAL ||
                     (c->s3_style == STYLE_AUTO && is_virtual_host(host) && !has_dot);
    struct sl_str region = sl_str_from(c->aws_region);
    region = region.len > 0 ? region : sl_str_from(c->aws_default_region);
    region = region.len > 0 ? region : of_host;
    if (region.len > 0 && !sli_s3_is_region(region)) {
        return SL_FAIL(err, SL_EINVAL, "AWS_REGION \"%.*s\" is no name of a region",
                       (int)SL_MIN(region.len, 80u), region.ptr);
    }
    if (region.len > 0) {
        sli_s3_region_set(s3, region);
    }
    return SL_OK;
}

void sli_s3_url_add(const struct sli_s3 *s3, const char *region, struct sl_str key,
                    const char *query, struct sl_buf *out)
{
    sl_buf_add_text(out, s3->is_tls ? "https://" : "http://");
    if (s3->is_virtual) {
        sl_buf_addf(out, "%s.", s3->store.bucket);
    }
    if (s3->is_aws) {
        sl_buf_addf(out, "s3.%s." AWS_HOST "%s", region,
                    strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
    } else {
        sl_buf_add_str(out, sl_buf_str(&s3->host));
    }
    sl_buf_add_u8(out, '/');
    if (!s3->is_virtual) {
        sl_percent_encode(sl_str_from(s3->store.bucket), out);
        sl_buf_add_text(out, key.ptr == NULL ? "" : "/");
    }
    if (key.ptr != NULL) {
        sli_path_add(out, sl_str_from(s3->store.prefix));
        sli_path_add(out, key);
    }
    if (query != NULL) {
        sl_buf_addf(out, "?%s", query);
    }
}

/* ---- one exchange ---- */

struct attempt {
    struct sli_s3 *s3;
    struct sli_s3_call *call;
    struct sl_http_reply *reply;
    struct sl_buf hash; /* of the body, hex; made at the first try */
    struct sli_s3_fault fault;
};

struct request {
    struct sl_buf url, lines; /* lines: what the signature adds */
    struct sl_http_header headers[SLI_S3_HEADERS_MAX + 4];
    uint32_t header_count;
};

static void request_fini(struct request *r)
{
    sl_buf_fini(&r->url);
    sl_wipe(r->lines.ptr, r->lines.len);
    sl_buf_fini(&r->lines);
}

static bool is_body_hashed(const struct attempt *a)
{
    const struct sli_s3 *s3 = a->s3;
    return !s3->is_tls || a->call->body.len < UNSIGNED_MIN || atomic_load(&s3->has_no_checksums) ||
           atomic_load(&s3->is_checksum_ignored);
}

static sl_rc payload_hash(struct attempt *a, struct sl_str *ret, struct sl_err *err)
{
    uint8_t digest[SL_SHA256_SIZE];
    if (!is_body_hashed(a)) {
        *ret = SL_STR(SL_SIGN_UNSIGNED);
        return SL_OK;
    }
    if (a->hash.len == 0) {
        SL_TRY(sl_sha256(a->call->body, digest, err));
        sl_hex_add(&a->hash, SL_BYTES(digest, sizeof digest));
        SL_TRY(sl_buf_done(&a->hash, err));
    }
    *ret = sl_buf_str(&a->hash);
    return SL_OK;
}

/* "name: value\n" lines as headers. The names are cut out of `lines` by a NUL for the colon. */
static void add_lines(struct request *r)
{
    char *at = (char *)r->lines.ptr, *end = at + r->lines.len;
    while (at < end) {
        char *colon = memchr(at, ':', (size_t)(end - at));
        char *stop = memchr(at, '\n', (size_t)(end - at));
        sl_assert(colon != NULL && stop != NULL && colon + 2 <= stop);
        sl_assert(r->header_count < SL_COUNT_OF(r->headers));
        *colon = '\0';
        r->headers[r->header_count++] =
            (struct sl_http_header){at, {colon + 2, (size_t)(stop - colon) - 2}};
        at = stop + 1;
    }
}

static sl_rc build(struct attempt *a, const struct sli_s3_keys *keys, const char *region,
                   struct request *r, struct sl_err *err)
{
    const struct sli_s3_call *call = a->call;
    struct sl_str hash;
    sli_s3_url_add(a->s3, region, call->key, call->query, &r->url);
    SL_TRY(sl_buf_done(&r->url, err));
    SL_TRY(payload_hash(a, &hash, err));
    for (uint32_t i = 0; i < call->header_count; i++) {
        r->headers[r->header_count++] = call->headers[i];
    }
    struct sl_sigv4 sig = {.key_id = sl_buf_str(&keys->id),
                           .secret = sl_buf_str(&keys->secret),
                           .token = sl_buf_str(&keys->token),
                           .region = sl_str_from(region),
                           .service = SL_STR("s3"),
                           .wall_ns = sl_clock_wall_ns(a->s3->store.clock)};
    SL_TRY(sl_sigv4_sign(&sig, call->method, sl_buf_str(&r->url), r->headers, r->header_count, hash,
                         &r->lines, err));
    add_lines(r);
    return SL_OK;
}

static sl_rc exchange(struct attempt *a, const struct sli_s3_keys *keys, const char *region,
                      struct sli_try *t, struct sl_err *err)
{
    struct sli_s3_call *call = a->call;
    struct request r = {.header_count = 0};
    size_t reply_max = call->reply_max == 0 ? SLI_S3_REPLY_MAX : call->reply_max;
    sl_rc rc = build(a, keys, region, &r, err);
    if (rc == SL_OK) {
        struct sl_http_request req = {.method = call->method,
                                      .url = sl_buf_str(&r.url),
                                      .headers = r.headers,
                                      .header_count = r.header_count,
                                      .body = call->body,
                                      .reply_max = SL_MAX(reply_max, SLI_S3_REPLY_MAX),
                                      .timeout_ns = t->limit_ns,
                                      .cancel = call->cancel};
        rc = sl_http_exchange(a->s3->store.http, &req, a->reply, err);
        t->is_repeatable = rc == SL_EIO || rc == SL_ETIMEOUT;
        /* Also when it was canceled or its answer could not be kept; never sent: EACCESS. */
        call->is_unclear = call->is_unclear || (rc != SL_OK && rc != SL_EACCESS);
        if (rc != SL_OK && rc != SL_ECANCELED) {
            sl_err_prefix(err, "%s on s3://%s/%s%.*s", call->action, a->s3->store.bucket,
                          a->s3->store.prefix, SL_STR_ARG(call->key));
        }
    }
    request_fini(&r);
    return rc;
}

/* ---- one try ---- */

/* Is the answer that the bucket is elsewhere? Then its region is ours from now on. */
static bool follow(struct attempt *a, const char *region)
{
    struct sl_str told = sl_str_from(a->fault.region);
    bool is_refusal = a->reply->status == 301 || a->reply->status == 307 ||
                      a->reply->status == 400 || a->reply->status == 403;
    if (!is_refusal || told.len == 0 || sl_str_is(told, region)) {
        return false;
    }
    sli_s3_region_set(a->s3, told);
    return true;
}

static void remember(struct attempt *a)
{
    struct sli_s3_call *call = a->call;
    call->status = a->reply->status;
    memcpy(call->code, a->fault.code, sizeof call->code);
    call->is_checksum_named = strstr(a->fault.message, "checksum") != NULL ||
                              strstr(a->fault.message, "Checksum") != NULL;
}

static sl_rc check(struct attempt *a, struct sli_try *t, struct sl_err *err)
{
    sl_rc rc = a->call->check == NULL ? SL_OK : a->call->check(a->call, a->reply, err);
    t->is_repeatable = sli_try_misfit(t, rc);
    return rc;
}

/* One exchange with one set of keys; *ret_is_again: at once, the cause is mended. */
static sl_rc try_with(struct attempt *a, const struct sli_s3_keys *keys, uint32_t hop,
                      struct sli_try *t, bool *ret_is_again, struct sl_err *err)
{
    char region[SLI_S3_REGION_SIZE];
    sli_s3_region(a->s3, region);
    a->call->status = 0;
    a->call->code[0] = '\0';
    SL_TRY(exchange(a, keys, region, t, err));
    SL_TRY(sli_s3_fault_read(a->reply, &a->fault, err));
    remember(a);
    if (follow(a, region)) {
        *ret_is_again = hop + 1 < HOPS_MAX;
        return *ret_is_again
                   ? SL_OK
                   : SL_FAIL(err, SL_EINVAL,
                             "bucket %s: the store sends us from region to region, from %s to %s "
                             "at last; set AWS_REGION to the bucket's",
                             a->s3->store.bucket, region, a->fault.region);
    }
    if (!t->is_refreshed && sli_s3_is_key_refused(a->call, &a->fault)) {
        sli_s3_keys_refuse(a->s3, keys->no);
        t->is_refreshed = *ret_is_again = true;
        return SL_OK;
    }
    sl_rc rc = sli_s3_judge(a->s3, a->call, a->reply, &a->fault, keys->source, t, err);
    if (rc == SL_OK) {
        rc = check(a, t, err);
    }
    a->call->is_unclear = a->call->is_unclear || t->is_repeatable;
    return rc;
}

static sl_rc try_once(void *arg, struct sli_try *t, struct sl_err *err)
{
    struct attempt *a = arg;
    for (uint32_t hop = 0;; hop++) {
        struct sli_s3_keys *keys = NULL;
        bool is_again = false;
        SL_TRY(sli_s3_keys_take(a->s3, a->call->cancel, &keys, &t->is_repeatable, err));
        sl_rc rc = try_with(a, keys, hop, t, &is_again, err);
        sli_s3_keys_give(a->s3, keys);
        if (!is_again) {
            return rc;
        }
    }
}

sl_rc sli_s3_request(struct sli_s3 *s3, struct sli_s3_call *call, struct sl_http_reply *reply,
                     struct sl_err *err)
{
    sl_assert(call->header_count <= SLI_S3_HEADERS_MAX);
    call->cancel = sli_cancel_of(&s3->store, call->cancel, call->deadline_ns);
    struct attempt a = {.s3 = s3, .call = call, .reply = reply};
    sl_rc rc = sli_retry_for(&s3->store, call->deadline_ns, call->cancel, try_once, &a, err);
    sl_buf_fini(&a.hash);
    return rc;
}
