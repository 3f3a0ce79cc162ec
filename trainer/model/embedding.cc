#include "trainer/model/embedding.h"

#include <ATen/ATen.h>

#include "parallel/pass/dtype_dispatch.h"
#include "trainer/model/dropout_key.h"
#include "trainer/model/sites.h"

namespace cloze {
namespace {

constexpr std::uint32_t kDropoutPlace = 0;

ParameterGroup* add_table(ParameterTable& table, const EmbeddingOptions& options,
                          const TensorParallel& tp, const char* name, std::uint32_t place) {
  if (options.num_positions == 0) return nullptr;
  ParameterSpec spec;
  spec.name = name;
  spec.box = Box::whole({options.num_positions, options.tokens.hidden_size});
  spec.site = place;
  spec.initial_std = options.tokens.initial_std;
  spec.sum = tp.sequence ? GradientSum::kTensor : GradientSum::kNone;
  spec.first_replica = tp.rank() == 0;
  return &table.add({std::move(spec)});
}

// out += rows of a position table.
void add_rows(const ParameterGroup& group, const std::int32_t* positions, at::Tensor& out,
              const Kernels& kernels) {
  with_type(out.scalar_type(), [&]<typename T>() {
    kernels.of<T>().embedding_forward(data_of<const T>(group.value), 0, group.value.size(0),
                                      positions, data_of<T>(out), out.size(0), out.size(1),
                                      /*accumulate=*/true);
  });
}

void add_row_gradients(Pass& pass, ParameterGroup& group, const std::int32_t* positions,
                       const at::Tensor& dy, const Kernels& kernels) {
  with_type(dy.scalar_type(), [&]<typename T>() {
    kernels.of<T>().embedding_backward(data_of<const T>(dy), positions, 0, group.value.size(0),
                                       data_of<Accumulator<T>>(group.main_grad), dy.size(0),
                                       dy.size(1));
  });
  pass.weight_gradients.ready(group);
}

}  // namespace

Embedding::Embedding(ParameterTable& table, const EmbeddingOptions& options, TensorParallel tp)
    : options_(options),
      tp_(tp),
      tokens_(table, options.tokens, tp),
      positions_(add_table(table, options, tp, "model.position_embeddings.weight",
                           site::kPositionEmbedding)),
      block_positions_(add_table(table, options, tp, "model.block_position_embeddings.weight",
                                 site::kBlockPositionEmbedding)) {}

at::Tensor Embedding::forward(Pass& pass, const Microbatch& microbatch) const {
  const TokenArrays& arrays = microbatch.arrays();
  at::Tensor x = tokens_.forward(arrays.tokens, microbatch.num_tokens());
  const std::int64_t first = tp_.first_token(microbatch.num_tokens());
  if (positions_ != nullptr) {
    add_rows(*positions_, arrays.position + first, x, tp_.kernels);
    add_rows(*block_positions_, arrays.block_position + first, x, tp_.kernels);
  }
  if (pass.training && options_.dropout > 0) {
    const DropoutKey key =
        dropout_key(pass, microbatch, tp_, options_.dropout, RandomDomain::kEmbeddingDropout,
                    kDropoutPlace, options_.tokens.hidden_size);
    with_type(x.scalar_type(), [&]<typename T>() {
      tp_.kernels.of<T>().dropout_add(nullptr, data_of<const T>(x), nullptr, &key, data_of<T>(x),
                                      x.size(0), x.size(1));
    });
  }
  return x;
}

void Embedding::backward(Pass& pass, const Microbatch& microbatch, const at::Tensor& dy) const {
  const TokenArrays& arrays = microbatch.arrays();
  at::Tensor dx = dy;
  if (pass.training && options_.dropout > 0) {
    dx = at::empty_like(dy);
    const DropoutKey key =
        dropout_key(pass, microbatch, tp_, options_.dropout, RandomDomain::kEmbeddingDropout,
                    kDropoutPlace, options_.tokens.hidden_size);
    with_type(dy.scalar_type(), [&]<typename T>() {
      tp_.kernels.of<T>().dropout_backward(data_of<const T>(dy), &key, data_of<T>(dx), dy.size(0),
                                           dy.size(1));
    });
  }
  const std::int64_t first = tp_.first_token(microbatch.num_tokens());
  if (positions_ != nullptr) {
    add_row_gradients(pass, *block_positions_, arrays.block_position + first, dx, tp_.kernels);
    add_row_gradients(pass, *positions_, arrays.position + first, dx, tp_.kernels);
  }
  tokens_.backward(pass, dx, arrays.tokens);
}

}  // namespace cloze
