/* sluice inspect: the document of Weaviate's data as text for people; see inspect_int.h.
 *
 * A paragraph on the whole, then a block a class: what it adds up to, its first shards, their
 * files. Bold and red only on a terminal and without NO_COLOR. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/inspect_int.h"

#define SHARDS_SHOWN  20
#define BUCKETS_SHOWN 8
#define DAMAGES_SHOWN 100

static const char *text_of(const json_t *item, const char *key)
{
    const char *text = json_string_value(json_object_get(item, key));
    return text == NULL ? "" : text;
}

static uint64_t count_of(const json_t *item, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(item, key));
}

static bool is_true(const json_t *item, const char *key)
{
    return json_is_true(json_object_get(item, key));
}

static bool has(const json_t *item, const char *key)
{
    return json_object_get(item, key) != NULL;
}

static const char *style(const char *code)
{
    const char *no_color = getenv("NO_COLOR");
    bool is_plain = isatty(STDOUT_FILENO) != 1 || (no_color != NULL && no_color[0] != '\0');
    return is_plain ? "" : code;
}

static void bold(const char *text)
{
    (void)printf("%s%s%s", style("\033[1m"), text, style("\033[0m"));
}

static void print_bytes(uint64_t bytes, int width)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sli_print_bytes(&text, bytes);
    (void)printf("%*s", width, sl_buf_cstr(&text));
}

/* Of a class or a shard; "~" where files do not say. */
static void print_size(const json_t *item, int width)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_buf_add_text(&text, is_true(item, "isSizeExact") ? "" : "~");
    sli_print_bytes(&text, count_of(item, "objectsBytes"));
    (void)printf("%*s", width, sl_buf_cstr(&text));
}

/* ---- the whole ---- */

static void print_list(const char *title, const json_t *list)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        (void)printf("  %-9s %s\n", i == 0 ? title : "", json_string_value(one));
    }
}

static void print_schema(const json_t *schema)
{
    const char *origin = text_of(schema, "origin");
    if (strcmp(origin, "raft") == 0) {
        const char *snapshot = text_of(schema, "snapshot");
        (void)printf("  schema    Raft store, up to entry %llu, %s%s\n",
                     (unsigned long long)count_of(schema, "raftIndex"),
                     snapshot[0] == '\0' ? "no snapshot" : "snapshot ", snapshot);
    } else if (strcmp(origin, "folders") == 0) {
        (void)printf("  schema    none found; told by the folders and objects: states of tenants "
                     "and empty classes are unknown\n");
    } else {
        (void)printf("  schema    %s\n", origin);
    }
    if (text_of(schema, "node")[0] != '\0') {
        (void)printf("  node      %s\n", text_of(schema, "node"));
    }
}

static void print_backup(const json_t *backup)
{
    size_t i;
    json_t *node;
    if (backup == NULL) {
        return;
    }
    (void)printf("  backup    %s, %s, by server %s, %s", text_of(backup, "id"),
                 text_of(backup, "status"), text_of(backup, "serverVersion"),
                 has(backup, "compressionType") ? text_of(backup, "compressionType") : "gzip");
    if (has(backup, "baseBackupId")) {
        (void)printf(", on top of %s", text_of(backup, "baseBackupId"));
    }
    (void)printf("\n  made      %s to %s\n  nodes    ", text_of(backup, "startedAt"),
                 text_of(backup, "completedAt"));
    json_array_foreach(json_object_get(backup, "nodes"), i, node)
    {
        (void)printf(" %s", json_string_value(node));
    }
    (void)printf("\n");
}

static void print_signs(const json_t *signs)
{
    size_t i;
    json_t *one;
    json_array_foreach(signs, i, one)
    {
        (void)printf("  %-9s %llu %s (%s)\n", i == 0 ? "versions" : "",
                     (unsigned long long)count_of(one, "count"), text_of(one, "sign"),
                     text_of(one, "servers"));
    }
}

/* ---- classes ---- */

static void add_count(struct sl_buf *out, const json_t *item)
{
    sl_buf_addf(out, "%s%llu", is_true(item, "isCountExact") ? "" : "~",
                (unsigned long long)count_of(item, "objects"));
}

static void print_vectors(const json_t *vectors, bool is_sampled)
{
    size_t i, k;
    json_t *one, *dims;
    if (json_array_size(vectors) == 0) {
        return;
    }
    (void)printf("  vectors   ");
    json_array_foreach(vectors, i, one)
    {
        const char *name = text_of(one, "name");
        (void)printf("%s%s%s", i == 0 ? "" : ", ", name[0] == '\0' ? "unnamed" : name,
                     is_true(one, "isMulti") ? " (multi)" : "");
        json_array_foreach(json_object_get(one, "dimensions"), k, dims)
        {
            (void)printf("%s%lld", k == 0 ? " " : "|", (long long)json_integer_value(dims));
        }
    }
    (void)printf("%s\n", is_sampled ? " (by the first objects)" : "");
}

static void print_buckets(const json_t *buckets)
{
    size_t i;
    json_t *one;
    uint64_t others = 0, other_bytes = 0;
    if (json_array_size(buckets) == 0) {
        return;
    }
    (void)printf("  buckets   ");
    json_array_foreach(buckets, i, one)
    {
        if (i >= BUCKETS_SHOWN) {
            others++;
            other_bytes += count_of(one, "bytes");
            continue;
        }
        (void)printf("%s%s ", i == 0 ? "" : ", ", text_of(one, "name"));
        print_bytes(count_of(one, "bytes"), 0);
    }
    if (others > 0) {
        (void)printf(", %llu others ", (unsigned long long)others);
        print_bytes(other_bytes, 0);
    }
    (void)printf("\n");
}

static void print_states(json_t *states)
{
    const char *name;
    json_t *count;
    const char *comma = "  tenants   ";
    json_object_foreach(states, name, count)
    {
        (void)printf("%s%lld %s", comma, (long long)json_integer_value(count), name);
        comma = ", ";
    }
    if (json_object_size(states) > 0) {
        (void)printf("\n");
    }
}

/* ---- shards and files ---- */

static void print_segment(const json_t *f)
{
    if (!has(f, "level")) {
        return; /* a packed backup, or damaged */
    }
    (void)printf(
        "  level %llu  %s  version %llu%s  %llu keys", (unsigned long long)count_of(f, "level"),
        text_of(f, "strategy"), (unsigned long long)count_of(f, "version"),
        is_true(f, "hasChecksum") ? " with checksum" : "", (unsigned long long)count_of(f, "keys"));
    if (has(f, "tombstones")) {
        (void)printf(", %llu deletions", (unsigned long long)count_of(f, "tombstones"));
    }
}

static void print_log(const json_t *f)
{
    if (!has(f, "goodBytes")) {
        return;
    }
    (void)printf("  log  %llu keys, %llu deletions", (unsigned long long)count_of(f, "keys"),
                 (unsigned long long)count_of(f, "tombstones"));
    if (count_of(f, "tornBytes") > 0) {
        (void)printf(", torn: %llu bytes behind the last whole record",
                     (unsigned long long)count_of(f, "tornBytes"));
    }
}

static void print_facts(const json_t *f)
{
    if (has(f, "goodBytes")) {
        print_log(f);
    } else {
        print_segment(f);
    }
}

/* Side files tell nothing to people. */
static bool is_shown(const json_t *f)
{
    const char *role = text_of(f, "role");
    return strcmp(role, "segment") == 0 || strcmp(role, "log") == 0 ||
           (strcmp(role, "leftover") == 0 && (strstr(text_of(f, "name"), ".db") != NULL ||
                                              strstr(text_of(f, "name"), ".wal") != NULL));
}

static void print_files(const json_t *files)
{
    size_t i;
    json_t *f;
    int width = 0;
    json_array_foreach(files, i, f)
    {
        width = is_shown(f) ? SL_MAX(width, (int)strlen(text_of(f, "name"))) : width;
    }
    json_array_foreach(files, i, f)
    {
        if (is_shown(f)) {
            (void)printf("    %-*s ", width, text_of(f, "name"));
            if (has(f, "bytes")) {
                print_bytes(count_of(f, "bytes"), 10);
            }
            print_facts(f);
            (void)printf("%s%s%s\n", has(f, "why") ? "  " : "",
                         strcmp(text_of(f, "role"), "leftover") == 0 ? "left over: " : "",
                         text_of(f, "why"));
        }
    }
}

static void print_shard(const json_t *shard, int width, bool is_tenant)
{
    (void)printf("  %-*s  ", width, text_of(shard, "name"));
    if (is_tenant) {
        (void)printf("%-10s ", text_of(shard, "status"));
    }
    if (has(shard, "objects")) {
        SL_AUTO(sl_buf) count = SL_BUF_EMPTY;
        add_count(&count, shard);
        (void)printf("%10s ", sl_buf_cstr(&count));
        if (has(shard, "sideFileObjects")) {
            (void)printf("%10llu ", (unsigned long long)count_of(shard, "sideFileObjects"));
        } else if (has(shard, "buckets")) { /* a directory */
            (void)printf("%10s ", "-");
        }
        print_size(shard, 10);
        (void)printf("\n");
    } else {
        (void)printf("not exported: %s\n", text_of(shard, "skipReason"));
    }
    print_files(json_object_get(shard, "files"));
}

static void print_shards(const json_t *class)
{
    const json_t *shards = json_object_get(class, "shards");
    size_t i, count = json_array_size(shards);
    json_t *shard;
    bool is_tenant = is_true(class, "isMultiTenant");
    int width = 15;
    if (count == 0) {
        return;
    }
    for (i = 0; i < count && i < SHARDS_SHOWN; i++) {
        size_t len = strlen(text_of(json_array_get(shards, i), "name"));
        width = SL_MAX(width, (int)len);
    }
    (void)printf("  %-*s  ", width, is_tenant ? "TENANT" : "SHARD");
    if (is_tenant) {
        (void)printf("%-10s ", "STATE");
    }
    (void)printf("%10s ", "OBJECTS");
    if (has(class, "buckets")) {
        (void)printf("%10s ", "BY .cna");
    }
    (void)printf("%10s\n", "SIZE");
    json_array_foreach(shards, i, shard)
    {
        if (i == SHARDS_SHOWN) {
            (void)printf("  and %zu more; --json lists them all\n", count - i);
            break;
        }
        print_shard(shard, width, is_tenant);
    }
}

static void print_class(const json_t *class, bool is_verified)
{
    SL_AUTO(sl_buf) count = SL_BUF_EMPTY;
    size_t shards = json_array_size(json_object_get(class, "shards"));
    bool is_multi_tenant = is_true(class, "isMultiTenant");
    add_count(&count, class);
    (void)printf("\n");
    bold(text_of(class, "name"));
    (void)printf(": %zu %s%s, %s objects", shards, is_multi_tenant ? "tenant" : "shard",
                 shards == 1 ? "" : "s", sl_buf_cstr(&count));
    if (has(class, "sideFileObjects")) {
        (void)printf(" (%llu by .cna)", (unsigned long long)count_of(class, "sideFileObjects"));
    }
    (void)printf(", ");
    print_size(class, 0);
    (void)printf("\n");
    print_states(json_object_get(class, "tenantStates"));
    print_vectors(json_object_get(class, "vectors"), !is_verified);
    print_buckets(json_object_get(class, "buckets"));
    print_shards(class);
}

/* ---- all of it ---- */

static void print_damages(const json_t *doc)
{
    size_t i;
    json_t *one;
    uint64_t count = count_of(doc, "damageCount");
    if (count == 0) {
        (void)printf("\n%s\n", is_true(doc, "isVerified")
                                   ? "Verified: everything was read, no damage."
                                   : "~ is an estimate; --verify reads and checks everything.");
        return;
    }
    (void)printf("\n%sDAMAGE%s in %llu places:\n", style("\033[1;31m"), style("\033[0m"),
                 (unsigned long long)count);
    json_array_foreach(json_object_get(doc, "damages"), i, one)
    {
        if (i == DAMAGES_SHOWN) {
            (void)printf("  and %llu more\n", (unsigned long long)(count - i));
            break;
        }
        if (has(one, "class")) {
            (void)printf("  class %s shard %s: ", text_of(one, "class"), text_of(one, "shard"));
        } else {
            (void)printf("  ");
        }
        (void)printf("%s\n", text_of(one, "what"));
    }
    (void)printf("Restore these files from a backup or a replica, or export what can be read with "
                 "sluice export --skip-damaged.\n");
}

static void print_lone_file(const json_t *doc)
{
    SL_AUTO(sl_buf) count = SL_BUF_EMPTY;
    add_count(&count, doc);
    (void)printf("  file      ");
    print_bytes(count_of(doc, "bytes"), 0);
    print_facts(doc);
    (void)printf("\n");
    if (has(doc, "objects")) {
        (void)printf("  objects   %s%s\n", is_true(doc, "isCountExact") ? "" : "at least ",
                     sl_buf_cstr(&count) + !is_true(doc, "isCountExact"));
        (void)printf("  class     %s\n", text_of(doc, "class"));
    }
    print_vectors(json_object_get(doc, "vectors"), !is_true(doc, "isVerified"));
}

void sli_inspect_print(const json_t *doc)
{
    static const char *const kinds[][2] = {{"weaviate", "Weaviate data directory"},
                                           {"backup", "Weaviate backup"},
                                           {"segment", "segment of a Weaviate bucket"},
                                           {"log", "write-ahead log of a Weaviate bucket"}};
    size_t i;
    json_t *class;
    bold(text_of(doc, "path"));
    for (i = 0; i < SL_COUNT_OF(kinds); i++) {
        if (strcmp(text_of(doc, "kind"), kinds[i][0]) == 0) {
            (void)printf(": %s\n", kinds[i][1]);
        }
    }
    print_backup(json_object_get(doc, "backup"));
    if (has(doc, "schema")) {
        print_schema(json_object_get(doc, "schema"));
    } else {
        print_lone_file(doc);
    }
    if (has(doc, "isRunning")) {
        (void)printf("  server    %s\n", is_true(doc, "isRunning") ? "running" : "not running");
    }
    print_list("note", json_object_get(doc, "notes"));
    print_list("warning", json_object_get(doc, "warnings"));
    print_signs(json_object_get(doc, "signs"));
    json_array_foreach(json_object_get(doc, "classes"), i, class)
    {
        print_class(class, is_true(doc, "isVerified"));
    }
    print_damages(doc);
}
