/* Paths as text, and where they lead; see path.h. */
#include "base/path.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/str.h"

/* How much of the path, from its start, is there, and that without links. */
static sl_rc resolve_start(struct sl_str path, char real[PATH_MAX], size_t *ret, struct sl_err *err)
{
    struct sl_str there = path;
    for (;;) {
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        sl_buf_add_str(&text, there.len == 0 ? SL_STR(".") : there);
        SL_TRY(sl_buf_done(&text, err));
        int no = SL_FAULT_HIT(SL_FAULT_FILE)                  ? EIO
                 : realpath(sl_buf_cstr(&text), real) == NULL ? errno
                                                              : 0;
        if (no == 0) {
            *ret = there.len;
            return SL_OK;
        }
        if (no == ENOTDIR) {
            return SL_FAIL(err, SL_ENOTFOUND, "%.*s: a part of this path is a file, not a folder",
                           (int)path.len, path.ptr);
        }
        if (no != ENOENT || there.len == 0) {
            return SL_FAIL_ERRNO(err, no, "resolve %.*s", (int)path.len, path.ptr);
        }
        while (there.len > 0 && there.ptr[there.len - 1] == '/') {
            there.len--;
        }
        while (there.len > 0 && there.ptr[there.len - 1] != '/') {
            there.len--;
        }
    }
}

/* Takes the first "NAME/../" out of what follows `from`; false: there is none. */
static bool fold_parent(struct sl_buf *path, size_t from)
{
    size_t name = path->len; /* where the last one began */
    for (size_t at = from, end; at < path->len; at = end) {
        for (end = at; end < path->len && path->ptr[end] != '/';) {
            end++;
        }
        struct sl_str part = {(const char *)path->ptr + at, end - at};
        while (end < path->len && path->ptr[end] == '/') {
            end++;
        }
        if (name < at && sl_str_is(part, "..")) {
            memmove(path->ptr + name, path->ptr + end, path->len - end);
            path->len -= end - name;
            return true;
        }
        name = sl_str_is(part, ".") ? name : at;
    }
    return false;
}

sl_rc sl_path_resolve(const char *path, struct sl_buf *out, struct sl_err *err)
{
    char real[PATH_MAX];
    size_t there = 0;
    SL_AUTO(sl_buf) wanted = SL_BUF_EMPTY;
    sl_buf_add_text(&wanted, path);
    do { /* a folder that is made is no link, so ".." behind it is the one it is made in */
        SL_TRY(sl_buf_done(&wanted, err));
        SL_TRY(resolve_start(sl_buf_str(&wanted), real, &there, err));
    } while (fold_parent(&wanted, there));
    struct sl_str rest = {(const char *)wanted.ptr + there, wanted.len - there};
    if (rest.len == 0) {
        sl_buf_add_text(out, real);
    } else {
        sl_path_join(out, sl_str_from(real), rest);
    }
    return sl_buf_done(out, err);
}

void sl_path_join(struct sl_buf *out, struct sl_str dir, struct sl_str name)
{
    sl_buf_add_str(out, dir);
    if (dir.len > 0 && dir.ptr[dir.len - 1] != '/') {
        sl_buf_add_u8(out, '/');
    }
    sl_buf_add_str(out, name);
}
