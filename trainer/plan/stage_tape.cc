#include "trainer/plan/stage_tape.h"

#include <algorithm>
#include <utility>

#include "parallel/base/check.h"
#include "parallel/pass/dtype_dispatch.h"
#include "parallel/pass/product.h"
#include "parallel/tensor/vocab_parallel_head.h"

namespace cloze {
namespace {

using Memory = AllocationTape::Memory;

// The last `count`, in the order in which they were pushed.
std::vector<Memory> popped(std::vector<Memory>& stash, std::size_t count) {
  CLOZE_CHECK(stash.size() >= count, "the plan's backward takes what its forward did not leave",
              "keep stage_tape.cc and the layers alike");
  std::vector<Memory> found(
      std::make_move_iterator(stash.end() - static_cast<std::ptrdiff_t>(count)),
      std::make_move_iterator(stash.end()));
  stash.resize(stash.size() - count);
  return found;
}

}  // namespace

StageTape::StageTape(AllocationTape& tape, const StageSizes& sizes, std::int64_t num_microbatches)
    : tape_(tape), sizes_(sizes), stashes_(static_cast<std::size_t>(num_microbatches)) {}

StageTape::Norm StageTape::norm() {
  Norm made;
  made.y = local();
  made.rstd = sums(sizes_.local_tokens);
  if (sizes_.keeps_means) made.mean = sums(sizes_.local_tokens);
  return made;
}

Memory StageTape::product(const ProductShape& shape) {
  Memory made = elements(shape.rows * shape.columns);
  work(sizes_.type, shape);
  return made;
}

void StageTape::work(at::ScalarType type, const ProductShape& shape) {
  const Memory workspace = tape_.make(product_workspace(sizes_.kernels, type, shape));
}

// 16-bit operands are widened for the time of the product.
std::array<Memory, 2> StageTape::widened(std::int64_t rows, std::int64_t out, std::int64_t in) {
  if (!is_narrow() || !sizes_.is_cpu) return {};
  return {sums(rows * out), sums(rows * in)};
}

void StageTape::weight_gradient(std::int64_t rows, std::int64_t out, std::int64_t in) {
  const std::array<Memory, 2> factors = widened(rows, out, in);
  work(accumulator_of(sizes_.type), {.rows = out, .columns = in, .depth = rows});
  // Of a bias, which not every layer has.
  take(with_type(sizes_.type, [&]<typename T>() {
    return sizes_.kernels.of<T>().scratch.bias_gradient(rows, out);
  }));
}

Memory StageTape::reduced(Memory partial) {
  if (sizes_.sums && sizes_.is_cpu && !received_) received_ = whole(sizes_.hidden);
  Memory sum = sizes_.gathers ? local() : std::move(partial);
  if (sizes_.sums) take(sizes_.reduction);
  return sum;
}

Memory StageTape::column_forward(std::int64_t out) {
  return product({.rows = sizes_.tokens, .columns = out, .depth = sizes_.hidden});
}

Memory StageTape::row_forward(std::int64_t in) {
  return reduced(product({.rows = sizes_.tokens, .columns = sizes_.hidden, .depth = in}));
}

Memory StageTape::column_backward(std::int64_t out, const Memory& x) {
  Memory input = gathered(x);
  const Memory partial = product({.rows = sizes_.tokens, .columns = sizes_.hidden, .depth = out});
  Memory dx = reduced(partial);
  weight_gradient(sizes_.tokens, out, sizes_.hidden);
  return dx;
}

Memory StageTape::row_backward(std::int64_t in, const Memory& dy) {
  const Memory gradient = gathered(dy);
  weight_gradient(sizes_.tokens, sizes_.hidden, in);
  return product({.rows = sizes_.tokens, .columns = in, .depth = sizes_.hidden});
}

Memory StageTape::embedding() { return reduced(whole(sizes_.hidden)); }

Memory StageTape::attention_forward(Stash& stash, const Memory& normed) {
  Memory input = gathered(normed);
  Memory qkv = column_forward(sizes_.qkv);
  input.reset();
  Memory out = whole(sizes_.attention);
  Memory lse = sums(sizes_.heads * sizes_.tokens);
  take(sizes_.attention_forward_scratch);
  stash.insert(stash.end(), {qkv, out, lse});
  return row_forward(sizes_.attention);
}

Memory StageTape::feed_forward(Stash& stash, const Memory& normed) {
  Memory input = gathered(normed);
  Memory inner = column_forward(sizes_.inner);
  input.reset();
  Memory activated = whole(sizes_.activated);
  stash.insert(stash.end(),
               {inner, sizes_.recompute == Recompute::kSelective ? Memory() : activated});
  return row_forward(sizes_.activated);
}

Memory StageTape::block_forward_keeping(Stash& stash, const Memory& x) {
  const bool keeps_norms = sizes_.recompute != Recompute::kSelective;
  const Norm first = norm();
  const Memory attended = attention_forward(stash, first.y);
  const Memory middle = local();
  const Norm second = norm();
  const Memory fed = feed_forward(stash, second.y);
  Memory y = local();
  stash.insert(stash.end(), {x, first.mean, first.rstd, keeps_norms ? first.y : Memory(), middle,
                             second.mean, second.rstd, keeps_norms ? second.y : Memory()});
  return y;
}

Memory StageTape::block_forward(Stash& stash, const Memory& x) {
  if (sizes_.recompute != Recompute::kFull) return block_forward_keeping(stash, x);
  stash.push_back(x);
  // Nothing is kept while it runs: tensors go as soon as the next does not need them.
  const Norm first = norm();
  Stash none;
  Memory attended = attention_forward(none, first.y);
  none.clear();
  const Memory middle = local();
  const Norm second = norm();
  const Memory fed = feed_forward(none, second.y);
  none.clear();
  return local();
}

Memory StageTape::attention_backward(Stash& stash, const Memory& dy, const Memory& normed) {
  const std::vector<Memory> kept = popped(stash, 3);  // qkv, out, lse
  const Memory dout = row_backward(sizes_.attention, dy);
  const Memory dqkv = whole(sizes_.qkv);
  if (sizes_.attention_workspace > 0) {
    const Memory workspace = sums(sizes_.attention_workspace);
  }
  take(sizes_.attention_backward_scratch);
  return column_backward(sizes_.qkv, normed);
}

Memory StageTape::feed_forward_backward(Stash& stash, const Memory& dy, const Memory& normed) {
  std::vector<Memory> kept = popped(stash, 2);  // inner, activated
  if (!kept[1]) kept[1] = whole(sizes_.activated);
  const Memory dactivated = row_backward(sizes_.activated, dy);
  const Memory dinner = whole(sizes_.inner);
  return column_backward(sizes_.inner, normed);
}

Memory StageTape::block_backward(Stash& stash, const Memory& dy) {
  if (sizes_.recompute == Recompute::kFull) {
    const Memory x = popped(stash, 1).front();
    block_forward_keeping(stash, x);
  }
  // x, mean, rstd, normed, middle, mean, rstd, middle_normed
  const std::vector<Memory> kept = popped(stash, 8);
  Norm second{.y = kept[7], .rstd = {}, .mean = {}};
  if (!second.y) second = norm();
  const Memory dfed = sizes_.drops_output ? local() : dy;
  const Memory dmiddle_normed = feed_forward_backward(stash, dfed, second.y);
  const Memory dmiddle = local();
  take(sizes_.norm_scratch);
  Norm first{.y = kept[3], .rstd = {}, .mean = {}};
  if (!first.y) first = norm();
  const Memory dattended = sizes_.drops_output ? local() : dmiddle;
  const Memory dnormed = attention_backward(stash, dattended, first.y);
  Memory dx = local();
  take(sizes_.norm_scratch);
  return dx;
}

void StageTape::loss_forward(Stash& stash, const Memory& x) {
  const Norm last = norm();
  const Memory all = gathered(last.y);
  const Memory partial = whole(sizes_.hidden);
  losses_.push_back(sums(2 * sizes_.tokens));
  {
    const std::int64_t n = std::min(VocabParallelHead::kChunkTokens, sizes_.tokens);
    const Memory rows = elements(n * sizes_.hidden);
    const Memory logits = elements(n * sizes_.vocab);
    const Memory largest = sums(n);
    const Memory drows = elements(n * sizes_.hidden);
    const Memory weights = sums(n);
    const Memory workspace = tape_.make(VocabParallelHead::chunk_workspace(
        sizes_.kernels, sizes_.type, n, sizes_.hidden, sizes_.vocab));
    const std::array<Memory, 2> factors = widened(n, sizes_.vocab, sizes_.hidden);
  }
  stash.push_back(reduced(partial));
  stash.insert(stash.end(), {x, last.mean, last.rstd});
}

Memory StageTape::loss_backward(Stash& stash) {
  const std::vector<Memory> kept = popped(stash, 3);
  const Memory dnormed = popped(stash, 1).front();
  Memory dx = local();
  take(sizes_.norm_scratch);
  return dx;
}

Memory StageTape::forward(std::int64_t microbatch, Memory input) {
  Stash& stash = stashes_[static_cast<std::size_t>(microbatch)];
  Memory x = sizes_.first ? embedding() : std::move(input);
  for (std::int64_t layer = 0; layer < sizes_.layers; ++layer) x = block_forward(stash, x);
  if (!sizes_.last) return x;
  loss_forward(stash, x);
  return {};
}

Memory StageTape::backward(std::int64_t microbatch, Memory output_gradient,
                           const OnLayer& on_layer) {
  Stash& stash = stashes_[static_cast<std::size_t>(microbatch)];
  const Memory dy = sizes_.last ? loss_backward(stash) : std::move(output_gradient);
  if (sizes_.last) on_layer(sizes_.layers);
  Memory dx = dy;
  for (std::int64_t layer = sizes_.layers; layer-- > 0;) {
    dx = block_backward(stash, dx);
    on_layer(layer);
  }
  CLOZE_CHECK(stash.empty(), "the plan's backward left what its forward kept",
              "keep stage_tape.cc and the layers alike");
  if (!sizes_.first) return dx;
  const Memory dropped = sizes_.drops_embedding ? local() : dx;
  const Memory all = gathered(dropped);
  take(sizes_.embedding_scratch);
  on_layer(-1);
  return {};
}

}  // namespace cloze
