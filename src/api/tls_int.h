/* What the two servers need of certificate and key (tls.c), each in its library's own words. */
#ifndef SL_API_TLS_INT_H
#define SL_API_TLS_INT_H

#include "api/api.h"

/* libmicrohttpd: versions and ciphers, the callback that chooses the certificate of a handshake,
 * and the binding of a new session (a gnutls_session_t) to the certificates it chooses from. */
extern const char sli_tls_priorities[];
void *sli_tls_chooser(void);
void sli_tls_bind(struct sl_tls *t, void *session);
/* gRPC: the PEM texts of now, lent until sl_tls_close. Other certificates have other addresses. */
void sli_tls_pem(const struct sl_tls *t, const char **ret_cert, const char **ret_key);

#endif
