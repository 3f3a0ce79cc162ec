// A step of the pipeline over time: what each stage does when a backward takes twice as long as a
// forward, and the share of time in which stages wait.
#pragma once

#include <string>

#include "parallel/schedule/schedule.h"

namespace cloze {

struct PipelinePlan {
  std::string schedule_name = {};  // "1f1b".
  Schedule (*generate)(int num_stages, int num_microbatches) = nullptr;
  int num_stages = 1;
  int num_microbatches = 1;  // Of a data rank and step.
};

// Forward 1 tick, backward 2, halves of a backward 1 each.
Timeline ticks_of(const Schedule& schedule);

// Long schedules are simulated whole up to a bound and drawn by a shorter one of the same kind,
// which the page says.
std::string pipeline_html(const PipelinePlan& plan);

}  // namespace cloze
