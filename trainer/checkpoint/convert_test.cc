// Conversions between floating types.
#include "trainer/checkpoint/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace cloze {
namespace {

template <typename From, typename To>
To one(From value, DType from, DType to) {
  To result;
  convert(reinterpret_cast<const std::byte*>(&value), from, reinterpret_cast<std::byte*>(&result),
          to, 1);
  return result;
}

TEST(ConvertTest, EverySixteenBitValueSurvivesTheWayThroughWiderTypes) {
  for (int bits = 0; bits < 65536; ++bits) {
    BFloat16 brain;
    brain.bits = static_cast<std::uint16_t>(bits);
    Float16 half;
    half.bits = static_cast<std::uint16_t>(bits);
    if (!std::isnan(static_cast<float>(brain))) {
      const auto wide = one<BFloat16, double>(brain, DType::kBF16, DType::kF64);
      ASSERT_EQ((one<double, BFloat16>(wide, DType::kF64, DType::kBF16)).bits, brain.bits);
    }
    if (!std::isnan(static_cast<float>(half))) {
      const auto wide = one<Float16, float>(half, DType::kF16, DType::kF32);
      ASSERT_EQ((one<float, Float16>(wide, DType::kF32, DType::kF16)).bits, half.bits);
      const auto wider = one<Float16, double>(half, DType::kF16, DType::kF64);
      ASSERT_EQ((one<double, Float16>(wider, DType::kF64, DType::kF16)).bits, half.bits);
    }
  }
}

TEST(ConvertTest, DoubleToBfloat16IsRoundedOnce) {
  // Just above the tie between 1 and the next bfloat16: a float in between would make it a tie.
  const double above = 1.0 + 0x1p-8 + 0x1p-40;
  EXPECT_EQ((one<double, BFloat16>(above, DType::kF64, DType::kBF16)).bits, 0x3f81);
  const double below = 1.0 + 3 * 0x1p-8 - 0x1p-40;
  EXPECT_EQ((one<double, BFloat16>(below, DType::kF64, DType::kBF16)).bits, 0x3f81);
  EXPECT_EQ((one<double, BFloat16>(-above, DType::kF64, DType::kBF16)).bits, 0xbf81);
  const double half_above = 1.0 + 0x1p-11 + 0x1p-45;
  EXPECT_EQ((one<double, Float16>(half_above, DType::kF64, DType::kF16)).bits, 0x3c01);
}

TEST(ConvertTest, InfinitiesAndNansStay) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ((one<double, float>(infinity, DType::kF64, DType::kF32)), infinity);
  EXPECT_EQ(static_cast<float>(one<double, BFloat16>(-infinity, DType::kF64, DType::kBF16)),
            -infinity);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(
      std::isnan(static_cast<float>(one<double, BFloat16>(nan, DType::kF64, DType::kBF16))));
}

}  // namespace
}  // namespace cloze
