#include "parallel/base/join.h"

#include <gtest/gtest.h>

namespace cloze {
namespace {

TEST(JoinTest, TheSeparatorStandsBetweenWords) {
  EXPECT_EQ(join({}), "");
  EXPECT_EQ(join({"a"}), "a");
  EXPECT_EQ(join({"a", "b", "c"}), "a, b, c");
  EXPECT_EQ(join({"a", "b"}, "; "), "a; b");
}

}  // namespace
}  // namespace cloze
