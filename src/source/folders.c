/* Classes and shards as folders show them: <class in lower case>/<shard>/lsm/objects.
 *
 * Serves where no schema is left, and to see what a schema and the disk disagree about. A folder
 * counts when something in it holds lsm/objects; much else lies beside (raft/, backups, folders of
 * classes and shards that are being deleted, whose names have a dot or begin with __DELETE_ME).
 * Names are sorted as sl_dir_list gives them, so everything is found by bisection. */
#include <ctype.h>
#include <stdlib.h>

#include "source/schema_int.h"
#include "base/path.h"

#define RANDOM_NAME_LEN 12 /* of shards that are no tenants */
#define NODES_MAX       64 /* told apart when the directory's own node is looked for */

struct folder {
    const char *path; /* of what is being listed */
    struct sl_arena *arena;
    struct sl_str *names; /* grows by doubling */
    uint32_t count, cap;
    bool is_shards; /* shards with data only; otherwise possible classes */
};

static bool is_possible(const char *name)
{
    for (const char *p = name; *p != '\0'; p++) {
        if (!isalnum((unsigned char)*p) && strchr("-_:", *p) == NULL) {
            return false;
        }
    }
    return name[0] != '\0' && strncmp(name, "__DELETE_ME", strlen("__DELETE_ME")) != 0;
}

static sl_rc has_bucket(const char *folder, const char *name, bool *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_buf_addf(&path, "%s/%s/lsm/objects", folder, name);
    SL_TRY(sl_buf_done(&path, err));
    return sl_file_is_dir(sl_buf_cstr(&path), ret, err);
}

static sl_rc add_name(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    struct folder *f = arg;
    bool is_wanted = is_dir && is_possible(name);
    if (is_wanted && f->is_shards) {
        SL_TRY(has_bucket(f->path, name, &is_wanted, err));
    }
    if (!is_wanted) {
        return SL_OK;
    }
    struct sl_str *grown = sl_arena_grow(f->arena, f->names, f->count, &f->cap);
    if (grown == NULL) {
        return SL_NOMEM(err);
    }
    f->names = grown;
    f->names[f->count] = sl_arena_str(f->arena, sl_str_from(name));
    return f->names[f->count++].ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

static sl_rc list_classes(const char *data_path, struct sl_arena *arena, struct folder *ret,
                          struct sl_err *err)
{
    *ret = (struct folder){.path = data_path, .arena = arena};
    return sl_dir_list(data_path, add_name, ret, err);
}

/* None when the folder is gone, or is not for us to see and no class's for certain. */
static sl_rc list_shards(const char *data_path, struct sl_str class_folder, bool is_class,
                         struct sl_arena *arena, struct folder *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_path_join(&path, sl_str_from(data_path), class_folder);
    SL_TRY(sl_buf_done(&path, err));
    *ret = (struct folder){.path = sl_buf_cstr(&path), .arena = arena, .is_shards = true};
    sl_rc rc = sl_dir_list(ret->path, add_name, ret, err);
    ret->path = NULL;
    return rc == SL_ENOTFOUND || (rc == SL_EACCESS && !is_class) ? SL_OK : rc;
}

/* ---- as a schema ---- */

static bool is_random_name(struct sl_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!isalnum((unsigned char)name.ptr[i])) {
            return false;
        }
    }
    return name.len == RANDOM_NAME_LEN;
}

sl_rc sli_folders_load(const char *data_path, struct sl_schema *ret, struct sl_err *err)
{
    struct folder classes, shards;
    *ret = (struct sl_schema){.origin = SL_SCHEMA_FOLDERS};
    SL_TRY(list_classes(data_path, &ret->arena, &classes, err));
    ret->classes = sl_arena_array(&ret->arena, struct sl_schema_class, classes.count + 1u);
    if (ret->classes == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < classes.count; i++) {
        SL_TRY(list_shards(data_path, classes.names[i], false, &ret->arena, &shards, err));
        if (shards.count == 0) {
            continue;
        }
        struct sl_schema_class *c = &ret->classes[ret->class_count++];
        *c = (struct sl_schema_class){.name = classes.names[i], .shard_count = shards.count};
        c->shards = sl_arena_array(&ret->arena, struct sl_schema_shard, shards.count);
        if (c->shards == NULL) {
            return SL_NOMEM(err);
        }
        for (uint32_t k = 0; k < shards.count; k++) {
            c->shards[k].name = shards.names[k];
            c->is_multi_tenant |= !is_random_name(shards.names[k]);
        }
    }
    for (uint32_t i = 0; i < classes.count && ret->class_count == 0; i++) {
        if (sl_str_ends(classes.names[i], "_lsm")) {
            return SL_FAIL(err, SL_EINVAL,
                           "%s/%s is a shard as servers before 1.23 kept it, and schema.db, which "
                           "tells its class, is not there or cannot be read: put it back, or start "
                           "a server of 1.23 or later once on a copy of the directory",
                           data_path, classes.names[i].ptr);
        }
    }
    if (ret->class_count == 0) {
        return SL_FAIL(err, SL_EINVAL,
                       "%s is no Weaviate data directory, or an empty one: neither raft/raft.db "
                       "nor schema.db nor <class>/<shard>/lsm/objects is there",
                       data_path);
    }
    return SL_OK;
}

/* ---- beside a schema ---- */

struct class_folder {
    const char *name; /* lower-case */
    const struct sl_schema_class *class;
};
struct node {
    struct sl_str name;
    uint32_t shard_count; /* here that it owns */
};
struct comparison {
    struct sl_schema *schema;
    struct sl_arena arena;
    struct node nodes[NODES_MAX];
    uint32_t node_count, shard_count; /* here, of the schema */
};

static int by_name(const void *a, const void *b)
{
    const struct class_folder *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int name_to_shard(const void *key, const void *shard)
{
    const struct sl_str *name = key;
    const struct sl_schema_shard *s = shard;
    return sl_bytes_cmp(sl_str_bytes(*name), sl_str_bytes(s->name));
}

static void count_nodes(struct comparison *c, const struct sl_schema_shard *s)
{
    c->shard_count++;
    for (uint32_t i = 0; i < s->node_count; i++) {
        uint32_t k = 0;
        while (k < c->node_count && !sl_str_eq(c->nodes[k].name, s->nodes[i])) {
            k++;
        }
        if (k == NODES_MAX) {
            continue;
        }
        c->nodes[k].name = s->nodes[i];
        c->nodes[k].shard_count++;
        c->node_count = SL_MAX(c->node_count, k + 1);
    }
}

/* Shards of one folder that its class does not have. */
static sl_rc compare_shards(struct comparison *c, const struct folder *found,
                            const struct sl_schema_class *class, struct sl_str folder,
                            struct sl_err *err)
{
    uint32_t unknown = 0;
    struct sl_str first = {0};
    for (uint32_t i = 0; i < found->count; i++) {
        const struct sl_schema_shard *s =
            class == NULL || class->shard_count == 0
                ? NULL
                : bsearch(&found->names[i], class->shards, class->shard_count,
                          sizeof(*class->shards), name_to_shard);
        if (s != NULL) {
            count_nodes(c, s);
        } else if (unknown++ == 0) {
            first = found->names[i];
        }
    }
    if (unknown == 0) {
        return SL_OK;
    }
    if (class == NULL) {
        return sli_schema_warn(c->schema, err,
                               "folder %.*s holds data of a class that the schema does not have: "
                               "it was deleted, or its folder copied here; it is not exported",
                               SL_STR_ARG(folder));
    }
    return sli_schema_warn(c->schema, err,
                           "class %.*s: %u folders hold data of %s that the schema does not have "
                           "(%.*s%s): deleted, or on their way from another node; they are not "
                           "exported",
                           SL_STR_ARG(class->name), unknown,
                           class->is_multi_tenant ? "tenants" : "shards", SL_STR_ARG(first),
                           unknown > 1 ? ", ..." : "");
}

/* Whose directory this is. A snapshot names the node that made it, and that is another one when it
 * came over the network. So the only node that owns all that lies here is it, whatever the snapshot
 * says; and where several do, the snapshot's name counts if it is one of them. */
static sl_rc find_node(struct comparison *c, struct sl_err *err)
{
    struct sl_schema *s = c->schema;
    struct sl_str all = {0};
    uint32_t all_count = 0;
    for (uint32_t i = 0; i < c->node_count; i++) {
        if (c->nodes[i].shard_count == c->shard_count) {
            all = c->nodes[i].name;
            all_count++;
            if (sl_str_eq(all, s->node_name)) {
                return SL_OK;
            }
        }
    }
    if (all_count == 0) {
        return SL_OK;
    }
    struct sl_str was = s->node_name;
    s->node_name = all_count == 1 ? all : SL_STR("");
    if (was.len == 0) {
        return SL_OK;
    }
    all = all_count == 1 ? all : SL_STR("another one");
    return sli_schema_warn(s, err,
                           "the Raft snapshot was made by node %.*s, but the shards here are those "
                           "of %.*s",
                           SL_STR_ARG(was), SL_STR_ARG(all));
}

static sl_rc compare(struct comparison *c, const char *data_path, struct sl_err *err)
{
    const struct sl_schema *s = c->schema;
    struct folder folders, shards;
    struct class_folder *wanted =
        sl_arena_array(&c->arena, struct class_folder, s->class_count + 1u);
    if (wanted == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < s->class_count; i++) {
        struct sl_str name = s->classes[i].name;
        char *lower = sl_arena_alloc(&c->arena, name.len + 1);
        if (lower == NULL) {
            return SL_NOMEM(err);
        }
        for (size_t k = 0; k < name.len; k++) {
            lower[k] = (char)tolower((unsigned char)name.ptr[k]);
        }
        wanted[i] = (struct class_folder){.name = lower, .class = &s->classes[i]};
    }
    qsort(wanted, s->class_count, sizeof(*wanted), by_name);
    SL_TRY(list_classes(data_path, &c->arena, &folders, err));
    for (uint32_t i = 0; i < folders.count; i++) {
        struct class_folder key = {.name = folders.names[i].ptr};
        const struct class_folder *w =
            bsearch(&key, wanted, s->class_count, sizeof(*wanted), by_name);
        SL_TRY(list_shards(data_path, folders.names[i], w != NULL, &c->arena, &shards, err));
        SL_TRY(compare_shards(c, &shards, w == NULL ? NULL : w->class, folders.names[i], err));
    }
    return find_node(c, err);
}

sl_rc sli_folders_compare(const char *data_path, struct sl_schema *s, struct sl_err *err)
{
    struct comparison *c = sl_alloc_zero(1, sizeof(*c));
    if (c == NULL) {
        return SL_NOMEM(err);
    }
    c->schema = s;
    sl_rc rc = compare(c, data_path, err);
    sl_arena_fini(&c->arena);
    sl_free(c);
    return rc;
}
