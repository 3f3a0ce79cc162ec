#include "parallel/mesh/mesh.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "parallel/base/check.h"

namespace cloze {
namespace {

const Degrees kDegrees = {.pipeline = 2, .data = 3, .context = 2, .tensor = 4};

TEST(MeshTest, TensorIsTheInnermostAxisAndPipelineTheOutermost) {
  const Mesh mesh(kDegrees);
  EXPECT_EQ(mesh.world(), 48);
  EXPECT_EQ(mesh.coordinates(0), (Coordinates{0, 0, 0, 0}));
  EXPECT_EQ(mesh.coordinates(1), (Coordinates{.tensor = 1}));
  EXPECT_EQ(mesh.coordinates(4), (Coordinates{.context = 1}));
  EXPECT_EQ(mesh.coordinates(8), (Coordinates{.data = 1}));
  EXPECT_EQ(mesh.coordinates(24), (Coordinates{.pipeline = 1}));
  EXPECT_EQ(mesh.coordinates(47), (Coordinates{1, 2, 1, 3}));
}

TEST(MeshTest, RankAndCoordinatesAreInverse) {
  const Mesh mesh(kDegrees);
  for (int rank = 0; rank < mesh.world(); ++rank) {
    EXPECT_EQ(mesh.rank(mesh.coordinates(rank)), rank);
  }
}

TEST(MeshTest, TheGroupsOfAnAxisPartitionTheWorldInOrder) {
  const Mesh mesh(kDegrees);
  for (const Axis axis : kAxes) {
    for (int rank = 0; rank < mesh.world(); ++rank) {
      const std::vector<int> group = mesh.group(axis, rank);
      ASSERT_EQ(static_cast<int>(group.size()), kDegrees.of(axis)) << name_of(axis);
      EXPECT_EQ(group[mesh.coordinates(rank).of(axis)], rank) << name_of(axis);
      for (const int member : group) EXPECT_EQ(mesh.group(axis, member), group);
    }
  }
}

TEST(MeshTest, AGroupOfSeveralAxesIsInRankOrder) {
  const Mesh mesh(kDegrees);
  const std::vector<int> model = mesh.group({Axis::kPipeline, Axis::kTensor}, /*rank=*/9);
  EXPECT_EQ(model, (std::vector<int>{8, 9, 10, 11, 32, 33, 34, 35}));
  EXPECT_EQ(mesh.group(std::vector<Axis>{}, 9), std::vector<int>{9});
}

TEST(MeshTest, ImpossibleMeshesAndRanksAreRefused) {
  EXPECT_THROW(Mesh({.tensor = 0}), Error);
  EXPECT_THROW(Mesh({.pipeline = -1}), Error);
  EXPECT_THROW(Mesh(kDegrees).coordinates(48), Error);
  EXPECT_THROW(Mesh(kDegrees).coordinates(-1), Error);
}

TEST(MeshTest, LayoutsOfAWorldAreAllItsFactorisations) {
  const std::vector<Degrees> layouts = layouts_of(4);
  EXPECT_EQ(layouts.size(),
            6U);  // 4 = t p d: (1,1,4), (1,2,2), (1,4,1), (2,1,2), (2,2,1), (4,1,1).
  for (const Degrees& degrees : layouts) {
    EXPECT_EQ(degrees.world(), 4);
    EXPECT_EQ(degrees.context, 1);
    EXPECT_EQ(std::count(layouts.begin(), layouts.end(), degrees), 1);
  }
  EXPECT_EQ(layouts_of(1), std::vector<Degrees>{Degrees{}});
}

}  // namespace
}  // namespace cloze
