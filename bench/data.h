/* The rows every benchmark uses: row n is the same in every program and every run.
 *
 * A unit-Gaussian vector of `dims` float32 and about 1 KB of JSON with five properties. */
#ifndef SL_BENCH_DATA_H
#define SL_BENCH_DATA_H

#include "base/buf.h"
#include "base/str.h"

void data_uuid(uint64_t n, uint8_t ret[SL_UUID_SIZE]); /* spread evenly, not in row order */
void data_vector(uint64_t n, uint32_t dims, float *ret);
void data_properties(uint64_t n, struct sl_buf *out); /* appended */

#endif
