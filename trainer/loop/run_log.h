// Everything that rank 0 writes about a run while it runs: console, metrics.jsonl, events.jsonl,
// TensorBoard.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "configs/schema/run.pb.h"
#include "trainer/loop/console.h"
#include "trainer/loop/event_journal.h"
#include "trainer/loop/loss_sums.h"
#include "trainer/loop/metrics_file.h"
#include "trainer/loop/tensorboard.h"
#include "trainer/loop/train_step.h"

namespace cloze {

// One step as the log shows it.
struct LoggedStep {
  std::int64_t step = 0;
  StepReport report;
  std::optional<LossSums> validation;
  std::int64_t consumed_tokens = 0;
  std::int64_t step_tokens = 0;
  double step_seconds = 0;
  double flops = 0;              // Of the step.
  double data_wait_seconds = 0;  // Of the step.
  double goodput = 0;            // Share of the time since start that went into updates.
  std::int64_t memory_bytes =
      0;  // Most that this rank has had in use, of the device that computes.
};

class RunLog {
 public:
  // Writes nothing but on rank 0. `peak_flops` is per second, of all ranks.
  RunLog(const config::Run& run, bool enabled, std::int64_t resume_step, double peak_flops);

  Console& console() { return console_; }
  void event(std::string_view name, const nlohmann::ordered_json& fields);
  // Every step: the progress bar; a logged step (log.interval, validation, the last): a line.
  void step(const LoggedStep& logged);
  // Flushes metrics to the device: before a checkpoint is committed.
  void sync();

 private:
  bool is_due(const LoggedStep& logged) const;

  const config::Run run_;
  const bool enabled_;
  const double peak_flops_;
  Console console_;
  std::optional<MetricsFile> metrics_;
  std::optional<EventJournal> events_;
  std::optional<TensorBoardWriter> tensorboard_;
};

}  // namespace cloze
