/* A backup in an object store as a folder: see mirror.h.
 *
 * Descriptors are small and come as they are; chunks come as files of their size without a byte on
 * the disk, whose bytes are read from the store by ranges when they are wanted. So everything that
 * knows backups goes on reading a folder. */
#include "source/mirror.h"

#include <stdio.h>

#include "base/crypto.h"
#include "base/path.h"
#include "base/str.h"
#include "base/sync.h"

#define DESCRIPTOR_MAX (256u << 20) /* 10,000 tenants with their files */
#define BLOCK_BYTES    (2u << 20)   /* a range: long enough to hide the way there and back */
#define BLOCKS         2 /* of a file: where it is read, and the headers of its archive */
/* Somebody waits for the opening, so a store that is down is told soon; a descriptor may still come
 * as slowly as its bytes do. */
#define OPEN_RETRY_NS INT64_C(10000000000)

struct sl_mirror {
    struct sl_backend *store; /* borrowed: the folder of all backups */
    struct sl_backend *owned; /* the same, when it was opened here */
    struct sl_buf folder;     /* ours, removed at the end */
    struct sl_buf place;      /* of the folder of all backups, as the user named it; or empty */
    struct sl_buf texts; /* of all descriptors: bases of an incremental backup are named there */
};

/* ---- bytes of a chunk ---- */

struct block {
    uint64_t no, used; /* used: when it was, by remote->tick */
    struct sl_buf bytes;
};
struct remote {
    struct sl_backend *store;
    char *key;
    struct sl_mutex mu; /* held while a block is fetched: others want the same one, mostly */
    struct {
        struct block blocks[BLOCKS];
        uint64_t tick;
    } locked SL_GUARDED;
};

static void remote_end(void *arg)
{
    struct remote *r = arg;
    sl_mutex_lock(&r->mu);
    for (size_t i = 0; i < BLOCKS; i++) {
        sl_buf_fini(&r->locked.blocks[i].bytes);
    }
    sl_mutex_unlock(&r->mu);
    sl_mutex_fini(&r->mu);
    sl_free(r->key);
    sl_free(r);
}

/* The block of this number, fetched in place of the one used longest ago. */
static sl_rc block_of(struct remote *r, uint64_t no, struct block **ret, struct sl_err *err)
    SL_REQUIRES(r->mu)
{
    struct block *oldest = &r->locked.blocks[0];
    for (struct block *b = r->locked.blocks; b < r->locked.blocks + BLOCKS; b++) {
        if (b->bytes.len > 0 && b->no == no) {
            *ret = b;
            return SL_OK;
        }
        oldest = b->used < oldest->used ? b : oldest;
    }
    sl_buf_clear(&oldest->bytes);
    SL_TRY(r->store->ops->read(r->store, sl_str_from(r->key), no * BLOCK_BYTES, BLOCK_BYTES,
                               &oldest->bytes, err));
    oldest->no = no;
    *ret = oldest;
    return SL_OK;
}

static sl_rc read_locked(struct remote *r, uint64_t offset, uint8_t *ret, size_t len,
                         struct sl_err *err) SL_REQUIRES(r->mu)
{
    while (len > 0) {
        struct block *b = NULL;
        size_t skip = (size_t)(offset % BLOCK_BYTES);
        SL_TRY(block_of(r, offset / BLOCK_BYTES, &b, err));
        if (skip >= b->bytes.len) {
            return SL_FAIL(err, SL_ECORRUPT, "%s: ends at %llu, %zu more bytes were expected",
                           r->key, (unsigned long long)offset, len);
        }
        size_t n = SL_MIN(len, b->bytes.len - skip);
        memcpy(ret, b->bytes.ptr + skip, n);
        b->used = ++r->locked.tick;
        ret += n;
        offset += n;
        len -= n;
    }
    return SL_OK;
}

static sl_rc remote_read(void *arg, uint64_t offset, uint8_t *ret, size_t len, struct sl_err *err)
{
    struct remote *r = arg;
    sl_mutex_lock(&r->mu);
    sl_rc rc = read_locked(r, offset, ret, len, err);
    sl_mutex_unlock(&r->mu);
    return rc;
}

sl_rc sl_mirror_open_file(void *arg, const char *path, struct sl_file **ret, struct sl_err *err)
{
    struct sl_mirror *m = arg;
    SL_AUTO_PTR(sl_file) file = NULL;
    SL_TRY(sl_file_open(path, SL_FILE_READ_FOREIGN, &file, err));
    struct remote *r = sl_alloc_zero(1, sizeof(*r));
    if (r == NULL) {
        return SL_NOMEM(err);
    }
    sl_mutex_init(&r->mu);
    r->store = m->store;
    r->key = sl_strdup(path + m->folder.len + 1);
    if (r->key == NULL) {
        remote_end(r);
        return SL_NOMEM(err);
    }
    sl_file_redirect(file, remote_read, remote_end, r);
    *ret = sl_move(&file);
    return SL_OK;
}

/* ---- the folder ---- */

/* Names of a store may hold anything; here they become paths. */
static bool is_plain(struct sl_str key)
{
    size_t from = 0;
    for (size_t i = 0; i <= key.len; i++) {
        if (i < key.len && key.ptr[i] != '/') {
            continue;
        }
        struct sl_str part = {key.ptr + from, i - from};
        if (part.len == 0 || sl_str_is(part, ".") || sl_str_is(part, "..") ||
            memchr(part.ptr, '\0', part.len) != NULL) {
            return false;
        }
        from = i + 1;
    }
    return true;
}

static sl_rc make_parent(struct sl_str path, struct sl_err *err)
{
    while (path.len > 0 && path.ptr[path.len - 1] != '/') {
        path.len--;
    }
    SL_AUTO_MEM(char) parent = sl_strndup(path.ptr, path.len - 1);
    return parent == NULL ? SL_NOMEM(err) : sl_dir_create(parent, err);
}

static sl_rc add_descriptor(struct sl_mirror *m, struct sl_str key, const char *path,
                            struct sl_err *err)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    SL_TRY(sl_backend_get(m->store, key, DESCRIPTOR_MAX, &text, err));
    sl_buf_add(&m->texts, sl_buf_view(&text));
    SL_TRY(sl_buf_done(&m->texts, err));
    return sl_file_create_all(path, sl_buf_view(&text), err);
}

/* A file of this size without bytes: all but the last are a hole. */
static sl_rc add_hole(const char *path, uint64_t size, struct sl_err *err)
{
    static const uint8_t end = 0;
    SL_AUTO_PTR(sl_file) file = NULL;
    SL_TRY(sl_file_open(path, SL_FILE_CREATE_NEW, &file, err));
    return size == 0 ? SL_OK : sl_file_pwrite(file, size - 1, SL_BYTES(&end, 1), err);
}

static sl_rc add_object(void *arg, struct sl_str key, uint64_t size, struct sl_err *err)
{
    struct sl_mirror *m = arg;
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    if (!is_plain(key)) {
        return SL_OK; /* no server writes such a name */
    }
    sl_path_join(&path, sl_buf_str(&m->folder), key);
    const char *name = sl_buf_cstr(&path);
    SL_TRY(sl_buf_done(&path, err));
    SL_TRY(make_parent(sl_buf_str(&path), err));
    return sl_str_ends(key, ".json") ? add_descriptor(m, key, name, err)
                                     : add_hole(name, size, err);
}

static sl_rc add_backup(struct sl_mirror *m, struct sl_str name, struct sl_err *err)
{
    SL_AUTO(sl_buf) prefix = SL_BUF_EMPTY;
    sl_buf_addf(&prefix, "%.*s/", SL_STR_ARG(name));
    SL_TRY(sl_buf_done(&prefix, err));
    return m->store->ops->list(m->store, sl_buf_str(&prefix), add_object, m, err);
}

/* Backups beside it that its descriptors name: it may be incremental to them. */
static sl_rc add_base(void *arg, struct sl_str name, uint64_t size SL_UNUSED, struct sl_err *err)
{
    struct sl_mirror *m = arg;
    SL_AUTO(sl_buf) quoted = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    bool is_there = false;
    sl_buf_addf(&quoted, "\"%.*s\"", SL_STR_ARG(name));
    sl_path_join(&path, sl_buf_str(&m->folder), name);
    const char *folder = sl_buf_cstr(&path);
    SL_TRY(sl_buf_done(&quoted, err));
    SL_TRY(sl_buf_done(&path, err));
    SL_TRY(sl_file_exists(folder, &is_there, err));
    bool is_named = memmem(m->texts.ptr, m->texts.len, quoted.ptr, quoted.len) != NULL;
    return is_there || !is_named ? SL_OK : add_backup(m, name, err);
}

static sl_rc fill(struct sl_mirror *m, struct sl_str name, const char *spool, struct sl_err *err)
{
    uint8_t random[8];
    SL_TRY(sl_random_bytes(random, sizeof(random), err));
    sl_buf_addf(&m->folder, "%s/sluice-mirror-", spool);
    sl_hex_add(&m->folder, SL_BYTES(random, sizeof(random)));
    const char *folder = sl_buf_cstr(&m->folder);
    SL_TRY(sl_buf_done(&m->folder, err));
    SL_TRY(sl_dir_create(folder, err));
    SL_TRY(add_backup(m, name, err));
    if (m->texts.len == 0) {
        return SL_FAIL(
            err, SL_EINVAL, "%.*s%s%.*s: no backup is there: no descriptor lies below it",
            SL_STR_ARG(sl_buf_str(&m->place)), m->place.len == 0 ? "" : "/", SL_STR_ARG(name));
    }
    return m->store->ops->list_folders(m->store, SL_STR(""), add_base, m, err);
}

static sl_rc open_named(struct sl_backend *store, struct sl_str place, struct sl_str name,
                        const char *spool, struct sl_mirror **ret, struct sl_err *err)
{
    SL_AUTO_PTR(sl_mirror) m = sl_alloc_zero(1, sizeof(*m));
    if (m == NULL) {
        return SL_NOMEM(err);
    }
    m->store = store;
    sl_buf_add_str(&m->place, place);
    SL_TRY(sl_buf_done(&m->place, err));
    SL_TRY(fill(m, name, spool, err));
    *ret = sl_move(&m);
    return SL_OK;
}

sl_rc sl_mirror_open(struct sl_backend *store, struct sl_str name, const char *spool,
                     struct sl_mirror **ret, struct sl_err *err)
{
    return open_named(store, SL_STR(""), name, spool, ret, err);
}

sl_rc sl_mirror_path(const struct sl_mirror *m, struct sl_str name, struct sl_buf *out,
                     struct sl_err *err)
{
    sl_path_join(out, sl_buf_str(&m->folder), name);
    return sl_buf_done(out, err);
}

void sl_mirror_reword(const struct sl_mirror *m, struct sl_err *err)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    const char *from = err == NULL ? NULL : err->text, *at = NULL;
    if (m == NULL || m->place.len == 0 || from == NULL) {
        return;
    }
    const char *folder = (const char *)m->folder.ptr;
    while ((at = strstr(from, folder)) != NULL) {
        sl_buf_add(&out, SL_BYTES(from, (size_t)(at - from)));
        sl_buf_add(&out, sl_buf_view(&m->place));
        from = at + m->folder.len;
    }
    sl_buf_add_text(&out, from);
    const char *text = sl_buf_cstr(&out);
    if (!out.is_failed) {
        (void)snprintf(err->text, sizeof(err->text), "%s", text);
    }
}

static sl_rc open_at(struct sl_backend *store, struct sl_str place, struct sl_str name,
                     const char *spool, struct sl_mirror **ret, struct sl_buf *path,
                     struct sl_err *err)
{
    SL_AUTO_PTR(sl_mirror) m = NULL;
    SL_TRY(store->ops->probe(store, err));
    SL_TRY(open_named(store, place, name, spool, &m, err));
    SL_TRY(sl_mirror_path(m, name, path, err));
    *ret = sl_move(&m);
    return SL_OK;
}

sl_rc sl_mirror_open_place(const struct sl_backend_env *env, struct sl_str place, const char *spool,
                           struct sl_mirror **ret, struct sl_buf *path, struct sl_err *err)
{
    SL_AUTO_PTR(sl_backend) store = NULL;
    SL_AUTO_PTR(sl_mirror) m = NULL;
    struct sl_backend_env soon = *env;
    soon.retry_ns = OPEN_RETRY_NS;
    while (place.len > 0 && place.ptr[place.len - 1] == '/') {
        place.len--;
    }
    size_t at = place.len;
    while (at > 0 && place.ptr[at - 1] != '/') {
        at--;
    }
    struct sl_str all = {place.ptr, at}, name = {place.ptr + at, place.len - at};
    SL_TRY(sl_backend_open(&soon, all, &store, err));
    struct sl_str shown = {all.ptr, all.len > 0 ? all.len - 1 : 0}; /* without its last '/' */
    SL_TRY(open_at(store, shown, name, spool, &m, path, err));
    SL_TRY(sl_backend_open(env, all, &m->owned, err)); /* with the patience that exports have */
    m->store = m->owned;
    *ret = sl_move(&m);
    return SL_OK;
}

void sl_mirror_close(struct sl_mirror *m)
{
    if (m == NULL) {
        return;
    }
    if (m->folder.len > 0) {
        SL_IGNORE(sl_dir_remove_tree(sl_buf_cstr(&m->folder), NULL), "descriptors and holes only");
    }
    sl_buf_fini(&m->folder);
    sl_buf_fini(&m->place);
    sl_buf_fini(&m->texts);
    sl_backend_close(m->owned);
    sl_free(m);
}
