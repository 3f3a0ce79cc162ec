#include "data/batch_plan.h"

#include <gtest/gtest.h>

#include <vector>

#include "parallel/base/check.h"

namespace cloze {
namespace {

TEST(BatchPlanTest, WithoutARampEveryStepIsAlike) {
  const BatchPlan plan({.global_size = 48});
  EXPECT_EQ(plan.rows(0), (StepRows{0, 48}));
  EXPECT_EQ(plan.rows(1000000000), (StepRows{48000000000, 48}));
  EXPECT_EQ(plan.step_at(48000000000), 1000000000);
}

// Against the rule of Megatron's --rampup-batch-size, walked step by step.
TEST(BatchPlanTest, RampEqualsTheWalkFromStepToStep) {
  for (const BatchPlanOptions& options :
       {BatchPlanOptions{4224, 5000000, 192, 24}, BatchPlanOptions{64, 1000, 8, 8},
        BatchPlanOptions{64, 10, 8, 8}, BatchPlanOptions{10, 7, 1, 3}}) {
    const BatchPlan plan(options);
    const std::int64_t increments =
        (options.global_size - options.ramp_start) / options.ramp_increment;
    std::int64_t ordinal = 0;
    for (std::int64_t step = 0; step < 5000; ++step) {
      std::int64_t size = options.global_size;
      if (ordinal < options.ramp_samples) {
        // The part of the ramp that the ordinal lies in.
        std::int64_t part = 0;
        while (ordinal >= options.ramp_samples * (part + 1) / increments) ++part;
        size = options.ramp_start + (part * options.ramp_increment);
      }
      ASSERT_EQ(plan.rows(step), (StepRows{ordinal, size})) << step;
      ASSERT_EQ(plan.step_at(ordinal), step);
      ordinal += size;
    }
  }
}

TEST(BatchPlanTest, FindsNoStepInsideABatch) {
  const BatchPlan plan(
      {.global_size = 64, .ramp_samples = 100, .ramp_start = 8, .ramp_increment = 8});
  EXPECT_EQ(plan.step_at(8), 1);
  for (const std::int64_t ordinal : {std::int64_t{-1}, std::int64_t{7}, std::int64_t{9}}) {
    try {
      plan.step_at(ordinal);
      ADD_FAILURE() << ordinal;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
    }
  }
}

TEST(BatchPlanTest, RefusesARampThatDoesNotArrive) {
  for (const BatchPlanOptions& options :
       {BatchPlanOptions{0}, BatchPlanOptions{8, -1}, BatchPlanOptions{8, 10, 0, 2},
        BatchPlanOptions{8, 10, 8, 2}, BatchPlanOptions{8, 10, 4, 0},
        BatchPlanOptions{8, 10, 3, 2}}) {
    try {
      const BatchPlan plan(options);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
    }
  }
}

TEST(BatchPlanTest, TakesTheSectionOfTheConfig) {
  config::BatchSize section;
  section.set_global_size(32);
  EXPECT_EQ(BatchPlan(batch_plan_options(section)).rows(3), (StepRows{96, 32}));
  section.set_ramp_samples(100);
  EXPECT_THROW(batch_plan_options(section), Error) << "without ramp_start";
  section.set_ramp_start(8);
  section.set_ramp_increment(8);
  EXPECT_EQ(BatchPlan(batch_plan_options(section)).rows(0), (StepRows{0, 8}));
}

}  // namespace
}  // namespace cloze
