// What a run leaves behind, and that every kind of run learns.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/integration/training.h"

namespace cloze {
namespace {

using RunTest = TrainingTest;

TEST_F(RunTest, LossFalls) {
  for (const std::string objective : {"blank_infilling", "causal"}) {
    expect_done(train(0, objective, {"run.steps=40", "objective.kind=" + objective}));
    const std::vector<double> curve = losses(objective);
    ASSERT_EQ(curve.size(), 40U);
    EXPECT_NEAR(curve.front(), std::log(512.0), 0.2) << "an untrained model guesses";
    EXPECT_LT((curve[37] + curve[38] + curve[39]) / 3, curve.front() - 0.8) << objective;
  }
}

TEST_F(RunTest, EveryStepHasOneObjectWithEveryKey) {
  expect_done(train(0, "a", {"validation.interval=3", "validation.rows=5"}));
  const std::vector<nlohmann::json> lines = metrics("a");
  ASSERT_EQ(lines.size(), 6U);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const nlohmann::json& line = lines[i];
    EXPECT_EQ(line.at("step"), i + 1);
    EXPECT_EQ(line.at("tokens"), (i + 1) * 4 * 64);
    EXPECT_FALSE(line.at("skipped"));
    for (const char* key : {"loss", "grad_norm", "lr", "tokens_per_second", "step_seconds",
                            "tflops", "mfu", "loss_scale", "memory_bytes"}) {
      EXPECT_GT(line.at(key), 0) << key;
    }
    EXPECT_GE(line.at("data_wait_seconds"), 0);
    EXPECT_GT(line.at("goodput"), 0);
    EXPECT_LT(line.at("goodput"), 1) << "starting takes time";
    double objectives = 0;
    for (const char* name : {"loss_mask", "loss_sentence", "loss_document"}) {
      objectives += line.contains(name) ? 1 : 0;
    }
    EXPECT_GE(objectives, 1) << line;
    EXPECT_EQ(line.contains("validation"), (i + 1) % 3 == 0);
  }
}

// The names of all losses of a validation: "", "_mask", ...
Words losses_of(const nlohmann::json& validation) {
  Words names;
  for (const auto& [key, value] : validation.items()) {
    if (key.starts_with("loss")) names.push_back(key.substr(4));
  }
  return names;
}

TEST_F(RunTest, ValidationHasLossAndPerplexityOfEachObjective) {
  expect_done(train(0, "infilling", {"validation.interval=3", "validation.rows=30"}));
  expect_done(
      train(0, "causal", {"objective.kind=causal", "validation.interval=3", "validation.rows=5"}));
  const std::vector<std::pair<std::string, Words>> runs = {
      {"infilling", {"", "_document", "_mask", "_sentence"}}, {"causal", {"", "_causal"}}};
  for (const auto& [run, names] : runs) {
    const nlohmann::json validation = metrics(run).back().at("validation");
    EXPECT_EQ(losses_of(validation), names);
    EXPECT_EQ(validation.size(), 2 * names.size()) << validation;
    for (const std::string& name : names) {
      const double loss = validation.at("loss" + name);
      EXPECT_NEAR(loss, std::log(512.0), 1) << name;
      EXPECT_DOUBLE_EQ(validation.at("perplexity" + name), std::exp(loss)) << name;
    }
  }
}

TEST_F(RunTest, NumbersReadBackToTheSameBits) {
  expect_done(train(0, "a"));
  for (const nlohmann::json& line : metrics("a")) {
    // Shortest digits that read back: written again, they are the same digits.
    EXPECT_EQ(nlohmann::json::parse(line.dump()), line);
    const double norm = line.at("grad_norm");
    EXPECT_EQ(norm, static_cast<double>(static_cast<float>(norm))) << "it is a rounded float";
    EXPECT_EQ(line.at("lr").get<double>(), 3e-3);
  }
}

TEST_F(RunTest, ResolvedConfigIsAConfig) {
  expect_done(train(0, "a", {"run.steps=1"}));
  expect_done(cloze({"config", "check", (run_folder("a") / "config.yaml").string()}));
}

TEST_F(RunTest, JournalTellsOfStartSavesAndEnd) {
  expect_done(train(0, "a"));
  Words names;
  for (const nlohmann::json& event : events("a")) {
    names.push_back(event.at("event"));
    EXPECT_TRUE(event.contains("time"));
  }
  EXPECT_EQ(names, (Words{"start", "save", "save", "done"}));
}

TEST_F(RunTest, TensorBoardReadsItsFiles) {
  expect_done(
      train(0, "a", {"log.tensorboard=true", "validation.interval=3", "validation.rows=30"}));
  nlohmann::json expected;  // {tag: [[step, value], ...]}; event files hold floats.
  const auto expect_scalar = [&](const std::string& tag, const nlohmann::json& line,
                                 const nlohmann::json& value) {
    expected[tag].push_back({line.at("step"), static_cast<float>(value.get<double>())});
  };
  for (const nlohmann::json& line : metrics("a")) {
    expect_scalar("train/loss", line, line.at("loss"));
    expect_scalar("train/grad_norm", line, line.at("grad_norm"));
    expect_scalar("train/learning_rate", line, line.at("lr"));
    expect_scalar("speed/tokens_per_second", line, line.at("tokens_per_second"));
    expect_scalar("speed/mfu", line, line.at("mfu"));
    expect_scalar("speed/goodput", line, line.at("goodput"));
    if (!line.contains("validation")) continue;
    for (const auto& [key, value] : line.at("validation").items()) {
      expect_scalar("validation/" + key, line, value);
    }
  }
  EXPECT_TRUE(expected.contains("validation/perplexity_sentence"));
  const Outcome read =
      python("scripts/oracles/check_tensorboard.py", {(run_folder("a") / "tensorboard").string()});
  ASSERT_EQ(read.code, 0) << read.err;
  EXPECT_EQ(nlohmann::json::parse(read.out), expected);
}

TEST_F(RunTest, OutputThatIsNoTerminalHasNoEscapes) {
  for (const int ranks : {0, 2}) {
    const Outcome outcome = train(ranks, "on-" + std::to_string(ranks), {"run.steps=3"});
    expect_done(outcome);
    EXPECT_EQ(count_of(outcome.out, "\x1b"), 0U) << outcome.out;
    EXPECT_EQ(count_of(outcome.out, "| loss"), 3U) << outcome.out;
  }
}

TEST_F(RunTest, LowPrecisionTrains) {
  for (const std::string compute : {"bf16", "fp16"}) {
    expect_done(train(0, compute, {"precision.compute=" + compute}));
    const std::vector<nlohmann::json> lines = metrics(compute);
    ASSERT_EQ(lines.size(), 6U);
    EXPECT_LT(lines.back().at("loss"), lines.front().at("loss")) << compute;
    EXPECT_NEAR(lines.front().at("loss"), std::log(512.0), 0.2) << compute;
  }
}

TEST_F(RunTest, EveryScheduleRuns) {
  const auto rates = [&](const std::string& kind, const Words& settings) {
    expect_done(train(0, kind, Words{"run.steps=10", "schedule.kind=" + kind} + settings));
    std::vector<double> rates;
    for (const nlohmann::json& line : metrics(kind)) rates.push_back(line.at("lr"));
    EXPECT_EQ(rates.size(), 10U);
    rates.resize(10);
    return rates;
  };
  const std::vector<double> constant = rates("constant", {"schedule.warmup=4"});
  EXPECT_DOUBLE_EQ(constant[0], 3e-3 / 4);
  EXPECT_DOUBLE_EQ(constant[3], 3e-3);
  EXPECT_DOUBLE_EQ(constant[9], 3e-3);
  const std::vector<double> wsd = rates("wsd", {"schedule.warmup=20%", "schedule.decay=40%"});
  EXPECT_DOUBLE_EQ(wsd[5], 3e-3);
  EXPECT_DOUBLE_EQ(wsd[7], 1.5e-3);
  EXPECT_DOUBLE_EQ(wsd[9], 0);
  const std::vector<double> linear = rates("linear", {"schedule.min_lr=1e-3"});
  EXPECT_DOUBLE_EQ(linear[9], 1e-3);
  EXPECT_GT(linear[0], linear[5]);
  const std::vector<double> cosine = rates("cosine", {"schedule.min_lr=1e-3"});
  EXPECT_DOUBLE_EQ(cosine[9], 1e-3);
  EXPECT_NEAR(cosine[4], 2e-3, 1e-12);
}

TEST_F(RunTest, BatchGrowsByTheRamp) {
  const Words ramp = {"run.steps=6",        "batch.global_size=8",    "batch.ramp_samples=12",
                      "batch.ramp_start=2", "batch.ramp_increment=2", "checkpoint.interval=2"};
  expect_done(train(0, "a", ramp));
  std::vector<std::int64_t> rows;
  std::int64_t before = 0;
  for (const nlohmann::json& line : metrics("a")) {
    rows.push_back((line.at("tokens").get<std::int64_t>() - before) / 64);
    before = line.at("tokens");
  }
  ASSERT_EQ(rows.size(), 6U);
  EXPECT_EQ(rows.front(), 2);
  EXPECT_EQ(rows.back(), 8);
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));

  copy_step("a", 2, "b");  // In the middle of the ramp.
  expect_done(train(0, "b", ramp));
  EXPECT_EQ(contents("b", 6), contents("a", 6));
}

}  // namespace
}  // namespace cloze
