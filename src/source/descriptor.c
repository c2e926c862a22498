/* jansson's tree -> structures; see descriptor.h. */
#include "source/descriptor.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/num.h"

#define CHUNKS_MAX 10000000 /* 1 PiB in chunks of 128 MiB */

static int by_str(struct sl_str a, struct sl_str b)
{
    return sl_bytes_cmp(sl_str_bytes(a), sl_str_bytes(b));
}

static int by_state(const void *a, const void *b)
{
    return by_str(((const struct sl_schema_shard *)a)->name,
                  ((const struct sl_schema_shard *)b)->name);
}

static int by_shard(const void *a, const void *b)
{
    return by_str(((const struct sli_desc_shard *)a)->name,
                  ((const struct sli_desc_shard *)b)->name);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = ((const struct sli_desc_chunk *)a)->number;
    uint32_t y = ((const struct sli_desc_chunk *)b)->number;
    return (x > y) - (x < y);
}

/* qsort of nothing is not allowed a NULL. */
static void sort(void *list, uint32_t count, size_t size, int (*cmp)(const void *, const void *))
{
    if (count > 1) {
        qsort(list, count, size, cmp);
    }
}

static sl_rc no_room(const void *list, struct sl_err *err)
{
    return list == NULL ? SL_NOMEM(err) : SL_OK;
}

/* Text of a key, empty when it is missing or something else. */
static sl_rc copy_text(json_t *object, const char *key, struct sl_arena *arena, struct sl_str *ret,
                       struct sl_err *err)
{
    json_t *v = json_object_get(object, key);
    *ret = sl_arena_str(arena, (struct sl_str){json_string_value(v), json_string_length(v)});
    return no_room(ret->ptr, err);
}

/* A relative path without "..": it must not lead out of the backup. */
static bool is_path_inside(struct sl_str path)
{
    struct sl_str rest = path;
    if (path.len == 0 || path.ptr[0] == '/' || memchr(path.ptr, 0, path.len) != NULL) {
        return false;
    }
    while (rest.len > 0) {
        const char *slash = memchr(rest.ptr, '/', rest.len);
        size_t n = slash == NULL ? rest.len : (size_t)(slash - rest.ptr);
        if (n == 2 && memcmp(rest.ptr, "..", 2) == 0) {
            return false;
        }
        size_t step = SL_MIN(n + 1, rest.len);
        rest = (struct sl_str){rest.ptr + step, rest.len - step};
    }
    return true;
}

static bool is_name(struct sl_str name)
{
    return is_path_inside(name) && memchr(name.ptr, '/', name.len) == NULL;
}

static sl_rc bad(struct sl_err *err, const char *what, struct sl_str which)
{
    return SL_FAIL(err, SL_ECORRUPT, "%s of \"%.*s\" is missing or wrong", what,
                   (int)SL_MIN(which.len, (size_t)100), which.ptr);
}

static bool is_of_objects(const char *path)
{
    return strstr(path, "/lsm/objects/") != NULL || strstr(path, "_lsm/objects/") != NULL;
}

/* ---- schema and sharding state: base64 of JSON ---- */

static sl_rc decode(json_t *object, const char *key, struct sl_str name, struct sl_buf *out,
                    struct sl_err *err)
{
    json_t *v = json_object_get(object, key);
    struct sl_str text = {json_string_value(v), json_string_length(v)};
    if (text.len > 0 && !sl_base64_parse(text, out)) {
        SL_TRY(sl_buf_done(out, err));
        return bad(err, key, name);
    }
    return sl_buf_done(out, err);
}

static sl_rc take_state(const char *name, json_t *from, struct sl_arena *arena,
                        struct sl_schema_shard *ret, struct sl_err *err)
{
    const char *status = json_string_value(json_object_get(from, "status"));
    json_t *nodes = json_object_get(from, "belongsToNodes"), *node;
    size_t i;
    ret->name = sl_arena_str(arena, sl_str_from(name));
    ret->nodes = sl_arena_array(arena, struct sl_str, json_array_size(nodes) + 1);
    if (ret->name.ptr == NULL || ret->nodes == NULL) {
        return SL_NOMEM(err);
    }
    (void)sl_tenant_status_parse(sl_str_from(status), &ret->status); /* else HOT */
    json_array_foreach(nodes, i, node)
    {
        struct sl_str *to = &ret->nodes[ret->node_count++];
        *to = sl_arena_str(arena, sl_str_from(json_string_value(node)));
        SL_TRY(no_room(to->ptr, err));
    }
    return SL_OK;
}

static sl_rc take_states(json_t *state, struct sl_arena *arena, struct sli_desc_class *ret,
                         struct sl_err *err)
{
    json_t *physical = json_object_get(state, "physical"), *one;
    const char *name;
    ret->is_multi_tenant = json_is_true(json_object_get(state, "partitioningEnabled"));
    ret->states = sl_arena_array(arena, struct sl_schema_shard, json_object_size(physical) + 1);
    SL_TRY(no_room(ret->states, err));
    json_object_foreach(physical, name, one)
    {
        if (!is_name(sl_str_from(name))) {
            return bad(err, "a shard's name in shardingState", ret->name);
        }
        SL_TRY(take_state(name, one, arena, &ret->states[ret->state_count++], err));
    }
    sort(ret->states, ret->state_count, sizeof(*ret->states), by_state);
    return SL_OK;
}

static sl_rc take_schema(json_t *from, struct sl_arena *arena, struct sli_desc_class *ret,
                         struct sl_err *err)
{
    SL_AUTO(sl_buf) schema = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) sharding = SL_BUF_EMPTY;
    SL_TRY(decode(from, "schema", ret->name, &schema, err));
    SL_TRY(decode(from, "shardingState", ret->name, &sharding, err));
    ret->json = sl_arena_str(arena, sl_buf_str(&schema));
    SL_TRY(no_room(ret->json.ptr, err));
    if (sharding.len == 0) {
        ret->states = sl_arena_array(arena, struct sl_schema_shard, 1);
        return no_room(ret->states, err);
    }
    json_t *state = json_loadb((const char *)sharding.ptr, sharding.len, JSON_DECODE_INT_AS_REAL,
                               NULL); /* hashes of 64 bits are in it */
    sl_rc rc = json_is_object(state) ? take_states(state, arena, ret, err)
                                     : bad(err, "shardingState", ret->name);
    json_decref(state);
    return rc;
}

/* ---- chunks ---- */

static sl_rc take_chunk(const char *number, json_t *shards, struct sl_arena *arena,
                        struct sli_desc_chunk *ret, struct sl_err *err)
{
    uint64_t n = 0;
    size_t i;
    json_t *name;
    if (!sl_u64_parse(sl_str_from(number), &n) || n > CHUNKS_MAX) {
        return bad(err, "the number of a chunk", sl_str_from(number));
    }
    ret->number = (uint32_t)n;
    ret->shards = sl_arena_array(arena, struct sl_str, json_array_size(shards) + 1);
    SL_TRY(no_room(ret->shards, err));
    json_array_foreach(shards, i, name)
    {
        struct sl_str *to = &ret->shards[ret->shard_count++];
        *to = sl_arena_str(arena, sl_str_from(json_string_value(name)));
        SL_TRY(no_room(to->ptr, err));
    }
    return SL_OK;
}

static sl_rc take_chunks(json_t *chunks, struct sl_arena *arena, struct sli_desc_class *ret,
                         struct sl_err *err)
{
    const char *number;
    json_t *shards;
    ret->chunks = sl_arena_array(arena, struct sli_desc_chunk, json_object_size(chunks) + 1);
    SL_TRY(no_room(ret->chunks, err));
    json_object_foreach(chunks, number, shards)
    {
        SL_TRY(take_chunk(number, shards, arena, &ret->chunks[ret->chunk_count++], err));
    }
    sort(ret->chunks, ret->chunk_count, sizeof(*ret->chunks), by_number);
    return SL_OK;
}

/* "<Class>/chunk-<n>" of this backup names a chunk with parts of one file only. */
static void mark_chunk(struct sli_desc_class *c, const char *key)
{
    const char *dash = key == NULL ? NULL : strrchr(key, '-');
    uint64_t n = 0;
    if (dash == NULL || !sl_u64_parse(sl_str_from(dash + 1), &n) || n > CHUNKS_MAX) {
        return;
    }
    struct sli_desc_chunk probe = {.number = (uint32_t)n};
    struct sli_desc_chunk *found =
        c->chunk_count == 0 ? NULL
                            : bsearch(&probe, c->chunks, c->chunk_count, sizeof(probe), by_number);
    if (found != NULL) {
        found->is_of_big_file = true;
    }
}

/* ---- files of a shard ---- */

static sl_rc take_files(json_t *files, struct sl_arena *arena, struct sli_desc_shard *ret,
                        struct sl_err *err)
{
    json_t *file;
    size_t i;
    uint32_t count = 0;
    json_array_foreach(files, i, file)
    {
        const char *path = json_string_value(file);
        count += path != NULL && is_of_objects(path);
    }
    ret->files = sl_arena_array(arena, struct sl_str, (size_t)count + 1);
    SL_TRY(no_room(ret->files, err));
    json_array_foreach(files, i, file)
    {
        const char *path = json_string_value(file);
        if (path != NULL && is_of_objects(path)) {
            struct sl_str *to = &ret->files[ret->file_count++];
            *to = sl_arena_str(arena, sl_str_from(path));
            SL_TRY(no_room(to->ptr, err));
        }
    }
    return SL_OK;
}

static sl_rc take_keys(json_t *keys, struct sl_arena *arena, struct sli_desc_big *ret,
                       struct sl_err *err)
{
    json_t *key;
    size_t i;
    ret->keys = sl_arena_array(arena, struct sl_str, json_array_size(keys) + 1);
    SL_TRY(no_room(ret->keys, err));
    json_array_foreach(keys, i, key)
    {
        struct sl_str text = sl_str_from(json_string_value(key));
        if (!is_path_inside(text)) {
            return bad(err, "the name of a chunk", ret->file);
        }
        ret->keys[ret->key_count] = sl_arena_str(arena, text);
        SL_TRY(no_room(ret->keys[ret->key_count++].ptr, err));
    }
    return SL_OK;
}

static sl_rc add_big(const char *base, const char *file, json_t *from, struct sl_arena *arena,
                     struct sli_desc_shard *s, struct sl_err *err)
{
    struct sli_desc_big *to = &s->bigs[s->big_count++];
    to->base = sl_arena_str(arena, sl_str_from(base));
    to->file = sl_arena_str(arena, sl_str_from(file));
    if (to->base.ptr == NULL || to->file.ptr == NULL) {
        return SL_NOMEM(err);
    }
    if (to->base.len > 0 && !is_name(to->base)) {
        return bad(err, "the id of the base backup", to->file);
    }
    json_int_t size = json_integer_value(json_object_get(from, "size"));
    to->size = size > 0 ? (uint64_t)size : 0;
    return take_keys(json_object_get(from, "chunkKeys"), arena, to, err);
}

static uint32_t count_base_files(json_t *per_backup)
{
    const char *base;
    json_t *files, *file;
    size_t i;
    uint32_t count = 0;
    json_object_foreach(per_backup, base, files)
    {
        json_array_foreach(files, i, file)
        {
            const char *path = json_string_value(json_object_get(file, "file"));
            count += path != NULL && is_of_objects(path);
        }
    }
    return count;
}

static sl_rc take_bigs(json_t *from, struct sl_arena *arena, struct sli_desc_class *c,
                       struct sli_desc_shard *ret, struct sl_err *err)
{
    json_t *big = json_object_get(from, "bigFilesChunk"), *one, *key;
    json_t *per_backup =
        json_object_get(json_object_get(from, "incrementalBackupInfo"), "filesPerBackup");
    const char *path, *base;
    json_t *files;
    size_t i;
    size_t room = json_object_size(big) + count_base_files(per_backup);
    ret->bigs = sl_arena_array(arena, struct sli_desc_big, room + 1);
    SL_TRY(no_room(ret->bigs, err));
    json_object_foreach(big, path, one)
    {
        json_array_foreach(json_object_get(one, "chunkKeys"), i, key)
        {
            mark_chunk(c, json_string_value(key));
        }
        if (is_of_objects(path)) {
            SL_TRY(add_big("", path, one, arena, ret, err));
        }
    }
    json_object_foreach(per_backup, base, files)
    {
        json_array_foreach(files, i, one)
        {
            path = json_string_value(json_object_get(one, "file"));
            if (path != NULL && is_of_objects(path)) {
                SL_TRY(add_big(base, path, one, arena, ret, err));
            }
        }
    }
    return SL_OK;
}

static sl_rc take_shards(json_t *from, struct sl_arena *arena, struct sli_desc_class *ret,
                         struct sl_err *err)
{
    json_t *shards = json_object_get(from, "shards"), *one;
    size_t i;
    ret->shards = sl_arena_array(arena, struct sli_desc_shard, json_array_size(shards) + 1);
    SL_TRY(no_room(ret->shards, err));
    json_array_foreach(shards, i, one)
    {
        struct sli_desc_shard *s = &ret->shards[ret->shard_count++];
        SL_TRY(copy_text(one, "name", arena, &s->name, err));
        if (!is_name(s->name)) {
            return bad(err, "a shard's name", ret->name);
        }
        SL_TRY(take_files(json_object_get(one, "files"), arena, s, err));
        SL_TRY(take_bigs(one, arena, ret, s, err));
    }
    sort(ret->shards, ret->shard_count, sizeof(*ret->shards), by_shard);
    return SL_OK;
}

/* ---- the whole ---- */

static sl_rc take_class(json_t *from, struct sl_arena *arena, struct sli_desc_class *ret,
                        struct sl_err *err)
{
    json_int_t bytes = json_integer_value(json_object_get(from, "preCompressionSizeBytes"));
    ret->unpacked_bytes = bytes > 0 ? (uint64_t)bytes : 0;
    SL_TRY(copy_text(from, "name", arena, &ret->name, err));
    if (!is_name(ret->name)) {
        return SL_FAIL(err, SL_ECORRUPT, "a class has no name, or none that can be a folder");
    }
    SL_TRY(take_schema(from, arena, ret, err));
    SL_TRY(take_chunks(json_object_get(from, "chunks"), arena, ret, err));
    return take_shards(from, arena, ret, err);
}

static sl_rc take_all(json_t *doc, struct sl_arena *arena, struct sli_desc *ret, struct sl_err *err)
{
    json_t *classes = json_object_get(doc, "classes"), *one;
    json_t *nodes = json_object_get(doc, "nodes");
    const char *node;
    size_t i;
    SL_TRY(copy_text(doc, "id", arena, &ret->id, err));
    SL_TRY(copy_text(doc, "status", arena, &ret->status, err));
    SL_TRY(copy_text(doc, "error", arena, &ret->error, err));
    SL_TRY(copy_text(doc, "serverVersion", arena, &ret->server_version, err));
    ret->classes = sl_arena_array(arena, struct sli_desc_class, json_array_size(classes) + 1);
    ret->nodes = sl_arena_array(arena, struct sl_str, json_object_size(nodes) + 1);
    if (ret->classes == NULL || ret->nodes == NULL) {
        return SL_NOMEM(err);
    }
    json_array_foreach(classes, i, one)
    {
        SL_TRY(take_class(one, arena, &ret->classes[ret->class_count++], err));
    }
    json_object_foreach(nodes, node, one)
    {
        struct sl_str *to = &ret->nodes[ret->node_count++];
        *to = sl_arena_str(arena, sl_str_from(node));
        SL_TRY(no_room(to->ptr, err));
        if (!is_name(*to)) {
            return bad(err, "the name of a node", *to);
        }
    }
    return SL_OK;
}

sl_rc sli_desc_parse(struct sl_bytes json, struct sl_arena *arena, struct sli_desc *ret,
                     struct sl_err *err)
{
    json_error_t why = {0};
    *ret = (struct sli_desc){0};
    json_t *doc = json_loadb((const char *)json.ptr, json.len, 0, &why);
    sl_rc rc = SL_OK;
    if (!json_is_object(doc)) {
        rc = SL_FAIL(err, SL_ECORRUPT, "damaged at byte %d: this is no JSON of a backup: %s",
                     why.position, why.text);
    } else {
        rc = take_all(doc, arena, ret, err);
    }
    json_decref(doc);
    return rc;
}
