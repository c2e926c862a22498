/* HTTP client: one blocking call at a time over a kept connection (libcurl easy handle).
 *
 * For the command line, which drives a node. Redirects are followed, a body of any size up to
 * response_max is kept in memory. TLS and proxies as libcurl finds them in the environment.
 * One owner thread per client; many clients at once. */
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
SL_DEFINE_FREEP(sl_http_client, sl_http_client_free)

/* Sends method path (starting with '/') with a JSON body (empty: none). The answer's body is
 * appended to out, *ret_status is its code whatever it is: only a failed exchange is an error
 * (SL_EIO, naming the URL and the reason). */
sl_rc sl_http_call(struct sl_http_client *c, const char *method, const char *path,
                   struct sl_bytes body, struct sl_buf *out, int *ret_status, struct sl_err *err);

#endif
