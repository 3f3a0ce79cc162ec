#include "trainer/launch/restart_policy.h"

#include <gtest/gtest.h>

#include <string>

namespace cloze {
namespace {

using std::chrono::seconds;

// Ends that differ in their step, so that they are no crash loop.
JobEnd failure(std::int64_t step, std::int64_t checkpoint_step = -1, int code = 75,
               const std::string& cause = "a peer is gone") {
  return {.code = code, .cause = cause, .step = step, .checkpoint_step = checkpoint_step};
}

Decision restart(int number, int wait) {
  return {.kind = Decision::Kind::kRestart, .restart = number, .wait = seconds(wait)};
}

TEST(RestartPolicyTest, OnlyTransientEndsAreStartedAgain) {
  for (const int code : {0, 64, 65, 70, 73, 74, 85, 86}) {
    EXPECT_EQ(decide({failure(1, -1, code)}, 5), Decision{}) << code;
  }
  for (const int code : {75, 1, 137, 139}) {
    EXPECT_EQ(decide({failure(1, -1, code)}, 5), restart(1, 1)) << code;
  }
}

TEST(RestartPolicyTest, NoRestartsAreTheDefault) {
  EXPECT_EQ(decide({failure(1)}, 0).kind, Decision::Kind::kSpent);
  EXPECT_EQ(decide({failure(1), failure(1), failure(1)}, 0).kind, Decision::Kind::kSpent);
}

TEST(RestartPolicyTest, AsManyRestartsAsAllowedWithDoublingWaits) {
  std::vector<JobEnd> ends;
  const std::vector<int> waits = {1, 2, 4, 8, 16, 32, 60, 60, 60};
  for (std::size_t i = 0; i < waits.size(); ++i) {
    ends.push_back(failure(static_cast<std::int64_t>(i)));
    EXPECT_EQ(decide(ends, 9), restart(static_cast<int>(i) + 1, waits[i]));
  }
  ends.push_back(failure(100));
  EXPECT_EQ(decide(ends, 9).kind, Decision::Kind::kSpent);
}

TEST(RestartPolicyTest, VeryManyRestartsWaitTheLongestTime) {
  std::vector<JobEnd> ends;
  for (int i = 0; i < 200; ++i) ends.push_back(failure(i));
  EXPECT_EQ(decide(ends, 1000), restart(200, 60));
}

TEST(RestartPolicyTest, ANewCheckpointCountsFromTheStart) {
  std::vector<JobEnd> ends = {failure(1), failure(2)};
  EXPECT_EQ(decide(ends, 2), restart(2, 2));
  ends.push_back(failure(13, /*checkpoint_step=*/10));
  EXPECT_EQ(decide(ends, 2), restart(1, 1));
  ends.push_back(failure(14, 10));
  EXPECT_EQ(decide(ends, 2), restart(2, 2));
  ends.push_back(failure(15, 10));
  EXPECT_EQ(decide(ends, 2).kind, Decision::Kind::kSpent);
}

TEST(RestartPolicyTest, ALostCheckpointIsNoProgress) {
  EXPECT_EQ(decide({failure(13, 10), failure(14, 5)}, 1).kind, Decision::Kind::kSpent);
}

TEST(RestartPolicyTest, TheSameFailureThreeTimesInARowIsACrashLoop) {
  std::vector<JobEnd> ends = {failure(7), failure(7)};
  EXPECT_EQ(decide(ends, 9), restart(2, 2));
  ends.push_back(failure(7));
  EXPECT_EQ(decide(ends, 9).kind, Decision::Kind::kCrashLoop);
}

TEST(RestartPolicyTest, AnotherFailureBetweenThemIsNoCrashLoop) {
  EXPECT_EQ(decide({failure(7), failure(7), failure(8), failure(7)}, 9), restart(4, 8));
}

TEST(SameFailureTest, NumbersInWordsMayDiffer) {
  EXPECT_TRUE(is_same_failure(failure(7, -1, 75, "process 812 waited 3.5 s"),
                              failure(7, 5, 75, "process 9 waited 12.25 s")));
  EXPECT_FALSE(is_same_failure(failure(7, -1, 75, "a"), failure(7, -1, 75, "b")));
  EXPECT_FALSE(is_same_failure(failure(7), failure(8)));
  EXPECT_FALSE(is_same_failure(failure(7, -1, 75), failure(7, -1, 1)));
}

TEST(SameFailureTest, OfRanksEndedBySignalsTheRankCounts) {
  JobEnd one = failure(7, -1, 137, "rank 1 was ended");
  JobEnd two = failure(7, -1, 137, "rank 2 was ended");
  one.rank = 1;
  two.rank = 2;
  EXPECT_FALSE(is_same_failure(one, two));
  one.rank = 2;
  EXPECT_TRUE(is_same_failure(one, two));
}

}  // namespace
}  // namespace cloze
