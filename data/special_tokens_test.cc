#include "data/special_tokens.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/file.h"

namespace cloze {
namespace {

Tokenizer glm() { return Tokenizer::load(CLOZE_SOURCE_DIR "/tests/golden/tokenizer/glm"); }

TEST(SpecialTokensTest, NamesTheTokensOfGlm) {
  const Tokenizer tokenizer = glm();
  const SpecialTokens special = special_tokens(tokenizer, /*causal=*/false);
  EXPECT_EQ(special.eos, tokenizer.id_of("<|endoftext|>"));
  EXPECT_EQ(special.mask_of(Objective::kMask), tokenizer.id_of("[MASK]"));
  EXPECT_EQ(special.mask_of(Objective::kSentence), tokenizer.id_of("[sMASK]"));
  EXPECT_EQ(special.mask_of(Objective::kDocument), tokenizer.id_of("[gMASK]"));
  EXPECT_EQ(special.sop, tokenizer.id_of("<sop>"));
  EXPECT_EQ(special.eop, tokenizer.id_of("<eop>"));
}

TEST(SpecialTokensTest, CausalNeedsTheEosAlone) {
  const SpecialTokens special = special_tokens(glm(), /*causal=*/true);
  EXPECT_GE(special.eos, 0);
  EXPECT_EQ(special.mask, -1);
}

TEST(SpecialTokensTest, NamesTheTokenThatIsMissing) {
  std::string json =
      read_file(CLOZE_SOURCE_DIR "/tests/golden/tokenizer/glm/tokenizer.json", 1 << 24);
  for (std::size_t at = 0; (at = json.find("[sMASK]", at)) != std::string::npos;) {
    json.replace(at, 7, "[other]");
  }
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / "special_tokens_test";
  std::filesystem::create_directories(folder);
  write_file_atomically(folder / "tokenizer.json", json);
  try {
    special_tokens(Tokenizer::load(folder), /*causal=*/false);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kBadInput);
    EXPECT_NE(error.problem().find("[sMASK]"), std::string::npos) << error.problem();
  }
  std::filesystem::remove_all(folder);
}

TEST(SpecialTokensTest, SentencesEndWithPunctuationOfBothScripts) {
  const Tokenizer tokenizer = glm();
  const SentenceEnds ends = sentence_ends(tokenizer);
  for (const char* text : {".", "?", "!", ";", ":", "\n"}) {
    const std::vector<std::int32_t> ids = tokenizer.encode(text);
    ASSERT_EQ(ids.size(), 1U);
    EXPECT_TRUE(ends.ends(ids[0])) << text;
  }
  for (const char* text : {"a", ",", " ", "-", "("}) {
    for (const std::int32_t id : tokenizer.encode(text)) EXPECT_FALSE(ends.ends(id)) << text;
  }
  for (const char* name : {"<|endoftext|>", "[MASK]", "<sop>"}) {
    EXPECT_FALSE(ends.ends(tokenizer.special(name))) << name;
  }
  // Every token, against the definition.
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::array<std::int32_t, 1> one = {id};
    std::string text;
    try {
      text = tokenizer.decode(one, /*skip_special=*/true);
    } catch (const Error&) {
      continue;
    }
    bool expected = text.find_first_of(".?!;:\n") != std::string::npos;
    for (const char* wide : {"。", "？", "！", "；", "：", "…"}) {
      expected = expected || text.find(wide) != std::string::npos;
    }
    ASSERT_EQ(ends.ends(id), expected) << text;
  }
}

TEST(SpecialTokensTest, IdsOutsideTheVocabularyEndNothing) {
  const SentenceEnds ends(100, {7, 99});
  EXPECT_TRUE(ends.ends(7));
  EXPECT_TRUE(ends.ends(99));
  EXPECT_FALSE(ends.ends(8));
  EXPECT_FALSE(ends.ends(100000));
  EXPECT_FALSE(ends.ends(-1));
  EXPECT_THROW(SentenceEnds(100, {100}), Error);
}

}  // namespace
}  // namespace cloze
