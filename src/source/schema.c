/* The schema of a data directory: which place it is taken from, and what it is compared with; see
 * schema.h. The places are raft.c, schema_db.c and folders.c. */
#include <stdarg.h>
#include <stdio.h>

#include "source/schema_int.h"
#include "base/path.h"

#define ATTEMPTS_MAX 100 /* each takes milliseconds: a server would have to write all the time */
#define WARNING_MAX  SL_ERR_TEXT_SIZE

/* From folder names, since there is no schema or (why) it cannot be read. */
static sl_rc fall_back(const char *data_path, sl_rc why_rc, const struct sl_err *why,
                       struct sl_schema *ret, struct sl_err *err)
{
    sl_rc rc = sli_folders_load(data_path, ret, err);
    if (why_rc != SL_ECORRUPT || (rc != SL_OK && rc != SL_EINVAL)) {
        return rc;
    }
    if (rc == SL_EINVAL) { /* no folders either */
        return SL_FAIL(err, why_rc, "%s", sl_err_text(why, why_rc));
    }
    return sli_schema_warn(ret, err,
                           "%s; classes and tenants are taken from folder names instead, so empty "
                           "ones and the states of tenants are not known",
                           sl_err_text(why, why_rc));
}

sl_rc sl_schema_load(const char *data_path, struct sl_schema *ret, struct sl_err *err)
{
    struct sl_err why = {0};
    *ret = (struct sl_schema){0};
    sl_rc rc = sli_raft_load(data_path, ret, &why);
    if (rc == SL_ENOTFOUND) {
        rc = sli_schema_db_load(data_path, ret, &why);
    }
    rc = rc == SL_OK                               ? sli_folders_compare(data_path, ret, err)
         : rc == SL_ENOTFOUND || rc == SL_ECORRUPT ? fall_back(data_path, rc, &why, ret, err)
                                                   : SL_FAIL(err, rc, "%s", sl_err_text(&why, rc));
    if (rc != SL_OK) {
        sl_schema_fini(ret);
    }
    return rc;
}

void sl_schema_fini(struct sl_schema *s)
{
    sl_arena_fini(&s->arena);
    *s = (struct sl_schema){0};
}

const struct sl_schema_class *sl_schema_class(const struct sl_schema *s, struct sl_str name)
{
    uint32_t lo = 0, hi = s->class_count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = sl_bytes_cmp(sl_str_bytes(s->classes[mid].name), sl_str_bytes(name));
        if (c == 0) {
            return &s->classes[mid];
        }
        lo = c < 0 ? mid + 1 : lo;
        hi = c < 0 ? hi : mid;
    }
    return NULL;
}

static sl_rc is_locked(const char *data_path, const char *name, bool *ret, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO_PTR(sl_file) file = NULL;
    sl_path_join(&path, sl_str_from(data_path), sl_str_from(name));
    SL_TRY(sl_buf_done(&path, err));
    sl_rc rc = sl_file_open(sl_buf_cstr(&path), SL_FILE_READ_FOREIGN, &file, err);
    *ret = rc == SL_OK && sl_file_is_locked(file);
    return rc == SL_ENOTFOUND ? SL_OK : rc;
}

sl_rc sl_schema_is_running(const char *data_path, bool *ret, struct sl_err *err)
{
    SL_TRY(is_locked(data_path, "raft/raft.db", ret, err));
    return *ret ? SL_OK : is_locked(data_path, "schema.db", ret, err);
}

/* ---- for the places ---- */

/* SL_EBUSY: a newer transaction came. */
static sl_rc read_once(const char *path, sli_bolt_fn *fn, void *arg, struct sl_err *err)
{
    SL_AUTO_PTR(sl_file) file = NULL;
    struct sl_extent extent = {0};
    struct sl_blob blob = {.name = path, .extents = &extent, .extent_count = 1};
    struct sl_bolt bolt;
    SL_TRY(sl_file_open(path, SL_FILE_READ_FOREIGN, &file, err));
    SL_TRY(sl_file_size(file, &blob.size, err));
    extent = (struct sl_extent){.file = file, .len = blob.size};
    SL_TRY(sl_bolt_open(&blob, &bolt, err));
    sl_rc rc = fn(arg, &bolt, err);
    return rc == SL_ENOMEM || sl_bolt_is_current(&bolt) ? rc : SL_EBUSY;
}

sl_rc sli_bolt_read(const char *path, sli_bolt_fn *fn, void *arg, struct sl_err *err)
{
    for (uint32_t i = 0; i < ATTEMPTS_MAX; i++) {
        sl_rc rc = read_once(path, fn, arg, err);
        if (rc != SL_EBUSY) {
            return rc;
        }
    }
    return SL_FAIL(err, SL_EBUSY,
                   "%s does not stand still: %d attempts to read it found it changing", path,
                   ATTEMPTS_MAX);
}

sl_rc sli_schema_warn(struct sl_schema *s, struct sl_err *err, const char *fmt, ...)
{
    char text[WARNING_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    struct sl_str copy = sl_arena_str(&s->arena, sl_str_from(text));
    struct sl_str *grown = sl_arena_grow(&s->arena, s->warnings, s->warning_count, &s->warning_cap);
    if (copy.ptr == NULL || grown == NULL) {
        return SL_NOMEM(err);
    }
    s->warnings = grown;
    s->warnings[s->warning_count++] = copy;
    return SL_OK;
}
