// Whether the layout fits the model, the batch and the ranks.
#include <algorithm>
#include <numeric>

#include "parallel/base/check.h"
#include "parallel/base/join.h"
#include "trainer/config/keys.h"
#include "trainer/config/rule_list.h"
#include "trainer/config/rules.h"

namespace cloze {
namespace {

// Tensor ranks share whole heads; key and value heads are cut, or copied when there are fewer.
bool heads_fit(const config::Model& model, std::int64_t tensor) {
  const std::int64_t kv_heads = model.num_key_value_heads();
  return model.num_attention_heads() % tensor == 0 &&
         (kv_heads % tensor == 0 || tensor % kv_heads == 0);
}

bool tensor_fits(const config::Model& model, std::int64_t tensor) {
  return heads_fit(model, tensor) && model.intermediate_size() % tensor == 0;
}

bool batch_fits(const config::BatchSize& batch, std::int64_t data) {
  const std::int64_t rows = batch.micro_size() * data;
  return batch.global_size() % rows == 0 &&
         (batch.ramp_samples() == 0 ||
          (batch.ramp_start() % rows == 0 && batch.ramp_increment() % rows == 0));
}

// The nearest multiples of `unit`: "8 or 16".
std::string multiples_near(std::int64_t value, std::int64_t unit) {
  const std::int64_t lower = value / unit * unit;
  return lower == 0 ? std::to_string(unit) : str(lower, " or ", lower + unit);
}

bool has_sizes(const config::Model& model) {
  return model.num_attention_heads() > 0 && model.num_key_value_heads() > 0 &&
         model.intermediate_size() > 0;
}

void check_tensor(RuleList& rules) {
  const config::Model& model = rules.run().model();
  const std::int64_t tensor = rules.run().parallel().tensor();
  if (!has_sizes(model)) return;
  const std::string fix =
      str("these sizes allow parallel.tensor ", tensor_choices(model), "; or change the size");
  const std::int64_t kv_heads = model.num_key_value_heads();
  rules.require(
      model.num_attention_heads() % tensor == 0, {"parallel.tensor", "model.num_attention_heads"},
      str("num_attention_heads ", model.num_attention_heads(), " % tensor ", tensor, " is not 0"),
      fix);
  rules.require(
      kv_heads % tensor == 0 || tensor % kv_heads == 0,
      {"parallel.tensor", "model.num_key_value_heads"},
      str("num_key_value_heads ", kv_heads, " and tensor ", tensor, ": neither divides the other"),
      fix);
  rules.require(
      model.intermediate_size() % tensor == 0, {"parallel.tensor", "model.intermediate_size"},
      str("intermediate_size ", model.intermediate_size(), " % tensor ", tensor, " is not 0"), fix);
}

void check_pipeline(RuleList& rules) {
  const config::Run& run = rules.run();
  const std::int64_t layers = run.model().num_hidden_layers();
  const std::int64_t pipeline = run.parallel().pipeline();
  if (layers == 0) return;
  rules.require(layers >= pipeline, {"parallel.pipeline", "model.num_hidden_layers"},
                str("num_hidden_layers ", layers, " < pipeline ", pipeline,
                    ": a stage needs at least one layer"),
                str("write parallel.pipeline ", layers, " or less"));
  const auto& stages = run.parallel().stage_layers();
  if (stages.empty()) return;
  const bool has_all = stages.size() == pipeline;
  rules.require(has_all, {"parallel.stage_layers", "parallel.pipeline"},
                str("stage_layers has ", stages.size(), " stages, pipeline is ", pipeline),
                str("write ", pipeline, " numbers that sum to ", layers, ", or auto"));
  const std::int64_t sum = std::accumulate(stages.begin(), stages.end(), std::int64_t{0});
  rules.require(sum == layers, {"parallel.stage_layers", "model.num_hidden_layers"},
                str("stage_layers sum to ", sum, ", num_hidden_layers is ", layers),
                str("write numbers that sum to ", layers, ", or auto"));
}

// The layouts that this model and batch can have on so many ranks.
std::string layout_choices(const config::Run& run, int world_size) {
  constexpr std::size_t kMostLayouts = 16;
  std::vector<std::string> choices;
  for (const Degrees& layout : layouts_of(world_size)) {
    const bool fits = (!has_sizes(run.model()) || tensor_fits(run.model(), layout.tensor)) &&
                      (run.model().num_hidden_layers() == 0 ||
                       run.model().num_hidden_layers() >= layout.pipeline) &&
                      batch_fits(run.batch(), layout.data);
    if (!fits) continue;
    if (choices.size() == kMostLayouts) {
      choices.emplace_back("...");
      break;
    }
    choices.push_back(str(layout.tensor, " x ", layout.pipeline, " x ", layout.data));
  }
  if (choices.empty()) return "no layout of so many ranks fits this model and batch";
  return str("layouts that fit (tensor x pipeline x data): ", join(choices));
}

// The degree of the data axis; 1 when the number of ranks is not known or does not fit.
std::int64_t check_world(RuleList& rules, std::optional<int> world_size) {
  if (!world_size) return 1;
  CLOZE_CHECK(*world_size >= 1, str(*world_size, " ranks"), "a job has at least one rank");
  const config::Parallel& parallel = rules.run().parallel();
  const std::int64_t others =
      std::int64_t{parallel.tensor()} * parallel.pipeline() * parallel.context();
  rules.require(*world_size % others == 0,
                {"parallel.tensor", "parallel.pipeline", "parallel.context"},
                str("tensor ", parallel.tensor(), " * pipeline ", parallel.pipeline(),
                    " * context ", parallel.context(), " = ", others, " does not divide the ",
                    *world_size, " ranks of the job"),
                layout_choices(rules.run(), *world_size));
  return *world_size % others == 0 ? *world_size / others : 1;
}

void check_batch(RuleList& rules, std::int64_t data) {
  const config::BatchSize& batch = rules.run().batch();
  const std::int64_t rows = batch.micro_size() * data;
  const std::string unit = str("micro_size ", batch.micro_size(), " * data ", data);
  rules.require(batch.global_size() % rows == 0, {"batch.global_size", "batch.micro_size"},
                str("global_size ", batch.global_size(), " % (", unit, ") is not 0"),
                str("write batch.global_size ", multiples_near(batch.global_size(), rows)));
  if (batch.ramp_samples() == 0) return;
  const bool has_both = batch.has_ramp_start() && batch.has_ramp_increment();
  rules.require(has_both, {"batch.ramp_samples", "batch.ramp_start", "batch.ramp_increment"},
                "batch.ramp_samples needs ramp_start and ramp_increment",
                str("write ramp_start: ", rows, " and ramp_increment: ", rows));
  if (!has_both) return;
  rules.require(batch.ramp_start() % rows == 0, {"batch.ramp_start", "batch.micro_size"},
                str("ramp_start ", batch.ramp_start(), " % (", unit, ") is not 0"),
                str("write ", multiples_near(batch.ramp_start(), rows)));
  rules.require(batch.ramp_increment() % rows == 0, {"batch.ramp_increment", "batch.micro_size"},
                str("ramp_increment ", batch.ramp_increment(), " % (", unit, ") is not 0"),
                str("write ", multiples_near(batch.ramp_increment(), rows)));
  const std::int64_t growth = batch.global_size() - batch.ramp_start();
  rules.require(growth >= 0 && growth % batch.ramp_increment() == 0,
                {"batch.ramp_start", "batch.ramp_increment", "batch.global_size"},
                str("the ramp from ", batch.ramp_start(), " by ", batch.ramp_increment(),
                    " does not reach global_size ", batch.global_size()),
                "choose ramp_start and ramp_increment so that whole increments reach it");
}

}  // namespace

std::string tensor_choices(const config::Model& model) {
  constexpr std::size_t kMostChoices = 12;
  std::vector<std::string> choices;
  for (std::int64_t tensor = 1; tensor <= model.num_attention_heads(); ++tensor) {
    if (tensor_fits(model, tensor)) choices.push_back(std::to_string(tensor));
    if (choices.size() == kMostChoices) break;
  }
  return join(choices);
}

void check_layout_rules(RuleList& rules, std::optional<int> world_size) {
  check_tensor(rules);
  check_pipeline(rules);
  check_batch(rules, check_world(rules, world_size));
}

Degrees degrees_of(const config::Parallel& parallel, int world_size) {
  Degrees degrees;
  degrees.pipeline = parallel.pipeline();
  degrees.context = parallel.context();
  degrees.tensor = parallel.tensor();
  const int others = degrees.world();
  CLOZE_REQUIRE(
      others >= 1 && world_size % others == 0, ExitCode::kUsage,
      str("tensor * pipeline * context = ", others, " does not divide ", world_size, " ranks"),
      "choose degrees whose product divides the ranks");
  degrees.data = world_size / others;
  return degrees;
}

}  // namespace cloze
