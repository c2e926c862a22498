/* The merge: segments and logs of a bucket as one run of keys; see bucket.h.
 *
 * Each source of a cursor stands at its smallest key not yet told; the smallest of all is next, and
 * where several have it, the newest source wins and the others step over it. Buckets have few
 * sources, so a plain pass over them beats a heap. The winner steps on only when the next key is
 * wanted, since its value is a view into its window. */
#include "lsm/bucket.h"

#include <stdlib.h>

#include "lsm/lsm_int.h"

#define WINDOWS_BYTES (8u << 20) /* windows of one cursor together, with up to 128 sources */
#define WINDOW_MAX    (1u << 20)
#define WINDOW_MIN    (16u << 10)
#define DATA_BEGIN    16 /* behind the header of a segment */
#define SAMPLES       8  /* index nodes looked at for each key a split is to find */

struct source {
    bool is_log;
    struct sli_segment segment;
    struct sli_log log;
};

struct sl_bucket {
    struct sl_bucket_opts opts;
    uint32_t count;
    struct source sources[];
};

void sl_bucket_close(struct sl_bucket *b)
{
    if (b == NULL) {
        return;
    }
    for (uint32_t i = 0; i < b->count; i++) {
        sli_log_fini(&b->sources[i].log);
    }
    sl_free(b);
}

sl_rc sl_bucket_open(const struct sl_bucket_source *sources, uint32_t count,
                     const struct sl_bucket_opts *opts, struct sl_bucket **ret, struct sl_err *err)
{
    SL_AUTO_PTR(sl_bucket) b = sl_alloc_zero(1, sizeof(*b) + count * sizeof(b->sources[0]));
    if (b == NULL) {
        return SL_NOMEM(err);
    }
    b->opts = *opts;
    for (uint32_t i = 0; i < count; i++) {
        struct source *s = &b->sources[i];
        s->is_log = sources[i].is_log;
        if (s->is_log) {
            SL_TRY(sli_log_open(&sources[i].blob, opts, &s->log, err));
        } else {
            SL_TRY(sli_segment_open(&sources[i].blob, &s->segment, err));
        }
        b->count++;
    }
    *ret = sl_move(&b);
    return SL_OK;
}

sl_rc sl_bucket_check(struct sl_bucket *b, struct sl_err *err)
{
    for (uint32_t i = 0; i < b->count; i++) {
        if (!b->sources[i].is_log) {
            SL_TRY(sli_segment_check(&b->sources[i].segment, err));
        }
    }
    return SL_OK;
}

static uint64_t key_count(const struct source *s)
{
    return s->is_log ? s->log.count : sli_segment_key_count(&s->segment);
}

uint64_t sl_bucket_key_count(const struct sl_bucket *b)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        n += key_count(&b->sources[i]);
    }
    return n;
}

/* ---- split ---- */

struct sample {
    uint64_t key[2];
    double bytes; /* of the source that the key stands for */
};
struct samples {
    struct sample *list; /* owned */
    size_t count, cap;
};

static int by_sample_key(const void *a, const void *b)
{
    return sli_key_cmp(((const struct sample *)a)->key, ((const struct sample *)b)->key);
}

/* Keys of the top levels of the index, breadth first: about evenly spread, as the tree is balanced.
 */
static sl_rc sample_segment(const struct sli_segment *s, struct samples *out, size_t max,
                            struct sl_err *err)
{
    SL_AUTO_MEM(int64_t) pending = sl_alloc_zero(max + 1, 2 * sizeof(*pending));
    size_t head = 0, tail = 0, first = out->count;
    if (pending == NULL) {
        return SL_NOMEM(err);
    }
    if (s->index_end > s->index_at) {
        pending[tail++] = 0;
    }
    while (head < tail && out->count - first < max) {
        struct sli_index_node n;
        SL_TRY(sli_segment_index_node(s, pending[head++], &n, err));
        out->list[out->count++] = (struct sample){.key = {n.key[0], n.key[1]}};
        if (n.left >= 0) {
            pending[tail++] = n.left;
        }
        if (n.right >= 0) {
            pending[tail++] = n.right;
        }
    }
    for (size_t i = first; i < out->count; i++) {
        out->list[i].bytes = (double)s->data_end / (double)(out->count - first);
    }
    return SL_OK;
}

static void sample_log(const struct sli_log *log, struct samples *out, size_t max)
{
    size_t n = (size_t)SL_MIN(log->count, (uint64_t)max);
    for (size_t i = 0; i < n; i++) {
        const struct sli_log_entry *e = &log->entries[(2 * i + 1) * log->count / (2 * n)];
        out->list[out->count++] = (struct sample){.key = {e->key[0], e->key[1]},
                                                  .bytes = (double)log->good_bytes / (double)n};
    }
}

static sl_rc take_samples(struct sl_bucket *b, size_t max, struct samples *out, struct sl_err *err)
{
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->sources[i].is_log) {
            sample_log(&b->sources[i].log, out, max);
        } else {
            SL_TRY(sample_segment(&b->sources[i].segment, out, max, err));
        }
    }
    if (out->count > 0) {
        qsort(out->list, out->count, sizeof(*out->list), by_sample_key);
    }
    return SL_OK;
}

sl_rc sl_bucket_split(struct sl_bucket *b, uint32_t key_max, uint8_t (*ret)[SL_UUID_SIZE],
                      uint32_t *ret_count, struct sl_err *err)
{
    size_t max = (size_t)key_max * SAMPLES;
    SL_AUTO_MEM(struct sample) list = sl_alloc_zero(max + 1, b->count * sizeof(*list) + 1);
    struct samples samples = {.list = list};
    if (list == NULL) {
        return SL_NOMEM(err);
    }
    SL_TRY(take_samples(b, max, &samples, err));
    double total = 0, passed = 0;
    for (size_t i = 0; i < samples.count; i++) {
        total += samples.list[i].bytes;
    }
    uint32_t n = 0;
    const uint64_t *before = NULL;
    for (size_t i = 0; i < samples.count && n < key_max; i++) {
        const struct sample *s = &samples.list[i];
        /* The half of a sample's bytes lies before its key. */
        bool is_due = passed + s->bytes / 2 >= total * (n + 1) / (key_max + 1.0);
        if (is_due && (before == NULL || sli_key_cmp(before, s->key) < 0)) {
            sli_key_store(s->key, ret[n++]);
            before = s->key;
        }
        passed += s->bytes;
    }
    *ret_count = n;
    return SL_OK;
}

/* ---- cursor ---- */

struct stream {
    const struct source *source;
    struct sli_window w;
    struct sli_node node; /* current, when !is_done */
    uint64_t at, stop;    /* segment: offsets; log: entry numbers */
    uint64_t last[2];     /* key before, when has_last */
    bool has_last;
    bool is_done, is_used; /* used: step on before the next key */
    bool is_damaged;       /* the index knows the key, its node is unreadable */
};

struct sl_bucket_cursor {
    struct sl_bucket *bucket;
    uint64_t lo[2], hi[2];
    bool has_hi;
    uint8_t key[SL_UUID_SIZE];
    uint32_t count;
    struct stream streams[];
};

static const char *name_of(const struct source *s)
{
    return s->is_log ? s->log.blob.name : s->segment.blob.name;
}

/* At an unreadable node: the index tells whose it is and where the next one begins. The failure of
 * the node stands when the index does not know. */
static sl_rc step_over(struct sl_bucket_cursor *c, struct stream *st)
{
    struct sli_index_node n;
    uint64_t after[2] = {c->lo[0], c->lo[1]};
    if (st->has_last) {
        after[0] = st->last[0] + (st->last[1] == UINT64_MAX ? 1 : 0);
        after[1] = st->last[1] + 1;
    }
    sl_rc rc = sli_segment_seek(&st->source->segment, after, &n, NULL);
    if (rc != SL_OK || n.start != st->at) {
        return SL_ECORRUPT;
    }
    st->is_damaged = true;
    st->node =
        (struct sli_node){.offset = n.start, .size = n.end - n.start, .key = {n.key[0], n.key[1]}};
    return SL_OK;
}

/* Every key must lie in the range and behind the one before: so neither a damaged key nor a damaged
 * index, which leads to the range, can hide or repeat rows. */
static sl_rc check_key(const struct sl_bucket_cursor *c, const struct stream *st,
                       struct sl_err *err)
{
    const struct sli_segment *s = &st->source->segment;
    if (SL_UNLIKELY(st->has_last && sli_key_cmp(st->last, st->node.key) >= 0)) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "%s: damaged at offset %llu: its key is not larger than the one before",
                       s->blob.name, (unsigned long long)st->at);
    }
    if (SL_UNLIKELY(sli_key_cmp(st->node.key, c->lo) < 0 ||
                    (c->has_hi && sli_key_cmp(st->node.key, c->hi) >= 0))) {
        return SL_FAIL(err, SL_ECORRUPT,
                       "%s: damaged at offset %llu: the index does not lead to where this key lies",
                       s->blob.name, (unsigned long long)st->at);
    }
    return SL_OK;
}

static sl_rc step_segment(struct sl_bucket_cursor *c, struct stream *st, struct sl_err *err)
{
    if (st->at == st->stop) {
        st->is_done = true;
        return SL_OK;
    }
    st->is_damaged = false;
    sl_rc rc = sli_node_read(&st->w, st->at, st->source->segment.slot_count, 0, &st->node, err);
    if (SL_LIKELY(rc == SL_OK)) {
        rc = check_key(c, st, err);
    }
    if (SL_UNLIKELY(rc == SL_ECORRUPT && c->bucket->opts.damage != NULL)) {
        rc = step_over(c, st);
    }
    SL_TRY(rc);
    if (st->node.is_tombstone) { /* when node and index disagree, both keys are in doubt */
        SL_TRY(sli_segment_check_tombstone(&st->source->segment, st->node.key, st->at, err));
    }
    st->last[0] = st->node.key[0];
    st->last[1] = st->node.key[1];
    st->has_last = true;
    st->at += st->node.size;
    return SL_OK;
}

static void step_log(struct stream *st)
{
    const struct sli_log *log = &st->source->log;
    if (st->at == st->stop) {
        st->is_done = true;
        return;
    }
    const struct sli_log_entry *e = &log->entries[st->at++];
    st->node = (struct sli_node){.offset = e->offset,
                                 .size = e->size,
                                 .key = {e->key[0], e->key[1]},
                                 .is_tombstone = e->is_tombstone};
}

/* The value of a log's entry is read only when it wins. Its checksum was right when the log was
 * opened; a key that is another now says that the file changed since. */
static sl_rc load_log_value(struct stream *st, struct sl_err *err)
{
    uint64_t key[2] = {st->node.key[0], st->node.key[1]}, offset = st->node.offset;
    sli_window_move(&st->w, offset + st->node.size);
    sl_rc rc = sli_node_read(&st->w, offset, UINT32_MAX, st->node.size, &st->node, err);
    if (rc == SL_ECORRUPT || (rc == SL_OK && sli_key_cmp(key, st->node.key) != 0)) {
        return SL_FAIL(err, SL_ECORRUPT, "%s: changed at offset %llu while it was read",
                       st->source->log.blob.name, (unsigned long long)offset);
    }
    return rc;
}

static sl_rc step(struct sl_bucket_cursor *c, struct stream *st, struct sl_err *err)
{
    st->is_used = false;
    if (st->source->is_log) {
        step_log(st);
        return SL_OK;
    }
    return step_segment(c, st, err);
}

/* Where the first key >= key lies in the data. */
static sl_rc offset_of(const struct sli_segment *s, const uint64_t key[2], uint64_t *ret,
                       struct sl_err *err)
{
    struct sli_index_node n;
    sl_rc rc = sli_segment_seek(s, key, &n, err);
    *ret = rc == SL_OK ? n.start : s->data_end;
    return rc == SL_END ? SL_OK : rc;
}

static sl_rc begin_stream(struct sl_bucket_cursor *c, struct stream *st, bool has_lo,
                          struct sl_err *err)
{
    if (st->source->is_log) {
        const struct sli_log *log = &st->source->log;
        st->at = has_lo ? sli_log_seek(log, c->lo) : 0;
        st->stop = c->has_hi ? sli_log_seek(log, c->hi) : log->count;
        sli_window_begin(&st->w, &log->blob, log->good_bytes, WINDOW_MIN);
        return SL_OK;
    }
    const struct sli_segment *s = &st->source->segment;
    st->at = DATA_BEGIN;
    st->stop = s->data_end;
    if (has_lo) {
        SL_TRY(offset_of(s, c->lo, &st->at, err));
    }
    if (c->has_hi) {
        SL_TRY(offset_of(s, c->hi, &st->stop, err));
    }
    if (st->at > st->stop) {
        return SL_FAIL(err, SL_ECORRUPT, "%s: damaged: the index is not in the order of the keys",
                       s->blob.name);
    }
    size_t share = WINDOWS_BYTES / c->bucket->count;
    size_t want = SL_MAX(SL_MIN(share, (size_t)WINDOW_MAX), (size_t)WINDOW_MIN);
    sli_window_begin(&st->w, &s->blob, st->stop, want);
    return SL_OK;
}

sl_rc sl_bucket_scan(struct sl_bucket *b, const uint8_t *lo, const uint8_t *hi,
                     struct sl_bucket_cursor **ret, struct sl_err *err)
{
    SL_AUTO_PTR(sl_bucket_cursor)
    c = sl_alloc_zero(1, sizeof(*c) + b->count * sizeof(c->streams[0]));
    if (c == NULL) {
        return SL_NOMEM(err);
    }
    c->bucket = b;
    if (lo != NULL) {
        sli_key_load(lo, c->lo);
    }
    if (hi != NULL) {
        sli_key_load(hi, c->hi);
        c->has_hi = true;
    }
    for (; c->count < b->count; c->count++) {
        struct stream *st = &c->streams[c->count];
        st->source = &b->sources[c->count];
        st->is_used = true;
        SL_TRY(begin_stream(c, st, lo != NULL, err));
    }
    *ret = sl_move(&c);
    return SL_OK;
}

void sl_bucket_cursor_close(struct sl_bucket_cursor *c)
{
    if (c == NULL) {
        return;
    }
    for (uint32_t i = 0; i < c->count; i++) {
        sli_window_fini(&c->streams[i].w);
    }
    sl_free(c);
}

/* The newest stream at the smallest key; all others at that key are marked used. NULL at the end.
 */
static sl_rc pick(struct sl_bucket_cursor *c, struct stream **ret, struct sl_err *err)
{
    struct stream *best = NULL;
    for (uint32_t i = 0; i < c->count; i++) {
        struct stream *st = &c->streams[i];
        if (st->is_used && !st->is_done) {
            SL_TRY(step(c, st, err));
        }
        if (st->is_done) {
            continue;
        }
        int cmp = best == NULL ? -1 : sli_key_cmp(st->node.key, best->node.key);
        if (cmp == 0) {
            best->is_used = true; /* older: the later source has the last word */
        }
        if (cmp <= 0) {
            best = st;
        }
    }
    if (best != NULL) {
        best->is_used = true;
    }
    *ret = best;
    return SL_OK;
}

static sl_rc tell_damage(struct sl_bucket_cursor *c, const struct stream *st)
{
    struct sl_err told = {0};
    uint8_t uuid[SL_UUID_SIZE];
    sli_key_store(st->node.key, uuid);
    SL_IGNORE(SL_FAIL(&told, SL_ECORRUPT, "%s: damaged at offset %llu", name_of(st->source),
                      (unsigned long long)st->node.offset),
              "writes the sentence");
    c->bucket->opts.damage(c->bucket->opts.damage_arg, uuid, told.text);
    return SL_OK;
}

sl_rc sl_bucket_next(struct sl_bucket_cursor *c, struct sl_bucket_entry *ret, struct sl_err *err)
{
    for (;;) {
        struct stream *st = NULL;
        SL_TRY(pick(c, &st, err));
        if (st == NULL) {
            return SL_END;
        }
        if (SL_UNLIKELY(st->is_damaged)) {
            SL_TRY(tell_damage(c, st));
            continue;
        }
        if (st->node.is_tombstone) {
            continue;
        }
        if (st->source->is_log) {
            SL_TRY(load_log_value(st, err));
        }
        sli_key_store(st->node.key, c->key);
        *ret = (struct sl_bucket_entry){.key = c->key,
                                        .value = st->node.value,
                                        .file = name_of(st->source),
                                        .offset = st->node.offset};
        return SL_OK;
    }
}

/* ---- describe, verify ---- */

void sl_bucket_describe(const struct sl_bucket *b, uint32_t source_idx, struct sl_bucket_info *ret)
{
    const struct source *s = &b->sources[source_idx];
    *ret = (struct sl_bucket_info){.is_log = s->is_log, .key_count = key_count(s)};
    if (s->is_log) {
        ret->tombstone_count = s->log.tombstone_count;
        ret->good_bytes = s->log.good_bytes;
    } else {
        ret->level = s->segment.level;
        ret->version = s->segment.version;
        ret->secondary_count = s->segment.slot_count;
        ret->has_checksum = s->segment.version == 1;
        ret->tombstone_count = s->segment.tombstone_count;
        ret->timed_tombstone_count = s->segment.timed_tombstone_count;
        ret->keyed_tombstone_count = s->segment.keyed_tombstone_count;
    }
}

sl_rc sl_bucket_verify(struct sl_bucket *b, uint32_t source_idx, struct sl_err *err)
{
    struct source *s = &b->sources[source_idx];
    return s->is_log ? SL_OK /* open has read a log whole */
                     : sli_segment_verify(&s->segment, &b->opts, err);
}
