// The backward pass of attention: for each tile of keys, the tiles of queries that see it. The
// probabilities are made again from lse. A thread owns a query head of a segment, so nothing is
// added across threads; query heads that share a kv head are summed afterwards, in order.

#include "parallel/base/check.h"
#include "parallel/kernels/attention_tile.h"

namespace cloze {

template <class T>
struct AttentionBackward {
  using A = Accumulator<T>;
  AttentionShape shape;
  const T* dout;
  const T* q;
  const T* k;
  const T* v;
  const T* out;
  const A* lse;
  const std::int32_t* lo;
  const std::int32_t* hi;
  const AttentionDropout* dropout;
  std::uint32_t limit;
  const AttentionItem* items;
  T* dq;
  T* dk;
  T* dv;
  A* dk_parts;  // [heads, tokens, head_dim]; null when every query head has its own kv head.
  A* dv_parts;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
  template <class Set>
  void run_item(const AttentionItem& item) const;
  template <class Set>
  void write_keys(const AttentionItem& item, std::int64_t first_key, std::int64_t count,
                  const A* sums, A* parts, T* gradient) const;
};

// A tile of queries against a tile of keys.
template <class A>
struct TilePair {
  std::int64_t first_query;
  std::int64_t num_queries;
  std::int64_t first_key;
  std::int64_t num_keys;
  bool whole;
  const A* lse;    // [num_queries], finite
  const A* delta;  // [num_queries]
  A* scores;       // [kTile, kTile]: in scores, out probabilities after dropout
  A* slopes;       // [kTile, kTile]: in dout v^T, out the gradient of q k^T
};

template <class Set, class T>
[[gnu::noinline]] void differentiate_tile(const AttentionBackward<T>& call, std::int64_t head,
                                          const TilePair<Accumulator<T>>& tile) {
  using A = Accumulator<T>;
  using P = Pack<A, Set>;
  alignas(64) A factors[kTile];
  const P scale(static_cast<A>(call.shape.scale));
  for (std::int64_t i = 0; i < tile.num_queries; ++i) {
    const std::int64_t query = tile.first_query + i;
    const std::int64_t lo = call.lo[query] - tile.first_key;
    const std::int64_t hi = call.lo[query] < call.hi[query] ? call.hi[query] - tile.first_key : lo;
    const P lse(tile.lse[i]);
    const P delta(tile.delta[i]);
    if (call.dropout != nullptr) {
      keep_factors<Set>(*call.dropout, call.limit, head, query, tile.first_key, tile.num_keys,
                        factors);
    }
    for (std::int64_t j = 0; j < kTile; j += P::kLanes) {
      A* at_scores = tile.scores + i * kTile + j;
      A* at_slopes = tile.slopes + i * kTile + j;
      P scores = load<P>(at_scores);
      if (!tile.whole) scores = masked(scores, j, lo, hi);
      const P probability = exp_or_zero(scores - lse);
      P slope = load<P>(at_slopes);
      P kept = probability;
      if (call.dropout != nullptr) {
        const P factor = load<P>(factors + j);
        slope = slope * factor;
        kept = kept * factor;
      }
      store(at_scores, kept);
      store(at_slopes, probability * (slope - delta) * scale);
    }
  }
}

// Sums [count, padded head_dim] of a tile of keys: the gradient itself, or one head's part of it.
template <class T>
template <class Set>
void AttentionBackward<T>::write_keys(const AttentionItem& item, std::int64_t first_key,
                                      std::int64_t count, const A* sums, A* parts,
                                      T* gradient) const {
  using P = Pack<A, Set>;
  const std::int64_t width = padded<P>(shape.head_dim);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t t = first_key + i;
    for_each_pack<P>(shape.head_dim, [&](std::int64_t d, auto at) {
      const P value = load<P>(sums + i * width + d);
      if (parts != nullptr) {
        store(parts + (item.head * shape.tokens + t) * shape.head_dim + d, value, at);
      } else {
        store(gradient + t * shape.kv_stride + item.head * shape.head_dim + d, value, at);
      }
    });
  }
}

template <class T>
template <class Set>
void AttentionBackward<T>::run_item(const AttentionItem& item) const {
  using P = Pack<A, Set>;
  const std::int64_t head_dim = shape.head_dim;
  const std::int64_t width = padded<P>(head_dim);
  const std::int64_t origin = item.segment.first;
  const std::int64_t tokens = item.segment.last - origin;
  const std::int64_t tiles = (tokens + kTile - 1) / kTile;
  const std::int64_t kv_head = item.head / (shape.heads / shape.kv_heads);
  const std::int64_t q_offset = origin * shape.q_stride + item.head * head_dim;
  const std::int64_t kv_offset = origin * shape.kv_stride + kv_head * head_dim;
  const std::int64_t out_offset = origin * shape.out_stride + item.head * head_dim;

  Scratch<A, Set> scratch(5 * tokens * width + 2 * tiles * kTile + 4 * kTile * width +
                          2 * kTile * kTile);
  const auto rows_at = [&](const T* from, std::int64_t stride, RowUse use) {
    return rows_of_head<Set>(from, stride, tokens, head_dim, use, scratch.take(tokens * width));
  };
  const HeadRows<A> queries = rows_at(q + q_offset, shape.q_stride, RowUse::kRightFactor);
  const HeadRows<A> keys = rows_at(k + kv_offset, shape.kv_stride, RowUse::kRightFactor);
  const HeadRows<A> values = rows_at(v + kv_offset, shape.kv_stride, RowUse::kOther);
  const HeadRows<A> outputs = rows_at(dout + out_offset, shape.out_stride, RowUse::kRightFactor);
  A* dq_sums = scratch.take(tokens * width);
  A* delta = scratch.take(tiles * kTile);
  A* finite_lse = scratch.take(tiles * kTile);
  A* keys_transposed = scratch.take(kTile * width);
  A* values_transposed = scratch.take(kTile * width);
  A* dk_sums = scratch.take(kTile * width);
  A* dv_sums = scratch.take(kTile * width);
  TilePair<A> tile{};
  tile.scores = scratch.take(kTile * kTile);
  tile.slopes = scratch.take(kTile * kTile);

  for (std::int64_t i = 0; i < tokens * width; i += P::kLanes) store(dq_sums + i, P(0));
  for (std::int64_t i = 0; i < tokens; ++i) {
    const T* from = out + out_offset + i * shape.out_stride;
    const T* gradient = dout + out_offset + i * shape.out_stride;
    delta[i] = sum_of_packs<P>(head_dim, [&](std::int64_t d, auto at) {
      return load<P>(from + d, at) * load<P>(gradient + d, at);
    });
    const bool empty = lo[origin + i] >= hi[origin + i];
    finite_lse[i] = empty ? A{0} : lse[item.head * shape.tokens + origin + i];
  }

  for (std::int64_t key = 0; key < tokens; key += kTile) {
    tile.first_key = origin + key;
    tile.num_keys = tokens - key < kTile ? tokens - key : kTile;
    transpose_tile<Set, A>({keys.row(key), keys.stride}, tile.num_keys, head_dim,
                           static_cast<A>(shape.scale), keys_transposed);
    transpose_tile<Set, A>({values.row(key), values.stride}, tile.num_keys, head_dim, A{1},
                           values_transposed);
    for (std::int64_t i = 0; i < kTile * width; i += P::kLanes) {
      store(dk_sums + i, P(0));
      store(dv_sums + i, P(0));
    }
    for (std::int64_t query = 0; query < tokens; query += kTile) {
      tile.first_query = origin + query;
      tile.num_queries = tokens - query < kTile ? tokens - query : kTile;
      const AttentionBounds bounds =
          bounds_of<Set>(lo, hi, tile.first_query, tile.first_query + tile.num_queries);
      if (!bounds.meets(tile.first_key, tile.first_key + tile.num_keys)) continue;
      tile.whole = bounds.covers(tile.first_key, tile.first_key + kTile);
      tile.lse = finite_lse + query;
      tile.delta = delta + query;
      const std::int64_t n = tile.num_queries;
      multiply<Set, A>({queries.row(query), queries.stride, 1}, keys_transposed, kTile, tile.scores,
                       kTile, n, kTile, head_dim, /*add=*/false);
      multiply<Set, A>({outputs.row(query), outputs.stride, 1}, values_transposed, kTile,
                       tile.slopes, kTile, n, kTile, head_dim, /*add=*/false);
      differentiate_tile<Set>(*this, item.head, tile);
      multiply<Set, A>({tile.scores, 1, kTile}, outputs.row(query), outputs.stride, dv_sums, width,
                       tile.num_keys, width, n, /*add=*/true);
      multiply<Set, A>({tile.slopes, 1, kTile}, queries.row(query), queries.stride, dk_sums, width,
                       tile.num_keys, width, n, /*add=*/true);
      multiply<Set, A>({tile.slopes, kTile, 1}, keys.row(key), keys.stride, dq_sums + query * width,
                       width, n, width, tile.num_keys, /*add=*/true);
    }
    write_keys<Set>(item, tile.first_key, tile.num_keys, dk_sums, dk_parts, dk);
    write_keys<Set>(item, tile.first_key, tile.num_keys, dv_sums, dv_parts, dv);
  }
  for (std::int64_t i = 0; i < tokens; ++i) {
    T* to = dq + q_offset + i * shape.q_stride;
    for_each_pack<P>(head_dim, [&](std::int64_t d, auto at) {
      store(to + d, load<P>(dq_sums + i * width + d), at);
    });
  }
}

template <class T>
template <class Set>
void AttentionBackward<T>::run(std::int64_t first, std::int64_t last) const {
  for (std::int64_t i = first; i < last; ++i) run_item<Set>(items[i]);
}
CLOZE_KERNEL_OF_ALL_TYPES(AttentionBackward);

// Sums the parts of the query heads that share a kv head; an item is a token.
template <class T>
struct SumHeads {
  using A = Accumulator<T>;
  AttentionShape shape;
  const A* parts;
  T* gradient;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
};

template <class T>
template <class Set>
void SumHeads<T>::run(std::int64_t first, std::int64_t last) const {
  using P = Pack<A, Set>;
  const std::int64_t group = shape.heads / shape.kv_heads;
  for (std::int64_t t = first; t < last; ++t) {
    for (std::int64_t kv_head = 0; kv_head < shape.kv_heads; ++kv_head) {
      for_each_pack<P>(shape.head_dim, [&](std::int64_t d, auto at) {
        P total(0);
        for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
          total = total + load<P>(parts + (head * shape.tokens + t) * shape.head_dim + d, at);
        }
        store(gradient + t * shape.kv_stride + kv_head * shape.head_dim + d, total, at);
      });
    }
  }
}
CLOZE_KERNEL_OF_ALL_TYPES(SumHeads);

#ifndef CLOZE_KERNEL_AVX512

std::int64_t attention_backward_workspace(const AttentionShape& shape) {
  return shape.heads == shape.kv_heads ? 0 : 2 * shape.heads * shape.tokens * shape.head_dim;
}

template <class T>
void attention_backward(const AttentionShape& shape, const T* dout, const T* q, const T* k,
                        const T* v, const T* out, const Accumulator<T>* lse, const std::int32_t* lo,
                        const std::int32_t* hi, const AttentionDropout* dropout, T* dq, T* dk,
                        T* dv, Accumulator<T>* workspace) {
  check_attention(shape, lo, hi);
  CLOZE_CHECK(shape.kv_tokens == 0, "the backward pass was given a cache of keys",
              "a cache is for generating alone");
  if (dropout != nullptr && dropout->p == 0.0) dropout = nullptr;
  const std::uint32_t limit = dropout == nullptr ? 0 : dropout_limit(dropout->p);
  const std::vector<AttentionItem> items =
      attention_items(attention_segments(lo, hi, shape.tokens), shape.heads, /*queries=*/0);
  // Every element is written before it is read.
  const std::int64_t size = attention_backward_workspace(shape);
  const bool shared = size > 0;
  Accumulator<T>* const dk_parts = shared ? workspace : nullptr;
  Accumulator<T>* const dv_parts = shared ? workspace + size / 2 : nullptr;
  run_parallel_each(AttentionBackward<T>{shape, dout, q, k, v, out, lse, lo, hi, dropout, limit,
                                         items.data(), dq, dk, dv, dk_parts, dv_parts},
                    static_cast<std::int64_t>(items.size()));
  if (!shared) return;
  run_parallel(SumHeads<T>{shape, dk_parts, dk}, shape.tokens, 16);
  run_parallel(SumHeads<T>{shape, dv_parts, dv}, shape.tokens, 16);
}

#define CLOZE_INSTANTIATE(T)                                                                      \
  template void attention_backward(const AttentionShape&, const T*, const T*, const T*, const T*, \
                                   const T*, const Accumulator<T>*, const std::int32_t*,          \
                                   const std::int32_t*, const AttentionDropout*, T*, T*, T*,      \
                                   Accumulator<T>*)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

#endif  // CLOZE_KERNEL_AVX512

}  // namespace cloze
