// The lines that log scrapers read: docs/train.md promises their pattern, whatever the numbers.
#include "trainer/loop/console.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <regex>
#include <string>
#include <vector>

namespace cloze {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kHuge = std::numeric_limits<double>::max();

// The pattern that docs/train.md gives for lines that begin with `start`.
std::regex documented(const std::string& start) {
  std::ifstream page(std::string(CLOZE_SOURCE_DIR) + "/docs/train.md");
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("^" + start)) return std::regex(line);
  }
  ADD_FAILURE() << "docs/train.md has no pattern of " << start;
  return std::regex("");
}

const std::regex& step_pattern() {
  static const std::regex pattern = documented("step ([0-9]+)/");
  return pattern;
}

StepReport report_with(double loss, double norm, double rate) {
  StepReport report;
  report.losses.sum[0] = loss;
  report.losses.targets[0] = 1;
  report.gradient_norm = norm;
  report.learning_rate = rate;
  return report;
}

bool is_number(const std::string& text) {
  char* end = nullptr;
  std::strtod(text.c_str(), &end);
  return !text.empty() && end == text.c_str() + text.size();
}

TEST(ConsoleTest, AUsualLineIsThisOne) {
  const StepSpeed speed{.step_seconds = 0.05,
                        .tokens_per_second = 14231,
                        .tflops = 0.105,
                        .mfu = 0.538,
                        .eta_seconds = 14.2};
  EXPECT_EQ(step_line(10, 300, report_with(7.8445, 1.08, 1.926e-3), speed),
            "step 10/300 | loss 7.8445 | grad norm 1.080 | lr 1.926e-03 | 14.2 k tokens/s | "
            "0.105 TFLOP/s | MFU 53.8 % | ETA 14 s");
  EXPECT_EQ(validation_line(10, 1.5), "step 10 validation | loss 1.5000 | perplexity 4.48");
}

TEST(ConsoleTest, EveryNumberKeepsThePattern) {
  const std::vector<double> values = {
      0,     -0.0,      1,     -1,     0.1,    999.9996, 1e5,   1e9,
      1e12,  123456789, 1e20,  1e300,  kHuge,  -kHuge,   1e-30, kInf,
      -kInf, kNan,      -kNan, 5e-324, 3599.7, 59.6,     1e21,  86400 * 365.0 * 2000};
  for (const double value : values) {
    for (const bool skipped : {false, true}) {
      StepReport report = report_with(value, value, value);
      report.skipped = skipped;
      const StepSpeed speed{.step_seconds = value,
                            .tokens_per_second = value,
                            .tflops = value,
                            .mfu = value,
                            .eta_seconds = value};
      const std::string line =
          step_line(std::numeric_limits<std::int64_t>::max(), 1, report, speed);
      std::smatch match;
      ASSERT_TRUE(std::regex_match(line, match, step_pattern())) << line;
      ASSERT_EQ(match.size(), 12U) << "the page explains eleven groups";
      for (const int group : {1, 2, 3, 4, 5, 6, 8, 9}) {
        EXPECT_TRUE(is_number(match[group])) << match[group] << " in " << line;
      }
      EXPECT_EQ(match[11].length() > 0, skipped) << line;
      EXPECT_LT(line.size(), 250U) << line;
    }
  }
}

TEST(ConsoleTest, TheGroupsAreTheNumbers) {
  StepReport report = report_with(2.5, 0.125, 3e-4);
  report.skipped = true;
  const std::string line = step_line(
      7, 90, report, {.tokens_per_second = 2.5e6, .tflops = 1.5, .mfu = 0.25, .eta_seconds = 3725});
  std::smatch match;
  ASSERT_TRUE(std::regex_match(line, match, step_pattern())) << line;
  const std::vector<std::string> expected = {"7",         "90",         "2.5000",    "0.125",
                                             "3.000e-04", "2.50",       " M",        "1.500",
                                             "25.0",      "1 h 02 min", " | skipped"};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(match[i + 1], expected[i]) << line;
}

TEST(ConsoleTest, LinesThatWereChangedDoNotMatch) {
  const std::string line = step_line(1, 2, report_with(1, 1, 1), {});
  ASSERT_TRUE(std::regex_match(line, step_pattern())) << line;
  for (const char* word :
       {"step", "loss", "grad norm", "lr", "tokens/s", "TFLOP/s", "MFU", "ETA"}) {
    std::string other = line;
    other.replace(other.find(word), 1, "X");
    EXPECT_FALSE(std::regex_match(other, step_pattern())) << other;
  }
  EXPECT_FALSE(std::regex_match(line + " | more", step_pattern()));
  EXPECT_FALSE(std::regex_match(validation_line(1, 1), step_pattern()));
}

TEST(ConsoleTest, ValidationLinesKeepTheirPattern) {
  const std::regex pattern = documented("step ([0-9]+) validation");
  for (const double loss : {0.0, 8.1234, 700.0, 1e5, -1.0, kInf, -kInf, kNan}) {
    const std::string line = validation_line(12, loss);
    std::smatch match;
    ASSERT_TRUE(std::regex_match(line, match, pattern)) << line;
    EXPECT_TRUE(is_number(match[2]) && is_number(match[3])) << line;
  }
}

TEST(ConsoleTest, DurationsAndCountsThatAreNone) {
  EXPECT_EQ(duration_text(kNan), "?");
  EXPECT_EQ(duration_text(-1), "?");
  EXPECT_EQ(duration_text(1e300), "?");
  EXPECT_EQ(duration_text(59.4), "59 s");
  EXPECT_EQ(duration_text(59.6), "1 min 00 s");
  EXPECT_EQ(duration_text(86400 * 400.0), "9600 h 00 min");
  EXPECT_EQ(count_text(kNan), "nan");
  EXPECT_EQ(count_text(kInf), "inf");
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(9999), "9999");
  EXPECT_EQ(count_text(12345), "12.3 k");
}

}  // namespace
}  // namespace cloze
