// Traces as files: the trace event format of Chrome, which Perfetto opens. docs/formats.md has
// the schema. One event a line, so that files are joined without parsing them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "parallel/trace/clock_alignment.h"
#include "parallel/trace/trace.h"

namespace cloze {

// Whose trace it is.
struct TraceProcess {
  int rank = 0;
  int num_ranks = 1;
  std::string host;
  std::vector<std::pair<std::string, int>> coordinates;  // {"stage", 1}, {"data", 0}, ...
  ClockAlignment clock;
  std::int64_t origin = 0;  // Of rank 0's clock, nanoseconds: time 0 of the file.
};

std::string rank_trace_name(int rank);  // "rank-00003.json"

// Writes the recording that the trace holds: beside `path`, then renames. Times are rank 0's.
void write_trace(const Trace& trace, const TraceProcess& process,
                 const std::filesystem::path& path);

}  // namespace cloze
