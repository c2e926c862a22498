/* sluice import EXPORT: the files of an export -> objects of a node or a Weaviate server.
 *
 * EXPORT is the folder of one export, on disk or in an object store, ours or a Weaviate server's;
 * its files are read by ranges where they lie, row after row (layout/read.h). Rows become the JSON
 * of POST /v1/batch/objects here, parallel senders (send.c) bring them. A row that JSON cannot hold
 * or the server refuses is told by file and row; the others are stored. The servers set times
 * themselves. References come in a second pass over the files that have some (import_refs.c). */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/num.h"
#include "base/str.h"
#include "backend/backend.h"
#include "cmd/import_int.h"
#include "cmd/send.h"
#include "config/config.h"
#include "layout/read.h"

#define NAMES_MAX  1024
#define SCHEMA_MAX (256u << 20) /* as descriptors of backups: 10,000 tenants */
#define PAGE_MAX   (1u << 30)   /* one page; a value that large no server takes */
#define SHOW_EVERY 256          /* rows */

struct file {
    char *key; /* in the arena */
    uint64_t size;
    bool has_references;
    struct file *next;
};
struct import {
    struct sli_common common;
    const char *place, *schema_path;
    const char *collections[NAMES_MAX];
    uint32_t collection_count, file_count;
    struct sl_config config; /* what object stores need, of the environment */
    struct sl_backend *backend;
    struct sl_arena arena;
    struct file *files, **last;
    struct sli_schema schema;
    struct sli_send send;
    struct sli_progress bar;
    struct sl_object object; /* of the row at hand */
    struct sl_buf floats;    /* text of one vector */
    struct sl_buf stripped;  /* properties without references */
    bool is_second_pass;
    bool has_refused_collection;
    uint64_t stored, refused, references; /* of ended passes */
};

enum { KEY_API = 0x100, KEY_SCHEMA };

static const struct argp_option import_options[] = {
    {"collection", 'c', "NAME", 0, "Import this collection only; may be repeated", 0},
    {"schema", KEY_SCHEMA, "FILE", 0,
     "Schema of collections the server does not have: of GET /v1/schema, or one class (the "
     "_schema.json of the export)",
     0},
    {"api-key", KEY_API, "KEY", 0,
     "Key for the server (SLUICE_API_KEY, which other users do not see)", 0},
    {"parallelism", 'p', "N", 0, "Batches on their way at the same time (4)", 0},
    {0},
};

static error_t parse_import(int key, char *arg, struct argp_state *state)
{
    struct import *im = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &im->common;
        return 0;
    case 'c':
        if (im->collection_count == NAMES_MAX) {
            argp_error(state, "more than %d collections", NAMES_MAX);
        }
        im->collections[im->collection_count++] = arg;
        return 0;
    case KEY_SCHEMA:
        im->schema_path = arg;
        return 0;
    case KEY_API:
        im->common.key = arg;
        return 0;
    case 'p':
        im->send.sender_count = sli_parse_parallelism(arg, 1, SLI_SENDERS_MAX, state);
        return 0;
    case ARGP_KEY_ARG:
        if (im->place != NULL) {
            argp_error(state, "one EXPORT at a time");
        }
        im->place = arg;
        return 0;
    case ARGP_KEY_END:
        if (im->place == NULL) {
            argp_error(state, "no EXPORT given: the folder of one, or its place in a store");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&sli_common_argp, 0, NULL, 0}, {0}};
static const struct argp import_argp = {
    import_options,
    parse_import,
    "EXPORT",
    "Loads an export into a node or a Weaviate server. EXPORT is its folder, or its place: "
    "s3://bucket/path/id, gs://, az://. Collections and tenants the server does not have are "
    "created from _schema.json or --schema; objects that are refused are told by file and row, the "
    "others are stored.",
    children,
    NULL,
    NULL};

/* ---- one row as an object of a request ---- */

/* false: a float that JSON cannot hold. */
static bool add_floats(struct import *im, struct sl_json *w, struct sl_bytes floats)
{
    uint64_t nonfinite = 0;
    uint32_t count = (uint32_t)(floats.len / 4);
    sl_buf_clear(&im->floats);
    uint8_t *at = sl_buf_reserve(&im->floats, SL_F32_ARRAY_MAX(count));
    if (at == NULL) {
        w->out->is_failed = true;
        return true;
    }
    im->floats.len = sl_f32_array_format(floats.ptr, count, (char *)at, &nonfinite);
    sl_json_raw(w, sl_buf_str(&im->floats));
    return nonfinite == 0;
}

static bool add_rows(struct import *im, struct sl_json *w, const struct sl_multi_vector *mv)
{
    struct sl_rd rd = sl_rd_over(mv->body);
    bool is_good = true;
    sl_json_arr(w);
    for (uint32_t i = 0; i < mv->row_count; i++) {
        struct sl_bytes floats = {0};
        is_good = sl_multi_vector_row(mv, &rd, NULL, &floats, NULL) == SL_OK &&
                  add_floats(im, w, floats) && is_good;
    }
    sl_json_arr_end(w);
    return is_good;
}

static bool add_vectors(struct import *im, struct sl_json *w, struct sl_str *ret_bad)
{
    const struct sl_object *o = &im->object;
    bool is_good = true;
    if (o->vector.len > 0) {
        sl_json_key(w, "vector");
        is_good = add_floats(im, w, o->vector);
        *ret_bad = SL_STR("vector");
    }
    if (o->named_count + o->multi_count == 0) {
        return is_good;
    }
    sl_json_key(w, "vectors");
    sl_json_obj(w);
    for (uint32_t i = 0; i < o->named_count; i++) {
        sl_json_key_str(w, o->named[i].name);
        bool is_finite = add_floats(im, w, o->named[i].floats);
        *ret_bad = is_finite ? *ret_bad : o->named[i].name;
        is_good = is_good && is_finite;
    }
    for (uint32_t i = 0; i < o->multi_count; i++) {
        sl_json_key_str(w, o->multi[i].name);
        bool is_finite = add_rows(im, w, &o->multi[i]);
        *ret_bad = is_finite ? *ret_bad : o->multi[i].name;
        is_good = is_good && is_finite;
    }
    sl_json_obj_end(w);
    return is_good;
}

static json_t *parsed(struct sl_str text)
{
    return json_loadb(text.ptr, text.len, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
}

static struct sl_str properties_of(const struct import *im)
{
    struct sl_str text = sl_bytes_str(im->object.properties);
    return text.len == 0 || sl_str_is(text, "null") ? SL_STR("") : text;
}

/* The text goes on as it is, so numbers keep their digits; it must be an object all the same. */
static bool add_properties(struct import *im, struct sl_json *w, struct file *f)
{
    struct sl_str text = properties_of(im);
    if (text.len == 0) {
        return true;
    }
    json_t *doc = parsed(text);
    bool is_good = json_is_object(doc);
    if (is_good && sli_may_refer(text)) {
        sl_buf_clear(&im->stripped);
        if (sli_references_strip(text, doc, &im->stripped)) {
            f->has_references = true;
            text = sl_buf_str(&im->stripped);
        }
        w->out->is_failed = w->out->is_failed || im->stripped.is_failed;
    }
    json_decref(doc);
    if (is_good) {
        sl_json_key(w, "properties");
        sl_json_raw(w, text);
    }
    return is_good;
}

static void add_object(struct import *im, struct file *f, const char *class, const char *tenant,
                       struct sl_buf *text, struct sl_buf *ret_why)
{
    struct sl_json w = sl_json_over(text);
    char id[SL_UUID_TEXT_SIZE];
    struct sl_str bad = SL_STR("");
    sl_uuid_format(im->object.uuid, id);
    sl_json_obj(&w);
    sl_json_key(&w, "class");
    sl_json_text(&w, class);
    if (tenant != NULL) {
        sl_json_key(&w, "tenant");
        sl_json_text(&w, tenant);
    }
    sl_json_key(&w, "id");
    sl_json_str(&w, (struct sl_str){id, sizeof(id)});
    if (!add_vectors(im, &w, &bad)) {
        sl_buf_addf(ret_why, "%.*s: \"%.*s\" has NaN or infinite values, which REST cannot take",
                    SL_UUID_TEXT_SIZE, id, SL_STR_ARG(bad));
    } else if (!add_properties(im, &w, f)) {
        sl_buf_addf(ret_why, "%.*s: its properties are no JSON object", SL_UUID_TEXT_SIZE, id);
    }
    sl_json_obj_end(&w);
}

/* ---- one file ---- */

struct opened {
    struct import *im;
    struct sl_str key;
};

static sl_rc read_at(void *arg, uint64_t offset, size_t len, struct sl_buf *out, struct sl_err *err)
{
    struct opened *f = arg;
    return f->im->backend->ops->read(f->im->backend, f->key, offset, len, out, err);
}

static bool is_wanted(const void *arg, const char *name)
{
    const struct import *im = arg;
    for (uint32_t i = 0; i < im->collection_count; i++) {
        if (strcmp(im->collections[i], name) == 0) {
            return true;
        }
    }
    return im->collection_count == 0;
}

struct row {
    struct import *im;
    struct file *file;
    const char *class, *tenant; /* tenant: NULL none */
    uint64_t number;
};

static sl_rc send_object(struct row *row, struct sl_err *err)
{
    struct import *im = row->im;
    SL_AUTO(sl_buf) why = SL_BUF_EMPTY;
    struct sl_buf *text = NULL;
    SL_TRY(sli_send_begin_item(&im->send, row->file->key, &text, err));
    add_object(im, row->file, row->class, row->tenant, text, &why);
    if (why.len > 0) {
        sli_send_drop_item(&im->send);
        sli_send_refuse(&im->send, row->file->key, row->number, sl_buf_cstr(&why));
        return SL_OK;
    }
    return sli_send_end_item(&im->send, row->number, err);
}

static sl_rc send_reference(void *arg, const char *property, const char *to, struct sl_err *err)
{
    struct row *row = arg;
    SL_AUTO(sl_buf) from = SL_BUF_EMPTY;
    char id[SL_UUID_TEXT_SIZE];
    struct sl_buf *text = NULL;
    sl_uuid_format(row->im->object.uuid, id);
    sl_buf_addf(&from, "weaviate://localhost/%s/%.*s/%s", row->class, SL_UUID_TEXT_SIZE, id,
                property);
    SL_TRY(sl_buf_done(&from, err));
    SL_TRY(sli_send_begin_item(&row->im->send, row->file->key, &text, err));
    struct sl_json w = sl_json_over(text);
    sl_json_obj(&w);
    sl_json_key(&w, "from");
    sl_json_str(&w, sl_buf_str(&from));
    sl_json_key(&w, "to");
    sl_json_text(&w, to);
    if (row->tenant != NULL) {
        sl_json_key(&w, "tenant");
        sl_json_text(&w, row->tenant);
    }
    sl_json_obj_end(&w);
    return sli_send_end_item(&row->im->send, row->number, err);
}

static sl_rc send_references(struct row *row, struct sl_err *err)
{
    struct sl_str text = properties_of(row->im);
    if (!sli_may_refer(text)) {
        return SL_OK;
    }
    json_t *doc = parsed(text);
    sl_rc rc = sli_references_each(doc, send_reference, row, err);
    json_decref(doc);
    return rc;
}

static sl_rc send_rows(struct row *row, struct sl_layout_reader *r, struct sl_err *err)
{
    struct import *im = row->im;
    for (row->number = 1; !sli_send_is_broken(&im->send); row->number++) {
        sl_rc rc = sl_layout_read(r, &im->object, err);
        if (rc == SL_END) {
            break;
        }
        SL_TRY(rc);
        SL_TRY(im->is_second_pass ? send_references(row, err) : send_object(row, err));
        if (row->number % SHOW_EVERY == 0) {
            sli_progress_show(&im->bar, im->is_second_pass ? "adding references" : "importing",
                              atomic_load(&im->send.stored), 0, 0);
        }
    }
    return sli_send_flush(&im->send, err);
}

static sl_rc import_rows(struct import *im, struct file *f, struct sl_err *err)
{
    SL_AUTO_PTR(sl_layout_reader) r = NULL;
    struct opened opened = {im, sl_str_from(f->key)};
    struct sl_pq_source source = {read_at, &opened, f->size, PAGE_MAX};
    SL_TRY(sl_layout_reader_open(&source, &r, err));
    const struct sl_layout_file *file = sl_layout_reader_file(r);
    if (file->collection.len == 0) {
        return SL_FAIL(err, SL_EINVAL, "the file does not tell its collection");
    }
    SL_AUTO_MEM(char) class = sl_strndup(file->collection.ptr, file->collection.len);
    SL_AUTO_MEM(char)
    tenant = sl_strndup(file->has_tenant ? file->tenant.ptr : "", file->tenant.len);
    if (class == NULL || tenant == NULL) {
        return SL_NOMEM(err);
    }
    if (!is_wanted(im, class) || json_object_get(im->schema.refused, class) != NULL) {
        return SL_OK;
    }
    const char *tenant_or_none = file->has_tenant ? tenant : NULL;
    SL_TRY(sli_schema_need(&im->schema, class, tenant_or_none, err));
    im->file_count += !im->is_second_pass;
    struct row row = {im, f, class, tenant_or_none, 0};
    return send_rows(&row, r, err);
}

/* ---- the export ---- */

static sl_rc add_file(void *arg, struct sl_str key, uint64_t size, struct sl_err *err)
{
    struct import *im = arg;
    if (!sl_str_ends(key, ".parquet")) {
        return SL_OK;
    }
    struct file *f = sl_arena_array(&im->arena, struct file, 1);
    char *name = sl_arena_array(&im->arena, char, key.len + 1);
    if (f == NULL || name == NULL) {
        return SL_NOMEM(err);
    }
    memcpy(name, key.ptr, key.len);
    name[key.len] = '\0';
    *f = (struct file){.key = name, .size = size};
    *im->last = f;
    im->last = &f->next;
    return SL_OK;
}

/* An export that failed has whole files, too, but not all of them. */
static sl_rc warn_of_status(struct import *im, struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_rc rc = sl_backend_get(im->backend, SL_STR("export_metadata.json"), SCHEMA_MAX, &text, err);
    if (rc == SL_ENOTFOUND) {
        return SL_OK;
    }
    SL_TRY(rc);
    json_t *doc = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    const char *status = json_string_value(json_object_get(doc, "status"));
    if (status != NULL && strcmp(status, "SUCCESS") != 0) {
        (void)fprintf(stderr, "sluice: this export is %s: what there is of it is imported\n",
                      status);
    }
    json_decref(doc);
    return SL_OK;
}

static sl_rc load_schema(struct import *im, struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_rc rc = sl_backend_get(im->backend, SL_STR("_schema.json"), SCHEMA_MAX, &text, err);
    if (rc == SL_OK) {
        rc = sli_schema_add(&im->schema, sl_buf_view(&text), "_schema.json", err);
    }
    if (rc != SL_OK && rc != SL_ENOTFOUND) {
        return rc;
    }
    if (im->schema_path != NULL) { /* a person's wins */
        sl_buf_clear(&text);
        SL_TRY(sl_file_read_all(im->schema_path, SCHEMA_MAX, &text, err));
        SL_TRY(sli_schema_add(&im->schema, sl_buf_view(&text), im->schema_path, err));
    }
    return SL_OK;
}

static sl_rc open_export(struct import *im, struct sl_err *err)
{
    struct sl_backend_env env = {.config = &im->config, .clock = sl_clock_real()};
    im->last = &im->files;
    SL_TRY(sl_backend_open(&env, sl_str_from(im->place), &im->backend, err));
    SL_TRY(im->backend->ops->list(im->backend, SL_STR(""), add_file, im, err));
    if (im->files == NULL) {
        return SL_FAIL(err, SL_ENOTFOUND, "%s: no export is there: no Parquet file lies below it",
                       im->place);
    }
    SL_TRY(warn_of_status(im, err));
    return load_schema(im, err);
}

static sl_rc send_files(struct import *im, struct sl_err *err)
{
    SL_TRY(sli_send_begin(&im->send, err));
    for (struct file *f = im->files; f != NULL && !sli_send_is_broken(&im->send); f = f->next) {
        sl_rc rc = im->is_second_pass && !f->has_references ? SL_OK : import_rows(im, f, err);
        if (rc != SL_OK) {
            sl_err_prefix(err, "%s", f->key);
            return rc;
        }
    }
    return SL_OK;
}

/* All files, with what is on its way at the end waited for. */
static sl_rc one_pass(struct import *im, uint64_t *ret_stored, struct sl_err *err)
{
    sl_rc rc = send_files(im, err);
    sli_send_end(&im->send);
    *ret_stored = atomic_exchange(&im->send.stored, 0);
    im->refused += atomic_load(&im->send.refused);
    return rc;
}

static sl_rc import_files(struct import *im, struct sl_err *err)
{
    bool has_references = false;
    SL_TRY(open_export(im, err));
    SL_TRY(sli_schema_create(&im->schema, is_wanted, im, err));
    SL_TRY(one_pass(im, &im->stored, err));
    for (const struct file *f = im->files; f != NULL; f = f->next) {
        has_references = has_references || f->has_references;
    }
    if (has_references && !sli_send_is_broken(&im->send)) {
        im->is_second_pass = true;
        im->send = (struct sli_send){.common = &im->common,
                                     .path = "/v1/batch/references",
                                     .head = "[",
                                     .tail = "]",
                                     .sender_count = im->send.sender_count};
        SL_TRY(one_pass(im, &im->references, err));
    }
    im->has_refused_collection = json_object_size(im->schema.refused) > 0;
    return im->file_count > 0 || im->has_refused_collection || sli_send_is_broken(&im->send)
               ? SL_OK
               : SL_FAIL(err, SL_ENOTFOUND, "%s: none of its files is of these collections",
                         im->place);
}

static const char *from_environment(void *arg SL_UNUSED, const char *name)
{
    return getenv(name);
}

static int run(struct import *im)
{
    struct sl_err err = {0};
    SL_AUTO_PTR(sl_http_client) client = NULL;
    sl_rc rc = sl_config_load(&im->config, from_environment, NULL, NULL, &err);
    if (rc != SL_OK) {
        return sli_fail(&err, rc);
    }
    rc = sli_client(&im->common, &client, &err);
    if (rc == SL_OK) {
        im->schema = (struct sli_schema){.client = client,
                                         .classes = json_object(),
                                         .there = json_object(),
                                         .woken = json_object(),
                                         .refused = json_object()};
        sli_progress_begin(&im->bar, "objects", im->common.is_quiet || im->common.is_json);
        rc = import_files(im, &err);
        sl_rc rest = sli_schema_rest(&im->schema, rc == SL_OK ? &err : NULL);
        rc = rc == SL_OK ? rest : rc;
        sli_progress_end(&im->bar);
    }
    sli_schema_fini(&im->schema);
    sl_backend_close(im->backend);
    sl_config_fini(&im->config);
    return rc == SL_OK ? SLI_EXIT_DONE : sli_fail(&err, rc);
}

static void print_outcome(const struct import *im)
{
    unsigned long long stored = im->stored, references = im->references, refused = im->refused;
    if (im->common.is_json) {
        (void)printf("{\"stored\":%llu,\"references\":%llu,\"refused\":%llu,\"files\":%u,"
                     "\"created\":%u}\n",
                     stored, references, refused, im->file_count, im->schema.created_count);
    } else {
        (void)printf("%llu objects of %u files and %llu references stored, %llu refused%s\n",
                     stored, im->file_count, references, refused,
                     sli_send_is_broken(&im->send) ? "; the import was broken off" : "");
    }
}

int sli_cmd_import(int argc, char **argv)
{
    SL_AUTO_MEM(struct import) im = sl_alloc_zero(1, sizeof(*im));
    if (im == NULL) {
        return sli_failf("out of memory");
    }
    im->send = (struct sli_send){SLI_SEND_OBJECTS, .common = &im->common, .sender_count = 4};
    if (argp_parse(&import_argp, argc, argv, 0, NULL, im) != 0) {
        return SLI_EXIT_USAGE;
    }
    int code = run(im);
    print_outcome(im);
    bool is_whole =
        im->refused == 0 && !im->has_refused_collection && !sli_send_is_broken(&im->send);
    sl_buf_fini(&im->floats);
    sl_buf_fini(&im->stripped);
    sl_arena_fini(&im->arena);
    return code == SLI_EXIT_DONE && is_whole ? SLI_EXIT_DONE : SLI_EXIT_FAILED;
}
