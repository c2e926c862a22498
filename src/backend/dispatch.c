/* The door of the backend seam: checks of keys, then the driver.
 *
 * Keys are made of export ids and collection names, which people choose; so a bad one is an answer
 * and never a path outside of the destination. Pure. @threads any. */
#include "backend/backend.h"

#include "backend/backend_int.h"
#include "base/stats.h"

static bool component_is_bad(struct sl_str part)
{
    return part.len == 0 || sl_str_is(part, ".") || sl_str_is(part, "..");
}

/* is_open: the last component may be empty or unfinished, as in a prefix. */
static bool components_are_bad(struct sl_str key, bool is_open)
{
    size_t from = 0;
    for (size_t i = 0; i <= key.len; i++) {
        bool is_end = i == key.len;
        if (!is_end && key.ptr[i] != '/') {
            continue;
        }
        struct sl_str part = {key.ptr + from, i - from};
        if (component_is_bad(part) && !(is_end && is_open && part.len == 0)) {
            return true;
        }
        from = i + 1;
    }
    return false;
}

static sl_rc check(struct sl_str key, bool is_prefix, struct sl_err *err)
{
    if (key.len > SL_BACKEND_KEY_MAX) {
        return SL_FAIL(err, SL_EINVAL, "object name of %zu bytes: at most %d are allowed", key.len,
                       SL_BACKEND_KEY_MAX);
    }
    if (key.len == 0) {
        return is_prefix ? SL_OK : SL_FAIL(err, SL_EINVAL, "an object name must not be empty");
    }
    if (memchr(key.ptr, '\0', key.len) != NULL || components_are_bad(key, is_prefix)) {
        return SL_FAIL(err, SL_EINVAL,
                       "object name '%.*s': names are relative, without empty, '.' and '..' parts",
                       SL_STR_ARG(key));
    }
    return SL_OK;
}

sl_rc sli_key_check(struct sl_str key, struct sl_err *err)
{
    return check(key, false, err);
}

sl_rc sli_prefix_check(struct sl_str prefix, struct sl_err *err)
{
    return check(prefix, true, err);
}

sl_rc sl_backend_put(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                     enum sl_put_mode mode, struct sl_err *err)
{
    SL_TRY(sli_key_check(key, err));
    SL_TRY(be->ops->put(be, key, b, mode, err));
    sl_stat_add(SL_STAT_SENT, b.len);
    return SL_OK;
}

sl_rc sl_backend_get(struct sl_backend *be, struct sl_str key, uint64_t size_max,
                     struct sl_buf *out, struct sl_err *err)
{
    SL_TRY(sli_key_check(key, err));
    return be->ops->get(be, key, size_max, out, err);
}
