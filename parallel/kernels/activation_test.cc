// Tests of SwiGLU and GELU against their definitions in double.
#include "parallel/kernels/activation.h"

#include "parallel/kernels/bias.h"
#include "parallel/kernels/test_arrays.h"

namespace cloze {
namespace {

template <class T>
class ActivationTest : public testing::Test {};
using StorageTypes = testing::Types<double, float, BFloat16, Float16>;
TYPED_TEST_SUITE(ActivationTest, StorageTypes);

constexpr std::int64_t kWidths[] = {1, 3, 17, 63, 65, 1000};

double gelu(double x) {
  return 0.5 * x * (1.0 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

double gelu_slope(double x) {
  const double t = std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x));
  return 0.5 * (1.0 + t) +
         0.5 * x * (1.0 - t * t) * 0.7978845608028654 * (1.0 + 3.0 * 0.044715 * x * x);
}

TYPED_TEST(ActivationTest, SwigluFollowsTheDefinition) {
  using T = TypeParam;
  const std::int64_t n = 4;
  for (const std::int64_t f : kWidths) {
    const auto gate_up = normals<T>(n * 2 * f, 1, 3.0);
    const auto dout = normals<T>(n * f, 2);
    auto out = poisoned<T>(n * f);
    auto dgate_up = poisoned<T>(n * 2 * f);
    swiglu_forward<T>(gate_up.data(), out.data(), n, f);
    swiglu_backward<T>(dout.data(), gate_up.data(), dgate_up.data(), n, f);
    std::vector<double> expected(n * f), gradient(n * 2 * f);
    for (std::int64_t row = 0; row < n; ++row) {
      for (std::int64_t i = 0; i < f; ++i) {
        const double gate = to_double(gate_up[row * 2 * f + i]);
        const double up = to_double(gate_up[row * 2 * f + f + i]);
        const double d = to_double(dout[row * f + i]);
        const double s = 1.0 / (1.0 + std::exp(-gate));
        expected[row * f + i] = gate * s * up;
        gradient[row * 2 * f + i] = d * up * s * (1.0 + gate * (1.0 - s));
        gradient[row * 2 * f + f + i] = d * gate * s;
      }
    }
    expect_close(out, expected, tolerance<T>());
    expect_close(dgate_up, gradient, tolerance<T>());
  }
}

TYPED_TEST(ActivationTest, GeluFollowsTheDefinition) {
  using T = TypeParam;
  const std::int64_t n = 4;
  for (const std::int64_t f : kWidths) {
    const auto x = normals<T>(n * f, 1, 3.0);
    const auto bias = normals<T>(f, 2);
    const auto dout = normals<T>(n * f, 3);
    for (const bool with_bias : {false, true}) {
      const T* b = with_bias ? bias.data() : nullptr;
      auto out = poisoned<T>(n * f);
      auto dx = poisoned<T>(n * f);
      gelu_forward<T>(x.data(), b, out.data(), n, f);
      gelu_backward<T>(dout.data(), x.data(), b, dx.data(), n, f);
      std::vector<double> expected(n * f), gradient(n * f);
      for (std::int64_t i = 0; i < n * f; ++i) {
        const double shift = with_bias ? to_double(bias[i % f]) : 0.0;
        const double h = rounded<T>(to_double(x[i]) + shift);
        expected[i] = gelu(h);
        gradient[i] = to_double(dout[i]) * gelu_slope(h);
      }
      expect_close(out, expected, tolerance<T>());
      expect_close(dx, gradient, tolerance<T>());
    }
  }
}

TYPED_TEST(ActivationTest, GeluWithBiasHasTheBitsOfTheUnfusedPair) {
  using T = TypeParam;
  const std::int64_t n = 3;
  const std::int64_t f = 77;
  auto x = normals<T>(n * f, 1, 3.0);
  const auto bias = normals<T>(f, 2);
  auto fused = poisoned<T>(n * f);
  auto unfused = poisoned<T>(n * f);
  gelu_forward<T>(x.data(), bias.data(), fused.data(), n, f);
  add_bias<T>(x.data(), bias.data(), n, f);
  gelu_forward<T>(x.data(), nullptr, unfused.data(), n, f);
  EXPECT_TRUE(same_bits(fused, unfused));
}

TEST(ActivationExtremesTest, LargeInputsSaturateAndNansStay) {
  const std::vector<float> x = {-1e30F, -200.0F, 200.0F, 1e30F, NAN};
  const std::vector<float> ones(5, 1.0F);
  std::vector<float> out(5), dx(5);
  gelu_forward<float>(x.data(), nullptr, out.data(), 1, 5);
  gelu_backward<float>(ones.data(), x.data(), nullptr, dx.data(), 1, 5);
  EXPECT_EQ(out[0], 0.0F);
  EXPECT_EQ(out[1], 0.0F);
  EXPECT_EQ(out[2], 200.0F);
  EXPECT_EQ(out[3], 1e30F);
  EXPECT_EQ(dx[0], 0.0F);
  EXPECT_EQ(dx[3], 1.0F);
  EXPECT_TRUE(std::isnan(out[4]));
  EXPECT_TRUE(std::isnan(dx[4]));
  const std::vector<float> gate_up = {-1e30F, 1e30F, NAN, 2.0F, 2.0F, 2.0F};
  swiglu_forward<float>(gate_up.data(), out.data(), 1, 3);
  EXPECT_EQ(out[0], 0.0F);
  EXPECT_EQ(out[1], 2e30F);
  EXPECT_TRUE(std::isnan(out[2]));
}

TEST(ActivationPlaceTest, AnElementHasTheSameBitsWhereverItStands) {
  const std::int64_t n = 40;
  const auto x = normals<float>(n, 1);
  std::vector<float> whole(n);
  gelu_forward<float>(x.data(), nullptr, whole.data(), 1, n);
  for (std::int64_t i = 0; i < n; ++i) {
    float alone = 0.0F;
    gelu_forward<float>(&x[i], nullptr, &alone, 1, 1);
    EXPECT_EQ(alone, whole[i]);
  }
}

TEST(ActivationThreadsTest, BitsDoNotDependOnThreads) {
  const std::int64_t n = 100;
  const std::int64_t f = 333;
  const auto gate_up = normals<float>(n * 2 * f, 1);
  expect_same_bits_on_any_threads([&] {
    std::vector<float> out(n * f);
    swiglu_forward<float>(gate_up.data(), out.data(), n, f);
    std::vector<float> gradient(n * 2 * f);
    swiglu_backward<float>(out.data(), gate_up.data(), gradient.data(), n, f);
    append(out, gradient);
    return out;
  });
}

}  // namespace
}  // namespace cloze
