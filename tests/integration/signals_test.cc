// Signals and killed ranks: the run ends soon, with what it must say and keep.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>

#include "tests/integration/training.h"

namespace cloze {
namespace {

using std::chrono::seconds;

// So long that no test sees the end.
const char* const kLong = "run.steps=1000000";

class SignalsTest : public TrainingTest {
 protected:
  static void SetUpTestSuite() { TrainingTest::SetUpTestSuite(); }

  // Signals a run of `ranks` in mid step; it saves, says so and can go on.
  void expect_saves(int ranks, int signal, const Words& settings) {
    const Words seldom = settings + Words{"checkpoint.interval=1000000"};
    const std::unique_ptr<Process> process = start(ranks, "a", seldom + Words{kLong});
    ASSERT_TRUE(reaches("a", 2));
    process->send(signal);
    const Outcome outcome = process->wait(seconds(60));
    EXPECT_EQ(outcome.code, 85) << outcome.out << outcome.err;
    EXPECT_EQ(count_of(outcome.out, "saved; the same command goes on from here"), 1U)
        << outcome.out;
    EXPECT_EQ(count_of(outcome.out + outcome.err, "FATAL"), 0U) << outcome.err;
    const auto step = metrics("a").back().at("step").get<std::int64_t>();
    EXPECT_FALSE(contents("a", step).empty());
    EXPECT_EQ(events("a").back().at("event"), "preempted");
    expect_goes_on(ranks, seldom, step);
  }

  // The next command resumes after `step` and leaves no hole in the metrics.
  void expect_goes_on(int ranks, const Words& settings, std::int64_t step) {
    const Outcome resumed =
        train(ranks, "a", settings + Words{"run.steps=" + std::to_string(step + 2)});
    expect_done(resumed);
    EXPECT_NE(resumed.out.find("resume | after step " + std::to_string(step)), std::string::npos)
        << resumed.out;
    const std::vector<nlohmann::json> lines = metrics("a");
    ASSERT_EQ(lines.size(), static_cast<std::size_t>(step + 2));
    for (std::size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i].at("step"), i + 1);
  }

  // The newest committed checkpoint's step; it must be whole.
  std::int64_t newest_good() {
    std::string name = text_of_file(run_folder("a") / "checkpoints" / "latest");
    name = name.substr(0, name.find('\n'));
    const std::int64_t step = std::stoll(name.substr(name.find('-') + 1));
    EXPECT_FALSE(contents("a", step).empty());
    return step;
  }
};

TEST_F(SignalsTest, SingleProcessSavesOnSigusr1) { expect_saves(0, SIGUSR1, {}); }

TEST_F(SignalsTest, SingleProcessSavesOnSigterm) { expect_saves(0, SIGTERM, {}); }

TEST_F(SignalsTest, RanksSaveWhenTheLauncherGetsSigusr1) {
  expect_saves(4, SIGUSR1, {"parallel.tensor=2", "parallel.pipeline=2"});
}

TEST_F(SignalsTest, RanksSaveWhenOneOfThemGetsASignal) {
  const Words settings = {"checkpoint.interval=1000000"};
  for (const int signal : {SIGTERM, SIGUSR1}) {
    for (const std::size_t one : {0U, 1U}) {
      SCOPED_TRACE(std::string(strsignal(signal)) + " to rank " + std::to_string(one));
      std::filesystem::remove_all(run_folder("a"));
      const std::unique_ptr<Process> process = start(2, "a", settings + Words{kLong});
      ASSERT_TRUE(reaches("a", 2));
      const std::vector<pid_t> ranks = descendants_of(process->id(), "cloze");
      ASSERT_EQ(ranks.size(), 2U);
      ::kill(ranks[one], signal);
      const Outcome outcome = process->wait(seconds(60));
      EXPECT_EQ(outcome.code, 85) << outcome.out << outcome.err;
      expect_goes_on(2, settings, metrics("a").back().at("step"));
    }
  }
}

TEST_F(SignalsTest, NewestCheckpointStaysGoodWhenTheLauncherGetsSigterm) {
  const std::unique_ptr<Process> process = start(2, "a", {kLong, "checkpoint.interval=1"});
  ASSERT_TRUE(reaches("a", 3));
  const std::vector<pid_t> ranks = descendants_of(process->id(), "cloze");
  process->send(SIGTERM);
  const Outcome outcome = process->wait(seconds(10));
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.code, 1) << "it is mpirun's own answer";
  EXPECT_TRUE(
      wait_until([&] { return std::none_of(ranks.begin(), ranks.end(), is_alive); }, seconds(10)));
  expect_goes_on(2, {}, newest_good());
}

TEST_F(SignalsTest, KilledRankEndsTheJobWithinTenSeconds) {
  for (const std::size_t victim : {0U, 1U, 3U}) {
    std::filesystem::remove_all(run_folder("a"));
    const Words settings = {"parallel.tensor=2", "parallel.pipeline=2"};
    const std::unique_ptr<Process> process =
        start(4, "a", settings + Words{kLong, "checkpoint.interval=1"});
    ASSERT_TRUE(reaches("a", 3));
    const std::vector<pid_t> ranks = descendants_of(process->id(), "cloze");
    ASSERT_EQ(ranks.size(), 4U);
    ::kill(ranks[victim], SIGKILL);
    const Outcome outcome = process->wait(seconds(10));
    EXPECT_FALSE(outcome.timed_out) << "the others hang";
    EXPECT_NE(outcome.code, 0);
    EXPECT_LE(count_of(outcome.err, "FATAL"), 1U) << outcome.err;
    EXPECT_TRUE(wait_until([&] { return std::none_of(ranks.begin(), ranks.end(), is_alive); },
                           seconds(10)));
    if (victim == 3) expect_goes_on(4, settings, newest_good());
  }
}

TEST_F(SignalsTest, RanksEndWithTheirLauncher) {
  const std::unique_ptr<Process> process = start(2, "a", {kLong});
  ASSERT_TRUE(reaches("a", 2));
  const std::vector<pid_t> ranks = descendants_of(process->id(), "cloze");
  ASSERT_EQ(ranks.size(), 2U);
  process->send(SIGKILL);
  EXPECT_TRUE(
      wait_until([&] { return std::none_of(ranks.begin(), ranks.end(), is_alive); }, seconds(10)));
}

TEST_F(SignalsTest, SecondJobInADirectoryRefuses) {
  const std::unique_ptr<Process> first = start(0, "a", {kLong});
  ASSERT_TRUE(reaches("a", 1));
  expect_failure(train(0, "a", {kLong}), 73,
                 {"is in use by another job", std::to_string(first->id())});
  EXPECT_TRUE(first->running());
  const std::size_t before = metrics("a").size();
  EXPECT_TRUE(reaches("a", before + 1)) << "the first goes on";
}

}  // namespace
}  // namespace cloze
