/* Opens and closes the parts of a node in order; see node.h. */
#include "cmd/node.h"

#include <sys/resource.h>

#include "backend/backend.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"

/* Code, stacks, libmicrohttpd, jansson trees of the requests at work and allocator slack; measured
 * as the RSS of an idle node after a load, rounded up. */
#define FIXED_BYTES (48ull << 20)
/* The journal of exports needs no more than a store at least does. */
#define JOURNAL_BYTES (8ull << 20)

struct sli_memory sli_memory_divide(uint64_t memory_max)
{
    uint64_t rest = memory_max > FIXED_BYTES ? memory_max - FIXED_BYTES : memory_max / 2;
    struct sli_memory m;
    m.kv_bytes = SL_MIN(rest / 4, 1ull << 30); /* more cache serves nobody: exports read past it */
    m.body_bytes = SL_MIN(rest / 8, 512ull << 20);
    m.export_bytes = rest - m.kv_bytes - m.body_bytes;
    return m;
}

static void add_path(struct sl_buf *out, const char *dir, const char *name)
{
    sl_path_join(out, sl_str_from(dir), sl_str_from(name));
}

static sl_rc lock_folder(const char *data_path, struct sl_file **ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    add_path(&path, data_path, "LOCK");
    SL_TRY(sl_buf_done(&path, err));
    sl_rc rc = sl_file_open(sl_buf_cstr(&path), SL_FILE_LOCK, ret, err);
    if (rc == SL_ECONFLICT) {
        return SL_FAIL(err, SL_ECONFLICT,
                       "data folder %s is in use by another process; stop it, or set "
                       "PERSISTENCE_DATA_PATH to another folder",
                       data_path);
    }
    return rc;
}

static sl_rc open_store(struct sli_node *n, const struct sl_config *config, uint64_t memory_bytes,
                        struct sl_err *err)
{
    SL_AUTO(sl_buf) db_path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) freeze_path = SL_BUF_EMPTY;
    add_path(&db_path, config->data_path, "db");
    add_path(&freeze_path, config->data_path, "freeze");
    SL_TRY(sl_buf_done(&db_path, err));
    SL_TRY(sl_buf_done(&freeze_path, err));
    struct sl_kv_rocksdb_opts opts = {
        .memory_bytes = memory_bytes,
        .freeze_path = sl_buf_cstr(&freeze_path),
        .is_sync_off = !config->is_sync,
    };
    return sl_kv_rocksdb_open(sl_buf_cstr(&db_path), &opts, &n->kv, err);
}

static void tell_offload_failed(void *arg SL_UNUSED, struct sl_str class_name, struct sl_str tenant,
                                sl_rc rc, const struct sl_err *err)
{
    sl_log(SL_WARN, "tenant_offload", "a tenant was not moved; it is tried again",
           SL_F_STR("class", class_name), SL_F_STR("tenant", tenant),
           SL_F_TEXT("error", sl_err_text(err, rc)));
}

static sl_rc open_offload(struct sli_node *n, const struct sl_config *config, struct sl_err *err)
{
    SL_AUTO(sl_buf) place = SL_BUF_EMPTY;
    if (config->offload_path[0] != '\0') {
        sl_buf_add_text(&place, config->offload_path);
    } else {
        add_path(&place, config->data_path, "offload");
    }
    SL_TRY(sl_buf_done(&place, err));
    sl_cancel_init(&n->offload_cancel);
    struct sl_backend_env env = {.config = config,
                                 .clock = sl_clock_real(),
                                 .cancel = &n->offload_cancel,
                                 .is_cancel_wide = true};
    sl_rc rc = sli_named("SLUICE_OFFLOAD_PATH",
                         sl_backend_open(&env, sl_buf_str(&place), &n->offload, err), err);
    if (rc != SL_OK) {
        sl_cancel_fini(&n->offload_cancel);
    }
    return rc;
}

static sl_rc open_database(struct sli_node *n, const struct sl_config *config, struct sl_err *err)
{
    SL_TRY(open_offload(n, config, err));
    SL_TRY(open_store(n, config, sli_memory_divide(config->memory_max).kv_bytes, err));
    struct sl_db_opts db_opts = {
        .clock = sl_clock_real(),
        .offload = n->offload,
        .offload_failed = tell_offload_failed,
        .is_auto_schema = config->auto_schema,
        .limit_default = (uint32_t)config->limit_default,
        .limit_max = (uint32_t)config->limit_max,
    };
    SL_TRY(sl_db_open(n->kv, &db_opts, &n->db, err));
    return sl_source_live_open(n->db, &n->source, err);
}

/* ---- foreign data ---- */

static sl_rc check_source(enum sl_source_kind kind, const char *path, struct sl_err *err)
{
    return kind == SL_KIND_BACKUP || !sl_backend_is_store(sl_str_from(path))
               ? SL_OK
               : SL_FAIL(err, SL_EINVAL,
                         "SLUICE_SOURCE: a data directory lies in a folder, %s is none", path);
}

sl_rc sli_source_parse(const char *text, enum sl_source_kind *ret_kind, const char **ret_path,
                       struct sl_err *err)
{
    static const struct {
        const char *prefix;
        enum sl_source_kind kind;
    } kinds[] = {{"weaviate:", SL_KIND_WEAVIATE}, {"backup:", SL_KIND_BACKUP}};
    *ret_path = NULL;
    if (strcmp(text, "sluice") == 0) {
        *ret_kind = SL_KIND_SLUICE;
        return SL_OK;
    }
    for (size_t i = 0; i < SL_COUNT_OF(kinds); i++) {
        size_t len = strlen(kinds[i].prefix);
        if (strncmp(text, kinds[i].prefix, len) == 0 && text[len] != '\0') {
            *ret_kind = kinds[i].kind;
            *ret_path = text + len;
            return check_source(*ret_kind, *ret_path, err);
        }
    }
    return SL_FAIL(err, SL_EINVAL,
                   "SLUICE_SOURCE: \"%s\" is not allowed; allowed: sluice, weaviate:FOLDER, "
                   "backup:FOLDER or backup:STORE/NAME (as s3://bucket/prefix/name)",
                   text);
}

static bool is_within(struct sl_str inner, struct sl_str outer)
{
    if (outer.len > 0 && outer.ptr[outer.len - 1] == '/') {
        outer.len--;
    }
    return inner.len >= outer.len && memcmp(inner.ptr, outer.ptr, outer.len) == 0 &&
           (inner.len == outer.len || inner.ptr[outer.len] == '/');
}

sl_rc sli_path_is_within(const char *inner, const char *outer, bool *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) in = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    SL_TRY(sl_path_resolve(inner, &in, err));
    SL_TRY(sl_path_resolve(outer, &out, err));
    *ret = is_within(sl_buf_str(&in), sl_buf_str(&out));
    return SL_OK;
}

sl_rc sli_check_apart(const char *setting, const char *path, const char *foreign_path,
                      struct sl_err *err)
{
    if (sl_backend_is_store(sl_str_from(foreign_path))) {
        return SL_OK; /* no folder of ours lies in a store, and backends never replace */
    }
    bool is_inside = false, is_around = false;
    SL_TRY(sli_path_is_within(path, foreign_path, &is_inside, err));
    SL_TRY(sli_path_is_within(foreign_path, path, &is_around, err));
    if (is_inside || is_around) {
        return SL_FAIL(err, SL_EINVAL,
                       "%s: %s and the data to read, %s, lie one within the other; nothing may be "
                       "written there, so name a folder apart from it",
                       setting, path, foreign_path);
    }
    return SL_OK;
}

/* The data may come later (a volume not yet mounted, a server not yet started): until then the node
 * is not ready and says why. A backup in a store is there from the start or the node does not
 * start: it is listed once. */
static sl_rc open_foreign(struct sli_node *n, const struct sl_config *config, struct sl_err *err)
{
    SL_TRY(open_store(n, config, JOURNAL_BYTES, err));
    add_path(&n->spool_path, config->data_path, "spool");
    SL_TRY(sl_buf_done(&n->spool_path, err));
    const char *spool = sl_buf_cstr(&n->spool_path);
    SL_IGNORE(sl_dir_remove_tree(spool, NULL), "what a killed node left; we hold the lock");
    SL_TRY(sl_dir_create(spool, err));
    struct sl_weaviate_opts opts = {.clock = sl_clock_real(), .spool_path = spool};
    if (!sl_backend_is_store(sl_str_from(n->foreign_path))) {
        return sl_source_weaviate_open(n->foreign_path, n->kind, &opts, &n->source, err);
    }
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_cancel_init(&n->mirror_cancel);
    struct sl_backend_env env = {.config = config,
                                 .clock = sl_clock_real(),
                                 .cancel = &n->mirror_cancel,
                                 .is_cancel_wide = true};
    sl_rc rc =
        sl_mirror_open_place(&env, sl_str_from(n->foreign_path), spool, &n->mirror, &path, err);
    if (rc != SL_OK) {
        sl_cancel_fini(&n->mirror_cancel);
        return rc;
    }
    opts.open_file = sl_mirror_open_file;
    opts.open_arg = n->mirror;
    rc = sl_source_weaviate_open(sl_buf_cstr(&path), n->kind, &opts, &n->source, err);
    if (rc != SL_OK) {
        sl_mirror_reword(n->mirror, err);
    }
    return rc;
}

static sl_rc open_parts(struct sli_node *n, const struct sl_config *config, struct sl_str node_name,
                        struct sl_err *err)
{
    SL_TRY(sli_source_parse(config->source, &n->kind, &n->foreign_path, err));
    if (n->foreign_path != NULL) {
        SL_TRY(sli_check_apart("PERSISTENCE_DATA_PATH", config->data_path, n->foreign_path, err));
    }
    if (n->foreign_path != NULL && config->export_path[0] != '\0') {
        SL_TRY(sli_check_apart("EXPORT_DEFAULT_PATH", config->export_path, n->foreign_path, err));
    }
    SL_TRY(sli_named("PERSISTENCE_DATA_PATH", sl_dir_create(config->data_path, err), err));
    SL_TRY(lock_folder(config->data_path, &n->lock, err));
    SL_TRY(n->foreign_path == NULL ? open_database(n, config, err) : open_foreign(n, config, err));
    SL_TRY(sl_ticker_new(sl_clock_real(), &n->ticker, err));
    struct sl_exports_opts opts = {
        .source = n->source,
        .config = config,
        .journal = n->kv,
        .clock = sl_clock_real(),
        .ticker = n->ticker,
        .node_name = node_name,
    };
    return sl_exports_open(&opts, &n->exports, err);
}

sl_rc sli_node_open(const struct sl_config *config, struct sl_str node_name, struct sli_node *ret,
                    struct sl_err *err)
{
    *ret = (struct sli_node){0};
    sl_rc rc = open_parts(ret, config, node_name, err);
    if (rc != SL_OK) {
        sli_node_close(ret);
    }
    return rc;
}

/* A running node holds the lock; a folder without LOCK was never a data folder of ours. */
static sl_rc check_stopped(const char *data_path, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    add_path(&path, data_path, "LOCK");
    SL_TRY(sl_buf_done(&path, err));
    bool is_there = false;
    SL_TRY(sl_file_exists(sl_buf_cstr(&path), &is_there, err));
    if (!is_there) {
        return SL_FAIL(err, SL_EINVAL,
                       "%s is not a Sluice data folder (it has no LOCK file); name the folder that "
                       "PERSISTENCE_DATA_PATH pointed to",
                       data_path);
    }
    SL_AUTO_PTR(sl_file) file = NULL;
    SL_TRY(sl_file_open(sl_buf_cstr(&path), SL_FILE_READ, &file, err));
    if (sl_file_is_locked(file)) {
        return SL_FAIL(
            err, SL_ECONFLICT,
            "%s is in use by a running node; export through it (sluice create) or stop it",
            data_path);
    }
    return SL_OK;
}

static sl_rc open_read_only(struct sli_node *n, const char *data_path,
                            const struct sl_config *config, uint64_t memory_max,
                            struct sl_cancel *interrupt, struct sl_err *err)
{
    SL_TRY(check_stopped(data_path, err));
    SL_AUTO(sl_buf) db_path = SL_BUF_EMPTY;
    add_path(&db_path, data_path, "db");
    SL_TRY(sl_buf_done(&db_path, err));
    struct sl_kv_rocksdb_opts kv_opts = {.memory_bytes = sli_memory_divide(memory_max).kv_bytes,
                                         .is_read_only = true};
    SL_TRY(sl_kv_rocksdb_open(sl_buf_cstr(&db_path), &kv_opts, &n->kv, err));
    struct sl_db_opts db_opts = {.clock = sl_clock_real(), .is_read_only = true};
    SL_TRY(sl_db_open(n->kv, &db_opts, &n->db, err));
    SL_TRY(sl_source_live_open(n->db, &n->source, err));
    struct sl_exports_opts opts = {.source = n->source,
                                   .config = config,
                                   .clock = sl_clock_real(),
                                   .node_name = SL_STR("local"),
                                   .interrupt = interrupt};
    return sl_exports_open(&opts, &n->exports, err);
}

sl_rc sli_node_open_read_only(const char *data_path, const struct sl_config *config,
                              uint64_t memory_max, struct sl_cancel *interrupt,
                              struct sli_node *ret, struct sl_err *err)
{
    *ret = (struct sli_node){0};
    sl_rc rc = open_read_only(ret, data_path, config, memory_max, interrupt, err);
    if (rc != SL_OK) {
        sli_node_close(ret);
    }
    return rc;
}

void sli_node_stop(struct sli_node *node)
{
    sl_exports_stop(node->exports);
    if (node->mirror != NULL) { /* now: what that breaks off is no failure of its own any more */
        sl_cancel_set(&node->mirror_cancel);
    }
}

void sli_node_close(struct sli_node *node)
{
    sl_exports_close(node->exports);
    sl_ticker_free(node->ticker);
    sl_source_close(node->source);
    if (node->mirror != NULL) {
        sl_mirror_close(node->mirror);
        sl_cancel_fini(&node->mirror_cancel);
    }
    if (node->offload != NULL) {
        sl_cancel_set(&node->offload_cancel); /* or closing would wait for a store that is down */
    }
    sl_db_close(node->db);
    if (node->offload != NULL) {
        sl_backend_close(node->offload);
        sl_cancel_fini(&node->offload_cancel);
    }
    sl_kv_close(node->kv);
    sl_file_close(node->lock);
    sl_buf_fini(&node->spool_path);
    *node = (struct sli_node){0};
}

void sli_raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}
