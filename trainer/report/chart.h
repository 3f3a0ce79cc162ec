// A chart of curves over the steps: a value, drawn as SVG for every browser and printer, and as
// JSON for the page's script, which draws it again when it is zoomed, resized or made logarithmic.
#pragma once

#include <string>
#include <vector>

#include "trainer/report/axis.h"
#include "trainer/report/curve.h"

namespace cloze {

enum class CurveLook : int {
  kRaw = 0,   // Thin and faint, behind its smoothed line.
  kLine = 1,  // Strong.
  kDots = 2,  // Strong, with a dot at each point: values that are far apart.
};

struct Curve {
  std::string label;
  int colour = 0;  // Of the palette in report.css, 0 to 7.
  CurveLook look = CurveLook::kLine;
  std::vector<PlotPoint> points = {};  // At least one.
  std::vector<double> nulls = {};      // Steps without a finite value, which get a mark.
};

// A moment of the run that is drawn through every chart.
struct Mark {
  std::string kind;  // Such as "resume".
  double step = 0;
  std::string text;
};

struct Chart {
  std::string id;        // Of the element; a word.
  std::string title;     // "Loss".
  std::string quantity;  // What the axis measures: "nats a token".
  Unit unit = Unit::kNumber;
  bool from_zero = false;  // The axis begins at 0 or below.
  bool wide = false;       // Takes the page's whole width.
  std::vector<Curve> curves = {};
  std::string nothing = {};  // What is said when there is no curve.
};

// The steps that all charts of a page show.
struct StepRange {
  double first = 0;
  double last = 1;
};

// A raw curve and its smoothed line, or the values with dots where they are few. `label` may be
// empty in a chart of one number.
void add_curves(const Series& series, const std::string& label, int colour, Chart& chart);
// Values that are few by nature, such as validation's.
void add_dots(const Series& series, const std::string& label, int colour, Chart& chart);

// The plot's SVG element.
std::string chart_svg(const Chart& chart, const StepRange& range, const std::vector<Mark>& marks);

// One object: all that report.js needs, beside the SVG, to draw the chart again.
std::string chart_json(const Chart& chart);

// The figure: title, legend, plot.
std::string chart_figure(const Chart& chart, const StepRange& range,
                         const std::vector<Mark>& marks);

}  // namespace cloze
