// The whole page: what it shows of each kind of run, and that nothing in a run's files can leave
// its place.
#include "trainer/report/page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "parallel/base/check.h"
#include "trainer/config/load.h"
#include "trainer/report/event_strip.h"
#include "trainer/report/layout_drawing.h"
#include "trainer/report/pipeline_drawing.h"

namespace cloze {
namespace {

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

RunRecord record_of(std::int64_t steps) {
  RunRecord record;
  record.directory = "runs/quick";
  record.config_yaml =
      "run: {name: quick, directory: runs/quick, steps: 300}\n"
      "model: {family: glm4, num_hidden_layers: 4, hidden_size: 32, num_attention_heads: 4,\n"
      "        intermediate_size: 64, vocab_size: 512}\n"
      "data: {tokenizer: t, train: [a]}\n"
      "batch: {global_size: 16, micro_size: 2}\n"
      "parallel: {pipeline: 2, tensor: 2}\n";
  record.config = load_config_text(record.config_yaml, "config.yaml", {}).run;
  record.degrees = Degrees{.pipeline = 2, .tensor = 2};
  record.degrees_recorded = true;
  for (std::int64_t step = 1; step <= steps; ++step) {
    for (const char* name : {"loss", "lr", "grad_norm", "tokens_per_second", "mfu", "loss_scale",
                             "memory_bytes", "data_wait_seconds", "loss_mask"}) {
      record.metrics.series[name].add(step, 1.0 / static_cast<double>(step));
    }
  }
  record.metrics.lines.read = steps;
  record.metrics.first_step = 1;
  record.metrics.last_step = steps;
  return record;
}

TEST(PageTest, HasEverySectionOnceAndLoadsNothing) {
  const std::string page = report_page(record_of(300), {{0, 2}, {2, 4}});
  for (const char* id :
       {"summary", "curves", "layout", "pipeline", "events", "config", "chart-loss",
        "chart-objectives", "chart-validation", "chart-norm", "chart-rate", "chart-throughput",
        "chart-mfu", "chart-memory", "chart-wait", "chart-events"}) {
    EXPECT_EQ(count_of(page, str(" id=\"", id, "\"")), 1U) << id;
  }
  EXPECT_EQ(page.find("chart-scale"), std::string::npos) << "the loss scale is fp16's";
  EXPECT_NE(page.find("No validation has been measured"), std::string::npos);
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
  EXPECT_FALSE(std::regex_search(page, std::regex(R"((src|href)=["'](?!#|data:))")));
  EXPECT_EQ(page.find("url(http"), std::string::npos);
  EXPECT_EQ(page.find("@import"), std::string::npos);
}

TEST(PageTest, TheLossScaleIsShownInFp16) {
  RunRecord record = record_of(10);
  record.config->mutable_precision()->set_compute(config::Precision::fp16);
  EXPECT_NE(report_page(record, {}).find("chart-scale"), std::string::npos);
}

TEST(PageTest, HostileTextStaysText) {
  const std::string attack = "</title></script><script>alert(1)</script><img src=x onerror=y>\"'";
  RunRecord record = record_of(3);
  record.config->mutable_run()->set_name(attack);
  record.directory = attack;
  record.config_yaml = attack + "\n";
  record.config_problem = attack;
  RunEvent event{.time = attack, .second = {}, .kind = attack, .step = 2, .fields = {}};
  event.fields.emplace_back(attack, attack);
  record.events.events = {event};
  event.kind = "resume";
  record.events.events.push_back(event);
  event.kind = "config_change";
  event.fields = {{"key", attack}, {"before", attack}, {"after", attack}};
  record.events.events.push_back(event);
  record.events.counts[attack] = 1;
  const std::string page = report_page(record, {});
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_EQ(count_of(page, "<script"), 2U);
  EXPECT_EQ(count_of(page, "</script>"), 2U);
  EXPECT_NE(page.find("&lt;script&gt;alert(1)"), std::string::npos) << "it is shown";
}

TEST(PageTest, ARunOfWhichNothingIsKnownHasAPage) {
  RunRecord record;
  record.directory = "somewhere/";
  record.config_problem = "config.yaml is missing";
  const std::string page = report_page(record, {});
  for (const char* words :
       {"No loss has been logged", "The layout is not known", "The schedule is not known",
        "No events were recorded", "The run has no config.yaml", "<h1>somewhere</h1>"}) {
    EXPECT_NE(page.find(words), std::string::npos) << words;
  }
}

TEST(PageTest, AMillionStepsMakeAPageOfAFewMegabytes) {
  EXPECT_LT(report_page(record_of(1'000'000), {}).size(), 3'000'000U);
}

// The formula of Narayanan et al. (2021) for stages of equal length.
TEST(PipelineDrawingTest, TheBubbleIsWhatTheFormulaSays) {
  for (const auto& generate : {gpipe, one_f_one_b}) {
    for (const int stages : {1, 2, 4, 8}) {
      for (const int microbatches : {1, 3, 8, 32}) {
        const double expected = (stages - 1.0) / (microbatches + stages - 1.0);
        EXPECT_NEAR(ticks_of(generate(stages, microbatches)).bubble_fraction, expected, 1e-12);
      }
    }
  }
}

TEST(PipelineDrawingTest, EveryActionIsACell) {
  const std::string html = pipeline_html(
      {.schedule_name = "1f1b", .generate = one_f_one_b, .num_stages = 2, .num_microbatches = 8});
  EXPECT_EQ(count_of(html, "<g class=\"forward\">"), 16U);
  EXPECT_EQ(count_of(html, "<g class=\"backward\">"), 16U);
  EXPECT_NE(html.find("<dt>bubble fraction</dt><dd>11.1 %</dd>"), std::string::npos) << html;
  EXPECT_NE(html.find("stage 0 2, stage 1 1"), std::string::npos) << html;
}

TEST(PipelineDrawingTest, LongSchedulesAreDrawnShortAndSaySo) {
  const std::string html = pipeline_html(
      {.schedule_name = "gpipe", .generate = gpipe, .num_stages = 8, .num_microbatches = 4'000});
  EXPECT_NE(html.find("Drawn with 150 of 4,000 microbatches"), std::string::npos);
  EXPECT_LT(html.size(), 1'000'000U);
  const std::string wide = pipeline_html({.schedule_name = "1f1b",
                                          .generate = one_f_one_b,
                                          .num_stages = 4'096,
                                          .num_microbatches = 1 << 24});
  EXPECT_NE(wide.find("too many stages to simulate"), std::string::npos) << wide;
}

TEST(LayoutDrawingTest, EveryRankHasItsPlace) {
  const std::string html = layout_html({.pipeline = 2, .data = 2, .tensor = 2}, {{0, 3}, {3, 4}});
  EXPECT_EQ(count_of(html, "class=\"rank\""), 8U);
  EXPECT_NE(html.find("title=\"rank 6: pipeline 1, data 1, tensor 0\""), std::string::npos);
  EXPECT_NE(html.find("embedding, layers 0–2"), std::string::npos);
  EXPECT_NE(html.find("layer 3, final norm and head"), std::string::npos);
  for (const char* groups :
       {"[0 1] [2 3] [4 5] [6 7]", "[0 4] [1 5] [2 6] [3 7]", "[0 2] [1 3] [4 6] [5 7]"}) {
    EXPECT_NE(html.find(groups), std::string::npos) << groups;
  }
}

TEST(LayoutDrawingTest, ManyRanksAreDrawnByTheFirstAndTheLast) {
  EXPECT_EQ(shown_of(3, 3), (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(shown_of(9, 4), (std::vector<int>{0, 1, -1, 8}));
  const std::string html = layout_html({.pipeline = 64, .data = 512, .tensor = 16}, {});
  EXPECT_LT(html.size(), 200'000U);
  EXPECT_NE(html.find("rank 524287:"), std::string::npos) << "the last one";
  EXPECT_NE(html.find("[0 1 2 3 4 5 6 7 … 15] [16 17 18 19 20 21 22 23 … 31]"), std::string::npos);
  EXPECT_NE(html.find("[0 8192 16384 "), std::string::npos);
}

TEST(LayoutDrawingTest, TheGroupsAreTheMeshes) {
  for (const Degrees& degrees : {Degrees{.pipeline = 3, .data = 2, .context = 2, .tensor = 3},
                                 Degrees{.pipeline = 2, .data = 5}, Degrees{.tensor = 7}}) {
    const Mesh mesh(degrees);
    const std::string html = layout_html(degrees, {});
    for (const Axis axis : {Axis::kPipeline, Axis::kData, Axis::kTensor}) {
      if (degrees.of(axis) == 1) continue;
      std::vector<std::vector<int>> groups;
      for (int rank = 0; rank < mesh.world() && groups.size() < 4; ++rank) {
        const std::vector<int> group = mesh.group(axis, rank);
        if (std::ranges::find(groups, group) == groups.end()) groups.push_back(group);
      }
      std::string text;
      for (const std::vector<int>& group : groups) {
        std::string ranks;
        for (const int rank : group) ranks += str(ranks.empty() ? "" : " ", rank);
        text += str(text.empty() ? "" : " ", "[", ranks, "]");
      }
      EXPECT_NE(html.find(text), std::string::npos) << text;
    }
  }
}

RunEvent event_at(std::int64_t step, const std::string& kind) {
  RunEvent event;
  event.kind = kind;
  event.step = step;
  return event;
}

TEST(EventStripTest, EveryKindOfTheJournalHasItsLane) {
  RunEvents events;
  for (const char* kind : {"start", "resume", "restart", "save", "save_failed", "skip",
                           "config_change", "numerics_change", "trace", "trace_failed", "retain",
                           "preempted", "crash_loop", "restarts_spent", "done"}) {
    events.events.push_back(event_at(1, kind));
    events.counts[kind] = 1;
  }
  const std::vector<Lane> lanes = lanes_of(events);
  EXPECT_EQ(lanes.size(), 15U);
  EXPECT_EQ(std::ranges::count(lanes, "other", &Lane::kind), 0);
}

TEST(EventStripTest, OtherKindsAreCountedWithThoseThatWereNotKept) {
  RunEvents events;
  events.events.push_back(event_at(1, "odd"));
  events.counts = {{"odd", 500}, {"other", 70}, {"save", 3}};
  const std::vector<Lane> lanes = lanes_of(events);
  ASSERT_EQ(lanes.size(), 1U);
  EXPECT_EQ(lanes.front().kind, "other");
  EXPECT_EQ(lanes.front().count, 570);
}

}  // namespace
}  // namespace cloze
