// Tiles of attention in shared memory and the small matrix products between them, on the tensor
// cores. A block is four warps; a warp has 16 rows of what it computes.
#pragma once

#include "parallel/kernels/cuda/attention_call.h"
#include "parallel/kernels/cuda/tensor_core.h"

namespace cloze::cuda {

constexpr unsigned kTensorBlock = 128;

// Rows in shared memory are an access longer than a head, so that eight lie in different banks.
template <int kHeadDim>
constexpr int kTensorStride = kHeadDim + 8;

// Starts to [kRows, kTensorStride] = rows [first, first + kRows) of a head, zeros beyond `count`.
template <int kHeadDim, int kRows, class T>
__device__ inline void start_tile(T* to, const T* from, std::int64_t stride, std::int64_t first,
                                  std::int64_t count) {
  constexpr int kAccesses = kHeadDim / 8;
  CLOZE_UNROLL_BY(8)
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kAccesses;
       i += static_cast<int>(kTensorBlock)) {
    const int row = i / kAccesses;
    const int channel = i % kAccesses * 8;
    start_copy_or_zero(to + row * kTensorStride<kHeadDim> + channel,
                       from + (first + row) * stride + channel, first + row < count);
  }
}

// Which row of the four matrices of load_matrices() this lane gives: of a first operand's 16 rows
// x 16 columns (and, transposed, of a second operand that lies as 16 tokens x 16 channels), and of
// a second operand that lies as 16 columns x 16 channels.
struct MatrixPlaces {
  int row = static_cast<int>(threadIdx.x % 16);
  int column = static_cast<int>(threadIdx.x % 32 / 16 * 8);
  int other_row = static_cast<int>(threadIdx.x % 8 + threadIdx.x % 32 / 16 * 8);
  int other_column = static_cast<int>(threadIdx.x / 8 % 2 * 8);
};

// scores [16, 8 kTiles] += left [16 rows] right^T [8 kTiles rows], both of a head's channels.
template <int kHeadDim, int kTiles, class T>
__device__ inline void multiply_rows_tensor(float (&scores)[kTiles][4], const T* left,
                                            const T* right, const MatrixPlaces& places) {
  constexpr int kRow = kTensorStride<kHeadDim>;
  CLOZE_UNROLL_BY(4)  // All eight of 128 channels at once would spill in the backward pass.
  for (int channel = 0; channel < kHeadDim; channel += 16) {
    std::uint32_t a[4];
    load_matrices<false>(a, left + places.row * kRow + channel + places.column);
    CLOZE_UNROLL
    for (int j = 0; j < kTiles; j += 2) {
      std::uint32_t b[4];
      load_matrices<false>(
          b, right + (j * 8 + places.other_row) * kRow + channel + places.other_column);
      multiply_tensor<T>(scores[j], a, b[0], b[1]);
      multiply_tensor<T>(scores[j + 1], a, b[2], b[3]);
    }
  }
}

// sums [16, kHeadDim] += weights [16, 8 kTiles], rounded to T, times rows [8 kTiles, kHeadDim].
template <int kHeadDim, int kTiles, class T>
__device__ inline void add_product_tensor(float (&sums)[kHeadDim / 8][4],
                                          const float (&weights)[kTiles][4], const T* rows,
                                          const MatrixPlaces& places) {
  constexpr int kRow = kTensorStride<kHeadDim>;
  CLOZE_UNROLL
  for (int j = 0; j < kTiles; j += 2) {
    // The layout of a result is that of a first operand.
    const std::uint32_t a[4] = {pair_of<T>(weights[j][0], weights[j][1]),
                                pair_of<T>(weights[j][2], weights[j][3]),
                                pair_of<T>(weights[j + 1][0], weights[j + 1][1]),
                                pair_of<T>(weights[j + 1][2], weights[j + 1][3])};
    CLOZE_UNROLL
    for (int c = 0; c < kHeadDim / 8; c += 2) {
      std::uint32_t b[4];
      load_matrices<true>(b, rows + (j * 8 + places.row) * kRow + c * 8 + places.column);
      multiply_tensor<T>(sums[c], a, b[0], b[1]);
      multiply_tensor<T>(sums[c + 1], a, b[2], b[3]);
    }
  }
}

// Writes this lane's elements of row `lane / 4 + 8 * half` of sums times `factor`; `to` points at
// channel lane % 4 * 2 of the row.
template <int kTiles, class T>
__device__ inline void store_row(T* to, const float (&sums)[kTiles][4], int half, float factor) {
  CLOZE_UNROLL
  for (int c = 0; c < kTiles; ++c) {
    store<2>(to + c * 8,
             Values<float, 2>{{sums[c][2 * half] * factor, sums[c][2 * half + 1] * factor}});
  }
}

}  // namespace cloze::cuda
