#include "data/causal.h"

#include <gtest/gtest.h>

#include <vector>

namespace cloze {
namespace {

using Row = std::vector<std::int32_t>;

TEST(CausalTest, EachTokenPredictsTheNext) {
  const Sample sample = make_causal_sample(Row({7, 8, 9}), 10);
  EXPECT_EQ(sample.tokens, Row({7, 8, 9}));
  EXPECT_EQ(sample.targets, Row({8, 9, 10}));
  EXPECT_EQ(sample.loss_mask, std::vector<std::uint8_t>({1, 1, 1}));
  EXPECT_EQ(sample.position, Row({0, 1, 2}));
  EXPECT_EQ(sample.block_position, Row({0, 0, 0}));
  EXPECT_EQ(sample.rotary_position, Row({0, 1, 2}));
  EXPECT_EQ(sample.separator, 0);
}

TEST(CausalTest, NothingIsPredictedAfterADocument) {
  const Sample sample = make_causal_sample(Row({7, 8, 1}), std::nullopt);
  EXPECT_EQ(sample.targets, Row({8, 1, 0}));
  EXPECT_EQ(sample.loss_mask, std::vector<std::uint8_t>({1, 1, 0}));
}

TEST(CausalTest, ATokenSeesItsPieceUpToItself) {
  Batch batch = empty_row(8);
  write_causal(Row({7, 8, 9}), 10, batch, 4);
  for (std::int32_t i = 4; i < 7; ++i) {
    EXPECT_EQ(batch.lo[static_cast<std::size_t>(i)], 4);
    EXPECT_EQ(batch.hi[static_cast<std::size_t>(i)], i + 1);
  }
}

}  // namespace
}  // namespace cloze
