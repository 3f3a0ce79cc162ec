#include "trainer/loop/trainer.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "data/tokenizer.h"
#include "parallel/base/file.h"
#include "parallel/base/join.h"
#include "trainer/config/model_check.h"
#include "trainer/config/resolved_yaml.h"
#include "trainer/export/import_model.h"
#include "trainer/export/open_model.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/header.h"
#include "trainer/loop/run_samples.h"
#include "trainer/loop/step_memory.h"
#include "trainer/loop/throughput.h"
#include "trainer/loop/train_step.h"
#include "trainer/optim/learning_rate.h"

namespace cloze {
namespace {

std::string new_run_id() {
  std::random_device device;  // A name, not a number that training uses.
  char text[33];
  std::snprintf(text, sizeof text, "%08x%08x", device(), device());
  return text;
}

}  // namespace

Trainer::Trainer(const config::Run& run, const Groups& groups, StopSignals& signals,
                 const TrainOptions& options, JobPlace& place)
    : run_(run), groups_(groups), signals_(signals), options_(options), place_(place) {
  progress_.run_id = broadcast_text(*groups.world, new_run_id(), 0);
  together(*groups.world, [&] { prepare_directory(); });
  place_.phase = "data";
  together(*groups.world, [&] {
    const Tokenizer tokenizer = Tokenizer::load(run.data().tokenizer());
    train_ = std::make_unique<SampleSource>(open_run_samples(run, Split::kTrain, tokenizer));
    if (run.validation().interval() > 0) {
      validation_ =
          std::make_unique<SampleSource>(open_run_samples(run, Split::kValidation, tokenizer));
    }
    facts_ = {resolved_yaml(run, options_.origin), train_->fingerprint(), tokenizer.digest(),
              options_.numerics.facts};
    plan_.emplace(batch_plan_options(run.batch()));
  });
  place_.phase = "model";
  traces_ = std::make_unique<StepTraces>(
      std::vector<std::int64_t>(run.log().trace().begin(), run.log().trace().end()),
      std::filesystem::path(run.run().directory()) / "trace", groups);
  state_ = std::make_unique<TrainingState>(run, groups, traces_->trace(), options_.device.kernels);
  place_.phase = "resume";
  resume();
  together(*groups.world, [&] { data_step_ = plan_->step_at(progress_.consumed_rows); });
  const double peak = measured_peak(*groups.world, *state_);
  together(*groups.world,
           [&] { log_ = std::make_unique<RunLog>(run, leads(), progress_.step, peak); });
  loader_ = std::make_unique<Loader>(*train_, *plan_,
                                     LoaderOptions{.microbatch = microbatch_options(run, groups),
                                                   .prefetch = run.data().prefetch()},
                                     data_step_);
}

std::filesystem::path Trainer::checkpoint_directory() const {
  return run_.checkpoint().directory();
}

void Trainer::prepare_directory() {
  if (!leads()) return;
  const std::filesystem::path directory = run_.run().directory();
  make_directories(directory);
  lock_ =
      DirectoryLock::acquire(checkpoint_directory(), progress_.run_id, std::chrono::seconds(10));
  CLOZE_REQUIRE(options_.resume != Resume::kNone || committed_steps(checkpoint_directory()).empty(),
                ExitCode::kUsage,
                str(checkpoint_directory().string(), " holds checkpoints and --resume is none"),
                "choose another run.directory, move the checkpoints away, or resume");
}

void Trainer::resume() {
  if (options_.resume == Resume::kNone) {
    if (run_.run().has_initial()) {
      start_from(run_.run().initial());
    }
    return;
  }
  const ResumeMode mode =
      options_.resume == Resume::kStrict ? ResumeMode::kStrict : ResumeMode::kAuto;
  std::int64_t below = std::numeric_limits<std::int64_t>::max();
  while (true) {
    // Rank 0 looks, so that all take the same; a damaged byte found while loading sends auto on
    // to the checkpoint before.
    std::string found;
    std::vector<std::string> warnings;
    together(*groups_.world, [&] {
      if (!leads()) return;
      const auto folder =
          newest_checkpoint(checkpoint_directory(), mode, warnings, CheckDepth::kStructure, below);
      if (folder) found = folder->string();
    });
    Console console(leads(), run_.run().steps());
    for (const std::string& warning : warnings) console.warning(warning);
    found = broadcast_text(*groups_.world, found, 0);
    if (found.empty()) {
      if (run_.run().has_initial()) start_from(run_.run().initial());
      return;
    }
    together(*groups_.world, [&] { check_config_of(found); });
    try {
      progress_ = load_checkpoint(*state_, found);
      return;
    } catch (const AgreedError& error) {
      const auto step = step_of_folder(std::filesystem::path(found).filename().string());
      if (mode == ResumeMode::kStrict || error.code() != ExitCode::kBadInput || !step) throw;
      console.warning(str(error.problem(), "; trying the checkpoint before it"));
      below = *step;
    }
  }
}

void Trainer::start_from(const std::filesystem::path& path) {
  const std::filesystem::path found = agreed_model(*groups_.world, path);
  OpenedModel opened;
  together(*groups_.world, [&] {
    opened = open_model(found);
    const std::vector<std::string> differences = model_differences(run_.model(), opened.model);
    CLOZE_REQUIRE(differences.empty(), ExitCode::kUsage,
                  str("run.initial names another model than the config: ", join(differences, "; ")),
                  "write the model section that `cloze inspect` shows of it");
  });
  load_weights(*state_, *opened.weights);
  state_->optimizer().reset_masters();
}

void Trainer::check_config_of(const std::filesystem::path& step_folder) {
  const Checkpoint checkpoint = Checkpoint::open(step_folder);
  CLOZE_REQUIRE(!is_weights_alone(checkpoint.state()), ExitCode::kUsage,
                str(step_folder.string(), " holds weights alone: no run can go on from it"),
                "name it in run.initial, and give the run a run.directory of its own");
  config::Run before;
  CLOZE_REQUIRE(before.ParseFromString(checkpoint.state().config()), ExitCode::kBadInput,
                str(step_folder.string(), " holds no config that can be read"),
                "use a checkpoint of this version");
  changes_ = find_differences(before, run_);
  Numerics recorded;
  for (const auto& [name, value] : checkpoint.state().numerics()) recorded[name] = value;
  numerics_changes_.clear();
  // A checkpoint that was not written by a run, such as an imported one, has none.
  if (!recorded.empty()) numerics_changes_ = find_changes(recorded, facts_.numerics);
  print_changes();  // All of them, also when some are refused.
  check_differences(changes_, options_.allowed_changes);
  CLOZE_REQUIRE(checkpoint.state().dataset_fingerprint() == facts_.dataset_fingerprint ||
                    std::any_of(changes_.begin(), changes_.end(),
                                [](const Difference& difference) {
                                  return difference.kind == DifferenceClass::kRunChanging;
                                }),
                ExitCode::kBadInput,
                str("the training data is not what ", step_folder.string(), " was trained on"),
                "restore the shards, or start a new run from the weights with run.initial");
}

void Trainer::print_changes() {
  Console console(leads(), run_.run().steps());
  for (const Difference& change : changes_) console.line("config: " + text_of(change));
  for (const NumericsChange& change : numerics_changes_) {
    console.warning(str("numerics: ", text_of(change),
                        "; the last bits may differ from those of a run that never stopped"));
  }
}

StepReport Trainer::one_step() {
  const std::int64_t step = progress_.step + 1;
  place_ = {.phase = "step", .step = step};
  const TraceSpan span(traces_->trace(), "step");
  std::vector<Batch> batches;
  {
    const TraceSpan wait(traces_->trace(), "data wait");
    batches = loader_->next_step();
  }
  const double rate =
      learning_rate(run_.schedule(), run_.optimizer().lr(), step, run_.run().steps());
  StepReport report = train_step(*state_, std::move(batches), rate);
  const StepRows rows = plan_->rows(data_step_++);
  progress_.step = step;
  progress_.consumed_rows = rows.first_ordinal + rows.global_size;
  progress_.consumed_tokens += rows.global_size * run_.data().seq_length();
  progress_.skipped_steps += report.skipped ? 1 : 0;
  return report;
}

LossSums Trainer::validate() {
  place_.phase = "validation";
  const TraceSpan span(traces_->trace(), "validation");
  // The first rows of the validation stream, the same ones every time and on every layout.
  const MicrobatchOptions options = microbatch_options(run_, groups_);
  const std::int64_t wanted = run_.validation().rows();
  const std::int64_t together_rows = options.micro_size * options.data_degree;
  const std::int64_t count = (wanted + together_rows - 1) / together_rows;
  BatchBuilder builder(*validation_, options.token_multiple);
  LossSums sums;
  for (std::int64_t m = 0; m < count; ++m) {
    const std::int64_t first = microbatch_ordinal(0, m, options);
    std::vector<Batch> batches = {builder.build(first, options.micro_size)};
    Batch& batch = batches.front();
    for (std::int64_t row = 0; row < batch.rows; ++row) {
      if (batch.ordinals[static_cast<std::size_t>(row)] < wanted) continue;
      std::fill_n(batch.loss_mask.begin() + row * batch.seq_length, batch.seq_length, 0);
    }
    sums.add(evaluate(*state_, std::move(batches)));
  }
  return sums;
}

bool Trainer::must_validate() const {
  const std::int64_t interval = run_.validation().interval();
  return interval > 0 && (progress_.step % interval == 0 || progress_.step == run_.run().steps());
}

void Trainer::log_step(const LoggedStep& logged) {
  const TraceSpan span(traces_->trace(), "log");
  log_->step(logged);
  if (!logged.report.skipped) return;
  log_->event("skip", {{"step", progress_.step},
                       {"grad_norm", logged.report.gradient_norm},
                       {"loss_scale", logged.report.loss_scale}});
}

bool Trainer::is_time_to_stop() {
  const TraceSpan span(traces_->trace(), "agree to go on");
  together(*groups_.world, [&] { check_numerics(); });
  const double elapsed = seconds_since(start_);
  const std::int64_t limit = run_.run().time_limit();
  // Room for one more step and the save; at least two seconds.
  const double margin = std::max(2.0, 1.5 * (saving_seconds_ + step_seconds_));
  const bool late = limit > 0 && elapsed + margin > static_cast<double>(limit);
  return largest_of(*groups_.world, std::int64_t{signals_.came() || late}) != 0;
}

void Trainer::save(bool must_succeed) {
  place_.phase = "save";
  const TraceSpan span(traces_->trace(), "save");
  const auto begin = Clock::now();
  log_->sync();
  try {
    save_checkpoint(*state_, progress_, facts_, checkpoint_directory());
  } catch (const AgreedError& error) {
    log_->event("save_failed", {{"step", progress_.step}, {"what", error.problem()}});
    if (must_succeed) throw;
    log_->console().warning(str("step ", progress_.step, " was not saved: ", error.problem(),
                                "; fix: ", error.fix(), "; training goes on"));
    return;
  }
  saving_seconds_ = seconds_since(begin);
  log_->event("save", {{"step", progress_.step}, {"seconds", saving_seconds_}});
  if (leads()) remove_old_checkpoints();
}

void Trainer::finish_trace(bool is_last) {
  const std::optional<WrittenTrace> written = traces_->after_step(progress_.step, is_last);
  if (!written) return;
  const std::string steps = written->first_step == written->last_step
                                ? str("step ", written->first_step)
                                : str("steps ", written->first_step, " to ", written->last_step);
  if (!written->problem.empty()) {
    log_->event("trace_failed", {{"step", progress_.step}, {"what", written->problem}});
    log_->console().warning(str("no trace of ", steps, ": ", written->problem,
                                "; fix: ", written->fix, "; training goes on"));
    return;
  }
  log_->event("trace", {{"step", progress_.step},
                        {"first_step", written->first_step},
                        {"file", written->file.string()},
                        {"events_dropped", written->num_dropped}});
  log_->console().line(str("trace of ", steps, ": ", written->file.string()));
  if (written->num_dropped > 0) {
    log_->console().warning(str(written->num_dropped, " events were more than the trace holds; ",
                                "fix: list fewer steps in log.trace"));
  }
}

void Trainer::remove_old_checkpoints() {
  try {
    for (const std::string& line :
         retain(checkpoint_directory(), run_.checkpoint().keep(), run_.checkpoint().keep_every())) {
      log_->event("retain", {{"what", line}});
    }
  } catch (const Error& error) {
    // Too many checkpoints harm nobody; a rank that ends here would end the run.
    log_->console().warning(str("old checkpoints stay: ", error.problem()));
  }
}

ExitCode Trainer::run() {
  together(*groups_.world, [&] {
    if (!leads()) return;
    write_file_atomically(std::filesystem::path(run_.run().directory()) / "config.yaml",
                          facts_.config_yaml);
  });
  print_header();
  const Degrees& degrees = groups_.mesh.degrees();
  log_->event(progress_.step == 0 ? "start" : "resume", {{"step", progress_.step},
                                                         {"run_id", progress_.run_id},
                                                         {"restarts", progress_.restarts},
                                                         {"ranks", degrees.world()},
                                                         {"pipeline", degrees.pipeline},
                                                         {"data", degrees.data},
                                                         {"tensor", degrees.tensor},
                                                         {"parameters", num_parameters(*state_)}});
  for (const Difference& change : changes_) {
    log_->event("config_change", {{"step", progress_.step},
                                  {"key", change.key},
                                  {"before", change.before},
                                  {"after", change.after}});
  }
  for (const NumericsChange& change : numerics_changes_) {
    log_->event("numerics_change", {{"step", progress_.step},
                                    {"name", change.name},
                                    {"before", change.before},
                                    {"after", change.after}});
  }
  for (const std::string& name : options_.numerics.mixed) {
    log_->console().warning(str("the ranks differ in ", name, ": ", facts_.numerics.at(name),
                                "; the last bits depend on which rank runs where"));
  }
  std::int64_t saved_step = progress_.step;
  while (progress_.step < run_.run().steps()) {
    traces_->before_step(progress_.step + 1);
    const auto begin = Clock::now();
    const double waited = loader_->wait_seconds();
    LoggedStep logged;
    logged.report = one_step();
    step_seconds_ = seconds_since(begin);
    logged.step = progress_.step;
    logged.consumed_tokens = progress_.consumed_tokens;
    logged.step_tokens = plan_->rows(data_step_ - 1).global_size * run_.data().seq_length();
    logged.step_seconds = step_seconds_;
    logged.flops = step_flops(run_.model(), logged.report);
    logged.data_wait_seconds = loader_->wait_seconds() - waited;
    if (!logged.report.skipped) useful_seconds_ += step_seconds_ - logged.data_wait_seconds;
    logged.goodput = useful_seconds_ / seconds_since(start_);
    logged.memory_bytes = options_.device.peak_memory_bytes();
    if (must_validate()) logged.validation = validate();
    log_step(logged);
    const bool stop = is_time_to_stop();
    const bool last = progress_.step == run_.run().steps();
    if (stop || last || progress_.step % run_.checkpoint().interval() == 0) {
      save(/*must_succeed=*/stop || last);
      saved_step = progress_.step;
    }
    finish_trace(stop || last);
    if (stop && !last) {
      log_->console().line(str("stopped after step ", progress_.step,
                               ", saved; the same command goes on from here"));
      log_->event("preempted", {{"step", progress_.step}});
      return ExitCode::kPreempted;
    }
  }
  log_->console().line(str("done: step ", progress_.step, ", checkpoint ",
                           (checkpoint_directory() / step_folder_name(saved_step)).string()));
  log_->event("done", {{"step", progress_.step}});
  return ExitCode::kDone;
}

void Trainer::check_numerics() const {
  CLOZE_REQUIRE(!state_->scaler().must_stop(), ExitCode::kNumerics,
                str(LossScaler::kSkipLimit,
                    " steps in a row had non-finite gradients, the last is ", progress_.step),
                str("resume from ", checkpoint_directory().string(),
                    " with a lower optimizer.lr, or look for bad data"));
}

void Trainer::print_header() {
  const MemoryPlan plan = plan_of(*state_);
  for (const std::string& line : header_lines(*state_, progress_, plan, options_.device)) {
    log_->console().line(line);
  }
  const std::string warning = memory_warning(*groups_.world, plan, options_.device);
  if (!warning.empty()) log_->console().warning(warning);
}

}  // namespace cloze
