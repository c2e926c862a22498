/* HTTP towards object stores and what vouches for us there: one request, one whole reply.
 *
 * A pool of connections: each call takes an idle one to the same server or makes one, and works on
 * the caller's thread, TLS included, so calls run in parallel as their callers do. No redirect is
 * followed (a signature is for one address), no status is a failure. Proxies as the environment
 * says (https_proxy, http_proxy, no_proxy, all_proxy); TLS 1.2 or later. @threads any. */
#ifndef SL_HTTP_EXCHANGE_H
#define SL_HTTP_EXCHANGE_H

#include "base/buf.h"
#include "base/cancel.h"

struct sl_http; /* the pool */
struct sl_http_opts {
    struct sl_bytes authorities; /* PEM, beside the system's; borrowed for the call */
    uint64_t bytes_per_s;        /* of all bodies that are sent, together; 0: no limit */
    int64_t stall_ns;            /* an exchange without a byte for so long has failed */
};
sl_rc sl_http_new(const struct sl_http_opts *opts, struct sl_http **ret, struct sl_err *err);
void sl_http_free(struct sl_http *http); /* no call may be at work; NULL is fine */
SL_DEFINE_FREEP(sl_http, sl_http_free)

struct sl_http_header {
    const char *name;    /* as it is sent */
    struct sl_str value; /* without CR and LF: SL_EINVAL */
};
struct sl_http_request {
    const char *method;
    struct sl_str url; /* whole: scheme, host, path and query as they go over the wire */
    const struct sl_http_header *headers;
    uint32_t header_count;
    struct sl_bytes body;     /* sent with Content-Length, also when empty, unless GET or HEAD */
    size_t reply_max;         /* a longer body is SL_ETOOBIG */
    int64_t timeout_ns;       /* of the whole exchange; 0: only a stall ends it */
    bool is_direct;           /* no proxy: services on the link, which give credentials */
    struct sl_cancel *cancel; /* may be NULL; set: SL_ECANCELED within 200 ms */
};
/* Zero at first; use again for the next exchange, then fini. */
struct sl_http_reply {
    int status;
    struct sl_buf headers; /* "name: value\n" each, names in lower case */
    struct sl_buf body;    /* whole; for HEAD empty */
};
void sl_http_reply_fini(struct sl_http_reply *r);
/* The first header of that name (lower case); ptr NULL: none. A view of r. */
struct sl_str sl_http_header_of(const struct sl_http_reply *r, const char *name);

/* Sends the request once, reads (GET, HEAD) again when a kept connection turns out to be closed.
 *
 * SL_OK: an answer came, whatever it is. SL_EIO, SL_ETIMEOUT: none came or it broke off, and what
 * was asked may have been done or not; the text names host and reason, never a query, a header or a
 * body. SL_EACCESS: the server's certificate is not to be trusted, TLS failed, or a proxy refuses;
 * asking again is of no use. */
sl_rc sl_http_exchange(struct sl_http *http, const struct sl_http_request *req,
                       struct sl_http_reply *reply, struct sl_err *err);

#endif
