#include "parallel/tensor/column_parallel_linear.h"

#include <ATen/ATen.h>

#include "parallel/base/check.h"
#include "parallel/pass/dtype_dispatch.h"
#include "parallel/pass/product.h"

namespace cloze {
namespace {

Box box_of(const ColumnPart& part, const Shape& global, const TensorParallel& tp) {
  CLOZE_CHECK(tp.size() % part.replicas == 0,
              str(part.name, ": ", part.replicas, " replicas do not divide ", tp.size(), " ranks"),
              "replicate over a divisor of the tensor degree");
  const int parts = tp.size() / part.replicas;
  CLOZE_CHECK(part.out_features % parts == 0,
              str(part.name, ": ", part.out_features, " features cannot be cut in ", parts),
              "choose a parallel.tensor that divides them");
  const Range rows = part_of(part.out_features, parts, tp.rank() / part.replicas);
  return Box::cut(global, 0, rows.first, rows.count());
}

ParameterSpec spec_of(const ColumnPart& part, const TensorParallel& tp) {
  ParameterSpec spec;
  spec.sum = part.replicas > 1 ? GradientSum::kKvReplicas : GradientSum::kNone;
  spec.first_replica = tp.rank() % part.replicas == 0;
  return spec;
}

ParameterGroup& add_weight(ParameterTable& table, const ColumnParallelLinearOptions& options,
                           const TensorParallel& tp) {
  std::vector<ParameterSpec> specs;
  for (const ColumnPart& part : options.parts) {
    ParameterSpec spec = spec_of(part, tp);
    spec.name = part.name + ".weight";
    spec.box = box_of(part, {part.out_features, options.in_features}, tp);
    spec.layer = options.layer;
    spec.site = part.weight_site;
    spec.initial_std = options.initial_std;
    specs.push_back(std::move(spec));
  }
  return table.add(std::move(specs));
}

ParameterGroup* add_bias_group(ParameterTable& table, const ColumnParallelLinearOptions& options,
                               const TensorParallel& tp) {
  if (!options.bias) return nullptr;
  std::vector<ParameterSpec> specs;
  for (const ColumnPart& part : options.parts) {
    ParameterSpec spec = spec_of(part, tp);
    spec.name = part.name + ".bias";
    spec.box = box_of(part, {part.out_features}, tp);
    spec.layer = options.layer;
    spec.site = part.bias_site;
    spec.decays = false;
    specs.push_back(std::move(spec));
  }
  return &table.add(std::move(specs));
}

}  // namespace

ColumnParallelLinear::ColumnParallelLinear(ParameterTable& table,
                                           ColumnParallelLinearOptions options, TensorParallel tp)
    : options_(std::move(options)),
      tp_(tp),
      weight_(add_weight(table, options_, tp)),
      bias_(add_bias_group(table, options_, tp)) {}

at::Tensor ColumnParallelLinear::forward(Pass& /*pass*/, const at::Tensor& x) const {
  at::Tensor y = product(tp_.kernels, gather_tokens(x, tp_).wait(), weight_.value.t());
  if (bias_ != nullptr && !options_.caller_adds_bias) {
    with_type(y.scalar_type(), [&]<typename T>() {
      tp_.kernels.of<T>().add_bias(data_of<T>(y), data_of<const T>(bias_->value), y.size(0),
                                   y.size(1));
    });
  }
  return y;
}

at::Tensor ColumnParallelLinear::backward(Pass& pass, const at::Tensor& dy,
                                          const at::Tensor& x) const {
  // Both transfers run behind the GEMMs: the gather behind the first, the sum behind the second.
  TensorInFlight whole = gather_tokens(x, tp_);
  TensorInFlight dx = reduce_tokens(product(tp_.kernels, dy, weight_.value), tp_);
  pass.weight_gradients.add_product(tp_.kernels, weight_, dy, whole.wait());
  pass.weight_gradients.ready(weight_);
  if (bias_ != nullptr) {
    with_type(dy.scalar_type(), [&]<typename T>() {
      tp_.kernels.of<T>().bias_gradient(
          data_of<const T>(dy), data_of<Accumulator<T>>(bias_->main_grad), dy.size(0), dy.size(1));
    });
    pass.weight_gradients.ready(*bias_);
  }
  return dx.wait();
}

}  // namespace cloze
