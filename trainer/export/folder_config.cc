#include "trainer/export/folder_config.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "parallel/base/join.h"
#include "trainer/config/model_check.h"
#include "trainer/export/shown_json.h"

namespace cloze {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kLargestFile = 1 << 20;  // Bytes; published ones have some thousand.
constexpr const char* kConfigName = "config.json";
constexpr const char* kGenerationName = "generation_config.json";

// Reads keys of one JSON object; a null is a key that is absent.
class Keys {
 public:
  Keys(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  [[noreturn]] void bad(const std::string& problem) const {
    fail(ExitCode::kBadInput, str(where_, ": ", problem),
         "give a folder of a GlmForCausalLM model as save_pretrained writes it");
  }

  const Json* find(const char* key) const {
    const auto found = json_.find(key);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }

  std::int64_t integer(const char* key, std::int64_t otherwise) const {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_number_integer()) bad(str(key, " is not an integer"));
    return value->get<std::int64_t>();
  }

  double number(const char* key, double otherwise) const {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_number()) bad(str(key, " is not a number"));
    return value->get<double>();
  }

  bool flag(const char* key, bool otherwise) const {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) bad(str(key, " is neither true nor false"));
    return value->get<bool>();
  }

  // Demands that a text, where it is there, is the one that we compute.
  void only(const char* key, const char* value) const {
    const Json* found = find(key);
    if (found == nullptr || *found == value) return;
    bad(str(key, " is ", shown(*found), "; only \"", value, "\" is supported"));
  }

 private:
  const Json& json_;
  std::string where_;
};

Json read_json(const std::filesystem::path& path) {
  const std::string text = read_file(path, kLargestFile);
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  CLOZE_REQUIRE(json.is_object(), ExitCode::kBadInput,
                str(path.string(), json.is_discarded() ? " is not valid JSON" : " is no object"),
                "copy the folder again");
  return json;
}

// rope_theta and partial_rotary_factor: flat keys in transformers 4, an object in 5.
void read_rotary(const Keys& keys, const std::string& where, config::Model& model) {
  double theta = keys.number("rope_theta", 10000);
  double factor = keys.number("partial_rotary_factor", 0.5);
  for (const char* name : {"rope_parameters", "rope_scaling"}) {
    const Json* object = keys.find(name);
    if (object == nullptr) continue;
    if (!object->is_object()) keys.bad(str(name, " is no object"));
    const Keys rotary(*object, where + ": " + name);
    rotary.only("rope_type", "default");
    rotary.only("type", "default");
    theta = rotary.number("rope_theta", theta);
    factor = rotary.number("partial_rotary_factor", factor);
  }
  model.set_rope_theta(theta);
  model.set_partial_rotary_factor(factor);
}

// A number, or a list of them.
std::vector<std::int32_t> ids_of(const Keys& keys, const char* key) {
  const Json* value = keys.find(key);
  if (value == nullptr) return {};
  std::vector<std::int32_t> ids;
  for (const Json& id : value->is_array() ? *value : Json::array({*value})) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 ||
        id.get<std::int64_t>() > std::numeric_limits<std::int32_t>::max()) {
      keys.bad(str(key, " is no token id, and no list of them"));
    }
    ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

// Demands that the folder is of the one class that we compute.
void check_class(const Json& json, const Keys& keys) {
  const Json* type = keys.find("model_type");
  if (type == nullptr || *type != "glm") {
    keys.bad(str("model_type is ", type == nullptr ? std::string("absent") : shown(*type),
                 "; only \"glm\" (GlmForCausalLM) is supported"));
  }
  if (json.contains("auto_map")) {
    keys.bad("it names code of its own (auto_map): the model of 2021 has the same model_type");
  }
  if (const Json* classes = keys.find("architectures")) {
    if (!classes->is_array() || classes->size() != 1 || (*classes)[0] != "GlmForCausalLM") {
      const Json* const first = classes->is_array() && !classes->empty() ? &(*classes)[0] : classes;
      keys.bad(str("architectures is ", shown(*first), "; only GlmForCausalLM is supported"));
    }
  }
  keys.only("hidden_act", "silu");
  if (keys.find("quantization_config") != nullptr) keys.bad("its weights are quantized");
  if (keys.flag("mlp_bias", false)) keys.bad("mlp_bias is true; the class has no such biases");
}

}  // namespace

FolderConfig read_folder_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kConfigName;
  const Json json = read_json(path);
  const Keys keys(json, path.string());
  check_class(json, keys);
  FolderConfig config;
  config::Model& model = config.model;
  model.set_family(config::Model::glm4);
  // The defaults are GlmConfig's.
  model.set_num_hidden_layers(keys.integer("num_hidden_layers", 40));
  model.set_hidden_size(keys.integer("hidden_size", 4096));
  model.set_num_attention_heads(keys.integer("num_attention_heads", 32));
  model.set_num_key_value_heads(keys.integer("num_key_value_heads", 2));
  model.set_head_dim(keys.integer("head_dim", 128));
  model.set_intermediate_size(keys.integer("intermediate_size", 13696));
  model.set_vocab_size(keys.integer("vocab_size", 151552));
  model.set_max_position_embeddings(keys.integer("max_position_embeddings", 131072));
  model.set_norm_eps(keys.number("rms_norm_eps", 1.5625e-7));
  model.set_attention_bias(keys.flag("attention_bias", true));
  model.set_tie_word_embeddings(keys.flag("tie_word_embeddings", false));
  model.set_initializer_range(keys.number("initializer_range", 0.02));
  model.set_attention_dropout(keys.number("attention_dropout", 0));
  model.set_embedding_dropout(0);
  model.set_output_dropout(0);
  read_rotary(keys, path.string(), model);
  const std::vector<std::string> problems = check_model(model);
  CLOZE_REQUIRE(problems.empty(), ExitCode::kBadInput,
                str(path.string(), ": ", join(problems, "; ")),
                "the folder is damaged or of a model that this version cannot compute");
  config.eos_ids = ids_of(keys, "eos_token_id");
  const std::vector<std::int32_t> pads = ids_of(keys, "pad_token_id");
  if (!pads.empty()) config.pad_id = pads.front();
  std::error_code ignored;
  if (std::filesystem::exists(folder / kGenerationName, ignored)) {
    const Json generation = read_json(folder / kGenerationName);
    const Keys generation_keys(generation, (folder / kGenerationName).string());
    const std::vector<std::int32_t> ids = ids_of(generation_keys, "eos_token_id");
    if (!ids.empty()) config.eos_ids = ids;
  }
  return config;
}

std::string folder_config_json(const FolderConfig& config, DType dtype) {
  const config::Model& model = config.model;
  nlohmann::ordered_json json;
  json["architectures"] = {"GlmForCausalLM"};
  json["attention_bias"] = model.attention_bias();
  json["attention_dropout"] = model.attention_dropout();
  if (!config.eos_ids.empty()) json["eos_token_id"] = config.eos_ids;
  json["head_dim"] = model.head_dim();
  json["hidden_act"] = "silu";
  json["hidden_size"] = model.hidden_size();
  json["initializer_range"] = model.initializer_range();
  json["intermediate_size"] = model.intermediate_size();
  json["max_position_embeddings"] = model.max_position_embeddings();
  json["model_type"] = "glm";
  json["num_attention_heads"] = model.num_attention_heads();
  json["num_hidden_layers"] = model.num_hidden_layers();
  json["num_key_value_heads"] = model.num_key_value_heads();
  // Absent, the class would take 151329, which a small vocabulary does not have.
  json["pad_token_id"] = config.pad_id ? nlohmann::ordered_json(*config.pad_id) : nullptr;
  json["partial_rotary_factor"] = model.partial_rotary_factor();
  json["rms_norm_eps"] = model.norm_eps();
  json["rope_theta"] = model.rope_theta();
  json["tie_word_embeddings"] = model.tie_word_embeddings();
  json["torch_dtype"] = dtype == DType::kBF16  ? "bfloat16"
                        : dtype == DType::kF16 ? "float16"
                                               : "float32";
  json["use_cache"] = true;
  json["vocab_size"] = model.vocab_size();
  return json.dump(2) + "\n";
}

std::string generation_config_json(const FolderConfig& config) {
  nlohmann::ordered_json json;
  json["_from_model_config"] = true;
  if (!config.eos_ids.empty()) json["eos_token_id"] = config.eos_ids;
  if (config.pad_id) json["pad_token_id"] = *config.pad_id;
  return json.dump(2) + "\n";
}

}  // namespace cloze
