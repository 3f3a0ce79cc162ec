#include "trainer/launch/child_process.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "parallel/base/check.h"
#include "trainer/launch/orphans.h"

namespace cloze {
namespace {

using std::chrono::milliseconds;

std::vector<std::string> shell(const std::string& script) { return {"sh", "-c", script}; }

ProcessEnd end_of(ChildProcess& process) {
  while (!process.ended()) std::this_thread::sleep_for(milliseconds(5));
  return *process.ended();
}

TEST(ChildProcessTest, EndsAreCodesOrSignals) {
  ChildProcess coded(shell("exit 85"), Captured::kErrors);
  EXPECT_EQ(end_of(coded), (ProcessEnd{.by_signal = false, .number = 85}));
  ChildProcess killed(shell("kill -9 $$"), Captured::kErrors);
  EXPECT_EQ(end_of(killed), (ProcessEnd{.by_signal = true, .number = 9}));
}

TEST(ChildProcessTest, OutputIsWhatWasAskedFor) {
  EXPECT_EQ(output_of(shell("echo out; echo err >&2")), "out\nerr\n");
  ChildProcess errors(shell("echo err >&2"), Captured::kErrors);
  end_of(errors);
  EXPECT_EQ(errors.read(), "err\n");
  EXPECT_EQ(errors.read(), std::nullopt) << "closed";
}

TEST(ChildProcessTest, EndlessOutputIsCut) { EXPECT_EQ(output_of(shell("yes")).size(), 4096U); }

TEST(ChildProcessTest, ReadingDoesNotWait) {
  ChildProcess process(shell("sleep 60"), Captured::kErrors);
  EXPECT_EQ(process.read(), "");
  EXPECT_EQ(process.ended(), std::nullopt);
}

TEST(ChildProcessTest, ItReadsNothingAndItsSignalsAreNotBlocked) {
  EXPECT_EQ(output_of(shell("read line || echo nothing")), "nothing\n");
  sigset_t terminate;
  sigemptyset(&terminate);
  sigaddset(&terminate, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &terminate, nullptr);
  ChildProcess process(shell("sleep 60"), Captured::kErrors);
  process.send(SIGTERM);
  EXPECT_EQ(end_of(process), (ProcessEnd{.by_signal = true, .number = SIGTERM}));
  pthread_sigmask(SIG_UNBLOCK, &terminate, nullptr);
}

TEST(ChildProcessTest, WhatCannotBeStartedIsAnErrorOfTheCommandLine) {
  for (const std::string program : {"no-such-program-anywhere", "/etc/passwd", "/"}) {
    try {
      const ChildProcess process({program}, Captured::kErrors);
      ADD_FAILURE() << program;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      EXPECT_NE(error.problem().find(program), std::string::npos) << error.what();
    }
  }
}

// The parent, itself a child of the test, is killed; nobody can tell its child but the kernel.
TEST(ChildProcessTest, ItEndsWithItsParent) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    ChildProcess process(shell("echo $$ >&2; exec sleep 60"), Captured::kErrors);
    std::string id;
    while (id.find('\n') == std::string::npos) id += process.read().value_or("");
    (void)!::write(ends[1], id.data(), id.size());
    ::pause();
    ::_exit(0);
  }
  char text[32] = {};
  ASSERT_GT(::read(ends[0], text, sizeof text - 1), 0);
  const auto grandchild = static_cast<pid_t>(std::stol(text));
  EXPECT_EQ(::kill(grandchild, 0), 0);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  bool gone = false;
  for (int i = 0; i < 1000 && !gone; ++i) {
    ::waitpid(grandchild, nullptr, WNOHANG);  // It is ours when the test adopts orphans.
    gone = ::kill(grandchild, 0) != 0;
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_TRUE(gone);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(OrphansTest, WhatAKilledProcessLeavesIsEnded) {
  adopt_orphans();
  {
    ChildProcess process(shell("setsid sleep 61 & setsid sh -c 'sleep 62 & wait' & kill -9 $$"),
                         Captured::kErrors);
    end_of(process);
  }
  EXPECT_GE(end_orphans(), 2);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "no child is left";
  EXPECT_EQ(end_orphans(), 0);
}

}  // namespace
}  // namespace cloze
