/* The hash of a row: against the definition in rowhash.h, written down here a second time, and by
 * what must and what must not change it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "layout/rowhash.h"

#define DIMS 300 /* more than one block */

struct fixture {
    float vector[DIMS], named[2][3];
    uint8_t rows[2 + 8 + 2 + 4];
    struct sl_object obj;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f)); /* allow: calloc, a test owns it */
    for (int i = 0; i < DIMS; i++) {
        f->vector[i] = (float)i / 7;
    }
    f->named[0][1] = 2.5F;
    f->named[1][2] = -1;
    sl_put_u16(f->rows, 2);
    f->rows[5] = 9;
    sl_put_u16(f->rows + 10, 1);
    struct sl_object *o = &f->obj;
    memset(o->uuid, 0xab, sizeof(o->uuid));
    o->create_ms = 5;
    o->update_ms = 6;
    o->vector = SL_BYTES(f->vector, sizeof(f->vector));
    o->named_count = 2;
    o->named[0] = (struct sl_named_vector){SL_STR("a"), SL_BYTES(f->named[0], 12)};
    o->named[1] = (struct sl_named_vector){SL_STR("b"), SL_BYTES(f->named[1], 12)};
    o->multi_count = 1;
    o->multi[0] = (struct sl_multi_vector){
        .name = SL_STR("m"), .body = SL_BYTES(f->rows, sizeof(f->rows)), .row_count = 2};
    o->properties = sl_str_bytes(SL_STR("{\"n\":1}"));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state); /* allow: free, a test owns it */
    assert_int_equal(sl_mem_live(), 0);
    return 0;
}

static uint64_t hash_of(const struct sl_object *obj)
{
    SL_AUTO(sl_buf) scratch = SL_BUF_EMPTY;
    uint64_t hash = 0;
    assert_int_equal(sl_row_hash(obj, &scratch, &hash, NULL), SL_OK);
    return hash;
}

/* ---- the definition once more ---- */

static void piece(uint64_t *state, const void *ptr, size_t len)
{
    uint8_t link[24];
    sl_put_u64(link, *state);
    sl_put_u64(link + 8, len);
    sl_put_u64(link + 16, sl_xxh64(SL_BYTES(ptr, len)));
    *state = sl_xxh64(SL_BYTES(link, sizeof(link)));
}

static void number(uint64_t *state, uint64_t n)
{
    uint8_t bytes[8];
    sl_put_u64(bytes, n);
    piece(state, bytes, sizeof(bytes));
}

static void is_the_chain_that_is_documented(void **state)
{
    const struct fixture *f = *state;
    uint64_t s = 0;
    piece(&s, f->obj.uuid, 16);
    number(&s, DIMS);
    piece(&s, f->vector, 1024);
    piece(&s, f->vector + 256, (DIMS - 256) * 4);
    number(&s, 2);
    for (int i = 0; i < 2; i++) {
        piece(&s, i == 0 ? "a" : "b", 1);
        number(&s, 3);
        piece(&s, f->named[i], 12);
    }
    number(&s, 1);
    piece(&s, "m", 1);
    number(&s, 2);
    number(&s, 2);
    piece(&s, f->rows + 2, 8);
    number(&s, 1);
    piece(&s, f->rows + 12, 4);
    piece(&s, "{\"n\":1}", 7);
    assert_int_equal(hash_of(&f->obj), s);
}

static void changes_with_every_field(void **state)
{
    struct fixture *f = *state;
    struct sl_object *o = &f->obj;
    uint64_t seen[32];
    size_t count = 0;
#define CHANGED(change, back)       \
    do {                            \
        change;                     \
        seen[count++] = hash_of(o); \
        back;                       \
    } while (0)
    CHANGED(, );
    CHANGED(o->uuid[15] ^= 1, o->uuid[15] ^= 1);
    CHANGED(f->vector[299] = 1, f->vector[299] = 299.F / 7);
    CHANGED(o->vector.len -= 4, o->vector.len += 4);
    CHANGED(o->vector.len = 0, o->vector.len = sizeof(f->vector));
    CHANGED(f->named[1][0] = -0.F, f->named[1][0] = 0);
    CHANGED(o->named[1].name = SL_STR("c"), o->named[1].name = SL_STR("b"));
    CHANGED(o->named_count = 1, o->named_count = 2);
    CHANGED(o->named[0].floats.len = 0, o->named[0].floats.len = 12);
    CHANGED(f->rows[5] = 8, f->rows[5] = 9);
    CHANGED(o->multi[0].row_count = 1, o->multi[0].row_count = 2);
    CHANGED(o->multi[0].name = SL_STR("n"), o->multi[0].name = SL_STR("m"));
    CHANGED(o->multi_count = 0, o->multi_count = 1);
    CHANGED(o->properties.len--, o->properties.len++);
    CHANGED(o->properties.len = 0, o->properties.len = 7);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(seen[i], seen[k]);
        }
    }
    assert_int_equal(hash_of(o), seen[0]);
}

static void leaves_out_what_not_every_layout_keeps(void **state)
{
    struct fixture *f = *state;
    struct sl_object *o = &f->obj;
    uint64_t before = hash_of(o);
    o->create_ms = o->update_ms = 77;
    o->doc_id = 4;
    assert_int_equal(hash_of(o), before);
    o->properties = SL_BYTES("null", 4);
    before = hash_of(o);
    o->properties = SL_BYTES("", 0);
    assert_int_equal(hash_of(o), before);
    f->named[0][0] = INFINITY;
    before = hash_of(o);
    f->named[0][0] = -NAN;
    assert_int_equal(hash_of(o), before);
    f->vector[0] = INFINITY; /* binary in every layout */
    before = hash_of(o);
    f->vector[0] = -NAN;
    assert_int_not_equal(hash_of(o), before);
}

static void broken_rows_are_told(void **state)
{
    struct fixture *f = *state;
    struct sl_err err = {0};
    SL_AUTO(sl_buf) scratch = SL_BUF_EMPTY;
    uint64_t hash = 0;
    f->obj.multi[0].row_count = 3;
    assert_int_equal(sl_row_hash(&f->obj, &scratch, &hash, &err), SL_ECORRUPT);
    assert_int_not_equal(strlen(err.text), 0);
}

static void text_has_sixteen_digits(void **state SL_UNUSED)
{
    SL_AUTO(sl_buf) text = SL_BUF_EMPTY;
    sl_row_hash_add_text(&text, 0xab);
    assert_string_equal(sl_buf_cstr(&text), "00000000000000ab");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(is_the_chain_that_is_documented),
                                       T(changes_with_every_field),
                                       T(leaves_out_what_not_every_layout_keeps),
                                       T(broken_rows_are_told), T(text_has_sixteen_digits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
