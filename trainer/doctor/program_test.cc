// Other processes: what they print, how they end, and that none outlives its limit.
#include "trainer/doctor/program.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

namespace cloze {
namespace {

using std::chrono::seconds;

TEST(ProgramTest, OutputAndCodeAreTaken) {
  const ProgramOutput output =
      run_program({"sh", "-c", "echo out; echo err >&2; exit 3"}, seconds(60));
  EXPECT_EQ(output.code, 3);
  EXPECT_FALSE(output.timed_out);
  EXPECT_EQ(output.text, "out\nerr\n");
}

TEST(ProgramTest, AProgramThatIsNotThereIs127) {
  EXPECT_EQ(run_program({"no-such-program-anywhere"}, seconds(60)).code, 127);
}

TEST(ProgramTest, AProgramThatHangsIsKilledWithWhatItStarted) {
  const auto start = std::chrono::steady_clock::now();
  const ProgramOutput output =
      run_program({"sh", "-c", "echo $$; sleep 1000 & sleep 1000"}, std::chrono::milliseconds(700));
  EXPECT_TRUE(output.timed_out);
  EXPECT_EQ(output.code, 128 + SIGKILL);
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(100));
  if (!output.text.empty()) {  // A busy machine may not have come so far.
    const pid_t group = std::stoi(output.text);
    for (int wait = 0; wait < 500 && ::kill(-group, 0) == 0; ++wait) ::usleep(10000);
    EXPECT_NE(::kill(-group, 0), 0) << "some of it still runs";
  }
}

TEST(ProgramTest, ADaemonThatKeepsThePipeIsNotWaitedFor) {
  const ProgramOutput output = run_program({"sh", "-c", "echo done; sleep 30 &"}, seconds(20));
  EXPECT_EQ(output.code, 0);
  EXPECT_FALSE(output.timed_out);
  EXPECT_EQ(output.text, "done\n");
}

TEST(ProgramTest, AProgramThatClosesItsOutputIsStillWaitedFor) {
  const ProgramOutput done =
      run_program({"sh", "-c", "echo out; exec >&- 2>&-; sleep 0.2; exit 5"}, seconds(60));
  EXPECT_EQ(done.code, 5);
  EXPECT_EQ(done.text, "out\n");
  const ProgramOutput hung =
      run_program({"sh", "-c", "exec >&- 2>&-; sleep 1000"}, std::chrono::milliseconds(300));
  EXPECT_TRUE(hung.timed_out);
}

TEST(ProgramTest, MuchOutputIsCut) {
  const ProgramOutput output = run_program({"sh", "-c", "yes | head -c 1000000"}, seconds(60));
  EXPECT_EQ(output.code, 0);
  EXPECT_GE(output.text.size(), 64U << 10);
  EXPECT_LT(output.text.size(), 70U << 10);
}

TEST(ProgramTest, ACopyOfThisProcessTellsHowItEnds) {
  const ProgramOutput fine = run_copy(
      [] {
        std::fputs("here", stdout);
        return 7;
      },
      seconds(60));
  EXPECT_EQ(fine.code, 7);
  EXPECT_EQ(fine.text, "here");
  const ProgramOutput killed = run_copy([] { return ::raise(SIGKILL); }, seconds(60));
  EXPECT_EQ(killed.code, 128 + SIGKILL);
}

}  // namespace
}  // namespace cloze
