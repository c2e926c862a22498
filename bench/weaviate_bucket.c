/* A bucket as a server keeps it, in memory, and its files; see weaviate_gen.h. */
#include "weaviate_gen.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "data.h"

#define CLOCK_BEGIN 1757000000000000000u /* of the first memtable, Unix nanoseconds */

void text_make(char *ret, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(ret, size, fmt, args);
    va_end(args);
    sl_assert(len >= 0 && (size_t)len < size);
}

/* Not sl_dir_create: it syncs every folder, and here there may be forty thousand. */
sl_rc folder_make(const char *path, struct sl_err *err)
{
    char part[PATH_SIZE];
    for (size_t i = 1; i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        text_make(part, sizeof(part), "%.*s", (int)i, path);
        if (mkdir(part, 0755) != 0 && errno != EEXIST) {
            return SL_FAIL_ERRNO(err, errno, "making the folder %s", part);
        }
    }
    return SL_OK;
}

sl_rc file_put(const char *path, struct sl_bytes b, struct sl_err *err)
{
    SL_AUTO_PTR(sl_file) f = NULL;
    SL_TRY(sl_file_open(path, SL_FILE_REPLACE, &f, err));
    return sl_file_append(f, b, err);
}

static sl_rc put_in(const char *folder, const char *name, struct sl_bytes b, struct sl_err *err)
{
    char path[PATH_SIZE];
    text_make(path, sizeof(path), "%s/%s", folder, name);
    return file_put(path, b, err);
}

/* <data>/<lower-case class>/<shard>/ with what lies beside the buckets. */
sl_rc bucket_init(struct gen *g, struct bucket *b, const struct gen_class *c, const char *shard,
                  uint64_t uid, uint32_t n_max, struct sl_err *err)
{
    char folder[PATH_SIZE], name[64];
    uint8_t count[8];
    *b = (struct bucket){.class = c, .uid = uid, .n_max = n_max, .clock = CLOCK_BEGIN};
    text_make(b->shard, sizeof(b->shard), "%s", shard);
    for (size_t i = 0; i < sizeof(name); i++) {
        char ch = c->name[i];
        name[i] = ch >= 'A' && ch <= 'Z' ? (char)(ch + 32) : ch;
    }
    text_make(folder, sizeof(folder), "%s/%s/%s", g->path, name, shard);
    text_make(b->folder, sizeof(b->folder), "%s/lsm/objects", folder);
    b->states = sl_alloc_zero(n_max + 1u, sizeof(*b->states));
    if (b->states == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(folder_make(b->folder, err));
    sl_put_u64(count, n_max);
    SL_TRY(put_in(folder, "indexcount", SL_BYTES(count, 8), err));
    SL_TRY(put_in(folder, "version", SL_BYTES("\2", 2), err));
    return put_in(folder, "proplengths", SL_BYTES("{}", 2), err);
}

void bucket_fini(struct bucket *b)
{
    for (uint32_t i = 0; i < b->unit_count; i++) {
        sl_free(b->units[i].ops.list);
    }
    sl_free(b->memtable.list);
    sl_free(b->states);
    *b = (struct bucket){0};
}

/* ---- operations ---- */

sl_rc run_add(struct run *r, const struct op *op, struct sl_err *err)
{
    if (r->count == r->cap) {
        uint32_t cap = SL_MAX(r->cap * 2, 16u);
        struct op *grown = sl_realloc(r->list, cap * sizeof(*grown));
        if (grown == NULL) {
            return SL_NOMEM(err);
        }
        r->list = grown;
        r->cap = cap;
    }
    r->list[r->count++] = *op;
    return SL_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct op *x = a, *y = b;
    int c = memcmp(x->key, y->key, SL_UUID_SIZE);
    /* Later versions first; a deletion has the version after that of what it deletes. */
    return c != 0 ? c : (x->version < y->version) - (x->version > y->version);
}

void run_sort(struct run *r)
{
    if (r->count == 0) {
        return;
    }
    qsort(r->list, r->count, sizeof(*r->list), by_key);
    uint32_t kept = 1;
    for (uint32_t i = 1; i < r->count; i++) {
        if (memcmp(r->list[i].key, r->list[kept - 1].key, SL_UUID_SIZE) != 0) {
            r->list[kept++] = r->list[i];
        }
    }
    r->count = kept;
}

struct op bucket_op(const struct bucket *b, uint32_t n, bool is_delete)
{
    struct op op = {.n = n, .version = b->states[n].version, .is_delete = is_delete};
    data_uuid((b->uid << 32) + n, op.key);
    return op;
}

sl_rc bucket_put(struct bucket *b, uint32_t n, bool is_delete, struct sl_err *err)
{
    b->states[n].version++;
    b->states[n].is_live = !is_delete;
    struct op op = bucket_op(b, n, is_delete);
    return run_add(&b->memtable, &op, err);
}

uint64_t bucket_id(struct bucket *b)
{
    return b->clock += 1234567891;
}

sl_rc bucket_flush(struct bucket *b, const struct unit *like, struct sl_err *err)
{
    if (b->unit_count == SEGMENTS_MAX) {
        return SL_FAIL(err, SL_EINVAL, "more than %d segments in one bucket", SEGMENTS_MAX);
    }
    struct unit *u = &b->units[b->unit_count++];
    *u = *like;
    u->ops = b->memtable;
    u->id = bucket_id(b);
    run_sort(&u->ops);
    b->memtable = (struct run){0};
    return SL_OK;
}

/* ---- files ---- */

void bucket_path(const struct bucket *b, uint64_t id, const char *suffix, char ret[PATH_SIZE])
{
    text_make(ret, PATH_SIZE, "%s/segment-%llu%s", b->folder, (unsigned long long)id, suffix);
}

void unit_suffix(const struct unit *u, char ret[32])
{
    if (u->has_info_name) {
        text_make(ret, 32, ".l%u.s0.db", u->level);
    } else {
        text_make(ret, 32, ".db");
    }
}

static sl_rc make_node(struct gen *g, const struct bucket *b, const struct op *op,
                       struct wv_node *ret, struct sl_err *err)
{
    *ret = (struct wv_node){.is_tombstone = op->is_delete,
                            .doc_id = ((uint64_t)op->version << 20) + op->n,
                            .deleted_ms = 1700000000000 + (int64_t)op->version};
    memcpy(ret->key, op->key, SL_UUID_SIZE);
    if (!op->is_delete) {
        SL_TRY(gen_value(g, b, op, err));
        ret->value = sl_buf_view(&g->value);
    }
    return SL_OK;
}

sl_rc unit_write(struct gen *g, const struct bucket *b, const struct unit *u, const char *path,
                 struct sl_err *err)
{
    struct wv_segment s;
    sl_rc rc = wv_segment_begin(&s, path, &u->style, u->level, err);
    for (uint32_t i = 0; rc == SL_OK && i < u->ops.count; i++) {
        struct wv_node node;
        rc = make_node(g, b, &u->ops.list[i], &node, err);
        if (rc == SL_OK) {
            rc = wv_segment_add(&s, &node, err);
        }
    }
    if (rc == SL_OK) {
        g->bytes += s.at;
        rc = wv_segment_end(&s, err);
    }
    wv_segment_fini(&s);
    return rc;
}

sl_rc bucket_write(struct gen *g, const struct bucket *b, struct sl_err *err)
{
    SL_AUTO_MEM(bool) is_visible = sl_alloc_zero(b->n_max + 1u, sizeof(bool));
    if (is_visible == NULL) {
        return SL_NOMEM(err);
    }
    for (uint32_t i = 0; i < b->unit_count; i++) {
        const struct unit *u = &b->units[i];
        char path[PATH_SIZE], suffix[32];
        int64_t net = 0;
        for (uint32_t k = 0; k < u->ops.count; k++) {
            const struct op *op = &u->ops.list[k];
            net += (int)!op->is_delete - (int)is_visible[op->n];
            is_visible[op->n] = !op->is_delete;
        }
        unit_suffix(u, suffix);
        bucket_path(b, u->id, suffix, path);
        SL_TRY(unit_write(g, b, u, path, err));
        text_make(path + strlen(path) - 3, 5, ".cna");
        SL_TRY(wv_cna_write(path, net, err));
    }
    return SL_OK;
}

sl_rc log_add(struct gen *g, const struct bucket *b, const struct op *op,
              const struct wv_style *style, struct wv_log *log, struct sl_err *err)
{
    struct wv_node node;
    SL_TRY(make_node(g, b, op, &node, err));
    wv_log_add(log, style, &node);
    return sl_buf_done(&log->out, err);
}
