#include "trainer/optim/loss_scaler.h"

#include <algorithm>

namespace cloze {

LossScaler::LossScaler(const config::Precision& options)
    : options_(options), dynamic_(options.compute() == config::Precision::fp16) {
  if (dynamic_) state_.scale = options.initial_loss_scale();
}

bool LossScaler::update(bool gradients_finite) {
  if (gradients_finite) {
    state_.consecutive_skips = 0;
    if (dynamic_ && ++state_.clean_steps >= options_.loss_scale_window()) {
      state_.scale *= 2;
      state_.clean_steps = 0;
      state_.overflows = 0;
    }
    return true;
  }
  const bool at_minimum = !dynamic_ || state_.scale <= options_.min_loss_scale();
  if (at_minimum) ++state_.consecutive_skips;
  state_.clean_steps = 0;
  if (dynamic_ && ++state_.overflows >= options_.loss_scale_hysteresis()) {
    state_.scale = std::max(options_.min_loss_scale(), state_.scale / 2);
    state_.overflows = 0;
  }
  return false;
}

}  // namespace cloze
