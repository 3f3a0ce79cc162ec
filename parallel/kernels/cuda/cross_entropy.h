// The three phases of vocabulary-parallel softmax cross-entropy on the GPU;
// parallel/kernels/cross_entropy.h says what they compute. Pointers are of device memory.
// T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/kernels/accumulator.h"
#include "parallel/kernels/cuda/stream.h"

namespace cloze::cuda {

template <class T>
void row_max(const T* logits, std::int64_t ld, std::int64_t n, std::int64_t vocab,
             Accumulator<T>* max, Stream stream);

template <class T>
void row_sums(const T* logits, std::int64_t ld, std::int64_t n, std::int64_t vocab,
              std::int64_t first_id, const std::int32_t* targets, const Accumulator<T>* max,
              Accumulator<T>* sum, Accumulator<T>* target_logit, Stream stream);

template <class T>
void softmax_gradient(T* logits, std::int64_t ld, std::int64_t n, std::int64_t vocab,
                      std::int64_t first_id, const std::int32_t* targets, const Accumulator<T>* max,
                      const Accumulator<T>* sum, const Accumulator<T>* weight, Stream stream);

}  // namespace cloze::cuda
