/* Filesystem destination: objects are files below one folder, keys are paths below it.
 *
 * Whole objects go the same way as uploads (parts.c), so that leftovers of both look alike and one
 * sweep finds them. Listings walk the tree in the byte order of whole keys: a folder sorts as its
 * name with a slash, which is not the order of names ("a.b" comes before "a/c"). Symbolic links
 * below the root are listed as files and never followed as folders. @threads any. */
#include <stdlib.h>

#include "backend/filesystem/fs_int.h"
#include "base/path.h"

static sl_rc fs_put(struct sl_backend *be, struct sl_str key, struct sl_bytes b,
                    enum sl_put_mode mode, struct sl_err *err)
{
    struct sli_fs *fs = sli_fs_of(be);
    struct sli_fs_temp t = {0};
    sl_rc rc = sli_fs_temp_open(fs, key, &t, err);
    if (rc != SL_OK) {
        return sli_fs_write_failed(fs, rc, err);
    }
    rc = sl_file_pwrite(t.file, 0, b, err);
    if (rc == SL_OK) {
        rc = sli_fs_temp_publish(&t, mode, err);
    }
    sli_fs_temp_end(&t, rc == SL_OK);
    return rc == SL_OK ? SL_OK : sli_fs_write_failed(fs, rc, err);
}

/* The path of an object that exists. */
static sl_rc path_of(struct sl_backend *be, struct sl_str key, struct sl_buf *path,
                     struct sl_err *err)
{
    SL_TRY(sli_fs_path(sli_fs_of(be), key, path, err));
    const char *name = sl_buf_cstr(path);
    SL_TRY(sl_buf_done(path, err));
    bool is_there;
    bool is_dir = false;
    SL_TRY(sl_file_exists(name, &is_there, err));
    if (is_there) {
        SL_TRY(sl_file_is_dir(name, &is_dir, err));
    }
    if (!is_there || is_dir) {
        return SL_FAIL(err, SL_ENOTFOUND, "file %s does not exist", name);
    }
    return SL_OK;
}

static sl_rc fs_get(struct sl_backend *be, struct sl_str key, uint64_t size_max, struct sl_buf *out,
                    struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_TRY(path_of(be, key, &path, err));
    return sl_file_read_all(sl_buf_cstr(&path), size_max, out, err);
}

static sl_rc fs_read(struct sl_backend *be, struct sl_str key, uint64_t offset, size_t len,
                     struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO_PTR(sl_file) file = NULL;
    uint64_t size = 0;
    SL_TRY(path_of(be, key, &path, err));
    SL_TRY(sl_file_open(sl_buf_cstr(&path), SL_FILE_READ, &file, err));
    SL_TRY(sl_file_size(file, &size, err));
    size_t n = offset >= size ? 0 : (size_t)SL_MIN((uint64_t)len, size - offset);
    uint8_t *to = sl_buf_reserve(out, n);
    SL_TRY(sl_buf_done(out, err));
    SL_TRY(sl_file_pread(file, offset, to, n, err));
    out->len += n;
    return SL_OK;
}

static sl_rc fs_remove(struct sl_backend *be, struct sl_str key, struct sl_err *err)
{
    struct sli_fs *fs = sli_fs_of(be);
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) folder = SL_BUF_EMPTY;
    SL_TRY(sli_fs_path(fs, key, &path, err));
    sl_buf_add_str(&folder, sli_fs_parent(sl_buf_str(&path)));
    const char *name = sl_buf_cstr(&path);
    const char *folder_name = sl_buf_cstr(&folder);
    SL_TRY(sl_buf_done(&path, err));
    SL_TRY(sl_buf_done(&folder, err));
    bool is_there;
    SL_TRY(sl_file_exists(name, &is_there, err));
    if (!is_there) {
        return SL_OK;
    }
    sl_rc rc = sl_file_unlink(name, err);
    if (rc == SL_OK) {
        rc = sl_dir_sync(folder_name, err);
    }
    return rc == SL_OK ? SL_OK : sli_fs_write_failed(fs, rc, err);
}

/* ---- walking the tree ---- */

/* One folder's entries, in the byte order of keys. */
struct entry {
    char *name; /* owned; a folder's ends in '/' */
    bool is_dir;
};

struct entries {
    struct entry *items;
    size_t count, cap;
};

static void entries_fini(struct entries *e)
{
    for (size_t i = 0; i < e->count; i++) {
        sl_free(e->items[i].name);
    }
    sl_free(e->items);
}

static sl_rc entry_add(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    struct entries *e = arg;
    if (e->count == e->cap) {
        size_t cap = e->cap == 0 ? 64 : e->cap * 2;
        struct entry *items = sl_realloc(e->items, cap * sizeof *items);
        if (items == NULL) {
            return SL_NOMEM(err);
        }
        e->items = items;
        e->cap = cap;
    }
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_buf_add_text(&text, name);
    sl_buf_add_text(&text, is_dir ? "/" : "");
    SL_TRY(sl_buf_done(&text, err));
    char *copy = sl_strndup((const char *)text.ptr, text.len);
    if (copy == NULL) {
        return SL_NOMEM(err);
    }
    e->items[e->count++] = (struct entry){.name = copy, .is_dir = is_dir};
    return SL_OK;
}

static int entry_cmp(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    return strcmp(x->name, y->name);
}

/* An absent folder has no entries. */
static sl_rc entries_read(const char *path, struct entries *e, struct sl_err *err)
{
    sl_rc rc = sl_dir_list(path, entry_add, e, err);
    if (rc != SL_OK && rc != SL_ENOTFOUND) {
        return rc;
    }
    if (e->count > 1) {
        qsort(e->items, e->count, sizeof *e->items, entry_cmp);
    }
    return SL_OK;
}

struct walk {
    struct sl_str prefix;
    bool wants_temps; /* visit temporary files instead of objects */
    sl_backend_list_fn *fn;
    void *arg;
    struct sl_buf path; /* of the folder or file at hand */
    size_t root_len;    /* path begins with root and a slash */
};

static struct sl_str walk_key(const struct walk *w)
{
    return (struct sl_str){(const char *)w->path.ptr + w->root_len, w->path.len - w->root_len};
}

/* May a key that begins with `key` (a folder's, slash included) begin with the prefix too? */
static bool walk_may_enter(const struct walk *w, struct sl_str key)
{
    size_t n = SL_MIN(key.len, w->prefix.len);
    return n == 0 || memcmp(key.ptr, w->prefix.ptr, n) == 0;
}

static sl_rc walk_file(struct walk *w, const char *name, struct sl_err *err)
{
    struct sl_str key = walk_key(w);
    struct sl_str object = sl_str_from(name);
    bool is_temp = sli_fs_temp_name(object, &object);
    if (is_temp != w->wants_temps) {
        return SL_OK;
    }
    if (is_temp) {
        /* What counts is the key the temporary file was meant for. */
        SL_AUTO(sl_buf) target = SL_BUF_EMPTY;
        sl_buf_add_str(&target, (struct sl_str){key.ptr, key.len - strlen(name)});
        sl_buf_add_str(&target, object);
        SL_TRY(sl_buf_done(&target, err));
        return sli_key_has_prefix(sl_buf_str(&target), w->prefix) ? w->fn(w->arg, key, 0, err)
                                                                  : SL_OK;
    }
    if (!sli_key_has_prefix(key, w->prefix)) {
        return SL_OK;
    }
    SL_AUTO_PTR(sl_file) file = NULL;
    uint64_t size = 0;
    const char *path = sl_buf_cstr(&w->path);
    SL_TRY(sl_buf_done(&w->path, err));
    sl_rc rc = sl_file_open(path, SL_FILE_READ, &file, err);
    if (rc == SL_ENOTFOUND) {
        return SL_OK; /* removed since the folder was read */
    }
    SL_TRY(rc);
    SL_TRY(sl_file_size(file, &size, err));
    return w->fn(w->arg, key, size, err);
}

/* Depth is bounded by the length of a key: longer paths are none of ours. */
static sl_rc walk_folder(struct walk *w, struct sl_err *err)
{
    SL_AUTO(entries) e = {0};
    size_t len = w->path.len;
    const char *path = sl_buf_cstr(&w->path);
    SL_TRY(sl_buf_done(&w->path, err));
    SL_TRY(entries_read(path, &e, err));
    for (size_t i = 0; i < e.count; i++) {
        w->path.len = len;
        sl_buf_add_text(&w->path, e.items[i].name);
        SL_TRY(sl_buf_done(&w->path, err));
        struct sl_str key = walk_key(w);
        if (key.len > SL_BACKEND_KEY_MAX) {
            continue;
        }
        if (!e.items[i].is_dir) {
            SL_TRY(walk_file(w, e.items[i].name, err));
        } else if (walk_may_enter(w, key)) {
            SL_TRY(walk_folder(w, err));
        }
    }
    return SL_OK;
}

static sl_rc walk_tree(const struct sli_fs *fs, struct walk *w, struct sl_err *err)
{
    SL_TRY(sli_prefix_check(w->prefix, err));
    sl_path_join(&w->path, sl_str_from(fs->root), SL_STR(""));
    w->root_len = w->path.len;
    sl_rc rc = sl_buf_done(&w->path, err);
    if (rc == SL_OK) {
        rc = walk_folder(w, err);
    }
    sl_buf_fini(&w->path);
    return rc;
}

static sl_rc fs_list(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn, void *arg,
                     struct sl_err *err)
{
    struct walk w = {.prefix = prefix, .fn = fn, .arg = arg};
    return walk_tree(sli_fs_of(be), &w, err);
}

static sl_rc found_one(void *arg, struct sl_str key, uint64_t size, struct sl_err *err)
{
    (void)arg;
    (void)key;
    (void)size;
    (void)err;
    return SL_END; /* one object is enough */
}

static sl_rc fs_list_folders(struct sl_backend *be, struct sl_str prefix, sl_backend_list_fn *fn,
                             void *arg, struct sl_err *err)
{
    const struct sli_fs *fs = sli_fs_of(be);
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO(entries) e = {0};
    SL_TRY(sli_fs_folder(fs, prefix, &path, err));
    const char *name = sl_buf_cstr(&path);
    SL_TRY(sl_buf_done(&path, err));
    SL_TRY(entries_read(name, &e, err));
    for (size_t i = 0; i < e.count; i++) {
        if (!e.items[i].is_dir) {
            continue;
        }
        SL_AUTO(sl_buf) below = SL_BUF_EMPTY;
        sl_buf_add_str(&below, prefix);
        sl_buf_add_text(&below, e.items[i].name);
        SL_TRY(sl_buf_done(&below, err));
        sl_rc rc = fs_list(be, sl_buf_str(&below), found_one, NULL, err);
        if (rc == SL_END) {
            struct sl_str folder = sl_str_from(e.items[i].name);
            rc = fn(arg, (struct sl_str){folder.ptr, folder.len - 1}, 0, err);
        }
        SL_TRY(rc);
    }
    return SL_OK;
}

static sl_rc sweep_one(void *arg, struct sl_str key, uint64_t size, struct sl_err *err)
{
    const struct sli_fs *fs = arg;
    (void)size;
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_path_join(&path, sl_str_from(fs->root), key);
    const char *name = sl_buf_cstr(&path);
    SL_TRY(sl_buf_done(&path, err));
    return sl_file_unlink(name, err);
}

static sl_rc fs_sweep(struct sl_backend *be, struct sl_str prefix, struct sl_err *err)
{
    struct sli_fs *fs = sli_fs_of(be);
    struct walk w = {.prefix = prefix, .wants_temps = true, .fn = sweep_one, .arg = fs};
    return walk_tree(fs, &w, err);
}

static void fs_describe(struct sl_backend *be, struct sl_str prefix, struct sl_buf *out)
{
    sl_path_join(out, sl_str_from(sli_fs_of(be)->root), prefix);
}

static void fs_close(struct sl_backend *be)
{
    struct sli_fs *fs = sli_fs_of(be);
    sl_free(fs->root);
    sl_free(fs);
}

sl_rc sl_backend_filesystem_open(const char *root, struct sl_backend **ret, struct sl_err *err)
{
    static const struct sl_backend_ops ops = {
        .name = "filesystem",
        /* A part is one buffer in memory, so its size is bounded by the budget, not by the disk. */
        .part_rule = {.bytes_min = 1, .bytes_max = 1ull << 30, .count_max = UINT32_MAX},
        .probe = sli_fs_probe,
        .put = fs_put,
        .get = fs_get,
        .read = fs_read,
        .list = fs_list,
        .list_folders = fs_list_folders,
        .remove = fs_remove,
        .begin = sli_fs_begin,
        .part = sli_fs_part,
        .complete = sli_fs_complete,
        .cancel = sli_fs_cancel,
        .sweep = fs_sweep,
        .describe = fs_describe,
        .close = fs_close,
    };
    if (root[0] == '\0') {
        return SL_FAIL(err, SL_EINVAL, "the folder of the filesystem backend must not be empty");
    }
    struct sli_fs *fs = sl_alloc_zero(1, sizeof *fs);
    char *copy = sl_strdup(root);
    if (fs == NULL || copy == NULL) {
        sl_free(fs);
        sl_free(copy);
        return SL_NOMEM(err);
    }
    fs->be.ops = &ops;
    fs->root = copy;
    *ret = &fs->be;
    return SL_OK;
}
