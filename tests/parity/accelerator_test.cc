// The whole trainer on a device of LibTorch's that is not the CPU, as on a GPU: batches come and
// checkpoints go on streams of their own, tensors between ranks over NCCL's communicators or
// through the hosts' memory, kernels are those of GPUs under their emulator. But for its products,
// which LibTorch computes on the CPU, it is what a GPU would do.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "parallel/base/check.h"
#include "tests/parity/accelerator_run.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/simulated_accelerator.h"
#include "trainer/loop/checkpointing.h"
#include "trainer/loop/train_step.h"

namespace cloze {
namespace {

using Family = config::Model::Family;

class AcceleratorTest : public testing::TestWithParam<std::tuple<Family, Degrees>> {};

std::string name_of_case(const testing::TestParamInfo<std::tuple<Family, Degrees>>& info) {
  const auto& [family, layout] = info.param;
  return str(config::Model::Family_Name(family), "_t", layout.tensor, "_p", layout.pipeline, "_d",
             layout.data);
}

INSTANTIATE_TEST_SUITE_P(
    Layouts, AcceleratorTest,
    testing::Combine(testing::Values(config::Model::glm4, config::Model::glm2021),
                     testing::Values(Degrees{}, Degrees{.pipeline = 2, .tensor = 2},
                                     Degrees{.data = 2, .tensor = 2})),
    name_of_case);

TEST_P(AcceleratorTest, TrainsAsTheCpuDoes) {
  const auto& [family, layout] = GetParam();
  config::Run run = small_run(family, config::Precision::fp64);
  run.mutable_parallel()->set_sequence(layout.tensor > 1);
  if (family == config::Model::glm2021) {
    run.mutable_model()->set_embedding_dropout(0.1);
    run.mutable_model()->set_attention_dropout(0.1);
    run.mutable_model()->set_output_dropout(0.1);
  }
  const BatchesOfStep batches = sampled_batches(run);
  constexpr int kSteps = 2;
  const LayoutOutcome expected = train_on(run, layout, kSteps, batches);
  set_accelerator_options({.seed = 5});
  SimulatedGpus gpus(layout.world(), {.seed = 3, .tensors = simulated_accelerator()});
  const std::int64_t copies = num_copies_on_other_streams();
  const LayoutOutcome outcome = train_on(run, layout, kSteps, batches, 1e-3, 1, {},
                                         connect_gpus(gpus), accelerator_kernels());
  // Each rank's microbatches, one copy each.
  const std::int64_t microbatches = kSteps * run.batch().global_size() / layout.data;
  EXPECT_EQ(num_copies_on_other_streams() - copies, microbatches * layout.world());
  for (std::size_t step = 0; step < kSteps; ++step) {
    EXPECT_NEAR(outcome.losses[step] / expected.losses[step], 1, 1e-12);
    EXPECT_NEAR(outcome.norms[step] / expected.norms[step], 1, 1e-10);
  }
  EXPECT_LT(relative_difference(expected.gradients, outcome.gradients), 1e-10);
  EXPECT_LT(relative_difference(expected.final, outcome.final), 1e-8);
}

// Tensors between ranks that share a device go through the hosts' memory: no bit of the result
// shows it.
TEST(SharedAcceleratorTest, AllLayoutsGiveTheBitsOfTheCpu) {
  for (const Family family : {config::Model::glm4, config::Model::glm2021}) {
    config::Run run = small_run(family, config::Precision::fp32);
    run.mutable_parallel()->set_zero_stage(1);
    const BatchesOfStep batches = sampled_batches(run);
    for (const Degrees& layout : all_layouts()) {
      run.mutable_parallel()->set_sequence(layout.tensor > 1);
      SCOPED_TRACE(str(config::Model::Family_Name(family), ", ", name_of(layout)));
      const LayoutOutcome expected = train_on(run, layout, 1, batches);
      set_accelerator_options({.seed = static_cast<std::uint64_t>(layout.world())});
      const LayoutOutcome outcome = train_on(run, layout, 1, batches, 1e-3, 1, {}, connect_sharing);
      EXPECT_EQ(expected.losses, outcome.losses);
      EXPECT_TRUE(same_bits(expected.gradients, outcome.gradients));
      EXPECT_TRUE(same_bits(expected.final, outcome.final));
    }
  }
}

// A checkpoint of the CPU goes on on the device and back, to the last bit, on other layouts.
TEST_P(AcceleratorTest, CheckpointsGoFromOneDeviceToTheOther) {
  const auto& [family, layout] = GetParam();
  const config::Run run = small_run(family, config::Precision::fp32);
  const BatchesOfStep batches = sampled_batches(run);
  const ScratchFolder scratch("accelerator");
  const std::filesystem::path there = scratch.path() / "there";
  const std::filesystem::path back = scratch.path() / "back";
  Progress progress;
  progress.step = 1;
  progress.run_id = "accelerator";
  const auto collected = [](const auto& load) {
    GlobalCollector collector;
    std::mutex mutex;
    load([&](TrainingState& state) {
      const std::scoped_lock lock(mutex);
      collect_state(state, collector);
    });
    return collector.finish();
  };
  const GlobalTensors expected = collected([&](const auto& collect) {
    on_layout(run, {}, [&](TrainingState& state) {
      train_step(state, batches(run, {}, {}, 0), 1e-3);
      save_checkpoint(state, progress, {}, there);
      collect(state);
    });
  });
  for (const std::uint64_t seed : {0U, 1U, 2U}) {
    set_accelerator_options({.seed = seed, .early = seed == 0 ? 0 : 0.4});
    const std::filesystem::path folder = back / std::to_string(seed);
    const GlobalTensors loaded = collected([&](const auto& collect) {
      on_layout(
          run, layout,
          [&](TrainingState& state) {
            load_checkpoint(state, there / step_folder_name(1));
            collect(state);
            save_checkpoint(state, progress, {}, folder);
          },
          connect_sharing, accelerator_kernels());
    });
    EXPECT_TRUE(same_bits(expected, loaded)) << seed;
    const GlobalTensors returned = collected([&](const auto& collect) {
      on_layout(run, {}, [&](TrainingState& state) {
        load_checkpoint(state, folder / step_folder_name(1));
        collect(state);
      });
    });
    EXPECT_TRUE(same_bits(expected, returned)) << seed;
  }
}

}  // namespace
}  // namespace cloze
