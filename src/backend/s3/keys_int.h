/* Inside of the S3 driver, for the files that find keys: keys.c what they share, sts.c roles,
 * profile_keys.c and what profiles may name, providers.c the order of all places. */
#ifndef SL_BACKEND_S3_KEYS_INT_H
#define SL_BACKEND_S3_KEYS_INT_H

#include "backend/s3/s3_int.h"

struct sli_s3_search {
    struct sli_s3 *s3;
    const struct sl_config *config;
    struct sl_cancel *cancel;
    bool may_pass; /* the failure is one of network or service */
};

static inline const char *sli_s3_one_of(const char *a, const char *b)
{
    return a[0] != '\0' ? a : b;
}

/* ---- keys.c ---- */

/* All three, and when they end: "2026-11-26T17:00:00Z"; empty: never. source: a literal. */
sl_rc sli_s3_keys_set(const struct sli_s3_search *s, struct sli_s3_keys *k, struct sl_str id,
                      struct sl_str secret, struct sl_str token, struct sl_str end,
                      const char *source, struct sl_err *err);
/* A request to a service that gives keys; `what` begins the sentence of a failure. */
sl_rc sli_s3_keys_ask(struct sli_s3_search *s, struct sl_http_request *req,
                      struct sl_http_reply *reply, const char *what, struct sl_err *err);
/* Replaces a text that may be a secret. */
void sli_s3_secret_set(struct sl_buf *to, struct sl_str text);
/* An object, free it by sli_json_free. SL_EIO: it is none. */
sl_rc sli_s3_json_read(struct sl_str text, const char *source, json_t **ret, struct sl_err *err);
static inline struct sl_str sli_s3_json_text(const json_t *object, const char *name)
{
    return sl_str_from(sli_json_member(object, name)); /* empty: there is none */
}
/* Keys as containers and instances tell them. */
sl_rc sli_s3_keys_json(const struct sli_s3_search *s, struct sl_str text, const char *source,
                       struct sli_s3_keys *ret, struct sl_err *err);
/* The file that a setting names: absent is SL_EINVAL, since it is configured. */
sl_rc sli_s3_token_read(const char *variable, const char *path, struct sl_buf *out,
                        struct sl_err *err);

/* ---- sts.c ---- */

struct sli_s3_role {
    const char *action, *arn_variable, *source; /* literals */
    struct sl_str arn, session, external_id;
    struct sl_str web_token;        /* of AssumeRoleWithWebIdentity */
    const struct sli_s3_keys *base; /* of AssumeRole */
    const char *endpoint;           /* a URL; "": by the region */
};
sl_rc sli_s3_assume(struct sli_s3_search *s, const struct sli_s3_role *r, struct sli_s3_keys *ret,
                    struct sl_err *err);
/* For the token in a file. session empty: "sluice". */
sl_rc sli_s3_assume_by_web(struct sli_s3_search *s, const char *variable, const char *path,
                           struct sl_str arn, struct sl_str session, struct sli_s3_keys *ret,
                           struct sl_err *err);

/* ---- profile_keys.c ---- */

/* SL_ENOTFOUND: the profile has none, and nobody asked for it by name. */
sl_rc sli_s3_profile_keys(struct sli_s3_search *s, struct sl_str name, struct sli_s3_keys *ret,
                          struct sl_err *err);

/* ---- command.c ---- */

/* Keys that the command line of a credential_process prints. */
sl_rc sli_s3_command_keys(const struct sli_s3_search *s, struct sl_str line,
                          struct sli_s3_keys *ret, struct sl_err *err);

/* ---- sso.c ---- */

/* Keys of the role that profile p, of that name, has by a login at an SSO portal. */
sl_rc sli_s3_sso_keys(struct sli_s3_search *s, const struct sli_s3_profile *p, struct sl_str name,
                      struct sli_s3_keys *ret, struct sl_err *err);

/* ---- providers.c ---- */

/* Of a profile's credential_source. */
sl_rc sli_s3_keys_named(struct sli_s3_search *s, struct sl_str source, struct sli_s3_keys *ret,
                        struct sl_err *err);

#endif
