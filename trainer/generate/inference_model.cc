#include "trainer/generate/inference_model.h"

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "parallel/mesh/shard.h"
#include "parallel/pass/pass.h"
#include "trainer/model/microbatch.h"

namespace cloze {

InferenceModel::InferenceModel(const config::Model& model, const WeightSource& weights,
                               std::int64_t max_position, Communicator& tensor)
    : model_(model),
      tensor_(tensor),
      glm_(table_, model, Recompute::kNone, max_position,
           {.layers = {0, model.num_hidden_layers()}, .first = true, .last = true},
           TensorParallel{tensor, /*sequence=*/false}) {
  table_.allocate_values(at::kFloat);
  for (const Parameter* parameter : table_.owned()) {
    weights.read(parameter->spec.name, parameter->spec.box, DType::kF32,
                 parameter->value.data_ptr());
  }
}

at::Tensor InferenceModel::forward(const Batch& batch, KeyValueCache* cache) const {
  const Microbatch microbatch(batch);
  Pass pass;
  pass.stash = Stash(/*keeps=*/false);
  pass.training = false;
  pass.cache = cache;
  at::Tensor hidden = glm_.forward(pass, microbatch, at::Tensor());
  if (cache != nullptr) cache->advance(microbatch.num_tokens());
  return hidden;
}

at::Tensor InferenceModel::logits(const at::Tensor& hidden) const {
  at::Tensor mine = glm_.logits(hidden);
  const std::int64_t rows = mine.size(0);
  if (tensor_.rank() != 0) {
    tensor_.exchange(std::vector<Transfer>{{mine.contiguous(), 0}}, {}).wait();
    return {};
  }
  // Cuts of a vocabulary that does not divide are not equally wide.
  std::vector<at::Tensor> parts = {mine};
  std::vector<Transfer> receives;
  for (int rank = 1; rank < tensor_.size(); ++rank) {
    const Range ids = part_of(model_.vocab_size(), tensor_.size(), rank);
    parts.push_back(at::empty({rows, ids.count()}, mine.options()));
    receives.push_back({parts.back(), rank});
  }
  tensor_.exchange({}, receives).wait();
  return at::cat(parts, 1);
}

}  // namespace cloze
