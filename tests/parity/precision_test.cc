// 16-bit compute with fp32 masters runs through the same code as fp32.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/parity/layout_run.h"
#include "trainer/loop/train_step.h"

namespace cloze {
namespace {

class PrecisionTest
    : public testing::TestWithParam<std::tuple<config::Model::Family, config::Precision::Compute>> {
};

INSTANTIATE_TEST_SUITE_P(
    Precisions, PrecisionTest,
    testing::Combine(testing::Values(config::Model::glm4, config::Model::glm2021),
                     testing::Values(config::Precision::bf16, config::Precision::fp16)),
    [](const auto& info) {
      return config::Model::Family_Name(std::get<0>(info.param)) + "_" +
             config::Precision::Compute_Name(std::get<1>(info.param));
    });

// bf16 keeps 8 bits of mantissa: losses near 4 nats agree to about a percent.
constexpr double kLossTolerance = 0.02;

TEST_P(PrecisionTest, LossesFollowSinglePrecisionOnCutModels) {
  const auto [family, compute] = GetParam();
  config::Run exact = small_run(family, config::Precision::fp32);
  config::Run rounded = small_run(family, compute);
  rounded.mutable_precision()->set_initial_loss_scale(1024);
  const BatchesOfStep batches = sampled_batches(exact);
  const LayoutOutcome expected = train_on(exact, {}, 3, batches);
  for (const Degrees& layout : {Degrees{}, Degrees{.pipeline = 2, .data = 2, .tensor = 2}}) {
    SCOPED_TRACE(name_of(layout));
    rounded.mutable_parallel()->set_sequence(layout.tensor > 1);
    const LayoutOutcome outcome = train_on(rounded, layout, 3, batches);
    for (std::size_t step = 0; step < 3; ++step) {
      EXPECT_NEAR(outcome.losses[step], expected.losses[step], kLossTolerance);
      EXPECT_NEAR(outcome.norms[step] / expected.norms[step], 1, 0.05);
    }
    EXPECT_EQ(outcome.final.begin()->second.scalar_type(),
              compute == config::Precision::bf16 ? at::kBFloat16 : at::kHalf);
  }
}

// An update far below a 16-bit step of the weight must not be lost: the master keeps it.
TEST_P(PrecisionTest, MastersKeepUpdatesThatTheWeightsRoundAway) {
  const auto [family, compute] = GetParam();
  config::Run run = small_run(family, compute);
  run.mutable_precision()->set_initial_loss_scale(1024);
  run.mutable_optimizer()->set_weight_decay(0);
  const BatchesOfStep batches = sampled_batches(run);
  on_layout(run, {}, [&](TrainingState& state) {
    const at::Tensor before = state.optimizer().states()[0].master.clone();
    train_step(state, batches(run, {}, {}, 0), 1e-7);
    const at::Tensor& after = state.optimizer().states()[0].master;
    EXPECT_EQ(after.scalar_type(), at::kFloat);
    EXPECT_GT((after - before).abs().max().item<double>(), 0);
    // Values are the masters rounded, nothing else.
    EXPECT_TRUE(at::equal(after.to(state.compute_type()), state.reducer().shards()[0].value));
  });
}

TEST(LossScaleTest, OverflowHalvesTheScaleAndSkipsTheStepOnEveryRank) {
  config::Run run = small_run(config::Model::glm4, config::Precision::fp16);
  run.mutable_precision()->set_initial_loss_scale(0x1p40);  // Overflows in fp16 for certain.
  run.mutable_precision()->set_loss_scale_hysteresis(1);
  const BatchesOfStep batches = sampled_batches(run);
  const Degrees layout{.pipeline = 2, .data = 2, .tensor = 2};
  on_layout(run, layout, [&](TrainingState& state) {
    const at::Tensor before = state.table().buffers()[0].value.clone();
    const StepReport report = train_step(state, batches(run, layout, state.groups().at, 0), 1e-3);
    EXPECT_TRUE(report.skipped);
    EXPECT_EQ(state.scaler().scale(), 0x1p39);
    EXPECT_FALSE(state.scaler().must_stop());
    EXPECT_TRUE(at::equal(before, state.table().buffers()[0].value));
    EXPECT_EQ(state.optimizer().num_updates(), 0);
  });
}

}  // namespace
}  // namespace cloze
