// The hand-written scanner is held to PCRE2, code point by code point and on random texts.
#include "data/split_pattern.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <span>

#include "data/unicode_classes.h"
#include "parallel/base/check.h"
#include "parallel/base/random.h"

namespace cloze {
namespace {

std::string utf8(std::uint32_t code_point) {
  std::string text;
  const auto add = [&](std::uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  const auto tail = [&](unsigned shift) { add(0x80U | ((code_point >> shift) & 0x3FU)); };
  if (code_point < 0x80) {
    add(code_point);
  } else if (code_point < 0x800) {
    add(0xC0U | (code_point >> 6));
    tail(0);
  } else if (code_point < 0x10000) {
    add(0xE0U | (code_point >> 12));
    tail(6);
    tail(0);
  } else {
    add(0xF0U | (code_point >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
  return text;
}

std::vector<std::string> words_of(const SplitPattern& pattern, std::string_view text) {
  WordScanner scanner(pattern);
  scanner.start(text);
  std::vector<std::string> words;
  while (const auto word = scanner.next()) words.emplace_back(*word);
  return words;
}

std::vector<std::string> glm_words(std::string_view text) {
  return words_of(SplitPattern(kGlmSplitPattern), text);
}

std::vector<std::uint32_t> all_code_points() {
  std::vector<std::uint32_t> code_points;
  for (std::uint32_t c = 0; c < 0x110000; ++c) {
    if (c < 0xD800 || c >= 0xE000) code_points.push_back(c);
  }
  return code_points;
}

// Whether each code point is matched by `regex`, a class of one character.
std::vector<bool> members(std::string_view regex) {
  const SplitPattern pattern(regex, SplitEngine::kPcre2);
  WordScanner scanner(pattern);
  std::vector<bool> inside(0x110000, false);
  for (const std::uint32_t c : all_code_points()) {
    // Matched, the character is a word apart from the two before and after it.
    const std::string text = "\x01" + utf8(c) + "\x01";
    scanner.start(text);
    inside[c] = scanner.next()->size() == 1;
  }
  return inside;
}

std::vector<bool> members(std::span<const CodePointRange> ranges) {
  std::vector<bool> inside(0x110000, false);
  for (const CodePointRange range : ranges) {
    for (std::uint32_t c = range.first; c <= range.last; ++c) inside[c] = true;
  }
  return inside;
}

TEST(UnicodeClassesTest, AgreeWithPcre2OnAllCharactersItsUnicodeKnows) {
  const std::vector<bool> unassigned = members(R"(\p{Cn})");
  const std::array<std::pair<const char*, std::span<const CodePointRange>>, 3> classes = {
      {{R"(\p{L})", letter_ranges()}, {R"(\p{N})", number_ranges()}, {R"(\s)", space_ranges()}}};
  for (const auto& [regex, ranges] : classes) {
    const std::vector<bool> theirs = members(regex);
    const std::vector<bool> ours = members(ranges);
    int num_members = 0;
    for (const std::uint32_t c : all_code_points()) {
      if (unassigned[c]) continue;
      ASSERT_EQ(ours[c], theirs[c]) << regex << " U+" << std::hex << c;
      num_members += ours[c] ? 1 : 0;
    }
    EXPECT_GE(num_members, 25) << regex;
  }
}

TEST(UnicodeClassesTest, AreAscendingAndDisjoint) {
  for (const auto ranges : {letter_ranges(), number_ranges(), space_ranges()}) {
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      EXPECT_LE(ranges[i].first, ranges[i].last);
      if (i > 0) {
        EXPECT_LT(ranges[i - 1].last + 1, ranges[i].first);
      }
    }
  }
}

TEST(GlmScannerTest, CutsEveryCodePointAsPcre2DoesWhereverItStands) {
  const SplitPattern scanner(kGlmSplitPattern);
  const SplitPattern pcre2(kGlmSplitPattern, SplitEngine::kPcre2);
  const std::vector<bool> unassigned = members(R"(\p{Cn})");
  WordScanner ours(scanner);
  WordScanner theirs(pcre2);
  int num_compared = 0;
  for (const std::uint32_t c : all_code_points()) {
    if (unassigned[c]) continue;
    ++num_compared;
    const std::string x = utf8(c);
    const std::string text = "a" + x + "a " + x + x + "1" + x + ". " + x + "\n" + x + "'" + x +
                             "'s" + x + " \r" + x + "  " + x;
    ours.start(text);
    theirs.start(text);
    for (;;) {
      const auto our_word = ours.next();
      const auto their_word = theirs.next();
      ASSERT_EQ(our_word, their_word) << "U+" << std::hex << c;
      if (!our_word.has_value()) break;
    }
  }
  EXPECT_GT(num_compared, 280000);
}

TEST(GlmScannerTest, CutsRandomTextsAsPcre2Does) {
  const std::array<std::string, 36> parts = {
      "a",      "Z",      "s", "T",  "'",    "'s",      "'LL",      "'Ve",    "'d",
      "'ſ",     "ſ",      "é", "中", "文字", "あ",      "한",       "1",      "٣",
      "½",      "Ⅷ",      " ", "  ", "\t",   "\n",      "\r",       "\r\n",   "\u3000",
      "\u00a0", "\u180e", ".", "!",  "。",   "e\u0301", "👍🏽", "\u200d", "_"};
  const SplitPattern scanner(kGlmSplitPattern);
  const SplitPattern pcre2(kGlmSplitPattern, SplitEngine::kPcre2);
  for (std::uint64_t round = 0; round < 20000; ++round) {
    const RandomKey key{.seed = 11, .domain = RandomDomain::kTest, .ordinal = round};
    std::string text;
    const std::uint64_t length = random_below(key, 0, 24);
    for (std::uint64_t i = 1; i <= length; ++i) text += parts[random_below(key, i, parts.size())];
    ASSERT_EQ(words_of(scanner, text), words_of(pcre2, text)) << text;
  }
}

TEST(GlmScannerTest, CutsAsTheAlternativesSay) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(glm_words("It's 12345  x!\n\n y "),
            (Words{"It", "'s", " ", "123", "45", " ", " x", "!\n\n", " y", " "}));
  EXPECT_EQ(glm_words("\t中文,字"), (Words{"\t中文", ",字"}));
  EXPECT_EQ(glm_words(" \n \n  a"), (Words{" \n \n", " ", " a"}));
  EXPECT_EQ(glm_words(""), Words{});
}

TEST(GlmScannerTest, CountsAScriptOfUnicode16AsLetters) {
  // U+105C0, Todhri: unassigned for PCRE2 10.42, a letter for the published tokenizers.
  EXPECT_EQ(glm_words("x\U000105C0y").size(), 1U);
}

TEST(SplitPatternTest, LetsWhatIsBetweenMatchesStandAsWords) {
  const SplitPattern pattern("[0-9]+");
  EXPECT_EQ(words_of(pattern, "ab12中3"), (std::vector<std::string>{"ab", "12", "中", "3"}));
  EXPECT_EQ(words_of(pattern, "none"), std::vector<std::string>{"none"});
}

TEST(SplitPatternTest, TakesNoWordFromAnEmptyMatch) {
  EXPECT_EQ(words_of(SplitPattern("1*"), "中a11b"), (std::vector<std::string>{"中a", "11", "b"}));
}

TEST(SplitPatternTest, CoversTheTextByTheByteLevelPattern) {
  const SplitPattern pattern(kByteLevelSplitPattern);
  const std::string text = "They're  here\n\n 100%!";
  const std::vector<std::string> words = words_of(pattern, text);
  EXPECT_EQ(words, (std::vector<std::string>{"They", "'re", " ", " here", "\n\n", " 100", "%!"}));
  EXPECT_EQ(std::accumulate(words.begin(), words.end(), std::string()), text);
}

void expect_bad_input(std::string_view regex, std::string_view text) {
  try {
    words_of(SplitPattern(regex), text);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kBadInput);
    EXPECT_NE(error.problem().find("split pattern"), std::string::npos) << error.problem();
  }
}

TEST(SplitPatternTest, RefusesAPatternThatDoesNotCompile) {
  expect_bad_input("(unclosed", "x");
  expect_bad_input(R"(\p{NoSuchScript})", "x");
  expect_bad_input(R"(\C)", "x");  // Would cut characters apart.
  EXPECT_THROW(SplitPattern(std::string(5000, 'a')), Error);
}

TEST(SplitPatternTest, StopsAPatternThatBacktracksWithoutEnd) {
  expect_bad_input("(a+)+$", std::string(60, 'a') + "b");
}

}  // namespace
}  // namespace cloze
