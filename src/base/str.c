/* Text helpers: see str.h. Pure; no locale, no shared state. @threads any. */
#include "base/str.h"

#include "base/crypto.h"

/* Two hexadecimal digits at a time: entry n is "00".."ff". */
#define SIXTEEN(high)                                                                              \
    high "0" high "1" high "2" high "3" high "4" high "5" high "6" high "7" high "8" high "9" high \
         "a" high "b" high "c" high "d" high "e" high "f"
static const char hex_pairs[] = SIXTEEN("0") SIXTEEN("1") SIXTEEN("2") SIXTEEN("3") SIXTEEN("4")
    SIXTEEN("5") SIXTEEN("6") SIXTEEN("7") SIXTEEN("8") SIXTEEN("9") SIXTEEN("a") SIXTEEN("b")
        SIXTEEN("c") SIXTEEN("d") SIXTEEN("e") SIXTEEN("f");

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* 0..15, or -1 when c is no hexadecimal digit. */
static int hex_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* 0..255, or -1 when at[0..1] are not two hexadecimal digits. */
static int hex_pair_value(const char *at)
{
    int high = hex_value(at[0]);
    int low = hex_value(at[1]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Where byte i of a UUID stands in its text: dashes come before bytes 4, 6, 8 and 10. */
static const uint8_t uuid_at[SL_UUID_SIZE] = {0,  2,  4,  6,  9,  11, 14, 16,
                                              19, 21, 24, 26, 28, 30, 32, 34};

void sl_uuid_format(const uint8_t uuid[SL_UUID_SIZE], char *ret_text)
{
    for (size_t i = 0; i < SL_UUID_SIZE; i++) {
        memcpy(ret_text + uuid_at[i], hex_pairs + (size_t)uuid[i] * 2, 2);
    }
    ret_text[8] = ret_text[13] = ret_text[18] = ret_text[23] = '-';
}

bool sl_uuid_parse(struct sl_str text, uint8_t ret_uuid[SL_UUID_SIZE])
{
    uint8_t uuid[SL_UUID_SIZE];
    if (text.len != SL_UUID_TEXT_SIZE || text.ptr[8] != '-' || text.ptr[13] != '-' ||
        text.ptr[18] != '-' || text.ptr[23] != '-') {
        return false;
    }
    for (size_t i = 0; i < SL_UUID_SIZE; i++) {
        int v = hex_pair_value(text.ptr + uuid_at[i]);
        if (v < 0) {
            return false;
        }
        uuid[i] = (uint8_t)v;
    }
    memcpy(ret_uuid, uuid, sizeof uuid);
    return true;
}

sl_rc sl_uuid_random(uint8_t ret_uuid[SL_UUID_SIZE], struct sl_err *err)
{
    uint8_t uuid[SL_UUID_SIZE];
    SL_TRY(sl_random_bytes(uuid, sizeof uuid, err));
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* version 4 */
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80); /* variant of RFC 4122 */
    memcpy(ret_uuid, uuid, sizeof uuid);
    return SL_OK;
}

void sl_hex_add(struct sl_buf *out, struct sl_bytes b)
{
    size_t size;
    if (b.len == 0) {
        return;
    }
    uint8_t *at = sl_mul_size(b.len, 2, &size) ? sl_buf_reserve(out, size) : NULL;
    if (at == NULL) {
        out->is_failed = true;
        return;
    }
    for (size_t i = 0; i < b.len; i++) {
        memcpy(at + i * 2, hex_pairs + (size_t)b.ptr[i] * 2, 2);
    }
    out->len += size;
}

bool sl_hex_parse(struct sl_str text, struct sl_buf *out)
{
    if (text.len % 2 != 0) {
        return false;
    }
    size_t before = out->len;
    for (size_t i = 0; i < text.len; i += 2) {
        int v = hex_pair_value(text.ptr + i);
        if (v < 0) {
            out->len = before;
            return false;
        }
        sl_buf_add_u8(out, (uint8_t)v);
    }
    return true;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void sl_base64_add(struct sl_buf *out, struct sl_bytes b)
{
    size_t size;
    uint8_t *at = sl_mul_size(b.len / 3 + 1, 4, &size) ? sl_buf_reserve(out, size) : NULL;
    if (at == NULL) {
        out->is_failed = true;
        return;
    }
    uint8_t *to = at;
    for (size_t i = 0; i < b.len; i += 3) {
        size_t left = b.len - i;
        uint32_t v = (uint32_t)b.ptr[i] << 16;
        v |= left > 1 ? (uint32_t)b.ptr[i + 1] << 8 : 0;
        v |= left > 2 ? b.ptr[i + 2] : 0;
        *to++ = (uint8_t)base64_digits[v >> 18];
        *to++ = (uint8_t)base64_digits[v >> 12 & 63];
        *to++ = left > 1 ? (uint8_t)base64_digits[v >> 6 & 63] : '=';
        *to++ = left > 2 ? (uint8_t)base64_digits[v & 63] : '=';
    }
    out->len += (size_t)(to - at);
}

/* 0..63, or -1. */
static int base64_value(char c)
{
    if (is_letter(c)) {
        return c <= 'Z' ? c - 'A' : c - 'a' + 26;
    }
    if (is_digit(c)) {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool sl_base64_parse(struct sl_str text, struct sl_buf *out)
{
    if (text.len % 4 != 0) {
        return false;
    }
    size_t before = out->len;
    for (size_t i = 0; i < text.len; i += 4) {
        const char *p = text.ptr + i;
        size_t pad = i + 4 < text.len ? 0 : (size_t)(p[3] == '=') + (p[3] == '=' && p[2] == '=');
        uint32_t v = 0;
        for (size_t j = 0; j < 4; j++) {
            int digit = j < 4 - pad ? base64_value(p[j]) : 0;
            if (digit < 0) {
                out->len = before;
                return false;
            }
            v = v << 6 | (uint32_t)digit;
        }
        const uint8_t bytes[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
        sl_buf_add(out, SL_BYTES(bytes, 3 - pad));
    }
    return true;
}

bool sl_percent_decode(struct sl_str text, struct sl_buf *out)
{
    size_t before = out->len;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int v = text.len - i > 2 ? hex_pair_value(text.ptr + i + 1) : -1;
            if (v < 0) {
                out->len = before;
                return false;
            }
            c = (char)v;
            i += 2;
        }
        sl_buf_add_u8(out, (uint8_t)c);
    }
    return true;
}

void sl_percent_encode(struct sl_str text, struct sl_buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
            sl_buf_add_u8(out, (uint8_t)c);
        } else {
            sl_buf_addf(out, "%%%02X", (unsigned)(uint8_t)c);
        }
    }
}

/* Length of the well-formed character at p (left bytes are there), or 0. Unicode 15, table 3-7. */
static size_t utf8_char_len(const uint8_t *p, size_t left)
{
    uint8_t lead = p[0];
    if (lead < 0x80) {
        return 1;
    }
    size_t len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || left < len) {
        return 0;
    }
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;  /* below: overlong */
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf; /* above: surrogate, too big */
    if (p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

size_t sl_utf8_valid_len(struct sl_str s)
{
    const uint8_t *p = (const uint8_t *)s.ptr;
    size_t at = 0;
    while (at < s.len) {
        uint64_t eight;
        if (s.len - at >= sizeof eight) {
            memcpy(&eight, p + at, sizeof eight);
            if ((eight & 0x8080808080808080u) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        size_t len = utf8_char_len(p + at, s.len - at);
        if (len == 0) {
            return at;
        }
        at += len;
    }
    return s.len;
}

#define NS_PER_S  INT64_C(1000000000)
#define S_PER_DAY INT64_C(86400)

/* Days since 1970-01-01 of a date of the Gregorian calendar. Years are counted from March, so the
 * leap day is the last of its year, and 153 days are five months from March on. */
static int64_t days_from_date(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

struct civil {
    int64_t year;
    int month, day, hour, minute, second;
    int nanosecond;
    int zone_minutes; /* east of Greenwich */
};

static struct civil civil_from_ns(int64_t wall_ns)
{
    int64_t seconds = wall_ns / NS_PER_S;
    int64_t ns = wall_ns % NS_PER_S;
    if (ns < 0) {
        ns += NS_PER_S;
        seconds--;
    }
    int64_t days = seconds / S_PER_DAY;
    int64_t rest = seconds % S_PER_DAY;
    if (rest < 0) {
        rest += S_PER_DAY;
        days--;
    }
    /* int64 nanoseconds end in 1677 and 2262, so the shifted day count is positive. */
    int64_t shifted = days + 719468;
    int64_t era = shifted / 146097;
    int64_t day_of_era = shifted % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month_from_march = (int)((5 * day_of_year + 2) / 153);
    int month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil){
        .year = era * 400 + year_of_era + (month <= 2),
        .month = month,
        .day = (int)(day_of_year - (153 * month_from_march + 2) / 5) + 1,
        .hour = (int)(rest / 3600),
        .minute = (int)(rest / 60 % 60),
        .second = (int)(rest % 60),
        .nanosecond = (int)ns,
    };
}

static void add_date_time(struct sl_buf *out, const struct civil *c)
{
    sl_buf_addf(out, "%04d-%02d-%02dT%02d:%02d:%02d", (int)c->year, c->month, c->day, c->hour,
                c->minute, c->second);
}

/* ".123": the nanoseconds without trailing zeros, nothing when there are none. */
static void add_fraction(struct sl_buf *out, int nanosecond)
{
    if (nanosecond == 0) {
        return;
    }
    int width = 9;
    while (nanosecond % 10 == 0) {
        nanosecond /= 10;
        width--;
    }
    sl_buf_addf(out, ".%0*d", width, nanosecond);
}

void sl_time_add_ms(struct sl_buf *out, int64_t wall_ns)
{
    struct civil c = civil_from_ns(wall_ns);
    add_date_time(out, &c);
    sl_buf_addf(out, ".%03dZ", c.nanosecond / 1000000);
}

void sl_time_add_ns(struct sl_buf *out, int64_t wall_ns)
{
    struct civil c = civil_from_ns(wall_ns);
    add_date_time(out, &c);
    add_fraction(out, c.nanosecond);
    sl_buf_add_u8(out, 'Z');
}

/* `count` digits at *at as a number; false when fewer are there. */
static bool take_number(struct sl_str s, size_t *at, size_t count, int *ret)
{
    int v = 0;
    if (s.len - *at < count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        char c = s.ptr[*at + i];
        if (!is_digit(c)) {
            return false;
        }
        v = v * 10 + (c - '0');
    }
    *at += count;
    *ret = v;
    return true;
}

static bool take_char(struct sl_str s, size_t *at, char c)
{
    if (*at >= s.len || s.ptr[*at] != c) {
        return false;
    }
    (*at)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap);
}

static bool take_date(struct sl_str s, size_t *at, struct civil *c)
{
    int year;
    if (!take_number(s, at, 4, &year) || !take_char(s, at, '-') ||
        !take_number(s, at, 2, &c->month) || !take_char(s, at, '-') ||
        !take_number(s, at, 2, &c->day)) {
        return false;
    }
    c->year = year;
    return c->month >= 1 && c->month <= 12 && c->day >= 1 &&
           c->day <= days_in_month(year, c->month);
}

/* Go's parser takes an hour of one digit, a comma for the point, and any number of decimals, of
 * which nine count. */
static bool take_time(struct sl_str s, size_t *at, struct civil *c)
{
    size_t hour_digits = s.len - *at >= 2 && is_digit(s.ptr[*at + 1]) ? 2 : 1;
    if (!take_number(s, at, hour_digits, &c->hour) || !take_char(s, at, ':') ||
        !take_number(s, at, 2, &c->minute) || !take_char(s, at, ':') ||
        !take_number(s, at, 2, &c->second)) {
        return false;
    }
    c->nanosecond = 0;
    if (s.len - *at >= 2 && (s.ptr[*at] == '.' || s.ptr[*at] == ',') && is_digit(s.ptr[*at + 1])) {
        int scale = 100000000;
        for ((*at)++; *at < s.len && is_digit(s.ptr[*at]); (*at)++) {
            c->nanosecond += (s.ptr[*at] - '0') * scale;
            scale /= 10;
        }
    }
    return c->hour <= 23 && c->minute <= 59 && c->second <= 59;
}

static bool take_zone(struct sl_str s, size_t *at, struct civil *c)
{
    c->zone_minutes = 0;
    if (take_char(s, at, 'Z')) {
        return true;
    }
    bool is_west = take_char(s, at, '-');
    int hours, minutes;
    if ((!is_west && !take_char(s, at, '+')) || !take_number(s, at, 2, &hours) ||
        !take_char(s, at, ':') || !take_number(s, at, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    c->zone_minutes = (is_west ? -1 : 1) * (hours * 60 + minutes);
    return true;
}

static bool time_split(struct sl_str text, struct civil *c)
{
    size_t at = 0;
    return take_date(text, &at, c) && take_char(text, &at, 'T') && take_time(text, &at, c) &&
           take_zone(text, &at, c) && at == text.len;
}

static int64_t seconds_of(const struct civil *c)
{
    return days_from_date(c->year, c->month, c->day) * S_PER_DAY + c->hour * 3600 +
           (c->minute - c->zone_minutes) * 60 + c->second;
}

bool sl_time_parse(struct sl_str text, int64_t *ret_ns)
{
    struct civil c;
    if (!time_split(text, &c)) {
        return false;
    }
    if (ret_ns == NULL) {
        return true;
    }
    if (c.year < 1678 || c.year > 2261) {
        *ret_ns = c.year < 1678 ? INT64_MIN : INT64_MAX;
        return true;
    }
    *ret_ns = seconds_of(&c) * NS_PER_S + c.nanosecond;
    return true;
}

bool sl_time_split(struct sl_str text, int64_t *ret_seconds, int32_t *ret_nanoseconds)
{
    struct civil c;
    if (!time_split(text, &c)) {
        return false;
    }
    *ret_seconds = seconds_of(&c);
    *ret_nanoseconds = (int32_t)c.nanosecond;
    return true;
}

bool sl_time_normalize(struct sl_str text, struct sl_buf *out)
{
    struct civil c;
    if (!time_split(text, &c)) {
        return false;
    }
    add_date_time(out, &c);
    add_fraction(out, c.nanosecond);
    if (c.zone_minutes == 0) {
        sl_buf_add_u8(out, 'Z');
    } else {
        int minutes = c.zone_minutes < 0 ? -c.zone_minutes : c.zone_minutes;
        sl_buf_addf(out, "%c%02d:%02d", c.zone_minutes < 0 ? '-' : '+', minutes / 60, minutes % 60);
    }
    return true;
}

bool sl_str_starts(struct sl_str s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && sl_str_is((struct sl_str){s.ptr, len}, prefix);
}

bool sl_str_ends(struct sl_str s, const char *suffix)
{
    size_t len = strlen(suffix);
    return s.len >= len && (len == 0 || memcmp(s.ptr + (s.len - len), suffix, len) == 0);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct sl_str sl_str_trim(struct sl_str s)
{
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) {
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    return s;
}

/* ASCII case folding; word is lower case. */
static bool is_word(struct sl_str s, const char *word)
{
    if (s.len != strlen(word)) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        c = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        if (c != word[i]) {
            return false;
        }
    }
    return true;
}

bool sl_bool_parse(struct sl_str s, bool *ret)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"on", true},   {"enabled", true}, {"1", true},
                 {"true", true}, {"off", false},    {"disabled", false},
                 {"0", false},   {"false", false},  {"", false}};
    for (size_t i = 0; i < SL_COUNT_OF(words); i++) {
        if (is_word(s, words[i].word)) {
            *ret = words[i].value;
            return true;
        }
    }
    return false;
}
