// Everything a report shows, read from a run's directory into plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "configs/schema/run.pb.h"
#include "parallel/mesh/mesh.h"
#include "trainer/report/run_events.h"
#include "trainer/report/run_metrics.h"

namespace cloze {

// How a run stands. kGivenUp: it failed, and `cloze launch` starts it no more. A run whose job is
// gone without a last word has been kInterrupted.
enum class RunState : std::uint8_t { kRunning, kDone, kPreempted, kGivenUp, kInterrupted };

struct RunRecord {
  std::filesystem::path directory;
  RunMetrics metrics;
  RunEvents events;
  std::string config_yaml;            // As it lies there; empty when it is missing.
  std::optional<config::Run> config;  // Where this version can read it.
  std::string config_problem;         // Why it cannot, else empty.
  std::optional<Degrees> degrees;     // Of the newest start.
  bool degrees_recorded = false;      // The run wrote them down; else data is taken to be 1.
  RunState state = RunState::kInterrupted;
  std::optional<double> seconds;  // From the first start to the last word.

  std::string name() const;  // The run's label, or the directory's name.
};

// Whether a job writes to the run is for the caller to find out (`is_locked`), by the directory
// of checkpoints. kBadInput when the directory or its metrics.jsonl is missing.
RunRecord read_run(const std::filesystem::path& directory);
void set_state(RunRecord& record, bool is_locked, double now);  // `now`: seconds since 1970.

// Where the run's checkpoints go, and with them its lock.
std::filesystem::path checkpoints_of(const RunRecord& record);

// What the reader of the report should know about the files, a sentence each.
std::vector<std::string> notes_of(const RunRecord& record);

}  // namespace cloze
