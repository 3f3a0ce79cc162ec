// RMSNorm (Zhang and Sennrich, 2019) or LayerNorm (Ba et al., 2016) with its parameters, whole on
// every tensor rank.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "parallel/pass/pass.h"
#include "parallel/tensor/token_transfer.h"

namespace cloze {

enum class NormKind : std::uint8_t { kRms, kLayer };

struct NormOptions {
  NormKind kind;
  std::string name;  // Of the module: "model.norm".
  std::int64_t hidden_size;
  double eps;
  std::uint32_t layer;
  std::uint32_t weight_site;
  std::uint32_t bias_site;
};

class Norm {
 public:
  Norm(ParameterTable& table, NormOptions options, const TensorParallel& tp);

  // What forward learned of its input, for backward and for making the output again.
  struct Statistics {
    at::Tensor mean;  // [tokens]; undefined for RMSNorm.
    at::Tensor rstd;  // [tokens]
  };

  // x [tokens (/ tp), hidden] -> like x.
  at::Tensor forward(const at::Tensor& x, Statistics& statistics) const;
  // The norm of x + delta in one pass over memory; `sum` becomes x + delta. The same bits as the
  // sum followed by forward().
  at::Tensor forward_of_sum(const at::Tensor& x, const at::Tensor& delta, at::Tensor& sum,
                            Statistics& statistics) const;
  // dy like x -> dx, plus `residual_gradient` where defined.
  at::Tensor backward(Pass& pass, const at::Tensor& dy, const at::Tensor& x,
                      const Statistics& statistics, const at::Tensor& residual_gradient) const;

 private:
  at::Tensor run_forward(const at::Tensor& x, const at::Tensor& delta, at::Tensor& sum,
                         Statistics& statistics) const;

  const NormOptions options_;
  ParameterGroup& group_;  // weight | bias
  const Kernels& kernels_;
};

}  // namespace cloze
