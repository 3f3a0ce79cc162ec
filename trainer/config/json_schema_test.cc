// The schema for editors is what the program demands: the committed file is the generated one, and
// Python's jsonschema judges configs by it as the program does.
#include "trainer/config/json_schema.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/config/config_testing.h"
#include "trainer/config/keys.h"
#include "trainer/config/load.h"
#include "trainer/config/presets.h"
#include "trainer/config/resolved_yaml.h"
#include "trainer/config/schema_text.h"

namespace cloze {
namespace {

const std::filesystem::path kSource = CLOZE_SOURCE_DIR;
constexpr std::int64_t kLimit = 1 << 20;

TEST(JsonSchema, EqualsTheCommittedFile) {
  EXPECT_EQ(read_file(kSource / "configs/schema/run.schema.json", kLimit),
            config_json_schema(schema_text()))
      << "run: cloze config schema > configs/schema/run.schema.json";
}

TEST(JsonSchema, HasEveryKeyWithItsMeaning) {
  const auto schema = nlohmann::json::parse(config_json_schema(schema_text()));
  EXPECT_FALSE(schema.at("additionalProperties"));
  for (const Key& key : all_keys()) {
    const nlohmann::json& section = schema.at("properties").at(key.section->name());
    EXPECT_FALSE(section.at("additionalProperties")) << key.name();
    const nlohmann::json& property = section.at("properties").at(key.field->name());
    EXPECT_GT(property.at("description").get<std::string>().size(), 8U) << key.name();
    const bool has_default = key.field->has_default_value() || key.field->name() == "betas" ||
                             key.field->name() == "stage_layers";
    EXPECT_EQ(property.contains("default"), has_default) << key.name();
  }
  EXPECT_EQ(schema.at("properties").at("optimizer").at("properties").at("lr").at("default"), 3e-4);
  EXPECT_EQ(schema.at("properties").at("parallel").at("properties").at("schedule").at("enum"),
            (std::vector<std::string>{"gpipe", "1f1b"}));
}

TEST(JsonSchema, IsNamedByEveryShippedConfig) {
  for (const auto& entry : std::filesystem::directory_iterator(kSource / "configs")) {
    if (entry.path().extension() != ".yaml") continue;
    EXPECT_TRUE(read_file(entry.path(), kLimit)
                    .starts_with("# yaml-language-server: $schema=schema/run.schema.json\n"))
        << entry.path();
  }
}

// The places of the errors that Python finds, for each text.
std::vector<std::vector<std::string>> judge(const std::vector<std::string>& texts) {
  const auto folder = std::filesystem::path(testing::TempDir());
  const std::string name = "cloze-schema-" + std::to_string(getpid());
  const std::filesystem::path cases = folder / (name + "-cases.json");
  const std::filesystem::path verdicts = folder / (name + "-verdicts.json");
  std::ofstream(cases) << nlohmann::json(texts).dump();
  const std::string command = str((kSource / ".venv/bin/python").string(), " ",
                                  (kSource / "scripts/oracles/check_config_schema.py").string(),
                                  " ", (kSource / "configs/schema/run.schema.json").string(), " ",
                                  cases.string(), " > ", verdicts.string());
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  const auto found = nlohmann::json::parse(read_file(verdicts, std::int64_t{1} << 26));
  std::filesystem::remove(cases);
  std::filesystem::remove(verdicts);
  return found;
}

class SchemaInPython : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(std::filesystem::exists(kSource / ".venv/bin/python")) << "scripts/setup makes it";
  }
};

TEST_F(SchemaInPython, AcceptsWhatTheProgramAccepts) {
  std::vector<std::string> texts = {valid_config()};
  for (const auto& entry : std::filesystem::directory_iterator(kSource / "configs")) {
    if (entry.path().extension() != ".yaml") continue;
    texts.push_back(read_file(entry.path(), kLimit));
    texts.push_back(resolved_yaml(load_config(entry.path(), {}).run));
  }
  EXPECT_GE(texts.size(), 7U);
  for (const std::string& name : preset_names()) {
    texts.push_back(
        "run: {directory: x, steps: 1}\ndata: {tokenizer: t, train: [a]}\n"
        "model: {preset: " +
        name + "}\n");
    texts.push_back(resolved_yaml(load_config_text(texts.back(), "x.yaml", {}).run));
  }
  const std::vector<std::vector<std::string>> unusual = {
      {"objective.kind=causal", "schedule.kind=constant", "run.threads=7"},
      {"precision.compute=fp16", "precision.min_loss_scale=0.5", "schedule.warmup=33.3%"},
      {"model.family=glm2021", "run.seed=18446744073709551615", "run.name=\"no\""},
      {"batch.ramp_samples=64", "batch.ramp_start=4", "batch.ramp_increment=2"},
      {"parallel.pipeline=2", "parallel.stage_layers=[3, 1]", "schedule.warmup=3"},
      {"data.train=[{path: \"a, b\", weight: 0.1}, c]", "data.validation=[d]"}};
  for (const auto& overrides : unusual) {
    texts.push_back(resolved_yaml(load_config_text(valid_config(), "x.yaml", overrides).run));
  }
  const auto verdicts = judge(texts);
  ASSERT_EQ(verdicts.size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_TRUE(verdicts[i].empty()) << verdicts[i].front() << " in\n" << texts[i];
  }
}

TEST_F(SchemaInPython, RejectsMutatedConfigs) {
  struct Mutation {
    int line;
    std::string text;
    std::string place;  // Of the error.
  };
  const std::vector<Mutation> mutations = {
      {3, "  stpes: 10", "run"},
      {3, "", "run"},
      {2, "  directory:", "run/directory"},
      {2, "  directory: [a]", "run/directory"},
      {15, "optimiser:", ""},
      {17, "log:", "log"},
      {17, "log: 3", "log"},
      {17, "log: [interval]", "log"},
      {6, "", "model"},
      {4, "model:\n  preset: glm-11b", "model/preset"},
      {11, "", "data"},
      {12, "  train: runs/a", "data/train"},
      {12, "  train: [{path: a, wieght: 2}]", "data/train/0"},
      {12, "  train: [{weight: 2}]", "data/train/0"},
      {12, "  train: [a, {path: a, weight: 0}]", "data/train/1"},
      {4, "model:\n  family: moe", "model/family"},
      {4, "model:\n  family: glm2021\n  rope_theta: 500", "model/rope_theta"},
      {17, "objective: {kind: causal, span_mean: 3}", "objective/span_mean"},
      {17, "schedule:\n  kind: constant\n  min_lr: 1e-5", "schedule/min_lr"},
      {17, "precision: {loss_scale_window: 5}", "precision/loss_scale_window"},
      {17, "precision: {compute: bf16, min_loss_scale: 5}", "precision/min_loss_scale"},
      {13, "batch:\n  ramp_start: 4", "batch/ramp_start"},
      {13, "batch:\n  ramp_samples: 0\n  ramp_increment: 4", "batch/ramp_increment"},
      {17, "  lrr: 1", "optimizer"},
      {17, "- a", "whole"},
  };
  std::vector<std::string> texts;
  for (const Mutation& mutation : mutations) {
    std::string text = config_with(mutation.line, mutation.text);
    if (mutation.place == "whole") text = "- a\n";
    EXPECT_FALSE(find_problems_in_text(text, "x.yaml", {}).empty()) << text;
    texts.push_back(text);
  }
  const auto verdicts = judge(texts);
  ASSERT_EQ(verdicts.size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string place = mutations[i].place == "whole" ? "" : mutations[i].place;
    EXPECT_NE(std::find(verdicts[i].begin(), verdicts[i].end(), place), verdicts[i].end())
        << "no error at '" << place << "' in\n"
        << texts[i];
  }
}

// The ends of a key's range and the numbers beyond them.
std::vector<std::string> values_at_the_ends(const google::protobuf::FieldDescriptor& field) {
  std::vector<std::string> values;
  const auto& options = field.options();
  const auto add = [&](const auto& option) {
    if (!options.HasExtension(option)) return;
    const double end = options.GetExtension(option);
    for (const double value : {end - 1, end, end + 1}) {
      if (std::abs(value) < 1e15) values.push_back(str(static_cast<std::int64_t>(value)));
    }
  };
  add(config::minimum);
  add(config::maximum);
  add(config::above);
  add(config::below);
  return values;
}

// Every key with many values: an editor says what the program says. Left out is what JSON cannot
// tell apart (quotes, 1.0 and 1) and what YAML readers do not agree on (010, no).
TEST_F(SchemaInPython, AgreesWithTheProgramOnEveryKey) {
  const std::vector<std::string> common = {"{a: 1}",
                                           "{}",
                                           "[]",
                                           "[x]",
                                           "words",
                                           "true",
                                           "false",
                                           "-1",
                                           "0",
                                           "1",
                                           "2",
                                           "0.5",
                                           "1.5",
                                           "3e-4",
                                           "1e400",
                                           "auto",
                                           "50%",
                                           "0%",
                                           "100%",
                                           "101%",
                                           "5.5%",
                                           "x%",
                                           "[7, 1]",
                                           "[0.9, 0.95]",
                                           "[0.9]",
                                           "[0.9, 1]",
                                           "[[1], 2]",
                                           "~",
                                           "null",
                                           "4096",
                                           "4097",
                                           "-0.5",
                                           "18446744073709551615",
                                           "18446744073709551616",
                                           "99999999999999999999999",
                                           "[a, {path: b}]",
                                           "[{path: c, weight: 2}]",
                                           "[{weight: 1}]",
                                           "[{path: a, more: 1}]",
                                           "[3]",
                                           "fp32",
                                           "glm4",
                                           "1f1b",
                                           "adamw",
                                           "\"2\"",
                                           "\"a b\"",
                                           "\"\"",
                                           "glm-10b",
                                           "\"tab\\tinside\"",
                                           "语料/训练"};
  std::vector<std::string> texts;
  std::vector<Key> keys;
  for (const Key& key : all_keys()) {
    std::vector<std::string> values = common;
    for (std::string& value : values_at_the_ends(*key.field)) values.push_back(std::move(value));
    for (const std::string& value : values) {
      texts.push_back(str(key.section->name(), ":\n  ", key.field->name(), ": ", value, "\n"));
      keys.push_back(key);
    }
  }
  const auto verdicts = judge(texts);
  ASSERT_EQ(verdicts.size(), texts.size());
  int num_accepted = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string name = keys[i].name();
    bool program_accepts = true;
    for (const Problem& problem : find_problems_in_text(texts[i], "x.yaml", {})) {
      for (const char* end : {":", ".", " has no effect"}) {
        program_accepts = program_accepts && !problem.what.starts_with(name + end);
      }
    }
    const std::string place = str(keys[i].section->name(), "/", keys[i].field->name());
    bool editor_accepts = true;
    for (const std::string& error : verdicts[i]) {
      const bool is_about_it = error == place || error.starts_with(place + "/");
      editor_accepts = editor_accepts && !is_about_it;
    }
    EXPECT_EQ(editor_accepts, program_accepts) << texts[i];
    num_accepted += editor_accepts ? 1 : 0;
  }
  EXPECT_GT(num_accepted, 300);
  EXPECT_LT(num_accepted, static_cast<int>(texts.size()) / 2);
}

}  // namespace
}  // namespace cloze
