// The supervisor over jobs that are small shell scripts: what it passes on, starts again, tells.
#include "trainer/launch/supervisor.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "parallel/base/check.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

using std::chrono::milliseconds;

class SupervisorTest : public testing::Test {
 protected:
  // Runs `script` as every job, with $1 the number of restarts; returns the exit code. `sender`
  // runs beside it.
  int run(const std::string& script, int max_restarts,
          const std::function<void()>& sender = nullptr) {
    Supervisor supervisor(
        {.command =
             [&](int restarts) {
               num_jobs_ = restarts + 1;
               return std::vector<std::string>{"sh", "-c", "cd " + folder_.string() + "\n" + script,
                                               "sh", std::to_string(restarts)};
             },
         .progress = [&] { return progress_; },
         .report = [&](const JobEnd& end) { reported_.push_back(end); },
         .journal =
             [&](const JobEnd&, const Decision& decision, int total_restarts) {
               decisions_.push_back(decision.kind);
               EXPECT_EQ(total_restarts,
                         decision.kind == Decision::Kind::kRestart ? num_jobs_ : num_jobs_ - 1);
             }},
        max_restarts);
    testing::internal::CaptureStderr();
    std::thread beside;
    if (sender) beside = std::thread(sender);
    const int code = supervisor.run();
    if (beside.joinable()) beside.join();
    err_ = testing::internal::GetCapturedStderr();
    return code;
  }

  // Waits for a file that a job makes.
  void wait_for(const std::string& name) const {
    for (int i = 0; i < 2000 && !std::filesystem::exists(folder_ / name); ++i) {
      std::this_thread::sleep_for(milliseconds(5));
    }
  }
  static void send(int signal) { ::kill(::getpid(), signal); }

  const ScratchFolder scratch_{"launch"};
  const std::filesystem::path& folder_ = scratch_.path();
  RunProgress progress_;
  int num_jobs_ = 0;
  std::vector<JobEnd> reported_;
  std::vector<Decision::Kind> decisions_;
  std::string err_;
};

const std::string kFatal =
    "echo 'FATAL rank=1 host=h step=4 phase=step code=75 what=\"a peer\" fix=\"wait\"' >&2\n";

TEST_F(SupervisorTest, CodesOfOursArePassedOnWithoutARestart) {
  for (const int code : {0, 64, 65, 70, 73, 74, 85, 86}) {
    EXPECT_EQ(run("exit " + std::to_string(code), 5), code);
    EXPECT_EQ(num_jobs_, 1);
  }
  EXPECT_TRUE(decisions_.empty());
}

TEST_F(SupervisorTest, ErrorsOfTheJobAreShown) {
  EXPECT_EQ(run("echo a warning >&2; printf 'no end' >&2", 0), 0);
  EXPECT_EQ(err_, "a warning\nno end");
}

TEST_F(SupervisorTest, TransientEndsAreStartedAgain) {
  EXPECT_EQ(run(kFatal + "if [ $1 -ge 1 ]; then exit 0; fi; exit 75", 2), 0);
  EXPECT_EQ(num_jobs_, 2);
  EXPECT_EQ(decisions_, std::vector{Decision::Kind::kRestart});
  EXPECT_TRUE(reported_.empty()) << "the rank said it";
  EXPECT_NE(err_.find("launch: restart 1 of 2 in 1 s, from the start"), std::string::npos) << err_;
}

TEST_F(SupervisorTest, EachRestartWaitsTwiceAsLongAsTheOneBefore) {
  EXPECT_EQ(run("date +%s%N >> times; [ $1 -eq 2 ] || exit 75", 5), 0);
  std::ifstream file(folder_ / "times");
  std::vector<std::int64_t> times;
  for (std::int64_t time = 0; file >> time;) times.push_back(time / 1'000'000);
  ASSERT_EQ(times.size(), 3U);
  EXPECT_GE(times[1] - times[0], 1000);
  EXPECT_GE(times[2] - times[1], 2000);
  EXPECT_LT(times[2] - times[0], 30'000);
}

TEST_F(SupervisorTest, RestartsRunOut) {
  EXPECT_EQ(
      run("printf 'FATAL rank=1 host=h step=%s phase=step code=75 what=\"x\" fix=\"y\"\\n' $1 >&2\n"
          "exit 75",
          1),
      75);
  EXPECT_EQ(num_jobs_, 2);
  EXPECT_EQ(decisions_, (std::vector{Decision::Kind::kRestart, Decision::Kind::kSpent}));
  EXPECT_NE(err_.find("launch: not started again: 1 restarts in a row"), std::string::npos) << err_;
}

TEST_F(SupervisorTest, ACrashLoopEndsEarlyAndSaysSo) {
  EXPECT_EQ(run(kFatal + "exit 75", 9), 75);
  EXPECT_EQ(num_jobs_, kCrashLoopLength);
  EXPECT_EQ(decisions_, (std::vector{Decision::Kind::kRestart, Decision::Kind::kRestart,
                                     Decision::Kind::kCrashLoop}));
  EXPECT_NE(err_.find("the same first cause at the same step 3 times in a row: step 4, code 75, a "
                      "peer"),
            std::string::npos)
      << err_;
}

TEST_F(SupervisorTest, AKilledMpirunIsReportedAsTransient) {
  EXPECT_EQ(run("kill -9 $$", 0), 75);
  ASSERT_EQ(reported_.size(), 1U);
  EXPECT_EQ(reported_[0].cause, "mpirun was ended by signal 9");
}

TEST_F(SupervisorTest, ADeadRankOfARunThatSavedIsNotTold) {
  EXPECT_EQ(run("rule=" + std::string(74, '-') +
                    "\n"
                    "echo $rule >&2\n"
                    "echo 'mpirun noticed that process rank 1 with PID 7 on node vm exited on "
                    "signal 15 (Terminated).' >&2\n"
                    "echo $rule >&2\n"
                    "exit 85",
                3),
            85);
  EXPECT_EQ(err_, "");
}

TEST_F(SupervisorTest, AnyStopSignalReachesTheJobAsSigusr1) {
  std::signal(SIGHUP, SIG_DFL);  // It stays ignored where it was, as under nohup.
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT, SIGHUP}) {
    std::filesystem::remove(folder_ / "ready");
    const int code = run("trap 'exit 85' USR1\ntouch ready\nwhile :; do sleep 0.02; done", 3, [&] {
      wait_for("ready");
      send(signal);
    });
    EXPECT_EQ(code, 85) << signal;
    EXPECT_EQ(num_jobs_, 1);
    EXPECT_NE(err_.find("the job saves at its next step"), std::string::npos) << err_;
  }
}

TEST_F(SupervisorTest, AStoppedJobThatFailsIsNotStartedAgain) {
  const int code = run("trap 'exit 75' USR1\ntouch ready\nwhile :; do sleep 0.02; done", 3, [&] {
    wait_for("ready");
    send(SIGUSR1);
  });
  EXPECT_EQ(code, 75);
  EXPECT_EQ(num_jobs_, 1);
}

TEST_F(SupervisorTest, TheSameSignalTwiceEndsTheJobWithoutSaving) {
  const int code =
      run("trap 'touch again' USR1\ntouch ready\nwhile :; do sleep 0.02; done", 3, [&] {
        wait_for("ready");
        send(SIGTERM);
        wait_for("again");
        send(SIGTERM);
      });
  EXPECT_EQ(code, 128 + SIGTERM);
  EXPECT_EQ(num_jobs_, 1);
}

TEST_F(SupervisorTest, ASecondSignalOfAnotherKindLetsTheSaveGoOn) {
  const int code =
      run("trap 'touch saving; sleep 0.5; exit 85' USR1\ntouch ready\n"
          "while :; do sleep 0.02; done",
          3, [&] {
            wait_for("ready");
            send(SIGUSR1);
            wait_for("saving");
            send(SIGTERM);
          });
  EXPECT_EQ(code, 85);
}

TEST_F(SupervisorTest, ASignalBeforeAnybodyCouldSaveIsPreemptedToo) {
  const int code = run("touch ready\nexec sleep 60", 3, [&] {
    wait_for("ready");
    std::this_thread::sleep_for(milliseconds(50));
    send(SIGTERM);
  });
  EXPECT_EQ(code, 85);
  EXPECT_TRUE(reported_.empty());
}

TEST_F(SupervisorTest, ASignalDuringTheWaitEndsIt) {
  const int code = run("touch ready\nexit 75", 3, [&] {
    wait_for("ready");
    std::this_thread::sleep_for(milliseconds(300));
    send(SIGTERM);
  });
  EXPECT_EQ(code, 85);
  EXPECT_EQ(num_jobs_, 1);
  EXPECT_NE(err_.find("while no rank runs"), std::string::npos) << err_;
}

TEST_F(SupervisorTest, WhatMpirunLeavesIsEndedBeforeTheRestart) {
  EXPECT_EQ(run("if [ $1 = 0 ]; then setsid sleep 63 & echo $! >left; kill -9 $$; fi\n"
                "kill -0 $(cat left) && exit 64; exit 0",
                1),
            0);
  EXPECT_NE(err_.find("launch: killed 1 processes"), std::string::npos) << err_;
}

TEST_F(SupervisorTest, AMissingMpirunIsAnErrorOfTheCommandLine) {
  Supervisor supervisor({.command = [](int) { return std::vector<std::string>{"no-such-mpirun"}; },
                         .progress = [] { return RunProgress{}; },
                         .report = [](const JobEnd&) {},
                         .journal = [](const JobEnd&, const Decision&, int) {}},
                        3);
  try {
    supervisor.run();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
  }
}

}  // namespace
}  // namespace cloze
