// SwiGLU and GELU (tanh approximation), forward and backward. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/kernels/accumulator.h"

namespace cloze {

// out = round_T(silu(gate)) * up.
// gate_up [n, 2 f]: each row gate [f], then up [f]; out [n, f].
template <class T>
void swiglu_forward(const T* gate_up, T* out, std::int64_t n, std::int64_t f);

// dout [n, f]; dgate_up [n, 2 f], written; it may be gate_up.
template <class T>
void swiglu_backward(const T* dout, const T* gate_up, T* dgate_up, std::int64_t n, std::int64_t f);

// out = gelu(h), h = round_T(x + bias), bit for bit as add_bias before it.
// x, out [n, f], out may be x; bias [f] or null.
template <class T>
void gelu_forward(const T* x, const T* bias, T* out, std::int64_t n, std::int64_t f);

// dx [n, f], written, may be dout; the bias's gradient is bias_gradient(dx).
template <class T>
void gelu_backward(const T* dout, const T* x, const T* bias, T* dx, std::int64_t n, std::int64_t f);

}  // namespace cloze
