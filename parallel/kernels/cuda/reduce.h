// Sums and maxima over a block, in an order that the block's size alone decides.
#pragma once

#include "parallel/kernels/cuda/element.h"

namespace cloze::cuda {

constexpr unsigned kAllLanes = 0xffffffffU;
constexpr int kLargestWarps = 32;

// Every lane gets the result; the tree is the same for all.
template <class A, class Combine>
__device__ inline A combine_warp(A value, Combine combine) {
  for (unsigned bits = 16; bits > 0; bits /= 2) {
    value = combine(value, __shfl_xor_sync(kAllLanes, value, bits));
  }
  return value;
}

// Every thread gets the result. `neutral` fills the warps that a block does not have.
template <class A, class Combine>
__device__ inline A combine_block(A value, A neutral, Combine combine) {
  CLOZE_SHARED_ARRAY(A, of_warps, kLargestWarps);
  const unsigned lane = threadIdx.x % 32;
  value = combine_warp(value, combine);
  if (lane == 0) of_warps[threadIdx.x / 32] = value;
  __syncthreads();
  value = combine_warp(lane < blockDim.x / 32 ? of_warps[lane] : neutral, combine);
  __syncthreads();  // The next call writes of_warps.
  return value;
}

struct Add {
  template <class A>
  __device__ A operator()(A a, A b) const {
    return a + b;
  }
};

// A NaN does not count.
struct Larger {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
  __device__ double operator()(double a, double b) const { return fmax(a, b); }
};

template <class A>
__device__ inline A sum_of_block(A value) {
  return combine_block(value, A{0}, Add{});
}

}  // namespace cloze::cuda
