// Attention on the tensor cores: for 16-bit types, for the widths and alignments it can take.
#pragma once

#include "parallel/kernels/cuda/attention_call.h"

namespace cloze::cuda {

// Whether attention_forward_tensor() takes the call. `out` is the result.
template <class T>
bool fits_tensor_cores(const AttentionCall<T>& call, const void* out) {
  return sizeof(T) == 2 && call.vectors && call.keep_scale == 0 &&
         (call.shape.head_dim == 64 || call.shape.head_dim == 128) &&
         vectors_fit<T>(call.shape.out_stride, {out});
}

// As attention_forward(); T: BFloat16, Float16. The probabilities are rounded to T before they
// meet the values; sums and statistics are of float.
template <class T>
void attention_forward_tensor(const AttentionCall<T>& call, T* out, float* lse, Stream stream);

// The query heads of a kv head are cut into this many parts, whose dk and dv are added up in order
// afterwards: more blocks than one for a tile of keys, for the GPU to share out. 1: no parts.
inline std::int64_t num_head_parts(const AttentionShape& shape) {
  const std::int64_t group = shape.heads / shape.kv_heads;
  return group < 4 ? group : 4;
}

// Queries of a tile of the call's bounds.
constexpr std::int64_t kTensorQueries = 32;

// As attention_backward(), of a call whose delta and bounds are there, whose dq, dk and dv are
// aligned too, and whose `parts` are there where num_head_parts() says more than 1. Probabilities
// and their gradients are rounded to T.
template <class T>
void attention_backward_tensor(const BackwardCall<T>& call, Stream stream);

}  // namespace cloze::cuda
