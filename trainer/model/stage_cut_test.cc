#include "trainer/model/stage_cut.h"

#include <gtest/gtest.h>

#include "parallel/base/check.h"

namespace cloze {
namespace {

std::vector<std::int64_t> counts(const std::vector<Range>& ranges) {
  std::vector<std::int64_t> result;
  for (const Range& range : ranges) result.push_back(range.count());
  return result;
}

// The heaviest stage of a cut.
double heaviest(const std::vector<Range>& ranges, const LayerCosts& costs) {
  double worst = 0;
  for (std::size_t stage = 0; stage < ranges.size(); ++stage) {
    double cost = static_cast<double>(ranges[stage].count()) * costs.layer;
    if (stage == 0) cost += costs.embedding;
    if (stage + 1 == ranges.size()) cost += costs.head;
    worst = std::max(worst, cost);
  }
  return worst;
}

// Tries every cut.
double best_of_all(std::int64_t layers, int stages, const LayerCosts& costs,
                   std::vector<Range> before = {}) {
  const std::int64_t first = before.empty() ? 0 : before.back().last;
  if (stages == 1) {
    before.push_back({first, layers});
    return heaviest(before, costs);
  }
  double best = 1e300;
  for (std::int64_t last = first + 1; last <= layers - stages + 1; ++last) {
    std::vector<Range> next = before;
    next.push_back({first, last});
    best = std::min(best, best_of_all(layers, stages - 1, costs, next));
  }
  return best;
}

TEST(StageCutTest, NoOtherCutHasALighterHeaviestStage) {
  for (const double head : {0.0, 0.5, 1.7, 4.0}) {
    const LayerCosts costs{.layer = 1, .embedding = 0.1, .head = head};
    for (const int stages : {1, 2, 3, 4}) {
      for (std::int64_t layers = stages; layers <= 9; ++layers) {
        const std::vector<Range> ranges = cut_by_cost(layers, stages, costs);
        EXPECT_EQ(ranges.front().first, 0);
        EXPECT_EQ(ranges.back().last, layers);
        EXPECT_NEAR(heaviest(ranges, costs), best_of_all(layers, stages, costs), 1e-12);
      }
    }
  }
}

TEST(StageCutTest, EqualLayersAreCutEvenly) {
  EXPECT_EQ(counts(cut_by_cost(8, 4, {.layer = 1, .embedding = 0, .head = 0})),
            (std::vector<std::int64_t>{2, 2, 2, 2}));
}

TEST(StageCutTest, AHeavyHeadTakesLayersFromTheLastStage) {
  EXPECT_EQ(counts(cut_by_cost(8, 2, {.layer = 1, .embedding = 0, .head = 6})),
            (std::vector<std::int64_t>{7, 1}));
}

// Eight layers of 2.8 M elements below a head of 16.4 M.
config::Run small_layers_below_a_large_head() {
  config::Run run;
  config::Model& model = *run.mutable_model();
  model.set_num_hidden_layers(8);
  model.set_hidden_size(512);
  model.set_num_attention_heads(8);
  model.set_num_key_value_heads(2);
  model.set_head_dim(64);
  model.set_intermediate_size(1376);
  model.set_vocab_size(32000);
  run.mutable_parallel()->set_pipeline(2);
  return run;
}

TEST(StageCutTest, TheHeadCostsWhatTheTargetsOfTheObjectiveMakeItCost) {
  config::Run run = small_layers_below_a_large_head();
  run.mutable_objective()->set_kind(config::Objective::causal);
  EXPECT_EQ(counts(cut_stages(run)), (std::vector<std::int64_t>{7, 1}));
  EXPECT_DOUBLE_EQ(layer_costs(run).head, 512.0 * 32000);
  run.mutable_objective()->set_kind(config::Objective::blank_infilling);
  EXPECT_EQ(counts(cut_stages(run)), (std::vector<std::int64_t>{5, 3}));
  // Half spans of 15 %, a fifth sentences of 15 %, the rest documents of 75 %.
  EXPECT_NEAR(layer_costs(run).head, (0.1 + 0.03 + 0.225) * 512 * 32000, 1);
}

TEST(StageCutTest, GivenLayersAreTaken) {
  config::Run run;
  run.mutable_model()->set_num_hidden_layers(8);
  run.mutable_parallel()->set_pipeline(2);
  run.mutable_parallel()->add_stage_layers(7);
  run.mutable_parallel()->add_stage_layers(1);
  EXPECT_EQ(counts(cut_stages(run)), (std::vector<std::int64_t>{7, 1}));
  run.mutable_parallel()->set_stage_layers(1, 2);
  EXPECT_THROW(cut_stages(run), Error);
}

TEST(StageCutTest, FewerLayersThanStagesAreRefused) {
  EXPECT_THROW(cut_by_cost(3, 4, {.layer = 1, .embedding = 0, .head = 0}), Error);
}

}  // namespace
}  // namespace cloze
