// A token embedding whose vocabulary is cut over the tensor ranks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "parallel/pass/pass.h"
#include "parallel/tensor/token_transfer.h"

namespace cloze {

struct VocabParallelEmbeddingOptions {
  std::string name;  // Of the module: "model.embed_tokens".
  std::int64_t vocab_size;
  std::int64_t hidden_size;
  std::uint32_t weight_site;
  double initial_std;
};

// The spec of a [vocab, hidden] table cut by rows, as evenly as possible, over the tensor ranks.
ParameterSpec vocab_spec(const VocabParallelEmbeddingOptions& options, const TensorParallel& tp);

class VocabParallelEmbedding {
 public:
  VocabParallelEmbedding(ParameterTable& table, const VocabParallelEmbeddingOptions& options,
                         TensorParallel tp);

  // ids [tokens] -> [tokens (/ tp), hidden].
  at::Tensor forward(const std::int32_t* ids, std::int64_t tokens) const;
  // dy [tokens (/ tp), hidden].
  void backward(Pass& pass, const at::Tensor& dy, const std::int32_t* ids) const;

  ParameterGroup& weight() const { return weight_; }  // [vocab / tp, hidden]

 private:
  const TensorParallel tp_;
  ParameterGroup& weight_;
};

}  // namespace cloze
