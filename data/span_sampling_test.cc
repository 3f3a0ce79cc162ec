#include "data/span_sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

namespace cloze {
namespace {

// Chi-square bounds are those of p = 1e-6: keys are fixed, so a pass is a pass for ever.
double chi_square(const std::vector<double>& seen, const std::vector<double>& expected) {
  double sum = 0;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    sum += (seen[i] - expected[i]) * (seen[i] - expected[i]) / expected[i];
  }
  return sum;
}

TEST(SpanSamplingTest, LengthsArePoissonOnOneAndMore) {
  const SpanLengths lengths = span_lengths({});
  // A Poisson(3) weight by the textbook formula, normalised over 1..39.
  const double sum = 1 - std::exp(-3.0);
  double cumulative = 0;
  for (int k = 1; k <= 39; ++k) {
    cumulative += std::exp((k * std::log(3.0)) - 3.0 - std::lgamma(k + 1.0)) / sum;
    EXPECT_NEAR(static_cast<double>(lengths.thresholds[static_cast<std::size_t>(k - 1)]) * 0x1p-32,
                cumulative, 1e-9);
  }
  EXPECT_NEAR(lengths.mean, 3 / sum, 1e-12);
  EXPECT_NEAR(lengths.variance, (12 / sum) - (9 / (sum * sum)), 1e-9);
}

TEST(SpanSamplingTest, LongMeansNeitherOverflowNorVanish) {
  const SpanLengths lengths = span_lengths({.span_mean = 5000, .span_max = 60000});
  EXPECT_NEAR(lengths.mean, 5000, 1e-6);
  EXPECT_NEAR(lengths.variance, 5000, 1e-3);
}

// Drawn spans, all but those of a piece's end: the sum's rule favours a long last one, so a long
// piece keeps the bias below what the test sees.
TEST(SpanSamplingTest, DrawnLengthsPassChiSquareAgainstPoisson) {
  const SentenceEnds none;
  BlankSampler sampler({}, 1, none);
  const std::vector<std::int32_t> ids(100000, 9);
  std::vector<double> seen(12);
  double total = 0;
  for (std::uint64_t ordinal = 0; ordinal < 20; ++ordinal) {
    std::vector<Blank> blanks;
    sampler.draw(ids, Objective::kMask, {.seed = 3, .ordinal = ordinal}, blanks);
    for (const Blank& blank : blanks) {
      seen[static_cast<std::size_t>(std::min(blank.length, 12)) - 1] += 1;
      total += 1;
    }
  }
  std::vector<double> expected(12);
  double rest = 1;
  for (int k = 1; k < 12; ++k) {
    const double share =
        std::exp((k * std::log(3.0)) - 3.0 - std::lgamma(k + 1.0)) / (1 - std::exp(-3.0));
    expected[static_cast<std::size_t>(k) - 1] = share * total;
    rest -= share;
  }
  expected[11] = rest * total;
  EXPECT_LT(chi_square(seen, expected), 50) << "11 degrees of freedom";
}

TEST(SpanSamplingTest, EveryTokenIsAsLikelyToBeHidden) {
  const SentenceEnds none;
  BlankSampler sampler({}, 1, none);
  constexpr std::size_t kLength = 100;
  constexpr std::uint64_t kDraws = 40000;
  const std::vector<std::int32_t> ids(kLength, 9);
  std::vector<double> hidden(kLength);
  std::vector<Blank> blanks;
  for (std::uint64_t ordinal = 0; ordinal < kDraws; ++ordinal) {
    blanks.clear();
    sampler.draw(ids, Objective::kMask, {.seed = 4, .ordinal = ordinal}, blanks);
    for (const Blank& blank : blanks) {
      for (std::int32_t i = 0; i < blank.length; ++i) {
        hidden[static_cast<std::size_t>(blank.first) + static_cast<std::size_t>(i)] += 1;
      }
    }
  }
  const double mean = std::accumulate(hidden.begin(), hidden.end(), 0.0) / kLength / kDraws;
  EXPECT_GT(mean, 0.15);
  EXPECT_LT(mean, 0.18);  // The share and what the last span goes beyond it.
  // Both ends are hidden less, for a span must fit; inside, all alike, and left like right.
  for (std::size_t i = 5; i < kLength - 5; ++i) {
    EXPECT_NEAR(hidden[i] / kDraws, mean, 0.02) << i;
    EXPECT_NEAR(hidden[i] / kDraws, hidden[kLength - 1 - i] / kDraws, 0.015) << i;
  }
}

TEST(SpanSamplingTest, EveryOrderIsAsLikely) {
  std::map<std::vector<std::int32_t>, double> seen;
  constexpr int kDraws = 48000;
  std::vector<std::int32_t> order;
  for (std::uint64_t ordinal = 0; ordinal < kDraws; ++ordinal) {
    BlankSampler::draw_order({.seed = 5, .ordinal = ordinal}, 4, order);
    seen[order] += 1;
  }
  ASSERT_EQ(seen.size(), 24U);
  std::vector<double> counts;
  for (const auto& [permutation, count] : seen) counts.push_back(count);
  EXPECT_LT(chi_square(counts, std::vector<double>(24, kDraws / 24.0)), 70) << "23 degrees";
}

TEST(SpanSamplingTest, DocumentLengthsAreUniform) {
  const SentenceEnds none;
  BlankSampler sampler({}, 1, none);
  const std::vector<std::int32_t> ids(21, 9);  // Hides 11 to 20 of them.
  std::vector<double> seen(10);
  std::vector<Blank> blanks;
  for (std::uint64_t ordinal = 0; ordinal < 20000; ++ordinal) {
    blanks.clear();
    sampler.draw(ids, Objective::kDocument, {.seed = 6, .ordinal = ordinal}, blanks);
    seen.at(static_cast<std::size_t>(blanks.at(0).length - 11)) += 1;
  }
  EXPECT_LT(chi_square(seen, std::vector<double>(10, 2000)), 45) << "9 degrees of freedom";
}

TEST(SpanSamplingTest, EndsOfSentencesStayWithTheirSentence) {
  // a b ? ! c d . eos: the run of ends and the eos belong to what is before them.
  const SentenceEnds ends(64, {20, 21, 22});
  BlankSampler sampler({.sentence_ratio = 0.01}, 1, ends);
  const std::vector<std::int32_t> ids = {10, 11, 20, 21, 12, 13, 22, 1};
  std::map<std::int32_t, std::int32_t> seen;
  for (std::uint64_t ordinal = 0; ordinal < 100; ++ordinal) {
    std::vector<Blank> blanks;
    sampler.draw(ids, Objective::kSentence, {.seed = 7, .ordinal = ordinal}, blanks);
    ASSERT_EQ(blanks.size(), 1U);
    seen[blanks[0].first] = blanks[0].length;
  }
  EXPECT_EQ(seen, (std::map<std::int32_t, std::int32_t>{{0, 4}, {4, 4}}));
}

TEST(SpanSamplingTest, TextWithoutSentenceEndsIsOneSentence) {
  const SentenceEnds none;
  BlankSampler sampler({}, 1, none);
  std::vector<Blank> blanks;
  sampler.draw(std::vector<std::int32_t>(30, 9), Objective::kSentence, {.seed = 8}, blanks);
  EXPECT_EQ(blanks, std::vector<Blank>({{0, 30}}));
}

TEST(SpanSamplingTest, PieceOfTwoTokensHidesOne) {
  const SentenceEnds none;
  BlankSampler sampler({}, 1, none);
  for (const Objective objective : {Objective::kMask, Objective::kDocument}) {
    for (std::uint64_t ordinal = 0; ordinal < 1000; ++ordinal) {
      std::vector<Blank> blanks;
      sampler.draw(std::vector<std::int32_t>{8, 9}, objective, {.seed = 9, .ordinal = ordinal},
                   blanks);
      ASSERT_EQ(blanks.size(), 1U);
      ASSERT_EQ(blanks[0].length, 1);
    }
  }
}

TEST(SpanSamplingTest, SpansLongerThanThePieceFallBackToOneOfTheShare) {
  const SentenceEnds none;
  BlankSampler sampler({.span_mean = 1000, .span_max = 2000}, 1, none);
  std::vector<Blank> blanks;
  sampler.draw(std::vector<std::int32_t>(40, 9), Objective::kMask, {.seed = 10}, blanks);
  ASSERT_EQ(blanks.size(), 1U);
  EXPECT_EQ(blanks[0].length, 6);
}

}  // namespace
}  // namespace cloze
