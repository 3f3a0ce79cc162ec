// What must not change a bit: where stages are cut, how gradients are bucketed and sharded, what is
// computed again, how many threads compute.
#include <gtest/gtest.h>

#include <functional>

#include "tests/parity/layout_run.h"

namespace cloze {
namespace {

using Family = config::Model::Family;
using Change = std::function<void(config::Run&)>;

constexpr int kSteps = 3;

config::Run run_of(Family family, int data) {
  config::Run run = small_run(family, config::Precision::fp32);
  run.mutable_batch()->set_global_size(data == 3 ? 6 : 8);
  if (family == config::Model::glm2021) {
    run.mutable_model()->set_embedding_dropout(0.1);
    run.mutable_model()->set_attention_dropout(0.1);
    run.mutable_model()->set_output_dropout(0.1);
  }
  return run;
}

void expect_same(const LayoutOutcome& expected, const LayoutOutcome& outcome) {
  EXPECT_EQ(expected.losses, outcome.losses);
  EXPECT_EQ(expected.norms, outcome.norms);
  EXPECT_TRUE(same_bits(expected.gradients, outcome.gradients));
  EXPECT_TRUE(same_bits(expected.final, outcome.final));
}

class BitsTest : public testing::TestWithParam<std::tuple<Family, int, int>> {
 protected:
  // The outcome of the base layout with one thing changed equals the base's.
  void expect_unchanged(const Change& change, int pipeline = 1, int threads = 1) {
    const auto [family, data, tensor] = GetParam();
    config::Run run = run_of(family, data);
    run.mutable_parallel()->set_sequence(tensor > 1);
    const BatchesOfStep batches = sampled_batches(run);
    const LayoutOutcome expected =
        train_on(run, {.pipeline = 1, .data = data, .tensor = tensor}, kSteps, batches);
    change(run);
    expect_same(expected, train_on(run, {.pipeline = pipeline, .data = data, .tensor = tensor},
                                   kSteps, batches, 1e-3, threads));
  }
};

INSTANTIATE_TEST_SUITE_P(Layouts, BitsTest,
                         testing::Combine(testing::Values(config::Model::glm4,
                                                          config::Model::glm2021),
                                          testing::Values(1, 2, 3), testing::Values(1, 2)),
                         [](const auto& info) {
                           return config::Model::Family_Name(std::get<0>(info.param)) + "_data" +
                                  std::to_string(std::get<1>(info.param)) + "_tensor" +
                                  std::to_string(std::get<2>(info.param));
                         });

TEST_P(BitsTest, PipelineDegreeChangesNoBit) {
  expect_unchanged([](config::Run&) {}, 2);
  expect_unchanged([](config::Run&) {}, 4);
}

TEST_P(BitsTest, StageCutChangesNoBit) {
  expect_unchanged(
      [](config::Run& run) {
        for (const int layers : {1, 5, 2}) run.mutable_parallel()->add_stage_layers(layers);
      },
      3);
}

TEST_P(BitsTest, ScheduleChangesNoBit) {
  expect_unchanged(
      [](config::Run& run) { run.mutable_parallel()->set_schedule(config::Parallel::gpipe); }, 2);
}

TEST_P(BitsTest, BucketSizeChangesNoBit) {
  expect_unchanged([](config::Run& run) { run.mutable_parallel()->set_bucket_bytes(5000); });
  expect_unchanged([](config::Run& run) { run.mutable_parallel()->set_bucket_bytes(1); });
}

TEST_P(BitsTest, ZeroStageChangesNoBit) {
  expect_unchanged([](config::Run& run) { run.mutable_parallel()->set_zero_stage(0); });
}

TEST_P(BitsTest, RecomputeChangesNoBit) {
  expect_unchanged(
      [](config::Run& run) { run.mutable_parallel()->set_recompute(config::Parallel::selective); });
  expect_unchanged(
      [](config::Run& run) { run.mutable_parallel()->set_recompute(config::Parallel::full); });
}

TEST_P(BitsTest, ThreadCountChangesNoBit) {
  expect_unchanged([](config::Run&) {}, 1, 2);
}

struct Kept {
  std::int64_t bytes = 0;   // Of what one forward keeps for its backward.
  std::int64_t tokens = 0;  // Of its microbatch.
};

Kept kept_by_a_forward(config::Run run, config::Parallel::Recompute recompute) {
  run.mutable_parallel()->set_recompute(recompute);
  const BatchesOfStep batches = sampled_batches(run);
  Kept kept;
  on_layout(run, {}, [&](TrainingState& state) {
    const std::vector<Batch> of_step = batches(run, {}, {}, 0);
    const Microbatch microbatch(of_step.front());
    Pass pass;
    state.glm().forward(pass, microbatch, {});
    kept = {.bytes = pass.stash.bytes(), .tokens = microbatch.num_tokens()};
  });
  return kept;
}

TEST(RecomputeTest, TheMoreIsComputedAgainTheLessIsKept) {
  for (const Family family : {config::Model::glm4, config::Model::glm2021}) {
    const config::Run run = run_of(family, 1);
    const Kept none = kept_by_a_forward(run, config::Parallel::none);
    const Kept selective = kept_by_a_forward(run, config::Parallel::selective);
    const Kept full = kept_by_a_forward(run, config::Parallel::full);
    EXPECT_LT(selective.bytes, none.bytes);
    EXPECT_LT(full.bytes, selective.bytes);
    // Each block's input, and little else.
    const std::int64_t input = full.tokens * run.model().hidden_size() * 4;
    EXPECT_GE(full.bytes, run.model().num_hidden_layers() * input);
    EXPECT_LE(full.bytes, (run.model().num_hidden_layers() + 1) * input);
  }
}

}  // namespace
}  // namespace cloze
