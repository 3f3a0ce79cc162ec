// The learning rate as a function of the step.
#pragma once

#include <cstdint>
#include <string_view>

#include "configs/schema/run.pb.h"

namespace cloze {

// "10" steps, or "2%" of `total` rounded up, so that a small one is not 0. The config is checked
// before.
std::int64_t schedule_steps(std::string_view length, std::int64_t total);

// The rate of step 1 .. total_steps. Warm-up rises linearly to `peak` at its last step; then
//   cosine    min_lr + (peak - min_lr) (1 + cos(pi p)) / 2, p the share of the decay passed
//   linear    peak - (peak - min_lr) p
//   constant  peak
//   wsd       peak, then linear to min_lr over the last `decay` steps (Hu et al., 2024)
double learning_rate(const config::Schedule& schedule, double peak, std::int64_t step,
                     std::int64_t total_steps);

}  // namespace cloze
