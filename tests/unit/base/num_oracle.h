/* Shortest digits of floating-point numbers by an independent program: the C++ library.
 *
 * std::to_chars promises the shortest text that reads back to the same value, and among equally
 * short ones the nearest (C++17, [charconv.to.chars]), which is what Go promises too. Only the
 * layout differs, so the tests compare digits and exponent. */
#ifndef SL_TEST_NUM_ORACLE_H
#define SL_TEST_NUM_ORACLE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "d.ddde+XX" of a finite value, at least two digits of exponent; returns the length. at: 40 bytes.
 */
size_t oracle_f32_scientific(float v, char *at);
size_t oracle_f64_scientific(double v, char *at);

#ifdef __cplusplus
}
#endif

#endif
