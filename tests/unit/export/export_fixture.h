/* A node's export engine over fakes: a source in memory, one destination in memory that all opened
 * backends share, a journal in memory, and a clock whose sleeps end at once. Each fake is wrapped
 * by the decorator that fails when a test says so. */
#ifndef SL_TEST_EXPORT_FIXTURE_H
#define SL_TEST_EXPORT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/str.h"
#include "export/export_int.h"

#define FOREVER INT64_MAX
#define MIB     (1ull << 20)

/* ---- clock ---- */

struct test_clock {
    struct sl_clock clock;
    _Atomic int64_t wall, mono;
};

static inline struct test_clock *test_clock_of(struct sl_clock *c)
{
    return SL_CONTAINER_OF(c, struct test_clock, clock);
}
static inline int64_t test_wall(struct sl_clock *c)
{
    return test_clock_of(c)->wall;
}
static inline int64_t test_mono(struct sl_clock *c)
{
    return test_clock_of(c)->mono;
}
static inline sl_rc test_sleep(struct sl_clock *c, int64_t until_ns, struct sl_cancel *cancel)
{
    test_clock_of(c)->mono = until_ns;
    return sl_cancel_is_set(cancel) ? SL_ECANCELED : SL_OK;
}
static const struct sl_clock_ops test_clock_ops = {
    .wall_ns = test_wall, .mono_ns = test_mono, .sleep_until = test_sleep};

static inline int64_t time_of(const char *text)
{
    int64_t ns = 0;
    assert_true(sl_time_parse(sl_str_from(text), &ns));
    return ns;
}

/* ---- gate: parks whoever passes until the test opens it ---- */

struct gate {
    struct sl_mutex mu;
    struct sl_cond changed;
    bool is_open;
    uint32_t waiting;
};

static inline void gate_init(struct gate *g)
{
    *g = (struct gate){0};
    sl_mutex_init(&g->mu);
    sl_cond_init(&g->changed);
}
static inline void gate_fini(struct gate *g)
{
    sl_cond_fini(&g->changed);
    sl_mutex_fini(&g->mu);
}
static inline void gate_pass(struct gate *g)
{
    sl_mutex_lock(&g->mu);
    g->waiting++;
    sl_cond_broadcast(&g->changed);
    while (!g->is_open) {
        sl_cond_wait(&g->changed, &g->mu);
    }
    g->waiting--;
    sl_mutex_unlock(&g->mu);
}
static inline void gate_await(struct gate *g, uint32_t waiting)
{
    sl_mutex_lock(&g->mu);
    while (g->waiting < waiting) {
        sl_cond_wait(&g->changed, &g->mu);
    }
    sl_mutex_unlock(&g->mu);
}
static inline void gate_open(struct gate *g)
{
    sl_mutex_lock(&g->mu);
    g->is_open = true;
    sl_cond_broadcast(&g->changed);
    sl_mutex_unlock(&g->mu);
}

/* ---- world ---- */

struct world {
    struct test_clock clock;
    struct sl_source *mem_source, *source; /* source: what the engine sees, as below */
    struct sl_kv *mem_kv, *kv;
    struct sl_exports *ex;
    struct sl_export_settings settings;
    struct sl_err err; /* of the last call */
    struct sl_buf out; /* reply of the last call */
    struct gate gate;
};

static struct sl_backend *shared_backend; /* in memory; outlives every opened one */

static inline sl_rc open_shared(const struct sl_backend_env *env SL_UNUSED, struct sl_str root,
                                struct sl_backend **ret, struct sl_err *err)
{
    assert_true(sl_str_is(root, "/data/exports"));
    return sl_backend_faulty_open(shared_backend, ret, err);
}

static inline void world_reopen_with(struct world *w, sli_backend_opener *opener)
{
    sl_exports_close(w->ex);
    w->ex = NULL;
    struct sl_exports_opts opts = {.source = w->source,
                                   .journal = w->kv,
                                   .clock = &w->clock.clock,
                                   .node_name = SL_STR("node1")};
    assert_int_equal(sli_exports_open(&opts, opener, &w->ex, &w->err), SL_OK);
}

static inline void world_reopen(struct world *w)
{
    world_reopen_with(w, open_shared);
}

static inline int world_open(void **state)
{
    struct world *w = calloc(1, sizeof *w); /* allow: calloc, a test owns it */
    sl_log_setup((enum sl_log_level)(SL_ERROR + 1), SL_LOG_JSON); /* failures here are meant */
    w->clock.clock.ops = &test_clock_ops;
    w->clock.wall = time_of("2026-11-23T10:25:40.907169402Z");
    gate_init(&w->gate);
    assert_int_equal(sl_source_mem_open(&w->mem_source, NULL), SL_OK);
    assert_int_equal(sl_source_faulty_open(w->mem_source, &w->source, NULL), SL_OK);
    assert_int_equal(sl_kv_mem_open(&w->mem_kv, NULL), SL_OK);
    assert_int_equal(sl_kv_faulty_open(w->mem_kv, &w->kv, NULL), SL_OK);
    assert_int_equal(sl_backend_mem_open(&shared_backend, NULL), SL_OK);
    w->settings = (struct sl_export_settings){.is_enabled = true,
                                              .path = SL_STR("/data/exports"),
                                              .parallelism = 2,
                                              .memory_bytes = 130 * MIB};
    world_reopen(w);
    *state = w;
    return 0;
}

static inline int world_close(void **state)
{
    struct world *w = *state;
    sl_fault_clear();
    sl_exports_close(w->ex);
    sl_source_close(w->source);
    sl_source_close(w->mem_source);
    sl_kv_close(w->kv);
    sl_kv_close(w->mem_kv);
    sl_backend_close(shared_backend);
    sl_buf_fini(&w->out);
    gate_fini(&w->gate);
    free(w); /* allow: free, a test owns it */
    assert_int_equal(sl_mem_live(), 0);
    return 0;
}

/* ---- feeding ---- */

static inline void add_class(struct world *w, const char *name, const char *shard)
{
    enum sl_source_mem_kind kind = shard == NULL ? SL_SOURCE_MEM_TENANTS : SL_SOURCE_MEM_PLAIN;
    assert_int_equal(sl_source_mem_class(w->mem_source, name, kind, NULL), SL_OK);
    if (shard != NULL) {
        assert_int_equal(sl_source_mem_shard(w->mem_source, name, shard, "", NULL), SL_OK);
    }
}

static inline void add_tenant(struct world *w, const char *class_name, const char *tenant,
                              const char *skip_reason)
{
    assert_int_equal(sl_source_mem_shard(w->mem_source, class_name, tenant, skip_reason, NULL),
                     SL_OK);
}

/* Objects numbered 0.. with a vector of two floats and a property. */
static inline void add_objects(struct world *w, const char *class_name, const char *shard,
                               uint32_t count)
{
    struct sl_object *obj = calloc(1, sizeof *obj); /* allow: calloc, a test owns it */
    for (uint32_t n = 0; n < count; n++) {
        char text[48];
        float vector[2] = {(float)n, -1};
        sl_put_u64be(obj->uuid + 8, n);
        obj->create_ms = 1000 + n;
        obj->update_ms = 2000 + n;
        obj->vector = SL_BYTES(vector, sizeof vector);
        snprintf(text, sizeof text, "{\"n\":%u}", n);
        obj->properties = sl_str_bytes(sl_str_from(text));
        assert_int_equal(sl_source_mem_put(w->mem_source, class_name, shard, obj, NULL), SL_OK);
    }
    free(obj); /* allow: free, a test owns it */
}

/* ---- calls ---- */

static inline void begin(struct world *w)
{
    sl_buf_clear(&w->out);
    w->err = (struct sl_err){0};
}

static inline sl_rc create(struct world *w, const char *id)
{
    begin(w);
    struct sl_export_request request = {.backend = SL_STR("filesystem"), .id = sl_str_from(id)};
    return sl_export_create(w->ex, &w->settings, &request, &w->out, &w->err);
}

/* include: names up to a NULL. */
static inline sl_rc create_of(struct world *w, const char *id, const char *const *include)
{
    struct sl_str names[64];
    uint32_t count = 0;
    for (; include[count] != NULL; count++) {
        names[count] = sl_str_from(include[count]);
    }
    begin(w);
    struct sl_export_request request = {.backend = SL_STR("filesystem"),
                                        .id = sl_str_from(id),
                                        .include = names,
                                        .include_count = count};
    return sl_export_create(w->ex, &w->settings, &request, &w->out, &w->err);
}

static inline sl_rc status(struct world *w, const char *id)
{
    begin(w);
    return sl_export_status(w->ex, &w->settings, SL_STR("filesystem"), sl_str_from(id), &w->out,
                            &w->err);
}

static inline sl_rc cancel(struct world *w, const char *id)
{
    begin(w);
    return sl_export_cancel(w->ex, &w->settings, SL_STR("filesystem"), sl_str_from(id), &w->err);
}

static inline struct sl_export_progress await(struct world *w, const char *id)
{
    struct sl_export_progress p = {0};
    assert_int_equal(sl_export_wait(w->ex, sl_str_from(id), FOREVER, &p, &w->err), SL_OK);
    return p;
}

static inline void expect_ok(struct world *w, sl_rc rc)
{
    if (rc != SL_OK) {
        fail_msg("%s: %s", sl_rc_name(rc), sl_err_text(&w->err, rc));
    }
}

static inline void expect_refusal(struct world *w, sl_rc rc, sl_rc want, const char *text)
{
    assert_string_equal(sl_err_text(&w->err, rc), text);
    assert_string_equal(sl_rc_name(rc), sl_rc_name(want));
    assert_int_equal(w->out.len, 0);
}

static inline void expect_state(struct sl_export_progress p, enum sl_export_state want)
{
    if (p.state != want) {
        fail_msg("%s: %s", sl_export_state_name(p.state), p.error.text);
    }
}

/* Exports all of the world and waits for SUCCESS. */
static inline struct sl_export_progress export_all(struct world *w, const char *id)
{
    expect_ok(w, create(w, id));
    struct sl_export_progress p = await(w, id);
    expect_state(p, SL_EXPORT_SUCCESS);
    return p;
}

/* ---- looking at the destination ---- */

static inline sl_rc join_key(void *arg, struct sl_str key, uint64_t size SL_UNUSED,
                             struct sl_err *err SL_UNUSED)
{
    struct sl_buf *out = arg;
    sl_buf_add_text(out, out->len == 0 ? "" : " ");
    sl_buf_add_str(out, key);
    return SL_OK;
}

/* Keys at the destination, in order, with a blank between; in w->out. */
static inline const char *keys(struct world *w)
{
    begin(w);
    assert_int_equal(shared_backend->ops->list(shared_backend, SL_STR(""), join_key, &w->out, NULL),
                     SL_OK);
    return sl_buf_cstr(&w->out);
}

/* Contents of a key, in w->out; "" when it does not exist. */
static inline const char *content(struct world *w, const char *key)
{
    begin(w);
    sl_rc rc = sl_backend_get(shared_backend, sl_str_from(key), 64 * MIB, &w->out, NULL);
    assert_true(rc == SL_OK || rc == SL_ENOTFOUND);
    return sl_buf_cstr(&w->out);
}

/* ---- JSON ---- */

static inline json_t *parse(const char *text)
{
    json_t *doc = json_loads(text, 0, NULL);
    if (doc == NULL) {
        fail_msg("not JSON: %s", text);
    }
    return doc;
}

static inline void expect_member(const char *text, const char *key, const char *want)
{
    json_t *doc = parse(text);
    json_t *value = json_object_get(doc, key);
    char *got = value == NULL ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (want == NULL ? got != NULL : got == NULL || strcmp(got, want) != 0) {
        fail_msg("%s is %s instead of %s in %s", key, got == NULL ? "absent" : got,
                 want == NULL ? "absent" : want, text);
    }
    free(got); /* allow: free, jansson allocated it */
    json_decref(doc);
}

#endif
