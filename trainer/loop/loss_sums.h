// Sums of losses and counts of targets, apart for each objective.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "data/batch.h"
#include "parallel/comm/groups.h"

namespace cloze {

struct LossSums {
  std::array<double, kNumObjectives> sum{};      // Nats.
  std::array<double, kNumObjectives> targets{};  // A count; double to travel with the sums.

  void add(const LossSums& other);
  double total() const;
  double total_targets() const;
  // Nats a target; NaN without targets.
  double mean() const { return total() / total_targets(); }
  double mean(Objective objective) const;
};

// `losses` has one entry for each target of the batch, in token order.
LossSums loss_sums(const Batch& batch, const std::vector<double>& losses);

// `mine` is this data rank's sum on the last stage. Every rank gets the sum over data ranks, in
// rank order.
LossSums sum_over_ranks(const LossSums& mine, const Groups& groups);

}  // namespace cloze
