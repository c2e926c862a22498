/* Numbers to text and back, with the digits Go prints.
 *
 * Shortest digits of a float32 c * 2^q, after an idea shared by Giulietti's Schubfach and its
 * successors: choose k so that the rounding interval of the value is between one and ten units of
 * 10^k long, and look at the value in tens of units, as one 64.64 product c * step. Then
 *   - at most one whole number of tens lies in the interval, and if one does, it is the shortest;
 *   - else one more digit is enough, and it is the nearest.
 * The interval reaches half a step to both sides (a quarter below powers of two), its ends belong
 * to it when c is even. The step is rounded up in the last of 64 bits, so a product is too large by
 * less than 2^24; nothing but true equality comes that near, as base_num_all shows for all 2^32
 * values. The inner loop has no branch that depends on digits, because digits of embeddings are
 * noise to a branch predictor. Powers of two and subnormal values take a careful path.
 *
 * float64 is not hot and asks libc for 15, 16, 17 digits in turn.
 * Pure, @threads any; nothing depends on the locale: texts handed to libc hold no decimal point. */
#include "base/num.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Two digits at a time: entry n is "00".."99". */
#define TEN(tens) \
    tens "0" tens "1" tens "2" tens "3" tens "4" tens "5" tens "6" tens "7" tens "8" tens "9"
static const char digit_pairs[] =
    TEN("0") TEN("1") TEN("2") TEN("3") TEN("4") TEN("5") TEN("6") TEN("7") TEN("8") TEN("9");

#define F32_MANTISSA_BITS 23
#define F32_HIDDEN        (1u << F32_MANTISSA_BITS)
#define F32_MAGNITUDE     0x7fffffffu
#define F32_INFINITY      0x7f800000u

static const uint64_t f32_steps[] = {
    0, /* subnormal values use entry 1 */
#define SL_F32_STEP(biased, step) step,
#include "base/num_f32.tbl.h"
#undef SL_F32_STEP
};
_Static_assert(SL_COUNT_OF(f32_steps) == 255, "one step per finite exponent");

#define HALF          (UINT64_C(1) << 63)
#define PRODUCT_NOISE (UINT64_C(1) << 25) /* > 2^24, what c * step can be too large */
#define DIGIT_NOISE   (UINT64_C(1) << 29) /* > 10 * 2^24, what its tenfold can be too large */

/* k = floor(log10(2^q)), right for all exponents of float32. */
ALWAYS_INLINE int32_t f32_unit_exp10(uint32_t biased)
{
    return (((int32_t)biased - 150) * 1262611) >> 22;
}

/* A value as tens * 10 + last, in units of 10^k; tens < 2^24. */
struct tens {
    uint32_t tens;
    uint32_t last;     /* 0 when `is_short`, else 1..9 */
    uint32_t is_short; /* all ones when a whole number of tens is the shortest text, else 0 */
};

/* Shortest digits of a normal value that is no power of two. */
ALWAYS_INLINE struct tens shortest_regular(uint32_t c, uint64_t step)
{
    unsigned __int128 product = (unsigned __int128)step * c;
    uint32_t whole = (uint32_t)(product >> 64);
    uint64_t part = (uint64_t)product;
    /* An end of the interval belongs to it when c is even: then equality must count as inside. */
    uint64_t reach = step / 2 + PRODUCT_NOISE - ((uint64_t)(c & 1) * 2 * PRODUCT_NOISE);
    uint64_t unused;
    uint32_t is_above_inside = __builtin_add_overflow(part, reach, &unused);
    uint32_t is_below_inside = part < reach;
    unsigned __int128 rounded = (unsigned __int128)part * 10 + HALF;
    uint32_t last = (uint32_t)(rounded >> 64);
    if (SL_UNLIKELY((uint64_t)rounded < DIGIT_NOISE)) {
        last &= ~1u; /* exactly between two digits: the even one */
    }
    uint32_t is_short = 0u - (is_above_inside | is_below_inside);
    return (struct tens){whole + is_above_inside, last & ~is_short, is_short};
}

/* Digits in units of 10^exp10. */
struct units {
    uint32_t units;
    int32_t exp10;
};

static inline uint64_t times10_saturated(uint64_t v)
{
    return v > UINT64_MAX / 10 ? UINT64_MAX : v * 10;
}

/* Shortest digits of any positive value, one decimal place after the other. A power of two has an
 * interval that is shorter below and may need one more place; subnormal values have few digits. */
static __attribute__((noinline)) struct units shortest_careful(uint32_t magnitude)
{
    uint32_t biased = magnitude >> F32_MANTISSA_BITS;
    uint32_t c = magnitude & (F32_HIDDEN - 1);
    bool is_power = biased > 1 && c == 0;
    c |= biased > 0 ? F32_HIDDEN : 0;
    biased = SL_MAX(biased, 1u);
    uint64_t step = f32_steps[biased];
    unsigned __int128 product = (unsigned __int128)step * c;
    struct units u = {(uint32_t)(product >> 64), f32_unit_exp10(biased) + 1};
    uint64_t part = (uint64_t)product;
    uint64_t above = step / 2;
    uint64_t below = is_power ? step / 4 : above;
    uint64_t noise = PRODUCT_NOISE;
    for (;;) {
        uint64_t slack = c % 2 == 0 ? noise : -noise;
        bool is_below_inside = part < below + slack || below == UINT64_MAX;
        bool is_above_inside = part > -(above + slack) || above == UINT64_MAX;
        if (is_below_inside || is_above_inside) {
            bool is_above_nearer = part > HALF + noise || (part >= HALF && u.units % 2 == 1);
            u.units += is_above_inside && (is_above_nearer || !is_below_inside);
            return u;
        }
        unsigned __int128 next = (unsigned __int128)part * 10;
        u.units = u.units * 10 + (uint32_t)(next >> 64);
        u.exp10--;
        part = (uint64_t)next;
        above = times10_saturated(above);
        below = times10_saturated(below);
        noise *= 10;
    }
}

/* Eight digits of n < 10^8 as byte values, the last in the lowest byte: halves, quarters, digits,
 * each step on all lanes of one register. A lane with v becomes v / d in its upper and v % d in its
 * lower half by adding (v / d) * (upper lane - d). */
ALWAYS_INLINE uint64_t eight_digits(uint32_t n)
{
    uint64_t x = n + (uint64_t)(n / 10000) * ((UINT64_C(1) << 32) - 10000);
    x += ((x * 10486 >> 20) & 0x0000007f0000007f) * ((1 << 16) - 100);
    x += ((x * 103 >> 10) & 0x000f000f000f000f) * ((1 << 8) - 10);
    return x;
}

#define ASCII_ZEROS 0x3030303030303030u

/* Eight digits as text: the first digit comes first in memory. */
ALWAYS_INLINE uint64_t digits_text(uint64_t digits)
{
    return __builtin_bswap64(digits) | ASCII_ZEROS;
}

ALWAYS_INLINE void put8(char *at, uint64_t bytes)
{
    memcpy(at, &bytes, 8);
}

/* Nine decimal digits d[.dddddddd] * 10^exp10, the first one not zero. */
struct digits9 {
    uint64_t tail; /* digits 2..9, the last in the lowest byte */
    uint32_t head; /* digit 1 */
    int32_t exp10; /* decimal exponent of digit 1 */
};

/* magnitude: bits of a positive, finite, non-zero float32. */
static struct digits9 digits_of(uint32_t magnitude)
{
    static const uint32_t factor[3] = {1, 10, 100};
    uint32_t mantissa = magnitude & (F32_HIDDEN - 1);
    struct units u;
    if (SL_UNLIKELY(mantissa == 0 || magnitude < F32_HIDDEN)) {
        u = shortest_careful(magnitude);
        while (u.units < 10000000u) {
            u.units *= 10;
            u.exp10--;
        }
    } else {
        uint32_t biased = magnitude >> F32_MANTISSA_BITS;
        struct tens t = shortest_regular(mantissa | F32_HIDDEN, f32_steps[biased]);
        u = (struct units){t.tens * 10 + t.last, f32_unit_exp10(biased)};
    }
    uint32_t missing = (u.units < 100000000u) + (u.units < 10000000u);
    u.units *= factor[missing];
    uint32_t head = u.units / 100000000u;
    return (struct digits9){eight_digits(u.units - head * 100000000u), head,
                            u.exp10 + 8 - (int32_t)missing};
}

/* How many of the nine digits are left when trailing zeros go. */
static inline uint32_t digits_count(uint64_t tail)
{
    return tail == 0 ? 1 : 9 - (uint32_t)__builtin_ctzll(tail) / 8;
}

/* Where the digits of a positional text go, by decimal exponent -4..5. The text is begun with
 * "0.000000", then digit 1 is put at `head`, then all others behind it, then those behind the point
 * again at `rest`, and the point. One order of stores serves 0.00012 and 12345.6. */
struct layout {
    uint8_t head, rest, cut_bits, point;
};
#define GO_FIXED_MIN (-4)
#define GO_FIXED_MAX 5
static const struct layout layouts[GO_FIXED_MAX - GO_FIXED_MIN + 1] = {
    {5, 6, 0, 1}, {4, 5, 0, 1},  {3, 4, 0, 1},  {2, 3, 0, 1},  {0, 2, 0, 1},
    {0, 3, 8, 2}, {0, 4, 16, 3}, {0, 5, 24, 4}, {0, 6, 32, 5}, {0, 7, 40, 6},
};

static size_t put_positional(struct digits9 d, char *at)
{
    const struct layout *lay = &layouts[d.exp10 - GO_FIXED_MIN];
    uint64_t text = digits_text(d.tail);
    uint32_t count = digits_count(d.tail);
    memcpy(at, "0.000000", 8);
    at[lay->head] = (char)('0' + d.head);
    put8(at + lay->head + 1, text);
    put8(at + lay->rest, text >> lay->cut_bits);
    at[lay->point] = '.';
    if (d.exp10 >= 0 && count <= (uint32_t)d.exp10 + 1) {
        return (size_t)d.exp10 + 1; /* a whole number: no point */
    }
    return (size_t)count + lay->head + (lay->head == 0);
}

static size_t put_exponent(struct digits9 d, char *at)
{
    uint32_t count = digits_count(d.tail);
    uint32_t magnitude = (uint32_t)(d.exp10 < 0 ? -d.exp10 : d.exp10);
    at[0] = (char)('0' + d.head);
    at[1] = '.';
    put8(at + 2, digits_text(d.tail));
    size_t len = count == 1 ? 1 : (size_t)count + 1;
    at[len] = 'e';
    at[len + 1] = d.exp10 < 0 ? '-' : '+';
    memcpy(at + len + 2, digit_pairs + (size_t)magnitude * 2, 2);
    return len + 4;
}

/* bits: any finite float32. */
static __attribute__((noinline)) size_t put_general(uint32_t bits, char *at)
{
    uint32_t magnitude = bits & F32_MAGNITUDE;
    size_t sign = bits >> 31;
    at[0] = '-';
    at += sign;
    if (magnitude == 0) {
        at[0] = '0';
        return sign + 1;
    }
    struct digits9 d = digits_of(magnitude);
    if (d.exp10 >= GO_FIXED_MIN && d.exp10 <= GO_FIXED_MAX) {
        return sign + put_positional(d, at);
    }
    return sign + put_exponent(d, at);
}

/* The values of embeddings: from 2^-13 (0.000122) up to below 8 the place of the digits depends on
 * the binary exponent alone. The eight digits of `tens` may begin with zeros; below 1 these are
 * zeros behind the point as well, and from 1 on there is exactly one, which is cut. */
struct window {
    uint8_t cut_bits; /* leading digits of the eight that are not stored again at `at` */
    uint8_t at;       /* where the rest goes */
    uint8_t last_at;  /* where the ninth digit goes */
    uint8_t whole;    /* all ones when the second digit is the one before the point, else 0 */
};
#define WINDOW_BIASED_MIN 114
static const struct window windows[16] = {
    {0, 4, 12, 0},    {0, 4, 12, 0},    {0, 4, 12, 0},                   /* 0.000122.. */
    {0, 3, 11, 0},    {0, 3, 11, 0},    {0, 3, 11, 0},    {0, 3, 11, 0}, /* 0.00097.. */
    {0, 2, 10, 0},    {0, 2, 10, 0},    {0, 2, 10, 0},                   /* 0.0156.. */
    {8, 2, 9, 0},     {8, 2, 9, 0},     {8, 2, 9, 0},                    /* 0.125.. */
    {16, 2, 8, 0xff}, {16, 2, 8, 0xff}, {16, 2, 8, 0xff},                /* 1.. */
};

/* bits: any finite float32. */
ALWAYS_INLINE size_t put_f32(uint32_t bits, char *at)
{
    uint32_t biased = (bits & F32_MAGNITUDE) >> F32_MANTISSA_BITS;
    uint32_t mantissa = bits & (F32_HIDDEN - 1);
    if (SL_UNLIKELY(biased - WINDOW_BIASED_MIN >= SL_COUNT_OF(windows) || mantissa == 0)) {
        return put_general(bits, at);
    }
    const struct window *win = &windows[biased - WINDOW_BIASED_MIN];
    struct tens t = shortest_regular(mantissa | F32_HIDDEN, f32_steps[biased]);
    uint64_t digits = eight_digits(t.tens);
    uint64_t text = digits_text(digits);
    uint32_t zeros = ((uint32_t)__builtin_ctzll(digits) / 8 + 1) & t.is_short;
    size_t sign = bits >> 31;
    at[0] = '-';
    at += sign;
    put8(at, 0x3030303030302e30u | (text >> 8 & win->whole)); /* "0.000000" or "d.000000" */
    put8(at + win->at, text >> win->cut_bits);
    at[win->last_at] = (char)('0' + t.last);
    size_t len = win->last_at + 1u - zeros;
    return sign + len - (len == 2); /* 3, not "3." */
}

size_t sl_f32_format(float v, char *at)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint32_t magnitude = bits & F32_MAGNITUDE;
    if (SL_UNLIKELY(magnitude >= F32_INFINITY)) {
        if (magnitude > F32_INFINITY) {
            memcpy(at, "NaN", 3);
            return 3;
        }
        memcpy(at, bits >> 31 ? "-Inf" : "+Inf", 4);
        return 4;
    }
    return put_f32(bits, at);
}

size_t sl_f32_array_format(const uint8_t *values, uint32_t count, char *at, uint64_t *ret_nonfinite)
{
    char *p = at;
    uint64_t nonfinite = 0;
    *p++ = '[';
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + (size_t)i * 4, sizeof bits);
        if (SL_UNLIKELY((bits & F32_MAGNITUDE) >= F32_INFINITY)) {
            memcpy(p, "null", 4);
            p += 4;
            nonfinite++;
        } else {
            p += put_f32(bits, p);
        }
        *p++ = ',';
    }
    p -= count > 0; /* the last comma gives way */
    *p++ = ']';
    *ret_nonfinite += nonfinite;
    return (size_t)(p - at);
}

/* Lays out n digits d.ddd * 10^exp10 as Go's encoding/json does: positional from 1e-6 up to below
 * 1e21, else with an exponent that is not padded. */
static size_t put_json(bool is_negative, const char *digits, size_t n, int exp10, char *at)
{
    char *p = at;
    if (is_negative) {
        *p++ = '-';
    }
    if (exp10 < -6 || exp10 >= 21) {
        *p++ = digits[0];
        if (n > 1) {
            *p++ = '.';
            memcpy(p, digits + 1, n - 1);
            p += n - 1;
        }
        *p++ = 'e';
        *p++ = exp10 < 0 ? '-' : '+';
        p += sl_u64_format((uint64_t)(exp10 < 0 ? -exp10 : exp10), p);
        return (size_t)(p - at);
    }
    if (exp10 < 0) {
        memcpy(p, "0.00000", 7);
        p += 1 - exp10;
        memcpy(p, digits, n);
        return (size_t)(p - at) + n;
    }
    size_t whole = (size_t)exp10 + 1;
    if (n <= whole) {
        memcpy(p, digits, n);
        memset(p + n, '0', whole - n);
        return (size_t)(p - at) + whole;
    }
    memcpy(p, digits, whole);
    p[whole] = '.';
    memcpy(p + whole + 1, digits + whole, n - whole);
    return (size_t)(p - at) + n + 1;
}

size_t sl_f32_format_json(float v, char *at)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if ((bits & F32_MAGNITUDE) == 0) {
        return put_general(bits, at);
    }
    struct digits9 d = digits_of(bits & F32_MAGNITUDE);
    char digits[9];
    digits[0] = (char)('0' + d.head);
    put8(digits + 1, digits_text(d.tail));
    return put_json(bits >> 31, digits, digits_count(d.tail), d.exp10, at);
}

/* The double nearest to the whole number `digits` (n digits) * 10^exp10. */
static double digits_value(const char *digits, size_t n, int exp10)
{
    char text[1024];
    int len = snprintf(text, sizeof text, "%.*se%d", (int)n, digits, exp10);
    sl_assert(len > 0 && (size_t)len < sizeof text);
    return strtod(text, NULL); /* allow: strtod, no decimal point, so no locale */
}

/* Adds one to the last of n digits; true when that made one digit more (then they are 1, 0, 0 ...).
 */
static bool digits_increment(char *digits, size_t n)
{
    while (n > 0) {
        n--;
        if (digits[n] != '9') {
            digits[n]++;
            return false;
        }
        digits[n] = '0';
    }
    digits[0] = '1';
    return true;
}

#define F64_DIGITS_MAX 17

/* Shortest digits of a positive finite double, and the decimal exponent of the first. The nearest
 * decimal of some length that does not read back may have an upper neighbour that does: the
 * interval of a power of two is shorter below. */
static size_t f64_shortest(double v, char digits[F64_DIGITS_MAX], int *ret_exp10)
{
    int exp10 = 0;
    size_t n = v < 0x1p-1022 ? 1 : 15; /* any 15 digits of a normal double are unique */
    for (; n <= F64_DIGITS_MAX; n++) {
        char text[40];
        int len = snprintf(text, sizeof text, "%.*e", (int)n - 1, v);
        sl_assert(len > 0 && (size_t)len < sizeof text);
        const char *e = memchr(text, 'e', (size_t)len);
        digits[0] = text[0];
        memcpy(digits + 1, e - (n - 1), n - 1); /* whatever the locale's point is, it is skipped */
        exp10 = 0;
        for (const char *p = e + 2; *p != '\0'; p++) {
            exp10 = exp10 * 10 + (*p - '0');
        }
        exp10 = e[1] == '-' ? -exp10 : exp10;
        if (digits_value(digits, n, exp10 - (int)n + 1) == v) {
            break;
        }
        if (n < F64_DIGITS_MAX) {
            exp10 += digits_increment(digits, n) ? 1 : 0;
            if (digits_value(digits, n, exp10 - (int)n + 1) == v) {
                break;
            }
        }
    }
    n = SL_MIN(n, (size_t)F64_DIGITS_MAX);
    while (n > 1 && digits[n - 1] == '0') {
        n--;
    }
    *ret_exp10 = exp10;
    return n;
}

size_t sl_f64_format(double v, char *at)
{
    sl_dassert(isfinite(v));
    bool is_negative = signbit(v);
    if (fabs(v) < 1e15 && v == (double)(int64_t)v) {
        if (v == 0) {
            memcpy(at, "-0", 2);
            at[0] = is_negative ? '-' : '0';
            return is_negative ? 2 : 1;
        }
        return sl_i64_format((int64_t)v, at);
    }
    char digits[F64_DIGITS_MAX];
    int exp10;
    size_t n = f64_shortest(fabs(v), digits, &exp10);
    return put_json(is_negative, digits, n, exp10, at);
}

/* A JSON number taken apart: the significant digits without leading zeros, as a whole number times
 * 10^exp10. More than 767 digits never decide a rounding except by being non-zero at all, so what
 * is beyond is folded into one last digit. */
#define F64_SIGNIFICANT_MAX 800
#define F64_EXP_MAX         100000 /* far outside the range of a double, far inside that of int */
struct number_text {
    char digits[F64_SIGNIFICANT_MAX + 1];
    size_t count;
    int64_t exp10;
    bool is_negative;
};

static size_t take_digits(struct sl_str s, size_t at, struct number_text *n, bool is_fraction)
{
    for (; at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9'; at++) {
        n->exp10 -= is_fraction;
        if (n->count == 0 && s.ptr[at] == '0') {
            continue;
        }
        if (n->count < F64_SIGNIFICANT_MAX) {
            n->digits[n->count++] = s.ptr[at];
        } else {
            n->exp10++;
            if (s.ptr[at] != '0') {
                n->digits[F64_SIGNIFICANT_MAX - 1] |=
                    1; /* '0' becomes '1'; enough to break a tie */
            }
        }
    }
    return at;
}

static bool number_split(struct sl_str s, struct number_text *n)
{
    n->count = 0;
    n->exp10 = 0;
    size_t at = 0;
    n->is_negative = s.len > 0 && s.ptr[0] == '-';
    at += n->is_negative;
    size_t start = at;
    at = take_digits(s, at, n, false);
    if (at == start || (s.ptr[start] == '0' && at != start + 1)) {
        return false;
    }
    if (at < s.len && s.ptr[at] == '.') {
        start = ++at;
        at = take_digits(s, at, n, true);
        if (at == start) {
            return false;
        }
    }
    if (at < s.len && (s.ptr[at] == 'e' || s.ptr[at] == 'E')) {
        at++;
        bool is_down = at < s.len && s.ptr[at] == '-';
        at += at < s.len && (s.ptr[at] == '-' || s.ptr[at] == '+');
        int64_t e = 0;
        start = at;
        for (; at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9'; at++) {
            e = e < INT32_MAX ? e * 10 + (s.ptr[at] - '0') : e;
        }
        if (at == start) {
            return false;
        }
        n->exp10 += is_down ? -e : e;
    }
    return at == s.len;
}

bool sl_f64_parse(struct sl_str text, double *ret)
{
    static const double exact_pow10[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                         1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                         1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    struct number_text n;
    if (!number_split(text, &n)) {
        return false;
    }
    double v = 0;
    if (n.count > 0 && n.count <= 15 && n.exp10 >= -22 && n.exp10 <= 22) {
        /* Both numbers are exact doubles, so one division or product rounds right. */
        uint64_t whole = 0;
        for (size_t i = 0; i < n.count; i++) {
            whole = whole * 10 + (uint64_t)(n.digits[i] - '0');
        }
        v = n.exp10 < 0 ? (double)whole / exact_pow10[-n.exp10]
                        : (double)whole * exact_pow10[n.exp10];
    } else if (n.count > 0) {
        int64_t exp10 = SL_MAX(SL_MIN(n.exp10, F64_EXP_MAX), -F64_EXP_MAX);
        v = digits_value(n.digits, n.count, (int)exp10);
        if (isinf(v)) {
            return false;
        }
    }
    *ret = n.is_negative ? -v : v;
    return true;
}

size_t sl_u64_format(uint64_t v, char *at)
{
    char text[20];
    size_t from = sizeof text;
    while (v >= 100) {
        from -= 2;
        memcpy(text + from, digit_pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        from -= 2;
        memcpy(text + from, digit_pairs + v * 2, 2);
    } else {
        text[--from] = (char)('0' + v);
    }
    memcpy(at, text + from, sizeof text - from);
    return sizeof text - from;
}

size_t sl_i64_format(int64_t v, char *at)
{
    if (v >= 0) {
        return sl_u64_format((uint64_t)v, at);
    }
    at[0] = '-';
    return 1 + sl_u64_format(-(uint64_t)v, at + 1);
}

bool sl_u64_parse(struct sl_str text, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.ptr[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)digit, &v)) {
            return false;
        }
    }
    if (text.len == 0) {
        return false;
    }
    *ret = v;
    return true;
}

bool sl_i64_parse(struct sl_str text, int64_t *ret)
{
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    struct sl_str magnitude = {text.ptr + is_negative, text.len - is_negative};
    uint64_t v;
    if (!sl_u64_parse(magnitude, &v) || v > (uint64_t)INT64_MAX + is_negative) {
        return false;
    }
    *ret = is_negative ? (int64_t)-v : (int64_t)v;
    return true;
}
