/* What tells that an export is whole: _schema.json, _manifest.json, _SUCCESS, in this order.
 *
 * Names begin with `_`, so that Spark, Hive and Trino pass over them. Each is created once and
 * never replaced. _SUCCESS is the last of all and holds the SHA-256 of the other two, as sha256sum
 * prints it. Nothing in them differs between two equal runs but the id. Called by the conductor at
 * the end, when the ranges' workers are gone, and by recovery. Their members: docs/manifest.md. */
#include "export/export_int.h"

#include "layout/rowhash.h"

static const char *const names[] = {"_SUCCESS", "_manifest.json", "_schema.json"};

static void add_text(struct sl_json *w, const char *key, const char *text)
{
    sl_json_key(w, key);
    sl_json_text(w, text);
}

static void add_str(struct sl_json *w, const char *key, struct sl_str s)
{
    sl_json_key(w, key);
    sl_json_str(w, s);
}

static void add_number(struct sl_json *w, const char *key, uint64_t n)
{
    sl_json_key(w, key);
    sl_json_u64(w, n);
}

static void add_id(struct sl_json *w, const char *key, const uint8_t *uuid)
{
    char text[SL_UUID_TEXT_SIZE];
    sl_uuid_format(uuid, text);
    add_str(w, key, (struct sl_str){text, sizeof(text)});
}

static void add_hash(struct sl_json *w, const char *key, uint64_t hash)
{
    char text[SL_ROW_HASH_DIGITS + 1];
    snprintf(text, sizeof(text), "%016llx", (unsigned long long)hash);
    add_text(w, key, text);
}

static void add_sha256(struct sl_json *w, const char *key, const uint8_t *sha256)
{
    char text[2 * SL_SHA256_SIZE + 1];
    for (size_t i = 0; i < SL_SHA256_SIZE; i++) {
        snprintf(text + 2 * i, 3, "%02x", sha256[i]);
    }
    add_text(w, key, text);
}

static const char *layout_name(const struct sli_job *job)
{
    return job->settings.layout == SL_LAYOUT_LAKE ? "lake" : "weaviate";
}

/* ---- _schema.json ---- */

static void add_tenants(const struct sli_job *job, struct sl_str class_name, struct sl_json *w)
{
    bool is_first = true;
    for (uint32_t i = 0; i < job->shard_count; i++) {
        const struct sl_shard *s = &job->shards[i].shard;
        if (!s->is_tenant || !sl_str_eq(s->class_name, class_name)) {
            continue;
        }
        if (is_first) {
            sl_json_key(w, "tenants");
            sl_json_arr(w);
            is_first = false;
        }
        sl_json_obj(w);
        add_str(w, "name", s->name);
        sl_json_key(w, "status");
        if (s->tenant_status == NULL) {
            sl_json_null(w);
        } else {
            sl_json_text(w, s->tenant_status);
        }
        sl_json_obj_end(w);
    }
    if (!is_first) {
        sl_json_arr_end(w);
    }
}

/* Layout lake: which column holds which vector and property; names may have changed. */
static sl_rc add_columns(const struct sli_job *job, struct sl_str class_json, struct sl_json *w,
                         struct sl_err *err)
{
    SL_AUTO_PTR(sl_layout) layout = NULL;
    if (job->settings.layout == SL_LAYOUT_LAKE) {
        SL_TRY(sli_layout_open(job, class_json, NULL, &layout, err));
        sl_json_key(w, "columns");
        sl_layout_columns_json(layout, w);
    }
    return SL_OK;
}

static sl_rc write_schema(const struct sli_job *job, struct sl_arena *arena, struct sl_buf *out,
                          struct sl_err *err)
{
    struct sl_json w = sl_json_over(out);
    sl_json_obj(&w);
    add_number(&w, "formatVersion", 1);
    add_text(&w, "layout", layout_name(job));
    sl_json_key(&w, "classes");
    sl_json_arr(&w);
    for (uint32_t i = 0; i < job->class_count; i++) {
        struct sl_str json = {0};
        SL_TRY(job->frozen->ops->schema(job->frozen, job->classes[i], arena, &json, err));
        sl_json_obj(&w);
        add_str(&w, "name", job->classes[i]);
        sl_json_key(&w, "class");
        sl_json_raw(&w, json.len == 0 ? SL_STR("null") : json);
        add_tenants(job, job->classes[i], &w);
        SL_TRY(add_columns(job, json, &w, err));
        sl_json_obj_end(&w);
    }
    sl_json_arr_end(&w);
    sl_json_obj_end(&w);
    sl_buf_add_u8(out, '\n');
    return sl_buf_done(out, err);
}

/* ---- _manifest.json ---- */

/* Objects of other times were left out: {"from", "before"}, either may be missing. */
static void add_span(struct sl_json *w, const char *key, const struct sl_time_span *span)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    if (!span->has_from && !span->has_to) {
        return;
    }
    sl_json_key(w, key);
    sl_json_obj(w);
    if (span->has_from) {
        sl_time_add_ns(&text, span->from);
        add_str(w, "from", sl_buf_str(&text));
    }
    if (span->has_to) {
        sl_buf_clear(&text);
        sl_time_add_ns(&text, span->to);
        add_str(w, "before", sl_buf_str(&text));
    }
    sl_json_obj_end(w);
    w->out->is_failed |= text.is_failed;
}

static void add_settings(const struct sli_job *job, struct sl_json *w)
{
    const struct sl_export_settings *s = &job->settings;
    sl_json_key(w, "settings");
    sl_json_obj(w);
    add_text(w, "compression", sli_compression_name(s->compression));
    if (s->compression == SL_COMPRESSION_SMALL) {
        add_number(w, "compressionLevel", (uint64_t)sli_zstd_level(s));
    }
    if (s->layout == SL_LAYOUT_LAKE) {
        add_text(w, "idType", s->is_uuid_typed ? "uuid" : "string");
        add_text(w, "vectorType", s->is_half ? "float16" : "float32");
    }
    if (s->column_count > 0) {
        sl_json_key(w, "columns");
        sl_json_arr(w);
        for (uint32_t i = 0; i < s->column_count; i++) {
            sl_json_str(w, s->columns[i]);
        }
        sl_json_arr_end(w);
    }
    add_span(w, "creationTime", &s->created);
    add_span(w, "updateTime", &s->updated);
    add_text(w, "timestampUnit", sl_timestamp_unit_name(s->unit));
    sl_json_key(w, "jsonAnnotation");
    sl_json_bool(w, s->is_json_annotated);
    sl_json_obj_end(w);
}

static void add_range(const struct sl_range_key *key, struct sl_json *w)
{
    static const uint8_t lowest[SL_UUID_SIZE];
    sl_json_key(w, "range");
    sl_json_obj(w);
    if (memcmp(key->lo, lowest, SL_UUID_SIZE) != 0) {
        add_id(w, "from", key->lo);
    }
    if (key->has_hi) {
        add_id(w, "below", key->hi);
    }
    sl_json_obj_end(w);
}

static void add_file(const struct sli_job *job, uint32_t idx, struct sl_json *w)
{
    const struct sli_range *range = &job->ranges[idx];
    const struct sli_file *file = &job->files[idx];
    const struct sl_shard *s = &job->shards[range->shard_idx].shard;
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    sli_file_name(job, range, &name);
    w->out->is_failed |= name.is_failed;
    sl_json_obj(w);
    add_str(w, "path", sl_buf_str(&name));
    add_number(w, "bytes", file->bytes);
    add_number(w, "rows", file->rows);
    add_number(w, "rowGroups", file->group_count);
    add_sha256(w, "sha256", file->sha256);
    if (sli_is_whole(&job->settings)) {
        add_hash(w, "rowHash", file->row_hash);
    }
    add_id(w, "firstId", file->first_id);
    add_id(w, "lastId", file->last_id);
    add_str(w, "collection", s->class_name);
    if (s->is_tenant) {
        add_str(w, "tenant", s->name);
    }
    add_str(w, "shard", s->name);
    add_range(&range->key, w);
    sl_json_obj_end(w);
}

struct sum {
    uint64_t files, rows, bytes, row_hash;
    bool is_whole; /* rows have a hash */
};

static void add_to(struct sum *sum, const struct sum *more)
{
    sum->files += more->files;
    sum->rows += more->rows;
    sum->bytes += more->bytes;
    sum->row_hash += more->row_hash;
    sum->is_whole = more->is_whole;
}

static void add_sum(struct sl_json *w, const struct sum *sum)
{
    add_number(w, "files", sum->files);
    add_number(w, "rows", sum->rows);
    add_number(w, "bytes", sum->bytes);
    if (sum->is_whole) {
        add_hash(w, "rowHash", sum->row_hash);
    }
}

/* Of a shard; *range is its first one and becomes that of the next: ranges follow their shards. */
static struct sum sum_shard(const struct sli_job *job, uint32_t shard_idx, uint32_t *range)
{
    struct sum sum = {.is_whole = sli_is_whole(&job->settings)};
    for (; *range < job->range_count && job->ranges[*range].shard_idx == shard_idx; (*range)++) {
        const struct sli_file *f = &job->files[*range];
        add_to(&sum, &(struct sum){f->rows > 0, f->rows, f->bytes, f->row_hash, sum.is_whole});
    }
    return sum;
}

static void add_shard(const struct sl_shard *s, const struct sum *sum, struct sl_json *w)
{
    sl_json_obj(w);
    add_str(w, "name", s->name);
    if (s->skip_reason.len > 0) {
        add_str(w, "skipReason", s->skip_reason);
    } else {
        add_sum(w, sum);
    }
    sl_json_obj_end(w);
}

static void add_collection(const struct sli_job *job, struct sl_str name, struct sum *total,
                           struct sl_json *w)
{
    struct sum sum = {.is_whole = sli_is_whole(&job->settings)};
    uint32_t range = 0;
    sl_json_obj(w);
    add_str(w, "name", name);
    sl_json_key(w, "shards");
    sl_json_arr(w);
    for (uint32_t i = 0; i < job->shard_count; i++) {
        const struct sl_shard *s = &job->shards[i].shard;
        struct sum one = sum_shard(job, i, &range);
        if (sl_str_eq(s->class_name, name)) {
            add_shard(s, &one, w);
            add_to(&sum, &one);
        }
    }
    sl_json_arr_end(w);
    add_sum(w, &sum);
    sl_json_obj_end(w);
    add_to(total, &sum);
}

static void add_left_out(const struct sli_job *job, struct sl_json *w)
{
    const struct sl_exports_opts *opts = &job->ex->opts;
    json_auto_t *list = opts->left_out == NULL ? NULL : opts->left_out(opts->left_out_arg);
    if (list != NULL) {
        char *text = json_dumps(list, JSON_COMPACT);
        sl_json_key(w, "leftOut");
        sl_json_raw(w, sl_str_from(text == NULL ? "" : text));
        w->out->is_failed |= text == NULL;
        free(text); /* allow: free, jansson allocated it */
    }
}

static void write_manifest(const struct sli_job *job, const uint8_t *schema_sha256,
                           struct sl_buf *out)
{
    struct sum total = {0};
    struct sl_json w = sl_json_over(out);
    w.indent = 1;
    sl_json_obj(&w);
    add_number(&w, "formatVersion", 1);
    add_str(&w, "id", job->id);
    add_text(&w, "layout", layout_name(job));
    add_settings(job, &w);
    add_text(&w, "source", job->ex->opts.source->kind);
    add_text(&w, "writer", "sluice " SL_VERSION);
    add_text(&w, "libzstd", sl_pq_zstd_version());
    add_sha256(&w, "schemaSha256", schema_sha256);
    sl_json_key(&w, "files");
    sl_json_arr(&w);
    for (uint32_t i = 0; i < job->range_count; i++) {
        if (job->files[i].rows > 0) {
            add_file(job, i, &w);
        }
    }
    sl_json_arr_end(&w);
    sl_json_key(&w, "collections");
    sl_json_arr(&w);
    for (uint32_t i = 0; i < job->class_count; i++) {
        add_collection(job, job->classes[i], &total, &w);
    }
    sl_json_arr_end(&w);
    add_left_out(job, &w);
    add_number(&w, "nonFiniteFloats", atomic_load(&job->nonfinite));
    add_number(&w, "nulledValues", atomic_load(&job->nulled));
    sl_json_key(&w, "total");
    sl_json_obj(&w);
    add_sum(&w, &total);
    sl_json_obj_end(&w);
    sl_json_obj_end(&w);
    sl_buf_add_u8(out, '\n');
}

/* ---- storing ---- */

/* The id is ours, so a record that is there already is the one of a try whose answer was lost, or
 * somebody else put it there. */
static sl_rc put_new(struct sli_job *job, const char *name, const struct sl_buf *text,
                     struct sl_err *err)
{
    SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) there = SL_BUF_EMPTY;
    sl_rc rc = sli_record_put(job, sl_str_from(name), text, SL_PUT_NEW, SLI_PATIENT, err);
    if (rc == SL_ECONFLICT) {
        sli_key(job, sl_str_from(name), &key);
        SL_TRY(sl_buf_done(&key, err));
        sl_rc got = sl_backend_get(job->backend, sl_buf_str(&key), text->len + 1, &there, NULL);
        rc = got == SL_OK && sl_bytes_eq(sl_buf_view(&there), sl_buf_view(text)) ? SL_OK : rc;
    }
    if (rc != SL_OK) {
        sl_err_prefix(err, "%s", name);
    }
    return rc;
}

static sl_rc put_all(struct sli_job *job, struct sl_arena *arena, struct sl_err *err)
{
    SL_AUTO(sl_buf) schema = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) manifest = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) success = SL_BUF_EMPTY;
    uint8_t schema_sha256[SL_SHA256_SIZE], manifest_sha256[SL_SHA256_SIZE];
    SL_TRY(write_schema(job, arena, &schema, err));
    SL_TRY(sl_sha256(sl_buf_view(&schema), schema_sha256, err));
    write_manifest(job, schema_sha256, &manifest);
    SL_TRY(sl_buf_done(&manifest, err));
    SL_TRY(sl_sha256(sl_buf_view(&manifest), manifest_sha256, err));
    sl_hex_add(&success, SL_BYTES(manifest_sha256, SL_SHA256_SIZE));
    sl_buf_add_text(&success, "  _manifest.json\n");
    sl_hex_add(&success, SL_BYTES(schema_sha256, SL_SHA256_SIZE));
    sl_buf_add_text(&success, "  _schema.json\n");
    SL_TRY(sl_buf_done(&success, err));
    SL_TRY(put_new(job, "_schema.json", &schema, err));
    SL_TRY(put_new(job, "_manifest.json", &manifest, err));
    return put_new(job, "_SUCCESS", &success, err);
}

sl_rc sli_manifest_put(struct sli_job *job, struct sl_err *err)
{
    if (!job->settings.is_manifest) {
        return SL_OK;
    }
    struct sl_arena arena = SL_ARENA_EMPTY;
    sl_rc rc = put_all(job, &arena, err);
    sl_arena_fini(&arena);
    return rc;
}

sl_rc sli_manifest_remove(struct sl_backend *be, struct sl_str id, struct sl_err *err)
{
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        SL_AUTO(sl_buf) key = SL_BUF_EMPTY;
        sl_buf_addf(&key, "%.*s/%s", SL_STR_ARG(id), names[i]);
        SL_TRY(sl_buf_done(&key, err));
        SL_TRY(be->ops->remove(be, sl_buf_str(&key), err));
    }
    return SL_OK;
}
