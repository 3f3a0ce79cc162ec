// A bias added to rows, and its gradient, on the GPU; parallel/kernels/bias.h says what they
// compute. Pointers are of device memory. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/kernels/accumulator.h"
#include "parallel/kernels/cuda/stream.h"

namespace cloze::cuda {

template <class T>
void add_bias(T* x, const T* bias, std::int64_t n, std::int64_t f, Stream stream);

// Bytes that the gradient needs beside its arguments.
template <class T>
std::int64_t bias_gradient_workspace(std::int64_t n, std::int64_t f);

template <class T>
void bias_gradient(const T* dy, Accumulator<T>* dbias, std::int64_t n, std::int64_t f,
                   void* workspace, Stream stream);

}  // namespace cloze::cuda
