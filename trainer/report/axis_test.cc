// Ticks and the writing of numbers.
#include "trainer/report/axis.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>

namespace cloze {
namespace {

using Labels = std::vector<std::string>;

TEST(AxisTest, TicksStandAtNiceNumbers) {
  EXPECT_EQ(linear_axis(0, 300, 6, Unit::kNumber, true).labels,
            (Labels{"0", "50", "100", "150", "200", "250", "300"}));
  EXPECT_EQ(linear_axis(3.17, 9.02, 4, Unit::kNumber, true).labels,
            (Labels{"2", "4", "6", "8", "10"}));
  EXPECT_EQ(linear_axis(0, 2e-3, 4, Unit::kNumber, true).labels,
            (Labels{"0", "0.0005", "0.0010", "0.0015", "0.0020"}));
  EXPECT_EQ(linear_axis(0, 3e-4, 3, Unit::kNumber, true).labels,
            (Labels{"0", "1e-4", "2e-4", "3e-4"}));
  EXPECT_EQ(linear_axis(0, 1e6, 4, Unit::kNumber, true).labels, (Labels{"0", "0.5M", "1.0M"}));
  EXPECT_EQ(linear_axis(-1, 1, 4, Unit::kNumber, true).labels,
            (Labels{"-1.0", "-0.5", "0", "0.5", "1.0"}));
}

TEST(AxisTest, UnitsHaveTheirOwnWriting) {
  EXPECT_EQ(linear_axis(0, 3e8, 3, Unit::kBytes, true).labels,
            (Labels{"0", "100 MB", "200 MB", "300 MB"}));
  EXPECT_EQ(linear_axis(0, 0.6, 3, Unit::kShare, true).labels,
            (Labels{"0", "20 %", "40 %", "60 %"}));
  EXPECT_EQ(linear_axis(0, 0.03, 3, Unit::kSeconds, true).labels,
            (Labels{"0", "10 ms", "20 ms", "30 ms"}));
  EXPECT_EQ(value_text(14234.6, Unit::kNumber, 3), "14.2k");
  EXPECT_EQ(value_text(3.14159, Unit::kNumber), "3.142");
  EXPECT_EQ(value_text(3, Unit::kNumber), "3");
  EXPECT_EQ(value_text(0.538, Unit::kShare, 3), "53.8 %");
  EXPECT_EQ(value_text(2.5e-7, Unit::kNumber), "2.5e-7");
  EXPECT_EQ(value_text(1234, Unit::kNumber, 3), "1234");
  EXPECT_EQ(value_text(-0.25, Unit::kNumber), "-0.25");
  EXPECT_EQ(value_text(0, Unit::kBytes), "0");
  EXPECT_EQ(value_text(std::nan(""), Unit::kNumber), "not finite");
}

// Whatever the numbers: some ticks, not too many, rising, inside, none named twice.
void expect_sound(const ChartAxis& axis, double low, double high) {
  ASSERT_EQ(axis.ticks.size(), axis.labels.size());
  EXPECT_LE(axis.ticks.size(), 40U);
  EXPECT_LT(axis.low, axis.high);
  EXPECT_LE(axis.low, low + 1e-6 * std::abs(low));
  EXPECT_GE(axis.high, high - 1e-6 * std::abs(high));
  EXPECT_EQ(std::set<std::string>(axis.labels.begin(), axis.labels.end()).size(),
            axis.labels.size());
  for (std::size_t i = 0; i < axis.ticks.size(); ++i) {
    const double place = axis.place(axis.ticks[i]);
    EXPECT_TRUE(place > -1e-6 && place < 1 + 1e-6) << axis.ticks[i];
    if (i > 0) {
      EXPECT_GT(axis.ticks[i], axis.ticks[i - 1]);
    }
  }
}

TEST(AxisTest, AnyRangeHasSoundTicks) {
  std::mt19937_64 random(11);
  std::uniform_real_distribution<double> exponent(-9, 12);
  std::uniform_real_distribution<double> factor(1, 10);
  for (int i = 0; i < 2'000; ++i) {
    const double a = factor(random) * std::pow(10, exponent(random));
    const double b = a * (1 + factor(random) * std::pow(10, exponent(random) / 4));
    SCOPED_TRACE(testing::Message() << a << " to " << b);
    expect_sound(linear_axis(a, b, 5, Unit::kNumber, true), a, b);
    expect_sound(linear_axis(-a, b, 5, Unit::kNumber, true), -a, b);
    expect_sound(log_axis(a, b, 5, Unit::kNumber), a, b);
    EXPECT_GE(linear_axis(a, b, 5, Unit::kNumber, true).ticks.size(), 2U);
  }
}

TEST(AxisTest, OneValueGetsRoomAroundIt) {
  for (const double value : {0.0, 1.0, -3.5, 1e-12, 1e12, 1e300}) {
    SCOPED_TRACE(value);
    expect_sound(linear_axis(value, value, 5, Unit::kNumber, true), value, value);
  }
  expect_sound(log_axis(2, 2, 5, Unit::kNumber), 2, 2);
}

TEST(AxisTest, PowersOfTenAreTheTicksOfALongLogarithmicAxis) {
  EXPECT_EQ(log_axis(0.05, 5000, 5, Unit::kNumber).labels,
            (Labels{"0.1", "1", "10", "100", "1000"}));
  EXPECT_EQ(log_axis(1, 100, 5, Unit::kNumber).labels,
            (Labels{"1", "2", "5", "10", "20", "50", "100"}));
  const ChartAxis axis = log_axis(1, 100, 5, Unit::kNumber);
  EXPECT_DOUBLE_EQ(axis.place(10), 0.5);
  // Less than a decade has linear ticks, at their logarithmic places.
  EXPECT_EQ(log_axis(3.1, 9, 4, Unit::kNumber).labels, (Labels{"4", "6", "8"}));
}

}  // namespace
}  // namespace cloze
