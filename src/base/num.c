/* Numbers to text and back, with the digits Go prints.
 *
 * The float32 generator follows the idea of Raffaello Giulietti's "The Schubfach way to render
 * doubles": a value c * 2^q has a rounding interval; scaled by one power of ten chosen so that the
 * interval is between one and ten units long, either exactly one multiple of ten lies inside, and
 * then it is the shortest text, or the nearest whole unit is. One 64-bit power of ten per
 * exponent is precise enough; tests/unit/base/base_num_all.cc proves that for all 2^32 values.
 * Normal values go through code without data-dependent branches, because digits of embeddings are
 * noise to a branch predictor. float64 is not hot and asks libc for 15, 16, 17 digits in turn.
 * Pure, @threads any; nothing depends on the locale: texts handed to libc hold no decimal point. */
#include "base/num.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Two digits at a time: entry n is "00".."99". */
#define TEN(tens) \
    tens "0" tens "1" tens "2" tens "3" tens "4" tens "5" tens "6" tens "7" tens "8" tens "9"
static const char digit_pairs[] =
    TEN("0") TEN("1") TEN("2") TEN("3") TEN("4") TEN("5") TEN("6") TEN("7") TEN("8") TEN("9");

#define POW10_MIN (-31)
static const uint64_t pow10_table[] = {
#define SL_POW10(e, g) g,
#include "base/num_pow10.tbl.h"
#undef SL_POW10
};
_Static_assert(SL_COUNT_OF(pow10_table) == 45 - POW10_MIN + 1, "one entry per power");

#define F32_MANTISSA_BITS 23
#define F32_HIDDEN        (1u << F32_MANTISSA_BITS)
#define F32_Q_MIN         (-149) /* exponent of the last bit of subnormal values */
#define F32_INFINITY_BITS 0x7f800000u

/* Nine decimal digits d[.dddddddd] * 10^exp10, the first one not zero. */
struct digits9 {
    uint64_t tail; /* digits 2..9 as values 0..9, the earlier in the lower byte */
    uint32_t head; /* digit 1 */
    int32_t exp10; /* decimal exponent of digit 1 */
};

/* floor(q * log10(2)), floor(q * log10(2) + log10(3/4)), floor(e * log2(10)): right for all
 * exponents of float32 (checked over the whole range when the factors were chosen). */
static inline int32_t floor_log10_pow2(int32_t q)
{
    return (q * 1262611) >> 22;
}
static inline int32_t floor_log10_three_quarters_pow2(int32_t q)
{
    return (q * 1262611 - 524031) >> 22;
}
static inline int32_t floor_log2_pow10(int32_t e)
{
    return (e * 1741647) >> 19;
}

/* The whole part of a 64.64 product; its last bit also tells whether anything non-zero was cut.
 * The table rounds up, so an exact product may carry up to 2^32 of noise below the point. */
static inline uint32_t round_to_odd(unsigned __int128 product)
{
    uint64_t fraction = (uint64_t)product;
    return (uint32_t)(product >> 64) | ((fraction >> 32) != 0);
}

/* v and the ends of its rounding interval, in quarters of 10^k. */
struct scaled {
    uint32_t low, mid, high; /* rounded to odd */
};

/* below: distance from c to the lower end, in quarters of 2^q: 2, or 1 under a power of two. */
static inline struct scaled scale(uint32_t c, int32_t q, int32_t k, uint32_t below)
{
    uint64_t g = pow10_table[-k - POW10_MIN];
    int32_t h = q + floor_log2_pow10(-k) + 1;
    unsigned __int128 mid = (unsigned __int128)g * (c << (2 + h));
    unsigned __int128 unit = (unsigned __int128)g << h;
    return (struct scaled){round_to_odd(mid - unit * below), round_to_odd(mid),
                           round_to_odd(mid + unit * 2)};
}

/* Shortest digits of c * 2^q in units of 10^k, for a symmetric interval and at least 10 units.
 * When a multiple of ten is inside, it is returned; it ends in zero. */
static inline uint32_t shortest_regular(uint32_t c, int32_t q, int32_t k)
{
    struct scaled v = scale(c, q, k, 2);
    uint32_t odd = c & 1; /* the ends belong to the interval of an even c only */
    uint32_t whole = v.mid >> 2;
    uint32_t ten = whole / 10 * 10;
    uint32_t low_inside = v.low + odd <= ten * 4;
    uint32_t high_inside = ten * 4 + 40 + odd <= v.high;
    uint32_t nearest = whole + ((v.mid & 3) + (whole & 1) > 2);
    uint32_t round_ten = ten + high_inside * 10;
    uint32_t mask = 0u - (low_inside ^ high_inside);
    return (round_ten & mask) | (nearest & ~mask);
}

/* The same for powers of two, whose interval is shorter below, and for subnormal values, which may
 * have less than 10 units. Rare. */
static uint32_t shortest_careful(uint32_t c, int32_t q, int32_t k, uint32_t below)
{
    struct scaled v = scale(c, q, k, below);
    uint32_t odd = c & 1;
    uint32_t whole = v.mid >> 2;
    uint32_t ten = whole / 10 * 10;
    bool low_inside = v.low + odd <= ten * 4;
    bool high_inside = ten * 4 + 40 + odd <= v.high;
    if (whole >= 10 && low_inside != high_inside) {
        return ten + (high_inside ? 10 : 0);
    }
    low_inside = v.low + odd <= whole * 4;
    high_inside = whole * 4 + 4 + odd <= v.high;
    if (low_inside != high_inside) {
        return whole + (high_inside ? 1 : 0);
    }
    return whole + ((v.mid & 3) + (whole & 1) > 2);
}

/* Eight digits of n < 10^8 as byte values, the first in the lowest byte: halves, quarters, digits,
 * each step on all lanes of one register. */
static inline uint64_t eight_digits(uint32_t n)
{
    uint64_t by4 = (uint64_t)(n / 10000) | (uint64_t)(n % 10000) << 32;
    uint64_t hundreds = ((by4 * 10486) >> 20) & 0x0000007f0000007f;
    uint64_t by2 = hundreds | (by4 - hundreds * 100) << 16;
    uint64_t tens = ((by2 * 103) >> 10) & 0x000f000f000f000f;
    return tens | (by2 - tens * 10) << 8;
}

/* units * 10^k with 10^6 <= units < 10^9 as nine digits. */
static inline struct digits9 align9(uint32_t units, int32_t k)
{
    static const uint32_t factor[3] = {1, 10, 100};
    uint32_t missing = (units < 100000000u) + (units < 10000000u);
    units *= factor[missing];
    uint32_t head = units / 100000000u;
    return (struct digits9){eight_digits(units - head * 100000000u), head,
                            k + 8 - (int32_t)missing};
}

static __attribute__((noinline)) struct digits9 digits_careful(uint32_t magnitude)
{
    uint32_t biased = magnitude >> F32_MANTISSA_BITS;
    uint32_t c = magnitude & (F32_HIDDEN - 1);
    bool is_subnormal = biased == 0;
    bool is_power = !is_subnormal && biased > 1 && c == 0;
    c |= is_subnormal ? 0 : F32_HIDDEN;
    int32_t q = F32_Q_MIN + (is_subnormal ? 0 : (int32_t)biased - 1);
    int32_t k = is_power ? floor_log10_three_quarters_pow2(q) : floor_log10_pow2(q);
    uint32_t units = shortest_careful(c, q, k, is_power ? 1 : 2);
    while (units < 10000000u) {
        units *= 10;
        k--;
    }
    return align9(units, k);
}

/* magnitude: bits of a positive, finite, non-zero float32. */
static inline struct digits9 digits_of(uint32_t magnitude)
{
    uint32_t mantissa = magnitude & (F32_HIDDEN - 1);
    if (SL_UNLIKELY(mantissa == 0 || magnitude < F32_HIDDEN)) {
        return digits_careful(magnitude);
    }
    int32_t q = F32_Q_MIN - 1 + (int32_t)(magnitude >> F32_MANTISSA_BITS);
    int32_t k = floor_log10_pow2(q);
    return align9(shortest_regular(mantissa | F32_HIDDEN, q, k), k);
}

/* How many of the nine digits are left when trailing zeros go. */
static inline uint32_t digits_count(uint64_t tail)
{
    return tail == 0 ? 1 : 9 - (uint32_t)__builtin_clzll(tail) / 8;
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

#define ASCII_ZEROS 0x3030303030303030u

static inline void put8(char *at, uint64_t bytes)
{
    memcpy(at, &bytes, 8);
}

static inline size_t put_positional(struct digits9 d, char *at)
{
    const struct layout *lay = &layouts[d.exp10 - GO_FIXED_MIN];
    uint64_t text = d.tail | ASCII_ZEROS;
    uint32_t count = digits_count(d.tail);
    uint32_t whole = (uint32_t)(d.exp10 + 1); /* digits before the point; wraps below 1 */
    memcpy(at, "0.000000", 8);
    at[lay->head] = (char)('0' + d.head);
    put8(at + lay->head + 1, text);
    put8(at + lay->rest, text >> lay->cut_bits);
    at[lay->point] = '.';
    bool is_whole = d.exp10 >= 0 && count <= whole;
    return is_whole ? whole : (size_t)count + lay->head + (lay->head == 0);
}

static inline size_t put_exponent(struct digits9 d, char *at)
{
    uint32_t count = digits_count(d.tail);
    uint32_t magnitude = (uint32_t)(d.exp10 < 0 ? -d.exp10 : d.exp10);
    at[0] = (char)('0' + d.head);
    at[1] = '.';
    put8(at + 2, d.tail | ASCII_ZEROS);
    size_t len = count == 1 ? 1 : (size_t)count + 1;
    at[len] = 'e';
    at[len + 1] = d.exp10 < 0 ? '-' : '+';
    memcpy(at + len + 2, digit_pairs + (size_t)magnitude * 2, 2);
    return len + 4;
}

/* bits: a finite float32. */
static inline size_t put_f32(uint32_t bits, char *at)
{
    uint32_t magnitude = bits & 0x7fffffffu;
    size_t sign = bits >> 31;
    at[0] = '-';
    if (SL_UNLIKELY(magnitude == 0)) {
        at[sign] = '0';
        return sign + 1;
    }
    struct digits9 d = digits_of(magnitude);
    if (SL_LIKELY(d.exp10 >= GO_FIXED_MIN && d.exp10 <= GO_FIXED_MAX)) {
        return sign + put_positional(d, at + sign);
    }
    return sign + put_exponent(d, at + sign);
}

size_t sl_f32_format(float v, char *at)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint32_t magnitude = bits & 0x7fffffffu;
    if (SL_UNLIKELY(magnitude >= F32_INFINITY_BITS)) {
        if (magnitude > F32_INFINITY_BITS) {
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
        if (SL_UNLIKELY((bits & 0x7fffffffu) >= F32_INFINITY_BITS)) {
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
    if ((bits & 0x7fffffffu) == 0) {
        return put_f32(bits, at);
    }
    struct digits9 d = digits_of(bits & 0x7fffffffu);
    char digits[9];
    digits[0] = (char)('0' + d.head);
    put8(digits + 1, d.tail | ASCII_ZEROS);
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
