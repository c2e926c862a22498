/* The only open, pread, write, fsync, link and rename; see file.h.
 *
 * Durability is spelled out: data is fsynced before its name appears, the folder after. Every call
 * asks the fault point first, so the sweep can fail any of them. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fault.h"
#include "base/path.h"
#include "base/str.h"

struct sl_file {
    int fd;
    int direct_fd; /* the same file with O_DIRECT; -1 without */
    char *path;
    sl_file_read_fn *read; /* NULL: the descriptor's bytes */
    void (*end)(void *arg);
    void *arg;
};

/* errno of a call that may be failed by the sweep: `TRY_CALL(fsync(fd))` is 0 or an errno. */
#define ERRNO_OF(call) (SL_FAULT_HIT(SL_FAULT_FILE) ? EIO : (call) < 0 ? errno : 0)

static int open_flags(enum sl_file_mode mode)
{
    switch (mode) {
    case SL_FILE_READ:
        return O_RDONLY | O_CLOEXEC;
    case SL_FILE_READ_FOREIGN: /* O_NONBLOCK: opening a pipe must not wait for its writer */
        return O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    case SL_FILE_CREATE_NEW:
        return O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    case SL_FILE_REPLACE:
        return O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
    case SL_FILE_LOCK:
        return O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    }
    return O_RDONLY;
}

sl_rc sl_file_open(const char *path, enum sl_file_mode mode, struct sl_file **ret,
                   struct sl_err *err)
{
    SL_AUTO_PTR(sl_file) f = sl_alloc_zero(1, sizeof(*f));
    if (f == NULL) {
        return SL_NOMEM(err);
    }
    f->fd = f->direct_fd = -1;
    f->path = sl_strdup(path);
    if (f->path == NULL) {
        return SL_NOMEM(err);
    }
    int no = ERRNO_OF(f->fd = open(path, open_flags(mode), 0644));
    if (no == ELOOP && mode == SL_FILE_READ_FOREIGN) {
        return SL_FAIL(err, SL_EINVAL, "%s is a symbolic link, not a plain file", path);
    }
    if (no != 0) {
        return SL_FAIL_ERRNO(err, no, "open %s", path);
    }
    if (mode == SL_FILE_READ_FOREIGN) {
        struct stat st;
        no = ERRNO_OF(fstat(f->fd, &st));
        if (no != 0 || !S_ISREG(st.st_mode)) {
            return no != 0 ? SL_FAIL_ERRNO(err, no, "stat %s", path)
                           : SL_FAIL(err, SL_EINVAL, "%s is not a plain file", path);
        }
        /* Without the kernel's own readahead only what sl_file_prefetch asks for enters the cache,
         * so what was there before can be told from what must be given back. */
        (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_RANDOM);
    }
    if (mode == SL_FILE_LOCK) {
        no = ERRNO_OF(flock(f->fd, LOCK_EX | LOCK_NB));
        if (no == EWOULDBLOCK) {
            return SL_FAIL(err, SL_ECONFLICT, "%s is locked by another process", path);
        }
        if (no != 0) {
            return SL_FAIL_ERRNO(err, no, "lock %s", path);
        }
    }
    *ret = sl_move(&f);
    return SL_OK;
}

/* Not every file system has O_TMPFILE (NFS, overlays of old kernels): there a name lives between
 * two calls. */
static int open_unnamed(const char *folder, struct sl_err *err, int *ret_fd)
{
    SL_AUTO(sl_buf) name = SL_BUF_EMPTY;
    uint8_t random[8];
    int no = ERRNO_OF(*ret_fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (no != EOPNOTSUPP && no != EISDIR && no != EINVAL) {
        return no;
    }
    if (sl_random_bytes(random, sizeof(random), err) != SL_OK) {
        return EIO;
    }
    sl_buf_addf(&name, "%s/.sluice-", folder);
    sl_hex_add(&name, SL_BYTES(random, sizeof(random)));
    no = ERRNO_OF(*ret_fd = open(sl_buf_cstr(&name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (no == 0) {
        no = unlink(sl_buf_cstr(&name)) < 0 ? errno : 0;
    }
    return no;
}

sl_rc sl_file_open_unnamed(const char *folder, struct sl_file **ret, struct sl_err *err)
{
    SL_AUTO_PTR(sl_file) f = sl_alloc_zero(1, sizeof(*f));
    if (f == NULL) {
        return SL_NOMEM(err);
    }
    f->fd = f->direct_fd = -1;
    f->path = sl_strdup(folder);
    if (f->path == NULL) {
        return SL_NOMEM(err);
    }
    int no = open_unnamed(folder, err, &f->fd);
    if (no != 0) {
        return SL_FAIL_ERRNO(err, no, "make a temporary file in %s", folder);
    }
    *ret = sl_move(&f);
    return SL_OK;
}

void sl_file_close(struct sl_file *f)
{
    if (f == NULL) {
        return;
    }
    if (f->fd >= 0) {
        (void)close(f->fd);
    }
    if (f->direct_fd >= 0) {
        (void)close(f->direct_fd);
    }
    if (f->end != NULL) {
        f->end(f->arg);
    }
    sl_free(f->path);
    sl_free(f);
}

void sl_file_redirect(struct sl_file *f, sl_file_read_fn *fn, void (*end)(void *arg), void *arg)
{
    f->read = fn;
    f->end = end;
    f->arg = arg;
}

const char *sl_file_path(const struct sl_file *f)
{
    return f->path;
}

bool sl_file_is_locked(struct sl_file *f)
{
    if (flock(f->fd, LOCK_SH | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK;
    }
    (void)flock(f->fd, LOCK_UN);
    return false;
}

sl_rc sl_file_size(struct sl_file *f, uint64_t *ret, struct sl_err *err)
{
    struct stat st;
    int no = ERRNO_OF(fstat(f->fd, &st));
    if (no != 0) {
        return SL_FAIL_ERRNO(err, no, "stat %s", f->path);
    }
    *ret = (uint64_t)st.st_size;
    return SL_OK;
}

static struct sl_file_id identity(const struct stat *st)
{
    return (struct sl_file_id){(uint64_t)st->st_dev, (uint64_t)st->st_ino, (uint64_t)st->st_size,
                               (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec};
}

sl_rc sl_file_identify(struct sl_file *f, struct sl_file_id *ret, struct sl_err *err)
{
    struct stat st;
    int no = ERRNO_OF(fstat(f->fd, &st));
    if (no != 0) {
        return SL_FAIL_ERRNO(err, no, "stat %s", f->path);
    }
    *ret = identity(&st);
    return SL_OK;
}

sl_rc sl_path_identify(const char *path, struct sl_file_id *ret, bool *ret_is_plain,
                       struct sl_err *err)
{
    struct stat st;
    int no = ERRNO_OF(lstat(path, &st));
    if (no != 0) {
        return SL_FAIL_ERRNO(err, no, "stat %s", path);
    }
    *ret = identity(&st);
    *ret_is_plain = S_ISREG(st.st_mode);
    return SL_OK;
}

bool sl_file_prefetch(struct sl_file *f, uint64_t offset, uint64_t len)
{
    uint8_t byte;
    struct iovec iov = {&byte, 1};
    if (f->read != NULL || preadv2(f->fd, &iov, 1, (off_t)offset, RWF_NOWAIT) == 1) {
        return false; /* the answer came without the device: it is cached; or none has it */
    }
    (void)posix_fadvise(f->fd, (off_t)offset, (off_t)len, POSIX_FADV_WILLNEED);
    return true;
}

sl_rc sl_file_pread(struct sl_file *f, uint64_t offset, uint8_t *ret, size_t len,
                    struct sl_err *err)
{
    size_t done = 0;
    if (f->read != NULL) {
        return f->read(f->arg, offset, ret, len, err);
    }
    while (done < len) {
        ssize_t got = 0;
        int no = ERRNO_OF(got = pread(f->fd, ret + done, len - done, (off_t)(offset + done)));
        if (no == EINTR) {
            continue;
        }
        if (no != 0) {
            return SL_FAIL_ERRNO(err, no, "read %s at %llu", f->path,
                                 (unsigned long long)(offset + done));
        }
        if (got == 0) {
            return SL_FAIL(err, SL_ECORRUPT, "%s: ends at %llu, %zu more bytes were expected",
                           f->path, (unsigned long long)(offset + done), len - done);
        }
        done += (size_t)got;
    }
    return SL_OK;
}

sl_rc sl_file_pwrite(struct sl_file *f, uint64_t offset, struct sl_bytes b, struct sl_err *err)
{
    size_t done = 0;
    while (done < b.len) {
        ssize_t put = 0;
        int no = ERRNO_OF(put = pwrite(f->fd, b.ptr + done, b.len - done, (off_t)(offset + done)));
        if (no == EINTR) {
            continue;
        }
        if (no != 0) {
            return SL_FAIL_ERRNO(err, no, "write %s at %llu", f->path,
                                 (unsigned long long)(offset + done));
        }
        done += (size_t)put;
    }
    return SL_OK;
}

void sl_file_allow_direct(struct sl_file *f)
{
    f->direct_fd = open(f->path, O_WRONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW);
}

/* Below this a part is small change, and page cache serves whoever reads it next. */
#define DIRECT_MIN (1u << 20)

sl_rc sl_file_pwrite_direct(struct sl_file *f, uint64_t offset, struct sl_bytes b,
                            struct sl_err *err)
{
    bool is_aligned = ((uintptr_t)b.ptr | offset) % SL_FILE_DIRECT_ALIGN == 0;
    size_t len = b.len - b.len % SL_FILE_DIRECT_ALIGN, done = 0;
    while (f->direct_fd >= 0 && is_aligned && b.len >= DIRECT_MIN && done < len) {
        ssize_t put = 0;
        int no =
            ERRNO_OF(put = pwrite(f->direct_fd, b.ptr + done, len - done, (off_t)(offset + done)));
        if (no == EINVAL || (no == 0 && put % SL_FILE_DIRECT_ALIGN != 0)) {
            break; /* this file system wants another alignment: the rest goes the usual way */
        }
        if (no != 0 && no != EINTR) {
            return SL_FAIL_ERRNO(err, no, "write %s at %llu", f->path,
                                 (unsigned long long)(offset + done));
        }
        done += no == 0 ? (size_t)put : 0;
    }
    return sl_file_pwrite(f, offset + done, SL_BYTES(b.ptr + done, b.len - done), err);
}

sl_rc sl_file_append(struct sl_file *f, struct sl_bytes b, struct sl_err *err)
{
    size_t done = 0;
    while (done < b.len) {
        ssize_t put = 0;
        int no = ERRNO_OF(put = write(f->fd, b.ptr + done, b.len - done));
        if (no == EINTR) {
            continue;
        }
        if (no != 0) {
            return SL_FAIL_ERRNO(err, no, "write %s", f->path);
        }
        done += (size_t)put;
    }
    return SL_OK;
}

sl_rc sl_file_sync(struct sl_file *f, struct sl_err *err)
{
    int no = ERRNO_OF(fsync(f->fd));
    return no == 0 ? SL_OK : SL_FAIL_ERRNO(err, no, "fsync %s", f->path);
}

void sl_file_forget(struct sl_file *f, uint64_t offset, uint64_t len)
{
    (void)posix_fadvise(f->fd, (off_t)offset, (off_t)len, POSIX_FADV_DONTNEED);
}

/* ---- whole files ---- */

sl_rc sl_file_exists(const char *path, bool *ret, struct sl_err *err)
{
    struct stat st;
    int no = ERRNO_OF(lstat(path, &st));
    if (no != 0 && no != ENOENT && no != ENOTDIR) {
        return SL_FAIL_ERRNO(err, no, "stat %s", path);
    }
    *ret = no == 0;
    return SL_OK;
}

sl_rc sl_file_is_dir(const char *path, bool *ret, struct sl_err *err)
{
    struct stat st;
    int no = ERRNO_OF(stat(path, &st));
    if (no != 0) {
        return SL_FAIL_ERRNO(err, no, "%s", path);
    }
    *ret = S_ISDIR(st.st_mode);
    return SL_OK;
}

sl_rc sl_file_read_all(const char *path, uint64_t size_max, struct sl_buf *out, struct sl_err *err)
{
    SL_AUTO_PTR(sl_file) f = NULL;
    uint64_t size = 0;
    SL_TRY(sl_file_open(path, SL_FILE_READ, &f, err));
    SL_TRY(sl_file_size(f, &size, err));
    if (size > size_max) {
        return SL_FAIL(err, SL_ETOOBIG, "%s has %llu bytes, at most %llu are read", path,
                       (unsigned long long)size, (unsigned long long)size_max);
    }
    uint8_t *at = sl_buf_reserve(out, size + 1); /* an empty file needs a place too */
    if (at == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(sl_file_pread(f, 0, at, size, err));
    out->len += size;
    return SL_OK;
}

/* The folder part of a path, "." when there is none. */
static void add_parent(struct sl_buf *out, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        sl_buf_add_text(out, ".");
    } else {
        sl_buf_add(out, SL_BYTES(path, slash == path ? 1 : (size_t)(slash - path)));
    }
}

static sl_rc sync_parent(const char *path, struct sl_err *err)
{
    SL_AUTO(sl_buf) dir = SL_BUF_EMPTY;
    add_parent(&dir, path);
    const char *name = sl_buf_cstr(&dir);
    SL_TRY(sl_buf_done(&dir, err));
    return sl_dir_sync(name, err);
}

static sl_rc write_temp(const char *temp, struct sl_bytes b, struct sl_err *err)
{
    SL_AUTO_PTR(sl_file) f = NULL;
    SL_TRY(sl_file_open(temp, SL_FILE_CREATE_NEW, &f, err));
    SL_TRY(sl_file_append(f, b, err));
    return sl_file_sync(f, err);
}

static sl_rc put_all(const char *path, struct sl_bytes b, bool no_replace, struct sl_err *err)
{
    uint8_t random[8];
    SL_TRY(sl_random_bytes(random, sizeof(random), err));
    SL_AUTO(sl_buf) temp = SL_BUF_EMPTY;
    const char *slash = strrchr(path, '/');
    size_t dir_len = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    sl_buf_add(&temp, SL_BYTES(path, dir_len));
    sl_buf_addf(&temp, ".%s.", path + dir_len);
    sl_hex_add(&temp, SL_BYTES(random, sizeof(random)));
    sl_buf_add_text(&temp, ".sluice-tmp");
    const char *name = sl_buf_cstr(&temp);
    SL_TRY(sl_buf_done(&temp, err));
    sl_rc rc = write_temp(name, b, err);
    if (rc == SL_OK) {
        rc = sl_file_rename(name, path, no_replace, err);
    }
    if (rc != SL_OK) {
        (void)unlink(name);
        return rc;
    }
    return sync_parent(path, err);
}

sl_rc sl_file_write_all(const char *path, struct sl_bytes b, struct sl_err *err)
{
    return put_all(path, b, false, err);
}

sl_rc sl_file_create_all(const char *path, struct sl_bytes b, struct sl_err *err)
{
    return put_all(path, b, true, err);
}

/* link+unlink for file systems without RENAME_NOREPLACE: link never replaces either. */
static int rename_new(const char *from, const char *to)
{
    int no = ERRNO_OF(renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE));
    if (no != EINVAL && no != ENOSYS) {
        return no;
    }
    no = ERRNO_OF(link(from, to));
    if (no == 0) {
        (void)unlink(from);
    }
    return no;
}

sl_rc sl_file_rename(const char *from, const char *to, bool no_replace, struct sl_err *err)
{
    int no = no_replace ? rename_new(from, to) : ERRNO_OF(rename(from, to));
    if (no == EEXIST) {
        return SL_FAIL(err, SL_ECONFLICT, "%s exists already", to);
    }
    return no == 0 ? SL_OK : SL_FAIL_ERRNO(err, no, "rename %s to %s", from, to);
}

sl_rc sl_file_unlink(const char *path, struct sl_err *err)
{
    int no = ERRNO_OF(unlink(path));
    return no == 0 || no == ENOENT ? SL_OK : SL_FAIL_ERRNO(err, no, "remove %s", path);
}

/* ---- folders ---- */

static sl_rc make_one(const char *path, struct sl_err *err)
{
    int no = ERRNO_OF(mkdir(path, 0755));
    if (no == EEXIST || no == EISDIR) {
        bool is_dir = false;
        SL_TRY(sl_file_is_dir(path, &is_dir, err));
        return is_dir ? SL_OK : SL_FAIL(err, SL_EINVAL, "%s is a file, a folder is needed", path);
    }
    if (no != 0) {
        return SL_FAIL_ERRNO(err, no, "make folder %s", path);
    }
    return sync_parent(path, err);
}

sl_rc sl_dir_create(const char *path, struct sl_err *err)
{
    bool is_there = false;
    SL_TRY(sl_file_exists(path, &is_there, err));
    if (is_there) {
        return make_one(path, err); /* says when it is no folder */
    }
    SL_AUTO_MEM(char) copy = sl_strdup(path);
    if (copy == NULL) {
        return SL_NOMEM(err);
    }
    for (char *at = copy + 1; *at != '\0'; at++) {
        if (*at == '/' && at[-1] != '/') {
            *at = '\0';
            SL_TRY(sl_file_exists(copy, &is_there, err));
            if (!is_there) {
                SL_TRY(make_one(copy, err));
            }
            *at = '/';
        }
    }
    return make_one(copy, err);
}

sl_rc sl_dir_sync(const char *path, struct sl_err *err)
{
    int fd = -1;
    int no = ERRNO_OF(fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (no == 0) {
        no = ERRNO_OF(fsync(fd));
        (void)close(fd);
    } else if (fd >= 0) {
        (void)close(fd);
    }
    return no == 0 ? SL_OK : SL_FAIL_ERRNO(err, no, "fsync folder %s", path);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *e)
{
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

static sl_rc visit(const char *path, const struct dirent *e, sl_dir_fn *fn, void *arg,
                   struct sl_err *err)
{
    bool is_dir = e->d_type == DT_DIR;
    if (e->d_type == DT_UNKNOWN) {
        SL_AUTO(sl_buf) full = SL_BUF_EMPTY;
        struct stat st;
        sl_path_join(&full, sl_str_from(path), sl_str_from(e->d_name));
        is_dir = lstat(sl_buf_cstr(&full), &st) == 0 && S_ISDIR(st.st_mode);
    }
    return fn(arg, e->d_name, is_dir, err);
}

sl_rc sl_dir_list(const char *path, sl_dir_fn *fn, void *arg, struct sl_err *err)
{
    struct dirent **entries = NULL;
    int count = 0;
    int no = ERRNO_OF(count = scandir(path, &entries, no_dots, by_name));
    if (no != 0) {
        return SL_FAIL_ERRNO(err, no, "list folder %s", path);
    }
    sl_rc rc = SL_OK;
    for (int i = 0; i < count; i++) {
        if (rc == SL_OK) {
            rc = visit(path, entries[i], fn, arg, err);
        }
        free(entries[i]); /* allow: free, scandir allocated it */
    }
    free(entries); /* allow: free, scandir allocated it */
    return rc;
}

static sl_rc remove_entry(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_path_join(&path, sl_str_from(arg), sl_str_from(name));
    const char *full = sl_buf_cstr(&path);
    SL_TRY(sl_buf_done(&path, err));
    return is_dir ? sl_dir_remove_tree(full, err) : sl_file_unlink(full, err);
}

sl_rc sl_dir_remove_tree(const char *path, struct sl_err *err)
{
    SL_AUTO_MEM(char) arg = sl_strdup(path);
    if (arg == NULL) {
        return SL_NOMEM(err);
    }
    sl_rc rc = sl_dir_list(path, remove_entry, arg, err);
    if (rc == SL_ENOTFOUND) {
        return SL_OK;
    }
    SL_TRY(rc);
    int no = ERRNO_OF(rmdir(path));
    return no == 0 || no == ENOENT ? SL_OK : SL_FAIL_ERRNO(err, no, "remove folder %s", path);
}

sl_rc sl_dir_free_bytes(const char *path, uint64_t *ret, struct sl_err *err)
{
    struct statvfs st;
    int no = ERRNO_OF(statvfs(path, &st));
    if (no != 0) {
        return SL_FAIL_ERRNO(err, no, "statvfs %s", path);
    }
    *ret = (uint64_t)st.f_bavail * st.f_frsize;
    return SL_OK;
}

sl_rc sl_dir_check(const char *path, enum sl_dir_use use, struct sl_err *err)
{
    SL_AUTO(sl_buf) at = SL_BUF_EMPTY;
    struct stat st;
    SL_TRY(sl_path_resolve(path, &at, err));
    while (stat(sl_buf_cstr(&at), &st) != 0) {
        if (errno != ENOENT || use == SL_DIR_READ) {
            return SL_FAIL(err, SL_EINVAL, "%s: %s", path, sl_errno_text(errno));
        }
        while (at.len > 1 && at.ptr[at.len - 1] != '/') { /* its parent, where it would be made */
            at.len--;
        }
        at.len -= at.len > 1;
    }
    SL_TRY(sl_buf_done(&at, err));
    int mode = use == SL_DIR_READ ? R_OK | X_OK : W_OK | X_OK;
    if (!S_ISDIR(st.st_mode)) {
        return SL_FAIL(err, SL_EINVAL, "%s: %s is not a folder", path, sl_buf_cstr(&at));
    }
    if (faccessat(AT_FDCWD, sl_buf_cstr(&at), mode, AT_EACCESS) != 0) {
        return SL_FAIL(err, SL_EINVAL, "%s: %s cannot be %s: %s", path, sl_buf_cstr(&at),
                       use == SL_DIR_READ ? "read" : "written", sl_errno_text(errno));
    }
    return SL_OK;
}

void sl_file_start_writeback(struct sl_file *f, uint64_t offset, uint64_t len)
{
    (void)sync_file_range(f->fd, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE);
}
