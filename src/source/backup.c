/* Finding and reading the descriptors of a backup; see backup.h.
 *
 * A backup is a folder with backup_config.json and one folder a node. Only what ended with SUCCESS
 * is read: in all other cases chunks may be missing without any other sign. */
#include "source/backup.h"
#include "base/path.h"

#include <stdlib.h>

#include "source/source_int.h"

#define CONFIG_NAME    "backup_config.json"
#define NODE_NAME      "backup.json"
#define DESCRIPTOR_MAX ((uint64_t)1 << 30) /* 100,000 tenants of 40 files make 400 MB */

/* ---- what is where ---- */

static sl_rc has(const char *folder, const char *name, bool *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) full = SL_BUF_EMPTY;
    sl_path_join(&full, sl_str_from(folder), sl_str_from(name));
    SL_TRY(sl_buf_done(&full, err));
    return sl_file_exists(sl_buf_cstr(&full), ret, err);
}

/* Sub-folders that hold a file of this name. */
struct search {
    const char *path, *name;
    struct sl_arena *arena;
    struct sl_str *found;
    uint32_t count, cap;
};

static sl_rc look_into(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    struct search *s = arg;
    SL_AUTO(sl_buf) inner = SL_BUF_EMPTY;
    bool is_there = false;
    if (!is_dir) {
        return SL_OK;
    }
    sl_path_join(&inner, sl_str_from(name), sl_str_from(s->name));
    SL_TRY(sl_buf_done(&inner, err));
    SL_TRY(has(s->path, sl_buf_cstr(&inner), &is_there, err));
    if (!is_there) {
        return SL_OK;
    }
    struct sl_str *grown = sl_arena_grow(s->arena, s->found, s->count, &s->cap);
    if (grown == NULL) {
        return SL_NOMEM(err);
    }
    s->found = grown;
    s->found[s->count] = sl_arena_str(s->arena, sl_str_from(name));
    return s->found[s->count++].ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

sl_rc sli_backup_is(const char *path, bool *ret, struct sl_err *err)
{
    struct sl_arena arena = {0};
    struct search s = {.path = path, .name = NODE_NAME, .arena = &arena};
    SL_TRY(has(path, CONFIG_NAME, ret, err));
    if (*ret) {
        return SL_OK;
    }
    sl_rc rc = sl_dir_list(path, look_into, &s, err);
    *ret = s.count > 0;
    sl_arena_fini(&arena);
    return rc;
}

sl_rc sli_backup_list(const char *path, struct sl_buf *ret, struct sl_err *err)
{
    struct sl_arena arena = {0};
    struct search s = {.path = path, .name = CONFIG_NAME, .arena = &arena};
    sl_rc rc = sl_dir_list(path, look_into, &s, err);
    for (uint32_t i = 0; rc == SL_OK && i < s.count; i++) {
        sl_buf_addf(ret, "%s%.*s", i == 0 ? "" : ", ", SL_STR_ARG(s.found[i]));
    }
    sl_arena_fini(&arena);
    return rc == SL_OK ? sl_buf_done(ret, err) : rc;
}

/* ---- reading ---- */

static sl_rc read_descriptor(struct sli_backup *b, struct sl_str file, struct sli_desc *ret,
                             struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_path_join(&path, b->path, file);
    SL_TRY(sl_buf_done(&path, err));
    SL_TRY(sl_file_read_all(sl_buf_cstr(&path), DESCRIPTOR_MAX, &text, err));
    sl_rc rc = sli_desc_parse(sl_buf_view(&text), &b->arena, ret, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "%s", sl_buf_cstr(&path));
        return rc;
    }
    if (!sl_str_is(ret->status, "SUCCESS")) {
        return SL_FAIL(
            err, SL_EINVAL,
            "%s: the backup did not end well: its status is \"%.*s\"%s%.*s. Only backups "
            "with status SUCCESS hold all data; make or choose another",
            sl_buf_cstr(&path), SL_STR_ARG(ret->status), ret->error.len > 0 ? ": " : "",
            SL_STR_ARG(ret->error));
    }
    return SL_OK;
}

static sl_rc read_node(struct sli_backup *b, struct sl_str name, struct sli_backup_node *ret,
                       struct sl_err *err)
{
    SL_AUTO(sl_buf) file = SL_BUF_EMPTY;
    sl_path_join(&file, name, SL_STR(NODE_NAME));
    SL_TRY(sl_buf_done(&file, err));
    ret->name = name;
    SL_TRY(read_descriptor(b, sl_buf_str(&file), &ret->desc, err));
    if (b->server_version.len == 0) {
        b->server_version = ret->desc.server_version;
    }
    return SL_OK;
}

/* The coordinator lists the nodes that took part; each must have its folder here. */
static sl_rc check_nodes(const struct sli_backup *b, const struct sli_desc *config,
                         struct sl_err *err)
{
    for (uint32_t i = 0; i < config->node_count; i++) {
        bool is_there = false;
        for (uint32_t k = 0; k < b->node_count && !is_there; k++) {
            is_there = sl_str_eq(config->nodes[i], b->nodes[k].name);
        }
        if (!is_there) {
            return SL_FAIL(err, SL_EINVAL,
                           "%.*s: the part of node \"%.*s\" is missing (%.*s/" NODE_NAME
                           "); copy the backup again, whole",
                           SL_STR_ARG(b->path), SL_STR_ARG(config->nodes[i]),
                           SL_STR_ARG(config->nodes[i]));
        }
    }
    return SL_OK;
}

static sl_rc no_backup(struct sli_backup *b, struct sl_err *err)
{
    SL_AUTO(sl_buf) ids = SL_BUF_EMPTY;
    SL_TRY(sli_backup_list(b->path.ptr, &ids, err));
    if (ids.len > 0) {
        return SL_FAIL(err, SL_EINVAL, "%s holds several backups; name one of them: %s",
                       b->path.ptr, sl_buf_cstr(&ids));
    }
    return SL_FAIL(err, SL_EINVAL,
                   "%s is no backup: there is no <node>/" NODE_NAME
                   " in it. Backups of servers before 1.17 are not read: restore them into a later "
                   "server and back that up",
                   b->path.ptr);
}

/* "a/b" -> "a"; what has no name of its own has its parent behind "..". */
static sl_rc set_paths(struct sli_backup *b, const char *path, struct sl_err *err)
{
    SL_AUTO(sl_buf) parent = SL_BUF_EMPTY;
    struct sl_str p = sl_str_from(path);
    while (p.len > 1 && p.ptr[p.len - 1] == '/') {
        p.len--;
    }
    const char *slash = memrchr(p.ptr, '/', p.len);
    struct sl_str last = slash == NULL ? p : sl_str_from(slash + 1);
    last.len = slash == NULL ? p.len : p.len - (size_t)(slash + 1 - p.ptr);
    if (sl_str_is(last, ".") || sl_str_is(last, "..") || last.len == 0) {
        sl_path_join(&parent, p, SL_STR(".."));
    } else if (slash == NULL) {
        sl_buf_add_text(&parent, ".");
    } else {
        sl_buf_add_str(&parent, (struct sl_str){p.ptr, SL_MAX((size_t)(slash - p.ptr), (size_t)1)});
    }
    b->path = sl_arena_str(&b->arena, p);
    b->parent = sl_arena_str(&b->arena, sl_buf_str(&parent));
    bool is_whole = !parent.is_failed && b->path.ptr != NULL && b->parent.ptr != NULL;
    return is_whole ? SL_OK : SL_NOMEM(err);
}

static sl_rc load(struct sli_backup *b, const char *path, struct sl_err *err)
{
    struct sli_desc config = {0};
    bool has_config = false;
    SL_TRY(set_paths(b, path, err));
    struct search s = {.path = b->path.ptr, .name = NODE_NAME, .arena = &b->arena};
    SL_TRY(has(b->path.ptr, CONFIG_NAME, &has_config, err));
    if (has_config) { /* without it, the nodes' own descriptors must do */
        SL_TRY(read_descriptor(b, SL_STR(CONFIG_NAME), &config, err));
        b->server_version = config.server_version;
    }
    SL_TRY(sl_dir_list(b->path.ptr, look_into, &s, err));
    if (s.count == 0 && config.node_count == 0) {
        return no_backup(b, err);
    }
    b->nodes = sl_arena_array(&b->arena, struct sli_backup_node, (size_t)s.count + 1);
    if (b->nodes == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < s.count; i++) {
        SL_TRY(read_node(b, s.found[i], &b->nodes[i], err));
        b->node_count++;
    }
    return check_nodes(b, &config, err);
}

sl_rc sli_backup_load(const char *path, struct sli_backup *ret, struct sl_err *err)
{
    *ret = (struct sli_backup){0};
    sl_rc rc = load(ret, path, err);
    if (rc != SL_OK) {
        sli_backup_fini(ret);
    }
    return rc;
}

void sli_backup_fini(struct sli_backup *b)
{
    sl_arena_fini(&b->arena);
}

/* ---- schema ---- */

static int by_class(const void *a, const void *b)
{
    const struct sl_schema_class *x = a, *y = b;
    return sl_bytes_cmp(sl_str_bytes(x->name), sl_str_bytes(y->name));
}

/* All shards the sharding state names, which each node has whole; were it missing, those that lie
 * in the backup. */
static sl_rc add_class(struct sli_backup *b, const struct sli_desc_class *from,
                       struct sl_schema *schema, struct sl_err *err)
{
    struct sl_schema_class *to = &schema->classes[schema->class_count];
    *to = (struct sl_schema_class){.name = from->name,
                                   .is_multi_tenant = from->is_multi_tenant,
                                   .json = from->json,
                                   .shards = from->states,
                                   .shard_count = from->state_count};
    if (from->state_count == 0 && from->shard_count > 0) {
        to->shards = sl_arena_array(&b->arena, struct sl_schema_shard, from->shard_count);
        if (to->shards == NULL) {
            return SL_NOMEM(err);
        }
        for (uint32_t i = 0; i < from->shard_count; i++) {
            to->shards[i].name = from->shards[i].name;
        }
        to->shard_count = from->shard_count;
    }
    schema->class_count++;
    return SL_OK;
}

sl_rc sli_backup_fill_schema(struct sli_backup *b, struct sl_schema *ret, struct sl_err *err)
{
    uint32_t room = 1;
    *ret = (struct sl_schema){.origin = SL_SCHEMA_BACKUP};
    for (uint32_t i = 0; i < b->node_count; i++) {
        room += b->nodes[i].desc.class_count;
    }
    ret->classes = sl_arena_array(&b->arena, struct sl_schema_class, room);
    if (ret->classes == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < b->node_count; i++) {
        const struct sli_desc *d = &b->nodes[i].desc;
        for (uint32_t k = 0; k < d->class_count; k++) {
            if (sl_schema_class(ret, d->classes[k].name) == NULL) {
                SL_TRY(add_class(b, &d->classes[k], ret, err));
            }
        }
    }
    if (ret->class_count > 1) {
        qsort(ret->classes, ret->class_count, sizeof(*ret->classes), by_class);
    }
    return SL_OK;
}

sl_rc sli_backup_schema(const char *path, struct sl_schema *ret, struct sl_err *err)
{
    struct sli_backup b;
    SL_TRY(sli_backup_load(path, &b, err));
    sl_rc rc = sli_backup_fill_schema(&b, ret, err);
    if (rc != SL_OK) {
        sli_backup_fini(&b);
        return rc;
    }
    ret->arena = b.arena;
    return SL_OK;
}
