// Tests of the generator against published vectors, and of the variates against the C library
// and the normal distribution.
#include "parallel/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace cloze {
namespace {

// The known-answer vectors of Random123 (kat_vectors, philox4x32-10).
TEST(PhiloxTest, GivesThePublishedVectors) {
  EXPECT_EQ(philox({0, 0, 0, 0}, 0, 0),
            (PhiloxBlock{0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U}));
  EXPECT_EQ(philox({0xffffffffU, 0xffffffffU, 0xffffffffU, 0xffffffffU}, 0xffffffffU, 0xffffffffU),
            (PhiloxBlock{0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU}));
  EXPECT_EQ(philox({0x243f6a88U, 0x85a308d3U, 0x13198a2eU, 0x03707344U}, 0xa4093822U, 0x299f31d0U),
            (PhiloxBlock{0xd16cfe09U, 0x94fdccebU, 0x5001e420U, 0x24126ea1U}));
}

TEST(RandomTest, TheKeyIsLaidOutInTheCounterAsTheCheckpointFormatSays) {
  const RandomKey key{.seed = 0x1122334455667788ULL,
                      .domain = RandomDomain::kSpans,
                      .layer = 0xABC,
                      .site = 0x1234,
                      .ordinal = 0x0000002A0000000BULL};
  const std::uint64_t group = 0x5DEADBEEFULL;  // 36 bits.
  EXPECT_EQ(random_block(key, group),
            philox({0xDEADBEEFU, 0x05ABC345U, 0x0000000BU, 0x1200002AU}, 0x55667788U, 0x11223344U));
}

TEST(RandomTest, EveryPartOfTheKeyGivesAnotherStream) {
  const RandomKey key{
      .seed = 1, .domain = RandomDomain::kInit, .layer = 2, .site = 3, .ordinal = 4};
  std::vector<RandomKey> others(6, key);
  others[0].seed = 2;
  others[1].seed = 1 + (std::uint64_t{1} << 32);
  others[2].domain = RandomDomain::kSpans;
  others[3].layer = 3;
  others[4].site = 3 + 256;
  others[5].ordinal = 4 + (std::uint64_t{1} << 32);
  for (const RandomKey& other : others) EXPECT_NE(random_block(key, 0), random_block(other, 0));
  EXPECT_NE(random_block(key, 0), random_block(key, std::uint64_t{1} << 32));
}

TEST(RandomTest, ElementsAreTheWordsOfTheBlocksInOrder) {
  const RandomKey key{.seed = 7};
  for (std::uint64_t index = 0; index < 12; ++index) {
    EXPECT_EQ(random_bits(key, index), random_block(key, index / 4)[index % 4]);
    EXPECT_EQ(random_uniform(key, index), random_bits(key, index) / 4294967296.0);
  }
}

TEST(RandomTest, IntegersBelowABoundAreUniform) {
  const RandomKey key{.seed = 11};
  std::vector<int> counts(10);
  for (std::uint64_t index = 0; index < 100000; ++index) ++counts[random_below(key, index, 10)];
  double chi_squared = 0.0;
  for (const int count : counts) chi_squared += (count - 1e4) * (count - 1e4) / 1e4;
  EXPECT_LT(chi_squared, 33.7);  // 9 degrees of freedom, one in ten thousand.
  EXPECT_EQ(random_below(key, 5, 1), 0U);
  EXPECT_LT(random_below(key, 5, UINT64_MAX), UINT64_MAX);
}

TEST(RandomTest, TheLogarithmIsThatOfTheLibrary) {
  double worst = 0.0;
  for (std::uint64_t index = 0; index < 100000; ++index) {
    const double u = (random_bits({.seed = 1}, index) + 1.0) * 0x1p-32;
    worst = std::max(worst, std::abs(log_by_fma(u) - std::log(u)) / std::max(1e-3, -std::log(u)));
  }
  EXPECT_LT(worst, 1e-15 * 4);
  EXPECT_EQ(log_by_fma(1.0), 0.0);
  EXPECT_NEAR(log_by_fma(0x1p-32), -32 * 0.6931471805599453, 1e-14);
}

TEST(RandomTest, TheCosineIsThatOfTheLibrary) {
  for (std::uint64_t index = 0; index < 100000; ++index) {
    const double turns = random_uniform({.seed = 2}, index);
    EXPECT_NEAR(cos_of_turns(turns), std::cos(turns * 6.283185307179586), 2e-15);
  }
  EXPECT_EQ(cos_of_turns(0.0), 1.0);
  EXPECT_EQ(cos_of_turns(0.5), -1.0);
  EXPECT_NEAR(cos_of_turns(0.25), 0.0, 1e-300);
  EXPECT_NEAR(cos_of_turns(1.0 - 0x1p-32), 1.0, 1e-15);
}

TEST(RandomTest, NormalVariatesHaveTheMomentsOfTheDistribution) {
  const int n = 200000;
  double mean = 0.0, square = 0.0, cube = 0.0, fourth = 0.0;
  for (int index = 0; index < n; ++index) {
    const double x = random_normal({.seed = 3}, index);
    mean += x / n;
    square += x * x / n;
    cube += x * x * x / n;
    fourth += x * x * x * x / n;
  }
  // Five standard errors of each: sqrt(1, 2, 15, 96) / sqrt(n).
  const double unit = 5.0 / std::sqrt(static_cast<double>(n));
  EXPECT_NEAR(mean, 0.0, unit);
  EXPECT_NEAR(square, 1.0, unit * std::sqrt(2.0));
  EXPECT_NEAR(cube, 0.0, unit * std::sqrt(15.0));
  EXPECT_NEAR(fourth, 3.0, unit * std::sqrt(96.0));
}

TEST(RandomTest, NormalVariatesFollowTheDistributionFunction) {
  const int n = 100000;
  std::vector<double> values(n);
  for (int index = 0; index < n; ++index) values[index] = random_normal({.seed = 4}, index);
  std::sort(values.begin(), values.end());
  double distance = 0.0;  // Kolmogorov and Smirnov's.
  for (int i = 0; i < n; ++i) {
    const double probability = 0.5 * std::erfc(-values[i] / std::sqrt(2.0));
    distance = std::max({distance, std::abs(probability - static_cast<double>(i) / n),
                         std::abs(probability - static_cast<double>(i + 1) / n)});
  }
  EXPECT_LT(distance, 1.95 / std::sqrt(static_cast<double>(n)));  // One in a thousand.
}

TEST(RandomTest, NormalVariatesAreFiniteForEveryWord) {
  // The smallest and the largest u and v of Box-Muller.
  for (const double u : {0x1p-32, 1.0}) {
    for (const double v : {0.0, 0.5, 1.0 - 0x1p-32}) {
      EXPECT_TRUE(std::isfinite(std::sqrt(-2.0 * log_by_fma(u)) * cos_of_turns(v)));
    }
  }
}

}  // namespace
}  // namespace cloze
