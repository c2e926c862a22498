/* A request taken apart for signing; views only. */
#include <stdlib.h>

#include "backend/sign/sign_int.h"
#include "base/str.h"

static int by_name(const void *a, const void *b)
{
    const struct sli_pair *x = a, *y = b;
    int c = sl_bytes_cmp(sl_str_bytes(x->name), sl_str_bytes(y->name));
    return c != 0 ? c : sl_bytes_cmp(sl_str_bytes(x->value), sl_str_bytes(y->value));
}

void sli_pairs_sort(struct sli_pair *pairs, uint32_t count)
{
    if (count > 1) {
        qsort(pairs, count, sizeof(*pairs), by_name);
    }
}

struct sli_url sli_url_split(struct sl_str url)
{
    struct sli_url ret = {.path = SL_STR("/")};
    bool is_tls = sl_str_starts(url, "https://");
    size_t from = is_tls ? strlen("https://") : strlen("http://"), at = SL_MIN(from, url.len);
    while (at < url.len && url.ptr[at] != '/' && url.ptr[at] != '?') {
        at++;
    }
    ret.host = (struct sl_str){url.ptr + from, at - from};
    const char *own_port = is_tls ? ":443" : ":80"; /* clients do not send it */
    if (sl_str_ends(ret.host, own_port)) {
        ret.host.len -= strlen(own_port);
    }
    size_t path = at;
    while (at < url.len && url.ptr[at] != '?') {
        at++;
    }
    if (at > path) {
        ret.path = (struct sl_str){url.ptr + path, at - path};
    }
    if (at < url.len) {
        ret.query = (struct sl_str){url.ptr + at + 1, url.len - at - 1};
    }
    return ret;
}

sl_rc sli_query_split(struct sl_str query, struct sli_pair *ret, uint32_t max, uint32_t *ret_count,
                      struct sl_err *err)
{
    uint32_t count = 0;
    while (query.len > 0) {
        const char *amp = memchr(query.ptr, '&', query.len);
        size_t len = amp == NULL ? query.len : (size_t)(amp - query.ptr);
        const char *eq = len == 0 ? NULL : memchr(query.ptr, '=', len);
        size_t name = eq == NULL ? len : (size_t)(eq - query.ptr);
        size_t skip = SL_MIN(name + 1, len);
        if (count == max) {
            return SL_FAIL(err, SL_EINTERNAL, "a request with more than %u parameters", max);
        }
        ret[count++] = (struct sli_pair){{query.ptr, name}, {query.ptr + skip, len - skip}};
        size_t step = SL_MIN(len + 1, query.len);
        query = (struct sl_str){query.ptr + step, query.len - step};
    }
    *ret_count = count;
    return SL_OK;
}

void sli_lower(struct sl_str text, struct sl_buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        sl_buf_add_u8(out, (uint8_t)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c));
    }
}
