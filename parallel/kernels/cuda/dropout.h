// Dropout by key on the GPU, with the bits of the CPU; parallel/kernels/dropout.h says what it
// computes. Pointers, those inside a key too, are of device memory; a key itself is read on the
// host. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/kernels/cuda/stream.h"
#include "parallel/kernels/dropout.h"

namespace cloze::cuda {

template <class T>
void dropout_add(const T* residual, const T* x, const T* bias, const DropoutKey* key, T* y,
                 std::int64_t n, std::int64_t hidden, Stream stream);

template <class T>
void dropout_backward(const T* dy, const DropoutKey* key, T* dx, std::int64_t n,
                      std::int64_t hidden, Stream stream);

}  // namespace cloze::cuda
