/* Azure's Shared Key: verb, standard headers, x-ms headers and the resource in lines, their HMAC by
 * the account's key. Source: "Authorize with Shared Key", version 2015-02-21 and later. */
#include "backend/sign/sign_int.h"
#include "base/arena.h"
#include "base/crypto.h"
#include "base/str.h"

#define HEADERS_MAX 32
#define QUERY_MAX   16

/* In the order of the lines; x-ms-date stands for Date. */
static const char *const standard[] = {
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
};

struct signing {
    struct sl_arena arena;
    struct sli_pair headers[HEADERS_MAX]; /* lower case, sorted */
    uint32_t header_count;
};

static sl_rc lower_of(struct sl_arena *arena, struct sl_str text, struct sl_str *ret,
                      struct sl_err *err)
{
    SL_AUTO(sl_buf) lower = SL_BUF_EMPTY;
    sli_lower(text, &lower);
    SL_TRY(sl_buf_done(&lower, err));
    *ret = sl_arena_str(arena, sl_buf_str(&lower));
    return ret->ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

static sl_rc gather(struct signing *s, const struct sl_http_header *headers, uint32_t count,
                    struct sl_err *err)
{
    if (count > HEADERS_MAX) {
        return SL_FAIL(err, SL_EINTERNAL, "a request with more than %d headers", HEADERS_MAX);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct sli_pair *p = &s->headers[s->header_count++];
        p->value = sl_str_trim(headers[i].value);
        SL_TRY(lower_of(&s->arena, sl_str_from(headers[i].name), &p->name, err));
    }
    sli_pairs_sort(s->headers, s->header_count);
    return SL_OK;
}

static void add_standard(const struct signing *s, uint64_t content_length, struct sl_buf *out)
{
    for (size_t k = 0; k < SL_COUNT_OF(standard); k++) {
        if (strcmp(standard[k], "content-length") == 0 && content_length > 0) {
            sl_buf_addf(out, "%llu", (unsigned long long)content_length);
        }
        for (uint32_t i = 0; i < s->header_count; i++) {
            if (sl_str_is(s->headers[i].name, standard[k])) {
                sl_buf_add_str(out, s->headers[i].value);
            }
        }
        sl_buf_add_u8(out, '\n');
    }
}

static void add_ms_headers(const struct signing *s, struct sl_buf *out)
{
    for (uint32_t i = 0; i < s->header_count; i++) {
        if (sl_str_starts(s->headers[i].name, "x-ms-")) {
            sl_buf_addf(out, "%.*s:%.*s\n", SL_STR_ARG(s->headers[i].name),
                        SL_STR_ARG(s->headers[i].value));
        }
    }
}

/* Parameters count decoded, with names in lower case, several values of one name in one line. */
static sl_rc add_query(struct signing *s, struct sl_str query, struct sl_buf *out,
                       struct sl_err *err)
{
    struct sli_pair pairs[QUERY_MAX];
    uint32_t count = 0;
    SL_TRY(sli_query_split(query, pairs, QUERY_MAX, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
        (void)sl_percent_decode(pairs[i].value, &value);
        SL_TRY(sl_buf_done(&value, err));
        SL_TRY(lower_of(&s->arena, pairs[i].name, &pairs[i].name, err));
        pairs[i].value = sl_arena_str(&s->arena, sl_buf_str(&value));
        if (pairs[i].value.ptr == NULL) {
            return SL_NOMEM(err);
        }
    }
    sli_pairs_sort(pairs, count);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && sl_str_eq(pairs[i].name, pairs[i - 1].name)) {
            sl_buf_addf(out, ",%.*s", SL_STR_ARG(pairs[i].value));
        } else {
            sl_buf_addf(out, "\n%.*s:%.*s", SL_STR_ARG(pairs[i].name), SL_STR_ARG(pairs[i].value));
        }
    }
    return SL_OK;
}

static sl_rc string_to_sign(struct signing *s, struct sl_str account, const char *method,
                            struct sl_str url, uint64_t content_length, struct sl_buf *out,
                            struct sl_err *err)
{
    struct sli_url parts = sli_url_split(url);
    sl_buf_addf(out, "%s\n", method);
    add_standard(s, content_length, out);
    add_ms_headers(s, out);
    sl_buf_addf(out, "/%.*s%.*s", SL_STR_ARG(account), SL_STR_ARG(parts.path));
    SL_TRY(add_query(s, parts.query, out, err));
    return sl_buf_done(out, err);
}

sl_rc sl_sharedkey_sign(struct sl_str account, struct sl_bytes account_key, const char *method,
                        struct sl_str url, const struct sl_http_header *headers,
                        uint32_t header_count, uint64_t content_length, struct sl_buf *out,
                        struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    uint8_t mac[SL_SHA256_SIZE];
    struct signing s = {0};
    sl_rc rc = gather(&s, headers, header_count, err);
    if (rc == SL_OK) {
        rc = string_to_sign(&s, account, method, url, content_length, &text, err);
    }
    sl_arena_fini(&s.arena);
    SL_TRY(rc);
    SL_TRY(sl_hmac_sha256(account_key, sl_buf_view(&text), mac, err));
    sl_buf_addf(out, "SharedKey %.*s:", SL_STR_ARG(account));
    sl_base64_add(out, SL_BYTES(mac, sizeof(mac)));
    return sl_buf_done(out, err);
}
