// --set: the same checks as the file, later wins, and what happens to keys without effect.
#include <gtest/gtest.h>

#include "parallel/base/check.h"
#include "trainer/config/config_testing.h"
#include "trainer/config/load.h"

namespace cloze {
namespace {

LoadedConfig load_with(const std::string& more, const std::vector<std::string>& overrides) {
  return load_config_text(config_with(17, more), "x.yaml", overrides);
}

std::vector<Problem> problems_with(const std::string& more,
                                   const std::vector<std::string>& overrides) {
  return find_problems_in_text(config_with(17, more), "x.yaml", overrides);
}

TEST(Override, LaterWinsOverEarlierAndOverTheFile) {
  const LoadedConfig loaded = load_with("", {"optimizer.lr=1e-3", "optimizer.lr=2e-3"});
  EXPECT_EQ(loaded.run.optimizer().lr(), 2e-3);
  EXPECT_EQ(loaded.origin.at("optimizer.lr"), "--set");
  EXPECT_EQ(loaded.origin.at("run.steps"), "x.yaml:3:3");
  EXPECT_EQ(loaded.origin.at("run.seed"), "default");
  EXPECT_EQ(loaded.origin.at("model.head_dim"), "derived");
}

TEST(Override, ListsAreReplacedWhole) {
  const LoadedConfig loaded = load_with(
      "  betas: [0.5, 0.6]", {"optimizer.betas=[0.7, 0.8]", "data.train=[runs/b, runs/c]"});
  ASSERT_EQ(loaded.run.optimizer().betas_size(), 2);
  EXPECT_EQ(loaded.run.optimizer().betas(0), 0.7);
  ASSERT_EQ(loaded.run.data().train_size(), 2);
  EXPECT_EQ(loaded.run.data().train(0).path(), "runs/b");
}

TEST(Override, ASectionIsMergedKeyByKey) {
  const LoadedConfig loaded = load_with("", {"run={steps: 20, seed: 3}"});
  EXPECT_EQ(loaded.run.run().steps(), 20);
  EXPECT_EQ(loaded.run.run().directory(), "runs/x");
}

struct Case {
  const char* name;
  const char* text;
  int column;
  const char* what;
  const char* fix;
};
void PrintTo(const Case& bad, std::ostream* stream) { *stream << bad.name; }

class BadOverride : public testing::TestWithParam<Case> {};

TEST_P(BadOverride, IsReportedWithItsNumberAndColumn) {
  const Case& bad = GetParam();
  const auto problems = problems_with("", {"run.seed=1", bad.text});
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].file, "--set");
  EXPECT_EQ(problems[0].line, 2);
  EXPECT_EQ(problems[0].column, bad.column) << text_of(problems[0]);
  EXPECT_NE(problems[0].what.find(bad.what), std::string::npos) << text_of(problems[0]);
  EXPECT_NE(problems[0].fix.find(bad.fix), std::string::npos) << text_of(problems[0]);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadOverride,
    testing::Values(
        Case{"no_equals", "optimizer.lr", 1, "no path=value", "--set optimizer.lr=1e-4"},
        Case{"empty", "", 1, "no path=value", "--set"},
        Case{"no_path", "=3", 1, "no path=value", "--set"},
        Case{"no_value", "run.steps=", 5, "has no value", "give it one"},
        Case{"typo", "optimizer.lrr=3", 11, "unknown key", "did you mean optimizer.lr?"},
        Case{"section_typo", "optimzer.lr=3", 1, "unknown section", "optimizer?"},
        Case{"no_section", "lr=3", 1, "unknown section 'lr'", "did you mean optimizer.lr?"},
        Case{"into_list", "data.train.path=a", 1, "goes into a value", "replaced whole"},
        Case{"empty_part", "optimizer.=3", 11, "unknown key", "known here"},
        Case{"octal", "run.steps=010", 11, "begins with a zero", "without"},
        Case{"word", "run.steps=ten", 11, "not a whole number", "digits"},
        Case{"comment", "run.name=a #b", 10, "comment", "double quotes"},
        Case{"second_line", "run.name=a\n", 10, "line end", "double quotes"},
        Case{"alias", "run.steps=*n", 11, "an alias", "write"},
        Case{"tag", "run.steps=!!int 3", 11, "a tag", "remove"},
        Case{"colon", "run.name=a: b", 10, "is a map", "VALUE"},
        Case{"open", "data.train=[a", 12, "not closed", "bracket"}),
    [](const auto& info) { return info.param.name; });

TEST(KeyWithoutEffect, InTheSameSourceIsAnError) {
  const auto problems = problems_with("precision:\n  initial_loss_scale: 8", {});
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(text_of(problems[0]),
            "x.yaml:18:3: precision.initial_loss_scale has no effect: precision.compute is fp32; "
            "remove it, or set precision.compute to fp16");
}

TEST(KeyWithoutEffect, OfEachSwitchIsFound) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"model.rope_theta=500", "model.family=glm2021"},
      {"model.attention_bias=false", "model.family=glm2021"},
      {"objective.span_share=0.4", "objective.kind=causal"},
      {"objective.mask_ratio=0.4", "objective.kind=causal"},
      {"schedule.decay=5", "schedule.kind=constant"},
      {"schedule.min_lr=1e-5", "schedule.kind=constant"},
      {"precision.loss_scale_window=5", "precision.compute=bf16"},
      {"batch.ramp_start=4", "batch.ramp_samples=0"},
  };
  for (const auto& [idle, flip] : cases) {
    const auto problems = problems_with("", {idle, flip});
    ASSERT_EQ(problems.size(), 1U) << idle;
    EXPECT_NE(problems[0].what.find("has no effect"), std::string::npos) << idle;
    EXPECT_EQ(problems[0].line, 1) << idle;
  }
}

TEST(KeyWithoutEffect, OfTheFileIsANoticeWhenSetDisablesIt) {
  const LoadedConfig loaded =
      load_with("schedule:\n  kind: cosine\n  min_lr: 1e-5", {"schedule.kind=constant"});
  ASSERT_EQ(loaded.notices.size(), 1U);
  EXPECT_EQ(loaded.notices[0],
            "schedule.min_lr of x.yaml:19 has no effect: schedule.kind is constant by --set");
  EXPECT_FALSE(loaded.run.schedule().has_min_lr());
}

TEST(KeyWithoutEffect, OfASetIsAnErrorWhenTheFileDisablesIt) {
  const auto problems = problems_with("schedule:\n  kind: constant", {"schedule.min_lr=1e-5"});
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].file, "--set");
}

TEST(KeyWithoutEffect, IsAllowedWhenAnAxisOfSizeOneMakesItIdle) {
  const LoadedConfig loaded = load_with(
      "parallel: {pipeline: 1, tensor: 1, schedule: gpipe, stage_layers: [3, 1], "
      "sequence: true, zero_stage: 1}",
      {});
  EXPECT_EQ(loaded.run.parallel().stage_layers_size(), 0);
  EXPECT_TRUE(loaded.notices.empty());
}

TEST(Derived, SequenceFollowsTensorUnlessSaid) {
  EXPECT_FALSE(load_with("", {}).run.parallel().sequence());
  EXPECT_TRUE(load_with("", {"parallel.tensor=2"}).run.parallel().sequence());
  EXPECT_FALSE(
      load_with("", {"parallel.tensor=2", "parallel.sequence=false"}).run.parallel().sequence());
}

TEST(Derived, SizesAndFoldersFollowTheGivenOnes) {
  const config::Run run = load_with("", {}).run;
  EXPECT_EQ(run.model().num_key_value_heads(), 4);
  EXPECT_EQ(run.model().head_dim(), 16);
  EXPECT_EQ(run.checkpoint().directory(), "runs/x/checkpoints");
  EXPECT_EQ(run.optimizer().betas(1), 0.95);
}

}  // namespace
}  // namespace cloze
