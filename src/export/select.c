/* include/exclude -> classes: exact and case-sensitive, order of include kept, no name twice.
 * Unknown names are kept, so that the reply can tell them instead of dropping them silently. */
#include "export/export_int.h"

static bool is_in(const struct sl_str *names, uint32_t count, struct sl_str name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (sl_str_eq(names[i], name)) {
            return true;
        }
    }
    return false;
}

static sl_rc add(struct sli_job *job, struct sl_str *list, uint32_t *count, struct sl_str name,
                 struct sl_err *err)
{
    if (is_in(list, *count, name)) {
        return SL_OK;
    }
    struct sl_str copy = sl_arena_str(&job->arena, name);
    if (copy.ptr == NULL) {
        return SL_NOMEM(err);
    }
    list[(*count)++] = copy;
    return SL_OK;
}

sl_rc sli_select(struct sl_source *src, const struct sl_export_request *request,
                 struct sli_job *job, struct sl_err *err)
{
    struct sl_str *all = NULL;
    uint32_t all_count = 0;
    SL_TRY(src->ops->classes(src, &job->arena, &all, &all_count, err));
    uint32_t named = request->include_count + request->exclude_count;
    job->classes = sl_arena_array(&job->arena, struct sl_str, (size_t)all_count + 1);
    job->unknown = sl_arena_array(&job->arena, struct sl_str, (size_t)named + 1);
    if (job->classes == NULL || job->unknown == NULL) {
        return SL_NOMEM(err);
    }
    const struct sl_str *list = request->include_count > 0 ? request->include : request->exclude;
    for (uint32_t i = 0; i < named; i++) {
        if (!is_in(all, all_count, list[i])) {
            SL_TRY(add(job, job->unknown, &job->unknown_count, list[i], err));
        } else if (request->include_count > 0) {
            SL_TRY(add(job, job->classes, &job->class_count, list[i], err));
        }
    }
    for (uint32_t i = 0; request->include_count == 0 && i < all_count; i++) {
        if (!is_in(request->exclude, request->exclude_count, all[i])) {
            SL_TRY(add(job, job->classes, &job->class_count, all[i], err));
        }
    }
    if (job->class_count == 0) {
        return SL_FAIL(err, SL_EINVAL, "export validation error: no exportable classes");
    }
    return SL_OK;
}
