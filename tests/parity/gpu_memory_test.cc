// The memory plan of a GPU beside what the whole trainer takes of one, as its allocator counts: on
// the simulated device, over NCCL's communicators, with the kernels of GPUs.
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "tests/parity/accelerator_run.h"
#include "tests/support/simulated_accelerator.h"
#include "trainer/loop/step_memory.h"
#include "trainer/loop/train_step.h"

namespace cloze {
namespace {

struct MemoryCase {
  std::string name;
  Degrees layout;
  std::function<void(config::Run&)> change = [](config::Run&) {};
  config::Model::Family family = config::Model::glm4;
  config::Precision::Compute compute = config::Precision::bf16;
};

void PrintTo(const MemoryCase& of, std::ostream* out) { *out << of.name; }

std::vector<MemoryCase> cases() {
  using config::Parallel;
  const auto recompute = [](Parallel::Recompute kind) {
    return [kind](config::Run& run) { run.mutable_parallel()->set_recompute(kind); };
  };
  const auto sequence = [](config::Run& run) { run.mutable_parallel()->set_sequence(true); };
  return {{.name = "alone", .layout = {}},
          {.name = "alone_fp32", .layout = {}, .compute = config::Precision::fp32},
          {.name = "selective", .layout = {}, .change = recompute(Parallel::selective)},
          {.name = "full", .layout = {}, .change = recompute(Parallel::full)},
          {.name = "glm2021", .layout = {}, .family = config::Model::glm2021},
          {.name = "tensor", .layout = {.tensor = 2}},
          {.name = "sequence", .layout = {.tensor = 2}, .change = sequence},
          {.name = "pipeline", .layout = {.pipeline = 2}},
          {.name = "data", .layout = {.data = 2}},
          {.name = "all", .layout = {.pipeline = 2, .data = 2, .tensor = 2}, .change = sequence}};
}

class GpuMemoryTest : public testing::TestWithParam<MemoryCase> {};

INSTANTIATE_TEST_SUITE_P(Cases, GpuMemoryTest, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

TEST_P(GpuMemoryTest, ThePlanIsTheHighWaterOfEveryRank) {
  const MemoryCase& of = GetParam();
  config::Run run = small_run(of.family, of.compute);
  run.mutable_data()->set_seq_length(64);
  run.mutable_batch()->set_micro_size(2);
  run.mutable_parallel()->set_zero_stage(1);
  of.change(run);
  const BatchesOfStep batches = sampled_batches(run);
  SimulatedGpus gpus(of.layout.world(), {.tensors = simulated_accelerator()});
  on_layout(
      run, of.layout,
      [&](TrainingState& state) {
        const Coordinates& at = state.groups().at;
        const MemoryPlan plan = plan_of(state);
        train_step(state, batches(run, of.layout, at, 0), 1e-3);
        reset_accelerator_peak();
        train_step(state, batches(run, of.layout, at, 1), 1e-3);
        // The simulated device has no libraries.
        const std::int64_t planned = plan.peak - gpu_memory().library_bytes;
        const std::int64_t measured = accelerator_memory().peak;
        EXPECT_NEAR(static_cast<double>(planned) / static_cast<double>(measured), 1, 0.02)
            << "rank " << state.groups().world_rank << ": " << planned << " planned, " << measured
            << " measured";
      },
      connect_gpus(gpus), accelerator_kernels());
}

}  // namespace
}  // namespace cloze
