// The ramp as a table of stages, one for each batch size.
#include "data/batch_plan.h"

#include <algorithm>

#include "parallel/base/check.h"

namespace cloze {

BatchPlanOptions batch_plan_options(const config::BatchSize& section) {
  BatchPlanOptions options = {.global_size = section.global_size(),
                              .ramp_samples = section.ramp_samples()};
  if (options.ramp_samples == 0) return options;
  CLOZE_REQUIRE(section.has_ramp_start() && section.has_ramp_increment(), ExitCode::kUsage,
                "batch.ramp_samples is given without ramp_start and ramp_increment",
                "give both, or leave out ramp_samples");
  options.ramp_start = section.ramp_start();
  options.ramp_increment = section.ramp_increment();
  return options;
}

BatchPlan::BatchPlan(const BatchPlanOptions& options) {
  CLOZE_REQUIRE(options.global_size >= 1 && options.global_size <= (std::int64_t{1} << 31),
                ExitCode::kUsage, str("batch.global_size is ", options.global_size),
                "give a number of rows from 1 to 2147483648");
  CLOZE_REQUIRE(options.ramp_samples >= 0 && options.ramp_samples <= (std::int64_t{1} << 48),
                ExitCode::kUsage, str("batch.ramp_samples is ", options.ramp_samples),
                "give a number of rows, or 0 for no ramp");
  if (options.ramp_samples == 0) {
    stages_.push_back({0, 0, options.global_size});
    return;
  }
  CLOZE_REQUIRE(
      options.ramp_start >= 1 && options.ramp_start < options.global_size, ExitCode::kUsage,
      str("batch.ramp_start is ", options.ramp_start, ", batch.global_size ", options.global_size),
      "let the ramp start with at least one row and below global_size");
  const std::int64_t growth = options.global_size - options.ramp_start;
  CLOZE_REQUIRE(options.ramp_increment >= 1 && growth % options.ramp_increment == 0,
                ExitCode::kUsage,
                str("batch.ramp_increment ", options.ramp_increment, " does not lead from ",
                    options.ramp_start, " to ", options.global_size, " rows"),
                str("choose a divisor of ", growth));
  const std::int64_t increments = growth / options.ramp_increment;
  std::int64_t step = 0;
  std::int64_t ordinal = 0;
  for (std::int64_t j = 0; j < increments; ++j) {
    const auto end = static_cast<std::int64_t>(static_cast<__int128>(options.ramp_samples) *
                                               (j + 1) / increments);
    if (ordinal >= end) continue;  // The batch before reached beyond this part of the ramp.
    const std::int64_t size = options.ramp_start + (j * options.ramp_increment);
    const std::int64_t steps = (end - ordinal + size - 1) / size;
    stages_.push_back({step, ordinal, size});
    step += steps;
    ordinal += steps * size;
  }
  stages_.push_back({step, ordinal, options.global_size});
}

StepRows BatchPlan::rows(std::int64_t step) const {
  CLOZE_CHECK(step >= 0, str("step ", step), "count steps from 0");
  const auto after = std::ranges::upper_bound(stages_, step, {}, &Stage::first_step);
  const Stage& stage = *(after - 1);
  return {.first_ordinal = stage.first_ordinal + ((step - stage.first_step) * stage.global_size),
          .global_size = stage.global_size};
}

std::int64_t BatchPlan::step_at(std::int64_t ordinal) const {
  const auto after = std::ranges::upper_bound(stages_, ordinal, {}, &Stage::first_ordinal);
  const bool negative = after == stages_.begin();
  const Stage& stage = negative ? stages_.front() : *(after - 1);
  const std::int64_t rows = ordinal - stage.first_ordinal;
  CLOZE_REQUIRE(
      !negative && rows % stage.global_size == 0, ExitCode::kBadInput,
      str("no step begins at row ", ordinal, " with batches of ", stage.global_size, " rows"),
      "resume with the batch section that the checkpoint was made with");
  return stage.first_step + (rows / stage.global_size);
}

}  // namespace cloze
