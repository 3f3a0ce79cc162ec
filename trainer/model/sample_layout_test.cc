#include "trainer/model/sample_layout.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace cloze {
namespace {

using Intervals = std::vector<std::pair<std::int32_t, std::int32_t>>;

Batch batch_of(const Intervals& intervals) {
  Batch batch;
  for (const auto& [lo, hi] : intervals) {
    batch.lo.push_back(lo);
    batch.hi.push_back(hi);
  }
  return batch;
}

// The intervals that a layout stands for; those of padding are causal.
Intervals intervals_of(const SampleLayout& layout) {
  Intervals intervals(static_cast<std::size_t>(layout.offsets.back()));
  std::size_t prefix = 0;
  for (std::size_t sample = 0; sample + 1 < layout.offsets.size(); ++sample) {
    const std::int32_t first = layout.offsets[sample];
    const std::int32_t suffix = layout.suffix_offsets[sample + 1] - layout.suffix_offsets[sample];
    const std::int32_t prefix_end = layout.offsets[sample + 1] - suffix;
    for (std::int32_t place = layout.suffix_offsets[sample];
         place < layout.suffix_offsets[sample + 1]; ++place) {
      const std::int32_t token = layout.suffix_places[place];
      EXPECT_EQ(token - prefix_end, place - layout.suffix_offsets[sample]);
      intervals[token] = {first, token + 1};
    }
    if (prefix_end == first) continue;
    for (std::int32_t place = layout.prefix_offsets[prefix];
         place < layout.prefix_offsets[prefix + 1]; ++place) {
      intervals[layout.prefix_places[place]] = {first, prefix_end};
    }
    ++prefix;
  }
  return intervals;
}

TEST(SampleLayoutTest, CausalSamplesHaveNoPrefix) {
  const Intervals intervals = {{0, 1}, {0, 2}, {0, 3}, {3, 4}, {4, 5}, {4, 6}};
  const auto layout = sample_layout(batch_of(intervals));
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->offsets, (std::vector<std::int32_t>{0, 3, 4, 6}));
  EXPECT_TRUE(layout->prefix_places.empty());
  EXPECT_EQ(intervals_of(*layout), intervals);
}

TEST(SampleLayoutTest, PrefixesSeeAllOfThemselvesAndPaddingIsASample) {
  // A prefix of three with a suffix of two, padding, one without a prefix, one whose prefix is one
  // token, which is causal too.
  const Intervals intervals = {{0, 3}, {0, 3}, {0, 3}, {0, 4},  {0, 5}, {0, 0},
                               {0, 0}, {7, 8}, {7, 9}, {9, 10}, {9, 11}};
  const auto layout = sample_layout(batch_of(intervals));
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->offsets, (std::vector<std::int32_t>{0, 5, 7, 9, 11}));
  EXPECT_EQ(layout->prefix_places, (std::vector<std::int32_t>{0, 1, 2}));
  EXPECT_EQ(layout->prefix_offsets, (std::vector<std::int32_t>{0, 3}));
  EXPECT_EQ(layout->suffix_places, (std::vector<std::int32_t>{3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(layout->suffix_offsets, (std::vector<std::int32_t>{0, 2, 4, 6, 8}));
  Intervals expected = intervals;
  expected[5] = {5, 6};
  expected[6] = {5, 7};
  EXPECT_EQ(intervals_of(*layout), expected);
}

TEST(SampleLayoutTest, OtherIntervalsAreNone) {
  EXPECT_FALSE(sample_layout(batch_of({{0, 2}, {0, 2}}))) << "a prefix without a suffix";
  EXPECT_FALSE(sample_layout(batch_of({{0, 1}, {0, 2}, {1, 3}}))) << "a window";
  EXPECT_FALSE(sample_layout(batch_of({{0, 2}, {0, 1}, {0, 3}}))) << "a hole in a prefix";
  EXPECT_FALSE(sample_layout(batch_of({{0, 1}, {0, 1}}))) << "a suffix that does not see itself";
  EXPECT_FALSE(sample_layout(batch_of({{1, 2}, {1, 2}}))) << "keys that are not the sample's";
}

TEST(SampleLayoutTest, NoTokensAreNoSamples) {
  const auto layout = sample_layout(batch_of({}));
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->offsets, (std::vector<std::int32_t>{0}));
}

}  // namespace
}  // namespace cloze
