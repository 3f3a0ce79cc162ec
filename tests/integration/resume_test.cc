// A run that stopped goes on as if it had not: to the bit on the same layout.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <tuple>

#include "tests/integration/training.h"

namespace cloze {
namespace {

using ResumeTest = TrainingTest;

// Steps 4 to 6 of `second` are those of `first`, and so is all that was saved after the last.
#define EXPECT_WENT_ON(first, second)                                         \
  do {                                                                        \
    for (const char* key : {"loss", "grad_norm", "loss_scale", "skipped"}) {  \
      const std::vector<nlohmann::json> all = values_of(metrics(first), key); \
      ASSERT_EQ(all.size(), 6U);                                              \
      EXPECT_EQ(values_of(metrics(second), key),                              \
                std::vector<nlohmann::json>(all.begin() + 3, all.end()))      \
          << key;                                                             \
    }                                                                         \
    EXPECT_EQ(contents(second, 6), contents(first, 6));                       \
  } while (false)

std::vector<nlohmann::json> values_of(const std::vector<nlohmann::json>& lines, const char* key) {
  std::vector<nlohmann::json> values;
  for (const nlohmann::json& line : lines) values.push_back(line.at(key));
  return values;
}

struct Kind {
  const char* name;
  const char* family;
  const char* compute;
};

class ResumeBitsTest : public TrainingTest, public testing::WithParamInterface<Kind> {
 protected:
  Words settings() const {
    const std::string compute = GetParam().compute;
    Words settings = std::string(GetParam().family) == "glm2021" ? glm2021_settings() : Words{};
    settings.push_back("precision.compute=" + compute);
    // The loss scale falls before the stop and rises behind it, two of three clean steps before.
    if (compute == "fp16") {
      settings =
          settings + Words{"precision.initial_loss_scale=4194304", "precision.loss_scale_window=3",
                           "precision.loss_scale_hysteresis=1"};
    }
    return settings;
  }
};

INSTANTIATE_TEST_SUITE_P(Kinds, ResumeBitsTest,
                         testing::Values(Kind{"glm4", "glm4", "fp32"},
                                         Kind{"glm2021", "glm2021", "fp32"},
                                         Kind{"glm4_bf16", "glm4", "bf16"},
                                         Kind{"glm2021_fp16", "glm2021", "fp16"}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(ResumeBitsTest, OneRankGoesOnBitForBit) {
  expect_done(train(0, "whole", settings()));
  if (GetParam().compute == std::string("fp16")) {
    EXPECT_EQ(values_of(metrics("whole"), "skipped")[0], true);
    const auto scales = values_of(metrics("whole"), "loss_scale");
    EXPECT_GT(scales[4], scales[3]) << "what the resumed run must do too";
  }
  copy_step("whole", 3, "resumed");
  expect_done(train(0, "resumed", settings()));
  EXPECT_WENT_ON("whole", "resumed");
}

TEST_P(ResumeBitsTest, TensorAndPipelineRanksGoOnBitForBit) {
  const Words layout = settings() + Words{"parallel.tensor=2", "parallel.pipeline=2"};
  expect_done(train(4, "whole", layout));
  copy_step("whole", 3, "resumed");
  expect_done(train(4, "resumed", layout));
  EXPECT_WENT_ON("whole", "resumed");
}

TEST_P(ResumeBitsTest, DataAndTensorRanksGoOnBitForBitWithEveryZeroStage) {
  const Words layout = settings() + Words{"parallel.tensor=2"};
  expect_done(train(4, "whole", layout + Words{"parallel.zero_stage=1"}));
  for (const std::string stage : {"0", "1"}) {
    copy_step("whole", 3, "resumed" + stage);
    expect_done(train(4, "resumed" + stage, layout + Words{"parallel.zero_stage=" + stage}));
    EXPECT_WENT_ON("whole", "resumed" + stage);
  }
}

TEST_F(ResumeTest, ManyStopsChangeNoBit) {
  const Words settings = glm2021_settings() + Words{"run.steps=3", "parallel.tensor=2"};
  expect_done(train(2, "whole", settings));
  // A limit that is over at once: every command makes one step.
  for (const int code : {85, 85, 0}) {
    const Outcome outcome = train(2, "stopped", settings + Words{"run.time_limit=1"});
    EXPECT_EQ(outcome.code, code) << outcome.out << outcome.err;
  }
  EXPECT_EQ(losses("stopped"), losses("whole"));
  EXPECT_EQ(contents("stopped", 3), contents("whole", 3));
}

TEST_F(ResumeTest, KilledProcessGoesOnBitForBit) {
  expect_done(train(0, "whole", {"run.steps=30"}));
  const std::unique_ptr<Process> process = start(0, "killed", {"run.steps=30"});
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(step_folder("killed", 6)); }));
  process->send(SIGKILL);
  EXPECT_EQ(process->wait().code, 128 + SIGKILL);
  expect_done(train(0, "killed", {"run.steps=30"}));
  EXPECT_EQ(losses("killed"), losses("whole")) << "lines after the checkpoint were cut";
  EXPECT_EQ(contents("killed", 30), contents("whole", 30));
}

TEST_F(ResumeTest, OtherLayoutsGoOnWithTheSameState) {
  const Words four = {"parallel.tensor=2", "parallel.pipeline=2"};
  expect_done(train(4, "whole", four));
  const std::vector<double> expected = losses("whole");
  const std::vector<std::tuple<std::string, int, Words>> layouts = {
      {"one", 0, {}}, {"two-data", 2, {}}, {"two-stages", 2, {"parallel.pipeline=2"}}};
  for (const auto& [run, ranks, settings] : layouts) {
    copy_step("whole", 3, run);
    const Outcome outcome = train(ranks, run, settings);
    expect_done(outcome);
    EXPECT_NE(outcome.out.find("parallel.tensor: 2 -> 1 (harmless)"), std::string::npos)
        << outcome.out;
    const std::vector<double> curve = losses(run);
    ASSERT_EQ(curve.size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(curve[i], expected[i + 3], 1e-4 * expected[i + 3]) << run << " step " << i + 4;
    }
    EXPECT_NEAR(curve[0], expected[3], 2e-6 * expected[3]) << run << ": nothing was trained yet";
  }
}

TEST_F(ResumeTest, OtherLayoutsReadTheSameBits) {
  // The schedule ends at a rate of zero, so the second step changes no weight.
  const Words end = {"schedule.kind=linear", "schedule.decay=2", "run.steps=2",
                     "checkpoint.interval=1", "optimizer.weight_decay=0"};
  expect_done(train(4, "whole", end + Words{"parallel.tensor=2"}));
  const std::vector<std::tuple<std::string, int, Words>> layouts = {
      {"one", 0, {}},
      {"two", 2, {"parallel.pipeline=2"}},
      {"two-tensor", 2, {"parallel.tensor=2"}}};
  for (const auto& [run, ranks, settings] : layouts) {
    copy_step("whole", 1, run);
    expect_done(train(ranks, run, end + settings));
    EXPECT_EQ(weights(run, 2), weights("whole", 1)) << run;
  }
}

TEST_F(ResumeTest, ResumeIsJournaledAndCountsRestarts) {
  expect_done(train(0, "a", {"run.steps=3"}));
  expect_done(train(0, "a", {"run.steps=4"}));
  const std::vector<nlohmann::json> all = events("a");
  const auto resumed = std::find_if(all.begin(), all.end(),
                                    [](const auto& event) { return event["event"] == "resume"; });
  ASSERT_NE(resumed, all.end());
  EXPECT_EQ(resumed->at("step"), 3);
  EXPECT_EQ(resumed->at("restarts"), 1);
  EXPECT_EQ(resumed->at("run_id"), all.front().at("run_id"));
}

TEST_F(ResumeTest, AFinishedRunHasNothingToDo) {
  expect_done(train(0, "a", {"run.steps=3"}));
  const std::vector<double> before = losses("a");
  expect_done(train(0, "a", {"run.steps=3"}));
  EXPECT_EQ(losses("a"), before);
}

TEST_F(ResumeTest, InitialWeightsAreTheOtherRunsAtStepZero) {
  expect_done(train(0, "parent", {"run.steps=30"}));
  const std::string initial = "run.initial=" + run_folder("parent").string();
  // One step whose rate is zero: what is saved are the weights it started from.
  const Words still = {"run.steps=1", "schedule.kind=linear", "optimizer.weight_decay=0"};
  for (const int ranks : {0, 2}) {
    const std::string run = "child-" + std::to_string(ranks);
    expect_done(train(ranks, run, still + Words{initial, "run.seed=99"}));
    EXPECT_EQ(weights(run, 1), weights("parent", 30));
    ASSERT_EQ(losses(run).size(), 1U);
    EXPECT_LT(losses(run)[0], losses("parent")[0] - 0.5) << "it starts from what was learned";
    EXPECT_EQ(metrics(run)[0].at("step"), 1);
  }
  // Once it has checkpoints of its own, it goes on from those.
  const Outcome again = train(0, "child-0", still + Words{initial, "run.seed=99"});
  expect_done(again);
  EXPECT_NE(again.out.find("resume | after step 1"), std::string::npos) << again.out;
}

}  // namespace
}  // namespace cloze
