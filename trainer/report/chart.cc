#include "trainer/report/chart.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <string_view>

#include "parallel/base/check.h"
#include "trainer/report/frame.h"
#include "trainer/report/markup.h"

namespace cloze {
namespace {

constexpr std::size_t kFewPoints = 40;  // Up to here each gets a dot, and none is smoothed.

std::string_view class_of(CurveLook look) {
  switch (look) {
    case CurveLook::kRaw:
      return "raw";
    case CurveLook::kLine:
      return "line";
    case CurveLook::kDots:
      return "dots";
  }
  return {};
}

// The lowest and highest of what is drawn.
std::optional<StepRange> extent(const Chart& chart) {
  std::optional<StepRange> range;
  for (const Curve& curve : chart.curves) {
    for (const PlotPoint& point : curve.points) {
      if (!std::isfinite(point.y)) continue;
      if (!range) range = {point.y, point.y};
      range = {std::min(range->first, point.y), std::max(range->last, point.y)};
    }
  }
  return range;
}

ChartAxis value_axis(const Chart& chart, const Frame& frame) {
  const StepRange range = extent(chart).value_or(StepRange{0, 1});
  const double low = chart.from_zero ? std::min(0.0, range.first) : range.first;
  double high = chart.from_zero ? std::max(0.0, range.last) : range.last;
  if (chart.from_zero && low == high) high = 1;  // Zeros alone.
  const int wanted = std::max(3, static_cast<int>(frame.inner_height() / 45));
  return linear_axis(low, high, wanted, chart.unit, /*whole_ticks=*/true);
}

std::string value_axis_svg(const Frame& frame, const ChartAxis& axis) {
  std::string svg = "<g class=\"grid\">";
  for (std::size_t i = 0; i < axis.ticks.size(); ++i) {
    const double y = frame.y(axis.place(axis.ticks[i]));
    svg += str("<path d=\"M", coordinate(frame.left), " ", coordinate(y), "H",
               coordinate(frame.x(1)), "\"/><text x=\"", coordinate(frame.left - 8), "\" y=\"",
               coordinate(y + 4), "\" class=\"end\">", axis.labels[i], "</text>");
  }
  return svg + "</g>";
}

// A move to each point that begins a line and a line to each other one; a point between two gaps
// is a line of no length, which a round cap makes a dot.
std::string path_of(const Curve& curve, const Frame& frame, const ChartAxis& steps,
                    const ChartAxis& values) {
  std::string path;
  std::size_t run = 0;
  const auto end_run = [&] {
    if (run == 1) path += "h0";
    run = 0;
  };
  for (const PlotPoint& point : curve.points) {
    if (!std::isfinite(point.y)) {
      end_run();
      continue;
    }
    path += run++ == 0 ? "M" : "L";
    path += coordinate(frame.x(steps.place(point.x))) + " " +
            coordinate(frame.y(values.place(point.y)));
  }
  end_run();
  return path;
}

std::string curve_svg(const Curve& curve, const Frame& frame, const ChartAxis& steps,
                      const ChartAxis& values) {
  std::string svg = str("<g class=\"curve ", class_of(curve.look), " c", curve.colour,
                        "\"><path d=\"", path_of(curve, frame, steps, values), "\"/>");
  if (curve.look == CurveLook::kDots) {
    for (const PlotPoint& point : curve.points) {
      if (!std::isfinite(point.y)) continue;
      svg += str("<circle cx=\"", coordinate(frame.x(steps.place(point.x))), "\" cy=\"",
                 coordinate(frame.y(values.place(point.y))), "\" r=\"3\"/>");
    }
  }
  for (const double x : places_on(frame, steps, curve.nulls)) {
    svg += str("<path class=\"null\" d=\"M", coordinate(x - 3), " ", coordinate(frame.top),
               "l6 6m0-6l-6 6\"><title>", escaped(curve.label), ": not finite</title></path>");
  }
  return svg + "</g>";
}

std::string marks_svg(const std::vector<Mark>& marks, const Frame& frame, const ChartAxis& steps) {
  std::string svg = "<g class=\"marks\">";
  std::set<std::string> drawn;  // One of a kind at a place.
  for (const Mark& mark : marks) {
    for (const double x : places_on(frame, steps, {mark.step})) {
      if (!drawn.insert(str(mark.kind, std::round(x))).second) continue;
      svg += str("<path class=\"mark ", mark.kind, "\" d=\"M", coordinate(x), " ",
                 coordinate(frame.top), "V", coordinate(frame.y(0)), "\"><title>",
                 escaped(mark.text), "</title></path>");
    }
  }
  return svg + "</g>";
}

// For those who hear the chart.
std::string description_of(const Chart& chart) {
  std::string text;
  for (const Curve& curve : chart.curves) {
    if (curve.look == CurveLook::kRaw) continue;
    const auto finite = [](const PlotPoint& point) { return std::isfinite(point.y); };
    const auto first = std::ranges::find_if(curve.points, finite);
    if (first == curve.points.end()) continue;
    const auto last = std::find_if(curve.points.rbegin(), curve.points.rend(), finite);
    const auto at = [](const PlotPoint& point) {
      return " at step " + grouped(static_cast<std::int64_t>(point.x));
    };
    text += str(curve.label, ": ", value_text(first->y, chart.unit), at(*first), ", ",
                value_text(last->y, chart.unit), at(*last), ". ");
  }
  return text;
}

std::string legend_of(const Chart& chart) {
  std::string html = "<div class=\"keys\">";
  for (std::size_t i = 0; i < chart.curves.size(); ++i) {
    const Curve& curve = chart.curves[i];
    html += str("<button type=\"button\" class=\"key ", class_of(curve.look), " c", curve.colour,
                "\" data-curve=\"", i, "\" aria-pressed=\"true\"><i></i>", escaped(curve.label),
                "</button>");
  }
  return html + "</div>";
}

Frame frame_of(const Chart& chart) {
  return chart.wide ? Frame{.width = 1280, .height = 340} : Frame{};
}

}  // namespace

void add_curves(const Series& series, const std::string& label, int colour, Chart& chart) {
  if (series.buckets().size() <= kFewPoints) {
    add_dots(series, label, colour, chart);
    return;
  }
  const std::string begin = label.empty() ? "" : label + ", ";
  chart.curves.push_back({.label = begin + "each logged step",
                          .colour = colour,
                          .look = CurveLook::kRaw,
                          .points = points_of(series),
                          .nulls = null_steps(series)});
  chart.curves.push_back(
      {.label = begin + "smoothed", .colour = colour, .points = smoothed(series)});
}

void add_dots(const Series& series, const std::string& label, int colour, Chart& chart) {
  if (series.empty()) return;
  const bool few = series.buckets().size() <= 4 * kFewPoints;
  chart.curves.push_back({.label = label.empty() ? "each logged step" : label,
                          .colour = colour,
                          .look = few ? CurveLook::kDots : CurveLook::kLine,
                          .points = points_of(series),
                          .nulls = null_steps(series)});
}

std::string chart_svg(const Chart& chart, const StepRange& range, const std::vector<Mark>& marks) {
  const Frame frame = frame_of(chart);
  const ChartAxis steps = step_axis(frame, range);
  const ChartAxis values = value_axis(chart, frame);
  std::string svg = svg_begin(frame, chart.id, chart.title, description_of(chart));
  svg += value_axis_svg(frame, values) + step_axis_svg(frame, steps);
  svg += marks_svg(marks, frame, steps);
  for (const Curve& curve : chart.curves) svg += curve_svg(curve, frame, steps, values);
  return svg + "</svg>";
}

std::string chart_json(const Chart& chart) {
  std::string json =
      str("{\"id\":", json_text(chart.id), ",\"unit\":", static_cast<int>(chart.unit),
          ",\"zero\":", chart.from_zero ? 1 : 0, ",\"curves\":[");
  for (std::size_t i = 0; i < chart.curves.size(); ++i) {
    const Curve& curve = chart.curves[i];
    std::vector<double> x;
    std::vector<double> y;
    for (const PlotPoint& point : curve.points) {
      x.push_back(point.x);
      y.push_back(point.y);
    }
    json +=
        str(i == 0 ? "" : ",", "{\"label\":", json_text(curve.label), ",\"colour\":", curve.colour,
            ",\"look\":", json_text(class_of(curve.look)), ",\"x\":", json_array(x, 15),
            ",\"y\":", json_array(y, 6), ",\"nulls\":", json_array(curve.nulls, 15), "}");
  }
  return json + "]}";
}

std::string chart_figure(const Chart& chart, const StepRange& range,
                         const std::vector<Mark>& marks) {
  std::string html = str("<figure class=\"card chart", chart.wide ? " wide" : "", "\" id=\"chart-",
                         chart.id, "\"><figcaption><h3>", escaped(chart.title), "</h3><span>",
                         escaped(chart.quantity), "</span>");
  if (chart.curves.empty()) {
    return html +
           str("</figcaption><p class=\"nothing\">", escaped(chart.nothing), "</p></figure>");
  }
  html += str("<button type=\"button\" class=\"log script\" aria-pressed=\"false\" aria-label=\"",
              escaped(chart.title), " on a logarithmic axis\">log</button></figcaption>");
  html += legend_of(chart);
  html += "<div class=\"plot\">" + chart_svg(chart, range, marks) + "</div>";
  return html + "</figure>";
}

}  // namespace cloze
