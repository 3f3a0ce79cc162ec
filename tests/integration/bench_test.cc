// `cloze bench`: what it prints, and that it opens no data and leaves nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "parallel/kernels/tile_product.h"
#include "tests/integration/training.h"

namespace cloze {
namespace {

class BenchTest : public TrainingTest {
 protected:
  // A config whose data is nowhere.
  Words bench(int ranks, const std::string& kind, const Words& settings, const Words& options) {
    Words words =
        command(ranks, "bench", settings + Words{"data.tokenizer=nowhere", "data.train=[nowhere]"});
    const auto train = std::ranges::find(words, "train");
    *train = "bench";
    words.insert(train + 1, kind);
    return words + options;
  }
  nlohmann::json figures(int ranks, const std::string& kind, const Words& settings = {},
                         const Words& options = {}) {
    const Outcome outcome =
        run_process(bench(ranks, kind, settings, options + Words{"--json"}), workspace());
    expect_done(outcome);
    const Words lines = lines_of_text(outcome.out);
    EXPECT_EQ(lines.size(), 1U) << outcome.out;
    EXPECT_FALSE(std::filesystem::exists(run_folder("bench"))) << "a bench makes no run";
    return lines.empty() ? nlohmann::json::object() : nlohmann::json::parse(lines.back());
  }
};

TEST_F(BenchTest, AStepIsMeasuredOnEveryLayout) {
  for (const bool causal : {false, true}) {
    const Words kind = causal ? Words{"objective.kind=causal"} : Words{};
    const nlohmann::json one = figures(0, "step", kind, {"--steps", "4", "--warm-up", "2"});
    EXPECT_EQ(one.at("step_seconds_each").size(), 4U);
    const double tokens = one.at("tokens_per_step");
    EXPECT_EQ(tokens, 4 * 64) << "the config's rows";
    EXPECT_NEAR(one.at("tokens_per_second"), tokens / one.at("step_seconds").get<double>(), 1e-6);
    EXPECT_NEAR(
        one.at("mfu"),
        one.at("flops_per_second").get<double>() / one.at("peak_flops_per_second").get<double>(),
        1e-9);
    EXPECT_EQ(one.at("targets_per_step") == tokens, causal) << one;
    EXPECT_EQ(one.at("requests_after_start"), 0) << "a step takes memory from the system";
    EXPECT_GT(one.at("tensor_bytes"), 0);
    for (const Words& layout :
         {Words{"parallel.tensor=2"}, Words{"parallel.pipeline=2"}, Words{}}) {
      const nlohmann::json two = figures(2, "step", kind + layout, {"--steps", "2"});
      EXPECT_EQ(two.at("ranks"), 2);
      EXPECT_EQ(two.at("parameters"), one.at("parameters"));
      EXPECT_EQ(two.at("tokens_per_step"), tokens);
    }
  }
}

// The plan runs no kernel: it repeats the step's allocations alone.
TEST_F(BenchTest, TheMemoryPlanIsTheHighWater) {
  struct Case {
    int ranks;
    Words settings;
  };
  std::vector<Case> cases = {
      {0, {"parallel.recompute=none"}},
      {0, {"parallel.recompute=selective"}},
      {0, {"parallel.recompute=full"}},
      {0, {"precision.compute=bf16", "objective.kind=causal"}},
      {0, {"batch.micro_size=4", "objective.kind=causal"}},
      {2, {"parallel.tensor=2", "parallel.sequence=true"}},
      {2, {"parallel.tensor=2", "parallel.sequence=false"}},
      {2, {"parallel.pipeline=2", "batch.micro_size=1"}},
      {2, {"parallel.pipeline=2", "batch.micro_size=1", "parallel.schedule=gpipe"}},
      {2, {"parallel.zero_stage=0"}},
      {2, {"parallel.zero_stage=1", "parallel.bucket_bytes=262144"}},
      {4, {"parallel.tensor=2", "parallel.pipeline=2"}},
      // Larger activations than weights.
      {2, {"parallel.tensor=2", "data.seq_length=256", "batch.micro_size=4"}},
      {0, {"model.tie_word_embeddings=true"}},
      {2, {"model.tie_word_embeddings=true", "parallel.pipeline=2"}},
      {2, {"model.tie_word_embeddings=true"}},
      {0, glm2021_settings()},
      {2, glm2021_settings() + Words{"parallel.pipeline=2"}},
  };
  if (has_tile_unit()) {
    cases.push_back({0, {"precision.products=tiles", "objective.kind=causal"}});
    cases.push_back({0, {"precision.products=tiles", "precision.compute=bf16"}});
    cases.push_back({2, {"precision.products=tiles", "parallel.tensor=2"}});
  }
  for (const Case& example : cases) {
    // So large that blocks of a few bytes do not count.
    const Words sizes = {"model.hidden_size=128", "model.intermediate_size=352",
                         "model.vocab_size=1024", "data.seq_length=128"};
    const nlohmann::json found = figures(example.ranks, "step", sizes + example.settings,
                                         {"--steps", "2", "--warm-up", "2"});
    const double planned = found.at("planned_bytes");
    const double measured = found.at("tensor_bytes");
    EXPECT_NEAR(planned / measured, 1, 0.02)
        << testing::PrintToString(example.settings) << " on " << example.ranks << " ranks";
  }
}

TEST_F(BenchTest, CollectivesOfEveryAxisAreMeasured) {
  const nlohmann::json found =
      figures(4, "comm", {"parallel.tensor=2"}, {"--rounds", "2", "--largest", "8192"});
  std::set<std::string> groups;
  std::set<std::string> operations;
  for (const nlohmann::json& call : found.at("calls")) {
    groups.insert(call.at("group").get<std::string>());
    operations.insert(call.at("operation").get<std::string>());
    EXPECT_GT(call.at("seconds"), 0);
    if (call.at("operation") == "all_reduce" && call.at("group") == "world") {
      EXPECT_NEAR(call.at("bus_bytes_per_second"),
                  1.5 * call.at("bytes").get<double>() / call.at("seconds").get<double>(), 1);
    }
  }
  EXPECT_EQ(groups, (std::set<std::string>{"tensor", "data", "world"}));
  EXPECT_EQ(operations.size(), 7U);
  expect_failure(run_process(bench(0, "comm", {}, {}), workspace()), 64, {"mpirun -n 2"});
}

TEST_F(BenchTest, RowsAreMeasured) {
  const nlohmann::json found = figures(0, "data", {}, {"--rows", "50"});
  EXPECT_GE(found.at("rows"), 50);
  EXPECT_EQ(found.at("tokens"), found.at("rows").get<int>() * 64);
  EXPECT_GT(found.at("tokens_per_second"), 0);
  // A text of a few rows is read again and again.
  EXPECT_GE(figures(0, "data", {}, {"--rows", "50", "--tokens", "1024"}).at("rows"), 50);
  expect_failure(run_process(bench(2, "data", {}, {}), workspace()), 64, {"without mpirun"});
}

TEST_F(BenchTest, CheckpointsAreMeasuredAndGone) {
  for (const int ranks : {0, 2}) {
    const nlohmann::json found = figures(ranks, "checkpoint", {}, {"--rounds", "2"});
    EXPECT_EQ(found.at("save_seconds_each").size(), 2U);
    EXPECT_GT(found.at("bytes"), 10000);
    EXPECT_GT(found.at("device_write_seconds"), 0);
  }
}

TEST_F(BenchTest, WrongCommandLinesAre64) {
  for (const Words& words : {Words{"bench"}, Words{"bench", "steps", "config.yaml"},
                             Words{"bench", "step"}, Words{"bench", "step", "missing.yaml"},
                             Words{"bench", "step", "config.yaml", "--steps", "0"},
                             Words{"bench", "comm", "config.yaml", "--largest", "3"}}) {
    expect_failure(cloze(words), 64);
  }
  expect_failure(run_process(bench(0, "step", {"model.vocab_size=20"}, {}), workspace()), 64,
                 {"model.vocab_size is 20"});
}

}  // namespace
}  // namespace cloze
