// `cloze prepare` as a person sees it: a bar on a terminal, the counts at the end.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/integration/training.h"

namespace cloze {
namespace {

constexpr const char* kWipe = "\r\033[K";
constexpr int kTimes = 12;               // How often the text is read.
constexpr std::size_t kLines = 1 << 15;  // Of the text, a document each.

class PrepareProgressTest : public TrainingTest {
 protected:
  void SetUp() override {
    TrainingTest::SetUp();
    std::ofstream file(text());
    for (std::size_t line = 0; line < kLines; ++line) {
      file << R"({"text": "some words that are no secret, )" << line << "\"}\n";
    }
  }

  std::filesystem::path text() const { return run_folder("text.jsonl"); }

  Words prepare_command() const {
    Words words = {CLOZE_BINARY, "prepare",  "--tokenizer",
                   "tokenizer",  "--output", run_folder("out").string(),
                   "--workers",  "1",        "--input"};
    words.insert(words.end(), kTimes, text().string());
    return words;
  }
};

TEST_F(PrepareProgressTest, ATerminalShowsABarThatIsWiped) {
  std::string line;
  for (const std::string& word : prepare_command()) line += "'" + word + "' ";
  const Outcome outcome =
      run_process({"/usr/bin/script", "-q", "-e", "-c", line, "/dev/null"}, workspace());
  expect_done(outcome);
  const std::string& out = outcome.out;

  int frames = 0;
  double last_share = 0;
  std::size_t last_filled = 0;
  const std::string begin = std::string(kWipe) + "[";
  for (std::size_t at = out.find(begin); at != std::string::npos; at = out.find(begin, at + 1)) {
    const std::string frame =
        out.substr(at + begin.size(), out.find('\r', at + 1) - at - begin.size());
    SCOPED_TRACE(frame);
    const std::size_t filled = frame.find_first_not_of('#');
    EXPECT_EQ(frame.substr(filled, 32 - filled), std::string(30 - filled, '.') + "] ");
    const double share = std::stod(frame.substr(32));
    // Of 30, rounded down; the share is printed to a tenth of a percent.
    EXPECT_NEAR(static_cast<double>(filled) + 0.5, share * 0.3, 0.5 + 0.05 * 0.3 + 1e-9);
    EXPECT_GE(share, last_share);
    EXPECT_GE(filled, last_filled);
    EXPECT_NE(frame.find(" documents, "), std::string::npos);
    EXPECT_NE(frame.find(" tokens/s"), std::string::npos);
    EXPECT_EQ(frame.find('\n'), std::string::npos) << "the next frame stands on the same line";
    last_share = share;
    last_filled = filled;
    ++frames;
  }
  EXPECT_GE(frames, 2) << out;
  // What stays is the end: the bar is gone before it is said.
  const std::size_t end = out.find("wrote ");
  ASSERT_NE(end, std::string::npos) << out;
  EXPECT_EQ(out.substr(end - 4, 4), kWipe);
  EXPECT_EQ(out.find(kWipe, end), std::string::npos);
  const std::string documents = std::to_string(kTimes * kLines) + " documents, ";
  EXPECT_NE(out.find(documents, end), std::string::npos) << out.substr(end);
  const auto bytes = kTimes * std::filesystem::file_size(text());
  EXPECT_NE(out.find("read " + std::to_string(bytes) + " bytes, ", end), std::string::npos)
      << out.substr(end);
}

TEST_F(PrepareProgressTest, APipeGetsNoBar) {
  const Outcome outcome = run_process(prepare_command(), workspace());
  expect_done(outcome);
  EXPECT_EQ(outcome.err.find('\r'), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find('\033'), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.out.find('\033'), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find(std::to_string(kTimes * kLines) + " documents, "), std::string::npos)
      << outcome.out;
}

}  // namespace
}  // namespace cloze
