/* Inside of `sluice import`: what the server has to have before objects come, what comes after. */
#ifndef SL_CMD_IMPORT_INT_H
#define SL_CMD_IMPORT_INT_H

#include "cmd/cmd_int.h"

struct sli_schema {
    struct sl_http_client *client; /* borrowed */
    json_t *classes; /* name -> {"class": {..}, "tenants": [..]}: what the export says */
    json_t *there;   /* name -> {tenant: state}, or true before its tenants were asked for */
    json_t *woken;   /* name -> tenants to be put back to rest, as PUT takes them */
    json_t *refused; /* name -> the server's sentence: their files are left out */
    uint32_t created_count;
};
void sli_schema_fini(struct sli_schema *s);
/* Takes a schema document: {"classes": [{"name", "class", "tenants"}]} of an export, the reply of
 * GET /v1/schema, or one class. SL_EINVAL names `where`. */
sl_rc sli_schema_add(struct sli_schema *s, struct sl_bytes text, const char *where,
                     struct sl_err *err);
/* Creates those of the classes that `is_wanted` and the server does not have, with their tenants,
 * in an order in which references lead to what is there. Those the server refuses are told, and
 * stand in `refused`. */
sl_rc sli_schema_create(struct sli_schema *s, bool (*is_wanted)(const void *arg, const char *name),
                        const void *arg, struct sl_err *err);
/* The class of a file must be there by now (SL_ENOTFOUND); its tenant (NULL: none) is made, or
 * woken when it is COLD. */
sl_rc sli_schema_need(struct sli_schema *s, const char *name, const char *tenant,
                      struct sl_err *err);
/* Tenants that were woken become COLD again: after everything else. */
sl_rc sli_schema_rest(struct sli_schema *s, struct sl_err *err);

/* ---- import_refs.c ---- */
bool sli_may_refer(struct sl_str properties); /* cheap; false is certain */
/* Appends the properties without those that refer; true: there were some. doc: them, parsed. */
bool sli_references_strip(struct sl_str properties, json_t *doc, struct sl_buf *out);
typedef sl_rc sli_reference_fn(void *arg, const char *property, const char *to, struct sl_err *err);
sl_rc sli_references_each(json_t *doc, sli_reference_fn *fn, void *arg, struct sl_err *err);

#endif
