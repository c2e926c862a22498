/* A chunk in use: where the bytes of its data files lie; see chunk.h. */
#include "source/chunk.h"

#include <stdlib.h>

#include "base/str.h"
#include "source/tar.h"
#include "source/unpack.h"

#define COPY_SIZE (256u << 10)

bool sli_is_data_path(struct sl_str name)
{
    const char *bucket = memmem(name.ptr, name.len, "lsm/objects/segment-", 20);
    return bucket != NULL &&
           memchr(bucket + 12, '/', name.len - 12 - (size_t)(bucket - name.ptr)) == NULL &&
           (sl_str_ends(name, ".db") || sl_str_ends(name, ".wal") || sl_str_ends(name, ".db.tmp"));
}

void sli_chunk_init(struct sli_chunk *c, struct sl_str path, uint32_t shard_count)
{
    *c = (struct sli_chunk){.path = path, .shard_count = shard_count};
    sl_mutex_init(&c->mu);
}

static void give_back(struct sli_chunk *c)
{
    sl_file_close(sl_move(&c->file));
    sl_arena_fini(&c->arena);
    c->entries = NULL;
    c->entry_count = c->entry_cap = 0;
}

void sli_chunk_fini(struct sli_chunk *c)
{
    give_back(c);
    sl_free(c->failure);
    sl_mutex_fini(&c->mu);
}

/* ---- reading the archive ---- */

static sl_rc read_input(void *arg, uint8_t *ret, size_t len, size_t *ret_len, struct sl_err *err)
{
    return sli_unpack_read(arg, ret, len, ret_len, err);
}

static sl_rc skip_input(void *arg, uint64_t len, struct sl_err *err)
{
    return sli_unpack_skip(arg, len, err);
}

static sl_rc add_entry(struct sli_chunk *c, const struct sli_tar_entry *e, uint64_t at,
                       struct sl_err *err)
{
    struct sli_chunk_entry *grown =
        sl_arena_grow(&c->arena, c->entries, c->entry_count, &c->entry_cap);
    if (grown == NULL) {
        return SL_NOMEM(err);
    }
    c->entries = grown;
    struct sli_chunk_entry *to = &c->entries[c->entry_count];
    *to = (struct sli_chunk_entry){.name = sl_arena_str(&c->arena, e->name),
                                   .at = at,
                                   .size = e->size,
                                   .part_at = e->part_at,
                                   .is_part = e->is_part};
    if (to->name.ptr == NULL) {
        return SL_NOMEM(err);
    }
    c->entry_count++;
    return SL_OK;
}

/* The body of an entry to the end of the spool file. */
static sl_rc copy_body(struct sli_tar *t, struct sl_file *spool, uint8_t *buf, struct sl_err *err)
{
    for (;;) {
        size_t n = 0;
        SL_TRY(sli_tar_read(t, buf, COPY_SIZE, &n, err));
        if (n == 0) {
            return SL_OK;
        }
        SL_TRY(sl_file_append(spool, SL_BYTES(buf, n), err));
    }
}

static sl_rc list_plain(struct sli_chunk *c, struct sli_tar *t, uint64_t file_size,
                        struct sl_err *err)
{
    struct sli_tar_entry e;
    sl_rc rc;
    while ((rc = sli_tar_next(t, &e, err)) == SL_OK) {
        if (!e.is_file || !sli_is_data_path(e.name)) {
            continue;
        }
        if (e.size > file_size - SL_MIN(e.at, file_size)) {
            return SL_FAIL(err, SL_ECORRUPT,
                           "ends at byte %llu, in the middle of %s, which needs %llu from byte "
                           "%llu on",
                           (unsigned long long)file_size, e.name.ptr, (unsigned long long)e.size,
                           (unsigned long long)e.at);
        }
        SL_TRY(add_entry(c, &e, e.at, err));
    }
    return rc == SL_END ? SL_OK : rc;
}

static sl_rc spool_packed(struct sli_chunk *c, struct sli_tar *t, struct sl_file *spool,
                          struct sl_err *err)
{
    SL_AUTO_MEM(uint8_t) buf = sl_alloc(COPY_SIZE);
    struct sli_tar_entry e;
    uint64_t at = 0;
    sl_rc rc;
    if (buf == NULL) {
        return SL_NOMEM(err);
    }
    while ((rc = sli_tar_next(t, &e, err)) == SL_OK) {
        if (!e.is_file || !sli_is_data_path(e.name)) {
            continue;
        }
        SL_TRY(copy_body(t, spool, buf, err));
        SL_TRY(add_entry(c, &e, at, err));
        at += e.size;
    }
    size_t got = 1;
    while (rc == SL_END && got > 0) { /* the checksum comes at the end */
        sl_rc read = t->input.read(t->input.arg, buf, COPY_SIZE, &got, err);
        rc = read == SL_OK ? rc : read;
    }
    return rc == SL_END ? SL_OK : rc;
}

static int by_place(const void *a, const void *b)
{
    const struct sli_chunk_entry *x = a, *y = b;
    int c = sl_bytes_cmp(sl_str_bytes(x->name), sl_str_bytes(y->name));
    return c != 0 ? c : (x->part_at > y->part_at) - (x->part_at < y->part_at);
}

sl_rc sli_chunk_open(const struct sli_chunk *c, const struct sli_chunk_env *env,
                     struct sl_file **ret, struct sl_err *err)
{
    return env->open_file != NULL ? env->open_file(env->open_arg, c->path.ptr, ret, err)
                                  : sl_file_open(c->path.ptr, SL_FILE_READ_FOREIGN, ret, err);
}

static sl_rc read_archive(struct sli_chunk *c, const struct sli_chunk_env *env, struct sl_err *err)
{
    SL_AUTO_PTR(sl_file) file = NULL;
    SL_AUTO_PTR(sl_file) spool = NULL;
    SL_AUTO_PTR(sli_unpack) unpack = NULL;
    struct sli_tar tar;
    uint64_t size = 0;
    SL_TRY(sli_chunk_open(c, env, &file, err));
    SL_TRY(sl_file_size(file, &size, err));
    SL_TRY(sli_unpack_open(file, &unpack, err));
    sli_tar_init(&tar, (struct sli_tar_input){read_input, skip_input, unpack});
    if (sli_unpack_kind(unpack) == SLI_PLAIN) {
        SL_TRY(list_plain(c, &tar, size, err));
        c->file = sl_move(&file);
    } else {
        SL_TRY(sl_file_open_unnamed(env->spool_path, &spool, err));
        SL_TRY(spool_packed(c, &tar, spool, err));
        c->file = sl_move(&spool);
    }
    if (c->entry_count > 1) {
        qsort(c->entries, c->entry_count, sizeof(*c->entries), by_place);
    }
    return SL_OK;
}

/* ---- use ---- */

/* What to do about it, and which chunk it is. */
static sl_rc explain(const struct sli_chunk *c, const char *spool_path, sl_rc rc,
                     struct sl_err *err)
{
    uint64_t room = 0;
    struct sl_err plain = err == NULL ? (struct sl_err){0} : *err;
    if (rc == SL_ENOTFOUND) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "%s: a chunk of the backup is missing; copy the backup again, whole, or "
                       "export what is there with sluice export --skip-damaged",
                       c->path.ptr);
    }
    if (rc == SL_ECORRUPT) {
        return SL_FAIL(err, rc,
                       "%s: %s; copy this chunk of the backup again, or export what can be read "
                       "with sluice export --skip-damaged",
                       c->path.ptr, sl_err_text(&plain, rc));
    }
    if (rc == SL_ENOSPACE && sl_dir_free_bytes(spool_path, &room, NULL) == SL_OK) {
        return SL_FAIL(err, rc,
                       "%s: no room to unpack it: about %llu bytes are needed in %s, %llu are "
                       "free; name a folder with more room by --spool",
                       c->path.ptr, (unsigned long long)c->unpacked_guess, spool_path,
                       (unsigned long long)room);
    }
    return rc;
}

static sl_rc use_locked(struct sli_chunk *c, const struct sli_chunk_env *env, struct sl_err *err)
{
    if (c->failure != NULL) {
        return SL_FAIL(err, SL_ECORRUPT, "%s", c->failure);
    }
    if (c->file != NULL) {
        return SL_OK;
    }
    struct sl_err own = {0};
    sl_rc rc = read_archive(c, env, &own);
    if (rc != SL_OK) {
        give_back(c);
        rc = explain(c, env->spool_path, rc, &own);
    }
    if (rc == SL_ECORRUPT) {
        c->failure = sl_strdup(own.text); /* without memory it is tried again */
    }
    if (rc != SL_OK && err != NULL) {
        *err = own;
    }
    return rc;
}

sl_rc sli_chunk_use(struct sli_chunk *c, const struct sli_chunk_env *env, struct sl_err *err)
{
    sl_mutex_lock(&c->mu);
    sl_rc rc = use_locked(c, env, err);
    c->users += rc == SL_OK;
    sl_mutex_unlock(&c->mu);
    return rc;
}

static void give_back_unused(struct sli_chunk *c)
{
    if (c->users == 0 && c->planned == 0) {
        give_back(c);
    }
}

void sli_chunk_done(struct sli_chunk *c)
{
    sl_mutex_lock(&c->mu);
    c->users--;
    give_back_unused(c);
    sl_mutex_unlock(&c->mu);
}

void sli_chunk_plan(struct sli_chunk *c)
{
    sl_mutex_lock(&c->mu);
    c->planned++;
    sl_mutex_unlock(&c->mu);
}

void sli_chunk_unplan(struct sli_chunk *c)
{
    sl_mutex_lock(&c->mu);
    c->planned--;
    give_back_unused(c);
    sl_mutex_unlock(&c->mu);
}

uint32_t sli_chunk_find(const struct sli_chunk *c, struct sl_str name,
                        const struct sli_chunk_entry **ret)
{
    uint32_t lo = 0, hi = c->entry_count, count = 0;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (sl_bytes_cmp(sl_str_bytes(c->entries[mid].name), sl_str_bytes(name)) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    while (lo + count < c->entry_count && sl_str_eq(c->entries[lo + count].name, name)) {
        count++;
    }
    *ret = count == 0 ? NULL : &c->entries[lo];
    return count;
}
