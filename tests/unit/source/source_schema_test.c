/* Schemas of real directories against what their servers answered, and of damaged, missing and
 * contradictory ones. tests/data/weaviate/schema/README.md says where the data comes from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/path.h"
#include "source/schema.h"

#define DATA_PATH SL_TEST_DATA "/weaviate/schema/"

/* ---- directories ---- */

/* A directory of its own for a test, made from one of the sets. */
struct fixture {
    char path[64];
    struct sl_schema schema;
    struct sl_err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    (void)snprintf(f->path, sizeof(f->path), "/tmp/sl-schema-test-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sl_schema_fini(&f->schema);
    assert_int_equal(sl_dir_remove_tree(f->path, NULL), SL_OK);
    free(f);
    return 0;
}

static const char *in(struct sl_buf *buf, const char *folder, const char *name)
{
    sl_buf_clear(buf);
    sl_path_join(buf, sl_str_from(folder), sl_str_from(name));
    return sl_buf_cstr(buf);
}

static void make_folder(struct fixture *f, const char *name)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    assert_int_equal(sl_dir_create(in(&path, f->path, name), NULL), SL_OK);
}

static void write_file(struct fixture *f, const char *name, struct sl_bytes b)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    assert_int_equal(sl_file_write_all(in(&path, f->path, name), b, NULL), SL_OK);
}

static void read_file(struct fixture *f, const char *name, struct sl_buf *ret)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_buf_clear(ret);
    assert_int_equal(sl_file_read_all(in(&path, f->path, name), 1 << 24, ret, NULL), SL_OK);
}

struct copy {
    const char *from, *to;
};

static sl_rc copy_entry(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    const struct copy *c = arg;
    SL_AUTO(sl_buf) from = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) to = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    struct copy inner = {.from = in(&from, c->from, name), .to = in(&to, c->to, name)};
    if (is_dir) {
        SL_TRY(sl_dir_create(inner.to, err));
        return sl_dir_list(inner.from, copy_entry, &inner, err);
    }
    SL_TRY(sl_file_read_all(inner.from, 1 << 24, &bytes, err));
    return sl_file_write_all(inner.to, sl_buf_view(&bytes), err);
}

static void copy_set(struct fixture *f, const char *set)
{
    SL_AUTO(sl_buf) from = SL_BUF_EMPTY;
    struct copy c = {.from = in(&from, DATA_PATH, set), .to = f->path};
    assert_int_equal(sl_dir_list(c.from, copy_entry, &c, NULL), SL_OK);
}

static void load(struct fixture *f)
{
    sl_schema_fini(&f->schema);
    sl_rc rc = sl_schema_load(f->path, &f->schema, &f->err);
    if (rc != SL_OK) {
        fail_msg("%s", sl_err_text(&f->err, rc));
    }
}

static bool has_warning(const struct sl_schema *s, const char *part)
{
    for (uint32_t i = 0; i < s->warning_count; i++) {
        if (strstr(s->warnings[i].ptr, part) != NULL) {
            return true;
        }
    }
    return false;
}

/* ---- against the truth ---- */

static void compare_class(const struct sl_schema *s, const char *name, json_t *truth)
{
    const struct sl_schema_class *c = sl_schema_class(s, sl_str_from(name));
    if (c == NULL) {
        fail_msg("class %s is missing", name);
    }
    assert_int_equal(c->is_multi_tenant, json_is_object(truth));
    json_t *doc = json_loadb(c->json.ptr, c->json.len, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(doc, "class")), name);
    json_decref(doc);
    if (!c->is_multi_tenant) {
        assert_int_equal(c->shard_count, json_integer_value(truth));
        return;
    }
    assert_int_equal(c->shard_count, json_object_size(truth));
    for (uint32_t i = 0; i < c->shard_count; i++) {
        const char *status = json_string_value(json_object_get(truth, c->shards[i].name.ptr));
        assert_non_null(status);
        assert_string_equal(sl_tenant_status_name(c->shards[i].status), status);
    }
}

/* truth.json: the classes with their tenants and states, or the number of shards. */
static void compare(const struct sl_schema *s, const char *set)
{
    SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
    sl_buf_addf(&path, "%s%s/truth.json", DATA_PATH, set);
    json_t *truth = json_load_file(sl_buf_cstr(&path), 0, NULL);
    assert_non_null(truth);
    const char *name;
    json_t *value;
    assert_int_equal(s->class_count, json_object_size(truth));
    json_object_foreach(truth, name, value)
    {
        compare_class(s, name, value);
    }
    json_decref(truth);
}

static void real_stores_give_what_their_servers_answered(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *set, *snapshot;
    } sets[] = {
        {"v1.25.34-options", "3-16-1795431505480"},
        {"v1.39.0-options", "3-17-1795430688284"},
        {"v1.39.0-namespaces", "2-12-1795432379720"},
        {"v1.39.0-frozen", ""},
        {"v1.39.0-upgraded", ""},
        {"v1.37.14-tenants", ""},
    };
    for (size_t i = 0; i < SL_COUNT_OF(sets); i++) {
        SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
        sl_schema_fini(&f->schema);
        sl_rc rc = sl_schema_load(in(&path, DATA_PATH, sets[i].set), &f->schema, &f->err);
        assert_int_equal(rc, SL_OK);
        compare(&f->schema, sets[i].set);
        assert_int_equal(f->schema.origin, SL_SCHEMA_RAFT);
        assert_int_equal(f->schema.warning_count, 0);
        assert_true(sl_str_is(f->schema.node_name, "node1"));
        assert_true(sl_str_is(f->schema.snapshot, sets[i].snapshot));
        assert_true(f->schema.raft_index >= 10);
        for (uint32_t k = 0; k < f->schema.class_count; k++) {
            const struct sl_schema_class *c = &f->schema.classes[k];
            assert_true(c->shard_count == 0 || (c->shards[0].node_count == 1 &&
                                                sl_str_is(c->shards[0].nodes[0], "node1")));
        }
    }
}

/* ---- damage ---- */

static void flip(struct fixture *f, const char *name, size_t at)
{
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    read_file(f, name, &bytes);
    assert_true(at < bytes.len);
    bytes.ptr[at] ^= 4;
    write_file(f, name, sl_buf_view(&bytes));
}

#define NEWER "raft/snapshots/3-16-1795431505480/"

static void a_damaged_snapshot_gives_way_to_the_one_before(void **state)
{
    struct fixture *f = *state;
    copy_set(f, "v1.25.34-options");
    flip(f, NEWER "state.bin", 20000);
    load(f);
    assert_int_equal(f->schema.origin, SL_SCHEMA_RAFT);
    assert_true(sl_str_is(f->schema.snapshot, "2-11-1795431491709"));
    assert_true(has_warning(&f->schema, "3-16-1795431505480"));
    compare(&f->schema, "v1.25.34-options"); /* the log has what came since */
}

static void without_its_snapshot_a_cut_log_is_no_schema(void **state)
{
    struct fixture *f = *state;
    copy_set(f, "v1.39.0-namespaces"); /* whose log begins with entry 10 */
    flip(f, "raft/snapshots/2-12-1795432379720/meta.json", 0);
    sl_rc rc = sl_schema_load(f->path, &f->schema, &f->err);
    assert_int_equal(rc, SL_ECORRUPT);
    assert_non_null(strstr(f->err.text, "are missing"));
    make_folder(f, "alpha:mt/t1/lsm/objects");
    make_folder(f, "alpha:book/abcdefghijkl/lsm/objects");
    load(f);
    assert_int_equal(f->schema.origin, SL_SCHEMA_FOLDERS);
    assert_true(has_warning(&f->schema, "are missing"));
    assert_int_equal(f->schema.class_count, 2);
    assert_true(sl_str_is(f->schema.classes[0].name, "alpha:book"));
    assert_false(f->schema.classes[0].is_multi_tenant);
    assert_true(f->schema.classes[1].is_multi_tenant);
}

/* Text in the log has no checksum; structure and names have rules. */
static void flipped_bits_of_the_log_end_in_an_answer(void **state)
{
    struct fixture *f = *state;
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    uint32_t told = 0;
    copy_set(f, "v1.39.0-frozen");
    read_file(f, "raft/raft.db", &bytes);
    for (size_t i = 0; i < bytes.len; i += i % 4096 < 512 ? 11 : 199) {
        bytes.ptr[i] ^= (uint8_t)(1u << i % 8);
        write_file(f, "raft/raft.db", sl_buf_view(&bytes));
        f->err = (struct sl_err){0};
        sl_rc rc = sl_schema_load(f->path, &f->schema, &f->err);
        assert_true(rc == SL_OK || (rc == SL_ECORRUPT && f->err.text[0] != '\0') ||
                    rc == SL_EINVAL);
        told += rc != SL_OK;
        sl_schema_fini(&f->schema);
        bytes.ptr[i] ^= (uint8_t)(1u << i % 8);
    }
    assert_true(told > 20);
}

static void a_torn_log_is_told(void **state)
{
    struct fixture *f = *state;
    SL_AUTO(sl_buf) bytes = SL_BUF_EMPTY;
    copy_set(f, "v1.39.0-frozen");
    read_file(f, "raft/raft.db", &bytes);
    for (size_t size = 0; size < bytes.len; size += 4099) {
        write_file(f, "raft/raft.db", (struct sl_bytes){bytes.ptr, size});
        sl_rc rc = sl_schema_load(f->path, &f->schema, &f->err);
        if (rc == SL_OK) { /* only pages that nothing points to are gone */
            compare(&f->schema, "v1.39.0-frozen");
            sl_schema_fini(&f->schema);
        } else {
            assert_int_equal(rc, SL_ECORRUPT);
        }
    }
}

/* ---- schema.db ---- */

static void both_forms_of_schema_db_are_read(void **state)
{
    struct fixture *f = *state;
    static const char *const sets[] = {"db-v1", "db-v2"};
    for (size_t i = 0; i < SL_COUNT_OF(sets); i++) {
        copy_set(f, sets[i]);
        load(f);
        assert_int_equal(f->schema.origin, SL_SCHEMA_DB);
        compare(&f->schema, sets[i]);
        assert_int_equal(f->schema.node_name.len, 0); /* no folder shows whose it is */
    }
    const struct sl_schema_class *c = sl_schema_class(&f->schema, SL_STR("Opt"));
    assert_non_null(c);
    SL_AUTO(sl_buf) folder = SL_BUF_EMPTY;
    sl_buf_addf(&folder, "opt/%s/lsm/objects", c->shards[0].name.ptr);
    make_folder(f, sl_buf_cstr(&folder));
    load(f);
    assert_true(sl_str_is(f->schema.node_name, "node1"));
}

static void an_empty_shell_of_schema_db_does_not_count(void **state)
{
    struct fixture *f = *state;
    copy_set(f, "db-empty");
    assert_int_equal(sl_schema_load(f->path, &f->schema, &f->err), SL_EINVAL);
    make_folder(f, "plain/abcdefghijkl/lsm/objects");
    load(f);
    assert_int_equal(f->schema.origin, SL_SCHEMA_FOLDERS);
    assert_int_equal(f->schema.warning_count, 0);
}

/* ---- folders ---- */

static void folders_alone_show_classes(void **state)
{
    struct fixture *f = *state;
    make_folder(f, "plain/abcdefghijkl/lsm/objects");
    make_folder(f, "plain/xyz.1795430382123.deadbeef.deleteme/lsm/objects");
    make_folder(f, "plain/.snapshots");
    make_folder(f, "alpha:mt/tenant_1/lsm/objects");
    make_folder(f, "alpha:mt/abcdefghijkl/lsm/objects");
    make_folder(f, "gone.1795430382123.deadbeef.deleteme/abcdefghijkl/lsm/objects");
    make_folder(f, "__DELETE_ME_AFTER_BACKUP__old/abcdefghijkl/lsm/objects");
    make_folder(f, "lost+found/a/lsm/objects");
    make_folder(f, "raft/snapshots");
    make_folder(f, "backups/first/node1");
    load(f);
    assert_int_equal(f->schema.origin, SL_SCHEMA_FOLDERS);
    assert_int_equal(f->schema.class_count, 2);
    assert_true(sl_str_is(f->schema.classes[0].name, "alpha:mt"));
    assert_true(f->schema.classes[0].is_multi_tenant);
    assert_int_equal(f->schema.classes[0].shard_count, 2);
    assert_true(sl_str_is(f->schema.classes[1].name, "plain"));
    assert_false(f->schema.classes[1].is_multi_tenant);
    assert_int_equal(f->schema.classes[1].shard_count, 1);
}

static void what_the_schema_does_not_have_is_told(void **state)
{
    struct fixture *f = *state;
    copy_set(f, "v1.39.0-frozen");
    make_folder(f, "off/hot1/lsm/objects");
    make_folder(f, "off/removed/lsm/objects");
    make_folder(f, "off/removed2/lsm/objects");
    make_folder(f, "dropped/abcdefghijkl/lsm/objects");
    make_folder(f, "notes/2026");
    load(f);
    compare(&f->schema, "v1.39.0-frozen");
    assert_int_equal(f->schema.warning_count, 2);
    assert_true(has_warning(&f->schema, "folder dropped "));
    assert_true(has_warning(&f->schema, "class Off: 2 folders"));
}

static void a_strange_folder_is_no_data_directory(void **state)
{
    struct fixture *f = *state;
    make_folder(f, "photos/2026");
    assert_int_equal(sl_schema_load(f->path, &f->schema, &f->err), SL_EINVAL);
    assert_non_null(strstr(f->err.text, "no Weaviate data directory"));
    make_folder(f, "photos_abcdefghijkl_lsm/objects");
    assert_int_equal(sl_schema_load(f->path, &f->schema, &f->err), SL_EINVAL);
    assert_non_null(strstr(f->err.text, "before 1.23"));
}

/* ---- the lock ---- */

static void a_running_server_is_seen_by_its_lock(void **state)
{
    struct fixture *f = *state;
    static const char *const files[] = {"raft/raft.db", "schema.db"};
    bool is_running = true;
    copy_set(f, "v1.39.0-frozen");
    copy_set(f, "db-empty");
    for (size_t i = 0; i < SL_COUNT_OF(files); i++) {
        SL_AUTO(sl_buf) path = SL_BUF_EMPTY;
        struct sl_file *server = NULL;
        assert_int_equal(sl_schema_is_running(f->path, &is_running, NULL), SL_OK);
        assert_false(is_running);
        assert_int_equal(sl_file_open(in(&path, f->path, files[i]), SL_FILE_LOCK, &server, NULL),
                         SL_OK);
        assert_int_equal(sl_schema_is_running(f->path, &is_running, NULL), SL_OK);
        assert_true(is_running);
        load(f); /* without a lock of our own */
        sl_file_close(server);
    }
}

/* ---- memory ---- */

static void every_refused_allocation_is_told_and_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    copy_set(f, "v1.25.34-options");
    flip(f, NEWER "state.bin", 20000);
    make_folder(f, "dropped/abcdefghijkl/lsm/objects");
    int64_t live = sl_mem_live();
    int64_t n = 0;
    for (sl_rc rc = SL_ENOMEM; rc != SL_OK; n++) {
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        rc = sl_schema_load(f->path, &f->schema, NULL);
        sl_fault_clear();
        assert_true(rc == SL_OK || rc == SL_ENOMEM);
        if (rc == SL_OK) {
            compare(&f->schema, "v1.25.34-options");
            sl_schema_fini(&f->schema);
        }
        assert_int_equal(sl_mem_live(), live);
    }
    assert_true(n > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(real_stores_give_what_their_servers_answered, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_damaged_snapshot_gives_way_to_the_one_before, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_its_snapshot_a_cut_log_is_no_schema, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(flipped_bits_of_the_log_end_in_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_torn_log_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(both_forms_of_schema_db_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_shell_of_schema_db_does_not_count, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(folders_alone_show_classes, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_schema_does_not_have_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_strange_folder_is_no_data_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(a_running_server_is_seen_by_its_lock, setup, teardown),
        cmocka_unit_test_setup_teardown(every_refused_allocation_is_told_and_leaves_nothing, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
