// The whole trainer with the kernels of GPUs, run by their emulator, over NCCL's communicators on
// simulated GPUs: what a GPU would do, but for its products, which LibTorch computes.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <tuple>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/kernels/cuda/library.h"
#include "tests/parity/layout_run.h"
#include "tests/support/simulated_gpus.h"

namespace cloze {
namespace {

using Family = config::Model::Family;

// Those of the library that a run on GPUs opens, here compiled for the emulator.
const Kernels& emulated_kernels() {
  const cuda::GpuHost host{
      .stream = [] { return cuda::Stream(nullptr); },
      .allocate = [](std::int64_t bytes) { return std::malloc(static_cast<std::size_t>(bytes)); },
      .release = [](void* memory) { std::free(memory); }};
  return *cloze_gpu_kernels(&host);
}

class EmulatedGpuTest : public testing::TestWithParam<std::tuple<Family, Degrees>> {};

std::string name_of_case(const testing::TestParamInfo<std::tuple<Family, Degrees>>& info) {
  const auto& [family, layout] = info.param;
  return str(config::Model::Family_Name(family), "_t", layout.tensor, "_p", layout.pipeline, "_d",
             layout.data);
}

INSTANTIATE_TEST_SUITE_P(
    Layouts, EmulatedGpuTest,
    testing::Combine(testing::Values(config::Model::glm4, config::Model::glm2021),
                     testing::Values(Degrees{}, Degrees{.pipeline = 2, .tensor = 2},
                                     Degrees{.data = 2, .tensor = 2})),
    name_of_case);

TEST_P(EmulatedGpuTest, TrainsAsTheCpuDoes) {
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
  SimulatedGpus gpus(layout.world(), {.seed = 3});
  const LayoutOutcome outcome =
      train_on(run, layout, kSteps, batches, 1e-3, 1, {}, connect_gpus(gpus), emulated_kernels());
  for (std::size_t step = 0; step < kSteps; ++step) {
    EXPECT_NEAR(outcome.losses[step] / expected.losses[step], 1, 1e-12);
    EXPECT_NEAR(outcome.norms[step] / expected.norms[step], 1, 1e-10);
  }
  EXPECT_LT(relative_difference(expected.gradients, outcome.gradients), 1e-10);
  EXPECT_LT(relative_difference(expected.final, outcome.final), 1e-8);
}

}  // namespace
}  // namespace cloze
