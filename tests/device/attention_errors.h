// How far attention that rounds its numbers to a storage type may lie from exact attention.
#pragma once

#include <cstdint>
#include <vector>

#include "parallel/kernels/attention.h"

namespace cloze {

// What rounding does to a number: an error of at most `relative` times it plus `absolute`.
struct RoundingError {
  double relative = 0.0;
  double absolute = 0.0;  // Half the distance of the smallest numbers.
};

// An exact call and its results; q, k and v lie side by side in rows of shape.q_stride elements.
struct ExactAttention {
  const AttentionShape& shape;
  const std::vector<std::int32_t>& lo;
  const std::vector<std::int32_t>& hi;
  double dropped;  // The share.
  const std::vector<double>& qkv;
  const std::vector<double>& dout;
  const std::vector<double>& out;
  const std::vector<double>& lse;
  const std::vector<double>& dqkv;
};

struct AttentionErrors {
  std::vector<double> out;
  std::vector<double> dqkv;
};

// The largest errors of each element when these are rounded: the probabilities and the gradients
// of the scores, as factors of the products; out, of which the gradients make use; the results.
// Not the roundings of float arithmetic, which are far smaller.
AttentionErrors attention_errors(const ExactAttention& exact, const RoundingError& rounding);

}  // namespace cloze
