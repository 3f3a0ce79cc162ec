// RUN/metrics.jsonl: one JSON object per logged step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "trainer/loop/append_file.h"

namespace cloze {

class MetricsFile {
 public:
  // Opens it for a run that goes on after `resume_step` (0: from the start). Cuts a last line
  // that is not whole, and the lines of later steps: they will be run, and written, again.
  MetricsFile(const std::filesystem::path& path, std::int64_t resume_step);

  // Writes one line. `metrics` is an object whose `step` is an integer, larger than the last
  // line's. Doubles are written so that they read back to the same bits; those that are not
  // finite become null.
  void write(const nlohmann::ordered_json& metrics);
  void sync() { file_.sync(); }  // Flushes to the device; before a checkpoint is committed.

  // Whole lines that the constructor cut; for the journal.
  std::int64_t lines_cut() const { return lines_cut_; }

 private:
  std::int64_t lines_cut_ = 0;
  std::int64_t last_step_ = 0;
  AppendFile file_;
};

// The step of the last whole line; -1 when there is none, or no such file.
std::int64_t last_logged_step(const std::filesystem::path& path);

}  // namespace cloze
