#include "data/blank_infilling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

namespace cloze {
namespace {

constexpr SpecialTokens kSpecial = {
    .eos = 1, .mask = 2, .sentence_mask = 3, .document_mask = 4, .sop = 5, .eop = 6};

// `length` ids from 10 on, all different, so that a test sees where each came from; every tenth
// ends a sentence.
std::vector<std::int32_t> text(std::int32_t length) {
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < length; ++i) ids.push_back(10 + i);
  return ids;
}

SentenceEnds every_tenth() {
  std::vector<std::int32_t> ids;
  for (std::int32_t id = 19; id < 4096; id += 10) ids.push_back(id);
  return {4096, ids};
}

Sample sample_of(const std::vector<std::int32_t>& ids, Objective objective, std::uint64_t ordinal) {
  static const SentenceEnds ends = every_tenth();
  return make_blank_infilling_sample(ids, {}, kSpecial, ends, objective,
                                     {.seed = 11, .ordinal = ordinal});
}

// A sample read back without the writer's help: a span of part B belongs to the mask token at its
// position.
struct Recovered {
  std::vector<std::int32_t> ids;
  std::vector<Blank> blanks;  // In text order.
};

Recovered recover(const Sample& sample) {
  std::map<std::int32_t, std::vector<std::int32_t>> spans;  // By the position of the mask token.
  const auto length = static_cast<std::int64_t>(sample.tokens.size());
  for (std::int64_t i = sample.separator; i < length;) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(sample.tokens[at], kSpecial.sop);
    std::vector<std::int32_t>& span = spans[sample.position[at]];
    EXPECT_TRUE(span.empty()) << "two spans at one mask token";
    std::size_t j = at;
    for (; sample.targets[j] != kSpecial.eop; ++j) {
      span.push_back(sample.targets[j]);
      EXPECT_EQ(sample.tokens[j + 1], sample.targets[j]);
    }
    for (std::size_t k = at; k <= j; ++k) {
      EXPECT_EQ(sample.position[k], sample.position[at]);
      EXPECT_EQ(sample.block_position[k], static_cast<std::int32_t>(k - at) + 1);
      EXPECT_EQ(sample.loss_mask[k], 1);
    }
    i = static_cast<std::int64_t>(j) + 1;
  }
  Recovered recovered;
  for (std::int64_t i = 0; i < sample.separator; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(sample.position[at], i);
    EXPECT_EQ(sample.block_position[at], 0);
    EXPECT_EQ(sample.loss_mask[at], 0);
    EXPECT_EQ(sample.targets[at], 0);
    if (sample.tokens[at] != kSpecial.mask_of(sample.objective)) {
      recovered.ids.push_back(sample.tokens[at]);
      continue;
    }
    const std::vector<std::int32_t>& span = spans.at(sample.position[at]);
    recovered.blanks.push_back({static_cast<std::int32_t>(recovered.ids.size()),
                                static_cast<std::int32_t>(span.size()),
                                static_cast<std::int32_t>(i)});
    recovered.ids.insert(recovered.ids.end(), span.begin(), span.end());
    spans.erase(sample.position[at]);
  }
  EXPECT_TRUE(spans.empty()) << "a span without a mask token";
  return recovered;
}

std::int64_t hidden_of(const std::vector<Blank>& blanks) {
  std::int64_t hidden = 0;
  for (const Blank& blank : blanks) hidden += blank.length;
  return hidden;
}

// The example of Du et al. 2022, figure 2: x1..x6, blanks {x3} and {x5, x6}, the second first.
TEST(BlankInfillingTest, WritesTheExampleOfThePaper) {
  const std::vector<std::int32_t> ids = {101, 102, 103, 104, 105, 106};
  std::vector<Blank> blanks = {{2, 1}, {4, 2}};
  const std::vector<std::int32_t> order = {1, 0};
  Batch batch = empty_row(10);
  const std::int64_t separator =
      write_blank_infilling(ids, blanks, order, Objective::kMask, kSpecial, batch, 0);
  using Row = std::vector<std::int32_t>;
  EXPECT_EQ(separator, 5);
  EXPECT_EQ(batch.tokens, Row({101, 102, 2, 104, 2, 5, 105, 106, 5, 103}));
  EXPECT_EQ(batch.targets, Row({0, 0, 0, 0, 0, 105, 106, 6, 103, 6}));
  EXPECT_EQ(batch.loss_mask, std::vector<std::uint8_t>({0, 0, 0, 0, 0, 1, 1, 1, 1, 1}));
  EXPECT_EQ(batch.position, Row({0, 1, 2, 3, 4, 4, 4, 4, 2, 2}));
  EXPECT_EQ(batch.block_position, Row({0, 0, 0, 0, 0, 1, 2, 3, 1, 2}));
  EXPECT_EQ(batch.rotary_position, batch.position);
  EXPECT_EQ(batch.lo, Row(10, 0));
  EXPECT_EQ(batch.hi, Row({5, 5, 5, 5, 5, 6, 7, 8, 9, 10}));
}

TEST(BlankInfillingTest, DocumentBlankRunsOnInRotaryPositions) {
  const std::vector<std::int32_t> ids = {101, 102, 103, 104, 105};
  std::vector<Blank> blanks = {{2, 3}};
  Batch batch = empty_row(7);
  const std::vector<std::int32_t> order = {0};
  write_blank_infilling(ids, blanks, order, Objective::kDocument, kSpecial, batch, 0);
  using Row = std::vector<std::int32_t>;
  EXPECT_EQ(batch.tokens, Row({101, 102, 4, 5, 103, 104, 105}));
  EXPECT_EQ(batch.targets, Row({0, 0, 0, 103, 104, 105, 6}));
  EXPECT_EQ(batch.position, Row({0, 1, 2, 2, 2, 2, 2}));
  EXPECT_EQ(batch.block_position, Row({0, 0, 0, 1, 2, 3, 4}));
  EXPECT_EQ(batch.rotary_position, Row({0, 1, 2, 3, 4, 5, 6}));
}

TEST(BlankInfillingTest, IntervalsAreAbsoluteInTheBatch) {
  const std::vector<std::int32_t> ids = {101, 102, 103};
  std::vector<Blank> blanks = {{1, 1}};
  Batch batch = empty_row(30);
  const std::vector<std::int32_t> order = {0};
  write_blank_infilling(ids, blanks, order, Objective::kMask, kSpecial, batch, 20);
  const std::vector<std::int32_t> hi = {23, 23, 23, 24, 25};
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(batch.lo[20 + i], 20);
    EXPECT_EQ(batch.hi[20 + i], hi[i]);
  }
}

TEST(BlankInfillingTest, EveryTokenComesBackFromPartsAAndB) {
  for (const Objective objective : {Objective::kMask, Objective::kSentence, Objective::kDocument}) {
    for (std::uint64_t ordinal = 0; ordinal < 3000; ++ordinal) {
      const std::vector<std::int32_t> ids = text(2 + static_cast<std::int32_t>(ordinal % 331));
      const Sample sample = sample_of(ids, objective, ordinal);
      const Recovered recovered = recover(sample);
      ASSERT_EQ(recovered.ids, ids) << name_of(objective) << " " << ordinal;
      ASSERT_GE(recovered.blanks.size(), 1U);
      ASSERT_EQ(static_cast<std::int64_t>(sample.tokens.size()),
                corrupted_length(static_cast<std::int64_t>(ids.size()),
                                 static_cast<std::int64_t>(recovered.blanks.size())));
    }
  }
}

TEST(BlankInfillingTest, SpansHideTheShareAndNeverTouch) {
  for (std::uint64_t ordinal = 0; ordinal < 3000; ++ordinal) {
    const std::vector<std::int32_t> ids = text(2 + static_cast<std::int32_t>(ordinal % 331));
    const auto length = static_cast<std::int64_t>(ids.size());
    const std::vector<Blank> blanks = recover(sample_of(ids, Objective::kMask, ordinal)).blanks;
    ASSERT_GE(hidden_of(blanks), tokens_of_share(0.15, length));
    ASSERT_LT(hidden_of(blanks), length) << "nothing is left to see";
    for (std::size_t i = 1; i < blanks.size(); ++i) {
      ASSERT_GT(blanks[i].first, blanks[i - 1].first + blanks[i - 1].length);
    }
  }
}

TEST(BlankInfillingTest, SentenceBlanksAreWholeSentences) {
  const SentenceEnds ends = every_tenth();
  for (std::uint64_t ordinal = 0; ordinal < 2000; ++ordinal) {
    std::vector<std::int32_t> ids = text(2 + static_cast<std::int32_t>(ordinal % 331));
    ids.back() = kSpecial.eos;
    const auto length = static_cast<std::int64_t>(ids.size());
    const std::vector<Blank> blanks = recover(sample_of(ids, Objective::kSentence, ordinal)).blanks;
    ASSERT_GE(hidden_of(blanks), tokens_of_share(0.15, length));
    for (const Blank& blank : blanks) {
      const std::int32_t end = blank.first + blank.length;
      ASSERT_TRUE(blank.first == 0 || ends.ends(ids[static_cast<std::size_t>(blank.first) - 1]));
      ASSERT_TRUE(end == length || ends.ends(ids[static_cast<std::size_t>(end) - 1]));
    }
  }
}

TEST(BlankInfillingTest, DocumentBlankIsTheEndOfThePiece) {
  for (std::uint64_t ordinal = 0; ordinal < 2000; ++ordinal) {
    const std::vector<std::int32_t> ids = text(2 + static_cast<std::int32_t>(ordinal % 331));
    const auto length = static_cast<std::int64_t>(ids.size());
    const std::vector<Blank> blanks = recover(sample_of(ids, Objective::kDocument, ordinal)).blanks;
    ASSERT_EQ(blanks.size(), 1U);
    ASSERT_EQ(blanks[0].first + blanks[0].length, length);
    ASSERT_GE(blanks[0].length, tokens_of_share(0.5, length));
    ASSERT_GE(blanks[0].first, 1);
  }
}

TEST(BlankInfillingTest, PieceOfOneTokenHasNoBlank) {
  for (const Objective objective : {Objective::kMask, Objective::kSentence, Objective::kDocument}) {
    const Sample sample = sample_of({42}, objective, 5);
    EXPECT_EQ(sample.tokens, std::vector<std::int32_t>({42}));
    EXPECT_EQ(sample.separator, 1);
    EXPECT_EQ(sample.loss_mask, std::vector<std::uint8_t>({0}));
  }
}

TEST(BlankInfillingTest, SameKeySameSample) {
  const std::vector<std::int32_t> ids = text(200);
  EXPECT_EQ(sample_of(ids, Objective::kMask, 3), sample_of(ids, Objective::kMask, 3));
  EXPECT_NE(sample_of(ids, Objective::kMask, 3), sample_of(ids, Objective::kMask, 4));
}

}  // namespace
}  // namespace cloze
