// A linear layer whose input features are cut over the tensor ranks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "parallel/pass/pass.h"
#include "parallel/tensor/token_transfer.h"

namespace cloze {

struct RowParallelLinearOptions {
  std::string name;  // Of the module: "model.layers.0.mlp.down_proj".
  std::int64_t in_features;
  std::int64_t out_features;
  std::uint32_t layer;
  std::uint32_t weight_site;
  std::uint32_t bias_site = 0;
  double initial_std;
  bool bias = false;
};

// y = x W^T summed over the ranks. The bias is whole on every rank and left to the caller, who
// adds it once, after the sum, together with dropout and the residual.
class RowParallelLinear {
 public:
  RowParallelLinear(ParameterTable& table, RowParallelLinearOptions options, TensorParallel tp);

  // x [tokens, in / tp] -> [tokens (/ tp), out].
  at::Tensor forward(Pass& pass, const at::Tensor& x) const;
  // dy [tokens (/ tp), out] -> dx [tokens, in / tp]. `x` is forward's input.
  at::Tensor backward(Pass& pass, const at::Tensor& dy, const at::Tensor& x) const;

  // [out]; undefined without bias.
  at::Tensor bias() const { return bias_ == nullptr ? at::Tensor() : bias_->value; }

 private:
  const RowParallelLinearOptions options_;
  const TensorParallel tp_;
  ParameterGroup& weight_;      // [out, in / tp]
  ParameterGroup* const bias_;  // [out]; null without bias.
};

}  // namespace cloze
