// The presets have the published parameter counts.
#include "trainer/config/presets.h"

#include <gtest/gtest.h>

#include "trainer/config/config_testing.h"
#include "trainer/config/load.h"

namespace cloze {
namespace {

// Numbers of the GLM of 2021: tied table, two position tables of positions + 1 rows.
std::int64_t count_2021(const config::Model& model) {
  const std::int64_t h = model.hidden_size();
  return model.vocab_size() * h + 2 * (model.max_position_embeddings() + 1) * h +
         model.num_hidden_layers() * (12 * h * h + 13 * h) + 2 * h;
}

// Numbers of GLM-4: two tables, grouped queries with biases, three feed-forward matrices.
std::int64_t count_glm4(const config::Model& model) {
  const std::int64_t h = model.hidden_size();
  const std::int64_t d = model.head_dim();
  const std::int64_t a = model.num_attention_heads();
  const std::int64_t projected = (a + 2 * model.num_key_value_heads()) * d;
  const std::int64_t layer =
      h * projected + projected + a * d * h + 3 * h * model.intermediate_size() + 2 * h;
  return 2 * model.vocab_size() * h + model.num_hidden_layers() * layer + h;
}

TEST(Presets, HaveThePublishedParameterCounts) {
  EXPECT_EQ(count_2021(*preset_of("glm-base")), 109'338'624);
  EXPECT_EQ(count_2021(*preset_of("glm-large")), 334'688'256);
  EXPECT_EQ(count_2021(*preset_of("glm-2b")), 1'920'122'880);
  EXPECT_EQ(count_2021(*preset_of("glm-10b")), 9'880'682'496);
  EXPECT_EQ(count_2021(*preset_of("glm-10b-chinese")), 9'879'633'920);
  EXPECT_EQ(count_glm4(*preset_of("glm-4-9b")), 9'399'951'360);
}

TEST(Presets, EachMakesAValidConfig) {
  for (const std::string& name : preset_names()) {
    const std::string text =
        "run: {directory: runs/x, steps: 10}\n"
        "data: {tokenizer: t, train: [a]}\n"
        "model: {preset: " +
        name + "}\n";
    const auto problems = find_problems_in_text(text, "x.yaml", {});
    EXPECT_TRUE(problems.empty()) << text_of(problems.front());
    const LoadedConfig loaded = load_config_text(text, "x.yaml", {});
    EXPECT_EQ(loaded.origin.at("model.hidden_size"), "preset " + name);
    EXPECT_EQ(loaded.origin.at("model.preset"), "x.yaml:3:9");
  }
}

TEST(Presets, ExplicitKeysWinWhereverTheyStand) {
  const std::string text =
      "run: {directory: runs/x, steps: 10}\n"
      "data: {tokenizer: t, train: [a]}\n"
      "model: {num_hidden_layers: 3, preset: glm-4-9b}\n";
  const LoadedConfig loaded = load_config_text(text, "x.yaml", {"model.vocab_size=999"});
  EXPECT_EQ(loaded.run.model().num_hidden_layers(), 3);
  EXPECT_EQ(loaded.run.model().vocab_size(), 999);
  EXPECT_EQ(loaded.run.model().hidden_size(), 4096);
  EXPECT_EQ(loaded.run.model().norm_eps(), 1.5625e-7);
  EXPECT_EQ(loaded.origin.at("model.num_hidden_layers"), "x.yaml:3:9");
}

TEST(Presets, UnknownNameIsNothing) { EXPECT_FALSE(preset_of("glm-11b").has_value()); }

}  // namespace
}  // namespace cloze
