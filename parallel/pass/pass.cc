#include "parallel/pass/pass.h"

#include <ATen/ATen.h>

#include "parallel/base/check.h"
#include "parallel/pass/product.h"

namespace cloze {

std::int64_t Stash::bytes() const {
  std::int64_t total = 0;
  for (const at::Tensor& tensor : tensors_) {
    if (tensor.defined()) total += static_cast<std::int64_t>(tensor.nbytes());
  }
  return total;
}

void Stash::push(std::initializer_list<at::Tensor> tensors) {
  if (!keeps_) return;
  tensors_.insert(tensors_.end(), tensors.begin(), tensors.end());
}

void Stash::check_holds(std::size_t count) const {
  CLOZE_CHECK(tensors_.size() >= count,
              str("backward wants ", count, " tensors, the stash holds ", tensors_.size()),
              "pop in backward what forward pushed, in opposite order");
}

void WeightGradients::add_product(const Kernels& kernels, ParameterGroup& group,
                                  const at::Tensor& dy, const at::Tensor& x,
                                  const at::Tensor& workspace) const {
  const TraceSpan recorded = span();
  cloze::add_product(kernels, dy.t(), x, group.main_grad, workspace);
}

void WeightGradients::ready(ParameterGroup& group) const {
  if (last_ && on_ready_) on_ready_(group);
}

}  // namespace cloze
