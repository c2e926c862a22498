/* Compares the float32 text of every bit pattern, or of each N-th, with an independent program.
 *
 *   base_num_all [--stride N]     N = 4099 by default (a prime, so all exponents and low bits are
 *                                 met); --stride 1 takes all 2^32, some 15 minutes on one core.
 *
 * The digits come from the C++ library (num_oracle.h); the layout is made here from Go's rules once
 * more, by the plainest code possible. Exit 1 and the first differences on stderr when any differs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "num_oracle.h"

/* Go's strconv.AppendFloat(x, 'g', -1, 32) from the oracle's scientific text. */
static size_t expect_text(uint32_t bits, char *at)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    if ((bits & 0x7fffffff) > 0x7f800000) {
        return (size_t)sprintf(at, "NaN");
    }
    if ((bits & 0x7fffffff) == 0x7f800000) {
        return (size_t)sprintf(at, "%cInf", bits >> 31 ? '-' : '+');
    }
    char sci[40];
    size_t sci_len = oracle_f32_scientific(v, sci);
    sci[sci_len] = '\0';
    const char *from = sci;
    char *to = at;
    if (*from == '-') {
        *to++ = *from++;
    }
    const char *e = strchr(from, 'e');
    int exp10 = atoi(e + 1);
    if ((bits & 0x7fffffff) != 0 && (exp10 < -4 || exp10 >= 6)) {
        return (size_t)(to - at) + (size_t)sprintf(to, "%s", from); /* the same layout */
    }
    char digits[16];
    size_t n = 0;
    for (const char *p = from; p < e; p++) {
        if (*p != '.') {
            digits[n++] = *p;
        }
    }
    for (int x = -1; x >= exp10; x--) {
        *to++ = '0';
        if (x == -1) {
            *to++ = '.';
        }
    }
    for (size_t i = 0; i < n || (exp10 >= 0 && i <= (size_t)exp10); i++) {
        if (exp10 >= 0 && i == (size_t)exp10 + 1) {
            *to++ = '.';
        }
        *to++ = i < n ? digits[i] : '0';
    }
    return (size_t)(to - at);
}

int main(int argc, char **argv)
{
    uint64_t stride = 4099;
    if (argc == 3 && strcmp(argv[1], "--stride") == 0) {
        stride = strtoull(argv[2], NULL, 10);
    }
    if (stride == 0) {
        fputs("--stride must be at least 1\n", stderr);
        return 2;
    }
    uint64_t different = 0;
    uint64_t compared = 0;
    for (uint64_t pattern = 0; pattern <= UINT32_MAX; pattern += stride) {
        uint32_t bits = (uint32_t)pattern;
        float v;
        memcpy(&v, &bits, sizeof v);
        char want[48];
        char got[SL_F32_TEXT_MAX];
        size_t want_len = expect_text(bits, want);
        size_t got_len = sl_f32_format(v, got);
        compared++;
        if (got_len != want_len || memcmp(got, want, got_len) != 0) {
            if (different++ < 20) {
                fprintf(stderr, "%08" PRIx32 ": %.*s, expected %.*s\n", bits, (int)got_len, got,
                        (int)want_len, want);
            }
        }
    }
    printf("%" PRIu64 " patterns compared, %" PRIu64 " different\n", compared, different);
    return different == 0 ? 0 : 1;
}
