// RMSNorm and LayerNorm on the GPU; parallel/kernels/norm.h says what they compute. Pointers are
// of device memory. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/kernels/accumulator.h"
#include "parallel/kernels/cuda/stream.h"

namespace cloze::cuda {

template <class T>
void rms_norm_forward(const T* x, const T* weight, T* y, Accumulator<T>* rstd, std::int64_t n,
                      std::int64_t hidden, double eps, const T* delta, T* sum_out, Stream stream);

template <class T>
void layer_norm_forward(const T* x, const T* weight, const T* bias, T* y, Accumulator<T>* mean,
                        Accumulator<T>* rstd, std::int64_t n, std::int64_t hidden, double eps,
                        const T* delta, T* sum_out, Stream stream);

// Bytes that a backward pass needs beside its arguments.
template <class T>
std::int64_t norm_backward_workspace(std::int64_t n, std::int64_t hidden);

template <class T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, const Accumulator<T>* rstd, T* dx,
                       Accumulator<T>* dweight, std::int64_t n, std::int64_t hidden,
                       const T* dresidual, void* workspace, Stream stream);

template <class T>
void layer_norm_backward(const T* dy, const T* x, const T* weight, const Accumulator<T>* mean,
                         const Accumulator<T>* rstd, T* dx, Accumulator<T>* dweight,
                         Accumulator<T>* dbias, std::int64_t n, std::int64_t hidden,
                         const T* dresidual, void* workspace, Stream stream);

}  // namespace cloze::cuda
