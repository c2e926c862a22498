/* Numbers to text and back exactly as Go prints them. Hot path of named and multi vectors.
 *
 * float32 text is Go's strconv.AppendFloat(x, 'g', -1, 32): shortest digits that round-trip,
 * nearest among equally short ones; exponent form below 1e-4 and from 1e6 on, at least two exponent
 * digits. float64 text is Go's encoding/json: 'f' form unless < 1e-6 or >= 1e21, then like "1e-7",
 * "1e+21". */
#ifndef SL_BASE_NUM_H
#define SL_BASE_NUM_H

#include "base/buf.h"

#define SL_F32_TEXT_MAX 16 /* "-1.00000012e-38" is 15 bytes; writers may touch up to 16 */
#define SL_F64_TEXT_MAX 32

/* Writes the text at `at` (room for SL_F32_TEXT_MAX bytes) and returns its length, 1..15.
 * NaN and infinities are "NaN", "+Inf", "-Inf": callers that write JSON must test first. */
size_t sl_f32_format(float v, char *at);
/* Writes `[a,b,c]` for count float32 (little-endian, any alignment), NaN and infinities as `null`.
 * at     room for SL_F32_ARRAY_MAX(count) bytes.
 * ret_nonfinite  how many values became null is added to it.
 * Returns bytes written. */
#define SL_F32_ARRAY_MAX(count) (2 + (size_t)(count)*SL_F32_TEXT_MAX)
size_t sl_f32_array_format(const uint8_t *values, uint32_t count, char *at,
                           uint64_t *ret_nonfinite);

/* Go encoding/json text of a finite float32 (geo coordinates, vectors in replies): the same digits,
 * laid out as sl_f64_format does. Room for SL_F64_TEXT_MAX bytes. */
size_t sl_f32_format_json(float v, char *at);
/* Go encoding/json text of a finite double; returns the length. -0 is "-0". */
size_t sl_f64_format(double v, char *at);
/* Exact, locale-free; the whole text must be a JSON number, else false; so is an overflow. */
bool sl_f64_parse(struct sl_str text, double *ret);

size_t sl_u64_format(uint64_t v, char *at); /* at: 20 bytes */
size_t sl_i64_format(int64_t v, char *at);  /* at: 20 bytes */
/* Decimal digits only, whole text, no overflow. */
bool sl_u64_parse(struct sl_str text, uint64_t *ret);
bool sl_i64_parse(struct sl_str text, int64_t *ret);

#endif
