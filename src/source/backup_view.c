/* A backup as shards and files; see weaviate.h.
 *
 * The descriptors name the files of each shard and the chunks they may lie in. When a shard's turn
 * comes, its chunks are gone through in order until all its data files have been found, whole or in
 * parts; a file is then a blob over places in chunks (or in what was unpacked of them). Sizes of
 * files inside packed chunks are known only then, so what counts in a bucket is decided there.
 *
 * The same shard on several nodes (replicas) is read once, from the first node by name that has
 * data of it: one replica is one state the server could have answered from, a mixture is not. */
#include <stdlib.h>

#include "base/num.h"
#include "base/workers.h"
#include "source/backup.h"
#include "source/chunk.h"
#include "source/source_int.h"
#include "source/unpack.h"

#define BYTES_OF_OBJECT 1024 /* guessed size of an object in a bucket that is packed */
#define PACKED_TWICE    2    /* packed objects are about half as large: for progress only */
#define PACKED_FOUR     4    /* for the room needed, where the descriptor does not tell: text */
#define WORKERS_MAX     256

/* A file of the bucket that may hold objects. */
struct file {
    struct sl_str path; /* as in the archive */
    struct sl_str name; /* its last part */
    uint64_t size;      /* 0 unknown until found */
    uint32_t until;     /* it lies in the chunks before this one only; 0 unknown */
    /* while the shard is open: */
    struct sl_extent *extents;
    uint32_t extent_count, extent_cap;
    uint64_t found;    /* bytes */
    const char *where; /* path of the first chunk with bytes of it */
    bool is_whole;
};
struct shard {
    const struct sli_desc_shard *desc;
    struct file *files;
    uint32_t file_count;
    struct sli_chunk **chunks; /* those of base backups first */
    uint32_t chunk_count, chunk_cap;
    bool *used; /* while open: which of them are in use */
    bool is_planned;
};
struct view {
    struct sli_view view;
    struct sli_backup backup;
    struct sl_arena chunk_arena;
    struct sli_chunk **chunks; /* all, for release */
    uint32_t chunk_count, chunk_cap;
    struct sli_chunk_env env;
    bool is_forgiving; /* damage is told and left out */
    /* Room: what shared chunks need, and the largest shards that workers may have at once. */
    struct sl_weaviate_room *told; /* borrowed, may be NULL */
    uint64_t room_free, room_shared, largest[WORKERS_MAX];
    uint32_t worker_count;
};

static struct view *view_of(struct sli_view *v)
{
    return SL_CONTAINER_OF(v, struct view, view);
}

/* ---- files of a shard ---- */

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
static void add_name(struct sli_shard *s, struct shard *own, struct sl_str path, uint64_t size)
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
        own->files[own->file_count++] = (struct file){.path = path, .name = name, .size = size};
    }
}

static struct file *file_named(struct shard *own, struct sl_str name)
{
    for (uint32_t i = 0; i < own->file_count; i++) {
        if (sl_str_eq(own->files[i].name, name)) {
            return &own->files[i];
        }
    }
    return NULL;
}

static sl_rc take_files(struct view *v, struct sli_shard *s, struct shard *own, struct sl_err *err)
{
    const struct sli_desc_shard *d = own->desc;
    size_t room = (size_t)d->file_count + d->big_count + 1;
    s->pub.files = sl_arena_array(&v->view.arena, struct sl_bucket_file, room);
    own->files = sl_arena_array(&v->view.arena, struct file, room);
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
    SL_TRY(sl_fileset_decide(s->pub.files, s->pub.file_count, &v->view.arena, err));
    for (uint32_t i = 0; i < s->pub.file_count; i++) {
        const struct file *f = file_named(own, s->pub.files[i].name);
        s->pub.files[i].size = f == NULL ? 0 : f->size;
    }
    return SL_OK;
}

/* ---- chunks of a shard ---- */

static sl_rc new_chunk(struct view *v, struct sl_str path, uint32_t shard_count,
                       struct sli_chunk **ret, struct sl_err *err)
{
    struct sl_file_id id = {0};
    bool is_plain = false;
    if (v->chunk_count == v->chunk_cap) {
        uint32_t cap = SL_MAX(v->chunk_cap * 2, 64U);
        struct sli_chunk **grown = sl_realloc(v->chunks, cap * sizeof(struct sli_chunk *));
        if (grown == NULL) {
            return SL_NOMEM(err);
        }
        v->chunks = grown;
        v->chunk_cap = cap;
    }
    struct sli_chunk *c = sl_arena_alloc(&v->chunk_arena, sizeof(*c));
    struct sl_str copy = sl_arena_str(&v->chunk_arena, path);
    if (c == NULL || copy.ptr == NULL) {
        return SL_NOMEM(err);
    }
    sl_rc rc = sl_path_identify(copy.ptr, &id, &is_plain, err);
    if (rc == SL_ENOTFOUND && v->is_forgiving) {
        rc = SL_OK; /* told when a shard wants it */
    }
    if (rc == SL_ENOTFOUND) {
        return SL_FAIL(err, SL_EINVAL,
                       "%s: a chunk of the backup is missing; copy the backup again, whole, or "
                       "export what is there with sluice export --skip-damaged",
                       copy.ptr);
    }
    SL_TRY(rc);
    sli_chunk_init(c, copy, shard_count);
    c->size = id.size;
    v->chunks[v->chunk_count++] = c;
    *ret = c;
    return SL_OK;
}

static sl_rc append_chunk(struct view *v, struct shard *own, struct sli_chunk *chunk,
                          struct sl_err *err)
{
    struct sli_chunk **grown =
        sl_arena_grow(&v->chunk_arena, own->chunks, own->chunk_count, &own->chunk_cap);
    if (grown == NULL) {
        return SL_NOMEM(err);
    }
    own->chunks = grown;
    own->chunks[own->chunk_count++] = chunk;
    return SL_OK;
}

/* Chunks of base backups: "<parent>/<base>/<node>/<key>". */
static sl_rc take_base_chunks(struct view *v, struct sl_str node, struct shard *own,
                              struct sl_err *err)
{
    for (uint32_t i = 0; i < own->desc->big_count; i++) {
        const struct sli_desc_big *big = &own->desc->bigs[i];
        if (big->base.len == 0 || !sli_is_data_path(big->file)) {
            continue;
        }
        for (uint32_t k = 0; k < big->key_count; k++) {
            SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
            struct sli_chunk *chunk = NULL;
            sl_buf_addf(&path, "%.*s/%.*s/%.*s/%.*s", SL_STR_ARG(v->backup.parent),
                        SL_STR_ARG(big->base), SL_STR_ARG(node), SL_STR_ARG(big->keys[k]));
            SL_TRY(sl_buf_done(&path, err));
            SL_TRY(new_chunk(v, sl_buf_str(&path), 1, &chunk, err));
            SL_TRY(append_chunk(v, own, chunk, err));
        }
        for (uint32_t k = 0; k < own->file_count; k++) {
            if (sl_str_eq(own->files[k].path, big->file)) {
                own->files[k].until = own->chunk_count;
            }
        }
    }
    return SL_OK;
}

static sl_rc check_bases(const struct view *v, const struct shard *own, struct sl_err *err)
{
    for (uint32_t i = 0; i < own->desc->big_count; i++) {
        struct sl_str base = own->desc->bigs[i].base;
        SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
        bool is_there = false;
        if (base.len == 0 || v->is_forgiving) {
            continue;
        }
        sl_path_join(&path, v->backup.parent, base);
        SL_TRY(sl_buf_done(&path, err));
        SL_TRY(sl_file_exists(sl_buf_cstr(&path), &is_there, err));
        if (!is_there) {
            return SL_FAIL(err, SL_EINVAL,
                           "%.*s is incremental and its base \"%.*s\" is missing; put the base "
                           "backup beside it, as %s",
                           SL_STR_ARG(v->backup.path), SL_STR_ARG(base), sl_buf_cstr(&path));
        }
    }
    return SL_OK;
}

/* How much of a chunk is unpacked, and how often it grows: told for the class as a whole. */
static void guess_room(struct sli_chunk **chunks, uint32_t count, uint64_t unpacked)
{
    uint64_t packed = 0;
    for (uint32_t i = 0; i < count; i++) {
        packed += chunks[i]->size;
    }
    double factor = unpacked == 0 || packed == 0 ? PACKED_FOUR : (double)unpacked / (double)packed;
    for (uint32_t i = 0; i < count; i++) {
        chunks[i]->unpacked_guess = (uint64_t)((double)chunks[i]->size * SL_MAX(factor, 1.0));
    }
}

/* ---- one shard ---- */

/* The node and its part of the shard; false when no node has it. */
static bool find_shard(const struct view *v, struct sl_str class_name, struct sl_str shard,
                       uint32_t *ret_node, const struct sli_desc_class **ret_class,
                       const struct sli_desc_shard **ret)
{
    *ret = NULL;
    for (uint32_t n = 0; n < v->backup.node_count; n++) {
        const struct sli_desc *d = &v->backup.nodes[n].desc;
        for (uint32_t c = 0; c < d->class_count; c++) {
            const struct sli_desc_class *one = &d->classes[c];
            uint32_t lo = 0, hi = one->shard_count;
            if (!sl_str_eq(one->name, class_name)) {
                continue;
            }
            while (lo < hi) {
                uint32_t mid = lo + (hi - lo) / 2;
                if (sl_bytes_cmp(sl_str_bytes(one->shards[mid].name), sl_str_bytes(shard)) < 0) {
                    lo = mid + 1;
                } else {
                    hi = mid;
                }
            }
            bool is_here = lo < one->shard_count && sl_str_eq(one->shards[lo].name, shard);
            if (is_here && (*ret == NULL || (*ret)->file_count + (*ret)->big_count == 0)) {
                *ret_node = n;
                *ret_class = one;
                *ret = &one->shards[lo];
            }
        }
    }
    return *ret != NULL;
}

/* Servers before 1.35.17 and 1.36.10 back up what is loaded. */
static bool leaves_cold_out(struct sl_str version)
{
    uint64_t part[3] = {0};
    struct sl_str rest = version;
    for (size_t i = 0; i < 3; i++) {
        const char *dot = rest.len == 0 ? NULL : memchr(rest.ptr, '.', rest.len);
        size_t n = dot == NULL || i == 2 ? rest.len : (size_t)(dot - rest.ptr);
        if (!sl_u64_parse((struct sl_str){rest.ptr, n}, &part[i])) {
            break; /* "1.36.0-rc.0": the last number counts as 0 */
        }
        rest =
            (struct sl_str){rest.ptr + SL_MIN(n + 1, rest.len), rest.len - SL_MIN(n + 1, rest.len)};
    }
    return part[0] == 1 &&
           (part[1] < 35 || (part[1] == 35 && part[2] < 17) || (part[1] == 36 && part[2] < 10));
}

static sl_rc tell_left_out(struct view *v, const struct sl_schema_shard *from, struct sli_shard *s,
                           struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    const char *kind = s->pub.shard.is_tenant ? "tenant" : "shard";
    struct sl_str version = v->backup.server_version;
    if (from->status == SL_COLD && leaves_cold_out(version)) {
        sl_buf_addf(&text,
                    "tenant is COLD and the backup (server %.*s) left it out; Weaviate before "
                    "1.35.17 backs up loaded tenants only",
                    SL_STR_ARG(version));
    } else if (from->status == SL_COLD) {
        sl_buf_add_text(&text, "tenant is COLD and the backup holds no data of it");
    } else {
        sl_buf_addf(&text, "the backup (server %.*s) does not hold this %s", SL_STR_ARG(version),
                    kind);
    }
    SL_TRY(sl_buf_done(&text, err));
    s->pub.shard.skip_reason = sl_arena_str(&v->view.arena, sl_buf_str(&text));
    return s->pub.shard.skip_reason.ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

static sl_rc take_shard(struct view *v, uint32_t node, const struct sli_desc_shard *desc,
                        struct sli_shard *s, struct sl_err *err)
{
    struct shard *own = sl_arena_alloc(&v->view.arena, sizeof(*own));
    if (own == NULL) {
        return SL_NOMEM(err);
    }
    own->desc = desc;
    SL_TRY(take_files(v, s, own, err));
    if (own->file_count == 0) {
        s->pub.shard.skip_reason = SL_STR("no data");
        return SL_OK;
    }
    SL_TRY(check_bases(v, own, err));
    SL_TRY(take_base_chunks(v, v->backup.nodes[node].name, own, err));
    guess_room(own->chunks, own->chunk_count, 0);
    s->own = own;
    return SL_OK;
}

static sl_rc add_shard(struct view *v, const struct sl_schema_class *c,
                       const struct sl_schema_shard *from, struct sli_shard *s, struct sl_err *err)
{
    const struct sli_desc_shard *desc = NULL;
    const struct sli_desc_class *where = NULL;
    uint32_t node = 0;
    *s = (struct sli_shard){.pub = {.shard = {.class_name = c->name,
                                              .name = from->name,
                                              .is_tenant = c->is_multi_tenant,
                                              .ref = (uint64_t)(s - v->view.shards)},
                                    .status = from->status}};
    if (find_shard(v, c->name, from->name, &node, &where, &desc)) {
        return take_shard(v, node, desc, s, err);
    }
    s->pub.shard.skip_reason = sli_skip_reason(from->status, &v->view.arena);
    if (s->pub.shard.skip_reason.ptr == NULL) {
        return SL_NOMEM(err);
    }
    return s->pub.shard.skip_reason.len > 0 ? SL_OK : tell_left_out(v, from, s, err);
}

/* ---- chunks of a node's class, given to the shards that were taken from there ---- */

static struct sli_shard *shard_of(const struct view *v, struct sl_str class_name,
                                  struct sl_str shard)
{
    struct sl_str want[2] = {class_name, shard};
    uint32_t lo = 0, hi = v->view.shard_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        const struct sl_shard *s = &v->view.shards[mid].pub.shard;
        int c = sl_bytes_cmp(sl_str_bytes(s->class_name), sl_str_bytes(want[0]));
        c = c != 0 ? c : sl_bytes_cmp(sl_str_bytes(s->name), sl_str_bytes(want[1]));
        if (c == 0) {
            return &v->view.shards[mid];
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return NULL;
}

static bool is_from(const struct shard *own, const struct sli_desc_class *c)
{
    return own != NULL && own->desc >= c->shards && own->desc < c->shards + c->shard_count;
}

static sl_rc give_chunk(struct view *v, const struct sli_desc_class *c,
                        const struct sli_desc_chunk *from, struct sli_chunk *chunk,
                        struct sl_err *err)
{
    for (uint32_t i = 0; i < from->shard_count; i++) {
        struct sli_shard *s = shard_of(v, c->name, from->shards[i]);
        struct shard *own = s == NULL ? NULL : s->own;
        if (!is_from(own, c)) {
            continue; /* a replica that is not read, or without data */
        }
        SL_TRY(append_chunk(v, own, chunk, err));
    }
    return SL_OK;
}

static bool is_used(const struct view *v, const struct sli_desc_class *c,
                    const struct sli_desc_chunk *chunk)
{
    for (uint32_t i = 0; i < chunk->shard_count; i++) {
        const struct sli_shard *s = shard_of(v, c->name, chunk->shards[i]);
        if (s != NULL && is_from(s->own, c)) {
            return true;
        }
    }
    return false;
}

static sl_rc add_chunks(struct view *v, struct sl_str node, const struct sli_desc_class *c,
                        struct sl_err *err)
{
    uint32_t first = v->chunk_count;
    for (uint32_t i = 0; i < c->chunk_count; i++) {
        SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
        struct sli_chunk *chunk = NULL;
        if (!is_used(v, c, &c->chunks[i])) {
            continue;
        }
        sl_buf_addf(&path, "%.*s/%.*s/%.*s/chunk-%u", SL_STR_ARG(v->backup.path), SL_STR_ARG(node),
                    SL_STR_ARG(c->name), c->chunks[i].number);
        SL_TRY(sl_buf_done(&path, err));
        SL_TRY(new_chunk(v, sl_buf_str(&path), c->chunks[i].shard_count, &chunk, err));
        chunk->is_of_big_file = c->chunks[i].is_of_big_file;
        SL_TRY(give_chunk(v, c, &c->chunks[i], chunk, err));
    }
    if (v->chunk_count > first) {
        guess_room(v->chunks + first, v->chunk_count - first, c->unpacked_bytes);
    }
    return SL_OK;
}

/* ---- opening ---- */

static sl_rc add_extent(struct file *f, const struct sli_chunk *c, const struct sli_chunk_entry *e,
                        struct sl_arena *arena, struct sl_err *err)
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

static bool is_found(const struct file *f, uint32_t chunks_seen)
{
    return f->is_whole || (f->size > 0 && f->found >= f->size) ||
           (f->until > 0 && chunks_seen >= f->until);
}

/* Takes what a chunk has of the shard's files; a chunk without any is given back at once. */
static sl_rc search_chunk(struct view *v, struct shard *own, uint32_t i, struct sl_arena *arena,
                          struct sl_err *err)
{
    struct sli_chunk *c = own->chunks[i];
    sl_rc rc = SL_OK;
    bool has_some = false;
    SL_TRY(sli_chunk_use(c, &v->env, err));
    for (uint32_t k = 0; k < own->file_count && rc == SL_OK; k++) {
        struct file *f = &own->files[k];
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
static sl_rc check_file(const struct view *v, struct file *f, struct sl_err *err)
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
                   SL_STR_ARG(v->backup.path), f->path.ptr, (unsigned long long)at,
                   f->where == NULL ? "" : ", the first in ", f->where == NULL ? "" : f->where);
}

static void forget_found(struct shard *own)
{
    for (uint32_t i = 0; i < own->file_count; i++) {
        struct file *f = &own->files[i];
        f->extents = NULL;
        f->extent_count = f->extent_cap = 0;
        f->found = 0;
        f->where = NULL;
        f->is_whole = false;
    }
}

static sl_rc find_files(struct view *v, struct shard *own, struct sl_arena *arena,
                        struct sl_err *err)
{
    uint32_t left = own->file_count;
    for (uint32_t i = 0; i < own->chunk_count && left > 0; i++) {
        SL_TRY(search_chunk(v, own, i, arena, err));
        left = 0;
        for (uint32_t k = 0; k < own->file_count; k++) {
            left += !is_found(&own->files[k], i + 1);
        }
    }
    for (uint32_t i = 0; i < own->file_count; i++) {
        SL_TRY(check_file(v, &own->files[i], err));
    }
    return SL_OK;
}

/* Now that the sizes are known: what counts, and in which order. */
static sl_rc decide(struct sli_shard *s, struct sl_arena *arena, struct sl_err *err)
{
    for (uint32_t i = 0; i < s->pub.file_count; i++) {
        const struct file *f = file_named(s->own, s->pub.files[i].name);
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
        const struct file *f = file_named(s->own, from->name);
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

static void let_go(struct shard *own)
{
    for (uint32_t i = 0; i < own->chunk_count && own->used != NULL; i++) {
        if (own->used[i]) {
            sli_chunk_done(own->chunks[i]);
        }
    }
    own->used = NULL;
    forget_found(own);
}

static sl_rc backup_open(struct sli_view *view, struct sli_shard *s, struct sl_arena *arena,
                         struct sl_bucket_source **ret, uint32_t *ret_count, struct sl_err *err)
{
    struct shard *own = s->own;
    own->used = sl_arena_array(arena, bool, own->chunk_count + 1u);
    if (own->used == NULL) {
        return SL_NOMEM(err);
    }
    sl_rc rc = find_files(view_of(view), own, arena, err);
    if (rc == SL_OK) {
        rc = decide(s, arena, err);
    }
    if (rc == SL_OK) {
        rc = make_blobs(s, arena, ret, ret_count, err);
    }
    if (rc != SL_OK) {
        let_go(own);
    }
    return rc;
}

/* ---- planning ---- */

static bool is_shared(const struct sli_chunk *c)
{
    return c->shard_count > 1;
}

static void backup_close(struct sli_view *view SL_UNUSED, struct sli_shard *s)
{
    struct shard *own = s->own;
    let_go(own);
    for (uint32_t i = 0; i < own->chunk_count && own->is_planned; i++) {
        if (is_shared(own->chunks[i])) {
            sli_chunk_unplan(own->chunks[i]);
        }
    }
    own->is_planned = false;
}

/* Bytes of the shard's own chunks in the spool folder. */
static uint64_t room_of(const struct shard *own)
{
    uint64_t known = 0, guessed = 0;
    bool is_known = true;
    for (uint32_t i = 0; i < own->file_count; i++) {
        known += own->files[i].size;
        is_known &= own->files[i].size > 0;
    }
    for (uint32_t i = 0; i < own->chunk_count && !is_known; i++) {
        const struct sli_chunk *c = own->chunks[i];
        guessed += is_shared(c) || c->is_of_big_file ? 0 : c->unpacked_guess;
    }
    return known + guessed;
}

static void remember_largest(struct view *v, uint64_t room)
{
    for (uint32_t i = 0; i < v->worker_count; i++) {
        if (room > v->largest[i]) {
            uint64_t smaller = v->largest[i];
            v->largest[i] = room;
            room = smaller;
        }
    }
}

/* The shard will be read: is there room for it beside all others that were announced? */
static sl_rc backup_plan(struct sli_view *view, struct sli_shard *s, struct sl_err *err)
{
    struct view *v = view_of(view);
    struct shard *own = s->own;
    if (v->view.can_seek || own == NULL) {
        return SL_OK;
    }
    for (uint32_t i = 0; i < own->chunk_count && !own->is_planned; i++) {
        struct sli_chunk *c = own->chunks[i];
        if (is_shared(c)) {
            v->room_shared += c->planned == 0 ? c->unpacked_guess : 0;
            sli_chunk_plan(c);
        }
    }
    own->is_planned = true;
    remember_largest(v, room_of(own));
    uint64_t room = v->room_shared;
    for (uint32_t i = 0; i < v->worker_count; i++) {
        room += v->largest[i];
    }
    if (v->told != NULL) {
        *v->told = (struct sl_weaviate_room){.needed = room, .free = v->room_free};
    }
    if (room > v->room_free) {
        return SL_FAIL(err, SL_ENOSPACE,
                       "the backup is packed: reading it needs about %llu bytes at a time in %s, "
                       "where %llu are free; name a folder with more room by --spool",
                       (unsigned long long)room, v->env.spool_path,
                       (unsigned long long)v->room_free);
    }
    return SL_OK;
}

static void backup_release(struct sli_view *view)
{
    struct view *v = view_of(view);
    for (uint32_t i = 0; i < v->chunk_count; i++) {
        sli_chunk_fini(v->chunks[i]);
    }
    sl_free(v->chunks);
    sl_arena_fini(&v->chunk_arena);
    sli_backup_fini(&v->backup);
    sl_arena_fini(&v->view.arena);
    sl_free(v);
}

static const struct sli_view_ops backup_ops = {
    .plan = backup_plan, .open = backup_open, .close = backup_close, .release = backup_release};

/* ---- counts ---- */

/* In place the keys can be counted; of packed shards only sizes are known, about. */
static sl_rc estimate(struct view *v, struct sli_shard *s, struct sl_err *err)
{
    struct shard *own = s->own;
    struct sl_arena arena = {0};
    struct sl_bucket_source *sources = NULL;
    struct sl_bucket *bucket = NULL;
    struct sl_bucket_opts opts = {0};
    uint32_t count = 0;
    s->pub.shard.is_count_estimated = true;
    if (!v->view.can_seek) {
        for (uint32_t i = 0; i < own->chunk_count; i++) {
            const struct sli_chunk *c = own->chunks[i];
            s->pub.shard.byte_count += c->size * PACKED_TWICE / SL_MAX(c->shard_count, 1U);
        }
        s->pub.shard.object_count = s->pub.shard.byte_count / BYTES_OF_OBJECT + 1;
        return SL_OK;
    }
    sl_rc rc = backup_open(&v->view, s, &arena, &sources, &count, err);
    if (rc == SL_OK) {
        rc = sl_bucket_open(sources, count, &opts, &bucket, err);
        for (uint32_t i = 0; i < count; i++) {
            s->pub.shard.byte_count += sources[i].blob.size;
        }
        s->pub.shard.object_count = bucket == NULL ? 0 : sl_bucket_key_count(bucket);
        sl_bucket_close(bucket);
        backup_close(&v->view, s);
    }
    sl_arena_fini(&arena);
    return rc == SL_ECORRUPT ? SL_OK : rc; /* damage is told by the cursor, in one place */
}

/* ---- the provider ---- */

static sl_rc add_shards(struct view *v, struct sl_err *err)
{
    const struct sl_schema *schema = &v->view.schema;
    SL_TRY(sli_view_make_room(&v->view, err));
    for (uint32_t i = 0; i < schema->class_count; i++) {
        const struct sl_schema_class *c = &schema->classes[i];
        for (uint32_t k = 0; k < c->shard_count; k++) {
            SL_TRY(add_shard(v, c, &c->shards[k], &v->view.shards[v->view.shard_count++], err));
        }
    }
    for (uint32_t i = 0; i < v->backup.node_count; i++) {
        const struct sli_backup_node *n = &v->backup.nodes[i];
        for (uint32_t k = 0; k < n->desc.class_count; k++) {
            SL_TRY(add_chunks(v, n->name, &n->desc.classes[k], err));
        }
    }
    return SL_OK;
}

/* Does any chunk have to be unpacked? One is looked at for all: a backup has one compression. */
static sl_rc find_packing(struct view *v, struct sl_err *err)
{
    struct sli_unpack *unpack = NULL;
    SL_AUTO_PTR(sl_file) file = NULL;
    v->view.can_seek = true;
    for (uint32_t i = 0; i < v->chunk_count; i++) {
        sl_rc rc = sli_chunk_open(v->chunks[i], &v->env, &file, err);
        if (rc == SL_ENOTFOUND) {
            continue;
        }
        SL_TRY(rc);
        SL_TRY(sli_unpack_open(file, &unpack, err));
        v->view.can_seek = sli_unpack_kind(unpack) == SLI_PLAIN;
        sli_unpack_close(unpack);
        break;
    }
    if (v->view.can_seek) {
        return SL_OK;
    }
    sl_rc rc = sl_dir_free_bytes(v->env.spool_path, &v->room_free, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "the folder to unpack into (--spool) cannot be used");
    }
    return rc;
}

static sl_rc fill(struct view *v, const char *path, struct sl_err *err)
{
    SL_TRY(sli_backup_load(path, &v->backup, err));
    SL_TRY(sli_backup_fill_schema(&v->backup, &v->view.schema, err));
    SL_TRY(add_shards(v, err));
    SL_TRY(find_packing(v, err));
    for (uint32_t i = 0; i < v->view.shard_count; i++) {
        if (v->view.shards[i].own != NULL) {
            SL_TRY(estimate(v, &v->view.shards[i], err));
        }
    }
    return SL_OK;
}

sl_rc sli_backup_view(const char *path, const struct sl_weaviate_opts *opts, struct sli_view **ret,
                      struct sl_err *err)
{
    struct view *v = sl_alloc_zero(1, sizeof(*v));
    if (v == NULL) {
        return SL_NOMEM(err);
    }
    const char *tmp = getenv("TMPDIR");
    v->view.ops = &backup_ops;
    v->is_forgiving = opts->left_out != NULL;
    v->env.open_file = opts->open_file;
    v->env.open_arg = opts->open_arg;
    v->env.spool_path = opts->spool_path != NULL        ? opts->spool_path
                        : tmp != NULL && tmp[0] != '\0' ? tmp
                                                        : "/tmp";
    v->told = opts->room;
    v->worker_count = opts->worker_count == 0 ? sl_cpu_count() : opts->worker_count;
    v->worker_count = SL_MIN(v->worker_count, (uint32_t)WORKERS_MAX);
    sl_rc rc = fill(v, path, err);
    if (rc != SL_OK) {
        backup_release(&v->view);
        return rc;
    }
    *ret = &v->view;
    return SL_OK;
}
