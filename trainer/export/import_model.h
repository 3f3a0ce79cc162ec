// Makes a checkpoint of a Hugging Face folder: the inverse of an export. It holds the weights
// alone, bit for bit as the folder stores them; a run starts from it with run.initial.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "configs/schema/run.pb.h"
#include "trainer/checkpoint/checkpoint_writer.h"
#include "trainer/export/model_folder.h"

namespace cloze {

// Where `--output CHECKPOINT` leads: a step folder's own directory and step; else step 0 of
// CHECKPOINT itself when it is named checkpoints, of CHECKPOINT/checkpoints when it is a run.
struct ImportTarget {
  std::filesystem::path directory;
  std::int64_t step = 0;
  bool operator==(const ImportTarget&) const = default;
};
ImportTarget import_target(const std::filesystem::path& output);

// The pieces of rank `part` of `parts`: every tensor whole, read as it is written. `folder`
// lives longer.
std::vector<Piece> pieces_of(const ModelFolder& folder, std::int64_t part, std::int64_t parts);

// What the manifest says beside the tensors; the folder's tokenizer, if it has one, is named
// there when `with_tokenizer`.
CheckpointState imported_state(const ModelFolder& folder, bool with_tokenizer);

// Whether a checkpoint has weights alone, so that no run can be resumed from it.
bool is_weights_alone(const CheckpointState& state);

}  // namespace cloze
