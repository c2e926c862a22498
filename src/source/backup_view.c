/* A backup as shards and the chunks they may lie in; see weaviate.h. What becomes of one shard when
 * its turn comes is in backup_shard.c.
 *
 * The same shard on several nodes (replicas) is read once, from the first node by name that has
 * data of it: one replica is one state the server could have answered from, a mixture is not. */
#include <stdlib.h>

#include "base/num.h"
#include "base/path.h"
#include "base/workers.h"
#include "source/backup_shard.h"
#include "source/unpack.h"

#define BYTES_OF_OBJECT 1024 /* guessed size of an object in a bucket that is packed */
#define PACKED_TWICE    2    /* packed objects are about half as large: for progress only */
#define PACKED_FOUR     4    /* for the room needed, where the descriptor does not tell: text */
#define WORKERS_MAX     256

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

static sl_rc append_chunk(struct view *v, struct sli_backup_shard *own, struct sli_chunk *chunk,
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
static sl_rc take_base_chunks(struct view *v, struct sl_str node, struct sli_backup_shard *own,
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

static sl_rc check_bases(const struct view *v, const struct sli_backup_shard *own,
                         struct sl_err *err)
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
    struct sli_backup_shard *own = sl_arena_alloc(&v->view.arena, sizeof(*own));
    if (own == NULL) {
        return SL_NOMEM(err);
    }
    own->desc = desc;
    SL_TRY(sli_backup_shard_list(s, own, &v->view.arena, err));
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

static bool is_from(const struct sli_backup_shard *own, const struct sli_desc_class *c)
{
    return own != NULL && own->desc >= c->shards && own->desc < c->shards + c->shard_count;
}

static sl_rc give_chunk(struct view *v, const struct sli_desc_class *c,
                        const struct sli_desc_chunk *from, struct sli_chunk *chunk,
                        struct sl_err *err)
{
    for (uint32_t i = 0; i < from->shard_count; i++) {
        struct sli_shard *s = shard_of(v, c->name, from->shards[i]);
        struct sli_backup_shard *own = s == NULL ? NULL : s->own;
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

/* ---- opening and planning ---- */

static sl_rc backup_open(struct sli_view *view, struct sli_shard *s, struct sl_arena *arena,
                         struct sl_bucket_source **ret, uint32_t *ret_count, struct sl_err *err)
{
    const struct view *v = view_of(view);
    return sli_backup_shard_open(s, &v->backup, &v->env, arena, ret, ret_count, err);
}

static bool is_shared(const struct sli_chunk *c)
{
    return c->shard_count > 1;
}

static void backup_close(struct sli_view *view SL_UNUSED, struct sli_shard *s)
{
    struct sli_backup_shard *own = s->own;
    sli_backup_shard_close(own);
    for (uint32_t i = 0; i < own->chunk_count && own->is_planned; i++) {
        if (is_shared(own->chunks[i])) {
            sli_chunk_unplan(own->chunks[i]);
        }
    }
    own->is_planned = false;
}

/* Bytes of the shard's own chunks in the spool folder. */
static uint64_t room_of(const struct sli_backup_shard *own)
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
    struct sli_backup_shard *own = s->own;
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
    struct sli_backup_shard *own = s->own;
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
