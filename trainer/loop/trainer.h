// The training loop: from a resolved config to a trained, saved model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "configs/schema/run.pb.h"
#include "data/batch_builder.h"
#include "data/loader.h"
#include "data/sample_source.h"
#include "parallel/base/clock.h"
#include "parallel/comm/groups.h"
#include "trainer/checkpoint/directory_lock.h"
#include "trainer/config/differences.h"
#include "trainer/loop/checkpointing.h"
#include "trainer/loop/compute_device.h"
#include "trainer/loop/run_log.h"
#include "trainer/loop/step_traces.h"
#include "trainer/loop/stop_signals.h"
#include "trainer/loop/training_state.h"

namespace cloze {

enum class Resume : std::uint8_t {
  kAuto,    // From the newest good checkpoint, or from the start.
  kStrict,  // From the newest checkpoint, or not at all.
  kNone,    // From the start, in a directory without checkpoints.
};

struct TrainOptions {
  Resume resume = Resume::kAuto;
  std::vector<std::string> allowed_changes;   // Keys that may differ from the checkpoint's config.
  std::map<std::string, std::string> origin;  // Of each key of the config, as in LoadedConfig.
  JobNumerics numerics;                       // Of this job's ranks.
  ComputeDevice device = {};
};

// Where a job is, for the line that tells of its failure.
struct JobPlace {
  std::string_view phase = "start";  // Then data, model, resume, step, validation, save.
  std::int64_t step = -1;            // That is being made; -1 before the first.
};

class Trainer {
 public:
  // All ranks make it together. Opens the data, builds the model, resumes. Keeps `place`, which
  // outlives it, up to date.
  Trainer(const config::Run& run, const Groups& groups, StopSignals& signals,
          const TrainOptions& options, JobPlace& place);

  // Trains up to run.steps, or until a signal or the time limit. kDone, kPreempted or kNumerics.
  ExitCode run();

 private:
  void prepare_directory();
  void resume();
  void start_from(const std::filesystem::path& step_folder);
  void check_config_of(const std::filesystem::path& step_folder);
  void print_changes();
  void check_numerics() const;
  void print_header();
  StepReport one_step();
  LossSums validate();
  bool must_validate() const;
  void log_step(const LoggedStep& logged);
  bool is_time_to_stop();
  void save(bool must_succeed);
  void remove_old_checkpoints();
  void finish_trace(bool is_last);
  std::filesystem::path checkpoint_directory() const;
  bool leads() const { return groups_.world->rank() == 0; }

  const config::Run run_;
  const Groups& groups_;
  StopSignals& signals_;
  const TrainOptions options_;
  JobPlace& place_;
  const Clock::time_point start_ = Clock::now();
  std::optional<DirectoryLock> lock_;
  std::unique_ptr<SampleSource> train_;
  std::unique_ptr<SampleSource> validation_;
  RunFacts facts_;
  Progress progress_;
  std::vector<Difference> changes_;               // Of the config against the checkpoint's.
  std::vector<NumericsChange> numerics_changes_;  // Of this job against the checkpoint's.
  std::unique_ptr<StepTraces> traces_;
  std::unique_ptr<TrainingState> state_;
  std::unique_ptr<Loader> loader_;
  std::optional<BatchPlan> plan_;
  std::int64_t data_step_ = 0;  // Of the plan; differs from the step after a change of batch size.
  std::unique_ptr<RunLog> log_;
  double saving_seconds_ = 0;  // Of the last save.
  double step_seconds_ = 0;    // Of the last step.
  double useful_seconds_ = 0;  // Of all steps that made an update, without waiting for data.
};

}  // namespace cloze
