// The pieces that the forward and the backward pass of attention share: rows of a head as
// accumulators, transposed tiles, small matrix products, masks and dropout of one tile.
#pragma once

#include <cstdint>
#include <new>
#include <type_traits>

#include "parallel/base/random.h"
#include "parallel/kernels/attention_plan.h"
#include "parallel/kernels/elementary.h"
#include "parallel/kernels/random_run.h"
#include "parallel/kernels/transpose.h"

namespace cloze {

constexpr std::int64_t kTile = 64;  // Queries and keys of a tile.

// Aligned memory of one part of the work, handed out piece by piece.
template <class A, class Set>
class Scratch {
 public:
  explicit Scratch(std::int64_t size)
      : memory_(static_cast<A*>(::operator new (size * sizeof(A), std::align_val_t{64}))),
        next_(memory_) {}
  ~Scratch() { ::operator delete (memory_, std::align_val_t{64}); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // `size` is a multiple of a pack.
  A* take(std::int64_t size) {
    A* const piece = next_;
    next_ += size;
    return piece;
  }

 private:
  A* memory_;
  A* next_;
};

// head_dim, filled up to whole packs.
template <class P>
constexpr std::int64_t padded(std::int64_t head_dim) {
  return (head_dim + P::kLanes - 1) / P::kLanes * P::kLanes;
}

// Rows of one head that may be read in whole packs.
template <class A>
struct HeadRows {
  const A* data;
  std::int64_t stride;
  const A* row(std::int64_t i) const { return data + i * stride; }
};

// What rows are read for. The right factor of a product is read a pack of each row after the other:
// rows that lie 2 KiB apart, as those of one head do, would drive each other out of the cache.
enum class RowUse { kOther, kRightFactor };

// Whether a head's rows serve as they lie, without a copy.
template <class P, class T>
constexpr bool in_place(std::int64_t stride, std::int64_t head_dim, RowUse use) {
  return std::is_same_v<T, typename P::Value> && head_dim % P::kLanes == 0 &&
         (use == RowUse::kOther || stride == head_dim);
}

// Rows [0, count) at `from`; copied to `copy` [count, padded head_dim] unless in_place.
template <class Set, class T>
HeadRows<Accumulator<T>> rows_of_head(const T* from, std::int64_t stride, std::int64_t count,
                                      std::int64_t head_dim, RowUse use, Accumulator<T>* copy) {
  using P = Pack<Accumulator<T>, Set>;
  if constexpr (std::is_same_v<T, Accumulator<T>>) {
    if (in_place<P, T>(stride, head_dim, use)) return {from, stride};
  }
  const std::int64_t width = padded<P>(head_dim);
  for (std::int64_t i = 0; i < count; ++i) {
    for_each_pack<P>(head_dim, [&](std::int64_t d, auto at) {
      store(copy + i * width + d, load<P>(from + i * stride + d, at));
    });
  }
  return {copy, width};
}

// to [head_dim, kTile] = factor * the transpose of `count` rows, zeros beyond.
template <class Set, class A>
[[gnu::noinline]] void transpose_tile(HeadRows<A> rows, std::int64_t count, std::int64_t head_dim,
                                      A factor, A* to) {
  using Vector = Register<A, Set>::Floats;
  constexpr int kLanes = sizeof(Vector) / sizeof(A);
  for (std::int64_t key = 0; key < kTile; key += kLanes) {
    for (std::int64_t d = 0; d < head_dim; d += kLanes) {
      Vector square[kLanes] = {};
      for (int i = 0; i < kLanes && key + i < count; ++i) {
        load_register(rows.row(key + i) + d, square[i]);
        square[i] *= factor;
      }
      transpose(square);
      for (int i = 0; i < kLanes && d + i < head_dim; ++i) {
        store_register(to + (d + i) * kTile + key, square[i]);
      }
    }
  }
}

// An operand whose element (i, k) lies at data[i * row + k * column].
template <class A>
struct Strided {
  const A* data;
  std::int64_t row;
  std::int64_t column;
};

// kRows x kPacks packs of c in registers: c (+)= a b over `depth`.
template <int kRows, int kPacks, class Set, class A>
[[gnu::always_inline]] inline void multiply_block(Strided<A> a, const A* b, std::int64_t b_row,
                                                  A* c, std::int64_t c_row, std::int64_t depth,
                                                  bool add) {
  using P = Pack<A, Set>;
  P sums[kRows][kPacks];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kPacks; ++j) {
      sums[i][j] = add ? load<P>(c + i * c_row + j * P::kLanes) : P(0);
    }
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    P row[kPacks];
    for (int j = 0; j < kPacks; ++j) row[j] = load<P>(b + k * b_row + j * P::kLanes);
    for (int i = 0; i < kRows; ++i) {
      const P factor(a.data[i * a.row + k * a.column]);
      for (int j = 0; j < kPacks; ++j) sums[i][j] = fma(factor, row[j], sums[i][j]);
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kPacks; ++j) store(c + i * c_row + j * P::kLanes, sums[i][j]);
  }
}

// 24 vectors of sums with AVX-512 (12 rows where a row has one pack), 12 with AVX2, where a pack is
// two: beside the factors there is room for no more.
template <class Set, int kPacks>
constexpr int kBlockRows = std::is_same_v<Set, Avx512> ? 24 / (kPacks > 2 ? kPacks : 2) : 6;

// A column of blocks, kPacks wide, over all rows. An element is one chain of fused
// multiply-adds in order of k, whatever block it falls in.
template <int kPacks, class Set, class A>
[[gnu::noinline]] void multiply_panel(Strided<A> a, const A* b, std::int64_t b_row, A* c,
                                      std::int64_t c_row, std::int64_t rows, std::int64_t depth,
                                      bool add) {
  const auto block = [&](auto size, std::int64_t i) __attribute__((always_inline)) {
    multiply_block<size.value, kPacks, Set>({a.data + i * a.row, a.row, a.column}, b, b_row,
                                            c + i * c_row, c_row, depth, add);
    return i + size.value;
  };
  std::int64_t i = 0;
  constexpr int kRows = kBlockRows<Set, kPacks>;
  while (i + kRows <= rows) i = block(std::integral_constant<int, kRows>{}, i);
  if (i + 6 <= rows) i = block(std::integral_constant<int, 6>{}, i);
  if (i + 4 <= rows) i = block(std::integral_constant<int, 4>{}, i);
  if (i + 2 <= rows) i = block(std::integral_constant<int, 2>{}, i);
  if (i < rows) block(std::integral_constant<int, 1>{}, i);
}

// c [rows, columns] (+)= a [rows, depth] * b [depth, columns]; columns are whole packs.
template <class Set, class A>
void multiply(Strided<A> a, const A* b, std::int64_t b_row, A* c, std::int64_t c_row,
              std::int64_t rows, std::int64_t columns, std::int64_t depth, bool add) {
  constexpr int kLanes = Pack<A, Set>::kLanes;
  std::int64_t j = 0;
  const auto panel = [&](auto packs) {
    multiply_panel<packs.value, Set>(a, b + j, b_row, c + j, c_row, rows, depth, add);
    j += packs.value * kLanes;
  };
  if constexpr (std::is_same_v<Set, Avx512>) {
    while (j + 4 * kLanes <= columns) panel(std::integral_constant<int, 4>{});
    if (j + 2 * kLanes <= columns) panel(std::integral_constant<int, 2>{});
  }
  while (j < columns) panel(std::integral_constant<int, 1>{});
}

// Of queries [first, last); an empty interval counts as [0, 0).
template <class Set>
AttentionBounds bounds_of(const std::int32_t* lo, const std::int32_t* hi, std::int64_t first,
                          std::int64_t last) {
  AttentionBounds bounds{.min_lo = INT64_MAX, .max_lo = 0, .min_hi = INT64_MAX, .max_hi = 0};
  for (std::int64_t t = first; t < last; ++t) {
    if (lo[t] >= hi[t]) {
      bounds.min_hi = 0;
      continue;
    }
    if (lo[t] < bounds.min_lo) bounds.min_lo = lo[t];
    if (lo[t] > bounds.max_lo) bounds.max_lo = lo[t];
    if (hi[t] < bounds.min_hi) bounds.min_hi = hi[t];
    if (hi[t] > bounds.max_hi) bounds.max_hi = hi[t];
  }
  return bounds;
}

// Scores of keys outside [lo, hi), counted from the tile's first key, become -infinity.
template <class P>
[[gnu::always_inline]] inline P masked(P scores, std::int64_t offset, std::int64_t lo,
                                       std::int64_t hi) {
  using A = P::Value;
  const P key = lane_numbers<P>() + P(static_cast<A>(offset));
  const P lowest(-__builtin_inf());
  scores = where_less(key, P(static_cast<A>(lo)), lowest, scores);
  return where_less(key, P(static_cast<A>(hi)), scores, lowest);
}

// Factors of one query's probabilities for keys [first_key, first_key + count) of a tile:
// 1 / (1 - p) where kept, else 0.
template <class Set, class A>
[[gnu::noinline]] void keep_factors(const AttentionDropout& dropout, std::uint32_t limit,
                                    std::int64_t head, std::int64_t query, std::int64_t first_key,
                                    std::int64_t count, A* factors) {
  const auto scale = static_cast<A>(1.0 / (1.0 - dropout.p));
  const RandomKey stream{.seed = dropout.seed,
                         .domain = RandomDomain::kAttentionDropout,
                         .layer = dropout.layer,
                         .ordinal = static_cast<std::uint64_t>(dropout.ordinals[query])};
  const std::int64_t row =
      ((dropout.first_head + head) * dropout.seq_length + dropout.index_in_row[query]) *
      dropout.seq_length;
  const std::int32_t* places = dropout.index_in_row + first_key;
  bool consecutive = true;
  for (std::int64_t i = 1; i < count; ++i) consecutive &= places[i] == places[0] + i;
  std::uint32_t buffer[kTile + 64];
  const std::uint32_t* bits = buffer;
  if (consecutive) {
    bits = random_run<Set>(stream, static_cast<std::uint64_t>(row + places[0]), count, buffer);
  } else {
    std::uint32_t single[64];
    for (std::int64_t i = 0; i < count; ++i) {
      buffer[i] = *random_run<Set>(stream, static_cast<std::uint64_t>(row + places[i]), 1, single);
    }
  }
  for (std::int64_t i = 0; i < count; ++i) factors[i] = bits[i] > limit ? scale : A{0};
  for (std::int64_t i = count; i < kTile; ++i) factors[i] = 0;
}

}  // namespace cloze
