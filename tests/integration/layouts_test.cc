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
