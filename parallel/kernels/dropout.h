// Dropout by key, fused with the bias before it and the residual sum after it. The bits depend on
// the token's row and place, never on the layout, so the backward pass and a recomputation draw
// the same ones. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/base/random.h"
#include "parallel/kernels/accumulator.h"

namespace cloze {

// Element of the stream (seed, domain, layer, ordinal of the token's row):
// index_in_row * hidden_total + channel; kept when bits * 2^-32 >= p.
struct DropoutKey {
  double p = 0.0;  // Share dropped, 0 <= p < 1; kept ones are scaled by 1 / (1 - p).
  std::uint64_t seed = 0;
  RandomDomain domain = RandomDomain::kOutputDropout;
  std::uint32_t layer = 0;
  const std::int64_t* ordinals = nullptr;      // [n], of the token's row.
  const std::int32_t* index_in_row = nullptr;  // [n]
  std::int64_t hidden_total = 0;               // Channels of a token in the whole model.
};

// y = residual + dropout(x + bias), rounded after each of the three as the unfused kernels would.
// x, y, residual [n, hidden], bias [hidden]; residual, bias and key may be null; y may be x or
// residual.
template <class T>
void dropout_add(const T* residual, const T* x, const T* bias, const DropoutKey* key, T* y,
                 std::int64_t n, std::int64_t hidden);

// dx = dy where kept, scaled, else 0. dx may be dy; a null key copies.
template <class T>
void dropout_backward(const T* dy, const DropoutKey* key, T* dx, std::int64_t n,
                      std::int64_t hidden);

}  // namespace cloze
