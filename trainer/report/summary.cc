#include "trainer/report/summary.h"

#include <cmath>
#include <optional>

#include "parallel/base/check.h"
#include "trainer/report/axis.h"
#include "trainer/report/markup.h"

namespace cloze {
namespace {

std::string at_step(const StepValue& value) { return " at step " + grouped(value.step); }

void add(std::vector<Figure>& figures, std::string name, std::string value,
         std::string detail = "") {
  figures.push_back({std::move(name), std::move(value), std::move(detail)});
}

void add_steps(const RunRecord& record, std::vector<Figure>& figures) {
  const std::int64_t done = record.metrics.lines.read > 0 ? record.metrics.last_step : 0;
  std::string detail;
  if (record.config && record.config->run().steps() > 0) {
    const std::int64_t steps = record.config->run().steps();
    detail =
        str("of ", grouped(steps), ", ",
            value_text(static_cast<double>(done) / static_cast<double>(steps), Unit::kShare, 3));
  }
  add(figures, "Steps", grouped(done), detail);
}

void add_loss(const std::string& title, const Series& series, const std::string& last_detail,
              std::vector<Figure>& figures) {
  const std::optional<StepValue> last = series.last();
  const std::optional<StepValue> best = series.lowest();
  if (!last || !best) return;
  std::string detail = str("best ", value_text(best->value, Unit::kNumber), at_step(*best));
  if (!last_detail.empty()) detail = last_detail + "; " + detail;
  add(figures, title, value_text(last->value, Unit::kNumber), detail);
}

// The mean of what was logged, and its highest value.
void add_mean(const std::string& title, const Series& series, Unit unit,
              std::vector<Figure>& figures) {
  const std::optional<StepValue> best = series.highest();
  if (!best) return;
  add(figures, title, value_text(series.mean(), unit, 3),
      str("mean; highest ", value_text(best->value, unit, 3)));
}

void add_ranks(const RunRecord& record, std::vector<Figure>& figures) {
  if (!record.degrees) return;
  const Degrees& degrees = *record.degrees;
  const std::string detail =
      str("pipeline ", degrees.pipeline, " × data ", degrees.data, " × tensor ", degrees.tensor);
  if (record.degrees_recorded) {
    add(figures, "Ranks", grouped(degrees.world()), detail);
  } else {
    add(figures, "Ranks", "not recorded",
        str("pipeline ", degrees.pipeline, " × tensor ", degrees.tensor, " a replica"));
  }
}

void add_trouble(const RunRecord& record, std::vector<Figure>& figures) {
  const std::int64_t resumes = record.events.count("resume");
  const std::int64_t failed = record.events.count("save_failed");
  const auto skipped = static_cast<std::int64_t>(std::llround(record.metrics.of("skipped").sum()));
  add(figures, "Skipped steps", grouped(skipped),
      skipped == 0 ? "all gradients were finite" : "gradients were not finite");
  add(figures, "Resumes", grouped(resumes),
      str(grouped(record.events.count("save")), " saves",
          failed > 0 ? str(", ", grouped(failed), " failed") : ""));
}

}  // namespace

std::vector<Figure> figures_of(const RunRecord& record) {
  const RunMetrics& metrics = record.metrics;
  std::vector<Figure> figures;
  add_steps(record, figures);
  add_loss("Loss", metrics.of("loss"), "", figures);
  std::string perplexity;
  if (const auto last = metrics.of("validation.perplexity").last()) {
    perplexity = "perplexity " + value_text(last->value, Unit::kNumber);
  }
  add_loss("Validation loss", metrics.of("validation.loss"), perplexity, figures);
  if (const auto tokens = metrics.of("tokens").last()) {
    add(figures, "Tokens", value_text(tokens->value, Unit::kNumber, 3), "positions of all rows");
  }
  if (record.seconds) {
    add(figures, "Wall time", duration(*record.seconds),
        record.state == RunState::kRunning ? "since the first start"
                                           : "from the first start to the last event");
  }
  add_mean("Tokens a second", metrics.of("tokens_per_second"), Unit::kNumber, figures);
  add_mean("MFU", metrics.of("mfu"), Unit::kShare, figures);
  if (const auto most = metrics.of("memory_bytes").highest()) {
    add(figures, "Memory", value_text(most->value, Unit::kBytes, 3), "most that rank 0 has used");
  }
  const RunEvent* start = record.events.newest_start();
  if (const auto count = start == nullptr ? std::nullopt : start->number("parameters")) {
    add(figures, "Parameters", value_text(static_cast<double>(*count), Unit::kNumber, 3),
        grouped(*count));
  }
  add_ranks(record, figures);
  add_trouble(record, figures);
  return figures;
}

std::string model_text(const RunRecord& record) {
  if (!record.config) return "";
  const config::Model& model = record.config->model();
  return str(config::Model::Family_Name(model.family()), ", ", model.num_hidden_layers(),
             " layers, hidden ", model.hidden_size(), ", vocabulary ", grouped(model.vocab_size()),
             ", ", config::Precision::Compute_Name(record.config->precision().compute()));
}

StateWords words_of(RunState state) {
  switch (state) {
    case RunState::kRunning:
      return {"running", "running"};
    case RunState::kDone:
      return {"done", "done"};
    case RunState::kPreempted:
      return {"stopped, to be resumed", "stopped"};
    case RunState::kGivenUp:
      return {"failed and given up", "broken"};
    case RunState::kInterrupted:
      return {"ended without a last word", "broken"};
  }
  return {"", ""};
}

}  // namespace cloze
