// Traces the steps that log.trace names: records them on every rank and writes a folder for each
// run of consecutive steps.
//
//   RUN/trace/step-00000010/rank-00003.json   one a rank; times are rank 0's
//   RUN/trace/step-00000010/trace.json        all ranks
//   RUN/trace/trace.json                      a link to the newest
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "parallel/comm/groups.h"
#include "parallel/trace/clock_alignment.h"
#include "parallel/trace/trace.h"

namespace cloze {

// What became of one recording. The same on all ranks.
struct WrittenTrace {
  std::int64_t first_step = 0;
  std::int64_t last_step = 0;
  std::filesystem::path file;    // Of all ranks.
  std::int64_t num_dropped = 0;  // Events beyond the limit, of all ranks.
  std::string problem;           // Why it was not written; empty when it was.
  std::string fix;
};

class StepTraces {
 public:
  // `steps` ascend. All ranks make it together, and all call the rest together. Traces go to
  // `folder`, RUN/trace.
  StepTraces(std::vector<std::int64_t> steps, std::filesystem::path folder, const Groups& groups);
  StepTraces(const StepTraces&) = delete;
  StepTraces& operator=(const StepTraces&) = delete;
  ~StepTraces();

  // What records; null when no step is traced.
  Trace* trace() { return trace_ ? &*trace_ : nullptr; }

  // Before a step and all that belongs to it.
  void before_step(std::int64_t step);
  // After it. Writes the steps traced so far when the next one is not traced, or never comes.
  // A trace that cannot be written is told, not thrown: the run is worth more.
  std::optional<WrittenTrace> after_step(std::int64_t step, bool is_last);

 private:
  bool is_traced(std::int64_t step) const;
  void write(WrittenTrace& written);

  const std::vector<std::int64_t> steps_;
  const std::filesystem::path folder_;
  const Groups& groups_;
  std::optional<Trace> trace_;
  ClockReading clock_at_begin_;
};

}  // namespace cloze
