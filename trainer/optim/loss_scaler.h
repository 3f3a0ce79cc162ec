// The factor on the loss that keeps fp16 gradients from vanishing (Micikevicius et al., 2018),
// and the count of steps skipped for non-finite gradients in a row.
#pragma once

#include <cstdint>

#include "configs/schema/run.pb.h"

namespace cloze {

class LossScaler {
 public:
  // What a checkpoint keeps.
  struct State {
    double scale = 1;
    std::int64_t clean_steps = 0;        // Since the last change of the scale or overflow.
    std::int64_t overflows = 0;          // That the hysteresis has not yet spent.
    std::int64_t consecutive_skips = 0;  // That no lower scale could have avoided.
    auto operator<=>(const State&) const = default;
  };

  explicit LossScaler(const config::Precision& options);

  double scale() const { return state_.scale; }
  // Tells how a step went; the same on every rank. Returns whether the step counts.
  bool update(bool gradients_finite);

  // Skips in a row in fp32 and bf16, or at the smallest scale: after kSkipLimit a run stops.
  static constexpr std::int64_t kSkipLimit = 8;
  bool must_stop() const { return state_.consecutive_skips >= kSkipLimit; }

  const State& state() const { return state_; }
  void set_state(const State& state) { state_ = state; }

 private:
  const config::Precision options_;
  const bool dynamic_;
  State state_;
};

}  // namespace cloze
