// Attention with interval masks on the GPU; parallel/kernels/attention.h says what it computes.
// Pointers, those inside a dropout too, are of device memory; shape and dropout are read on the
// host. Intervals are not checked: they must lie inside the keys. head_dim is at most 256.
// No atomics: the same bits on every run. Tiles are counted from token 0, so a document's last
// bits may depend on where in the batch it stands. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/kernels/attention.h"
#include "parallel/kernels/cuda/stream.h"

namespace cloze::cuda {

template <class T>
void attention_forward(const AttentionShape& shape, const T* q, const T* k, const T* v,
                       const std::int32_t* lo, const std::int32_t* hi,
                       const AttentionDropout* dropout, T* out, Accumulator<T>* lse, Stream stream);

// Bytes that the backward pass needs beside its arguments.
template <class T>
std::int64_t attention_backward_workspace(const AttentionShape& shape);

template <class T>
void attention_backward(const AttentionShape& shape, const T* dout, const T* q, const T* k,
                        const T* v, const T* out, const Accumulator<T>* lse, const std::int32_t* lo,
                        const std::int32_t* hi, const AttentionDropout* dropout, T* dq, T* dk,
                        T* dv, void* workspace, Stream stream);

}  // namespace cloze::cuda
