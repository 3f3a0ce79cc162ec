// How many rows a step has and which: the batch ramp in closed form.
#pragma once

#include <cstdint>
#include <vector>

#include "configs/schema/run.pb.h"

namespace cloze {

struct BatchPlanOptions {
  std::int64_t global_size = 1;     // Rows of a step after the ramp.
  std::int64_t ramp_samples = 0;    // Rows over which the batch grows; 0 is no ramp.
  std::int64_t ramp_start = 0;      // Rows of the first step.
  std::int64_t ramp_increment = 0;  // Rows by which it grows.
};

BatchPlanOptions batch_plan_options(const config::BatchSize& section);

// The rows of a step, over all ranks.
struct StepRows {
  std::int64_t first_ordinal = 0;
  std::int64_t global_size = 0;

  bool operator==(const StepRows&) const = default;
};

// With a ramp of k = (global_size - ramp_start) / ramp_increment increments, rows
// [j ramp_samples / k, (j + 1) ramp_samples / k) come in batches of ramp_start + j ramp_increment;
// a batch that begins inside keeps its size.
class BatchPlan {
 public:
  // kUsage when a number is out of range or ramp_increment does not lead to global_size.
  explicit BatchPlan(const BatchPlanOptions& options);

  // Step 0 is the first.
  StepRows rows(std::int64_t step) const;
  // The step that begins at `ordinal`; kBadInput when none does (another plan made it).
  std::int64_t step_at(std::int64_t ordinal) const;

 private:
  struct Stage {
    std::int64_t first_step;
    std::int64_t first_ordinal;
    std::int64_t global_size;
  };
  std::vector<Stage> stages_;  // At least one; the last does not end.
};

}  // namespace cloze
