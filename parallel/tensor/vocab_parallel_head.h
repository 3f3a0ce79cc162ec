// The output layer and its cross entropy over a cut vocabulary, in chunks of tokens, so that the
// logits of a whole microbatch never exist.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "parallel/pass/pass.h"
#include "parallel/tensor/token_transfer.h"

namespace cloze {

// The tokens of a microbatch that have a target, and what they predict, in the memory of the device
// that computes.
struct Targets {
  std::int64_t count = 0;
  at::Tensor tokens;                  // [count] int64: places in the microbatch, ascending.
  const std::int32_t* ids = nullptr;  // [count]
};

// The losses of a microbatch's targets.
class TargetLosses {
 public:
  // `sums`: of each block of `block` targets, one after the other, the sums of exponentials and
  // then the shifted target logits; see row_sums().
  TargetLosses(at::Tensor sums, std::int64_t count, std::int64_t block)
      : sums_(std::move(sums)), count_(count), block_(block) {}

  // Nats, one a target. Waits for the device that computes them.
  std::vector<double> values() const;

 private:
  at::Tensor sums_;
  std::int64_t count_;
  std::int64_t block_;
};

class VocabParallelHead {
 public:
  static constexpr std::int64_t kChunkTokens = 512;  // Logits of one chunk exist at a time.
  // Bytes that the products of a chunk of `tokens` work in.
  static std::int64_t chunk_workspace(const Kernels& kernels, at::ScalarType type,
                                      std::int64_t tokens, std::int64_t hidden, std::int64_t vocab);

  // `weight` is a [vocab / tp, hidden] group cut as vocab_spec says.
  VocabParallelHead(ParameterGroup& weight, TensorParallel tp) : weight_(weight), tp_(tp) {}

  // x [tokens (/ tp), hidden] -> the loss of each target, the same on all tensor ranks.
  // When the pass keeps a stash, also adds the weight's gradient and keeps dx, so that the
  // logits are made once: the gradient of loss_weight * (sum of the losses).
  TargetLosses forward(Pass& pass, const at::Tensor& x, const Targets& targets,
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
