/* Signatures of the clouds: pure functions of their input, checked by published vectors.
 *
 * No network, no clock, no environment. Keys are never written anywhere. @threads any. */
#ifndef SL_BACKEND_SIGN_H
#define SL_BACKEND_SIGN_H

#include "base/buf.h"
#include "http/exchange.h"

#define SL_SIGN_UNSIGNED "UNSIGNED-PAYLOAD"

/* ---- AWS Signature Version 4 ---- */
struct sl_sigv4 {
    struct sl_str key_id, secret;
    struct sl_str token;           /* session token; empty: none. Sent as x-amz-security-token */
    struct sl_str region, service; /* "s3", "sts" */
    int64_t wall_ns;
};
/* Signs method, url and ALL of headers (host is added by itself, from the url). For S3 the path is
 * taken as it is, for other services it is normalised and encoded again as they ask. payload_hash
 * is hex SHA-256 or SL_SIGN_UNSIGNED. Appends the headers to send besides, one "name: value\n"
 * each: x-amz-date, x-amz-content-sha256 (S3 only), x-amz-security-token, authorization. */
sl_rc sl_sigv4_sign(const struct sl_sigv4 *s, const char *method, struct sl_str url,
                    const struct sl_http_header *headers, uint32_t header_count,
                    struct sl_str payload_hash, struct sl_buf *out, struct sl_err *err);

/* ---- Azure Shared Key (version 2015-02-21 and later) ---- */
/* account_key is the raw key (base64 decoded). headers must hold x-ms-date and x-ms-version.
 * Appends the value of the Authorization header. */
sl_rc sl_sharedkey_sign(struct sl_str account, struct sl_bytes account_key, const char *method,
                        struct sl_str url, const struct sl_http_header *headers,
                        uint32_t header_count, uint64_t content_length, struct sl_buf *out,
                        struct sl_err *err);

/* ---- JSON Web Token, RS256 (Google service accounts) ---- */
/* private_key_pem: PKCS#8 or PKCS#1. Appends header.claims.signature; claims is a JSON object. */
sl_rc sl_jwt_sign_rs256(struct sl_str private_key_pem, struct sl_str key_id, struct sl_str claims,
                        struct sl_buf *out, struct sl_err *err);

#endif
