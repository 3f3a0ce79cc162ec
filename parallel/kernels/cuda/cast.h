// Conversion between the float storage types on the GPU; see parallel/kernels/cast.h. Pointers are
// of device memory.
#pragma once

#include <cstdint>

#include "parallel/kernels/accumulator.h"
#include "parallel/kernels/cuda/stream.h"

namespace cloze::cuda {

// From, To: each of double, float, BFloat16, Float16. The ranges must not overlap.
template <class From, class To>
void convert(const From* from, To* to, std::int64_t n, Stream stream);

}  // namespace cloze::cuda
