// The events of a run on the axis of its steps: a lane for each kind.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/report/chart.h"
#include "trainer/report/run_events.h"

namespace cloze {

// Words for a kind of event: "save_failed" is a "Failed save".
std::string title_of_kind(std::string_view kind);

// One line about an event, without its time and step: "optimizer.lr: 0.003 to 0.001".
std::string details_of(const RunEvent& event);

// Moments that are drawn through all charts: resumes, changes of the config, failed saves,
// preemptions.
std::vector<Mark> marks_of(const RunEvents& events);

struct Lane {
  std::string kind;
  std::string title;
  std::vector<double> steps;  // Rising.
  std::int64_t count = 0;     // Of all there were; the oldest may not be drawn.
};

// Lanes in a fixed order of kinds; those without a step are left out.
std::vector<Lane> lanes_of(const RunEvents& events);

std::string strip_figure(const std::vector<Lane>& lanes, const StepRange& range);
std::string strip_json(const std::vector<Lane>& lanes);

}  // namespace cloze
