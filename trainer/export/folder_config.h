// config.json of a Hugging Face folder: what a model is, in transformers' words.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "configs/schema/run.pb.h"
#include "parallel/base/dtype.h"

namespace cloze {

struct FolderConfig {
  config::Model model;                // Every size of it is set.
  std::vector<std::int32_t> eos_ids;  // Any of them ends a text; may be empty.
  std::optional<std::int32_t> pad_id;
};

// Reads FOLDER/config.json, and eos ids from generation_config.json where that has them. Takes
// the keys of transformers 4 and 5; a key that is absent or null has the class's default. A class
// other than GlmForCausalLM, and any setting that would change what is computed and that we do
// not have (another activation, scaled rotary positions, quantized weights), is kBadInput.
FolderConfig read_folder_config(const std::filesystem::path& folder);

// The text of config.json as published models of the family have it.
std::string folder_config_json(const FolderConfig& config, DType dtype);
// The text of generation_config.json.
std::string generation_config_json(const FolderConfig& config);

}  // namespace cloze
