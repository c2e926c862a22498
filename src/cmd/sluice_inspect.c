/* sluice inspect PATH: what a file or folder holds, told by its content, not its name.
 *
 * A folder is an export (export_metadata.json), a Weaviate data directory or a Weaviate backup. A
 * file is Parquet (PAR1 at its end), a segment or log of a bucket, or one stored object. */
#include <stdio.h>

#include "backend/backend.h"
#include "base/file.h"
#include "base/path.h"
#include "cmd/inspect_int.h"

#define OBJECT_MAX (256ull << 20) /* a stored object larger than two request bodies */

enum { KEY_VERIFY = 0x100, KEY_SPOOL };

static const struct argp_option inspect_options[] = {
    {"verify", KEY_VERIFY, NULL, 0,
     "Weaviate data: read everything, check checksums, order, lengths and objects, count exactly; "
     "every damage is told",
     0},
    {"spool", KEY_SPOOL, "DIR", 0,
     "Where files of compressed backups are unpacked, one shard at a time (TMPDIR or /tmp)", 0},
    {"json", 'j', NULL, 0, "Print JSON for programs", 0},
    {0},
};

static error_t parse_inspect(int key, char *arg, struct argp_state *state)
{
    struct sli_inspect *in = state->input;
    switch (key) {
    case KEY_VERIFY:
        in->is_verifying = true;
        return 0;
    case KEY_SPOOL:
        in->spool = arg;
        return 0;
    case 'j':
        in->is_json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (in->path != NULL) {
            return ARGP_ERR_UNKNOWN;
        }
        if (sl_backend_is_store(sl_str_from(arg))) {
            argp_error(state, "%s: places in stores are not inspected; see sluice verify", arg);
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
    "Shows what PATH holds: a Weaviate data directory (of a running server, too), a Weaviate "
    "backup, one segment-*.db or segment-*.wal of them, an export folder, a Parquet file, or a "
    "file with one stored object. Nothing is ever written into it.\vExit codes: 0 done and no "
    "damage seen, 1 damaged or unreadable, 2 wrong usage. The keys of --json are listed in "
    "docs/inspect.md.",
    NULL,
    NULL,
    NULL};

/* People get indentation; programs get the compact line. */
static void print_json(const struct sli_inspect *in, const json_t *doc)
{
    (void)json_dumpf(doc, stdout, (in->is_json ? JSON_COMPACT : JSON_INDENT(2)) | JSON_ENCODE_ANY);
    (void)fputc('\n', stdout);
}

static void print_text(const struct sli_inspect *in, const struct sl_buf *text)
{
    if (in->is_json) {
        (void)fwrite(text->ptr, 1, text->len, stdout);
        (void)fputc('\n', stdout);
        return;
    }
    json_t *doc = json_loadb((const char *)text->ptr, text->len, JSON_DECODE_ANY, NULL);
    print_json(in, doc);
    json_decref(doc);
}

/* Prints the document of Weaviate's data and takes it; the exit code. */
static int print_look(const struct sli_inspect *in, json_t *doc)
{
    double damages = json_number_value(json_object_get(doc, "damageCount"));
    if (in->is_json) {
        print_json(in, doc);
    } else {
        sli_inspect_print(doc);
    }
    json_decref(doc);
    return damages > 0 ? SLI_EXIT_FAILED : SLI_EXIT_DONE;
}

/* ---- files ---- */

static bool is_named(const char *path, const char *end)
{
    const char *slash = strrchr(path, '/');
    struct sl_str name = sl_str_from(slash == NULL ? path : slash + 1);
    return sl_str_starts(name, "segment-") && strstr(name.ptr, end) != NULL;
}

static int inspect_bucket_file(const struct sli_inspect *in, bool is_log)
{
    struct sl_err err = {0};
    json_t *doc = NULL;
    sl_rc rc = sli_inspect_segment(in, is_log, &doc, &err);
    return rc == SL_OK ? print_look(in, doc) : sli_fail(&err, rc);
}

static sl_rc read_magic(const char *path, uint8_t ret[4], struct sl_err *err)
{
    SL_AUTO_PTR(sl_file) f = NULL;
    uint64_t size = 0;
    SL_TRY(sl_file_open(path, SL_FILE_READ, &f, err));
    SL_TRY(sl_file_size(f, &size, err));
    return size < 4 ? SL_OK : sl_file_pread(f, size - 4, ret, 4, err);
}

static sl_rc inspect_object_file(const char *path, struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_buf) value = SL_BUF_EMPTY;
    SL_TRY(sl_file_read_all(path, OBJECT_MAX, &value, err));
    sl_rc rc = sli_inspect_object(sl_buf_view(&value), out, err);
    if (rc == SL_ECORRUPT) {
        sl_err_prefix(err,
                      "%s is neither a Parquet file (no PAR1 at its end), nor a segment or log "
                      "(segment-*.db, segment-*.wal), nor a stored object",
                      path);
    }
    return rc;
}

static int inspect_file(const struct sli_inspect *in)
{
    struct sl_err err = {0};
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    uint8_t magic[4] = {0};
    sl_rc rc = read_magic(in->path, magic, &err);
    if (rc == SL_OK && memcmp(magic, "PAR1", 4) == 0) {
        rc = sli_inspect_parquet(in->path, &out, &err);
    } else if (rc == SL_OK && (is_named(in->path, ".db") || is_named(in->path, ".wal"))) {
        return inspect_bucket_file(in, is_named(in->path, ".wal"));
    } else if (rc == SL_OK) {
        rc = inspect_object_file(in->path, &out, &err);
    }
    if (rc != SL_OK) {
        return sli_fail(&err, rc);
    }
    print_text(in, &out);
    return SLI_EXIT_DONE;
}

/* ---- folders ---- */

static int inspect_data(const struct sli_inspect *in)
{
    struct sl_err err = {0};
    enum sl_source_kind kind;
    json_t *doc = NULL;
    sl_rc rc = sl_source_detect(in->path, &kind, &err);
    if (rc == SL_OK && kind == SL_KIND_SLUICE) {
        return sli_failf("%s is a data folder of sluiced; export it (sluice export) and inspect "
                         "the export",
                         in->path);
    }
    if (rc == SL_OK) {
        rc = sli_inspect_weaviate(in, kind, &doc, &err);
    } else if (rc == SL_EINVAL) {
        sl_err_prefix(&err, "no export folder (export_metadata.json), and");
    }
    return rc == SL_OK ? print_look(in, doc) : sli_fail(&err, rc);
}

static int inspect_folder(const struct sli_inspect *in)
{
    struct sl_err err = {0};
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    bool is_export = false;
    sl_path_join(&path, sl_str_from(in->path), SL_STR("export_metadata.json"));
    sl_rc rc = sl_file_exists(sl_buf_cstr(&path), &is_export, &err);
    if (rc == SL_OK && !is_export) {
        return inspect_data(in);
    }
    if (rc == SL_OK) {
        rc = sli_inspect_export(in, &out, &err);
    }
    if (rc != SL_OK) {
        return sli_fail(&err, rc);
    }
    (void)fwrite(out.ptr, 1, out.len, stdout);
    (void)fputc('\n', stdout);
    return SLI_EXIT_DONE;
}

int sli_cmd_inspect(int argc, char **argv)
{
    struct sli_inspect in = {0};
    if (argp_parse(&inspect_argp, argc, argv, 0, NULL, &in) != 0) {
        return SLI_EXIT_USAGE;
    }
    struct sl_err err = {0};
    bool is_folder = false;
    sl_rc rc = sl_file_is_dir(in.path, &is_folder, &err);
    if (rc != SL_OK) {
        return sli_fail(&err, rc);
    }
    return is_folder ? inspect_folder(&in) : inspect_file(&in);
}
