#include "parallel/mesh/shard.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "parallel/base/check.h"

namespace cloze {
namespace {

TEST(PartOfTest, PartsCoverAllInOrderAndDifferByOneAtMost) {
  for (const std::int64_t total : {0, 1, 7, 64, 65024}) {
    for (const std::int64_t parts : {1, 2, 3, 8, 100}) {
      std::int64_t next = 0;
      for (std::int64_t index = 0; index < parts; ++index) {
        const Range range = part_of(total, parts, index);
        EXPECT_EQ(range.first, next);
        EXPECT_EQ(range.count(), total / parts + (index < total % parts ? 1 : 0));
        next = range.last;
      }
      EXPECT_EQ(next, total);
    }
  }
}

TEST(BoxTest, TheWholeTensorIsABox) {
  const Box box = Box::whole({6, 4});
  EXPECT_TRUE(box.is_whole());
  EXPECT_EQ(box.elements(), 24);
  EXPECT_EQ(box.offset, (Shape{0, 0}));
  EXPECT_EQ(num_elements({}), 1);
  EXPECT_EQ(num_elements({3, 0}), 0);
}

TEST(BoxTest, ACutIsWholeInAllDimsButOne) {
  const Box box = Box::cut({6, 4}, /*dim=*/1, /*first=*/1, /*count=*/2);
  EXPECT_EQ(box, (Box{{6, 4}, {0, 1}, {6, 2}}));
  EXPECT_FALSE(box.is_whole());
  EXPECT_EQ(box.elements(), 12);
  EXPECT_THROW(Box::cut({6}, 1, 0, 1), std::out_of_range);
}

TEST(BoxTest, RowsAreCountedFromTheBox) {
  const Box box = Box::cut({6, 4}, 0, 2, 3);
  EXPECT_EQ(box.rows(1, 2), (Box{{6, 4}, {3, 0}, {2, 4}}));
  EXPECT_EQ(box.rows(0, 3), box);
  EXPECT_THROW(box.rows(1, 3), Error);
  EXPECT_THROW(box.rows(-1, 1), Error);
  EXPECT_THROW(Box::whole({}).rows(0, 1), Error);
}

}  // namespace
}  // namespace cloze
