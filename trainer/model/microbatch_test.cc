#include "trainer/model/microbatch.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <vector>

namespace cloze {
namespace {

constexpr std::int64_t kTokens = 11;  // Two rows of five and one token of padding.

Batch made_batch() {
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
  batch.position = numbers(300);
  batch.block_position = numbers(400);
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
  const Batch batch = made_batch();
  const Microbatch microbatch(batch);
  const TokenArrays& arrays = microbatch.arrays();
  const std::vector<std::int32_t> places(arrays.index_in_row, arrays.index_in_row + kTokens);
  EXPECT_EQ(places, (std::vector<std::int32_t>{0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(arrays.ordinals[4], std::int64_t{1} << 40);
  EXPECT_EQ(arrays.ordinals[5], 7);
  EXPECT_EQ(arrays.ordinals[10], 7) << "padding counts as more of the last row";
  expect_targets(microbatch.targets());
}

TEST(MicrobatchTest, ReadsTheBatchInPlaceWithoutADevice) {
  const Batch batch = made_batch();
  const Microbatch microbatch(batch);
  EXPECT_EQ(microbatch.arrays().tokens, batch.tokens.data());
  EXPECT_EQ(microbatch.arrays().hi, batch.hi.data());
}

}  // namespace
}  // namespace cloze
