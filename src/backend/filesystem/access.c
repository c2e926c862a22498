/* Names, folders and rights of the filesystem destination.
 *
 * The one place where a key becomes a path. Temporary names begin with a dot and end in
 * .sluice-tmp; an object can never have such a name, so a sweep cannot take an object for a
 * leftover. Called by the other files of this driver. @threads any. */
#include "backend/filesystem/fs_int.h"

#include "base/crypto.h"
#include "base/path.h"
#include "base/str.h"

#define NAME_BYTES_MAX    255 /* NAME_MAX of every file system Linux has */
#define TEMP_SUFFIX       ".sluice-tmp"
#define TEMP_RANDOM_BYTES 8
/* "." before and ".<hex>" and the suffix behind the object's name. */
#define TEMP_EXTRA_BYTES (1 + 1 + 2 * TEMP_RANDOM_BYTES + sizeof TEMP_SUFFIX - 1)

static sl_rc names_check(struct sl_str key, struct sl_err *err)
{
    size_t from = 0;
    for (size_t i = 0; i <= key.len; i++) {
        if (i < key.len && key.ptr[i] != '/') {
            continue;
        }
        struct sl_str name = {key.ptr + from, i - from};
        struct sl_str object;
        if (name.len > NAME_BYTES_MAX) {
            return SL_FAIL(err, SL_EINVAL,
                           "file name of %zu bytes (%.40s...): a file system allows at most %d; "
                           "shorten the collection, tenant or export name",
                           name.len, name.ptr, NAME_BYTES_MAX);
        }
        if (sli_fs_temp_name(name, &object)) {
            return SL_FAIL(err, SL_EINVAL, "file name '%.*s' is reserved for temporary files",
                           SL_STR_ARG(name));
        }
        from = i + 1;
    }
    return SL_OK;
}

sl_rc sli_fs_path(const struct sli_fs *fs, struct sl_str key, struct sl_buf *out,
                  struct sl_err *err)
{
    SL_TRY(sli_key_check(key, err));
    SL_TRY(names_check(key, err));
    sl_path_join(out, sl_str_from(fs->root), key);
    return sl_buf_done(out, err);
}

sl_rc sli_fs_folder(const struct sli_fs *fs, struct sl_str prefix, struct sl_buf *out,
                    struct sl_err *err)
{
    SL_TRY(sli_prefix_check(prefix, err));
    while (prefix.len > 0 && prefix.ptr[prefix.len - 1] != '/') {
        prefix.len--;
    }
    if (prefix.len == 0) {
        sl_buf_add_text(out, fs->root);
    } else {
        sl_path_join(out, sl_str_from(fs->root), (struct sl_str){prefix.ptr, prefix.len - 1});
    }
    return sl_buf_done(out, err);
}

struct sl_str sli_fs_parent(struct sl_str path)
{
    size_t len = path.len;
    while (len > 0 && path.ptr[len - 1] != '/') {
        len--;
    }
    while (len > 1 && path.ptr[len - 1] == '/') {
        len--;
    }
    return len == 0 ? SL_STR(".") : (struct sl_str){path.ptr, len};
}

sl_rc sli_fs_temp_path(struct sl_str path, struct sl_buf *out, struct sl_err *err)
{
    uint8_t random[TEMP_RANDOM_BYTES];
    SL_TRY(sl_random_bytes(random, sizeof random, err));
    size_t name_at = path.len;
    while (name_at > 0 && path.ptr[name_at - 1] != '/') {
        name_at--;
    }
    size_t name_len = SL_MIN(path.len - name_at, NAME_BYTES_MAX - TEMP_EXTRA_BYTES);
    sl_buf_add_str(out, (struct sl_str){path.ptr, name_at});
    sl_buf_add_u8(out, '.');
    sl_buf_add_str(out, (struct sl_str){path.ptr + name_at, name_len});
    sl_buf_add_u8(out, '.');
    sl_hex_add(out, SL_BYTES(random, sizeof random));
    sl_buf_add_text(out, TEMP_SUFFIX);
    return sl_buf_done(out, err);
}

bool sli_fs_temp_name(struct sl_str name, struct sl_str *ret_object)
{
    if (name.len <= TEMP_EXTRA_BYTES || name.ptr[0] != '.' || !sl_str_ends(name, TEMP_SUFFIX)) {
        return false;
    }
    *ret_object = (struct sl_str){name.ptr + 1, name.len - TEMP_EXTRA_BYTES};
    return true;
}

/* The deepest folder on the way to root that exists: where the first write will make folders. */
static sl_rc existing_folder(const struct sli_fs *fs, struct sl_buf *out, struct sl_err *err)
{
    struct sl_str at = sl_str_from(fs->root);
    for (;;) {
        bool is_there;
        sl_buf_clear(out);
        sl_buf_add_str(out, at);
        const char *path = sl_buf_cstr(out);
        SL_TRY(sl_buf_done(out, err));
        SL_TRY(sl_file_exists(path, &is_there, err));
        if (is_there) {
            bool is_dir;
            SL_TRY(sl_file_is_dir(path, &is_dir, err));
            return is_dir ? SL_OK
                          : SL_FAIL(err, SL_EINVAL, "%s is a file, a folder is needed", path);
        }
        struct sl_str parent = sli_fs_parent(at);
        if (sl_str_eq(parent, at)) {
            return SL_FAIL(err, SL_EIO, "%s does not exist", path);
        }
        at = parent;
    }
}

static sl_rc try_to_write(const struct sli_fs *fs, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) temp = SL_BUF_EMPTY;
    SL_AUTO_PTR(sl_file) file = NULL;
    SL_TRY(existing_folder(fs, &path, err));
    sl_buf_add_text(&path, "/probe");
    SL_TRY(sl_buf_done(&path, err));
    SL_TRY(sli_fs_temp_path(sl_buf_str(&path), &temp, err));
    const char *temp_path = sl_buf_cstr(&temp);
    SL_TRY(sl_buf_done(&temp, err));
    SL_TRY(sl_file_open(temp_path, SL_FILE_CREATE_NEW, &file, err));
    return sl_file_unlink(temp_path, err);
}

/* Rights, read-only mounts and quotas are known for sure only by trying: a temporary file comes and
 * goes. */
sl_rc sli_fs_probe(struct sl_backend *be, struct sl_err *err)
{
    struct sli_fs *fs = sli_fs_of(be);
    sl_rc rc = try_to_write(fs, err);
    return rc == SL_OK ? SL_OK : sli_fs_write_failed(fs, rc, err);
}
