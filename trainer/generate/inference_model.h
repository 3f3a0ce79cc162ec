// A model that is used and not trained: its weights alone, cut over tensor ranks, in fp32.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "configs/schema/run.pb.h"
#include "data/batch.h"
#include "parallel/comm/communicator.h"
#include "parallel/pass/key_value_cache.h"
#include "parallel/pass/parameter.h"
#include "trainer/checkpoint/weight_source.h"
#include "trainer/model/glm.h"

namespace cloze {

class InferenceModel {
 public:
  // `model` is resolved. Each rank of `tensor` reads its boxes. Positions stay below
  // `max_position`. A damaged or foreign source is kBadInput on the rank that sees it.
  InferenceModel(const config::Model& model, const WeightSource& weights, std::int64_t max_position,
                 Communicator& tensor);
  InferenceModel(const InferenceModel&) = delete;
  InferenceModel& operator=(const InferenceModel&) = delete;

  // The last block's output, [tokens, hidden]. With a cache the tokens follow those in it, the
  // batch's intervals count its rows, and it takes them. All ranks call it together.
  at::Tensor forward(const Batch& batch, KeyValueCache* cache) const;

  // hidden [n, hidden] -> logits [n, vocab] on rank 0; undefined on the others.
  at::Tensor logits(const at::Tensor& hidden) const;

  Communicator& tensor() const { return tensor_; }
  const config::Model& model() const { return model_; }

 private:
  const config::Model model_;
  Communicator& tensor_;
  ParameterTable table_;
  const Glm glm_;
};

}  // namespace cloze
