/* Text helpers: hex, base64, percent encoding, UTF-8 check, UUID text, RFC 3339 times.
 *
 * Pure functions; no locale, no shared state. Outputs go to a caller's array or to a sl_buf. */
#ifndef SL_BASE_STR_H
#define SL_BASE_STR_H

#include "base/buf.h"

#define SL_UUID_SIZE      16
#define SL_UUID_TEXT_SIZE 36 /* without NUL */

/* "00112233-4455-6677-8899-aabbccddeeff", lower case, 36 bytes, no NUL. Hot path: table driven. */
void sl_uuid_format(const uint8_t uuid[SL_UUID_SIZE], char *ret_text);
/* Accepts upper and lower case, exactly 36 characters with dashes (RFC 4122 text). */
bool sl_uuid_parse(struct sl_str text, uint8_t ret_uuid[SL_UUID_SIZE]);
/* Random version-4 UUID. */
sl_rc sl_uuid_random(uint8_t ret_uuid[SL_UUID_SIZE], struct sl_err *err);

void sl_hex_add(struct sl_buf *out, struct sl_bytes b); /* lower case */
bool sl_hex_parse(struct sl_str text, struct sl_buf *out);
void sl_base64_add(struct sl_buf *out, struct sl_bytes b);      /* standard alphabet, padded */
bool sl_base64_parse(struct sl_str text, struct sl_buf *out);   /* strict: padded, no blanks */
bool sl_percent_decode(struct sl_str text, struct sl_buf *out); /* false: bad escape */
void sl_percent_encode(struct sl_str text, struct sl_buf *out); /* RFC 3986 unreserved stay */

/* Offset of the first byte that is not valid UTF-8 (surrogates, overlong forms and numbers above
 * U+10FFFF are not), or s.len when all is valid. */
size_t sl_utf8_valid_len(struct sl_str s);

/* Unix nanoseconds to text, UTC.
 * _ms: "2026-08-20T17:25:14.123Z", always three digits, cut (strfmt.DateTime of the API).
 * _ns: up to nine digits, trailing zeros and an empty fraction removed (Go's RFC3339Nano). */
void sl_time_add_ms(struct sl_buf *out, int64_t wall_ns);
void sl_time_add_ns(struct sl_buf *out, int64_t wall_ns);
/* RFC 3339 with optional fraction and any zone, as Go's time.Parse(time.RFC3339Nano) accepts
 * (range-checked days, hours 0-23, seconds 0-59, zone -23:59..+23:59). false: not a time.
 * ret_ns may be NULL; years outside 1678..2261 parse but set *ret_ns to INT64_MIN/MAX. */
bool sl_time_parse(struct sl_str text, int64_t *ret_ns);
/* The same for all years: seconds since 1970 and the nanoseconds after them. */
bool sl_time_split(struct sl_str text, int64_t *ret_seconds, int32_t *ret_nanoseconds);
/* The text Go's time.Time prints for it after parsing (RFC3339Nano: fraction trimmed of trailing
 * zeros, "Z" for +00:00, zone kept otherwise). false: not a time. */
bool sl_time_normalize(struct sl_str text, struct sl_buf *out);

bool sl_str_starts(struct sl_str s, const char *prefix);
bool sl_str_ends(struct sl_str s, const char *suffix);
struct sl_str sl_str_trim(struct sl_str s); /* ASCII blanks off both ends */
/* Go's strconv.ParseBool-like switch used by Weaviate: on, enabled, 1, true (any case) are true;
 * off, disabled, 0, false, "" are false; anything else returns false as result. */
bool sl_bool_parse(struct sl_str s, bool *ret);

#endif
