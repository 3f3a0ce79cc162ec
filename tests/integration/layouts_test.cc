// The same model on every layout of MPI ranks.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/integration/training.h"

namespace cloze {
namespace {

struct Layout {
  const char* name;
  int ranks;
  Words settings;
};

class LayoutsTest : public TrainingTest, public testing::WithParamInterface<const char*> {
 protected:
  Words family() const {
    return std::string(GetParam()) == "glm2021" ? glm2021_settings() : Words{};
  }
};

INSTANTIATE_TEST_SUITE_P(Families, LayoutsTest, testing::Values("glm4", "glm2021"),
                         [](const auto& info) { return std::string(info.param); });

Words tensor_pipeline(int tensor, int pipeline) {
  return {"parallel.tensor=" + std::to_string(tensor),
          "parallel.pipeline=" + std::to_string(pipeline)};
}

TEST_P(LayoutsTest, FirstLossIsOneRanksAndWeightsAreTheSameBits) {
  // The only step's rate is zero: what it saves are the initial weights.
  const Words still =
      family() + Words{"run.steps=1", "schedule.kind=linear", "optimizer.weight_decay=0"};
  expect_done(train(0, "one", still));
  const double expected = losses("one").at(0);
  const Contents initial = weights("one", 1);
  const std::vector<Layout> layouts = {{"tensor2", 2, tensor_pipeline(2, 1)},
                                       {"pipeline2", 2, tensor_pipeline(1, 2)},
                                       {"data2", 2, {}},
                                       {"tensor4", 4, tensor_pipeline(4, 1)},
                                       {"tensor2-pipeline2", 4, tensor_pipeline(2, 2)},
                                       {"data2-tensor2", 4, tensor_pipeline(2, 1)},
                                       {"all2", 8, tensor_pipeline(2, 2)}};
  for (const Layout& layout : layouts) {
    const Outcome outcome = train(layout.ranks, layout.name, still + layout.settings);
    expect_done(outcome);
    const std::vector<double> curve = losses(layout.name);
    ASSERT_EQ(curve.size(), 1U) << layout.name;
    EXPECT_NEAR(curve[0], expected, 1e-6 * expected) << layout.name;
    EXPECT_EQ(weights(layout.name, 1), initial) << layout.name;
  }
}

// Validation sums over stages, tensor ranks and data ranks, apart for each objective. Its rows do
// not divide by the data ranks.
TEST_P(LayoutsTest, ValidationIsOneRanks) {
  // The only step's rate is zero: the initial weights are validated.
  const Words still =
      family() + Words{"run.steps=1", "schedule.kind=linear", "optimizer.weight_decay=0",
                       "validation.interval=1", "validation.rows=31"};
  expect_done(train(0, "one", still));
  const nlohmann::json expected = metrics("one").at(0).at("validation");
  ASSERT_EQ(expected.size(), 8U) << "loss and perplexity of all and of three objectives";
  const std::vector<Layout> layouts = {{"tensor2-pipeline2", 4, tensor_pipeline(2, 2)},
                                       {"data2", 2, {}}};
  for (const Layout& layout : layouts) {
    expect_done(train(layout.ranks, layout.name, still + layout.settings));
    const nlohmann::json validation = metrics(layout.name).at(0).at("validation");
    EXPECT_EQ(validation.size(), expected.size()) << validation;
    for (const auto& [key, value] : expected.items()) {
      // A perplexity's relative error is the absolute one of its loss, near six nats.
      const double tolerance = key.starts_with("loss") ? 1e-6 : 1e-5;
      EXPECT_NEAR(validation.at(key).get<double>() / value.get<double>(), 1, tolerance)
          << layout.name << " " << key;
    }
  }
}

TEST_P(LayoutsTest, PipelineDegreeChangesNoBit) {
  const std::vector<std::vector<Layout>> groups = {
      {{"p1", 0, {}},
       {"p2", 2, tensor_pipeline(1, 2)},
       {"p4", 4, tensor_pipeline(1, 4) + Words{"parallel.schedule=gpipe"}}},
      {{"data2-p1", 2, {}}, {"data2-p2", 4, tensor_pipeline(1, 2)}},
      {{"tensor2-p1", 2, tensor_pipeline(2, 1)}, {"tensor2-p2", 4, tensor_pipeline(2, 2)}}};
  for (const std::vector<Layout>& group : groups) {
    for (const Layout& layout : group) {
      expect_done(
          train(layout.ranks, layout.name, family() + Words{"run.steps=3"} + layout.settings));
      EXPECT_EQ(losses(layout.name), losses(group[0].name)) << layout.name;
      EXPECT_EQ(contents(layout.name, 3), contents(group[0].name, 3)) << layout.name;
    }
  }
}

}  // namespace
}  // namespace cloze
