#include "trainer/launch/job_end.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "trainer/launch/restart_policy.h"

namespace cloze {
namespace {

const std::string kRule = std::string(74, '-') + "\n";
const std::string kDead =
    kRule +
    "mpirun noticed that process rank 1 with PID 0 on node vm exited on signal 9 (Killed).\n" +
    kRule;
const RunProgress kProgress{.logged_step = 7, .checkpoint_step = 5};

std::string fatal_line(int code, const std::string& step = "12") {
  return str("FATAL rank=3 host=h step=", step, " phase=step code=", code,
             " what=\"it broke\" fix=\"mend it\"\n");
}

JobEnd end_of(const ProcessEnd& mpirun, const std::string& text) {
  JobMessages messages;
  messages.take(text);
  messages.flush();
  return job_end(mpirun, messages, kProgress);
}

ProcessEnd code(int number) { return {.by_signal = false, .number = number}; }

TEST(JobEndTest, NothingIsWrongWithADoneOrSavedRun) {
  for (const int number : {0, 85}) {
    const JobEnd end = end_of(code(number), "warning: slow\n");
    EXPECT_EQ(end, (JobEnd{.code = number, .checkpoint_step = 5}));
  }
}

TEST(JobEndTest, WhatARankSaidIsTheCauseAndIsNotSaidAgain) {
  for (const int number : {64, 65, 70, 73, 74, 75, 86}) {
    const JobEnd end = end_of(code(number), fatal_line(number));
    EXPECT_EQ(end, (JobEnd{.code = number,
                           .cause = "it broke",
                           .fix = "",
                           .rank = 3,
                           .step = 12,
                           .checkpoint_step = 5}));
  }
  EXPECT_EQ(end_of(code(65), fatal_line(65, "-")).step, -1);
}

TEST(JobEndTest, TheRanksCodeCountsWhereMpirunLosesIt) {
  EXPECT_EQ(end_of(code(1), fatal_line(64)).code, 64);
  EXPECT_EQ(end_of({.by_signal = true, .number = 15}, fatal_line(75)).code, 75);
}

TEST(JobEndTest, ARankEndedByASignalIsNamed) {
  const JobEnd end = end_of(code(137), kDead);
  EXPECT_EQ(end.code, 137);
  EXPECT_EQ(end.rank, 1);
  EXPECT_EQ(end.cause, "rank 1 on vm was ended by signal 9 (Killed)");
  EXPECT_NE(end.fix.find("memory ran out"), std::string::npos);
  EXPECT_EQ(end.step, 7) << "the last one that was logged";
}

TEST(JobEndTest, TheDeadRankIsTheCauseOfWhatItsPeersSay) {
  const JobEnd end = end_of(code(137), fatal_line(75) + kDead);
  EXPECT_EQ(end.code, 137);
  EXPECT_EQ(end.cause, "rank 1 on vm was ended by signal 9 (Killed)");
  EXPECT_EQ(end.fix, "") << "a rank has told one";
}

TEST(JobEndTest, ADeadRankHasTheStepOfItsPeersOrOfTheLog) {
  EXPECT_EQ(end_of(code(137), fatal_line(75) + kDead).step, 12);
  EXPECT_EQ(end_of(code(137), fatal_line(75, "-") + kDead).step, 7);
}

TEST(JobEndTest, DeathsAtDifferentStepsAreNoCrashLoop) {
  const auto dies_at = [](const std::string& step) {
    return end_of(code(137), fatal_line(75, step) + kDead);
  };
  const std::vector<JobEnd> moving = {dies_at("12"), dies_at("13"), dies_at("14")};
  EXPECT_EQ(decide(moving, /*max_restarts=*/9).kind, Decision::Kind::kRestart);
  const std::vector<JobEnd> stuck(kCrashLoopLength, dies_at("12"));
  EXPECT_EQ(decide(stuck, /*max_restarts=*/9).kind, Decision::Kind::kCrashLoop);
}

TEST(JobEndTest, MpirunEndedByASignalIsTransient) {
  const JobEnd end = end_of({.by_signal = true, .number = 9}, "");
  EXPECT_EQ(end.code, 75);
  EXPECT_EQ(end.cause, "mpirun was ended by signal 9");
  EXPECT_FALSE(end.fix.empty());
}

TEST(JobEndTest, MpirunsOwnTroubleIsTransientAndQuoted) {
  for (const int number : {1, 132, 213}) {
    const JobEnd end = end_of(code(number), kRule + "A daemon died\nunexpectedly\n" + kRule);
    EXPECT_EQ(end.code, 75);
    EXPECT_EQ(end.cause, str("mpirun ended with code ", number, ": A daemon died unexpectedly"));
  }
}

TEST(JobEndTest, ACodeOfARankThatSaidNothingIsPassedOn) {
  const std::string failed =
      kRule +
      "mpirun detected that one or more processes exited with non-zero status, thus\n"
      "Process name: [[1,1],0]\nExit code:    3\n" +
      kRule;
  EXPECT_EQ(end_of(code(3), failed).code, 3);
  EXPECT_EQ(end_of(code(75), "").code, 75);
  EXPECT_FALSE(end_of(code(75), "").fix.empty()) << "so somebody says it";
}

TEST(VerdictTest, EveryCodeHasOne) {
  EXPECT_EQ(verdict_of(0), Verdict::kDone);
  EXPECT_EQ(verdict_of(85), Verdict::kPreempted);
  for (const int number : {64, 65, 70, 73, 74, 86}) EXPECT_EQ(verdict_of(number), Verdict::kFinal);
  for (const int number : {75, 1, 3, 134, 137, 139, 143}) {
    EXPECT_EQ(verdict_of(number), Verdict::kTransient) << number;
  }
}

}  // namespace
}  // namespace cloze
