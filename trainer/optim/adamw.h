// AdamW with decoupled weight decay (Loshchilov and Hutter, 2019) over the rows that this rank
// updates, with fp32 masters where the model computes in 16 bits.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "configs/schema/run.pb.h"
#include "parallel/data_parallel/gradient_reducer.h"
#include "parallel/kernels/kernels.h"

namespace cloze {

// The optimizer's memory of one shard; tensors [elements of the shard], accumulator type.
struct AdamWState {
  at::Tensor master;  // The shard's value itself when no wider copy is needed.
  at::Tensor exp_avg;
  at::Tensor exp_avg_sq;
};

class AdamW {
 public:
  // Borrows the shards and the kernels of their device; their values are the starting point.
  AdamW(const config::Optimizer& options, std::vector<UpdateShard>& shards, const Kernels& kernels);

  // One update. `gradient_scale` multiplies every gradient: clipping and the loss scale.
  void step(double learning_rate, double gradient_scale);

  // Takes the shards' values as masters again: after other weights were loaded into them.
  void reset_masters();
  // Rounds the masters into the shards' values: after a checkpoint was loaded.
  void write_values();

  std::vector<AdamWState>& states() { return states_; }
  const std::vector<AdamWState>& states() const { return states_; }
  std::int64_t num_updates() const { return num_updates_; }
  void set_num_updates(std::int64_t count) { num_updates_ = count; }

 private:
  const config::Optimizer options_;
  std::vector<UpdateShard>& shards_;
  const Kernels& kernels_;
  std::vector<AdamWState> states_;
  std::int64_t num_updates_ = 0;
};

}  // namespace cloze
