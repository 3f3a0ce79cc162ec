// Which number the median is.
#include "trainer/doctor/median.h"

#include <gtest/gtest.h>

namespace cloze {
namespace {

TEST(MedianTest, OfAnEvenCountItIsTheUpperOne) {
  EXPECT_EQ(median_of({3}), 3);
  EXPECT_EQ(median_of({9, 1, 4}), 4);
  EXPECT_EQ(median_of({1, 2}), 1.5);
  EXPECT_EQ(median_of({7, 1, 5, 3}), 4);
}

}  // namespace
}  // namespace cloze
