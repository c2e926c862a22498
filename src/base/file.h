/* The only open, pread, write, fsync, link and rename, with fault points (SL_FAULT_FILE).
 *
 * Every failure names the path and the errno in words. Paths are NUL-terminated. Names in errors
 * are the caller's; secrets never are paths. @threads any (one file by one thread at a time, except
 * sl_file_pread and sl_file_pwrite, which any thread may call). */
#ifndef SL_BASE_FILE_H
#define SL_BASE_FILE_H

#include "base/buf.h"

struct sl_file; /* an open descriptor with its path, for error texts */

enum sl_file_mode {
    SL_FILE_READ,
    SL_FILE_READ_FOREIGN, /* SL_FILE_READ of a plain file only: a link, pipe or device is SL_EINVAL
                           */
    SL_FILE_CREATE_NEW,   /* O_RDWR|O_CREAT|O_EXCL, mode 0644; SL_ECONFLICT when it exists */
    SL_FILE_REPLACE,      /* O_RDWR|O_CREAT|O_TRUNC, mode 0644 */
    SL_FILE_LOCK, /* O_RDWR|O_CREAT, then flock(LOCK_EX|LOCK_NB); SL_ECONFLICT when locked */
};

/* O_CLOEXEC and O_NOFOLLOW on the last component for the creating modes. */
sl_rc sl_file_open(const char *path, enum sl_file_mode mode, struct sl_file **ret,
                   struct sl_err *err);
/* A file without a name in folder: it is gone when it is closed, or when the process is killed. */
sl_rc sl_file_open_unnamed(const char *folder, struct sl_file **ret, struct sl_err *err);
void sl_file_close(struct sl_file *f); /* NULL is fine; errors of close are of no use after fsync */
SL_DEFINE_FREEP(sl_file, sl_file_close)
const char *sl_file_path(const struct sl_file *f);
/* Does another open file hold the lock of SL_FILE_LOCK? Takes nothing. */
bool sl_file_is_locked(struct sl_file *f);
sl_rc sl_file_size(struct sl_file *f, uint64_t *ret, struct sl_err *err);
/* From now on fn gives the bytes of sl_file_pread instead of the descriptor, which goes on telling
 * the size; `end` ends arg with the file. */
typedef sl_rc sl_file_read_fn(void *arg, uint64_t offset, uint8_t *ret, size_t len,
                              struct sl_err *err);
void sl_file_redirect(struct sl_file *f, sl_file_read_fn *fn, void (*end)(void *arg), void *arg);
/* What tells one file from another, and whether it changed: device, inode, size, change time. */
struct sl_file_id {
    uint64_t dev, ino, size;
    int64_t mtime_ns;
};
sl_rc sl_file_identify(struct sl_file *f, struct sl_file_id *ret, struct sl_err *err);
/* Of a name, links not followed; SL_ENOTFOUND. ret_is_plain: a regular file. */
sl_rc sl_path_identify(const char *path, struct sl_file_id *ret, bool *ret_is_plain,
                       struct sl_err *err);
/* Exactly b.len bytes or an error (a short read at the end of the file is SL_ECORRUPT). */
sl_rc sl_file_pread(struct sl_file *f, uint64_t offset, uint8_t *ret, size_t len,
                    struct sl_err *err);
sl_rc sl_file_pwrite(struct sl_file *f, uint64_t offset, struct sl_bytes b, struct sl_err *err);
sl_rc sl_file_append(struct sl_file *f, struct sl_bytes b,
                     struct sl_err *err);                  /* write(2), all of it */
sl_rc sl_file_sync(struct sl_file *f, struct sl_err *err); /* fsync */
/* Tells the kernel the pages are not needed again (posix_fadvise DONTNEED); advisory. */
void sl_file_forget(struct sl_file *f, uint64_t offset, uint64_t len);
/* Starts reading these bytes into the page cache unless the first is there already; true when it
 * was not. Advisory; never waits for the device. */
bool sl_file_prefetch(struct sl_file *f, uint64_t offset, uint64_t len);
/* Asks the kernel to start writing these bytes to the device without waiting, so that a later
 * sl_file_sync finds little left to do; advisory. */
#define SL_FILE_DIRECT_ALIGN 4096
/* Opens a second way into a file being written, past the page cache (O_DIRECT). Where the file
 * system has none, writes go the usual way. Call before other threads use f. */
void sl_file_allow_direct(struct sl_file *f);
/* sl_file_pwrite past the page cache, as far as b.ptr and offset are aligned: an export neither
 * fills memory with pages nobody reads nor pays for copying them there. */
sl_rc sl_file_pwrite_direct(struct sl_file *f, uint64_t offset, struct sl_bytes b,
                            struct sl_err *err);
void sl_file_start_writeback(struct sl_file *f, uint64_t offset, uint64_t len);

sl_rc sl_file_exists(const char *path, bool *ret, struct sl_err *err);
sl_rc sl_file_is_dir(const char *path, bool *ret, struct sl_err *err);
sl_rc sl_file_read_all(const char *path, uint64_t size_max, struct sl_buf *out, struct sl_err *err);
/* temp file + write + fsync + rename over + fsync of the folder: readers see old or new, whole. */
sl_rc sl_file_write_all(const char *path, struct sl_bytes b, struct sl_err *err);
/* The same without replacing: SL_ECONFLICT when the name exists. */
sl_rc sl_file_create_all(const char *path, struct sl_bytes b, struct sl_err *err);
/* rename; with no_replace SL_ECONFLICT when the target exists (renameat2, else link+unlink). */
sl_rc sl_file_rename(const char *from, const char *to, bool no_replace, struct sl_err *err);
sl_rc sl_file_unlink(const char *path, struct sl_err *err); /* absent is SL_OK */
sl_rc sl_dir_create(const char *path,
                    struct sl_err *err); /* mkdir -p, mode 0755, new parents fsynced */
sl_rc sl_dir_sync(const char *path, struct sl_err *err);
sl_rc sl_dir_remove_tree(const char *path,
                         struct sl_err *err); /* absent is SL_OK; never follows links */
/* Calls fn for every entry but . and .., in name order. SL_ENOTFOUND when the folder is absent. */
typedef sl_rc sl_dir_fn(void *arg, const char *name, bool is_dir, struct sl_err *err);
sl_rc sl_dir_list(const char *path, sl_dir_fn *fn, void *arg, struct sl_err *err);
/* May this process list the folder, or make files in it? A folder that is not there may be written
 * when it can be made. SL_EINVAL says what is in the way. */
enum sl_dir_use { SL_DIR_READ, SL_DIR_WRITE };
sl_rc sl_dir_check(const char *path, enum sl_dir_use use, struct sl_err *err);
/* Bytes free for us on the file system that holds path. */
sl_rc sl_dir_free_bytes(const char *path, uint64_t *ret, struct sl_err *err);

#endif
