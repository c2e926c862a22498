/* The only C++ of the unit tests: see num_oracle.h. */
#include "num_oracle.h"

#include <charconv>

extern "C" size_t oracle_f32_scientific(float v, char *at)
{
    return static_cast<size_t>(std::to_chars(at, at + 40, v, std::chars_format::scientific).ptr -
                               at);
}

extern "C" size_t oracle_f64_scientific(double v, char *at)
{
    return static_cast<size_t>(std::to_chars(at, at + 40, v, std::chars_format::scientific).ptr -
                               at);
}
