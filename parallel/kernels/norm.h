// RMSNorm and LayerNorm over rows, forward and backward, alone or fused with the residual sum
// before (forward) or after (backward) them. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/kernels/accumulator.h"

namespace cloze {

// y = weight * round_T(x * rstd), rstd = 1 / sqrt(mean(x^2) + eps): the cast of the published
// GLM-4 code. With `delta` the norm is taken of sum_out = round_T(x + delta), bit for bit as if
// the sum had been made before.
// x, y, delta, sum_out [n, hidden]; weight [hidden]; rstd [n]. delta and sum_out go together;
// sum_out may be x.
template <class T>
void rms_norm_forward(const T* x, const T* weight, T* y, Accumulator<T>* rstd, std::int64_t n,
                      std::int64_t hidden, double eps, const T* delta = nullptr,
                      T* sum_out = nullptr);

// dx of the norm of `x` (of sum_out in the fused form), written; dweight [hidden], added to.
// With `dresidual` [n, hidden]: dx = round_T(round_T(dx of the norm) + dresidual); dx may be
// dresidual or dy.
template <class T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, const Accumulator<T>* rstd, T* dx,
                       Accumulator<T>* dweight, std::int64_t n, std::int64_t hidden,
                       const T* dresidual = nullptr);

// y = (x - mean) * rstd * weight + bias, rstd = 1 / sqrt(variance + eps), rounded once.
// bias [hidden]; mean, rstd [n]; the rest as above.
template <class T>
void layer_norm_forward(const T* x, const T* weight, const T* bias, T* y, Accumulator<T>* mean,
                        Accumulator<T>* rstd, std::int64_t n, std::int64_t hidden, double eps,
                        const T* delta = nullptr, T* sum_out = nullptr);

// dweight, dbias [hidden], added to; the rest as in rms_norm_backward.
template <class T>
void layer_norm_backward(const T* dy, const T* x, const T* weight, const Accumulator<T>* mean,
                         const Accumulator<T>* rstd, T* dx, Accumulator<T>* dweight,
                         Accumulator<T>* dbias, std::int64_t n, std::int64_t hidden,
                         const T* dresidual = nullptr);

}  // namespace cloze
