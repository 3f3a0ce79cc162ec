// A bias added to rows, and its gradient. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/kernels/accumulator.h"

namespace cloze {

// x = round_T(x + bias). x [n, f]; bias [f].
template <class T>
void add_bias(T* x, const T* bias, std::int64_t n, std::int64_t f);

// dbias += column sums of dy. dy [n, f]; dbias [f].
template <class T>
void bias_gradient(const T* dy, Accumulator<T>* dbias, std::int64_t n, std::int64_t f);

}  // namespace cloze
