// Tests of the bias kernels against their definitions in double.
#include "parallel/kernels/bias.h"

#include "parallel/kernels/test_arrays.h"

namespace cloze {
namespace {

template <class T>
class BiasTest : public testing::Test {};
using StorageTypes = testing::Types<double, float, BFloat16, Float16>;
TYPED_TEST_SUITE(BiasTest, StorageTypes);

TYPED_TEST(BiasTest, IsAddedToEveryRowAndRoundedOnce) {
  using T = TypeParam;
  for (const std::int64_t f : {1, 3, 17, 63, 65, 1000}) {
    auto x = normals<T>(3 * f, 1);
    const auto bias = normals<T>(f, 2);
    std::vector<T> expected(3 * f);
    for (std::int64_t i = 0; i < 3 * f; ++i) {
      expected[i] = static_cast<T>(static_cast<Accumulator<T>>(x[i]) +
                                   static_cast<Accumulator<T>>(bias[i % f]));
    }
    add_bias<T>(x.data(), bias.data(), 3, f);
    EXPECT_TRUE(same_bits(x, expected)) << f;
  }
}

TYPED_TEST(BiasTest, GradientAddsTheColumnSums) {
  using T = TypeParam;
  using A = Accumulator<T>;
  for (const std::int64_t n : {0, 1, 63, 300}) {
    for (const std::int64_t f : {1, 3, 17, 65, 1000}) {
      const auto dy = normals<T>(n * f, 1);
      std::vector<A> dbias(f, A{2});
      bias_gradient<T>(dy.data(), dbias.data(), n, f);
      std::vector<double> expected(f, 2.0);
      for (std::int64_t i = 0; i < n * f; ++i) expected[i % f] += to_double(dy[i]);
      expect_close(dbias, expected, tolerance<A>());
    }
  }
}

TEST(BiasThreadsTest, BitsDoNotDependOnThreads) {
  const auto dy = normals<float>(300 * 1700, 1);
  expect_same_bits_on_any_threads([&] {
    std::vector<float> dbias(1700);
    bias_gradient<float>(dy.data(), dbias.data(), 300, 1700);
    return dbias;
  });
}

}  // namespace
}  // namespace cloze
