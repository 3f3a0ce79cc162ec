// Tests of rotary position embedding against complex rotation in double.
#include "parallel/kernels/rotary.h"

#include <complex>

#include "parallel/base/check.h"
#include "parallel/kernels/test_arrays.h"

namespace cloze {
namespace {

template <class T>
class RotaryTest : public testing::Test {};
using StorageTypes = testing::Types<double, float, BFloat16, Float16>;
TYPED_TEST_SUITE(RotaryTest, StorageTypes);

constexpr std::int64_t kTokens = 9;
constexpr std::int64_t kHeads = 3;

TYPED_TEST(RotaryTest, TurnsPairsByTheirAngleAndLeavesTheRest) {
  using T = TypeParam;
  using A = Accumulator<T>;
  for (const std::int64_t head_dim : {8, 40, 128}) {
    for (const std::int64_t rotary_dim : {std::int64_t{0}, head_dim / 2, head_dim}) {
      const RotaryTable<A> table(10000.0, rotary_dim, 100);
      const std::int64_t stride = kHeads * head_dim + 7;
      const auto before = normals<T>(kTokens * stride, 1);
      std::vector<std::int32_t> positions;
      for (std::int64_t t = 0; t < kTokens; ++t) {
        positions.push_back(static_cast<std::int32_t>(t * 11 % 100));
      }
      for (const bool interleaved : {false, true}) {
        for (const bool inverse : {false, true}) {
          auto x = before;
          rotary<T>(x.data(), stride, kTokens, kHeads, head_dim, rotary_dim, positions.data(),
                    table.cos.data(), table.sin.data(), interleaved, inverse);
          auto expected = doubles(before);
          for (std::int64_t t = 0; t < kTokens; ++t) {
            for (std::int64_t head = 0; head < kHeads; ++head) {
              double* row = &expected[t * stride + head * head_dim];
              for (std::int64_t i = 0; i < rotary_dim / 2; ++i) {
                double& a = row[interleaved ? 2 * i : i];
                double& b = row[interleaved ? 2 * i + 1 : i + rotary_dim / 2];
                const double angle = (inverse ? -1.0 : 1.0) * positions[t] *
                                     std::pow(10000.0, -2.0 * static_cast<double>(i) / rotary_dim);
                const std::complex<double> turned =
                    std::complex<double>(a, b) * std::polar(1.0, angle);
                a = turned.real();
                b = turned.imag();
              }
            }
          }
          expect_close(x, expected, tolerance<T>());
        }
      }
    }
  }
}

TEST(RotaryInverseTest, UndoesTheForwardTurn) {
  const auto before = normals<double>(kTokens * 64, 1);
  std::vector<std::int32_t> positions(kTokens, 77);
  const RotaryTable<double> table(5e6, 32, 100);
  for (const bool interleaved : {false, true}) {
    auto x = before;
    for (const bool inverse : {false, true}) {
      rotary<double>(x.data(), 64, kTokens, 1, 64, 32, positions.data(), table.cos.data(),
                     table.sin.data(), interleaved, inverse);
    }
    expect_close(x, before, 1e-14);
  }
}

TEST(RotaryThreadsTest, BitsDoNotDependOnThreads) {
  const std::int64_t n = 500;
  std::vector<std::int32_t> positions(n, 13);
  const RotaryTable<float> table(10000.0, 64, 20);
  expect_same_bits_on_any_threads([&] {
    auto x = normals<float>(n * 128, 1);
    rotary<float>(x.data(), 128, n, 1, 128, 64, positions.data(), table.cos.data(),
                  table.sin.data(), true, false);
    return x;
  });
}

TEST(RotaryChecksTest, WidthsThatDoNotFitAreErrors) {
  EXPECT_THROW(RotaryTable<float>(10000.0, 7, 3), Error);
  float x[8] = {};
  const std::int32_t position = 0;
  EXPECT_THROW(rotary<float>(x, 8, 1, 1, 8, 10, &position, x, x, false, false), Error);
}

}  // namespace
}  // namespace cloze
