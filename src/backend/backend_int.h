/* Inside of the backend folder: what every driver shares. */
#ifndef SL_BACKEND_BACKEND_INT_H
#define SL_BACKEND_BACKEND_INT_H

#include "backend/backend.h"

/* Base of every driver's upload: the driver embeds it first. */
struct sl_upload {
    const struct sl_backend *owner; /* the backend whose begin made it */
};

/* SL_EINVAL unless key is 1..SL_BACKEND_KEY_MAX bytes, relative, without NUL, without empty, "."
 * and
 * ".." components. Drivers ask it before a key becomes a path or a URL. */
sl_rc sli_key_check(struct sl_str key, struct sl_err *err) SL_MUST_USE;
/* The same for a prefix, which may be empty and may end in '/' or within a name. */
sl_rc sli_prefix_check(struct sl_str prefix, struct sl_err *err) SL_MUST_USE;

static inline bool sli_key_has_prefix(struct sl_str key, struct sl_str prefix)
{
    return key.len >= prefix.len &&
           (prefix.len == 0 || memcmp(key.ptr, prefix.ptr, prefix.len) == 0);
}
/* What of name comes after prefix; false: nothing does, or it begins otherwise. A view of name. */
static inline bool sli_key_cut(struct sl_str name, struct sl_str prefix, struct sl_str *ret)
{
    if (!sli_key_has_prefix(name, prefix)) {
        return false;
    }
    *ret = (struct sl_str){name.ptr + prefix.len, name.len - prefix.len};
    return ret->len > 0;
}

#endif
