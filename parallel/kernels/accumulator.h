// In which type a kernel computes on values stored as T.
#pragma once

#include <type_traits>

#include "parallel/base/dtype.h"

namespace cloze {

// T is one of double, float, BFloat16, Float16: kernels are instantiated for these four. The
// 16-bit types are storage only; sums, statistics and master copies are of the accumulator.
template <class T>
using Accumulator = std::conditional_t<std::is_same_v<T, double>, double, float>;

}  // namespace cloze
