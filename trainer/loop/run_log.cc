#include "trainer/loop/run_log.h"

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "data/objective_options.h"
#include "trainer/loop/throughput.h"

namespace cloze {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kObjectives = {Objective::kMask, Objective::kSentence, Objective::kDocument,
                                    Objective::kCausal};

// loss_mask, loss_sentence, ...: of the objectives that the sums have targets of.
void add_objectives(const LossSums& sums, Json& json) {
  for (const Objective objective : kObjectives) {
    if (sums.targets[static_cast<std::size_t>(objective)] == 0) continue;
    json["loss_" + std::string(name_of(objective))] = sums.mean(objective);
  }
}

Json validation_json(const LossSums& sums) {
  Json json;
  json["loss"] = sums.mean();
  json["perplexity"] = std::exp(sums.mean());
  add_objectives(sums, json);
  for (const Objective objective : kObjectives) {
    if (sums.targets[static_cast<std::size_t>(objective)] == 0) continue;
    json["perplexity_" + std::string(name_of(objective))] = std::exp(sums.mean(objective));
  }
  return json;
}

StepSpeed speed_of(const LoggedStep& logged, double peak_flops, std::int64_t last_step) {
  StepSpeed speed;
  speed.step_seconds = logged.step_seconds;
  speed.tokens_per_second = static_cast<double>(logged.step_tokens) / logged.step_seconds;
  speed.tflops = logged.flops / logged.step_seconds / 1e12;
  speed.mfu = logged.flops / logged.step_seconds / peak_flops;
  speed.eta_seconds = logged.step_seconds * static_cast<double>(last_step - logged.step);
  return speed;
}

}  // namespace

RunLog::RunLog(const config::Run& run, bool enabled, std::int64_t resume_step, double peak_flops)
    : run_(run), enabled_(enabled), peak_flops_(peak_flops), console_(enabled, run.run().steps()) {
  if (!enabled) return;
  const std::filesystem::path folder = run.run().directory();
  metrics_.emplace(folder / "metrics.jsonl", resume_step);
  events_.emplace(folder / "events.jsonl");
  if (run.log().tensorboard()) tensorboard_.emplace(folder / "tensorboard", resume_step);
}

void RunLog::event(std::string_view name, const Json& fields) {
  if (enabled_) events_->record(name, fields);
}

void RunLog::sync() {
  if (enabled_) metrics_->sync();
}

bool RunLog::is_due(const LoggedStep& logged) const {
  return logged.step % run_.log().interval() == 0 || logged.step == 1 ||
         logged.step == run_.run().steps() || logged.validation || logged.report.skipped;
}

void RunLog::step(const LoggedStep& logged) {
  if (!enabled_) return;
  console_.progress(logged.step, logged.report.loss());
  if (!is_due(logged)) return;
  const StepSpeed speed = speed_of(logged, peak_flops_, run_.run().steps());
  const StepReport& report = logged.report;
  console_.step(logged.step, report, speed);

  Json json;
  json["step"] = logged.step;
  json["loss"] = report.loss();
  json["grad_norm"] = report.gradient_norm;
  json["lr"] = report.learning_rate;
  json["tokens"] = logged.consumed_tokens;
  json["tokens_per_second"] = speed.tokens_per_second;
  json["step_seconds"] = speed.step_seconds;
  json["tflops"] = speed.tflops;
  json["mfu"] = speed.mfu;
  json["loss_scale"] = report.loss_scale;
  json["memory_bytes"] = logged.memory_bytes;
  json["data_wait_seconds"] = logged.data_wait_seconds;
  json["goodput"] = logged.goodput;
  json["skipped"] = report.skipped;
  add_objectives(report.losses, json);
  if (logged.validation) {
    json["validation"] = validation_json(*logged.validation);
    console_.line(validation_line(logged.step, logged.validation->mean()));
  }
  metrics_->write(json);

  if (!tensorboard_) return;
  std::vector<Scalar> scalars = {{"train/loss", report.loss()},
                                 {"train/grad_norm", report.gradient_norm},
                                 {"train/learning_rate", report.learning_rate},
                                 {"speed/tokens_per_second", speed.tokens_per_second},
                                 {"speed/mfu", speed.mfu},
                                 {"speed/goodput", logged.goodput}};
  if (logged.validation) {
    for (const auto& [name, value] : json.at("validation").items()) {
      scalars.push_back({"validation/" + name, value.get<double>()});
    }
  }
  tensorboard_->write(logged.step, scalars);
}

}  // namespace cloze
