#include "trainer/optim/adamw.h"

#include <ATen/ATen.h>

#include <cmath>

#include "parallel/pass/dtype_dispatch.h"

namespace cloze {

AdamW::AdamW(const config::Optimizer& options, std::vector<UpdateShard>& shards,
             const Kernels& kernels)
    : options_(options), shards_(shards), kernels_(kernels) {
  for (const UpdateShard& shard : shards_) {
    AdamWState state;
    const bool own_master = shard.value.scalar_type() != shard.gradient.scalar_type();
    state.master = own_master ? shard.value.to(shard.gradient.scalar_type()) : shard.value;
    state.exp_avg = at::zeros_like(shard.gradient);
    state.exp_avg_sq = at::zeros_like(shard.gradient);
    states_.push_back(std::move(state));
  }
}

void AdamW::step(double learning_rate, double gradient_scale) {
  ++num_updates_;
  AdamWStep step;
  step.lr = learning_rate;
  step.beta1 = options_.betas(0);
  step.beta2 = options_.betas(1);
  step.eps = options_.eps();
  step.bias_correction1 = 1 - std::pow(step.beta1, static_cast<double>(num_updates_));
  step.bias_correction2 = 1 - std::pow(step.beta2, static_cast<double>(num_updates_));
  step.gradient_scale = gradient_scale;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const UpdateShard& shard = shards_[i];
    AdamWState& state = states_[i];
    step.weight_decay = shard.buffer->decays ? options_.weight_decay() : 0;
    with_type(shard.value.scalar_type(), [&]<typename T>() {
      using Sum = Accumulator<T>;
      T* rounded = std::is_same_v<T, Sum> ? nullptr : data_of<T>(shard.value);
      kernels_.of<T>().adamw(data_of<Sum>(state.master), rounded,
                             data_of<const Sum>(shard.gradient), data_of<Sum>(state.exp_avg),
                             data_of<Sum>(state.exp_avg_sq), shard.gradient.numel(), step);
    });
  }
}

void AdamW::reset_masters() {
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    if (states_[i].master.is_same(shards_[i].value)) continue;
    states_[i].master.copy_(shards_[i].value);
  }
}

void AdamW::write_values() {
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    if (states_[i].master.is_same(shards_[i].value)) continue;
    shards_[i].value.copy_(states_[i].master);
  }
}

}  // namespace cloze
