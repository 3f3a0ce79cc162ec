#include "trainer/model/feed_forward.h"

#include <ATen/ATen.h>

#include "parallel/pass/dtype_dispatch.h"
#include "trainer/model/sites.h"

namespace cloze {
namespace {

ColumnParallelLinearOptions up_options(const FeedForwardOptions& options) {
  const bool gelu = options.activation == Activation::kGeluTanh;
  ColumnParallelLinearOptions up{.parts = {},
                                 .in_features = options.hidden_size,
                                 .layer = options.layer + 1,
                                 .initial_std = options.initial_std,
                                 .bias = gelu,
                                 .caller_adds_bias = true};
  if (!gelu) {
    up.parts.push_back({.name = options.name + ".gate_proj",
                        .out_features = options.intermediate_size,
                        .weight_site = site::kGateWeight});
  }
  up.parts.push_back({.name = options.name + ".up_proj",
                      .out_features = options.intermediate_size,
                      .weight_site = site::kUpWeight,
                      .bias_site = site::kUpBias});
  return up;
}

RowParallelLinearOptions down_options(const FeedForwardOptions& options) {
  return {.name = options.name + ".down_proj",
          .in_features = options.intermediate_size,
          .out_features = options.hidden_size,
          .layer = options.layer + 1,
          .weight_site = site::kDownWeight,
          .bias_site = site::kDownBias,
          .initial_std = options.output_initial_std,
          .bias = options.activation == Activation::kGeluTanh};
}

}  // namespace

FeedForward::FeedForward(ParameterTable& table, FeedForwardOptions options, TensorParallel tp)
    : options_(std::move(options)),
      tp_(tp),
      up_(table, up_options(options_), tp),
      down_(table, down_options(options_), tp) {}

at::Tensor FeedForward::activate(const at::Tensor& inner) const {
  const bool gelu = options_.activation == Activation::kGeluTanh;
  const std::int64_t features = gelu ? inner.size(1) : inner.size(1) / 2;
  at::Tensor out = at::empty({inner.size(0), features}, inner.options());
  with_type(inner.scalar_type(), [&]<typename T>() {
    if (gelu) {
      tp_.kernels.of<T>().gelu_forward(data_of<const T>(inner), data_of<const T>(up_.bias()),
                                       data_of<T>(out), out.size(0), features);
    } else {
      tp_.kernels.of<T>().swiglu_forward(data_of<const T>(inner), data_of<T>(out), out.size(0),
                                         features);
    }
  });
  return out;
}

at::Tensor FeedForward::activation_gradient(const at::Tensor& dout, const at::Tensor& inner) const {
  at::Tensor dinner = at::empty_like(inner);
  with_type(inner.scalar_type(), [&]<typename T>() {
    if (options_.activation == Activation::kGeluTanh) {
      tp_.kernels.of<T>().gelu_backward(data_of<const T>(dout), data_of<const T>(inner),
                                        data_of<const T>(up_.bias()), data_of<T>(dinner),
                                        dout.size(0), dout.size(1));
    } else {
      tp_.kernels.of<T>().swiglu_backward(data_of<const T>(dout), data_of<const T>(inner),
                                          data_of<T>(dinner), dout.size(0), dout.size(1));
    }
  });
  return dinner;
}

at::Tensor FeedForward::forward(Pass& pass, const at::Tensor& x) const {
  const at::Tensor inner = up_.forward(pass, x);
  const at::Tensor activated = activate(inner);
  pass.stash.push({inner, options_.recompute_activation ? at::Tensor() : activated});
  return down_.forward(pass, activated);
}

at::Tensor FeedForward::backward(Pass& pass, const at::Tensor& dy, const at::Tensor& x) const {
  auto [inner, activated] = pass.stash.pop<2>();
  if (!activated.defined()) activated = activate(inner);
  const at::Tensor dactivated = down_.backward(pass, dy, activated);
  return up_.backward(pass, activation_gradient(dactivated, inner), x);
}

}  // namespace cloze
