/* JSON Web Token in compact form, RFC 7515, signed by RS256. */
#include "backend/sign/sign.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/str.h"

/* The alphabet of RFC 4648 section 5, without padding. */
static void add_base64url(struct sl_bytes b, struct sl_buf *out)
{
    size_t from = out->len;
    sl_base64_add(out, b);
    while (out->len > from && out->ptr[out->len - 1] == '=') {
        out->len--;
    }
    for (size_t i = from; i < out->len; i++) {
        uint8_t c = out->ptr[i];
        out->ptr[i] = c == '+' ? '-' : c == '/' ? '_' : c;
    }
}

sl_rc sl_jwt_sign_rs256(struct sl_str private_key_pem, struct sl_str key_id, struct sl_str claims,
                        struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_buf) header = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) signature = SL_BUF_EMPTY;
    size_t from = out->len;
    struct sl_json w = sl_json_over(&header);
    sl_json_obj(&w);
    sl_json_key(&w, "alg");
    sl_json_text(&w, "RS256");
    sl_json_key(&w, "typ");
    sl_json_text(&w, "JWT");
    sl_json_key(&w, "kid");
    sl_json_str(&w, key_id);
    sl_json_obj_end(&w);
    SL_TRY(sl_buf_done(&header, err));
    add_base64url(sl_buf_view(&header), out);
    sl_buf_add_u8(out, '.');
    add_base64url(sl_str_bytes(claims), out);
    SL_TRY(sl_buf_done(out, err));
    struct sl_bytes input = {out->ptr + from, out->len - from};
    SL_TRY(sl_rsa_sha256_sign(private_key_pem, input, &signature, err));
    sl_buf_add_u8(out, '.');
    add_base64url(sl_buf_view(&signature), out);
    return sl_buf_done(out, err);
}
