// What a chart draws, read back from its SVG.
#include "trainer/report/chart.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string_view>

#include "parallel/base/check.h"

namespace cloze {
namespace {

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

// The d of each curve's path: <g class="curve ..."><path d="..."...
std::vector<std::string> paths_of(const std::string& svg) {
  constexpr std::string_view kCurve = "<g class=\"curve ";
  constexpr std::string_view kPath = "\"><path d=\"";
  std::vector<std::string> paths;
  for (std::size_t at = svg.find(kCurve); at != std::string::npos; at = svg.find(kCurve, at)) {
    const std::size_t classes_end = svg.find('"', at + kCurve.size());
    at = classes_end;
    if (svg.compare(classes_end, kPath.size(), kPath) != 0) continue;
    const std::size_t begin = classes_end + kPath.size();
    paths.push_back(svg.substr(begin, svg.find('"', begin) - begin));
  }
  return paths;
}

std::size_t points_in(const std::string& path) { return count_of(path, "M") + count_of(path, "L"); }

TEST(ChartTest, EveryValueIsAPointOfThePath) {
  Series series;
  for (int step = 1; step <= 700; ++step) series.add(step, 10 - std::log(step));
  Chart chart{.id = "loss", .title = "Loss", .quantity = "nats"};
  add_curves(series, "training", 0, chart);
  const std::vector<std::string> paths = paths_of(chart_svg(chart, {0, 700}, {}));
  ASSERT_EQ(paths.size(), 2U) << "raw and smoothed";
  EXPECT_EQ(points_in(paths[0]), 700U);
  EXPECT_EQ(points_in(paths[1]), 700U);
}

TEST(ChartTest, AGapIsNotCrossedAndItsStepIsMarked) {
  Series series;
  for (int step = 1; step <= 100; ++step) {
    series.add(step, step % 25 == 0 ? std::nullopt : std::optional(1.0 * step));
  }
  Chart chart{.id = "norm", .title = "Norm", .quantity = ""};
  add_dots(series, "", 0, chart);
  const std::string svg = chart_svg(chart, {0, 100}, {});
  ASSERT_EQ(paths_of(svg).size(), 1U);
  EXPECT_EQ(points_in(paths_of(svg)[0]), 96U);
  EXPECT_EQ(count_of(paths_of(svg)[0], "M"), 4U) << "four lines, none over a gap";
  EXPECT_EQ(count_of(svg, "class=\"null\""), 4U);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(ChartTest, OneStepIsAPointThatCanBeSeen) {
  Series series;
  series.add(1, 9.0);
  Chart chart{.id = "loss", .title = "Loss", .quantity = "nats"};
  add_curves(series, "training", 0, chart);
  const std::string svg = chart_svg(chart, {0, 1}, {});
  EXPECT_EQ(count_of(svg, "<circle"), 1U);
  EXPECT_EQ(points_in(paths_of(svg).at(0)), 1U);
}

TEST(ChartTest, NothingButNullsIsStillAChart) {
  Series series;
  series.add(1, std::nullopt);
  series.add(2, std::nullopt);
  Chart chart{.id = "loss", .title = "Loss", .quantity = "nats"};
  add_curves(series, "training", 0, chart);
  const std::string svg = chart_svg(chart, {0, 2}, {});
  EXPECT_EQ(count_of(svg, "class=\"null\""), 2U);
  EXPECT_NE(chart_json(chart).find("\"y\":[null,null]"), std::string::npos) << chart_json(chart);
}

TEST(ChartTest, AMillionStepsStaySmall) {
  Series series;
  for (std::int64_t step = 1; step <= 1'000'000; ++step) {
    series.add(step, 3 + std::sin(static_cast<double>(step)));
  }
  Chart chart{.id = "loss", .title = "Loss", .quantity = "nats"};
  add_curves(series, "training", 0, chart);
  EXPECT_LT(chart_svg(chart, {0, 1e6}, {}).size() + chart_json(chart).size(), 250'000U);
}

TEST(ChartTest, PointsLieWhereTheAxesSay) {
  Series series;
  series.add(0, 0.0);
  series.add(50, 5.0);
  series.add(100, 10.0);
  Chart chart{.id = "a", .title = "A", .quantity = ""};
  add_dots(series, "", 0, chart);
  // 640 x 240 with margins of 64, 16, 12 and 34.
  EXPECT_EQ(paths_of(chart_svg(chart, {0, 100}, {})).at(0), "M64.0 206.0L344.0 109.0L624.0 12.0");
}

TEST(ChartTest, ThoseWhoHearTheChartLearnWhereItBeginsAndEnds) {
  Series series;
  for (int step = 1; step <= 3; ++step) series.add(step, 4.0 - step);
  Chart chart{.id = "loss", .title = "Loss <1>", .quantity = "nats"};
  add_curves(series, "training", 0, chart);
  const std::string svg = chart_svg(chart, {0, 3}, {});
  EXPECT_NE(svg.find("training: 3 at step 1, 1 at step 3."), std::string::npos) << svg;
  EXPECT_NE(svg.find("Loss &lt;1&gt;</title>"), std::string::npos) << svg;
}

TEST(ChartTest, MarksOfAKindAtAPlaceAreDrawnOnce) {
  Chart chart{.id = "a", .title = "A", .quantity = ""};
  Series series;
  series.add(5'000, 1.0);
  add_dots(series, "", 0, chart);
  std::vector<Mark> marks;
  for (int i = 0; i < 2'000; ++i) marks.push_back({"resume", 5'000.0 + i % 10, "again & again"});
  const std::string svg = chart_svg(chart, {0, 10'000}, marks);
  EXPECT_GE(count_of(svg, "class=\"mark resume\""), 1U);
  EXPECT_LE(count_of(svg, "class=\"mark resume\""), 3U);
}

}  // namespace
}  // namespace cloze
