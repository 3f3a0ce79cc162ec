// The first layer: tokens, and in the GLM of 2021 the two learned position tables, with dropout.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "parallel/pass/pass.h"
#include "parallel/tensor/vocab_parallel_embedding.h"
#include "trainer/model/microbatch.h"

namespace cloze {

struct EmbeddingOptions {
  VocabParallelEmbeddingOptions tokens;
  std::int64_t num_positions;  // Rows of each position table; 0: no tables.
  double dropout;
};

class Embedding {
 public:
  Embedding(ParameterTable& table, const EmbeddingOptions& options, TensorParallel tp);

  // -> [tokens (/ tp), hidden]
  at::Tensor forward(Pass& pass, const Microbatch& microbatch) const;
  // dy like forward's output.
  void backward(Pass& pass, const Microbatch& microbatch, const at::Tensor& dy) const;

  ParameterGroup& weight() const { return tokens_.weight(); }

 private:
  const EmbeddingOptions options_;
  const TensorParallel tp_;
  VocabParallelEmbedding tokens_;
  ParameterGroup* const positions_;        // [num_positions, hidden]; null without tables.
  ParameterGroup* const block_positions_;  // Likewise.
};

}  // namespace cloze
