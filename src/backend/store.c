/* The base of the drivers of object stores: place, connections, settings. */
#include "backend/store_int.h"

#include "base/crypto.h"
#include "base/file.h"

/* "/a//b/./c" -> "/a/b/c/": as the reference joins paths. A slash in front stays: it is part of the
 * objects' names there. ".." takes the part before it away. */
static sl_rc clean_prefix(struct sl_str prefix, char **ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    size_t floor = prefix.len > 0 && prefix.ptr[0] == '/';
    sl_buf_add_text(&out, floor > 0 ? "/" : "");
    for (size_t from = 0, i = 0; i <= prefix.len; i++) {
        if (i < prefix.len && prefix.ptr[i] != '/') {
            continue;
        }
        struct sl_str part = {prefix.ptr + from, i - from};
        from = i + 1;
        if (sl_str_is(part, "..")) {
            out.len -= out.len > floor; /* the slash behind the part */
            while (out.len > floor && out.ptr[out.len - 1] != '/') {
                out.len--;
            }
        } else if (part.len > 0 && !sl_str_is(part, ".")) {
            sl_buf_add_str(&out, part);
            sl_buf_add_u8(&out, '/');
        }
    }
    SL_TRY(sl_buf_done(&out, err));
    *ret = sl_strndup((const char *)out.ptr, out.len);
    return *ret == NULL ? SL_NOMEM(err) : SL_OK;
}

static sl_rc read_authorities(const struct sl_config *config, struct sl_buf *out,
                              struct sl_err *err)
{
    if (config->store_ca[0] == '\0') {
        return SL_OK;
    }
    sl_rc rc = sl_file_read_all(config->store_ca, SL_BACKEND_CA_MAX, out, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "SLUICE_STORE_CA");
    }
    return rc;
}

sl_rc sli_store_init(struct sli_store *st, const struct sl_backend_ops *ops,
                     const struct sl_backend_env *env, struct sl_str bucket, struct sl_str prefix,
                     struct sl_err *err)
{
    SL_AUTO(sl_buf) authorities = SL_BUF_EMPTY;
    st->backend.ops = ops;
    st->config = env->config;
    st->clock = env->clock;
    st->cancel = env->cancel;
    st->is_cancel_wide = env->is_cancel_wide;
    st->deadline_ns = env->config->store_deadline_ns;
    if (env->retry_ns > 0) {
        st->deadline_ns = SL_MIN(st->deadline_ns, env->retry_ns);
    }
    st->awaited_ns = env->deadline_ns;
    SL_TRY(read_authorities(env->config, &authorities, err));
    st->bucket = sl_strndup(bucket.ptr, bucket.len);
    if (st->bucket == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(clean_prefix(prefix, &st->prefix, err));
    struct sl_http_opts opts = {.authorities = sl_buf_view(&authorities),
                                .bytes_per_s = env->config->store_bandwidth,
                                .stall_ns = env->config->store_stall_ns};
    return sl_http_new(&opts, &st->http, err);
}

void sli_path_add(struct sl_buf *out, struct sl_str path)
{
    for (size_t from = 0, i = 0; i <= path.len; i++) {
        if (i == path.len || path.ptr[i] == '/') {
            sl_percent_encode((struct sl_str){path.ptr + from, i - from}, out);
            if (i < path.len) {
                sl_buf_add_u8(out, '/');
            }
            from = i + 1;
        }
    }
}

void sli_form_add(struct sl_buf *out, const char *name, struct sl_str value)
{
    sl_buf_addf(out, "%s%s=", out->len == 0 ? "" : "&", name);
    sl_percent_encode(value, out);
}

void sli_wipe(struct sl_buf *b)
{
    if (b->ptr != NULL) {
        sl_wipe(b->ptr, b->cap);
    }
    sl_buf_fini(b);
}

void sli_store_fini(struct sli_store *st)
{
    sl_http_free(st->http);
    sl_free(st->bucket);
    sl_free(st->prefix);
}
