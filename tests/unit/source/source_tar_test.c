/* The reader of tar against archives written by the text of POSIX: names, extended headers, parts,
 * and everything that is damaged. */
#include <setjmp.h> /* cmocka wants these before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/tar.h"
#include "tar_writer.h"

struct memory {
    struct sl_bytes all;
    uint64_t at;
};

static sl_rc read_memory(void *arg, uint8_t *ret, size_t len, size_t *ret_len,
                         struct sl_err *err SL_UNUSED)
{
    struct memory *m = arg;
    size_t n = m->at >= m->all.len ? 0 : SL_MIN(len, m->all.len - (size_t)m->at);
    if (n > 0) {
        memcpy(ret, m->all.ptr + m->at, n);
    }
    m->at += n;
    *ret_len = n;
    return SL_OK;
}

static sl_rc skip_memory(void *arg, uint64_t len, struct sl_err *err SL_UNUSED)
{
    ((struct memory *)arg)->at += len;
    return SL_OK;
}

static struct sli_tar reader(struct memory *m, struct sl_bytes all)
{
    struct sli_tar t;
    *m = (struct memory){.all = all};
    sli_tar_init(&t, (struct sli_tar_input){read_memory, skip_memory, m});
    return t;
}

static void expect_body(struct sli_tar *t, const char *want)
{
    uint8_t body[64];
    size_t len = 0, got = 1;
    while (got > 0) {
        assert_int_equal(sli_tar_read(t, body + len, 5, &got, NULL), SL_OK);
        len += got;
    }
    assert_int_equal(len, strlen(want));
    assert_memory_equal(body, want, len);
}

static void names_sizes_and_parts(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) a = SL_BUF_EMPTY;
    SL_AUTO(sl_buf) records = SL_BUF_EMPTY;
    char name[301] = {0};
    struct memory m;
    struct sli_tar_entry e;
    memset(name, 'n', 300);
    tar_file(&a, "a/b", SL_BYTES("hello", 5));
    tar_header(&a, "some/folder", "file", '0', 0);
    tar_header(&a, "", "folder/", '5', 0);
    tar_record(&records, "path", name);
    tar_record(&records, "size", "7");
    tar_record(&records, "mtime", "1.5");
    tar_header(&a, "", "PaxHeaders.0/n", 'x', records.len);
    tar_body(&a, sl_buf_view(&records));
    tar_header(&a, "", "nnn", '0', 0); /* as a size beyond octal leaves it */
    tar_body(&a, SL_BYTES("seven b", 7));
    tar_file(&a, "", SL_BYTES("x", 1)); /* Weaviate writes empty names */
    tar_part(&a, "big", 8589934592, SL_BYTES("part", 4));
    tar_file(&a, "last", SL_BYTES("", 0));
    tar_end(&a);
    struct sli_tar t = reader(&m, sl_buf_view(&a));

    assert_int_equal(sli_tar_next(&t, &e, NULL), SL_OK);
    assert_string_equal(e.name.ptr, "a/b");
    assert_int_equal(e.at, 512);
    assert_true(e.is_file && !e.is_part);
    expect_body(&t, "hello");
    assert_int_equal(sli_tar_next(&t, &e, NULL), SL_OK);
    assert_string_equal(e.name.ptr, "some/folder/file");
    assert_int_equal(sli_tar_next(&t, &e, NULL), SL_OK);
    assert_false(e.is_file);
    assert_int_equal(sli_tar_next(&t, &e, NULL), SL_OK);
    assert_string_equal(e.name.ptr, name);
    assert_int_equal(e.size, 7);
    assert_memory_equal(a.ptr + e.at, "seven b", 7);
    expect_body(&t, "seven b");
    assert_int_equal(sli_tar_next(&t, &e, NULL), SL_OK);
    assert_int_equal(e.name.len, 0);
    assert_int_equal(sli_tar_next(&t, &e, NULL), SL_OK); /* the body before was not read */
    assert_string_equal(e.name.ptr, "big");
    assert_true(e.is_part);
    assert_int_equal(e.part_at, 8589934592);
    assert_int_equal(sli_tar_next(&t, &e, NULL), SL_OK);
    assert_string_equal(e.name.ptr, "last");
    assert_false(e.is_part); /* an extended header is for one entry */
    assert_int_equal(sli_tar_next(&t, &e, NULL), SL_END);
}

/* All entries, to the end or to the damage. */
static sl_rc walk(struct sl_bytes all, uint32_t *ret_count, struct sl_err *err)
{
    struct memory m;
    struct sli_tar_entry e;
    struct sli_tar t = reader(&m, all);
    sl_rc rc;
    *ret_count = 0;
    while ((rc = sli_tar_next(&t, &e, err)) == SL_OK) {
        uint8_t body[512];
        size_t got = 1;
        while (rc == SL_OK && got > 0) {
            rc = sli_tar_read(&t, body, sizeof(body), &got, err);
        }
        if (rc != SL_OK) {
            return rc;
        }
        ++*ret_count;
    }
    return rc;
}

static void what_is_cut_off_is_told(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) a = SL_BUF_EMPTY;
    uint32_t count = 0;
    tar_file(&a, "one", SL_BYTES("12345", 5));
    tar_part(&a, "two", 5, SL_BYTES("67", 2));
    size_t whole = a.len + 512; /* one block of the end is enough */
    tar_end(&a);
    for (size_t len = 0; len < a.len; len++) {
        struct sl_err err = {0};
        sl_rc rc = walk(SL_BYTES(a.ptr, len), &count, &err);
        assert_int_equal(rc, len < whole ? SL_ECORRUPT : SL_END);
        assert_true(len >= whole || strstr(err.text, "at byte ") != NULL);
    }
}

static void flipped_header_bit_is_told(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) a = SL_BUF_EMPTY;
    uint32_t count = 0;
    tar_file(&a, "one", SL_BYTES("12345", 5));
    tar_end(&a);
    for (size_t bit = 0; bit < 512 * 8; bit++) {
        a.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        sl_rc rc = walk(sl_buf_view(&a), &count, NULL);
        /* blanks and NULs of the sum's own field may trade places without another meaning */
        assert_true(rc == SL_ECORRUPT || (bit / 8 >= 148 && bit / 8 < 156 && count == 1));
        a.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void bad_extended_headers_are_refused(void **state SL_UNUSED)
{
    static const char *const bodies[] = {
        "",
        "9 path=a",                         /* no newline */
        "0 path=a\n",                       /* a length of nothing */
        "3 \n",                             /* no "=" */
        "99 path=a\n",                      /* beyond the header */
        "99999999999999999999 path=a\n",    /* beyond 64 bits */
        "x path=a\n",                       /* no number */
        "11 size=-1\n",                     /* negative */
        "25 size=9999999999999999\n",       /* fits, but its body is not there */
        "31 WEAVIATE.fileOffset=0x10000\n", /* no decimal number */
    };
    for (size_t i = 0; i < SL_COUNT_OF(bodies); i++) {
        SL_AUTO(sl_buf) a = SL_BUF_EMPTY;
        uint32_t count = 0;
        tar_header(&a, "", "PaxHeaders.0/x", 'x', strlen(bodies[i]));
        tar_body(&a, SL_BYTES(bodies[i], strlen(bodies[i])));
        tar_file(&a, "one", SL_BYTES("12345", 5));
        tar_end(&a);
        assert_int_equal(walk(sl_buf_view(&a), &count, NULL), i == 0 ? SL_END : SL_ECORRUPT);
    }
    SL_AUTO(sl_buf) a = SL_BUF_EMPTY;
    uint32_t count = 0;
    tar_header(&a, "", "PaxHeaders.0/x", 'x', 1ull << 30);
    tar_end(&a);
    assert_int_equal(walk(sl_buf_view(&a), &count, NULL), SL_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_sizes_and_parts),
        cmocka_unit_test(what_is_cut_off_is_told),
        cmocka_unit_test(flipped_header_bit_is_told),
        cmocka_unit_test(bad_extended_headers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
