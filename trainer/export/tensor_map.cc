#include "trainer/export/tensor_map.h"

#include "parallel/base/check.h"

namespace cloze {
namespace {

// A tensor that both sides know by one name.
FolderTensor same(std::string name, Shape shape) { return {name, {{name, std::move(shape)}}}; }

void add_layer(const config::Model& model, std::int64_t layer, std::vector<FolderTensor>& all) {
  const std::string prefix = str("model.layers.", layer, ".");
  const std::int64_t hidden = model.hidden_size();
  const std::int64_t inner = model.intermediate_size();
  const std::int64_t queries = model.num_attention_heads() * model.head_dim();
  const std::int64_t keys = model.num_key_value_heads() * model.head_dim();
  all.push_back(same(prefix + "input_layernorm.weight", {hidden}));
  const auto project = [&](const char* name, std::int64_t features) {
    const std::string module = prefix + "self_attn." + name;
    all.push_back(same(module + ".weight", {features, hidden}));
    if (model.attention_bias()) all.push_back(same(module + ".bias", {features}));
  };
  project("q_proj", queries);
  project("k_proj", keys);
  project("v_proj", keys);
  all.push_back(same(prefix + "self_attn.o_proj.weight", {hidden, queries}));
  all.push_back(same(prefix + "post_attention_layernorm.weight", {hidden}));
  all.push_back({prefix + "mlp.gate_up_proj.weight",
                 {{prefix + "mlp.gate_proj.weight", {inner, hidden}},
                  {prefix + "mlp.up_proj.weight", {inner, hidden}}}});
  all.push_back(same(prefix + "mlp.down_proj.weight", {hidden, inner}));
}

}  // namespace

Shape FolderTensor::shape() const {
  Shape whole = parts.front().shape;
  whole[0] = 0;
  for (const TensorPart& part : parts) whole[0] += part.shape[0];
  return whole;
}

std::vector<FolderTensor> folder_tensors(const config::Model& model) {
  CLOZE_REQUIRE(model.family() == config::Model::glm4, ExitCode::kUsage,
                str("transformers has no class for models of family ",
                    config::Model::Family_Name(model.family())),
                "only models of family glm4 can be exported; the checkpoint's safetensors files "
                "hold the tensors of any family");
  std::vector<FolderTensor> all;
  all.push_back(same("model.embed_tokens.weight", {model.vocab_size(), model.hidden_size()}));
  for (std::int64_t layer = 0; layer < model.num_hidden_layers(); ++layer) {
    add_layer(model, layer, all);
  }
  all.push_back(same("model.norm.weight", {model.hidden_size()}));
  if (!model.tie_word_embeddings()) {
    all.push_back(same("lm_head.weight", {model.vocab_size(), model.hidden_size()}));
  }
  return all;
}

}  // namespace cloze
