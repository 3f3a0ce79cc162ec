// Tests of how attention is cut into pieces.
#include "parallel/kernels/attention_plan.h"

#include <gtest/gtest.h>

namespace cloze {
namespace {

using Segments = std::vector<AttentionSegment>;

Segments segments(const std::vector<std::int32_t>& lo, const std::vector<std::int32_t>& hi) {
  return attention_segments(lo.data(), hi.data(), static_cast<std::int64_t>(lo.size()));
}

TEST(AttentionPlanTest, DocumentsAreSegments) {
  EXPECT_EQ(segments({0, 0, 2, 2, 2}, {1, 2, 3, 4, 5}), (Segments{{0, 2}, {2, 5}}));
}

TEST(AttentionPlanTest, APrefixHoldsItsDocumentTogether) {
  EXPECT_EQ(segments({0, 0, 0, 3}, {3, 3, 3, 4}), (Segments{{0, 3}, {3, 4}}));
}

TEST(AttentionPlanTest, KeysOnEitherSideHoldTokensTogether) {
  EXPECT_EQ(segments({2, 1, 0}, {3, 2, 1}), (Segments{{0, 3}}));
  EXPECT_EQ(segments({0, 0, 2}, {1, 1, 3}), (Segments{{0, 2}, {2, 3}}));
}

TEST(AttentionPlanTest, NeighboursThatSeeNothingShareASegment) {
  EXPECT_EQ(segments({0, 0, 0, 0}, {1, 0, 0, 0}), (Segments{{0, 1}, {1, 4}}));
  EXPECT_EQ(segments({0, 9, 0}, {1, 9, 3}), (Segments{{0, 3}}));
  EXPECT_EQ(segments({}, {}), Segments{});
}

TEST(AttentionPlanTest, ItemsCoverEveryQueryOfEveryHead) {
  const auto items = attention_items({{0, 5}, {5, 7}}, /*heads=*/2, /*queries=*/3);
  ASSERT_EQ(items.size(), 6U);
  EXPECT_EQ(items[1].first_query, 3);
  EXPECT_EQ(items[1].last_query, 5);
  EXPECT_EQ(items[2].head, 1);
  EXPECT_EQ(items[5].segment, (AttentionSegment{5, 7}));
  EXPECT_EQ(attention_items({{0, 5}, {5, 7}}, 2, 0).size(), 4U);
}

}  // namespace
}  // namespace cloze
