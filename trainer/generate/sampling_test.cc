// Tests of the choice of the next token.
#include "trainer/generate/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "parallel/base/check.h"

namespace cloze {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int kDraws = 20'000;

// Shares of the ids in many draws.
std::map<std::int32_t, double> shares(const std::vector<float>& logits,
                                      const SamplingOptions& options) {
  std::map<std::int32_t, double> found;
  for (int i = 0; i < kDraws; ++i) {
    found[sample(logits, options, 1, static_cast<std::uint64_t>(i))] += 1.0 / kDraws;
  }
  return found;
}

// Five standard deviations of a share of so many draws.
void expect_share(double actual, double expected) {
  EXPECT_NEAR(actual, expected, 5 * std::sqrt(expected * (1 - expected) / kDraws) + 1e-9);
}

TEST(SamplingTest, GreedyTakesTheFirstOfTheLikeliest) {
  EXPECT_EQ(sample(std::vector<float>{0.5F, 2.0F, 2.0F, -1.0F}, {}, 0, 0), 1);
  EXPECT_EQ(sample(std::vector<float>{-3.0F}, {}, 9, 9), 0);
}

TEST(SamplingTest, TemperatureOneDrawsWithTheModelsShares) {
  const std::vector<float> logits = {std::log(0.1F), std::log(0.6F), std::log(0.3F)};
  const auto found = shares(logits, {.temperature = 1});
  expect_share(found.at(0), 0.1);
  expect_share(found.at(1), 0.6);
  expect_share(found.at(2), 0.3);
}

TEST(SamplingTest, TemperatureSharpensAndFlattens) {
  const std::vector<float> logits = {std::log(0.2F), std::log(0.8F)};
  // At temperature 1/2 odds are squared, at 2 their root is taken.
  expect_share(shares(logits, {.temperature = 0.5}).at(1), 16.0 / 17);
  expect_share(shares(logits, {.temperature = 2}).at(1), 2.0 / 3);
}

TEST(SamplingTest, TopKKeepsTheLikeliestInTheirProportion) {
  const std::vector<float> logits = {std::log(0.1F), std::log(0.5F), std::log(0.15F),
                                     std::log(0.25F)};
  const auto found = shares(logits, {.temperature = 1, .top_k = 2});
  EXPECT_EQ(found.size(), 2);
  expect_share(found.at(1), 2.0 / 3);
  expect_share(found.at(3), 1.0 / 3);
  EXPECT_EQ(shares(logits, {.temperature = 1, .top_k = 100}).size(), 4);
}

TEST(SamplingTest, TopPKeepsTheFewestThatReachTheShare) {
  const std::vector<float> logits = {std::log(0.1F), std::log(0.5F), std::log(0.15F),
                                     std::log(0.25F)};
  EXPECT_EQ(shares(logits, {.temperature = 1, .top_p = 0.4}).size(), 1);
  const auto two = shares(logits, {.temperature = 1, .top_p = 0.7});
  EXPECT_EQ(two.size(), 2);
  expect_share(two.at(1), 2.0 / 3);
  EXPECT_EQ(shares(logits, {.temperature = 1, .top_p = 0.8}).size(), 3);
  EXPECT_EQ(shares(logits, {.temperature = 1, .top_p = 0}).size(), 1);  // Always one.
}

TEST(SamplingTest, TopKComesBeforeTopP) {
  const std::vector<float> logits = {std::log(0.4F), std::log(0.3F), std::log(0.2F),
                                     std::log(0.1F)};
  // Of two the first has 4/7 of the share: enough for 0.5, which of all four it is not.
  EXPECT_EQ(shares(logits, {.temperature = 1, .top_k = 2, .top_p = 0.5}).size(), 1);
  EXPECT_EQ(shares(logits, {.temperature = 1, .top_p = 0.5}).size(), 2);
}

TEST(SamplingTest, ADrawDependsOnItsNumbersAlone) {
  const std::vector<float> logits(50, 0.0F);
  const SamplingOptions options{.temperature = 1, .seed = 3};
  const std::int32_t first = sample(logits, options, 2, 7);
  EXPECT_EQ(sample(logits, options, 2, 7), first);
  int same = 0;
  for (std::uint64_t i = 0; i < 40; ++i) {
    same += sample(logits, options, 2, 100 + i) == first ? 1 : 0;
    same += sample(logits, options, 100 + i, 7) == first ? 1 : 0;
    same += sample(logits, {.temperature = 1, .seed = 100 + i}, 2, 7) == first ? 1 : 0;
  }
  EXPECT_LT(same, 15);
}

TEST(SamplingTest, WhatIsNotFiniteIsNeverDrawn) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> logits = {nan, -kInfinity, 1.0F, kInfinity};
  EXPECT_EQ(sample(logits, {}, 0, 0), 2);
  EXPECT_EQ(shares(logits, {.temperature = 5}).size(), 1);
  EXPECT_THROW(sample(std::vector<float>{nan, kInfinity}, {}, 0, 0), Error);
}

}  // namespace
}  // namespace cloze
