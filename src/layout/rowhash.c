/* One-shot hashes of the pieces, chained: a streaming state costs as much as a row of floats, and
 * would be memory to own. */
#include "layout/rowhash.h"

#include "base/hash.h"

#define BLOCK_BYTES 1024 /* XXH3's own stride: nothing is gained by more, and it fits a stack */
#define ODD_FLOAT   0x7fc00000U

static uint64_t add(uint64_t state, struct sl_bytes b)
{
    uint64_t link[3] = {state, b.len, sl_xxh64(b)};
    return sl_xxh64(SL_BYTES(link, sizeof(link)));
}

static uint64_t add_number(uint64_t state, uint64_t n)
{
    return add(state, SL_BYTES(&n, sizeof(n)));
}

static bool is_odd(uint32_t bits)
{
    return (bits & 0x7f800000U) == 0x7f800000U;
}

static uint64_t add_block(uint64_t state, struct sl_bytes floats)
{
    uint32_t bits[BLOCK_BYTES / 4], odd = 0;
    size_t count = floats.len / 4;
    memcpy(bits, floats.ptr, floats.len); /* aligned, and no longer the object's */
    for (size_t i = 0; i < count; i++) {
        odd |= is_odd(bits[i]);
    }
    for (size_t i = 0; odd != 0 && i < count; i++) {
        bits[i] = is_odd(bits[i]) ? ODD_FLOAT : bits[i];
    }
    return add(state, SL_BYTES(bits, floats.len));
}

enum floats { AS_STORED, AS_TEXT };

static uint64_t add_floats(uint64_t state, struct sl_bytes floats, enum floats form)
{
    state = add_number(state, floats.len / 4);
    while (floats.len > 0) {
        struct sl_bytes block = SL_BYTES(floats.ptr, SL_MIN(floats.len, (size_t)BLOCK_BYTES));
        state = form == AS_TEXT ? add_block(state, block) : add(state, block);
        floats = SL_BYTES(floats.ptr + block.len, floats.len - block.len);
    }
    return state;
}

static sl_rc add_multi(uint64_t *state, const struct sl_multi_vector *mv, struct sl_buf *scratch,
                       struct sl_err *err)
{
    struct sl_rd rd = sl_rd_over(mv->body);
    *state = add(*state, sl_str_bytes(mv->name));
    *state = add_number(*state, mv->row_count);
    for (uint32_t r = 0; r < mv->row_count; r++) {
        struct sl_bytes floats = {0};
        SL_TRY(sl_multi_vector_row(mv, &rd, scratch, &floats, err));
        *state = add_floats(*state, floats, AS_TEXT);
    }
    return SL_OK;
}

sl_rc sl_row_hash(const struct sl_object *obj, struct sl_buf *scratch, uint64_t *ret,
                  struct sl_err *err)
{
    uint64_t state = add(0, SL_BYTES(obj->uuid, SL_UUID_SIZE));
    state = add_floats(state, obj->vector, AS_STORED);
    state = add_number(state, obj->named_count);
    for (uint32_t i = 0; i < obj->named_count; i++) {
        state = add(state, sl_str_bytes(obj->named[i].name));
        state = add_floats(state, obj->named[i].floats, AS_TEXT);
    }
    state = add_number(state, obj->multi_count);
    for (uint32_t i = 0; i < obj->multi_count; i++) {
        SL_TRY(add_multi(&state, &obj->multi[i], scratch, err));
    }
    bool is_null = sl_str_is(sl_bytes_str(obj->properties), "null");
    *ret = add(state, is_null ? SL_BYTES("", 0) : obj->properties);
    return SL_OK;
}

void sl_row_hash_add_text(struct sl_buf *out, uint64_t hash)
{
    sl_buf_addf(out, "%0*llx", SL_ROW_HASH_DIGITS, (unsigned long long)hash);
}
