// Rotary position embedding in place, on strided heads. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>
#include <vector>

#include "parallel/kernels/accumulator.h"

namespace cloze {

// cos and sin of position * rope_theta^(-2 i / rotary_dim), computed in double, rounded once.
// Acc: float or double.
template <class Acc>
struct RotaryTable {
  RotaryTable() = default;
  // Positions [0, max_position); rotary_dim is even.
  RotaryTable(double rope_theta, std::int64_t rotary_dim, std::int64_t max_position);

  std::vector<Acc> cos;  // [max_position, rotary_dim / 2]
  std::vector<Acc> sin;  // [max_position, rotary_dim / 2]
};

// Turns the first rotary_dim channels of every head; the others stay. Pair i is (2 i, 2 i + 1)
// when `interleaved`, else (i, i + rotary_dim / 2). `inverse` turns back: the backward pass.
// x: n tokens, token t at x + t * row_stride: [heads, head_dim], heads side by side.
// positions [n], each a row of cos and sin.
template <class T>
void rotary(T* x, std::int64_t row_stride, std::int64_t n, std::int64_t heads,
            std::int64_t head_dim, std::int64_t rotary_dim, const std::int32_t* positions,
            const Accumulator<T>* cos, const Accumulator<T>* sin, bool interleaved, bool inverse);

}  // namespace cloze
