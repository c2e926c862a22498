/* The parts of base that wait, allocate and touch files: queue, pool, budget, ticker, cancel,
 * clock, memory, buffer, arena, error record, files. Threads report through counters; nothing
 * sleeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/budget.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/path.h"
#include "base/queue.h"
#include "base/str.h"
#include "base/ticker.h"
#include "base/workers.h"

static struct sl_err err;

/* ---- errors ---- */

static void sentence_carries_errno_and_prefix(void **state SL_UNUSED)
{
    assert_int_equal(SL_FAIL_ERRNO(&err, 28, "write %s", "/x"), SL_ENOSPACE);
    assert_string_equal(err.text, "write /x: No space left on device");
    sl_err_prefix(&err, "class %s", "A");
    assert_string_equal(err.text, "class A: write /x: No space left on device");
    assert_int_equal(SL_FAIL(NULL, SL_EINVAL, "nobody listens"), SL_EINVAL);
    assert_string_equal(sl_err_text(NULL, SL_ENOMEM), "memory is exhausted");
}

static void long_sentence_is_cut_on_a_character(void **state SL_UNUSED)
{
    char text[2000];
    for (size_t i = 0; i + 2 < sizeof(text); i += 2) {
        memcpy(text + i, "\xc3\xbc", 2);
    }
    text[1998] = '\0';
    for (size_t shift = 0; shift < 4; shift++) {
        (void)SL_FAIL(&err, SL_EINVAL, "%.*s%s", (int)shift, "abc", text);
        struct sl_str cut = sl_str_from(err.text);
        assert_in_range(cut.len, SL_ERR_TEXT_SIZE - 4, SL_ERR_TEXT_SIZE - 1);
        assert_int_equal(sl_utf8_valid_len(cut), cut.len);
    }
}

static void every_code_has_a_name_and_statuses(void **state SL_UNUSED)
{
    for (int rc = 0; rc < SL_RC_COUNT; rc++) {
        assert_int_equal(strncmp(sl_rc_name((sl_rc)rc), "SL_", 3), 0);
        assert_in_range(sl_rc_http((sl_rc)rc), 200, 599);
        assert_true(sl_rc_text((sl_rc)rc)[0] != '\0');
    }
    assert_int_equal(sl_rc_http(SL_ENOTFOUND), 404);
    assert_int_equal(sl_rc_grpc(SL_EBUSY), 14);
    assert_true(sl_rc_retriable(SL_EIO));
    assert_false(sl_rc_retriable(SL_EINVAL));
}

/* ---- memory ---- */

static void buffer_remembers_a_refused_growth(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) b = SL_BUF_EMPTY;
    sl_buf_add_text(&b, "kept");
    sl_fault_fail_after(SL_FAULT_ALLOC, 0);
    assert_null(sl_buf_reserve(&b, 100000));
    sl_fault_clear();
    sl_buf_add_text(&b, "lost");
    assert_int_equal(sl_buf_done(&b, &err), SL_ENOMEM);
    assert_int_equal(b.len, 4);
    sl_buf_clear(&b);
    sl_buf_addf(&b, "%d-%s", 7, "x");
    assert_string_equal(sl_buf_cstr(&b), "7-x");
    sl_buf_consume(&b, 2);
    assert_string_equal(sl_buf_cstr(&b), "x");
    assert_null(sl_buf_reserve(&b, SIZE_MAX));
    assert_int_equal(sl_buf_done(&b, NULL), SL_ENOMEM);
}

static void arena_gives_zeroed_aligned_memory_and_frees_whole(void **state SL_UNUSED)
{
    int64_t before = sl_mem_live();
    struct sl_arena a = SL_ARENA_EMPTY;
    for (size_t size = 1; size < 600000; size = size * 3 + 1) {
        uint8_t *p = sl_arena_alloc(&a, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_true(p[0] == 0 && p[size - 1] == 0);
        memset(p, 0xff, size);
    }
    struct sl_str s = sl_arena_str(&a, SL_STR("text"));
    assert_string_equal(s.ptr, "text");
    assert_null(sli_arena_array(&a, SIZE_MAX, 16));
    sl_arena_fini(&a);
    assert_int_equal(sl_mem_live(), before);
}

static void arena_arrays_grow_and_keep_what_they_hold(void **state SL_UNUSED)
{
    struct sl_arena a = SL_ARENA_EMPTY;
    uint64_t *list = NULL;
    uint32_t cap = 0, moves = 0;
    for (uint32_t count = 0; count < 1000; count++) {
        uint64_t *grown = sl_arena_grow(&a, list, count, &cap);
        assert_non_null(grown);
        assert_true(cap > count);
        moves += grown != list;
        list = grown;
        list[count] = count * 7;
    }
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(list[i], i * 7);
    }
    assert_int_equal(moves, 11); /* 1, 2, 4, ... 1024 */
    cap = UINT32_MAX;
    assert_null(sl_arena_grow(&a, list, UINT32_MAX, &cap));
    assert_int_equal(cap, UINT32_MAX);
    sl_arena_fini(&a);
}

/* ---- threads ---- */

struct crew {
    struct sl_queue *queue;
    struct sl_budget *budget;
    struct sl_cancel cancel;
    _Atomic uint64_t sum, count, most;
    _Atomic int waiting;
};

static void produce(void *arg)
{
    struct crew *c = arg;
    for (uintptr_t i = 1; i <= 1000; i++) {
        assert_int_equal(sl_queue_push(c->queue, (void *)i), SL_OK);
    }
}

static void consume(void *arg)
{
    struct crew *c = arg;
    void *item = NULL;
    while (sl_queue_pop(c->queue, &item) == SL_OK) {
        atomic_fetch_add(&c->sum, (uintptr_t)item);
    }
}

static void queue_hands_every_item_over_once(void **state SL_UNUSED)
{
    struct crew c = {0};
    struct sl_thread *threads[6];
    assert_int_equal(sl_queue_new(4, &c.queue, &err), SL_OK);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(sl_thread_start("test", i < 3 ? produce : consume, &c, &threads[i], &err),
                         SL_OK);
    }
    for (int i = 0; i < 3; i++) {
        sl_thread_join(threads[i]);
    }
    sl_queue_close(c.queue);
    for (int i = 3; i < 6; i++) {
        sl_thread_join(threads[i]);
    }
    assert_int_equal(c.sum, 3 * 500500);
    assert_int_equal(sl_queue_push(c.queue, &c), SL_ECLOSED);
    sl_queue_free(c.queue);
}

static void full_queue_refuses_a_try(void **state SL_UNUSED)
{
    struct sl_queue *q = NULL;
    void *item = NULL;
    assert_int_equal(sl_queue_new(1, &q, &err), SL_OK);
    assert_int_equal(sl_queue_try_push(q, &err), SL_OK);
    assert_int_equal(sl_queue_try_push(q, &err), SL_EBUSY);
    assert_int_equal(sl_queue_len(q), 1);
    sl_queue_close(q);
    assert_int_equal(sl_queue_pop(q, &item), SL_OK); /* what is inside can still be had */
    assert_int_equal(sl_queue_pop(q, &item), SL_END);
    sl_queue_free(q);
}

static void count_one(void *arg)
{
    atomic_fetch_add(&((struct crew *)arg)->count, 1);
}

static void pool_finishes_what_was_queued(void **state SL_UNUSED)
{
    struct crew c = {0};
    struct sl_workers *w = NULL;
    assert_int_equal(sl_workers_new("test", 3, 16, &w, &err), SL_OK);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(sl_workers_add(w, count_one, &c), SL_OK);
    }
    sl_workers_free(w);
    assert_int_equal(c.count, 500);
    assert_in_range(sl_cpu_count(), 1, 4096);
}

static void take_and_give(void *arg)
{
    struct crew *c = arg;
    for (int i = 0; i < 300; i++) {
        uint64_t bytes = (uint64_t)(i % 7) * 10 + 1;
        assert_int_equal(sl_budget_take(c->budget, bytes, NULL), SL_OK);
        uint64_t held = atomic_fetch_add(&c->sum, bytes) + bytes;
        assert_true(held <= 100);
        atomic_fetch_sub(&c->sum, bytes);
        sl_budget_give(c->budget, bytes);
    }
}

static void budget_is_never_overdrawn(void **state SL_UNUSED)
{
    struct crew c = {0};
    struct sl_thread *threads[4];
    assert_int_equal(sl_budget_new(100, &c.budget, &err), SL_OK);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(sl_thread_start("test", take_and_give, &c, &threads[i], &err), SL_OK);
    }
    for (int i = 0; i < 4; i++) {
        sl_thread_join(threads[i]);
    }
    assert_int_equal(sl_budget_used(c.budget), 0);
    assert_int_equal(sl_budget_take(c.budget, 1000, NULL),
                     SL_OK); /* alone, or it would wait for ever */
    assert_false(sl_budget_try_take(c.budget, 1));
    sl_cancel_init(&c.cancel);
    sl_cancel_set(&c.cancel);
    assert_int_equal(sl_budget_take(c.budget, 1, &c.cancel), SL_ECANCELED);
    sl_budget_give(c.budget, 1000);
    sl_cancel_fini(&c.cancel);
    sl_budget_free(c.budget);
}

static void wait_for_cancel(void *arg)
{
    struct crew *c = arg;
    atomic_fetch_add(&c->waiting, 1);
    while (!sl_cancel_wait_for(&c->cancel, INT64_C(3600000000000))) {
    }
    atomic_fetch_add(&c->count, 1);
}

static void cancel_wakes_every_waiter(void **state SL_UNUSED)
{
    struct crew c = {0};
    struct sl_thread *threads[3];
    sl_cancel_init(&c.cancel);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sl_thread_start("test", wait_for_cancel, &c, &threads[i], &err), SL_OK);
    }
    while (atomic_load(&c.waiting) < 3) {
    }
    sl_cancel_set(&c.cancel);
    for (int i = 0; i < 3; i++) {
        sl_thread_join(threads[i]);
    }
    assert_int_equal(c.count, 3);
    assert_int_equal(sl_clock_sleep_until(sl_clock_real(), INT64_MAX, &c.cancel), SL_ECANCELED);
    sl_cancel_fini(&c.cancel);
}

static void ticker_calls_on_the_fake_clock(void **state SL_UNUSED)
{
    struct crew c = {0};
    struct sl_clock_fake *fake = sl_clock_fake_new(1000, 0);
    struct sl_ticker *t = NULL;
    uint32_t id = 0, never = 0;
    assert_int_equal(sl_ticker_new(sl_clock_fake_clock(fake), &t, &err), SL_OK);
    assert_int_equal(sl_ticker_add(t, 1000000000, count_one, &c, &id, &err), SL_OK);
    struct crew other = {0};
    assert_int_equal(sl_ticker_add(t, 9000000000, count_one, &other, &never, &err), SL_OK);
    for (uint64_t n = 1; n <= 3; n++) {
        while (atomic_load(&c.count) < n) {
            sl_clock_fake_advance(fake, 100000000);
        }
    }
    sl_ticker_remove(t, id);
    uint64_t seen = atomic_load(&c.count);
    sl_clock_fake_advance(fake, 5000000000);
    sl_ticker_free(t);
    assert_int_equal(atomic_load(&c.count), seen);
    assert_true(sl_clock_wall_ns(sl_clock_fake_clock(fake)) > 5000001000);
    sl_clock_fake_free(fake);
}

/* ---- files ---- */

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state SL_UNUSED)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/sluice-base-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int drop_folder(void **state SL_UNUSED)
{
    return sl_dir_remove_tree(folder, &err) != SL_OK;
}

static void whole_files_replace_or_refuse(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    assert_int_equal(sl_file_write_all(in_folder("f"), SL_BYTES("one", 3), &err), SL_OK);
    assert_int_equal(sl_file_create_all(in_folder("f"), SL_BYTES("two", 3), &err), SL_ECONFLICT);
    assert_int_equal(sl_file_write_all(in_folder("f"), SL_BYTES("three", 5), &err), SL_OK);
    assert_int_equal(sl_file_read_all(in_folder("f"), 100, &text, &err), SL_OK);
    assert_string_equal(sl_buf_cstr(&text), "three");
    assert_int_equal(sl_file_read_all(in_folder("f"), 4, &text, &err), SL_ETOOBIG);
    assert_int_equal(sl_file_read_all(in_folder("none"), 4, &text, &err), SL_ENOTFOUND);
    assert_non_null(strstr(err.text, "none"));
    assert_int_equal(sl_file_unlink(in_folder("none"), &err), SL_OK);
}

static sl_rc count_entry(void *arg, const char *name SL_UNUSED, bool is_dir SL_UNUSED,
                         struct sl_err *e SL_UNUSED)
{
    ++*(int *)arg;
    return SL_OK;
}

static int entries(const char *path)
{
    int count = 0;
    assert_int_equal(sl_dir_list(path, count_entry, &count, &err), SL_OK);
    return count;
}

/* Fails file call 1, 2, 3 ... of a whole-file write: old or new content, never a leftover. */
static void failed_write_leaves_no_trace(void **state SL_UNUSED)
{
    assert_int_equal(sl_dir_create(in_folder("sweep"), &err), SL_OK);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/sweep/f", folder);
    for (int64_t n = 0;; n++) {
        SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
        assert_int_equal(sl_file_write_all(path, SL_BYTES("old", 3), &err), SL_OK);
        sl_fault_fail_after(SL_FAULT_FILE, n);
        sl_rc rc = sl_file_write_all(path, SL_BYTES("new", 3), &err);
        sl_fault_clear();
        assert_int_equal(sl_file_read_all(path, 10, &text, &err), SL_OK);
        if (rc == SL_OK) {
            assert_string_equal(sl_buf_cstr(&text), "new");
            assert_true(n >= 5); /* open, write, fsync, rename, folder */
            break;
        }
        assert_int_equal(rc, SL_EIO);
    }
    assert_in_range(entries(in_folder("sweep")), 1,
                    1 + 20); /* a failed unlink may leave its temp */
}

static void folders_are_made_and_removed_whole(void **state SL_UNUSED)
{
    bool is_there = false;
    assert_int_equal(sl_dir_create(in_folder("a/b/c"), &err), SL_OK);
    assert_int_equal(sl_dir_create(in_folder("a/b/c"), &err), SL_OK);
    assert_int_equal(sl_file_write_all(in_folder("a/b/file"), SL_BYTES("", 0), &err), SL_OK);
    assert_int_equal(sl_dir_create(in_folder("a/b/file"), &err), SL_EINVAL);
    assert_int_equal(symlink("/etc", in_folder("a/link")), 0);
    assert_int_equal(sl_dir_remove_tree(in_folder("a"), &err), SL_OK);
    assert_int_equal(sl_file_exists(in_folder("a"), &is_there, &err), SL_OK);
    assert_false(is_there);
    assert_int_equal(access("/etc/passwd", F_OK), 0); /* the link was removed, not followed */
    assert_int_equal(sl_dir_list(in_folder("a"), count_entry, NULL, &err), SL_ENOTFOUND);
}

static void paths_are_resolved_as_far_as_they_are_there(void **state SL_UNUSED)
{
    static const char *const cases[][2] = {{"r/real", "r/real"},
                                           {"r/link", "r/real"},
                                           {"r/link/new", "r/real/new"},
                                           {"r/link/", "r/real"},
                                           {"r/link/new/x", "r/real/new/x"},
                                           {"r/real/../real", "r/real"},
                                           {"r/real/../none", "r/none"},
                                           {"r/real/..none", "r/real/..none"},
                                           {"r/none/..", "r"},
                                           {"r/none/../real", "r/real"},
                                           {"r/none/..//link/x", "r/real/x"},
                                           {"r/none/./../x", "r/x"},
                                           {"r/a/b/../c/../../x", "r/x"},
                                           {"r/a/../../r/link", "r/real"},
                                           {"r/none/new", "r/none/new"}};
    assert_int_equal(sl_dir_create(in_folder("r/real"), &err), SL_OK);
    assert_int_equal(symlink("real", in_folder("r/link")), 0);
    SL_AUTO(sl_buf) root = SL_BUF_EMPTY;
    assert_int_equal(sl_path_resolve(in_folder("r"), &root, &err), SL_OK);
    for (size_t i = 0; i < SL_COUNT_OF(cases); i++) {
        SL_AUTO(sl_buf) got = SL_BUF_EMPTY;
        SL_AUTO(sl_buf) want = SL_BUF_EMPTY;
        sl_buf_addf(&want, "%s%s", sl_buf_cstr(&root), cases[i][1] + 1);
        assert_int_equal(sl_path_resolve(in_folder(cases[i][0]), &got, &err), SL_OK);
        assert_string_equal(sl_buf_cstr(&got), sl_buf_cstr(&want));
    }
    assert_int_equal(symlink("self", in_folder("r/self")), 0);
    SL_AUTO(sl_buf) none = SL_BUF_EMPTY;
    assert_int_not_equal(sl_path_resolve(in_folder("r/self"), &none, &err), SL_OK);
    assert_int_equal(none.len, 0);
    assert_int_equal(sl_dir_remove_tree(in_folder("r"), &err), SL_OK);
}

static void lock_is_seen_and_refused(void **state SL_UNUSED)
{
    struct sl_file *first = NULL, *second = NULL, *reader = NULL;
    assert_int_equal(sl_file_open(in_folder("LOCK"), SL_FILE_LOCK, &first, &err), SL_OK);
    assert_int_equal(sl_file_open(in_folder("LOCK"), SL_FILE_LOCK, &second, &err), SL_ECONFLICT);
    assert_int_equal(sl_file_open(in_folder("LOCK"), SL_FILE_READ, &reader, &err), SL_OK);
    assert_true(sl_file_is_locked(reader));
    sl_file_close(first);
    assert_false(sl_file_is_locked(reader));
    sl_file_close(reader);
}

static void direct_writes_give_the_same_bytes(void **state SL_UNUSED)
{
    size_t size = (3u << 20) + 777;
    uint8_t *room = sl_alloc(size + SL_FILE_DIRECT_ALIGN), *got = sl_alloc(size);
    uint8_t *data = room + (-(uintptr_t)room % SL_FILE_DIRECT_ALIGN);
    struct sl_file *f = NULL;
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(i * 31 >> 3);
    }
    assert_int_equal(sl_file_open(in_folder("direct"), SL_FILE_CREATE_NEW, &f, &err), SL_OK);
    sl_file_allow_direct(f);
    size_t cut = 2u << 20;
    assert_int_equal(sl_file_pwrite_direct(f, cut, SL_BYTES(data + cut, size - cut), &err), SL_OK);
    assert_int_equal(sl_file_pwrite_direct(f, 0, SL_BYTES(data, cut), &err), SL_OK);
    assert_int_equal(sl_file_sync(f, &err), SL_OK);
    assert_int_equal(sl_file_pread(f, 0, got, size, &err), SL_OK);
    assert_memory_equal(got, data, size);
    assert_int_equal(sl_file_pread(f, 10, got, size, &err), SL_ECORRUPT);
    sl_file_close(f);
    sl_free(room);
    sl_free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentence_carries_errno_and_prefix),
        cmocka_unit_test(long_sentence_is_cut_on_a_character),
        cmocka_unit_test(every_code_has_a_name_and_statuses),
        cmocka_unit_test(buffer_remembers_a_refused_growth),
        cmocka_unit_test(arena_gives_zeroed_aligned_memory_and_frees_whole),
        cmocka_unit_test(arena_arrays_grow_and_keep_what_they_hold),
        cmocka_unit_test(queue_hands_every_item_over_once),
        cmocka_unit_test(full_queue_refuses_a_try),
        cmocka_unit_test(pool_finishes_what_was_queued),
        cmocka_unit_test(budget_is_never_overdrawn),
        cmocka_unit_test(cancel_wakes_every_waiter),
        cmocka_unit_test(ticker_calls_on_the_fake_clock),
        cmocka_unit_test(whole_files_replace_or_refuse),
        cmocka_unit_test(failed_write_leaves_no_trace),
        cmocka_unit_test(folders_are_made_and_removed_whole),
        cmocka_unit_test(paths_are_resolved_as_far_as_they_are_there),
        cmocka_unit_test(lock_is_seen_and_refused),
        cmocka_unit_test(direct_writes_give_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
