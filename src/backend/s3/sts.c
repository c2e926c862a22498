/* Roles: STS gives keys of a role for keys or for a token that vouch for us. Source: the STS API
 * reference. */
#include "backend/s3/keys_int.h"

#include "backend/sign/sign.h"
#include "base/crypto.h"

#define LIFE_S "3600" /* the most that a chained role may have */

struct sts {
    struct sl_buf id, secret, token, end, code;
};

static void sts_fini(struct sts *t)
{
    struct sl_buf *const texts[] = {&t->id, &t->secret, &t->token, &t->end, &t->code};
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        sl_wipe(texts[i]->ptr, texts[i]->len);
        sl_buf_fini(texts[i]);
    }
}

static sl_rc on_sts(void *arg, struct sl_str path, struct sl_str text, struct sl_err *err)
{
    struct sts *t = arg;
    struct {
        const char *end;
        struct sl_buf *to;
    } const rows[] = {{"/Credentials/AccessKeyId", &t->id},
                      {"/Credentials/SecretAccessKey", &t->secret},
                      {"/Credentials/SessionToken", &t->token},
                      {"/Credentials/Expiration", &t->end},
                      {"/Error/Code", &t->code}};
    for (size_t i = 0; i < SL_COUNT_OF(rows); i++) {
        if (sl_str_ends(path, rows[i].end)) {
            sli_s3_secret_set(rows[i].to, text);
            SL_TRY(sl_buf_done(rows[i].to, err));
        }
    }
    return SL_OK;
}

static void sts_url(struct sli_s3_search *s, const struct sli_s3_role *r, const char *region,
                    struct sl_buf *out)
{
    const char *endpoint = sli_s3_one_of(r->endpoint, s->config->aws_sts_url);
    if (endpoint[0] != '\0') {
        sl_buf_add_text(out, endpoint);
    } else {
        sl_buf_addf(out, "https://sts.%s.amazonaws.com%s", region,
                    strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
    }
    if (out->len > 0 && out->ptr[out->len - 1] != '/') {
        sl_buf_add_u8(out, '/');
    }
}

static void form_add(struct sl_buf *out, const char *name, struct sl_str value)
{
    if (value.len > 0) {
        sli_form_add(out, name, value);
    }
}

/* "name: value\n" lines of the signature as headers; the values are views of `lines`. */
static uint32_t split_headers(struct sl_str lines, struct sl_http_header *rows, uint32_t max)
{
    static const char *const names[] = {"x-amz-date", "x-amz-content-sha256",
                                        "x-amz-security-token", "authorization"};
    uint32_t count = 0;
    while (lines.len > 0 && count < max) {
        const char *end = memchr(lines.ptr, '\n', lines.len);
        size_t len = end == NULL ? lines.len : (size_t)(end - lines.ptr);
        for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
            size_t skip = strlen(names[i]) + 2;
            if (sl_str_starts((struct sl_str){lines.ptr, len}, names[i]) && len >= skip) {
                rows[count++] = (struct sl_http_header){names[i], {lines.ptr + skip, len - skip}};
                break;
            }
        }
        size_t step = SL_MIN(len + 1, lines.len);
        lines = (struct sl_str){lines.ptr + step, lines.len - step};
    }
    return count;
}

static sl_rc sign_sts(struct sli_s3_search *s, const struct sli_s3_role *r, const char *region,
                      struct sl_str url, struct sl_str form, const struct sl_http_header *headers,
                      uint32_t count, struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_buf) hash = SL_BUF_EMPTY;
    uint8_t digest[SL_SHA256_SIZE];
    SL_TRY(sl_sha256(sl_str_bytes(form), digest, err));
    sl_hex_add(&hash, SL_BYTES(digest, sizeof digest));
    SL_TRY(sl_buf_done(&hash, err));
    struct sl_sigv4 sig = {.key_id = sl_buf_str(&r->base->id),
                           .secret = sl_buf_str(&r->base->secret),
                           .token = sl_buf_str(&r->base->token),
                           .region = sl_str_from(region),
                           .service = SL_STR("sts"),
                           .wall_ns = sl_clock_wall_ns(s->s3->store.clock)};
    return sl_sigv4_sign(&sig, "POST", url, headers, count, sl_buf_str(&hash), out, err);
}

static sl_rc sts_refused(const struct sli_s3_role *r, const struct sl_http_reply *reply,
                         const struct sts *t, struct sl_err *err)
{
    const char *hint = "check the role and its trust policy";
    struct sl_str code = sl_buf_str(&t->code);
    if (sl_str_is(code, "AccessDenied")) {
        hint = "let the role's trust policy admit who asks";
    } else if (sl_str_is(code, "ExpiredTokenException") || sl_str_is(code, "ExpiredToken")) {
        hint = "the token that vouches for us has expired";
    } else if (sl_str_is(code, "InvalidIdentityToken") ||
               sl_str_is(code, "InvalidParameterValue")) {
        hint = "the issuer or audience of the token is not what the role's identity provider asks";
    } else if (sl_str_is(code, "SignatureDoesNotMatch") ||
               sl_str_is(code, "InvalidClientTokenId")) {
        hint = "the keys that ask for the role are not accepted";
    }
    return SL_FAIL(err, reply->status >= 500 ? SL_EIO : SL_EACCESS,
                   "%s: STS refuses %s (%d%s%.*s); %s", r->arn_variable, r->action, reply->status,
                   code.len > 0 ? " " : "", (int)SL_MIN(code.len, 80u), code.ptr, hint);
}

static sl_rc sts_answer(struct sli_s3_search *s, const struct sli_s3_role *r,
                        const struct sl_http_reply *reply, struct sli_s3_keys *ret,
                        struct sl_err *err)
{
    struct sts t = {.code = SL_BUF_EMPTY};
    sl_rc rc = sl_xml_read(sl_buf_view(&reply->body), on_sts, &t, err);
    if (rc != SL_ENOMEM && reply->status != 200) {
        rc = sts_refused(r, reply, &t, err);
    } else if (rc == SL_OK) {
        rc = sli_s3_keys_set(s, ret, sl_buf_str(&t.id), sl_buf_str(&t.secret), sl_buf_str(&t.token),
                             sl_buf_str(&t.end), r->source, err);
    } else if (rc != SL_ENOMEM) {
        sl_err_prefix(err, "%s: the answer of STS", r->arn_variable);
        rc = SL_EIO;
    }
    sts_fini(&t);
    return rc;
}

static sl_rc post_sts(struct sli_s3_search *s, const struct sli_s3_role *r, struct sl_str url,
                      struct sl_str form, struct sl_str signature, struct sli_s3_keys *ret,
                      struct sl_err *err)
{
    __attribute__((cleanup(sl_http_reply_fini))) struct sl_http_reply reply = {0};
    struct sl_http_header headers[6] = {
        {"content-type", SL_STR("application/x-www-form-urlencoded; charset=utf-8")}};
    uint32_t count = 1 + split_headers(signature, headers + 1, SL_COUNT_OF(headers) - 1);
    struct sl_http_request req = {.method = "POST",
                                  .url = url,
                                  .headers = headers,
                                  .header_count = count,
                                  .body = sl_str_bytes(form)};
    SL_TRY(sli_s3_keys_ask(s, &req, &reply, r->arn_variable, err));
    sl_rc rc = sts_answer(s, r, &reply, ret, err);
    sl_wipe(reply.body.ptr, reply.body.len);
    return rc;
}

sl_rc sli_s3_assume(struct sli_s3_search *s, const struct sli_s3_role *r, struct sli_s3_keys *ret,
                    struct sl_err *err)
{
    SL_AUTO(sl_buf) url = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) form = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) signature = SL_BUF_EMPTY;
    char region[SLI_S3_REGION_SIZE];
    const struct sl_http_header type = {"content-type",
                                        SL_STR("application/x-www-form-urlencoded; charset=utf-8")};
    sli_s3_region(s->s3, region);
    sts_url(s, r, region, &url);
    sl_buf_addf(&form, "Action=%s&Version=2011-06-15&DurationSeconds=" LIFE_S, r->action);
    form_add(&form, "RoleArn", r->arn);
    form_add(&form, "RoleSessionName", r->session);
    form_add(&form, "ExternalId", r->external_id);
    form_add(&form, "WebIdentityToken", r->web_token);
    SL_TRY(sl_buf_done(&url, err));
    SL_TRY(sl_buf_done(&form, err));
    sl_rc rc = SL_OK;
    if (r->base != NULL) {
        rc = sign_sts(s, r, region, sl_buf_str(&url), sl_buf_str(&form), &type, 1, &signature, err);
    }
    if (rc == SL_OK) {
        rc = post_sts(s, r, sl_buf_str(&url), sl_buf_str(&form), sl_buf_str(&signature), ret, err);
    }
    sl_wipe(form.ptr, form.len);
    sl_wipe(signature.ptr, signature.len);
    return rc;
}

sl_rc sli_s3_assume_by_web(struct sli_s3_search *s, const char *variable, const char *path,
                           struct sl_str arn, struct sl_str session, struct sli_s3_keys *ret,
                           struct sl_err *err)
{
    SL_AUTO(sl_buf) token = SL_BUF_EMPTY;
    SL_TRY(sli_s3_token_read(variable, path, &token, err));
    struct sli_s3_role r = {.action = "AssumeRoleWithWebIdentity",
                            .arn_variable = "AWS_ROLE_ARN",
                            .source = "AWS_WEB_IDENTITY_TOKEN_FILE",
                            .arn = arn,
                            .session = session.len > 0 ? session : SL_STR("sluice"),
                            .web_token = sl_str_trim(sl_buf_str(&token)),
                            .endpoint = ""};
    sl_rc rc = sli_s3_assume(s, &r, ret, err);
    sl_wipe(token.ptr, token.len);
    return rc;
}
