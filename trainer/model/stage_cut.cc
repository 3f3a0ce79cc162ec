#include "trainer/model/stage_cut.h"

#include <algorithm>
#include <limits>

#include "parallel/base/check.h"

namespace cloze {

namespace {

// Share of the positions that have a target, about: what the head computes of.
double target_share(const config::Objective& objective) {
  if (objective.kind() == config::Objective::causal) return 1;
  // A [MASK] span has one target more than tokens.
  const double spans = objective.mask_ratio() * (1 + 1 / objective.span_mean());
  const double documents = (1 + objective.document_min_ratio()) / 2;
  return std::min(1.0, objective.span_share() * spans +
                           objective.sentence_share() * objective.sentence_ratio() +
                           objective.document_share() * documents);
}

}  // namespace

double block_elements(const config::Model& model) {
  const auto hidden = static_cast<double>(model.hidden_size());
  const auto all_heads =
      static_cast<double>(model.num_attention_heads() + model.num_key_value_heads());
  const double matrices = model.family() == config::Model::glm2021 ? 2 : 3;
  return 2 * hidden * all_heads * static_cast<double>(model.head_dim()) +
         matrices * hidden * static_cast<double>(model.intermediate_size());
}

LayerCosts layer_costs(const config::Run& run) {
  const config::Model& model = run.model();
  const auto hidden = static_cast<double>(model.hidden_size());
  const auto head_dim = static_cast<double>(model.head_dim());
  const auto heads = static_cast<double>(model.num_attention_heads());
  // A token without a target sees those without; one with a target sees them and the earlier
  // targets.
  const double targets = target_share(run.objective());
  const double seen =
      static_cast<double>(run.data().seq_length()) * (1 - targets + targets * targets / 2);
  return {.layer = block_elements(model) + 2 * heads * head_dim * seen,
          .embedding = 2 * hidden,
          .head = targets * hidden * static_cast<double>(model.vocab_size())};
}

std::vector<Range> cut_by_cost(std::int64_t num_layers, int num_stages, const LayerCosts& costs) {
  CLOZE_REQUIRE(num_layers >= num_stages, ExitCode::kUsage,
                str(num_layers, " layers cannot be cut in ", num_stages, " stages"),
                "choose a parallel.pipeline of at most model.num_hidden_layers");
  const auto stages = static_cast<std::size_t>(num_stages);
  const auto layers = static_cast<std::size_t>(num_layers);
  const auto stage_cost = [&](std::size_t stage, std::size_t count) {
    return static_cast<double>(count) * costs.layer + (stage == 0 ? costs.embedding : 0) +
           (stage + 1 == stages ? costs.head : 0);
  };
  // best[s][n]: the lightest maximum when the stages from s on hold the last n layers.
  std::vector best(stages + 1,
                   std::vector<double>(layers + 1, std::numeric_limits<double>::infinity()));
  std::vector taken(stages, std::vector<std::size_t>(layers + 1, 0));
  best[stages][0] = 0;
  for (std::size_t stage = stages; stage-- > 0;) {
    for (std::size_t rest = stages - stage; rest <= layers; ++rest) {
      for (std::size_t count = rest; count >= 1; --count) {
        const double worst = std::max(stage_cost(stage, count), best[stage + 1][rest - count]);
        if (worst >= best[stage][rest]) continue;
        best[stage][rest] = worst;
        taken[stage][rest] = count;
      }
    }
  }
  std::vector<Range> ranges;
  std::int64_t first = 0;
  for (std::size_t stage = 0; stage < stages; ++stage) {
    const auto count =
        static_cast<std::int64_t>(taken[stage][static_cast<std::size_t>(num_layers - first)]);
    ranges.push_back({first, first + count});
    first += count;
  }
  return ranges;
}

std::vector<Range> cut_stages(const config::Run& run) {
  const config::Model& model = run.model();
  const config::Parallel& parallel = run.parallel();
  if (parallel.stage_layers_size() == 0) {
    return cut_by_cost(model.num_hidden_layers(), parallel.pipeline(), layer_costs(run));
  }
  std::vector<Range> ranges;
  std::int64_t first = 0;
  for (const std::int64_t count : parallel.stage_layers()) {
    ranges.push_back({first, first + count});
    first += count;
  }
  CLOZE_REQUIRE(
      first == model.num_hidden_layers() && parallel.stage_layers_size() == parallel.pipeline(),
      ExitCode::kUsage,
      str("parallel.stage_layers has ", parallel.stage_layers_size(), " stages and ", first,
          " layers; the run has ", parallel.pipeline(), " stages and ", model.num_hidden_layers(),
          " layers"),
      "give one number a stage; together they are all layers");
  return ranges;
}

}  // namespace cloze
