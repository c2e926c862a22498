/* What only the real store can show: files on disk, other processes, damage, crashes, a full disk.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/workers.h"
#include "kv/kv.h"

struct world {
    char dir[64];
    char path[96];        /* dir/store */
    char freeze_path[96]; /* dir/frozen */
};

static int world_open(void **state)
{
    struct world *w = calloc(1, sizeof *w); /* allow: calloc, a test owns it */
    const char *tmp = getenv("TMPDIR");
    snprintf(w->dir, sizeof w->dir, "%.40s/sluice-rocks-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/store", w->dir);
    snprintf(w->freeze_path, sizeof w->freeze_path, "%s/frozen", w->dir);
    *state = w;
    return 0;
}

static int world_close(void **state)
{
    struct world *w = *state;
    assert_int_equal(sl_dir_remove_tree(w->dir, NULL), SL_OK);
    free(w); /* allow: free, a test owns it */
    assert_int_equal(sl_mem_live(), 0);
    return 0;
}

static sl_rc try_open(const struct world *w, bool is_read_only, struct sl_kv **ret,
                      struct sl_err *err)
{
    struct sl_kv_rocksdb_opts opts = {.memory_bytes = 8u << 20,
                                      .freeze_path = is_read_only ? NULL : w->freeze_path,
                                      .is_read_only = is_read_only};
    return sl_kv_rocksdb_open(w->path, &opts, ret, err);
}

static struct sl_kv *open_store(const struct world *w, bool is_read_only)
{
    struct sl_kv *kv = NULL;
    struct sl_err err = {0};
    if (try_open(w, is_read_only, &kv, &err) != SL_OK) {
        fail_msg("%s", err.text);
    }
    return kv;
}

static void assert_open_fails(const struct world *w, bool is_read_only, sl_rc want,
                              const char *part)
{
    struct sl_kv *kv = NULL;
    struct sl_err err = {0};
    assert_int_equal(try_open(w, is_read_only, &kv, &err), want);
    assert_null(kv);
    if (strstr(err.text, part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, err.text);
    }
    assert_non_null(strstr(err.text, w->path));
}

/* Keys and values tell their number. */
struct item {
    uint8_t key[SL_KV_PARTITION_SIZE + 8];
    uint8_t value[400];
};

static struct item item_of(uint64_t n)
{
    struct item i = {.key = {'s'}};
    sl_put_u64be(i.key + SL_KV_PARTITION_SIZE, n);
    for (size_t at = 0; at < sizeof i.value; at++) {
        i.value[at] = (uint8_t)(n * 7 + at * 13);
    }
    return i;
}

static sl_rc store_item(struct sl_kv *kv, uint64_t n, struct sl_err *err)
{
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    struct item i = item_of(n);
    sl_kv_batch_put(b, SL_BYTES(i.key, sizeof i.key), SL_BYTES(i.value, sizeof i.value));
    SL_TRY(sl_kv_commit(kv, b, err));
    return sl_kv_sync(kv, err);
}

static void store_items(struct sl_kv *kv, uint64_t count)
{
    SL_AUTO_PTR(sl_kv_batch) b = sl_kv_batch_new();
    for (uint64_t n = 0; n < count; n++) {
        struct item i = item_of(n);
        sl_kv_batch_put(b, SL_BYTES(i.key, sizeof i.key), SL_BYTES(i.value, sizeof i.value));
    }
    assert_int_equal(sl_kv_commit(kv, b, NULL), SL_OK);
    assert_int_equal(sl_kv_sync(kv, NULL), SL_OK);
}

static void assert_items(struct sl_kv *kv, struct sl_kv_view *v, uint64_t count)
{
    for (uint64_t n = 0; n < count; n++) {
        SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
        struct item i = item_of(n);
        assert_int_equal(sl_kv_get(kv, v, SL_BYTES(i.key, sizeof i.key), &out, NULL), SL_OK);
        assert_int_equal(out.len, sizeof i.value);
        assert_memory_equal(out.ptr, i.value, sizeof i.value);
    }
}

/* ---- reading only ---- */

struct listing {
    struct sl_buf text;
    char dir[512];
};

static sl_rc list_entry(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    struct listing *l = arg;
    char path[600];
    struct stat st;
    snprintf(path, sizeof path, "%.300s/%.200s", l->dir, name);
    assert_int_equal(lstat(path, &st), 0);
    sl_buf_addf(&l->text, "%s %llu %lld.%09ld %lld.%09ld\n", path, (unsigned long long)st.st_size,
                (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec,
                st.st_ctim.tv_nsec);
    if (!is_dir) {
        return SL_OK;
    }
    struct listing below = {.text = l->text};
    snprintf(below.dir, sizeof below.dir, "%.500s", path);
    sl_rc rc = sl_dir_list(below.dir, list_entry, &below, err);
    l->text = below.text;
    return rc;
}

/* Every name with size and times: any write anywhere below shows. */
static void list_all(const struct world *w, struct sl_buf *out)
{
    struct listing l = {.text = SL_BUF_EMPTY};
    struct stat st;
    assert_int_equal(stat(w->path, &st), 0);
    sl_buf_addf(&l.text, "%lld.%09ld\n", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    snprintf(l.dir, sizeof l.dir, "%s", w->dir);
    assert_int_equal(sl_dir_list(l.dir, list_entry, &l, NULL), SL_OK);
    *out = l.text;
}

static void reading_only_writes_nothing(void **state)
{
    struct world *w = *state;
    struct sl_kv *kv = open_store(w, false);
    store_items(kv, 50);
    struct sl_kv_view *v = NULL;
    assert_int_equal(sl_kv_freeze(kv, SL_STR("kept"), &v, NULL), SL_OK);
    sl_kv_thaw(kv, v, false);
    sl_kv_close(kv);

    SL_AUTO(sl_buf) before = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) after = SL_BUF_EMPTY;
    list_all(w, &before);
    kv = open_store(w, true);
    assert_items(kv, NULL, 50);
    assert_int_equal(sl_kv_freeze(kv, SL_STR("lent"), &v, NULL), SL_OK);
    assert_items(kv, v, 50);
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    uint32_t count = 0;
    assert_int_equal(sl_kv_split(kv, v, (struct sl_kv_span){0}, 4, &out, &count, NULL), SL_OK);
    assert_int_equal(count, 4);
    sl_kv_thaw(kv, v, true);
    assert_items(kv, NULL, 50);
    sl_buf_clear(&out);
    assert_int_equal(sl_kv_frozen(kv, &out, NULL), SL_OK);
    assert_int_equal(out.len, 0);
    assert_int_equal(sl_kv_reopen(kv, SL_STR("kept"), &v, NULL), SL_ENOTFOUND);
    struct sl_err err = {0};
    assert_int_equal(store_item(kv, 1, &err), SL_EACCESS);
    assert_non_null(strstr(err.text, "reading only"));
    assert_int_equal(sl_kv_sync(kv, NULL), SL_OK);
    sl_kv_close(kv);
    list_all(w, &after);
    assert_string_equal(sl_buf_cstr(&after), sl_buf_cstr(&before));
}

/* ---- opening ---- */

static void absent_folder_is_told_when_reading_only(void **state)
{
    assert_open_fails(*state, true, SL_ENOTFOUND, "does not exist or holds no store");
}

static void foreign_folder_is_refused_and_left_alone(void **state)
{
    struct world *w = *state;
    char note[128];
    bool is_there = false;
    assert_int_equal(sl_dir_create(w->path, NULL), SL_OK);
    snprintf(note, sizeof note, "%s/thesis.odt", w->path);
    assert_int_equal(sl_file_write_all(note, SL_BYTES("text", 4), NULL), SL_OK);
    assert_open_fails(w, false, SL_EINVAL, "thesis.odt");
    assert_open_fails(w, true, SL_ENOTFOUND, "holds no store");
    assert_int_equal(sl_file_exists(note, &is_there, NULL), SL_OK);
    assert_true(is_there);
}

static void first_start_that_was_cut_off_starts_again(void **state)
{
    struct world *w = *state;
    const char *const names[] = {"LOCK", "LOG", "IDENTITY", "MANIFEST-000001", "000001.dbtmp"};
    assert_int_equal(sl_dir_create(w->path, NULL), SL_OK);
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        char path[160];
        snprintf(path, sizeof path, "%s/%s", w->path, names[i]);
        assert_int_equal(sl_file_write_all(path, SL_BYTES("", 0), NULL), SL_OK);
    }
    struct sl_kv *kv = open_store(w, false);
    store_items(kv, 3);
    sl_kv_close(kv);
}

static void second_opener_is_told(void **state)
{
    struct world *w = *state;
    struct sl_kv *kv = open_store(w, false);
    assert_open_fails(w, false, SL_ECONFLICT, "in use");
    sl_kv_close(kv);
}

static void too_little_memory_is_refused(void **state)
{
    struct world *w = *state;
    struct sl_kv *kv = NULL;
    struct sl_err err = {0};
    struct sl_kv_rocksdb_opts opts = {.memory_bytes = 1u << 20, .freeze_path = w->freeze_path};
    assert_int_equal(sl_kv_rocksdb_open(w->path, &opts, &kv, &err), SL_EINVAL);
    assert_non_null(strstr(err.text, "8388608"));
}

static void unfinished_freeze_is_swept_at_open(void **state)
{
    struct world *w = *state;
    char staging[160];
    bool is_there = true;
    sl_kv_close(open_store(w, false));
    snprintf(staging, sizeof staging, "%s/view.tmp/deep", w->freeze_path);
    assert_int_equal(sl_dir_create(staging, NULL), SL_OK);
    struct sl_kv *kv = open_store(w, false);
    snprintf(staging, sizeof staging, "%s/view.tmp", w->freeze_path);
    assert_int_equal(sl_file_exists(staging, &is_there, NULL), SL_OK);
    assert_false(is_there);
    sl_kv_close(kv);
}

/* ---- damage ---- */

static sl_rc find_table(void *arg, const char *name, bool is_dir, struct sl_err *err)
{
    (void)is_dir;
    (void)err;
    size_t len = strlen(name);
    if (len > 4 && strcmp(name + len - 4, ".sst") == 0) {
        snprintf(arg, 64, "%.60s", name);
    }
    return SL_OK;
}

static void damaged_block_is_an_error_and_not_the_end_of_a_scan(void **state)
{
    struct world *w = *state;
    char name[64] = "";
    char path[200];
    struct sl_kv *kv = open_store(w, false);
    store_items(kv, 6000);
    struct sl_kv_view *v = NULL; /* more log than a freeze copies: it flushes to a table */
    assert_int_equal(sl_kv_freeze(kv, SL_STR("x"), &v, NULL), SL_OK);
    sl_kv_thaw(kv, v, true);
    sl_kv_close(kv);
    assert_int_equal(sl_dir_list(w->path, find_table, name, NULL), SL_OK);
    assert_string_not_equal(name, "");
    snprintf(path, sizeof path, "%s/%s", w->path, name);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, 1000000, SEEK_SET), 0);
    assert_int_equal(fwrite("damage", 1, 6, f), 6);
    assert_int_equal(fclose(f), 0);

    kv = open_store(w, false);
    SL_AUTO_PTR(sl_kv_iter) it = NULL;
    struct sl_bytes key;
    struct sl_bytes value;
    struct sl_err err = {0};
    sl_rc rc;
    assert_int_equal(sl_kv_scan(kv, NULL, (struct sl_kv_span){0}, true, &it, NULL), SL_OK);
    while ((rc = sl_kv_next(it, &key, &value, &err)) == SL_OK) {
    }
    assert_int_equal(rc, SL_ECORRUPT);
    assert_non_null(strstr(err.text, "damaged"));
    sl_kv_iter_close(sl_move(&it));
    sl_kv_close(kv);
}

static void damaged_store_does_not_open(void **state)
{
    struct world *w = *state;
    char path[160];
    sl_kv_close(open_store(w, false));
    snprintf(path, sizeof path, "%s/CURRENT", w->path);
    assert_int_equal(sl_file_write_all(path, SL_BYTES("nonsense", 8), NULL), SL_OK);
    assert_open_fails(w, false, SL_ECORRUPT, "damaged");
}

/* ---- crashes ---- */

/* Child: stores items and says after each sync which one; never returns. */
static void child_write(const struct world *w, int fd)
{
    struct sl_kv *kv = NULL;
    if (try_open(w, false, &kv, NULL) == SL_OK) {
        for (uint64_t n = 0; store_item(kv, n, NULL) == SL_OK; n++) {
            if (n == 20) {
                struct sl_kv_view *v = NULL;
                if (sl_kv_freeze(kv, SL_STR("crash"), &v, NULL) != SL_OK) {
                    _exit(1);
                }
            }
            if (write(fd, &n, sizeof n) != (ssize_t)sizeof n) {
                _exit(1);
            }
        }
    }
    _exit(1);
}

static void acknowledged_writes_and_views_survive_kill(void **state)
{
    struct world *w = *state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        child_write(w, fds[1]);
    }
    assert_true(child > 0);
    close(fds[1]);
    uint64_t acked = 0;
    uint64_t n;
    while (read(fds[0], &n, sizeof n) == (ssize_t)sizeof n) {
        acked = n + 1;
        if (acked == 60) {
            assert_int_equal(kill(child, SIGKILL), 0);
        }
    }
    close(fds[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_true(acked >= 60);

    struct sl_kv *kv = open_store(w, false);
    assert_items(kv, NULL, acked);
    struct sl_kv_view *v = NULL;
    assert_int_equal(sl_kv_reopen(kv, SL_STR("crash"), &v, NULL), SL_OK);
    assert_items(kv, v, 21);
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct item later = item_of(21);
    assert_int_equal(sl_kv_get(kv, v, SL_BYTES(later.key, sizeof later.key), &out, NULL),
                     SL_ENOTFOUND);
    sl_kv_thaw(kv, v, true);
    sl_kv_close(kv);
}

static void sync_off_keeps_everything_over_a_clean_stop(void **state)
{
    struct world *w = *state;
    struct sl_kv *kv = NULL;
    struct sl_kv_rocksdb_opts opts = {
        .memory_bytes = 8u << 20, .freeze_path = w->freeze_path, .is_sync_off = true};
    assert_int_equal(sl_kv_rocksdb_open(w->path, &opts, &kv, NULL), SL_OK);
    store_items(kv, 100);
    sl_kv_close(kv);
    kv = open_store(w, false);
    assert_items(kv, NULL, 100);
    sl_kv_close(kv);
}

/* ---- a full disk ---- */

#define FILLERS 4

struct filler {
    struct sl_kv *kv;
    uint64_t no;
    uint64_t acked;
    sl_rc rc;
    struct sl_err err;
};

static void fill_disk(void *arg)
{
    struct filler *f = arg;
    for (uint64_t n = 0; f->rc == SL_OK; n++) {
        f->rc = store_item(f->kv, n * FILLERS + f->no, &f->err);
        f->acked += f->rc == SL_OK ? 1 : 0;
    }
}

static void assert_filled(struct sl_kv *kv, const struct filler *f)
{
    for (uint64_t n = 0; n < f->acked; n++) {
        SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
        struct item i = item_of(n * FILLERS + f->no);
        assert_int_equal(sl_kv_get(kv, NULL, SL_BYTES(i.key, sizeof i.key), &out, NULL), SL_OK);
        assert_memory_equal(out.ptr, i.value, sizeof i.value);
    }
}

static void mount_small(const struct world *w)
{
    if (mount("tmpfs", w->dir, "tmpfs", 0, "size=8m") != 0) {
        fail_msg("mount of an 8 MB tmpfs refused (%m): this test needs root");
    }
}

/* RocksDB looks for free space every 5 seconds; 30 is when we stop believing that it does. */
static sl_rc write_within_30_seconds(struct sl_kv *kv, struct sl_err *err)
{
    struct sl_clock *clock = sl_clock_real();
    int64_t end = sl_clock_mono_ns(clock) + 30ll * 1000 * 1000 * 1000;
    sl_rc rc;
    while ((rc = store_item(kv, 1u << 30, err)) == SL_ENOSPACE && sl_clock_mono_ns(clock) < end) {
        SL_IGNORE(sl_clock_sleep_until(clock, sl_clock_mono_ns(clock) + 20000000, NULL), "polling");
    }
    return rc;
}

static void full_disk_refuses_writes_loses_nothing_and_heals(void **state)
{
    struct world *w = *state;
    char ballast[160];
    static uint8_t zeros[3000000]; /* RocksDB wants a write buffer of 2 MiB free to go on */
    mount_small(w);
    snprintf(ballast, sizeof ballast, "%s/ballast", w->dir);
    assert_int_equal(sl_file_write_all(ballast, SL_BYTES(zeros, sizeof zeros), NULL), SL_OK);
    struct sl_kv *kv = open_store(w, false);
    struct filler f[FILLERS];
    struct sl_thread *t[FILLERS];
    for (uint64_t i = 0; i < FILLERS; i++) {
        f[i] = (struct filler){.kv = kv, .no = i, .rc = SL_OK};
        assert_int_equal(sl_thread_start("filler", fill_disk, &f[i], &t[i], NULL), SL_OK);
    }
    for (size_t i = 0; i < FILLERS; i++) {
        sl_thread_join(t[i]);
        assert_int_equal(f[i].rc, SL_ENOSPACE);
        assert_non_null(strstr(f[i].err.text, "disk is full"));
        assert_filled(kv, &f[i]);
    }
    struct sl_kv_view *v = NULL;
    assert_int_equal(sl_kv_freeze(kv, SL_STR("full"), &v, NULL), SL_ENOSPACE);
    SL_AUTO(sl_buf) names = SL_BUF_EMPTY;
    assert_int_equal(sl_kv_frozen(kv, &names, NULL), SL_OK);
    assert_int_equal(names.len, 0);

    assert_int_equal(sl_file_unlink(ballast, NULL), SL_OK);
    struct sl_err err = {0};
    assert_int_equal(write_within_30_seconds(kv, &err), SL_OK);
    sl_kv_close(kv);
    kv = open_store(w, false);
    for (size_t i = 0; i < FILLERS; i++) {
        assert_filled(kv, &f[i]);
    }
    sl_kv_close(kv);
}

static int small_world_close(void **state)
{
    struct world *w = *state;
    (void)umount2(w->dir, MNT_DETACH);
    return world_close(state);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(reading_only_writes_nothing),
        T(absent_folder_is_told_when_reading_only),
        T(foreign_folder_is_refused_and_left_alone),
        T(first_start_that_was_cut_off_starts_again),
        T(second_opener_is_told),
        T(too_little_memory_is_refused),
        T(unfinished_freeze_is_swept_at_open),
        T(damaged_block_is_an_error_and_not_the_end_of_a_scan),
        T(damaged_store_does_not_open),
        T(acknowledged_writes_and_views_survive_kill),
        T(sync_off_keeps_everything_over_a_clean_stop),
        cmocka_unit_test_setup_teardown(full_disk_refuses_writes_loses_nothing_and_heals,
                                        world_open, small_world_close),
    };
    return cmocka_run_group_tests_name("kv rocksdb", tests, NULL, NULL);
}
