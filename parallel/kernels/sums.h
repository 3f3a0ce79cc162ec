// Sums whose order is fixed, so that their bits are.
#pragma once

#include <cstdint>

namespace cloze {

// Sum of squares in double: over chunks of 2^16 elements from x on, then over the chunks in
// order. T: double, float, BFloat16, Float16.
template <class T>
double sum_of_squares(const T* x, std::int64_t n);

// out[j] = parts[0][j] + parts[1][j] + ..., in that order, in Accumulator<T>, rounded once.
// num_parts >= 1, each part [n]; out may be one of the parts. T: double, float, BFloat16, Float16.
template <class T>
void ordered_sum(const T* const* parts, int num_parts, T* out, std::int64_t n);

// out[j] = the largest of parts[.][j]; a NaN in any part gives NaN.
template <class T>
void ordered_max(const T* const* parts, int num_parts, T* out, std::int64_t n);

// The same of whole numbers: std::int64_t, std::int32_t, std::uint8_t. Sums wrap.
template <class T>
void count_sum(const T* const* parts, int num_parts, T* out, std::int64_t n);
template <class T>
void count_max(const T* const* parts, int num_parts, T* out, std::int64_t n);

}  // namespace cloze
