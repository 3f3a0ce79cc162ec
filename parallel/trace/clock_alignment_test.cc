#include "parallel/trace/clock_alignment.h"

#include <gtest/gtest.h>

#include <array>

#include "parallel/base/check.h"

namespace cloze {
namespace {

TEST(ClockAlignment, Rank0sTimesStay) {
  EXPECT_EQ(ClockAlignment().aligned(123456789), 123456789);
  EXPECT_EQ(ClockAlignment().uncertainty(), 0);
}

TEST(ClockAlignment, ReadingsThatAgreeAreOneOffset) {
  // [900, 1100] and [1050, 1250]: the offset lies in [1050, 1100].
  const ClockAlignment clock({.time = 0, .offset = 1000, .uncertainty = 100},
                             {.time = 500'000, .offset = 1150, .uncertainty = 100});
  EXPECT_EQ(clock.offset(), 1075);
  EXPECT_EQ(clock.uncertainty(), 25);
  EXPECT_EQ(clock.drift(), 0);
  for (const std::int64_t time : {-7, 0, 123, 500'000, 900'000}) {
    EXPECT_EQ(clock.aligned(time), time + 1075) << "no duration is stretched";
  }
}

TEST(ClockAlignment, TheTrueOffsetIsWithinTheUncertainty) {
  // Readings of a clock that is 5000 ahead, with errors that the uncertainty covers.
  for (const std::int64_t first : {-300, 0, 300}) {
    for (const std::int64_t second : {-40, 0, 40}) {
      const ClockAlignment clock({.time = 0, .offset = -5000 + first, .uncertainty = 300},
                                 {.time = 1000, .offset = -5000 + second, .uncertainty = 40});
      EXPECT_LE(std::abs(clock.aligned(500) - (500 - 5000)), clock.uncertainty());
      EXPECT_LE(clock.uncertainty(), 40) << "the better of the two readings counts";
    }
  }
}

TEST(ClockAlignment, ClocksThatDriftAreFollowedInALine) {
  const ClockAlignment clock({.time = 1000, .offset = 100, .uncertainty = 5},
                             {.time = 2'001'000, .offset = 300, .uncertainty = 8});
  EXPECT_EQ(clock.drift(), 200);
  EXPECT_EQ(clock.uncertainty(), 8);
  EXPECT_EQ(clock.aligned(1000), 1100);
  EXPECT_EQ(clock.aligned(1'001'000), 1'001'200);
  EXPECT_EQ(clock.aligned(2'001'000), 2'001'300);
}

TEST(ClockAlignment, ReadingsInTheWrongOrderAreABug) {
  EXPECT_THROW(ClockAlignment({.time = 5}, {.time = 5}), Error);
}

TEST(ClockReading, TheOffsetComesFromTheShortestWay) {
  // The other clock is 100 ahead; the second sample travels 2 there and 2 back, the others are
  // delayed on one way alone.
  const ClockReading reading =
      reading_of(std::array<ClockSample, 3>{{{0, 105, 6}, {10, 112, 14}, {20, 121, 28}}});
  EXPECT_EQ(reading, (ClockReading{.time = 12, .offset = 100, .uncertainty = 2}));
}

TEST(ClockReading, AnOddWayIsRoundedUpInTheUncertainty) {
  const ClockReading reading = reading_of(std::array<ClockSample, 1>{{{10, 50, 15}}});
  EXPECT_EQ(reading, (ClockReading{.time = 12, .offset = 38, .uncertainty = 3}));
}

TEST(ClockReading, NoSampleIsABug) { EXPECT_THROW(reading_of({}), Error); }

}  // namespace
}  // namespace cloze
