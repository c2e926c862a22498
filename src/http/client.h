/* HTTP client: one blocking call at a time over a kept connection (libcurl easy handle).
 *
 * For the command line, which drives a node, and for the node, which asks an OIDC issuer. Redirects
 * are followed (never from https to http), the body is kept in memory up to a limit. Proxies as
 * libcurl finds them in the environment. One owner thread per client; many clients at once. */
#ifndef SL_HTTP_CLIENT_H
#define SL_HTTP_CLIENT_H

#include "base/buf.h"

#define SL_HTTP_RESPONSE_MAX \
    (64u * 1024 * 1024) /* a longer reply is SL_ETOOBIG; lists of 10^5 exports fit */

struct sl_http_client;
/* base_url  "http://host:port" or "https://...", without a path; bearer NULL or an API key. */
sl_rc sl_http_client_new(const char *base_url, const char *bearer, int64_t timeout_ms,
                         struct sl_http_client **ret, struct sl_err *err);
void sl_http_client_free(struct sl_http_client *c);
/* For servers that are not ours; before the first call. */
struct sl_http_limits {
    size_t response_max;         /* at most SL_HTTP_RESPONSE_MAX */
    struct sl_bytes authorities; /* PEM, instead of the system's; empty: those of the system */
    bool is_unverified;          /* any certificate will do */
    const char *trust_hint;      /* said of a certificate that is not accepted; NULL: nothing */
};
void sl_http_client_limit(struct sl_http_client *c, const struct sl_http_limits *limits);
SL_DEFINE_FREEP(sl_http_client, sl_http_client_free)

/* Sends method path (starting with '/') with a JSON body (empty: none). The answer's body is
 * appended to out, *ret_status is its code whatever it is: only a failed exchange is an error
 * (SL_EIO, naming the URL and the reason). */
sl_rc sl_http_call(struct sl_http_client *c, const char *method, const char *path,
                   struct sl_bytes body, struct sl_buf *out, int *ret_status, struct sl_err *err);

#endif
