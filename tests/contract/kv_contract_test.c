/* The promises of kv/kv.h, run against every implementation: memory, RocksDB, and the faulty
 * decorator (over memory) while it does not fail and while it does.
 *
 * A world is one open kv with what a restart of it needs. Expected contents come from the
 * statements of the header and from a model that is nothing but an unsorted array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/workers.h"
#include "kv/kv.h"

enum kind { KIND_MEM, KIND_ROCKSDB, KIND_FAULTY };

struct world {
    char dir[64];
    struct sl_kv *inner; /* faulty: what it decorates */
    struct sl_kv *kv;
};

static enum kind current_kind; /* of the group that runs */

static void rocksdb_open(struct world *w)
{
    char path[128];
    char freeze_path[128];
    snprintf(path, sizeof path, "%s/store", w->dir);
    snprintf(freeze_path, sizeof freeze_path, "%s/frozen", w->dir);
    struct sl_kv_rocksdb_opts opts = {.memory_bytes = 8u << 20, .freeze_path = freeze_path};
    struct sl_err err = {0};
    if (sl_kv_rocksdb_open(path, &opts, &w->kv, &err) != SL_OK) {
        fail_msg("%s", err.text);
    }
}

static int world_open(void **state)
{
    struct world *w = calloc(1, sizeof *w); /* allow: calloc, a test owns it */
    const char *tmp = getenv("TMPDIR");
    snprintf(w->dir, sizeof w->dir, "%.40s/sluice-kv-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(w->dir));
    switch (current_kind) {
    case KIND_MEM:
        assert_int_equal(sl_kv_mem_open(&w->kv, NULL), SL_OK);
        break;
    case KIND_ROCKSDB:
        rocksdb_open(w);
        break;
    case KIND_FAULTY:
        assert_int_equal(sl_kv_mem_open(&w->inner, NULL), SL_OK);
        assert_int_equal(sl_kv_faulty_open(w->inner, &w->kv, NULL), SL_OK);
        break;
    }
    *state = w;
    return 0;
}

static int world_close(void **state)
{
    struct world *w = *state;
    sl_fault_clear();
    sl_kv_close(w->kv);
    sl_kv_close(w->inner);
    assert_int_equal(sl_dir_remove_tree(w->dir, NULL), SL_OK);
    free(w); /* allow: free, a test owns it */
    assert_int_equal(sl_mem_live(), 0);
    return 0;
}

/* What survives a clean stop; memory lives as long as the struct. */
static void world_restart(struct world *w)
{
    if (current_kind == KIND_ROCKSDB) {
        sl_kv_close(w->kv);
        rocksdb_open(w);
    }
}

/* ---- helpers ---- */

struct key {
    uint8_t bytes[64];
    size_t len;
};

/* Partition `part` and a text behind it. */
static struct key key_of(uint64_t part, const char *text)
{
    struct key k = {.bytes = {'s'}, .len = SL_KV_PARTITION_SIZE + strlen(text)};
    sl_put_u64be(k.bytes + 1, part);
    memcpy(k.bytes + SL_KV_PARTITION_SIZE, text, strlen(text));
    return k;
}

static struct sl_bytes view(const struct key *k)
{
    return SL_BYTES(k->bytes, k->len);
}

#define KEY(part, text) view(&(struct key[]){key_of((part), (text))}[0])
#define TEXT(text)      SL_BYTES((text), strlen(text))
#define ALL             ((struct sl_kv_span){{NULL, 0}, {NULL, 0}})

static void commit(struct world *w, struct sl_kv_batch *b)
{
    struct sl_err err = {0};
    sl_rc rc = sl_kv_commit(w->kv, b, &err);
    if (rc != SL_OK) {
        fail_msg("commit: %s", sl_err_text(&err, rc));
    }
    sl_kv_batch_clear(b);
}

static void put(struct world *w, struct sl_bytes key, const char *value)
{
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    sl_kv_batch_put(b, key, TEXT(value));
    commit(w, b);
}

static void assert_value(struct world *w, struct sl_kv_view *v, struct sl_bytes key,
                         const char *want)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    sl_rc rc = sl_kv_get(w->kv, v, key, &out, NULL);
    if (want == NULL) {
        assert_int_equal(rc, SL_ENOTFOUND);
        assert_int_equal(out.len, 0);
        return;
    }
    assert_int_equal(rc, SL_OK);
    assert_string_equal(sl_buf_cstr(&out), want);
}

/* The part after the partition of every key in span, joined by blanks. */
static void assert_keys(struct world *w, struct sl_kv_view *v, struct sl_kv_span span,
                        const char *want)
{
    SL_AUTO(sl_buf) got = SL_BUF_EMPTY;
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    struct sl_bytes key;
    struct sl_bytes value;
    sl_rc rc;
    assert_int_equal(sl_kv_scan(w->kv, v, span, false, &it, NULL), SL_OK);
    while ((rc = sl_kv_next(it, &key, &value, NULL)) == SL_OK) {
        sl_buf_add_text(&got, got.len > 0 ? " " : "");
        sl_buf_add(&got, SL_BYTES(key.ptr + SL_KV_PARTITION_SIZE, key.len - SL_KV_PARTITION_SIZE));
    }
    assert_int_equal(rc, SL_END);
    assert_string_equal(sl_buf_cstr(&got), want);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* ---- get and commit ---- */

static void get_answers_what_was_put(void **state)
{
    struct world *w = *state;
    assert_value(w, NULL, KEY(1, "a"), NULL);
    put(w, KEY(1, "a"), "one");
    put(w, KEY(1, "empty"), "");
    assert_value(w, NULL, KEY(1, "a"), "one");
    assert_value(w, NULL, KEY(1, "empty"), "");
    assert_value(w, NULL, KEY(2, "a"), NULL);
    put(w, KEY(1, "a"), "two");
    assert_value(w, NULL, KEY(1, "a"), "two");
}

static void get_appends_and_leaves_out_alone_when_absent(void **state)
{
    struct world *w = *state;
    put(w, KEY(1, "a"), "one");
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    sl_buf_add_text(&out, "x");
    assert_int_equal(sl_kv_get(w->kv, NULL, KEY(1, "b"), &out, NULL), SL_ENOTFOUND);
    assert_int_equal(sl_kv_get(w->kv, NULL, KEY(1, "a"), &out, NULL), SL_OK);
    assert_string_equal(sl_buf_cstr(&out), "xone");
}

static void operations_of_a_batch_apply_in_order(void **state)
{
    struct world *w = *state;
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    sl_kv_batch_put(b, KEY(1, "a"), TEXT("1"));
    sl_kv_batch_delete(b, KEY(1, "a"));
    sl_kv_batch_put(b, KEY(1, "b"), TEXT("1"));
    sl_kv_batch_delete_span(b, (struct sl_kv_span){KEY(1, "a"), KEY(1, "z")});
    sl_kv_batch_put(b, KEY(1, "c"), TEXT("1"));
    sl_kv_batch_put(b, KEY(1, "c"), TEXT("2"));
    sl_kv_batch_delete(b, KEY(1, "never there"));
    assert_int_equal(sl_kv_batch_count(b), 7);
    commit(w, b);
    assert_keys(w, NULL, ALL, "c");
    assert_value(w, NULL, KEY(1, "c"), "2");
}

static void empty_batch_changes_nothing(void **state)
{
    struct world *w = *state;
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    commit(w, b);
    sl_kv_batch_put(b, KEY(1, "a"), TEXT("1"));
    sl_kv_batch_clear(b);
    commit(w, b);
    assert_keys(w, NULL, ALL, "");
}

static void delete_span_is_half_open(void **state)
{
    struct world *w = *state;
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    const char *const names[] = {"a", "b", "b\x01", "c", "d"};
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        sl_kv_batch_put(b, KEY(1, names[i]), TEXT("v"));
    }
    sl_kv_batch_put(b, KEY(2, "b"), TEXT("v"));
    commit(w, b);
    sl_kv_batch_delete_span(b, (struct sl_kv_span){KEY(1, "b"), KEY(1, "d")});
    commit(w, b);
    assert_keys(w, NULL, ALL, "a d b");
    sl_kv_batch_delete_span(b, (struct sl_kv_span){KEY(1, "d"), KEY(1, "d")});
    sl_kv_batch_delete_span(b, (struct sl_kv_span){KEY(1, "z"), KEY(1, "a")});
    commit(w, b);
    assert_keys(w, NULL, ALL, "a d b");
    /* A whole partition by the start of the next one. */
    sl_kv_batch_delete_span(b, (struct sl_kv_span){KEY(1, ""), KEY(2, "")});
    commit(w, b);
    assert_keys(w, NULL, ALL, "b");
}

static void assert_counter(struct world *w, struct sl_bytes key, uint64_t want)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    assert_int_equal(sl_kv_get(w->kv, NULL, key, &out, NULL), SL_OK);
    struct sl_rd rd = sl_rd_over(sl_buf_view(&out));
    assert_int_equal(out.len, 8);
    assert_int_equal(sl_rd_u64(&rd), want);
}

static void add_counts_from_absent_downwards_and_around(void **state)
{
    struct world *w = *state;
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    sl_kv_batch_add(b, KEY(1, "n"), 5);
    sl_kv_batch_add(b, KEY(1, "n"), -2);
    commit(w, b);
    assert_counter(w, KEY(1, "n"), 3);
    sl_kv_batch_add(b, KEY(1, "n"), -4);
    commit(w, b);
    assert_counter(w, KEY(1, "n"), UINT64_MAX);
    sl_kv_batch_add(b, KEY(1, "n"), 1);
    commit(w, b);
    assert_counter(w, KEY(1, "n"), 0);
    sl_kv_batch_delete(b, KEY(1, "n"));
    sl_kv_batch_add(b, KEY(1, "n"), 7);
    commit(w, b);
    world_restart(w);
    assert_counter(w, KEY(1, "n"), 7);
}

static void batch_that_ran_out_of_memory_fails_at_commit(void **state)
{
    struct world *w = *state;
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    sl_kv_batch_put(b, KEY(1, "a"), TEXT("1"));
    sl_fault_fail_after(SL_FAULT_ALLOC, 0);
    static const uint8_t large[100000];
    sl_kv_batch_put(b, KEY(1, "b"), SL_BYTES(large, sizeof large));
    sl_fault_clear();
    sl_kv_batch_put(b, KEY(1, "c"), TEXT("1"));
    assert_int_equal(sl_kv_commit(w->kv, b, NULL), SL_ENOMEM);
    assert_keys(w, NULL, ALL, "");
    sl_kv_batch_clear(b);
    sl_kv_batch_put(b, KEY(1, "d"), TEXT("1"));
    commit(w, b);
    assert_keys(w, NULL, ALL, "d");
}

static void keys_of_every_allowed_length_are_kept(void **state)
{
    struct world *w = *state;
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    static uint8_t key[SL_KV_KEY_MAX];
    memset(key, 0xff, sizeof key);
    sl_kv_batch_put(b, SL_BYTES(key, SL_KV_PARTITION_SIZE), TEXT("short"));
    sl_kv_batch_put(b, SL_BYTES(key, SL_KV_KEY_MAX), TEXT("long"));
    commit(w, b);
    world_restart(w);
    assert_value(w, NULL, SL_BYTES(key, SL_KV_PARTITION_SIZE), "short");
    assert_value(w, NULL, SL_BYTES(key, SL_KV_KEY_MAX), "long");
}

/* ---- scan ---- */

static void scan_goes_in_byte_order_within_the_span(void **state)
{
    struct world *w = *state;
    const char *const names[] = {"b", "a\xff", "a", "\x7f", "\xc3\xa4", "a\x01", "B", ""};
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        put(w, KEY(1, names[i]), "v");
    }
    put(w, KEY(0x0100, "later"), "v");
    assert_keys(w, NULL, ALL, "B a a\x01 a\xff b \x7f \xc3\xa4 later");
}

static void scan_bounds_may_lie_between_keys(void **state)
{
    struct world *w = *state;
    put(w, KEY(1, "a"), "1");
    put(w, KEY(1, "c"), "2");
    put(w, KEY(1, "e"), "3");
    assert_keys(w, NULL, (struct sl_kv_span){KEY(1, "a"), KEY(1, "e")}, "a c");
    assert_keys(w, NULL, (struct sl_kv_span){KEY(1, "b"), KEY(1, "d")}, "c");
    assert_keys(w, NULL, (struct sl_kv_span){KEY(1, "b"), {NULL, 0}}, "c e");
    assert_keys(w, NULL, (struct sl_kv_span){{NULL, 0}, KEY(1, "c")}, "a");
    assert_keys(w, NULL, (struct sl_kv_span){KEY(1, "f"), KEY(1, "g")}, "");
    assert_keys(w, NULL, (struct sl_kv_span){KEY(1, "c"), KEY(1, "c")}, "");
    assert_keys(w, NULL, (struct sl_kv_span){KEY(2, ""), {NULL, 0}}, "");
}

static void iterator_sees_the_moment_of_its_creation(void **state)
{
    struct world *w = *state;
    put(w, KEY(1, "a"), "1");
    put(w, KEY(1, "b"), "1");
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    struct sl_bytes key;
    struct sl_bytes value;
    assert_int_equal(sl_kv_scan(w->kv, NULL, ALL, true, &it, NULL), SL_OK);
    put(w, KEY(1, "a"), "2");
    put(w, KEY(1, "c"), "2");
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    sl_kv_batch_delete(b, KEY(1, "b"));
    commit(w, b);
    assert_int_equal(sl_kv_next(it, &key, &value, NULL), SL_OK);
    assert_memory_equal(value.ptr, "1", 1);
    assert_int_equal(sl_kv_next(it, &key, &value, NULL), SL_OK);
    assert_int_equal(key.ptr[SL_KV_PARTITION_SIZE], 'b');
    assert_int_equal(sl_kv_next(it, &key, &value, NULL), SL_END);
    assert_int_equal(sl_kv_next(it, &key, &value, NULL), SL_END);
    assert_keys(w, NULL, ALL, "a c");
}

/* ---- frozen views ---- */

static struct sl_kv_view *freeze(struct world *w, const char *name)
{
    struct sl_kv_view *v = NULL;
    struct sl_err err = {0};
    sl_rc rc = sl_kv_freeze(w->kv, sl_str_from(name), &v, &err);
    if (rc != SL_OK) {
        fail_msg("freeze: %s", sl_err_text(&err, rc));
    }
    return v;
}

static void assert_frozen(struct world *w, const char *want)
{
    SL_AUTO(sl_buf) names = SL_BUF_EMPTY;
    assert_int_equal(sl_kv_frozen(w->kv, &names, NULL), SL_OK);
    assert_string_equal(sl_buf_cstr(&names), want);
}

static void frozen_view_stands_while_the_store_moves(void **state)
{
    struct world *w = *state;
    put(w, KEY(1, "a"), "1");
    put(w, KEY(2, "b"), "1");
    struct sl_kv_view *v = freeze(w, "view");
    put(w, KEY(1, "a"), "2");
    put(w, KEY(1, "c"), "2");
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    sl_kv_batch_delete_span(b, (struct sl_kv_span){KEY(2, ""), KEY(3, "")});
    commit(w, b);
    assert_keys(w, v, ALL, "a b");
    assert_value(w, v, KEY(1, "a"), "1");
    assert_value(w, v, KEY(1, "c"), NULL);
    assert_keys(w, NULL, ALL, "a c");
    struct sl_kv_view *later = freeze(w, "later");
    assert_keys(w, later, ALL, "a c");
    assert_keys(w, v, ALL, "a b");
    sl_kv_thaw(w->kv, v, true);
    sl_kv_thaw(w->kv, later, true);
    assert_keys(w, NULL, ALL, "a c");
}

static void frozen_view_is_found_again_until_it_is_dropped(void **state)
{
    struct world *w = *state;
    put(w, KEY(1, "a"), "1");
    sl_kv_thaw(w->kv, freeze(w, "one"), false);
    put(w, KEY(1, "b"), "1");
    sl_kv_thaw(w->kv, freeze(w, "a-two"), false);
    put(w, KEY(1, "c"), "1");
    world_restart(w);
    assert_frozen(w, "a-two\none\n");
    struct sl_kv_view *v = NULL;
    assert_int_equal(sl_kv_reopen(w->kv, SL_STR("one"), &v, NULL), SL_OK);
    assert_keys(w, v, ALL, "a");
    sl_kv_thaw(w->kv, v, false);
    assert_int_equal(sl_kv_reopen(w->kv, SL_STR("a-two"), &v, NULL), SL_OK);
    assert_keys(w, v, ALL, "a b");
    sl_kv_thaw(w->kv, v, true);
    assert_frozen(w, "one\n");
    v = NULL;
    assert_int_equal(sl_kv_reopen(w->kv, SL_STR("a-two"), &v, NULL), SL_ENOTFOUND);
    assert_null(v);
}

static void freeze_refuses_taken_and_odd_names(void **state)
{
    struct world *w = *state;
    struct sl_kv_view *v = freeze(w, "one");
    struct sl_kv_view *other = NULL;
    assert_int_equal(sl_kv_freeze(w->kv, SL_STR("one"), &other, NULL), SL_ECONFLICT);
    static char long_name[300];
    memset(long_name, 'x', sizeof long_name - 1);
    const char *const names[] = {"", ".", "..", "a/b", ".hidden", "x.tmp", long_name};
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        struct sl_str name = sl_str_from(names[i]);
        assert_int_equal(sl_kv_freeze(w->kv, name, &other, NULL), SL_EINVAL);
        assert_int_equal(sl_kv_reopen(w->kv, name, &other, NULL), SL_EINVAL);
    }
    assert_int_equal(sl_kv_reopen(w->kv, SL_STR("absent"), &other, NULL), SL_ENOTFOUND);
    assert_null(other);
    sl_kv_thaw(w->kv, NULL, true);
    sl_kv_thaw(w->kv, v, true);
    assert_frozen(w, "");
}

/* One writer thread counts: partition 1, then partition 2, each a commit of its own. */
struct counting {
    struct sl_kv *kv;
    atomic_uint_least64_t begun,
        done; /* numbers whose first commit began, second commit returned */
    atomic_bool is_stopped;
    atomic_int rc;
};

static void count_upwards(void *arg)
{
    struct counting *c = arg;
    struct sl_kv_batch *b = sl_kv_batch_new();
    sl_rc rc = SL_OK;
    for (uint64_t n = 1; rc == SL_OK && !atomic_load(&c->is_stopped); n++) {
        atomic_store(&c->begun, n);
        for (uint64_t part = 1; part <= 2 && rc == SL_OK; part++) {
            sl_kv_batch_clear(b);
            sl_kv_batch_add(b, KEY(part, "n"), 1);
            rc = sl_kv_commit(c->kv, b, NULL);
        }
        atomic_store(&c->done, n);
    }
    sl_kv_batch_free(b);
    atomic_store(&c->rc, (int)rc);
}

static uint64_t counter_in(struct world *w, struct sl_kv_view *v, uint64_t part)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    sl_rc rc = sl_kv_get(w->kv, v, KEY(part, "n"), &out, NULL);
    if (rc == SL_ENOTFOUND) {
        return 0;
    }
    assert_int_equal(rc, SL_OK);
    struct sl_rd rd = sl_rd_over(sl_buf_view(&out));
    return sl_rd_u64(&rd);
}

static void freeze_is_one_instant_between_what_ended_and_what_begins(void **state)
{
    struct world *w = *state;
    struct counting c = {.kv = w->kv};
    struct sl_thread *t = NULL;
    assert_int_equal(sl_thread_start("counter", count_upwards, &c, &t, NULL), SL_OK);
    for (int i = 0; i < 20; i++) {
        while (atomic_load(&c.done) < (uint64_t)i * 10) {
            (void)sl_mem_live();
        }
        char name[16];
        snprintf(name, sizeof name, "v%d", i);
        uint64_t before = atomic_load(&c.done);
        struct sl_kv_view *v = freeze(w, name);
        uint64_t after = atomic_load(&c.begun);
        uint64_t first = counter_in(w, v, 1);
        uint64_t second = counter_in(w, v, 2);
        sl_kv_thaw(w->kv, v, true);
        assert_true(first >= before && first <= after);
        assert_true(second == first || second + 1 == first);
    }
    atomic_store(&c.is_stopped, true);
    sl_thread_join(t);
    assert_int_equal(atomic_load(&c.rc), SL_OK);
}

/* ---- durability ---- */

#define SYNC_THREADS 8
#define SYNC_ROUNDS  25

struct syncing {
    struct sl_kv *kv;
    uint64_t part;
    atomic_int rc;
};

static void write_and_sync(void *arg)
{
    struct syncing *s = arg;
    struct sl_kv_batch *b = sl_kv_batch_new();
    sl_rc rc = SL_OK;
    for (int i = 0; i < SYNC_ROUNDS && rc == SL_OK; i++) {
        sl_kv_batch_clear(b);
        sl_kv_batch_add(b, KEY(s->part, "n"), 1);
        rc = sl_kv_commit(s->kv, b, NULL);
        rc = rc == SL_OK ? sl_kv_sync(s->kv, NULL) : rc;
    }
    sl_kv_batch_free(b);
    atomic_store(&s->rc, (int)rc);
}

static void many_threads_share_a_sync(void **state)
{
    struct world *w = *state;
    struct syncing s[SYNC_THREADS];
    struct sl_thread *t[SYNC_THREADS];
    for (uint64_t i = 0; i < SYNC_THREADS; i++) {
        s[i] = (struct syncing){.kv = w->kv, .part = i, .rc = -1};
        assert_int_equal(sl_thread_start("sync", write_and_sync, &s[i], &t[i], NULL), SL_OK);
    }
    for (size_t i = 0; i < SYNC_THREADS; i++) {
        sl_thread_join(t[i]);
        assert_int_equal(atomic_load(&s[i].rc), SL_OK);
    }
    world_restart(w);
    for (uint64_t i = 0; i < SYNC_THREADS; i++) {
        assert_counter(w, KEY(i, "n"), SYNC_ROUNDS);
    }
}

/* ---- split ---- */

enum order { ORDER_RANDOM, ORDER_SEQUENTIAL, ORDER_MIXED };

/* count objects of value_size bytes in partition 7, keyed like UUIDs. */
static void fill(struct world *w, uint64_t count, size_t value_size, enum order order)
{
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    uint64_t seed = 42;
    struct key k = key_of(7, "");
    uint8_t *value = calloc(1, value_size); /* allow: calloc, a test owns it */
    k.len = SL_KV_PARTITION_SIZE + 16;
    for (uint64_t i = 0; i < count; i++) {
        bool is_random = order == ORDER_RANDOM || (order == ORDER_MIXED && i % 2 == 0);
        sl_put_u64be(k.bytes + SL_KV_PARTITION_SIZE, is_random ? next_random(&seed) : 0);
        sl_put_u64be(k.bytes + SL_KV_PARTITION_SIZE + 8, is_random ? next_random(&seed) : i + 1);
        sl_kv_batch_put(b, view(&k), SL_BYTES(value, value_size));
        if (sl_kv_batch_count(b) == 500) {
            commit(w, b);
        }
    }
    commit(w, b);
    free(value); /* allow: free, a test owns it */
}

enum { PARTS_MAX = 8 };

/* Counts the keys of each part of partition 7; a part begins with its cut. Returns how many cuts
 * were met. Asserts nothing: an iterator left open is all that RocksDB would tell of at its end. */
static uint32_t count_parts(struct world *w, struct sl_kv_view *v, struct sl_bytes cuts,
                            uint64_t counts[PARTS_MAX])
{
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    struct sl_kv_span span = {KEY(7, ""), KEY(8, "")};
    struct sl_rd rd = sl_rd_over(cuts);
    struct sl_bytes key, value, cut = sl_rd_bytes(&rd, sl_rd_u32(&rd));
    uint32_t met = 0;
    SL_IGNORE(sl_kv_scan(w->kv, v, span, true, &it, NULL), "no key is counted then");
    while (it != NULL && sl_kv_next(it, &key, &value, NULL) == SL_OK && met < PARTS_MAX) {
        if (sl_bytes_eq(key, cut)) {
            met++;
            cut = sl_rd_left(&rd) > 0 ? sl_rd_bytes(&rd, sl_rd_u32(&rd)) : SL_BYTES("", 0);
        }
        counts[met]++;
    }
    return met;
}

/* Of a frozen view, as exports cut it: a live store may hold much of a span in its memtables. */
static void assert_even_parts(struct world *w, uint64_t count, uint32_t part_count)
{
    SL_AUTO(sl_buf) cuts = SL_BUF_EMPTY;
    uint32_t cut_count = 0;
    uint64_t counts[PARTS_MAX] = {0}, total = 0;
    struct sl_kv_span span = {KEY(7, ""), KEY(8, "")};
    struct sl_kv_view *v = freeze(w, "even");
    sl_rc rc = sl_kv_split(w->kv, v, span, part_count - 1, &cuts, &cut_count, NULL);
    uint32_t met = count_parts(w, v, sl_buf_view(&cuts), counts);
    sl_kv_thaw(w->kv, v, true);
    assert_int_equal(rc, SL_OK);
    assert_int_equal(cut_count, part_count - 1);
    assert_int_equal(met, cut_count);
    for (uint32_t i = 0; i < part_count; i++) {
        assert_in_range(counts[i], count / part_count / 2, 2 * count / part_count);
        total += counts[i];
    }
    assert_int_equal(total, count);
}

static void split_is_even_for_small_spans(void **state)
{
    fill(*state, 1000, 100, ORDER_RANDOM);
    assert_even_parts(*state, 1000, 7);
}

static void split_is_even_for_sequential_keys(void **state)
{
    fill(*state, 1000, 100, ORDER_SEQUENTIAL);
    assert_even_parts(*state, 1000, 4);
}

/* Large enough that RocksDB has most of it in tables; memory needs no such size. */
static void split_is_even_for_large_spans(void **state)
{
    enum order orders[] = {ORDER_RANDOM, ORDER_SEQUENTIAL, ORDER_MIXED};
    uint64_t count = current_kind == KIND_ROCKSDB ? 12000 : 600;
    for (size_t i = 0; i < SL_COUNT_OF(orders); i++) {
        SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
        sl_kv_batch_delete_span(b, (struct sl_kv_span){KEY(7, ""), KEY(8, "")});
        commit(*state, b);
        fill(*state, count, 2500, orders[i]);
        assert_even_parts(*state, count, 8);
    }
}

static void split_finds_nothing_to_cut_in_one_key(void **state)
{
    struct world *w = *state;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    uint32_t count = 99;
    struct sl_kv_span span = {KEY(7, ""), KEY(8, "")};
    put(w, KEY(6, "below"), "v");
    assert_int_equal(sl_kv_split(w->kv, NULL, span, 3, &out, &count, NULL), SL_OK);
    assert_int_equal(count, 0);
    put(w, KEY(7, "only"), "v");
    put(w, KEY(8, "above"), "v");
    assert_int_equal(sl_kv_split(w->kv, NULL, span, 3, &out, &count, NULL), SL_OK);
    assert_int_equal(count, 0);
    assert_int_equal(out.len, 0);
    put(w, KEY(7, "second"), "v");
    assert_int_equal(sl_kv_split(w->kv, NULL, span, 3, &out, &count, NULL), SL_OK);
    assert_int_equal(count, 1);
}

/* ---- a model ---- */

#define MODEL_KEYS 64

struct model {
    bool is_there[MODEL_KEYS];
    uint64_t value[MODEL_KEYS];
};

static struct key model_key(uint64_t i)
{
    char text[8];
    snprintf(text, sizeof text, "%02u", (unsigned)(i % 16));
    return key_of(i / 16, text);
}

static void model_step(struct model *m, struct sl_kv_batch *b, uint64_t *seed)
{
    uint64_t i = next_random(seed) % MODEL_KEYS;
    uint64_t j = next_random(seed) % MODEL_KEYS;
    struct key k = model_key(i);
    struct key hi = model_key(j);
    uint8_t value[8];
    sl_put_u64(value, j);
    switch (next_random(seed) % 8) {
    case 0:
        sl_kv_batch_delete(b, view(&k));
        m->is_there[i] = false;
        m->value[i] = 0;
        break;
    case 1:
        sl_kv_batch_delete_span(b, (struct sl_kv_span){view(&k), view(&hi)});
        for (uint64_t n = i; n < j; n++) {
            m->is_there[n] = false;
            m->value[n] = 0;
        }
        break;
    case 2:
    case 3:
    case 4:
        sl_kv_batch_add(b, view(&k), (int64_t)j);
        m->is_there[i] = true;
        m->value[i] += j;
        break;
    default:
        sl_kv_batch_put(b, view(&k), SL_BYTES(value, sizeof value));
        m->is_there[i] = true;
        m->value[i] = j;
        break;
    }
}

static void assert_model(struct world *w, struct sl_kv_view *v, const struct model *m)
{
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    struct sl_bytes key;
    struct sl_bytes value;
    assert_int_equal(sl_kv_scan(w->kv, v, ALL, false, &it, NULL), SL_OK);
    for (uint64_t i = 0; i < MODEL_KEYS; i++) {
        if (m->is_there[i]) {
            struct key want = model_key(i);
            assert_int_equal(sl_kv_next(it, &key, &value, NULL), SL_OK);
            assert_true(sl_bytes_eq(key, view(&want)));
            struct sl_rd rd = sl_rd_over(value);
            assert_int_equal(sl_rd_u64(&rd), m->value[i]);
        }
    }
    assert_int_equal(sl_kv_next(it, &key, &value, NULL), SL_END);
}

static void random_batches_agree_with_a_plain_array(void **state)
{
    struct world *w = *state;
    struct model m = {0};
    uint64_t seed = 0x5eed;
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    for (int round = 0; round < 300; round++) {
        for (uint64_t n = next_random(&seed) % 12; n > 0; n--) {
            model_step(&m, b, &seed);
        }
        commit(w, b);
        assert_model(w, NULL, &m);
        if (round % 60 == 59) {
            struct sl_kv_view *v = freeze(w, "model");
            struct model then = m;
            model_step(&m, b, &seed);
            commit(w, b);
            assert_model(w, v, &then);
            sl_kv_thaw(w->kv, v, true);
            world_restart(w);
            assert_model(w, NULL, &m);
        }
    }
}

/* ---- failures ---- */

/* Every call once. What it changed is all or nothing per commit. */
static sl_rc script(struct sl_kv *kv, struct sl_err *err)
{
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_bytes key;
    struct sl_bytes value;
    uint32_t count;
    if (b == NULL) {
        return SL_NOMEM(err);
    }
    for (int i = 0; i < 20; i++) {
        char name[8];
        snprintf(name, sizeof name, "k%02d", i);
        sl_kv_batch_put(b, KEY(1, name), TEXT("value"));
    }
    sl_kv_batch_add(b, KEY(2, "n"), 1);
    SL_TRY(sl_kv_commit(kv, b, err));
    SL_TRY(sl_kv_sync(kv, err));
    SL_TRY(sl_kv_get(kv, NULL, KEY(1, "k07"), &out, err));
    SL_TRY(sl_kv_scan(kv, NULL, ALL, false, &it, err));
    SL_TRY(sl_kv_next(it, &key, &value, err));
    SL_TRY(sl_kv_split(kv, NULL, ALL, 3, &out, &count, err));
    return sl_kv_frozen(kv, &out, err);
}

static sl_rc script_freeze(struct sl_kv *kv, struct sl_err *err)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_kv_view *v = NULL;
    SL_TRY(sl_kv_freeze(kv, SL_STR("sweep"), &v, err));
    sl_kv_thaw(kv, v, false);
    SL_TRY(sl_kv_reopen(kv, SL_STR("sweep"), &v, err));
    sl_rc rc = sl_kv_get(kv, v, KEY(1, "k07"), &out, err);
    sl_kv_thaw(kv, v, true);
    return rc;
}

typedef sl_rc script_fn(struct sl_kv *kv, struct sl_err *err);

static void drop_leftover(struct world *w)
{
    struct sl_kv_view *v = NULL;
    if (sl_kv_reopen(w->kv, SL_STR("sweep"), &v, NULL) == SL_OK) {
        sl_kv_thaw(w->kv, v, true);
    }
}

/* Fails call 0, 1, 2, ... until the script succeeds; yields how often it failed. */
static long sweep(struct world *w, enum sl_fault fault, sl_rc want, script_fn *fn)
{
    for (long n = 0;; n++) {
        int64_t live = sl_mem_live();
        struct sl_err err = {0};
        sl_fault_fail_after(fault, n);
        sl_rc rc = fn(w->kv, &err);
        sl_fault_clear();
        if (rc == SL_OK) {
            return n;
        }
        assert_int_equal(rc, want);
        assert_string_not_equal(err.text, "");
        drop_leftover(w);
        if (current_kind == KIND_ROCKSDB) {
            assert_int_equal(sl_mem_live(), live);
        }
        /* All 20 keys and the counter, or nothing. */
        SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
        bool has_key = sl_kv_get(w->kv, NULL, KEY(1, "k19"), &out, NULL) == SL_OK;
        bool has_counter = sl_kv_get(w->kv, NULL, KEY(2, "n"), &out, NULL) == SL_OK;
        assert_int_equal(has_key, has_counter);
    }
}

static void refused_memory_is_told_and_leaves_nothing(void **state)
{
    assert_true(sweep(*state, SL_FAULT_ALLOC, SL_ENOMEM, script) > 3);
    assert_true(sweep(*state, SL_FAULT_ALLOC, SL_ENOMEM, script_freeze) > 3);
}

static void failing_calls_are_told_and_leave_nothing(void **state)
{
    if (current_kind == KIND_FAULTY) {
        assert_int_equal(sweep(*state, SL_FAULT_KV, SL_EIO, script), 7);
        assert_int_equal(sweep(*state, SL_FAULT_KV, SL_EIO, script_freeze), 3);
    } else if (current_kind == KIND_ROCKSDB) {
        assert_int_equal(sweep(*state, SL_FAULT_FILE, SL_EIO, script), 1);
        assert_true(sweep(*state, SL_FAULT_FILE, SL_EIO, script_freeze) > 1);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

/* An argument names the one implementation to run. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(get_answers_what_was_put),
        T(get_appends_and_leaves_out_alone_when_absent),
        T(operations_of_a_batch_apply_in_order),
        T(empty_batch_changes_nothing),
        T(delete_span_is_half_open),
        T(add_counts_from_absent_downwards_and_around),
        T(batch_that_ran_out_of_memory_fails_at_commit),
        T(keys_of_every_allowed_length_are_kept),
        T(scan_goes_in_byte_order_within_the_span),
        T(scan_bounds_may_lie_between_keys),
        T(iterator_sees_the_moment_of_its_creation),
        T(frozen_view_stands_while_the_store_moves),
        T(frozen_view_is_found_again_until_it_is_dropped),
        T(freeze_refuses_taken_and_odd_names),
        T(freeze_is_one_instant_between_what_ended_and_what_begins),
        T(many_threads_share_a_sync),
        T(split_is_even_for_small_spans),
        T(split_is_even_for_sequential_keys),
        T(split_is_even_for_large_spans),
        T(split_finds_nothing_to_cut_in_one_key),
        T(random_batches_agree_with_a_plain_array),
        T(refused_memory_is_told_and_leaves_nothing),
        T(failing_calls_are_told_and_leave_nothing),
    };
    static const char *const names[] = {
        [KIND_MEM] = "mem", [KIND_FAULTY] = "faulty", [KIND_ROCKSDB] = "rocksdb"};
    int failed = 0;
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        current_kind = (enum kind)i;
        if (argc < 2 || strcmp(argv[1], names[i]) == 0) {
            failed += cmocka_run_group_tests_name(names[i], tests, NULL, NULL);
        }
    }
    return failed;
}
