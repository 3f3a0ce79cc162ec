// Lines, words, parts and numbers of the texts of the system.
#include "trainer/doctor/system_text.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace cloze {
namespace {

using Views = std::vector<std::string_view>;

TEST(SystemTextTest, LinesWordsAndPartsAreCut) {
  EXPECT_EQ(lines_of("a\r\n\nb"), (Views{"a", "", "b"}));
  EXPECT_EQ(lines_of("a\n"), Views{"a"});
  EXPECT_EQ(lines_of(""), Views{});
  EXPECT_EQ(words_of("  a\t b  "), (Views{"a", "b"}));
  EXPECT_EQ(words_of(" \t"), Views{});
  EXPECT_EQ(parts_of("a,b c,,d,", ','), (Views{"a", "b c", "", "d", ""}));
  EXPECT_EQ(parts_of("a", ','), Views{"a"});
  EXPECT_EQ(parts_of("", ','), Views{});
  EXPECT_EQ(trimmed(" \t a b\n"), "a b");
  EXPECT_EQ(trimmed(" \n"), "");
}

TEST(SystemTextTest, ANumberIsWholeOrNone) {
  EXPECT_EQ(number_of("0"), 0);
  EXPECT_EQ(number_of("-1"), -1);
  EXPECT_EQ(number_of("9223372036854775807"), 9223372036854775807);
  for (const char* text : {"", " 1", "1 ", "1.5", "0x1", "9223372036854775808", "max", "1kB"}) {
    EXPECT_FALSE(number_of(text)) << text;
  }
}

}  // namespace
}  // namespace cloze
