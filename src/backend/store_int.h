/* What the drivers of object stores (s3/, gcs/, azure/) share: their place, trying again, tokens of
 * identities, what they read in answers.
 *
 * Each driver is four files: driver.c operations over whole objects, parts.c uploads, access.c
 * credentials and their refresh, the probe; error.c from a foreign answer to a sentence and to
 * "again or not". */
#ifndef SL_BACKEND_STORE_INT_H
#define SL_BACKEND_STORE_INT_H

#include <jansson.h>
#include <stdatomic.h>

#include "backend/backend_int.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/sync.h"
#include "config/config.h"
#include "http/exchange.h"

/* Base of every store's backend: the driver embeds it first. */
struct sli_store {
    struct sl_backend backend;
    const struct sl_config *config; /* borrowed, immutable */
    struct sl_http *http;           /* owned: connections end with the backend */
    struct sl_clock *clock;
    int64_t deadline_ns;      /* of a request, its tries included */
    int64_t awaited_ns;       /* the same, when somebody waits for it; 0: nobody does */
    struct sl_cancel *cancel; /* borrowed, may be NULL: ends begin, part and complete early */
    bool is_cancel_wide;      /* and all other requests */
    char *bucket;             /* owned; the container for Azure */
    char *prefix;             /* owned; "" or "a/b/": in front of every key */
    atomic_int retry_tokens;  /* retry.c */
};
sl_rc sli_store_init(struct sli_store *st, const struct sl_backend_ops *ops,
                     const struct sl_backend_env *env, struct sl_str bucket, struct sl_str prefix,
                     struct sl_err *err);
void sli_store_fini(struct sli_store *st); /* after a failed init, too */

/* Appends a path: each of its parts percent-encoded, the slashes as they are. */
void sli_path_add(struct sl_buf *out, struct sl_str path);
/* Appends "name=value", and "&" before it unless it is the first of a form or query. */
void sli_form_add(struct sl_buf *out, const char *name, struct sl_str value);
/* Overwrites a secret, then frees it. */
void sli_wipe(struct sl_buf *b);

/* ---- answer.c ---- */

/* An object, bounded in depth; NULL: the text is none. Free it by sli_json_free, which wipes its
 * texts, or by json_decref where none is a secret. */
json_t *sli_json_read(struct sl_bytes text);
void sli_json_free(json_t *root);
const char *sli_json_member(const json_t *object, const char *name); /* "": it has none */
/* Unix time of an HTTP date; INT64_MIN: it is none. */
int64_t sli_date_parse(struct sl_str text);
/* How long Retry-After asks us to wait; 0: it does not. retry.c limits it. */
int64_t sli_wait_asked_ns(const struct sli_store *st, const struct sl_http_reply *reply);
/* The store's clock minus ours; 0 when it does not tell. */
int64_t sli_skew_ns(const struct sli_store *st, const struct sl_http_reply *reply);
/* The sentence of it; whose: "the store's". */
void sli_skew_add(struct sl_buf *out, int64_t skew_ns, const char *whose);
bool sli_is_one_of(struct sl_str code, const char *const *list); /* NULL ends the list */

/* ---- bearer.c ---- */

#define SLI_TOKEN_MAX (16u * 1024) /* they have 1.5 to 4 KiB; headers of services end at 16 */
struct sli_token {
    struct sl_buf text; /* secret */
    int64_t life_ns;
};
/* Of one fetch. */
struct sli_token_ask {
    struct sl_cancel *cancel; /* of the caller who fetches; may be NULL */
    bool is_first;            /* there never was a token */
    bool may_pass;            /* out: the failure is one of network or service */
};
/* ret: empty at first, wiped by the caller in all cases. */
typedef sl_rc sli_bearer_fn(void *arg, struct sli_token_ask *ask, struct sli_token *ret,
                            struct sl_err *err);
struct sli_bearer {
    const struct sli_store *store; /* borrowed: its clock */
    sli_bearer_fn *fetch;
    void *arg;
    struct sl_mutex mu; /* leaf; no request and no allocation under it */
    struct sl_cond changed;
    struct {
        struct sl_buf text; /* empty before the first. Secret */
        uint64_t no;        /* counts tokens; 0 before the first */
        int64_t renew_ns;   /* monotonic: from then on a new one is fetched */
        int64_t end_ns;     /* monotonic: from then on it is not sent any more */
        bool is_being_fetched;
    } locked SL_GUARDED;
};
void sli_bearer_init(struct sli_bearer *b, const struct sli_store *st, sli_bearer_fn *fetch,
                     void *arg);
void sli_bearer_fini(struct sli_bearer *b);
/* Appends "Bearer ...". *ret_no tells the token, for sli_bearer_refuse; *ret_again: the failure may
 * pass. cancel may be NULL. @threads any */
sl_rc sli_bearer_add(struct sli_bearer *b, struct sl_cancel *cancel, struct sl_buf *out,
                     uint64_t *ret_no, bool *ret_again, struct sl_err *err);
/* The service did not take token `no`: the next call fetches a new one, unless one did. */
void sli_bearer_refuse(struct sli_bearer *b, uint64_t no);

/* ---- retry.c ---- */

/* One try of a request: builds, signs, sends and judges it. */
struct sli_try {
    uint32_t no;        /* from 0 */
    bool is_repeatable; /* set by the try when it fails and may be repeated */
    bool is_refreshed;  /* the try's own: credentials were renewed once for this call */
    uint32_t misfits;   /* sli_try_misfit's own */
    int64_t wait_ns;    /* set by the try: what the server asked for (Retry-After); 0: our own */
    int64_t limit_ns;   /* for the try: what it may take; 0: as long as bytes move */
};
typedef sl_rc sli_try_fn(void *arg, struct sli_try *t, struct sl_err *err);
/* Of a good answer that failed its check with rc: is it worth asking again? What was damaged on its
 * way may come whole; what is damaged where it lies never will, so SL_EIO is, twice. */
bool sli_try_misfit(struct sli_try *t, sl_rc rc);
/* Tries until it is SL_OK, not repeatable, canceled, or SLUICE_STORE_DEADLINE has passed since the
 * call began (the last failure is told then, with how often and how long it was tried). Waits
 * grow from 0.1 s to 20 s with full jitter. A store that fails most of its calls is asked less.
 * cancel may be NULL. */
sl_rc sli_retry(struct sli_store *st, struct sl_cancel *cancel, sli_try_fn *fn, void *arg,
                struct sl_err *err);

/* The same for what somebody waits for, as the probe: the tries themselves end in time, too.
 * deadline_ns 0: the call has none of its own. */
#define SLI_PROBE_DEADLINE_NS INT64_C(10000000000)
sl_rc sli_retry_for(struct sli_store *st, int64_t deadline_ns, struct sl_cancel *cancel,
                    sli_try_fn *fn, void *arg, struct sl_err *err);

/* What ends a request early: its own token; else the backend's, when that is meant to. Not what
 * clears uploads away, which has a deadline of its own: they cost money and nobody sees them. */
static inline struct sl_cancel *sli_cancel_of(const struct sli_store *st, struct sl_cancel *own,
                                              int64_t deadline_ns)
{
    return own == NULL && st->is_cancel_wide && deadline_ns == 0 ? st->cancel : own;
}

/* The drivers, by open.c; bucket is checked to be not empty. */
sl_rc sli_s3_open(const struct sl_backend_env *env, struct sl_str bucket, struct sl_str prefix,
                  struct sl_backend **ret, struct sl_err *err);
sl_rc sli_gcs_open(const struct sl_backend_env *env, struct sl_str bucket, struct sl_str prefix,
                   struct sl_backend **ret, struct sl_err *err);
sl_rc sli_azure_open(const struct sl_backend_env *env, struct sl_str bucket, struct sl_str prefix,
                     struct sl_backend **ret, struct sl_err *err);

#endif
