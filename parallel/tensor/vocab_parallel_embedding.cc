#include "parallel/tensor/vocab_parallel_embedding.h"

#include <ATen/ATen.h>

#include "parallel/pass/dtype_dispatch.h"

namespace cloze {

ParameterSpec vocab_spec(const VocabParallelEmbeddingOptions& options, const TensorParallel& tp) {
  const Range rows = part_of(options.vocab_size, tp.size(), tp.rank());
  ParameterSpec spec;
  spec.name = options.name + ".weight";
  spec.box = Box::cut({options.vocab_size, options.hidden_size}, 0, rows.first, rows.count());
  spec.site = options.weight_site;
  spec.initial_std = options.initial_std;
  return spec;
}

VocabParallelEmbedding::VocabParallelEmbedding(ParameterTable& table,
                                               const VocabParallelEmbeddingOptions& options,
                                               TensorParallel tp)
    : tp_(tp), weight_(table.add({vocab_spec(options, tp)})) {}

at::Tensor VocabParallelEmbedding::forward(const std::int32_t* ids, std::int64_t tokens) const {
  const Box& box = weight_.members.front().spec.box;
  const std::int64_t hidden = box.shape[1];
  at::Tensor found = at::empty({tokens, hidden}, weight_.value.options());
  with_type(found.scalar_type(), [&]<typename T>() {
    tp_.kernels.of<T>().embedding_forward(data_of<const T>(weight_.value), box.offset[0],
                                          box.shape[0], ids, data_of<T>(found), tokens, hidden,
                                          /*accumulate=*/false);
  });
  return reduce_tokens(found, tp_).wait();  // One rank has the row, the others add zeros.
}

void VocabParallelEmbedding::backward(Pass& pass, const at::Tensor& dy,
                                      const std::int32_t* ids) const {
  const Box& box = weight_.members.front().spec.box;
  const at::Tensor whole = gather_tokens(dy, tp_).wait();
  {
    const TraceSpan recorded = pass.weight_gradients.span();
    with_type(whole.scalar_type(), [&]<typename T>() {
      tp_.kernels.of<T>().embedding_backward(
          data_of<const T>(whole), ids, box.offset[0], box.shape[0],
          data_of<Accumulator<T>>(weight_.main_grad), whole.size(0), box.shape[1]);
    });
  }
  pass.weight_gradients.ready(weight_);
}

}  // namespace cloze
