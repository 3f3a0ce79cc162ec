// Rows of a table by id on the GPU; parallel/kernels/embedding.h says what they compute. Pointers
// are of device memory. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/kernels/accumulator.h"
#include "parallel/kernels/cuda/stream.h"

namespace cloze::cuda {

template <class T>
void embedding_forward(const T* table, std::int64_t first_id, std::int64_t rows,
                       const std::int32_t* ids, T* out, std::int64_t n, std::int64_t hidden,
                       bool accumulate, Stream stream);

// Bytes that the backward pass needs beside its arguments.
std::int64_t embedding_backward_workspace(std::int64_t n);

// Bit for bit what the CPU computes.
template <class T>
void embedding_backward(const T* dout, const std::int32_t* ids, std::int64_t first_id,
                        std::int64_t rows, Accumulator<T>* dtable, std::int64_t n,
                        std::int64_t hidden, void* workspace, Stream stream);

}  // namespace cloze::cuda
