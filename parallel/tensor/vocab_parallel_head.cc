#include "parallel/tensor/vocab_parallel_head.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "parallel/kernels/cross_entropy.h"
#include "parallel/pass/dtype_dispatch.h"

namespace cloze {
namespace {

constexpr std::int64_t kChunkTokens = 256;  // Logits of one chunk exist at a time.

// Turns logits [n, vocab / tp] into the gradient of weight * (sum of the losses) in place, and
// writes the losses. The three phases of a softmax over a cut vocabulary, an all-reduce between.
template <typename T>
void cross_entropy(at::Tensor& logits, std::int64_t first_id, std::span<const std::int32_t> ids,
                   double weight, bool wants_gradient, Communicator& group, double* losses) {
  using Sum = Accumulator<T>;
  const std::int64_t n = logits.size(0);
  const std::int64_t vocab = logits.size(1);
  const auto options = logits.options().dtype(accumulator_of(logits.scalar_type()));
  T* data = data_of<T>(logits);

  at::Tensor largest = at::empty({n}, options);
  row_max<T>(data, vocab, n, vocab, data_of<Sum>(largest));
  group.all_reduce(largest, ReduceOp::kMax).wait();

  at::Tensor sums = at::empty({2, n}, options);  // Sum of exponentials | shifted target logit.
  row_sums<T>(data, vocab, n, vocab, first_id, ids.data(), data_of<Sum>(largest),
              data_of<Sum>(sums), data_of<Sum>(sums) + n);
  group.all_reduce(sums, ReduceOp::kSum).wait();
  for (std::int64_t i = 0; i < n; ++i) {
    losses[i] = std::log(static_cast<double>(data_of<Sum>(sums)[i])) -
                static_cast<double>(data_of<Sum>(sums)[n + i]);
  }
  if (!wants_gradient) return;
  const at::Tensor weights = at::full({n}, weight, options);
  softmax_gradient<T>(data, vocab, n, vocab, first_id, ids.data(), data_of<Sum>(largest),
                      data_of<Sum>(sums), data_of<Sum>(weights));
}

}  // namespace

std::vector<double> VocabParallelHead::forward(Pass& pass, const at::Tensor& x,
                                               const Targets& targets, double loss_weight) const {
  const auto count = static_cast<std::int64_t>(targets.ids.size());
  const std::int64_t first_id = weight_.members.front().spec.box.offset[0];
  const bool wants_gradient = pass.stash.keeps();
  const at::Tensor whole = gather_tokens(x, tp_).wait();
  const at::Tensor places =
      at::from_blob(const_cast<std::int64_t*>(targets.tokens.data()), {count}, at::kLong);
  // Only tokens with a target need logits: in blank infilling that is one in five or so.
  const at::Tensor rows = at::index_select(whole, 0, places);
  at::Tensor drows = wants_gradient ? at::empty_like(rows) : at::Tensor();

  std::vector<double> losses(static_cast<std::size_t>(count));
  for (std::int64_t first = 0; first < count; first += kChunkTokens) {
    const std::int64_t n = std::min(kChunkTokens, count - first);
    const at::Tensor x_chunk = rows.narrow(0, first, n);
    at::Tensor logits = at::mm(x_chunk, weight_.value.t());
    with_type(logits.scalar_type(), [&]<typename T>() {
      cross_entropy<T>(logits, first_id, std::span(targets.ids).subspan(first, n), loss_weight,
                       wants_gradient, tp_.group, losses.data() + first);
    });
    if (!wants_gradient) continue;
    at::Tensor dx_chunk = drows.narrow(0, first, n);
    at::mm_out(dx_chunk, logits, weight_.value);
    pass.weight_gradients.add_product(weight_, logits, x_chunk);
  }
  if (wants_gradient) {
    at::Tensor partial = at::zeros_like(whole);
    partial.index_copy_(0, places, drows);
    pass.stash.push({reduce_tokens(partial, tp_).wait()});
  }
  return losses;
}

at::Tensor VocabParallelHead::backward(Pass& pass) const {
  const auto [dx] = pass.stash.pop<1>();
  pass.weight_gradients.ready(weight_);
  return dx;
}

at::Tensor VocabParallelHead::logits(const at::Tensor& x) const {
  return at::mm(x, weight_.value.t());
}

}  // namespace cloze
