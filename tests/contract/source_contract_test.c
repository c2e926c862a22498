/* The promises of source/source.h, run against every implementation: memory, the faulty decorator
 * (over memory) while it does not fail and while it does, and our own database.
 *
 * A world is one open source and the way to feed it. What a view must show is a list written down
 * by the test before it freezes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/workers.h"
#include "database/database.h"
#include "source/source.h"

enum kind { KIND_MEM, KIND_FAULTY, KIND_LIVE };

struct world {
    char dir[64];
    struct sl_kv *kv; /* live: the store below */
    struct sl_backend *offload;
    struct sl_db *db;
    struct sl_source *inner; /* mem, faulty: what is fed */
    struct sl_source *src;
};

static enum kind current_kind; /* of the group that runs */

static int world_open(void **state)
{
    struct world *w = calloc(1, sizeof *w); /* allow: calloc, a test owns it */
    const char *tmp = getenv("TMPDIR");
    snprintf(w->dir, sizeof w->dir, "%.40s/sluice-source-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(w->dir));
    struct sl_db_opts opts = {.clock = sl_clock_real(), .limit_default = 10, .limit_max = 100};
    switch (current_kind) {
    case KIND_MEM:
    case KIND_FAULTY:
        assert_int_equal(sl_source_mem_open(&w->inner, NULL), SL_OK);
        assert_int_equal(sl_source_faulty_open(w->inner, &w->src, NULL), SL_OK);
        break;
    case KIND_LIVE:
        assert_int_equal(sl_kv_mem_open(&w->kv, NULL), SL_OK);
        assert_int_equal(sl_backend_filesystem_open(w->dir, &w->offload, NULL), SL_OK);
        opts.offload = w->offload;
        assert_int_equal(sl_db_open(w->kv, &opts, &w->db, NULL), SL_OK);
        assert_int_equal(sl_source_live_open(w->db, &w->src, NULL), SL_OK);
        break;
    }
    if (current_kind == KIND_MEM) {
        sl_source_close(w->src);
        w->src = w->inner;
        w->inner = NULL;
    }
    *state = w;
    return 0;
}

static int world_close(void **state)
{
    struct world *w = *state;
    sl_fault_clear();
    sl_source_close(w->src);
    sl_source_close(w->inner);
    sl_db_close(w->db);
    sl_backend_close(w->offload);
    sl_kv_close(w->kv);
    assert_int_equal(sl_dir_remove_tree(w->dir, NULL), SL_OK);
    free(w); /* allow: free, a test owns it */
    assert_int_equal(sl_mem_live(), 0);
    return 0;
}

/* ---- feeding ---- */

static struct sl_source *fed(struct world *w)
{
    return w->inner == NULL ? w->src : w->inner;
}

/* JSON text with ' for ". */
static json_t *SL_PRINTF(1, 2) parse(const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (char *at = strchr(text, '\''); at != NULL; at = strchr(at, '\'')) {
        *at = '"';
    }
    json_t *doc = json_loads(text, 0, NULL);
    assert_non_null(doc);
    return doc;
}

static void add_class(struct world *w, const char *name, bool is_tenants)
{
    if (w->db == NULL) {
        enum sl_source_mem_kind kind = is_tenants ? SL_SOURCE_MEM_TENANTS : SL_SOURCE_MEM_PLAIN;
        assert_int_equal(sl_source_mem_class(fed(w), name, kind, NULL), SL_OK);
        if (!is_tenants) {
            assert_int_equal(sl_source_mem_shard(fed(w), name, "only", "", NULL), SL_OK);
        }
        return;
    }
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    json_t *body = parse("{'class':'%s','multiTenancyConfig':{'enabled':%s}}", name,
                         is_tenants ? "true" : "false");
    assert_int_equal(sl_db_class_create(w->db, body, &out, NULL), SL_OK);
    json_decref(body);
}

static void add_tenant(struct world *w, const char *class_name, const char *tenant)
{
    if (w->db == NULL) {
        assert_int_equal(sl_source_mem_shard(fed(w), class_name, tenant, "", NULL), SL_OK);
        return;
    }
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    json_t *body = parse("[{'name':'%s'}]", tenant);
    assert_int_equal(sl_db_tenants_add(w->db, sl_str_from(class_name), body, &out, NULL), SL_OK);
    json_decref(body);
}

/* Objects are told apart by a number: it is in the uuid, spread over all its bytes, and in the
 * properties. */
static void uuid_of(uint32_t n, uint8_t *ret)
{
    uint64_t hash = (n + 1) * UINT64_C(0x9E3779B97F4A7C15);
    sl_put_u64be(ret, hash);
    sl_put_u64be(ret + 8, n);
}

static void put(struct world *w, const char *class_name, const char *tenant, uint32_t n,
                const char *note)
{
    struct sl_object *obj = calloc(1, sizeof *obj); /* allow: calloc, a test owns it */
    char properties[64];
    float vector[3] = {(float)n, -1, 0.5F};
    uuid_of(n, obj->uuid);
    obj->create_ms = 1000 + n;
    obj->update_ms = 2000 + n;
    obj->class_name = sl_str_from(class_name);
    obj->vector = SL_BYTES(vector, sizeof vector);
    snprintf(properties, sizeof properties, "{\"note\":\"%s%u\"}", note, n);
    obj->properties = sl_str_bytes(sl_str_from(properties));
    struct sl_db_where where = {sl_str_from(class_name), sl_str_from(tenant)};
    const char *shard = tenant[0] == '\0' ? "only" : tenant;
    struct sl_err err = {0};
    sl_rc rc = w->db == NULL ? sl_source_mem_put(fed(w), class_name, shard, obj, &err)
                             : sl_db_put_stored(w->db, where, obj, 1, true, &err);
    if (rc != SL_OK) {
        fail_msg("%s", err.text);
    }
    free(obj); /* allow: free, a test owns it */
}

static void put_many(struct world *w, const char *class_name, const char *tenant, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        put(w, class_name, tenant, n, "old");
    }
}

/* ---- reading ---- */

static struct sl_frozen *freeze(struct world *w, const char *name)
{
    struct sl_frozen *fz = NULL;
    struct sl_err err = {0};
    if (w->src->ops->freeze(w->src, sl_str_from(name), &fz, &err) != SL_OK) {
        fail_msg("%s", err.text);
    }
    return fz;
}

static struct sl_shard *shards_of(struct sl_frozen *fz, const char *class_name,
                                  struct sl_arena *arena, uint32_t want_count)
{
    struct sl_shard *list = NULL;
    uint32_t count = 0;
    assert_int_equal(fz->ops->shards(fz, sl_str_from(class_name), arena, &list, &count, NULL),
                     SL_OK);
    assert_int_equal(count, want_count);
    return list;
}

static const struct sl_range_key whole; /* from the first key to the end */

/* Reads a range to its end; every object must be the one `put` made of its number. */
static uint32_t read_range(struct sl_frozen *fz, const struct sl_shard *shard,
                           const struct sl_range_key *range, const char *note, uint8_t *last)
{
    SL_AUTO_PTR(sl_cursor) cur = NULL;
    uint32_t count = 0;
    assert_int_equal(fz->ops->cursor(fz, shard, range, &cur, NULL), SL_OK);
    for (;; count++) {
        const struct sl_object *obj = NULL;
        sl_rc rc = sl_cursor_next(cur, &obj, NULL);
        if (rc == SL_END) {
            return count;
        }
        assert_int_equal(rc, SL_OK);
        assert_true(memcmp(obj->uuid, last, SL_UUID_SIZE) > 0);
        assert_true(memcmp(obj->uuid, range->lo, SL_UUID_SIZE) >= 0);
        assert_true(!range->has_hi || memcmp(obj->uuid, range->hi, SL_UUID_SIZE) < 0);
        memcpy(last, obj->uuid, SL_UUID_SIZE);
        struct sl_rd rd = sl_rd_over(SL_BYTES(obj->uuid + 8, 8));
        uint32_t n = (uint32_t)sl_rd_u64be(&rd);
        char properties[64];
        float vector[3] = {(float)n, -1, 0.5F};
        snprintf(properties, sizeof properties, "{\"note\":\"%s%u\"}", note, n);
        assert_int_equal(obj->create_ms, 1000 + n);
        assert_int_equal(obj->update_ms, 2000 + n);
        assert_true(sl_str_is(sl_bytes_str(obj->properties), properties));
        assert_true(sl_bytes_eq(obj->vector, SL_BYTES(vector, sizeof vector)));
    }
}

static uint32_t read_shard(struct sl_frozen *fz, const struct sl_shard *shard, const char *note)
{
    uint8_t last[SL_UUID_SIZE] = {0};
    return read_range(fz, shard, &whole, note, last);
}

/* ---- the promises ---- */

static void classes_come_in_creation_order(void **state)
{
    struct world *w = *state;
    struct sl_arena arena = SL_ARENA_EMPTY;
    struct sl_str *names = NULL;
    uint32_t count = 9;
    assert_int_equal(w->src->ops->classes(w->src, &arena, &names, &count, NULL), SL_OK);
    assert_int_equal(count, 0);
    add_class(w, "Zoo", false);
    add_class(w, "Ant", true);
    add_class(w, "Mule", false);
    assert_int_equal(w->src->ops->classes(w->src, &arena, &names, &count, NULL), SL_OK);
    assert_int_equal(count, 3);
    assert_true(sl_str_is(names[0], "Zoo"));
    assert_true(sl_str_is(names[1], "Ant"));
    assert_true(sl_str_is(names[2], "Mule"));
    sl_arena_fini(&arena);
}

static void shards_come_in_name_order_with_exact_counts(void **state)
{
    struct world *w = *state;
    struct sl_arena arena = SL_ARENA_EMPTY;
    add_class(w, "Ten", true);
    add_tenant(w, "Ten", "t2");
    add_tenant(w, "Ten", "t10");
    add_tenant(w, "Ten", "t1");
    put_many(w, "Ten", "t1", 3);
    put_many(w, "Ten", "t10", 5);
    put(w, "Ten", "t10", 2, "new");
    struct sl_frozen *fz = freeze(w, "v-1");
    struct sl_shard *list = shards_of(fz, "Ten", &arena, 3);
    static const char *const names[] = {"t1", "t10", "t2"};
    static const uint64_t counts[] = {3, 5, 0};
    static const char *const reasons[] = {"", "", "no data"};
    for (size_t i = 0; i < 3; i++) {
        assert_true(sl_str_is(list[i].class_name, "Ten"));
        assert_true(sl_str_is(list[i].name, names[i]));
        assert_true(sl_str_is(list[i].skip_reason, reasons[i]));
        assert_true(list[i].is_tenant);
        assert_int_equal(list[i].object_count, counts[i]);
    }
    sl_frozen_release(fz, true);
    sl_arena_fini(&arena);
}

static void class_without_tenants_has_a_shard_that_is_no_tenant(void **state)
{
    struct world *w = *state;
    struct sl_arena arena = SL_ARENA_EMPTY;
    add_class(w, "Plain", false);
    put_many(w, "Plain", "", 2);
    struct sl_frozen *fz = freeze(w, "v-1");
    struct sl_shard *list = shards_of(fz, "Plain", &arena, 1);
    assert_false(list[0].is_tenant);
    assert_true(list[0].name.len > 0);
    assert_int_equal(read_shard(fz, &list[0], "old"), 2);
    sl_frozen_release(fz, true);
    sl_arena_fini(&arena);
}

static void unknown_class_is_not_found(void **state)
{
    struct world *w = *state;
    struct sl_arena arena = SL_ARENA_EMPTY;
    struct sl_shard *list = NULL;
    uint32_t count = 0;
    add_class(w, "Known", false);
    struct sl_frozen *fz = freeze(w, "v-1");
    add_class(w, "Later", false);
    assert_int_equal(fz->ops->shards(fz, SL_STR("Never"), &arena, &list, &count, NULL),
                     SL_ENOTFOUND);
    assert_int_equal(fz->ops->shards(fz, SL_STR("known"), &arena, &list, &count, NULL),
                     SL_ENOTFOUND);
    assert_int_equal(fz->ops->shards(fz, SL_STR("Later"), &arena, &list, &count, NULL),
                     SL_ENOTFOUND);
    sl_frozen_release(fz, true);
    sl_arena_fini(&arena);
}

/* A class that only folders tell of has none: memory before it is told one. */
static void schema_is_that_of_the_view(void **state)
{
    struct world *w = *state;
    struct sl_arena arena = SL_ARENA_EMPTY;
    struct sl_str json = SL_STR("");
    add_class(w, "Ten", true);
    if (w->db == NULL) {
        struct sl_frozen *before = freeze(w, "v-0");
        assert_int_equal(before->ops->schema(before, SL_STR("Ten"), &arena, &json, NULL), SL_OK);
        assert_int_equal(json.len, 0);
        sl_frozen_release(before, true);
        sl_source_mem_schema(fed(w), "Ten",
                             "{\"class\":\"Ten\",\"multiTenancyConfig\":{\"enabled\":true}}");
    }
    struct sl_frozen *fz = freeze(w, "v-1");
    add_class(w, "Later", false);
    if (w->db == NULL) {
        sl_source_mem_schema(fed(w), "Ten", "{}");
    } else {
        assert_int_equal(sl_db_class_delete(w->db, SL_STR("Ten"), NULL), SL_OK);
    }
    assert_int_equal(fz->ops->schema(fz, SL_STR("Later"), &arena, &json, NULL), SL_ENOTFOUND);
    assert_int_equal(fz->ops->schema(fz, SL_STR("ten"), &arena, &json, NULL), SL_ENOTFOUND);
    assert_int_equal(fz->ops->schema(fz, SL_STR("Ten"), &arena, &json, NULL), SL_OK);
    sl_frozen_release(fz, true);
    json_t *doc = json_loadb(json.ptr, json.len, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(doc, "class")), "Ten");
    assert_true(
        json_is_true(json_object_get(json_object_get(doc, "multiTenancyConfig"), "enabled")));
    json_decref(doc);
    sl_arena_fini(&arena);
}

static void view_stands_while_the_source_moves(void **state)
{
    struct world *w = *state;
    struct sl_arena arena = SL_ARENA_EMPTY;
    add_class(w, "A", false);
    add_class(w, "B", true);
    add_tenant(w, "B", "t");
    put_many(w, "A", "", 20);
    put_many(w, "B", "t", 7);
    struct sl_frozen *fz = freeze(w, "v-1");
    for (uint32_t n = 10; n < 40; n++) {
        put(w, "A", "", n, "new");
    }
    add_tenant(w, "B", "u");
    if (w->db == NULL) {
        sl_source_mem_empty(fed(w), "B", "t");
    } else {
        assert_int_equal(sl_db_class_delete(w->db, SL_STR("B"), NULL), SL_OK);
    }
    struct sl_shard *a = shards_of(fz, "A", &arena, 1);
    struct sl_shard *b = shards_of(fz, "B", &arena, 1);
    assert_int_equal(read_shard(fz, a, "old"), 20);
    assert_int_equal(read_shard(fz, b, "old"), 7);
    sl_frozen_release(fz, true);
    sl_arena_fini(&arena);
}

static void ranges_are_disjoint_and_cover_every_key(void **state)
{
    static const uint32_t wanted[] = {1, 2, 3, 7, 64, 5000};
    struct world *w = *state;
    struct sl_arena arena = SL_ARENA_EMPTY;
    add_class(w, "A", false);
    put_many(w, "A", "", 1000);
    struct sl_frozen *fz = freeze(w, "v-1");
    struct sl_shard *shard = shards_of(fz, "A", &arena, 1);
    for (size_t i = 0; i < SL_COUNT_OF(wanted); i++) {
        struct sl_range_key *ranges = NULL;
        uint8_t last[SL_UUID_SIZE] = {0};
        uint32_t count = 0, rows = 0;
        assert_int_equal(fz->ops->split(fz, shard, wanted[i], &arena, &ranges, &count, NULL),
                         SL_OK);
        assert_in_range(count, 1, wanted[i]);
        for (uint32_t r = 0; r < count; r++) { /* read_range checks that all ascend over ranges */
            assert_true(ranges[r].has_hi == (r + 1 < count));
            assert_true(r == 0 || memcmp(ranges[r - 1].hi, ranges[r].lo, SL_UUID_SIZE) == 0);
            rows += read_range(fz, shard, &ranges[r], "old", last);
        }
        assert_int_equal(rows, 1000);
    }
    sl_frozen_release(fz, true);
    sl_arena_fini(&arena);
}

struct reader {
    struct sl_frozen *fz;
    const struct sl_shard *shard;
    struct sl_range_key range;
    uint32_t rows;
    sl_rc rc;
};

static void read_on_thread(void *arg)
{
    struct reader *r = arg;
    SL_AUTO_PTR(sl_cursor) cur = NULL;
    r->rc = r->fz->ops->cursor(r->fz, r->shard, &r->range, &cur, NULL);
    while (r->rc == SL_OK) {
        const struct sl_object *obj = NULL;
        r->rc = sl_cursor_next(cur, &obj, NULL);
        r->rows += r->rc == SL_OK;
    }
}

static void many_cursors_read_at_once(void **state)
{
    enum { READERS = 4 };
    struct world *w = *state;
    struct sl_arena arena = SL_ARENA_EMPTY;
    add_class(w, "A", false);
    put_many(w, "A", "", 400);
    struct sl_frozen *fz = freeze(w, "v-1");
    struct sl_shard *shard = shards_of(fz, "A", &arena, 1);
    struct reader readers[READERS];
    struct sl_thread *threads[READERS];
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.fz = fz, .shard = shard};
        assert_int_equal(sl_thread_start("reader", read_on_thread, &readers[i], &threads[i], NULL),
                         SL_OK);
    }
    put_many(w, "A", "", 50);
    for (size_t i = 0; i < READERS; i++) {
        sl_thread_join(threads[i]);
        assert_int_equal(readers[i].rc, SL_END);
        assert_int_equal(readers[i].rows, 400);
    }
    sl_frozen_release(fz, true);
    sl_arena_fini(&arena);
}

/* What a killed process leaves: the name is known, the view is not open. */
static void view_left_behind_is_dropped_by_its_name(void **state)
{
    struct world *w = *state;
    add_class(w, "A", false);
    put_many(w, "A", "", 3);
    sl_frozen_release(freeze(w, "left"), false);
    assert_int_equal(w->src->ops->drop(w->src, SL_STR("never"), NULL), SL_OK);
    struct sl_frozen *fz = NULL;
    assert_int_equal(w->src->ops->freeze(w->src, SL_STR("left"), &fz, NULL), SL_ECONFLICT);
    assert_int_equal(w->src->ops->drop(w->src, SL_STR("left"), NULL), SL_OK);
    sl_frozen_release(freeze(w, "left"), true);
    sl_frozen_release(freeze(w, "left"), true);
}

/* ---- our own database ---- */

static void set_status(struct world *w, const char *tenant, const char *status)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    json_t *body = parse("[{'name':'%s','activityStatus':'%s'}]", tenant, status);
    assert_int_equal(sl_db_tenants_update(w->db, SL_STR("Ten"), body, &out, NULL), SL_OK);
    json_decref(body);
}

static void cold_tenants_are_read_and_stay_cold(void **state)
{
    struct world *w = *state;
    if (w->db == NULL) {
        return; /* only our own database has tenant states */
    }
    struct sl_arena arena = SL_ARENA_EMPTY;
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    add_class(w, "Ten", true);
    add_tenant(w, "Ten", "cold");
    add_tenant(w, "Ten", "hot");
    json_t *body = parse("[{'name':'%s','activityStatus':'%s'}]", "cold-born", "COLD");
    assert_int_equal(sl_db_tenants_add(w->db, SL_STR("Ten"), body, &out, NULL), SL_OK);
    json_decref(body);
    put_many(w, "Ten", "cold", 4);
    put_many(w, "Ten", "hot", 2);
    set_status(w, "cold", "COLD");
    struct sl_frozen *fz = freeze(w, "v-1");
    struct sl_shard *list = shards_of(fz, "Ten", &arena, 3);
    assert_true(sl_str_is(list[0].name, "cold"));
    assert_int_equal(read_shard(fz, &list[0], "old"), 4);
    assert_true(sl_str_is(list[1].name, "cold-born"));
    assert_true(sl_str_is(list[1].skip_reason, "tenant has no data on disk"));
    set_status(w, "cold", "HOT");
    set_status(w, "hot", "COLD");
    assert_int_equal(read_shard(fz, &list[0], "old"), 4);
    assert_int_equal(read_shard(fz, &list[2], "old"), 2);
    sl_frozen_release(fz, true);
    sl_buf_clear(&out);
    assert_int_equal(sl_db_tenant_get(w->db, SL_STR("Ten"), SL_STR("hot"), &out, NULL), SL_OK);
    assert_non_null(strstr(sl_buf_cstr(&out), "\"COLD\""));
    sl_arena_fini(&arena);
}

static void offloaded_tenants_are_skipped_with_their_state(void **state)
{
    struct world *w = *state;
    if (w->db == NULL) {
        return; /* only our own database has tenant states */
    }
    struct sl_arena arena = SL_ARENA_EMPTY;
    add_class(w, "Ten", true);
    add_tenant(w, "Ten", "t");
    put_many(w, "Ten", "t", 4);
    set_status(w, "t", "OFFLOADED");
    struct sl_frozen *fz = freeze(w, "v-1");
    struct sl_shard *list = shards_of(fz, "Ten", &arena, 1);
    /* The move is in the background: at its beginning or done. */
    assert_true(sl_str_is(list[0].skip_reason, "tenant status is FREEZING") ||
                sl_str_is(list[0].skip_reason, "tenant status is FROZEN"));
    sl_frozen_release(fz, true);
    sl_arena_fini(&arena);
}

/* Overwrites the stored bytes of object n, wherever the database keeps them. */
static void damage(struct world *w, uint32_t n)
{
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    uint8_t uuid[SL_UUID_SIZE];
    struct sl_bytes key, value;
    uuid_of(n, uuid);
    assert_int_equal(sl_kv_scan(w->kv, NULL, (struct sl_kv_span){0}, false, &it, NULL), SL_OK);
    while (sl_kv_next(it, &key, &value, NULL) == SL_OK) {
        if (key.len >= sizeof uuid &&
            memcmp(key.ptr + key.len - sizeof uuid, uuid, sizeof uuid) == 0) {
            sl_kv_batch_put(b, key, SL_BYTES(value.ptr, value.len / 2));
        }
    }
    assert_int_equal(sl_kv_batch_count(b), 1);
    assert_int_equal(sl_kv_commit(w->kv, b, NULL), SL_OK);
}

static void damaged_object_is_told_with_its_id(void **state)
{
    struct world *w = *state;
    struct sl_arena arena = SL_ARENA_EMPTY;
    struct sl_err err = {0};
    if (w->db == NULL) {
        return; /* nothing below the others to damage */
    }
    add_class(w, "A", false);
    put_many(w, "A", "", 1);
    damage(w, 0);
    struct sl_frozen *fz = freeze(w, "v-1");
    struct sl_cursor *cur = NULL;
    const struct sl_object *obj = NULL;
    struct sl_shard *shard = shards_of(fz, "A", &arena, 1);
    assert_int_equal(fz->ops->cursor(fz, shard, &whole, &cur, NULL), SL_OK);
    assert_int_equal(sl_cursor_next(cur, &obj, &err), SL_ECORRUPT);
    assert_non_null(strstr(err.text, "object 9e3779b9-7f4a-7c15-0000-000000000000: "));
    sl_cursor_close(cur);
    sl_frozen_release(fz, true);
    sl_arena_fini(&arena);
}

/* ---- failures ---- */

/* All calls once. On failure nothing stays that the caller would have to undo. */
static sl_rc script(struct world *w, struct sl_err *err)
{
    struct sl_arena arena = SL_ARENA_EMPTY;
    struct sl_frozen *fz = NULL;
    struct sl_cursor *cur = NULL;
    struct sl_str *names = NULL;
    struct sl_shard *list = NULL;
    struct sl_range_key *ranges = NULL;
    uint32_t count = 0;
    const struct sl_object *obj = NULL;
    sl_rc rc = w->src->ops->classes(w->src, &arena, &names, &count, err);
    if (rc == SL_OK) {
        rc = w->src->ops->freeze(w->src, SL_STR("swept"), &fz, err);
    }
    if (rc == SL_OK) {
        rc = fz->ops->shards(fz, SL_STR("A"), &arena, &list, &count, err);
    }
    if (rc == SL_OK) {
        rc = fz->ops->schema(fz, SL_STR("A"), &arena, &names[0], err);
    }
    if (rc == SL_OK) {
        rc = fz->ops->split(fz, list, 4, &arena, &ranges, &count, err);
    }
    if (rc == SL_OK) {
        rc = fz->ops->cursor(fz, list, &ranges[0], &cur, err);
    }
    if (rc == SL_OK) {
        rc = sl_cursor_next(cur, &obj, err);
    }
    sl_cursor_close(cur);
    sl_frozen_release(fz, true);
    if (rc == SL_OK) {
        rc = w->src->ops->drop(w->src, SL_STR("swept"), err);
    }
    sl_arena_fini(&arena);
    return rc;
}

/* Fails call 0, 1, 2 ... of one kind until the script ends well; returns how many it failed. */
static int64_t sweep(struct world *w, enum sl_fault fault, sl_rc want)
{
    assert_int_equal(script(w, NULL), SL_OK); /* what is made at the first use stays */
    int64_t live = sl_mem_live();
    for (int64_t n = 0;; n++) {
        struct sl_err err = {0};
        sl_fault_fail_after(fault, n);
        sl_rc rc = script(w, &err);
        sl_fault_clear();
        assert_int_equal(sl_mem_live(), live);
        if (rc == SL_OK) {
            return n;
        }
        assert_int_equal(rc, want);
        assert_int_not_equal(strlen(err.text), 0);
    }
}

static void refused_memory_is_told_and_leaves_nothing(void **state)
{
    struct world *w = *state;
    add_class(w, "A", false);
    put_many(w, "A", "", 10);
    assert_true(sweep(w, SL_FAULT_ALLOC, SL_ENOMEM) > 4);
}

static void failing_calls_are_told_and_leave_nothing(void **state)
{
    struct world *w = *state;
    add_class(w, "A", false);
    put_many(w, "A", "", 10);
    int64_t failed = sweep(w, SL_FAULT_SOURCE, SL_EIO);
    assert_int_equal(failed, current_kind == KIND_FAULTY ? 8 : 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(classes_come_in_creation_order),
        T(shards_come_in_name_order_with_exact_counts),
        T(class_without_tenants_has_a_shard_that_is_no_tenant),
        T(unknown_class_is_not_found),
        T(schema_is_that_of_the_view),
        T(view_stands_while_the_source_moves),
        T(ranges_are_disjoint_and_cover_every_key),
        T(many_cursors_read_at_once),
        T(view_left_behind_is_dropped_by_its_name),
        T(cold_tenants_are_read_and_stay_cold),
        T(offloaded_tenants_are_skipped_with_their_state),
        T(damaged_object_is_told_with_its_id),
        T(refused_memory_is_told_and_leaves_nothing),
        T(failing_calls_are_told_and_leave_nothing),
    };
    static const char *const names[] = {
        [KIND_MEM] = "mem", [KIND_FAULTY] = "faulty", [KIND_LIVE] = "live"};
    int failed = 0;
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        current_kind = (enum kind)i;
        failed += cmocka_run_group_tests_name(names[i], tests, NULL, NULL);
    }
    return failed;
}
