// Rotary position embedding in place on the GPU; parallel/kernels/rotary.h says what it computes
// and has the table. Pointers are of device memory. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/kernels/accumulator.h"
#include "parallel/kernels/cuda/stream.h"

namespace cloze::cuda {

template <class T>
void rotary(T* x, std::int64_t row_stride, std::int64_t n, std::int64_t heads,
            std::int64_t head_dim, std::int64_t rotary_dim, const std::int32_t* positions,
            const Accumulator<T>* cos, const Accumulator<T>* sin, bool interleaved, bool inverse,
            Stream stream);

}  // namespace cloze::cuda
