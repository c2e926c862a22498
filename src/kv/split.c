/* Cuts of a key span by measured bytes: pure arithmetic over keys, free of any engine.
 *
 * Between the first and the last key of a span lies a line of numbers: what follows the bytes both
 * keys share, read as one big number. A cut is found by bisection on that line with the engine's
 * own estimate as the yardstick, so neither random nor sequential UUIDs nor a mixture of both is
 * assumed. Called by an engine's split. Owner thread only. */
#include "kv/kv_int.h"

static unsigned __int128 number_at(struct sl_bytes key, size_t at)
{
    unsigned __int128 n = 0;
    for (size_t i = at; i < at + SLI_KV_NUMBER_SIZE; i++) {
        n = n << 8 | (i < key.len ? key.ptr[i] : 0u);
    }
    return n;
}

struct sli_kv_line sli_kv_line_make(struct sl_bytes first, struct sl_bytes last)
{
    size_t shared = 0;
    while (shared < first.len && shared < last.len && first.ptr[shared] == last.ptr[shared]) {
        shared++;
    }
    return (struct sli_kv_line){.first = first,
                                .shared_len = shared,
                                .from = number_at(first, shared),
                                .to = number_at(last, shared)};
}

void sli_kv_line_key(const struct sli_kv_line *line, unsigned __int128 n,
                     struct sli_kv_line_key *ret)
{
    memcpy(ret->bytes, line->first.ptr, line->shared_len);
    for (size_t i = 0; i < SLI_KV_NUMBER_SIZE; i++) {
        ret->bytes[line->shared_len + i] = (uint8_t)(n >> (8 * (SLI_KV_NUMBER_SIZE - 1 - i)));
    }
    ret->len = line->shared_len + SLI_KV_NUMBER_SIZE;
}

sl_rc sli_kv_line_cut(const struct sli_kv_line *line, unsigned __int128 from, uint64_t want,
                      uint64_t tolerance, sli_kv_size_fn *size, void *arg, unsigned __int128 *ret,
                      struct sl_err *err)
{
    unsigned __int128 lo = from;
    unsigned __int128 hi = line->to;
    while (hi - lo > 1) {
        unsigned __int128 mid = lo + (hi - lo) / 2;
        struct sli_kv_line_key key;
        sli_kv_line_key(line, mid, &key);
        uint64_t before = 0;
        SL_TRY(size(arg, line->first, SL_BYTES(key.bytes, key.len), &before, err));
        if (before + tolerance < want) {
            lo = mid;
        } else {
            hi = mid;
            if (before <= want + tolerance) {
                break;
            }
        }
    }
    *ret = hi;
    return SL_OK;
}
