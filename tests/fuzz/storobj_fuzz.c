/* Stored object: whatever the bytes, the reader stays inside them; what it accepts and writes again
 * reads back with the same fields. */
#include "lsm/storobj.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct sl_object *obj, struct sl_bytes all)
{
    SL_AUTO(sl_buf) scratch = SL_BUF_EMPTY;
    for (uint32_t i = 0; i < obj->named_count; i++) {
        struct sl_bytes f = obj->named[i].floats;
        sl_assert(f.len % 4 == 0);
        sl_assert(f.len == 0 || (f.ptr >= all.ptr && f.ptr + f.len <= all.ptr + all.len));
        sl_assert(i == 0 || sl_bytes_cmp(sl_str_bytes(obj->named[i - 1].name),
                                         sl_str_bytes(obj->named[i].name)) <= 0);
    }
    for (uint32_t i = 0; i < obj->multi_count; i++) {
        struct sl_rd rd = sl_rd_over(obj->multi[i].body);
        for (uint32_t r = 0; r < obj->multi[i].row_count; r++) {
            struct sl_bytes floats = {0};
            if (sl_multi_vector_row(&obj->multi[i], &rd, &scratch, &floats, NULL) != SL_OK) {
                break;
            }
            sl_assert(floats.len % 4 == 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sl_object obj, again;
    struct sl_err err = {0};
    struct sl_bytes all = {data, size};
    if (sl_object_read(all, &obj, &err) != SL_OK) {
        sl_assert(err.text[0] != '\0');
        return 0;
    }
    walk(&obj, all);
    for (uint32_t i = 0; i < obj.multi_count; i++) {
        if (obj.multi[i].is_msgpack) {
            return 0; /* the old tail is read, never written */
        }
    }
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    if (sl_object_write(&obj, &out, &err) == SL_OK) {
        sl_rc rc = sl_object_read(sl_buf_view(&out), &again, &err);
        sl_assert(rc == SL_OK);
        sl_assert(memcmp(again.uuid, obj.uuid, SL_UUID_SIZE) == 0);
        sl_assert(again.create_ms == obj.create_ms && again.update_ms == obj.update_ms);
        sl_assert(sl_bytes_eq(again.vector, obj.vector));
        sl_assert(again.named_count == obj.named_count && again.multi_count == obj.multi_count);
        for (uint32_t i = 0; i < obj.named_count; i++) {
            sl_assert(sl_str_eq(again.named[i].name, obj.named[i].name));
            sl_assert(sl_bytes_eq(again.named[i].floats, obj.named[i].floats));
        }
    }
    return 0;
}
