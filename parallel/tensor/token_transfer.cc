#include "parallel/tensor/token_transfer.h"

#include <ATen/ATen.h>

namespace cloze {

TensorInFlight gather_tokens(const at::Tensor& x, const TensorParallel& tp) {
  if (!tp.sequence || tp.size() == 1) return {x, Work()};
  at::Tensor whole = at::empty({x.size(0) * tp.size(), x.size(1)}, x.options());
  return {whole, tp.group.all_gather(whole, x)};
}

TensorInFlight reduce_tokens(const at::Tensor& partial, const TensorParallel& tp) {
  if (tp.size() == 1) return {partial, Work()};
  if (!tp.sequence) return {partial, tp.group.all_reduce(partial, ReduceOp::kSum)};
  at::Tensor part = at::empty({partial.size(0) / tp.size(), partial.size(1)}, partial.options());
  return {part, tp.group.reduce_scatter(part, partial, ReduceOp::kSum)};
}

}  // namespace cloze
