/* What only a real folder can show: names, leftovers, rights and a full disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "base/file.h"

struct world {
    char dir[64];
    char root[80]; /* dir/exports, not made by the test */
    struct sl_backend *be;
};

static int world_open(void **state)
{
    struct world *w = calloc(1, sizeof *w); /* allow: calloc, a test owns it */
    const char *tmp = getenv("TMPDIR");
    snprintf(w->dir, sizeof w->dir, "%.40s/sluice-fs-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->root, sizeof w->root, "%s/exports", w->dir);
    assert_int_equal(sl_backend_filesystem_open(w->root, &w->be, NULL), SL_OK);
    *state = w;
    return 0;
}

static int world_close(void **state)
{
    struct world *w = *state;
    sl_backend_close(w->be);
    assert_int_equal(sl_dir_remove_tree(w->dir, NULL), SL_OK);
    free(w); /* allow: free, a test owns it */
    assert_int_equal(sl_mem_live(), 0);
    return 0;
}

/* The same on a tmpfs of 8 MB, mounted over the temporary folder. */
static int small_world_open(void **state)
{
    world_open(state);
    struct world *w = *state;
    if (mount("tmpfs", w->dir, "tmpfs", 0, "size=8m") != 0) {
        fail_msg("mount of an 8 MB tmpfs refused (%m): this test needs root");
    }
    return 0;
}

static int small_world_close(void **state)
{
    struct world *w = *state;
    assert_int_equal(umount2(w->dir, MNT_DETACH), 0);
    return world_close(state);
}

#define TEXT(text) SL_BYTES((text), strlen(text))

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, text);
    }
}

static void put(struct world *w, const char *key, const char *text)
{
    struct sl_err err = {0};
    if (sl_backend_put(w->be, sl_str_from(key), TEXT(text), SL_PUT_NEW, &err) != SL_OK) {
        fail_msg("%s", err.text);
    }
}

/* Makes root/name with some bytes, folders included, past the backend. */
static void make_file(struct world *w, const char *folder, const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", w->root, folder);
    assert_int_equal(sl_dir_create(path, NULL), SL_OK);
    snprintf(path, sizeof path, "%s/%s%s%s", w->root, folder, folder[0] == '\0' ? "" : "/", name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
}

static bool is_there(struct world *w, const char *name)
{
    char path[400];
    bool ret = false;
    snprintf(path, sizeof path, "%s/%s", w->root, name);
    assert_int_equal(sl_file_exists(path, &ret, NULL), SL_OK);
    return ret;
}

static sl_rc add_listed(void *arg, struct sl_str key, uint64_t size, struct sl_err *err)
{
    (void)size;
    (void)err;
    sl_buf_addf(arg, "%.*s ", SL_STR_ARG(key));
    return SL_OK;
}

static void assert_listed(struct world *w, const char *want)
{
    SL_AUTO(sl_buf) got = SL_BUF_EMPTY;
    assert_int_equal(w->be->ops->list(w->be, SL_STR(""), add_listed, &got, NULL), SL_OK);
    assert_string_equal(sl_buf_cstr(&got), want);
}

/* ---- names ---- */

static void name_of_255_bytes_is_written_and_256_are_refused(void **state)
{
    struct world *w = *state;
    char key[300] = "id/";
    memset(key + 3, 'n', 256);
    struct sl_err err = {0};
    assert_int_equal(sl_backend_put(w->be, sl_str_from(key), TEXT("x"), SL_PUT_NEW, &err),
                     SL_EINVAL);
    assert_has(err.text, "255");
    assert_has(err.text, "256");
    key[3 + 255] = '\0';
    put(w, key, "long");
    assert_true(is_there(w, key));
    struct sl_upload *up = NULL;
    key[3] = 'm';
    assert_int_equal(w->be->ops->begin(w->be, sl_str_from(key), &up, NULL), SL_OK);
    assert_int_equal(w->be->ops->complete(w->be, up, 0, 0, NULL), SL_OK);
    assert_true(is_there(w, key));
}

static void name_of_a_temporary_file_is_reserved(void **state)
{
    struct world *w = *state;
    struct sl_err err = {0};
    const char *key = "id/.a.0123456789abcdef.sluice-tmp";
    assert_int_equal(sl_backend_put(w->be, sl_str_from(key), TEXT("x"), SL_PUT_NEW, &err),
                     SL_EINVAL);
    assert_has(err.text, "reserved");
    put(w, "id/.sluice-tmp", "an honest name");
    assert_listed(w, "id/.sluice-tmp ");
}

static void root_is_made_by_the_first_write_and_not_before(void **state)
{
    struct world *w = *state;
    bool has_root = true;
    assert_int_equal(w->be->ops->probe(w->be, NULL), SL_OK);
    assert_listed(w, "");
    assert_int_equal(w->be->ops->sweep(w->be, SL_STR(""), NULL), SL_OK);
    assert_int_equal(sl_file_exists(w->root, &has_root, NULL), SL_OK);
    assert_false(has_root);
    put(w, "a", "x");
    assert_true(is_there(w, "a"));
}

static void empty_root_is_refused(void **state)
{
    (void)state;
    struct sl_backend *be = NULL;
    assert_int_equal(sl_backend_filesystem_open("", &be, NULL), SL_EINVAL);
    assert_null(be);
}

static void describe_names_the_folder(void **state)
{
    struct world *w = *state;
    SL_AUTO(sl_buf) got = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) want = SL_BUF_EMPTY;
    sl_buf_addf(&want, "%s/my-export", w->root);
    w->be->ops->describe(w->be, SL_STR("my-export"), &got);
    assert_string_equal(sl_buf_cstr(&got), sl_buf_cstr(&want));
}

static void relative_root_works(void **state)
{
    struct world *w = *state;
    char before[400];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(w->dir), 0);
    struct sl_backend *be = NULL;
    assert_int_equal(sl_backend_filesystem_open("exports", &be, NULL), SL_OK);
    assert_int_equal(be->ops->probe(be, NULL), SL_OK);
    assert_int_equal(sl_backend_put(be, SL_STR("id/a"), TEXT("x"), SL_PUT_NEW, NULL), SL_OK);
    sl_backend_close(be);
    assert_int_equal(chdir(before), 0);
    assert_listed(w, "id/a ");
}

static void file_in_the_way_of_a_folder_is_told(void **state)
{
    struct world *w = *state;
    struct sl_err err = {0};
    put(w, "id", "a file");
    assert_int_equal(sl_backend_put(w->be, SL_STR("id/a"), TEXT("x"), SL_PUT_NEW, &err), SL_EINVAL);
    assert_has(err.text, "a folder is needed");
    assert_has(err.text, w->root);
}

/* ---- leftovers ---- */

static void sweep_takes_temporary_files_under_its_prefix_only(void **state)
{
    struct world *w = *state;
    put(w, "id/a.parquet", "x");
    make_file(w, "id", ".a.parquet.0123456789abcdef.sluice-tmp");
    make_file(w, "id/deep", ".b.0123456789abcdef.sluice-tmp");
    make_file(w, "id2", ".c.0123456789abcdef.sluice-tmp");
    make_file(w, "", ".d.0123456789abcdef.sluice-tmp");
    make_file(w, "id", "foreign.tmp");
    assert_listed(w, "id/a.parquet id/foreign.tmp ");
    assert_int_equal(w->be->ops->sweep(w->be, SL_STR("id/"), NULL), SL_OK);
    assert_false(is_there(w, "id/.a.parquet.0123456789abcdef.sluice-tmp"));
    assert_false(is_there(w, "id/deep/.b.0123456789abcdef.sluice-tmp"));
    assert_true(is_there(w, "id2/.c.0123456789abcdef.sluice-tmp"));
    assert_true(is_there(w, ".d.0123456789abcdef.sluice-tmp"));
    assert_int_equal(w->be->ops->sweep(w->be, SL_STR(""), NULL), SL_OK);
    assert_false(is_there(w, "id2/.c.0123456789abcdef.sluice-tmp"));
    assert_false(is_there(w, ".d.0123456789abcdef.sluice-tmp"));
    assert_listed(w, "id/a.parquet id/foreign.tmp ");
}

static void sweep_prefix_within_a_name_means_the_objects_name(void **state)
{
    struct world *w = *state;
    make_file(w, "id", ".Movies_1.parquet.0123456789abcdef.sluice-tmp");
    make_file(w, "id", ".Books_1.parquet.0123456789abcdef.sluice-tmp");
    assert_int_equal(w->be->ops->sweep(w->be, SL_STR("id/Movies"), NULL), SL_OK);
    assert_false(is_there(w, "id/.Movies_1.parquet.0123456789abcdef.sluice-tmp"));
    assert_true(is_there(w, "id/.Books_1.parquet.0123456789abcdef.sluice-tmp"));
}

static void upload_is_seen_on_disk_only_under_its_temporary_name(void **state)
{
    struct world *w = *state;
    struct sl_upload *up = NULL;
    assert_int_equal(w->be->ops->begin(w->be, SL_STR("id/a"), &up, NULL), SL_OK);
    assert_int_equal(w->be->ops->part(w->be, up, 1, 0, TEXT("x"), NULL), SL_OK);
    assert_false(is_there(w, "id/a"));
    assert_listed(w, "");
    /* A killed process would leave exactly this. */
    assert_int_equal(w->be->ops->sweep(w->be, SL_STR("id/"), NULL), SL_OK);
    struct sl_err err = {0};
    assert_int_equal(w->be->ops->complete(w->be, up, 1, 1, &err), SL_EIO);
    assert_has(err.text, "vanished");
    assert_false(is_there(w, "id/a"));
    w->be->ops->cancel(w->be, up);
}

static void linked_folder_is_not_entered(void **state)
{
    struct world *w = *state;
    char target[200];
    char link[100];
    put(w, "id/a", "x");
    make_file(w, "id", "plain");
    snprintf(target, sizeof target, "%s/outside", w->dir);
    snprintf(link, sizeof link, "%s/id/linked", w->root);
    assert_int_equal(sl_dir_create(target, NULL), SL_OK);
    snprintf(target, sizeof target, "%s/outside/.x.0123456789abcdef.sluice-tmp", w->dir);
    assert_int_equal(sl_file_write_all(target, TEXT("x"), NULL), SL_OK);
    assert_int_equal(symlink("../../outside", link), 0);
    assert_int_equal(w->be->ops->sweep(w->be, SL_STR(""), NULL), SL_OK);
    bool has_target = false;
    assert_int_equal(sl_file_exists(target, &has_target, NULL), SL_OK);
    assert_true(has_target);
}

/* ---- rights and space ---- */

static void read_only_folder_is_told_with_its_name(void **state)
{
    struct world *w = *state;
    struct sl_err err = {0};
    put(w, "id/a", "x");
    assert_int_equal(mount("tmpfs", w->dir, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=8m"), 0);
    assert_int_equal(w->be->ops->probe(w->be, &err), SL_EACCESS);
    assert_has(err.text, w->root);
    assert_has(err.text, "cannot be written");
    err = (struct sl_err){0};
    assert_int_equal(sl_backend_put(w->be, SL_STR("id/b"), TEXT("x"), SL_PUT_NEW, &err),
                     SL_EACCESS);
    assert_has(err.text, w->root);
    struct sl_upload *up = NULL;
    assert_int_equal(w->be->ops->begin(w->be, SL_STR("new/c"), &up, NULL), SL_EACCESS);
    assert_int_equal(w->be->ops->remove(w->be, SL_STR("id/a"), &err), SL_EACCESS);
    assert_listed(w, "id/a ");
}

#define SMALL_PART (256u << 10)

static void full_disk_is_told_and_leaves_no_file(void **state)
{
    struct world *w = *state;
    static uint8_t bytes[9 << 20];
    struct sl_err err = {0};
    put(w, "id/kept", "x");
    assert_int_equal(
        sl_backend_put(w->be, SL_STR("id/big"), SL_BYTES(bytes, sizeof bytes), SL_PUT_NEW, &err),
        SL_ENOSPACE);
    assert_has(err.text, w->root);
    assert_has(err.text, "disk is full");
    SL_AUTO_PTR(sl_workers) workers = NULL;
    SL_AUTO_PTR(sl_budget) budget = NULL;
    assert_int_equal(sl_workers_new("upload", 2, 8, &workers, NULL), SL_OK);
    assert_int_equal(sl_budget_new(4 * SMALL_PART, &budget, NULL), SL_OK);
    SL_AUTO_PTR(sl_part_pool) parts = NULL;
    assert_int_equal(sl_part_pool_new(budget, SMALL_PART, &parts, NULL), SL_OK);
    struct sl_stream_opts opts = {.uploaders = workers, .parts = parts};
    struct sl_sink *s = NULL;
    assert_int_equal(sl_stream_open(w->be, SL_STR("id/stream"), &opts, &s, NULL), SL_OK);
    sl_rc rc = SL_OK;
    for (size_t at = 0; at < sizeof bytes && rc == SL_OK; at += 100000) {
        rc = sl_sink_write(s, SL_BYTES(bytes, 100000), &err);
    }
    assert_int_equal(rc, SL_ENOSPACE);
    assert_has(err.text, "disk is full");
    sl_sink_abort(s);
    assert_listed(w, "id/kept ");
    uint64_t free_bytes = 0;
    assert_int_equal(sl_dir_free_bytes(w->dir, &free_bytes, NULL), SL_OK);
    assert_true(free_bytes > 7u << 20); /* temporary files are gone too */
    put(w, "id/again", "x");
    sl_workers_free(sl_move(&workers));
    sl_part_pool_free(sl_move(&parts));
    sl_budget_free(sl_move(&budget));
}

#define T(name)       cmocka_unit_test_setup_teardown(name, world_open, world_close)
#define T_SMALL(name) cmocka_unit_test_setup_teardown(name, small_world_open, small_world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(name_of_255_bytes_is_written_and_256_are_refused),
        T(name_of_a_temporary_file_is_reserved),
        T(root_is_made_by_the_first_write_and_not_before),
        T(empty_root_is_refused),
        T(describe_names_the_folder),
        T(relative_root_works),
        T(file_in_the_way_of_a_folder_is_told),
        T(sweep_takes_temporary_files_under_its_prefix_only),
        T(sweep_prefix_within_a_name_means_the_objects_name),
        T(upload_is_seen_on_disk_only_under_its_temporary_name),
        T(linked_folder_is_not_entered),
        T_SMALL(read_only_folder_is_told_with_its_name),
        T_SMALL(full_disk_is_told_and_leaves_no_file),
    };
    return cmocka_run_group_tests_name("backend filesystem", tests, NULL, NULL);
}
