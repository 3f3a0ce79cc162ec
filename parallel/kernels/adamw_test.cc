// Tests of AdamW against a plain loop in double.
#include "parallel/kernels/adamw.h"

#include "parallel/kernels/test_arrays.h"

namespace cloze {
namespace {

AdamWStep step_number(int number) {
  return {.lr = 1e-2,
          .beta1 = 0.9,
          .beta2 = 0.95,
          .eps = 1e-8,
          .weight_decay = 0.1,
          .bias_correction1 = 1.0 - std::pow(0.9, number),
          .bias_correction2 = 1.0 - std::pow(0.95, number),
          .gradient_scale = 0.5};
}

template <class T, class A>
struct State {
  std::vector<A> master, exp_avg, exp_avg_sq;
  std::vector<T> value;
};

template <class T, class A>
State<T, A> ten_steps(std::int64_t n) {
  State<T, A> state{normals<A>(n, 1), std::vector<A>(n), std::vector<A>(n), poisoned<T>(n)};
  for (int number = 1; number <= 10; ++number) {
    const auto gradient = normals<A>(n, 100 + number);
    adamw<T, A>(state.master.data(), state.value.data(), gradient.data(), state.exp_avg.data(),
                state.exp_avg_sq.data(), n, step_number(number));
  }
  return state;
}

template <class T, class A>
void expect_plain_loop(double allowed) {
  for (const std::int64_t n : {1, 3, 17, 63, 65, 1000, 10000}) {
    const auto actual = ten_steps<T, A>(n);
    auto master = doubles(normals<A>(n, 1));
    std::vector<double> m(n), v(n);
    for (int number = 1; number <= 10; ++number) {
      const AdamWStep step = step_number(number);
      const auto gradient = doubles(normals<A>(n, 100 + number));
      for (std::int64_t i = 0; i < n; ++i) {
        const double g = gradient[i] * step.gradient_scale;
        m[i] = 0.9 * m[i] + (1.0 - 0.9) * g;
        v[i] = 0.95 * v[i] + (1.0 - 0.95) * g * g;
        master[i] -= step.lr * (m[i] / step.bias_correction1 /
                                    (std::sqrt(v[i] / step.bias_correction2) + step.eps) +
                                step.weight_decay * master[i]);
      }
    }
    expect_close(actual.master, master, allowed);
    expect_close(actual.exp_avg, m, allowed);
    expect_close(actual.exp_avg_sq, v, allowed);
    std::vector<T> copy;
    copy.reserve(actual.master.size());
    for (const A each : actual.master) copy.push_back(static_cast<T>(each));
    EXPECT_TRUE(same_bits(actual.value, copy));
  }
}

TEST(AdamWTest, TenStepsEqualAPlainLoop) {
  expect_plain_loop<double, double>(1e-13);
  // Ten steps of some ten roundings each.
  expect_plain_loop<float, float>(1e-6);
  expect_plain_loop<BFloat16, float>(1e-6);
  expect_plain_loop<Float16, float>(1e-6);
}

TEST(AdamWTest, ValueMayBeAbsent) {
  float master = 1.0F, exp_avg = 0.0F, exp_avg_sq = 0.0F;
  const float gradient = 1.0F;
  adamw<BFloat16, float>(&master, nullptr, &gradient, &exp_avg, &exp_avg_sq, 1, step_number(1));
  EXPECT_NEAR(master, 1.0 - 1e-2 * (1.0 + 0.1), 1e-6);
}

TEST(AdamWTest, BitsDoNotDependOnThreadsOrOnTheElementsPlace) {
  expect_same_bits_on_any_threads([] { return ten_steps<float, float>(50001).master; });
  const auto whole = ten_steps<float, float>(50);
  for (std::int64_t i = 0; i < 50; ++i) {
    float master = normals<float>(50, 1)[i], exp_avg = 0.0F, exp_avg_sq = 0.0F;
    for (int number = 1; number <= 10; ++number) {
      const auto gradient = normals<float>(50, 100 + number);
      adamw<float, float>(&master, nullptr, &gradient[i], &exp_avg, &exp_avg_sq, 1,
                          step_number(number));
    }
    EXPECT_EQ(master, whole.master[i]);
  }
}

}  // namespace
}  // namespace cloze
