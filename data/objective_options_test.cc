#include "data/objective_options.h"

#include <gtest/gtest.h>

#include <string>

#include "parallel/base/check.h"

namespace cloze {
namespace {

std::string problem_of(const ObjectiveOptions& options) {
  try {
    check_objective_options(options);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.problem();
  }
  return "";
}

TEST(ObjectiveOptionsTest, TakesEveryKeyOfTheSection) {
  config::Objective section;
  EXPECT_EQ(objective_options(section), ObjectiveOptions());
  section.set_kind(config::Objective::causal);
  EXPECT_TRUE(objective_options(section).causal);
  section.set_kind(config::Objective::blank_infilling);
  section.set_mask_ratio(0.2);
  section.set_span_mean(4);
  section.set_span_max(20);
  section.set_sentence_ratio(0.3);
  section.set_document_min_ratio(0.25);
  section.set_span_share(0.1);
  section.set_sentence_share(0.6);
  section.set_document_share(0.3);
  const ObjectiveOptions expected = {.causal = false,
                                     .mask_ratio = 0.2,
                                     .span_mean = 4,
                                     .span_max = 20,
                                     .sentence_ratio = 0.3,
                                     .document_min_ratio = 0.25,
                                     .span_share = 0.1,
                                     .sentence_share = 0.6,
                                     .document_share = 0.3};
  EXPECT_EQ(objective_options(section), expected);
}

TEST(ObjectiveOptionsTest, NamesTheKeyThatIsOutOfRange) {
  const auto holds = [](const std::string& text, const char* key) {
    return text.find(key) != std::string::npos;
  };
  EXPECT_EQ(problem_of({}), "");
  EXPECT_TRUE(holds(problem_of({.mask_ratio = 0}), "mask_ratio"));
  EXPECT_TRUE(holds(problem_of({.mask_ratio = 0.8}), "no room between spans"));
  EXPECT_TRUE(holds(problem_of({.span_mean = -1}), "span_mean"));
  EXPECT_TRUE(holds(problem_of({.span_mean = 0.0 / 0.0}), "span_mean"));
  EXPECT_TRUE(holds(problem_of({.span_max = 0}), "span_max"));
  EXPECT_TRUE(holds(problem_of({.sentence_ratio = 1}), "sentence_ratio"));
  EXPECT_TRUE(holds(problem_of({.document_min_ratio = 1.5}), "document_min_ratio"));
  EXPECT_TRUE(holds(problem_of({.span_share = -0.1}), "span_share"));
  EXPECT_TRUE(holds(problem_of({.span_share = 0.6}), "sum to 1.1"));
}

TEST(ObjectiveOptionsTest, SharesOfTokensRoundUpButForRoundingErrors) {
  EXPECT_EQ(tokens_of_share(0.15, 100), 15);
  EXPECT_EQ(tokens_of_share(0.15, 101), 16);
  EXPECT_EQ(tokens_of_share(0.07, 100), 7);  // 0.07 * 100 > 7 in binary.
  EXPECT_EQ(tokens_of_share(0.15, 1), 1);
}

TEST(ObjectiveOptionsTest, WindowLeavesRoomForTheBlanksOfAlmostEveryDraw) {
  EXPECT_EQ(window_length({}, 512), 453);    // 68 hidden: 21.5 + 3 * 2.40 spans, and one.
  EXPECT_EQ(window_length({}, 2048), 1842);  // 277 hidden: 87.7 + 3 * 4.84 spans, and one.
  EXPECT_EQ(window_length({.causal = true}, 512), 512);
  const ObjectiveOptions document = {.span_share = 0, .sentence_share = 0, .document_share = 1};
  EXPECT_EQ(window_length(document, 512), 504);  // At most four documents a window.
}

TEST(ObjectiveOptionsTest, WindowGrowsWithTheRow) {
  std::int64_t before = 0;
  for (std::int64_t seq_length = 8; seq_length < 5000; ++seq_length) {
    const std::int64_t window = window_length({}, seq_length);
    ASSERT_GE(window, before);
    ASSERT_LE(window, seq_length - 2);
    before = window;
  }
}

TEST(ObjectiveOptionsTest, RefusesARowWithoutRoomForABlank) {
  EXPECT_THROW(window_length({}, 0), Error);
  EXPECT_THROW(window_length({}, 3), Error);
  EXPECT_THROW(window_length({.causal = true}, 0), Error);
}

}  // namespace
}  // namespace cloze
