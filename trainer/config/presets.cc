// The sizes of the published models.
#include "trainer/config/presets.h"

#include <array>
#include <cstdint>

namespace cloze {
namespace {

// Models of 2021 (Du et al., "GLM: General Language Model Pretraining with Autoregressive Blank
// Infilling"); the feed-forward layer is four times as wide as the model.
struct Size2021 {
  std::string_view name;
  std::int64_t layers;
  std::int64_t hidden;
  std::int64_t heads;
  std::int64_t vocab;
  std::int64_t positions;
};
constexpr std::array kSizes2021 = {
    Size2021{"glm-base", 12, 768, 12, 30592, 512},
    Size2021{"glm-large", 24, 1024, 16, 30592, 512},
    Size2021{"glm-2b", 36, 2048, 32, 50304, 1024},
    Size2021{"glm-10b", 48, 4096, 64, 50304, 1024},
    Size2021{"glm-10b-chinese", 48, 4096, 64, 50048, 1024},
};
constexpr std::string_view kGlm4 = "glm-4-9b";

config::Model model_of(const Size2021& size) {
  config::Model model;
  model.set_family(config::Model::glm2021);
  model.set_num_hidden_layers(size.layers);
  model.set_hidden_size(size.hidden);
  model.set_num_attention_heads(size.heads);
  model.set_intermediate_size(4 * size.hidden);
  model.set_vocab_size(size.vocab);
  model.set_max_position_embeddings(size.positions);
  model.set_norm_eps(1e-5);
  model.set_initializer_range(0.02);
  model.set_embedding_dropout(0.1);
  model.set_attention_dropout(0.1);
  model.set_output_dropout(0.1);
  return model;
}

// The base model of GLM-4-9B (class Glm of transformers), trained at 8192 tokens.
config::Model glm4_9b() {
  config::Model model;
  model.set_family(config::Model::glm4);
  model.set_num_hidden_layers(40);
  model.set_hidden_size(4096);
  model.set_num_attention_heads(32);
  model.set_num_key_value_heads(2);
  model.set_head_dim(128);
  model.set_intermediate_size(13696);
  model.set_vocab_size(151552);
  model.set_max_position_embeddings(8192);
  model.set_norm_eps(1.5625e-7);
  model.set_rope_theta(10000);
  model.set_partial_rotary_factor(0.5);
  model.set_attention_bias(true);
  model.set_initializer_range(0.02);
  return model;
}

}  // namespace

std::optional<config::Model> preset_of(std::string_view name) {
  if (name == kGlm4) return glm4_9b();
  for (const Size2021& size : kSizes2021) {
    if (size.name == name) return model_of(size);
  }
  return std::nullopt;
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names = {std::string(kGlm4)};
  names.reserve(1 + kSizes2021.size());
  for (const Size2021& size : kSizes2021) names.emplace_back(size.name);
  return names;
}

}  // namespace cloze
