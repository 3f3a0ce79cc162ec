#include "parallel/pass/pass.h"

#include <ATen/ATen.h>

#include "parallel/base/check.h"

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

void WeightGradients::add_product(ParameterGroup& group, const at::Tensor& dy,
                                  const at::Tensor& x) const {
  const TraceSpan recorded = span();
  at::Tensor& sum = group.main_grad;
  if (x.scalar_type() == sum.scalar_type()) {
    at::addmm_out(sum, sum, dy.t(), x);
  } else if (!sum.is_cpu()) {
    at::addmm_out(sum, sum, dy.t(), x, sum.scalar_type());
  } else {
    // CPU GEMMs take one type: 16-bit operands are widened, so that the sum is.
    at::addmm_out(sum, sum, dy.to(sum.scalar_type()).t(), x.to(sum.scalar_type()));
  }
}

void WeightGradients::ready(ParameterGroup& group) const {
  if (last_ && on_ready_) on_ready_(group);
}

}  // namespace cloze
