// A linear layer whose output features are cut over the tensor ranks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "parallel/pass/pass.h"
#include "parallel/tensor/token_transfer.h"

namespace cloze {

// One of the parameters that a column-parallel layer multiplies at once (q, k, v; gate, up).
struct ColumnPart {
  std::string name;           // Of the module: "model.layers.0.self_attn.q_proj".
  std::int64_t out_features;  // Of the whole part.
  std::uint32_t weight_site;
  std::uint32_t bias_site = 0;
  // Consecutive tensor ranks that hold the same features (key/value heads fewer than ranks).
  int replicas = 1;
};

struct ColumnParallelLinearOptions {
  std::vector<ColumnPart> parts;
  std::int64_t in_features;
  std::uint32_t layer;
  double initial_std;
  bool bias = false;
  bool caller_adds_bias = false;  // The bias goes into the caller's next kernel.
};

// y = x W^T + b, with W cut by rows. Usually followed by a RowParallelLinear, which takes the
// cut output as it is and sums the result.
class ColumnParallelLinear {
 public:
  ColumnParallelLinear(ParameterTable& table, ColumnParallelLinearOptions options,
                       TensorParallel tp);

  // x [tokens (/ tp), in] -> [tokens, out / tp], the parts side by side.
  at::Tensor forward(Pass& pass, const at::Tensor& x) const;
  // dy [tokens, out / tp] -> dx like x. `x` is forward's input.
  at::Tensor backward(Pass& pass, const at::Tensor& dy, const at::Tensor& x) const;

  std::int64_t local_features() const { return weight_.value.size(0); }
  const at::Tensor& bias() const { return bias_->value; }

 private:
  const ColumnParallelLinearOptions options_;
  const TensorParallel tp_;
  ParameterGroup& weight_;      // [out / tp, in]
  ParameterGroup* const bias_;  // [out / tp]; null without bias.
};

}  // namespace cloze
