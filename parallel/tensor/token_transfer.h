// The two conjugate transfers of tensor parallelism, as Megatron-LM names them f and g
// (Shoeybi et al., 2019; with sequence parallelism Korthikanti et al., 2022):
//
//                  without sequence parallelism   with it
//   gather_tokens  identity                       all-gather of token slices
//   reduce_tokens  all-reduce of partial sums     reduce-scatter into token slices
//
// The backward of each is the forward of the other.
#pragma once

#include <ATen/core/Tensor.h>

#include "parallel/comm/communicator.h"
#include "parallel/kernels/kernels.h"

namespace cloze {

// How the layers of a stage are cut over the tensor ranks, and what they compute with.
struct TensorParallel {
  Communicator& group;
  bool sequence = false;  // Tokens are cut over the group outside of the linear layers.
  const Kernels& kernels = cpu_kernels();

  int rank() const { return group.rank(); }
  int size() const { return group.size(); }
  // Tokens that this rank holds outside of the linear layers, of `tokens` in the microbatch.
  std::int64_t local_tokens(std::int64_t tokens) const {
    return sequence ? tokens / size() : tokens;
  }
  std::int64_t first_token(std::int64_t tokens) const {
    return sequence ? tokens / size() * rank() : 0;
  }
};

// A tensor that a collective is still filling.
class TensorInFlight {
 public:
  TensorInFlight(at::Tensor tensor, Work work)
      : tensor_(std::move(tensor)), work_(std::move(work)) {}
  at::Tensor wait() {
    work_.wait();
    return std::move(tensor_);
  }

 private:
  at::Tensor tensor_;
  Work work_;
};

// x [tokens (/ tp), features] -> [tokens, features].
TensorInFlight gather_tokens(const at::Tensor& x, const TensorParallel& tp);

// Partial sums [tokens, features] -> their sum [tokens (/ tp), features]. Takes the memory of
// `partial` where it can.
TensorInFlight reduce_tokens(const at::Tensor& partial, const TensorParallel& tp);

}  // namespace cloze
