/* include/exclude -> classes: exact and case-sensitive, order of include kept, no name twice.
 *
 * Unknown names are kept, so that the reply can tell them instead of dropping them silently. Lists
 * come from a request of up to the body limit, so everything here sorts and searches; nothing
 * compares each with each. */
#include "export/export_int.h"

#include <stdlib.h>

/* The job keeps them for its replies; nobody reads on after so many. */
#define UNKNOWN_MAX 1000

struct name {
    struct sl_str text;
    uint32_t at; /* place in the list it came from */
};
struct names {
    struct name *items; /* by bytes, then by place */
    uint32_t count;
};

static int by_text(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    return sl_bytes_cmp(sl_str_bytes(x->text), sl_str_bytes(y->text));
}

static int by_text_and_place(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    int c = by_text(a, b);
    return c != 0 ? c : (x->at > y->at) - (x->at < y->at);
}

static sl_rc sort(struct sl_arena *arena, const struct sl_str *list, uint32_t count,
                  struct names *ret, struct sl_err *err)
{
    ret->items = sl_arena_array(arena, struct name, (size_t)count + 1);
    if (ret->items == NULL) {
        return SL_NOMEM(err);
    }
    ret->count = count;
    for (uint32_t i = 0; i < count; i++) {
        ret->items[i] = (struct name){list[i], i};
    }
    qsort(ret->items, count, sizeof(*ret->items), by_text_and_place);
    return SL_OK;
}

static bool has(const struct names *names, struct sl_str text)
{
    struct name key = {.text = text};
    return bsearch(&key, names->items, names->count, sizeof(key), by_text) != NULL;
}

static sl_rc add(struct sli_job *job, struct sl_str *list, uint32_t *count, struct sl_str name,
                 struct sl_err *err)
{
    struct sl_str copy = sl_arena_str(&job->arena, name);
    if (copy.ptr == NULL) {
        return SL_NOMEM(err);
    }
    list[(*count)++] = copy;
    return SL_OK;
}

static sl_rc add_unknown(struct sli_job *job, struct sl_str name, struct sl_err *err)
{
    if (job->unknown_count == UNKNOWN_MAX) {
        return SL_FAIL(err, SL_EINVAL,
                       "export validation error: resolve classes: more than %d unknown "
                       "collections are named, the first is \"%.200s\"",
                       UNKNOWN_MAX, job->unknown[0].ptr);
    }
    return add(job, job->unknown, &job->unknown_count, name, err);
}

/* Names of the request in their order, each once: known ones (include only) and unknown ones. */
static sl_rc take_named(struct sli_job *job, const struct names *known, const struct names *named,
                        const struct sl_str *list, bool is_include, struct sl_arena *scratch,
                        struct sl_err *err)
{
    bool *is_repeated = sl_arena_array(scratch, bool, (size_t)named->count + 1);
    if (is_repeated == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 1; i < named->count; i++) {
        is_repeated[named->items[i].at] = by_text(&named->items[i - 1], &named->items[i]) == 0;
    }
    for (uint32_t i = 0; i < named->count; i++) {
        if (is_repeated[i]) {
            continue;
        }
        if (!has(known, list[i])) {
            SL_TRY(add_unknown(job, list[i], err));
        } else if (is_include) {
            SL_TRY(add(job, job->classes, &job->class_count, list[i], err));
        }
    }
    return SL_OK;
}

static void drop_invisible(const struct sl_export_request *request, struct sl_str *all,
                           uint32_t *count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++) {
        if (request->is_visible == NULL || request->is_visible(request->visible_arg, all[i])) {
            all[kept++] = all[i];
        }
    }
    *count = kept;
}

static sl_rc select_classes(struct sl_source *src, const struct sl_export_request *request,
                            struct sli_job *job, struct sl_arena *scratch, struct sl_err *err)
{
    struct sl_str *all = NULL;
    uint32_t all_count = 0;
    bool is_include = request->include_count > 0;
    const struct sl_str *list = is_include ? request->include : request->exclude;
    uint32_t list_count = is_include ? request->include_count : request->exclude_count;
    struct names known = {0}, named = {0};
    SL_TRY(src->ops->classes(src, scratch, &all, &all_count, err));
    drop_invisible(request, all, &all_count);
    SL_TRY(sort(scratch, all, all_count, &known, err));
    SL_TRY(sort(scratch, list, list_count, &named, err));
    job->classes = sl_arena_array(&job->arena, struct sl_str, (size_t)all_count + 1);
    job->unknown = sl_arena_array(&job->arena, struct sl_str, UNKNOWN_MAX);
    if (job->classes == NULL || job->unknown == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(take_named(job, &known, &named, list, is_include, scratch, err));
    for (uint32_t i = 0; !is_include && i < all_count; i++) {
        if (!has(&named, all[i])) {
            SL_TRY(add(job, job->classes, &job->class_count, all[i], err));
        }
    }
    return SL_OK;
}

sl_rc sli_select(struct sl_source *src, const struct sl_export_request *request,
                 struct sli_job *job, struct sl_err *err)
{
    struct sl_arena scratch = SL_ARENA_EMPTY;
    sl_rc rc = select_classes(src, request, job, &scratch, err);
    sl_arena_fini(&scratch);
    SL_TRY(rc);
    if (job->class_count == 0) {
        return SL_FAIL(err, SL_EINVAL, "export validation error: no exportable classes");
    }
    return SL_OK;
}
