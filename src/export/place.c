/* Where the exports of a backend go: a folder, or bucket and path of an object store as a URL.
 *
 * The name is the request's, the rest are settings; the job and its journal keep the place, so an
 * export is found where it wrote although the settings have changed since. Pure. @threads any. */
#include "base/str.h"
#include "export/export_int.h"

#define OLD_PREFIX "backup-" /* the reference's names of its modules */

static const struct {
    const char *name, *scheme; /* NULL: a folder */
} backends[] = {
    {"filesystem", NULL},
    {"s3", "s3://"},
    {"gcs", "gs://"},
    {"azure", "az://"},
};

static struct sl_str short_name(struct sl_str backend)
{
    size_t skip = sl_str_starts(backend, OLD_PREFIX) ? strlen(OLD_PREFIX) : 0;
    return (struct sl_str){backend.ptr + skip, backend.len - skip};
}

/* Which row; SL_COUNT_OF(backends): none. */
static size_t find(struct sl_str backend)
{
    size_t i = 0;
    while (i < SL_COUNT_OF(backends) && !sl_str_is(short_name(backend), backends[i].name)) {
        i++;
    }
    return i;
}

sl_rc sli_place_check(const struct sl_export_settings *settings, struct sl_str backend,
                      struct sl_err *err)
{
    size_t i = find(backend);
    bool is_store = i < SL_COUNT_OF(backends) && backends[i].scheme != NULL;
    return is_store && settings->bucket.len == 0
               ? SL_FAIL(err, SL_EINVAL,
                         "export validation error: EXPORT_DEFAULT_BUCKET is required for backend "
                         "\"%.*s\"",
                         SL_STR_ARG(backend))
               : SL_OK;
}

sl_rc sli_place(const struct sl_export_settings *settings, struct sl_str backend,
                struct sl_buf *out, struct sl_err *err)
{
    size_t i = find(backend);
    if (i == SL_COUNT_OF(backends)) {
        return SL_FAIL(
            err, SL_EINVAL,
            "export validation error: backend %.*s not available: backup: %.*s not found",
            SL_STR_ARG(backend), SL_STR_ARG(backend));
    }
    if (backends[i].scheme != NULL) {
        sl_buf_addf(out, "%s%.*s/%.*s", backends[i].scheme, SL_STR_ARG(settings->bucket),
                    SL_STR_ARG(settings->store_path));
        return sl_buf_done(out, err);
    }
    if (sl_backend_is_store(settings->path)) {
        return SL_FAIL(err, SL_EINVAL,
                       "export validation error: EXPORT_DEFAULT_PATH is \"%.*s\": the backend "
                       "\"%.*s\" needs a folder",
                       SL_STR_ARG(settings->path), SL_STR_ARG(backend));
    }
    sl_buf_add_str(out, settings->path);
    return sl_buf_done(out, err);
}

sl_rc sl_export_destination(struct sl_str place, struct sl_export_settings *settings,
                            struct sl_str *ret_backend, struct sl_err *err)
{
    if (!sl_backend_is_store(place)) {
        size_t skip = sl_str_starts(place, "file://") ? strlen("file://") : 0;
        settings->path = (struct sl_str){place.ptr + skip, place.len - skip};
        *ret_backend = SL_STR("filesystem");
        return SL_OK;
    }
    for (size_t i = 0; i < SL_COUNT_OF(backends); i++) {
        if (backends[i].scheme == NULL || !sl_str_starts(place, backends[i].scheme)) {
            continue;
        }
        size_t at = strlen(backends[i].scheme);
        struct sl_str rest = {place.ptr + at, place.len - at};
        const char *slash = rest.len == 0 ? NULL : memchr(rest.ptr, '/', rest.len);
        size_t bucket = slash == NULL ? rest.len : (size_t)(slash - rest.ptr);
        size_t used = SL_MIN(bucket + 1, rest.len);
        settings->bucket = (struct sl_str){rest.ptr, bucket};
        settings->store_path = (struct sl_str){rest.ptr + used, rest.len - used};
        *ret_backend = sl_str_from(backends[i].name);
        return bucket > 0 ? SL_OK
                          : SL_FAIL(err, SL_EINVAL, "%.*s: no bucket behind %s", SL_STR_ARG(place),
                                    backends[i].scheme);
    }
    return SL_FAIL(err, SL_EINVAL, "%.*s: a folder, s3://, gs:// or az:// is needed",
                   SL_STR_ARG(place));
}

sl_rc sli_open(struct sl_exports *ex, struct sl_str place, struct sl_cancel *cancel,
               int64_t deadline_ns, struct sl_backend **ret, struct sl_err *err)
{
    struct sl_backend_env env = {.config = ex->opts.config,
                                 .clock = ex->opts.clock,
                                 .cancel = cancel,
                                 .is_cancel_wide = deadline_ns > 0, /* of a look nothing stays */
                                 .deadline_ns = deadline_ns};
    return ex->open_backend(&env, place, ret, err);
}
