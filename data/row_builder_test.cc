#include "data/row_builder.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace cloze {
namespace {

constexpr SpecialTokens kSpecial = {
    .eos = 1, .mask = 2, .sentence_mask = 3, .document_mask = 4, .sop = 5, .eop = 6};

RowOptions options_of(std::int64_t seq_length, const ObjectiveOptions& objective = {}) {
  std::vector<std::int32_t> ends;
  for (std::int32_t id = 13; id < 1000; id += 13) ends.push_back(id);
  return {.objective = objective,
          .special = kSpecial,
          .sentence_ends = SentenceEnds(1000, ends),
          .seq_length = seq_length,
          .seed = 21};
}

// Documents of `length` tokens, the eos among them, one after another.
std::vector<std::int32_t> window_of(std::int64_t tokens, std::int64_t length) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < tokens; ++i) {
    ids.push_back(i % length == length - 1 ? kSpecial.eos
                                           : static_cast<std::int32_t>(10 + (i * 7) % 900));
  }
  return ids;
}

TEST(RowBuilderTest, CutsAtDocumentEndsAndSeesOnlyTheOwnPiece) {
  const RowOptions options = options_of(256);
  const std::int64_t window = window_length(options.objective, 256);
  RowBuilder builder(options);
  Batch batch = empty_row(256);
  for (std::int64_t ordinal = 0; ordinal < 2000; ++ordinal) {
    const std::vector<std::int32_t> ids = window_of(window, 20 + ordinal % 300);
    builder.build(ids, ordinal, batch, 0);
    std::int64_t at = 0;
    std::size_t read = 0;
    for (const SampleBounds& bounds : builder.bounds()) {
      ASSERT_EQ(bounds.first, at);
      ASSERT_EQ(bounds.ordinal, ordinal);
      std::int64_t hidden = 0;
      for (std::int64_t i = at; i < at + bounds.length; ++i) {
        const auto token = static_cast<std::size_t>(i);
        const bool part_a = i < at + bounds.separator;
        ASSERT_EQ(batch.lo[token], at);
        ASSERT_EQ(batch.hi[token], part_a ? at + bounds.separator : i + 1);
        ASSERT_EQ(batch.objective[token], static_cast<std::uint8_t>(bounds.objective));
        hidden += !part_a && batch.targets[token] != kSpecial.eop ? 1 : 0;
      }
      const std::int64_t blanks = (bounds.length - bounds.separator) - hidden;
      const auto piece = static_cast<std::size_t>(bounds.length - (2 * blanks));
      // The eos ends the piece and nothing but it.
      for (std::size_t i = read; i + 1 < read + piece; ++i) ASSERT_NE(ids[i], kSpecial.eos);
      read += piece;
      ASSERT_TRUE(read == ids.size() || ids[read - 1] == kSpecial.eos);
      at += bounds.length;
    }
    ASSERT_EQ(read, ids.size());
    for (std::int64_t i = at; i < 256; ++i) {
      const auto token = static_cast<std::size_t>(i);
      ASSERT_EQ(batch.lo[token], batch.hi[token]) << "padding sees nothing";
      ASSERT_EQ(batch.loss_mask[token], 0);
      ASSERT_EQ(batch.tokens[token], kSpecial.eos);
    }
  }
}

TEST(RowBuilderTest, ObjectivesHaveTheirShares) {
  std::array<double, kNumObjectives> seen{};
  constexpr int kRows = 100000;
  for (std::int64_t ordinal = 0; ordinal < kRows; ++ordinal) {
    seen.at(static_cast<std::size_t>(draw_objective({}, 5, ordinal))) += 1.0 / kRows;
  }
  // Five deviations of a share of 100000 draws are at most 0.008.
  EXPECT_NEAR(seen[0], 0.5, 0.008);
  EXPECT_NEAR(seen[1], 0.2, 0.008);
  EXPECT_NEAR(seen[2], 0.3, 0.008);
}

TEST(RowBuilderTest, AShareOfZeroIsNeverDrawn) {
  // 0.7 + 0.3 is a little below 1 on paper only; the last share must not leak.
  const ObjectiveOptions options = {
      .span_share = 0.7, .sentence_share = 0.3 - 1e-9, .document_share = 0};
  for (std::int64_t ordinal = 0; ordinal < 10000; ++ordinal) {
    ASSERT_NE(draw_objective(options, 5, ordinal), Objective::kDocument);
  }
}

TEST(RowBuilderTest, RedrawsAreRare) {
  for (const std::int64_t seq_length : {64, 128, 512, 2048}) {
    const RowOptions options =
        options_of(seq_length, {.span_share = 1, .sentence_share = 0, .document_share = 0});
    RowBuilder builder(options);
    Batch batch = empty_row(seq_length);
    const std::vector<std::int32_t> ids =
        window_of(window_length(options.objective, seq_length), 1000000);
    for (std::int64_t ordinal = 0; ordinal < 4000; ++ordinal) builder.build(ids, ordinal, batch, 0);
    EXPECT_LT(builder.counts().redrawn_rows, 40) << seq_length;
    EXPECT_EQ(builder.counts().trimmed_rows, 0);
  }
}

TEST(RowBuilderTest, RowsOfTinyDocumentsAreTrimmedToFit) {
  const RowOptions options = options_of(128);
  const std::int64_t window = window_length(options.objective, 128);
  RowBuilder builder(options);
  Batch batch = empty_row(128);
  for (std::int64_t ordinal = 0; ordinal < 300; ++ordinal) {
    builder.build(window_of(window, 2), ordinal, batch, 0);
    const SampleBounds& last = builder.bounds().back();
    const std::int64_t blanks = (last.first + last.length - window) / 2;
    ASSERT_EQ(blanks, (128 - window) / 2) << "as many blanks as fit";
  }
  EXPECT_EQ(builder.counts().trimmed_rows, 300);
  EXPECT_GT(builder.counts().pieces_without_blank, 0);
}

TEST(RowBuilderTest, PiecesOfOneTokenAreCounted) {
  const RowOptions options = options_of(64);
  RowBuilder builder(options);
  Batch batch = empty_row(64);
  builder.build(std::vector<std::int32_t>{1, 1, 10, 11, 12, 1, 20}, 0, batch, 0);
  EXPECT_EQ(builder.counts().pieces, 4);
  EXPECT_EQ(builder.counts().pieces_without_blank, 3);
  EXPECT_EQ(builder.counts().tokens, 7);
}

TEST(RowBuilderTest, CausalRowsPredictAcrossTheirEndButNotAcrossDocuments) {
  const RowOptions options = options_of(6, {.causal = true});
  RowBuilder builder(options);
  Batch batch = empty_row(6);
  builder.build(std::vector<std::int32_t>{10, 11, 1, 12, 13, 14, 15}, 0, batch, 0);
  using Row = std::vector<std::int32_t>;
  EXPECT_EQ(batch.tokens, Row({10, 11, 1, 12, 13, 14}));
  EXPECT_EQ(batch.targets, Row({11, 1, 0, 13, 14, 15}));
  EXPECT_EQ(batch.loss_mask, std::vector<std::uint8_t>({1, 1, 0, 1, 1, 1}));
  EXPECT_EQ(batch.lo, Row({0, 0, 0, 3, 3, 3}));
  EXPECT_EQ(batch.hi, Row({1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(batch.position, Row({0, 1, 2, 0, 1, 2}));
}

}  // namespace
}  // namespace cloze
