// Rules between keys: each is reported where the key stands, with the nearest valid choice.
#include "trainer/config/rules.h"

#include <gtest/gtest.h>

#include "parallel/base/check.h"
#include "trainer/config/config_testing.h"

namespace cloze {
namespace {

// The valid config has 4 layers, width 64, 4 heads, inner size 128, batch 8.
struct Case {
  const char* name;
  std::vector<std::string> overrides;
  int world;
  int option;  // The --set that the problem is about; 0 for no place.
  const char* what;
  const char* fix;
};
void PrintTo(const Case& bad, std::ostream* stream) { *stream << bad.name; }

class BrokenRule : public testing::TestWithParam<Case> {};

TEST_P(BrokenRule, IsTheOnlyProblemAndHasAFix) {
  const Case& bad = GetParam();
  const auto problems = find_problems_in_text(valid_config(), "x.yaml", bad.overrides, bad.world);
  std::string all;
  for (const Problem& problem : problems) all += text_of(problem) + "\n";
  ASSERT_EQ(problems.size(), 1U) << all;
  EXPECT_EQ(problems[0].file, bad.option == 0 ? "x.yaml" : "--set") << all;
  EXPECT_EQ(problems[0].line, bad.option) << all;
  EXPECT_NE(problems[0].what.find(bad.what), std::string::npos) << all;
  EXPECT_NE(problems[0].fix.find(bad.fix), std::string::npos) << all;
}

INSTANTIATE_TEST_SUITE_P(
    Layout, BrokenRule,
    testing::Values(
        Case{"heads",
             {"parallel.tensor=8", "model.num_key_value_heads=2"},
             8,
             1,
             "num_attention_heads 4 % tensor 8",
             "parallel.tensor 1, 2, 4;"},
        Case{"kv_heads",
             {"parallel.tensor=4", "model.num_key_value_heads=6", "model.num_attention_heads=12",
              "model.head_dim=16", "model.intermediate_size=144"},
             4,
             1,
             "num_key_value_heads 6 and tensor 4",
             "1, 2, 3, 6, 12;"},
        Case{"intermediate",
             {"parallel.tensor=4", "model.intermediate_size=130"},
             4,
             1,
             "intermediate_size 130 % tensor 4",
             "1, 2;"},
        Case{"trace_twice",
             {"log.trace=[10, 10]"},
             1,
             1,
             "log.trace does not name each step once",
             "write [10]"},
        Case{"trace_backwards",
             {"log.trace=[12, 3]"},
             1,
             1,
             "log.trace does not name each step once",
             "write [3, 12]"},
        Case{"layers",
             {"parallel.pipeline=5"},
             5,
             1,
             "num_hidden_layers 4 < pipeline 5",
             "4 or less"},
        Case{"stages",
             {"parallel.pipeline=2", "parallel.stage_layers=[2, 1, 1]"},
             2,
             2,
             "stage_layers has 3 stages, pipeline is 2",
             "2 numbers that sum to 4"},
        Case{"stage_sum",
             {"parallel.pipeline=2", "parallel.stage_layers=[2, 1]"},
             2,
             2,
             "stage_layers sum to 3",
             "sum to 4"},
        Case{"global_size",
             {"batch.global_size=6"},
             4,
             1,
             "global_size 6 % (micro_size 1 * data 4)",
             "4 or 8"},
        Case{"micro_size",
             {"batch.micro_size=3"},
             1,
             1,
             "global_size 8 % (micro_size 3 * data 1)",
             "6 or 9"},
        Case{"global_below_unit", {"batch.global_size=2"}, 4, 1, "global_size 2", "size 4"},
        Case{"world",
             {"parallel.tensor=2", "parallel.pipeline=2"},
             6,
             1,
             "tensor 2 * pipeline 2 * context 1 = 4 does not divide the 6 ranks",
             "2 x 3 x 1"},
        Case{
            "world_small", {"parallel.tensor=4"}, 2, 1, "does not divide the 2 ranks", "1 x 1 x 2"},
        Case{"world_hopeless",
             {"parallel.tensor=2"},
             13,
             1,
             "does not divide the 13 ranks",
             "no layout of so many ranks"}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Keys, BrokenRule,
    testing::Values(
        Case{"warmup", {"schedule.warmup=11"}, 1, 1, "warmup 11 > run.steps 10", "at most 10"},
        Case{"wsd",
             {"schedule.kind=wsd", "schedule.decay=8", "schedule.warmup=3"},
             1,
             2,
             "warmup 3 + decay 8 > run.steps 10",
             "at most 7"},
        Case{"wsd_default", {"schedule.kind=wsd"}, 1, 1, "decay 10 > run.steps 10", "20%"},
        Case{"min_lr",
             {"schedule.min_lr=1e-2"},
             1,
             1,
             "min_lr 0.01 > optimizer.lr 3.0e-04",
             "at most 3.0e-04"},
        Case{"shares", {"objective.span_share=1"}, 1, 1, "sum to 1.5, not 1", "span_share 0.66"},
        Case{"no_shares",
             {"objective.span_share=0", "objective.sentence_share=0", "objective.document_share=0"},
             1,
             1,
             "sum to 0",
             "0.5"},
        Case{"span", {"objective.span_mean=50"}, 1, 1, "span_mean 50 > span_max 39", "50 or more"},
        Case{"head_dim",
             {"model.hidden_size=66"},
             1,
             1,
             "66 % num_attention_heads 4",
             "hidden_size 64"},
        Case{"kv", {"model.num_key_value_heads=3"}, 1, 1, "% num_key_value_heads 3", "heads 2"},
        Case{"rotary", {"model.head_dim=10"}, 1, 1, "rotates 5 numbers", "head_dim 8"},
        Case{"family_kv",
             {"model.family=glm2021", "model.num_key_value_heads=2"},
             1,
             2,
             "as many key and value heads",
             "remove"},
        Case{"family_width",
             {"model.family=glm2021", "model.head_dim=8"},
             1,
             2,
             "needs head_dim * num_attention_heads",
             "remove"},
        Case{"positions",
             {"model.family=glm2021", "model.max_position_embeddings=128"},
             1,
             2,
             "seq_length 512 > model.max_position_embeddings 128",
             "128 or less"},
        Case{"validation",
             {"validation.interval=5"},
             1,
             1,
             "names no source",
             "data.validation: [PREFIX]"},
        Case{"tokens",
             {"batch.micro_size=65536", "data.seq_length=65536", "batch.global_size=65536"},
             1,
             1,
             "4294967296 tokens",
             "at most 32767"},
        Case{"loss_scale",
             {"precision.compute=fp16", "precision.min_loss_scale=4",
              "precision.initial_loss_scale=2"},
             1,
             2,
             "min_loss_scale 4 > initial_loss_scale 2",
             "at most 2"},
        Case{"ramp",
             {"batch.ramp_samples=100"},
             1,
             1,
             "needs ramp_start and ramp_increment",
             "ramp_start: 1"},
        Case{"ramp_end",
             {"batch.ramp_start=2", "batch.ramp_samples=100", "batch.ramp_increment=4"},
             1,
             1,
             "from 2 by 4 does not reach global_size 8",
             "whole increments"},
        Case{"ramp_unit",
             {"batch.ramp_increment=1", "batch.ramp_samples=100", "batch.ramp_start=4"},
             2,
             1,
             "ramp_increment 1 % (micro_size 1 * data 2)",
             "write 2"}),
    [](const auto& info) { return info.param.name; });

TEST(Rules, AllOfABadLayoutAreListedAtOnce) {
  const auto problems = find_problems_in_text(
      valid_config(), "x.yaml",
      {"parallel.tensor=3", "parallel.pipeline=7", "schedule.warmup=99", "batch.micro_size=3"}, 10);
  // Heads, key and value heads, inner size, layers, ranks, batch, warm-up.
  EXPECT_EQ(problems.size(), 7U);
}

TEST(Rules, ABrokenKeyIsNotJudgedAgain) {
  const auto problems =
      find_problems_in_text(config_with(7, "  num_attention_heads: four"), "x.yaml", {}, 4);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].line, 7);
}

TEST(Rules, PathsThatNoFileCanHaveAreErrors) {
  for (const std::string& path : {std::string(256, 'a'), std::string(2100, 'a') + "/b",
                                  "a/" + std::string(256, 'b') + "/c"}) {
    const auto problems =
        find_problems_in_text(config_with(2, "  directory: " + path), "x.yaml", {});
    ASSERT_FALSE(problems.empty());
    EXPECT_EQ(problems[0].line, 2);
  }
  std::string long_path;
  for (int i = 0; i < 1024; ++i) long_path += "abc/";
  EXPECT_EQ(
      find_problems_in_text(config_with(11, "  tokenizer: " + long_path), "x.yaml", {}).size(), 1U);
  for (const char* path : {"runs/a b/ü 语料", "./x/../y", "/abs/x"}) {
    EXPECT_TRUE(
        find_problems_in_text(config_with(2, str("  directory: ", path)), "x.yaml", {}).empty());
  }
}

// A folder whose name leaves no room for the files inside would fail at the first save.
TEST(Rules, FoldersLeaveRoomForTheNamesInside) {
  const auto folder = [](std::size_t size) {
    std::string path;
    while (path.size() + 101 <= size) path += std::string(100, 'a') + "/";
    return path + std::string(size - path.size(), 'b');
  };
  for (const auto& [key, longest] : std::vector<std::pair<std::string, std::size_t>>{
           {"run.directory", 4095 - 144}, {"checkpoint.directory", 4095 - 128}}) {
    const auto problems_of = [&, name = key](std::size_t size) {
      return find_problems_in_text(valid_config(), "x.yaml", {name + "=" + folder(size)});
    };
    EXPECT_TRUE(problems_of(longest).empty()) << key;
    for (const std::size_t size : {longest + 1, std::size_t{4095}, std::size_t{4096}}) {
      const auto problems = problems_of(size);
      ASSERT_EQ(problems.size(), 1U) << key << " " << size;
      EXPECT_EQ(problems[0].file, "--set");
      EXPECT_NE(problems[0].fix.find("shorter"), std::string::npos) << text_of(problems[0]);
    }
  }
}

TEST(Rules, EveryShippedTinyConfigFitsEveryLayoutOfUpToEightRanks) {
  const std::string source = CLOZE_SOURCE_DIR;
  for (const char* name : {"tiny", "tiny-2021"}) {
    for (int world = 1; world <= 8; ++world) {
      for (const Degrees& layout : layouts_of(world)) {
        const auto problems = check_config(source + "/configs/" + name + ".yaml",
                                           {str("parallel.tensor=", layout.tensor),
                                            str("parallel.pipeline=", layout.pipeline)},
                                           world)
                                  .problems;
        for (const Problem& problem : problems) {
          // 5, 6 and 7 ranks need a batch or heads that they divide.
          const bool is_batch = problem.what.starts_with("global_size") && 8 % layout.data != 0;
          const bool is_heads = 8 % layout.tensor != 0;
          EXPECT_TRUE(is_batch || is_heads) << text_of(problem);
        }
      }
    }
  }
}

TEST(Rules, TinyConfigsTakeAnyNumberOfStepsFromThree) {
  const std::string source = CLOZE_SOURCE_DIR;
  for (const char* name : {"tiny", "tiny-2021"}) {
    for (const int steps : {3, 4, 7, 100, 100000}) {
      for (const int rows : {1, 3, 8, 1024}) {
        EXPECT_TRUE(check_config(source + "/configs/" + name + ".yaml",
                                 {str("run.steps=", steps), str("batch.global_size=", rows)}, 1)
                        .problems.empty());
      }
    }
  }
}

TEST(Steps, SharesAreRoundedUp) {
  EXPECT_EQ(steps_of("10", 100), 10);
  EXPECT_EQ(steps_of("2%", 100), 2);
  EXPECT_EQ(steps_of("2%", 3), 1);
  EXPECT_EQ(steps_of("0%", 100), 0);
  EXPECT_EQ(steps_of("100%", 7), 7);
  EXPECT_EQ(steps_of("0.1%", 1000), 1);
  EXPECT_EQ(steps_of("7%", 100), 7);
  EXPECT_THROW(steps_of("x", 100), Error);
}

TEST(Degrees, DataIsWhatTheOtherAxesLeave) {
  config::Parallel parallel;
  parallel.set_tensor(2);
  parallel.set_pipeline(2);
  EXPECT_EQ(degrees_of(parallel, 8), (Degrees{2, 2, 1, 2}));
  EXPECT_THROW(degrees_of(parallel, 6), Error);
}

}  // namespace
}  // namespace cloze
