#include "parallel/pipeline/executor.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "parallel/base/check.h"
#include "tests/support/run_ranks.h"
#include "tests/support/toy_stage.h"

namespace cloze {
namespace {

// Runs toy stages as threads and compares gradients and loss with the plain loop, bit for bit.
void expect_unpipelined_results(const Schedule& schedule) {
  const Unpipelined expected = run_unpipelined(schedule.num_stages, schedule.num_microbatches);
  run_ranks(schedule.num_stages, [&](LocalWorld& world, int rank) {
    const auto forward = world.communicator("pipeline_forward", world.everyone(), rank);
    const auto backward = world.communicator("pipeline_backward", world.everyone(), rank);
    ToyStage stage(rank, schedule.num_stages);
    run_schedule(schedule, rank, stage, *forward, *backward);
    EXPECT_EQ(stage.gradient(), expected.gradients[rank])
        << "stage " << rank << " of " << schedule.num_stages << ", " << schedule.num_microbatches
        << " microbatches";
    EXPECT_TRUE(stage.is_empty());
    if (rank + 1 == schedule.num_stages) {
      EXPECT_EQ(stage.loss(), expected.loss);
    }
  });
}

TEST(ExecutorTest, EverySchedulesGradientsAreThoseOfThePlainLoop) {
  for (const int stages : {1, 2, 3, 4, 8}) {
    for (int microbatches = 1; microbatches <= 9; ++microbatches) {
      expect_unpipelined_results(gpipe(stages, microbatches));
      expect_unpipelined_results(one_f_one_b(stages, microbatches));
    }
  }
}

TEST(ExecutorTest, ATraceTellsOfEachActionInTheOrderOfTheSchedule) {
  const Schedule schedule = one_f_one_b(3, 5);
  run_ranks(3, [&](LocalWorld& world, int rank) {
    const auto forward = world.communicator("pipeline_forward", world.everyone(), rank);
    const auto backward = world.communicator("pipeline_backward", world.everyone(), rank);
    ToyStage stage(rank, 3);
    Trace trace;
    trace.begin();
    run_schedule(schedule, rank, stage, *forward, *backward, &trace);
    trace.end();
    std::vector<PipelineAction> told;
    std::int64_t end = 0;
    for (const TraceEvent& event : trace.events()) {
      EXPECT_GE(event.begin, end);
      end = event.end;
      const bool goes_forward = std::string(event.name) == "forward";
      EXPECT_TRUE(goes_forward || std::string(event.name) == "backward");
      told.push_back({goes_forward ? ActionKind::kForward : ActionKind::kBackward, event.stage,
                      event.microbatch});
    }
    EXPECT_EQ(told, schedule.ranks[rank]);
  });
}

// Never moves a byte: writes down who asks for what.
class RecordingCommunicator final : public Communicator {
 public:
  RecordingCommunicator(std::string name, int rank, int size, std::string& log)
      : Communicator(std::move(name), rank, size), log_(log) {}

 private:
  struct AlmostDone final : Work::Pending {
    explicit AlmostDone(std::string& text) : log(text) {}
    ~AlmostDone() override { log += " gone"; }
    void wait() override {}
    bool test() override { return ++num_tests > 1; }
    std::string& log;
    int num_tests = 0;
  };

  Work do_exchange(std::span<const Transfer> sends, std::span<const Transfer> receives) override {
    if (!receives.empty()) log_ += " receive";
    if (sends.empty()) return {};
    log_ += " send";
    return {std::make_unique<AlmostDone>(log_), {}};
  }
  Work do_all_reduce(at::Tensor, ReduceOp) override { return {}; }
  Work do_all_gather(at::Tensor, at::Tensor) override { return {}; }
  Work do_reduce_scatter(at::Tensor, at::Tensor, ReduceOp) override { return {}; }
  Work do_all_to_all(at::Tensor, at::Tensor, std::span<const std::int64_t>,
                     std::span<const std::int64_t>) override {
    return {};
  }
  Work do_broadcast(at::Tensor, int) override { return {}; }
  void do_barrier() override {}

  std::string& log_;
};

class RecordingStage final : public Stage {
 public:
  RecordingStage(bool is_first, bool is_last, std::string& log)
      : is_first_(is_first), is_last_(is_last), log_(log) {}
  std::vector<at::Tensor> make_border() override { return {at::zeros({2})}; }
  std::vector<at::Tensor> forward(int microbatch, std::vector<at::Tensor>) override {
    log_ += str(" F", microbatch);
    return is_last_ ? std::vector<at::Tensor>{} : make_border();
  }
  std::vector<at::Tensor> backward(int microbatch, std::vector<at::Tensor>) override {
    log_ += str(" B", microbatch);
    return is_first_ ? std::vector<at::Tensor>{} : make_border();
  }

 private:
  const bool is_first_;
  const bool is_last_;
  std::string& log_;
};

std::string log_of(const Schedule& schedule, int rank) {
  std::string log;
  RecordingCommunicator forward("forward", rank, schedule.num_stages, log);
  RecordingCommunicator backward("backward", rank, schedule.num_stages, log);
  RecordingStage stage(rank == 0, rank + 1 == schedule.num_stages, log);
  run_schedule(schedule, rank, stage, forward, backward);
  return log;
}

TEST(ExecutorTest, TheNextInputIsOnItsWayWhileAnActionComputes) {
  // The receive of F1 stands before B0. A send leaves memory at the second look at it.
  EXPECT_EQ(log_of(one_f_one_b(2, 2), 1), " receive F0 receive B0 send F1 gone B1 send gone");
}

TEST(ExecutorTest, SendsAreLetGoBetweenActionsAndNotAtTheEnd) {
  EXPECT_EQ(log_of(gpipe(2, 3), 0),
            " F0 send F1 send gone F2 send gone receive receive B0 gone receive B1 B2");
}

TEST(ExecutorTest, OneStageMovesNothing) {
  EXPECT_EQ(log_of(one_f_one_b(1, 2), 0), " F0 B0 F1 B1");
}

std::string problem_of(const Schedule& schedule, int rank, int group_size, Stage& stage) {
  std::string log;
  RecordingCommunicator group("pipeline_forward", rank, group_size, log);
  try {
    run_schedule(schedule, rank, stage, group, group);
  } catch (const Error& error) {
    return error.problem();
  }
  return "";
}

TEST(ExecutorTest, AScheduleOfAnotherSizeThanTheGroupIsRefused) {
  std::string log;
  RecordingStage stage(true, false, log);
  EXPECT_NE(problem_of(gpipe(4, 2), 0, 2, stage).find("the schedule has 4 stages"),
            std::string::npos);
}

TEST(ExecutorTest, ASplitBackwardIsRefused) {
  Schedule schedule = gpipe(2, 1);
  schedule.ranks[0][1].kind = ActionKind::kBackwardInput;
  std::string log;
  RecordingStage stage(true, false, log);
  EXPECT_NE(problem_of(schedule, 0, 2, stage).find("splits the backward"), std::string::npos);
}

TEST(ExecutorTest, AStageOfAnotherRankIsRefused) {
  Schedule schedule = gpipe(2, 1);
  std::swap(schedule.ranks[0], schedule.ranks[1]);
  std::string log;
  RecordingStage stage(true, false, log);
  EXPECT_NE(problem_of(schedule, 0, 2, stage).find("told to run stage 1"), std::string::npos);
}

TEST(ExecutorTest, WhatLeavesAStageMustFitTheBorder) {
  class WrongStage final : public Stage {
   public:
    explicit WrongStage(std::vector<at::Tensor> output) : output_(std::move(output)) {}
    std::vector<at::Tensor> make_border() override { return {at::zeros({2})}; }
    std::vector<at::Tensor> forward(int, std::vector<at::Tensor>) override { return output_; }
    std::vector<at::Tensor> backward(int, std::vector<at::Tensor>) override { return {}; }

   private:
    std::vector<at::Tensor> output_;
  };
  WrongStage nothing({});
  EXPECT_NE(problem_of(gpipe(2, 1), 0, 2, nothing).find("0 tensors leave, 1 cross here"),
            std::string::npos);
  for (const at::Tensor& wrong : {at::zeros({3}), at::zeros({2}, at::kDouble)}) {
    WrongStage stage({wrong});
    EXPECT_NE(problem_of(gpipe(2, 1), 0, 2, stage).find("forward of microbatch 0: tensor 0 is"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace cloze
