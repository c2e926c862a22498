/* OIDC tokens: is this JWT signed by a key of the issuer, meant for us and valid now?
 *
 * Pure: the caller gives the keys as the issuer published them (a JWK set) and the time; api/jwks.c
 * fetches the keys. RS256, PS256 and ES256 only: neither `none` nor a shared secret proves anything
 * here. No sentence ever carries a part of the token. @threads any; a set of keys is immutable. */
#ifndef SL_AUTH_OIDC_H
#define SL_AUTH_OIDC_H

#include "auth/auth.h"

/* Tokens of people in hundreds of groups stay below; REST headers end at this size, too. */
#define SL_OIDC_TOKEN_MAX (16u * 1024)

struct sl_oidc_keys;
/* Keys that cannot check one of our signatures are left out; none left is a valid set that accepts
 * nothing. SL_EINVAL: this is no JWK set. */
sl_rc sl_oidc_keys_parse(struct sl_bytes jwks, struct sl_oidc_keys **ret, struct sl_err *err);
uint32_t sl_oidc_keys_count(const struct sl_oidc_keys *keys);
void sl_oidc_keys_free(struct sl_oidc_keys *keys);
SL_DEFINE_FREEP(sl_oidc_keys, sl_oidc_keys_free)

struct sl_oidc_opts { /* borrowed texts */
    const char *issuer;
    const char *client_id; /* must be in "aud" */
    bool is_any_client;    /* "aud" is not looked at */
    const char *username_claim;
    const char *groups_claim; /* "": no groups */
};
/* now_s: Unix time. ret has a name, never an empty one. SL_EUNAUTH: the sentence says why.
 * SL_ENOTFOUND, with a sentence for the same reply: all is well but no key of the set made the
 * signature; newer keys may. */
sl_rc sl_oidc_check(const struct sl_oidc_opts *opts, const struct sl_oidc_keys *keys,
                    struct sl_str token, int64_t now_s, struct sl_arena *arena,
                    struct sl_subject *ret, struct sl_err *err);

#endif
