#include "trainer/export/import_model.h"

#include <system_error>

#include "data/tokenizer.h"
#include "parallel/base/check.h"
#include "trainer/checkpoint/checkpoint_directory.h"
#include "trainer/config/resolved_yaml.h"

namespace cloze {

ImportTarget import_target(const std::filesystem::path& output) {
  std::filesystem::path path = output;
  if (path.filename().empty()) path = path.parent_path();
  const std::string name = path.filename().string();
  if (const auto step = step_of_folder(name)) return {path.parent_path(), *step};
  if (name == "checkpoints") return {path, 0};
  return {path / "checkpoints", 0};
}

std::vector<Piece> pieces_of(const ModelFolder& folder, std::int64_t part, std::int64_t parts) {
  std::vector<Piece> pieces;
  const auto count = static_cast<std::int64_t>(folder.names().size());
  for (std::int64_t index = part; index < count; index += parts) {
    const std::string& name = folder.names()[static_cast<std::size_t>(index)];
    pieces.push_back({.name = name,
                      .dtype = folder.dtype(name),
                      .box = Box::whole(folder.shape(name)),
                      .fill = [&folder, &name](std::int64_t first, std::span<std::byte> out) {
                        folder.read_bytes(name, first, out);
                      }});
  }
  return pieces;
}

CheckpointState imported_state(const ModelFolder& folder, bool with_tokenizer) {
  config::Run run;
  *run.mutable_model() = folder.config().model;
  // How the model was trained is not known: it is used left to right unless said otherwise.
  run.mutable_objective()->set_kind(config::Objective::causal);
  run.mutable_precision()->set_compute(folder.compute());
  CheckpointState state;
  const std::vector<std::int32_t>& ends = folder.config().eos_ids;
  state.mutable_eos_ids()->Add(ends.begin(), ends.end());
  if (folder.config().pad_id) state.set_pad_id(*folder.config().pad_id);
  std::error_code ignored;
  if (with_tokenizer && std::filesystem::exists(folder.folder() / "tokenizer.json", ignored)) {
    run.mutable_data()->set_tokenizer(folder.folder().string());
    state.set_tokenizer_digest(Tokenizer::load(folder.folder()).digest());
  }
  state.set_config(run.SerializeAsString());
  state.set_config_yaml(model_yaml(run.model()));
  return state;
}

bool is_weights_alone(const CheckpointState& state) { return state.optimizer_steps().empty(); }

}  // namespace cloze
