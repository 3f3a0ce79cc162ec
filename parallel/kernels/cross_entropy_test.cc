// Tests of softmax cross-entropy, whole and cut over the vocabulary, against double.
#include "parallel/kernels/cross_entropy.h"

#include "parallel/kernels/test_arrays.h"

namespace cloze {
namespace {

template <class T>
class CrossEntropyTest : public testing::Test {};
using StorageTypes = testing::Types<double, float, BFloat16, Float16>;
TYPED_TEST_SUITE(CrossEntropyTest, StorageTypes);

constexpr std::int64_t kRows = 5;

template <class T>
struct Result {
  std::vector<Accumulator<T>> max, sum, target_logit;
  std::vector<T> gradient;  // [kRows, vocab]
};

// Cuts the vocabulary at `cuts` (first 0, last vocab), as tensor ranks would.
template <class T>
Result<T> run(const std::vector<T>& logits, std::int64_t vocab, std::vector<std::int64_t> cuts,
              const std::vector<std::int32_t>& targets, const std::vector<double>& weights) {
  using A = Accumulator<T>;
  const std::int64_t gap = 3;  // Columns between rows that belong to nobody.
  Result<T> result{std::vector<A>(kRows, -std::numeric_limits<A>::infinity()),
                   std::vector<A>(kRows), std::vector<A>(kRows), poisoned<T>(kRows * vocab)};
  std::vector<std::vector<T>> shards;
  for (std::size_t part = 0; part + 1 < cuts.size(); ++part) {
    const std::int64_t width = cuts[part + 1] - cuts[part];
    auto shard = poisoned<T>(kRows * (width + gap));
    for (std::int64_t row = 0; row < kRows; ++row) {
      std::copy_n(&logits[row * vocab + cuts[part]], width, &shard[row * (width + gap)]);
    }
    auto max = poisoned<A>(kRows);
    row_max<T>(shard.data(), width + gap, kRows, width, max.data());
    for (std::int64_t row = 0; row < kRows; ++row) {
      result.max[row] = std::max(result.max[row], max[row]);
    }
    shards.push_back(shard);
  }
  for (std::size_t part = 0; part < shards.size(); ++part) {
    const std::int64_t width = cuts[part + 1] - cuts[part];
    auto sum = poisoned<A>(kRows);
    auto target_logit = poisoned<A>(kRows);
    row_sums<T>(shards[part].data(), width + gap, kRows, width, cuts[part], targets.data(),
                result.max.data(), sum.data(), target_logit.data());
    for (std::int64_t row = 0; row < kRows; ++row) {
      result.sum[row] += sum[row];
      result.target_logit[row] += target_logit[row];
    }
  }
  std::vector<A> weight(weights.begin(), weights.end());
  for (std::size_t part = 0; part < shards.size(); ++part) {
    const std::int64_t width = cuts[part + 1] - cuts[part];
    softmax_gradient<T>(shards[part].data(), width + gap, kRows, width, cuts[part], targets.data(),
                        result.max.data(), result.sum.data(), weight.data());
    for (std::int64_t row = 0; row < kRows; ++row) {
      std::copy_n(&shards[part][row * (width + gap)], width,
                  &result.gradient[row * vocab + cuts[part]]);
      EXPECT_TRUE(std::isnan(to_double(shards[part][row * (width + gap) + width])));
    }
  }
  return result;
}

TYPED_TEST(CrossEntropyTest, EqualsTheSoftmaxOfTheWholeVocabularyForEveryCut) {
  using T = TypeParam;
  for (const std::int64_t vocab : {1, 3, 17, 63, 65, 1000, 9001}) {
    const auto logits = normals<T>(kRows * vocab, 1, 4.0);
    const std::vector<double> weights = {0.5, 0.25, 0.0, 1.0, 2.0};
    std::vector<std::int32_t> targets;
    for (std::int64_t row = 0; row < kRows; ++row) {
      targets.push_back(static_cast<std::int32_t>(row * 271 % vocab));
    }
    targets[2] = -1;  // Of no token; its weight is 0.
    for (const auto& cuts :
         {std::vector<std::int64_t>{0, vocab}, {0, vocab / 3, vocab}, {0, vocab, vocab}}) {
      const auto actual = run<T>(logits, vocab, cuts, targets, weights);
      std::vector<double> gradient(kRows * vocab);
      for (std::int64_t row = 0; row < kRows; ++row) {
        const auto at = [&](std::int64_t i) { return to_double(logits[row * vocab + i]); };
        double total = 0.0;
        for (std::int64_t i = 0; i < vocab; ++i) total += std::exp(at(i));
        for (std::int64_t i = 0; i < vocab; ++i) {
          const double target = i == targets[row] ? 1.0 : 0.0;
          gradient[row * vocab + i] = weights[row] * (std::exp(at(i)) / total - target);
        }
        if (targets[row] < 0) continue;
        const double loss = std::log(static_cast<double>(actual.sum[row])) -
                            static_cast<double>(actual.target_logit[row]);
        EXPECT_NEAR(loss, std::log(total) - at(targets[row]), tolerance<Accumulator<T>>());
      }
      expect_close(actual.gradient, gradient, tolerance<T>());
      for (std::int64_t i = 0; i < vocab; ++i) {
        EXPECT_EQ(to_double(actual.gradient[2 * vocab + i]), 0.0);
      }
    }
  }
}

TEST(CrossEntropyRowsTest, ARowOfWeightZeroBecomesZeroWhateverItHolds) {
  std::vector<float> logits = {NAN, INFINITY, -INFINITY, 1.0F};
  const std::int32_t target = 1;
  const float max = INFINITY, sum = NAN, weight = 0.0F;
  softmax_gradient<float>(logits.data(), 4, 1, 4, 0, &target, &max, &sum, &weight);
  EXPECT_EQ(logits, std::vector<float>(4, 0.0F));
}

TEST(CrossEntropyRowsTest, ANanOrInfiniteLogitShowsInTheSum) {
  const std::int32_t target = 0;
  for (const float bad : {NAN, INFINITY}) {
    std::vector<float> logits(100, 1.0F);
    logits[70] = bad;
    float max = 0.0F, sum = 0.0F, target_logit = 0.0F;
    row_max<float>(logits.data(), 100, 1, 100, &max);
    row_sums<float>(logits.data(), 100, 1, 100, 0, &target, &max, &sum, &target_logit);
    EXPECT_TRUE(std::isnan(sum));
  }
}

TEST(CrossEntropyRowsTest, LargeLogitsDoNotOverflow) {
  const std::vector<float> logits = {1e30F, -1e30F, 1e30F};
  const std::int32_t target = 2;
  float max = 0.0F, sum = 0.0F, target_logit = 0.0F;
  row_max<float>(logits.data(), 3, 1, 3, &max);
  row_sums<float>(logits.data(), 3, 1, 3, 0, &target, &max, &sum, &target_logit);
  EXPECT_EQ(max, 1e30F);
  EXPECT_EQ(sum, 2.0F);
  EXPECT_EQ(target_logit, 0.0F);
}

TEST(CrossEntropyThreadsTest, BitsDoNotDependOnThreads) {
  const std::int64_t n = 37;
  const std::int64_t vocab = 5001;
  const std::vector<std::int32_t> targets(n, 100);
  const std::vector<float> weight(n, 0.1F);
  expect_same_bits_on_any_threads([&] {
    auto logits = normals<float>(n * vocab, 1);
    std::vector<float> max(n), sum(n), target_logit(n);
    row_max<float>(logits.data(), vocab, n, vocab, max.data());
    row_sums<float>(logits.data(), vocab, n, vocab, 0, targets.data(), max.data(), sum.data(),
                    target_logit.data());
    softmax_gradient<float>(logits.data(), vocab, n, vocab, 0, targets.data(), max.data(),
                            sum.data(), weight.data());
    append(logits, sum);
    return logits;
  });
}

}  // namespace
}  // namespace cloze
