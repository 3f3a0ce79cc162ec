// The output layer and its cross entropy over a cut vocabulary, in chunks of tokens, so that the
// logits of a whole microbatch never exist.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "parallel/pass/pass.h"
#include "parallel/tensor/token_transfer.h"

namespace cloze {

// The tokens of a microbatch that have a target, and what they predict.
struct Targets {
  std::vector<std::int64_t> tokens;  // Places in the microbatch, ascending.
  std::vector<std::int32_t> ids;     // One a place.
};

class VocabParallelHead {
 public:
  static constexpr std::int64_t kChunkTokens = 512;  // Logits of one chunk exist at a time.

  // `weight` is a [vocab / tp, hidden] group cut as vocab_spec says.
  VocabParallelHead(ParameterGroup& weight, TensorParallel tp) : weight_(weight), tp_(tp) {}

  // x [tokens (/ tp), hidden] -> the loss of each target, nats, the same on all tensor ranks.
  // When the pass keeps a stash, also adds the weight's gradient and keeps dx, so that the
  // logits are made once: the gradient of loss_weight * (sum of the losses).
  std::vector<double> forward(Pass& pass, const at::Tensor& x, const Targets& targets,
                              double loss_weight) const;
  // dx like x: what forward kept.
  at::Tensor backward(Pass& pass) const;

  // x [tokens, hidden] -> logits [tokens, vocab / tp].
  at::Tensor logits(const at::Tensor& x) const;

  ParameterGroup& weight() const { return weight_; }

 private:
  ParameterGroup& weight_;
  const TensorParallel tp_;
};

}  // namespace cloze
