#include "trainer/report/run_charts.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "parallel/base/check.h"

namespace cloze {
namespace {

// An objective keeps its colour in all charts; others take what is left.
int colour_of(std::string_view objective, std::size_t place) {
  const auto found = std::ranges::find(kObjectives, objective);
  if (found != kObjectives.end()) return 2 + static_cast<int>(found - kObjectives.begin());
  return 6 + static_cast<int>(place % 2);
}

Chart loss_chart(const RunMetrics& metrics) {
  Chart chart{.id = "loss", .title = "Loss", .quantity = "nats a target", .wide = true};
  add_curves(metrics.of("loss"), "training", 0, chart);
  add_dots(metrics.of("validation.loss"), "validation", 1, chart);
  chart.nothing = "No loss has been logged.";
  return chart;
}

// add_curves or add_dots.
using AddSeries = void (*)(const Series& series, const std::string& label, int colour,
                           Chart& chart);

// A curve for each number named `prefix` and an objective.
void add_objectives(const RunMetrics& metrics, const std::string& prefix, AddSeries add,
                    Chart& chart) {
  const std::vector<std::string> names = metrics.names_behind(prefix);
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == "scale") continue;  // loss_scale is no objective.
    add(metrics.of(prefix + names[i]), names[i], colour_of(names[i], i), chart);
  }
}

Chart objectives_chart(const RunMetrics& metrics) {
  Chart chart{.id = "objectives", .title = "Loss by objective", .quantity = "nats a target"};
  add_objectives(metrics, "loss_", add_curves, chart);
  chart.nothing = "No loss of an objective has been logged.";
  return chart;
}

// `chart` with the number `name` of the validations, of all targets and by objective.
Chart validation_chart(const RunMetrics& metrics, const std::string& name, Chart chart) {
  add_dots(metrics.of(name), "all", 1, chart);
  add_objectives(metrics, name + "_", add_dots, chart);
  chart.nothing = "No validation has been measured (validation.interval).";
  return chart;
}

bool has_loss_scale(const RunRecord& record) {
  if (record.config) return record.config->precision().compute() == config::Precision::fp16;
  const auto highest = record.metrics.of("loss_scale").highest();
  return highest && highest->value != 1;
}

// A chart of one number.
struct Single {
  const char* name;
  const char* id;
  const char* title;
  const char* quantity;
  Unit unit;
  AddSeries add;
};

constexpr std::array<Single, 7> kSingles = {{
    {"lr", "rate", "Learning rate", "of the step", Unit::kNumber, add_dots},
    {"grad_norm", "norm", "Gradient norm", "before clipping", Unit::kNumber, add_curves},
    {"tokens_per_second", "throughput", "Throughput", "tokens a second, all ranks", Unit::kNumber,
     add_curves},
    {"mfu", "mfu", "Model FLOPs utilisation", "of the measured peak", Unit::kShare, add_curves},
    {"memory_bytes", "memory", "Memory", "most that rank 0 has used", Unit::kBytes, add_dots},
    {"data_wait_seconds", "wait", "Waiting for data", "of a step", Unit::kSeconds, add_curves},
    {"loss_scale", "scale", "Loss scale", "fp16", Unit::kNumber, add_dots},
}};

Chart single_chart(const RunMetrics& metrics, const Single& single) {
  Chart chart{.id = single.id,
              .title = single.title,
              .quantity = single.quantity,
              .unit = single.unit,
              .from_zero = true};
  single.add(metrics.of(single.name), "", 0, chart);
  chart.nothing = str("No ", single.name, " has been logged.");
  return chart;
}

}  // namespace

std::vector<Chart> charts_of(const RunRecord& record) {
  std::vector<Chart> charts = {
      loss_chart(record.metrics), objectives_chart(record.metrics),
      validation_chart(
          record.metrics, "validation.loss",
          {.id = "validation", .title = "Validation loss", .quantity = "nats a target"}),
      validation_chart(
          record.metrics, "validation.perplexity",
          {.id = "perplexity", .title = "Validation perplexity", .quantity = "e to the loss"})};
  for (const Single& single : kSingles) {
    if (std::string_view(single.name) == "loss_scale" && !has_loss_scale(record)) continue;
    charts.push_back(single_chart(record.metrics, single));
  }
  return charts;
}

StepRange steps_of(const RunRecord& record) {
  const auto first = static_cast<double>(record.metrics.first_step);
  const auto last = static_cast<double>(record.metrics.last_step);
  // From the start, unless what is logged begins late.
  StepRange range{first <= 0.1 * last || first <= 1 ? 0 : first, last};
  if (range.last <= range.first) range.last = range.first + 1;
  return range;
}

}  // namespace cloze
