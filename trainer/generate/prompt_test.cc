// Tests of prompts: what generation gives the model, token by token, is what training gave it.
#include "trainer/generate/prompt.h"

#include <gtest/gtest.h>

#include <numeric>

#include "data/blank_infilling.h"
#include "data/causal.h"

namespace cloze {
namespace {

constexpr SpecialTokens kSpecial = {
    .eos = 1, .mask = 2, .sentence_mask = 3, .document_mask = 4, .sop = 5, .eop = 6};

SentenceEnds every_tenth() {
  TokenIds ids;
  for (std::int32_t id = 19; id < 4096; id += 10) ids.push_back(id);
  return {4096, ids};
}

// A training sample of a document of 40 tokens.
Sample sample_of(Objective objective, std::uint64_t ordinal) {
  TokenIds ids(40);
  std::iota(ids.begin(), ids.end(), 10);
  const SentenceEnds ends = every_tenth();
  return make_blank_infilling_sample(ids, {}, kSpecial, ends, objective,
                                     {.seed = 11, .ordinal = ordinal});
}

// Positions of a token in a batch, as a sample has them.
struct Places {
  std::int32_t position, block, rotary;
  bool operator==(const Places&) const = default;
};

Places places_of(const Batch& batch, std::size_t token) {
  return {batch.position[token], batch.block_position[token], batch.rotary_position[token]};
}

Places places_of(const Sample& sample, std::size_t token) {
  return {sample.position[token], sample.block_position[token], sample.rotary_position[token]};
}

TEST(PromptTest, EveryTokenOfABlankStandsWhereTrainingPutIt) {
  int blanks = 0;
  for (const Objective objective : {Objective::kMask, Objective::kSentence, Objective::kDocument}) {
    for (std::uint64_t ordinal = 0; ordinal < 20; ++ordinal) {
      const Sample sample = sample_of(objective, ordinal);
      const auto part_a = static_cast<std::size_t>(sample.separator);
      const TokenIds prompt(sample.tokens.begin(),
                            sample.tokens.begin() + static_cast<std::ptrdiff_t>(part_a));
      std::optional<PromptBlank> blank;
      std::int64_t index = 0;
      for (std::size_t t = part_a; t < sample.tokens.size(); ++t) {
        if (sample.tokens[t] == kSpecial.sop) {
          ++blanks;
          blank = {static_cast<std::size_t>(sample.position[t]), objective};
          index = 0;
          const Batch first = part_a_and_sop(prompt, *blank, kSpecial);
          ASSERT_EQ(first.num_tokens(), sample.separator + 1);
          for (std::size_t a = 0; a < part_a; ++a) {
            ASSERT_EQ(first.tokens[a], sample.tokens[a]);
            ASSERT_EQ(places_of(first, a), places_of(sample, a));
            ASSERT_EQ(first.lo[a], 0);
            ASSERT_EQ(first.hi[a], sample.separator);
          }
          ASSERT_EQ(first.tokens.back(), kSpecial.sop);
          ASSERT_EQ(places_of(first, part_a), places_of(sample, t));
          ASSERT_EQ(first.hi.back(), sample.separator + 1);
          continue;
        }
        ++index;
        const Batch next = part_b_token(sample.tokens[t], index, *blank, sample.separator + index);
        ASSERT_EQ(next.tokens.front(), sample.tokens[t]);
        ASSERT_EQ(places_of(next, 0), places_of(sample, t));
        ASSERT_EQ(next.lo.front(), 0);
        ASSERT_EQ(next.hi.front(), sample.separator + index + 1);
      }
    }
  }
  EXPECT_GT(blanks, 60);
}

TEST(PromptTest, OfADocumentBlankAmidTheTextTheRotaryPositionsRunOnFromTheEndOfPartA) {
  // 20 [gMASK] 21 22 eos <sop>: the positions of 21, 22 and eos are theirs alone.
  const TokenIds prompt = {20, 4, 21, 22, 1};
  const PromptBlank blank{1, Objective::kDocument};
  const Batch first = part_a_and_sop(prompt, blank, kSpecial);
  EXPECT_EQ(first.rotary_position, (TokenIds{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(first.position, (TokenIds{0, 1, 2, 3, 4, 1}));
  EXPECT_EQ(first.block_position, (TokenIds{0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(places_of(part_b_token(30, 1, blank, 6), 0), (Places{1, 2, 6}));
  EXPECT_EQ(places_of(part_b_token(31, 2, blank, 7), 0), (Places{1, 3, 7}));
  // Other blanks stay where they are.
  const PromptBlank span{1, Objective::kMask};
  EXPECT_EQ(places_of(part_a_and_sop({20, 2, 21}, span, kSpecial), 3), (Places{1, 1, 1}));
  EXPECT_EQ(places_of(part_b_token(30, 1, span, 4), 0), (Places{1, 2, 1}));
}

TEST(PromptTest, CausalTokensSeeAllBeforeThem) {
  const Batch batch = causal_tokens({7, 8, 9}, 4);
  EXPECT_EQ(batch.tokens, (TokenIds{7, 8, 9}));
  EXPECT_EQ(batch.position, (TokenIds{4, 5, 6}));
  EXPECT_EQ(batch.rotary_position, batch.position);
  EXPECT_EQ(batch.block_position, (TokenIds{0, 0, 0}));
  EXPECT_EQ(batch.hi, (TokenIds{5, 6, 7}));
  EXPECT_EQ(batch.lo, (TokenIds{0, 0, 0}));
}

TEST(PromptTest, TheFirstBlankIsFoundWhateverItsKind) {
  EXPECT_EQ(first_blank({9, 3, 2}, kSpecial), (PromptBlank{1, Objective::kSentence}));
  EXPECT_EQ(first_blank({2}, kSpecial), (PromptBlank{0, Objective::kMask}));
  EXPECT_EQ(first_blank({9, 9, 4}, kSpecial), (PromptBlank{2, Objective::kDocument}));
  EXPECT_EQ(first_blank({9, 5, 6, 1}, kSpecial), std::nullopt);
  EXPECT_EQ(first_blank({}, kSpecial), std::nullopt);
}

TEST(PromptTest, ATextIsCompletedAsTrainingSawTexts) {
  EXPECT_EQ(with_blank_and_end({}, kSpecial), (TokenIds{4}));
  EXPECT_EQ(with_blank_and_end({9, 8}, kSpecial), (TokenIds{9, 8, 4}));
  EXPECT_EQ(with_blank_and_end({9, 2, 8}, kSpecial), (TokenIds{9, 2, 8, 1}));
  EXPECT_EQ(with_blank_and_end({9, 2, 8, 1}, kSpecial), (TokenIds{9, 2, 8, 1}));
  EXPECT_EQ(with_blank_and_end({2, 9, 3}, kSpecial), (TokenIds{2, 9, 3}));
}

}  // namespace
}  // namespace cloze
