/* bbolt files: one written by bbolt itself, one by a Weaviate server, and every way of being
 * damaged. tests/data/bolt/README.md says what is in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "lsm/bolt.h"

#define TREE_PATH SL_TEST_DATA "/bolt/tree.db"
#define RAFT_PATH SL_TEST_DATA "/weaviate/schema/v1.39.0-frozen/raft/raft.db"

enum { PAGE = 1024, TXID_AT = 64, META_SIZE = 80 };

/* A copy of a file that tests may damage, and the blob over it. */
struct copy {
    char path[64];
    struct sl_buf bytes;
    struct sl_file *file;
    struct sl_extent extent;
    struct sl_blob blob;
};

static void copy_write(struct copy *c)
{
    sl_file_close(sl_move(&c->file));
    FILE *out = fopen(c->path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(c->bytes.ptr, 1, c->bytes.len, out), c->bytes.len);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(sl_file_open(c->path, SL_FILE_READ_FOREIGN, &c->file, NULL), SL_OK);
    c->extent = (struct sl_extent){.file = c->file, .len = c->bytes.len};
    c->blob = (struct sl_blob){
        .name = "x.db", .size = c->bytes.len, .extents = &c->extent, .extent_count = 1};
}

static void copy_open(struct copy *c, const char *from)
{
    *c = (struct copy){.path = "/tmp/sl-bolt-test-XXXXXX"};
    int fd = mkstemp(c->path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(sl_file_read_all(from, 1 << 24, &c->bytes, NULL), SL_OK);
    copy_write(c);
}

static void copy_close(struct copy *c)
{
    sl_file_close(c->file);
    sl_buf_fini(&c->bytes);
    assert_int_equal(unlink(c->path), 0);
}

/* Flips a bit of the file in place. */
static void copy_flip(struct copy *c, size_t at)
{
    c->bytes.ptr[at] ^= (uint8_t)(1u << at % 8);
    FILE *out = fopen(c->path, "r+b");
    assert_non_null(out);
    assert_int_equal(fseek(out, (long)at, SEEK_SET), 0);
    assert_int_equal(fputc(c->bytes.ptr[at], out), c->bytes.ptr[at]);
    assert_int_equal(fclose(out), 0);
}

/* What a walk met: everything as text, nested buckets in brackets. */
struct walk {
    struct sl_bolt bolt;
    struct sl_buf text;
    uint32_t count;
    bool is_quiet; /* counts only */
};

static sl_rc note(void *arg, const struct sl_bolt_item *item, struct sl_err *err)
{
    struct walk *w = arg;
    struct sl_bolt_bucket sub;
    w->count++;
    if (!w->is_quiet) {
        sl_buf_addf(&w->text, "%.*s", (int)item->key.len, (const char *)item->key.ptr);
    }
    if (item->is_bucket) {
        SL_TRY(sl_bolt_sub_bucket(&w->bolt, item, &sub, err));
        if (w->is_quiet) {
            return sl_bolt_each(&w->bolt, &sub, note, w, err);
        }
        sl_buf_add_u8(&w->text, '[');
        SL_TRY(sl_bolt_each(&w->bolt, &sub, note, w, err));
        sl_buf_add_text(&w->text, "] ");
    } else if (!w->is_quiet) {
        sl_buf_addf(&w->text, "=%.*s ", (int)SL_MIN(item->value.len, (size_t)20),
                    (const char *)item->value.ptr);
    }
    return sl_buf_done(&w->text, err);
}

static sl_rc walk_all(const struct sl_blob *blob, struct walk *w, struct sl_err *err)
{
    w->count = 0;
    SL_TRY(sl_bolt_open(blob, &w->bolt, err));
    struct sl_bolt_bucket root = sl_bolt_root_bucket(&w->bolt);
    return sl_bolt_each(&w->bolt, &root, note, w, err);
}

/* ---- what bbolt wrote ---- */

struct seen {
    struct walk w;
    uint32_t many;
    bool has_long, has_none;
};

static sl_rc check_many(void *arg, const struct sl_bolt_item *item, struct sl_err *err SL_UNUSED)
{
    struct seen *s = arg;
    uint32_t i = s->many / 2 * 3 + 1 + s->many % 2; /* every third was deleted again */
    char key[32], value[32];
    int key_len = snprintf(key, sizeof(key), "key-%06u", i * 7);
    int value_len = snprintf(value, sizeof(value), "value of %u", i);
    assert_false(item->is_bucket);
    assert_int_equal(item->key.len, key_len);
    assert_memory_equal(item->key.ptr, key, (size_t)key_len);
    assert_int_equal(item->value.len, value_len);
    assert_memory_equal(item->value.ptr, value, (size_t)value_len);
    s->many++;
    return SL_OK;
}

static sl_rc check_big(void *arg, const struct sl_bolt_item *item, struct sl_err *err SL_UNUSED)
{
    struct seen *s = arg;
    if (sl_str_is(sl_bytes_str(item->key), "none")) {
        assert_int_equal(item->value.len, 0);
        s->has_none = true;
        return SL_OK;
    }
    assert_true(sl_str_is(sl_bytes_str(item->key), "long"));
    assert_int_equal(item->value.len, 5000);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_int_equal(item->value.ptr[i], (uint8_t)(i * 31));
    }
    s->has_long = true;
    return SL_OK;
}

static sl_rc check_bucket(void *arg, const struct sl_bolt_item *item, struct sl_err *err)
{
    struct seen *s = arg;
    struct sl_str name = sl_bytes_str(item->key);
    struct sl_bolt_bucket sub;
    assert_true(item->is_bucket);
    SL_TRY(sl_bolt_sub_bucket(&s->w.bolt, item, &sub, err));
    sl_bolt_fn *fn = sl_str_is(name, "many")  ? check_many
                     : sl_str_is(name, "big") ? check_big
                                              : note;
    if (fn == note) {
        sl_buf_addf(&s->w.text, "%.*s: ", SL_STR_ARG(name));
    }
    return sl_bolt_each(&s->w.bolt, &sub, fn, fn == note ? (void *)&s->w : s, err);
}

static void everything_bbolt_wrote_is_read(void **state)
{
    (void)state;
    struct copy c;
    struct seen s = {0};
    copy_open(&c, TREE_PATH);
    assert_int_equal(sl_bolt_open(&c.blob, &s.w.bolt, NULL), SL_OK);
    assert_int_equal(s.w.bolt.page_size, PAGE);
    struct sl_bolt_bucket root = sl_bolt_root_bucket(&s.w.bolt);
    assert_int_equal(sl_bolt_each(&s.w.bolt, &root, check_bucket, &s, NULL), SL_OK);
    assert_int_equal(s.many, 600);
    assert_true(s.has_long && s.has_none);
    assert_string_equal(sl_buf_cstr(&s.w.text), "outer: inner[a=1 b=2 ] plain=x void: ");
    assert_true(sl_bolt_is_current(&s.w.bolt));
    sl_buf_fini(&s.w.text);
    copy_close(&c);
}

static sl_rc count_logs(void *arg, const struct sl_bolt_item *item, struct sl_err *err SL_UNUSED)
{
    uint32_t *count = arg;
    struct sl_rd rd = sl_rd_over(item->key);
    assert_int_equal(sl_rd_u64be(&rd), ++*count);
    assert_true(item->value.len > 50 && item->value.ptr[0] == 0x86);
    return SL_OK;
}

static sl_rc check_raft(void *arg, const struct sl_bolt_item *item, struct sl_err *err)
{
    struct seen *s = arg;
    struct sl_bolt_bucket sub;
    SL_TRY(sl_bolt_sub_bucket(&s->w.bolt, item, &sub, err));
    return sl_str_is(sl_bytes_str(item->key), "logs")
               ? sl_bolt_each(&s->w.bolt, &sub, count_logs, &s->many, err)
               : SL_OK;
}

static void log_of_a_server_has_its_entries_in_order(void **state)
{
    (void)state;
    struct copy c;
    struct seen s = {0};
    copy_open(&c, RAFT_PATH);
    assert_int_equal(sl_bolt_open(&c.blob, &s.w.bolt, NULL), SL_OK);
    struct sl_bolt_bucket root = sl_bolt_root_bucket(&s.w.bolt);
    assert_int_equal(sl_bolt_each(&s.w.bolt, &root, check_raft, &s, NULL), SL_OK);
    assert_int_equal(s.many, 15);
    copy_close(&c);
}

/* ---- meta pages ---- */

static uint64_t fnv1a(const uint8_t *ptr, size_t len)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++) {
        h ^= ptr[i];
        h *= UINT64_C(1099511628211);
    }
    return h;
}

static void sum_meta(uint8_t *page)
{
    sl_put_u64(page + 72, fnv1a(page + 16, 56));
}

static uint64_t txid_of(const uint8_t *page)
{
    uint64_t v;
    memcpy(&v, page + TXID_AT, sizeof(v));
    return v;
}

static void newest_whole_meta_page_counts(void **state)
{
    (void)state;
    struct copy c;
    struct walk w = {.is_quiet = true};
    struct sl_err err = {0};
    copy_open(&c, TREE_PATH);
    uint64_t first = txid_of(c.bytes.ptr), second = txid_of(c.bytes.ptr + PAGE);
    assert_int_equal(walk_all(&c.blob, &w, &err), SL_OK);
    assert_int_equal(w.bolt.txid, SL_MAX(first, second));
    struct sl_bolt before = w.bolt;

    c.bytes.ptr[30] ^= 1; /* the first is torn: the second is found without knowing the page size */
    copy_write(&c);
    assert_int_equal(walk_all(&c.blob, &w, &err), SL_OK);
    assert_int_equal(w.bolt.txid, second);
    c.bytes.ptr[30] ^= 1;
    c.bytes.ptr[PAGE + 30] ^= 1;
    copy_write(&c);
    assert_int_equal(walk_all(&c.blob, &w, &err), SL_OK);
    assert_int_equal(w.bolt.txid, first);
    c.bytes.ptr[30] ^= 1;
    copy_write(&c);
    assert_int_equal(walk_all(&c.blob, &w, &err), SL_ECORRUPT);
    assert_non_null(strstr(err.text, "x.db"));

    c.bytes.ptr[30] ^= 1; /* a server commits: what was opened before is no longer the newest */
    c.bytes.ptr[PAGE + 30] ^= 1;
    uint8_t *older = c.bytes.ptr + (first < second ? 0 : PAGE);
    sl_put_u64(older + TXID_AT, SL_MAX(first, second) + 1);
    sum_meta(older);
    copy_write(&c);
    before.blob = &c.blob;
    assert_false(sl_bolt_is_current(&before));
    sl_buf_fini(&w.text);
    copy_close(&c);
}

/* ---- damage ---- */

static void loops_end_in_an_error(void **state)
{
    (void)state;
    struct copy c;
    struct walk w = {.is_quiet = true};
    struct sl_err err = {0};
    uint32_t loops = 0;
    copy_open(&c, TREE_PATH);
    for (uint64_t page = 2; page < c.bytes.len / PAGE; page++) {
        uint8_t *at = c.bytes.ptr + page * PAGE;
        if (at[8] == 1 && at[9] == 0) { /* a branch: its first child is itself */
            uint8_t child[8];
            memcpy(child, at + 16 + 8, sizeof(child));
            sl_put_u64(at + 16 + 8, page);
            copy_write(&c);
            loops += walk_all(&c.blob, &w, &err) == SL_ECORRUPT;
            memcpy(at + 16 + 8, child, sizeof(child));
        }
    }
    assert_true(loops > 0);
    sl_buf_fini(&w.text);
    copy_close(&c);
}

static void truncated_files_are_told(void **state)
{
    (void)state;
    struct copy c;
    struct walk w = {.is_quiet = true};
    struct sl_err err = {0};
    copy_open(&c, TREE_PATH);
    assert_int_equal(walk_all(&c.blob, &w, &err), SL_OK);
    uint32_t whole = w.count;
    for (uint64_t size = 0; size < c.bytes.len; size += 509) {
        c.blob.size = size;
        sl_rc rc = walk_all(&c.blob, &w, &err);
        assert_true(rc == SL_ECORRUPT || (rc == SL_OK && w.count == whole));
    }
    sl_buf_fini(&w.text);
    copy_close(&c);
}

/* Text is not checked by the format, so a flip may only change what is read, or is told. */
static void flipped_bits_end_in_an_error_or_other_text(void **state)
{
    (void)state;
    struct copy c;
    struct walk w = {.is_quiet = true};
    uint32_t told = 0;
    copy_open(&c, RAFT_PATH);
    for (size_t i = 0; i < c.bytes.len; i += i % 4096 < 512 ? 1 : 31) {
        struct sl_err err = {0};
        copy_flip(&c, i);
        sl_rc rc = walk_all(&c.blob, &w, &err);
        assert_true(rc == SL_OK || rc == SL_ECORRUPT);
        assert_true(rc == SL_OK || strstr(err.text, "x.db") != NULL);
        told += rc != SL_OK;
        copy_flip(&c, i);
    }
    assert_true(told > 100);
    sl_buf_fini(&w.text);
    copy_close(&c);
}

static void every_refused_allocation_is_told(void **state)
{
    (void)state;
    struct copy c;
    struct walk w = {.is_quiet = true};
    copy_open(&c, TREE_PATH);
    int64_t live = sl_mem_live();
    int64_t n = 0;
    for (sl_rc rc = SL_ENOMEM; rc != SL_OK; n++) {
        sl_fault_fail_after(SL_FAULT_ALLOC, n);
        rc = walk_all(&c.blob, &w, NULL);
        sl_fault_clear();
        assert_true(rc == SL_OK || rc == SL_ENOMEM);
        assert_int_equal(sl_mem_live(), live);
    }
    assert_true(n > 20);
    copy_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_bbolt_wrote_is_read),
        cmocka_unit_test(log_of_a_server_has_its_entries_in_order),
        cmocka_unit_test(newest_whole_meta_page_counts),
        cmocka_unit_test(loops_end_in_an_error),
        cmocka_unit_test(truncated_files_are_told),
        cmocka_unit_test(flipped_bits_end_in_an_error_or_other_text),
        cmocka_unit_test(every_refused_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
