// Downsampling: what a long run's curve keeps, and how short ones stay exact.
#include "trainer/report/series.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "trainer/report/curve.h"

namespace cloze {
namespace {

TEST(SeriesTest, AShortRunKeepsEveryValue) {
  Series series;
  for (int step = 10; step <= 10 * static_cast<int>(Series::kMaxBuckets); step += 10) {
    series.add(step, std::sin(step));
  }
  const std::vector<PlotPoint> points = points_of(series);
  ASSERT_EQ(points.size(), Series::kMaxBuckets);
  for (std::size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points[i].x, 10.0 * static_cast<double>(i + 1));
    EXPECT_EQ(points[i].y, std::sin(points[i].x));
  }
}

// The oracle keeps all values and looks for extremes itself.
TEST(SeriesTest, ALongRunKeepsLowestAndHighestOfEveryStretch) {
  std::mt19937 random(5);
  std::normal_distribution<double> noise;
  std::vector<double> values;
  Series series;
  for (std::int64_t step = 1; step <= 100'000; ++step) {
    values.push_back(noise(random));
    series.add(step, values.back());
  }
  const std::vector<SeriesBucket>& buckets = series.buckets();
  EXPECT_LE(buckets.size(), Series::kMaxBuckets);
  EXPECT_GT(buckets.size(), Series::kMaxBuckets / 3);
  std::int64_t next = 1;
  for (const SeriesBucket& bucket : buckets) {
    EXPECT_EQ(bucket.first_step, next) << "no step is in two buckets or none";
    next = bucket.last_step + 1;
    const auto first = values.begin() + (bucket.first_step - 1);
    const auto last = values.begin() + bucket.last_step;
    EXPECT_EQ(bucket.low.value, *std::min_element(first, last));
    EXPECT_EQ(bucket.high.value, *std::max_element(first, last));
    EXPECT_EQ(values[static_cast<std::size_t>(bucket.low.step - 1)], bucket.low.value);
    EXPECT_EQ(values[static_cast<std::size_t>(bucket.high.step - 1)], bucket.high.value);
    EXPECT_EQ(bucket.count, last - first);
  }
  EXPECT_EQ(next, 100'001);
  EXPECT_EQ(series.num_values(), 100'000);
  EXPECT_EQ(series.last(), (StepValue{100'000, values.back()}));
  EXPECT_EQ(series.lowest()->value, *std::ranges::min_element(values));
  EXPECT_EQ(series.highest()->value, *std::ranges::max_element(values));
}

TEST(SeriesTest, ASpikeOfOneStepIsDrawn) {
  Series series;
  for (std::int64_t step = 1; step <= 1'000'000; ++step) {
    series.add(step, step == 777'777 ? 99.0 : 1.0);
  }
  const std::vector<PlotPoint> points = points_of(series);
  EXPECT_LE(points.size(), 2 * Series::kMaxBuckets);
  const auto spike = std::ranges::find_if(points, [](const auto& point) { return point.y == 99; });
  ASSERT_NE(spike, points.end());
  EXPECT_EQ(spike->x, 777'777);
  EXPECT_TRUE(std::ranges::is_sorted(points, {}, &PlotPoint::x));
}

TEST(SeriesTest, ValuesThatAreNotFiniteBreakTheLineAndAreMarked) {
  Series series;
  series.add(1, 3.0);
  series.add(2, std::nullopt);
  series.add(3, 2.0);
  series.add(4, std::numeric_limits<double>::infinity());
  series.add(5, 1e301);  // Its differences would not be finite.
  series.add(6, 1.0);
  const std::vector<PlotPoint> points = points_of(series);
  ASSERT_EQ(points.size(), 6U);
  for (std::size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(std::isfinite(points[i].y), i == 0 || i == 2 || i == 5) << i;
  }
  EXPECT_EQ(null_steps(series), (std::vector<double>{2, 4, 5}));
  EXPECT_EQ(series.num_nulls(), 3);
  EXPECT_EQ(series.num_values(), 3);
  EXPECT_EQ(series.last(), (StepValue{6, 1.0}));
  for (const PlotPoint& point : smoothed(series)) EXPECT_LE(std::abs(point.x), 6);
}

TEST(SeriesTest, ANullAmongManyStepsLeavesItsMark) {
  Series series;
  for (std::int64_t step = 1; step <= 50'000; ++step) {
    series.add(step, step == 20'000 ? std::nullopt : std::optional(1.0));
  }
  ASSERT_EQ(null_steps(series).size(), 1U);
  EXPECT_NEAR(null_steps(series)[0], 20'000, 64);
  for (const PlotPoint& point : points_of(series)) EXPECT_TRUE(std::isfinite(point.y));
}

TEST(SeriesTest, AStepThatComesAgainReplacesWhatWasThere) {
  Series series;
  for (int step = 1; step <= 10; ++step) series.add(step, step);
  series.add(6, 60.0);
  series.add(7, 70.0);
  ASSERT_EQ(series.buckets().size(), 7U);
  EXPECT_EQ(series.buckets()[4].low, (StepValue{5, 5.0}));
  EXPECT_EQ(series.buckets()[5].low, (StepValue{6, 60.0}));
  EXPECT_EQ(series.last(), (StepValue{7, 70.0}));
  series.add(0, std::nullopt);
  EXPECT_EQ(series.buckets().size(), 1U);
  EXPECT_FALSE(series.last());
}

TEST(SeriesTest, StepsFarApartStayBounded) {
  Series series;
  for (std::int64_t i = 0; i < 5'000; ++i) series.add(i * 1'000'000'007, static_cast<double>(i));
  series.add(std::numeric_limits<std::int64_t>::max(), 5.0);
  EXPECT_LE(series.buckets().size(), Series::kMaxBuckets);
  EXPECT_EQ(series.num_values(), 5'001);
}

TEST(CurveTest, SmoothingKeepsAConstantAndALine) {
  Series constant;
  Series line;
  for (int step = 1; step <= 400; ++step) {
    constant.add(step, 2.5);
    line.add(step, 3.0 * step);
  }
  for (const PlotPoint& point : smoothed(constant)) EXPECT_NEAR(point.y, 2.5, 1e-12);
  const std::vector<PlotPoint> points = smoothed(line);
  for (std::size_t i = 0; i < 390; ++i) EXPECT_NEAR(points[i].y, 3 * points[i].x, 1e-9) << i;
}

TEST(CurveTest, SmoothingTakesMostOfTheNoiseAway) {
  std::mt19937 random(3);
  std::normal_distribution<double> noise;
  Series series;
  for (int step = 1; step <= 1'000; ++step) series.add(step, noise(random));
  double sum = 0;
  for (const PlotPoint& point : smoothed(series)) sum += point.y * point.y;
  // 51 neighbours: a variance of about 1/51.
  EXPECT_LT(sum / 1'000, 0.06);
}

}  // namespace
}  // namespace cloze
