// Attention with interval masks: query t sees keys [lo[t], hi[t]), one rule for causal, prefix
// and packed documents. Tiled, with online softmax (Dao, "FlashAttention-2"); no [tokens, tokens]
// array exists. T: double, float, BFloat16, Float16.
#pragma once

#include <cstdint>

#include "parallel/kernels/accumulator.h"

namespace cloze {

// Intervals of a kind that other kernels of attention know: samples of consecutive tokens that see
// nothing of each other, in each first a prefix whose tokens see all of it, then a suffix whose
// tokens see all before them and themselves. Every token is in one; arrays are of the device.
struct AttentionSamples {
  std::int64_t count = 0;
  const std::int32_t* offsets = nullptr;  // [count + 1], of the tokens of each sample.
  std::int64_t longest = 0;

  // Samples with a prefix; without any, all is causal and the arrays below are not needed.
  std::int64_t prefixes = 0;
  std::int64_t prefix_tokens = 0;                // Of all of them.
  const std::int32_t* prefix_offsets = nullptr;  // [prefixes + 1], counted in prefix_places.
  const std::int32_t* prefix_places = nullptr;   // [prefix_tokens]
  std::int64_t longest_prefix = 0;
  const std::int32_t* suffix_offsets = nullptr;  // [count + 1], counted in suffix_places.
  const std::int32_t* suffix_places = nullptr;   // [tokens - prefix_tokens]
  std::int64_t longest_suffix = 0;
};

struct AttentionShape {
  std::int64_t tokens = 0;    // Queries; keys too, unless kv_tokens says otherwise.
  std::int64_t heads = 0;     // Query heads here.
  std::int64_t kv_heads = 0;  // Divides heads; query head i uses kv head i / (heads / kv_heads).
  std::int64_t head_dim = 0;
  // Elements from token to token, so that q, k and v may be views of one fused buffer. Within a
  // token the heads lie side by side.
  std::int64_t q_stride = 0;    // Of q and dq.
  std::int64_t kv_stride = 0;   // Of k, v, dk, dv.
  std::int64_t out_stride = 0;  // Of out and dout.
  double scale = 1.0;           // Of the scores before softmax.
  // Keys and values, where they are not those of the queries: a cache that holds earlier tokens
  // too. Then lo and hi count its rows. 0: they are the tokens'. For forward alone.
  std::int64_t kv_tokens = 0;
  // The intervals again, where they are such; it may be null, and kernels may ignore it.
  const AttentionSamples* samples = nullptr;
};

// Drops attention probabilities. The bit of a pair of tokens is keyed by (ordinal of the query's
// row, layer, global head, query index in the row, key index in the row): the same on every
// layout and in the backward pass. Element of the stream RandomDomain::kAttentionDropout:
// (head * seq_length + query) * seq_length + key; kept when bits * 2^-32 >= p.
struct AttentionDropout {
  double p = 0.0;  // Share dropped, 0 <= p < 1; kept ones are scaled by 1 / (1 - p).
  std::uint64_t seed = 0;
  std::uint32_t layer = 0;
  const std::int64_t* ordinals = nullptr;      // [tokens], of the token's row.
  const std::int32_t* index_in_row = nullptr;  // [tokens]
  std::int64_t first_head = 0;                 // Global number of query head 0 here.
  std::int64_t seq_length = 0;                 // Of a row.
};

// q [tokens, heads, head_dim], k, v [tokens, kv_heads, head_dim], out [tokens, heads, head_dim]
// with the strides of `shape` (k, v [kv_tokens, ...] with a cache); lo, hi [tokens],
// 0 <= lo, hi <= tokens (kv_tokens), empty when lo >= hi.
// lse [heads, tokens]: ln of the sum of exp of the scaled scores. A token with an empty interval
// gets out = 0 and lse = -infinity. `dropout` may be null.
template <class T>
void attention_forward(const AttentionShape& shape, const T* q, const T* k, const T* v,
                       const std::int32_t* lo, const std::int32_t* hi,
                       const AttentionDropout* dropout, T* out, Accumulator<T>* lse);

// Elements that the backward pass needs beside its arguments: the parts of dk and dv that the
// query heads of a kv head give.
std::int64_t attention_backward_workspace(const AttentionShape& shape);

// dq, dk, dv are written (not added to), with the strides of q, k, v; out and lse are forward's.
template <class T>
void attention_backward(const AttentionShape& shape, const T* dout, const T* q, const T* k,
                        const T* v, const T* out, const Accumulator<T>* lse, const std::int32_t* lo,
                        const std::int32_t* hi, const AttentionDropout* dropout, T* dq, T* dk,
                        T* dv, Accumulator<T>* workspace);

}  // namespace cloze
