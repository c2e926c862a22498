/* kv in memory, for tests: exactly the promises of kv.h, by the simplest means.
 *
 * The whole state is one immutable table: a sorted array of shared entries. A commit builds the
 * next table beside the current one and swaps it in under the lock, so a commit is atomic, a failed
 * one changed nothing, and an iterator or a frozen view is no more than a reference to a table. The
 * price is O(keys) per commit, which a test can pay. Frozen tables are remembered by name until
 * they are dropped; "durable" lasts as long as the struct, which is what a test means by a restart.
 * One lock protects the current table, the names and all reference counts. @threads any. */
#include "kv/kv.h"

#include "base/sync.h"
#include "kv/kv_int.h"

struct entry {
    uint32_t ref_count; /* tables that hold it; under mem_kv.mu */
    uint32_t key_len;
    size_t value_len;
    uint8_t bytes[]; /* key, then value */
};

struct table {
    uint32_t ref_count; /* current state, frozen views and iterators; under mem_kv.mu */
    size_t count;
    size_t cap;
    struct entry *entries[]; /* ascending by key */
};

struct frozen {
    struct frozen *next;
    struct table *table;
    char *name;
};

struct mem_kv {
    struct sl_kv kv;
    struct sl_mutex mu;
    struct table *current;
    struct frozen *frozen; /* ascending by name */
};

struct sl_kv_view {
    struct table *table;
    char *name;
};

struct mem_iter {
    struct sl_kv_iter it;
    struct mem_kv *m;
    struct table *table;
    size_t at, end; /* indices into the table */
};

static struct mem_kv *mem_of(struct sl_kv *kv)
{
    return SL_CONTAINER_OF(kv, struct mem_kv, kv);
}

static struct sl_bytes entry_key(const struct entry *e)
{
    return SL_BYTES(e->bytes, e->key_len);
}

static struct sl_bytes entry_value(const struct entry *e)
{
    return SL_BYTES(e->bytes + e->key_len, e->value_len);
}

static void entry_unref(struct entry *e)
{
    if (--e->ref_count == 0) {
        sl_free(e);
    }
}

static void table_unref(struct table *t)
{
    if (t != NULL && --t->ref_count == 0) {
        for (size_t i = 0; i < t->count; i++) {
            entry_unref(t->entries[i]);
        }
        sl_free(t);
    }
}

static struct table *table_new(size_t cap)
{
    size_t size;
    if (!sl_mul_size(cap, sizeof(struct entry *), &size) ||
        !sl_add_size(size, sizeof(struct table), &size)) {
        return NULL;
    }
    struct table *t = sl_alloc(size);
    if (t != NULL) {
        *t = (struct table){.ref_count = 1, .cap = cap};
    }
    return t;
}

/* Index of the first entry whose key is not below `key`. */
static size_t table_find(const struct table *t, struct sl_bytes key)
{
    size_t lo = 0;
    size_t hi = t->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (sl_bytes_cmp(entry_key(t->entries[mid]), key) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static struct entry *table_get(const struct table *t, struct sl_bytes key)
{
    size_t at = table_find(t, key);
    bool is_there = at < t->count && sl_bytes_eq(entry_key(t->entries[at]), key);
    return is_there ? t->entries[at] : NULL;
}

static sl_rc table_put(struct table *t, struct sl_bytes key, struct sl_bytes value,
                       struct sl_err *err)
{
    struct entry *e = sl_alloc(sizeof *e + key.len + value.len);
    if (e == NULL) {
        return SL_NOMEM(err);
    }
    *e = (struct entry){.ref_count = 1, .key_len = (uint32_t)key.len, .value_len = value.len};
    memcpy(e->bytes, key.ptr, key.len);
    if (value.len > 0) {
        memcpy(e->bytes + key.len, value.ptr, value.len);
    }
    size_t at = table_find(t, key);
    if (at < t->count && sl_bytes_eq(entry_key(t->entries[at]), key)) {
        entry_unref(t->entries[at]);
    } else {
        sl_assert(t->count < t->cap);
        memmove(&t->entries[at + 1], &t->entries[at], (t->count - at) * sizeof(struct entry *));
        t->count++;
    }
    t->entries[at] = e;
    return SL_OK;
}

static void table_cut(struct table *t, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        entry_unref(t->entries[i]);
    }
    memmove(&t->entries[from], &t->entries[to], (t->count - to) * sizeof(struct entry *));
    t->count -= to - from;
}

static sl_rc table_add(struct table *t, struct sl_bytes key, struct sl_bytes delta,
                       struct sl_err *err)
{
    struct entry *e = table_get(t, key);
    uint64_t sum = 0;
    /* A value of another length counts as 0, as RocksDB's uint64add operator has it. */
    if (e != NULL && e->value_len == sizeof sum) {
        memcpy(&sum, entry_value(e).ptr, sizeof sum);
    }
    struct sl_rd rd = sl_rd_over(delta);
    uint8_t bytes[8];
    sl_put_u64(bytes, sum + sl_rd_u64(&rd));
    return table_put(t, key, SL_BYTES(bytes, sizeof bytes), err);
}

static sl_rc table_apply(struct table *t, const struct sli_kv_op *op, struct sl_err *err)
{
    switch (op->kind) {
    case SL_KV_PUT:
        return table_put(t, op->key, op->value, err);
    case SL_KV_ADD:
        return table_add(t, op->key, op->value, err);
    case SL_KV_DELETE:
        if (table_get(t, op->key) != NULL) {
            size_t at = table_find(t, op->key);
            table_cut(t, at, at + 1);
        }
        return SL_OK;
    case SL_KV_DELETE_SPAN:
        if (sl_bytes_cmp(op->key, op->value) < 0) {
            table_cut(t, table_find(t, op->key), table_find(t, op->value));
        }
        return SL_OK;
    }
    return SL_FAIL(err, SL_EINTERNAL, "kv operation %d is not known", (int)op->kind);
}

static struct table *table_copy(const struct table *t, size_t more)
{
    struct table *copy = table_new(t->count + more);
    if (copy != NULL) {
        for (size_t i = 0; i < t->count; i++) {
            copy->entries[i] = t->entries[i];
            copy->entries[i]->ref_count++;
        }
        copy->count = t->count;
    }
    return copy;
}

/* The table a call reads, with a reference the caller gives back. */
static struct table *table_take(struct mem_kv *m, const struct sl_kv_view *v)
{
    sl_mutex_lock(&m->mu);
    struct table *t = v == NULL ? m->current : v->table;
    t->ref_count++;
    sl_mutex_unlock(&m->mu);
    return t;
}

static void table_give(struct mem_kv *m, struct table *t)
{
    sl_mutex_lock(&m->mu);
    table_unref(t);
    sl_mutex_unlock(&m->mu);
}

static sl_rc mem_get(struct sl_kv *kv, struct sl_kv_view *v, struct sl_bytes key,
                     struct sl_buf *out, struct sl_err *err)
{
    struct mem_kv *m = mem_of(kv);
    struct table *t = table_take(m, v);
    const struct entry *e = table_get(t, key);
    sl_rc rc = SL_ENOTFOUND;
    if (e != NULL) {
        sl_buf_add(out, entry_value(e));
        rc = sl_buf_done(out, err);
    }
    table_give(m, t);
    return rc;
}

static sl_rc commit_locked(struct mem_kv *m, const struct sl_kv_batch *batch, struct sl_err *err)
{
    struct sl_rd rd;
    SL_TRY(sli_kv_batch_read(batch, &rd, err));
    struct table *next = table_copy(m->current, sl_kv_batch_count(batch));
    if (next == NULL) {
        return SL_NOMEM(err);
    }
    struct sli_kv_op op;
    while (sli_kv_op_next(&rd, &op)) {
        sl_rc rc = table_apply(next, &op, err);
        if (rc != SL_OK) {
            table_unref(next);
            return rc;
        }
    }
    table_unref(m->current);
    m->current = next;
    return SL_OK;
}

static sl_rc mem_commit(struct sl_kv *kv, const struct sl_kv_batch *batch, struct sl_err *err)
{
    struct mem_kv *m = mem_of(kv);
    sl_mutex_lock(&m->mu);
    sl_rc rc = commit_locked(m, batch, err);
    sl_mutex_unlock(&m->mu);
    return rc;
}

static sl_rc mem_sync(struct sl_kv *kv, struct sl_err *err)
{
    (void)kv;
    (void)err;
    return SL_OK;
}

static sl_rc mem_next(struct sl_kv_iter *iter, struct sl_bytes *ret_key, struct sl_bytes *ret_value,
                      struct sl_err *err)
{
    (void)err;
    struct mem_iter *it = SL_CONTAINER_OF(iter, struct mem_iter, it);
    if (it->at >= it->end) {
        return SL_END;
    }
    const struct entry *e = it->table->entries[it->at++];
    *ret_key = entry_key(e);
    *ret_value = entry_value(e);
    return SL_OK;
}

static void mem_iter_close(struct sl_kv_iter *iter)
{
    struct mem_iter *it = SL_CONTAINER_OF(iter, struct mem_iter, it);
    table_give(it->m, it->table);
    sl_free(it);
}

static sl_rc mem_scan(struct sl_kv *kv, struct sl_kv_view *v, struct sl_kv_span span, bool is_bulk,
                      struct sl_kv_iter **ret, struct sl_err *err)
{
    static const struct sl_kv_iter_ops iter_ops = {.next = mem_next, .close = mem_iter_close};
    (void)is_bulk;
    struct mem_kv *m = mem_of(kv);
    struct mem_iter *it = sl_alloc(sizeof *it);
    if (it == NULL) {
        return SL_NOMEM(err);
    }
    struct table *t = table_take(m, v);
    *it = (struct mem_iter){.it.ops = &iter_ops,
                            .m = m,
                            .table = t,
                            .at = table_find(t, span.lo),
                            .end = span.hi.len == 0 ? t->count : table_find(t, span.hi)};
    *ret = &it->it;
    return SL_OK;
}

static sl_rc mem_split(struct sl_kv *kv, struct sl_kv_view *v, struct sl_kv_span span,
                       uint32_t key_max, struct sl_buf *out, uint32_t *ret_count,
                       struct sl_err *err)
{
    struct mem_kv *m = mem_of(kv);
    struct table *t = table_take(m, v);
    size_t from = table_find(t, span.lo);
    size_t to = span.hi.len == 0 ? t->count : table_find(t, span.hi);
    uint64_t total = 0;
    for (size_t i = from; i < to; i++) {
        total += t->entries[i]->key_len + t->entries[i]->value_len;
    }
    uint32_t count = 0;
    uint64_t before = 0;
    for (size_t i = from; i < to && count < key_max; i++) {
        /* The next cut lies where (count + 1) / (key_max + 1) of the bytes are behind it. */
        if (i > from && before >= total * (count + 1ull) / (key_max + 1ull)) {
            sli_kv_split_add(out, entry_key(t->entries[i]));
            count++;
        }
        before += t->entries[i]->key_len + t->entries[i]->value_len;
    }
    table_give(m, t);
    SL_TRY(sl_buf_done(out, err));
    *ret_count = count;
    return SL_OK;
}

static struct frozen **frozen_find(struct mem_kv *m, const char *name)
{
    struct frozen **at = &m->frozen;
    while (*at != NULL && strcmp((*at)->name, name) < 0) {
        at = &(*at)->next;
    }
    return at;
}

static bool frozen_is(const struct frozen *f, const char *name)
{
    return f != NULL && strcmp(f->name, name) == 0;
}

static void view_free(struct sl_kv_view *v)
{
    if (v != NULL) {
        sl_free(v->name);
        sl_free(v);
    }
}
SL_DEFINE_FREEP(sl_kv_view, view_free)

static sl_rc view_new(struct sl_str name, struct sl_kv_view **ret, struct sl_err *err)
{
    SL_TRY(sli_kv_name_check(name, err));
    SL_AUTO_PTR(sl_kv_view) v = sl_alloc_zero(1, sizeof *v);
    if (v == NULL || (v->name = sl_strndup(name.ptr, name.len)) == NULL) {
        return SL_NOMEM(err);
    }
    *ret = sl_move(&v);
    return SL_OK;
}

static sl_rc mem_freeze(struct sl_kv *kv, struct sl_str name, struct sl_kv_view **ret,
                        struct sl_err *err)
{
    struct mem_kv *m = mem_of(kv);
    SL_AUTO_PTR(sl_kv_view) v = NULL;
    SL_TRY(view_new(name, &v, err));
    struct frozen *f = sl_alloc(sizeof *f);
    char *f_name = sl_strndup(name.ptr, name.len);
    if (f == NULL || f_name == NULL) {
        sl_free(f);
        sl_free(f_name);
        return SL_NOMEM(err);
    }
    sl_mutex_lock(&m->mu);
    struct frozen **at = frozen_find(m, f_name);
    bool is_taken = frozen_is(*at, f_name);
    if (!is_taken) {
        *f = (struct frozen){.next = *at, .table = m->current, .name = f_name};
        *at = f;
        v->table = m->current;
        m->current->ref_count += 2;
    }
    sl_mutex_unlock(&m->mu);
    if (is_taken) {
        sl_free(f);
        sl_free(f_name);
        return SL_FAIL(err, SL_ECONFLICT, "frozen view %s exists already", v->name);
    }
    *ret = sl_move(&v);
    return SL_OK;
}

static sl_rc mem_reopen(struct sl_kv *kv, struct sl_str name, struct sl_kv_view **ret,
                        struct sl_err *err)
{
    struct mem_kv *m = mem_of(kv);
    SL_AUTO_PTR(sl_kv_view) v = NULL;
    SL_TRY(view_new(name, &v, err));
    sl_mutex_lock(&m->mu);
    struct frozen *f = *frozen_find(m, v->name);
    if (frozen_is(f, v->name)) {
        v->table = f->table;
        f->table->ref_count++;
    }
    sl_mutex_unlock(&m->mu);
    if (v->table == NULL) {
        return SL_FAIL(err, SL_ENOTFOUND, "frozen view %s does not exist", v->name);
    }
    *ret = sl_move(&v);
    return SL_OK;
}

static void mem_thaw(struct sl_kv *kv, struct sl_kv_view *v, bool drop)
{
    struct mem_kv *m = mem_of(kv);
    struct frozen *dropped = NULL;
    sl_mutex_lock(&m->mu);
    table_unref(v->table);
    struct frozen **at = frozen_find(m, v->name);
    if (drop && frozen_is(*at, v->name)) {
        dropped = *at;
        *at = dropped->next;
        table_unref(dropped->table);
    }
    sl_mutex_unlock(&m->mu);
    if (dropped != NULL) {
        sl_free(dropped->name);
        sl_free(dropped);
    }
    view_free(v);
}

static sl_rc mem_frozen(struct sl_kv *kv, struct sl_buf *out, struct sl_err *err)
{
    struct mem_kv *m = mem_of(kv);
    sl_mutex_lock(&m->mu);
    for (const struct frozen *f = m->frozen; f != NULL; f = f->next) {
        sl_buf_add_text(out, f->name);
        sl_buf_add_u8(out, '\n');
    }
    sl_mutex_unlock(&m->mu);
    return sl_buf_done(out, err);
}

static void mem_close(struct sl_kv *kv)
{
    struct mem_kv *m = mem_of(kv);
    while (m->frozen != NULL) {
        struct frozen *f = m->frozen;
        m->frozen = f->next;
        table_unref(f->table);
        sl_free(f->name);
        sl_free(f);
    }
    table_unref(m->current);
    sl_mutex_fini(&m->mu);
    sl_free(m);
}

sl_rc sl_kv_mem_open(struct sl_kv **ret, struct sl_err *err)
{
    static const struct sl_kv_ops ops = {
        .get = mem_get,
        .commit = mem_commit,
        .sync = mem_sync,
        .scan = mem_scan,
        .split = mem_split,
        .freeze = mem_freeze,
        .reopen = mem_reopen,
        .thaw = mem_thaw,
        .frozen = mem_frozen,
        .close = mem_close,
    };
    struct mem_kv *m = sl_alloc_zero(1, sizeof *m);
    struct table *t = table_new(0);
    if (m == NULL || t == NULL) {
        sl_free(m);
        sl_free(t);
        return SL_NOMEM(err);
    }
    m->kv.ops = &ops;
    m->current = t;
    sl_mutex_init(&m->mu);
    *ret = &m->kv;
    return SL_OK;
}
