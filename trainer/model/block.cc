#include "trainer/model/block.h"

#include <ATen/ATen.h>

#include <utility>

#include "parallel/pass/dtype_dispatch.h"
#include "trainer/model/dropout_key.h"

namespace cloze {

Recompute recompute_of(const config::Parallel& parallel) {
  switch (parallel.recompute()) {
    case config::Parallel::selective:
      return Recompute::kSelective;
    case config::Parallel::full:
      return Recompute::kFull;
    default:
      return Recompute::kNone;
  }
}

Block::Block(ParameterTable& table, BlockOptions options, const RotaryTables* rotary,
             TensorParallel tp)
    : options_(std::move(options)),
      tp_(tp),
      input_norm_(table, options_.input_norm, tp),
      attention_(table, options_.attention, rotary, tp),
      post_attention_norm_(table, options_.post_attention_norm, tp),
      feed_forward_(table, options_.feed_forward, tp) {}

at::Tensor Block::forward(Pass& pass, const Microbatch& microbatch, const at::Tensor& x) const {
  if (options_.recompute != Recompute::kFull) return forward_keeping(pass, microbatch, x);
  pass.stash.push({x});
  Stash kept = std::exchange(pass.stash, Stash(/*keeps=*/false));
  at::Tensor y = forward_keeping(pass, microbatch, x);
  pass.stash = std::move(kept);
  return y;
}

at::Tensor Block::backward(Pass& pass, const Microbatch& microbatch, const at::Tensor& dy) const {
  if (options_.recompute == Recompute::kFull) {
    // The same numbers again, dropout included: every random number has a key.
    const auto [x] = pass.stash.pop<1>();
    forward_keeping(pass, microbatch, x);
  }
  return backward_from_stash(pass, microbatch, dy);
}

at::Tensor Block::forward_keeping(Pass& pass, const Microbatch& microbatch,
                                  const at::Tensor& x) const {
  const bool keeps_norms = options_.recompute != Recompute::kSelective;
  Norm::Statistics first;
  Norm::Statistics second;
  const at::Tensor normed = input_norm_.forward(x, first);
  const at::Tensor attended = attention_.forward(pass, microbatch, normed);
  at::Tensor middle;
  at::Tensor middle_normed;
  const at::Tensor bias = attention_.output_bias();
  if (bias.defined() || drops(pass)) {
    middle = add_residual(pass, microbatch, x, attended, bias, 0);
    middle_normed = post_attention_norm_.forward(middle, second);
  } else {
    middle_normed = post_attention_norm_.forward_of_sum(x, attended, middle, second);
  }
  const at::Tensor fed = feed_forward_.forward(pass, middle_normed);
  at::Tensor y = add_residual(pass, microbatch, middle, fed, feed_forward_.output_bias(), 1);
  pass.stash.push({x, first.mean, first.rstd, keeps_norms ? normed : at::Tensor(), middle,
                   second.mean, second.rstd, keeps_norms ? middle_normed : at::Tensor()});
  return y;
}

at::Tensor Block::backward_from_stash(Pass& pass, const Microbatch& microbatch,
                                      const at::Tensor& dy) const {
  auto [x, mean0, rstd0, normed, middle, mean1, rstd1, middle_normed] = pass.stash.pop<8>();
  Norm::Statistics first{mean0, rstd0};
  Norm::Statistics second{mean1, rstd1};
  if (!middle_normed.defined()) middle_normed = post_attention_norm_.forward(middle, second);
  const at::Tensor dfed = branch_gradient(pass, microbatch, dy, 1);
  const at::Tensor dmiddle_normed = feed_forward_.backward(pass, dfed, middle_normed);
  const at::Tensor dmiddle =
      post_attention_norm_.backward(pass, dmiddle_normed, middle, second, dy);

  if (!normed.defined()) normed = input_norm_.forward(x, first);
  const at::Tensor dattended = branch_gradient(pass, microbatch, dmiddle, 0);
  const at::Tensor dnormed = attention_.backward(pass, microbatch, dattended, normed);
  return input_norm_.backward(pass, dnormed, x, first, dmiddle);
}

at::Tensor Block::add_residual(const Pass& pass, const Microbatch& microbatch,
                               const at::Tensor& residual, const at::Tensor& x,
                               const at::Tensor& bias, std::uint32_t place) const {
  at::Tensor y = at::empty_like(x);
  const DropoutKey key =
      dropout_key(pass, microbatch, tp_, options_.output_dropout, RandomDomain::kOutputDropout,
                  2 * options_.layer + place, options_.hidden_size);
  with_type(x.scalar_type(), [&]<typename T>() {
    tp_.kernels.of<T>().dropout_add(data_of<const T>(residual), data_of<const T>(x),
                                    data_of<const T>(bias), drops(pass) ? &key : nullptr,
                                    data_of<T>(y), x.size(0), x.size(1));
  });
  return y;
}

at::Tensor Block::branch_gradient(const Pass& pass, const Microbatch& microbatch,
                                  const at::Tensor& dy, std::uint32_t place) const {
  if (!drops(pass)) return dy;
  at::Tensor dx = at::empty_like(dy);
  const DropoutKey key =
      dropout_key(pass, microbatch, tp_, options_.output_dropout, RandomDomain::kOutputDropout,
                  2 * options_.layer + place, options_.hidden_size);
  with_type(dy.scalar_type(), [&]<typename T>() {
    tp_.kernels.of<T>().dropout_backward(data_of<const T>(dy), &key, data_of<T>(dx), dy.size(0),
                                         dy.size(1));
  });
  return dx;
}

}  // namespace cloze
