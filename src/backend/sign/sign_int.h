/* Inside of the signatures: what they take a request apart by. */
#ifndef SL_BACKEND_SIGN_INT_H
#define SL_BACKEND_SIGN_INT_H

#include "backend/sign/sign.h"

struct sli_pair {
    struct sl_str name, value;
};
/* By name, then by value, in the order of bytes. */
void sli_pairs_sort(struct sli_pair *pairs, uint32_t count);

/* Views of a URL: "host:port" without a port that is the scheme's own, path ("/" when empty), query
 * without '?'. */
struct sli_url {
    struct sl_str host, path, query;
};
struct sli_url sli_url_split(struct sl_str url);
/* "a=1&b" as views; a name without '=' has an empty value. SL_EINTERNAL: more than max. */
sl_rc sli_query_split(struct sl_str query, struct sli_pair *ret, uint32_t max, uint32_t *ret_count,
                      struct sl_err *err);
void sli_lower(struct sl_str text, struct sl_buf *out);

#endif
