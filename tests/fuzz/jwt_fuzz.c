/* Tokens and JWK sets: whatever the bytes, only what the issuer signed is accepted, and a refusal
 * has its sentence. The keys and the seed are RFC 7515's examples A.2 and A.3, so the fuzzer knows
 * tokens that hold but has no key to make others. */
#include "auth/oidc.h"

#include "base/buf.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char jwks[] =
    "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":"
    "\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4"
    "d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexM"
    "dbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK"
    "-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\"},{\"kty\":\"EC\",\"crv\":"
    "\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
    "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";
static const char signed_claims[] = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leG"
                                    "FtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

static void check(const struct sl_oidc_keys *keys, struct sl_str token)
{
    static const struct sl_oidc_opts opts = {.issuer = "joe",
                                             .client_id = "",
                                             .is_any_client = true,
                                             .username_claim = "iss",
                                             .groups_claim = "iss"};
    struct sl_err err = {0};
    struct sl_arena arena = SL_ARENA_EMPTY;
    struct sl_subject person = {0};
    sl_rc rc = sl_oidc_check(&opts, keys, token, 1300819000, &arena, &person, &err);
    if (rc == SL_OK) {
        sl_assert(sl_str_is(person.name, "joe") && person.group_count == 1);
        sl_assert(memmem(token.ptr, token.len, signed_claims, sizeof(signed_claims) - 1) != NULL);
    } else {
        sl_assert(rc == SL_EUNAUTH || rc == SL_ENOTFOUND);
        sl_assert(strncmp(err.text, "unauthorized: ", 14) == 0);
    }
    sl_arena_fini(&arena);
}

static void add_part(struct sl_buf *token, const char *from, size_t len)
{
    size_t begin = token->len;
    sl_base64_add(token, SL_BYTES(from, len));
    while (token->len > begin && token->ptr[token->len - 1] == '=') {
        token->len--;
    }
    for (size_t i = begin; i < token->len; i++) {
        uint8_t c = token->ptr[i];
        token->ptr[i] = c == '+' ? '-' : c == '/' ? '_' : c;
    }
}

/* The three lines of the input as the parts of a token, so that mutations meet the JSON. */
static void check_lines(const struct sl_oidc_keys *keys, struct sl_str text)
{
    SL_AUTO(sl_buf) token = SL_BUF_EMPTY;
    for (int i = 0; i < 3; i++) {
        const char *end = text.len == 0 ? NULL : memchr(text.ptr, '\n', text.len);
        size_t len = end == NULL || i == 2 ? text.len : (size_t)(end - text.ptr);
        add_part(&token, text.ptr, len);
        sl_buf_add_text(&token, i < 2 ? "." : "");
        size_t past = SL_MIN(text.len, len + 1);
        text = (struct sl_str){text.ptr + past, text.len - past};
    }
    check(keys, sl_buf_str(&token));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sl_oidc_keys *keys; /* for the life of the process */
    struct sl_err err = {0};
    struct sl_str text = {size == 0 ? "" : (const char *)data, size};
    if (keys == NULL) {
        sl_assert(sl_oidc_keys_parse(SL_BYTES(jwks, sizeof(jwks) - 1), &keys, &err) == SL_OK);
    }
    check(keys, text);
    check_lines(keys, text);
    SL_AUTO_PTR(sl_oidc_keys) theirs = NULL;
    sl_rc rc = sl_oidc_keys_parse(sl_str_bytes(text), &theirs, &err);
    sl_assert(rc == SL_OK || rc == SL_EINVAL || rc == SL_ETOOBIG);
    if (rc == SL_OK) { /* their keys meet a signature */
        SL_AUTO(sl_buf) token = SL_BUF_EMPTY;
        sl_buf_addf(
            &token, "eyJhbGciOiJFUzI1NiJ9.%s.%s", signed_claims,
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-"
            "Kg6NU1Q");
        check(theirs, sl_buf_str(&token));
    }
    return 0;
}
