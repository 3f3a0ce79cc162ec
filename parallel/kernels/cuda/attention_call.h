// What every attention kernel gets, and what it does with masks and dropout.
#pragma once

#include <cstdint>

#include "parallel/base/check.h"
#include "parallel/kernels/attention.h"
#include "parallel/kernels/attention_plan.h"
#include "parallel/kernels/cuda/element.h"
#include "parallel/kernels/cuda/random_bits.h"
#include "parallel/kernels/cuda/reduce.h"
#include "parallel/kernels/dropout_limit.h"

namespace cloze::cuda {

template <class T>
struct AttentionCall {
  using A = Accumulator<T>;
  AttentionShape shape;
  std::int64_t keys;  // Rows of k and v.
  const T* q;
  const T* k;
  const T* v;
  const std::int32_t* lo;
  const std::int32_t* hi;
  AttentionDropout dropout;
  std::uint32_t limit;
  A keep_scale;  // 1 / (1 - p); 0: nothing is dropped.
  bool vectors;  // Rows of heads may be read 16 bytes at a time.
};

template <class T>
AttentionCall<T> attention_call(const AttentionShape& shape, const T* q, const T* k, const T* v,
                                const std::int32_t* lo, const std::int32_t* hi,
                                const AttentionDropout* dropout) {
  check_attention_shape(shape);
  CLOZE_CHECK(shape.head_dim >= 1 && shape.head_dim <= 256,
              str("head_dim ", shape.head_dim, " on a GPU"), "choose a head_dim of at most 256");
  AttentionCall<T> call{};
  call.shape = shape;
  call.keys = shape.kv_tokens > 0 ? shape.kv_tokens : shape.tokens;
  call.q = q;
  call.k = k;
  call.v = v;
  call.lo = lo;
  call.hi = hi;
  if (dropout != nullptr && dropout->p != 0.0) {
    call.dropout = *dropout;
    call.limit = dropout_limit(dropout->p);
    call.keep_scale = static_cast<Accumulator<T>>(1.0 / (1.0 - dropout->p));
  }
  call.vectors = vectors_fit<T>(shape.q_stride, {q, k, v}) && vectors_fit<T>(shape.kv_stride, {}) &&
                 vectors_fit<T>(shape.head_dim, {});
  return call;
}

// The keys that one query sees; an empty interval, or a query beyond the last, sees none.
struct KeyInterval {
  std::int32_t lo;
  std::int32_t hi;
  __device__ bool contains(std::int64_t key) const { return lo <= key && key < hi; }
};

__device__ inline KeyInterval interval_of(const std::int32_t* lo, const std::int32_t* hi,
                                          std::int64_t query, std::int64_t tokens) {
  KeyInterval seen{INT32_MAX, 0};
  if (query < tokens && lo[query] < hi[query]) seen = {lo[query], hi[query]};
  return seen;
}

// What an interval mask does to a tile of queries.
struct IntervalBounds {
  std::int32_t min_lo = INT32_MAX;
  std::int32_t max_lo = 0;
  std::int32_t min_hi = INT32_MAX;
  std::int32_t max_hi = 0;

  __device__ void add(const KeyInterval& seen) {
    min_lo = seen.lo < min_lo ? seen.lo : min_lo;
    max_lo = seen.lo > max_lo ? seen.lo : max_lo;
    min_hi = seen.hi < min_hi ? seen.hi : min_hi;
    max_hi = seen.hi > max_hi ? seen.hi : max_hi;
  }
  // Whether any query sees any of keys [first, last), and whether every query sees all.
  __device__ bool meets(std::int64_t first, std::int64_t last) const {
    return min_lo < last && first < max_hi;
  }
  __device__ bool covers(std::int64_t first, std::int64_t last) const {
    return max_lo <= first && last <= min_hi;
  }
};

// Of queries [first, first + count). Every lane of every warp gets them; all lanes take part.
__device__ inline IntervalBounds bounds_of_queries(const std::int32_t* lo, const std::int32_t* hi,
                                                   std::int64_t first, std::int64_t count,
                                                   std::int64_t tokens) {
  IntervalBounds bounds;
  for (std::int64_t i = threadIdx.x % 32; i < count; i += 32) {
    bounds.add(interval_of(lo, hi, first + i, tokens));
  }
  const auto smaller = [](std::int32_t a, std::int32_t b) { return a < b ? a : b; };
  const auto larger = [](std::int32_t a, std::int32_t b) { return a > b ? a : b; };
  bounds.min_lo = combine_warp(bounds.min_lo, smaller);
  bounds.max_lo = combine_warp(bounds.max_lo, larger);
  bounds.min_hi = combine_warp(bounds.min_hi, smaller);
  bounds.max_hi = combine_warp(bounds.max_hi, larger);
  return bounds;
}

// The factor of a probability: 1 / (1 - p) where it is kept, else 0. Both are tokens of the call.
template <class T>
__device__ inline Accumulator<T> keep_factor(const AttentionCall<T>& call, std::int64_t head,
                                             std::int64_t query, std::int64_t key) {
  const AttentionDropout& dropout = call.dropout;
  const RandomKey stream{.seed = dropout.seed,
                         .domain = RandomDomain::kAttentionDropout,
                         .layer = dropout.layer,
                         .ordinal = static_cast<std::uint64_t>(dropout.ordinals[query])};
  const std::int64_t row =
      (dropout.first_head + head) * dropout.seq_length + dropout.index_in_row[query];
  const std::int64_t element = row * dropout.seq_length + dropout.index_in_row[key];
  const RandomBits<1> bits = random_bits_of<1>(stream, static_cast<std::uint64_t>(element));
  return bits.at[0] > call.limit ? call.keep_scale : Accumulator<T>{0};
}

// What the kernels of the backward pass get.
template <class T>
struct BackwardCall {
  using A = Accumulator<T>;
  AttentionCall<T> forward;
  const T* dout;
  const A* lse;
  const A* delta;                // [heads, tokens]
  const IntervalBounds* bounds;  // Of each tile of queries.
  A* parts;  // [2, num_head_parts(), tokens, kv_heads * head_dim], of dk and dv.
  T* dq;
  T* dk;
  T* dv;
};

}  // namespace cloze::cuda
