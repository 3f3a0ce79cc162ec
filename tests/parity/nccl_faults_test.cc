// The whole trainer on eight simulated GPUs, of which one fails somewhere: every rank ends with an
// error that a restart may mend, the one that failed has told of it and has ended all it had.
#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "tests/parity/layout_run.h"
#include "tests/support/simulated_gpus.h"

namespace cloze {
namespace {

constexpr Degrees kLayout{.pipeline = 2, .data = 2, .tensor = 2};
constexpr int kRanks = 8;

struct Told {
  std::mutex mutex;
  std::vector<std::string> problems{kRanks};
  std::vector<bool> aborted = std::vector<bool>(kRanks);
};

Connect connect_watched(SimulatedGpus& gpus, Told& told, std::chrono::seconds deadline) {
  return connect_gpus(gpus, [&told, deadline](int rank) -> NcclSession::Options {
    return {.deadline = deadline,
            .watch_every = std::chrono::milliseconds(5),
            .on_failure =
                [&told, rank](const Error& error, const std::string& calls) {
                  const std::scoped_lock lock(told.mutex);
                  EXPECT_FALSE(calls.empty());
                  told.problems[rank] = error.problem();
                },
            .after_abort =
                [&told, rank](const Error&) {
                  const std::scoped_lock lock(told.mutex);
                  told.aborted[rank] = true;
                }};
  });
}

struct FaultCase {
  const char* function;
  int most;  // The fault is one of the first so many calls.
};

class NcclFaultsTest : public testing::TestWithParam<FaultCase> {};

INSTANTIATE_TEST_SUITE_P(All, NcclFaultsTest,
                         testing::Values(FaultCase{"comm_init_rank", 1}, FaultCase{"comm_split", 8},
                                         FaultCase{"all_gather", 40}, FaultCase{"send", 16},
                                         FaultCase{"recv", 16}, FaultCase{"group_end", 40},
                                         FaultCase{"kernel", 60}, FaultCase{"event_record", 80},
                                         FaultCase{"stream_wait_event", 80},
                                         FaultCase{"comm_finalize", 1}),
                         [](const auto& info) { return std::string(info.param.function); });

TEST_P(NcclFaultsTest, EndsEveryRankAndIsTold) {
  const auto& [function, most] = GetParam();
  config::Run run = small_run(config::Model::glm4, config::Precision::fp32);
  run.mutable_parallel()->set_zero_stage(1);
  const BatchesOfStep batches = sampled_batches(run);
  std::mt19937 random(17);
  // Who makes a group waits for its members until then; nothing else here waits that long.
  const std::chrono::seconds deadline(std::string(function).starts_with("comm") ? 2 : 5);
  int happened = 0;
  for (int round = 0; round < 4; ++round) {
    const int rank = static_cast<int>(random() % kRanks);
    const int count = 1 + static_cast<int>(random() % most);
    SCOPED_TRACE(str("round ", round, ": call ", count, " of rank ", rank));
    SimulatedGpus gpus(kRanks, {.seed = static_cast<std::uint64_t>(round)});
    Told told;
    gpus.fail(rank, function, count, 3);
    bool has_thrown = false;
    try {
      train_on(run, kLayout, 1, batches, 1e-3, 1, {}, connect_watched(gpus, told, deadline));
    } catch (const Error& error) {
      has_thrown = true;
      EXPECT_EQ(error.code(), ExitCode::kTransient) << error.what();
    }
    EXPECT_EQ(gpus.num_groups_open(), 0);
    for (const char* mistake : {"after the end", "ended while", "on a thread", "while they were"}) {
      EXPECT_EQ(gpus.problem().find(mistake), std::string::npos) << gpus.problem();
    }
    const bool fails = !told.problems[rank].empty();
    // The end of a group, when all is done, has nobody left to throw to.
    EXPECT_EQ(has_thrown, fails && std::string(function) != "comm_finalize");
    if (!fails) continue;  // So many calls were not made.
    ++happened;
    EXPECT_TRUE(told.aborted[rank]);
  }
  EXPECT_GE(happened, 1);
}

}  // namespace
}  // namespace cloze
