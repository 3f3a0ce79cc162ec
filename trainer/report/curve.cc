#include "trainer/report/curve.h"

#include <algorithm>
#include <limits>

namespace cloze {
namespace {

constexpr std::size_t kWindowShare = 40;  // Of the buckets, on either side.

double middle(const SeriesBucket& bucket) {
  return (static_cast<double>(bucket.first_step) + static_cast<double>(bucket.last_step)) / 2;
}

PlotPoint gap_at(const SeriesBucket& bucket) {
  return {middle(bucket), std::numeric_limits<double>::quiet_NaN()};
}

}  // namespace

std::vector<PlotPoint> points_of(const Series& series) {
  std::vector<PlotPoint> points;
  const auto add = [&](const StepValue& value) {
    points.push_back({static_cast<double>(value.step), value.value});
  };
  for (const SeriesBucket& bucket : series.buckets()) {
    if (bucket.count == 0) {
      points.push_back(gap_at(bucket));
      continue;
    }
    const bool low_first = bucket.low.step <= bucket.high.step;
    add(low_first ? bucket.low : bucket.high);
    if (bucket.low.step != bucket.high.step) add(low_first ? bucket.high : bucket.low);
  }
  return points;
}

std::vector<PlotPoint> smoothed(const Series& series) {
  const std::vector<SeriesBucket>& buckets = series.buckets();
  const std::size_t reach = std::max<std::size_t>(1, buckets.size() / kWindowShare);
  std::vector<PlotPoint> points;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    if (buckets[i].count == 0) {
      points.push_back(gap_at(buckets[i]));
      continue;
    }
    const std::size_t either_side = std::min(reach, i);
    const std::size_t last = std::min(buckets.size() - 1, i + either_side);
    double sum = 0;
    std::int64_t count = 0;
    for (std::size_t j = i - either_side; j <= last; ++j) {
      sum += buckets[j].sum;
      count += buckets[j].count;
    }
    points.push_back({middle(buckets[i]), sum / static_cast<double>(count)});
  }
  return points;
}

std::vector<double> null_steps(const Series& series) {
  std::vector<double> steps;
  for (const SeriesBucket& bucket : series.buckets()) {
    if (bucket.nulls > 0) steps.push_back(middle(bucket));
  }
  return steps;
}

}  // namespace cloze
