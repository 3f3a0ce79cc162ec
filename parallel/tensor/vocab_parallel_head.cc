#include "parallel/tensor/vocab_parallel_head.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "parallel/pass/dtype_dispatch.h"
#include "parallel/pass/product.h"

namespace cloze {
namespace {

// Tensors of one chunk, made once for all: of the same size in every step, however many targets it
// has, so that no step asks the system for memory that another one did not.
struct Chunk {
  Chunk(const Kernels& kernels, std::int64_t tokens, const at::Tensor& like, std::int64_t vocab,
        bool wants_gradient)
      : workspace(at::empty({VocabParallelHead::chunk_workspace(kernels, like.scalar_type(), tokens,
                                                                like.size(1), vocab)},
                            like.options().dtype(at::kByte))),
        rows(at::empty({tokens, like.size(1)}, like.options())),
        logits(at::empty({tokens, vocab}, like.options())),
        largest(at::empty({tokens}, sum_options(like))) {
    if (!wants_gradient) return;
    drows = at::empty_like(rows);
    weights = at::empty({tokens}, sum_options(like));
  }

  static at::TensorOptions sum_options(const at::Tensor& like) {
    return like.options().dtype(accumulator_of(like.scalar_type()));
  }

  at::Tensor workspace;  // Of each of the products.
  at::Tensor rows, logits, largest;
  at::Tensor drows, weights;  // Without a gradient there are none.
};

// Where no other rank has a part of the vocabulary, a CPU lets the phases of the softmax follow
// each other on so many rows that their logits stay in the cores' caches.
constexpr std::int64_t kRowsAtOnce = 16;
static_assert(VocabParallelHead::kChunkTokens % kRowsAtOnce == 0);

std::int64_t block_of(const TensorParallel& tp) {
  return tp.size() == 1 && tp.group.device().is_cpu() ? kRowsAtOnce
                                                      : VocabParallelHead::kChunkTokens;
}

// Turns the logits of n targets, from `row` of the chunk on, into the gradient of weight * (sum of
// the losses) in place, and fills `sums` [2 n]. The three phases of a softmax over a cut
// vocabulary, an all-reduce between.
template <typename T>
void cross_entropy_of_rows(const Chunk& chunk, std::int64_t row, std::int64_t n,
                           std::int64_t first_id, const std::int32_t* ids, const at::Tensor& sums,
                           const TensorParallel& tp) {
  using Sum = Accumulator<T>;
  const std::int64_t vocab = chunk.logits.size(1);
  T* data = data_of<T>(chunk.logits) + row * vocab;

  const at::Tensor largest = chunk.largest.narrow(0, 0, n);
  tp.kernels.of<T>().row_max(data, vocab, n, vocab, data_of<Sum>(largest));
  tp.group.all_reduce(largest, ReduceOp::kMax).wait();

  tp.kernels.of<T>().row_sums(data, vocab, n, vocab, first_id, ids, data_of<Sum>(largest),
                              data_of<Sum>(sums), data_of<Sum>(sums) + n);
  tp.group.all_reduce(sums, ReduceOp::kSum).wait();
  if (!chunk.weights.defined()) return;
  tp.kernels.of<T>().softmax_gradient(data, vocab, n, vocab, first_id, ids, data_of<Sum>(largest),
                                      data_of<Sum>(sums), data_of<Sum>(chunk.weights));
}

// The same of a whole chunk, whose first n rows have the targets `ids`.
template <typename T>
void cross_entropy(const Chunk& chunk, std::int64_t n, std::int64_t first_id,
                   const std::int32_t* ids, double weight, const at::Tensor& sums,
                   const TensorParallel& tp) {
  if (chunk.weights.defined()) chunk.weights.fill_(weight);
  const std::int64_t block = block_of(tp);
  for (std::int64_t row = 0; row < n; row += block) {
    const std::int64_t rows = std::min(block, n - row);
    cross_entropy_of_rows<T>(chunk, row, rows, first_id, ids + row,
                             sums.narrow(0, 2 * row, 2 * rows), tp);
  }
}

}  // namespace

std::vector<double> TargetLosses::values() const {
  const at::Tensor sums = sums_.cpu();
  std::vector<double> losses(static_cast<std::size_t>(count_));
  with_type(sums.scalar_type(), [&]<typename T>() {
    const Accumulator<T>* values = data_of<const Accumulator<T>>(sums);  // T itself: it is one.
    for (std::int64_t first = 0; first < count_; first += block_) {
      const std::int64_t n = std::min(block_, count_ - first);
      for (std::int64_t i = 0; i < n; ++i) {
        losses[first + i] = std::log(static_cast<double>(values[2 * first + i])) -
                            static_cast<double>(values[2 * first + n + i]);
      }
    }
  });
  return losses;
}

std::int64_t VocabParallelHead::chunk_workspace(const Kernels& kernels, at::ScalarType type,
                                                std::int64_t tokens, std::int64_t hidden,
                                                std::int64_t vocab) {
  return std::max({product_workspace(kernels, type, {tokens, vocab, hidden}),
                   product_workspace(kernels, type, {tokens, hidden, vocab}),
                   product_workspace(kernels, accumulator_of(type), {vocab, hidden, tokens})});
}

TargetLosses VocabParallelHead::forward(Pass& pass, const at::Tensor& x, const Targets& targets,
                                        double loss_weight) const {
  const std::int64_t first_id = weight_.members.front().spec.box.offset[0];
  const bool wants_gradient = pass.stash.keeps();
  const at::Tensor whole = gather_tokens(x, tp_).wait();
  at::Tensor partial = wants_gradient ? at::zeros_like(whole) : at::Tensor();
  const at::Tensor sums = at::empty({2 * whole.size(0)}, Chunk::sum_options(whole));
  {
    const Chunk chunk(tp_.kernels, std::min(kChunkTokens, whole.size(0)), whole,
                      weight_.value.size(0), wants_gradient);
    // Only tokens with a target need logits: in blank infilling that is one in five or so.
    for (std::int64_t first = 0; first < targets.count; first += kChunkTokens) {
      const std::int64_t n = std::min(kChunkTokens, targets.count - first);
      const at::Tensor chunk_places = targets.tokens.narrow(0, first, n);
      at::Tensor rows = chunk.rows.narrow(0, 0, n);
      at::Tensor logits = chunk.logits.narrow(0, 0, n);
      at::index_select_out(rows, whole, 0, chunk_places);
      product_out(tp_.kernels, rows, weight_.value.t(), logits, chunk.workspace);
      with_type(logits.scalar_type(), [&]<typename T>() {
        cross_entropy<T>(chunk, n, first_id, targets.ids + first, loss_weight,
                         sums.narrow(0, 2 * first, 2 * n), tp_);
      });
      if (!wants_gradient) continue;
      at::Tensor drows = chunk.drows.narrow(0, 0, n);
      product_out(tp_.kernels, logits, weight_.value, drows, chunk.workspace);
      partial.index_copy_(0, chunk_places, drows);
      pass.weight_gradients.add_product(tp_.kernels, weight_, logits, rows, chunk.workspace);
    }
  }
  if (wants_gradient) pass.stash.push({reduce_tokens(partial, tp_).wait()});
  return {sums, targets.count, block_of(tp_)};
}

at::Tensor VocabParallelHead::backward(Pass& pass) const {
  const auto [dx] = pass.stash.pop<1>();
  pass.weight_gradients.ready(weight_);
  return dx;
}

at::Tensor VocabParallelHead::logits(const at::Tensor& x) const {
  return product(tp_.kernels, x, weight_.value.t());
}

}  // namespace cloze
