#include "parallel/comm/staged_communicator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <memory>
#include <tuple>

#include "parallel/base/check.h"
#include "parallel/comm/local_communicator.h"
#include "tests/comm/communicator_suite.h"
#include "tests/support/run_ranks.h"

namespace cloze {
namespace {

// The CPU stands for the device: its tensors are copied to others of the CPU, and back.
class StagedCommunicatorTest : public testing::TestWithParam<std::tuple<int, suite::Claim>> {};

TEST_P(StagedCommunicatorTest, Holds) {
  const auto& [size, claim] = GetParam();
  run_ranks(size, [&](LocalWorld& world, int rank) {
    claim.check([&](const std::string& name) {
      return std::make_unique<StagedCommunicator>(world.communicator(name, world.everyone(), rank),
                                                  at::kCPU);
    });
  });
}

INSTANTIATE_TEST_SUITE_P(Suite, StagedCommunicatorTest,
                         testing::Combine(testing::Values(1, 2, 3, 4),
                                          testing::ValuesIn(suite::kClaims)),
                         [](const auto& info) {
                           return str(std::get<1>(info.param).name, "_on_",
                                      std::get<0>(info.param));
                         });

// Nothing of a call reaches the tensor before wait(): until then it is the device's.
TEST(StagedCommunicatorTest, ResultsArriveWhenTheyAreWaitedFor) {
  run_ranks(2, [](LocalWorld& world, int rank) {
    StagedCommunicator group(world.communicator("group", world.everyone(), rank), at::kCPU);
    const at::Tensor x = at::full({3}, rank + 1.0);
    Work work = group.all_reduce(x, ReduceOp::kSum);
    EXPECT_EQ(x[0].item<double>(), rank + 1.0);
    work.wait();
    EXPECT_EQ(x[0].item<double>(), 3.0);
  });
}

}  // namespace
}  // namespace cloze
