/* weaviate-dir --random: small directories of random histories, and what crashes leave in them.
 *
 * A history of puts, deletes, flushes, compactions and cleanups is played in memory; then the
 * bucket is written as it stood at the end, or as it would have stood had the server been killed in
 * the middle of its next flush, compaction or cleanup. What lies about besides (renamed old
 * segments, side files of any content, foreign folders) must change nothing. */
#include <stdio.h>
#include <stdlib.h>

#include "weaviate_gen.h"

#define CLASSES_MAX 3
#define SHARDS_MAX  4
#define OBJECTS_MAX 60

struct player {
    struct gen *g;
    struct bucket *b;
    struct rng *r;
};

static bool roll(const struct player *p, double chance)
{
    return rng_chance(p->r, chance);
}

static struct unit random_like(const struct player *p)
{
    struct unit u = {.has_info_name = roll(p, 0.5)};
    u.style = (struct wv_style){.version = roll(p, 0.4) ? 1 : 0,
                                .secondary_count = roll(p, 0.5) ? 1 : 2,
                                .has_token = roll(p, 0.3),
                                .is_tombstone_timed = roll(p, 0.6),
                                .has_tombstone_doc_id = roll(p, 0.5),
                                .is_depth_first = roll(p, 0.5)};
    return u;
}

/* ---- history ---- */

static sl_rc write_some(const struct player *p, struct sl_err *err)
{
    for (uint32_t i = rng_below(p->r, 25); i > 0; i--) {
        SL_TRY(bucket_put(p->b, rng_below(p->r, p->b->n_max), roll(p, 0.25), err));
    }
    return SL_OK;
}

static sl_rc join(const struct unit *left, const struct unit *right, struct run *ret,
                  struct sl_err *err)
{
    const struct run *inputs[2] = {&left->ops, &right->ops};
    for (int i = 0; i < 2; i++) {
        for (uint32_t k = 0; k < inputs[i]->count; k++) {
            SL_TRY(run_add(ret, &inputs[i]->list[k], err));
        }
    }
    run_sort(ret);
    return SL_OK;
}

/* Segments `at` and `at` + 1 as one, under the name of the right one. */
static sl_rc compacted(const struct player *p, uint32_t at, struct unit *ret, struct sl_err *err)
{
    const struct unit *left = &p->b->units[at], *right = left + 1;
    *ret = random_like(p);
    ret->id = right->id;
    ret->level = (uint16_t)(SL_MAX(left->level, right->level) + 1);
    ret->style.secondary_count = left->style.secondary_count;
    return join(left, right, &ret->ops, err);
}

static sl_rc compact(const struct player *p, struct sl_err *err)
{
    struct bucket *b = p->b;
    if (b->unit_count < 2) {
        return SL_OK;
    }
    uint32_t at = rng_below(p->r, b->unit_count - 1);
    struct unit joined;
    SL_TRY(compacted(p, at, &joined, err));
    sl_free(b->units[at].ops.list);
    sl_free(b->units[at + 1].ops.list);
    b->units[at] = joined;
    b->unit_count--;
    for (uint32_t i = at + 1; i < b->unit_count; i++) {
        b->units[i] = b->units[i + 1];
    }
    return SL_OK;
}

static bool has_key(const struct unit *u, const struct op *op)
{
    for (uint32_t i = 0; i < u->ops.count; i++) {
        if (u->ops.list[i].n == op->n) {
            return true;
        }
    }
    return false;
}

/* Segment `at` without the keys that newer segments have. */
static sl_rc cleaned(const struct player *p, uint32_t at, struct unit *ret, struct sl_err *err)
{
    const struct bucket *b = p->b;
    const struct unit *u = &b->units[at];
    *ret = *u;
    ret->ops = (struct run){0};
    for (uint32_t i = 0; i < u->ops.count; i++) {
        bool is_shadowed = false;
        for (uint32_t k = at + 1; k < b->unit_count; k++) {
            is_shadowed |= has_key(&b->units[k], &u->ops.list[i]);
        }
        if (!is_shadowed) {
            SL_TRY(run_add(&ret->ops, &u->ops.list[i], err));
        }
    }
    return SL_OK;
}

static sl_rc play(const struct player *p, struct sl_err *err)
{
    for (uint32_t round = rng_below(p->r, 8); round > 0; round--) {
        SL_TRY(write_some(p, err));
        if (roll(p, 0.8) && p->b->memtable.count > 0) {
            struct unit like = random_like(p);
            SL_TRY(bucket_flush(p->b, &like, err));
        }
        if (roll(p, 0.3)) {
            SL_TRY(compact(p, err));
        }
    }
    return write_some(p, err);
}

/* ---- crashes ---- */

/* Cuts a file to a random shorter length, as a write that did not end. */
static sl_rc tear(const struct player *p, const char *path, struct sl_err *err)
{
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    SL_TRY(sl_file_read_all(path, 1u << 30, &bytes, err));
    return file_put(path, SL_BYTES(bytes.ptr, rng_below(p->r, (uint32_t)bytes.len)), err);
}

/* Writes u as segment-<name><suffix of its style>.tmp. */
static sl_rc put_tmp(const struct player *p, const struct unit *u, const char *left_id,
                     bool is_torn, struct sl_err *err)
{
    char path[PATH_SIZE], suffix[32], end[96];
    unit_suffix(u, suffix);
    text_make(end, sizeof(end), "%s%s.tmp", left_id, suffix);
    bucket_path(p->b, u->id, end, path);
    if (left_id[0] != '\0') { /* segment-<left>_<right> */
        text_make(path, sizeof(path), "%s/segment-%s_%llu%s.tmp", p->b->folder, left_id,
                  (unsigned long long)u->id, suffix);
    }
    SL_TRY(unit_write(p->g, p->b, u, path, err));
    return is_torn ? tear(p, path, err) : SL_OK;
}

/* What a server does to a segment it has replaced: the segment goes, or gets another name. */
static sl_rc retire(const struct player *p, const struct unit *u, struct sl_err *err)
{
    char path[PATH_SIZE], renamed[PATH_SIZE], suffix[32], end[64];
    unit_suffix(u, suffix);
    bucket_path(p->b, u->id, suffix, path);
    if (roll(p, 0.33)) {
        return sl_file_unlink(path, err);
    }
    text_make(end, sizeof(end), roll(p, 0.5) ? "%s.deleteme" : "%s.1757000000123.deleteme", suffix);
    bucket_path(p->b, u->id, end, renamed);
    return sl_file_rename(path, renamed, false, err);
}

/* In the middle of a compaction: before the switch, the left input gone, both gone. */
static sl_rc crash_compaction(const struct player *p, struct sl_err *err)
{
    struct bucket *b = p->b;
    if (b->unit_count < 2) {
        return SL_OK;
    }
    uint32_t at = rng_below(p->r, b->unit_count - 1), gone = rng_below(p->r, 3);
    struct unit joined;
    char left[32];
    sl_rc rc = compacted(p, at, &joined, err);
    text_make(left, sizeof(left), "%llu", (unsigned long long)b->units[at].id);
    if (rc == SL_OK) {
        rc = put_tmp(p, &joined, left, gone == 0 && roll(p, 0.5), err);
    }
    for (uint32_t i = 0; rc == SL_OK && i < gone; i++) {
        rc = retire(p, &b->units[at + i], err);
    }
    sl_free(joined.ops.list);
    return rc;
}

/* In the middle of a cleanup: before the switch; after the old segment had gone (older servers);
 * or after it, where the old segment stays beside the new one under the older kind of name. */
static sl_rc crash_cleanup(const struct player *p, struct sl_err *err)
{
    struct bucket *b = p->b;
    if (b->unit_count < 2) {
        return SL_OK;
    }
    uint32_t at = rng_below(p->r, b->unit_count - 1), kind = rng_below(p->r, 3);
    struct unit shorter;
    char path[PATH_SIZE], suffix[32];
    sl_rc rc = cleaned(p, at, &shorter, err);
    if (rc == SL_OK && kind < 2) {
        rc = put_tmp(p, &shorter, "", kind == 0 && roll(p, 0.5), err);
        if (rc == SL_OK && kind == 1) {
            rc = retire(p, &b->units[at], err);
        }
    } else if (rc == SL_OK && !b->units[at].has_info_name) {
        shorter.has_info_name = true;
        unit_suffix(&shorter, suffix);
        bucket_path(b, shorter.id, suffix, path);
        rc = unit_write(p->g, b, &shorter, path, err);
    }
    sl_free(shorter.ops.list);
    return rc;
}

/* In the middle of the flush of the log `id`: what was written of the segment, under its temporary
 * name or, by older servers, its final one. */
static sl_rc crash_flush(const struct player *p, const struct run *ops, uint64_t id,
                         struct sl_err *err)
{
    struct unit u = random_like(p);
    char path[PATH_SIZE];
    u.id = id;
    for (uint32_t i = 0; i < ops->count; i++) {
        SL_TRY(run_add(&u.ops, &ops->list[i], err));
    }
    run_sort(&u.ops);
    sl_rc rc = SL_OK;
    if (roll(p, 0.5)) {
        rc = put_tmp(p, &u, "", roll(p, 0.7), err);
    } else {
        bucket_path(p->b, id, ".db", path);
        rc = unit_write(p->g, p->b, &u, path, err);
        if (rc == SL_OK && roll(p, 0.7)) {
            rc = tear(p, path, err);
        }
    }
    sl_free(u.ops.list);
    return rc;
}

/* ---- logs ---- */

/* One more record, of which only a part was written. Other bytes at the end of a log are damage. */
static sl_rc add_torn_end(const struct player *p, const struct wv_style *style, struct wv_log *log,
                          struct sl_err *err)
{
    struct op op = bucket_op(p->b, rng_below(p->r, p->b->n_max), roll(p, 0.3));
    size_t begun = log->out.len;
    op.version += 1000;
    SL_TRY(log_add(p->g, p->b, &op, style, log, err));
    log->out.len = begun + 1 + rng_below(p->r, (uint32_t)(log->out.len - begun) - 1);
    return SL_OK;
}

static sl_rc put_log(const struct player *p, const struct run *ops, uint64_t id, struct sl_err *err)
{
    struct wv_style style = random_like(p).style;
    struct wv_log log = {.out = SL_BUF_EMPTY};
    char path[PATH_SIZE];
    style.is_old_log = roll(p, 0.1);
    sl_rc rc = SL_OK;
    for (uint32_t i = 0; rc == SL_OK && i < ops->count; i++) {
        if (!style.is_old_log) { /* continued by a server that keeps another number of keys */
            style.secondary_count =
                roll(p, 0.8) ? style.secondary_count : 3 - style.secondary_count;
        } else {
            style.secondary_count = 1;
        }
        rc = log_add(p->g, p->b, &ops->list[i], &style, &log, err);
    }
    if (rc == SL_OK && roll(p, 0.4)) {
        rc = add_torn_end(p, &style, &log, err);
    }
    if (rc == SL_OK) {
        bucket_path(p->b, id, ".wal", path);
        rc = file_put(path, sl_buf_view(&log.out), err);
    }
    sl_buf_fini(&log.out);
    return rc;
}

/* The memtable is in one log, or, while a flush waits, in two. */
static sl_rc put_logs(const struct player *p, struct sl_err *err)
{
    struct run all = p->b->memtable, part = all;
    uint64_t id = bucket_id(p->b);
    if (all.count == 0) {
        return SL_OK;
    }
    if (roll(p, 0.3)) {
        part.count = rng_below(p->r, all.count) + 1;
        SL_TRY(put_log(p, &part, id, err));
        if (roll(p, 0.5)) {
            SL_TRY(crash_flush(p, &part, id, err));
        }
        part = (struct run){.list = all.list + part.count, .count = all.count - part.count};
        return part.count == 0 ? SL_OK : put_log(p, &part, bucket_id(p->b), err);
    }
    SL_TRY(put_log(p, &all, id, err));
    return roll(p, 0.3) ? crash_flush(p, &all, id, err) : SL_OK;
}

/* ---- noise ---- */

static sl_rc put_noise(const struct player *p, uint64_t id, const char *suffix, struct sl_err *err)
{
    uint8_t bytes[64];
    char path[PATH_SIZE];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)rng_next(p->r);
    }
    bucket_path(p->b, id, suffix, path);
    return file_put(path, SL_BYTES(bytes, rng_below(p->r, sizeof(bytes))), err);
}

static sl_rc make_noise(const struct player *p, struct sl_err *err)
{
    static const char *const side[] = {".bloom",       ".secondary.0.bloom",
                                       ".metadata",    ".bloom.tmp",
                                       ".cna.tmp",     ".cna",
                                       ".db.deleteme", ".l0.s0.db.1757000000999.deleteme"};
    static const char *const empty[] = {".wal"};
    struct bucket *b = p->b;
    char path[PATH_SIZE];
    for (uint32_t i = 0; i < b->unit_count; i++) {
        if (roll(p, 0.3)) {
            SL_TRY(put_noise(p, b->units[i].id, side[rng_below(p->r, SL_COUNT_OF(side))], err));
        }
        if (roll(p, 0.1)) { /* a log of nothing beside its segment */
            bucket_path(b, b->units[i].id, empty[0], path);
            SL_TRY(file_put(path, SL_BYTES(NULL, 0), err));
        }
    }
    for (uint32_t i = rng_below(p->r, 3); i > 0; i--) {
        bucket_path(b, bucket_id(b), empty[0], path);
        SL_TRY(file_put(path, SL_BYTES(NULL, 0), err));
    }
    if (roll(p, 0.3)) {
        SL_TRY(put_noise(p, 1700000000000000000u, side[6], err));
        text_make(path, sizeof(path), "%s/cleanup.db.bolt", b->folder);
        SL_TRY(file_put(path, SL_BYTES("bolt", 4), err));
        bucket_path(b, 1700000000000000001u, ".scratch.d", path);
        SL_TRY(folder_make(path, err));
    }
    return SL_OK;
}

static sl_rc drop_side_files(const struct player *p, struct sl_err *err)
{
    char path[PATH_SIZE], suffix[32];
    for (uint32_t i = 0; i < p->b->unit_count; i++) {
        if (roll(p, 0.3)) {
            unit_suffix(&p->b->units[i], suffix);
            bucket_path(p->b, p->b->units[i].id, suffix, path);
            text_make(path + strlen(path) - 3, 5, ".cna");
            SL_TRY(sl_file_unlink(path, err));
        }
    }
    return SL_OK;
}

/* ---- directory ---- */

static sl_rc random_shard(struct gen *g, const struct gen_class *c, const char *shard, uint64_t uid,
                          bool is_told, struct rng *r, struct sl_err *err)
{
    struct bucket b;
    struct player p = {g, &b, r};
    sl_rc rc = bucket_init(g, &b, c, shard, uid, 1 + rng_below(r, OBJECTS_MAX), err);
    static sl_rc (*const crashes[])(const struct player *, struct sl_err *) = {crash_compaction,
                                                                               crash_cleanup};
    static sl_rc (*const steps[])(const struct player *,
                                  struct sl_err *) = {put_logs, drop_side_files, make_noise};
    if (rc == SL_OK && roll(&p, 0.95)) { /* otherwise a shard that never held anything */
        rc = play(&p, err);
    }
    if (rc == SL_OK) {
        rc = bucket_write(g, &b, err);
    }
    if (rc == SL_OK && roll(&p, 0.6)) {
        rc = crashes[rng_below(r, 2)](&p, err);
    }
    for (uint32_t i = 0; rc == SL_OK && i < SL_COUNT_OF(steps); i++) {
        rc = steps[i](&p, err);
    }
    if (rc == SL_OK && is_told) {
        rc = gen_truth(g, &b, err);
    }
    bucket_fini(&b);
    return rc;
}

static void random_class(struct gen_class *c, uint32_t idx, bool has_schema, struct rng *r)
{
    static const char *const names[CLASSES_MAX] = {"Plain", "Tenants_2", "MultiVector"};
    *c = (struct gen_class){.is_random = true,
                            .is_multi_tenant = rng_chance(r, 0.4),
                            .is_unnamed = has_schema && rng_chance(r, 0.2),
                            .dims = rng_below(r, 33),
                            .dims_named = 1 + rng_below(r, 16)};
    text_make(c->name, sizeof(c->name), "%s", names[idx]);
    if (rng_chance(r, 0.6)) {
        c->named_count = rng_below(r, NAMES_MAX);
        c->multi_count = rng_below(r, 3);
    }
    if (c->multi_count == 0 && rng_chance(r, 0.5)) {
        c->tail_cut = c->named_count == 0 ? 1 + rng_below(r, 2) : 1;
    }
}

static void random_shard_name(const struct gen_class *c, uint32_t idx, struct rng *r, char ret[32])
{
    static const char *const tenants[SHARDS_MAX] = {"A_B", "a-b", "hot1", "B"};
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if (c->is_multi_tenant) {
        text_make(ret, 32, "%s", tenants[idx]);
        return;
    }
    for (int i = 0; i < 12; i++) {
        ret[i] = letters[rng_below(r, sizeof(letters) - 1)];
    }
    ret[12] = '\0';
}

static sl_rc tell_schema(struct gen *g, const struct gen_class *c, char (*names)[32],
                         uint32_t count, struct rng *r, struct sl_err *err)
{
    const char *list[SHARDS_MAX + 1], *states[SHARDS_MAX + 1];
    for (uint32_t i = 0; i < count; i++) {
        list[i] = names[i];
        states[i] = rng_chance(r, 0.3) ? "COLD" : "HOT";
    }
    if (!c->is_multi_tenant) {
        return gen_add_class(g, c, list, count, err);
    }
    list[count] = "gone"; /* in another store: no folder */
    states[count] = "FROZEN";
    SL_TRY(gen_add_class(g, c, NULL, 0, err));
    return gen_add_tenants(g, c, list, states, count + (rng_chance(r, 0.3) ? 1u : 0u), err);
}

/* A class that was dropped while its folder could not be removed. */
static sl_rc add_dropped_class(struct gen *g, struct rng *r, struct sl_err *err)
{
    struct gen_class c = {.name = "Dropped", .is_random = true, .dims = 4};
    const char *shard = "DroppedShard";
    SL_TRY(random_shard(g, &c, shard, 1000, false, r, err));
    SL_TRY(gen_add_class(g, &c, &shard, 1, err));
    return gen_command(g, WV_DELETE_CLASS, "Dropped") == NULL ? SL_NOMEM(err) : SL_OK;
}

sl_rc random_dir(struct gen *g, struct sl_err *err)
{
    struct rng r = {g->seed * 0x9e3779b97f4a7c15u + 1};
    bool has_schema = rng_chance(&r, 0.7);
    char folder[PATH_SIZE];
    uint32_t classes = 1 + rng_below(&r, CLASSES_MAX);
    for (uint32_t i = 0; i < classes; i++) {
        struct gen_class c;
        char names[SHARDS_MAX][32];
        random_class(&c, i, has_schema, &r);
        uint32_t count = 1 + rng_below(&r, SHARDS_MAX);
        for (uint32_t k = 0; k < count; k++) {
            random_shard_name(&c, k, &r, names[k]);
            SL_TRY(random_shard(g, &c, names[k], i * 10 + k + 1, true, &r, err));
        }
        if (has_schema) {
            SL_TRY(tell_schema(g, &c, names, count, &r, err));
        }
    }
    if (has_schema && rng_chance(&r, 0.3)) {
        SL_TRY(add_dropped_class(g, &r, err));
    }
    if (rng_chance(&r, 0.3)) { /* a class being deleted: not a class any more */
        text_make(folder, sizeof(folder),
                  "%s/plain.1757000000000000001.1a2b3c4d.deleteme/x/lsm/objects", g->path);
        SL_TRY(folder_make(folder, err));
    }
    return SL_OK;
}
