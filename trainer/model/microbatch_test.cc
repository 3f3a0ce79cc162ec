#include "trainer/model/microbatch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace cloze {
namespace {

constexpr std::int64_t kTokens = 11;  // Two rows of five and one token of padding.

Batch made_batch(bool with_positions) {
  const auto numbers = [](std::int32_t first) {
    std::vector<std::int32_t> values(kTokens);
    std::iota(values.begin(), values.end(), first);
    return values;
  };
  Batch batch;
  batch.rows = 2;
  batch.seq_length = 5;
  batch.ordinals = {std::int64_t{1} << 40, 7};
  batch.tokens = numbers(100);
  batch.targets = numbers(200);
  batch.loss_mask = {0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0};
  if (with_positions) {
    batch.position = numbers(300);
    batch.block_position = numbers(400);
  }
  batch.rotary_position = numbers(500);
  batch.lo = numbers(0);
  batch.hi = numbers(1);
  return batch;
}

void expect_targets(const Targets& targets) {
  ASSERT_EQ(targets.count, 3);
  ASSERT_EQ(targets.tokens.numel(), 3);
  const auto* const tokens = targets.tokens.const_data_ptr<std::int64_t>();
  EXPECT_EQ(std::vector(tokens, tokens + 3), (std::vector<std::int64_t>{1, 4, 5}));
  EXPECT_EQ(std::vector(targets.ids, targets.ids + 3), (std::vector<std::int32_t>{201, 204, 205}));
}

TEST(MicrobatchTest, KnowsWhereEachTokenStandsAndWhatItPredicts) {
  const Microbatch microbatch(made_batch(true));
  const TokenArrays& arrays = microbatch.arrays();
  const std::vector<std::int32_t> places(arrays.index_in_row, arrays.index_in_row + kTokens);
  EXPECT_EQ(places, (std::vector<std::int32_t>{0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(arrays.ordinals[4], std::int64_t{1} << 40);
  EXPECT_EQ(arrays.ordinals[5], 7);
  EXPECT_EQ(arrays.ordinals[10], 7) << "padding counts as more of the last row";
  expect_targets(microbatch.targets());
}

TEST(MicrobatchTest, ReadsTheBatchInPlaceWithoutADevice) {
  const Microbatch microbatch(made_batch(true));
  EXPECT_EQ(microbatch.arrays().tokens, microbatch.batch().tokens.data());
  EXPECT_EQ(microbatch.arrays().hi, microbatch.batch().hi.data());
}

// The copy that a device gets, here in the CPU's memory; it moves with the microbatch.
TEST(MicrobatchTest, ACopyHoldsWhatTheBatchHolds) {
  for (const bool with_positions : {true, false}) {
    const Microbatch in_place(made_batch(with_positions));
    Microbatch made(made_batch(with_positions), at::kCPU);
    const Microbatch copied(std::move(made));
    const TokenArrays& expected = in_place.arrays();
    const TokenArrays& arrays = copied.arrays();
    EXPECT_NE(arrays.tokens, copied.batch().tokens.data());
    expect_targets(copied.targets());
    const auto same = [](const auto* a, const auto* b) { return std::equal(a, a + kTokens, b); };
    EXPECT_TRUE(same(arrays.tokens, expected.tokens));
    EXPECT_TRUE(same(arrays.rotary_position, expected.rotary_position));
    EXPECT_TRUE(same(arrays.lo, expected.lo));
    EXPECT_TRUE(same(arrays.hi, expected.hi));
    EXPECT_TRUE(same(arrays.index_in_row, expected.index_in_row));
    EXPECT_TRUE(same(arrays.ordinals, expected.ordinals));
    if (with_positions) {
      EXPECT_TRUE(same(arrays.position, expected.position));
      EXPECT_TRUE(same(arrays.block_position, expected.block_position));
    } else {
      EXPECT_EQ(arrays.position, nullptr);
    }
  }
}

}  // namespace
}  // namespace cloze
