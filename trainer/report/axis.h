// Axes: which values have a tick, and how a number is written. Pure functions; report.js has the
// same ones for the charts it draws again.
#pragma once

#include <string>
#include <vector>

namespace cloze {

// What an axis measures.
enum class Unit : int {
  kNumber = 0,   // SI suffixes from 10,000 on, an exponent below 0.001.
  kBytes = 1,    // Of 1000.
  kShare = 2,    // 0.1 is 10 %.
  kSeconds = 3,  // Or ms, µs.
};

// The values an axis shows, and its ticks among them in rising order.
struct ChartAxis {
  double low = 0;
  double high = 1;
  bool logarithmic = false;
  std::vector<double> ticks = {};
  std::vector<std::string> labels = {};  // One a tick.

  // From 0 at low to 1 at high; outside of that for values outside.
  double place(double value) const;
};

// An axis that holds [low, high] and about `wanted` ticks at 1, 2 or 5 times a power of ten. It is
// widened to whole ticks when `whole_ticks`, and where low equals high.
ChartAxis linear_axis(double low, double high, int wanted, Unit unit, bool whole_ticks);

// The same in powers of ten, with 2 and 5 between them where there is room. 0 < low <= high.
ChartAxis log_axis(double low, double high, int wanted, Unit unit);

// `value` with `digits` significant digits at most: "14.2k", "3.05", "96.5 %", "12 ms".
std::string value_text(double value, Unit unit, int digits = 4);

}  // namespace cloze
