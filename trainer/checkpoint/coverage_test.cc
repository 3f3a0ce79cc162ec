// Coverage against counting every element.
#include "trainer/checkpoint/coverage.h"

#include <gtest/gtest.h>

#include "trainer/checkpoint/checkpoint_testing.h"

namespace cloze {
namespace {

using testing::draw;
using testing::Random;

bool covers_by_counting(const std::vector<Box>& boxes) {
  const Shape& global = boxes.front().global;
  std::vector<int> counts(static_cast<std::size_t>(num_elements(global)), 0);
  for (const Box& box : boxes) {
    for_each_common_run(Box::whole(global), box, [&](const Run& run) {
      for (std::int64_t i = 0; i < run.count; ++i)
        ++counts[static_cast<std::size_t>(run.source + i)];
    });
  }
  return std::all_of(counts.begin(), counts.end(), [](int count) { return count == 1; });
}

TEST(CoverageTest, AgreesWithCountingEveryElement) {
  Random random(1);
  int covered = 0;
  for (int round = 0; round < 4000; ++round) {
    Shape shape;
    for (std::int64_t dims = draw(random, 1, 3); dims > 0; --dims) {
      shape.push_back(draw(random, 1, 5));
    }
    std::vector<Box> boxes = testing::random_grid(random, shape, 3);
    std::erase_if(boxes, [](const Box& box) { return box.elements() == 0; });
    // Then one of: nothing, a box less, one twice, one moved or resized.
    Box& victim = boxes[static_cast<std::size_t>(draw(random, 0, std::ssize(boxes) - 1))];
    const auto dim = static_cast<std::size_t>(draw(random, 0, std::ssize(shape) - 1));
    switch (draw(random, 0, 3)) {
      case 0:
        break;
      case 1:
        boxes.push_back(victim);
        break;
      case 2:
        victim.offset[dim] = draw(random, 0, shape[dim] - victim.shape[dim]);
        break;
      default:
        victim.shape[dim] = draw(random, 1, shape[dim] - victim.offset[dim]);
    }
    const bool expected = covers_by_counting(boxes);
    covered += expected ? 1 : 0;
    ASSERT_EQ(coverage_problem(boxes).empty(), expected) << "round " << round;
  }
  EXPECT_GT(covered, 500);
  EXPECT_LT(covered, 3500);
}

TEST(CoverageTest, AScalarIsCoveredByOneBoxOnly) {
  const Box scalar = Box::whole({});
  EXPECT_TRUE(coverage_problem(std::vector<Box>{scalar}).empty());
  EXPECT_FALSE(coverage_problem(std::vector<Box>{scalar, scalar}).empty());
  EXPECT_FALSE(coverage_problem(std::vector<Box>{}).empty());
}

TEST(CoverageTest, RefusesBoxesThatReachOutside) {
  const std::vector<std::pair<Shape, Shape>> offsets_and_shapes = {
      {{-1, 0}, {4, 4}}, {{0, 0}, {5, 4}},         {{0}, {4}},
      {{0, 0}, {0, 4}},  {{INT64_MAX, 0}, {1, 4}}, {{1, 0}, {INT64_MAX, 4}}};
  for (const auto& [offset, shape] : offsets_and_shapes) {
    EXPECT_FALSE(coverage_problem(std::vector<Box>{{{4, 4}, offset, shape}}).empty());
  }
}

TEST(CoverageTest, ProvesManyBoxesInTime) {
  // A table cut for 8 tensor ranks and 4096 data ranks.
  std::vector<Box> boxes;
  for (std::int64_t row = 0; row < 4096; ++row) {
    for (std::int64_t column = 0; column < 8; ++column) {
      boxes.push_back({{4096 * 37, 8192}, {row * 37, column * 1024}, {37, 1024}});
    }
  }
  EXPECT_TRUE(coverage_problem(boxes).empty());
  boxes.pop_back();
  EXPECT_FALSE(coverage_problem(boxes).empty());
}

}  // namespace
}  // namespace cloze
