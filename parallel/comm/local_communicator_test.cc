#include "parallel/comm/local_communicator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <tuple>

#include "parallel/base/check.h"
#include "tests/comm/communicator_suite.h"
#include "tests/support/run_ranks.h"

namespace cloze {
namespace {

class LocalCommunicatorTest : public testing::TestWithParam<std::tuple<int, suite::Claim>> {};

TEST_P(LocalCommunicatorTest, Holds) {
  const auto& [size, claim] = GetParam();
  run_ranks(size, [&](LocalWorld& world, int rank) {
    claim.check(
        [&](const std::string& name) { return world.communicator(name, world.everyone(), rank); });
  });
}

INSTANTIATE_TEST_SUITE_P(Suite, LocalCommunicatorTest,
                         testing::Combine(testing::Values(1, 2, 3, 4, 8),
                                          testing::ValuesIn(suite::kClaims)),
                         [](const auto& info) {
                           return str(std::get<1>(info.param).name, "_on_",
                                      std::get<0>(info.param));
                         });

// The problem of the first error of run_ranks, which must be of kind `code`.
std::string problem_of(int size, ExitCode code, const std::function<void(LocalWorld&, int)>& body,
                       std::chrono::seconds deadline = std::chrono::seconds(60)) {
  try {
    run_ranks(size, body, deadline);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.problem();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(LocalWorldTest, AHangEndsAtTheDeadlineAndNamesEveryRanksLastCall) {
  std::atomic<bool> hung = true;
  const std::string problem = problem_of(
      3, ExitCode::kTransient,
      [&](LocalWorld& world, int rank) {
        const auto group = world.communicator("tensor", world.everyone(), rank);
        group->barrier();
        if (rank == 1) {
          while (hung) std::this_thread::yield();
          return;
        }
        at::Tensor tensor = at::zeros({5});
        try {
          group->all_reduce(tensor, ReduceOp::kSum).wait();
        } catch (const Error&) {
          hung = false;
          throw;
        }
      },
      std::chrono::seconds(1));
  EXPECT_NE(problem.find("has waited 1 s for rank 1"), std::string::npos) << problem;
  EXPECT_NE(problem.find("rank 0: tensor.sum all_reduce of 5 Float, call 1"), std::string::npos)
      << problem;
  EXPECT_NE(problem.find("rank 1: tensor.barrier, call 0"), std::string::npos) << problem;
}

TEST(LocalWorldTest, AnExceptionOnOneRankEndsTheOthersAndIsTheOneThatIsReported) {
  const auto body = [](LocalWorld& world, int rank) {
    const auto group = world.communicator("data", world.everyone(), rank);
    if (rank == 2) throw std::out_of_range("the first cause");
    group->barrier();
  };
  EXPECT_THROW(run_ranks(4, body), std::out_of_range);
}

TEST(LocalWorldTest, WaitingForARankThatHasEndedIsAnErrorAtOnce) {
  const std::string problem = problem_of(2, ExitCode::kTransient, [](LocalWorld& world, int rank) {
    const auto group = world.communicator("data", world.everyone(), rank);
    if (rank == 0) return;
    at::Tensor tensor = at::zeros({5});
    group->exchange({}, std::vector<Transfer>{{tensor, 0}}).wait();
  });
  EXPECT_NE(problem.find("message 0 from 0 waits for a call that rank 0 never made"),
            std::string::npos)
      << problem;
}

TEST(LocalWorldTest, DifferentCallsAtTheSamePlaceAreAnError) {
  const std::string problem = problem_of(2, ExitCode::kInternal, [](LocalWorld& world, int rank) {
    const auto group = world.communicator("data", world.everyone(), rank);
    at::Tensor tensor = at::zeros({5 + rank});
    group->all_reduce(tensor, ReduceOp::kSum).wait();
  });
  EXPECT_NE(problem.find("all_reduce of 5 Float"), std::string::npos) << problem;
  EXPECT_NE(problem.find("all_reduce of 6 Float"), std::string::npos) << problem;
}

TEST(LocalWorldTest, AMessageOfTheWrongSizeIsAnError) {
  const std::string problem = problem_of(2, ExitCode::kInternal, [](LocalWorld& world, int rank) {
    const auto group = world.communicator("pipeline", world.everyone(), rank);
    at::Tensor tensor = at::zeros({5 + rank});
    const std::vector<Transfer> transfer = {{tensor, 1 - rank}};
    if (rank == 0) group->exchange(transfer, {}).wait();
    if (rank == 1) group->exchange({}, transfer).wait();
  });
  EXPECT_NE(problem.find("sent 20 bytes, 24 were expected"), std::string::npos) << problem;
}

TEST(LocalWorldTest, GroupsOfTheSameNameAndOtherMembersAreApart) {
  run_ranks(4, [](LocalWorld& world, int rank) {
    const std::vector<int> members = rank % 2 == 0 ? std::vector{2, 0} : std::vector{1, 3};
    const auto group = world.communicator("half", members, rank);
    EXPECT_EQ(group->rank(), rank == 2 || rank == 1 ? 0 : 1);
    at::Tensor output = at::empty({2}, at::kInt);
    group->all_gather(output, at::full({1}, rank, at::kInt)).wait();
    EXPECT_EQ(output[0].item<int>(), members[0]);
    EXPECT_EQ(output[1].item<int>(), members[1]);
  });
}

TEST(LocalWorldTest, OnlyMembersOfTheWorldMakeAGroup) {
  LocalWorld world(2);
  EXPECT_THROW(world.communicator("data", {1}, 0), Error);
  EXPECT_THROW(world.communicator("data", {0, 2}, 0), Error);
  EXPECT_THROW(world.communicator("data", {0, 0}, 0), Error);
  EXPECT_THROW(LocalWorld(0), Error);
}

TEST(LocalWorldTest, NobodyPassesABarrierBeforeAllHaveCome) {
  std::atomic<int> arrived = 0;
  run_ranks(4, [&](LocalWorld& world, int rank) {
    const auto group = world.communicator("world", world.everyone(), rank);
    for (int round = 1; round <= 20; ++round) {
      ++arrived;
      group->barrier();
      EXPECT_GE(arrived, 4 * round);
      group->barrier();
    }
  });
}

using WorkDeathTest = testing::Test;

TEST(WorkDeathTest, AWorkThatNobodyWaitsForEndsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        LocalWorld world(2);
        const auto group = world.communicator("data", {0, 1}, 0);
        const Work work = group->all_reduce(at::zeros({3}), ReduceOp::kSum);
      },
      "never waited for");
}

}  // namespace
}  // namespace cloze
