/* A data directory as shards and files, held still; see weaviate.h.
 *
 * The schema is read first, then each shard's bucket is listed, its files are opened, and it is
 * listed again: equal listings prove that the set stood still in between, because every change of a
 * server (flush, compaction, cleanup) changes a name or an inode. Under a running server the
 * descriptors are kept; of a stopped one the identities, and files are opened when their turn
 * comes. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/path.h"
#include "source/source_int.h"

#define LOOKS_MAX       100 /* at a shard that keeps moving; a server moves every few seconds */
#define LOOK_WAIT       10000000    /* ns between them */
#define CNA_BYTES       12          /* checksum, net additions */
#define METADATA_MAX    (64u << 20) /* its bloom filter has 10 bits a key: 50 million keys */
#define BYTES_OF_LOGGED 1024 /* guessed size of a logged object, when nothing better is known */

struct file {
    struct sl_str path; /* NUL-terminated */
    struct sl_file_id id;
    struct sl_file *held; /* owned; NULL: opened when needed */
};
struct shard {
    struct file *files; /* as pub.files: those that count come first */
    uint32_t count;     /* that count */
};
struct view {
    struct sli_view view;
    struct sl_str path;
    struct sl_clock *clock;
    const struct sl_weaviate_opts *opts; /* borrowed, while the view is made; NULL: for its names */
    bool is_running;                     /* a server has the directory open */
};

static struct view *view_of(struct sli_view *v)
{
    return SL_CONTAINER_OF(v, struct view, view);
}

/* ---- listing ---- */

struct entry {
    struct sl_str name;
    struct sl_file_id id;
    bool is_plain;
};
struct listing {
    struct sl_arena arena;
    const char *folder;
    struct entry *list;
    uint32_t count, cap;
};

static void listing_fini(struct listing *l)
{
    sl_arena_fini(&l->arena);
}

static sl_rc add_entry(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    struct listing *l = arg;
    if (is_dir) {
        return SL_OK;
    }
    struct entry *grown = sl_arena_grow(&l->arena, l->list, l->count, &l->cap);
    if (grown == NULL) {
        return SL_NOMEM(err);
    }
    l->list = grown;
    struct entry *e = &l->list[l->count];
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_path_join(&path, sl_str_from(l->folder), sl_str_from(name));
    SL_TRY(sl_buf_done(&path, err));
    sl_rc rc = sl_path_identify(sl_buf_cstr(&path), &e->id, &e->is_plain, err);
    if (rc == SL_ENOTFOUND) {
        return SL_OK; /* gone since: the second listing tells */
    }
    SL_TRY(rc);
    e->name = sl_arena_str(&l->arena, sl_str_from(name));
    if (e->name.ptr == NULL) {
        return SL_NOMEM(err);
    }
    l->count++;
    return SL_OK;
}

static sl_rc list_folder(const char *folder, struct listing *ret, struct sl_err *err)
{
    *ret = (struct listing){.folder = folder};
    sl_rc rc = sl_dir_list(folder, add_entry, ret, err);
    if (rc != SL_OK) {
        listing_fini(ret);
    }
    return rc;
}

/* Names that hold data or decide which does; others may come and go. */
static bool is_data_name(struct sl_str name)
{
    return sl_str_ends(name, ".db") || sl_str_ends(name, ".wal") || sl_str_ends(name, ".db.tmp");
}

static bool is_same(const struct listing *a, const struct listing *b)
{
    uint32_t i = 0, k = 0;
    for (;;) {
        while (i < a->count && !is_data_name(a->list[i].name)) {
            i++;
        }
        while (k < b->count && !is_data_name(b->list[k].name)) {
            k++;
        }
        if (i == a->count || k == b->count) {
            return i == a->count && k == b->count;
        }
        if (!sl_str_eq(a->list[i].name, b->list[k].name) ||
            a->list[i].id.ino != b->list[k].id.ino) {
            return false;
        }
        i++;
        k++;
    }
}

/* ---- files of a shard ---- */

/* A failure of the system in words that say what to do. */
static sl_rc explain(sl_rc rc, struct sl_err *err)
{
    const char *advice =
        rc == SL_EACCESS
            ? "run as the user of the Weaviate server (its folders have mode 0700), as "
              "root, or with CAP_DAC_READ_SEARCH"
        : err != NULL && err->sys_errno == EMFILE
            ? "raise the limit of open files (ulimit -n): a running server's files are held open"
            : NULL;
    if (advice == NULL || err == NULL) {
        return rc;
    }
    struct sl_err plain = *err;
    return SL_FAIL(err, rc, "%s; %s", sl_err_text(&plain, rc), advice);
}

static void close_files(struct shard *s)
{
    for (uint32_t i = 0; s != NULL && i < s->count; i++) {
        sl_file_close(sl_move(&s->files[i].held));
    }
}

/* Opens what was identified; SL_ENOTFOUND: another file has its name now. */
static sl_rc open_same(struct file *f, struct sl_file **ret, struct sl_err *err)
{
    SL_AUTO_PTR(sl_file) file = NULL;
    struct sl_file_id now;
    SL_TRY(sl_file_open(f->path.ptr, SL_FILE_READ_FOREIGN, &file, err));
    SL_TRY(sl_file_identify(file, &now, err));
    if (now.ino != f->id.ino || now.dev != f->id.dev) {
        return SL_FAIL(err, SL_ENOTFOUND, "%s was replaced", f->path.ptr);
    }
    f->id = now;
    *ret = sl_move(&file);
    return SL_OK;
}

/* From a listing to decided files, opened in order, oldest first. */
static sl_rc take_files(struct view *v, const struct listing *l, struct sli_shard *shard,
                        struct sl_err *err)
{
    struct sl_arena *arena = &v->view.arena;
    struct shard *own = sl_arena_alloc(arena, sizeof(*own));
    struct sl_bucket_file *files = sl_arena_array(arena, struct sl_bucket_file, l->count + 1u);
    if (own == NULL || files == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < l->count; i++) {
        files[i].name = sl_arena_str(arena, l->list[i].name);
        files[i].size = l->list[i].id.size;
        if (files[i].name.ptr == NULL) {
            return SL_NOMEM(err);
        }
    }
    sl_rc rc = sl_fileset_decide(files, l->count, arena, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "%s", l->folder);
        return rc;
    }
    own->files = sl_arena_array(arena, struct file, l->count + 1u);
    if (own->files == NULL) {
        return SL_NOMEM(err);
    }
    shard->own = own;
    shard->pub.files = files;
    shard->pub.file_count = l->count;
    for (uint32_t i = 0; i < l->count; i++) {
        SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
        if (files[i].role != SL_ROLE_SEGMENT && files[i].role != SL_ROLE_LOG) {
            break; /* the order puts the others last */
        }
        sl_path_join(&path, sl_str_from(l->folder), files[i].name);
        own->files[i].path = sl_arena_str(arena, sl_buf_str(&path));
        if (path.is_failed || own->files[i].path.ptr == NULL) {
            return SL_NOMEM(err);
        }
        for (uint32_t k = 0; k < l->count; k++) {
            if (sl_str_eq(l->list[k].name, files[i].name)) {
                own->files[i].id = l->list[k].id;
            }
        }
        own->count++;
        SL_TRY(open_same(&own->files[i], &own->files[i].held, err));
    }
    return SL_OK;
}

/* Sizes at the moment the set was proved; what is appended to a log later is not in the view. */
static sl_rc fix_sizes(struct sli_shard *shard, struct sl_err *err)
{
    struct shard *own = shard->own;
    for (uint32_t i = 0; i < own->count; i++) {
        SL_TRY(sl_file_identify(own->files[i].held, &own->files[i].id, err));
        shard->pub.files[i].size = own->files[i].id.size;
    }
    return SL_OK;
}

/* One look; SL_EBUSY: the bucket moved. */
static sl_rc look(struct view *v, const char *folder, struct sli_shard *shard, struct sl_err *err)
{
    struct listing before, after;
    SL_TRY(list_folder(folder, &before, err));
    sl_rc rc = take_files(v, &before, shard, err);
    if (rc == SL_OK) {
        rc = list_folder(folder, &after, err);
        if (rc == SL_OK) {
            rc = is_same(&before, &after) ? fix_sizes(shard, err) : SL_EBUSY;
            listing_fini(&after);
        }
    } else if (rc == SL_ENOTFOUND || (rc == SL_ECORRUPT && v->is_running)) {
        rc = SL_EBUSY; /* a file went away, or a listing caught between two renames */
    }
    listing_fini(&before);
    if (rc != SL_OK) {
        close_files(shard->own);
        shard->own = NULL;
    }
    return rc;
}

/* SL_ENOTFOUND: there is no such bucket. */
static sl_rc hold_bucket(struct view *v, const char *folder, struct sli_shard *shard,
                         struct sl_err *err)
{
    for (uint32_t i = 0; i < LOOKS_MAX; i++) {
        sl_rc rc = look(v, folder, shard, err);
        if (rc != SL_EBUSY) {
            return rc == SL_ENOTFOUND ? rc : explain(rc, err);
        }
        int64_t until = sl_clock_mono_ns(v->clock) + LOOK_WAIT;
        SL_IGNORE(sl_clock_sleep_until(v->clock, until, NULL), "without a token it only waits");
    }
    return SL_FAIL(err, SL_EBUSY, "%s does not stand still: %d looks at it found it changing",
                   folder, LOOKS_MAX);
}

/* ---- counts ---- */

/* Net additions of a segment, from its .cna; false when that cannot be trusted. */
static bool read_cna(const char *path, int64_t *ret)
{
    uint8_t raw[CNA_BYTES];
    SL_AUTO_PTR(sl_file) f = NULL;
    if (sl_file_open(path, SL_FILE_READ_FOREIGN, &f, NULL) != SL_OK ||
        sl_file_pread(f, 0, raw, sizeof(raw), NULL) != SL_OK) {
        return false;
    }
    struct sl_rd rd = sl_rd_over(SL_BYTES(raw, sizeof(raw)));
    uint32_t crc = sl_rd_u32(&rd);
    *ret = (int64_t)sl_rd_u64(&rd);
    return crc == sl_crc32(0, SL_BYTES(raw + 4, 8));
}

/* The same from the .metadata that some servers write instead: checksum, version 0, the length of a
 * bloom filter and the filter, the length of the count and the count. */
static bool read_metadata(const char *path, int64_t *ret)
{
    SL_AUTO(sl_buf) all = SL_BUF_EMPTY;
    if (sl_file_read_all(path, METADATA_MAX, &all, NULL) != SL_OK || all.len < 4) {
        return false;
    }
    struct sl_rd rd = sl_rd_over(sl_buf_view(&all));
    uint32_t crc = sl_rd_u32(&rd);
    uint8_t version = sl_rd_u8(&rd);
    (void)sl_rd_bytes(&rd, sl_rd_u32(&rd));
    uint32_t count_bytes = sl_rd_u32(&rd);
    *ret = (int64_t)sl_rd_u64(&rd);
    return !rd.is_short && version == 0 && count_bytes == sizeof(*ret) &&
           crc == sl_crc32(0, SL_BYTES(all.ptr + 4, all.len - 4));
}

static bool read_side(const struct sli_shard *s, uint32_t file_idx, int64_t *ret)
{
    static const struct {
        const char *suffix;
        bool (*read)(const char *path, int64_t *ret);
    } kinds[] = {{"cna", read_cna}, {"metadata", read_metadata}};
    struct sl_str db = s->pub.files[file_idx].name;
    struct sl_str db_path = ((const struct shard *)s->own)->files[file_idx].path;
    bool is_read = false;
    for (size_t i = 0; i < SL_COUNT_OF(kinds) && !is_read; i++) {
        SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
        SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
        sl_buf_addf(&name, "%.*s%s", (int)(db.len - strlen("db")), db.ptr, kinds[i].suffix);
        sl_buf_addf(&path, "%.*s%s", (int)(db_path.len - strlen("db")), db_path.ptr,
                    kinds[i].suffix);
        for (uint32_t k = 0; k < s->pub.file_count && !is_read; k++) {
            is_read = s->pub.files[k].role == SL_ROLE_COUNT &&
                      sl_str_eq(s->pub.files[k].name, sl_buf_str(&name)) &&
                      kinds[i].read(sl_buf_cstr(&path), ret);
        }
    }
    return is_read;
}

/* Keys of one segment by its index, for the many without a side file. */
static uint64_t count_keys(struct file *f, uint64_t size)
{
    struct sl_extent extent = {.file = f->held, .len = size};
    struct sl_bucket_source source = {
        .blob = {.name = f->path.ptr, .size = size, .extents = &extent, .extent_count = 1}};
    struct sl_bucket_opts opts = {0};
    SL_AUTO_PTR(sl_bucket) bucket = NULL;
    if (sl_bucket_open(&source, 1, &opts, &bucket, NULL) != SL_OK) {
        return 0; /* the cursor tells what is wrong with it */
    }
    return sl_bucket_key_count(bucket);
}

/* About how many objects, for progress and the number of ranges; nothing rests on it. */
static void estimate(struct sli_shard *s)
{
    struct shard *own = s->own;
    int64_t count = 0, side_count = 0;
    uint64_t segment_bytes = 0, segment_keys = 0, log_bytes = 0;
    s->pub.is_side_complete = true;
    for (uint32_t i = 0; i < own->count; i++) {
        const struct sl_bucket_file *f = &s->pub.files[i];
        s->pub.shard.byte_count += f->size;
        if (f->role == SL_ROLE_LOG) {
            log_bytes += f->size;
            continue;
        }
        int64_t added = 0;
        if (read_side(s, i, &added)) {
            side_count += added;
        } else {
            s->pub.is_side_complete = false;
            added = (int64_t)count_keys(&own->files[i], f->size);
        }
        count += added;
        segment_bytes += f->size;
        segment_keys += (uint64_t)SL_MAX(added, 0);
    }
    uint64_t each = segment_keys > 0 ? segment_bytes / segment_keys : BYTES_OF_LOGGED;
    each = SL_MAX(each, (uint64_t)64);
    count += (int64_t)((log_bytes + each - 1) / each); /* a log that is there is not nothing */
    s->pub.shard.object_count = (uint64_t)SL_MAX(count, 0);
    s->pub.shard.is_count_estimated = true;
    s->pub.side_count = (uint64_t)SL_MAX(side_count, 0);
}

/* ---- shards ---- */

static void lower(struct sl_buf *out, struct sl_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        sl_buf_add_u8(out, (uint8_t)tolower((unsigned char)name.ptr[i]));
    }
}

/* The bucket of a shard, where servers keep it; else where those before 1.23 did, who had no folder
 * for a class. */
static sl_rc hold_shard(struct view *v, struct sl_str class_name, struct sl_str shard,
                        struct sli_shard *ret, struct sl_err *err)
{
    sl_rc rc = SL_ENOTFOUND;
    for (uint32_t i = 0; i < 2 && rc == SL_ENOTFOUND; i++) {
        SL_AUTO(sl_buf) folder = SL_BUF_EMPTY;
        sl_buf_addf(&folder, "%.*s/", SL_STR_ARG(v->path));
        lower(&folder, class_name);
        sl_buf_addf(&folder, i == 0 ? "/%.*s/lsm/objects" : "_%.*s_lsm/objects", SL_STR_ARG(shard));
        SL_TRY(sl_buf_done(&folder, err));
        rc = hold_bucket(v, sl_buf_cstr(&folder), ret, err);
    }
    return rc;
}

/* Belongs the shard to other nodes only? Then what lies here is a leftover or a copy on its way. */
static bool is_foreign(const struct sl_schema *schema, const struct sl_schema_shard *s)
{
    bool is_ours = s->node_count == 0 || schema->node_name.len == 0;
    for (uint32_t i = 0; i < s->node_count && !is_ours; i++) {
        is_ours = sl_str_eq(s->nodes[i], schema->node_name);
    }
    return !is_ours;
}

static sl_rc add_shard(struct view *v, const struct sl_schema_class *c,
                       const struct sl_schema_shard *from, struct sli_shard *s, struct sl_err *err)
{
    *s = (struct sli_shard){.pub = {.shard = {.class_name = c->name,
                                              .name = from->name,
                                              .is_tenant = c->is_multi_tenant,
                                              .ref = (uint64_t)(s - v->view.shards)},
                                    .status = from->status}};
    s->pub.shard.skip_reason = sli_skip_reason(from->status, &v->view.arena);
    if (s->pub.shard.skip_reason.ptr == NULL) {
        return SL_NOMEM(err);
    }
    if (s->pub.shard.skip_reason.len > 0) {
        return SL_OK;
    }
    if (is_foreign(&v->view.schema, from)) {
        s->pub.shard.skip_reason = SL_STR("shard belongs to another node");
        return SL_OK;
    }
    sl_rc rc = hold_shard(v, c->name, from->name, s, err);
    if (rc == SL_ENOTFOUND) {
        s->pub.shard.skip_reason =
            from->status == SL_COLD ? SL_STR("tenant has no data on disk") : SL_STR("no data");
        return SL_OK;
    }
    if (rc == SL_ECORRUPT && v->opts->left_out != NULL) {
        v->opts->left_out(v->opts->left_out_arg, c->name, from->name, sl_err_text(err, rc));
        s->pub.shard.skip_reason = SL_STR("damaged: its files are not a set a server leaves");
        return SL_OK;
    }
    SL_TRY(rc);
    struct shard *own = s->own;
    if (own->count == 0) {
        s->pub.shard.skip_reason = SL_STR("no data");
        return SL_OK;
    }
    estimate(s);
    if (!v->is_running) {
        close_files(own);
    }
    return SL_OK;
}

static sl_rc add_shards(struct view *v, struct sl_err *err)
{
    const struct sl_schema *schema = &v->view.schema;
    SL_TRY(sli_view_make_room(&v->view, err));
    for (uint32_t i = 0; i < schema->class_count; i++) {
        const struct sl_schema_class *c = &schema->classes[i];
        for (uint32_t k = 0; k < c->shard_count; k++) {
            struct sli_shard *s = &v->view.shards[v->view.shard_count++];
            sl_rc rc = add_shard(v, c, &c->shards[k], s, err);
            if (rc != SL_OK) {
                sl_err_prefix(err, "class %.*s shard %.*s", SL_STR_ARG(c->name),
                              SL_STR_ARG(c->shards[k].name));
                return rc;
            }
        }
    }
    return SL_OK;
}

/* ---- the provider ---- */

static sl_rc reopen(struct file *f, struct sl_err *err)
{
    struct sl_file_id was = f->id;
    if (f->held != NULL) {
        return SL_OK;
    }
    sl_rc rc = open_same(f, &f->held, err);
    if (rc == SL_ENOTFOUND ||
        (rc == SL_OK && (f->id.size != was.size || f->id.mtime_ns != was.mtime_ns))) {
        return SL_FAIL(err, SL_ECONFLICT,
                       "%s changed since the export began: did a server start on the directory? "
                       "Start the export again",
                       f->path.ptr);
    }
    return explain(rc, err);
}

static void datadir_close(struct sli_view *view, struct sli_shard *s)
{
    if (!view_of(view)->is_running) {
        close_files(s->own);
    }
}

static sl_rc datadir_open(struct sli_view *view, struct sli_shard *s, struct sl_arena *arena,
                          struct sl_bucket_source **ret, uint32_t *ret_count, struct sl_err *err)
{
    struct shard *own = s->own;
    struct sl_bucket_source *sources =
        sl_arena_array(arena, struct sl_bucket_source, own->count + 1u);
    struct sl_extent *extents = sl_arena_array(arena, struct sl_extent, own->count + 1u);
    if (sources == NULL || extents == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < own->count; i++) {
        struct file *f = &own->files[i];
        sl_rc rc = reopen(f, err);
        if (rc != SL_OK) {
            datadir_close(view, s);
            return rc;
        }
        extents[i] = (struct sl_extent){.file = f->held, .len = f->id.size};
        sources[i] = (struct sl_bucket_source){.blob = {.name = f->path.ptr,
                                                        .size = f->id.size,
                                                        .extents = &extents[i],
                                                        .extent_count = 1},
                                               .is_log = s->pub.files[i].role == SL_ROLE_LOG};
    }
    *ret = sources;
    *ret_count = own->count;
    return SL_OK;
}

static void datadir_release(struct sli_view *view)
{
    for (uint32_t i = 0; i < view->shard_count; i++) {
        close_files(view->shards[i].own);
    }
    sl_schema_fini(&view->schema);
    sl_arena_fini(&view->arena);
    sl_free(view_of(view));
}

static const struct sli_view_ops datadir_ops = {
    .open = datadir_open, .close = datadir_close, .release = datadir_release};

/* ---- names of classes, where only folders tell ---- */

/* The class name in the first object of a bucket that has one; empty without. */
static sl_rc name_in_bucket(struct sli_view *view, struct sli_shard *s, struct sl_arena *keep,
                            struct sl_str *ret, struct sl_err *err)
{
    struct sl_arena arena = {0};
    struct sl_bucket_source *sources = NULL;
    uint32_t count = 0;
    struct sl_bucket_opts opts = {0};
    SL_AUTO_PTR(sl_bucket) bucket = NULL;
    SL_AUTO_PTR(sl_bucket_cursor) cursor = NULL;
    SL_AUTO_MEM(struct sl_object) object = sl_alloc(sizeof(*object));
    struct sl_bucket_entry e;
    sl_rc rc =
        object == NULL ? SL_NOMEM(err) : datadir_open(view, s, &arena, &sources, &count, err);
    if (rc == SL_OK) {
        rc = sl_bucket_open(sources, count, &opts, &bucket, err);
    }
    if (rc == SL_OK) {
        rc = sl_bucket_scan(bucket, NULL, NULL, &cursor, err);
    }
    while (rc == SL_OK && ret->len == 0) {
        rc = sl_bucket_next(cursor, &e, err);
        if (rc == SL_OK && sl_object_read(e.value, object, NULL) == SL_OK) {
            *ret = sl_arena_str(keep, object->class_name);
        }
    }
    sl_arena_fini(&arena);
    datadir_close(view, s);
    return rc == SL_END || rc == SL_ECORRUPT ? SL_OK : rc; /* damage is told by the export */
}

static sl_rc find_name(struct view *v, struct sl_schema *schema, struct sl_schema_class *c,
                       struct sl_err *err)
{
    for (uint32_t i = 0; i < c->shard_count; i++) {
        SL_AUTO(sl_buf) folded = SL_BUF_EMPTY;
        struct sli_shard s = {0};
        struct sl_str name = {0};
        sl_rc rc = hold_shard(v, c->name, c->shards[i].name, &s, err);
        if (rc == SL_ENOTFOUND || rc == SL_ECORRUPT) { /* damage is told by the export */
            continue;
        }
        if (rc != SL_OK) {
            sl_err_prefix(err, "class %.*s shard %.*s", SL_STR_ARG(c->name),
                          SL_STR_ARG(c->shards[i].name));
            return rc;
        }
        rc = name_in_bucket(&v->view, &s, &schema->arena, &name, err);
        close_files(s.own);
        SL_TRY(rc);
        lower(&folded, name);
        if (name.len > 0 && sl_str_eq(sl_buf_str(&folded), c->name)) {
            c->name = name;
            return SL_OK;
        }
    }
    return SL_OK; /* no object, or none says: the folder's name must do */
}

static struct view *new_view(const char *path, struct sl_clock *clock)
{
    struct view *v = sl_alloc_zero(1, sizeof(*v));
    if (v != NULL) {
        v->view.ops = &datadir_ops;
        v->view.can_seek = true;
        v->clock = clock;
        v->path = sl_arena_str(&v->view.arena, sl_str_from(path));
        if (v->path.ptr == NULL) {
            datadir_release(&v->view);
            return NULL;
        }
    }
    return v;
}

static int by_name(const void *a, const void *b)
{
    const struct sl_schema_class *x = a, *y = b;
    return sl_bytes_cmp(sl_str_bytes(x->name), sl_str_bytes(y->name));
}

sl_rc sli_datadir_schema(const char *path, struct sl_schema *ret, struct sl_err *err)
{
    SL_TRY(explain(sl_schema_load(path, ret, err), err));
    if (ret->origin != SL_SCHEMA_FOLDERS) {
        return SL_OK;
    }
    struct view *v = new_view(path, sl_clock_real());
    sl_rc rc = v == NULL ? SL_NOMEM(err) : sl_schema_is_running(path, &v->is_running, err);
    for (uint32_t i = 0; rc == SL_OK && i < ret->class_count; i++) {
        rc = find_name(v, ret, &ret->classes[i], err);
    }
    if (rc == SL_OK && ret->class_count > 0) { /* a folder without objects keeps its small letter */
        qsort(ret->classes, ret->class_count, sizeof(*ret->classes), by_name);
    }
    if (v != NULL) {
        datadir_release(&v->view);
    }
    if (rc != SL_OK) {
        sl_schema_fini(ret);
    }
    return rc;
}

sl_rc sli_datadir_view(const char *path, const struct sl_weaviate_opts *opts, struct sli_view **ret,
                       struct sl_err *err)
{
    struct view *v = new_view(path, opts->clock);
    if (v == NULL) {
        return SL_NOMEM(err);
    }
    v->opts = opts;
    sl_rc rc = explain(sl_schema_is_running(path, &v->is_running, err), err);
    if (rc == SL_OK) {
        rc = sli_datadir_schema(path, &v->view.schema, err);
    }
    if (rc == SL_OK) {
        rc = add_shards(v, err);
    }
    if (rc != SL_OK) {
        datadir_release(&v->view);
        return rc;
    }
    *ret = &v->view;
    return SL_OK;
}
