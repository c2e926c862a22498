/* Certificate and key of both servers: GnuTLS's only home.
 *
 * A reload puts a new pair in front; handshakes begun before go on with the pair they were given,
 * and open connections are not touched. No library tells when it has done with a pair, so replaced
 * ones are kept until the end: a few KiB for every certificate that was renewed, and equal files
 * make no new pair. Nothing is locked: a pair never changes, and which one counts is one atomic
 * pointer. The main thread loads; any thread reads. */
#include "api/tls_int.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdatomic.h>

#include "base/file.h"
#include "base/str.h"

#define PEM_SIZE_MAX (1u << 20)
#define CHAIN_MAX    16 /* certificates up to the root; public authorities send two or three */

struct pair {
    struct sl_buf cert, key; /* PEM, NUL-terminated */
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned int chain_len;
    gnutls_privkey_t private;
    int64_t expires_ns; /* of the first certificate */
    struct pair *older;
};

struct sl_tls {
    const char *cert_path, *key_path; /* borrowed */
    struct pair *_Atomic now;
};

/* No version before 1.2; of 1.2 what the library holds to be at least 128 bits strong. */
const char sli_tls_priorities[] = "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

/* ---- pairs ---- */

static void pair_free(struct pair *p)
{
    if (p == NULL) {
        return;
    }
    for (unsigned int i = 0; i < p->chain_len; i++) {
        gnutls_pcert_deinit(&p->chain[i]);
    }
    if (p->private != NULL) {
        gnutls_privkey_deinit(p->private);
    }
    if (p->key.ptr != NULL) {
        explicit_bzero(p->key.ptr, p->key.cap);
    }
    sl_buf_fini(&p->cert);
    sl_buf_fini(&p->key);
    sl_free(p);
}
SL_DEFINE_FREEP(pair, pair_free)

static gnutls_datum_t datum(const struct sl_buf *b)
{
    return (gnutls_datum_t){.data = b->ptr, .size = (unsigned int)b->len};
}

static sl_rc told(int rc, const char *path, struct sl_err *err)
{
    return rc == GNUTLS_E_MEMORY_ERROR
               ? SL_NOMEM(err)
               : SL_FAIL(err, SL_EINVAL, "%s: %s", path, gnutls_strerror(rc));
}

/* Do they belong together? The library knows when it is asked to serve them. */
static int match(const struct pair *p)
{
    gnutls_certificate_credentials_t both = NULL;
    gnutls_datum_t cert = datum(&p->cert), key = datum(&p->key);
    int rc = gnutls_certificate_allocate_credentials(&both);
    if (rc == 0) {
        rc = gnutls_certificate_set_x509_key_mem(both, &cert, &key, GNUTLS_X509_FMT_PEM);
        gnutls_certificate_free_credentials(both);
    }
    return rc < 0 ? rc : 0;
}

static int read_expiry(struct pair *p)
{
    gnutls_x509_crt_t first = NULL;
    int rc = gnutls_pcert_export_x509(&p->chain[0], &first);
    if (rc == 0) {
        p->expires_ns = (int64_t)gnutls_x509_crt_get_expiration_time(first) * 1000000000;
        gnutls_x509_crt_deinit(first);
    }
    return rc;
}

static sl_rc pair_load(const struct sl_tls *t, struct pair **ret, struct sl_err *err)
{
    SL_AUTO_PTR(pair) p = sl_alloc_zero(1, sizeof(*p));
    if (p == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sl_file_read_all(t->cert_path, PEM_SIZE_MAX, &p->cert, err));
    SL_TRY(sl_file_read_all(t->key_path, PEM_SIZE_MAX, &p->key, err));
    (void)sl_buf_cstr(&p->cert);
    (void)sl_buf_cstr(&p->key);
    gnutls_datum_t cert = datum(&p->cert), key = datum(&p->key);
    unsigned int count = CHAIN_MAX;
    int rc = gnutls_pcert_list_import_x509_raw(p->chain, &count, &cert, GNUTLS_X509_FMT_PEM,
                                               GNUTLS_X509_CRT_LIST_SORT);
    if (rc < 0) {
        return told(rc, t->cert_path, err);
    }
    p->chain_len = count;
    rc = read_expiry(p);
    if (rc < 0) {
        return told(rc, t->cert_path, err);
    }
    rc = gnutls_privkey_init(&p->private);
    if (rc == 0) {
        rc = gnutls_privkey_import_x509_raw(p->private, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
    }
    if (rc == 0) {
        rc = match(p);
    }
    if (rc < 0) {
        return told(rc, t->key_path, err);
    }
    *ret = sl_move(&p);
    return SL_OK;
}

/* ---- open, reload, close ---- */

sl_rc sl_tls_open(const char *cert_path, const char *key_path, struct sl_tls **ret,
                  struct sl_err *err)
{
    struct sl_tls *t = sl_alloc_zero(1, sizeof(*t));
    if (t == NULL) {
        return SL_NOMEM(err);
    }
    t->cert_path = cert_path;
    t->key_path = key_path;
    struct pair *p = NULL;
    sl_rc rc = pair_load(t, &p, err);
    if (rc != SL_OK) {
        sl_free(t);
        return rc;
    }
    atomic_init(&t->now, p);
    *ret = t;
    return SL_OK;
}

sl_rc sl_tls_reload(struct sl_tls *t, bool *ret_is_new, struct sl_err *err)
{
    struct pair *now = atomic_load_explicit(&t->now, memory_order_relaxed);
    SL_AUTO_PTR(pair) next = NULL;
    SL_TRY(pair_load(t, &next, err));
    *ret_is_new = !sl_bytes_eq(sl_buf_view(&next->cert), sl_buf_view(&now->cert)) ||
                  !sl_bytes_eq(sl_buf_view(&next->key), sl_buf_view(&now->key));
    if (*ret_is_new) {
        next->older = now;
        atomic_store_explicit(&t->now, sl_move(&next), memory_order_release);
    }
    return SL_OK;
}

int64_t sl_tls_expires_ns(const struct sl_tls *t)
{
    return atomic_load_explicit(&t->now, memory_order_acquire)->expires_ns;
}

void sl_tls_close(struct sl_tls *t)
{
    struct pair *p = t == NULL ? NULL : atomic_load_explicit(&t->now, memory_order_acquire);
    while (p != NULL) {
        struct pair *older = p->older;
        pair_free(p);
        p = older;
    }
    sl_free(t);
}

/* ---- for the servers ---- */

void sli_tls_pem(const struct sl_tls *t, const char **ret_cert, const char **ret_key)
{
    const struct pair *p = atomic_load_explicit(&t->now, memory_order_acquire);
    *ret_cert = (const char *)p->cert.ptr;
    *ret_key = (const char *)p->key.ptr;
}

static int choose(gnutls_session_t session, const gnutls_datum_t *req_ca_rdn SL_UNUSED,
                  int req_count SL_UNUSED, const gnutls_pk_algorithm_t *algorithms SL_UNUSED,
                  int algorithm_count SL_UNUSED, gnutls_pcert_st **ret_chain,
                  unsigned int *ret_chain_len, gnutls_privkey_t *ret_key)
{
    const struct sl_tls *t = gnutls_session_get_ptr(session);
    struct pair *p = atomic_load_explicit(&t->now, memory_order_acquire);
    *ret_chain = p->chain;
    *ret_chain_len = p->chain_len;
    *ret_key = p->private;
    return 0;
}

void *sli_tls_chooser(void)
{
    gnutls_certificate_retrieve_function2 *chooser = choose;
    return (void *)(uintptr_t)chooser;
}

void sli_tls_bind(struct sl_tls *t, void *session)
{
    gnutls_session_set_ptr(session, t);
}
