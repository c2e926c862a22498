/* Inside of the filesystem driver: one folder tree as an export destination. */
#ifndef SL_BACKEND_FILESYSTEM_FS_INT_H
#define SL_BACKEND_FILESYSTEM_FS_INT_H

#include "backend/backend_int.h"
#include "base/file.h"

struct sli_fs {
    struct sl_backend be;
    char *root; /* folder of all keys; made at the first write */
};

static inline struct sli_fs *sli_fs_of(struct sl_backend *be)
{
    return SL_CONTAINER_OF(be, struct sli_fs, be);
}

/* ---- access.c: names, folders, rights ---- */

/* Appends root/key. SL_EINVAL for a bad key, a name above 255 bytes or one like a temporary file's.
 */
sl_rc sli_fs_path(const struct sli_fs *fs, struct sl_str key, struct sl_buf *out,
                  struct sl_err *err) SL_MUST_USE;
/* Appends root, or root/prefix when prefix names a folder; no slash at the end. */
sl_rc sli_fs_folder(const struct sli_fs *fs, struct sl_str prefix, struct sl_buf *out,
                    struct sl_err *err) SL_MUST_USE;
/* The folder a path lies in. */
struct sl_str sli_fs_parent(struct sl_str path);
/* Appends ".<name>.<random>.sluice-tmp" beside path. */
sl_rc sli_fs_temp_path(struct sl_str path, struct sl_buf *out, struct sl_err *err) SL_MUST_USE;
/* The object name within a temporary name (cut when it was long); false: not a temporary name. */
bool sli_fs_temp_name(struct sl_str name, struct sl_str *ret_object);
sl_rc sli_fs_probe(struct sl_backend *be, struct sl_err *err);

/* ---- parts.c: objects being written ---- */

/* An object under its temporary name. Zero is none. */
struct sli_fs_temp {
    struct sl_file *file;
    struct sl_buf path, temp_path;
};
sl_rc sli_fs_temp_open(const struct sli_fs *fs, struct sl_str key, struct sli_fs_temp *ret,
                       struct sl_err *err) SL_MUST_USE;
/* Makes the bytes durable, then visible. After a failure nothing is visible and t is as before. */
sl_rc sli_fs_temp_publish(struct sli_fs_temp *t, enum sl_put_mode mode,
                          struct sl_err *err) SL_MUST_USE;
/* Closes; removes the temporary file when is_published is false. */
void sli_fs_temp_end(struct sli_fs_temp *t, bool is_published);

sl_rc sli_fs_begin(struct sl_backend *be, struct sl_str key, struct sl_upload **ret,
                   struct sl_err *err);
sl_rc sli_fs_part(struct sl_backend *be, struct sl_upload *up, uint32_t part_no, uint64_t offset,
                  struct sl_bytes b, struct sl_err *err);
sl_rc sli_fs_complete(struct sl_backend *be, struct sl_upload *up, uint32_t part_count,
                      uint64_t size, struct sl_err *err);
void sli_fs_cancel(struct sl_backend *be, struct sl_upload *up);

/* ---- error.c ---- */

/* Turns the failure of a write into a sentence that names the folder and what to do. */
sl_rc sli_fs_write_failed(const struct sli_fs *fs, sl_rc rc, struct sl_err *err) SL_MUST_USE;

#endif
