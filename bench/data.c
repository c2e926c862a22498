/* Deterministic rows; see data.h. splitmix64 feeds Box-Muller, words come from a small list. */
#include "data.h"

#include <math.h>

static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void data_uuid(uint64_t n, uint8_t ret[SL_UUID_SIZE])
{
    uint64_t state = n * 2 + 1;
    sl_put_u64(ret, next(&state));
    sl_put_u64(ret + 8, next(&state));
    ret[6] = (uint8_t)((ret[6] & 0x0f) | 0x40);
    ret[8] = (uint8_t)((ret[8] & 0x3f) | 0x80);
}

void data_vector(uint64_t n, uint32_t dims, float *ret)
{
    uint64_t state = n ^ 0x5851f42d4c957f2du;
    for (uint32_t i = 0; i < dims; i += 2) {
        double u = ((double)(next(&state) >> 11) + 1) / 9007199254740993.0;
        double v = (double)(next(&state) >> 11) / 9007199254740992.0;
        double r = sqrt(-2 * log(u));
        ret[i] = (float)(r * cos(6.283185307179586 * v));
        if (i + 1 < dims) {
            ret[i + 1] = (float)(r * sin(6.283185307179586 * v));
        }
    }
}

void data_properties(uint64_t n, struct sl_buf *out)
{
    static const char *const words[] = {
        "river",  "gate",    "water",  "channel", "level",  "stone",   "mill",   "harbour",
        "bridge", "current", "lock",   "basin",   "canal",  "timber",  "winter", "morning",
        "engine", "signal",  "market", "paper",   "letter", "garden",  "window", "mountain",
        "shadow", "copper",  "silver", "harvest", "ladder", "compass", "voyage", "meadow"};
    uint64_t state = n + 77;
    sl_buf_addf(out, "{\"body\":\"");
    for (int i = 0; i < 118; i++) {
        sl_buf_addf(out, "%s%s", i == 0 ? "" : " ", words[next(&state) % SL_COUNT_OF(words)]);
    }
    sl_buf_addf(
        out, "\",\"isActive\":%s,\"rank\":%llu,\"score\":%.4f,\"title\":\"%s %s %llu\"}",
        (next(&state) & 1) != 0 ? "true" : "false", (unsigned long long)(next(&state) % 100000),
        (double)(next(&state) % 10000) / 10000 + 0.00005, words[next(&state) % SL_COUNT_OF(words)],
        words[next(&state) % SL_COUNT_OF(words)], (unsigned long long)n);
}
