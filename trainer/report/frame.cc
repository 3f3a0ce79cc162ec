#include "trainer/report/frame.h"

#include <algorithm>
#include <cmath>

#include "parallel/base/check.h"
#include "trainer/report/markup.h"

namespace cloze {

std::string svg_begin(const Frame& frame, const std::string& id, const std::string& title,
                      const std::string& description) {
  return str("<svg viewBox=\"0 0 ", frame.width, " ", frame.height, "\" role=\"img\" ",
             "aria-labelledby=\"", id, "-title ", id, "-description\"><title id=\"", id,
             "-title\">", escaped(title), "</title><desc id=\"", id, "-description\">",
             escaped(description), "</desc>");
}

ChartAxis step_axis(const Frame& frame, const StepRange& range) {
  // Not more ticks than there are steps.
  const double wanted = std::min(std::floor(frame.inner_width() / 90), range.last - range.first);
  return linear_axis(range.first, range.last, std::max(1, static_cast<int>(wanted)), Unit::kNumber,
                     /*whole_ticks=*/false);
}

std::string step_axis_svg(const Frame& frame, const ChartAxis& steps) {
  const double bottom = frame.y(0);
  std::string svg = str("<g class=\"axis\"><path class=\"base\" d=\"M", coordinate(frame.left), " ",
                        coordinate(bottom), "H", coordinate(frame.x(1)), "\"/>");
  for (std::size_t i = 0; i < steps.ticks.size(); ++i) {
    if (steps.ticks[i] != std::floor(steps.ticks[i])) continue;  // There is no half step.
    const std::string x = coordinate(frame.x(steps.place(steps.ticks[i])));
    svg += str("<path d=\"M", x, " ", coordinate(bottom), "v4\"/><text x=\"", x, "\" y=\"",
               coordinate(bottom + 17), "\" class=\"middle\">", steps.labels[i], "</text>");
  }
  svg += str("<text x=\"", coordinate(frame.x(1)), "\" y=\"", coordinate(bottom + 31),
             "\" class=\"end name\">step</text></g>");
  return svg;
}

std::vector<double> places_on(const Frame& frame, const ChartAxis& steps,
                              const std::vector<double>& values) {
  std::vector<double> places;
  double before = -1e9;
  for (const double value : values) {
    const double share = steps.place(value);
    if (share < 0 || share > 1) continue;
    const double x = frame.x(share);
    if (x - before < 1) continue;
    places.push_back(x);
    before = x;
  }
  return places;
}

}  // namespace cloze
