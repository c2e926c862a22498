/* Shards of the frozen view -> ranges with their file numbers.
 *
 * One range is one file. Counts come from the view, nothing is scanned. Two shards may share the
 * prefix `{collection}_{shard}` (A_B + c, A + B_c), or the folder of their class (layout lake): the
 * members of such a group are sorted and each starts where the numbers of the one before end, so
 * names never collide and an export without a clash has the names of the reference. Prefixes are
 * compared without case, because the target may fold it. */
#include "export/export_int.h"

#include <ctype.h>
#include <stdlib.h>

#define OBJECTS_MIN     50000  /* fewer in a range: one more file gains nothing */
#define OBJECTS_MAX     500000 /* more in a range: files loaders refuse */
#define LAKE_RANGES     256    /* of a shard in layout lake, whatever the machine */
#define FILE_NAME_MAX   255    /* of every file system we know */
#define SAMPLED_OBJECTS 100    /* of a shard, to tell the size of its files */
#define ROW_BYTES       32     /* id and times */

uint32_t sli_range_count(uint64_t objects, uint32_t parallelism)
{
    uint64_t n = SL_MIN((uint64_t)parallelism, objects / OBJECTS_MIN);
    n = SL_MAX(n, (objects + OBJECTS_MAX - 1) / OBJECTS_MAX);
    return (uint32_t)SL_MIN(SL_MAX(n, (uint64_t)1), (uint64_t)1000000);
}

static int by_bytes(const void *a, const void *b)
{
    return sl_bytes_cmp(sl_str_bytes(*(const struct sl_str *)a),
                        sl_str_bytes(*(const struct sl_str *)b));
}

/* The view's strings end with the view, but replies tell of shards long after. */
static sl_rc keep_shard(struct sli_job *job, const struct sl_shard *from, struct sl_str class_name,
                        struct sl_shard *ret, struct sl_err *err)
{
    *ret = *from;
    ret->class_name = class_name;
    ret->name = sl_arena_str(&job->arena, from->name);
    ret->skip_reason = sl_arena_str(&job->arena, from->skip_reason);
    bool is_whole = class_name.ptr != NULL && ret->name.ptr != NULL && ret->skip_reason.ptr != NULL;
    return is_whole ? SL_OK : SL_NOMEM(err);
}

struct tenants { /* the request's, in byte order; none: all are wanted */
    struct sl_str *names;
    bool *is_met; /* a class has it */
    uint32_t count;
};

static sl_rc sort_tenants(struct sli_job *job, const struct sl_export_request *request,
                          struct tenants *ret, struct sl_err *err)
{
    uint32_t count = request->tenant_count;
    *ret = (struct tenants){.names = sl_arena_array(&job->arena, struct sl_str, count + 1),
                            .is_met = sl_arena_array(&job->arena, bool, count + 1)};
    if (ret->names == NULL || ret->is_met == NULL) {
        return SL_NOMEM(err);
    }
    for (; ret->count < count; ret->count++) {
        ret->names[ret->count] = request->tenants[ret->count];
        ret->is_met[ret->count] = false;
    }
    qsort(ret->names, count, sizeof(*ret->names), by_bytes);
    return SL_OK;
}

/* Where a name that is there twice has its one mark; NULL: it is not in the list. */
static bool *mark_of(const struct tenants *t, struct sl_str name)
{
    const struct sl_str *at =
        t->count == 0 ? NULL : bsearch(&name, t->names, t->count, sizeof(*t->names), by_bytes);
    return at == NULL ? NULL : &t->is_met[at - t->names];
}

static bool is_wanted(const struct tenants *t, const struct sl_shard *s)
{
    bool *is_met = s->is_tenant ? mark_of(t, s->name) : NULL;
    if (is_met != NULL) {
        *is_met = true;
    }
    return is_met != NULL || t->count == 0;
}

/* A name that is nowhere would be missed by nobody but whoever reads the files. */
static sl_rc check_tenants(const struct tenants *t, struct sl_err *err)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (!*mark_of(t, t->names[i])) {
            return SL_FAIL(err, SL_EINVAL, "no collection of the export has a tenant \"%.*s\"",
                           SL_STR_ARG(t->names[i]));
        }
    }
    return SL_OK;
}

/* The shards of all classes, classes in byte order as records list them. */
static sl_rc list_shards(struct sli_job *job, const struct sl_export_request *request,
                         struct sl_err *err)
{
    struct sl_str *names = sl_arena_array(&job->arena, struct sl_str, job->class_count);
    struct sl_shard **lists = sl_arena_array(&job->arena, struct sl_shard *, job->class_count);
    uint32_t *counts = sl_arena_array(&job->arena, uint32_t, job->class_count);
    struct sl_str *schemas = sl_arena_array(&job->arena, struct sl_str, job->class_count);
    uint32_t total = 0;
    struct tenants wanted;
    if (names == NULL || lists == NULL || counts == NULL || schemas == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sort_tenants(job, request, &wanted, err));
    memcpy(names, job->classes, job->class_count * sizeof(*names));
    qsort(names, job->class_count, sizeof(*names), by_bytes);
    for (uint32_t i = 0; i < job->class_count; i++) {
        sl_rc rc = job->frozen->ops->shards(job->frozen, names[i], &job->arena, &lists[i],
                                            &counts[i], err);
        if (rc == SL_ENOTFOUND) {
            return SL_FAIL(err, SL_EINTERNAL, "index not found for class %.*s",
                           SL_STR_ARG(names[i]));
        }
        SL_TRY(rc);
        SL_TRY(job->frozen->ops->schema(job->frozen, names[i], &job->arena, &schemas[i], err));
        total += counts[i];
    }
    job->shards = sl_arena_array(&job->arena, struct sli_shard_job, (size_t)total + 1);
    if (job->shards == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < job->class_count; i++) {
        struct sl_str class_name = sl_arena_str(&job->arena, names[i]);
        for (uint32_t s = 0; s < counts[i]; s++) {
            if (!is_wanted(&wanted, &lists[i][s])) {
                continue;
            }
            struct sl_shard *shard = &job->shards[job->shard_count].shard;
            SL_TRY(keep_shard(job, &lists[i][s], class_name, shard, err));
            job->shards[job->shard_count].class_json = schemas[i];
            job->shard_count++; /* at any moment: how many are whole */
        }
    }
    return check_tenants(&wanted, err);
}

/* Bytes of a shard's rows, by its first objects. */
static sl_rc estimate_bytes(struct sli_job *job, const struct sl_shard *shard, uint64_t *ret,
                            struct sl_err *err)
{
    struct sl_range_key all = {.has_hi = false};
    SL_AUTO_PTR(sl_cursor) cur = NULL;
    uint64_t bytes = 0, count = 0;
    SL_TRY(job->frozen->ops->cursor(job->frozen, shard, &all, &cur, err));
    while (count < SAMPLED_OBJECTS) {
        const struct sl_object *obj = NULL;
        sl_rc rc = sl_cursor_next(cur, &obj, err);
        if (rc == SL_END) {
            break;
        }
        SL_TRY(rc);
        bytes += obj->vector.len + obj->properties.len + ROW_BYTES;
        for (uint32_t i = 0; i < obj->named_count; i++) {
            bytes += obj->named[i].floats.len;
        }
        for (uint32_t i = 0; i < obj->multi_count; i++) {
            bytes += obj->multi[i].body.len;
        }
        count++;
    }
    *ret = count == 0 ? 0 : bytes / count * shard->object_count;
    return SL_OK;
}

/* Files of layout `weaviate` are cut as the reference cuts them, by its parallelism; those of
 * `lake` by the data alone, so that any machine makes the same bytes of it. */
static uint32_t spread_of(const struct sli_job *job)
{
    return job->settings.layout == SL_LAYOUT_LAKE ? LAKE_RANGES : job->parallelism;
}

static sl_rc add_ranges(struct sli_job *job, uint32_t shard_idx, uint32_t *cap, struct sl_err *err)
{
    struct sli_shard_job *s = &job->shards[shard_idx];
    struct sl_range_key *keys = NULL;
    uint32_t want = sli_range_count(s->shard.object_count, spread_of(job));
    if (job->settings.file_bytes > 0) {
        uint64_t bytes = 0;
        SL_TRY(estimate_bytes(job, &s->shard, &bytes, err));
        uint64_t files = (bytes + job->settings.file_bytes - 1) / job->settings.file_bytes;
        want = (uint32_t)SL_MIN(SL_MAX(files, (uint64_t)want), (uint64_t)1000000);
    }
    SL_TRY(job->frozen->ops->split(job->frozen, &s->shard, want, &job->arena, &keys,
                                   &s->range_count, err));
    if (job->range_count + s->range_count > *cap) {
        uint32_t more = SL_MAX(*cap * 2, job->range_count + s->range_count);
        struct sli_range *grown = sl_arena_array(&job->arena, struct sli_range, more);
        if (grown == NULL) {
            return SL_NOMEM(err);
        }
        if (job->range_count > 0) {
            memcpy(grown, job->ranges, job->range_count * sizeof(*grown));
        }
        job->ranges = grown;
        *cap = more;
    }
    for (uint32_t i = 0; i < s->range_count; i++) {
        job->ranges[job->range_count++] =
            (struct sli_range){.shard_idx = shard_idx, .number = i, .key = keys[i]};
    }
    atomic_store_explicit(&s->ranges_left, s->range_count, memory_order_relaxed);
    job->objects_total += s->shard.object_count;
    job->is_total_estimated |= s->shard.is_count_estimated;
    return SL_OK;
}

/* ---- numbers of colliding prefixes ---- */

struct member {
    char *prefix; /* of the files' names, lower-cased */
    uint32_t shard_idx;
    const struct sli_job *job;
};

static int by_prefix(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int c = strcmp(x->prefix, y->prefix);
    if (c != 0) {
        return c;
    }
    const struct sl_shard *s = &x->job->shards[x->shard_idx].shard;
    const struct sl_shard *t = &y->job->shards[y->shard_idx].shard;
    c = sl_bytes_cmp(sl_str_bytes(s->class_name), sl_str_bytes(t->class_name));
    return c != 0 ? c : sl_bytes_cmp(sl_str_bytes(s->name), sl_str_bytes(t->name));
}

/* A value in a path of Hive's kind: what readers would take apart is percent-encoded. */
static void add_hive(struct sl_buf *out, const char *key, struct sl_str value)
{
    sl_buf_addf(out, "%s=", key);
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = (uint8_t)value.ptr[i];
        if (isalnum(c) || c == '_' || c == '-' || c == '.') {
            sl_buf_add_u8(out, c);
        } else {
            sl_buf_addf(out, "%%%02X", c);
        }
    }
    sl_buf_add_u8(out, '/');
}

/* What the names of a shard's files have before their number. */
static void add_prefix(const struct sli_job *job, const struct sl_shard *s, struct sl_buf *out)
{
    if (job->settings.layout != SL_LAYOUT_LAKE) {
        sl_buf_addf(out, "%.*s_%.*s", SL_STR_ARG(s->class_name), SL_STR_ARG(s->name));
        return;
    }
    add_hive(out, "collection", s->class_name);
    if (s->is_tenant) {
        add_hive(out, "tenant", s->name);
    }
}

static sl_rc number_ranges(struct sli_job *job, struct sl_err *err)
{
    struct member *members =
        sl_arena_array(&job->arena, struct member, (size_t)job->shard_count + 1);
    uint32_t *first = sl_arena_array(&job->arena, uint32_t, (size_t)job->shard_count + 1);
    if (members == NULL || first == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < job->shard_count; i++) {
        const struct sl_shard *s = &job->shards[i].shard;
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        add_prefix(job, s, &text);
        for (size_t c = 0; c < text.len; c++) {
            text.ptr[c] = (uint8_t)tolower(text.ptr[c]);
        }
        struct sl_str copy = sl_arena_str(&job->arena, sl_buf_str(&text));
        if (text.is_failed || copy.ptr == NULL) {
            return SL_NOMEM(err);
        }
        members[i] = (struct member){(char *)(uintptr_t)copy.ptr, i, job};
    }
    if (job->shard_count > 0) {
        qsort(members, job->shard_count, sizeof(*members), by_prefix);
    }
    for (uint32_t i = 1; i < job->shard_count; i++) {
        if (strcmp(members[i].prefix, members[i - 1].prefix) == 0) {
            uint32_t before = members[i - 1].shard_idx;
            first[members[i].shard_idx] = first[before] + job->shards[before].range_count;
        }
    }
    for (uint32_t i = 0; i < job->range_count; i++) {
        job->ranges[i].number += first[job->ranges[i].shard_idx];
    }
    return SL_OK;
}

void sli_file_name(const struct sli_job *job, const struct sli_range *range, struct sl_buf *out)
{
    add_prefix(job, &job->shards[range->shard_idx].shard, out);
    if (job->settings.layout == SL_LAYOUT_LAKE) {
        sl_buf_addf(out, "part-%05u.parquet", range->number);
    } else {
        sl_buf_addf(out, "_%04u.parquet", range->number);
    }
}

static sl_rc check_names(const struct sli_job *job, struct sl_err *err)
{
    for (uint32_t i = 0; i < job->range_count; i++) {
        const struct sl_shard *s = &job->shards[job->ranges[i].shard_idx].shard;
        /* Name and its temporary form: "_", number, ".parquet", ".", random and suffix around it.
         */
        size_t len = s->class_name.len + s->name.len + 1 + 11 + 8 + 32;
        if (len > FILE_NAME_MAX) {
            return SL_FAIL(err, SL_EINVAL,
                           "class %.*s shard %.*s: the file name would be longer than %d bytes",
                           SL_STR_ARG(s->class_name), SL_STR_ARG(s->name), FILE_NAME_MAX);
        }
    }
    return SL_OK;
}

/* A column that no class has is a mistake, and would be missed only when the files are read. */
static sl_rc check_columns(struct sli_job *job, struct sl_err *err)
{
    uint32_t count = job->settings.column_count;
    bool *is_met = sl_arena_array(&job->arena, bool, (size_t)count + 1);
    if (is_met == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < job->shard_count && count > 0; i++) {
        SL_AUTO_PTR(sl_layout) layout = NULL;
        if (i == 0 ||
            !sl_str_eq(job->shards[i].shard.class_name, job->shards[i - 1].shard.class_name)) {
            SL_TRY(sli_layout_open(job, job->shards[i].class_json, is_met, &layout, err));
        }
    }
    for (uint32_t i = 0; i < count && job->shard_count > 0; i++) {
        if (!is_met[i] && !sl_str_is(job->settings.columns[i], "id")) {
            return SL_FAIL(err, SL_EINVAL, "config.columns: no exported collection has \"%.*s\"",
                           SL_STR_ARG(job->settings.columns[i]));
        }
    }
    return SL_OK;
}

sl_rc sli_plan(struct sli_job *job, const struct sl_export_request *request, struct sl_err *err)
{
    uint32_t cap = 0;
    SL_TRY(list_shards(job, request, err));
    SL_TRY(check_columns(job, err));
    for (uint32_t i = 0; i < job->shard_count; i++) {
        if (job->shards[i].shard.skip_reason.len == 0) {
            SL_TRY(add_ranges(job, i, &cap, err));
        }
    }
    job->files = sl_arena_array(&job->arena, struct sli_file, (size_t)job->range_count + 1);
    if (job->files == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(number_ranges(job, err));
    return check_names(job, err);
}

static void add_number(struct sl_json *w, const char *key, uint64_t n)
{
    sl_json_key(w, key);
    sl_json_u64(w, n);
}

void sli_plan_json(const struct sli_job *job, struct sl_buf *out)
{
    uint64_t bytes = 0;
    struct sl_json w = sl_json_over(out);
    sl_json_obj(&w);
    sl_json_key(&w, "shards");
    sl_json_arr(&w);
    for (uint32_t i = 0; i < job->shard_count; i++) {
        const struct sl_shard *s = &job->shards[i].shard;
        sl_json_obj(&w);
        sl_json_key(&w, "class");
        sl_json_str(&w, s->class_name);
        sl_json_key(&w, "shard");
        sl_json_str(&w, s->name);
        sl_json_key(&w, "status");
        sl_json_text(&w, s->skip_reason.len > 0 ? "SKIPPED" : "READ");
        if (s->skip_reason.len > 0) {
            sl_json_key(&w, "skipReason");
            sl_json_str(&w, s->skip_reason);
        }
        add_number(&w, "objects", s->object_count);
        add_number(&w, "bytes", s->byte_count);
        add_number(&w, "files", job->shards[i].range_count);
        sl_json_obj_end(&w);
        bytes += s->byte_count;
    }
    sl_json_arr_end(&w);
    add_number(&w, "objects", job->objects_total);
    add_number(&w, "bytes", bytes);
    add_number(&w, "files", job->range_count);
    sli_unknown_json(job, &w);
    sl_json_obj_end(&w);
    sl_buf_add_u8(out, '\n');
}
