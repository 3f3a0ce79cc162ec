// What can be wrong at the start, in checkpoints and in numbers: the exit code, and one line.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "tests/integration/training.h"

namespace cloze {
namespace {

using FailuresTest = TrainingTest;

// Flips one bit `from_end` bytes before the end of a file.
void damage(const std::filesystem::path& path, std::int64_t from_end) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-from_end, std::ios::end);
  const auto at = file.tellg();
  const int byte = file.get();
  file.seekp(at);
  file.put(static_cast<char>(byte ^ 1));
  ASSERT_TRUE(file.good()) << path;
}

TEST_F(FailuresTest, CommandLineErrorsAre64) {
  expect_failure(cloze({"train"}), 64, {"CONFIG"});
  expect_failure(cloze({"train", "config.yaml", "--resume", "maybe"}), 64, {"--resume"});
  expect_failure(cloze({"train", "config.yaml", "--nothing"}), 64, {"--nothing"});
  expect_failure(cloze({"train", "absent.yaml"}), 64, {"absent.yaml"});
}

TEST_F(FailuresTest, FourRanksReportACommandLineErrorOnce) {
  expect_failure(train(4, "a", {"--nothing"}), 64, {"--nothing"});
}

class StartFailuresTest : public TrainingTest, public testing::WithParamInterface<int> {};

INSTANTIATE_TEST_SUITE_P(Ranks, StartFailuresTest, testing::Values(0, 4),
                         [](const auto& info) { return "on" + std::to_string(info.param); });

TEST_P(StartFailuresTest, UnknownKeyIs64) {
  expect_failure(train(GetParam(), "a", {"run.stepps=3"}), 64, {"run.stepps", "run.steps"});
}

TEST_P(StartFailuresTest, LayoutThatDoesNotFitTheRanksIs64) {
  expect_failure(train(GetParam(), "a", {"parallel.pipeline=3"}), 64, {"pipeline 3"});
}

TEST_P(StartFailuresTest, MissingTokenizerIs65) {
  expect_failure(train(GetParam(), "a", {"data.tokenizer=absent"}), 65, {"absent"});
}

TEST_P(StartFailuresTest, MissingShardIs65) {
  expect_failure(train(GetParam(), "a", {"data.train=[absent]"}), 65, {"absent"});
}

TEST_P(StartFailuresTest, DirectoryThatCannotBeWrittenIs73) {
  // Below a file nobody can make a folder, whoever runs the test.
  std::ofstream(run_folder("file")) << "a file";
  expect_failure(train(GetParam(), "file/run"), 73, {"file/run"});
}

TEST_P(StartFailuresTest, StrictResumeWithoutCheckpointIs65) {
  expect_failure(train(GetParam(), "a", {"--resume", "strict"}), 65, {"holds no checkpoint"});
}

TEST_F(FailuresTest, NoResumeInADirectoryWithCheckpointsIs64) {
  expect_done(train(0, "a", {"run.steps=1"}));
  expect_failure(train(0, "a", {"--resume", "none"}), 64, {"holds checkpoints"});
}

TEST_F(FailuresTest, VocabularyBelowTheTokenizersIsRefused) {
  expect_failure(train(0, "a", {"model.vocab_size=300"}), 64, {"vocab_size"});
}

class DamageTest : public TrainingTest, public testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    TrainingTest::SetUp();
    expect_done(train(GetParam(), "a"));  // Checkpoints after steps 3 and 6.
  }
  std::filesystem::path tensors(std::int64_t step) const {
    return step_folder("a", step) / "rank-00000.safetensors";
  }
};

INSTANTIATE_TEST_SUITE_P(Ranks, DamageTest, testing::Values(0, 2),
                         [](const auto& info) { return "on" + std::to_string(info.param); });

TEST_P(DamageTest, AutoFallsBackPastDamagedTensorsAndSavesAgain) {
  const Contents expected = contents("a", 6);
  damage(tensors(6), 100);
  expect_failure(train(GetParam(), "a", {"--resume", "strict"}), 65, {"rank-00000.safetensors"});
  const Outcome outcome = train(GetParam(), "a");
  expect_done(outcome);
  EXPECT_EQ(count_of(outcome.err, "warning"), 1U) << outcome.err;
  EXPECT_NE(outcome.err.find("step-00000006"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.out.find("resume | after step 3"), std::string::npos) << outcome.out;
  EXPECT_EQ(contents("a", 6), expected) << "the damaged one was replaced by a good one";
  ASSERT_EQ(metrics("a").size(), 6U);
}

TEST_P(DamageTest, AutoFallsBackPastATruncatedFile) {
  std::filesystem::resize_file(tensors(6), std::filesystem::file_size(tensors(6)) - 1);
  expect_failure(train(GetParam(), "a", {"--resume", "strict"}), 65, {"rank-00000.safetensors"});
  const Outcome outcome = train(GetParam(), "a");
  expect_done(outcome);
  EXPECT_EQ(count_of(outcome.err, "warning"), 1U) << outcome.err;
  EXPECT_NE(outcome.out.find("resume | after step 3"), std::string::npos) << outcome.out;
}

TEST_P(DamageTest, AllDamagedIs65AndNothingStartsAfresh) {
  damage(tensors(6), 100);
  damage(tensors(3), 100);
  expect_failure(train(GetParam(), "a"), 65, {"step-00000006", "step-00000003"});
  damage(step_folder("a", 6) / "manifest.binpb", 40);
  damage(step_folder("a", 3) / "manifest.binpb", 40);
  expect_failure(train(GetParam(), "a"), 65, {"step-00000006", "step-00000003"});
}

TEST_F(FailuresTest, LatestIsOnlyAHint) {
  expect_done(train(0, "a"));
  const std::filesystem::path latest = run_folder("a") / "checkpoints" / "latest";
  for (const char* text : {"", "garbage\n", "step-00000099\n"}) {
    std::ofstream(latest, std::ios::trunc) << text;
    const Outcome outcome = train(0, "a");
    expect_done(outcome);
    EXPECT_NE(outcome.out.find("resume | after step 6"), std::string::npos) << outcome.out;
    EXPECT_EQ(count_of(outcome.err, "warning"), 1U) << text << outcome.err;
  }
  std::filesystem::remove(latest);
  expect_done(train(0, "a", {"run.steps=7"}));
}

TEST_F(FailuresTest, LeftoversOfCrashedSavesAreIgnoredThenRemoved) {
  const std::filesystem::path leftover = run_folder("a") / "checkpoints" / ".tmp-step-00000002-77";
  std::filesystem::create_directories(leftover);
  std::ofstream(leftover / "rank-00000.safetensors") << "half";
  const Outcome outcome = train(0, "a", {"run.steps=3"});
  expect_done(outcome);
  EXPECT_EQ(outcome.out.find("resume"), std::string::npos) << "nothing was committed";
  EXPECT_FALSE(std::filesystem::exists(leftover));
}

TEST_F(FailuresTest, ForbiddenDifferenceIs64) {
  expect_done(train(0, "a", {"run.steps=1"}));
  expect_failure(train(0, "a", {"run.steps=2", "model.hidden_size=64", "model.head_dim=16"}), 64,
                 {"model.hidden_size"});
}

TEST_F(FailuresTest, RunChangingDifferenceNeedsAWord) {
  expect_done(train(0, "a", {"run.steps=1"}));
  const Words other = {"run.steps=2", "optimizer.lr=1e-3"};
  expect_failure(train(0, "a", other), 64, {"optimizer.lr", "--allow-change optimizer.lr"});
  const Outcome allowed = train(0, "a", other + Words{"--allow-change", "optimizer.lr"});
  expect_done(allowed);
  EXPECT_NE(allowed.out.find("optimizer.lr: 0.003 -> 0.001 (run-changing)"), std::string::npos)
      << allowed.out;
  bool journaled = false;
  for (const nlohmann::json& event : events("a")) {
    journaled = journaled || (event.at("event") == "config_change" &&
                              event.at("key") == "optimizer.lr" && event.at("after") == "0.001");
  }
  EXPECT_TRUE(journaled) << text_of_file(run_folder("a") / "events.jsonl");
  // The config given now is what runs.
  EXPECT_EQ(metrics("a").at(1).at("lr"), 1e-3);
}

TEST_F(FailuresTest, AnAllowedChangeIsWhatRuns) {
  const Words base = {"run.steps=3", "checkpoint.interval=2", "schedule.kind=constant"};
  expect_done(train(0, "a", base));
  for (const char* run : {"same", "other"}) copy_step("a", 2, run);
  expect_done(train(0, "same", base));
  expect_done(train(
      0, "other", base + Words{"optimizer.betas=[0.5, 0.6]", "--allow-change", "optimizer.betas"}));
  EXPECT_EQ(contents("same", 3), contents("a", 3));
  EXPECT_NE(contents("other", 3), contents("a", 3)) << "the checkpoint's betas were used";
}

TEST_F(FailuresTest, SaveWithoutRoomIsToldAndTrainingGoesOn) {
  // MPI's own files fit the limit, a checkpoint of this model does not.
  const Words large = {"model.vocab_size=8192", "model.hidden_size=256"};
  Words words = command(0, "a", large);
  words.insert(words.begin(), {"/bin/bash", "-c", "ulimit -f 16384; exec \"$@\"", "bash"});
  const Outcome outcome = run_process(words, workspace());
  // The save after step 3 may fail, the one at the end may not.
  expect_failure(outcome, 74, {"rank-00000.safetensors", "step=6 ", "phase=save"});
  EXPECT_EQ(count_of(outcome.err, "step 3 was not saved"), 1U) << outcome.err;
  EXPECT_EQ(metrics("a").size(), 6U);
  for (const auto& entry : std::filesystem::directory_iterator(run_folder("a") / "checkpoints")) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".tmp")) << entry.path();
  }
  expect_done(train(0, "a", large));
}

TEST_F(FailuresTest, DamagedShardIsReportedOnceByItsReaders) {
  // Its size is right; its tokens are not, and they are met after the start.
  for (const char* end : {".bin", ".idx", ".json"}) {
    std::filesystem::copy(workspace() / (std::string("train") + end),
                          run_folder(std::string("shard") + end));
  }
  damage(run_folder("shard.bin"), 9);
  const std::string train_on = "data.train=[" + run_folder("shard").string() + "]";
  for (const int ranks : {0, 2}) {
    expect_failure(
        train(ranks, "on-" + std::to_string(ranks),
              {train_on, "run.steps=400", "parallel.tensor=" + std::to_string(std::max(1, ranks))}),
        65, {"shard.bin"});
  }
}

TEST_F(FailuresTest, ExplodingWeightsSkipStepsAndEndWith86) {
  const Words wild = {"run.steps=40",     "optimizer.lr=1000",     "optimizer.weight_decay=10",
                      "optimizer.clip=0", "checkpoint.interval=1", "checkpoint.keep=0"};
  for (const int ranks : {0, 2}) {
    const std::string run = "on-" + std::to_string(ranks);
    const Outcome outcome = train(ranks, run, wild);
    expect_failure(outcome, 86, {"non-finite"});
    const std::vector<nlohmann::json> lines = metrics(run);
    ASSERT_GE(lines.size(), 9U);
    for (std::size_t i = lines.size() - 8; i < lines.size(); ++i) {
      EXPECT_TRUE(lines[i].at("skipped")) << lines[i];
      EXPECT_TRUE(lines[i].at("grad_norm").is_null()) << lines[i];
    }
    EXPECT_FALSE(lines[lines.size() - 9].at("skipped"));
    const auto last = static_cast<std::int64_t>(lines.size());
    EXPECT_EQ(contents(run, last - 8), contents(run, last - 1)) << "skipped steps change nothing";
    EXPECT_NE(outcome.err.find("step=" + std::to_string(last) + " "), std::string::npos)
        << outcome.err;
    EXPECT_EQ(lines.back().at("tokens"), last * 4 * 64) << "but they consume samples";
  }
}

}  // namespace
}  // namespace cloze
