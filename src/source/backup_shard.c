/* Which files a shard of a backup has and where they lie in its chunks; see backup_shard.h. */
#include "source/backup_shard.h"

#include <stdlib.h>

/* ---- files ---- */

static struct sl_str last_part(struct sl_str path)
{
    const char *slash = memrchr(path.ptr, '/', path.len);
    size_t skip = slash == NULL ? 0 : (size_t)(slash + 1 - path.ptr);
    return (struct sl_str){path.ptr + skip, path.len - skip};
}

static const struct sli_desc_big *find_big(const struct sli_desc_shard *d, struct sl_str path)
{
    for (uint32_t i = 0; i < d->big_count; i++) {
        if (sl_str_eq(d->bigs[i].file, path)) {
            return &d->bigs[i];
        }
    }
    return NULL;
}

/* Names to decide over. What is not known is taken for not empty: open looks again. */
static void add_name(struct sli_shard *s, struct sli_backup_shard *own, struct sl_str path,
                     uint64_t size)
{
    struct sl_str name = last_part(path);
    for (uint32_t i = 0; i < s->pub.file_count; i++) {
        if (sl_str_eq(s->pub.files[i].name, name)) {
            return; /* listed twice, as stored here and in a base */
        }
    }
    s->pub.files[s->pub.file_count++] =
        (struct sl_bucket_file){.name = name, .size = SL_MAX(size, (uint64_t)1)};
    if (sli_is_data_path(path)) {
        own->files[own->file_count++] =
            (struct sli_backup_file){.path = path, .name = name, .size = size};
    }
}

static struct sli_backup_file *file_named(struct sli_backup_shard *own, struct sl_str name)
{
    for (uint32_t i = 0; i < own->file_count; i++) {
        if (sl_str_eq(own->files[i].name, name)) {
            return &own->files[i];
        }
    }
    return NULL;
}

sl_rc sli_backup_shard_list(struct sli_shard *s, struct sli_backup_shard *own,
                            struct sl_arena *arena, struct sl_err *err)
{
    const struct sli_desc_shard *d = own->desc;
    size_t room = (size_t)d->file_count + d->big_count + 1;
    s->pub.files = sl_arena_array(arena, struct sl_bucket_file, room);
    own->files = sl_arena_array(arena, struct sli_backup_file, room);
    if (s->pub.files == NULL || own->files == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < d->file_count; i++) {
        const struct sli_desc_big *big = find_big(d, d->files[i]);
        add_name(s, own, d->files[i], big == NULL ? 0 : big->size);
    }
    for (uint32_t i = 0; i < d->big_count; i++) {
        add_name(s, own, d->bigs[i].file, d->bigs[i].size);
    }
    SL_TRY(sl_fileset_decide(s->pub.files, s->pub.file_count, arena, err));
    for (uint32_t i = 0; i < s->pub.file_count; i++) {
        const struct sli_backup_file *f = file_named(own, s->pub.files[i].name);
        s->pub.files[i].size = f == NULL ? 0 : f->size;
    }
    return SL_OK;
}

/* ---- opening ---- */

static sl_rc add_extent(struct sli_backup_file *f, const struct sli_chunk *c,
                        const struct sli_chunk_entry *e, struct sl_arena *arena, struct sl_err *err)
{
    struct sl_extent *grown = sl_arena_grow(arena, f->extents, f->extent_count, &f->extent_cap);
    if (grown == NULL) {
        return SL_NOMEM(err);
    }
    f->extents = grown;
    f->extents[f->extent_count++] =
        (struct sl_extent){.file = c->file, .at = e->part_at, .len = e->size, .offset = e->at};
    f->where = f->where == NULL ? c->path.ptr : f->where;
    f->found += e->size;
    f->is_whole |= !e->is_part;
    return SL_OK;
}

static bool is_found(const struct sli_backup_file *f, uint32_t chunks_seen)
{
    return f->is_whole || (f->size > 0 && f->found >= f->size) ||
           (f->until > 0 && chunks_seen >= f->until);
}

/* Takes what a chunk has of the shard's files; a chunk without any is given back at once. */
static sl_rc search_chunk(const struct sli_chunk_env *env, struct sli_backup_shard *own, uint32_t i,
                          struct sl_arena *arena, struct sl_err *err)
{
    struct sli_chunk *c = own->chunks[i];
    sl_rc rc = SL_OK;
    bool has_some = false;
    SL_TRY(sli_chunk_use(c, env, err));
    for (uint32_t k = 0; k < own->file_count && rc == SL_OK; k++) {
        struct sli_backup_file *f = &own->files[k];
        const struct sli_chunk_entry *entries = NULL;
        uint32_t count = is_found(f, i) ? 0 : sli_chunk_find(c, f->path, &entries);
        for (uint32_t e = 0; e < count && rc == SL_OK; e++) {
            rc = add_extent(f, c, &entries[e], arena, err);
            has_some = true;
        }
    }
    own->used[i] = has_some;
    if (!has_some) {
        sli_chunk_done(c);
    }
    return rc;
}

static int by_at(const void *a, const void *b)
{
    const struct sl_extent *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

/* All of the file was found: parts without gap and overlap, and as many bytes as were told. */
static sl_rc check_file(const struct sli_backup *b, struct sli_backup_file *f, struct sl_err *err)
{
    uint64_t at = 0;
    if (f->extent_count > 1) {
        qsort(f->extents, f->extent_count, sizeof(*f->extents), by_at);
    }
    for (uint32_t i = 0; i < f->extent_count && f->extents[i].at == at; i++) {
        at += f->extents[i].len;
    }
    if (f->extent_count > 0 && at == f->found && (f->size == 0 || f->size == at)) {
        return SL_OK;
    }
    return SL_FAIL(err, SL_ECORRUPT,
                   "%.*s: %s, which the backup lists, is not whole in its chunks: %llu bytes "
                   "without a gap were found%s%s; copy the backup again, whole, or export what can "
                   "be read with sluice export --skip-damaged",
                   SL_STR_ARG(b->path), f->path.ptr, (unsigned long long)at,
                   f->where == NULL ? "" : ", the first in ", f->where == NULL ? "" : f->where);
}

static void forget_found(struct sli_backup_shard *own)
{
    for (uint32_t i = 0; i < own->file_count; i++) {
        struct sli_backup_file *f = &own->files[i];
        f->extents = NULL;
        f->extent_count = f->extent_cap = 0;
        f->found = 0;
        f->where = NULL;
        f->is_whole = false;
    }
}

static sl_rc find_files(const struct sli_backup *b, const struct sli_chunk_env *env,
                        struct sli_backup_shard *own, struct sl_arena *arena, struct sl_err *err)
{
    uint32_t left = own->file_count;
    for (uint32_t i = 0; i < own->chunk_count && left > 0; i++) {
        SL_TRY(search_chunk(env, own, i, arena, err));
        left = 0;
        for (uint32_t k = 0; k < own->file_count; k++) {
            left += !is_found(&own->files[k], i + 1);
        }
    }
    for (uint32_t i = 0; i < own->file_count; i++) {
        SL_TRY(check_file(b, &own->files[i], err));
    }
    return SL_OK;
}

/* Now that the sizes are known: what counts, and in which order. */
static sl_rc decide(struct sli_shard *s, struct sl_arena *arena, struct sl_err *err)
{
    for (uint32_t i = 0; i < s->pub.file_count; i++) {
        const struct sli_backup_file *f = file_named(s->own, s->pub.files[i].name);
        s->pub.files[i].size = f == NULL ? 0 : f->found;
    }
    sl_rc rc = sl_fileset_decide(s->pub.files, s->pub.file_count, arena, err);
    for (uint32_t i = 0; i < s->pub.file_count; i++) {
        s->pub.files[i].order = (struct sl_str){0}; /* it may lie in the arena */
    }
    return rc;
}

static sl_rc make_blobs(struct sli_shard *s, struct sl_arena *arena, struct sl_bucket_source **ret,
                        uint32_t *ret_count, struct sl_err *err)
{
    struct sl_bucket_source *sources =
        sl_arena_array(arena, struct sl_bucket_source, s->pub.file_count + 1u);
    uint32_t count = 0;
    if (sources == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < s->pub.file_count; i++) {
        const struct sl_bucket_file *from = &s->pub.files[i];
        SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
        if (from->role != SL_ROLE_SEGMENT && from->role != SL_ROLE_LOG) {
            break;
        }
        const struct sli_backup_file *f = file_named(s->own, from->name);
        sl_assert(f != NULL); /* sli_is_data_path knows all names that decide lets count */
        sl_buf_addf(&name, "%s: %s", f->where, f->path.ptr);
        SL_TRY(sl_buf_done(&name, err));
        sources[count] =
            (struct sl_bucket_source){.blob = {.name = sl_arena_str(arena, sl_buf_str(&name)).ptr,
                                               .size = f->found,
                                               .extents = f->extents,
                                               .extent_count = f->extent_count},
                                      .is_log = from->role == SL_ROLE_LOG};
        if (sources[count++].blob.name == NULL) {
            return SL_NOMEM(err);
        }
    }
    *ret = sources;
    *ret_count = count;
    return SL_OK;
}

void sli_backup_shard_close(struct sli_backup_shard *own)
{
    for (uint32_t i = 0; i < own->chunk_count && own->used != NULL; i++) {
        if (own->used[i]) {
            sli_chunk_done(own->chunks[i]);
        }
    }
    own->used = NULL;
    forget_found(own);
}

sl_rc sli_backup_shard_open(struct sli_shard *s, const struct sli_backup *b,
                            const struct sli_chunk_env *env, struct sl_arena *arena,
                            struct sl_bucket_source **ret, uint32_t *ret_count, struct sl_err *err)
{
    struct sli_backup_shard *own = s->own;
    own->used = sl_arena_array(arena, bool, own->chunk_count + 1u);
    if (own->used == NULL) {
        return SL_NOMEM(err);
    }
    sl_rc rc = find_files(b, env, own, arena, err);
    if (rc == SL_OK) {
        rc = decide(s, arena, err);
    }
    if (rc == SL_OK) {
        rc = make_blobs(s, arena, ret, ret_count, err);
    }
    if (rc != SL_OK) {
        sli_backup_shard_close(own);
    }
    return rc;
}
