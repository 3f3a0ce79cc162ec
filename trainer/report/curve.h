// From a series to the points of a drawn line.
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/report/series.h"

namespace cloze {

// One point of a line. Not finite `y`: the line is broken here.
struct PlotPoint {
  double x = 0;  // A step; the middle of several where a line is smoothed.
  double y = 0;
};

// Every value while each bucket is one step; else the lowest and highest of each bucket, in the
// order of their steps. A bucket with no finite value breaks the line.
std::vector<PlotPoint> points_of(const Series& series);

// The mean of neighbouring buckets, together a twentieth of them. The window is symmetric at the
// start, where a loss falls steeply, and cut at the end.
std::vector<PlotPoint> smoothed(const Series& series);

// Steps at which values were not finite; the middle of a bucket of many steps.
std::vector<double> null_steps(const Series& series);

}  // namespace cloze
