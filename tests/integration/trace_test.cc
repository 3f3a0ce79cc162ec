// Traces of whole runs: what scripts/oracles/check_trace.py, which knows the format and the
// schedule but not the program, finds in them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include "parallel/base/file.h"
#include "parallel/trace/trace_format.h"
#include "tests/integration/training.h"

namespace cloze {
namespace {

class TraceTest : public TrainingTest {
 protected:
  std::filesystem::path folder(const std::string& run) const { return run_folder(run) / "trace"; }

  // What the oracle says of a file.
  static Outcome check(const std::filesystem::path& file, const Words& options) {
    return python("scripts/oracles/check_trace.py", Words{file.string()} + options);
  }

  // What Perfetto shows of a file.
  static Outcome view(const std::filesystem::path& file) {
    return python("tests/perfetto/check_trace_viewer.py", {file.string()});
  }

  // The newest trace of a run is all that the oracle asks for.
  void expect_good(const std::string& run, const Words& options) const {
    const Outcome checked = check(folder(run) / "trace.json", options);
    EXPECT_EQ(checked.code, 0) << checked.out << checked.err;
  }

  // The events of a kind in a run's journal.
  std::vector<nlohmann::json> journal(const std::string& run, const std::string& event) const {
    std::vector<nlohmann::json> found;
    for (const nlohmann::json& line : events(run)) {
      if (line.at("event") == event) found.push_back(line);
    }
    return found;
  }

  static nlohmann::json json_of(const std::filesystem::path& path) {
    return nlohmann::json::parse(read_file(path, std::int64_t{1} << 30));
  }

  // Names of the spans of rank 0's thread.
  static std::vector<std::string> spans_of(const nlohmann::json& trace) {
    std::vector<std::string> names;
    const auto num_ranks = static_cast<int>(trace.at("otherData").at("ranks").size());
    for (const nlohmann::json& event : trace.at("traceEvents")) {
      if (event.at("ph") == "X" && event.at("pid") == 0 &&
          event.at("tid") == trace_thread_id(num_ranks, 0, 0)) {
        names.push_back(event.at("name"));
      }
    }
    return names;
  }

  static Words files_in(const std::filesystem::path& folder) {
    Words names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }
};

TEST_F(TraceTest, TensorAndPipelineRanksTellWhatTheScheduleSays) {
  // 4 layers of width 32, rows of 64 tokens in fp32: as the config of these tests says.
  const Words oracle = {"--one-clock", "--microbatches", "4", "--glm4", "4,32,64,4"};
  for (const std::string schedule : {"1f1b", "gpipe"}) {
    expect_done(train(4, schedule,
                      {"parallel.tensor=2", "parallel.pipeline=2", "run.steps=5",
                       "parallel.schedule=" + schedule, "log.trace=[2, 3, 4, 5]"}));
    expect_good(schedule, oracle);
    EXPECT_EQ(files_in(folder(schedule)), (Words{"step-00000002", "trace.json"}));
    EXPECT_EQ(files_in(folder(schedule) / "step-00000002"),
              (Words{"rank-00000.json", "rank-00001.json", "rank-00002.json", "rank-00003.json",
                     "trace.json"}));
  }
}

TEST_F(TraceTest, TheOracleSeesWhatIsWrong) {
  expect_done(train(2, "a", {"parallel.pipeline=2", "run.steps=4", "log.trace=[2, 3, 4]"}));
  const Words options = {"--one-clock", "--microbatches", "4"};
  expect_good("a", options);
  using Json = nlohmann::ordered_json;  // The order of the axes is that of a rank's name.
  const Json good = Json::parse(read_file(folder("a") / "trace.json", std::int64_t{1} << 30));
  // The first event of a name, whose `change` is a fault.
  const auto refuses = [&](const std::string& name, const auto& change) {
    Json bad = good;
    for (Json& event : bad.at("traceEvents")) {
      if (event.at("name") != name || event.at("ph") != "X") continue;
      change(event);
      break;
    }
    const std::filesystem::path path = folder("a") / "bad.json";
    write_file_atomically(path, bad.dump());
    const Outcome checked = check(path, options);
    return checked.code == 1 && checked.err.starts_with("check_trace: ");
  };
  const auto later = [](double microseconds) {
    return [=](Json& event) { event["ts"] = event.at("ts").get<double>() + microseconds; };
  };
  const auto at_the_end = [&](Json& event) {
    const Json& rank = good.at("otherData").at("ranks").at(event.at("pid").get<int>());
    event["ts"] = rank.at("end_ns").get<double>() / 1000 - event.at("dur").get<double>();
  };
  EXPECT_FALSE(refuses("forward", [](Json&) {}));
  EXPECT_TRUE(refuses("forward", [](Json& e) { e["args"]["microbatch"] = 1; }));
  EXPECT_TRUE(refuses("forward", [](Json& e) { e["name"] = "backward"; }));
  EXPECT_TRUE(refuses("forward", later(1e7))) << "it lies outside of its step";
  EXPECT_TRUE(refuses("pipeline_forward.send", at_the_end)) << "it is sent after it came";
  EXPECT_TRUE(refuses("pipeline_forward.send", [](Json& e) { e["args"]["bytes"] = 1; }));
  EXPECT_TRUE(refuses("pipeline_forward.receive", [](Json& e) { e["args"]["peer"] = 1; }));
  EXPECT_TRUE(refuses("model.all_reduce", [](Json& e) { e["name"] = "model.barrier"; }));
  EXPECT_TRUE(refuses("model.all_reduce", later(-1e7)));
  EXPECT_TRUE(refuses("optimizer", [](Json& e) { e["ph"] = "i"; })) << "it is missing";
  EXPECT_EQ(check(folder("a") / "trace.json", {"--overlap"}).code, 1) << "no data ranks";
}

// What is left out would be left out in every run: one without waits for a core is enough.
TEST_F(TraceTest, SpansExplainAStep) {
  std::string steps = "5";
  for (int step = 6; step <= 40; ++step) steps += ", " + std::to_string(step);
  for (const std::string layout : {"pipeline", "tensor", "data"}) {
    const Words degree = layout == "data" ? Words{} : Words{"parallel." + layout + "=2"};
    Outcome checked;
    for (int attempt = 0; attempt < 5 && (attempt == 0 || checked.code != 0); ++attempt) {
      const std::string run = layout + std::to_string(attempt);
      expect_done(train(2, run, degree + Words{"run.steps=40", "log.trace=[" + steps + "]"}));
      checked = check(folder(run) / "trace.json", {"--one-clock", "--explained", "0.95"});
    }
    EXPECT_EQ(checked.code, 0) << layout << ": " << checked.out << checked.err;
  }
}

TEST_F(TraceTest, DataRanksReduceTheirGradients) {
  // Buckets of less than a matrix: several reductions are in flight at once.
  expect_done(train(2, "a", {"run.steps=2", "log.trace=[1, 2]", "parallel.bucket_bytes=4096"}));
  expect_good("a", {"--one-clock", "--microbatches", "2", "--overlap"});
  const std::string text = read_file(folder("a") / "trace.json", std::int64_t{1} << 30);
  EXPECT_GT(count_of(text, "\"data.all_to_all\""), 10U);
  EXPECT_GT(count_of(text, "\"data (2)\""), 0U) << "calls in flight together lie on two lanes";
}

// Two lanes of `data`, messages between stages, and meetings of tensor ranks.
TEST_F(TraceTest, PerfettoShowsEverySlice) {
  for (const std::string other : {"tensor", "data"}) {
    const Words degree = other == "data" ? Words{} : Words{"parallel.tensor=2"};
    expect_done(train(4, other,
                      degree + Words{"parallel.pipeline=2", "parallel.bucket_bytes=4096",
                                     "run.steps=3", "log.trace=[2, 3]"}));
    const Outcome checked = view(folder(other) / "trace.json");
    EXPECT_EQ(checked.code, 0) << other << ": " << checked.out << checked.err;
    EXPECT_NE(checked.out.find(" arrows"), std::string::npos) << checked.out;
  }
}

// A rank whose clock runs 5000 s ahead, as on another host: in a time namespace of its own.
TEST_F(TraceTest, ClocksOfTwoHostsAreAligned) {
  Words elsewhere = {"/usr/bin/unshare", "--time", "--monotonic", "5000", "--fork", "--kill-child"};
  if (::getuid() != 0) elsewhere = elsewhere + Words{"--user", "--map-current-user"};
  // Old kernels have no such namespaces, and containers may forbid them. ClockAlignment.* align
  // made-up readings everywhere.
  if (run_process(elsewhere + Words{"/bin/true"}, workspace()).code != 0) {
    GTEST_SKIP() << "this kernel lets no user make a time namespace";
  }
  const Words settings = {"parallel.pipeline=2", "run.steps=6", "log.trace=[2, 3, 4, 5]"};
  const Words rank = command(0, "a", settings);
  expect_done(train_mixed(1, rank, elsewhere + rank));
  // Nothing arrives before it is sent, but for the uncertainty that the file tells.
  expect_good("a", {"--microbatches", "4"});
  const nlohmann::json ranks = json_of(folder("a") / "trace.json").at("otherData").at("ranks");
  EXPECT_EQ(ranks.at(0).at("clock").at("offset_ns"), 0);
  const nlohmann::json& clock = ranks.at(1).at("clock");
  EXPECT_NEAR(std::abs(clock.at("offset_ns").get<double>()), 5000e9, 1e6) << clock;
  EXPECT_GT(clock.at("uncertainty_ns").get<double>(), 0);
  EXPECT_LT(clock.at("uncertainty_ns").get<double>(), 1e6) << clock;
}

TEST_F(TraceTest, ChangesNoBit) {
  const Words layout = {"parallel.tensor=2", "parallel.pipeline=2", "validation.interval=2",
                        "validation.rows=2"};
  expect_done(train(4, "off", layout));
  expect_done(train(4, "on", layout + Words{"log.trace=[1, 2, 3, 4, 5, 6]"}));
  EXPECT_EQ(losses("on"), losses("off"));
  EXPECT_EQ(contents("on", 6), contents("off", 6));
  EXPECT_FALSE(std::filesystem::exists(folder("off")));
}

TEST_F(TraceTest, StepsApartHaveFoldersOfTheirOwn) {
  expect_done(train(0, "a", {"log.trace=[1, 3, 4, 99]"}));
  EXPECT_EQ(files_in(folder("a")), (Words{"step-00000001", "step-00000003", "trace.json"}));
  EXPECT_EQ(std::filesystem::read_symlink(folder("a") / "trace.json"), "step-00000003/trace.json");
  const nlohmann::json newest = json_of(folder("a") / "trace.json");
  EXPECT_EQ(newest.at("otherData").at("ranks").at(0).at("steps"), nlohmann::json({3, 4}));
  const auto told = journal("a", "trace");
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[1].at("first_step"), 3);
  EXPECT_EQ(told[1].at("step"), 4);
  EXPECT_EQ(told[1].at("events_dropped"), 0);
}

TEST_F(TraceTest, ValidationAndSavesAreSeen) {
  expect_done(train(0, "a",
                    {"run.steps=4", "log.trace=[3]", "checkpoint.interval=3",
                     "validation.interval=3", "validation.rows=3"}));
  expect_good("a", {"--microbatches", "4", "--validation-microbatches", "3"});
  const std::vector<std::string> spans = spans_of(json_of(folder("a") / "trace.json"));
  for (const char* name :
       {"step", "data wait", "zero gradients", "forward", "backward", "weight gradient",
        "reduce gradients", "gradient norm", "optimizer", "publish weights", "validation", "log",
        "agree to go on", "save", "create folder", "write rank file", "commit"}) {
    EXPECT_NE(std::ranges::find(spans, name), spans.end()) << name;
  }
}

TEST_F(TraceTest, ASkippedStepEndsBeforeTheOptimizer) {
  // The first loss scale overflows fp16.
  expect_done(train(2, "a",
                    {"run.steps=2", "precision.compute=fp16",
                     "precision.initial_loss_scale=4294967296", "log.trace=[1]"}));
  ASSERT_EQ(metrics("a").at(0).at("skipped"), true);
  expect_good("a", {"--one-clock", "--microbatches", "2"});
  const std::vector<std::string> spans = spans_of(json_of(folder("a") / "trace.json"));
  EXPECT_NE(std::ranges::find(spans, "gradient norm"), spans.end());
  EXPECT_EQ(std::ranges::find(spans, "optimizer"), spans.end());
}

TEST_F(TraceTest, AResumedRunTracesItsStepsAgainAndLeavesTheOthers) {
  expect_done(train(2, "a", {"run.steps=4", "log.trace=[2, 4, 5, 6]"}));
  EXPECT_EQ(files_in(folder("a")), (Words{"step-00000002", "step-00000004", "trace.json"}));
  // The steps that the first run's end cut off go on in a folder of their own, on any layout.
  expect_done(train(0, "a", {"run.steps=6", "log.trace=[2, 4, 5, 6]"}));
  EXPECT_EQ(files_in(folder("a")),
            (Words{"step-00000002", "step-00000004", "step-00000005", "trace.json"}));
  EXPECT_EQ(json_of(folder("a") / "trace.json").at("otherData").at("ranks").at(0).at("steps"),
            nlohmann::json({5, 6}));
  expect_good("a", {"--microbatches", "4"});
  // The same step on fewer ranks: nothing of the wider layout stays in its folder.
  expect_done(train(2, "b", {"run.steps=2", "log.trace=[2]"}));
  std::filesystem::remove_all(run_folder("b") / "checkpoints");
  expect_done(train(0, "b", {"run.steps=2", "log.trace=[2]"}));
  EXPECT_EQ(files_in(folder("b") / "step-00000002"), (Words{"rank-00000.json", "trace.json"}));
  expect_good("b", {"--microbatches", "4"});
}

TEST_F(TraceTest, ATraceThatCannotBeWrittenIsAWarning) {
  std::filesystem::create_directories(run_folder("a"));
  write_file_atomically(folder("a"), "a file where the folder would be");
  const Outcome outcome = train(2, "a", {"run.steps=3", "log.trace=[2]"});
  expect_done(outcome);
  EXPECT_NE((outcome.out + outcome.err).find("no trace of step 2"), std::string::npos);
  ASSERT_EQ(journal("a", "trace_failed").size(), 1U);
  EXPECT_TRUE(journal("a", "trace").empty());
  EXPECT_EQ(losses("a").size(), 3U);
}

TEST_F(TraceTest, AWrongKeyIsAnError) {
  for (const char* value : {"true", "[0]", "[3, 2]", "[2, 2]", "2-3", "[a]"}) {
    expect_failure(train(0, "a", {std::string("log.trace=") + value}), 64, {"log.trace"});
  }
}

}  // namespace
}  // namespace cloze
