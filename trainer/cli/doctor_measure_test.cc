// Measuring between ranks, on threads whose clocks and folders are made to differ.
#include "trainer/cli/doctor_measure.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "parallel/base/check.h"
#include "tests/support/run_ranks.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

double real_clock() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

FabricTimes measure(int size, const std::function<double(int)>& clock) {
  FabricTimes whole;
  run_ranks(size, [&](LocalWorld& world, int rank) {
    const auto group = world.communicator("world", world.everyone(), rank);
    const FabricTimes times =
        measure_fabric(*group, str("host", rank / 2), [&] { return clock(rank); });
    if (rank == 0) whole = times;
  });
  return whole;
}

TEST(DoctorMeasureTest, EveryNeighbouringPairIsMeasured) {
  for (const int size : {2, 3, 5}) {
    const FabricTimes times = measure(size, [](int) { return real_clock(); });
    ASSERT_EQ(times.pairs.size(), size == 2 ? 1U : static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < times.pairs.size(); ++i) {
      EXPECT_EQ(times.pairs[i].first, static_cast<int>(i));
      EXPECT_EQ(times.pairs[i].second, static_cast<int>(i + 1) % size);
      EXPECT_GT(times.pairs[i].latency_seconds, 0);
      EXPECT_LT(times.pairs[i].latency_seconds, 10);
      EXPECT_GT(times.pairs[i].bytes_per_second, 0);
    }
    ASSERT_EQ(times.hosts.size(), static_cast<std::size_t>(size));
    EXPECT_EQ(times.hosts.back(), str("host", (size - 1) / 2));
    ASSERT_FALSE(times.all_reduce_seconds.empty());
    for (const double seconds : times.all_reduce_seconds) EXPECT_GT(seconds, 0);
    EXPECT_EQ(times.clocks.size(), static_cast<std::size_t>(size));
  }
}

TEST(DoctorMeasureTest, AClockThatIsAheadIsFoundWithinItsUncertainty) {
  const FabricTimes times = measure(3, [](int rank) {
    return real_clock() + (rank == 1 ? 2.5 : rank == 2 ? -0.25 : 0);
  });
  ASSERT_EQ(times.clocks.size(), 3U);
  EXPECT_EQ(times.clocks[0].seconds, 0);
  // A double of seconds since 1970 is good to a quarter of a microsecond.
  EXPECT_NEAR(times.clocks[1].seconds, 2.5, times.clocks[1].uncertainty + 1e-6);
  EXPECT_NEAR(times.clocks[2].seconds, -0.25, times.clocks[2].uncertainty + 1e-6);
  EXPECT_LT(times.clocks[1].uncertainty, 1) << "or it says nothing";
}

TEST(DoctorMeasureTest, GemmRatesComeFromEveryRank) {
  run_ranks(2, [](LocalWorld& world, int rank) {
    const auto group = world.communicator("world", world.everyone(), rank);
    const GemmRates rates = measure_gemm(*group, 1);
    EXPECT_EQ(rates.threads, (std::vector<int>{1, 1}));
    ASSERT_EQ(rates.one_thread.size(), 2U);
    ASSERT_EQ(rates.all_threads.size(), 2U);
    for (const double rate : rates.one_thread) EXPECT_GT(rate, 1e6);
  });
}

class SharedFolderTest : public testing::Test {
 protected:
  SharedFolderTest() {
    for (const char* host : {"0", "1", "2"}) std::filesystem::create_directories(root_ / host);
  }

  CheckResult check(const std::vector<std::string>& folders) const {
    CheckResult result;
    run_ranks(static_cast<int>(folders.size()), [&](LocalWorld& world, int rank) {
      const auto group = world.communicator("world", world.everyone(), rank);
      const CheckResult mine =
          check_shared_folder(*group, str("host", rank),
                              root_ / folders[static_cast<std::size_t>(rank)], str("probe", rank));
      if (rank == 0) result = mine;
    });
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root_)) {
      EXPECT_TRUE(entry.is_directory()) << entry.path() << " was left";
    }
    return result;
  }

  const ScratchFolder scratch_{"shared"};
  const std::filesystem::path& root_ = scratch_.path();
};

TEST_F(SharedFolderTest, OneFolderForAllHostsIsFine) {
  EXPECT_EQ(check({"0", "0", "0"}).status, Status::kOk);
}

TEST_F(SharedFolderTest, AFolderOfEachHostFailsAndTheHostsAreNamed) {
  const CheckResult result = check({"0", "1", "0", "absent"});
  EXPECT_EQ(result.status, Status::kFail);
  EXPECT_NE(result.detail.find("host1, host3"), std::string::npos) << result.detail;
  EXPECT_FALSE(result.fix.empty());
}

TEST_F(SharedFolderTest, WhatRankZeroCannotWriteIsNotJudged) {
  EXPECT_EQ(check({"absent", "0"}).status, Status::kSkip);
}

}  // namespace
}  // namespace cloze
