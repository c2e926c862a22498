/* pq_cases ROWS FILE: writes the rows of a text file as Parquet. pq_cases --noise MIB FILE: writes
 * incompressible rows, then prints how much memory the writer may hold and how much the process
 * held.
 *
 * ROWS is made by parquet_readers.py or nested_readers.py, so that the truth is not ours. Its first
 * line is a JSON object with the nodes of the schema and the writer's options; each further line is
 * one row, a JSON array with a value for each leaf: null, true, false, a whole number, or bytes in
 * hexadecimal. Of a leaf that may repeat or lies in a group it is the array of its entries instead,
 * [repetition level, definition level] without a value, with it behind them otherwise. The program
 * only carries values over: nothing is computed here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/str.h"
#include "parquet/parquet.h"

#define NODES_MAX 96

struct file_sink {
    struct sl_sink base;
    FILE *file;
    uint64_t size;
};

static sl_rc file_write(struct sl_sink *s, struct sl_bytes b, struct sl_err *err)
{
    struct file_sink *f = SL_CONTAINER_OF(s, struct file_sink, base);
    f->size += b.len;
    if (fwrite(b.ptr, 1, b.len, f->file) != b.len) {
        return SL_FAIL(err, SL_EIO, "the file cannot be written");
    }
    return SL_OK;
}

static sl_rc file_close(struct sl_sink *s, struct sl_receipt *ret, struct sl_err *err)
{
    struct file_sink *f = SL_CONTAINER_OF(s, struct file_sink, base);
    *ret = (struct sl_receipt){.size = f->size};
    return fclose(f->file) == 0 ? SL_OK : SL_FAIL(err, SL_EIO, "the file cannot be closed");
}

static void file_abort(struct sl_sink *s)
{
    (void)fclose(SL_CONTAINER_OF(s, struct file_sink, base)->file);
}

static const struct sl_sink_ops file_ops = {
    .write = file_write, .close = file_close, .abort = file_abort};

struct spec {
    json_t *json;
    struct sl_pq_node nodes[NODES_MAX];
    enum sl_pq_type leaves[NODES_MAX]; /* types of the columns */
    struct sl_pq_opts opts;
};

static int fail(const char *what)
{
    (void)fprintf(stderr, "pq_cases: %s\n", what);
    return 1;
}

static const char *text_of(json_t *j, const char *key)
{
    const char *text = json_string_value(json_object_get(j, key));
    return text == NULL ? "" : text;
}

/* The place of a text in a list that ends with NULL; 0 when it is not there. */
static int place_of(const char *const *list, const char *text)
{
    for (int i = 0; list[i] != NULL; i++) {
        if (strcmp(list[i], text) == 0) {
            return i;
        }
    }
    return 0;
}

static struct sl_pq_node read_node(json_t *n)
{
    /* In the order of their enums. */
    static const char *const types[] = {"group",  "boolean", "int64", "float",
                                        "double", "bytes",   "fixed", NULL};
    static const char *const annotations[] = {"", "string", "int64", "json", "list", NULL};
    static const char *const profiles[] = {"", "huffman", "split", NULL};
    return (struct sl_pq_node){
        .name = text_of(n, "name"),
        .type = (enum sl_pq_type)place_of(types, text_of(n, "type")),
        .repetition = json_is_true(json_object_get(n, "repeated"))   ? SL_PQ_REPEATED
                      : json_is_true(json_object_get(n, "optional")) ? SL_PQ_OPTIONAL
                                                                     : SL_PQ_REQUIRED,
        .annotation = (enum sl_pq_annotation)place_of(annotations, text_of(n, "annotation")),
        .stats = json_is_true(json_object_get(n, "bounds")) ? SL_PQ_STATS_FULL : SL_PQ_STATS_NULLS,
        .profile = (enum sl_pq_codec_profile)place_of(profiles, text_of(n, "profile")),
        .child_count = (uint32_t)json_integer_value(json_object_get(n, "children")),
        .type_len = (uint32_t)json_integer_value(json_object_get(n, "len"))};
}

static bool read_spec(const char *line, struct spec *spec)
{
    static const char *const codecs[] = {"zstd", "snappy", "lz4_raw", "none", NULL};
    spec->json = json_loads(line, 0, NULL);
    json_t *nodes = json_object_get(spec->json, "nodes");
    size_t i = 0, leaves = 0;
    json_t *n = NULL;
    if (json_array_size(nodes) == 0 || json_array_size(nodes) > NODES_MAX) {
        return false;
    }
    json_array_foreach(nodes, i, n)
    {
        spec->nodes[i] = read_node(n);
        if (spec->nodes[i].type != SL_PQ_GROUP) {
            spec->leaves[leaves++] = spec->nodes[i].type;
        }
    }
    spec->opts = (struct sl_pq_opts){
        .nodes = spec->nodes,
        .node_count = (uint32_t)json_array_size(nodes),
        .compression = (enum sl_pq_compression)place_of(codecs, text_of(spec->json, "codec")),
        .zstd_level = (int)json_integer_value(json_object_get(spec->json, "level")),
        .is_huffman_off = json_is_true(json_object_get(spec->json, "huffman_off")),
        .group_bytes = (uint64_t)json_integer_value(json_object_get(spec->json, "group_bytes")),
        .group_rows = (uint32_t)json_integer_value(json_object_get(spec->json, "group_rows")),
        .sorted_column = (int32_t)json_integer_value(json_object_get(spec->json, "sorted"))};
    return true;
}

static bool put_value(struct sl_pq_writer *w, uint32_t col, enum sl_pq_type type, json_t *v,
                      struct sl_buf *bytes)
{
    struct sl_str hex = {json_string_value(v), json_string_length(v)};
    double number = 0;
    sl_buf_clear(bytes);
    if (json_is_null(v)) {
        sl_pq_put_null(w, col);
    } else if (json_is_boolean(v)) {
        sl_pq_put_bool(w, col, json_is_true(v));
    } else if (json_is_integer(v)) {
        sl_pq_put_i64(w, col, json_integer_value(v));
    } else if (!json_is_string(v) || !sl_hex_parse(hex, bytes)) {
        return false;
    } else if (type == SL_PQ_DOUBLE && bytes->len == sizeof(number)) {
        memcpy(&number, bytes->ptr, sizeof(number));
        sl_pq_put_f64(w, col, number);
    } else if (type == SL_PQ_FLOAT || type == SL_PQ_FIXED) {
        sl_pq_put_array(w, col, sl_buf_view(bytes));
    } else {
        sl_pq_put_bytes(w, col, sl_buf_view(bytes));
    }
    return true;
}

static bool put_entry(struct sl_pq_writer *w, uint32_t col, enum sl_pq_type type, json_t *entry,
                      struct sl_buf *bytes)
{
    uint32_t rep = (uint32_t)json_integer_value(json_array_get(entry, 0));
    json_t *v = json_array_get(entry, 2);
    if (rep > 0) {
        sl_pq_repeat(w, col, rep);
    }
    if (v == NULL) {
        sl_pq_put_absent(w, col, (uint32_t)json_integer_value(json_array_get(entry, 1)));
        return true;
    }
    return put_value(w, col, type, v, bytes);
}

static sl_rc put_row(struct sl_pq_writer *w, const struct spec *spec, const char *line,
                     struct sl_buf *bytes, struct sl_err *err)
{
    json_t *row = json_loads(line, 0, NULL);
    bool is_good = json_array_size(row) == sl_pq_column_count(&spec->opts);
    for (uint32_t i = 0; is_good && i < json_array_size(row); i++) {
        json_t *v = json_array_get(row, i), *entry = NULL;
        size_t n = 0;
        if (!json_is_array(v)) {
            is_good = put_value(w, i, spec->leaves[i], v, bytes);
            continue;
        }
        json_array_foreach(v, n, entry)
        {
            is_good = is_good && put_entry(w, i, spec->leaves[i], entry, bytes);
        }
    }
    json_decref(row);
    if (!is_good) {
        return SL_FAIL(err, SL_EINVAL, "row %llu is no row",
                       (unsigned long long)sl_pq_writer_rows(w));
    }
    return sl_pq_row_end(w, err);
}

static sl_rc put_rows(struct sl_pq_writer *w, const struct spec *spec, FILE *rows,
                      struct sl_err *err)
{
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    char *line = NULL;
    size_t cap = 0;
    sl_rc rc = SL_OK;
    while (rc == SL_OK && getline(&line, &cap, rows) > 0) {
        rc = put_row(w, spec, line, &bytes, err);
    }
    free(line);
    return rc;
}

/* Rows of 6 KiB that no codec can shrink: the most a row group can hold in memory. */
static sl_rc put_noise(struct sl_pq_writer *w, uint64_t mib, struct sl_err *err)
{
    uint64_t v[768], x = 88172645463325252u;
    for (uint64_t row = 0; row < mib * (1 << 20) / sizeof(v); row++) {
        for (size_t i = 0; i < SL_COUNT_OF(v); i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            v[i] = x;
        }
        sl_pq_put_bytes(w, 0, SL_BYTES(v, sizeof(v)));
        SL_TRY(sl_pq_row_end(w, err));
    }
    return SL_OK;
}

static sl_rc close_file(struct sl_pq_writer *w, json_t *kv, struct sl_err *err)
{
    struct sl_pq_kv kvs[8];
    uint32_t count = 0;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(kv, key, value)
    {
        if (count < SL_COUNT_OF(kvs)) {
            kvs[count++] =
                (struct sl_pq_kv){sl_str_from(key), sl_str_from(json_string_value(value))};
        }
    }
    struct sl_receipt receipt;
    return sl_pq_writer_close(w, kvs, count, &receipt, err);
}

/* "VmHWM: 1234 kB" of this process. The peak of getrusage would count the parent's pages. */
static unsigned long long peak_kib(void)
{
    unsigned long long kib = 0;
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtoull(line + 6, NULL, 10);
        }
    }
    if (status != NULL) {
        (void)fclose(status);
    }
    return kib;
}

static const char noise_spec[] =
    "{\"nodes\": [{\"name\": \"v\", \"type\": \"bytes\", \"profile\": \"huffman\"}], \"level\": 1,"
    " \"group_bytes\": 67108864, \"group_rows\": 122880, \"sorted\": -1}";

static int write_file(struct spec *spec, FILE *rows, uint64_t noise_mib, const char *path)
{
    struct file_sink sink = {.base = {&file_ops}, .file = fopen(path, "wb")};
    struct sl_pq_writer *w = NULL;
    struct sl_err err = {0};
    if (sink.file == NULL) {
        return fail("the file cannot be made");
    }
    sl_rc rc = sl_pq_writer_open(&spec->opts, &sink.base, &w, &err);
    if (rc != SL_OK) {
        return fail(err.text);
    }
    rc = rows == NULL ? put_noise(w, noise_mib, &err) : put_rows(w, spec, rows, &err);
    if (rc != SL_OK) {
        sl_pq_writer_abort(w);
        return fail(err.text);
    }
    rc = close_file(w, json_object_get(spec->json, "kv"), &err);
    return rc == SL_OK ? 0 : fail(err.text);
}

int main(int argc, char **argv)
{
    struct spec spec = {0};
    if (argc == 4 && strcmp(argv[1], "--noise") == 0) {
        if (!read_spec(noise_spec, &spec)) {
            return fail("its own options");
        }
        int status = write_file(&spec, NULL, strtoull(argv[2], NULL, 10), argv[3]);
        (void)printf("%llu %llu\n", (unsigned long long)sl_pq_memory_bound(&spec.opts),
                     peak_kib() * 1024);
        json_decref(spec.json);
        return status;
    }
    FILE *rows = argc == 3 ? fopen(argv[1], "rb") : NULL;
    char *line = NULL;
    size_t cap = 0;
    if (rows == NULL || getline(&line, &cap, rows) <= 0 || !read_spec(line, &spec)) {
        return fail("usage: pq_cases ROWS FILE");
    }
    int status = write_file(&spec, rows, 0, argv[2]);
    free(line);
    (void)fclose(rows);
    json_decref(spec.json);
    return status;
}
