#include "parallel/comm/ordered_reduce.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/dtype.h"

namespace cloze {
namespace {

template <typename Element>
Element reduce(const std::vector<Element>& parts, at::ScalarType dtype, ReduceOp op) {
  std::vector<const void*> pointers;
  for (const Element& part : parts) pointers.push_back(&part);
  Element output{};
  ordered_reduce(&output, pointers, 1, dtype, op);
  return output;
}

TEST(OrderedReduceTest, AddsFromLeftToRight) {
  // 1e8 + 1 is 1e8 in fp32, so the order shows.
  EXPECT_EQ(reduce<float>({1e8F, 1.0F, -1e8F}, at::kFloat, ReduceOp::kSum), 0.0F);
  EXPECT_EQ(reduce<float>({1e8F, -1e8F, 1.0F}, at::kFloat, ReduceOp::kSum), 1.0F);
}

TEST(OrderedReduceTest, SixteenBitTypesRoundOnceAtTheEnd) {
  // 256 + 1 is 256 in bf16 (8 bits), 258 is exact; 2048 + 1 is 2048 in fp16 (11 bits).
  EXPECT_EQ(float(reduce<BFloat16>({BFloat16(256.0F), BFloat16(1.0F), BFloat16(1.0F)},
                                   at::kBFloat16, ReduceOp::kSum)),
            258.0F);
  EXPECT_EQ(float(reduce<Float16>({Float16(2048.0F), Float16(1.0F), Float16(1.0F)}, at::kHalf,
                                  ReduceOp::kSum)),
            2050.0F);
}

TEST(OrderedReduceTest, IntegersWrap) {
  const std::int32_t largest = std::numeric_limits<std::int32_t>::max();
  EXPECT_EQ(reduce<std::int32_t>({largest, 1}, at::kInt, ReduceOp::kSum),
            std::numeric_limits<std::int32_t>::min());
  EXPECT_EQ(reduce<std::uint8_t>({200, 100}, at::kByte, ReduceOp::kSum), 44);
}

TEST(OrderedReduceTest, OutputMayBeOneOfTheParts) {
  for (const std::size_t place : {0, 1, 2}) {
    std::array<std::vector<double>, 3> parts;
    for (std::size_t part = 0; part < 3; ++part) {
      for (int i = 0; i < 50000; ++i) parts[part].push_back((part + 1.0) * i);
    }
    const std::array<const void*, 3> pointers = {parts[0].data(), parts[1].data(), parts[2].data()};
    ordered_reduce(parts[place].data(), pointers, 50000, at::kDouble, ReduceOp::kSum);
    for (int i = 0; i < 50000; ++i) ASSERT_EQ(parts[place][i], 6.0 * i);
  }
}

TEST(OrderedReduceTest, OtherTypesAreRefused) {
  EXPECT_FALSE(is_reducible(at::kBool));
  const std::array<const void*, 1> parts = {nullptr};
  EXPECT_THROW(ordered_reduce(nullptr, parts, 0, at::kBool, ReduceOp::kSum), Error);
}

}  // namespace
}  // namespace cloze
