// config.json of a Hugging Face folder; what follows a record separator (0x1E) is its
// generation_config.json. They are refused with exit code 65, or the sizes are those of the text,
// and the files that we would write of them read back to the same.
#include <nlohmann/json.hpp>

#include <array>
#include <string>

#include "tests/fuzz/fuzzing.h"
#include "trainer/config/model_check.h"
#include "trainer/export/folder_config.h"

namespace cloze::fuzz {
namespace {

// An integer of the text is never another one in the model.
void check_sizes(std::string_view text, const config::Model& model) {
  const nlohmann::json json = nlohmann::json::parse(text);
  const auto same = [&](const char* key, std::int64_t size) {
    const auto found = json.find(key);
    require(found == json.end() || found->is_null() || *found == size, key);
  };
  same("num_hidden_layers", model.num_hidden_layers());
  same("hidden_size", model.hidden_size());
  same("num_attention_heads", model.num_attention_heads());
  same("num_key_value_heads", model.num_key_value_heads());
  same("head_dim", model.head_dim());
  same("intermediate_size", model.intermediate_size());
  same("vocab_size", model.vocab_size());
  same("max_position_embeddings", model.max_position_embeddings());
}

void run(std::string_view input) {
  static const ScratchFolder scratch;
  const std::size_t separator = input.find(kSeparator);
  const std::string_view text = input.substr(0, separator);
  scratch.write("config.json", text);
  if (separator == std::string_view::npos) {
    std::filesystem::remove(scratch / "generation_config.json");
  } else {
    scratch.write("generation_config.json", input.substr(separator + 1));
  }
  const auto config =
      parsed(ExitCode::kBadInput, [] { return read_folder_config(scratch.path()); });
  if (!config) return;
  require(check_model(config->model).empty(), "what is read is a model that can be computed");
  check_sizes(text, config->model);

  scratch.write("config.json", folder_config_json(*config, DType::kF32));
  scratch.write("generation_config.json", generation_config_json(*config));
  const FolderConfig again = read_folder_config(scratch.path());
  require(again.model.SerializeAsString() == config->model.SerializeAsString(),
          "the model is the same when written again");
  require(again.eos_ids == config->eos_ids && again.pad_id == config->pad_id,
          "and the ids that end a text");
}

}  // namespace
}  // namespace cloze::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloze::fuzz::run(cloze::fuzz::text_of(data, size));
  return 0;
}
