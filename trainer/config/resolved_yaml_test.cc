// The resolved YAML reads back to the same Run.
#include "trainer/config/resolved_yaml.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "parallel/base/check.h"
#include "trainer/config/config_testing.h"
#include "trainer/config/load.h"

namespace cloze {
namespace {

void expect_round_trip(const LoadedConfig& loaded) {
  for (const std::string& text :
       {resolved_yaml(loaded.run), resolved_yaml(loaded.run, loaded.origin)}) {
    const LoadedConfig again = load_config_text(text, "resolved.yaml", {});
    google::protobuf::util::MessageDifferencer differencer;
    std::string report;
    differencer.ReportDifferencesToString(&report);
    EXPECT_TRUE(differencer.Compare(loaded.run, again.run)) << report << text;
    EXPECT_EQ(loaded.run.SerializeAsString(), again.run.SerializeAsString());
    EXPECT_TRUE(again.notices.empty());
  }
}

TEST(ResolvedYaml, OfEveryShippedConfigReadsBackToTheSameRun) {
  int num_configs = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(CLOZE_SOURCE_DIR) + "/configs")) {
    if (entry.path().extension() != ".yaml") continue;
    ++num_configs;
    SCOPED_TRACE(entry.path().string());
    expect_round_trip(load_config(entry.path(), {}));
  }
  EXPECT_GE(num_configs, 3);
}

TEST(ResolvedYaml, OfUnusualValuesReadsBackToTheSameRun) {
  const std::vector<std::vector<std::string>> cases = {
      {"optimizer.lr=1e-300", "optimizer.eps=0.1", "optimizer.weight_decay=1e-5"},
      {"optimizer.lr=0.30000000000000004", "schedule.warmup=3", "schedule.decay=33.3%"},
      {"objective.kind=causal", "schedule.kind=constant"},
      {"precision.compute=fp16", "precision.initial_loss_scale=1"},
      {"model.family=glm2021", "model.output_dropout=0.1"},
      {"parallel.pipeline=2", "parallel.stage_layers=[3, 1]", "parallel.schedule=gpipe"},
      {"run.name='a \"b\" \\ c: # {é}'", "run.seed=18446744073709551615"},
      {"run.name=\"no\"", "run.directory=\"010\"", "run.threads=7"},
      {"data.train=[{path: \"a, b\", weight: 0.1}, c]", "data.validation=[d]"},
      {"batch.ramp_samples=64", "batch.ramp_start=4", "batch.ramp_increment=2"},
      {"checkpoint.directory=elsewhere", "run.initial=runs/y/checkpoints"},
      {"log.trace=[1, 2, 1000000000000]"},  // Beyond run.steps, too.
  };
  for (const auto& overrides : cases) {
    SCOPED_TRACE(overrides[0]);
    expect_round_trip(load_config_text(valid_config(), "x.yaml", overrides));
  }
}

TEST(ResolvedYaml, NamesTheOriginOfEachValue) {
  const LoadedConfig loaded = load_config_text(valid_config(), "x.yaml", {"optimizer.lr=1e-3"});
  const std::string text = resolved_yaml(loaded.run, loaded.origin);
  const std::vector<std::pair<std::string, std::string>> lines = {{"  steps: 10", "x.yaml:3:3"},
                                                                  {"  lr: 0.001", "--set"},
                                                                  {"  seed: 1234", "default"},
                                                                  {"  head_dim: 16", "derived"}};
  for (const auto& [value, origin] : lines) {
    std::string line = value;
    line.resize(44, ' ');
    EXPECT_NE(text.find(line + "# " + origin + "\n"), std::string::npos) << line << text;
  }
  // Every line of a key has one.
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = text.substr(begin, end - begin);
    if (line.starts_with("  ")) {
      EXPECT_NE(line.find("  # "), std::string::npos) << line;
    }
  }
}

// The name of a config's file may hold anything; it must not become a line of its own.
TEST(ResolvedYaml, OfAFileWithAnUnusualNameReadsBack) {
  for (const std::string name : {"a\nrun: {seed: 5}.yaml", "a\tb", "\xE9.yaml", "语料 #.yaml",
                                 "\xE2\x80\xAE.yaml", "\x7f", "\x1b[2J"}) {
    const LoadedConfig loaded = load_config_text(valid_config(), name, {});
    const LoadedConfig again =
        load_config_text(resolved_yaml(loaded.run, loaded.origin), "resolved.yaml", {});
    EXPECT_EQ(loaded.run.SerializeAsString(), again.run.SerializeAsString()) << name;
  }
}

TEST(ResolvedYaml, NamesThePresetAsTheOrigin) {
  const LoadedConfig loaded = load_config_text(
      "run: {directory: x, steps: 1}\ndata: {tokenizer: t, train: [a]}\n"
      "model: {preset: glm-large, num_hidden_layers: 2}\n",
      "x.yaml", {"model.vocab_size=999"});
  const std::string text = resolved_yaml(loaded.run, loaded.origin);
  const std::vector<std::pair<std::string, std::string>> lines = {
      {"  hidden_size: 1024", "preset glm-large"},
      {"  num_hidden_layers: 2", "x.yaml:3:28"},
      {"  vocab_size: 999", "--set"},
      {"  head_dim: 64", "derived"},
      {"  preset: \"glm-large\"", "x.yaml:3:9"}};
  for (const auto& [value, origin] : lines) {
    std::string line = value;
    line.resize(44, ' ');
    EXPECT_NE(text.find(line + "# " + origin + "\n"), std::string::npos) << line << text;
  }
}

}  // namespace
}  // namespace cloze
