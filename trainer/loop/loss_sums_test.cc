#include "trainer/loop/loss_sums.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/run_ranks.h"

namespace cloze {
namespace {

TEST(LossSumsTest, LossesAreSummedByObjective) {
  Batch batch;
  batch.loss_mask = {0, 1, 1, 0, 1};
  batch.objective = {0, 0, 2, 2, 2};
  const LossSums sums = loss_sums(batch, {1.5, 2.0, 4.0});
  EXPECT_EQ(sums.mean(Objective::kMask), 1.5);
  EXPECT_EQ(sums.mean(Objective::kDocument), 3);
  EXPECT_EQ(sums.mean(), 2.5);
  EXPECT_TRUE(std::isnan(sums.mean(Objective::kCausal)));
}

TEST(LossSumsTest, EveryRankGetsTheSumOfTheLastStages) {
  const Degrees degrees{.pipeline = 2, .data = 2, .tensor = 2};
  run_ranks(degrees.world(), [&](LocalWorld& world, int rank) {
    const Groups groups = connect_local(Mesh(degrees), world, rank, 1);
    LossSums mine;
    if (groups.at.pipeline == 1) {
      mine.sum[0] = 10.0 * (groups.at.data + 1);
      mine.targets[0] = 5;
    }
    const LossSums all = sum_over_ranks(mine, groups);
    EXPECT_EQ(all.total(), 30);
    EXPECT_EQ(all.total_targets(), 10);
  });
}

}  // namespace
}  // namespace cloze
