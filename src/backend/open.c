/* A destination by its place: which driver, which bucket, which prefix. */
#include "backend/store_int.h"

typedef sl_rc opener(const struct sl_backend_env *env, struct sl_str bucket, struct sl_str prefix,
                     struct sl_backend **ret, struct sl_err *err);

static const struct {
    const char *scheme;
    opener *open;
} stores[] = {
    {"s3://", sli_s3_open},
    {"gs://", sli_gcs_open},
    {"az://", sli_azure_open},
};

static const char *const folder_scheme = "file://";

static bool has_scheme(struct sl_str place)
{
    for (size_t i = 0; i + 2 < place.len; i++) {
        if (place.ptr[i] == ':' && place.ptr[i + 1] == '/' && place.ptr[i + 2] == '/') {
            return i > 0;
        }
        if (place.ptr[i] == '/') {
            break;
        }
    }
    return false;
}

bool sl_backend_is_store(struct sl_str place)
{
    return has_scheme(place) && !sl_str_starts(place, folder_scheme);
}

static sl_rc open_folder(struct sl_str folder, struct sl_backend **ret, struct sl_err *err)
{
    SL_AUTO_MEM(char) path = sl_strndup(folder.ptr, folder.len);
    return path == NULL ? SL_NOMEM(err) : sl_backend_filesystem_open(path, ret, err);
}

sl_rc sl_backend_open(const struct sl_backend_env *env, struct sl_str place,
                      struct sl_backend **ret, struct sl_err *err)
{
    if (!sl_backend_is_store(place)) {
        size_t skip = sl_str_starts(place, folder_scheme) ? strlen(folder_scheme) : 0;
        return open_folder((struct sl_str){place.ptr + skip, place.len - skip}, ret, err);
    }
    for (size_t i = 0; i < SL_COUNT_OF(stores); i++) {
        if (!sl_str_starts(place, stores[i].scheme)) {
            continue;
        }
        size_t at = strlen(stores[i].scheme);
        struct sl_str rest = {place.ptr + at, place.len - at};
        const char *slash = rest.len == 0 ? NULL : memchr(rest.ptr, '/', rest.len);
        size_t bucket_len = slash == NULL ? rest.len : (size_t)(slash - rest.ptr);
        size_t used = SL_MIN(bucket_len + 1, rest.len);
        if (bucket_len == 0) {
            return SL_FAIL(err, SL_EINVAL, "%.*s: no bucket behind %s", SL_STR_ARG(place),
                           stores[i].scheme);
        }
        return stores[i].open(env, (struct sl_str){rest.ptr, bucket_len},
                              (struct sl_str){rest.ptr + used, rest.len - used}, ret, err);
    }
    return SL_FAIL(err, SL_EINVAL, "%.*s: a folder, s3://, gs:// or az:// is needed",
                   SL_STR_ARG(place));
}
