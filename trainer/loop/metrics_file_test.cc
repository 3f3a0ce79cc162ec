// The metrics file: exact numbers, whole lines, and a resume that leaves no step twice.
#include "trainer/loop/metrics_file.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <utility>
#include <vector>

#include "parallel/base/check.h"
#include "tests/support/scratch_folder.h"
#include "trainer/loop/event_journal.h"

namespace cloze {
namespace {

class MetricsFileTest : public ::testing::Test {
 protected:
  void spill(const std::string& text) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << text;
  }
  std::string slurp(const std::filesystem::path& path) const {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }
  // Opens the file with `text` in it, resumes after `step`; what is left.
  std::string resumed(const std::string& text, std::int64_t step, std::int64_t lines_cut) const {
    spill(text);
    EXPECT_EQ(MetricsFile(path_, step).lines_cut(), lines_cut) << text;
    return slurp(path_);
  }

  const ScratchFolder scratch_;
  const std::filesystem::path& folder_ = scratch_.path();
  const std::filesystem::path path_ = folder_ / "metrics.jsonl";
};

TEST_F(MetricsFileTest, DoublesReadBackToTheSameBits) {
  std::mt19937_64 random(1);
  std::vector<double> values = {0.0,    -0.0, 0.1,       1.0 / 3, 1e300, 5e-324,
                                1.0e16, 3.0,  6.0221e23, -2.5e-9, 0.1F};
  while (values.size() < 2000) {
    double value = 0;
    const std::uint64_t bits = random();
    std::memcpy(&value, &bits, sizeof(value));
    if (std::isfinite(value)) values.push_back(value);
  }
  {
    MetricsFile file(path_, 0);
    for (std::size_t i = 0; i < values.size(); ++i) {
      file.write({{"step", i + 1}, {"loss", values[i]}});
    }
    file.sync();
  }
  std::ifstream stream(path_);
  std::string line;
  for (const double value : values) {
    ASSERT_TRUE(std::getline(stream, line));
    // By strtod, not by the library that wrote it.
    const double read = std::strtod(line.c_str() + line.find("loss\":") + 6, nullptr);
    ASSERT_EQ(std::bit_cast<std::uint64_t>(read), std::bit_cast<std::uint64_t>(value)) << line;
  }
}

TEST_F(MetricsFileTest, NumbersThatAreNotFiniteAreNull) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  MetricsFile file(path_, 0);
  file.write(
      {{"step", 1}, {"loss", nan}, {"validation", {{"loss", -infinity}}}, {"skipped", true}});
  EXPECT_EQ(slurp(path_),
            "{\"step\":1,\"loss\":null,\"validation\":{\"loss\":null},\"skipped\":true}\n");
}

TEST_F(MetricsFileTest, ATornLastLineIsCut) {
  EXPECT_EQ(resumed("{\"step\":1}\n{\"step\":2}\n{\"ste", 2, 0), "{\"step\":1}\n{\"step\":2}\n");
  EXPECT_EQ(resumed("{\"ste", 5, 0), "");
  EXPECT_EQ(resumed("{\"step\":1}\n" + std::string(10000, 'x'), 5, 0), "{\"step\":1}\n");
  EXPECT_EQ(resumed("", 5, 0), "");
}

TEST_F(MetricsFileTest, LinesOfStepsThatWillRunAgainAreCut) {
  const std::string three = "{\"step\":1}\n{\"step\":2}\n{\"loss\":1,\"step\":3}\n";
  EXPECT_EQ(resumed(three, 3, 0), three);
  EXPECT_EQ(resumed(three, 2, 1), "{\"step\":1}\n{\"step\":2}\n");
  EXPECT_EQ(resumed(three, 0, 3), "");
  EXPECT_EQ(resumed(three + "{\"step\":4", 2, 1), "{\"step\":1}\n{\"step\":2}\n");
  // What a crash of the machine leaves: a block of zeros, or a line of something else.
  EXPECT_EQ(resumed(three + std::string(5000, '\0') + "\n[]\n{}\n{\"step\":\"5\"}\n", 3, 4), three);
}

TEST_F(MetricsFileTest, ALongFileIsCutAtTheRightLine) {
  std::string text;
  std::string kept;
  for (int step = 1; step <= 3000; ++step) {
    text += str("{\"step\":", step, ",\"pad\":\"",
                std::string(static_cast<std::size_t>(step % 97), 'p'), "\"}\n");
    if (step <= 700) kept = text;
  }
  EXPECT_EQ(resumed(text, 700, 2300), kept);
}

TEST_F(MetricsFileTest, AResumedRunAppends) {
  {
    MetricsFile file(path_, 0);
    for (int step = 1; step <= 5; ++step) file.write({{"step", step}});
  }
  MetricsFile file(path_, 3);
  EXPECT_EQ(file.lines_cut(), 2);
  file.write({{"step", 4}, {"again", true}});
  EXPECT_EQ(slurp(path_),
            "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"step\":4,\"again\":true}\n");
  EXPECT_THROW(file.write({{"step", 4}}), Error);
  EXPECT_THROW(file.write({{"loss", 4}}), Error);
}

TEST_F(MetricsFileTest, AFileThatCannotBeMadeIsCannotWrite) {
  try {
    const MetricsFile file(folder_ / "none" / "metrics.jsonl", 0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kCannotWrite);
  }
  try {
    AppendFile("/dev/full").append("x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kIo);
  }
}

TEST_F(MetricsFileTest, EventsHaveATimeAndStay) {
  const std::filesystem::path path = folder_ / "events.jsonl";
  EventJournal(path).record("save", {{"step", 100}});
  std::ofstream(path, std::ios::app) << "{\"torn";
  EventJournal journal(path);
  journal.record("restart", {{"step", 100}, {"reason", "bad \xff byte"}});
  journal.record("done", {});
  std::istringstream lines(slurp(path));
  std::vector<nlohmann::json> events;
  for (std::string line; std::getline(lines, line);) events.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0]["event"], "save");
  EXPECT_EQ(events[0]["step"], 100);
  EXPECT_EQ(events[1]["event"], "restart");
  const auto time = events[0]["time"].get<std::string>();
  ASSERT_EQ(time.size(), std::string("2026-03-01T12:34:56.789Z").size()) << time;
  EXPECT_EQ(time[10], 'T');
  EXPECT_EQ(time[23], 'Z');
  EXPECT_LE(events[0]["time"], events[1]["time"]);
}

TEST_F(MetricsFileTest, TheLastLoggedStepIsThatOfTheLastWholeLine) {
  EXPECT_EQ(last_logged_step(path_), -1) << "no file";
  EXPECT_EQ(last_logged_step(folder_), -1) << "no regular file";
  const std::vector<std::pair<std::string, std::int64_t>> cases = {
      {"", -1},
      {"{\"step\":4}\n{\"step\":5}\n", 5},
      {"{\"step\":4}\n{\"step\":5}", 4},
      {"{\"step\":4}\n{\"st", 4},
      {"{\"step\":4}\ngarbage\n\n", 4},
      {"{\"step\":4", -1},
      {"garbage\n", -1},
      {std::string(5000, '\0'), -1},
      {"{\"step\":4}\n" + std::string(9000, 'x') + "\n", 4}};
  for (const auto& [text, step] : cases) {
    spill(text);
    EXPECT_EQ(last_logged_step(path_), step) << text.substr(0, 40);
  }
}

}  // namespace
}  // namespace cloze
