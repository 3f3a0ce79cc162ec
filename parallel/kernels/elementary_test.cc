// Measures exp and sigmoid on packs against the C library in a wider type.
#include "parallel/kernels/elementary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "parallel/kernels/transpose.h"

namespace cloze {
namespace {

// In units of the last place of `exact` as an A, subnormals included.
template <class A>
double ulps(A actual, long double exact) {
  const A nearest = static_cast<A>(exact);
  const A above = std::nextafter(std::abs(nearest), std::numeric_limits<A>::infinity());
  const long double ulp = static_cast<long double>(above) - std::abs(nearest);
  return static_cast<double>(std::abs(actual - exact) / ulp);
}

// Of a pack of x, its last lane.
template <class A, class Function>
A last_lane(A x, Function function) {
  using P = Pack<A, CompiledSet>;
  A result[P::kLanes];
  store(result, function(P(x)));
  return result[P::kLanes - 1];
}

template <class A>
A exp_of(A x) {
  return last_lane(x, [](auto pack) { return exp(pack); });
}

template <class A>
A exp_or_zero_of(A x) {
  return last_lane(x, [](auto pack) { return exp_or_zero(pack); });
}

template <class A>
double worst_exp(A first, A last, int steps) {
  double worst = 0.0;
  for (int step = 0; step < steps; ++step) {
    const A x = first + (last - first) * static_cast<A>(step) / static_cast<A>(steps);
    worst = std::max(worst, ulps(exp_of(x), std::exp(static_cast<long double>(x))));
  }
  return worst;
}

TEST(ElementaryTest, ExpErrsByLessThanOneUnitInTheLastPlace) {
  EXPECT_LT(worst_exp<float>(-87.0F, 88.7F, 1'000'000), 1.0);
  EXPECT_LT(worst_exp<float>(-1.0F, 1.0F, 300'000), 1.0);
  EXPECT_LT(worst_exp<float>(-104.0F, -87.0F, 100'000), 1.0);  // Subnormal results.
  EXPECT_LT(worst_exp<double>(-708.0, 709.7, 300'000), 1.0);
  EXPECT_LT(worst_exp<double>(-1.0, 1.0, 300'000), 1.0);
  EXPECT_LT(worst_exp<double>(-745.0, -708.0, 30'000), 1.0);
}

TEST(ElementaryTest, ExpEndsInZeroAndInfinityAndKeepsNans) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(exp_of(0.0F), 1.0F);
  EXPECT_EQ(exp_of(-infinity), 0.0F);
  EXPECT_EQ(exp_of(-1e30F), 0.0F);
  EXPECT_EQ(exp_of(88.73F), infinity);
  EXPECT_EQ(exp_of(infinity), infinity);
  EXPECT_TRUE(std::isnan(exp_of(NAN)));
  EXPECT_EQ(exp_of(-static_cast<double>(infinity)), 0.0);
  EXPECT_EQ(exp_of(709.79), static_cast<double>(infinity));
  EXPECT_TRUE(std::isnan(exp_of(static_cast<double>(NAN))));
}

template <class A>
void expect_exp_or_zero(A lowest, A highest) {
  const int steps = 100'000;
  for (int step = 0; step <= steps; ++step) {
    const A x = lowest + (highest - lowest) * static_cast<A>(step) / static_cast<A>(steps);
    ASSERT_EQ(exp_or_zero_of(x), exp_of(x)) << x;
    ASSERT_GE(exp_or_zero_of(x), std::numeric_limits<A>::min()) << x;
  }
  const A infinity = std::numeric_limits<A>::infinity();
  for (const A below : {std::nextafter(lowest, -infinity), 2 * lowest, A{-1e30F}, -infinity}) {
    EXPECT_EQ(exp_or_zero_of(below), A{0}) << below;
  }
  EXPECT_TRUE(std::isnan(exp_or_zero_of(std::numeric_limits<A>::quiet_NaN())));
}

TEST(ElementaryTest, ExpOrZeroIsExpWithoutSubnormals) {
  expect_exp_or_zero(-87.0F, 88.0F);
  expect_exp_or_zero(-708.0, 709.0);
}

TEST(ElementaryTest, SigmoidErrsByLessThanThreeUnitsInTheLastPlace) {
  using P = Pack<float, CompiledSet>;
  double worst = 0.0;
  for (int thousandths = -80'000; thousandths < 80'000; ++thousandths) {
    const float x = 0.001F * static_cast<float>(thousandths);
    float result[P::kLanes];
    store(result, sigmoid(P(x)));
    worst =
        std::max(worst, ulps(result[0], 1.0L / (1.0L + std::exp(-static_cast<long double>(x)))));
  }
  EXPECT_LT(worst, 3.0);
}

template <class A>
void expect_transposed() {
  using Vector = Register<A, CompiledSet>::Floats;
  constexpr int kLanes = sizeof(Vector) / sizeof(A);
  Vector square[kLanes];
  for (int row = 0; row < kLanes; ++row) {
    for (int column = 0; column < kLanes; ++column) {
      square[row][column] = static_cast<A>(100 * row + column);
    }
  }
  transpose(square);
  for (int row = 0; row < kLanes; ++row) {
    for (int column = 0; column < kLanes; ++column) {
      EXPECT_EQ(square[row][column], static_cast<A>(100 * column + row)) << row << ", " << column;
    }
  }
}

// Of AVX-512's vectors attention's tests tell.
TEST(TransposeTest, RowsBecomeColumns) {
  expect_transposed<float>();
  expect_transposed<double>();
}

TEST(PackTest, TailsLoadZerosAndStoreNoFurther) {
  using P = Pack<float, CompiledSet>;
  const std::vector<float> from = {1.0F, 2.0F, 3.0F};
  std::vector<float> to = {9.0F, 9.0F, 9.0F, 9.0F};
  const P pack = load<P>(from.data(), Tail{3});
  EXPECT_EQ(sum(pack), 6.0F);
  store(to.data(), pack * P(2.0F), Tail{2});
  EXPECT_EQ(to, (std::vector<float>{2.0F, 4.0F, 9.0F, 9.0F}));
  EXPECT_EQ(sum(keep(P(1.0F), Tail{5})), 5.0F);
  EXPECT_EQ(max(keep(P(1.0F), Tail{5}, 7.0F)), 7.0F);
}

}  // namespace
}  // namespace cloze
