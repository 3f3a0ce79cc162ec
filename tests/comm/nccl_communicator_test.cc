// NCCL's communicators on simulated GPUs: what every communicator promises, under the orders that
// chance makes, and what happens when something fails.
#include "parallel/comm/nccl_communicator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/comm/groups.h"
#include "tests/comm/communicator_suite.h"
#include "tests/comm/nccl_testing.h"
#include "tests/support/simulated_gpus.h"
#include "tests/support/toy_stage.h"

namespace cloze {
namespace {

class NcclCommunicatorTest : public testing::TestWithParam<std::tuple<int, int, suite::Claim>> {};

TEST_P(NcclCommunicatorTest, Holds) {
  const auto& [size, seed, claim] = GetParam();
  Setting setting;
  setting.gpus.seed = seed;
  run_gpu_ranks(size, setting, [&claim](GpuRank self) {
    claim.check([&](const std::string& name) { return self.everyone(name); });
  });
}

INSTANTIATE_TEST_SUITE_P(Suite, NcclCommunicatorTest,
                         testing::Combine(testing::Values(1, 2, 3, 4, 8), testing::Values(1, 2),
                                          testing::ValuesIn(suite::kClaims)),
                         [](const auto& info) {
                           return str(std::get<2>(info.param).name, "_on_", std::get<0>(info.param),
                                      "_seed_", std::get<1>(info.param));
                         });

TEST(NcclSessionTest, RanksWithAnotherNcclAreNamed) {
  SimulatedGpus gpus(3, {.version_of = [](int rank) { return rank == 2 ? 22900 : 22809; }});
  const std::string problem = problem_of(3, gpus, {}, ExitCode::kUsage, [](GpuRank) {});
  EXPECT_NE(problem.find("2.28.9"), std::string::npos) << problem;
  EXPECT_NE(problem.find("2.29.0"), std::string::npos) << problem;
  EXPECT_NE(problem.find("rank 2"), std::string::npos) << problem;
}

TEST(NcclSessionTest, TwoRanksOnOneGpuAreNamed) {
  SimulatedGpus gpus(4, {.num_gpus = 3});
  const std::string problem = problem_of(4, gpus, {}, ExitCode::kUsage, [](GpuRank) {});
  EXPECT_NE(problem.find("ranks 0 and 3 share one GPU, GPU-00000000-0000"), std::string::npos)
      << problem;
}

TEST(NcclSessionTest, GroupsOfSomeRanksAndOfOne) {
  run_gpu_ranks(4, {}, [](GpuRank self) {
    const int rank = self.rank;
    // Against the order of the world, and apart from each other.
    const std::vector<int> half = rank < 2 ? std::vector{1, 0} : std::vector{3, 2};
    const auto pair = self.session.communicator("pair", half, /*urgent=*/false);
    const auto alone = self.session.communicator("alone", {rank}, /*urgent=*/true);
    at::Tensor all = at::empty({2}, at::kLong);
    pair->all_gather(all, at::full({1}, rank, at::kLong)).wait();
    EXPECT_EQ(all[0].item<std::int64_t>(), half[0]);
    EXPECT_EQ(all[1].item<std::int64_t>(), half[1]);
    at::Tensor own = at::full({3}, rank, at::kFloat);
    alone->all_reduce(own, ReduceOp::kSum).wait();
    EXPECT_EQ(own[2].item<float>(), static_cast<float>(rank));
  });
}

// Kernels that happen late write what is sent and read what comes.
TEST(NcclSessionTest, TransfersWaitForKernelsAndKernelsForTransfers) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Setting setting;
    setting.gpus = {.seed = seed, .late_compute = true};
    run_gpu_ranks(3, setting, [](GpuRank self) {
      const auto group = self.everyone("data");
      std::vector<at::Tensor> results;
      for (int round = 0; round < 10; ++round) {
        // Small enough for one transfer, and not.
        const std::int64_t size = round % 2 == 0 ? 100 : 1 << 16;
        const at::Tensor tensor = at::zeros({size});
        const at::Tensor result = at::zeros({size});
        results.push_back(result);
        const auto value = static_cast<float>(self.rank + round);
        self.gpu.compute([=] { tensor.fill_(value); });
        group->all_reduce(tensor, ReduceOp::kSum).wait();
        self.gpu.compute([=] { result.copy_(tensor); });
      }
      self.gpu.finish();
      for (int round = 0; round < 10; ++round) {
        EXPECT_TRUE(results[round].eq(3 * round + 3).all().item<bool>()) << "round " << round;
      }
    });
  }
}

TEST(NcclSessionTest, ARanksCallsAreThoseOfItsProgramInItsOrder) {
  SimulatedGpus gpus(2, {});
  run_gpu_ranks(2, gpus, {}, [](GpuRank self) {
    const auto group = self.everyone("tensor");
    at::Tensor small = at::ones({4});
    at::Tensor large = at::ones({1 << 16});
    Work first = group->all_reduce(small, ReduceOp::kSum);
    Work second = group->all_reduce(large, ReduceOp::kSum);
    second.wait();
    first.wait();
  });
  const std::vector<std::string> expected = {
      "tensor send 1 1",           "tensor recv 1 1",          "tensor all_gather 1",  // When made.
      "tensor all_gather 16",      "tensor send 131072 1",     "tensor recv 131072 1",
      "tensor broadcast 131072 0", "tensor broadcast 131072 1"};
  EXPECT_EQ(gpus.calls(0), expected);
}

// The first and last stage of a pipeline send to each other, too; other groups send to all.
TEST(NcclSessionTest, RanksTalkToThoseThatTheyWillSendTo) {
  SimulatedGpus gpus(4, {});
  const auto calls_of = [&](const Degrees& degrees, const std::string& group) {
    const std::size_t before = gpus.calls(0).size();
    run_gpu_ranks(4, gpus, {}, [&](GpuRank self) {
      connect_nccl(Mesh(degrees), self.session, self.rank, 1, self.hosts.make_group(self.rank));
    });
    std::vector<std::string> calls = gpus.calls(0);
    calls.erase(calls.begin(), calls.begin() + static_cast<std::ptrdiff_t>(before));
    std::erase_if(calls, [&](const std::string& call) { return !call.starts_with(group + " "); });
    return calls;
  };
  for (const char* direction : {"pipeline_forward", "pipeline_backward"}) {
    const std::string name = direction;
    const std::vector<std::string> expected = {name + " send 1 1", name + " recv 1 1",
                                               name + " send 1 3", name + " recv 1 3",
                                               name + " all_gather 1"};
    EXPECT_EQ(calls_of({.pipeline = 4}, name), expected);
  }
  EXPECT_EQ(calls_of({.data = 4}, "data").size(), 7U);
}

TEST(NcclSessionTest, TransfersThatCrossAreFound) {
  // Two groups in another order on the other rank: with room for one transfer at a time, it hangs.
  SimulatedGpus gpus(2, {.one_transfer_at_a_time = true});
  const std::string problem = problem_of(2, gpus, {}, ExitCode::kTransient, [](GpuRank self) {
    const auto one = self.everyone("one");
    const auto two = self.everyone("two");
    at::Tensor a = at::ones({8});
    at::Tensor b = at::ones({8});
    const auto start = [&](bool first) {
      return first ? one->all_reduce(a, ReduceOp::kSum) : two->all_reduce(b, ReduceOp::kSum);
    };
    Work early = start(self.rank == 0);
    Work late = start(self.rank != 0);
    early.wait();
    late.wait();
  });
  EXPECT_NE(problem.find("no rank can go on"), std::string::npos) << problem;
}

TEST(NcclSessionTest, PipelinesNeedRoomForOneTransferAtATime) {
  for (const int stages : {2, 3, 5}) {
    for (const int microbatches : {1, 2, 4, 7}) {
      for (const Schedule& schedule :
           {gpipe(stages, microbatches), one_f_one_b(stages, microbatches)}) {
        SCOPED_TRACE(str(stages, " stages, ", microbatches, " microbatches"));
        const Unpipelined expected = run_unpipelined(stages, microbatches);
        run_gpu_ranks(stages, {.gpus = {.one_transfer_at_a_time = true}}, [&](GpuRank self) {
          const auto forward = self.everyone("pipeline_forward");
          const auto backward = self.everyone("pipeline_backward");
          ToyStage stage(self.rank, stages);
          run_schedule(schedule, self.rank, stage, *forward, *backward);
          EXPECT_EQ(stage.gradient(), expected.gradients[self.rank]);
        });
      }
    }
  }
}

TEST(NcclSessionTest, WritingToWhatIsBeingSentIsFound) {
  // Without a wait, chance lets the transfer begin before or after: some seed sees it.
  int found = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SimulatedGpus gpus(2, {.seed = seed});
    try {
      run_gpu_ranks(2, gpus, {}, [](GpuRank self) {
        const auto group = self.everyone("pipeline_forward");
        for (int i = 0; i < 20; ++i) {
          at::Tensor tensor = at::full({64}, static_cast<float>(i));
          const std::vector<Transfer> transfer = {{tensor, 1 - self.rank}};
          Work work =
              self.rank == 0 ? group->exchange(transfer, {}) : group->exchange({}, transfer);
          if (self.rank == 0) tensor.fill_(-1);
          work.wait();
        }
      });
    } catch (const Error& error) {
      found += error.problem().find("while they were being sent") != std::string::npos ? 1 : 0;
    }
  }
  EXPECT_GT(found, 0);
}

}  // namespace
}  // namespace cloze
