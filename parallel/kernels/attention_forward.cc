// The forward pass of attention: for each tile of queries, the tiles of keys it sees, with a
// running maximum and sum of each row (online softmax).
#include <cmath>

#include "parallel/kernels/attention_tile.h"

namespace cloze {

template <class T>
struct AttentionForward {
  using A = Accumulator<T>;
  AttentionShape shape;
  const T* q;
  const T* k;
  const T* v;
  const std::int32_t* lo;
  const std::int32_t* hi;
  const AttentionDropout* dropout;
  std::uint32_t limit;
  const AttentionItem* items;
  T* out;
  A* lse;

  template <class Set>
  void run(std::int64_t first, std::int64_t last) const;
  template <class Set>
  void run_item(const AttentionItem& item) const;
  template <class Set>
  void write_empty(const AttentionItem& item) const;
};

// A tile of queries on its way over the keys.
template <class A>
struct QueryTile {
  std::int64_t first = 0;  // Query.
  std::int64_t count = 0;
  A* scores;       // [kTile, kTile], then the probabilities.
  A* sums;         // out before the division, [kTile, width]
  A* largest;      // [kTile]
  A* denominator;  // [kTile]
};

// Turns the scores of keys [first_key, first_key + kTile) into exp(score - largest), with the row
// maximum so far; earlier sums are scaled down to a maximum that grew.
template <class Set, class T>
[[gnu::noinline]] void softmax_tile(const AttentionForward<T>& call, std::int64_t head,
                                    const QueryTile<Accumulator<T>>& tile, std::int64_t width,
                                    std::int64_t first_key, std::int64_t num_keys, bool whole) {
  using A = Accumulator<T>;
  using P = Pack<A, Set>;
  constexpr int kPacks = kTile / P::kLanes;
  alignas(64) A shrink[kTile];
  alignas(64) A grown[kTile];
  for (std::int64_t i = 0; i < tile.count; ++i) {
    A* row = tile.scores + i * kTile;
    P largest(-__builtin_inf());
    for (int j = 0; j < kPacks; ++j) {
      P scores = load<P>(row + j * P::kLanes);
      if (!whole) {
        scores = masked(scores, j * P::kLanes, call.lo[tile.first + i] - first_key,
                        call.hi[tile.first + i] - first_key);
        store(row + j * P::kLanes, scores);
      }
      largest = max(scores, largest);
    }
    const A of_tile = max(largest);
    grown[i] = of_tile > tile.largest[i] ? of_tile : tile.largest[i];
    shrink[i] = tile.largest[i] - grown[i];
  }
  for (std::int64_t i = tile.count; i < kTile; ++i) shrink[i] = 0;
  for (int j = 0; j < kPacks; ++j) {
    store(shrink + j * P::kLanes, exp_or_zero(load<P>(shrink + j * P::kLanes)));
  }
  alignas(64) A factors[kTile];
  for (std::int64_t i = 0; i < tile.count; ++i) {
    A* row = tile.scores + i * kTile;
    // Where no key is seen yet, every score is -infinity or NaN: the one gives 0, the other shows.
    const P largest(grown[i] == -__builtin_inf() ? A{0} : grown[i]);
    P total(0);
    for (int j = 0; j < kPacks; ++j) {
      const P probability = exp_or_zero(load<P>(row + j * P::kLanes) - largest);
      total = total + probability;
      store(row + j * P::kLanes, probability);
    }
    if (call.dropout != nullptr) {
      keep_factors<Set>(*call.dropout, call.limit, head, tile.first + i, first_key, num_keys,
                        factors);
      for (int j = 0; j < kPacks; ++j) {
        store(row + j * P::kLanes, load<P>(row + j * P::kLanes) * load<P>(factors + j * P::kLanes));
      }
    }
    if (grown[i] != tile.largest[i]) {
      tile.denominator[i] *= shrink[i];
      A* sums = tile.sums + i * width;
      for (std::int64_t d = 0; d < width; d += P::kLanes) {
        store(sums + d, load<P>(sums + d) * P(shrink[i]));
      }
      tile.largest[i] = grown[i];
    }
    tile.denominator[i] += sum(total);
  }
}

template <class T>
template <class Set>
void AttentionForward<T>::write_empty(const AttentionItem& item) const {
  using P = Pack<A, Set>;
  for (std::int64_t t = item.first_query; t < item.last_query; ++t) {
    T* to = out + t * shape.out_stride + item.head * shape.head_dim;
    for_each_pack<P>(shape.head_dim, [&](std::int64_t d, auto at) { store(to + d, P(0), at); });
    lse[item.head * shape.tokens + t] = -__builtin_inf();
  }
}

template <class T>
template <class Set>
void AttentionForward<T>::run_item(const AttentionItem& item) const {
  using P = Pack<A, Set>;
  const std::int64_t head_dim = shape.head_dim;
  const std::int64_t width = padded<P>(head_dim);
  const std::int64_t origin = item.segment.first;
  const AttentionBounds seen = bounds_of<Set>(lo, hi, item.first_query, item.last_query);
  if (seen.max_hi == 0) return write_empty<Set>(item);

  // Tiles of keys, counted from the segment's start, that any query of the item may see.
  const std::int64_t first_tile = (seen.min_lo - origin) / kTile;
  const std::int64_t last_tile = (seen.max_hi - origin + kTile - 1) / kTile;
  const std::int64_t first_key = origin + first_tile * kTile;
  const std::int64_t num_keys = seen.max_hi - first_key;
  const std::int64_t kv_head = item.head / (shape.heads / shape.kv_heads);
  const std::int64_t kv_offset = first_key * shape.kv_stride + kv_head * head_dim;
  Scratch<A, Set> scratch((2 * num_keys + kTile) * width +
                          (last_tile - first_tile) * kTile * width + kTile * (kTile + width + 2));
  const HeadRows<A> keys = rows_of_head<Set>(k + kv_offset, shape.kv_stride, num_keys, head_dim,
                                             RowUse::kOther, scratch.take(num_keys * width));
  // A single tile of queries, as in generating, reads the values once: a copy would cost more.
  const bool read_again = item.last_query - item.first_query > kTile;
  const HeadRows<A> values = rows_of_head<Set>(v + kv_offset, shape.kv_stride, num_keys, head_dim,
                                               read_again ? RowUse::kRightFactor : RowUse::kOther,
                                               scratch.take(num_keys * width));
  A* query_copy = scratch.take(kTile * width);
  A* transposed = scratch.take((last_tile - first_tile) * kTile * width);
  for (std::int64_t j = first_tile; j < last_tile; ++j) {
    const std::int64_t at = (j - first_tile) * kTile;
    const std::int64_t count = num_keys - at < kTile ? num_keys - at : kTile;
    transpose_tile<Set, A>({keys.row(at), keys.stride}, count, head_dim,
                           static_cast<A>(shape.scale), transposed + at * head_dim);
  }
  QueryTile<A> tile{.scores = scratch.take(kTile * kTile),
                    .sums = scratch.take(kTile * width),
                    .largest = scratch.take(kTile),
                    .denominator = scratch.take(kTile)};
  for (tile.first = item.first_query; tile.first < item.last_query; tile.first += kTile) {
    const std::int64_t left = item.last_query - tile.first;
    tile.count = left < kTile ? left : kTile;
    const AttentionBounds bounds = bounds_of<Set>(lo, hi, tile.first, tile.first + tile.count);
    const HeadRows<A> queries =
        rows_of_head<Set>(q + tile.first * shape.q_stride + item.head * head_dim, shape.q_stride,
                          tile.count, head_dim, RowUse::kOther, query_copy);
    for (std::int64_t i = 0; i < kTile * width; i += P::kLanes) store(tile.sums + i, P(0));
    for (std::int64_t i = 0; i < kTile; ++i) {
      tile.largest[i] = -__builtin_inf();
      tile.denominator[i] = 0;
    }
    for (std::int64_t at = 0; at < num_keys; at += kTile) {
      const std::int64_t count = num_keys - at < kTile ? num_keys - at : kTile;
      if (!bounds.meets(first_key + at, first_key + at + count)) continue;
      multiply<Set, A>({queries.data, queries.stride, 1}, transposed + at * head_dim, kTile,
                       tile.scores, kTile, tile.count, kTile, head_dim, /*add=*/false);
      softmax_tile<Set>(*this, item.head, tile, width, first_key + at, count,
                        bounds.covers(first_key + at, first_key + at + kTile));
      multiply<Set, A>({tile.scores, kTile, 1}, values.row(at), values.stride, tile.sums, width,
                       tile.count, width, count, /*add=*/true);
    }
    for (std::int64_t i = 0; i < tile.count; ++i) {
      const std::int64_t t = tile.first + i;
      const bool empty = lo[t] >= hi[t];
      const P denominator(empty ? A{1} : tile.denominator[i]);
      T* to = out + t * shape.out_stride + item.head * head_dim;
      for_each_pack<P>(head_dim, [&](std::int64_t d, auto at) {
        store(to + d, load<P>(tile.sums + i * width + d) / denominator, at);
      });
      lse[item.head * shape.tokens + t] =
          empty ? -__builtin_inf() : tile.largest[i] + std::log(tile.denominator[i]);
    }
  }
}

template <class T>
template <class Set>
void AttentionForward<T>::run(std::int64_t first, std::int64_t last) const {
  for (std::int64_t i = first; i < last; ++i) run_item<Set>(items[i]);
}
CLOZE_KERNEL_OF_ALL_TYPES(AttentionForward);

#ifndef CLOZE_KERNEL_AVX512

constexpr std::int64_t kForwardQueries = 8 * kTile;  // Of an item, which transposes its keys once.

template <class T>
void attention_forward(const AttentionShape& shape, const T* q, const T* k, const T* v,
                       const std::int32_t* lo, const std::int32_t* hi,
                       const AttentionDropout* dropout, T* out, Accumulator<T>* lse) {
  check_attention(shape, lo, hi);
  if (dropout != nullptr && dropout->p == 0.0) dropout = nullptr;
  const std::uint32_t limit = dropout == nullptr ? 0 : dropout_limit(dropout->p);
  const std::vector<AttentionItem> items =
      shape.kv_tokens > 0
          ? attention_cache_items(shape.kv_tokens, shape.tokens, shape.heads, kForwardQueries)
          : attention_items(attention_segments(lo, hi, shape.tokens), shape.heads, kForwardQueries);
  run_parallel_each(
      AttentionForward<T>{shape, q, k, v, lo, hi, dropout, limit, items.data(), out, lse},
      static_cast<std::int64_t>(items.size()));
}

#define CLOZE_INSTANTIATE(T)                                                           \
  template void attention_forward(const AttentionShape&, const T*, const T*, const T*, \
                                  const std::int32_t*, const std::int32_t*,            \
                                  const AttentionDropout*, T*, Accumulator<T>*)
CLOZE_INSTANTIATE(double);
CLOZE_INSTANTIATE(float);
CLOZE_INSTANTIATE(BFloat16);
CLOZE_INSTANTIATE(Float16);
#undef CLOZE_INSTANTIATE

#endif  // CLOZE_KERNEL_AVX512

}  // namespace cloze
