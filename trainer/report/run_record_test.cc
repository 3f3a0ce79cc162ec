// A run's files as they really are: torn, damaged, resumed, incomplete.
#include "trainer/report/run_record.h"

#include <gtest/gtest.h>

#include <fstream>

#include "parallel/base/check.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

constexpr const char* kConfig =
    "run: {name: quick, directory: elsewhere, steps: 300}\n"
    "model: {family: glm4, num_hidden_layers: 4, hidden_size: 32, num_attention_heads: 4,\n"
    "        intermediate_size: 64, vocab_size: 512}\n"
    "data: {tokenizer: t, train: [a]}\n"
    "batch: {global_size: 8}\n"
    "parallel: {pipeline: 2}\n";

class RunRecordTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  void expect_bad_input(const std::filesystem::path& path, const std::string& part) const {
    try {
      read_run(path);
      ADD_FAILURE() << path << " was read";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
      EXPECT_NE(error.problem().find(part), std::string::npos) << error.problem();
      EXPECT_FALSE(error.fix().empty());
    }
  }
  static bool has_note(const RunRecord& record, const std::string& part) {
    for (const std::string& note : notes_of(record)) {
      if (note.find(part) != std::string::npos) return true;
    }
    return false;
  }

  const ScratchFolder scratch_;
  const std::filesystem::path& folder_ = scratch_.path();
};

TEST_F(RunRecordTest, AFolderWithoutMetricsIsBadInput) {
  expect_bad_input(folder_, "holds no metrics.jsonl");
  expect_bad_input(folder_ / "absent", "does not exist");
  write("file", "");
  expect_bad_input(folder_ / "file", "is no folder");
  std::filesystem::create_directory(folder_ / "metrics.jsonl");
  expect_bad_input(folder_, "not a regular file");
}

TEST_F(RunRecordTest, NumbersBecomeSeriesByTheirNames) {
  write("metrics.jsonl",
        "{\"step\":1,\"loss\":9.5,\"skipped\":false,\"loss_mask\":9,\"words\":\"no number\"}\n"
        "{\"step\":2,\"loss\":null,\"skipped\":true}\n"
        "{\"step\":3,\"loss\":8,\"loss_document\":7,\"loss_mask\":6,"
        "\"validation\":{\"loss\":8.5,\"perplexity\":4914.8,\"loss_mask\":8}}\n");
  const RunRecord record = read_run(folder_);
  const RunMetrics& metrics = record.metrics;
  EXPECT_EQ(metrics.lines.read, 3);
  EXPECT_EQ(metrics.of("loss").num_values(), 2);
  EXPECT_EQ(metrics.of("loss").num_nulls(), 1);
  EXPECT_EQ(metrics.of("skipped").sum(), 1);
  EXPECT_EQ(metrics.of("validation.loss").last(), (StepValue{3, 8.5}));
  EXPECT_EQ(metrics.names_behind("loss_"), (std::vector<std::string>{"mask", "document"}));
  EXPECT_EQ(metrics.names_behind("validation.loss_"), (std::vector<std::string>{"mask"}));
  EXPECT_TRUE(metrics.of("words").empty());
  EXPECT_EQ(metrics.first_step, 1);
  EXPECT_EQ(metrics.last_step, 3);
  EXPECT_EQ(record.name(), folder_.filename().string()) << "without a config";
  std::filesystem::create_directory(folder_ / "inner");
  for (const char* same : {".", "", "inner/.."}) {
    EXPECT_EQ(read_run(folder_ / same).name(), folder_.filename().string()) << same;
  }
  EXPECT_TRUE(has_note(record, "config.yaml is missing"));
  EXPECT_TRUE(has_note(record, "There is no events.jsonl"));
}

TEST_F(RunRecordTest, LinesThatCannotBeReadAreCounted) {
  const std::string good = "{\"step\":1,\"loss\":9}\n\n{\"step\":2,\"loss\":8}\n";
  write("metrics.jsonl",
        good + "no json\n[1]\n{\"loss\":1}\n{\"step\":\"3\"}\n{\"step\":-1}\n" +
            "{\"step\":3,\"loss\":NaN}\n" + std::string(5000, '\0') + "\n" +
            std::string(3 << 20, '{') + "\n" +
            "{\"step\":4,\"a\":\"\xff\"}\n{\"step\":3,\"loss\":7}\n{\"step\":4,\"lo");
  const RunRecord record = read_run(folder_);
  EXPECT_EQ(record.metrics.lines.read, 3);
  EXPECT_EQ(record.metrics.lines.invalid, 8);
  EXPECT_EQ(record.metrics.lines.too_long, 1);
  EXPECT_TRUE(record.metrics.lines.torn);
  EXPECT_EQ(record.metrics.of("loss").last(), (StepValue{3, 7.0}));
  EXPECT_TRUE(has_note(record, "8 lines of metrics.jsonl are not what the file should hold"));
  EXPECT_TRUE(has_note(record, "1 line of metrics.jsonl is longer than 1,048,576 bytes"));
  EXPECT_TRUE(has_note(record, "last line of metrics.jsonl is not whole"));
}

TEST_F(RunRecordTest, LinesMayLieAcrossBlocks) {
  std::string text;
  for (int step = 1; step <= 5'000; ++step) {
    text += str("{\"step\":", step, ",\"loss\":", step, ",\"pad\":\"",
                std::string(static_cast<std::size_t>(step * 37 % 2'000), 'p'), "\"}\n");
  }
  ASSERT_GT(text.size(), std::size_t{4} << 20);
  write("metrics.jsonl", text);
  const RunRecord record = read_run(folder_);
  EXPECT_EQ(record.metrics.lines.read, 5'000);
  EXPECT_EQ(record.metrics.lines.invalid + record.metrics.lines.too_long, 0);
  EXPECT_FALSE(record.metrics.lines.torn);
  EXPECT_EQ(record.metrics.of("loss").sum(), 5'000.0 * 5'001 / 2);
}

TEST_F(RunRecordTest, ManyNamesAreBounded) {
  std::string text = "{\"step\":1,\"Odd Name\":1";
  for (int i = 0; i < 5'000; ++i) text += str(",\"n", i, "\":1");
  write("metrics.jsonl", text + "}\n");
  const RunRecord record = read_run(folder_);
  EXPECT_EQ(record.metrics.series.size(), RunMetrics::kMaxSeries);
  EXPECT_EQ(record.metrics.num_ignored, 5'001 - static_cast<int>(RunMetrics::kMaxSeries));
  EXPECT_TRUE(has_note(record, "under unknown names"));
}

TEST_F(RunRecordTest, AStepThatGoesBackIsToldAndReplaces) {
  write("metrics.jsonl",
        "{\"step\":1,\"loss\":9}\n{\"step\":2,\"loss\":8}\n{\"step\":2,\"loss\":7}\n");
  const RunRecord record = read_run(folder_);
  EXPECT_EQ(record.metrics.of("loss").num_values(), 2);
  EXPECT_EQ(record.metrics.of("loss").last(), (StepValue{2, 7.0}));
  EXPECT_TRUE(has_note(record, "goes back 1 time"));
}

TEST_F(RunRecordTest, ARunWithoutStepsIsARun) {
  write("metrics.jsonl", "");
  EXPECT_TRUE(has_note(read_run(folder_), "No step has been logged yet"));
}

TEST_F(RunRecordTest, TheNewestStartTellsTheLayout) {
  write("metrics.jsonl", "{\"step\":1,\"loss\":9}\n");
  write("config.yaml", kConfig);
  write("events.jsonl",
        "{\"time\":\"2026-03-01T10:00:00.000Z\",\"event\":\"start\",\"step\":0,\"ranks\":8,"
        "\"pipeline\":2,\"data\":2,\"tensor\":2,\"parameters\":1234}\n"
        "{\"time\":\"2026-03-01T10:00:05.000Z\",\"event\":\"save\",\"step\":100,\"seconds\":0.5}\n"
        "{\"time\":\"2026-03-01T10:01:00.000Z\",\"event\":\"resume\",\"step\":100,\"ranks\":6,"
        "\"pipeline\":2,\"data\":3,\"tensor\":1}\n"
        "{\"time\":\"2026-03-01T10:02:00.500Z\",\"event\":\"done\",\"step\":300}\n");
  RunRecord record = read_run(folder_);
  EXPECT_EQ(record.degrees, (Degrees{.pipeline = 2, .data = 3}));
  EXPECT_TRUE(record.degrees_recorded);
  EXPECT_EQ(record.name(), "quick");
  EXPECT_EQ(record.events.count("save"), 1);
  set_state(record, /*is_locked=*/false, 0);
  EXPECT_EQ(record.state, RunState::kDone);
  EXPECT_DOUBLE_EQ(record.seconds.value(), 120.5);
  EXPECT_EQ(checkpoints_of(record), "elsewhere/checkpoints");
  std::filesystem::create_directory(folder_ / "checkpoints");
  EXPECT_EQ(checkpoints_of(record), folder_ / "checkpoints");
  EXPECT_TRUE(notes_of(record).empty()) << notes_of(record).front();
}

TEST_F(RunRecordTest, DegreesThatMakeNoSenseAreNotBelieved) {
  write("metrics.jsonl", "{\"step\":1,\"loss\":9}\n");
  write("config.yaml", kConfig);
  for (const char* fields :
       {"", ",\"ranks\":4", ",\"ranks\":4,\"pipeline\":2,\"data\":1,\"tensor\":1",
        ",\"ranks\":0,\"pipeline\":0,\"data\":0,\"tensor\":0",
        ",\"ranks\":99999999999,\"pipeline\":99999999999,\"data\":1,\"tensor\":1",
        ",\"ranks\":4,\"pipeline\":-2,\"data\":-2,\"tensor\":1",
        ",\"ranks\":\"4\",\"pipeline\":[2],\"data\":{},\"tensor\":2"}) {
    write("events.jsonl", str("{\"event\":\"start\",\"step\":0", fields, "}\n"));
    const RunRecord record = read_run(folder_);
    EXPECT_EQ(record.degrees, (Degrees{.pipeline = 2})) << fields;
    EXPECT_TRUE(has_note(record, "did not record its number of ranks")) << fields;
  }
}

TEST_F(RunRecordTest, AConfigOfAnotherVersionIsShownAsText) {
  write("metrics.jsonl", "{\"step\":1,\"loss\":9}\n");
  write("config.yaml", std::string(kConfig) + "future: {key: 1}\n");
  const RunRecord record = read_run(folder_);
  EXPECT_FALSE(record.config);
  EXPECT_NE(record.config_yaml.find("future"), std::string::npos);
  EXPECT_FALSE(record.degrees);
  EXPECT_TRUE(has_note(record, "future"));
}

TEST_F(RunRecordTest, TheStateFollowsFromTheLockAndTheLastWord) {
  write("metrics.jsonl", "{\"step\":1,\"loss\":9}\n");
  const auto state_after = [&](const std::string& event, bool is_locked) {
    write("events.jsonl", "{\"time\":\"2026-03-01T10:00:00.000Z\",\"event\":\"" + event + "\"}\n");
    RunRecord record = read_run(folder_);
    set_state(record, is_locked, 1772359260);  // 10:01:00.
    return std::pair(record.state, record.seconds.value());
  };
  EXPECT_EQ(state_after("save", true), std::pair(RunState::kRunning, 60.0));
  EXPECT_EQ(state_after("done", true), std::pair(RunState::kRunning, 60.0));
  EXPECT_EQ(state_after("done", false), std::pair(RunState::kDone, 0.0));
  EXPECT_EQ(state_after("preempted", false), std::pair(RunState::kPreempted, 0.0));
  EXPECT_EQ(state_after("crash_loop", false), std::pair(RunState::kGivenUp, 0.0));
  EXPECT_EQ(state_after("restarts_spent", false), std::pair(RunState::kGivenUp, 0.0));
  EXPECT_EQ(state_after("save", false), std::pair(RunState::kInterrupted, 0.0));
}

TEST_F(RunRecordTest, EventsOfAllKindsAreBounded) {
  write("metrics.jsonl", "{\"step\":1,\"loss\":9}\n");
  std::string text = "{\"event\":\"config_change\",\"step\":0,\"key\":\"optimizer.lr\"}\nno json\n";
  for (int i = 0; i < 5'000; ++i) text += str("{\"event\":\"skip\",\"step\":", i, "}\n");
  for (int i = 0; i < 100; ++i) text += str("{\"event\":\"odd", i, "\"}\n");
  write("events.jsonl", text + "{\"event\":1}\n{\"event\":\"sa");
  const RunEvents events = read_run(folder_).events;
  EXPECT_EQ(events.count("skip"), 5'000);
  EXPECT_EQ(events.count("config_change"), 1);
  EXPECT_EQ(events.lines.invalid, 2);
  EXPECT_TRUE(events.lines.torn);
  EXPECT_EQ(events.counts.size(), RunEvents::kMaxKinds + 1);
  EXPECT_EQ(events.events.front().kind, "config_change") << "a flood of one kind hides no other";
  EXPECT_LE(events.events.size(), RunEvents::kMaxOfKind + 101);
  EXPECT_EQ(events.events[1].step, 5'000 - static_cast<int>(RunEvents::kMaxOfKind));
}

TEST_F(RunRecordTest, AStepThatNoRunReachesIsNone) {
  write("metrics.jsonl",
        "{\"step\":9007199254740992,\"loss\":1}\n{\"step\":9223372036854775807,\"loss\":2}\n");
  write("events.jsonl", "{\"time\":\"\",\"event\":\"save\",\"step\":9223372036854775807}\n");
  const RunRecord record = read_run(folder_);
  EXPECT_EQ(record.metrics.lines.read, 1);
  EXPECT_EQ(record.metrics.lines.invalid, 1);
  EXPECT_EQ(record.metrics.last_step, 9007199254740992);
  EXPECT_EQ(record.events.events.at(0).step, std::nullopt);
}

}  // namespace
}  // namespace cloze
