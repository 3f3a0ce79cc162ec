// Tests of dropout: the bits are those of random_bits, the sums those of the unfused kernels.
#include "parallel/kernels/dropout.h"

#include "parallel/base/check.h"
#include "parallel/kernels/test_arrays.h"

namespace cloze {
namespace {

template <class T>
class DropoutTest : public testing::Test {};
using StorageTypes = testing::Types<double, float, BFloat16, Float16>;
TYPED_TEST_SUITE(DropoutTest, StorageTypes);

constexpr std::int64_t kTokens = 6;

struct Places {
  std::vector<std::int64_t> ordinals = {1, 1, 2, std::int64_t{1} << 40, 7, 7};
  std::vector<std::int32_t> index_in_row = {0, 1, 5, 2047, 131071, 0};
};

DropoutKey key_of(const Places& places, double p, std::int64_t hidden) {
  return {.p = p,
          .seed = 0x123456789ABCDEFULL,
          .domain = RandomDomain::kEmbeddingDropout,
          .layer = 17,
          .ordinals = places.ordinals.data(),
          .index_in_row = places.index_in_row.data(),
          .hidden_total = hidden};
}

// Whether an element is kept, by the definition.
bool is_kept(const DropoutKey& key, std::int64_t token, std::int64_t channel) {
  const RandomKey stream{.seed = key.seed,
                         .domain = key.domain,
                         .layer = key.layer,
                         .ordinal = static_cast<std::uint64_t>(key.ordinals[token])};
  const std::int64_t element = key.index_in_row[token] * key.hidden_total + channel;
  return random_uniform(stream, static_cast<std::uint64_t>(element)) >= key.p;
}

TYPED_TEST(DropoutTest, KeepsWhatTheStreamSaysAndRoundsAfterEveryStep) {
  using T = TypeParam;
  using A = Accumulator<T>;
  const Places places;
  for (const std::int64_t hidden : {1, 3, 17, 63, 65, 1000}) {
    const auto x = normals<T>(kTokens * hidden, 1);
    const auto residual = normals<T>(kTokens * hidden, 2);
    const auto bias = normals<T>(hidden, 3);
    for (const double p : {0.0, 0.1, 0.5, 0.999999}) {
      const DropoutKey key = key_of(places, p, hidden);
      for (const bool with_sums : {false, true}) {
        auto y = poisoned<T>(kTokens * hidden);
        dropout_add<T>(with_sums ? residual.data() : nullptr, x.data(),
                       with_sums ? bias.data() : nullptr, &key, y.data(), kTokens, hidden);
        std::vector<T> expected(kTokens * hidden);
        for (std::int64_t i = 0; i < kTokens * hidden; ++i) {
          T value = x[i];
          if (with_sums) {
            value = static_cast<T>(static_cast<A>(value) + static_cast<A>(bias[i % hidden]));
          }
          const bool kept = is_kept(key, i / hidden, i % hidden);
          const A scale = static_cast<A>(1.0 / (1.0 - p));
          value = kept ? static_cast<T>(static_cast<A>(value) * scale) : T{};
          if (with_sums)
            value = static_cast<T>(static_cast<A>(residual[i]) + static_cast<A>(value));
          expected[i] = value;
        }
        ASSERT_TRUE(same_bits(y, expected)) << hidden << " " << p << " " << with_sums;
      }
    }
  }
}

TEST(DropoutBackwardTest, PassesTheGradientOfWhatWasKept) {
  const Places places;
  const std::int64_t hidden = 130;
  const DropoutKey key = key_of(places, 0.25, hidden);
  const auto dy = normals<double>(kTokens * hidden, 1);
  auto dx = dy;
  dropout_backward<double>(dx.data(), &key, dx.data(), kTokens, hidden);  // In place.
  for (std::int64_t i = 0; i < kTokens * hidden; ++i) {
    const bool kept = is_kept(key, i / hidden, i % hidden);
    EXPECT_DOUBLE_EQ(dx[i], kept ? dy[i] / 0.75 : 0.0);
  }
}

TEST(DropoutShareTest, DropsTheShareAskedFor) {
  const std::int64_t hidden = 40000;
  const Places places;
  const DropoutKey key = key_of(places, 0.1, hidden);
  const std::vector<float> ones(hidden, 1.0F);
  std::vector<float> y(hidden);
  dropout_add<float>(nullptr, ones.data(), nullptr, &key, y.data(), 1, hidden);
  const auto dropped = static_cast<double>(std::count(y.begin(), y.end(), 0.0F));
  EXPECT_NEAR(dropped / hidden, 0.1, 5 * std::sqrt(0.1 * 0.9 / hidden));  // Five sigma.
}

TEST(DropoutThreadsTest, ChangeNoBit) {
  constexpr std::int64_t kRows = 300;
  constexpr std::int64_t kHidden = 257;
  Places places{.ordinals = std::vector<std::int64_t>(kRows),
                .index_in_row = std::vector<std::int32_t>(kRows)};
  for (std::int64_t row = 0; row < kRows; ++row) {
    places.ordinals[static_cast<std::size_t>(row)] = row / 7;
    places.index_in_row[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(row % 7);
  }
  const DropoutKey key = key_of(places, 0.3, kHidden);
  const auto x = normals<float>(kRows * kHidden, 1);
  const auto residual = normals<float>(kRows * kHidden, 2);
  const auto bias = normals<float>(kHidden, 3);
  expect_same_bits_on_any_threads([&] {
    std::vector<float> y(kRows * kHidden);
    dropout_add<float>(residual.data(), x.data(), bias.data(), &key, y.data(), kRows, kHidden);
    std::vector<float> dx(kRows * kHidden);
    dropout_backward<float>(x.data(), &key, dx.data(), kRows, kHidden);
    y.insert(y.end(), dx.begin(), dx.end());
    return y;
  });
}

TEST(DropoutWithoutKeyTest, AddsOnly) {
  const std::vector<float> x = {1.0F, 2.0F}, residual = {10.0F, 20.0F};
  std::vector<float> y(2);
  dropout_add<float>(residual.data(), x.data(), nullptr, nullptr, y.data(), 1, 2);
  EXPECT_EQ(y, (std::vector<float>{11.0F, 22.0F}));
}

TEST(DropoutChecksTest, ProbabilitiesOutsideTheRangeAreErrors) {
  const Places places;
  float x = 1.0F;
  for (const double p : {-0.1, 1.0, 1.5, static_cast<double>(NAN)}) {
    const DropoutKey key = key_of(places, p, 1);
    EXPECT_THROW(dropout_add<float>(nullptr, &x, nullptr, &key, &x, 1, 1), Error) << p;
  }
}

}  // namespace
}  // namespace cloze
