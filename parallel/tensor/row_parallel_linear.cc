#include "parallel/tensor/row_parallel_linear.h"

#include <ATen/ATen.h>

#include "parallel/base/check.h"
#include "parallel/pass/dtype_dispatch.h"
#include "parallel/pass/product.h"

namespace cloze {
namespace {

ParameterGroup& add_weight(ParameterTable& table, const RowParallelLinearOptions& options,
                           const TensorParallel& tp) {
  CLOZE_CHECK(
      options.in_features % tp.size() == 0,
      str(options.name, ": ", options.in_features, " features cannot be cut in ", tp.size()),
      "choose a parallel.tensor that divides them");
  const std::int64_t local = options.in_features / tp.size();
  ParameterSpec spec;
  spec.name = options.name + ".weight";
  spec.box = Box::cut({options.out_features, options.in_features}, 1, tp.rank() * local, local);
  spec.layer = options.layer;
  spec.site = options.weight_site;
  spec.initial_std = options.initial_std;
  return table.add({std::move(spec)});
}

ParameterGroup* add_bias_group(ParameterTable& table, const RowParallelLinearOptions& options,
                               const TensorParallel& tp) {
  if (!options.bias) return nullptr;
  ParameterSpec spec;
  spec.name = options.name + ".bias";
  spec.box = Box::whole({options.out_features});
  spec.layer = options.layer;
  spec.site = options.bias_site;
  spec.decays = false;
  spec.sum = tp.sequence ? GradientSum::kTensor : GradientSum::kNone;
  spec.first_replica = tp.rank() == 0;
  return &table.add({std::move(spec)});
}

}  // namespace

RowParallelLinear::RowParallelLinear(ParameterTable& table, RowParallelLinearOptions options,
                                     TensorParallel tp)
    : options_(std::move(options)),
      tp_(tp),
      weight_(add_weight(table, options_, tp)),
      bias_(add_bias_group(table, options_, tp)) {}

at::Tensor RowParallelLinear::forward(Pass& /*pass*/, const at::Tensor& x) const {
  return reduce_tokens(product(tp_.kernels, x, weight_.value.t()), tp_).wait();
}

at::Tensor RowParallelLinear::backward(Pass& pass, const at::Tensor& dy,
                                       const at::Tensor& x) const {
  TensorInFlight gathered = gather_tokens(dy, tp_);
  if (bias_ != nullptr) {
    with_type(dy.scalar_type(), [&]<typename T>() {
      tp_.kernels.of<T>().bias_gradient(
          data_of<const T>(dy), data_of<Accumulator<T>>(bias_->main_grad), dy.size(0), dy.size(1));
    });
    pass.weight_gradients.ready(*bias_);
  }
  const at::Tensor whole = gathered.wait();
  pass.weight_gradients.add_product(tp_.kernels, weight_, whole, x);
  pass.weight_gradients.ready(weight_);
  return product(tp_.kernels, whole, weight_.value);
}

}  // namespace cloze
