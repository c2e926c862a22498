/* Checks tokens: form, header, claims, signature, in this order, so that what is cheap to refuse
 * costs no public-key operation and asks the issuer for nothing. Nothing is told to the caller
 * before the signature holds.
 *
 * libjose does the signature alone. It sees a key cut down to its numbers and a header whose "alg"
 * was compared with ours and with the key before: the token does not choose how it is checked. The
 * three parts must be canonical base64url, so that what is parsed here is what libjose hashes. */
#include "auth/oidc.h"

#include <jansson.h>
#include <jose/b64.h>
#include <jose/jws.h>

#include "base/buf.h"
#include "base/json.h"

/* Clocks of issuers and nodes differ by seconds; a minute more of an ended token harms nobody. */
#define SKEW_S 60
/* Issuers publish two to ten keys. More cost memory and, for tokens without "kid", time. */
#define KEYS_MAX  64
#define TRIES_MAX 8    /* signatures tried for one token; each takes some 50 us */
#define DEPTH_MAX 16   /* claims of known issuers nest three deep */
#define RSA_N_MIN 342  /* base64url of 2048 bits, what RFC 7518 demands */
#define RSA_N_MAX 1366 /* of 8192 bits, far above what issuers use; larger only burns time */
#define RSA_E_MAX 6    /* of 32 bits; nearly all keys have 65537 */
#define EC_XY     43   /* of 32 bytes */

enum alg { RS256 = 1, PS256 = 2, ES256 = 4 }; /* bits */

struct key {
    const char *kid; /* borrowed from the set; NULL: it has none */
    uint32_t algs;
    json_t *jwk; /* only the numbers */
};
struct sl_oidc_keys {
    json_t *set;
    struct key list[KEYS_MAX];
    uint32_t count;
};

static uint32_t alg_named(const char *name)
{
    static const struct {
        const char *name;
        enum alg alg;
    } algs[] = {{"RS256", RS256}, {"PS256", PS256}, {"ES256", ES256}};
    for (size_t i = 0; name != NULL && i < SL_COUNT_OF(algs); i++) {
        if (strcmp(algs[i].name, name) == 0) {
            return algs[i].alg;
        }
    }
    return 0;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ---- keys ---- */

static bool has_len(const char *text, size_t least, size_t most)
{
    size_t len = text == NULL ? 0 : strlen(text);
    return len >= least && len <= most;
}

/* The algorithms a key of this type can check, and its numbers; 0: none of ours. */
static uint32_t numbers_of(const json_t *jwk, json_t **ret)
{
    const char *kty = text_of(jwk, "kty");
    if (kty != NULL && strcmp(kty, "RSA") == 0) {
        const char *n = text_of(jwk, "n"), *e = text_of(jwk, "e");
        if (!has_len(n, RSA_N_MIN, RSA_N_MAX) || !has_len(e, 1, RSA_E_MAX)) {
            return 0;
        }
        *ret = json_pack("{s:s, s:s, s:s}", "kty", kty, "n", n, "e", e);
        return RS256 | PS256;
    }
    if (kty != NULL && strcmp(kty, "EC") == 0) {
        const char *crv = text_of(jwk, "crv"), *x = text_of(jwk, "x"), *y = text_of(jwk, "y");
        if (crv == NULL || strcmp(crv, "P-256") != 0 || !has_len(x, EC_XY, EC_XY) ||
            !has_len(y, EC_XY, EC_XY)) {
            return 0;
        }
        *ret = json_pack("{s:s, s:s, s:s, s:s}", "kty", kty, "crv", crv, "x", x, "y", y);
        return ES256;
    }
    return 0;
}

/* A key meant for encryption proves nothing about who signed. */
static bool is_for_signatures(const json_t *jwk)
{
    const char *use = text_of(jwk, "use");
    const json_t *ops = json_object_get(jwk, "key_ops");
    bool has_verify = !json_is_array(ops);
    for (size_t i = 0; i < json_array_size(ops); i++) {
        const char *op = json_string_value(json_array_get(ops, i));
        has_verify = has_verify || (op != NULL && strcmp(op, "verify") == 0);
    }
    return has_verify && (use == NULL || strcmp(use, "sig") == 0);
}

static sl_rc add_key(struct sl_oidc_keys *keys, const json_t *jwk, struct sl_err *err)
{
    json_t *numbers = NULL;
    const json_t *alg = json_object_get(jwk, "alg");
    uint32_t algs = is_for_signatures(jwk) ? numbers_of(jwk, &numbers) : 0;
    if (alg != NULL) {
        algs &= alg_named(json_string_value(alg));
    }
    if (algs == 0) {
        json_decref(numbers);
        return SL_OK;
    }
    if (numbers == NULL) {
        return SL_NOMEM(err);
    }
    if (keys->count == KEYS_MAX) {
        json_decref(numbers);
        return SL_FAIL(err, SL_ETOOBIG, "the JWK set has more than %d keys", KEYS_MAX);
    }
    keys->list[keys->count++] = (struct key){text_of(jwk, "kid"), algs, numbers};
    return SL_OK;
}

sl_rc sl_oidc_keys_parse(struct sl_bytes jwks, struct sl_oidc_keys **ret, struct sl_err *err)
{
    SL_AUTO_PTR(sl_oidc_keys) keys = sl_alloc_zero(1, sizeof(*keys));
    if (keys == NULL) {
        return SL_NOMEM(err);
    }
    if (sl_json_depth(jwks) <= DEPTH_MAX) {
        keys->set = json_loadb((const char *)jwks.ptr, jwks.len, JSON_DECODE_INT_AS_REAL, NULL);
    }
    const json_t *list = json_object_get(keys->set, "keys");
    if (!json_is_array(list)) {
        return SL_FAIL(err, SL_EINVAL, "this is no JWK set: JSON with a list \"keys\" is expected");
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        SL_TRY(add_key(keys, json_array_get(list, i), err));
    }
    *ret = sl_move(&keys);
    return SL_OK;
}

uint32_t sl_oidc_keys_count(const struct sl_oidc_keys *keys)
{
    return keys->count;
}

void sl_oidc_keys_free(struct sl_oidc_keys *keys)
{
    if (keys == NULL) {
        return;
    }
    for (uint32_t i = 0; i < keys->count; i++) {
        json_decref(keys->list[i].jwk);
    }
    json_decref(keys->set);
    sl_free(keys);
}

/* ---- form ---- */

struct jwt {
    struct sl_str header, claims, signature; /* base64url, views of the token */
};

static sl_rc refuse(const char *why, struct sl_err *err)
{
    return SL_FAIL(err, SL_EUNAUTH, "unauthorized: %s", why);
}

static sl_rc split(struct sl_str token, struct jwt *ret, struct sl_err *err)
{
    if (token.len > SL_OIDC_TOKEN_MAX) {
        return SL_FAIL(err, SL_EUNAUTH, "unauthorized: the token is larger than %u bytes",
                       SL_OIDC_TOKEN_MAX);
    }
    struct sl_str *parts[] = {&ret->header, &ret->claims, &ret->signature};
    for (size_t i = 0; i < SL_COUNT_OF(parts); i++) {
        const char *dot = token.len == 0 ? NULL : memchr(token.ptr, '.', token.len);
        bool is_last = i + 1 == SL_COUNT_OF(parts);
        size_t len = dot == NULL ? token.len : (size_t)(dot - token.ptr);
        if ((dot == NULL) != is_last || len == 0) {
            return refuse("malformed jwt: three parts are expected", err);
        }
        *parts[i] = (struct sl_str){token.ptr, len};
        token.ptr += is_last ? len : len + 1;
        token.len -= is_last ? len : len + 1;
    }
    return SL_OK;
}

/* Decodes canonical base64url: encoding the bytes again gives the same text. */
static sl_rc decode(struct sl_str text, struct sl_buf *out, struct sl_err *err)
{
    size_t len = jose_b64_dec_buf(NULL, text.len, NULL, 0);
    if (len == SIZE_MAX) {
        return refuse("malformed jwt: a part is not base64url", err);
    }
    SL_AUTO(sl_buf) again = SL_BUF_EMPTY;
    uint8_t *bytes = sl_buf_reserve(out, len), *check = sl_buf_reserve(&again, text.len);
    if (bytes == NULL || check == NULL) {
        return SL_NOMEM(err);
    }
    if (jose_b64_dec_buf(text.ptr, text.len, bytes, len) != len ||
        jose_b64_enc_buf(bytes, len, check, text.len) != text.len ||
        memcmp(check, text.ptr, text.len) != 0) {
        return refuse("malformed jwt: a part is not base64url", err);
    }
    out->len = len;
    return SL_OK;
}

/* A part that is a JSON object. A member named twice would leave open which one counts. */
static sl_rc parse(struct sl_str part, json_t **ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    SL_TRY(decode(part, &text, err));
    if (sl_json_depth(sl_buf_view(&text)) <= DEPTH_MAX) {
        *ret = json_loadb((const char *)text.ptr, text.len,
                          JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES, NULL);
    }
    if (!json_is_object(*ret)) {
        return refuse("malformed jwt: header and claims must be JSON objects", err);
    }
    return SL_OK;
}

static sl_rc check_header(const json_t *header, uint32_t *ret_alg, struct sl_err *err)
{
    const json_t *kid = json_object_get(header, "kid");
    *ret_alg = alg_named(text_of(header, "alg"));
    if (*ret_alg == 0) {
        return refuse("the token must be signed by RS256, PS256 or ES256", err);
    }
    if (json_object_get(header, "crit") != NULL || json_object_get(header, "b64") != NULL) {
        return refuse("the token demands extensions that are not known here", err);
    }
    return kid == NULL || json_is_string(kid) ? SL_OK : refuse("malformed jwt: \"kid\"", err);
}

/* ---- claims ---- */

/* ret_s: INT64_MIN when absent. */
static sl_rc time_of(const json_t *claims, const char *name, int64_t *ret_s, struct sl_err *err)
{
    const json_t *v = json_object_get(claims, name);
    *ret_s = INT64_MIN;
    if (v == NULL) {
        return SL_OK;
    }
    double s = json_number_value(v);
    if (!json_is_number(v) || !(s > -1e15 && s < 1e15)) { /* exact as int64, sums fit */
        return SL_FAIL(err, SL_EUNAUTH, "unauthorized: claim '%s' of the token is not a time",
                       name);
    }
    *ret_s = (int64_t)s;
    return SL_OK;
}

static sl_rc check_times(const json_t *claims, int64_t now_s, struct sl_err *err)
{
    int64_t exp_s, nbf_s, iat_s;
    SL_TRY(time_of(claims, "exp", &exp_s, err));
    SL_TRY(time_of(claims, "nbf", &nbf_s, err));
    SL_TRY(time_of(claims, "iat", &iat_s, err));
    if (exp_s == INT64_MIN) {
        return refuse("the token does not say when it expires", err);
    }
    if (now_s - SKEW_S >= exp_s) {
        return refuse("the token is expired", err);
    }
    if (now_s + SKEW_S < nbf_s) {
        return refuse("the token is not valid yet", err);
    }
    return now_s + SKEW_S < iat_s ? refuse("the token was issued in the future", err) : SL_OK;
}

static bool is_audience(const json_t *aud, const char *client_id)
{
    const char *one = json_string_value(aud);
    bool is_there = one != NULL && strcmp(one, client_id) == 0;
    for (size_t i = 0; i < json_array_size(aud); i++) {
        const char *item = json_string_value(json_array_get(aud, i));
        is_there = is_there || (item != NULL && strcmp(item, client_id) == 0);
    }
    return is_there;
}

static sl_rc check_claims(const struct sl_oidc_opts *o, const json_t *claims, int64_t now_s,
                          struct sl_err *err)
{
    const char *issuer = text_of(claims, "iss");
    if (issuer == NULL || strcmp(issuer, o->issuer) != 0) {
        return SL_FAIL(
            err, SL_EUNAUTH,
            "unauthorized: the token was issued by a different provider, expected \"%s\"",
            o->issuer);
    }
    if (!o->is_any_client && !is_audience(json_object_get(claims, "aud"), o->client_id)) {
        return SL_FAIL(err, SL_EUNAUTH,
                       "unauthorized: the token is not for this service, expected audience \"%s\"",
                       o->client_id);
    }
    return check_times(claims, now_s, err);
}

static sl_rc take_groups(const json_t *claim, struct sl_arena *arena, struct sl_subject *who,
                         struct sl_err *err)
{
    size_t most = json_is_string(claim) ? 1 : json_array_size(claim);
    struct sl_str *groups = sl_arena_array(arena, struct sl_str, SL_MAX(most, (size_t)1));
    if (groups == NULL) {
        return SL_NOMEM(err);
    }
    for (size_t i = 0; i < most; i++) { /* what is no text names no group */
        const json_t *item = json_is_string(claim) ? claim : json_array_get(claim, i);
        if (json_string_length(item) > 0) {
            struct sl_str name = {json_string_value(item), json_string_length(item)};
            groups[who->group_count] = sl_arena_str(arena, name);
            if (groups[who->group_count++].ptr == NULL) {
                return SL_NOMEM(err);
            }
        }
    }
    who->groups = groups;
    return SL_OK;
}

static sl_rc take_subject(const struct sl_oidc_opts *o, const json_t *claims,
                          struct sl_arena *arena, struct sl_subject *ret, struct sl_err *err)
{
    struct sl_subject who = {.kind = SL_OIDC};
    const json_t *name = json_object_get(claims, o->username_claim);
    if (name == NULL) {
        return SL_FAIL(err, SL_EUNAUTH, "unauthorized: token doesn't contain required claim '%s'",
                       o->username_claim);
    }
    if (json_string_length(name) == 0) {
        return SL_FAIL(err, SL_EUNAUTH, "unauthorized: claim '%s' is not a string, or is empty",
                       o->username_claim);
    }
    who.name =
        sl_arena_str(arena, (struct sl_str){json_string_value(name), json_string_length(name)});
    if (who.name.ptr == NULL) {
        return SL_NOMEM(err);
    }
    if (o->groups_claim[0] != '\0') {
        SL_TRY(take_groups(json_object_get(claims, o->groups_claim), arena, &who, err));
    }
    *ret = who;
    return SL_OK;
}

/* ---- signature ---- */

static void keep_quiet(void *arg SL_UNUSED, const char *file SL_UNUSED, int line SL_UNUSED,
                       uint64_t code SL_UNUSED, const char *fmt SL_UNUSED, va_list args SL_UNUSED)
{
    /* libjose would tell stderr what does not verify */
}

static bool is_meant(const struct key *key, uint32_t alg, const char *kid)
{
    return (key->algs & alg) != 0 &&
           (kid == NULL || (key->kid != NULL && strcmp(key->kid, kid) == 0));
}

/* Keys of one id are all tried: issuers have been seen to keep an id while the key changed. */
static sl_rc check_signature(const struct sl_oidc_keys *keys, const struct jwt *t, uint32_t alg,
                             const char *kid, struct sl_err *err)
{
    jose_cfg_auto_t *cfg = jose_cfg();
    json_auto_t *jws =
        json_pack("{s:s%, s:s%, s:s%}", "protected", t->header.ptr, t->header.len, "payload",
                  t->claims.ptr, t->claims.len, "signature", t->signature.ptr, t->signature.len);
    if (cfg == NULL || jws == NULL) {
        return SL_NOMEM(err);
    }
    jose_cfg_set_err_func(cfg, keep_quiet, NULL);
    for (uint32_t i = 0, tries = 0; i < keys->count && tries < TRIES_MAX; i++) {
        const struct key *key = &keys->list[i];
        if (!is_meant(key, alg, kid)) {
            continue;
        }
        tries++;
        if (jose_jws_ver(cfg, jws, NULL, key->jwk, true)) {
            return SL_OK;
        }
    }
    return SL_FAIL(err, SL_ENOTFOUND,
                   "unauthorized: failed to verify signature: no key of the issuer made it");
}

sl_rc sl_oidc_check(const struct sl_oidc_opts *opts, const struct sl_oidc_keys *keys,
                    struct sl_str token, int64_t now_s, struct sl_arena *arena,
                    struct sl_subject *ret, struct sl_err *err)
{
    struct jwt t;
    uint32_t alg = 0;
    json_auto_t *header = NULL, *claims = NULL;
    SL_AUTO(sl_buf) signature = SL_BUF_EMPTY;
    SL_TRY(split(token, &t, err));
    SL_TRY(parse(t.header, &header, err));
    SL_TRY(check_header(header, &alg, err));
    SL_TRY(parse(t.claims, &claims, err));
    SL_TRY(check_claims(opts, claims, now_s, err));
    SL_TRY(decode(t.signature, &signature, err));
    SL_TRY(check_signature(keys, &t, alg, text_of(header, "kid"), err));
    return take_subject(opts, claims, arena, ret, err);
}
