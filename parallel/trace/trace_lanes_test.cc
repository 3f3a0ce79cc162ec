#include "parallel/trace/trace_lanes.h"

#include <gtest/gtest.h>

#include <map>

#include "parallel/base/random.h"

namespace cloze {
namespace {

TraceEvent call(int group, std::int64_t begin, std::int64_t end) {
  return {.begin = begin, .end = end, .group = group, .kind = TraceKind::kCall};
}

TEST(TraceLanes, SpansAndWaitsAreTheThreads) {
  TraceLanes lanes;
  EXPECT_TRUE(lanes.lane_of({.begin = 0, .end = 9}).is_new);
  const TraceLanes::Lane wait =
      lanes.lane_of({.begin = 1, .end = 2, .group = 3, .kind = TraceKind::kWait});
  EXPECT_EQ(wait.place(), 0);
  EXPECT_EQ(wait.group, -1);
  EXPECT_FALSE(wait.is_new);
}

TEST(TraceLanes, CallsInFlightTogetherLieApart) {
  TraceLanes lanes;
  const TraceLanes::Lane first = lanes.lane_of(call(0, 0, 10));
  const TraceLanes::Lane second = lanes.lane_of(call(0, 5, 15));
  const TraceLanes::Lane other = lanes.lane_of(call(1, 6, 7));
  const TraceLanes::Lane again = lanes.lane_of(call(0, 10, 20));
  EXPECT_EQ(second.place(), first.place() + 1) << "side by side";
  EXPECT_GT(other.place(), second.place());
  EXPECT_EQ(second.ordinal, 1);
  EXPECT_EQ(other.ordinal, 0);
  EXPECT_EQ(again.place(), first.place()) << "free from the moment that the other ends";
  EXPECT_FALSE(again.is_new);
}

TEST(TraceLanes, NothingOverlapsAndNoLaneIsWasted) {
  const RandomKey key{.seed = 3, .domain = RandomDomain::kTest};
  TraceLanes lanes;
  std::map<int, std::int64_t> ends;
  std::vector<TraceEvent> events;
  std::int64_t begin = 0;
  std::size_t most_at_once = 0;
  for (std::uint64_t i = 0; i < 4000; i += 2) {
    begin += static_cast<std::int64_t>(random_below(key, i, 10));
    const TraceEvent event =
        call(0, begin, begin + static_cast<std::int64_t>(random_below(key, i + 1, 100)));
    const TraceLanes::Lane lane = lanes.lane_of(event);
    EXPECT_LE(ends[lane.place()], event.begin);
    ends[lane.place()] = event.end;
    events.push_back(event);
    std::size_t at_once = 0;
    for (const TraceEvent& other : events) at_once += other.end > event.begin ? 1 : 0;
    most_at_once = std::max(most_at_once, at_once);
  }
  EXPECT_GT(most_at_once, 5U);
  EXPECT_LE(ends.size(), most_at_once + 1) << "events of no length take a lane for a moment";
}

TEST(TraceLanes, ThousandsInFlightStayInTheirGroup) {
  TraceLanes lanes;
  int last = 0;
  for (int i = 0; i < 3000; ++i) last = lanes.lane_of(call(0, i, 10'000)).place();
  EXPECT_LT(last, lanes.lane_of(call(1, 0, 1)).place());
}

}  // namespace
}  // namespace cloze
