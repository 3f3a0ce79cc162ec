#include "trainer/bench/step_bench.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "data/loader.h"
#include "parallel/base/check.h"
#include "parallel/base/clock.h"
#include "parallel/pass/caching_allocator.h"
#include "trainer/bench/figure_text.h"
#include "trainer/bench/synthetic_samples.h"
#include "trainer/doctor/median.h"
#include "trainer/loop/agreement.h"
#include "trainer/loop/console.h"
#include "trainer/loop/header.h"
#include "trainer/loop/step_memory.h"
#include "trainer/loop/throughput.h"
#include "trainer/loop/train_step.h"

namespace cloze {
namespace {

constexpr std::int64_t kStepsBetweenPeaks = 5;
constexpr std::int64_t kPeakSize = 2048;  // Rows and columns of the product.

// Rate of a step that changes weights but cannot make them diverge, whatever the config's.
constexpr double kLearningRate = 1e-5;

void add_memory(Communicator& world, std::int64_t requests_before, StepFigures& figures) {
  const AllocatorStatistics now = allocator_statistics();
  figures.requests_after_start = sum_of(world, now.system_requests - requests_before);
  figures.tensor_bytes = largest_of(world, figures.tensor_bytes);
  figures.memory_bytes = largest_of(world, figures.memory_bytes);
}

}  // namespace

double StepFigures::median_seconds() const { return median_of(step_seconds); }
double StepFigures::tokens_per_second() const {
  return static_cast<double>(step_tokens) / median_seconds();
}
double StepFigures::targets_per_second() const { return step_targets / median_seconds(); }
double StepFigures::flops_per_second() const { return step_flops / median_seconds(); }
double StepFigures::mfu() const { return flops_per_second() / peak_flops_per_second; }

StepFigures bench_step(TrainingState& state, const StepBenchOptions& options) {
  const config::Run& run = state.run();
  const Groups& groups = state.groups();
  Communicator& world = *groups.world;
  StepFigures figures{.parameters = num_parameters(state),
                      .ranks = world.size(),
                      .threads = at::get_num_threads(),
                      .step_tokens = run.batch().global_size() * run.data().seq_length()};
  std::optional<SampleSource> samples;
  together(world, [&] { samples.emplace(synthetic_samples(run)); });
  Loader loader(*samples, BatchPlan({.global_size = run.batch().global_size()}),
                {.microbatch = microbatch_options(run, groups), .prefetch = run.data().prefetch()});
  // The machine's peak is taken beside the steps: other work on it slows both.
  const auto measure_peak = [&] {
    figures.peak_flops_per_second =
        std::max(figures.peak_flops_per_second, measured_peak(world, kPeakSize));
  };
  figures.planned_bytes = largest_of(world, plan_of(state).peak);
  std::int64_t requests_before = 0;
  double waited = 0;
  for (std::int64_t step = -options.warm_up; step < options.steps; ++step) {
    if (step == 0) {
      // Of whole steps alone: the products of the peak come after.
      figures.tensor_bytes = allocator_statistics().peak_bytes_in_use;
      figures.memory_bytes = peak_memory_bytes();
      measure_peak();
      requests_before = allocator_statistics().system_requests;
      waited = loader.wait_seconds();
    } else if (step > 0 && step % kStepsBetweenPeaks == 0) {
      measure_peak();
    }
    world.barrier();
    const auto start = Clock::now();
    const StepReport report = train_step(state, loader.next_step(), kLearningRate);
    world.barrier();  // The slowest rank's time.
    const double seconds = seconds_since(start);
    if (step < 0) continue;
    figures.step_seconds.push_back(seconds);
    figures.step_targets += static_cast<double>(report.targets);
    figures.step_flops += step_flops(run.model(), report);
    figures.skipped += report.skipped ? 1 : 0;
    figures.loss = report.loss();
  }
  measure_peak();
  figures.step_targets /= static_cast<double>(options.steps);
  figures.step_flops /= static_cast<double>(options.steps);
  figures.data_wait_seconds = loader.wait_seconds() - waited;
  add_memory(world, requests_before, figures);
  return figures;
}

nlohmann::ordered_json json_of(const StepFigures& figures) {
  return {{"bench", "step"},
          {"tokens_per_second", figures.tokens_per_second()},
          {"targets_per_second", figures.targets_per_second()},
          {"mfu", figures.mfu()},
          {"step_seconds", figures.median_seconds()},
          {"step_seconds_each", figures.step_seconds},
          {"data_wait_seconds", figures.data_wait_seconds},
          {"flops_per_step", figures.step_flops},
          {"flops_per_second", figures.flops_per_second()},
          {"peak_flops_per_second", figures.peak_flops_per_second},
          {"tokens_per_step", figures.step_tokens},
          {"targets_per_step", figures.step_targets},
          {"parameters", figures.parameters},
          {"ranks", figures.ranks},
          {"threads", figures.threads},
          {"memory_bytes", figures.memory_bytes},
          {"tensor_bytes", figures.tensor_bytes},
          {"planned_bytes", figures.planned_bytes},
          {"requests_after_start", figures.requests_after_start},
          {"skipped", figures.skipped},
          {"loss", figures.loss}};
}

std::vector<std::string> lines_of(const StepFigures& figures) {
  const auto [least, most] = std::ranges::minmax_element(figures.step_seconds);
  return {
      str("step | median ", text_of(figures.median_seconds(), "s"), " of ",
          figures.step_seconds.size(), " (", text_of(*least, "s"), " to ", text_of(*most, "s"),
          "), waited for data ", text_of(figures.data_wait_seconds, "s")),
      str("speed | ", count_text(figures.tokens_per_second()), " tokens/s, ",
          count_text(figures.targets_per_second()), " targets/s, ",
          text_of(figures.flops_per_second(), "FLOP/s"), ", MFU ",
          std::round(1000 * figures.mfu()) / 10, " % of ",
          text_of(figures.peak_flops_per_second, "FLOP/s")),
      str("memory | ", text_of(figures.memory_bytes, "bytes"), " resident, tensors ",
          text_of(figures.tensor_bytes, "bytes"), " of ", text_of(figures.planned_bytes, "bytes"),
          " planned, asked of the system in timed steps ", figures.requests_after_start, " times")};
}

}  // namespace cloze
