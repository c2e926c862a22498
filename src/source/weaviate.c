/* The source over Weaviate's data: shards of a view as ranges and cursors; see weaviate.h.
 *
 * A provider (datadir.c, backup.c) knows where the files of a shard are; this file reads them. A
 * shard's bucket is opened by its first cursor and closed when its last range has been read, so
 * that descriptors, log keys and spooled files of few shards exist at a time, however many there
 * are. */
#include "source/weaviate.h"

#include "source/source_int.h"

#define RANGES_MAX 4096 /* a plan asks for far fewer */

struct weaviate {
    struct sl_source source;
    char *path; /* owned */
    enum sl_source_kind kind;
    struct sl_weaviate_opts opts;
};
struct frozen {
    struct sl_frozen frozen;
    struct sl_weaviate_opts opts;
    struct sli_view *view;          /* owned */
    struct sl_weaviate_shard *list; /* owned: copies for people */
};
struct cursor {
    struct sl_cursor cursor;
    struct frozen *frozen;
    struct sli_shard *shard;
    struct sl_bucket_cursor *scan; /* owned; NULL: the shard was left out */
    struct sl_object object;
};

sl_rc sli_view_make_room(struct sli_view *v, struct sl_err *err)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < v->schema.class_count; i++) {
        total += v->schema.classes[i].shard_count;
    }
    v->shards = sl_arena_array(&v->arena, struct sli_shard, (size_t)total + 1);
    return v->shards == NULL ? SL_NOMEM(err) : SL_OK;
}

static struct weaviate *weaviate_of(struct sl_source *src)
{
    return SL_CONTAINER_OF(src, struct weaviate, source);
}

static struct frozen *frozen_of(struct sl_frozen *fz)
{
    return SL_CONTAINER_OF(fz, struct frozen, frozen);
}

/* ---- a shard's bucket ---- */

static void tell(const struct frozen *fz, const struct sli_shard *s, const char *what)
{
    fz->opts.left_out(fz->opts.left_out_arg, s->pub.shard.class_name, s->pub.shard.name, what);
}

static void tell_damage(void *arg, const uint8_t *uuid, const char *what)
{
    const struct sli_shard *s = arg;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    if (uuid != NULL) {
        char id[SL_UUID_TEXT_SIZE];
        sl_uuid_format(uuid, id);
        sl_buf_addf(&text, "object %.*s: ", SL_UUID_TEXT_SIZE, id);
    }
    sl_buf_add_text(&text, what);
    tell(s->frozen, s, sl_buf_cstr(&text));
}

/* What to do about damage; the sentence itself names file and offset. */
static sl_rc advise(sl_rc rc, struct sl_err *err)
{
    if (rc != SL_ECORRUPT || err == NULL || strstr(err->text, "--skip-damaged") != NULL) {
        return rc;
    }
    struct sl_err plain = *err;
    return SL_FAIL(
        err, rc,
        "%s; restore the file from a backup or a replica, or export what can be read with "
        "sluice export --skip-damaged",
        sl_err_text(&plain, rc));
}

static sl_rc open_bucket(struct frozen *fz, struct sli_shard *s, struct sl_err *err)
{
    struct sl_arena arena = {0};
    struct sl_bucket_source *sources = NULL;
    uint32_t count = 0;
    s->frozen = fz;
    struct sl_bucket_opts opts = {.damage = fz->opts.left_out == NULL ? NULL : tell_damage,
                                  .damage_arg = s};
    sl_rc rc = fz->view->ops->open(fz->view, s, &arena, &sources, &count, err);
    if (rc == SL_OK) {
        rc = sl_bucket_open(sources, count, &opts, &s->bucket, err);
        if (rc == SL_OK) {
            rc = sl_bucket_check(s->bucket, err);
        }
        if (rc == SL_OK) {
            s->arena = arena; /* the blobs' names and extents */
            return SL_OK;
        }
        sl_bucket_close(sl_move(&s->bucket));
        fz->view->ops->close(fz->view, s);
    }
    sl_arena_fini(&arena);
    return rc;
}

static void close_bucket(struct frozen *fz, struct sli_shard *s)
{
    if (s->bucket != NULL) {
        sl_bucket_close(sl_move(&s->bucket));
        fz->view->ops->close(fz->view, s);
        sl_arena_fini(&s->arena);
        s->arena = (struct sl_arena){0};
    }
}

static sl_rc use_bucket(struct frozen *fz, struct sli_shard *s, struct sl_bucket **ret,
                        struct sl_err *err)
{
    sl_mutex_lock(&s->mu);
    sl_rc rc = s->bucket != NULL ? SL_OK : open_bucket(fz, s, err);
    *ret = s->bucket;
    sl_mutex_unlock(&s->mu);
    return rc;
}

/* One range, or one visitor, is done with the bucket; the last one closes it. */
static void done_bucket(struct frozen *fz, struct sli_shard *s)
{
    sl_mutex_lock(&s->mu);
    if (s->users > 0 && --s->users == 0) {
        close_bucket(fz, s);
    }
    sl_mutex_unlock(&s->mu);
}

/* ---- cursor ---- */

/* What the bucket cannot show: the value must be an object to its last byte. */
static sl_rc read_object(const struct sl_bucket_entry *e, struct sl_object *ret, struct sl_err *err)
{
    char id[SL_UUID_TEXT_SIZE];
    struct sl_err why = {0};
    sl_rc rc = sl_object_read(e->value, ret, &why);
    if (SL_LIKELY(rc == SL_OK)) {
        return SL_OK;
    }
    sl_uuid_format(e->key, id);
    return SL_FAIL(err, SL_ECORRUPT, "%s: damaged at offset %llu: object %.*s: %s", e->file,
                   (unsigned long long)e->offset, SL_UUID_TEXT_SIZE, id, sl_err_text(&why, rc));
}

static sl_rc next_object(struct cursor *c, const struct sl_object **ret, struct sl_err *err)
{
    for (;;) {
        struct sl_bucket_entry e;
        SL_TRY(sl_bucket_next(c->scan, &e, err));
        sl_rc rc = read_object(&e, &c->object, err);
        if (SL_LIKELY(rc == SL_OK)) {
            *ret = &c->object;
            return SL_OK;
        }
        if (c->frozen->opts.left_out == NULL) {
            return rc;
        }
        tell(c->frozen, c->shard, sl_err_text(err, rc));
    }
}

static sl_rc cursor_next(struct sl_cursor *cur, const struct sl_object **ret, struct sl_err *err)
{
    struct cursor *c = SL_CONTAINER_OF(cur, struct cursor, cursor);
    if (c->scan == NULL) {
        return SL_END;
    }
    sl_rc rc = next_object(c, ret, err);
    if (SL_UNLIKELY(rc == SL_ECORRUPT && c->frozen->opts.left_out != NULL)) {
        tell(c->frozen, c->shard, sl_err_text(err, rc));
        tell(c->frozen, c->shard, "the rest of this range of the shard was left out");
        return SL_END;
    }
    return rc == SL_END ? rc : advise(rc, err);
}

static void cursor_close(struct sl_cursor *cur)
{
    struct cursor *c = SL_CONTAINER_OF(cur, struct cursor, cursor);
    sl_bucket_cursor_close(c->scan);
    done_bucket(c->frozen, c->shard);
    sl_free(c);
}

static const struct sl_cursor_ops cursor_ops = {.next = cursor_next, .close = cursor_close};

static sl_rc begin_scan(struct cursor *c, const struct sl_range_key *range, struct sl_err *err)
{
    static const uint8_t lowest[SL_UUID_SIZE];
    bool has_lo = memcmp(range->lo, lowest, SL_UUID_SIZE) != 0;
    struct sl_bucket *bucket = NULL;
    sl_rc rc = use_bucket(c->frozen, c->shard, &bucket, err);
    if (rc == SL_OK) {
        rc = sl_bucket_scan(bucket, has_lo ? range->lo : NULL, range->has_hi ? range->hi : NULL,
                            &c->scan, err);
    }
    if (rc == SL_ECORRUPT && c->frozen->opts.left_out != NULL) {
        tell(c->frozen, c->shard, sl_err_text(err, rc));
        tell(c->frozen, c->shard, "the shard was left out");
        return SL_OK;
    }
    return advise(rc, err);
}

static sl_rc view_cursor(struct sl_frozen *fz, const struct sl_shard *shard,
                         const struct sl_range_key *range, struct sl_cursor **ret,
                         struct sl_err *err)
{
    struct frozen *f = frozen_of(fz);
    struct cursor *c = sl_alloc(sizeof(*c));
    if (c == NULL) {
        return SL_NOMEM(err);
    }
    c->cursor.ops = &cursor_ops;
    c->frozen = f;
    c->shard = &f->view->shards[shard->ref];
    c->scan = NULL;
    sl_rc rc = begin_scan(c, range, err);
    if (rc != SL_OK) {
        sl_free(c); /* the job fails; release closes the bucket */
        return rc;
    }
    *ret = &c->cursor;
    return SL_OK;
}

/* ---- frozen view ---- */

static sl_rc view_shards(struct sl_frozen *fz, struct sl_str class_name, struct sl_arena *arena,
                         struct sl_shard **ret, uint32_t *ret_count, struct sl_err *err)
{
    const struct sli_view *v = frozen_of(fz)->view;
    uint32_t first = 0, count = 0;
    if (sl_schema_class(&v->schema, class_name) == NULL) {
        return SL_FAIL(err, SL_ENOTFOUND, "class %.*s is not in the schema",
                       SL_STR_ARG(class_name));
    }
    for (uint32_t i = 0; i < v->shard_count; i++) {
        if (sl_str_eq(v->shards[i].pub.shard.class_name, class_name)) {
            first = count == 0 ? i : first;
            count++;
        }
    }
    struct sl_shard *list = sl_arena_array(arena, struct sl_shard, (size_t)count + 1);
    if (list == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct sl_weaviate_shard *s = &v->shards[first + i].pub;
        bool is_known = s->shard.is_tenant && v->schema.origin != SL_SCHEMA_FOLDERS;
        list[i] = s->shard;
        list[i].tenant_status = is_known ? sl_tenant_status_name(s->status) : NULL;
    }
    *ret = list;
    *ret_count = count;
    return SL_OK;
}

/* Keys that cut the shard: from its indexes, or, where those cannot be read yet, evenly. Ids are
 * random, and where they are not, ranges of unequal size are still right. */
static sl_rc split_keys(struct frozen *f, struct sli_shard *s, uint32_t key_max,
                        uint8_t (*keys)[SL_UUID_SIZE], uint32_t *ret_count, struct sl_err *err)
{
    if (!f->view->can_seek) {
        for (uint32_t i = 0; i < key_max; i++) {
            uint64_t key[2] = {(uint64_t)(((unsigned __int128)(i + 1) << 64) / (key_max + 1)), 0};
            sl_put_u64be(keys[i], key[0]);
            sl_put_u64be(keys[i] + 8, key[1]);
        }
        *ret_count = key_max;
        return SL_OK;
    }
    struct sl_arena arena = {0};
    struct sl_bucket_source *sources = NULL;
    SL_AUTO_PTR(sl_bucket) bucket = NULL;
    struct sl_bucket_opts opts = {0};
    uint32_t count = 0, segments = 0;
    sl_rc rc = f->view->ops->open(f->view, s, &arena, &sources, &count, err);
    if (rc != SL_OK) {
        sl_arena_fini(&arena);
        return rc;
    }
    for (uint32_t i = 0; i < count; i++) { /* logs would have to be read whole for a few keys */
        if (!sources[i].is_log) {
            sources[segments++] = sources[i];
        }
    }
    rc = sl_bucket_open(sources, segments > 0 ? segments : count, &opts, &bucket, err);
    if (rc == SL_OK) {
        rc = sl_bucket_split(bucket, key_max, keys, ret_count, err);
    }
    f->view->ops->close(f->view, s);
    sl_arena_fini(&arena);
    return rc;
}

static sl_rc view_split(struct sl_frozen *fz, const struct sl_shard *shard, uint32_t range_max,
                        struct sl_arena *arena, struct sl_range_key **ret, uint32_t *ret_count,
                        struct sl_err *err)
{
    struct frozen *f = frozen_of(fz);
    struct sli_shard *s = &f->view->shards[shard->ref];
    uint32_t key_max = SL_MIN(range_max, (uint32_t)RANGES_MAX) - 1, count = 0;
    uint8_t(*keys)[SL_UUID_SIZE] = sl_arena_alloc(arena, SL_MAX(key_max, 1U) * sizeof(*keys));
    struct sl_range_key *ranges = sl_arena_array(arena, struct sl_range_key, (size_t)key_max + 1);
    if (keys == NULL || ranges == NULL) {
        return SL_NOMEM(err);
    }
    if (f->view->ops->plan != NULL) {
        SL_TRY(f->view->ops->plan(f->view, s, err));
    }
    if (key_max > 0) {
        sl_rc rc = split_keys(f, s, key_max, keys, &count, err);
        if (rc == SL_ECORRUPT) {
            count = 0; /* damage is told by the cursor, in one place */
        } else {
            SL_TRY(rc);
        }
    }
    for (uint32_t i = 0; i <= count; i++) {
        if (i > 0) {
            memcpy(ranges[i].lo, keys[i - 1], SL_UUID_SIZE);
        }
        ranges[i].has_hi = i < count;
        if (i < count) {
            memcpy(ranges[i].hi, keys[i], SL_UUID_SIZE);
        }
    }
    sl_mutex_lock(&s->mu);
    s->users = count + 1;
    sl_mutex_unlock(&s->mu);
    *ret = ranges;
    *ret_count = count + 1;
    return SL_OK;
}

static void view_release(struct sl_frozen *fz, bool drop SL_UNUSED)
{
    struct frozen *f = frozen_of(fz);
    if (f->view != NULL) {
        for (uint32_t i = 0; i < f->view->shard_count; i++) {
            close_bucket(f, &f->view->shards[i]);
            sl_mutex_fini(&f->view->shards[i].mu);
        }
        f->view->ops->release(f->view);
    }
    sl_free(f->list);
    sl_free(f);
}

static sl_rc view_schema(struct sl_frozen *fz, struct sl_str class_name, struct sl_arena *arena,
                         struct sl_str *ret, struct sl_err *err)
{
    const struct sl_schema_class *c = sl_schema_class(&frozen_of(fz)->view->schema, class_name);
    if (c == NULL) {
        return SL_FAIL(err, SL_ENOTFOUND, "class %.*s is not in the schema",
                       SL_STR_ARG(class_name));
    }
    *ret = sl_arena_str(arena, c->json);
    return ret->ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

static const struct sl_frozen_ops frozen_ops = {.shards = view_shards,
                                                .schema = view_schema,
                                                .split = view_split,
                                                .cursor = view_cursor,
                                                .release = view_release};

/* ---- for people ---- */

sl_rc sl_weaviate_view_shards(struct sl_frozen *fz, const struct sl_weaviate_shard **ret,
                              uint32_t *ret_count)
{
    const struct frozen *f = frozen_of(fz);
    *ret = f->list;
    *ret_count = f->view->shard_count;
    return SL_OK;
}

sl_rc sl_weaviate_sources(struct sl_frozen *fz, uint32_t shard_idx, struct sl_arena *arena,
                          struct sl_bucket_source **ret, uint32_t *ret_count, struct sl_err *err)
{
    struct sli_view *v = frozen_of(fz)->view;
    struct sli_shard *s = &v->shards[shard_idx];
    *ret_count = 0;
    bool has_data = false;
    for (uint32_t i = 0; i < s->pub.file_count; i++) {
        has_data |= s->pub.files[i].role == SL_ROLE_SEGMENT || s->pub.files[i].role == SL_ROLE_LOG;
    }
    return has_data ? v->ops->open(v, s, arena, ret, ret_count, err) : SL_OK;
}

void sl_weaviate_sources_done(struct sl_frozen *fz, uint32_t shard_idx)
{
    struct sli_view *v = frozen_of(fz)->view;
    v->ops->close(v, &v->shards[shard_idx]);
}

/* ---- source ---- */

/* Data that is gone is no answer to what was asked, and no mistake of whoever asked. */
static sl_rc explain(const struct weaviate *w, sl_rc rc, struct sl_err *err)
{
    if (rc != SL_ENOTFOUND && rc != SL_EINVAL) {
        return rc;
    }
    struct sl_err why = {0};
    why = err == NULL ? why : *err;
    return SL_FAIL(err, SL_EIO, "the data at %s cannot be read: %s", w->path,
                   sl_err_text(&why, rc));
}

sl_rc sl_source_weaviate_schema(struct sl_source *src, struct sl_schema *ret, struct sl_err *err)
{
    const struct weaviate *w = weaviate_of(src);
    sl_rc rc = w->kind == SL_KIND_BACKUP ? sli_backup_schema(w->path, ret, err)
                                         : sli_datadir_schema(w->path, ret, err);
    return explain(w, rc, err);
}

static sl_rc weaviate_classes(struct sl_source *src, struct sl_arena *arena, struct sl_str **ret,
                              uint32_t *ret_count, struct sl_err *err)
{
    struct sl_schema schema = {0};
    SL_TRY(sl_source_weaviate_schema(src, &schema, err));
    struct sl_str *names = sl_arena_array(arena, struct sl_str, (size_t)schema.class_count + 1);
    sl_rc rc = names == NULL ? SL_NOMEM(err) : SL_OK;
    for (uint32_t i = 0; rc == SL_OK && i < schema.class_count; i++) {
        names[i] = sl_arena_str(arena, schema.classes[i].name);
        rc = names[i].ptr == NULL ? SL_NOMEM(err) : SL_OK;
    }
    *ret = names;
    *ret_count = schema.class_count;
    sl_schema_fini(&schema);
    return rc;
}

static sl_rc weaviate_freeze(struct sl_source *src, struct sl_str name SL_UNUSED,
                             struct sl_frozen **ret, struct sl_err *err)
{
    const struct weaviate *w = weaviate_of(src);
    struct frozen *f = sl_alloc_zero(1, sizeof(*f));
    if (f == NULL) {
        return SL_NOMEM(err);
    }
    f->frozen.ops = &frozen_ops;
    f->opts = w->opts;
    sl_rc rc = w->kind == SL_KIND_BACKUP ? sli_backup_view(w->path, &w->opts, &f->view, err)
                                         : sli_datadir_view(w->path, &w->opts, &f->view, err);
    rc = explain(w, rc, err);
    for (uint32_t i = 0; rc == SL_OK && i < f->view->shard_count; i++) {
        sl_mutex_init(&f->view->shards[i].mu);
    }
    if (rc == SL_OK) {
        f->list = sl_alloc_zero((size_t)f->view->shard_count + 1, sizeof(*f->list));
        rc = f->list == NULL ? SL_NOMEM(err) : SL_OK;
    }
    if (rc != SL_OK) {
        view_release(&f->frozen, true);
        return rc;
    }
    for (uint32_t i = 0; i < f->view->shard_count; i++) {
        f->list[i] = f->view->shards[i].pub;
    }
    *ret = &f->frozen;
    return SL_OK;
}

/* Nothing of a view outlives the process: it is descriptors. */
static sl_rc weaviate_drop(struct sl_source *src SL_UNUSED, struct sl_str name SL_UNUSED,
                           struct sl_err *err SL_UNUSED)
{
    return SL_OK;
}

static void weaviate_close(struct sl_source *src)
{
    struct weaviate *w = weaviate_of(src);
    sl_free(w->path);
    sl_free(w);
}

static const struct sl_source_ops weaviate_ops = {.classes = weaviate_classes,
                                                  .freeze = weaviate_freeze,
                                                  .drop = weaviate_drop,
                                                  .close = weaviate_close};

sl_rc sl_source_weaviate_open(const char *path, enum sl_source_kind kind,
                              const struct sl_weaviate_opts *opts, struct sl_source **ret,
                              struct sl_err *err)
{
    struct weaviate *w = sl_alloc_zero(1, sizeof(*w));
    char *copy = sl_strdup(path);
    if (w == NULL || copy == NULL) {
        sl_free(w);
        sl_free(copy);
        return SL_NOMEM(err);
    }
    w->source.ops = &weaviate_ops;
    w->source.kind = kind == SL_KIND_BACKUP ? "backup" : "weaviate";
    w->path = copy;
    w->kind = kind;
    w->opts = *opts;
    *ret = &w->source;
    return SL_OK;
}
