/* What lies at a path, by its content; see weaviate.h. */
#include "source/source_int.h"
#include "base/path.h"

static sl_rc has(const char *path, const char *name, bool *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) full = SL_BUF_EMPTY;
    sl_path_join(&full, sl_str_from(path), sl_str_from(name));
    SL_TRY(sl_buf_done(&full, err));
    return sl_file_exists(sl_buf_cstr(&full), ret, err);
}

/* Two folders down, as <class>/<shard>/lsm/objects lies. */
struct search {
    const char *path;
    uint32_t depth;
    bool is_found;
};

static sl_rc look_into(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    struct search *s = arg;
    if (!is_dir || s->is_found) {
        return SL_OK;
    }
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_path_join(&path, sl_str_from(s->path), sl_str_from(name));
    SL_TRY(sl_buf_done(&path, err));
    if (s->depth == 1) {
        return has(sl_buf_cstr(&path), "lsm/objects", &s->is_found, err);
    }
    struct search inner = {.path = sl_buf_cstr(&path), .depth = s->depth + 1};
    sl_rc rc = sl_dir_list(inner.path, look_into, &inner, err);
    s->is_found = inner.is_found;
    return rc == SL_EACCESS || rc == SL_ENOTFOUND ? SL_OK : rc;
}

sl_rc sl_source_detect(const char *path, enum sl_source_kind *ret, struct sl_err *err)
{
    bool is_there = false, is_kind = false;
    SL_TRY(sl_file_is_dir(path, &is_there, err));
    if (!is_there) {
        return SL_FAIL(err, SL_EINVAL, "%s is not a folder", path);
    }
    SL_TRY(has(path, "LOCK", &is_kind, err));
    if (is_kind) {
        SL_TRY(has(path, "db/CURRENT", &is_kind, err));
    }
    if (is_kind) {
        *ret = SL_KIND_SLUICE;
        return SL_OK;
    }
    SL_TRY(sli_backup_is(path, &is_kind, err));
    if (is_kind) {
        *ret = SL_KIND_BACKUP;
        return SL_OK;
    }
    SL_TRY(has(path, "raft/raft.db", &is_kind, err));
    if (!is_kind) {
        SL_TRY(has(path, "schema.db", &is_kind, err));
    }
    if (!is_kind) {
        struct search s = {.path = path};
        SL_TRY(sl_dir_list(path, look_into, &s, err));
        is_kind = s.is_found;
    }
    if (!is_kind) {
        SL_AUTO(sl_buf) ids = SL_BUF_EMPTY;
        SL_TRY(sli_backup_list(path, &ids, err));
        if (ids.len > 0) {
            return SL_FAIL(err, SL_EINVAL, "%s holds several backups; name one of them: %s", path,
                           sl_buf_cstr(&ids));
        }
        return SL_FAIL(err, SL_EINVAL,
                       "%s is nothing that can be exported: it is no Sluice data folder (LOCK "
                       "and db/), no Weaviate data directory (raft/raft.db, schema.db or "
                       "<class>/<shard>/lsm/objects) and no Weaviate backup (backup_config.json or "
                       "<node>/backup.json)",
                       path);
    }
    *ret = SL_KIND_WEAVIATE;
    return SL_OK;
}
