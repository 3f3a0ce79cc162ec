// The rectangle of a plot and its axis of steps, which charts and the strip of events share.
#pragma once

#include <string>
#include <vector>

#include "trainer/report/chart.h"

namespace cloze {

// Pixels. report.js has the same margins.
struct Frame {
  double width = 640;
  double height = 240;
  double left = 64;
  double right = 16;
  double top = 12;
  double bottom = 34;

  double inner_width() const { return width - left - right; }
  double inner_height() const { return height - top - bottom; }
  double x(double share) const { return left + share * inner_width(); }
  double y(double share) const { return top + (1 - share) * inner_height(); }
};

// The opening tag of the SVG element, with its title and description.
std::string svg_begin(const Frame& frame, const std::string& id, const std::string& title,
                      const std::string& description);

// The axis of steps: exactly `range`.
ChartAxis step_axis(const Frame& frame, const StepRange& range);

// Ticks, their labels and grid lines of the axis of steps.
std::string step_axis_svg(const Frame& frame, const ChartAxis& steps);

// Where `steps` lie on the axis, at most one a pixel.
std::vector<double> places_on(const Frame& frame, const ChartAxis& steps,
                              const std::vector<double>& values);

}  // namespace cloze
