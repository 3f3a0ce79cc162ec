#include "parallel/trace/trace_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "parallel/trace/merge_traces.h"
#include "parallel/trace/trace_format.h"
#include "tests/support/scratch_folder.h"

namespace cloze {
namespace {

using Json = nlohmann::json;

class TraceFileTest : public testing::Test {
 protected:
  std::filesystem::path path(int rank) const { return folder_ / rank_trace_name(rank); }
  std::string text(const std::string& name) const {
    return read_file(folder_ / name, std::int64_t{1} << 30);
  }
  Json json(const std::string& name) const { return Json::parse(text(name)); }

  // The events of one kind ("X", "M", "s", "f", "i").
  static std::vector<Json> events(const Json& file, const std::string& phase) {
    std::vector<Json> found;
    for (const Json& event : file.at("traceEvents")) {
      if (event.at("ph") == phase) found.push_back(event);
    }
    return found;
  }

  const ScratchFolder scratch_{"trace"};
  const std::filesystem::path& folder_ = scratch_.path();
};

TraceProcess process_of(int rank, int num_ranks = 2) {
  TraceProcess process;
  process.rank = rank;
  process.num_ranks = num_ranks;
  process.host = "node";
  process.coordinates = {{"stage", rank}, {"data", 0}, {"tensor", 1}};
  return process;
}

TEST_F(TraceFileTest, TellsWhoWhatAndWhen) {
  Trace trace;
  const int tensor = trace.add_group("tensor", 1, {2, 3});
  trace.begin();
  trace.set_step(10);
  CallTrace call;
  {
    const TraceSpan span(&trace, "forward", {.stage = 1, .microbatch = 0});
    call = trace.open_call(tensor, "all_gather", 8192);
    const TraceSpan wait(call);
  }
  call.done();
  trace.end();
  TraceProcess process = process_of(3, 4);
  process.origin = trace.began() - 5000;
  write_trace(trace, process, path(3));

  const Json file = json("rank-00003.json");
  EXPECT_EQ(file.at("displayTimeUnit"), "ms");
  const Json& about = file.at("otherData");
  EXPECT_EQ(about.at("rank"), 3);
  EXPECT_EQ(about.at("num_ranks"), 4);
  EXPECT_EQ(about.at("steps"), Json({10}));
  EXPECT_EQ(about.at("begin_ns"), 5000);
  EXPECT_EQ(about.at("events"), 3);
  EXPECT_EQ(about.at("events_dropped"), 0);
  EXPECT_EQ(about.at("groups").at(0), Json({{"name", "tensor"}, {"rank", 1}, {"members", {2, 3}}}));

  const std::vector<Json> metadata = events(file, "M");
  EXPECT_EQ(metadata.at(0).at("args").at("name"), "rank 3 (stage 3, data 0, tensor 1) node");
  const std::vector<Json> spans = events(file, "X");
  ASSERT_EQ(spans.size(), 3U);
  EXPECT_EQ(spans[0].at("name"), "forward");
  EXPECT_EQ(spans[0].at("tid"), trace_thread_id(4, 3, 0));
  EXPECT_EQ(spans[0].at("args"), Json({{"step", 10}, {"stage", 1}, {"microbatch", 0}}));
  EXPECT_EQ(spans[1].at("name"), "tensor.all_gather");
  EXPECT_EQ(spans[1].at("cat"), "collective");
  EXPECT_EQ(spans[1].at("args"),
            Json({{"step", 10}, {"group", "tensor"}, {"bytes", 8192}, {"call", 0}}));
  EXPECT_EQ(spans[2].at("name"), "wait tensor.all_gather");
  EXPECT_EQ(spans[2].at("tid"), trace_thread_id(4, 3, 0));
  const TraceEvent& first = trace.events().front();
  EXPECT_NEAR(spans[0].at("ts").get<double>() * 1000,
              static_cast<double>(first.begin - process.origin), 0.5);
  EXPECT_NEAR(spans[0].at("dur").get<double>() * 1000, static_cast<double>(first.end - first.begin),
              0.5);
  EXPECT_GE(spans[0].at("ts").get<double>(), 5.0);
}

TEST_F(TraceFileTest, TimesAreThoseOfRank0) {
  Trace trace;
  trace.begin();
  { const TraceSpan span(&trace, "step"); }
  trace.end();
  TraceProcess process = process_of(1);
  const std::int64_t ahead = 5'000'000'000;  // Of rank 0's clock.
  process.clock = ClockAlignment({.time = trace.began() - 10, .offset = -ahead, .uncertainty = 7},
                                 {.time = trace.ended(), .offset = -ahead, .uncertainty = 9});
  process.origin = trace.began() - ahead;
  write_trace(trace, process, path(1));
  const Json file = json("rank-00001.json");
  EXPECT_EQ(file.at("otherData").at("begin_ns"), 0);
  EXPECT_EQ(file.at("otherData").at("clock"),
            Json({{"offset_ns", -ahead}, {"drift_ns", 0}, {"uncertainty_ns", 7}}));
  EXPECT_GE(events(file, "X").at(0).at("ts").get<double>(), 0);
  EXPECT_LT(events(file, "X").at(0).at("ts").get<double>(), 1e6);
}

TEST_F(TraceFileTest, HostileNamesAreEscaped) {
  const std::string name = "a\"b\\c\n\x01\xff</script>\xe2\x82\xac";
  Trace trace;
  const int group = trace.add_group(name, 0, {0, 1});
  trace.begin();
  const CallTrace call = trace.open_call(group, "all_reduce", 1);
  { const TraceSpan wait(call); }
  trace.end();
  TraceProcess process = process_of(0, 1);
  process.host = "host\"\n\xc3";
  write_trace(trace, process, path(0));
  merge_traces(folder_, 1);
  const std::string shown = "a\"b\\c\n\x01\xef\xbf\xbd</script>\xe2\x82\xac";  // One byte replaced.
  for (const std::string file : {"rank-00000.json", "trace.json"}) {
    EXPECT_EQ(events(json(file), "X").at(0).at("name"), shown + ".all_reduce");
    EXPECT_EQ(events(json(file), "X").at(0).at("args").at("group"), shown);
    EXPECT_EQ(events(json(file), "X").at(1).at("name"), "wait " + shown + ".all_reduce");
  }
}

TEST_F(TraceFileTest, ASendAndItsReceiveShareAnArrow) {
  for (const int rank : {0, 1}) {
    Trace trace;
    const int forward = trace.add_group("forward", rank, {0, 1});
    const int backward = trace.add_group("backward", rank, {0, 1});
    trace.begin();
    for (int i = 0; i < 3; ++i) {
      for (const int group : {forward, backward}) {
        const bool sends = (group == forward) == (rank == 0);
        CallTrace call;
        trace.open_message(call, group, sends ? TraceKind::kSend : TraceKind::kReceive, 1 - rank,
                           100 + i);
        call.done();
      }
    }
    trace.end();
    write_trace(trace, process_of(rank), path(rank));
  }
  merge_traces(folder_, 2);
  const Json file = json("trace.json");
  std::map<std::int64_t, int> starts;
  for (const Json& flow : events(file, "s")) ++starts[flow.at("id")];
  EXPECT_EQ(starts.size(), 6U) << "each message has a number of its own";
  for (const Json& flow : events(file, "f")) {
    EXPECT_EQ(flow.at("bp"), "e");
    EXPECT_EQ(starts[flow.at("id")]--, 1);
  }
  EXPECT_EQ(events(file, "f").size(), 6U);
  // An arrow lies on a slice of its lane.
  for (const Json& flow : file.at("traceEvents")) {
    if (flow.at("ph") != "s" && flow.at("ph") != "f") continue;
    bool lies = false;
    for (const Json& slice : events(file, "X")) {
      lies =
          lies || (slice.at("pid") == flow.at("pid") && slice.at("tid") == flow.at("tid") &&
                   slice.at("ts") <= flow.at("ts") &&
                   flow.at("ts") <= slice.at("ts").get<double>() + slice.at("dur").get<double>());
    }
    EXPECT_TRUE(lies) << flow;
  }
}

TEST_F(TraceFileTest, ManyEventsOfManyRanksAreJoinedInFull) {
  constexpr int kRanks = 3;
  constexpr int kEvents = 20'000;  // Several buffers of the reader and the writer.
  for (int rank = 0; rank < kRanks; ++rank) {
    Trace trace;
    trace.begin();
    for (int i = 0; i < kEvents; ++i) const TraceSpan span(&trace, "forward", {.microbatch = i});
    trace.end();
    write_trace(trace, process_of(rank, kRanks), path(rank));
  }
  merge_traces(folder_, kRanks);
  const Json file = json("trace.json");
  ASSERT_EQ(file.at("otherData").at("ranks").size(), 3U);
  std::map<int, std::set<int>> microbatches;
  for (const Json& event : events(file, "X")) {
    microbatches[event.at("pid")].insert(event.at("args").at("microbatch").get<int>());
  }
  ASSERT_EQ(microbatches.size(), 3U);
  for (const auto& [rank, seen] : microbatches) EXPECT_EQ(seen.size(), 20'000U) << rank;
  for (int rank = 0; rank < kRanks; ++rank) {
    EXPECT_EQ(file.at("otherData").at("ranks").at(rank).at("rank"), rank);
  }
}

TEST_F(TraceFileTest, DroppedEventsAreMarked) {
  Trace trace(/*most_events=*/2);
  trace.begin();
  for (int i = 0; i < 5; ++i) const TraceSpan span(&trace, "forward");
  trace.end();
  write_trace(trace, process_of(0, 1), path(0));
  const Json file = json("rank-00000.json");
  ASSERT_EQ(events(file, "i").size(), 1U);
  EXPECT_EQ(events(file, "i").at(0).at("name"), "events dropped");
  EXPECT_EQ(events(file, "i").at(0).at("args").at("count"), 3);
  EXPECT_EQ(file.at("otherData").at("events_dropped"), 3);
}

TEST_F(TraceFileTest, AnEmptyRecordingIsAFile) {
  Trace trace;
  trace.begin();
  trace.end();
  write_trace(trace, process_of(0, 1), path(0));
  merge_traces(folder_, 1);
  EXPECT_TRUE(events(json("trace.json"), "X").empty());
}

TEST_F(TraceFileTest, FilesThatAreNoTracesAreRefused) {
  Trace trace;
  trace.begin();
  for (int i = 0; i < 3; ++i) const TraceSpan span(&trace, "forward");
  trace.end();
  write_trace(trace, process_of(0), path(0));
  const std::string good = text("rank-00000.json");
  const auto refuses = [&](const std::string& content) {
    std::ofstream(path(1), std::ios::binary) << content;
    try {
      merge_traces(folder_, 2);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
      EXPECT_NE(error.problem().find("rank-00001.json"), std::string::npos) << error.problem();
      EXPECT_FALSE(std::filesystem::exists(folder_ / "trace.json"));
      return true;
    }
    return false;
  };
  std::string second = good;
  second.replace(second.find("\"rank\":0"), 8, "\"rank\":1");
  EXPECT_FALSE(refuses(second)) << "so what follows is refused for its own fault";
  std::filesystem::remove(folder_ / "trace.json");
  EXPECT_TRUE(refuses(good)) << "of another rank";
  EXPECT_TRUE(refuses(""));
  EXPECT_TRUE(refuses("{}"));
  EXPECT_TRUE(refuses(second.substr(0, second.size() / 2)));
  EXPECT_TRUE(refuses(second.substr(0, second.size() - 3))) << "without its end";
  EXPECT_TRUE(refuses(second + "{}\n"));
  EXPECT_TRUE(refuses(std::string(40 << 20, ' '))) << "one endless line";
  std::filesystem::remove(path(1));
  EXPECT_THROW(merge_traces(folder_, 2), Error) << "a rank is missing";
}

TEST_F(TraceFileTest, AFileThatCannotBeWrittenIsAnErrorAndLeavesNothing) {
  Trace trace;
  trace.begin();
  trace.end();
  EXPECT_THROW(write_trace(trace, process_of(0, 1), folder_ / "missing" / "x.json"), Error);
  std::filesystem::create_directory(path(0));
  EXPECT_THROW(write_trace(trace, process_of(0, 1), path(0)), Error);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

}  // namespace
}  // namespace cloze
