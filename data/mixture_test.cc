#include "data/mixture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "parallel/base/check.h"

namespace cloze {
namespace {

TEST(MixtureTest, NumbersTheRowsOfEachSourceWithoutGaps) {
  const std::vector<double> weights = {0.5, 3, 0.01, 1, 0.25};
  const Mixture mixture(weights);
  std::vector<std::int64_t> next(weights.size());
  for (std::int64_t ordinal = 0; ordinal < 100000; ++ordinal) {
    const MixturePlace place = mixture.place(ordinal);
    const auto source = static_cast<std::size_t>(place.source);
    ASSERT_EQ(place.position, next[source]++) << ordinal;
    ASSERT_EQ(mixture.rows_before(place.source, ordinal + 1), next[source]);
  }
}

TEST(MixtureTest, KeepsEveryPrefixNearTheShares) {
  const std::vector<double> weights = {5, 3, 2, 1, 1};
  const Mixture mixture(weights);
  for (std::int64_t ordinal = 1; ordinal < 20000; ++ordinal) {
    for (std::size_t source = 0; source < weights.size(); ++source) {
      const double share = static_cast<double>(ordinal) * weights[source] / 12;
      const std::int64_t rows = mixture.rows_before(static_cast<std::int64_t>(source), ordinal);
      ASSERT_LE(std::abs(static_cast<double>(rows) - share), 3) << "three forks";
    }
  }
}

TEST(MixtureTest, IsExactFarOut) {
  const Mixture mixture(std::vector<double>{1, 2});
  constexpr std::int64_t kFar = std::int64_t{1} << 60;
  const MixturePlace here = mixture.place(kFar);
  std::int64_t ordinal = kFar + 1;
  while (mixture.place(ordinal).source != here.source) ++ordinal;
  EXPECT_EQ(mixture.place(ordinal).position, here.position + 1);
  EXPECT_NEAR(static_cast<double>(mixture.rows_before(1, kFar)) / kFar, 2.0 / 3, 1e-9);
}

TEST(MixtureTest, OneSourceTakesAll) {
  const Mixture mixture(std::vector<double>{0.3});
  EXPECT_EQ(mixture.place(12345), (MixturePlace{0, 12345}));
}

TEST(MixtureTest, WeightZeroTakesASourceOut) {
  const Mixture mixture(std::vector<double>{0, 1, 0, 1, 0});
  for (std::int64_t ordinal = 0; ordinal < 100; ++ordinal) {
    const std::int64_t source = mixture.place(ordinal).source;
    EXPECT_TRUE(source == 1 || source == 3);
  }
  EXPECT_EQ(mixture.rows_before(0, 100), 0);
  EXPECT_EQ(mixture.rows_before(4, 100), 0);
}

TEST(MixtureTest, ATinyWeightStillGetsRows) {
  const Mixture mixture(std::vector<double>{1, 1e-30});
  EXPECT_EQ(mixture.rows_before(1, std::int64_t{1} << 40), 255);
}

TEST(MixtureTest, RefusesBadWeights) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  for (const std::vector<double>& weights :
       {std::vector<double>{}, {-1, 2}, {nan}, {1, infinity}, {0, 0}, {1e308, 1e308}}) {
    try {
      const Mixture mixture(weights);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
    }
  }
}

}  // namespace
}  // namespace cloze
