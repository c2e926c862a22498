/* sluice inspect: Parquet files by their footers, and folders of exports. */
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/path.h"
#include "cmd/inspect_int.h"
#include "parquet/parquet.h"

#define TAIL_FIRST   (64 * 1024)    /* holds the footer of most files in one read */
#define FOOTER_MAX   (512ull << 20) /* a larger footer is not a footer */
#define METADATA_MAX (64ull << 20)

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

sl_rc sli_inspect_parquet(const char *path, struct sl_buf *out, struct sl_err *err)
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

/* ---- an export folder ---- */

struct folder {
    const char *path, *below; /* below: what is listed now, "" or a path in path with its '/' */
    struct sl_json w;
    bool is_json;
    uint64_t rows, bytes, files;
};

static sl_rc add_file(struct folder *folder, const char *name, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) footer = SL_BUF_EMPTY;
    sl_path_join(&path, sl_str_from(folder->path), sl_str_from(name));
    SL_TRY(sl_buf_done(&path, err));
    SL_TRY(sli_inspect_parquet(sl_buf_cstr(&path), &footer, err));
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

/* Files of layout lake lie in folders: collection=A/tenant=x/. */
static sl_rc add_entry(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    struct folder *folder = arg;
    SL_AUTO(sl_buf) inner = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    const char *below = folder->below;
    sl_buf_addf(&inner, "%s%s%s", below, name, is_dir ? "/" : "");
    const char *entry = sl_buf_cstr(&inner);
    SL_TRY(sl_buf_done(&inner, err));
    if (!is_dir) {
        return sl_str_ends(sl_str_from(name), ".parquet") ? add_file(folder, entry, err) : SL_OK;
    }
    sl_path_join(&path, sl_str_from(folder->path), sl_buf_str(&inner));
    const char *listed = sl_buf_cstr(&path);
    SL_TRY(sl_buf_done(&path, err));
    folder->below = entry;
    sl_rc rc = sl_dir_list(listed, add_entry, folder, err);
    folder->below = below;
    return rc;
}

/* The record on one line, however it was written. */
static sl_rc add_record(struct sl_json *w, const char *path, const struct sl_buf *record,
                        struct sl_err *err)
{
    json_t *doc = json_loadb((const char *)record->ptr, record->len, 0, NULL);
    char *text = json_dumps(doc, JSON_COMPACT); /* NULL without doc */
    json_decref(doc);
    if (text == NULL) {
        return SL_FAIL(err, SL_ECORRUPT, "%s: not JSON", path);
    }
    sl_json_key(w, "metadata");
    sl_json_raw(w, sl_str_from(text));
    free(text); /* allow: free, jansson allocated it */
    return SL_OK;
}

sl_rc sli_inspect_export(const struct sli_inspect *in, struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) record = SL_BUF_EMPTY;
    sl_path_join(&path, sl_str_from(in->path), SL_STR("export_metadata.json"));
    SL_TRY(sl_buf_done(&path, err));
    SL_TRY(sl_file_read_all(sl_buf_cstr(&path), METADATA_MAX, &record, err));
    struct folder folder = {
        .path = in->path, .below = "", .w = sl_json_over(out), .is_json = in->is_json};
    if (in->is_json) {
        sl_json_obj(&folder.w);
        SL_TRY(add_record(&folder.w, sl_buf_cstr(&path), &record, err));
        sl_json_key(&folder.w, "files");
        sl_json_arr(&folder.w);
    } else {
        sl_buf_add(out, sl_buf_view(&record));
        sl_buf_add_text(out, "\n");
    }
    SL_TRY(sl_dir_list(in->path, add_entry, &folder, err));
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
