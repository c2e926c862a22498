/* AWS Signature Version 4: a canonical request, its hash in a string with date and scope, the HMAC
 * of it by a key derived from the secret. Source: the IAM user guide, "AWS Signature Version 4 for
 * API requests". */
#include <stdlib.h>
#include <time.h>

#include "backend/sign/sign_int.h"
#include "base/arena.h"
#include "base/crypto.h"
#include "base/str.h"

#define ALGORITHM   "AWS4-HMAC-SHA256"
#define HEADERS_MAX 32
#define QUERY_MAX   32
#define TIME_SIZE   17 /* "20130524T000000Z" */
#define DATE_LEN    8

struct signing {
    const struct sl_sigv4 *in;
    struct sl_arena arena;
    struct sli_pair headers[HEADERS_MAX + 4];
    uint32_t header_count;
    char time[TIME_SIZE];
    struct sl_buf own;   /* headers to send besides, as they are given out */
    struct sl_buf scope; /* "20130524/us-east-1/s3/aws4_request" */
    struct sl_buf signed_names;
};

static sl_rc add(struct signing *s, const char *name, struct sl_str value, struct sl_err *err)
{
    SL_AUTO(sl_buf) lower = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) trimmed = SL_BUF_EMPTY;
    if (s->header_count == SL_COUNT_OF(s->headers)) {
        return SL_FAIL(err, SL_EINTERNAL, "a request with more than %d headers", HEADERS_MAX);
    }
    sli_lower(sl_str_from(name), &lower);
    value = sl_str_trim(value);
    for (size_t i = 0; i < value.len; i++) { /* runs of blanks count as one */
        if (value.ptr[i] != ' ' || value.ptr[i - 1] != ' ') {
            sl_buf_add_u8(&trimmed, (uint8_t)value.ptr[i]);
        }
    }
    SL_TRY(sl_buf_done(&lower, err));
    SL_TRY(sl_buf_done(&trimmed, err));
    struct sli_pair p = {sl_arena_str(&s->arena, sl_buf_str(&lower)),
                         sl_arena_str(&s->arena, sl_buf_str(&trimmed))};
    if (p.name.ptr == NULL || p.value.ptr == NULL) {
        return SL_NOMEM(err);
    }
    s->headers[s->header_count++] = p;
    return SL_OK;
}

/* One that is sent besides. */
static sl_rc add_own(struct signing *s, const char *name, struct sl_str value, struct sl_err *err)
{
    sl_buf_addf(&s->own, "%s: %.*s\n", name, SL_STR_ARG(value));
    return add(s, name, value, err);
}

static sl_rc gather(struct signing *s, const struct sli_url *url,
                    const struct sl_http_header *headers, uint32_t count, struct sl_str hash,
                    struct sl_err *err)
{
    SL_TRY(add(s, "host", url->host, err));
    for (uint32_t i = 0; i < count; i++) {
        SL_TRY(add(s, headers[i].name, headers[i].value, err));
    }
    SL_TRY(add_own(s, "x-amz-date", sl_str_from(s->time), err));
    if (sl_str_is(s->in->service, "s3")) {
        SL_TRY(add_own(s, "x-amz-content-sha256", hash, err));
    }
    if (s->in->token.len > 0) {
        SL_TRY(add_own(s, "x-amz-security-token", s->in->token, err));
    }
    sli_pairs_sort(s->headers, s->header_count);
    return SL_OK;
}

static sl_rc add_query(struct sl_str query, struct sl_buf *out, struct sl_err *err)
{
    struct sli_pair pairs[QUERY_MAX];
    uint32_t count = 0;
    SL_TRY(sli_query_split(query, pairs, QUERY_MAX, &count, err));
    sli_pairs_sort(pairs, count);
    for (uint32_t i = 0; i < count; i++) {
        sl_buf_addf(out, "%s%.*s=%.*s", i == 0 ? "" : "&", SL_STR_ARG(pairs[i].name),
                    SL_STR_ARG(pairs[i].value));
    }
    return SL_OK;
}

static void add_canonical_headers(struct signing *s, struct sl_buf *out)
{
    for (uint32_t i = 0; i < s->header_count; i++) {
        const struct sli_pair *p = &s->headers[i];
        if (i > 0 && sl_str_eq(p->name, p[-1].name)) { /* one line of all its values */
            out->len--;
            sl_buf_addf(out, ",%.*s\n", SL_STR_ARG(p->value));
            continue;
        }
        sl_buf_addf(out, "%.*s:%.*s\n", SL_STR_ARG(p->name), SL_STR_ARG(p->value));
        sl_buf_addf(&s->signed_names, "%s%.*s", i == 0 ? "" : ";", SL_STR_ARG(p->name));
    }
}

static sl_rc canonical_request(struct signing *s, const char *method, const struct sli_url *url,
                               struct sl_str hash, struct sl_buf *out, struct sl_err *err)
{
    sl_buf_addf(out, "%s\n%.*s\n", method, SL_STR_ARG(url->path));
    SL_TRY(add_query(url->query, out, err));
    sl_buf_add_u8(out, '\n');
    add_canonical_headers(s, out);
    sl_buf_addf(out, "\n%.*s\n%.*s", SL_STR_ARG(sl_buf_str(&s->signed_names)), SL_STR_ARG(hash));
    return sl_buf_done(out, err);
}

static sl_rc hmac_step(uint8_t key[SL_SHA256_SIZE], struct sl_str text, struct sl_err *err)
{
    uint8_t next[SL_SHA256_SIZE];
    SL_TRY(sl_hmac_sha256(SL_BYTES(key, SL_SHA256_SIZE), sl_str_bytes(text), next, err));
    memcpy(key, next, sizeof(next));
    return SL_OK;
}

static sl_rc signature(const struct signing *s, struct sl_str to_sign, struct sl_buf *out,
                       struct sl_err *err)
{
    SL_AUTO(sl_buf) secret = SL_BUF_EMPTY;
    uint8_t key[SL_SHA256_SIZE];
    struct sl_str date = {s->time, DATE_LEN};
    sl_buf_addf(&secret, "AWS4%.*s", SL_STR_ARG(s->in->secret));
    SL_TRY(sl_buf_done(&secret, err));
    sl_rc rc = sl_hmac_sha256(sl_buf_view(&secret), sl_str_bytes(date), key, err);
    sl_wipe(secret.ptr, secret.len);
    SL_TRY(rc);
    SL_TRY(hmac_step(key, s->in->region, err));
    SL_TRY(hmac_step(key, s->in->service, err));
    SL_TRY(hmac_step(key, SL_STR("aws4_request"), err));
    SL_TRY(hmac_step(key, to_sign, err));
    sl_hex_add(out, SL_BYTES(key, sizeof(key)));
    return SL_OK;
}

static sl_rc add_authorization(struct signing *s, struct sl_str request, struct sl_buf *out,
                               struct sl_err *err)
{
    SL_AUTO(sl_buf) to_sign = SL_BUF_EMPTY;
    uint8_t hash[SL_SHA256_SIZE];
    SL_TRY(sl_sha256(sl_str_bytes(request), hash, err));
    sl_buf_addf(&s->scope, "%.*s/%.*s/%.*s/aws4_request", DATE_LEN, s->time,
                SL_STR_ARG(s->in->region), SL_STR_ARG(s->in->service));
    sl_buf_addf(&to_sign, ALGORITHM "\n%s\n%.*s\n", s->time, SL_STR_ARG(sl_buf_str(&s->scope)));
    sl_hex_add(&to_sign, SL_BYTES(hash, sizeof(hash)));
    SL_TRY(sl_buf_done(&to_sign, err));
    sl_buf_add_str(out, sl_buf_str(&s->own));
    sl_buf_addf(out,
                "authorization: " ALGORITHM " Credential=%.*s/%.*s, SignedHeaders=%.*s, "
                "Signature=",
                SL_STR_ARG(s->in->key_id), SL_STR_ARG(sl_buf_str(&s->scope)),
                SL_STR_ARG(sl_buf_str(&s->signed_names)));
    SL_TRY(signature(s, sl_buf_str(&to_sign), out, err));
    sl_buf_add_u8(out, '\n');
    return sl_buf_done(out, err);
}

static void set_time(struct signing *s)
{
    time_t seconds = (time_t)(s->in->wall_ns / 1000000000);
    struct tm tm;
    (void)gmtime_r(&seconds, &tm);
    (void)strftime(s->time, sizeof(s->time), "%Y%m%dT%H%M%SZ", &tm);
}

sl_rc sl_sigv4_sign(const struct sl_sigv4 *in, const char *method, struct sl_str url,
                    const struct sl_http_header *headers, uint32_t header_count,
                    struct sl_str payload_hash, struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_buf) request = SL_BUF_EMPTY;
    struct signing s = {.in = in};
    struct sli_url parts = sli_url_split(url);
    set_time(&s);
    sl_rc rc = gather(&s, &parts, headers, header_count, payload_hash, err);
    if (rc == SL_OK) {
        rc = canonical_request(&s, method, &parts, payload_hash, &request, err);
    }
    if (rc == SL_OK) {
        rc = add_authorization(&s, sl_buf_str(&request), out, err);
    }
    sl_arena_fini(&s.arena);
    sl_buf_fini(&s.own);
    sl_buf_fini(&s.scope);
    sl_buf_fini(&s.signed_names);
    return rc;
}
