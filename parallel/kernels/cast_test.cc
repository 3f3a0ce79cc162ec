// Tests of conversions: nearest even, from every type to every type.
#include "parallel/kernels/cast.h"

#include "parallel/kernels/test_arrays.h"

namespace cloze {
namespace {

template <class From, class To>
std::vector<To> converted(const std::vector<From>& from) {
  auto to = poisoned<To>(static_cast<std::int64_t>(from.size()));
  convert<From, To>(from.data(), to.data(), static_cast<std::int64_t>(from.size()));
  return to;
}

// Bits, for comparison with numbers written down.
template <class T>
std::uint16_t bits_of(double value) {
  return converted<double, T>({value})[0].bits;
}

TEST(CastTest, DoublesRoundToNearestEvenOnce) {
  // bfloat16 has 8 significant bits: 1 + 2^-8 is halfway and goes to even, 1; a hair above it
  // does not, though a float on the way would swallow the hair.
  EXPECT_EQ(bits_of<BFloat16>(1.0 + 0x1p-8), 0x3f80);
  EXPECT_EQ(bits_of<BFloat16>(1.0 + 0x1p-8 + 0x1p-40), 0x3f81);
  EXPECT_EQ(bits_of<BFloat16>(-1.0 - 0x1p-8 - 0x1p-40), 0xbf81);
  EXPECT_EQ(bits_of<BFloat16>(1.0 + 3 * 0x1p-8), 0x3f82);
  EXPECT_EQ(bits_of<BFloat16>(1.0 + 3 * 0x1p-8 - 0x1p-40), 0x3f81);
  // binary16 has 11.
  EXPECT_EQ(bits_of<Float16>(1.0 + 0x1p-11), 0x3c00);
  EXPECT_EQ(bits_of<Float16>(1.0 + 0x1p-11 + 0x1p-40), 0x3c01);
  EXPECT_EQ(bits_of<Float16>(1.0 + 3 * 0x1p-11 - 0x1p-40), 0x3c01);
  EXPECT_EQ(bits_of<Float16>(0x1p-25 + 0x1p-60), 0x0001);  // The smallest subnormal.
  EXPECT_EQ(bits_of<Float16>(0x1p-25), 0x0000);
}

TEST(CastTest, OverflowIsInfinityAndNansStay) {
  EXPECT_EQ(bits_of<Float16>(65519.999), 0x7bff);
  EXPECT_EQ(bits_of<Float16>(65520.0), 0x7c00);
  EXPECT_EQ(bits_of<Float16>(-1e300), 0xfc00);
  EXPECT_EQ(bits_of<BFloat16>(1e300), 0x7f80);
  EXPECT_EQ(bits_of<BFloat16>(3.4e38), 0x7f80);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(to_double(converted<double, BFloat16>({nan})[0])));
  EXPECT_TRUE(std::isnan(to_double(converted<double, Float16>({nan})[0])));
  EXPECT_TRUE(std::isnan(converted<double, float>({nan})[0]));
  EXPECT_TRUE(
      std::isnan(to_double(converted<float, BFloat16>({std::bit_cast<float>(0x7f800001U)})[0])));
}

// Every value of the 16-bit type comes back through the other types that hold it.
template <class T>
void expect_round_trip() {
  std::vector<T> all(65536);
  for (std::uint32_t bits = 0; bits < 65536; ++bits)
    all[bits].bits = static_cast<std::uint16_t>(bits);
  const auto floats = converted<T, float>(all);
  const auto back = converted<float, T>(floats);
  const auto back_from_double = converted<double, T>(converted<T, double>(all));
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    if (std::isnan(floats[bits])) {
      EXPECT_TRUE(std::isnan(to_double(back[bits])));
      EXPECT_TRUE(std::isnan(to_double(back_from_double[bits])));
      continue;
    }
    ASSERT_EQ(floats[bits], static_cast<float>(all[bits]));
    ASSERT_EQ(back[bits].bits, bits);
    ASSERT_EQ(back_from_double[bits].bits, bits);
  }
}

TEST(CastTest, SixteenBitValuesComeBack) {
  expect_round_trip<BFloat16>();
  expect_round_trip<Float16>();
}

TEST(CastTest, VectorsRoundAsTheScalarTypesDo) {
  for (const std::int64_t n : {1, 3, 17, 63, 65, 1000, 10000}) {
    const auto from = normals<float>(n, 1, 1e3);
    const auto bf16 = converted<float, BFloat16>(from);
    const auto fp16 = converted<float, Float16>(from);
    const auto across = converted<BFloat16, Float16>(bf16);
    const auto wide = converted<float, double>(from);
    for (std::int64_t i = 0; i < n; ++i) {
      ASSERT_EQ(bf16[i].bits, BFloat16(from[i]).bits);
      ASSERT_EQ(fp16[i].bits, Float16(from[i]).bits);
      ASSERT_EQ(across[i].bits, Float16(static_cast<float>(bf16[i])).bits);
      ASSERT_EQ(wide[i], static_cast<double>(from[i]));
    }
    EXPECT_TRUE(same_bits(converted<float, float>(from), from));
  }
}

}  // namespace
}  // namespace cloze
