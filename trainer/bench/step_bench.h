// How fast training steps are: whole ones, with the loader, on rows that are made up.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "parallel/comm/groups.h"
#include "trainer/loop/training_state.h"

namespace cloze {

struct StepBenchOptions {
  std::int64_t steps = 10;   // That are timed.
  std::int64_t warm_up = 2;  // Before them, 1 or more: memory is taken, pages come in.
};

// docs/measuring.md defines every figure.
struct StepFigures {
  std::int64_t parameters = 0;
  int ranks = 0;
  int threads = 0;               // Of each rank.
  std::int64_t step_tokens = 0;  // global_size * seq_length: positions.
  double step_targets = 0;       // Mean of the timed steps.
  double step_flops = 0;         // Mean of the timed steps, nothing recomputed counted.
  std::int64_t skipped = 0;      // Of the timed steps: those without an update.
  std::vector<double> step_seconds{};
  double data_wait_seconds = 0;           // Of all timed steps, this rank's.
  double peak_flops_per_second = 0;       // Of an fp32 product on all ranks at once; the best.
  std::int64_t memory_bytes = 0;          // Resident high water of the largest rank.
  std::int64_t tensor_bytes = 0;          // High water of the allocator's tensors, largest rank.
  std::int64_t planned_bytes = 0;         // What they were planned to be.
  std::int64_t requests_after_start = 0;  // Memory asked of the system in timed steps, all ranks.
  double loss = 0;                        // Of the last step: that it trains.

  double median_seconds() const;
  double tokens_per_second() const;
  double targets_per_second() const;
  double flops_per_second() const;
  double mfu() const;  // flops_per_second / peak_flops_per_second
};

// All ranks run it together. Times are by each rank's own clock: rank 0's are the ones to tell;
// sums and maxima are the same on all.
StepFigures bench_step(TrainingState& state, const StepBenchOptions& options);

nlohmann::ordered_json json_of(const StepFigures& figures);
std::vector<std::string> lines_of(const StepFigures& figures);

}  // namespace cloze
