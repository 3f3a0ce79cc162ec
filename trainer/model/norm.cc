#include "trainer/model/norm.h"

#include <ATen/ATen.h>

#include "parallel/pass/dtype_dispatch.h"

namespace cloze {
namespace {

ParameterGroup& add_group(ParameterTable& table, const NormOptions& options,
                          const TensorParallel& tp) {
  ParameterSpec weight;
  weight.name = options.name + ".weight";
  weight.box = Box::whole({options.hidden_size});
  weight.layer = options.layer;
  weight.site = options.weight_site;
  weight.decays = false;
  weight.initial_mean = 1;
  weight.sum = tp.sequence ? GradientSum::kTensor : GradientSum::kNone;
  weight.first_replica = tp.rank() == 0;
  if (options.kind == NormKind::kRms) return table.add({std::move(weight)});
  ParameterSpec bias = weight;
  bias.name = options.name + ".bias";
  bias.site = options.bias_site;
  bias.initial_mean = 0;
  return table.add({std::move(weight), std::move(bias)});
}

}  // namespace

Norm::Norm(ParameterTable& table, NormOptions options, const TensorParallel& tp)
    : options_(std::move(options)), group_(add_group(table, options_, tp)), kernels_(tp.kernels) {}

at::Tensor Norm::forward(const at::Tensor& x, Statistics& statistics) const {
  at::Tensor no_sum;
  return run_forward(x, at::Tensor(), no_sum, statistics);
}

at::Tensor Norm::forward_of_sum(const at::Tensor& x, const at::Tensor& delta, at::Tensor& sum,
                                Statistics& statistics) const {
  sum = at::empty_like(x);
  return run_forward(x, delta, sum, statistics);
}

at::Tensor Norm::run_forward(const at::Tensor& x, const at::Tensor& delta, at::Tensor& sum,
                             Statistics& statistics) const {
  const auto of_tokens = x.options().dtype(accumulator_of(x.scalar_type()));
  at::Tensor y = at::empty_like(x);
  statistics.rstd = at::empty({x.size(0)}, of_tokens);
  if (options_.kind == NormKind::kLayer) statistics.mean = at::empty({x.size(0)}, of_tokens);
  with_type(x.scalar_type(), [&]<typename T>() {
    using Sum = Accumulator<T>;
    const T* weight = data_of<const T>(group_.members[0].value);
    if (options_.kind == NormKind::kRms) {
      kernels_.of<T>().rms_norm_forward(data_of<const T>(x), weight, data_of<T>(y),
                                        data_of<Sum>(statistics.rstd), x.size(0), x.size(1),
                                        options_.eps, data_of<const T>(delta), data_of<T>(sum));
    } else {
      kernels_.of<T>().layer_norm_forward(
          data_of<const T>(x), weight, data_of<const T>(group_.members[1].value), data_of<T>(y),
          data_of<Sum>(statistics.mean), data_of<Sum>(statistics.rstd), x.size(0), x.size(1),
          options_.eps, data_of<const T>(delta), data_of<T>(sum));
    }
  });
  return y;
}

at::Tensor Norm::backward(Pass& pass, const at::Tensor& dy, const at::Tensor& x,
                          const Statistics& statistics, const at::Tensor& residual_gradient) const {
  at::Tensor dx = at::empty_like(x);
  with_type(x.scalar_type(), [&]<typename T>() {
    using Sum = Accumulator<T>;
    const T* weight = data_of<const T>(group_.members[0].value);
    Sum* dweight = data_of<Sum>(group_.members[0].main_grad);
    const T* residual = data_of<const T>(residual_gradient);
    if (options_.kind == NormKind::kRms) {
      kernels_.of<T>().rms_norm_backward(data_of<const T>(dy), data_of<const T>(x), weight,
                                         data_of<const Sum>(statistics.rstd), data_of<T>(dx),
                                         dweight, x.size(0), x.size(1), residual);
    } else {
      kernels_.of<T>().layer_norm_backward(
          data_of<const T>(dy), data_of<const T>(x), weight, data_of<const Sum>(statistics.mean),
          data_of<const Sum>(statistics.rstd), data_of<T>(dx), dweight,
          data_of<Sum>(group_.members[1].main_grad), x.size(0), x.size(1), residual);
    }
  });
  pass.weight_gradients.ready(group_);
  return dx;
}

}  // namespace cloze
