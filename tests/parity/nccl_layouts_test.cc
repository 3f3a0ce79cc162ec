// The whole trainer over NCCL's communicators, on simulated GPUs: every transfer happens as late or
// as early as chance allows, and nothing may show of that. Sums have one order whoever carries
// them, so a run is the same bits as over threads.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "tests/parity/layout_run.h"
#include "tests/support/simulated_accelerator.h"
#include "tests/support/simulated_gpus.h"

namespace cloze {
namespace {

using Family = config::Model::Family;

constexpr int kSteps = 2;

struct Case {
  Family family;
  Degrees layout;
  bool sequence;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const Family family : {config::Model::glm4, config::Model::glm2021}) {
    for (const Degrees& layout : all_layouts()) {
      cases.push_back({family, layout, false});
      if (layout.tensor > 1) cases.push_back({family, layout, true});
    }
  }
  return cases;
}

class NcclLayoutsTest : public testing::TestWithParam<Case> {
 protected:
  static config::Run run() {
    config::Run run = small_run(GetParam().family, config::Precision::fp32);
    run.mutable_parallel()->set_sequence(GetParam().sequence);
    return run;
  }
};

std::string name_of_case(const testing::TestParamInfo<Case>& info) {
  const auto& [family, layout, sequence] = info.param;
  return str(config::Model::Family_Name(family), "_t", layout.tensor, "_p", layout.pipeline, "_d",
             layout.data, sequence ? "_sequence" : "");
}

INSTANTIATE_TEST_SUITE_P(All, NcclLayoutsTest, testing::ValuesIn(all_cases()), name_of_case);

TEST_P(NcclLayoutsTest, TrainsTheSameBitsAsOverThreads) {
  const BatchesOfStep batches = sampled_batches(run());
  const Degrees layout = GetParam().layout;
  const LayoutOutcome expected = train_on(run(), layout, kSteps, batches);
  // First on a device whose memory is overwritten when it is given back: a tensor that does not
  // live until its transfer is done changes the bits. Then with room for one transfer: it begins
  // only when those before it, of whatever group, are done.
  for (const bool one_at_a_time : {false, true}) {
    SCOPED_TRACE(one_at_a_time ? "one transfer at a time" : "freely");
    SimulatedGpus gpus(layout.world(),
                       {.seed = 11,
                        .one_transfer_at_a_time = one_at_a_time,
                        .tensors = one_at_a_time ? at::Device(at::kCPU) : simulated_accelerator()});
    const LayoutOutcome outcome =
        train_on(run(), layout, kSteps, batches, 1e-3, 1, {}, connect_gpus(gpus));
    EXPECT_EQ(outcome.losses, expected.losses);
    EXPECT_EQ(outcome.norms, expected.norms);
    EXPECT_TRUE(same_bits(outcome.gradients, expected.gradients));
    EXPECT_TRUE(same_bits(outcome.final, expected.final));
    EXPECT_EQ(gpus.num_alive(), 0) << "communicators, events or streams are left";
    EXPECT_EQ(gpus.num_groups_open(), 0);
    EXPECT_EQ(gpus.calls(0).empty(), layout.world() == 1);
  }
}

}  // namespace
}  // namespace cloze
