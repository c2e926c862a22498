/* Is an export whole and unharmed? Its folder against its own manifest, byte by byte.
 *
 * What the folder holds is listed once; each file of the manifest is read through once for its
 * SHA-256, its footer is parsed, and, when deep, every page is decoded and the hash of its rows
 * made again. An export without a manifest, as a Weaviate server writes it, is held against its
 * record: footers and counts. Every problem is a sentence: file, what was expected, what was found.
 * Nothing is written. Called by `sluice verify`. One thread. */
#include <stdlib.h>

#include "base/str.h"
#include "export/export_int.h"
#include "layout/read.h"
#include "layout/rowhash.h"

#define BLOCK_BYTES  (8u << 20)
#define MANIFEST_MAX (1u << 30) /* 10^6 files at 500 bytes each */
#define PAGE_MAX     (2147483647u)

struct object {
    struct sl_str key;
    uint64_t size;
    bool is_named; /* by the manifest */
};

struct verify {
    struct sl_backend *be; /* owned */
    struct sl_arena arena;
    struct object *objects; /* by key bytes */
    uint32_t count, cap;
    bool is_deep;
    json_t *doc, *files, *problems; /* doc owned; the others are of it */
    uint64_t rows, bytes;
};

/* ---- what is told ---- */

static json_t *text_json(const char *text)
{
    json_t *v = json_string(text);
    return v == NULL ? json_string("(text that is not UTF-8)") : v;
}

static void SL_PRINTF(2, 3) problem(struct verify *v, const char *fmt, ...)
{
    char text[SL_ERR_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    (void)json_array_append_new(v->problems, text_json(text));
}

/* One file's line; SL_OK: it is good. */
static void tell_file(struct verify *v, const char *path, const struct sl_err *err, sl_rc rc)
{
    json_t *line = json_object();
    (void)json_object_set_new(line, "path", text_json(path));
    (void)json_object_set_new(line, "status", json_string(rc == SL_OK ? "good" : "bad"));
    if (rc != SL_OK) {
        (void)json_object_set_new(line, "problem", text_json(sl_err_text(err, rc)));
        problem(v, "%s", sl_err_text(err, rc));
    }
    (void)json_array_append_new(v->files, line);
}

/* Failures of what was found, as opposed to those of finding it: the network, memory. */
static bool is_finding(sl_rc rc)
{
    return rc == SL_ECORRUPT || rc == SL_EINVAL || rc == SL_EUNSUPPORTED || rc == SL_ENOTFOUND ||
           rc == SL_ETOOBIG;
}

/* ---- the listing ---- */

static sl_rc add_object(void *arg, struct sl_str key, uint64_t size, struct sl_err *err)
{
    struct verify *v = arg;
    if (v->count == v->cap) {
        uint32_t cap = SL_MAX(64U, v->cap * 2);
        struct object *grown = sl_realloc(v->objects, cap * sizeof(*grown));
        if (grown == NULL) {
            return SL_NOMEM(err);
        }
        v->objects = grown;
        v->cap = cap;
    }
    struct sl_str copy = sl_arena_str(&v->arena, key);
    v->objects[v->count++] = (struct object){copy, size, false};
    return copy.ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

static int by_key(const void *a, const void *b)
{
    return sl_bytes_cmp(sl_str_bytes(((const struct object *)a)->key),
                        sl_str_bytes(((const struct object *)b)->key));
}

static struct object *find(struct verify *v, const char *key)
{
    struct object want = {.key = sl_str_from(key)};
    return v->count == 0 ? NULL : bsearch(&want, v->objects, v->count, sizeof(*v->objects), by_key);
}

/* ---- bytes of one file ---- */

struct reading {
    struct verify *v;
    const struct object *o;
};

static sl_rc read_at(void *arg, uint64_t offset, size_t len, struct sl_buf *out, struct sl_err *err)
{
    const struct reading *r = arg;
    size_t before = out->len;
    SL_TRY(r->v->be->ops->read(r->v->be, r->o->key, offset, len, out, err));
    if (out->len - before != len) {
        return SL_FAIL(err, SL_ECORRUPT, "%zu bytes at %llu were expected, %zu are there", len,
                       (unsigned long long)offset, out->len - before);
    }
    return SL_OK;
}

static sl_rc hash_bytes(struct verify *v, const struct object *o, struct sl_buf *hex,
                        struct sl_err *err)
{
    SL_AUTO_PTR(sl_sha256) sha = sl_sha256_new();
    SL_AUTO(sl_buf) block = SL_BUF_EMPTY;
    struct reading r = {v, o};
    uint8_t digest[SL_SHA256_SIZE];
    if (sha == NULL) {
        return SL_NOMEM(err);
    }
    for (uint64_t at = 0; at < o->size; at += block.len) {
        sl_buf_clear(&block);
        SL_TRY(read_at(&r, at, (size_t)SL_MIN(o->size - at, (uint64_t)BLOCK_BYTES), &block, err));
        sl_sha256_add(sha, sl_buf_view(&block));
    }
    SL_TRY(sl_sha256_end(sha, digest, err));
    sl_hex_add(hex, SL_BYTES(digest, sizeof(digest)));
    return sl_buf_done(hex, err);
}

/* ---- one file against its line of the manifest ---- */

static const char *text_of(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    return text == NULL ? "" : text;
}

static uint64_t number_of(const json_t *line, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(line, key));
}

static sl_rc expect_text(const char *what, const char *want, const char *found, struct sl_err *err)
{
    return strcmp(want, found) == 0
               ? SL_OK
               : SL_FAIL(err, SL_ECORRUPT, "%s: the manifest says %s, found %s", what, want, found);
}

static sl_rc expect_number(const char *what, uint64_t want, uint64_t found, struct sl_err *err)
{
    return want == found ? SL_OK
                         : SL_FAIL(err, SL_ECORRUPT, "%s: the manifest says %llu, found %llu", what,
                                   (unsigned long long)want, (unsigned long long)found);
}

/* What a line lacks would pass as nothing or zero. */
static sl_rc check_line(const json_t *line, struct sl_err *err)
{
    static const char *const texts[] = {"path", "sha256", "collection"};
    static const char *const numbers[] = {"bytes", "rows", "rowGroups"};
    for (size_t i = 0; i < SL_COUNT_OF(texts); i++) {
        if (!json_is_string(json_object_get(line, texts[i]))) {
            return SL_FAIL(err, SL_ECORRUPT, "its line in the manifest has no text %s", texts[i]);
        }
    }
    for (size_t i = 0; i < SL_COUNT_OF(numbers); i++) {
        const json_t *number = json_object_get(line, numbers[i]);
        if (!json_is_integer(number) || json_integer_value(number) < 0) {
            return SL_FAIL(err, SL_ECORRUPT, "its line in the manifest has no count %s",
                           numbers[i]);
        }
    }
    return SL_OK;
}

static sl_rc check_bytes(struct verify *v, const struct object *o, const json_t *line,
                         struct sl_err *err)
{
    SL_AUTO(sl_buf) hex = SL_BUF_EMPTY;
    SL_TRY(expect_number("bytes", number_of(line, "bytes"), o->size, err));
    SL_TRY(hash_bytes(v, o, &hex, err));
    return expect_text("SHA-256", text_of(line, "sha256"), sl_buf_cstr(&hex), err);
}

static sl_rc check_key(const struct sl_pq_file *f, const char *key, const char *want,
                       struct sl_err *err)
{
    struct sl_str found = {0};
    if (!sl_pq_file_key(f, key, &found)) {
        return want[0] == '\0'
                   ? SL_OK
                   : SL_FAIL(err, SL_ECORRUPT,
                             "key %s of the footer: the manifest says %s, it has none", key, want);
    }
    return sl_str_is(found, want)
               ? SL_OK
               : SL_FAIL(err, SL_ECORRUPT, "key %s of the footer: the manifest says %s, found %.*s",
                         key, want, SL_STR_ARG(found));
}

static sl_rc check_footer(const struct sl_pq_source *source, const json_t *line, struct sl_err *err)
{
    SL_AUTO_PTR(sl_pq_file) f = NULL;
    SL_TRY(sl_pq_file_open(source, &f, err));
    SL_TRY(expect_number("rows of the footer", number_of(line, "rows"), sl_pq_file_rows(f), err));
    SL_TRY(expect_number("row groups of the footer", number_of(line, "rowGroups"),
                         sl_pq_file_groups(f), err));
    SL_TRY(check_key(f, "sluice.row_hash", text_of(line, "rowHash"), err));
    SL_TRY(check_key(f, "collection", text_of(line, "collection"), err));
    return check_key(f, "tenant", text_of(line, "tenant"), err);
}

struct walk {
    uint64_t rows, hash;
    char first[SL_UUID_TEXT_SIZE + 1], last[SL_UUID_TEXT_SIZE + 1];
};

static sl_rc walk_rows(const struct sl_pq_source *source, struct sl_object *obj, struct walk *ret,
                       struct sl_err *err)
{
    SL_AUTO_PTR(sl_layout_reader) reader = NULL;
    SL_AUTO(sl_buf) scratch = SL_BUF_EMPTY;
    SL_TRY(sl_layout_reader_open(source, &reader, err));
    for (;; ret->rows++) {
        uint64_t hash = 0;
        sl_rc rc = sl_layout_read(reader, obj, err);
        if (rc == SL_END) {
            return SL_OK;
        }
        SL_TRY(rc);
        SL_TRY(sl_row_hash(obj, &scratch, &hash, err));
        ret->hash += hash;
        sl_uuid_format(obj->uuid, ret->last);
        if (ret->rows == 0) {
            memcpy(ret->first, ret->last, sizeof(ret->first));
        }
    }
}

/* Decodes every page of every column; each must have all rows. */
static sl_rc check_pages(const struct sl_pq_source *source, struct sl_err *err)
{
    SL_AUTO_PTR(sl_pq_file) f = NULL;
    SL_TRY(sl_pq_file_open(source, &f, err));
    for (uint32_t group = 0; group < sl_pq_file_groups(f); group++) {
        for (uint32_t leaf = 0; leaf < sl_pq_file_leaves(f); leaf++) {
            SL_AUTO_PTR(sl_pq_chunk) chunk = NULL;
            struct sl_pq_batch batch = {0};
            uint64_t rows = 0;
            SL_TRY(sl_pq_chunk_open(f, group, leaf, &chunk, err));
            sl_rc rc = SL_OK;
            while ((rc = sl_pq_chunk_next(chunk, &batch, err)) == SL_OK) {
                for (uint32_t i = 0; i < batch.level_count; i++) {
                    rows += batch.rep == NULL || batch.rep[i] == 0;
                }
            }
            if (rc != SL_END) {
                return rc;
            }
            if (rows != sl_pq_file_group_rows(f, group)) {
                return SL_FAIL(err, SL_ECORRUPT,
                               "row group %u, column %.*s: %llu rows, the footer says %llu", group,
                               SL_STR_ARG(sl_pq_file_leaf(f, leaf)->path), (unsigned long long)rows,
                               (unsigned long long)sl_pq_file_group_rows(f, group));
            }
        }
    }
    return SL_OK;
}

/* Decodes everything. line NULL: there is nothing to compare with. Rows that lack columns, by the
 * wish of who exported them, have no hash. */
static sl_rc check_rows(const struct sl_pq_source *source, const json_t *line, struct sl_err *err)
{
    struct walk walk = {0};
    char hash[SL_ROW_HASH_DIGITS + 1];
    SL_TRY(check_pages(source, err));
    if (line == NULL || json_object_get(line, "rowHash") == NULL) {
        return SL_OK;
    }
    struct sl_object *obj = sl_alloc(sizeof(*obj));
    sl_rc rc = obj == NULL ? SL_NOMEM(err) : walk_rows(source, obj, &walk, err);
    sl_free(obj);
    SL_TRY(rc);
    snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)walk.hash);
    SL_TRY(expect_number("rows read", number_of(line, "rows"), walk.rows, err));
    SL_TRY(expect_text("hash of the rows", text_of(line, "rowHash"), hash, err));
    SL_TRY(expect_text("first id", text_of(line, "firstId"), walk.first, err));
    return expect_text("last id", text_of(line, "lastId"), walk.last, err);
}

static sl_rc check_file(struct verify *v, const char *path, const json_t *line, struct sl_err *err)
{
    struct object *o = find(v, path);
    if (o == NULL) {
        return SL_FAIL(err, SL_ENOTFOUND, "the manifest names it, it is not there");
    }
    if (o->is_named) {
        return SL_FAIL(err, SL_ECORRUPT, "the manifest names it twice");
    }
    o->is_named = true;
    struct reading r = {v, o};
    struct sl_pq_source source = {
        .read_at = read_at, .arg = &r, .size = o->size, .page_max = PAGE_MAX};
    SL_TRY(check_bytes(v, o, line, err));
    SL_TRY(check_footer(&source, line, err));
    v->rows += number_of(line, "rows");
    v->bytes += o->size;
    return v->is_deep ? check_rows(&source, line, err) : SL_OK;
}

/* Tells of the file; fails only when it could not be looked at. */
static sl_rc end_file(struct verify *v, const char *path, struct sl_err *found, sl_rc rc,
                      struct sl_err *err)
{
    if (rc != SL_OK) {
        sl_err_prefix(found, "%s", path);
    }
    if (rc != SL_OK && !is_finding(rc)) {
        if (err != NULL) {
            *err = *found;
        }
        return rc;
    }
    tell_file(v, path, found, rc);
    return SL_OK;
}

/* ---- an export with a manifest ---- */

static bool is_record(struct sl_str key)
{
    static const char *const names[] = {SLI_METADATA_KEY, "_SUCCESS", "_manifest.json",
                                        "_schema.json"};
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        if (sl_str_is(key, names[i])) {
            return true;
        }
    }
    return sl_str_starts(key, "node_") && sl_str_ends(key, "_status.json");
}

static void tell_strangers(struct verify *v)
{
    for (uint32_t i = 0; i < v->count; i++) {
        const struct object *o = &v->objects[i];
        if (!o->is_named && !is_record(o->key)) {
            problem(v, "%.*s: not in the manifest, it is no file of this export",
                    SL_STR_ARG(o->key));
        }
    }
}

/* _SUCCESS has a line for each of the two. */
static sl_rc check_sums(struct verify *v, struct sl_err *err)
{
    static const char *const names[] = {"_manifest.json", "_schema.json"};
    SL_AUTO(sl_buf) success = SL_BUF_EMPTY;
    if (find(v, "_SUCCESS") == NULL) {
        problem(v, "_SUCCESS: not there, the export did not end or was not copied whole");
        return SL_OK;
    }
    SL_TRY(sl_backend_get(v->be, SL_STR("_SUCCESS"), 4096, &success, err));
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        SL_AUTO(sl_buf) line = SL_BUF_EMPTY;
        const struct object *o = find(v, names[i]);
        if (o == NULL) {
            problem(v, "%s: _SUCCESS names it, it is not there", names[i]);
            continue;
        }
        SL_TRY(hash_bytes(v, o, &line, err));
        sl_buf_addf(&line, "  %s\n", names[i]);
        SL_TRY(sl_buf_done(&line, err));
        if (strstr(sl_buf_cstr(&success), sl_buf_cstr(&line)) == NULL) {
            problem(v, "%s: its SHA-256 is not the one in _SUCCESS, found %.64s", names[i],
                    sl_buf_cstr(&line));
        }
    }
    return SL_OK;
}

static sl_rc get_json(struct verify *v, const char *key, json_t **ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    SL_TRY(sl_backend_get(v->be, sl_str_from(key), MANIFEST_MAX, &text, err));
    *ret = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    if (!json_is_object(*ret)) {
        json_decref(*ret);
        *ret = NULL;
        problem(v, "%s: a JSON object was expected, found something else", key);
    }
    return SL_OK;
}

static uint64_t hash_of(const json_t *line)
{
    SL_AUTO(sl_buf) raw = SL_BUF_EMPTY;
    uint64_t hash = 0;
    (void)sl_hex_parse(sl_str_from(text_of(line, "rowHash")), &raw);
    for (size_t i = 0; i < raw.len; i++) {
        hash = hash << 8 | raw.ptr[i];
    }
    return hash;
}

/* The total of the manifest against its own lines. */
static void check_total(struct verify *v, const json_t *manifest)
{
    const json_t *files = json_object_get(manifest, "files"), *line = NULL;
    const json_t *total = json_object_get(manifest, "total");
    uint64_t rows = 0, bytes = 0, hash = 0;
    char digits[SL_ROW_HASH_DIGITS + 1];
    size_t i = 0;
    json_array_foreach(files, i, line)
    {
        rows += number_of(line, "rows");
        bytes += number_of(line, "bytes");
        hash += hash_of(line);
    }
    if (!json_is_array(files) || number_of(total, "files") != json_array_size(files) ||
        number_of(total, "rows") != rows || number_of(total, "bytes") != bytes) {
        problem(v,
                "_manifest.json: total says %llu files, %llu rows, %llu bytes; its lines say %zu, "
                "%llu, %llu",
                (unsigned long long)number_of(total, "files"),
                (unsigned long long)number_of(total, "rows"),
                (unsigned long long)number_of(total, "bytes"), json_array_size(files),
                (unsigned long long)rows, (unsigned long long)bytes);
    }
    snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)hash);
    const char *told = text_of(total, "rowHash");
    if (told[0] != '\0' && strcmp(told, digits) != 0) {
        problem(v, "_manifest.json: total says rowHash %s, its lines make %s", told, digits);
    }
}

static sl_rc check_lines(struct verify *v, const json_t *manifest, struct sl_err *err)
{
    size_t i = 0;
    const json_t *line = NULL;
    uint64_t version = number_of(manifest, "formatVersion");
    if (version != 1) {
        problem(v, "_manifest.json: formatVersion 1 was expected, found %llu",
                (unsigned long long)version);
        return SL_OK;
    }
    json_array_foreach(json_object_get(manifest, "files"), i, line)
    {
        struct sl_err found = {0};
        const char *path = text_of(line, "path");
        sl_rc rc = check_line(line, &found);
        if (rc == SL_OK) {
            rc = check_file(v, path, line, &found);
        }
        SL_TRY(end_file(v, path, &found, rc, err));
    }
    check_total(v, manifest);
    tell_strangers(v);
    return SL_OK;
}

static sl_rc check_status(struct verify *v, json_t **ret_record, struct sl_err *err)
{
    *ret_record = NULL;
    if (find(v, SLI_METADATA_KEY) == NULL) {
        problem(v, "%s: not there, every export has one", SLI_METADATA_KEY);
        return SL_OK;
    }
    SL_TRY(get_json(v, SLI_METADATA_KEY, ret_record, err));
    const char *status = text_of(*ret_record, "status");
    if (*ret_record != NULL && strcmp(status, "SUCCESS") != 0) {
        problem(v, "%s: status SUCCESS was expected, found %s", SLI_METADATA_KEY, status);
    }
    return SL_OK;
}

static sl_rc verify_manifest(struct verify *v, struct sl_err *err)
{
    json_t *manifest = NULL, *record = NULL;
    SL_TRY(check_sums(v, err));
    SL_TRY(check_status(v, &record, err));
    json_decref(record);
    SL_TRY(get_json(v, "_manifest.json", &manifest, err));
    sl_rc rc = manifest == NULL ? SL_OK : check_lines(v, manifest, err);
    json_decref(manifest);
    return rc;
}

/* ---- an export without one ---- */

/* Adds the rows of the file to those of its collection in `found`. */
static sl_rc check_plain(struct verify *v, const struct object *o, json_t *found,
                         struct sl_err *err)
{
    SL_AUTO_PTR(sl_pq_file) f = NULL;
    struct reading r = {v, o};
    struct sl_pq_source source = {
        .read_at = read_at, .arg = &r, .size = o->size, .page_max = PAGE_MAX};
    struct sl_str name = {0};
    SL_TRY(sl_pq_file_open(&source, &f, err));
    if (sl_pq_file_key(f, "sluice.row_hash", &name)) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "it was written with a manifest, but _manifest.json is not there");
    }
    if (!sl_pq_file_key(f, "collection", &name)) {
        return SL_FAIL(err, SL_ECORRUPT, "the footer has no key collection");
    }
    char *key = sl_strndup(name.ptr, name.len);
    if (key == NULL) {
        return SL_NOMEM(err);
    }
    json_int_t rows = json_integer_value(json_object_get(found, key));
    int is_bad =
        json_object_set_new(found, key, json_integer(rows + (json_int_t)sl_pq_file_rows(f)));
    sl_free(key);
    if (is_bad != 0) {
        return SL_FAIL(err, SL_ECORRUPT, "its key collection is not UTF-8");
    }
    v->rows += sl_pq_file_rows(f);
    v->bytes += o->size;
    return v->is_deep ? check_rows(&source, NULL, err) : SL_OK;
}

static void check_counts(struct verify *v, const json_t *record, json_t *found)
{
    const char *name = NULL, *shard_name = NULL;
    json_t *shards = NULL, *shard = NULL, *rows = NULL;
    json_object_foreach(json_object_get(record, "shardStatus"), name, shards)
    {
        uint64_t want = 0, have = number_of(found, name);
        json_object_foreach(shards, shard_name, shard)
        {
            want += number_of(shard, "objectsExported");
        }
        if (want != have) {
            problem(v, "collection %s: %s says %llu rows, its files have %llu", name,
                    SLI_METADATA_KEY, (unsigned long long)want, (unsigned long long)have);
        }
        (void)json_object_del(found, name);
    }
    json_object_foreach(found, name, rows)
    {
        problem(v, "collection %s: not in %s, but there are files of it", name, SLI_METADATA_KEY);
    }
}

static sl_rc verify_plain(struct verify *v, struct sl_err *err)
{
    json_t *record = NULL, *found = json_object();
    if (find(v, "_SUCCESS") != NULL || find(v, "_schema.json") != NULL) {
        problem(v, "_manifest.json: not there, _SUCCESS or _schema.json beside it is");
    }
    sl_rc rc = check_status(v, &record, err);
    for (uint32_t i = 0; rc == SL_OK && i < v->count; i++) {
        const struct object *o = &v->objects[i];
        if (sl_str_ends(o->key, ".parquet")) {
            struct sl_err why = {0};
            sl_rc one = check_plain(v, o, found, &why);
            rc = end_file(v, o->key.ptr, &why, one, err); /* the arena ends texts with NUL */
        } else if (!is_record(o->key)) {
            problem(v, "%.*s: no file of an export", SL_STR_ARG(o->key));
        }
    }
    if (rc == SL_OK && record != NULL) {
        check_counts(v, record, found);
    }
    json_decref(record);
    json_decref(found);
    return rc;
}

/* ---- the door ---- */

static sl_rc verify_all(struct verify *v, struct sl_str place, struct sl_err *err)
{
    SL_TRY(v->be->ops->list(v->be, SL_STR(""), add_object, v, err));
    if (v->count == 0) {
        return SL_FAIL(err, SL_ENOTFOUND, "%.*s: there is no export", SL_STR_ARG(place));
    }
    qsort(v->objects, v->count, sizeof(*v->objects), by_key);
    bool has_manifest = find(v, "_manifest.json") != NULL;
    (void)json_object_set_new(v->doc, "manifest", json_boolean(has_manifest));
    (void)json_object_set_new(v->doc, "deep", json_boolean(v->is_deep));
    SL_TRY(has_manifest ? verify_manifest(v, err) : verify_plain(v, err));
    bool is_good = json_array_size(v->problems) == 0;
    (void)json_object_set_new(v->doc, "status", json_string(is_good ? "good" : "bad"));
    (void)json_object_set_new(v->doc, "rows", json_integer((json_int_t)v->rows));
    (void)json_object_set_new(v->doc, "bytes", json_integer((json_int_t)v->bytes));
    return SL_OK;
}

sl_rc sl_export_verify(const struct sl_backend_env *env, struct sl_str place, bool is_deep,
                       json_t **ret, struct sl_err *err)
{
    struct verify v = {.is_deep = is_deep, .doc = json_object()};
    (void)json_object_set_new(v.doc, "status", json_null()); /* the first member */
    v.files = json_array();
    v.problems = json_array();
    (void)json_object_set_new(v.doc, "files", v.files);
    (void)json_object_set_new(v.doc, "problems", v.problems);
    sl_rc rc = sl_backend_open(env, place, &v.be, err);
    if (rc == SL_OK) {
        rc = verify_all(&v, place, err);
    }
    if (rc == SL_OK) {
        *ret = sl_move(&v.doc);
    }
    json_decref(v.doc);
    sl_backend_close(v.be);
    sl_free(v.objects);
    sl_arena_fini(&v.arena);
    return rc;
}
