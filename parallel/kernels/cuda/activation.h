// SwiGLU and GELU on the GPU; parallel/kernels/activation.h says what they compute. Pointers are
// of device memory. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/kernels/accumulator.h"
#include "parallel/kernels/cuda/stream.h"

namespace cloze::cuda {

template <class T>
void swiglu_forward(const T* gate_up, T* out, std::int64_t n, std::int64_t f, Stream stream);

template <class T>
void swiglu_backward(const T* dout, const T* gate_up, T* dgate_up, std::int64_t n, std::int64_t f,
                     Stream stream);

template <class T>
void gelu_forward(const T* x, const T* bias, T* out, std::int64_t n, std::int64_t f, Stream stream);

template <class T>
void gelu_backward(const T* dout, const T* x, const T* bias, T* dx, std::int64_t n, std::int64_t f,
                   Stream stream);

}  // namespace cloze::cuda
