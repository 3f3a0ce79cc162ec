// One pre-norm transformer block, as the GLM of 2021 and GLM-4 both have it:
//   x += dropout(attention(norm(x)));  x += dropout(feed_forward(norm(x)))
// What differs between the families are the options of the parts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "configs/schema/run.pb.h"
#include "parallel/pass/pass.h"
#include "trainer/model/attention.h"
#include "trainer/model/feed_forward.h"
#include "trainer/model/microbatch.h"
#include "trainer/model/norm.h"

namespace cloze {

// What backward computes again instead of keeping.
enum class Recompute : std::uint8_t {
  kNone,
  kSelective,  // Outputs of norms and activations: cheap to make, large to keep.
  kFull,       // Everything but the block's input.
};

Recompute recompute_of(const config::Parallel& parallel);

struct BlockOptions {
  std::uint32_t layer;
  std::int64_t hidden_size;
  NormOptions input_norm;
  AttentionOptions attention;
  NormOptions post_attention_norm;
  FeedForwardOptions feed_forward;
  double output_dropout;
  Recompute recompute;
};

class Block {
 public:
  Block(ParameterTable& table, BlockOptions options, const RotaryTables* rotary, TensorParallel tp);

  // x [tokens (/ tp), hidden] -> like x.
  at::Tensor forward(Pass& pass, const Microbatch& microbatch, const at::Tensor& x) const;
  // dy like x -> dx like x.
  at::Tensor backward(Pass& pass, const Microbatch& microbatch, const at::Tensor& dy) const;

 private:
  at::Tensor forward_keeping(Pass& pass, const Microbatch& microbatch, const at::Tensor& x) const;
  at::Tensor backward_from_stash(Pass& pass, const Microbatch& microbatch,
                                 const at::Tensor& dy) const;
  bool drops(const Pass& pass) const { return pass.training && options_.output_dropout > 0; }
  // residual + dropout(x + bias). `place` is 0 after attention, 1 after the feed-forward layer.
  at::Tensor add_residual(const Pass& pass, const Microbatch& microbatch,
                          const at::Tensor& residual, const at::Tensor& x, const at::Tensor& bias,
                          std::uint32_t place) const;
  // The gradient of x in add_residual.
  at::Tensor branch_gradient(const Pass& pass, const Microbatch& microbatch, const at::Tensor& dy,
                             std::uint32_t place) const;

  const BlockOptions options_;
  const TensorParallel tp_;
  Norm input_norm_;
  Attention attention_;
  Norm post_attention_norm_;
  FeedForward feed_forward_;
};

}  // namespace cloze
