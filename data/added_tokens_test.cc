// Where the strings of added tokens are found.
#include "data/added_tokens.h"

#include <gtest/gtest.h>

namespace cloze {
namespace {

TEST(AddedTokenMatcherTest, FindsTheLeftmostAndOfThoseTheLongest) {
  const std::vector<AddedToken> tokens = {
      {.content = "<a", .id = 1}, {.content = "<ab>", .id = 2}, {.content = "b", .id = 3}};
  const AddedTokenMatcher matcher(tokens);
  const auto match = matcher.find("x<ab>b", 0);
  ASSERT_TRUE(match.has_value());
  EXPECT_EQ(match->id, 2);
  EXPECT_EQ(match->begin, 1U);
  EXPECT_EQ(match->end, 5U);
  EXPECT_EQ(matcher.find("x<ab>b", 2)->id, 3);
  EXPECT_EQ(matcher.find("<ac", 0)->id, 1);
}

TEST(AddedTokenMatcherTest, FindsNothingInTextThatOnlyStartsLikeAToken) {
  const std::vector<AddedToken> tokens = {{.content = "<sop>", .id = 1}};
  const AddedTokenMatcher matcher(tokens);
  for (const char* text : {"", "<", "<sop", "<SOP>", "< sop>"}) {
    EXPECT_FALSE(matcher.find(text, 0).has_value()) << text;
  }
}

TEST(AddedTokenMatcherTest, WithoutTokensFindsNothing) {
  const AddedTokenMatcher matcher({});
  EXPECT_TRUE(matcher.empty());
  EXPECT_FALSE(matcher.find("text", 0).has_value());
}

}  // namespace
}  // namespace cloze
