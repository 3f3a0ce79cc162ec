#include "parallel/schedule/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "parallel/base/check.h"

namespace cloze {
namespace {

using enum ActionKind;

double one_and_two_ticks(const PipelineAction& action) { return action.kind == kForward ? 1 : 2; }

// The problem that simulate() finds.
std::string problem_of(const Schedule& schedule) {
  try {
    simulate(schedule, one_and_two_ticks);
  } catch (const Error& error) {
    return error.problem();
  }
  return "";
}

TEST(ScheduleTest, BubbleIsTheTextbookFraction) {
  for (const auto& [stages, microbatches] : {std::pair{1, 4}, {2, 4}, {4, 8}, {8, 3}, {4, 1}}) {
    const double expected = (stages - 1.0) / (microbatches + stages - 1.0);
    EXPECT_NEAR(simulate(gpipe(stages, microbatches), one_and_two_ticks).bubble_fraction, expected,
                1e-12);
    EXPECT_NEAR(simulate(one_f_one_b(stages, microbatches), one_and_two_ticks).bubble_fraction,
                expected, 1e-12);
  }
}

TEST(ScheduleTest, EveryGeneratedScheduleRuns) {
  for (int stages = 1; stages <= 8; ++stages) {
    for (int microbatches = 1; microbatches <= 20; ++microbatches) {
      for (const Schedule& schedule :
           {gpipe(stages, microbatches), one_f_one_b(stages, microbatches)}) {
        const Timeline timeline = simulate(schedule, one_and_two_ticks);
        EXPECT_EQ(timeline.actions.size(), std::size_t{2} * stages * microbatches);
        EXPECT_DOUBLE_EQ(timeline.end, 3.0 * (microbatches + stages - 1));
      }
    }
  }
}

TEST(ScheduleTest, OneForwardOneBackwardHoldsFewerActivationsOnLaterRanks) {
  const Schedule schedule = one_f_one_b(/*num_stages=*/4, /*num_microbatches=*/8);
  for (int rank = 0; rank < 4; ++rank) EXPECT_EQ(peak_activations(schedule.ranks[rank]), 4 - rank);
  EXPECT_EQ(peak_activations(one_f_one_b(4, 2).ranks[0]), 2);
  for (const auto& actions : gpipe(4, 8).ranks) EXPECT_EQ(peak_activations(actions), 8);
}

TEST(ScheduleTest, ADeadlockIsFoundBeforeAnyRankRuns) {
  Schedule schedule = one_f_one_b(2, 2);
  std::swap(schedule.ranks[1][0], schedule.ranks[1][1]);  // Backward before its own forward.
  EXPECT_NE(problem_of(schedule).find("deadlock: rank 0 waits for ever to do B0 of stage 0"),
            std::string::npos)
      << problem_of(schedule);
}

TEST(ScheduleTest, AMissingActionIsFound) {
  Schedule schedule = gpipe(2, 3);
  schedule.ranks[0].pop_back();
  EXPECT_EQ(problem_of(schedule).find("the schedule lacks or doubles work of stage 0, micro"), 0U);
}

TEST(ScheduleTest, ADoubledActionIsFound) {
  Schedule schedule = gpipe(2, 3);
  schedule.ranks[0].push_back(schedule.ranks[0].back());
  EXPECT_EQ(problem_of(schedule).find("rank 0 does B2 of stage 0 twice"), 0U);
}

TEST(ScheduleTest, AnActionOfAnUnknownStageOrMicrobatchIsFound) {
  Schedule schedule = gpipe(2, 3);
  schedule.ranks[0][0].stage = 2;
  EXPECT_NE(problem_of(schedule).find("F0 of stage 2"), std::string::npos);
  schedule = gpipe(2, 3);
  schedule.ranks[0][0].microbatch = 3;
  EXPECT_NE(problem_of(schedule).find("F3 of stage 0"), std::string::npos);
}

TEST(ScheduleTest, NeighboursThatDisagreeOnTheOrderAreFound) {
  Schedule schedule = gpipe(2, 3);
  std::swap(schedule.ranks[0][0], schedule.ranks[0][1]);
  EXPECT_EQ(problem_of(schedule).find("stages 0 and 1 do their forwards in different orders"), 0U);
}

TEST(ScheduleTest, NothingToDoIsRefused) {
  EXPECT_THROW(gpipe(0, 1), Error);
  EXPECT_THROW(one_f_one_b(2, 0), Error);
}

TEST(ScheduleTest, ASplitBackwardNeedsBothItsHalvesAndKeepsTheActivationsUntilTheSecond) {
  // Stage 1 sends its gradient back before it works on its own weights.
  Schedule schedule = {2,
                       2,
                       {{{kForward, 0, 0}, {kForward, 0, 1}, {kBackward, 0, 0}, {kBackward, 0, 1}},
                        {{kForward, 1, 0},
                         {kBackwardInput, 1, 0},
                         {kForward, 1, 1},
                         {kBackwardInput, 1, 1},
                         {kBackwardWeight, 1, 0},
                         {kBackwardWeight, 1, 1}}}};
  EXPECT_EQ(problem_of(schedule), "");
  EXPECT_EQ(peak_activations(schedule.ranks[1]), 2);
  Schedule lacking = schedule;
  lacking.ranks[1].pop_back();
  EXPECT_EQ(problem_of(lacking).find("the schedule lacks or doubles work of stage 1, microbatch 1"),
            0U);
  Schedule doubled = schedule;
  doubled.ranks[1].push_back({kBackward, 1, 1});
  EXPECT_EQ(problem_of(doubled).find("the schedule lacks or doubles work of stage 1, microbatch 1"),
            0U);
  Schedule early = schedule;
  std::swap(early.ranks[1][0], early.ranks[1][4]);
  EXPECT_EQ(problem_of(early).find("deadlock"), 0U);
}

TEST(ScheduleTest, TheDrawingShowsWhoWorksWhen) {
  const Timeline timeline = simulate(one_f_one_b(2, 2), one_and_two_ticks);
  EXPECT_EQ(draw(timeline, 2),
            "rank 0 | F0 F1 .. .. B0 B0 .. B1 B1\n"
            "rank 1 | .. F0 B0 B0 F1 B1 B1 .. ..\n");
}

TEST(ScheduleTest, ADrawingScalesToItsTickAndToLongNumbers) {
  const auto in_milliseconds = [](const PipelineAction& action) {
    return one_and_two_ticks(action) * 1e-3;
  };
  const std::string drawing = draw(simulate(gpipe(1, 11), in_milliseconds), 1, /*tick=*/1e-3);
  EXPECT_EQ(drawing.substr(0, 20), "rank 0 | F0  F1  F2 ");
  EXPECT_EQ(drawing.substr(drawing.size() - 9), " B10 B10\n");
}

}  // namespace
}  // namespace cloze
