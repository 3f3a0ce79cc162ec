// The byte-level alphabet.
#include "data/byte_level.h"

#include <gtest/gtest.h>

#include <set>

namespace cloze {
namespace {

TEST(ByteLevelTest, WritesBlanksAndControlsAsPrintableCharacters) {
  EXPECT_EQ(to_byte_level("ab \n\t"), "abĠĊĉ");
  EXPECT_EQ(to_byte_level("中"), "ä¸Ń");
  EXPECT_EQ(to_byte_level(std::string(1, '\0')), "Ā");
}

TEST(ByteLevelTest, ReadsBackEveryByte) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  EXPECT_EQ(from_byte_level(to_byte_level(bytes)), bytes);
}

TEST(ByteLevelTest, RefusesCharactersOutsideTheAlphabet) {
  for (const char* text : {" ", "\n", "中", "a b", "\u0144", "\u00ad", "🙂"}) {
    EXPECT_FALSE(from_byte_level(text).has_value()) << text;
  }
}

TEST(ByteLevelTest, RefusesBrokenUtf8) {
  for (const char* text : {"\xC4", "\xC4x", "\x80", "\xC0\xA1", "\xFF"}) {
    EXPECT_FALSE(from_byte_level(text).has_value());
  }
}

TEST(ByteLevelTest, OrdersAllBytesPrintableOnesFirst) {
  const auto order = byte_level_order();
  EXPECT_EQ(std::set<int>(order.begin(), order.end()).size(), 256U);
  EXPECT_EQ(order[0], '!');
  EXPECT_EQ(order[93], '~');
  EXPECT_EQ(order[188], 0);    // U+0100, the first that cannot show itself.
  EXPECT_EQ(order[220], ' ');  // U+0120.
  EXPECT_EQ(order[255], 0xAD);
}

}  // namespace
}  // namespace cloze
