// The feed-forward layer of a block: SwiGLU (Shazeer, 2020) or GELU with biases.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "parallel/pass/pass.h"
#include "parallel/tensor/column_parallel_linear.h"
#include "parallel/tensor/row_parallel_linear.h"

namespace cloze {

enum class Activation : std::uint8_t {
  kSwiGlu,    // down(silu(gate x) * (up x)), no biases.
  kGeluTanh,  // down(gelu(up x + b)), biases; GELU by its tanh approximation.
};

struct FeedForwardOptions {
  std::string name;  // Of the module: "model.layers.0.mlp".
  std::uint32_t layer;
  Activation activation;
  std::int64_t hidden_size;
  std::int64_t intermediate_size;
  bool recompute_activation;  // Keeps the activation's input alone.
  double initial_std;
  double output_initial_std;
};

class FeedForward {
 public:
  FeedForward(ParameterTable& table, FeedForwardOptions options, TensorParallel tp);

  // x [tokens (/ tp), hidden] -> like x, without the output bias (see output_bias()).
  at::Tensor forward(Pass& pass, const at::Tensor& x) const;
  // dy like x -> dx like x. `x` is forward's input.
  at::Tensor backward(Pass& pass, const at::Tensor& dy, const at::Tensor& x) const;

  at::Tensor output_bias() const { return down_.bias(); }

 private:
  // inner [tokens, (2) intermediate / tp] -> [tokens, intermediate / tp].
  at::Tensor activate(const at::Tensor& inner) const;
  at::Tensor activation_gradient(const at::Tensor& dout, const at::Tensor& inner) const;

  const FeedForwardOptions options_;
  const TensorParallel tp_;
  ColumnParallelLinear up_;  // gate | up, or up alone.
  RowParallelLinear down_;
};

}  // namespace cloze
