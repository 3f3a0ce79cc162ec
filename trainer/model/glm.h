// A GLM, or any contiguous range of its layers: a pipeline stage is a Glm too.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "configs/schema/run.pb.h"
#include "parallel/mesh/shard.h"
#include "parallel/pass/pass.h"
#include "parallel/tensor/vocab_parallel_head.h"
#include "trainer/model/block.h"
#include "trainer/model/embedding.h"
#include "trainer/model/microbatch.h"

namespace cloze {

// Which part of the model a stage holds.
struct StagePart {
  Range layers;
  bool first;  // Has the embedding.
  bool last;   // Has the final norm, the head and the loss.
};

// Whether the head's weight is the embedding's.
bool has_tied_head(const config::Model& model);

class Glm {
 public:
  // `model` is resolved: every size is set. `max_position` bounds the rotary positions.
  // Adds its parameters to `table`; the caller allocates them.
  Glm(ParameterTable& table, const config::Model& model, Recompute recompute,
      std::int64_t max_position, StagePart part, TensorParallel tp);

  // Embedding (on the first stage; `input` is then undefined) and blocks.
  // [tokens (/ tp), hidden] -> like it.
  at::Tensor forward(Pass& pass, const Microbatch& microbatch, const at::Tensor& input) const;
  // dy like forward's output -> the gradient of `input`; undefined on the first stage.
  at::Tensor backward(Pass& pass, const Microbatch& microbatch, const at::Tensor& dy) const;

  // On the last stage: final norm and head. x is forward's output. Returns the loss of each
  // target of the microbatch. The gradient is of loss_weight * (their sum).
  TargetLosses forward_loss(Pass& pass, const Microbatch& microbatch, const at::Tensor& x,
                            double loss_weight) const;
  // The gradient of forward_loss's x.
  at::Tensor backward_loss(Pass& pass) const;

  // [tokens (/ tp), hidden] -> [tokens, vocab / tp]; last stage.
  at::Tensor logits(const at::Tensor& x) const;

  // What its tables take of a device other than the CPU.
  std::int64_t table_bytes() const { return rotary_ ? rotary_->device_bytes() : 0; }
  const StagePart& part() const { return part_; }
  // The two uses of a tied embedding; null where this stage has none, or where it is not tied.
  ParameterGroup* tied_embedding() const { return tied_embedding_; }
  ParameterGroup* tied_head() const { return tied_head_; }

 private:
  const StagePart part_;
  const TensorParallel tp_;
  std::unique_ptr<RotaryTables> rotary_;
  std::optional<Embedding> embedding_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::optional<Norm> final_norm_;
  std::optional<VocabParallelHead> head_;
  ParameterGroup* tied_embedding_ = nullptr;
  ParameterGroup* tied_head_ = nullptr;
};

// Ranks that hold the same key/value heads when there are fewer heads than tensor ranks.
int kv_replicas(const config::Model& model, int tensor_degree);

}  // namespace cloze
