/* What the object tests share: a database over the in-memory store with a clock that stands still,
 * and calls that take and give JSON text. */
#ifndef TESTS_DATABASE_OBJECT_FIXTURE_H
#define TESTS_DATABASE_OBJECT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "base/fault.h"
#include "base/str.h"
#include "database/database.h"

#define NOW_MS    INT64_C(1795429435753)
#define NS_PER_MS INT64_C(1000000)

struct fixture {
    struct sl_kv *kv;     /* the store itself */
    struct sl_kv *faulty; /* what the database sees */
    struct sl_clock_fake *clock;
    struct sl_backend *offload; /* offload_path */
    struct sl_db *db;
    struct sl_err err; /* of the last call */
    struct sl_buf out; /* reply of the last call */
    char offload_path[64];
};

static inline json_t *parse(const char *text)
{
    json_error_t e;
    json_t *v = json_loads(text, JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, &e);
    if (v == NULL) {
        fail_msg("%s in %s", e.text, text);
    }
    return v;
}

/* Opens the database over the store of the fixture. */
static inline void fixture_reopen(struct fixture *f, bool is_auto_schema, bool is_read_only)
{
    sl_db_close(f->db);
    f->db = NULL;
    struct sl_db_opts opts = {.clock = sl_clock_fake_clock(f->clock),
                              .offload = f->offload,
                              .is_auto_schema = is_auto_schema,
                              .is_read_only = is_read_only,
                              .limit_default = 10,
                              .limit_max = 100};
    assert_int_equal(sl_db_open(f->faulty, &opts, &f->db, &f->err), SL_OK);
}

static inline int fixture_open(struct fixture *f, bool is_auto_schema)
{
    *f = (struct fixture){0};
    strcpy(f->offload_path, "/tmp/sl-object-test-XXXXXX"); /* allow: strcpy, a test's literal */
    assert_non_null(mkdtemp(f->offload_path));
    assert_int_equal(sl_backend_filesystem_open(f->offload_path, &f->offload, &f->err), SL_OK);
    assert_int_equal(sl_kv_mem_open(&f->kv, &f->err), SL_OK);
    assert_int_equal(sl_kv_faulty_open(f->kv, &f->faulty, &f->err), SL_OK);
    f->clock = sl_clock_fake_new(NOW_MS * NS_PER_MS, 0);
    assert_non_null(f->clock);
    fixture_reopen(f, is_auto_schema, false);
    return 0;
}

static inline void fixture_close(struct fixture *f)
{
    sl_db_close(f->db);
    sl_backend_close(f->offload);
    sl_kv_close(f->faulty);
    sl_kv_close(f->kv);
    sl_clock_fake_free(f->clock);
    sl_buf_fini(&f->out);
    assert_int_equal(remove(f->offload_path), 0);
}

static inline void set_time(struct fixture *f, int64_t unix_ms)
{
    int64_t now = sl_clock_wall_ns(sl_clock_fake_clock(f->clock));
    sl_clock_fake_advance(f->clock, unix_ms * NS_PER_MS - now);
}

/* Clears what the last call left. */
static inline void begin(struct fixture *f)
{
    sl_buf_clear(&f->out);
    f->err = (struct sl_err){0};
}

static inline void make_class(struct fixture *f, const char *text)
{
    json_t *body = parse(text);
    begin(f);
    sl_rc rc = sl_db_class_create(f->db, body, &f->out, &f->err);
    json_decref(body);
    if (rc != SL_OK) {
        fail_msg("%s", sl_err_text(&f->err, rc));
    }
}

static inline sl_rc add(struct fixture *f, const char *text)
{
    json_t *body = parse(text);
    begin(f);
    sl_rc rc = sl_db_object_add(f->db, body, &f->out, &f->err);
    json_decref(body);
    return rc;
}

static inline struct sl_db_where in_class(const char *name)
{
    return (struct sl_db_where){.class_name = sl_str_from(name)};
}

static inline struct sl_db_where in_tenant(const char *name, const char *tenant)
{
    return (struct sl_db_where){sl_str_from(name), sl_str_from(tenant)};
}

static inline sl_rc put(struct fixture *f, struct sl_db_where where, const char *id,
                        const char *text)
{
    json_t *body = parse(text);
    begin(f);
    sl_rc rc = sl_db_object_put(f->db, where, sl_str_from(id), body, &f->out, &f->err);
    json_decref(body);
    return rc;
}

static inline sl_rc patch(struct fixture *f, struct sl_db_where where, const char *id,
                          const char *text)
{
    json_t *body = parse(text);
    begin(f);
    sl_rc rc = sl_db_object_patch(f->db, where, sl_str_from(id), body, &f->err);
    json_decref(body);
    return rc;
}

static inline sl_rc get(struct fixture *f, struct sl_db_where where, const char *id)
{
    begin(f);
    return sl_db_object_get(f->db, where, sl_str_from(id),
                            (struct sl_db_read_opts){.with_vector = true}, &f->out, &f->err);
}

static inline sl_rc delete (struct fixture *f, struct sl_db_where where, const char *id)
{
    begin(f);
    return sl_db_object_delete(f->db, where, sl_str_from(id), &f->err);
}

static inline sl_rc batch(struct fixture *f, const char *text)
{
    json_t *body = parse(text);
    begin(f);
    sl_rc rc = sl_db_batch_objects(f->db, body, &f->out, &f->err);
    json_decref(body);
    return rc;
}

static inline sl_rc batch_references(struct fixture *f, const char *text)
{
    json_t *body = parse(text);
    begin(f);
    sl_rc rc = sl_db_batch_references(f->db, body, &f->out, &f->err);
    json_decref(body);
    return rc;
}

static inline void expect_ok(struct fixture *f, sl_rc rc)
{
    if (rc != SL_OK) {
        fail_msg("%s: %s", sl_rc_name(rc), sl_err_text(&f->err, rc));
    }
}

static inline void expect_reply(struct fixture *f, const char *want)
{
    assert_string_equal(sl_buf_cstr(&f->out), want);
}

static inline void expect_refusal(struct fixture *f, sl_rc rc, sl_rc want, const char *text)
{
    assert_string_equal(f->err.text, text);
    assert_string_equal(sl_rc_name(rc), sl_rc_name(want));
    assert_int_equal(f->out.len, 0);
}

static inline uint64_t object_count(struct fixture *f)
{
    struct sl_db_counts counts = {0};
    assert_int_equal(sl_db_counts(f->db, &counts, &f->err), SL_OK);
    return counts.object_count;
}

/* Lines of a file of tests/data, cut at their tab. */
struct rows {
    char *text;
    char *left[256], *right[256];
    size_t count;
};

static inline struct rows rows_read(const char *name)
{
    char path[1024];
    struct rows r = {0};
    snprintf(path, sizeof path, "%s/%s", SL_TEST_DATA, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size_t size = (size_t)ftell(file);
    rewind(file);
    r.text = malloc(size + 1);
    assert_int_equal(fread(r.text, 1, size, file), size);
    r.text[size] = '\0';
    fclose(file);
    for (char *at = r.text; *at != '\0' && r.count < 256;) {
        char *tab = strchr(at, '\t');
        char *end = strchr(at, '\n');
        if (tab == NULL || end == NULL || tab > end) {
            break;
        }
        *tab = *end = '\0';
        r.left[r.count] = at;
        r.right[r.count++] = tab + 1;
        at = end + 1;
    }
    return r;
}

#endif
