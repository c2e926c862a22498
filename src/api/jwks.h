/* The keys of an OIDC issuer, kept fresh, and the check of tokens against them.
 *
 * A thread of its own fetches the discovery document and the JWK set: at the start, every five
 * minutes, and when a token was signed by a key that is not known. Requests never fetch; few wait
 * for a fetch, a short time. The keys of the last good fetch stay in use while the issuer cannot be
 * reached. */
#ifndef SL_API_JWKS_H
#define SL_API_JWKS_H

#include "auth/oidc.h"
#include "base/buf.h"
#include "base/clock.h"

struct sl_jwks_opts { /* texts are borrowed until the stop */
    struct sl_oidc_opts oidc;
    const char *scopes;      /* divided by commas, for clients that log in */
    const char *jwks_url;    /* "": as the issuer's discovery document says */
    const char *certificate; /* of the authority that vouches for the issuer: PEM text or the path
                                of such a file; "": those of the system */
    bool is_tls_unverified;
    struct sl_clock *clock;
};

/* SL_EINVAL: settings that cannot work, naming the variable. */
sl_rc sl_jwks_check_opts(const struct sl_jwks_opts *opts, struct sl_err *err);

/* Where the issuer describes itself. */
void sl_jwks_discovery_url(const char *issuer, struct sl_buf *out);

struct sl_jwks;
/* Does not wait for the issuer: a node starts while it is down. */
sl_rc sl_jwks_start(const struct sl_jwks_opts *opts, struct sl_jwks **ret, struct sl_err *err);
/* For sl_auth_opts; arg: struct sl_jwks. SL_EUNAUTH: the sentence says why. SL_EBUSY: nobody can
 * tell before the issuer answers. @threads any */
sl_rc sl_jwks_verify(void *arg, struct sl_str token, struct sl_arena *arena, struct sl_subject *ret,
                     struct sl_err *err);
void sl_jwks_stop(struct sl_jwks *jwks); /* no call is at work; NULL is fine */

#endif
