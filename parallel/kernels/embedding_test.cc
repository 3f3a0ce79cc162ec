// Tests of the embedding kernels.
#include "parallel/kernels/embedding.h"

#include "parallel/kernels/test_arrays.h"

namespace cloze {
namespace {

template <class T>
class EmbeddingTest : public testing::Test {};
using StorageTypes = testing::Types<double, float, BFloat16, Float16>;
TYPED_TEST_SUITE(EmbeddingTest, StorageTypes);

constexpr std::int64_t kFirst = 5;
constexpr std::int64_t kRows = 7;

// Inside the shard, twice the same, at its edges, outside on both sides.
std::vector<std::int32_t> some_ids() { return {5, 11, 4, 12, 8, 8, 0, 8, 5}; }

TYPED_TEST(EmbeddingTest, GivesTheRowOrZerosOutsideTheShard) {
  using T = TypeParam;
  using A = Accumulator<T>;
  const auto ids = some_ids();
  const auto n = static_cast<std::int64_t>(ids.size());
  for (const std::int64_t hidden : {1, 3, 17, 65, 1000}) {
    const auto table = normals<T>(kRows * hidden, 1);
    const auto before = normals<T>(n * hidden, 2);
    auto out = poisoned<T>(n * hidden);
    auto sum = before;
    embedding_forward<T>(table.data(), kFirst, kRows, ids.data(), out.data(), n, hidden, false);
    embedding_forward<T>(table.data(), kFirst, kRows, ids.data(), sum.data(), n, hidden, true);
    std::vector<T> expected(n * hidden), expected_sum = before;
    for (std::int64_t i = 0; i < n * hidden; ++i) {
      const std::int64_t row = ids[i / hidden] - kFirst;
      if (row < 0 || row >= kRows) continue;
      expected[i] = table[row * hidden + i % hidden];
      expected_sum[i] = static_cast<T>(static_cast<A>(before[i]) + static_cast<A>(expected[i]));
    }
    EXPECT_TRUE(same_bits(out, expected)) << hidden;
    EXPECT_TRUE(same_bits(sum, expected_sum)) << hidden;
  }
}

TYPED_TEST(EmbeddingTest, GradientAddsTokensInOrder) {
  using T = TypeParam;
  using A = Accumulator<T>;
  const auto ids = some_ids();
  const auto n = static_cast<std::int64_t>(ids.size());
  for (const std::int64_t hidden : {1, 3, 17, 65, 1000}) {
    const auto dout = normals<T>(n * hidden, 1);
    std::vector<A> expected(kRows * hidden, A{3}), actual = expected;
    for (std::int64_t i = 0; i < n * hidden; ++i) {
      const std::int64_t row = ids[i / hidden] - kFirst;
      if (row < 0 || row >= kRows) continue;
      expected[row * hidden + i % hidden] += static_cast<A>(dout[i]);
    }
    embedding_backward<T>(dout.data(), ids.data(), kFirst, kRows, actual.data(), n, hidden);
    EXPECT_TRUE(same_bits(actual, expected)) << hidden;
  }
}

TEST(EmbeddingShardTest, AnEmptyShardGivesZeros) {
  const std::int32_t id = 3;
  std::vector<float> out(4, 9.0F);
  embedding_forward<float>(nullptr, 0, 0, &id, out.data(), 1, 4, false);
  EXPECT_EQ(out, std::vector<float>(4, 0.0F));
  embedding_backward<float>(out.data(), &id, 0, 0, nullptr, 1, 4);
}

TEST(EmbeddingThreadsTest, BitsDoNotDependOnThreads) {
  const std::int64_t n = 400;
  const std::int64_t hidden = 333;
  std::vector<std::int32_t> ids(n);
  for (std::int64_t i = 0; i < n; ++i) ids[i] = static_cast<std::int32_t>(i * 7 % 10);
  const auto dout = normals<float>(n * hidden, 1);
  expect_same_bits_on_any_threads([&] {
    std::vector<float> dtable(10 * hidden);
    embedding_backward<float>(dout.data(), ids.data(), 0, 10, dtable.data(), n, hidden);
    return dtable;
  });
}

}  // namespace
}  // namespace cloze
