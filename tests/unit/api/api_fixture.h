/* A whole node below the API: database over the store in memory, exports into a temporary folder.
 * The settings of exports are asked for by every export call on its worker, so a closed gate there
 * parks a request in the middle of its work. */
#ifndef TESTS_API_FIXTURE_H
#define TESTS_API_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/api_int.h"
#include "backend/backend.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "base/stats.h"
#include "base/sync.h"
#include "source/weaviate.h"

#define ID_1 "00000000-0000-4000-8000-000000000001"

struct gate {
    struct sl_mutex mu;
    struct sl_cond changed;
    bool is_closed;
    uint32_t waiting; /* workers inside */
};

struct node {
    struct sl_kv *kv;
    struct sl_backend *offload;
    struct sl_db *db;
    struct sl_source *source;
    struct sl_source *foreign; /* NULL: the database is served */
    struct sl_exports *exports;
    struct sl_ticker *ticker;
    struct sl_auth *auth;
    struct gate gate;
    char folder[64], foreign_path[80];
    struct sl_api_opts opts;
    struct sl_err err;
};

static inline sl_rc node_settings(void *arg, struct sl_arena *arena SL_UNUSED,
                                  struct sl_export_settings *ret, struct sl_err *err SL_UNUSED)
{
    struct node *n = arg;
    sl_mutex_lock(&n->gate.mu);
    n->gate.waiting++;
    sl_cond_broadcast(&n->gate.changed);
    while (n->gate.is_closed) {
        sl_cond_wait(&n->gate.changed, &n->gate.mu);
    }
    n->gate.waiting--;
    sl_mutex_unlock(&n->gate.mu);
    *ret = (struct sl_export_settings){.is_enabled = true,
                                       .path = sl_str_from(n->folder),
                                       .parallelism = 1,
                                       .memory_bytes = 128 << 20};
    return SL_OK;
}

static inline void gate_close(struct node *n)
{
    sl_mutex_lock(&n->gate.mu);
    n->gate.is_closed = true;
    sl_mutex_unlock(&n->gate.mu);
}
static inline void gate_await(struct node *n, uint32_t waiting)
{
    sl_mutex_lock(&n->gate.mu);
    while (n->gate.waiting < waiting) {
        sl_cond_wait(&n->gate.changed, &n->gate.mu);
    }
    sl_mutex_unlock(&n->gate.mu);
}
static inline void gate_open(struct node *n)
{
    sl_mutex_lock(&n->gate.mu);
    n->gate.is_closed = false;
    sl_cond_broadcast(&n->gate.changed);
    sl_mutex_unlock(&n->gate.mu);
}

static inline int node_open(void **state)
{
    struct node *n = calloc(1, sizeof *n); /* allow: calloc, a test owns it */
    sl_log_setup((enum sl_log_level)(SL_ERROR + 1), SL_LOG_JSON);
    (void)snprintf(n->folder, sizeof n->folder, "%s/sl-api-test-XXXXXX",
                   getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
    assert_non_null(mkdtemp(n->folder));
    sl_mutex_init(&n->gate.mu);
    sl_cond_init(&n->gate.changed);
    assert_int_equal(sl_kv_mem_open(&n->kv, &n->err), SL_OK);
    assert_int_equal(sl_backend_filesystem_open(n->folder, &n->offload, &n->err), SL_OK);
    struct sl_db_opts db_opts = {.clock = sl_clock_real(),
                                 .offload = n->offload,
                                 .is_auto_schema = true,
                                 .limit_default = 10,
                                 .limit_max = 100};
    assert_int_equal(sl_db_open(n->kv, &db_opts, &n->db, &n->err), SL_OK);
    assert_int_equal(sl_source_live_open(n->db, &n->source, &n->err), SL_OK);
    struct sl_exports_opts ex_opts = {
        .source = n->source, .clock = sl_clock_real(), .node_name = SL_STR("node1")};
    assert_int_equal(sl_exports_open(&ex_opts, &n->exports, &n->err), SL_OK);
    assert_int_equal(sl_ticker_new(sl_clock_real(), &n->ticker, &n->err), SL_OK);
    struct sl_auth_opts auth_opts = {.anonymous = "", .clock = sl_clock_real()};
    assert_int_equal(sl_auth_open(&auth_opts, &n->auth, &n->err), SL_OK);
    n->opts = (struct sl_api_opts){.db = n->db,
                                   .auth = n->auth,
                                   .exports = n->exports,
                                   .ticker = n->ticker,
                                   .host = "127.0.0.1",
                                   .node_name = "node1",
                                   .body_max = 64 * 1024,
                                   .body_budget = 16 * 1024,
                                   .connections_max = 2048,
                                   .request_timeout_s = 60,
                                   .worker_count = 2,
                                   .export_settings = node_settings,
                                   .arg = n};
    *state = n;
    return 0;
}

/* A folder as Weaviate 1.25 and later lay it out: a class with one shard, without objects. */
static inline void make_foreign_data(struct node *n)
{
    char shard[160];
    (void)snprintf(shard, sizeof shard, "%s/movies/Xa1b2c3d4e5F/lsm/objects", n->foreign_path);
    assert_int_equal(sl_dir_create(shard, &n->err), SL_OK);
}

/* The same node beside foreign data; without a database, so that nothing asks it. */
static inline int foreign_node_open(void **state)
{
    static const struct sl_weaviate_opts opts = {0};
    assert_int_equal(node_open(state), 0);
    struct node *n = *state;
    (void)snprintf(n->foreign_path, sizeof n->foreign_path, "%s/foreign", n->folder);
    make_foreign_data(n);
    assert_int_equal(
        sl_source_weaviate_open(n->foreign_path, SL_KIND_WEAVIATE, &opts, &n->foreign, &n->err),
        SL_OK);
    sl_exports_close(n->exports);
    struct sl_exports_opts ex_opts = {
        .source = n->foreign, .clock = sl_clock_real(), .node_name = SL_STR("node1")};
    assert_int_equal(sl_exports_open(&ex_opts, &n->exports, &n->err), SL_OK);
    n->opts.db = NULL;
    n->opts.foreign = n->foreign;
    n->opts.foreign_path = n->foreign_path;
    n->opts.exports = n->exports;
    return 0;
}

static inline int node_close(void **state)
{
    struct node *n = *state;
    sl_exports_close(n->exports);
    sl_source_close(n->foreign);
    sl_auth_close(n->auth);
    sl_ticker_free(n->ticker);
    sl_source_close(n->source);
    sl_db_close(n->db);
    sl_backend_close(n->offload);
    sl_kv_close(n->kv);
    assert_int_equal(sl_dir_remove_tree(n->folder, &n->err), SL_OK);
    sl_cond_fini(&n->gate.changed);
    sl_mutex_fini(&n->gate.mu);
    free(n); /* allow: free, a test owned it */
    return 0;
}

#endif
