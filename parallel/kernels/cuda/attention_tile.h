// Tiles of attention in shared memory and the small matrix products between them, on the
// ordinary arithmetic units: for every type and head_dim. A block is 16 x 16 threads.
#pragma once

#include "parallel/kernels/cuda/attention_call.h"

namespace cloze::cuda {

constexpr unsigned kTileBlock = 256;

// kHeadDim: head_dim, filled up. kTile: queries and keys of a tile. Thread (y, x) has the scores
// of queries y * kRows + i and keys x + 16 j, and of sums over tokens rows y * kRows + i and
// channels c * 16 kVec + x kVec + v.
template <class T, int kHeadDim, int kTile>
struct TileShape {
  using A = Accumulator<T>;
  static constexpr std::size_t kElementBytes = sizeof(A);
  static constexpr int kTokens = kTile;
  static constexpr int kChannels = kHeadDim;
  static constexpr int kVec = 16 / static_cast<int>(sizeof(A));
  static constexpr int kRows = kTile / 16;
  static constexpr int kChunks = kHeadDim / (16 * kVec);
  // An access wider than needed, so that rows begin at different banks.
  static constexpr int kStride = kHeadDim + kVec;
  static constexpr int kScoreStride = kTile + kVec;
  static constexpr int kTileSize = kTile * kStride;
  static constexpr int kScoresSize = kTile * kScoreStride;
};

// to [kTokens, kStride] = rows [first, first + kTokens) of a head; zeros beyond `count` rows and
// beyond head_dim.
template <class Tile, class T>
__device__ inline void load_tile(Accumulator<T>* to, const T* from, std::int64_t stride,
                                 std::int64_t first, std::int64_t count, std::int64_t head_dim,
                                 bool vectors) {
  using A = Accumulator<T>;
  const T* const rows = from + first * stride;
  const std::int64_t left = count - first;
  if (vectors) {
    constexpr int kN = kVector<T>;
    constexpr int kAccesses = Tile::kChannels / kN;
    for (int i = static_cast<int>(threadIdx.x); i < Tile::kTokens * kAccesses; i += kTileBlock) {
      const int row = i / kAccesses;
      const int channel = i % kAccesses * kN;
      Values<A, kN> values = {};
      if (row < left && channel < head_dim) values = load<kN>(rows + row * stride + channel);
      store<kN>(to + row * Tile::kStride + channel, values);
    }
    return;
  }
  for (int i = static_cast<int>(threadIdx.x); i < Tile::kTokens * Tile::kChannels;
       i += kTileBlock) {
    const int row = i / Tile::kChannels;
    const int channel = i % Tile::kChannels;
    const bool inside = row < left && channel < head_dim;
    to[row * Tile::kStride + channel] =
        inside ? static_cast<A>(rows[row * stride + channel]) : A{0};
  }
}

// scores = left right^T of two tiles of rows.
template <class Tile, class A>
__device__ inline void multiply_rows(A (&scores)[Tile::kRows][Tile::kRows], const A* left,
                                     const A* right) {
  constexpr int kRows = Tile::kRows;
  constexpr int kVec = Tile::kVec;
  const A* const my_left = left + threadIdx.x / 16 * kRows * Tile::kStride;
  const A* const my_right = right + threadIdx.x % 16 * Tile::kStride;
  CLOZE_UNROLL
  for (int i = 0; i < kRows; ++i) {
    CLOZE_UNROLL
    for (int j = 0; j < kRows; ++j) scores[i][j] = 0;
  }
  CLOZE_UNROLL_BY(1)
  for (int d = 0; d < Tile::kChannels; d += kVec) {
    Values<A, kVec> a[kRows];
    CLOZE_UNROLL
    for (int i = 0; i < kRows; ++i) a[i] = load<kVec>(my_left + i * Tile::kStride + d);
    CLOZE_UNROLL
    for (int j = 0; j < kRows; ++j) {
      const Values<A, kVec> b = load<kVec>(my_right + 16 * j * Tile::kStride + d);
      CLOZE_UNROLL
      for (int i = 0; i < kRows; ++i) {
        CLOZE_UNROLL
        for (int e = 0; e < kVec; ++e) {
          scores[i][j] = multiply_add(a[i].at[e], b.at[e], scores[i][j]);
        }
      }
    }
  }
}

// Writes this thread's part of a tile of scores [kTokens, kScoreStride].
template <class Tile, class A>
__device__ inline void store_scores(A* to, const A (&scores)[Tile::kRows][Tile::kRows]) {
  A* const mine = to + threadIdx.x / 16 * Tile::kRows * Tile::kScoreStride + threadIdx.x % 16;
  CLOZE_UNROLL
  for (int i = 0; i < Tile::kRows; ++i) {
    CLOZE_UNROLL
    for (int j = 0; j < Tile::kRows; ++j) mine[i * Tile::kScoreStride + 16 * j] = scores[i][j];
  }
}

// Multiplies this thread's part of a tile of scores by the factors of dropout. A loop, for sixteen
// random numbers side by side would take all registers.
template <class Tile, class T>
__device__ inline void drop_scores(const AttentionCall<T>& call, Accumulator<T>* scores,
                                   std::int64_t head, std::int64_t first_query,
                                   std::int64_t first_key) {
  CLOZE_UNROLL_BY(1)
  for (int of = 0; of < Tile::kRows * Tile::kRows; ++of) {
    const int query = static_cast<int>(threadIdx.x / 16) * Tile::kRows + of / Tile::kRows;
    const int key = static_cast<int>(threadIdx.x % 16) + of % Tile::kRows * 16;
    const bool inside = first_query + query < call.shape.tokens && first_key + key < call.keys;
    if (!inside) continue;
    scores[query * Tile::kScoreStride + key] *=
        keep_factor(call, head, first_query + query, first_key + key);
  }
}

// sums += weights rows, or with kTransposed weights^T rows. weights [kTokens, kScoreStride].
template <class Tile, bool kTransposed, class A>
__device__ inline void add_product(A (&sums)[Tile::kRows][Tile::kChunks * Tile::kVec],
                                   const A* weights, const A* rows) {
  constexpr int kRows = Tile::kRows;
  constexpr int kVec = Tile::kVec;
  const int own = static_cast<int>(threadIdx.x / 16) * kRows;
  const A* const my_rows = rows + threadIdx.x % 16 * kVec;
  CLOZE_UNROLL_BY(2)
  for (int token = 0; token < Tile::kTokens; ++token) {
    A weight[kRows];
    CLOZE_UNROLL
    for (int i = 0; i < kRows; ++i) {
      weight[i] = kTransposed ? weights[token * Tile::kScoreStride + own + i]
                              : weights[(own + i) * Tile::kScoreStride + token];
    }
    CLOZE_UNROLL
    for (int c = 0; c < Tile::kChunks; ++c) {
      const Values<A, kVec> row = load<kVec>(my_rows + token * Tile::kStride + c * 16 * kVec);
      CLOZE_UNROLL
      for (int i = 0; i < kRows; ++i) {
        CLOZE_UNROLL
        for (int e = 0; e < kVec; ++e) {
          sums[i][c * kVec + e] = multiply_add(weight[i], row.at[e], sums[i][c * kVec + e]);
        }
      }
    }
  }
}

// Writes row i of this thread's sums times `factor` to a row of a head.
template <class Tile, class T, class A>
__device__ inline void store_sums(T* row, const A (&sums)[Tile::kChunks * Tile::kVec], A factor,
                                  std::int64_t head_dim) {
  CLOZE_UNROLL
  for (int c = 0; c < Tile::kChunks; ++c) {
    CLOZE_UNROLL
    for (int e = 0; e < Tile::kVec; ++e) {
      const std::int64_t channel =
          (c * 16 + static_cast<std::int64_t>(threadIdx.x % 16)) * Tile::kVec + e;
      if (channel < head_dim) row[channel] = static_cast<T>(sums[c * Tile::kVec + e] * factor);
    }
  }
}

// Calls launch(width) with the width that head_dim is filled up to.
template <class Launch>
void with_head_dim(std::int64_t head_dim, const Launch& launch) {
  if (head_dim <= 64) {
    launch(std::integral_constant<int, 64>{});
  } else if (head_dim <= 128) {
    launch(std::integral_constant<int, 128>{});
  } else {
    launch(std::integral_constant<int, 256>{});
  }
}

}  // namespace cloze::cuda
