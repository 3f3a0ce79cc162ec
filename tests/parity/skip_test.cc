// A non-finite gradient anywhere skips the step everywhere.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/parity/layout_run.h"
#include "trainer/loop/train_step.h"

namespace cloze {
namespace {

std::vector<at::Tensor> copies_of(TrainingState& state) {
  std::vector<at::Tensor> copies;
  for (const FlatBuffer& buffer : state.table().buffers()) copies.push_back(buffer.value.clone());
  for (const AdamWState& moments : state.optimizer().states()) {
    copies.push_back(moments.master.clone());
    copies.push_back(moments.exp_avg.clone());
    copies.push_back(moments.exp_avg_sq.clone());
  }
  return copies;
}

bool same_bits(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(a[i].data_ptr(), b[i].data_ptr(), a[i].nbytes()) != 0) return false;
  }
  return a.size() == b.size();
}

// A weight of one rank becomes infinite, so that rank's gradients do.
class SkipTest : public testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(PoisonedRank, SkipTest, testing::Range(0, 8));

TEST_P(SkipTest, OneRanksInfinityLeavesEveryRankUnchanged) {
  config::Run run = small_run(config::Model::glm4, config::Precision::fp32);
  run.mutable_parallel()->set_sequence(true);
  const BatchesOfStep batches = sampled_batches(run);
  const Degrees layout{.pipeline = 2, .data = 2, .tensor = 2};
  on_layout(run, layout, [&](TrainingState& state) {
    train_step(state, batches(run, layout, state.groups().at, 0), 1e-3);
    if (state.groups().world_rank == GetParam()) {
      at::Tensor values = state.table().buffers()[0].value;
      values[0] = std::numeric_limits<float>::infinity();
    }
    const std::vector<at::Tensor> before = copies_of(state);
    const StepReport report = train_step(state, batches(run, layout, state.groups().at, 1), 1e-3);
    EXPECT_TRUE(report.skipped);
    EXPECT_FALSE(std::isfinite(report.gradient_norm));
    EXPECT_TRUE(same_bits(before, copies_of(state)));
    EXPECT_EQ(state.optimizer().num_updates(), 1);
  });
}

// The parameters of one name on this rank; null where another stage has them.
const Parameter* parameter_of(TrainingState& state, const std::string& name) {
  for (const Parameter* parameter : state.table().owned()) {
    if (parameter->spec.name == name) return parameter;
  }
  return nullptr;
}

std::int64_t num_bad_gradients(TrainingState& state) {
  std::int64_t bad = 0;
  for (const FlatBuffer& buffer : state.table().buffers()) {
    bad += at::isfinite(buffer.main_grad).logical_not().sum().item<std::int64_t>();
  }
  return bad;
}

// In one layer of each stage, channel `kChannel` of what the feed-forward reads is scaled by 1e8,
// and no weight reads it. On `victim` the last inner unit is always 0, with a weight of 1e37 behind
// it. So forward stays finite; backward multiplies 1e37 and 1e8, in one element of up_proj alone.
void set_a_trap(TrainingState& state, bool victim) {
  constexpr std::int64_t kChannel = 17;
  const std::string layer = str("model.layers.", state.groups().at.pipeline == 0 ? 2 : 7, ".");
  at::Tensor norm = parameter_of(state, layer + "post_attention_layernorm.weight")->value;
  at::Tensor gate = parameter_of(state, layer + "mlp.gate_proj.weight")->value;
  at::Tensor up = parameter_of(state, layer + "mlp.up_proj.weight")->value;
  at::Tensor down = parameter_of(state, layer + "mlp.down_proj.weight")->value;
  norm[kChannel] = 1e8;
  gate.select(1, kChannel).zero_();
  up.select(1, kChannel).zero_();
  if (!victim) return;
  up[up.size(0) - 1].zero_();
  down[0][down.size(1) - 1] = 1e37;
}

TEST_P(SkipTest, OneElementsOverflowInBackwardLeavesEveryRankUnchanged) {
  config::Run run = small_run(config::Model::glm4, config::Precision::fp32);
  run.mutable_parallel()->set_sequence(true);
  run.mutable_parallel()->set_bucket_bytes(5000);  // Many buckets: it is in one.
  const BatchesOfStep batches = sampled_batches(run);
  const Degrees layout{.pipeline = 2, .data = 2, .tensor = 2};
  on_layout(run, layout, [&](TrainingState& state) {
    train_step(state, batches(run, layout, state.groups().at, 0), 1e-3);
    const bool victim = state.groups().world_rank == GetParam();
    set_a_trap(state, victim);
    const std::vector<at::Tensor> before = copies_of(state);
    const StepReport report = train_step(state, batches(run, layout, state.groups().at, 1), 1e-3);
    EXPECT_TRUE(std::isfinite(report.loss()));
    EXPECT_EQ(num_bad_gradients(state), victim ? 1 : 0);
    EXPECT_TRUE(report.skipped);
    EXPECT_FALSE(std::isfinite(report.gradient_norm));
    EXPECT_TRUE(same_bits(before, copies_of(state)));
    EXPECT_EQ(state.optimizer().num_updates(), 1);
  });
}

TEST(SkipLimitTest, EightInARowStopTheRun) {
  config::Run run = small_run(config::Model::glm4, config::Precision::fp32);
  const BatchesOfStep batches = sampled_batches(run);
  on_layout(run, {}, [&](TrainingState& state) {
    state.table().buffers()[0].value[0] = std::numeric_limits<float>::quiet_NaN();
    for (int step = 0; step < 8; ++step) {
      EXPECT_FALSE(state.scaler().must_stop());
      EXPECT_TRUE(train_step(state, batches(run, {}, {}, step), 1e-3).skipped);
    }
    EXPECT_TRUE(state.scaler().must_stop());
  });
}

TEST(EmptyBatchTest, ABatchWithoutTargetsIsSkipped) {
  config::Run run = small_run(config::Model::glm4, config::Precision::fp32);
  const BatchesOfStep batches = sampled_batches(run);
  on_layout(run, {.pipeline = 2}, [&](TrainingState& state) {
    std::vector<Batch> empty = batches(run, {.pipeline = 2}, state.groups().at, 0);
    for (Batch& batch : empty) std::fill(batch.loss_mask.begin(), batch.loss_mask.end(), 0);
    const std::vector<at::Tensor> before = copies_of(state);
    EXPECT_TRUE(train_step(state, std::move(empty), 1e-3).skipped);
    EXPECT_TRUE(same_bits(before, copies_of(state)));
  });
}

}  // namespace
}  // namespace cloze
