// What happens when a call of NCCL or of the device fails, hangs or is never made by another rank:
// everything of the rank ends, once, and it is told before anything else can hang.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "parallel/comm/groups.h"
#include "tests/comm/nccl_testing.h"

namespace cloze {
namespace {

TEST(NcclFailureTest, AGroupThatARankDoesNotMakeEndsAtTheDeadline) {
  SimulatedGpus gpus(3, {});
  const std::string problem =
      problem_of(3, gpus, {.deadline = milliseconds(200)}, ExitCode::kTransient, [](GpuRank self) {
        if (self.rank == 1) return;
        const auto group = self.everyone("tensor");
      });
  EXPECT_NE(problem.find("making the group tensor of 3 ranks is not done after 0.2 s"),
            std::string::npos)
      << problem;
}

// NCCL reads nccl.conf in its first call.
TEST(NcclFailureTest, AnAddressThatNcclReadFromItsOwnFileEndsTheJobBeforeAnybodyJoins) {
  SimulatedGpus gpus(3, {});
  Setting setting;
  int asked = 0;
  setting.check_environment = [&] {
    ++asked;
    check_nccl_address("10.0.0.1:4000");
  };
  const std::string problem =
      problem_of(3, gpus, setting, ExitCode::kUsage, [](GpuRank) { ADD_FAILURE(); });
  EXPECT_NE(problem.find("NCCL_COMM_ID is set, to '10.0.0.1:4000'"), std::string::npos) << problem;
  EXPECT_EQ(asked, 1) << "rank 0 makes the identity";
  EXPECT_EQ(gpus.num_alive(), 0);
}

TEST(NcclFailureTest, AGroupOfCallsIsClosedWhenOneOfThemFails) {
  SimulatedGpus gpus(2, {});
  gpus.fail(0, "recv", 2, 3);  // The first is of the talk at the start.
  const std::string problem =
      problem_of(2, gpus, {.deadline = milliseconds(500)}, ExitCode::kTransient, [](GpuRank self) {
        const auto group = self.everyone("data");
        at::Tensor tensor = at::ones({1 << 16});
        group->all_reduce(tensor, ReduceOp::kSum).wait();
      });
  EXPECT_NE(problem.find("data: NCCL says 'a simulated error'"), std::string::npos) << problem;
  EXPECT_EQ(gpus.num_groups_open(), 0);
}

TEST(NcclFailureTest, AnExceptionEndsTheRankWithoutWaitingForOthers) {
  SimulatedGpus gpus(2, {});
  const auto body = [](GpuRank self) {
    const auto group = self.everyone("data");
    at::Tensor tensor = at::ones({8});
    Work work = group->all_reduce(tensor, ReduceOp::kSum);
    if (self.rank == 0) throw std::runtime_error("something else");
    work.wait();
  };
  EXPECT_THROW(run_gpu_ranks(2, gpus, {}, body), std::runtime_error);
  EXPECT_GE(gpus.num_aborted(), 2);
}

void sum_many(GpuRank self, std::int64_t elements) {
  const auto group = self.everyone("data");
  at::Tensor tensor = at::ones({elements});
  for (int i = 0; i < 1000; ++i) group->all_reduce(tensor, ReduceOp::kMax).wait();
}

TEST(NcclFailureTest, AFailureOfTheRanksOwnCallIsRecorded) {
  struct Fault {
    const char* function;
    int count;  // Which of its calls fails: one after the start, if there is one.
  };
  for (const auto& [function, count] :
       {Fault{"all_gather", 2}, Fault{"send", 4}, Fault{"recv", 4}, Fault{"group_end", 4},
        Fault{"event_record", 10}, Fault{"stream_wait_event", 10}, Fault{"comm_split", 2},
        Fault{"broadcast", 2}}) {
    SCOPED_TRACE(function);
    SimulatedGpus gpus(2, {});
    Failures failures(2);
    gpus.fail(0, function, count, 3);
    problem_of(2, gpus, failures.setting(milliseconds(500)), ExitCode::kTransient,
               [](GpuRank self) {
                 const auto first = self.everyone("tensor");
                 sum_many(self, 1 << 16);
               });
    EXPECT_NE(failures.problems[0].find("a simulated error"), std::string::npos)
        << failures.problems[0];
    EXPECT_GE(nlohmann::json::parse(failures.calls[0])["calls"].size(), 1U);
    EXPECT_TRUE(failures.aborted[0]);
    EXPECT_EQ(gpus.num_groups_open(), 0);
  }
}

TEST(NcclFailureTest, AWorldThatCannotBeJoinedIsRecorded) {
  SimulatedGpus gpus(3, {});
  Failures failures(3);
  gpus.fail(1, "comm_init_rank", 1, 3);
  const std::string problem = problem_of(3, gpus, failures.setting(milliseconds(300)),
                                         ExitCode::kTransient, [](GpuRank) {});
  EXPECT_NE(problem.find("joining NCCL's world of 3 ranks"), std::string::npos) << problem;
  for (int rank = 0; rank < 3; ++rank) EXPECT_TRUE(failures.aborted[rank]) << rank;
}

// Its words and its record come first, and it does not wait for NCCL longer than it must.
TEST(NcclFailureTest, AnAbortThatHangsHidesNothing) {
  SimulatedGpus gpus(2, {});
  Failures failures(2);
  gpus.block(1, "comm_abort");
  gpus.fail(1, "kernel", 3, kNcclRemoteError);
  const auto start = std::chrono::steady_clock::now();
  problem_of(2, gpus, failures.setting(milliseconds(1000), milliseconds(100)), ExitCode::kTransient,
             [](GpuRank self) { sum_many(self, 8); });
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_NE(failures.problems[1].find("remote process exited"), std::string::npos);
  EXPECT_TRUE(failures.aborted[1]);
  const int aborted = gpus.num_aborted();
  gpus.unblock();
  while (gpus.num_aborted() < aborted + 2) std::this_thread::yield();  // The world and the group.
}

TEST(NcclFailureTest, ACallThatDoesNotReturnIsFound) {
  for (const char* function : {"send", "event_record"}) {
    SCOPED_TRACE(function);
    SimulatedGpus gpus(2, {});
    Failures failures(2);
    Setting setting = failures.setting(milliseconds(200), milliseconds(100));
    const auto after_abort = setting.after_abort;
    // A job would end here. The test lets the call return.
    setting.after_abort = [&](int rank) {
      after_abort(rank);
      if (rank == 0) gpus.unblock();
    };
    problem_of(2, gpus, setting, ExitCode::kTransient, [&](GpuRank self) {
      const auto first = self.everyone("tensor");
      if (self.rank == 0) gpus.block(0, function);
      sum_many(self, 1 << 16);
    });
    EXPECT_TRUE(failures.aborted[0]);
    EXPECT_NE(failures.problems[0].find("a call of NCCL or of the device has not returned for"),
              std::string::npos)
        << failures.problems[0];
  }
}

TEST(NcclFailureTest, AGroupThatCannotBeEndedIsTold) {
  SimulatedGpus gpus(2, {});
  Failures failures(2);
  gpus.fail(1, "comm_finalize", 1, 3);
  run_gpu_ranks(2, gpus, failures.setting(milliseconds(500)), [](GpuRank self) {
    const auto group = self.everyone("data");
    group->barrier();
  });
  EXPECT_EQ(failures.problems[0], "");
  EXPECT_NE(failures.problems[1].find("ending a group: NCCL says"), std::string::npos)
      << failures.problems[1];
  EXPECT_TRUE(failures.aborted[1]);
}

TEST(NcclFailureTest, AnErrorThatNcclTellsAfterwardsEndsEverythingOnThatRank) {
  SimulatedGpus gpus(2, {});
  Failures failures(2);
  gpus.fail(1, "kernel", 5, kNcclRemoteError);  // After the talks at the start.
  const std::string problem = problem_of(2, gpus, failures.setting(milliseconds(2000)),
                                         ExitCode::kTransient, [](GpuRank self) {
                                           const auto one = self.everyone("tensor");
                                           const auto two = self.everyone("data");
                                           at::Tensor tensor = at::ones({8});
                                           for (int i = 0; i < 1000000; ++i) {
                                             one->all_reduce(tensor, ReduceOp::kMax).wait();
                                             two->all_reduce(tensor, ReduceOp::kMax).wait();
                                           }
                                         });
  EXPECT_NE(problem.find("remote process exited"), std::string::npos) << problem;
  // All that the rank had: the world and both groups.
  EXPECT_GE(gpus.num_aborted(), 3);
}

TEST(NcclFailureTest, AHangIsFoundByEveryRankAndRecorded) {
  SimulatedGpus gpus(3, {});
  Failures failures(3);
  const std::string problem = problem_of(3, gpus, failures.setting(milliseconds(300)),
                                         ExitCode::kTransient, [&](GpuRank self) {
                                           const auto tensor_group = self.everyone("tensor");
                                           const auto data_group = self.everyone("data");
                                           at::Tensor tensor = at::ones({8});
                                           tensor_group->all_reduce(tensor, ReduceOp::kSum).wait();
                                           tensor_group->barrier();
                                           if (self.rank == 1) gpus.hang(1);
                                           for (int i = 0; i < 100; ++i)
                                             data_group->all_reduce(tensor, ReduceOp::kSum).wait();
                                         });
  EXPECT_NE(problem.find("data.all_reduce, call 2 of the group, 32 bytes, has waited for"),
            std::string::npos)
      << problem;
  EXPECT_EQ(gpus.num_aborted(), 3 * 3);
  for (int rank = 0; rank < 3; ++rank) {
    const auto record = nlohmann::json::parse(failures.calls[rank]);
    EXPECT_EQ(record["rank"], rank);
    const auto& calls = record["calls"];
    ASSERT_EQ(calls.size(), 7U) << record.dump(1);
    EXPECT_EQ(calls[0]["call"], "talk");
    EXPECT_EQ(calls[4]["group"], "tensor");
    EXPECT_EQ(calls[4]["call"], "all_reduce");
    EXPECT_TRUE(calls[4]["took_seconds"].is_number());
    EXPECT_EQ(calls[6]["group"], "data");
    EXPECT_TRUE(calls[6]["took_seconds"].is_null());
  }
}

}  // namespace
}  // namespace cloze
