// Tests of the sums of fixed order.
#include "parallel/kernels/sums.h"

#include "parallel/base/check.h"
#include "parallel/kernels/test_arrays.h"

namespace cloze {
namespace {

template <class T>
class SumsTest : public testing::Test {};
using StorageTypes = testing::Types<double, float, BFloat16, Float16>;
TYPED_TEST_SUITE(SumsTest, StorageTypes);

constexpr std::int64_t kSizes[] = {0, 1, 3, 17, 63, 65, 1000, 65536, 200001};

TYPED_TEST(SumsTest, SumOfSquaresIsThatOfDoubles) {
  using T = TypeParam;
  const auto x = normals<T>(200001, 1);
  for (const std::int64_t n : kSizes) {
    double expected = 0.0;
    for (std::int64_t i = 0; i < n; ++i) expected += to_double(x[i]) * to_double(x[i]);
    EXPECT_NEAR(sum_of_squares<T>(x.data(), n), expected, 1e-12 * expected);
  }
}

TYPED_TEST(SumsTest, PartsAreAddedInOrderAndRoundedOnce) {
  using T = TypeParam;
  using A = Accumulator<T>;
  for (const std::int64_t n : {1, 3, 17, 63, 65, 1000, 10000}) {
    const auto a = normals<T>(n, 1), b = normals<T>(n, 2, 1e4), c = normals<T>(n, 3);
    const T* parts[] = {a.data(), b.data(), c.data()};
    auto sum = poisoned<T>(n), largest = poisoned<T>(n);
    ordered_sum<T>(parts, 3, sum.data(), n);
    ordered_max<T>(parts, 3, largest.data(), n);
    std::vector<T> expected(n), expected_largest(n);
    for (std::int64_t i = 0; i < n; ++i) {
      const A x = static_cast<A>(a[i]), y = static_cast<A>(b[i]), z = static_cast<A>(c[i]);
      expected[i] = static_cast<T>((x + y) + z);
      expected_largest[i] = static_cast<T>(std::max({x, y, z}));
    }
    EXPECT_TRUE(same_bits(sum, expected));
    EXPECT_TRUE(same_bits(largest, expected_largest));
  }
}

TEST(OrderedSumTest, OutMayBeAPart) {
  std::vector<float> a = {1.0F, 2.0F};
  const std::vector<float> b = {10.0F, 20.0F};
  const float* parts[] = {b.data(), a.data()};
  ordered_sum<float>(parts, 2, a.data(), 2);
  EXPECT_EQ(a, (std::vector<float>{11.0F, 22.0F}));
}

TEST(OrderedMaxTest, ANanInAnyPartWins) {
  for (const int place : {0, 1, 2}) {
    std::vector<std::vector<float>> values = {{1.0F}, {3.0F}, {2.0F}};
    values[place][0] = NAN;
    const float* parts[] = {values[0].data(), values[1].data(), values[2].data()};
    float out = 0.0F;
    ordered_max<float>(parts, 3, &out, 1);
    EXPECT_TRUE(std::isnan(out)) << place;
  }
}

TEST(OrderedSumTest, NoPartsAreAnError) {
  float out = 0.0F;
  EXPECT_THROW(ordered_sum<float>(nullptr, 0, &out, 1), Error);
}

TEST(SumsThreadsTest, BitsDoNotDependOnThreads) {
  const auto x = normals<float>(400003, 1);
  expect_same_bits_on_any_threads(
      [&] { return std::vector<double>{sum_of_squares<float>(x.data(), 400003)}; });
}

}  // namespace
}  // namespace cloze
