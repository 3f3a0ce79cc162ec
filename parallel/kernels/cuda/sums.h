// Sums of fixed order on the GPU; see parallel/kernels/sums.h. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/kernels/cuda/stream.h"

namespace cloze::cuda {

// Bytes that sum_of_squares needs beside its arguments.
std::int64_t sum_of_squares_workspace(std::int64_t n);

// total := the sum of squares in double, in an order that n alone decides; not the CPU's order.
// It is finite exactly when all of x are (and no double overflows): the check of gradients.
// x [n], total: device memory.
template <class T>
void sum_of_squares(const T* x, std::int64_t n, double* total, void* workspace, Stream stream);

// Parts that ordered_sum and ordered_max take at most.
constexpr int kMaxParts = 256;

// `parts` lies on the host, what it points to on the device, like out. Bit for bit the CPU's.
template <class T>
void ordered_sum(const T* const* parts, int num_parts, T* out, std::int64_t n, Stream stream);

template <class T>
void ordered_max(const T* const* parts, int num_parts, T* out, std::int64_t n, Stream stream);

// Of std::int64_t, std::int32_t, std::uint8_t.
template <class T>
void count_sum(const T* const* parts, int num_parts, T* out, std::int64_t n, Stream stream);

template <class T>
void count_max(const T* const* parts, int num_parts, T* out, std::int64_t n, Stream stream);

}  // namespace cloze::cuda
