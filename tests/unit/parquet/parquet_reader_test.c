/* The reader on files of pyarrow (tests/data/parquet/make.py): every value, then damage. */
#include "parquet_fixture.h"

#include "parquet/reader.h"

#define ROWS 70

static const char *const names[] = {"plain-none-v1", "plain-zstd-v2", "dictionary-snappy-v1",
                                    "dictionary-none-v2", "delta-lz4-v2"};

struct bytes_at {
    uint8_t *ptr;
    size_t len;
    size_t asked; /* longest request */
};

static sl_rc read_at(void *arg, uint64_t offset, size_t len, struct sl_buf *out, struct sl_err *err)
{
    struct bytes_at *b = arg;
    b->asked = SL_MAX(b->asked, len);
    if (offset > b->len || len > b->len - offset) {
        return SL_FAIL(err, SL_ECORRUPT, "the file ends");
    }
    sl_buf_add(out, SL_BYTES(b->ptr + offset, len));
    return SL_OK;
}

static void load(const char *name, struct bytes_at *ret)
{
    char path[4096];
    assert_in_range(snprintf(path, sizeof(path), SL_TEST_DATA "/parquet/%s.parquet", name), 1,
                    4095);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    ret->ptr = malloc(1 << 20); /* libc's, so that a sweep over ours does not see it */
    ret->len = fread(ret->ptr, 1, 1 << 20, in);
    assert_in_range(ret->len, 100, (1 << 20) - 1);
    (void)fclose(in);
}

static sl_rc open_over(struct bytes_at *b, struct sl_pq_file **ret, struct sl_err *err)
{
    struct sl_pq_source s = {.read_at = read_at, .arg = b, .size = b->len, .page_max = 1 << 20};
    return sl_pq_file_open(&s, ret, err);
}

/* ---- what make.py put there ---- */

static void check_value(const char *name, int64_t i, const struct sl_pq_batch *b, uint32_t at)
{
    uint8_t want[16];
    if (strcmp(name, "b") == 0) {
        assert_int_equal(b->fixed[at], i % 3 == 0);
    } else if (strcmp(name, "i32") == 0) {
        uint32_t v = (uint32_t)i * 2654435761u;
        assert_memory_equal(b->fixed + at * 4, &v, 4);
    } else if (strcmp(name, "i64") == 0) {
        int64_t v = i * i * i * 1000003 - (1ll << 40);
        assert_memory_equal(b->fixed + at * 8, &v, 8);
    } else if (strcmp(name, "f") == 0) {
        float v = (float)i * 0.5F - 10;
        assert_memory_equal(b->fixed + at * 4, &v, 4);
    } else if (strcmp(name, "d") == 0) {
        double v = (double)i * 0.25;
        assert_memory_equal(b->fixed + at * 8, &v, 8);
    } else if (strcmp(name, "s") == 0) {
        char text[32];
        (void)snprintf(text, sizeof(text), "text-%d", (int)(i % 13));
        assert_true(sl_str_is(sl_bytes_str(b->texts[at]), text));
    } else if (strcmp(name, "u") == 0) {
        for (int j = 0; j < 16; j++) {
            want[j] = (uint8_t)(i + j);
        }
        assert_memory_equal(b->fixed + at * 16, want, 16);
    } else {
        fail_msg("no column %s", name);
    }
}

static bool is_null(const char *name, int64_t i)
{
    return (strcmp(name, "b") == 0 && i % 7 == 3) || (strcmp(name, "s") == 0 && i % 5 == 4);
}

static void check_flat(const struct sl_pq_leaf *leaf, const struct sl_pq_batch *b, int64_t *row)
{
    char name[8] = {0};
    uint32_t at = 0;
    memcpy(name, leaf->name.ptr, leaf->name.len);
    assert_null(b->rep);
    for (uint32_t i = 0; i < b->level_count; i++, ++*row) {
        assert_int_equal(b->def[i] < leaf->max_def, is_null(name, *row));
        if (b->def[i] == leaf->max_def) {
            check_value(name, *row, b, at++);
        }
    }
    assert_int_equal(at, b->value_count);
}

/* Lists come back as text: "null", "[]", "[1,1.5]", which python would print alike. */
struct text_of {
    int64_t row;
    uint32_t depth;
    struct sl_buf out;
};

static void add_list_levels(const struct sl_pq_leaf *leaf, const struct sl_pq_batch *b,
                            struct text_of *t)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < b->level_count; i++) {
        if (b->rep[i] == 0) {
            sl_buf_addf(&t->out, "\n%lld:", (long long)t->row++);
        }
        sl_buf_addf(&t->out, " %u/%u", b->rep[i], b->def[i]);
        if (b->def[i] == leaf->max_def) {
            float v;
            memcpy(&v, b->fixed + at++ * 4, 4);
            sl_buf_addf(&t->out, "=%g", (double)v);
        }
    }
    assert_int_equal(at, b->value_count);
}

/* The same from the definition of the levels: optional group, repeated list, optional element. */
static void add_wanted(bool is_nested, struct sl_buf *out)
{
    for (int i = 0; i < ROWS; i++) {
        sl_buf_addf(out, "\n%d:", i);
        if (!is_nested && i % 11 == 10) {
            sl_buf_add_text(out, " 0/0");
        } else if (!is_nested && i % 4 == 0) {
            sl_buf_add_text(out, " 0/1");
        } else if (!is_nested) {
            for (int k = 0; k < i % 4; k++) {
                sl_buf_addf(out, " %d/3=%g", k > 0, i + k * 0.5);
            }
        } else if (i % 3 == 0) {
            sl_buf_add_text(out, " 0/1");
        }
        for (int k = 0; is_nested && k < i % 3; k++) {
            for (int n = 0; n <= k; n++) {
                sl_buf_addf(out, " %d/5=%d", n > 0 ? 2 : k > 0, i * 100 + k * 10 + n);
            }
        }
    }
}

static void check_column(const struct sl_pq_file *f, uint32_t leaf_no)
{
    const struct sl_pq_leaf *leaf = sl_pq_file_leaf(f, leaf_no);
    struct text_of text = {0};
    int64_t row = 0;
    for (uint32_t g = 0; g < sl_pq_file_groups(f); g++) {
        SL_AUTO_PTR(sl_pq_chunk) c = NULL;
        struct sl_pq_batch b;
        struct sl_err err = {0};
        sl_rc rc = sl_pq_chunk_open(f, g, leaf_no, &c, &err);
        assert_int_equal(rc, SL_OK);
        while ((rc = sl_pq_chunk_next(c, &b, &err)) == SL_OK) {
            if (leaf->max_rep == 0) {
                check_flat(leaf, &b, &row);
            } else {
                add_list_levels(leaf, &b, &text);
            }
        }
        if (rc != SL_END) {
            fail_msg("%s", err.text);
        }
    }
    if (leaf->max_rep > 0) {
        SL_AUTO(sl_buf) want = SL_BUF_EMPTY;
        add_wanted(leaf->max_rep == 2, &want);
        assert_string_equal(sl_buf_cstr(&text.out), sl_buf_cstr(&want));
    } else {
        assert_int_equal(row, ROWS);
    }
    sl_buf_fini(&text.out);
}

static void every_value_of_pyarrow_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        struct bytes_at b = {0};
        SL_AUTO_PTR(sl_pq_file) f = NULL;
        struct sl_err err = {0};
        load(names[i], &b);
        assert_int_equal(open_over(&b, &f, &err), SL_OK);
        assert_int_equal(sl_pq_file_groups(f), 2);
        assert_int_equal(sl_pq_file_group_rows(f, 1), 30);
        assert_int_equal(sl_pq_file_rows(f), ROWS);
        assert_int_equal(sl_pq_file_leaves(f), 9);
        for (uint32_t leaf = 0; leaf < 9; leaf++) {
            check_column(f, leaf);
        }
        free(b.ptr);
    }
}

static void the_schema_tells_levels_and_meaning(void **state)
{
    (void)state;
    struct bytes_at b = {0};
    SL_AUTO_PTR(sl_pq_file) f = NULL;
    struct sl_err err = {0};
    uint32_t no = 0;
    load(names[0], &b);
    assert_int_equal(open_over(&b, &f, &err), SL_OK);
    const struct sl_pq_leaf *m = sl_pq_file_find(f, "m", &no);
    assert_int_equal(no, 8);
    assert_true(sl_str_is(m->path, "m.list.element.list.element"));
    assert_int_equal(m->type, SL_PQ_P_FLOAT);
    assert_int_equal(m->max_rep, 2);
    assert_int_equal(m->max_def, 5);
    assert_int_equal(m->top_def, 1);
    assert_int_equal(m->repeated_def[0], 2);
    assert_int_equal(m->repeated_def[1], 4);
    const struct sl_pq_leaf *s = sl_pq_file_find(f, "s", &no);
    assert_int_equal(s->meaning, SL_PQ_M_STRING);
    assert_int_equal(s->width, 0);
    assert_int_equal(sl_pq_file_find(f, "u", &no)->width, 16);
    assert_null(sl_pq_file_find(f, "nothing", &no));
    free(b.ptr);
}

/* ---- damage ---- */

static sl_rc read_all(struct bytes_at *b, struct sl_err *err)
{
    SL_AUTO_PTR(sl_pq_file) f = NULL;
    SL_TRY(open_over(b, &f, err));
    for (uint32_t i = 0; i < sl_pq_file_groups(f) * sl_pq_file_leaves(f); i++) {
        SL_AUTO_PTR(sl_pq_chunk) c = NULL;
        struct sl_pq_batch batch;
        sl_rc rc = sl_pq_chunk_open(f, i / sl_pq_file_leaves(f), i % sl_pq_file_leaves(f), &c, err);
        while (rc == SL_OK) {
            rc = sl_pq_chunk_next(c, &batch, err);
        }
        if (rc != SL_END) {
            return rc;
        }
    }
    return SL_OK;
}

static void assert_told(sl_rc rc, const struct sl_err *err)
{
    if (rc != SL_ECORRUPT && rc != SL_EUNSUPPORTED && rc != SL_ETOOBIG) {
        fail_msg("%s: %s", sl_rc_name(rc), err->text);
    }
    assert_true(err->text[0] != '\0');
}

static void every_cut_and_every_changed_byte_is_told_or_harmless(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        struct bytes_at b = {0};
        load(names[i], &b);
        size_t whole = b.len;
        /* Each length in memory of its own, so that a sanitizer sees a byte too far. */
        for (b.len = 0; b.len < whole; b.len++) {
            struct bytes_at cut = {malloc(b.len + 1), b.len, 0};
            struct sl_err err = {0};
            memcpy(cut.ptr, b.ptr, b.len);
            assert_told(read_all(&cut, &err), &err);
            free(cut.ptr);
        }
        for (size_t at = 0; at < whole; at++) {
            uint8_t was = b.ptr[at];
            uint8_t const others[] = {(uint8_t)(was ^ (1u << (at % 8))), (uint8_t)~was};
            for (size_t j = 0; j < 2; j++) {
                struct sl_err err = {0};
                b.ptr[at] = others[j];
                sl_rc rc = read_all(&b, &err);
                if (rc != SL_OK) {
                    assert_told(rc, &err);
                }
            }
            b.ptr[at] = was;
        }
        free(b.ptr);
    }
}

static void a_changed_page_fails_by_its_checksum(void **state)
{
    (void)state;
    struct bytes_at b = {0};
    struct sl_err err = {0};
    load(names[0], &b);
    uint8_t *text = memmem(b.ptr, b.len, "text-7", 6);
    assert_non_null(text);
    text[5] = '8';
    assert_int_equal(read_all(&b, &err), SL_ECORRUPT);
    assert_non_null(strstr(err.text, "column s, page at offset"));
    assert_non_null(strstr(err.text, "checksum"));
    free(b.ptr);
}

static void pages_above_the_limit_are_refused(void **state)
{
    (void)state;
    struct bytes_at b = {0};
    SL_AUTO_PTR(sl_pq_file) f = NULL;
    SL_AUTO_PTR(sl_pq_chunk) c = NULL;
    struct sl_err err = {0};
    struct sl_pq_batch batch;
    load(names[0], &b);
    struct sl_pq_source s = {.read_at = read_at, .arg = &b, .size = b.len, .page_max = 16};
    assert_int_equal(sl_pq_file_open(&s, &f, &err), SL_OK);
    assert_int_equal(sl_pq_chunk_open(f, 0, 2, &c, &err), SL_OK);
    assert_int_equal(sl_pq_chunk_next(c, &batch, &err), SL_ETOOBIG);
    assert_non_null(strstr(err.text, "limit of 16"));
    free(b.ptr);
}

static void refused_memory_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNT_OF(names); i++) {
        struct bytes_at b = {0};
        load(names[i], &b);
        for (int64_t n = 0;; n++) {
            struct sl_err err = {0};
            int64_t live = sl_mem_live();
            sl_fault_fail_after(SL_FAULT_ALLOC, n);
            sl_rc rc = read_all(&b, &err);
            sl_fault_clear();
            assert_int_equal(sl_mem_live(), live);
            if (rc == SL_OK) {
                assert_true(n > 10);
                break;
            }
            assert_int_equal(rc, SL_ENOMEM);
        }
        free(b.ptr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_of_pyarrow_is_read),
        cmocka_unit_test(the_schema_tells_levels_and_meaning),
        cmocka_unit_test(every_cut_and_every_changed_byte_is_told_or_harmless),
        cmocka_unit_test(a_changed_page_fails_by_its_checksum),
        cmocka_unit_test(pages_above_the_limit_are_refused),
        cmocka_unit_test(refused_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
