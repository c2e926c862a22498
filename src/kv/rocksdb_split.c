/* Splitting over RocksDB: keys that cut a span into parts of about the same bytes.
 *
 * Large spans are cut by the engine's own estimates of table bytes (split.c has the arithmetic),
 * small ones by reading them, since the estimates know nothing of the memtables. Called by
 * rocksdb.c with an iterator over the span, which is moved about. @threads the iterator's. */
#include "kv/rocksdb_int.h"

#include "kv/kv_int.h"

/* split walks the keys instead of asking for sizes when the memtables, which sizes do not cover,
 * are more than this share of the span. */
#define SPLIT_WALK_FACTOR 2

struct measure {
    rocksdb_t *db;
    const char *path;
};

/* Bytes of tables in [lo, hi); the memtables are not in it. */
static sl_rc size_between(void *arg, struct sl_bytes lo, struct sl_bytes hi, uint64_t *ret,
                          struct sl_err *err)
{
    const struct measure *m = arg;
    const char *lo_ptr = (const char *)lo.ptr;
    const char *hi_ptr = (const char *)hi.ptr;
    char *text = NULL;
    rocksdb_approximate_sizes(m->db, 1, &lo_ptr, &lo.len, &hi_ptr, &hi.len, ret, &text);
    return text == NULL ? SL_OK : sli_rocks_fail(m->path, "measure", text, err);
}

/* What split collects: keys that exist in the span, ascending. */
struct cuts {
    struct sl_buf *out;
    struct sl_buf first, last; /* of the span */
    struct sl_buf newest;      /* the key added last; first before that */
    uint32_t count, count_max;
};

static void cuts_fini(struct cuts *c)
{
    sl_buf_fini(&c->first);
    sl_buf_fini(&c->last);
    sl_buf_fini(&c->newest);
}

static void cut_add(struct cuts *c, struct sl_bytes key)
{
    if (sl_bytes_cmp(key, sl_buf_view(&c->newest)) > 0) {
        sli_kv_split_add(c->out, key);
        sl_buf_clear(&c->newest);
        sl_buf_add(&c->newest, key);
        c->count++;
    }
}

static struct sl_bytes iter_key(const rocksdb_iterator_t *iter)
{
    size_t len;
    const char *key = rocksdb_iter_key(iter, &len);
    return SL_BYTES(key, len);
}

static sl_rc split_by_size(struct measure *m, rocksdb_iterator_t *iter, uint64_t total,
                           struct cuts *c, struct sl_err *err)
{
    struct sli_kv_line line = sli_kv_line_make(sl_buf_view(&c->first), sl_buf_view(&c->last));
    uint64_t part = total / (c->count_max + 1ull);
    unsigned __int128 at = line.from;
    for (uint32_t i = 1; i <= c->count_max; i++) {
        /* A 32nd of a part is about as even as blocks allow for parts of half a megabyte. */
        SL_TRY(sli_kv_line_cut(&line, at, part * i, part / 32, size_between, m, &at, err));
        struct sli_kv_line_key key;
        sli_kv_line_key(&line, at, &key);
        rocksdb_iter_seek(iter, (const char *)key.bytes, key.len);
        if (!rocksdb_iter_valid(iter)) {
            break;
        }
        cut_add(c, iter_key(iter));
    }
    return SL_OK;
}

/* Reads the span twice: to know its bytes, then to cut them. Only for spans about as small as the
 * memtables, so the cost is bounded by memory_bytes. */
static void split_by_walk(rocksdb_iterator_t *iter, struct cuts *c)
{
    uint64_t total = 0;
    for (int pass = 0; pass < 2; pass++) {
        uint64_t before = 0;
        uint64_t cut_no = 1;
        rocksdb_iter_seek(iter, (const char *)c->first.ptr, c->first.len);
        for (; rocksdb_iter_valid(iter) && cut_no <= c->count_max; rocksdb_iter_next(iter)) {
            if (pass == 1 && before >= total * cut_no / (c->count_max + 1ull)) {
                cut_add(c, iter_key(iter));
                cut_no++;
            }
            size_t value_len;
            (void)rocksdb_iter_value(iter, &value_len);
            before += iter_key(iter).len + value_len;
        }
        total = pass == 0 ? before : total;
    }
}

static sl_rc split_iter(struct measure *m, rocksdb_iterator_t *iter, struct sl_bytes lo,
                        struct cuts *c, struct sl_err *err)
{
    rocksdb_iter_seek_to_last(iter); /* the last below the upper bound of the iterator */
    if (rocksdb_iter_valid(iter)) {
        sl_buf_add(&c->last, iter_key(iter));
    }
    rocksdb_iter_seek(iter, (const char *)lo.ptr, lo.len);
    if (rocksdb_iter_valid(iter)) {
        sl_buf_add(&c->first, iter_key(iter));
        sl_buf_add(&c->newest, iter_key(iter));
    }
    SL_TRY(sl_buf_done(&c->last, err));
    SL_TRY(sl_buf_done(&c->first, err));
    SL_TRY(sl_buf_done(&c->newest, err));
    if (c->first.len == 0 || sl_bytes_cmp(sl_buf_view(&c->first), sl_buf_view(&c->last)) >= 0) {
        return SL_OK; /* none or one key: nothing to cut */
    }
    uint64_t total = 0;
    SL_TRY(size_between(m, sl_buf_view(&c->first), sl_buf_view(&c->last), &total, err));
    uint64_t memtable_bytes = 0;
    if (rocksdb_property_int(m->db, "rocksdb.cur-size-all-mem-tables", &memtable_bytes) != 0) {
        memtable_bytes = 0;
    }
    if (total < SPLIT_WALK_FACTOR * memtable_bytes) {
        split_by_walk(iter, c);
        return SL_OK;
    }
    return split_by_size(m, iter, total, c, err);
}

sl_rc sli_rocks_split(rocksdb_t *db, const char *path, rocksdb_iterator_t *iter, struct sl_bytes lo,
                      uint32_t key_max, struct sl_buf *out, uint32_t *ret_count, struct sl_err *err)
{
    struct measure m = {.db = db, .path = path};
    SL_AUTO(cuts) c = {.out = out, .count_max = key_max};
    SL_TRY(split_iter(&m, iter, lo, &c, err));
    char *text = NULL;
    rocksdb_iter_get_error(iter, &text);
    if (text != NULL) {
        return sli_rocks_fail(path, "read", text, err);
    }
    SL_TRY(sl_buf_done(&c.newest, err));
    SL_TRY(sl_buf_done(out, err));
    *ret_count = c.count;
    return SL_OK;
}
