// Tests of bytes that become text. The replacements are Python's: bytes.decode(errors="replace").
#include "data/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace cloze {
namespace {

constexpr const char* kFffd = "\xEF\xBF\xBD";

// Without what waits for more bytes.
std::string shown(std::string_view bytes) { return replace_invalid_utf8(bytes).text; }

TEST(Utf8Test, ValidTextStaysAsItIs) {
  for (const char* text : {"", "plain", "é", "床前明月光", "🦊 fox", "\xEF\xBF\xBD"}) {
    EXPECT_EQ(shown(text), text);
    EXPECT_EQ(replace_invalid_utf8(text).unfinished, 0);
  }
}

TEST(Utf8Test, ACharacterThatIsNotWholeWaits) {
  const std::string fox = "🦊";
  for (std::size_t bytes = 1; bytes < fox.size(); ++bytes) {
    const ShownText text = replace_invalid_utf8("x" + fox.substr(0, bytes));
    EXPECT_EQ(text.text, "x");
    EXPECT_EQ(text.unfinished, bytes);
  }
}

TEST(Utf8Test, EachLongestBeginningThatFailsIsOneReplacement) {
  const std::string r = kFffd;
  EXPECT_EQ(shown("a\x85"
                  "b"),
            "a" + r + "b");
  EXPECT_EQ(shown("\x80\x80"), r + r);
  EXPECT_EQ(shown("\xE6\x9C"
                  "x"),
            r + "x");  // Two bytes of three.
  EXPECT_EQ(shown("\xF0\x9F\xA6"
                  "x"),
            r + "x");                                          // Three of four.
  EXPECT_EQ(shown("\xF0\x9F\xE6\x9C\x88"), r + "月");          // Cut by a whole character.
  EXPECT_EQ(shown("\xC0\xAFx"), r + r + "x");                  // Overlong.
  EXPECT_EQ(shown("\xE0\x80\x80x"), r + r + r + "x");          // Overlong.
  EXPECT_EQ(shown("\xED\xA0\x80x"), r + r + r + "x");          // A surrogate.
  EXPECT_EQ(shown("\xF4\x90\x80\x80x"), r + r + r + r + "x");  // Beyond U+10FFFF.
  EXPECT_EQ(shown("\xFF\xFE"), r + r);
}

TEST(Utf8Test, TheFirstInvalidByteIsFound) {
  EXPECT_EQ(find_invalid_utf8("月x\x85"), 4);
  EXPECT_EQ(find_invalid_utf8("月\xE6\x9C"), 3);
  EXPECT_EQ(find_invalid_utf8("月"), std::nullopt);
}

}  // namespace
}  // namespace cloze
