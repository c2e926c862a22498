/* Is an export whole and unharmed? Its folder against its own manifest, byte by byte.
 *
 * What the folder holds is listed once; each file of the manifest is read through once for its
 * SHA-256, its footer is parsed, and, when deep, every page is decoded and the hash of its rows
 * made again (verify_file.c). An export without a manifest, as a Weaviate server writes it, is held
 * against its record: footers and counts. Every problem is a sentence: file, what was expected,
 * what was found. Nothing is written. Called by `sluice verify`.
 *
 * Threads: what is to be read becomes a list of tasks, which the calling thread and others take one
 * after the other, in order, each with a reader of its own. A task belongs to who took it until all
 * have ended; the calling thread then tells of them in the order of the list, so the answer does
 * not depend on who was first. The first failure to read, unlike a file that is bad, ends all. */
#include <stdlib.h>

#include "base/str.h"
#include "export/export_int.h"
#include "export/verify_int.h"
#include "layout/rowhash.h"

#define MANIFEST_MAX (1u << 30) /* 10^6 files at 500 bytes each */
#define WORKERS_MAX  256        /* as exports */
#define PLACES_TOLD  10         /* exports below a folder; more make no sentence */

/* One file to look at. */
struct task {
    const char *path;                  /* of the manifest or the listing */
    const json_t *line;                /* of the manifest; NULL: it has none */
    const struct sli_verify_object *o; /* NULL: the problem is known before anything is read */
    char *problem;                     /* owned; NULL: it is good */
    struct sli_verify_content content;
};

struct verify {
    struct sl_backend *be; /* owned */
    struct sl_arena arena;
    struct sli_verify_object *objects; /* by key bytes */
    uint32_t count, cap;
    bool is_deep;
    json_t *doc, *files, *problems; /* doc owned; the others are of it */
    uint64_t rows, bytes;
    struct sli_verify_reader reader; /* of the calling thread */
    struct task *tasks;
    uint32_t task_count, worker_count;
    _Atomic uint32_t next_task;
    struct sl_cancel *stop; /* the caller's or own_stop; set by the first failure, too */
    struct sl_cancel own_stop;
    struct sl_mutex mu; /* leaf */
    struct {
        struct sl_err first; /* failure; rc SL_OK: none */
    } locked SL_GUARDED;
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

static void tell_file(struct verify *v, const struct task *t)
{
    json_t *line = json_object();
    (void)json_object_set_new(line, "path", text_json(t->path));
    (void)json_object_set_new(line, "status", json_string(t->problem == NULL ? "good" : "bad"));
    if (t->problem != NULL) {
        (void)json_object_set_new(line, "problem", text_json(t->problem));
        problem(v, "%s", t->problem);
    }
    (void)json_array_append_new(v->files, line);
    v->rows += t->content.rows;
    v->bytes += t->content.bytes;
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
        struct sli_verify_object *grown = sl_realloc(v->objects, cap * sizeof(*grown));
        if (grown == NULL) {
            return SL_NOMEM(err);
        }
        v->objects = grown;
        v->cap = cap;
    }
    struct sl_str copy = sl_arena_str(&v->arena, key);
    v->objects[v->count++] = (struct sli_verify_object){copy, size, false};
    return copy.ptr == NULL ? SL_NOMEM(err) : SL_OK;
}

static int by_key(const void *a, const void *b)
{
    return sl_bytes_cmp(sl_str_bytes(((const struct sli_verify_object *)a)->key),
                        sl_str_bytes(((const struct sli_verify_object *)b)->key));
}

static struct sli_verify_object *find(struct verify *v, const char *key)
{
    struct sli_verify_object want = {.key = sl_str_from(key)};
    return v->count == 0 ? NULL : bsearch(&want, v->objects, v->count, sizeof(*v->objects), by_key);
}

/* ---- the files, by several workers ---- */

static sl_rc tasks_new(struct verify *v, size_t count, struct sl_err *err)
{
    v->tasks = sl_alloc_zero(SL_MAX(count, 1U), sizeof(*v->tasks));
    return v->tasks == NULL ? SL_NOMEM(err) : SL_OK;
}

static void tasks_free(struct verify *v)
{
    for (uint32_t i = 0; i < v->task_count; i++) {
        sl_free(v->tasks[i].problem);
        sl_free(v->tasks[i].content.collection);
    }
    sl_free(v->tasks);
}

/* Keeps what was found; fails only when the file could not be looked at. */
static sl_rc keep(struct task *t, struct sl_err *found, sl_rc rc, struct sl_err *err)
{
    if (rc == SL_OK) {
        return SL_OK;
    }
    sl_err_prefix(found, "%s", t->path);
    if (!is_finding(rc)) {
        if (err != NULL) {
            *err = *found;
        }
        return rc;
    }
    t->problem = sl_strdup(sl_err_text(found, rc));
    return t->problem == NULL ? SL_NOMEM(err) : SL_OK;
}

static sl_rc run_task(struct sli_verify_reader *r, struct task *t, struct sl_err *err)
{
    struct sl_err found = {0};
    if (t->o == NULL) {
        return SL_OK;
    }
    sl_rc rc = t->line == NULL ? sli_verify_plain(r, t->o, &t->content, &found)
                               : sli_verify_named(r, t->o, t->line, &t->content, &found);
    return keep(t, &found, rc, err);
}

static void run_tasks(struct verify *v, struct sli_verify_reader *r)
{
    for (;;) {
        struct sl_err err = {0};
        uint32_t n = atomic_fetch_add_explicit(&v->next_task, 1, memory_order_relaxed);
        if (n >= v->task_count || sl_cancel_is_set(v->stop)) {
            return;
        }
        sl_rc rc = run_task(r, &v->tasks[n], &err);
        if (rc != SL_OK) {
            sl_mutex_lock(&v->mu);
            if (v->locked.first.rc == SL_OK) { /* later ones may only say that they were stopped */
                v->locked.first = err;
                v->locked.first.rc = rc;
            }
            sl_mutex_unlock(&v->mu);
            sl_cancel_set(v->stop);
            return;
        }
    }
}

static void work(void *arg)
{
    struct verify *v = arg;
    struct sli_verify_reader r = {.be = v->be, .stop = v->stop, .is_deep = v->is_deep};
    run_tasks(v, &r);
    sli_verify_reader_fini(&r);
}

/* Returns when nobody is at work any more. */
static sl_rc run_all(struct verify *v, struct sl_err *err)
{
    struct sl_thread *threads[WORKERS_MAX] = {NULL};
    uint32_t count = SL_MIN(v->worker_count, v->task_count);
    for (uint32_t i = 1; i < count; i++) {
        SL_IGNORE(sl_thread_start("verify", work, v, &threads[i], NULL), "fewer do it all, too");
    }
    run_tasks(v, &v->reader);
    for (uint32_t i = 1; i < count; i++) {
        sl_thread_join(threads[i]);
    }
    sl_mutex_lock(&v->mu);
    struct sl_err first = v->locked.first;
    sl_mutex_unlock(&v->mu);
    if (first.rc != SL_OK) {
        if (err != NULL) {
            *err = first;
        }
        return first.rc;
    }
    return sl_cancel_is_set(v->stop) ? SL_FAIL(err, SL_ECANCELED, "the check was canceled") : SL_OK;
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
        const struct sli_verify_object *o = &v->objects[i];
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
        const struct sli_verify_object *o = find(v, names[i]);
        if (o == NULL) {
            problem(v, "%s: _SUCCESS names it, it is not there", names[i]);
            continue;
        }
        SL_TRY(sli_verify_hash(&v->reader, o, &line, err));
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

/* Adds the rowHash of a line, if it has one. */
static sl_rc add_hash(const json_t *line, uint64_t *sum, struct sl_err *err)
{
    SL_AUTO(sl_buf) raw = SL_BUF_EMPTY;
    uint64_t hash = 0;
    (void)sl_hex_parse(sl_str_from(sli_verify_text(line, "rowHash")), &raw);
    for (size_t i = 0; i < raw.len; i++) {
        hash = hash << 8 | raw.ptr[i];
    }
    *sum += hash;
    return sl_buf_done(&raw, err);
}

/* The total of the manifest against its own lines. */
static sl_rc check_total(struct verify *v, const json_t *manifest, struct sl_err *err)
{
    const json_t *files = json_object_get(manifest, "files"), *line = NULL;
    const json_t *total = json_object_get(manifest, "total");
    uint64_t rows = 0, bytes = 0, hash = 0;
    char digits[SL_ROW_HASH_DIGITS + 1];
    size_t i = 0;
    json_array_foreach(files, i, line)
    {
        rows += sli_verify_number(line, "rows");
        bytes += sli_verify_number(line, "bytes");
        SL_TRY(add_hash(line, &hash, err));
    }
    if (!json_is_array(files) || sli_verify_number(total, "files") != json_array_size(files) ||
        sli_verify_number(total, "rows") != rows || sli_verify_number(total, "bytes") != bytes) {
        problem(v,
                "_manifest.json: total says %llu files, %llu rows, %llu bytes; its lines say %zu, "
                "%llu, %llu",
                (unsigned long long)sli_verify_number(total, "files"),
                (unsigned long long)sli_verify_number(total, "rows"),
                (unsigned long long)sli_verify_number(total, "bytes"), json_array_size(files),
                (unsigned long long)rows, (unsigned long long)bytes);
    }
    snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)hash);
    const char *told = sli_verify_text(total, "rowHash");
    if (told[0] != '\0' && strcmp(told, digits) != 0) {
        problem(v, "_manifest.json: total says rowHash %s, its lines make %s", told, digits);
    }
    return SL_OK;
}

/* What can be said of a line before its file is read. */
static sl_rc look_up(struct verify *v, const json_t *line, struct sli_verify_object **ret,
                     struct sl_err *err)
{
    SL_TRY(sli_verify_line(line, err));
    struct sli_verify_object *o = find(v, sli_verify_text(line, "path"));
    if (o == NULL) {
        return SL_FAIL(err, SL_ENOTFOUND, "the manifest names it, it is not there");
    }
    if (o->is_named) {
        return SL_FAIL(err, SL_ECORRUPT, "the manifest names it twice");
    }
    o->is_named = true;
    *ret = o;
    return SL_OK;
}

static sl_rc check_lines(struct verify *v, const json_t *manifest, struct sl_err *err)
{
    size_t i = 0;
    const json_t *line = NULL, *files = json_object_get(manifest, "files");
    uint64_t version = sli_verify_number(manifest, "formatVersion");
    if (version != 1) {
        problem(v, "_manifest.json: formatVersion 1 was expected, found %llu",
                (unsigned long long)version);
        return SL_OK;
    }
    SL_TRY(tasks_new(v, json_array_size(files), err));
    json_array_foreach(files, i, line)
    {
        struct sl_err found = {0};
        struct sli_verify_object *o = NULL;
        struct task *t = &v->tasks[v->task_count++];
        sl_rc rc = look_up(v, line, &o, &found);
        *t = (struct task){.path = sli_verify_text(line, "path"), .line = line, .o = o};
        SL_TRY(keep(t, &found, rc, err));
    }
    SL_TRY(run_all(v, err));
    for (uint32_t n = 0; n < v->task_count; n++) {
        tell_file(v, &v->tasks[n]);
    }
    SL_TRY(check_total(v, manifest, err));
    tell_strangers(v);
    json_t *left_out = json_object_get(json_object_get(manifest, "leftOut"), "count");
    (void)json_object_set(v->doc, "leftOut", left_out);
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
    const char *status = sli_verify_text(*ret_record, "status");
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

static void check_counts(struct verify *v, const json_t *record, json_t *found)
{
    const char *name = NULL, *shard_name = NULL;
    json_t *shards = NULL, *shard = NULL, *rows = NULL;
    json_object_foreach(json_object_get(record, "shardStatus"), name, shards)
    {
        uint64_t want = 0, have = sli_verify_number(found, name);
        json_object_foreach(shards, shard_name, shard)
        {
            want += sli_verify_number(shard, "objectsExported");
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

/* In the order of the listing, rows added to those of their collection. */
static void tell_plain(struct verify *v, json_t *found)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < v->count; i++) {
        const struct sli_verify_object *o = &v->objects[i];
        if (next < v->task_count && v->tasks[next].o == o) {
            const struct task *t = &v->tasks[next++];
            const char *name = t->content.collection;
            tell_file(v, t);
            if (name != NULL) {
                uint64_t rows = sli_verify_number(found, name) + t->content.rows;
                (void)json_object_set_new(found, name, json_integer((json_int_t)rows));
            }
        } else if (!is_record(o->key)) {
            problem(v, "%.*s: no file of an export", SL_STR_ARG(o->key));
        }
    }
}

static sl_rc check_files(struct verify *v, json_t *found, struct sl_err *err)
{
    SL_TRY(tasks_new(v, v->count, err));
    for (uint32_t i = 0; i < v->count; i++) {
        const struct sli_verify_object *o = &v->objects[i];
        if (sl_str_ends(o->key, ".parquet")) {
            v->tasks[v->task_count++] = (struct task){.path = o->key.ptr, .o = o};
        }
    }
    SL_TRY(run_all(v, err));
    tell_plain(v, found);
    return SL_OK;
}

static sl_rc verify_plain(struct verify *v, struct sl_err *err)
{
    json_t *record = NULL, *found = json_object();
    if (find(v, "_SUCCESS") != NULL || find(v, "_schema.json") != NULL) {
        problem(v, "_manifest.json: not there, _SUCCESS or _schema.json beside it is");
    }
    sl_rc rc = check_status(v, &record, err);
    if (rc == SL_OK) {
        rc = check_files(v, found, err);
    }
    if (rc == SL_OK && record != NULL) {
        check_counts(v, record, found);
    }
    json_decref(record);
    json_decref(found);
    return rc;
}

/* ---- the door ---- */

/* A place that is none of one export is told in a sentence, not by its files one by one. */
static sl_rc check_place(struct verify *v, struct sl_str place, struct sl_err *err)
{
    static const char end[] = "/" SLI_METADATA_KEY;
    SL_AUTO(sl_buf) names = SL_BUF_EMPTY;
    uint32_t found = 0;
    bool has_file = false;
    if (find(v, "_manifest.json") != NULL || find(v, SLI_METADATA_KEY) != NULL) {
        return SL_OK;
    }
    for (uint32_t i = 0; i < v->count; i++) {
        struct sl_str key = v->objects[i].key;
        has_file = has_file || sl_str_ends(key, ".parquet");
        if (sl_str_ends(key, end) && ++found <= PLACES_TOLD) {
            sl_buf_addf(&names, "%s%.*s", found == 1 ? "" : ", ",
                        (int)(key.len - (sizeof(end) - 1)), key.ptr);
        }
    }
    const char *list = sl_buf_cstr(&names);
    SL_TRY(sl_buf_done(&names, err));
    if (found > 0) {
        return SL_FAIL(err, SL_ENOTFOUND, "%.*s: holds exports, name one of them: %s%s",
                       SL_STR_ARG(place), list, found > PLACES_TOLD ? ", ..." : "");
    }
    return has_file
               ? SL_OK
               : SL_FAIL(err, SL_ENOTFOUND,
                         "%.*s: there is no export: no _manifest.json, no %s, no file *.parquet",
                         SL_STR_ARG(place), SLI_METADATA_KEY);
}

static sl_rc verify_all(struct verify *v, struct sl_str place, struct sl_err *err)
{
    SL_TRY(v->be->ops->list(v->be, SL_STR(""), add_object, v, err));
    if (v->count > 0) {
        qsort(v->objects, v->count, sizeof(*v->objects), by_key);
    }
    SL_TRY(check_place(v, place, err));
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

/* v is zero but for what the caller chose. */
static sl_rc run(struct verify *v, const struct sl_backend_env *env, struct sl_str place,
                 struct sl_err *err)
{
    struct sl_backend_env stoppable = *env;
    v->stop = env->cancel == NULL ? &v->own_stop : env->cancel;
    stoppable.cancel = v->stop;
    stoppable.is_cancel_wide = true;
    SL_TRY(sl_backend_open(&stoppable, place, &v->be, err));
    v->reader = (struct sli_verify_reader){.be = v->be, .stop = v->stop, .is_deep = v->is_deep};
    return verify_all(v, place, err);
}

sl_rc sl_export_verify(const struct sl_backend_env *env, struct sl_str place, bool is_deep,
                       uint32_t parallelism, json_t **ret, struct sl_err *err)
{
    struct verify v = {.is_deep = is_deep, .doc = json_object()};
    (void)json_object_set_new(v.doc, "status", json_null()); /* the first member */
    v.files = json_array();
    v.problems = json_array();
    (void)json_object_set_new(v.doc, "files", v.files);
    (void)json_object_set_new(v.doc, "problems", v.problems);
    v.worker_count = SL_MIN(sli_parallelism(parallelism), (uint32_t)WORKERS_MAX);
    sl_cancel_init(&v.own_stop);
    sl_mutex_init(&v.mu);
    sl_rc rc = run(&v, env, place, err);
    if (rc == SL_OK) {
        *ret = sl_move(&v.doc);
    }
    json_decref(v.doc);
    tasks_free(&v);
    sli_verify_reader_fini(&v.reader);
    sl_backend_close(v.be);
    sl_mutex_fini(&v.mu);
    sl_cancel_fini(&v.own_stop);
    sl_free(v.objects);
    sl_arena_fini(&v.arena);
    return rc;
}
