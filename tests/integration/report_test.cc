// cloze report on runs that were really trained.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <regex>

#include "tests/integration/training.h"

namespace cloze {
namespace {

class ReportTest : public TrainingTest {
 protected:
  Outcome report(const std::string& run, const Words& options = {}) const {
    return cloze(Words{"report", run_folder(run).string()} + options);
  }
  std::string page(const std::string& run) const {
    return text_of_file(run_folder(run) / "report.html");
  }
};

// The points of the first curve of a chart of `page`.
std::size_t points_of(const std::string& page, const std::string& chart) {
  const std::size_t figure = page.find("id=\"chart-" + chart + "\"");
  if (figure == std::string::npos) return 0;
  const std::size_t begin = page.find("\"><path d=\"", page.find("class=\"curve ", figure)) + 11;
  const std::string path = page.substr(begin, page.find('"', begin) - begin);
  return count_of(path, "M") + count_of(path, "L");
}

void expect_words(const std::string& page, const Words& words) {
  for (const std::string& word : words) {
    EXPECT_NE(page.find(word), std::string::npos) << word;
  }
}

TEST_F(ReportTest, AResumedRunOfTwoStagesIsShownWhole) {
  const Words settings = {"parallel.pipeline=2", "validation.interval=3", "validation.rows=4"};
  expect_done(train(2, "a", settings + Words{"run.steps=3"}));
  expect_done(train(2, "a", settings + Words{"run.steps=6"}));
  const Outcome outcome = report("a");
  expect_done(outcome);
  EXPECT_NE(outcome.out.find("report.html, 6 logged steps"), std::string::npos) << outcome.out;
  const std::string html = page("a");
  EXPECT_EQ(points_of(html, "loss"), 6U);
  EXPECT_EQ(points_of(html, "norm"), 6U);
  EXPECT_EQ(points_of(html, "validation"), 2U);
  EXPECT_EQ(points_of(html, "perplexity"), 2U);
  expect_words(html, {"<h1>integration</h1>", "class=\"state done\"", "<dt>Resumes</dt><dd>1</dd>",
                      "2 ranks = pipeline 2 × data 1 × tensor 1", "stage 1",
                      "<dt>bubble fraction</dt><dd>20 %</dd>", "<dt>Parameters</dt>",
                      "data-path=\"parallel.pipeline\"", "<td>Resume</td>", "<td>Save</td>"});
  EXPECT_EQ(html.find("class=\"card notes\""), std::string::npos) << "nothing is wrong with it";
}

TEST_F(ReportTest, TheNumberOfParametersIsWhatTheCheckpointHolds) {
  expect_done(train(2, "a", {"run.steps=1", "parallel.tensor=2"}));
  const Outcome inspected = cloze({"inspect", "--json", run_folder("a").string()});
  expect_done(inspected);
  const nlohmann::json start = events("a").front();
  EXPECT_EQ(start.at("parameters"), nlohmann::json::parse(inspected.out).at("parameters"));
  EXPECT_EQ(start.at("ranks"), 2);
  EXPECT_EQ(start.at("tensor"), 2);
  EXPECT_EQ(start.at("pipeline"), 1);
  EXPECT_EQ(start.at("data"), 1);
}

TEST_F(ReportTest, ARunThatGoesOnAndThenIsKilled) {
  const std::unique_ptr<Process> run = start(0, "a", {"run.steps=100000"});
  ASSERT_TRUE(reaches("a", 10));
  expect_done(report("a"));
  expect_words(page("a"), {"class=\"state running\""});
  EXPECT_GE(points_of(page("a"), "loss"), 10U);
  run->send(SIGKILL);
  run->wait();
  expect_done(report("a"));
  expect_words(page("a"), {"class=\"state broken\""});
}

TEST_F(ReportTest, SkippedStepsAreGapsWithMarks) {
  train(0, "a",
        {"run.steps=40", "optimizer.lr=1000", "optimizer.weight_decay=10", "optimizer.clip=0"});
  expect_done(report("a"));
  EXPECT_TRUE(std::regex_search(page("a"), std::regex(R"re(class="null" d="M[0-9])re")));
  expect_words(page("a"), {"gradients were not finite", "<td>Skipped step</td>"});
}

TEST_F(ReportTest, DamagedFilesAreShownAndTold) {
  expect_done(train(0, "a", {"run.steps=3"}));
  std::ofstream(run_folder("a") / "metrics.jsonl", std::ios::app) << "no json\n{\"step\":4,\"lo";
  std::ofstream(run_folder("a") / "config.yaml", std::ios::app) << "future: {key: <b>}\n";
  const Outcome outcome = report("a", {"--output", run_folder("page.html").string()});
  expect_done(outcome);
  const std::string html = text_of_file(run_folder("page.html"));
  EXPECT_EQ(points_of(html, "loss"), 3U);
  expect_words(html, {"1 line of metrics.jsonl is not what the file should hold and skipped",
                      "The last line of metrics.jsonl is not whole",
                      "The config cannot be read by this version", "future: {key: &lt;b&gt;}"});
  EXPECT_FALSE(std::filesystem::exists(run_folder("a") / "report.html"));
}

TEST_F(ReportTest, WhatIsNoRunIs65) {
  expect_failure(report("absent"), 65, {"does not exist"});
  std::filesystem::create_directories(run_folder("empty"));
  expect_failure(report("empty"), 65, {"holds no metrics.jsonl", "run.directory"});
  std::ofstream(run_folder("file")) << "text";
  expect_failure(report("file"), 65, {"is no folder"});
  expect_failure(cloze({"report"}), 64, {"RUN"});
}

TEST_F(ReportTest, AnOutputThatCannotBeWrittenIs73) {
  expect_done(train(0, "a", {"run.steps=1"}));
  expect_failure(report("a", {"--output", run_folder("absent/page.html").string()}), 73,
                 {"page.html"});
  expect_failure(report("a", {"--output", workspace().string()}), 73, {"is a folder"});
}

}  // namespace
}  // namespace cloze
