#include "data/permutation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <vector>

#include "parallel/base/check.h"

namespace cloze {
namespace {

RandomKey epoch(std::uint64_t number, std::uint64_t seed = 1) {
  return {.seed = seed, .domain = RandomDomain::kPermutation, .ordinal = number};
}

TEST(PermutationTest, VisitsEveryIndexOnce) {
  std::vector<std::int64_t> sizes = {1023, 1024, 1025, 4097, 65536, 100003};
  for (std::int64_t size = 1; size <= 200; ++size) sizes.push_back(size);
  for (const std::int64_t size : sizes) {
    const Permutation permutation(size, epoch(3));
    std::vector<bool> seen(static_cast<std::size_t>(size));
    for (std::int64_t i = 0; i < size; ++i) {
      const std::int64_t image = permutation(i);
      ASSERT_GE(image, 0);
      ASSERT_LT(image, size);
      ASSERT_FALSE(seen[static_cast<std::size_t>(image)]) << size << " " << i;
      seen[static_cast<std::size_t>(image)] = true;
    }
  }
}

TEST(PermutationTest, DependsOnSeedAndEpoch) {
  const Permutation first(1000, epoch(0));
  const Permutation second(1000, epoch(1));
  const Permutation seeded(1000, epoch(0, 2));
  int same_epoch = 0;
  int same_seed = 0;
  for (std::int64_t i = 0; i < 1000; ++i) {
    same_epoch += first(i) == second(i) ? 1 : 0;
    same_seed += first(i) == seeded(i) ? 1 : 0;
  }
  EXPECT_LT(same_epoch, 10);  // One in the mean.
  EXPECT_LT(same_seed, 10);
}

TEST(PermutationTest, EveryOrderOfFourIsAsLikely) {
  std::map<std::vector<std::int64_t>, int> seen;
  constexpr int kEpochs = 24000;
  for (int i = 0; i < kEpochs; ++i) {
    const Permutation permutation(4, epoch(static_cast<std::uint64_t>(i)));
    ++seen[{permutation(0), permutation(1), permutation(2), permutation(3)}];
  }
  // Rounds on two bits reach even permutations and odd ones alike.
  EXPECT_EQ(seen.size(), 24U);
  for (const auto& [order, count] : seen) EXPECT_NEAR(count, kEpochs / 24.0, 200);
}

TEST(PermutationTest, NeighboursAreScattered) {
  constexpr std::int64_t kSize = 50021;
  const Permutation permutation(kSize, epoch(9));
  int adjacent = 0;
  double product = 0;
  for (std::int64_t i = 0; i + 1 < kSize; ++i) {
    const std::int64_t a = permutation(i);
    const std::int64_t b = permutation(i + 1);
    adjacent += std::abs(a - b) == 1 ? 1 : 0;
    product += (static_cast<double>(a) / kSize - 0.5) * (static_cast<double>(b) / kSize - 0.5);
  }
  EXPECT_LT(adjacent, 12);  // Two in the mean.
  // Serial correlation: 1/12 is the variance of a place; three deviations.
  EXPECT_LT(std::abs(product / kSize * 12), 3 / std::sqrt(kSize));
}

TEST(PermutationTest, ReachesTheLargestSizesAtOnce) {
  constexpr std::int64_t kSize = (std::int64_t{1} << 40) + 12345;
  const Permutation permutation(kSize, epoch(0));
  std::set<std::int64_t> seen;
  for (std::int64_t i = 0; i < 1000; ++i) seen.insert(permutation(kSize - 1 - i));
  EXPECT_EQ(seen.size(), 1000U);
  EXPECT_LT(*seen.rbegin(), kSize);
}

TEST(PermutationTest, RefusesAnIndexOutside) {
  const Permutation permutation(5, epoch(0));
  EXPECT_THROW(permutation(5), Error);
  EXPECT_THROW(permutation(-1), Error);
  EXPECT_THROW(Permutation(0, epoch(0)), Error);
}

}  // namespace
}  // namespace cloze
