// Our tensors and those of a Hugging Face folder: which of ours, stacked along dim 0, make one of
// theirs. A family whose files fuse what we keep apart is a row of this table; names that agree
// need none.
#pragma once

#include <string>
#include <vector>

#include "configs/schema/run.pb.h"
#include "parallel/mesh/shard.h"

namespace cloze {

// One of our tensors inside one of theirs.
struct TensorPart {
  std::string name;
  Shape shape;
  bool operator==(const TensorPart&) const = default;
};

// One tensor of the folder, with the parts in the order of their rows.
struct FolderTensor {
  std::string name;
  std::vector<TensorPart> parts;

  Shape shape() const;
  bool operator==(const FolderTensor&) const = default;
};

// All tensors of a model as its class in transformers writes them (GlmForCausalLM for the GLM-4
// block), in the order of the layers. kUsage for a family without such a class.
std::vector<FolderTensor> folder_tensors(const config::Model& model);

}  // namespace cloze
