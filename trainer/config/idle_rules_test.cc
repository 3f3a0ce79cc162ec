// Keys that another key disables: an error in the same source, a notice when --set disables a key
// of the file, nothing when only an axis of size 1 makes them idle.
#include "trainer/config/idle_rules.h"

#include <gtest/gtest.h>

#include <set>

#include "parallel/base/check.h"
#include "trainer/config/config_testing.h"
#include "trainer/config/keys.h"
#include "trainer/config/load.h"

namespace cloze {
namespace {

// A key and a switch of one section, with values for which the key has no effect and has one.
struct Pair {
  std::string section;
  std::string key;
  std::string value;
  std::string toggle;
  std::string off;
  std::string on;
  std::string companion{};  // Another key that the switch needs where it is on.
  std::string companion_value{};

  std::string name() const { return section + "." + key; }
  std::string toggle_name() const { return section + "." + toggle; }
};

std::vector<Pair> all_pairs() {
  std::vector<Pair> pairs;
  const auto add = [&](const char* section, const char* toggle, const char* off, const char* on,
                       const std::vector<std::pair<const char*, const char*>>& idle) {
    for (const auto& [key, value] : idle) {
      pairs.push_back({section, key, value, toggle, off, on});
    }
  };
  add("model", "family", "glm2021", "glm4",
      {{"rope_theta", "500"},
       {"partial_rotary_factor", "0.25"},
       {"attention_bias", "false"},
       {"tie_word_embeddings", "true"}});
  add("objective", "kind", "causal", "blank_infilling",
      {{"mask_ratio", "0.2"},
       {"span_mean", "4"},
       {"span_max", "50"},
       {"sentence_ratio", "0.2"},
       {"document_min_ratio", "0.6"},
       {"span_share", "0.5"},
       {"sentence_share", "0.2"},
       {"document_share", "0.3"}});
  for (const char* on : {"cosine", "linear"}) {
    add("schedule", "kind", "constant", on, {{"decay", "50%"}, {"min_lr", "1e-5"}});
  }
  add("schedule", "kind", "constant", "wsd", {{"decay", "50%"}});
  for (const char* off : {"fp32", "bf16", "fp64"}) {
    add("precision", "compute", off, "fp16",
        {{"initial_loss_scale", "8"},
         {"loss_scale_window", "5"},
         {"loss_scale_hysteresis", "3"},
         {"min_loss_scale", "0.5"}});
  }
  for (const char* on : {"fp32", "bf16", "fp16"}) {
    add("precision", "compute", "fp64", on, {{"products", "tiles"}});
  }
  pairs.push_back({"batch", "ramp_start", "4", "ramp_samples", "0", "64", "ramp_increment", "4"});
  pairs.push_back({"batch", "ramp_increment", "4", "ramp_samples", "0", "64", "ramp_start", "4"});
  return pairs;
}

// The valid config with keys put at the head of a section, from line `first_line_of()` on.
std::string config_with_keys(const std::string& section,
                             const std::vector<std::pair<std::string, std::string>>& keys) {
  std::string lines = section + ":";
  for (const auto& [key, value] : keys) lines += "\n  " + key + ": " + value;
  const int place = section == "model" ? 4 : section == "batch" ? 13 : 17;
  return config_with(place, lines);
}

int first_line_of(const std::string& section) {
  return section == "model" ? 5 : section == "batch" ? 14 : 18;
}

void expect_one_problem(const std::vector<Problem>& problems, const Pair& pair,
                        const std::string& file, int line) {
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].file, file);
  EXPECT_EQ(problems[0].line, line) << text_of(problems[0]);
  EXPECT_EQ(problems[0].what,
            str(pair.name(), " has no effect: ", pair.toggle_name(), " is ", pair.off));
  EXPECT_TRUE(problems[0].fix.starts_with(str("remove it, or set ", pair.toggle_name(), " to ")))
      << problems[0].fix;
}

class KeyAndSwitch : public testing::TestWithParam<Pair> {
 protected:
  const Pair& pair() const { return GetParam(); }
  std::string key_option() const { return str(pair().name(), "=", pair().value); }
  std::string off_option() const { return str(pair().toggle_name(), "=", pair().off); }
};

INSTANTIATE_TEST_SUITE_P(All, KeyAndSwitch, testing::ValuesIn(all_pairs()), [](const auto& info) {
  return info.param.section + "_" + info.param.key + "_" + info.param.off + "_" + info.param.on;
});

TEST_P(KeyAndSwitch, InTheSameFileAreAnErrorInEitherOrder) {
  const int line = first_line_of(pair().section);
  const std::pair<std::string, std::string> key = {pair().key, pair().value};
  const std::pair<std::string, std::string> toggle = {pair().toggle, pair().off};
  expect_one_problem(
      find_problems_in_text(config_with_keys(pair().section, {key, toggle}), "x.yaml", {}), pair(),
      "x.yaml", line);
  expect_one_problem(
      find_problems_in_text(config_with_keys(pair().section, {toggle, key}), "x.yaml", {}), pair(),
      "x.yaml", line + 1);
}

TEST_P(KeyAndSwitch, OnTheSameCommandLineAreAnErrorInEitherOrder) {
  expect_one_problem(find_problems_in_text(valid_config(), "x.yaml", {key_option(), off_option()}),
                     pair(), "--set", 1);
  expect_one_problem(find_problems_in_text(valid_config(), "x.yaml", {off_option(), key_option()}),
                     pair(), "--set", 2);
}

TEST_P(KeyAndSwitch, OfTheCommandLineAndTheFileAreAnError) {
  expect_one_problem(
      find_problems_in_text(config_with_keys(pair().section, {{pair().toggle, pair().off}}),
                            "x.yaml", {key_option()}),
      pair(), "--set", 1);
}

TEST_P(KeyAndSwitch, GiveOneNoticeWhenSetDisablesTheKeyOfTheFile) {
  // In the file the key counts: the switch is on.
  std::vector<std::pair<std::string, std::string>> keys = {{pair().key, pair().value},
                                                           {pair().toggle, pair().on}};
  std::size_t num_notices = 1;
  if (!pair().companion.empty()) {
    keys.emplace_back(pair().companion, pair().companion_value);
    num_notices = 2;  // One for each key.
  }
  const LoadedConfig loaded =
      load_config_text(config_with_keys(pair().section, keys), "x.yaml", {off_option()});
  ASSERT_EQ(loaded.notices.size(), num_notices);
  const std::string expected =
      str(pair().name(), " of x.yaml:", first_line_of(pair().section),
          " has no effect: ", pair().toggle_name(), " is ", pair().off, " by --set");
  EXPECT_NE(std::find(loaded.notices.begin(), loaded.notices.end(), expected), loaded.notices.end())
      << loaded.notices[0];
  EXPECT_FALSE(is_set(loaded.run, find_key(pair().name()).value()));
  EXPECT_FALSE(loaded.origin.contains(pair().name()));
}

TEST_P(KeyAndSwitch, AreFineWhereTheKeyCounts) {
  std::vector<std::pair<std::string, std::string>> keys = {{pair().key, pair().value},
                                                           {pair().toggle, pair().on}};
  if (!pair().companion.empty()) keys.emplace_back(pair().companion, pair().companion_value);
  const LoadedConfig loaded =
      load_config_text(config_with_keys(pair().section, keys), "x.yaml", {});
  EXPECT_TRUE(loaded.notices.empty());
  EXPECT_TRUE(is_set(loaded.run, find_key(pair().name()).value()));
}

TEST(IdleRules, AreAllTestedHere) {
  std::set<std::string> tested;
  for (const Pair& pair : all_pairs()) tested.insert(pair.toggle_name() + " " + pair.name());
  std::set<std::string> rules;
  for (const IdleRule& rule : idle_rules()) {
    ASSERT_TRUE(find_key(rule.key)) << rule.key;
    for (const std::string_view key : rule.idle) {
      ASSERT_TRUE(find_key(key)) << key;
      EXPECT_EQ(find_key(key)->section, find_key(rule.key)->section) << key;
      rules.insert(str(rule.key, " ", key));
    }
  }
  EXPECT_EQ(tested, rules);
}

TEST(IdleRules, HoldForTheDefaultOfTheSwitch) {
  for (const auto& [section, key, value] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"precision", "min_loss_scale", "2"}, {"batch", "ramp_start", "4"}}) {
    const auto problems =
        find_problems_in_text(config_with_keys(section, {{key, value}}), "x.yaml", {});
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_NE(problems[0].what.find(key + " has no effect"), std::string::npos);
  }
}

TEST(IdleRules, HoldForTheFamilyOfAPreset) {
  const auto problems = find_problems_in_text(
      config_with_keys("model", {{"preset", "glm-10b"}, {"rope_theta", "500"}}), "x.yaml", {});
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].what, "model.rope_theta has no effect: model.family is glm2021");
  EXPECT_EQ(problems[0].line, 6);

  const LoadedConfig loaded = load_config_text(config_with_keys("model", {{"rope_theta", "500"}}),
                                               "x.yaml", {"model.preset=glm-10b"});
  EXPECT_EQ(loaded.notices,
            (std::vector<std::string>{
                "model.rope_theta of x.yaml:5 has no effect: model.family is glm2021 by --set"}));
}

TEST(IdleRules, DropWhatAPresetFillsInWithoutAWord) {
  const LoadedConfig loaded =
      load_config_text(config_with_keys("model", {{"preset", "glm-4-9b"},
                                                  {"family", "glm2021"},
                                                  {"num_key_value_heads", "4"},
                                                  {"head_dim", "16"}}),
                       "x.yaml", {});
  EXPECT_TRUE(loaded.notices.empty());
  EXPECT_FALSE(loaded.run.model().has_rope_theta());
}

// One file serves every layout.
TEST(IdleRules, LeaveAlonePartsOfTheLayoutOnAnAxisOfSizeOne) {
  const std::vector<std::string> idle = {
      "sequence: true",     "sequence: false",    "zero_stage: 0",        "zero_stage: 1",
      "schedule: gpipe",    "schedule: 1f1b",     "stage_layers: [3, 1]", "stage_layers: auto",
      "reduction: ordered", "bucket_bytes: 4096", "virtual_stages: 1",    "context: 1",
      "expert: 1"};
  for (const std::string& key : idle) {
    const LoadedConfig loaded = load_config_text(
        config_with(17, "parallel:\n  tensor: 1\n  pipeline: 1\n  " + key), "x.yaml", {});
    EXPECT_TRUE(loaded.notices.empty()) << key;
  }
  // The file is for two stages; the command line takes one.
  const LoadedConfig loaded =
      load_config_text(config_with(17, "parallel: {pipeline: 2, stage_layers: [3, 1]}"), "x.yaml",
                       {"parallel.pipeline=1"});
  EXPECT_TRUE(loaded.notices.empty());
  EXPECT_EQ(loaded.run.parallel().stage_layers_size(), 0);
}

}  // namespace
}  // namespace cloze
