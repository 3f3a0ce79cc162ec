// Conversion between the float storage types.
#pragma once

#include <cstdint>

namespace cloze {

// to[i] = from[i] rounded once, to nearest even; overflow becomes infinity and a NaN stays one.
// From, To: each of double, float, BFloat16, Float16. The ranges must not overlap.
template <class From, class To>
void convert(const From* from, To* to, std::int64_t n);

}  // namespace cloze
