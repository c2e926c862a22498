/* MessagePack: every item that is taken lies inside of the bytes and moves on; numbers and names
 * that are written again read back the same. */
#include "base/buf.h"
#include "lsm/msgpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_str(struct sl_str s, struct sl_bytes all)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    struct sl_str again = {0};
    sl_assert(s.len == 0 ||
              (sl_str_bytes(s).ptr >= all.ptr && sl_str_bytes(s).ptr + s.len <= all.ptr + all.len));
    sl_mp_add_str(&out, s);
    struct sl_rd rd = sl_rd_over(sl_buf_view(&out));
    sl_assert(sl_mp_take_str(&rd, &again) && sl_str_eq(s, again) && sl_rd_left(&rd) == 0);
}

static void check_count(uint32_t count)
{
    SL_AUTO(sl_buf) out = SL_BUF_EMPTY;
    uint32_t again = ~count;
    uint64_t number = 0;
    sl_mp_add_map(&out, count);
    sl_mp_add_u32(&out, count);
    struct sl_rd rd = sl_rd_over(sl_buf_view(&out));
    sl_assert(sl_mp_take_map(&rd, &again) && again == count);
    sl_assert(sl_mp_take_u64(&rd, &number) && number == count && sl_rd_left(&rd) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_bytes all = {data, size};
    for (size_t at = 0; at < size; at++) {
        struct sl_str s = {0};
        uint32_t count = 0;
        uint64_t number = 0;
        float f = 0;
        struct sl_rd rd = {.all = all, .at = at};
        bool is_array = sl_mp_is_array(&rd);
        sl_assert(rd.at == at && !rd.is_short);
        struct sl_rd map = rd, array = rd, text = rd, integer = rd, real = rd;
        int taken = 0;
        if (sl_mp_take_map(&map, &count)) {
            sl_assert(map.at > at && map.at <= size);
            check_count(count);
            taken += data[at] != 0xc0; /* nil is an empty map and an empty array */
        }
        if (sl_mp_take_array(&array, &count)) {
            sl_assert(is_array && array.at > at && array.at <= size);
            taken++;
        }
        if (sl_mp_take_str(&text, &s)) {
            sl_assert(text.at > at && text.at <= size);
            check_str(s, all);
            taken++;
        }
        if (sl_mp_take_u64(&integer, &number)) {
            sl_assert(integer.at > at && integer.at <= size);
            taken++;
        }
        taken += sl_mp_take_f32(&real, &f);
        sl_assert(taken <= 1); /* an item is of one kind */
    }
    return 0;
}
