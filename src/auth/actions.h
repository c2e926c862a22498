/* The tables of what can be allowed (actions.c); inside of auth. */
#ifndef SL_AUTH_ACTIONS_H
#define SL_AUTH_ACTIONS_H

#include "auth/auth_int.h"

struct sli_action {
    const char *name;
    uint32_t verbs; /* bits */
    enum sl_domain domain;
};
extern const struct sli_action sli_actions[];
extern const uint32_t sli_action_count;

struct sli_domain {
    const char *name; /* also of the object that holds the fields in JSON */
    struct {
        const char *key, *label, *preset; /* label NULL: not told */
    } fields[SLI_FIELDS];
    uint8_t sorted[SLI_FIELDS]; /* the fields in the order of JSON */
    uint32_t field_count;
    const char *path; /* how refusals of admin lists begin */
};
const struct sli_domain *sli_domain_of(enum sl_domain domain);
bool sli_pattern_fits(struct sl_str pattern, struct sl_str text, bool is_of_class);
/* "backups/collections/A" */
void sli_resource_path(const struct sl_resource *what, struct sl_buf *out);

#endif
