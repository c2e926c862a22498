/* sluice inspect PATH: what a file or folder of an export holds, told by its content, not its name.
 *
 * A folder with export_metadata.json is an export: its record and a line per Parquet file. A file
 * ending in PAR1 is Parquet: its footer as JSON. Anything else is tried as one stored object. */
#include "cmd/cmd_int.h"

#include <stdio.h>

#include "base/file.h"
#include "base/json.h"
#include "base/num.h"
#include "lsm/storobj.h"
#include "parquet/parquet.h"

#define TAIL_FIRST   (64 * 1024)    /* holds the footer of most files in one read */
#define FOOTER_MAX   (512ull << 20) /* a larger footer is not a footer */
#define OBJECT_MAX   (256ull << 20) /* a stored object larger than two request bodies */
#define METADATA_MAX (64ull << 20)

struct inspect {
    bool is_json;
    const char *path;
};

static const struct argp_option inspect_options[] = {
    {"json", 'j', NULL, 0, "Print JSON for programs", 0},
    {0},
};

static error_t parse_inspect(int key, char *arg, struct argp_state *state)
{
    struct inspect *in = state->input;
    switch (key) {
    case 'j':
        in->is_json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (in->path != NULL) {
            return ARGP_ERR_UNKNOWN;
        }
        in->path = arg;
        return 0;
    case ARGP_KEY_END:
        if (in->path == NULL) {
            argp_error(state, "PATH is missing");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp inspect_argp = {
    inspect_options,
    parse_inspect,
    "PATH",
    "Shows what a Parquet file, an export folder or a file with one stored object holds.",
    NULL,
    NULL,
    NULL};

/* The footer of a Parquet file as JSON; reads its tail, twice when the footer is long. */
static sl_rc describe_parquet(struct sl_file *f, uint64_t size, struct sl_buf *out,
                              struct sl_err *err)
{
    uint64_t need = SL_MIN(size, (uint64_t)TAIL_FIRST);
    for (;;) {
        SL_AUTO(sl_buf) tail = SL_BUF_EMPTY;
        uint8_t *at = sl_buf_reserve(&tail, need);
        if (at == NULL) {
            return SL_NOMEM(err);
        }
        SL_TRY(sl_file_pread(f, size - need, at, need, err));
        tail.len = need;
        uint64_t more = 0;
        sl_rc rc = sl_pq_footer_describe(sl_buf_view(&tail), size, &more, out, err);
        if (rc != SL_EINVAL || more <= need || more > SL_MIN(size, FOOTER_MAX)) {
            return rc;
        }
        need = more;
    }
}

static sl_rc open_parquet(const char *path, struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO_PTR(sl_file) f = NULL;
    uint64_t size = 0;
    SL_TRY(sl_file_open(path, SL_FILE_READ, &f, err));
    SL_TRY(sl_file_size(f, &size, err));
    sl_rc rc = describe_parquet(f, size, out, err);
    if (rc != SL_OK) {
        sl_err_prefix(err, "%s", path);
    }
    return rc;
}

/* ---- a stored object ---- */

static void add_floats(struct sl_json *w, struct sl_bytes floats)
{
    uint32_t dims = (uint32_t)(floats.len / 4);
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    uint8_t *at = sl_buf_reserve(&text, SL_F32_ARRAY_MAX(dims));
    uint64_t nonfinite = 0;
    if (at != NULL) {
        text.len = sl_f32_array_format(floats.ptr, dims, (char *)at, &nonfinite);
    }
    sl_json_raw(w, sl_buf_str(&text));
}

static sl_rc add_multi(struct sl_json *w, const struct sl_multi_vector *mv, struct sl_err *err)
{
    SL_AUTO(sl_buf) scratch = SL_BUF_EMPTY;
    struct sl_rd rd = sl_rd_over(mv->body);
    sl_json_key_str(w, mv->name);
    sl_json_arr(w);
    for (uint32_t i = 0; i < mv->row_count; i++) {
        struct sl_bytes floats = {0};
        SL_TRY(sl_multi_vector_row(mv, &rd, &scratch, &floats, err));
        add_floats(w, floats);
    }
    sl_json_arr_end(w);
    return SL_OK;
}

static sl_rc describe_object(struct sl_bytes value, struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO_MEM(struct sl_object) obj = sl_alloc(sizeof(*obj));
    if (obj == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sl_object_read(value, obj, err));
    struct sl_json w = sl_json_over(out);
    char uuid[SL_UUID_TEXT_SIZE];
    sl_uuid_format(obj->uuid, uuid);
    sl_json_obj(&w);
    sl_json_key(&w, "id");
    sl_json_str(&w, (struct sl_str){uuid, sizeof(uuid)});
    sl_json_key(&w, "class");
    sl_json_str(&w, obj->class_name);
    sl_json_key(&w, "docId");
    sl_json_u64(&w, obj->doc_id);
    sl_json_key(&w, "creationTimeUnix");
    sl_json_i64(&w, obj->create_ms);
    sl_json_key(&w, "lastUpdateTimeUnix");
    sl_json_i64(&w, obj->update_ms);
    sl_json_key(&w, "properties");
    sl_json_raw(&w, obj->properties.len == 0 ? SL_STR("null") : sl_bytes_str(obj->properties));
    sl_json_key(&w, "vector");
    add_floats(&w, obj->vector);
    sl_json_key(&w, "namedVectors");
    sl_json_obj(&w);
    for (uint32_t i = 0; i < obj->named_count; i++) {
        sl_json_key_str(&w, obj->named[i].name);
        add_floats(&w, obj->named[i].floats);
    }
    sl_json_obj_end(&w);
    sl_json_key(&w, "multiVectors");
    sl_json_obj(&w);
    for (uint32_t i = 0; i < obj->multi_count; i++) {
        SL_TRY(add_multi(&w, &obj->multi[i], err));
    }
    sl_json_obj_end(&w);
    sl_json_obj_end(&w);
    return sl_buf_done(out, err);
}

static sl_rc inspect_file(const char *path, struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO_PTR(sl_file) f = NULL;
    uint64_t size = 0;
    SL_TRY(sl_file_open(path, SL_FILE_READ, &f, err));
    SL_TRY(sl_file_size(f, &size, err));
    uint8_t magic[4] = {0};
    if (size >= 4) {
        SL_TRY(sl_file_pread(f, size - 4, magic, 4, err));
    }
    if (memcmp(magic, "PAR1", 4) == 0) {
        return open_parquet(path, out, err);
    }
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    SL_TRY(sl_file_read_all(path, OBJECT_MAX, &value, err));
    sl_rc rc = describe_object(sl_buf_view(&value), out, err);
    if (rc == SL_ECORRUPT) {
        sl_err_prefix(err, "%s is neither a Parquet file (no PAR1 at its end) nor a stored object",
                      path);
    }
    return rc;
}

/* ---- an export folder ---- */

struct folder {
    const char *path;
    struct sl_json w;
    bool is_json;
    uint64_t rows, bytes, files;
};

static sl_rc add_file(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    struct folder *folder = arg;
    if (is_dir || !sl_str_ends(sl_str_from(name), ".parquet")) {
        return SL_OK;
    }
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) footer = SL_BUF_EMPTY;
    sl_path_join(&path, sl_str_from(folder->path), sl_str_from(name));
    SL_TRY(sl_buf_done(&path, err));
    SL_TRY(open_parquet(sl_buf_cstr(&path), &footer, err));
    SL_AUTO_PTR(sl_file) f = NULL;
    uint64_t size = 0;
    SL_TRY(sl_file_open(sl_buf_cstr(&path), SL_FILE_READ, &f, err));
    SL_TRY(sl_file_size(f, &size, err));
    json_t *doc = json_loadb((const char *)footer.ptr, footer.len, 0, NULL);
    uint64_t rows = (uint64_t)json_number_value(json_object_get(doc, "num_rows"));
    json_decref(doc);
    folder->rows += rows;
    folder->bytes += size;
    folder->files++;
    if (folder->is_json) {
        sl_json_obj(&folder->w);
        sl_json_key(&folder->w, "name");
        sl_json_text(&folder->w, name);
        sl_json_key(&folder->w, "rows");
        sl_json_u64(&folder->w, rows);
        sl_json_key(&folder->w, "bytes");
        sl_json_u64(&folder->w, size);
        sl_json_obj_end(&folder->w);
    } else {
        sl_buf_addf(folder->w.out, "  %-48s %12llu rows %14llu bytes\n", name,
                    (unsigned long long)rows, (unsigned long long)size);
    }
    return SL_OK;
}

static sl_rc inspect_folder(const struct inspect *in, struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) record = SL_BUF_EMPTY;
    sl_path_join(&path, sl_str_from(in->path), SL_STR("export_metadata.json"));
    SL_TRY(sl_buf_done(&path, err));
    sl_rc rc = sl_file_read_all(sl_buf_cstr(&path), METADATA_MAX, &record, err);
    if (rc == SL_ENOTFOUND) {
        return SL_FAIL(err, SL_ENOTFOUND,
                       "%s is not an export folder: it has no export_metadata.json", in->path);
    }
    SL_TRY(rc);
    struct folder folder = {.path = in->path, .w = sl_json_over(out), .is_json = in->is_json};
    if (in->is_json) {
        sl_json_obj(&folder.w);
        sl_json_key(&folder.w, "metadata");
        sl_json_raw(&folder.w, sl_buf_str(&record));
        sl_json_key(&folder.w, "files");
        sl_json_arr(&folder.w);
    } else {
        sl_buf_add(out, sl_buf_view(&record));
        sl_buf_add_text(out, "\n");
    }
    SL_TRY(sl_dir_list(in->path, add_file, &folder, err));
    if (in->is_json) {
        sl_json_arr_end(&folder.w);
        sl_json_key(&folder.w, "rows");
        sl_json_u64(&folder.w, folder.rows);
        sl_json_key(&folder.w, "bytes");
        sl_json_u64(&folder.w, folder.bytes);
        sl_json_obj_end(&folder.w);
    } else {
        sl_buf_addf(out, "%llu files, %llu rows, ", (unsigned long long)folder.files,
                    (unsigned long long)folder.rows);
        sli_print_bytes(out, folder.bytes);
    }
    return sl_buf_done(out, err);
}

/* People get indentation; programs get the compact line. */
static void print(const struct inspect *in, bool is_folder, const struct sl_buf *out)
{
    if (in->is_json || is_folder) {
        (void)fwrite(out->ptr, 1, out->len, stdout);
        (void)fputc('\n', stdout);
        return;
    }
    json_t *doc = json_loadb((const char *)out->ptr, out->len, JSON_DECODE_ANY, NULL);
    (void)json_dumpf(doc, stdout, JSON_INDENT(2));
    (void)fputc('\n', stdout);
    json_decref(doc);
}

int sli_cmd_inspect(int argc, char **argv)
{
    struct inspect in = {0};
    if (argp_parse(&inspect_argp, argc, argv, 0, NULL, &in) != 0) {
        return SLI_EXIT_USAGE;
    }
    struct sl_err err = {0};
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    bool is_folder = false;
    sl_rc rc = sl_file_is_dir(in.path, &is_folder, &err);
    if (rc == SL_OK) {
        rc = is_folder ? inspect_folder(&in, &out, &err) : inspect_file(in.path, &out, &err);
    }
    if (rc != SL_OK) {
        return sli_fail(&err, rc);
    }
    print(&in, is_folder, &out);
    return SLI_EXIT_DONE;
}
