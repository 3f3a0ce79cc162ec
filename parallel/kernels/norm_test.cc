// Tests of RMSNorm and LayerNorm against their definitions in double.
#include "parallel/kernels/norm.h"

#include "parallel/kernels/test_arrays.h"

namespace cloze {
namespace {

template <class T>
class NormTest : public testing::Test {};
using StorageTypes = testing::Types<double, float, BFloat16, Float16>;
TYPED_TEST_SUITE(NormTest, StorageTypes);

constexpr std::int64_t kWidths[] = {1, 3, 17, 63, 65, 1000};

// y of one row; LayerNorm when `center`.
template <class T>
std::vector<double> reference_row(const T* x, const T* weight, const T* bias, std::int64_t hidden,
                                  double eps, bool center) {
  double mean = 0.0;
  for (std::int64_t i = 0; center && i < hidden; ++i) mean += to_double(x[i]) / hidden;
  double square = 0.0;
  for (std::int64_t i = 0; i < hidden; ++i) square += std::pow(to_double(x[i]) - mean, 2) / hidden;
  const double rstd = 1.0 / std::sqrt(square + eps);
  std::vector<double> y(hidden);
  for (std::int64_t i = 0; i < hidden; ++i) {
    const double normed = (to_double(x[i]) - mean) * rstd;
    const double shift = center ? to_double(bias[i]) : 0.0;
    y[i] = (center ? normed : rounded<T>(normed)) * to_double(weight[i]) + shift;
  }
  return y;
}

TYPED_TEST(NormTest, ForwardFollowsTheDefinition) {
  using T = TypeParam;
  using A = Accumulator<T>;
  const std::int64_t n = 5;
  for (const std::int64_t hidden : kWidths) {
    const auto x = normals<T>(n * hidden, 1);
    const auto weight = normals<T>(hidden, 2);
    const auto bias = normals<T>(hidden, 3);
    auto y = poisoned<T>(n * hidden);
    auto mean = poisoned<A>(n);
    auto rstd = poisoned<A>(n);
    for (const bool center : {false, true}) {
      if (center) {
        layer_norm_forward<T>(x.data(), weight.data(), bias.data(), y.data(), mean.data(),
                              rstd.data(), n, hidden, 1e-5);
      } else {
        rms_norm_forward<T>(x.data(), weight.data(), y.data(), rstd.data(), n, hidden, 1e-5);
      }
      std::vector<double> expected;
      for (std::int64_t row = 0; row < n; ++row) {
        append(expected, reference_row(x.data() + row * hidden, weight.data(), bias.data(), hidden,
                                       1e-5, center));
      }
      // A row of one element has variance 0, which divides by sqrt(eps).
      expect_close(y, expected, tolerance<T>() * (hidden == 1 ? 400 : 1));
    }
  }
}

TYPED_TEST(NormTest, FusedSumHasTheBitsOfTheUnfusedPair) {
  using T = TypeParam;
  using A = Accumulator<T>;
  const std::int64_t n = 7;
  const std::int64_t hidden = 65;
  const auto x = normals<T>(n * hidden, 1);
  const auto delta = normals<T>(n * hidden, 2);
  const auto weight = normals<T>(hidden, 3);
  const auto bias = normals<T>(hidden, 4);
  std::vector<T> sum(n * hidden);
  for (std::int64_t i = 0; i < n * hidden; ++i) {
    sum[i] = static_cast<T>(static_cast<A>(x[i]) + static_cast<A>(delta[i]));
  }
  std::vector<A> mean(n), rstd(n), rstd_alone(n);
  auto y = poisoned<T>(n * hidden);
  auto y_alone = poisoned<T>(n * hidden);
  auto sum_out = poisoned<T>(n * hidden);
  rms_norm_forward<T>(sum.data(), weight.data(), y_alone.data(), rstd_alone.data(), n, hidden,
                      1e-6);
  rms_norm_forward<T>(x.data(), weight.data(), y.data(), rstd.data(), n, hidden, 1e-6, delta.data(),
                      sum_out.data());
  EXPECT_TRUE(same_bits(sum, sum_out));
  EXPECT_TRUE(same_bits(y, y_alone));
  EXPECT_TRUE(same_bits(rstd, rstd_alone));
  layer_norm_forward<T>(sum.data(), weight.data(), bias.data(), y_alone.data(), mean.data(),
                        rstd_alone.data(), n, hidden, 1e-6);
  auto in_place = x;
  layer_norm_forward<T>(in_place.data(), weight.data(), bias.data(), y.data(), mean.data(),
                        rstd.data(), n, hidden, 1e-6, delta.data(), in_place.data());
  EXPECT_TRUE(same_bits(sum, in_place));
  EXPECT_TRUE(same_bits(y, y_alone));
}

// Runs forward and backward; all outputs, dweight and dbias starting at 1.
template <class T>
struct Gradients {
  std::vector<T> dx;
  std::vector<Accumulator<T>> dweight, dbias;
};

template <class T>
Gradients<T> gradients(bool center, std::int64_t n, std::int64_t hidden, const T* dresidual) {
  using A = Accumulator<T>;
  const auto x = normals<T>(n * hidden, 1);
  const auto weight = normals<T>(hidden, 2);
  const auto bias = normals<T>(hidden, 3);
  const auto dy = normals<T>(n * hidden, 4);
  std::vector<T> y(n * hidden);
  std::vector<A> mean(n), rstd(n);
  Gradients<T> result{poisoned<T>(n * hidden), std::vector<A>(hidden, 1),
                      std::vector<A>(hidden, 1)};
  if (center) {
    layer_norm_forward<T>(x.data(), weight.data(), bias.data(), y.data(), mean.data(), rstd.data(),
                          n, hidden, 1e-5);
    layer_norm_backward<T>(dy.data(), x.data(), weight.data(), mean.data(), rstd.data(),
                           result.dx.data(), result.dweight.data(), result.dbias.data(), n, hidden,
                           dresidual);
  } else {
    rms_norm_forward<T>(x.data(), weight.data(), y.data(), rstd.data(), n, hidden, 1e-5);
    rms_norm_backward<T>(dy.data(), x.data(), weight.data(), rstd.data(), result.dx.data(),
                         result.dweight.data(), n, hidden, dresidual);
  }
  return result;
}

TEST(NormBackwardTest, EqualsFiniteDifferencesInDouble) {
  const std::int64_t n = 3;
  for (const std::int64_t hidden : {3, 17}) {
    const auto x = normals<double>(n * hidden, 1);
    const auto weight = normals<double>(hidden, 2);
    const auto bias = normals<double>(hidden, 3);
    const auto dy = normals<double>(n * hidden, 4);
    for (const bool center : {false, true}) {
      const auto loss = [&](const std::vector<double>& at_x, const std::vector<double>& at_weight) {
        double total = 0.0;
        for (std::int64_t row = 0; row < n; ++row) {
          const auto y = reference_row(at_x.data() + row * hidden, at_weight.data(), bias.data(),
                                       hidden, 1e-5, center);
          for (std::int64_t i = 0; i < hidden; ++i) total += y[i] * dy[row * hidden + i];
        }
        return total;
      };
      const auto actual = gradients<double>(center, n, hidden, nullptr);
      const double step =
          1e-5;  // Central differences err by step^2 times a third derivative of some 100.
      for (std::int64_t i = 0; i < n * hidden; ++i) {
        auto more = x, less = x;
        more[i] += step;
        less[i] -= step;
        EXPECT_NEAR(actual.dx[i], (loss(more, weight) - loss(less, weight)) / (2 * step), 1e-7);
      }
      for (std::int64_t i = 0; i < hidden; ++i) {
        auto more = weight, less = weight;
        more[i] += step;
        less[i] -= step;
        EXPECT_NEAR(actual.dweight[i] - 1, (loss(x, more) - loss(x, less)) / (2 * step), 1e-7);
        double sum = 0.0;
        for (std::int64_t row = 0; row < n; ++row) sum += dy[row * hidden + i];
        EXPECT_NEAR(actual.dbias[i] - 1, center ? sum : 0.0, 1e-12);
      }
    }
  }
}

TYPED_TEST(NormTest, BackwardFollowsTheFormulaOverManyChunksOfRows) {
  using T = TypeParam;
  const std::int64_t n = 150;
  for (const std::int64_t hidden : kWidths) {
    if (hidden == 1) continue;  // The gradient is 0 up to rounding over sqrt(eps).
    const auto x = doubles(normals<T>(n * hidden, 1));
    const auto weight = doubles(normals<T>(hidden, 2));
    const auto dy = doubles(normals<T>(n * hidden, 4));
    for (const bool center : {false, true}) {
      std::vector<double> dx(n * hidden), dweight(hidden, 1.0);
      for (std::int64_t row = 0; row < n; ++row) {
        const double* xs = &x[row * hidden];
        const double* dys = &dy[row * hidden];
        double mean = 0.0, square = 0.0, along = 0.0, average = 0.0;
        for (std::int64_t i = 0; center && i < hidden; ++i) mean += xs[i] / hidden;
        for (std::int64_t i = 0; i < hidden; ++i) square += std::pow(xs[i] - mean, 2) / hidden;
        const double rstd = 1.0 / std::sqrt(square + 1e-5);
        for (std::int64_t i = 0; i < hidden; ++i) {
          along += dys[i] * weight[i] * (xs[i] - mean) * rstd / hidden;
          if (center) average += dys[i] * weight[i] / hidden;
        }
        for (std::int64_t i = 0; i < hidden; ++i) {
          const double normed = (xs[i] - mean) * rstd;
          dx[row * hidden + i] = rstd * (dys[i] * weight[i] - average - normed * along);
          dweight[i] += dys[i] * (center ? normed : rounded<T>(normed));
        }
      }
      const auto actual = gradients<T>(center, n, hidden, nullptr);
      // A narrow row may have a small variance, which its gradient divides by.
      const double factor = hidden < 10 ? 30 : 2;
      expect_close(actual.dx, dx, factor * tolerance<T>());
      expect_close(
          actual.dweight, dweight,
          10 * tolerance<Accumulator<T>>() * factor + (sizeof(T) == 2 && !center ? 0.02 : 0.0));
    }
  }
}

TYPED_TEST(NormTest, ResidualGradientIsAddedAfterRounding) {
  using T = TypeParam;
  using A = Accumulator<T>;
  const std::int64_t n = 9;
  const std::int64_t hidden = 33;
  const auto dresidual = normals<T>(n * hidden, 5);
  for (const bool center : {false, true}) {
    const auto alone = gradients<T>(center, n, hidden, nullptr);
    const auto fused = gradients<T>(center, n, hidden, dresidual.data());
    std::vector<T> expected(n * hidden);
    for (std::int64_t i = 0; i < n * hidden; ++i) {
      expected[i] = static_cast<T>(static_cast<A>(alone.dx[i]) + static_cast<A>(dresidual[i]));
    }
    EXPECT_TRUE(same_bits(fused.dx, expected));
    EXPECT_TRUE(same_bits(fused.dweight, alone.dweight));
  }
}

TEST(NormThreadsTest, BitsDoNotDependOnThreads) {
  for (const bool center : {false, true}) {
    expect_same_bits_on_any_threads([&] {
      auto result = gradients<float>(center, 300, 257, nullptr);
      append(result.dx, result.dweight);
      append(result.dx, result.dbias);
      return result.dx;
    });
  }
}

TEST(NormNoRowsTest, NoRowsLeaveEverythingAlone) {
  float weight = 1.0F, dweight = 2.0F;
  rms_norm_forward<float>(nullptr, &weight, nullptr, nullptr, 0, 1, 1e-5);
  rms_norm_backward<float>(nullptr, nullptr, &weight, nullptr, nullptr, &dweight, 0, 1);
  EXPECT_EQ(dweight, 2.0F);
}

}  // namespace
}  // namespace cloze
