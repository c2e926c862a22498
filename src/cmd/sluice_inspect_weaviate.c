/* sluice inspect: a Weaviate data directory or backup, as one document; see inspect_int.h.
 *
 * Without --verify only headers, logs and the first objects of some shards are read, and counts of
 * objects are estimates unless a shard was seen to its end. With it everything is read. */
#include <ctype.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/path.h"
#include "cmd/inspect_int.h"
#include "cmd/node.h"

#define SAMPLE_MAX     100 /* objects looked at in a shard without --verify */
#define SAMPLED_SHARDS 20  /* shards of a class */
#define DEPTH_MAX      8   /* folders below a bucket; servers make one */
#define DESCRIPTOR_MAX (64u << 20)

struct bucket_size {
    struct sl_str name;
    uint64_t bytes;
};
struct sizes {
    struct bucket_size *list; /* in the look's arena */
    uint32_t count, cap;
};

struct view {
    struct sli_look look;
    struct sl_source *source; /* owned */
    struct sl_frozen *frozen; /* owned */
    enum sl_source_kind kind;
    bool is_packed; /* to see a file of the backup its shard must be unpacked */
};

/* A class while its shards are added. */
struct class_sum {
    struct sli_vectors vectors;
    struct sizes sizes;
    uint64_t objects, side_count, bytes;
    bool is_exact, is_size_exact, is_side_complete;
    uint32_t sampled;
    uint32_t states[SL_UNFREEZING + 1];
};

/* ---- bytes of buckets ---- */

static bool add_size(struct sl_arena *arena, struct sizes *sizes, struct sl_str name,
                     uint64_t bytes)
{
    for (uint32_t i = 0; i < sizes->count; i++) {
        if (sl_str_eq(sizes->list[i].name, name)) {
            sizes->list[i].bytes += bytes;
            return true;
        }
    }
    struct bucket_size *grown = sl_arena_grow(arena, sizes->list, sizes->count, &sizes->cap);
    if (grown == NULL) {
        return false;
    }
    sizes->list = grown;
    struct sl_str copy = sl_arena_str(arena, name);
    sizes->list[sizes->count++] = (struct bucket_size){.name = copy, .bytes = bytes};
    return copy.ptr != NULL;
}

struct walk {
    const char *folder;
    uint32_t depth;
    uint64_t bytes;
    struct sl_arena *arena;
    struct sizes *sizes; /* depth 0: what is below each folder is a bucket */
    struct sli_signs *signs;
};

static void note_name(struct walk *w, const char *name)
{
    struct sl_str s = sl_str_from(name);
    w->signs->cleanup += sl_str_is(s, "cleanup.db.bolt");
    w->signs->edit_ops += sl_str_is(s, "segment_edit_ops.db.bolt");
}

static sl_rc add_entry(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    struct walk *w = arg;
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_path_join(&path, sl_str_from(w->folder), sl_str_from(name));
    SL_TRY(sl_buf_done(&path, err));
    if (!is_dir) {
        struct sl_file_id id = {0};
        bool is_plain = false;
        sl_rc rc = sl_path_identify(sl_buf_cstr(&path), &id, &is_plain, err);
        if (rc == SL_OK && is_plain) {
            w->bytes += id.size;
            note_name(w, name);
        }
        return rc == SL_ENOTFOUND ? SL_OK : rc; /* gone since: a server is at work */
    }
    struct walk inner = *w;
    inner.folder = sl_buf_cstr(&path);
    inner.depth++;
    inner.bytes = 0;
    sl_rc rc = inner.depth > DEPTH_MAX ? SL_OK : sl_dir_list(inner.folder, add_entry, &inner, err);
    w->bytes += inner.bytes;
    if (w->depth == 0 && rc == SL_OK &&
        !add_size(w->arena, w->sizes, sl_str_from(name), inner.bytes)) {
        return SL_NOMEM(err);
    }
    return rc == SL_ENOTFOUND ? SL_OK : rc;
}

/* Of all buckets of a shard of a directory; what cannot be read is told as damage. */
static void measure(struct view *v, const struct sl_weaviate_shard *s, struct sizes *sizes)
{
    struct sl_err err = {0};
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_buf_addf(&path, "%s/", v->look.in->path);
    for (size_t i = 0; i < s->shard.class_name.len; i++) {
        sl_buf_add_u8(&path, (uint8_t)tolower((unsigned char)s->shard.class_name.ptr[i]));
    }
    sl_buf_addf(&path, "/%.*s/lsm", SL_STR_ARG(s->shard.name));
    struct walk w = {.folder = sl_buf_cstr(&path),
                     .arena = &v->look.arena,
                     .sizes = sizes,
                     .signs = &v->look.signs};
    sl_rc rc = sl_dir_list(w.folder, add_entry, &w, &err);
    if (rc != SL_OK && rc != SL_ENOTFOUND) {
        sli_look_damage(&v->look, sl_err_text(&err, rc));
    }
}

static int by_size(const void *a, const void *b)
{
    const struct bucket_size *x = a, *y = b;
    int c = (x->bytes < y->bytes) - (x->bytes > y->bytes);
    return c != 0 ? c : sl_bytes_cmp(sl_str_bytes(x->name), sl_str_bytes(y->name));
}

static json_t *sizes_json(const struct sizes *sizes)
{
    json_t *list = json_array();
    if (sizes->count > 0) {
        qsort(sizes->list, sizes->count, sizeof(*sizes->list), by_size);
    }
    for (uint32_t i = 0; i < sizes->count; i++) {
        json_t *item = json_object();
        (void)json_object_set_new(item, "name", sli_text_json(sizes->list[i].name));
        (void)json_object_set_new(item, "bytes", sli_count_json(sizes->list[i].bytes));
        (void)json_array_append_new(list, item);
    }
    return list;
}

/* ---- shards ---- */

static const char *role_name(enum sl_file_role role)
{
    static const char *const names[] = {"segment", "log", "count", "side", "leftover"};
    return names[role];
}

static void note_file(struct sli_signs *signs, const struct sl_bucket_file *f)
{
    const char *mark = strstr(f->name.ptr, ".deleteme");
    if (mark != NULL) {
        bool is_numbered = mark > f->name.ptr && isdigit((unsigned char)mark[-1]);
        signs->marked_by_number += is_numbered;
        signs->marked += !is_numbered;
    } else if (f->role == SL_ROLE_SEGMENT) {
        bool has_level = strstr(f->name.ptr, ".s0.") != NULL;
        signs->level_names += has_level;
        signs->plain_names += !has_level;
    }
    signs->metadata += sl_str_ends(f->name, ".metadata");
}

/* Files that tell nothing by themselves (bloom filters and the like) stay out. */
static json_t *file_json(struct view *v, const struct sl_bucket_file *f)
{
    json_t *file = json_object();
    note_file(&v->look.signs, f);
    (void)json_object_set_new(file, "name", sli_text_json(f->name));
    (void)json_object_set_new(file, "role", json_string(role_name(f->role)));
    if (v->kind == SL_KIND_WEAVIATE) { /* a backup does not say; see look_into */
        (void)json_object_set_new(file, "bytes", sli_count_json(f->size));
    }
    if (f->why != NULL) {
        (void)json_object_set_new(file, "why", json_string(f->why));
    }
    return file;
}

/* Opens the files one by one, then those that open together; fills the entries of `files`. */
static struct sli_scan look_into(struct view *v, uint32_t idx, json_t *files, uint64_t object_max,
                                 struct sli_vectors *vectors)
{
    struct sl_arena arena = {0};
    struct sl_bucket_source *sources = NULL;
    struct sl_err err = {0};
    struct sli_scan scan = {0};
    uint32_t count = 0, good = 0;
    sl_rc rc = sl_weaviate_sources(v->frozen, idx, &arena, &sources, &count, &err);
    if (rc != SL_OK) {
        sli_look_damage(&v->look, sl_err_text(&err, rc));
        sl_arena_fini(&arena);
        return scan;
    }
    for (uint32_t i = 0; i < count; i++) {
        json_t *file = json_array_get(files, i);
        (void)json_object_set_new(file, "bytes", sli_count_json(sources[i].blob.size));
        if (sli_look_source(&v->look, &sources[i], file)) {
            sources[good++] = sources[i];
        }
    }
    if (object_max > 0 && good > 0) {
        scan = sli_look_objects(&v->look, sources, good, object_max, vectors);
        scan.is_all = scan.is_all && good == count;
    }
    if (count > 0) {
        sl_weaviate_sources_done(v->frozen, idx);
    }
    sl_arena_fini(&arena);
    return scan;
}

static uint64_t objects_to_see(const struct view *v, struct class_sum *sum)
{
    if (v->look.in->is_verifying) {
        return UINT64_MAX;
    }
    return sum->sampled++ < SAMPLED_SHARDS ? SAMPLE_MAX : 0;
}

/* Counts of a shard, and what they add to those of its class. */
static void count_objects(const struct view *v, const struct sl_weaviate_shard *s,
                          const struct sli_scan *scan, struct class_sum *sum, json_t *shard)
{
    bool is_counted = scan->is_all || v->look.in->is_verifying; /* as far as it can be read */
    uint64_t objects = is_counted ? scan->objects : s->shard.object_count;
    bool has_segment = false;
    for (uint32_t i = 0; i < s->file_count; i++) {
        has_segment |= s->files[i].role == SL_ROLE_SEGMENT;
    }
    (void)json_object_set_new(shard, "objects", sli_count_json(objects));
    (void)json_object_set_new(shard, "isCountExact", json_boolean(scan->is_all));
    if (s->is_side_complete && has_segment) {
        (void)json_object_set_new(shard, "sideFileObjects", sli_count_json(s->side_count));
        sum->side_count += s->side_count;
    } else {
        sum->is_side_complete = sum->is_side_complete && !has_segment;
    }
    sum->objects += objects;
    sum->is_exact = sum->is_exact && scan->is_all;
}

/* Size of the objects bucket: that of its files, or, where a backup does not say, about that. */
static void count_bytes(const struct sl_weaviate_shard *s, const json_t *files,
                        struct class_sum *sum, json_t *shard)
{
    size_t i;
    json_t *file;
    uint64_t bytes = 0;
    bool is_exact = true;
    json_array_foreach(files, i, file)
    {
        is_exact = is_exact && json_object_get(file, "bytes") != NULL;
        bytes += (uint64_t)json_integer_value(json_object_get(file, "bytes"));
    }
    bytes = is_exact ? bytes : s->shard.byte_count;
    (void)json_object_set_new(shard, "objectsBytes", sli_count_json(bytes));
    (void)json_object_set_new(shard, "isSizeExact", json_boolean(is_exact));
    sum->bytes += bytes;
    sum->is_size_exact = sum->is_size_exact && is_exact;
}

static json_t *shard_json(struct view *v, const struct sl_weaviate_shard *s, uint32_t idx,
                          struct class_sum *sum)
{
    json_t *shard = json_object(), *files = json_array();
    v->look.class_name = s->shard.class_name;
    v->look.shard = s->shard.name;
    (void)json_object_set_new(shard, "name", sli_text_json(s->shard.name));
    if (s->shard.is_tenant) {
        (void)json_object_set_new(shard, "status", json_string(sl_tenant_status_name(s->status)));
        sum->states[s->status]++;
    }
    if (s->shard.skip_reason.len > 0) {
        (void)json_object_set_new(shard, "skipReason", sli_text_json(s->shard.skip_reason));
    }
    for (uint32_t i = 0; i < s->file_count; i++) {
        (void)json_array_append_new(files, file_json(v, &s->files[i]));
    }
    if (s->shard.skip_reason.len == 0) {
        struct sli_scan scan = {0};
        if (!v->is_packed || v->look.in->is_verifying) {
            scan = look_into(v, idx, files, objects_to_see(v, sum), &sum->vectors);
        }
        count_objects(v, s, &scan, sum, shard);
    }
    count_bytes(s, files, sum, shard);
    (void)json_object_set_new(shard, "files", files);
    if (v->kind == SL_KIND_WEAVIATE) {
        struct sizes sizes = {0};
        measure(v, s, &sizes);
        for (uint32_t i = 0; i < sizes.count; i++) {
            (void)add_size(&v->look.arena, &sum->sizes, sizes.list[i].name, sizes.list[i].bytes);
        }
        (void)json_object_set_new(shard, "buckets", sizes_json(&sizes));
    }
    v->look.class_name = v->look.shard = SL_STR("");
    return shard;
}

/* ---- classes ---- */

static json_t *class_json(struct view *v, const struct sl_schema_class *c,
                          const struct sl_weaviate_shard *shards, uint32_t shard_count)
{
    struct class_sum sum = {
        .is_exact = true, .is_size_exact = true, .is_side_complete = v->kind == SL_KIND_WEAVIATE};
    json_t *class = json_object(), *list = json_array();
    for (uint32_t i = 0; i < shard_count; i++) {
        if (sl_str_eq(shards[i].shard.class_name, c->name)) {
            (void)json_array_append_new(list, shard_json(v, &shards[i], i, &sum));
        }
    }
    (void)json_object_set_new(class, "name", sli_text_json(c->name));
    (void)json_object_set_new(class, "isMultiTenant", json_boolean(c->is_multi_tenant));
    (void)json_object_set_new(class, "objects", sli_count_json(sum.objects));
    (void)json_object_set_new(class, "isCountExact", json_boolean(sum.is_exact));
    if (sum.is_side_complete) {
        (void)json_object_set_new(class, "sideFileObjects", sli_count_json(sum.side_count));
    }
    (void)json_object_set_new(class, "objectsBytes", sli_count_json(sum.bytes));
    (void)json_object_set_new(class, "isSizeExact", json_boolean(sum.is_size_exact));
    (void)json_object_set_new(class, "vectors", sli_vectors_json(&sum.vectors));
    if (v->kind == SL_KIND_WEAVIATE) {
        (void)json_object_set_new(class, "buckets", sizes_json(&sum.sizes));
    }
    if (c->is_multi_tenant) {
        json_t *states = json_object();
        for (uint32_t i = 0; i < SL_COUNT_OF(sum.states); i++) {
            if (sum.states[i] > 0) {
                (void)json_object_set_new(states, sl_tenant_status_name((enum sl_tenant_status)i),
                                          sli_count_json(sum.states[i]));
            }
        }
        (void)json_object_set_new(class, "tenantStates", states);
    }
    (void)json_object_set_new(class, "shards", list);
    return class;
}

/* ---- the whole ---- */

static json_t *schema_json(const struct sl_schema *schema)
{
    static const char *const origins[] = {"raft", "schema.db", "backup", "folders"};
    json_t *item = json_object();
    (void)json_object_set_new(item, "origin", json_string(origins[schema->origin]));
    if (schema->origin == SL_SCHEMA_RAFT) {
        (void)json_object_set_new(item, "raftIndex", sli_count_json(schema->raft_index));
        (void)json_object_set_new(item, "snapshot", sli_text_json(schema->snapshot));
    }
    (void)json_object_set_new(item, "node", sli_text_json(schema->node_name));
    return item;
}

/* The backup's own description, as its server wrote it. */
static sl_rc add_backup(struct view *v, struct sl_err *err)
{
    static const char *const keys[] = {
        "id",          "status",          "serverVersion", "version", "startedAt",
        "completedAt", "compressionType", "baseBackupId",  "error"};
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_path_join(&path, sl_str_from(v->look.in->path), SL_STR("backup_config.json"));
    v->is_packed = true;
    sl_rc rc = sl_file_read_all(sl_buf_cstr(&path), DESCRIPTOR_MAX, &text, err);
    if (rc == SL_ENOTFOUND) {
        return SL_OK; /* one node's folder */
    }
    SL_TRY(rc);
    json_t *all = json_loadb((const char *)text.ptr, text.len, 0, NULL), *item = json_object();
    for (size_t i = 0; i < SL_COUNT_OF(keys); i++) {
        json_t *value = json_object_get(all, keys[i]);
        if (json_is_string(value) && json_string_length(value) > 0) {
            (void)json_object_set(item, keys[i], value);
        }
    }
    json_t *nodes = json_array(), *node;
    const char *name;
    json_object_foreach(json_object_get(all, "nodes"), name, node)
    {
        (void)json_array_append_new(nodes, json_string(name));
    }
    (void)json_object_set_new(item, "nodes", nodes);
    const char *packing = json_string_value(json_object_get(item, "compressionType"));
    v->is_packed = packing == NULL || strcmp(packing, "none") != 0;
    (void)json_object_set_new(v->look.doc, "backup", item);
    json_decref(all);
    return SL_OK;
}

static sl_rc add_notes(struct view *v, struct sl_err *err)
{
    bool is_running = false;
    json_t *notes = json_array();
    (void)json_object_set_new(v->look.doc, "notes", notes);
    if (v->kind == SL_KIND_BACKUP) {
        if (v->is_packed && !v->look.in->is_verifying) {
            (void)json_array_append_new(
                notes, json_string("segments and vectors of a compressed backup are only seen "
                                   "with --verify, which unpacks it"));
        }
        return SL_OK;
    }
    SL_TRY(sl_schema_is_running(v->look.in->path, &is_running, err));
    (void)json_object_set_new(v->look.doc, "isRunning", json_boolean(is_running));
    if (is_running) {
        (void)json_array_append_new(
            notes, json_string("a running server has the directory open; what it acknowledged but "
                               "still holds in its write buffer is not on disk and not in here"));
    }
    return SL_OK;
}

static sl_rc add_classes(struct view *v, struct sl_err *err)
{
    const struct sl_weaviate_shard *shards = NULL;
    uint32_t shard_count = 0;
    struct sl_schema schema = {0};
    SL_TRY(sl_weaviate_view_shards(v->frozen, &shards, &shard_count));
    SL_TRY(sl_source_weaviate_schema(v->source, &schema, err));
    json_t *classes = json_array(), *warnings = json_array();
    for (uint32_t i = 0; i < schema.warning_count; i++) {
        (void)json_array_append_new(warnings, sli_text_json(schema.warnings[i]));
    }
    for (uint32_t i = 0; i < schema.class_count; i++) {
        (void)json_array_append_new(classes,
                                    class_json(v, &schema.classes[i], shards, shard_count));
    }
    (void)json_object_set_new(v->look.doc, "schema", schema_json(&schema));
    (void)json_object_set_new(v->look.doc, "warnings", warnings);
    (void)json_object_set_new(v->look.doc, "classes", classes);
    sl_schema_fini(&schema);
    return SL_OK;
}

static void note_left_out(void *arg, struct sl_str class_name, struct sl_str shard,
                          const char *what)
{
    struct sli_look *l = arg;
    l->class_name = class_name;
    l->shard = shard;
    sli_look_damage(l, what);
    l->class_name = l->shard = SL_STR("");
}

static sl_rc look_at(struct view *v, struct sl_err *err)
{
    struct sl_weaviate_opts opts = {.clock = sl_clock_real(),
                                    .spool_path = v->look.in->spool,
                                    .left_out = note_left_out,
                                    .left_out_arg = &v->look};
    if (v->kind == SL_KIND_BACKUP) {
        SL_TRY(add_backup(v, err));
    }
    SL_TRY(add_notes(v, err));
    SL_TRY(sl_source_weaviate_open(v->look.in->path, v->kind, &opts, &v->source, err));
    SL_TRY(v->source->ops->freeze(v->source, SL_STR("inspect"), &v->frozen, err));
    SL_TRY(add_classes(v, err));
    (void)json_object_set_new(v->look.doc, "signs", sli_signs_json(&v->look.signs));
    (void)json_object_set(v->look.doc, "damages", v->look.damages);
    (void)json_object_set_new(v->look.doc, "damageCount", sli_count_json(v->look.damage_count));
    return SL_OK;
}

sl_rc sli_inspect_weaviate(const struct sli_inspect *in, enum sl_source_kind kind, json_t **ret,
                           struct sl_err *err)
{
    struct view v = {.kind = kind};
    sli_raise_file_limit();
    sl_rc rc = sli_look_init(&v.look, in, kind == SL_KIND_BACKUP ? "backup" : "weaviate", err);
    if (rc == SL_OK) {
        rc = look_at(&v, err);
    }
    if (rc == SL_OK) {
        *ret = json_incref(v.look.doc);
    }
    sl_frozen_release(v.frozen, true);
    sl_source_close(v.source);
    sli_look_fini(&v.look);
    return rc;
}
